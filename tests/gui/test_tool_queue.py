"""Tools whose options are fields in the window: recorded alone, in a queue, asked for snapshots, attached."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from pytestqt.qtbot import QtBot

import tailflame.tools
from helpers.field_tool import FieldToy
from tailflame.host.running import RunningProcess
from tailflame.host.system import EVENTS, Host, Support
from tailflame_gui import adapt, recording_controller, tasks, tools_controller
from tailflame_gui.record_model import Draft, OptionsDraft, TargetDraft
from tailflame_gui.rows import Level
from tailflame_gui.state import Page
from tailflame_gui.views.record_page import RecordPage, Side
from tailflame_gui.views.tools_page import ToolsPage
from tailflame_gui.widgets.choice_bar import ChoiceBar
from tailflame_gui.widgets.queue_bar import QueueBar
from tailflame_gui.wiring import Parts

HOST = Host(
    perf=Path("/usr/bin/perf"),
    perf_version="6.1",
    uid=1000,
    max_sample_rate=100_000,
    events={name: Support("clock" in name or "faults" in name, "no counters") for name in EVENTS},
    lbr=Support(False, "no branch records"),
)
TOYS = (FieldToy(), FieldToy("other", attaches=False), FieldToy("watcher", launches=False))
UNTIL_STOPPED = "import time\nprint('ready', flush=True)\ntime.sleep(60)\n"


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = (tailflame.tools.PERF_RECORD, tailflame.tools.CARGO_FLAMEGRAPH)
    monkeypatch.setattr(tailflame.tools, "FIELD_TOOLS", TOYS)
    monkeypatch.setattr(tailflame.tools, "TOOLS", (*usual, *TOYS))
    monkeypatch.setattr(adapt, "_TITLES", {tool.name: tool.title for tool in tailflame.tools.TOOLS})
    for module in (recording_controller, tools_controller):
        monkeypatch.setattr(module, "probe_host", lambda: HOST)


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


def over(parts: Parts, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not parts.recorder.running and tasks.at_rest(), timeout=30_000)


def choose(parts: Parts, page: RecordPage, qtbot: QtBot, binary: Path, tool: str = "toy") -> None:
    parts.controller.choose_target(binary)
    qtbot.waitUntil(lambda: page.draft.target.binary == str(binary) and tasks.at_rest(), timeout=20_000)
    page.choose_tool(tool)
    qtbot.waitUntil(lambda: "TOY BROKE" in page.command.toPlainText() and tasks.at_rest(), timeout=20_000)


def mode(page: RecordPage, value: str) -> None:
    bar = page.options.field_form.editor("mode")
    assert isinstance(bar, ChoiceBar)
    bar.button(value).click()


# One tool


def test_a_tool_of_fields_shows_its_form_its_cost_and_its_checks(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    choose(parts, page, qtbot, engine())
    assert page.options.field_form.isVisible() and not page.options.call_graph.isVisible()
    assert "The toy is a toy." in [check.title for check in page.preflight.open_checks]
    assert any(check.title.startswith("About 3.4 times slower") for check in page.preflight.open_checks)
    mode(page, "parts")
    qtbot.waitUntil(lambda: " parts 2 main" in page.command.toPlainText(), timeout=20_000)
    page.choose_tool("perf-record")
    assert page.options.call_graph.isVisible() and page.draft.options.values == {}
    page.choose_tool("toy")
    assert page.draft.options.values == {"mode": "parts"}  # each tool keeps what was set for it


def test_it_is_recorded_and_its_result_opens(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    choose(parts, page, qtbot, engine())
    page.record.click()
    qtbot.waitUntil(lambda: parts.state.page is Page.RESULTS and tasks.at_rest(), timeout=30_000)
    (tab,) = parts.state.open_results
    profile = tab.recording.profile if tab.recording else None
    assert profile is not None and profile.total() == 4
    (row,) = parts.state.sessions
    assert (row.tool, row.group, row.place) == ("Toy", "", "")
    assert page.run.samples.isHidden() and page.run.lost.isHidden()  # it takes none


def test_a_failure_is_told_in_the_tools_words(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    choose(parts, page, qtbot, engine())
    mode(page, "bad")
    page.record.click()
    over(parts, qtbot)
    assert page.last_sentence == "The toy broke."
    assert [notice.sentence for notice in parts.window.notices.notices] == ["The toy broke."]


def test_what_was_set_is_kept_for_the_program(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    binary = engine()
    choose(parts, page, qtbot, binary)
    mode(page, "parts")
    page.record.click()
    over(parts, qtbot)
    page.show_draft(Draft())
    parts.controller.choose_target(binary)
    rest(qtbot)
    assert (page.draft.options.tool, page.draft.options.values) == ("toy", {"mode": "parts"})


def test_values_of_a_file_that_nobody_trusts(parts: Parts) -> None:
    document = Draft(options=OptionsDraft(tool="toy", values={"depth": 7})).document()
    document["values"] = {"depth": 1e99, "mode": "evil", "name": ["x"], "quiet": "yes", "gone": 3}
    document["queue"] = [{"tool": 3}, "x", {"tool": "toy", "values": {"depth": float("nan")}}]
    read = Draft.from_document(document, target=TargetDraft(binary="/bin/true"))
    wish = recording_controller.record_facts.wish_of(Draft(read.target, read.options), HOST)
    values = wish.options.values  # type: ignore[union-attr]
    assert values["depth"] == 200 and values["mode"] == "good" and values["name"] == "main" and "gone" not in values
    assert [one.tool for one in read.queue] == ["perf-record", "toy"] and read.queue[1].values == {}


# While it runs


def test_snapshots_are_asked_for_by_key_and_open(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    choose(parts, page, qtbot, engine(UNTIL_STOPPED))
    mode(page, "parts")
    page.record.click()
    qtbot.waitUntil(lambda: any("ready" in line.text for line in page.run.console.shown), timeout=20_000)
    (snapshot,) = page.run.requests
    assert (snapshot.text(), snapshot.shortcut().toString()) == ("Snapshot now", "F9")
    assert snapshot in parts.window._all_actions()
    qtbot.waitUntil(lambda: len(page.run.files.rows) == 2, timeout=20_000)  # the parts that appeared by themselves
    qtbot.keyClick(page.run, Qt.Key.Key_F9)
    qtbot.waitUntil(lambda: len(page.run.files.rows) == 3, timeout=20_000)
    files = page.run.files
    assert [row.title for row in files.rows] == ["toy.1.part", "toy.2.part", "toy.snapshot1.folded"]
    assert files.isVisible()
    files.view.select_line(2)
    qtbot.keyClick(files.view, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(parts.state.open_results), timeout=20_000)
    qtbot.waitUntil(lambda: parts.state.open_results[0].recording is not None, timeout=20_000)
    opened = parts.state.open_results[0].recording
    assert opened is not None and opened.profile is not None and opened.profile.total() == 7
    assert parts.recorder.running
    parts.actions["stop"].trigger()
    over(parts, qtbot)
    assert len(parts.state.open_results) == 2
    assert not snapshot.isEnabled()


# A queue


def queued(page: RecordPage) -> list[str]:
    return [chip.text() for chip in page.queue_bar.chips]


def test_tools_are_queued_and_taken_out(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    assert not page.add_action.isEnabled()
    choose(parts, page, qtbot, engine())
    assert page.queue_bar.isHidden()
    page.options.cards[0].setFocus()
    qtbot.keyClick(
        page.options.cards[0],
        Qt.Key.Key_Return,
        Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier,
    )
    mode(page, "parts")
    page.add_to_queue()
    page.choose_tool("other")
    rest(qtbot)
    page.add_to_queue()
    assert queued(page) == ["Toy", "Toy", "Other"] and page.record.text() == "Record all 3"
    assert "mode parts" in page.queue_bar.chips[1].toolTip()
    assert page.queue_bar._rest.whole == "One after the other, about 10 times the program’s own time in all."
    page.queue_bar.chips[0].click()
    assert queued(page) == ["Toy", "Other"]
    page.queue_bar.clear_all.click()
    assert page.queue_bar.isHidden() and page.record.text() == "Record"


def test_a_long_queue_counts_what_has_no_room(qtbot: QtBot) -> None:
    bar = QueueBar()
    qtbot.addWidget(bar)
    bar.resize(640, 40)
    bar.show()
    bar.show_queue([(f"tool number {at}", "") for at in range(9)])
    shown = [chip for chip in bar.chips if not chip.isHidden()]
    assert 1 <= len(shown) < 9 and bar._rest.whole.startswith(f"and {9 - len(shown)} more. ")
    assert bar.minimumSizeHint().width() <= 320
    bar.resize(2000, 40)
    qtbot.waitUntil(lambda: all(not chip.isHidden() for chip in bar.chips))
    with qtbot.waitSignal(bar.removed) as heard:
        qtbot.keyClick(bar.chips[3], Qt.Key.Key_Space)
    assert heard.args == [3]


def test_all_tools_that_can_start_a_program_are_one_choice(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    choose(parts, page, qtbot, engine())
    page.add.menu().aboutToShow.emit()
    sets: dict[str, QAction] = {action.text(): action for action in page.add.menu().actions()}
    assert list(sets) == ["All tools (3)", "CPU time (1)", "Memory (2)"]
    sets["All tools (3)"].trigger()
    assert queued(page) == ["perf record", "Toy", "Other"]
    sets["Memory (2)"].trigger()
    assert queued(page) == ["Toy", "Other"]
    rest(qtbot)


def test_a_queue_runs_in_turn_as_one_group_and_a_failure_stops_nothing(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    places: list[str] = []
    parts.recorder.started.connect(lambda _plan: places.append(parts.recorder.place))
    choose(parts, page, qtbot, engine())
    page.add_to_queue()
    mode(page, "bad")
    page.add_to_queue()
    page.choose_tool("other")
    rest(qtbot)
    page.add_to_queue()
    page.record.click()
    qtbot.waitUntil(lambda: parts.recorder.running, timeout=20_000)
    assert page.queue_bar.isHidden()
    over(parts, qtbot)
    assert places == ["1 of 3", "2 of 3", "3 of 3"]
    assert [notice.sentence for notice in parts.window.notices.notices] == ["The toy broke."]
    assert len(parts.state.open_results) == 2 and parts.state.page is Page.RESULTS
    rows = parts.state.sessions
    assert [(row.tool, row.place, row.state) for row in reversed(rows)] == [
        ("Toy", "1 of 3", "complete"),
        ("Toy", "2 of 3", "failed"),
        ("Other", "3 of 3", "complete"),
    ]
    assert len({row.group for row in rows}) == 1 and rows[0].group
    assert [run.command_line.count("TOY BROKE") for run in parts.state.runs] == [1, 1, 1]


def test_stop_ends_the_one_that_runs_and_cancel_all_the_queue(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    choose(parts, page, qtbot, engine(UNTIL_STOPPED))
    for _ in range(3):
        page.add_to_queue()
    page.record.click()

    def ready(place: str) -> bool:
        shown = any("ready" in line.text for line in page.run.console.shown) if page.side is Side.RUN else False
        return parts.recorder.place == place and shown and page.running

    qtbot.waitUntil(lambda: ready("1 of 3"), timeout=20_000)
    assert page.run._title.text() == "1 of 3: Toy: engine"
    assert page.run.cancel_all.isVisible()
    page.run.stop.click()
    qtbot.waitUntil(lambda: ready("2 of 3"), timeout=20_000)
    assert parts.state.page is Page.RECORD and parts.state.open_results == ()
    page.run.cancel_all.click()
    assert page.run.asking and page.run.question.text() == "Throw this one away and start none of the others?"
    page.run.drop.click()
    over(parts, qtbot)
    assert len(parts.state.open_results) == 1
    (row,) = parts.state.sessions
    assert row.outcome.startswith("stopped by you")
    assert not parts.state.recording and len(parts.state.runs) == 2


def test_the_end_of_the_window_ends_the_queue_and_keeps_what_there_is(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    choose(parts, page, qtbot, engine(UNTIL_STOPPED))
    page.add_to_queue()
    page.add_to_queue()
    page.record.click()
    qtbot.waitUntil(lambda: page.running and bool(page.run.console.shown), timeout=20_000)
    parts.controller.spawn(parts.recorder.close(), "closing")
    over(parts, qtbot)
    (row,) = parts.state.sessions
    assert row.state == "complete" and row.outcome.startswith("stopped by you")


def test_f5_runs_the_queue_once_more(parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]) -> None:
    choose(parts, page, qtbot, engine())
    page.queue_set("Memory")
    page.record.click()
    qtbot.waitUntil(lambda: parts.recorder.running, timeout=20_000)
    over(parts, qtbot)
    parts.actions["record_again"].trigger()
    qtbot.waitUntil(lambda: parts.recorder.running, timeout=20_000)
    over(parts, qtbot)
    assert [row.place for row in parts.state.sessions] == ["2 of 2", "1 of 2"] * 2
    assert len({row.group for row in parts.state.sessions}) == 2


def test_a_tool_of_the_queue_that_cannot_run_is_told_and_left_out(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    choose(parts, page, qtbot, engine())
    page.show_draft(
        Draft(page.draft.target, page.draft.options, (OptionsDraft(tool="watcher"), OptionsDraft(tool="toy")))
    )
    page.record_requested.emit()
    qtbot.waitUntil(lambda: bool(parts.state.open_results), timeout=20_000)
    over(parts, qtbot)
    (notice,) = parts.window.notices.notices
    assert notice.sentence == "Watcher looks into running programs alone. Choose one that runs."
    assert len(parts.state.sessions) == 1


def test_a_tool_that_would_hang_is_told_and_not_started(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    choose(parts, page, qtbot, engine(name="hostile&"))
    page.queue_set("Memory")
    page.record.click()
    qtbot.waitUntil(lambda: bool(parts.state.open_results), timeout=20_000)
    over(parts, qtbot)
    (notice,) = parts.window.notices.notices
    assert (notice.sentence, notice.advice) == ("Other is left out: The toy would hang.", "Choose another toy.")
    assert [row.tool for row in parts.state.sessions] == ["Toy"]


def test_a_queue_is_kept_in_a_preset(parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]) -> None:
    choose(parts, page, qtbot, engine())
    page.queue_set("Memory")
    page.preset_save_requested.emit("memory")
    page.clear_queue()
    page.preset_apply_requested.emit("memory")
    rest(qtbot)
    assert queued(page) == ["Toy", "Other"]
    assert page.target.presets.current == "memory"


# Attaching


def process(**changes: object) -> RunningProcess:
    known: dict[str, object] = {
        "pid": os.getpid(),
        "start_ticks": 1,
        "name": "engine",
        "uid": 0,
        "user": "me",
        "command": ("engine", "--fast", "a b"),
        "binary": Path("/opt/engine"),
    }
    return RunningProcess(**{**known, **changes})  # type: ignore[arg-type]


def test_a_tool_that_attaches_takes_a_running_program(
    parts: Parts, page: RecordPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    choose(parts, page, qtbot, engine())
    assert page.target.is_shown("ways")
    page.target.ways.button("attach").click()
    rest(qtbot)
    qtbot.waitUntil(lambda: page.record.toolTip() == "Choose a running program.", timeout=20_000)
    assert page.target.is_shown("process") and not page.target.is_shown("binary")
    page.target.picker.selected.emit(process())
    qtbot.waitUntil(lambda: f"-p {os.getpid()}" in page.command.toPlainText(), timeout=20_000)
    target = page.draft.target
    assert (target.binary, target.arguments, target.pid) == ("/opt/engine", "--fast 'a b'", os.getpid())
    page.choose_tool("other")  # it cannot attach: the program to start is asked for again
    rest(qtbot)
    assert not page.target.is_shown("process") and page.target.is_shown("binary") and not page.draft.target.attach
    page.choose_tool("watcher")  # it can do nothing else
    rest(qtbot)
    assert page.target.is_shown("process") and not page.target.is_shown("ways") and page.draft.target.attach


def test_a_process_is_no_preset(parts: Parts, page: RecordPage, qtbot: QtBot) -> None:
    draft = Draft(TargetDraft(binary="/opt/engine", pid=7, attach=True, arguments="--fast"), OptionsDraft(tool="toy"))
    assert "pid" not in draft.document()
    again = Draft.from_document(draft.document(), target=draft.target)
    assert again == draft


# The tools page


@pytest.fixture
def reference(parts: Parts, page: RecordPage, qtbot: QtBot) -> Iterator[ToolsPage]:
    made = parts.window.findChild(ToolsPage)
    assert isinstance(made, ToolsPage)
    yield made


def to_tools(parts: Parts, made: ToolsPage, qtbot: QtBot) -> None:
    qtbot.keyClick(parts.window, Qt.Key.Key_8, Qt.KeyboardModifier.AltModifier)
    assert parts.state.page is Page.TOOLS
    qtbot.waitUntil(lambda: bool(made.entries) and tasks.at_rest(), timeout=20_000)


def test_the_tools_page_tells_everything_of_each_tool(
    parts: Parts, page: RecordPage, reference: ToolsPage, qtbot: QtBot, engine: Callable[..., Path]
) -> None:
    to_tools(parts, reference, qtbot)
    assert reference._target.whole == "No program is chosen yet."
    assert reference.entry("toy").known.problem == "Choose a program."
    parts.state.set_page(Page.RECORD)
    binary = engine()
    choose(parts, page, qtbot, binary)
    page.record.click()
    over(parts, qtbot)
    to_tools(parts, reference, qtbot)
    qtbot.waitUntil(lambda: reference.entry("toy").known.last is not None, timeout=20_000)
    toy, watcher = reference.entry("toy"), reference.entry("watcher")
    assert [entry.known.tool.name for entry in reference.entries] == [
        "perf-record", "cargo-flamegraph", "toy", "other", "watcher",
    ]  # fmt: skip
    assert toy.known.command_line.endswith(f"-- {binary}") and "/SESSION/" in toy.known.command_line
    assert watcher.known.problem == "Watcher looks into running programs alone. Choose one that runs."
    assert toy.last.text().startswith("Last result: ") and "engine" in toy.last.text()
    assert toy.known.tool.version == "1.2" and "About 3.4 times slower" in toy.accessibleDescription()
    assert reference._target.whole == "The commands are for engine."
    assert reference._reference is not None and "folded stacks" in reference._reference.formats


def test_the_tools_page_works_by_keys(
    parts: Parts, page: RecordPage, reference: ToolsPage, qtbot: QtBot, engine: Callable[..., Path], qapp: object
) -> None:
    from PySide6.QtGui import QGuiApplication

    choose(parts, page, qtbot, engine())
    page.record.click()
    over(parts, qtbot)
    for tab in parts.state.open_results:
        parts.controller.close_tab(tab)
    to_tools(parts, reference, qtbot)
    assert reference.filter.hasFocus()
    qtbot.keyClicks(reference.filter, "toy see")
    reference.filter.commit()
    assert [entry.known.tool.name for entry in reference.entries] == ["toy", "other", "watcher"]
    qtbot.keyClick(reference.filter, Qt.Key.Key_Down)
    toy = reference.entry("toy")
    assert toy.hasFocus()
    qtbot.keyClick(toy, Qt.Key.Key_C)
    assert QGuiApplication.clipboard().text() == toy.known.to_copy and "SESSION" not in toy.known.to_copy
    qtbot.keyClick(toy, Qt.Key.Key_Down)
    assert reference.entry("other").hasFocus()
    qtbot.keyClick(reference.entry("other"), Qt.Key.Key_Up)
    qtbot.keyClick(toy, Qt.Key.Key_Up)
    assert reference.filter.hasFocus()
    toy.setFocus()
    qtbot.keyClick(toy, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: parts.state.page is Page.RESULTS and tasks.at_rest(), timeout=20_000)
    assert len(parts.state.open_results) == 1
    to_tools(parts, reference, qtbot)
    reference.entry("other").setFocus()
    qtbot.keyClick(reference.entry("other"), Qt.Key.Key_U)
    assert parts.state.page is Page.RECORD and page.draft.options.tool == "other" and page.side is Side.SETTINGS
    rest(qtbot)


def test_a_filter_that_nothing_matches_says_so(parts: Parts, reference: ToolsPage, qtbot: QtBot) -> None:
    to_tools(parts, reference, qtbot)
    reference.filter.setText("nothing of the kind")
    reference.filter.commit()
    assert reference.entries == () and reference._empty._title.text() == "No tool matches “nothing of the kind”"
    reference.filter.clear()
    reference.filter.commit()
    assert len(reference.entries) == 5


def test_a_tool_that_is_missing_has_its_fix(
    parts: Parts, reference: ToolsPage, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tailflame.tools import Capabilities

    monkeypatch.setattr(TOYS[0].__class__, "probe", lambda *_: Capabilities(False, "python3 is not installed"))
    to_tools(parts, reference, qtbot)
    known = reference.entry("toy").known.tool
    assert not known.available and "python3" in known.fix
    assert Level.ERROR not in {notice.level for notice in parts.window.notices.notices}
