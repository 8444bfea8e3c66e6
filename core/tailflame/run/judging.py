"""What a measurement is worth once it is there: its recordings, its goal, and the verdict against the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tailflame.analyse.bounds import broken
from tailflame.analyse.metrics import metrics_of
from tailflame.analyse.pitfalls import of_machine, pitfalls
from tailflame.analyse.verdict import Verdict, judge
from tailflame.errors import StoreError
from tailflame.model import Caution, Recording
from tailflame.model.iteration import Iteration, StepState
from tailflame.model.metrics import Family, Metric
from tailflame.report.measurement import Side, differences
from tailflame.run.measured_plan import bounds_of, plan_differences
from tailflame.store import Library
from tailflame.store.iterations import BASELINE, Iterations

_NAMED = 8
"""Figures that are named where a goal is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """iteration: with its goal, its figures and its verdict; verdict: None where there is no baseline to hold it
    against. cautions: what spoils it, but for the machine, which was told before. broken: bounds that do not hold.
    """

    iteration: Iteration
    verdict: Verdict | None
    cautions: tuple[Caution, ...]
    broken: tuple[str, ...]


def judged(iteration: Iteration, library: Library) -> Judged:
    """Reads every recording of it and of its project's baseline: seconds, so in a thread. Nothing is written."""
    measured = recordings_of(iteration, library)
    metrics = metrics_of(measured, fixed_work=iteration.fixed_work)
    cautions = [one for one in pitfalls(iteration, measured) if one not in of_machine(iteration.environment)]
    goal = iteration.goal or usual_goal(metrics)
    cautions += _of_goal(goal, metrics)
    limits = broken(bounds_of(iteration), metrics)
    iteration = with_goal(iteration, metrics, goal)
    baseline = Iterations(library.root).baseline(BASELINE, project=iteration.project)
    if baseline is None or baseline.id == iteration.id or baseline.project != iteration.project:
        return Judged(iteration, None, tuple(cautions), limits)
    earlier = Side(baseline, recordings_of(baseline, library))
    different = (*differences(earlier, Side(iteration, measured)), *plan_differences(baseline, iteration))
    cautions += [Caution(text) for text in different]
    before = metrics_of(earlier.recordings, fixed_work=iteration.fixed_work)
    verdict = judge(before, metrics, goal=goal, wanted=iteration.wanted)
    iteration = replace(iteration, baseline=baseline.id, decision=verdict.decision.value, sentence=verdict.sentence)
    return Judged(iteration, verdict, tuple(cautions), limits)


def _of_goal(goal: str, metrics: Sequence[Metric]) -> list[Caution]:
    """A goal that nobody measures decides nothing."""
    if not metrics or any(metric.key == goal for metric in metrics):
        return []
    named = [metric.key for metric in metrics if metric.family in (Family.LATENCY, Family.BENCHMARKS)]
    named += [metric.key for metric in metrics if metric.key in ("duration_time", "peak heap")]
    told = f"The goal “{goal}” is none of the figures that were measured." if goal else "No goal is named in the plan."
    return [
        Caution(told, f"goal.metric in the plan may be: {', '.join(named[:_NAMED]) or 'a function of the CPU time'}.")
    ]


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
    for family, beginning in ((Family.LATENCY, "p99"), (Family.COUNTERS, "duration_time"), (Family.BENCHMARKS, "")):
        keys = [metric.key for metric in metrics if metric.family is family]
        # "p99" alone is of a log without tags, the whole of what it tells; "p99.9" is no p99.
        found = beginning if beginning in keys else next((key for key in keys if _begins(key, beginning)), "")
        if found:
            return found
    return ""


def _begins(key: str, word: str) -> bool:
    return not word or key.split(" ")[0] == word
