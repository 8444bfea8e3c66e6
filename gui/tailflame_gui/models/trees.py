"""The trees of one profile, each built once however many views ask for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from typing import TypeVar

import numpy as np

from tailflame.analyse.hotspots import (
    GroupBy,
    HotspotTable,
    Sandwich,
    grouping_of,
    sandwich_of,
    table_of,
    thread_table,
)
from tailflame.analyse.sample_filter import SampleRows
from tailflame.analyse.tree import CallTree, Skeleton, TreeOptions, build_tree, invert, shape_of, skeleton
from tailflame.model.stacks import NONE, Bool, Float64, FrameKind, Int32, Int64, StackProfile, Weight
from tailflame_gui.models.figures import Measure, measure_of
from tailflame_gui.models.scope import Scope

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")
_KEPT = 4
"""Trees of large profiles take tens of megabytes: the last few are enough to change one's mind."""
_SHAPES = 3
_TABLES = 8


class ProfileTrees:
    """For worker threads: `build` makes what is asked for, and two that ask for the same wait for one answer.

    A tree of another filter, event or weight is an old tree counted anew: its nodes are found only once.
    """

    def __init__(self, profile: StackProfile) -> None:
        self.profile = profile
        self.samples = SampleRows(profile)
        self._bones: OrderedDict[TreeOptions, Skeleton] = OrderedDict()
        self._trees: OrderedDict[TreeOptions, CallTree] = OrderedDict()
        self._tables: OrderedDict[TreeOptions, HotspotTable] = OrderedDict()
        self._has_inlined = bool((profile.frames.kind == FrameKind.INLINED).any())
        self._measures: dict[tuple[int, Weight], Measure] = {}
        self._lock = threading.Lock()

    def measure(self, scope: Scope) -> Measure:
        key = (scope.event, scope.weight)
        if key not in self._measures:
            self._measures[key] = measure_of(self.profile, event=scope.event, weight=scope.weight)
        return self._measures[key]

    def build(self, options: TreeOptions) -> CallTree:
        """The tree of `options`."""
        if not self._has_inlined:
            options = replace(options, inlines=True)  # there is nothing to fold
        with self._lock:
            tree = self._trees.pop(options, None)
            if tree is None:
                shape = shape_of(options)
                bones = self._bones.pop(shape, None) or skeleton(self.profile, shape)
                keep(self._bones, shape, bones, _SHAPES)
                rows = self.samples.rows(options.samples) if options.samples else None
                tree = build_tree(self.profile, options, bones=bones, rows=rows)
            keep(self._trees, options, tree, _KEPT)
            return tree

    def whole(self, options: TreeOptions) -> float:
        """The weight of all samples that options.samples lets in, whatever else the tree leaves out."""
        weights = self.profile.weights(event=options.event, weight=options.weight)
        return float(weights[self.samples.rows(options.samples)].sum() if options.samples else weights.sum())

    def tree(self, scope: Scope, *, inlines: bool = True) -> CallTree:
        """The top-down tree of `scope`."""
        return self.build(replace(scope.tree_options, inlines=inlines))

    def inverted(self, scope: Scope, *, inlines: bool = True) -> CallTree:
        """The bottom-up tree of `scope`."""
        return invert(self.tree(scope, inlines=inlines))

    def hotspots(self, scope: Scope, *, by: GroupBy = GroupBy.FUNCTION, inlines: bool = False) -> HotspotTable:
        options = replace(scope.tree_options, inlines=inlines, grouping=grouping_of(by))
        if by is GroupBy.THREAD:
            return thread_table(self.profile, self.build(options))
        tree = self.build(options)
        table = self._tables.get(options)
        if table is None:
            table = table_of(tree)
            keep(self._tables, options, table, _TABLES)
        return table

    def sandwich(self, scope: Scope, function: str) -> Sandwich:
        """Callers and callees of `function`, with inlined ones as functions of their own."""
        return sandwich_of(self.build(scope.tree_options), self.build(replace(scope.tree_options, focus=function)))


def keep(kept: OrderedDict[KeyT, ValueT], key: KeyT, value: ValueT, most: int) -> None:
    """Puts it last, and lets go of the first where there are too many."""
    kept[key] = value
    while len(kept) > most:
        kept.popitem(last=False)


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
