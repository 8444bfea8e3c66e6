"""Names from a file are shown as they are, wherever they stand: never as HTML, never as the mark of a shortcut."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QAbstractItemModel, QModelIndex, Qt
from PySide6.QtGui import Qt as Text
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QAbstractButton, QAbstractItemView, QLabel, QMenu, QWidget
from pytestqt.qtbot import QtBot

from tailflame_gui import plain, tasks
from tailflame_gui.state import Stage
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.wiring import Parts

IMAGE = "<b>x</b><img src=file:///etc/passwd>"
GENERIC = "<I as core::iter::Iterator>::next"
BORROWED = "alloc::Box<A>::take&run"
HOSTILE = (IMAGE, GENERIC, BORROWED)
STACKS = "".join(f"main;{';'.join(HOSTILE)};{name} {weight}\n" for weight, name in enumerate(HOSTILE, 400))


def interpreted(text: str) -> bool:
    """Whether Qt would read signs of a name in `text` as HTML: it may be HTML, and holds a tag that is not ours."""
    if not Text.mightBeRichText(text):
        return False
    return bool(set(re.findall(r"</?(\w+)", text)) - {"p", "br", "a", "span"}) or "<I" in text


def tips_of(model: QAbstractItemModel, parent: QModelIndex, deep: int = 0) -> Iterator[str]:
    for row in range(min(model.rowCount(parent), 20)):
        for column in range(model.columnCount(parent)):
            yield str(model.index(row, column, parent).data(Qt.ItemDataRole.ToolTipRole) or "")
        if deep < 6:
            yield from tips_of(model, model.index(row, 0, parent), deep + 1)


def faults(window: QWidget) -> list[str]:
    """Every text of the window that Qt would not show as it is."""
    found = []
    for widget in (window, *window.findChildren(QWidget)):
        where = f"{type(widget).__name__} {widget.objectName()}"
        if interpreted(widget.toolTip()):
            found.append(f"tip of {where}: {widget.toolTip()}")
        rich = isinstance(widget, QLabel) and widget.textFormat() is not Qt.TextFormat.PlainText
        if isinstance(widget, QLabel) and rich and interpreted(widget.text()):
            found.append(f"label {where}: {widget.text()}")
        if isinstance(widget, QAbstractButton) and "&" in widget.text().replace("&&", ""):
            found.append(f"button {where}: {widget.text()}")
        if isinstance(widget, QAbstractItemView) and widget.model() is not None:
            found += [f"cell of {where}: {tip}" for tip in tips_of(widget.model(), QModelIndex()) if interpreted(tip)]
        if isinstance(widget, QMenu):
            found += menu_faults(widget)
    return found


def menu_faults(menu: QMenu) -> list[str]:
    lines = [f"menu: {a.text()}" for a in menu.actions() if "&" in a.text().replace("&&", "")]
    return lines + [f"menu tip: {a.toolTip()}" for a in menu.actions() if interpreted(a.toolTip())]


@pytest.mark.parametrize("name", [*HOSTILE, "plain", "Vec<u8>::push", "&lt;b>"])
def test_a_tip_shows_the_text_it_was_given(qtbot: QtBot, name: str) -> None:
    shown = plain.tip(name)
    assert not interpreted(shown)
    if Text.mightBeRichText(shown):
        document = QTextDocument()
        document.setHtml(shown)
        shown = document.toPlainText()
    assert shown == name


def test_no_view_interprets_a_name(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    path = tmp_path / "<b>a & b.folded"
    path.write_text(STACKS)
    parts.controller.open_paths([path])
    qtbot.waitUntil(lambda: all(tab.stage is not Stage.LOADING for tab in parts.state.results.all))
    qtbot.waitUntil(tasks.at_rest)
    view = parts.window.results.page
    assert isinstance(view, ResultView)
    seen: list[str] = faults(parts.window)
    for part in Part:
        for name in HOSTILE:
            view.show_function(name, part)
            qtbot.waitUntil(tasks.at_rest)
            seen += faults(parts.window)
    graph = view.flame.graph
    assert graph.zoom_to_path(("main", *HOSTILE))
    view.show_part(Part.FLAME)
    qtbot.waitUntil(tasks.at_rest)
    for box in range(4):
        menu = view.flame.menu_for(box)
        seen += menu_faults(menu)
        menu.deleteLater()
    seen += faults(parts.window)
    assert sorted(set(seen)) == []


def test_a_failure_names_its_file_as_it_is(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    path = tmp_path / "<b>odd & bold.bin"
    path.write_bytes(bytes(range(256)) * 8)
    parts.controller.open_paths([path])
    qtbot.waitUntil(lambda: all(tab.stage is not Stage.LOADING for tab in parts.state.results.all))
    assert faults(parts.window) == []


def test_a_comparison_interprets_no_name(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    sides = []
    for at in range(2):
        path = tmp_path / f"<b>{at}&.folded"
        path.write_text(STACKS + f"main;{IMAGE} {500 * at + 100}\n")
        sides.append(path)
    parts.controller.open_paths(sides)
    qtbot.waitUntil(lambda: all(tab.stage is not Stage.LOADING for tab in parts.state.results.all))
    parts.controller.compare(*parts.state.open_results)
    qtbot.waitUntil(lambda: all(tab.stage is Stage.READY for tab in parts.state.comparisons.all))
    qtbot.waitUntil(tasks.at_rest)
    assert faults(parts.window) == []
