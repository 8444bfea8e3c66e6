"""`perf record` on a program that it starts.

perf starts the target itself (`perf record … -- BINARY ARGS`) rather than being attached to a target that we hold
before its exec. Both were tried on a program with threads and children, and both sample all of them. But what we hold
before the exec is our own launcher: from the moment perf is armed until the exec is done it costs about a millisecond
(at 20 kHz: 23 samples in the name of a Python launcher, 7 of a shell), so nearly every profile would carry a sample of
something that is not the target. perf's own start counts from the exec on and has none. Nothing is lost by it: perf
passes the target's exit code and its signal on as its own, prints nothing on stdout, and what it prints on stderr is
told by its shape. And the command that is shown is the command that runs, in any terminal.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from tailflame.errors import TailflameError, TargetError, ToolDenied, ToolFailed
from tailflame.host.system import EVENTS, Host
from tailflame.tools.base import Capabilities, Capability, Plan, Target, TargetIs


class CallGraph(StrEnum):
    """How perf walks the stack."""

    FRAME_POINTERS = "fp"
    DWARF = "dwarf"
    LBR = "lbr"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class PerfOptions:
    """The wishes of one `perf record`."""

    call_graph: CallGraph = CallGraph.DWARF
    frequency: int = 1999
    """Samples per second of CPU time, for each event; a prime, so that it does not beat with periodic work."""
    events: tuple[str, ...] = ("cpu-clock",)
    dwarf_stack: int = 8192
    """Bytes of stack copied with each sample, for `dwarf`."""
    large_buffer: bool = False
    """A larger ring buffer for DWARF stacks, where the kernel allows it (to root)."""
    off_cpu: bool = False
    """Also how long threads are off the CPU, and where they leave it: every switch of the program's threads."""
    duration_s: float | None = None
    """None: until the target ends or is stopped."""
    extra: tuple[str, ...] = ()
    """Further arguments for perf itself."""


# The largest stack dump that fits a record of 64 KiB beside its header and registers; perf refuses more.
MAX_DWARF_STACK = 65528
DWARF_STACKS = (4096, 8192, 16384, 32768, MAX_DWARF_STACK)
DWARF_BUFFER_PAGES = 2048
"""8 MiB per CPU hold half a second of 8 KiB stacks at 1999 Hz; perf's own 512 KiB, an ordinary user's share, 30 ms."""

SWITCH = "sched:sched_switch"
"""Tells where a thread leaves the processor. That it has one again is told by the switch records of --switch-events:
the tracepoint of its return belongs to the thread before it, which is nobody's here.
"""
OFF_CPU_COST = (
    "Each switch of a thread costs some microseconds and writes about 300 bytes: little for a program that computes,"
    " much for one that switches a hundred thousand times a second."
)

# "[ perf record: Woken up 1 times to write data ]", its warnings, and the failures that `explain` knows.
OWN_LINES = re.compile(
    r"^(\[ ?perf record: .*\]"
    r"|(WARNING|Warning|warning): .*|Warning:$|Error:$"
    r"|failed to write perf data, error: .*"
    r"|Couldn't (record|synthesize) .*"
    r"|Processed \d+ events and lost \d+ chunks!|Check IO/CPU overload!"
    r"|check /proc/sys/kernel/kptr_restrict and /proc/sys/kernel/perf_event_paranoid\.?"
    r"|Samples in kernel (functions|modules) .*|(file is not found|Kernel address maps) .*"
    r"|         (The limit can be raised|The kernel will lower|Use --strict-freq) .*)$"
)


