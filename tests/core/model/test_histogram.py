"""Histograms in HdrHistogram's layout: its bounds, its percentile rule, exact merging."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from tailflame.model import Histogram, HistogramSeries
from tailflame.model.histogram import PERCENTILES
from tailflame.model.stacks import readonly

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
