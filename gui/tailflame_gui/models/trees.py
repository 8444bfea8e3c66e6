"""The trees of one profile, each built once however many views ask for it."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

from tailflame.analyse.hotspots import GroupBy, HotspotTable, hotspots, table_of
from tailflame.analyse.tree import CallTree, TreeOptions, build_tree, invert
from tailflame.model.stacks import NONE, Bool, Float64, Int32, Int64, StackProfile
from tailflame_gui.models.figures import Measure, measure_of
from tailflame_gui.models.scope import Scope

_KEPT = 4
"""Trees of large profiles take tens of megabytes: the last few are enough to change one's mind."""


class ProfileTrees:
    """For worker threads: `tree` builds what is asked for, and two that ask for the same wait for one answer."""

    def __init__(self, profile: StackProfile) -> None:
        self.profile = profile
        self._trees: OrderedDict[tuple[Scope, bool], CallTree] = OrderedDict()
        self._tables: dict[tuple[Scope, bool], HotspotTable] = {}
        self._lock = threading.Lock()

    def measure(self, scope: Scope) -> Measure:
        return measure_of(self.profile, event=scope.event, weight=scope.weight)

    def tree(self, scope: Scope, *, inlines: bool = True) -> CallTree:
        """The top-down tree of `scope`."""
        key = (scope, inlines)
        with self._lock:
            tree = self._trees.get(key)
            if tree is None:
                options = TreeOptions(event=scope.event, weight=scope.weight, threads=scope.threads, inlines=inlines)
                tree = self._trees[key] = build_tree(self.profile, options)
                while len(self._trees) > _KEPT:
                    old, _tree = self._trees.popitem(last=False)
                    self._tables.pop(old, None)
            self._trees.move_to_end(key)
            return tree

    def inverted(self, scope: Scope, *, inlines: bool = True) -> CallTree:
        """The bottom-up tree of `scope`."""
        return invert(self.tree(scope, inlines=inlines))

    def hotspots(self, scope: Scope, *, by: GroupBy = GroupBy.FUNCTION, inlines: bool = False) -> HotspotTable:
        if by is GroupBy.FUNCTION:
            tree = self.tree(scope, inlines=inlines)
            table = self._tables.get((scope, inlines))
            if table is None:
                table = self._tables[scope, inlines] = table_of(tree)
            return table
        return hotspots(
            self.profile, event=scope.event, weight=scope.weight, by=by, threads=scope.threads, inlines=inlines
        )


def neighbours(tree: CallTree, function: str) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """(callers, callees) of a function with the weight that passes between them, heaviest first.

    A recursive function counts once: only its outermost calls are looked at, as in the callers/callees view.
    """
    index = tree.functions.index(function)
    if index < 0:
        return [], []
    own = np.flatnonzero((tree.function == index) & tree.outermost())
    called = np.flatnonzero(tree.parent[own] >= 0)
    callers = _gathered(tree, tree.parent[own[called]], tree.total_weight[own[called]])
    is_own = np.zeros(len(tree) + 1, dtype=bool)
    is_own[own] = True
    is_own[NONE] = False
    below: Bool = is_own[tree.parent]
    children = np.flatnonzero(below)
    return callers, _gathered(tree, children, tree.total_weight[children])


def _gathered(tree: CallTree, nodes: Int32 | Int64, weights: Float64) -> list[tuple[str, float]]:
    total = np.bincount(tree.function[nodes], weights=weights, minlength=len(tree.functions))
    order = np.argsort(-total, kind="stable")
    return [(tree.functions.names[i], float(total[i])) for i in order[: int((total > 0).sum())]]
