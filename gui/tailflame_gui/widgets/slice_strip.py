"""A continuous profile over time: a bar for each slice. A range of them is a flame graph, two ranges a comparison."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QBrush, QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent

from tailflame.model.slices import SliceFigures
from tailflame.units import count, percent, seconds
from tailflame_gui import theme
from tailflame_gui.widgets.live_plot import nice_top
from tailflame_gui.widgets.plot_ink import Scale, hair, small_font
from tailflame_gui.widgets.time_axis import TimeAxis
from tailflame_gui.widgets.time_plot import Reading, TimePlot

_LEAST_HIGH = 72
_BAR = 2.0
"""Pixels: a slice is never thinner, so that it can be pointed at."""
_NO_SLICE = "No slice yet: the first one is there when it is closed."


class SliceStrip(TimePlot):
    """Height: the CPU used, in cores, or samples a second where the event does not tell; colour: the module of the
    function on top.

    A drag selects slices on the shared axis, a drag with Shift a second range to compare it with; both take whole
    slices. ranges_changed(): another first or second range. opened(): Enter on a selection. compared(): C.
    """

    ranges_changed = Signal()
    opened = Signal()
    compared = Signal()

    def __init__(self, axis: TimeAxis) -> None:
        super().__init__(axis, "Slices", least_height=_LEAST_HIGH)
        self.rows: tuple[SliceFigures, ...] = ()
        self.second: tuple[float, float] | None = None
        """The other range, that the selected one is compared with."""
        self.empty_text = _NO_SLICE
        self._starts: list[float] = []
        self._second_from: float | None = None
        self._own_press = False
        self.setWhatsThis(
            "Left and Right choose a slice, with Shift more of them; B keeps them to compare with, Enter opens their "
            "flame graph, C compares."
        )
        axis.range_cleared.connect(self._cleared)

    # What is shown

    def show_rows(self, rows: tuple[SliceFigures, ...]) -> None:
        """All slices there are, in the order of time."""
        if rows == self.rows:
            return
        self.rows = rows
        self._starts = [row.start_s for row in rows]
        self.empty_text = "" if rows else _NO_SLICE
        self.unit = "cores busy" if self._cores else "samples/s"
        merged = sum(row.parts > 1 for row in rows)
        self.note = f"{merged} merged" if merged else "Shift: compare" if rows else ""
        self.draw_anew()

    @property
    def _cores(self) -> bool:
        """Whether the slices tell CPU time."""
        return all(row.cpu_s is not None for row in self.rows if not row.waiting and row.samples)

    def height_of(self, row: SliceFigures) -> float:
        """What the bar of a slice says: cores busy, or samples a second."""
        length = max(row.length_s, 1e-9)
        if not self._cores:
            return row.samples / length
        if row.cpu_s is not None:
            return row.cpu_s / length
        return row.samples / length / self._rate if row.waiting and self._rate else 0.0

    @property
    def _rate(self) -> float:
        """Samples in a second of CPU time, of those that are read: what is not yet is drawn by it."""
        read = [row for row in self.rows if row.cpu_s]
        cpu = sum(row.cpu_s or 0.0 for row in read)
        return sum(row.samples for row in read) / cpu if cpu else 0.0

    def slice_at(self, time_s: float) -> SliceFigures | None:
        at = bisect_right(self._starts, time_s) - 1
        row = self.rows[at] if at >= 0 else None
        return row if row is not None and time_s < max(row.end_s, row.start_s + _BAR * self.axis.pixel_s) else None

    def chosen(self, span: tuple[float, float] | None) -> tuple[SliceFigures, ...]:
        """The slices of which the middle lies in a range."""
        if span is None:
            return ()
        return tuple(row for row in self.rows if span[0] <= row.start_s + row.length_s / 2 < span[1])

    @property
    def first(self) -> tuple[float, float] | None:
        """The selected range, where it holds a slice."""
        return self.axis.selection if self.chosen(self.axis.selection) else None

    @property
    def words(self) -> str:
        """What is selected, in a line."""
        first, second = self.chosen(self.axis.selection), self.chosen(self.second)
        if not first:
            return ""
        told = _several(first)
        return f"{told}; to compare with: {_several(second)}" if second else told

    # Painting

    def draw(self, painter: QPainter, rect: QRectF) -> None:
        axis, tokens = self.axis, theme.current()
        low = max(bisect_right(self._starts, axis.low_s) - 1, 0)
        shown = [row for row in self.rows[low : bisect_right(self._starts, axis.high_s)] if row.end_s >= axis.low_s]
        most = max((self.height_of(row) for row in shown), default=0.0)
        scale = Scale(0.0, nice_top(most, 0.01), rect.bottom(), rect.top())
        self.draw_scale(painter, rect, scale, lambda v: f"{v:g}")
        painter.save()
        painter.setClipRect(rect.adjusted(0, -1, 1, 1))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(Qt.PenStyle.NoPen)
        edges = self.across(np.array([(row.start_s, row.end_s) for row in shown]).reshape(-1, 2))
        for row, (left, right) in zip(shown, edges.tolist(), strict=True):
            top = scale.at(self.height_of(row))
            wide = max(right - left - 1.0, _BAR)
            bar = QRectF(left, min(top, rect.bottom() - 1), wide, max(rect.bottom() - top, 1.0))
            if row.waiting:
                painter.fillRect(bar, QBrush(tokens.faint, Qt.BrushStyle.BDiagPattern))
            else:
                painter.fillRect(bar, self.color_of(row))
            if row.note:
                painter.fillRect(QRectF(left, rect.bottom() - 2, wide, 2), tokens.warn)
        painter.restore()

    def color_of(self, row: SliceFigures) -> QColor:
        """By the module of its function on top; of one without, by its crate."""
        if not row.top:
            return theme.current().faint
        return theme.current().module_color(row.top_module or row.top.lstrip("<&").partition("::")[0])

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.second is None:
            return
        tokens, rect = theme.current(), self.body
        painter = QPainter(self)
        painter.setClipRect(rect.adjusted(0, -4, 1, 4))
        left, right = self.across(np.array(self.second))
        wash = QColor(tokens.more)
        wash.setAlphaF(0.18)
        painter.fillRect(QRectF(left, 0, right - left, self.height()), wash)
        painter.setPen(hair(tokens.more, Qt.PenStyle.DashLine))
        for edge in (left, right):
            painter.drawLine(QPointF(edge, 0), QPointF(edge, self.height()))
        painter.setPen(tokens.more)
        painter.setFont(small_font())
        painter.drawText(QPointF(left + 4, rect.top() + 10), "compare with")
        painter.end()

    def readings(self) -> list[Reading]:
        row = self.slice_at(self.axis.hover_s) if self.axis.hover_s is not None else self._latest
        if row is None:
            return [Reading("nothing here", known=False)] if self.rows else []
        if row.waiting:
            return [Reading(count(row.samples), "samples"), Reading("not read yet", known=False)]
        figure = f"{self.height_of(row):.2f}" if self._cores else f"{self.height_of(row):.3g}"
        lines = [Reading(figure, "cores" if self._cores else "samples/s")]
        if row.top:
            lines.append(Reading(percent(row.top_share), _short(row.top), self.color_of(row)))
        return lines

    @property
    def _latest(self) -> SliceFigures | None:
        read = [row for row in self.rows if not row.waiting]
        return read[-1] if read else None

    def tip(self, time_s: float, _y: float) -> str:
        row = self.slice_at(time_s)
        if row is None:
            return "No slice was recorded at this time." if self.rows else ""
        merged = f", merged of {row.parts}" if row.parts > 1 else ""
        lines = [f"{seconds(row.length_s)}{merged}: {count(row.samples)} samples"]
        if row.cpu_s is not None:
            lines[0] += f", {row.cpu_s / max(row.length_s, 1e-9):.2f} cores busy"
        if row.waiting:
            lines.append("It waits to be read: the CPU budget does not allow it yet. Select it to have it read now.")
        elif row.top:
            lines.append(f"On top: {row.top}, {percent(row.top_share)}")
        lines += [text for text in (row.note, row.source) if text]
        return "\n".join(lines)

    # The pointer and the keys

    def _cleared(self) -> None:
        if self.second is not None:
            self.set_second(None)
        self.ranges_changed.emit()

    def set_second(self, span: tuple[float, float] | None) -> None:
        if span != self.second:
            self.second = span
            self.update()
            self.ranges_changed.emit()

    def whole(self, one_s: float, other_s: float) -> tuple[float, float] | None:
        """The slices that a range touches, from the first's start to the last's end; None for none."""
        low, high = sorted((one_s, other_s))
        touched = [row for row in self.rows if row.start_s < high and row.end_s > low] or [
            row for row in (self.slice_at(low),) if row is not None
        ]
        return (touched[0].start_s, touched[-1].end_s) if touched else None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        left = event.button() is Qt.MouseButton.LeftButton
        if left and self.body.left() <= x <= self.body.right():
            self._own_press = True
            if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                self._second_from = self.time_at(x)
                return
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._second_from is not None:
            self.set_second(self.whole(self._second_from, self.time_at(event.position().x())))
            return
        super().mouseMoveEvent(event)
        if self._dragging:
            self._snap()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        here = self.time_at(event.position().x())
        if self._second_from is not None:
            self.set_second(self.whole(self._second_from, here))
            self._second_from, self._own_press = None, False
            return
        clicked = self._own_press and not self._dragging
        self._own_press = False
        row = self.slice_at(here)
        if clicked and event.button() is Qt.MouseButton.LeftButton and row is not None and not self.moment_at(here):
            self._pressed = None
            self.axis.select(row.start_s, row.end_s)
            self.ranges_changed.emit()
            return
        dragged = self._dragging
        super().mouseReleaseEvent(event)
        if dragged:
            self._snap()
            self.ranges_changed.emit()

    def _snap(self) -> None:
        """To whole slices: a part of one has no profile of its own."""
        span = self.axis.selection
        whole = self.whole(*span) if span is not None else None
        if whole is not None:
            self.axis.select(*whole)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        match event.key():
            case Qt.Key.Key_Left | Qt.Key.Key_Right if self.rows and not control:
                way = 1 if event.key() == Qt.Key.Key_Right else -1
                self._step(way, extend=bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
            case Qt.Key.Key_Return | Qt.Key.Key_Enter if self.first is not None:
                self.opened.emit()
            case Qt.Key.Key_B if self.first is not None and not control:
                self.set_second(self.first)
            case Qt.Key.Key_C if self.first is not None and self.second is not None and not control:
                self.compared.emit()
            case Qt.Key.Key_Escape if self.second is not None and self.axis.selection is None:
                self.set_second(None)
            case _:
                super().keyPressEvent(event)

    def _step(self, way: int, *, extend: bool) -> None:
        """The selection goes to the neighbour, or takes it in."""
        chosen = self.chosen(self.axis.selection)
        if not chosen:
            row = self.rows[-1 if way > 0 else 0] if self.axis.hover_s is None else self.slice_at(self.axis.hover_s)
            row = row or self.rows[-1]
            self.axis.select(row.start_s, row.end_s)
        elif extend:
            at = min(max(self.rows.index(chosen[-1]) + way, self.rows.index(chosen[0])), len(self.rows) - 1)
            self.axis.select(chosen[0].start_s, self.rows[at].end_s)
        else:
            edge = chosen[-1] if way > 0 else chosen[0]
            at = min(max(self.rows.index(edge) + way, 0), len(self.rows) - 1)
            self.axis.select(self.rows[at].start_s, self.rows[at].end_s)
        self.ranges_changed.emit()


def _several(rows: tuple[SliceFigures, ...]) -> str:
    samples = count(sum(row.samples for row in rows))
    what = "1 slice" if len(rows) == 1 else f"{count(len(rows))} slices"
    return f"{what}, {seconds(sum(row.length_s for row in rows))}, {samples} samples"


def _short(name: str) -> str:
    return name.rsplit("::", 1)[-1]
