"""The hotspots table as the user meets it: sort, filter, group, choose threads, copy, open."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from helpers.results import MATCH, RISK, RUN, recording, show, two_events
from tailflame.analyse.hotspots import GroupBy
from tailflame.model import StackBuilder, StackProfile, Weight
from tailflame_gui.models import hotspot_model
from tailflame_gui.models.roles import Role
from tailflame_gui.models.scope import ResultScope, Scope
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.selection import Selection
from tailflame_gui.views.hotspots_view import HotspotsView


def view_of(qtbot: QtBot, profile: StackProfile | None = None) -> HotspotsView:
    profile = profile or recording().profile
    assert profile is not None
    view = HotspotsView(selection=Selection(), scope=ResultScope())
    view.set_trees(ProfileTrees(profile))
    show(qtbot, view)
    settle(qtbot, view)
    return view


def settle(qtbot: QtBot, view: HotspotsView) -> None:
    qtbot.waitUntil(lambda: not view._latest.busy)


def names(view: HotspotsView) -> list[str]:
    return [view.model.index(line, 0).data() for line in range(view.model.rowCount())]


def test_shows_the_heaviest_first_and_counts_them(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    assert names(view) == [MATCH, RISK, "sys_write", RUN, "main"]
    assert view.summary.text() == "5 functions"
    header = view.table.horizontalHeader()
    assert (header.sortIndicatorSection(), header.sortIndicatorOrder()) == (1, Qt.SortOrder.DescendingOrder)


def test_nothing_is_counted_before_it_is_looked_at(qtbot: QtBot) -> None:
    profile = recording().profile
    assert profile is not None
    view = HotspotsView(selection=Selection(), scope=ResultScope())
    qtbot.addWidget(view)
    view.set_trees(ProfileTrees(profile))
    assert not view._latest.busy
    view.show()
    settle(qtbot, view)
    assert view.model.rowCount() == 5


def test_a_click_on_a_header_sorts_figures_from_the_largest_down(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    header = view.table.horizontalHeader()
    column = view.model.column_of(hotspot_model.TOTAL)
    at = QPoint(header.sectionViewportPosition(column) + 20, 8)
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert names(view)[:2] == ["main", RUN]
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert names(view)[-1] == "main"


def test_filters_as_one_types_and_says_what_is_left(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    qtbot.keyClick(view, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert view.filter.hasFocus()
    qtbot.keyClicks(view.filter, "risk|match")
    qtbot.waitUntil(lambda: view.model.rowCount() == 2)
    assert view.summary.text() == "2 of 5 functions"
    qtbot.keyClick(view.filter, Qt.Key.Key_Escape)
    assert view.model.rowCount() == 5
    qtbot.keyClick(view.filter, Qt.Key.Key_Escape)
    assert view.table.hasFocus()


def test_a_filter_that_cannot_be_read_says_so_and_keeps_the_table(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.filter.set_query("(")
    assert view.filter.property("state") == "bad"
    assert "regular expression" in view.filter.toolTip()
    assert view.model.rowCount() == 5
    view.filter.set_query("main")
    assert view.filter.property("state") == ""


def test_a_filter_without_matches_says_how_to_get_back(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.filter.set_query("nothing_like_it")
    assert view._body.currentIndex() == 1
    assert "Escape clears it" in view._empty._text.text()


def test_groups_by_module_file_and_thread(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.by.setCurrentIndex(1)
    qtbot.waitUntil(lambda: view.model.by is GroupBy.MODULE)
    assert names(view) == ["engine", "[kernel.kallsyms]"]
    view.by.setCurrentIndex(2)
    qtbot.waitUntil(lambda: view.model.by is GroupBy.FILE)
    assert names(view)[0] == "src/book.rs"
    threads = view_of(qtbot, two_events())
    threads.by.setCurrentIndex(3)
    qtbot.waitUntil(lambda: threads.model.by is GroupBy.THREAD)
    assert names(threads) == ["engine-0 (100)", "engine-1 (101)"]


def test_enter_on_a_group_shows_its_functions(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.by.setCurrentIndex(1)
    qtbot.waitUntil(lambda: view.model.by is GroupBy.MODULE)
    view.table.show_line(1)
    qtbot.keyClick(view.table, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: view.model.by is GroupBy.FUNCTION)
    settle(qtbot, view)
    assert names(view) == ["sys_write"]


def test_enter_on_a_thread_shows_it_alone_everywhere(qtbot: QtBot) -> None:
    view = view_of(qtbot, two_events())
    view.by.setCurrentIndex(3)
    qtbot.waitUntil(lambda: view.model.by is GroupBy.THREAD)
    view.table.show_line(1)
    qtbot.keyClick(view.table, Qt.Key.Key_Return)
    assert view._scope.scope.threads == frozenset({1})
    qtbot.waitUntil(lambda: view.model.by is GroupBy.FUNCTION and not view._latest.busy)
    assert names(view) == ["cold", "main"]


def test_follows_event_weight_and_threads(qtbot: QtBot) -> None:
    view = view_of(qtbot, two_events())
    assert names(view) == ["hot", "cold", "main"]
    view._scope.set(Scope(event=1, weight=Weight.PERIOD))
    settle(qtbot, view)
    assert names(view)[0] == "cold"
    title = view.model.headerData(view.model.column_of(hotspot_model.SELF), Qt.Orientation.Horizontal)
    assert title == "Self, k cache-misses"


def test_inlined_functions_get_lines_of_their_own_when_asked(qtbot: QtBot) -> None:
    view = view_of(qtbot, two_events())
    assert "mix" not in names(view)
    view.inlined.setChecked(True)
    settle(qtbot, view)
    assert "mix" in names(view)


def test_one_selection_runs_both_ways(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    qtbot.keyClick(view.table, Qt.Key.Key_Home)
    assert view._selection.function == MATCH
    qtbot.keyClick(view.table, Qt.Key.Key_Down)
    assert view._selection.function == RISK
    view._selection.select(RUN)
    assert names(view)[view.table.current_line()] == RUN
    view._selection.select("not here")
    assert view.table.current_line() == -1


def test_hovering_a_line_is_told_to_the_other_views(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    at = view.table.visualRect(view.model.index(1, 0)).center()
    qtbot.mouseMove(view.table.viewport(), at)
    qtbot.waitUntil(lambda: view._selection.hovered == RISK)


def test_enter_and_double_click_open_callers_and_callees(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.table.show_line(0)
    with qtbot.waitSignal(view.show_callers) as enter:
        qtbot.keyClick(view.table, Qt.Key.Key_Return)
    assert enter.args == [MATCH]
    at = view.table.visualRect(view.model.index(1, 0)).center()
    qtbot.mouseClick(view.table.viewport(), Qt.MouseButton.LeftButton, pos=at)
    with qtbot.waitSignal(view.show_callers) as twice:
        qtbot.mouseDClick(view.table.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert twice.args == [RISK]


def test_copies_lines_and_the_table_as_tab_separated_text(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.table.show_line(1)
    qtbot.keyClick(view.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert len(lines) == 2
    assert lines[1].split("\t")[0] == RISK
    view.table.copy(everything=True)
    assert len(QGuiApplication.clipboard().text().splitlines()) == 6


def test_the_menu_offers_source_flame_graph_and_callers(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    actions = {action.text(): action for action in view.menu_for(0).actions()}
    with qtbot.waitSignal(view.open_source) as source:
        actions["Open source"].trigger()
    assert source.args == ["src/book.rs", 40]
    with qtbot.waitSignal(view.show_flame):
        actions["Show in the flame graph"].trigger()
    actions["Copy name"].trigger()
    assert QGuiApplication.clipboard().text() == MATCH
    assert "Copy name" not in [action.text() for action in view.menu_for(-1).actions()]


@pytest.mark.parametrize("empty", [StackBuilder().build()])
def test_an_empty_profile_says_so(qtbot: QtBot, empty: StackProfile) -> None:
    view = view_of(qtbot, empty)
    assert view._body.currentIndex() == 1
    assert "No sample" in view._empty._text.text()


def test_show_function_lifts_filter_and_grouping(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.filter.set_query("risk")
    view.show_function(MATCH)
    assert names(view)[view.table.current_line()] == MATCH
    assert view.model.index(view.table.current_line(), 0).data(Role.FUNCTION) == MATCH


def test_narrow_windows_keep_the_name_readable(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    module = view.model.column_of(hotspot_model.MODULE)
    view.resize(1200, 500)
    qtbot.waitUntil(lambda: not view.table.isColumnHidden(module))
    view.resize(560, 500)
    qtbot.waitUntil(lambda: view.table.isColumnHidden(module))
    assert view.table.columnWidth(0) >= 160
