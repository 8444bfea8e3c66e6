"""Counters of whole runs in the window: the figures that perf printed, and what they vary by."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from helpers.results import show
from helpers.stack_counts import DATA
from tailflame.model import Recording
from tailflame.parse import load
from tailflame_gui import tasks
from tailflame_gui.models.session_table import RowTable
from tailflame_gui.views.compared_parts import compared_kinds
from tailflame_gui.views.counters_view import CountersComparison, CountersView
from tailflame_gui.views.result_view import Part, ResultView

REAL = DATA / "perf-stat" / "6.1.187"


def cells(model: RowTable[object]) -> dict[str, list[str]]:
    """The texts of each row, by the first."""
    rows = {}
    for line in range(model.rowCount()):
        texts = [str(model.index(line, column).data() or "") for column in range(model.columnCount())]
        rows[texts[0]] = texts[1:]
    return rows


def test_one_run_shows_what_perf_printed(qtbot: QtBot, qtmodeltester: ModelTester) -> None:
    view = CountersView(load(REAL / "run.json"))
    show(qtbot, view, 1000, 600)
    qtmodeltester.check(view.model)
    found = cells(view.model)
    text = (REAL / "run.json").read_text()
    for line in text.splitlines():
        event = line.partition('"event" : "')[2].partition('"')[0]
        if event in ("page-faults", "context-switches"):
            value = float(line.partition('"counter-value" : "')[2].partition('"')[0])
            assert found[event][0] == f"{value:,.0f}"
    assert found["cycles"][0] == "<not supported>"
    assert "How much runs differ is not known" in view.said.whole
    assert view.curves is None


def test_several_runs_show_their_mean_its_margin_and_their_ends(qtbot: QtBot, qtmodeltester: ModelTester) -> None:
    view = CountersView(load(REAL / "runs.txt"))
    show(qtbot, view, 1000, 600)
    qtmodeltester.check(view.model)
    titles = [view.model.headerData(at, view.table.horizontalHeader().orientation()) for at in range(5)]
    assert titles == ["Counter", "Mean of 3 runs", "± (95 %)", "Least", "Most"]
    assert cells(view.model)["page-faults"][:4] == ["1,034", "1.43", "1,034", "1,035"]
    tip = next(row for row in view.model.rows if row.name == "page-faults").runs
    assert tip == (1035.0, 1034.0, 1034.0)


@pytest.mark.parametrize(
    ("name", "title", "said", "faults"),
    [
        ("repeated.txt", "3 runs", "perf ran it 3 times and kept the last run's counts alone", ["1,004", "0.03"]),
        ("repeated.csv", "Several runs", "perf ran it several times and kept", ["1,004", "0.07"]),
        ("repeated.json", "Several runs", "perf ran it several times and kept", ["1,005", "0.03"]),
    ],
)
def test_what_perf_has_repeated_itself_shows_perfs_plus_minus(
    qtbot: QtBot, qtmodeltester: ModelTester, name: str, title: str, said: str, faults: list[str]
) -> None:
    view = CountersView(load(REAL / name))
    show(qtbot, view, 1000, 600)
    qtmodeltester.check(view.model)
    titles = [view.model.headerData(at, view.table.horizontalHeader().orientation()) for at in range(3)]
    assert titles == ["Counter", title, "± std. error, %"]
    assert cells(view.model)["page-faults"][:2] == faults
    assert view.said.whole.startswith(said)
    assert view.curves is None
    if name == "repeated.txt":
        assert cells(view.model)["mean elapsed time"][:2] == ["137 ms", "3.00"]


def test_the_runs_of_perfs_table_are_in_the_row_of_the_elapsed_time(qtbot: QtBot) -> None:
    view = CountersView(load(REAL / "table.txt"))
    show(qtbot, view, 1000, 600)
    assert cells(view.model)["mean elapsed time"][:4] == ["141 ms", "2.56", "135 ms", "147 ms"]
    at = [row.name for row in view.model.rows].index("mean elapsed time")
    tip = view.model.index(at, 1).data(Qt.ItemDataRole.ToolTipRole)
    assert tip == "Each run: 135 ms, 135 ms, 147 ms, 147 ms"
    assert view.curves is None


def test_intervals_have_curves_below(qtbot: QtBot) -> None:
    view = CountersView(load(REAL / "intervals.json"))
    show(qtbot, view, 1000, 700)
    qtbot.waitUntil(lambda: tasks.at_rest() and not view.busy)
    assert view.curves is not None and not view.curves.view.data.empty
    assert "intervals" in view.said.whole


def test_the_filter_finds_a_counter(qtbot: QtBot) -> None:
    view = CountersView(load(REAL / "run.json"))
    show(qtbot, view, 1000, 600)
    view.filter.set_query("page")
    view.filter.commit()
    assert 0 < view.table.model().rowCount() < view.model.rowCount()


def test_a_result_of_counters_begins_with_them(qtbot: QtBot) -> None:
    view = ResultView(load(REAL / "run.json"))
    show(qtbot, view, 1160, 740)
    qtbot.waitUntil(lambda: tasks.at_rest() and not view.busy)
    assert view.part is Part.COUNTERS
    assert [view.tabs.tabText(at) for at in range(view.tabs.count())] == ["Counters", "Summary"]


def made_runs(folder: Path, name: str, faults: tuple[int, ...]) -> Recording:
    line = '{{"counter-value" : "{}", "event" : "page-faults", "event-runtime" : 5, "pcnt-running" : 100.00}}\n'
    path = folder / name
    path.write_text("".join(f"# started on Wed Nov 25 18:31:02 2026\n\n{line.format(value)}" for value in faults))
    return load(path)


def test_a_comparison_names_what_changed_beyond_the_noise(
    qtbot: QtBot, qtmodeltester: ModelTester, tmp_path: Path
) -> None:
    before = made_runs(tmp_path, "a.json", (100, 102, 99, 101, 100))
    after = made_runs(tmp_path, "b.json", (120, 118, 121, 119, 122))
    (kind,) = compared_kinds(before, after)
    assert kind.title == "Counters"
    view = kind.make(before, after, ("one", "other"), ("", ""))
    assert isinstance(view, CountersComparison)
    show(qtbot, view, 1000, 600)
    qtmodeltester.check(view.model)
    assert view.verdict.text() == "page-faults worse"
    row = cells(view.model)["page-faults"]
    assert row[0] == "100.4" and row[1] == "120" and row[2] == "+19.5%" and row[4] == "worse"


@pytest.mark.parametrize(
    ("name", "other", "mark"),
    [
        ("run.json", "run.csv", "one run each"),
        ("repeated.json", "run.csv", "one run on a side"),
        ("repeated.json", "repeated.csv", "not tested"),
    ],
)
def test_what_cannot_be_tested_is_called_no_change(qtbot: QtBot, name: str, other: str, mark: str) -> None:
    view = CountersComparison(load(REAL / name), load(REAL / other), titles=("one", "other"))
    show(qtbot, view, 1000, 600)
    assert cells(view.model)["page-faults"][4] == mark
    (said,) = view.cautions.texts
    assert ("perf has kept too little" if mark == "not tested" else "One run on a side") in said
    assert view.verdict.text() == "No counter changed beyond what runs differ by."
