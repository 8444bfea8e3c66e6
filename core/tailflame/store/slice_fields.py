"""The slices of a recording in its header: what each was, not its samples."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from tailflame.errors import StoreError
from tailflame.model.slices import SliceFigures, SliceSeries
from tailflame.store.files import Fields


def encode_slices(series: SliceSeries) -> dict[str, Any]:
    return {
        "kind": "slices",
        "epoch_s": series.epoch_s,
        "pid": series.pid,
        "cumulative": series.cumulative,
        "slices": [
            {
                "first": row.first,
                "last": row.last,
                "start_s": row.start_s,
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
        ],
    }


def decode_slices(fields: Fields) -> SliceSeries:
    """StoreError for slices that lie before one another, or are of no length."""
    rows = tuple(_row(part) for part in fields.parts("slices"))
    sound = all(row.length_s >= 0 and row.first <= row.last for row in rows)
    if not sound or any(after.start_s < before.start_s for before, after in pairwise(rows)):
        raise StoreError(f"{fields.what} is damaged: its slices do not follow each other.")
    return SliceSeries(
        rows,
        epoch_s=fields.number("epoch_s") or 0.0,
        pid=fields.integer("pid", 0),
        cumulative=fields.flag("cumulative", False),
    )


def _row(part: Fields) -> SliceFigures:
    share = part.number("top_share") or 0.0
    return SliceFigures(
        first=part.integer("first"),
        last=part.integer("last"),
        start_s=part.number("start_s") or 0.0,
        length_s=part.number("length_s") or 0.0,
        samples=part.number("samples") or 0.0,
        cpu_s=part.number("cpu_s"),
        top=part.text("top", ""),
        top_module=part.text("top_module", ""),
        top_share=share if math.isfinite(share) else 0.0,
        source=part.text("source", ""),
        note=part.text("note", ""),
    )
