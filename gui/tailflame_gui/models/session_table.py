"""The library's sessions and the console's runs as tables. A hundred rows, not a million: plain Python lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)

from tailflame import units
from tailflame_gui import icons, plain, theme
from tailflame_gui.rows import RunRow, SessionRow

Index = QModelIndex | QPersistentModelIndex
RAW = int(Qt.ItemDataRole.UserRole) + 1
"""The value behind the text, for sorting."""

_ROOT = QModelIndex()
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter

RowT = TypeVar("RowT")


@dataclass(frozen=True)
class Field(Generic[RowT]):
    """One column: its title, the text and the sort key of a row. `width` 0 takes what is left."""

    title: str
    text: Callable[[RowT], str]
    key: Callable[[RowT], Any]
    width: int
    tip: Callable[[RowT], str] = lambda _row: ""
    right: bool = False
    mono: bool = False
    leaves: bool = False
    """Not shown where the column that takes what is left would be too narrow."""
    icon: Callable[[RowT], tuple[str, str] | None] = lambda _row: None
    """(icon, colour token) before the text."""
    muted: Callable[[RowT], bool] = lambda _row: False


class RowTable(QAbstractTableModel, Generic[RowT]):
    """Rows of plain data under the columns `fields`."""

    def __init__(self, fields: Sequence[Field[RowT]], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.fields = tuple(fields)
        self._rows: tuple[RowT, ...] = ()
        theme.signals.changed.connect(self._repaint)

    @property
    def rows(self) -> tuple[RowT, ...]:
        return self._rows

    def set_rows(self, rows: tuple[RowT, ...]) -> None:
        """Rows that stay in place are updated in place, so that selection and scroll position stay."""
        if len(rows) == len(self._rows):
            changed = [at for at, (new, old) in enumerate(zip(rows, self._rows, strict=True)) if new != old]
            self._rows = rows
            for at in changed:
                self.dataChanged.emit(self.index(at, 0), self.index(at, len(self.fields) - 1))
            return
        grown = len(rows) - len(self._rows)
        if grown > 0 and rows[: len(self._rows)] == self._rows:
            self.beginInsertRows(_ROOT, len(self._rows), len(rows) - 1)
            self._rows = rows
            self.endInsertRows()
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def row(self, index: Index) -> RowT:
        return self._rows[index.row()]

    def rowCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self.fields)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or not index.row() < len(self._rows):
            return None
        field, row = self.fields[index.column()], self._rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return field.text(row)
        if role == RAW:
            return field.key(row)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if field.right else _LEFT
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain.tip(field.tip(row)) or None
        if role == Qt.ItemDataRole.FontRole:
            return theme.mono_font(theme.BASE - 1) if field.mono else None
        if role == Qt.ItemDataRole.ForegroundRole:
            return theme.current().second if field.muted(row) else None
        if role == Qt.ItemDataRole.DecorationRole:
            mark = field.icon(row)
            return icons.icon(*mark) if mark else None
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is not Qt.Orientation.Horizontal or not 0 <= section < len(self.fields):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.fields[section].title
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if self.fields[section].right else _LEFT
        return None

    def _repaint(self) -> None:
        if self._rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._rows) - 1, len(self.fields) - 1))


class RowOrder(QSortFilterProxyModel):
    """Sorts by the keys of the fields and keeps rows in which every word of the filter occurs."""

    def __init__(self, source: RowTable[Any], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._words: tuple[str, ...] = ()
        self.setSourceModel(source)
        self.setSortRole(RAW)
        self._source = source

    def set_words(self, text: str) -> None:
        self._words = tuple(text.casefold().split())
        self.invalidate()

    def filterAcceptsRow(self, source_row: int, source_parent: Index) -> bool:
        row = self._source.rows[source_row]
        text = " ".join(field.text(row) for field in self._source.fields).casefold()
        return all(word in text for word in self._words)

    def lessThan(self, left: Index, right: Index) -> bool:
        one, other = left.data(RAW), right.data(RAW)
        return bool(one < other)

    def row_at(self, index: Index) -> Any:
        return self._source.row(self.mapToSource(index))


_STATES = {
    "complete": None,
    "recorded": ("file", "second"),
    "recording": ("circle-dot", "accent"),
    "failed": ("octagon-alert", "bad"),
    "interrupted": ("triangle-alert", "warn"),
    "unreadable": ("octagon-alert", "bad"),
}


def moment(at: datetime | None) -> str:
    """ "24 Nov 12:04", with the year where it is not this one."""
    if at is None:
        return "—"
    local = at.astimezone()
    year = "" if local.year == datetime.now().year else f" {local.year}"
    return f"{local.day} {local:%b}{year} {local:%H:%M}"


def session_fields(*, short: bool = False) -> tuple[Field[SessionRow], ...]:
    """The columns of the library; `short` for the start page."""
    when = Field[SessionRow](
        "Recorded",
        lambda row: moment(row.started_at),
        lambda row: row.started_at.timestamp() if row.started_at else 0.0,
        128,
        tip=lambda row: f"{row.started_at.astimezone():%A, %d %B %Y, %H:%M:%S}" if row.started_at else "",
    )
    title = Field[SessionRow](
        "Session",
        lambda row: f"{row.title}   {row.place}" if row.place else row.title,
        lambda row: row.title.casefold(),
        0,
        tip=lambda row: f"{row.place}, recorded one after the other.\n{row.path}" if row.place else str(row.path),
        mono=True,
        icon=lambda row: ("pin", "accent") if row.baseline else ("layers-2", "second") if row.place else None,
    )
    tool = Field[SessionRow](
        "Tool", lambda row: row.tool, lambda row: row.tool, 96, muted=lambda _row: True, leaves=True
    )
    samples = Field[SessionRow](
        "Samples",
        lambda row: "—" if row.samples is None else units.count(row.samples),
        lambda row: -1 if row.samples is None else row.samples,
        88,
        right=True,
        tip=lambda row: f"{units.count(row.lost)} lost" if row.lost else "",
    )
    state = Field[SessionRow](
        "State",
        lambda row: "baseline" if row.baseline else "" if row.state == "complete" else row.state,
        lambda row: (row.state, row.baseline),
        128,
        tip=lambda row: row.outcome,
        icon=lambda row: _STATES.get(row.state),
        muted=lambda row: row.state in {"complete", "recorded"},
    )
    if short:
        return (when, title, tool, samples, state)
    duration = Field[SessionRow](
        "Duration",
        lambda row: "—" if row.duration_s is None else units.seconds(row.duration_s),
        lambda row: -1.0 if row.duration_s is None else row.duration_s,
        88,
        right=True,
        tip=lambda row: row.outcome,
    )
    build = Field[SessionRow](
        "Build", lambda row: row.profile, lambda row: row.profile, 144, muted=lambda _row: True, leaves=True
    )
    commit = Field[SessionRow](
        "Commit",
        lambda row: row.commit,
        lambda row: row.commit,
        104,
        tip=lambda row: row.branch,
        mono=True,
        muted=lambda _row: True,
        leaves=True,
    )
    return (when, title, tool, samples, duration, build, commit, state)


def run_fields() -> tuple[Field[RunRow], ...]:
    """The columns of the console."""
    return (
        Field[RunRow](
            "Started",
            lambda row: f"{row.started_at.astimezone():%H:%M:%S}",
            lambda row: row.number,
            80,
        ),
        Field[RunRow](
            "Command", lambda row: row.command_line, lambda row: row.command_line, 0, mono=True,
            tip=lambda row: f"process {row.pid}" if row.pid else "",
        ),
        Field[RunRow](
            "Outcome",
            lambda row: row.outcome or "running",
            lambda row: row.outcome,
            280,
            icon=lambda row: ("circle-dot", "accent")
            if row.ok is None
            else ("circle-check", "good")
            if row.ok
            else ("octagon-alert", "bad"),
            tip=lambda row: row.outcome,
        ),
    )  # fmt: skip
