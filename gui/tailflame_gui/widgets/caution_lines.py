"""What spoils a result, one line each, with the fix. Never a dialog."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from tailflame.model import Caution
from tailflame_gui.widgets.parts import ElidedLabel, Icon, button, label, row, selectable

_AT_ONCE = 3
"""More lines than this wait behind a button: the result itself has to be seen."""


class CautionLine(QWidget):
    """A triangle, the sentence, and the fix in second rank."""

    def __init__(self, caution: Caution, *, wrap: bool = False) -> None:
        super().__init__()
        self.text = f"{caution.text} {caution.fix}".rstrip()
        layout = row(spacing=8)
        top = Qt.AlignmentFlag.AlignTop
        layout.addWidget(Icon("triangle-alert", "warn"), 0, top if wrap else Qt.AlignmentFlag.AlignVCenter)
        if wrap:
            layout.addWidget(selectable(label(self.text, wrap=True)), 1)
        else:
            layout.addWidget(ElidedLabel(self.text), 1)
        self.setLayout(layout)
        self.setAccessibleName(f"Caution: {self.text}")


class CautionLines(QWidget):
    """The cautions of a result under its title."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self._lines: list[CautionLine] = []
        self._more = button("", self._show_all, rank="link")
        self._column.addWidget(self._more, 0, Qt.AlignmentFlag.AlignLeft)
        self._more.hide()
        self.hide()

    @property
    def texts(self) -> list[str]:
        return [line.text for line in self._lines]

    @property
    def shown(self) -> list[CautionLine]:
        return [line for line in self._lines if not line.isHidden()]

    def set_cautions(self, cautions: Sequence[Caution]) -> None:
        for line in self._lines:
            self._column.removeWidget(line)
            line.deleteLater()
        self._lines = [CautionLine(caution) for caution in cautions]
        for at, line in enumerate(self._lines):
            self._column.insertWidget(at, line)
            line.setVisible(len(self._lines) <= _AT_ONCE or at < _AT_ONCE - 1)
        hidden = len(self._lines) - len(self.shown)
        self._more.setText(f"{hidden} more")
        self._more.setVisible(hidden > 0)
        self.setVisible(bool(self._lines))

    def _show_all(self) -> None:
        for line in self._lines:
            line.show()
        self._more.hide()
