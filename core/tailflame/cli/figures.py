"""The tables of `show`, `record` and `demo`."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from tailflame.analyse.hotspots import GroupBy, HotspotTable
from tailflame.analyse.names import NAMELESS, module_label
from tailflame.analyse.reading import cautions, facts
from tailflame.cli.terminal import Terminal, add_row, plain_table
from tailflame.model import HistogramSeries, Recording
from tailflame.model.histogram import PERCENTILES
from tailflame.units import Unit, count, nanoseconds, percent, weight


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
    counted = table.unit is Unit.SAMPLES
    columns: list[str | tuple[str, str]] = [("self", "right"), ("total", "right"), ("samples", "right")]
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
            count(float(table.self_samples[row])),
        ]
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
