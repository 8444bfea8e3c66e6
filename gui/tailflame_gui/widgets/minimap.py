"""The whole flame graph in a strip, with the part in view; drag to go elsewhere."""

from __future__ import annotations

from enum import Enum, auto

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from tailflame_gui import theme
from tailflame_gui.widgets import flame_paint
from tailflame_gui.widgets.flame_colors import rgb
from tailflame_gui.widgets.flame_geometry import CLOSEST
from tailflame_gui.widgets.flame_paint import UInt32
from tailflame_gui.widgets.flame_render import FADE
from tailflame_gui.widgets.flame_surface import FlameSurface, Orientation

HEIGHT = 30
_TALLEST_ROW = 4.0
_EDGE = 5
"""Pixels on either side of an edge of the view where it can be taken hold of."""


class _Grip(Enum):
    LEFT = auto()
    RIGHT = auto()
    MIDDLE = auto()
    NEW = auto()


class Minimap(QWidget):
    """Shows all of `graph`; dragging moves or resizes its view, a drag outside draws a new one."""

    def __init__(self, graph: FlameSurface, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._graph = graph
        self._key: tuple[object, ...] | None = None
        self._pixels: UInt32 | None = None
        self._image: QImage | None = None
        self._grip: _Grip | None = None
        self._from = 0.0
        self._start = (0.0, 1.0)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Overview")
        self.setToolTip("The whole graph. Drag the frame to move the view, its edges to resize it,\n"
                        "or drag beside it to draw a new one; double-click shows everything.")  # fmt: skip
        graph.picture_changed.connect(self.update)

    def sizeHint(self) -> QSize:
        return QSize(400, HEIGHT)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, tokens = QPainter(self), theme.current()
        painter.fillRect(self.rect(), tokens.surface)
        if self._graph.boxes is None:
            return
        self._raster()
        assert self._image is not None
        painter.drawImage(QPointF(0, 0), self._image)
        frame = self._frame()
        if frame.width() >= self._span() and frame.height() >= self.height():
            return
        veil = QColor(tokens.surface)
        veil.setAlphaF(0.6)
        whole = QRectF(0, 0, self._span(), self.height())
        for part in (
            QRectF(whole.left(), whole.top(), frame.left(), whole.height()),
            QRectF(frame.right(), whole.top(), whole.right() - frame.right(), whole.height()),
        ):
            painter.fillRect(part, veil)
        painter.setPen(QPen(tokens.accent, 2))
        painter.drawRect(frame.adjusted(1, 1, -1, -1))

    def _frame(self) -> QRectF:
        """The part in view; a few pixels wide at least, so that it can be seen and taken hold of."""
        x0, x1 = self._graph.camera.window
        left, right = x0 * self._span(), x1 * self._span()
        if right - left < 6:
            middle = min(max((left + right) / 2, 3.0), self._span() - 3.0)
            left, right = middle - 3, middle + 3
        top, bottom = 0.0, float(self.height())
        view = self._graph.geometry_now()
        if view.furthest:
            shrink = self._row_height() / view.row_height
            height = float(self.height())
            if self._graph.orientation is Orientation.FLAME:
                below = view.furthest - view.scroll
                top, bottom = height - (below + view.height) * shrink, height - below * shrink
            else:
                top, bottom = view.scroll * shrink, (view.scroll + view.height) * shrink
            top, bottom = min(max(top, 0.0), height - 6), max(min(bottom, height), 6.0)
        return QRectF(left, top, right - left, bottom - top)

    def _span(self) -> int:
        """As wide as the graph's boxes, which leave room for a scroll bar."""
        return max(self._graph.viewport().width(), 1)

    def _depths(self) -> int:
        """Rows that are shown: the few samples of very deep stacks would leave no height for all others."""
        boxes = self._graph.boxes
        if boxes is None or not boxes.depths:
            return 1
        covered = np.diff(boxes.mass[boxes.row_start, 3])
        seen = np.flatnonzero(covered * self._span() >= 1)
        return int(seen[-1]) + 1 if len(seen) else 1

    def _row_height(self) -> float:
        return min(self.height() / self._depths(), _TALLEST_ROW)

    def _raster(self) -> None:
        boxes, marks, tokens = self._graph.boxes, self._graph.marks, theme.current()
        assert boxes is not None
        scale = self.devicePixelRatioF()
        key = (boxes, marks, self._span(), self.height(), scale, tokens.dark, self._graph.orientation)
        if key == self._key:
            return
        self._key = key
        columns, lines = max(round(self._span() * scale), 1), max(round(self.height() * scale), 1)
        depth = np.floor((np.arange(lines) + 0.5) / scale / self._row_height()).astype(np.int64)
        if self._graph.orientation is Orientation.FLAME:
            depth = depth[::-1]
        shown, of_line = np.unique(depth, return_inverse=True)
        background = rgb(tokens.surface)
        frame = flame_paint.lines(boxes, shown, (0.0, 1.0), columns, background=background, marks=marks, fade=FADE)
        self._pixels = np.ascontiguousarray(frame.color[of_line])
        self._image = QImage(self._pixels.data, columns, lines, columns * 4, QImage.Format.Format_RGB32)
        self._image.setDevicePixelRatio(scale)

    def _grip_at(self, x: float) -> _Grip:
        frame = self._frame()
        if frame.width() >= self._span():
            return _Grip.NEW
        if abs(x - frame.left()) <= _EDGE:
            return _Grip.LEFT
        if abs(x - frame.right()) <= _EDGE:
            return _Grip.RIGHT
        return _Grip.MIDDLE if frame.left() < x < frame.right() else _Grip.NEW

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is not Qt.MouseButton.LeftButton:
            return
        goal = self._graph.camera.goal
        self._grip = self._grip_at(event.position().x())
        self._from = self._fraction(event.position().x())
        self._start = (goal.x0, goal.x1)
        self._graph.camera.end_gesture()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        if self._grip is None:
            edges = self._grip_at(x) in (_Grip.LEFT, _Grip.RIGHT)
            self.setCursor(Qt.CursorShape.SizeHorCursor if edges else Qt.CursorShape.ArrowCursor)
            return
        at, (x0, x1) = self._fraction(x), self._start
        least = max(CLOSEST, 2 / self._span() * (x1 - x0) / 100)
        match self._grip:
            case _Grip.LEFT:
                self._graph.move_window(min(at, x1 - least), x1)
            case _Grip.RIGHT:
                self._graph.move_window(x0, max(at, x0 + least))
            case _Grip.MIDDLE:
                self._graph.move_window(x0 + at - self._from, x1 + at - self._from)
            case _Grip.NEW:
                if abs(at - self._from) * self._span() >= 3:
                    self._graph.move_window(min(at, self._from), max(at, self._from))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        grip, self._grip = self._grip, None
        x0, x1 = self._start
        at = self._fraction(event.position().x())
        if grip is _Grip.NEW and x1 - x0 < 1 and abs(at - self._from) * self._span() < 3:
            half = (x1 - x0) / 2
            self._graph.move_window(at - half, at + half)
        self._graph.camera.end_gesture()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._graph.reset_zoom()

    def _fraction(self, x: float) -> float:
        return min(max(x / self._span(), 0.0), 1.0)
