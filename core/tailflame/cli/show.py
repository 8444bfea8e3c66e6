"""tailflame show"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from tailflame.analyse.hotspots import GroupBy, hotspots
from tailflame.analyse.reading import cautions, read
from tailflame.analyse.tree import TreeOptions, build_tree
from tailflame.cli.command import (
    Context,
    add_filter_argument,
    add_view_arguments,
    chosen_event,
    chosen_weight,
    filtered_as,
    weight_word,
)
from tailflame.cli.documents import (
    counters_document,
    events_document,
    figure,
    hotspots_document,
    latencies_document,
    result_document,
)
from tailflame.cli.exit_codes import ExitCode
from tailflame.cli.figures import counter_table, hotspot_table, latency_table, print_facts, rows_of
from tailflame.cli.kinds import KINDS
from tailflame.model import HistogramSeries, Recording
from tailflame.parse.formats import FORMATS
from tailflame.store import Opened
from tailflame.store.bundle import SUFFIX, contents, is_bundle
from tailflame.units import count, size

GROUPS = {"function": GroupBy.FUNCTION, "module": GroupBy.MODULE, "file": GroupBy.FILE, "thread": GroupBy.THREAD}


class ShowCommand:
    """Show a result: the facts of the run and where its time went.

    RESULT is a result file of any format, a session's name, its folder, "latest", "latest~1" or "baseline". Of a bundle
    (.tailflame) it says what is in it; `bundle --open` opens one.

    JSON: {"result": {"label", "source", "session", "tool", "tool_version", "format", "command", "outcome",
    "started_at", "duration_s", "lost", "rate_asked_hz", "rate_granted_hz", "threads", "machine", "build_ids",
    "cautions": [{"text", "fix"}]},
    "events": [{"name", "unit", "samples", "period"}],
    "view": {"event", "weight", "by", "unit", "total", "samples"},
    "hotspots": [{"name", "module", "file", "line", "self", "total", "self_samples", "total_samples", "self_share",
    "total_share"}], "reading": [{"heading", "text", "function"}],
    "slices": [{"slice": [first, last], "time", "length_s", "samples", "cpu_s", "top", "top_module", "top_share",
    "source", "note"}],
    "latencies": [{"tag", "unit", "count", "percentiles": {"p50", "p90", "p95", "p99", "p99.9", "p99.99"}, "max"}],
    "bench_history": [{"name", "runs": [{"session", "commit", "time", "low", "high"}], "criterion", "ours": {"mark",
    "change", "low", "high", "before", "after"}}], of a session of cargo bench;
    "counters": [{"series", "unit", "simulated", "readings", "statuses": {"counted", "not supported", "not counted",
    "empty"}, "last", "min", "p50", "max", "whole_run", "running_min"}]}: figures over intervals; "whole_run" of a ratio
    is the sum of its counters divided. Of a bundle: {"bundle": {"path", "measurements": [id], "sessions": [id],
    "bytes", "written_by"}}
    """

    name = "show"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("result", metavar="RESULT", nargs="?", default="latest", help="what to show (latest)")
        parser.add_argument("-n", "--number", type=int, default=15, metavar="N", help="hotspots to print (15)")
        parser.add_argument("--by", choices=tuple(GROUPS), default="function", help="what a row is (function)")
        parser.add_argument("--inlines", action="store_true", help="count inlined functions as functions of their own")
        parser.add_argument("--places", action="store_true", help="print source file and line as well")
        parser.add_argument(
            "--format",
            choices=tuple(f.name for f in FORMATS),
            help="read a file as this format, whatever it looks like",
        )
        add_view_arguments(parser)
        add_filter_argument(parser)

    def run(self, args: argparse.Namespace, context: Context) -> int:
        path = Path(args.result)
        if _is_bundle(path):
            _show_bundle(path, context)
            return ExitCode.OK
        opened = filtered_as(args, context.open(args.result, format=args.format))
        show(opened, args, context)
        return ExitCode.OK


def _is_bundle(path: Path) -> bool:
    try:
        return path.is_file() and (path.suffix == SUFFIX or is_bundle(path))
    except OSError:
        return False  # reading it as a result says what is wrong with it


def _show_bundle(path: Path, context: Context) -> None:
    """What a bundle holds, and how it is opened: that writes to the library, so it is not done unasked."""
    held = contents(path)
    terminal = context.terminal
    terminal.line(path.name, style="bold")
    terminal.line(
        f"A bundle of {_several(len(held.iterations), 'measurement')} and {_several(len(held.sessions), 'session')}, "
        f"{size(held.bytes)} unpacked{f', by {held.written_by}' if held.written_by else ''}."
    )
    for identity in (*held.iterations, *held.sessions):
        terminal.line(f"  {identity}")
    terminal.line(f"`tailflame bundle --open {shlex.quote(str(path))}` brings it into the profiles folder.")
    terminal.document(
        {
            "bundle": {
                "path": str(path),
                "measurements": list(held.iterations),
                "sessions": list(held.sessions),
                "bytes": held.bytes,
                "written_by": held.written_by,
            }
        }
    )


def _several(many: int, word: str) -> str:
    return f"{count(many)} {word}{'' if many == 1 else 's'}"


def show(opened: Opened, args: argparse.Namespace, context: Context) -> None:
    """Prints a result as text or as JSON."""
    terminal, recording = context.terminal, opened.recording
    document: dict[str, Any] = {"result": result_document(opened, cautions(recording))}
    terminal.line(opened.label, style="bold")
    print_facts(terminal, recording)
    for kind in KINDS:
        if kind.held(recording):
            terminal.line()
            document[kind.key] = kind.show(recording, terminal, number=max(args.number, 0))
    if recording.benchmarks and opened.session is not None:
        from tailflame.cli.bench_history import show_history

        document["bench_history"] = show_history(context.library, opened.session, terminal)
    if recording.profile is not None:
        document |= _show_profile(recording, args, context)
    for series in (result for result in recording.results if isinstance(result, HistogramSeries)):
        terminal.line()
        terminal.table(latency_table(series))
        document.setdefault("latencies", []).extend(latencies_document(series))
    if recording.slices is not None:
        from tailflame.cli.slices import slices_document, slices_table

        terminal.line()
        terminal.table(slices_table(recording.slices))
        document["slices"] = slices_document(recording.slices)
    if recording.counters is not None and "counters" not in document:
        terminal.line()
        terminal.table(counter_table(recording.counters))
        document["counters"] = counters_document(recording.counters)
    terminal.document(document)


def _show_profile(recording: Recording, args: argparse.Namespace, context: Context) -> dict[str, Any]:
    profile = recording.profile
    assert profile is not None
    event, by = chosen_event(args.event, profile), GROUPS[args.by]
    weight = chosen_weight(args, profile, event)
    table = hotspots(profile, event=event, weight=weight, by=by, inlines=args.inlines)
    rows = rows_of(table, by, max(args.number, 0))
    sentences = read(build_tree(profile, TreeOptions(event=event, weight=weight)))
    terminal = context.terminal
    terminal.line()
    if rows:
        terminal.table(hotspot_table(table, rows, by, places=args.places))
    else:
        terminal.line("There are no samples in it.")
    if sentences and by is GroupBy.FUNCTION:
        terminal.line()
        for sentence in sentences:
            terminal.line(f"{sentence.heading}: {sentence.text}")
    return {
        "events": events_document(profile),
        "view": {
            "event": profile.events[event].name,
            "weight": weight_word(weight),
            "by": args.by,
            "unit": table.unit.value,
            "total": figure(table.total, table.event),
            "samples": figure(table.samples, table.event),
        },
        "hotspots": hotspots_document(table, rows),
        "reading": [{"heading": s.heading, "text": s.text, "function": s.function} for s in sentences],
    }
