"""A whole measurement by its plan: test, build, then every step, each kept as soon as it is there.

A step that fails is told, and the others go on; only a failed test or build ends it, because what would be measured
then is not what the plan means. Everything known is written down after each step, so that a kill at any moment loses no
more than the step that ran, and `resume` goes on with what is missing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from tailflame.analyse.metrics import metrics_of
from tailflame.analyse.pitfalls import of_machine, pitfalls
from tailflame.analyse.verdict import Verdict, judge
from tailflame.errors import StoreError, TailflameError, ToolFailed
from tailflame.host.binary import binary_facts, check_runnable
from tailflame.host.cargo import read_project
from tailflame.host.fitness import environment
from tailflame.host.system import probe_host
from tailflame.model import Recording
from tailflame.model.iteration import Iteration, Step, StepState
from tailflame.model.metrics import Family, Metric
from tailflame.run.events import Progress
from tailflame.run.journal import Journal
from tailflame.run.kept_probe import KeptProbe
from tailflame.run.kept_run import Kept, KeptRun
from tailflame.run.measure_steps import StepRun, step_runs
from tailflame.run.outcome import Outcome
from tailflame.run.plan_file import MeasurementPlan, PlanError
from tailflame.run.process import Child
from tailflame.store import Library
from tailflame.store.iterations import BASELINE, Iterations, interrupted
from tailflame.store.provenance import commit_of

_WORDS_KEPT = 16 << 10
_TICK_S = 0.25
_FIRST = ("test", "build")


@dataclass(frozen=True, slots=True)
class StepStarted:
    step: Step


@dataclass(frozen=True, slots=True)
class StepProgress:
    """stage: a word for what is done now; elapsed_s: of the step; words: what came on its output, "" for nothing."""

    step: Step
    stage: str
    elapsed_s: float
    words: str = ""


@dataclass(frozen=True, slots=True)
class StepEnded:
    step: Step


@dataclass(frozen=True, slots=True)
class Told:
    """Something to know about the measurement as a whole."""

    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """The end. verdict: against the baseline, None where there is none."""

    iteration: Iteration
    verdict: Verdict | None


PipelineEvent = StepStarted | StepProgress | StepEnded | Told | Done


class Pipeline:
    """One measurement. `stop` and `cancel` may be called from any thread: the one ends it after the step that runs,
    which is ended politely and kept; the other drops that step.
    """

    def __init__(
        self,
        plan: MeasurementPlan,
        library: Library,
        *,
        only: Sequence[str] = (),
        skip: Sequence[str] = (),
        resume: bool = False,
        note: str = "",
        journal: Journal | None = None,
    ) -> None:
        """only, skip: names of steps, "test" and "build" among them; PlanError for others."""
        for name in (*only, *skip):
            if name not in (*_FIRST, *plan.steps):
                raise PlanError(
                    f"The plan has no step “{name}”.", advice=f"It has {', '.join((*_FIRST, *plan.steps))}."
                )
        self.plan = plan
        self._library = library
        self._iterations = Iterations(library.root)
        self._only, self._skip = frozenset(only), frozenset(skip)
        self._resume = resume
        self._note = note
        self._journal = journal or Journal()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._stopping = self._cancelling = False
        self._running: KeptRun | KeptProbe | None = None
        self._iteration: Iteration | None = None
        self._told: tuple[Told, ...] = ()

    def stop(self) -> None:
        self._stopping = True
        self._pass_on()

    def cancel(self) -> None:
        self._stopping = self._cancelling = True
        self._pass_on()

    def _pass_on(self) -> None:
        running = self._running
        if running is not None:
            (running.cancel if self._cancelling else running.stop)()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._woken.set)

    @property
    def iteration(self) -> Iteration | None:
        """What is known of it so far."""
        return self._iteration

    async def events(self) -> AsyncGenerator[PipelineEvent, None]:
        """Everything that happens, `Done` last.

        Raises PlanError, TargetError, StoreError before anything is measured; ToolFailed where test or build failed.
        """
        self._loop = asyncio.get_running_loop()
        binary = await asyncio.to_thread(_binary_of, self.plan)
        iteration = await asyncio.to_thread(self._begin, binary)
        for problem in await asyncio.to_thread(_about_the_tree, iteration):
            yield problem
        for caution in of_machine(iteration.environment):
            yield Told(caution.text, caution.fix)
        for name, argv in self._commands():
            step = Step(name=name, state=StepState.RUNNING)
            if self._left_out(name):
                self._note_step(replace(step, state=StepState.SKIPPED, problem="It was left out."))
                continue
            yield StepStarted(step)
            async with aclosing(self._command(step, argv)) as told:
                async for one in told:
                    if isinstance(one, Step):
                        step = one
                    else:
                        yield one
            self._note_step(step)
            yield StepEnded(step)
            if step.state is not StepState.DONE:
                self._finish()
                raise ToolFailed(step.problem, advice=step.fix)
        await asyncio.to_thread(_insist_on_release, binary)
        async with aclosing(self._steps(binary)) as steps:
            async for event in steps:
                yield event
        verdict = await asyncio.to_thread(self._judge)
        for problem in self._told:
            yield problem
        assert self._iteration is not None
        yield Done(self._iteration, verdict)

    # Before

    def _begin(self, binary: Path) -> Iteration:
        """In a thread."""
        plan = self.plan
        if self._resume:
            unfinished = next(
                (one for one in self._iterations.all() if one.project == str(plan.folder) and not one.is_finished), None
            )
            if unfinished is None:
                raise StoreError("There is no measurement to go on with.", advice="`tailflame run` begins one.")
            self._iteration = interrupted(unfinished)
            return self._iteration
        commit = commit_of(plan.folder)
        self._iteration = self._iterations.create(
            project=plan.folder,
            binary=binary,
            goal=plan.goal,
            wanted=plan.wanted,
            fixed_work=plan.fixed_work,
            commit=commit.commit if commit else "",
            branch=commit.branch if commit else "",
            dirty=bool(commit and commit.dirty),
            note=self._note,
            environment=environment(plan.folder),
        )
        return self._iteration

    def _commands(self) -> list[tuple[str, tuple[str, ...]]]:
        plan = self.plan
        build = plan.build if plan.build is not None else _cargo_build(plan)
        test = plan.test if plan.test is not None else ()
        return [(name, argv) for name, argv in (("test", test), ("build", build)) if argv]

    def _left_out(self, name: str) -> bool:
        return name in self._skip or bool(self._only and name not in self._only and name not in _FIRST)

    async def _command(self, step: Step, argv: tuple[str, ...]) -> AsyncGenerator[StepProgress | Step, None]:
        """Runs a command of the plan in the project's folder; the last item is the step as it ended."""
        assert self._iteration is not None
        folder = self._iterations.root / "iterations" / self._iteration.id
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        entry = self._journal.started(argv, cwd=self.plan.folder)
        began, words = time.monotonic(), ""
        try:
            child = await Child.start(
                argv,
                wake=self._woken.set,
                stdout=folder / f"{step.name}.stdout.txt",
                stderr=folder / f"{step.name}.stderr.txt",
                cwd=self.plan.folder,
                env=dict(os.environ),
            )
        except TailflameError as error:
            self._journal.ended(entry, None, problem=error.sentence)
            yield replace(step, state=StepState.FAILED, problem=error.sentence, fix=error.advice)
            return
        asked = False
        while True:
            self._woken.clear()
            ended = child.ended
            said = "".join(output.text for output in child.take(partial=ended))
            words = (words + said)[-_WORDS_KEPT:]
            yield StepProgress(step, "running", time.monotonic() - began, said)
            if ended:
                break
            if self._stopping and not asked:
                asked = True
                child.signal_group(signal.SIGINT)
            alarm = asyncio.get_running_loop().call_later(_TICK_S, self._woken.set)
            await self._woken.wait()
            alarm.cancel()
        outcome = Outcome.of(Path(argv[0]).name, child.returncode, time.monotonic() - began)
        child.close()
        self._journal.ended(entry, outcome)
        seconds = time.monotonic() - began
        if outcome.ok:
            yield replace(step, state=StepState.DONE, seconds=seconds)
        elif self._stopping:
            yield replace(step, state=StepState.FAILED, seconds=seconds, problem="It was stopped.")
        else:
            last = next((line.strip() for line in reversed(words.splitlines()) if line.strip()), "")
            what = "The tests fail" if step.name == "test" else "It does not build"
            yield replace(
                step,
                state=StepState.FAILED,
                seconds=seconds,
                problem=f"{what}: {last or outcome.sentence}".rstrip(".") + ".",
                fix="Mend that first: nothing is measured of a program that is wrong.",
            )

    # The steps

    async def _steps(self, binary: Path) -> AsyncGenerator[PipelineEvent, None]:
        host = await asyncio.to_thread(probe_host)
        runs = await asyncio.to_thread(step_runs, self.plan, binary, host)
        for run in runs:
            step = run.step
            if self._left_out(step.name):
                self._note_step(replace(step, state=StepState.SKIPPED, problem="It was left out."))
                continue
            if self._is_done(step):
                continue
            if step.state is not StepState.WAITING:  # it cannot run here
                self._note_step(step)
                if step.repetition <= 1:  # told once
                    yield StepEnded(step)
                continue
            if self._stopping:
                break
            step = replace(step, state=StepState.RUNNING)
            self._note_step(step)
            yield StepStarted(step)
            async with aclosing(self._one(run, step)) as measured:
                async for one in measured:
                    if isinstance(one, Step):
                        step = one
                    else:
                        yield one
            self._note_step(step)
            yield StepEnded(step)
        if not self._stopping:
            self._finish()

    async def _one(self, run: StepRun, step: Step) -> AsyncGenerator[StepProgress | Step, None]:
        assert self._iteration is not None
        began = time.monotonic()
        self._running = kept = run.begin(self._library, self._iteration.id, self._journal)
        if self._stopping:
            self._pass_on()
        ended: Kept | None = None
        async with aclosing(kept.events()) as events:
            async for event in events:
                if isinstance(event, Progress):
                    yield StepProgress(step, event.stage.value, time.monotonic() - began)
                elif isinstance(event, Kept):
                    ended = event
        self._running = None
        assert ended is not None
        seconds = time.monotonic() - began
        outcome = ended.finished.target if ended.finished is not None else None
        crash = f"The program ended badly: {outcome.sentence}." if outcome is not None and outcome.crashed else ""
        if ended.recording is None:
            error = ended.error or ToolFailed("It left nothing.")
            # That nothing is left to read follows from the crash.
            yield replace(
                step, state=StepState.FAILED, session=ended.session, problem=crash or error.sentence,
                fix="" if crash else error.advice, seconds=seconds,
            )  # fmt: skip
            return
        yield replace(
            step,
            state=StepState.FAILED if crash else StepState.DONE,
            session=ended.session,
            problem=crash,
            seconds=seconds,
        )

    def _is_done(self, step: Step) -> bool:
        assert self._iteration is not None
        place = (step.name, step.repetition)
        return any((one.name, one.repetition) == place and one.state is StepState.DONE for one in self._iteration.steps)

    def _note_step(self, step: Step) -> None:
        """Writes down how a step stands."""
        assert self._iteration is not None
        place = (step.name, step.repetition)
        others = [one for one in self._iteration.steps if (one.name, one.repetition) != place]
        at = next(
            (n for n, one in enumerate(self._iteration.steps) if (one.name, one.repetition) == place), len(others)
        )
        self._save(replace(self._iteration, steps=(*others[:at], step, *others[at:])))

    def _finish(self) -> None:
        assert self._iteration is not None
        self._save(replace(self._iteration, finished_at=datetime.now(UTC).astimezone()))

    def _save(self, iteration: Iteration) -> None:
        self._iteration = iteration
        self._iterations.save(iteration)

    # After

    def _judge(self) -> Verdict | None:
        """In a thread."""
        assert self._iteration is not None
        measured = recordings_of(self._iteration, self._library)
        self._told = tuple(
            Told(one.text, one.fix)
            for one in pitfalls(self._iteration, measured)
            if one not in of_machine(self._iteration.environment)
        )
        after = metrics_of(measured, fixed_work=self.plan.fixed_work)
        goal = self._iteration.goal or usual_goal(after)
        aimed = next((metric for metric in after if metric.key == goal), None)
        values = aimed.values if aimed is not None else ()
        unit = aimed.unit if aimed is not None else ""
        self._save(replace(self._iteration, goal=goal, goal_values=values, goal_unit=unit))
        baseline = self._iterations.baseline(BASELINE, project=self._iteration.project)
        if baseline is None or baseline.id == self._iteration.id or baseline.project != self._iteration.project:
            return None
        before = metrics_of(recordings_of(baseline, self._library), fixed_work=self.plan.fixed_work)
        verdict = judge(before, after, goal=goal, wanted=self.plan.wanted)
        self._save(
            replace(self._iteration, baseline=baseline.id, decision=verdict.decision.value, sentence=verdict.sentence)
        )
        return verdict


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


