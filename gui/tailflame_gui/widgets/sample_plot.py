"""The samples of a benchmark: how they are distributed, and how their times grow with the iterations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from tailflame.units import nanoseconds
from tailflame_gui import theme
from tailflame_gui.widgets.plot_ink import Array, hair, polygon, small_font

_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 16, 24, 28
_GRID = 240


class Shape(StrEnum):
    """What is drawn."""

    DISTRIBUTION = "distribution"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True, eq=False)
class SampleSet:
    """One run's samples. color: a token of the theme. typical_ns: what is drawn as a line."""

    name: str
    color: str
    iterations: Array
    times_ns: Array
    typical_ns: float

    @property
    def each(self) -> Array:
        return np.asarray(self.times_ns / self.iterations)


def density(values: Array, grid: Array) -> Array:
    """A Gaussian kernel density by Silverman's rule; a spike where all values are one."""
    spread = min(
        float(values.std()), float(np.subtract(*np.percentile(values, [75, 25]))) / 1.349 or float(values.std())
    )
    width = 0.9 * spread * len(values) ** -0.2
    width = max(width, float(grid[1] - grid[0]))
    distance = (grid[:, None] - values[None, :]) / width
    return np.asarray(np.exp(-0.5 * distance**2).sum(1) / (len(values) * width * np.sqrt(2 * np.pi)))


class SamplePlot(QWidget):
    """The first set is the one that is looked at; another one is what it is compared with."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumHeight(160)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._sets: tuple[SampleSet, ...] = ()
        self.shape = Shape.DISTRIBUTION
        self.setAccessibleName("Samples of the benchmark")
        theme.signals.changed.connect(self.update)

    @property
    def sets(self) -> tuple[SampleSet, ...]:
        return self._sets

    def show_sets(self, sets: Sequence[SampleSet]) -> None:
        self._sets = tuple(sets)
        words = (f"{one.name}: {nanoseconds(one.typical_ns)} typical of {len(one.times_ns)} samples" for one in sets)
        self.setAccessibleDescription("; ".join(words))
        self.update()

    def show_shape(self, shape: Shape) -> None:
        self.shape = shape
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), theme.current().surface)
        rect = QRectF(self.rect()).adjusted(_LEFT, _TOP, -_RIGHT, -_BOTTOM)
        if not self._sets or rect.width() < 40 or rect.height() < 40:
            return
        if self.shape is Shape.DISTRIBUTION:
            self._draw_distribution(painter, rect)
        else:
            self._draw_regression(painter, rect)
        self._draw_names(painter, rect)

    # Distribution: time an iteration to the right, density up, each sample as a tick below

    def _draw_distribution(self, painter: QPainter, rect: QRectF) -> None:
        low = min(float(one.each.min()) for one in self._sets)
        high = max(float(one.each.max()) for one in self._sets)
        margin = (high - low) * 0.06 or high * 0.05 or 1.0
        low, high = low - margin, high + margin
        grid = np.linspace(low, high, _GRID)
        curves = [density(one.each, grid) for one in self._sets]
        most = max(float(curve.max()) for curve in curves)
        self._draw_times(painter, rect, low, high)
        x = rect.left() + (grid - low) / (high - low) * rect.width()
        for one, curve in reversed(list(zip(self._sets, curves, strict=True))):
            color = QColor(getattr(theme.current(), one.color))
            y = rect.bottom() - 8 - curve / most * (rect.height() - 12)
            outline = polygon(
                np.concatenate([[x[0]], x, [x[-1]]]), np.concatenate([[rect.bottom()], y, [rect.bottom()]])
            )
            wash = QColor(color)
            wash.setAlphaF(0.18)
            painter.setPen(hair(color))
            painter.setBrush(wash)
            painter.drawPolygon(outline)
            for at in (rect.left() + (one.each - low) / (high - low) * rect.width()).tolist():
                painter.drawLine(QPointF(at, rect.bottom() - 6), QPointF(at, rect.bottom()))
            typical = rect.left() + (one.typical_ns - low) / (high - low) * rect.width()
            painter.drawLine(QPointF(typical, rect.top()), QPointF(typical, rect.bottom()))

    # Regression: iterations to the right, time of the sample up, the typical time as the line's slope

    def _draw_regression(self, painter: QPainter, rect: QRectF) -> None:
        most = max(float(one.iterations.max()) for one in self._sets)
        longest = max(float(one.times_ns.max()) for one in self._sets) * 1.05 or 1.0
        tokens = theme.current()
        painter.setFont(small_font())
        for part in (0.0, 0.5, 1.0):
            y = rect.bottom() - part / 1.05 * rect.height()
            painter.setPen(hair(tokens.hairline))
            painter.drawLine(QPointF(rect.left(), y), QPointF(rect.right(), y))
            painter.setPen(tokens.second)
            box = QRectF(0, y - 8, _LEFT - 6, 16)
            align = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(box, int(align), nanoseconds(longest / 1.05 * part))
        below = QRectF(rect.left(), rect.bottom() + 6, rect.width(), 16)
        painter.drawText(below, int(Qt.AlignmentFlag.AlignRight), f"{most:,.0f} iterations a sample")
        for one in reversed(self._sets):
            color = QColor(getattr(tokens, one.color))
            painter.setPen(hair(color))
            painter.setBrush(color)
            for n, t in zip(one.iterations.tolist(), one.times_ns.tolist(), strict=True):
                place = QPointF(rect.left() + n / most * rect.width(), rect.bottom() - t / longest * rect.height())
                painter.drawEllipse(place, 2.0, 2.0)
            end = rect.bottom() - one.typical_ns * most / longest * rect.height()
            painter.drawLine(QPointF(rect.left(), rect.bottom()), QPointF(rect.right(), end))

    def _draw_times(self, painter: QPainter, rect: QRectF, low: float, high: float) -> None:
        tokens = theme.current()
        painter.setFont(small_font())
        for part in (0.0, 0.25, 0.5, 0.75, 1.0):
            x = rect.left() + part * rect.width()
            painter.setPen(hair(tokens.hairline))
            painter.drawLine(QPointF(x, rect.top()), QPointF(x, rect.bottom()))
            painter.setPen(tokens.second)
            box = QRectF(x - 44, rect.bottom() + 6, 88, 16).intersected(QRectF(self.rect()))
            painter.drawText(box, int(Qt.AlignmentFlag.AlignHCenter), nanoseconds(low + part * (high - low)))

    def _draw_names(self, painter: QPainter, rect: QRectF) -> None:
        painter.setFont(small_font())
        x = rect.left()
        for one in self._sets:
            painter.setPen(QColor(getattr(theme.current(), one.color)))
            words = f"{one.name}  {nanoseconds(one.typical_ns)}"
            painter.drawText(QPointF(x, 15.0), words)
            x += painter.fontMetrics().horizontalAdvance(words) + 24