class PerfRecord:
    """Where the CPU time goes, by sampling stacks."""

    name = "perf-record"
    title = "perf record"
    answers = "Where does the CPU time go, function by function?"
    cost = "A few percent at 1999 Hz with frame pointers; more with DWARF stacks, which copy kilobytes per sample."

    def probe(self, host: Host) -> Capabilities:
        """What can work here; blocks only where the host has not been probed for an event yet."""
        if host.perf is None:
            return Capabilities(False, host.perf_missing)
        if host.refused:
            return Capabilities(False, "the kernel refuses performance events to this user", version=host.perf_version)
        options = [
            Capability(f"event={name}", support.available, support.reason)
            for name in EVENTS
            for support in (host.event(name),)
        ]
        switches = host.event(SWITCH)
        options.append(Capability("off-CPU", switches.available, switches.reason))
        options.append(Capability("call graph=lbr", host.lbr.available, host.lbr.reason))
        kernel = "the kernel lets this user see user space alone" if host.user_only else ""
        options.append(Capability("kernel frames", not host.user_only, kernel))
        return Capabilities(True, version=host.perf_version, options=tuple(options))

    def defaults(self, host: Host, *, frame_pointers: bool | None = None) -> PerfOptions:
        """`frame_pointers` says whether the target is known to keep them: then the cheap call graph is right."""
        call_graph = CallGraph.FRAME_POINTERS if frame_pointers else CallGraph.DWARF
        return PerfOptions(call_graph=call_graph, events=(host.default_event,), large_buffer=host.uid == 0)

    def plan(self, target: Target, options: PerfOptions, out: Path) -> Plan:
        data = out / "perf.data"
        attached = target.pid is not None
        started = (*_argv(options), "-o", str(data), "--", *target.argv)
        return Plan(
            tool=self.name,
            argv=started if target.pid is None else attach_argv(options, target.pid, data),
            target=target,
            out=out,
            artifacts=MappingProxyType({"perf.data": data}),
            primary="perf.data",
            cwd=target.cwd,
            duration_s=options.duration_s,
            mirrors_target=not attached,
            samples_hz=_expected_rate(options),
            own_lines=OWN_LINES,
            target_is=TargetIs.RUNNING if attached else TargetIs.CHILD_OF_PERF,
            stop_signal=signal.SIGINT if attached else signal.SIGTERM,
        )

    def explain(self, output: str, plan: Plan) -> TailflameError | None:
        return explain(output, plan.artifacts)


def attach_argv(options: PerfOptions, pid: int, data: Path) -> tuple[str, ...]:
    """The same recording of a program that runs, into the file `data`; it ends with the program, or with SIGINT."""
    return (*_argv(options), "-p", str(pid), "-o", str(data))


def explain_attach(output: str, data: Path) -> TailflameError | None:
    """What perf's own words mean where it was to record a running program; None where they tell of no failure."""
    return explain(output, MappingProxyType({"perf.data": data}))


def _argv(options: PerfOptions) -> list[str]:
    argv = ["perf", "record", "-k", "CLOCK_MONOTONIC"]
    if options.off_cpu:
        # -F would hold for the tracepoint too and thin out the switches: each event says its frequency itself.
        argv += ["-e", ",".join(_at_frequency(name, options.frequency) for name in options.events)]
        argv += [*(("-e", SWITCH) if SWITCH not in options.events else ()), "--switch-events"]
    else:
        argv += ["-F", str(options.frequency), "-e", ",".join(options.events)]
    match options.call_graph:
        case CallGraph.DWARF:
            argv += ["--call-graph", f"dwarf,{options.dwarf_stack}"]
        case CallGraph.FRAME_POINTERS | CallGraph.LBR:
            argv += ["--call-graph", options.call_graph.value]
        case CallGraph.NONE:
            pass
    # Stacks without their memory are small, and a small buffer shows its samples sooner.
    if options.large_buffer and options.call_graph is CallGraph.DWARF:
        argv += ["-m", str(DWARF_BUFFER_PAGES)]
    return [*argv, *options.extra]


def _at_frequency(event: str, frequency: int) -> str:
    """`event` sampled so often whatever the others are: "cycles:u" is "cycles/freq=1999,name=cycles:u/u"."""
    if event.endswith("/") or re.search(r"/[a-zA-Z]*$", event):
        inside, _, modifiers = event.rpartition("/")  # cpu/event=0xc2,umask=1/u
        return f"{inside},freq={frequency}/{modifiers}"
    name, _, modifiers = event.partition(":")
    if len(modifiers) > 4:
        return event  # another tracepoint: each of its hits, which is perf's own way
    return f"{name}/freq={frequency},name={event}/{modifiers}"


def _expected_rate(options: PerfOptions) -> float:
    """Samples per CPU second of the events that tick with the CPU's time; the others come when they like."""
    ticking = {"cycles", "instructions", "cpu-clock", "task-clock"}
    return float(options.frequency * sum(name.partition(":")[0] in ticking for name in options.events))


