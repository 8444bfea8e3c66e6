"""Two profiles compared: the union of their trees with inclusive deltas, and a table of functions with a test.

What is tested. Two recordings differ in length, in load and in speed, so "the same share" is a poor yardstick: when
one function grows, every other share shrinks. The functions' ratios after/before are taken instead, their weighted
median is the scale at which the typical function stands still, and each function's own change is measured against
it. The change's error has three parts: counting noise of both sides, how unevenly the function's samples arrive
within each recording (blocks of time, where the file has times), and a floor for what differs from run to run of the
same binary (addresses, cache and page placement). A function is marked when the change leaves that noise at a
family-wise level of 5 % (Holm) over the functions that are large enough to be tested.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import erfc, sqrt

import numpy as np

from tailflame.analyse.hotspots import HotspotTable, hotspots
from tailflame.analyse.layout import FlameLayout, lay_out_ranked
from tailflame.analyse.names import match_key, short
from tailflame.analyse.tree import CallTree, FunctionTable, TreeOptions, add_up, build_tree, merge_rows
from tailflame.model.stacks import (
    NONE,
    Bool,
    Float64,
    FrameKind,
    Int32,
    Int64,
    StackProfile,
    UInt8,
    Weight,
    readonly,
)
from tailflame.units import Unit, percent

LEVEL = 0.05
"""Family-wise level of the test."""
RUN_TO_RUN = 0.01
"""Relative standard deviation of a function's cost between runs of one binary that no sample count removes."""
MISPLACED = 0.002
"""Standard deviation, as a share of all samples, of what lands on a function or its neighbours from run to run:
skid, interrupts, cache and page placement. It matters for small functions. Both figures were measured on A/A pairs
of the demo target (benchmarks/noise.py)."""
_TESTED_SHARE = 0.005  # a smaller function is not tested: its change could not matter, and every test costs power
_TESTED_SAMPLES = 10
_BLOCKS = 20


class Scale(StrEnum):
    """How sizes of the two sides relate when drawn."""

    NORMALISED = "normalised"  # each side is 100 %
    ABSOLUTE = "absolute"  # samples or weight as recorded


class Status(StrEnum):
    BOTH = "both"
    NEW = "new"
    VANISHED = "vanished"


@dataclass(frozen=True, slots=True, eq=False)
class DiffTree:
    """The union of two trees; nodes by level. Weights are as recorded.

    before_node, after_node: the union's node of each node of the two trees, for linked views.
    significant: the inclusive delta leaves the noise.
    """

    functions: FunctionTable
    parent: Int32
    function: Int32
    depth: Int32
    level_start: Int64
    self_before: Float64
    self_after: Float64
    total_before: Float64
    total_after: Float64
    significant: Bool
    kinds: UInt8
    whole_before: float
    whole_after: float
    before_node: Int32
    after_node: Int32
    unit: Unit

    def __len__(self) -> int:
        return len(self.parent)

    def factor(self, scale: Scale) -> float:
        """What "after" is multiplied by to be drawn beside "before"."""
        if scale is Scale.ABSOLUTE or not self.whole_after:
            return 1.0
        return self.whole_before / self.whole_after

    def delta(self, scale: Scale) -> Float64:
        """Inclusive after - before of every node, in units of "before"."""
        return self.total_after * self.factor(scale) - self.total_before

    def status(self, node: int) -> Status:
        if not self.total_before[node]:
            return Status.NEW
        return Status.VANISHED if not self.total_after[node] else Status.BOTH

    def name(self, node: int) -> str:
        return self.functions.names[int(self.function[node])]


