"""Callers and callees: figures in the middle, a click walks on, back and forward."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from helpers.results import MATCH, RISK, RUN, recording, show, two_events
from helpers.stacks import profile
from tailflame.model import StackProfile
from tailflame_gui.models.scope import ResultScope, Scope
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.selection import Selection
from tailflame_gui.views.sandwich_view import SandwichView, _Side


def view_of(qtbot: QtBot, function: str, held: StackProfile | None = None) -> SandwichView:
    held = held or recording().profile
    assert held is not None
    view = SandwichView(selection=Selection(), scope=ResultScope())
    view.set_trees(ProfileTrees(held))
    show(qtbot, view)
    if function:
        select(qtbot, view, function)
    return view


def select(qtbot: QtBot, view: SandwichView, function: str) -> None:
    view._selection.select(function)
    settle(qtbot, view)


def settle(qtbot: QtBot, view: SandwichView) -> None:
    qtbot.waitUntil(lambda: not view._latest.busy)


def listed(side: _Side) -> list[tuple[str, str]]:
    """(function, total %) of the direct neighbours."""
    root = side.tree.rootIndex()
    rows = range(side.model.rowCount(root))
    return [(side.model.index(r, 0, root).data(), side.model.index(r, 1, root).data()) for r in rows]


def test_shows_callers_above_callees_below_and_figures_between(qtbot: QtBot) -> None:
    view = view_of(qtbot, RUN)
    assert listed(view.callers) == [("main", "75.0")]
    assert listed(view.callees) == [(MATCH, "50.0"), (RISK, "20.8")]
    assert view.name.whole == RUN
    assert view.figures.text() == "self 4.2%  50 samples    total 75.0%  900 samples"
    assert view.splitter.widget(0) is view.callers


def test_callers_and_self_add_up(qtbot: QtBot) -> None:
    view = view_of(qtbot, RISK)
    assert listed(view.callers) == [(RUN, "20.8"), ("main", "6.7")]
    assert listed(view.callees) == []
    assert view.callees._body.currentIndex() == 1, "a leaf says that it calls nothing"


def test_digits_are_those_of_the_whole_view(qtbot: QtBot) -> None:
    view = view_of(qtbot, "rare", profile("main;rare;leaf 3\nmain;rare 5\nmain;work 9992"))
    assert listed(view.callees) == [("leaf", "<0.1")]
    assert listed(view.callers) == [("main", "0.1")]


def test_recursion_counts_once(qtbot: QtBot) -> None:
    view = view_of(qtbot, "f", profile("main;f;f;g 600\nmain;f 400"))
    assert view.figures.text() == "self 40.0%  400 samples    total 100.0%  1,000 samples"
    assert listed(view.callers) == [("main", "100.0")]


def test_a_click_on_a_line_walks_to_it(qtbot: QtBot) -> None:
    view = view_of(qtbot, RUN)
    index = view.callees.model.index(1, 0, view.callees.tree.rootIndex())
    at = view.callees.tree.visualRect(index)
    qtbot.mouseClick(view.callees.tree.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(60, at.center().y()))
    settle(qtbot, view)
    assert view.function == RISK
    assert view._selection.function == RISK
    assert view.name.whole == RISK


def test_arrow_keys_look_and_enter_walks(qtbot: QtBot) -> None:
    view = view_of(qtbot, RUN)
    view.callees.tree.setFocus()
    qtbot.keyClick(view.callees.tree, Qt.Key.Key_Down)
    assert view._selection.function == RUN
    qtbot.keyClick(view.callees.tree, Qt.Key.Key_Return)
    assert view._selection.function == RISK
    settle(qtbot, view)


def test_back_and_forward_like_a_browser(qtbot: QtBot) -> None:
    view = view_of(qtbot, RUN)
    assert not view.back.isEnabled()
    select(qtbot, view, MATCH)
    select(qtbot, view, RISK)
    qtbot.keyClick(view, Qt.Key.Key_Left, Qt.KeyboardModifier.AltModifier)
    settle(qtbot, view)
    assert view.function == view._selection.function == view.name.whole == MATCH
    qtbot.keyClick(view, Qt.Key.Key_Left, Qt.KeyboardModifier.AltModifier)
    assert view.function == RUN
    assert not view.back.isEnabled()
    qtbot.keyClick(view, Qt.Key.Key_Right, Qt.KeyboardModifier.AltModifier)
    assert view.function == MATCH
    select(qtbot, view, "main")
    assert not view.forward.isEnabled()
    settle(qtbot, view)


def test_goes_to_the_heaviest_function_that_matches(qtbot: QtBot) -> None:
    view = view_of(qtbot, "")
    assert view._body.currentIndex() == 1
    view.search.setText("engine::")
    qtbot.keyClick(view.search, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: view.function == RUN and not view._latest.busy)
    view.search.setText("no such function")
    qtbot.keyClick(view.search, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: view.search.property("state") == "bad")
    assert "No function matches" in view.search.toolTip()


def test_says_when_the_function_is_not_in_the_scope(qtbot: QtBot) -> None:
    view = view_of(qtbot, "cold", two_events())
    assert view._body.currentIndex() == 0
    view._scope.set(Scope(threads=frozenset({0})))
    settle(qtbot, view)
    assert view._body.currentIndex() == 1
    assert "cold does not occur" in view._empty._text.text()


def test_opens_source_flame_graph_and_menu(qtbot: QtBot) -> None:
    view = view_of(qtbot, MATCH)
    with qtbot.waitSignal(view.open_source) as source:
        qtbot.keyClick(view, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert source.args == ["src/book.rs", 40]
    select(qtbot, view, RUN)
    node = view.callees.model.node(view.callees.model.index(0, 0, view.callees.tree.rootIndex()))
    actions = {action.text(): action for action in view.menu_for(view.callees, node).actions()}
    actions["Copy name"].trigger()
    assert QGuiApplication.clipboard().text() == MATCH
    with qtbot.waitSignal(view.show_flame):
        actions["Show in the flame graph"].trigger()
    actions["Go to this function"].trigger()
    settle(qtbot, view)
    assert view.function == MATCH
