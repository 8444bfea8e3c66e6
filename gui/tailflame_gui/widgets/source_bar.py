"""The line above source and assembly: which function, what it costs, what 100 % is, and a search."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QWidget

from tailflame_gui.models.source_figures import Of
from tailflame_gui.widgets.filter_field import FilterField
from tailflame_gui.widgets.parts import icon_button, label, row
from tailflame_gui.widgets.segmented import Segmented
from tailflame_gui.widgets.symbol_label import SymbolLabel

_ROOMY = 680
"""Pixels from which on the figures stand beside the name; the inspector has them too."""


class SourceBar(QWidget):
    """back_wanted, forward_wanted: to the function before, or again to the one after it."""

    back_wanted = Signal()
    forward_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.back = icon_button("arrow-left", self.back_wanted.emit, tip="Back to the function before (Alt+Left)")
        self.forward = icon_button("arrow-right", self.forward_wanted.emit, tip="Forward again (Alt+Right)")
        self.name = SymbolLabel("", "title", mono=True)
        self.figures = label("", mono=True)
        self.figures.setToolTip("Self: in the function's own code. Total: with what it calls; recursion counts once.")
        self.of: Segmented[Of] = Segmented(
            (
                (
                    Of.FUNCTION,
                    "Of the function",
                    "Its lines alone. 100 % is its total; of instructions its own code, as in perf annotate.",
                ),
                (Of.EVERYTHING, "Of everything", "The whole file; 100 % is all samples of this view."),
            )
        )  # fmt: skip
        self.search = FilterField("Search", tip="Search source and assembly. Enter: next hit. Ctrl+F comes here.")
        self.search.setMaximumWidth(160)
        self.found = label("", "second")
        line = row(margins=(8, 8, 8, 6), spacing=4)
        line.addWidget(self.back)
        line.addWidget(self.forward)
        line.addSpacing(4)
        line.addWidget(self.name, 1)
        line.addSpacing(4)
        line.addWidget(self.figures)
        line.addSpacing(8)
        line.addWidget(self.of)
        line.addSpacing(4)
        line.addWidget(self.search)
        line.addWidget(self.found)
        self.setLayout(line)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.figures.setVisible(self.width() >= _ROOMY)