@dataclass(frozen=True, slots=True, eq=False)
class DeltaTable:
    """One row per function of either side, largest absolute change of self share first.

    self_*, total_*: weights as recorded; samples_*: self samples. change: relative change of self against the scale
    (inf where new, -1 where vanished), low and high its 95 % interval, p two-sided and unadjusted (nan: not tested).
    significant: marked at the family-wise level.
    """

    names: tuple[str, ...]
    module: tuple[str, ...]
    kind: UInt8
    self_before: Float64
    self_after: Float64
    total_before: Float64
    total_after: Float64
    samples_before: Float64
    samples_after: Float64
    change: Float64
    low: Float64
    high: Float64
    p: Float64
    tested: Bool
    significant: Bool

    def __len__(self) -> int:
        return len(self.names)

    def row(self, name: str) -> int:
        return self.names.index(name) if name in self.names else NONE

    def status(self, row: int) -> Status:
        if not self.total_before[row]:
            return Status.NEW
        return Status.VANISHED if not self.total_after[row] else Status.BOTH


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """scale: the ratio after/before at which the typical function stands still. test: what was tested, and how."""

    tree: DiffTree
    table: DeltaTable
    before: CallTree
    after: CallTree
    scale: float
    test: str
    verdict: tuple[str, ...]
    inlines: bool


def compare(
    before: StackProfile,
    after: StackProfile,
    *,
    event_before: int = 0,
    event_after: int = 0,
    weight: Weight = Weight.SAMPLES,
    inlines: bool | None = None,
) -> Comparison:
    """Compares two profiles, whatever they were read from.

    Weights are shown as asked; the test always counts samples. `inlines` None folds inlined frames where both sides
    know them, and keeps every frame where one side (an SVG, folded stacks) cannot tell.
    """
    if inlines is None:
        inlines = not (_knows_kinds(before) and _knows_kinds(after))
    trees = tuple(
        build_tree(p, TreeOptions(event=e, weight=weight, inlines=inlines))
        for p, e in ((before, event_before), (after, event_after))
    )
    counts = tuple(_Counts.of(p, e, inlines=inlines) for p, e in ((before, event_before), (after, event_after)))
    scale = _scale(counts[0], counts[1])
    table = _delta_table(
        hotspots(before, event=event_before, weight=weight, inlines=inlines),
        hotspots(after, event=event_after, weight=weight, inlines=inlines),
        counts[0],
        counts[1],
        scale,
    )  # fmt: skip
    tree = _union(trees[0], trees[1], counts[0], counts[1], scale)
    return Comparison(
        tree=tree,
        table=table,
        before=trees[0],
        after=trees[1],
        scale=scale,
        test=_test_text(table, scale, before, after),
        verdict=_verdict(table, tree),
        inlines=inlines,
    )


def _knows_kinds(profile: StackProfile) -> bool:
    return bool((profile.frames.kind != FrameKind.UNKNOWN).any()) and profile.samples.time_ns.max(initial=-1) >= 0


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    """Self samples of one side by match key, and how much more than Poisson they vary."""

    index: dict[str, int]
    counts: Float64
    dispersion: Float64
    total: float
    """All samples of the side."""
    unit_count: float
    """What one sample counts in the file: folded files may hold periods instead of samples."""

    @classmethod
    def of(cls, profile: StackProfile, event: int, *, inlines: bool) -> _Counts:
        tree = build_tree(profile, TreeOptions(event=event, inlines=inlines))
        keys = [match_key(n) for n in tree.functions.names]
        index: dict[str, int] = {}
        key_of = np.array([index.setdefault(k, len(index)) for k in keys], dtype=np.int64)
        node = tree.sample_node
        placed = node >= 0
        rows = key_of[tree.function[node[placed]]]
        weights = tree.sample_weight[placed]
        unit = _common_unit(weights)
        size = len(index)
        counts = np.bincount(rows, weights=weights, minlength=size) / unit
        times = profile.samples.time_ns[placed]
        dispersion = _dispersion(rows, times, size) if len(times) and times.min() >= 0 and unit == 1 else np.ones(size)
        return cls(index, counts, dispersion, float(weights.sum() / unit), unit)

    def at(self, key: str) -> tuple[float, float]:
        """(count, dispersion) of a key; 0 samples vary like a Poisson count."""
        i = self.index.get(key)
        return (0.0, 1.0) if i is None else (float(self.counts[i]), float(self.dispersion[i]))


