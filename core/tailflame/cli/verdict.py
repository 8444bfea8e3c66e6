"""tailflame verdict"""

from __future__ import annotations

import argparse
from pathlib import Path

from tailflame.analyse.ratio_test import typical
from tailflame.analyse.verdict import Decision
from tailflame.cli.command import Context
from tailflame.cli.exit_codes import ExitCode, UsageError
from tailflame.cli.projects import project_here
from tailflame.cli.terminal import add_row, plain_table
from tailflame.cli.verdicts import print_verdict, verdict_document
from tailflame.model.iteration import StepState
from tailflame.run.reporting import report_of
from tailflame.store.iterations import BASELINE, Iterations
from tailflame.units import reading


class VerdictCommand:
    """Compare two measurements in everything that both have: keep, revert, or not enough data.

    BEFORE and AFTER are measurements that `run` has made: an id, "latest", "latest~1", or the name of a baseline. By
    default the baseline, and the latest.

    "latest" is the latest of the project that one stands in (a folder with a tailflame.toml here or above), or of all.

    JSON: {"decision", "sentence", "reasons", "goal", "wanted", "more_repetitions", "rows": [{"family", "key", "unit",
    "better", "before": [one per repetition], "after", "change", "low", "high", "p", "mark", "trimmed"}], "different":
    [fact], "broken_bounds": [sentence]}; with --list: {"measurements": [{"id", "project", "number", "started_at",
    "commit", "note", "decision", "sentence", "baselines"}]}; with --forget or --rename: {"name": what it is called
    now, or "", "measurements": [id]}
    """

    name = "verdict"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("before", metavar="BEFORE", nargs="?", default=BASELINE, help="baseline")
        add("after", metavar="AFTER", nargs="?", default="latest", help="latest")
        add("--goal", metavar="FIGURE", default="", help='the figure that is judged ("p99 total_us"; the plan\'s)')
        add("--improve", type=float, metavar="PERCENT", help="the least improvement that is kept (the plan's, 10)")
        add("--list", action="store_true", help="list the measurements instead")
        add("--name", metavar="NAME", help="let NAME stand for AFTER from now on: a baseline")
        add("--forget", metavar="NAME", help="let NAME stand for nothing any more; its measurement stays")
        add("--rename", metavar=("NAME", "NEW"), nargs=2, help="call the baseline NAME NEW from now on")
        add("-n", "--number", type=int, default=5, metavar="N", help="rows within the noise to print of each kind (5)")

    def run(self, args: argparse.Namespace, context: Context) -> int:
        iterations = context.iterations()
        if args.list:
            return _list(iterations, context)
        if args.forget is not None or args.rename is not None:
            return _change(args, iterations, context)
        after = iterations.get(args.after, project=project_here())
        if args.name is not None:
            iterations.name_baseline(args.name, after)
            context.terminal.line(f"“{args.name}” is measurement {after.number} of {after.project} now.")
            return ExitCode.OK
        before = iterations.get(args.before, project=after.project)
        if before.id == after.id:
            raise UsageError("Both are one measurement.", advice="Measure again: tailflame run")
        wanted = args.improve / 100 if args.improve is not None else None
        report = report_of(context.library, after, before, goal=args.goal, wanted=wanted)
        verdict = report.verdict
        assert verdict is not None
        for fact in report.different:
            context.terminal.note(fact)
        print_verdict(verdict, context.terminal, number=max(args.number, 0), broken=report.broken)
        document = verdict_document(verdict)
        document |= {"different": list(report.different), "broken_bounds": list(report.broken)}
        context.terminal.document(document)
        failed = (verdict.decision is Decision.REVERT and verdict.worse) or report.broken
        return ExitCode.REGRESSION if failed else ExitCode.OK


def _change(args: argparse.Namespace, iterations: Iterations, context: Context) -> int:
    """Of names alone: what they stood for stays."""
    if args.name is not None or (args.forget is not None and args.rename is not None):
        raise UsageError("--name, --forget and --rename go one at a time.")
    if args.forget is not None:
        new, identities = "", iterations.forget_baseline(args.forget)
        context.terminal.line(f"“{args.forget}” stands for nothing any more. Kept: {', '.join(identities)}")
    else:
        name, new = args.rename
        identities = iterations.rename_baseline(name, new)
        context.terminal.line(f"“{name}” is called “{new}” now: {', '.join(identities)}")
    context.terminal.document({"name": new, "measurements": list(identities)})
    return ExitCode.OK


def _list(iterations: Iterations, context: Context) -> int:
    names = iterations.baselines()
    every = iterations.all()
    several = len({one.project for one in every}) > 1
    columns = (*(("project",) if several else ()), ("#", "right"), "measured", "commit", ("goal", "right"), "verdict")
    table = plain_table(*columns, "note", "baseline")
    for one in every:
        mean = typical(one.goal_values) if one.goal_values else None
        failed = sum(step.state is StepState.FAILED for step in one.steps)
        told = one.decision or ("cut short" if not one.is_finished else f"{failed} failed" if failed else "")
        add_row(
            table,
            [
                *((Path(one.project).name,) if several else ()),
                str(one.number),
                f"{one.started_at:%Y-%m-%d %H:%M}",
                f"{one.commit[:9]}{'+' if one.dirty else ''}",
                "" if mean is None else f"{one.goal} {reading(mean, one.goal_unit)}",
                told,
                one.note,
                ", ".join(names.get(one.id, [])),
            ],
        )
    context.terminal.table(table)
    context.terminal.document(
        {
            "measurements": [
                {
                    "id": one.id,
                    "project": one.project,
                    "number": one.number,
                    "started_at": one.started_at.isoformat(),
                    "commit": one.commit,
                    "note": one.note,
                    "decision": one.decision,
                    "sentence": one.sentence,
                    "baselines": names.get(one.id, []),
                }
                for one in every
            ]
        }
    )
    return ExitCode.OK
