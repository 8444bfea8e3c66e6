"""PySide6 6.12 on Python 3.11 loses a reference to None or True with every paint and every signal, until it aborts.

Counting them over a thousand paints and emits tells whether the installed one does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from PySide6.QtCore import QModelIndex, QObject, QPoint, Qt, Signal
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QApplication

from tailflame_gui import icons, theme
from tailflame_gui.actions import SPECS
from tailflame_gui.models.session_table import RowTable, session_fields
from tailflame_gui.views.rail import RailButton
from tailflame_gui.widgets.drop_overlay import DropOverlay

ROUNDS = 1000
SLACK = 50
"""Other things of the interpreter come and go; a leak is one reference a round."""


class Speaker(QObject):
    said = Signal(object)
    switched = Signal(bool)


@pytest.mark.parametrize("kept", [None, True, False])
def test_emitting_keeps_references(kept: bool | None) -> None:
    speaker = Speaker()
    heard: list[object] = []
    speaker.said.connect(lambda _what: heard.append(1))
    speaker.switched.connect(lambda _on: heard.append(2))

    def emit() -> None:
        speaker.said.emit(kept)
        speaker.switched.emit(True)

    _hold(emit)
    assert len(heard) == 2 * (ROUNDS + 1)


def test_painting_keeps_references(qapp: QApplication) -> None:
    from PySide6.QtGui import QAction

    action = QAction("Go")
    action.setProperty("glyph", SPECS[0].icon)
    button = RailButton(action)
    image = QImage(120, 40, QImage.Format.Format_ARGB32_Premultiplied)

    def paint() -> None:
        painter = QPainter(image)
        button.render(painter, QPoint())
        icons.paint(painter, image.rect().toRectF(), "flame")
        painter.end()
        theme.current().module_color("libc.so.6")

    _hold(paint)


def test_models_keep_references() -> None:
    table = RowTable(session_fields())

    def ask() -> None:
        table.index(0, 0).data()
        table.data(QModelIndex(), Qt.ItemDataRole.DisplayRole)
        table.headerData(0, Qt.Orientation.Horizontal, Qt.ItemDataRole.TextAlignmentRole)
        table.rowCount()

    _hold(ask)


def test_showing_and_hiding_keeps_references(qapp: QApplication) -> None:
    from PySide6.QtWidgets import QWidget

    parent = QWidget()
    overlay = DropOverlay(parent)

    def toggle() -> None:
        overlay.setVisible(True)
        overlay.setVisible(False)
        overlay.setEnabled(True)

    _hold(toggle)


def _hold(act: Callable[[], None]) -> None:
    """`act` a thousand times sinks neither None, True nor False."""
    act()
    before = [sys.getrefcount(kept) for kept in (None, True, False)]
    for _ in range(ROUNDS):
        act()
    after = [sys.getrefcount(kept) for kept in (None, True, False)]
    lost = [b - a for b, a in zip(before, after, strict=True)]
    assert all(n < SLACK for n in lost), f"lost references to None, True, False: {lost} in {ROUNDS} rounds"
