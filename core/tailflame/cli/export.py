"""tailflame export"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from tailflame.analyse.hotspots import hotspots
from tailflame.analyse.layout import Order
from tailflame.analyse.reading import cautions
from tailflame.analyse.tree import TreeOptions, build_tree
from tailflame.cli.command import (
    Context,
    add_filter_argument,
    add_view_arguments,
    chosen_event,
    chosen_weight,
    filtered_as,
    profile_of,
    weight_word,
)
from tailflame.cli.documents import (
    counters_document,
    events_document,
    hotspots_document,
    latencies_document,
    result_document,
)
from tailflame.cli.exit_codes import ExitCode, UsageError
from tailflame.cli.terminal import finite, set_stdout
from tailflame.errors import StoreError
from tailflame.model import Caution, FrameKind, HistogramSeries, StackProfile
from tailflame.report import firefox, folded, pprof, speedscope, svg
from tailflame.report.output import opened as opened_for_writing
from tailflame.store import Opened

SUFFIXES = {
    "svg": ".svg",
    "folded": ".folded",
    "speedscope": ".speedscope.json",
    "firefox": ".profile.json.gz",
    "pprof": ".pb.gz",
    "json": ".json",
}
BINARY = ("firefox", "pprof")
ORDERS = {"name": Order.NAME, "heavy": Order.HEAVY, "time": Order.TIME}
VERSION = 1
"""Of the JSON that --to json writes."""


class ExportCommand:
    """Write a result in a form that others read.

      svg         a flame graph for any browser; Tailflame reads the same tree from it again
      folded      folded stacks, for flamegraph.pl, inferno and most other tools
      speedscope  https://www.speedscope.app
      firefox     https://profiler.firefox.com (gzipped if its name ends in .gz)
      pprof       go tool pprof, Grafana and others; all events, unless --event chooses one
      json        call tree and hotspots, for scripts (below)

    Without -o a file is made in this folder, named after the result; "-o -" writes to stdout.

    JSON of --to json: {"format": "tailflame profile", "version": 1, "result", "events", "view": {"event", "weight",
    "unit", "total", "samples"}, "functions": [{"name", "module", "file", "line", "kind"}],
    "tree": {"parent", "function", "self", "total", "self_samples", "total_samples"}: columns with one entry per node,
    parents before children, parent -1 for roots, "hotspots", "latencies", "counters": as in `show`}
    JSON: {"file", "format", "bytes", "cautions": [{"text", "fix"}]}
    """

    name = "export"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("result", metavar="RESULT", help="as in show")
        parser.add_argument("--to", choices=tuple(SUFFIXES), help="the form (told by the name after -o)")
        parser.add_argument("-o", "--output", metavar="FILE", help='where to; "-" is stdout')
        parser.add_argument("-f", "--force", action="store_true", help="replace a file that is there already")
        parser.add_argument("--title", default="", help="svg: the title")
        parser.add_argument("--order", choices=tuple(ORDERS), default="name", help="svg: how boxes are ordered (name)")
        parser.add_argument("--icicle", action="store_true", help="svg: the root at the top")
        add_view_arguments(parser)
        add_filter_argument(parser)

    def run(self, args: argparse.Namespace, context: Context) -> int:
        form = args.to or _form_of(args.output)
        if args.output == "-" and context.terminal.as_json:
            raise UsageError("--json and -o - both write to stdout.")
        opened = filtered_as(args, context.open(args.result))
        if args.output == "-":
            set_stdout(encoding="utf-8", errors="strict")
            _export(sys.stdout.buffer if form in BINARY else sys.stdout, form, opened, args, context)
            return ExitCode.OK
        target = Path(args.output) if args.output else _name_for(opened, form, force=args.force)
        if target.exists() and not target.is_file():
            # A device or a pipe is written to as it is; a file is replaced when the new one is whole.
            with _as_it_is(target, form) as stream:
                notes = _export(stream, form, opened, args, context)
        else:
            notes = _export(target, form, opened, args, context)
        context.terminal.line(str(target))
        context.terminal.document(
            {
                "file": str(target),
                "format": form,
                "bytes": target.stat().st_size,
                "cautions": [{"text": note.text, "fix": note.fix} for note in notes],
            }
        )
        return ExitCode.OK


def _form_of(output: str | None) -> str:
    """The form that a file's name tells; UsageError where it tells none."""
    name = (output or "").lower()
    for form, suffix in sorted(SUFFIXES.items(), key=lambda item: -len(item[1])):
        if name.endswith(suffix):
            return form
    raise UsageError("In which form?", advice=f"Add --to {'|'.join(SUFFIXES)}.")


