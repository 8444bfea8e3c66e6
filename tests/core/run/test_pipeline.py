"""A whole measurement by its plan, with a program that needs no profiler: it logs its own latencies."""

from __future__ import annotations

import asyncio
import subprocess
import time
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from tailflame.analyse.verdict import Decision
from tailflame.errors import StoreError, TargetError, ToolFailed
from tailflame.model.iteration import StepState
from tailflame.run.judging import recordings_of
from tailflame.run.measure_events import Done, MeasureEvent, StepEnded, StepStarted, Told
from tailflame.run.pipeline import Pipeline
from tailflame.run.plan_file import PlanError, read_plan
from tailflame.store import Library
from tailflame.store.iterations import Iterations

PROGRAM = """#!/bin/sh
# Latencies of 2,000 calls: {base} to {base} + 99 us, the seed shifts them a little.
i=0
while [ $i -lt 2000 ]; do echo "total_us=$(( {base} + i % 100 ))"; i=$((i+1)); done > "$1"
{rest}
"""

PLAN = """
[target]
path = "engine"
args = ["{{out}}/calls.log"]
{more}
[measure]
repetitions = 3
warm_up_s = 0
steps = ["latency"]
[latency]
log = "{{out}}/calls.log"
fields = ["total_us"]
[goal]
metric = "p99 total_us"
"""


class Project:
    """A folder with a plan and a program, and the profiles folder of its measurements."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "engine project"
        self.folder.mkdir()
        self.library = Library(folder / "profiles")
        self.program()
        self.plan()

    def program(self, *, base: int = 100, rest: str = "") -> None:
        path = self.folder / "engine"
        path.write_text(PROGRAM.format(base=base, rest=rest))
        path.chmod(0o755)

    def plan(self, more: str = "") -> None:
        (self.folder / "tailflame.toml").write_text(PLAN.format(more=more))

    def pipeline(self, **options: object) -> Pipeline:
        return Pipeline(read_plan(self.folder / "tailflame.toml"), self.library, **options)  # type: ignore[arg-type]

    @property
    def iterations(self) -> Iterations:
        return Iterations(self.library.root)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def run(pipeline: Pipeline, *, after: tuple[type, int] | None = None) -> list[MeasureEvent]:
    """All events; `after` so many events of a type it is stopped."""

    async def follow() -> list[MeasureEvent]:
        told: list[MeasureEvent] = []
        async with aclosing(pipeline.events()) as events:
            async for event in events:
                told.append(event)
                if after is not None and sum(isinstance(one, after[0]) for one in told) == after[1]:
                    pipeline.stop()
        return told

    return asyncio.run(follow())


def done(events: list[MeasureEvent]) -> Done:
    last = events[-1]
    assert isinstance(last, Done)
    return last


def test_a_measurement_keeps_every_repetition(project: Project) -> None:
    ended = done(run(project.pipeline(note="first")))
    iteration = ended.iteration
    assert iteration.is_finished and iteration.note == "first" and iteration.number == 1
    assert [(s.name, s.repetition, s.state) for s in iteration.steps] == [
        ("latency", n, StepState.DONE) for n in (1, 2, 3)
    ]
    assert project.iterations.get("latest") == iteration
    assert (iteration.goal, iteration.goal_unit) == ("p99 total_us", "ns")
    # Of 100 to 199 us, 20 times each, the 99th percentile is 198 us, as a histogram of three digits has it.
    assert iteration.goal_values == pytest.approx((198_000,) * 3, rel=1e-3)
    recordings = recordings_of(iteration, project.library)
    assert len(recordings) == 3 and all(recording.histograms is not None for recording in recordings)
    assert {info.manifest.group for info in project.library.sessions() if info.manifest} == {iteration.id}
    assert "kernel" in iteration.environment and "processors" in iteration.environment


def test_a_project_outside_git_is_told(project: Project) -> None:
    texts = [event.text for event in run(project.pipeline()) if isinstance(event, Told)]
    assert any("in no git repository" in text for text in texts)


def test_the_verdict_is_against_the_baseline(project: Project) -> None:
    first = done(run(project.pipeline()))
    assert first.verdict is None
    project.iterations.name_baseline("baseline", first.iteration)
    project.program(base=200)
    slower = done(run(project.pipeline()))
    assert slower.verdict is not None and slower.verdict.decision is Decision.REVERT
    assert slower.iteration.decision == "revert" and "p99 total_us got worse" in slower.iteration.sentence
    project.program(base=10)
    faster = done(run(project.pipeline()))
    assert faster.verdict is not None and faster.verdict.decision is Decision.KEEP
    project.program()
    same = done(run(project.pipeline()))
    assert same.verdict is not None and same.verdict.decision is Decision.NOTHING


def test_tests_that_fail_end_it_before_anything_is_measured(project: Project) -> None:
    project.plan('test = ["sh", "-c", "echo assertion failed: 3 orders; exit 1"]')
    with pytest.raises(ToolFailed, match="The tests fail: assertion failed: 3 orders"):
        run(project.pipeline())
    (iteration,) = project.iterations.all()
    assert [(step.name, step.state) for step in iteration.steps] == [("test", StepState.FAILED)]
    assert project.library.sessions() == ()


CARGO_SAYS = """\
   Compiling engine v0.1.0
