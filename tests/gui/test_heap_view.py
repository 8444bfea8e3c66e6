"""The Memory view: figures, snapshots by mouse and keys, sites of every question, and what other views then show."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QPainter
from PySide6.QtGui import Qt as Text
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QToolTip
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from helpers import heaps
from helpers.heaps import BOOK, INTERN, PARSE
from helpers.results import show
from tailflame.model import HeapFacts, Recording, Weight
from tailflame.model.heap import ALLOCATED, LEAKED, PEAK, TEMPORARY, TimeUnit
from tailflame.units import Unit
from tailflame_gui.models.heap_facts import heap_figures, short_count, time_text
from tailflame_gui.models.heap_sites import Question, SiteModel, site_table
from tailflame_gui.models.scope import ResultScope, Scope, first_event
from tailflame_gui.selection import Selection
from tailflame_gui.views.heap_view import HeapView
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.widgets.heap_plot import HeapPlot, axis_of, layers_of
from tailflame_gui.widgets.heap_rate_plot import RatePlot, rates
from tailflame_gui.widgets.heap_sizes import SizesPlot


def view_of(qtbot: QtBot, recording: Recording) -> HeapView:
    scope = ResultScope()
    scope.set(Scope(event=first_event(recording), weight=Weight.PERIOD))
    view = HeapView(recording, selection=Selection(), scope=scope)
    show(qtbot, view, 1180, 680)
    qtbot.waitUntil(lambda: not view.busy)
    return view


def result_of(qtbot: QtBot, recording: Recording) -> ResultView:
    view = ResultView(recording)
    show(qtbot, view, 1200, 760)
    qtbot.waitUntil(lambda: not view.busy)
    return view


def memory(view: ResultView) -> HeapView:
    made = view.findChild(HeapView)
    assert isinstance(made, HeapView)
    return made


def rows(view: HeapView, column: int = 2) -> list[tuple[str, str]]:
    model = view.model
    return [(str(model.index(r, 0).data()), str(model.index(r, column).data())) for r in range(model.rowCount())]


# figures


def test_figures_of_the_run_say_what_the_file_does_not_tell() -> None:
    told = {figure.name: figure for figure in heap_figures(heaps.timeline(facts=HeapFacts(peak=8_900_000.0)))}
    assert (told["Peak heap"].text, told["Peak heap"].below) == ("8.9 MB", "at 1.50 s")
    assert "8,900,000 bytes" in told["Peak heap"].tip
    for name in ("Allocations", "Temporary", "Leaked", "Suppressed", "Peak RSS"):
        assert (told[name].text, told[name].known) == ("–", False), name
        assert told[name].below == "the file does not tell"


def test_both_counts_of_temporary_allocations_stand_there_explained() -> None:
    heap = heaps.heaptrack().heap
    assert heap is not None
    told = {figure.name: figure for figure in heap_figures(heap)}["Temporary"]
    assert told.text == "20,040 (57.3%)"
    assert told.below == "heaptrack_print: 24,000"
    assert "one block for another" in told.tip


def test_zero_is_a_figure() -> None:
    told = heap_figures(heaps.timeline(facts=HeapFacts(peak=0.0, leaked=0.0, allocations=0.0, temporary=0.0)))[1:]
    assert [(f.name, f.text) for f in told if f.known] == [("Allocations", "0"), ("Temporary", "0"), ("Leaked", "0 B")]


def test_times_are_written_in_their_unit() -> None:
    assert time_text(1.5, TimeUnit.SECONDS) == "1.50 s"
    assert time_text(39_682_525, TimeUnit.INSTRUCTIONS) == "39.7 M instr."
    assert time_text(8_855_104, TimeUnit.BYTES) == "8.9 MB"
    assert time_text(0.003, TimeUnit.SECONDS) == "3.00 ms"
    assert short_count(950) == "950"


def test_one_dump_tells_what_was_in_use_and_of_no_peak() -> None:
    told = heap_figures(heaps.timeline(heap=(407_600.0,), unit=TimeUnit.BYTES, facts=HeapFacts(sampled_every=16384)))
    assert (told[0].name, told[0].text, told[0].below) == ("In use", "408 kB", "at 0 B")


# the plot


@pytest.fixture
def plot(qtbot: QtBot) -> HeapPlot:
    heap = heaps.massif().heap
    assert heap is not None
    axis = axis_of(heap)
    made = HeapPlot(axis)
    axis.setParent(made)
    made.set_heap(heap)
    show(qtbot, made, 900, 200)
    return made


def x_of(plot: HeapPlot, row: int) -> int:
    assert plot.heap is not None
    return round(float(plot.across(plot.heap.time[[row]])[0]))


def test_bands_are_piled_and_what_is_not_known_is_left_out(plot: HeapPlot) -> None:
    assert [layer.band.key for layer in plot.layers] == ["heap", "extra", "stacks"]
    assert float(plot.layers[-1].top[3]) == 8_900_000 + 420_000 + 30_000
    assert [layer.band.key for layer in layers_of(heaps.timeline())] == ["heap"]


def test_left_and_right_go_from_snapshot_to_snapshot(plot: HeapPlot, qtbot: QtBot) -> None:
    seen: list[int] = []
    plot.chosen.connect(seen.append)
    plot.setFocus()
    QTest.keyClick(plot, Qt.Key.Key_Right)
    assert (plot.row, seen) == (3, [3]), "nothing was chosen: the peak is the first"
    for key, row in (
        (Qt.Key.Key_Right, 5), (Qt.Key.Key_Right, 5), (Qt.Key.Key_Left, 3), (Qt.Key.Key_Left, 1),
        (Qt.Key.Key_Left, 1), (Qt.Key.Key_End, 5), (Qt.Key.Key_Home, 1), (Qt.Key.Key_P, 3),
    ):  # fmt: skip
        QTest.keyClick(plot, key)
        assert plot.row == row
    with qtbot.waitSignal(plot.opened) as opened:
        QTest.keyClick(plot, Qt.Key.Key_Return)
    assert opened.args == [3]


def test_a_click_near_a_tick_chooses_it_and_one_far_from_any_does_not(plot: HeapPlot) -> None:
    QTest.mouseClick(plot, Qt.MouseButton.LeftButton, pos=QPoint(x_of(plot, 1) + 3, 100))
    assert plot.row == 1
    QTest.mouseClick(plot, Qt.MouseButton.LeftButton, pos=QPoint(x_of(plot, 2), 100))
    assert plot.row == 1, "row 2 has no call tree"


def test_a_double_click_wants_the_call_tree(plot: HeapPlot, qtbot: QtBot) -> None:
    with qtbot.waitSignal(plot.opened) as opened:
        QTest.mouseDClick(plot, Qt.MouseButton.LeftButton, pos=QPoint(x_of(plot, 5), 100))
    assert opened.args == [5]


def test_the_readings_are_of_the_pointer_the_snapshot_or_the_peak(plot: HeapPlot) -> None:
    assert [(line.text, line.words) for line in plot.readings()] == [
        ("9.3 MB", "in all"), ("30.0 kB", "stacks"), ("420 kB", "overhead"), ("8.9 MB", "heap"),
    ]  # fmt: skip
    plot.choose(1)
    assert plot.readings()[-1].text == "2.0 MB"
    assert plot.heap is not None
    plot.axis.point_at(float(plot.heap.time[2]))
    assert plot.readings()[-1].text == "5.0 MB"
    assert "5,000,000 bytes" in plot.tip(float(plot.heap.time[2]), 50.0)


def test_a_range_reads_what_it_added(plot: HeapPlot) -> None:
    assert plot.heap is not None
    plot.axis.select(float(plot.heap.time[1]), float(plot.heap.time[3]))
    assert plot.readings()[-1].text == "+6.9 MB"
    plot.axis.select(float(plot.heap.time[3]), float(plot.heap.time[5]))
    assert plot.readings()[-1].text == "−6.4 MB"


def test_resident_memory_far_above_the_heap_waits_until_it_is_asked_for(qtbot: QtBot) -> None:
    heap = heaps.timeline(heap=(1e5, 2e5), rss=(4e7, 5e7))
    axis = axis_of(heap)
    made = HeapPlot(axis)
    axis.setParent(made)
    made.set_heap(heap)
    show(qtbot, made, 900, 200)
    assert not made.shows_rss and made.most == 2e5
    made.reading_clicked.emit(0)
    assert made.shows_rss and made.most == 5e7


def test_a_row_that_tells_only_a_part_is_read_with_what_was_known_before() -> None:
    heap = heaps.timeline(heap=(1.0, 2.0, 3.0), rss=(10.0, np.nan, 30.0), allocations=(0, np.nan, 400))
    axis = axis_of(heap)
    made = HeapPlot(axis)
    axis.setParent(made)
    made.set_heap(heap)
    made.choose(1)
    assert made.readings()[0].text == "10 B"
    times, rate = rates(heap)
    assert (times.tolist(), rate.tolist()) == ([0.0, 1.0], [400.0])
    made.deleteLater()


def test_without_counts_over_time_there_is_no_strip_of_them(qtbot: QtBot) -> None:
    assert view_of(qtbot, heaps.massif()).rate.isHidden()
    view = view_of(qtbot, heaps.heaptrack())
    assert not view.rate.isHidden()
    assert [(line.text, line.words) for line in view.rate.readings()] == [("35,000", "in all")]
    view.axis.point_at(0.6)
    assert view.rate.readings()[0].text == "16.0 k"


def test_ten_thousand_rows_are_drawn_as_many_points_as_there_are_pixels(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tailflame_gui.widgets import heap_plot, heap_rate_plot

    points: list[int] = []
    drawn = heap_plot.polyline

    def counted(painter: QPainter, x: heap_plot.Array, y: heap_plot.Array) -> None:
        points.append(len(x))
        drawn(painter, x, y)

    monkeypatch.setattr(heap_plot, "polyline", counted)
    monkeypatch.setattr(heap_rate_plot, "polyline", counted)
    many = np.abs(np.sin(np.arange(10_000) / 40)) * 1e6
    heap = heaps.timeline(heap=many, extra=many / 9, rss=many * 2, allocations=np.arange(10_000), step=0.01)
    axis = axis_of(heap)
    for kind in (HeapPlot, RatePlot):
        made = kind(axis)
        made.set_heap(heap)
        show(qtbot, made, 1200, 200)
        made.grab()
    axis.setParent(made)
    assert len(points) >= 3 and max(points) < 2 * 1200


def test_a_timeline_of_nothing_says_so(qtbot: QtBot) -> None:
    empty = heaps.timeline(heap=())
    view = view_of(qtbot, replace(heaps.heaptrack(), results=(empty,)))
    assert view.plot.empty_text == "The file holds no memory over time."
    assert view.to_flame.isEnabled() is False
    assert all(not choice.available for choice in view.questions.choices)
    view.grab()


# the sites


def test_sites_are_told_by_bytes_at_first(qtbot: QtBot) -> None:
    view = view_of(qtbot, heaps.heaptrack())
    assert view.question is Question.BYTES
    assert rows(view) == [(BOOK, "6.00"), (INTERN, "2.50"), (PARSE, "0.40")]
    assert view.shown.whole == "Peak heap  ·  8.9 MB"


@pytest.mark.parametrize(
    ("question", "event", "weight", "first"),
    [
        (Question.CALLS, ALLOCATED, Weight.SAMPLES, (PARSE, "21,000")),
        (Question.TEMPORARY, TEMPORARY, Weight.SAMPLES, (PARSE, "20,000")),
        (Question.LEAKED, LEAKED, Weight.PERIOD, (INTERN, "2.50")),
        (Question.BYTES, PEAK, Weight.PERIOD, (BOOK, "6.00")),
    ],
)
def test_each_question_sets_the_event_of_every_view(
    qtbot: QtBot, question: Question, event: str, weight: Weight, first: tuple[str, str]
) -> None:
    result = result_of(qtbot, heaps.heaptrack())
    view = memory(result)
    view.ask(question)
    qtbot.waitUntil(lambda: not view.busy)
    scope = result.scope.scope
    profile = result.recording.profile
    assert profile is not None
    assert (profile.events[scope.event].name, scope.weight) == (event, weight)
    assert rows(view)[0] == first


def test_candidates_for_a_pool_are_named_and_come_first() -> None:
    recording = heaps.heaptrack()
    assert recording.profile is not None and recording.heap is not None
    table = site_table(recording.profile, recording.heap, Question.TEMPORARY, 0)
    model = SiteModel()
    model.set_table(table)
    at = next(c for c, column in enumerate(model.columns) if column.title == "Pool?")
    assert [(model.text(0, row), model.text(at, row)) for row in range(2)] == [(PARSE, "candidate"), (BOOK, "")]


def test_what_is_suppressed_is_no_leak(qtbot: QtBot) -> None:
    recording = heaps.heaptrack()
    assert recording.heap is not None and recording.profile is not None
    hidden = replace(recording.heap, suppressions=("*validation::intern*",))
    view = view_of(qtbot, replace(recording, results=(hidden, recording.profile)))
    view.ask(Question.LEAKED)
    qtbot.waitUntil(lambda: not view.busy)
    assert rows(view) == []
    assert view.empty.findChildren(type(view.note))[0].text() == "Nothing leaked"


def test_a_file_of_snapshots_offers_no_question_it_cannot_answer(qtbot: QtBot) -> None:
    view = view_of(qtbot, heaps.massif())
    assert [(choice.text, choice.available) for choice in view.questions.choices] == [
        ("By bytes", True), ("By calls", False), ("Temporary", False), ("Leaked", False),
    ]  # fmt: skip
    assert "does not tell how often" in view.questions.choices[1].reason
    assert rows(view) == [(BOOK, "6.00"), (INTERN, "2.90")]


def test_a_snapshot_that_is_chosen_is_shown_by_every_view(qtbot: QtBot) -> None:
    result = result_of(qtbot, heaps.massif())
    view = memory(result)
    assert result.scope.scope.event == 1, "the peak, though it is not the first event"
    view.plot.setFocus()
    QTest.keyClick(view.plot, Qt.Key.Key_Right)
    qtbot.waitUntil(lambda: not view.busy)
    assert result.scope.scope.event == 2
    assert rows(view) == [(INTERN, "2.50")]
    assert view.shown.whole == "Snapshot 5  ·  2.5 MB  ·  at 62.0 M instr."
    QTest.keyClick(view.plot, Qt.Key.Key_Return)
    assert result.part is Part.FLAME
    qtbot.waitUntil(lambda: not result.busy)
    picture = result.flame.graph.scene
    assert picture is not None and picture.total == "2.5 MB"


def test_the_event_that_another_view_chooses_is_followed(qtbot: QtBot) -> None:
    result = result_of(qtbot, heaps.massif())
    view = memory(result)
    result.show_event(0)
    qtbot.waitUntil(lambda: not view.busy)
    assert (view.plot.row, rows(view)) == (1, [(BOOK, "2.00")])


def test_a_site_is_shown_in_the_flame_graph(qtbot: QtBot) -> None:
    result = result_of(qtbot, heaps.heaptrack())
    view = memory(result)
    view.table.show_line(1)
    view.table.setFocus()
    QTest.keyClick(view.table, Qt.Key.Key_Return)
    assert (result.part, result.selection.function) == (Part.FLAME, INTERN)


def test_the_menu_of_a_site_offers_every_way_on(qtbot: QtBot) -> None:
    view = view_of(qtbot, heaps.heaptrack())
    words = [action.text() for action in view.menu_for(0).actions() if action.text()]
    assert words == [
        "Copy name", "Show in the flame graph", "Callers and callees", "Source and assembly", "Open source",
        "Copy lines", "Copy table as shown",
    ]  # fmt: skip
    with qtbot.waitSignal(view.open_source) as opened:
        next(a for a in view.menu_for(0).actions() if a.text() == "Open source").trigger()
    assert opened.args == ["src/book.rs", 12]
    assert [a.text() for a in view.menu_for(-1).actions()] == ["Copy lines", "Copy table as shown"]


def test_sites_are_filtered_by_name_and_by_file(qtbot: QtBot) -> None:
    view = view_of(qtbot, heaps.heaptrack())
    view.filter.set_query("book.rs")
    assert [name for name, _figure in rows(view)] == [BOOK]
    view.filter.set_query("nowhere")
    assert rows(view) == []
    view.filter.set_query("")
    assert len(rows(view)) == 3


def test_what_stands_out_is_said_and_leads_to_its_sites(qtbot: QtBot) -> None:
    view = view_of(qtbot, heaps.heaptrack())
    assert any("never freed" in line for line in view.reading.lines())
    leak = next(at for at, line in enumerate(view.reading.lines()) if "never freed" in line)
    view.reading.chosen.emit(leak)
    qtbot.waitUntil(lambda: not view.busy)
    assert view.question is Question.LEAKED
    assert view.table.current_line() == 0


def test_of_a_snapshot_that_stands_for_the_peak_nothing_is_said_of_the_peak(qtbot: QtBot) -> None:
    massif = heaps.massif()
    assert massif.profile is not None
    heap = heaps.timeline(events=((1, 0), (5, 2)))
    view = view_of(qtbot, replace(massif, results=(heap, massif.profile)))
    assert view.shown.whole.startswith("Snapshot 5")
    assert view.reading.lines() == []
    assert view._side.isHidden()


def test_sizes_of_allocations_are_bars_that_can_be_walked(qtbot: QtBot) -> None:
    heap = heaps.heaptrack().heap
    assert heap is not None
    made = SizesPlot()
    made.set_heap(heap)
    show(qtbot, made, 320, 200)
    made.setFocus()
    QTest.keyClick(made, Qt.Key.Key_Down)
    QTest.keyClick(made, Qt.Key.Key_Down)
    assert made.accessibleDescription() == "9 to 16 B: 14,000 allocations, 40.0%"
    made.grab()


@pytest.mark.parametrize("question", list(Question))
def test_the_model_keeps_qts_rules(qtmodeltester: ModelTester, question: Question) -> None:
    recording = heaps.heaptrack()
    assert recording.profile is not None and recording.heap is not None
    model = SiteModel()
    model.set_table(site_table(recording.profile, recording.heap, question, 0))
    qtmodeltester.check(model, force_py=True)


def test_sites_are_copied_in_full_precision() -> None:
    recording = heaps.heaptrack()
    assert recording.profile is not None and recording.heap is not None
    model = SiteModel()
    model.set_table(site_table(recording.profile, recording.heap, Question.LEAKED, 0))
    assert model.as_tsv().splitlines()[1].split("\t")[:3] == [INTERN, "100", "2500000"]


def test_the_keyboard_reaches_each_figure_and_its_explanation(qtbot: QtBot) -> None:
    view = view_of(qtbot, heaps.heaptrack())
    block = view.figures.blocks[2]
    block.setFocus(Qt.FocusReason.TabFocusReason)
    assert block.hasFocus()
    assert QToolTip.text() == block.toolTip() and "one block for another" in block.toolTip()
    view.grab()
    view.plot.setFocus()
    assert not block.hasFocus()


def test_every_key_has_its_words_on_the_sheet_and_in_the_palette(qtbot: QtBot) -> None:
    from tailflame_gui.views.view_keys import key_entries, key_lines

    result = result_of(qtbot, heaps.heaptrack())
    lines = {(words, keys) for group, words, keys in key_lines(result) if group == "Memory"}
    assert {("Go to the peak", "Alt+P"), ("Sites that leak", "Alt+L"), ("Go to the snapshot of the peak", "P")} <= lines
    entries = {entry.text: entry for entry in key_entries(result) if entry.group == "Memory"}
    entries["Sites that leak"].act()
    assert memory(result).question is Question.LEAKED
    entries["Go to the peak"].act()
    assert memory(result).question is Question.BYTES
    entries["Show this memory as a flame graph"].act()
    assert result.part is Part.FLAME


def test_hostile_names_stand_as_they_are(qtbot: QtBot) -> None:
    hostile = "<b>x</b><img src=file:///etc/passwd>&run"
    trees = heaps.profile({PEAK: (Unit.BLOCKS, True, ((f"main;{hostile}", 3, 9_000_000),))})
    heap = heaps.timeline(suppressions=("<i>all</i>",), facts=HeapFacts(peak=9e6, suppressed=5.0))
    view = view_of(qtbot, replace(heaps.heaptrack(), results=(heap, trees)))
    assert rows(view)[0][0] == hostile
    tips = [str(view.model.index(0, c).data(Qt.ItemDataRole.ToolTipRole)) for c in range(view.model.columnCount())]
    tips += [block.toolTip() for block in view.figures.blocks]
    for tip in tips:
        assert not Text.mightBeRichText(tip) or not {"<img", "<i>", "<b>"} & set(re.findall(r"<\w+>?", tip)), tip
    for line in view.reading.findChildren(QLabel):
        assert "<img" not in line.text()


def test_the_tabs_of_a_heap_speak_of_memory() -> None:
    from tailflame_gui.views.result_parts import words_of

    assert words_of(Part.FLAME, heaps.heaptrack())[2] == "Where memory comes from, as boxes."


def test_the_memory_part_comes_first_and_only_for_heaps(qtbot: QtBot) -> None:
    from helpers import results
    from tailflame_gui.views.result_parts import parts_of

    assert parts_of(heaps.heaptrack())[0] is Part.MEMORY
    assert Part.MEMORY not in parts_of(results.recording())
