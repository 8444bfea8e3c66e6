"""Latency histograms with the HdrHistogram layout and its percentile rule."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tailflame.model.stacks import Int64, readonly

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

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    @property
    def _layout(self) -> tuple[int, int]:
        """(unit magnitude, half-bucket magnitude) of the layout: HdrHistogram's own arithmetic."""
        unit_magnitude = math.floor(math.log2(self.lowest))
        largest_single_unit = 2 * 10**self.digits
        sub_bucket_magnitude = math.ceil(math.log2(largest_single_unit))
        return unit_magnitude, max(sub_bucket_magnitude, 1) - 1

    def bounds(self) -> tuple[Int64, Int64]:
        """(lowest, highest) equivalent value of every index."""
        unit_magnitude, half = self._layout
        index = np.arange(len(self.counts), dtype=np.int64)
        bucket = (index >> half) - 1
        sub = (index & ((1 << half) - 1)) + (1 << half)
        first = bucket < 0
        sub = np.where(first, sub - (1 << half), sub)
        shift = np.where(first, 0, bucket) + unit_magnitude
        low = sub << shift
        return low, low + (np.int64(1) << shift) - 1

    def percentiles(self, wanted: tuple[float, ...] = PERCENTILES) -> tuple[int, ...]:
        """Values at `wanted` percentiles by HdrHistogram's rule: the bucket in which
        ceil(nextDown(p) * total / 100) values (at least one) have been seen, at its highest equivalent value;
        p = 0 gives the lowest one. All 0 for an empty histogram.
        """
        total = self.total
        if not total:
            return tuple(0 for _ in wanted)
        running = np.cumsum(self.counts)
        low, high = self.bounds()
        answers = []
        for p in wanted:
            asked = math.nextafter(min(p, 100.0), -math.inf)
            rank = max(math.ceil(asked * total / 100.0), 1)
            index = int(np.searchsorted(running, rank))
            answers.append(int(low[index] if p == 0 else high[index]))
        return tuple(answers)

    @property
    def maximum(self) -> int:
        """Highest equivalent value of the highest bucket in use, 0 if empty."""
        used = np.flatnonzero(self.counts)
        return int(self.bounds()[1][used[-1]]) if len(used) else 0

    def merged(self, other: Histogram) -> Histogram:
        """The sum of both; where their resolutions differ, at the coarser of each part, which holds both exactly."""
        lowest, digits = max(self.lowest, other.lowest), min(self.digits, other.digits)
        one, two = self._at(lowest, digits), other._at(lowest, digits)
        counts = np.zeros(max(len(one), len(two)), dtype=np.int64)
        counts[: len(one)] += one
        counts[: len(two)] += two
        return Histogram(counts=readonly(counts, np.int64), lowest=lowest, digits=digits)

    def _at(self, lowest: int, digits: int) -> Int64:
        """The counts in a layout no finer than this one: each of its buckets holds whole ones of these."""
        used = np.flatnonzero(self.counts)
        if (lowest, digits) == (self.lowest, self.digits) or not len(used):
            return self.counts
        unit_magnitude, half = Histogram(self.counts, lowest, digits)._layout
        places = []
        for value in self.bounds()[0][used].tolist():
            bucket = max(value.bit_length() - (half + 1) - unit_magnitude, 0)
            places.append((bucket << half) + (value >> (bucket + unit_magnitude)))
        counts = np.zeros(max(places) + 1, dtype=np.int64)
        np.add.at(counts, places, self.counts[used])
        return counts


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
        merged = parts[0]
        for part in parts[1:]:
            merged = merged.merged(part)
        return merged

    def distinct_tags(self) -> tuple[str, ...]:
        """In order of first appearance; "" is an untagged interval."""
        return tuple(dict.fromkeys(self.tags))
