"""The programs that run on this machine, as somebody sees them who wants to attach to one.

Read from /proc itself: psutil takes ten times as long for as many processes, and a list of two thousand is looked at
every second. What seldom changes (command line, container) is kept from the look before.
"""

from __future__ import annotations

import os
import pwd
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tailflame.errors import TailflameError, TargetError
from tailflame.host.binary import BinaryFacts, binary_facts

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_KERNEL_THREAD = 0x0020_0000  # PF_KTHREAD, include/linux/sched.h
_DELETED = " (deleted)"
_SHOWN_CANDIDATES = 8
_COMMAND_LIMIT = 64 << 10
"""Bytes of a command line that are read; Java's class paths are long."""

# One line of /proc/PID/cgroup is "0::/system.slice/docker-3f2a….scope" (v2) or "12:pids:/docker/3f2a…" (v1).
_CONTAINERS = tuple(
    (re.compile(pattern), engine)
    for pattern, engine in (
        (rb"/docker[-/]([0-9a-f]{12,64})", "docker"),
        (rb"/libpod-(?:conmon-)?([0-9a-f]{12,64})", "podman"),
        (rb"/cri-containerd[-:]([0-9a-f]{12,64})", "containerd"),
        (rb"/crio-([0-9a-f]{12,64})", "cri-o"),
        (rb"/kubepods[^\n]*/([0-9a-f]{64})", "kubernetes"),
        (rb"/systemd-nspawn@([^/\n]+?)\.service", "systemd-nspawn"),
        (rb"/machine-([^/\n]+?)\.scope", "machine"),
        (rb"/lxc(?:\.payload)?[./]([^/\n]+)", "lxc"),
        (rb"/app-flatpak-([^/\n]+?)-\d+\.scope", "flatpak"),
        (rb"/snap\.([^/\n]+?)[.-][0-9a-f-]{36}\.scope", "snap"),
    )
)
_HEXADECIMAL = re.compile(r"[0-9a-f]{12,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningProcess:
    """One process at the moment of a look. `(pid, start_ticks)` names it for good, `pid` alone does not."""

    pid: int
    start_ticks: int
    """Since the machine's start, in clock ticks, as /proc/PID/stat has it."""
    name: str
    uid: int
    """The user it acts as."""
    user: str
    command: tuple[str, ...]
    """Its arguments, the program first. A process may write over them."""
    binary: Path | None
    """As the process' own mount namespace names it; None where the kernel does not tell this user."""
    deleted: bool = False
    """The file of `binary` is no longer there, or another one: the program was built anew since it was started."""
    cpu_percent: float | None = None
    """Of one CPU since the look before; None at the first."""
    rss: int = 0
    """Bytes."""
    threads: int = 1
    container: str = ""
    """ "docker 3f2a9c01b2aa", "systemd-nspawn build"; "" for none."""
    mine: bool = False
    attachable: bool = True
    reason: str = ""
    """Why it is not attachable, one sentence."""

    @property
    def identity(self) -> tuple[int, int]:
        return self.pid, self.start_ticks

    @property
    def command_line(self) -> str:
        return " ".join(self.command)

    @property
    def image(self) -> Path:
        """Where its program can be read, whatever became of the file and in whatever container."""
        return Path("/proc", str(self.pid), "exe")


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is read once for a program: of an exec it all changes."""

    image: str
    comm: str
    command: tuple[str, ...]
    container: str


class ProcessList:
    """Looks at all processes, again and again; kernel threads are left out."""

    def __init__(self) -> None:
        self._cpu: dict[tuple[int, int], int] = {}
        """Ticks of CPU time by identity, at the last look."""
        self._kept: dict[tuple[int, int], _Kept] = {}
        self._looked_at: float | None = None

    def look(self, *, mine_first: bool = True) -> tuple[RunningProcess, ...]:
        """The processes of now, yours first, each half the latest started first.

        Takes about 0.1 ms for each process: call it from a thread.
        """
        now = time.monotonic()
        elapsed = now - self._looked_at if self._looked_at is not None else None
        cpu: dict[tuple[int, int], int] = {}
        kept: dict[tuple[int, int], _Kept] = {}
        found: list[RunningProcess] = []
        for entry in os.listdir("/proc"):  # noqa: PTH208 - two thousand Path objects are not needed
            if entry.isdecimal():
                process = self._read(int(entry), elapsed, cpu, kept)
                if process is not None:
                    found.append(process)
        self._cpu, self._kept, self._looked_at = cpu, kept, now
        found.sort(key=lambda process: (mine_first and not process.mine, -process.start_ticks, -process.pid))
        return tuple(found)

    def _read(
        self,
        pid: int,
        elapsed: float | None,
        cpu: dict[tuple[int, int], int],
        kept: dict[tuple[int, int], _Kept],
    ) -> RunningProcess | None:
        folder = f"/proc/{pid}"
        try:
            stat = _read(f"{folder}/stat").decode(errors="replace")
            # The folder belongs to the user it acts as, whatever else is hidden.
            uid = os.stat(folder).st_uid  # noqa: PTH116 - as above
        except OSError:
            return None  # it has just ended
        # "1234 (worker 1) (x)) R 1 …": the name may hold blanks and parentheses.
        opening, closing = stat.find("("), stat.rfind(")")
        fields = stat[closing + 2 :].split()
        if len(fields) < 22 or int(fields[6]) & _KERNEL_THREAD:
            return None
        comm, state, start = stat[opening + 1 : closing], fields[0], int(fields[19])
        identity = (pid, start)
        used = int(fields[11]) + int(fields[12])
        image = _link(f"{folder}/exe")
        known = self._kept.get(identity)
        if known is None or known.image != image or known.comm != comm:
            known = _Kept(image, comm, _command(folder), _container(pid))
        cpu[identity], kept[identity] = used, known
        before = self._cpu.get(identity)
        percent = None
        if elapsed is not None and before is not None:
            percent = 100 * max(used - before, 0) / _TICKS_PER_S / max(elapsed, 1e-3)
        binary, deleted = _binary(image)
        reason = _unattachable(pid, uid, state)
        return RunningProcess(
            pid=pid,
            start_ticks=start,
            name=_name(comm, binary),
            uid=uid,
            user=user_name(uid),
            command=known.command,
            binary=binary,
            deleted=deleted,
            cpu_percent=percent,
            rss=max(int(fields[21]), 0) * _PAGE,
            threads=int(fields[17]),
            container=known.container,
            mine=uid == os.geteuid(),
            attachable=not reason,
            reason=reason,
        )


class Builds:
    """Whether programs are release or debug builds, each read once. For one thread at a time."""

    def __init__(self) -> None:
        self._by_process: dict[tuple[int, int, str], str] = {}
        self._by_file: dict[tuple[int, int, int], str] = {}

    def of(self, process: RunningProcess) -> str:
        """As `build_of`; "" also for what has not been read yet."""
        return self._by_process.get(_program(process), "")

    def learn(self, processes: Iterable[RunningProcess], *, budget_s: float = 0.2) -> bool:
        """Reads programs not met before until the time is up (the first takes what it takes); whether any are left.

        The distribution's own programs are left out: stripped, they do not tell, and there are hundreds.
        """
        listed = [process for process in processes if process.attachable and process.binary is not None]
        self._by_process = {key: self._by_process[key] for p in listed if (key := _program(p)) in self._by_process}
        deadline = time.monotonic() + budget_s
        for process in listed:
            key = _program(process)
            if key in self._by_process or _is_systems(process):
                continue
            if time.monotonic() > deadline:
                return True
            self._by_process[key] = self._read(process)
        return False

    def _read(self, process: RunningProcess) -> str:
        try:
            status = process.image.stat()
        except OSError:
            return ""
        file = (status.st_dev, status.st_ino, status.st_mtime_ns)
        if file not in self._by_file:
            self._by_file[file] = build_of(process)
        return self._by_file[file]


def _program(process: RunningProcess) -> tuple[int, int, str]:
    return (*process.identity, str(process.binary))


def _is_systems(process: RunningProcess) -> bool:
    return str(process.binary).startswith(("/usr/bin/", "/usr/sbin/", "/usr/lib", "/bin/", "/sbin/", "/lib", "/snap/"))


def running_processes(*, mine_first: bool = True) -> tuple[RunningProcess, ...]:
    """One look at all processes, without CPU figures: those need a second look, see `ProcessList`."""
    return ProcessList().look(mine_first=mine_first)


def process_of(pid: int) -> RunningProcess | None:
    """The process with this number, None where there is none or it is a kernel thread."""
    return ProcessList()._read(pid, None, {}, {})


def still_runs(process: RunningProcess) -> bool:
    """Whether it is this very process that has the number, and it has not ended."""
    now = process_of(process.pid)
    return now is not None and now.start_ticks == process.start_ticks and not _ended(process.pid)


def find(text: str, processes: Iterable[RunningProcess] | None = None) -> RunningProcess:
    """The process that a user means by a number or a name; ours and those who started us are never meant by a name.

    An exact name goes before a part of one, and your own before those of others.

    Raises:
        TargetError: there is none, several are meant, or it cannot be attached to.
    """
    wanted = text.strip()
    if wanted.isascii() and wanted.isdecimal():
        process = process_of(int(wanted)) if len(wanted) < 10 else None
        if process is None and Path("/proc", wanted).is_dir():
            raise TargetError(f"{wanted} is a thread of the kernel.", advice="Choose a program.")
        if process is None:
            raise TargetError(f"There is no process {wanted}.", advice="`pgrep -l NAME` lists the running ones.")
        return _attachable(process)
    us = _ourselves()
    known = [p for p in (running_processes() if processes is None else processes) if p.pid not in us]
    candidates: list[RunningProcess] = []
    for test in (_is_named, _has_in_name):
        named = [process for process in known if wanted and test(process, wanted)]
        candidates = [process for process in named if process.mine] or named
        if candidates:
            break
    if not candidates:
        raise TargetError(f"No running process is called “{wanted}”.", advice="Give its number (PID), or start it.")
    if len(candidates) > 1:
        lines = [f"{process.pid}  {process.user}  {process.command_line or process.name}" for process in candidates]
        more = len(candidates) - _SHOWN_CANDIDATES
        listed = "\n".join([*lines[:_SHOWN_CANDIDATES], *([f"and {more} more"] if more > 0 else [])])
        raise TargetError(
            f"{len(candidates)} processes are called “{wanted}”.", advice=f"Give the number (PID) of one:\n{listed}"
        )
    return _attachable(candidates[0])


def facts_of(process: RunningProcess) -> BinaryFacts | None:
    """What is known of its program, None where it cannot be read. Some 100 ms for a big binary: call it from a thread.

    The file by its own name where it is still the one that runs, so that sources and cargo's folders are found.
    """
    try:
        same = process.binary is not None and not process.deleted and process.binary.samefile(process.image)
    except OSError:
        same = False
    try:
        return binary_facts(process.binary if same and process.binary is not None else process.image)
    except TailflameError:
        return None


def build_of(process: RunningProcess) -> str:
    """ "debug" or "release"; "" where neither the path nor the code tells. As slow as `facts_of`."""
    facts = facts_of(process)
    if facts is None:
        return ""
    named = process.binary is not None and {"release", "target"} <= set(process.binary.parts)
    if facts.debug_build:
        return "debug"
    return "release" if facts.optimised or named else ""


@lru_cache(maxsize=1024)
def user_name(uid: int) -> str:
    """The name of a user, the number where there is none, as in containers."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _is_named(process: RunningProcess, text: str) -> bool:
    return text in (process.name, process.binary.name if process.binary else "")


def _has_in_name(process: RunningProcess, text: str) -> bool:
    whole = text.casefold()
    return whole in process.name.casefold() or (process.binary is not None and whole in process.binary.name.casefold())


def _attachable(process: RunningProcess) -> RunningProcess:
    if not process.attachable:
        raise TargetError(f"{process.name} ({process.pid}) cannot be attached to: {process.reason}.")
    return process


def _unattachable(pid: int, uid: int, state: str) -> str:
    if state in "ZX":
        return "it has ended, and its parent has not taken note of it yet"
    if pid == os.getpid():
        return "this is Tailflame itself"
    if uid != os.geteuid() and os.geteuid() != 0:
        return f"it belongs to {user_name(uid)}, and only that user or root may look into it"
    return ""


def _ended(pid: int) -> bool:
    try:
        stat = _read(f"/proc/{pid}/stat")
    except OSError:
        return True
    return stat[stat.rindex(b")") + 2 : stat.rindex(b")") + 3] in (b"Z", b"X")


def _ourselves() -> set[int]:
    """This process and those above it: `sh -c "tailflame attach demo"` is not the demo."""
    pids: set[int] = set()
    pid = os.getpid()
    while pid > 0 and pid not in pids:
        pids.add(pid)
        try:
            stat = _read(f"/proc/{pid}/stat")
        except OSError:
            break
        pid = int(stat[stat.rindex(b")") + 2 :].split()[1])
    return pids


def _name(comm: str, binary: Path | None) -> str:
    """The kernel keeps 15 bytes of a name; the file has the rest."""
    if binary is not None and len(comm.encode()) >= 15 and binary.name.startswith(comm):
        return binary.name
    return comm


def _binary(image: str) -> tuple[Path | None, bool]:
    if not image:
        return None, False
    if image.endswith(_DELETED):
        return Path(image.removesuffix(_DELETED)), True
    return Path(image), False


def _command(folder: str) -> tuple[str, ...]:
    try:
        words = _read(f"{folder}/cmdline", limit=_COMMAND_LIMIT).split(b"\0")
    except OSError:
        return ()
    # Servers that write over it (setproctitle) leave a row of zeros.
    while words and not words[-1]:
        words.pop()
    return tuple(word.decode(errors="replace") for word in words)


def _container(pid: int) -> str:
    try:
        groups = _read(f"/proc/{pid}/cgroup")
    except OSError:
        return ""
    named = container_of(groups)
    if named:
        return named
    # A service may have mounts of its own, a browser's part numbers of its own; both is what containers have.
    others = (_link(f"/proc/{pid}/ns/{kind}") for kind in ("pid", "mnt"))
    if all(there and there != _our_namespace(kind) for there, kind in zip(others, ("pid", "mnt"), strict=True)):
        return "container"
    return ""


def container_of(groups: bytes) -> str:
    """What /proc/PID/cgroup tells of a container: its engine and the twelve digits or the name people know it by."""
    for pattern, engine in _CONTAINERS:
        found = pattern.search(groups)
        if found is not None:
            name = found[1].decode(errors="replace")
            return f"{engine} {name[:12] if _HEXADECIMAL.fullmatch(name) else name}"
    return ""


@lru_cache(maxsize=2)
def _our_namespace(kind: str) -> str:
    return _link(f"/proc/self/ns/{kind}")


def _link(path: str) -> str:
    """Where a link of /proc points; "" where the kernel does not tell this user."""
    try:
        return os.readlink(path)  # noqa: PTH115 - "(deleted)" is no path
    except OSError:
        return ""


def _read(path: str, *, limit: int = 4096) -> bytes:
    """Without the layers of open(): three files for each of two thousand processes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(descriptor, limit)
        # cmdline comes in pages.
        while 0 < len(data) < limit and (more := os.read(descriptor, limit - len(data))):
            data += more
        return data
    finally:
        os.close(descriptor)