def explain(output: str, artifacts: Mapping[str, Path]) -> TailflameError | None:
    """perf's own words as one sentence and a fix; None where they tell of no failure."""
    where = next(iter(artifacts.values()), Path("perf.data"))
    for needle, make in _FAILURES:
        if needle in output:
            return make(output, where)
    return None


def _denied(output: str, where: Path) -> TailflameError:
    return ToolDenied(
        "The kernel refuses performance events to this user.",
        advice="Lower the limit for everybody with: sudo sysctl kernel.perf_event_paranoid=1",
        details=output,
    )


def _not_permitted(output: str, where: Path) -> TailflameError:
    return ToolDenied(
        "This system forbids performance events altogether, as containers do.",
        advice="Start the container with --cap-add PERFMON (or SYS_ADMIN), or record outside of it.",
        details=output,
    )


def _disk_full(output: str, where: Path) -> TailflameError:
    return ToolFailed(
        f"The disk filled up while perf wrote {where}.",
        advice="Free space or choose another profiles folder; what was written until then is kept.",
        details=output,
    )


def _cannot_write(output: str, where: Path) -> TailflameError:
    return ToolFailed(
        f"perf cannot write {where}.",
        advice="Choose a profiles folder that this user may write to.",
        details=output,
    )


def _mlock(output: str, where: Path) -> TailflameError:
    return ToolDenied(
        "The ring buffer is larger than the kernel allows this user.",
        advice="Use a smaller buffer, or raise the limit with: sudo sysctl kernel.perf_event_mlock_kb=16384",
        details=output,
    )


def _no_event(output: str, where: Path) -> TailflameError:
    quoted = re.search(r"event syntax error: '([^']*)'", output)
    name = f" “{quoted[1]}”" if quoted else ""
    return ToolFailed(
        f"perf does not know the event{name}.",
        advice="`perf list` names the events of this machine.",
        details=output,
    )


def _no_tracepoint(output: str, where: Path) -> TailflameError:
    return ToolDenied(
        "Tracepoints can be read by root alone here.",
        advice="Record this event as root, or choose another event.",
        details=output,
    )


def _unsupported(output: str, where: Path) -> TailflameError:
    named = re.search(r"^(?:The )?(\S+?)(?: event is not supported|: PMU Hardware)", output, re.MULTILINE)
    name = f" {named[1]}" if named else ""
    return ToolFailed(
        f"This machine cannot sample the event{name} as asked.",
        advice="Choose cpu-clock, which needs no processor counters, and a call graph other than lbr.",
        details=output,
    )


def _workload(output: str, where: Path) -> TailflameError:
    failed = re.search(r"(?:workload: |Workload failed: )(.*)", output)
    return ToolFailed(
        f"perf could not start the program: {failed[1] if failed else 'no reason given'}.",
        advice="Check that the file exists and is executable.",
        details=output,
    )


def _frequency(output: str, where: Path) -> TailflameError:
    return ToolFailed(
        "The frequency is above the kernel's limit.",
        advice="Choose a lower one, or raise kernel.perf_event_max_sample_rate.",
        details=output,
    )


def _no_process(output: str, where: Path) -> TailflameError:
    return TargetError(
        "The program had ended before perf could attach to it.", advice="Choose one that runs.", details=output
    )


# Most telling first: a refusal of tracepoints also holds "event syntax error".
_FAILURES = (
    ("can't access trace events", _no_tracepoint),
    ("event syntax error", _no_event),
    ("Access to performance monitoring and observability operations is limited", _denied),
    ("No permission to enable", _not_permitted),
    ("error: No space left on device", _disk_full),
    ("No space left on device", _disk_full),
    ("Permission error mapping pages", _mlock),
    ("failed to mmap with", _mlock),
    ("failed to create output file", _cannot_write),
    ("Perf session creation failed", _cannot_write),
    ("event is not supported", _unsupported),
    ("PMU Hardware", _unsupported),
    ("Please use -F freq option with a lower value", _frequency),
    # "Couldn't create thread/CPU maps: No such process", and an older perf's words.
    ("No such process", _no_process),
    ("Problems finding threads of monitor", _no_process),
    ("Workload failed", _workload),
    (" workload: ", _workload),
)
