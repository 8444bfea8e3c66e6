"""The loop in the whole window, on a project that needs no profiler."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from helpers.loop_project import LoopProject
from helpers.results import recording
from tailflame.analyse.verdict import Decision
from tailflame.model.iteration import Step, StepState
from tailflame.store.iterations import BASELINE
from tailflame_gui import tasks
from tailflame_gui.loop_model import Phase
from tailflame_gui.state import Page
from tailflame_gui.views.loop_page import LoopPage
from tailflame_gui.views.result_view import ResultView
from tailflame_gui.wiring import Parts

PATIENCE = 60_000


@pytest.fixture
def project(parts: Parts, tmp_path: Path) -> LoopProject:
    return LoopProject(tmp_path / "engine project", parts.controller.library)


class Loop:
    """The page with its controller; `folder` and `file` are what its user chooses."""

    def __init__(self, parts: Parts, qtbot: QtBot) -> None:
        self.parts, self.qtbot = parts, qtbot
        parts.actions["loop"].trigger()
        qtbot.waitUntil(lambda: parts.late_loop.made is not None and tasks.at_rest())
        page, made = parts.window.loop_page, parts.late_loop.made
        assert isinstance(page, LoopPage) and made is not None
        self.page, self.controller = page, made
        self.file = Path()
        made._choose_folder = lambda _start, take: take(self.file)
        made._choose_target = lambda suggested, take: take(self.file / suggested.name)

    def at_rest(self) -> None:
        self.qtbot.waitUntil(lambda: not self.controller.running and tasks.at_rest(), timeout=PATIENCE)

    def choose(self, folder: Path) -> None:
        self.file = folder
        self.page.choose.click()
        self.at_rest()

    def measure(self, note: str = "") -> None:
        self.page.note.setText(note)
        self.page.measure.click()
        self.at_rest()

    @property
    def told(self) -> list[str]:
        return [notice.sentence for notice in self.parts.window.notices.notices]


@pytest.fixture
def window(parts: Parts, qtbot: QtBot) -> Iterator[Loop]:
    made = Loop(parts, qtbot)
    yield made
    made.controller.stop()
    made.at_rest()


# Projects and plans.


def test_the_palette_leads_to_the_loop_and_to_a_measurement(parts: Parts) -> None:
    texts = {action.text() for action in parts.window._all_actions()}
    assert parts.actions["loop"].text() in texts and parts.actions["measure"].text() in texts


def test_a_folder_that_is_no_project_is_told(window: Loop, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    window.choose(tmp_path / "bare")
    assert "belongs to no cargo project" in window.page.view.problem and window.page.empty.isVisible()


def test_a_plan_is_written_for_a_cargo_project(window: Loop, tmp_path: Path) -> None:
    crate = tmp_path / "crate"
    (crate / "src").mkdir(parents=True)
    (crate / "Cargo.toml").write_text('[package]\nname = "crate"\nversion = "0.1.0"\nedition = "2021"\n')
    (crate / "src" / "main.rs").write_text("fn main() {}\n")
    window.choose(crate)
    assert window.page.view.phase is Phase.PLAN and window.page.view.project == str(crate)
    window.page.write_plan.click()
    window.at_rest()
    if not (crate / "tailflame.toml").exists():  # there is no cargo on this machine
        assert window.told
        return
    assert window.page.view.plan == str(crate / "tailflame.toml") and window.page.view.phase is Phase.BASELINE


def test_a_plan_that_is_wrong_is_one_sentence_and_the_note_stays(window: Loop, project: LoopProject) -> None:
    window.choose(project.folder)
    (project.folder / "tailflame.toml").write_text("[target\n")
    window.measure("smaller keys")
    assert window.told and "tailflame.toml" in window.told[-1]
    assert not window.page.running and window.page.note.text() == "smaller keys"


# Measuring.


def test_measure_from_the_palette_waits_until_the_plan_is_known(
    parts: Parts, window: Loop, project: LoopProject
) -> None:
    window.controller._project = project.folder
    window.controller.look()
    parts.actions["measure"].trigger()
    window.at_rest()
    assert [one.number for one in project.iterations.all()] == [1]


def test_the_loop_from_the_first_measurement_to_a_verdict(window: Loop, project: LoopProject) -> None:
    page = window.page
    window.choose(project.folder)
    assert page.view.phase is Phase.BASELINE
    window.measure("as it was")
    (first,) = project.iterations.all()
    assert first.note == "as it was" and first.is_finished and page.note.text() == ""
    assert page.view.baseline == first.id
    assert project.iterations.baselines() == {first.id: [BASELINE]}
    assert [group.words.partition("  ")[2][:6] for group in page.steps.groups] == ["2 of 2"]
    assert any("Measurement 1" in text for text in window.told)
    project.program(base=300)
    window.measure("slower")
    assert page.view.verdict is not None and page.view.verdict.decision is Decision.REVERT
    assert page.view.phase is Phase.VERDICT and page.verdict.text().startswith("Revert: p99 total_us")
    assert [one.number for one in page.view.iterations] == [2, 1]
    assert [point.label for point in page.chart.points] == ["#1", "#2"]
    # Another one is looked at, and it is then what things are done with.
    page.measurements.setFocus()
    window.qtbot.keyClick(page.measurements, Qt.Key.Key_Down)
    window.at_rest()
    assert page.view.shown is not None and page.view.shown.id == first.id
    assert page.verdict.text() == "This is the baseline."


def test_another_baseline_turns_the_verdict(window: Loop, project: LoopProject) -> None:
    project.measure(baseline=True)
    project.program(base=10)
    faster = project.measure()
    window.choose(project.folder)
    assert window.page.view.verdict is not None and window.page.view.verdict.decision is Decision.KEEP
    window.page.make_baseline.click()
    window.at_rest()
    assert window.page.view.baseline == faster.id
    window.page.chosen.emit(project.iterations.all()[1].id)
    window.at_rest()
    assert window.page.view.verdict.decision is Decision.REVERT


@pytest.mark.parametrize(("content", "named"), [("{", True), ('{"version": 99}', False)])
def test_names_of_baselines_that_cannot_be_read_are_told_on_the_page(
    window: Loop, project: LoopProject, content: str, named: bool
) -> None:
    made = project.measure(note="as it was", baseline=True)
    names = project.library.root / "baselines.json"
    names.write_text(content)
    window.choose(project.folder)
    assert window.page.view.shown == made and window.page.view.baseline == ""
    assert "baselines.json" in window.page.view.notes[0]
    window.measure("the next one")
    assert window.told == ["Measurement 2: It is measured."]
    assert bool(window.page.view.baseline) is named and (names.read_text() == content) is not named


def test_a_step_that_fails_is_shown_with_its_problem(window: Loop, project: LoopProject) -> None:
    project.program(rest="kill -SEGV $$")
    window.choose(project.folder)
    window.measure()
    (group,) = window.page.steps.groups
    assert {step.state for step in group.failed} == {StepState.FAILED}
    assert "SIGSEGV" in group.failed[0].problem and not window.page.running


def test_tests_that_fail_leave_a_measurement_that_says_so(window: Loop, project: LoopProject) -> None:
    project.plan('test = ["sh", "-c", "echo 3 orders; exit 1"]')
    window.choose(project.folder)
    window.measure("too bold")
    assert any("The tests fail: 3 orders" in text for text in window.told)
    (group,) = window.page.steps.groups
    assert group.name == "test" and group.state is StepState.FAILED
    assert window.page.note.text() == "too bold"


def test_a_verdict_without_enough_data_has_a_button_that_makes_more(window: Loop, project: LoopProject) -> None:
    page = window.page
    project.plan(repetitions=1)  # one run does not tell what runs differ by
    project.measure(baseline=True)
    project.program(base=200)
    project.measure()
    project.program(base=5000)
    window.choose(project.folder)
    assert page.view.verdict is not None and page.view.verdict.decision is Decision.UNDECIDED
    assert page.more.isVisible() and page.more.text() == "Measure 4 more of both"
    seen: list[str] = []
    page.steps.show_steps, shown = (
        lambda steps: (shown(steps), seen.extend(r.step.title for r in steps)),
        (  # type: ignore[method-assign]
            page.steps.show_steps
        ),
    )
    page.more.click()
    assert page.running and not page.more.isEnabled()
    window.at_rest()
    assert {"#1 latency 2", "#2 latency 5"} <= set(seen)
    assert page.view.verdict.decision is Decision.REVERT
    assert [len(one.goal_values) for one in project.iterations.all()] == [5, 5]
    assert not page.more.isVisible()
    assert any("Measurement 2: Revert" in text for text in window.told)


def test_more_repetitions_from_the_palette(parts: Parts, window: Loop, project: LoopProject) -> None:
    project.plan(repetitions=1)
    project.measure(baseline=True)
    project.measure()
    window.choose(project.folder)
    parts.actions["measure_more"].trigger()
    window.at_rest()
    assert [len(one.goal_values) for one in project.iterations.all()] == [5, 5]
    parts.actions["measure_more"].trigger()
    window.at_rest()
    assert any("asks for more repetitions" in text for text in window.told)


def test_stop_ends_it_and_it_goes_on_later(window: Loop, project: LoopProject) -> None:
    project.plan(repetitions=2)
    gate = project.folder / "gate"
    project.program(rest=f'while [ ! -e "{gate}" ]; do sleep 0.05; done')
    window.choose(project.folder)
    window.page.measure.click()
    window.qtbot.waitUntil(
        lambda: any(g.state is StepState.RUNNING for g in window.page.steps.groups), timeout=PATIENCE
    )
    assert window.page.stop.isVisible()
    assert [job.title for job in window.parts.jobs.jobs] == ["Measuring engine project"]
    window.page.stop.click()
    gate.touch()
    window.at_rest()
    assert window.parts.jobs.jobs == ()
    (cut,) = project.iterations.all()
    assert not cut.is_finished and window.page.resume.isVisible()
    assert any("Measurement 1: It was cut short; Go on" in text for text in window.told)
    assert window.page.measurements.selected()[0].id == cut.id
    window.page.resume.click()
    window.at_rest()
    (whole,) = project.iterations.all()
    assert whole.is_finished and [step.state for step in whole.steps] == [StepState.DONE] * 2
    assert not window.page.resume.isVisible()


# What is done with one.


def test_ticks_by_hand_are_kept_however_fast_they_come(window: Loop, project: LoopProject) -> None:
    one = project.measure(baseline=True)
    window.choose(project.folder)
    for key in ("quiet", "top", "written"):
        box = window.page.box_of(key)
        assert box is not None
        box.click()
    window.at_rest()
    assert sorted(project.iterations.get(one.id).checked) == ["quiet", "top", "written"]
    again = window.page.box_of("top")
    assert again is not None and again.isChecked()
    again.click()
    window.at_rest()
    assert sorted(project.iterations.get(one.id).checked) == ["quiet", "written"]


def test_a_report_and_a_bundle_are_written_where_one_says(window: Loop, project: LoopProject, tmp_path: Path) -> None:
    one = project.measure(baseline=True)
    window.choose(project.folder)
    window.file = tmp_path
    window.page.report.click()
    window.page.bundle.click()
    window.at_rest()
    assert (tmp_path / f"engine project-{one.id}.html").read_text().startswith("<!")
    assert (tmp_path / f"measurement-{one.id}.tailflame").stat().st_size > 1000
    for suffix in ("md", "json", "xml", "pdf"):
        window.controller._write_report(one.id, tmp_path / f"report.{suffix}")
    window.at_rest()
    assert json.loads((tmp_path / "report.json").read_text()) and (tmp_path / "report.md").exists()
    assert (tmp_path / "report.xml").exists() and not (tmp_path / "report.pdf").exists()
    assert any("none of the endings" in text for text in window.told)


def test_a_figure_opens_the_result_it_is_from(window: Loop, project: LoopProject) -> None:
    project.measure(baseline=True)
    project.program(base=300)
    project.measure()
    window.choose(project.folder)
    page = window.page
    page.figures.setFocus()
    page.figures.select_line(0)
    window.qtbot.keyClick(page.figures, Qt.Key.Key_Return)
    window.at_rest()
    tab = window.parts.state.result
    assert window.parts.state.page is Page.RESULTS and tab is not None and tab.recording is not None
    assert tab.recording.histograms is not None
    assert tab.session is not None and tab.session.id == page.view.shown.steps[0].session  # type: ignore[union-attr]


def test_a_result_that_is_gone_is_told(window: Loop, project: LoopProject) -> None:
    one = project.measure(baseline=True)
    window.choose(project.folder)
    project.library.delete(one.steps[0].session)
    window.parts.controller.refresh_library()
    window.at_rest()
    window.page.opened.emit(one.steps[0].session)
    assert "not in the library any more" in window.told[-1]


# A hotspot's page.


def with_cpu(project: LoopProject, *, shares: tuple[str, ...]) -> None:
    """Puts CPU profiles into the project's last measurement, one per repetition."""
    one = project.iterations.all()[0]
    steps = []
    for at, text in enumerate(shares):
        session = project.library.new_session(tool="perf-record", title="engine")
        session.complete(recording(text))
        steps.append(Step(name="cpu", repetition=at + 1, state=StepState.DONE, session=session.path.name))
    project.iterations.save(replace(one, steps=(*steps, *one.steps)))


