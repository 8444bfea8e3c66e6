"""An empty page says what would be here and offers the button that makes it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QPushButton, QWidget

from tailflame_gui.widgets.parts import Icon, column, label, row

_MARGIN = 24
_WIDE, _NARROW = 480, 160
"""Pixels of the text where there is room, and where there is little."""


class EmptyState(QWidget):
    def __init__(self, icon: str, title: str, text: str, buttons: Sequence[QPushButton] = ()) -> None:
        super().__init__()
        self._title = label(title, "title")
        self._text = label(text, "second", wrap=True)
        self._text.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._text.setFixedWidth(_WIDE)
        buttons_row = row(spacing=8)
        buttons_row.addStretch()
        for made in buttons:
            buttons_row.addWidget(made)
        buttons_row.addStretch()
        layout = column(margins=(_MARGIN, _MARGIN, _MARGIN, _MARGIN), spacing=8)
        layout.addStretch(2)
        layout.addWidget(Icon(icon, "faint", size=24), alignment=Qt.AlignmentFlag.AlignHCenter)
        layout.addSpacing(4)
        layout.addWidget(self._title, alignment=Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(self._text, alignment=Qt.AlignmentFlag.AlignHCenter)
        layout.addSpacing(8)
        layout.addLayout(buttons_row)
        layout.addStretch(3)
        self.setLayout(layout)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        wide = max(min(_WIDE, self.width() - 2 * _MARGIN), _NARROW)
        self._text.ensurePolished()
        self._text.setFixedWidth(wide)
        self._text.setMinimumHeight(0)  # it would count as the height for any width
        self._text.setMinimumHeight(max(self._text.heightForWidth(wide), 0))  # -1 without a text

    def minimumSizeHint(self) -> QSize:
        return QSize(_NARROW + 2 * _MARGIN, super().minimumSizeHint().height())

    def say(self, title: str, text: str) -> None:
        self._title.setText(title)
        self._text.setText(text)
        self._fit()
