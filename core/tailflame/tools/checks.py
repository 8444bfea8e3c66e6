"""What would spoil a recording, told before it begins, each with what to do about it.

A finding comes from a fact that was looked up: of this machine, of the binary, of the wishes. Where nobody knows, there
is no finding. `preflight` reads files and, the first time, asks perf: call it from a thread.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tailflame import units
from tailflame.host.install import install_command
from tailflame.host.jemalloc import preload_library
from tailflame.host.system import Host, existing_folder
from tailflame.tools.base import FieldTool, Target, ToolOptions
from tailflame.tools.cargo_flamegraph import CargoOptions
from tailflame.tools.field_checks import of_tool
from tailflame.tools.findings import Finding, Level
from tailflame.tools.perf_record import OFF_CPU_COST, SWITCH, CallGraph, PerfOptions
from tailflame.tools.program_checks import of_perf

_BYTES_PER_SAMPLE = 300
"""A sample without a copy of its stack: header, registers and some 25 addresses."""
_LITTLE_SPACE = 1_000_000_000
_NO_SPACE = 50_000_000
_MUCH_PER_S = 20_000_000


def preflight(
    target: Target,
    options: PerfOptions | CargoOptions | ToolOptions,
    host: Host,
    *,
    out: Path | None = None,
    tool: FieldTool | None = None,
) -> tuple[Finding, ...]:
    """Everything that speaks against this recording, the worst first; what is in order comes last.

    `out` is where it will be written, or a folder above. `tool` is whose `options` they are, where these do not say it.
    Raises LookupError where nobody says it.
    """
    if isinstance(options, ToolOptions):
        findings = [*of_tool(tool or _tool_of(options), target, options, host)]
    elif isinstance(options, CargoOptions):
        findings = [*_machine(host), *_options(options, host), *_project(target, options, host)]
    else:
        findings = [*_machine(host), *_options(options, host), *of_perf(target, options, host)]
    if out is not None:
        findings += _disk(out, options)
    return tuple(sorted(findings, key=lambda finding: -finding.level))


def _tool_of(options: ToolOptions) -> FieldTool:
    from tailflame.tools import field_tool  # which imports this module

    tool = field_tool(options.tool)
    if tool is None:
        raise LookupError(f"no tool is called “{options.tool}”")
    return tool


def doctor(host: Host) -> tuple[Finding, ...]:
    """What can be said of this machine whatever is recorded."""
    return (*_machine(host), *_capabilities(host), *_helpers(host))


# The machine.


def _machine(host: Host) -> Iterator[Finding]:
    if host.perf is None:
        command = install_command("perf")
        yield Finding(
            Level.BLOCKER,
            host.perf_problem or "perf is not installed.",
            "Tailflame records CPU profiles with it.",
            command,
            _argv(command),
        )
        return
    yield Finding(Level.OK, f"perf {host.perf_version} is installed.", str(host.perf))
    yield _paranoid(host)
    yield from _kernel_names(host)


def paranoid_meaning(level: int) -> str:
    """What kernel.perf_event_paranoid says of users without CAP_PERFMON."""
    if level < 0:
        return "everything is allowed to everybody"
    if level == 0:
        return "raw tracepoints are refused, all else is allowed"
    if level == 1:
        return "a user may profile own processes, kernel included, but not the whole system"
    if level == 2:
        return "a user may profile own processes, without the kernel"
    return "on Debian, Ubuntu and Android users may not profile at all; elsewhere it means the same as 2"


def _paranoid(host: Host) -> Finding:
    level = host.perf_event_paranoid
    meaning = f"kernel.perf_event_paranoid is {level}: {paranoid_meaning(level)}." if level is not None else ""
    lower = ("sudo", "sysctl", "kernel.perf_event_paranoid=1")
    if host.refused:
        if "No permission to enable" in host.refused or level is None or level < 2:
            return Finding(
                Level.BLOCKER,
                "This system forbids performance events.",
                f"Containers do that, with seccomp. {meaning}".rstrip(),
                "Start the container with --cap-add PERFMON (or SYS_ADMIN), or record outside of it.",
            )
        return Finding(
            Level.BLOCKER,
            "The kernel refuses performance events to this user.",
            meaning,
            "Lower the limit, until the next start of the machine.",
            lower,
        )
    if host.user_only:
        return Finding(
            Level.NOTE,
            "Kernel functions will be missing.",
            f"{meaning} Time inside system calls is not seen, events carry “:u”.",
            "Lower the limit to see them, until the next start of the machine.",
            lower,
        )
    who = " This user is exempt." if level is not None and level >= 2 else ""
    return Finding(Level.OK, "perf may see the program and the kernel.", f"{meaning}{who}".strip())


def _kernel_names(host: Host) -> Iterator[Finding]:
    if host.user_only or host.refused or host.kptr_restrict is None:
        return
    hidden_from_users = host.kptr_restrict == 1 and not host.sees_kernel_addresses
    if host.kptr_restrict >= 2 or hidden_from_users:
        whom = "everybody, root included" if host.kptr_restrict >= 2 else "users without CAP_SYSLOG"
        yield Finding(
            Level.NOTE,
            "Kernel functions will have no names.",
            f"kernel.kptr_restrict is {host.kptr_restrict}: kernel addresses are hidden from {whom}.",
            "Show them, until the next start of the machine.",
            ("sudo", "sysctl", "kernel.kptr_restrict=0"),
        )


def _capabilities(host: Host) -> Iterator[Finding]:
    if host.perf is None or host.refused:
        return
    if host.has_hardware_events:
        yield Finding(Level.OK, "The processor's counters work.", host.cpu)
        lbr = host.lbr
        yield Finding(Level.OK if lbr.available else Level.NOTE, "Call graphs by branch records (lbr).", lbr.reason)
    else:
        yield Finding(
            Level.NOTE,
            "The processor's counters are not available.",
            f"{host.no_counters} Profiles use the kernel's clock: time, but no cache misses.",
            "Record on the bare machine, or let the virtual one pass the counters through (KVM: `-cpu host,pmu=on`).",
        )
    if host.max_sample_rate is not None:
        yield Finding(Level.OK, f"Up to {units.count(host.max_sample_rate)} samples per second.")


def _helpers(host: Host) -> Iterator[Finding]:
    for program, use in (
        ("cargo", "builds Rust projects"),
        ("cargo-flamegraph", "records a target of a cargo project"),
        ("setpriv", "lets perf finish its file should Tailflame die"),
        ("bpftrace", "times functions of a running program"),
        ("strace", "counts system calls of a running program"),
        ("valgrind", "simulates caches and branches, and measures the heap (massif, DHAT, cachegrind, callgrind)"),
        ("heaptrack", "tells who allocates, what is temporary and what leaks"),
        ("gdb", "lets heaptrack and jemalloc look into a running program"),
        ("jeprof", "reads jemalloc's profiles as well, to compare figures; Tailflame needs it not"),
    ):
        place = host.has_tool(program)
        if place is not None:
            yield Finding(Level.OK, f"{program} is installed.", str(place))
        else:
            command = install_command(program)
            yield Finding(Level.NOTE, f"{program} is not installed.", f"It {use}.", command, _argv(command))
    library = preload_library()
    if library is not None:
        yield Finding(Level.OK, "jemalloc is installed.", str(library))
    else:
        command = install_command("jemalloc")
        use = "It profiles the heap of programs that do not link it themselves."
        yield Finding(Level.NOTE, "jemalloc is not installed.", use, command, _argv(command))


# The wishes.


def _options(options: PerfOptions | CargoOptions, host: Host) -> Iterator[Finding]:
    if host.perf is None or host.refused:
        return
    for event in _events(options):
        support = host.event(event)
        if support.available:
            yield Finding(Level.OK, f"{event} can be sampled.")
            continue
        # For this event alone perf falls back without a word; for the others it refuses to start.
        replaced = event.partition(":")[0] == "cycles"
        yield Finding(
            Level.WARNING if replaced else Level.BLOCKER,
            f"{event} cannot be sampled here: {support.reason}.",
            "perf takes the CPU clock in its place without saying so." if replaced else "perf refuses to start.",
            f"Choose {host.default_event}.",
        )
    if isinstance(options, PerfOptions) and options.off_cpu:
        switches = host.event(SWITCH)
        if switches.available:
            yield Finding(Level.OK, "Switches of threads can be recorded.", OFF_CPU_COST)
        else:
            yield Finding(
                Level.BLOCKER,
                f"Time off the CPU cannot be recorded: {switches.reason}.",
                "It takes the scheduler's tracepoint, and perf refuses to start without it.",
                "Record without it, or as root.",
            )
    most = host.max_sample_rate
    if most is not None and options.frequency > most:
        yield Finding(
            Level.WARNING,
            f"{units.count(options.frequency)} Hz is above the kernel's limit of {units.count(most)} Hz.",
            "perf would sample at the limit. The kernel lowers it when interrupts take too much time.",
            f"Choose at most {units.count(most)} Hz, or raise the limit.",
            ("sudo", "sysctl", f"kernel.perf_event_max_sample_rate={options.frequency}"),
        )
    elif most is not None:
        yield Finding(
            Level.OK,
            f"{units.count(options.frequency)} Hz is within the kernel's limit.",
            f"It allows {units.count(most)} samples per second.",
        )
    if options.call_graph is CallGraph.LBR and not host.lbr.available:
        yield Finding(
            Level.BLOCKER, f"Call graph lbr: {host.lbr.reason}.", "", "Choose frame pointers (fp) or DWARF (dwarf)."
        )
    if options.call_graph is CallGraph.DWARF and _bytes_per_cpu_second(options) > _MUCH_PER_S:
        yield Finding(
            Level.WARNING,
            f"Each busy CPU writes {units.size(_bytes_per_cpu_second(options))} per second.",
            "perf copies that much of the stack; at this rate it slows the program down and loses samples.",
            "Choose a lower frequency, a smaller stack, or frame pointers.",
        )


def _events(options: PerfOptions | CargoOptions) -> tuple[str, ...]:
    return options.events if isinstance(options, PerfOptions) else (options.event,)


def _bytes_per_cpu_second(options: PerfOptions | CargoOptions) -> int:
    stack = options.dwarf_stack if options.call_graph is CallGraph.DWARF else 0
    return options.frequency * len(_events(options)) * (_BYTES_PER_SAMPLE + stack)


# The project.


def _project(target: Target, options: CargoOptions, host: Host) -> Iterator[Finding]:
    for program in ("cargo", "cargo-flamegraph"):
        if host.has_tool(program) is None:
            command = install_command(program)
            yield Finding(Level.BLOCKER, f"{program} is not installed.", "", command, _argv(command))
    if not (options.project / "Cargo.toml").is_file():
        yield Finding(
            Level.BLOCKER,
            f"There is no cargo project in {options.project}.",
            "",
            "Choose the folder of the project: the one with Cargo.toml.",
        )
    if target.cwd is not None and target.cwd.absolute() != options.project.absolute():
        yield Finding(
            Level.NOTE,
            "cargo flamegraph starts the program in the project's folder.",
            f"The working directory {target.cwd} is not used.",
            "Record the binary with perf record to choose the working directory.",
        )


# The disk.


def _disk(out: Path, options: PerfOptions | CargoOptions | ToolOptions) -> Iterator[Finding]:
    folder = existing_folder(out)
    if not os.access(folder, os.W_OK):
        yield Finding(
            Level.BLOCKER,
            f"{folder} may not be written to.",
            "",
            "Choose a profiles folder that this user may write to.",
        )
        return
    free = shutil.disk_usage(folder).free
    per_second = 0 if isinstance(options, ToolOptions) else _bytes_per_cpu_second(options)
    if free < _NO_SPACE:
        level = Level.BLOCKER
    elif free < max(_LITTLE_SPACE, int(per_second * 2 * (options.duration_s or 0))):
        level = Level.WARNING
    else:
        yield Finding(Level.OK, f"{units.size(free)} are free for the recording.", str(folder))
        return
    yield Finding(
        level,
        f"Only {units.size(free)} are free for the recording.",
        f"{folder} takes up to {units.size(per_second)} per second for each busy CPU." if per_second else str(folder),
        "Free space, or choose another profiles folder.",
    )


def _argv(command: str) -> tuple[str, ...]:
    """A command as its words; empty for a sentence, and for one that only a shell can expand."""
    return tuple(command.split()) if command.startswith(("sudo ", "cargo ")) and "$" not in command else ()
