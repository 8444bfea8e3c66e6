"""Where the CPU time goes, of a program that runs: `perf record -p`, switched on and off while other sources look on.

perf attaches to every thread and takes samples; it stops and changes nothing in the program, and nothing of it is left
there when it ends.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tailflame.errors import TailflameError, ToolFailed
from tailflame.live.launcher import Launcher, Running, start
from tailflame.model.live import Armed, Artifact, Reading, Said, Update

_TICK_S = 0.5
_ARMING_TICK_S = 0.02
_STOP_GRACE_S = 60.0
"""perf looks up what it has met before it ends: a second or two here, more with many libraries on a busy machine."""
_HEAD = struct.Struct("<8sQQQQQQ")  # magic, header size, attr size, attrs {offset, size}, data {offset, size}


class Growth(Protocol):
    """What stands in the file so far, as `run.perf_file.GrowingPerfFile` counts it."""

    @property
    def bytes(self) -> int: ...
    @property
    def samples(self) -> int: ...
    @property
    def lost(self) -> int: ...


class CpuRecording:
    """A live source: how much is recorded so far, and at its end the file, which opens as a result.

    argv: as `tools.perf_record.attach_argv` makes it, with `out` for its file. explain: perf's words as an error, such
    as `tools.perf_record.explain_attach`. look: counts the samples in the file; without it only bytes are told.
    """

    name = "cpu"
    title = "CPU recording"

    def __init__(
        self,
        out: Path,
        argv: Sequence[str],
        *,
        explain: Callable[[str, Path], TailflameError | None] = lambda _output, _out: None,
        look: Callable[[], Growth] | None = None,
        launcher: Launcher = start,
    ) -> None:
        self.out = out
        self.argv = tuple(argv)
        self._explain = explain
        self._look = look
        self._launcher = launcher
        self._running: Running | None = None
        self._finishing = False

    def finish(self) -> None:
        """Ends the recording politely: `updates` then yields its file and ends by itself."""
        self._finishing = True
        if self._running is not None:
            self._running.interrupt()

    async def updates(self) -> AsyncGenerator[Update, None]:
        """`Armed` when perf samples, readings twice a second, and the file as an `Artifact`.

        Where this is closed instead of ended with `finish`, the file is complete as well, but nobody is told.

        Raises:
            ToolMissing: perf is not installed.
            ToolDenied: the kernel, or the helper, does not permit it.
            TargetError: the program has ended.
            ToolFailed: perf ended for another reason.
        """
        await asyncio.to_thread(self.out.unlink, missing_ok=True)
        self._running = running = await self._launcher(self.argv)
        try:
            await self._armed(running)
            began = time.monotonic()
            yield Armed(detail=f"perf record, into {self.out.name}")
            meter = _Meter(began, self._growth())
            while running.returncode is None:
                try:
                    async with asyncio.timeout(_TICK_S):
                        await running.wait()
                except TimeoutError:
                    for update in meter.read(time.monotonic(), await asyncio.to_thread(self._growth)):
                        yield update
            for update in meter.read(time.monotonic(), await asyncio.to_thread(self._growth), last=True):
                yield update
            for update in self._result(running):
                yield update
        finally:
            await running.stop(grace_s=_STOP_GRACE_S)

    async def _armed(self, running: Running) -> None:
        """perf writes the head of its file when all its counters are open."""
        while running.returncode is None and not _size(self.out):
            if self._finishing:
                running.interrupt()
            try:
                async with asyncio.timeout(_ARMING_TICK_S):
                    await running.wait()
            except TimeoutError:
                continue
        if not _size(self.out):
            raise self._failure(running)

    def _result(self, running: Running) -> Iterator[Update]:
        if not is_complete(self.out):
            failure = self._failure(running)
            yield Said(text=f"The recording has no proper end: {failure.sentence}", fix=failure.advice)
        yield Artifact(role="perf.data", path=self.out, opens=True)

    def _failure(self, running: Running) -> TailflameError:
        said = running.stderr_text()
        return self._explain(said, self.out) or ToolFailed(
            f"perf has ended with {running.returncode} and has left no recording.", details=said
        )

    def _growth(self) -> Growth:
        return self._look() if self._look is not None else _Bytes(_size(self.out))


@dataclass(frozen=True, slots=True)
class _Bytes:
    """The size alone."""

    bytes: int
    samples: int = 0
    lost: int = 0


class _Meter:
    """Turns the state of the file into readings over time."""

    def __init__(self, began: float, growth: Growth) -> None:
        self._at = began
        self._before = growth

    def read(self, now: float, growth: Growth, *, last: bool = False) -> Iterator[Update]:
        """Totals, not rates: perf writes a buffer when it is half full, which of small stacks takes seconds."""
        length = max(now - self._at, 1e-3)
        if last and length < _TICK_S / 2 and growth == self._before:
            return
        if growth.samples:
            yield self._reading("samples", float(growth.samples), "", length)
        yield self._reading("recorded", float(growth.bytes), "B", length)
        if growth.lost:
            yield self._reading("lost samples", float(growth.lost), "", length)
        self._at, self._before = now, growth

    def _reading(self, series: str, value: float, unit: str, length: float) -> Reading:
        return Reading(series=series, start_s=self._at, length_s=length, value=value, unit=unit)


def is_complete(path: Path) -> bool:
    """Whether perf has ended well: only then it writes the length of the records into the head."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
    except FileNotFoundError:
        return False
    return len(head) == _HEAD.size and _HEAD.unpack(head)[6] > 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
