"""How maps of a bpftrace program are worded: keys, values in their unit, buckets."""

from __future__ import annotations

import re

from tailflame.model.histogram import IN_NS
from tailflame.model.maps import STACK, Bucket, MapKind, MapRow, ProbeMap
from tailflame.units import count, nanoseconds, size

_TITLES = {
    "syscall": "system call",
    "thread": "thread",
    STACK: "where",
    "errno": "error",
    "text": "key",
    "port": "port",
    "address": "address",
    "function": "function",
}
_TIMES = (
    (re.compile(r"(?:^|_)(?:ns|nsecs?)(?:$|_)"), "ns"),
    (re.compile(r"(?:^|_)(?:us|usecs?)(?:$|_)"), "µs"),
    (re.compile(r"(?:^|_)(?:ms|msecs?)(?:$|_)"), "ms"),
    (re.compile(r"(?:^|_)(?:bytes|sizes?)(?:$|_)"), "bytes"),
)


def unit_of_map(one: ProbeMap) -> str:
    """ "ns", "µs", "ms", "bytes", "calls", "samples"; what the recipe says, or what the name tells; "" for neither."""
    if one.unit:
        return one.unit
    name = one.name.lstrip("@").lower()
    return next((unit for pattern, unit in _TIMES if pattern.search(name)), "")


def value_text(value: float, unit: str) -> str:
    """A value with its unit where that is time or memory."""
    if unit in IN_NS:
        return nanoseconds(value * IN_NS[unit])
    return size(value) if unit == "bytes" else count(value)


def exact_text(value: float, unit: str) -> str:
    """All digits, for a tool tip and the clipboard."""
    return f"{value:,} {unit}".rstrip() if isinstance(value, int) else f"{value:,g} {unit}".rstrip()


def key_titles(one: ProbeMap) -> tuple[str, ...]:
    """The head of each column of a map's keys."""
    return tuple(_TITLES.get(kind, kind) for kind in one.keys)


def part_text(part: str, kind: str) -> str:
    """A part of a key in one line: of a stack its innermost function, and by whom it was called."""
    if kind != STACK:
        return part
    frames = part.split("\n")
    return frames[-1] if len(frames) == 1 else f"{frames[-1]}  ←  {frames[-2]}"


def key_text(row: MapRow, one: ProbeMap) -> str:
    """A whole key in one line."""
    kinds = (*one.keys, *("",) * len(row.key))
    return ", ".join(part_text(part, kind) for part, kind in zip(row.key, kinds, strict=False))


def bucket_text(bucket: Bucket, unit: str) -> str:
    """ "1.02 µs to 2.05 µs": from its low end up to where the next begins."""
    if bucket.low is None:
        return f"below {value_text((bucket.high or 0) + 1, unit)}"
    if bucket.high is None:
        return f"{value_text(bucket.low, unit)} and more"
    if bucket.low == bucket.high:
        return value_text(bucket.low, unit)
    return f"{value_text(bucket.low, unit)} to {value_text(bucket.high + 1, unit)}"


def row_figures(row: MapRow, one: ProbeMap) -> tuple[str, ...]:
    """What a row's columns say: value_titles' figures."""
    unit = unit_of_map(one)
    match one.kind:
        case MapKind.STATS if len(row.values) == 3:
            number, average, total = row.values
            return count(number), value_text(average, unit), value_text(total, unit)
        case MapKind.HIST | MapKind.LHIST:
            return (count(row.number),)
        case _:
            return (value_text(row.values[0], unit) if row.values else row.text,)


def value_titles(one: ProbeMap) -> tuple[str, ...]:
    """The head of each column of a map's values."""
    if one.kind is MapKind.STATS:
        return "count", "average", "total"
    if one.kind in (MapKind.HIST, MapKind.LHIST):
        return ("values",)
    unit = unit_of_map(one)
    return ("time" if unit in IN_NS else unit or "value",)
