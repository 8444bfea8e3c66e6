"""How often memory was allocated over time."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter

from tailflame.model.heap import HeapTimeline, TimeUnit
from tailflame.units import count
from tailflame_gui import theme
from tailflame_gui.models.heap_facts import short_count
from tailflame_gui.widgets.heap_plot import with_neighbours
from tailflame_gui.widgets.plot_ink import Array, hair, linear_scale, polyline, thinned
from tailflame_gui.widgets.time_axis import TimeAxis
from tailflame_gui.widgets.time_plot import Reading, TimePlot

_LEAST_HIGH = 56
_PER = {TimeUnit.SECONDS: ("s", 1.0), TimeUnit.INSTRUCTIONS: ("M instr.", 1e6), TimeUnit.BYTES: ("MB", 1e6)}


class RatePlot(TimePlot):
    """Allocations a second; over another time, a million instructions or a megabyte."""

    def __init__(self, axis: TimeAxis) -> None:
        super().__init__(axis, "Allocations", least_height=_LEAST_HIGH)
        self.heap: HeapTimeline | None = None
        self.times: Array = np.zeros(0)
        self.rate: Array = np.zeros(0)

    def set_heap(self, heap: HeapTimeline) -> None:
        self.heap = heap
        self.unit = f"per {_PER[heap.time_unit][0]}"
        self.times, self.rate = rates(heap)
        self.empty_text = "" if len(self.rate) else "The file does not tell when it allocated."
        self.draw_anew()

    def draw(self, painter: QPainter, rect: QRectF) -> None:
        assert self.heap is not None
        scale = linear_scale(float(np.nanmax(self.rate, initial=0.0)), rect, least_top=1.0)
        self.draw_scale(painter, rect, scale, short_count)
        painter.save()
        painter.setClipRect(rect.adjusted(0, -1, 1, 1))
        edges = self.across(self.times)
        x, y = np.repeat(edges, 2)[1:-1], np.repeat(self.rate, 2)
        shown = with_neighbours((x >= rect.left() - 2) & (x <= rect.right() + 2))
        at, (line,) = thinned(x[shown], [y[shown]])
        painter.setPen(hair(theme.current().accent))
        polyline(painter, at, scale.y(line))
        painter.restore()

    def readings(self) -> list[Reading]:
        heap = self.heap
        if heap is None or not len(self.rate):
            return []
        time = self.axis.hover_s
        if time is None:
            whole = float(np.nanmax(heap.allocations))
            return [Reading(count(round(whole)), "in all")] if math.isfinite(whole) else []
        at = min(max(int(np.searchsorted(self.times, time, side="right")) - 1, 0), len(self.rate) - 1)
        value = float(self.rate[at])
        unit = _PER[heap.time_unit][0]
        return [Reading(short_count(value) if math.isfinite(value) else "–", f"/{unit}")]


def rates(heap: HeapTimeline) -> tuple[Array, Array]:
    """(times, allocations between each two of them by the unit of time that is spoken of) of the rows that tell; empty
    where fewer than two do.
    """
    known = np.flatnonzero(np.isfinite(heap.allocations))
    times, calls = heap.time[known], heap.allocations[known]
    moved = np.flatnonzero(np.diff(times, prepend=-np.inf) > 0)
    times, calls = times[moved], calls[moved]
    if len(times) < 2:
        return np.zeros(0), np.zeros(0)
    return times, np.diff(calls) / np.diff(times) * _PER[heap.time_unit][1]
