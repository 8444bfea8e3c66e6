"""Runs a plan: starts the tool, watches the target, stops both in order, and says how it went.

The order of stopping is always the same: the target is asked to end (SIGTERM, and SIGKILL after a grace), never
the tool. The tool sees its target end, writes what it still holds, and ends. A tool that does not is asked as well
(SIGINT), and killed last of all; the file it leaves is then made readable as far as it goes.

The tool runs in a session of its own, so that Ctrl-C in a terminal reaches Tailflame alone. It gets SIGINT when the
thread that started it dies, upon which perf ends the target and completes its file: run `events()` in a thread that
lives on.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tailflame import units
from tailflame.errors import StoreError, TailflameError, ToolFailed, ToolMissing
from tailflame.host.binary import check_runnable
from tailflame.host.install import install_command
from tailflame.host.processes import ProcessTree, end_session, find_target
from tailflame.host.survivors import survivors, survivors_sentence
from tailflame.host.system import find_tool
from tailflame.run import perf_file
from tailflame.run.events import Event, Finished, Observed, Progress, Stage, Started, TargetStarted
from tailflame.run.journal import Entry, Journal
from tailflame.run.outcome import Ending, Outcome
from tailflame.run.process import Child, Handle, Output, guard
from tailflame.tools import Plan, tool_named

_WORDS_KEPT = 64 << 10
"""Characters of what the tool said that are kept to explain a failure with."""

_FULL = 1 << 20
"""Bytes that are free on a disk that counts as full: file systems keep a little for themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long each step may take, in seconds."""

    tick: float = 0.25
    search: float = 0.01
    """Between two looks for the target, while the tool starts it."""
    hold: float = 2.0
    """How long output waits at the start until it is known who writes."""
    grace: float = 5.0
    """From SIGTERM to SIGKILL of the target."""
    flush: float = 60.0
    """For the tool to end after its target, counted from when its file last grew or it last used the CPU."""
    tool_grace: float = 10.0
    """From the tool's SIGINT to its SIGKILL."""


