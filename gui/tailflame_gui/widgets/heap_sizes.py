"""How large allocations are: a bar for each range of sizes, as long as it has allocations."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from tailflame.analyse.heap_findings import size_histogram_lines
from tailflame.model.heap import HeapTimeline
from tailflame.units import count, percent
from tailflame_gui import plain, theme
from tailflame_gui.widgets.cell_delegate import bar_color
from tailflame_gui.widgets.plot_ink import elided, name_font, small_font, value_font

_LINE = 18
_HEAD = 24
_WORDS = 148
_FIGURES = 72


class SizesPlot(QWidget):
    """The range that the pointer or the keyboard is at stands in the accessible description."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: tuple[tuple[str, float, float], ...] = ()
        self.pointed = -1
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Sizes of allocations")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.signals.changed.connect(self.update)

    def set_heap(self, heap: HeapTimeline) -> None:
        """Ranges at the end that hold nothing are left out."""
        lines = size_histogram_lines(heap)
        used = np.flatnonzero([calls > 0 for _words, calls, _share in lines])
        self.lines = lines[: int(used[-1]) + 1] if len(used) else ()
        self.pointed = -1
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(280, _HEAD + _LINE * len(self.lines) + 8 if self.lines else 0)

    def minimumSizeHint(self) -> QSize:
        return QSize(200, self.sizeHint().height())

    def words(self, at: int) -> str:
        """ "9 to 16 B: 14,000 allocations, 40.0%"."""
        words, calls, share = self.lines[at]
        return f"{words}: {count(calls)} allocations, {percent(share)}"

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = theme.current()
        painter = QPainter(self)
        painter.fillRect(self.rect(), tokens.surface)
        left, middle = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignVCenter
        painter.setFont(name_font())
        painter.setPen(tokens.text)
        elided(painter, QRectF(12, 2, self.width() - 24, 18), "Sizes of allocations", left | middle)
        most = max((share for _words, _calls, share in self.lines), default=1.0) or 1.0
        room = max(self.width() - _WORDS - _FIGURES - 24, 24)
        for at, (words, calls, share) in enumerate(self.lines):
            top = float(_HEAD + at * _LINE)
            if at == self.pointed:
                painter.fillRect(QRectF(8, top, self.width() - 16, _LINE), tokens.hover)
            painter.setFont(small_font())
            painter.setPen(tokens.second)
            elided(painter, QRectF(12, top, _WORDS - 16, _LINE), words, left | middle)
            if calls:
                painter.fillRect(QRectF(_WORDS, top + 3, max(room * share / most, 1.0), _LINE - 6), bar_color(tokens))
            painter.setFont(value_font())
            painter.setPen(tokens.text)
            box = QRectF(self.width() - _FIGURES - 12, top, _FIGURES, _LINE)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignRight | middle), percent(share) if calls else "")
        if self.hasFocus():
            painter.setPen(tokens.accent)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def point_at(self, at: int) -> None:
        at = at if 0 <= at < len(self.lines) else -1
        if at != self.pointed:
            self.pointed = at
            self.setAccessibleDescription(self.words(at) if at >= 0 else "")
            self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.point_at(int((event.position().y() - _HEAD) // _LINE))

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.point_at(-1)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down) and self.lines:
            way = 1 if event.key() == Qt.Key.Key_Down else -1
            self.point_at(min(max(self.pointed + way, 0), len(self.lines) - 1))
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() is QEvent.Type.ToolTip:
            if self.pointed >= 0:
                QToolTip.showText(event.globalPos(), plain.tip(self.words(self.pointed)), self)
            else:
                QToolTip.hideText()
            return True
        return super().event(event)
