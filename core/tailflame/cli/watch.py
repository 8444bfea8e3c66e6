"""tailflame watch"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from tailflame import units
from tailflame.analyse.slices import figures
from tailflame.analyse.snapshots import Mode, Snapshot, SnapshotSlices
from tailflame.cli.command import Context, draw_flame_graph
from tailflame.cli.exit_codes import ExitCode, UsageError
from tailflame.cli.signals import stopped_by_signals
from tailflame.cli.terminal import Terminal, finite
from tailflame.errors import TailflameError
from tailflame.host.privilege import Need
from tailflame.host.running import find
from tailflame.host.system import probe_host
from tailflame.live.permission import Permission
from tailflame.live.watched_folder import Arrived, CaughtUp, WatchedFolder
from tailflame.model import Recording
from tailflame.model.live import Armed, Said
from tailflame.model.slices import Overhead, Sliced, SliceFigures
from tailflame.run import continuous_session
from tailflame.run.continuous import Continuous, ContinuousOptions, recording_options
from tailflame.run.continuous_wish import MOST_FREQUENCY, MOST_SLICE_S, cut_short, size_of
from tailflame.store import SessionFolder
from tailflame.store.slice_store import SlicesHead
from tailflame.tools import CallGraph


class WatchCommand:
    """Profile a running program for hours, or follow a folder of profiles.

      tailflame watch --pid PID|NAME [options]
      tailflame watch --folder DIR [options]

    With --pid perf samples the program in slices of time; each is read as it closes, and a line tells its samples, its
    hottest function and what looking has cost so far. CPU and disk are kept under a budget: reading waits, the
    frequency goes down, old slices are merged two by two; each is said. Ctrl-C ends it; the program runs on. With
    --folder each profile that appears in DIR (flame graph SVG, perf.data, folded stacks, pprof) is a slice; snapshots
    that count from the program's start are shown each less its predecessor. Everything is kept as a session.

    JSON: one object a line: {"slice": [first, last], "time", "length_s", "samples", "cpu_s", "top", "top_module",
    "top_share", "source", "note", "waiting", "slices": how many there are, "overhead": {"share", "perf_s", "own_s",
    "wall_s", "disk_bytes", "frequency"} or null}; {"said", "fix"}; last {"finished", "session", "slices", "samples"}.
    """

    name = "watch"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("--pid", metavar="PID|NAME", default="", help="the running program")
        add("--folder", metavar="DIR", default="", help="a folder that profiles are written into")
        add("--slice", type=int, default=60, metavar="SECONDS", help="length of a slice, in whole seconds (60)")
        add("--frequency", type=int, default=99, metavar="HZ", help="samples a second and processor (99)")
        add("--budget-cpu", type=float, default=1.0, metavar="PERCENT", help="of one core, perf and reading (1)")
        add("--budget-disk", default="1G", metavar="SIZE", help="for everything kept: 500M, 2G (1G)")
        add("--seconds", type=float, metavar="N", help="end after this long")
        add("--call-graph", choices=("fp", "dwarf", "lbr"), default="fp", help="how perf walks stacks (fp)")
        add("--once", action="store_true", help="with --folder: read what is there, and end")
        add(
            "--snapshots",
            choices=("auto", "cumulative", "each"),
            default="auto",
            help="with --folder: whether each file counts from the program's start (auto: told from three files)",
        )
        add("--title", default="", help="what to call the session")

    def run(self, args: argparse.Namespace, context: Context) -> int:
        if bool(args.pid) == bool(args.folder):
            raise UsageError(
                "Either a program or a folder.", advice="tailflame watch --pid PID, or tailflame watch --folder DIR."
            )
        if args.seconds is not None and not 0 < args.seconds < math.inf:
            raise UsageError("--seconds must be above zero.")
        return _watch_folder(args, context) if args.folder else _watch_process(args, context)


# A process.


def _watch_process(args: argparse.Namespace, context: Context) -> int:
    options = options_of(args)
    process = find(args.pid)
    session = context.library.new_session(
        tool=continuous_session.TOOL,
        binary=process.binary or "",
        args=process.command[1:],
        title=args.title or f"{process.name}, continuous",
    )
    source = Continuous(
        session.path,
        process.pid,
        program=f"{process.name} ({process.pid})",
        options=options,
        launcher=Permission(terminal=sys.stdin.isatty()).launcher(Need.RECORD, process.pid),
        own_process=True,
    )
    continuous_session.planned(session, argv=source.argv)
    lines = _Lines(context.terminal)
    if options.call_graph is CallGraph.FRAME_POINTERS and (words := cut_short(process.name, process.image)):
        fix = "Build it with -C force-frame-pointers=yes, or take --call-graph dwarf, which costs more."
        lines.said(Said(text=words, fix=fix))
    try:
        asyncio.run(_follow(source, lines, args.seconds))
    except BaseException:
        if source.store.rows or source.store.raws():
            context.terminal.note(f"What was recorded is in {session.path}; `tailflame show {session.id}` reads it.")
        else:
            context.library.discard(session)
        raise
    if not source.store.rows and not source.store.raws():
        context.library.discard(session)
        raise source.error or TailflameError("Nothing was recorded.", advice="Let it run for at least one slice.")
    try:
        if not source.store.rows:
            raise source.error or TailflameError("No slice could be read.")
        kept = continuous_session.keep(session, source.store, outcome=source.outcome, draw=draw_flame_graph)
    except TailflameError:
        with contextlib.suppress(TailflameError):  # the disk may take nothing at all
            session.update(owner=None)
        context.terminal.note(f"What was recorded is in {session.path}; `tailflame show {session.id}` reads it.")
        raise
    lines.finished(source.outcome, session, kept)
    if source.error is not None:
        raise source.error
    return ExitCode.OK


def options_of(args: argparse.Namespace) -> ContinuousOptions:
    if not 1 <= args.slice <= MOST_SLICE_S:
        raise UsageError("--slice must be between 1 and 86,400 seconds.")
    if not 1 <= args.frequency <= MOST_FREQUENCY:
        raise UsageError("--frequency must be between 1 and 10,000.", advice="99 is usual for hours.")
    if not 0 < args.budget_cpu < math.inf:
        raise UsageError("--budget-cpu must be above zero: a percentage of one core.")
    return recording_options(
        probe_host(),
        slice_s=args.slice,
        frequency=args.frequency,
        call_graph=args.call_graph,
        cpu_share=args.budget_cpu / 100,
        disk_bytes=bytes_of(args.budget_disk),
    )


def bytes_of(text: str) -> int:
    """ "500M", "1G", "64k" as bytes, by powers of 1024; UsageError for what is none."""
    try:
        return size_of(text)
    except ValueError as problem:
        raise UsageError(f"{problem}.", advice="Write 500M or 2G.") from None


async def _follow(source: Continuous, lines: _Lines, seconds: float | None) -> None:
    with stopped_by_signals(source.finish):
        loop = asyncio.get_running_loop()
        async with contextlib.aclosing(source.updates()) as updates:
            async for update in updates:
                match update:
                    case Armed():
                        lines.note(f"{source.program}: {update.detail}.")
                        if seconds is not None:
                            loop.call_later(seconds, source.finish)
                    case Sliced(row=SliceFigures() as row) if not row.waiting:
                        lines.slice(row, len(update.rows), update.overhead, source.store.head().epoch_s)
                    case Said() if source.error is None or update.text != source.error.sentence:
                        lines.said(update)  # an error ends the command, and is said there


# A folder.


def _watch_folder(args: argparse.Namespace, context: Context) -> int:
    folder = Path(args.folder).absolute()
    mode = {"auto": Mode.AUTO, "cumulative": Mode.CUMULATIVE, "each": Mode.EACH}[args.snapshots]
    lines = _Lines(context.terminal)
    snapshots = asyncio.run(_gather(WatchedFolder(folder), lines, mode, args))
    found = SnapshotSlices().of(snapshots, mode)
    if not found.slices:
        lines.note(f"No profile has come into {folder}; nothing is kept.")
        return ExitCode.OK
    session = context.library.new_session(tool="snapshots", title=args.title or folder.name)
    head = SlicesHead(epoch_s=0.0, program=folder.name, cumulative=found.cumulative)
    try:
        kept = continuous_session.keep_snapshots(
            session, list(found.slices), head=head, folder=folder, outcome=found.sentence, draw=draw_flame_graph
        )
    except BaseException:
        context.library.discard(session)
        raise
    lines.finished(found.sentence, session, kept)
    return ExitCode.OK


async def _gather(watched: WatchedFolder, lines: _Lines, mode: Mode, args: argparse.Namespace) -> list[Snapshot]:
    snapshots: list[Snapshot] = []
    slicer = SnapshotSlices()
    told: bool | None = None
    with stopped_by_signals(watched.finish):
        if args.seconds is not None:
            asyncio.get_running_loop().call_later(args.seconds, watched.finish)
        async with contextlib.aclosing(watched.updates()) as updates:
            async for update in updates:
                match update:
                    case Arrived(snapshot=snapshot, replaces=replaced):
                        snapshots = [one for one in snapshots if one is not replaced] + [snapshot]
                        found = await asyncio.to_thread(slicer.of, snapshots, mode)
                        if found.cumulative != told and (found.cumulative or told is not None):
                            lines.note(found.sentence)
                        told = found.cumulative
                        part = next(one for one in found.slices if one.source == snapshot.source)
                        lines.slice(figures(part), len(found.slices), None, 0.0)
                    case Said():
                        lines.said(update)
                    case CaughtUp() if args.once:
                        return snapshots
    return snapshots


# What is shown.


class _Lines:
    """A line for each slice, or a JSON object."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def slice(self, row: SliceFigures, slices: int, overhead: Overhead | None, epoch_s: float) -> None:
        if self._terminal.as_json:
            self._print(document_of(row, slices, overhead, epoch_s))
            return
        self._terminal.line(sentence_of(row, overhead, epoch_s))
        if row.note:
            self._terminal.note(f"  {row.note}")

    def said(self, said: Said) -> None:
        if self._terminal.as_json:
            self._print({"said": said.text, "fix": said.fix})
        else:
            self._terminal.note(f"{said.text} {said.fix}".rstrip())

    def note(self, text: str) -> None:
        self.said(Said(text=text))

    def finished(self, sentence: str, session: SessionFolder, kept: Recording) -> None:
        slices, profile = kept.slices, kept.profile
        count = len(slices.rows) if slices is not None else 0
        samples = profile.total() if profile is not None else 0.0
        if self._terminal.as_json:
            self._print({"finished": sentence, "session": session.id, "slices": count, "samples": samples})
        else:
            self._terminal.note(f"{units.count(count)} slices with {units.count(samples)} samples: {session.path}")

    def _print(self, document: dict[str, Any]) -> None:
        print(json.dumps(finite(document), ensure_ascii=False), flush=True)


