"""How plots draw: lines with gaps, thinned to the pixels there are, axes with round numbers, marks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np
import pyqtgraph.functions as fn
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen, QPolygonF

from tailflame.analyse.slots import gaps_after
from tailflame_gui import theme
from tailflame_gui.widgets.live_plot import nice_top

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scale:
    """Values to pixels, linear or logarithmic, between `low` and `high` on [bottom, top] (pixels)."""

    low: float
    high: float
    bottom: float
    top: float
    log: bool = False

    def y(self, values: Array) -> Array:
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                part = (np.log(np.maximum(values, 1e-300)) - math.log(self.low)) / (
                    math.log(self.high) - math.log(self.low)
                )
        else:
            part = (values - self.low) / (self.high - self.low)
        placed: Array = self.bottom + part * (self.top - self.bottom)
        # What is beyond leaves the plot, but not by so much that Qt cannot draw it.
        return np.clip(placed, min(self.top, self.bottom) - 1000.0, max(self.top, self.bottom) + 1000.0)

    def at(self, value: float) -> float:
        return float(self.y(np.array([value]))[0])

    def value(self, y: float) -> float:
        """What stands at a pixel."""
        part = (y - self.bottom) / (self.top - self.bottom)
        if self.log:
            return math.exp(math.log(self.low) + part * (math.log(self.high) - math.log(self.low)))
        return self.low + part * (self.high - self.low)


def round_down(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten that is not above `value`."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= value * (1 + 1e-9))


def linear_scale(most: float, rect: QRectF, *, least_top: float = 1e-12) -> Scale:
    return Scale(0.0, nice_top(most, least_top), rect.bottom(), rect.top())


def log_scale(least: float, most: float, rect: QRectF) -> Scale:
    """Round ends, and at least a factor of four between them."""
    low = round_down(max(least, 1e-12))
    high = nice_top(max(most, low * 4.0), low)
    return Scale(low, high, rect.bottom(), rect.top(), log=True)


def ticks(scale: Scale, *, room: float = 26.0) -> list[float]:
    """Round values that stand at least `room` pixels apart."""
    height = abs(scale.top - scale.bottom)
    if not scale.log:
        parts = next((n for n in (5, 4, 2, 1) if height / n >= room and _even(scale.high, n)), 1)
        return [scale.high * at / parts for at in range(parts + 1)]
    decades = math.log10(scale.high / scale.low)
    first, last = math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high))
    for steps, every in (((1.0, 2.0, 5.0), 1), ((1.0, 3.0), 1), ((1.0,), 1), ((1.0,), 2), ((1.0,), 3)):
        values = [step * 10.0**power for power in range(first, last + 1, every) for step in steps]
        values = [v for v in values if scale.low * (1 - 1e-9) <= v <= scale.high * (1 + 1e-9)]
        closest = min((b / a for a, b in pairwise(values)), default=0.0)
        if closest > 1 and height / decades * math.log10(closest) >= min(room, 20.0):
            return values
    return values or [scale.low, scale.high]


def _even(top: float, parts: int) -> bool:
    """Whether the parts of a round number are round too."""
    step = top / parts
    digits = step / 10.0 ** math.floor(math.log10(step))
    return any(math.isclose(digits, round_one, rel_tol=1e-6) for round_one in (1, 2, 2.5, 4, 5))


@cache
def small_font() -> QFont:
    """Of axes and words."""
    return theme.interface_font(theme.SMALL)


@cache
def value_font() -> QFont:
    """Of figures."""
    return theme.mono_font(theme.BASE - 1)


@cache
def name_font() -> QFont:
    """Of a plot's name."""
    return theme.interface_font(theme.BASE - 1, weight=QFont.Weight.DemiBold)


def draw_axis(painter: QPainter, rect: QRectF, scale: Scale, write: Callable[[float], str], left: float) -> None:
    """Hairlines across the plot and the ticks' words at its left, right-aligned; they begin at `left`."""
    draw_lines(painter, rect, scale)
    draw_ticks(painter, rect, scale, write, left)


def draw_lines(painter: QPainter, rect: QRectF, scale: Scale) -> None:
    line = QColor(theme.current().hairline)
    line.setAlphaF(0.6)
    painter.setPen(hair(line))
    for value in ticks(scale):
        y = round(scale.at(value)) + 0.5
        painter.drawLine(QPointF(rect.left(), y), QPointF(rect.right(), y))


def draw_ticks(painter: QPainter, rect: QRectF, scale: Scale, write: Callable[[float], str], left: float) -> None:
    painter.setFont(small_font())
    painter.setPen(theme.current().second)
    for value in ticks(scale):
        y = round(scale.at(value)) + 0.5
        box = QRectF(left, y - 8, rect.left() - 6 - left, 16)
        painter.drawText(box, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), write(value))


