"""More repetitions of a finished measurement: both sides in turns, each with the program that it was measured with."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.loop_project import LoopProject
from tailflame.errors import StoreError
from tailflame.model.iteration import Iteration, StepState
from tailflame.run.judging import recordings_of
from tailflame.run.measure_events import Done, MeasureEvent, StepEnded, Told
from tailflame.run.more import MoreRepetitions
from tailflame.run.plan_file import PlanError
from tailflame.store import Library
from tailflame.store.programs import Programs


@pytest.fixture
def project(tmp_path: Path) -> LoopProject:
    return LoopProject(tmp_path / "engine project", Library(tmp_path / "profiles"))


def run(more: MoreRepetitions, *, stop_after: int = 0) -> list[MeasureEvent]:
    async def follow() -> list[MeasureEvent]:
        told: list[MeasureEvent] = []
        async with aclosing(more.events()) as events:
            async for event in events:
                told.append(event)
                if stop_after and sum(isinstance(one, StepEnded) for one in told) == stop_after:
                    more.stop()
        return told

    return asyncio.run(follow())


def more(project: LoopProject, number: int, *, only: tuple[str, ...] = ()) -> MoreRepetitions:
    return MoreRepetitions(project.iterations.get("latest"), project.library, number=number, only=only)


def goals_us(iteration: Iteration) -> list[int]:
    return [round(value / 1000) for value in iteration.goal_values]


def two_sides(project: LoopProject) -> Iteration:
    """The baseline, of which nothing is left where it was built, and a slower one by another plan."""
    first = project.measure(baseline=True)
    project.program(base=200)
    project.plan('env = { ROUND = "second" }')
    project.measure()
    return first


def test_both_sides_are_repeated_each_with_its_own_program(project: LoopProject) -> None:
    first = two_sides(project)
    project.program(base=5000)  # the next change is being made already
    events = run(more(project, 3))
    ended = events[-1]
    assert isinstance(ended, Done)
    assert goals_us(project.iterations.get(first.id)) == [198] * 5
    assert goals_us(ended.iteration) == [298] * 5
    assert ended.verdict is not None and ended.verdict.goal is not None
    assert [len(side) for side in (ended.verdict.goal.before, ended.verdict.goal.after)] == [5, 5]
    assert project.iterations.get("latest") == ended.iteration
    assert [step.title for step in ended.iteration.steps] == [f"latency {n} of 5" for n in range(1, 6)]


def test_the_sides_take_turns_and_the_one_that_begins_as_well(project: LoopProject) -> None:
    two_sides(project)
    events = run(more(project, 3))
    titles = [event.step.title for event in events if isinstance(event, StepEnded)]
    assert titles == ["#1 latency 3", "#2 latency 3", "#2 latency 4", "#1 latency 4", "#1 latency 5", "#2 latency 5"]


def test_their_sessions_say_whose_they_are(project: LoopProject) -> None:
    first = two_sides(project)
    run(more(project, 1))
    added = [project.iterations.get(one).steps[-1].session for one in (first.id, "latest")]
    manifests = [project.library.session(session).manifest for session in added]
    assert [one.binary for one in manifests if one] == [str(project.folder / "engine")] * 2
    assert [one.env for one in manifests if one] == [{}, {"ROUND": "second"}]
    assert manifests[0] is not None and manifests[0].group == first.id
    assert str(Programs(project.library.root).path(first.program, "engine")) in manifests[0].tool_argv


def test_what_was_stopped_is_kept_and_judged(project: LoopProject) -> None:
    first = two_sides(project)
    ended = run(more(project, 50), stop_after=3)[-1]
    assert isinstance(ended, Done)
    assert [len(goals_us(one)) for one in (project.iterations.get(first.id), ended.iteration)] == [3, 4]


def test_a_repetition_that_a_kill_cut_short_is_told_so(project: LoopProject) -> None:
    one = project.measure(baseline=True)
    running = replace(one.steps[0], repetition=3, state=StepState.RUNNING, session="")
    project.iterations.save(replace(one, steps=(*one.steps, running)))
    run(more(project, 1))
    steps = project.iterations.get(one.id).steps
    assert [(step.repetition, step.state) for step in steps] == [
        (1, StepState.DONE), (2, StepState.DONE), (3, StepState.FAILED), (4, StepState.DONE),
    ]  # fmt: skip
    assert len(recordings_of(project.iterations.get(one.id), project.library)) == 3


def test_a_repetition_that_fails_leaves_the_others(project: LoopProject) -> None:
    project.program(rest="if [ -e third ]; then kill -SEGV $$; fi; if [ -e second ]; then : > third; fi; : > second")
    one = project.measure(baseline=True)
    run(more(project, 1))
    steps = project.iterations.get(one.id).steps
    assert [step.state for step in steps] == [StepState.DONE, StepState.DONE, StepState.FAILED]
    assert "SIGSEGV" in steps[-1].problem


def test_a_program_that_is_gone_or_changed_is_never_run(project: LoopProject) -> None:
    one = project.measure(baseline=True)
    kept = Programs(project.library.root).path(one.program, "engine")
    kept.write_text("#!/bin/sh\ntouch /tmp/never\n")
    with pytest.raises(StoreError, match="is not the program that was measured"):
        run(more(project, 1))
    kept.unlink()
    with pytest.raises(StoreError, match="is not kept here"):
        run(more(project, 1))
    again = project.measure(baseline=True)
    assert again.program == one.program and kept.is_file()
    kept.write_text("damaged")
    project.measure(baseline=True)  # a damaged copy is no copy
    run(more(project, 1))
    project.iterations.save(replace(project.iterations.get("latest"), program="../../bin"))
    with pytest.raises(StoreError, match="is not kept here"):
        run(more(project, 1))


def test_a_measurement_from_elsewhere_brings_no_program(project: LoopProject, tmp_path: Path) -> None:
    one = project.measure()
    elsewhere = LoopProject(tmp_path / "elsewhere", Library(tmp_path / "other profiles"))
    adopted = elsewhere.iterations.adopt(one, {step.session: step.session for step in one.steps})
    assert (adopted.program, adopted.plan) == ("", "")
    with pytest.raises(StoreError, match=r"The program of measurement 1 was not kept with it\."):
        run(MoreRepetitions(adopted, elsewhere.library, number=1, only=("latency",)))


def test_a_goal_that_does_not_repeat_and_steps_that_are_not_there_are_told(project: LoopProject) -> None:
    one = project.measure(baseline=True)
    with pytest.raises(PlanError, match="has none of the steps cpu that repeat"):
        run(more(project, 1, only=("cpu",)))
    project.iterations.save(replace(one, goal="peak heap"))
    with pytest.raises(StoreError, match="peak heap was not measured"):
        run(more(project, 1))
    with pytest.raises(StoreError, match="0 is no number of repetitions"):
        run(more(project, 0, only=("latency",)))


def test_another_machine_is_told(project: LoopProject) -> None:
    one = project.measure(baseline=True)
    project.iterations.save(replace(one, environment={**one.environment, "kernel": "2.6.18"}))
    told = [event.text for event in run(more(project, 1)) if isinstance(event, Told)]
    assert any("another machine" in text and "2.6.18" in text for text in told)


def test_programs_of_old_measurements_make_room(project: LoopProject) -> None:
    made = []
    for base in range(1, 9):
        project.program(base=base)
        made.append(project.measure(baseline=base == 1))
    kept = {folder.name for folder in (project.library.root / "programs").iterdir()}
    assert kept == {made[0].program, *(one.program for one in made[-5:])}
