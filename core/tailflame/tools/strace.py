"""strace: every system call of a program and its children, with its time, or their sums alone.

With a filter, --seccomp-bpf lets the calls that nobody asked for pass at full speed; without it, each stops the program
twice. strace refuses it for a program that it attaches to.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from tailflame.errors import TailflameError, TargetError, ToolDenied, ToolFailed
from tailflame.host.install import install_command
from tailflame.host.privilege import tracer_of
from tailflame.host.system import Host, ask
from tailflame.tools.base import (
    Capabilities,
    Family,
    OptionField,
    OptionKind,
    Plan,
    SlowDown,
    Target,
    TargetIs,
    ToolOptions,
)
from tailflame.tools.failures import Failure, explained
from tailflame.tools.findings import Finding, Level

FULL, SUMMARY = "full", "summary"
ALL, LIST = "all", "list"
_SETS = {
    "network": "%network",
    "file": "%file",
    "descriptors": "%desc",
    "memory": "%memory",
    "process": "%process",
    "signals": "%signal",
    "ipc": "%ipc",
}

MODE = OptionField(
    name="mode",
    title="Keep",
    tip="Every call gives percentiles, times, arguments, files and peers; sums alone make a small file.",
    kind=OptionKind.CHOICE,
    default=FULL,
    choices=((FULL, "every call"), (SUMMARY, "sums alone")),
)
CALLS = OptionField(
    name="calls",
    title="Calls",
    tip="Which are looked at. With fewer, the others of a program that is started run at nearly their own speed.",
    kind=OptionKind.CHOICE,
    default=ALL,
    choices=(
        (ALL, "all"),
        ("network", "network: sockets"),
        ("file", "files, by their paths"),
        ("descriptors", "files and sockets, by descriptor"),
        ("memory", "memory: mmap, brk, madvise"),
        ("process", "processes: fork, exec, wait, exit"),
        ("signals", "signals"),
        ("ipc", "System V messages, semaphores, shared memory"),
        (LIST, "a list of my own"),
    ),
)
NAMES = OptionField(
    name="names",
    title="Names",
    tip="Of system calls, separated by commas: write,fsync,futex. A ! before the first takes all but these.",
    kind=OptionKind.TEXT,
    default="write,fsync,futex",
    only_with=("calls", LIST),
)
DESCRIPTORS = OptionField(
    name="descriptors",
    title="Files and peers",
    tip="Writes behind each descriptor what it stands for: a path, a peer's address.",
    kind=OptionKind.FLAG,
    default=True,
    only_with=("mode", FULL),
)
STACKS = OptionField(
    name="stacks",
    title="Call stack of each call",
    tip="Which code made the call. Unwinding takes far longer than all the rest: for short runs, or a narrow filter.",
    kind=OptionKind.FLAG,
    default=False,
    only_with=("mode", FULL),
    rare=True,
)
THREAD_NAMES = OptionField(
    name="thread-names",
    title="Names of threads",
    tip="Writes the name behind each thread's number, so that runs compare thread by thread.",
    kind=OptionKind.FLAG,
    default=True,
    only_with=("mode", FULL),
    rare=True,
)
STRINGS = OptionField(
    name="strings",
    title="Characters of each string",
    tip="How much of what is read and written stands in the arguments; the rest is left out.",
    kind=OptionKind.WHOLE,
    default=32,
    low=0,
    high=4096,
    only_with=("mode", FULL),
    rare=True,
)
RESULT = "strace.log"
TABLE = "strace.txt"
_NAMED_THREADS = (5, 17)
"""The first strace with --decode-pids=comm."""
_SECCOMP = (5, 3)
_WORDS = re.compile(r"!?[A-Za-z0-9_%/?|\[\].*^$@]+(?:\s*,\s*[A-Za-z0-9_%/?|\[\].*^$@]+)*\s*,?\s*")
_OWN_LINES = re.compile(r"^strace: .*$")


class Strace:
    """Follows a program's system calls."""

    name = "strace"
    title = "strace"
    answers = "Which system calls are made, how long do they take, on what, and which fail?"
    cost = "It stops the program twice at each call: next to nothing for computing, very much for many small calls."
    family = Family.SYSCALLS
    program = "strace"
    launches = True
    attaches = True
    slow_down = SlowDown(typical=1.0, worst=77, worst_for="programs that do little but small system calls")

    def probe(self, host: Host) -> Capabilities:
        if host.has_tool("strace") is None:
            return Capabilities(False, "strace is not installed", fix=install_command("strace"))
        return Capabilities(True, version=_version(_about(host)))

    def fields(self, host: Host) -> tuple[OptionField, ...]:
        about = _about(host)
        stacks, names = STACKS, THREAD_NAMES
        if about and "stack-trace=" not in about:
            stacks = replace(STACKS, reason="This strace was built without unwinding.")
        if (0, 0) < _numbers(about) < _NAMED_THREADS:
            names = replace(THREAD_NAMES, default=False, reason="It takes strace 5.17 or newer.")
        return (MODE, CALLS, NAMES, DESCRIPTORS, stacks, names, STRINGS)

    def defaults(self, host: Host) -> ToolOptions:
        old = (0, 0) < _numbers(_about(host)) < _NAMED_THREADS
        return ToolOptions(tool=self.name, values={THREAD_NAMES.name: False} if old else {})

    def plan(self, target: Target, options: ToolOptions, out: Path) -> Plan:
        summary = options.text(MODE) == SUMMARY
        role = TABLE if summary else RESULT
        result = out / role
        argv = ["strace", "-f", "-w"]
        if summary:
            argv += ["-c", "-U", "time-percent,total-time,min-time,max-time,avg-time,calls,errors,name"]
        else:
            argv += ["-C", "-T", "-ttt"]
            if options.flag(DESCRIPTORS):
                argv.append("-yy")
            if options.flag(THREAD_NAMES):
                argv.append("--decode-pids=comm")
            if options.flag(STACKS):
                argv.append("-k")
            if options.whole(STRINGS) != STRINGS.default:
                argv += ["-s", str(options.whole(STRINGS))]
        argv += ["-o", str(result)]
        if (chosen := _filter(options)) is not None:
            argv += ["-e", f"trace={chosen}"]
            if target.pid is None:
                argv.append("--seccomp-bpf")
        argv += options.extra
        argv += ["-p", str(target.pid)] if target.pid is not None else ["--", *target.argv]
        launched = target.pid is None
        return Plan(
            tool=self.name,
            argv=tuple(argv),
            target=target,
            out=out,
            artifacts=MappingProxyType({role: result}),
            primary=role,
            cwd=target.cwd,
            env=MappingProxyType({"LC_ALL": "C"}) if not launched else MappingProxyType({}),
            duration_s=options.duration_s,
            own_lines=_OWN_LINES,
            mirrors_target=launched,
            target_is=TargetIs.CHILD if launched else TargetIs.RUNNING,
            stop_signal=signal.SIGTERM if launched else signal.SIGINT,
        )

    def checks(self, target: Target, options: ToolOptions, host: Host) -> tuple[Finding, ...]:
        return tuple(self._checks(target, options, host))

    def _checks(self, target: Target, options: ToolOptions, host: Host) -> Iterator[Finding]:
        if options.text(CALLS) == LIST and not _WORDS.fullmatch(options.text(NAMES).strip()):
            yield Finding(
                Level.BLOCKER,
                "The list of system calls cannot be read.",
                "strace would refuse it.",
                "Names, separated by commas: write,fsync,futex.",
            )
        filtered = _filter(options) is not None
        if not filtered:
            yield Finding(
                Level.NOTE,
                "Every system call is looked at.",
                "Programs of nothing but small ones ran 50 times slower with sums alone, 77 times with every call.",
                "Choose the calls that matter: the others then run at nearly their own speed.",
            )
        elif target.pid is not None:
            yield Finding(
                Level.NOTE,
                "Calls that are not asked for are slow as well.",
                "strace can spare them only in a program that it starts.",
                "Let Tailflame start the program.",
            )
        version = _numbers(_about(host))
        if filtered and target.pid is None and (0, 0) < version < _SECCOMP:
            yield Finding(
                Level.BLOCKER,
                "This strace has no --seccomp-bpf.",
                "It came with version 5.3.",
                "Look at all calls, or install a newer strace.",
            )
        if options.flag(THREAD_NAMES) and options.text(MODE) == FULL and (0, 0) < version < _NAMED_THREADS:
            yield Finding(
                Level.BLOCKER,
                "This strace cannot write the names of threads.",
                "That came with version 5.17.",
                "Switch “Names of threads” off.",
            )

    def explain(self, output: str, plan: Plan) -> TailflameError | None:
        error = explained(_FAILURES, output, plan)
        return _not_permitted(output, plan) if error is None and _REFUSED.search(output) else error


