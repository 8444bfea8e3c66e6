"""Compared graphs in step: rows that scroll together, a start where the first branches, a function seen in all."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from helpers.flames import ROW, box
from helpers.results import recording, show
from tailflame.analyse.diff import compare
from tailflame_gui import tasks
from tailflame_gui.views.compare_view import CompareView
from tailflame_gui.widgets.flame_graph import FlameGraph

TRUNK = ";".join(f"trunk_{i}" for i in range(14))
SIDE = "\n".join(f"{TRUNK};branch_{i};deep_{i};leaf_{i} 900" for i in range(4))
TALL = ";".join(f"tall_{i}" for i in range(30))


@pytest.fixture
def view(qtbot: QtBot) -> CompareView:
    after = f"{SIDE}\n{TRUNK};branch_0;{TALL} 600\n{TRUNK};rare;seldom 2"
    before, after_recording = recording(SIDE), recording(after)
    assert before.profile is not None and after_recording.profile is not None
    made = CompareView(before, after_recording, comparison=compare(before.profile, after_recording.profile))
    show(qtbot, made, 1167, 692)
    qtbot.waitUntil(lambda: made.picture is not None and tasks.at_rest())
    return made


def graphs(view: CompareView) -> tuple[FlameGraph, FlameGraph, FlameGraph]:
    return view.left, view.right, view.union


def edges(view: CompareView) -> list[int]:
    return [graph.geometry_now().from_roots for graph in graphs(view)]


def sees(graph: FlameGraph, name: str) -> bool:
    """Whether the selected box is one of `name` and on the screen, all of its height and enough of its width."""
    if graph.scene is None or graph.scene.name(graph.selected_box) != name:
        return False
    now, (start, end) = graph.geometry_now(), graph.scene.extent(graph.selected_box)
    top = now.top(graph.scene.depth(graph.selected_box))
    left, right = max(now.x_of(start), 0), min(now.x_of(end), now.width)
    return 0 <= top <= now.height - ROW and right - left >= 2


def test_all_start_at_the_branching_part(view: CompareView) -> None:
    assert edges(view) == [13 * ROW] * 3
    for graph in graphs(view):
        assert graph.scene is not None
        assert graph.scene.name(graph.box_at(graph.viewport().rect().topLeft())) == "trunk_13"


def test_rows_scroll_in_step_also_where_one_side_is_less_deep(view: CompareView) -> None:
    view.right.verticalScrollBar().setValue(30 * ROW)
    assert edges(view) == [30 * ROW] * 3
    assert view.left.scene is not None and view.left.scene.depths < 30
    view.left.show_roots()
    assert edges(view) == [0] * 3


def test_another_size_of_one_does_not_scroll_the_others(view: CompareView, qtbot: QtBot) -> None:
    for pane in view.panes[:2]:
        pane.setChecked(False)
        qtbot.wait(1)
        pane.setChecked(True)
    view.resize(1167, 1800)
    view.resize(1167, 692)
    qtbot.waitUntil(lambda: edges(view) == [13 * ROW] * 3)


def test_a_zoom_shows_the_frame_in_all_of_them(view: CompareView) -> None:
    view.left.show_roots()
    view.union.select_box(box(view.union.scene, f"{TRUNK};branch_2;deep_2"))
    view.union.zoom_to_box(view.union.selected_box)
    assert len(set(edges(view))) == 1
    for graph in graphs(view):
        assert graph.scene is not None and graph.scene.name(graph.zoom_box) == "deep_2"
        assert 0 <= graph.geometry_now().top(15) <= graph.viewport().height() - ROW
    view.links.reset_zoom()
    assert edges(view) == [13 * ROW] * 3


@pytest.mark.parametrize("function", ["leaf_3", "tall_29", "seldom", "trunk_0"])
def test_a_line_of_the_table_shows_its_function_in_every_graph_that_has_it(view: CompareView, function: str) -> None:
    line = next(i for i in range(view.delta.model.rowCount()) if function in view.delta.model.as_tsv([i]).split())
    view.delta.table.selectRow(line)
    assert view.selection.function == function
    left, right, _ = edges(view)
    assert left == right
    for graph in graphs(view):
        assert graph.scene is not None
        assert sees(graph, function) or graph.scene.box_of_function(function) < 0
    assert sees(view.union, function)


def test_the_line_that_follows_a_click_in_a_graph_does_not_scroll_the_graphs(view: CompareView) -> None:
    view.right.select_box(box(view.right.scene, f"{TRUNK};branch_0;tall_0"))
    assert view.selection.function == "tall_0" and view.delta.table.current_line() >= 0
    assert edges(view) == [13 * ROW] * 3
