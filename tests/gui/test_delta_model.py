"""The delta table as an item model: greyed and named where it may be noise."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.modeltest import ModelTester

from helpers.stacks import profile
from tailflame.analyse.diff import Comparison, Scale, compare
from tailflame_gui.models import delta_model
from tailflame_gui.models.delta_model import DeltaModel, Show
from tailflame_gui.models.figures import measure
from tailflame_gui.models.roles import Role

BEFORE = """
main;run;match_order 4000
main;run;risk 3000
main;run;validate 2000
main;run;hash::h0123456789abcdef 500
main;run;rare 2
main;old_path 500
"""
AFTER = """
main;run;match_order 6000
main;run;risk 3010
main;run;validate 1990
main;run;hash::hfedcba9876543210 505
main;run;rare 3
main;new_path 400
"""


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare(profile(BEFORE), profile(AFTER))


@pytest.fixture
def model(comparison: Comparison) -> DeltaModel:
    made = DeltaModel()
    made.set_comparison(comparison, scale=Scale.NORMALISED, measure=measure(comparison.tree.unit, largest=10_000))
    return made


def line(model: DeltaModel, name: str) -> int:
    return model.line_of(model.row_of(name))


def cell(model: DeltaModel, name: str, column: int) -> str:
    text = model.index(line(model, name), column).data()
    assert isinstance(text, str)
    return text


def test_is_a_sound_model(model: DeltaModel, qtmodeltester: ModelTester) -> None:
    qtmodeltester.check(model)
    qtmodeltester.check(DeltaModel())


def test_a_change_beyond_the_noise_has_sign_arrow_and_interval(model: DeltaModel) -> None:
    assert cell(model, "match_order", delta_model.CHANGE).startswith("+")
    assert " to +" in cell(model, "match_order", delta_model.INTERVAL)
    assert cell(model, "match_order", delta_model.NOISE) == "beyond noise"
    index = model.index(line(model, "match_order"), delta_model.CHANGE)
    assert index.data(Role.SIGN) == 1
    assert "p < 0.001" in index.data(Qt.ItemDataRole.ToolTipRole)
    assert index.data(Role.MUTED) is False


def test_noise_is_greyed_and_said_in_words(model: DeltaModel) -> None:
    for name in ("risk", "validate", "hash"):
        assert cell(model, name, delta_model.NOISE) == "within noise"
        index = model.index(line(model, name), delta_model.CHANGE)
        assert index.data(Role.MUTED) is True
        assert index.data(Role.SIGN) == 0
    assert cell(model, "rare", delta_model.NOISE) == "too small to test"


def test_new_and_vanished_functions_say_so(model: DeltaModel) -> None:
    assert cell(model, "new_path", delta_model.CHANGE) == "new"
    assert cell(model, "old_path", delta_model.CHANGE) == "gone"
    assert cell(model, "new_path", delta_model.SELF_BEFORE) == ""
    assert cell(model, "old_path", delta_model.TOTAL_CHANGE) == "gone"


def test_both_scales_show_their_figures(model: DeltaModel) -> None:
    assert cell(model, "match_order", delta_model.SELF_BEFORE) == "40.0"
    assert model.headerData(delta_model.SELF_BEFORE, Qt.Orientation.Horizontal) == "Self before, %"
    change = cell(model, "match_order", delta_model.CHANGE)
    model.set_scale(Scale.ABSOLUTE)
    assert cell(model, "match_order", delta_model.SELF_BEFORE) == "4,000"
    assert cell(model, "match_order", delta_model.TOTAL_AFTER) == "6,000"
    assert model.headerData(delta_model.SELF_BEFORE, Qt.Orientation.Horizontal) == "Self before, samples"
    assert cell(model, "match_order", delta_model.CHANGE) == change


def test_sorts_by_change_with_new_and_gone_at_the_ends(model: DeltaModel) -> None:
    model.sort(delta_model.CHANGE, Qt.SortOrder.DescendingOrder)
    names = [model.index(r, 0).data() for r in range(model.rowCount())]
    assert names[0] == "new_path"
    assert names.index("match_order") < names.index("risk")
    assert "old_path" in names[-4:]
    model.sort(delta_model.NOISE, Qt.SortOrder.AscendingOrder)
    firsts = {model.index(r, 0).data() for r in range(3)}
    assert firsts == {"match_order", "old_path", "new_path"}
    for column in range(model.columnCount()):
        model.sort(column, Qt.SortOrder.AscendingOrder)
        assert model.rowCount() == len(names)


def test_filters_by_name_and_by_noise(model: DeltaModel) -> None:
    model.set_query("_path")
    assert {model.index(r, 0).data() for r in range(model.rowCount())} == {"old_path", "new_path"}
    model.set_query("")
    model.set_show(Show.BEYOND)
    assert {model.index(r, 0).data() for r in range(model.rowCount())} == {"match_order", "old_path", "new_path"}
    model.set_show(Show.TESTED)
    assert line(model, "rare") == -1
    assert line(model, "risk") >= 0


def test_copies_full_figures(model: DeltaModel) -> None:
    row = next(text for text in model.as_tsv().splitlines() if text.startswith("match_order"))
    assert row.split("\t")[1] == "39.9920016"