def test_a_hotspot_has_a_page_with_its_history(window: Loop, project: LoopProject) -> None:
    project.measure(baseline=True)
    with_cpu(project, shares=("main@x;a@x 50\nmain@x;b@x 50", "main@x;a@x 60\nmain@x;b@x 40"))
    project.measure()
    with_cpu(project, shares=("main@x;a@x 30\nmain@x;b@x 70",))
    window.parts.controller.refresh_library()
    window.choose(project.folder)
    page = window.page
    assert page.view.hotspots[0] == ("b", 0.7)
    done = {point.key for point in page.view.points if point.is_done}
    assert not done & {"cpu", "release"}, "nobody has looked at it, and a script has no symbols"
    page.hotspot_chosen.emit("a")
    assert page.on_hotspot and page.hotspot.name.whole == "a"
    window.at_rest()
    (looked,) = (point for point in page.view.points if point.key == "cpu")
    assert looked.is_done and looked.evidence == "Its CPU profile, or the page of a hotspot, was opened."
    facts = page.hotspot.facts
    assert facts is not None and facts.shares[0].self_share == pytest.approx(0.3)
    assert page.hotspot.figures.text() == "self 30.0%    total 30.0%"
    assert [point.values for point in page.hotspot.chart.points] == [
        pytest.approx((50.0, 60.0)),
        pytest.approx((30.0,)),
    ]
    assert set(facts.missing) == {"caches", "heap", "syscalls"}
    assert "“caches”" in page.hotspot.caches.said.text()
    # Another measurement by its point; it stays on the page.
    window.qtbot.keyClick(page.hotspot.chart, Qt.Key.Key_Left)
    window.at_rest()
    assert page.on_hotspot and page.hotspot.figures.text().startswith("self 55.0% (50.0 to 60.0)")
    page.hotspot.whole.click()
    window.at_rest()
    tab = window.parts.state.result
    assert tab is not None and tab.selection.function == "a" and window.parts.state.page is Page.RESULTS
    assert isinstance(window.parts.window.results.page_of(tab), ResultView)
    window.parts.state.set_page(Page.LOOP)
    window.at_rest()
    assert page.on_hotspot
    window.qtbot.keyClick(page.hotspot.back, Qt.Key.Key_Escape)
    assert not page.on_hotspot
    window.at_rest()


def test_the_project_that_was_measured_last_is_shown_at_the_next_start(
    parts: Parts, qtbot: QtBot, project: LoopProject
) -> None:
    one = project.measure(baseline=True)
    window = Loop(parts, qtbot)
    assert window.page.view.project == str(project.folder)
    assert window.page.view.shown is not None and window.page.view.shown.id == one.id
    window.at_rest()
