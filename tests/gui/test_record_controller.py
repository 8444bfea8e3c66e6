"""Between the record page and core: what is chosen is checked, what is recorded is remembered, presets are kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from helpers.environment import ROOT
from helpers.recordings import recording
from tailflame.host.system import EVENTS, Host, Support
from tailflame.store import load_settings
from tailflame.tools import TOOLS
from tailflame_gui import recording as recording_module
from tailflame_gui import recording_controller, tasks
from tailflame_gui.record_model import CARGO_FLAMEGRAPH, Draft, OptionsDraft, TargetDraft
from tailflame_gui.rows import Level, TargetRow
from tailflame_gui.state import Page
from tailflame_gui.views.record_page import RecordPage, Side
from tailflame_gui.wiring import Parts

HOST = Host(
    perf=Path("/usr/bin/perf"),
    perf_version="6.1",
    uid=1000,
    max_sample_rate=100_000,
    events={name: Support("clock" in name or "faults" in name, "no counters") for name in EVENTS},
    lbr=Support(False, "no branch records"),
)
UNTIL_STOPPED = "import time\nprint('ready', flush=True)\ntime.sleep(60)\n"


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_controller, "probe_host", lambda: HOST)


@pytest.fixture(autouse=True)
def fake_perf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A perf that does as it is told, and a reader for what it leaves."""
    perf = tmp_path / "bin/perf"
    perf.parent.mkdir()
    perf.write_text(f"#!{sys.executable}\n" + (ROOT / "tests/core/run/fake_perf.py").read_text())
    perf.chmod(0o755)
    monkeypatch.setenv("PATH", f"{perf.parent}:/usr/bin:/bin")
    monkeypatch.setattr(recording_module, "load", lambda _path, *, progress: recording())
    return lambda mode: monkeypatch.setenv("FAKE_PERF", mode)


@pytest.fixture
def engine(tmp_path: Path) -> Callable[..., Path]:
    def make(code: str = "print('hello')", name: str = "engine") -> Path:
        script = tmp_path / name
        script.write_text(f"#!{sys.executable}\n{code}\n")
        script.chmod(0o755)
        return script

    return make


@pytest.fixture
def page(parts: Parts, qtbot: QtBot) -> Iterator[RecordPage]:
    made = parts.window.record_page
    assert isinstance(made, RecordPage)
    parts.state.set_page(Page.RECORD)
    rest(qtbot)
    yield made
    rest(qtbot)


def rest(qtbot: QtBot) -> None:
    qtbot.waitUntil(tasks.at_rest, timeout=20_000)


def choose(parts: Parts, page: RecordPage, qtbot: QtBot, binary: Path) -> None:
    parts.controller.choose_target(binary)
    qtbot.waitUntil(lambda: page.draft.target.binary == str(binary) and tasks.at_rest(), timeout=20_000)
    qtbot.waitUntil(lambda: bool(page.command.toPlainText()), timeout=20_000)


def edited(page: RecordPage, qtbot: QtBot, arguments: str) -> None:
    """Types arguments and waits until they stand in the command."""
    page.target.arguments.clear()
    qtbot.keyClicks(page.target.arguments, arguments)
    qtbot.waitUntil(lambda: arguments in page.command.toPlainText() and tasks.at_rest(), timeout=20_000)


def test_the_page_looks_at_the_machine_when_it_is_shown_first(parts: Parts, page: RecordPage) -> None:
    assert [card.tool.name for card in page.options.cards][:2] == ["perf-record", "cargo-flamegraph"]
    assert {card.tool.name for card in page.options.cards} == {tool.name for tool in TOOLS}
    assert not page.options.events["cycles"].isEnabled()
    assert page.preflight.summary.endswith("passed")
    assert not page.record.isEnabled() and page.record.toolTip() == "Choose a program."


