"""What the user asks for is done through core, in threads, and every failure is a sentence."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from helpers.recordings import recording
from helpers.stack_counts import DATA
from tailflame.errors import ParseError, StoreError
from tailflame.model import Recording
from tailflame.parse import Early
from tailflame.run import live_session
from tailflame.store import Library, load_settings
from tailflame_gui import tasks, theme
from tailflame_gui.rows import Level, Notice, SessionRow
from tailflame_gui.state import OpenComparison, OpenResult, Page, Stage
from tailflame_gui.views.compare_view import CompareView
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.wiring import Parts, connect_debuginfod

FOLDED = "main;work;hot 700\nmain;work;cold 300\nmain;idle 500\n"
SLOWER = "main;work;hot 1400\nmain;work;cold 300\nmain;idle 500\n"


@pytest.fixture
def folded(tmp_path: Path) -> Path:
    path = tmp_path / "before.folded"
    path.write_text(FOLDED)
    return path


@pytest.fixture
def slower(tmp_path: Path) -> Path:
    path = tmp_path / "after.folded"
    path.write_text(SLOWER)
    return path


def result_of(parts: Parts, at: int = -1) -> OpenResult:
    return parts.state.open_results[at]


def opened(parts: Parts, qtbot: QtBot, *paths: Path) -> None:
    parts.controller.open_paths(paths)
    qtbot.waitUntil(lambda: all(tab.stage is not Stage.LOADING for tab in parts.state.results.all))


def notices(parts: Parts) -> list[Notice]:
    return list(parts.window.notices.notices)


def kept(parts: Parts, folder: Path, qtbot: QtBot, *, binary: str = "/opt/book", stacks: str = "") -> SessionRow:
    """A session of the library, made from a file, as it stands in the list."""
    source = folder / "kept.folded"
    source.write_text(FOLDED)
    made = recording(*([stacks] if stacks else []), command=(binary, "--fast"))
    info = parts.controller.library.keep(made, source=source, binary=binary)
    listed(parts, qtbot, lambda: any(row.id == info.id for row in parts.state.sessions))
    return next(row for row in parts.state.sessions if row.id == info.id)


def listed(parts: Parts, qtbot: QtBot, holds: Any) -> None:
    """The library is read until it `holds`."""
    parts.controller.refresh_library()
    qtbot.waitUntil(holds)


# Opening


def test_a_file_opens_in_a_tab_with_its_view(parts: Parts, folded: Path, qtbot: QtBot) -> None:
    opened(parts, qtbot, folded)
    result = result_of(parts)
    assert (result.stage, result.title, parts.state.page) == (Stage.READY, "before.folded", Page.RESULTS)
    assert result.recording is not None and result.recording.profile is not None
    assert result.recording.profile.total() == 1500
    assert isinstance(parts.window.results.page, ResultView)
    assert parts.jobs.jobs == ()
    qtbot.waitUntil(lambda: load_settings().settings.recent_files == (str(folded),))


def test_an_open_file_is_shown_and_not_read_again(parts: Parts, folded: Path, slower: Path, qtbot: QtBot) -> None:
    opened(parts, qtbot, folded, slower)
    first = result_of(parts, 0)
    parts.state.set_page(Page.START)
    parts.controller.open_paths([folded])
    assert parts.state.results.current is first
    assert len(parts.state.results.all) == 2
    assert parts.state.page is Page.RESULTS
    assert first.stage is Stage.READY


def test_what_cannot_be_read_fails_in_its_own_tab(parts: Parts, folded: Path, tmp_path: Path, qtbot: QtBot) -> None:
    nonsense = tmp_path / "nonsense.bin"
    nonsense.write_bytes(bytes(range(256)) * 40)
    opened(parts, qtbot, nonsense, tmp_path / "missing.data", folded)
    assert [tab.stage for tab in parts.state.results.all] == [Stage.FAILED, Stage.FAILED, Stage.READY]
    first = result_of(parts, 0).failure
    assert first is not None and "nonsense.bin" in first.sentence and first.advice
    assert notices(parts) == []


def test_a_failed_tab_can_be_tried_again(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    late = tmp_path / "late.folded"
    opened(parts, qtbot, late)
    assert result_of(parts).stage is Stage.FAILED
    late.write_text(FOLDED)
    parts.window.tab_retried.emit(result_of(parts))
    qtbot.waitUntil(lambda: result_of(parts).stage is Stage.READY)


class Slow:
    """A reader that waits for its test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.first: Recording | None = None
        """What it hands out before it waits."""
        self.error: ParseError | None = None
        self.started, self.go_on = threading.Event(), threading.Event()
        self.stopped = threading.Event()
        monkeypatch.setattr(live_session, "load_raw", self._load)

    def _load(self, _path: Path, *, progress: tasks.Progress, early: Early) -> Recording:
        if self.first is not None:
            early(self.first)
        self.started.set()
        assert self.go_on.wait(10)
        try:
            progress(0.5)
        except BaseException:
            self.stopped.set()
            raise
        if self.error is not None:
            raise self.error
        return recording()


