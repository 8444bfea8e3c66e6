"""Samples over time, one line per process, thread or CPU: the higher, the more. A picture costs its pixels.

plot = LanePlot(axis)
plot.set_tracks(tracks, profile, unit_color)     # when they are sorted
plot.set_chosen(sums)                            # what a filter leaves, drawn over the rest
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QHelpEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPixmap,
    QResizeEvent,
    QShowEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QSizePolicy, QToolTip, QWidget

from tailflame.analyse.sample_timeline import Lane, LaneKind, Tracks, Waits
from tailflame.model.stacks import Float64
from tailflame.units import count, nanoseconds, percent
from tailflame_gui import plain, theme
from tailflame_gui.widgets.plot_ink import elided, hair, small_font, value_font
from tailflame_gui.widgets.time_axis import TimeAxis
from tailflame_gui.widgets.time_plot import GUTTER, READOUT
from tailflame_gui.widgets.time_ruler import precise

LINE, WAITS = 20, 6
"""Heights of a lane, and of the waiting time below its samples."""
_DRAG = 4
_COLUMN = 2
"""Pixels of one column: single ones would show the sampling's own beat."""


@dataclass(frozen=True, slots=True, eq=False)
class LaneData:
    """What is drawn. all: sums of everything; chosen: of what the filter leaves; in_filter: per lane, whether it has a
    sample that is in; waits: None where waiting times were not recorded.
    """

    tracks: Tracks
    all: Float64
    chosen: Float64
    waits: Waits | None = None
    event: str = "samples"
    color: int = 0
    """Number of the event's colour."""
    of_waits: bool = False
    """The figures beside the lanes are those of waiting."""


def event_color(number: int) -> QColor:
    """The colour of an event's samples."""
    tokens = theme.current()
    colors = (tokens.accent, tokens.percentiles[4], tokens.good, tokens.more, tokens.percentiles[3], tokens.kind_other)
    return colors[number % len(colors)]


def wait_color() -> QColor:
    """Of waiting: never one of an event's."""
    return theme.current().kind_kernel


