"""The console: every command that this window ran, when, and how it ended."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtWidgets import QPlainTextEdit, QStackedWidget, QWidget

from tailflame_gui import icons
from tailflame_gui.actions import describe
from tailflame_gui.models.session_table import RowTable, run_fields
from tailflame_gui.rows import RunRow
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.parts import ActionButton, column, hairline, label, row
from tailflame_gui.widgets.row_view import RowView


class ConsolePage(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._model = RowTable[RunRow](run_fields(), self)
        self._view = RowView(self._model)
        self._view.setAccessibleName("Commands")
        self._count = label("", "faint")
        self._copy = QAction(icons.icon("copy"), "Copy the command", self)
        self._copy.setProperty("glyph", "copy")
        self._copy.setProperty("group", "Console")
        self._copy.setShortcut(QKeySequence.StandardKey.Copy)
        self._copy.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        describe(self._copy, "Copy the selected commands, ready for a terminal.")
        self._copy.triggered.connect(self._copy_selected)
        self._view.addAction(self._copy)
        self._whole = QPlainTextEdit()
        self._whole.setReadOnly(True)
        self._whole.setProperty("face", "mono")
        self._whole.setFixedHeight(96)
        self._whole.setAccessibleName("The whole command")

        head = row(margins=(16, 8, 8, 8), spacing=12)
        head.addWidget(label("Console", "title"))
        head.addWidget(self._count)
        head.addStretch()
        head.addWidget(ActionButton(self._copy, rank="quiet"))
        foot = column(margins=(16, 8, 16, 12), spacing=4)
        foot.addWidget(label("The whole command, as it was run", "small"))
        foot.addWidget(self._whole)
        table = QWidget()
        table_column = column(spacing=0)
        table_column.addWidget(self._view, 1)
        table_column.addWidget(hairline())
        table_column.addLayout(foot)
        table.setLayout(table_column)
        self._stack = QStackedWidget()
        self._stack.addWidget(table)
        self._stack.addWidget(
            EmptyState(
                "terminal",
                "Nothing was run yet",
                "Every program that Tailflame starts is listed here with its exact command line and how it ended.",
            )
        )
        layout = column(spacing=0)
        layout.addLayout(head)
        layout.addWidget(self._stack, 1)
        self.setLayout(layout)
        self.setFocusProxy(self._view)
        self._view.selection_changed.connect(self._selection_changed)
        self.show_runs(())

    @property
    def table(self) -> RowView:
        return self._view

    def show_runs(self, runs: tuple[RunRow, ...]) -> None:
        grown = len(runs) > len(self._model.rows)
        self._model.set_rows(runs)
        self._count.setText(f"{len(runs)}" if runs else "")
        self._stack.setCurrentIndex(0 if runs else 1)
        if grown:
            self._view.scrollToBottom()
            self._view.select_line(self._view.order.rowCount() - 1)
        self._selection_changed()

    def _selection_changed(self) -> None:
        chosen: tuple[RunRow, ...] = self._view.selected()
        self._copy.setEnabled(bool(chosen))
        text = "\n".join(run.command_line for run in chosen)
        if text != self._whole.toPlainText():
            self._whole.setPlainText(text)

    def _copy_selected(self) -> None:
        QGuiApplication.clipboard().setText("\n".join(run.command_line for run in self._view.selected()))
