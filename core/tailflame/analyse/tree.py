"""The call tree of a profile: array arithmetic from samples to nodes, without recursion at any depth.

A tree's nodes are numbered level by level, so parents come before children and every level is a slice.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from tailflame.analyse import sample_filter, thin
from tailflame.analyse.counted import SAMPLED, as_counted
from tailflame.analyse.functions import FunctionTable as FunctionTable
from tailflame.analyse.functions import Grouping as Grouping
from tailflame.analyse.functions import fold_modules, function_table
from tailflame.analyse.merge import Trie, distinct, joined
from tailflame.analyse.merge import group_starts as group_starts
from tailflame.analyse.merge import merge_rows as merge_rows
from tailflame.analyse.sample_filter import EVERYTHING, SampleFilter, reached
from tailflame.analyse.thin import is_thin
from tailflame.model.stacks import (
    NONE,
    Bool,
    Event,
    Float64,
    FrameKind,
    FrameTable,
    Int32,
    Int64,
    StackProfile,
    UInt8,
    Weight,
)
from tailflame.units import Unit


@dataclass(frozen=True, slots=True)
class TreeOptions:
    """What of a profile a tree shows.

    hidden: names of functions whose frames are dropped, their callees attach to their callers.
    focus: only stacks through this function, cut to start at its outermost occurrence.
    collapse_modules: modules of which adjacent frames become one box named after the module.
    threads: indices into the profile's threads; None means all.
    samples: which of the samples are counted, besides: a range of time, an expression.
    inlines: False folds inlined frames into the physical function, as `perf report --no-inline` counts.
    """

    event: int = 0
    weight: Weight = Weight.SAMPLES
    inverted: bool = False
    grouping: Grouping = Grouping.FUNCTION
    collapse_recursion: bool = False
    collapse_modules: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    focus: str | None = None
    threads: frozenset[int] | None = None
    inlines: bool = True
    samples: SampleFilter = EVERYTHING


@dataclass(frozen=True, slots=True, eq=False)
class CallTree:
    """Nodes by level. Per node: parent (-1), function, frame (one that stands for it, -1: none), depth,
    self and total in the view's weight and in samples.

    sample_node: node of every row of the profile's samples (-1: filtered out); sample_weight: its weight.
    level_start: first node of each level, and the number of nodes at the end.
    total, total_samples: of the view, including samples without any stack.
    """

    functions: FunctionTable
    frames: FrameTable
    parent: Int32
    function: Int32
    frame: Int32
    depth: Int32
    self_weight: Float64
    total_weight: Float64
    self_samples: Float64
    total_samples_of: Float64
    level_start: Int64
    total: float
    total_samples: float
    unit: Unit
    options: TreeOptions
    sample_node: Int32
    sample_weight: Float64
    sample_order: Int64 | None
    """Rows of the samples in the order of time; None where the file has no order."""
    event: Event = SAMPLED
    """What is weighed; said to be exact where each was counted."""
    _cache: dict[str, tuple[Int64, Int64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def depths(self) -> int:
        return len(self.level_start) - 1

    def name(self, node: int) -> str:
        return self.functions.names[int(self.function[node])]

    def kind(self, node: int) -> FrameKind:
        frame = int(self.frame[node])  # not by `kinds`: the pointer asks this of one node among millions
        return FrameKind(int(self.frames.kind[frame] if frame >= 0 else self.functions.kind[int(self.function[node])]))

    def kinds(self) -> UInt8:
        """FrameKind of every node."""
        kinds: UInt8 = self.functions.kind[self.function].copy()
        if len(self.frames):
            known = self.frame >= 0
            kinds[known] = self.frames.kind[self.frame[known]]
        return np.asarray(kinds)

    def module(self, node: int) -> str:
        frame = int(self.frame[node])
        return self.frames.module_of(frame) if frame >= 0 else self.functions.module[int(self.function[node])]

    def place(self, node: int) -> tuple[str, int]:
        """(source file, line) of the node, ("", -1) where unknown."""
        frame = int(self.frame[node])
        if frame < 0:
            return "", NONE
        return self.frames.file_of(frame), int(self.frames.line[frame])

    def path(self, node: int) -> list[int]:
        """Nodes from the root to `node`."""
        nodes: list[int] = []
        while node >= 0:
            nodes.append(node)
            node = int(self.parent[node])
        return nodes[::-1]

    def children(self, node: int) -> Int64:
        """Nodes whose parent is `node` (-1: the roots)."""
        if node < 0:
            return np.arange(self.level_start[1] if self.depths else 0)
        depth = int(self.depth[node]) + 1
        if depth >= self.depths:
            return np.zeros(0, dtype=np.int64)
        first, last = int(self.level_start[depth]), int(self.level_start[depth + 1])
        return np.flatnonzero(self.parent[first:last] == node) + first

    def preorder(self) -> tuple[Int64, Int64]:
        """(enter, leave) of every node: n's subtree is every m with enter[n] <= enter[m] < leave[n]."""
        if "preorder" not in self._cache:
            size = np.ones(len(self), dtype=np.int64)
            add_up(size, self.parent, self.level_start)
            enter = thin.entered(size, self.parent) if is_thin(len(self), self.depths) else self._entered(size)
            self._cache["preorder"] = (enter, enter + size)
        return self._cache["preorder"]

    def _entered(self, size: Int64) -> Int64:
        enter = np.zeros(len(self), dtype=np.int64)
        for first, last in levels(self.level_start):
            parent = self.parent[first:last]
            order = np.argsort(parent, kind="stable")
            sizes = size[first:last][order]
            before = np.cumsum(sizes) - sizes
            groups = group_starts(parent[order])
            offset = np.repeat(before[groups], np.diff(np.append(groups, last - first)))
            base = np.where(parent[order] >= 0, enter[parent[order]] + 1, 0)
            enter[first + order] = base + before - offset
        return enter

    def outermost(self) -> Bool:
        """True for nodes with no ancestor of the same function: those whose totals may be added up."""
        if "outermost" not in self._cache:
            top = outermost_among(self, np.arange(len(self)), self.function)
            self._cache["outermost"] = (top, top)
        return self._cache["outermost"][0]


