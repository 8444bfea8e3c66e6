"""One result as a tab: title, cautions, views that share one selection and one scope, the inspector."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from helpers.results import MATCH, RISK, RUN, recording, show, two_events
from helpers.stacks import profile
from tailflame.analyse.filter_language import parse
from tailflame.model import Caution, Histogram, HistogramSeries, Recording, Weight
from tailflame.model.stacks import Event, readonly
from tailflame.units import Unit
from tailflame_gui import tasks
from tailflame_gui.models.head import head_of
from tailflame_gui.models.scope import Scope
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.widgets.everything_button import EverythingButton


def view_of(qtbot: QtBot, held: Recording | None = None, **known: str) -> ResultView:
    view = ResultView(held or recording(), **known)
    show(qtbot, view, 1160, 740)
    settle(qtbot, view)
    return view


def settle(qtbot: QtBot, view: ResultView) -> None:
    qtbot.waitUntil(lambda: tasks.at_rest() and not view.busy)


def part(qtbot: QtBot, view: ResultView, which: Part) -> None:
    view.show_part(which)
    settle(qtbot, view)


def test_the_title_line_says_what_tool_binary_when_and_commit(qtbot: QtBot) -> None:
    view = view_of(qtbot, commit="9f3c2e1")
    assert view.title.text() == "engine"
    for fact in ("perf 6.1.0", "2026-03-04 12:04", "9f3c2e1", "1,200 samples", "12.3"):
        assert fact in view.facts.whole
    assert head_of(Recording("folded", "folded", "/tmp/some/stacks.folded", ()))[0] == "stacks.folded"
    assert view_of(qtbot, title="my run").title.text() == "my run"


def test_a_long_title_leaves_room_for_the_facts(qtbot: QtBot) -> None:
    title = "engine --mode serve --rate 3000 --threads 2 --log /var/log/engine/" + "long/" * 30
    view = view_of(qtbot, title=title)
    assert view.title.text().endswith("…")
    assert title in view.title.toolTip()
    assert view.facts.width() > 120


def test_every_tab_can_be_read_beside_the_inspector(qtbot: QtBot) -> None:
    view = view_of(qtbot, recording(results=(two_events(),)))
    view.show_inspector(True)
    settle(qtbot, view)
    bar = view.tabs.tabBar()
    assert bar.sizeHint().width() <= bar.width()
    assert "Callers and callees" in view.tabs.tabToolTip(list(view._order).index(Part.CALLERS))
    view.resize(900, 600)
    qtbot.waitUntil(lambda: view.scope_bar.weight_box.compact)
    assert view.scope_bar.weight_box.currentText() in view.scope_bar.weight_box.toolTip()
    view.resize(1600, 600)
    qtbot.waitUntil(lambda: not view.scope_bar.weight_box.compact)


def test_a_choice_that_leaves_no_sample_can_be_taken_back_where_it_shows(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.selection.select(MATCH)
    part(qtbot, view, Part.HOTSPOTS)
    nothing = parse("function:nowhere")
    view.scope.set(view.scope.scope.with_terms(nothing))
    settle(qtbot, view)
    for which in (Part.HOTSPOTS, Part.TOP_DOWN, Part.CALLERS, Part.SOURCE):
        part(qtbot, view, which)
        place = view.tabs.currentWidget()
        assert [b.text() for b in place.findChildren(EverythingButton) if b.isVisible()] == ["Show all samples"]
    button = next(b for b in view.inspector.findChildren(EverythingButton))
    assert button.isVisible()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    settle(qtbot, view)
    assert not view.scope.scope.filter
    assert not any(b.isVisible() for b in view.findChildren(EverythingButton))


def test_counted_events_are_called_by_their_name(qtbot: QtBot) -> None:
    held = profile("main;work 1200")
    held = replace(
        held,
        events=(Event("Ir", Unit.EVENTS, has_period=True),),
        samples=replace(held.samples, period=held.samples.count),
    )
    view = view_of(qtbot, recording(results=(held,)))
    assert "1,200 Ir" in view.facts.whole
    assert "1,200 Ir" in view.timeline.told.whole
    assert view.scope.scope.weight is Weight.PERIOD
    assert view.scope_bar.weight_box.isHidden()


def test_every_caution_stands_in_one_line_under_the_title(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    assert view.cautions.texts == ["3 samples were lost. Raise the buffer with -m."]
    assert view.cautions.mapTo(view, view.cautions.rect().topLeft()).y() > view.title.y()
    few = view_of(qtbot, recording("main;work 12", warnings=()))
    assert few.cautions.texts[0].startswith("Too few samples: 12")
    assert view_of(qtbot, recording(warnings=())).cautions.isHidden()


def test_many_cautions_leave_room_for_the_result(qtbot: QtBot) -> None:
    view = view_of(qtbot, recording(warnings=tuple(Caution(f"Caution {i}.") for i in range(9))))
    assert len(view.cautions.shown) == 2
    assert view.cautions._more.text() == "7 more"
    qtbot.mouseClick(view.cautions._more, Qt.MouseButton.LeftButton)
    assert len(view.cautions.shown) == 9


def test_the_flame_graph_comes_first_and_every_view_has_its_key(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    assert view.part is Part.FLAME
    stacks = list(Part)[: list(Part).index(Part.LATENCY)]
    assert view.tabs.count() == len(stacks)
    for at, which in enumerate(stacks):
        qtbot.keyClick(view, Qt.Key(Qt.Key.Key_1 + at), Qt.KeyboardModifier.ControlModifier)
        assert view.part is which
        assert f"Ctrl+{at + 1}" in view.tabs.tabToolTip(at)
    settle(qtbot, view)


def test_a_view_is_made_when_it_is_first_looked_at(qtbot: QtBot) -> None:
    """All of them at once would hold the window for a quarter of a second."""
    view = ResultView(recording())
    show(qtbot, view, 1160, 740)
    assert not view._made and view.busy, "not even the first one is made in the turn that shows the tab"
    settle(qtbot, view)
    assert set(view._made) == {Part.FLAME}
    view.selection.select(RISK)
    part(qtbot, view, Part.CALLERS)
    assert set(view._made) == {Part.FLAME, Part.CALLERS}
    assert view.callers.function == RISK, "what was selected before it was made"
    assert view.callers.isAncestorOf(focused(view))


def focused(view: ResultView) -> QWidget:
    widget = view.window().focusWidget()
    assert widget is not None
    return widget


def test_one_selection_runs_through_all_views(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    for which in Part:
        part(qtbot, view, which)
    view.flame.graph.select_box(view.flame.graph.scene.box_of_function(RISK))
    settle(qtbot, view)
    assert view.selection.function == RISK
    for which in Part:
        part(qtbot, view, which)
    assert view.hotspots.model.index(view.hotspots.table.current_line(), 0).data() == RISK
    assert view.top_down._name(view.top_down.tree.current_node()) == RISK
    assert view.bottom_up._name(view.bottom_up.tree.current_node()) == RISK
    assert view.callers.function == RISK
    assert view.inspector.portrait is not None and view.inspector.portrait.function == RISK
    view.hotspots.table.selectRow(0)
    settle(qtbot, view)
    graph = view.flame.graph
    assert graph.scene is not None and graph.scene.name(graph.selected_box) == MATCH
    assert view.inspector.portrait.function == MATCH


def test_hovering_runs_through_all_views(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.inspector.callers.hovered.emit(RUN)
    assert view.selection.hovered == RUN
    assert view.flame.graph._glow_name == RUN


def test_views_lead_to_each_other(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.flame.show_hotspots.emit(RISK)
    assert view.part is Part.HOTSPOTS
    settle(qtbot, view)
    assert view.hotspots.model.index(view.hotspots.table.current_line(), 0).data() == RISK
    view.hotspots.show_callers.emit(MATCH)
    assert view.part is Part.CALLERS
    settle(qtbot, view)
    assert view.callers.function == MATCH
    view.callers.show_flame.emit(RUN)
    assert view.part is Part.FLAME
    settle(qtbot, view)


def test_one_event_weight_and_thread_hold_for_all_views(qtbot: QtBot) -> None:
    view = view_of(qtbot, recording(results=(two_events(),)))
    part(qtbot, view, Part.HOTSPOTS)
    assert view.scope_bar.event_box.texts() == ["cycles", "cache-misses"]
    view.scope_bar.event_box.setCurrentIndex(1)
    view.scope_bar.weight_box.setCurrentIndex(1)
    settle(qtbot, view)
    assert view.scope.scope == Scope(event=1, weight=Weight.PERIOD)
    assert view.hotspots.model.index(0, 0).data() == "cold"
    assert view.flame.options.event == 1
    assert view.flame.options.weight is Weight.PERIOD
    view.scope_bar.thread_box.setCurrentIndex(view.scope_bar.thread_box.findText("engine-0 (100)"))
    settle(qtbot, view)
    assert view.flame.options.threads == frozenset({0})
    assert view.hotspots.model.rowCount() == 2


def test_what_is_chosen_in_the_flame_graph_holds_elsewhere(qtbot: QtBot) -> None:
    view = view_of(qtbot, recording(results=(two_events(),)))
    assert not view.scope_bar.isHidden() and view.flame.bar.event_box.isHidden(), "they offer the same"
    view.flame.bar.event_box.setCurrentIndex(1)
    assert view.scope.scope.event == 1
    part(qtbot, view, Part.TOP_DOWN)
    assert not view.scope_bar.isHidden()
    tree = view.top_down.model.tree
    assert tree is not None and tree.options.event == 1


def test_a_thread_without_samples_of_the_event_is_given_up(qtbot: QtBot) -> None:
    view = view_of(qtbot, recording(results=(two_events(),)))
    view.scope.set(Scope(event=0, threads=frozenset({7})))
    assert view.scope.scope.threads is None
    settle(qtbot, view)


def test_baseline_and_export_are_asked_for(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    with qtbot.waitSignal(view.pin_baseline_requested):
        qtbot.mouseClick(view.pin, Qt.MouseButton.LeftButton)
    assert not view.compare.isEnabled()
    assert "no baseline" in view.compare.toolTip()
    view.set_baseline(False)
    with qtbot.waitSignal(view.compare_requested):
        qtbot.mouseClick(view.compare, Qt.MouseButton.LeftButton)
    view.set_baseline(True)
    assert view.pin.isHidden()
    assert not view.baseline_mark.isHidden()
    assert not view.compare.isEnabled()
    with qtbot.waitSignal(view.export_requested) as exported:
        view.flame.export_requested.emit("svg")
    assert exported.args == ["svg"]


def test_two_columns_of_one_file_can_be_compared(qtbot: QtBot) -> None:
    assert view_of(qtbot).columns.isHidden()
    view = view_of(qtbot, recording(baseline=profile("main;work 500")))
    with qtbot.waitSignal(view.compare_columns_requested):
        qtbot.mouseClick(view.columns, Qt.MouseButton.LeftButton)


@pytest.mark.parametrize("which", [Part.HOTSPOTS, Part.TOP_DOWN, Part.BOTTOM_UP, Part.CALLERS])
def test_every_view_opens_source(qtbot: QtBot, which: Part) -> None:
    view = view_of(qtbot)
    with qtbot.waitSignal(view.open_source) as opened:
        view._make(which).open_source.emit("src/book.rs", 40)
    assert opened.args == ["src/book.rs", 40]


def test_the_inspector_stands_beside_every_view_and_can_be_put_away(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    assert view.inspector.isVisible()
    assert view.inspector.width() < view.tabs.width() / 2
    qtbot.keyClick(view, Qt.Key.Key_I, Qt.KeyboardModifier.ControlModifier)
    assert not view.inspector.isVisible()
    assert not view.inspect.isChecked()
    qtbot.mouseClick(view.inspect, Qt.MouseButton.LeftButton)
    assert view.inspector.isVisible()


def test_a_result_without_stacks_has_its_latencies_and_a_summary(qtbot: QtBot) -> None:
    counts = readonly([0, 5, 3], "int64")
    series = HistogramSeries(("",), (0.0,), (1.0,), (Histogram(counts),))
    view = view_of(qtbot, recording(results=(series,)))
    assert view.tabs.count() == 2
    assert view.part is Part.LATENCY
    assert view.inspector.isHidden()
    part(qtbot, view, Part.SUMMARY)
    settle(qtbot, view)


def test_a_profile_with_latencies_beside_it_has_both(qtbot: QtBot) -> None:
    series = HistogramSeries(("",), (0.0,), (1.0,), (Histogram(readonly([0, 5, 3], "int64")),))
    whole = recording()
    view = view_of(qtbot, replace(whole, results=(*whole.results, series)))
    assert (view.part, view.tabs.tabText(view.tabs.count() - 1)) == (Part.FLAME, str(Part.LATENCY))
    part(qtbot, view, Part.LATENCY)
    settle(qtbot, view)


def test_an_empty_profile_is_no_error(qtbot: QtBot) -> None:
    view = view_of(qtbot, recording(""))
    for which in (which for which in Part if which is not Part.LATENCY):
        part(qtbot, view, which)


def test_closing_while_it_computes_is_no_error(qtbot: QtBot) -> None:
    view = ResultView(recording())
    show(qtbot, view)
    view.show_part(Part.TOP_DOWN)
    view.selection.select(MATCH)
    view.close()
    view.deleteLater()
    qtbot.waitUntil(lambda: not tasks._tasks)


def test_the_reading_has_the_inspectors_column_while_no_function_is_selected(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    inspector, reading = view.inspector, view.flame.reading
    assert inspector.isAncestorOf(reading) and reading.isVisible() and not inspector.name.isVisible()
    view.flame.graph.select_function(RUN)
    view.selection.select(RUN)
    settle(qtbot, view)
    assert inspector.name.isVisible() and not reading.isVisible()
    assert view.flame.reading_box.header.isVisible(), "the way back to it"
    view.selection.clear()
    assert reading.isVisible()
    view.flame.reading.chosen.emit(0)
    settle(qtbot, view)
    assert view.selection.function and inspector.name.isVisible() and reading.isVisible(), "it was chosen in there"
    view.flame.bar.reading.click()
    assert not reading.isVisible() and inspector.name.isVisible()
    view.flame.bar.reading.click()
    part(qtbot, view, Part.HOTSPOTS)
    assert not reading.isVisible()
    part(qtbot, view, Part.FLAME)
    assert reading.isVisible()


def test_without_the_inspector_the_reading_stands_with_the_graph(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.show_inspector(False)
    assert view.flame.isAncestorOf(view.flame.reading) and view.flame.reading.isVisible()
    assert not view.flame.reading_box.header.isVisible()
    view.show_inspector(True)
    qtbot.waitUntil(view.flame.reading.isVisible)
    assert view.inspector.isAncestorOf(view.flame.reading)


def test_the_boxes_have_most_of_a_small_window(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    # What a window of 1280 x 800 leaves to a result; one caution's line stands above the flame graph here.
    view.resize(1167, 692 + view.cautions.height() + 4)
    qtbot.waitUntil(lambda: view.flame.graph.viewport().height() >= 400)
