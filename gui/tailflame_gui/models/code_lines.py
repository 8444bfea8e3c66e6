"""Lines of code beside what they cost, as item models: what source and assembly have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from tailflame.model.stacks import NONE, Bool, Float64, Int64
from tailflame_gui import plain
from tailflame_gui.models.figures import share_text
from tailflame_gui.widgets.flame_search import matching

Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()
_USER = int(Qt.ItemDataRole.UserRole)
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


class Face(IntEnum):
    """How a column is drawn."""

    SHARE = 0  # percent over its bar
    NUMBER = 1  # a line's number, an address
    JUMPS = 2  # lines from jumps to where they lead
    CODE = 3  # the text itself
    PLACE = 4  # where it was written


class CodeRole(IntEnum):
    """SHARE: of all weight, 0..1, what the bar shows. HEAT: of the hottest line, 0..1. RANK: a RowKind. DEPTH: how far
    a line is moved in. FOLD: None where there is nothing to unfold, else whether it is unfolded. LINKED: belongs to the
    other side's current line. MARKED: a search hit. LANES: of assembly, a tuple of (lane, part) to draw.
    LINK: where the text leads to, from this character on (-1: nowhere). NAME: the function of an inlined line.
    """

    SHARE = _USER + 41
    HEAT = _USER + 42
    RANK = _USER + 43
    DEPTH = _USER + 44
    FOLD = _USER + 45
    LINKED = _USER + 46
    MARKED = _USER + 47
    LANES = _USER + 48
    LINK = _USER + 49
    NAME = _USER + 50


class RowKind(IntEnum):
    LINE = 0
    INLINED = 1
    INSTRUCTION = 2


@dataclass(frozen=True, slots=True)
class CodeColumn:
    title: str
    tip: str
    face: Face


class Look(NamedTuple):
    """All that is painted of a row. cells, shares: by column; the rest as the roles of these names say. where: the
    place, as it stands beside an inlined line."""

    kind: RowKind
    cells: tuple[str, ...]
    shares: tuple[float | None, ...]
    heat: float
    depth: int
    fold: bool | None
    name: str
    where: str
    link: int
    lanes: tuple[tuple[int, int, bool], ...]
    linked: bool
    marked: bool


class CodeLines(QAbstractTableModel):
    """Rows of text with a heat each. A subclass says what stands in a row."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._linked: frozenset[int] = frozenset()
        self._marked: Bool | None = None
        self._query = ""

    # What a subclass says.

    @property
    @abstractmethod
    def columns(self) -> tuple[CodeColumn, ...]: ...

    @abstractmethod
    def size(self) -> int:
        """Rows that are shown."""

    @abstractmethod
    def text(self, row: int) -> str:
        """The code of a row, without tabs."""

    @abstractmethod
    def heat(self) -> Float64:
        """Weight of each shown row's own code."""

    @abstractmethod
    def cell(self, column: int, row: int) -> str: ...

    @abstractmethod
    def code_role(self, role: CodeRole, column: int, row: int) -> Any: ...

    @abstractmethod
    def place(self, row: int) -> tuple[str, int]:
        """(source file, line) of a row, ("", -1) where unknown."""

    @abstractmethod
    def function(self, row: int) -> str:
        """The function that a row leads to, "" for none: the one that is inlined or called there."""

    @abstractmethod
    def tip(self, row: int) -> str: ...

    # What views ask.

    def look(self, row: int) -> Look:
        """What is painted of a row, in one question: a view of thirty rows asks it thirty times a frame."""
        role, columns = self.code_role, range(len(self.columns))
        kind = RowKind(role(CodeRole.RANK, 0, row))
        inlined = kind is RowKind.INLINED
        return Look(
            kind=kind,
            cells=tuple(self.cell(at, row) for at in columns),
            shares=tuple(role(CodeRole.SHARE, at, row) for at in columns),
            heat=role(CodeRole.HEAT, 0, row),
            depth=role(CodeRole.DEPTH, 0, row),
            fold=role(CodeRole.FOLD, 0, row),
            name=role(CodeRole.NAME, 0, row) if inlined else "",
            where=shown_place(*self.place(row)) if inlined else "",
            link=role(CodeRole.LINK, 0, row) if kind is RowKind.INSTRUCTION else NONE,
            lanes=role(CodeRole.LANES, 0, row) or (),
            linked=row in self._linked,
            marked=bool(self._marked[row]) if self._marked is not None and row < len(self._marked) else False,
        )

    def hottest(self) -> int:
        """The row with the most weight of its own, -1 where none has any."""
        heat = self.heat()
        return int(np.argmax(heat)) if len(heat) and heat.max() > 0 else NONE

    def by_heat(self) -> Int64:
        """Rows with weight, the hottest first."""
        heat = self.heat()
        order = np.argsort(-heat, kind="stable")
        return order[: int((heat > 0).sum())]

    def next_hot(self, row: int, by: int) -> int:
        """From `row` the next hottest (by 1) or the one before (by -1); from a cold row the hottest."""
        order = self.by_heat()
        if not len(order):
            return NONE
        at = np.flatnonzero(order == row)
        if not len(at):
            return int(order[0])
        return int(order[min(max(int(at[0]) + by, 0), len(order) - 1)])

    def set_linked(self, rows: Int64) -> None:
        """Rows that belong to the other side's current line."""
        linked = frozenset(rows.tolist())
        if linked != self._linked:
            self._linked = linked
            self._repaint()

    @property
    def linked(self) -> list[int]:
        return sorted(self._linked)

    def set_query(self, query: str) -> int:
        """Marks the rows whose text holds `query`; how many. PatternError where it cannot be read."""
        marked = matching(self.texts(), query) if query else None
        self._query, self._marked = query, marked
        self._repaint()
        return int(marked.sum()) if marked is not None else 0

    def matches(self) -> Int64:
        return np.flatnonzero(self._marked) if self._marked is not None else np.zeros(0, dtype=np.int64)

    def texts(self) -> list[str]:
        """What is searched: the text of every row, and the function that it leads to."""
        return [self.text(row) for row in range(self.size())]

    def widest(self) -> int:
        """Characters of the longest text."""
        return max(map(len, self.texts()), default=0)

    @abstractmethod
    def widest_number(self) -> int:
        """Characters of the longest line number or address."""

    def as_text(self, rows: list[int]) -> str:
        """Rows for the clipboard: tab-separated."""
        wanted = [at for at, column in enumerate(self.columns) if column.face is not Face.JUMPS]
        return "".join("\t".join(self.cell(at, row) for at in wanted) + "\n" for row in rows)

    def _renewed(self) -> None:
        """Between beginResetModel and endResetModel."""
        self._linked = frozenset()
        self._marked = None

    def _remark(self) -> None:
        if self._query:
            self.set_query(self._query)

    def _repaint(self) -> None:
        if self.size():
            last = len(self.columns) - 1
            self.dataChanged.emit(self.index(0, 0), self.index(self.size() - 1, last))

    # Qt's side.

    def rowCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else self.size()

    def columnCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row, column = index.row(), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self.cell(column, row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain.tip(self.tip(row)) or None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if self.columns[column].face in (Face.SHARE, Face.NUMBER) else _LEFT
        if role == CodeRole.LINKED:
            return row in self._linked
        if role == CodeRole.MARKED:
            return bool(self._marked[row]) if self._marked is not None and row < len(self._marked) else False
        if role > _USER:
            return self.code_role(CodeRole(role), column, row)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is not Qt.Orientation.Horizontal or not 0 <= section < len(self.columns):
            return None
        column = self.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.tip
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if column.face in (Face.SHARE, Face.NUMBER) else _LEFT
        return None


def shown_place(file: str, line: int) -> str:
    """ "cmp.rs:1037", or the file's own name alone."""
    name = file.rsplit("/", 1)[-1]
    return f"{name}:{line}" if line > 0 else name


def share_of(weight: float, whole: float, samples: float) -> str:
    """Percent without the sign; "" for none."""
    return share_text(weight / whole if whole else 0.0, samples)
