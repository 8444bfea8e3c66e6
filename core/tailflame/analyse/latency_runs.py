"""Two runs compared latency by latency: the series that both have, each with its percentiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tailflame.analyse.latency_diff import LatencyDiff, compare_latencies
from tailflame.model.histogram import Histogram, HistogramSeries, merge_all


@dataclass(frozen=True, slots=True)
class SeriesDiff:
    """One series of both runs. `before_name` differs from `name` where each run has but one series."""

    name: str
    before_name: str
    unit: str
    diff: LatencyDiff


def compare_runs(
    before: HistogramSeries, after: HistogramSeries, *, progress: Callable[[float], None] = lambda _share: None
) -> tuple[SeriesDiff, ...]:
    """The series that both runs have, in the order of `after`. Some seconds for long runs: not for a window's thread.

    Where each run has one series, they are compared whatever they are called. Values of different units are not.
    """
    names = [name for name in after.distinct_tags() if name in before.distinct_tags()]
    pairs = [(name, name) for name in names]
    if not pairs and len(before.distinct_tags()) == len(after.distinct_tags()) == 1:
        pairs = [(before.distinct_tags()[0], after.distinct_tags()[0])]
    if before.unit != after.unit:
        return ()
    found = []
    for at, (one, other) in enumerate(pairs):
        first, second = _parts(before, one), _parts(after, other)
        diff = compare_latencies(merge_all(first), merge_all(second), before_parts=first, after_parts=second)
        found.append(SeriesDiff(other, one, after.unit, diff))
        progress((at + 1) / len(pairs))
    return tuple(found)


def _parts(series: HistogramSeries, tag: str) -> list[Histogram]:
    """The intervals of one series, in the order of their time."""
    rows = [at for at, name in enumerate(series.tags) if name == tag]
    return [series.histograms[at] for at in sorted(rows, key=lambda at: series.start_s[at])]
