"""Two profiles compared: the union of their trees with inclusive deltas, and a table of functions with a test.

Events that were counted one by one are compared as they are: their differences hold no noise of sampling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tailflame.analyse.counted import SAMPLED, as_counted, first_weight, quantity, tells_amounts
from tailflame.analyse.counted_diff import COUNTED, ESTIMATED, counted_sentences, counted_verdicts, differs
from tailflame.analyse.heap_diff import compared_sites, is_heap
from tailflame.analyse.heap_events import ROLES
from tailflame.analyse.hotspots import HotspotTable, table_of
from tailflame.analyse.layout import FlameLayout, lay_out_ranked
from tailflame.analyse.names import match_key, short
from tailflame.analyse.noise import LEVEL, MISPLACED, RUN_TO_RUN, Counts, Verdicts, Yardstick, judge, large, yardstick
from tailflame.analyse.tree import (
    CallTree,
    FunctionTable,
    TreeOptions,
    add_up,
    build_tree,
    merge_rows,
    outermost_among,
    skeleton,
)
from tailflame.errors import NotComparable
from tailflame.model.stacks import (
    NONE,
    Bool,
    Event,
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

Mark = Callable[[Float64, Float64, Int32, list[str]], Bool]

_TRUNK = 0.9  # of a side: a frame that holds more only says that the program ran


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
    """scale: the ratio after/before of the functions that stand still. test: what was tested, and how.

    exact: both sides tell amounts, counted or estimated, so that `significant` means that these differ, and nothing is
    tested.
    """

    tree: DiffTree
    table: DeltaTable
    before: CallTree
    after: CallTree
    scale: float
    test: str
    verdict: tuple[str, ...]
    inlines: bool
    exact: bool = False

    @property
    def natural_scale(self) -> Scale:
        """How sizes are drawn at first: counts as they are, recordings of unlike length as shares."""
        return Scale.ABSOLUTE if self.exact else Scale.NORMALISED


def compare(
    before: StackProfile,
    after: StackProfile,
    *,
    event_before: int = 0,
    event_after: int = 0,
    weight: Weight = Weight.SAMPLES,
    inlines: bool | None = None,
) -> Comparison:
    """Compares two profiles, whatever they were read from. NotComparable where they are amounts of different things.

    Weights are shown as asked; the test always counts samples. Exact events are not tested: what differs, differs, and
    `samples_*` of the table are their weights. `inlines` None folds inlined frames where both sides
    know them; where one side (an SVG, folded stacks) cannot tell, it does what lets more of both sides match.
    """
    counted = (as_counted(before, event_before), as_counted(after, event_after))
    _refuse_unlike(*counted)
    if inlines is None:
        inlines = not (_knows_kinds(before) and _knows_kinds(after)) and (
            not (_has_inlines(before) or _has_inlines(after))
            or _matched(before, after, event_before, event_after, inlines=True)
            >= _matched(before, after, event_before, event_after, inlines=False)
        )
    if all(map(tells_amounts, counted)):
        return _compare_counted((before, event_before), (after, event_after), weight, inlines)
    trees, counts = [], []
    for side, event in ((before, event_before), (after, event_after)):
        bones = skeleton(side, TreeOptions(inlines=inlines))
        tree = build_tree(side, TreeOptions(event=event, weight=weight, inlines=inlines), bones=bones)
        seen = tree
        if weight is not Weight.SAMPLES:
            seen = build_tree(side, TreeOptions(event=event, inlines=inlines), bones=bones)
        trees.append(tree)
        counts.append(Counts.of(side, event, inlines=inlines, tree=seen))
    stick = yardstick(counts[0], counts[1])
    table = _delta_table(trees[0], trees[1], counts[0], counts[1], stick)

    def leaves_noise(b: Float64, a: Float64, function: Int32, keys: list[str]) -> Bool:
        return _significant_nodes(b, a, function, keys, counts[0], counts[1], stick)

    union = _union(trees[0], trees[1], (counts[0].unit_count, counts[1].unit_count), leaves_noise)
    return Comparison(
        tree=union,
        table=table,
        before=trees[0],
        after=trees[1],
        scale=stick.scale,
        test=_test_text(table, stick.scale, before, after)
        + " One side holds periods, from which its samples were told." * any(c.unit_count != 1 for c in counts),
        verdict=_verdict(table, union),
        inlines=inlines,
    )


def _refuse_unlike(before: Event, after: Event) -> None:
    """Bytes less milliseconds are nothing. Samples without a name may stand for anything; shares of samples of a clock
    are held against shares of instructions.
    """
    events, names = (before, after), (quantity(before), quantity(after))
    if names[0] == names[1]:
        return
    if not all(names):
        sampled, amount = events if names[1] else events[::-1]
        if sampled.name == SAMPLED.name or amount.unit in (Unit.EVENTS, sampled.unit):
            return
    told = [name or f"{event.name}, sampled" for event, name in zip(events, names, strict=True)]
    raise NotComparable(
        f"There is nothing to compare: one is of {told[0]}, the other of {told[1]}.",
        advice="Compare results of one kind, or choose an event that both have.",
    )


def _compare_counted(
    before: tuple[StackProfile, int], after: tuple[StackProfile, int], weight: Weight, inlines: bool
) -> Comparison:
    """The comparison of two events that were counted one by one."""
    left, right = (
        build_tree(profile, TreeOptions(event=event, weight=weight, inlines=inlines))
        for profile, event in (before, after)
    )
    joined = _joined(left, right)
    b, a = joined.columns["self_before"], joined.columns["self_after"]
    table = joined.table(b, a, counted_verdicts(b, a), np.abs(a - b))
    union = _union(left, right, None, None)
    return Comparison(
        tree=union,
        table=table,
        before=left,
        after=right,
        scale=1.0,
        test=COUNTED if left.event.exact and right.event.exact else ESTIMATED,
        verdict=counted_sentences(
            _told_name(left.event, right.event),
            left.total,
            right.total,
            right,
            _movers(before, after, weight, table),
        ),
        inlines=inlines,
        exact=True,
    )


def _told_name(before: Event, after: Event) -> str:
    """What two events are both called; of a heap, snapshots have numbers that mean nothing in another run."""
    numbered = is_heap(after) and (before.name not in ROLES or after.name not in ROLES)
    return "In use" if numbered else after.name


def _movers(
    before: tuple[StackProfile, int], after: tuple[StackProfile, int], weight: Weight, table: DeltaTable
) -> list[tuple[str, float, float]]:
    """(name, before, after) of the functions that changed, by what is theirs; of heaps by the code that allocates,
    and not by the libraries it allocates through.
    """
    if is_heap(after[0].events[after[1]]):
        return compared_sites(before, after, weight)
    rows = np.flatnonzero(table.significant)
    return [(table.names[i], float(table.self_before[i]), float(table.self_after[i])) for i in rows]


def _matched(before: StackProfile, after: StackProfile, event_before: int, event_after: int, *, inlines: bool) -> float:
    """The share of self samples that both sides have under the same names."""
    if all(map(tells_amounts, (as_counted(before, event_before), as_counted(after, event_after)))):
        return _matched_counts((before, event_before), (after, event_after), inlines=inlines)
    left, right = Counts.of(before, event_before, inlines=inlines), Counts.of(after, event_after, inlines=inlines)
    keys = sorted(left.index.keys() & right.index.keys())
    b, a = left.columns(keys)[0] / (left.total or 1), right.columns(keys)[0] / (right.total or 1)
    return float(np.minimum(a, b).sum())


def _matched_counts(before: tuple[StackProfile, int], after: tuple[StackProfile, int], *, inlines: bool) -> float:
    """The same of what was counted, by its weight."""
    left, right = (
        build_tree(profile, TreeOptions(event=event, weight=first_weight(profile, event), inlines=inlines))
        for profile, event in (before, after)
    )
    columns = _joined(left, right).columns
    b, a = columns["self_before"] / (left.total or 1), columns["self_after"] / (right.total or 1)
    return float(np.minimum(a, b).sum())


def _has_inlines(profile: StackProfile) -> bool:
    return bool((profile.frames.kind == FrameKind.INLINED).any())


def _knows_kinds(profile: StackProfile) -> bool:
    return bool((profile.frames.kind != FrameKind.UNKNOWN).any()) and profile.samples.time_ns.max(initial=-1) >= 0


@dataclass(frozen=True, slots=True, eq=False)
class _Joined:
    """The functions of both sides, one row for each match key; columns as DeltaTable has them."""

    keys: tuple[str, ...]
    names: tuple[str, ...]
    module: tuple[str, ...]
    kind: tuple[int, ...]
    columns: dict[str, Float64]

    def table(self, samples_before: Float64, samples_after: Float64, verdicts: Verdicts, size: Float64) -> DeltaTable:
        """The rows with their verdicts: those that changed first, and of them the largest by `size`."""
        order = np.lexsort((-size, ~verdicts.significant))
        return DeltaTable(
            names=tuple(self.names[i] for i in order),
            module=tuple(self.module[i] for i in order),
            kind=readonly(np.asarray(self.kind)[order] if self.kind else [], np.uint8),
            **{name: readonly(column[order], np.float64) for name, column in self.columns.items()},
            samples_before=readonly(samples_before[order], np.float64),
            samples_after=readonly(samples_after[order], np.float64),
            change=readonly(verdicts.change[order], np.float64),
            low=readonly(verdicts.low[order], np.float64),
            high=readonly(verdicts.high[order], np.float64),
            p=readonly(verdicts.p[order], np.float64),
            tested=readonly(verdicts.tested[order], np.bool_),
            significant=readonly(verdicts.significant[order], np.bool_),
        )


def _joined(left: CallTree, right: CallTree) -> _Joined:
    sides = (table_of(left), table_of(right))
    rows: dict[str, int] = {}
    names: list[str] = []
    module: list[str] = []
    kind: list[int] = []
    place = []
    for table in reversed(sides):  # the newer build's spelling of a name is the one shown
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
    columns = {
        f"{column}_{side}": np.bincount(place[s], weights=getattr(sides[s], f"{column}_weight"), minlength=len(names))
        for s, side in enumerate(("before", "after"))
        for column in ("self", "total")
    }
    for tree, table, at, totals in zip(
        (left, right), sides, place, (columns["total_before"], columns["total_after"]), strict=True
    ):
        _mend_totals(tree, table, at, totals)
    return _Joined(tuple(rows), tuple(names), tuple(module), tuple(kind), columns)


def _mend_totals(tree: CallTree, table: HotspotTable, at: Int64, totals: Float64) -> None:
    """Functions of one side whose names differ in a compiler's suffix alone ("init", "init.part.0") share a row: where
    one calls the other, that counts once.
    """
    shared = np.flatnonzero(np.bincount(at, minlength=len(totals)) > 1)
    if not len(shared):
        return
    row_of = {name: int(row) for name, row in zip(table.key, at.tolist(), strict=True)}
    rows = np.array([row_of.get(name, -1) for name in tree.functions.names], dtype=np.int64)[tree.function]
    nodes = np.flatnonzero(np.isin(rows, shared))
    top = nodes[outermost_among(tree, nodes, rows[nodes])]
    totals[shared] = np.bincount(rows[top], weights=tree.total_weight[top], minlength=len(totals))[shared]


def _delta_table(left: CallTree, right: CallTree, before: Counts, after: Counts, stick: Yardstick) -> DeltaTable:
    joined = _joined(left, right)
    keys, columns = list(joined.keys), joined.columns
    (b, dispersion_b, kernel_b), (a, dispersion_a, kernel_a) = before.columns(keys), after.columns(keys)
    scale, scale_variance = stick.without(keys, b, a)
    verdicts = judge(
        b, a, dispersion=(dispersion_b, dispersion_a), kernel=kernel_b | kernel_a, totals=(before.total, after.total),
        scale=scale, scale_variance=scale_variance,
    )  # fmt: skip
    share = columns["self_after"] / (right.total or 1) - columns["self_before"] / (left.total or 1)
    return joined.table(b, a, verdicts, np.abs(share))


def _union(left: CallTree, right: CallTree, per_sample: tuple[float, float] | None, mark: Mark | None) -> DiffTree:
    """per_sample: what a sample counts on either side; mark: what of its samples leaves the noise. Without them each
    was counted, and what differs is marked.
    """
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
    depth = np.concatenate([left.depth, right.depth])
    trie = merge_rows(parent.astype(np.int32), function.astype(np.int32), depth=depth)
    size = len(trie.parent)
    before_node, after_node = trie.node[:offset], trie.node[offset:]

    def gather(nodes: Int32, values: Float64) -> Float64:
        return np.bincount(nodes, weights=values, minlength=size)

    kinds = np.concatenate([left.kinds(), right.kinds()])
    total_before, total_after = gather(before_node, left.total_weight), gather(after_node, right.total_weight)
    if mark is None or per_sample is None:
        significant = differs(total_before, total_after)
    else:
        samples_before = gather(before_node, left.total_samples_of) / per_sample[0]
        samples_after = gather(after_node, right.total_samples_of) / per_sample[1]
        significant = mark(samples_before, samples_after, trie.function, list(keys))
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
        total_before=total_before,
        total_after=total_after,
        significant=significant,
        kinds=kinds[trie.row] if size else np.zeros(0, dtype=np.uint8),
        whole_before=left.total,
        whole_after=right.total,
        before_node=before_node,
        after_node=after_node,
        unit=right.unit,
    )


def _significant_nodes(
    b: Float64, a: Float64, function: Int32, keys: list[str], before: Counts, after: Counts, stick: Yardstick
) -> Bool:
    """The functions' own test on inclusive samples, each against the yardstick without its function.

    Trunk frames are not tested: they hold nearly everything, and cannot move against it.
    """
    (own_b, dispersion_b, kernel_b), (own_a, dispersion_a, kernel_a) = before.columns(keys), after.columns(keys)
    scale, scale_variance = stick.without(keys, own_b, own_a)
    narrow = (b < _TRUNK * before.total) & (a < _TRUNK * after.total) & large(b, a, before.total, after.total)
    marked = np.zeros(len(b), dtype=bool)
    at = function[narrow]
    marked[narrow] = judge(
        b[narrow],
        a[narrow],
        dispersion=(
            np.maximum(dispersion_b, before.mean_dispersion)[at],
            np.maximum(dispersion_a, after.mean_dispersion)[at],
        ),
        kernel=(kernel_b | kernel_a)[at],
        totals=(before.total, after.total),
        scale=scale[at],
        scale_variance=scale_variance[at],
    ).significant
    return marked


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
        f"Log ratio of self samples against the scale {scale:.3f} (after/before of the functions that stand still), "
        f"errors from counts, unevenness in time and run to run ({percent(RUN_TO_RUN, digits=0)} of the function, "
        f"{percent(MISPLACED)} of all samples); "
        f"{int(table.tested.sum())} functions tested, family-wise level {percent(LEVEL, digits=0)} (Holm, by share)."
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