def _binary_of(plan: MeasurementPlan) -> Path:
    """In a thread: it asks cargo."""
    if plan.binary is not None:
        return plan.binary
    project = read_project(plan.folder)
    names = [target.name for target in project.targets if target.kind == "bin"]
    name = plan.bin or (names[0] if len(names) == 1 else "")
    if not name:
        raise PlanError(
            f"{plan.path}: “target.bin” must name one of {', '.join(names) or 'the project’s programs'}.",
            advice="Or name a program with “target.path”.",
        )
    profile = {"dev": "debug", "test": "debug", "bench": "release"}.get(plan.profile, plan.profile)
    return project.target_folder / profile / name


def _cargo_build(plan: MeasurementPlan) -> tuple[str, ...]:
    if plan.binary is not None:
        return ()
    argv = ["cargo", "build", "--profile", plan.profile]
    if plan.bin:
        argv += ["--bin", plan.bin]
    if plan.package:
        argv += ["--package", plan.package]
    if plan.features:
        argv += ["--features", ",".join(plan.features)]
    return tuple(argv)


def _about_the_tree(iteration: Iteration) -> list[Told]:
    if iteration.dirty:
        return [Told("There are changes that are not committed: this measurement belongs to no commit alone.",
                     "Commit them first, to find this state again.")]  # fmt: skip
    if not iteration.commit:
        return [Told("The project is in no git repository: nobody can tell later what was measured.")]
    return []


def _insist_on_release(binary: Path) -> None:
    """In a thread. Raises PlanError for a debug build, TargetError where there is no program."""
    check_runnable(binary)
    if binary_facts(binary).debug_build:
        raise PlanError(
            f"{binary} is a debug build: what is slow there need not be slow in a release.",
            advice="Name a release profile in the plan (“target.profile”).",
        )
