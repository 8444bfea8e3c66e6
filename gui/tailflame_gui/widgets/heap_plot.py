"""Memory over time: heap, what the allocator adds and stacks on top of each other, resident memory as a line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPolygonF

from tailflame.model.heap import Counted, HeapTimeline, TimeUnit
from tailflame.model.stacks import NONE, Bool
from tailflame.units import MINUS, count, size
from tailflame_gui import theme
from tailflame_gui.models.heap_facts import time_text
from tailflame_gui.widgets.plot_ink import (
    Array,
    Scale,
    hair,
    linear_scale,
    polygon,
    polyline,
    small_font,
    tagged,
    thinned,
)
from tailflame_gui.widgets.time_axis import TimeAxis
from tailflame_gui.widgets.time_plot import READOUT, Reading, TimePlot

_LEAST_HIGH = 168
_NEAR = 8
"""Pixels from a tick that still mean it."""
_TICK = 7
_FAR_ABOVE = 4.0
"""Resident memory so many times the heap would press the heap flat: then it is drawn only when it is asked for."""
_FULL, _PALE = 0.62, 0.34
"""How much of its colour a band has, and the part of it that is not always in use."""


_UNITS = {TimeUnit.SECONDS: "seconds", TimeUnit.INSTRUCTIONS: "instructions", TimeUnit.BYTES: "bytes"}


KEYS = (
    ("Left, Right", "Go to the snapshot before, to the next one"),
    ("Home, End", "Go to the first snapshot, to the last"),
    ("P", "Go to the snapshot of the peak"),
    ("Enter", "Show the snapshot's call tree as a flame graph"),
    ("Ctrl+Left, Ctrl+Right", "Move what is in sight"),
    ("+, -", "Closer, and back"),
    ("Esc", "Take the selected range back"),
)
"""(keys, what they do) while the plot has the keyboard."""


class Band(NamedTuple):
    """What is drawn of memory: `key` a column of HeapTimeline."""

    key: str
    words: str
    tip: str


HEAP = Band("heap", "heap", "In use, as the program asked for it")
EXTRA = Band("extra", "overhead", "What the allocator adds: headers and rounding")
STACKS = Band("stacks", "stacks", "Of all threads")
PAGES = Band("heap", "mapped", "All that is mapped: code, data and what the allocator keeps, used or not")
RSS = Band("rss", "resident", "Resident memory of the whole process: code, libraries and what was freed but kept, too")


def color_of(band: Band) -> QColor:
    tokens = theme.current()
    match band.key:
        case "heap":
            return tokens.percentiles[2]
        case "extra":
            return tokens.percentiles[3]
        case "stacks":
            return tokens.kind_inlined
        case _:
            return tokens.more


def axis_of(heap: HeapTimeline, *others: HeapTimeline, parent: object = None) -> TimeAxis:
    """An axis over the whole time of the heaps, in their unit of time."""
    times = np.concatenate([one.time for one in (heap, *others)])
    first, last = (float(times.min()), float(times.max())) if len(times) else (0.0, 1.0)
    first = min(first, 0.0)
    whole = max(last - first, 1e-9)
    axis = TimeAxis(span_s=None, least_span_s=whole, closest_s=whole / 1e4)
    axis.set_extent(first, last)
    return axis


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A band ready to be drawn: its values, and where it begins and ends in the pile."""

    band: Band
    values: Array
    top: Array


def layers_of(heap: HeapTimeline) -> tuple[Layer, ...]:
    """The bands that the file tells, from the bottom up; unknown values in between count as none."""
    pile = np.zeros(len(heap))
    found = []
    for band in (PAGES if heap.counted is Counted.PAGES else HEAP, EXTRA, STACKS):
        values = getattr(heap, band.key)
        if not np.isfinite(values).any() or (band.key != HEAP.key and not np.nanmax(values)):
            continue
        pile = pile + np.nan_to_num(values)
        found.append(Layer(band, values, pile))
    return tuple(found)


