"""tailflame demo"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from tailflame.analyse.hotspots import GroupBy, hotspots
from tailflame.analyse.reading import cautions
from tailflame.cli.command import Context
from tailflame.cli.demo_target import LOGS, build_demo, demo_plan, demo_project, obstacle, sample_session
from tailflame.cli.documents import (
    events_document,
    hotspots_document,
    latencies_document,
    result_document,
    session_document,
)
from tailflame.cli.exit_codes import ExitCode
from tailflame.cli.figures import hotspot_table, latency_table, print_facts, rows_of
from tailflame.cli.recording import record_session
from tailflame.errors import StoreError, ToolDenied, ToolFailed, ToolMissing
from tailflame.host.system import Host, probe_host
from tailflame.store import Opened, SessionInfo, load_recording, session_at
from tailflame.store.files import write_json
from tailflame.store.session import FLAME_GRAPH
from tailflame.tools import PERF_RECORD, Target


class DemoCommand:
    """Record the demo trading system, and show where its time goes and how late its orders are.

    Where the demo target cannot be built or recorded (no cargo, no perf, no permission, no source code), the sample
    session that ships with Tailflame is opened instead, and the reason is said.

    JSON: {"kind": "recording" | "sample", "reason", "session": as in `list`, "flame_graph": path or null, "result",
    "events", "hotspots", "latencies": as in `show`}
    """

    name = "demo"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--sample", action="store_true", help="open the sample session, whatever can be recorded")
        parser.add_argument("--seconds", type=int, default=10, metavar="N", help="length of the recording (10)")
        parser.add_argument(
            "--slow-path", type=int, default=2000, metavar="N", help="make one risk check in N slow (2000)"
        )
        parser.add_argument(
            "--regress",
            type=float,
            metavar="PERCENT",
            help="make one function that much slower, to find it with `diff`",
        )
        parser.add_argument("--baseline", action="store_true", help="make it the baseline of the demo")
        parser.add_argument("--report", type=Path, metavar="FILE", help="also write there what --json would print")
        parser.add_argument("-n", "--number", type=int, default=10, metavar="N", help="hotspots to print (10)")

    def run(self, args: argparse.Namespace, context: Context) -> int:
        opened, reason = _sample(context, "--sample was given") if args.sample else _recorded(args, context)
        if opened.session is not None and args.baseline:
            opened = replace(opened, session=context.library.set_baseline(opened.session.id))
        document = _print(opened, reason, args.number, context)
        if args.report is not None:
            write_json(args.report.absolute(), document)
        return ExitCode.OK


def _recorded(args: argparse.Namespace, context: Context) -> tuple[Opened, str]:
    """A fresh recording, or the sample and why."""
    host = probe_host()
    reason = obstacle(host)
    project = demo_project()
    if reason or project is None:
        return _sample(context, reason)
    try:
        binary = build_demo(project, say=context.terminal.note)
    except (ToolMissing, ToolFailed) as error:
        return _sample(context, f"{error.sentence} {f'({error.advice})' if error.advice else ''}".strip())
    try:
        return _record(binary, host, args, context), ""
    except (ToolDenied, ToolMissing) as error:
        return _sample(context, error.sentence)


def _record(binary: Path, host: Host, args: argparse.Namespace, context: Context) -> Opened:
    switches: tuple[str, ...] = ("--mode", "benchmark", "--seconds", str(args.seconds))
    switches += ("--slow-path", str(args.slow_path))
    if args.regress is not None:
        switches += ("--regress", f"{args.regress:g}")
    target = Target(binary=binary, args=switches)
    recorded = record_session(
        context,
        target,
        lambda out: demo_plan(target, host, out),
        tool=PERF_RECORD.name,
        title=" ".join(("demo", *switches[2:])),
        show_output=False,
        logs=LOGS,
    )
    return Opened(recorded.recording, recorded.session.title, recorded.session)


def _sample(context: Context, reason: str) -> tuple[Opened, str]:
    """The sample session, copied to the user's own where that can be done."""
    folder = sample_session()
    info: SessionInfo
    try:
        info = context.library.adopt(folder)
    except StoreError:
        info = session_at(folder)
    if info.manifest is None:
        raise StoreError("The sample session is missing from this installation.", advice="Install Tailflame again.")
    return Opened(load_recording(info.path), info.title, info), reason


def _print(opened: Opened, reason: str, number: int, context: Context) -> dict[str, Any]:
    terminal, recording, session = context.terminal, opened.recording, opened.session
    assert session is not None
    kind = "sample" if reason else "recording"
    if reason:
        terminal.line(f"This is the recorded sample session, because {reason}.", style="bold")
    print_facts(terminal, recording)
    drawing = (session.manifest.artifacts.get(FLAME_GRAPH) if session.manifest else None) or ""
    document: dict[str, Any] = {
        "kind": kind,
        "reason": reason,
        "session": session_document(session),
        "flame_graph": str(session.path / drawing) if drawing else None,
        "result": result_document(opened, cautions(recording)),
    }
    if recording.profile is not None:
        table = hotspots(recording.profile)
        rows = rows_of(table, GroupBy.FUNCTION, max(number, 0))
        document["events"] = events_document(recording.profile)
        document["hotspots"] = hotspots_document(table, rows)
        terminal.line()
        terminal.table(hotspot_table(table, rows, GroupBy.FUNCTION))
    if recording.histograms is not None:
        document["latencies"] = latencies_document(recording.histograms)
        terminal.line()
        terminal.table(latency_table(recording.histograms))
    terminal.line()
    if drawing:
        terminal.line(f"flame graph    {session.path / drawing}")
    terminal.line(f"result folder  {session.path}")
    if not reason:
        terminal.line("Find a regression:  tailflame demo --baseline;  tailflame demo --regress 15;  tailflame diff")
    terminal.document(document)
    return document