def sentence_of(row: SliceFigures, overhead: Overhead | None, epoch_s: float) -> str:
    """ "21:44:24  60.0 s     5,940 samples  risk::check_exposure 21.3%  overhead 0.32% of a core, 1.2 MB"."""
    begun = datetime.fromtimestamp(row.start_s + epoch_s).astimezone()
    top = f"{row.top} {units.percent(row.top_share)}" if row.top else "nothing on the CPU"
    words = f"{begun:%H:%M:%S}  {row.length_s:6.1f} s  {units.count(row.samples):>9} samples  {top}"
    if overhead is None:
        return words
    perf = "perf unknown + " if overhead.perf_s is None else ""
    share, disk = units.percent(overhead.share, digits=2), units.size(overhead.disk_bytes)
    return f"{words}  overhead {perf}{share} of a core, {disk}"


def document_of(row: SliceFigures, slices: int, overhead: Overhead | None, epoch_s: float) -> dict[str, Any]:
    return {
        "slice": [row.first, row.last],
        "time": row.start_s + epoch_s,
        "length_s": row.length_s,
        "samples": row.samples,
        "cpu_s": row.cpu_s,
        "top": row.top,
        "top_module": row.top_module,
        "top_share": row.top_share,
        "source": row.source,
        "note": row.note,
        "waiting": row.waiting,
        "slices": slices,
        "overhead": overhead
        and {
            "share": overhead.share,
            "perf_s": overhead.perf_s,
            "own_s": overhead.own_s,
            "wall_s": overhead.wall_s,
            "disk_bytes": overhead.disk_bytes,
            "frequency": overhead.frequency,
        },
    }
