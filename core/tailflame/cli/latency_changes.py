"""The latencies of `diff`: each percentile before and after, and whether the difference is real."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from tailflame.analyse.latency_diff import PercentileChange
from tailflame.analyse.latency_runs import SeriesDiff
from tailflame.cli.terminal import STYLES, Terminal, add_row, plain_table
from tailflame.units import count, nanoseconds, percent

ONE_RUN = (
    "What differs from run to run of one binary is not in these intervals: record each side more than once before you "
    "believe in a small change."
)


def slower(series: Sequence[SeriesDiff], *, beyond: float) -> list[str]:
    """The percentiles that have risen, by more than the share `beyond`, as "match_order p99"."""
    return [
        f"{one.name} p{row.percentile:g}".strip()
        for one in series
        for row in one.diff.different
        if row.ratio > 1 + beyond
    ]


def verdict(row: PercentileChange) -> str:
    """In words, as the window has them."""
    if not row.reliable:
        return "too few values"
    if not row.different:
        return "within noise"
    return "slower" if row.change > 0 else "faster"


def print_latency_changes(series: Sequence[SeriesDiff], terminal: Terminal) -> None:
    for one in series:
        diff = one.diff
        name = one.name or "latency"
        if one.before_name != one.name:
            name = f"{one.before_name} → {name}"
        terminal.line(
            Text.assemble(
                (name, "bold"), f"   {count(diff.total_before)} values before, {count(diff.total_after)} after"
            )
        )
        interval = f"{percent(diff.level, digits=0)} interval"
        table = plain_table(
            "percentile", ("before", "right"), ("after", "right"), ("change", "right"), (interval, "right"), "verdict"
        )
        for row in diff.rows:
            words = verdict(row)
            style = {"slower": "more", "faster": "less"}.get(words, "noise")
            add_row(
                table,
                [
                    f"p{row.percentile:g}",
                    _value(row.before, one.unit),
                    _value(row.after, one.unit),
                    percent(row.ratio - 1, signed=True),
                    f"{percent(row.low_ratio - 1, signed=True)} to {percent(row.high_ratio - 1, signed=True)}"
                    if row.reliable
                    else "",
                    Text(words, style=STYLES[style]),
                ],
            )
        terminal.table(table)
        if not diff.by_time:
            terminal.line("Few intervals: calls are taken for independent, which makes the intervals too narrow.")
        terminal.line()
    terminal.line(ONE_RUN)


def _value(value: int, unit: str) -> str:
    return nanoseconds(value) if unit == "ns" else f"{count(value)} {unit}".rstrip()


def latency_changes_document(series: Sequence[SeriesDiff]) -> list[dict[str, Any]]:
    """ "latencies" of diff. Intervals are null where a percentile is not reliable."""
    return [
        {
            "series": one.name,
            "unit": one.unit,
            "count_before": one.diff.total_before,
            "count_after": one.diff.total_after,
            "percentiles": [
                {
                    "percentile": row.percentile,
                    "before": row.before,
                    "after": row.after,
                    "ratio": row.ratio,
                    "low_ratio": row.low_ratio if row.reliable else None,
                    "high_ratio": row.high_ratio if row.reliable else None,
                    "reliable": row.reliable,
                    "different": row.different,
                }
                for row in one.diff.rows
            ],
        }
        for one in series
    ]
