"""The last seconds before something went wrong: perf samples into a ring buffer all the time, and only where a rule is
crossed what stands in the ring is kept, with the state of the scheduler and of the process at that moment.

perf is asked by SIGUSR2 (`--overwrite --switch-output=signal`); `snapshot` over its control file is acknowledged and
dumps nothing in 6.1. It writes what it holds and goes on with an empty ring, so that captures never share samples. Each
costs: perf reads the ring and looks up what stands in it, tenths of a second of another processor's time. That is why
there is at most one in `every_s` and at most `most` in a run.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

from tailflame import units
from tailflame.errors import TailflameError, ToolFailed
from tailflame.host import moment
from tailflame.live.launcher import Launcher, Running, Snapping, start
from tailflame.live.tail_rules import RuleWatch, TailRule
from tailflame.model.live import Armed, Artifact, Captured, Said, Update

EVERY_S = 10.0
MOST = 5
RING_S = 10.0
"""What a ring is to hold, where the kernel allows so large a one."""
PAGES_AT_MOST = 4096
"""Of 4 KiB, for each processor, as root; the kernel's own limit of an ordinary user is PAGES_OF_A_USER."""
PAGES_OF_A_USER = 128
_BYTES_OF_A_SAMPLE = 320
"""With a stack of 35 frames."""
_TICK_S = 0.05
_ARMING_TICK_S = 0.02
_SETTLE_S = 1.0
"""After it is armed: what has just begun to sample has nothing to tell of the seconds before."""
_SUMS_EVERY_S = 1.0
_DUMP_S = 30.0
_STOP_GRACE_S = 30.0


def ring_pages(frequency: int, *, stack_bytes: int = 0, root: bool, seconds: float = RING_S) -> int:
    """The size of the ring for each processor: a power of two."""
    wanted = int(frequency * seconds * (_BYTES_OF_A_SAMPLE + stack_bytes) / 4096)
    return int(min(1 << max(wanted - 1, 1).bit_length(), PAGES_AT_MOST if root else PAGES_OF_A_USER))


def ring_options(pages: int) -> tuple[str, ...]:
    """What makes a ring of a perf record."""
    return ("-N", "--overwrite", "--switch-output=signal", "-m", str(pages))


def limits(every_s: float, most: int) -> str:
    """For people."""
    return f"At most one capture in {units.seconds(every_s)} is made, and {most} in a run."


