"""tailflame diff"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np
from rich.text import Text

from tailflame.analyse.counted_diff import WORTH, amount
from tailflame.analyse.diff import Comparison, Status, compare
from tailflame.analyse.heap_diff import refuse_unlike
from tailflame.analyse.latency_runs import SeriesDiff, compare_runs
from tailflame.analyse.names import module_label
from tailflame.analyse.reading import cautions
from tailflame.cli.command import Context, add_view_arguments, chosen_event, chosen_weight, profile_of, tolerated_share
from tailflame.cli.documents import result_document
from tailflame.cli.exit_codes import ExitCode, UsageError
from tailflame.cli.kinds import KINDS
from tailflame.cli.latency_changes import latency_changes_document, print_latency_changes, slower
from tailflame.cli.result_kind import ResultKind
from tailflame.cli.terminal import STYLES, add_row, plain_table
from tailflame.model import Caution, FrameKind
from tailflame.store import Opened
from tailflame.units import count, interval_text, percent, signed_percent, with_percent


class DiffCommand:
    """Compare two results and name what changed beyond the noise.

    BEFORE and AFTER are what `show` takes; by default the baseline of the latest session's program, and the latest
    session. A file that holds both sides (folded stacks with two columns) is compared by itself.

    Latencies are compared percentile by percentile, with an interval for each change; a percentile with too few values
    beyond it is shown and never called a difference.

    Changes are of a function's own time, measured against the scale: the ratio at which the typical function stands
    still, so that a longer or busier run alone changes nothing. What could be noise is marked "within noise".

    JSON: {"before": result, "after": result (as in show), "scale", "test", "verdict": [sentence],
    "regressions": [name], "improvements": [name],
    "functions": [{"name", "module", "direction": "more" | "less" | "within noise" | "not tested", "status": "both" |
    "new" | "vanished", "change", "low", "high", "p", "self_before", "self_after", "total_before", "total_after",
    "self_share_before", "self_share_after", "total_share_before", "total_share_after", "samples_before",
    "samples_after"}], "latencies": [{"series", "unit", "count_before", "count_after", "percentiles": [{"percentile",
    "before", "after", "ratio", "low_ratio", "high_ratio", "reliable", "different"}]}]}; "change" is
    relative (0.15 is 15 % more) and null where the function is new. Of latencies alone there is no "functions".
    """

    name = "diff"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("before", metavar="BEFORE", nargs="?", default="baseline", help="baseline")
        parser.add_argument("after", metavar="AFTER", nargs="?", help="latest")
        parser.add_argument("-n", "--number", type=int, default=20, metavar="N", help="rows to print (20)")
        parser.add_argument(
            "--fail-on-regression",
            action="store_true",
            help=f"exit with {ExitCode.REGRESSION.value} where a function has regressed beyond the noise",
        )
        parser.add_argument(
            "--tolerate", type=float, default=0.0, metavar="PERCENT", help="let regressions up to this much pass"
        )
        parser.add_argument("--binary", metavar="PATH", default="", help="whose baseline and latest session are meant")
        add_view_arguments(parser)

    def run(self, args: argparse.Namespace, context: Context) -> int:
        beyond = tolerated_share(args)
        before = context.open(args.before, binary=args.binary)
        both = before.recording.baseline
        if args.after is None and both is not None:
            after = replace(before, label=f"{before.label}, second column")
            before = replace(before, label=f"{before.label}, first column")
            left, right = both, profile_of(after)
        else:
            after = context.open(args.after or "latest", binary=args.binary)
            series = _latencies(before, after)
            if before.recording.profile is None or after.recording.profile is None:
                if series is None and not _kinds(before, after):
                    profile_of(before), profile_of(after)  # says which one holds nothing to compare
                return _without_stacks(before, after, series, args, context)
            refuse_unlike(before.recording, after.recording)
            left, right = profile_of(before), profile_of(after)
        events = (chosen_event(args.event, left), chosen_event(args.event, right))
        weight = chosen_weight(args, right, events[1])
        comparison = compare(left, right, event_before=events[0], event_after=events[1], weight=weight)
        _print(before, after, comparison, args, context)
        document = _document(before, after, comparison)
        failed = bool(_regressions(comparison, beyond=beyond))
        if both is None:
            failed = bool(_compare_kinds(before, after, document, args, context)) or failed
        if both is None and series:
            context.terminal.line()
            print_latency_changes(series, context.terminal)
            document["latencies"] = latency_changes_document(series)
            failed = failed or bool(slower(series, beyond=beyond))
        context.terminal.document(document)
        return ExitCode.REGRESSION if args.fail_on_regression and failed else ExitCode.OK


def _latencies(before: Opened, after: Opened) -> tuple[SeriesDiff, ...] | None:
    """None where one of them holds no latencies."""
    one, other = before.recording.histograms, after.recording.histograms
    return None if one is None or other is None else compare_runs(one, other)


def _kinds(before: Opened, after: Opened) -> list[ResultKind]:
    return [kind for kind in KINDS if kind.held(before.recording) and kind.held(after.recording)]


def _compare_kinds(
    before: Opened, after: Opened, document: dict[str, Any], args: argparse.Namespace, context: Context
) -> list[str]:
    """Prints every other kind that both have; what got worse."""
    worse: list[str] = []
    for kind in _kinds(before, after):
        context.terminal.line()
        section = kind.compare(
            before.recording,
            after.recording,
            context.terminal,
            number=max(args.number, 0),
            beyond=tolerated_share(args),
        )
        document[kind.key] = section.document
        worse += section.worse
    return worse


def _without_stacks(
    before: Opened, after: Opened, series: tuple[SeriesDiff, ...] | None, args: argparse.Namespace, context: Context
) -> int:
    if series is not None and not series and not _kinds(before, after):
        raise UsageError(
            f"{before.label} and {after.label} have no latency in common.",
            advice="`tailflame show` lists what each has.",
        )
    terminal = context.terminal
    for side, opened in (("before", before), ("after ", after)):
        session = opened.session
        name = f"{session.id}  {opened.label}" if session else opened.label
        terminal.line(Text.assemble((f"{side}  ", "dim"), name))
        for caution in cautions(opened.recording):
            terminal.caution(caution)
    document: dict[str, Any] = {
        "before": result_document(before, cautions(before.recording)),
        "after": result_document(after, cautions(after.recording)),
    }
    failed = bool(_compare_kinds(before, after, document, args, context))
    if series:
        terminal.line()
        print_latency_changes(series, terminal)
        document["latencies"] = latency_changes_document(series)
        failed = failed or bool(slower(series, beyond=tolerated_share(args)))
    terminal.document(document)
    return ExitCode.REGRESSION if args.fail_on_regression and failed else ExitCode.OK


def _regressions(comparison: Comparison, *, beyond: float) -> list[str]:
    table, tree = comparison.table, comparison.tree
    worse = table.significant & (table.change > beyond)
    if comparison.exact:
        # Two runs of one program differ by a few counts here and there: what matters is a part of the whole.
        worse &= table.self_after - table.self_before >= WORTH * max(tree.whole_before, tree.whole_after)
    return [table.names[i] for i in np.flatnonzero(worse)]


def _direction(comparison: Comparison, row: int) -> str:
    table = comparison.table
    if table.significant[row]:
        return "more" if table.change[row] > 0 else "less"
    if comparison.exact:
        return "same"
    return "within noise" if table.tested[row] else "not tested"


def _print(before: Opened, after: Opened, comparison: Comparison, args: argparse.Namespace, context: Context) -> None:
    terminal, table, tree = context.terminal, comparison.table, comparison.tree
    for side, opened, total in (("before", before, tree.whole_before), ("after ", after, tree.whole_after)):
        session = opened.session
        name = f"{session.id}  {opened.label}" if session else opened.label
        commit = f", {session.commit.short}" if session and session.commit else ""
        terminal.line(Text.assemble((f"{side}  ", "dim"), name, f", {_amount(total, comparison)}{commit}"))
        for caution in cautions(opened.recording):
            terminal.caution(caution)
    names = (comparison.before.event.name, comparison.after.event.name)
    if names[0] != names[1] and not comparison.exact:
        told = f"Different events: {names[0]} before, {names[1]} after."
        terminal.caution(Caution(told, "Only shares are compared."))
    terminal.line()
    for sentence in comparison.verdict:
        terminal.line(sentence, style="bold")
    terminal.line()
    printed = plain_table(
        ("self before", "right"), ("after", "right"), ("change", "right"), ("95 % interval, %", "right"),
        ("total before", "right"), ("after", "right"), "", "function", "module",
    )  # fmt: skip
    rows = [row for row in range(len(table)) if table.kind[row] != FrameKind.OTHER]
    for row in rows[: max(args.number, 0)]:
        direction = _direction(comparison, row)
        add_row(
            printed,
            [
                percent(float(table.self_before[row] / (tree.whole_before or 1))),
                percent(float(table.self_after[row] / (tree.whole_after or 1))),
                _change(comparison, row),
                _interval(comparison, row),
                percent(float(table.total_before[row] / (tree.whole_before or 1))),
                percent(float(table.total_after[row] / (tree.whole_after or 1))),
                direction,
                table.names[row],
                module_label(table.module[row]),
            ],
            style=STYLES.get(direction, STYLES["noise"]),
        )
    terminal.table(printed)
    terminal.line()
    terminal.line(comparison.test, style="dim")


def _amount(total: float, comparison: Comparison) -> str:
    if comparison.exact:
        return amount(total, comparison.tree.unit, comparison.after.event.name)
    return f"{count(round(total))} {comparison.tree.unit.value}"


def _change(comparison: Comparison, row: int) -> str:
    table = comparison.table
    if table.status(row) is Status.NEW or (not table.samples_before[row] and table.samples_after[row]):
        return "new"
    if table.status(row) is Status.VANISHED:
        return "vanished"
    if not table.samples_before[row]:
        return ""
    return with_percent(signed_percent(float(table.change[row]), digits=1))


def _interval(comparison: Comparison, row: int) -> str:
    table = comparison.table
    if not table.tested[row] or not table.samples_before[row] or not table.samples_after[row]:
        return ""
    return interval_text(float(table.low[row]), float(table.high[row]))


def _document(before: Opened, after: Opened, comparison: Comparison) -> dict[str, Any]:
    table, tree = comparison.table, comparison.tree
    whole_before, whole_after = tree.whole_before or 1.0, tree.whole_after or 1.0
    moved = [(row, _direction(comparison, row)) for row in range(len(table))]
    return {
        "before": result_document(before, cautions(before.recording)),
        "after": result_document(after, cautions(after.recording)),
        "scale": comparison.scale,
        "test": comparison.test,
        "verdict": list(comparison.verdict),
        "regressions": [table.names[row] for row, direction in moved if direction == "more"],
        "improvements": [table.names[row] for row, direction in moved if direction == "less"],
        "functions": [
            {
                "name": table.names[row],
                "module": table.module[row],
                "direction": direction,
                "status": table.status(row).value,
                "change": float(table.change[row]),
                "low": float(table.low[row]),
                "high": float(table.high[row]),
                "p": float(table.p[row]),
                "self_before": float(table.self_before[row]),
                "self_after": float(table.self_after[row]),
                "total_before": float(table.total_before[row]),
                "total_after": float(table.total_after[row]),
                "self_share_before": float(table.self_before[row] / whole_before),
                "self_share_after": float(table.self_after[row] / whole_after),
                "total_share_before": float(table.total_before[row] / whole_before),
                "total_share_after": float(table.total_after[row] / whole_after),
                "samples_before": float(table.samples_before[row]),
                "samples_after": float(table.samples_after[row]),
            }
            for row, direction in moved
        ],
    }
