"""Costs of two runs side by side: rates, functions, one event at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from helpers.costs import CHECK, MATCH, SUMMARY, TEXT, cost_recording, costs_of
from helpers.results import show
from tailflame.analyse.cache_compare import compare_costs
from tailflame.model import Recording
from tailflame_gui.models.cache_delta import CHANGE, DELTA, SHARE, CacheDeltaModel
from tailflame_gui.models.roles import Role
from tailflame_gui.views.cache_comparison import CacheComparison
from tailflame_gui.views.compared_parts import compared_kinds


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Recording, Recording]:
    after = (TEXT + SUMMARY).replace("0 400 40 2 100", "0 400 20 2 100").replace("9 300 30", "9 900 0")
    after = after.replace("summary: 2560 31 1 630 61", "summary: 3160 1 1 630 41")
    return cost_recording(tmp_path), cost_recording(tmp_path, after, "cachegrind.out.2")


def view_of(qtbot: QtBot, before: Recording, after: Recording) -> CacheComparison:
    view = CacheComparison(before, after, titles=("one", "two"))
    show(qtbot, view, 1000, 600)
    qtbot.waitUntil(lambda: not view.busy and view.model is not None)
    return view


def test_rates_and_functions(qtbot: QtBot, sides: tuple[Recording, Recording]) -> None:
    view = view_of(qtbot, *sides)
    assert view.model is not None and view.table is not None
    assert "I1 misses 1.2% to 0.03% (now under 1%)" in view.verdict.text()
    assert "D1 misses 9.0% to 6.5%" in view.verdict.text()
    assert view.event_choice.currentText() == "Estimated cycles"
    assert [view.model.index(line, 0).data() for line in range(2)] == [CHECK, MATCH]
    view.event_choice.setCurrentIndex(view.event_choice.findText("Ir"))
    assert [view.model.index(line, 0).data() for line in range(view.model.rowCount())] == [CHECK]
    assert view.model.index(0, DELTA).data() == "+600"
    assert view.model.index(0, CHANGE).data() == "+200.0"
    assert view.summary.text() == "1 function"
    view.only_changed.setChecked(False)
    assert view.model.rowCount() == 2
    view.filter.set_query("nothing")
    assert view._body.currentWidget() is view._empty
    view.filter.set_query("(")
    assert view.filter.property("state") == "bad"


def test_what_can_be_done_with_a_line(qtbot: QtBot, sides: tuple[Recording, Recording]) -> None:
    view = view_of(qtbot, *sides)
    menu = view.menu_for(0)
    actions = {action.text(): action for action in menu.actions()}
    with qtbot.waitSignal(view.open_source) as told:
        actions["Open source"].trigger()
    assert told.args == ["/src/risk.rs", -1]
    actions["Copy table as shown"].trigger()
    assert QGuiApplication.clipboard().text().startswith("Function\tEstimated cycles before")
    menu.deleteLater()


def test_the_same_twice_says_so(qtbot: QtBot, sides: tuple[Recording, Recording]) -> None:
    view = view_of(qtbot, sides[0], sides[0])
    assert view.verdict.text().startswith("Both cost")
    assert view._body.currentWidget() is view._empty
    assert view._empty._title.text() == "Nothing changed"


def test_they_are_offered_where_both_have_costs(sides: tuple[Recording, Recording]) -> None:
    assert "Caches" in [kind.title for kind in compared_kinds(*sides)]


def test_the_model(qtmodeltester: ModelTester, sides: tuple[Recording, Recording]) -> None:
    model = CacheDeltaModel(compare_costs(*map(costs_of, sides)))
    model.set_event(0, "Ir")
    qtmodeltester.check(model, force_py=True)
    row = model.row_of(CHECK)
    assert model.role(Role.SIGN, DELTA, row) == 1
    assert model.role(Role.BAR, SHARE, row) == 1.0
    assert "D1mr" in model.tip(0, row)