class TailRing:
    """A live source that hears what the others tell (`watch`), and yields `Captured` for each capture.

    argv: of perf, with `ring` below `folder` for its file; `folder` is made, and is gone at the end. Captures go to
    `out`: tail-1.data, tail-1.json ...
    """

    name = "tail"
    title = "Tail captures"

    def __init__(
        self,
        pid: int,
        out: Path,
        argv: Callable[[Path], Sequence[str]],
        rules: Sequence[TailRule],
        *,
        every_s: float = EVERY_S,
        most: int = MOST,
        explain: Callable[[str, Path], TailflameError | None] = lambda _output, _out: None,
        launcher: Launcher = start,
    ) -> None:
        self.out = out
        self.rules = tuple(rules)
        self._pid = pid
        self._folder = out / "tail-ring"
        self._argv = argv
        self._watches = [RuleWatch(rule) for rule in rules]
        self._every_s, self._most = every_s, most
        self._explain = explain
        self._launcher = launcher
        self._running: Running | None = None
        self._finishing = False
        self._armed_s: float | None = None
        self._asked: tuple[float, str] | None = None
        self._last_s = float("-inf")
        self._made = self._refused = 0
        self._number = 0
        self._news = asyncio.Event()

    def finish(self) -> None:
        """Ends it politely; a capture that is under way is completed."""
        self._finishing = True
        self._news.set()

    def watch(self, update: Update) -> None:
        """What another source has told. Called in the loop; only notes whether to look back."""
        for watch in self._watches:
            why = watch.crossed(update)
            if why:
                self.capture(why)

    def capture(self, why: str) -> bool:
        """Keeps the last seconds; False where the limits, or one that is under way, do not let it."""
        now = time.monotonic()
        if self._armed_s is None or now - self._armed_s < _SETTLE_S or self._finishing:
            return False
        if self._asked is not None or now - self._last_s < self._every_s or self._made >= self._most:
            self._refused += 1
            return False
        self._asked, self._last_s = (now, why), now
        self._made += 1
        self._news.set()
        return True

    async def updates(self) -> AsyncGenerator[Update, None]:
        """`Armed` when perf samples; `Captured` for each capture, with its file.

        Raises: as `CpuRecording.updates`.
        """
        ring = self._folder / "ring"
        await asyncio.to_thread(_emptied, self._folder)
        running = self._running = await self._launcher(self._argv(ring))
        try:
            await self._wait_until_armed(running, ring)
            self._armed_s = time.monotonic()
            yield Armed(detail=f"{'; '.join(map(str, self.rules))}. {limits(self._every_s, self._most)}")
            sums = await asyncio.to_thread(moment.sums, self._pid, time.monotonic())
            while running.returncode is None and not (self._finishing and self._asked is None):
                await self._wait(_SUMS_EVERY_S)
                if self._asked is None:
                    sums = await asyncio.to_thread(moment.sums, self._pid, time.monotonic())
                    continue
                updates = await self._captured(running, ring, sums)
                self._asked = None
                for update in updates:
                    yield update
            if running.returncode is not None and not self._finishing and await asyncio.to_thread(self._lives):
                raise self._failure(running, ring)
            if self._refused:
                yield Said(
                    text=f"In {units.count(self._refused)} more intervals a rule was crossed without a capture: "
                    f"{limits(self._every_s, self._most)[0].lower()}{limits(self._every_s, self._most)[1:]}"
                )
        finally:
            self._armed_s = None
            await running.stop(grace_s=_STOP_GRACE_S)
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _captured(self, running: Running, ring: Path, sums: moment.Sums) -> tuple[Update, ...]:
        """What came of the capture that was asked for."""
        assert self._asked is not None
        time_s, why = self._asked
        if isinstance(running, Snapping):
            running.snapshot()
        state = await asyncio.to_thread(moment.look, self._pid, time.monotonic())
        try:
            dumped = await self._dumped(running, ring)
            if dumped is None:
                return (Said(text=f"What led to “{why}” could not be kept: perf has dumped nothing."),)
            took = time.monotonic() - time_s
            self._number += 1
            path, described = (self.out / f"tail-{self._number}.{kind}" for kind in ("data", "json"))
            summary = state.summary(sums)
            await asyncio.to_thread(_keep, dumped, path, described, state, why=why, time_s=time_s, summary=summary)
            size = (await asyncio.to_thread(path.stat)).st_size
        except OSError as problem:
            return (Said(text=f"A capture cannot be kept: {problem.strerror}.", fix="Make room on the disk."),)
        return (
            Artifact(role=f"tail {self._number}", path=path, opens=True),
            Captured(time_s=time_s, why=why, path=path, summary=summary, took_s=took, bytes=size),
        )

    async def _dumped(self, running: Running, ring: Path) -> Path | None:
        """perf gives the file its name (ring.2026112521355433) when it is complete."""
        deadline = time.monotonic() + _DUMP_S
        while time.monotonic() < deadline:
            found = await asyncio.to_thread(lambda: sorted(ring.parent.glob("ring.[0-9]*")))
            if found:
                return found[0]
            if running.returncode is not None:
                return None
            await asyncio.sleep(_TICK_S)
        return None

    async def _wait_until_armed(self, running: Running, ring: Path) -> None:
        """perf writes the head of its file when all its counters are open."""
        while running.returncode is None and not await asyncio.to_thread(_size, ring) and not self._finishing:
            try:
                async with asyncio.timeout(_ARMING_TICK_S):
                    await running.wait()
            except TimeoutError:
                continue
        if running.returncode is not None:
            raise self._failure(running, ring)

    async def _wait(self, seconds: float) -> None:
        """For a wish or an end, so long at most."""
        assert self._running is not None
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass
        self._news.clear()

    def _lives(self) -> bool:
        return Path(f"/proc/{self._pid}").exists()

    def _failure(self, running: Running, ring: Path) -> TailflameError:
        said = running.stderr_text()
        return self._explain(said, ring) or ToolFailed(f"perf has ended with {running.returncode}.", details=said)


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _keep(
    dumped: Path, path: Path, described: Path, state: moment.Moment, *, why: str, time_s: float, summary: str
) -> None:
    dumped.replace(path)
    document = {
        "format": "tailflame moment",
        "version": 1,
        "why": why,
        "time_s": time_s,
        "state_s": state.sums.at_s,
        "summary": summary,
        "threads_left_out": state.left_out,
        "files": state.files,
    }
    described.write_text(json.dumps(document, indent=1, ensure_ascii=False), "utf-8")
