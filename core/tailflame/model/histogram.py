"""Latency histograms with the HdrHistogram layout and its rules for percentiles, mean and coordinated omission."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tailflame.model.buckets import TOP, Layout, layout
from tailflame.model.stacks import Int64, readonly

IN_NS = {"ns": 1.0, "µs": 1e3, "ms": 1e6, "s": 1e9}
"""The units of time that a HistogramSeries may have, in ns."""

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9, 99.99)
"""The ones every table shows, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Counts in the HdrHistogram bucket layout for (`lowest`, `digits`), values in its producer's unit.

    counts: int64, one entry per bucket; `bounds` says what each covers. Counts are merged, never percentiles.
    """

    counts: Int64
    lowest: int = 1
    digits: int = 3

    @classmethod
    def empty(cls, lowest: int = 1, digits: int = 3) -> Histogram:
        """Without any value."""
        return cls(counts=_EMPTY, lowest=lowest, digits=digits)

    @classmethod
    def of(
        cls, values: npt.ArrayLike, counts: npt.ArrayLike | None = None, *, lowest: int = 1, digits: int = 3
    ) -> Histogram:
        """Of whole values of 0 or more, each once or as often as `counts` says. ValueError for a negative one."""
        recorder = HistogramRecorder(lowest=lowest, digits=digits)
        recorder.record(np.asarray(values, dtype=np.int64), counts)
        return recorder.take()

    @classmethod
    def from_indices(cls, indices: npt.ArrayLike, counts: npt.ArrayLike, lowest: int = 1, digits: int = 2) -> Histogram:
        """From the buckets in use and their counts, in any order. ValueError where the layout has no such index."""
        at = np.asarray(indices, dtype=np.int64)
        shape = layout(lowest, digits)
        if not at.size:
            return cls.empty(lowest, digits)
        top = int(at.max())
        if at.min() < 0 or top >= shape.length:
            raise ValueError(f"index {top if at.min() >= 0 else int(at.min())} is outside of the histogram's layout")
        array = np.zeros(top + 1, dtype=np.int64)
        np.add.at(array, at, np.asarray(counts, dtype=np.int64))
        return cls(counts=_frozen(array), lowest=lowest, digits=digits)

    @property
    def layout(self) -> Layout:
        return layout(self.lowest, self.digits)

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def bounds(self) -> tuple[Int64, Int64]:
        """(lowest, highest) equivalent value of every index; both read-only."""
        return self.layout.bounds(len(self.counts))

    def percentiles(self, wanted: tuple[float, ...] = PERCENTILES) -> tuple[int, ...]:
        """Values at `wanted` percentiles by HdrHistogram's rule: the bucket in which
        ceil(nextDown(p) * total / 100) values (at least one) have been seen, at its highest equivalent value;
        p = 0 gives the lowest one. All 0 for an empty histogram.
        """
        running = self.counts.cumsum()
        total = int(running[-1]) if len(running) else 0
        if not total:
            return tuple(0 for _ in wanted)
        ranks = []
        for p in wanted:
            asked = min(max(math.nextafter(p, -math.inf), 0.0), 100.0)
            ranks.append(min(max(math.ceil(asked * total / 100.0), 1), total))
        shape = self.layout
        places = running.searchsorted(ranks).tolist()
        return tuple(shape.low(place) if p == 0 else shape.high(place) for p, place in zip(wanted, places, strict=True))

    @property
    def minimum(self) -> int:
        """Lowest equivalent value of the lowest bucket in use, 0 if empty."""
        used = self.counts.astype(bool)
        return self.layout.low(int(used.argmax())) if used.any() else 0

    @property
    def maximum(self) -> int:
        """Highest equivalent value of the highest bucket in use, 0 if empty."""
        top = _top(self.counts)
        return self.layout.high(top) if top >= 0 else 0

    @property
    def mean(self) -> float:
        """As HdrHistogram has it: every value counts as the middle of its bucket. 0 if empty."""
        _, middle, counts = self._middles()
        return _in_order(middle * counts) / self.total if len(counts) else 0.0

    @property
    def stddev(self) -> float:
        """Standard deviation (of the values themselves, not of a sample's), every value as its bucket's middle."""
        _, middle, counts = self._middles()
        if not len(counts):
            return 0.0
        deviation = middle - self.mean
        return math.sqrt(_in_order(deviation * deviation * counts) / self.total)

    def count_between(self, low: int, high: int) -> int:
        """How many values are in the buckets from that of `low` to that of `high`, both included whole."""
        shape = self.layout
        return int(self.counts[shape.index(max(low, 0)) : shape.index(min(high, TOP)) + 1].sum()) if high >= 0 else 0

    def percentile_of(self, value: int) -> float:
        """The percentage of values up to the bucket of `value`, 0 to 100; 100 for an empty histogram, as in Java."""
        total = self.total
        return 100.0 * self.count_between(0, value) / total if total else 100.0

    def corrected(self, expected_interval: int) -> Histogram:
        """With the values that a caller who waits misses: for each value v, also v - interval, v - 2 * interval, and
        so on while at least the interval (HdrHistogram's copyCorrectedForCoordinatedOmission). An interval of 0 or
        less corrects nothing.
        """
        if expected_interval <= 0:
            return self
        shape = self.layout
        counts = self.counts.copy()
        used = np.flatnonzero(counts)
        for index, count in zip(used.tolist(), counts[used].tolist(), strict=True):
            value = shape.high(index)
            missing = value // expected_interval - 1
            if missing <= 0:
                continue
            first = shape.index(value - missing * expected_interval)
            if missing <= index - first + 1:
                lost = value - expected_interval * np.arange(1, missing + 1, dtype=np.int64)
                np.add.at(counts, shape.indices(lost), count)
            else:  # count them bucket by bucket: value - k * interval >= x for floor((value - x) / interval) of k
                low = np.maximum(shape.lows(np.arange(first, index + 1, dtype=np.int64)), expected_interval)
                reached = np.append((value - low) // expected_interval, 0)
                counts[first : index + 1] += count * (reached[:-1] - reached[1:])
        return Histogram(counts=_frozen(counts), lowest=self.lowest, digits=self.digits)

    def merged(self, other: Histogram) -> Histogram:
        """The sum of both; where their resolutions differ, at the coarser of each part, which holds both exactly."""
        return merge_all((self, other))

    def subtracted(self, other: Histogram) -> Histogram:
        """What this has and `other`, an earlier state of it, had not; at the coarser resolution of both.

        ValueError where `other` has a value that this one lacks.
        """
        lowest, digits = max(self.lowest, other.lowest), min(self.digits, other.digits)
        counts, less = self.at(lowest, digits).counts.copy(), other.at(lowest, digits).counts
        top = _top(less) + 1
        if top <= len(counts):
            counts[:top] -= less[:top]
            if not len(counts) or counts.min() >= 0:
                return Histogram(counts=_frozen(counts), lowest=lowest, digits=digits)
        raise ValueError("the histogram to subtract holds values that this one does not hold")

    def at(self, lowest: int, digits: int) -> Histogram:
        """The same values in a layout no finer than this one: each of its buckets holds whole ones of these."""
        shape = layout(lowest, digits)
        if shape == self.layout:
            return Histogram(counts=self.counts, lowest=lowest, digits=digits)
        used = np.flatnonzero(self.counts)
        if not len(used):
            return Histogram.empty(lowest, digits)
        places = shape.indices(self.layout.lows(used))
        counts = np.zeros(int(places[-1]) + 1, dtype=np.int64)
        np.add.at(counts, places, self.counts[used])
        return Histogram(counts=_frozen(counts), lowest=lowest, digits=digits)

    def rescaled(self, factor: float) -> Histogram:
        """The values times `factor`, for another unit: each as the middle of its bucket, so right to the digits."""
        used, _, counts = self._middles()
        shape = self.layout
        # The middle of the values that a bucket stands for: a bucket of one value is that value.
        middle = np.where(used > 0, shape.lows(used) + (shape.widths(used) - 1) / 2, 0.0)
        values = np.minimum(np.rint(middle * factor), TOP // 2).astype(np.int64)
        return Histogram.of(values, counts, digits=self.digits)

    def _middles(self) -> tuple[Int64, npt.NDArray[np.float64], Int64]:
        """(index, middle of the bucket, count) of the buckets in use."""
        used = np.flatnonzero(self.counts)
        shape = self.layout
        middle = (shape.lows(used) + (shape.widths(used) >> 1)).astype(np.float64)
        return used, middle, self.counts[used]


def merge_all(histograms: Iterable[Histogram]) -> Histogram:
    """The sum of all, at the coarsest resolution among them; an empty histogram of none."""
    parts = tuple(histograms)
    if not parts:
        return Histogram.empty()
    lowest, digits = max(part.lowest for part in parts), min(part.digits for part in parts)
    columns = [
        part.counts if part.lowest == lowest and part.digits == digits else part.at(lowest, digits).counts
        for part in parts
    ]
    counts = np.zeros(max(map(len, columns)), dtype=np.int64)
    for column in columns:
        counts[: len(column)] += column
    return Histogram(counts=_frozen(counts), lowest=lowest, digits=digits)


class HistogramRecorder:
    """Counts values as they come, in a counts array that grows with them. For one thread.

    >>> recorder = HistogramRecorder()
    >>> recorder.record(np.array([120, 90, 4_000]))
    >>> recorder.take().total
    3
    """

    def __init__(self, *, lowest: int = 1, digits: int = 3) -> None:
        self.lowest, self.digits = lowest, digits
        self._layout = layout(lowest, digits)
        self._counts = np.zeros(2 << self._layout.half, dtype=np.int64)
        self._used = 0
        """Length of the part of `_counts` that may hold other counts than 0."""

    def record(self, values: Int64, counts: npt.ArrayLike | None = None) -> None:
        """Adds an int64 array of values of 0 or more, each once or as often as `counts` says; fastest in batches.

        ValueError, and nothing added, for a negative value.
        """
        if not len(values):
            return
        if values.min() < 0:
            raise ValueError(f"a histogram holds no value below 0, such as {int(values.min())}")
        indices = self._layout.indices(values)
        end = int(indices.max()) + 1
        if end > len(self._counts):
            self._grow(end)
        if counts is not None:
            np.add.at(self._counts, indices, np.asarray(counts, dtype=np.int64))
        elif len(values) * 2 > end:
            self._counts[:end] += np.bincount(indices, minlength=end)
        else:
            np.add.at(self._counts, indices, 1)
        self._used = max(self._used, end)

    def snapshot(self) -> Histogram:
        """What has been recorded since the last `take`."""
        counts = self._counts[: self._used].copy()
        return Histogram(counts=_frozen(counts), lowest=self.lowest, digits=self.digits)

    def take(self) -> Histogram:
        """What has been recorded since the last `take`, and begins anew: the interval's histogram."""
        taken = self.snapshot()
        self._counts[: self._used] = 0
        self._used = 0
        return taken

    def _grow(self, end: int) -> None:
        half = self._layout.half
        grown = np.zeros((((end - 1) >> half) + 1) << half, dtype=np.int64)
        grown[: self._used] = self._counts[: self._used]
        self._counts = grown


@dataclass(frozen=True, slots=True, eq=False)
class HistogramSeries:
    """Interval histograms by tag. Per interval: tag, start (s, the log's clock), length (s)."""

    tags: tuple[str, ...]
    start_s: tuple[float, ...]
    length_s: tuple[float, ...]
    histograms: tuple[Histogram, ...]
    unit: str = "ns"

    def whole(self, tag: str) -> Histogram:
        """Every interval of `tag` merged. KeyError where there is none."""
        parts = [h for t, h in zip(self.tags, self.histograms, strict=True) if t == tag]
        if not parts:
            raise KeyError(tag)
        return merge_all(parts)

    def distinct_tags(self) -> tuple[str, ...]:
        """In order of first appearance; "" is an untagged interval."""
        return tuple(dict.fromkeys(self.tags))

    def in_nanoseconds(self) -> HistogramSeries | None:
        """The same in ns, right to the digits of its layouts; itself where it is. None where its unit is no time."""
        if self.unit == "ns":
            return self
        factor = IN_NS.get(self.unit)
        if factor is None:
            return None
        return replace(self, histograms=tuple(h.rescaled(factor) for h in self.histograms), unit="ns")

    def between(self, start_s: float, end_s: float) -> HistogramSeries:
        """The intervals that start at `start_s` or later and before `end_s`, by the log's clock."""
        kept = [at for at, start in enumerate(self.start_s) if start_s <= start < end_s]
        return HistogramSeries(
            tags=tuple(self.tags[at] for at in kept),
            start_s=tuple(self.start_s[at] for at in kept),
            length_s=tuple(self.length_s[at] for at in kept),
            histograms=tuple(self.histograms[at] for at in kept),
            unit=self.unit,
        )


_EMPTY = readonly([], np.int64)


def _frozen(counts: Int64) -> Int64:
    """`counts`, which nobody else has, as read-only: without the copy that `readonly` may make."""
    counts.flags.writeable = False
    return counts


def _top(counts: Int64) -> int:
    """The highest index in use, -1 for none."""
    if len(counts) and counts[-1]:
        return len(counts) - 1
    used = np.flatnonzero(counts)
    return int(used[-1]) if len(used) else -1


def _in_order(terms: npt.NDArray[np.float64]) -> float:
    """The sum from first to last, as Java has it: numpy's own order would give other last digits."""
    return float(terms.cumsum()[-1])