class LanePlot(QAbstractScrollArea):
    """Draws over `axis` (seconds since the first sample) and selects on it.

    lane_wanted(lanes), lane_unwanted(lanes): only these, or all but these. menu_requested(lanes, global point).
    """

    lane_wanted = Signal(object)
    lane_unwanted = Signal(object)
    menu_requested = Signal(object, QPoint)

    def __init__(self, axis: TimeAxis, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.axis = axis
        self.data: LaneData | None = None
        self.marked: frozenset[int] = frozenset()
        """Lanes that were clicked, for the menu and the keys."""
        self.current = 0
        self._picture: tuple[object, QPixmap] | None = None
        self._pressed: float | None = None
        self._dragging = False
        self._panning: float | None = None
        self._hovered = -1
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Samples over time")
        self.viewport().setMouseTracking(True)
        self.setMinimumHeight(2 * LINE)
        for signal in (axis.range_changed, axis.hover_changed, axis.range_cleared):
            signal.connect(self.viewport().update)
        axis.range_selected.connect(lambda _start, _end: self.viewport().update())
        self.verticalScrollBar().valueChanged.connect(lambda _value: self.viewport().update())
        theme.signals.changed.connect(self._recolor)

    # What is drawn

    def set_data(self, data: LaneData | None) -> None:
        """Other lanes, or another filter of the same."""
        same = self.data is not None and data is not None and data.tracks.lanes == self.data.tracks.lanes
        self.data = data
        if not same:
            self.marked, self.current = frozenset(), 0
        self._picture = None
        self._fit_scrolling()
        self.viewport().update()

    @property
    def lanes(self) -> tuple[Lane, ...]:
        return self.data.tracks.lanes if self.data is not None else ()

    @property
    def line(self) -> int:
        """The height of a lane."""
        return LINE + (WAITS if self.data is not None and self.data.waits is not None else 0)

    @property
    def body(self) -> QRectF:
        """Where data is drawn."""
        view = self.viewport()
        return QRectF(GUTTER, 0, max(view.width() - GUTTER - READOUT, 16), view.height())

    def sizeHint(self) -> QSize:
        return QSize(600, max(min(len(self.lanes), 5), 2) * self.line)

    def lane_at(self, y: float) -> int:
        """The lane at a height of the viewport, -1 for none."""
        at = int((y + self.verticalScrollBar().value()) // self.line)
        return at if 0 <= at < len(self.lanes) else -1

    def rect_of(self, lane: int) -> QRect:
        """The lane's line in the viewport."""
        return QRect(0, lane * self.line - self.verticalScrollBar().value(), self.viewport().width(), self.line)

    def time_at(self, x: float) -> float:
        rect = self.body
        part = min(max((x - rect.left()) / rect.width(), 0.0), 1.0)
        return self.axis.low_s + part * (self.axis.high_s - self.axis.low_s)

    def x_of(self, time_s: float) -> float:
        rect, axis = self.body, self.axis
        x = rect.left() + (time_s - axis.low_s) / (axis.high_s - axis.low_s) * rect.width()
        return min(max(x, -10_000.0), 20_000.0)

    def _recolor(self) -> None:
        self._picture = None
        self.viewport().update()

    def _fit_scrolling(self) -> None:
        bar = self.verticalScrollBar()
        bar.setRange(0, max(len(self.lanes) * self.line - self.viewport().height(), 0))
        bar.setPageStep(self.viewport().height())
        bar.setSingleStep(self.line)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_scrolling()
        self._tell_width()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._tell_width()

    def _tell_width(self) -> None:
        if self.isVisible():  # one that was put away may be as wide as it likes
            self.axis.set_pixels(int(self.body.width()))

    # Painting

    def paintEvent(self, _event: QPaintEvent) -> None:
        view = self.viewport()
        painter = QPainter(view)
        tokens = theme.current()
        painter.fillRect(view.rect(), tokens.surface)
        data = self.data
        if data is None or not data.tracks.lanes:
            painter.end()
            return
        first = max(self.lane_at(0), 0)
        last = self.lane_at(view.height() - 1)
        shown = range(first, (last if last >= 0 else len(self.lanes) - 1) + 1)
        painter.drawPixmap(0, 0, self._body_of(data, shown))
        whole = self.figure_of(None)
        for lane in shown:
            self._paint_words(painter, data, lane, whole)
        self._paint_over(painter)
        painter.end()

    def _body_of(self, data: LaneData, shown: range) -> QPixmap:
        """What was drawn last, or drawn anew where it would look different."""
        axis, ratio = self.axis, self.devicePixelRatioF()
        key = (axis.low_s, axis.high_s, self.viewport().size(), ratio, self.verticalScrollBar().value(), id(data))
        if self._picture is None or self._picture[0] != key:
            size = self.viewport().size() * ratio
            made = QPixmap(size)
            made.setDevicePixelRatio(ratio)
            made.fill(theme.current().surface)
            painter = QPainter(made)
            columns = int(self.body.width() / _COLUMN)
            edges = np.linspace(axis.low_s, axis.high_s, columns + 1)
            counts = {lane: data.tracks.counts(data.all, lane, edges) for lane in shown}
            tops = self._tops(counts)
            for lane in shown:
                self._paint_lane(painter, data, lane, edges, counts[lane], tops[self.lanes[lane].kind])
            painter.end()
            self._picture = (key, made)
        return self._picture[1]

    def _tops(self, counts: dict[int, Float64]) -> dict[LaneKind, float]:
        """What a full height is: the same for all lanes of a kind, so that they can be compared."""
        tops: dict[LaneKind, float] = dict.fromkeys(LaneKind, 0.0)
        for lane, values in counts.items():
            kind = self.lanes[lane].kind
            tops[kind] = max(tops[kind], float(values.max(initial=0.0)))
        return {kind: top or 1.0 for kind, top in tops.items()}

    def _paint_lane(
        self, painter: QPainter, data: LaneData, lane: int, edges: Float64, values: Float64, top: float
    ) -> None:
        tokens, rect = theme.current(), QRectF(self.rect_of(lane))
        body = QRectF(self.body.left(), rect.top() + 3, self.body.width(), LINE - 4)
        chosen = data.tracks.counts(data.chosen, lane, edges)
        color = event_color(data.color)
        painter.setPen(hair(tokens.hairline))
        painter.drawLine(QPointF(body.left(), body.bottom() + 0.5), QPointF(body.right(), body.bottom() + 0.5))
        image = _bars(values / top, chosen / top, body, self.devicePixelRatioF(), color, tokens.same)
        painter.drawImage(body, image)
        if data.waits is not None and data.waits.any:
            waited = data.waits.time_ns(self.lanes[lane].threads, edges)
            width_ns = (edges[1] - edges[0]) * 1e9 * max(len(self.lanes[lane].threads), 1)
            strip = QRectF(body.left(), body.bottom() + 2, body.width(), WAITS - 2)
            painter.drawImage(strip, _shaded(waited / width_ns, wait_color()))

    def _paint_words(self, painter: QPainter, data: LaneData, at: int, whole: float) -> None:
        tokens, lane, rect = theme.current(), self.lanes[at], self.rect_of(at)
        chosen = self.figure_of(at)
        if at in self.marked:
            painter.fillRect(QRectF(0, rect.top(), GUTTER - 4, rect.height()), tokens.selection)
        if at == self.current and self.hasFocus():
            painter.setPen(hair(tokens.accent))
            painter.drawRect(QRectF(0.5, rect.top() + 0.5, GUTTER - 5, rect.height() - 1))
        inset = 16 if lane.kind is LaneKind.THREAD and not lane.alone else 8
        painter.setFont(theme.interface_font(theme.SMALL))
        painter.setPen(tokens.text if chosen else tokens.faint)
        middle = Qt.AlignmentFlag.AlignVCenter
        number = str(lane.number) if lane.number >= 0 and lane.kind is not LaneKind.CPU else ""
        wide = painter.fontMetrics().horizontalAdvance(number)
        box = QRectF(inset, rect.top(), GUTTER - 16 - inset - wide, rect.height())
        elided(painter, box, lane.name or "(no name)", middle | Qt.AlignmentFlag.AlignLeft)
        painter.setPen(tokens.second if chosen else tokens.faint)
        painter.drawText(
            QRectF(GUTTER - 8 - wide - 4, rect.top(), wide + 4, rect.height()),
            int(middle | Qt.AlignmentFlag.AlignLeft), number,
        )  # fmt: skip
        painter.setFont(value_font())
        right = QRectF(self.body.right() + 8, rect.top(), 64, rect.height())
        text = nanoseconds(chosen) if data.of_waits else count(chosen)
        painter.drawText(right, int(middle | Qt.AlignmentFlag.AlignRight), text)
        painter.setFont(small_font())
        share = percent(chosen / whole) if whole else ""
        right = QRectF(self.body.right() + 76, rect.top(), READOUT - 80, rect.height())
        painter.drawText(right, int(middle | Qt.AlignmentFlag.AlignLeft), share)

    def _paint_over(self, painter: QPainter) -> None:
        tokens, rect, axis = theme.current(), self.body, self.axis
        painter.save()
        painter.setClipRect(rect.adjusted(0, 0, 1, 0))
        if axis.selection is not None:
            left, right = (self.x_of(time) for time in axis.selection)
            veil = QColor(tokens.surface)
            veil.setAlphaF(0.6)
            painter.fillRect(QRectF(rect.left(), 0, left - rect.left(), rect.height()), veil)
            painter.fillRect(QRectF(right, 0, rect.right() - right, rect.height()), veil)
            painter.setPen(hair(tokens.accent))
            for edge in (left, right):
                painter.drawLine(QPointF(edge, 0), QPointF(edge, rect.height()))
        if axis.hover_s is not None:
            x = round(self.x_of(axis.hover_s)) + 0.5
            painter.setPen(hair(tokens.second))
            painter.drawLine(QPointF(x, 0), QPointF(x, rect.height()))
        painter.restore()

    # Figures

    def samples_of(self, lane: int | None) -> float:
        """Samples of a lane (None: of all lanes) that are in the filter and in the range."""
        data = self.data
        if data is None:
            return 0.0
        if lane is None:
            # Processes hold their threads' samples.
            return sum(
                self.samples_of(at) for at, one in enumerate(self.lanes) if one.kind is not LaneKind.THREAD or one.alone
            )
        span = self.axis.selection or (-math.inf, math.inf)
        return float(data.tracks.counts(data.chosen, lane, np.array(span))[0])

    def figure_of(self, lane: int | None) -> float:
        """What stands beside a lane: its samples, or the nanoseconds it waited; None: of all lanes."""
        data = self.data
        if data is None or data.waits is None or not data.of_waits:
            return self.samples_of(lane)
        span = self.axis.selection or (self.axis.first_s - 1.0, self.axis.last_s + 1e6)
        lanes = self.lanes if lane is None else self.lanes[lane : lane + 1]
        threads = tuple(dict.fromkeys(thread for one in lanes for thread in one.threads))
        return float(data.waits.time_ns(threads, np.array(span))[0])

    def tip(self, at: QPoint) -> str:
        """About what is under the pointer."""
        lane, data = self.lane_at(at.y()), self.data
        if lane < 0 or data is None:
            return ""
        one = self.lanes[lane]
        number = {LaneKind.PROCESS: f" (process {one.number})", LaneKind.THREAD: f" (thread {one.number})"}
        lines = [f"{one.name}{number.get(one.kind, '') if one.number >= 0 else ''}"]
        x = at.x()
        if self.body.left() <= x <= self.body.right():
            start, end = self.time_at(x - 1), self.time_at(x + 1)
            edges = np.array([start, end])
            seen, chosen = (data.tracks.counts(sums, lane, edges)[0] for sums in (data.all, data.chosen))
            at_time = precise(start, self.axis.pixel_s)
            left_out = f", {count(seen - chosen)} left out" if seen != chosen else ""
            lines.append(
                f"{at_time}: {count(chosen)} samples of {data.event} in {nanoseconds((end - start) * 1e9)}{left_out}"
            )
            if data.waits is not None:
                waited = float(data.waits.time_ns(one.threads, edges)[0])
                lines.append(f"off the CPU: {nanoseconds(waited)} of them")
        else:
            lines.append(f"{count(self.samples_of(lane))} samples in what is chosen")
            lines.append("Click marks it, Ctrl+click another one. Enter: only these. Delete: all but these.")
        return "\n".join(lines)

    # The pointer and the keys

    def chosen_lanes(self) -> tuple[Lane, ...]:
        """What the keys and the menu act on: the marked lanes, else the current one."""
        at = sorted(self.marked) or ([self.current] if self.lanes else [])
        return tuple(self.lanes[lane] for lane in at if lane < len(self.lanes))

    def mark(self, lane: int, *, more: bool) -> None:
        """Marks a lane; `more` keeps the others and takes a marked one back."""
        self.current = lane
        if more:
            self.marked ^= {lane}
        else:
            self.marked = frozenset() if self.marked == {lane} else frozenset({lane})
        self.viewport().update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        x, y = event.position().x(), event.position().y()
        lane = self.lane_at(y)
        if event.button() is Qt.MouseButton.LeftButton:
            if x < self.body.left():
                if lane >= 0:
                    self.mark(lane, more=bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier))
            elif x <= self.body.right():
                self._pressed, self._dragging = x, False
        elif event.button() is Qt.MouseButton.MiddleButton:
            self._panning = x

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        if self._panning is not None:
            self.axis.pan((self._panning - x) * self.axis.pixel_s)
            self._panning = x
            return
        if self._pressed is not None:
            self._dragging = self._dragging or abs(x - self._pressed) >= _DRAG
            if self._dragging:
                self.axis.select(self.time_at(self._pressed), self.time_at(x))
        inside = self.body.left() <= x <= self.body.right()
        self.axis.point_at(self.time_at(x) if inside else None)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton and self._pressed is not None and not self._dragging:
            self.axis.clear()
        self._pressed = self._panning = None
        self._dragging = False

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        x, lane = event.position().x(), self.lane_at(event.position().y())
        if x < self.body.left():
            if lane >= 0:
                self.lane_wanted.emit((self.lanes[lane],))
        elif self.axis.selection is not None:
            self.axis.show_range(*self.axis.selection)
        else:
            self.axis.set_span(None)

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.axis.point_at(None)

    def contextMenuEvent(self, event: object) -> None:
        where = event.pos()  # type: ignore[attr-defined]
        lane = self.lane_at(where.y())
        if lane >= 0 and lane not in self.marked:
            self.mark(lane, more=False)
        self.menu_requested.emit(self.chosen_lanes(), event.globalPos())  # type: ignore[attr-defined]

    def wheelEvent(self, event: QWheelEvent) -> None:
        turned, axis = event.angleDelta(), self.axis
        if event.position().x() < self.body.left():
            super().wheelEvent(event)
        elif turned.x() or event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            axis.pan(-(turned.x() or turned.y()) / 120 * (axis.high_s - axis.low_s) / 10)
        else:
            axis.zoom(turned.y() / 120, self.time_at(event.position().x()))
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        axis = self.axis
        span = axis.high_s - axis.low_s
        here = axis.hover_s if axis.hover_s is not None else (axis.selection or (axis.low_s, axis.low_s))[1]
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        match event.key():
            case Qt.Key.Key_Up | Qt.Key.Key_Down:
                self._go(1 if event.key() == Qt.Key.Key_Down else -1, more=shift or control)
            case Qt.Key.Key_Space if self.lanes:
                self.mark(self.current, more=True)
            case Qt.Key.Key_Return | Qt.Key.Key_Enter if self.lanes:
                self.lane_wanted.emit(self.chosen_lanes())
            case Qt.Key.Key_Delete | Qt.Key.Key_Backspace if self.lanes:
                self.lane_unwanted.emit(self.chosen_lanes())
            case Qt.Key.Key_Left | Qt.Key.Key_Right:
                way = 1 if event.key() == Qt.Key.Key_Right else -1
                if control:
                    axis.pan(way * span / 10)
                    return
                there = min(max(here + way * axis.pixel_s * 4, axis.low_s), axis.high_s)
                axis.point_at(there)
                if shift:
                    self._extend(here, there)
            case Qt.Key.Key_Plus | Qt.Key.Key_Equal:
                axis.zoom(1, here)
            case Qt.Key.Key_Minus:
                axis.zoom(-1, here)
            case Qt.Key.Key_Home:
                axis.set_span(None)
            case Qt.Key.Key_Escape if axis.selection is not None or self.marked:
                axis.point_at(None)
                axis.clear()
                self.marked = frozenset()
                self.viewport().update()
            case _:
                super().keyPressEvent(event)

    def _go(self, by: int, *, more: bool) -> None:
        self.current = min(max(self.current + by, 0), max(len(self.lanes) - 1, 0))
        if more:
            self.marked |= {self.current}
        rect, bar = self.rect_of(self.current), self.verticalScrollBar()
        if rect.top() < 0:
            bar.setValue(bar.value() + rect.top())
        elif rect.bottom() >= self.viewport().height():
            bar.setValue(bar.value() + rect.bottom() - self.viewport().height() + 1)
        self.viewport().update()

    def _extend(self, here: float, there: float) -> None:
        """The selection's end that is at the cursor goes with it."""
        near = self.axis.pixel_s
        start, end = self.axis.selection or (here, here)
        if abs(here - end) <= near:
            self.axis.select(start, there)
        elif abs(here - start) <= near:
            self.axis.select(there, end)
        else:
            self.axis.select(here, there)

    def viewportEvent(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() is QEvent.Type.ToolTip:
            text = self.tip(event.pos())
            QToolTip.showText(event.globalPos(), plain.tip(text), self) if text else QToolTip.hideText()
            return True
        return super().viewportEvent(event)


def _bars(values: Float64, chosen: Float64, body: QRectF, ratio: float, color: QColor, other: QColor) -> QImage:
    """One bar per column, what is chosen in `color` over all in `other`."""
    high = max(round(body.height() * ratio), 1)
    level = np.arange(high, 0, -1)[:, None] - 0.5
    pixels = np.zeros((high, len(values)), dtype=np.uint32)
    pixels[level <= _tall(values, high)] = other.rgba()
    pixels[level <= _tall(chosen, high)] = color.rgba()
    return _image(pixels)


def _tall(values: Float64, high: int) -> Float64:
    """Heights in pixels; whatever there is shows."""
    return np.where(values > 0, np.maximum(values * high, 1.0), 0.0)


def _shaded(share: Float64, color: QColor) -> QImage:
    """One row, the stronger the larger the share."""
    alpha = np.where(share > 0, 40 + 215 * np.clip(share, 0, 1), 0).astype(np.uint32) << np.uint32(24)
    return _image((alpha | np.uint32(color.rgb() & 0xFFFFFF)).astype(np.uint32)[None, :])


def _image(pixels: npt.NDArray[np.uint32]) -> QImage:
    high, wide = pixels.shape
    return QImage(pixels.tobytes(), wide, high, wide * 4, QImage.Format.Format_ARGB32).copy()


def lanes_text(lanes: Sequence[Lane]) -> str:
    """What a menu calls them: "worker-0", "3 threads"."""
    return lanes[0].name if len(lanes) == 1 else f"{len(lanes)} lines"
