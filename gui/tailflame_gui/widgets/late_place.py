"""Where a view will stand that is made when it is first looked at: all views at once would hold the window."""

from __future__ import annotations

import asyncio

import shiboken6
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QWidget

from tailflame.errors import TailflameError
from tailflame_gui import tasks, warm
from tailflame_gui.widgets.parts import column


class LatePlace(QWidget):
    """turn(number): it is looked at; emitted `turns` times, each in a turn of the window's loop of its own.

    Whoever answers makes the view in steps, one of which calls `hold`. The view may be asked for, and made, before.
    """

    turn = Signal(int)

    def __init__(self, name: str, *, turns: int = 1, needs: tuple[str, ...] = (), parent: QWidget) -> None:
        """needs: modules that are imported before, in a thread."""
        super().__init__(parent)
        self._name, self._turns, self._needs = name, turns, needs
        self._begun = self.coming = False
        self._page = column(spacing=0)
        self.setLayout(self._page)

    def hold(self, view: QWidget) -> None:
        """`view` stands here, and has the keyboard where the place had it."""
        focused = self.hasFocus()
        self._page.addWidget(view)
        self.setFocusProxy(view)
        if focused:
            view.setFocus(Qt.FocusReason.OtherFocusReason)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self._begun:
            self._begun = self.coming = True
            tasks.spawn(self._come(), name=f"making the view {self._name}", on_error=_nothing_fails)

    async def _come(self) -> None:
        if self._needs:
            await tasks.in_thread(lambda _progress: warm.load(self._needs))
        for number in range(self._turns):
            await asyncio.sleep(0)
            if not shiboken6.isValid(self):
                return
            self.turn.emit(number)
        self.coming = False


def _nothing_fails(_error: TailflameError) -> None:
    """What goes wrong in a slot is told by the application itself."""