def outermost_among(tree: CallTree, nodes: Int64, group: Int64 | Int32) -> Bool:
    """True for the nodes with no ancestor in the same group: those whose totals may be added up.

    nodes: of the tree; group: one number for each of them.
    """
    if not len(nodes):
        return np.zeros(0, dtype=bool)
    enter, leave = tree.preorder()
    order = np.argsort(group.astype(np.int64) * max(len(tree), 1) + enter[nodes])
    groups, start, end = group[order].astype(np.int64), enter[nodes][order], leave[nodes][order]
    # Running maximum of `end` within each group: the group's own offset keeps them apart.
    span = int(leave.max(initial=0)) + 1
    reach = np.maximum.accumulate(groups * span + end)
    nested = np.zeros(len(nodes), dtype=bool)
    nested[1:] = reach[:-1] > groups[1:] * span + start[1:]
    answer = np.empty(len(nodes), dtype=bool)
    answer[order] = ~nested
    return answer


def levels(level_start: Int64) -> list[tuple[int, int]]:
    """(first, last + 1) node of every level, from the roots down."""
    return [(int(a), int(b)) for a, b in pairwise(level_start)]


def add_up(values: Float64 | Int64, parent: Int32, level_start: Int64) -> None:
    """Adds every node's value to its parent's, from the deepest level up, in place."""
    if is_thin(len(parent), len(level_start) - 1):
        thin.add_up(values, parent, level_start)
        return
    for above, (first, last) in reversed(list(pairwise(levels(level_start)))):
        # Of the two levels alone: numpy copies all of an array that it reads and writes at once.
        np.add.at(values[slice(*above)], parent[first:last] - above[0], values[first:last])


def kept_ancestor(parent: Int32, keep: Bool) -> Int32:
    """For every row the nearest proper ancestor that is kept, -1 where there is none."""
    up = parent.copy()
    if keep.all():
        return up
    while True:
        skip = (up >= 0) & ~keep[up]
        if not skip.any():
            return up
        # Jumping from a dropped ancestor to its own answer so far at least doubles the reach every round.
        up[skip] = up[up[skip]]


def shape_of(options: TreeOptions) -> TreeOptions:
    """What of `options` decides which nodes there can be, whatever is counted: trees of one shape share a Skeleton."""
    return replace(options, event=0, weight=Weight.SAMPLES, inverted=False, threads=None, samples=EVERYTHING)


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """The call tree of a profile before a sample is counted: made once, weighed anew for every filter.

    node: of every row of the samples (-1: none), in whatever event or filter. order: as CallTree.sample_order.
    """

    shape: TreeOptions
    functions: FunctionTable
    trie: Trie
    frame: Int32
    node: Int32
    order: Int64 | None
    kept: dict[str, Bool] = field(default_factory=dict)
    """What holds for its nodes however they are weighed, made when it is first needed."""


