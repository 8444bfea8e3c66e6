"""Exports write what is shown, and say where it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from tailflame.parse import load
from tailflame_gui.exporting import FORMS, suggested
from tailflame_gui.rows import Level
from tailflame_gui.state import OpenResult, Stage
from tailflame_gui.views.result_view import ResultView
from tailflame_gui.wiring import Parts

FOLDED = "main;work;hot 700\nmain;work;cold 300\nmain;idle 500\n"


@pytest.fixture
def shown(parts: Parts, tmp_path: Path, qtbot: QtBot) -> tuple[OpenResult, ResultView]:
    path = tmp_path / "in.folded"
    path.write_text(FOLDED)
    result = parts.controller.open_file(path)
    qtbot.waitUntil(lambda: result.stage is Stage.READY)
    view = parts.window.results.page_of(result)
    assert isinstance(view, ResultView)
    qtbot.waitUntil(lambda: view.flame.tree is not None)
    return result, view


@pytest.mark.parametrize("kind", list(FORMS))
def test_every_kind_is_written(
    parts: Parts, shown: tuple[OpenResult, ResultView], kind: str, tmp_path: Path, qtbot: QtBot
) -> None:
    result, view = shown
    target = suggested(result, kind, tmp_path / "out")
    target.parent.mkdir()
    parts.views.exporter.write(kind, result, view.flame, target)
    qtbot.waitUntil(lambda: bool(parts.window.notices.notices))
    notice = parts.window.notices.notices[0]
    assert notice.level is Level.OK
    no_times = " The result has no times, which this format wants: its samples stand one after another instead."
    assert notice.sentence == f"{target} is written.{no_times if kind == 'firefox' else ''}"
    if kind in ("svg", "folded", "firefox", "pprof"):
        profile = load(target).profile
        assert profile is not None and profile.total() == 1500
    elif kind == "speedscope":
        assert json.loads(target.read_text())["shared"]["frames"]
    else:
        assert QImage(str(target)).width() > 300


def test_a_file_that_cannot_be_written_is_told(
    parts: Parts, shown: tuple[OpenResult, ResultView], tmp_path: Path, qtbot: QtBot
) -> None:
    result, view = shown
    parts.views.exporter.write("svg", result, view.flame, tmp_path / "missing" / "x.svg")
    qtbot.waitUntil(lambda: bool(parts.window.notices.notices))
    assert parts.window.notices.notices[0].level is Level.ERROR


def test_the_action_asks_where_to(parts: Parts, shown: tuple[OpenResult, ResultView], qtbot: QtBot) -> None:
    parts.actions["export_svg"].trigger()
    dialog = parts.window.findChild(QFileDialog)
    assert dialog is not None
    assert dialog.acceptMode() is QFileDialog.AcceptMode.AcceptSave
    assert Path(dialog.selectedFiles()[0]).name == "in.folded.svg"
    dialog.reject()
    qtbot.waitUntil(lambda: parts.window.findChild(QFileDialog) is None)


def test_names_are_fit_for_a_file(tmp_path: Path) -> None:
    result = OpenResult("24 Nov 12:04 book/λ", path=tmp_path)
    assert suggested(result, "svg", tmp_path).name == "24_Nov_12_04_book_λ.svg"
    assert suggested(OpenResult("///", path=tmp_path), "png@2x", tmp_path).name == "result@2x.png"


@pytest.mark.parametrize("kind", ["speedscope", "firefox", "pprof"])
def test_what_was_written_opens_again(
    parts: Parts, shown: tuple[OpenResult, ResultView], kind: str, tmp_path: Path, qtbot: QtBot
) -> None:
    result, view = shown
    target = suggested(result, kind, tmp_path / "out")
    target.parent.mkdir()
    assert parts.views.exporter is not None
    parts.views.exporter.write(kind, result, view.flame, target)
    qtbot.waitUntil(lambda: bool(parts.window.notices.notices))
    again = parts.controller.open_file(target)
    qtbot.waitUntil(lambda: again.stage is Stage.READY)
    page = parts.window.results.page_of(again)
    assert isinstance(page, ResultView)
    qtbot.waitUntil(lambda: page.flame.tree is not None)
    assert page.flame.tree is not None and page.flame.tree.total == 1500
