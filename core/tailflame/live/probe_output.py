"""What the program of a function probe prints, read line by line: bpftrace's JSON as of 0.17 (see `probe_program`).

    {"type": "attached_probes", "data": {"probes": 7}}       it is about to attach
    {"type": "value", "data": 1}                             all probes are on: the version of the program
    {"type": "value", "data": 1284896948744}                 an interval ends at these ns, its maps follow
    {"type": "map", "data": {"@h0": {"1059": 1, "1041": 3}}}     no line where it is empty
    {"type": "map", "data": {"@l0": 0}}
    {"type": "value", "data": [0,28799,11978776486502,11978776486632]}    a slow call, at any time: function, thread,
                                                                          start and end in ns
    {"type": "lost_events", "data": {"events": 3}}           so many lines had no room
    {"type": "value", "data": 0}                             that was the interval

Blank lines and the maps once more come at the end. Maps are cumulative.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import orjson

from tailflame.live import probe_program
from tailflame.model.histogram import Histogram
from tailflame.model.stacks import Int64

_BUCKETS = 1 << 13
"""More than the layout for 2 digits has: a larger index is no index."""
_CLOCK_LOWEST = 1_000_000_000
"""ns. Values below are marks, not times: nobody profiles in the first second after the boot."""
_SLEEP_LEAST = 1_000_000


SlowCall: TypeAlias = tuple[int, int, int]
"""Thread, start and end."""


@dataclass(frozen=True, slots=True)
class Attaching:
    probes: int


@dataclass(frozen=True, slots=True)
class Attached:
    version: int


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """What was counted since the interval before, by function.

    end_s: CLOCK_MONOTONIC. missed: returns whose start was not seen. starts: of recursive functions, None of others.
    slow: (thread, start, end) of the slow calls that were told, in ns of CLOCK_MONOTONIC; dropped: slow calls that were
    not told because there were too many. lost: lines of any kind that had no room.
    """

    end_s: float
    histograms: tuple[Histogram, ...]
    calls: tuple[int, ...]
    missed: tuple[int, ...]
    starts: tuple[int | None, ...]
    slow: tuple[tuple[SlowCall, ...], ...] = ()
    dropped: tuple[int, ...] = ()
    lost: int = 0


@dataclass(slots=True)
class _Maps:
    """Of one function: as printed last."""

    counts: Int64 = field(default_factory=lambda: np.zeros(_BUCKETS, dtype=np.int64))
    calls: int = 0
    missed: int = 0
    starts: int = 0
    dropped: int = 0


class ProbeOutput:
    """Reads the lines of one run."""

    def __init__(self, recursive: Sequence[bool]) -> None:
        self._recursive = tuple(recursive)
        self._told = [_Maps() for _ in recursive]
        self._now = [_Maps() for _ in recursive]
        self._end_ns: int | None = None
        self._attached = False
        self._slow: list[list[SlowCall]] = [[] for _ in recursive]
        self._lost = 0
        self.unread = 0
        """Lines that are not of this kind."""

    def feed(self, line: bytes) -> Attaching | Attached | Interval | None:
        """What a line completes, if anything. Never raises: what is not understood is counted in `unread`."""
        if not line.strip():
            return None
        try:
            message = orjson.loads(line)
            kind, data = message["type"], message["data"]
            if kind == "attached_probes":
                return Attaching(int(data["probes"]))
            if kind == "value" and isinstance(data, list):
                self._take_slow(*map(int, data))
            elif kind == "value":
                return self._value(int(data))
            if kind == "lost_events":
                self._lost += int(data["events"])
            if kind == "map" and self._end_ns is not None:
                for name, values in data.items():
                    self._map(str(name), values)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError):
            self.unread += 1
        return None

    def _value(self, value: int) -> Attached | Interval | None:
        if value >= _CLOCK_LOWEST:
            self._end_ns = value
        elif not self._attached:
            self._attached = True
            return Attached(value)
        elif value == probe_program.END_MARK and self._end_ns is not None:
            end_s, self._end_ns = monotonic_s(self._end_ns), None
            return self._interval(end_s)
        return None

    def _take_slow(self, number: int, thread: int, start: int, end: int) -> None:
        if not (number >= 0 and 0 <= start <= end < 1 << 62):
            raise ValueError("no call")
        self._slow[number].append((thread, monotonic_ns(start), monotonic_ns(end)))

    def _map(self, name: str, values: Any) -> None:
        maps = self._now[int(name[2:])]
        match name[:2]:
            case "@h":
                indices = np.fromiter(map(int, values), np.int64, len(values))
                counts = np.fromiter(values.values(), np.int64, len(values))
                if len(indices) and (indices.min() < 0 or indices.max() >= _BUCKETS or counts.min() < 0):
                    raise ValueError("no bucket of a histogram")
                maps.counts = np.zeros(_BUCKETS, dtype=np.int64)
                maps.counts[indices] = counts
                maps.calls = int(counts.sum())
            case "@l":
                maps.missed = int(values)
            case "@e":
                maps.starts = int(values)
            case "@d":
                maps.dropped = int(values)

    def _interval(self, end_s: float) -> Interval:
        histograms, calls, missed, starts, dropped = [], [], [], [], []
        for told, now, recursive in zip(self._told, self._now, self._recursive, strict=True):
            # Where a print was lost, the last one stands: the next has what is missing now.
            new = np.maximum(now.counts - told.counts, 0)
            used = np.flatnonzero(new)
            histograms.append(Histogram.from_indices(used, new[used], lowest=1, digits=2))
            calls.append(int(new[used].sum()))
            missed.append(max(now.missed - told.missed, 0))
            starts.append(max(now.starts - told.starts, 0) if recursive else None)
            dropped.append(max(now.dropped - told.dropped, 0))
            told.dropped = now.dropped
            told.counts, told.calls, told.missed, told.starts = now.counts, now.calls, now.missed, now.starts
        slow, self._slow = tuple(map(tuple, self._slow)), [[] for _ in self._slow]
        lost, self._lost = self._lost, 0
        return Interval(
            end_s, tuple(histograms), tuple(calls), tuple(missed), tuple(starts), slow, tuple(dropped), lost
        )


def monotonic_s(nsecs: int) -> float:
    return monotonic_ns(nsecs) / 1e9


def monotonic_ns(nsecs: int) -> int:
    """bpftrace's time on CLOCK_MONOTONIC. It is that clock in old versions, and CLOCK_BOOTTIME in others, which goes on
    while the machine sleeps: the one that is nearer to it is meant.
    """
    monotonic, boot = time.clock_gettime_ns(time.CLOCK_MONOTONIC), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    slept = boot - monotonic
    if slept < _SLEEP_LEAST:  # what lies between the two readings, not a sleep
        return nsecs
    return nsecs - slept if abs(boot - nsecs) < abs(monotonic - nsecs) else nsecs
