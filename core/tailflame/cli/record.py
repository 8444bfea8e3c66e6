"""tailflame record"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from tailflame.analyse.hotspots import GroupBy, hotspots
from tailflame.analyse.reading import cautions
from tailflame.cli.command import Context
from tailflame.cli.documents import events_document, hotspots_document, result_document, session_document
from tailflame.cli.exit_codes import ExitCode
from tailflame.cli.figures import hotspot_table, print_facts, rows_of
from tailflame.cli.findings import findings_document, fix_of, print_findings
from tailflame.cli.recording import Recorded, record_session
from tailflame.cli.wishes import add_recording_arguments, wish_of
from tailflame.errors import ToolDenied, ToolFailed, ToolMissing
from tailflame.host.system import Host, probe_host
from tailflame.store import Opened, update_settings
from tailflame.tools import Finding, Level, preflight


class RecordCommand:
    """Record a CPU profile of a program and keep it as a session.

      tailflame record [options] -- PROGRAM ARGUMENTS...
      tailflame record --bin NAME [options] -- ARGUMENTS...   (or --example, --test, --bench: by cargo flamegraph)

    What would spoil the result is told first, with what to do about it. Ctrl-C stops the program politely and keeps
    what was recorded; a second Ctrl-C cancels and keeps nothing.

    JSON: {"session": as in `list`, "findings": as in `doctor`, "result", "events", "hotspots": as in `show`};
    with --dry-run: {"argv", "command_line", "findings"}
    """

    name = "record"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_recording_arguments(parser)
        add = parser.add_argument
        add("--title", default="", help="what to call the session")
        add("--baseline", action="store_true", help="make it the program's baseline")
        add("--exit-code", action="store_true", help="end with the program's own exit status")
        add("--force", action="store_true", help="try it although the preflight says that it cannot work")
        add("--dry-run", action="store_true", help="print the preflight and the command that would run, and stop")
        add("-n", "--number", type=int, default=10, metavar="N", help="hotspots to print (10)")
        add("program", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)

    def run(self, args: argparse.Namespace, context: Context) -> int:
        host = probe_host()
        wish = wish_of(args, [*args.program, *args.target], host)
        found = preflight(wish.target, wish.options, host, out=context.library.root)
        print_findings(context.terminal, found, least=Level.NOTE, on_stderr=True)
        if args.dry_run:
            plan = wish.plan(context.library.root / "SESSION")
            context.terminal.line(plan.command_line, command=True)
            context.terminal.document(
                {"argv": list(plan.argv), "command_line": plan.command_line, "findings": findings_document(found)}
            )
            return ExitCode.OK
        if not args.force:
            _refuse(found, host)
        recorded = record_session(context, wish.target, wish.plan, tool=wish.tool, title=args.title)
        update_settings(lambda settings: settings.remembering(wish.target.binary))
        if args.baseline:
            recorded = replace(recorded, session=context.library.set_baseline(recorded.session.id))
        print_recorded(recorded, args.number, context, found)
        return recorded.finished.target.status if args.exit_code else ExitCode.OK


def _refuse(found: tuple[Finding, ...], host: Host) -> None:
    """Raises for the first finding with which nothing would be recorded."""
    blocker = next((finding for finding in found if finding.level is Level.BLOCKER), None)
    if blocker is None:
        return
    kind = ToolMissing if host.perf is None else ToolDenied if host.refused else ToolFailed
    raise kind(blocker.title, advice=fix_of(blocker), details=blocker.detail)


def print_recorded(recorded: Recorded, number: int, context: Context, found: tuple[Finding, ...]) -> None:
    """The outcome, the facts, the hottest functions, and what to do next."""
    terminal, recording, session = context.terminal, recorded.recording, recorded.session
    opened = Opened(recording, session.title, session)
    document: dict[str, Any] = {
        "session": session_document(session),
        "findings": findings_document(found),
        "result": result_document(opened, cautions(recording)),
    }
    terminal.line(f"{recorded.finished.target.what}: {recorded.finished.target.sentence}", style="bold")
    print_facts(terminal, recording)
    profile = recording.profile
    if profile is not None:
        table = hotspots(profile)
        rows = rows_of(table, GroupBy.FUNCTION, number)
        document["events"] = events_document(profile)
        document["hotspots"] = hotspots_document(table, rows)
        if rows:
            terminal.line()
            terminal.table(hotspot_table(table, rows, GroupBy.FUNCTION))
    terminal.line()
    terminal.line(f"kept in {session.path}")
    terminal.document(document)
