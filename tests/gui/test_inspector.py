"""The inspector follows the one selection."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from helpers.results import ENGINE, MATCH, RISK, RUN, recording, show, two_events
from helpers.stacks import profile
from tailflame.analyse.tree import build_tree
from tailflame.model import StackProfile, Weight
from tailflame_gui.models.scope import ResultScope, Scope
from tailflame_gui.models.trees import ProfileTrees, neighbours
from tailflame_gui.selection import Selection
from tailflame_gui.views.inspector import Inspector


def inspector_of(qtbot: QtBot, function: str, held: StackProfile | None = None) -> Inspector:
    held = held or recording().profile
    assert held is not None
    view = Inspector(selection=Selection(), scope=ResultScope())
    view.set_trees(ProfileTrees(held))
    show(qtbot, view, 264, 600)
    if function:
        view._selection.select(function)
        settle(qtbot, view)
    return view


def settle(qtbot: QtBot, view: Inspector) -> None:
    qtbot.waitUntil(lambda: not view._latest.busy)


def figures(view: Inspector) -> dict[str, tuple[str, str]]:
    return {cells[0].text(): (cells[1].text(), cells[2].text()) for cells in view._cells if not cells[0].isHidden()}


def test_shows_self_total_module_and_source(qtbot: QtBot) -> None:
    view = inspector_of(qtbot, RUN)
    assert figures(view) == {"": ("%", "samples"), "Self": ("4.2", "50"), "Total": ("75.0", "900")}
    assert view.name.text().replace("\u200b", "") == RUN
    assert "engine" in view.what.text()
    assert view.what.toolTip() == ENGINE
    assert view.source.text() == "run.rs:12"


def test_the_source_is_a_link(qtbot: QtBot) -> None:
    view = inspector_of(qtbot, MATCH)
    with qtbot.waitSignal(view.open_source) as opened:
        qtbot.mouseClick(view.source, Qt.MouseButton.LeftButton)
    assert opened.args == ["src/book.rs", 40]
    view._selection.select("sys_write")
    settle(qtbot, view)
    assert view.source.isHidden()


def test_lists_the_heaviest_callers_and_callees_as_links(qtbot: QtBot) -> None:
    view = inspector_of(qtbot, RISK)
    assert [(line.name, line._figure) for line in view.callers.lines] == [(RUN, "20.8"), ("main", "6.7")]
    assert view.callees.lines == []
    assert "leaf" in view._callees_title.text()
    qtbot.mouseClick(view.callers.lines[0], Qt.MouseButton.LeftButton)
    settle(qtbot, view)
    assert view._selection.function == RUN
    assert [line.name for line in view.callees.lines] == [MATCH, RISK]


def test_many_neighbours_are_cut_and_counted(qtbot: QtBot) -> None:
    view = inspector_of(qtbot, "main", profile("\n".join(f"main;f{i:02} {i + 1}" for i in range(20))))
    assert [line.name for line in view.callees.lines] == ["f19", "f18", "f17", "f16", "f15", "f14"]
    assert view._callees_title.text() == "Callees, the top 6 of 20"


def test_inlined_code_is_told_apart(qtbot: QtBot) -> None:
    view = inspector_of(qtbot, "hot", two_events())
    assert figures(view)["Self"] == ("33.3", "400")
    assert figures(view)["Self with inlined"] == ("66.7", "800")
    view._selection.select("mix")
    settle(qtbot, view)
    assert "inlined" in view.what.text()
    assert "Self with inlined" not in figures(view)


def test_other_weights_keep_the_samples_in_view(qtbot: QtBot) -> None:
    view = inspector_of(qtbot, "hot", two_events())
    view._scope.set(Scope(weight=Weight.PERIOD))
    settle(qtbot, view)
    told = figures(view)
    assert told[""] == ("%", "G cycles") or "cycles" in told[""][1]
    assert told["Samples, self"] == ("", "400")


def test_says_what_to_do_without_a_selection_and_where_it_does_not_occur(qtbot: QtBot) -> None:
    view = inspector_of(qtbot, "")
    assert view._body.currentIndex() == 1
    view._selection.select("gone")
    settle(qtbot, view)
    assert "gone does not occur" in view._nothing.text()
    view._selection.select(MATCH)
    settle(qtbot, view)
    assert view._body.currentIndex() == 0
    view._selection.clear()
    assert view._body.currentIndex() == 1


def test_only_the_last_question_is_answered(qtbot: QtBot) -> None:
    view = inspector_of(qtbot, "")
    for function in (MATCH, RISK, RUN):
        view._selection.select(function)
    settle(qtbot, view)
    assert view.portrait is not None
    assert view.portrait.function == RUN


def test_copies_the_name_and_asks_for_all_callers(qtbot: QtBot) -> None:
    view = inspector_of(qtbot, MATCH)
    view._copy()
    assert QGuiApplication.clipboard().text() == MATCH
    with qtbot.waitSignal(view.show_callers) as asked:
        view._show_callers()
    assert asked.args == [MATCH]


def test_neighbours_of_a_recursive_function_count_once() -> None:
    tree = build_tree(profile("main;f;g;f;h 10\nmain;f;g 5\nother;f 3"))
    callers, callees = neighbours(tree, "f")
    assert callers == [("main", 15.0), ("other", 3.0)]
    assert callees == [("g", 15.0)]
    assert neighbours(tree, "absent") == ([], [])
