"""Profiles a running process for hours: perf in slices of time, each read as it closes, within a stated budget.

perf changes files by itself (`--switch-output=60s`) and goes on; what it has closed is read, stored as a columnar
profile, and made coarser as it grows old. CPU is spent from a purse: what perf and we have used is taken from what the
budget allows for the time gone by. Where it is empty, slices wait to be read; where perf alone takes more than the
budget, it is started anew at a lower frequency. Both are said.

The slices outlive us: perf closes its file when we are killed (`guard`), and the next Tailflame reads what is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import time
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path

from tailflame import units
from tailflame.analyse.slices import Slice, within
from tailflame.errors import ParseError, StoreError, TailflameError, ToolFailed
from tailflame.host.system import Host
from tailflame.live.launcher import Launcher, Running, start
from tailflame.model import Meta, StackBuilder
from tailflame.model.live import Armed, Artifact, Said, Update
from tailflame.model.slices import Overhead, Sliced, SliceFigures
from tailflame.parse import load
from tailflame.run.perf_file import GrowingPerfFile, is_finished, mend
from tailflame.store.owner import start_ticks
from tailflame.store.slice_store import INDEX, RAW, SlicesHead, SliceStore
from tailflame.tools.perf_record import CallGraph, PerfOptions, attach_argv, explain_attach

ROLE = "slices"
"""Of the artifact that a live run keeps."""
LEAST_FREQUENCY = 11
_LOWER = (99, 49, 23, LEAST_FREQUENCY)
_ARMING_TICK_S = 0.02
_TICK_S = 0.25
_LONGEST_TICK_S = 5.0
_STOP_GRACE_S = 20.0
"""perf closes its file in some hundredths of a second; of one that was killed the file is mended."""
_LATE_S = 1.0
"""perf sets its alarm before it is ready to heed it: on a loaded machine the first one of a short slice is lost, and
with it all others, as each is set when the one before it has closed a file. A slice so late is asked for."""
_STUCK_S = 4.0
"""Where that does not help, perf is started anew."""
_MOST_CREDIT_S = 60.0
_JUDGED = 4
"""Slices after which perf's own cost is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuousOptions:
    """What is recorded, and what it may cost."""

    slice_s: int = 60
    """Whole seconds: perf takes no others."""
    frequency: int = 99
    event: str = "cpu-clock"
    call_graph: CallGraph = CallGraph.FRAME_POINTERS
    cpu_share: float = 0.01
    """Of one core, perf and reading together."""
    disk_bytes: int = 1 << 30
    most_slices: int = 720
    """Half a day of minutes; what is older is coarser."""
    credit_s: float = 4.0
    """CPU seconds that may be spent before any were earned: the first reading looks up every symbol."""


def recording_options(
    host: Host,
    *,
    slice_s: int = 60,
    frequency: int = 99,
    call_graph: str = "fp",
    cpu_share: float = 0.01,
    disk_bytes: int = 1 << 30,
) -> ContinuousOptions:
    """As this machine can do it: cycles where it counts them, the clock of the CPU elsewhere."""
    return ContinuousOptions(
        slice_s=slice_s,
        frequency=frequency,
        event=host.default_event,
        call_graph=CallGraph(call_graph),
        cpu_share=cpu_share,
        disk_bytes=disk_bytes,
    )


def left_name(data: Path) -> Path:
    """A name like those that perf gives, for a file that it could not close."""
    return data.with_name(f"{data.name}.{time.time_ns() // 1000:016d}")


def own_thread_cpu_s() -> float:
    """CPU seconds of the calling thread, and of the children that have ended."""
    return _used(resource.getrusage(resource.RUSAGE_THREAD)) + _used(resource.getrusage(resource.RUSAGE_CHILDREN))


def own_process_cpu_s() -> float:
    """CPU seconds of this process without its children."""
    return time.process_time()


