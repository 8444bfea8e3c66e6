"""Counters of whole runs on the command line: what they come to, and what changed."""

from __future__ import annotations

import math
from typing import Any

from rich.text import Text

from tailflame.analyse.counter_summary import (
    CounterChange,
    CounterFigure,
    Mark,
    column_title,
    compare_counters,
    counters_alone,
    summed_up,
    why_untested,
)
from tailflame.cli.documents import counters_document
from tailflame.cli.figures import counter_table
from tailflame.cli.result_kind import Section
from tailflame.cli.terminal import STYLES, Terminal, add_row, plain_table
from tailflame.model import CounterSeries, Recording
from tailflame.model.counters import Kept
from tailflame.units import interval_text, percent, reading, signed_percent, with_percent

_STYLES = {
    Mark.BETTER: STYLES["less"],
    Mark.WORSE: STYLES["more"],
    Mark.NOISE: STYLES["noise"],
    Mark.UNKNOWN: STYLES["noise"],
    Mark.ALONE: STYLES["noise"],
    Mark.UNTESTED: STYLES["noise"],
    Mark.ABSENT: STYLES["noise"],
}


class CountersKind:
    """What perf stat has counted."""

    key = "counters"

    def held(self, recording: Recording) -> bool:
        return counters_alone(recording)

    def show(self, recording: Recording, terminal: Terminal, *, number: int) -> Any:
        """JSON: as `show` documents "counters"; of several runs each has "runs", "kept", "mean", "standard_error" (the
        mean's, in `unit`) and "margin", which is half of the mean's 95 % interval, besides. "kept": "each", "mean",
        "last", "either", as `Kept` says; "runs" is null where nobody has told it, "mean" where there is none.
        """
        series = recording.counters
        assert series is not None
        documents = counters_document(series)
        if not series.repeated:
            terminal.table(counter_table(series))
            return documents
        figures = summed_up(series)
        terminal.table(_table(figures, series))
        for document, figure in zip(documents, figures, strict=True):
            assert figure.kept is not None
            is_mean = figure.kept in (Kept.EACH, Kept.MEAN)
            document["runs"], document["kept"] = series.runs or None, figure.kept.value
            document["mean"] = _known(figure.value) if is_mean else None
            document["standard_error"], document["margin"] = _known(figure.error), _known(figure.margin)
        return documents

    def compare(
        self, before: Recording, after: Recording, terminal: Terminal, *, number: int, beyond: float
    ) -> Section:
        assert before.counters is not None and after.counters is not None
        changes = compare_counters(before.counters, after.counters)
        table = plain_table(
            "counter", *((name, "right") for name in ("before", "after", "change", "95 % interval, %")), ""
        )
        for change in changes:
            add_row(table, _cells(change), style=_STYLES.get(change.mark))
        terminal.table(table)
        why, advice = why_untested(changes)
        if why:
            terminal.note(f"{why} {advice}")
        worse = [c.name for c in changes if c.mark is Mark.WORSE and not c.change <= beyond]
        return Section([_document(change) for change in changes], tuple(worse))


COUNTERS_KIND = CountersKind()


def _table(figures: tuple[CounterFigure, ...], series: CounterSeries) -> Any:
    """Where perf has repeated the program itself, what it prints behind "+-" is shown as it is."""
    columns = [column_title(series), "± (95 %)" if series.by_run else "± std. error, %"]
    varies = any(not math.isnan(figure.low) for figure in figures)
    if varies:
        columns += ["least", "most"]
    shared = any(figure.counted and figure.running < 1 for figure in figures)
    if shared:
        columns.append("ran")
    table = plain_table("counter", *((name, "right") for name in columns))
    for figure in figures:
        if not figure.counted:
            add_row(table, [figure.name, Text(f"<{figure.status.value}>", style="dim")])
            continue
        cells = [figure.name, reading(figure.value, figure.unit)]
        cells.append(_figure(figure.margin, figure.unit) if series.by_run else _perfs_spread(figure))
        if varies:
            cells += [_figure(figure.low, figure.unit), _figure(figure.high, figure.unit)]
        if shared:
            cells.append("" if figure.running >= 1 else f"{percent(figure.running, digits=0)} at least")
        add_row(table, cells)
    return table


def _perfs_spread(figure: CounterFigure) -> str:
    return "" if math.isnan(figure.spread) else f"{figure.spread:.2f}"


def _figure(value: float, unit: str) -> str:
    return "" if math.isnan(value) else reading(value, unit)


def _cells(change: CounterChange) -> list[str | Text]:
    sides = [
        f"<{figure.status.value}>" if not figure.counted else reading(figure.value, figure.unit)
        for figure in (change.before, change.after)
    ]
    return [
        change.name,
        *sides,
        "" if math.isnan(change.change) else with_percent(signed_percent(change.change, digits=1)),
        "" if math.isnan(change.low) else interval_text(change.low, change.high),
        change.mark.value,
    ]


def _document(change: CounterChange) -> dict[str, Any]:
    return {
        "name": change.name,
        "unit": change.unit,
        "before": _known(change.before.value),
        "after": _known(change.after.value),
        "runs": [change.before.times, change.after.times],
        "change": _known(change.change),
        "low": _known(change.low),
        "high": _known(change.high),
        "p": _known(change.p),
        "mark": change.mark.value,
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
