"""The library: every session of the profiles folder; open, pin, compare, delete."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QItemSelectionModel, QPoint, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QLineEdit, QMenu, QStackedWidget, QWidget

from tailflame_gui import icons
from tailflame_gui.actions import Actions, describe
from tailflame_gui.models.session_table import RowTable, session_fields
from tailflame_gui.rows import SessionRow
from tailflame_gui.widgets.empty_state import EmptyState
from tailflame_gui.widgets.parts import ActionButton, ElidedLabel, column, label, row
from tailflame_gui.widgets.row_view import RowView


class LibraryPage(QWidget):
    """Signals carry SessionRows: opened(row), pinned(row), unpinned(row), compared(before, after),
    compared_with_baseline(row), deleted(tuple of rows), folder_opened(row).
    """

    opened = Signal(object)
    pinned = Signal(object)
    unpinned = Signal(object)
    compared = Signal(object, object)
    compared_with_baseline = Signal(object)
    deleted = Signal(object)
    folder_opened = Signal(object)

    def __init__(self, actions: Actions) -> None:
        super().__init__()
        self._model = RowTable[SessionRow](session_fields(), self)
        self._view = RowView(self._model)
        self._view.setAccessibleName("Sessions")
        self._view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self._folder = ElidedLabel("", "second", mono=True, mode=Qt.TextElideMode.ElideMiddle)
        self._count = label("", "faint")
        self._filter = QLineEdit()
        self._filter.setPlaceholderText("Filter by program, tool, commit …")
        self._filter.setClearButtonEnabled(True)
        self._filter.setFixedWidth(248)
        self._filter.setAccessibleName("Filter sessions")
        self._filter.setToolTip("Only sessions that hold every word.  Ctrl+F")
        self._open = self._action("Open", "folder-open", "Open the selected sessions in tabs.", "")
        self._compare = self._action("Compare", "git-compare", "", "")
        self._pin = self._action("Pin as baseline", "pin", "Make this session the baseline of its binary.", "")
        self._delete = self._action("Delete", "trash-2", "Delete the selected sessions; you can undo it.", "Del")
        self._show_folder = self._action("Show the files", "folder", "Open the session's folder.", "")
        self._find = self._action("Filter sessions", "search", "Type to filter the sessions.", "Ctrl+F")
        self._group = self._action(
            "Select the group", "layers-2", "Select every session that was recorded in the same queue.", "Ctrl+G"
        )
        self._group.triggered.connect(self._select_group)
        self._open.triggered.connect(self._open_selected)
        self._compare.triggered.connect(self._compare_selected)
        self._pin.triggered.connect(self._pin_selected)
        self._delete.triggered.connect(self._delete_selected)
        self._show_folder.triggered.connect(self._show_selected)
        self._find.triggered.connect(self._filter.setFocus)

        head = row(margins=(16, 8, 8, 8), spacing=12)
        head.addWidget(label("Library", "title"))
        head.addWidget(self._count)
        head.addWidget(self._folder, 1)
        head.addWidget(ActionButton(actions["profiles"], rank="quiet", text="Change folder…"))
        head.addWidget(self._filter)
        tools = row(margins=(8, 0, 8, 8), spacing=4)
        for action in (self._open, self._compare, self._pin, self._group, self._show_folder, self._delete):
            tools.addWidget(ActionButton(action, rank="quiet"))
        tools.addStretch()
        table = QWidget()
        table_column = column(spacing=0)
        table_column.addLayout(tools)
        table_column.addWidget(self._view, 1)
        table.setLayout(table_column)
        self._empty = EmptyState(
            "library",
            "No sessions yet",
            "Every recording is kept here, with what it needs to be read again after the next build.",
            (ActionButton(actions["record_page"], rank="primary"), ActionButton(actions["open"])),
        )
        self._stack = QStackedWidget()
        self._stack.addWidget(table)
        self._stack.addWidget(self._empty)
        layout = column(spacing=0)
        layout.addLayout(head)
        layout.addWidget(self._stack, 1)
        self.setLayout(layout)
        self.setFocusProxy(self._view)
        self._filter.textChanged.connect(self._view.set_words)
        self._view.activated_row.connect(self.opened)
        self._view.selection_changed.connect(self._selection_changed)
        self._view.customContextMenuRequested.connect(self._menu)
        self._selection_changed()

    def _action(self, text: str, icon: str, tip: str, keys: str) -> QAction:
        made = QAction(icons.icon(icon), text, self)
        made.setProperty("glyph", icon)
        made.setProperty("group", "Library")
        if keys:
            made.setShortcut(QKeySequence(keys))
            made.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        describe(made, tip)
        self.addAction(made)
        return made

    @property
    def table(self) -> RowView:
        return self._view

    def show_folder(self, folder: Path) -> None:
        self._folder.set_text(str(folder))

    def show_sessions(self, sessions: tuple[SessionRow, ...], *, known: bool = True) -> None:
        self._model.set_rows(sessions)
        self._count.setText(f"{len(sessions)}" if sessions else "")
        self._stack.setCurrentIndex(0 if sessions or not known else 1)
        self._selection_changed()

    def _selected(self) -> tuple[SessionRow, ...]:
        return self._view.selected()

    def _selection_changed(self) -> None:
        chosen = self._selected()
        one = chosen[0] if len(chosen) == 1 else None
        self._open.setEnabled(any(session.readable for session in chosen))
        self._show_folder.setEnabled(one is not None)
        self._group.setEnabled(bool(chosen) and bool(chosen[0].place))
        self._delete.setEnabled(any(session.state != "recording" for session in chosen))
        self._pin.setEnabled(one is not None and one.readable)
        unpin = one is not None and one.baseline
        self._pin.setText("Unpin the baseline" if unpin else "Pin as baseline")
        pair = len(chosen) == 2 and all(session.readable for session in chosen)
        self._compare.setText("Compare the two" if len(chosen) == 2 else "Compare with the baseline")
        self._compare.setEnabled(pair or (one is not None and one.readable and not one.baseline))
        describe(
            self._compare,
            "Compare the two selected sessions, the older as the baseline."
            if len(chosen) == 2
            else "Compare the baseline of this session's binary with it. Select two sessions to compare those.",
        )

    def _open_selected(self) -> None:
        for session in self._selected():
            if session.readable:
                self.opened.emit(session)

    def _compare_selected(self) -> None:
        chosen = self._selected()
        if len(chosen) == 2:
            older, newer = sorted(chosen, key=lambda s: s.started_at.timestamp() if s.started_at else 0.0)
            self.compared.emit(older, newer)
        elif chosen:
            self.compared_with_baseline.emit(chosen[0])

    def _pin_selected(self) -> None:
        for session in self._selected()[:1]:
            (self.unpinned if session.baseline else self.pinned).emit(session)

    def _delete_selected(self) -> None:
        chosen = tuple(session for session in self._selected() if session.state != "recording")
        if chosen:
            self.deleted.emit(chosen)

    def _select_group(self) -> None:
        chosen = self._selected()
        order = self._view.order
        lines = [order.index(at, 0) for at in range(order.rowCount())]
        together = [line for line in lines if chosen and order.row_at(line).group == chosen[0].group]
        self._view.clearSelection()
        how = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
        for line in together:
            self._view.selectionModel().select(line, how)

    def _show_selected(self) -> None:
        for session in self._selected()[:1]:
            self.folder_opened.emit(session)

    def _menu(self, at: QPoint) -> None:
        if not self._selected():
            return
        menu = QMenu(self)
        menu.addActions([self._open, self._compare, self._pin, self._group, self._show_folder])
        menu.addSeparator()
        menu.addAction(self._delete)
        menu.exec(self._view.viewport().mapToGlobal(at))
        menu.deleteLater()
