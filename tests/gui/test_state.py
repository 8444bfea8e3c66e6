"""The state speaks only when something becomes another thing."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from helpers.recordings import recording
from tailflame.errors import ParseError
from tailflame_gui.rows import SessionRow, TargetRow
from tailflame_gui.state import AppState, OpenResult, Page, Stage, Tab, Tabs
from tailflame_gui.tasks import Job


def row(**changes: object) -> SessionRow:
    known: dict[str, object] = {
        "id": "a",
        "path": Path("/p/a"),
        "title": "t",
        "binary": "/bin/x",
        "tool": "perf record",
    }
    return SessionRow(**{**known, "state": "complete", **changes})  # type: ignore[arg-type]


def test_what_already_holds_says_nothing(qtbot: QtBot) -> None:
    state = AppState()
    for signal, change in (
        (state.page_changed, lambda: state.set_page(Page.LIBRARY)),
        (state.sessions_changed, lambda: state.set_sessions((row(),))),
        (state.target_changed, lambda: state.set_target(TargetRow("/bin/x"))),
        (state.findings_changed, lambda: state.set_findings(())),
        (state.recording_changed, lambda: state.set_recording(True)),
        (state.profiles_changed, lambda: state.set_profiles(Path("/p"))),
    ):
        with qtbot.waitSignal(signal):
            change()
        with qtbot.assertNotEmitted(signal):
            change()


def test_an_empty_library_is_told_once_it_is_known(qtbot: QtBot) -> None:
    state = AppState()
    with qtbot.waitSignal(state.sessions_changed):
        state.set_sessions(())
    assert state.sessions_known


def test_tabs_follow_what_is_added_shown_and_removed() -> None:
    tabs = Tabs()
    one, two, three = Tab("1"), Tab("2"), Tab("3")
    for tab in (one, two, three):
        tabs.add(tab)
    assert tabs.current is three
    tabs.step(1)
    assert tabs.current is one
    tabs.step(-1)
    assert tabs.current is three
    tabs.show(two)
    tabs.remove(two)
    assert tabs.current is three
    tabs.move(three, 0)
    assert tabs.all == (three, one)
    tabs.remove(three)
    tabs.remove(one)
    assert tabs.current is None
    tabs.step(1)
    tabs.remove(one)


def test_closing_a_tab_cancels_what_it_waits_for() -> None:
    tabs, tab, job = Tabs(), Tab("x"), Job("reading x")
    tab.loading(job)
    tabs.add(tab)
    tabs.remove(tab)
    assert job.cancelled


def test_a_result_goes_through_its_stages(qtbot: QtBot) -> None:
    result = OpenResult("x.folded", path=Path("/x.folded"))
    job = Job("reading")
    with qtbot.waitSignal(result.changed):
        result.loading(job)
    assert (result.stage, result.job) == (Stage.LOADING, job)
    with qtbot.waitSignal(result.changed):
        result.failed(ParseError("broken.", source="x"))
    assert (result.stage, result.job) == (Stage.FAILED, None)
    with qtbot.waitSignal(result.changed):
        result.ready(recording(), title="x", session=row())
    assert (result.stage, result.failure) == (Stage.READY, None)
    assert not result.baseline
    with qtbot.waitSignal(result.changed):
        result.set_session(row(baseline=True))
    assert result.baseline
    with qtbot.assertNotEmitted(result.changed):
        result.set_session(row(baseline=True))


@pytest.mark.parametrize(
    ("command", "session", "binary"),
    [
        (("/opt/book", "--fast"), None, "/opt/book"),
        (("book",), None, ""),
        ((), None, ""),
        (("/opt/book",), row(binary="/opt/other"), "/opt/other"),
    ],
)
def test_whose_result_it_is(command: tuple[str, ...], session: SessionRow | None, binary: str) -> None:
    result = OpenResult("x", path=Path("/x"))
    assert result.binary == ""
    result.ready(recording(command=command), title="x", session=session)
    assert result.binary == binary
