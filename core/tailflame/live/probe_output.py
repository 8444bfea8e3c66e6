"""What the program of a function probe prints, read line by line: bpftrace's JSON as of 0.17 (see `probe_program`).

    {"type": "attached_probes", "data": {"probes": 7}}       it is about to attach
    {"type": "value", "data": 1}                             all probes are on: the version of the program
    {"type": "value", "data": 1284896948744}                 an interval ends at these ns, its maps follow
    {"type": "map", "data": {"@h0": {"1059": 1, "1041": 3}}}     no line where it is empty
    {"type": "map", "data": {"@l0": 0}}
    {"type": "value", "data": 0}                             that was the interval

Blank lines and the maps once more come at the end. Maps are cumulative.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

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
    """

    end_s: float
    histograms: tuple[Histogram, ...]
    calls: tuple[int, ...]
    missed: tuple[int, ...]
    starts: tuple[int | None, ...]


@dataclass(slots=True)
class _Maps:
    """Of one function: as printed last."""

    counts: Int64 = field(default_factory=lambda: np.zeros(_BUCKETS, dtype=np.int64))
    calls: int = 0
    missed: int = 0
    starts: int = 0


class ProbeOutput:
    """Reads the lines of one run."""

    def __init__(self, recursive: Sequence[bool]) -> None:
        self._recursive = tuple(recursive)
        self._told = [_Maps() for _ in recursive]
        self._now = [_Maps() for _ in recursive]
        self._end_ns: int | None = None
        self._attached = False
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
            if kind == "value":
                return self._value(int(data))
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

    def _interval(self, end_s: float) -> Interval:
        histograms, calls, missed, starts = [], [], [], []
        for told, now, recursive in zip(self._told, self._now, self._recursive, strict=True):
            # Where a print was lost, the last one stands: the next has what is missing now.
            new = np.maximum(now.counts - told.counts, 0)
            used = np.flatnonzero(new)
            histograms.append(Histogram.from_indices(used, new[used], lowest=1, digits=2))
            calls.append(int(new[used].sum()))
            missed.append(max(now.missed - told.missed, 0))
            starts.append(max(now.starts - told.starts, 0) if recursive else None)
            told.counts, told.calls, told.missed, told.starts = now.counts, now.calls, now.missed, now.starts
        return Interval(end_s, tuple(histograms), tuple(calls), tuple(missed), tuple(starts))


def monotonic_s(nsecs: int) -> float:
    """bpftrace's time on CLOCK_MONOTONIC. It is that clock in old versions, and CLOCK_BOOTTIME in others, which goes on
    while the machine sleeps: the one that is nearer to it is meant.
    """
    monotonic, boot = time.clock_gettime_ns(time.CLOCK_MONOTONIC), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    slept = boot - monotonic
    if slept < _SLEEP_LEAST:  # what lies between the two readings, not a sleep
        return nsecs / 1e9
    return (nsecs - slept if abs(boot - nsecs) < abs(monotonic - nsecs) else nsecs) / 1e9
