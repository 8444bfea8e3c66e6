"""The view of caches as the user meets it: rates, tables, columns, the source beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from helpers.costs import CHECK, MATCH, SUMMARY, TEXT, cost_recording, costs_of
from helpers.results import show
from tailflame.analyse.cache_rates import D1, LL, CostBy, cost_rows
from tailflame.host.source_files import Found, MissingSource, SourceText
from tailflame.model import Recording, Weight
from tailflame.parse import load
from tailflame_gui.models.cache_figures import (
    CostFigure,
    figures_at_first,
    figures_of,
    notes_text,
    rate_text,
)
from tailflame_gui.models.cache_lines import CacheLines, file_costs
from tailflame_gui.models.cache_table import CacheModel
from tailflame_gui.models.code_lines import CodeRole
from tailflame_gui.models.roles import Role
from tailflame_gui.models.scope import ResultScope, Scope
from tailflame_gui.models.source_figures import SourceQuestion
from tailflame_gui.real_counters import newest
from tailflame_gui.rows import SessionRow
from tailflame_gui.selection import Selection
from tailflame_gui.state import OpenResult
from tailflame_gui.views.cache_view import CacheView
from tailflame_gui.views.result_parts import Part, parts_of
from tailflame_gui.views.result_view import ResultView

HARDWARE = Path(__file__).resolve().parents[1] / "data" / "perf-stat" / "made-up" / "hardware.jsonl"
SOURCE = "fn match_order() {\n    // the best price\n\tfor order in book {\n        order.fill();\n    }\n}\n"


@pytest.fixture
def recorded(tmp_path: Path) -> Recording:
    return cost_recording(tmp_path)


def view_of(qtbot: QtBot, recording: Recording) -> CacheView:
    view = CacheView(recording, selection=Selection(), scope=ResultScope())
    show(qtbot, view, 1100, 640)
    settle(qtbot, view)
    return view


def settle(qtbot: QtBot, view: CacheView) -> None:
    qtbot.waitUntil(lambda: not view.busy and view.model.rows is not None and view.model.by is view.by)


def names(view: CacheView) -> list[str]:
    return [view.model.index(line, 0).data() for line in range(view.model.rowCount())]


def answer(view: CacheView) -> None:
    """The text of the file that is shown, as the provider would give it."""
    source = view.source_view
    question = SourceQuestion(source.file, "")
    source._question = question
    path = Path(source.file)
    found = Found(source.file, path, (str(path),))
    source.take_source(question, found, SourceText(path, tuple(SOURCE.split("\n"))), None)


def test_rates_stand_against_their_targets(qtbot: QtBot, recorded: Recording) -> None:
    view = view_of(qtbot, recorded)
    assert view.band.texts() == {
        "I1 misses": "1.2% above 1%",
        "D1 misses": "9.0% above 5%",
        "LL misses": "0.87% under 1%",
        "Mispredicted": "31.1%",
    }
    assert view.notes.whole == "Simulated caches: I1 32 KiB, 8-way  ·  D1 48 KiB, 12-way  ·  LL 256 MiB, direct-mapped"
    assert "--LL=" in view._notes.toolTip()
    assert not view._notes.isHidden()


def test_what_the_processor_counted_stands_beside_the_simulation(qtbot: QtBot, recorded: Recording) -> None:
    view = view_of(qtbot, recorded)
    counters = load(HARDWARE).counters
    assert counters is not None
    view.set_real_counters(counters, "“perf stat of trading-demo”")
    texts = view.band.texts()
    assert texts["D1 misses"] == "9.0% above 5%, counted by the processor 3.0%"
    assert texts["Mispredicted"] == "31.1% counted by the processor 1.5%"
    assert texts["I1 misses"] == "1.2% above 1%"
    assert "“perf stat of trading-demo”" in next(
        block.tile.tip for block in view.band.blocks if block.tile.name == "Mispredicted"
    )


def test_the_newest_counters_are_of_the_same_binary_and_of_its_own_group_first() -> None:
    def row(
        name: str, tool: str = "perf stat", state: str = "complete", key: str = "demo", group: str = ""
    ) -> SessionRow:
        return SessionRow(name, Path(name), name, "demo", tool, state, binary_key=key, group=group)

    own = row("own", "cachegrind", group="7")
    tab = OpenResult("own", path=Path("own"), session=own)
    other, failed = row("other", key="else"), row("failed", state="failed")
    newer, together = row("newer"), row("together", group="7")
    assert newest((other, failed, newer, together, own), tab) is together
    assert newest((other, failed, newer, own), tab) is newer
    assert newest((other, failed, own), tab) is None
    assert newest((newer,), OpenResult("a file", path=Path("cachegrind.out"))) is None


def test_functions_files_and_lines(qtbot: QtBot, recorded: Recording) -> None:
    view = view_of(qtbot, recorded)
    assert names(view) == [MATCH, CHECK]
    assert view.summary.text() == "2 functions"
    view.choice._group.button(1).click()
    settle(qtbot, view)
    assert names(view) == ["/src/book.rs", "/rustc/1/library/core/src/cmp.rs", "/src/risk.rs"]
    view.show_by(CostBy.LINE)
    settle(qtbot, view)
    assert names(view) == ["book.rs:3", "cmp.rs:17", "book.rs:4", "risk.rs:9", "book.rs, no line"]


def test_any_figure_can_be_a_column(qtbot: QtBot, recorded: Recording) -> None:
    view = view_of(qtbot, recorded)
    titles = [column.title for column in view.model.columns]
    assert titles == ["Function", "Ir", "D1 misses, %", "LL misses", "LL misses, %", "Mispredicted, %", "Source"]
    menu = view.columns_menu()
    actions = {action.text(): action for action in menu.actions()}
    assert len(actions) == 4 + 4 + 13
    actions["Estimated cycles"].trigger()
    actions["LL misses, %"].trigger()
    titles = [column.title for column in view.model.columns]
    assert titles == ["Function", "Ir", "D1 misses, %", "LL misses", "Mispredicted, %", "Estimated cycles", "Source"]
    menu.deleteLater()


def test_sorting_by_a_column_shows_it_beside_the_source(qtbot: QtBot, recorded: Recording) -> None:
    view = view_of(qtbot, recorded)
    view.table.sortByColumn(view.model.column_of(LL.name), Qt.SortOrder.DescendingOrder)
    assert names(view) == [CHECK, MATCH]
    assert view.figure == LL.name and view.source_view.figure.currentData() == LL.name
    assert view.source_view.lines.columns[0].title == "Rate %"


def test_an_event_is_the_event_of_the_other_views(qtbot: QtBot, recorded: Recording) -> None:
    view = view_of(qtbot, recorded)
    with qtbot.waitSignal(view.event_wanted) as told:
        view.source_view.figure.setCurrentIndex(view.source_view.figure.findData("DLmr"))
        view.source_view.figure.activated.emit(view.source_view.figure.currentIndex())
    assert told.args == [costs_of(recorded).event("DLmr")]
    view._scope.set(Scope(event=costs_of(recorded).event("Bcm"), weight=Weight.PERIOD))
    assert view.figure == "Bcm"


def test_the_source_of_the_selected_function_stands_beside(qtbot: QtBot, recorded: Recording) -> None:
    view = view_of(qtbot, recorded)
    with qtbot.waitSignal(view.source_view.source_wanted) as asked:
        view.table.selectRow(1)
    assert asked.args[0].name == "/src/risk.rs"
    view.table.selectRow(0)
    qtbot.waitUntil(lambda: view.source_view.lines.file == "/src/book.rs")
    answer(view)
    source = view.source_view
    files = [source.files.itemData(at) for at in range(source.files.count())]
    assert files == ["/src/book.rs", "/rustc/1/library/core/src/cmp.rs"]
    lines = source.lines
    assert [lines.cell(0, row) for row in range(5)] == ["", "", "2.3", "39.1", "19.5"]
    assert lines.text(2) == "// no line is told of this code in book::match_order"
    assert lines.text(3) == "    for order in book {"
    assert source.code.row == 3  # its costliest line
    view.show_figure(LL.name)
    assert lines.cell(0, 2) == "15.0"
    assert lines.cell(0, 3) == "0.13"
    assert lines.hottest() == 2
    assert "DLmr 12 (52.2%)" in lines.tip(2)


def test_a_source_that_is_missing_shows_the_lines_alone(qtbot: QtBot, recorded: Recording) -> None:
    view = view_of(qtbot, recorded)
    source = view.source_view
    qtbot.waitUntil(lambda: source.lines.file == "/src/book.rs")
    question = SourceQuestion(source.file, "")
    source._question = question
    found = Found(source.file, None, ("/src/book.rs",))
    source.take_source(question, found, None, MissingSource(found))
    assert source.lines.size() == 3
    assert not source.pane._missing.isHidden()
    source.take_source(question, found, None, None)  # too late: nobody asks any more
    assert not source.pane._missing.isHidden()


def test_filtering_selecting_and_the_keyboard(qtbot: QtBot, recorded: Recording) -> None:
    view = view_of(qtbot, recorded)
    qtbot.keyClick(view, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert view.filter.hasFocus()
    view.filter.set_query("risk")
    assert names(view) == [CHECK] and view.summary.text() == "1 of 2 functions"
    view.filter.set_query("nothing")
    assert view._body.currentIndex() == 1
    view.filter.set_query("(")
    assert view.filter.property("state") == "bad"
    view.filter.set_query("")
    view._selection.select(CHECK)
    assert view.table.current_line() == 1
    view.table.selectRow(0)
    assert view._selection.function == MATCH
    view.table.opened.emit(0)
    assert view.source_view.code.hasFocus()


def test_enter_on_a_file_shows_its_lines(qtbot: QtBot, recorded: Recording) -> None:
    view = view_of(qtbot, recorded)
    view.show_by(CostBy.FILE)
    settle(qtbot, view)
    view.table.opened.emit(0)
    settle(qtbot, view)
    assert names(view) == ["book.rs:3", "book.rs:4", "book.rs, no line"]


def test_menus_and_the_clipboard(qtbot: QtBot, recorded: Recording) -> None:
    view = view_of(qtbot, recorded)
    menu = view.menu_for(0)
    actions = {action.text(): action for action in menu.actions()}
    with qtbot.waitSignal(view.show_source) as told:
        actions["Source and assembly"].trigger()
    assert told.args == [MATCH]
    with qtbot.waitSignal(view.open_source) as opened:
        actions["Open source"].trigger()
    assert opened.args == ["/src/book.rs", 3]
    actions["Copy table as shown"].trigger()
    copied = QGuiApplication.clipboard().text().splitlines()
    assert copied[0].startswith("Function\tIr\tD1 misses, %")
    assert len(copied) == 3
    menu.deleteLater()
    lines = view.source_view.menu_for(0)
    assert [action.text() for action in lines.actions()] == ["Open in the editor", "Copy place", "Copy lines"]
    lines.deleteLater()
    nothing = view.menu_for(-1)
    assert [action.text() for action in nothing.actions()] == ["Copy lines", "Copy table as shown"]
    nothing.deleteLater()


def test_the_part_comes_first_and_its_source_is_answered(qtbot: QtBot, recorded: Recording) -> None:
    assert parts_of(recorded)[0] is Part.CACHES
    view = ResultView(recorded)
    with qtbot.waitSignal(view.source_view_made):
        show(qtbot, view, 1200, 700)
    qtbot.waitUntil(lambda: not view.busy)
    assert view.part is Part.CACHES
    view._made[Part.CACHES].event_wanted.emit(4)  # type: ignore[attr-defined]
    assert view.scope.scope.event == 4


def test_a_sum_that_the_file_defines_is_no_event_of_the_stacks(qtbot: QtBot, tmp_path: Path) -> None:
    text = (
        "event: Both = Ir + 10 D1mr\nversion: 1\ncreator: hand\npositions: line\nevents: Ir I1mr D1mr\n\n"
        "fl=a.c\nfn=f\n1 5 1 2\ntotals: 5 1 2\n"
    )
    view = view_of(qtbot, cost_recording(tmp_path, text, "callgrind.out.1"))
    told: list[int] = []
    view.event_wanted.connect(told.append)
    view.show_figure("Both")
    assert view.figure == "Both" and not told
    assert view.source_view.lines.columns[0].title == "Both %"
    view.show_figure("D1mr")
    assert told == [2]


def test_a_file_without_sources_says_what_to_do(qtbot: QtBot, tmp_path: Path) -> None:
    text = "events: Ir\nfl=???\nfn=f\n0 5\nsummary: 5\n"
    view = view_of(qtbot, cost_recording(tmp_path, "desc: x\ncmd: ./x\n" + text))
    assert "-g" in view.source_view._empty._text.text()
    assert view.band.isHidden() and view._notes.isHidden()
    assert [column.title for column in view.model.columns] == ["Function", "Ir", "Source"]


def test_the_models_hold_what_qt_expects(qtmodeltester: ModelTester, recorded: Recording) -> None:
    table = costs_of(recorded)
    every = figures_of(table)
    model = CacheModel()
    model.set_rows(cost_rows(table, CostBy.LINE), every)
    qtmodeltester.check(model, force_py=True)
    model.sort(model.column_of(D1.name), Qt.SortOrder.DescendingOrder)
    assert model.row_of(CHECK) == model.row_at(1) or model.rowCount() == 5
    lines = CacheLines()
    lines.set_figure(every[0])
    lines.set_lines(file_costs(table, "/src/book.rs"), None, every[0])
    qtmodeltester.check(lines, force_py=True)
    assert lines.index(0, 0).data(CodeRole.SHARE) == lines.code_role(CodeRole.HEAT, 0, 0)
    lines.clear()
    assert lines.size() == 0 and lines.hottest() == -1


def test_rates_of_trifles_are_faint_and_stand_below(tmp_path: Path) -> None:
    text = TEXT + "fl=/src/z.rs\nfn=once\n1 1 1 1 0 0 0 0 0 0 0 0 0 0\n".replace("1 1 1 1", "1 2 1 0")
    big = text.replace("3 1000", "3 1000000")
    table = costs_of(cost_recording(tmp_path, big + SUMMARY))
    figure = next(figure for figure in figures_of(table) if figure.key == "I1 miss rate")
    rows = cost_rows(table, CostBy.FUNCTION)
    model = CacheModel()
    model.set_rows(rows, (figure,))
    once = rows.function.index("once")
    assert model.role(Role.MUTED, 1, once) and model.text(1, once) == "50.0"
    assert not model.role(Role.MUTED, 1, rows.function.index(MATCH))
    model.sort(1, Qt.SortOrder.DescendingOrder)
    assert model.row_at(0) != once


def test_figures_in_words(recorded: Recording) -> None:
    assert (rate_text(0.0), rate_text(0.0541), rate_text(0.0061), rate_text(0.00001)) == ("0", "5.4", "0.61", "<0.01")
    table = costs_of(recorded)
    assert figures_at_first(table) == ("Ir", "D1 miss rate", "LLm", "LL miss rate", "branch misprediction rate")
    event = CostFigure("Ir", "Ir", "")
    assert event.text(0.0) == "" and event.text(1234.0) == "1,234" and event.words(5.0) == "5"
    rate = next(figure for figure in figures_of(table) if figure.is_rate)
    assert rate.text(float("nan")) == "" and rate.words(float("nan")) == "none" and rate.words(0.5) == "50.0%"
    assert np.isfinite(event.values(table.costs, table.events)).all()
    assert (
        notes_text(("I1 cache: 1000 B, 64 B, 2-way associative", "Timerange: x", "LL cache: odd")) == "I1 1.0 kB, 2-way"
    )
