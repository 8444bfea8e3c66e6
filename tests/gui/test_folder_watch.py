"""A watched folder in the window: one tab that grows, and a switch between cumulative and each by itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from helpers.stacks import profile
from tailflame.analyse.slices import merge
from tailflame.model import StackProfile
from tailflame.report import svg
from tailflame_gui import slices_opening, tasks
from tailflame_gui.folder_watch import FolderWatch
from tailflame_gui.state import OpenResult, Page, Stage
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.widgets.slice_strip import SliceStrip
from tailflame_gui.wiring import Parts

TEXT = "main;a 10\nmain;b 5"


def drawn(folder: Path, second: int, one: StackProfile) -> None:
    """A snapshot that was complete long ago."""
    path = folder / f"profile_{1795643000 + second}000.svg"
    svg.write(one, path)
    os.utime(path, (1795643000, 1795643000))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "snapshots"
    made.mkdir()
    for n in range(1, 4):
        drawn(made, n, merge([profile(TEXT)] * n))
    return made


def totals(watch: FolderWatch) -> list[float]:
    recording = watch.tab.recording
    return [row.samples for row in recording.slices.rows] if recording is not None and recording.slices else []


def ended(parts: Parts, watch: FolderWatch, qtbot: QtBot) -> None:
    parts.controller.close_tab(watch.tab)
    qtbot.waitUntil(tasks.at_rest)


def test_cumulative_snapshots_are_one_strip_of_differences(parts: Parts, folder: Path, qtbot: QtBot) -> None:
    watch = parts.watches.watch(folder)
    qtbot.waitUntil(lambda: totals(watch) == [15, 15, 15])
    assert parts.state.page is Page.RESULTS
    assert watch.tab.title == "snapshots, watched"
    page = parts.window.results.page
    assert isinstance(page, ResultView)
    assert page.part is Part.LATENCY
    assert any("less the one before it" in caution.text for caution in page.recording.warnings)
    # The other way, by the palette's action, and back.
    parts.actions["snapshots"].trigger()
    qtbot.waitUntil(lambda: totals(watch) == [15, 30, 45])
    parts.actions["snapshots"].trigger()
    qtbot.waitUntil(lambda: totals(watch) == [15, 15, 15])
    # Another snapshot joins.
    drawn(folder, 9, merge([profile(TEXT)] * 5))
    qtbot.waitUntil(lambda: totals(watch) == [15, 15, 15, 30])
    assert len(parts.state.open_results) == 1
    assert parts.watches.watch(folder) is watch
    ended(parts, watch, qtbot)
    assert parts.jobs.jobs == ()


def test_a_range_opens_as_a_flame_graph_and_two_as_a_comparison(parts: Parts, folder: Path, qtbot: QtBot) -> None:
    watch = parts.watches.watch(folder)
    qtbot.waitUntil(lambda: totals(watch) == [15, 15, 15])
    page = parts.window.results.page
    assert isinstance(page, ResultView)
    qtbot.waitUntil(lambda: not page.busy and page.findChild(SliceStrip) is not None)
    strip = page.findChild(SliceStrip)
    assert strip is not None
    qtbot.waitUntil(lambda: len(strip.rows) == 3)
    strip.setFocus()
    strip.axis.select(strip.rows[0].start_s, strip.rows[1].end_s)
    strip.set_second((strip.rows[2].start_s, strip.rows[2].end_s))
    strip.compared.emit()
    comparison = parts.state.comparison
    assert comparison is not None
    qtbot.waitUntil(lambda: comparison.stage is Stage.READY)
    assert comparison.before is not None and comparison.before.profile is not None
    assert comparison.after is not None and comparison.after.profile is not None
    assert (comparison.before.profile.total(), comparison.after.profile.total()) == (15, 30)
    strip.opened.emit()
    tab = parts.state.results.current
    assert isinstance(tab, OpenResult)
    qtbot.waitUntil(lambda: tab.stage is Stage.READY)
    assert tab.recording is not None and tab.recording.profile is not None
    assert tab.recording.profile.total() == 30
    ended(parts, watch, qtbot)


def test_its_end_keeps_a_session_and_leaves_no_task(parts: Parts, folder: Path, qtbot: QtBot) -> None:
    watch = parts.watches.watch(folder)
    qtbot.waitUntil(lambda: totals(watch) == [15, 15, 15])
    watch.stop()
    qtbot.waitUntil(lambda: not watch.running and tasks.at_rest())
    assert parts.jobs.jobs == ()
    session = watch.tab.session
    assert session is not None and session.path.parent == parts.controller.library.root
    assert watch.tab.path == session.path
    assert totals(watch) == [15, 15, 15]
    # Closed and reopened it is the same session; the folder is watched anew when it is asked for again.
    parts.controller.close_tab(watch.tab)
    parts.actions["reopen_tab"].trigger()
    (again,) = parts.state.open_results
    qtbot.waitUntil(lambda: again.stage is Stage.READY)
    assert again.path == session.path
    assert again.recording is not None and again.recording.slices is not None
    assert [row.samples for row in again.recording.slices.rows] == [15, 15, 15]
    fresh = parts.watches.watch(folder)
    assert fresh is not watch
    qtbot.waitUntil(lambda: totals(fresh) == [15, 15, 15])
    ended(parts, fresh, qtbot)


def test_the_end_of_the_program_waits_until_it_is_kept(parts: Parts, folder: Path, qtbot: QtBot) -> None:
    watch = parts.watches.watch(folder)
    qtbot.waitUntil(lambda: totals(watch) == [15, 15, 15])
    closing = tasks.spawn(parts.watches.close(), name="closing", on_error=parts.controller.fail)
    qtbot.waitUntil(closing.done)
    assert not watch.running
    assert [info.tool for info in parts.controller.library.sessions()] == ["snapshots"]
    ended(parts, watch, qtbot)


def test_a_folder_that_goes_keeps_what_came(parts: Parts, folder: Path, qtbot: QtBot) -> None:
    watch = parts.watches.watch(folder)
    qtbot.waitUntil(lambda: totals(watch) == [15, 15, 15])
    folder.rename(folder.with_name("elsewhere"))
    qtbot.waitUntil(lambda: not watch.running and tasks.at_rest())
    assert any("cannot be watched" in notice.sentence for notice in parts.window.notices.notices)
    assert watch.tab.session is not None
    assert totals(watch) == [15, 15, 15]


def test_a_tab_that_is_closed_while_it_is_watched_comes_back(parts: Parts, folder: Path, qtbot: QtBot) -> None:
    watch = parts.watches.watch(folder)
    qtbot.waitUntil(lambda: totals(watch) == [15, 15, 15])
    ended(parts, watch, qtbot)
    assert not watch.running
    assert parts.jobs.jobs == ()
    parts.actions["reopen_tab"].trigger()
    (again,) = parts.state.open_results
    qtbot.waitUntil(lambda: again.stage is Stage.READY)
    assert again.session is not None and again.session.tool == "snapshots"


def test_it_is_pinned_as_it_is_and_compared_as_it_grows(parts: Parts, folder: Path, qtbot: QtBot) -> None:
    watch = parts.watches.watch(folder)
    qtbot.waitUntil(lambda: totals(watch) == [15, 15, 15])
    parts.controller.pin(watch.tab, binary=Path("/opt/book"))
    qtbot.waitUntil(lambda: any(row.baseline for row in parts.state.sessions))
    assert watch.running
    drawn(folder, 9, merge([profile(TEXT)] * 5))
    qtbot.waitUntil(lambda: totals(watch) == [15, 15, 15, 30])
    parts.controller.compare_with_baseline(watch.tab)
    comparison = parts.state.comparison
    assert comparison is not None
    qtbot.waitUntil(lambda: comparison.stage is Stage.READY)
    assert comparison.before is not None and comparison.before.profile is not None
    assert comparison.after is not None and comparison.after.profile is not None
    assert (comparison.before.profile.total(), comparison.after.profile.total()) == (45, 75)
    ended(parts, watch, qtbot)


def test_a_range_is_exported_and_pinned(parts: Parts, folder: Path, tmp_path: Path, qtbot: QtBot) -> None:
    watch = parts.watches.watch(folder)
    qtbot.waitUntil(lambda: totals(watch) == [15, 15, 15])
    assert watch.tab.recording is not None and watch.tab.recording.slices is not None
    rows = watch.tab.recording.slices.rows
    slices_opening.open_range_of(parts.controller, watch.tab, rows[0].start_s, rows[1].end_s)
    tab = parts.state.results.current
    assert isinstance(tab, OpenResult) and tab is not watch.tab
    qtbot.waitUntil(lambda: tab.stage is Stage.READY)
    page = parts.window.results.page
    assert isinstance(page, ResultView)
    qtbot.waitUntil(lambda: not page.busy and page.flame.tree is not None)
    target = tmp_path / "range.folded"
    parts.views.exporter.write("folded", tab, page.flame, target)
    qtbot.waitUntil(target.exists)
    assert sorted(target.read_text().split("\n")[:-1]) == ["main;a 20", "main;b 10"]
    parts.controller.pin(tab, binary=Path("/opt/book"))
    qtbot.waitUntil(lambda: tab.session is not None)
    assert tab.baseline
    ended(parts, watch, qtbot)


def test_a_folder_that_is_not_there_is_a_sentence(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    parts.watches.watch(tmp_path / "gone")
    qtbot.waitUntil(lambda: any("cannot be watched" in notice.sentence for notice in parts.window.notices.notices))
    qtbot.waitUntil(tasks.at_rest)
    assert parts.jobs.jobs == ()


def test_the_switch_without_a_folder_says_so(parts: Parts, qtbot: QtBot) -> None:
    parts.actions["snapshots"].trigger()
    assert any("no watched folder" in notice.sentence for notice in parts.window.notices.notices)
