"""A HdrHistogram interval log (.hlog) that grows: each interval as it is written, tag by tag."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path

from tailflame.live.lifetime import Lifetime
from tailflame.live.tail import CHUNK, Beginning, Block, Tail
from tailflame.model.live import Armed, Found, LatencySlice, Said, Update
from tailflame.parse.hlog import LogClock, is_interval, read_interval

UNTAGGED = "untagged"
"""The series of intervals without a tag."""
LINE_LIMIT = 32 << 20
"""Bytes of the longest line: the counts of five digits over the whole range."""
TAGS_LIMIT = 256
_SECOND_MILLENNIUM_S = 1e9
"""September 2001. No earlier stamp is one of the epoch: it counts from a start that the log does not tell."""


class HdrLogTail:
    """Follows an interval log (`LiveSource`); values are taken as nanoseconds, as HdrHistogram's own tools do."""

    name = "hdr-log"
    title = "HDR log"

    def __init__(
        self,
        path: Path,
        *,
        tags: Iterable[str] | None = None,
        from_start: bool = False,
        fraction_ns: float | None = None,
        interval_s: float = 0.2,
        pid: int | None = None,
    ) -> None:
        """
        tags: those to follow, "" for intervals without one; None takes all. Others are offered by `Found`.
        from_start: also the intervals that the log holds already.
        fraction_ns: what 1.0 of a DoubleHistogram is in ns; without it such intervals are left out.
        pid: whose end ends this source, once the log is read; None never ends.
        """
        self._tail = Tail(path, from_start=True, line_limit=LINE_LIMIT)  # its comments tell what its stamps mean
        self._tags = None if tags is None else frozenset(tags)
        self._from_start = from_start
        self._fraction_ns = fraction_ns
        self._interval_s = interval_s
        self._pid = pid
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._new_run()
        self._offered: dict[str, str] = {}
        self._said: set[str] = set()

    async def updates(self) -> AsyncGenerator[Update, None]:
        """Raises ParseError where the path can never be read as a log."""
        lifetime = Lifetime(self._pid)
        try:
            await asyncio.to_thread(self._open)
            yield Armed(detail=str(self._tail.path))
            for said in self._say(self._tail.missing) if self._tail.missing else ():
                yield said
            more = False
            while True:
                if not more:
                    await asyncio.sleep(self._interval_s)
                ended = lifetime.ended
                updates, more = await asyncio.to_thread(self._look, last=ended)
                for update in updates:
                    yield update
                if ended and not more:
                    break
        finally:
            self._closing.set()
            lifetime.close()
            await asyncio.to_thread(self._close)

    # In a thread, one call at a time.

    def _open(self) -> None:
        with self._lock:
            self._tail.open()
            if self._from_start:
                return
            end = self._tail.look()
            while not self._closing.is_set():
                before = self._tail.position
                block = self._tail.read(min(end - before, CHUNK))
                for line in _lines(block) if block is not None else ():
                    self._clock.comment(line)
                    if self._clock_needs_one and is_interval(line):
                        self._told_a_stamp(line)
                if self._tail.position in (before, end):
                    break

    def _close(self) -> None:
        with self._lock:
            self._tail.close()

    def _look(self, *, last: bool) -> tuple[list[Update], bool]:
        """What has been written, and whether there is more."""
        with self._lock:
            end = self._tail.look()
            updates: list[Update] = []
            block = self._tail.read(CHUNK)
            if block is not None:
                updates += self._read(block)
            more = self._tail.position < end and not self._closing.is_set()
            if last and not more:
                for block in self._tail.finish():
                    updates += self._read(block)
            return updates, more

    def _read(self, block: Block) -> list[Update]:
        updates: list[Update] = []
        if block.beginning in (Beginning.TRUNCATED, Beginning.REPLACED):
            self._new_run()
            updates += self._say(f"{self._tail.path.name} has begun anew: what follows is of another run.")
        offered = len(self._offered)
        for line in _lines(block):
            if line.startswith("#"):
                self._clock.comment(line)
            elif is_interval(line):
                try:
                    tag, stamp, length, histogram = read_interval(line, fraction_ns=self._fraction_ns)
                except ValueError as problem:
                    updates += self._say(f"An interval of {self._tail.path.name} was left out: {problem}.")
                    continue
                start = self._monotonic(stamp, length)
                if self._tags is None or tag in self._tags:
                    series = tag or UNTAGGED
                    updates.append(LatencySlice(series=series, start_s=start, length_s=length, histogram=histogram))
                elif len(self._offered) < TAGS_LIMIT:
                    self._offered[tag] = "ns"
        if len(self._offered) > offered:
            updates.append(Found(names=dict(self._offered)))
        return updates

    # Times.

    def _new_run(self) -> None:
        self._clock = LogClock()
        self._clock_needs_one = True
        self._epoch_s = time.time() - time.monotonic()
        """What lies between the two clocks, at the run's start."""
        self._unknown_start_s: float | None = None
        """Where the log does not tell its start: its 0 on the monotonic clock, from when the first interval came."""

    def _told_a_stamp(self, line: str) -> None:
        """An interval from before we came: whether stamps are relative is told by the first of them."""
        try:
            _, stamp, _, _ = read_interval(line, fraction_ns=1.0)
        except ValueError:
            return
        self._clock.absolute(stamp)
        self._clock_needs_one = False

    def _monotonic(self, stamp_s: float, length_s: float) -> float:
        epoch_s = self._clock.absolute(stamp_s)
        self._clock_needs_one = False
        if epoch_s < _SECOND_MILLENNIUM_S:
            if self._unknown_start_s is None:
                self._unknown_start_s = time.monotonic() - length_s - epoch_s
            return epoch_s + self._unknown_start_s
        if epoch_s == stamp_s:  # from the wall clock itself, which may have been set meanwhile
            self._epoch_s = time.time() - time.monotonic()
        return epoch_s - self._epoch_s

    def _say(self, text: str) -> list[Update]:
        if text in self._said or len(self._said) > 100:
            return []
        self._said.add(text)
        return [Said(text=text)]


def _lines(block: Block) -> list[str]:
    return block.data.decode("utf-8", errors="replace").splitlines()
