"""tailflame tail"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.text import Text

from tailflame.analyse.names import module_label
from tailflame.analyse.reading import cautions
from tailflame.analyse.slow_calls import SlowSplit, own_frames, split, verdict
from tailflame.cli.command import Context, add_view_arguments, chosen_event, chosen_weight, profile_of
from tailflame.cli.documents import result_document
from tailflame.cli.exit_codes import ExitCode, UsageError
from tailflame.cli.terminal import add_row, plain_table
from tailflame.model import FrameKind
from tailflame.report import folded
from tailflame.units import percent


class TailCommand:
    """Compare the slow calls of a live run with its fast ones: what the tail does that the rest does not.

    RESULT is a live run that kept its slow calls and a CPU profile (tailflame live --function NAME --slow-above TIME),
    by default the latest session. Samples that fell into slow calls stand against those in fast calls, each side by
    its own total. Functions that only slow calls are in are named first.

    JSON: {"result": (as in show), "function", "threshold_ns", "slow_calls", "lost", "slow_samples", "fast_samples",
    "facts": [sentence], "verdict": [sentence], "own": [{"name", "slow_share", "fast_share"}], "regressions": [name],
    "left_out": {"outside", "unwatched", "unplaced", "torn", "probing", "calls_without_samples"}}.
    """

    name = "tail"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("result", metavar="RESULT", nargs="?", default="latest", help="latest")
        parser.add_argument(
            "-f", "--function", default="", metavar="NAME", help="whose calls; the one with the most slow ones"
        )
        parser.add_argument(
            "-o",
            "--output",
            metavar="FILE",
            help="write both sides as folded stacks of two columns, for flamegraph.pl, inferno and the window",
        )
        parser.add_argument("-n", "--number", type=int, default=20, metavar="N", help="rows to print (20)")
        add_view_arguments(parser)

    def run(self, args: argparse.Namespace, context: Context) -> int:
        opened = context.open(args.result)
        recording = opened.recording
        if recording.live is None:
            raise UsageError(
                f"{opened.label} is no live run.",
                advice="Keep slow calls with: tailflame live --function NAME --slow-above 100us -- PROGRAM",
            )
        profile = profile_of(opened)
        try:
            parts = split(profile, recording.live, series=args.function)
        except ValueError as problem:
            raise UsageError(
                f"{problem}.", advice="Run tailflame live with --function NAME --slow-above TIME (or p99.9)."
            ) from None
        facts = parts.facts(rate_hz=recording.meta.rate_granted_hz)
        if not len(parts.slow.samples) or not len(parts.fast.samples):
            raise UsageError(
                "There is nothing to compare: one side has no samples.",
                advice="Record at a higher rate (--cpu-rate), for longer, or with another threshold.",
                details="\n".join(facts),
            )
        event = chosen_event(args.event, profile)
        comparison = parts.compared(event=event, weight=chosen_weight(args, profile, event))
        terminal, table, tree = context.terminal, comparison.table, comparison.tree
        name = f"{opened.session.id}  {opened.label}" if opened.session else opened.label
        terminal.line(Text(name))
        for caution in cautions(recording):
            terminal.caution(caution)
        for sentence in facts:
            terminal.line(sentence)
        terminal.line()
        said, own = verdict(parts, comparison), own_frames(parts, comparison)
        regressed = [table.names[i] for i in np.flatnonzero(table.significant & (table.change > 0))]
        for sentence in said:
            terminal.line(sentence, style="bold")
        terminal.line()
        printed = plain_table(
            ("self fast", "right"), ("slow", "right"), ("total fast", "right"), ("slow", "right"), "function", "module"
        )
        share = table.total_after / (tree.whole_after or 1) - table.total_before / (tree.whole_before or 1)
        rows = [int(row) for row in np.argsort(-np.abs(share), kind="stable") if table.kind[row] != FrameKind.OTHER]
        for row in rows[: max(args.number, 0)]:
            cells = [
                percent(float(column[row] / (whole or 1)))
                for column, whole in (
                    (table.self_before, tree.whole_before),
                    (table.self_after, tree.whole_after),
                    (table.total_before, tree.whole_before),
                    (table.total_after, tree.whole_after),
                )
            ]
            add_row(printed, [*cells, table.names[row], module_label(table.module[row])])
        terminal.table(printed)
        if args.output:
            for caution in folded.write_difference(tree, Path(args.output)):
                terminal.caution(caution)
            terminal.note(f"written: {args.output}")
        terminal.document(
            {
                "result": result_document(opened, cautions(recording)),
                **_document(parts),
                "facts": list(facts),
                "verdict": list(said),
                "own": [
                    {"name": frame.name, "slow_share": frame.share_slow, "fast_share": frame.share_fast}
                    for frame in own
                ],
                "regressions": list(dict.fromkeys([*(frame.name for frame in own), *regressed])),
            }
        )
        return ExitCode.OK


def _document(parts: SlowSplit) -> dict[str, object]:
    return {
        "function": parts.series,
        "threshold_ns": parts.threshold_ns,
        "slow_calls": parts.calls,
        "lost": parts.lost,
        "slow_samples": len(parts.slow.samples),
        "fast_samples": len(parts.fast.samples),
        "left_out": {
            "outside": parts.outside,
            "unwatched": parts.unwatched,
            "unplaced": parts.unplaced,
            "torn": parts.torn,
            "probing": parts.probing,
            "calls_without_samples": parts.unseen,
        },
    }
