"""A table of rows of which one column stands over bars."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QFrame, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from tailflame_gui import theme
from tailflame_gui.models.roles import Role
from tailflame_gui.models.session_table import RowTable
from tailflame_gui.widgets.cell_delegate import bar_color
from tailflame_gui.widgets.row_view import RowView

_INSET = 3


class BarCell(QStyledItemDelegate):
    """A bar as long as Role.BAR says, with the cell's text on it."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        super().initStyleOption(option, index)
        option.state &= ~QStyle.StateFlag.State_HasFocus

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        share = index.data(Role.BAR)
        if share is not None and share > 0 and not option.state & QStyle.StateFlag.State_Selected:
            rect = QRectF(option.rect).adjusted(_INSET, _INSET, -_INSET, -_INSET)
            rect.setWidth(max(rect.width() * min(float(share), 1.0), 1.0))
            painter.fillRect(rect, bar_color(theme.current()))
        super().paint(painter, option, index)


class BarView(RowView):
    """`bar`: the column that stands over bars."""

    def __init__(self, model: RowTable[Any], *, bar: int, name: str, sortable: bool = True) -> None:
        super().__init__(model, several=False, sortable=sortable)
        self._cell = BarCell(self)
        self.setItemDelegateForColumn(bar, self._cell)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAccessibleName(name)
