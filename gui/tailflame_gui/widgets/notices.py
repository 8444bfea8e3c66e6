"""Notices: a sentence, what to do, and buttons, in a strip above the page. Never a dialog."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from tailflame_gui.rows import Level, Notice
from tailflame_gui.widgets.parts import Icon, button, column, icon_button, label, row, selectable

MOST = 4
"""More at once would hide the page; the oldest leaves."""

MARKS = {
    Level.OK: ("circle-check", "good", "Done"),
    Level.NOTE: ("info", "second", "Note"),
    Level.WARNING: ("triangle-alert", "warn", "Warning"),
    Level.ERROR: ("octagon-alert", "bad", "Error"),
}
"""Shape, colour and word of each level."""


class NoticeLine(QWidget):
    def __init__(self, notice: Notice, area: NoticeArea) -> None:
        super().__init__()
        self.notice = notice
        self._area = area
        self.setProperty("surface", "raised")
        self.setProperty("edge", "bottom")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        icon, color, word = MARKS[notice.level]
        words = column(spacing=0)
        sentence = label(notice.sentence, wrap=True)
        words.addWidget(selectable(sentence))
        if notice.advice:
            words.addWidget(selectable(label(notice.advice, "second", wrap=True)))
        layout = row(margins=(16, 6, 8, 6), spacing=8)
        layout.addWidget(Icon(icon, color), alignment=Qt.AlignmentFlag.AlignVCenter)
        layout.addWidget(label(word, color if color != "second" else "heading"))
        layout.addLayout(words, 1)
        for offer in notice.offers:
            layout.addWidget(button(offer.text, partial(self._take, offer.act)))
        if notice.details:
            layout.addWidget(
                button("Copy details", self._copy, rank="quiet", tip="Copy the sentence and what the tools said.")
            )
        layout.addWidget(icon_button("x", self.dismiss, tip="Dismiss"))
        self.setLayout(layout)
        self.setAccessibleName(f"{word}: {notice.sentence} {notice.advice}")
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.dismiss)
        if notice.seconds is not None:
            self._timer.start(round(notice.seconds * 1000))

    def dismiss(self) -> None:
        if self.notice.on_dismiss is not None:
            self.notice.on_dismiss()
        self._area.drop(self)

    def _take(self, act: Callable[[], None]) -> None:
        self._area.drop(self)
        act()

    def _copy(self) -> None:
        parts = (self.notice.sentence, self.notice.advice, self.notice.details)
        QGuiApplication.clipboard().setText("\n\n".join(part for part in parts if part))


class NoticeArea(QWidget):
    """The notices of the moment, newest on top."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[NoticeLine] = []
        self._column = column(spacing=0)
        self.setLayout(self._column)
        self.hide()

    @property
    def notices(self) -> tuple[Notice, ...]:
        return tuple(line.notice for line in self._lines)

    def show_notice(self, notice: Notice) -> None:
        if notice.key:
            for line in [line for line in self._lines if line.notice.key == notice.key]:
                line.dismiss()
        line = NoticeLine(notice, self)
        self._lines.insert(0, line)
        self._column.insertWidget(0, line)
        for old in self._lines[MOST:]:
            old.dismiss()
        self.show()

    def dismiss_all(self) -> None:
        for line in tuple(self._lines):
            line.dismiss()

    def drop(self, line: NoticeLine) -> None:
        """Takes a line away without asking its notice."""
        if line in self._lines:
            self._lines.remove(line)
            self._column.removeWidget(line)
            line.hide()
            line.deleteLater()
        if not self._lines:
            self.hide()