class Recorder:
    """One run of one plan. `stop` and `cancel` may be called from any thread, at any time, repeatedly."""

    def __init__(
        self,
        plan: Plan,
        *,
        observe: bool = True,
        journal: Journal | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.plan = plan
        self.patience = patience or Patience()
        self._observe = observe
        self._journal = journal or Journal()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        # What was asked for.
        self._asked: Ending | None = None
        self._cancelled = False
        # The target.
        self._target: Handle | None = None
        self._began = self._target_began = self._target_ended = 0.0
        self._termed_at = 0.0
        self._started_at = 0.0
        """By the clock on the wall, which processes are told by."""
        self._forced = False
        self._tree: ProcessTree | None = None
        # The tool.
        self._output = {name: plan.out / f"{name}.txt" for name in ("stdout", "stderr")}
        self._words = {"tool": "", "stderr": ""}
        self._tool_asked_at = 0.0
        self._tool_killed = False
        self._tool_tree: ProcessTree | None = None
        self._tool_cpu_s = 0.0
        # Its file.
        self._file = perf_file.GrowingPerfFile(plan.artifacts.get("perf.data", plan.result))
        self._seen = perf_file.Counts()
        self._active_at = 0.0
        self._pending = _Pending(plan.samples_hz)

    def stop(self) -> None:
        """End the recording politely and keep what it has."""
        self._ask(Ending.USER)

    def cancel(self) -> None:
        """End the recording and drop what it has."""
        self._cancelled = True
        self._ask(Ending.USER)

    def _ask(self, why: Ending) -> None:
        self._asked = self._asked or why
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._woken.set)

    async def events(self) -> AsyncGenerator[Event, None]:
        """Everything that happens, `Finished` last.

        Raises:
            TargetError: the program cannot be run at all; nothing has been started.
            ToolMissing, ToolFailed: the tool could not be started.
            StoreError: the output folder cannot be made.
        """
        self._loop = asyncio.get_running_loop()
        if not self.plan.builds_first:
            await asyncio.to_thread(check_runnable, self.plan.target.binary)
        await asyncio.to_thread(_make_folder, self.plan.out)
        child, entry = await self._start()
        self._tool_tree = ProcessTree(child.pid)
        over = False
        try:
            yield Started(child.pid, (*entry.guard, *entry.argv))
            next_tick = self._began
            while not child.ended:
                self._woken.clear()
                for output in self._take(child):
                    yield output
                if self._target is None:
                    pid = await asyncio.to_thread(find_target, child.pid)
                    if pid is not None and self._hold(pid):
                        yield TargetStarted(pid)
                now = time.monotonic()
                self._press(child, now)
                if now >= next_tick:
                    next_tick = now + self.patience.tick
                    for event in await asyncio.to_thread(self._measure):
                        yield event
                await self._sleep_until(self._next_deadline(next_tick))
            ended = time.monotonic()
            worth = await asyncio.to_thread(self._gather)
            for output in self._take(child, worth):
                yield output
            for event in await asyncio.to_thread(self._measure):
                yield event
            finished = await asyncio.to_thread(self._finish, child, ended, worth)
            self._journal.ended(entry, finished.tool, problem=finished.error.sentence if finished.error else "")
            over = True
            yield finished
        finally:
            await self._let_go(child)
            if not over:
                left = Outcome.of(self.plan.tool, child.returncode, time.monotonic() - self._began)
                self._journal.ended(entry, left, problem="Nobody listened to it any more, so it was ended.")

    # Starting.

    async def _start(self) -> tuple[Child, Entry]:
        plan = self.plan
        program = find_tool(plan.argv[0])
        if program is None:
            raise ToolMissing(f"{plan.argv[0]} is not installed.", advice=install_command(plan.argv[0]))
        # A build is left to end by itself when Tailflame dies. perf is told, so that it ends the target and its file.
        prefix = () if plan.builds_first else guard("INT")
        argv = plan.argv if shutil.which(plan.argv[0]) else (str(program), *plan.argv[1:])
        entry = self._journal.started(argv, guard=prefix, cwd=plan.cwd, env={**plan.target.env, **plan.env})
        self._began = self._active_at = time.monotonic()
        self._started_at = time.time()
        try:
            child = await Child.start(
                (*prefix, *argv),
                wake=self._woken.set,
                stdout=self._output["stdout"],
                stderr=self._output["stderr"],
                cwd=plan.cwd,
                env=plan.environment(),
                own_lines=plan.own_lines,
            )
        except TailflameError as problem:
            self._journal.ended(entry, None, problem=problem.sentence)
            raise
        return child, entry

    def _hold(self, pid: int) -> bool:
        """The target has been found; False where it has ended in the same moment."""
        try:
            self._target = Handle(pid, self._target_gone)
        except ProcessLookupError:
            return False
        self._target_began = time.monotonic()
        self._tree = ProcessTree(pid)
        return True

    def _target_gone(self) -> None:
        self._target_ended = time.monotonic()
        self._woken.set()

    # While it runs.

    async def _sleep_until(self, deadline: float) -> None:
        """Until something happens, or the deadline has come."""
        assert self._loop is not None
        alarm = self._loop.call_later(max(deadline - time.monotonic(), 0.0), self._woken.set)
        await self._woken.wait()
        alarm.cancel()

    def _next_deadline(self, next_tick: float) -> float:
        """When to look again if nothing happens."""
        deadlines = [next_tick]
        if self._target is None:
            now = time.monotonic()
            deadlines.append(now + (self.patience.search if now < self._began + 1 else self.patience.tick))
        elif self._target.alive and self.plan.duration_s is not None and self._asked is None:
            deadlines.append(self._target_began + self.plan.duration_s)
        if self._termed_at and not self._forced:
            deadlines.append(self._termed_at + self.patience.grace)
        return min(deadlines)

    def _take(self, child: Child, worth: _Worth | None = None) -> list[Output]:
        """What came in, each line under the name of the one who wrote it.

        Until the target runs, stderr is the tool's. But a target may come and go without being seen, which is certain
        at the end alone (`worth`): so what comes in the first moments waits.
        """
        unseen = self._target is None
        young = worth is None and time.monotonic() < self._began + self.patience.hold
        if unseen and young and not self.plan.builds_first:
            return []
        outputs = child.take(partial=worth is not None)
        if unseen and (worth is None or not worth.whole):
            outputs = [Output("tool", o.text) if o.stream == "stderr" else o for o in outputs]
        for output in outputs:
            if output.stream != "stdout":
                self._words[output.stream] = (self._words[output.stream] + output.text)[-_WORDS_KEPT:]
        return outputs

    @property
    def _stage(self) -> Stage:
        if self._target is None:
            return Stage.BUILDING if self.plan.builds_first else Stage.STARTING
        if not self._target.alive:
            return Stage.FINISHING
        return Stage.RECORDING if self._asked is None else Stage.STOPPING

    def _measure(self) -> list[Event]:
        """One look at the file and at the processes; in a thread."""
        before, self._seen = self._seen, self._file.look()
        if self._seen.bytes != before.bytes or (self._stage is Stage.FINISHING and self._tool_works()):
            self._active_at = time.monotonic()
        events: list[Event] = []
        sample = self._tree.observe() if self._tree is not None else None
        if sample is not None:
            self._pending.note(self._seen.samples, sample.cpu_s)
            if self._observe:
                events.append(Observed(sample))
        pending = self._pending.samples if self._stage is Stage.RECORDING else 0
        elapsed, duration = self._elapsed, self.plan.duration_s
        events.append(
            Progress(
                stage=self._stage,
                elapsed_s=elapsed,
                remaining_s=max(duration - elapsed, 0.0) if duration is not None else None,
                bytes=self._seen.bytes,
                samples=self._seen.samples + pending,
                lost=self._seen.lost,
                samples_are_estimate=pending > 0 or not self._seen.exact,
            )
        )
        return events

    def _tool_works(self) -> bool:
        """Whether the tool has used the CPU since the last look: perf reads a long recording again before it ends."""
        sample = self._tool_tree.observe() if self._tool_tree is not None else None
        before, self._tool_cpu_s = self._tool_cpu_s, sample.cpu_s if sample is not None else self._tool_cpu_s
        return self._tool_cpu_s > before

    @property
    def _elapsed(self) -> float:
        """Seconds the target has run."""
        if self._target is None:
            return 0.0
        return (self._target_ended or time.monotonic()) - self._target_began

    # Stopping.

    def _press(self, child: Child, now: float) -> None:
        """Take the next step of stopping, where one is due."""
        patience, duration, target = self.patience, self.plan.duration_s, self._target
        if target is not None and target.alive:
            if duration is not None and self._asked is None and now >= self._target_began + duration:
                self._asked = Ending.DURATION
            if self._asked is not None and not self._termed_at:
                self._termed_at = now
                target.signal(signal.SIGTERM)
            elif self._termed_at and not self._forced and now >= self._termed_at + patience.grace:
                self._forced = target.signal(signal.SIGKILL)
            return
        # A target that was not seen has not been started, or was too short: perf has nothing to wait for either way.
        quiet_since = max(self._target_ended, self._active_at, self._began)
        hangs = not self.plan.builds_first and now >= quiet_since + patience.flush
        due = hangs or self._cancelled or (target is None and self._asked is not None)
        if due and not self._tool_asked_at:
            self._tool_asked_at = now
            if self.plan.builds_first:
                # Compilers run as well; as with Ctrl-C in a terminal, all of them are asked.
                child.signal_group(signal.SIGINT)
            else:
                child.signal(signal.SIGINT)
        elif due and not self._tool_killed and now >= self._tool_asked_at + patience.tool_grace:
            self._tool_killed = True
            child.signal_group(signal.SIGKILL)

    async def _let_go(self, child: Child) -> None:
        """Leave nothing running, also where the listener went away in the middle."""
        if not child.ended:
            if self._target is None or not self._target.signal(signal.SIGTERM):
                child.signal(signal.SIGINT)
            if not await self._ends_within(self.patience.grace, child):
                child.signal_group(signal.SIGKILL)
                await self._ends_within(self.patience.tool_grace, child)
            await asyncio.to_thread(end_session, child.pid)
        if self._target is not None:
            self._target.close()
        child.close()

    async def _ends_within(self, seconds: float, child: Child) -> bool:
        """Wait for the tool without listening to it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not child.ended:
                    self._woken.clear()
                    await self._woken.wait()
        return child.ended

    # The end.

    def _gather(self) -> _Worth:
        """Put the files in their places and see what they are worth; in a thread."""
        plan = self.plan
        for source, place in plan.moves.items():
            if source.is_file():
                shutil.move(source, place)
        data = plan.artifacts.get("perf.data")
        recorded = data is None or perf_file.is_finished(data)
        drawn = plan.result.is_file() and plan.result.stat().st_size > 0
        mended = not recorded and data is not None and data.is_file() and perf_file.mend(data)
        result = plan.result if drawn and recorded else data if recorded or mended else None
        return _Worth(whole=drawn and recorded, mended=mended, result=result, counts=self._file.look())

    def _finish(self, child: Child, ended: float, worth: _Worth) -> Finished:
        """Say how it went; in a thread."""
        plan, tool = self.plan, tool_named(self.plan.tool)
        notes: list[str] = []
        error = None if worth.whole or self._cancelled else self._why()
        if worth.mended:
            notes.append(f"perf could not complete its file; {units.count(worth.counts.samples)} samples were saved.")
        # A target that ended by itself may leave children; what they do is its own business.
        if (error is not None or self._asked is not None) and (count := end_session(child.pid)):
            whose = "process" if count == 1 else "processes"
            notes.append(f"{count} {whose} that the target had started ended with it.")
        elif error is None and self._asked is None:
            left = survivors(self._file.not_ended, since=self._started_at)
            notes += filter(None, [survivors_sentence(left, session=child.pid)])
        # A target too short to be seen has run as long as the tool.
        seconds = self._elapsed if self._target is not None else ended - self._began
        mirrored = plan.mirrors_target and worth.whole
        witnessed = self._target.returncode if self._target is not None else None
        target = Outcome.of(
            plan.target.name,
            child.returncode if mirrored else witnessed,
            seconds,
            ended_by=self._asked or (Ending.ITSELF if error is None else Ending.RECORDER),
            forced=self._forced,
        )
        for path in self._output.values():
            if path.is_file() and (self._cancelled or path.stat().st_size == 0):
                path.unlink()
        if self._cancelled:
            _drop(plan)
        kept = {**plan.artifacts, **self._output}
        return Finished(
            target=target,
            tool=Outcome.of(tool.title, 0 if mirrored else child.returncode, ended - self._began),
            artifacts=MappingProxyType({role: path for role, path in kept.items() if path.is_file()}),
            result=None if self._cancelled else worth.result,
            samples=worth.counts.samples,
            lost=worth.counts.lost,
            cancelled=self._cancelled,
            error=error,
            notes=tuple(notes),
        )

    def _why(self) -> TailflameError:
        """Why there is no whole result, in a sentence."""
        plan, tool = self.plan, tool_named(self.plan.tool)
        if self._tool_killed:
            return ToolFailed(
                f"{tool.title} did not end after its target and had to be killed.",
                advice="What it had written by then was kept. Is the disk very slow?",
            )
        words = self._words["tool"] + self._words["stderr"]
        known = tool.explain(self._words["tool"], plan) or (tool.explain(words, plan) if self._target is None else None)
        if known is None and shutil.disk_usage(plan.out).free < _FULL:
            # The tool's own words about it had no room on the disk either.
            known = tool.explain(os.strerror(errno.ENOSPC), plan)
        return known or ToolFailed(
            f"{tool.title} left no result in {plan.result}.",
            advice="Its own words are in the console.",
            details=words,
        )


@dataclass(frozen=True, slots=True)
class _Worth:
    """What the files are worth at the end: `whole` as the tool meant them, or `mended` after it could not end well."""

    whole: bool
    mended: bool
    result: Path | None
    counts: perf_file.Counts


class _Pending:
    """Estimates the samples that perf still holds: it writes in blocks, which take seconds to fill at a low rate."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._counted = 0
        self._cpu_s_then = 0.0
        self._cpu_s = 0.0

    def note(self, counted: int, cpu_s: float) -> None:
        """`counted` samples stand in the file and the target has used `cpu_s` seconds of CPU."""
        if counted != self._counted:
            self._counted, self._cpu_s_then = counted, cpu_s
        self._cpu_s = cpu_s

    @property
    def samples(self) -> int:
        return int(self._rate_hz * (self._cpu_s - self._cpu_s_then))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise StoreError(
            f"The folder {folder} cannot be made: {problem.strerror}.", advice="Choose another profiles folder."
        ) from problem


def _drop(plan: Plan) -> None:
    """Remove the artifacts, and the folder too if nothing else is in it."""
    for path in plan.artifacts.values():
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody keeps other files in it
        plan.out.rmdir()
