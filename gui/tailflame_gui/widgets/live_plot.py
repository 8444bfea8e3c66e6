"""Strips that share one time axis: a name and a unit at the left, the lines, the current values at the right.

A strip shows what it was given and nothing else: a value that is not known is a gap in its line and a word at its end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QGridLayout, QSizePolicy, QWidget

from tailflame_gui import theme
from tailflame_gui.widgets.parts import column, label
from tailflame_gui.widgets.ring import Ring

CAPACITY = 2400
"""Rows kept: ten minutes at four a second."""
_LEAST_SPAN_S = 10.0
_NAME_WIDTH = 128
_AXIS_WIDTH = 56
_AXIS_HEIGHT = 20
_READOUT_WIDTH = 192
_VALUE_RIGHT = 108.0
_LINE = 16
_SWATCH = 14

Write = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a strip. `color` is a token; `dashed` tells it from the other without colour."""

    key: str
    words: str
    color: str = "accent"
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Strip:
    """One strip. `write` makes text of a value, for the axis (`unit` is not in it) and the readout."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    write: Write
    least_top: float = 1.0
    """The axis reaches at least so far, so that noise near zero looks like noise."""
    tip: str = ""


def nice_top(value: float, least: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten that is not below `value`, nor below `least`."""
    value = max(value, least)
    if not math.isfinite(value) or value <= 0:
        return least
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= value * (1 - 1e-9))


def thin(
    times: NDArray[np.float64], columns: NDArray[np.float64], most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most about `most` points that look the same: of each group of neighbours the least and the greatest value.

    `columns` is float64[lines, rows]. A group in which one value is not known keeps its gap.
    """
    rows = len(times)
    if rows <= most:
        return times, columns
    group = -(-2 * rows // most)
    whole = rows // group * group
    shaped = columns[:, :whole].reshape(len(columns), -1, group)
    ends = np.stack((shaped.min(axis=2), shaped.max(axis=2)), axis=2).reshape(len(columns), -1)
    middle = times[:whole].reshape(-1, group)
    at = np.stack((middle[:, 0], middle[:, group // 2]), axis=1).reshape(-1)
    return np.concatenate((at, times[whole:])), np.concatenate((ends, columns[:, whole:]), axis=1)


def clock(seconds: float) -> str:
    """A time on the axis: 5 s, 1:20, 1:02:05."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if math.isclose(seconds, whole, abs_tol=1e-6) else f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


class _ValueAxis(pg.AxisItem):  # type: ignore[misc]
    """Two ticks: zero and the top, which is a round number."""

    def __init__(self, write: Write) -> None:
        super().__init__("left")
        self._write = write
        self.top = 1.0
        self.setWidth(_AXIS_WIDTH)
        self.setStyle(tickFont=theme.interface_font(theme.SMALL), tickLength=0, tickTextOffset=6)

    def tickValues(self, _least: float, _most: float, _size: float) -> list[tuple[float, list[float]]]:
        return [(self.top, [0.0, self.top])]

    def tickStrings(self, values: list[float], _scale: float, _spacing: float) -> list[str]:
        return [self._write(value) for value in values]


class _TimeAxis(pg.AxisItem):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__("bottom")
        self.setHeight(_AXIS_HEIGHT)
        self.setStyle(tickFont=theme.interface_font(theme.SMALL), tickLength=4, tickTextOffset=4)

    def tickSpacing(self, least: float, most: float, size: float) -> list[tuple[float, float]]:
        wanted = (most - least) / max(size / 96, 2)
        steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)
        return [(next((step for step in steps if step >= wanted), steps[-1]), 0)]

    def tickStrings(self, values: list[float], _scale: float, _spacing: float) -> list[str]:
        return [clock(value) for value in values]


