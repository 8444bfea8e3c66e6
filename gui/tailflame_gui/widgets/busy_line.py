"""A line of two pixels that moves while a view waits for its figures."""

from __future__ import annotations

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QProgressBar, QWidget

_PATIENCE_MS = 150
"""Shorter work shows nothing: a flash would only disturb."""


class BusyLine(QProgressBar):
    """`set_busy` follows tasks.Latest.busy_changed. Its place stays when it is not shown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setRange(0, 1)
        self.setValue(0)
        self.setTextVisible(False)
        self.setAccessibleName("Working")
        # The style sheet's minimum of 4 px would win over setFixedHeight.
        self.setStyleSheet("QProgressBar { min-height: 2px; max-height: 2px; background: transparent; }")
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PATIENCE_MS)
        self._timer.timeout.connect(lambda: self.setRange(0, 0))

    def set_busy(self, busy: bool) -> None:
        if busy:
            self._timer.start()
        else:
            self._timer.stop()
            self.setRange(0, 1)
            self.setValue(0)
