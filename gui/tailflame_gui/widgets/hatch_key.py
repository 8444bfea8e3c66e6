"""What the hatching of a difference means, drawn as it is in the graph."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from tailflame_gui import theme

_SWATCH = QRectF(0, 0, 20, 12)


class HatchKey(QWidget):
    """A swatch with lines that fall to the right (`down`) or rise, and its word."""

    def __init__(self, word: str, *, down: bool, tip: str) -> None:
        super().__init__()
        self._word, self._down = word, down
        self.setToolTip(tip)
        self.setAccessibleName(f"{'Falling' if down else 'Rising'} lines: {word}")
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.signals.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        words = QFontMetrics(theme.interface_font(theme.SMALL)).horizontalAdvance(self._word)
        return QSize(round(_SWATCH.width()) + 6 + words, 20)

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = theme.current()
        painter = QPainter(self)
        box = _SWATCH.translated(0, (self.height() - _SWATCH.height()) / 2)
        fill = tokens.less if self._down else tokens.more
        painter.fillRect(box, fill)
        painter.save()
        painter.setClipRect(box)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.blend(tokens.text, fill, 0.35), 1.5))
        for step in range(-2, 5):
            x = box.left() + step * 8
            rise = box.height() if self._down else -box.height()
            start = QPointF(x, box.top() if self._down else box.bottom())
            painter.drawLine(start, start + QPointF(box.height(), rise))
        painter.restore()
        painter.setFont(theme.interface_font(theme.SMALL))
        painter.setPen(tokens.second)
        rest = QRectF(box.right() + 6, 0, self.width() - box.right(), self.height())
        painter.drawText(rest, int(Qt.AlignmentFlag.AlignVCenter), self._word)
        painter.end()