class HeapPlot(TimePlot):
    """The snapshots with a call tree are ticks below the plot: a click, Left and Right choose one.

    chosen(row): another snapshot; opened(row): its call tree is wanted, by a double click or Enter.
    """

    chosen = Signal(int)
    opened = Signal(int)

    def __init__(self, axis: TimeAxis, title: str = "Memory") -> None:
        super().__init__(axis, title, least_height=_LEAST_HIGH)
        self.heap: HeapTimeline | None = None
        self.layers: tuple[Layer, ...] = ()
        self.row = NONE
        """The snapshot that is chosen, -1 for none."""
        self._stops: Array = np.zeros(0, dtype=np.int64)
        self._hidden: set[str] = set()
        self.top: float | None = None
        """Where the scale ends, for plots that are to be compared; None: at what is drawn."""
        self.reading_clicked.connect(self._toggle)
        self.setWhatsThis(
            "Left and Right go from snapshot to snapshot, Home and End to the first and the last, P to the peak; Enter "
            "shows the call tree. Drag a range to read what it added."
        )

    # What is shown

    def set_heap(self, heap: HeapTimeline) -> None:
        self.heap = heap
        self.layers = layers_of(heap)
        self._stops = np.array(heap.rows_with_stacks(), dtype=np.int64)
        used = max((float(layer.top.max()) for layer in self.layers), default=0.0)
        if self._has_rss and float(np.nanmax(heap.rss)) > _FAR_ABOVE * used > 0:
            self._hidden.add(RSS.key)
        snapshots = len(self._stops)
        self.unit = f"over {_UNITS[heap.time_unit]}"
        self.note = f"{count(snapshots)} call tree{'' if snapshots == 1 else 's'}" if snapshots else ""
        self.empty_text = "" if len(heap) and (self.layers or self._has_rss) else "The file holds no memory over time."
        self.draw_anew()

    @property
    def _has_rss(self) -> bool:
        return self.heap is not None and bool(np.isfinite(self.heap.rss).any())

    @property
    def shows_rss(self) -> bool:
        return self._has_rss and RSS.key not in self._hidden

    def show_rss(self, shown: bool) -> None:
        """Draws resident memory, or leaves it to a click on its reading."""
        self._hidden = self._hidden - {RSS.key} if shown else self._hidden | {RSS.key}
        self.draw_anew()

    @property
    def most(self) -> float:
        """The largest value that is drawn."""
        tops = [float(layer.top.max()) for layer in self.layers]
        if self.shows_rss and self.heap is not None:
            tops.append(float(np.nanmax(self.heap.rss)))
        return max(tops, default=0.0)

    def choose(self, row: int) -> None:
        """Marks a row, silently."""
        if row != self.row:
            self.row = row
            self.update()

    def row_at(self, time: float) -> int:
        """The row that holds at a time: the last one not after it; -1 for none."""
        if self.heap is None or not len(self.heap):
            return NONE
        return max(int(np.searchsorted(self.heap.time, time, side="right")) - 1, 0)

    def stop_near(self, x: float) -> int:
        """The snapshot whose tick is near a pixel, -1 for none."""
        if self.heap is None or not len(self._stops):
            return NONE
        away = np.abs(self.across(self.heap.time[self._stops]) - x)
        best = int(np.argmin(away))
        return int(self._stops[best]) if away[best] <= _NEAR else NONE

    def _toggle(self, line: int) -> None:
        bands = self._read_bands()
        if line < len(bands) and bands[line] is RSS:
            self._hidden ^= {RSS.key}
            self.draw_anew()

    # Painting

    def draw(self, painter: QPainter, rect: QRectF) -> None:
        heap, tokens = self.heap, theme.current()
        assert heap is not None
        plot, scale = self.placed(rect)
        self.draw_scale(painter, plot, scale, size)
        painter.save()
        painter.setClipRect(rect.adjusted(-5, -1, 5, 1))  # the marks at the ends are whole
        x = self.across(heap.time)
        near = (x >= plot.left() - 2) & (x <= plot.right() + 2)
        shown = with_neighbours(near)
        at, tops = thinned(x[shown], [scale.y(layer.top[shown]) for layer in self.layers])
        self._fill(painter, at, tops, plot, dense=len(at) < int(shown.sum()))
        if self.shows_rss:
            known = shown & np.isfinite(heap.rss)  # a row of the heap alone is no gap
            at, (line,) = thinned(x[known], [heap.rss[known]])
            painter.setPen(hair(color_of(RSS)))
            polyline(painter, at, scale.y(line))
        self._draw_peak(painter, plot, scale)
        painter.setPen(hair(tokens.hairline))
        painter.drawLine(QPointF(plot.left(), plot.bottom() + 0.5), QPointF(plot.right(), plot.bottom() + 0.5))
        self._draw_stops(painter, plot)
        painter.restore()

    def placed(self, rect: QRectF) -> tuple[QRectF, Scale]:
        """Where in the body memory is drawn, and at which scale."""
        plot = rect.adjusted(0, 12, 0, -_TICK)
        return plot, linear_scale(self.top if self.top is not None else self.most, plot, least_top=1.0)

    def _fill(self, painter: QPainter, x: Array, tops: Sequence[Array], plot: QRectF, *, dense: bool) -> None:
        """The bands, each over what is below it. dense: of each pixel the most and the least."""
        surface = theme.current().surface
        if not len(x):
            return
        inks = [color_of(layer.band) for layer in self.layers]
        if dense:
            # Where memory comes and goes faster than a pixel tells, the most is pale and the least is full.
            bands = [(y[0::2], y[1::2], ink) for y, ink in zip(tops, inks, strict=True)]
            _pile(painter, x[0::2], bands, plot)
            x, tops, inks = x[0::2], [y[0::2] for y in tops[-1:]], inks[-1:]
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        for y, ink in reversed(list(zip(tops, inks, strict=True)) if not dense else []):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.blend(ink, surface, _FULL))
            base = [plot.bottom()]
            painter.drawPolygon(polygon(np.concatenate((x[:1], x, x[-1:])), np.concatenate((base, y, base))))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for y, ink in zip(tops, inks, strict=True):
            painter.setPen(hair(ink))
            polyline(painter, x, y)

    def _draw_peak(self, painter: QPainter, plot: QRectF, scale: Scale) -> None:
        heap, tokens = self.heap, theme.current()
        assert heap is not None
        if heap.peak < 0 or not self.layers:
            return
        x = float(self.across(heap.time[[heap.peak]])[0])
        if not plot.left() - 1 <= x <= plot.right() + 1:
            return
        y = scale.at(float(self.layers[-1].top[heap.peak]))
        painter.setPen(hair(tokens.text, Qt.PenStyle.DotLine))
        painter.drawLine(QPointF(x, y), QPointF(x, plot.bottom()))
        painter.setBrush(tokens.text)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawPolygon(QPolygonF([QPointF(x, y - 1), QPointF(x - 4, y - 8), QPointF(x + 4, y - 8)]))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        right = x > plot.center().x()
        words = f"peak {size(float(self.layers[-1].top[heap.peak]))}{' in all' if len(self.layers) > 1 else ''}"
        tagged(painter, words, QPointF(x + (-8 if right else 8), y + 2), ink=tokens.text, right=right)

    def _draw_stops(self, painter: QPainter, plot: QRectF) -> None:
        if not len(self._stops):
            return
        tokens, heap = theme.current(), self.heap
        assert heap is not None
        # Of a thousand ticks no more than one a pixel can be seen.
        places = np.unique(np.round(self.across(heap.time[self._stops])))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        seen = places[(places >= plot.left()) & (places <= plot.right())]
        # Ticks that touch are one bar.
        first = seen[np.diff(seen, prepend=-np.inf) > 2]
        last = seen[np.diff(seen, append=np.inf) > 2]
        for start, end in zip(first.tolist(), last.tolist(), strict=True):
            painter.fillRect(QRectF(start - 1, plot.bottom() + 2, end - start + 2, _TICK - 2), tokens.accent)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        heap = self.heap
        if heap is None or not 0 <= self.row < len(heap):
            return
        tokens, rect = theme.current(), self.body
        x = round(float(self.across(heap.time[[self.row]])[0])) + 0.5
        if not rect.left() - 1 <= x <= rect.right() + 1:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(hair(tokens.accent))
        painter.drawLine(QPointF(x, rect.top()), QPointF(x, rect.bottom()))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(tokens.accent)
        low = rect.bottom()
        painter.drawPolygon(QPolygonF([QPointF(x, low - _TICK), QPointF(x - 5, low + 2), QPointF(x + 5, low + 2)]))
        if self.row != heap.peak:  # that one has its words already
            right = x > rect.center().x()
            painter.setFont(small_font())
            words = self.row_words(self.row)
            tagged(painter, words, QPointF(x + (-6 if right else 6), low - _TICK - 3), ink=tokens.link, right=right)
        painter.end()

    # Words

    def row_words(self, row: int) -> str:
        """ "snapshot 14, peak"."""
        heap = self.heap
        assert heap is not None
        return f"snapshot {int(heap.number[row])}{', peak' if row == heap.peak else ''}"

    def _read_bands(self) -> list[Band]:
        bands = [layer.band for layer in reversed(self.layers)]
        return [RSS, *bands] if self._has_rss else bands

    def readings(self) -> list[Reading]:
        """What is known where the pointer is, else of the snapshot that is chosen, else at the peak."""
        heap = self.heap
        if heap is None or not len(heap):
            return []
        if self.axis.selection is not None and self.axis.hover_s is None:
            return self._grown(*self.axis.selection)
        row = self.read_row
        lines = []
        for band in self._read_bands():
            value = _known_at(getattr(heap, band.key), row)
            hidden = band is RSS and RSS.key in self._hidden
            text = size(value) if math.isfinite(value) else "–"
            lines.append(Reading(text, band.words, color_of(band), known=math.isfinite(value), hidden=hidden))
        if len(self.layers) > 1:
            lines.insert(1 if self._has_rss else 0, Reading(size(float(self.layers[-1].top[row])), "in all"))
        return lines

    @property
    def read_row(self) -> int:
        heap = self.heap
        assert heap is not None
        if self.axis.hover_s is not None:
            return self.row_at(self.axis.hover_s)
        if self.row >= 0:
            return self.row
        return heap.peak if heap.peak >= 0 else len(heap) - 1

    def _grown(self, start: float, end: float) -> list[Reading]:
        """What a range of time added."""
        heap = self.heap
        assert heap is not None
        first, last = self.row_at(start), self.row_at(end)
        lines = []
        for band in self._read_bands():
            values = getattr(heap, band.key)
            added = _known_at(values, last) - _known_at(values, first)
            text = f"{'+' if added > 0 else MINUS if added < 0 else '±'}{size(abs(added))}"
            lines.append(Reading(text if math.isfinite(added) else "–", band.words, color_of(band)))
        return lines

    def tip(self, time_s: float, _y: float) -> str:
        heap = self.heap
        if heap is None or not len(heap):
            return ""
        row = self.row_at(time_s)
        lines = [f"{self.row_words(row)} at {time_text(float(heap.time[row]), heap.time_unit)}"]
        for band in reversed(self._read_bands()):
            value = _known_at(getattr(heap, band.key), row)
            if math.isfinite(value):
                lines.append(f"{band.words}: {size(value)}, {count(round(value))} bytes. {band.tip}")
        stop = self.stop_near(float(self.across(np.array([time_s]))[0]))
        if stop >= 0:
            lines.append(f"Click chooses {self.row_words(stop)}, a double click shows its call tree.")
        return "\n".join(lines)

    # The pointer and the keys

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        clicked = event.button() is Qt.MouseButton.LeftButton and self._pressed is not None and not self._dragging
        stop = self.stop_near(event.position().x()) if clicked else NONE
        if stop >= 0 and event.position().x() < self.width() - READOUT:
            self._pressed = None
            self._choose(stop)
            return
        super().mouseReleaseEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        stop = self.stop_near(event.position().x())
        if stop >= 0:
            self._pressed = None
            self._choose(stop)
            self.opened.emit(stop)
            return
        super().mouseDoubleClickEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        plain = not event.modifiers() & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
        match event.key():
            case Qt.Key.Key_Left | Qt.Key.Key_Right if plain and len(self._stops):
                self._step(1 if event.key() == Qt.Key.Key_Right else -1)
            case Qt.Key.Key_Home if plain and len(self._stops):
                self._choose(int(self._stops[0]))
            case Qt.Key.Key_End if plain and len(self._stops):
                self._choose(int(self._stops[-1]))
            case Qt.Key.Key_P if plain and self.heap is not None and self.heap.peak in self._stops:
                self._choose(self.heap.peak)
            case Qt.Key.Key_Return | Qt.Key.Key_Enter if self.row in self._stops:
                self.opened.emit(self.row)
            case _:
                super().keyPressEvent(event)

    def _step(self, way: int) -> None:
        stops = self._stops
        here = self.row if self.row >= 0 else (self.heap.peak if self.heap is not None else 0)
        at = int(np.searchsorted(stops, here))
        if self.row < 0 and at < len(stops) and stops[at] == here:
            self._choose(here)
            return
        if way > 0:
            at = int(np.searchsorted(stops, here, side="right"))
        else:
            at -= 1
        self._choose(int(stops[min(max(at, 0), len(stops) - 1)]))

    def _choose(self, row: int) -> None:
        if row != self.row:
            self.choose(row)
            self.chosen.emit(row)
        heap = self.heap
        assert heap is not None
        time = float(heap.time[row])
        if not self.axis.low_s <= time <= self.axis.high_s:
            self.axis.pan(time - (self.axis.low_s + self.axis.high_s) / 2)


