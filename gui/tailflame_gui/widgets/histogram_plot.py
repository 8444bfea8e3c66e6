"""The classic histogram: the share of calls in each quarter of a doubling."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter

from tailflame.analyse.timeline import PER_OCTAVE
from tailflame.model.histogram import Histogram
from tailflame.units import count, percent
from tailflame_gui import theme
from tailflame_gui.widgets.latency_unit import tick, with_unit
from tailflame_gui.widgets.plot_ink import Array, Scale, draw_axis, hair, linear_scale, polygon, round_down, small_font
from tailflame_gui.widgets.value_plot import RULER, ValuePlot, line_color


def binned(histogram: Histogram) -> tuple[int, Array]:
    """(first bin, values by bin): bin b holds values from 2**(b / PER_OCTAVE) on; 0 is in the first."""
    used = np.flatnonzero(histogram.counts)
    if not len(used):
        return 0, np.zeros(0)
    low, high = (part[used] for part in histogram.bounds())
    middle = np.maximum(low + (high - low) / 2, 1.0)
    if histogram.layout.half < 2:
        # Buckets wider than our bins: each fills all that it covers, with as much of its calls as it has of them.
        lowest = np.floor(PER_OCTAVE * np.log2(np.maximum(low, 1.0)) + 1e-9).astype(np.int64)
        wide = np.maximum(np.ceil(PER_OCTAVE * np.log2(high + 1.0) - 1e-9).astype(np.int64) - lowest, 1)
        bins = np.concatenate([np.arange(b, b + w) for b, w in zip(lowest, wide, strict=True)])
        first = int(bins.min())
        return first, np.bincount(bins - first, weights=np.repeat(histogram.counts[used] / wide, wide)).astype(
            np.float64
        )
    bins = (PER_OCTAVE * np.log2(middle)).astype(np.int64)
    first = int(bins.min())
    return first, np.bincount(bins - first, weights=histogram.counts[used]).astype(np.float64)


class HistogramPlot(ValuePlot):
    """The first line is filled, the others are outlines; each as shares of its own calls, so that they compare."""

    def __init__(self) -> None:
        super().__init__("Histogram")
        self._bins: list[tuple[int, Array]] = []
        self._span = (0, 12)

    def draw(self, painter: QPainter, rect: QRectF) -> None:
        tokens = theme.current()
        self._bins = [binned(line.histogram) for line in self.lines]
        low = min(first for first, _counts in self._bins) - 1
        high = max(first + len(counts) for first, counts in self._bins) + 1
        if high - low < 12:
            low, high = low - (12 - high + low) // 2, low - (12 - high + low) // 2 + 12
        self._span = (low, high)
        shares = [counts / counts.sum() for _first, counts in self._bins]
        scale = linear_scale(max(float(part.max()) for part in shares), rect)
        draw_axis(painter, rect, scale, lambda v: percent(v, digits=0 if scale.high >= 0.05 else 1), 8.0)
        self._draw_values(painter, rect)
        painter.save()
        painter.setClipRect(rect.adjusted(0, -1, 1, 1))
        for at in reversed(range(len(self.lines))):
            x, y = self._outline(self._bins[at][0], shares[at], scale, rect)
            color = line_color(self.lines[at].key)
            painter.setPen(hair(color))
            if at == 0:
                wash = QColor(color)
                wash.setAlphaF(0.22)
                painter.setBrush(wash)
                painter.drawPolygon(polygon(x, y))
                painter.setBrush(Qt.BrushStyle.NoBrush)
            else:
                painter.drawPolyline(polygon(x, y))
        painter.restore()
        painter.setPen(tokens.second)

    def _outline(self, first: int, shares: Array, scale: Scale, rect: QRectF) -> tuple[Array, Array]:
        low, high = self._span
        edges = rect.left() + (first + np.arange(len(shares) + 1) - low) / (high - low) * rect.width()
        x = np.repeat(edges, 2)
        y = np.concatenate(([0.0], np.repeat(shares, 2), [0.0]))
        return x, scale.y(y)

    def _draw_values(self, painter: QPainter, rect: QRectF) -> None:
        """Round values below; they stand on the bins' own axis."""
        tokens = theme.current()
        low, high = self._span
        painter.setFont(small_font())
        value = round_down(2.0 ** (low / PER_OCTAVE))
        last = -math.inf
        while value <= 2.0 ** (high / PER_OCTAVE):
            x = rect.left() + (PER_OCTAVE * math.log2(value) - low) / (high - low) * rect.width()
            if x >= rect.left() and x - last >= 56:
                painter.setPen(hair(tokens.hairline))
                painter.drawLine(QPointF(x, rect.bottom()), QPointF(x, rect.bottom() + 3))
                painter.setPen(tokens.second)
                box = QRectF(x - 40, rect.bottom() + 3, 80, RULER - 4)
                painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), tick(value, self.choices.unit, unit=self.unit))
                last = x
            power = 10.0 ** math.floor(math.log10(value) + 1e-9)
            value = next(step * power for step in (2.0, 5.0, 10.0) if step * power > value * (1 + 1e-9))

    def told(self, share: float) -> tuple[str, list[str]]:
        low, high = self._span
        at = math.floor(low + share * (high - low))
        ends = (2.0 ** (at / PER_OCTAVE), 2.0 ** ((at + 1) / PER_OCTAVE))
        words = []
        for line, (first, counts) in zip(self.lines, self._bins, strict=True):
            calls = float(counts[at - first]) if 0 <= at - first < len(counts) else 0.0
            words.append(f"{count(round(calls))} calls, {percent(calls / max(line.histogram.total, 1), digits=2)}")
        begin, end = (with_unit(v, self.choices.unit, unit=self.unit) for v in ends)
        return f"{begin} to {end}", words
