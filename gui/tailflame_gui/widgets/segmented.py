"""A few choices of which one holds, side by side in one frame."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Generic, TypeVar

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractButton, QButtonGroup, QHBoxLayout, QPushButton, QWidget

from tailflame_gui import theme

Choice = TypeVar("Choice", bound=StrEnum)


class _Button(QPushButton):
    def keyPressEvent(self, event: QKeyEvent) -> None:
        segmented = self.parentWidget()
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right) and isinstance(segmented, Segmented):
            segmented.step(1 if event.key() == Qt.Key.Key_Right else -1)
        else:
            super().keyPressEvent(event)


class Segmented(QWidget, Generic[Choice]):
    """chosen(choice): the user took another one. Left and right move between them."""

    chosen = Signal(object)

    def __init__(self, choices: Sequence[tuple[Choice, str, str]], parent: QWidget | None = None) -> None:
        """`choices` are (choice, words, tip); the first holds."""
        super().__init__(parent)
        self._choices = [choice for choice, _words, _tip in choices]
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for at, (_choice, words, tip) in enumerate(choices):
            button = _Button(words, self)
            button.setCheckable(True)
            button.setAutoDefault(False)
            button.setToolTip(tip)
            self._group.addButton(button, at)
            layout.addWidget(button)
        self._group.button(0).setChecked(True)
        self._group.idClicked.connect(lambda at: self.chosen.emit(self._choices[at]))
        self._restyle()
        theme.signals.changed.connect(self._restyle)

    @property
    def choice(self) -> Choice:
        return self._choices[self._group.checkedId()]

    def choose(self, choice: Choice) -> None:
        """Sets it without announcing it."""
        self._group.button(self._choices.index(choice)).setChecked(True)

    def button_of(self, choice: Choice) -> QAbstractButton:
        """The button of a choice, for one that has to say something else or to go."""
        return self._group.button(self._choices.index(choice))

    def step(self, by: int) -> None:
        at = min(max(self._group.checkedId() + by, 0), len(self._choices) - 1)
        self._group.button(at).setFocus(Qt.FocusReason.OtherFocusReason)
        self._group.button(at).click()

    def _restyle(self) -> None:
        style_joined([self._group.button(at) for at in range(len(self._choices))])


def style_joined(buttons: Sequence[QAbstractButton]) -> None:
    """Buttons that stand side by side as one: rounded at the ends of the row, one line between two."""
    tokens = theme.current()
    last = len(buttons) - 1
    for at, button in enumerate(buttons):
        left, right = ("4px" if at == 0 else "0"), ("4px" if at == last else "0")
        button.setStyleSheet(
            f"QPushButton {{ border-radius: 0; border-top-left-radius: {left}; border-bottom-left-radius: {left};"
            f" border-top-right-radius: {right}; border-bottom-right-radius: {right};"
            f" {'' if at == 0 else 'margin-left: -1px;'} background: {tokens.surface.name()};"
            f" color: {tokens.second.name()}; }}"
            f"QPushButton:checked {{ background: {tokens.selection.name()}; color: {tokens.text.name()}; }}"
            f"QPushButton:hover:!checked {{ background: {tokens.hover.name()}; }}"
            f"QPushButton:disabled {{ color: {tokens.faint.name()}; background: {tokens.window.name()}; }}"
            f"QPushButton:focus {{ border-color: {tokens.accent.name()}; }}"
        )
