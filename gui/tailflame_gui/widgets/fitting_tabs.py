"""Tabs whose corner gives way before a title does: no arrows where all titles can be read."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QTabWidget


class FittingTabs(QTabWidget):
    """room_changed(pixels): what all titles leave for the corner."""

    room_changed = Signal(int)

    @property
    def room(self) -> int:
        return self.width() - self.tabBar().sizeHint().width()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.room_changed.emit(self.room)
        super().resizeEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self.room_changed.emit(self.room)
