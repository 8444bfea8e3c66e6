"""How a verdict is printed: its sentence and reasons, and every figure before and after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tailflame.analyse.verdict import Decision, Mark, Row, Verdict
from tailflame.cli.terminal import STYLES, Terminal, add_row, plain_table
from tailflame.model.metrics import Family
from tailflame.report.measurement import footnotes
from tailflame.units import count, interval_text, reading, signed_percent, with_percent

_STYLES = {Mark.BETTER: STYLES["less"], Mark.WORSE: STYLES["more"]}
_QUIET = frozenset({Mark.NOISE, Mark.SAME})


def print_verdict(verdict: Verdict, terminal: Terminal, *, number: int, broken: Sequence[str] = ()) -> None:
    """number: rows of each family that are within the noise; what changed is always printed. broken: bounds that do not
    hold.
    """
    style = {Decision.KEEP: STYLES["less"], Decision.REVERT: STYLES["more"]}.get(verdict.decision, "bold")
    terminal.line(verdict.sentence, style=style)
    for sentence in broken:
        terminal.line(f"Bound: {sentence}", style=STYLES["more"])
    for reason in verdict.reasons:
        terminal.line(f"  {reason}")
    more = verdict.more_repetitions
    if more:
        terminal.line(f"  tailflame run --more {more} makes {'it' if more == 1 else 'them'}.", style="dim")
    for family in Family:
        rows = verdict.of(family)
        both = tuple(row for row in rows if row.mark is not Mark.ABSENT)
        if both:
            terminal.line()
            terminal.line(family.value, style="bold")
            _print_rows(family, both, terminal, number)
    if verdict.on_one_side:
        terminal.line()
        terminal.line(f"Not measured on both sides: {', '.join(verdict.on_one_side)}.", style="dim")


def _print_rows(family: Family, rows: tuple[Row, ...], terminal: Terminal, number: int) -> None:
    shown = [row for row in rows if row.mark not in _QUIET]
    quiet = [row for row in rows if row.mark in _QUIET]
    table = plain_table(
        "figure", *((name, "right") for name in ("before", "after", "change", "95 % interval, %", "runs")), ""
    )
    for row in (*shown, *quiet[:number]):
        add_row(table, _cells(row), style=_STYLES.get(row.mark, STYLES["noise"]))
    terminal.table(table)
    for note in footnotes(family, (*shown, *quiet[:number])):
        terminal.line(f"  {note}", style="dim")
    left = len(quiet) - number
    if left > 0:
        terminal.line(f"  and {count(left)} more within the noise", style="dim")


def _cells(row: Row) -> list[str]:
    return [
        row.key,
        reading(row.before_mean, row.unit) if row.before else "",
        reading(row.after_mean, row.unit) if row.after else "",
        "" if math.isnan(row.change) else with_percent(signed_percent(row.change, digits=1)),
        "" if math.isnan(row.low) else interval_text(row.low, row.high),
        f"{len(row.before)}, {len(row.after)}{' *' if row.trimmed else ''}",
        row.mark.value,
    ]


def verdict_document(verdict: Verdict) -> dict[str, Any]:
    """As `verdict` and `run` print it with --json."""
    return {
        "decision": verdict.decision.value,
        "sentence": verdict.sentence,
        "reasons": list(verdict.reasons),
        "goal": verdict.goal.key if verdict.goal is not None else None,
        "wanted": verdict.wanted,
        "more_repetitions": verdict.more_repetitions,
        "rows": [
            {
                "family": row.family.value,
                "key": row.key,
                "unit": row.unit,
                "better": row.better.value,
                "before": list(row.before),
                "after": list(row.after),
                "change": _known(row.change),
                "low": _known(row.low),
                "high": _known(row.high),
                "p": _known(row.p),
                "mark": row.mark.value,
                "trimmed": row.trimmed,
            }
            for row in verdict.rows
        ],
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
