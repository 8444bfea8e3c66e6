"""Rows of a tree merged by what they say: callers' nodes and functions in, nodes by level out.

Millions of rows are sorted only as far as they need it. The nodes of a level stand in the order of their parents, so
that siblings stand together, and where no two siblings are alike there is nothing to merge at all: the usual profile
has been merged by frames when it was read, and its functions are as many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailflame.analyse import thin
from tailflame.analyse.thin import is_thin
from tailflame.model.stacks import NONE, Bool, Int32, Int64, StackTable


@dataclass(frozen=True, slots=True, eq=False)
class Trie:
    """Rows of (parent, function) merged so that no two nodes share both; nodes are numbered by level, and within a
    level in the order of their parents."""

    parent: Int32
    function: Int32
    row: Int32
    """One row that became the node: its first."""
    depth: Int32
    level_start: Int64
    node: Int32
    """Node of every row, -1 for rows that were left out."""


def group_starts(values: Int64) -> Int64:
    """Indices at which a run of equal values begins."""
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    return np.append(0, np.flatnonzero(values[1:] != values[:-1]) + 1)


def merge_rows(parent: Int32, function: Int32, keep: Bool | None = None, *, depth: Int32 | None = None) -> Trie:
    """The trie of rows with `parent` (another kept row or -1) and `function`. depth: of the rows, where it is known."""
    if keep is not None and bool(keep.all()):
        keep = None
    if keep is None and len(parent) and bool((parent[1:] >= parent[:-1]).all()) and not _has_twins(parent, function):
        return _as_it_is(parent, function)
    depth_of = StackTable(frame=function, parent=parent).depths() if depth is None else depth
    if keep is not None:
        depth_of = np.where(keep, depth_of, NONE).astype(np.int32)
    deepest = int(depth_of.max(initial=NONE))
    # Numbers of 16 bits are sorted by counting.
    order = np.argsort(depth_of.astype(np.int16) if deepest < 2**15 else depth_of, kind="stable")
    bounds = np.searchsorted(depth_of[order], np.arange(deepest + 2))
    span = int(function.max(initial=0)) + 1
    node = np.full(len(parent), NONE, dtype=np.int32)
    parents, functions, rows, starts = [], [], [], [0]
    for level in range(deepest + 1):
        at = order[bounds[level] : bounds[level + 1]]
        above = node[parent[at]].astype(np.int64) if level else np.full(len(at), NONE, dtype=np.int64)
        index, inverse = distinct((above + 1) * span + function[at])
        node[at] = starts[-1] + inverse
        parents.append(above[index])
        functions.append(function[at[index]])
        rows.append(at[index])
        starts.append(starts[-1] + len(index))
    return Trie(
        parent=joined(parents),
        function=joined(functions),
        row=joined(rows),
        depth=np.repeat(np.arange(deepest + 1, dtype=np.int32), np.diff(starts)),
        level_start=np.asarray(starts, dtype=np.int64),
        node=node,
    )


def distinct(keys: Int64) -> tuple[Int64, Int64]:
    """(index of the first of each key, by ascending keys; the place of each key among these)."""
    if is_thin(len(keys), 1):
        return thin.distinct(keys)
    order = np.argsort(keys)  # not a stable one, which takes half as long again
    ordered = keys[order]
    starts = group_starts(ordered)
    if len(starts) == len(keys):
        index = order
        inverse = np.empty(len(keys), dtype=np.int64)
        inverse[order] = np.arange(len(keys))
        return index, inverse
    inverse = np.empty(len(keys), dtype=np.int64)
    inverse[order] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(keys))))
    return np.minimum.reduceat(order, starts), inverse


def joined(parts: list[Int32]) -> Int32:
    return np.concatenate(parts).astype(np.int32) if parts else np.zeros(0, dtype=np.int32)


def _has_twins(parent: Int32, function: Int32) -> bool:
    """Whether two siblings have the same function, where siblings stand together."""
    siblings = parent[1:] == parent[:-1]
    several = np.empty(len(parent), np.bool_)
    several[:-1], several[-1] = siblings, False
    several[1:] |= siblings
    keys = parent[several].astype(np.int64) << 32 | function[several]
    keys.sort()
    return bool((keys[1:] == keys[:-1]).any())


def _as_it_is(parent: Int32, function: Int32) -> Trie:
    """Rows that are nodes already: by level, in the order of their parents, and all of them different."""
    starts = [0]
    before = parent.dtype.type(0)  # of the same type, or numpy converts all of the array for each level
    while starts[-1] < len(parent):
        # A level ends where the first child of its own first row stands.
        starts.append(int(np.searchsorted(parent, before)))
        before = parent.dtype.type(starts[-1])
    every = np.arange(len(parent), dtype=np.int32)
    return Trie(
        parent=parent,
        function=function,
        row=every,
        depth=np.repeat(np.arange(len(starts) - 1, dtype=np.int32), np.diff(starts)),
        level_start=np.asarray(starts, dtype=np.int64),
        node=every,
    )
