"""What the scheduler and a process were doing at one moment, as the kernel tells it under /proc: bounded, and as text.

Two looks at the sums (`Sums`) tell what happened between them: time stolen by the hypervisor, soft interrupts, threads
that waited for a processor. A moment alone only tells what is.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tailflame import units

THREADS_AT_MOST = 256
"""Threads whose files are read: some 60 us each."""
_FILE_AT_MOST = 4096
_SUMS_AT_MOST = 64 << 10
_TICKS = os.sysconf("SC_CLK_TCK")
_PROCESS_FILES = ("stat", "status", "schedstat", "sched")
_THREAD_FILES = ("stat", "wchan", "schedstat")
_STEAL = 7


@dataclass(frozen=True, slots=True)
class Sums:
    """Since the machine, or the process, began. Seconds; None where the kernel does not tell."""

    at_s: float
    cpu_s: float = 0.0
    """Of all processors together, idle time included."""
    steal_s: float = 0.0
    ran_s: float | None = None
    waited_s: float | None = None
    """Of the process's threads that live: time on a processor, and in the run queue."""
    softirqs: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moment:
    """`files`: text by name, such as "task/17/wchan"; `left_out`: threads beyond THREADS_AT_MOST."""

    sums: Sums
    files: dict[str, str]
    left_out: int = 0

    def summary(self, before: Sums | None = None) -> str:
        """What stands out, in one line; with what happened since `before`."""
        said = []
        load = self.files.get("loadavg", "").split()
        if len(load) >= 4:
            said.append(f"load {load[0]}, {load[3].partition('/')[0]} runnable")
        states = Counter(state_of(text) for name, text in self.files.items() if _is_thread_stat(name))
        if states:
            said.append("threads " + ", ".join(f"{n} {state}" for state, n in states.most_common()))
        waits = Counter(
            text.strip()
            for name, text in self.files.items()
            if name.endswith("/wchan") and text.strip() not in ("", "0")
        )
        if waits:
            said.append("waiting in " + ", ".join(f"{name} ({n})" for name, n in waits.most_common(3)))
        if before is not None:
            said += self._since(before)
        return "; ".join(said)

    def _since(self, before: Sums) -> list[str]:
        said, now = [], self.sums
        length = now.at_s - before.at_s
        if length <= 0:
            return []
        if now.cpu_s > before.cpu_s:
            stolen = (now.steal_s - before.steal_s) / (now.cpu_s - before.cpu_s)
            said.append(f"stolen by the hypervisor {units.percent(max(stolen, 0.0))}")
        if now.waited_s is not None and before.waited_s is not None:
            said.append(f"waited for a processor {units.nanoseconds(max(now.waited_s - before.waited_s, 0.0) * 1e9)}")
        rose = {name: count - before.softirqs.get(name, 0) for name, count in now.softirqs.items()}
        most = sorted(((count, name) for name, count in rose.items() if count > 0), reverse=True)[:2]
        if most:
            said.append("softirqs " + ", ".join(f"{name} {units.count(count)}" for count, name in most))
        return [f"in the last {length:.1f} s: {', '.join(said)}"] if said else []


def state_of(stat: str) -> str:
    """From /proc/PID/stat: "running", "sleeping" ..."""
    letter = stat[stat.rfind(")") + 2 : stat.rfind(")") + 3]
    names = {
        "R": "running",
        "S": "sleeping",
        "D": "in uninterruptible wait",
        "T": "stopped",
        "t": "traced",
        "I": "idle",
    }
    return names.get(letter, "ended")


def look(pid: int, at_s: float, *, proc: Path = Path("/proc")) -> Moment:
    """The moment, with all files that can be read; those that may not, or are not there, are left out. Never raises
    OSError. Takes milliseconds: call it in a thread."""
    process = proc / str(pid)
    files = {name: text for name in _PROCESS_FILES if (text := _read(process / name)) is not None}
    threads = _threads(process)
    for tid in threads[:THREADS_AT_MOST]:
        for name in _THREAD_FILES:
            if (text := _read(process / "task" / str(tid) / name)) is not None:
                files[f"task/{tid}/{name}"] = text
    machine = {name: text for name in ("loadavg", "stat", "softirqs") if (text := _read(proc / name, _SUMS_AT_MOST))}
    if "loadavg" in machine:
        files["loadavg"] = machine["loadavg"]
    for name in ("stat", "softirqs"):
        if name in machine:
            files[f"machine/{name}"] = _first_lines(machine[name])
    return Moment(_sums(at_s, files, machine), files, max(len(threads) - THREADS_AT_MOST, 0))


def sums(pid: int, at_s: float, *, proc: Path = Path("/proc")) -> Sums:
    """Less than `look`: to have something to compare a moment with."""
    machine = {name: text for name in ("stat", "softirqs") if (text := _read(proc / name, _SUMS_AT_MOST))}
    files = {}
    for tid in _threads(proc / str(pid))[:THREADS_AT_MOST]:
        if (text := _read(proc / str(pid) / "task" / str(tid) / "schedstat")) is not None:
            files[f"task/{tid}/schedstat"] = text
    return _sums(at_s, files, machine)


def _threads(process: Path) -> list[int]:
    try:
        return sorted(int(task.name) for task in (process / "task").iterdir() if task.name.isdecimal())
    except OSError:
        return []


def _sums(at_s: float, files: dict[str, str], machine: dict[str, str]) -> Sums:
    # "cpu  74 0 31 8812 3 0 1 12 0 0": user nice system idle iowait irq softirq steal guest guest_nice, of which the
    # last two are in the first two as well.
    ticks = [int(word) for word in machine.get("stat", "").partition("\n")[0].split()[1:] if word.isdecimal()]
    threads = [
        [int(word) for word in text.split()[:2] if word.isdecimal()]
        for name, text in files.items()
        if name.startswith("task/") and name.endswith("/schedstat")
    ]
    known = [pair for pair in threads if len(pair) == 2]
    return Sums(
        at_s,
        cpu_s=sum(ticks[: _STEAL + 1]) / _TICKS,
        steal_s=ticks[_STEAL] / _TICKS if len(ticks) > _STEAL else 0.0,
        ran_s=sum(pair[0] for pair in known) / 1e9 if known else None,
        waited_s=sum(pair[1] for pair in known) / 1e9 if known else None,
        softirqs=_softirqs(machine.get("softirqs", "")),
    )


def _softirqs(text: str) -> dict[str, int]:
    """ "  NET_RX:   12   34": of all processors together."""
    found = {}
    for line in text.splitlines():
        name, colon, counts = line.partition(":")
        if colon:
            found[name.strip()] = sum(int(word) for word in counts.split() if word.isdecimal())
    return found


def _first_lines(text: str) -> str:
    """Of /proc/stat the interrupt numbers are thousands of zeros."""
    return "\n".join(line[:300] for line in text.splitlines())[:_FILE_AT_MOST]


def _is_thread_stat(name: str) -> bool:
    return name.startswith("task/") and name.endswith("/stat")


def _read(path: Path, most: int = _FILE_AT_MOST) -> str | None:
    try:
        with path.open("rb", buffering=0) as file:
            return (file.read(most) or b"").decode("utf-8", "replace")
    except OSError:  # it has ended, or may not be looked into
        return None
