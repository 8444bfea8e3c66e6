"""Latencies over time in bounded memory: every value that was fed counts in every answer, old ones at coarser times.

Counts are merged, never percentiles. What the screen asks thirty times a second costs no more than the rows that are
new since it asked last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np

from tailflame.analyse.slots import Column, Merge, Slots, in_range
from tailflame.model.buckets import Layout, layout
from tailflame.model.histogram import PERCENTILES, Histogram
from tailflame.model.live import LatencySlice
from tailflame.model.stacks import Bool, Float64, Int64, readonly

CAPACITY = 4096
"""Intervals kept apart: seven minutes at ten a second, and an hour at one a second."""
MOST_BUCKETS = 1 << 20
"""Buckets in use in all intervals together: some 6 MB."""
PER_OCTAVE = 4
"""Rows of the heat map for each doubling of the value."""
_OCTAVES = 42
"""Up to 2**42 ns, which is more than an hour; what is above counts in the highest row."""
HEAT_BINS = PER_OCTAVE * _OCTAVES
ROLLING_S = 10.0
_COUNT = len(PERCENTILES)
_ASKED = np.array([math.nextafter(p, -math.inf) for p in PERCENTILES])
NEEDED = tuple(max(math.ceil(round(100.0 / (100.0 - p), 6)), 1) for p in PERCENTILES)
"""Values of which one lies beyond the percentile: with fewer it is the maximum under another name. p99.99: 10,000."""


class Span(StrEnum):
    """Of which values the percentiles at a time are."""

    INTERVAL = "interval"
    ROLLING = "rolling"
    CUMULATIVE = "cumulative"


@dataclass(frozen=True, slots=True, eq=False)
class LatencyColumns:
    """One row per slot, in order. values: float64[rows, percentiles], NaN where there was no call; `count` is the
    number of values that they are of.
    """

    start_s: Float64
    end_s: Float64
    count: Int64
    values: Float64
    maximum: Float64

    def __len__(self) -> int:
        return len(self.start_s)

    @property
    def reliable(self) -> Bool:
        """bool[rows, percentiles]: enough values for at least one beyond the percentile."""
        enough: Bool = self.count[:, None] >= np.asarray(NEEDED)
        return enough


@dataclass(frozen=True, slots=True)
class SloResult:
    """Of all intervals with a call ever fed: how many stayed below the limit."""

    limit: float
    percentile: float
    kept: int
    intervals: int

    @property
    def share(self) -> float | None:
        return self.kept / self.intervals if self.intervals else None


@dataclass(frozen=True, slots=True)
class _Sparse:
    """The buckets of one slot that hold something."""

    indices: Int64
    counts: Int64


class LatencyTimeline:
    """Interval histograms of one series. `unit` is that of the values, "ns" wherever a live source tells them."""

    def __init__(
        self, series: str, *, unit: str = "ns", capacity: int = CAPACITY, most_buckets: int = MOST_BUCKETS
    ) -> None:
        self.series, self.unit = series, unit
        self.version = 0
        self.intervals = 0
        """Ever fed, those without a call included."""
        self.with_calls = 0
        self.total = 0
        """Values ever fed."""
        self._most_buckets = most_buckets
        self._slots = Slots(
            capacity,
            count=Column(Merge.SUM, dtype=np.int64),
            maximum=Column(Merge.MOST),
            values=Column(Merge.LAST, _COUNT),  # merged slots compute theirs anew
            rolling=Column(Merge.LAST, _COUNT),
            rolling_count=Column(Merge.LAST, dtype=np.int64),
            cumulative=Column(Merge.LAST, _COUNT),
            cumulative_count=Column(Merge.LAST, dtype=np.int64),
            heat=Column(Merge.SUM, HEAT_BINS, np.float32),
        )
        self._sparse: list[_Sparse] = []
        self._buckets = 0
        self._shape: Layout | None = None
        self._lowest, self._digits = 1, 3
        self._whole = np.zeros(0, dtype=np.int64)
        self._told = np.zeros((_COUNT, 0), dtype=np.int64)
        """Intervals by the bucket that their percentile lay in: what an SLO needs, whatever its limit."""
        self._high = np.zeros(0, dtype=np.int64)
        self._bin = np.zeros(0, dtype=np.int64)
        self._running = {Span.ROLLING: _Running(ROLLING_S), Span.CUMULATIVE: _Running(math.inf)}

    # Feeding

    def take(self, update: LatencySlice) -> None:
        self.add(update.start_s, update.length_s, update.histogram)

    def add(self, start_s: float, length_s: float, histogram: Histogram) -> None:
        """One interval. Histograms of a coarser layout make all coarser, those of a finer one are made coarser."""
        if self._shape is None:
            self._set_layout(histogram.lowest, histogram.digits)
        elif (histogram.lowest, histogram.digits) != (self._lowest, self._digits):
            histogram = self._fitted(histogram)
        sparse = _sparse(histogram)
        while self._slots.full or (self._buckets + len(sparse.indices) > self._most_buckets and len(self._slots) > 8):
            self._make_room()
        if len(sparse.indices):
            self._reach(int(sparse.indices[-1]) + 1)
        count = int(sparse.counts.sum())
        values, places = self._percentiles(sparse, count)
        at = self._slots.add(
            start_s=start_s,
            length_s=length_s,
            count=count,
            maximum=float(self._high[sparse.indices[-1]]) if count else math.nan,
            values=values,
            rolling=math.nan,
            rolling_count=0,
            cumulative=math.nan,
            cumulative_count=0,
            heat=np.bincount(self._bin[sparse.indices], weights=sparse.counts, minlength=HEAT_BINS),
        )
        self._sparse.insert(at, sparse)
        if at + 1 < len(self._slots):
            for running in self._running.values():
                if at < running.done:
                    running.restart()
        self._buckets += len(sparse.indices)
        self._whole[sparse.indices] += sparse.counts
        self.intervals += 1
        self.total += count
        if count:
            self.with_calls += 1
            self._told[np.arange(_COUNT), places] += 1
        self.version += 1

    # Asking

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def digits(self) -> int:
        return self._digits

    @property
    def first_s(self) -> float | None:
        return float(self._slots["start_s"][0]) if len(self._slots) else None

    @property
    def last_s(self) -> float | None:
        """When the latest interval ended."""
        return float(self._slots["end_s"].max()) if len(self._slots) else None

    @property
    def rolling_s(self) -> float:
        return self._running[Span.ROLLING].seconds

    def set_rolling(self, seconds: float) -> None:
        """How long the rolling window is. What it told is worked out again, see `catch_up`."""
        if seconds != self.rolling_s:
            self._running[Span.ROLLING] = _Running(seconds)
            self._slots["rolling"][:] = math.nan
            self.version += 1

    def catch_up(self, span: Span, *, most: int | None = None) -> bool:
        """Works out percentiles of `span` for slots that have none yet, `most` of them. True where all are done."""
        if span is Span.INTERVAL:
            return True
        running, slots = self._running[span], len(self._slots)
        last = slots if most is None else min(running.done + most, slots)
        values, counts, ends = self._slots[span], self._slots[f"{span}_count"], self._slots["end_s"]
        while running.done < last:
            at = running.done
            running.add(self._sparse[at], len(self._whole))
            while running.oldest < at and ends[running.oldest] <= ends[at] - running.seconds:
                running.subtract(self._sparse[running.oldest])
            values[at] = self._dense_percentiles(running.counts, running.total)
            counts[at] = running.total
            running.done += 1
        return running.done == slots

    def columns(self, span: Span = Span.INTERVAL, *, most: int | None = None) -> LatencyColumns:
        """What is drawn. Of rolling and cumulative ones at most `most` slots are worked out now; others are NaN."""
        self.catch_up(span, most=most)
        name = "values" if span is Span.INTERVAL else str(span)
        return LatencyColumns(
            start_s=self._slots["start_s"],
            end_s=self._slots["end_s"],
            count=self._slots["count" if span is Span.INTERVAL else f"{span}_count"],
            values=self._slots[name],
            maximum=self._slots["maximum"],
        )

    @property
    def whole(self) -> Histogram:
        """Everything ever fed."""
        return self._histogram(self._whole)

    def window(self, start_s: float, end_s: float) -> Histogram:
        """The values of the slots of which more than half lies in [start_s, end_s)."""
        return self._histogram(self._sum(in_range(self._slots["start_s"], self._slots["end_s"], start_s, end_s)))

    def stretches(self, most: int = 100) -> tuple[Histogram, ...]:
        """The whole in at most `most` parts of about equal time, in order: what a block bootstrap draws from."""
        if not len(self._slots):
            return ()
        ends = np.cumsum(self._slots["seconds"])
        place = np.minimum((ends / max(float(ends[-1]), 1e-9) * most - 1e-9).astype(np.int64), most - 1)
        begins = np.flatnonzero(np.diff(place, prepend=-1))
        bounds = [*begins.tolist(), len(place)]
        return tuple(self._histogram(self._sum(slice(a, b))) for a, b in pairwise(bounds))

    def latest(self, seconds: float, *, ago_s: float = 0.0) -> tuple[Histogram, float]:
        """The values of the last `seconds`, up to `ago_s` before the latest, and how many seconds were watched."""
        last = self.last_s
        if last is None:
            return self._histogram(np.zeros(0, dtype=np.int64)), 0.0
        end = last - ago_s + (1e-9 if ago_s else 1.0)
        rows = in_range(self._slots["start_s"], self._slots["end_s"], last - ago_s - seconds, end)
        return self._histogram(self._sum(rows)), float(self._slots["seconds"][rows].sum())

    def slo(self, limit: float, percentile: float) -> SloResult:
        """An interval broke it where the percentile (one of PERCENTILES) reached the limit."""
        which = PERCENTILES.index(percentile)
        below = int(np.searchsorted(self._high[: self._told.shape[1]], limit, side="left"))
        kept = int(self._told[which, :below].sum())
        return SloResult(limit=limit, percentile=percentile, kept=kept, intervals=self.with_calls)

    def heat(self, edges_s: Float64) -> tuple[Float64, Bool]:
        """(values by log bin and column, which columns were watched) between ascending edges: float64[bins, columns].

        Bin b holds values from 2**(b / PER_OCTAVE) on. A slot that spans several columns is spread evenly.
        """
        start, end = self._slots["start_s"], self._slots["end_s"]
        rows = slice(
            max(int(np.searchsorted(end, edges_s[0], "left")) - 1, 0), int(np.searchsorted(start, edges_s[-1], "right"))
        )
        start, end = start[rows], end[rows]
        if not len(start):
            return np.zeros((HEAT_BINS, len(edges_s) - 1)), np.zeros(len(edges_s) - 1, dtype=np.bool_)
        # The running sum at every edge, straight between the ends of a slot, be it finer or coarser than columns.
        places = np.maximum.accumulate(np.stack((start, np.maximum(end, start + 1e-9)), axis=1).reshape(-1))
        after = np.cumsum(self._slots["heat"][rows], axis=0, dtype=np.float64)
        before = np.vstack((np.zeros(HEAT_BINS), after[:-1]))
        at = np.clip(np.searchsorted(places, edges_s, "right") - 1, 0, len(places) - 1)
        slot, inside = at // 2, (at % 2 == 0) & (edges_s >= places[0])
        length = places[slot * 2 + 1] - places[slot * 2]
        share = np.where(inside, (edges_s - places[slot * 2]) / np.where(length > 0, length, 1.0), at % 2)
        share = np.clip(np.where(edges_s < places[0], 0.0, share), 0.0, 1.0)[:, None]
        sums = before[slot] * (1 - share) + after[slot] * share
        watched = np.cumsum(end - start)
        seen = (np.concatenate(([0.0], watched[:-1])))[slot] * (1 - share[:, 0]) + watched[slot] * share[:, 0]
        cells = np.maximum(np.diff(sums, axis=0).T, 0.0)
        if self._shape is not None and self._shape.half == 0:
            # One bucket a doubling: its calls are anywhere in it, and not in one of its quarters.
            octaves = cells.reshape(_OCTAVES, PER_OCTAVE, -1).sum(axis=1)
            cells = np.repeat(octaves / PER_OCTAVE, PER_OCTAVE, axis=0)
        return cells, np.diff(seen) > 0

    # Inside

    def _set_layout(self, lowest: int, digits: int) -> None:
        self._lowest, self._digits = lowest, digits
        self._shape = layout(lowest, digits)

    def _fitted(self, histogram: Histogram) -> Histogram:
        """`histogram` in our layout, after ours has become as coarse as it has to be."""
        lowest, digits = max(self._lowest, histogram.lowest), min(self._digits, histogram.digits)
        empty = Histogram(counts=np.zeros(0, dtype=np.int64), lowest=lowest, digits=digits)
        if (lowest, digits) != (self._lowest, self._digits):
            coarser = [_sparse(self._histogram(_dense(s)).merged(empty)) for s in self._sparse]
            told = [self._histogram(row).merged(empty).counts for row in self._told]
            whole = self.whole.merged(empty).counts
            self._set_layout(lowest, digits)
            self._sparse = coarser
            self._buckets = sum(len(s.indices) for s in coarser)
            self._whole, self._told = np.zeros(0, dtype=np.int64), np.zeros((_COUNT, 0), dtype=np.int64)
            self._high, self._bin = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
            self._reach(max((len(whole), *(len(row) for row in told))))
            self._whole[: len(whole)] = whole
            for row, counts in zip(self._told, told, strict=True):
                row[: len(counts)] = counts
            for at, sparse in enumerate(coarser):
                self._slots["values"][at] = self._percentiles(sparse, int(sparse.counts.sum()))[0]
            for running in self._running.values():
                running.restart()
        return histogram.merged(empty)

    def _reach(self, length: int) -> None:
        """Every array over buckets holds `length` of them."""
        if length <= len(self._whole):
            return
        assert self._shape is not None
        length = max(length, 2 * len(self._whole))
        low, high = self._shape.bounds(length)
        self._high = high
        middle = low.astype(np.float64) + (high - low) / 2
        # Halves of a bucket count: 0 is in the lowest row, with 1.
        self._bin = np.clip(PER_OCTAVE * np.log2(np.maximum(middle, 1.0)), 0, HEAT_BINS - 1).astype(np.int64)
        self._whole = _longer(self._whole, length)
        self._told = np.stack([_longer(row, length) for row in self._told])

    def _make_room(self) -> None:
        firsts = self._slots.make_room()
        for at in firsts.tolist():
            one, two = self._sparse[at], self._sparse[at + 1]
            merged = _merged(one, two)
            self._buckets += len(merged.indices) - len(one.indices) - len(two.indices)
            self._sparse[at] = merged
        drop = set((firsts + 1).tolist())
        self._sparse = [sparse for at, sparse in enumerate(self._sparse) if at not in drop]
        values = self._slots["values"]
        for at in (firsts - np.arange(len(firsts))).tolist():
            sparse = self._sparse[at]
            values[at] = self._percentiles(sparse, int(sparse.counts.sum()))[0]
        for running in self._running.values():
            running.moved(firsts)

    def _percentiles(self, sparse: _Sparse, count: int) -> tuple[Any, Int64]:
        """(values, buckets) of PERCENTILES."""
        if not count:
            return math.nan, np.zeros(_COUNT, dtype=np.int64)
        places = sparse.indices[np.searchsorted(np.cumsum(sparse.counts), _ranks(count))].astype(np.int64)
        return self._high[places], places

    def _dense_percentiles(self, counts: Int64, total: int) -> Any:
        if not total:
            return math.nan
        return self._high[np.searchsorted(np.cumsum(counts), _ranks(total))]

    def _sum(self, rows: slice) -> Int64:
        parts = self._sparse[rows]
        if not parts or not len(self._whole):
            return np.zeros(0, dtype=np.int64)
        indices = np.concatenate([p.indices for p in parts])
        weights = np.concatenate([p.counts for p in parts])
        # Through float64: exact below 2**53 calls.
        return np.bincount(indices, weights=weights, minlength=len(self._whole)).astype(np.int64)

    def _histogram(self, counts: Int64) -> Histogram:
        return Histogram(counts=readonly(counts, np.int64), lowest=self._lowest, digits=self._digits)


class _Running:
    """The sum of the slots of the last `seconds` before a slot's end."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.restart()

    def restart(self) -> None:
        self.counts = np.zeros(0, dtype=np.int64)
        self.total = self.done = self.oldest = 0
        """done: slots that were worked out. oldest: the first slot that is in the sum."""

    def add(self, sparse: _Sparse, length: int) -> None:
        if len(self.counts) < length:
            self.counts = _longer(self.counts, length)
        self.counts[sparse.indices] += sparse.counts
        self.total += int(sparse.counts.sum())

    def subtract(self, sparse: _Sparse) -> None:
        self.counts[sparse.indices] -= sparse.counts
        self.total -= int(sparse.counts.sum())
        self.oldest += 1

    def moved(self, firsts: Int64) -> None:
        """Slots were merged: the sum holds as long as none of a pair is in it and the other not."""
        seconds = firsts + 1
        if np.any(firsts + 1 == self.oldest) or np.any(firsts + 1 == self.done):
            self.restart()
            return
        self.oldest -= int((seconds < self.oldest).sum())
        self.done -= int((seconds < self.done).sum())


