"""The loop page: its states, what it asks for, and how far a keyboard gets."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication, QPushButton, QWidget
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from tailflame.analyse.verdict import Decision, Row, Verdict, judge
from tailflame.model import Caution
from tailflame.model.iteration import Iteration, Step, StepState
from tailflame.model.metrics import Better, Family, Metric
from tailflame_gui import theme
from tailflame_gui.loop_model import POINTS, LoopView, Phase, Point, RunningStep
from tailflame_gui.views.loop_page import LoopPage

GOAL = "p99 total_us"
CHECK = "engine::risk::check"


def metric(key: str, *values: float, family: Family = Family.LATENCY, unit: str = "ns") -> Metric:
    return Metric(family=family, key=key, unit=unit, better=Better.LESS, values=values)


def verdict(*after: float, before: tuple[float, ...] = (100_000, 101_000, 99_000), more: bool = True) -> Verdict:
    """Of a goal that was 100 µs, and of a function and a count that stand still."""
    others = [
        metric(CHECK, 10.0, 10.2, 9.9, family=Family.CPU, unit="%"),
        metric("allocations", 40.0, family=Family.HEAP, unit=""),
    ]
    rest = others if more else []
    return judge([metric(GOAL, *before), *rest], [metric(GOAL, *after), *rest], goal=GOAL)


def measured(number: int, *steps: Step, **known: object) -> Iteration:
    values: dict[str, object] = {
        "id": f"m{number}",
        "number": number,
        "project": "/opt/engine",
        "binary": "/opt/engine/engine",
        "started_at": datetime(2026, 3, 4, 12, number, tzinfo=UTC),
        "finished_at": datetime(2026, 3, 4, 12, number, 30, tzinfo=UTC),
        "goal": GOAL,
        "goal_values": (100_000.0 * number, 101_000.0 * number),
        "goal_unit": "ns",
        "commit": "9f3c2e1aa77b",
        "steps": steps or (step("cpu", 1), step("cpu", 2), step("latency", 1)),
    }
    return Iteration(**(values | known))  # type: ignore[arg-type]


def step(name: str, repetition: int = 0, state: StepState = StepState.DONE, **known: object) -> Step:
    session = f"{name}{repetition}" if state is StepState.DONE and repetition else ""
    values: dict[str, object] = {"session": session, "seconds": 2.0} | known
    return Step(name=name, repetition=repetition, state=state, **values)  # type: ignore[arg-type]


def view(**changes: object) -> LoopView:
    """Two measurements, the first of them the baseline, with a verdict."""
    values: dict[str, object] = {
        "project": "/opt/engine",
        "plan": "/opt/engine/tailflame.toml",
        "iterations": (measured(2, decision="keep", note="smaller keys"), measured(1)),
        "baseline": "m1",
        "verdict": verdict(50_000, 50_500, 49_800),
        "hotspots": ((CHECK, 0.31), ("engine::run", 0.2)),
        "points": tuple(Point(key=k, when=w, text=t, by_hand=h) for k, w, t, h in POINTS),
    }
    values |= changes
    iterations = values["iterations"]
    assert isinstance(iterations, tuple)
    values.setdefault("shown", iterations[0] if iterations else None)
    return LoopView(**values)  # type: ignore[arg-type]


@pytest.fixture
def page(qtbot: QtBot) -> LoopPage:
    made = LoopPage()
    qtbot.addWidget(made)
    made.resize(1280, 760)
    made.show()
    qtbot.waitExposed(made)
    return made


def words_on(widget: QWidget) -> list[str]:
    QApplication.processEvents()  # what is new in a layout is shown by an event
    return [one.text() for one in widget.findChildren(QPushButton) if one.isVisible()]


# The states.


def test_without_a_project_it_says_what_to_choose(page: LoopPage, qtbot: QtBot) -> None:
    assert page.empty.isVisible() and not page.write_plan.isVisible() and not page.edit_plan.isVisible()
    assert not page.measure.isEnabled() and "no plan" in page.measure.toolTip()
    assert page.first_choose.isVisible() and not page.choose.isVisible()
    with qtbot.waitSignal(page.project_wanted):
        page.first_choose.click()


def test_a_folder_that_is_no_project_is_told_with_what_to_do(page: LoopPage) -> None:
    page.show_view(LoopView(problem="/opt belongs to no cargo project.", fix="Choose the project's folder."))
    assert page.empty.isVisible() and page.empty._title.text() == "/opt belongs to no cargo project."
    assert page.empty._text.text() == "Choose the project's folder."


def test_a_project_without_a_plan_offers_to_write_one(page: LoopPage, qtbot: QtBot) -> None:
    page.show_view(LoopView(project="/opt/engine"))
    assert page.view.phase is Phase.PLAN and page.empty.isVisible()
    with qtbot.waitSignal(page.plan_wanted):
        page.write_plan.click()


def test_a_plan_that_is_gone_can_be_written_again(page: LoopPage, qtbot: QtBot) -> None:
    page.show_view(view())
    assert not page.write_again.isVisible()
    page.show_view(view(plan=""))
    assert not page.empty.isVisible() and not page.measure.isEnabled()
    with qtbot.waitSignal(page.plan_wanted):
        page.write_again.click()


def test_a_plan_without_a_measurement_can_be_measured(page: LoopPage, qtbot: QtBot) -> None:
    page.show_view(LoopView(project="/opt/engine", plan="/opt/engine/tailflame.toml"))
    assert page.view.phase is Phase.BASELINE and not page.empty.isVisible()
    assert page.verdict.text() == "No verdict yet." and page.measure.isEnabled()
    assert not page.report.isEnabled() and not page.bundle.isEnabled() and not page.make_baseline.isEnabled()
    page.note.setText("  first ")
    with qtbot.waitSignal(page.measure_requested) as asked:
        page.measure.click()
    assert asked.args == ["first"]


def test_the_baseline_alone_says_what_comes_next(page: LoopPage) -> None:
    page.show_view(view(iterations=(measured(1),), verdict=None))
    assert page.verdict.text() == "This is the baseline." and page.view.phase is Phase.CHANGE
    assert not page.make_baseline.isEnabled() and "This is the baseline" in page.make_baseline.toolTip()


@pytest.mark.parametrize(
    ("after", "decision", "word"),
    [
        ((50_000, 50_500, 49_800), Decision.KEEP, "Keep"),
        ((150_000, 151_000, 149_000), Decision.REVERT, "Revert"),
        ((100_500, 99_900, 100_100), Decision.NOTHING, "Within noise"),
        ((85_000, 92_000, 88_500), Decision.UNDECIDED, "Not enough data"),
    ],
)
def test_the_verdict_is_a_sentence_with_its_reasons(
    page: LoopPage, after: tuple[float, ...], decision: Decision, word: str
) -> None:
    found = verdict(*after)
    assert found.decision is decision
    page.show_view(view(verdict=found))
    assert page.verdict.text().startswith(word) and page.verdict.text() == found.sentence
    assert page.reasons.text() == "\n".join(found.reasons)
    assert page.view.phase is Phase.VERDICT


def test_while_it_runs_the_steps_come_and_it_can_be_stopped(page: LoopPage, qtbot: QtBot) -> None:
    page.show_view(view())
    page.begin()
    assert page.running and page.stop.isVisible() and not page.measure.isEnabled() and not page.report.isEnabled()
    running = step("cpu", 1, StepState.RUNNING, seconds=0.0, repetitions=5)
    page.show_steps((RunningStep(running, "recording", 1.2),))
    (group,) = page.steps.groups
    assert group.words == "cpu 1 of 5  recording  1.2 s"
    page.show_steps((RunningStep(running, "reading", 2.0),))
    assert page.steps._running is not None and page.steps._running.whole == "cpu 1 of 5  reading  2.0 s"
    page.tell(Caution("The machine was busy.", "Wait."))
    assert "The machine was busy. Wait." in page.cautions.texts
    assert page.phases[list(Phase).index(Phase.MEASURE)].property("rank") == "heading"
    page.show_view(view())  # something else has changed meanwhile
    assert page.steps.groups[0].state is StepState.RUNNING
    with qtbot.waitSignal(page.stop_requested):
        page.stop.click()
    assert not page.stop.isEnabled(), "once is enough"
    page.note.setText("kept where nothing was measured")
    page.end(measured=False)
    assert page.note.text() and not page.stop.isVisible() and page.measure.isEnabled()
    page.begin()
    page.end()
    assert page.note.text() == ""


def test_one_that_was_cut_short_can_go_on(page: LoopPage, qtbot: QtBot) -> None:
    page.show_view(view())
    assert not page.resume.isVisible()
    page.show_view(view(iterations=(measured(2, finished_at=None), measured(1))))
    with qtbot.waitSignal(page.resume_requested):
        page.resume.click()


# The steps.


def test_repetitions_are_one_line_that_opens(page: LoopPage, qtbot: QtBot) -> None:
    steps = (step("test"), *(step("cpu", n, seconds=4.2) for n in range(1, 6)), step("heap", 1, seconds=3.0))
    page.show_view(view(iterations=(measured(1, *steps),)))
    assert [group.words for group in page.steps.groups] == ["test  2.0 s", "cpu  5 of 5  21.0 s", "heap 1  3.0 s"]
    assert words_on(page.steps) == ["cpu  5 of 5  21.0 s", "heap 1  3.0 s"]
    page.steps.unfold("cpu", True)
    assert len(words_on(page.steps)) == 7
    with qtbot.waitSignal(page.opened) as asked:
        next(b for b in page.steps.findChildren(QPushButton) if b.text() == "cpu 3  4.2 s").click()
    assert asked.args == ["cpu3"]
    page.steps.unfold("cpu", False)
    assert len(words_on(page.steps)) == 2


def test_a_step_that_failed_says_why(page: LoopPage) -> None:
    failed = step("heap", 1, StepState.FAILED, problem="heaptrack is missing.", fix="Install it.")
    skipped = step("syscalls", 1, StepState.SKIPPED, problem="It was left out.", seconds=0.0)
    page.show_view(view(iterations=(measured(1, step("cpu", 1), failed, skipped),)))
    QApplication.processEvents()
    shown = [one.text() for one in page.steps.findChildren(QWidget) if hasattr(one, "text") and one.isVisible()]
    assert "heaptrack is missing. Install it." in shown
    assert page.iterations.index(0, 4).data() == "1 failed"


# What is chosen.


def test_another_measurement_is_chosen_by_key_and_by_click(page: LoopPage, qtbot: QtBot) -> None:
    page.show_view(view())
    assert page.measurements.selected()[0].id == "m2"
    page.measurements.setFocus()
    with qtbot.waitSignal(page.chosen) as asked:
        qtbot.keyClick(page.measurements, Qt.Key.Key_Down)
    assert asked.args == ["m1"]


def test_enter_on_a_measurement_goes_to_its_figures(page: LoopPage, qtbot: QtBot) -> None:
    page.show_view(view())
    page.measurements.setFocus()
    qtbot.keyClick(page.measurements, Qt.Key.Key_Return)
    assert page.figures.hasFocus()
    page.figures.select_line(0)
    with qtbot.waitSignal(page.figure_opened) as asked:
        qtbot.keyClick(page.figures, Qt.Key.Key_Return)
    assert isinstance(asked.args[0], Row) and asked.args[0].key == GOAL


def test_the_history_is_walked_with_mouse_and_arrows(page: LoopPage, qtbot: QtBot) -> None:
    chart = page.chart
    page.show_view(view(iterations=(measured(3), measured(2), measured(1))))
    assert [point.label for point in chart.points] == ["#1", "#2", "#3"]
    with qtbot.waitSignal(page.chosen) as asked:
        qtbot.keyClick(chart, Qt.Key.Key_Left)
    assert asked.args == ["m2"]
    with qtbot.waitSignal(page.chosen) as asked:
        qtbot.keyClick(chart, Qt.Key.Key_Home)
    assert asked.args == ["m1"]
    with qtbot.assertNotEmitted(page.chosen):
        qtbot.keyClick(chart, Qt.Key.Key_Left)
    with qtbot.waitSignal(page.chosen) as asked:
        qtbot.mouseClick(chart, Qt.MouseButton.LeftButton, pos=QPoint(int(chart._x(2)), 60))
    assert asked.args == ["m3"]
    with qtbot.assertNotEmitted(page.chosen):
        qtbot.mouseClick(chart, Qt.MouseButton.LeftButton, pos=QPoint(2, 60))
    qtbot.mouseMove(chart, QPoint(int(chart._x(0)), 60))
    assert chart.words_of(chart.points[0]) == "#1, the baseline: 100 µs, 100 µs to 101 µs in 2 repetitions"


def test_a_chart_of_nothing_is_no_trap(page: LoopPage, qtbot: QtBot) -> None:
    page.show_view(view(iterations=(measured(1, goal_values=(), goal=""),), verdict=None))
    with qtbot.assertNotEmitted(page.chosen):
        for key in (Qt.Key.Key_Left, Qt.Key.Key_End):
            qtbot.keyClick(page.chart, key)
    assert page.chart.point_at(100) is None and not page.chart.grab().isNull()
    page.show_view(view(iterations=(measured(1, goal_values=(0.0, 0.0)),), verdict=None))
    assert not page.chart.grab().isNull()


def test_what_is_done_with_a_measurement_names_it(page: LoopPage, qtbot: QtBot) -> None:
    page.show_view(view())
    for made, signal in (
        (page.make_baseline, page.baseline_requested),
        (page.report, page.report_wanted),
        (page.bundle, page.bundle_wanted),
    ):
        with qtbot.waitSignal(signal) as asked:
            made.click()
        assert asked.args == ["m2"]


def test_a_hotspot_is_a_link_with_its_whole_name_in_the_tip(page: LoopPage, qtbot: QtBot) -> None:
    page.show_view(view())
    QApplication.processEvents()
    link = next(b for b in page.findChildren(QPushButton) if b.text() == "check" and b.isVisible())
    assert CHECK in link.toolTip()
    with qtbot.waitSignal(page.hotspot_chosen) as asked:
        link.click()
    assert asked.args == [CHECK]


# The checklists.


def test_a_point_is_ticked_by_evidence_or_by_hand(page: LoopPage, qtbot: QtBot) -> None:
    page.show_view(view())
    QApplication.processEvents()
    box = page.box_of("quiet")
    assert box is not None and not box.isChecked() and page.box_of("baseline") is None
    box.setFocus()
    with qtbot.waitSignal(page.ticked) as asked:
        qtbot.keyClick(box, Qt.Key.Key_Space)
    assert asked.args == ["quiet", True]
    points = tuple(replace(point, ticked=point.key == "quiet") for point in view().points)
    page.show_view(view(points=points))
    again = page.box_of("quiet")
    assert again is not None and again.isChecked() and again.hasFocus()


# The figures.


def test_the_figures_are_filtered_and_sorted(page: LoopPage, qtbot: QtBot, qtmodeltester: ModelTester) -> None:
    page.show_view(view())
    qtmodeltester.check(page.rows)
    qtmodeltester.check(page.iterations)
    order = page.figures.order
    assert {order.row_at(order.index(at, 0)).key for at in range(order.rowCount())} == {GOAL, CHECK, "allocations"}
    qtbot.keyClick(page, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert page.filter.hasFocus()
    page.filter.set_query("p99")
    assert [order.row_at(order.index(at, 0)).key for at in range(order.rowCount())] == [GOAL]
    page.filter.set_query("")
    assert order.rowCount() == 3
    tip = page.rows.index(0, 2).data(Qt.ItemDataRole.ToolTipRole)
    assert "before: 100 µs, 101 µs" in tip and "after: 50.0 µs" in tip


def test_a_figure_that_cannot_be_told_is_empty_and_not_a_nan(page: LoopPage) -> None:
    page.show_view(view(verdict=verdict(90_000, before=(100_000,), more=False)))
    (row,) = page.rows.rows
    assert math.isnan(row.low)
    shown = [str(page.rows.index(0, at).data()) for at in range(page.rows.columnCount())]
    assert shown[5] == "" and "nan" not in " ".join(shown) and shown[6] == "one run each"


# The keyboard, and the looks.


def test_everything_is_reached_by_tab(page: LoopPage, qtbot: QtBot) -> None:
    page.show_view(view())
    page.activateWindow()
    QApplication.processEvents()
    page.choose.setFocus()
    seen: list[QWidget] = []
    for _turn in range(60):
        now = page.focusWidget()
        if now is None or now in seen:
            break
        seen.append(now)
        qtbot.keyClick(now, Qt.Key.Key_Tab)
    wanted = (
        page.choose, page.edit_plan, page.note, page.measure, page.filter, page.figures, page.measurements, page.chart,
        page.make_baseline, page.report, page.bundle, page.box_of("quiet"),
    )  # fmt: skip
    missing = [one for one in wanted if one not in seen]
    assert not missing, missing


def test_every_button_says_what_it_does(page: LoopPage) -> None:
    page.show_view(view(iterations=(measured(2, finished_at=None), measured(1))))
    page.begin()
    silent = [b.text() for b in page.findChildren(QPushButton) if b.isVisible() and not b.toolTip()]
    assert silent == []


@pytest.mark.parametrize("mode", [theme.Mode.DARK, theme.Mode.LIGHT])
def test_it_is_painted_in_both_schemes(page: LoopPage, mode: theme.Mode) -> None:
    theme.set_mode(mode)
    for shown in (LoopView(), view(), view(verdict=verdict(150_000, 151_000, 149_000))):
        page.show_view(shown)
        assert not page.grab().isNull()
