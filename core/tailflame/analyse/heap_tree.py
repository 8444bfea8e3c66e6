"""Call trees of heaps: what a function allocates through libraries is its own, as in the table of allocation sites."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from tailflame.analyse.heap_machinery import own_code
from tailflame.analyse.hotspots import HotspotTable, table_of
from tailflame.analyse.tree import CallTree, levels
from tailflame.model.stacks import Int64, readonly


def site_of_nodes(tree: CallTree) -> Int64:
    """For each node, the nearest one outwards that is the program's own code, itself included; a branch of nothing but
    libraries keeps its own nodes.
    """
    size = len(tree)
    site: Int64 = np.arange(size)
    if not size:
        return site
    own = np.zeros(size, dtype=bool)
    known = tree.frame >= 0
    own[known] = own_code(tree.frames)[tree.frame[known]]
    below = own.copy()
    for first, last in levels(tree.level_start):
        inner = np.flatnonzero(tree.parent[first:last] >= 0) + first
        below[inner] |= below[tree.parent[inner]]
        through = inner[~own[inner] & below[tree.parent[inner]]]
        site[through] = site[tree.parent[through]]
    return site


def allocating(tree: CallTree) -> HotspotTable:
    """The table of the functions of a top-down tree, each with what it allocates through libraries as its own."""
    table, size = table_of(tree), len(tree.functions)
    function = tree.function[site_of_nodes(tree)] if len(tree) else tree.function
    rows = [tree.functions.index(key) for key in table.key]
    weight = np.bincount(function, weights=tree.self_weight, minlength=size)[rows]
    samples = np.bincount(function, weights=tree.self_samples, minlength=size)[rows]
    order = np.lexsort((-table.total_weight, -weight))
    changed = {"self_weight": weight, "self_samples": samples}
    columns = {}
    for field in fields(HotspotTable):
        values = changed.get(field.name, getattr(table, field.name))
        if isinstance(values, tuple):
            values = tuple(values[i] for i in order)
        elif isinstance(values, np.ndarray):
            values = readonly(values[order], values.dtype)
        columns[field.name] = values
    return HotspotTable(**columns)
