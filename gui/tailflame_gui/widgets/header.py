"""The header of tables and trees: titles over their figures, the arrow of the order beside the title."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPolygonF
from PySide6.QtWidgets import QHeaderView, QWidget

from tailflame_gui import theme

PADDING = 8
ARROW_ROOM = 12


class Header(QHeaderView):
    """Paints each title aligned as its column, so that a title ends where its figures end."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.setSectionsClickable(True)
        self.setHighlightSections(False)
        self.setMinimumSectionSize(40)
        self._font = theme.interface_font(theme.SMALL, weight=QFont.Weight.Medium)
        self._metrics = QFontMetrics(self._font)

    def room_for(self, title: str, *, sorted_by: bool = False) -> int:
        """The width a title asks for, with its arrow where it has one."""
        return self._metrics.horizontalAdvance(title) + 2 * PADDING + 2 + (ARROW_ROOM if sorted_by else 0)

    def sizeHint(self) -> QSize:
        return QSize(super().sizeHint().width(), theme.ROW + 1)

    def paintSection(self, painter: QPainter, rect: QRect, section: int) -> None:
        model, tokens = self.model(), theme.current()
        painter.save()
        painter.fillRect(rect, tokens.surface)
        painter.fillRect(QRect(rect.left(), rect.bottom(), rect.width(), 1), tokens.hairline)
        title = str(model.headerData(section, Qt.Orientation.Horizontal) or "")
        flags = model.headerData(section, Qt.Orientation.Horizontal, Qt.ItemDataRole.TextAlignmentRole)
        right = bool((flags or Qt.AlignmentFlag.AlignLeft) & Qt.AlignmentFlag.AlignRight)
        sorted_by = self.isSortIndicatorShown() and self.sortIndicatorSection() == section
        inner = QRectF(rect).adjusted(PADDING, 0, -PADDING, 0)
        room = inner.width() - (ARROW_ROOM if sorted_by else 0)
        text = self._metrics.elidedText(title, Qt.TextElideMode.ElideRight, int(room))
        width = self._metrics.horizontalAdvance(text)
        painter.setFont(self._font)
        painter.setPen(tokens.text if sorted_by else tokens.second)
        align = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
        painter.drawText(inner, int(align | Qt.AlignmentFlag.AlignVCenter), text)
        if sorted_by:
            x = inner.right() - width - ARROW_ROOM / 2 if right else inner.left() + width + ARROW_ROOM / 2
            down = self.sortIndicatorOrder() is Qt.SortOrder.DescendingOrder
            tip = 2.0 if down else -2.0
            middle = QPointF(x, inner.center().y() + 0.5)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(tokens.second)
            painter.drawPolygon(
                QPolygonF([middle + QPointF(-3.5, -tip), middle + QPointF(3.5, -tip), middle + QPointF(0, tip)])
            )
        painter.restore()
