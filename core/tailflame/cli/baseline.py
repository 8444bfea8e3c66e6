"""tailflame baseline"""

from __future__ import annotations

import argparse
from pathlib import Path

from tailflame.cli.command import Context, draw_flame_graph, profile_of
from tailflame.cli.documents import session_document
from tailflame.cli.exit_codes import ExitCode
from tailflame.cli.terminal import add_row, plain_table
from tailflame.errors import StoreError
from tailflame.store import SessionInfo, program_of
from tailflame.units import count


class BaselineCommand:
    """Pin the result that a program's later ones are compared with.

      tailflame baseline set [RESULT] [--binary PATH]    pin a session; a file is kept as a session first
      tailflame baseline show [PROGRAM]                  all baselines, or one program's
      tailflame baseline clear PROGRAM                   unpin

    A baseline belongs to a program by its path, links resolved; test and benchmark programs without cargo's hash.

    JSON: set: {"baseline": session}; show: {"baselines": [session]}; clear: {"cleared": true or false};
    session as in `list`.
    """

    name = "baseline"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("action", choices=("set", "show", "clear"))
        parser.add_argument("what", nargs="?", metavar="RESULT|PROGRAM", default="")
        parser.add_argument(
            "--binary", metavar="PATH", default="", help="set: whose baseline, where the result does not tell"
        )

    def run(self, args: argparse.Namespace, context: Context) -> int:
        match args.action:
            case "set":
                return _set(args.what or "latest", args.binary, context)
            case "clear":
                return _clear(args.what, context)
            case _:
                return _show(args.what, context)


def _set(name: str, binary: str, context: Context) -> int:
    opened = context.open(name, binary=binary)
    if opened.recording.histograms is None:
        profile_of(opened)  # says that there is nothing to compare with
    session = opened.session
    if session is None:
        if not binary and not program_of(opened.recording):
            raise StoreError(
                f"{name} does not tell which binary it belongs to.", advice="Name it as well: --binary PATH"
            )
        session = context.library.keep(opened.recording, source=Path(name), binary=binary, draw=draw_flame_graph)
        context.terminal.note(f"kept {name} as {session.id}")
    elif session.path.parent != context.library.root:
        raise StoreError(
            f"{session.id} lies in {session.path.parent}, not in {context.library.root}.",
            advice=f"Name that folder: --profiles {session.path.parent}",
        )
    pinned = context.library.set_baseline(session.id, binary=binary)
    context.terminal.line(f"{pinned.id} is the baseline of {pinned.binary}.")
    context.terminal.document({"baseline": session_document(pinned)})
    return ExitCode.OK


def _clear(program: str, context: Context) -> int:
    if not program:
        raise StoreError("Whose baseline?", advice="Name the program: tailflame baseline clear PROGRAM")
    cleared = context.library.clear_baseline(program)
    context.terminal.line(f"{program} has no baseline any more." if cleared else f"{program} had no baseline.")
    context.terminal.document({"cleared": cleared})
    return ExitCode.OK


def _show(program: str, context: Context) -> int:
    found: tuple[SessionInfo, ...]
    if program:
        one = context.library.baseline_of(program)
        found = (one,) if one else ()
    else:
        found = tuple(info for info in context.library.sessions() if info.baseline)
    context.terminal.document({"baselines": [session_document(info) for info in found]})
    if not found:
        whose = f"{program} has no baseline." if program else "No program has a baseline."
        context.terminal.line(f"{whose} Pin one: tailflame baseline set")
        return ExitCode.OK
    table = plain_table("program", "baseline", ("samples", "right"), "commit")
    for info in found:
        samples = count(info.samples) if info.samples is not None else ""
        add_row(table, (info.binary, info.id, samples, info.commit.short if info.commit else ""))
    context.terminal.table(table)
    return ExitCode.OK
