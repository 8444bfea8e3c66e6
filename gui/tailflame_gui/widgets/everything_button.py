"""The way back from a choice that leaves no sample: takes the range, the threads and the expression back."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtWidgets import QPushButton, QWidget

from tailflame.analyse.sample_filter import EVERYTHING
from tailflame_gui.models.scope import ResultScope, Scope


class EverythingButton(QPushButton):
    """Stands in an empty page; there only while its ResultScope leaves samples out."""

    def __init__(self, scope: ResultScope, *, rank: str = "", parent: QWidget | None = None) -> None:
        super().__init__("Show all samples", parent)
        self._scope = scope
        self.setAutoDefault(False)
        if rank:
            self.setProperty("rank", rank)
        self.setToolTip("Take the range of time, the threads and the filter back (Ctrl+Shift+E)")
        self.clicked.connect(self._take_back)
        scope.changed.connect(self._follow)
        if not scope.scope.filter:
            self.hide()  # to show it would make it a window: it has no parent yet

    def _take_back(self) -> None:
        self._scope.set(replace(self._scope.scope, threads=None, samples=EVERYTHING))

    def _follow(self, scope: Scope) -> None:
        self.setVisible(bool(scope.filter))
