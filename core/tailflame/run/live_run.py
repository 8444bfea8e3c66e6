"""Looks at a running program with several live sources at once, launched or attached to.

A launched program is started stopped; its sources are armed, and only then is it continued. A source that fails ends
alone and says why; others go on. Sources are switched on and off while the rest runs. At the end every source has
taken its probes, tracers and child processes away before `run` returns: a program that was attached to is left as it
was found, one that was launched has been asked to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from tailflame.errors import TailflameError, TargetError, ToolFailed
from tailflame.host.binary import check_runnable
from tailflame.host.processes import end_session
from tailflame.live.permission import Permission
from tailflame.live.source import Choosing, Deferring, Finishing, LiveSource, Watching
from tailflame.model.live import Armed, Artifact, Update
from tailflame.run import stopped_start
from tailflame.run.journal import Journal
from tailflame.run.live_events import (
    LiveContinued,
    LiveEvent,
    LiveFinished,
    LiveStarted,
    LiveTarget,
    SourceChanged,
    SourceState,
    SourceTold,
    SourceWish,
)
from tailflame.run.outcome import Ending, Outcome
from tailflame.run.process import Child, Handle, guard
from tailflame.tools.base import Target

Sink = Callable[[LiveEvent], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePatience:
    """How long each step may take, in seconds."""

    arm: float = 60.0
    """For the sources that are asked for at the start, a password being typed included; the target then runs without
    those that are not ready."""
    tick: float = 0.1
    """Between two looks at a launched program's output."""
    grace: float = 5.0
    """From SIGTERM to SIGKILL of a launched program."""
    finish: float = 60.0
    """For a source that completes a file: perf writes what it still holds."""
    last_words: float = 3.0
    """For sources to end by themselves once the program has ended."""


@dataclass(slots=True, eq=False)
class _Runner:
    """One source that was asked for."""

    wish: SourceWish
    source: LiveSource | None = None
    task: asyncio.Task[None] | None = None
    asked_off: bool = False
    again: SourceWish | None = None
    """Asked for while it was being taken away: it starts when that is done."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Armed, or given up."""