def _ranks(total: int) -> Float64:
    ranks: Float64 = np.maximum(np.ceil(_ASKED * total / 100.0), 1.0)
    return ranks


def _sparse(histogram: Histogram) -> _Sparse:
    indices = np.flatnonzero(histogram.counts)
    return _compact(indices, histogram.counts[indices])


def _compact(indices: Int64, counts: Int64) -> _Sparse:
    most = int(counts.max()) if len(counts) else 0
    # As narrow as they can be: this is what grows with the number of slots.
    narrow = next((kind for kind in (np.uint8, np.uint16, np.uint32) if most <= np.iinfo(kind).max), np.int64)
    return _Sparse(indices.astype(np.int32), counts.astype(narrow))


def _merged(one: _Sparse, two: _Sparse) -> _Sparse:
    indices, place = np.unique(np.concatenate((one.indices, two.indices)), return_inverse=True)
    counts = np.zeros(len(indices), dtype=np.int64)
    np.add.at(counts, place, np.concatenate((one.counts.astype(np.int64), two.counts.astype(np.int64))))
    return _compact(indices, counts)


def _dense(sparse: _Sparse) -> Int64:
    counts = np.zeros(int(sparse.indices[-1]) + 1 if len(sparse.indices) else 0, dtype=np.int64)
    counts[sparse.indices] = sparse.counts
    return counts


def _longer(values: Int64, length: int) -> Int64:
    made = np.zeros(length, dtype=np.int64)
    made[: len(values)] = values
    return made
