"""Small parts of the flame view: entries of its menu, and the page that stands where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QPushButton, QVBoxLayout, QWidget

from tailflame.analyse.names import short
from tailflame_gui import icons, plain

Actions: TypeAlias = tuple[tuple[str, Callable[[], object]], ...]
"""Buttons of an empty page: what they say and do."""


def add_action(menu: QMenu, icon: str, text: str, do: Callable[[], object]) -> QAction:
    action = menu.addAction(icons.icon(icon), plain.caption(text))
    action.triggered.connect(do)
    return action


def brief(name: str) -> str:
    text = short(name)
    return text if len(text) <= 40 else f"{text[:39]}…"


def empty_page(heading: str, text: str, actions: Actions, parent: QWidget) -> QWidget:
    page = QWidget(parent)
    column = QVBoxLayout(page)
    column.setSpacing(8)
    column.addStretch(1)
    for words, rank in ((heading, "title"), (text, "second")):
        label = QLabel(words, page)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setProperty("rank", rank)
        label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        label.setWordWrap(True)
        column.addWidget(label)
    line = QHBoxLayout()
    line.addStretch(1)
    for index, (words, do) in enumerate(actions):
        button = QPushButton(words, page)
        button.setProperty("rank", "primary" if index == 0 else "")
        button.clicked.connect(do)
        line.addWidget(button)
    line.addStretch(1)
    column.addLayout(line)
    column.addStretch(2)
    return page