def _used(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


class Continuous:
    """A live source: `Sliced` for each slice that was closed or read, `Said` for what a user should know.

    Its last word is an `Artifact`: the index of the slices in `folder`. own_process: everything this process uses is
    for the recording (a command line), and counts.
    """

    name = "slices"
    title = "Continuous profile"

    def __init__(
        self,
        folder: Path,
        pid: int,
        *,
        program: str = "",
        options: ContinuousOptions | None = None,
        launcher: Launcher = start,
        own_process: bool = False,
    ) -> None:
        self.folder = folder
        self.pid = pid
        self.program = program or f"process {pid}"
        self.options = options or ContinuousOptions()
        self.store = SliceStore(folder)
        self.outcome = ""
        """How it ended: a sentence. Empty while it runs."""
        self.error: TailflameError | None = None
        """Why it ended before anybody asked for it."""
        self._launcher = launcher
        self._own_process = own_process
        self._started = start_ticks(pid)
        self._frequency = self.options.frequency
        self._running: Running | None = None
        self._finishing = False
        self._woken = asyncio.Event()
        self._epoch_s = time.time() - time.monotonic()
        self._began = time.monotonic()
        self._since = self._began
        self._switched = self._began
        """When perf was started, or was last seen to have closed a file."""
        self._rung = False
        self._number = 0
        self._wanted_until = float("-inf")
        self._waiting: deque[tuple[Path, SliceFigures]] = deque()
        self._seen: set[str] = set()
        self._perf_before = 0.0
        """CPU seconds of the perfs that have ended."""
        self._perf_now: float | None = 0.0
        self._own_s = 0.0
        self._process_then = own_process_cpu_s()
        self._perf_marks: deque[tuple[float, float]] = deque(maxlen=_JUDGED + 1)
        self._deferred = self._at_floor = False
        self._meta = Meta()

    def finish(self) -> None:
        """Ends the recording politely; everything recorded is read before `updates` ends."""
        self._finishing = True
        self._woken.set()
        if self._running is not None:
            self._running.interrupt()

    def read_until(self, time_s: float) -> None:
        """Reads the slices that wait, up to that time, whatever the budget says; later ones wait the longer for it.

        All of them, in their order: what is merged, or read by another process after a crash, has no gaps.
        """
        self._wanted_until = max(self._wanted_until, time_s)
        self._woken.set()

    @property
    def argv(self) -> tuple[str, ...]:
        """perf's command line, as it would be started now."""
        options = PerfOptions(
            call_graph=self.options.call_graph,
            frequency=self._frequency,
            events=(self.options.event,),
            # No copy of every binary into ~/.debug; names are looked up when a slice is read, which is soon.
            extra=("--no-buildid-cache", f"--switch-output={self.options.slice_s}s"),
        )
        return attach_argv(options, self.pid, self.folder / RAW)

    def overhead(self) -> Overhead:
        """What it has cost since it began."""
        own = own_process_cpu_s() - self._process_then if self._own_process else self._own_s
        perf = None if self._perf_now is None else self._perf_before + self._perf_now
        wall = max(time.monotonic() - self._began, 1e-3)
        return Overhead(wall_s=wall, perf_s=perf, own_s=own, disk_bytes=self.store.bytes(), frequency=self._frequency)

    async def updates(self) -> AsyncGenerator[Update, None]:
        """`Armed` when perf samples; what it sees until the program ends, or it is asked to finish.

        Raises:
            ToolMissing, ToolDenied, TargetError: it cannot begin.
            StoreError: the folder cannot be written to.
        """
        head = SlicesHead(
            epoch_s=self._epoch_s,
            pid=self.pid,
            program=self.program,
            slice_s=self.options.slice_s,
            frequency=self._frequency,
        )
        await asyncio.to_thread(self._begin, head)
        try:
            await self._start()
            yield Armed(detail=f"perf record at {self._frequency} Hz, a slice each {self.options.slice_s} s")
            try:
                async for update in self._record():
                    yield update
            except StoreError as problem:
                # The disk takes no more: what was recorded stays as perf's own files.
                self.error = problem
                self.outcome = problem.sentence
        finally:
            await self._let_go()
        async for update in self._last_words():
            yield update
        yield Artifact(role=ROLE, path=self.folder / INDEX)

    def _begin(self, head: SlicesHead) -> None:
        """In a thread. Switched on anew in the same run it goes on where it was."""
        if not (self.folder / INDEX).is_file():
            self.store.begin(head)
            return
        self._epoch_s = self.store.head().epoch_s
        self.store.open()
        self._number = self.store.rows[-1].last if self.store.rows else 0
        self._seen = {path.name for path in self.store.raws()}

    # perf.

    async def _start(self) -> None:
        """Until perf samples: it writes the head of its file when all its counters are open."""
        data = self.folder / RAW
        self._running = running = await self._launcher(self.argv)
        while running.returncode is None and not _size(data):
            if self._finishing:
                running.interrupt()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ARMING_TICK_S):
                    await running.wait()
        if not _size(data) and not self.store.raws(known=self._seen):
            said = running.stderr_text()
            raise explain_attach(said, data) or ToolFailed(
                f"perf has ended with {running.returncode} and has left no recording.", details=said
            )
        self._since = self._switched = time.monotonic()
        self._rung = False
        self._perf_now = _cpu_of(running.pid)
        self._perf_marks.clear()
        self._perf_marks.append((self._since, self._perf_total()))

    async def _let_go(self) -> None:
        if self._running is not None and self._running.returncode is None:
            await self._running.stop(grace_s=_STOP_GRACE_S)

    async def _record(self) -> AsyncGenerator[Update, None]:
        while True:
            running = self._running
            assert running is not None
            # Looking costs as well: of a long slice it does not matter when in a second or two it is found.
            tick = min(max(_TICK_S, self.options.slice_s / 30), _LONGEST_TICK_S)
            if running.returncode is None:
                await self._pause(running, tick)
            ended = running.returncode is not None
            self._perf_now = _cpu_of(running.pid) if not ended else self._perf_now
            fresh = await asyncio.to_thread(self._closed)
            for row in fresh:
                yield self._told(row)
            if ended:
                return
            if fresh:
                self._switched, self._rung = time.monotonic(), False
            elif self._stuck(running):
                yield Said(text="perf had stopped closing its slices: it is started anew.")
                await self._start_anew(self._frequency)
                continue
            async for update in self._read_within_means():
                yield update
            if self._too_dear():
                lower, said = self._judgement()
                yield said
                if lower is not None:
                    await self._start_anew(lower)
                    for row in await asyncio.to_thread(self._closed):
                        yield self._told(row)

    async def _pause(self, running: Running, seconds: float) -> None:
        """So long, or until perf has ended, or somebody wants something."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
                end = tasks.create_task(running.wait(), name="waiting for perf")
                end.add_done_callback(lambda _end: self._woken.set())
                await self._woken.wait()
                end.cancel()
        self._woken.clear()

    def _stuck(self, running: Running) -> bool:
        """Whether a slice does not come, though perf was asked for it."""
        late = time.monotonic() - self._switched - self.options.slice_s
        if self._finishing or late < _LATE_S:
            return False
        if not self._rung:
            self._rung = True
            if running.pid > 0:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(running.pid, signal.SIGALRM)
        return late > _LATE_S + _STUCK_S + self.options.slice_s

    async def _start_anew(self, frequency: int) -> None:
        assert self._running is not None
        await self._running.stop(grace_s=_STOP_GRACE_S)
        self._closed_since_end()
        self._frequency = frequency
        if not self._finishing and self._alive():
            await self._start()

    def _alive(self) -> bool:
        """Whether the program still runs: not as a zombie that nobody has taken note of, nor as another one."""
        return start_ticks(self.pid) == self._started and not has_ended(self.pid)

    def _closed_since_end(self) -> None:
        self._perf_before += self._perf_now or 0.0
        self._perf_now = None if self._perf_now is None else 0.0

    def _perf_total(self) -> float:
        return self._perf_before + (self._perf_now or 0.0)

    def _perf_share(self) -> float:
        """Of one core, over the slices that are judged."""
        if len(self._perf_marks) < 2:
            return 0.0
        (then, used), (now, used_now) = self._perf_marks[0], self._perf_marks[-1]
        return (used_now - used) / max(now - then, 1e-3)

    def _too_dear(self) -> bool:
        """Whether perf alone does not keep the budget, and nothing has been said of it."""
        known = len(self._perf_marks) > _JUDGED and self._perf_now is not None
        return known and not self._finishing and not self._at_floor and self._perf_share() > self.options.cpu_share

    def _judgement(self) -> tuple[int | None, Said]:
        """The next lower frequency, None where there is none, and what to say of it."""
        lower = next((one for one in _LOWER if one < self._frequency), None)
        takes = f"perf takes {units.percent(self._perf_share())} of a core, above the budget of "
        takes += units.percent(self.options.cpu_share)
        cheaper = "Longer slices cost less: perf writes down the kernel's symbols at the start of each."
        if lower is None:
            self._at_floor = True
            return None, Said(text=f"{takes}, even at {self._frequency} Hz.", fix=cheaper)
        return lower, Said(
            text=f"{takes}: the frequency goes down from {self._frequency} to {lower} Hz. Counts before and after are "
            "not of one scale; weights by CPU time are.",
            fix=cheaper,
        )

    # Slices.

    def _closed(self) -> list[SliceFigures]:
        """What perf has closed since the last look; in a thread."""
        fresh = []
        for path in self.store.raws(known=self._seen):
            self._seen.add(path.name)
            end = path.stat().st_mtime_ns / 1e9 - self._epoch_s
            self._number += 1
            start, self._since = self._since, max(end, self._since)
            row = SliceFigures(
                first=self._number,
                last=self._number,
                start_s=start,
                length_s=max(end - start, 1e-3),
                samples=float(GrowingPerfFile(path).look().samples),
                source=path.name,
                waiting=True,
            )
            self._waiting.append((path, row))
            self._perf_marks.append((time.monotonic(), self._perf_total()))
            fresh.append(row)
        return fresh

    @property
    def rows(self) -> tuple[SliceFigures, ...]:
        """All slices there are, those that wait to be read last."""
        return (*self.store.rows, *(row for _, row in self._waiting))

    def _told(self, row: SliceFigures) -> Sliced:
        return Sliced(rows=self.rows, row=row, overhead=self.overhead())

    def _credit(self) -> float:
        """CPU seconds that may be spent now."""
        overhead = self.overhead()
        earned = min(self.options.cpu_share * overhead.wall_s, _MOST_CREDIT_S + overhead.share * overhead.wall_s)
        return self.options.credit_s + earned - (overhead.perf_s or 0.0) - overhead.own_s

    async def _read_within_means(self) -> AsyncGenerator[Update, None]:
        while self._waiting and not self._finishing:
            full = await asyncio.to_thread(self.store.bytes) > self.options.disk_bytes
            row = self._waiting[0][1]
            wanted = row.start_s + row.length_s / 2 < self._wanted_until
            if self._credit() <= 0 and not full and not wanted:
                if not self._deferred:
                    self._deferred = True
                    yield Said(
                        text=f"Reading slices would take more than {units.percent(self.options.cpu_share)} of a core: "
                        "they wait until it is affordable, and are all read at the end.",
                        fix="Longer slices or a larger CPU budget.",
                    )
                return
            for update in await self._read_next():
                yield update

    async def _read_next(self) -> list[Update]:
        path, row = self._waiting[0]
        try:
            read, said = await asyncio.to_thread(self._measured, path, row)
        finally:
            if self._waiting and self._waiting[0][0] == path:
                self._waiting.popleft()
        return [*said, self._told(read)]

    def _measured(self, path: Path, row: SliceFigures) -> tuple[SliceFigures, list[Update]]:
        """Reads and stores one slice, and keeps the budget of the disk; in a thread."""
        before = own_thread_cpu_s()
        try:
            part, said = self._slice(path, row)
            read = self.store.add(part, meta=self._meta, raw=path)
            self.store.coarsen(budget=self.options.disk_bytes, most=self.options.most_slices)
        finally:
            self._own_s += own_thread_cpu_s() - before
        return read, said

    def _slice(self, path: Path, row: SliceFigures) -> tuple[Slice, list[Update]]:
        said: list[Update] = []
        profile, note = StackBuilder().build(), ""
        if row.samples or not is_finished(path):
            try:
                recording = load(path)
                profile = recording.profile or profile
                self._meta = replace(recording.meta, duration_s=None, lost=None)
            except ParseError as problem:
                note = problem.sentence
                said.append(Said(text=f"A slice could not be read: {problem.sentence}", fix=problem.advice))
        profile = within(profile, row.start_s, row.length_s)
        part = Slice(row.start_s, row.length_s, profile, row.source, row.first, row.last, note)
        return part, said

    # The end.

    async def _last_words(self) -> AsyncGenerator[Update, None]:
        """Everything that was recorded is read, whatever it costs: the program is no longer being watched."""
        running = self._running
        assert running is not None
        self._closed_since_end()
        left = self.folder / RAW
        if await asyncio.to_thread(_mended, left):
            await asyncio.to_thread(left.rename, left_name(left))
        for row in await asyncio.to_thread(self._closed):
            yield self._told(row)
        if self.error is None:
            self._say_why(running)
        try:
            while self._waiting and not isinstance(self.error, StoreError):
                for update in await self._read_next():
                    yield update
        except StoreError as problem:
            self.error = self.error or problem
            self.outcome = problem.sentence
        if self.error is not None:
            yield Said(text=self.error.sentence, fix=self.error.advice)
        elif self.outcome:
            yield Said(text=self.outcome)

    def _say_why(self, running: Running) -> None:
        if self._finishing:
            self.outcome = "The recording was stopped; the program runs on."
            return
        if not self._alive():
            self.outcome = f"{self.program} has ended, and with it the recording."
            return
        said = running.stderr_text()
        kept = f"{len(self.rows)} slices are kept."
        self.error = explain_attach(said, self.folder / RAW) or ToolFailed(
            f"perf has ended with {running.returncode} while the program runs on; {kept}", details=said
        )
        self.outcome = self.error.sentence


def _mended(path: Path) -> bool:
    """Whether a file is left that perf did not close, and holds something."""
    if not path.is_file():
        return False
    with contextlib.suppress(OSError):
        return is_finished(path) or mend(path)
    return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return True
    return stat[stat.rindex(")") + 2] in "ZX"


def _cpu_of(pid: int) -> float | None:
    """CPU seconds of a process and its ended children; None where it is not known."""
    if pid <= 0:
        return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