class Readout(QWidget):
    """The values at the right end, each behind a piece of its line."""

    def __init__(self, strip: Strip) -> None:
        super().__init__()
        self._strip = strip
        self._texts: list[str] = ["" for _ in strip.lines]
        self.setFixedWidth(_READOUT_WIDTH)

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(self._texts)

    def show_texts(self, texts: Sequence[str]) -> None:
        if list(texts) != self._texts:
            self._texts = list(texts)
            said = ", ".join(
                f"{line.words} {text}".strip() for line, text in zip(self._strip.lines, texts, strict=True)
            )
            self.setAccessibleName(f"{self._strip.title}: {said}")
            self.update()

    def sizeHint(self) -> QSize:
        return QSize(_READOUT_WIDTH, _LINE * len(self._strip.lines))

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        top = (self.height() - _LINE * len(self._texts)) / 2
        for line, text in zip(self._strip.lines, self._texts, strict=True):
            middle = top + _LINE / 2
            painter.setPen(_pen(line, getattr(tokens, line.color), self.devicePixelRatioF()))
            painter.drawLine(QPointF(8, middle), QPointF(8 + _SWATCH, middle))
            known = text[:1].isdigit()
            painter.setFont(theme.mono_font(theme.BASE - 1) if known else theme.interface_font(theme.SMALL))
            painter.setPen(tokens.text if known else tokens.second)
            flags = Qt.AlignmentFlag.AlignVCenter
            box = QRectF(26, top, _VALUE_RIGHT - 26, _LINE)
            painter.drawText(box, int(flags | Qt.AlignmentFlag.AlignRight), text)
            if line.words:
                painter.setFont(theme.interface_font(theme.SMALL))
                painter.setPen(tokens.second)
                words = QRectF(_VALUE_RIGHT + 8, top, self.width() - _VALUE_RIGHT - 8, _LINE)
                painter.drawText(words, int(flags), line.words)
            top += _LINE
        painter.end()


def _pen(line: Line, color: QColor, scale: float = 1.0) -> QPen:
    """`scale`: pixels of the screen in one of ours."""
    # No wider than that, and dashed ones not at all: Qt strokes wide lines by their outline, dash by dash.
    pen = QPen(color, 1 if line.dashed else max(round(scale), 1))
    pen.setCosmetic(True)
    if line.dashed:
        pen.setStyle(Qt.PenStyle.CustomDashLine)
        pen.setDashPattern([4.0 * scale, 2.0 * scale])
    return pen


class _Plot(pg.PlotWidget):  # type: ignore[misc]
    """One strip's plot: no buttons, no menu, no dragging; the window scales it."""

    def __init__(self, strip: Strip, *, with_time: bool) -> None:
        self.values = _ValueAxis(strip.write)
        self.times = _TimeAxis()
        super().__init__(axisItems={"left": self.values, "bottom": self.times})
        self.strip = strip
        self.hideButtons()
        self.setMenuEnabled(False)
        self.setMouseEnabled(False, False)
        self.setFrameShape(self.Shape.NoFrame)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(40 + (_AXIS_HEIGHT if with_time else 0))
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        item = self.getPlotItem()
        item.getViewBox().setDefaultPadding(0)
        # Half a line of text at each end, so that the ticks' words are whole.
        item.layout.setContentsMargins(0, 7, 0, 2 if with_time else 7)
        if not with_time:
            item.hideAxis("bottom")
        self.zero = pg.InfiniteLine(0.0, angle=0, movable=False)
        self.zero.setZValue(-10)
        item.addItem(self.zero, ignoreBounds=True)
        self.curves = [item.plot([], []) for _ in strip.lines]
        self.ends = [item.plot([], [], pen=None, symbol="o", symbolSize=5) for _ in strip.lines]
        """A dot at the newest value; without it a line of one value would not be seen."""
        self.cursor_line = pg.InfiniteLine(angle=90, movable=False)
        self.cursor_line.hide()
        item.addItem(self.cursor_line, ignoreBounds=True)
        self.paint_theme()

    def paint_theme(self) -> None:
        tokens = theme.current()
        self.setBackground(tokens.surface)
        for axis in (self.values, self.times):
            axis.setPen(tokens.hairline)
            axis.setTextPen(tokens.second)
        for curve, line in zip(self.curves, self.strip.lines, strict=True):
            color: QColor = getattr(tokens, line.color)
            curve.setPen(_pen(line, color, self.devicePixelRatioF()))
            if line is self.strip.lines[0]:
                fill = QColor(color)
                fill.setAlphaF(0.10)
                curve.setFillLevel(0.0)
                curve.setBrush(fill)
        for end, line in zip(self.ends, self.strip.lines, strict=True):
            end.setSymbolBrush(getattr(tokens, line.color))
            end.setSymbolPen(None)
        self.cursor_line.setPen(QPen(tokens.second, 0))
        self.zero.setPen(QPen(tokens.hairline, 0))

    def draw(self, times: NDArray[np.float64], columns: NDArray[np.float64]) -> None:
        """`columns`: float64[lines, rows], NaN for a gap."""
        most = 0.0
        for curve, end, values in zip(self.curves, self.ends, columns, strict=True):
            known = np.isfinite(values)
            newest = slice(-1, None) if known[-1:].any() else slice(0, 0)
            end.setData(times[newest], values[newest])
            if known.any():
                curve.setData(times, values, connect="finite")
                most = max(most, float(values[known].max()))
            else:
                curve.setData([], [])
        top = nice_top(most, self.strip.least_top)
        self.values.top = top
        self.setYRange(0.0, top, padding=0.02)


