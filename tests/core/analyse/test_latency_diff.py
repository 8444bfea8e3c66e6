"""Percentiles of two runs: equal ones are not told apart, a change is found, and too few values are never a change."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tailflame.analyse.latency_diff import ABOVE, LatencyDiff, compare_latencies
from tailflame.model import Histogram, merge_all
from tailflame.model.histogram import PERCENTILES

FEWER = 2_000


def intervals(
    seed: int, *, scale: float = 1.0, stalls: bool = True, number: int = 60, rate: int = 300
) -> list[Histogram]:
    """A run as they are: load that rises and falls, and now and then a stall that delays all that come into it."""
    random, load, parts = np.random.default_rng(seed), 0.0, []
    for _ in range(number):
        values = np.exp(9 + 0.7 * random.standard_normal(random.poisson(rate)))
        if stalls:
            load = 0.6 * load + random.standard_normal()
            values *= math.exp(0.1 * load)
            if random.random() < 0.05:
                values[: rate // 10] *= 30
        parts.append(Histogram.of((values * scale).astype(np.int64)))
    return parts


def diff(before: list[Histogram], after: list[Histogram], *, parts: bool = True) -> LatencyDiff:
    return compare_latencies(
        merge_all(before),
        merge_all(after),
        before_parts=before if parts else None,
        after_parts=after if parts else None,
        resamples=FEWER,
    )


def alarms(*, stalls: bool, parts: bool, pairs: int) -> int:
    return sum(
        bool(diff(intervals(2 * n, stalls=stalls), intervals(2 * n + 1, stalls=stalls), parts=parts).different)
        for n in range(pairs)
    )


def test_equal_runs_are_told_apart_in_one_case_of_twenty() -> None:
    """Any of six percentiles. A rate of 5 % exceeds the bounds once in 300 times or less; the seeds are fixed."""
    assert alarms(stalls=True, parts=True, pairs=40) <= 6
    assert alarms(stalls=False, parts=True, pairs=20) <= 4
    assert alarms(stalls=False, parts=False, pairs=20) <= 4


def test_calls_are_not_independent() -> None:
    """What single values make of the same equal runs: the reason for drawing stretches of time."""
    assert alarms(stalls=True, parts=False, pairs=10) >= 5


def test_a_change_is_found_with_its_size() -> None:
    found = diff(intervals(1, stalls=False), intervals(2, stalls=False, scale=1.1))
    assert found.by_time
    assert (found.blocks_before, found.blocks_after) == (20, 20)
    for row in found.rows[:2]:
        assert row.different
        assert row.ratio == pytest.approx(1.1, abs=0.06)
        assert row.low_ratio < 1.1 < row.high_ratio
        assert 0 < row.low < row.change < row.high
    faster = diff(intervals(1, stalls=False), intervals(2, stalls=False, scale=0.9))
    assert faster.rows[0].different
    assert faster.rows[0].high < 0


def test_a_slow_path_is_seen_in_the_tail_alone() -> None:
    def run(seed: int, slow: float) -> list[Histogram]:
        random, parts = np.random.default_rng(seed), []
        for _ in range(60):
            values = np.exp(9 + 0.3 * random.standard_normal(2_000))
            values[random.random(2_000) < slow] *= 20
            parts.append(Histogram.of(values.astype(np.int64)))
        return parts

    found = diff(run(5, 0.0), run(6, 0.004))
    marked = {row.percentile for row in found.different}
    assert {99.9, 99.99} <= marked
    assert not {50.0, 90.0, 95.0} & marked
    assert found.rows[4].ratio > 5


@pytest.mark.parametrize("parts", [True, False])
def test_a_percentile_with_few_values_beyond_is_no_change(parts: bool) -> None:
    found = diff(intervals(1, number=40), intervals(2, scale=3.0, number=40), parts=parts)
    last = found.rows[-1]
    assert last.percentile == 99.99
    assert last.ratio > 1
    assert (last.above_before, last.above_after) == (1, 1)
    assert last.doubt == "only 1 value before beyond it"
    assert not last.reliable
    assert not last.different
    assert math.isnan(last.low)
    assert math.isnan(last.high_ratio)


def test_how_many_values_a_percentile_needs() -> None:
    for percentile, needed in ((50.0, 20), (99.0, 1_000), (99.9, 10_000), (99.99, 100_000)):
        for total in (needed, needed - 1):
            histogram = Histogram.of(np.arange(total))
            (row,) = compare_latencies(histogram, histogram, (percentile,), resamples=100).rows
            assert (row.above_before >= ABOVE) == row.reliable == (total == needed), (percentile, total)


def test_a_single_stall_is_no_change_of_the_tail() -> None:
    calm = intervals(1, stalls=False)
    stalled = intervals(2, stalls=False)
    stalled[30] = stalled[30].merged(Histogram.of([50_000_000], [200]))
    found = diff(calm, stalled)
    assert found.rows[4].after > 100 * found.rows[4].before
    assert not found.different
    assert found.rows[4].doubt == "the values after beyond it came in few moments" or found.rows[4].above_before < ABOVE
    assert found.rows[3].doubt == "the values after beyond it came in few moments"


def test_the_same_is_no_change_and_the_answer_is_always_the_same() -> None:
    parts = intervals(3)
    one, other = diff(parts, parts), diff(parts, parts)
    assert one.rows[0] == other.rows[0]
    assert [row.change for row in one.rows] == [0] * 6
    assert not one.different
    assert (one.total_before, one.total_after) == (merge_all(parts).total,) * 2


@pytest.mark.parametrize("values", [[], [7], [0] * 100, [5] * 100_000])
def test_odd_histograms(values: list[int]) -> None:
    histogram = Histogram.of(values)
    found = compare_latencies(histogram, histogram, before_parts=[histogram], after_parts=[], resamples=100)
    assert len(found.rows) == len(PERCENTILES)
    assert not found.different
    assert not found.by_time
    assert [row.ratio for row in found.rows] == [1.0] * 6


def test_less_than_a_bucket_is_no_change() -> None:
    """Both may be the same value: it cannot be told."""
    before, after = Histogram.of([100_000], [10**6]), Histogram.of([100_000 + 64], [10**6])
    found = compare_latencies(before, after, (50.0,), resamples=100)
    assert found.rows[0].change == 64
    assert not found.different
    assert compare_latencies(before, Histogram.of([100_200], [10**6]), (50.0,), resamples=100).different


def test_resolutions_may_differ() -> None:
    before = intervals(1, stalls=False)
    after = [part.at(1000, 2) for part in intervals(2, stalls=False)]
    assert not diff(before, after).different


def test_intervals_of_another_histogram_are_refused() -> None:
    parts = intervals(1)
    with pytest.raises(ValueError, match="do not add up"):
        compare_latencies(merge_all(parts), merge_all(parts), before_parts=parts[1:], after_parts=parts)
