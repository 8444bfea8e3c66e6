"""Two heaps in the window: figures, both over time, sites with their changes, and the stacks compared as counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from helpers import heaps
from helpers.heaps import BOOK, INTERN, PARSE
from helpers.results import show
from tailflame.analyse.diff import Scale
from tailflame.analyse.heap_diff import site_deltas
from tailflame.model import HeapFacts, Recording
from tailflame.model.heap import ALLOCATED
from tailflame.units import Unit
from tailflame_gui.models.delta_model import Show
from tailflame_gui.models.heap_deltas import SiteDeltaModel, compared_figures
from tailflame_gui.models.roles import Role
from tailflame_gui.views.compare_view import CompareView
from tailflame_gui.views.compared_parts import compared_kinds
from tailflame_gui.views.heap_comparison import HeapComparison
from tailflame_gui.widgets.heap_compare_plot import HeapComparePlot


def view_of(qtbot: QtBot, before: Recording, after: Recording) -> HeapComparison:
    view = HeapComparison(before, after, titles=("engine", "engine"), commits=("9f3c2e1", "dirty"))
    show(qtbot, view, 1180, 720)
    qtbot.waitUntil(lambda: not view.busy)
    return view


def lines_of(view: HeapComparison) -> list[str]:
    return [line.verdict.sentence for line in view.verdict.lines]


def test_two_heaps_are_compared_as_heaps() -> None:
    kinds = [kind.title for kind in compared_kinds(heaps.heaptrack(), heaps.grown())]
    assert "Memory" in kinds
    assert not compared_kinds(heaps.heaptrack(), replace(heaps.heaptrack(), results=(heaps.profile(),)))


def test_figures_stand_beside_each_other_with_a_word_for_the_change() -> None:
    before, after = heaps.heaptrack().heap, heaps.grown().heap
    assert before is not None and after is not None
    told = {figure.name: (figure.text, figure.below) for figure in compared_figures(before, after)}
    assert told == {
        "Peak heap": ("8.9 MB → 11.6 MB", "▲ +30%, 2.7 MB more"),
        "Allocations": ("35,000 → 20,000", "▼ −43%, 15,000 less"),
        "Temporary": ("20,040 → 40", "▼ −100%, 20,000 less"),
        "Leaked": ("2.5 MB → 5.6 MB", "▲ +124%, 3.1 MB more"),
        "Peak RSS": ("14.5 MB → 17.9 MB", "▲ +23%, 3.4 MB more"),
    }


def test_what_one_file_does_not_tell_is_no_change() -> None:
    one, other = (heaps.timeline(facts=HeapFacts(peak=5.0, leaked=leaked)) for leaked in (None, 3.0))
    told = {figure.name: figure for figure in compared_figures(one, other)}
    assert (told["Peak heap"].text, told["Peak heap"].below) == ("5 B → 5 B", "same")
    assert (told["Leaked"].text, told["Leaked"].below) == ("– → 3 B", "before is not told")
    assert (told["Allocations"].text, told["Allocations"].known) == ("–", False)


def test_dumps_without_a_peak_are_compared_by_what_was_in_use(qtbot: QtBot) -> None:
    one, other = (
        replace(side, results=(heaps.timeline(heap=(used,), facts=HeapFacts(sampled_every=4096)), side.profile))
        for side, used in ((heaps.heaptrack(), 8.9e6), (heaps.grown(), 11.6e6))
        if side.profile is not None
    )
    view = view_of(qtbot, one, other)
    assert lines_of(view)[0].startswith("In use: 8.9 MB to 11.6 MB (+30%); validation::intern +3.1 MB")
    assert view.figures.texts()["In use"] == "8.9 MB → 11.6 MB"


def test_addresses_of_a_module_go_together() -> None:
    unnamed = heaps.profile({"Peak heap": (Unit.BLOCKS, True, (("main;lib+0x11", 1, 5), ("main;lib+0x22", 1, 7)))})
    side = replace(heaps.heaptrack(), results=(heaps.timeline(), unnamed))
    deltas = site_deltas(side, side)
    assert deltas is not None
    assert (deltas.names, deltas.sides("peak")[0].tolist()) == (("lib+0x…",), [12.0])


def test_the_verdict_says_what_moved_the_peak(qtbot: QtBot) -> None:
    view = view_of(qtbot, heaps.heaptrack(), heaps.grown())
    assert lines_of(view) == [
        "In use at the peak: 8.9 MB to 11.6 MB (+30%); validation::intern +3.1 MB, feed::parse −400 kB.",
        "Leaked: 2.5 MB to 5.6 MB (+124%); validation::intern +3.1 MB.",
        "Allocations: 35,000 to 20,000 (−43%); feed::parse −21,000, validation::intern +6,000.",
    ]
    view.verdict.lines[1].click()
    assert view.table.current_line() == 0


def test_sites_are_told_with_their_changes_the_largest_first(qtbot: QtBot) -> None:
    view = view_of(qtbot, heaps.heaptrack(), heaps.grown())
    model = view.model
    assert [str(model.index(row, 0).data()) for row in range(3)] == [INTERN, PARSE, BOOK]
    assert [str(model.index(0, column).data()) for column in range(1, 9)] == [
        "2.50", "5.60", "+3.10", "5,000", "11,000", "+6,000", "", "+3.10",
    ]  # fmt: skip
    assert model.index(1, 3).data(Role.SIGN) == -1
    assert view.summary.text() == "3 sites, 2 changed"
    view.show_rows.button_of(Show.BEYOND).click()
    assert model.rowCount() == 2
    assert view.summary.text() == "2 of 3 sites, 2 changed"


def test_enter_opens_the_source_of_a_site(qtbot: QtBot) -> None:
    view = view_of(qtbot, heaps.heaptrack(), heaps.grown())
    view.table.show_line(1)
    view.table.setFocus()
    with qtbot.waitSignal(view.open_source) as opened:
        QTest.keyClick(view.table, Qt.Key.Key_Return)
    assert opened.args == ["src/feed.rs", 12]


def test_both_are_read_at_the_time_that_is_pointed_at(qtbot: QtBot) -> None:
    view = view_of(qtbot, heaps.heaptrack(), heaps.grown())
    (plot,) = view.plots
    assert isinstance(plot, HeapComparePlot)
    assert [(line.text, line.words) for line in plot.readings()] == [
        ("8.9 MB", "before"), ("11.6 MB", "after"), ("+2.7 MB", "more"),
    ]  # fmt: skip
    plot.axis.point_at(1.2)
    assert [line.text for line in plot.readings()] == ["5.0 MB", "7.0 MB", "+2.0 MB"]
    assert plot.tip(1.2, 0.0) == "at 1.20 s\nbefore: 5.0 MB\nafter: 7.0 MB"


def test_a_run_that_was_over_is_not_read_on(qtbot: QtBot) -> None:
    short = replace(heaps.heaptrack(), results=(heaps.timeline(heap=(0, 1e6, 2e6)), heaps.profile()))
    view = view_of(qtbot, short, heaps.grown())
    (plot,) = view.plots
    plot.axis.point_at(2.2)
    assert [line.text for line in plot.readings()] == ["–", "9.0 MB"]


def test_times_of_different_units_are_not_laid_over_each_other(qtbot: QtBot) -> None:
    view = view_of(qtbot, heaps.massif(), heaps.grown())
    assert len(view.plots) == 2
    assert view.plots[0].top == view.plots[1].top
    assert any("different units" in text for text in view.cautions.texts)
    view.grab()


def test_a_heap_without_stacks_says_which_side_has_none(qtbot: QtBot) -> None:
    bare = replace(heaps.heaptrack(), results=(heaps.timeline(),), source="bare.out")
    view = view_of(qtbot, bare, heaps.grown())
    assert lines_of(view) == ["In use at the peak: 8.9 MB to 11.6 MB (+30%)."]
    assert "bare.out" in view.empty._text.text()


def test_equal_heaps_have_nothing_that_changed(qtbot: QtBot) -> None:
    view = view_of(qtbot, heaps.heaptrack(), heaps.heaptrack())
    assert lines_of(view) == ["In use at the peak: 8.9 MB on both sides.", "Leaked: 2.5 MB on both sides."]
    view.show_rows.button_of(Show.BEYOND).click()
    assert view.empty._title.text() == "Nothing changed"


def test_the_model_keeps_qts_rules(qtmodeltester: ModelTester) -> None:
    deltas = site_deltas(heaps.heaptrack(), heaps.grown())
    assert deltas is not None
    model = SiteDeltaModel()
    model.set_deltas(deltas)
    qtmodeltester.check(model, force_py=True)


# the stacks of two heaps, in the comparison of stacks


@pytest.fixture
def stacks(qtbot: QtBot) -> CompareView:
    view = CompareView(heaps.heaptrack(), heaps.grown(), titles=("engine", "engine"))
    show(qtbot, view, 1180, 760)
    qtbot.waitUntil(lambda: not view.busy)
    return view


def test_stacks_of_heaps_are_compared_by_bytes_at_the_peak_as_they_are(stacks: CompareView) -> None:
    assert stacks.event_box.currentText() == "Peak heap"
    assert stacks.weight_box.currentText() == "Bytes"
    assert stacks.scale.choice is Scale.ABSOLUTE
    assert stacks.test.whole.startswith("Counted exactly")
    assert stacks.noise.isHidden()
    assert [line.verdict.sign for line in stacks.verdict.lines] == [1, 1, -1]
    assert stacks.verdict.lines[1].verdict.function == INTERN


def test_the_table_of_counted_changes_speaks_of_no_noise(stacks: CompareView) -> None:
    model = stacks.delta.model
    titles = [column.title for column in model.columns]
    assert titles[3:6] == ["Self change, %", "Difference, MB", "Direction"]
    at = model.line_of(model.row_of(INTERN))
    assert [str(model.index(at, c).data()) for c in (1, 2, 3, 4, 5)] == ["2.5", "5.6", "+124.0", "+3.1", "more"]
    at = model.line_of(model.row_of(BOOK))
    assert str(model.index(at, 5).data()) == "same"
    at = model.line_of(model.row_of(PARSE))
    assert [str(model.index(at, c).data()) for c in (3, 5)] == ["gone", "less"]
    assert stacks.delta.show_rows.button_of(Show.TESTED).isHidden()
    assert "2 changed" in stacks.delta.summary.text()
    assert "noise" not in str(model.index(at, 0).data(Qt.ItemDataRole.ToolTipRole))


def test_another_event_is_compared_in_its_own_unit(stacks: CompareView, qtbot: QtBot) -> None:
    stacks.event_box.setCurrentText(ALLOCATED)
    qtbot.waitUntil(lambda: not stacks.busy)
    assert stacks.verdict.lines[0].verdict.sentence.startswith("Allocated: 15.8 MB to 17.6 MB")
    stacks.weight_box.setCurrentText("Allocations")
    qtbot.waitUntil(lambda: not stacks.busy)
    assert stacks.verdict.lines[0].verdict.sentence.startswith("Allocated: 35,000 to 20,000 allocations")


def test_a_comparison_of_another_event_is_made_anew(qtbot: QtBot) -> None:
    from tailflame.analyse.diff import compare

    before, after = heaps.massif(), heaps.massif()
    assert before.profile is not None and after.profile is not None
    made = compare(before.profile, after.profile)  # of event 0, which is no peak
    view = CompareView(before, after, comparison=made)
    show(qtbot, view, 1000, 700)
    qtbot.waitUntil(lambda: not view.busy)
    assert view.comparison is not made
    assert view.left_title.whole == "Baseline  ·  8.9 MB"
