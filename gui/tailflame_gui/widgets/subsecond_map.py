"""The subsecond heat map: seconds from left to right, their fractions from bottom to top, colour is samples.

A drag takes everything from the cell it begins in to the cell it ends in, in the order of time: across columns too.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QHelpEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QShowEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from tailflame.analyse.subsecond import SubsecondMap
from tailflame.units import count
from tailflame_gui import plain, theme
from tailflame_gui.widgets.heat_map import shades
from tailflame_gui.widgets.plot_ink import hair, small_font
from tailflame_gui.widgets.time_axis import TimeAxis
from tailflame_gui.widgets.time_plot import GUTTER, READOUT

_TICKS = (0.0, 0.5, 1.0)


class SubsecondPlot(QWidget):
    """Draws over `axis` (seconds since the first sample) and selects on it."""

    def __init__(self, axis: TimeAxis, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.axis = axis
        self.map: SubsecondMap | None = None
        self._image: tuple[object, QImage] | None = None
        self._from: tuple[int, int] | None = None
        self._anchor: tuple[int, int] | None = None
        self._moved = False
        self.pointed: tuple[int, int] | None = None
        """(row, column) under the pointer or the keys' cursor."""
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(48)
        self.setAccessibleName("Subsecond heat map")
        axis.range_changed.connect(self.update)
        axis.range_cleared.connect(self.update)
        axis.range_selected.connect(lambda _start, _end: self.update())
        theme.signals.changed.connect(self.update)

    def set_map(self, made: SubsecondMap | None) -> None:
        self.map = made
        self._image = None
        self.update()

    @property
    def body(self) -> QRectF:
        """Where cells are drawn."""
        return QRectF(GUTTER, 4, max(self.width() - GUTTER - READOUT, 16), max(self.height() - 8, 8))

    def sizeHint(self) -> QSize:
        return QSize(600, 96)

    def cell_at(self, at: QPointF) -> tuple[int, int] | None:
        """(row, column) at a point, the nearest one; None where there is no map."""
        made, rect, axis = self.map, self.body, self.axis
        if made is None or not made.seconds:
            return None
        part = min(max((at.x() - rect.left()) / rect.width(), 0.0), 1.0)
        column = math.floor(axis.low_s + part * (axis.high_s - axis.low_s))
        row = math.floor((rect.bottom() - at.y()) / rect.height() * made.rows)
        return min(max(row, 0), made.rows - 1), min(max(column, 0), made.seconds - 1)

    def rect_of(self, cell: tuple[int, int]) -> QRectF:
        """Where a cell is drawn."""
        made, rect, axis = self.map, self.body, self.axis
        assert made is not None
        second = rect.width() / (axis.high_s - axis.low_s)
        high = rect.height() / made.rows
        row, column = cell
        return QRectF(rect.left() + (column - axis.low_s) * second, rect.bottom() - (row + 1) * high, second, high)

    # Painting

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens, rect, made, axis = theme.current(), self.body, self.map, self.axis
        painter = QPainter(self)
        painter.fillRect(self.rect(), tokens.surface)
        painter.setFont(small_font())
        painter.setPen(tokens.second)
        right = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        for part in _TICKS:
            y = min(max(rect.bottom() - part * rect.height(), rect.top() + 6), rect.bottom() - 6)
            painter.drawText(QRectF(GUTTER - 68, y - 8, 60, 16), right, f"{part * 1000:.0f} ms")
        painter.drawText(QRectF(8, rect.top() - 2, 92, 16), int(Qt.AlignmentFlag.AlignLeft), "within a second")
        if made is None or not made.seconds:
            painter.end()
            return
        painter.save()
        painter.setClipRect(rect)
        low, high = max(math.floor(axis.low_s), 0), min(math.ceil(axis.high_s), made.seconds)
        if high > low:
            target = self.rect_of((made.rows - 1, low)).united(self.rect_of((0, high - 1)))
            source = QRectF(low, 0, high - low, made.rows)
            painter.drawImage(target, self._colored(made), source)
            if axis.selection is not None:
                painter.drawImage(target, self._veil(made, axis.selection), source)
        painter.setPen(hair(tokens.hairline))
        painter.drawRect(rect.adjusted(0.5, 0.5, -0.5, -0.5))
        if self.pointed is not None:
            painter.setPen(hair(tokens.text))
            painter.drawRect(self.rect_of(self.pointed).adjusted(0, 0, -1, -1))
        painter.restore()
        self._paint_legend(painter, made, rect)
        painter.end()

    def _colored(self, made: SubsecondMap) -> QImage:
        key = (id(made), theme.current().surface.name())
        if self._image is None or self._image[0] != key:
            colors = shades()
            part = made.cells / max(made.most, 1.0)
            index = np.where(made.cells > 0, 1 + np.round(part * (len(colors) - 1)), 0).astype(np.uint8)
            self._image = (key, _indexed(index[::-1], [0, *(color.rgba() for color in colors)]))
        return self._image[1]

    def _veil(self, made: SubsecondMap, span: tuple[float, float]) -> QImage:
        """What is not selected, paler."""
        at = np.arange(made.seconds * made.rows).reshape(made.seconds, made.rows).T
        first, last = round(span[0] * made.rows), round(span[1] * made.rows)
        outside = ((at < first) | (at >= last)).astype(np.uint8)
        veil = theme.current().surface
        veil.setAlphaF(0.7)
        return _indexed(outside[::-1], [0, veil.rgba()])

    def _paint_legend(self, painter: QPainter, made: SubsecondMap, rect: QRectF) -> None:
        tokens, colors = theme.current(), shades()
        left = rect.right() + 12
        painter.setPen(tokens.second)
        flags = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        if self.pointed is not None:
            for line, text in enumerate(self.words(self.pointed).split("\n")):
                painter.drawText(QRectF(left, rect.top() + 16 * line, READOUT - 16, 16), flags, text)
            return
        painter.drawText(QRectF(left, rect.top(), READOUT - 16, 16), flags, "samples in a cell")
        wide = READOUT - 72
        for step in range(wide):
            painter.fillRect(QRectF(left + step, rect.top() + 20, 1, 8), colors[step * (len(colors) - 1) // wide])
        painter.drawText(QRectF(left, rect.top() + 30, 40, 16), flags, "1")
        end = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        painter.drawText(QRectF(left + wide - 40, rect.top() + 30, 40, 16), end, count(made.most))

    def words(self, cell: tuple[int, int]) -> str:
        """The time of a cell and its samples, in three lines."""
        made = self.map
        assert made is not None
        start, end = made.span_of(cell, cell)
        return f"{start:.3f} s to\n{end:.3f} s\n{count(float(made.cells[cell]))} samples"

    # The pointer and the keys

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._tell_width()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._tell_width()

    def _tell_width(self) -> None:
        if self.isVisible():  # one that was put away may be as wide as it likes
            self.axis.set_pixels(int(self.body.width()))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton and self.body.contains(event.position()):
            self._from, self._moved = self.cell_at(event.position()), False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        cell = self.cell_at(event.position())
        inside = self.body.contains(event.position())
        if self._from is not None and cell is not None:
            self._moved = self._moved or cell != self._from
            if self._moved:
                self._select(self._from, cell)
        self._point(cell if inside else None)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton and self._from is not None and not self._moved:
            self.axis.clear()
        self._from = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """That cell alone."""
        cell = self.cell_at(event.position())
        if cell is not None:
            self._select(cell, cell)
            self._from = None

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._point(None)

    def wheelEvent(self, event: QWheelEvent) -> None:
        turned, axis, rect = event.angleDelta(), self.axis, self.body
        if turned.x() or event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            axis.pan(-(turned.x() or turned.y()) / 120 * (axis.high_s - axis.low_s) / 10)
        else:
            part = min(max((event.position().x() - rect.left()) / rect.width(), 0.0), 1.0)
            axis.zoom(turned.y() / 120, axis.low_s + part * (axis.high_s - axis.low_s))
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        made, axis = self.map, self.axis
        moves = {Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (1, 0), Qt.Key.Key_Down: (-1, 0)}
        key = Qt.Key(event.key())
        if key in moves and made is not None and made.seconds:
            row, column = self.pointed or made.cell_of(axis.selection[0] if axis.selection else axis.low_s)
            down, across = moves[key]
            there = (min(max(row + down, 0), made.rows - 1), min(max(column + across, 0), made.seconds - 1))
            if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                self._anchor = self._anchor or (row, column)
                self._select(self._anchor, there)
            else:
                self._anchor = None
            self._point(there)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.pointed is not None:
            self._select(self.pointed, self.pointed)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            axis.zoom(-1 if key == Qt.Key.Key_Minus else 1, float(self.pointed[1]) if self.pointed else axis.low_s)
        elif key == Qt.Key.Key_Home:
            axis.set_span(None)
        elif key == Qt.Key.Key_Escape and axis.selection is not None:
            axis.clear()
        else:
            super().keyPressEvent(event)

    def _select(self, one: tuple[int, int], other: tuple[int, int]) -> None:
        assert self.map is not None
        self.axis.select(*self.map.span_of(one, other))

    def _point(self, cell: tuple[int, int] | None) -> None:
        if cell != self.pointed:
            self.pointed = cell
            self.update()

    def tip(self, at: QPoint) -> str:
        """The time of the cell under the pointer, and its samples."""
        cell = self.cell_at(QPointF(at)) if self.body.contains(QPointF(at)) else None
        return self.words(cell).replace("\n", " ", 1).replace("\n", ": ") if cell is not None else ""

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() is QEvent.Type.ToolTip:
            text = self.tip(event.pos())
            QToolTip.showText(event.globalPos(), plain.tip(text), self) if text else QToolTip.hideText()
            return True
        return super().event(event)


def _indexed(index: npt.NDArray[np.uint8], table: list[int]) -> QImage:
    high, wide = index.shape
    stride = -(-wide // 4) * 4
    padded = np.zeros((high, stride), dtype=np.uint8)
    padded[:, :wide] = index
    image = QImage(padded.tobytes(), wide, high, stride, QImage.Format.Format_Indexed8).copy()
    image.setColorTable(table)
    return image
