"""Memory over time in a stored recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields as fields_of
from typing import Any

import numpy as np

from tailflame.errors import StoreError
from tailflame.model.heap import Counted, HeapFacts, HeapTimeline, TimeUnit
from tailflame.model.stacks import NONE
from tailflame.store.files import Fields
from tailflame.store.tables import Array, Columns, decode_table, encode_table

_ROWS = (
    ("time", "<f8"),
    ("heap", "<f8"),
    ("extra", "<f8"),
    ("stacks", "<f8"),
    ("rss", "<f8"),
    ("allocations", "<f8"),
    ("temporary", "<f8"),
    ("event", "<i4"),
    ("number", "<i4"),
)
_SIZES = (("sizes", "<f8"), ("size_calls", "<f8"))


def encode_heap(heap: HeapTimeline, prefix: str, columns: Columns) -> dict[str, Any]:
    encode_table(heap, prefix, _ROWS, columns)
    encode_table(heap, prefix, _SIZES, columns)
    return {
        "time_unit": heap.time_unit.value,
        "peak": heap.peak,
        "peak_marked": heap.peak_marked,
        "facts": {field.name: getattr(heap.facts, field.name) for field in fields_of(HeapFacts)},
        "suppressions": list(heap.suppressions),
        "counted": heap.counted.value,
    }


def decode_heap(fields: Fields, prefix: str, columns: Mapping[str, Array]) -> HeapTimeline:
    rows = decode_table(fields, prefix, _ROWS, columns)
    sizes = decode_table(fields, prefix, _SIZES, columns)
    unit, peak = fields.text("time_unit"), fields.integer("peak", NONE)
    if unit not in set(TimeUnit):
        raise fields.wrong("time_unit", "a known unit of time")
    counted = fields.text("counted", Counted.BLOCKS)
    if counted not in set(Counted):
        raise fields.wrong("counted", "what memory is counted")
    whole = (
        -1 <= peak < len(rows["time"])
        and bool(np.all(rows["event"] >= -1))
        and bool(np.all(np.diff(rows["time"]) >= 0))
    )
    if not whole:
        raise StoreError(f"{fields.what} is damaged: the rows of {prefix} do not fit together.")
    told = fields.part("facts")
    return HeapTimeline(
        time_unit=TimeUnit(unit),
        peak=peak,
        peak_marked=fields.flag("peak_marked", False),
        facts=HeapFacts(**{field.name: told.number(field.name) for field in fields_of(HeapFacts)}),
        suppressions=fields.texts("suppressions"),
        counted=Counted(counted),
        **rows,
        **sizes,
    )
