"""The times under plots that share an axis, and of what time the values at their right ends are."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from tailflame_gui import theme
from tailflame_gui.widgets.live_plot import clock
from tailflame_gui.widgets.plot_ink import hair, small_font
from tailflame_gui.widgets.time_axis import TimeAxis
from tailflame_gui.widgets.time_plot import GUTTER, READOUT

RULER = 22
_FINE = tuple(unit * step for unit in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1) for step in (1, 2, 5))
_STEPS = (*_FINE, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)

_DIGITS = ((0.02, 1), (0.002, 2), (0.00005, 3), (0.000005, 4))
"""Digits after the point while a pixel is more than so many seconds."""


class TimeRuler(QWidget):
    """The times under the plots, and at the right end of what time the values are."""

    def __init__(self, axis: TimeAxis) -> None:
        super().__init__()
        self.axis = axis
        self.setFixedHeight(RULER)
        axis.range_changed.connect(self.update)
        axis.hover_changed.connect(self.update)
        axis.range_selected.connect(self._selected)
        axis.range_cleared.connect(self.update)
        theme.signals.changed.connect(self.update)

    def _selected(self, _start: float, _end: float) -> None:
        self.update()

    @property
    def when(self) -> str:
        """Of what time the values at the right end are."""
        axis = self.axis
        if axis.hover_s is not None:
            return f"at {precise(axis.hover_s - axis.zero_s, axis.pixel_s)}"
        return "the latest" if axis.follows else "at the right end"

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens, axis = theme.current(), self.axis
        painter = QPainter(self)
        painter.fillRect(self.rect(), tokens.surface)
        left, width = float(GUTTER), float(axis.pixels)
        painter.setPen(hair(tokens.hairline))
        painter.drawLine(QPointF(left, 0.5), QPointF(left + width, 0.5))
        painter.setFont(small_font())
        span = axis.high_s - axis.low_s
        wanted = span / max(width / 96, 2)
        day = _STEPS[-1]
        step = next((step for step in _STEPS if step >= wanted), day * math.ceil(wanted / day))
        first = math.ceil((axis.low_s - axis.zero_s) / step - 1e-9)
        for number in range(first, math.floor((axis.high_s - axis.zero_s + 1e-9) / step) + 1):
            tick = number * step
            x = left + (tick + axis.zero_s - axis.low_s) / span * width
            painter.setPen(hair(tokens.hairline))
            painter.drawLine(QPointF(x, 0), QPointF(x, 4))
            painter.setPen(tokens.second)
            if x <= left + width - 24:
                box = QRectF(x - 48, 4, 96, 16)
                painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), precise(tick, step / 10))
        if axis.selection is not None:
            start, end = ((t - axis.low_s) / span * width + left for t in axis.selection)
            painter.setClipRect(QRectF(left, 0, width, self.height()))
            painter.fillRect(QRectF(start, 0, end - start, 3), tokens.accent)
            painter.setClipping(False)
        painter.setPen(tokens.second)
        box = QRectF(left + width + 8, 4, READOUT - 16, 16)
        painter.drawText(box, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), self.when)
        painter.end()


def precise(seconds: float, pixel_s: float) -> str:
    """A time as fine as a pixel can tell."""
    if seconds < 60 and pixel_s < 0.5:
        digits = next((digits for least, digits in _DIGITS if pixel_s > least), 5)
        return f"{seconds:.{digits}f} s"
    if pixel_s < 0.05:
        return f"{clock(math.floor(seconds))}{f'{seconds % 1:.2f}'[1:]}"
    return clock(seconds)
