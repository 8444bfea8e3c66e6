"""Criterion's benchmarks in the window."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from PySide6.QtCore import Qt
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from helpers.results import show
from helpers.stack_counts import DATA
from tailflame.analyse.bench_history import PastRun, histories, ours_words
from tailflame.model import Recording
from tailflame.parse import load
from tailflame.store import Library
from tailflame.store.bench_sessions import TOOL
from tailflame_gui import adapt, bench_past, tasks
from tailflame_gui.state import OpenResult
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


def past(run: str, state: str, at: float) -> PastRun:
    return PastRun(f"20261120_1200{at:02.0f}_stages", state, at, recording(run).benchmarks[0])


def test_earlier_runs_are_a_small_line_with_both_verdicts(qtbot: QtBot) -> None:
    view = view_of(qtbot, BenchmarksView(recording("run3")))
    assert not view.past.isVisible(), "nothing is known of earlier runs"
    known = histories([past("run1", "aaa", 1), past("run2", "aaa", 2), past("run3", "bbb", 3)])
    view.set_past(known, {})
    assert view.past.isVisible() and not view.past.flame.isVisible()
    assert view.past.times.whole.startswith("3 runs of the project, ")
    chosen = view.table.selected()[0].after.name
    (one,) = (one for one in known if one.name == chosen)
    assert one.criterion is not None and one.criterion.verdict.value in view.past.times.whole
    assert ours_words(one) in view.past.verdicts.whole
    assert view.past.line.toolTip().count("20261120_") == 3
    qtbot.keyClick(view.table, Qt.Key.Key_Down)
    assert view.table.selected()[0].after.name != chosen and view.past.isVisible()


def test_a_flame_graph_beside_the_benchmark_opens_on_return(qtbot: QtBot, tmp_path: Path) -> None:
    view = view_of(qtbot, BenchmarksView(recording()))
    name = view.table.selected()[0].after.name
    view.set_past((), {name: tmp_path / "flamegraph.svg"})
    assert view.past.isVisible() and view.past.flame.isVisible() and not view.past.line.isVisible()
    with qtbot.waitSignal(view.open_flame) as asked:
        qtbot.keyClick(view.table, Qt.Key.Key_Return)
    assert asked.args == [tmp_path / "flamegraph.svg"]
    with qtbot.waitSignal(view.open_flame):
        view.past.flame.click()
    qtbot.keyClick(view.table, Qt.Key.Key_Down)
    assert not view.past.isVisible(), "there is none of the next one"
    with qtbot.assertNotEmitted(view.open_flame):
        qtbot.keyClick(view.table, Qt.Key.Key_Return)


def test_a_tab_asks_for_the_past_of_its_session(qtbot: QtBot, tmp_path: Path) -> None:
    library = Library(tmp_path / "profiles")
    for hour, run in enumerate(("run1", "run2")):
        at = datetime(2026, 11, 20, hour, tzinfo=UTC)
        session = library.new_session(tool=TOOL, binary="/x/engine/target/release/deps/stages", cwd="/x/engine", at=at)
        session.complete(recording(run))
    graph = session.path / "criterion" / "stages" / "check_risk" / "profile" / "flamegraph.svg"
    graph.parent.mkdir(parents=True)
    graph.write_text("<svg/>")
    row = adapt.session_row(library.session(session.path.name))
    tab = OpenResult("stages", path=session.path, session=row)
    opened: list[Path] = []
    view = view_of(qtbot, BenchmarksView(recording("run2")))
    bench_past.attach(view, tab, SimpleNamespace(library=library, open_file=opened.append))  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: tasks.at_rest() and view.past.isVisible())
    view.filter.setFocus()
    for line in range(view.model.rowCount()):
        view.table.select_line(line)
        assert view.past.times.whole.startswith("2 runs of the project")
        view.table.activated_row.emit(view.table.selected()[0])
    assert opened == [graph]
