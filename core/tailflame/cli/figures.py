"""The tables of `show`, `record` and `demo`."""

from __future__ import annotations

import numpy as np
from rich.table import Table
from rich.text import Text

from tailflame.analyse.counted import counts_word
from tailflame.analyse.hotspots import GroupBy, HotspotTable
from tailflame.analyse.names import NAMELESS, module_label
from tailflame.analyse.reading import cautions, facts
from tailflame.cli.terminal import Terminal, add_row, plain_table
from tailflame.model import CounterSeries, HistogramSeries, Recording
from tailflame.model.counter_ratios import whole_run
from tailflame.model.counters import STATUSES, Column
from tailflame.model.histogram import PERCENTILES
from tailflame.units import count, nanoseconds, percent, reading, weight


def print_facts(terminal: Terminal, recording: Recording) -> None:
    """What is known of the run, and under it what spoils the result."""
    table = plain_table("", "")
    table.show_header = False
    for label, value in facts(recording):
        add_row(table, (Text(label, style="dim"), value))
    terminal.table(table)
    for caution in cautions(recording):
        terminal.caution(caution)


def rows_of(table: HotspotTable, by: GroupBy, number: int) -> list[int]:
    """The rows to print: functions that have self weight, or groups as they come."""
    return table.hottest(number) if by is GroupBy.FUNCTION else list(range(min(number, len(table))))


def hotspot_table(table: HotspotTable, rows: list[int], by: GroupBy, *, places: bool = False) -> Table:
    """Self and total as shares of the view, the samples, and the name."""
    counted = table.unit.is_count
    # Where each was counted, some tools tell nothing but the weight itself.
    tells = counted or not table.event.exact or table.samples not in (0.0, table.total)
    columns: list[str | tuple[str, str]] = [("self", "right"), ("total", "right")]
    if tells:
        columns.append((counts_word(table.event), "right"))
    if not counted:
        columns.append(("weight", "right"))
    columns.append(by.value)
    named = by is GroupBy.FUNCTION
    if named:
        columns.append("module")
    if places:
        columns.append("place")
    printed = plain_table(*columns)
    whole = table.total or 1.0
    for row in rows:
        cells: list[str | Text] = [
            percent(float(table.self_weight[row] / whole)),
            percent(float(table.total_weight[row] / whole)),
        ]
        if tells:
            cells.append(count(float(table.self_samples[row])))
        if not counted:
            cells.append(weight(float(table.self_weight[row]), table.unit))
        cells.append(table.key[row] or NAMELESS)
        if named:
            cells.append(Text(module_label(table.module[row]), style="dim"))
        if places:
            line = table.line[row]
            cells.append(Text(f"{table.file[row]}:{line}" if line > 0 else table.file[row], style="dim"))
        add_row(printed, cells)
    return printed


def latency_table(series: HistogramSeries) -> Table:
    """p50 to p99.99 and the maximum of each tag over the whole log."""
    in_time = series.unit == "ns"

    def text(value: int) -> str:
        return nanoseconds(value) if in_time else f"{count(value)} {series.unit}".rstrip()

    headers = tuple((f"p{p:g}", "right") for p in PERCENTILES)
    table = plain_table("latency", ("count", "right"), *headers, ("max", "right"))
    for tag in series.distinct_tags():
        whole = series.whole(tag)
        add_row(
            table,
            [tag or "(all)", count(whole.total), *map(text, whole.percentiles()), text(whole.maximum)],
        )
    return table


def counter_table(series: CounterSeries) -> Table:
    """Last, lowest, median and highest interval of each series, and what the whole run comes to.

    The whole run of a ratio is the sum of its counters divided, never the mean of its intervals.
    """
    columns = ["readings", "last", "min", "p50", "max", "whole run"]
    shared = bool(np.any((series.running < 1) & (series.status == 0)))
    if shared:
        columns.append("ran")
    table = plain_table("counter", *((name, "right") for name in columns))
    for name, unit in zip(series.names, series.units, strict=True):
        column = series.of(name)
        figures = counter_figures(column)
        if figures is None:
            add_row(table, [name, count(len(column.status)), Text(why_without(column), style="dim")])
            continue
        whole = whole_run(series, name)
        ran = float(column.running[column.counted].min())
        add_row(
            table,
            [
                name,
                count(len(column.status)),
                *(reading(figure, unit) for figure in figures),
                "" if whole is None else reading(whole, unit),
                *([] if ran >= 1 else [Text(f"{percent(ran, digits=0)} at least", style="dim")]),
            ],
        )
    return table


def counter_figures(column: Column) -> tuple[float, float, float, float] | None:
    """(last, lowest, median, highest) of the intervals that have a value; None where none has."""
    values = column.value[column.counted]
    if not len(values):
        return None
    # The median is one of the readings: no figure is shown that was never read.
    middle = float(np.percentile(values, 50, method="inverted_cdf"))
    return float(values[-1]), float(values.min()), middle, float(values.max())


def why_without(column: Column) -> str:
    """Why a series has no value at all: "not supported"."""
    return STATUSES[int(column.status[-1])].value if len(column.status) else ""
