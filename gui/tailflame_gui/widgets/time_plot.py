"""A plot over the shared time axis: its name and ticks at the left, what is drawn, the values at the right end.

What is drawn is kept as a picture and drawn anew when it would look different; the line under the pointer, the
selection and the values are painted over it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPixmap,
    QResizeEvent,
    QShowEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from tailflame.analyse.live_data import Moment, MomentKind
from tailflame_gui import plain, theme
from tailflame_gui.widgets.plot_ink import (
    Array,
    Scale,
    draw_lines,
    draw_ticks,
    elided,
    hair,
    name_font,
    small_font,
    value_font,
)
from tailflame_gui.widgets.time_axis import TimeAxis

GUTTER = 168
"""Name and ticks."""
TICKS = 60
NAME_END = float(GUTTER - TICKS)
READOUT = 156
PAD = 8
_NEAR = 5
"""Pixels from a moment that still mean it."""
_DRAG = 4


@dataclass(frozen=True, slots=True)
class Reading:
    """One value at the right end: a piece of its line, the value, and words. `known`: the text is a figure."""

    text: str
    words: str = ""
    color: QColor | None = None
    known: bool = True
    ink: QColor | None = None
    """Of the words."""
    hidden: bool = False


class TimePlot(QWidget):
    """Base of all plots over time. A subclass draws its body and says its readings.

    reading_clicked(line): a value at the right end was clicked. moment_clicked(Moment): one that opens something.
    """

    reading_clicked = Signal(int)
    moment_clicked = Signal(object)

    def __init__(self, axis: TimeAxis, title: str, *, least_height: int = 44) -> None:
        super().__init__()
        self.axis = axis
        self.title = title
        self.unit = ""
        self.note = ""
        """Third line under the name."""
        self.empty_text = ""
        """What is said where there is nothing to draw."""
        self.moments: Sequence[Moment] = ()
        self._picture: QPixmap | None = None
        self._gutter: tuple[object, QPixmap] | None = None
        self._scale_shown: tuple[Scale, Callable[[float], str]] | None = None
        self._drawn_to = -math.inf
        self._pressed: float | None = None
        self._dragging = False
        self._panning: float | None = None
        self.setMinimumHeight(least_height)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(f"{title} over time")
        axis.range_changed.connect(self.draw_anew)
        axis.hover_changed.connect(self.update)
        axis.range_selected.connect(self._selected)
        axis.range_cleared.connect(self.update)
        theme.signals.changed.connect(self.draw_anew)

    # What a subclass says

    def draw(self, painter: QPainter, rect: QRectF) -> None:
        """The body and its ticks."""

    def draw_scale(self, painter: QPainter, rect: QRectF, scale: Scale, write: Callable[[float], str]) -> None:
        """Hairlines now; the ticks' words stand in the gutter, which is drawn anew only when they are others."""
        draw_lines(painter, rect, scale)
        self._scale_shown = (scale, write)

    def readings(self) -> list[Reading]:
        return []

    def tip(self, time_s: float, y: float) -> str:
        """About what is under the pointer; "" for nothing."""
        return ""

    def moment_at(self, time_s: float) -> Moment | None:
        """The moment near by that opens something."""
        near = _NEAR * self.axis.pixel_s
        found = [mark for mark in self.moments if mark.opens and abs(mark.time_s - time_s) <= near]
        return min(found, key=lambda mark: abs(mark.time_s - time_s), default=None)

    # Geometry

    @property
    def body(self) -> QRectF:
        """Where data is drawn."""
        return QRectF(GUTTER, PAD - 2, max(self.width() - GUTTER - READOUT, 16), max(self.height() - 2 * PAD + 4, 8))

    def across(self, times: Array) -> Array:
        """The pixels that times stand at."""
        rect, axis = self.body, self.axis
        span = axis.high_s - axis.low_s
        placed: Array = rect.left() + (times - axis.low_s) / span * rect.width()
        return np.clip(placed, rect.left() - 20_000.0, rect.right() + 20_000.0)

    def time_at(self, x: float) -> float:
        rect = self.body
        part = min(max((x - rect.left()) / rect.width(), 0.0), 1.0)
        return self.axis.low_s + part * (self.axis.high_s - self.axis.low_s)

    # Keeping up

    def draw_anew(self) -> None:
        """What is drawn has changed."""
        self._picture = None
        self.update()

    def follow_data(self) -> None:
        """There may be new values: the lines are drawn anew where they would move by a step of the axis."""
        if self.axis.last_s - self._drawn_to >= self.axis.step_s * 0.99:
            self.draw_anew()
        else:
            self.update(int(self.width() - READOUT), 0, READOUT, self.height())

    # Painting

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self._picture is None:
            self._picture = self._render()
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._picture)
        self._paint_over(painter)
        self._paint_readings(painter)
        painter.end()

    def _render(self) -> QPixmap:
        scale = self.devicePixelRatioF()
        picture = QPixmap(QSize(math.ceil(self.width() * scale), math.ceil(self.height() * scale)))
        picture.setDevicePixelRatio(scale)
        picture.fill(theme.current().surface)
        self._drawn_to = self.axis.last_s
        self._scale_shown = None
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = self.body
        if self.empty_text:
            painter.setFont(small_font())
            painter.setPen(theme.current().second)
            elided(painter, rect, self.empty_text, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft)
        else:
            self.draw(painter, rect)
            self._paint_marks(painter, rect)
        painter.drawPixmap(0, 0, self._left(rect))
        painter.end()
        return picture

    def _left(self, rect: QRectF) -> QPixmap:
        """The gutter: the name, and the ticks' words."""
        scale = self._scale_shown[0] if self._scale_shown else None
        ratio = self.devicePixelRatioF()
        surface = theme.current().surface
        unit = self._scale_shown[1](scale.high) if self._scale_shown and scale else ""
        key = (scale, unit, self.title, self.unit, self.note, self.height(), ratio, surface.name())
        if self._gutter is None or self._gutter[0] != key:
            made = QPixmap(QSize(math.ceil((rect.left() - 1) * ratio), math.ceil(self.height() * ratio)))
            made.setDevicePixelRatio(ratio)
            made.fill(surface)
            painter = QPainter(made)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._paint_name(painter)
            if self._scale_shown is not None:
                draw_ticks(painter, rect, *self._scale_shown, NAME_END)
            painter.end()
            self._gutter = (key, made)
        self._scale_shown = None  # it holds on to us
        return self._gutter[1]

    def _paint_name(self, painter: QPainter) -> None:
        tokens = theme.current()
        wide = GUTTER - TICKS - 16
        top = float(PAD - 4)
        painter.setFont(name_font())
        painter.setPen(tokens.text)
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop
        metrics = painter.fontMetrics()
        lines = _two_lines(self.title, lambda text: metrics.horizontalAdvance(text) <= wide)
        for line in lines:
            elided(painter, QRectF(16, top, wide, 16), line, flags)
            top += 15
        painter.setFont(small_font())
        painter.setPen(tokens.second)
        for line in (self.unit, self.note):
            if line and top + 13 <= self.height():
                elided(painter, QRectF(16, top + 1, wide, 14), line, flags)
                top += 14

    def _paint_marks(self, painter: QPainter, rect: QRectF) -> None:
        tokens = theme.current()
        painter.save()
        painter.setClipRect(rect)
        for mark in self.moments:
            if not self.axis.low_s <= mark.time_s + mark.length_s or not mark.time_s <= self.axis.high_s:
                continue
            ink = tokens.accent if mark.kind is MomentKind.NOTE else tokens.second
            left, right = self.across(np.array([mark.time_s, mark.time_s + mark.length_s]))
            if right - left > 1:
                wash = QColor(ink)
                wash.setAlphaF(0.10)
                painter.fillRect(QRectF(left, rect.top(), right - left, rect.height()), wash)
            painter.setPen(hair(ink, Qt.PenStyle.DotLine))
            x = round(left) + 0.5
            painter.drawLine(QPointF(x, rect.top()), QPointF(x, rect.bottom()))
            self.paint_mark_words(painter, rect, mark, x, ink)
        painter.restore()

    def paint_mark_words(self, painter: QPainter, rect: QRectF, mark: Moment, x: float, ink: QColor) -> None:
        """Only one plot of a screen writes them."""

    def _paint_over(self, painter: QPainter) -> None:
        tokens, rect, axis = theme.current(), self.body, self.axis
        painter.save()
        painter.setClipRect(rect.adjusted(0, -4, 1, 4))
        if axis.selection is not None:
            left, right = self.across(np.array(axis.selection))
            wash = QColor(tokens.accent)
            wash.setAlphaF(0.14)
            painter.fillRect(QRectF(left, 0, right - left, self.height()), wash)
            painter.setPen(hair(tokens.accent))
            for edge in (left, right):
                painter.drawLine(QPointF(edge, 0), QPointF(edge, self.height()))
        if axis.hover_s is not None:
            x = round(float(self.across(np.array([axis.hover_s]))[0])) + 0.5
            painter.setPen(hair(tokens.second))
            painter.drawLine(QPointF(x, 0), QPointF(x, self.height()))
        painter.restore()
        if self.hasFocus():
            painter.setPen(hair(tokens.accent))
            painter.drawLine(QPointF(4.5, PAD), QPointF(4.5, self.height() - PAD))

    def _line_height(self, lines: int) -> float:
        return min(16.0, (self.height() - 4) / max(lines, 1))

    def _paint_readings(self, painter: QPainter) -> None:
        tokens = theme.current()
        lines = self.readings()
        height = self._line_height(len(lines))
        top = max((self.height() - height * len(lines)) / 2, 0.0)
        left = float(self.width() - READOUT)
        self.setAccessibleDescription(", ".join(f"{line.words} {line.text}".strip() for line in lines))
        vertical = Qt.AlignmentFlag.AlignVCenter
        for line in lines:
            middle = top + height / 2
            if line.color is not None:
                if line.hidden:
                    painter.setPen(hair(line.color, Qt.PenStyle.DotLine))
                    painter.drawLine(QPointF(left + 8, middle), QPointF(left + 20, middle))
                else:
                    painter.fillRect(QRectF(left + 8, middle - 1, 12, 2), line.color)
            painter.setFont(value_font() if line.known else small_font())
            faint = line.hidden or not line.known
            painter.setPen(tokens.second if faint else tokens.text)
            if line.words:
                elided(painter, QRectF(left + 20, top, 66, height), line.text, vertical | Qt.AlignmentFlag.AlignRight)
                painter.setFont(small_font())
                painter.setPen(line.ink or tokens.second)
                words = QRectF(left + 92, top, READOUT - 96, height)
                elided(painter, words, line.words, vertical | Qt.AlignmentFlag.AlignLeft)
            else:
                wide = QRectF(left + (24 if line.color is not None else 8), top, READOUT - 32, height)
                elided(painter, wide, line.text, vertical | Qt.AlignmentFlag.AlignLeft)
            top += height

    # The pointer and the keys

    def _selected(self, _start: float, _end: float) -> None:
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._tell_width()
        self.draw_anew()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._tell_width()

    def _tell_width(self) -> None:
        if self.isVisible():  # one that was put away may be as wide as it likes
            self.axis.set_pixels(int(self.body.width()))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() is QEvent.Type.FontChange:
            self.draw_anew()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        if event.button() is Qt.MouseButton.LeftButton and x >= self.width() - READOUT:
            count = len(self.readings())
            height = self._line_height(count)
            line = int((event.position().y() - (self.height() - height * count) / 2) // height)
            if 0 <= line < count:
                self.reading_clicked.emit(line)
        elif event.button() is Qt.MouseButton.LeftButton:
            self._pressed, self._dragging = x, False
        elif event.button() in (Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton):
            self._panning = x

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        inside = self.body.left() <= x <= self.body.right()
        if self._panning is not None:
            self.axis.pan((self._panning - x) * self.axis.pixel_s)
            self._panning = x
            return
        if self._pressed is not None:
            self._dragging = self._dragging or abs(x - self._pressed) >= _DRAG
            if self._dragging:
                self.axis.select(self.time_at(self._pressed), self.time_at(x))
        self.axis.point_at(self.time_at(x) if inside else None)
        opens = inside and not self._dragging and self.moment_at(self.time_at(x)) is not None
        self.setCursor(Qt.CursorShape.PointingHandCursor if opens else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton and self._pressed is not None and not self._dragging:
            moment = self.moment_at(self.time_at(self._pressed))
            if moment is not None:
                self.moment_clicked.emit(moment)
            else:
                self.axis.clear()
        self._pressed = self._panning = None
        self._dragging = False

    def mouseDoubleClickEvent(self, _event: QMouseEvent) -> None:
        self._pressed = None
        if self.axis.selection is not None:
            self.axis.show_range(*self.axis.selection)
        else:
            self.axis.follow(True)

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.axis.point_at(None)

    def wheelEvent(self, event: QWheelEvent) -> None:
        turned = event.angleDelta()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.axis.zoom(turned.y() / 120, self.time_at(event.position().x()))
        elif turned.x() or event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            by = turned.x() or turned.y()
            self.axis.pan(-by / 120 * (self.axis.high_s - self.axis.low_s) / 10)
        else:
            event.ignore()
            return
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        axis = self.axis
        step = max(axis.pixel_s * 4, 1e-3)
        span = axis.high_s - axis.low_s
        here = axis.end_s
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        match event.key():
            case Qt.Key.Key_Left | Qt.Key.Key_Right:
                way = 1 if event.key() == Qt.Key.Key_Right else -1
                if control:
                    axis.pan(way * span / 10)
                    return
                there = min(max(here + way * step, axis.low_s), axis.high_s)
                axis.point_at(there)
                if shift:
                    self._extend(here, there)
            case Qt.Key.Key_Plus | Qt.Key.Key_Equal:
                axis.zoom(1, here)
            case Qt.Key.Key_Minus:
                axis.zoom(-1, here)
            case Qt.Key.Key_Home:
                axis.show_range(axis.first_s, axis.first_s + span)
            case Qt.Key.Key_End:
                axis.follow(True)
            case Qt.Key.Key_Return | Qt.Key.Key_Enter if (moment := self.moment_at(here)) is not None:
                self.moment_clicked.emit(moment)
            case Qt.Key.Key_Escape if axis.selection is not None or axis.hover_s is not None:
                axis.point_at(None)
                axis.clear()
            case _:
                super().keyPressEvent(event)

    def _extend(self, here: float, there: float) -> None:
        """The selection's end that is at the cursor goes with it."""
        near = self.axis.pixel_s
        if self.axis.selection is None:
            self.axis.select(here, there)
            return
        start, end = self.axis.selection
        if abs(here - end) <= near:
            self.axis.select(start, there)
        elif abs(here - start) <= near:
            self.axis.select(there, end)
        else:
            self.axis.select(here, there)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() is QEvent.Type.ToolTip:
            x, y = event.pos().x(), event.pos().y()
            if self.body.left() <= x <= self.body.right():
                moment = self.moment_at(self.time_at(x))
                opens = f"{moment.text}\nClick opens the CPU samples of the seconds before." if moment else ""
                text = opens or self.tip(self.time_at(x), y)
            else:
                text = self.toolTip()
            QToolTip.showText(event.globalPos(), plain.tip(text), self) if text else QToolTip.hideText()
            return True
        return super().event(event)


def _two_lines(text: str, fits: object) -> list[str]:
    """`text` on one line, or broken at the last space before it is too long."""
    assert callable(fits)
    words = text.split(" ")
    if fits(text) or len(words) == 1:
        return [text]
    for cut in range(len(words) - 1, 0, -1):
        if fits(" ".join(words[:cut])):
            return [" ".join(words[:cut]), " ".join(words[cut:])]
    return [words[0], " ".join(words[1:])]