class LivePlots(QWidget):
    """`strips` over one time axis. Memory is bounded: the newest CAPACITY rows are kept."""

    def __init__(self, strips: Sequence[Strip], *, capacity: int = CAPACITY) -> None:
        super().__init__()
        self._strips = tuple(strips)
        self._keys = [line.key for strip in strips for line in strip.lines]
        self._ring = Ring(capacity, 1 + len(self._keys))
        self._unknown: dict[str, str] = {}
        self._whole_s: float | None = None
        self._stale = False
        self._drawn_s = -math.inf
        self._pointed: float | None = None
        self._plots: list[_Plot] = []
        self._readouts: list[Readout] = []
        self._when = label("", "small")
        self._when.setFixedHeight(_AXIS_HEIGHT)
        self._when.setContentsMargins(8, 0, 0, 0)
        self._when.setToolTip(f"The newest {capacity:,} values of each line are kept.")
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(0)
        for at, strip in enumerate(self._strips):
            last = at == len(self._strips) - 1
            names = column(margins=(16, 4, 0, _AXIS_HEIGHT + 2 if last else 2), spacing=0)
            title = label(strip.title, "heading")
            title.setToolTip(strip.tip)
            names.addWidget(title)
            names.addWidget(label(strip.unit, "small"))
            names.addStretch()
            side = QWidget()
            side.setFixedWidth(_NAME_WIDTH)
            side.setLayout(names)
            plot = _Plot(strip, with_time=last)
            plot.setAccessibleName(f"{strip.title} over time")
            plot.scene().sigMouseMoved.connect(lambda point, plot=plot: self._mouse_at(plot, point))
            plot.installEventFilter(self)
            readout = Readout(strip)
            end = column(spacing=0)
            end.addWidget(readout, 1)
            if last:
                end.addWidget(self._when)
            grid.addWidget(side, at, 0)
            grid.addWidget(plot, at, 1)
            grid.addLayout(end, at, 2)
            grid.setRowMinimumHeight(at, 40 + (_AXIS_HEIGHT if last else 0))
            grid.setRowStretch(at, 10 if not last else 13)
            if at:
                plot.setXLink(self._plots[0])
            self._plots.append(plot)
            self._readouts.append(readout)
        layout = column(spacing=0)
        layout.addLayout(grid, 1)
        self.setLayout(layout)
        theme.signals.changed.connect(self._repaint)
        self.clear()

    @property
    def ring(self) -> Ring:
        return self._ring

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self._keys)

    def clear(self, *, whole_s: float | None = None) -> None:
        """Empty again. `whole_s` is how long it will last, where that is known: the axis shows all of it."""
        self._ring.clear()
        self._unknown.clear()
        self._whole_s = whole_s
        self._pointed = None
        self._refresh()

    def add(self, rows: Sequence[tuple[float, dict[str, float | None]]], *, unknown: dict[str, str]) -> None:
        """(seconds, value by key) rows; None is a gap. `unknown` says in a word why a key has no value now."""
        for time_s, values in rows:
            known = [math.nan if (value := values.get(key)) is None else value for key in self._keys]
            self._ring.append([time_s, *known])
        self._unknown = dict(unknown)
        if not self.isVisible():
            self._stale = True
        elif rows and rows[-1][0] - self._drawn_s < self._pixel_s:
            self._read(self._ring.rows())  # the lines would not move by a pixel
        else:
            self._refresh()

    @property
    def _pixel_s(self) -> float:
        """Seconds in one pixel of the axis."""
        least, most = self.time_range
        return (most - least) / max(int(self._plots[0].width()) - _AXIS_WIDTH, 1)

    def values_of(self, key: str) -> NDArray[np.float64]:
        """What is kept of one line, oldest first."""
        return self._ring.rows()[:, 1 + self._keys.index(key)]

    def readout(self, title: str) -> tuple[str, ...]:
        """What stands at the right end of a strip."""
        return next(r.texts for s, r in zip(self._strips, self._readouts, strict=True) if s.title == title)

    @property
    def when(self) -> str:
        """Of what time the values at the right end are."""
        return self._when.text()

    @property
    def time_range(self) -> tuple[float, float]:
        """What the axis shows, in seconds."""
        least, most = self._plots[0].getPlotItem().getViewBox().viewRange()[0]
        return float(least), float(most)

    @property
    def cursor_lines(self) -> tuple[Any, ...]:
        return tuple(plot.cursor_line for plot in self._plots)

    def plot_of(self, title: str) -> Any:
        """The plot of a strip."""
        return next(plot for plot in self._plots if plot.strip.title == title)

    # Showing

    def _refresh(self) -> None:
        self._stale = False
        rows = self._ring.rows()
        times = rows[:, 0]
        self._drawn_s = float(times[-1]) if len(times) else -math.inf
        drawn, columns = thin(times, rows[:, 1:].T, max(self._plots[0].width() - _AXIS_WIDTH, 100))
        at = 0
        for strip, plot in zip(self._strips, self._plots, strict=True):
            plot.draw(drawn, columns[at : at + len(strip.lines)])
            at += len(strip.lines)
        start = float(times[0]) if self._ring.dropped else 0.0
        end = max(float(times[-1]) if len(times) else 0.0, start + _LEAST_SPAN_S)
        if self._whole_s is not None and not self._ring.dropped:
            end = max(float(times[-1]) if len(times) else 0.0, self._whole_s)
        self._plots[0].setXRange(start, end, padding=0)
        self._read(rows)

    def _read(self, rows: NDArray[np.float64]) -> None:
        """The values under the cursor, else the newest."""
        row: NDArray[np.float64] | None = None
        if len(rows):
            at = len(rows) - 1
            if self._pointed is not None:
                at = int(np.argmin(np.abs(rows[:, 0] - self._pointed)))
            row = rows[at]
        position = 1
        for strip, readout in zip(self._strips, self._readouts, strict=True):
            texts = []
            for line in strip.lines:
                value = math.nan if row is None else float(row[position])
                texts.append(self._text(strip, line, value, empty=row is None))
                position += 1
            readout.show_texts(texts)
        shown = row is not None and self._pointed is not None
        if shown and row is not None:
            self._when.setText(f"at {row[0]:.1f} s")
        elif self._ring.dropped and len(rows):
            self._when.setText(f"the last {clock(float(rows[-1, 0] - rows[0, 0]))}")
        else:
            self._when.setText("since it started")
        for plot in self._plots:
            plot.cursor_line.setVisible(shown)
            if shown and row is not None:
                plot.cursor_line.setValue(float(row[0]))

    def _text(self, strip: Strip, line: Line, value: float, *, empty: bool) -> str:
        if math.isfinite(value):
            return strip.write(value)
        return "" if empty else self._unknown.get(line.key, "not known")

    def point_at(self, time_s: float | None) -> None:
        """Reads every strip at this time; None: the newest values."""
        if time_s != self._pointed and len(self._ring):
            self._pointed = time_s
            self._read(self._ring.rows())

    def _mouse_at(self, plot: _Plot, point: QPointF) -> None:
        self.point_at(float(plot.getPlotItem().getViewBox().mapSceneToView(point).x()))

    def eventFilter(self, watched: Any, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Leave:
            self.point_at(None)
        return False

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        if self._stale:
            self._refresh()

    def _repaint(self) -> None:
        for plot in self._plots:
            plot.paint_theme()
        for readout in self._readouts:
            readout.update()
