"""What speaks against a recording with a tool that describes its options by fields, before it begins."""

from __future__ import annotations

from collections.abc import Iterator

from tailflame.host.binary import Kind
from tailflame.host.privilege import trace_refused
from tailflame.host.system import Host
from tailflame.tools.base import Capabilities, FieldTool, Target, ToolOptions
from tailflame.tools.findings import Finding, Level
from tailflame.tools.program_checks import build, facts_of, running, starting, symbols

_SLOW = 20
"""Times from which on somebody has to know before: a run of a minute takes twenty."""
_TRACERS = frozenset({"strace", "heaptrack", "gdb"})
"""Programs that attach through ptrace, which the kernel may keep for root."""
_NAMELESS = frozenset({"perf", "strace"})
"""Programs whose results tell of no functions."""


def of_tool(tool: FieldTool, target: Target, options: ToolOptions, host: Host) -> list[Finding]:
    """Everything that can be said, of the machine, the target and the wishes; the same thing once."""
    findings = [*_installed(tool, host)]
    if target.pid is not None:
        findings += _running(tool, target, target.pid)
    elif not tool.launches:
        findings.append(
            Finding(Level.BLOCKER, f"{tool.title} starts no programs.", "", "Start it, and attach to it while it runs.")
        )
    else:
        findings += _started(tool, target)
    findings += _slow_down(tool)
    findings += tool.checks(target, options, host)
    return _once(findings)


def _installed(tool: FieldTool, host: Host) -> Iterator[Finding]:
    can = tool.probe(host)
    yield installed(tool, can)
    for option in can.options:
        if not option.available and option.reason:
            yield Finding(Level.OK, f"{option.option} is not available here.", option.reason)


def installed(tool: FieldTool, can: Capabilities) -> Finding:
    """Whether it can be used here, and how to change that."""
    if can.available:
        version = f" {can.version}" if can.version else ""
        return Finding(Level.OK, f"{tool.title}{version} is installed.")
    reason = f"{can.reason[:1].upper()}{can.reason[1:].rstrip('.')}." if can.reason else f"{tool.title} cannot be used."
    argv = tuple(can.fix.split()) if can.fix.startswith(("sudo ", "cargo ")) and "$" not in can.fix else ()
    return Finding(Level.BLOCKER, reason, f"{tool.title} does not run without it." if can.fix else "", can.fix, argv)


def _started(tool: FieldTool, target: Target) -> Iterator[Finding]:
    yield from starting(target)
    facts = facts_of(target)
    if facts is None:
        return
    if "\n" in str(target.binary):
        yield Finding(
            Level.BLOCKER,
            "The path of the program holds a line break.",
            f"{tool.title} writes it into its file, which could not be read.",
            "Record a copy at a path without one.",
        )
    yield from build(facts)
    if tool.program not in _NAMELESS and facts.kind is Kind.ELF:
        yield from symbols(facts)


def _running(tool: FieldTool, target: Target, pid: int) -> Iterator[Finding]:
    if not tool.attaches:
        yield Finding(
            Level.BLOCKER,
            f"{tool.title} cannot attach to a running program.",
            "It has to be there from the program's start on.",
            "Let Tailflame start the program.",
        )
        return
    process, findings = running(pid)
    yield from findings
    if process is None:
        return
    if tool.program in _TRACERS and (refusal := trace_refused(process)) is not None:
        yield Finding(Level.BLOCKER, refusal.sentence, "", refusal.fix, refusal.fix_argv)


def _slow_down(tool: FieldTool) -> Iterator[Finding]:
    slow = tool.slow_down
    if slow.typical >= _SLOW:
        level, fix = Level.WARNING, "Record a short run, or set a duration."
    elif slow.worst >= 1.5:
        level, fix = Level.NOTE, ""
    else:
        level, fix = Level.OK, ""
    yield Finding(level, slow.sentence, tool.cost, fix)


def _once(findings: list[Finding]) -> list[Finding]:
    """Of several of the same title the gravest."""
    best: dict[str, Finding] = {}
    for finding in findings:
        if finding.title not in best or best[finding.title].level < finding.level:
            best[finding.title] = finding
    return list(best.values())
