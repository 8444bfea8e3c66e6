"""The table view of the pages: rows of plain data, whole-row selection, quiet lines."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from tailflame_gui import theme
from tailflame_gui.models.session_table import RowOrder, RowTable

_LEAST = 200
"""Pixels that the column of what is left keeps, as long as others can leave."""


class _Cell(QStyledItemDelegate):
    """No dotted focus box around single cells; long texts lose their middle, not their end."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        super().initStyleOption(option, index)
        option.state &= ~QStyle.StateFlag.State_HasFocus
        option.textElideMode = Qt.TextElideMode.ElideMiddle


class RowView(QTableView):
    """activated_row(row): double click or Return. selection_changed(): other rows are selected."""

    activated_row = Signal(object)
    selection_changed = Signal()
    delete_pressed = Signal()

    def __init__(self, model: RowTable[Any], *, several: bool = True, sortable: bool = True) -> None:
        super().__init__()
        self._table = model
        self._order = RowOrder(model, self)
        self.setModel(self._order)
        self.setItemDelegate(_Cell(self))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(
            QAbstractItemView.SelectionMode.ExtendedSelection
            if several
            else QAbstractItemView.SelectionMode.SingleSelection
        )
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(theme.ROW)
        self.verticalHeader().setMinimumSectionSize(theme.ROW)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(48)
        for at, field in enumerate(model.fields):
            if field.width:
                header.setSectionResizeMode(at, QHeaderView.ResizeMode.Interactive)
                self.setColumnWidth(at, field.width)
            else:
                header.setSectionResizeMode(at, QHeaderView.ResizeMode.Stretch)
        if sortable:
            header.setSortIndicatorClearable(True)
            header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
            self.setSortingEnabled(True)
        self.doubleClicked.connect(lambda index: self.activated_row.emit(self._order.row_at(index)))
        self.selectionModel().selectionChanged.connect(lambda _new, _old: self.selection_changed.emit())
        self._order.modelReset.connect(self.selection_changed)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Columns that can be missed leave, the last first, until what is left is wide enough to be read."""
        super().resizeEvent(event)
        fields = list(enumerate(self._table.fields))
        spare = event.size().width() - _LEAST - sum(self.columnWidth(at) or f.width for at, f in fields if f.width)
        for at, field in reversed(fields):
            if field.leaves:
                self.setColumnHidden(at, spare < 0)
                if spare < 0:
                    spare += field.width

    @property
    def order(self) -> RowOrder:
        return self._order

    def selected(self) -> tuple[Any, ...]:
        """The selected rows, as shown from top to bottom."""
        picked = sorted(self.selectionModel().selectedRows(), key=lambda index: index.row())
        return tuple(self._order.row_at(index) for index in picked)

    def select_line(self, line: int) -> None:
        self.selectRow(line)

    def set_words(self, text: str) -> None:
        self._order.set_words(text)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        chosen = self.selected()
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and chosen:
            self.activated_row.emit(chosen[0])
        elif event.key() == Qt.Key.Key_Delete and chosen:
            self.delete_pressed.emit()
        else:
            super().keyPressEvent(event)
