"""Source lines open in the user's editor, by an argv and never a shell."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest
from pytestqt.qtbot import QtBot

from tailflame.errors import StoreError, ToolFailed, ToolMissing
from tailflame.run import Journal
from tailflame.store import Settings
from tailflame_gui import editor
from tailflame_gui.dialogs.editor import EditorDialog
from tailflame_gui.editor import find_source, open_in_editor
from tailflame_gui.wiring import Parts


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "project/src/book.rs"
    path.parent.mkdir(parents=True)
    path.write_text("fn main() {}\n")
    return path


def test_a_source_is_found_as_named_and_below_a_base(source: Path, tmp_path: Path) -> None:
    assert find_source(str(source), ()) == source
    assert find_source("src/book.rs", (tmp_path, tmp_path / "project")) == source
    with pytest.raises(StoreError, match="not on this machine"):
        find_source("src/other.rs", (tmp_path,))
    with pytest.raises(StoreError, match="standard library") as missing:
        find_source("/rustc/0123456789abcdef/library/core/src/ops/function.rs", ())
    assert "rust-src" in missing.value.advice


def test_the_command_is_an_argv_with_file_and_line(source: Path) -> None:
    journal, started = Journal(), []
    strange = source.with_name("a b; $(touch x).rs")
    open_in_editor(
        strange,
        42,
        settings=Settings(editor=f"{sys.executable} --goto %f:%l"),
        journal=journal,
        start=lambda argv: started.append(argv) or 1,
    )
    assert started == [(sys.executable, "--goto", f"{strange}:42")]
    (entry,) = journal.entries
    assert entry.argv == started[0] and entry.outcome is not None and entry.outcome.ok


def test_a_terminal_editor_gets_a_terminal(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("vim", "xterm"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    started: list[tuple[str, ...]] = []
    arguments = {"settings": Settings(editor="vim"), "journal": Journal()}
    open_in_editor(source, 7, start=lambda argv: started.append(argv) or 1, **arguments)  # type: ignore[arg-type]
    assert started == [("xterm", "-e", "vim", "+7", str(source))]
    (tmp_path / "xterm").unlink()
    with pytest.raises(ToolMissing, match="needs a terminal"):
        open_in_editor(source, 7, **arguments)  # type: ignore[arg-type]


def test_an_editor_that_does_not_start_is_told(source: Path) -> None:
    journal = Journal()

    def refuse(_argv: tuple[str, ...]) -> int:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(ToolFailed, match="could not be started: Permission denied"):
        open_in_editor(source, 1, settings=Settings(editor=sys.executable), journal=journal, start=refuse)
    assert journal.entries[0].problem.endswith("Permission denied.")


def test_the_editor_is_left_to_itself_and_leaves_no_zombie(tmp_path: Path, qtbot: QtBot) -> None:
    mark = tmp_path / "opened"
    pid = editor._start((sys.executable, "-c", f"open({str(mark)!r}, 'w').close()"))
    assert pid > 0
    qtbot.waitUntil(mark.exists, timeout=20_000)
    qtbot.waitUntil(lambda: not psutil.pid_exists(pid), timeout=20_000)


def test_the_window_opens_a_line_or_says_why_not(
    parts: Parts, source: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, ...]] = []
    monkeypatch.setattr(editor, "_start", lambda argv, _failed: started.append(argv) or 1)
    parts.controller.settings = Settings(editor=f"{sys.executable} +%l %f")
    parts.controller.open_source(None, str(source), 3)
    qtbot.waitUntil(lambda: bool(started))
    assert started[0][1:] == ("+3", str(source))
    assert parts.state.runs[0].command_line.endswith(str(source))
    parts.controller.open_source(None, "/nowhere/x.rs", 3)
    qtbot.waitUntil(lambda: bool(parts.window.notices.notices))
    assert "not on this machine" in parts.window.notices.notices[0].sentence


def test_the_dialog_suggests_and_keeps(qtbot: QtBot, parts: Parts) -> None:
    from PySide6.QtWidgets import QPushButton

    dialog = EditorDialog("vim")
    qtbot.addWidget(dialog)
    buttons = {made.text(): made for made in dialog.findChildren(QPushButton)}
    buttons["code"].click()
    assert dialog.command == "code --goto %f:%l"
    with qtbot.waitSignal(dialog.accepted):
        buttons["Save"].click()
