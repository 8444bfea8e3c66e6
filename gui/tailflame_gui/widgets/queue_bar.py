"""The tools that will run one after the other, each taken out with a click."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QPushButton, QWidget

from tailflame_gui import plain
from tailflame_gui.widgets.parts import ElidedLabel, button, clear, label, row

_GAP = 4
_BESIDE, _LEAST = 448, 320
"""Pixels for the words beside the tools, and of the whole."""


class QueueBar(QWidget):
    """removed(place in the queue), cleared(). Hidden while nothing is queued."""

    removed = Signal(int)
    cleared = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._words = ""
        self._chips = row(spacing=_GAP)
        self._rest = ElidedLabel("", "small")
        layout = row(margins=(16, 6, 16, 2), spacing=8)
        layout.addWidget(label("Queue", "heading"))
        layout.addLayout(self._chips)
        layout.addWidget(self._rest, 1)
        self.clear_all = button("Clear", self.cleared.emit, rank="link", tip="Take every tool out of the queue.")
        layout.addWidget(self.clear_all)
        self.setLayout(layout)
        self.show_queue(())

    def show_queue(self, tools: Sequence[tuple[str, str]], *, times: float = 0.0) -> None:
        """(title, what differs from the defaults) of each, in the order they run in. times: how many times the
        program's own time they take together; 0 where nobody knows.
        """
        long = f"about {times:.0f} times the program’s own time in all." if times >= 1 else "as one group of sessions."
        self._words = f"One after the other, {long}"
        clear(self._chips)
        for at, (title, options) in enumerate(tools):
            made = button(title, partial(self.removed.emit, at), icon="x")
            made.setToolTip(plain.tip(f"{at + 1}. {title} {options}".rstrip() + "\nClick to take it out of the queue."))
            made.setAccessibleName(f"Take {title} out of the queue")
            self._chips.addWidget(made)
        self.setVisible(bool(tools))
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def minimumSizeHint(self) -> QSize:
        return QSize(_LEAST, super().minimumSizeHint().height())

    def _fit(self) -> None:
        """Those that have no room are counted."""
        room, hidden = self.width() - _BESIDE, 0
        for made in self.chips:
            room -= made.sizeHint().width() + _GAP
            hidden += room < 0
            made.setVisible(room >= 0)
        self._rest.set_text(f"and {hidden} more. {self._words}" if hidden else self._words)

    @property
    def chips(self) -> tuple[QPushButton, ...]:
        found = (self._chips.itemAt(at) for at in range(self._chips.count()))
        return tuple(made for item in found if item and isinstance(made := item.widget(), QPushButton))
