"""Did a percentile change? Two histograms of latencies, and whether their difference is more than chance.

Calls in a row are not independent: a pause delays all that come into it. So whole stretches of time are drawn again
(block bootstrap), where the histograms of the intervals are given; without them, single values are drawn, which takes
every call for independent and makes the interval too narrow for a program that stalls. The intervals hold for all
percentiles together: a pair of equal runs has any of them marked in one case of twenty.

What no resampling shows is what differs between two runs and never within one: addresses, the machine's state. Record
both sides more than once before you believe in a change of a per cent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np

from tailflame.model import Histogram, merge_all
from tailflame.model.histogram import PERCENTILES
from tailflame.model.stacks import Float64, Int64

LEVEL = 0.95
"""Of all intervals together."""
ABOVE = 10
"""Fewest values beyond a percentile, on either side, with which it is compared: p99 needs 1,000 values, p99.9 10,000
and p99.99 100,000. The few largest values of a run are no sample of what comes next."""
BLOCKS = 20
"""Most stretches of time that the intervals are gathered into: long ones, as slow moments come in rows."""
MOMENTS = 5
"""Fewest stretches of time, as many as would count alike, that the values beyond a percentile come from (half of all
where they are few): what a single stall has made says nothing of how often there is one."""
FEWEST_BLOCKS = 5
"""With fewer, nothing can be told of how much time matters: single values are drawn instead."""
RESAMPLES = 10_000
_SEED = 20231114
_EDGES = 100
"""Most places in which a resampled percentile is looked for; it lies anywhere between them."""
_REACH = 8.0
"""Standard errors of the rank within which a resampled percentile is looked for."""


@dataclass(frozen=True, slots=True)
class PercentileChange:
    """One percentile on both sides, in the histograms' unit (ns).

    above_before, above_after: how many values lie beyond it. low, high: the interval of `change`; low_ratio and
    high_ratio that of `ratio`. All four are nan where the percentile is not reliable, `different` is False then, and
    `doubt` says why: "only 7 values before beyond it".
    """

    percentile: float
    before: int
    after: int
    above_before: int
    above_after: int
    low: float
    high: float
    low_ratio: float
    high_ratio: float
    different: bool
    doubt: str = ""

    @property
    def reliable(self) -> bool:
        return not self.doubt

    @property
    def change(self) -> int:
        return self.after - self.before

    @property
    def ratio(self) -> float:
        """After over before; 1 where both are 0, inf where only the one before is."""
        if not self.before:
            return math.inf if self.after else 1.0
        return self.after / self.before


@dataclass(frozen=True, slots=True)
class LatencyDiff:
    """rows: by percentile, in the order asked. blocks_before, blocks_after: stretches of time drawn again; 0 where
    single values were drawn, which takes calls for independent."""

    rows: tuple[PercentileChange, ...]
    total_before: int
    total_after: int
    blocks_before: int
    blocks_after: int
    level: float = LEVEL

    @property
    def different(self) -> tuple[PercentileChange, ...]:
        return tuple(row for row in self.rows if row.different)

    @property
    def by_time(self) -> bool:
        """Whether stretches of time were drawn on both sides."""
        return bool(self.blocks_before and self.blocks_after)


def compare_latencies(
    before: Histogram,
    after: Histogram,
    percentiles: tuple[float, ...] = PERCENTILES,
    *,
    before_parts: Sequence[Histogram] | None = None,
    after_parts: Sequence[Histogram] | None = None,
    resamples: int = RESAMPLES,
    seed: int = _SEED,
) -> LatencyDiff:
    """Compares two histograms of the same unit, percentile by percentile; the same answer each time.

    before_parts, after_parts: the intervals, in order, that the histograms are the sums of; ValueError where they are
    not. A percentile is reliable where both sides have at least ABOVE values beyond it, from at least MOMENTS, and
    different where the interval of its change, at LEVEL for all reliable ones together, has no 0 in it, and the change
    is more than the width of a bucket. Takes a fraction of a second: not for the thread of a window.
    """
    sides = (_Side.of(before, before_parts), _Side.of(after, after_parts))
    values = tuple(side.histogram.percentiles(percentiles) for side in sides)
    doubts = [sides[0].doubt(p, "before") or sides[1].doubt(p, "after") for p in percentiles]
    tail = (1.0 - LEVEL) / 2 / max(doubts.count(""), 1)
    random = np.random.default_rng(seed)
    draws = [side.draws(resamples, random) for side in sides]
    rows = []
    for p, doubt, one, other in zip(percentiles, doubts, *values, strict=True):
        low = high = low_ratio = high_ratio = math.nan
        if not doubt:
            first, second = (
                side.resampled(p, resamples, drawn, random) for side, drawn in zip(sides, draws, strict=True)
            )
            cut = _cut(tail, max(side.understated(p, tail) for side in sides))
            low, high = _interval(second - first, cut)
            low_ratio, high_ratio = _interval(second / np.maximum(first, 0.5), cut)
        apart = max(sides[0].width(one), sides[1].width(other))
        rows.append(
            PercentileChange(
                percentile=p,
                before=one,
                after=other,
                above_before=sides[0].above(p),
                above_after=sides[1].above(p),
                low=low,
                high=high,
                low_ratio=low_ratio,
                high_ratio=high_ratio,
                different=not doubt and not low <= 0 <= high and abs(other - one) > apart,
                doubt=doubt,
            )
        )
    return LatencyDiff(tuple(rows), sides[0].total, sides[1].total, sides[0].blocks, sides[1].blocks)


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """values, ends: where each bucket in use begins and ends; running: values up to its end.
    block_running: the same per stretch of time, a row each; empty where single values are drawn."""

    histogram: Histogram
    total: int
    values: Float64
    ends: Float64
    running: Float64
    block_running: Float64

    @classmethod
    def of(cls, histogram: Histogram, parts: Sequence[Histogram] | None) -> _Side:
        used = np.flatnonzero(histogram.counts)
        shape = histogram.layout
        low = shape.lows(used).astype(np.float64)
        running = histogram.counts[used].cumsum().astype(np.float64)
        rows = [block.at(histogram.lowest, histogram.digits).counts for block in _blocks(parts or ())]
        grid = np.zeros((len(rows), len(used)))
        for row, counts in zip(grid, rows, strict=True):
            padded = np.zeros(len(histogram.counts), dtype=np.int64)
            padded[: len(counts)] = counts[: len(padded)]
            row[:] = padded[used].cumsum()
        if len(rows) and grid[:, -1:].sum() != histogram.total:
            raise ValueError("the intervals do not add up to the histogram")
        return cls(histogram, histogram.total, low, low + shape.widths(used), running, grid)

    @property
    def blocks(self) -> int:
        return len(self.block_running)

    def width(self, value: int) -> int:
        shape = self.histogram.layout
        return shape.width(shape.index(value))

    def above(self, percentile: float) -> int:
        """How many values are beyond the percentile's rank."""
        return self.total - min(math.ceil(math.nextafter(percentile, 0.0) * self.total / 100.0), self.total)

    def doubt(self, percentile: float, when: str) -> str:
        """Why the percentile is not to be compared; "" where it is."""
        above = self.above(percentile)
        if above < ABOVE:
            lies = "value" if above == 1 else "values"
            return f"only {above} {lies} {when} beyond it" if above else f"no value {when} beyond it"
        if self.blocks:
            beyond = self.block_running[:, -1] - self.block_running[:, self._centre(percentile / 100.0)]
            alike = float(beyond.sum()) ** 2 / max(float((beyond**2).sum()), 1.0)
            if alike < min(MOMENTS, self.blocks / 2):
                return f"the values {when} beyond it came in few moments"
        return ""

    def draws(self, n: int, random: np.random.Generator) -> Float64:
        """How often each stretch of time is in each of `n` resamples."""
        shares = np.full(self.blocks, 1.0 / max(self.blocks, 1))
        drawn: Float64 = random.multinomial(self.blocks, shares, n).astype(np.float64) if self.blocks else np.empty(0)
        return drawn

    def resampled(self, percentile: float, n: int, drawn: Float64, random: np.random.Generator) -> Float64:
        """`n` values of the percentile, as chance might have given them. drawn: what `draws` gave."""
        share = percentile / 100.0
        if not self.blocks:
            # The value of a rank among values drawn with replacement: its place in the whole has a beta distribution.
            rank = min(max(math.ceil(share * self.total), 1), self.total)
            place = random.beta(rank, self.total - rank + 1, n) * self.total
            bucket = np.minimum(np.searchsorted(self.running, place), len(self.running) - 1)
            before = np.where(bucket > 0, self.running[bucket - 1], 0.0)
            return self._within(bucket, (place - before) / (self.running[bucket] - before))
        edges = self._edges(share)
        reached = drawn @ self.block_running[:, edges]
        place = share * (drawn @ self.block_running[:, -1])
        right = np.clip((reached < place[:, None]).sum(axis=1), 1, len(edges) - 1)
        rows = np.arange(n)
        begin, end = reached[rows, right - 1], reached[rows, right]
        inside = np.clip((place - begin) / np.maximum(end - begin, 1e-9), 0.0, 1.0)
        low, high = self.ends[edges[right - 1]], self.ends[edges[right]]
        found: Float64 = low + inside * (high - low)
        return found

    def understated(self, percentile: float, tail: float) -> float:
        """By how much more than a normal error, in quantiles, the error of the percentile reaches at `tail`.

        A few blocks vary less than what they are drawn from and tell its spread badly (Student); and where one is like
        the next, all of them together say less than so many (a first-order autoregression).
        """
        if not self.blocks:
            return 1.0
        z, free = -NormalDist().inv_cdf(tail), self.blocks - 1
        student = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
        missing = self._missing(percentile / 100.0, self._centre(percentile / 100.0))
        missing = missing - missing.mean()
        spread = float((missing**2).sum())
        alike = min(max(float((missing[1:] * missing[:-1]).sum()) / spread, 0.0), 0.8) if spread else 0.0
        return student / z * math.sqrt(self.blocks / free * (1 + alike) / (1 - alike))

    def _centre(self, share: float) -> int:
        return min(int(np.searchsorted(self.running, share * self.total)), len(self.running) - 1)

    def _missing(self, share: float, centre: int) -> Float64:
        """By block: values up to the percentile that are more than its share of the block."""
        missing: Float64 = self.block_running[:, centre] - share * self.block_running[:, -1]
        return missing

    def _edges(self, share: float) -> Int64:
        """Buckets around the percentile, in order: between two of them a resample has it."""
        centre, aim = self._centre(share), share * self.total
        error = _REACH * math.sqrt(max(float(self._missing(share, centre).var()) * self.blocks, 1.0))
        first, last = np.searchsorted(self.running, (aim - error, aim + error)).tolist()
        first, last = max(min(first, centre) - 1, 0), max(min(last, len(self.running) - 1), centre)
        ranks = np.linspace(self.running[first], self.running[last], _EDGES)
        near = np.arange(max(centre - 2, first), min(centre + 2, last) + 1)
        return np.unique(np.concatenate((np.searchsorted(self.running, ranks), near, [first, last])))

    def _within(self, bucket: Float64, inside: Float64) -> Float64:
        low, end = self.values[bucket], self.ends[bucket]
        found: Float64 = low + inside * (end - low)
        return found


def _blocks(parts: Sequence[Histogram]) -> list[Histogram]:
    """At most BLOCKS stretches of consecutive intervals that saw a call; none where they are too few."""
    used = [part for part in parts if part.total]
    if len(used) < FEWEST_BLOCKS:
        return []
    ends = np.linspace(0, len(used), min(len(used), BLOCKS) + 1).round().astype(int).tolist()
    return [merge_all(used[begin:end]) for begin, end in pairwise(ends)]


def _cut(tail: float, understated: float) -> float:
    """The tail to cut off of resamples whose spread is understated, so that `tail` is cut off in truth."""
    return NormalDist().cdf(NormalDist().inv_cdf(tail) * understated)


def _interval(replicates: Float64, tail: float) -> tuple[float, float]:
    low, high = np.quantile(replicates, (tail, 1.0 - tail))
    return float(low), float(high)
