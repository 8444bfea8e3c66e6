"""The goal over the turns of the loop: the repetitions of each, their (geometric) mean, and the baseline's level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from tailflame.analyse.ratio_test import typical
from tailflame.units import reading
from tailflame_gui import plain, theme
from tailflame_gui.widgets.plot_ink import hair, small_font

_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 16, 22, 22
_REACH = 24
_LABEL = 32
"""Pixels that a label needs beside its neighbour's."""
_AT_REST = "Each measurement's repetitions and their geometric mean; click one to see its verdict."


@dataclass(frozen=True, slots=True)
class GoalPoint:
    """key: the measurement; label: below it; decision: of its verdict; marked: the baseline."""

    key: str
    label: str
    values: tuple[float, ...]
    decision: str = ""
    marked: bool = False


class GoalChart(QWidget):
    """chosen(key): a measurement was clicked, or reached with the arrow keys."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None, *, at_rest: str = _AT_REST) -> None:
        """at_rest: its tooltip away from the points."""
        super().__init__(parent)
        self._at_rest = at_rest
        self._points: tuple[GoalPoint, ...] = ()
        self._unit = self._title = self._current = ""
        self.setMinimumHeight(110)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("The goal over the measurements")
        self.setToolTip(at_rest)
        self.setMouseTracking(True)
        theme.signals.changed.connect(self.update)

    @property
    def points(self) -> tuple[GoalPoint, ...]:
        return self._points

    def show_points(self, points: Sequence[GoalPoint], *, title: str, unit: str, current: str) -> None:
        """Oldest first."""
        self._points, self._title, self._unit = tuple(points), title, unit
        self._current = current
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        keys = [point.key for point in self._points]
        at = keys.index(self._current) if self._current in keys else len(keys) - 1
        to = {
            Qt.Key.Key_Left: at - 1,
            Qt.Key.Key_Right: at + 1,
            Qt.Key.Key_Home: 0,
            Qt.Key.Key_End: len(keys) - 1,
        }.get(Qt.Key(event.key()))
        if to is None or not keys:
            super().keyPressEvent(event)
            return
        self._choose(keys[min(max(to, 0), len(keys) - 1)])

    def mousePressEvent(self, event: QMouseEvent) -> None:
        point = self.point_at(event.position().x())
        if point is not None and event.button() is Qt.MouseButton.LeftButton:
            self._choose(point.key)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        point = self.point_at(event.position().x())
        self.setToolTip(plain.tip(self.words_of(point) if point is not None else self._at_rest))

    def point_at(self, x: float) -> GoalPoint | None:
        """The nearest one, None where none is near."""
        near = [(abs(self._x(at) - x), at) for at in range(len(self._points))]
        return self._points[min(near)[1]] if near and min(near)[0] <= _REACH else None

    def words_of(self, point: GoalPoint) -> str:
        """ "#3, keep: 184 µs, 183 to 186 in 5 repetitions" """
        values = point.values
        head = ", ".join(filter(None, (point.label, "the baseline" if point.marked else "", point.decision)))
        if not values:
            return f"{head}: it was not measured"
        mean = reading(typical(values), self._unit)
        if len(values) == 1:
            return f"{head}: {mean}"
        low, high = reading(min(values), self._unit), reading(max(values), self._unit)
        return f"{head}: {mean}, {low} to {high} in {len(values)} repetitions"

    def _choose(self, key: str) -> None:
        if key != self._current:
            self._current = key
            self.update()
            self.chosen.emit(key)

    def _rect(self) -> QRectF:
        return QRectF(self.rect()).adjusted(_LEFT, _TOP, -_RIGHT, -_BOTTOM)

    def _x(self, at: int) -> float:
        rect = self._rect()
        return rect.left() + (at + 0.5) / max(len(self._points), 1) * rect.width()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter, tokens = QPainter(self), theme.current()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), tokens.surface)
        rect = self._rect()
        every = [value for point in self._points for value in point.values]
        painter.setFont(small_font())
        painter.setPen(tokens.second)
        painter.drawText(QPointF(_LEFT, 14), self._title)
        if not every or rect.height() < 20:
            return
        top = max(every) * 1.1 or 1.0
        for part in (0.0, 0.5, 1.0):
            y = rect.bottom() - part * rect.height()
            painter.setPen(hair(tokens.hairline))
            painter.drawLine(QPointF(rect.left(), y), QPointF(rect.right(), y))
            painter.setPen(tokens.second)
            align = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(QRectF(0, y - 8, _LEFT - 6, 16), int(align), reading(top * part, self._unit))

        def y_of(value: float) -> float:
            return rect.bottom() - value / top * rect.height()

        apart = rect.width() / len(self._points)
        every_so_many = max(1, math.ceil(_LABEL / apart))
        before: QPointF | None = None
        for at, point in enumerate(self._points):
            x = self._x(at)
            if point.key == self._current:
                wide = min(apart, _REACH)
                painter.fillRect(QRectF(x - wide / 2, rect.top(), wide, rect.height()), tokens.selection)
            if not point.values:
                continue
            mean = QPointF(x, y_of(typical(point.values)))
            if point.marked:
                painter.setPen(hair(tokens.accent))
                painter.drawLine(QPointF(rect.left(), mean.y()), QPointF(rect.right(), mean.y()))
            painter.setPen(hair(tokens.second))
            if before is not None:
                painter.drawLine(before, mean)
            before = mean
            for value in point.values:
                painter.drawEllipse(QPointF(x, y_of(value)), 1.5, 1.5)
            ink = {"keep": tokens.good, "revert": tokens.bad}.get(point.decision, tokens.accent)
            painter.setPen(hair(ink))
            painter.setBrush(ink)
            if point.decision == "revert":  # a square, and not only another colour
                painter.drawRect(QRectF(mean.x() - 3.5, mean.y() - 3.5, 7, 7))
            else:
                painter.drawEllipse(mean, 4, 4)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(tokens.second)
            if (len(self._points) - 1 - at) % every_so_many == 0:  # the newest keeps its own
                words = QRectF(x - 50, rect.bottom() + 2, 100, 18)
                painter.drawText(words, int(Qt.AlignmentFlag.AlignHCenter), point.label)
        if self.hasFocus():
            painter.setPen(hair(tokens.accent))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