def _common_unit(weights: Float64) -> float:
    """What one sample counts: 1003009 where a file holds nanoseconds at 997 Hz, else 1.

    A common divisor that large is no accident, a small one may be.
    """
    whole = weights[weights > 0]
    if not len(whole) or (whole != np.floor(whole)).any() or whole.max() >= 2**62:
        return 1.0
    divisor = float(np.gcd.reduce(whole.astype(np.int64)))
    return divisor if divisor >= 10_000 else 1.0


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


def _large(count_before: float, count_after: float, before: _Counts, after: _Counts) -> bool:
    share = max(count_before / before.total if before.total else 0, count_after / after.total if after.total else 0)
    return share >= _TESTED_SHARE and max(count_before, count_after) >= _TESTED_SAMPLES


def _scale(before: _Counts, after: _Counts) -> float:
    """Weighted median of the functions' ratios after/before; the ratio of totals where too few are shared."""
    ratios, weights = [], []
    for key in before.index.keys() & after.index.keys():
        b, a = before.at(key)[0], after.at(key)[0]
        if b and a and _large(b, a, before, after):
            ratios.append(a / b)
            # The square root keeps one giant function from being its own yardstick.
            weights.append(sqrt(min(a, b)))
    if len(ratios) < 3:
        return after.total / before.total if before.total and after.total else 1.0
    order = np.argsort(ratios)
    running = np.cumsum(np.asarray(weights)[order])
    return float(np.asarray(ratios)[order][np.searchsorted(running, running[-1] / 2)])


def _variance(count: Float64 | float, dispersion: Float64 | float, total: float) -> Float64:
    """Variance of the logarithm of a count (half a sample added) out of `total`."""
    filled = np.asarray(count) + 0.5
    return dispersion / filled + RUN_TO_RUN**2 + (MISPLACED * total / filled) ** 2


def _change(
    key_before: tuple[float, float], key_after: tuple[float, float], before: _Counts, after: _Counts, scale: float
) -> tuple[float, float, float, float]:
    """(change, low, high, p) of a function's (count, dispersion) against the scale.

    The interval takes each count's own error; the test takes the error of two equal functions, so that a count of 0
    is no less certain than it is.
    """
    (b, dispersion_b), (a, dispersion_a) = key_before, key_after
    estimate = np.log((a + 0.5) / (b + 0.5) / scale)
    error = sqrt(_variance(b, dispersion_b, before.total) + _variance(a, dispersion_a, after.total))
    equal = (a + b) / (1 + scale)
    null = sqrt(_variance(equal, dispersion_b, before.total) + _variance(equal * scale, dispersion_a, after.total))
    low, high = np.exp(estimate - 1.96 * error) - 1, np.exp(estimate + 1.96 * error) - 1
    shown = (a / b / scale - 1) if b else np.inf if a else 0.0
    return float(shown), float(low), float(high), erfc(abs(estimate) / null / sqrt(2))


def _holm(p: Float64, tested: Bool) -> Bool:
    """Which of the tested hypotheses fall at the family-wise LEVEL."""
    marked = np.zeros(len(p), dtype=bool)
    order = np.flatnonzero(tested)[np.argsort(p[tested], kind="stable")]
    for rank, row in enumerate(order):
        if p[row] > LEVEL / (len(order) - rank):
            break
        marked[row] = True
    return marked


