"""What a view leaves out or folds, one chip each; a click takes it back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QWidget

from tailflame.analyse.names import module_label, short
from tailflame.analyse.tree import TreeOptions
from tailflame_gui import icons, plain


def filters_of(options: TreeOptions) -> Iterator[tuple[str, str, TreeOptions]]:
    """(text, tooltip, the options without it) of every filter and fold in `options`."""
    if options.focus is not None:
        yield f"Focus: {short(options.focus)}", f"Only stacks through {options.focus}", replace(options, focus=None)
    for name in sorted(options.hidden):
        yield (
            f"Hidden: {short(name)}",
            f"Frames of {name} are left out",
            replace(options, hidden=options.hidden - {name}),
        )
    for module in sorted(options.collapse_modules):
        yield (
            f"Collapsed: {module_label(module)}",
            f"Adjacent frames of {module} are one box",
            replace(options, collapse_modules=options.collapse_modules - {module}),
        )
    if options.collapse_recursion:
        yield (
            "Recursion collapsed",
            "Calls of a function by itself are one box",
            replace(options, collapse_recursion=False),
        )
    if not options.inlines:
        yield "Inlined code folded", "Inlined code counts for the function it is in", replace(options, inlines=True)


def cleared(options: TreeOptions) -> TreeOptions:
    """`options` without any filter or fold; event, weight, grouping and direction stay."""
    return TreeOptions(event=options.event, weight=options.weight, inverted=options.inverted, grouping=options.grouping)


class FilterChips(QWidget):
    """changed: TreeOptions without what was clicked. Hidden while there is nothing to show."""

    changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._line = QHBoxLayout(self)
        self._line.setContentsMargins(0, 0, 0, 0)
        self._line.setSpacing(4)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._buttons: list[QPushButton] = []
        self.hide()

    def set_options(self, options: TreeOptions) -> None:
        while self._line.count():
            self._line.takeAt(0)
        for button in self._buttons:
            button.hide()
            button.deleteLater()
        found = list(filters_of(options))
        self._buttons = [self._chip(*one) for one in found]
        if len(found) > 1:
            clear = QPushButton("Show everything", self)
            clear.setProperty("rank", "link")
            clear.setToolTip("Take all of these back")
            clear.clicked.connect(lambda: self.changed.emit(cleared(options)))
            self._buttons.append(clear)
        for button in self._buttons:
            self._line.addWidget(button)
        self._line.addStretch(1)
        self.setVisible(bool(found))

    def texts(self) -> list[str]:
        return [button.text().replace("&&", "&") for button in self._buttons]

    def click(self, text: str) -> None:
        """Clicks the chip with this text."""
        next(button for button in self._buttons if button.text() == plain.caption(text)).click()

    def _chip(self, text: str, tip: str, without: TreeOptions) -> QPushButton:
        chip = QPushButton(plain.caption(text), self)
        chip.setIcon(icons.icon("x"))
        chip.setIconSize(QSize(12, 12))
        chip.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        chip.setToolTip(plain.tip(f"{tip}. Click to take it back."))
        chip.setProperty("rank", "chip")
        chip.clicked.connect(lambda: self.changed.emit(without))
        return chip
