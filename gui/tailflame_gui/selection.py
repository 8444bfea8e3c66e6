"""The one selection that runs through every view of a result."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal


class Selection(QObject):
    """The selected and the hovered function of one result, by plain name; "" for none.

    changed(function): another function is selected; hover_changed(function): the pointer is over another one.
    Setting what already holds emits nothing, so views may echo freely.
    """

    changed = Signal(str)
    hover_changed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._function = ""
        self._hovered = ""

    @property
    def function(self) -> str:
        return self._function

    @property
    def hovered(self) -> str:
        return self._hovered

    def select(self, function: str) -> None:
        if function != self._function:
            self._function = function
            self.changed.emit(function)

    def hover(self, function: str) -> None:
        if function != self._hovered:
            self._hovered = function
            self.hover_changed.emit(function)

    def clear(self) -> None:
        self.select("")