def _delta_table(
    hot_before: HotspotTable, hot_after: HotspotTable, before: _Counts, after: _Counts, scale: float
) -> DeltaTable:
    sides = (hot_before, hot_after)
    rows: dict[str, int] = {}
    names: list[str] = []
    module: list[str] = []
    kind: list[int] = []
    place = []
    for table in (hot_after, hot_before):  # the newer build's spelling of a name is the one shown
        at = np.empty(len(table), dtype=np.int64)
        for i, name in enumerate(table.key):
            key = match_key(name)
            if key not in rows:
                rows[key] = len(names)
                names.append(name)
                module.append(table.module[i])
                kind.append(int(table.kind[i]))
            at[i] = rows[key]
        place.append(at)
    place.reverse()
    size = len(names)
    columns = {
        f"{column}_{side}": np.bincount(place[s], weights=getattr(sides[s], f"{column}_weight"), minlength=size)
        for s, side in enumerate(("before", "after"))
        for column in ("self", "total")
    }
    figures = np.zeros((4, size))
    counted = np.zeros((2, size))
    tested = np.zeros(size, dtype=bool)
    for key, row in rows.items():
        at_before, at_after = before.at(key), after.at(key)
        counted[:, row] = at_before[0], at_after[0]
        tested[row] = _large(at_before[0], at_after[0], before, after)
        figures[:, row] = _change(at_before, at_after, before, after, scale)
    change, low, high, p = figures
    p = np.where(tested, p, np.nan)
    significant = _holm(p, tested)
    share = columns["self_after"] / (hot_after.total or 1) - columns["self_before"] / (hot_before.total or 1)
    order = np.lexsort((-np.abs(share), ~significant))
    return DeltaTable(
        names=tuple(names[i] for i in order),
        module=tuple(module[i] for i in order),
        kind=readonly(np.asarray(kind)[order] if kind else [], np.uint8),
        **{name: readonly(column[order], np.float64) for name, column in columns.items()},
        samples_before=readonly(counted[0][order], np.float64),
        samples_after=readonly(counted[1][order], np.float64),
        change=readonly(change[order], np.float64),
        low=readonly(low[order], np.float64),
        high=readonly(high[order], np.float64),
        p=readonly(p[order], np.float64),
        tested=readonly(tested[order], np.bool_),
        significant=readonly(significant[order], np.bool_),
    )


def _union(left: CallTree, right: CallTree, before: _Counts, after: _Counts, scale: float) -> DiffTree:
    keys: dict[str, int] = {}
    shown: list[tuple[CallTree, int]] = []
    mapped = []
    for tree in (right, left):
        ids = np.empty(len(tree.functions), dtype=np.int32)
        for i, name in enumerate(tree.functions.names):
            key = match_key(name)
            if key not in keys:
                keys[key] = len(shown)
                shown.append((tree, i))
            ids[i] = keys[key]
        mapped.append(ids)
    mapped.reverse()
    offset = len(left)
    parent = np.concatenate([left.parent, np.where(right.parent >= 0, right.parent + offset, NONE)])
    function = np.concatenate([mapped[0][left.function], mapped[1][right.function]])
    trie = merge_rows(parent.astype(np.int32), function.astype(np.int32))
    size = len(trie.parent)
    before_node, after_node = trie.node[:offset], trie.node[offset:]

    def gather(nodes: Int32, values: Float64) -> Float64:
        return np.bincount(nodes, weights=values, minlength=size)

    kinds = np.concatenate([left.kinds(), right.kinds()])
    samples_before = gather(before_node, left.total_samples_of) / before.unit_count
    samples_after = gather(after_node, right.total_samples_of) / after.unit_count
    return DiffTree(
        functions=FunctionTable(
            names=tuple(t.functions.names[i] for t, i in shown),
            module=tuple(t.functions.module[i] for t, i in shown),
            file=tuple(t.functions.file[i] for t, i in shown),
            line=readonly([t.functions.line[i] for t, i in shown], np.int32),
            kind=readonly([t.functions.kind[i] for t, i in shown], np.uint8),
            frame=readonly(np.full(len(shown), NONE), np.int32),
        ),
        parent=trie.parent,
        function=trie.function,
        depth=trie.depth,
        level_start=trie.level_start,
        self_before=gather(before_node, left.self_weight),
        self_after=gather(after_node, right.self_weight),
        total_before=gather(before_node, left.total_weight),
        total_after=gather(after_node, right.total_weight),
        significant=_significant_nodes(samples_before, samples_after, before, after, scale),
        kinds=kinds[trie.row] if size else np.zeros(0, dtype=np.uint8),
        whole_before=left.total,
        whole_after=right.total,
        before_node=before_node,
        after_node=after_node,
        unit=right.unit,
    )


