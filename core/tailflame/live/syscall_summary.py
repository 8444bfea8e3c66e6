"""Which system calls a running program makes, for a few seconds: `strace -f -c -w -p`.

strace stops a thread twice at each of its system calls, so this is the dearest of the sources: it runs for a stated
time and then lets go. (`--seccomp-bpf`, which spares the calls that are not asked for, does not work on a program that
runs: "--seccomp-bpf is not enabled for processes attached with -p".)
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

from tailflame import units
from tailflame.errors import TailflameError, TargetError, ToolDenied, ToolFailed
from tailflame.host.privilege import tracer_of
from tailflame.host.processes import stands_still
from tailflame.live.launcher import Launcher, Running, start
from tailflame.model.live import Armed, Artifact, Reading, Said, Update
from tailflame.parse.strace_summary import SyscallTable, read_summary

SECONDS = 5.0
SHOWN = 24
"""System calls that are told of, those with the most time first; the file has them all."""
COST = (
    "While strace counts, each system call takes far longer: a program of nothing but small ones ran 50 times slower."
)
_TICK_S = 0.02
_STOP_GRACE_S = 10.0


class SyscallSummary:
    """A live source that ends by itself: one reading of rate and time for each system call, and strace's own table.

    out: the file for the table. Times are of the wall clock: waiting in a call counts.
    """

    name = "syscalls"
    title = "System calls"

    def __init__(self, pid: int, out: Path, *, seconds: float = SECONDS, launcher: Launcher = start) -> None:
        self.pid = pid
        self.out = out
        self.seconds = seconds
        self._launcher = launcher
        self._running: Running | None = None
        self._finishing = False

    @property
    def argv(self) -> tuple[str, ...]:
        return ("strace", "-f", "-c", "-w", "-o", str(self.out), "-p", str(self.pid))

    def finish(self) -> None:
        """Ends the counting before its time: `updates` then yields what there is and ends by itself."""
        self._finishing = True
        if self._running is not None:
            self._running.interrupt()

    async def updates(self) -> AsyncGenerator[Update, None]:
        """`Armed` when strace is attached to every thread; the readings come at the end, all at once.

        Raises:
            ToolMissing: strace is not installed.
            ToolDenied: the system does not permit it, or somebody else traces the program.
            TargetError: the program has ended.
            ToolFailed: strace ended for another reason.
        """
        await asyncio.to_thread(self.out.unlink, missing_ok=True)
        self._running = running = await self._launcher(self.argv)
        try:
            await self._attached(running)
            yield Armed(detail=f"strace, for {units.seconds(self.seconds)}")
            yield Said(text=COST)
            await self._until_it_runs(running)
            began = time.monotonic()
            try:
                async with asyncio.timeout(0 if self._finishing else self.seconds):
                    await running.wait()
            except TimeoutError:
                pass
            length = time.monotonic() - began
            running.interrupt()
            async with asyncio.timeout(_STOP_GRACE_S):
                await running.wait()
            for update in self._result(await asyncio.to_thread(self._tables, running), began, length):
                yield update
            yield Artifact(role="syscalls.txt", path=self.out)
        except TimeoutError as late:
            raise ToolFailed("strace does not end.", details=running.stderr_text()) from late
        finally:
            await running.stop(grace_s=_STOP_GRACE_S)

    async def _until_it_runs(self, running: Running) -> None:
        """A launched program stands still until all its sources are armed: that is none of its time."""
        while not self._finishing and stands_still(self.pid):
            try:
                async with asyncio.timeout(_TICK_S):
                    await running.wait()
                return
            except TimeoutError:
                continue

    async def _attached(self, running: Running) -> None:
        """ "strace: Process 4711 attached", or "… attached with 3 threads"."""
        while " attached" not in running.stderr_text():
            if running.returncode is not None:
                raise self._failure(running)
            try:
                async with asyncio.timeout(_TICK_S):
                    await running.wait()
            except TimeoutError:
                continue

    def _tables(self, running: Running) -> tuple[SyscallTable, ...]:
        if running.returncode in (-signal.SIGSEGV, 128 + signal.SIGSEGV):
            # strace 6.1 to 6.8 at least (https://github.com/strace/strace/issues/409): its table has no name for a
            # system call that is newer. The return probe of a function is one, from Linux 6.11 on.
            raise ToolFailed(
                "strace has crashed over a system call that it does not know, and has counted nothing.",
                advice="Count system calls while no function is probed, or install a newer strace.",
                details=running.stderr_text(),
            )
        try:
            return read_summary(self.out.read_text(errors="replace"), source=str(self.out))
        except FileNotFoundError:
            raise self._failure(running) from None

    def _result(self, tables: tuple[SyscallTable, ...], began: float, length: float) -> Iterator[Update]:
        total = sum(table.seconds for table in tables) or 1.0

        def reading(series: str, value: float, unit: str) -> Reading:
            return Reading(series=series, start_s=began, length_s=length, value=value, unit=unit)

        rows = [(f"{row.name} ({t.mode})" if t.mode else row.name, row) for t in tables for row in t.rows]
        rows.sort(key=lambda named: -named[1].seconds)
        yield reading("system calls", sum(table.calls for table in tables) / length, "/s")
        for name, row in rows[:SHOWN]:
            yield reading(f"{name}: calls", row.calls / length, "/s")
            yield reading(f"{name}: share of the time in calls", 100 * row.seconds / total, "%")
            if row.errors:
                yield reading(f"{name}: errors", row.errors / length, "/s")
        if not rows:
            yield Said(text=f"The program has finished no system call in {units.seconds(length)}.")
        elif len(rows) > SHOWN:
            yield Said(text=f"{len(rows) - SHOWN} more system calls, with less time, are in {self.out.name}.")

    def _failure(self, running: Running) -> TailflameError:
        said = running.stderr_text()
        if "No such process" in said:
            return TargetError("The program had ended before strace could attach to it.", details=said)
        if "Operation not permitted" in said or "Permission denied" in said:
            if tracer := tracer_of(self.pid):
                return ToolDenied(
                    f"The program is being traced already, by process {tracer}: only one can.",
                    advice="Let go of it there first: a debugger, or another strace.",
                    details=said,
                )
            return ToolDenied(
                "The system does not let this user trace the program.",
                advice="Install Tailflame's helper (make install-helper), or: sudo sysctl kernel.yama.ptrace_scope=0",
                details=said,
            )
        if "can't fopen" in said.lower():
            return ToolFailed(f"strace cannot write {self.out}.", details=said)
        return ToolFailed(f"strace has ended with {running.returncode} and has counted nothing.", details=said)
