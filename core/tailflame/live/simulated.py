"""Cache and branch behaviour where there are no counters: callgrind simulates them, and dumps its counts every second.

It cannot look at a process that runs already. It runs the program once more, under valgrind, with its threads one after
the other. What it counts is exact for the program and says nothing of the time it takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tailflame.errors import TargetError, ToolFailed, ToolMissing
from tailflame.live.launcher import Running, start
from tailflame.model.counter_ratios import SIMULATED, derived
from tailflame.model.live import Armed, Reading, Said, Update

EVENTS = ("Ir", "Dr", "Dw", "I1mr", "D1mr", "D1mw", "ILmr", "DLmr", "DLmw", "Bc", "Bcm", "Bi", "Bim")
"""What callgrind counts: instructions, data reads and writes, misses of each in L1 and in the last level, conditional
and indirect branches and what was guessed wrong."""

SHORTEST_S = 0.5
"""A dump takes 0.1 to 0.3 s, in which the program stands still."""
_ANSWER_S = 30.0
"""For one dump. A program that is blocked in the kernel is woken by vgdb."""
_START_S = 60.0
_GRACE_S = 3.0
"""It is a copy that nobody waits for: one that is slow to end is killed."""
_HEAD = 512 * 1024  # the program's whole command line stands in it
_OUT = "callgrind.out"


class SimulatedCounters:
    """Runs `argv` under callgrind and reads its counts every `interval_s` seconds, until it ends or is let go of.

    Every series begins with "simulated " and every reading is marked as simulated. A reading's time is that at which
    vgdb says that the counts are written: right to within the dump's own time, 0.1 to 0.3 s.
    """

    name = "simulated"
    title = "Simulated counters"

    def __init__(
        self,
        argv: Sequence[str],
        folder: Path,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        interval_s: float = 1.0,
        valgrind: str = "valgrind",
    ) -> None:
        """folder: where the program's stdout and stderr are kept, and valgrind's messages."""
        if interval_s < SHORTEST_S:
            raise ValueError(f"callgrind cannot dump more often than every {SHORTEST_S} s")
        self.argv = tuple(argv)
        self.folder = folder
        self.interval_s = interval_s
        self._cwd, self._env = cwd, env
        self._valgrind = valgrind

    def command(self, scratch: Path) -> tuple[str, ...]:
        """valgrind's command line; `scratch` takes the dumps and vgdb's pipes."""

        def literal(path: Path) -> str:
            return str(path).replace("%", "%%")

        return (
            self._valgrind,
            "--tool=callgrind",
            "--cache-sim=yes",
            "--branch-sim=yes",
            f"--callgrind-out-file={literal(scratch / _OUT)}",
            f"--log-file={literal(self._log)}",
            f"--vgdb-prefix={literal(scratch / 'vgdb')}",
            "--",
            *self.argv,
        )

    @property
    def _log(self) -> Path:
        return self.folder / "valgrind.log"

    async def updates(self) -> AsyncGenerator[Update, None]:
        vgdb = shutil.which("vgdb")
        if shutil.which(self._valgrind) is None or vgdb is None:
            raise ToolMissing("valgrind is not installed.", advice="Install it: sudo apt install valgrind")
        # A short path of our own: the names of vgdb's pipes are derived from it, and nothing is left in /tmp.
        with tempfile.TemporaryDirectory(prefix="tailflame-", ignore_cleanup_errors=True) as made:
            scratch = Path(made)
            began = time.monotonic()
            running = await start(
                self.command(scratch),
                env=self._env,
                stdout=self.folder / "simulated.stdout",
                cwd=self._cwd,
                # SIGINT may be ignored by what a shell has put into the background; both let callgrind write.
                stop_signal=signal.SIGTERM,
            )
            try:
                async for update in self._told(running, _Dumps(scratch, vgdb, began)):
                    yield update
            finally:
                await running.stop(grace_s=_GRACE_S)
                with contextlib.suppress(OSError):
                    (self.folder / "simulated.stderr").write_text(running.stderr_text())

    async def _told(self, running: Running, dumps: _Dumps) -> AsyncGenerator[Update, None]:
        async with asyncio.timeout(_START_S):
            while not await dumps.ask(running):
                if running.returncode is not None:
                    raise await asyncio.to_thread(self._failure, running)
                await asyncio.sleep(0.1)
        readings = dumps.take()
        yield Armed(detail="callgrind runs the program once more")
        yield Said(
            text="These counters are simulated: callgrind runs the program a second time, for itself, about 20 times "
            f"slower and one thread at a time. {'; '.join(dumps.caches)}."
        )
        due = time.monotonic()
        while True:
            for reading in readings:
                yield reading
            due = max(due + self.interval_s, time.monotonic())
            if await _ended(running, due - time.monotonic()):
                break
            if not await dumps.ask(running) and running.returncode is None:
                yield Said(text="callgrind did not answer; the next interval has what this one lacks.")
            readings = dumps.take()
        for reading in dumps.take(last=True):
            yield reading

    def _failure(self, running: Running) -> ToolFailed | TargetError:
        """valgrind has ended before it ever answered: the program may be short, or not be one."""
        log = self._log.read_text(errors="replace") if self._log.exists() else ""
        text = f"{running.stderr_text()}{log}"
        if running.returncode == 0 or "Collected" in text:
            return TargetError(
                f"{self.argv[0]} had ended before callgrind could be asked for its counts.",
                advice="Give it something longer to do.",
                details=text,
            )
        first = next((line.strip() for line in running.stderr_text().splitlines() if line.strip()), "")
        return ToolFailed(
            f"callgrind could not run {self.argv[0]}: {first or f'it ended with {running.returncode}'}.", details=text
        )


async def _ended(running: Running, seconds: float) -> bool:
    """Waits, and no longer than the program runs; whether it has ended."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await running.wait()
    return running.returncode is not None


