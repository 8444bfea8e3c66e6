"""Where every box of a flame graph lies, as arrays sorted for painting: by depth, then from left to right."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tailflame.analyse.tree import CallTree, group_starts, levels
from tailflame.model.stacks import NONE, Float64, Int32, Int64


class Order(StrEnum):
    """From left to right."""

    NAME = "by name"
    HEAVY = "left heavy"
    TIME = "time order"


@dataclass(frozen=True, slots=True, eq=False)
class FlameLayout:
    """Boxes of row d are row_start[d] to row_start[d + 1]; start and width are fractions of the whole.

    node: the box's node of the tree. In time order one node has several boxes.
    """

    row_start: Int64
    start: Float64
    width: Float64
    node: Int32
    total: float

    def __len__(self) -> int:
        return len(self.node)

    @property
    def depths(self) -> int:
        return len(self.row_start) - 1

    def at(self, depth: int, x: float) -> int:
        """The box of row `depth` that covers the fraction `x`, -1 where there is none."""
        if not 0 <= depth < self.depths:
            return NONE
        first, last = int(self.row_start[depth]), int(self.row_start[depth + 1])
        box = first + int(np.searchsorted(self.start[first:last], x, side="right")) - 1
        return box if box >= first and x < self.start[box] + self.width[box] else NONE


def lay_out(tree: CallTree, order: Order = Order.NAME) -> FlameLayout:
    """The boxes of `tree`. TIME falls back to NAME where there is no order of time, or inverted."""
    if order is Order.TIME and tree.sample_order is not None and not tree.options.inverted:
        return _in_time(tree, tree.sample_order)
    if order is Order.HEAVY:
        rank = -tree.total_weight
    else:
        names = tree.functions.names
        position = np.empty(len(names), dtype=np.int64)
        position[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
        rank = position[tree.function]
    return lay_out_ranked(tree.parent, tree.total_weight, rank, tree.level_start, tree.total)


def lay_out_ranked(
    parent: Int32, width: Float64, rank: Float64 | Int64, level_start: Int64, total: float
) -> FlameLayout:
    """Boxes of nodes numbered by level, siblings by ascending `rank`; a `width` of `total` is the whole."""
    size = len(parent)
    share = width / total if total else np.zeros(size)
    if not size:
        return FlameLayout(row_start=level_start, start=share, width=share, node=np.zeros(0, np.int32), total=total)
    ranked = _siblings_ranked(parent, rank)
    if ranked is None:
        return _as_numbered(parent, share, level_start, total)
    children = np.bincount(parent[level_start[1] :], minlength=size) if len(level_start) > 2 else np.zeros(size, int)
    child = np.cumsum(children) - children + level_start[1]  # the first one's place in `ranked`
    starts, widths, nodes = [], [], []
    above = np.zeros(1, dtype=np.int64)
    above_start = np.zeros(1)
    number, first = np.array([level_start[1]]), np.zeros(1, dtype=np.int64)
    for begin, end in levels(level_start):
        if begin:
            number, first = children[above], child[above]
            some = number > 0
            number, first, above_start = number[some], first[some], above_start[some]
        if len(number) == end - begin:  # only children
            node = ranked[first]
            here, start = share[node], above_start
        else:
            before = np.cumsum(number) - number
            node = ranked[np.repeat(first - before, number) + np.arange(end - begin)]
            here = share[node]
            left = np.cumsum(here) - here
            start = np.repeat(above_start - left[before], number) + left
        starts.append(start)
        widths.append(here)
        nodes.append(node)
        above, above_start = node, start
    return FlameLayout(
        row_start=level_start,
        start=np.concatenate(starts),
        width=np.concatenate(widths),
        node=np.concatenate(nodes).astype(np.int32),
        total=total,
    )


def _siblings_ranked(parent: Int32, rank: Float64 | Int64) -> Int64 | None:
    """All nodes, which stand in the order of their parents, with siblings by ascending `rank`; None where they stand
    so already."""
    siblings = parent[1:] == parent[:-1]
    if not (siblings & (rank[1:] < rank[:-1])).any():
        return None
    several = np.append(siblings, False)
    several[1:] |= siblings
    order = np.arange(len(parent))
    moved = order[several]
    if rank.dtype.kind == "i":  # one key for both, sorted in one go
        key = (parent[moved].astype(np.int64) << 32) | rank[moved]
        order[moved] = moved[np.argsort(key)]
    else:
        order[moved] = moved[np.lexsort((rank[moved], parent[moved]))]
    return order


def _as_numbered(parent: Int32, share: Float64, level_start: Int64, total: float) -> FlameLayout:
    """Where every row's boxes stand in the order of the nodes."""
    start = np.empty(len(parent))
    for first, last in levels(level_start):
        widths = share[first:last]
        if not first:
            start[:last] = np.cumsum(widths) - widths
            continue
        above = parent[first:last]
        base = start[above]
        groups = group_starts(above)
        if len(groups) < last - first:
            left = np.cumsum(widths) - widths
            base += left
            base -= np.repeat(left[groups], np.diff(np.append(groups, last - first)))
        start[first:last] = base
    return FlameLayout(
        row_start=level_start, start=start, width=share, node=np.arange(len(parent), dtype=np.int32), total=total
    )


def _in_time(tree: CallTree, order: Int64) -> FlameLayout:
    """A flame chart: samples from left to right in time, adjacent equal prefixes joined."""
    node, weight = tree.sample_node[order], tree.sample_weight[order]
    counted = weight > 0
    node, weight = node[counted], weight[counted]
    if not len(node):
        return FlameLayout(np.zeros(1, dtype=np.int64), np.zeros(0), np.zeros(0), np.zeros(0, np.int32), tree.total)
    change = group_starts(node)
    node, weight = node[change].copy(), np.add.reduceat(weight, change)
    begin = np.append(0.0, np.cumsum(weight)) / tree.total
    rows: list[tuple[Float64, Float64, Int32]] = []
    for depth in range(tree.depths - 1, -1, -1):
        here = (node >= 0) & (tree.depth[node] == depth)
        shown = np.where(here, node, NONE)
        edge = group_starts(shown)
        box = shown[edge]
        left, right = begin[edge], begin[np.append(edge[1:], len(shown))]
        real = box >= 0
        rows.append((left[real], (right - left)[real], box[real].astype(np.int32)))
        node[here] = tree.parent[node[here]]
    rows.reverse()
    starts = np.append(0, np.cumsum([len(r[2]) for r in rows])).astype(np.int64)
    return FlameLayout(
        row_start=starts,
        start=np.concatenate([r[0] for r in rows]),
        width=np.concatenate([r[1] for r in rows]),
        node=np.concatenate([r[2] for r in rows]),
        total=tree.total,
    )
