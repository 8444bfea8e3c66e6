"""Limits that a figure must keep, whatever it was before: max p99 10 µs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tailflame.model.metrics import Family, Metric
from tailflame.units import reading


class Limit(Protocol):
    """low <= the figure called `key` <= high, in the figure's own unit; None for no limit."""

    @property
    def key(self) -> str: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


def broken(limits: Sequence[Limit], metrics: Sequence[Metric]) -> tuple[str, ...]:
    """A sentence for each limit that does not hold. A percentile must hold in every repetition: the worst one counts.

    A figure that was not measured is told as well: a limit that nobody checks holds nothing. So is a percentile of a
    benchmark, whose samples are means of many calls.
    """
    by_key = {metric.key: metric for metric in metrics}
    told = []
    for limit in limits:
        metric = by_key.get(limit.key)
        if metric is None or not metric.values:
            told.append(f"{limit.key} was not measured, so its bound is not checked.")
            continue
        if metric.family is Family.BENCHMARKS and limit.key.startswith("p"):
            told.append(f"{limit.key}: samples of a benchmark are means; bound its median instead.")
            continue
        least, most = min(metric.values), max(metric.values)
        if limit.high is not None and most > limit.high:
            told.append(f"{limit.key} is {reading(most, metric.unit)}, above {reading(limit.high, metric.unit)}.")
        if limit.low is not None and least < limit.low:
            told.append(f"{limit.key} is {reading(least, metric.unit)}, below {reading(limit.low, metric.unit)}.")
    return tuple(told)
