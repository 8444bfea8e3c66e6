"""A table of code: one line current, walked by heat, by search and along jumps."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QItemSelectionModel, QModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import (
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QTableView, QWidget

from tailflame_gui import theme
from tailflame_gui.models.code_lines import CodeLines, CodeRole, Face, RowKind
from tailflame_gui.widgets.code_paint import FOLD_ROOM, PADDING, ROW, Cell, CodePainter, jumps_width
from tailflame_gui.widgets.header import Header

_CODE_NEEDS = 260
_WIDEST = 4000
_SHARE, _PLACE = 60, 136

KEYS = (
    ("N", "next hottest line"),
    ("P", "hottest line before"),
    ("Right / Left", "unfold and fold inlined code"),
    ("F", "follow a jump or a call, or go to what is inlined"),
    ("Return", "open the line in the editor"),
    ("/", "search"),
)


class CodeTable(QTableView):
    """row_changed(row): another line is current, by the user; opened(row): Enter or a double click on code;
    followed(row): F, or a click on what a jump or call leads to; fold_wanted(row, unfold: bool or None);
    hovered(row): -1 for none; menu_requested(row, global position); left: Tab and the like go on as usual.
    """

    row_changed = Signal(int)
    opened = Signal(int)
    followed = Signal(int)
    fold_wanted = Signal(int, object)
    hovered = Signal(int)
    menu_requested = Signal(int, QPoint)
    find_wanted = Signal()

    def __init__(self, model: CodeLines, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines = model
        self._quiet = False
        self._painter = CodePainter()
        self._hovered_row = -1
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setCornerButtonEnabled(False)
        self.setTabKeyNavigation(False)
        self.setMouseTracking(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        vertical = self.verticalHeader()
        vertical.hide()
        vertical.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        vertical.setMinimumSectionSize(ROW)
        vertical.setDefaultSectionSize(ROW)
        header = Header(self)
        header.setSectionsClickable(False)
        header.setSortIndicatorShown(False)
        self.setHorizontalHeader(header)
        self.setModel(model)
        self._widest = 0
        model.modelReset.connect(self._measure)
        self.customContextMenuRequested.connect(
            lambda at: self.menu_requested.emit(self.indexAt(at).row(), self.viewport().mapToGlobal(at))
        )
        self.selectionModel().currentRowChanged.connect(self._current)
        theme.signals.changed.connect(self.viewport().update)

    @property
    def row(self) -> int:
        """The current line, -1 for none."""
        return self.currentIndex().row()

    def show_row(self, row: int, *, centre: bool = True) -> None:
        """Makes `row` current without announcing it."""
        self._quiet = True
        try:
            self._go(row, centre=centre)
        finally:
            self._quiet = False

    def go(self, row: int) -> None:
        """Makes `row` current, as if the user had chosen it."""
        if row >= 0:
            self._go(row, centre=not self._in_sight(row))

    def reveal(self, rows: list[int]) -> None:
        """Brings the first of `rows` into sight where none is."""
        if rows and not any(self._in_sight(row) for row in rows):
            self.scrollTo(self._lines.index(rows[0], 0), QAbstractItemView.ScrollHint.PositionAtCenter)

    def step_hot(self, by: int) -> None:
        self.go(self._lines.next_hot(self.row, by))

    def step_match(self, by: int) -> None:
        """To the next search hit, round the end."""
        matches = self._lines.matches()
        if not len(matches):
            return
        if by > 0:
            after = matches[matches > self.row]
            self.go(int(after[0] if len(after) else matches[0]))
        else:
            before = matches[matches < max(self.row, 0)]
            self.go(int(before[-1] if len(before) else matches[-1]))

    def copy(self) -> None:
        rows = sorted({index.row() for index in self.selectionModel().selectedRows()})
        QGuiApplication.clipboard().setText(self._lines.as_text(rows))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Rows whole, without a delegate: the lines of code are most of what this table is."""
        painter = QPainter(self.viewport())
        first = self.rowAt(event.rect().top())
        last = self._lines.rowCount() - 1
        if 0 <= first <= last:
            columns = self._lines.columns
            cells = [
                None
                if self.isColumnHidden(at)
                else Cell(column.face, self.columnViewportPosition(at), self.columnWidth(at))
                for at, column in enumerate(columns)
            ]
            selected = {index.row() for index in self.selectionModel().selectedRows()}
            current = self.row if self.hasFocus() else -1
            top = self.rowViewportPosition(first)
            for row in range(first, last + 1):
                if top > event.rect().bottom():
                    break
                self._painter.row(
                    painter,
                    self._lines.look(row),
                    top,
                    cells,
                    selected=row in selected,
                    hovered=row == self._hovered_row,
                    current=row == current,
                )
                top += ROW
        painter.end()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, plain = event.key(), not event.modifiers() & ~Qt.KeyboardModifier.ShiftModifier
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and plain and self.row >= 0:
            self.opened.emit(self.row)
        elif key == Qt.Key.Key_N and plain:
            self.step_hot(1)
        elif key == Qt.Key.Key_P and plain:
            self.step_hot(-1)
        elif key == Qt.Key.Key_F and plain and self.row >= 0:
            self.followed.emit(self.row)
        elif key == Qt.Key.Key_Slash:
            self.find_wanted.emit()
        elif key in (Qt.Key.Key_Right, Qt.Key.Key_Left) and plain and self.row >= 0 and self._folds():
            self.fold_wanted.emit(self.row, key == Qt.Key.Key_Right)
        elif key == Qt.Key.Key_Home and plain and self._lines.rowCount():
            self.go(0)
        elif key == Qt.Key.Key_End and plain and self._lines.rowCount():
            self.go(self._lines.rowCount() - 1)
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        super().mousePressEvent(event)
        if event.button() is not Qt.MouseButton.LeftButton or not index.isValid():
            return
        x = event.position().x()
        if self._on_fold(index, x):
            self.fold_wanted.emit(index.row(), None)
        elif self._on_link(index, x):
            self.followed.emit(index.row())

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        index = self.indexAt(event.position().toPoint())
        x = event.position().x()
        if index.isValid() and not self._on_fold(index, x) and not self._on_link(index, x):
            self.opened.emit(index.row())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        index = self.indexAt(event.position().toPoint())
        x = event.position().x()
        on = index.isValid() and (self._on_fold(index, x) or self._on_link(index, x))
        self.viewport().setCursor(Qt.CursorShape.PointingHandCursor if on else Qt.CursorShape.ArrowCursor)
        self._hover(index.row())

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._hover(-1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _folds(self) -> bool:
        return self._lines.index(self.row, 0).data(CodeRole.FOLD) is not None

    def _on_fold(self, index: QModelIndex, x: float) -> bool:
        if self._lines.columns[index.column()].face is not Face.CODE or index.data(CodeRole.FOLD) is None:
            return False
        return x - self.columnViewportPosition(index.column()) < FOLD_ROOM

    def _on_link(self, index: QModelIndex, x: float) -> bool:
        if self._lines.columns[index.column()].face is not Face.CODE:
            return False
        if index.data(CodeRole.RANK) != RowKind.INSTRUCTION:
            return False
        begins = int(index.data(CodeRole.LINK))
        if begins < 0:
            return False
        left = self.columnViewportPosition(index.column()) + PADDING
        text = str(index.data())
        return left + begins * self._painter.advance <= x <= left + len(text) * self._painter.advance

    def _in_sight(self, row: int) -> bool:
        first, last = self.rowAt(0), self.rowAt(self.viewport().height() - ROW)
        return first <= row <= (last if last >= 0 else self._lines.rowCount())

    def _go(self, row: int, *, centre: bool) -> None:
        if row < 0:
            self.clearSelection()
            self.setCurrentIndex(QModelIndex())
            return
        index = self._lines.index(row, 0)
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        across = self.horizontalScrollBar().value()
        self.selectionModel().setCurrentIndex(index, flags)
        hint = QAbstractItemView.ScrollHint.PositionAtCenter if centre else QAbstractItemView.ScrollHint.EnsureVisible
        self.scrollTo(index, hint)
        self.horizontalScrollBar().setValue(across)

    def _current(self, index: QModelIndex) -> None:
        self.viewport().update()
        if not self._quiet:
            self.row_changed.emit(index.row() if index.isValid() else -1)

    def _hover(self, row: int) -> None:
        if row != self._hovered_row:
            self._hovered_row = row
            self.viewport().update()
            self.hovered.emit(row)

    def _measure(self) -> None:
        self._widest = self._lines.widest()
        self._fit()

    def _fit(self) -> None:
        """Figures as wide as they need, the code what is left; the place only where it costs nothing."""
        advance, header = self._painter.advance, self.horizontalHeader()
        assert isinstance(header, Header)
        room = self.viewport().width()
        columns = self._lines.columns
        number = int(self._lines.widest_number() * advance) + 2 * PADDING
        text = min(int(self._widest * advance) + 4 * PADDING, _WIDEST)
        code = next(at for at, column in enumerate(columns) if column.face is Face.CODE)
        taken = 0
        for at, column in enumerate(columns):
            if at == code:
                continue
            width = {
                Face.SHARE: _SHARE,
                Face.NUMBER: max(number, header.room_for(column.title)),
                Face.JUMPS: jumps_width(),
            }.get(column.face, _PLACE)
            hidden = column.face is Face.PLACE and room - taken - width < max(text, _CODE_NEEDS)
            self.setColumnHidden(at, hidden)
            if not hidden:
                self.setColumnWidth(at, width)
                taken += width
        self.setColumnWidth(code, max(room - taken, min(text, _WIDEST)))
