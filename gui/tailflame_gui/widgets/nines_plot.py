"""The percentile distribution on an axis of nines: 0 %, 90 %, 99 %, 99.9 % at equal distances."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter

from tailflame.model.histogram import Histogram
from tailflame.units import count
from tailflame_gui import theme
from tailflame_gui.widgets.latency_unit import tick, with_unit
from tailflame_gui.widgets.plot_ink import Array, Scale, draw_axis, hair, linear_scale, log_scale, polyline, small_font
from tailflame_gui.widgets.value_plot import RULER, ValuePlot, line_color

_LEAST_NINES, _MOST_NINES = 3, 7
_TICKS = ("0%", "90%", "99%", "99.9%", "99.99%", "99.999%", "99.9999%", "99.99999%")


def values_at(histogram: Histogram, nines: Array) -> Array:
    """By HdrHistogram's rule, the values at 1 - 10**-nines; NaN where less than one value lies beyond."""
    running = np.cumsum(histogram.counts)
    total = int(running[-1]) if len(running) else 0
    beyond = 10.0**-nines * total
    asked = np.nextafter(100.0 * (1.0 - 10.0**-nines), -np.inf)
    ranks = np.maximum(np.ceil(asked * total / 100.0), 1.0)
    places = np.minimum(np.searchsorted(running, ranks), len(running) - 1)
    high = histogram.bounds()[1][places].astype(np.float64)
    return np.where(beyond >= 1.0 - 1e-9, high, np.nan)


class NinesPlot(ValuePlot):
    """Hover reads p, each line's value, and how many of its values lie above."""

    def __init__(self) -> None:
        super().__init__("Distribution")

    @property
    def nines(self) -> float:
        """How far the axis goes: to where the largest count still has a value beyond."""
        most = max((line.histogram.total for line in self.lines), default=1)
        return min(max(math.log10(max(most, 1)), _LEAST_NINES), _MOST_NINES)

    def draw(self, painter: QPainter, rect: QRectF) -> None:
        tokens = theme.current()
        nines = np.linspace(0.0, self.nines, max(int(rect.width()), 16) + 1)
        drawn = [(line, values_at(line.histogram, nines)) for line in self.lines]
        scale = self._scale([values for _line, values in drawn], rect)
        draw_axis(painter, rect, scale, lambda v: tick(v, self.choices.unit, unit=self.unit), 8.0)
        painter.setFont(small_font())
        for at in range(math.floor(self.nines) + 1):
            x = rect.left() + at / self.nines * rect.width()
            painter.setPen(hair(tokens.hairline))
            painter.drawLine(QPointF(round(x) + 0.5, rect.top()), QPointF(round(x) + 0.5, rect.bottom()))
            painter.setPen(tokens.second)
            if at <= 2 or rect.width() / self.nines >= 56 or at % 2 == 0:
                box = QRectF(x - 40, rect.bottom() + 3, 80, RULER - 4)
                painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), _TICKS[at])
        painter.save()
        painter.setClipRect(rect.adjusted(0, -1, 1, 1))
        across = rect.left() + nines / self.nines * rect.width()
        for line, values in reversed(drawn):
            painter.setPen(hair(line_color(line.key)))
            polyline(painter, across, scale.y(values))
        slo = self.choices.slo
        if slo is not None and self.unit == "ns" and slo.limit_ns <= scale.high:
            painter.setPen(hair(tokens.warn, Qt.PenStyle.DashLine))
            y = round(scale.at(slo.limit_ns)) + 0.5
            painter.drawLine(QPointF(rect.left(), y), QPointF(rect.right(), y))
        painter.restore()

    def _scale(self, lines: list[Array], rect: QRectF) -> Scale:
        known = np.concatenate([values[np.isfinite(values)] for values in lines])
        if not len(known):
            return linear_scale(1.0, rect)
        if self.choices.log:
            return log_scale(max(float(known.min()), 1.0), float(known.max()), rect)
        return linear_scale(float(known.max()), rect)

    def told(self, share: float) -> tuple[str, list[str]]:
        nines = share * self.nines
        words = []
        for line in self.lines:
            value = float(values_at(line.histogram, np.array([nines]))[0])
            if math.isnan(value):
                words.append(f"only {count(line.histogram.total)} calls")
                continue
            above = line.histogram.total - line.histogram.count_between(0, int(value))
            text = with_unit(value, self.choices.unit, unit=self.unit)
            words.append(f"{text}\n{count(above)} of {count(line.histogram.total)} above")
        digits = min(max(math.ceil(nines), 1), 7)
        return f"p{100 * (1 - 10.0**-nines):.{digits}f}", words
