"""Variables laid over the environment: a small table, whose last line is always free for one more."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QModelIndex, QPersistentModelIndex, QRect, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
)

from tailflame_gui import plain, theme
from tailflame_gui.record_model import problem_of_variable

Pairs = tuple[tuple[str, str], ...]
_NAME, _VALUE = 0, 1


class _Cells(QStyledItemDelegate):
    """Says in the free line what it is for."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        super().paint(painter, option, index)
        if index.row() == index.model().rowCount() - 1 and not index.data():
            painter.save()
            painter.setFont(theme.interface_font())
            painter.setPen(theme.current().faint)
            words = "NAME" if index.column() == _NAME else "value"
            rect: QRect = option.rect
            painter.drawText(rect.adjusted(8, 0, -8, 0), int(Qt.AlignmentFlag.AlignVCenter), words)
            painter.restore()


class EnvEditor(QTableWidget):
    """changed(): a variable is another one. Delete takes the selected variables away."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__(0, 2)
        self.setHorizontalHeaderLabels(["Variable", "Value"])
        self.setAccessibleName("Environment")
        self.setToolTip("Laid over your own environment. Type into the last line to add one; Delete removes.")
        self.setShowGrid(False)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.AnyKeyPressed
            | QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.SelectedClicked
            | QAbstractItemView.EditTrigger.CurrentChanged
        )
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(theme.ROW)
        self.verticalHeader().setMinimumSectionSize(theme.ROW)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionsClickable(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(_VALUE, QHeaderView.ResizeMode.Stretch)
        self.setColumnWidth(_NAME, 128)
        self.setItemDelegate(_Cells(self))
        self.itemChanged.connect(lambda _item: self._edited())
        theme.signals.changed.connect(self._judge)
        self.set_pairs(())

    @property
    def pairs(self) -> Pairs:
        """The variables that are good, in order; a name that occurs twice counts with its last value."""
        return tuple(dict(pair for pair in self._rows() if not problem_of_variable(*pair)).items())

    @property
    def problem(self) -> str:
        """What is wrong with the first bad line, "" where none is."""
        problems = (problem_of_variable(*pair) for pair in self._rows() if pair != ("", ""))
        return next((problem for problem in problems if problem), "")

    def set_pairs(self, pairs: Pairs) -> None:
        """Shows them without announcing it."""
        with QSignalBlocker(self):
            self.setRowCount(0)
            for name, value in pairs:
                self._add(name, value)
            self._add()
        self._judge()

    def _add(self, name: str = "", value: str = "") -> None:
        at = self.rowCount()
        self.insertRow(at)
        self.setItem(at, _NAME, QTableWidgetItem(name))
        self.setItem(at, _VALUE, QTableWidgetItem(value))

    def _text(self, at: int, side: int) -> str:
        item = self.item(at, side)
        return item.text() if item is not None else ""

    def _rows(self) -> list[tuple[str, str]]:
        return [(self._text(at, _NAME).strip(), self._text(at, _VALUE)) for at in range(self.rowCount())]

    def _edited(self) -> None:
        rows = self._rows()
        with QSignalBlocker(self):
            if not rows or rows[-1] != ("", ""):
                self._add()
        self._judge()
        self.changed.emit()

    def _judge(self) -> None:
        """A bad line says so: in colour and in its tip."""
        tokens = theme.current()
        frame = f"QTableWidget {{ border: 1px solid {tokens.hairline.name()}; border-radius: 4px; }}"
        if self.styleSheet() != frame:
            self.setStyleSheet(frame)
        with QSignalBlocker(self):
            for at, pair in enumerate(self._rows()):
                problem = problem_of_variable(*pair) if pair != ("", "") else ""
                for side in (_NAME, _VALUE):
                    item = self.item(at, side)
                    if item is None:
                        continue
                    item.setFont(theme.mono_font(theme.BASE - 1))
                    item.setForeground(tokens.bad if problem else tokens.text)
                    item.setToolTip(plain.tip(problem))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self._remove_selected()
        else:
            super().keyPressEvent(event)

    def _remove_selected(self) -> None:
        chosen = sorted({index.row() for index in self.selectedIndexes()}, reverse=True)
        with QSignalBlocker(self):
            for at in chosen:
                self.removeRow(at)
        self._edited()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() is QEvent.Type.StyleChange:
            self.verticalHeader().setDefaultSectionSize(theme.ROW)
