"""tailflame report"""

from __future__ import annotations

import argparse
from pathlib import Path

from tailflame.cli.command import Context
from tailflame.cli.exit_codes import ExitCode, UsageError
from tailflame.cli.projects import project_here
from tailflame.report import html, junit, markdown, measurement_json
from tailflame.run.reporting import report_of
from tailflame.store.iterations import BASELINE

_WRITERS = {
    ".html": html.write,
    ".md": markdown.write,
    ".json": measurement_json.write,
    ".xml": junit.write,
}


class ReportCommand:
    """Write a measurement, and what it is against the baseline, as one file: HTML, Markdown, JSON or JUnit XML.

    The name's ending says which. BEFORE and AFTER are as for `verdict`. The HTML file needs no network and holds its
    flame graphs; the Markdown is for a pull request. With --alone, one measurement is written and compared with none:
    the one that is named, or the latest.

    JSON: {"path", "bytes"}
    """

    name = "report"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="where to: .html, .md, .json, or .xml for JUnit")
        parser.add_argument("before", metavar="BEFORE", nargs="?", help="baseline")
        parser.add_argument("after", metavar="AFTER", nargs="?", help="latest")
        parser.add_argument("--alone", action="store_true", help="one measurement, against nothing")

    def run(self, args: argparse.Namespace, context: Context) -> int:
        path = Path(args.file)
        write = _WRITERS.get(path.suffix.lower())
        if write is None:
            raise UsageError(f"{path} has none of the endings {', '.join(_WRITERS)}.")
        if args.alone and args.after is not None:
            raise UsageError(
                f"--alone writes one measurement, and two are named: {args.before} and {args.after}.",
                advice="Name one of them, or leave --alone out.",
            )
        iterations = context.iterations()
        after = iterations.get((args.before if args.alone else args.after) or "latest", project=project_here())
        before = None if args.alone else iterations.get(args.before or BASELINE, project=after.project)
        if before is not None and before.id == after.id:
            before = None
        with context.terminal.progress("reading the measurements") as progress:
            report = report_of(context.library, after, before)
            progress(1.0)
        write(report, path)
        context.terminal.line(f"{path} is written.")
        context.terminal.document({"path": str(path), "bytes": path.stat().st_size})
        return ExitCode.OK
