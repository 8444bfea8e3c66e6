"""The running programs as a table that follows them: rows come, go and change in place, what is selected stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, Qt

from tailflame import units
from tailflame.host.running import RunningProcess
from tailflame_gui import theme
from tailflame_gui.models.session_table import Field, RowTable

Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()
_UNKNOWN = "—"


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process and what takes longer to find out; `build` is "release", "debug" or "" for not known."""

    process: RunningProcess
    build: str = ""


class ProcessTable(RowTable[ProcessRow]):
    """Processes that cannot be attached to are faint, and each of their cells says why."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(process_fields(), parent)

    def set_rows(self, rows: tuple[ProcessRow, ...]) -> None:
        """A process is the same one whatever else has changed: only rows of those that ended or began go and come."""
        there = {row.process.identity for row in rows}
        for at in reversed([at for at, row in enumerate(self._rows) if row.process.identity not in there]):
            self.beginRemoveRows(_ROOT, at, at)
            self._rows = self._rows[:at] + self._rows[at + 1 :]
            self.endRemoveRows()
        known = {row.process.identity for row in self._rows}
        stayed = [row.process.identity for row in rows if row.process.identity in known]
        if stayed != [row.process.identity for row in self._rows]:
            self.beginResetModel()
            self._rows = rows
            self.endResetModel()
            return
        at = 0
        while at < len(rows):
            end = at
            while end < len(rows) and rows[end].process.identity not in known:
                end += 1
            if end > at:
                self.beginInsertRows(_ROOT, at, end - 1)
                self._rows = (*self._rows[:at], *rows[at:end], *self._rows[at:])
                self.endInsertRows()
            at = end + 1
        super().set_rows(rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.ForegroundRole and index.isValid() and not self.row(index).process.attachable:
            return theme.current().faint
        return super().data(index, role)


def process_fields() -> tuple[Field[ProcessRow], ...]:
    """The columns of the picker."""
    return (
        Field(
            "Name",
            lambda row: row.process.name,
            lambda row: row.process.name.casefold(),
            152,
            tip=_tip,
            mono=True,
        ),
        Field("PID", lambda row: str(row.process.pid), lambda row: row.process.pid, 72, tip=_tip, right=True),
        Field(
            "User", lambda row: row.process.user, lambda row: row.process.user, 80, tip=_tip, muted=_always, leaves=True
        ),
        Field(
            "Command",
            lambda row: row.process.command_line,
            lambda row: row.process.command_line.casefold(),
            0,
            tip=lambda row: _tip(row) or row.process.command_line,
            mono=True,
        ),
        Field(
            "CPU %",
            lambda row: _UNKNOWN if row.process.cpu_percent is None else f"{row.process.cpu_percent:.1f}",
            lambda row: -1.0 if row.process.cpu_percent is None else row.process.cpu_percent,
            72,
            tip=lambda row: _tip(row) or "Of one CPU, over the last second.",
            right=True,
        ),
        Field(
            "Memory",
            lambda row: units.size(row.process.rss),
            lambda row: row.process.rss,
            80,
            tip=lambda row: _tip(row) or "Resident, shared pages included.",
            right=True,
        ),
        Field(
            "Threads",
            lambda row: units.count(row.process.threads),
            lambda row: row.process.threads,
            72,
            tip=_tip,
            right=True,
            leaves=True,
        ),
        Field(
            "Binary",
            lambda row: _UNKNOWN if row.process.binary is None else str(row.process.binary),
            lambda row: str(row.process.binary),
            200,
            tip=_binary_tip,
            mono=True,
            muted=_always,
            leaves=True,
            icon=lambda row: ("triangle-alert", "warn") if row.process.deleted else None,
        ),
        Field(
            "Build",
            lambda row: row.build,
            lambda row: row.build,
            80,
            tip=lambda row: _tip(row) or _BUILDS[row.build],
            icon=lambda row: ("triangle-alert", "warn") if row.build == "debug" else None,
        ),
        Field(
            "Container",
            lambda row: row.process.container,
            lambda row: row.process.container,
            176,
            tip=lambda row: _tip(row) or row.process.container,
            muted=_always,
            leaves=True,
        ),
    )


_BUILDS = {
    "debug": "Built without optimisation: what is slow here may not be slow in a release.",
    "release": "Built with optimisation.",
    "": "The program does not tell whether it was built with optimisation.",
}


def _always(_row: ProcessRow) -> bool:
    return True


def _tip(row: ProcessRow) -> str:
    return "" if row.process.attachable else f"Cannot be attached to: {row.process.reason}."


def _binary_tip(row: ProcessRow) -> str:
    if row.process.binary is None:
        return _tip(row) or "The kernel does not tell which program this is."
    if row.process.deleted:
        return f"{row.process.binary} was removed or built anew since this program was started."
    return _tip(row) or str(row.process.binary)
