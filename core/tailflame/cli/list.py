"""tailflame list"""

from __future__ import annotations

import argparse

from rich.text import Text

from tailflame.cli.command import Context
from tailflame.cli.documents import session_document
from tailflame.cli.exit_codes import ExitCode
from tailflame.cli.terminal import STYLES, add_row, plain_table
from tailflame.store import SessionInfo, SessionState, binary_key
from tailflame.units import count, seconds


class ListCommand:
    """List the sessions, newest first.

    A session's name, or the beginning of it, can be given to every other command, as can "latest", "latest~1"
    (the one before it) and "baseline".

    JSON: {"profiles": folder, "sessions": [{"id", "path", "state", "baseline", "title", "tool", "binary", "args",
    "started_at", "duration_s", "samples", "lost", "events", "outcome", "exit_code", "build_id", "cargo_profile",
    "git": {"commit", "branch", "dirty"} or null, "note", "problem", "group", "measures"}]}; sessions of several tools
    on one target have the same "group"
    """

    name = "list"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--binary", metavar="PATH", help="only sessions of this program")
        parser.add_argument("-n", "--number", type=int, metavar="N", help="at most this many")
        parser.add_argument("--rebuild", action="store_true", help="make the catalogue anew from the folders first")

    def run(self, args: argparse.Namespace, context: Context) -> int:
        terminal, library = context.terminal, context.library
        infos = library.rebuild() if args.rebuild else library.sessions()
        if args.binary:
            infos = tuple(info for info in infos if info.binary_key == binary_key(args.binary))
        places = _places(infos)
        infos = infos[: args.number]
        terminal.document({"profiles": str(library.root), "sessions": [session_document(i) for i in infos]})
        if not infos:
            terminal.line(f"No sessions in {library.root} yet. Record one: tailflame record -- PROGRAM")
            return ExitCode.OK
        table = plain_table(
            "session", "program", "tool", "group", ("samples", "right"), ("time", "right"), "commit", ""
        )
        for info in infos:
            add_row(table, _cells(info, places.get(info.id, "")))
        terminal.table(table)
        return ExitCode.OK


def _places(infos: tuple[SessionInfo, ...]) -> dict[str, str]:
    """Of the sessions that several tools made of one target in turn: "2 of 3" by their ids. `infos`: newest first."""
    groups: dict[str, list[str]] = {}
    for info in reversed(infos):
        if info.manifest is not None and info.manifest.group:
            groups.setdefault(info.manifest.group, []).append(info.id)
    return {
        member: f"{at} of {len(group)}"
        for group in groups.values()
        if len(group) > 1
        for at, member in enumerate(group, 1)
    }


def _cells(info: SessionInfo, place: str) -> list[str | Text]:
    manifest = info.manifest
    state = "" if info.state is SessionState.COMPLETE else info.state.value
    if info.problem:
        state = f"{state}: {info.problem}"
    words: list[tuple[str, str]] = [("baseline", "bold")] if info.baseline else []
    if state:
        words.append((f" {state}" if words else state, STYLES["warn"]))
    duration = manifest.duration_s if manifest else None
    return [
        info.id,
        info.title if info.title != info.id else "",
        info.tool,
        Text(place, style="dim"),
        count(info.samples) if info.samples is not None else "",
        seconds(duration) if duration is not None else "",
        info.commit.short if info.commit else "",
        Text.assemble(*words),
    ]
