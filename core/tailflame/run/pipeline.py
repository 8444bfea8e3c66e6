"""A whole measurement by its plan: test, build, then every step, each kept as soon as it is there.

A step that fails is told, and the others go on; only a failed test or build ends it, because what would be measured
then is not what the plan means. Everything known is written down after each step, so that a kill at any moment loses no
more than the step that ran, and `resume` goes on with what is missing.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tailflame.analyse.pitfalls import of_machine
from tailflame.errors import StoreError, TailflameError, ToolFailed
from tailflame.host.binary import Kind, binary_facts, check_runnable
from tailflame.host.cargo import read_project
from tailflame.host.fitness import environment
from tailflame.host.system import probe_host
from tailflame.model.iteration import DEBUG_INFO, SYMBOLS, WITH_SYMBOLS, Iteration, Step, StepState
from tailflame.run.journal import Journal
from tailflame.run.judging import Judged, judged
from tailflame.run.measure_events import Done, MeasureEvent, StepEnded, StepProgress, StepStarted, Told
from tailflame.run.measure_steps import check_options, silent_steps, step_runs
from tailflame.run.outcome import Outcome
from tailflame.run.plan_file import MeasurementPlan, PlanError
from tailflame.run.process import Child
from tailflame.run.step_runner import StepRunner
from tailflame.store import Library
from tailflame.store.iterations import Iterations, interrupted
from tailflame.store.programs import Programs
from tailflame.store.provenance import commit_of

_WORDS_KEPT = 16 << 10
_TICK_S = 0.25
_FIRST = ("test", "build")
_ASKING = ((0.0, signal.SIGINT), (1.0, signal.SIGINT), (5.0, signal.SIGTERM), (10.0, signal.SIGKILL))
"""How a command is asked to end, seconds after that is wanted. Twice at first: a signal that comes before the command
has taken the place of its starter is lost.
"""
_ERROR = re.compile(r"error\b")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Where CARGO_TERM_COLOR=always is set, as in many a CI."""


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
        self._runner = StepRunner(library, self._journal)
        self._iteration: Iteration | None = None

    def stop(self) -> None:
        self._runner.stop()
        self._wake()

    def cancel(self) -> None:
        self._runner.cancel()
        self._wake()

    def _wake(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._woken.set)

    @property
    def stopped(self) -> bool:
        return self._runner.stopping

    @property
    def iteration(self) -> Iteration | None:
        """What is known of it so far."""
        return self._iteration

    async def events(self) -> AsyncGenerator[MeasureEvent, None]:
        """Everything that happens, `Done` last.

        Raises PlanError, TargetError, StoreError before anything is measured; ToolFailed where test or build failed.
        """
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(check_options, self.plan, await asyncio.to_thread(probe_host))
        binary = await asyncio.to_thread(_binary_of, self.plan)
        iteration = await asyncio.to_thread(self._begin, binary)
        with self._iterations.claimed(iteration):
            async with aclosing(self._measured(binary, iteration)) as events:
                async for event in events:
                    yield event

    async def _measured(self, binary: Path, iteration: Iteration) -> AsyncGenerator[MeasureEvent, None]:
        for problem in await asyncio.to_thread(_about_the_tree, iteration):
            yield problem
        for caution in of_machine(iteration.environment):
            yield Told(caution.text, caution.fix)
        for name, (text, fix) in silent_steps(self.plan).items():
            if not self._left_out(name):
                yield Told(text, fix)
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
            if self._runner.stopping:
                assert self._iteration is not None
                yield Done(self._iteration, None)
                return
            if step.state is not StepState.DONE:
                self._finish()
                raise ToolFailed(step.problem, advice=step.fix)
        await asyncio.to_thread(_insist_on_release, binary)
        for look in (self._look_at_symbols, self._keep_program):
            for problem in await asyncio.to_thread(look, binary):
                yield problem
        async with aclosing(self._steps(binary)) as steps:
            async for event in steps:
                yield event
        found = await asyncio.to_thread(self._judge)
        for caution in found.cautions:
            yield Told(caution.text, caution.fix)
        yield Done(found.iteration, found.verdict, found.broken)

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
            self._refuse_another_state(unfinished)
            self._iteration = interrupted(replace(unfinished, note=self._note or unfinished.note))
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
            state=commit.state if commit else "",
            note=self._note,
            plan=plan.text,
            environment=environment(plan.folder),
        )
        return self._iteration

    def _refuse_another_state(self, begun: Iteration) -> None:
        """In a thread. Repetitions of two programs are no measurement of either."""
        anew = "Go back to it, or begin anew: tailflame run"
        if begun.plan and begun.plan != self.plan.text:
            raise StoreError(f"The plan has changed since measurement {begun.number} was begun.", advice=anew)
        commit = commit_of(self.plan.folder)
        now = commit.state if commit is not None else ""
        if begun.state and now != begun.state:
            raise StoreError(
                f"The code has changed since measurement {begun.number} was begun: {begun.state} then, "
                f"{now or 'in no repository'} now.",
                advice=anew,
            )

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
        asking = list(_ASKING)
        stopped_at = 0.0
        while True:
            self._woken.clear()
            ended = child.ended
            said = "".join(output.text for output in child.take(partial=ended))
            words = (words + said)[-_WORDS_KEPT:]
            yield StepProgress(step, "running", time.monotonic() - began, said)
            if ended:
                break
            if self._runner.stopping:
                stopped_at = stopped_at or time.monotonic()
                if asking and time.monotonic() >= stopped_at + asking[0][0]:
                    child.signal_group(asking.pop(0)[1])
            alarm = asyncio.get_running_loop().call_later(_TICK_S, self._woken.set)
            await self._woken.wait()
            alarm.cancel()
        outcome = Outcome.of(Path(argv[0]).name, child.returncode, time.monotonic() - began)
        child.close()
        self._journal.ended(entry, outcome)
        seconds = time.monotonic() - began
        if outcome.ok:
            yield replace(step, state=StepState.DONE, seconds=seconds)
        elif self._runner.stopping:
            yield replace(step, state=StepState.FAILED, seconds=seconds, problem="It was stopped.")
        else:
            outputs = [folder / f"{step.name}.{stream}.txt" for stream in ("stderr", "stdout")]
            why = await asyncio.to_thread(_first_error, outputs) or _last_line(words) or outcome.sentence
            what = "The tests fail" if step.name == "test" else "It does not build"
            yield replace(
                step,
                state=StepState.FAILED,
                seconds=seconds,
                problem=f"{what}: {why}".rstrip(".") + ".",
                fix="Mend that first: nothing is measured of a program that is wrong.",
            )

    # The steps

    def _look_at_symbols(self, binary: Path) -> list[Told]:
        """In a thread."""
        assert self._iteration is not None
        facts = binary_facts(binary)
        symbols = DEBUG_INFO if facts.has_debug_info else SYMBOLS if facts.has_symbols else "no symbols"
        known = {**self._iteration.environment, "symbols": symbols}
        self._save(replace(self._iteration, environment=known))
        if symbols in WITH_SYMBOLS or facts.kind is not Kind.ELF:
            return []
        return [
            Told(
                f"{binary.name} has no symbols: its functions have no names.",
                "debug = true, strip = false in the profile.",
            )
        ]

    def _keep_program(self, binary: Path) -> list[Told]:
        """In a thread. Where it cannot be kept, everything but more repetitions goes on."""
        assert self._iteration is not None
        programs, before = Programs(self._library.root), self._iteration.program
        try:
            kept = programs.keep(binary)
        except StoreError as error:
            return [Told(error.sentence, "No repetitions can be added to this measurement later.")]
        told = []
        if before and before != kept:  # it goes on
            if not self._iteration.state:
                raise StoreError(
                    f"{binary} has changed since measurement {self._iteration.number} was begun.",
                    advice="Begin anew: tailflame run",
                )
            told.append(Told("The same code was built into another program than the first repetitions ran."))
        self._save(replace(self._iteration, program=kept))
        programs.sweep(self._iterations.programs_wanted())
        return told

    async def _steps(self, binary: Path) -> AsyncGenerator[MeasureEvent, None]:
        assert self._iteration is not None
        group = self._iteration.id
        host = await asyncio.to_thread(probe_host)
        runs = await asyncio.to_thread(step_runs, self.plan, binary, host)
        for run in runs:
            step = run.step
            if self._is_done(step):
                continue
            if self._left_out(step.name):
                self._note_step(replace(step, state=StepState.SKIPPED, problem="It was left out."))
                continue
            if step.state is not StepState.WAITING:  # it cannot run here
                self._note_step(step)
                if step.repetition <= 1:  # told once
                    yield StepEnded(step)
                continue
            if self._runner.stopping:
                break
            step = replace(step, state=StepState.RUNNING)
            self._note_step(step)
            yield StepStarted(step)
            async with aclosing(self._runner.events(run, step, group=group)) as measured:
                async for one in measured:
                    if isinstance(one, Step):
                        step = one
                    else:
                        yield one
            self._note_step(step)
            yield StepEnded(step)
        if not self._runner.stopping:
            self._finish()

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

    def _judge(self) -> Judged:
        """In a thread."""
        assert self._iteration is not None
        found = judged(self._iteration, self._library)
        self._save(found.iteration)
        return found


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


def _first_error(outputs: Sequence[Path]) -> str:
    """In a thread. The first line that says of itself that it is an error, as cargo and rustc write it; "" for none.

    What follows it explains it and may be long; cargo's last line is a hint.
    """
    for path in outputs:
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                lines = (_COLOURS.sub("", line) for line in file)
                found = next((line.strip() for line in lines if _ERROR.match(line)), "")
        except OSError:
            continue
        if found:
            return found
    return ""


def _last_line(words: str) -> str:
    lines = (line.strip() for line in reversed(_COLOURS.sub("", words).splitlines()))
    return next((line for line in lines if line), "")


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
