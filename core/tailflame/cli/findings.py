"""What a preflight found, as `record` and `doctor` print it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any

from rich.text import Text

from tailflame.cli.terminal import STYLES, Terminal, printable
from tailflame.tools import Finding, Level

_MARKS = {
    Level.OK: ("ok     ", "green"),
    Level.NOTE: ("note   ", "dim"),
    Level.WARNING: ("warning", STYLES["warn"]),
    Level.BLOCKER: ("blocker", STYLES["bad"]),
}


def print_findings(terminal: Terminal, findings: Iterable[Finding], *, least: Level, on_stderr: bool = False) -> None:
    """What a preflight found, from `least` on, each with its fix."""
    for finding in findings:
        if finding.level < least:
            continue
        word, style = _MARKS[finding.level]
        lines = [
            Text.assemble((word, style), "  ", printable(finding.title), (f"  {printable(finding.detail)}", "dim"))
        ]
        fix = fix_of(finding)
        if fix:
            lines.append(Text.assemble(" " * 9, ("fix: ", "bold"), printable(fix)))
        for line in lines:
            if on_stderr:
                terminal.err.print(line)
            else:
                terminal.line(line)


def fix_of(finding: Finding) -> str:
    """What to do, and the command where there is one; "" where nothing can be done."""
    command = shlex.join(finding.fix_argv)
    if not command or command in finding.fix:
        return finding.fix
    return f"{finding.fix.rstrip('.')}: {command}" if finding.fix else command


def findings_document(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """What a preflight found."""
    return [
        {
            "level": finding.level.name.lower(),
            "title": finding.title,
            "detail": finding.detail,
            "fix": finding.fix,
            "fix_argv": list(finding.fix_argv),
        }
        for finding in findings
    ]