def _known_at(values: Array, row: int) -> float:
    """The value of a row, else the last one that is known before it: some rows tell only a part."""
    known = np.flatnonzero(np.isfinite(values[: row + 1]))
    return float(values[known[-1]]) if len(known) else math.nan


def _pile(painter: QPainter, x: Array, bands: Sequence[tuple[Array, Array, QColor]], plot: QRectF) -> None:
    """Bands of (the most, the least, colour) by pixel, as a picture: polygons with an edge at each pixel take fifty
    milliseconds, and so do as many bars.
    """
    ratio = painter.device().devicePixelRatioF()
    left, right = math.floor(max(x[0], plot.left())), math.ceil(min(x[-1] + 1.0, plot.right()))
    wide, high = right - left, math.ceil(plot.height() * ratio)
    if wide < 1 or high < 1:
        return
    column = np.clip(np.searchsorted(np.floor(x), np.arange(left, right), side="right") - 1, 0, len(x) - 1)
    rows = plot.top() + (np.arange(high)[:, None] + 0.5) / ratio
    ink = np.zeros((high, wide), dtype=np.uint32)
    surface = theme.current().surface
    for most, least, color in reversed(bands):
        for edge, share in ((most, _PALE), (least, _FULL)):
            np.putmask(ink, rows >= edge[column], np.uint32(theme.blend(color, surface, share).rgb()))
    picture = QImage(ink.data, wide, high, wide * 4, QImage.Format.Format_ARGB32_Premultiplied)
    painter.drawImage(QRectF(left, plot.top(), wide, high / ratio), picture)


def with_neighbours(mask: Bool) -> Bool:
    """The same with one more on either side, so that lines leave the plot at its edges."""
    wide = mask.copy()
    wide[:-1] |= mask[1:]
    wide[1:] |= mask[:-1]
    return wide
