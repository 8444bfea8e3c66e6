"""What would spoil a recording, told before it begins, each with what to do about it.

A finding comes from a fact that was looked up: of this machine, of the binary, of the wishes. Where nobody knows, there
is no finding. `preflight` reads files and, the first time, asks perf: call it from a thread.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from tailflame import units
from tailflame.errors import TargetError
from tailflame.host.binary import BinaryFacts, Kind, binary_facts, check_runnable
from tailflame.host.cargo import project_root
from tailflame.host.install import install_command
from tailflame.host.system import Host, existing_folder
from tailflame.tools.base import Target
from tailflame.tools.cargo_flamegraph import CargoOptions
from tailflame.tools.findings import Finding, Level
from tailflame.tools.perf_record import OFF_CPU_COST, SWITCH, CallGraph, PerfOptions

_BYTES_PER_SAMPLE = 300
"""A sample without a copy of its stack: header, registers and some 25 addresses."""
_LITTLE_SPACE = 1_000_000_000
_NO_SPACE = 50_000_000
_MUCH_PER_S = 20_000_000


def preflight(
    target: Target, options: PerfOptions | CargoOptions, host: Host, *, out: Path | None = None
) -> tuple[Finding, ...]:
    """Everything that speaks against this recording, the worst first; what is in order comes last.

    `out` is where it will be written, or a folder above.
    """
    findings = [*_machine(host), *_options(options, host)]
    if isinstance(options, CargoOptions):
        findings += _project(target, options, host)
    else:
        findings += _target(target, options, host)
    if out is not None:
        findings += _disk(out, options)
    return tuple(sorted(findings, key=lambda finding: -finding.level))


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
            f"{host.event('cycles').reason.capitalize()}. Profiles use the kernel's clock: time, but no cache misses.",
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
        ("valgrind", "simulates caches and branches where the processor has no counters"),
    ):
        place = host.has_tool(program)
        if place is not None:
            yield Finding(Level.OK, f"{program} is installed.", str(place))
        else:
            command = install_command(program)
            yield Finding(Level.NOTE, f"{program} is not installed.", f"It {use}.", command, _argv(command))


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


# The program.


def _target(target: Target, options: PerfOptions, host: Host) -> Iterator[Finding]:
    if target.cwd is not None and not target.cwd.is_dir():
        yield Finding(
            Level.BLOCKER, f"The working directory {target.cwd} is not there.", "", "Choose a folder that exists."
        )
    try:
        check_runnable(target.binary)
        facts = binary_facts(target.binary)
    except TargetError as problem:
        yield Finding(Level.BLOCKER, problem.sentence, "", problem.advice)
        return
    if "\n" in str(target.binary):
        yield Finding(
            Level.BLOCKER,
            "The path of the program holds a line break.",
            "perf writes the path of every function, a line each: its output could not be read.",
            "Record a copy at a path without one.",
        )
    yield from _binary(facts, options, host)


def _binary(facts: BinaryFacts, options: PerfOptions, host: Host) -> Iterator[Finding]:
    name = facts.path.name
    if facts.kind is Kind.SCRIPT:
        yield Finding(
            Level.WARNING,
            f"{name} is a script: perf records its interpreter, {facts.interpreter}.",
            "The functions of the script itself have no names in the profile.",
            "Choose the program that the script starts.",
        )
        return
    if facts.path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID) and host.uid != 0:
        yield Finding(
            Level.WARNING,
            f"{name} runs as another user (setuid).",
            "The kernel takes the events away from perf when it starts.",
            "Record a copy without that bit.",
        )
    if facts.newer_source is not None:
        root = project_root(facts.path)
        source = facts.newer_source
        shown = source.relative_to(root) if root is not None and root in source.parents else source
        yield Finding(
            Level.WARNING,
            f"{name} is older than its source {shown}.",
            "The profile would show the program as it was before the change.",
            "Build it again.",
            _build_command(facts.path),
        )
    elif project_root(facts.path) is not None:
        yield Finding(Level.OK, f"{name} is as new as its sources.")
    if facts.debug_build:
        how = "is code without optimisation" if facts.optimised is False else "stands in a folder of debug builds"
        yield Finding(
            Level.WARNING,
            f"{name} is a debug build.",
            f"It {how}: what is slow there need not be slow in a release.",
            "Record a release build that keeps its symbols.",
            ("cargo", "build", "--release") if facts.language == "rust" else (),
        )
    elif facts.optimised:
        yield Finding(Level.OK, f"{name} is optimised.")
    yield from _symbols(facts)
    if options.call_graph is CallGraph.FRAME_POINTERS:
        yield from _frame_pointers(facts)


def _symbols(facts: BinaryFacts) -> Iterator[Finding]:
    name, rust = facts.path.name, facts.language == "rust" or project_root(facts.path) is not None
    if not facts.has_symbols:
        where = f" Its symbols are kept apart in {facts.debug_link}." if facts.debug_link else ""
        yield Finding(
            Level.NOTE if facts.debug_link else Level.WARNING,
            f"{name} is stripped.",
            f"Its functions will have no names.{where}",
            'Build with `strip = false` and `debug = "line-tables-only"` in Cargo.toml\'s profile.'
            if rust
            else "Build without -s, and do not strip it.",
        )
    elif not facts.has_debug_info:
        yield Finding(
            Level.NOTE,
            f"{name} has no debug information.",
            "Functions have names, but there are no lines, and inlined functions count for those they are inlined in.",
            'Build with `debug = "line-tables-only"` in Cargo.toml\'s profile; it costs no speed.'
            if rust
            else "Build with -g; it costs no speed.",
        )
    else:
        yield Finding(Level.OK, f"{name} has symbols and debug information.")


def _frame_pointers(facts: BinaryFacts) -> Iterator[Finding]:
    share = facts.frame_pointer_share
    if facts.frame_pointers:
        shown = f"{units.percent(share, digits=0)} of its functions set one up." if share is not None else ""
        yield Finding(Level.OK, f"{facts.path.name} keeps frame pointers.", shown)
    if facts.frame_pointers or not facts.has_symbols:
        return
    rust = facts.language == "rust"
    flag = 'RUSTFLAGS="-C force-frame-pointers=yes"' if rust else "-fno-omit-frame-pointer"
    fix = f"Build with {flag}, or choose the call graph dwarf."
    if facts.frame_pointers is False and share is not None:
        yield Finding(
            Level.WARNING,
            f"{facts.path.name} keeps no frame pointers.",
            f"{units.percent(share, digits=0)} of its functions set one up: stacks would be cut short or wrong.",
            fix,
        )
    elif share is not None:
        yield Finding(
            Level.NOTE,
            f"Only some functions of {facts.path.name} keep frame pointers.",
            f"{units.percent(share, digits=0)} of them set one up: some stacks would be cut short.",
            fix,
        )


def _build_command(binary: Path) -> tuple[str, ...]:
    """`cargo build` with the profile that the path tells."""
    profile = binary.parent.name
    if profile == "debug":
        return ("cargo", "build")
    return ("cargo", "build", "--release") if profile == "release" else ("cargo", "build", "--profile", profile)


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


def _disk(out: Path, options: PerfOptions | CargoOptions) -> Iterator[Finding]:
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
    per_second = _bytes_per_cpu_second(options)
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
        f"{folder} takes up to {units.size(per_second)} per second for each busy CPU.",
        "Free space, or choose another profiles folder.",
    )


def _argv(command: str) -> tuple[str, ...]:
    """A command as its words; empty for a sentence, and for one that only a shell can expand."""
    return tuple(command.split()) if command.startswith(("sudo ", "cargo ")) and "$" not in command else ()