def skeleton(profile: StackProfile, options: TreeOptions) -> Skeleton:
    """What all trees of the shape of `options` have in common: the slow part of `build_tree`."""
    functions, function_of = function_table(profile.frames, options.grouping)
    stacks, samples = profile.stacks, profile.samples
    row_function = function_of[stacks.frame] if len(stacks) else np.zeros(0, dtype=np.int32)
    keep = np.ones(len(stacks), dtype=bool)
    if not options.inlines:
        keep &= profile.frames.kind[stacks.frame] != FrameKind.INLINED
    if options.hidden:
        hidden = np.array([name in options.hidden for name in functions.names], dtype=bool)
        keep &= ~hidden[row_function]
    if options.collapse_modules:
        functions, row_function, folded = fold_modules(profile.frames, stacks, functions, row_function,
                                                       options.collapse_modules)  # fmt: skip
        up = kept_ancestor(stacks.parent, keep)
        keep &= ~(folded & (up >= 0) & (row_function == row_function[up]))
    if options.collapse_recursion or options.grouping in (Grouping.MODULE, Grouping.FILE):
        up = kept_ancestor(stacks.parent, keep)
        keep &= ~((up >= 0) & (row_function == row_function[up]))
    parent = kept_ancestor(stacks.parent, keep)
    # A dropped row's samples belong to the nearest ancestor that stays.
    place = None if keep.all() else np.where(keep, np.arange(len(stacks), dtype=np.int32), parent)
    if options.focus is not None:
        wanted = np.array([name == options.focus for name in functions.names], dtype=bool)[row_function] & keep
        through = reached(parent, wanted)
        top = wanted & ~((parent >= 0) & through[parent])
        parent = np.where(top, NONE, parent).astype(np.int32)
        keep &= through
        if place is None:
            place = np.arange(len(stacks), dtype=np.int32)
        place = np.where((place >= 0) & through[place], place, NONE)
    trie = merge_rows(parent, row_function, keep)
    frame = stacks.frame[trie.row] if len(trie.parent) else np.zeros(0, dtype=np.int32)
    if options.collapse_modules and len(frame):
        frame = np.where(functions.frame[trie.function] < 0, NONE, frame).astype(np.int32)
    return Skeleton(
        shape=shape_of(options),
        functions=functions,
        trie=trie,
        frame=frame,
        node=_at(trie.node, samples.stack if place is None else _at(place, samples.stack)),
        order=time_order(profile),
    )


def _at(table: Int32, index: Int32) -> Int32:
    """What `table` holds at each index, -1 for -1: an empty stack, a row that is left out."""
    if not len(table):
        return np.full(len(index), NONE, dtype=np.int32)
    return np.where(index >= 0, table[index], np.int32(NONE))


def build_tree(
    profile: StackProfile,
    options: TreeOptions | None = None,
    *,
    bones: Skeleton | None = None,
    rows: Bool | None = None,
) -> CallTree:
    """The call tree of `profile` as `options` ask. Pure; seconds only for tens of millions of rows.

    `bones` (of this profile, and of the shape of `options`) and `rows` (the samples that options.samples lets in) are
    for those who have them already: then it is a matter of counting.
    """
    options = options or TreeOptions()
    shared = bones is not None
    if bones is None:
        bones = skeleton(profile, options)
    if options.samples and rows is None:
        rows = sample_filter.rows(profile, options.samples)
    tree = _weighed(bones, profile, options, rows)
    if shared:
        # Whether a node has an ancestor of the same function is no matter of weights.
        if "outermost" not in bones.kept:
            bones.kept["outermost"] = tree.outermost()
        tree._cache["outermost"] = (bones.kept["outermost"], bones.kept["outermost"])
    tree = _pruned(tree)
    return invert(tree) if options.inverted else tree


def _weighed(bones: Skeleton, profile: StackProfile, options: TreeOptions, rows: Bool | None) -> CallTree:
    samples, trie = profile.samples, bones.trie
    chosen = samples.event == options.event
    if options.threads is not None:
        chosen &= np.isin(samples.thread, np.fromiter(options.threads, dtype=np.int32))
    if rows is not None:
        chosen &= rows
    if options.focus is not None:
        chosen &= bones.node >= 0
    size = len(trie.parent)
    every = bool(chosen.all())
    at = np.flatnonzero(chosen) if not every else slice(None)
    # A node of its own, at the front, for samples without a place in the tree.
    node = bones.node[at].astype(np.intp) + 1

    def summed(column: Float64) -> tuple[Float64, Float64, float]:
        weight = column[at]
        own = np.bincount(node, weights=weight, minlength=size + 1)[1:]
        total = own.copy()
        add_up(total, trie.parent, trie.level_start)
        return own, total, float(weight.sum())

    self_samples, total_samples, count = summed(samples.count)
    by_period = options.weight is Weight.PERIOD and profile.events[options.event].has_period
    self_weight, total_weight, whole = summed(samples.period) if by_period else (self_samples, total_samples, count)
    sample_weight = samples.period if by_period else samples.count
    return CallTree(
        functions=bones.functions,
        frames=profile.frames,
        parent=trie.parent,
        function=trie.function,
        frame=bones.frame,
        depth=trie.depth,
        self_weight=self_weight,
        total_weight=total_weight,
        self_samples=self_samples,
        total_samples_of=total_samples,
        level_start=trie.level_start,
        total=whole,
        total_samples=count,
        unit=profile.unit(event=options.event, weight=options.weight),
        options=options,
        sample_node=bones.node if every else np.where(chosen, bones.node, np.int32(NONE)),
        sample_weight=sample_weight if every else np.where(chosen, sample_weight, 0.0),
        sample_order=bones.order,
        event=as_counted(profile, options.event),
    )


