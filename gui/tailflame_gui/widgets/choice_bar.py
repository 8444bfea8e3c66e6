"""Choices side by side, of which one holds and some may be off with a reason."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QButtonGroup, QPushButton, QWidget

from tailflame_gui import theme
from tailflame_gui.record_model import Choice
from tailflame_gui.widgets.parts import clear, row
from tailflame_gui.widgets.segmented import style_joined


class _Button(QPushButton):
    def keyPressEvent(self, event: QKeyEvent) -> None:
        bar = self.parentWidget()
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right) and isinstance(bar, ChoiceBar):
            bar.step(1 if event.key() == Qt.Key.Key_Right else -1)
        else:
            super().keyPressEvent(event)


class ChoiceBar(QWidget):
    """chosen(value): the user took another one. Left and right move between those that are on."""

    chosen = Signal(str)

    def __init__(self, name: str, choices: Sequence[Choice] = ()) -> None:
        super().__init__()
        self._choices: tuple[Choice, ...] = ()
        self._value = ""
        self._group = QButtonGroup(self)
        self._row = row(spacing=0)
        self.setLayout(self._row)
        self.setAccessibleName(name)
        self._group.idClicked.connect(self._clicked)
        theme.signals.changed.connect(self._restyle)
        self.offer(choices)

    @property
    def value(self) -> str:
        """What holds; kept also where it is not among the choices that are offered now."""
        return self._value

    @property
    def choices(self) -> tuple[Choice, ...]:
        return self._choices

    def offer(self, choices: Sequence[Choice]) -> None:
        """Shows these choices; what holds stays."""
        if tuple(choices) == self._choices:
            return
        self._choices = tuple(choices)
        for made in self._group.buttons():
            self._group.removeButton(made)
        clear(self._row)
        for at, choice in enumerate(self._choices):
            made = _Button(choice.text, self)
            made.setCheckable(True)
            made.setAutoDefault(False)
            made.setEnabled(choice.available)
            made.setToolTip(choice.tip if choice.available else f"Off: {choice.reason}.")
            made.setAccessibleDescription(made.toolTip())
            self._group.addButton(made, at)
            self._row.addWidget(made)
        self._row.addStretch()
        self._restyle()
        self.choose(self._value)

    def choose(self, value: str) -> None:
        """Sets it without announcing it. One that is off is shown as chosen too: it was asked for."""
        self._value = value
        self._group.setExclusive(False)
        for at, choice in enumerate(self._choices):
            self._group.button(at).setChecked(choice.value == value)
        self._group.setExclusive(True)

    def button(self, value: str) -> QPushButton:
        made = self._group.button(next(at for at, choice in enumerate(self._choices) if choice.value == value))
        assert isinstance(made, QPushButton)
        return made

    def step(self, by: int) -> None:
        at = self._group.checkedId() + by
        while 0 <= at < len(self._choices) and not self._choices[at].available:
            at += by
        if 0 <= at < len(self._choices):
            self._group.button(at).setFocus(Qt.FocusReason.OtherFocusReason)
            self._group.button(at).click()

    def _clicked(self, at: int) -> None:
        value = self._choices[at].value
        if value != self._value:
            self._value = value
            self.chosen.emit(value)

    def _restyle(self) -> None:
        style_joined([self._group.button(at) for at in range(len(self._choices))])
