"""Core's objects become rows; the machine's findings become lines; the demo says why it is not recorded."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from helpers.recordings import recording
from tailflame.run import Journal, Outcome
from tailflame.store import Library
from tailflame.tools import Finding
from tailflame.tools import Level as Grade
from tailflame_gui import demo as demo_module
from tailflame_gui import machine as machine_module
from tailflame_gui.adapt import run_row, session_row, session_rows, tab_title, target_row
from tailflame_gui.machine import finding_row
from tailflame_gui.rows import Level, SessionRow
from tailflame_gui.state import Stage
from tailflame_gui.wiring import Parts

NOON = datetime(2026, 11, 24, 12, 4).astimezone()


def row(**changes: object) -> SessionRow:
    known = {"id": "a", "path": Path("/p/a"), "title": "book --fast", "binary": "/opt/book", "tool": "perf record"}
    return SessionRow(**{**known, "state": "complete", "started_at": NOON, **changes})  # type: ignore[arg-type]


def test_a_session_becomes_a_row(tmp_path: Path) -> None:
    source = tmp_path / "x.folded"
    source.write_text("main 1\n")
    library = Library(tmp_path / "profiles")
    info = library.keep(recording(command=("/opt/book", "--fast")), source=source, title="a title")
    made = session_row(info)
    assert (made.id, made.path, made.title, made.binary) == (info.id, info.path, "a title", "/opt/book")
    assert (made.state, made.samples, made.duration_s, made.baseline) == ("complete", 1200, 12.25, False)
    assert made.binary_key == info.binary_key and made.readable
    (info.path / "session.json").write_text("{")
    broken = session_row(library.sessions()[0])
    assert (broken.state, broken.samples, broken.readable) == ("unreadable", None, False)
    assert broken.outcome and broken.started_at is not None


def test_sessions_of_a_queue_have_their_place(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for at, group in enumerate(("a", "", "a", "a", "alone")):
        library.new_session(tool="perf-record", binary="/opt/book", at=NOON + timedelta(seconds=at), group=group)
    rows = session_rows(library.sessions())
    assert [(row.group, row.place) for row in reversed(rows)] == [
        ("a", "1 of 3"), ("", ""), ("a", "2 of 3"), ("a", "3 of 3"), ("alone", ""),
    ]  # fmt: skip


def test_tabs_are_named_by_time_and_program() -> None:
    assert tab_title(row(), now=NOON) == "12:04 book"
    assert tab_title(row(), now=NOON.replace(day=25)) == "24 Nov 12:04 book"
    assert tab_title(row(tool="strace"), now=NOON) == "12:04 strace"
    assert tab_title(row(binary="", started_at=None)) == "book --fast"


def test_the_header_takes_the_session_that_is_looked_at() -> None:
    newest = row(id="n", binary_key="k", profile="release", commit="new")
    pinned = row(id="p", binary_key="k", profile="dev", commit="old", baseline=True)
    other = row(id="o", binary_key="x", baseline=True)
    made = target_row("/opt/book", "k", (newest, pinned, other))
    assert (made.profile, made.commit, made.baseline.endswith("12:04")) == ("release", "new", True)
    assert target_row("/opt/book", "k", (newest, pinned), of=pinned).commit == "old"
    assert target_row("/opt/book", "z", (newest, pinned)).baseline == ""


def test_a_run_is_running_then_over() -> None:
    journal = Journal()
    entry = journal.started(("perf", "record", "a b"))
    assert (run_row(entry).ok, run_row(entry).outcome) == (None, "")
    assert run_row(entry).command_line == "perf record 'a b'"
    done = journal.ended(entry, Outcome.of("perf", 0, 1.0))
    assert run_row(done).ok is True and run_row(done).outcome.startswith("finished")
    failed = journal.ended(entry, None, problem="perf could not be started.")
    assert (run_row(failed).ok, run_row(failed).outcome) == (False, "perf could not be started.")


def test_a_finding_keeps_its_fix_as_a_command() -> None:
    made = finding_row(Finding(Grade.BLOCKER, "Refused.", "Level 3.", "Allow it.", ("sudo", "sysctl", "a b=1")))
    assert (made.level, made.fix, made.command) == (Level.ERROR, "", "sudo sysctl 'a b=1'")
    assert finding_row(Finding(Grade.NOTE, "Slow.", fix="Buy a faster one.")).fix == "Buy a faster one."


def test_the_machine_is_looked_at_again(parts: Parts, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([(Finding(Grade.BLOCKER, "perf is missing."),), (Finding(Grade.OK, "perf is here."),)])
    monkeypatch.setattr(machine_module, "doctor", lambda _host: next(answers))
    parts.machine.check()
    qtbot.waitUntil(lambda: parts.state.findings is not None)
    assert parts.state.findings is not None and parts.state.findings[0].level is Level.ERROR
    parts.window.start_page.check_again.emit()
    qtbot.waitUntil(lambda: parts.state.findings is not None and parts.state.findings[0].level is Level.OK)


def test_the_demo_opens_the_sample_session(parts: Parts, qtbot: QtBot) -> None:
    parts.actions["demo"].trigger()
    qtbot.waitUntil(lambda: bool(parts.state.results.all) and parts.state.results.all[0].stage is Stage.READY)
    result = parts.state.open_results[0]
    assert result.path.parent == parts.controller.library.root
    qtbot.waitUntil(lambda: [session.path for session in parts.state.sessions] == [result.path])


def test_a_demo_that_cannot_be_recorded_says_why(parts: Parts, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_module, "obstacle", lambda _host: "perf is not installed")
    parts.demo.record()
    qtbot.waitUntil(lambda: bool(parts.state.results.all) and parts.state.results.all[0].stage is Stage.READY)
    sentences = [notice.sentence for notice in parts.window.notices.notices]
    assert sentences == ["This is the recorded sample session, because perf is not installed."]
