"""An empty page says what would be here and offers the button that makes it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton, QWidget

from tailflame_gui.widgets.parts import Icon, column, label, row


class EmptyState(QWidget):
    def __init__(self, icon: str, title: str, text: str, buttons: Sequence[QPushButton] = ()) -> None:
        super().__init__()
        self._title = label(title, "title")
        self._text = label(text, "second", wrap=True)
        self._text.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._text.setMaximumWidth(480)
        self._text.setMinimumWidth(480)
        buttons_row = row(spacing=8)
        buttons_row.addStretch()
        for made in buttons:
            buttons_row.addWidget(made)
        buttons_row.addStretch()
        layout = column(margins=(24, 24, 24, 24), spacing=8)
        layout.addStretch(2)
        layout.addWidget(Icon(icon, "faint", size=24), alignment=Qt.AlignmentFlag.AlignHCenter)
        layout.addSpacing(4)
        layout.addWidget(self._title, alignment=Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(self._text, alignment=Qt.AlignmentFlag.AlignHCenter)
        layout.addSpacing(8)
        layout.addLayout(buttons_row)
        layout.addStretch(3)
        self.setLayout(layout)

    def say(self, title: str, text: str) -> None:
        self._title.setText(title)
        self._text.setText(text)
