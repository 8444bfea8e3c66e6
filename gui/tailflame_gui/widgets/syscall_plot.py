"""System calls over time: how many a second, and how many threads were in one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter

from tailflame_gui import theme
from tailflame_gui.widgets.plot_ink import Array, hair, linear_scale, polygon, polyline, thinned
from tailflame_gui.widgets.time_axis import TimeAxis
from tailflame_gui.widgets.time_plot import Reading, TimePlot
from tailflame_gui.widgets.time_ruler import TimeRuler, precise

_LEAST_HIGH = 56
_NEAR = 5
"""Pixels from a signal that still mean it."""
_FEW = 8


class CallPlot(TimePlot):
    """Values of equal intervals. `write` makes text of one."""

    def __init__(self, axis: TimeAxis, title: str, unit: str, write: Callable[[float], str], *, second: bool) -> None:
        super().__init__(axis, title, least_height=_LEAST_HIGH)
        self.unit = unit
        self._write, self._second = write, second
        self._start, self._width = 0.0, 1.0
        self._values: Array = np.zeros(0)

    def show_values(self, start_s: float, width_s: float, values: Array, note: str) -> None:
        """note: what is drawn: "write"."""
        self._start, self._width, self._values, self.note = start_s, width_s, values, note
        self.draw_anew()

    @property
    def color(self) -> QColor:
        tokens = theme.current()
        return tokens.percentiles[2] if not self._second else tokens.percentiles[3]

    def draw(self, painter: QPainter, rect: QRectF) -> None:
        if not len(self._values):
            return
        scale = linear_scale(float(self._values.max()) or 1.0, rect)
        self.draw_scale(painter, rect, scale, self._write)
        edges = self.across(self._start + np.repeat(np.arange(len(self._values) + 1) * self._width, 2)[1:-1])
        x, (y,) = thinned(edges, [np.repeat(self._values, 2)])
        line = scale.y(y)
        painter.save()
        painter.setClipRect(rect.adjusted(0, -1, 1, 1))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.blend(self.color, theme.current().surface, 0.62))
        base = [rect.bottom()]
        painter.drawPolygon(polygon(np.concatenate((x[:1], x, x[-1:])), np.concatenate((base, line, base))))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(hair(self.color))
        polyline(painter, x, line)
        painter.restore()

    def value_at(self, time_s: float) -> float:
        at = math.floor((time_s - self._start) / self._width)
        return float(self._values[at]) if 0 <= at < len(self._values) else 0.0

    def readings(self) -> list[Reading]:
        """Where the pointer is, else the mean of the selection, else of what is shown; and the most."""
        if not len(self._values):
            return []
        if self.axis.hover_s is not None:
            return [Reading(self._write(self.value_at(self.axis.hover_s)), "here", self.color)]
        values = self._values
        if self.axis.selection is not None:
            low, high = (math.floor((t - self._start) / self._width) for t in self.axis.selection)
            values = values[max(low, 0) : max(high + 1, 0)]
        if not len(values):
            return []
        return [
            Reading(self._write(float(values.mean())), "mean", self.color),
            Reading(self._write(float(values.max())), "most"),
        ]

    def tip(self, time_s: float, y: float) -> str:
        told = [f"{self._write(self.value_at(time_s))} {self.unit} at {precise(time_s, self.axis.pixel_s)}"]
        near = _NEAR * self.axis.pixel_s
        return "\n".join(told + [mark.text for mark in self.moments if abs(mark.time_s - time_s) <= near][:_FEW])


class CallRuler(TimeRuler):
    """Times since the first call of the log."""

    @property
    def when(self) -> str:
        axis = self.axis
        if axis.hover_s is not None:
            return f"at {precise(axis.hover_s, axis.pixel_s)}"
        if axis.selection is not None:
            start, end = axis.selection
            return f"{precise(end - start, axis.pixel_s)} selected"
        return "since the first call"
