"""What speaks against a recording in the program itself: that it cannot start, is not the one meant, has no names."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from tailflame import units
from tailflame.errors import TargetError
from tailflame.host.binary import BinaryFacts, Kind, binary_facts, check_runnable
from tailflame.host.cargo import project_root
from tailflame.host.running import RunningProcess, process_of
from tailflame.host.system import Host
from tailflame.tools.base import Target
from tailflame.tools.findings import Finding, Level
from tailflame.tools.perf_record import CallGraph, PerfOptions


def of_perf(target: Target, options: PerfOptions, host: Host) -> Iterator[Finding]:
    """What speaks against perf on this program."""
    if target.pid is not None:
        yield from running(target.pid)[1]
        return
    yield from starting(target)
    facts = facts_of(target)
    if facts is None:
        return
    if "\n" in str(target.binary):
        yield Finding(
            Level.BLOCKER,
            "The path of the program holds a line break.",
            "perf writes the path of every function, a line each: its output could not be read.",
            "Record a copy at a path without one.",
        )
    yield from _perf_on(facts, options, host)


def starting(target: Target) -> Iterator[Finding]:
    """Why it cannot be started at all."""
    if target.cwd is not None and not target.cwd.is_dir():
        yield Finding(
            Level.BLOCKER, f"The working directory {target.cwd} is not there.", "", "Choose a folder that exists."
        )
    try:
        check_runnable(target.binary)
        binary_facts(target.binary)
    except TargetError as problem:
        yield Finding(Level.BLOCKER, problem.sentence, "", problem.advice)


def running(pid: int) -> tuple[RunningProcess | None, tuple[Finding, ...]]:
    """The program to attach to, None where that cannot be, and what is to be said of it."""
    process = process_of(pid)
    if process is None:
        gone = Finding(
            Level.BLOCKER, f"There is no process {pid}.", "It may have ended.", "Choose a program that runs."
        )
        return None, (gone,)
    if not process.attachable:
        return None, (Finding(Level.BLOCKER, f"{process.name} ({pid}) cannot be attached to: {process.reason}."),)
    found = [Finding(Level.OK, f"{process.name} ({pid}) runs.", process.command_line)]
    if process.deleted:
        found.append(
            Finding(
                Level.WARNING,
                f"{process.name} was built anew since it was started.",
                "The names of its functions are those of the file that is gone.",
                "Start it again.",
            )
        )
    return process, tuple(found)


def facts_of(target: Target) -> BinaryFacts | None:
    """What its file tells; None where it cannot be started."""
    try:
        check_runnable(target.binary)
        return binary_facts(target.binary)
    except TargetError:
        return None


def _perf_on(facts: BinaryFacts, options: PerfOptions, host: Host) -> Iterator[Finding]:
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
    yield from build(facts)
    yield from symbols(facts)
    if options.call_graph is CallGraph.FRAME_POINTERS:
        yield from _frame_pointers(facts)


def build(facts: BinaryFacts) -> Iterator[Finding]:
    """Whether it is the program of now, and the one that matters."""
    name = facts.path.name
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


def symbols(facts: BinaryFacts) -> Iterator[Finding]:
    """Whether its functions have names, and its code lines."""
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