def test_a_chosen_binary_is_checked_and_its_command_shown(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    binary = engine()
    choose(parts, page, qtbot, binary)
    root = parts.controller.library.root
    assert page.command.toPlainText() == (
        f"perf record -k CLOCK_MONOTONIC -F 1999 -e cpu-clock --call-graph dwarf,8192 "
        f"-o {root}/SESSION/perf.data -- {binary}"
    )
    assert page.target.facts.whole.startswith("a script for ")
    assert any("is a script" in check.title for check in page.preflight.open_checks)
    assert page.record.isEnabled()
    assert parts.state.target is not None and parts.state.target.binary == str(binary)


def test_the_command_follows_every_edit(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    choose(parts, page, qtbot, engine())
    edited(page, qtbot, "--seconds 3")
    page.options.call_graph.button("fp").click()
    page.options.events["page-faults"].click()
    qtbot.waitUntil(lambda: "-e cpu-clock,page-faults --call-graph fp" in page.command.toPlainText(), timeout=20_000)
    page.target.arguments.setText("'open")
    page.target.changed.emit()
    qtbot.waitUntil(lambda: not page.record.isEnabled(), timeout=20_000)
    assert page.record.toolTip() == "The arguments cannot be split yet: a quote is not closed."
    assert page.command.toPlainText() == ""


def test_a_missing_binary_cannot_be_recorded(parts: Parts, page: RecordPage, qtbot: QtBot, tmp_path: Path) -> None:
    page.target.binary.setEditText(str(tmp_path / "missing"))
    line = page.target.binary.lineEdit()
    assert line is not None
    qtbot.keyClick(line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "There is no file" in page.record.toolTip(), timeout=20_000)
    assert not page.record.isEnabled()
    assert page.preflight.open_checks[0].level is Level.ERROR


def test_recording_shows_the_run_and_opens_the_result(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    binary = engine("import time\nprint('hello')\ntime.sleep(0.6)")
    choose(parts, page, qtbot, binary)
    edited(page, qtbot, "--fast")
    page.record.click()
    qtbot.waitUntil(lambda: page.side is Side.RUN, timeout=20_000)
    assert parts.state.recording and not page.record.isEnabled()
    qtbot.waitUntil(lambda: len(page.run.plots.ring) > 0, timeout=20_000)
    ran = page.run.command.whole
    qtbot.waitUntil(lambda: parts.state.page is Page.RESULTS and tasks.at_rest(), timeout=20_000)
    (tab,) = parts.state.open_results
    assert page.last_sentence.startswith("engine: finished after")
    assert [line.text for line in page.run.console.shown if line.stream == "stdout"] == ["hello"]
    assert parts.state.runs[-1].command_line == ran
    assert str(tab.path) in ran and ran.endswith("--fast")
    parts.state.set_page(Page.RECORD)
    assert page.side is Side.SETTINGS
    page.last_result.click()
    assert parts.state.page is Page.RESULTS
    parts.controller.close_tab(tab)
    page.show_requested.emit()
    rest(qtbot)
    assert len(parts.state.open_results) == 1


def test_stop_keeps(parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]) -> None:
    choose(parts, page, qtbot, engine(UNTIL_STOPPED))
    page.record.click()
    qtbot.waitUntil(lambda: bool(page.run.console.shown), timeout=20_000)
    page.run.stop.click()
    qtbot.waitUntil(lambda: bool(parts.state.open_results) and tasks.at_rest(), timeout=20_000)
    assert page.last_sentence.startswith("engine: stopped by you after")


def test_cancel_asks_on_the_page_and_leaves_nothing(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    choose(parts, page, qtbot, engine(UNTIL_STOPPED))
    page.record.click()
    qtbot.waitUntil(lambda: bool(page.run.console.shown), timeout=20_000)
    parts.state.set_page(Page.START)
    parts.actions["cancel"].trigger()
    assert parts.state.page is Page.RECORD and page.run.asking
    assert parts.recorder.running
    page.run.drop.click()
    qtbot.waitUntil(lambda: not parts.recorder.running and tasks.at_rest(), timeout=20_000)
    assert page.last_sentence == "engine: cancelled, nothing was kept."
    assert [path for path in parts.controller.library.root.iterdir() if path.is_dir()] == []
    assert parts.state.open_results == ()
    assert page.record.isEnabled()


def test_a_crash_is_an_outcome_of_the_result(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    code = "import os, signal, time\ntime.sleep(0.3)\nos.kill(os.getpid(), signal.SIGSEGV)"
    choose(parts, page, qtbot, engine(code))
    page.record.click()
    qtbot.waitUntil(lambda: bool(parts.state.open_results) and tasks.at_rest(), timeout=20_000)
    assert page.last_sentence.startswith("engine: killed by SIGSEGV after")
    (tab,) = parts.state.open_results
    assert tab.recording is not None
    assert tab.recording.warnings[0].text.startswith("engine: killed by SIGSEGV after")
    assert parts.window.notices.notices == ()


def test_a_failure_is_said_with_its_fix(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path], fake_perf: Callable[[str], None]
) -> None:
    fake_perf("refuse")
    choose(parts, page, qtbot, engine())
    page.record.click()
    qtbot.waitUntil(lambda: bool(parts.window.notices.notices) and tasks.at_rest(), timeout=20_000)
    notice = parts.window.notices.notices[0]
    assert notice.level is Level.ERROR and notice.advice and notice.details
    assert page.side is Side.RUN
    assert page.run.sentence == page.last_sentence == notice.sentence
    assert page.record.isEnabled()


def test_what_cannot_be_read_does_not_leave_the_page_waiting(
    parts: Parts,
    page: RecordPage,
    qtbot: QtBot,
    engine: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tailflame.errors import ParseError

    def refuse(_path: Path, *, progress: object) -> Any:
        raise ParseError("perf.data is odd.", source="perf.data")

    monkeypatch.setattr(recording_module, "load", refuse)
    choose(parts, page, qtbot, engine())
    page.record.click()
    qtbot.waitUntil(lambda: bool(parts.window.notices.notices) and tasks.at_rest(), timeout=20_000)
    assert not page.run.bar.isVisible()
    assert page.record.isEnabled()


# Again


def test_record_again_is_one_key(parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]) -> None:
    again = parts.actions["record_again"]
    assert again.shortcut().toString() == "F5" and again.isEnabled()
    choose(parts, page, qtbot, engine())
    edited(page, qtbot, "--first")
    page.record.click()
    qtbot.waitUntil(lambda: len(parts.state.open_results) == 1 and tasks.at_rest(), timeout=20_000)
    edited(page, qtbot, "--other")  # not what was recorded last
    again.trigger()
    qtbot.waitUntil(lambda: len(parts.state.open_results) == 2 and tasks.at_rest(), timeout=20_000)
    assert [run.command_line.split()[-1] for run in parts.state.runs] == ["--first", "--first"]
    assert again.isEnabled()


def test_record_again_takes_the_form_where_nothing_was_recorded(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    choose(parts, page, qtbot, engine())
    parts.actions["record_again"].trigger()
    qtbot.waitUntil(lambda: len(parts.state.open_results) == 1 and tasks.at_rest(), timeout=20_000)


def test_record_again_takes_the_program_that_is_looked_at_as_it_was_recorded_last(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    binary = engine()
    saved = Draft(TargetDraft(arguments="--saved")).document()
    parts.controller.remember(lambda settings: settings.remembering(binary, {"last": saved}))
    rest(qtbot)
    parts.state.set_target(TargetRow(str(binary)))
    parts.actions["record_again"].trigger()
    qtbot.waitUntil(lambda: len(parts.state.open_results) == 1 and tasks.at_rest(), timeout=20_000)
    assert parts.state.runs[-1].command_line.endswith(f"{binary} --saved")


def test_header_and_form_speak_of_one_program(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    one, other = engine(name="one"), engine(name="other")
    parts.state.set_page(Page.START)
    parts.state.set_target(TargetRow(str(one)))
    parts.actions["record_page"].trigger()
    qtbot.waitUntil(lambda: page.draft.target.binary == str(one) and tasks.at_rest())
    edited(page, qtbot, "--mine")
    parts.state.set_page(Page.START)
    parts.state.set_target(TargetRow(str(other)))  # a result of another program was looked at
    parts.actions["record_page"].trigger()
    rest(qtbot)
    assert (page.draft.target.binary, page.draft.target.arguments) == (str(one), "--mine")
    assert parts.state.target is not None and parts.state.target.binary == str(one)


def test_record_again_without_a_program_says_what_to_do(parts: Parts, page: RecordPage, qtbot: QtBot) -> None:
    parts.state.set_page(Page.START)
    parts.actions["record_again"].trigger()
    assert parts.state.page is Page.RECORD
    assert parts.window.notices.notices[0].sentence == "Nothing was recorded here yet."
    parts.window.notices.dismiss_all()


# What is remembered


def test_the_last_settings_of_a_binary_come_back(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    one, other = engine(name="one"), engine(name="other")
    choose(parts, page, qtbot, one)
    edited(page, qtbot, "--seconds 3")
    page.options.frequency.setValue(99)
    page.target.environment.set_pairs((("RUST_LOG", "info"),))
    page.record.click()
    qtbot.waitUntil(lambda: bool(parts.state.open_results) and tasks.at_rest(), timeout=20_000)
    choose(parts, page, qtbot, other)
    assert page.draft == Draft(TargetDraft(binary=str(other)), OptionsDraft())
    choose(parts, page, qtbot, one)
    assert (page.draft.target.arguments, page.draft.options.frequency) == ("--seconds 3", 99)
    assert page.draft.target.environment == (("RUST_LOG", "info"),)
    assert load_settings().settings.recent_binaries[0] == str(one)
    assert page.target.binary.itemText(0) == str(one)


def test_what_was_typed_before_a_program_was_chosen_is_meant_for_it(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    qtbot.keyClicks(page.target.arguments, "--early")
    choose(parts, page, qtbot, engine())
    assert page.draft.target.arguments == "--early"


def test_presets_are_saved_per_binary_applied_and_deleted_with_an_undo(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    one, other = engine(name="one"), engine(name="other")
    choose(parts, page, qtbot, one)
    edited(page, qtbot, "--long")
    page.preset_save_requested.emit("long run")
    edited(page, qtbot, "--short")
    page.preset_save_requested.emit("Brief")
    assert page.target.presets.names == ("Brief", "long run")
    assert page.target.presets.current == "Brief"
    page.preset_apply_requested.emit("long run")
    rest(qtbot)
    assert page.draft.target.arguments == "--long"
    stored = load_settings().settings.preset_of(one)
    assert set(stored["named"]) == {"Brief", "long run"}

    choose(parts, page, qtbot, other)
    assert page.target.presets.names == ()
    choose(parts, page, qtbot, one)
    assert page.target.presets.names == ("Brief", "long run")

    page.preset_delete_requested.emit("Brief")
    assert page.target.presets.names == ("long run",)
    (notice,) = parts.window.notices.notices
    assert notice.sentence == "The preset “Brief” is deleted."
    notice.offers[0].act()
    assert page.target.presets.names == ("Brief", "long run")
    rest(qtbot)
    parts.window.notices.dismiss_all()


def test_an_edit_leaves_the_preset(parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]) -> None:
    choose(parts, page, qtbot, engine())
    edited(page, qtbot, "--long")
    page.preset_save_requested.emit("mine")
    assert page.target.presets.current == "mine"
    edited(page, qtbot, "--longer")
    assert page.target.presets.current == ""


# Projects


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from tailflame_gui import record_facts
    from tailflame_gui.record_model import CargoChoice, ProjectChoice

    folder = tmp_path / "book"
    (folder / "target/release").mkdir(parents=True)
    (folder / "Cargo.toml").write_text('[package]\nname = "book"\n')
    choice = ProjectChoice(
        str(folder), (CargoChoice("bin", "book", "book"), CargoChoice("bench", "path", "book")), ("release",)
    )
    made = record_facts.Project(choice, folder / "target")
    monkeypatch.setattr(record_facts, "read_project", lambda _folder: made)
    return folder


def test_a_dropped_project_is_recorded_with_cargo_flamegraph(
    parts: Parts, page: RecordPage, qtbot: QtBot, project: Path
) -> None:
    parts.controller.open_paths([project])
    qtbot.waitUntil(lambda: "cargo flamegraph" in page.command.toPlainText(), timeout=20_000)
    rest(qtbot)
    assert page.draft.options.tool == CARGO_FLAMEGRAPH
    assert page.draft.target.project == str(project)
    assert [page.target.targets.item(at).text() for at in range(2)] == ["book   binary", "path   bench"]
    page.target.targets.setCurrentRow(1)
    qtbot.waitUntil(lambda: "--bench path" in page.command.toPlainText(), timeout=20_000)
    assert page.command.toPlainText().startswith(f"cd {project} && cargo flamegraph --package book --bench path")


def test_the_project_of_a_binary_is_found(parts: Parts, page: RecordPage, qtbot: QtBot, project: Path) -> None:
    binary = project / "target/release/book"
    binary.write_text(f"#!{sys.executable}\n")
    binary.chmod(0o755)
    choose(parts, page, qtbot, binary)
    qtbot.waitUntil(lambda: page.target.targets.count() == 2, timeout=20_000)
    assert page.draft.target.project == str(project)
    assert not page.draft.in_project
    rest(qtbot)


# The rest


def test_paths_are_completed(parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]) -> None:
    binary = engine()
    page.completions_wanted.emit(str(binary)[:-2])
    qtbot.waitUntil(lambda: page.target.binary.completer().model().rowCount() == 1, timeout=20_000)


def test_checking_again_looks_at_the_machine_anew(
    parts: Parts, page: RecordPage, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[bool] = []
    monkeypatch.setattr(recording_controller, "forget_host", lambda: forgotten.append(True))
    monkeypatch.setattr(recording_controller, "probe_host", Host)
    page.check_again.emit()
    qtbot.waitUntil(lambda: not page.options.cards[0].tool.available, timeout=20_000)
    assert forgotten == [True]
    assert page.options.cards[0].tool.reason == "perf is not installed"


def test_our_own_cost_is_looked_at_while_it_runs(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def look(_self: object, now: float) -> str:
        looks.append(now)
        return "window 2.0%"

    monkeypatch.setattr(recording_controller.OwnCost, "look", look)
    choose(parts, page, qtbot, engine(UNTIL_STOPPED))
    page.record.click()
    qtbot.waitUntil(lambda: page.side is Side.RUN and page.run.cost.text == "window 2.0%", timeout=20_000)
    page.run.stop.click()
    qtbot.waitUntil(lambda: not parts.recorder.running and tasks.at_rest(), timeout=20_000)
    assert looks


class _Windows(QObject):
    """Hears of every window that is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Show and isinstance(watched, QWidget) and watched.isWindow():
            self.shown.append(repr(watched))
        return False


def test_a_result_that_opens_by_itself_leaves_the_keys_to_the_window(
    parts: Parts, page: RecordPage, qtbot: QtBot, qapp: QApplication, engine: Callable[..., Path]
) -> None:
    """A part that is shown before it has its place flashes up as a window, and takes the keyboard with it."""
    choose(parts, page, qtbot, engine())
    windows = _Windows()
    qapp.installEventFilter(windows)
    page.record.click()
    qtbot.waitUntil(lambda: bool(parts.state.open_results) and tasks.at_rest())
    qapp.removeEventFilter(windows)
    assert windows.shown == []
    assert qapp.activeWindow() is parts.window
    qtbot.keyClick(parts.window, Qt.Key.Key_F5)
    qtbot.waitUntil(lambda: len(parts.state.open_results) == 2 and tasks.at_rest())
