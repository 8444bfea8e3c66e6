"""tailflame record"""

from __future__ import annotations

import argparse
import uuid
from dataclasses import replace
from typing import Any

from tailflame.analyse.hotspots import GroupBy, hotspots
from tailflame.analyse.reading import cautions
from tailflame.cli.command import Context
from tailflame.cli.documents import events_document, hotspots_document, result_document, session_document
from tailflame.cli.exit_codes import ExitCode, exit_code_of
from tailflame.cli.figures import hotspot_table, print_facts, rows_of
from tailflame.cli.findings import findings_document, fix_of, print_findings
from tailflame.cli.kinds import KINDS
from tailflame.cli.recording import Recorded, record_session
from tailflame.cli.tools import print_options
from tailflame.cli.wishes import Wish, add_recording_arguments, chosen_tools, wishes_of
from tailflame.errors import Cancelled, TailflameError, ToolDenied, ToolFailed, ToolMissing
from tailflame.host.system import Host, probe_host
from tailflame.store import Opened, update_settings
from tailflame.store.measures import Measures, measures_of
from tailflame.tools import Finding, Level, ToolOptions, preflight, tool_named


class RecordCommand:
    """Record a program with a profiler, or with several in turn, and keep what they find as sessions.

      tailflame record [options] -- PROGRAM ARGUMENTS...
      tailflame record --tool massif,strace [--set OPTION=VALUE] -- PROGRAM ARGUMENTS...
      tailflame record --tool strace --pid PID
      tailflame record --bin NAME [options] -- ARGUMENTS...   (or --example, --test, --bench: by cargo flamegraph)

    Without --tool it is a CPU profile by perf record; `tailflame tools` names the others. What would spoil the result
    is told first, with what to do about it. Ctrl-C stops the program politely and keeps what was recorded; a second
    Ctrl-C cancels and keeps nothing. A program that was attached to runs on. Of several tools one that fails is told
    of, and the others go on.

    JSON: {"session": as in `list`, "findings": as in `doctor`, "result", "events", "hotspots": as in `show`, and the
    kinds of results of `show`}; of several tools {"group", "recordings": [such documents, or {"tool", "error"}]};
    with --dry-run: {"argv", "command_line", "findings"}, or {"plans": [such documents with "tool"]}
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
        add("--help-options", action="store_true", help="print what --set takes for the chosen tools, and stop")
        add("-n", "--number", type=int, default=10, metavar="N", help="rows to print of a table (10)")
        add("program", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)

    def run(self, args: argparse.Namespace, context: Context) -> int:
        host = probe_host()
        if args.help_options:
            print_options(chosen_tools(args), host, context)
            return ExitCode.OK
        wishes = wishes_of(args, [*args.program, *args.target], host)
        if args.dry_run:
            return _dry_run(wishes, host, context)
        if len(wishes) == 1:
            recorded, document = _record(wishes[0], host, args, context)
            context.terminal.document(document)
            return recorded.finished.target.status if args.exit_code else ExitCode.OK
        return _record_all(wishes, host, args, context)


def _preflight(wish: Wish, host: Host, context: Context) -> tuple[Finding, ...]:
    found = preflight(wish.target, wish.options, host, out=context.library.root)
    print_findings(context.terminal, found, least=Level.NOTE, on_stderr=True)
    return found


def _dry_run(wishes: tuple[Wish, ...], host: Host, context: Context) -> int:
    documents = []
    for wish in wishes:
        found = _preflight(wish, host, context)
        plan = wish.plan(context.library.root / "SESSION")
        context.terminal.line(plan.command_line, command=True)
        documents.append(
            {"argv": list(plan.argv), "command_line": plan.command_line, "findings": findings_document(found)}
        )
    if len(wishes) == 1:
        context.terminal.document(documents[0])
    else:
        plans = [{"tool": wish.tool, **document} for wish, document in zip(wishes, documents, strict=True)]
        context.terminal.document({"plans": plans})
    return ExitCode.OK


def _record(
    wish: Wish, host: Host, args: argparse.Namespace, context: Context, *, group: str = ""
) -> tuple[Recorded, dict[str, Any]]:
    """One recording from preflight to what is printed of it; its JSON."""
    found = _preflight(wish, host, context)
    if not args.force:
        _refuse(found, wish, host)
    recorded = record_session(context, wish.target, wish.plan, tool=wish.tool, title=args.title, group=group)
    if wish.target.pid is None:
        update_settings(lambda settings: settings.remembering(wish.target.binary))
    if args.baseline:
        recorded = replace(recorded, session=context.library.set_baseline(recorded.session.id))
    return recorded, print_recorded(recorded, args.number, context, found)


def _record_all(wishes: tuple[Wish, ...], host: Host, args: argparse.Namespace, context: Context) -> int:
    """One after the other; what fails is told, and the others go on. A cancel ends them all."""
    terminal, group = context.terminal, uuid.uuid4().hex
    documents: list[dict[str, Any]] = []
    status: int = ExitCode.OK
    for at, wish in enumerate(wishes, 1):
        terminal.note(f"{tool_named(wish.tool).title} ({at} of {len(wishes)})", style="bold")
        try:
            recorded, document = _record(wish, host, args, context, group=group)
        except Cancelled:
            if documents:
                terminal.note("what was recorded before is kept")
            raise
        except TailflameError as error:
            terminal.error(error)
            documents.append({"tool": wish.tool, "error": error.sentence})
            status = status or exit_code_of(error)
            continue
        documents.append(document)
        if args.exit_code:
            status = status or recorded.finished.target.status
        terminal.line()
    terminal.document({"group": group, "recordings": documents})
    return status


def _refuse(found: tuple[Finding, ...], wish: Wish, host: Host) -> None:
    """Raises for the first finding with which nothing would be recorded."""
    blocker = next((finding for finding in found if finding.level is Level.BLOCKER), None)
    if blocker is None:
        return
    if isinstance(wish.options, ToolOptions):
        missing, denied = not tool_named(wish.tool).probe(host).available, False
    else:
        missing, denied = host.perf is None, bool(host.refused)
    kind = ToolMissing if missing else ToolDenied if denied else ToolFailed
    raise kind(blocker.title, advice=fix_of(blocker), details=blocker.detail)


def print_recorded(recorded: Recorded, number: int, context: Context, found: tuple[Finding, ...]) -> dict[str, Any]:
    """The outcome, the facts, what was found, and where it is kept; its JSON."""
    terminal, recording, session = context.terminal, recorded.recording, recorded.session
    opened = Opened(recording, session.title, session)
    document: dict[str, Any] = {
        "session": session_document(session),
        "findings": findings_document(found),
        "result": result_document(opened, cautions(recording)),
    }
    terminal.line(f"{recorded.finished.target.what}: {recorded.finished.target.sentence}", style="bold")
    print_facts(terminal, recording)
    for kind in KINDS:
        if kind.held(recording):
            terminal.line()
            document[kind.key] = kind.show(recording, terminal, number=max(number, 0))
    profile = recording.profile
    if profile is not None:
        table = hotspots(profile)
        rows = rows_of(table, GroupBy.FUNCTION, number)
        document["events"] = events_document(profile)
        document["hotspots"] = hotspots_document(table, rows)
        # Memory and system calls have been shown by their own figures; functions add nothing to them.
        if rows and measures_of(recording) in (Measures.TIME, Measures.COSTS, Measures.LATENCY):
            terminal.line()
            terminal.table(hotspot_table(table, rows, GroupBy.FUNCTION))
    terminal.line()
    terminal.line(f"kept in {session.path}")
    return document