@dataclass(slots=True)
class _Dumps:
    """callgrind's dumps: each has the counts since the one before."""

    scratch: Path
    vgdb: str
    before_s: float
    caches: tuple[str, ...] = ()
    at_s: float = field(init=False, default=0.0)

    async def ask(self, running: Running) -> bool:
        """Has callgrind write its counts; False where it does not answer."""
        argv = (self.vgdb, f"--vgdb-prefix={self.scratch / 'vgdb'}", f"--pid={running.pid}", "dump")
        asking = await start(argv, stdout=self.scratch / "vgdb.out")
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await asking.wait() == 0
        except TimeoutError:
            return False
        finally:
            await asking.stop(grace_s=0.5)
            self.at_s = time.monotonic()

    def take(self, *, last: bool = False) -> list[Reading]:
        """The readings of what has been written, which is then removed. last: what callgrind writes at its end."""
        paths = sorted(self.scratch.glob(f"{_OUT}.*"), key=lambda path: _number(path.suffix))
        if last:
            self.at_s = time.monotonic()
            paths.append(self.scratch / _OUT)
        counts: dict[str, int] = {}
        for path in paths:
            found, caches = read_dump(path)
            self.caches = self.caches or caches
            for event, count in found.items():
                counts[event] = counts.get(event, 0) + count
            path.unlink(missing_ok=True)
        if not counts:
            return []
        length_s = self.at_s - self.before_s
        readings = [
            Reading(series=SIMULATED + event, start_s=self.before_s, length_s=length_s, value=count, simulated=True)
            for event, count in counts.items()
        ]
        self.before_s = self.at_s
        return [*readings, *derived(readings)]


def _number(suffix: str) -> int:
    return int(suffix[1:]) if suffix[1:].isdigit() else 0


def read_dump(path: Path) -> tuple[dict[str, int], tuple[str, ...]]:
    """(count by event, the caches as callgrind describes them) of a callgrind file; nothing where there is none.

    `summary:` stands in the head and is as long as its last count that is not 0: what is missing is 0.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            head = file.read(_HEAD)
    except FileNotFoundError:
        return {}, ()
    lines = dict(_fields(head))
    caches = tuple(m[1] for m in re.finditer(r"^desc: ((?:I1|D1|LL) cache: .*)$", head, re.MULTILINE))
    events, counts = lines.get("events", "").split(), lines.get("summary", "").split()
    if not events or not all(count.isdigit() for count in counts) or "summary" not in lines:
        return {}, caches
    padded = [int(count) for count in counts] + [0] * len(events)
    return dict(zip(events, padded, strict=False)), caches


def _fields(head: str) -> Iterator[tuple[str, str]]:
    for line in head.splitlines():
        key, colon, value = line.partition(":")
        if colon and key in ("events", "summary"):
            yield key, value
