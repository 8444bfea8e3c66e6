"""Criterion's benchmarks in the window."""

from __future__ import annotations

from PySide6.QtCore import Qt
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from helpers.results import show
from helpers.stack_counts import DATA
from tailflame.model import Recording
from tailflame.parse import load
from tailflame_gui import tasks
from tailflame_gui.views.benchmarks_view import BenchmarksView
from tailflame_gui.views.compared_parts import compared_kinds
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.widgets.sample_plot import Shape

REAL = DATA / "criterion" / "0.5.1"


def recording(run: str = "run1") -> Recording:
    return load(REAL / run / "criterion")


def view_of(qtbot: QtBot, view: BenchmarksView) -> BenchmarksView:
    show(qtbot, view, 1100, 700)
    qtbot.waitUntil(lambda: tasks.at_rest() and not view.busy)
    return view


def texts(view: BenchmarksView, line: int) -> list[str]:
    return [str(view.model.index(line, at).data()) for at in range(view.model.columnCount())]


def test_the_times_and_verdicts_are_criterions(qtbot: QtBot, qtmodeltester: ModelTester) -> None:
    view = view_of(qtbot, BenchmarksView(recording()))
    qtmodeltester.check(view.model)
    found = {texts(view, line)[0]: texts(view, line)[1:] for line in range(view.model.rowCount())}
    # "stages/validate_order   time: ..., change: [+25.825% +43.946% +63.863%] (p = 0.00 < 0.05)"
    row = found["stages/validate_order"]
    assert row[4] == "+43.9%" and row[6] == "0.00" and row[7] == "Performance has regressed."
    assert found["stages/on_market_data"][7] == "No change in performance detected."
    assert view.since.currentData() == "main"


def test_too_few_samples_are_said_to_be_few(qtbot: QtBot) -> None:
    view = view_of(qtbot, BenchmarksView(recording()))
    tip = str(view.model.index(0, 4).data(Qt.ItemDataRole.ToolTipRole))
    assert "20 samples in" in tip and "1,000 samples or 10 s" in tip


def test_the_plot_shows_the_chosen_benchmark_and_the_run_before(qtbot: QtBot) -> None:
    view = view_of(qtbot, BenchmarksView(recording()))
    assert [one.name for one in view.plot.sets] == ["new", "main"]
    before = view.plot.grab().toImage()
    view.shape.button_of(Shape.REGRESSION).click()
    assert view.plot.grab().toImage() != before
    first = view.plot.sets[0].typical_ns
    view.table.setFocus()
    qtbot.keyClick(view.table, Qt.Key.Key_Down)
    assert view.plot.sets[0].typical_ns != first


def test_a_folder_of_criterion_begins_with_its_benchmarks(qtbot: QtBot) -> None:
    view = ResultView(recording())
    show(qtbot, view, 1160, 740)
    qtbot.waitUntil(lambda: tasks.at_rest() and not view.busy)
    assert view.part is Part.BENCHMARKS


def test_two_folders_are_compared_by_criterions_rule(qtbot: QtBot) -> None:
    (kind,) = compared_kinds(recording("run1"), recording("run2"))
    view = kind.make(recording("run1"), recording("run2"), ("one", "other"), ("", ""))
    assert isinstance(view, BenchmarksView)
    view_of(qtbot, view)
    assert view.since.currentText() == "one"
    assert all(row.judged is not None for row in view.model.rows)
