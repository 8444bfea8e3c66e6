"""The trunk of a flame graph: the rows from the root on that only pass everything on, before anything branches."""

from __future__ import annotations

import numpy as np

from tailflame.analyse.layout import FlameLayout
from tailflame.model.stacks import Float64, Int64

SHARE = 0.9
"""Of the whole: what a row of the trunk carries and passes on."""


def trunk(layout: FlameLayout) -> tuple[Int64, ...]:
    """Per row of the trunk, the nodes that carry it, heaviest first; () where the roots branch or are leaves already.

    A single program has one node a row. Threads that run side by side each have theirs, as long as every one of them
    passes at least `SHARE` of its weight on to one callee. A row that keeps more than the rest for itself is none.
    """
    rows: list[Int64] = []
    carriers: Int64 = np.zeros(0, dtype=np.int64)
    carried: Float64 = np.zeros(0)
    whole = 0.0
    for depth in range(layout.depths):
        first, last = int(layout.row_start[depth]), int(layout.row_start[depth + 1])
        node, width = layout.node[first:last], layout.width[first:last]
        if depth == 0:
            whole = float(width.sum())
            above = np.zeros(len(node), dtype=np.int64)
        else:
            middle = layout.start[first:last] + width / 2
            before = int(layout.row_start[depth - 1])
            box = before + np.searchsorted(layout.start[before:first], middle, side="right") - 1
            of_trunk = np.isin(layout.node[box], carriers)
            node, width, above = node[of_trunk], width[of_trunk], layout.node[box[of_trunk]].astype(np.int64)
            if float(carried.sum()) - float(width.sum()) > (1 - SHARE) * whole:
                break  # the row before keeps too much for itself
            rows.append(carriers[np.argsort(-carried, kind="stable")])
        # In time order a node has several boxes.
        fresh, place, of_node = np.unique(node, return_index=True, return_inverse=True)
        weight = np.bincount(of_node, weights=width, minlength=len(fresh))
        if depth:
            passed = carried[np.searchsorted(carriers, above[place])]
            chosen = weight >= SHARE * passed
            fresh, weight = fresh[chosen], weight[chosen]
        carriers, carried = fresh.astype(np.int64), weight
        if float(carried.sum()) < SHARE * whole:
            break
    return tuple(rows)
