"""The latency heat map: how many calls took how long, over time."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen

from tailflame.analyse.slots import overlapping
from tailflame.analyse.timeline import HEAT_BINS, PER_OCTAVE, LatencyTimeline
from tailflame.model.stacks import Bool
from tailflame.units import count
from tailflame_gui import theme
from tailflame_gui.widgets.latency_unit import header, tick, with_unit
from tailflame_gui.widgets.plot_choices import Choices
from tailflame_gui.widgets.plot_ink import Array, Scale, elided, hair, small_font
from tailflame_gui.widgets.time_axis import TimeAxis
from tailflame_gui.widgets.time_plot import READOUT, Reading, TimePlot

_COLUMN_PX = 2
_SHADES = 255


def shades() -> list[QColor]:
    """From few to many: one family, from the surface's side to its far end."""
    tokens = theme.current()
    stops = [theme.blend(tokens.accent, tokens.surface, 0.16), tokens.percentiles[2], tokens.percentiles[3],
             tokens.percentiles[4], tokens.percentiles[5]]  # fmt: skip
    made = []
    for at in range(_SHADES):
        place = at / (_SHADES - 1) * (len(stops) - 1)
        low = min(int(place), len(stops) - 2)
        made.append(theme.blend(stops[low + 1], stops[low], place - low))
    return made


