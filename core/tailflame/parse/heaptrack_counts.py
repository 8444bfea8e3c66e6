"""What the allocations and frees of a heaptrack file add up to: totals, the peak, and the heap at each time stamp."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tailflame.model.stacks import NONE, Bool, Float64, Int64

BATCH = 1 << 20
"""Allocations and frees that are counted by allocation info at once."""
STAMPS = 200_000
"""Time stamps that are held at once: heaptrack writes one every 10 ms, a day of them is 8.6 million."""
SIZE_LIMIT = 1 << 47
"""Bytes of one allocation: a process of a 64-bit machine has no more room."""
_ROOM = 1 << 62

_ALLOCATED, _FREED, _TEMPORARY = 0, 1, 2
_KINDS = 4


class Overflow(ArithmeticError):
    """Sizes add up to more than 64 bits hold."""


class Stamp(NamedTuple):
    """The heap at a time: milliseconds, bytes in use, calls so far, temporary ones among them; RSS in pages, -1.

    number: how many time stamps came before it.
    """

    time: int
    heap: int
    allocations: int
    temporary: int
    rss: int = NONE
    number: int = 0


@dataclass(slots=True)
class Growing:
    """A column that grows at its end."""

    held: Int64 = field(default_factory=lambda: np.zeros(1024, np.int64))
    number: int = 0

    def extend(self, values: Int64) -> None:
        end = self.number + len(values)
        if end > len(self.held):
            wider = np.zeros(max(2 * len(self.held), end), np.int64)
            wider[: self.number] = self.held[: self.number]
            self.held = wider
        self.held[self.number : end] = values
        self.number = end

    @property
    def values(self) -> Int64:
        return self.held[: self.number]


@dataclass(slots=True)
class Infos:
    """Allocation infos: the size and the trace of each (`a 78 d`)."""

    size: Growing = field(default_factory=Growing)
    trace: Growing = field(default_factory=Growing)
    largest: int = 0

    def extend(self, size: Int64, trace: Int64) -> None:
        self.size.extend(size)
        self.trace.extend(trace)
        self.largest = max(self.largest, int(size.max(initial=0)))

    def __len__(self) -> int:
        return self.size.number


@dataclass(slots=True)
class Counts:
    """Adds up events in their order. An event is an allocation or a free of a block of an allocation info.

    temporary: frees that follow the allocation of a block of the same info at once. reported: the same as
    heaptrack_print counts: it also takes every free of info 0 that follows another free.
    """

    infos: Infos
    heap: int = 0
    allocations: int = 0
    temporary: int = 0
    reported: int = 0
    peak: int = 0
    peak_at: Stamp | None = None
    time: int = 0
    stamps: list[Stamp] = field(default_factory=list)
    seen: int = 0
    """Time stamps so far; of very many the lower ones are not kept."""
    _last: int = NONE
    _last_freed: bool = True
    _table: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    _codes: Int64 = field(default_factory=lambda: np.empty(BATCH, np.int64))
    _held: int = 0
    _peak_code: int = NONE
    """Where in `_codes` the peak is, -1: in none of them."""
    _peak_blocks: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    _columns: list[Int64] = field(default_factory=list)
    _flags: list[Bool] = field(default_factory=list)

    def add(self, info: Int64, freed: Bool, stamps: list[tuple[int, int]]) -> None:
        """Events in order, BATCH at most. stamps: (how many of the events come before it, its milliseconds) of each."""
        if not len(info):
            for _, time in stamps:
                self._stamp(time, self.heap, self.allocations, self.temporary)
            return
        number = len(info)
        if self._held + number > BATCH:
            self._count()
        self._hold(number)
        running, same = self._columns[0][:number], self._flags[0][:number]
        self.infos.size.held.take(info, out=running, mode="clip")
        if abs(self.heap) + self.infos.largest * number > _ROOM:
            raise Overflow
        np.negative(running, out=running, where=freed)
        running[0] += self.heap
        np.cumsum(running, out=running)
        self._find_temporary(info, freed, same)
        code = self._codes[self._held : self._held + number]
        np.left_shift(info, 2, out=code)
        code += freed
        code += same
        highest = int(running.max())
        if highest > self.peak:
            at = int(running.argmax())
            self.peak, self._peak_code = highest, self._held + at
        else:
            at = NONE
        seen = 0
        allocated, temporary = self.allocations, self.temporary
        marks = [(upto, time, True) for upto, time in stamps]
        if at >= 0:
            marks.append((at + 1, NONE, False))
            marks.sort(key=lambda mark: (mark[0], mark[2]))  # a stamp that follows the peak comes after it
        for upto, time, is_stamp in marks:
            new_freed = int(np.count_nonzero(freed[seen:upto]))
            allocated += upto - seen - new_freed
            temporary += int(np.count_nonzero(same[seen:upto]))
            seen = upto
            heap = int(running[upto - 1]) if upto else self.heap
            if is_stamp:
                self._stamp(time, heap, allocated, temporary)
            else:
                self.peak_at = Stamp(self.time, heap, allocated, temporary, number=self.seen)
        frees = int(np.count_nonzero(freed[seen:]))
        self.allocations = allocated + number - seen - frees
        self.temporary = temporary + int(np.count_nonzero(same[seen:]))
        self.heap = int(running[-1])
        self._last, self._last_freed = int(info[-1]), bool(freed[-1])
        self._held += number

    def reset(self) -> None:
        """`A`: what came before is not of this recording."""
        self._held, self._peak_code = 0, NONE
        self._table[:] = 0
        self._peak_blocks[:] = 0
        self.heap = self.allocations = self.temporary = self.reported = self.peak = 0
        self.peak_at = None
        self.stamps.clear()
        self.seen = 0

    def thin(self) -> None:
        """Of each two time stamps keeps the one with more in use, where there are more than anybody can look at."""
        if len(self.stamps) > STAMPS:
            kept = self.stamps[:-2]
            higher = [max(pair, key=lambda stamp: stamp.heap) for pair in zip(kept[::2], kept[1::2], strict=False)]
            self.stamps = [self.stamps[0], *higher, *self.stamps[-2:]]

    def _find_temporary(self, info: Int64, freed: Bool, same: Bool) -> None:
        """Marks in `same` the frees of a block of the info that was allocated just before."""
        np.equal(info[1:], info[:-1], out=same[1:])
        same[0] = info[0] == self._last and not self._last_freed
        same &= freed
        same[1:] &= ~freed[:-1]
        zero = np.flatnonzero(info == 0)
        zero = zero[freed[zero]]
        if len(zero):
            before = freed[zero - 1]
            before[zero == 0] = self._last_freed
            self.reported += int(np.count_nonzero(before))
        self.reported += int(np.count_nonzero(same))

    def _stamp(self, time: int, heap: int, allocations: int, temporary: int) -> None:
        self.time = time
        self.stamps.append(Stamp(time, heap, allocations, temporary, number=self.seen))
        self.seen += 1

    def _hold(self, number: int) -> None:
        if not self._columns or len(self._columns[0]) < number:
            self._columns = [np.empty(number + number // 4, np.int64)]
            self._flags = [np.empty(number + number // 4, np.bool_)]

    def _count(self) -> None:
        """Counts what is held by allocation info, and forgets it."""
        room = _KINDS * len(self.infos)
        if room > len(self._table):
            self._table = np.concatenate([self._table, np.zeros(room - len(self._table), np.int64)])
        codes = self._codes[: self._held]
        if self._peak_code >= 0:
            until = self._table + np.bincount(codes[: self._peak_code + 1], minlength=len(self._table))
            self._peak_blocks = _in_use(until)
        self._table += np.bincount(codes, minlength=len(self._table))
        self._held, self._peak_code = 0, NONE

    def table(self) -> InfoCounts:
        """The counts by allocation info."""
        self._count()
        kinds = self._table.reshape(-1, _KINDS)
        peak = np.zeros(len(self.infos), np.int64)
        peak[: len(self._peak_blocks)] = self._peak_blocks
        return InfoCounts(
            allocations=kinds[:, _ALLOCATED].astype(np.float64),
            temporary=kinds[:, _TEMPORARY].astype(np.float64),
            peak=peak.astype(np.float64),
            leaked=_in_use(self._table).astype(np.float64),
        )


class InfoCounts(NamedTuple):
    """By allocation info: calls, temporary ones among them, blocks in use at the peak and at the end."""

    allocations: Float64
    temporary: Float64
    peak: Float64
    leaked: Float64


def _in_use(table: Int64) -> Int64:
    kinds = table.reshape(-1, _KINDS)
    return kinds[:, _ALLOCATED] - kinds[:, _FREED] - kinds[:, _TEMPORARY]