def _name_for(opened: Opened, form: str, *, force: bool) -> Path:
    """A file in this folder, named after the result; StoreError where it would replace another unasked."""
    stem = opened.session.id if opened.session else Path(opened.label).name
    for suffix in (".zst", ".gz", ".xz", ".folded", ".svg", ".data", ".txt", ".json"):
        stem = stem.removesuffix(suffix) or stem
    path = Path(f"{stem}{SUFFIXES[form]}")
    if path.exists() and not force:
        raise StoreError(f"{path} is there already.", advice="Choose a name with -o, or replace it with --force.")
    return path


def _as_it_is(target: Path, form: str) -> TextIO | BinaryIO:
    return target.open("wb") if form in BINARY else target.open("w", encoding="utf-8")


def _export(
    target: Path | TextIO | BinaryIO, form: str, opened: Opened, args: argparse.Namespace, context: Context
) -> tuple[Caution, ...]:
    """Writes it; what had to be changed on the way is said on stderr as well."""
    if form in BINARY:
        notes = _export_binary(cast("Path | BinaryIO", target), form, opened, args)
    else:
        notes = _export_text(cast("Path | TextIO", target), form, opened, args)
    for note in notes:
        context.terminal.note(f"{note.text} {note.fix}".rstrip())
    return notes


def _export_binary(target: Path | BinaryIO, form: str, opened: Opened, args: argparse.Namespace) -> tuple[Caution, ...]:
    profile, meta = profile_of(opened), opened.recording.meta
    event = chosen_event(args.event, profile)
    weight = chosen_weight(args, profile, event)
    if form == "pprof":
        return pprof.write(profile, target, event=event if args.event else None, meta=meta)
    return firefox.write(profile, target, name=_title(opened), event=event, weight=weight, meta=meta)


def _export_text(target: Path | TextIO, form: str, opened: Opened, args: argparse.Namespace) -> tuple[Caution, ...]:
    if form == "json":
        with opened_for_writing(target) as stream:
            json.dump(finite(_document(opened, args)), stream, ensure_ascii=False, separators=(",", ":"))
            stream.write("\n")
        return ()
    profile = profile_of(opened)
    event = chosen_event(args.event, profile)
    weight = chosen_weight(args, profile, event)
    if form == "svg":
        order, title = ORDERS[args.order], args.title or _title(opened)
        svg.write(profile, target, event=event, weight=weight, title=title, order=order, icicle=args.icicle)
    elif form == "folded":
        return folded.write(profile, target, event=event, weight=weight)
    else:
        speedscope.write(profile, target, name=_title(opened), event=event, weight=weight)
    return ()


def _title(opened: Opened) -> str:
    return Path(opened.label).name if opened.session is None else opened.label


def _document(opened: Opened, args: argparse.Namespace) -> dict[str, Any]:
    recording = opened.recording
    document: dict[str, Any] = {
        "format": "tailflame profile",
        "version": VERSION,
        "result": result_document(opened, cautions(recording)),
    }
    if recording.profile is not None:
        document |= _profile_document(recording.profile, args)
    for series in (result for result in recording.results if isinstance(result, HistogramSeries)):
        document.setdefault("latencies", []).extend(latencies_document(series))
    if recording.counters is not None:
        document["counters"] = counters_document(recording.counters)
    return document


def _profile_document(profile: StackProfile, args: argparse.Namespace) -> dict[str, Any]:
    event = chosen_event(args.event, profile)
    weight = chosen_weight(args, profile, event)
    tree = build_tree(profile, TreeOptions(event=event, weight=weight))
    table = hotspots(profile, event=event, weight=weight)
    functions = tree.functions
    return {
        "events": events_document(profile),
        "view": {
            "event": profile.events[event].name,
            "weight": weight_word(weight),
            "unit": tree.unit.value,
            "total": tree.total,
            "samples": tree.total_samples,
        },
        "functions": [
            {
                "name": functions.names[index],
                "module": functions.module[index],
                "file": functions.file[index],
                "line": int(functions.line[index]) if functions.line[index] > 0 else None,
                "kind": FrameKind(int(functions.kind[index])).name.lower(),
            }
            for index in range(len(functions))
        ],
        "tree": {
            "parent": tree.parent.tolist(),
            "function": tree.function.tolist(),
            "self": tree.self_weight.tolist(),
            "total": tree.total_weight.tolist(),
            "self_samples": tree.self_samples.tolist(),
            "total_samples": tree.total_samples_of.tolist(),
        },
        "hotspots": hotspots_document(table, list(range(len(table)))),
    }
