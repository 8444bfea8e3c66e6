"""Maps of a bpftrace program in a stored recording.

They are few rows of many shapes, with numbers of 64 bits that no float holds: so their column is JSON in UTF-8.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tailflame.errors import StoreError
from tailflame.model.maps import Bucket, MapKind, MapRow, ProbeMap, ProbeMaps
from tailflame.store.files import Fields
from tailflame.store.tables import Array, Columns


def encode_maps(maps: ProbeMaps, prefix: str, columns: Columns) -> dict[str, Any]:
    text = json.dumps([_document(one) for one in maps.maps], ensure_ascii=False, separators=(",", ":"))
    columns[f"{prefix}.maps"] = np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype="|u1")
    return {
        "text": maps.text,
        "lost": maps.lost,
        "probes": maps.probes,
        "recipe": maps.recipe,
        "program": maps.program,
    }


def decode_maps(fields: Fields, prefix: str, columns: Mapping[str, Array]) -> ProbeMaps:
    column = columns.get(f"{prefix}.maps")
    if column is None or column.dtype != np.uint8:
        raise StoreError(f"{fields.what} is damaged: {prefix}.maps is missing.")
    try:
        documents = json.loads(column.tobytes().decode("utf-8", "surrogatepass"))
        if not isinstance(documents, list):
            raise TypeError("maps")
        maps = tuple(_map(document) for document in documents)
    except (ValueError, TypeError, KeyError, RecursionError) as problem:
        raise StoreError(f"{fields.what} is damaged: the maps of {prefix} cannot be read.") from problem
    return ProbeMaps(
        maps=maps,
        text=fields.text("text", ""),
        lost=fields.whole("lost"),
        probes=fields.whole("probes"),
        recipe=fields.text("recipe", ""),
        program=fields.text("program", ""),
    )


def _document(one: ProbeMap) -> list[Any]:
    rows = [
        [row.key, row.values, [(bucket.low, bucket.high, bucket.count) for bucket in row.buckets], row.text]
        for row in one.rows
    ]
    return [one.name, one.kind.value, one.title, one.unit, one.keys, rows]


def _map(document: list[Any]) -> ProbeMap:
    name, kind, title, unit, keys, rows = document
    if not isinstance(rows, list):
        raise TypeError("rows")
    return ProbeMap(
        _text(name), MapKind(kind), tuple(_row(row) for row in rows), _text(title), _text(unit), tuple(map(_text, keys))
    )


def _row(document: list[Any]) -> MapRow:
    key, values, buckets, text = document
    return MapRow(
        tuple(map(_text, key)),
        tuple(map(_number, values)),
        tuple(
            Bucket(None if low is None else _whole(low), None if high is None else _whole(high), _whole(number))
            for low, high, number in buckets
        ),
        _text(text),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text")
    return value


def _number(value: object) -> int | float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError("number")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("whole number")
    return value
