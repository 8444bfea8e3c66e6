"""Top-down and bottom-up trees as the user meets them."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from helpers.results import MATCH, RISK, RUN, recording, show, two_events
from helpers.stacks import profile
from tailflame.model import StackBuilder, StackProfile
from tailflame_gui.models.scope import ResultScope, Scope
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.selection import Selection
from tailflame_gui.views import tree_view
from tailflame_gui.views.tree_view import CallTreeView


def view_of(qtbot: QtBot, held: StackProfile | None = None, *, inverted: bool = False) -> CallTreeView:
    held = held or recording().profile
    assert held is not None
    view = CallTreeView(selection=Selection(), scope=ResultScope(), inverted=inverted)
    view.set_trees(ProfileTrees(held))
    show(qtbot, view)
    settle(qtbot, view)
    return view


def settle(qtbot: QtBot, view: CallTreeView) -> None:
    qtbot.waitUntil(lambda: not view._latest.busy)


def lines(view: CallTreeView) -> list[str]:
    """What is on the screen, indented by depth."""
    tree = view.model.tree
    assert tree is not None
    shown = []
    index = view.model.index(0, 0)
    while index.isValid():
        node = view.model.node(index)
        shown.append("." * int(tree.depth[node]) + tree.name(node))
        index = view.tree.indexBelow(index)
    return shown


def current(view: CallTreeView) -> str:
    return view._name(view.tree.current_node())


def test_opens_along_the_heaviest_path(qtbot: QtBot) -> None:
    assert lines(view_of(qtbot)) == ["main", f".{RUN}", f"..{MATCH}", f"..{RISK}", ".sys_write", f".{RISK}"]


def test_bottom_up_stands_on_the_leaves(qtbot: QtBot) -> None:
    view = view_of(qtbot, inverted=True)
    assert lines(view) == [MATCH, RISK, "sys_write", RUN]
    view.open_hottest()
    assert lines(view)[:3] == [MATCH, f".{RUN}", "..main"]


def test_h_opens_the_hottest_path_below_the_current_line(qtbot: QtBot) -> None:
    view = view_of(qtbot, profile("a;b;c 10\na;d;e;f 90\nz;y 5"))
    view.close_all()
    assert lines(view) == ["a", "z"]
    view.tree.setFocus()
    qtbot.keyClick(view.tree, Qt.Key.Key_H)
    assert current(view) == "f"
    assert lines(view) == ["a", ".d", "..e", "...f", ".b", "z"]
    view.close_all()
    view.tree.show_node(int(view.model.nodes_of("z")[0]))
    qtbot.keyClick(view.tree, Qt.Key.Key_H)
    assert current(view) == "y"


def test_search_walks_through_matches_and_opens_what_hides_them(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.close_all()
    qtbot.keyClick(view.tree, Qt.Key.Key_Slash)
    assert view.search.field.hasFocus()
    qtbot.keyClicks(view.search.field, "check")
    assert view.search.result.text() == "27.5% matched  ·  2"
    qtbot.keyClick(view.search.field, Qt.Key.Key_Return)
    assert current(view) == RISK
    assert view._selection.function == RISK
    assert view.search.result.text() == "27.5% matched  ·  1/2"
    first = view.tree.current_node()
    view.tree.setFocus()
    qtbot.keyClick(view.tree, Qt.Key.Key_N)
    assert view.tree.current_node() != first
    qtbot.keyClick(view.tree, Qt.Key.Key_M)
    assert view.tree.current_node() == first


def test_a_large_tree_is_searched_in_a_thread(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_view, "_MANY", 0)
    view = view_of(qtbot)
    view.search.field.setText("check")
    assert view.busy
    qtbot.waitUntil(lambda: not view.busy)
    assert view.search.result.text() == "27.5% matched  ·  2"
    view.search.field.setText("(")
    qtbot.waitUntil(lambda: not view.busy)
    assert view.search.result.text() == "invalid"
    view.search.field.setText("")
    assert view.search.result.text() == ""


def test_a_search_that_cannot_be_read_says_so(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.search.field.setText("(")
    assert view.search.result.text() == "invalid"
    view.step(1)
    view.search.field.setText("")
    assert view.search.result.text() == ""


def test_selection_runs_both_ways_and_goes_to_the_heaviest_line(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view._selection.select(RISK)
    tree = view.model.tree
    assert tree is not None
    assert tree.total_weight[view.tree.current_node()] == 250
    lighter = int(view.model.nodes_of(RISK)[1])
    view.tree.setCurrentIndex(view.model.index_of(lighter))
    assert view.tree.current_node() == lighter, "the user's own line stays, though a heavier one exists"
    view.tree.setCurrentIndex(view.model.index(0, 0))
    assert view._selection.function == "main"


def test_a_click_on_the_triangle_opens_and_does_not_select(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.close_all()
    view._selection.clear()
    rect = view.tree.visualRect(view.model.index(0, 0))
    qtbot.mouseClick(view.tree.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(rect.left() + 8, rect.center().y()))
    assert len(lines(view)) == 4
    assert view._selection.function == ""
    qtbot.mouseClick(view.tree.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(rect.left() + 60, rect.center().y()))
    assert view._selection.function == "main"


def test_keys_open_and_close_lines(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    qtbot.keyClick(view, Qt.Key.Key_Left, Qt.KeyboardModifier.ControlModifier)
    assert lines(view) == ["main"]
    qtbot.keyClick(view.tree, Qt.Key.Key_Right)
    assert lines(view) == ["main", f".{RUN}", ".sys_write", f".{RISK}"]
    qtbot.keyClick(view.tree, Qt.Key.Key_Left)
    assert lines(view) == ["main"]


def test_enter_asks_for_callers_and_ctrl_c_copies(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view._selection.select(MATCH)
    with qtbot.waitSignal(view.show_callers) as asked:
        qtbot.keyClick(view.tree, Qt.Key.Key_Return)
    assert asked.args == [MATCH]
    qtbot.keyClick(view.tree, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == MATCH


def test_the_menu_copies_stacks_root_first_and_opens_the_source(qtbot: QtBot) -> None:
    for inverted in (False, True):
        view = view_of(qtbot, inverted=inverted)
        node = int(view.model.nodes_of("main" if inverted else MATCH)[0])
        actions = {action.text(): action for action in view.menu_for(node).actions()}
        actions["Copy stack"].trigger()
        assert QGuiApplication.clipboard().text() == f"main;{RUN};{MATCH}"
    top_down = view_of(qtbot)
    actions = {action.text(): action for action in top_down.menu_for(int(top_down.model.nodes_of(MATCH)[0])).actions()}
    with qtbot.waitSignal(top_down.open_source) as source:
        actions["Open source"].trigger()
    assert source.args == ["src/book.rs", 40]


def test_follows_the_scope_and_folds_inlined_functions(qtbot: QtBot) -> None:
    view = view_of(qtbot, two_events())
    assert len(view.model.nodes_of("mix")) == 1
    view.inlined.setChecked(False)
    settle(qtbot, view)
    assert len(view.model.nodes_of("mix")) == 0
    view._scope.set(Scope(threads=frozenset({1})))
    settle(qtbot, view)
    assert lines(view) == ["main", ".cold"]


def test_an_empty_profile_says_so(qtbot: QtBot) -> None:
    view = view_of(qtbot, StackBuilder().build())
    assert view._body.currentIndex() == 1
    view.open_hottest()
    view.close_all()


def _deep(depth: int) -> StackProfile:
    builder = StackBuilder()
    frames = [builder.frame(f"level_{i % 7}") for i in range(depth)]
    builder.sample(builder.stack(frames), count=5)
    return builder.build()


def test_names_stay_in_view_ten_thousand_calls_down(qtbot: QtBot) -> None:
    view = view_of(qtbot, _deep(10_000))
    tree = view.model.tree
    assert tree is not None
    view.tree.show_node(len(tree) - 1)
    view.tree.viewport().repaint()
    index = view.model.index_of(len(tree) - 1)
    assert view.tree.visualRect(index).isValid()
    assert 0 < view.tree.indent(index) < view.tree.columnWidth(0) / 2
    top = view.tree.indexAt(QPoint(0, 0))
    assert view.tree.indent(top) <= 14, "indentation is relative to the shallowest line in view"
    assert "depth 10,000" in index.data(Qt.ItemDataRole.ToolTipRole)


def test_indentation_shrinks_where_many_levels_are_in_view(qtbot: QtBot) -> None:
    view = view_of(qtbot, _deep(60))
    view.resize(600, 900)
    view.open_hottest()
    view.tree.scrollToTop()
    view.tree.viewport().repaint()
    shown = [view.tree.indent(view.model.index_of(node)) for node in range(30)]
    assert shown == sorted(shown)
    assert len(set(shown)) == 30
    assert shown[-1] < view.tree.columnWidth(0) / 2
