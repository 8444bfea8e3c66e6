"""Where rows and fractions of a flame graph fall on the screen, and the views one has come from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tailflame.model.stacks import NONE, Int64

ROW_HEIGHT = 20
"""Of a row in device-independent pixels, with the hairline below it."""
CLOSEST = 1e-9
"""The narrowest view, as a fraction of the whole: beyond it, double precision shows."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """A view of `depths` rows in width x height device-independent pixels.

    x0, x1: the visible part of the whole; scroll: pixels above the top edge; rooted_below: flame orientation,
    with the roots at the bottom, else icicle; room: the least number of rows that can be scrolled through.
    """

    width: int
    height: int
    depths: int
    x0: float = 0.0
    x1: float = 1.0
    scroll: int = 0
    rooted_below: bool = False
    row_height: int = ROW_HEIGHT
    room: int = 0

    @property
    def content_height(self) -> int:
        return max(self.depths, self.room) * self.row_height

    @property
    def furthest(self) -> int:
        """The largest sensible `scroll`."""
        return max(self.content_height - self.height, 0)

    def top(self, depth: int) -> int:
        """The y of the upper edge of row `depth`."""
        if self.rooted_below:
            return max(self.content_height, self.height) - (depth + 1) * self.row_height - self.scroll
        return depth * self.row_height - self.scroll

    def depth_at(self, y: float) -> int:
        """The row at `y`, -1 above the first and below the last."""
        if self.rooted_below:
            depth = int((max(self.content_height, self.height) - self.scroll - y - 1e-6) // self.row_height)
        else:
            depth = int((y + self.scroll) // self.row_height)
        return depth if 0 <= depth < self.depths else NONE

    def fraction_at(self, x: float) -> float:
        return self.x0 + x / max(self.width, 1) * (self.x1 - self.x0)

    def x_of(self, fraction: float) -> float:
        return (fraction - self.x0) / (self.x1 - self.x0) * self.width

    def visible(self) -> Int64:
        """Depths on the screen, from the top of the screen down."""
        if self.rooted_below:
            content = max(self.content_height, self.height)
            low = (content - self.scroll - self.height) // self.row_height
            high = -(-(content - self.scroll) // self.row_height)
            return np.arange(max(low, 0), min(high, self.depths), dtype=np.int64)[::-1]
        low = self.scroll // self.row_height
        high = -(-(self.scroll + self.height) // self.row_height)
        return np.arange(max(low, 0), min(high, self.depths), dtype=np.int64)

    def framing(self, depth: int) -> int:
        """The `scroll` that leaves most of the height to what row `depth` calls; this one where it does already."""
        top = self.top(depth)
        from_root = self.height - top - self.row_height if self.rooted_below else top
        if self.row_height <= from_root <= self.height * 0.4:
            return self.scroll
        wanted = min(self.height // 4 // self.row_height, depth) * self.row_height
        step = from_root - wanted
        scroll = self.scroll - step if self.rooted_below else self.scroll + step
        return min(max(scroll, 0), self.furthest)

    def starting(self, depth: int) -> int:
        """The `scroll` that has row `depth` at the roots' edge, or as close to it as the content reaches."""
        return self.reaching(depth * self.row_height)

    def reaching(self, distance: int) -> int:
        """The `scroll` that has `distance` pixels of content beyond the roots' edge, as far as there are any."""
        distance = min(max(distance, 0), self.furthest)
        return self.furthest - distance if self.rooted_below else distance

    @property
    def from_roots(self) -> int:
        """Pixels of content beyond the roots' edge."""
        return self.furthest - self.scroll if self.rooted_below else self.scroll

    def showing(self, depth: int) -> int:
        """The `scroll` closest to this one that shows row `depth` with a row to spare."""
        spare = self.row_height
        top = self.top(depth)
        if top < spare:
            return max(self.scroll + top - spare, 0)
        if top + 2 * spare > self.height:
            return min(self.scroll + top + 2 * spare - self.height, self.furthest)
        return self.scroll


def bounded(x0: float, x1: float) -> tuple[float, float]:
    """A window of the same width inside 0..1, as far as that goes."""
    width = min(max(x1 - x0, CLOSEST), 1.0)
    middle = (x0 + x1) / 2
    start = min(max(middle - width / 2, 0.0), 1.0 - width)
    return start, start + width


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """A view one can come back to: its window, and the box that was zoomed to (-1: none)."""

    x0: float = 0.0
    x1: float = 1.0
    box: int = NONE
    scroll: int = 0


@dataclass(slots=True)
class History:
    """Views behind and ahead of the present one, like a browser's."""

    behind: list[Viewpoint] = field(default_factory=list)
    ahead: list[Viewpoint] = field(default_factory=list)
    limit: int = 200

    def leave(self, present: Viewpoint) -> None:
        """The present view is left for a new one."""
        if not self.behind or self.behind[-1] != present:
            self.behind.append(present)
            del self.behind[: -self.limit]
        self.ahead.clear()

    def back(self, present: Viewpoint) -> Viewpoint | None:
        if not self.behind:
            return None
        self.ahead.append(present)
        return self.behind.pop()

    def forward(self, present: Viewpoint) -> Viewpoint | None:
        if not self.ahead:
            return None
        self.behind.append(present)
        return self.ahead.pop()

    def clear(self) -> None:
        self.behind.clear()
        self.ahead.clear()
