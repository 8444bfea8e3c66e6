"""What this machine lets a profiler do: kernel settings, perf and its events, installed tools.

Probed once (some 50 ms, so call it from a thread), then cached. The questions are put to perf itself wherever it can
answer: a permission may come from the user, from a capability of the process or from one on the perf binary, and perf's
answer covers them all.
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

HARDWARE_EVENTS = (
    "cycles",
    "instructions",
    "branches",
    "branch-misses",
    "cache-references",
    "cache-misses",
    "L1-dcache-load-misses",
    "LLC-load-misses",
    "dTLB-load-misses",
)
SOFTWARE_EVENTS = (
    "cpu-clock",
    "task-clock",
    "page-faults",
    "minor-faults",
    "major-faults",
    "context-switches",
    "cpu-migrations",
)

EVENTS = (*HARDWARE_EVENTS, *SOFTWARE_EVENTS)

_PROBE_TIMEOUT_S = 10.0
_REFUSED = "Access to performance monitoring and observability operations is limited"
_NOT_PERMITTED = "No permission to enable"
_NO_SAMPLING = "doesn't support sampling"


@dataclass(frozen=True, slots=True)
class Support:
    """Whether something works here, and if not, why."""

    available: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Host:
    """This machine as a profiler finds it. None means the kernel does not tell."""

    hostname: str = ""
    kernel: str = ""
    arch: str = ""
    cpu: str = ""
    cpus: int = 1
    last_level: str = ""
    """The last-level cache that this processor shares, as the kernel tells it: "32M,16,64" (size, ways, line)."""
    uid: int = 0
    perf_event_paranoid: int | None = None
    kptr_restrict: int | None = None
    max_sample_rate: int | None = None
    perf: Path | None = None
    perf_version: str = ""
    perf_problem: str = ""
    """What is wrong with a perf that is there and does not run, as a sentence."""
    refused: str = ""
    """perf's refusal in its own words, where it may not open any event."""
    user_only: bool = False
    """perf may see user space alone: events carry `:u`, kernel frames are missing."""
    events: Mapping[str, Support] = field(default_factory=lambda: MappingProxyType({}))
    sees_kernel_addresses: bool = False
    """/proc/kallsyms shows addresses to this process, so that kernel functions get their names."""
    lbr: Support = Support(False, "not probed")

    def has_tool(self, name: str) -> Path | None:
        """Where a program is, or None."""
        return find_tool(name)

    def event(self, name: str) -> Support:
        """Whether perf can sample `name` here; modifiers such as `:u` do not matter. Probes what it has not met."""
        plain = name.partition(":")[0] if not _is_tracepoint(name) else name
        if plain in self.events:
            return self.events[plain]
        if self.perf is None:
            return Support(False, self.perf_missing)
        return _probe_event(self.perf, name)

    @property
    def perf_missing(self) -> str:
        """Why there is no perf to use, as the end of "because …"."""
        return self.perf_problem.rstrip(".") or "perf is not installed"

    @property
    def no_counters(self) -> str:
        """Why the processor's counters are not available, as a sentence behind one that says that they are not."""
        reason = self.event("cycles").reason
        return "This is usual in a virtual machine." if reason == NO_COUNTERS else f"{reason.capitalize()}."

    @property
    def has_hardware_events(self) -> bool:
        return self.event("cycles").available

    @property
    def default_event(self) -> str:
        """`cycles` where the processor's counters work, the kernel's CPU clock elsewhere; `:u` where it must be."""
        name = "cycles" if self.has_hardware_events else "cpu-clock"
        return f"{name}:u" if self.user_only else name


def existing_folder(path: Path) -> Path:
    """`path`, or the nearest folder above it that is there, as far as this user can see."""
    whole = path.absolute()
    # os.path: pathlib raises where a folder on the way is closed.
    return next((folder for folder in (whole, *whole.parents) if os.path.isdir(folder)), Path("/"))  # noqa: PTH112


def find_tool(name: str) -> Path | None:
    """A program on PATH, or one that `cargo install` has put in its own folder."""
    found = shutil.which(name)
    if found is None:
        cargo = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo") / "bin"
        found = shutil.which(name, path=str(cargo))
    return Path(found) if found is not None else None


NO_COUNTERS = "the processor's counters are not available here (usual in a virtual machine)"


@functools.lru_cache(maxsize=1)
def probe_host() -> Host:
    """The facts of this machine. Blocks for some 50 ms the first time; `forget_host` makes it look again."""
    perf = find_tool("perf")
    host = Host(
        hostname=platform.node(),
        kernel=platform.release(),
        arch=platform.machine(),
        cpu=_cpu_model(),
        cpus=os.cpu_count() or 1,
        last_level=_last_level(Path("/sys/devices/system/cpu/cpu0/cache")),
        uid=os.geteuid(),
        perf_event_paranoid=read_setting("kernel/perf_event_paranoid"),
        kptr_restrict=read_setting("kernel/kptr_restrict"),
        max_sample_rate=read_setting("kernel/perf_event_max_sample_rate"),
    )
    if perf is None:
        return host
    return _with_perf(host, perf)


def forget_host() -> None:
    """The next `probe_host` looks again: after an installation, after a changed setting."""
    probe_host.cache_clear()
    _probe_event.cache_clear()


