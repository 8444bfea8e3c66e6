"""The boxes of a flame graph with whole-number places, as inferno's fg:x and fg:w want them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tailflame.analyse.layout import FlameLayout
from tailflame.analyse.tree import CallTree, group_starts
from tailflame.model import NONE
from tailflame.model.stacks import Float64, Int32, Int64

FINE = 1_000_000
"""Places on the whole where weights have fractions."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnBoxes:
    """One entry per box to draw, row by row from the root, each from left to right.

    node: of the tree; depth: 0 for the roots; parent: the box below (-1 for roots); start, width: places on
    `places`, the whole; weight, own: of the box, with and without what it calls; samples: its own in samples,
    NaN where that is not known per box.
    """

    node: Int32
    depth: Int64
    parent: Int64
    start: Int64
    width: Int64
    weight: Float64
    own: Float64
    samples: Float64
    places: int

    @property
    def in_places(self) -> bool:
        """Whether weights are whole, so that widths tell them exactly."""
        return bool((self.weight == self.width).all())

    @property
    def rows(self) -> int:
        return int(self.depth.max(initial=-1)) + 1


def drawn_boxes(tree: CallTree, layout: FlameLayout, *, least_share: float = 0.0) -> DrawnBoxes:
    """The boxes of `layout` that have at least `least_share` of the whole; 0 keeps every one."""
    node = layout.node
    single = len(layout) == len(tree)  # in time order a node may have several boxes
    parent = _node_parents(tree, layout) if single else _place_parents(layout)
    whole = bool((tree.self_weight % 1 == 0).all()) and float(tree.total).is_integer()
    if single:
        weight, samples = tree.total_weight[node], tree.total_samples_of[node]
    else:
        weight = layout.width * tree.total
        weight = np.rint(weight) if whole else weight
        samples = np.full(len(layout), np.nan)
    if whole:
        places = int(tree.total)
        start = _summed(parent, weight, layout.row_start) if single else np.rint(layout.start * tree.total)
        width = weight
    else:
        places = FINE
        start = np.rint(layout.start * FINE)
        width = np.rint((layout.start + layout.width) * FINE) - start
    kept = np.flatnonzero(layout.width >= least_share)
    if single and len(kept) == len(layout):
        own, own_samples = tree.self_weight[node], tree.self_samples[node]
    else:
        own, own_samples = _own(weight, parent, kept), _own(samples, parent, kept)
    number = np.full(len(layout) + 1, NONE, dtype=np.int64)  # the last one is found at -1
    number[kept] = np.arange(len(kept))
    return DrawnBoxes(
        node=node[kept],
        depth=tree.depth[node[kept]].astype(np.int64),
        parent=number[parent[kept]],  # a parent is at least as wide, so it is kept as well
        start=start[kept].astype(np.int64),
        width=width[kept].astype(np.int64),
        weight=weight[kept],
        own=own[kept],
        samples=own_samples[kept],
        places=places,
    )


def _node_parents(tree: CallTree, layout: FlameLayout) -> Int64:
    box = np.full(len(tree) + 1, NONE, dtype=np.int64)
    box[layout.node] = np.arange(len(layout))
    return box[tree.parent[layout.node]]


def _place_parents(layout: FlameLayout) -> Int64:
    """The box each box stands on: the last one of the row below that starts no later."""
    parent = np.full(len(layout), NONE, dtype=np.int64)
    bounds = [int(b) for b in layout.row_start]
    for (low, high), (first, last) in pairwise(pairwise(bounds)):
        below = layout.start[low:high]
        parent[first:last] = low + np.searchsorted(below, layout.start[first:last], side="right") - 1
    return parent


def _summed(parent: Int64, weight: Float64, row_start: Int64) -> Float64:
    """Where each box starts: after its parent's start and its left neighbours, in exact whole numbers."""
    start = np.zeros(len(parent))
    before = np.cumsum(weight) - weight
    groups = group_starts(parent)  # children of one parent are neighbours
    offset = before - np.repeat(before[groups], np.diff(np.append(groups, len(parent))))
    for first, last in pairwise(row_start.tolist()):
        above = parent[first:last]
        start[first:last] = offset[first:last] + np.where(above >= 0, start[above], 0.0)
    return start


def _own(weight: Float64, parent: Int64, kept: Int64) -> Float64:
    inner = kept[parent[kept] >= 0]
    called = np.bincount(parent[inner], weights=weight[inner], minlength=len(weight))
    return np.maximum(weight - called, 0.0)
