"""Costs of source lines in a stored recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tailflame.errors import StoreError
from tailflame.model.costs import CostTable
from tailflame.store.files import Fields
from tailflame.store.tables import Array, Columns, decode_table, encode_table, within

_ROWS = (("module", "<i4"), ("file", "<i4"), ("function", "<i4"), ("line", "<i4"))
_TOTALS = (("totals", "<i8"),)
_COST = "<i8"


def encode_costs(costs: CostTable, prefix: str, columns: Columns) -> dict[str, Any]:
    """Each event's costs are a column of their own: most of them are zeros, which pack well together."""
    encode_table(costs, prefix, _ROWS, columns)
    encode_table(costs, prefix, _TOTALS, columns)
    for at in range(len(costs.events)):
        columns[f"{prefix}.costs.{at}"] = np.ascontiguousarray(costs.costs[:, at], dtype=_COST)
    return {
        "events": list(costs.events),
        "descriptions": list(costs.descriptions),
        "strings": list(costs.strings),
        "notes": list(costs.notes),
        "real": costs.real,
    }


def decode_costs(fields: Fields, prefix: str, columns: Mapping[str, Array]) -> CostTable:
    rows = decode_table(fields, prefix, _ROWS, columns)
    totals = decode_table(fields, prefix, _TOTALS, columns)["totals"]
    events, strings = fields.texts("events"), fields.texts("strings")
    descriptions = fields.texts("descriptions")
    if not (len(events) == len(descriptions) == len(totals)) or len(set(events)) < len(events):
        raise StoreError(f"{fields.what} is damaged: the events of {prefix} do not fit together.")
    size = len(rows["line"])
    for name in ("module", "file", "function"):
        within(fields, f"{prefix}.{name}", rows[name], -1, len(strings))
    within(fields, f"{prefix}.line", rows["line"], -1, 2**31)
    costs = np.zeros((size, len(events)), dtype=np.int64)
    for at in range(len(events)):
        column = columns.get(f"{prefix}.costs.{at}")
        if column is None or column.dtype.str != _COST or column.shape != (size,):
            raise StoreError(f"{fields.what} is damaged: {prefix}.costs.{at} is missing or does not fit.")
        costs[:, at] = column
    costs.flags.writeable = False
    return CostTable(
        events=events,
        descriptions=descriptions,
        strings=strings,
        costs=costs,
        totals=totals,
        notes=fields.texts("notes"),
        real=fields.flag("real", False),
        **rows,
    )
