"""The time under plots of memory, in the unit that its tool has measured it in."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from tailflame.model.heap import TimeUnit
from tailflame_gui import theme
from tailflame_gui.models.heap_facts import time_text
from tailflame_gui.widgets.plot_ink import hair, small_font
from tailflame_gui.widgets.time_axis import TimeAxis
from tailflame_gui.widgets.time_plot import GUTTER, READOUT
from tailflame_gui.widgets.time_ruler import RULER, precise

_APART = 104


class HeapRuler(QWidget):
    """Round times below the plots; at the right end of what moment the figures are."""

    def __init__(self, axis: TimeAxis) -> None:
        super().__init__()
        self.axis = axis
        self.unit = TimeUnit.SECONDS
        self.of = ""
        """Of what the figures are where nothing is pointed at."""
        self.setFixedHeight(RULER)
        for signal in (axis.range_changed, axis.hover_changed, axis.range_cleared):
            signal.connect(self.update)
        axis.range_selected.connect(lambda _start, _end: self.update())
        theme.signals.changed.connect(self.update)

    def say(self, of: str) -> None:
        self.of = of
        self.update()

    def text(self, time: float, step: float) -> str:
        return precise(time, step / 10) if self.unit is TimeUnit.SECONDS else time_text(time, self.unit)

    @property
    def when(self) -> str:
        """Of what time the figures at the right end are."""
        axis = self.axis
        if axis.hover_s is not None:
            return f"at {self.text(axis.hover_s, axis.pixel_s * 10)}"
        if axis.selection is not None:
            return f"added in {self.text(axis.selection[1] - axis.selection[0], axis.pixel_s * 10)}"
        return self.of

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens, axis = theme.current(), self.axis
        painter = QPainter(self)
        painter.fillRect(self.rect(), tokens.surface)
        left, width = float(GUTTER), float(axis.pixels)
        painter.setPen(hair(tokens.hairline))
        painter.drawLine(QPointF(left, 0.5), QPointF(left + width, 0.5))
        painter.setFont(small_font())
        span = max(axis.high_s - axis.low_s, 1e-12)
        step = _step(span / max(width / _APART, 2))
        for number in range(math.ceil(axis.low_s / step - 1e-9), math.floor(axis.high_s / step + 1e-9) + 1):
            x = left + (number * step - axis.low_s) / span * width
            painter.setPen(hair(tokens.hairline))
            painter.drawLine(QPointF(x, 0), QPointF(x, 4))
            painter.setPen(tokens.second)
            words = self.text(number * step, step)
            if x + painter.fontMetrics().horizontalAdvance(words) / 2 <= left + width:
                painter.drawText(QRectF(x - 52, 4, 104, 16), int(Qt.AlignmentFlag.AlignCenter), words)
        if axis.selection is not None:
            start, end = ((t - axis.low_s) / span * width + left for t in axis.selection)
            painter.setClipRect(QRectF(left, 0, width, self.height()))
            painter.fillRect(QRectF(start, 0, end - start, 3), tokens.accent)
            painter.setClipping(False)
        painter.setPen(tokens.second)
        box = QRectF(left + width + 8, 4, READOUT - 16, 16)
        painter.drawText(box, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), self.when)
        painter.end()


def _step(least: float) -> float:
    """The next of 1, 2, 5 times a power of ten that is not below `least`, written with no digit more than its own."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= least * (1 - 1e-9))
