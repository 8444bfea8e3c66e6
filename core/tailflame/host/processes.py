"""What a process and its children use, while they run.

psutil gives the tree, CPU time, memory and I/O. Two things it cannot give are read from /proc: its context switches are
those of the main thread alone, so the tasks are summed here, and it knows no page faults.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

_KERNEL_LISTS_CHILDREN = Path("/proc/self/task", str(os.getpid()), "children").exists()
"""CONFIG_PROC_CHILDREN, which distributions have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSample:
    """One look at a process tree. The counts are sums since observation began and never fall, exited children included.

    None means that the kernel does not tell this user, which is not zero.
    """

    time_s: float
    """Seconds since observation began."""
    cpu_percent: float
    """Of one CPU, since the look before: 200 for two busy threads."""
    cpu_s: float
    rss: int
    """Bytes of memory, all processes together (shared pages count in each)."""
    threads: int
    processes: int
    voluntary: int
    involuntary: int
    minor_faults: int
    major_faults: int
    read_bytes: int | None
    write_bytes: int | None


@dataclass(slots=True)
class _Seen:
    """The last figures of one process."""

    cpu_s: float = 0.0
    minor: int = 0
    major: int = 0
    read: int | None = None
    write: int | None = None


class ProcessTree:
    """Observes a process and all its descendants; keeps what those had used that have ended since."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._began = time.monotonic()
        self._root: psutil.Process | None = None
        self._seen: dict[psutil.Process, _Seen] = {}
        self._switches: dict[tuple[int, int], tuple[int, int]] = {}
        """(pid, tid) -> voluntary, involuntary: threads end sooner than their process."""
        self._last: tuple[float, float] | None = None

    def observe(self) -> ProcessSample | None:
        """What the tree uses now; None once the process has ended. Takes a few milliseconds: call it from a thread."""
        try:
            if self._root is None:
                self._root = psutil.Process(self.pid)
            living = [self._root, *_processes(descendants(self.pid))]
            if self._root.status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.NoSuchProcess:
            return None
        rss = threads = processes = 0
        for process in living:
            try:
                with process.oneshot():
                    rss += process.memory_info().rss
                    threads += process.num_threads()
                    self._seen[process] = self._figures(process)
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            processes += 1
            self._switches |= _task_switches(process.pid)
        now = time.monotonic()
        cpu = sum(seen.cpu_s for seen in self._seen.values())
        before = self._last or (now - max(time.time() - self._root.create_time(), 1e-3), 0.0)
        self._last = (now, cpu)
        return ProcessSample(
            time_s=now - self._began,
            cpu_percent=100 * max(cpu - before[1], 0.0) / max(now - before[0], 1e-3),
            cpu_s=cpu,
            rss=rss,
            threads=threads,
            processes=processes,
            voluntary=sum(v for v, _ in self._switches.values()),
            involuntary=sum(i for _, i in self._switches.values()),
            minor_faults=sum(seen.minor for seen in self._seen.values()),
            major_faults=sum(seen.major for seen in self._seen.values()),
            read_bytes=_known_sum([seen.read for seen in self._seen.values()]),
            write_bytes=_known_sum([seen.write for seen in self._seen.values()]),
        )

    def _figures(self, process: psutil.Process) -> _Seen:
        times = process.cpu_times()
        minor, major = _faults(process.pid)
        before = self._seen.get(process, _Seen())
        figures = _Seen(
            times.user + times.system,
            # An exec that has just begun can show a process without figures: they never fall.
            max(minor, before.minor),
            max(major, before.major),
            before.read,
            before.write,
        )
        try:
            io = process.io_counters()
        except psutil.AccessDenied:
            return figures
        figures.read, figures.write = io.read_bytes, io.write_bytes
        return figures


def _known_sum(values: list[int | None]) -> int | None:
    """The sum where every part is known."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _faults(pid: int) -> tuple[int, int]:
    """Minor and major page faults of a process, all its threads, the ended ones included."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    # The name may hold blanks and parentheses: "1234 (worker 1) (x)) R 1 …". Field 10 is minflt, field 12 majflt.
    fields = stat[stat.rindex(")") + 2 :].split()
    return int(fields[7]), int(fields[9])


def _task_switches(pid: int) -> dict[tuple[int, int], tuple[int, int]]:
    """(pid, tid) -> voluntary and involuntary context switches of each living thread."""
    switches: dict[tuple[int, int], tuple[int, int]] = {}
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return switches
    for task in tasks:
        try:
            status = (task / "status").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # this thread has just ended
        counts = [0, 0]
        for line in status.splitlines()[-3:]:
            if line.startswith("voluntary_ctxt_switches:"):
                counts[0] = int(line.split()[1])
            elif line.startswith("nonvoluntary_ctxt_switches:"):
                counts[1] = int(line.split()[1])
        switches[pid, int(task.name)] = (counts[0], counts[1])
    return switches


def descendants(pid: int) -> list[int]:
    """The living children of a process and theirs, nearest first. Empty where the process has ended."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = _children(waiting.pop(0))
        found += children
        waiting += children
    return found