def _filter(options: ToolOptions) -> str | None:
    """What -e trace= takes; None for all."""
    chosen = options.text(CALLS)
    if chosen == LIST:
        names = [name for name in re.split(r"\s*,\s*", options.text(NAMES).strip()) if name]
        return ",".join(names) or None
    return _SETS.get(chosen)


def _about(host: Host) -> str:
    """What it says of itself, "" where it is not there:

    strace -- version 6.1
    Optional features enabled: stack-trace=libunwind stack-demangle m32-mpers mx32-mpers
    """
    strace = host.has_tool("strace")
    if strace is None:
        return ""
    answer = ask(strace, "--version")
    return answer.stdout if answer.returncode == 0 else ""


def _version(about: str) -> str:
    found = re.match(r"strace -- version (\S+)", about)
    return found[1] if found is not None else ""


def _numbers(about: str) -> tuple[int, int]:
    """(6, 1) of version 6.1; (0, 0) where it cannot be told."""
    found = re.match(r"(\d+)\.(\d+)", _version(about))
    return (int(found[1]), int(found[2])) if found is not None else (0, 0)


def _not_permitted(output: str, plan: Plan) -> TailflameError:
    if plan.target.pid is not None and (tracer := tracer_of(plan.target.pid)):
        return ToolDenied(
            f"{plan.target.name} is being traced already, by process {tracer}: only one can.",
            advice="Let go of it there first: a debugger, or another strace.",
            details=output,
        )
    if plan.target.pid is not None:
        return ToolDenied(
            f"The system does not let this user trace {plan.target.name}.",
            advice="Start it from here, or allow attaching: sudo sysctl kernel.yama.ptrace_scope=0. Another user's"
            " program takes root.",
            details=output,
        )
    return ToolDenied(
        "The system does not let programs be traced.",
        advice="Containers forbid it where they were started without --cap-add=SYS_PTRACE.",
        details=output,
    )


