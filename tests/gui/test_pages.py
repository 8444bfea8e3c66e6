"""Start page, library and console: rows in, wishes out."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from tailflame_gui.actions import Actions
from tailflame_gui.models.session_table import RowOrder, RowTable, moment, run_fields, session_fields
from tailflame_gui.rows import FindingRow, Level, RunRow, SessionRow
from tailflame_gui.state import OpenResult, Page
from tailflame_gui.views.compare_page import ComparePicker, choices_of
from tailflame_gui.views.console_page import ConsolePage
from tailflame_gui.views.library_page import LibraryPage
from tailflame_gui.views.start_page import FindingLine, StartPage
from tailflame_gui.widgets.parts import ElidedLabel, Icon
from tailflame_gui.wiring import Parts

NOON = datetime(2026, 11, 24, 12, 4).astimezone()


def session(number: int, **changes: Any) -> SessionRow:
    known: dict[str, Any] = {
        "id": f"s{number}",
        "path": Path(f"/p/s{number}"),
        "title": f"book --seed {number}",
        "binary": "/opt/book",
        "tool": "perf record",
        "state": "complete",
        "started_at": NOON - timedelta(hours=number),
        "samples": 1000 * number,
        "duration_s": 10.0 + number,
        "lost": 0,
        "commit": "9f3c2e1ab",
    }
    return SessionRow(**{**known, **changes})


SESSIONS = (
    session(1),
    session(2, baseline=True),
    session(3, state="interrupted", samples=None, duration_s=None),
    session(4, state="failed", outcome="perf left nothing."),
    session(5, state="recording"),
)


def test_the_library_shows_and_selects_a_group(qtbot: QtBot) -> None:
    page = LibraryPage(Actions())
    qtbot.addWidget(page)
    rows = (session(1, group="q", place="2 of 2"), session(2), session(3, group="q", place="1 of 2"))
    page.show_sessions(rows)
    page.table.select_line(1)
    assert not page._group.isEnabled()
    page.table.select_line(0)
    assert page._group.isEnabled()
    assert page.table.order.index(0, 1).data() == "book --seed 1   2 of 2"
    page._group.trigger()
    assert [row.id for row in page.table.selected()] == ["s1", "s3"]


@pytest.mark.parametrize("fields", [session_fields(), session_fields(short=True)])
def test_the_session_table_is_a_sound_model(fields: Any, qtmodeltester: ModelTester) -> None:
    table = RowTable[SessionRow](fields)
    qtmodeltester.check(table)
    table.set_rows(SESSIONS)
    qtmodeltester.check(table)
    table.set_rows(SESSIONS[:2])
    table.set_rows((session(1, baseline=True), SESSIONS[1]))
    qtmodeltester.check(RowOrder(table))


def test_rows_that_stay_are_updated_in_place(qtbot: QtBot) -> None:
    table = RowTable[SessionRow](session_fields())
    table.set_rows(SESSIONS)
    with qtbot.waitSignal(table.dataChanged) as changed, qtbot.assertNotEmitted(table.modelReset):
        table.set_rows((session(1, title="other"), *SESSIONS[1:]))
    assert changed.args is not None and changed.args[0].row() == 0
    with qtbot.waitSignal(table.rowsInserted), qtbot.assertNotEmitted(table.modelReset):
        table.set_rows((*table.rows, session(9)))


def test_unknown_figures_are_not_zero(qtbot: QtBot) -> None:
    table = RowTable[SessionRow](session_fields())
    table.set_rows(SESSIONS)
    titles = [field.title for field in table.fields]

    def text(row: int, column: str) -> str:
        return str(table.index(row, titles.index(column)).data())

    assert (text(0, "Samples"), text(2, "Samples")) == ("1,000", "—")
    assert text(2, "Duration") == "—"
    assert (text(1, "State"), text(2, "State"), text(0, "State")) == ("baseline", "interrupted", "")


def test_moments_are_short() -> None:
    this_year = datetime.now().astimezone().replace(month=3, day=7, hour=9, minute=5)
    assert moment(this_year) == "7 Mar 09:05"
    assert moment(this_year.replace(year=2019)) == "7 Mar 2019 09:05"
    assert moment(None) == "—"


# Start page


@pytest.fixture
def start(qtbot: QtBot) -> StartPage:
    page = StartPage(Actions())
    page._actions = page  # keeps nothing alive but itself
    qtbot.addWidget(page)
    page.resize(1100, 700)
    page.show()
    return page


def test_the_start_page_lists_the_newest_sessions(start: StartPage, qtbot: QtBot) -> None:
    many = tuple(session(n) for n in range(1, 31))
    start.show_sessions(many)
    assert start._table.rowCount() == 18
    assert start._total.text() == "30 in all"
    start.table.select_line(1)
    with qtbot.waitSignal(start.opened) as opened:
        qtbot.keyClick(start.table, Qt.Key.Key_Return)
    assert opened.args == [many[1]]


def test_an_empty_library_says_what_would_be_here(start: StartPage) -> None:
    start.show_sessions((), known=False)
    assert start._recent.currentIndex() == 0
    start.show_sessions(())
    assert start._recent.currentIndex() == 1
    assert not start._all_sessions.isVisible()


def test_findings_come_gravest_first_with_their_fix(start: StartPage, qtbot: QtBot) -> None:
    assert start.findChildren(FindingLine) == []
    start.show_findings(
        (
            FindingRow(Level.OK, "perf 6.1 is installed."),
            FindingRow(Level.ERROR, "perf is refused.", "Level 3.", command="sudo sysctl kernel.perf_event_paranoid=1"),
            FindingRow(Level.NOTE, "No hardware counters."),
        )
    )
    lines = start.findChildren(FindingLine)
    assert [line.accessibleName().partition(":")[0] for line in lines] == ["Error", "Note", "Done"]
    copy = lines[0].findChild(type(lines[0]), "") or lines[0]
    from PySide6.QtWidgets import QToolButton

    button = copy.findChild(QToolButton)
    assert button is not None
    button.click()
    assert QGuiApplication.clipboard().text() == "sudo sysctl kernel.perf_event_paranoid=1"
    with qtbot.waitSignal(start.check_again):
        start.check_again.emit()


# Library


@pytest.fixture
def library(qtbot: QtBot) -> LibraryPage:
    page = LibraryPage(Actions())
    qtbot.addWidget(page)
    page.resize(1100, 600)
    page.show()
    page.show_sessions(SESSIONS)
    return page


def _select(page: LibraryPage, *lines: int) -> None:
    from PySide6.QtCore import QItemSelectionModel

    page.table.clearSelection()
    flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
    for line in lines:
        page.table.selectionModel().select(page.table.model().index(line, 0), flags)


def test_the_library_shows_sessions_newest_first(library: LibraryPage) -> None:
    assert [library.table.order.index(line, 1).data() for line in range(2)] == ["book --seed 1", "book --seed 2"]
    assert library._count.text() == "5"


def test_sorting_by_a_figure_is_by_its_value(library: LibraryPage) -> None:
    column = [field.title for field in session_fields()].index("Samples")
    library.table.sortByColumn(column, Qt.SortOrder.DescendingOrder)
    shown = [library.table.order.index(line, column).data() for line in range(5)]
    assert shown == ["5,000", "4,000", "2,000", "1,000", "—"]


def test_every_word_of_the_filter_has_to_occur(library: LibraryPage) -> None:
    library._filter.setText("seed interrupted")
    assert library.table.order.rowCount() == 1
    library._filter.setText("nothing")
    assert library.table.order.rowCount() == 0
    library._filter.clear()
    assert library.table.order.rowCount() == 5


def test_what_is_offered_follows_the_selection(library: LibraryPage) -> None:
    def offered() -> dict[str, bool]:
        actions = (library._open, library._compare, library._pin, library._delete)
        return {action.text(): action.isEnabled() for action in actions}

    compare = "Compare with the baseline"
    assert offered() == {"Open": False, compare: False, "Pin as baseline": False, "Delete": False}
    _select(library, 0)
    assert offered() == {"Open": True, compare: True, "Pin as baseline": True, "Delete": True}
    _select(library, 1)
    assert offered() == {"Open": True, compare: False, "Unpin the baseline": True, "Delete": True}
    _select(library, 3)
    assert offered() == {"Open": False, compare: False, "Pin as baseline": False, "Delete": True}
    _select(library, 4)
    assert offered()["Delete"] is False
    _select(library, 0, 2)
    assert offered() == {"Open": True, "Compare the two": True, "Pin as baseline": False, "Delete": True}


def test_the_library_asks_for_what_was_chosen(library: LibraryPage, qtbot: QtBot) -> None:
    _select(library, 0)
    for signal, action in (
        (library.opened, library._open),
        (library.pinned, library._pin),
        (library.compared_with_baseline, library._compare),
        (library.folder_opened, library._show_folder),
    ):
        with qtbot.waitSignal(signal) as asked:
            action.trigger()
        assert asked.args == [SESSIONS[0]]
    _select(library, 1)
    with qtbot.waitSignal(library.unpinned) as unpinned:
        library._pin.trigger()
    assert unpinned.args == [SESSIONS[1]]


def test_two_selected_are_compared_the_older_one_first(library: LibraryPage, qtbot: QtBot) -> None:
    _select(library, 0, 1)
    with qtbot.waitSignal(library.compared) as asked:
        library._compare.trigger()
    assert asked.args == [SESSIONS[1], SESSIONS[0]]


def test_what_is_being_recorded_is_not_deleted(library: LibraryPage, qtbot: QtBot) -> None:
    _select(library, 3, 4)
    with qtbot.waitSignal(library.deleted) as asked:
        library._delete.trigger()
    assert asked.args == [(SESSIONS[3],)]


def test_the_selection_survives_an_update(library: LibraryPage) -> None:
    _select(library, 1)
    library.show_sessions((SESSIONS[0], session(2, baseline=False), *SESSIONS[2:]))
    assert [row.id for row in library.table.selected()] == ["s2"]


def test_an_empty_library_offers_a_recording(library: LibraryPage) -> None:
    library.show_sessions(())
    assert library._empty.isVisible()


# Console


def run(number: int, **changes: Any) -> RunRow:
    return RunRow(**{"number": number, "started_at": NOON, "command_line": f"perf record -o {number}", **changes})


def test_the_console_follows_what_runs(qtbot: QtBot, qtmodeltester: ModelTester) -> None:
    page = ConsolePage()
    qtbot.addWidget(page)
    page.show()
    assert page._stack.currentIndex() == 1
    page.show_runs((run(0),))
    assert page._whole.toPlainText() == "perf record -o 0"
    assert page._model.index(0, 2).data() == "running"
    page.show_runs((run(0, outcome="finished after 1.0 s", ok=True), run(1)))
    assert page._model.index(0, 2).data() == "finished after 1.0 s"
    assert page._whole.toPlainText() == "perf record -o 1"
    page._copy.trigger()
    assert QGuiApplication.clipboard().text() == "perf record -o 1"
    qtmodeltester.check(page._model)
    assert len(run_fields()) == 3


# Comparing


def test_the_picker_puts_the_baseline_before_the_newest(qtbot: QtBot) -> None:
    picker = ComparePicker()
    qtbot.addWidget(picker)
    assert not picker._go.isEnabled()
    picker.offer(choices_of((), SESSIONS))
    assert len(picker._choices) == 3
    with qtbot.waitSignal(picker.compared) as asked:
        picker._go.click()
    assert asked.args == [SESSIONS[1], SESSIONS[0]]
    picker._swap()
    with qtbot.waitSignal(picker.compared) as swapped:
        picker._go.click()
    assert swapped.args == [SESSIONS[0], SESSIONS[1]]


def test_the_picker_keeps_what_was_chosen_and_refuses_a_pair_of_one(qtbot: QtBot) -> None:
    picker = ComparePicker()
    qtbot.addWidget(picker)
    picker.offer(choices_of((), SESSIONS))
    picker.choose(before="session s3", after="session s3")
    assert not picker._go.isEnabled()
    assert "same result" in picker._why.text()
    picker.choose(after="session s2")
    picker.offer(choices_of((), (session(7), *SESSIONS)))
    before, after = picker._chosen(picker._before), picker._chosen(picker._after)
    assert before is not None and after is not None
    assert (before.key, after.key) == ("session s3", "session s2")


# Parts


def test_a_long_text_ends_in_an_ellipsis_and_shows_itself_in_the_tip(qtbot: QtBot) -> None:
    made = ElidedLabel("a very long path that does not fit")
    qtbot.addWidget(made)
    made.resize(60, 20)
    made.show()
    qtbot.waitUntil(lambda: made.text().endswith("…"))
    assert made.toolTip() == made.whole == "a very long path that does not fit"
    made.set_text("short")
    assert (made.text(), made.toolTip()) == ("short", "")


def test_an_icon_widget_can_change(qtbot: QtBot) -> None:
    icon = Icon("circle-dot")
    qtbot.addWidget(icon)
    before = icon.grab().toImage()
    icon.set_icon("square", "bad")
    assert icon.grab().toImage() != before
    assert QModelIndex().row() == -1


def test_a_narrow_library_keeps_the_names_readable(parts: Parts, qtbot: QtBot) -> None:
    parts.state.set_page(Page.LIBRARY)
    parts.state.set_sessions(SESSIONS)
    table = parts.window.library_page.table
    titles = [field.title for field in session_fields()]
    shown = {}
    for width in (960, 1600):
        parts.window.resize(width, 600)
        qtbot.waitUntil(lambda width=width: parts.window.width() == width)
        assert table.columnWidth(titles.index("Session")) >= 200
        shown[width] = {title for at, title in enumerate(titles) if not table.isColumnHidden(at)}
    assert shown[1600] == set(titles)
    assert {"Recorded", "Session", "Samples", "State"} <= shown[960] < shown[1600]


def test_many_tabs_are_scrolled_and_not_cut_to_a_letter(parts: Parts, qtbot: QtBot) -> None:
    for at in range(20):
        parts.state.results.add(OpenResult(f"a-long-name-of-a-file-{at}.folded", path=Path(f"/{at}")))
    bar = parts.window.results.bar
    assert min(bar.tabRect(at).width() for at in range(bar.count())) >= 120
