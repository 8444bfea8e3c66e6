"""Fields of tracepoints, as the file describes them (the text of tracefs' `format` files).

trace-event-read.c in tools/perf/util: header_page, header_event, ftrace's own events, then the systems' events.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tailflame.model.stacks import Int64

_MAGIC = b"\x17\x08Dtracing"
_EVENTS_LIMIT = 100_000
_NAME = re.compile(r"^name: (\S+)", re.MULTILINE)
_ID = re.compile(r"^ID: (\d+)", re.MULTILINE)
_FIELD = re.compile(
    r"^[ \t]*field:([^;\n]*);[ \t]*offset:(\d{1,9});[ \t]*size:(\d{1,9});[ \t]*signed:(\d);", re.MULTILINE
)
"""`\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;`"""


class Place(NamedTuple):
    """Where a field stands in the raw data, in bytes."""

    offset: int
    size: int
    signed: bool


@dataclass(frozen=True, slots=True)
class Tracepoint:
    """One kind of event: `sched:sched_switch`, by the number that its event has as config."""

    name: str
    number: int
    fields: dict[str, Place]


def tracepoints(data: bytes) -> dict[int, Tracepoint]:
    """By number; those that stand before the first thing that does not make sense."""
    found: dict[int, Tracepoint] = {}
    try:
        for system, text in islice(_formats(data), _EVENTS_LIMIT):
            name, number = _NAME.search(text), _ID.search(text)
            if name and number:
                fields = {_declared(m[1]): Place(int(m[2]), int(m[3]), m[4] == "1") for m in _FIELD.finditer(text)}
                point = Tracepoint(f"{system}:{name[1]}", int(number[1]), fields)
                found[point.number] = point
    except (struct.error, ValueError, OverflowError):
        pass
    return found


def _declared(declaration: str) -> str:
    """The name in `char prev_comm[16]` or `__data_loc char[] name`."""
    declaration = declaration.rstrip()
    if declaration.endswith("]"):
        declaration = declaration[: declaration.rfind("[") if "[" in declaration else 0]
    return declaration.rsplit(None, 1)[-1].lstrip("*") if declaration.strip() else ""


def _formats(data: bytes) -> Iterator[tuple[str, str]]:
    if not data.startswith(_MAGIC):
        return
    at = data.index(b"\0", len(_MAGIC)) + 1 + 1 + 1 + 4  # version; byte order, size of a long, size of a page
    for label in (b"header_page\0", b"header_event\0"):
        if not data.startswith(label, at):
            return
        (size,) = struct.unpack_from("<Q", data, at + len(label))
        at += len(label) + 8 + size
    (count,) = struct.unpack_from("<I", data, at)
    at += 4
    for _ in range(min(count, _EVENTS_LIMIT)):
        (size,) = struct.unpack_from("<Q", data, at)
        at += 8 + size
    (systems,) = struct.unpack_from("<I", data, at)
    at += 4
    for _ in range(min(systems, _EVENTS_LIMIT)):
        end = data.index(b"\0", at)
        system = data[at:end].decode(errors="backslashreplace")
        (count,) = struct.unpack_from("<I", data, end + 1)
        at = end + 5
        for _ in range(min(count, _EVENTS_LIMIT)):
            (size,) = struct.unpack_from("<Q", data, at)
            yield system, data[at + 8 : at + 8 + size].decode(errors="backslashreplace")
            at += 8 + size


def integers(octets: npt.NDArray[Any], at: Int64, size: Int64, place: Place) -> Int64:
    """The field of each raw datum; -1 where it has ended before that. octets: of the file; at, size: of the data."""
    found = np.full(len(at), -1, np.int64)
    if place.size not in (1, 2, 4, 8):
        return found
    inside = (place.offset + place.size <= size) & (at + place.offset + place.size <= len(octets))
    begin = at[inside] + place.offset
    raw = np.ascontiguousarray(octets[begin[:, None] + np.arange(place.size)])
    kind = f"<{'i' if place.signed else 'u'}{place.size}"
    found[inside] = raw.view(kind)[:, 0].astype(np.int64) if len(begin) else 0
    return found
