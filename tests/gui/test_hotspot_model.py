"""The hotspots table as an item model: every value, order and filter, whatever the size."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PySide6.QtCore import QPersistentModelIndex, Qt
from pytestqt.modeltest import ModelTester

from helpers.stacks import profile
from tailflame.analyse.hotspots import GroupBy, HotspotTable, hotspots
from tailflame.model import Event, StackBuilder, StackProfile, Weight
from tailflame.model.stacks import readonly
from tailflame.units import Unit
from tailflame_gui.models import hotspot_model
from tailflame_gui.models.figures import measure, measure_of
from tailflame_gui.models.hotspot_model import HotspotModel
from tailflame_gui.models.roles import Role
from tailflame_gui.widgets.flame_search import PatternError

STACKS = """
main@/opt/engine;run@/opt/engine!src/run.rs:12;match_order@/opt/engine!src/book.rs:40 600
main@/opt/engine;run@/opt/engine!src/run.rs:12;risk@/opt/engine!src/risk.rs:7 250
main@/opt/engine;run@/opt/engine!src/run.rs:12 50
main@/opt/engine;sys_read_[k]@[kernel.kallsyms] 100
"""


def model_of(text: str = STACKS, *, by: GroupBy = GroupBy.FUNCTION) -> HotspotModel:
    held = profile(text)
    model = HotspotModel()
    model.set_table(hotspots(held, by=by), by=by, measure=measure_of(held, event=0, weight=Weight.SAMPLES))
    return model


def column(model: HotspotModel, figure: int) -> list[str]:
    at = model.column_of(figure)
    return [model.index(line, at).data() for line in range(model.rowCount())]


def test_is_a_sound_model(qtmodeltester: ModelTester) -> None:
    qtmodeltester.check(model_of())
    qtmodeltester.check(HotspotModel())


def test_shows_shares_weights_module_and_source() -> None:
    model = model_of()
    assert column(model, hotspot_model.NAME) == ["match_order", "risk", "sys_read", "run", "main"]
    assert column(model, hotspot_model.SELF_SHARE) == ["60.0", "25.0", "10.0", "5.0", ""]
    assert column(model, hotspot_model.SELF) == ["600", "250", "100", "50", ""]
    assert column(model, hotspot_model.TOTAL_SHARE) == ["60.0", "25.0", "10.0", "90.0", "100.0"]
    assert column(model, hotspot_model.MODULE) == ["engine", "engine", "[kernel.kallsyms]", "engine", "engine"]
    assert column(model, hotspot_model.SOURCE) == ["book.rs:40", "risk.rs:7", "", "run.rs:12", ""]
    titles = [model.headerData(i, Qt.Orientation.Horizontal) for i in range(model.columnCount())]
    assert titles == ["Function", "Self %", "Self, samples", "Total %", "Total, samples", "Module", "Source"]


def test_raw_values_stand_behind_the_text() -> None:
    model = model_of()
    share = model.index(1, model.column_of(hotspot_model.SELF_SHARE))
    assert share.data(Role.RAW) == pytest.approx(25.0)
    assert share.data(Role.BAR) == pytest.approx(250 / 600)
    name = model.index(2, 0)
    assert name.data(Role.FUNCTION) == "sys_read"
    assert model.index(0, 0).data(Role.PLACE) == ("src/book.rs", 40)


def test_figures_are_right_aligned_and_tabular() -> None:
    model = model_of()
    cell = model.index(0, model.column_of(hotspot_model.SELF))
    assert cell.data(Qt.ItemDataRole.TextAlignmentRole) & Qt.AlignmentFlag.AlignRight
    assert cell.data(Qt.ItemDataRole.FontRole).family() == "JetBrains Mono"


def test_sorts_by_every_column_both_ways() -> None:
    model = model_of()
    for at in range(model.columnCount()):
        model.sort(at, Qt.SortOrder.AscendingOrder)
        up = [model.index(line, at).data(Role.RAW) for line in range(model.rowCount())]
        model.sort(at, Qt.SortOrder.DescendingOrder)
        down = [model.index(line, at).data(Role.RAW) for line in range(model.rowCount())]
        assert up == sorted(up, key=lambda v: v.rsplit("/", 1)[-1] if isinstance(v, str) else v)
        # Equal rows keep the table's own order both ways, so values are compared, not rows.
        assert down == list(reversed(up))
    model.sort(-1)
    assert column(model, hotspot_model.NAME)[0] == "match_order"


def test_sorting_keeps_what_was_selected() -> None:
    model = model_of()
    kept = QPersistentModelIndex(model.index(0, 0))
    model.sort(0, Qt.SortOrder.AscendingOrder)
    assert kept.data() == "match_order"
    assert kept.row() == 1


def test_filters_by_text_and_by_regular_expression_in_name_module_and_file() -> None:
    model = model_of()
    model.set_query("ORDER")
    assert column(model, hotspot_model.NAME) == ["match_order"]
    model.set_query("^(risk|run)$")
    assert column(model, hotspot_model.NAME) == ["risk", "run"]
    model.set_query("kallsyms")
    assert column(model, hotspot_model.NAME) == ["sys_read"]
    model.set_query("book.rs")
    assert column(model, hotspot_model.NAME) == ["match_order"]
    model.set_query("")
    assert model.rowCount() == 5


def test_a_broken_filter_changes_nothing_and_says_why() -> None:
    model = model_of()
    model.set_query("risk")
    with pytest.raises(PatternError, match="regular expression"):
        model.set_query("(")
    assert column(model, hotspot_model.NAME) == ["risk"]


def test_filter_and_order_stay_when_the_table_changes() -> None:
    model = model_of()
    model.set_query("r")
    model.sort(0, Qt.SortOrder.AscendingOrder)
    held = profile("a;rest 3\nb;order 4\nc 5")
    model.set_table(hotspots(held), by=GroupBy.FUNCTION, measure=measure_of(held, event=0, weight=Weight.SAMPLES))
    assert column(model, hotspot_model.NAME) == ["order", "rest"]


@pytest.mark.parametrize(
    ("by", "first", "title"),
    [(GroupBy.MODULE, "engine", "Module"), (GroupBy.FILE, "src/book.rs", "Source file")],
)
def test_groups_by_module_and_file(by: GroupBy, first: str, title: str) -> None:
    model = model_of(by=by)
    assert model.index(0, 0).data() == first
    assert model.headerData(0, Qt.Orientation.Horizontal) == title
    assert model.index(0, 0).data(Role.FUNCTION) == ""


def test_groups_by_thread_without_the_total_that_would_repeat_self() -> None:
    model = model_of("engine-0: a;b 3\nengine-1: a;c 7", by=GroupBy.THREAD)
    assert column(model, hotspot_model.NAME) == ["engine-1", "engine-0"]
    assert column(model, hotspot_model.SELF) == ["7", "3"]
    assert model.column_of(hotspot_model.TOTAL) == -1


def test_weights_of_an_event_carry_its_name_in_the_header() -> None:
    builder = StackBuilder(events=[Event("cycles", Unit.EVENTS, has_period=True)])
    for name, period in (("hot", 3_100_000_000.0), ("cool", 900_000_000.0)):
        builder.sample(builder.stack([builder.frame(name)]), period=period)
    held: StackProfile = builder.build()
    model = HotspotModel()
    model.set_table(
        hotspots(held, weight=Weight.PERIOD),
        by=GroupBy.FUNCTION,
        measure=measure_of(held, event=0, weight=Weight.PERIOD),
    )
    assert model.headerData(model.column_of(hotspot_model.SELF), Qt.Orientation.Horizontal) == "Self, G cycles"
    assert column(model, hotspot_model.SELF) == ["3.10", "0.90"]
    assert column(model, hotspot_model.SAMPLES) == ["1", "1"]


def test_copies_the_table_as_shown_with_all_digits() -> None:
    model = model_of()
    model.set_query("risk|run")
    lines = model.as_tsv().splitlines()
    assert lines[0].split("\t")[:3] == ["Function", "Self %", "Self, samples"]
    assert lines[1].split("\t") == ["risk", "25", "250", "25", "250", "/opt/engine", "src/risk.rs:7"]
    assert len(model.as_tsv([1]).splitlines()) == 2


def test_a_trace_is_no_zero_and_few_samples_have_no_tenths() -> None:
    model = model_of("main;hot 99995\nmain;rare 5")
    assert column(model, hotspot_model.SELF_SHARE) == ["100.0", "<0.1", ""]
    assert column(model_of("main;a 2\nmain;b 1"), hotspot_model.SELF_SHARE) == ["67", "33", ""]


def test_two_hundred_thousand_rows_sort_and_filter_in_a_moment() -> None:
    size = 200_000
    weight = np.random.default_rng(7).random(size)
    table = HotspotTable(
        key=tuple(f"crate_{i % 97}::module::function_{i}" for i in range(size)),
        module=("/opt/engine",) * size,
        file=("",) * size,
        line=readonly(np.full(size, -1), np.int32),
        kind=readonly(np.zeros(size), np.uint8),
        self_weight=weight,
        total_weight=weight * 2,
        self_samples=weight,
        total_samples=weight * 2,
        total=float(weight.sum()),
        samples=float(weight.sum()),
        unit=Unit.SAMPLES,
    )
    model = HotspotModel()
    began = time.perf_counter()
    model.set_table(table, by=GroupBy.FUNCTION, measure=measure(Unit.SAMPLES, largest=1.0))
    model.sort(1, Qt.SortOrder.DescendingOrder)
    model.set_query("function_1999")
    assert model.rowCount() == 111
    model.set_query("")
    model.sort(2, Qt.SortOrder.AscendingOrder)
    # Generous: it takes about 0.2 s; a model that visits rows one by one takes many seconds.
    assert time.perf_counter() - began < 3
    assert [model.index(i, 2).data(Role.RAW) for i in range(3)] == sorted(weight)[:3]
