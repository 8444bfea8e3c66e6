"""The files that appeared while a recording runs: dumps, snapshots, parts. Each opens like any result."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QWidget

from tailflame import units
from tailflame_gui.models.session_table import Field, RowTable
from tailflame_gui.record_model import FileRow
from tailflame_gui.widgets.parts import button, column, hairline, label, row
from tailflame_gui.widgets.row_view import RowView


def file_fields() -> tuple[Field[FileRow], ...]:
    """The columns of the list."""
    return (
        Field[FileRow](
            "At", lambda row: units.seconds(row.time_s), lambda row: row.time_s, 72, right=True,
            tip=lambda _row: "Since the start of the recording.",
        ),
        Field[FileRow](
            "File", lambda row: row.title, lambda row: row.title.casefold(), 0, mono=True,
            tip=lambda row: str(row.path),
        ),
        Field[FileRow]("Size", lambda row: units.size(row.bytes), lambda row: row.bytes, 80, right=True),
    )  # fmt: skip


class RunFiles(QWidget):
    """open_requested(path): show this one as a result. Hidden as long as there is none."""

    open_requested = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._table = RowTable[FileRow](file_fields(), self)
        self.view = RowView(self._table, several=False)
        self.view.setAccessibleName("Files so far")
        self.view.activated_row.connect(lambda one: self.open_requested.emit(one.path))
        self.view.selection_changed.connect(self._selection_changed)
        self.open = button("Open", self._open, icon="flame", tip="Open the selected file as a result.  Return")
        self._count = label("", "faint")
        head = row(margins=(12, 4, 8, 4), spacing=8)
        head.addWidget(label("Files so far", "heading"))
        head.addWidget(self._count)
        head.addStretch()
        head.addWidget(self.open)
        layout = column(spacing=0)
        layout.addLayout(head)
        layout.addWidget(hairline())
        layout.addWidget(self.view, 1)
        self.setLayout(layout)
        self.setMinimumWidth(280)
        self.clear()

    @property
    def rows(self) -> tuple[FileRow, ...]:
        return self._table.rows

    def clear(self) -> None:
        self._show(())

    def add(self, files: Sequence[FileRow]) -> None:
        """A file that comes again, having grown, is the same line."""
        known = {one.path: one for one in (*self._table.rows, *files)}
        self._show(tuple(known.values()))
        if files and not self.view.selected():
            self.view.select_line(self.view.order.rowCount() - 1)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.view.scrollToBottom()

    def _show(self, rows: tuple[FileRow, ...]) -> None:
        self._table.set_rows(rows)
        self._count.setText(units.count(len(rows)) if rows else "")
        self.setVisible(bool(rows))
        self._selection_changed()

    def _selection_changed(self) -> None:
        self.open.setEnabled(bool(self.view.selected()))

    def _open(self) -> None:
        for one in self.view.selected():
            self.open_requested.emit(one.path)
