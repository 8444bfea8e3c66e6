"""What a flame graph draws, in terms that know neither profiles nor comparisons.

A `FlameScene` is a layout of boxes (analyse.layout.FlameLayout or one of the same shape), the function of every
node, the names of the functions, and a callable that tells the facts of a node for the hover card:

    scene = FlameScene.of(layout, function=tree.function, names=tree.functions.names, facts=facts)
    graph.set_scene(scene, colors)            # colors: flame_colors.FlameColors, per node

Boxes are what is on the screen, nodes are what they stand for: in time order one node has several boxes. Who is
whose caller is read from the geometry (a child lies within its parent's extent, one row further), so any layout
works, a comparison's union included. `hatch` marks nodes that vanished (1) or are new (2) other than by colour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tailflame.analyse.layout import FlameLayout
from tailflame.analyse.trunk import SHARE, trunk
from tailflame.model.stacks import NONE, Bool, Float64, Int32, Int64, UInt8

_MARGIN = 1e-12


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """The hover card of a frame. `figures` are (label, value) rows; "" and -1 where unknown.

    of_all: the frame's share of everything, as text. Its share of what is in view is known to the graph alone.
    """

    name: str
    figures: tuple[tuple[str, str], ...]
    of_all: str = ""
    module: str = ""
    kind: str = ""
    file: str = ""
    line: int = NONE

    @property
    def place(self) -> str:
        """ "file:line", "file", or ""."""
        return f"{self.file}:{self.line}" if self.file and self.line > 0 else self.file


@dataclass(frozen=True, slots=True, eq=False)
class FlameScene:
    """function: per node, an index into `names`; hatch: per node (0 plain, 1 vanished, 2 new) or None;
    facts: node -> its card; total: what the whole width stands for, as text; end and box_function: per box;
    trunk: rows from the root on in which nothing branches yet; trunk_name: what the trunk belongs to;
    note: node -> a few signs behind its label, where there is room for them, or None.
    """

    layout: FlameLayout
    function: Int32
    names: tuple[str, ...]
    facts: Callable[[int], FrameFacts]
    hatch: UInt8 | None
    total: str
    end: Float64
    box_function: Int32
    trunk: int
    trunk_name: str
    note: Callable[[int], str] | None = None
    _of_name: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        layout: FlameLayout,
        *,
        function: Int32,
        names: tuple[str, ...],
        facts: Callable[[int], FrameFacts],
        hatch: UInt8 | None = None,
        total: str = "",
        rooted: bool = True,
        note: Callable[[int], str] | None = None,
    ) -> FlameScene:
        """rooted: rows grow from where the program begins; bottom-up they do not, so that there is no trunk."""
        rows = trunk(layout) if rooted else ()
        return cls(
            layout=layout,
            function=function,
            names=names,
            facts=facts,
            hatch=hatch,
            total=total,
            end=layout.start + layout.width,
            box_function=function[layout.node] if len(layout.node) else np.zeros(0, dtype=np.int32),
            trunk=len(rows),
            trunk_name=_trunk_name(layout, function, names) if rows else "",
            note=note,
        )

    def __len__(self) -> int:
        return len(self.layout.node)

    @property
    def depths(self) -> int:
        return self.layout.depths

    def node(self, box: int) -> int:
        return int(self.layout.node[box]) if box >= 0 else NONE

    def name(self, box: int) -> str:
        """The function's name, "" for no box."""
        return self.names[int(self.box_function[box])] if box >= 0 else ""

    def depth(self, box: int) -> int:
        return int(np.searchsorted(self.layout.row_start, box, side="right")) - 1

    def extent(self, box: int) -> tuple[float, float]:
        """(start, end) as fractions of the whole; all of it for -1."""
        return (float(self.layout.start[box]), float(self.end[box])) if box >= 0 else (0.0, 1.0)

    def width(self, box: int) -> float:
        return float(self.layout.width[box]) if box >= 0 else 1.0

    def parent(self, box: int) -> int:
        """The box that calls `box`, -1 for a root."""
        if box < 0:
            return NONE
        return self.layout.at(self.depth(box) - 1, float(self.layout.start[box]) + self.width(box) / 2)

    def children(self, box: int) -> Int64:
        """Boxes whose parent is `box`, from left to right; the roots for -1."""
        depth = self.depth(box) + 1 if box >= 0 else 0
        if depth >= self.depths:
            return np.zeros(0, dtype=np.int64)
        first, last = self._row(depth)
        left, right = self.extent(box)
        row = self.layout.start[first:last]
        low = int(np.searchsorted(row, left - _MARGIN, side="left"))
        high = int(np.searchsorted(row, right, side="left"))
        boxes = np.arange(first + low, first + high)
        middle = self.layout.start[boxes] + self.layout.width[boxes] / 2
        inside: Int64 = boxes[(middle >= left) & (middle <= right)]
        return inside

    def path(self, box: int) -> list[int]:
        """Boxes from the root to `box`."""
        boxes: list[int] = []
        while box >= 0:
            boxes.append(box)
            box = self.parent(box)
        return boxes[::-1]

    def names_to(self, box: int) -> tuple[str, ...]:
        """Function names from the root to `box`."""
        return tuple(self.name(b) for b in self.path(box))

    def find(self, names: Sequence[str]) -> int:
        """The widest box reached by these names from the root, -1 where the path does not exist."""
        at = NONE
        for name in names:
            wanted = [int(b) for b in self.children(at) if self.name(int(b)) == name]
            if not wanted:
                return NONE
            at = max(wanted, key=self.width)
        return at

    def neighbour(self, box: int, step: int) -> int:
        """The next box of the same row to the left (-1) or right (+1), -1 at the end."""
        first, last = self._row(self.depth(box))
        return box + step if first <= box + step < last else NONE

    def widest(self, boxes: Int64) -> int:
        return int(boxes[np.argmax(self.layout.width[boxes])]) if len(boxes) else NONE

    def box_of_node(self, node: int) -> int:
        """The widest box of `node`, -1 where it has none."""
        return self.widest(np.flatnonzero(self.layout.node == node)) if node >= 0 else NONE

    def box_of_function(self, name: str) -> int:
        """The widest box of a function, -1 where there is none."""
        return self.widest(np.flatnonzero(self.of_function(name))) if name else NONE

    def of_function(self, name: str) -> Bool:
        """True for the boxes of the functions with this name."""
        if not self._of_name:
            for index, known in enumerate(self.names):
                self._of_name.setdefault(known, []).append(index)
        wanted = self._of_name.get(name, [])
        if len(wanted) == 1:
            return np.equal(self.box_function, wanted[0])
        return np.isin(self.box_function, np.asarray(wanted, dtype=np.int32))

    def row(self, depth: int) -> Int64:
        """The boxes of a row, from left to right."""
        return np.arange(*self._row(depth)) if depth < self.depths else np.zeros(0, dtype=np.int64)

    def _row(self, depth: int) -> tuple[int, int]:
        return int(self.layout.row_start[depth]), int(self.layout.row_start[depth + 1])


