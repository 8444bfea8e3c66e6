"""The tree behind the boxes of a flame graph: parents from places, self weights from sums.

A box's parent is the box one row nearer to the root whose extent holds it. Places are rounded (0.1 px,
0.0001 %, in the oldest inferno whole pixels), so three ways are tried, from the surest:

 exact     inferno's fg:x and fg:w are whole sample counts.
 closing   inferno writes boxes in the order in which they end, outer before inner among those that end
           together: a box's children are then known from the order alone, but for rare ties.
 places    flamegraph.pl writes in no order: the middle of a box decides, corrected where children would
           outweigh their parent.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tailflame.model import NONE
from tailflame.model.stacks import Float64, Int64


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """Boxes as arrays, in the order of the file.

    depth: 0 at the root's row; x and width: one unit, any; count: weight of the box; slack: how far two
    rounded places may differ.
    """

    depth: Int64
    x: Float64
    width: Float64
    count: Float64
    slack: float

    def rows(self) -> list[Int64]:
        """Box numbers per depth, each from left to right."""
        order = np.lexsort((np.arange(len(self.x)), self.x, self.depth))
        bounds = np.searchsorted(self.depth[order], np.arange(int(self.depth.max()) + 2))
        return [order[a:b] for a, b in pairwise(bounds)]


def exact_parents(geometry: Geometry, rows: list[Int64]) -> Int64 | None:
    """Parents from whole-number places; None where some box sticks out of every box below it."""
    parent = np.full(len(geometry.x), NONE, dtype=np.int64)
    end = geometry.x + geometry.count
    for below, row in pairwise(rows):
        at = np.searchsorted(geometry.x[below], geometry.x[row], side="right") - 1
        if (at < 0).any():
            return None
        parent[row] = below[at]
        if (end[row] > end[below[at]]).any():
            return None
    return parent


def closing_parents(geometry: Geometry) -> tuple[Int64, bool] | None:
    """Parents from the order of the file, and whether a tie had to be guessed; None if the order is another."""
    depth = geometry.depth.tolist()
    count = geometry.count.tolist()
    x = geometry.x.tolist()
    end = (geometry.x + geometry.width).tolist()
    slack = geometry.slack
    parent = [NONE] * len(depth)
    left = list(count)
    waiting: dict[int, list[int]] = {}  # by depth: boxes that have ended and whose parent has not
    guessed = False
    last = NONE
    for box, level in enumerate(depth):
        parent_so_far = NONE
        if last != NONE and depth[last] == level - 1:
            inside = x[box] >= x[last] - slack and abs(end[box] - end[last]) <= slack
            own = sum(count[c] for c in waiting.get(level + 1, ()))
            if inside and count[box] <= left[last] and own <= count[box]:
                parent_so_far = last
                # It may as well be the first child of a box that ends later.
                guessed |= x[box] >= end[last] - slack and count[box] > 0
        for child in waiting.pop(level + 1, ()):
            parent[child] = box
            left[box] -= count[child]
            if left[box] < -0.5 or x[child] < x[box] - slack or end[child] > end[box] + slack:
                return None
        if parent_so_far != NONE:
            parent[box] = parent_so_far
            left[parent_so_far] -= count[box]
        elif level:
            waiting.setdefault(level, []).append(box)
        last = box
    if any(waiting.values()):
        return None
    return np.asarray(parent, dtype=np.int64), guessed


def placed_parents(geometry: Geometry, rows: list[Int64], scale: float) -> tuple[Int64, int]:
    """Parents from rounded places, and the number of boxes that fit nowhere well.

    scale: length of one unit of weight, so that widths need not be taken from rounded figures.
    """
    parent = np.full(len(geometry.x), NONE, dtype=np.int64)
    misfits = 0
    slack = geometry.slack
    for below, row in pairwise(rows):
        if not len(below):
            return parent, len(parent)  # boxes that stand on nothing: no tree at all
        x, extent = geometry.x[row], geometry.count[row] * scale
        low = geometry.x[below]
        high = low + geometry.count[below] * scale
        at = np.clip(np.searchsorted(low, x + extent / 2, side="right") - 1, 0, None)
        weight = np.bincount(at, weights=geometry.count[row], minlength=len(below))
        sticks_out = (x < low[at] - slack) | (x + extent > high[at] + slack)
        if sticks_out.any() or (weight > geometry.count[below] + 0.5).any():
            at, bad = _settled(at, x, extent, low, high, geometry.count[row], geometry.count[below], slack)
            misfits += bad
        parent[row] = below[at]
    return parent, misfits


def _settled(
    at: Int64,
    x: Float64,
    extent: Float64,
    low: Float64,
    high: Float64,
    count: Float64,
    room: Float64,
    slack: float,
) -> tuple[Int64, int]:
    """One row again, box by box, the widest first: a parent takes what lies in it while it has room."""
    left = room.tolist()
    answer = at.copy()
    misfits = 0
    parents = len(left)
    for i in np.argsort(-count, kind="stable").tolist():  # the place of a wide one is certain
        begin, stop, need = float(x[i]), float(x[i] + extent[i]), float(count[i])
        middle = int(at[i])
        chosen = NONE
        for candidate in _near(middle, parents):
            fits = low[candidate] - slack <= begin and stop <= high[candidate] + slack
            if fits and left[candidate] + 0.5 >= need:
                chosen = candidate
                break
        if chosen == NONE:
            misfits += 1
            chosen = middle
        answer[i] = chosen
        left[chosen] -= need
    return answer, misfits


def _near(middle: int, parents: int) -> list[int]:
    """`middle` and its neighbours, nearest first: rounding moves a box by a few at most."""
    reach = 8
    around = [middle]
    for step in range(1, reach):
        around += [middle - step, middle + step]
    return [p for p in around if 0 <= p < parents]


def self_weights(parent: Int64, count: Float64) -> Float64:
    """What each box holds beside its children; negative where rounded counts do not add up."""
    inner = np.flatnonzero(parent >= 0)
    return count - np.bincount(parent[inner], weights=count[inner], minlength=len(count))
