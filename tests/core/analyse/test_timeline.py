"""Latencies over time: bounded rows, and every figure the same as from all that was ever fed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailflame.analyse.timeline import HEAT_BINS, NEEDED, LatencyTimeline, Span
from tailflame.model.histogram import PERCENTILES, Histogram, merge_all
from tailflame.model.live import LatencySlice

values = st.lists(st.integers(0, 3_000_000), max_size=12)


def fed(
    parts: list[list[int]], *, capacity: int = 16, most_buckets: int = 1 << 20, step: float = 0.1
) -> LatencyTimeline:
    timeline = LatencyTimeline("match_order", capacity=capacity, most_buckets=most_buckets)
    for at, part in enumerate(parts):
        timeline.take(
            LatencySlice(
                series="match_order", start_s=100 + at * step, length_s=step, histogram=Histogram.of(part, digits=2)
            )
        )
    return timeline


@given(st.lists(values, min_size=1, max_size=60), st.sampled_from([1 << 20, 60]))
@settings(max_examples=30, deadline=None)
def test_nothing_that_was_fed_is_lost(parts: list[list[int]], most_buckets: int) -> None:
    timeline = fed(parts, most_buckets=most_buckets)
    all_of_it = merge_all(Histogram.of(part, digits=2) for part in parts)
    assert len(timeline) <= 16
    assert timeline.intervals == len(parts)
    assert timeline.whole.percentiles() == all_of_it.percentiles()
    assert timeline.whole.total == timeline.total == all_of_it.total
    assert timeline.columns().count.sum() == all_of_it.total
    assert timeline.window(-math.inf, math.inf).percentiles() == all_of_it.percentiles()
    cumulative = timeline.columns(Span.CUMULATIVE)
    assert cumulative.count[-1] == all_of_it.total
    if all_of_it.total:
        assert tuple(cumulative.values[-1].astype(int)) == all_of_it.percentiles()


@given(st.lists(values, min_size=1, max_size=60), st.integers(0, 3_000_000), st.sampled_from(PERCENTILES))
@settings(max_examples=30, deadline=None)
def test_the_share_of_intervals_below_a_limit_is_that_of_all_intervals(
    parts: list[list[int]], limit: int, percentile: float
) -> None:
    told = [Histogram.of(part, digits=2).percentiles((percentile,))[0] for part in parts if part]
    result = fed(parts).slo(limit, percentile)
    assert result.intervals == len(told)
    assert result.kept == sum(value < limit for value in told)
    assert result.share == (pytest.approx(result.kept / len(told)) if told else None)


@given(st.lists(values, min_size=1, max_size=16))
@settings(max_examples=20, deadline=None)
def test_a_rolling_window_holds_the_last_seconds(parts: list[list[int]]) -> None:
    timeline = fed(parts)
    timeline.set_rolling(0.3)
    rolling = timeline.columns(Span.ROLLING)
    for at in range(len(parts)):
        expected = merge_all([Histogram.of(part, digits=2) for part in parts[max(at - 2, 0) : at + 1]])
        assert rolling.count[at] == expected.total
        if expected.total:
            assert tuple(rolling.values[at].astype(int)) == expected.percentiles()
        else:
            assert np.isnan(rolling.values[at]).all()


def test_rolling_goes_on_over_merged_slots() -> None:
    timeline = LatencyTimeline("x", capacity=64)
    timeline.set_rolling(1.0)
    for at in range(400):
        timeline.add(at * 0.1, 0.1, Histogram.of([at + 1], digits=2))
        timeline.catch_up(Span.ROLLING, most=1000)
    rolling = timeline.columns(Span.ROLLING)
    assert rolling.count[-1] == 10
    assert int(rolling.values[-1][5]) == Histogram.of([400], digits=2).maximum
    assert timeline.columns(Span.CUMULATIVE).count[-1] == 400


def test_work_is_done_in_pieces_where_asked() -> None:
    timeline = fed([[5]] * 10)
    assert not timeline.catch_up(Span.CUMULATIVE, most=4)
    assert np.isnan(timeline.columns(Span.CUMULATIVE, most=0).values[4:]).all()
    assert timeline.catch_up(Span.CUMULATIVE)


def test_old_slots_are_coarse_and_new_ones_as_they_came() -> None:
    columns = fed([[7]] * 200, capacity=32).columns()
    lengths = columns.end_s - columns.start_s
    assert lengths[-10:] == pytest.approx(0.1)
    assert lengths[0] > 1.0
    assert columns.start_s[1:] == pytest.approx(columns.end_s[:-1])


def test_a_gap_stays_a_gap() -> None:
    timeline = LatencyTimeline("x", capacity=16)
    for at in [*range(10), *range(500, 600)]:
        timeline.add(at * 0.1, 0.1, Histogram.of([9], digits=2))
    columns = timeline.columns()
    holes = columns.start_s[1:] - columns.end_s[:-1]
    assert holes.max() == pytest.approx(49.0)
    counts, watched = timeline.heat(np.array([0.0, 1.0, 25.0, 49.9, 60.0]))
    assert watched.tolist() == [True, False, False, True]
    assert counts.sum(axis=0).tolist() == pytest.approx([10, 0, 0, 100])


def test_gaps_do_not_let_it_grow() -> None:
    timeline = LatencyTimeline("x", capacity=16)
    for at in range(300):
        timeline.add(at * 10.0, 0.1, Histogram.of([9], digits=2))
    assert len(timeline) <= 16
    assert timeline.columns().count.sum() == 300


def test_what_comes_late_is_put_in_its_place() -> None:
    timeline = LatencyTimeline("x")
    for start in (0.0, 2.0, 1.0, 3.0):
        timeline.add(start, 1.0, Histogram.of([int(start * 100) + 1], digits=2))
        timeline.catch_up(Span.CUMULATIVE)
    assert timeline.columns().start_s.tolist() == [0, 1, 2, 3]
    assert timeline.columns().maximum.tolist() == [1, 101, 201, 301]
    assert timeline.columns(Span.CUMULATIVE).count.tolist() == [1, 2, 3, 4]
    assert timeline.window(1.0, 2.0).maximum == 101


def test_an_interval_without_a_call_has_no_percentile_and_is_no_broken_one() -> None:
    timeline = fed([[5], [], [7]])
    columns = timeline.columns()
    assert columns.count.tolist() == [1, 0, 1]
    assert np.isnan(columns.values[1]).all() and math.isnan(columns.maximum[1])
    assert timeline.slo(6, 50.0).intervals == 2


def test_a_percentile_of_too_few_values_is_not_reliable() -> None:
    assert NEEDED == (2, 10, 20, 100, 1000, 10_000)
    columns = fed([[5] * 9_999, [5] * 10_000]).columns()
    assert columns.reliable[:, 5].tolist() == [False, True]
    assert columns.reliable[:, 4].tolist() == [True, True]


def test_layouts_meet_at_the_coarser_one() -> None:
    timeline = LatencyTimeline("x")
    timeline.add(0, 1, Histogram.of([123_456], digits=3))
    timeline.add(1, 1, Histogram.of([123_456], digits=2))
    timeline.add(2, 1, Histogram.of([123_456], digits=4))
    expected = Histogram.of([123_456], digits=2).percentiles()
    assert timeline.digits == 2
    assert timeline.whole.total == 3
    for row in timeline.columns(Span.CUMULATIVE).values:
        assert tuple(row.astype(int)) == expected
    assert timeline.slo(100_000, 50.0).kept == 0
    assert timeline.slo(200_000, 50.0).kept == 3


def test_the_heat_map_holds_every_value_once_whatever_the_columns() -> None:
    timeline = fed([[1 << at for at in range(20)]] * 50, capacity=512)
    for columns in (1, 7, 50, 333):
        counts, watched = timeline.heat(np.linspace(100, 105, columns + 1))
        assert counts.shape == (HEAT_BINS, columns)
        assert counts.sum() == pytest.approx(1000)
        assert watched.all()
    assert np.flatnonzero(counts.sum(axis=1)).tolist() == [4 * at for at in range(20)]


def test_the_stretches_are_the_whole_in_equal_times() -> None:
    timeline = fed([[at + 1] for at in range(200)], capacity=128)
    parts = timeline.stretches(10)
    assert 8 <= len(parts) <= 10
    assert sum(part.total for part in parts) == 200
    assert max(part.total for part in parts) <= 60
    assert merge_all(parts).percentiles() == timeline.whole.percentiles()
    assert LatencyTimeline("x").stretches() == ()


def test_nothing_fed_answers_everything() -> None:
    timeline = LatencyTimeline("x")
    assert timeline.first_s is None and timeline.last_s is None
    assert timeline.whole.total == timeline.window(0, 1).total == timeline.latest(10)[0].total == 0
    assert timeline.slo(1, 99.9).share is None
    assert len(timeline.columns(Span.ROLLING)) == 0
    assert not timeline.heat(np.array([0.0, 1.0]))[1].any()
