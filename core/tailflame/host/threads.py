"""What each thread of a process uses, and how long it waits for a processor: /proc/PID/task/*/{schedstat,status}."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadFigures:
    """One look at a thread. Sums since it began; they never fall."""

    tid: int
    name: str
    """As the kernel keeps it, 15 bytes at most: "engine-0". A new thread has its maker's until it is named."""
    cpu_s: float
    wait_s: float | None
    """Time in which it could have run and had no processor: the run queue. None where the kernel does not tell."""
    voluntary: int
    """Times it gave the processor away: to wait for a lock, a packet, a timer."""
    involuntary: int
    """Times the processor was taken from it while it still had work."""


def read_threads(pid: int) -> dict[int, ThreadFigures]:
    """The living threads by tid; empty once the process has ended. Some 50 µs each: call it from a thread."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return {}
    threads = {}
    for task in tasks:
        try:
            figures = _read(task)
        except (FileNotFoundError, ProcessLookupError):
            continue  # this thread has just ended
        threads[figures.tid] = figures
    return threads


def _read(task: Path) -> ThreadFigures:
    status = (task / "status").read_text(errors="replace")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    cpu_s, wait_s = _times(task)
    return ThreadFigures(
        tid=int(task.name),
        name=fields.get("Name", "").strip(),
        cpu_s=cpu_s,
        wait_s=wait_s,
        voluntary=int(fields.get("voluntary_ctxt_switches", 0)),
        involuntary=int(fields.get("nonvoluntary_ctxt_switches", 0)),
    )


def _times(task: Path) -> tuple[float, float | None]:
    """(seconds on a processor, seconds in the run queue)."""
    try:
        # "74912345 1203441 87": nanoseconds run, nanoseconds waited, time slices
        words = (task / "schedstat").read_text().split()
        return int(words[0]) / 1e9, int(words[1]) / 1e9
    except (FileNotFoundError, IndexError, ValueError):
        # A kernel without CONFIG_SCHED_INFO has no such file; a thread that has ended has no `stat` either.
        stat = (task / "stat").read_text(errors="replace")
        fields = stat[stat.rindex(")") + 2 :].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS, None