def _children(pid: int) -> list[int]:
    """The kernel's own list. psutil looks at every process of the machine instead, 20 µs each, four times a second."""
    children: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # this thread has just ended
                children += map(int, (task / "children").read_text().split())
    except FileNotFoundError:
        if not _KERNEL_LISTS_CHILDREN:
            with contextlib.suppress(psutil.NoSuchProcess):
                return [child.pid for child in psutil.Process(pid).children()]
    except ProcessLookupError:
        pass
    return children


def _processes(pids: list[int]) -> list[psutil.Process]:
    processes: list[psutil.Process] = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(pid))
    return processes


def find_target(tool: int, *, profiler: str = "perf") -> int | None:
    """The program that `perf record` has started; None before its exec. perf is `tool` or a descendant of it.

    Until the exec its child has perf's own command line; perf names it `perf-exec`, but not in its first moment.
    `perf script` has children too (addr2line), hence the look at "record".
    """
    for pid in (tool, *descendants(tool)):
        try:
            process = psutil.Process(pid)
            words = process.cmdline()
            if not _is_recording(words, profiler):
                continue
            for child in _processes(_children(pid)):
                if child.name() == f"{profiler}-exec" or child.status() == psutil.STATUS_ZOMBIE:
                    continue
                if child.cmdline() != words:
                    return int(child.pid)
        except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            continue
    return None


def find_child(tool: int) -> int | None:
    """The program that a tool has started as its child (strace, perf stat); None before its exec.

    Until then the child has the command line of the tool, which may have other such children in its first moments:
    strace tries out on them what this kernel can do.
    """
    try:
        words = psutil.Process(tool).cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        return None
    for child in _processes(_children(tool)):
        try:
            if child.status() != psutil.STATUS_ZOMBIE and child.cmdline() not in (words, []):
                return int(child.pid)
        except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            continue
    return None


def _is_recording(words: list[str], profiler: str) -> bool:
    """`perf record …`, or a script of that name with its interpreter in front."""
    return any(
        Path(word).name.startswith(profiler) and words[at + 1 : at + 2] == ["record"]
        for at, word in enumerate(words[:2])
    )


def exit_status(pid: int) -> int | None:
    """How a process ended that its own parent has not taken note of yet: its code, or minus its signal.

    None where it is too late, or it has not ended. The kernel shows it in field 52 of /proc/PID/stat, as wait() would.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    if fields[0] != "Z":
        return None
    return os.waitstatus_to_exitcode(int(fields[49]))


def ignored_signals(pid: int) -> frozenset[int]:
    """The numbers of the signals that it ignores; none where it has ended or is not ours to look at."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    mask = next((line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:")), "0")
    return frozenset(number for number in range(1, 65) if int(mask, 16) >> (number - 1) & 1)


def stands_still(pid: int) -> bool:
    """Whether a process is stopped at this moment: by a signal, or by whoever traces it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat[stat.rindex(")") + 2] in "Tt"


def end_session(session: int, *, grace_s: float = 2.0) -> int:
    """End what is left of a session whose leader has ended: ask first, then kill; how many there were.

    A process that has made a session of its own, as daemons do, is not meant. Blocks up to `grace_s`.
    """
    left = [process for process in _processes(psutil.pids()) if _session(process.pid) == session and _lives(process)]
    for process in left:
        _send(process.terminate)
    deadline = time.monotonic() + grace_s
    while (stubborn := [process for process in left if _lives(process)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    for process in stubborn:
        _send(process.kill)
    return len(left)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def _lives(process: psutil.Process) -> bool:
    """Not ended; a zombie has, even where nobody takes note of it."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _send(signal: Callable[[], None]) -> None:
    try:
        signal()
    except psutil.NoSuchProcess:
        return