warning: unused variable
\x1b[1m\x1b[91merror\x1b[0m: no bin target named `nope` in default-run packages
error: another

help: available bin targets:
    trading-system
"""


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (CARGO_SAYS, "It does not build: error: no bin target named `nope` in default-run packages."),
        (CARGO_SAYS + "note: a line\n" * 20_000, "It does not build: error: no bin target named `nope` in default-run"),
        ("error[E0425]: cannot find value\nFor more information\n", "It does not build: error[E0425]: cannot find"),
        ("errors: none\n\x1b[31mno rule to make it.\x1b[0m\n\n", "It does not build: no rule to make it."),
        ("", "It does not build: exited with code 101"),
    ],
)
def test_a_build_that_fails_says_its_first_error(project: Project, says: str, told: str) -> None:
    (project.folder / "said").write_text(says)
    project.plan('build = ["sh", "-c", "cat said >&2; exit 101"]')
    with pytest.raises(ToolFailed) as caught:
        run(project.pipeline())
    assert caught.value.sentence.startswith(told) and caught.value.sentence.endswith(".")


def test_a_build_runs_in_the_project(project: Project) -> None:
    project.plan('build = ["sh", "-c", "pwd > built"]')
    events = run(project.pipeline())
    assert (project.folder / "built").read_text().strip() == str(project.folder)
    assert [e.step.name for e in events if isinstance(e, StepStarted)] == ["build", "latency", "latency", "latency"]


def test_a_step_that_fails_is_told_and_the_others_go_on(project: Project) -> None:
    # The second run dies of a signal.
    project.program(rest="if [ -e once ] && [ ! -e twice ]; then : > twice; kill -SEGV $$; fi; : > once")
    ended = done(run(project.pipeline()))
    states = [step.state for step in ended.iteration.steps]
    assert states == [StepState.DONE, StepState.FAILED, StepState.DONE]
    assert "SIGSEGV" in ended.iteration.steps[1].problem
    assert len(ended.iteration.goal_values) == 2


def test_a_program_that_says_it_failed_is_no_result_unless_the_plan_says_so(project: Project) -> None:
    project.program(rest="exit 3")
    ended = done(run(project.pipeline()))
    assert {step.state for step in ended.iteration.steps} == {StepState.FAILED}
    assert ended.iteration.steps[0].problem.startswith("The program ended badly: exited with code 3")
    assert "target.exit_codes" in ended.iteration.steps[0].fix and ended.iteration.steps[0].session
    project.plan("exit_codes = [0, 3]")
    ended = done(run(project.pipeline()))
    assert {step.state for step in ended.iteration.steps} == {StepState.DONE}


def test_a_program_that_logs_nothing_is_a_failed_step(project: Project) -> None:
    (project.folder / "engine").write_text('#!/bin/sh\necho nothing > "$1"\n')
    ended = done(run(project.pipeline()))
    assert {step.state for step in ended.iteration.steps} == {StepState.FAILED}
    assert "has no field called total_us" in ended.iteration.steps[0].problem


def test_no_program_is_an_error_before_anything(project: Project) -> None:
    (project.folder / "engine").unlink()
    with pytest.raises(TargetError):
        run(project.pipeline())


def test_what_was_stopped_goes_on_where_it_was(project: Project) -> None:
    stopped = done(run(project.pipeline(), after=(StepEnded, 1)))
    assert not stopped.iteration.is_finished
    assert [step.state for step in stopped.iteration.steps] == [StepState.DONE]
    resumed = done(run(project.pipeline(resume=True)))
    assert resumed.iteration.id == stopped.iteration.id and resumed.iteration.is_finished
    assert resumed.iteration.steps[0] == stopped.iteration.steps[0], "what was done is not done again"
    assert len(resumed.iteration.steps) == 3
    with pytest.raises(StoreError, match="no measurement to go on with"):
        run(project.pipeline(resume=True))


def test_it_goes_on_with_the_same_code_and_plan_alone(project: Project) -> None:
    run(project.pipeline(), after=(StepEnded, 1))
    project.program(base=5000)
    with pytest.raises(StoreError, match=r"engine has changed since measurement 1 was begun\."):
        run(project.pipeline(resume=True))
    project.program()
    project.plan('env = { MODE = "fast" }')
    with pytest.raises(StoreError, match="The plan has changed since measurement 1 was begun"):
        run(project.pipeline(resume=True))
    project.plan()
    assert done(run(project.pipeline(resume=True, note="whole"))).iteration.note == "whole"


def test_it_does_not_go_on_with_another_commit(project: Project) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words], cwd=project.folder,
                       check=True, capture_output=True)  # fmt: skip

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "as it was")
    first = done(run(project.pipeline(), after=(StepEnded, 1))).iteration
    assert first.state and not first.dirty
    (project.folder / "engine").write_text((project.folder / "engine").read_text() + "\n")
    with pytest.raises(StoreError, match=f"The code has changed since measurement 1 was begun: {first.state} then"):
        run(project.pipeline(resume=True))
    git("checkout", "engine")
    assert done(run(project.pipeline(resume=True))).iteration.is_finished


def test_what_is_done_stays_where_a_step_is_left_out_later(project: Project) -> None:
    stopped = done(run(project.pipeline(), after=(StepEnded, 1))).iteration
    left = done(run(project.pipeline(resume=True, skip=["latency"]))).iteration
    assert [step.state for step in left.steps] == [StepState.DONE, StepState.SKIPPED, StepState.SKIPPED]
    assert left.steps[0] == stopped.steps[0]


def test_a_test_that_is_stopped_leaves_something_to_go_on_with(project: Project) -> None:
    project.plan('test = ["sh", "-c", "[ -e ready ] || exec sleep 60"]')
    began = time.monotonic()
    stopped = done(run(project.pipeline(), after=(StepStarted, 1)))
    assert time.monotonic() - began < 30, "it was asked to end, and did"
    assert not stopped.iteration.is_finished and stopped.verdict is None
    (project.folder / "ready").touch()
    assert done(run(project.pipeline(resume=True))).iteration.is_finished


def test_one_that_runs_is_not_gone_on_with_beside_it(project: Project) -> None:
    one = done(run(project.pipeline(), after=(StepEnded, 1))).iteration
    with project.iterations.claimed(one), pytest.raises(StoreError, match="is being made by another Tailflame"):
        run(project.pipeline(resume=True))


def test_bounds_and_goals_that_do_not_hold_are_told(project: Project) -> None:
    path = project.folder / "tailflame.toml"
    path.write_text(PLAN.format(more="") + '[bounds]\n"p99 total_us" = { max = 50, unit = "us" }\n')
    assert done(run(project.pipeline())).broken == ("p99 total_us is 198 µs, above 50.0 µs.",)
    path.write_text(PLAN.format(more="").replace('metric = "p99 total_us"', 'metric = "process_order"'))
    told = [event for event in run(project.pipeline()) if isinstance(event, Told) and "process_order" in event.text]
    assert told[0].text == "The goal “process_order” is none of the figures that were measured."
    assert "p50 total_us, p95 total_us, p99 total_us" in told[0].fix


def test_other_arguments_than_the_baselines_are_told(project: Project) -> None:
    first = done(run(project.pipeline())).iteration
    project.iterations.name_baseline("baseline", first)
    project.plan('env = { MODE = "fast" }\nprofile = "bench"')
    told = [event.text for event in run(project.pipeline()) if isinstance(event, Told)]
    assert "Not the same environment: none before, “MODE=fast” after." in told
    assert "Not the same profile: “release” before, “bench” after." in told


def test_a_step_that_ran_when_the_app_was_killed_is_run_again(project: Project) -> None:
    stopped = done(run(project.pipeline(), after=(StepEnded, 1))).iteration
    running = replace(stopped.steps[0], repetition=2, state=StepState.RUNNING, session="")
    project.iterations.save(replace(stopped, steps=(*stopped.steps, running)))
    resumed = done(run(project.pipeline(resume=True))).iteration
    assert [step.state for step in resumed.steps] == [StepState.DONE] * 3


def test_steps_are_chosen_and_left_out(project: Project) -> None:
    ended = done(run(project.pipeline(skip=["latency"])))
    assert {step.state for step in ended.iteration.steps} == {StepState.SKIPPED}
    with pytest.raises(PlanError, match="has no step “heap”"):
        project.pipeline(only=["heap"])


def test_a_step_that_nothing_is_named_for_is_told_once(project: Project) -> None:
    plan = project.folder / "tailflame.toml"
    plan.write_text(plan.read_text().replace('steps = ["latency"]', 'steps = ["latency", "probes"]'))

    def told(**options: object) -> list[tuple[str, str]]:
        events = run(project.pipeline(**options))
        return [(one.text, one.fix) for one in events if isinstance(one, Told) and "is not run" in one.text]

    assert [text for text, _fix in told()] == ["The step “probes” is not run: no function to time is named."]
    plan.write_text(plan.read_text().replace('log = "{out}', '# log = "{out}').replace('fields = ["total_us"]', ""))
    (latency, fix), _probes = told()
    assert latency == "The step “latency” is not run: nothing tells its latencies."
    assert fix == "Name a log in the plan (“latency.hlog” or “latency.log”), or leave it out of “measure.steps”."
    assert told(skip=["latency", "probes"]) == []


def test_an_option_that_no_tool_has_is_told(project: Project) -> None:
    text = PLAN.format(more="").replace('steps = ["latency"]', 'steps = ["heap"]')
    (project.folder / "tailflame.toml").write_text(text + "[tools.heaptrack]\nmagic = 3\n")
    with pytest.raises(PlanError, match=r"“tools\.heaptrack\.magic” must be one of"):
        run(project.pipeline())


def test_a_wrong_option_is_told_before_anything_is_run(project: Project) -> None:
    project.plan('test = ["touch", "tested"]\nbuild = ["touch", "built"]\n[tools.perf-record]\nfreqency = 5')
    with pytest.raises(PlanError, match=r"“tools\.perf-record\.freqency” must be frequency"):
        run(project.pipeline())
    assert not (project.folder / "tested").exists() and not (project.folder / "built").exists()
    assert project.iterations.all() == (), "nothing is left that was cut short"
