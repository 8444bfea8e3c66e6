"""The reading in a column that it shares: a line that folds it away, and the sentences."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget

from tailflame_gui import icons
from tailflame_gui.views.reading_panel import ReadingPanel


class ReadingBox(QWidget):
    """folded_changed: the sentences came or went.

    Without its `header` it is the panel alone. It folds by itself while others need the room, until it is folded or
    unfolded by hand: from then on it stays as it was put.
    """

    folded_changed = Signal()

    def __init__(self, panel: ReadingPanel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.panel = panel
        self.setProperty("surface", "surface")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.header = QToolButton(self)
        self.header.setText("Reading")
        self.header.setToolTip("The graph in plain sentences: show or fold away")
        self.header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.header.setIconSize(QSize(16, 16))
        self.header.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.header.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.header.clicked.connect(self._turn)
        self.header.hide()
        self._by_hand = self._folded = False
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.header)
        column.addWidget(panel, 1)
        self._arrange()

    @property
    def folded(self) -> bool:
        return self._folded

    @property
    def folding(self) -> bool:
        """Whether there is a line that folds it."""
        return not self.header.isHidden()

    def set_folding(self, folding: bool) -> None:
        """With a line that folds it, or the panel alone."""
        self.header.setVisible(folding)
        if not folding:
            self._by_hand = False
            self._fold(False)

    def fold(self, folded: bool) -> None:
        """Folds or unfolds it, unless that was decided by hand."""
        if self.folding and not self._by_hand:
            self._fold(folded)

    def _turn(self) -> None:
        self._by_hand = True
        self._fold(not self._folded)

    def _fold(self, folded: bool) -> None:
        if folded != self._folded:
            self._folded = folded
            self._arrange()
            self.folded_changed.emit()

    def _arrange(self) -> None:
        self.panel.setVisible(not self._folded)
        self.header.setIcon(icons.icon("chevron-right" if self._folded else "chevron-down"))
        upright = QSizePolicy.Policy.Fixed if self._folded else QSizePolicy.Policy.Expanding
        self.setSizePolicy(QSizePolicy.Policy.Preferred, upright)
