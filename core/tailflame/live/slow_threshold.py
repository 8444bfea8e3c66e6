"""From which duration on a call of a probed function is slow: as told, or learnt from the first calls."""

from __future__ import annotations

from collections.abc import Sequence

from tailflame import units
from tailflame.live.probe_output import Interval
from tailflame.model.histogram import Histogram
from tailflame.model.slow_calls import LEARN_S, SlowAbove

LEARN_AT_MOST_S = 60.0
"""A function that is called too seldom for its percentile until then has no threshold."""
_BEYOND = 10
"""So many calls at least have to lie above a percentile, for it to be one."""


class Learning:
    """Counts calls until `above` is known for each function. Nothing to learn where it is a duration."""

    def __init__(self, above: SlowAbove, functions: int, began_s: float) -> None:
        self._above = above
        self._began_s = began_s
        self._counted = [Histogram.empty(1, 2) for _ in range(functions)]

    def take(self, interval: Interval) -> tuple[int, ...] | None:
        """The thresholds (ns, 0 for none) by function, once they are known."""
        if interval.end_s <= self._began_s:
            return None
        self._counted = [a.merged(b) for a, b in zip(self._counted, interval.histograms, strict=True)]
        seconds = interval.end_s - self._began_s
        if seconds < LEARN_S or (seconds < LEARN_AT_MOST_S and not any(map(self._enough, self._counted))):
            return None
        return tuple(self._threshold(histogram) if self._enough(histogram) else 0 for histogram in self._counted)

    def _enough(self, histogram: Histogram) -> bool:
        return histogram.total * (1 - self._above.percentile / 100) >= _BEYOND

    def _threshold(self, histogram: Histogram) -> int:
        return int(histogram.percentiles((self._above.percentile,))[0])


def said_of(series: Sequence[str], thresholds: Sequence[int], above: SlowAbove) -> tuple[str, str]:
    """What was learnt, as a sentence and a fix."""
    known = [f"{name} {units.nanoseconds(ns)}" for name, ns in zip(series, thresholds, strict=True) if ns]
    unknown = [name for name, ns in zip(series, thresholds, strict=True) if not ns]
    text = f"Slow calls are kept from {above} on: {', '.join(known)}." if known else ""
    if not unknown:
        return text, ""
    few = f"Too few calls for a percentile: {', '.join(unknown)}; no slow calls of it are kept."
    return f"{text} {few}".strip(), "Give the duration instead (100us)."