_FAILURES = (
    Failure(
        re.compile(r"^strace: .*ptrace\(PTRACE_\w+(?:, \d+)?.*\): No such process", re.M),
        TargetError,
        "{plan.target.name} had ended before strace could attach to it.",
    ),
    Failure(
        re.compile(r"^strace: invalid system call '(?P<name>[^']*)'", re.M),
        ToolFailed,
        "strace knows no system call “{name}”.",
        "A ? before a name lets it pass where the machine has no such call: ?openat2.",
    ),
    Failure(
        re.compile(r"^strace: Can't fopen '(?P<file>[^']*)': (?P<why>.*)$", re.M),
        ToolFailed,
        "strace cannot write {file}: {why}.",
    ),
    Failure(
        re.compile(r"^strace: (?:Can't stat '[^']*'|exec): (?P<why>.*)$", re.M),
        TargetError,
        "{plan.target.binary} cannot be started: {why}.",
    ),
    Failure(
        re.compile(r"^strace: (?:unrecognized option|invalid option --) '(?P<option>[^']*)'", re.M),
        ToolFailed,
        "This strace has no option {option}.",
        "Switch off what needs it, or install a newer strace.",
    ),
)
_REFUSED = re.compile(r"^strace: .*PTRACE_\w+.*: (?:Operation not permitted|Permission denied)", re.M)
