"""Tables of equal columns in a stored recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tailflame.errors import StoreError
from tailflame.store.files import Fields

Array: TypeAlias = npt.NDArray[Any]
Columns: TypeAlias = dict[str, Array]
Wanted: TypeAlias = tuple[tuple[str, str], ...]
"""(name, dtype as numpy writes it) of each column."""


def encode_table(table: object, prefix: str, wanted: Wanted, columns: Columns) -> None:
    """Puts the attributes of `table` that `wanted` names under PREFIX.NAME."""
    for name, dtype in wanted:
        columns[f"{prefix}.{name}"] = np.asarray(getattr(table, name), dtype=dtype)


def decode_table(fields: Fields, prefix: str, wanted: Wanted, columns: Mapping[str, Array]) -> dict[str, Array]:
    """The columns of one table: all there, of their type, of one length; StoreError where not."""
    table: dict[str, Array] = {}
    for name, dtype in wanted:
        column = columns.get(f"{prefix}.{name}")
        if column is None:
            raise StoreError(f"{fields.what} is damaged: {prefix}.{name} is missing.")
        if column.dtype.str != dtype:
            raise StoreError(f"{fields.what} is damaged: {prefix}.{name} has the wrong type.")
        table[name] = column
    if len({len(column) for column in table.values()}) > 1:
        raise StoreError(f"{fields.what} is damaged: the columns of {prefix} differ in length.")
    return table


def within(fields: Fields, what: str, column: Array, low: int, high: int) -> None:
    """StoreError where an index of `column` is not in [low, high)."""
    if len(column) and not (low <= column.min() and column.max() < high):
        raise StoreError(f"{fields.what} is damaged: {what} points outside its table.")
