"""Tables as this window shows them: dense lines, columns that fit, one current line, all by keyboard."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import (
    QEvent,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPoint,
    Qt,
    Signal,
)
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence, QMouseEvent
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QTableView, QTreeView, QWidget

from tailflame_gui import theme
from tailflame_gui.models.array_table import ArrayTable
from tailflame_gui.models.roles import Column, Face, Role
from tailflame_gui.widgets.cell_delegate import CellDelegate
from tailflame_gui.widgets.header import Header

_NAME_WANTS = 280
"""With less for the name, columns of words give way to it."""
_NAME_NEEDS = 160


class Fit(QObject):
    """Gives the name column what the others leave; where that is too little, columns of words are hidden."""

    def __init__(self, view: QTableView | QTreeView, header: Header, columns: Callable[[], tuple[Column, ...]]) -> None:
        super().__init__(view)
        self._view, self._header, self._columns = view, header, columns
        view.viewport().installEventFilter(self)
        header.sortIndicatorChanged.connect(lambda _at, _order: self.apply())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Resize:
            self.apply()
        return False

    def apply(self) -> None:
        columns = self._columns()
        at = self._header.sortIndicatorSection()
        widths = [
            max(column.width, self._header.room_for(column.title, sorted_by=here == at)) if column.width else 0
            for here, column in enumerate(columns)
        ]
        room = self._view.viewport().width()
        shown = list(range(len(columns)))
        for last in reversed(range(len(columns))):
            if room - sum(widths[i] for i in shown) >= _NAME_WANTS:
                break
            if columns[last].face is Face.TEXT:
                shown.remove(last)
        name = max(room - sum(widths[i] for i in shown), _NAME_NEEDS)
        for at in range(len(columns)):
            self._header.setSectionHidden(at, at not in shown)
            if at in shown:
                self._header.resizeSection(at, widths[at] or name)


class Table(QTableView):
    """A flat table. current_changed(function): another line is current ("" for none or no function);
    opened(line): Enter or double click; menu_requested(line, global position); copied(text).
    """

    current_changed = Signal(str)
    opened = Signal(int)
    menu_requested = Signal(int, QPoint)
    hovered = Signal(str)

    def __init__(self, model: ArrayTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._quiet = False
        self._cells = dress(self, lambda index, where: self.menu_requested.emit(index.row(), where))
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setCornerButtonEnabled(False)
        vertical = self.verticalHeader()
        vertical.hide()
        vertical.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        vertical.setMinimumSectionSize(theme.ROW)
        vertical.setDefaultSectionSize(theme.ROW)
        header = Header(self)
        self.setHorizontalHeader(header)
        header.setSortIndicator(-1, Qt.SortOrder.DescendingOrder)
        self.setModel(model)
        self.setSortingEnabled(True)
        self._fit = Fit(self, header, lambda: model.columns)
        model.modelReset.connect(self._fit.apply)
        model.headerDataChanged.connect(self._fit.apply)
        self.selectionModel().currentRowChanged.connect(self._current)
        self.clicked.connect(self._current)  # the current line too, when something else was selected since
        self.doubleClicked.connect(lambda index: self.opened.emit(index.row()))

    def current_line(self) -> int:
        return self.currentIndex().row()

    def selected_lines(self) -> list[int]:
        return sorted(index.row() for index in self.selectionModel().selectedRows())

    def show_line(self, line: int) -> None:
        """Makes `line` the current one without announcing it; -1 takes the mark away."""
        self._quiet = True
        try:
            if line < 0:
                self.clearSelection()
                self.setCurrentIndex(QModelIndex())
            else:
                index = self._model.index(line, 0)
                self.selectionModel().setCurrentIndex(
                    index, QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
                )
                self.scrollTo(index)
        finally:
            self._quiet = False

    def copy(self, *, everything: bool = False) -> None:
        """Puts the selected lines, or all that are shown, on the clipboard as tab-separated text."""
        lines = None if everything else self.selected_lines() or None
        QGuiApplication.clipboard().setText(self._model.as_tsv(lines))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.opened.emit(self.current_line())
        elif event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        elif event.key() == Qt.Key.Key_Home and self._model.rowCount():
            self.selectRow(0)
        elif event.key() == Qt.Key.Key_End and self._model.rowCount():
            self.selectRow(self._model.rowCount() - 1)
        else:
            super().keyPressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        self._hover(self.indexAt(event.position().toPoint()))

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._hover(QModelIndex())

    def _hover(self, index: QModelIndex) -> None:
        if hover_line(self, self._cells, index):
            self.hovered.emit(index.data(Role.FUNCTION) or "" if index.isValid() else "")

    def _current(self, index: QModelIndex) -> None:
        self.viewport().update()
        if not self._quiet:
            self.current_changed.emit(index.data(Role.FUNCTION) or "" if index.isValid() else "")


def dress(view: QTableView | QTreeView, menu: Callable[[QModelIndex, QPoint], None]) -> CellDelegate:
    """What tables and trees have in common. `menu` gets the index under the pointer and the global position."""
    view.setFrameShape(QFrame.Shape.NoFrame)
    view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
    view.setMouseTracking(True)
    view.setTabKeyNavigation(False)
    view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
    view.customContextMenuRequested.connect(lambda at: menu(view.indexAt(at), view.viewport().mapToGlobal(at)))
    cells = CellDelegate(view)
    view.setItemDelegate(cells)
    theme.signals.changed.connect(view.viewport().update)
    return cells


def hover_line(view: QTableView | QTreeView, cells: CellDelegate, index: QModelIndex) -> bool:
    """Marks the line under the pointer; False where it is marked already."""
    line = QPersistentModelIndex(index.siblingAtColumn(0)) if index.isValid() else QPersistentModelIndex()
    if line == cells.hovered_line:
        return False
    cells.hovered_line = line
    view.viewport().update()
    return True
