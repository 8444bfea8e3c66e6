"""Maps in the window: the figures of core, chosen, sorted, filtered, and kept while more comes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from helpers.stack_counts import DATA
from tailflame.analyse.map_diff import compare_maps
from tailflame.model import Recording
from tailflame.model.maps import STACK, Bucket, MapKind, MapRow, ProbeMap, ProbeMaps
from tailflame.parse import load
from tailflame_gui import theme
from tailflame_gui.models.map_table import bucket_rows, bucket_table, change_table, list_fields, map_table, total_text
from tailflame_gui.models.roles import Role
from tailflame_gui.models.session_table import RowTable
from tailflame_gui.state import Page
from tailflame_gui.views.maps_view import PRINTED, MapsComparison, MapsResult, MapsView
from tailflame_gui.views.result_parts import Part, parts_of
from tailflame_gui.wiring import Parts

RECIPES = DATA / "bpftrace" / "0.17.0" / "recipes"
MAPS = DATA / "bpftrace" / "0.17.0" / "maps"


def calls(**counts: int) -> ProbeMap:
    rows = sorted((MapRow((name,), (n,)) for name, n in counts.items()), key=lambda row: -row.number)
    return ProbeMap("@calls", MapKind.VALUES, tuple(rows), "Calls", "calls", ("syscall",))


HIST = ProbeMap(
    "@latency_ns",
    MapKind.HIST,
    (
        MapRow(("write",), buckets=(Bucket(1024, 2047, 3), Bucket(2048, 4095, 1))),
        MapRow(("read",), buckets=(Bucket(4096, 8191, 2),)),
    ),
    "Latency",
    "ns",
    ("syscall",),
)
STACKS = ProbeMap(
    "@off", MapKind.STATS, (MapRow(("main\nrun\nsleep",), (2, 1500, 3000)), MapRow(("main\nidle",), (1, 10, 10))),
    "Off-CPU time", "ns", (STACK,),
)  # fmt: skip


def cells(view: MapsView) -> list[list[str]]:
    assert view.table is not None
    model = view.table.model()
    return [
        [str(model.index(row, column).data()) for column in range(model.columnCount())]
        for row in range(model.rowCount())
    ]


ALONE = ProbeMap("@x", MapKind.VALUES, (MapRow((), (3,)),))


@pytest.mark.parametrize("one", [calls(read=3, write=70), HIST, STACKS, ALONE], ids=lambda one: one.name)
def test_the_models_keep_qts_rules(one: ProbeMap, qtmodeltester: ModelTester) -> None:
    qtmodeltester.check(map_table(one))


def test_the_other_models_keep_them_too(qtmodeltester: ModelTester) -> None:
    buckets = bucket_table()
    buckets.set_rows(bucket_rows(HIST.rows[0], HIST))
    qtmodeltester.check(buckets)
    (change,) = compare_maps(ProbeMaps((calls(a=1),)), ProbeMaps((calls(a=2, b=3),))).maps
    qtmodeltester.check(change_table(change))
    maps = RowTable(list_fields())
    maps.set_rows((HIST, STACKS))
    qtmodeltester.check(maps)


def test_a_bar_is_a_share_of_the_largest() -> None:
    table = map_table(calls(read=25, write=100))
    assert [table.index(row, 0).data(Role.BAR) for row in range(2)] == [1.0, 0.25]
    assert table.index(0, 1).data(Role.BAR) is None
    assert table.index(0, 0).data() == "100" and table.index(0, 1).data() == "write"
    stats = map_table(STACKS)
    assert [stats.index(0, column).data() for column in range(4)] == ["2", "1.50 µs", "3.00 µs", "sleep  ←  run"]
    assert stats.index(0, 3).data(Qt.ItemDataRole.ToolTipRole).index("sleep") < 60


def test_totals_are_told_where_a_sum_means_something() -> None:
    assert total_text(calls(a=3, b=4)) == "7"
    assert total_text(STACKS) == "3.01 µs"
    assert total_text(HIST) == "6"
    assert total_text(replace(STACKS, name="@max_ns")) == ""
    assert total_text(ProbeMap("@n", MapKind.VALUES, (MapRow((), (3,)),))) == ""


def test_maps_are_chosen_and_stay_chosen_while_more_comes(qtbot: QtBot) -> None:
    view = MapsView(ProbeMaps((calls(read=3, write=70), HIST)))
    qtbot.addWidget(view)
    view.show()
    assert view.chosen == "@calls"
    view.choose("@latency_ns")
    assert cells(view) == [["4", "write"], ["2", "read"]]
    assert view.buckets.isVisible() and view.buckets.model().rowCount() == 2
    assert view.table is not None
    view.table.select_line(1)
    assert view.buckets.model().rowCount() == 1
    table = view.table
    more = replace(HIST, rows=(replace(HIST.rows[0], buckets=(Bucket(1024, 2047, 9),)), HIST.rows[1]))
    view.show_maps(ProbeMaps((calls(read=4, write=80), more), text="said\n"))
    assert view.chosen == "@latency_ns" and view.table is table
    assert cells(view) == [["9", "write"], ["2", "read"]]
    view.choose(PRINTED)
    assert view.printed.toPlainText() == "said"
    view.choose("@calls")
    assert cells(view) == [["80", "write"], ["4", "read"]] and not view.buckets.isVisible()


def test_a_whole_stack_is_shown_below(qtbot: QtBot) -> None:
    view = MapsView(ProbeMaps((STACKS,)))
    qtbot.addWidget(view)
    view.show()
    assert view.stack.toPlainText() == "sleep\nrun\nmain"
    assert view.table is not None
    view.table.select_line(1)
    assert view.stack.toPlainText() == "idle\nmain"


def test_keys_are_filtered_and_copied(qtbot: QtBot) -> None:
    view = MapsView(ProbeMaps((calls(read=3, write=70, writev=2),)))
    qtbot.addWidget(view)
    view.show()
    view.filter.setText("write")
    view.filter.commit()
    assert cells(view) == [["70", "write"], ["2", "writev"]]
    assert view.table is not None
    view.table.select_line(0)
    view._copy()
    assert QGuiApplication.clipboard().text() == "70\twrite"


def test_nothing_printed_says_so(qtbot: QtBot) -> None:
    view = MapsView()
    qtbot.addWidget(view)
    assert view._pages.currentIndex() == 1


@pytest.mark.parametrize("name", ["maps/maps.json", "maps/maps.txt", "recipes/syscalls.json", "recipes/off-cpu.json"])
def test_real_maps_are_drawn_in_both_schemes(name: str, qtbot: QtBot) -> None:
    recording = load(DATA / "bpftrace" / "0.17.0" / name)
    assert recording.maps is not None
    view = MapsResult(with_program(recording))
    qtbot.addWidget(view)
    view.resize(1280, 800)
    view.show()
    try:
        for mode in (theme.Mode.DARK, theme.Mode.LIGHT):
            theme.set_mode(mode)
            for one in recording.maps.maps:
                view.view.choose(one.name)
                assert not view.grab().isNull()
                assert view.view.chosen == one.name
                shown = cells(view.view)
                assert len(shown) == len(one.rows)
    finally:
        theme.set_mode(theme.Mode.LIGHT)


def with_program(recording: Recording) -> Recording:
    assert recording.maps is not None
    return replace(recording, results=(replace(recording.maps, program="BEGIN {}"), *recording.results[1:]))


def test_maps_come_first_among_the_parts_of_a_result() -> None:
    syscalls, off_cpu = load(RECIPES / "syscalls.json"), load(RECIPES / "off-cpu.json")
    assert parts_of(syscalls)[0] is Part.MAPS and Part.LATENCY in parts_of(syscalls)
    assert {Part.MAPS, Part.FLAME} <= set(parts_of(off_cpu))


def test_what_ran_can_be_unfolded(qtbot: QtBot) -> None:
    view = MapsResult(with_program(load(RECIPES / "syscalls.json")))
    qtbot.addWidget(view)
    view.show()
    assert not view.program.isVisible()
    view._unfold()
    assert view.program.isVisible() and view.program.toPlainText() == "BEGIN {}"


def test_two_runs_side_by_side(qtbot: QtBot) -> None:
    before = load(RECIPES / "syscalls.json")
    assert before.maps is not None
    after = replace(before, results=(replace(before.maps, maps=(calls(write=9, newone=1), *before.maps.maps[1:])),))
    view = MapsComparison(before, after, titles=("one", "other"))
    qtbot.addWidget(view)
    view.show()
    assert view.table is not None
    rows = {view.table.model().index(row, 4).data(): row for row in range(view.table.model().rowCount())}
    assert view.table.model().index(rows["newone"], 3).data() == "new"
    assert view.table.model().index(rows["futex"], 3).data() == "gone"
    view.list.select_line(1)
    assert view.table is not None and view.table.model().rowCount() == len(before.maps.maps[1].rows)
    nothing = MapsComparison(
        replace(before, results=(ProbeMaps((calls(a=1),)),)),
        replace(before, results=(ProbeMaps((replace(calls(a=1), name="@other"),)),)),
        titles=("one", "other"),
    )
    qtbot.addWidget(nothing)
    assert nothing.table is None


def test_a_result_of_maps_alone_can_be_a_baseline_and_be_compared(parts: Parts, qtbot: QtBot) -> None:
    parts.controller.open_paths([MAPS / "maps.json", RECIPES / "syscalls.json"])
    qtbot.waitUntil(lambda: all(tab.recording is not None for tab in parts.state.open_results))
    assert len(parts.state.open_results) == 2
    one = parts.state.open_results[-1]
    assert one.recording is not None
    alone = replace(one.recording, results=tuple(r for r in one.recording.results if isinstance(r, ProbeMaps)))
    one.recording = alone
    one.changed.emit()
    assert parts.actions["pin"].isEnabled() and not parts.actions["export_svg"].isEnabled()
    parts.controller.compare(one, one)
    qtbot.waitUntil(lambda: parts.state.page is Page.COMPARE)
    qtbot.waitUntil(lambda: bool(parts.window.findChildren(MapsComparison)), timeout=20_000)
