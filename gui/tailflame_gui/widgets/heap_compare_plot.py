"""Two heaps over the same time: the later one filled, the earlier one as a dashed line over it."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter

from tailflame.analyse.counted_diff import delta_text
from tailflame.model.heap import HeapTimeline
from tailflame.units import Unit, size
from tailflame_gui import theme
from tailflame_gui.models.heap_facts import time_text
from tailflame_gui.widgets.heap_plot import HEAP, Band, HeapPlot, color_of
from tailflame_gui.widgets.plot_ink import hair, polygon, tagged, thinned
from tailflame_gui.widgets.time_axis import TimeAxis
from tailflame_gui.widgets.time_plot import Reading

_LEAST = 2


class HeapComparePlot(HeapPlot):
    """Both at one scale; what is pointed at is read on both sides."""

    def __init__(self, axis: TimeAxis) -> None:
        super().__init__(axis, "Memory, both")
        self.before: HeapTimeline | None = None
        self.setWhatsThis("Left and Right move the pointer; the figures at the right are of that time on both sides.")

    def set_heaps(self, before: HeapTimeline, after: HeapTimeline) -> None:
        self.before = before
        self.set_heap(after)
        self._stops = np.zeros(0, dtype=np.int64)  # whose call trees would they be?
        self.note = ""
        self.top = max(self.most, float(before.total.max(initial=0.0)))
        told = max(len(before), len(after)) >= _LEAST
        self.empty_text = "" if told else "Neither file holds memory over time."
        self.draw_anew()

    @property
    def _has_rss(self) -> bool:
        return False  # of two runs there is no room for four lines

    def draw(self, painter: QPainter, rect: QRectF) -> None:
        super().draw(painter, rect)
        heap = self.before
        if heap is None or not len(heap):
            return
        tokens = theme.current()
        plot, scale = self.placed(rect)
        painter.save()
        painter.setClipRect(rect.adjusted(-5, -1, 5, 1))
        at, (line,) = thinned(self.across(heap.time), [heap.total])
        painter.setPen(hair(tokens.text, Qt.PenStyle.DashLine))
        painter.drawPolyline(polygon(at, scale.y(line)))
        peak = int(np.argmax(heap.total))
        x, most = float(self.across(heap.time[[peak]])[0]), float(heap.total[peak])
        if plot.left() <= x <= plot.right():
            right = x > plot.center().x()
            where = QPointF(x, scale.at(most) + 15)
            tagged(painter, f"before: peak {size(most)}", where, ink=tokens.second, right=right)
        painter.restore()

    def readings(self) -> list[Reading]:
        """Both sides where the pointer is, else at the peak of each."""
        before, after = self.before, self.heap
        if before is None or after is None or not len(before) or not len(after):
            return []
        time = self.axis.hover_s
        if time is None:
            b, a = float(before.total.max()), float(after.total.max())
        else:
            b, a = (_at(heap, time) for heap in (before, after))
        lines = [
            Reading(_size(b), "before", _ink(None), known=math.isfinite(b)),
            Reading(_size(a), "after", _ink(HEAP), known=math.isfinite(a)),
        ]
        if math.isfinite(b) and math.isfinite(a):
            tokens = theme.current()
            ink = tokens.more if a > b else tokens.less if a < b else tokens.second
            word = "more" if a > b else "less" if a < b else "same"
            lines.append(Reading(delta_text(a - b, Unit.BYTES, ""), word, ink=ink))
        return lines

    def tip(self, time_s: float, _y: float) -> str:
        if self.before is None or self.heap is None:
            return ""
        b, a = (_at(heap, time_s) for heap in (self.before, self.heap))
        return f"at {time_text(time_s, self.heap.time_unit)}\nbefore: {_size(b)}\nafter: {_size(a)}"


def _at(heap: HeapTimeline, time: float) -> float:
    """Bytes in use at a time; not known where the run had not begun, or was over."""
    if not len(heap) or not heap.time[0] <= time <= heap.time[-1]:
        return math.nan
    return float(heap.total[int(np.searchsorted(heap.time, time, side="right")) - 1])


def _size(value: float) -> str:
    return size(value) if math.isfinite(value) else "–"


def _ink(band: Band | None) -> QColor:
    return theme.current().text if band is None else color_of(band)