class LiveRun:
    """One look at one program. Give either `launch` or `attach`.

    Every method is for the event loop that `run` runs in; `sink` is called in it, in the order of events.
    """

    def __init__(
        self,
        out: Path,
        sources: Sequence[SourceWish],
        *,
        launch: Target | None = None,
        attach: int | None = None,
        binary: Path | None = None,
        duration_s: float | None = None,
        journal: Journal | None = None,
        permission: Permission | None = None,
        patience: LivePatience | None = None,
    ) -> None:
        """`attach` is a pid, `binary` the program it runs; `duration_s` counts from when the target runs."""
        if (launch is None) == (attach is None):
            raise ValueError("either launch or attach")
        self.out = out
        self._launch, self._attach = launch, attach
        self._binary = launch.binary if launch is not None else binary
        self._duration_s = duration_s
        self._journal = journal or Journal()
        self._permission = permission or Permission()
        self._patience = patience or LivePatience()
        self._wishes = tuple(sources)
        self._runners: dict[str, _Runner] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._sink: Sink = lambda _event: None
        self._target: LiveTarget | None = None
        self._artifacts: dict[str, Path] = {}
        self._woken = asyncio.Event()
        self._asked: Ending | None = None
        self._ending = False
        """All sources are being taken away, and none is started any more."""

    # What may be asked while it runs.

    def stop(self) -> None:
        """Ends a launched program politely; lets go of one that was attached to."""
        self._asked = self._asked or Ending.USER
        self._woken.set()

    def switch_on(self, wish: SourceWish) -> None:
        """Adds a source, or starts one anew that is off or going; one that runs is left alone.

        Who has refused the permission for it is asked again.
        """
        runner = self._runners.get(wish.name)
        if self._tasks is None or self._target is None or self._ending:
            return
        if runner is None or runner.task is None:
            self._permission.ask_again()
            self._start(wish)
        elif runner.asked_off:
            self._permission.ask_again()
            runner.again = wish

    def follow(self, name: str, series: str, unit: str = "") -> bool:
        """Has a source that offers `series` (Found) tell it as well; False where it cannot choose, or does not run."""
        runner = self._runners.get(name)
        if runner is None or runner.task is None or not isinstance(runner.source, Choosing):
            return False
        runner.source.choose(series, unit)
        return True

    def read_until(self, name: str, time_s: float) -> None:
        """Has a source read what waits until that time."""
        runner = self._runners.get(name)
        if runner is not None and runner.task is not None and isinstance(runner.source, Deferring):
            runner.source.read_until(time_s)

    def switch_off(self, name: str) -> None:
        """Takes a source away; the others go on."""
        runner = self._runners.get(name)
        if runner is None or runner.task is None:
            return
        runner.again = None
        if not runner.asked_off:
            self._changed(runner.wish, SourceState.ENDING)
            self._ask_off(runner)

    # Running.

    async def run(self, sink: Sink) -> LiveFinished:
        """Everything that happens goes to `sink`, `LiveFinished` last.

        Raises:
            TargetError: the program cannot be started, or there is no such process.
            StoreError: the folder cannot be written to.
        """
        self._sink = sink
        try:
            if self._launch is not None:
                return await self._run_launched(self._launch)
            assert self._attach is not None
            return await self._run_attached(self._attach)
        finally:
            await self._permission.close()

    async def _run_attached(self, pid: int) -> LiveFinished:
        try:
            handle = Handle(pid, self._woken.set)
        except ProcessLookupError:
            raise TargetError(f"There is no process {pid} any more.", advice="Choose one that runs.") from None
        began = time.monotonic()
        try:
            self._target = LiveTarget(pid=pid, binary=self._binary, out=self.out, permission=self._permission)
            self._sink(LiveStarted(pid, (), launched=False))
            async with self._looking():
                self._start_all()
                await self._armed_or(lambda: not handle.alive)
                self._sink(LiveContinued(time.monotonic()))
                await self._until(lambda: not handle.alive)
                await self._end_sources(politely=not handle.alive)
            seconds = time.monotonic() - began
            ended = not handle.alive
            outcome = Outcome.of(self._name, handle.returncode, seconds) if ended else None
        finally:
            self._tasks = None
            handle.close()
        return self._finish(outcome, seconds)

    async def _run_launched(self, target: Target) -> LiveFinished:
        await asyncio.to_thread(check_runnable, target.binary)
        stdout, stderr = self.out / "stdout.txt", self.out / "stderr.txt"
        stub = (sys.executable, "-I", "-S", str(Path(stopped_start.__file__)), *target.argv)
        prefix = guard("TERM")
        entry = self._journal.started(target.argv, guard=(*prefix, *stub[:4]), cwd=target.cwd, env=target.env)
        child = await Child.start(
            (*prefix, *stub),
            wake=self._woken.set,
            stdout=stdout,
            stderr=stderr,
            cwd=target.cwd,
            env=target.environment(),
        )
        began = time.monotonic()
        forced = False
        try:
            await asyncio.to_thread(_stopped, child.pid)
            self._target = LiveTarget(
                pid=child.pid,
                binary=target.binary,
                out=self.out,
                permission=self._permission,
                stdout=stdout,
                stderr=stderr,
            )
            self._sink(LiveStarted(child.pid, target.argv, launched=True))
            async with self._looking():
                self._start_all()
                await self._armed_or(lambda: child.ended)
                began = time.monotonic()
                child.signal(signal.SIGCONT)
                self._sink(LiveContinued(began))
                assert self._tasks is not None
                watch = self._tasks.create_task(self._pass_output_on(child), name="output")
                await self._until(lambda: child.ended)
                if not child.ended:
                    forced = await self._end_child(child)
                watch.cancel()
                await self._end_sources(politely=child.ended)
            self._hand_output_on(child, last=True)
            written = {"stdout": stdout, "stderr": stderr}
            self._artifacts |= {role: path for role, path in written.items() if path.stat().st_size}
            seconds = time.monotonic() - began
            ended_by = self._asked or Ending.ITSELF
            outcome = Outcome.of(self._name, child.returncode, seconds, ended_by=ended_by, forced=forced)
            self._journal.ended(entry, outcome)
            return self._finish(outcome, seconds)
        finally:
            self._tasks = None
            await self._let_go(child)

    async def _let_go(self, child: Child) -> None:
        """Nothing is left running, also where whoever ran this went away in the middle."""
        if not child.ended:
            child.signal(signal.SIGCONT)
            child.signal_group(signal.SIGKILL)
        await asyncio.to_thread(end_session, child.pid)
        child.close()

    def _finish(self, outcome: Outcome | None, seconds: float) -> LiveFinished:
        finished = LiveFinished(outcome, seconds, dict(self._artifacts))
        self._sink(finished)
        return finished

    @property
    def _name(self) -> str:
        return self._binary.name if self._binary is not None else f"process {self._attach}"

    # Waiting.

    async def _armed_or(self, over: Callable[[], bool]) -> None:
        """Until every source is ready, something was asked for, the program has ended, or patience is."""
        waiting = tuple(runner.ready for runner in self._runners.values())

        async def all_ready() -> None:
            for ready in waiting:
                await ready.wait()
            self._woken.set()

        assert self._tasks is not None
        arming = self._tasks.create_task(all_ready(), name="arming")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience.arm):
                while not (arming.done() or over() or self._asked):
                    self._woken.clear()
                    await self._woken.wait()
        arming.cancel()

    async def _until(self, over: Callable[[], bool]) -> None:
        """Until the program has ended, a stop was asked for, or the time is up."""
        try:
            async with asyncio.timeout(self._duration_s):
                while not over() and self._asked is None:
                    self._woken.clear()
                    await self._woken.wait()
        except TimeoutError:
            self._asked = self._asked or Ending.DURATION

    async def _end_child(self, child: Child) -> bool:
        """Whether it had to be killed."""
        child.signal(signal.SIGTERM)
        if await self._ends_within(child, self._patience.grace):
            return False
        child.signal_group(signal.SIGKILL)
        await self._ends_within(child, self._patience.grace)
        return True

    async def _ends_within(self, child: Child, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not child.ended:
                    self._woken.clear()
                    await self._woken.wait()
        return child.ended

    async def _pass_output_on(self, child: Child) -> None:
        while True:
            await asyncio.sleep(self._patience.tick)
            self._hand_output_on(child)

    def _hand_output_on(self, child: Child, *, last: bool = False) -> None:
        for output in child.take(partial=last):
            self._sink(output)

    # Sources.

    @contextlib.asynccontextmanager
    async def _looking(self) -> AsyncGenerator[None, None]:
        """While sources may be started."""
        async with asyncio.TaskGroup() as self._tasks:
            try:
                yield
            finally:
                self._ending = True

    def _start_all(self) -> None:
        for wish in self._wishes:
            self._start(wish)

    def _start(self, wish: SourceWish) -> None:
        assert self._tasks is not None
        runner = self._runners[wish.name] = _Runner(wish)
        runner.task = task = self._tasks.create_task(self._follow(runner), name=f"source {wish.name}")

        def done(_task: asyncio.Task[None]) -> None:
            if runner.task is task:  # cancelled before its first step: it has not run at all
                self._ended(runner, SourceState.OFF)

        task.add_done_callback(done)

    async def _follow(self, runner: _Runner) -> None:
        """One source from its first word to its last. Never fails: what it meets is told."""
        wish = runner.wish
        assert self._target is not None
        self._changed(wish, SourceState.STARTING)
        try:
            source = runner.source = wish.make(self._target)
            async with aclosing(source.updates()) as updates:
                async for update in updates:
                    if isinstance(update, Armed):
                        runner.ready.set()
                        self._changed(wish, SourceState.ON)
                    if isinstance(update, Artifact):
                        self._artifacts[update.role] = update.path
                    self._sink(SourceTold(wish.name, update))
                    self._pass_on(runner, update)
            self._ended(runner, SourceState.OFF if runner.asked_off else SourceState.ENDED)
        except asyncio.CancelledError:
            self._ended(runner, SourceState.OFF)
            raise
        except TailflameError as error:
            self._ended(runner, SourceState.FAILED, error)
        except Exception as error:  # noqa: BLE001 - a fault in one source must not take the others away
            self._ended(
                runner,
                SourceState.FAILED,
                ToolFailed(
                    f"An internal error ended “{wish.title}”.",
                    advice="Please report it with the details.",
                    details="".join(traceback.format_exception(error)),
                ),
            )

    def _pass_on(self, teller: _Runner, update: Update) -> None:
        for runner in tuple(self._runners.values()):
            if runner is not teller and isinstance(runner.source, Watching):
                runner.source.watch(update)

    def _ended(self, runner: _Runner, state: SourceState, error: TailflameError | None = None) -> None:
        runner.task = None
        runner.ready.set()
        self._changed(runner.wish, state, error)
        if runner.again is not None and not self._ending:
            self._start(runner.again)

    def _changed(self, wish: SourceWish, state: SourceState, error: TailflameError | None = None) -> None:
        self._sink(SourceChanged(wish.name, wish.title, state, error))

    async def _end_sources(self, *, politely: bool) -> None:
        """`politely`: the program has ended, and each source may say its last words first."""
        self._ending = True
        tasks = {runner.task for runner in self._runners.values() if runner.task is not None}
        if politely and tasks:
            _, tasks = await asyncio.wait(tasks, timeout=self._patience.last_words)
        for runner in self._runners.values():
            if runner.task in tasks and not runner.asked_off:
                self._ask_off(runner)
        if tasks:
            await asyncio.wait(tasks)

    def _ask_off(self, runner: _Runner) -> None:
        """Has it hand over what it holds, where it holds something, and takes it away."""
        runner.asked_off = True
        task = runner.task
        assert task is not None
        # What is not armed holds nothing yet: it may still wait for the user's password.
        if isinstance(runner.source, Finishing) and runner.ready.is_set():
            runner.source.finish()
            asyncio.get_running_loop().call_later(self._patience.finish, task.cancel)
        else:
            task.cancel()


def _stopped(pid: int) -> None:
    """Waits until our child stands still, or has ended; it is not taken note of, which is asyncio's to do."""
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