def read_setting(name: str) -> int | None:
    """A kernel setting under /proc/sys, None where it is absent or unreadable."""
    try:
        return int(Path("/proc/sys", name).read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _last_level(caches: Path) -> str:
    """ "" where the kernel does not tell. Documentation/ABI/testing/sysfs-devices-system-cpu"""
    found: list[tuple[int, str]] = []
    for folder in caches.glob("index*"):
        try:
            kind, level, size, ways, line = (
                (folder / name).read_text().strip()
                for name in ("type", "level", "size", "ways_of_associativity", "coherency_line_size")
            )
            if kind == "Unified":
                kib = int(size.removesuffix("K"))
                whole = f"{kib >> 10}M" if kib % 1024 == 0 else f"{kib}K"
                found.append((int(level), f"{whole},{int(ways)},{int(line)}"))
        except (OSError, ValueError):
            continue  # firmware that says nothing of this one
    return max(found, default=(0, ""))[1]


def _sees_kernel_addresses() -> bool:
    """Restricted, all addresses read as zero."""
    try:
        with Path("/proc/kallsyms").open("rb") as symbols:
            head = symbols.read(4096)
    except OSError:
        return False
    return any(line[:16].strip(b"0") for line in head.splitlines()[:-1] if b" " in line[16:17])


def _with_perf(host: Host, perf: Path) -> Host:
    answer = ask(perf, "version")
    if answer.returncode != 0:
        # Ubuntu's /usr/bin/perf is a script that looks for the perf of the running kernel.
        return replace(host, perf_problem=f"{perf} does not run: {_first_words(answer.stderr)}")
    version = answer.stdout.removeprefix("perf version").strip()
    events, user_only, refused = _probe_events(perf)
    if events.get("instructions", Support(False)).available:
        suffix = ":u" if user_only else ""
        events |= _probe_sampling(perf, suffix)
    return replace(
        host,
        perf=perf,
        perf_version=version,
        refused=refused,
        user_only=user_only,
        events=MappingProxyType(events),
        sees_kernel_addresses=_sees_kernel_addresses(),
        lbr=_probe_lbr(perf, events, user_only),
    )


def ask(program: Path, *args: str, timeout_s: float = _PROBE_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
    """Run a short question. A program that cannot be started or does not answer in time gives return code 124."""
    argv: Sequence[str] = (str(program), *args)
    try:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return subprocess.CompletedProcess(argv, 124, "", str(problem))


def _probe_events(perf: Path) -> tuple[dict[str, Support], bool, str]:
    """Every well-known event in one run: ungrouped, perf reports `<not supported>` event by event."""
    answer = ask(perf, "stat", "-x", ";", "-e", ",".join(EVENTS), "--", "true")
    if answer.returncode == 0:
        return (*_read_stat(answer.stderr), "")
    if _REFUSED in answer.stderr or _NOT_PERMITTED in answer.stderr:
        refusal = Support(False, "the kernel refuses performance events to this user")
        return dict.fromkeys(EVENTS, refusal), False, answer.stderr.strip()
    # One name that this perf does not know fails the whole run: ask one by one.
    return {name: _probe_event(perf, name) for name in EVENTS}, False, ""


def _read_stat(text: str) -> tuple[dict[str, Support], bool]:
    """`value;unit;event;…` lines. An event that comes back as `cpu-clock:u` was cut down to user space."""
    events: dict[str, Support] = {}
    user_only = False
    for line in text.splitlines():
        cells = line.split(";")
        if len(cells) < 3:
            continue
        name, _, modifier = cells[2].partition(":")
        user_only = user_only or "u" in modifier
        if cells[0] == "<not supported>":
            events[name] = Support(False, _unsupported(name))
        else:
            events[name] = Support(True)
    return events, user_only


def _unsupported(name: str) -> str:
    if name in HARDWARE_EVENTS:
        return NO_COUNTERS
    return "this kernel does not count it"


def _is_tracepoint(name: str) -> bool:
    """`sched:sched_switch`, unlike the modifier in `cycles:u`."""
    return len(name.partition(":")[2]) > 4


@functools.lru_cache(maxsize=128)
def _probe_event(perf: Path, name: str) -> Support:
    answer = ask(perf, "stat", "-x", ";", "-e", name, "--", "true")
    if "event syntax error" in answer.stderr:
        if "can't access trace events" in answer.stderr:
            return Support(False, "tracepoints can be read by root alone here")
        return Support(False, "perf does not know this event")
    if answer.returncode != 0:
        return Support(False, _first_words(answer.stderr))
    if "<not supported>" in answer.stderr:
        return Support(False, _unsupported(name.partition(":")[0]))
    return Support(True)


def _probe_sampling(perf: Path, suffix: str) -> dict[str, Support]:
    """Counting is not sampling: some virtual machines count but cannot interrupt.

    Asked of `instructions`, because `perf record -e cycles` falls back to the CPU clock without a word.
    """
    answer = _try_record(perf, "-e", f"instructions{suffix}")
    if answer.returncode == 0 or _NO_SAMPLING not in answer.stderr:
        return {}
    reason = Support(False, "the processor's counters count here but cannot interrupt, so they cannot be sampled")
    return dict.fromkeys(HARDWARE_EVENTS, reason)


def _probe_lbr(perf: Path, events: Mapping[str, Support], user_only: bool) -> Support:
    if not events.get("cycles", Support(False)).available:
        return Support(False, "branch records need the processor's own counters, which are not available here")
    answer = _try_record(perf, "-e", "cycles:u" if user_only else "cycles", "--call-graph", "lbr")
    if answer.returncode == 0:
        return Support(True)
    return Support(False, "this processor has no branch records that hold call stacks (Intel alone has them)")


def _try_record(perf: Path, *options: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="tailflame-") as folder:
        return ask(perf, "record", *options, "-o", str(Path(folder, "perf.data")), "--", "true")


def _first_words(text: str) -> str:
    """The first line that says something, without perf's bare `Error:`."""
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line and line != "Error:"), "perf gives no reason")
