"""Two runs compared series by series."""

from __future__ import annotations

import numpy as np

from tailflame.analyse.latency_runs import compare_runs
from tailflame.model import Histogram, HistogramSeries


def series(*tags: str, shift: float = 1.0, seed: int = 1, unit: str = "ns") -> HistogramSeries:
    """Thirty intervals of a thousand values for each tag, later ones first."""
    random = np.random.default_rng(seed)
    rows = [(tag, at) for tag in tags for at in reversed(range(30))]
    return HistogramSeries(
        tags=tuple(tag for tag, _ in rows),
        start_s=tuple(float(at) for _, at in rows),
        length_s=(1.0,) * len(rows),
        histograms=tuple(Histogram.of((shift * random.lognormal(10, 0.3, 1000)).astype(np.int64)) for _ in rows),
        unit=unit,
    )


def test_series_of_one_name_are_compared_and_a_shift_is_found() -> None:
    found = compare_runs(series("a", "b"), series("b", "c", shift=1.3, seed=2))
    assert [one.name for one in found] == ["b"]
    diff = found[0].diff
    assert (diff.total_before, diff.total_after) == (30_000, 30_000)
    assert diff.by_time
    named = {row.percentile: row for row in diff.rows}
    assert named[50.0].different and named[99.0].different
    assert 1.25 < named[50.0].ratio < 1.35
    assert not named[99.99].reliable and not named[99.99].different


def test_equal_runs_differ_in_nothing_beyond_the_level() -> None:
    pairs = [(series("a", seed=seed), series("a", seed=seed + 1)) for seed in range(10, 18, 2)]
    assert sum(bool(compare_runs(one, other)[0].diff.different) for one, other in pairs) <= 1
    assert compare_runs(series("a"), series("a"))[0].diff.different == ()


def test_single_series_are_compared_whatever_they_are_called() -> None:
    (one,) = compare_runs(series("before"), series("after"))
    assert (one.before_name, one.name) == ("before", "after")


def test_other_units_and_other_names_have_nothing_in_common() -> None:
    assert compare_runs(series("a"), series("a", unit="")) == ()
    assert compare_runs(series("a", "b"), series("c")) == ()
