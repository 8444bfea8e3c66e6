"""The lines of a tree in display order, worked out only where it is open: a tree of millions of nodes opens at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tailflame.analyse.tree import CallTree
from tailflame.model.stacks import Bool, Int64
from tailflame_gui.widgets.flame_search import matching


class Siblings:
    """The children of every node by ascending `rank` (one number per node)."""

    @classmethod
    def heaviest_first(cls, tree: CallTree) -> Siblings:
        """As a tree is shown at first. Half a second for ten million nodes: make it where the tree is made."""
        return cls(tree, -tree.total_weight)

    def __init__(self, tree: CallTree | None, rank: npt.NDArray[Any]) -> None:
        self.rank = rank
        parent = tree.parent if tree is not None else np.zeros(0, dtype=np.int32)
        # Nodes are numbered by level and parent, so children stand together; otherwise they are put so.
        self._nodes: Int64 | None = None
        if not bool((parent[1:] >= parent[:-1]).all()):
            self._nodes = np.argsort(parent, kind="stable")
            parent = parent[self._nodes]
        # Searching lets other threads run meanwhile; counting (bincount) would hold up the window.
        self._first: Int64 = np.searchsorted(parent, np.arange(-1, len(parent) + 1, dtype=np.int32))
        self._groups: dict[int, tuple[Int64, Int64]] = {}

    def count(self, node: int) -> int:
        """Children of a node, of the invisible root for -1."""
        return int(self._first[node + 2] - self._first[node + 1]) if node + 2 < len(self._first) else 0

    def children(self, node: int) -> Int64:
        """Children in display order."""
        return self._group(node)[0]

    def child(self, node: int, line: int) -> int:
        return int(self._group(node)[0][line])

    def line(self, node: int, parent: int) -> int:
        """The line of `node` among the children of `parent`."""
        if self.count(parent) == 1:
            return 0
        places = self._group(parent)[1]
        if self._nodes is None:
            return int(places[node - int(self._first[parent + 1])])
        return int(np.flatnonzero(self._group(parent)[0] == node)[0])

    def _group(self, node: int) -> tuple[Int64, Int64]:
        """(children in display order, the line of each child in the order of nodes)."""
        group = self._groups.get(node)
        if group is None:
            if not self.count(node):
                return _EMPTY, _EMPTY
            first, last = int(self._first[node + 1]), int(self._first[node + 2])
            nodes = np.arange(first, last) if self._nodes is None else self._nodes[first:last]
            order = np.argsort(self.rank[nodes], kind="stable")
            lines = np.empty(len(nodes), dtype=np.int64)
            lines[order] = np.arange(len(nodes))
            group = self._groups[node] = (nodes[order], lines)
        return group


_EMPTY: Int64 = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """marked: per node; nodes: the marked ones as they are read from the top to the bottom."""

    marked: Bool | None
    nodes: Int64


NOTHING = Found(None, _EMPTY)


def find(tree: CallTree, rank: npt.NDArray[Any], query: str, *, ignore_case: bool = True) -> Found:
    """The nodes whose function matches. Pure; takes seconds for millions of nodes.

    PatternError where `query` cannot be read.
    """
    if not query or not len(tree):
        return NOTHING
    marked = matching(tree.functions.names, query, ignore_case=ignore_case)[tree.function]
    nodes = np.flatnonzero(marked)
    return Found(marked, nodes[np.argsort(_reading_order(tree, rank)[nodes], kind="stable")])


def _reading_order(tree: CallTree, rank: npt.NDArray[Any]) -> Int64:
    """Where every node stands when everything is open."""
    enter, leave = tree.preorder()
    size = leave - enter
    parent = tree.parent
    order = np.lexsort((rank, parent))
    # Sizes of the earlier siblings, then the parent's own line, level by level.
    before = np.cumsum(size[order]) - size[order]
    heads = np.flatnonzero(np.append(True, parent[order][1:] != parent[order][:-1]))
    lengths = np.diff(np.append(heads, len(order)))
    line = np.empty(len(tree), dtype=np.int64)
    line[order] = before - np.repeat(before[heads], lengths)
    for depth in range(1, tree.depths):
        first, last = int(tree.level_start[depth]), int(tree.level_start[depth + 1])
        line[first:last] += line[parent[first:last]] + 1
    return line
