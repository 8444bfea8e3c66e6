"""The record page with the real tools on the demo target: each recorded from the window, its result in its own part."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

# The window's strict test bed; a fixture is used by being here.
from gui.conftest import (  # noqa: F401
    _collected_here,
    _light_again,
    _logs_are_clean,
    _nothing_left_running,
    _session_loop,
    _themed,
    loop,
    own_folders,
    parts,
)
from tailflame.host.processes import ProcessTree
from tailflame.host.running import ProcessList
from tailflame.host.system import forget_host
from tailflame.model import Recording
from tailflame.tools import field_tool
from tailflame_gui import tasks
from tailflame_gui.state import OpenResult, Page, Stage
from tailflame_gui.views.record_page import RecordPage, Side
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.wiring import Parts

pytestmark = [pytest.mark.beside, pytest.mark.timeout(600)]

SHORT = "--seconds 1 --rate 2000"
TOOLS = (
    pytest.param("perf-stat", Part.COUNTERS, marks=pytest.mark.tool("perf")),
    pytest.param("strace", Part.SYSCALLS, marks=pytest.mark.tool("strace")),
    pytest.param("heaptrack", Part.MEMORY, marks=pytest.mark.tool("heaptrack")),
    pytest.param("jemalloc", Part.MEMORY, marks=pytest.mark.tool("jeprof")),
    pytest.param("massif", Part.MEMORY, marks=pytest.mark.tool("valgrind")),
    pytest.param("dhat", Part.MEMORY, marks=pytest.mark.tool("valgrind")),
    pytest.param("cachegrind", Part.CACHES, marks=pytest.mark.tool("valgrind")),
    pytest.param("callgrind", Part.CACHES, marks=pytest.mark.tool("valgrind")),
)


@pytest.fixture
def page(parts: Parts, qtbot: QtBot) -> Iterator[RecordPage]:  # noqa: F811
    forget_host()  # a test before may have looked at a perf of its own
    made = parts.window.record_page
    assert isinstance(made, RecordPage)
    parts.actions["record_page"].trigger()
    qtbot.waitUntil(lambda: tasks.at_rest() and bool(made.options.cards))
    yield made


def choose(
    parts: Parts,  # noqa: F811
    page: RecordPage,
    qtbot: QtBot,
    binary: Path,
    tool: str,
    arguments: str = SHORT,
) -> None:
    """As a user does: drops the binary on the window, types the arguments, clicks the tool."""
    parts.window.dropped.emit((binary,))
    qtbot.waitUntil(lambda: bool(page.command.toPlainText()) and tasks.at_rest())
    page.target.arguments.setFocus()
    page.target.arguments.clear()
    qtbot.keyClicks(page.target.arguments, arguments)
    page.choose_tool(tool)
    rest = "and not a tool" if field_tool(tool) is None else arguments
    qtbot.waitUntil(lambda: rest in page.command.toPlainText() and tasks.at_rest(), timeout=60_000)
    assert page.record.isEnabled(), page.record.toolTip()


def results(parts: Parts, qtbot: QtBot, number: int) -> list[tuple[OpenResult, Recording]]:  # noqa: F811
    """What has opened by itself."""
    qtbot.waitUntil(lambda: not parts.recorder.running and tasks.at_rest(), timeout=300_000)
    problems = [notice.sentence for notice in parts.window.notices.notices]
    assert len(parts.state.open_results) == number, problems
    found = []
    for tab in parts.state.open_results:
        assert tab.stage is Stage.READY and tab.recording is not None
        found.append((tab, tab.recording))
    return found


@pytest.mark.parametrize(("tool", "part"), TOOLS)
def test_each_tool_records_and_its_result_opens_in_its_part(
    parts: Parts,  # noqa: F811
    page: RecordPage,
    qtbot: QtBot,
    demo_binary: Path,
    tool: str,
    part: Part,
) -> None:
    choose(parts, page, qtbot, demo_binary, tool)
    shown = page.command.toPlainText()
    page.record.click()
    qtbot.waitUntil(lambda: page.side is Side.RUN and parts.recorder.running)
    ((tab, recording),) = results(parts, qtbot, 1)
    assert parts.state.page is Page.RESULTS
    view = parts.window.results.page
    assert isinstance(view, ResultView)
    assert view.part is part, recording.format
    assert page.last_sentence.startswith("trading-system: "), page.last_sentence
    # What was shown is what ran, but for the folder that did not exist yet.
    assert page.run.command.whole == shown.replace("SESSION", tab.path.name)
    (row,) = parts.state.sessions
    known = field_tool(tool)
    assert known is not None and (row.state, row.tool) == ("complete", known.title)
    # It opens once more, from its session alone.
    parts.controller.close_tab(tab)
    parts.controller.open_session(row)
    ((_, again),) = results(parts, qtbot, 1)
    assert type(again.results[0]) is type(recording.results[0])


@pytest.mark.tool("strace")
@pytest.mark.tool("heaptrack")
def test_two_tools_in_turn_are_one_group(
    parts: Parts,  # noqa: F811
    page: RecordPage,
    qtbot: QtBot,
    demo_binary: Path,
) -> None:
    choose(parts, page, qtbot, demo_binary, "strace")
    page.add_to_queue()
    page.choose_tool("heaptrack")
    qtbot.waitUntil(lambda: "DUMP_HEAPTRACK_OUTPUT" in page.command.toPlainText() and tasks.at_rest())
    page.add_to_queue()
    assert page.record.text() == "Record all 2"
    page.record.click()
    qtbot.waitUntil(lambda: parts.recorder.place == "2 of 2", timeout=120_000)
    (_, one), (_, other) = results(parts, qtbot, 2)
    assert one.syscalls is not None and other.heap is not None
    assert [row.place for row in parts.state.sessions] == ["2 of 2", "1 of 2"]
    library = parts.window.library_page
    parts.state.set_page(Page.LIBRARY)
    library.table.select_line(0)
    library._group.trigger()
    assert len(library.table.selected()) == 2


@pytest.mark.tool("strace")
def test_attaching_lets_go_of_a_program_that_runs_on(
    parts: Parts,  # noqa: F811
    page: RecordPage,
    qtbot: QtBot,
    demo_binary: Path,
) -> None:
    engine = subprocess.Popen([demo_binary, "--mode", "serve", "--rate", "2000"], stdout=subprocess.DEVNULL)
    try:
        choose(parts, page, qtbot, demo_binary, "strace")
        page.target.ways.button("attach").click()
        picker = page.target.picker
        qtbot.waitUntil(lambda: picker.view.order.rowCount() > 0 and tasks.at_rest(), timeout=60_000)
        picker.filter_field.set_query(str(engine.pid))
        qtbot.keyClick(picker.filter_field, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: f"-p {engine.pid}" in page.command.toPlainText() and tasks.at_rest(), timeout=60_000)
        page.record.click()
        qtbot.waitUntil(lambda: page.side is Side.RUN and page.run.stop.isVisible())
        assert page.run.stop.text() == "Detach"
        qtbot.waitUntil(lambda: page.run.bytes.text not in ("—", "0 B"), timeout=60_000)
        page.run.stop.click()
        ((_, recording),) = results(parts, qtbot, 1)
        assert recording.syscalls is not None
        assert engine.poll() is None and ProcessTree(engine.pid) is not None
        (seen,) = [process for process in ProcessList().look() if process.pid == engine.pid]
        assert seen.attachable  # nobody traces it any more
    finally:
        engine.terminate()
        engine.wait(timeout=30)


@pytest.mark.tool("jeprof")
def test_each_dump_of_jemalloc_appears_as_it_is_written_and_opens(
    parts: Parts,  # noqa: F811
    page: RecordPage,
    qtbot: QtBot,
    demo_binary: Path,
) -> None:
    choose(parts, page, qtbot, demo_binary, "jemalloc", "--mode serve --rate 20000 --churn 40")
    page.record.click()
    qtbot.waitUntil(lambda: page.side is Side.RUN and bool(page.run.files.rows), timeout=120_000)
    assert parts.recorder.running
    page.run.files.open.click()
    qtbot.waitUntil(lambda: bool(parts.state.open_results) and parts.state.open_results[0].recording is not None)
    dump = parts.state.open_results[0].recording
    assert dump is not None and dump.format.startswith("jemalloc") and dump.profile is not None
    parts.actions["stop"].trigger()
    results(parts, qtbot, 2)


@pytest.mark.tool("valgrind")
def test_a_snapshot_of_massif_at_the_press_of_a_key(
    parts: Parts,  # noqa: F811
    page: RecordPage,
    qtbot: QtBot,
    demo_binary: Path,
) -> None:
    choose(parts, page, qtbot, demo_binary, "massif", "--mode serve --rate 200")
    page.record.click()
    qtbot.waitUntil(lambda: page.side is Side.RUN and bool(page.run.requests))

    def runs() -> bool:
        """valgrind's own process has used some CPU: the program is past its start."""
        children = psutil.Process().children(recursive=True)
        return any("massif" in " ".join(child.cmdline()) and child.cpu_times().user > 2 for child in children)

    qtbot.waitUntil(runs, timeout=120_000)
    qtbot.keyClick(page.run, Qt.Key.Key_F9)
    qtbot.waitUntil(lambda: bool(page.run.files.rows), timeout=120_000)
    assert page.run.files.rows[0].path.is_file()
    page.run.files.view.activated_row.emit(page.run.files.rows[0])
    qtbot.waitUntil(lambda: bool(parts.state.open_results) and parts.state.open_results[0].recording is not None)
    snapshot = parts.state.open_results[0].recording
    assert snapshot is not None and snapshot.heap is not None
    parts.actions["stop"].trigger()
    results(parts, qtbot, 2)
