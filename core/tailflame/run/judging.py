"""What a measurement is worth once it is there: its recordings, its goal, and the verdict against the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tailflame.analyse.metrics import metrics_of
from tailflame.analyse.pitfalls import of_machine, pitfalls
from tailflame.analyse.verdict import Verdict, judge
from tailflame.errors import StoreError
from tailflame.model import Caution, Recording
from tailflame.model.iteration import Iteration, StepState
from tailflame.model.metrics import Family, Metric
from tailflame.store import Library
from tailflame.store.iterations import BASELINE, Iterations


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """iteration: with its goal, its figures and its verdict; verdict: None where there is no baseline to hold it
    against. cautions: what spoils it, but for the machine, which was told before.
    """

    iteration: Iteration
    verdict: Verdict | None
    cautions: tuple[Caution, ...]


def judged(iteration: Iteration, library: Library) -> Judged:
    """Reads every recording of it and of its project's baseline: seconds, so in a thread. Nothing is written."""
    measured = recordings_of(iteration, library)
    cautions = tuple(
        one for one in pitfalls(iteration, measured) if one not in of_machine(iteration.environment)
    )  # fmt: skip
    after = metrics_of(measured, fixed_work=iteration.fixed_work)
    goal = iteration.goal or usual_goal(after)
    iteration = with_goal(iteration, after, goal)
    baseline = Iterations(library.root).baseline(BASELINE, project=iteration.project)
    if baseline is None or baseline.id == iteration.id or baseline.project != iteration.project:
        return Judged(iteration, None, cautions)
    before = metrics_of(recordings_of(baseline, library), fixed_work=iteration.fixed_work)
    verdict = judge(before, after, goal=goal, wanted=iteration.wanted)
    iteration = replace(iteration, baseline=baseline.id, decision=verdict.decision.value, sentence=verdict.sentence)
    return Judged(iteration, verdict, cautions)


def with_goal(iteration: Iteration, metrics: Sequence[Metric], goal: str) -> Iteration:
    """The same with the goal's figure of each repetition."""
    aimed = next((metric for metric in metrics if metric.key == goal), None)
    return replace(
        iteration,
        goal=goal,
        goal_values=aimed.values if aimed is not None else (),
        goal_unit=aimed.unit if aimed is not None else "",
    )


def recordings_of(iteration: Iteration, library: Library) -> tuple[Recording, ...]:
    """The recordings of the steps that are done, in their order; those that cannot be read any more are left out."""
    found = []
    for step in iteration.steps:
        if step.state is StepState.DONE and step.session:
            try:
                found.append(library.session(step.session).folder.load())
            except StoreError:
                continue
    return tuple(found)


def usual_goal(metrics: Sequence[Metric]) -> str:
    """What is judged where the plan names no goal: the tail of the first latency, else the time that a run takes."""
    for family, beginning in ((Family.LATENCY, "p99 "), (Family.COUNTERS, "duration_time"), (Family.BENCHMARKS, "")):
        found = next((m.key for m in metrics if m.family is family and m.key.startswith(beginning)), "")
        if found:
            return found
    return ""
