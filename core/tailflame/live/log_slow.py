"""Slow events of a program's own lines, one by one, with their threads: no probe, no cost to the program, no root."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tailflame import units
from tailflame.model.histogram import HistogramRecorder
from tailflame.model.live import Said
from tailflame.model.slow_calls import LEARN_S, SlowAbove, SlowCalls
from tailflame.parse.log_line import unit_of
from tailflame.parse.log_spans import LoggedEvent, events

MOST_PER_S = 2000
_COMM = 15
"""Bytes that the kernel keeps of a thread's name."""


class SlowLines:
    """Of one field. `take` lines as they come, and ask `told` at the end of each interval; from one thread at a time.

    Raises ValueError for a field of which nothing tells the unit.
    """

    def __init__(self, field: str, above: SlowAbove, pid: int, *, unit: str = "") -> None:
        self.field = field
        self._unit = unit or unit_of(field)
        if not self._unit:
            raise ValueError(f"“{field}” does not tell its unit of time")
        self._above = above
        self._pid = pid
        self._threshold_ns = above.ns
        self._learnt = HistogramRecorder(digits=3)
        self._learning_s: float | None = None
        self._pending: list[LoggedEvent] = []
        self._lost = 0
        self._tids: dict[str, int] = {}
        self._said = False

    def take(self, lines: Iterable[str], *, room: int = 100_000) -> None:
        for event in events(lines, self.field, self._unit):
            if not self._threshold_ns:
                self._learnt.record(np.array([event.length_ns], dtype=np.int64))
            elif event.length_ns >= self._threshold_ns:
                if len(self._pending) < room:
                    self._pending.append(event)
                else:
                    self._lost += 1

    def told(self, start_s: float, end_s: float) -> list[SlowCalls | Said]:
        """Of the interval; what was logged in it ended in it, or shortly before."""
        if not self._threshold_ns:
            return list(self._learn(end_s))
        pending, self._pending = self._pending, []
        lost, self._lost = self._lost, 0
        most = max(round(MOST_PER_S * (end_s - start_s)), 1)
        kept = pending[:most]
        # The wall clock may be set while this runs: the offset is that of now.
        offset = time.time_ns() - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        calls = []
        for event in kept:
            end = event.end_ns - offset
            calls.append((self._tid(event.thread), max(end - event.length_ns, 0), max(end, 0)))
        told: list[SlowCalls | Said] = [
            SlowCalls.of(
                self.field, self._threshold_ns, start_s, end_s - start_s, calls, lost=lost + len(pending) - len(kept)
            )
        ]
        if not self._said and any(tid < 0 for tid, _, _ in calls):
            self._said = True
            told.append(
                Said(
                    text=f"Some slow events of {self.field} do not tell a thread that this program has: which CPU "
                    "samples fell into them is not known.",
                    fix="Have the lines written with the thread's name (tracing: with_thread_names(true)).",
                )
            )
        return told

    def _learn(self, end_s: float) -> Iterable[Said]:
        self._learning_s = end_s if self._learning_s is None else self._learning_s
        if end_s - self._learning_s < LEARN_S:
            return
        histogram = self._learnt.snapshot()
        if histogram.total * (1 - self._above.percentile / 100) < 1:
            return
        self._threshold_ns = max(int(histogram.percentiles((self._above.percentile,))[0]), 1)
        yield Said(
            text=f"Slow events are kept from {self._above} on: {self.field} {units.nanoseconds(self._threshold_ns)}."
        )

    def _tid(self, thread: str) -> int:
        if thread.isdecimal() and len(thread) < 10:
            return int(thread)
        name = thread.encode()[:_COMM].decode(errors="ignore")
        if name and name not in self._tids:
            self._tids |= self._named()
            self._tids.setdefault(name, -1)
        return self._tids.get(name, -1)

    def _named(self) -> dict[str, int]:
        """The threads by name; a name that several have is none."""
        found: dict[str, int] = {}
        for comm in Path(f"/proc/{self._pid}/task").glob("*/comm"):
            try:
                name = comm.read_text(errors="replace").rstrip("\n")
            except OSError:
                continue
            found[name] = -1 if name in found else int(comm.parent.name)
        return found
