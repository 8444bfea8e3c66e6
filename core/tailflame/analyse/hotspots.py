"""Flat tables of a profile: self and total per function, module, source file or thread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from tailflame.analyse.counted import SAMPLED
from tailflame.analyse.sample_filter import rows
from tailflame.analyse.tree import CallTree, Grouping, TreeOptions, build_tree, invert
from tailflame.model.stacks import (
    NONE,
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
from tailflame.units import Unit


class GroupBy(StrEnum):
    """What a row of the table is."""

    FUNCTION = "function"
    MODULE = "module"
    FILE = "source file"
    THREAD = "thread"


_GROUPING = {
    GroupBy.FUNCTION: Grouping.FUNCTION,
    GroupBy.MODULE: Grouping.MODULE,
    GroupBy.FILE: Grouping.FILE,
}


@dataclass(frozen=True, slots=True, eq=False)
class HotspotTable:
    """One row per key, heaviest self first. Totals count a recursive function once per sample.

    self_weight, total_weight: in `unit`; self_samples, total_samples: samples.
    total, samples: of the whole view, what 100 % means. event: what is weighed; exact where each was counted.
    """

    key: tuple[str, ...]
    module: tuple[str, ...]
    file: tuple[str, ...]
    line: Int32
    kind: UInt8
    self_weight: Float64
    total_weight: Float64
    self_samples: Float64
    total_samples: Float64
    total: float
    samples: float
    unit: Unit
    event: Event = SAMPLED

    def __len__(self) -> int:
        return len(self.key)

    def row(self, key: str) -> int:
        """The row of `key`, -1 where there is none."""
        return self.key.index(key) if key in self.key else NONE

    def hottest(self, count: int = 3) -> list[int]:
        """Rows with the most self weight that are code: no process roots, none without self weight."""
        rows = np.flatnonzero((self.kind != FrameKind.OTHER) & (self.self_weight > 0))
        return [int(r) for r in rows[:count]]


def hotspots(
    profile: StackProfile,
    *,
    event: int = 0,
    weight: Weight = Weight.SAMPLES,
    by: GroupBy = GroupBy.FUNCTION,
    threads: frozenset[int] | None = None,
    inlines: bool = False,
) -> HotspotTable:
    """The table of `profile`.

    Inlined frames count for the physical function that contains them, as in `perf report --no-inline`, unless
    `inlines` asks for rows of their own.
    """
    options = TreeOptions(event=event, weight=weight, grouping=grouping_of(by), threads=threads, inlines=inlines)
    tree = build_tree(profile, options)
    return thread_table(profile, tree) if by is GroupBy.THREAD else table_of(tree)


def grouping_of(by: GroupBy) -> Grouping:
    """What makes two frames of a tree the same for a table of `by`."""
    return _GROUPING.get(by, Grouping.FUNCTION)


def table_of(tree: CallTree) -> HotspotTable:
    """The table of the functions of a top-down tree."""
    size = len(tree.functions)
    top = tree.outermost()
    function, outer = tree.function, tree.function[top]
    self_weight = np.bincount(function, weights=tree.self_weight, minlength=size)
    self_samples = np.bincount(function, weights=tree.self_samples, minlength=size)
    total_weight = np.bincount(outer, weights=tree.total_weight[top], minlength=size)
    total_samples = np.bincount(outer, weights=tree.total_samples_of[top], minlength=size)
    seen = np.flatnonzero(np.bincount(function, minlength=size))
    order = seen[np.lexsort((-total_weight[seen], -self_weight[seen]))]
    functions = tree.functions
    return HotspotTable(
        key=tuple(functions.names[i] for i in order),
        module=tuple(functions.module[i] for i in order),
        file=tuple(functions.file[i] for i in order),
        line=readonly(functions.line[order], np.int32),
        kind=readonly(functions.kind[order], np.uint8),
        self_weight=readonly(self_weight[order], np.float64),
        total_weight=readonly(total_weight[order], np.float64),
        self_samples=readonly(self_samples[order], np.float64),
        total_samples=readonly(total_samples[order], np.float64),
        total=tree.total,
        samples=tree.total_samples,
        unit=tree.unit,
        event=tree.event,
    )


def thread_label(profile: StackProfile, index: int) -> str:
    """ "engine-0 (8812)", or the bare name where ids are unknown."""
    if index < 0:
        return "[unknown thread]"
    thread = profile.threads[index]
    return f"{thread.name} ({thread.tid})" if thread.tid >= 0 else thread.name


def thread_table(profile: StackProfile, tree: CallTree) -> HotspotTable:
    """The table of the threads that `tree` counts."""
    options = tree.options
    count = profile.weights(event=options.event, weight=Weight.SAMPLES)
    chosen = (tree.sample_weight > 0) | (count > 0)
    if options.threads is not None:
        chosen &= np.isin(profile.samples.thread, list(options.threads))
    if options.samples:
        chosen &= rows(profile, options.samples)
    thread = profile.samples.thread + 1  # 0 is "unknown"
    size = len(profile.threads) + 1
    weights = np.bincount(thread[chosen], weights=tree.sample_weight[chosen], minlength=size)
    samples = np.bincount(thread[chosen], weights=count[chosen], minlength=size)
    order = np.argsort(-weights, kind="stable")
    order = order[samples[order] > 0]
    return HotspotTable(
        key=tuple(thread_label(profile, int(i) - 1) for i in order),
        module=("",) * len(order),
        file=("",) * len(order),
        line=readonly(np.full(len(order), NONE), np.int32),
        kind=readonly(np.full(len(order), FrameKind.UNKNOWN), np.uint8),
        self_weight=readonly(weights[order], np.float64),
        total_weight=readonly(weights[order], np.float64),
        self_samples=readonly(samples[order], np.float64),
        total_samples=readonly(samples[order], np.float64),
        total=tree.total,
        samples=tree.total_samples,
        unit=tree.unit,
        event=tree.event,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Sandwich:
    """One function with who calls it (inverted tree, rooted at the function) and what it calls (tree, likewise).

    Weights are in `unit`; `total` is the function's own, `whole` the view's: what 100 % means.
    """

    function: str
    callers: CallTree
    callees: CallTree
    self_weight: float
    total_weight: float
    self_samples: float
    total_samples: float
    whole: float
    unit: Unit


def sandwich(
    profile: StackProfile,
    function: str,
    *,
    event: int = 0,
    weight: Weight = Weight.SAMPLES,
    threads: frozenset[int] | None = None,
    inlines: bool = False,
) -> Sandwich:
    """Callers and callees of `function`; recursion counts once. All zero for a function that does not occur."""
    options = TreeOptions(event=event, weight=weight, threads=threads, inlines=inlines)
    return sandwich_of(build_tree(profile, options), build_tree(profile, replace(options, focus=function)))


def sandwich_of(tree: CallTree, focused: CallTree) -> Sandwich:
    """The sandwich of a top-down tree and of the same tree with the focus on the function."""
    function = focused.options.focus or ""
    index = tree.functions.index(function)
    own = tree.function == index
    nodes: Int64 = np.flatnonzero(own & tree.outermost())
    return Sandwich(
        function=function,
        callers=invert(tree, start=nodes),
        callees=focused,
        self_weight=float(tree.self_weight[own].sum()),
        total_weight=float(tree.total_weight[nodes].sum()),
        self_samples=float(tree.self_samples[own].sum()),
        total_samples=float(tree.total_samples_of[nodes].sum()),
        whole=tree.total,
        unit=tree.unit,
    )