def hair(color: QColor, style: Qt.PenStyle = Qt.PenStyle.SolidLine) -> QPen:
    """As thin as the screen can: Qt strokes anything wider by its outline."""
    pen = QPen(color, 1, style)
    pen.setCosmetic(True)
    return pen


def polyline(painter: QPainter, x: Array, y: Array) -> None:
    """A line that breaks where a value is not finite; a value alone between two breaks is a dot."""
    # In the middle of the screen's pixels: a level line between two of them would be a pale one of both.
    ratio = painter.device().devicePixelRatioF()
    y = (np.floor(y * ratio) + 0.5) / ratio
    known = np.isfinite(y)
    if len(x) < 1 or not known.any():
        return
    # On a fine screen two lines side by side: Qt takes ten times as long for one that is wider.
    for line in (y, y + 1.0 / ratio) if ratio >= 1.75 else (y,):
        if known.all():
            painter.drawPolyline(polygon(x, line))
        else:
            painter.drawPath(fn.arrayToQPath(x, line, connect="finite"))
    if not known.all():
        before = np.concatenate(([False], known[:-1]))
        after = np.concatenate((known[1:], [False]))
        alone = known & ~before & ~after
        if alone.any():
            dots(painter, x[alone], y[alone])
    if len(x) == 1 and known[0]:
        dots(painter, x, y)


def dots(painter: QPainter, x: Array, y: Array, *, size: float = 2.0) -> None:
    """Points in the painter's colour."""
    pen = painter.pen()
    thick = QPen(pen.color(), size)
    thick.setCapStyle(Qt.PenCapStyle.RoundCap)
    painter.setPen(thick)
    painter.drawPoints(polygon(x, y))
    painter.setPen(pen)


def polygon(x: Array, y: Array) -> QPolygonF:
    made: QPolygonF = fn.create_qpolygonf(len(x))
    memory = fn.ndarray_from_qpolygonf(made)
    memory[:, 0] = x
    memory[:, 1] = y
    return made


def thinned(x: Array, columns: Sequence[Array]) -> tuple[Array, list[Array]]:
    """At most about two points a pixel that look the same: of each pixel's values the least and the greatest.

    A pixel in which all are unknown stays a gap.
    """
    if len(x) < 3 or len(x) <= 2 * (x[-1] - x[0]):
        return x, list(columns)
    begins = np.flatnonzero(np.diff(np.floor(x), prepend=-np.inf))
    middle = x[begins]
    at = np.repeat(middle, 2)
    at[1::2] += 0.5
    thin = []
    for values in columns:
        pair = np.empty(len(begins) * 2)
        pair[0::2] = np.fmin.reduceat(values, begins)
        pair[1::2] = np.fmax.reduceat(values, begins)
        thin.append(pair)
    return at, thin


def with_breaks(x: Array, start_s: Array, end_s: Array, columns: Sequence[Array]) -> tuple[Array, list[Array]]:
    """The same with an unknown value put where time is missing between two rows."""
    after = np.flatnonzero(gaps_after(start_s, end_s)) if len(start_s) else np.zeros(0, dtype=np.int64)
    if not len(after):
        return x, list(columns)
    return (
        np.insert(x, after + 1, (x[after] + x[after + 1]) / 2),
        [np.insert(values, after + 1, np.nan) for values in columns],
    )


def elided(painter: QPainter, rect: QRectF, text: str, flags: Qt.AlignmentFlag) -> None:
    """One line that ends in an ellipsis where it does not fit."""
    painter.drawText(rect, int(flags), _fitting(text, painter.font().key(), int(rect.width())))


@lru_cache(maxsize=1024)
def _fitting(text: str, font: str, width: int) -> str:
    made = QFont()
    made.fromString(font)
    return QFontMetricsF(made).elidedText(text, Qt.TextElideMode.ElideRight, width)


def tagged(painter: QPainter, text: str, at: QPointF, *, ink: QColor, right: bool = False) -> QRectF:
    """Small words on a piece of the surface, so that no line crosses them. `at`: the left (right) end of the base."""
    tokens = theme.current()
    painter.setFont(small_font())
    metrics = QFontMetricsF(painter.font())
    width = metrics.horizontalAdvance(text)
    left = at.x() - width - 4 if right else at.x()
    box = QRectF(left, at.y() - 15, width + 4, 14)
    back = QColor(tokens.surface)
    back.setAlphaF(0.85)
    painter.fillRect(box, back)
    painter.setPen(ink)
    painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), text)
    return box
