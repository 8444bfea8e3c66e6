"""A flat table over arrays: sorting and filtering permute one index array, rows are formatted only when seen."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QFont

from tailflame.model.stacks import NONE, Bool, Int64
from tailflame_gui import plain, theme
from tailflame_gui.models.roles import Column, Face, Role
from tailflame_gui.widgets.flame_search import matching

Index = QModelIndex | QPersistentModelIndex
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
# Plain numbers: the header reads this role as an int.
_DOWN, _UP = Qt.SortOrder.DescendingOrder.value, Qt.SortOrder.AscendingOrder.value
_ROOT = QModelIndex()


class ArrayTable(QAbstractTableModel):
    """Rows of a table of arrays, in the order and selection the user asked for.

    A subclass says what a row is; "row" below is always a row of its arrays, "line" a line on the screen.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._columns: tuple[Column, ...] = ()
        self._lines: Int64 = np.zeros(0, dtype=np.int64)
        self._keep: Bool | None = None
        self._sorted: tuple[int, Qt.SortOrder] = (NONE, Qt.SortOrder.DescendingOrder)
        self._ranks: dict[int, npt.NDArray[Any]] = {}
        self._query = ""
        self._found: Bool | None = None

    # What a subclass says.

    @abstractmethod
    def size(self) -> int:
        """Rows of the arrays."""

    @abstractmethod
    def key(self, column: int) -> npt.NDArray[Any] | Sequence[str]:
        """What sorting by `column` compares, one entry per row."""

    @abstractmethod
    def text(self, column: int, row: int) -> str: ...

    @abstractmethod
    def role(self, role: Role, column: int, row: int) -> Any: ...

    @abstractmethod
    def tip(self, column: int, row: int) -> str: ...

    @abstractmethod
    def found(self, query: str) -> Bool:
        """Rows in which `query` is found. PatternError where it cannot be read."""

    # What views ask.

    @property
    def columns(self) -> tuple[Column, ...]:
        return self._columns

    def row_at(self, line: int) -> int:
        return int(self._lines[line])

    def line_of(self, row: int) -> int:
        """The line that shows `row`, -1 where the filter hides it."""
        found = np.flatnonzero(self._lines == row)
        return int(found[0]) if len(found) else NONE

    def set_query(self, query: str) -> None:
        """Keeps only the rows in which `query` is found: a regular expression, or plain text where it has no special
        sign; "" keeps all. PatternError where it cannot be read, and nothing changes.
        """
        found = self.found(query) if query and self.size() else None
        self._query, self._found = query, found
        self.refilter()

    def refilter(self) -> None:
        self.beginResetModel()
        self._lines = self._arranged()
        self.endResetModel()

    def extra_filter(self) -> Bool | None:
        """A further mask of rows to keep, None for all."""
        return None

    def reset(self, columns: tuple[Column, ...]) -> None:
        """Call it between changing the arrays and anything else; sorting and filter stay."""
        self.beginResetModel()
        self._columns = columns
        self._ranks = {}
        self._found = self.found(self._query) if self._query and self.size() else None
        self._lines = self._arranged()
        self.endResetModel()

    def retitle(self, columns: tuple[Column, ...]) -> None:
        """Other titles and texts for the same rows."""
        self._columns = columns
        self._ranks = {}
        self._lines = self._arranged()
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(columns) - 1)
        if len(self._lines):
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._lines) - 1, len(columns) - 1))

    def as_tsv(self, lines: Sequence[int] | None = None) -> str:
        """The table as shown, or some lines of it, tab-separated with the header: full precision, full names."""
        rows = self._lines if lines is None else self._lines[list(lines)]
        wanted = range(len(self._columns))
        out = ["\t".join(self._columns[c].title for c in wanted)]
        out += ["\t".join(_cell(self.role(Role.RAW, c, int(row))) for c in wanted) for row in rows]
        return "\n".join(out) + "\n"

    # Qt's side.

    def rowCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._lines)

    def columnCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._columns)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        column, row = index.column(), int(self._lines[index.row()])
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text(column, row)
        if role > Qt.ItemDataRole.UserRole:
            return self.role(Role(role), column, row)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return alignment(self._columns[column])
        if role == Qt.ItemDataRole.FontRole:
            return cell_font(self._columns[column].face)
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain.tip(self.tip(column, row))
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is not Qt.Orientation.Horizontal or not 0 <= section < len(self._columns):
            return None
        return head_data(self._columns[section], role)

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """By a column, or back to the table's own order with -1. Equal rows keep the table's own order."""
        if not self._columns and column >= 0:
            return
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        rows = [self.row_at(index.row()) for index in before]
        self._sorted = (column, order)
        self._lines = self._arranged()
        line_of = np.full(self.size(), NONE, dtype=np.int64)
        line_of[self._lines] = np.arange(len(self._lines))
        after = [self.index(int(line_of[row]), index.column()) for row, index in zip(rows, before, strict=True)]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def _arranged(self) -> Int64:
        column, order = self._sorted
        keep = self._found
        extra = self.extra_filter()
        if extra is not None:
            keep = extra if keep is None else keep & extra
        rows: Int64 = np.arange(self.size()) if keep is None else np.flatnonzero(keep)
        if not 0 <= column < len(self._columns):
            return rows
        rank = self._rank(column)[rows]
        if order is Qt.SortOrder.DescendingOrder:
            rank = -rank
        arranged: Int64 = rows[np.argsort(rank, kind="stable")]
        return arranged

    def _rank(self, column: int) -> npt.NDArray[Any]:
        if column not in self._ranks:
            key = self.key(column)
            if not isinstance(key, np.ndarray):
                places = {word: place for place, word in enumerate(sorted(sorted(set(key)), key=str.casefold))}
                key = np.fromiter((places[word] for word in key), dtype=np.int64, count=len(key))
            self._ranks[column] = key
        return self._ranks[column]


def found_in(words: Sequence[str], query: str) -> Bool:
    """Where `query` is found; each distinct word is searched once."""
    distinct = list(dict.fromkeys(words))
    hits = matching(distinct, query)
    if len(distinct) == len(words):
        return hits
    place = {word: at for at, word in enumerate(distinct)}
    return hits[np.fromiter((place[word] for word in words), dtype=np.int64, count=len(words))]


def alignment(column: Column) -> Qt.AlignmentFlag:
    """Figures end under each other, words begin under each other."""
    return _RIGHT if column.numeric else _LEFT


def head_data(column: Column, role: int) -> Any:
    """What the header of a table or tree says of a column."""
    if role == Qt.ItemDataRole.DisplayRole:
        return column.title
    if role == Qt.ItemDataRole.ToolTipRole:
        return column.tip
    if role == Qt.ItemDataRole.TextAlignmentRole:
        return alignment(column)
    if role == Qt.ItemDataRole.InitialSortOrderRole:
        return _DOWN if column.numeric else _UP
    return None


def cell_font(face: Face) -> QFont | None:
    return None if face in (Face.TEXT, Face.WORDS) else theme.mono_font(theme.BASE - 1)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value).replace("\t", " ").replace("\n", " ")