class HeatMap(TimePlot):
    """Rows are a quarter of a doubling high; the colour is the logarithm of the calls in a cell."""

    def __init__(self, axis: TimeAxis) -> None:
        super().__init__(axis, "Heat map", least_height=84)
        self.timeline: LatencyTimeline | None = None
        self.choices = Choices()
        self._scale: Scale | None = None
        self._cells: Array = np.zeros((0, 0))
        self._edges: Array = np.zeros(0)
        self._rows = (0, 0)
        self._most = 0.0
        self._pointed_y: float | None = None
        self._table: tuple[str, list[int], list[QColor]] | None = None

    def show_series(self, timeline: LatencyTimeline | None, choices: Choices) -> None:
        self.timeline, self.choices = timeline, choices
        self.unit = "all calls"
        self.note = header(choices.unit, unit=timeline.unit if timeline else "ns")
        self.empty_text = "" if timeline else "Every call as a cell, once something is timed."
        self.draw_anew()

    def draw(self, painter: QPainter, rect: QRectF) -> None:
        assert self.timeline is not None
        axis = self.axis
        span = axis.high_s - axis.low_s
        # No narrower than the intervals are long: a cell is to hold calls that were in it.
        width = max(span / max(int(rect.width() / _COLUMN_PX), 8), min(self._length(), span))
        columns = math.ceil(span / width)
        # On a fixed grid, so that a cell keeps its calls while the picture moves.
        first = math.floor(axis.low_s / width)
        self._edges = (first + np.arange(columns + 2, dtype=np.float64)) * width
        cells, watched = self.timeline.heat(self._edges)
        used = np.flatnonzero(cells.sum(axis=1))
        self._most = float(cells.max())
        self._draw_unwatched(painter, rect, watched)
        if not len(used):
            self._scale = None
            painter.setFont(small_font())
            painter.setPen(theme.current().second)
            elided(painter, rect, "No call in this time.", Qt.AlignmentFlag.AlignCenter)
            return
        low, high = max(int(used[0]) - 1, 0), min(int(used[-1]) + 2, HEAT_BINS)
        if high - low < 12:
            low, high = max(low - (12 - high + low) // 2, 0), min(max(low - (12 - high + low) // 2, 0) + 12, HEAT_BINS)
        self._rows, self._cells = (low, high), cells[low:high]
        bottom, top = 2.0 ** (low / PER_OCTAVE), 2.0 ** (high / PER_OCTAVE)
        self._scale = Scale(bottom, top, rect.bottom(), rect.top(), log=True)
        painter.save()
        painter.setClipRect(rect)
        left, right = (float(v) for v in self.across(self._edges[[0, -1]]))
        painter.drawImage(QRectF(left, rect.top(), right - left, rect.height()), self._image())
        painter.restore()
        unit = self.timeline.unit
        self.draw_scale(painter, rect, self._scale, lambda v: tick(v, self.choices.unit, unit=unit))

    def _length(self) -> float:
        """Of most intervals in sight, in s."""
        assert self.timeline is not None
        columns = self.timeline.columns()
        rows = overlapping(columns.start_s, columns.end_s, self.axis.low_s, self.axis.high_s)
        lengths = columns.end_s[rows] - columns.start_s[rows]
        return float(np.median(lengths)) if len(lengths) else 0.0

    def _image(self) -> QImage:
        """One pixel a cell."""
        cells = self._cells[::-1]
        part = np.log1p(cells) / max(math.log1p(self._most), 1e-9)
        index = np.where(cells > 0, 1 + np.round(part * (_SHADES - 1)), 0).astype(np.uint8)
        high, wide = index.shape
        stride = -(-wide // 4) * 4
        padded = np.zeros((high, stride), dtype=np.uint8)
        padded[:, :wide] = index
        image = QImage(padded.tobytes(), wide, high, stride, QImage.Format.Format_Indexed8).copy()
        image.setColorTable(self._colors()[0])
        return image

    def _colors(self) -> tuple[list[int], list[QColor]]:
        key = theme.current().surface.name()
        if self._table is None or self._table[0] != key:
            made = shades()
            self._table = (key, [0, *(color.rgba() for color in made)], made)
        return self._table[1], self._table[2]

    def _draw_unwatched(self, painter: QPainter, rect: QRectF, watched: Bool) -> None:
        """Grey where nobody looked, between the first and the last time somebody did."""
        seen = np.flatnonzero(watched)
        if not len(seen):
            return
        holes = np.flatnonzero(~watched[seen[0] : seen[-1] + 1]) + seen[0]
        if not len(holes):
            return
        groups = np.split(holes, np.flatnonzero(np.diff(holes) > 1) + 1)
        brush = QColor(theme.current().hairline)
        for group in groups[:200]:
            left, right = self.across(self._edges[[group[0], group[-1] + 1]])
            box = QRectF(left, rect.top(), right - left, rect.height()).intersected(rect)
            painter.fillRect(box, theme.blend(brush, theme.current().surface, 0.5))

    def readings(self) -> list[Reading]:
        cell = self._cell_at(self.axis.hover_s, self._pointed_y)
        if cell is None:
            return []
        low, high, calls = cell
        unit = self.timeline.unit if self.timeline else "ns"
        # Below the legend, which is drawn over the upper part.
        first = with_unit(low, self.choices.unit, unit=unit)
        return [
            Reading(f"{first} to {with_unit(high, self.choices.unit, unit=unit)}", known=False),
            Reading(f"{count(round(calls))} calls" if calls >= 1 else "no call", known=False),
        ]

    def _paint_readings(self, painter: QPainter) -> None:
        super()._paint_readings(painter)
        if self.readings() or self.timeline is None or self._scale is None:
            return
        tokens, rect = theme.current(), self.body
        left, top = float(self.width() - READOUT + 8), rect.top() + 16
        height = min(rect.height() - 20, 84.0)
        colors = self._colors()[1]
        steps = int(height)
        for at in range(steps):
            color = colors[int((steps - 1 - at) / max(steps - 1, 1) * (_SHADES - 1))]
            painter.fillRect(QRectF(left, top + at, 12, 1), color)
        painter.setPen(tokens.second)
        painter.setFont(small_font())
        flags = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        painter.drawText(QRectF(left, top - 18, READOUT - 16, 14), flags, "calls in a cell")
        painter.drawText(QRectF(left + 20, top - 4, 96, 14), flags, count(round(self._most)))
        if height > 40:
            middle = math.expm1(math.log1p(self._most) / 2)
            painter.drawText(QRectF(left + 20, top + height / 2 - 7, 96, 14), flags, count(round(middle)))
        painter.drawText(QRectF(left + 20, top + height - 10, 96, 14), flags, "1")

    def _paint_over(self, painter: QPainter) -> None:
        super()._paint_over(painter)
        if self._pointed_y is not None and self.axis.hover_s is not None:
            rect = self.body
            painter.setPen(hair(theme.current().second))
            painter.drawLine(QPointF(rect.left(), self._pointed_y), QPointF(rect.right(), self._pointed_y))
        painter.setPen(QPen())

    def mouseMoveEvent(self, event: object) -> None:
        y = float(event.position().y())  # type: ignore[attr-defined]
        inside = self.body.top() <= y <= self.body.bottom()
        self._pointed_y = y if inside else None
        super().mouseMoveEvent(event)  # type: ignore[arg-type]
        self.update()

    def leaveEvent(self, event: object) -> None:
        self._pointed_y = None
        super().leaveEvent(event)  # type: ignore[arg-type]

    def tip(self, time_s: float, y: float) -> str:
        cell = self._cell_at(time_s, y)
        if cell is None:
            return ""
        low, high, calls = cell
        unit = self.timeline.unit if self.timeline else "ns"
        low_text, high_text = (with_unit(v, self.choices.unit, unit=unit) for v in (low, high))
        return f"{low_text} to {high_text}: {count(round(calls))} calls in {self._edges[1] - self._edges[0]:.2g} s"

    def _cell_at(self, time_s: float | None, y: float | None) -> tuple[float, float, float] | None:
        """(lowest, highest value, calls) of a cell."""
        if time_s is None or y is None or self._scale is None or not self._cells.size:
            return None
        column = int(np.searchsorted(self._edges, time_s, "right")) - 1
        row = math.floor(PER_OCTAVE * math.log2(self._scale.value(y))) - self._rows[0]
        if not (0 <= column < self._cells.shape[1] and 0 <= row < self._cells.shape[0]):
            return None
        bin_ = row + self._rows[0]
        low, high = 2.0 ** (bin_ / PER_OCTAVE), 2.0 ** ((bin_ + 1) / PER_OCTAVE)
        return low, high, float(self._cells[row, column])
