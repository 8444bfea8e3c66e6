"""The slices of a continuous profile, as `show` prints them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.table import Table

from tailflame import units
from tailflame.cli.terminal import add_row, plain_table
from tailflame.model.slices import SliceSeries

_SHOWN = 20
"""The latest so many; JSON has them all."""


def slices_table(series: SliceSeries) -> Table:
    table = plain_table(
        "slice", "from", ("length", "right"), ("samples", "right"), ("cores", "right"), "on top", "note"
    )
    for row in series.rows[-_SHOWN:]:
        begun = datetime.fromtimestamp(row.start_s + series.epoch_s).astimezone()
        number = f"{row.first}" if row.parts == 1 else f"{row.first}-{row.last}"
        cores = "" if row.cpu_s is None else f"{row.cpu_s / max(row.length_s, 1e-9):.2f}"
        top = f"{row.top} {units.percent(row.top_share)}" if row.top else ""
        length = units.seconds(row.length_s)
        add_row(table, (number, f"{begun:%H:%M:%S}", length, units.count(row.samples), cores, top, row.note))
    return table


def slices_document(series: SliceSeries) -> list[dict[str, Any]]:
    return [
        {
            "slice": [row.first, row.last],
            "time": row.start_s + series.epoch_s,
            "length_s": row.length_s,
            "samples": row.samples,
            "cpu_s": row.cpu_s,
            "top": row.top,
            "top_module": row.top_module,
            "top_share": row.top_share,
            "source": row.source,
            "note": row.note,
        }
        for row in series.rows
    ]
