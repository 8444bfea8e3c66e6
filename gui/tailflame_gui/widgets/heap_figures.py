"""The figures of a heap in a row: a word, the figure, and what has to be known of it below."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QFocusEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QVBoxLayout, QWidget

from tailflame_gui import plain, theme
from tailflame_gui.models.heap_facts import HeapFigure
from tailflame_gui.widgets.parts import ElidedLabel, column, row, set_rank


class FigureBlock(QWidget):
    """One figure; the keyboard reaches it, so that its explanation is for everybody."""

    def __init__(self) -> None:
        super().__init__()
        self.name = ElidedLabel("", "small")
        self.value = ElidedLabel("", "title", mono=True)
        self.below = ElidedLabel("", "small")
        lines: QVBoxLayout = column(margins=(4, 0, 0, 0), spacing=0)
        for line in (self.name, self.value, self.below):
            lines.addWidget(line)
        self.setLayout(lines)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def show_figure(self, figure: HeapFigure) -> None:
        self.name.set_text(figure.name)
        self.value.set_text(figure.text)
        self.below.set_text(figure.below)
        set_rank(self.value, "title" if figure.known else "faint")
        tip = plain.tip(figure.tip)
        for widget in (self, self.name, self.value, self.below):
            widget.setToolTip(tip)
        self.setAccessibleName(f"{figure.name}: {figure.text} {figure.below}".rstrip())
        self.setAccessibleDescription(figure.tip)

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self.hasFocus():
            painter = QPainter(self)
            painter.setPen(theme.current().accent)
            painter.drawLine(0, 2, 0, self.height() - 3)
            painter.end()

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.update()
        if event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason) and self.toolTip():
            QToolTip.showText(self.mapToGlobal(self.rect().bottomLeft()), self.toolTip(), self)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        QToolTip.hideText()
        self.update()


class FigureRow(QWidget):
    """All figures of a run."""

    def __init__(self) -> None:
        super().__init__()
        self._line = row(margins=(12, 8, 16, 4), spacing=16)
        self.setLayout(self._line)
        self.blocks: list[FigureBlock] = []

    def show_figures(self, figures: Sequence[HeapFigure]) -> None:
        while len(self.blocks) < len(figures):
            block = FigureBlock()
            self.blocks.append(block)
            self._line.addWidget(block, 1)
        for at, block in enumerate(self.blocks):
            block.setVisible(at < len(figures))
            if at < len(figures):
                block.show_figure(figures[at])

    def texts(self) -> dict[str, str]:
        """name -> figure, as they stand."""
        return {block.name.whole: block.value.whole for block in self.blocks if not block.isHidden()}
