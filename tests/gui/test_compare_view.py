"""Two recordings compared in the window: verdict, linked graphs, difference, delta table, states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QGuiApplication
from pytestqt.qtbot import QtBot

from helpers.results import recording, show, two_events
from tailflame.analyse.diff import Scale, compare
from tailflame.model import Event, Machine, Recording, StackBuilder, Weight
from tailflame.units import Unit
from tailflame_gui import tasks, theme
from tailflame_gui.models import compared, delta_model
from tailflame_gui.models.compared import SideColors
from tailflame_gui.models.delta_model import Show
from tailflame_gui.views.compare_view import CompareView
from tailflame_gui.widgets import flame_paint
from tailflame_gui.widgets.flame_graph import FlameGraph
from tailflame_gui.widgets.flame_render import FlameRenderer
from tailflame_gui.widgets.linked_graphs import mapped_window

BEFORE = """
main;run;match_order 4000
main;run;risk::h0123456789abcdef 3000
main;run;validate 2000
main;run;hash 500
main;old_path 500
"""
AFTER = """
main;run;match_order 6000
main;run;risk::hfedcba9876543210 3010
main;run;validate 1990
main;run;hash 505
main;new_path 400
"""


def view_of(qtbot: QtBot, before: str = BEFORE, after: str = AFTER, **options: object) -> CompareView:
    view = CompareView(recording(before), recording(after), **options)  # type: ignore[arg-type]
    show(qtbot, view, 1160, 740)
    settle(qtbot, view)
    return view


def settle(qtbot: QtBot, view: CompareView) -> None:
    qtbot.waitUntil(lambda: not view._comparing.busy and not view._drawing.busy and not tasks.busy_workers())


def graphs(view: CompareView) -> tuple[FlameGraph, ...]:
    return view.left, view.right, view.union


def names(view: CompareView) -> list[str]:
    return [view.delta.model.index(line, 0).data() for line in range(view.delta.model.rowCount())]


def selected(graph: FlameGraph) -> str:
    assert graph.scene is not None
    return graph.scene.name(graph.selected_box)


# verdict, test, head


def test_the_verdict_stands_at_the_top_with_sign_and_shape(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    lines = view.verdict.lines
    regression = next(line for line in lines if line.verdict.function == "match_order")
    assert regression.verdict.sign == 1
    assert regression.verdict.sentence.startswith("match_order regressed: +")
    assert "self (+" in regression.verdict.sentence, "the sentence holds the change with its interval"
    gone = next(line for line in lines if line.verdict.function == "old_path")
    assert gone.verdict.sign == -1
    assert "vanished" in gone.verdict.sentence
    new = next(line for line in lines if line.verdict.function == "new_path")
    assert new.verdict.sign == 1


def test_the_test_and_its_level_are_named(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    assert view.comparison is not None
    assert view.comparison.test in view.test.whole
    assert "5%" in view.test.whole
    assert view.test.toolTip() == view.comparison.test


def test_the_same_recording_twice_has_moved_nothing(qtbot: QtBot) -> None:
    view = view_of(qtbot, BEFORE, BEFORE)
    assert [line.verdict.sentence for line in view.verdict.lines] == ["No function moved beyond the noise."]
    assert view.verdict.lines[0].verdict.sign == 0
    assert all(
        view.delta.model.index(r, delta_model.NOISE).data() in ("within noise", "too small to test")
        for r in range(view.delta.model.rowCount())
    )


def test_both_sides_are_named_with_time_commit_and_machine(qtbot: QtBot) -> None:
    view = view_of(qtbot, commits=("9f3c2e1", "dirty"))
    before, after = view.cards
    assert "9f3c2e1" in before.facts.whole and "lab-7" in before.facts.whole and "12:04" in before.facts.whole
    assert "dirty" in after.facts.whole


def test_different_machines_kernels_and_rates_are_said(qtbot: QtBot) -> None:
    before = recording(BEFORE, warnings=())
    meta = replace(before.meta, machine=Machine("lab-9", "6.6.0", "x86_64", "Other CPU", 8), rate_asked_hz=4000)
    view = CompareView(before, replace(recording(AFTER, warnings=()), meta=meta))
    show(qtbot, view, 1160, 740)
    settle(qtbot, view)
    told = " ".join(view.cautions.texts)
    assert "Different machines: lab-7 before, lab-9 after." in told
    assert "Different kernels" in told
    assert "997 Hz before, 4,000 Hz after" in told


def test_what_a_file_does_not_tell_is_no_difference(qtbot: QtBot) -> None:
    before = recording(BEFORE, warnings=())
    dropped = Recording("flame graph SVG", "svg", "dropped.svg", recording(AFTER).results)
    view = CompareView(before, dropped)
    show(qtbot, view, 1160, 740)
    settle(qtbot, view)
    assert [t for t in view.cautions.texts if "machines" in t] == []
    assert any("Different tools: perf before, flame graph SVG after." in t for t in view.cautions.texts)
    assert view.comparison is not None


# graphs


def test_vanished_and_new_frames_are_in_the_difference_and_hatched(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    scene = view.union.scene
    assert scene is not None and scene.hatch is not None
    marks = {scene.names[scene.function[n]]: int(scene.hatch[n]) for n in range(len(scene.function))}
    assert marks["old_path"] == compared.VANISHED
    assert marks["new_path"] == compared.NEW
    assert marks["match_order"] == 0
    for name in ("old_path", "new_path"):
        assert scene.width(scene.box_of_function(name)) > 0.02, f"{name} can be seen"


def test_deltas_are_inclusive_on_every_frame(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    scene = view.union.scene
    assert scene is not None
    facts = scene.facts(scene.node(scene.box_of_function("run")))
    figures = dict(facts.figures)
    assert figures["Total before"].startswith("95.0%")
    assert figures["Total after"].startswith("96.6%")
    assert "% total" in figures["Change"]
    vanished = dict(scene.facts(scene.node(scene.box_of_function("old_path"))).figures)
    assert vanished["Change"].startswith("vanished")


def test_every_frame_of_the_difference_carries_its_delta(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    scene = view.union.scene
    assert scene is not None and scene.note is not None

    def note(name: str) -> str:
        assert scene is not None and scene.note is not None
        return scene.note(scene.node(scene.box_of_function(name)))

    assert note("match_order").startswith("+") and note("match_order").endswith("%")
    assert note("validate").startswith("≈ "), "noise is marked other than by colour"
    assert (note("new_path"), note("old_path")) == ("new", "gone")
    boxes = flame_paint.prepare(scene.layout, np.zeros(len(scene.function), np.uint8), np.zeros((1, 3), np.uint8))
    renderer = FlameRenderer(scene, boxes)
    box = scene.box_of_function("match_order")
    function = int(scene.box_function[box])
    assert renderer._labelled(function, box, 40) == f"match_order  {note('match_order')}"
    assert renderer._labelled(function, box, 12) == "match_order", "the name comes first"


def test_change_is_blue_and_orange_and_noise_is_grey(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    assert view.picture is not None
    drawn, scene = view.picture.union, view.picture.union.scene
    tokens = theme.current()

    def color(name: str) -> QColor:
        return QColor(*map(int, drawn.colors.palette[drawn.colors.index[scene.node(scene.box_of_function(name))]]))

    assert color("new_path") == tokens.more
    assert color("old_path") == tokens.less
    assert color("validate") == tokens.same
    assert color("match_order").red() > color("match_order").blue()


def test_rust_hashes_do_not_break_the_matching(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    assert names(view).count("risk") == 1
    scene = view.union.scene
    assert scene is not None
    node = scene.node(scene.box_of_function("risk"))
    assert scene.hatch is not None and scene.hatch[node] == 0


def test_normalised_sides_fill_the_width_and_absolute_ones_do_not(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    assert view.left.scene is not None and view.right.scene is not None
    assert view.left.scene.width(0) == pytest.approx(1.0)
    assert view.right.scene.width(0) == pytest.approx(1.0)
    assert "= " in view.left_title.whole
    view.scale.step(1)
    settle(qtbot, view)
    assert view.scale.choice is Scale.ABSOLUTE
    assert view.left.scene.width(0) == pytest.approx(10_000 / 11_905)
    assert view.right.scene.width(0) == pytest.approx(1.0)
    title = view.delta.model.headerData(delta_model.SELF_BEFORE, Qt.Orientation.Horizontal)
    assert title == "Self before, samples"


def test_hover_and_selection_are_linked(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    left = view.left
    assert left.scene is not None
    left.function_hovered.emit("validate")
    assert [graph._glow_name for graph in graphs(view)][1:] == ["validate", "validate"]
    left.select_box(left.scene.box_of_function("validate"))
    assert [selected(graph) for graph in graphs(view)] == ["validate"] * 3
    assert names(view)[view.delta.table.current_line()] == "validate"
    view.delta.table.show_line(-1)
    view.delta.table.selectRow(names(view).index("match_order"))
    assert [selected(graph) for graph in graphs(view)] == ["match_order"] * 3


def test_a_zoom_to_a_frame_is_followed_where_the_path_exists(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    assert view.left.scene is not None
    view.left.zoom_to_box(view.left.scene.box_of_function("run"))
    for graph in graphs(view):
        assert graph.scene is not None
        assert graph.scene.name(graph.zoom_box) == "run"
    view.left.zoom_to_box(view.left.scene.box_of_function("old_path"))
    assert view.right.scene is not None and view.union.scene is not None
    assert view.right.scene.name(view.right.zoom_box) == "run", "the candidate has no such path: it stays"
    assert view.union.scene.name(view.union.zoom_box) == "old_path"
    qtbot.mouseClick(view.everything, Qt.MouseButton.LeftButton)
    assert [graph.zoom_box for graph in graphs(view)] == [-1] * 3


def test_free_zooming_shows_the_same_code_on_both_sides(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    left, right = view.left, view.right
    assert left.scene is not None and right.scene is not None
    start, end = left.scene.extent(left.scene.box_of_function("validate"))
    left.move_window(start + (end - start) * 0.25, start + (end - start) * 0.75)
    first, last = right.scene.extent(right.scene.box_of_function("validate"))
    goal = right.camera.goal
    assert goal.x0 == pytest.approx(first + (last - first) * 0.25)
    assert goal.x1 == pytest.approx(first + (last - first) * 0.75)


def test_where_the_code_is_gone_the_other_side_stays_as_wide(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    left, right = view.left, view.right
    assert left.scene is not None and right.scene is not None
    start, end = left.scene.extent(left.scene.box_of_function("old_path"))
    x0, x1 = mapped_window(left.scene, right.scene, start + 0.001, end - 0.001)
    assert 0 < x1 - x0 <= end - start + 1e-9
    assert mapped_window(left.scene, right.scene, 0.0, 1.0) == (0.0, 1.0)


def test_rows_scroll_together_and_begin_where_the_stacks_branch(qtbot: QtBot) -> None:
    trunk = ";".join(f"trunk_{i}" for i in range(20))
    stacks = "\n".join(f"{trunk};branch_{i};" + ";".join(f"leaf_{j}" for j in range(12)) + " 500" for i in range(4))
    view = view_of(qtbot, stacks, stacks)
    bars = [graph.verticalScrollBar() for graph in graphs(view)]
    assert 0 < bars[2].value() <= 20 * 20, "the rows in which nothing branches are above"
    assert bars[0].value() == min(bars[2].value(), bars[0].maximum())
    bars[0].setValue(40)
    assert [bar.value() for bar in bars] == [40, 40, 40]


def test_search_is_linked_and_tells_both_shares(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.search.field.setText("match_")
    assert [len(graph.matches or ()) for graph in graphs(view)] == [1, 1, 1]
    assert view.search.result.text() == "40.0% → 50.4%"
    qtbot.keyClick(view.search.field, Qt.Key.Key_Return)
    assert view.selection.function == "match_order"
    view.search.field.setText("(")
    assert view.search.result.text() == "invalid"
    assert [graph.matches for graph in graphs(view)] == [None] * 3
    view.search.field.setText("")
    assert view.search.result.text() == ""


def test_colours_are_linked_by_crate_module_kind_or_change(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    assert view.picture is not None
    assert view.picture.side_colors is SideColors.CRATE
    for at, (colors, _words, _tip) in enumerate(
        (
            (SideColors.CHANGE, "", ""),
            (SideColors.CRATE, "", ""),
            (SideColors.MODULE, "", ""),
            (SideColors.KIND, "", ""),
        )
    ):
        view.colors.setCurrentIndex(at)
        settle(qtbot, view)
        assert view.picture.side_colors is colors
        shown = []
        for graph, drawn in ((view.left, view.picture.before), (view.right, view.picture.after)):
            assert graph.scene is not None
            node = graph.scene.node(graph.scene.box_of_function("validate"))
            shown.append(tuple(drawn.colors.palette[drawn.colors.index[node]]))
        assert shown[0] == shown[1], "the same function has the same colour on both sides"
    view.legend.entry_toggled.emit(0)
    assert view.left._legend_marks is not None and view.right._legend_marks is not None


def test_the_theme_is_followed(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    assert view.picture is not None
    light = view.picture
    theme.set_mode(theme.Mode.DARK)
    settle(qtbot, view)
    assert view.picture is not light
    assert view.left.scene is not None
    assert not np.array_equal(view.picture.union.colors.palette, light.union.colors.palette)


def test_other_colours_leave_the_view_where_it_is(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    assert view.left.scene is not None
    view.left.zoom_to_box(view.left.scene.box_of_function("run"))
    view.search.field.setText("risk")
    scene, window = view.right.scene, view.right.camera.window
    view.colors.setCurrentIndex(0)
    settle(qtbot, view)
    assert view.right.scene is scene
    assert view.right.camera.window == window
    assert view.right.matches is not None


# panes, events, states


def test_a_sentence_and_a_line_of_the_table_lead_to_the_graphs(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    line = next(line for line in view.verdict.lines if line.verdict.function == "match_order")
    qtbot.mouseClick(line, Qt.MouseButton.LeftButton)
    assert [selected(graph) for graph in graphs(view)] == ["match_order"] * 3
    view.delta.table.show_line(names(view).index("validate"))
    qtbot.keyClick(view.delta.table, Qt.Key.Key_Return)
    assert [selected(graph) for graph in graphs(view)] == ["validate"] * 3


def test_the_menu_of_a_frame_copies_opens_and_leads_to_the_table(qtbot: QtBot) -> None:
    text = "main@/opt/engine;hot@/opt/engine!src/hot.rs:7 4000\nmain@/opt/engine;other@/opt/engine 4000"
    view = view_of(qtbot, text, text.replace("hot.rs:7 4000", "hot.rs:7 8000"))
    view.delta.show_rows.step(2)
    view.delta.filter.set_query("nothing")
    for graph in graphs(view):
        assert graph.scene is not None
        box = graph.scene.box_of_function("hot")
        actions = {action.text(): action for action in view.menu_for(graph, box).actions()}
        actions["Copy stack"].trigger()
        assert QGuiApplication.clipboard().text() == "main;hot"
        graph.copy_requested.emit(box)
        assert QGuiApplication.clipboard().text() == "hot"
        with qtbot.waitSignal(view.open_source) as opened:
            actions["Open source"].trigger()
        assert opened.args == ["src/hot.rs", 7]
        actions["Show in the table"].trigger()
        assert names(view)[view.delta.table.current_line()] == "hot"
    actions["Zoom to this frame in all graphs"].trigger()
    assert all(graph.scene is not None and graph.scene.name(graph.zoom_box) == "hot" for graph in graphs(view))


def test_each_pane_can_be_put_away_by_key(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    panes = (view._graphs, view._difference, view._table)
    for at, pane in enumerate(panes):
        qtbot.keyClick(view, Qt.Key(Qt.Key.Key_1 + at), Qt.KeyboardModifier.ControlModifier)
        assert not pane.isVisible()
        assert not view.panes[at].isChecked()
        qtbot.keyClick(view, Qt.Key(Qt.Key.Key_1 + at), Qt.KeyboardModifier.ControlModifier)
        assert pane.isVisible()


def test_everything_fits_a_small_screen(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    # 1280x800 less the rail, the tabs and the line at the bottom.
    view.resize(1120, 680)
    settle(qtbot, view)
    assert view.minimumSizeHint().width() <= 1120
    assert view.minimumSizeHint().height() <= 680
    for graph in graphs(view):
        assert graph.viewport().height() >= 60
    rows = view.delta.table.viewport().height() // theme.ROW
    assert rows >= 5


def test_swapping_turns_the_comparison_round(qtbot: QtBot) -> None:
    view = view_of(qtbot, commits=("one", "two"))
    qtbot.keyClick(view, Qt.Key.Key_X, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    settle(qtbot, view)
    assert "two" in view.cards[0].facts.whole
    sign = next(line.verdict.sign for line in view.verdict.lines if line.verdict.function == "match_order")
    assert sign == -1


def test_a_comparison_that_was_made_already_is_taken(qtbot: QtBot) -> None:
    before, after = recording(BEFORE), recording(AFTER)
    assert before.profile is not None and after.profile is not None
    made = compare(before.profile, after.profile)
    view = CompareView(before, after, comparison=made)
    show(qtbot, view)
    settle(qtbot, view)
    assert view.comparison is made


def test_events_are_compared_by_name(qtbot: QtBot) -> None:
    held = recording(results=(two_events(),))
    view = CompareView(held, held)
    show(qtbot, view, 1160, 740)
    settle(qtbot, view)
    assert view.event_box.texts() == ["cycles", "cache-misses"]
    view.event_box.setCurrentIndex(1)
    view.weight_box.setCurrentIndex(1)
    settle(qtbot, view)
    assert view.comparison is not None
    assert view.comparison.before.total == 50_000
    assert view.comparison.tree.unit is Unit.EVENTS
    view.scale.step(1)
    settle(qtbot, view)
    title = view.delta.model.headerData(delta_model.SELF_BEFORE, Qt.Orientation.Horizontal)
    assert title == "Self before, k cache-misses"


def test_inlined_functions_are_folded_or_shown_as_asked(qtbot: QtBot) -> None:
    assert view_of(qtbot).inlines.isHidden(), "nothing is inlined there"
    held = recording(results=(two_events(),))
    view = CompareView(held, held)
    show(qtbot, view, 1160, 740)
    settle(qtbot, view)
    assert "mix" not in names(view)
    view.inlines.setCurrentIndex(1)
    settle(qtbot, view)
    assert "mix" in names(view)
    view.inlines.setCurrentIndex(2)
    settle(qtbot, view)
    assert "mix" not in names(view)


def test_weights_that_a_file_calls_samples_have_no_say_in_the_change(qtbot: QtBot) -> None:
    stretched = "\n".join(
        f"{line.rsplit(' ', 1)[0]} {int(line.rsplit(' ', 1)[1]) * 1_003_009}" for line in BEFORE.strip().splitlines()
    )
    view = view_of(qtbot, BEFORE, stretched)
    at = names(view).index("match_order")
    assert view.delta.model.index(at, delta_model.TOTAL_CHANGE).data() == "±0"
    scene = view.union.scene
    assert scene is not None
    figures = dict(scene.facts(scene.node(scene.box_of_function("run"))).figures)
    assert figures["Change"] == "±0% total, within noise"


def test_different_events_are_compared_by_samples_and_said(qtbot: QtBot) -> None:
    builder = StackBuilder(events=[Event("cpu-clock", Unit.NANOSECONDS, has_period=True)])
    builder.sample(builder.stack([builder.frame("main")]), count=2000, period=5e6)
    view = CompareView(recording(results=(two_events(),)), recording(results=(builder.build(),)))
    show(qtbot, view, 1160, 740)
    settle(qtbot, view)
    assert any("Different events: cycles before, cpu-clock after." in text for text in view.cautions.texts)
    assert view.weight_box.count() == 1
    assert view.weight_box.currentData() is Weight.SAMPLES


def test_without_a_baseline_it_says_what_would_be_here(qtbot: QtBot) -> None:
    view = CompareView(None, recording(AFTER))
    show(qtbot, view)
    assert view._pages.currentIndex() == 1
    assert view.empty._title.text() == "No baseline to compare with"
    with qtbot.waitSignal(view.choose_requested):
        view.choose_requested.emit()
    view.set_recordings(recording(BEFORE), recording(AFTER))
    settle(qtbot, view)
    assert view._pages.currentIndex() == 0
    view.set_recordings(recording(BEFORE), None)
    assert view.empty._title.text() == "Nothing to compare with the baseline"
    view.set_recordings(recording(BEFORE), recording(results=(), source="run.hlog"))
    assert "run.hlog holds none" in view.empty._text.text()


def test_an_empty_side_is_no_error(qtbot: QtBot) -> None:
    view = view_of(qtbot, BEFORE, "")
    assert view.comparison is not None
    view.scale.step(1)
    settle(qtbot, view)
    view.selection.select("match_order")


def test_the_table_can_be_cut_to_what_moved(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.delta.show_rows.step(2)
    assert view.delta.show_rows.choice is Show.BEYOND
    assert "validate" not in names(view)
    assert "match_order" in names(view)
