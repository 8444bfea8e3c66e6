"""The keys sheet (F1): every key of the window, by group, read from the actions themselves."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QDialog, QGridLayout, QLineEdit, QScrollArea, QWidget

from tailflame_gui.widgets.parts import button, column, label, row


def keys_of(action: QAction) -> str:
    """ "Ctrl+Tab, Ctrl+PgDown"; "" for an action without keys."""
    form = QKeySequence.SequenceFormat.NativeText
    return ", ".join(keys.toString(form) for keys in action.shortcuts())


class KeysDialog(QDialog):
    """Lists `actions` that have keys. Further lines may be given as (group, text, keys)."""

    def __init__(
        self, actions: Sequence[QAction], more: Sequence[tuple[str, str, str]] = (), parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys")
        self.resize(560, 560)
        lines = [
            (str(action.property("group") or "This view"), action.text().rstrip("…"), keys_of(action))
            for action in actions
        ]
        self.lines = tuple(line for line in [*lines, *more] if line[2])
        self._filter = QLineEdit()
        self._filter.setPlaceholderText("Filter")
        self._filter.setClearButtonEnabled(True)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        foot = row()
        foot.addStretch()
        foot.addWidget(button("Close", self.close))
        layout = column(margins=(16, 16, 16, 16), spacing=12)
        layout.addWidget(self._filter)
        layout.addWidget(self._scroll, 1)
        layout.addLayout(foot)
        self.setLayout(layout)
        self._filter.textChanged.connect(self._show)
        self._show("")

    def _show(self, words: str) -> None:
        inside = QWidget()
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(24)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(1, 1)
        at = 0
        group = ""
        order = list(dict.fromkeys(line[0] for line in self.lines))
        for line_group, text, keys in sorted(self.lines, key=lambda line: order.index(line[0])):
            if not all(word in f"{line_group} {text} {keys}".casefold() for word in words.casefold().split()):
                continue
            if line_group != group:
                group = line_group
                heading = label(group, "heading")
                heading.setContentsMargins(0, 12 if at else 0, 0, 0)
                grid.addWidget(heading, at, 0, 1, 2)
                at += 1
            grid.addWidget(label(keys, "second", mono=True), at, 0, Qt.AlignmentFlag.AlignLeft)
            grid.addWidget(label(text), at, 1)
            at += 1
        grid.setRowStretch(at, 1)
        inside.setLayout(grid)
        self._scroll.setWidget(inside)
