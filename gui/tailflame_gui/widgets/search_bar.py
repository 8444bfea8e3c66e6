"""A field for a regular expression, what it has found, and the way from match to match."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QToolButton, QWidget

from tailflame_gui import icons, plain


def tool_button(icon: str, tip: str, parent: QWidget, *, checkable: bool = False) -> QToolButton:
    """A small button with an icon; `tip` is its tooltip and its accessible name."""
    button = QToolButton(parent)
    button.setIcon(icons.icon(icon))
    button.setIconSize(QSize(16, 16))
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.setCheckable(checkable)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button


class SearchBar(QWidget):
    """edited(pattern, ignore_case): as it is typed; walked: +1 or -1; left: Esc or Enter, the graph takes over."""

    edited = Signal(str, bool)
    walked = Signal(int)
    left = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.field = QLineEdit(self)
        self.field.setPlaceholderText("Search names, e.g. alloc|free")
        self.field.setToolTip("Search the function names with a regular expression ( / or Ctrl+F in the graph )")
        self.field.setAccessibleName("Search")
        self.field.setClearButtonEnabled(True)
        self.field.setMinimumWidth(112)
        self.field.setProperty("face", "mono")
        self.field.addAction(QAction(icons.icon("search", "faint"), "", self), QLineEdit.ActionPosition.LeadingPosition)
        self.match_case = tool_button("case-sensitive", "Match upper and lower case", self, checkable=True)
        self.result = QLabel(self)
        self.result.setTextFormat(Qt.TextFormat.PlainText)
        self.result.setProperty("rank", "second")
        self.previous = tool_button("chevron-up", "Match before (M)", self)
        self.next = tool_button("chevron-down", "Next match (N)", self)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(4)
        line.addWidget(self.field, 1)
        for widget in (self.match_case, self.result, self.previous, self.next):
            line.addWidget(widget)
        self.field.textChanged.connect(self._edited)
        self.match_case.toggled.connect(self._edited)
        self.previous.clicked.connect(lambda: self.walked.emit(-1))
        self.next.clicked.connect(lambda: self.walked.emit(1))
        self.field.installEventFilter(self)
        self.tell("", "", matches=0)

    @property
    def pattern(self) -> str:
        return self.field.text()

    @property
    def ignore_case(self) -> bool:
        return not self.match_case.isChecked()

    def begin(self) -> None:
        """Puts the cursor into the field."""
        self.field.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.field.selectAll()

    def end(self) -> None:
        """Empties the field."""
        self.field.clear()

    def tell(self, text: str, tip: str, *, matches: int, bad: bool = False) -> None:
        """Says what was found, or what is wrong with the expression."""
        self.result.setText(text)
        self.result.setToolTip(plain.tip(tip))
        self.result.setVisible(bool(text))
        self.previous.setVisible(bool(text) and not bad)
        self.next.setVisible(bool(text) and not bad)
        self.previous.setEnabled(matches > 0)
        self.next.setEnabled(matches > 0)
        if (self.field.property("state") == "bad") != bad:
            self.field.setProperty("state", "bad" if bad else "")
            self.result.setProperty("rank", "bad" if bad else "second")
            for widget in (self.field, self.result):
                widget.style().unpolish(widget)
                widget.style().polish(widget)

    def _edited(self) -> None:
        self.edited.emit(self.pattern, self.ignore_case)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.field and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            match event.key():
                case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                    back = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
                    self.walked.emit(-1 if back else 1)
                    return True
                case Qt.Key.Key_Escape:
                    if self.pattern:
                        self.end()
                    else:
                        self.left.emit()
                    return True
                case Qt.Key.Key_Down:
                    self.left.emit()
                    return True
        return super().eventFilter(watched, event)