def time_order(profile: StackProfile) -> Int64 | None:
    """Rows of the samples in the order of time, None where the file has none."""
    times = profile.samples.time_ns
    if len(times) and (times >= 0).all():
        return np.argsort(times, kind="stable")
    return np.arange(len(times)) if profile.in_time_order else None


def _pruned(tree: CallTree) -> CallTree:
    """Without the nodes that no sample of the view reaches."""
    used = (tree.total_samples_of != 0) | (tree.total_weight != 0)
    if used.all():
        return tree
    new = np.cumsum(used, dtype=np.int64) - 1
    renumber = np.where(used, new, NONE).astype(np.int32)
    starts = np.append(group_starts(tree.depth[used]), used.sum()).astype(np.int64)
    parent = tree.parent[used]
    cache = {}
    if "outermost" in tree._cache:
        # A node's ancestors are kept with it. What else is known tells of places among nodes that go.
        top = tree._cache["outermost"][0][used]
        cache["outermost"] = (top, top)
    node = np.where(tree.sample_node >= 0, renumber[tree.sample_node], NONE) if len(tree) else tree.sample_node
    return CallTree(
        functions=tree.functions,
        frames=tree.frames,
        parent=np.where(parent >= 0, renumber[parent], NONE).astype(np.int32),
        function=tree.function[used],
        frame=tree.frame[used],
        depth=tree.depth[used],
        self_weight=tree.self_weight[used],
        total_weight=tree.total_weight[used],
        self_samples=tree.self_samples[used],
        total_samples_of=tree.total_samples_of[used],
        level_start=starts,
        total=tree.total,
        total_samples=tree.total_samples,
        unit=tree.unit,
        options=tree.options,
        sample_node=node.astype(np.int32),
        sample_weight=tree.sample_weight,
        sample_order=tree.sample_order,
        event=tree.event,
        _cache=cache,
    )


def invert(tree: CallTree, *, start: Int64 | None = None) -> CallTree:
    """The tree read from the leaves: each root is a function, its children are its callers.

    Without `start` every node gives its self weight. With it, each node of `start` gives its total weight
    instead: the callers of a function.
    """
    if start is None:
        start = np.flatnonzero((tree.self_samples != 0) | (tree.self_weight != 0))
        weight, count = tree.self_weight[start], tree.self_samples[start]
    else:
        weight, count = tree.total_weight[start], tree.total_samples_of[start]
    span = max(len(tree.functions), 1)
    at = start.astype(np.int64)
    origin = np.arange(len(at))
    above = np.full(len(at), NONE, dtype=np.int64)
    last = np.full(len(at), NONE, dtype=np.int64)
    parents, functions, frames, weights, counts, starts = [], [], [], [], [], [0]
    while len(at):
        key = (above + 1) * span + tree.function[at]
        index, inverse = distinct(key)
        parents.append(above[index])
        functions.append(tree.function[at[index]])
        frames.append(tree.frame[at[index]])
        weights.append(np.bincount(inverse, weights=weight[origin]))
        counts.append(np.bincount(inverse, weights=count[origin]))
        above = starts[-1] + inverse
        last[origin] = above
        starts.append(starts[-1] + len(index))
        at = tree.parent[at].astype(np.int64)
        going = at >= 0
        at, origin, above = at[going], origin[going], above[going]
    size = starts[-1]
    end_of = np.full(len(tree) + 1, NONE, dtype=np.int64)
    end_of[start] = last
    return CallTree(
        functions=tree.functions,
        frames=tree.frames,
        parent=joined(parents),
        function=joined(functions),
        frame=joined(frames),
        depth=np.repeat(np.arange(len(starts) - 1, dtype=np.int32), np.diff(starts)),
        self_weight=np.bincount(last, weights=weight, minlength=size) if size else np.zeros(0),
        total_weight=np.concatenate(weights) if weights else np.zeros(0),
        self_samples=np.bincount(last, weights=count, minlength=size) if size else np.zeros(0),
        total_samples_of=np.concatenate(counts) if counts else np.zeros(0),
        level_start=np.asarray(starts, dtype=np.int64),
        total=tree.total,
        total_samples=tree.total_samples,
        unit=tree.unit,
        options=tree.options,
        sample_node=end_of[tree.sample_node].astype(np.int32),  # -1 reads the sentinel at the end
        sample_weight=tree.sample_weight,
        sample_order=tree.sample_order,
        event=tree.event,
    )
