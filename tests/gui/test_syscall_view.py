"""System calls in the window: strace's own sums, one selection for all tables, and what is said where nothing is."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from helpers.results import show
from helpers.stack_counts import DATA
from tailflame.model import Recording
from tailflame.parse import load
from tailflame_gui import tasks
from tailflame_gui.models.roles import Role
from tailflame_gui.models.scope import ResultScope
from tailflame_gui.models.syscall_table import SyscallTable
from tailflame_gui.selection import Selection
from tailflame_gui.views.compared_parts import compared_kinds
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.views.syscall_comparison import Per, SyscallComparison
from tailflame_gui.views.syscall_view import Page, SyscallView

STRACE = DATA / "strace" / "6.1"


def made(qtbot: QtBot, recording: Recording) -> SyscallView:
    view = SyscallView(recording, selection=Selection(), scope=ResultScope())
    show(qtbot, view, 1160, 700)
    settled(qtbot, view)
    return view


def settled(qtbot: QtBot, view: SyscallView) -> None:
    qtbot.waitUntil(lambda: tasks.at_rest() and not view.busy)


def go(qtbot: QtBot, view: SyscallView, page: Page) -> None:
    view.show_page(page)
    settled(qtbot, view)


def cells(model: SyscallTable) -> dict[str, dict[str, str]]:
    """The texts of each line under their titles, by the first."""
    titles = [column.title for column in model.columns]
    lines = [[str(model.index(line, at).data() or "") for at in range(len(titles))] for line in range(model.rowCount())]
    return {line[0]: dict(zip(titles, line, strict=True)) for line in lines}


def test_the_table_holds_straces_own_sums(qtbot: QtBot, qtmodeltester: ModelTester) -> None:
    recording = load(STRACE / "trading.log.gz")
    view = made(qtbot, recording)
    qtmodeltester.check(view.model)
    assert recording.syscalls is not None
    (sums,) = recording.syscalls.sums
    shown = cells(view.model)
    assert list(shown)[:3] == ["futex", "clock_nanosleep", "write"]
    for name, calls, errors in zip(sums.names, sums.calls.tolist(), sums.errors.tolist(), strict=True):
        assert shown[name]["Calls"] == f"{calls:,}"
        assert shown[name]["Errors"] == (f"{errors:,}" if errors else "")
    assert shown["futex"]["Which errors"] == "EAGAIN 167, ETIMEDOUT 1"
    assert shown["futex"]["Max, µs"] == "999,291"
    assert view.said.whole.startswith("4,710 calls  ·  2.23 s in calls  ·  169 errors")


def test_a_call_that_is_chosen_is_what_the_rest_is_about(qtbot: QtBot, qtmodeltester: ModelTester) -> None:
    view = made(qtbot, load(STRACE / "trading.log.gz"))
    view.table.selectRow(2)
    settled(qtbot, view)
    assert view.call == "write" and view.chip.isVisible()
    assert view.latencies.lines[0].histogram.total == 805
    assert view.rate.note == "write"
    go(qtbot, view, Page.PLACES)
    qtmodeltester.check(view.model)
    places = cells(view.model)
    assert places["/srv/journal.jsonl"]["Calls"] == "797" and places["/srv/journal.jsonl"]["Descriptor"] == "3"
    go(qtbot, view, Page.SLOWEST)
    qtmodeltester.check(view.model)
    assert all(text.startswith("write(") for text in cells(view.model))
    view.take_back()
    settled(qtbot, view)
    assert view.call == "" and not view.chip.isVisible()


def test_the_slowest_have_their_arguments(qtbot: QtBot) -> None:
    view = made(qtbot, load(STRACE / "trading.log.gz"))
    go(qtbot, view, Page.SLOWEST)
    first = view.model.index(0, 0).data()
    assert first.startswith("futex(0x56299ae7b128, FUTEX_WAIT_BITSET_PRIVATE")
    took = [float(view.model.index(line, 1).data(Role.RAW)) for line in range(view.model.rowCount())]
    assert took == sorted(took, reverse=True)
    view.table.opened.emit(0)
    assert view.axis.hover_s == pytest.approx(0.298368, abs=1e-5)
    settled(qtbot, view)


def test_a_range_of_time_filters_the_tables(qtbot: QtBot) -> None:
    view = made(qtbot, load(STRACE / "trading.log.gz"))
    before = view.model.rowCount()
    view.axis.select(0.5, 0.6)
    settled(qtbot, view)
    shown = cells(view.model)
    assert 0 < len(shown) < before and view.everything.isVisible()
    assert len(view.latencies.lines) == 2
    view.take_back()
    settled(qtbot, view)
    assert view.model.rowCount() == before


def test_a_thread_filters_the_tables(qtbot: QtBot) -> None:
    recording = load(STRACE / "trading.log.gz")
    view = made(qtbot, recording)
    assert recording.syscalls is not None
    engine = next(at for at, of in enumerate(recording.syscalls.threads) if of.name == "engine-1")
    view.choose_thread(engine)
    settled(qtbot, view)
    trace = recording.syscalls
    own = int(((trace.thread == engine) & (trace.returned > 0)).sum())
    assert sum(int(line["Calls"].replace(",", "")) for line in cells(view.model).values()) == own


def test_threads_blocked_together(qtbot: QtBot, qtmodeltester: ModelTester) -> None:
    view = made(qtbot, load(STRACE / "trading.log.gz"))
    go(qtbot, view, Page.BLOCKED)
    qtmodeltester.check(view.model)
    ((place, line),) = cells(view.model).items()
    assert place == "futex 0x56299ae81108" and line["Threads"] == "2" and line["Calls"] == "futex"


def test_signals_and_ends_are_marked(qtbot: QtBot) -> None:
    view = made(qtbot, load(STRACE / "edge.log.gz"))
    texts = [mark.text.partition(": ")[2] for mark in view.rate.moments]
    assert {"SIGALRM", "SIGCHLD", "killed by SIGKILL", "exited with 4"} <= set(texts)
    killed = next(mark for mark in view.rate.moments if "killed" in mark.text)
    assert "killed by SIGKILL" in view.rate.tip(killed.time_s, 0.0)
    assert "a second at" in view.rate.tip(0.0, 0.0)


def test_one_selection_with_the_other_views(qtbot: QtBot) -> None:
    view = made(qtbot, load(STRACE / "trading.log.gz"))
    view._selection.select("mmap")
    assert view.model.index(view.table.current_line(), 0).data() == "mmap"
    with qtbot.waitSignal(view.show_flame) as wanted:
        view.table.opened.emit(view.table.current_line())
    assert wanted.args == ["mmap"]


def test_the_filter_finds_calls_and_errors(qtbot: QtBot) -> None:
    view = made(qtbot, load(STRACE / "trading.log.gz"))
    view.filter.set_query("EAGAIN")
    assert list(cells(view.model)) == ["futex"]
    view.filter.set_query("nothing of the kind")
    assert not view.table.isVisible()
    view.filter.set_query("(")
    view.filter.set_query("")
    assert view.table.isVisible()


def test_by_keyboard(qtbot: QtBot) -> None:
    view = made(qtbot, load(STRACE / "trading.log.gz"))
    view.table.setFocus()
    QTest.keyClick(view.table, Qt.Key.Key_4, Qt.KeyboardModifier.AltModifier)
    settled(qtbot, view)
    assert view.page is Page.BLOCKED
    QTest.keyClick(view.table, Qt.Key.Key_1, Qt.KeyboardModifier.AltModifier)
    settled(qtbot, view)
    QTest.keyClick(view.table, Qt.Key.Key_Home)
    settled(qtbot, view)
    assert view.call == "futex"
    QTest.keyClick(view.table, Qt.Key.Key_Escape)
    settled(qtbot, view)
    assert view.call == ""
    view.choose_call("write")
    settled(qtbot, view)
    view.filter.set_query("futex")
    QTest.keyClick(view.filter, Qt.Key.Key_Escape)
    assert view.filter.text() == "" and view.call == "write", "Escape in the filter is the filter's"
    view.table.copy(everything=True)
    copied = QApplication.clipboard().text()
    assert copied.startswith("Call\tCalls\tErrors\tTotal, ms")


@pytest.mark.parametrize("line", [-1, 0])
def test_the_menu(qtbot: QtBot, line: int) -> None:
    view = made(qtbot, load(STRACE / "trading.log.gz"))
    words = [action.text() for action in view.menu_for(line).actions() if action.text()]
    assert words[-1] == "Copy table as shown" and ("Only futex" in words) == (line == 0)


def test_a_short_run_has_a_length(qtbot: QtBot) -> None:
    recording = load(STRACE / "trading.log.gz")
    trace = recording.syscalls
    assert trace is not None
    start = trace.start_s[0] + (trace.start_s - trace.start_s[0]) / 1000
    short = replace(recording, results=(replace(trace, start_s=start, duration_s=trace.duration_s / 1000),))
    ends = made(qtbot, short).said.whole.rpartition("  ·  ")[2]
    assert re.fullmatch(r"[\d.]+ (µs|ms)", ends), ends


def test_sums_alone(qtbot: QtBot, qtmodeltester: ModelTester) -> None:
    view = made(qtbot, load(STRACE / "columns.txt"))
    qtmodeltester.check(view.model)
    assert cells(view.model)["mmap"] == {
        "Call": "mmap", "Calls": "17", "Errors": "", "Total, µs": "259.0", "Share, %": "20.6", "Max, µs": "24",
    }  # fmt: skip
    assert "strace -c keeps no single calls: no percentiles" in view.said.whole
    assert not view.rate.isVisible() and not view.latencies.isVisible()
    for page in (Page.PLACES, Page.SLOWEST, Page.BLOCKED):
        go(qtbot, view, page)
        assert view.empty.isVisible()


@pytest.mark.parametrize("name", ["relative.log.gz", "stderr.log.gz", "clock.log.gz", "edge.log.gz", "attach.log"])
def test_logs_without_times_or_durations(qtbot: QtBot, name: str) -> None:
    recording = load(STRACE / name)
    view = made(qtbot, recording)
    assert recording.syscalls is not None
    timed = bool(np.isfinite(recording.syscalls.duration_s).any())
    assert any("Total" in column.title for column in view.model.columns) == timed
    assert view.latencies.isVisible() == timed
    for page in Page:
        go(qtbot, view, page)
        assert view.model.rowCount() or view.empty.isVisible()


def test_nothing_came_back(qtbot: QtBot) -> None:
    recording = load(STRACE / "attach.log")
    trace = recording.syscalls
    assert trace is not None
    none = replace(trace, returned=np.zeros_like(trace.returned), slow=np.zeros(0, np.int32), slow_text=())
    view = made(qtbot, replace(recording, results=(none,)))
    assert view.empty.isVisible()
    assert view.said.whole.startswith("0 calls")


def test_a_result_of_strace_begins_with_its_calls(qtbot: QtBot) -> None:
    view = ResultView(load(STRACE / "trading.log.gz"))
    show(qtbot, view, 1160, 740)
    qtbot.waitUntil(lambda: tasks.at_rest() and not view.busy)
    assert view.part is Part.SYSCALLS


# Two runs


def compared(qtbot: QtBot, before: Path, after: Path) -> SyscallComparison:
    (kind,) = (k for k in compared_kinds(load(before), load(after)) if k.title == "System calls")
    view = kind.make(load(before), load(after), ("before", "after"), ("", ""))
    assert isinstance(view, SyscallComparison)
    show(qtbot, view, 1160, 700)
    qtbot.waitUntil(lambda: tasks.at_rest() and not view.busy)
    return view


def test_two_runs_side_by_side(qtbot: QtBot, qtmodeltester: ModelTester) -> None:
    view = compared(qtbot, STRACE / "trading.log.gz", STRACE / "filtered.log.gz")
    qtmodeltester.check(view.model)
    assert view.cautions.texts[0].startswith("One run each")
    view.per.choose(Per.RUN)
    view._fill()
    (at,) = (line for line in range(view.model.rowCount()) if view.model.index(line, 0).data() == "write")
    titles = [column.title for column in view.model.columns]
    assert titles[:4] == ["Call", "Calls", "after", "%"]
    assert [view.model.index(at, column).data() for column in (1, 2)] == ["805", "207"]
    assert "gone" in view.said.whole
    view.filter.set_query("futex")
    assert view.model.rowCount() == 1


def test_all_columns_fit_beside_the_navigation(qtbot: QtBot) -> None:
    """In a window of 1280 pixels the table has some 1140: the last column was cut off, with a scroll bar below."""
    before, after = load(STRACE / "trading.log.gz"), load(STRACE / "trading.log.gz")
    trace = after.syscalls
    assert trace is not None
    fine = replace(trace, duration_s=np.full(len(trace), 0.0140003))
    finely = replace(before, results=(fine,)), replace(after, results=(replace(fine, start_s=trace.start_s / 2),))
    (kind,) = (k for k in compared_kinds(*finely) if k.title == "System calls")
    view = kind.make(*finely, ("before", "after"), ("", ""))
    assert isinstance(view, SyscallComparison)
    show(qtbot, view, 1140, 690)
    qtbot.waitUntil(lambda: tasks.at_rest() and not view.busy)
    assert view.model.columnCount() == 16
    assert any(view.model.index(line, 14).data() == "14,000.3" for line in range(view.model.rowCount()))
    assert not view.table.horizontalScrollBar().maximum()


def test_runs_of_different_length_are_compared_by_the_second(qtbot: QtBot) -> None:
    view = compared(qtbot, STRACE / "trading.log.gz", STRACE / "edge.log.gz")
    assert view.per.choice is Per.SECOND
    assert any("The runs lasted" in text for text in view.cautions.texts)


def test_seconds_of_another_kind_are_not_compared(qtbot: QtBot) -> None:
    view = compared(qtbot, STRACE / "attach-cpu.txt", STRACE / "trading.log.gz")
    assert any(text.startswith("Times are not compared") for text in view.cautions.texts)
    assert not any("Total" in column.title for column in view.model.columns)
    assert "the largest change of calls first" in view.said.whole


def test_sums_alone_compare_without_percentiles(qtbot: QtBot) -> None:
    view = compared(qtbot, STRACE / "attach-wall.txt", STRACE / "attach-cpu.txt")
    assert not view.per.isVisible()
    assert any("no percentiles" in text for text in view.cautions.texts)
    assert not any("p99" in column.title for column in view.model.columns)