def _trunk_name(layout: FlameLayout, function: Int32, names: tuple[str, ...]) -> str:
    """The root that carries the trunk, or how many do."""
    last = int(layout.row_start[1])
    weight = np.bincount(layout.node[:last], weights=layout.width[:last])
    order = np.argsort(-weight, kind="stable")
    number = int(np.searchsorted(np.cumsum(weight[order]), SHARE * weight.sum())) + 1
    return names[int(function[order[0]])] if number == 1 else f"{number} roots"


@dataclass(frozen=True, slots=True, eq=False)
class Union:
    """Disjoint intervals, from left to right: what a set of boxes covers, nested boxes counted once."""

    start: Float64
    end: Float64

    @classmethod
    def of(cls, start: Float64, end: Float64) -> Union:
        # Rows are sorted already, so a stable (merging) sort is far quicker than a general one.
        order = np.argsort(start, kind="stable")
        left, right = start[order], end[order]
        reach = np.maximum.accumulate(right) if len(right) else right
        fresh = np.ones(len(left), dtype=bool)
        fresh[1:] = left[1:] > reach[:-1]
        first = np.flatnonzero(fresh)
        return cls(left[first], reach[np.append(first[1:] - 1, len(left) - 1)] if len(first) else reach)

    def share(self, x0: float = 0.0, x1: float = 1.0) -> float:
        """How much of [x0, x1] is covered, 0..1."""
        if x1 <= x0 or not len(self.start):
            return 0.0
        inside = np.minimum(self.end, x1) - np.maximum(self.start, x0)
        return min(1.0, float(inside[inside > 0].sum()) / (x1 - x0))
