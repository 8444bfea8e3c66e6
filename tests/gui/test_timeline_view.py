"""The timeline below the views: a drag, a click on a thread and an expression hold in all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget
from pytestqt.qtbot import QtBot

from helpers.stacks import profile as untimed
from tailflame.analyse.filter_language import parse, text_of
from tailflame.analyse.sample_filter import rows
from tailflame.model import Recording, StackBuilder, StackProfile, Thread, Weight
from tailflame.model.stacks import Event
from tailflame.parse import load
from tailflame.units import Unit
from tailflame_gui import exporting, tasks
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.views.timeline_view import Look

MS = 1_000_000
popup = pytest.mark.qt_log_ignore("grabbing the keyboard", extend=True)
"""Without a screen a list that pops up cannot have the keyboard to itself, and says so."""
SECONDS = 10
"""Two threads of one process and one of another, a sample each 10 ms: "engine" matches in the first half and parses in
the second, "worker" only parses, "logger" writes. The engine waits half a second at 2 s and at 7 s.
"""


def timed() -> StackProfile:
    builder = StackBuilder(
        events=[Event("cpu-clock", Unit.NANOSECONDS, True), Event("off-CPU", Unit.NANOSECONDS, True)]
    )
    threads = [builder.thread(Thread(*who)) for who in (("engine", 7, 7), ("worker", 7, 8), ("logger", 9, 9))]
    main = builder.frame("main", module="/opt/engine")
    leaf = {name: builder.stack([main, builder.frame(name)]) for name in ("match", "parse", "write", "sleep")}
    for at in range(SECONDS * 100):
        time = 10**12 + at * 10 * MS
        first = "match" if at < SECONDS * 50 else "parse"
        for thread, name in enumerate((first, "parse", "write")):
            builder.sample(leaf[name], period=10.0 * MS, time_ns=time, thread=threads[thread], cpu=thread % 2)
        if at in (200, 700):
            builder.sample(leaf["sleep"], period=500.0 * MS, time_ns=time, thread=threads[0], cpu=0, event=1)
    return builder.build(in_time_order=True)


def view_of(qtbot: QtBot, profile: StackProfile | None = None) -> ResultView:
    recording = Recording(tool="perf", format="perf data", source="made", results=(profile or timed(),))
    view = ResultView(recording)
    qtbot.addWidget(view)
    view.resize(1160, 760)
    with qtbot.waitExposed(view):
        view.show()
    settle(qtbot, view)
    return view


def settle(qtbot: QtBot, view: ResultView) -> None:
    qtbot.waitUntil(lambda: tasks.at_rest() and not view.busy and not view.timeline.busy)


def drag(widget: QWidget, start: QPointF, end: QPointF) -> None:
    """With the left button, over some points on the way."""
    QTest.mousePress(widget, Qt.MouseButton.LeftButton, pos=start.toPoint())
    for part in (0.3, 0.7, 1.0):
        QTest.mouseMove(widget, (start + (end - start) * part).toPoint())
        QApplication.processEvents()
    QTest.mouseRelease(widget, Qt.MouseButton.LeftButton, pos=end.toPoint())


def at_time(view: ResultView, time_s: float, *, lane: int = 0) -> QPointF:
    lanes = view.timeline.lanes
    return QPointF(lanes.x_of(time_s), lanes.rect_of(lane).center().y())


def drag_range(qtbot: QtBot, view: ResultView, start: float, end: float) -> None:
    drag(view.timeline.lanes.viewport(), at_time(view, start), at_time(view, end))
    qtbot.waitUntil(lambda: view.scope.scope.span is not None and not view.timeline.busy)
    settle(qtbot, view)


def names(view: ResultView) -> set[str]:
    """Functions that the flame graph shows."""
    tree = view.flame.tree
    assert tree is not None
    return {tree.name(node) for node in range(len(tree))}


def lane_names(view: ResultView) -> list[str]:
    return [lane.name for lane in view.timeline.lanes.lanes]


def test_a_drag_holds_in_every_view(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    assert names(view) == {"main", "match", "parse", "write"}
    drag_range(qtbot, view, 6.0, 8.0)
    span = view.scope.scope.span
    assert span is not None and span == pytest.approx((6.0, 8.0), abs=0.05)
    assert names(view) == {"main", "parse", "write"}
    wanted = rows(view._trees.profile, view.scope.scope.filter)  # type: ignore[union-attr]
    inside = float((wanted & (timed().samples.event == 0)).sum())
    assert view.flame.tree is not None and view.flame.tree.total == inside
    view.show_part(Part.HOTSPOTS)
    settle(qtbot, view)
    table = view.hotspots.model.table
    assert table is not None and table.samples == inside and "match" not in table.key
    view.show_part(Part.TOP_DOWN)
    settle(qtbot, view)
    assert view.top_down.model.tree is not None and view.top_down.model.tree.total == inside
    view.show_part(Part.SUMMARY)
    settle(qtbot, view)
    assert [line.name for line in view.summary.hotspots if line.isVisible()] == ["parse", "write"]
    view.selection.select("parse")
    settle(qtbot, view)
    assert view.inspector.portrait is not None and view.inspector.portrait.samples == inside
    assert view.facts.whole.split("  ·  ")[1] == f"{inside:,.0f} of 3,000 samples"
    assert f"{inside:,.0f} samples" in view.timeline.told.whole


def test_escape_shows_all_times_again(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    drag_range(qtbot, view, 1.0, 3.0)
    view.timeline.lanes.setFocus()
    QTest.keyClick(view.timeline.lanes, Qt.Key.Key_Escape)
    assert view.scope.scope.span is None
    settle(qtbot, view)
    assert names(view) == {"main", "match", "parse", "write"}
    assert view.timeline.told.whole == "10.0 s  ·  3,000 samples"


def test_a_chip_takes_the_range_back(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    drag_range(qtbot, view, 1.0, 3.0)
    (chip,) = view.timeline.chips.texts()
    view.timeline.chips.click(chip)
    assert view.scope.scope.span is None and view.timeline.axis.selection is None


def click_lane(view: ResultView, name: str, *, modifiers: Qt.KeyboardModifier) -> None:
    lane = [at for at, found in enumerate(lane_names(view)) if found == name][-1]
    middle = view.timeline.lanes.rect_of(lane).center().y()
    QTest.mouseClick(view.timeline.lanes.viewport(), Qt.MouseButton.LeftButton, modifiers, QPoint(40, middle))


NOTHING, CONTROL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier


def test_lanes_are_processes_and_their_threads(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    assert lane_names(view) == ["engine", "engine", "worker", "logger"]
    view.timeline.show_look(Look.CPUS)
    settle(qtbot, view)
    assert lane_names(view) == ["CPU 0", "CPU 1"]
    assert view.timeline.lanes.samples_of(0) == 2000


def test_threads_go_out_and_in_by_click_and_key(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    click_lane(view, "worker", modifiers=NOTHING)
    click_lane(view, "logger", modifiers=CONTROL)
    QTest.keyClick(view.timeline.lanes, Qt.Key.Key_Delete)
    assert text_of(view.scope.scope.terms) == "-tid:8,9"
    assert view.timeline.filter.text() == "-tid:8,9"
    settle(qtbot, view)
    assert names(view) == {"main", "match", "parse"}
    assert view.flame.tree is not None and view.flame.tree.total == 1000
    assert [view.timeline.lanes.samples_of(lane) for lane in range(4)] == [1000, 1000, 0, 0]
    QTest.keyClick(view.timeline.lanes, Qt.Key.Key_Return)
    assert text_of(view.scope.scope.terms) == "tid:8,9"
    assert view.timeline.chips.texts() == ["tid:8,9 (worker, logger)"]


def test_the_menu_of_a_line_filters(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    menu = view.timeline.menu_for((view.timeline.lanes.lanes[0],))
    offered = [action.text().partition("\t")[0] for action in menu.actions() if action.text()]
    assert offered == ["Only engine", "All but engine", "Show the whole recording"]
    menu.actions()[1].trigger()
    assert text_of(view.scope.scope.terms) == "-pid:7"
    settle(qtbot, view)
    assert names(view) == {"main", "write"}


@popup
def test_an_expression_filters_and_a_bad_one_says_where(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    line = view.timeline.filter
    line.setFocus()
    QTest.keyClicks(line, "thread:engine time:0-1s")
    QTest.keyClick(line, Qt.Key.Key_Return)
    assert view.scope.scope.terms == parse("thread:engine time:0-1s")
    settle(qtbot, view)
    assert names(view) == {"main", "match"}
    line.set_query("thread:engine cpu:x")
    assert line.error is not None and (line.error.start, line.error.end) == (18, 19)
    assert view.timeline.told.whole == "“x” is no number or range. For example cpu:0-3."
    assert view.scope.scope.terms == parse("thread:engine time:0-1s")  # what held before still holds
    line.set_query("")
    assert line.error is None and not view.scope.scope.terms


def test_the_field_has_nothing_to_clear_after_the_filter_was_taken_back(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    line = view.timeline.filter
    line.set_query("thread:engine")
    settle(qtbot, view)
    clear = next(b for b in line.findChildren(QAbstractButton) if not b.isEnabled() or b.pos().x() > line.width() / 2)
    assert clear.isVisible()
    view.timeline.show_everything()
    settle(qtbot, view)
    assert line.text() == ""
    qtbot.waitUntil(lambda: not clear.isVisible())


def test_a_name_that_nothing_has_is_said(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.timeline.filter.set_query("thread:engin,wroker")
    settle(qtbot, view)
    assert "No thread has “wroker” in its name." in view.timeline.told.whole


@popup
def test_the_filter_line_completes(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    line = view.timeline.filter
    line.setFocus()
    QTest.keyClicks(line, "-thr")
    assert line.options == ["thread:"]
    QTest.keyClick(line, Qt.Key.Key_Tab)
    assert line.text() == "-thread:" and line.options == ["engine", "worker", "logger"]
    QTest.keyClicks(line, "lo")
    assert line.options == ["logger"]
    QTest.keyClick(line, Qt.Key.Key_Tab)
    assert line.text() == "-thread:logger"
    assert view.scope.scope.terms == parse("-thread:logger")


def test_wheel_and_keys_zoom_and_pan(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    lanes, axis = view.timeline.lanes, view.timeline.axis
    where = at_time(view, 4.0)
    turn(lanes.viewport(), where, 120, NOTHING)
    assert axis.high_s - axis.low_s < 8.0 and lanes.time_at(where.x()) == pytest.approx(4.0, abs=0.05)
    low = axis.low_s
    turn(lanes.viewport(), where, -120, Qt.KeyboardModifier.ShiftModifier)
    assert axis.low_s > low
    QTest.keyClick(lanes, Qt.Key.Key_Home)
    assert (axis.low_s, axis.high_s) == (0.0, pytest.approx(9.99))
    QTest.keyClick(lanes, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    QTest.keyClick(lanes, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert axis.selection == (0.0, pytest.approx(8 * axis.pixel_s))


def turn(widget: QWidget, at: QPointF, by: int, modifiers: Qt.KeyboardModifier) -> None:
    event = QWheelEvent(
        at, widget.mapToGlobal(at), QPoint(), QPoint(0, by), Qt.MouseButton.NoButton, modifiers,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(widget, event)


def test_the_subsecond_map_gives_the_time_between_two_cells(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.timeline.show_look(Look.SUBSECOND)
    settle(qtbot, view)
    plot = view.timeline.map
    assert plot.map is not None and (plot.map.rows, plot.map.seconds) == (50, 10)
    drag(plot, plot.rect_of((25, 2)).center(), plot.rect_of((4, 4)).center())
    settle(qtbot, view)
    assert view.scope.scope.span == pytest.approx((2.5, 4.1))
    assert view.flame.tree is not None and view.flame.tree.total == 3 * 160
    assert plot.tip(plot.rect_of((25, 2)).center().toPoint()) == "2.500 s to 2.520 s: 6 samples"


def test_waiting_is_shown_beside_the_cpu_and_weighed_by_its_time(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    data = view.timeline.lanes.data
    assert data is not None and data.waits is not None
    waited = data.waits.time_ns((0,), np.array([0.0, 2.25, 5.0, 10.0]))
    assert (waited / MS).tolist() == pytest.approx([250, 250, 500])
    box = view.scope_bar.event_box
    box.setCurrentIndex(box.row(1))
    assert view.scope.scope.event == 1 and view.scope.scope.weight is Weight.PERIOD
    settle(qtbot, view)
    assert names(view) == {"main", "sleep"}
    assert view.flame.tree is not None and view.flame.tree.total == 1000 * MS
    # The lanes still show the CPU, and what is told beside them is waiting.
    assert view.timeline.lanes.samples_of(1) == 1000
    assert view.timeline.lanes.figure_of(1) == 1000 * MS


def test_an_expression_can_ask_for_another_event(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    view.timeline.filter.set_query("event:off-CPU")
    assert view.scope.scope.event == 1
    settle(qtbot, view)
    assert names(view) == {"main", "sleep"}
    assert view.timeline.lanes.samples_of(1) == 1000


def test_it_folds_and_keeps_its_filter_in_sight(qtbot: QtBot) -> None:
    view = view_of(qtbot)
    high = view.timeline.height()
    assert 90 <= high <= 160
    view.timeline.toggle()
    qtbot.waitUntil(lambda: view.timeline.height() < 50)
    assert view.timeline.filter.isVisible() and not view.timeline.lanes.isVisible()
    view.timeline.toggle()
    qtbot.waitUntil(lambda: view.timeline.height() == high)


def test_without_times_there_is_a_filter_and_no_timeline(qtbot: QtBot) -> None:
    view = view_of(qtbot, untimed("one: a;b 3\ntwo: a;c 2"))
    assert view.timeline.is_folded and not view.timeline.look.isVisible()
    view.timeline.filter.set_query("thread:two")
    settle(qtbot, view)
    assert names(view) == {"a", "c"}
    assert view.timeline.told.whole.startswith("2 samples, 40.0%")


def test_an_export_holds_what_the_views_show(qtbot: QtBot, tmp_path: Path) -> None:
    view = view_of(qtbot)
    drag_range(qtbot, view, 6.0, 8.0)
    view.timeline.filter.set_query("-thread:logger")
    settle(qtbot, view)
    assert view.flame.tree is not None
    for kind in ("pprof", "speedscope", "folded"):
        target = tmp_path / f"part.{kind}"
        exporting._work(kind, SimpleNamespace(recording=view.recording, title="part"), view.flame, target)()  # type: ignore[arg-type]
        again = load(target).profile
        assert again is not None and again.total() == view.flame.tree.total
        assert {again.frames.name_of(frame) for frame in range(len(again.frames))} >= {"main", "parse"}


def test_everything_is_in_the_palette(qtbot: QtBot) -> None:
    from tailflame_gui.views.view_keys import key_entries

    view = view_of(qtbot)
    entries = {entry.text: entry for entry in key_entries(view) if entry.group == "Timeline"}
    assert len(entries) == 7
    entries["Show the subsecond heat map"].act()
    assert view.timeline.shown_look is Look.SUBSECOND
    view.timeline.filter.set_query("thread:engine")
    entries["Take every filter of samples back"].act()
    assert not view.scope.scope.filter


@pytest.mark.parametrize("change", [lambda v: v.timeline.axis.select(1.0, 2.0), lambda v: v.timeline.filter_out(())])
def test_closing_while_it_computes_is_no_error(qtbot: QtBot, change: Callable[[ResultView], None]) -> None:
    view = view_of(qtbot)
    change(view)
    view.close()
    qtbot.waitUntil(lambda: not tasks._tasks)
