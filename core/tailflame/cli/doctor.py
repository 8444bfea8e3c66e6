"""tailflame doctor"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from rich.text import Text

from tailflame.cli.command import Context
from tailflame.cli.exit_codes import ExitCode
from tailflame.cli.findings import findings_document, print_findings
from tailflame.cli.terminal import add_row, plain_table
from tailflame.host.binary import BinaryFacts, binary_facts
from tailflame.host.system import Host, existing_folder, probe_host
from tailflame.store import config_folder
from tailflame.tools import PERF_RECORD, TOOLS, Finding, Level, Target, doctor, preflight
from tailflame.units import count, percent, size


class DoctorCommand:
    """Tell what can be recorded on this machine, what cannot, why, and how to change that.

    With a program, tell as well what would spoil a recording of it. Ends with 4 where recording is impossible.

    JSON: {"host": {"hostname", "kernel", "arch", "cpu", "cpus", "uid", "perf", "perf_version", "perf_event_paranoid",
    "kptr_restrict", "max_sample_rate", "user_only", "default_event"},
    "events": [{"name", "available", "reason"}],
    "tools": [{"name", "title", "available", "version", "reason", "fix",
    "options": [{"option", "available", "reason"}]}],
    "findings": [{"level": "ok" | "note" | "warning" | "blocker", "title", "detail", "fix", "fix_argv"}],
    "folders": {"profiles", "settings", "free_bytes"},
    "program": {"path", "kind", "arch", "build_id", "has_symbols", "has_debug_info", "language", "optimised",
    "debug_build", "frame_pointers", "frame_pointer_share", "static_jemalloc"} or null}
    """

    name = "doctor"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("program", metavar="PROGRAM", nargs="?", help="a program that is to be recorded")

    def run(self, args: argparse.Namespace, context: Context) -> int:
        terminal, host = context.terminal, probe_host()
        found = doctor(host)
        facts: BinaryFacts | None = None
        if args.program:
            path = Path(args.program).absolute()
            facts = binary_facts(path)
            of_program = preflight(Target(binary=path), PERF_RECORD.defaults(host), host, out=context.library.root)
            found = (*found, *(finding for finding in of_program if finding not in found))
        _print_host(context, host)
        print_findings(terminal, found, least=Level.OK)
        _print_events(context, host)
        if facts is not None:
            _print_program(context, facts)
        free = _free(context.library.root)
        terminal.line()
        terminal.line(f"profiles  {context.library.root} ({size(free)} free)")
        terminal.line(f"settings  {config_folder()}")
        terminal.document(_document(context, host, found, facts, free))
        return ExitCode.TOOL if any(finding.level is Level.BLOCKER for finding in found) else ExitCode.OK


def _print_host(context: Context, host: Host) -> None:
    table = plain_table("", "")
    table.show_header = False
    rate = count(host.max_sample_rate) if host.max_sample_rate is not None else ""
    for label, value in (
        ("Machine", f"{host.hostname}, {host.cpu}, {host.cpus} CPUs, {host.arch}"),
        ("Kernel", host.kernel),
        ("perf", f"{host.perf_version}  {host.perf}" if host.perf else "not installed"),
        ("perf_event_paranoid", str(host.perf_event_paranoid) if host.perf_event_paranoid is not None else ""),
        ("kptr_restrict", str(host.kptr_restrict) if host.kptr_restrict is not None else ""),
        ("highest rate", f"{rate} samples per second" if rate else ""),
    ):
        if value:
            add_row(table, (Text(label, style="dim"), value))
    context.terminal.table(table)
    context.terminal.line()


def _print_events(context: Context, host: Host) -> None:
    if not host.events:
        return
    works = [name for name, support in host.events.items() if support.available]
    context.terminal.line()
    context.terminal.line(f"events that can be sampled  {', '.join(works) or 'none'}")
    reasons: dict[str, list[str]] = {}
    for name, support in host.events.items():
        if not support.available:
            reasons.setdefault(support.reason, []).append(name)
    for reason, names in reasons.items():
        context.terminal.line(f"and that cannot             {', '.join(names)}: {reason}")


def _print_program(context: Context, facts: BinaryFacts) -> None:
    parts = [facts.kind.value, facts.arch, facts.language, f"build id {facts.build_id}" if facts.build_id else ""]
    parts.append("symbols" if facts.has_symbols else "no symbols")
    parts.append("debug information" if facts.has_debug_info else "no debug information")
    if facts.frame_pointer_share is not None:
        parts.append(f"frame pointers in {percent(facts.frame_pointer_share, digits=0)} of its functions")
    if facts.static_jemalloc:
        parts.append("jemalloc linked in")
    context.terminal.line()
    context.terminal.line(f"{facts.path}: {', '.join(part for part in parts if part)}")


def _free(root: Path) -> int:
    return shutil.disk_usage(existing_folder(root)).free


def _document(
    context: Context, host: Host, found: tuple[Finding, ...], facts: BinaryFacts | None, free: int
) -> dict[str, Any]:
    probed = [(tool, tool.probe(host)) for tool in TOOLS]
    return {
        "host": {
            "hostname": host.hostname,
            "kernel": host.kernel,
            "arch": host.arch,
            "cpu": host.cpu,
            "cpus": host.cpus,
            "uid": host.uid,
            "perf": str(host.perf) if host.perf else None,
            "perf_version": host.perf_version,
            "perf_event_paranoid": host.perf_event_paranoid,
            "kptr_restrict": host.kptr_restrict,
            "max_sample_rate": host.max_sample_rate,
            "user_only": host.user_only,
            "default_event": host.default_event,
        },
        "events": [{"name": n, "available": s.available, "reason": s.reason} for n, s in host.events.items()],
        "tools": [
            {
                "name": tool.name,
                "title": tool.title,
                "available": can.available,
                "version": can.version,
                "reason": can.reason,
                "fix": can.fix,
                "options": [{"option": o.option, "available": o.available, "reason": o.reason} for o in can.options],
            }
            for tool, can in probed
        ],
        "findings": findings_document(found),
        "folders": {"profiles": str(context.library.root), "settings": str(config_folder()), "free_bytes": free},
        "program": facts
        and {
            "path": str(facts.path),
            "kind": facts.kind.value,
            "arch": facts.arch,
            "build_id": facts.build_id,
            "has_symbols": facts.has_symbols,
            "has_debug_info": facts.has_debug_info,
            "language": facts.language,
            "optimised": facts.optimised,
            "debug_build": facts.debug_build,
            "frame_pointers": facts.frame_pointers,
            "frame_pointer_share": facts.frame_pointer_share,
            "static_jemalloc": facts.static_jemalloc,
        },
    }
