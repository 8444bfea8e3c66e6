"""The field that filters or searches: plain text, or a regular expression where it has special signs."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QWidget

from tailflame_gui import icons, plain
from tailflame_gui.widgets.flame_search import PatternError

_PAUSE_MS = 120
"""After the last key, so that a large table is filtered once and not per letter."""


class FilterField(QLineEdit):
    """query_changed(text): the pause after typing is over; left: Escape in an empty field, or Down;
    stepped(+1 or -1): Enter or Shift+Enter.
    """

    query_changed = Signal(str)
    left = Signal()
    stepped = Signal(int)

    def __init__(self, placeholder: str, *, icon: str = "search", tip: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setPlaceholderText(placeholder)
        self.setClearButtonEnabled(True)
        self.addAction(icons.icon(icon, "faint"), QLineEdit.ActionPosition.LeadingPosition)
        self._tip = tip or "Plain text, or a regular expression. Ctrl+F comes here, Escape leaves."
        self.setToolTip(self._tip)
        self.setAccessibleName(placeholder)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self.commit)
        self.textChanged.connect(lambda _text: self._timer.start())

    def commit(self) -> None:
        """Announces the text now."""
        self._timer.stop()
        self.query_changed.emit(self.text())

    def set_query(self, text: str) -> None:
        """As if it had been typed, without the pause."""
        self.setText(text)
        self.commit()

    def complain(self, error: PatternError | None) -> None:
        """Shows that the text cannot be read, and why; None: it can."""
        state = "bad" if error else ""
        if self.property("state") != state:
            self.setProperty("state", state)
            self.style().unpolish(self)
            self.style().polish(self)
        self.setToolTip(plain.tip(str(error)) if error else self._tip)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Escape:
                if self.text():
                    self.set_query("")
                else:
                    self.left.emit()
            case Qt.Key.Key_Down:
                self.commit()
                self.left.emit()
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                if self._timer.isActive():
                    self.commit()
                back = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
                self.stepped.emit(-1 if back else 1)
            case _:
                super().keyPressEvent(event)