def test_cancelling_closes_the_tab_and_drops_what_comes_late(
    parts: Parts, folded: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch)
    parts.controller.open_paths([folded])
    qtbot.waitUntil(slow.started.is_set)
    assert parts.window.job_bar.text == "Reading before.folded"
    parts.jobs.jobs[0].cancel()
    qtbot.waitUntil(lambda: parts.state.results.all == ())
    slow.go_on.set()
    qtbot.waitUntil(slow.stopped.is_set)
    assert parts.jobs.jobs == ()


def test_a_first_picture_is_shown_while_the_reading_goes_on(
    parts: Parts, folded: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch)
    slow.first = recording("main;first 3")
    parts.controller.open_paths([folded])
    qtbot.waitUntil(lambda: result_of(parts).stage is Stage.READY)
    tab = result_of(parts)
    assert tab.refining
    view = parts.window.results.page_of(tab)
    assert isinstance(view, ResultView)
    assert any("still being looked up" in text for text in view.cautions.texts)
    parts.controller.pin(tab)
    assert tab.session is None  # a baseline is made of the whole
    view.show_part(Part.HOTSPOTS)
    tab.selection.select("main")
    slow.go_on.set()
    qtbot.waitUntil(lambda: not tab.refining)
    refined = parts.window.results.page_of(tab)
    assert isinstance(refined, ResultView) and refined is not view
    assert refined.part is Part.HOTSPOTS and refined.selection.function == "main"
    assert not any("looked up" in warning.text for warning in refined.recording.warnings)


