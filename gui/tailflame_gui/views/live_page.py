"""The live page: what to look at, then the looking itself."""

from __future__ import annotations

from enum import StrEnum

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedWidget, QWidget

from tailflame_gui.views.live_setup import LiveSetup
from tailflame_gui.views.live_view import LiveView
from tailflame_gui.widgets.parts import column


class Side(StrEnum):
    SETUP = "setup"
    RUN = "run"


class LivePage(QWidget):
    """shown(): the page is looked at. `setup` and `view` say what the user asks for."""

    shown = Signal()

    def __init__(self, view: LiveView) -> None:
        super().__init__()
        self.setup = LiveSetup()
        self.view = view
        self._stack = QStackedWidget()
        self._stack.addWidget(self.setup)
        self._stack.addWidget(view)
        layout = column(spacing=0)
        layout.addWidget(self._stack)
        self.setLayout(layout)
        self.show_side(Side.SETUP)

    @property
    def side(self) -> Side:
        return Side.RUN if self._stack.currentWidget() is self.view else Side.SETUP

    def show_side(self, side: Side) -> None:
        shown = self.view if side is Side.RUN else self.setup
        self._stack.setCurrentWidget(shown)
        self.setFocusProxy(shown)

    def showEvent(self, event: object) -> None:
        super().showEvent(event)  # type: ignore[arg-type]
        self.shown.emit()