def _significant_nodes(b: Float64, a: Float64, before: _Counts, after: _Counts, scale: float) -> Bool:
    """The same test on inclusive counts, over the nodes that are large enough."""
    share = np.maximum(b / (before.total or 1), a / (after.total or 1))
    tested = (share >= _TESTED_SHARE) & (np.maximum(a, b) >= _TESTED_SAMPLES)
    vb = float(np.average(before.dispersion, weights=before.counts)) if before.counts.sum() else 1.0
    va = float(np.average(after.dispersion, weights=after.counts)) if after.counts.sum() else 1.0
    estimate = np.log((a + 0.5) / (b + 0.5) / scale)
    equal = (a + b) / (1 + scale)
    null = np.sqrt(_variance(equal, vb, before.total) + _variance(equal * scale, va, after.total))
    p = np.array([erfc(z) for z in np.abs(estimate) / null / sqrt(2)]) if len(b) else np.zeros(0)
    return _holm(p, tested)


def lay_out_diff(tree: DiffTree, *, scale: Scale = Scale.NORMALISED) -> FlameLayout:
    """Boxes of the union. A box's own width is the larger side's self weight, so vanished frames keep theirs."""
    width = np.maximum(tree.self_before, tree.self_after * tree.factor(scale))
    add_up(width, tree.parent, tree.level_start)
    names = tree.functions.names
    position = np.empty(len(names), dtype=np.int64)
    position[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    total = float(width[tree.parent == NONE].sum())
    return lay_out_ranked(tree.parent, width, position[tree.function], tree.level_start, total)


def _test_text(table: DeltaTable, scale: float, before: StackProfile, after: StackProfile) -> str:
    approximate = before.approximate or after.approximate
    return (
        f"Log ratio of self samples against the scale {scale:.3f} (weighted median of after/before), errors from "
        f"counts, unevenness in time and run to run ({percent(RUN_TO_RUN, digits=0)} of the function, "
        f"{percent(MISPLACED)} of all samples); "
        f"{int(table.tested.sum())} functions tested, family-wise level {percent(LEVEL, digits=0)} (Holm)."
        + (" One side holds approximate counts." if approximate else "")
    )


def _verdict(table: DeltaTable, tree: DiffTree) -> tuple[str, ...]:
    """The marked functions as sentences, regressions first; or that nothing moved."""
    marked = np.flatnonzero(table.significant)
    if not len(marked):
        return ("No function moved beyond the noise.",)

    def impact(row: int) -> float:
        change = float(table.change[row])
        cost = (
            table.samples_after[row] - table.samples_after[row] / (1 + change)
            if np.isfinite(change) and change > -1
            else (table.samples_after[row] or -table.samples_before[row])
        )
        return float(cost)

    sentences = []
    for row in sorted(map(int, marked), key=impact, reverse=True):
        share_before = percent(float(table.self_before[row] / (tree.whole_before or 1)))
        share_after = percent(float(table.self_after[row] / (tree.whole_after or 1)))
        status = table.status(row)
        name = short(table.names[row])
        if not table.samples_before[row]:
            sentences.append(f"{name} is new on top of the stack: {share_after} of the samples.")
        elif not table.samples_after[row]:
            gone = "vanished" if status is Status.VANISHED else "is no longer on top of the stack"
            sentences.append(f"{name} {gone}: it had {share_before} of the samples.")
        else:
            word = "regressed" if table.change[row] > 0 else "improved"
            low, high = (percent(float(x[row]), signed=True) for x in (table.low, table.high))
            sentences.append(
                f"{name} {word}: {percent(float(table.change[row]), signed=True)} self ({low} to {high}), "
                f"{share_before} to {share_after} of the samples."
            )
    return tuple(sentences)
