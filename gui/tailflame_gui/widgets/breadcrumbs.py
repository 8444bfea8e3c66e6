"""The way from the root to what is zoomed to; each step leads back there."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QPushButton, QSizePolicy, QToolButton, QWidget

from tailflame.analyse.names import short
from tailflame_gui import plain, theme

_LONGEST = 32
"""Characters of one step; its tooltip has all of them."""
_MENU = 40
"""Steps in the menu of those that do not fit."""


def step_text(name: str) -> str:
    text = short(name) or "(no name)"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


class Breadcrumbs(QWidget):
    """chosen: the index of a step in what was set, -1 for "All"."""

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names: tuple[str, ...] = ()
        self._note = ""
        self._line = QHBoxLayout(self)
        self._line.setContentsMargins(0, 0, 0, 0)
        self._line.setSpacing(0)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Path from the root")
        self._rebuild()

    def sizeHint(self) -> QSize:
        return QSize(200, 28)

    def set_path(self, names: Sequence[str], *, note: str = "") -> None:
        """The steps after "All"; `note` follows them, for a view that is no frame's."""
        if (tuple(names), note) != (self._names, self._note):
            self._names, self._note = tuple(names), note
            self._rebuild()

    def steps(self) -> list[str]:
        """What is written, from left to right."""
        items = [self._line.itemAt(i) for i in range(self._line.count())]
        widgets = [item.widget() for item in items if item is not None]
        return [w.text() for w in widgets if isinstance(w, (QPushButton, QToolButton))]

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.oldSize().width() != event.size().width():
            self._rebuild()

    def _rebuild(self) -> None:
        while (item := self._line.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self._add(-1, "All", "Show everything")
        first = len(self._names) - self._fitting()
        if first > 0:
            self._separate()
            more = QToolButton(self)
            more.setText("…")
            more.setToolTip(f"{first} steps that do not fit")
            more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
            menu = QMenu(more)
            # The nearest ones: a stack may be ten thousand frames deep, a menu may not.
            for index in range(max(first - _MENU, 0), first):
                menu.addAction(plain.caption(step_text(self._names[index]))).triggered.connect(
                    lambda _=False, index=index: self.chosen.emit(index)
                )
            more.setMenu(menu)
            self._line.addWidget(more)
        for index in range(max(first, 0), len(self._names)):
            self._separate()
            text = step_text(self._names[index])
            if first == len(self._names) - 1:
                text = self._shortened(text)
            self._add(index, text, self._names[index])
        if self._note:
            self._separate()
            note = QLabel(self._note, self)
            note.setTextFormat(Qt.TextFormat.PlainText)
            note.setProperty("rank", "second")
            self._line.addWidget(note)
        self._line.addStretch(1)

    def _room(self) -> int:
        """For steps beside "All" and "…"."""
        metrics = QFontMetrics(theme.interface_font())
        return self.width() - 112 - (metrics.horizontalAdvance(self._note) + 24 if self._note else 0)

    def _shortened(self, text: str) -> str:
        """A step that stands alone: its last component, and an ellipsis, where there is no room for more."""
        metrics, room = QFontMetrics(theme.interface_font()), max(self._room() - 26, 32)
        if metrics.horizontalAdvance(text) > room:
            text = metrics.elidedText(text.rsplit("::", 1)[-1], Qt.TextElideMode.ElideRight, room)
        return text

    def _fitting(self) -> int:
        """How many of the last steps fit beside "All" and "…"."""
        metrics = QFontMetrics(theme.interface_font())
        room = self._room()
        fitting = 0
        for name in reversed(self._names):
            room -= metrics.horizontalAdvance(step_text(name)) + 26
            if room < 0 and fitting:
                break
            fitting += 1
            if room < 0:
                break
        return fitting

    def _add(self, index: int, text: str, tip: str) -> None:
        button = QPushButton(plain.caption(text), self)
        button.setProperty("rank", "quiet" if index == len(self._names) - 1 else "link")
        button.setToolTip(plain.tip(tip))
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(lambda _=False: self.chosen.emit(index))
        self._line.addWidget(button)

    def _separate(self) -> None:
        sign = QLabel("›", self)
        sign.setProperty("rank", "faint")
        self._line.addWidget(sign)
