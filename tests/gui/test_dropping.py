"""What dropped paths are, and what the window announces before they are let go."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QLineEdit, QPlainTextEdit
from pytestqt.qtbot import QtBot

from tailflame_gui import dropping
from tailflame_gui.dropping import Kind, look_at
from tailflame_gui.state import Page, Stage
from tailflame_gui.wiring import Parts


@pytest.fixture
def things(tmp_path: Path) -> dict[str, Path]:
    made = {}
    for name, content, mode in (
        ("out.folded", b"main;work 3\n", 0o644),
        ("run.sh", b"#!/bin/sh\n", 0o755),
        ("readable.sh", b"#!/bin/sh\n", 0o644),
        ("object.o", b"\x7fELF\x02\x01" + bytes(10) + b"\x01\x00", 0o755),
    ):
        made[name] = tmp_path / name
        made[name].write_bytes(content)
        made[name].chmod(mode)
    for folder, file in (("session", "session.json"), ("project", "Cargo.toml"), ("profiles/one", "session.json")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / file).write_text("{}")
    for name, head in (("slices", b"PERFILE2"), ("empty", b"something else")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "perf.data.2026112512000000").write_bytes(head)
    names = ("session", "project", "profiles", "slices", "empty", "missing")
    return made | {name: tmp_path / name for name in names}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("out.folded", Kind.RESULT),
        ("run.sh", Kind.PROGRAM),
        ("readable.sh", Kind.RESULT),
        ("object.o", Kind.RESULT),
        ("session", Kind.SESSION),
        ("project", Kind.PROJECT),
        ("profiles", Kind.PROFILES),
        ("slices", Kind.RESULT),
        ("empty", Kind.NOTHING),
        ("missing", Kind.RESULT),
    ],
)
def test_content_decides_what_a_path_is(things: dict[str, Path], name: str, kind: Kind) -> None:
    assert look_at(things[name]).kind is kind


def test_a_real_program_is_one() -> None:
    assert look_at(Path(sys.executable).resolve()).kind is Kind.PROGRAM


def test_a_session_file_stands_for_its_folder(things: dict[str, Path]) -> None:
    assert look_at(things["session"] / "session.json").path == things["session"]


def test_a_drop_is_announced_in_words(things: dict[str, Path]) -> None:
    names = ("out.folded", "readable.sh", "run.sh", "project", "empty")
    rows = dropping.announce(tuple(things[name] for name in names))
    assert [(row.sentence, row.works) for row in rows] == [
        ("Open out.folded and 1 more", True),
        ("Record run.sh", True),
        ("Record the cargo project project", True),
        ("empty holds no session and no cargo project", False),
    ]


_kept: list[QMimeData] = []
"""An event only points at its data."""


def _mime(*paths: Path) -> QMimeData:
    data = QMimeData()
    _kept.append(data)
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return data


def _enter(data: QMimeData) -> QDragEnterEvent:
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    return QDragEnterEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, buttons, keys)


def _drop(data: QMimeData) -> QDropEvent:
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    return QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, buttons, keys)


def test_hovering_files_show_the_target_and_leaving_hides_it(parts: Parts, things: dict[str, Path]) -> None:
    window = parts.window
    data = _mime(things["out.folded"])
    event = _enter(data)
    window.dragEnterEvent(event)
    assert event.isAccepted()
    assert [row.sentence for row in window.overlay.rows] == ["Open out.folded"]
    assert window.overlay.size() == window.size()
    window.dragLeaveEvent(QDragLeaveEvent())
    assert window.overlay.rows == ()


def test_what_cannot_be_used_is_not_accepted(parts: Parts, things: dict[str, Path]) -> None:
    event = _enter(_mime(things["empty"]))
    event.ignore()
    parts.window.dragEnterEvent(event)
    assert not event.isAccepted()
    assert not parts.window.overlay.rows[0].works


def test_text_is_no_drop(parts: Parts) -> None:
    data = _mime()
    data.setText("hello")
    event = _enter(data)
    event.ignore()
    parts.window.dragEnterEvent(event)
    assert not event.isAccepted()
    assert parts.window.overlay.rows == ()


def test_dropped_files_open_in_tabs(parts: Parts, things: dict[str, Path], qtbot: QtBot) -> None:
    parts.window.dropEvent(_drop(_mime(things["out.folded"], things["readable.sh"])))
    qtbot.waitUntil(lambda: [tab.stage for tab in parts.state.results.all] == [Stage.READY, Stage.FAILED])
    assert parts.state.page is Page.RESULTS


def test_a_dropped_program_becomes_the_target(parts: Parts, things: dict[str, Path], qtbot: QtBot) -> None:
    with qtbot.waitSignal(parts.controller.target_chosen) as chosen:
        parts.window.dropEvent(_drop(_mime(things["run.sh"])))
    assert chosen.args == [things["run.sh"]]
    assert parts.state.page is Page.RECORD
    assert parts.state.target is not None and parts.state.target.name == "run.sh"


def test_a_dropped_project_is_handed_to_the_record_page(parts: Parts, things: dict[str, Path], qtbot: QtBot) -> None:
    with qtbot.waitSignal(parts.controller.project_chosen) as chosen:
        parts.window.dropEvent(_drop(_mime(things["project"])))
    assert chosen.args == [things["project"]]
    assert parts.state.page is Page.RECORD


def test_a_dropped_profiles_folder_becomes_the_library(parts: Parts, things: dict[str, Path], qtbot: QtBot) -> None:
    parts.window.dropEvent(_drop(_mime(things["profiles"])))
    assert parts.controller.library.root == things["profiles"]
    assert parts.state.page is Page.LIBRARY
    qtbot.waitUntil(lambda: [row.id for row in parts.state.sessions] == ["one"])
    assert parts.state.sessions[0].state == "unreadable"


def test_text_fields_leave_drops_to_the_window(parts: Parts) -> None:
    fields = [*parts.window.findChildren(QLineEdit), *parts.window.findChildren(QPlainTextEdit)]
    on_pages = [field for field in fields if field is not parts.window.palette_box.field]
    assert on_pages
    assert not any(field.acceptDrops() for field in on_pages)


@pytest.mark.parametrize(
    "file", ["new/estimates.json", "group/function/new/estimates.json", "estimates.json", "a.1.heap"]
)
def test_a_folder_that_is_one_result(tmp_path: Path, file: str) -> None:
    made = tmp_path / file
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_text("{}")
    assert look_at(tmp_path).kind is Kind.RESULT
