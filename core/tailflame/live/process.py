"""What a process and each of its threads use while they run: from /proc, at next to no cost and with no privilege."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass, field

from tailflame.errors import TargetError
from tailflame.host.processes import ProcessSample, ProcessTree
from tailflame.host.threads import ThreadFigures, read_threads
from tailflame.model.counter_ratios import PART
from tailflame.model.live import Armed, Reading, Said, Status, Update

SHORTEST_S = 0.1
THREADS = 16
"""Threads that are told one by one; the others are summed up."""
DISTINCT = 32
"""Threads that are ever told one by one: a program that makes a thread per request has no end of them."""
OTHERS = "other threads"


class ProcessWatch:
    """CPU, memory, faults and I/O of a process and its children, and of each of its threads the CPU, the wait in the
    run queue and the involuntary switches, so that a tail has a suspect.

    CPU is in percent of one processor. The wait is in ms a second: 300 means that the thread stood ready without a
    processor for 30% of the time. A thread is told of from its second look on. The kernel updates its figures when it
    is switched and at each tick, so that an interval is right to within a tick or two (1 to 10 ms each).
    """

    name = "process"
    title = "Process and threads"

    def __init__(self, pid: int, *, interval_s: float = 0.25) -> None:
        if interval_s < SHORTEST_S:
            raise ValueError(f"a process is not looked at more often than every {SHORTEST_S} s")
        self.pid = pid
        self.interval_s = interval_s

    async def updates(self) -> AsyncGenerator[Update, None]:
        tree, threads = ProcessTree(self.pid), _Threads()
        sample, figures = await asyncio.to_thread(_look, tree)
        if sample is None:
            raise TargetError(f"There is no process {self.pid}: it has ended.")
        at_s = time.monotonic()
        list(threads.told(figures, at_s, 0.0))
        yield Armed(detail=f"{sample.threads} threads" if sample.threads != 1 else "1 thread")
        due = at_s
        while True:
            due = max(due + self.interval_s, time.monotonic())
            await asyncio.sleep(max(due - time.monotonic(), 0.0))
            before, before_s = sample, at_s
            sample, figures = await asyncio.to_thread(_look, tree)
            if sample is None:
                return
            at_s = time.monotonic()
            for update in (
                *_process(before, sample, before_s, at_s - before_s),
                *threads.told(figures, before_s, at_s - before_s),
            ):
                yield update


def _look(tree: ProcessTree) -> tuple[ProcessSample | None, dict[int, ThreadFigures]]:
    sample = tree.observe()
    return sample, read_threads(tree.pid) if sample is not None else {}


def _process(before: ProcessSample, now: ProcessSample, start_s: float, length_s: float) -> Iterator[Reading]:
    def rate(new: float, old: float) -> float:
        return max(new - old, 0) / max(length_s, 1e-6)

    def reading(series: str, value: float | None, unit: str) -> Reading:
        status = Status.NOT_SUPPORTED if value is None else Status.COUNTED
        return Reading(series=series, start_s=start_s, length_s=length_s, value=value, unit=unit, status=status)

    def flow(new: int | None, old: int | None) -> float | None:
        return None if new is None or old is None else rate(new, old)

    yield reading("CPU", 100 * rate(now.cpu_s, before.cpu_s), "%")
    yield reading("memory", now.rss, "B")
    yield reading("threads", now.threads, "")
    yield reading("processes", now.processes, "")
    yield reading("voluntary switches", rate(now.voluntary, before.voluntary), "/s")
    yield reading("involuntary switches", rate(now.involuntary, before.involuntary), "/s")
    yield reading("minor faults", rate(now.minor_faults, before.minor_faults), "/s")
    yield reading("major faults", rate(now.major_faults, before.major_faults), "/s")
    yield reading("disk reads", flow(now.read_bytes, before.read_bytes), "B/s")
    yield reading("disk writes", flow(now.write_bytes, before.write_bytes), "B/s")


@dataclass(slots=True)
class _Threads:
    """Which threads are told one by one, and what has changed since the look before."""

    before: dict[int, ThreadFigures] = field(default_factory=dict)
    used_s: dict[int, float] = field(default_factory=dict)
    """CPU time of each living thread since it was first seen: what it is ranked by, so that ranks change slowly."""
    labels: dict[int, str] = field(default_factory=dict)
    """Of the threads that have ever been told one by one, by tid."""
    others_said: bool = False

    def told(self, now: dict[int, ThreadFigures], start_s: float, length_s: float) -> Iterator[Update]:
        before, self.before = self.before, now
        changes = [_Change.of(before[tid], figures) for tid, figures in now.items() if tid in before]
        self.used_s = {change.tid: self.used_s.get(change.tid, 0.0) + change.cpu_s for change in changes}
        if not changes or length_s <= 0:
            return
        single = self._single(changes)
        others = [change for change in changes if change.tid not in single]
        if len(changes) > THREADS and not self.others_said:
            self.others_said = True
            yield Said(
                text=f"There are {len(changes)} threads: the {len(single)} that use the most CPU are told one by one, "
                "the others together."
            )
        yield _wait("run-queue wait", changes, start_s, length_s)
        for change in changes:
            if change.tid in single:
                yield from _readings(self.labels[change.tid], [change], start_s, length_s)
        if others:
            yield from _readings(OTHERS, others, start_s, length_s)

    def _single(self, changes: list[_Change]) -> set[int]:
        busiest = sorted(changes, key=lambda change: (-self.used_s[change.tid], change.tid))
        single: set[int] = set()
        for change in busiest[:THREADS]:
            if change.tid not in self.labels:
                # One that has never run may not have its own name yet: a launched program before its exec.
                if len(self.labels) >= DISTINCT or not self.used_s[change.tid]:
                    continue
                self.labels[change.tid] = f"{change.name or 'thread'} ({change.tid})"
            single.add(change.tid)
        return single


@dataclass(frozen=True, slots=True)
class _Change:
    """Of one thread between two looks."""

    tid: int
    name: str
    cpu_s: float
    wait_s: float | None
    involuntary: int

    @classmethod
    def of(cls, before: ThreadFigures, now: ThreadFigures) -> _Change:
        wait = None if now.wait_s is None or before.wait_s is None else max(now.wait_s - before.wait_s, 0.0)
        # A tid may be given to another thread: its sums begin anew.
        return cls(
            now.tid, now.name, max(now.cpu_s - before.cpu_s, 0.0), wait, max(now.involuntary - before.involuntary, 0)
        )


def _readings(label: str, changes: Iterable[_Change], start_s: float, length_s: float) -> Iterator[Reading]:
    changes = list(changes)
    yield Reading(
        series=f"CPU{PART}{label}", start_s=start_s, length_s=length_s, unit="%",
        value=100 * sum(change.cpu_s for change in changes) / length_s,
    )  # fmt: skip
    yield _wait(f"run-queue wait{PART}{label}", changes, start_s, length_s)
    yield Reading(
        series=f"involuntary switches{PART}{label}", start_s=start_s, length_s=length_s, unit="/s",
        value=sum(change.involuntary for change in changes) / length_s,
    )  # fmt: skip


def _wait(series: str, changes: list[_Change], start_s: float, length_s: float) -> Reading:
    waits = [change.wait_s for change in changes if change.wait_s is not None]
    known = len(waits) == len(changes)
    return Reading(
        series=series,
        start_s=start_s,
        length_s=length_s,
        value=1000 * sum(waits) / length_s if known else None,
        unit="ms/s",
        status=Status.COUNTED if known else Status.NOT_SUPPORTED,
    )
