"""A form: short words at the left, fields at the right, one grid for all of its lines."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractSpinBox, QGridLayout, QLabel, QLayout, QWidget

from tailflame_gui.widgets.parts import label

LABELS = 84


def inset(box: QAbstractSpinBox) -> None:
    """Gives the text of a spin box the distance from its frame that other fields have."""
    box.lineEdit().setTextMargins(5, 0, 0, 0)


class Form(QGridLayout):
    """`line` adds a line; its widgets can be shown and hidden together by name."""

    def __init__(self, *, spacing: int = 8) -> None:
        super().__init__()
        self.setContentsMargins(0, 0, 0, 0)
        self.setHorizontalSpacing(8)
        self.setVerticalSpacing(spacing)
        self.setColumnMinimumWidth(0, LABELS)
        self.setColumnStretch(1, 1)
        self._lines: dict[str, list[QWidget]] = {}

    def line(self, words: str, field: QWidget | QLayout, *, name: str = "", top: bool = False) -> QLabel:
        """A line of the form. `top`: the words stand at the field's upper edge and not in its middle."""
        at = self.rowCount()
        made = label(words, "second")
        if isinstance(field, QWidget):
            holder = field
            if words and not field.accessibleName():
                field.setAccessibleName(words)
            made.setBuddy(field)
        else:
            holder = QWidget()
            field.setContentsMargins(0, 0, 0, 0)
            holder.setLayout(field)
        if top:
            made.setContentsMargins(0, 5, 0, 0)
            self.addWidget(made, at, 0, Qt.AlignmentFlag.AlignTop)
        else:
            self.addWidget(made, at, 0)
        self.addWidget(holder, at, 1)
        self._lines.setdefault(name or words, []).extend((made, holder))
        return made

    def whole(self, field: QWidget, *, name: str = "") -> None:
        """A line without words, over both columns."""
        self.addWidget(field, self.rowCount(), 0, 1, 2)
        if name:
            self._lines.setdefault(name, []).append(field)

    def show_line(self, name: str, shown: bool) -> None:
        for widget in self._lines[name]:
            widget.setVisible(shown)

    def is_shown(self, name: str) -> bool:
        return not self._lines[name][-1].isHidden()