@pytest.mark.parametrize("fails", [False, True])
def test_a_first_picture_stays_when_the_reading_ends_early(
    parts: Parts, folded: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    slow = Slow(monkeypatch)
    slow.first = recording("main;first 3")
    parts.controller.open_paths([folded])
    qtbot.waitUntil(lambda: result_of(parts).stage is Stage.READY)
    tab = result_of(parts)
    if fails:
        slow.error = ParseError("It breaks off.", source="x")
    else:
        parts.jobs.jobs[0].cancel()
    slow.go_on.set()
    qtbot.waitUntil(lambda: not tab.refining and parts.jobs.jobs == ())
    assert tab.stage is Stage.READY and tab.recording is not None
    assert parts.state.results.all == (tab,)


def test_closing_a_tab_stops_its_reading(
    parts: Parts, folded: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch)
    parts.controller.open_paths([folded])
    qtbot.waitUntil(slow.started.is_set)
    parts.window.tab_closed.emit(result_of(parts))
    slow.go_on.set()
    qtbot.waitUntil(slow.stopped.is_set)
    qtbot.waitUntil(lambda: parts.jobs.jobs == ())
    assert parts.state.results.all == ()


def test_the_tab_closed_last_comes_back(parts: Parts, folded: Path, slower: Path, qtbot: QtBot) -> None:
    opened(parts, qtbot, folded, slower)
    for tab in parts.state.open_results:
        parts.controller.close_tab(tab)
    parts.actions["reopen_tab"].trigger()
    assert [tab.path for tab in parts.state.open_results] == [slower]
    parts.actions["reopen_tab"].trigger()
    parts.actions["reopen_tab"].trigger()
    assert [tab.path for tab in parts.state.open_results] == [slower, folded]


def test_a_session_opens_by_its_row_and_names_the_program(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    row = kept(parts, tmp_path, qtbot)
    parts.window.opened.emit(row)
    qtbot.waitUntil(lambda: result_of(parts).stage is Stage.READY)
    result = result_of(parts)
    assert result.session == row
    assert result.title.endswith(" book")
    assert parts.state.target is not None and parts.state.target.binary == "/opt/book"


def test_a_failed_session_says_why_it_failed(parts: Parts) -> None:
    failed = SessionRow("x", Path("/p/x"), "book", "/opt/book", "perf record", "failed", outcome="perf left nothing.")
    parts.controller.open_session(failed)
    assert [(n.level, n.sentence) for n in notices(parts)] == [(Level.ERROR, "book failed: perf left nothing.")]
    assert parts.state.results.all == ()


def test_a_folder_without_anything_is_told(parts: Parts, tmp_path: Path) -> None:
    parts.controller.open_paths([tmp_path])
    assert notices(parts)[0].sentence == f"{tmp_path} holds no session and no cargo project."


# Baselines


def test_pinning_and_unpinning_a_session(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    row = kept(parts, tmp_path, qtbot)
    parts.window.library_page.pinned.emit(row)
    qtbot.waitUntil(lambda: any(r.baseline for r in parts.state.sessions))
    assert notices(parts)[0].sentence == f"{row.title} is the baseline of book now."
    pinned = parts.state.sessions[0]
    parts.window.library_page.unpinned.emit(pinned)
    qtbot.waitUntil(lambda: not any(r.baseline for r in parts.state.sessions))


def test_an_opened_file_is_kept_when_it_is_pinned(parts: Parts, folded: Path, tmp_path: Path, qtbot: QtBot) -> None:
    opened(parts, qtbot, folded)
    result = result_of(parts)
    parts.controller.binary_wanted.disconnect()  # the window would ask with a dialog
    with qtbot.waitSignal(parts.controller.binary_wanted) as wanted:
        parts.controller.pin(result)
    assert wanted.args == [result]
    binary = tmp_path / "book"
    binary.write_bytes(b"\x7fELF")
    parts.controller.pin(result, binary=binary)
    qtbot.waitUntil(lambda: result.baseline)
    qtbot.waitUntil(lambda: [row.baseline for row in parts.state.sessions] == [True])
    assert parts.state.sessions[0].binary == str(binary)
    view = parts.window.results.page_of(result)
    assert isinstance(view, ResultView) and not view.baseline_mark.isHidden()
    mark = parts.window.results.bar.tabIcon(0)
    assert not mark.isNull()


# Comparing


def test_two_open_results_are_compared_in_a_tab(parts: Parts, folded: Path, slower: Path, qtbot: QtBot) -> None:
    opened(parts, qtbot, folded, slower)
    before, after = parts.state.open_results
    parts.window.compared.emit(before, after)
    assert parts.state.page is Page.COMPARE
    tab = parts.state.comparisons.all[0]
    assert isinstance(tab, OpenComparison)
    qtbot.waitUntil(lambda: tab.stage is Stage.READY)
    assert tab.title == "before.folded → after.folded"
    assert tab.comparison is not None and tab.comparison.table.significant.any()
    view = parts.window.comparisons.page
    assert isinstance(view, CompareView)
    qtbot.waitUntil(lambda: view.picture is not None)


def test_sessions_are_compared_without_opening_them(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    one = kept(parts, tmp_path, qtbot)
    two = kept(parts, tmp_path, qtbot, stacks="main;match_order 900\nmain;check_risk 250")
    parts.controller.compare(one, two)
    tab = parts.state.comparisons.all[0]
    qtbot.waitUntil(lambda: tab.stage is Stage.READY)
    assert parts.state.results.all == ()


def test_comparing_with_the_baseline(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    one = kept(parts, tmp_path, qtbot)
    two = kept(parts, tmp_path, qtbot)
    parts.controller.compare_with_baseline(two)
    assert notices(parts)[0].sentence == "book has no baseline yet."
    notices(parts)[0].offers[0].act()
    assert parts.state.page is Page.COMPARE
    parts.controller.library.set_baseline(one.id)
    listed(parts, qtbot, lambda: any(row.baseline for row in parts.state.sessions))
    parts.controller.compare_with_baseline(two)
    tab = parts.state.comparisons.all[0]
    qtbot.waitUntil(lambda: tab.stage is Stage.READY)


def test_a_file_with_two_columns_is_compared_within_itself(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    both = tmp_path / "both.folded"
    both.write_text("main;hot 100 300\nmain;cold 50 50\n")
    opened(parts, qtbot, both)
    tab = parts.state.comparisons.all[0]
    assert isinstance(tab, OpenComparison) and parts.state.page is Page.COMPARE
    qtbot.waitUntil(lambda: tab.stage is Stage.READY)
    assert tab.before is not None and tab.before.profile is not None and tab.before.profile.total() == 150
    assert tab.after is not None and tab.after.profile is not None and tab.after.profile.total() == 350


def test_latencies_alone_cannot_be_compared(parts: Parts, folded: Path, qtbot: QtBot) -> None:
    opened(parts, qtbot, folded)
    empty = OpenResult("latency.hlog", path=Path("/latency.hlog"))
    empty.ready(Recording("t", "hlog", "latency.hlog", ()), title="latency.hlog", session=None)
    parts.controller.compare(result_of(parts), empty)
    tab = parts.state.comparisons.all[0]
    qtbot.waitUntil(lambda: tab.stage is Stage.FAILED)
    assert tab.failure is not None and "latency.hlog holds no call stacks" in tab.failure.sentence


def test_amounts_of_different_things_are_one_sentence(parts: Parts, qtbot: QtBot) -> None:
    opened(parts, qtbot, DATA / "callgrind/3.19.0/matrix.out.gz", DATA / "massif/3.19.0/asked.out")
    costs, heap = parts.state.open_results
    parts.controller.compare(costs, heap)
    tab = parts.state.comparisons.all[0]
    qtbot.waitUntil(lambda: tab.stage is Stage.FAILED)
    assert tab.failure is not None and "one is of Ir, the other of memory" in tab.failure.sentence


# The library


def test_a_deletion_can_be_undone(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    row = kept(parts, tmp_path, qtbot)
    parts.window.library_page.deleted.emit((row,))
    assert parts.state.sessions == ()
    assert row.path.is_dir()
    undo = notices(parts)[0].offers[0]
    assert undo.text == "Undo"
    parts.window.notices._lines[0]._take(undo.act)
    qtbot.waitUntil(lambda: parts.state.sessions == (row,))
    assert row.path.is_dir()


def test_a_deletion_is_done_when_its_notice_goes(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    row = kept(parts, tmp_path, qtbot)
    parts.window.opened.emit(row)
    qtbot.waitUntil(lambda: result_of(parts).stage is Stage.READY)
    parts.controller.delete_sessions((row,))
    parts.controller.refresh_library()
    parts.window.notices.dismiss_all()
    qtbot.waitUntil(lambda: not row.path.exists())
    qtbot.waitUntil(tasks.at_rest)
    assert parts.state.sessions == ()
    assert parts.state.results.all == ()


def test_closing_the_window_does_what_was_asked(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    row = kept(parts, tmp_path, qtbot)
    parts.controller.delete_sessions((row,))
    closed = tasks.spawn(
        parts.controller.close(window=parts.window.geometry_document()), name="closing", on_error=pytest.fail
    )
    qtbot.waitUntil(closed.done)
    assert not row.path.exists()
    assert load_settings().settings.window == parts.window.geometry_document()


def test_another_profiles_folder_and_back(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    row = kept(parts, tmp_path, qtbot)
    before = parts.state.profiles
    other = tmp_path / "other"
    parts.controller.set_profiles_folder(other)
    qtbot.waitUntil(lambda: parts.state.sessions == ())
    assert parts.state.profiles == other
    qtbot.waitUntil(lambda: load_settings().settings.profiles == str(other))
    notices(parts)[0].offers[0].act()
    qtbot.waitUntil(lambda: parts.state.sessions == (row,))
    assert parts.state.profiles == before


def test_a_folder_that_cannot_keep_sessions_is_refused(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    before = parts.state.profiles
    (tmp_path / "file").write_text("")
    parts.controller.set_profiles_folder(tmp_path / "file" / "profiles")
    assert parts.state.profiles == before
    assert notices(parts)[0].level is Level.ERROR and "cannot be kept" in notices(parts)[0].sentence
    assert load_settings().settings.profiles == ""


def test_an_editor_that_fails_at_once_is_told(parts: Parts, tmp_path: Path, qtbot: QtBot) -> None:
    source = tmp_path / "book.rs"
    source.write_text("fn main() {}\n")
    parts.controller.change_settings(editor="false %f")
    parts.controller.open_source(None, str(source), 1)
    qtbot.waitUntil(lambda: bool(notices(parts)))
    assert notices(parts)[0].sentence == "The editor false ended at once with exit code 1."


def test_a_library_that_cannot_be_read_is_told(parts: Parts, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_library: Library) -> None:
        raise StoreError("/p cannot be read: permission denied.", advice="Choose another profiles folder.")

    monkeypatch.setattr(Library, "sessions", refuse)
    parts.controller.refresh_library()
    qtbot.waitUntil(lambda: bool(notices(parts)))
    assert notices(parts)[0].sentence == "/p cannot be read: permission denied."
    assert parts.state.sessions == ()


def test_the_chosen_colours_are_remembered(parts: Parts, qtbot: QtBot) -> None:
    parts.actions["theme_dark"].trigger()
    assert theme.current() is theme.dark()
    qtbot.waitUntil(lambda: load_settings().settings.theme == "dark")


def test_an_unforeseen_error_while_reading_is_a_sentence(
    parts: Parts, folded: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(_path: Path, *, progress: tasks.Progress, early: Early) -> Recording:
        raise ZeroDivisionError

    monkeypatch.setattr(live_session, "load_raw", breaks)
    with caplog.at_level("ERROR"):
        opened(parts, qtbot, folded)
    failure = result_of(parts).failure
    assert failure is not None
    assert failure.sentence == "An internal error stopped this: reading before.folded."
    assert "ZeroDivisionError" in failure.details


def test_servers_are_asked_for_symbols_once_the_user_agrees(
    parts: Parts, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = parts.actions["debuginfod"]
    monkeypatch.setenv("TAILFLAME_DEBUGINFOD", "")
    monkeypatch.delenv("DEBUGINFOD_URLS", raising=False)
    connect_debuginfod(parts)
    assert not action.isEnabled() and "names no server" in action.toolTip()
    monkeypatch.setenv("DEBUGINFOD_URLS", "http://127.0.0.1:9")
    connect_debuginfod(parts)
    assert action.isEnabled() and not action.isChecked()
    action.trigger()
    assert os.environ["TAILFLAME_DEBUGINFOD"] == "yes"
    qtbot.waitUntil(lambda: load_settings().settings.debuginfod)
    monkeypatch.setenv("TAILFLAME_DEBUGINFOD", "")
    connect_debuginfod(parts)  # as at the next start
    assert action.isChecked() and os.environ["TAILFLAME_DEBUGINFOD"] == "yes"
    action.trigger()
    assert "TAILFLAME_DEBUGINFOD" not in os.environ
