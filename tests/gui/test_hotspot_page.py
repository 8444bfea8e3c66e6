"""A hotspot's page: its parts, each with a sentence where nothing tells it, and the views of the profile on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from helpers.results import MATCH, RISK, recording
from helpers.stack_counts import DATA
from tailflame.analyse.function_facts import (
    CpuShares,
    HotspotFacts,
    Turn,
    cache_facts,
    call_facts,
    heap_facts,
)
from tailflame.model.iteration import Iteration
from tailflame.parse import load
from tailflame_gui import tasks, theme
from tailflame_gui.views.flame_view import FlameView
from tailflame_gui.views.hotspot_page import HotspotPage
from tailflame_gui.views.sandwich_view import SandwichView
from tailflame_gui.views.source_view import SourceView

CHECK = "trading_system::risk::check_exposure"


def measured(number: int, decision: str = "") -> Iteration:
    return Iteration(
        id=f"m{number}", number=number, project="/opt/engine", binary="/opt/engine/engine",
        started_at=datetime(2026, 3, 4, 12, number, tzinfo=UTC), decision=decision,
    )  # fmt: skip


def facts(**changes: object) -> HotspotFacts:
    """Of a CPU profile alone, with one measurement before."""
    turns = (
        Turn(measured(1), (CpuShares(MATCH, 0.4, 0.5),)),
        Turn(measured(2, "revert"), (CpuShares(MATCH, 0.5, 0.6), CpuShares(MATCH, 0.52, 0.6))),
    )
    made = HotspotFacts(
        function=MATCH, iteration=measured(2), turns=turns, cpu=recording(), sessions={"cpu": "s1"},
        missing={"caches": "No caches.", "heap": "No heap.", "syscalls": "No calls."},
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def whole() -> HotspotFacts:
    """Everything is told of it, each by the real output of a tool."""
    costs = load(DATA / "cachegrind" / "3.19.0" / "trading-hostile.out.gz").costs
    calls = load(DATA / "strace" / "6.1" / "stacks.log.gz").profile
    assert costs is not None and calls is not None
    return facts(
        caches=cache_facts(costs, CHECK),
        heap=heap_facts(load(DATA / "heaptrack" / "1.4.0" / "alloc.zst"), "main"),
        calls=call_facts(calls, "trading_system::run"),
        sessions={"cpu": "s1", "caches": "s2", "heap": "s3", "syscalls": "s4"},
        missing={},
    )


@pytest.fixture
def page(qtbot: QtBot) -> HotspotPage:
    made = HotspotPage()
    qtbot.addWidget(made)
    made.resize(1150, 700)
    made.show()
    qtbot.waitExposed(made)
    return made


def show(page: HotspotPage, qtbot: QtBot, shown: HotspotFacts, *, baseline: str = "") -> None:
    page.show_facts(shown, baseline=baseline)
    qtbot.waitUntil(tasks.at_rest)


def test_until_it_is_read_it_says_so(page: HotspotPage) -> None:
    page.show_waiting(MATCH)
    assert page.name.whole == MATCH and page.figures.text() == "reading…" and not page.whole.isEnabled()
    assert page.caches.said.text() == "Reading…" and page.tabs.count() == 0


def test_its_share_and_its_history(page: HotspotPage, qtbot: QtBot) -> None:
    show(page, qtbot, facts(), baseline="m1")
    assert page.figures.text() == "self 51.0% (50.0 to 52.0)    total 60.0% (60.0 to 60.0)"
    first, second = page.chart.points
    assert first.values == (40.0,) and first.marked and not second.marked and second.decision == "revert"
    assert page.chart.words_of(first) == "#1, the baseline: 40.0%"
    with qtbot.waitSignal(page.chosen) as asked:
        qtbot.keyClick(page.chart, Qt.Key.Key_Left)
    assert asked.args == ["m1"]


def test_the_views_of_the_profile_are_on_the_function(page: HotspotPage, qtbot: QtBot) -> None:
    made: list[object] = []
    page.source_view_made.connect(made.append)
    show(page, qtbot, facts())
    flame, callers, source = (page.tabs.widget(at) for at in range(3))
    assert isinstance(flame, FlameView) and isinstance(callers, SandwichView) and isinstance(source, SourceView)
    assert made == [source]
    scene = flame.graph.scene
    assert scene is not None and flame.graph.selected_box >= 0 and flame.graph.zoom_box == flame.graph.selected_box
    page.tabs.setCurrentWidget(callers)
    qtbot.waitUntil(lambda: tasks.at_rest() and callers.name.whole == MATCH)
    # Another function in one of them is that of all; its own flame graph is a tab away.
    callers.show_flame.emit(RISK)
    assert page.tabs.currentWidget() is flame and flame.selection.function == RISK
    flame.show_callers.emit(MATCH)
    assert page.tabs.currentWidget() is callers
    qtbot.waitUntil(lambda: tasks.at_rest() and callers.name.whole == MATCH)
    show(page, qtbot, facts())
    assert page.tabs.count() == 3, "what was there before has gone"


def test_without_a_profile_the_rest_is_shown(page: HotspotPage, qtbot: QtBot) -> None:
    show(page, qtbot, facts(cpu=None, turns=(), sessions={}, missing={"cpu": "It was not measured."}))
    assert page.figures.text() == "not in the CPU profile" and not page.whole.isEnabled()
    assert page.tabs.count() == 1 and page.chart.points == ()


def test_each_part_without_figures_says_why(page: HotspotPage, qtbot: QtBot) -> None:
    show(page, qtbot, facts())
    for section, text in ((page.caches, "No caches."), (page.heap, "No heap."), (page.syscalls, "No calls.")):
        assert section.said.text() == text and not section.table.isVisible() and not section.open.isVisible()


def test_each_part_with_figures_has_a_table(page: HotspotPage, qtbot: QtBot, qtmodeltester: ModelTester) -> None:
    show(page, qtbot, whole())
    for model in (page.lines, page.sites, page.calls):
        qtmodeltester.check(model)
        assert model.rowCount() > 0
    assert page.caches.table.isVisible() and page.heap.table.isVisible() and page.syscalls.table.isVisible()
    # cg_annotate: of 20,366,008 data reads and writes 345,716 and 0 missed; I1 and LL next to nothing.
    assert "D1 misses: 1.7% of its own, 5.4% of the program’s" in page.caches.said.text()
    assert page.heap.said.text().startswith("1,5") and "by it or by what it calls." in page.heap.said.text()
    top = [str(page.lines.index(0, at).data()) for at in range(3)]
    assert ":" in top[0] and top[1].endswith("%")
    futex = next(row for row in page.calls.rows if row.name == "futex")
    assert futex.calls >= 1 and futex.seconds > 0


def test_what_is_opened_from_it(page: HotspotPage, qtbot: QtBot) -> None:
    show(page, qtbot, whole())
    for made, session in (
        (page.whole, "s1"),
        (page.caches.open, "s2"),
        (page.heap.open, "s3"),
        (page.syscalls.open, "s4"),
    ):
        with qtbot.waitSignal(page.opened) as asked:
            made.click()
        assert asked.args == [session, MATCH]
    page.caches.table.setFocus()
    page.caches.table.select_line(0)
    with qtbot.waitSignal(page.open_source) as line:
        qtbot.keyClick(page.caches.table, Qt.Key.Key_Return)
    assert line.args[0] == page.lines.rows[0].file and line.args[1] == page.lines.rows[0].line


def test_escape_and_the_arrow_lead_back(page: HotspotPage, qtbot: QtBot) -> None:
    show(page, qtbot, whole())
    with qtbot.waitSignal(page.back_requested):
        qtbot.keyClick(page.caches.table, Qt.Key.Key_Escape)
    with qtbot.waitSignal(page.back_requested):
        page.back.click()


def test_its_parts_are_reached_by_tab(page: HotspotPage, qtbot: QtBot) -> None:
    show(page, qtbot, whole())
    page.activateWindow()
    QApplication.processEvents()
    page.back.setFocus(Qt.FocusReason.TabFocusReason)
    seen = []
    for _turn in range(80):
        now = page.focusWidget()
        if now is None or now in seen:
            break
        seen.append(now)
        qtbot.keyClick(now, Qt.Key.Key_Tab)
    wanted = (page.whole, page.chart, page.caches.open, page.caches.table, page.heap.table, page.syscalls.table)
    assert not [one for one in wanted if one not in seen]


@pytest.mark.parametrize("mode", [theme.Mode.DARK, theme.Mode.LIGHT])
def test_it_is_painted_in_both_schemes(page: HotspotPage, qtbot: QtBot, mode: theme.Mode) -> None:
    theme.set_mode(mode)
    for shown in (facts(), whole()):
        show(page, qtbot, shown)
        for at in range(page.tabs.count()):
            page.tabs.setCurrentIndex(at)
            qtbot.waitUntil(tasks.at_rest)
            assert not page.grab().isNull()
