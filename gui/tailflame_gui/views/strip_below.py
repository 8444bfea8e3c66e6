"""The views of a result with the timeline below them, and how they share the height."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSplitter, QWidget

from tailflame_gui.views.timeline_view import TimelineView
from tailflame_gui.widgets.lane_plot import LINE
from tailflame_gui.widgets.time_ruler import RULER

_NO_LIMIT = 16_777_215
"""Qt's QWIDGETSIZE_MAX, which PySide6 has no name for."""


class StripBelow(QSplitter):
    """A view with the timeline below it: as high as it was dragged to, or folded to its head."""

    def __init__(self, view: QWidget, timeline: TimelineView) -> None:
        super().__init__(Qt.Orientation.Vertical)
        self._timeline = timeline
        self._by_hand = False
        self.addWidget(view)
        self.addWidget(timeline)
        self.setStretchFactor(0, 1)
        self.setStretchFactor(1, 0)
        self.setChildrenCollapsible(False)
        self.splitterMoved.connect(self._dragged)
        timeline.folded.connect(lambda _folded: self._divide())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if not self._by_hand:
            self._divide()

    def _dragged(self) -> None:
        self._by_hand = True

    def _divide(self) -> None:
        """The plot with head and ruler, but no more than a third of the height."""
        timeline = self._timeline
        folded, least = timeline.is_folded, timeline.least
        timeline.setMinimumHeight(least if folded else least + 2 * LINE + RULER)
        timeline.setMaximumHeight(least if folded else _NO_LIMIT)
        if not folded and self._by_hand:
            return
        strip = least if folded else min(timeline.wanted, max(self.height() // 3, least))
        self.setSizes([max(self.height() - strip, 0), strip])
