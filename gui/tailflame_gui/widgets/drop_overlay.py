"""What covers the window while something is dragged over it: the target, and what a drop will do."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from tailflame_gui import icons, theme
from tailflame_gui.rows import DropRow

_EDGE = 8
_LINE = 32


class DropOverlay(QWidget):
    """Lies over its parent and takes no events of its own."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._covered = parent
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._rows: tuple[DropRow, ...] = ()
        self.hide()

    @property
    def rows(self) -> tuple[DropRow, ...]:
        """What is announced now; empty while nothing hovers."""
        return self._rows if not self.isHidden() else ()

    def announce(self, rows: tuple[DropRow, ...]) -> None:
        self._rows = rows
        self.setGeometry(self._covered.rect())
        self.raise_()
        self.show()
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        tokens = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        veil = QColor(tokens.window)
        veil.setAlphaF(0.93)
        painter.fillRect(self.rect(), veil)
        works = any(row.works for row in self._rows)
        pen = QPen(tokens.accent if works else tokens.bad, 2)
        painter.setPen(pen)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(_EDGE, _EDGE, -_EDGE, -_EDGE), 4, 4)
        top = self.height() / 2 - _LINE * len(self._rows) / 2
        painter.setFont(theme.interface_font(15))
        metrics = painter.fontMetrics()
        widest = max((metrics.horizontalAdvance(row.sentence) for row in self._rows), default=0)
        left = max(24.0, (self.width() - widest - 32) / 2)
        for number, row in enumerate(self._rows):
            middle = top + _LINE * number + _LINE / 2
            icons.paint(painter, QRectF(left, middle - 10, 20, 20), row.icon, "accent" if row.works else "bad")
            painter.setPen(tokens.text if row.works else tokens.second)
            text = metrics.elidedText(row.sentence, Qt.TextElideMode.ElideMiddle, int(self.width() - left - 56))
            painter.drawText(QPointF(left + 32, middle + metrics.capHeight() / 2), text)
        painter.end()
