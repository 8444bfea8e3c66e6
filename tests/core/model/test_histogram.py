"""Histograms in HdrHistogram's layout: its bounds, its percentile rule, exact merging."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stack_counts import DATA
from tailflame.model import Histogram, HistogramRecorder, HistogramSeries, merge_all
from tailflame.model.buckets import TOP as LARGEST
from tailflame.model.buckets import layout, most_counts
from tailflame.model.histogram import PERCENTILES
from tailflame.model.stacks import readonly
from tailflame.parse import load

TOP = 10**12


def reference(values: list[int], *, digits: int = 3, lowest: int = 1) -> HdrHistogram:
    histogram = HdrHistogram(lowest, TOP, digits)
    for value in values:
        histogram.record_value(value)
    return histogram


def of(values: list[int], *, digits: int = 3, lowest: int = 1) -> Histogram:
    counts = np.frombuffer(reference(values, digits=digits, lowest=lowest).counts, np.uint64)
    return Histogram(readonly(counts, np.int64), lowest=lowest, digits=digits)


@pytest.mark.parametrize("digits", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("lowest", [1, 2, 1000])
def test_bounds_are_those_of_the_reference(digits: int, lowest: int) -> None:
    if not digits:
        low, high = Histogram(np.zeros(64, dtype=np.int64), digits=0).bounds()
        assert low[0] == 0
        assert (low[1:] == high[:-1] + 1).all()
        return
    known = reference([], digits=digits, lowest=lowest)
    low, high = Histogram(np.zeros(known.counts_len, dtype=np.int64), lowest=lowest, digits=digits).bounds()
    for index in range(0, known.counts_len, max(known.counts_len // 300, 1)):
        assert low[index] == known.get_value_from_index(index)
        assert high[index] == known.get_highest_equivalent_value(int(low[index]))
    assert (low[1:] == high[:-1] + 1).all(), "without gaps"


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.integers(0, TOP), min_size=1, max_size=60), digits=st.integers(1, 3))
def test_percentiles_by_the_rule_of_the_java_library(values: list[int], digits: int) -> None:
    histogram = of(values, digits=digits)
    known = reference(values, digits=digits)
    ordered = sorted(values)
    wanted = (0.0, 10.0, *PERCENTILES, 100.0)
    for p, found in zip(wanted, histogram.percentiles(wanted), strict=True):
        rank = max(math.ceil(math.nextafter(p, -math.inf) * len(values) / 100), 1)
        value = ordered[rank - 1]
        if p == 0:
            assert found == known.get_lowest_equivalent_value(value)
        else:
            assert found == known.get_highest_equivalent_value(value)
    assert histogram.total == len(values)
    assert histogram.maximum == known.get_highest_equivalent_value(ordered[-1])


def test_the_rank_is_rounded_up() -> None:
    """hdrh rounds half up and says 158 here; Java says 159."""
    assert of(list(range(1, 161))).percentiles((99.0,)) == (159,)


def test_an_empty_histogram() -> None:
    empty = Histogram(np.zeros(10, dtype=np.int64))
    assert (empty.total, empty.maximum, set(empty.percentiles())) == (0, 0, {0})
    assert Histogram(np.zeros(0, dtype=np.int64)).percentiles((50.0,)) == (0,)


@given(one=st.lists(st.integers(0, TOP), max_size=20), other=st.lists(st.integers(0, TOP), max_size=20))
def test_merging_is_recording_both(one: list[int], other: list[int]) -> None:
    assert of(one).merged(of(other)).counts.tolist() == of(one + other).counts.tolist()


@given(
    one=st.lists(st.integers(0, TOP), max_size=20),
    other=st.lists(st.integers(0, TOP), max_size=20),
    lowest=st.sampled_from([1, 1000, 1024]),
    digits=st.integers(1, 3),
)
def test_two_resolutions_merge_at_the_coarser_one(one: list[int], other: list[int], lowest: int, digits: int) -> None:
    both = of([*one, *other], lowest=lowest, digits=digits)
    for merged in (
        of(one).merged(of(other, lowest=lowest, digits=digits)),
        of(other, lowest=lowest, digits=digits).merged(of(one)),
    ):
        assert (merged.lowest, merged.digits) == (lowest, digits)
        size = max(len(both.counts), len(merged.counts))
        assert np.pad(merged.counts, (0, size - len(merged.counts))).tolist() == (
            np.pad(both.counts, (0, size - len(both.counts))).tolist()
        )


def test_lengths_may_differ() -> None:
    short = Histogram(readonly([1, 2], np.int64))
    long = Histogram(readonly([1, 0, 5], np.int64))
    assert short.merged(long).counts.tolist() == long.merged(short).counts.tolist() == [2, 2, 5]
    assert len(short.counts) == 2


def test_a_series_is_merged_by_tag() -> None:
    part = Histogram(readonly([0, 3], np.int64))
    series = HistogramSeries(
        tags=("b", "", "b"), start_s=(0.0, 0.0, 1.0), length_s=(1.0,) * 3, histograms=(part, part, part)
    )
    assert series.distinct_tags() == ("b", "")
    assert series.whole("b").total == 6
    assert series.whole("").total == 3
    with pytest.raises(KeyError):
        series.whole("c")


VALUES = st.lists(st.integers(0, TOP), max_size=60)


def same(one: Histogram, other: Histogram) -> bool:
    size = max(len(one.counts), len(other.counts))
    padded = [np.pad(h.counts, (0, size - len(h.counts))).tolist() for h in (one, other)]
    return (one.lowest, one.digits) == (other.lowest, other.digits) and padded[0] == padded[1]


class TestLayout:
    @given(value=st.integers(0, LARGEST), digits=st.integers(0, 5), lowest=st.sampled_from([1, 2, 1000, 2**20]))
    def test_one_by_one_and_all_at_once(self, value: int, digits: int, lowest: int) -> None:
        shape = layout(lowest, digits)
        index = shape.index(value)
        assert shape.indices(np.array([value])).tolist() == [index]
        assert shape.low(index) <= value <= shape.high(index)
        assert shape.lows(np.array([index])).tolist() == [shape.low(index)]
        assert shape.widths(np.array([index])).tolist() == [shape.width(index)]

    def test_the_edges_of_every_power_of_two(self) -> None:
        """A float cannot hold 2**62 - 1: its exponent would be one too high."""
        shape = layout(1, 3)
        values = [v for k in range(63) for v in (2**k - 1, 2**k, 2**k + 1) if v <= LARGEST]
        assert shape.indices(np.array(values)).tolist() == [shape.index(value) for value in values]

    @pytest.mark.parametrize("digits", [1, 2, 3])
    @pytest.mark.parametrize("highest", [2047, 2048, 4095, 10**9, 3_600_000_000_000])
    def test_the_length_of_the_references_array(self, digits: int, highest: int) -> None:
        assert most_counts(1, digits, highest) == HdrHistogram(1, highest, digits).counts_len

    def test_bounds_are_computed_once(self) -> None:
        one, other = Histogram(np.zeros(2000, np.int64)).bounds(), Histogram(np.zeros(1500, np.int64)).bounds()
        assert np.shares_memory(one[0], other[0])
        with pytest.raises(ValueError, match="read-only"):
            one[0][0] = 1

    def test_a_large_layout_is_not_kept(self) -> None:
        low, high = Histogram(np.zeros(300_000, np.int64), digits=5).bounds()
        assert (len(low), int(high[-1])) == (300_000, layout(1, 5).high(299_999))


class TestArithmetic:
    @given(one=VALUES, other=VALUES)
    def test_subtracting_undoes_merging(self, one: list[int], other: list[int]) -> None:
        both = Histogram.of(one).merged(Histogram.of(other))
        assert same(both.subtracted(Histogram.of(other)), Histogram.of(one))

    def test_what_is_not_in_it_cannot_be_subtracted(self) -> None:
        for other in ([5, 5], [6], [10**9]):
            with pytest.raises(ValueError, match="values that this one does not hold"):
                Histogram.of([5]).subtracted(Histogram.of(other))
        with pytest.raises(ValueError, match="does not hold"):
            Histogram.empty().subtracted(Histogram.of([1]))
        assert Histogram.of([5]).subtracted(Histogram.empty()).total == 1

    def test_subtraction_at_the_coarser_resolution(self) -> None:
        left = Histogram.of([100_001, 5_000_000]).subtracted(Histogram.of([5_000_000], digits=2))
        assert same(left, Histogram.of([100_001], digits=2))

    @given(parts=st.lists(VALUES, max_size=5))
    def test_all_at_once(self, parts: list[list[int]]) -> None:
        together = merge_all(Histogram.of(part) for part in parts)
        assert same(together, Histogram.of([value for part in parts for value in part]))

    def test_merging_makes_something_new(self) -> None:
        one = Histogram.of([1, 2])
        merged = one.merged(Histogram.empty())
        assert not np.shares_memory(one.counts, merged.counts)
        assert not merged.counts.flags.writeable

    @given(values=VALUES, low=st.integers(0, TOP), high=st.integers(0, TOP))
    def test_counts_between(self, values: list[int], low: int, high: int) -> None:
        histogram, shape = Histogram.of(values), layout(1, 3)
        first, last = shape.low(shape.index(low)), shape.high(shape.index(high))
        assert histogram.count_between(low, high) == sum(first <= value <= last for value in values)

    def test_percentage_up_to_a_value(self) -> None:
        histogram = Histogram.of([10, 20, 30, 40])
        assert [histogram.percentile_of(value) for value in (-1, 9, 10, 39, LARGEST)] == [0, 0, 25, 75, 100]
        assert Histogram.empty().percentile_of(5) == 100

    def test_mean_and_deviation(self) -> None:
        histogram = Histogram.of([10, 20, 60])
        assert histogram.mean == 30
        assert histogram.stddev == pytest.approx(math.sqrt((400 + 100 + 900) / 3))
        assert (Histogram.empty().mean, Histogram.empty().stddev, Histogram.empty().minimum) == (0, 0, 0)

    def test_rescaling(self) -> None:
        histogram = Histogram.of([0, 7, 12_345], [1, 2, 3])
        in_ns = histogram.rescaled(1000.0)
        assert in_ns.total == 6
        assert in_ns.minimum == 0
        assert in_ns.percentiles((50.0, 100.0)) == (pytest.approx(7_000, rel=1e-3), pytest.approx(12_345_000, rel=1e-3))
        assert same(histogram.rescaled(1.0), histogram)


class TestCoordinatedOmission:
    @given(
        values=st.lists(st.integers(0, 3_000_000), min_size=1, max_size=12),
        interval=st.integers(3_000, 100_000),
        digits=st.integers(1, 3),
    )
    def test_as_value_by_value(self, values: list[int], interval: int, digits: int) -> None:
        raw = Histogram.of(values, digits=digits)
        expected = []
        for value in values:
            missing = raw.layout.high(raw.layout.index(value))
            expected.append(missing)
            while (missing := missing - interval) >= interval:
                expected.append(missing)
        assert same(raw.corrected(interval), Histogram.of(expected, digits=digits))

    @pytest.mark.parametrize("which", ["1", "2"])
    @pytest.mark.parametrize("interval", [1, 7, 1_000, 10_000, 33_333, 1_000_000])
    def test_what_the_java_library_makes_of_it(self, which: str, interval: int) -> None:
        """Its copyCorrectedForCoordinatedOmission: one value of 0.1 s beside 10,000 of 1 us, and 3,000 calls."""
        series = load(DATA / "hdrhistogram" / "2.2.2" / "corrected.hlog").histograms
        assert series is not None
        corrected = series.whole(f"{which}_0").corrected(interval)
        assert same(corrected, series.whole(f"{which}_{interval}"))

    @pytest.mark.parametrize("interval", [0, -5])
    def test_no_interval_corrects_nothing(self, interval: int) -> None:
        assert same(Histogram.of([9, 99]).corrected(interval), Histogram.of([9, 99]))


class TestRecorder:
    @given(batches=st.lists(VALUES, max_size=6), digits=st.integers(1, 3))
    def test_counts_are_those_of_the_reference(self, batches: list[list[int]], digits: int) -> None:
        recorder = HistogramRecorder(digits=digits)
        for batch in batches:
            recorder.record(np.array(batch, dtype=np.int64))
        values = [value for batch in batches for value in batch]
        assert same(recorder.snapshot(), of(values, digits=digits))

    def test_large_batches_and_counts(self) -> None:
        values = np.random.default_rng(1).integers(0, 5_000, 20_000)
        recorder = HistogramRecorder()
        recorder.record(values)
        recorder.record(np.array([3, 3, 10**12]), [5, 1, 2])
        expected = Histogram.of(values).merged(Histogram.of([3] * 6 + [10**12] * 2))
        assert same(recorder.take(), expected)

    def test_intervals_begin_anew(self) -> None:
        recorder = HistogramRecorder()
        recorder.record(np.array([10**12, 5]))
        first = recorder.take()
        recorder.record(np.array([7]))
        second = recorder.snapshot()
        recorder.record(np.array([8]))
        assert [h.total for h in (first, second, recorder.take(), recorder.take())] == [2, 1, 2, 0]
        assert (first.maximum, second.maximum) == (of([10**12]).maximum, 7)

    def test_a_negative_value_is_refused_whole(self) -> None:
        recorder = HistogramRecorder()
        with pytest.raises(ValueError, match="no value below 0, such as -3"):
            recorder.record(np.array([5, -3]))
        assert recorder.take().total == 0

    def test_the_largest_value(self) -> None:
        histogram = Histogram.of([LARGEST, 0])
        assert (histogram.minimum, histogram.maximum) == (0, LARGEST)


def test_from_the_buckets_in_use() -> None:
    values = [5, 300, 123_456, 123_456]
    shape = layout(1, 2)
    indices = [shape.index(value) for value in values]
    assert same(Histogram.from_indices(indices, [1] * 4), Histogram.of(values, digits=2))
    assert Histogram.from_indices([], []).total == 0
    for wrong in (-1, shape.length):
        with pytest.raises(ValueError, match=f"index {wrong} is outside"):
            Histogram.from_indices([3, wrong], [1, 1])


def test_a_window_of_a_series() -> None:
    part = Histogram.of([1])
    series = HistogramSeries(
        tags=("a", "b", "a"), start_s=(0.0, 1.0, 2.0), length_s=(1.0,) * 3, histograms=(part, part, part), unit="µs"
    )
    window = series.between(1.0, 2.0)
    assert (window.tags, window.start_s, window.unit) == (("b",), (1.0,), "µs")
    in_ns = series.in_nanoseconds()
    assert in_ns is not None
    assert in_ns.whole("a").percentiles((50.0,)) == (1000,)
    assert HistogramSeries(("",), (0.0,), (1.0,), (part,), unit="bytes").in_nanoseconds() is None
