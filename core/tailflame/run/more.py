"""More repetitions of a measurement that is finished, and as many of the one that it is held against: what a verdict
needs that has not enough data.

Each side runs the program that it was measured with, from where that is kept, by the plan as it was then; the two take
turns, so that what drifts on the machine meanwhile drifts through both. Benches need the source as it was: of those
there are no more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from tailflame.analyse.metrics import metrics_of
from tailflame.analyse.pitfalls import of_machine
from tailflame.analyse.verdict import AGAIN
from tailflame.errors import StoreError
from tailflame.host.binary import binary_facts
from tailflame.host.fitness import environment
from tailflame.host.system import Host, probe_host
from tailflame.model.iteration import Iteration, Step, StepState
from tailflame.model.metrics import Family
from tailflame.run.journal import Journal
from tailflame.run.judging import Judged, judged, recordings_of, with_goal
from tailflame.run.measure_events import Done, MeasureEvent, StepEnded, StepStarted, Told
from tailflame.run.measure_steps import StepRun, more_runs
from tailflame.run.plan_file import PlanError, plan_of
from tailflame.run.step_runner import StepRunner
from tailflame.store import Library
from tailflame.store.iterations import BASELINE, Iterations, interrupted
from tailflame.store.programs import Programs
from tailflame.store.provenance import Origin

MOST = 200
_TELLS: dict[Family, frozenset[str]] = {
    Family.LATENCY: frozenset({"latency", "probes"}),
    Family.CPU: frozenset({"cpu"}),
    Family.COUNTERS: frozenset({"counters"}),
    Family.CACHES: frozenset({"caches"}),
    Family.HEAP: frozenset({"heap"}),
    Family.SYSCALLS: frozenset({"syscalls"}),
}
"""The steps that a goal of this family is told by."""


@dataclass(slots=True, eq=False)
class _Side:
    """One of the two measurements. runs: one more repetition of each step."""

    iteration: Iteration
    runs: tuple[StepRun, ...]


class MoreRepetitions:
    """`number` more repetitions of `iteration`, and of the baseline of its project if that is another one.

    only: names of steps; by default those that tell the goal. stop(), cancel(): as a pipeline's.
    """

    def __init__(
        self,
        iteration: Iteration,
        library: Library,
        *,
        number: int,
        only: Sequence[str] = (),
        journal: Journal | None = None,
    ) -> None:
        self._iteration = iteration
        self._library = library
        self._iterations = Iterations(library.root)
        self._number = number
        self._only = frozenset(only)
        self._runner = StepRunner(library, journal or Journal())

    @property
    def stopped(self) -> bool:
        return self._runner.stopping

    @property
    def iteration(self) -> Iteration:
        return self._iteration

    def stop(self) -> None:
        self._runner.stop()

    def cancel(self) -> None:
        self._runner.cancel()

    async def events(self) -> AsyncGenerator[MeasureEvent, None]:
        """Everything that happens, `Done` last. Raises StoreError and PlanError before anything is measured."""
        host = await asyncio.to_thread(probe_host)
        sides = await asyncio.to_thread(self._sides, host)
        with contextlib.ExitStack() as claims:
            for side in sides:
                claims.enter_context(self._iterations.claimed(side.iteration))
            async with aclosing(self._measured(sides)) as events:
                async for event in events:
                    yield event

    async def _measured(self, sides: tuple[_Side, ...]) -> AsyncGenerator[MeasureEvent, None]:
        for told in await asyncio.to_thread(self._about_the_machine):
            yield told
        for round_ in range(self._number):
            # Who goes first takes turns as well: the second finds a warmer processor.
            for side in sides if round_ % 2 == 0 else reversed(sides):
                for run in side.runs:
                    if self._runner.stopping:
                        break
                    step = _next(run.step, side.iteration)
                    self._note(side, step)
                    yield StepStarted(_told(step, side, sides))
                    async with aclosing(self._runner.events(run, step, group=side.iteration.id)) as measured:
                        async for one in measured:
                            if isinstance(one, Step):
                                step = one
                            else:
                                yield replace(one, step=_told(step, side, sides))
                    self._note(side, step)
                    yield StepEnded(_told(step, side, sides))
        found = await asyncio.to_thread(self._judge, sides)
        for caution in found.cautions:
            yield Told(caution.text, caution.fix)
        yield Done(found.iteration, found.verdict, found.broken)

    # Before

    def _sides(self, host: Host) -> tuple[_Side, ...]:
        """In a thread. The one that it is held against comes first."""
        if not 1 <= self._number <= MOST:
            raise StoreError(f"{self._number} is no number of repetitions.", advice=f"From 1 to {MOST}.")
        baseline = self._iterations.baseline(BASELINE, project=self._iteration.project)
        chosen = [self._iteration]
        if baseline is not None and baseline.project == self._iteration.project and baseline.id != self._iteration.id:
            chosen.insert(0, baseline)
        names = self._only or self._telling()
        return tuple(self._side(interrupted(one), names, host) for one in chosen)

    def _telling(self) -> frozenset[str]:
        """The steps that tell the goal."""
        metrics = metrics_of(recordings_of(self._iteration, self._library), fixed_work=self._iteration.fixed_work)
        family = next((one.family for one in metrics if one.key == self._iteration.goal), None)
        names = _TELLS.get(family) if family is not None else None
        if names is None:
            if family is Family.BENCHMARKS:
                raise StoreError("Benches need the source as it was, so there are no more runs of them.", advice=AGAIN)
            raise StoreError(
                f"More repetitions tell nothing of the goal: {self._iteration.goal or 'there is none, it'} was not "
                "measured.",
                advice="Name steps that were: --only cpu,latency",
            )
        return names

    def _side(self, iteration: Iteration, names: frozenset[str], host: Host) -> _Side:
        if not iteration.plan or not iteration.program:
            raise StoreError(
                f"The program of measurement {iteration.number} was not kept with it.",
                advice="Go back to its commit and measure it again: tailflame run",
            )
        program = Programs(self._library.root).path(iteration.program, Path(iteration.binary).name)
        plan = plan_of(iteration.plan, Path(iteration.project) / "tailflame.toml")
        done = {step.name for step in iteration.steps if step.state is StepState.DONE}
        runs = more_runs(plan, program, host, names=names & done, origin=self._origin(iteration, program))
        waiting = tuple(run for run in runs if run.step.state is StepState.WAITING)
        if not waiting:
            problem = next((run.step for run in runs), None)
            raise PlanError(
                problem.problem if problem is not None
                else f"Measurement {iteration.number} has none of the steps {', '.join(sorted(names))} that repeat.",
                advice=problem.fix if problem is not None else "--only names steps that it has.",
            )  # fmt: skip
        return _Side(iteration, waiting)

    def _origin(self, iteration: Iteration, program: Path) -> Origin:
        """As its other sessions say."""
        for step in iteration.steps:
            if step.session:
                try:
                    manifest = self._library.session(step.session).manifest
                except StoreError:
                    continue
                if manifest is not None:
                    build_id = binary_facts(program).build_id
                    return Origin(binary=Path(iteration.binary), commit=manifest.commit, build_id=build_id)
        return Origin(binary=Path(iteration.binary))

    def _about_the_machine(self) -> list[Told]:
        """In a thread. What it is now, and whether it is still the one that was measured on."""
        now = environment(Path(self._iteration.project))
        told = [Told(one.text, one.fix) for one in of_machine(now)]
        for name in ("cpu", "kernel"):
            before = self._iteration.environment.get(name, "")
            if before and now.get(name, "") != before:
                told.append(
                    Told(
                        f"This is another machine than the first repetitions were made on ({name}: {now.get(name, '')}"
                        f" and {before}): they are judged together all the same.",
                        "Measure both anew for a verdict of this machine alone.",
                    )
                )
        return told

    # Meanwhile, and after

    def _note(self, side: _Side, step: Step) -> None:
        """Writes down how a step stands, and how many there are of it now."""
        kept = [
            replace(one, repetitions=max(one.repetitions, step.repetitions)) if one.name == step.name else one
            for one in side.iteration.steps
            if (one.name, one.repetition) != (step.name, step.repetition)
        ]
        side.iteration = replace(side.iteration, steps=(*kept, step))
        self._iterations.save(side.iteration)

    def _judge(self, sides: tuple[_Side, ...]) -> Judged:
        """In a thread."""
        for side in sides:
            if side.iteration.id != self._iteration.id:
                metrics = metrics_of(recordings_of(side.iteration, self._library), fixed_work=side.iteration.fixed_work)
                self._iterations.save(with_goal(side.iteration, metrics, side.iteration.goal))
            else:
                self._iteration = side.iteration
        found = judged(self._iteration, self._library)
        self._iteration = found.iteration
        self._iterations.save(found.iteration)
        return found


def _next(step: Step, iteration: Iteration) -> Step:
    """The same as the repetition that comes next there."""
    number = max((one.repetition for one in iteration.steps if one.name == step.name), default=0) + 1
    return replace(step, state=StepState.RUNNING, repetition=number, repetitions=number)


def _told(step: Step, side: _Side, sides: tuple[_Side, ...]) -> Step:
    """As it is shown: which side it is of, where there are two."""
    if len(sides) == 1:
        return step
    return replace(step, name=f"#{side.iteration.number} {step.name}", repetitions=0)
