"""The flame graph in plain sentences, each with a link that selects what it speaks of."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QScrollArea, QVBoxLayout, QWidget

from tailflame.analyse.names import short
from tailflame.analyse.reading import Sentence
from tailflame_gui import plain, theme
from tailflame_gui.widgets.hover_card import breakable

_WHY = {
    "Wide bars": "Where most of it is: what a bar's width covers, its callees included",
    "Flat tops": "The leaves with the most of their own",
    "Tall stacks": "Deep chains of calls",
}


class ReadingPanel(QScrollArea):
    """chosen: the index of a sentence that was clicked."""

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Reading")
        self._sentences: tuple[Sentence, ...] = ()
        self._note = ""
        self._kept = -1
        self.setMinimumWidth(160)
        self.setMinimumHeight(64)
        self._fill()
        theme.signals.changed.connect(self._fill)

    def set_sentences(self, sentences: Sequence[Sentence], *, note: str = "") -> None:
        """`note` stands there instead where there is nothing to say."""
        self._sentences, self._note, self._kept = tuple(sentences), note, -1
        self._fill()

    def show_sentence(self, index: int) -> None:
        """Keeps a sentence in view, also when the room for the panel changes."""
        self._kept = index
        self._keep()

    def _keep(self) -> None:
        page = self.widget()
        line = page.findChild(QLabel, f"sentence {self._kept}") if page is not None and self._kept >= 0 else None
        if isinstance(line, QLabel):
            self.ensureWidgetVisible(line, 0, 8)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._keep()

    def lines(self) -> list[str]:
        """The sentences as they stand."""
        return [sentence.text for sentence in self._sentences]

    def _fill(self) -> None:
        page = QWidget()
        page.setProperty("surface", "surface")
        column = QVBoxLayout(page)
        column.setContentsMargins(12, 8, 12, 8)
        column.setSpacing(4)
        heading = ""
        for index, sentence in enumerate(self._sentences):
            if sentence.heading != heading:
                if heading:
                    column.addSpacing(8)
                heading = sentence.heading
                title = QLabel(heading, page)
                title.setProperty("rank", "heading")
                title.setToolTip(_WHY.get(heading, ""))
                column.addWidget(title)
            column.addWidget(self._line(page, index, sentence))
        if not self._sentences:
            empty = QLabel(self._note or "Nothing to read here.", page)
            empty.setTextFormat(Qt.TextFormat.PlainText)
            empty.setProperty("rank", "second")
            empty.setWordWrap(True)
            column.addWidget(empty)
        column.addStretch(1)
        self.setWidget(page)

    def _line(self, page: QWidget, index: int, sentence: Sentence) -> QLabel:
        line = QLabel(_linked(sentence, index, theme.current().link.name()), page)
        line.setObjectName(f"sentence {index}")
        line.setTextFormat(Qt.TextFormat.RichText)
        line.setWordWrap(True)
        line.setTextInteractionFlags(
            Qt.TextInteractionFlag.LinksAccessibleByMouse | Qt.TextInteractionFlag.LinksAccessibleByKeyboard
        )
        line.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        line.setToolTip(plain.tip(f"Select {sentence.function}"))
        line.linkActivated.connect(lambda _link: self.chosen.emit(index))
        return line


def _linked(sentence: Sentence, index: int, color: str) -> str:
    """The sentence as rich text, its function a link; all of it where the name does not stand in it."""
    name = short(sentence.function)
    before, found, after = sentence.text.partition(name)
    if not found or not name:
        before, found, after = "", sentence.text, ""
    link = f'<a href="{index}" style="color:{color}; text-decoration:none">{_text(found)}</a>'
    return f"{_text(before)}{link}{_text(after)}"


def _text(words: str) -> str:
    return escape(breakable(words))
