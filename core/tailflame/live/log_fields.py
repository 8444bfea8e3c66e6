"""Latencies that a program writes into its own lines: stdout, stderr, a log that grows.

A field is a series. What arrives in an interval is that interval's, whatever time stamp the line has: programs write
them in a dozen ways, and the time of arrival differs by the interval at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from tailflame.errors import StoreError
from tailflame.live.lifetime import Lifetime
from tailflame.live.log_slow import SlowLines
from tailflame.live.stages import Matrix, Stages
from tailflame.live.tail import CHUNK, Backlog, Beginning, Block, Tail
from tailflame.model.histogram import HistogramRecorder
from tailflame.model.live import (
    Armed,
    Artifact,
    Behind,
    Found,
    LatencySlice,
    Reading,
    Said,
    Status,
    Update,
)
from tailflame.parse.log_line import MOST_NS, NS, LineReader, numeric_fields, to_ns, to_numbers, unit_of
from tailflame.units import nanoseconds, size

TAKEN_LIMIT = 48
"""Fields that are taken by themselves; further ones are offered."""
FOUND_LIMIT = 256
_LOOKED_AT = 200
"""Lines of an interval that are searched for new fields; the others are read for the known ones only."""
_BEHIND_S = 1.0
RAW_LIMIT = 1 << 30
"""Bytes of the lines that are kept."""
_DIGITS = 3


class LogFields:
    """Follows the numeric fields of the lines in one or several files (`LiveSource`)."""

    name = "log"
    title = "Log fields"

    def __init__(
        self,
        paths: Path | Sequence[Path],
        *,
        fields: Iterable[str] | None = None,
        units: Mapping[str, str] | None = None,
        interval_s: float = 0.2,
        from_start: bool = False,
        pid: int | None = None,
        raw: Path | None = None,
        slow: SlowLines | None = None,
    ) -> None:
        """
        fields: names of the fields to follow; None takes every one that is a time: by its name (`validation_us`) or
            by its values ("12.3µs"). Others are offered by `Found`, and taken by `choose`.
        units: by field, "ns", "us", "ms" or "s" where the name does not tell or tells wrongly, or "" for a pure number;
            it chooses the field, too. A chosen field without a unit of time gives readings of its mean.
        from_start: also the lines that the files hold already.
        pid: whose end ends this source, once its last lines are read; None never ends.
        raw: a copy of the lines is kept here (1 GiB at most).
        slow: tells the slow events of one field one by one.

        Raises ValueError for a unit that is none.
        """
        self._tails = [
            Tail(path, from_start=from_start) for path in ([paths] if isinstance(paths, Path) else dict.fromkeys(paths))
        ]
        self._chosen = None if fields is None else tuple(fields)
        self._units = {name: _checked(unit) for name, unit in (units or {}).items()}
        self._interval_s = interval_s
        self._pid = pid
        self._raw_path = raw
        self._raw: IO[bytes] | None = None
        self._raw_left = RAW_LIMIT
        self._slow = slow
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._wishes: dict[str, str | None] = {}
        # What is known of the fields.
        self._taken: dict[str, str] = {}
        """Unit by name, in the order in which they were found."""
        self._left_out: set[str] = set()
        self._offered: dict[str, str] = {}
        self._offer_changed = False
        self._reader = LineReader(())
        # The interval that is being read.
        self._backlog = Backlog()
        self._since = 0.0
        self._rows: list[Matrix] = []
        self._recorders: dict[str, HistogramRecorder] = {}
        self._numbers: dict[str, tuple[float, int]] = {}
        self._stages = Stages()
        self._behind = False
        self._said: set[str] = set()
        self._words: list[Update] = []

    def choose(self, name: str, unit: str = "") -> None:
        """Follows one more field, from the next interval on; from any thread. ValueError for a unit that is none."""
        self._wishes[name] = _checked(unit)

    def leave(self, name: str) -> None:
        """Follows that field no more, and offers it instead; from any thread."""
        self._wishes[name] = None

    async def updates(self) -> AsyncGenerator[Update, None]:
        """Slices per field, intervals one after the other without a gap.

        Raises:
            ParseError: a file can never be read as a log.
            StoreError: the copy cannot be written.
        """
        lifetime = Lifetime(self._pid)
        try:
            await asyncio.to_thread(self._open)
            yield Armed(detail=", ".join(str(tail.path) for tail in self._tails))
            next_look = self._since + self._interval_s
            while True:
                await asyncio.sleep(max(next_look - time.monotonic(), 0.0))
                next_look = max(next_look + self._interval_s, time.monotonic())
                ended = lifetime.ended
                for update in await asyncio.to_thread(self._look, last=ended):
                    yield update
                if ended and self._backlog.oldest is None:
                    break
            if self._raw_path is not None:
                yield Artifact(role="log", path=self._raw_path)
        finally:
            self._closing.set()
            lifetime.close()
            await asyncio.to_thread(self._close)

    # In a thread, one call at a time.

    def _open(self) -> None:
        with self._lock:
            for tail in self._tails:
                tail.open()
                if tail.missing:
                    self._say(tail.missing)
            if self._raw_path is not None:
                try:
                    self._raw = self._raw_path.open("ab")
                except OSError as problem:
                    raise StoreError(
                        f"{self._raw_path} cannot be written: {problem.strerror}.",
                        advice="Choose another profiles folder.",
                    ) from problem
            for name in (*(self._chosen or ()), *self._units):
                self._take(name, self._units.get(name) if name in self._units else unit_of(name))
            self._renew()
            self._since = time.monotonic()

    def _close(self) -> None:
        with self._lock:
            for tail in self._tails:
                tail.close()
            if self._raw is not None:
                with contextlib.suppress(OSError):
                    self._raw.close()
                self._raw = None

    def _look(self, *, last: bool) -> list[Update]:
        with self._lock:
            self._follow_wishes()
            now = time.monotonic()
            self._backlog.note(now, tuple(tail.look() for tail in self._tails))
            deadline = now + self._interval_s
            left = _LOOKED_AT
            updates: list[Update] = []
            while (oldest := self._backlog.oldest) is not None:
                written_at, ends = oldest
                for tail, end in zip(self._tails, ends, strict=True):
                    while True:
                        if tail.position < end and (self._closing.is_set() or time.monotonic() > deadline):
                            return [*updates, *self._pace(now), *self._take_words()]  # the next look goes on here
                        block = tail.read(min(end - tail.position, CHUNK))
                        if block is None:
                            break
                        left -= self._read(tail, block, left)
                self._backlog.done()
                if last and self._backlog.oldest is None:
                    for tail in self._tails:
                        for block in tail.finish():
                            self._read(tail, block, left)
                updates += self._slices(written_at)
            return [*updates, *self._pace(now), *self._take_words()]

    def _read(self, tail: Tail, block: Block, look_at: int) -> int:
        """Takes the block's values; how many of its lines were searched for new fields."""
        self._keep(block.data)
        if block.beginning is Beginning.TRUNCATED:
            self._say(f"{tail.path.name} has been emptied, and is read from its beginning.")
        elif block.beginning is Beginning.REPLACED:
            self._say(f"{tail.path.name} has been replaced by a new file, which is read on.")
        if tail.too_long:
            self._say(f"{tail.path.name} has lines of more than 1 MB, which are left out.")
        lines = block.data.decode("utf-8", errors="replace").split("\n")
        if self._slow is not None:
            self._slow.take(lines)
        searched = lines[: max(look_at, 0)]
        if sum(self._search(line) for line in searched if line):  # all of them, not up to the first
            self._renew()
        names = self._reader.names
        if names and (rows := self._reader.rows(lines)):
            self._record(names, list(zip(*rows, strict=True)))
        return len(searched)

    def _record(self, names: tuple[str, ...], columns: list[tuple[object, ...]]) -> None:
        times: list[Matrix] = []
        for name, cells in zip(names, columns, strict=True):
            unit = self._taken[name]
            if not unit:
                numbers = to_numbers(cells)
                numbers = numbers[np.isfinite(numbers)]
                total, count = self._numbers.get(name, (0.0, 0))
                self._numbers[name] = (total + float(numbers.sum()), count + len(numbers))
                continue
            values = np.rint(to_ns(cells, unit))
            wrong = (values < 0) | (values > MOST_NS)
            if wrong.any():
                self._refuse(name, float(values[wrong][0]))
                values[wrong] = np.nan
            self._recorders[name].record(values[~np.isnan(values)].astype(np.int64))
            times.append(values)
        if len(times) > 1:
            self._rows.append(np.stack(times, axis=1))

    def _slices(self, end: float) -> list[Update]:
        start, length = self._since, end - self._since
        self._since = end
        told: list[Update] = [
            LatencySlice(series=name, start_s=start, length_s=length, histogram=recorder.take())
            for name, recorder in self._recorders.items()
        ]
        if self._slow is not None:
            told += self._slow.told(start, end)
        for name, (total, count) in self._numbers.items():
            mean = total / count if count else None
            status = Status.COUNTED if count else Status.EMPTY
            told.append(Reading(series=f"{name}, mean", start_s=start, length_s=length, value=mean, status=status))
            self._numbers[name] = (0.0, 0)
        names = tuple(name for name in self._reader.names if self._taken.get(name))
        if self._rows:
            # A field that was found meanwhile is the last column, and missing before.
            wide = [
                np.pad(part, ((0, 0), (0, len(names) - part.shape[1])), constant_values=np.nan) for part in self._rows
            ]
            told += self._stages.slices(names, np.concatenate(wide), start, length)
            self._rows = []
        return told

    def _pace(self, now: float) -> list[Update]:
        seconds = self._backlog.seconds(now)
        behind = seconds > _BEHIND_S or (self._behind and self._backlog.oldest is not None)
        if behind:
            self._behind = True
            unread = sum(tail.look() - tail.position for tail in self._tails)
            return [Behind(seconds=seconds, bytes=unread)]
        if self._behind:
            self._behind = False
            return [Behind(seconds=0.0, bytes=0)]
        return []

    # Which fields.

    def _search(self, line: str) -> bool:
        """Looks for fields that are not known yet; True where one is taken."""
        fresh = False
        for name, (value, unit) in numeric_fields(line).items():
            if name in self._taken or name in self._offered:
                continue
            # Nanoseconds since 1970 have the name of a time as well.
            is_time = bool(unit) and abs(value) * NS[unit] <= MOST_NS
            free = self._chosen is None and name not in self._left_out
            if is_time and free and len(self._taken) < TAKEN_LIMIT:
                self._take(name, unit)
                fresh = True
            elif len(self._offered) < FOUND_LIMIT:
                self._offered[name] = unit if is_time else ""
                self._offer_changed = True
        return fresh

    def _take(self, name: str, unit: str | None) -> None:
        self._taken[name] = unit or ""
        if self._taken[name]:
            self._recorders.setdefault(name, HistogramRecorder(digits=_DIGITS))
        else:
            self._numbers.setdefault(name, (0.0, 0))
        if self._offered.pop(name, None) is not None:
            self._offer_changed = True

    def _renew(self) -> None:
        self._reader = LineReader(tuple(self._taken))

    def _follow_wishes(self) -> None:
        while self._wishes:
            name, unit = self._wishes.popitem()
            known = self._taken.pop(name, None)
            self._rows = []  # of other columns
            self._recorders.pop(name, None)
            self._numbers.pop(name, None)
            if unit is None:
                self._left_out.add(name)
                self._offered[name] = known or ""
                self._offer_changed = True
            else:
                self._left_out.discard(name)
                self._take(name, unit or self._offered.get(name) or unit_of(name))
            self._renew()

    # Words.

    def _refuse(self, name: str, ns: float) -> None:
        what = f"{ns / NS['s']:g} s" if ns > MOST_NS or ns < -NS["s"] else f"−{nanoseconds(-ns)}"
        self._say(f"{name} was {what} in a line, which is no latency: such values are left out.", key=f"refused {name}")

    def _say(self, text: str, *, key: str = "") -> None:
        """Once for each text, or `key`."""
        if (key or text) not in self._said:
            self._said.add(key or text)
            self._words.append(Said(text=text))

    def _take_words(self) -> list[Update]:
        words, self._words = self._words, []
        if self._offer_changed:
            self._offer_changed = False
            words.append(Found(names=dict(self._offered)))
        return words

    def _keep(self, data: bytes) -> None:
        if self._raw is None:
            return
        try:
            if len(data) > self._raw_left:
                raise OSError(0, f"it has more than {size(RAW_LIMIT)}")
            self._raw.write(data)
            self._raw_left -= len(data)
        except OSError as problem:
            self._say(f"The lines are no longer copied to {self._raw_path}: {problem.strerror}.")
            with contextlib.suppress(OSError):
                self._raw.close()
            self._raw = None


def _checked(unit: str) -> str:
    if unit and unit not in NS:
        raise ValueError(f"“{unit}” is no unit of time: ns, us, ms or s")
    return unit
