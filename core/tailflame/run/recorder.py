"""Runs a plan: starts the tool, watches the target, stops both in order, and says how it went.

The order of stopping is the same for every program that was started for the recording: the program is asked to end
(SIGTERM, and SIGKILL after a grace), never the tool. The tool sees its target end, writes what it still holds, and
ends. A tool that does not is asked as well (SIGINT), and killed last of all; the file it leaves is then made readable
as far as it goes. Where tool and program are one process (valgrind, a preloaded library) it writes when it is asked to
end, by another signal where it ignores the usual one, and only one that neither writes nor works is killed: valgrind
would leave nothing. A program that ran before is never signalled; the tool that has attached to it is.

The tool runs in a session of its own, so that Ctrl-C in a terminal reaches Tailflame alone. It gets a signal when the
thread that started it dies, upon which it ends the target and completes its file: run `events()` in a thread that
lives on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from types import MappingProxyType

from tailflame import units
from tailflame.errors import TailflameError, TargetError, ToolFailed, ToolMissing
from tailflame.host.binary import check_runnable
from tailflame.host.install import install_command
from tailflame.host.processes import ProcessTree, end_session, find_child, find_target, ignored_signals
from tailflame.host.survivors import survivors, survivors_sentence
from tailflame.host.system import find_tool
from tailflame.host.watchdog import watching
from tailflame.run import worth as files
from tailflame.run.commands import Command, Requests, has_input, start_step
from tailflame.run.events import (
    Appeared,
    Event,
    Finished,
    Observed,
    Progress,
    Requested,
    Stage,
    Started,
    TargetStarted,
)
from tailflame.run.growth import PERF_DATA, Grown, Growth, Pending, left_files
from tailflame.run.journal import Entry, Journal
from tailflame.run.outcome import Ending, Outcome, signal_told
from tailflame.run.process import Child, Handle, Output
from tailflame.run.starting import Patience, guarded, make_folder
from tailflame.run.worth import Worth
from tailflame.tools import Plan, TargetIs, tool_named

_WORDS_KEPT = 64 << 10
"""Characters of what the tool said that are kept to explain a failure with."""


class Recorder:
    """One run of one plan. `stop`, `cancel` and `request` may be called from any thread, at any time, repeatedly."""

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
        self._full_since = 0.0
        """When the disk was seen to be full, and the files to grow no more."""
        self._tree: ProcessTree | None = None
        self._watchdog: asyncio.subprocess.Process | None = None
        # The tool.
        self._output = {name: plan.out / f"{name}.txt" for name in ("stdout", "stderr")}
        self._words = {"tool": "", "stderr": ""}
        self._tool_asked_at = 0.0
        self._tool_killed = False
        self._deaf = False
        self._tool_tree: ProcessTree | None = None
        self._tool_cpu_s = 0.0
        # Its file.
        self._growth = Growth(plan)
        self._seen = Grown()
        self._active_at = 0.0
        self._pending = Pending(plan.samples_hz)
        self._step = ""
        self._asked_files: set[Path] = set()
        self._requests = Requests(plan, self._journal, patience_s=self.patience.request, wake=self._wake)

    def stop(self) -> None:
        """End the recording politely and keep what it has."""
        self._ask(Ending.USER)

    def cancel(self) -> None:
        """End the recording and drop what it has."""
        self._cancelled = True
        self._ask(Ending.USER)

    def request(self, name: str) -> None:
        """Ask the program for something (`Plan.requests`); `Requested` tells what became of it."""
        self._requests.ask(name)
        self._wake()

    def _ask(self, why: Ending) -> None:
        self._asked = self._asked or why
        self._wake()

    def _wake(self) -> None:
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
        if not self.plan.builds_first and not self._attached:
            await asyncio.to_thread(check_runnable, self.plan.target.binary)
        await asyncio.to_thread(make_folder, self.plan.out)
        child, entry = await self._start()
        self._tool_tree = ProcessTree(child.pid)
        step: Command | None = None
        over = False
        try:
            yield Started(child.pid, (*entry.guard, *entry.argv))
            if self._target is not None:
                yield TargetStarted(self._target.pid)
            next_tick = self._began
            while not child.ended:
                self._woken.clear()
                for output in self._take(child):
                    yield output
                if self._target is None:
                    pid = await asyncio.to_thread(self._find, child)
                    if pid is not None and self._hold(pid):
                        await self._watch(pid)
                        yield TargetStarted(pid)
                now = time.monotonic()
                self._press(child, now)
                for told in await self._requests.step(self._living):
                    yield self._noted(told)
                if now >= next_tick:
                    next_tick = now + self.patience.tick
                    for event in await asyncio.to_thread(self._measure):
                        yield event
                await self._sleep_until(self._next_deadline(next_tick))
            ended = time.monotonic()
            for told in await self._requests.drop():
                yield self._noted(told)
            await asyncio.to_thread(files.move, self.plan)
            problem: TailflameError | None = None
            for wanted in self.plan.after:
                if self._cancelled or problem is not None or not await asyncio.to_thread(has_input, wanted):
                    continue
                self._step = wanted.title
                try:
                    step = await start_step(wanted, self.plan, self._journal, wake=self._wake)
                except TailflameError as missing:
                    problem = missing
                    continue
                while not step.child.ended:
                    self._woken.clear()
                    if self._cancelled:
                        step.kill()
                    for event in await asyncio.to_thread(self._measure):
                        yield event
                    if not step.child.ended:
                        await self._sleep_until(time.monotonic() + self.patience.tick)
                problem = step.failure(await step.over())
                step = None
            worth = await asyncio.to_thread(files.worth_of, self.plan, self._growth)
            for output in self._take(child, worth):
                yield output
            for event in await asyncio.to_thread(self._measure, last=True):
                yield event
            finished = await asyncio.to_thread(self._finish, child, ended, worth, problem)
            self._journal.ended(entry, finished.tool, problem=finished.error.sentence if finished.error else "")
            over = True
            yield finished
        finally:
            if step is not None:
                await step.over()
            await self._requests.drop()
            await self._let_go(child)
            if not over:
                left = Outcome.of(self.plan.tool, child.returncode, time.monotonic() - self._began)
                self._journal.ended(entry, left, problem="Nobody listened to it any more, so it was ended.")

    @property
    def _attached(self) -> bool:
        return self.plan.target_is is TargetIs.RUNNING

    @property
    def _is_target(self) -> bool:
        """Whether what was started is, or becomes, the program, or stands for its runs: it writes the result itself."""
        return self.plan.target_is in (TargetIs.ITSELF, TargetIs.REPEATED)

    # Starting.

    async def _start(self) -> tuple[Child, Entry]:
        plan = self.plan
        argv = plan.argv
        if "/" not in argv[0] and shutil.which(argv[0]) is None:
            program = find_tool(argv[0])
            if program is None:
                raise ToolMissing(f"{argv[0]} is not installed.", advice=install_command(argv[0]))
            argv = (str(program), *argv[1:])
        prefix, env = guarded(plan)
        entry = self._journal.started(argv, guard=prefix, cwd=plan.cwd, env={**plan.target.env, **plan.env})
        self._began = self._active_at = time.monotonic()
        self._started_at = time.time()
        try:
            if self._attached and not self._hold(plan.target.pid or 0):
                raise TargetError(f"{plan.target.name} has ended.", advice="Choose a program that runs.")
            child = await Child.start(
                (*prefix, *argv),
                wake=self._woken.set,
                stdout=self._output["stdout"],
                stderr=self._output["stderr"],
                cwd=plan.cwd,
                env=env,
                own_lines=plan.own_lines,
            )
        except TailflameError as problem:
            if self._target is not None:
                self._target.close()
            self._journal.ended(entry, None, problem=problem.sentence)
            raise
        return child, entry

    def _find(self, child: Child) -> int | None:
        """The target, once it runs; in a thread."""
        match self.plan.target_is:
            case TargetIs.ITSELF | TargetIs.REPEATED:
                return child.pid
            case TargetIs.CHILD:
                return find_child(child.pid)
            case _:
                return find_target(child.pid)

    def _hold(self, pid: int) -> bool:
        """The target has been found; False where it has ended in the same moment."""
        try:
            self._target = Handle(pid, self._target_gone)
        except ProcessLookupError:
            return False
        self._target_began = time.monotonic()
        self._tree = ProcessTree(pid)
        return True

    async def _watch(self, pid: int) -> None:
        """See to it that a target whose tool does not heed signals ends with Tailflame."""
        argv = watching(pid, self.plan.stop_signal) if self.plan.target_is is TargetIs.CHILD else ()
        if argv:
            quiet = asyncio.subprocess.DEVNULL
            self._watchdog = await asyncio.create_subprocess_exec(*argv, stdin=quiet, stdout=quiet, stderr=quiet)

    def _target_gone(self) -> None:
        self._target_ended = time.monotonic()
        self._woken.set()

    @property
    def _living(self) -> int | None:
        """The number of the target while it runs."""
        return self._target.pid if self._target is not None and self._target.alive else None

    def _noted(self, told: Requested) -> Requested:
        if told.path is not None:
            self._asked_files.add(told.path)
            self._growth.tell(told.path)
        return told

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
        return min(*deadlines, self._requests.deadline)

    def _take(self, child: Child, worth: Worth | None = None) -> list[Output]:
        """What came in, each line under the name of the one who wrote it.

        Until the target runs, stderr is the tool's. But a target may come and go without being seen, which is certain
        at the end alone (`worth`): so what comes in the first moments waits.
        """
        unseen = self._target is None
        young = worth is None and time.monotonic() < self._began + self.patience.hold
        if unseen and young and not self.plan.builds_first:
            return []
        outputs = child.take(partial=worth is not None)
        if self._attached:
            outputs = [Output("tool", o.text) for o in outputs]  # what the program writes goes elsewhere
        elif unseen and (worth is None or not worth.whole):
            outputs = [Output("tool", o.text) if o.stream == "stderr" else o for o in outputs]
        for output in outputs:
            if output.stream != "stdout":
                self._words[output.stream] = (self._words[output.stream] + output.text)[-_WORDS_KEPT:]
        return outputs

    @property
    def _stage(self) -> Stage:
        if self._step:
            return Stage.FINISHING
        if self._target is None:
            return Stage.BUILDING if self.plan.builds_first else Stage.STARTING
        if not self._target.alive:
            return Stage.FINISHING
        return Stage.RECORDING if self._asked is None else Stage.STOPPING

    def _measure(self, *, last: bool = False) -> list[Event]:
        """One look at the file and at the processes; in a thread."""
        before, self._seen = self._seen, self._growth.look()
        ending = self._stage in (Stage.STOPPING, Stage.FINISHING)
        grown = self._seen.bytes != before.bytes
        if grown or (ending and self._tool_works()):
            self._active_at = time.monotonic()
        # perf says so itself, and ends. heaptrack tries for ever to write, and holds its program meanwhile.
        if PERF_DATA in self.plan.artifacts or grown or not self._seen.bytes or not self._nothing_free():
            self._full_since = 0.0
        else:
            self._full_since = self._full_since or time.monotonic()
        events: list[Event] = []
        sample = self._tree.observe() if self._tree is not None and self._living is not None else None
        if sample is not None:
            self._pending.note(self._seen.samples or 0, sample.cpu_s)
            if self._observe:
                events.append(Observed(sample))
        if not last and not self._requests.busy:  # what appears meanwhile may be its answer
            events += [Appeared(path) for path in self._growth.appeared()]
        pending = self._pending.samples if self._stage is Stage.RECORDING else 0
        elapsed, duration = self._elapsed, self.plan.duration_s
        samples = self._seen.samples
        events.append(
            Progress(
                stage=self._stage,
                elapsed_s=elapsed,
                remaining_s=max(duration - elapsed, 0.0) if duration is not None else None,
                bytes=self._seen.bytes,
                samples=samples + pending if samples is not None else None,
                lost=self._seen.lost,
                samples_are_estimate=samples is not None and (pending > 0 or not self._seen.exact),
                step=self._step,
            )
        )
        return events

    def _nothing_free(self) -> bool:
        return files.disk_is_full(self.plan, least=files.NOTHING)

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
            if self._full_since and self._asked is None and now >= self._full_since + patience.full:
                self._asked = Ending.RECORDER
            if not self._attached:
                self._press_target(target, now)
                return
        # A target that was not seen has not been started, or was too short: perf has nothing to wait for either way.
        quiet_since = max(self._target_ended, self._active_at, self._began)
        running = self._attached and self._living is not None
        hangs = not self.plan.builds_first and not running and now >= quiet_since + patience.flush
        due = hangs or self._cancelled or ((target is None or running) and self._asked is not None)
        if not due:
            return
        if not self._tool_asked_at:
            self._tool_asked_at = now
            if self.plan.builds_first:
                # Compilers run as well; as with Ctrl-C in a terminal, all of them are asked.
                child.signal_group(signal.SIGINT)
            else:
                child.signal(self.plan.stop_signal if self._attached else signal.SIGINT)
        elif not self._tool_killed and now >= self._killed_from:
            self._tool_killed = True
            child.signal_group(signal.SIGKILL)

    @property
    def _killed_from(self) -> float:
        """From when on a tool that was asked to end is killed.

        One that is attached still has everything to write, and has to let go of the program whole: heaptrack takes its
        recording out of it.
        """
        if self._attached:
            return max(self._tool_asked_at, self._active_at) + self.patience.flush
        return self._tool_asked_at + self.patience.tool_grace

    def _press_target(self, target: Handle, now: float) -> None:
        """The same for a target that was started for the recording, and runs."""
        patience = self.patience
        if self._asked is not None and not self._termed_at:
            self._termed_at = now
            target.signal(self._request_to_end(target))
        elif self._termed_at and not self._forced:
            latest = self._termed_at + patience.grace
            if self._is_target and not (self._cancelled or self._full_since or self._deaf):
                writing = max(self._termed_at, self._active_at) + patience.flush
                latest = min(writing, self._termed_at + patience.longest_flush)
            if now >= latest:
                self._forced = target.signal(signal.SIGKILL)

    def _request_to_end(self, target: Handle) -> int:
        """What ends the target. One that writes the result itself is not killed because it ignores the usual signal:
        another one ends it, and valgrind writes then as well.
        """
        asked = self.plan.stop_signal
        if self._is_target and asked in (ignored := ignored_signals(target.pid)):
            heeded = next((number for number in (signal.SIGINT, signal.SIGHUP) if number not in ignored), None)
            self._deaf = heeded is None
            return heeded or asked
        return asked

    async def _let_go(self, child: Child) -> None:
        """Leave nothing running, also where the listener went away in the middle."""
        if not child.ended:
            if self._attached:
                child.signal(self.plan.stop_signal)
            elif self._target is None or not self._target.signal(self.plan.stop_signal):
                child.signal(signal.SIGINT)
            if not await child.ends_within(self.patience.flush if self._attached else self.patience.grace):
                child.signal_group(signal.SIGKILL)
                await child.ends_within(self.patience.tool_grace)
            await asyncio.to_thread(end_session, child.pid)
        if self._watchdog is not None:
            # Not by its kill(), which looks first whether it has ended, and so takes its end from who waits for it.
            if self._watchdog.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._watchdog.pid, signal.SIGKILL)
            await self._watchdog.wait()
        if self._target is not None:
            self._target.close()
        child.close()

    # The end.

    def _finish(self, child: Child, ended: float, worth: Worth, problem: TailflameError | None) -> Finished:
        """Say how it went; in a thread. problem: what went wrong after the tool had ended."""
        plan, tool = self.plan, tool_named(self.plan.tool)
        notes: list[str] = []
        alive = self._living is not None
        if problem is not None and self._nothing_free():
            problem = files.disk_filled_up(plan)
        error = None if self._cancelled else problem or self._why(child, worth)
        if worth.mended:
            notes.append(
                f"perf could not complete its file; {units.count(worth.grown.samples or 0)} samples were saved."
            )
        # A target that ended by itself may leave children; what they do is its own business.
        if (error is not None or self._asked is not None) and (count := end_session(child.pid)):
            whose = "process" if count == 1 else "processes"
            starter = f"{tool.title} had" if self._attached else "the target had"
            notes.append(f"{count} {whose} that {starter} started ended with it.")
        elif error is None and self._asked is None and PERF_DATA in plan.artifacts:
            left = survivors(self._growth.not_ended, since=self._started_at)
            notes += filter(None, [survivors_sentence(left, session=child.pid)])
        if self._is_target:
            files.remove_pipes(plan, child.pid)
        # A target too short to be seen has run as long as the tool.
        seconds = self._elapsed if self._target is not None else ended - self._began
        mirrored = self._is_target or (plan.mirrors_target and worth.whole)
        code = child.returncode if mirrored else self._witnessed
        if plan.target_is is TargetIs.CHILD and mirrored:
            # What was seen comes first: perf stat ends with 0 where its program was killed.
            told = signal_told(self._words["tool"] + self._words["stderr"], plan.target.argv[0]) if not code else None
            code = self._witnessed if self._witnessed is not None else -told if told is not None else code
        target = Outcome.of(
            plan.target.name,
            code if not self._attached else self._witnessed,
            seconds,
            ended_by=self._ended_by(error, alive=alive),
            forced=self._forced,
        )
        for path in self._output.values():
            if path.is_file() and (self._cancelled or path.stat().st_size == 0):
                path.unlink()
        if self._cancelled:
            files.drop(plan, self._asked_files)
        kept = {**plan.artifacts, **{path.name: path for path in (*left_files(plan), *sorted(self._asked_files))}}
        if worth.result is not None and worth.result not in kept.values():
            kept[plan.primary] = worth.result
        kept |= self._output
        return Finished(
            target=target,
            tool=Outcome.of(
                tool.title,
                0 if mirrored else child.returncode,
                ended - self._began,
                ended_by=self._asked or Ending.ITSELF if self._attached else Ending.ITSELF,
            ),
            artifacts=MappingProxyType({role: path for role, path in kept.items() if path.exists()}),
            result=None if self._cancelled else worth.result,
            samples=worth.grown.samples,
            lost=worth.grown.lost,
            cancelled=self._cancelled,
            error=error,
            notes=tuple(notes),
        )

    @property
    def _witnessed(self) -> int | None:
        return self._target.returncode if self._target is not None else None

    def _ended_by(self, error: TailflameError | None, *, alive: bool) -> Ending:
        """Who ended the target. alive: it outlived its tool."""
        if self._attached:
            return Ending.NOBODY if alive else Ending.ITSELF
        if self._asked is not None:
            return self._asked
        # perf ends its target when it cannot go on; of any other tool we do, where it still runs.
        ours = PERF_DATA in self.plan.artifacts or alive
        return Ending.RECORDER if error is not None and ours else Ending.ITSELF

    def _why(self, child: Child, worth: Worth) -> TailflameError | None:
        """What is wrong with the result, in a sentence; None where nothing is."""
        plan, words = self.plan, self._words["tool"]
        if not worth.whole:
            return files.why(
                plan,
                words,
                words + self._words["stderr"],
                killed=self._tool_killed,
                seen=self._target is not None,
                crashed_by=max(0, -(child.returncode or 0)) if self._asked is None else 0,
            )
        if PERF_DATA in plan.artifacts:
            return None
        if self._nothing_free():
            return files.disk_filled_up(plan)
        title = tool_named(plan.tool).title
        if plan.target_is is TargetIs.CHILD and self._living is not None:
            return tool_named(plan.tool).explain(words, plan) or ToolFailed(
                f"{title} ended before the program that it recorded.",
                advice="What it had written by then was kept.",
                details=words,
            )
        # A file can be there although nothing was recorded: perf stat begins it with the date.
        told = child.returncode not in (0, None) and not self._is_target and self._asked is None
        return tool_named(plan.tool).explain(words, plan) if told and not plan.mirrors_target else None
