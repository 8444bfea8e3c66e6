"""Is a change more than noise? Counts of two recordings, the scale between them, and the test.

Two recordings differ in length, in load and in speed, so "the same share" is a poor yardstick: when
one function grows, every other share shrinks. The functions' ratios after/before are taken instead: those that agree
on a common ratio are added up as the yardstick, and each function's change is measured against the others of it. The
change's error has four parts: counting noise of both sides and of the yardstick, how unevenly the function's samples
arrive within each recording (blocks of time, where the file has times), and a floor for what differs from run to run
of the same binary (addresses, cache and page placement). A function is marked when the change leaves that noise at a
family-wise level of 5 % (Holm, weighted by samples) over the functions that are large enough to be tested.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np

from tailflame.analyse.names import match_key
from tailflame.analyse.tree import CallTree, TreeOptions, build_tree
from tailflame.model.stacks import IMPLAUSIBLE_SAMPLES, Bool, Float64, FrameKind, Int64, StackProfile

LEVEL = 0.05
"""Family-wise level of the test."""
RUN_TO_RUN = 0.01
"""Relative standard deviation of a function's cost between runs of one binary that no sample count removes."""
MISPLACED = 0.002
"""Standard deviation, as a share of all samples, of what lands on a function or its neighbours from run to run:
skid, cache and page placement. It matters for small functions."""
MISPLACED_KERNEL = 0.015
"""The same for kernel functions: interrupts, softirqs and wake-ups of other programs land on whoever runs.
All three figures were measured on A/A pairs of the demo target, on a busy machine too (benchmarks/noise.py)."""
_TESTED_SHARE = 0.01  # a smaller function is not tested: its change could not matter, and every test costs power
_TESTED_SAMPLES = 10
_BLOCKS = 20
_LARGE_DIVISOR = 10_000
_FITS = 2.5  # standard errors within which a function is taken as unchanged when the scale is sought
_ROUNDS = 20
_NONE_SEEN = 3.0
_ENOUGH = 0.2  # of the yardstick must remain without a function, else the function stays part of it


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Self samples of one side by match key, and how much more than Poisson they vary."""

    index: dict[str, int]
    counts: Float64
    dispersion: Float64
    kernel: Bool
    total: float
    """All samples of the side."""
    unit_count: float
    """What one sample counts in the file: folded files may hold periods instead of samples."""

    @classmethod
    def of(cls, profile: StackProfile, event: int, *, inlines: bool, tree: CallTree | None = None) -> Counts:
        """tree: as it would be built here, of samples, for those who have it already."""
        if tree is None:
            tree = build_tree(profile, TreeOptions(event=event, inlines=inlines))
        keys = [match_key(n) for n in tree.functions.names]
        index: dict[str, int] = {}
        key_of = np.array([index.setdefault(k, len(index)) for k in keys], dtype=np.int64)
        node = tree.sample_node
        placed = node >= 0
        rows = key_of[tree.function[node[placed]]]
        weights = tree.sample_weight[placed]
        unit = _unit(weights)
        size = len(index)
        counts = np.bincount(rows, weights=weights, minlength=size) / unit
        times = profile.samples.time_ns[placed]
        dispersion = _dispersion(rows, times, size) if len(times) and times.min() >= 0 and unit == 1 else np.ones(size)
        kernel = np.zeros(size, dtype=bool)
        kernel[key_of[tree.functions.kind == FrameKind.KERNEL]] = True
        return cls(index, counts, dispersion, kernel, float(weights.sum() / unit), unit)

    def columns(self, keys: list[str]) -> tuple[Float64, Float64, Bool]:
        """(counts, dispersion, kernel) of `keys`; a key without samples counts 0 and varies like a Poisson count."""
        at = np.array([self.index.get(k, len(self.counts)) for k in keys], dtype=np.int64)
        return (
            np.append(self.counts, 0.0)[at],
            np.append(self.dispersion, 1.0)[at],
            np.append(self.kernel, False)[at],
        )

    @property
    def mean_dispersion(self) -> float:
        return float(np.average(self.dispersion, weights=self.counts)) if self.counts.sum() else 1.0


def _unit(weights: Float64) -> float:
    """What one sample counts: 1003009 where a file holds nanoseconds at 997 Hz, 1 where it holds samples.

    A common divisor that large is no accident, a small one may be. Cycles have none: each sample's period differs. Then
    the median stack is taken for one sample. It has one or more, so that a change looks less certain than it is, not
    more.
    """
    some = weights[weights > 0]
    if not len(some):
        return 1.0
    if not (some != np.floor(some)).any() and some.max() < 2**62:
        divisor = float(np.gcd.reduce(some.astype(np.int64)))
        if divisor >= _LARGE_DIVISOR:
            return divisor
    return float(np.median(some)) if some.sum() >= IMPLAUSIBLE_SAMPLES else 1.0


def _dispersion(rows: Int64, times: Int64, size: int) -> Float64:
    """Variance over mean of the counts in equal blocks of samples, at least 1; pooled where counts are small.

    Blocks hold equal numbers of samples, so a pause of the target is no unevenness.
    """
    if len(rows) < _BLOCKS * 5:
        return np.ones(size)
    ordered = rows[np.argsort(times, kind="stable")]
    block = np.arange(len(ordered)) * _BLOCKS // len(ordered)
    grid = np.bincount(block * size + ordered, minlength=_BLOCKS * size).reshape(_BLOCKS, size)
    share = grid / grid.sum(axis=1, keepdims=True)
    mean = share.mean(axis=0)
    per_block = len(ordered) / _BLOCKS
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = share.var(axis=0, ddof=1) * per_block / (mean * (1 - mean))
    ratio = np.where(np.isfinite(ratio), ratio, 1.0)
    expected = grid.sum(axis=0)
    pooled = float(np.average(ratio, weights=expected)) if expected.sum() else 1.0
    # Twenty blocks estimate a variance to about a third: lean on the pooled value where counts are few.
    trust = expected / (expected + 200.0)
    blended: Float64 = np.maximum(trust * ratio + (1 - trust) * pooled, 1.0)
    return blended


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """Per tested row: relative change against the scale (inf: new), its 95 % interval, p (nan: too small to be tested),
    and whether it leaves the noise at the family-wise LEVEL."""

    change: Float64
    low: Float64
    high: Float64
    p: Float64
    tested: Bool
    significant: Bool


@dataclass(frozen=True, slots=True, eq=False)
class Yardstick:
    """What changes are measured against: the functions that stand still, added up on both sides.

    scale: their ratio after/before. fits: their match keys.
    """

    scale: float
    before: float
    after: float
    fits: frozenset[str]

    def without(self, keys: list[str], b: Float64, a: Float64) -> tuple[Float64, Float64]:
        """(scale, variance of its logarithm) for each function: no function is part of its own yardstick."""
        own = np.array([k in self.fits for k in keys], dtype=bool)
        rest_before, rest_after = self.before - np.where(own, b, 0.0), self.after - np.where(own, a, 0.0)
        enough = (rest_before >= _ENOUGH * self.before) & (rest_after >= _ENOUGH * self.after) & (rest_before > 0)
        rest_before, rest_after = np.where(enough, rest_before, self.before), np.where(enough, rest_after, self.after)
        if not self.before or not self.after:
            return np.full(len(keys), self.scale), np.zeros(len(keys))
        return rest_after / rest_before, 1 / rest_after + 1 / rest_before


def yardstick(before: Counts, after: Counts) -> Yardstick:
    """The functions that did not change, and their common ratio.

    A weighted median of the functions' ratios finds it roughly, whatever single functions did; the functions that fit
    it are then added up, which is several times as exact. The ratio of totals where too few functions are shared.
    """
    shared = sorted(before.index.keys() & after.index.keys())
    (b, dispersion_b, kernel), (a, dispersion_a, _) = before.columns(shared), after.columns(shared)
    usable = large(b, a, before.total, after.total) & (a > 0) & (b > 0) & ~kernel
    if usable.sum() < 3:
        scale = after.total / before.total if before.total and after.total else 1.0
        return Yardstick(scale, 0.0, 0.0, frozenset())
    error = np.sqrt(_variance(b, dispersion_b, kernel, before.total) + _variance(a, dispersion_a, kernel, after.total))
    ratio = np.log(np.where(usable, a, 1.0) / np.where(usable, b, 1.0))
    # The square root keeps one giant function from being its own yardstick.
    weight = np.where(usable, np.sqrt(np.minimum(a, b)), 0.0)
    order = np.argsort(ratio)
    running = np.cumsum(weight[order])
    scale = float(ratio[order][np.searchsorted(running, running[-1] / 2)])
    fits = usable
    for _ in range(_ROUNDS):
        fits = usable & (np.abs(ratio - scale) < _FITS * error)
        if fits.sum() < 2:
            return Yardstick(float(np.exp(scale)), 0.0, 0.0, frozenset())
        refined = float(np.log(a[fits].sum() / b[fits].sum()))
        if refined == scale:
            break
        scale = refined
    names = frozenset(key for key, fit in zip(shared, fits, strict=True) if fit)
    return Yardstick(float(np.exp(scale)), float(b[fits].sum()), float(a[fits].sum()), names)


def judge(
    b: Float64, a: Float64, *, dispersion: tuple[Float64, Float64], kernel: Bool, totals: tuple[float, float],
    scale: Float64, scale_variance: Float64,
) -> Verdicts:  # fmt: skip
    """Tests the counts `b` and `a` (before, after) of many rows, each against its scale.

    The interval takes each count's own error; the test takes the error of two equal functions, so that a count of 0
    is no less certain than it is.
    """
    estimate = np.log((a + 0.5) / (b + 0.5) / scale)
    error = np.sqrt(
        _variance(b, dispersion[0], kernel, totals[0]) + _variance(a, dispersion[1], kernel, totals[1]) + scale_variance
    )
    equal = (a + b) / (1 + scale)
    null = np.sqrt(
        _variance(equal, dispersion[0], kernel, totals[0])
        + _variance(equal * scale, dispersion[1], kernel, totals[1])
        + scale_variance
    )
    tested = large(b, a, *totals)
    p = np.full(len(b), np.nan)
    p[tested] = [erfc(z / sqrt(2)) for z in (np.abs(estimate) / null)[tested]]
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.where(b > 0, a / b / scale - 1, np.where(a > 0, np.inf, 0.0))
    # A hundredth of a sample more or less has an interval from nothing to anything: no need to overflow.
    low = np.exp(np.clip(estimate - 1.96 * error, -50, 50)) - 1
    high = np.exp(np.clip(estimate + 1.96 * error, -50, 50)) - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        # None seen is compatible with an expectation of up to three, at 95 %.
        low = np.where(b == 0, np.where(a > 0, a / _NONE_SEEN / scale - 1, -1.0), np.where(a == 0, -1.0, low))
        high = np.where(b == 0, np.inf, np.where(a == 0, _NONE_SEEN / b / scale - 1, high))
    return Verdicts(
        change=change, low=low, high=high, p=p, tested=tested, significant=_holm(p, tested, a + b)
    )  # fmt: skip


def large(b: Float64, a: Float64, total_before: float, total_after: float) -> Bool:
    """Which counts are large enough to be tested."""
    share = np.maximum(b / (total_before or np.inf), a / (total_after or np.inf))
    enough: Bool = (share >= _TESTED_SHARE) & (np.maximum(a, b) >= _TESTED_SAMPLES)
    return enough


def _variance(count: Float64, dispersion: Float64, kernel: Bool, total: float) -> Float64:
    """Variance of the logarithm of a count (half a sample added) out of `total`."""
    filled = count + 0.5
    misplaced = np.where(kernel, MISPLACED_KERNEL, MISPLACED)
    variance: Float64 = dispersion / filled + RUN_TO_RUN**2 + (misplaced * total / filled) ** 2
    return variance


def _holm(p: Float64, tested: Bool, weight: Float64) -> Bool:
    """Which of the tested hypotheses fall at the family-wise LEVEL: Holm's procedure with weights.

    The level is spent where a change matters, in proportion to the samples of both sides together, which say nothing
    about their difference.
    """
    marked = np.zeros(len(p), dtype=bool)
    rows = np.flatnonzero(tested)
    left = float(weight[rows].sum())
    for row in rows[np.argsort(p[rows] / weight[rows], kind="stable")]:
        if p[row] > LEVEL * weight[row] / left:
            break
        marked[row] = True
        left -= float(weight[row])
    return marked
