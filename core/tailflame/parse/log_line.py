"""Numeric fields in a program's log lines: JSON as tracing writes it, and `name=value` text.

JSON, nested and flattened (tracing-subscriber's `json()` and `flatten_event(true)`):

    {"timestamp":"…","fields":{"message":"done","validation_us":0.851,"elapsed":"12.3µs"},"span":{"id":7},"spans":[…]}
    {"timestamp":"…","message":"done","validation_us":0.851,"spans":[{"id":7,"name":"order"}]}

Text, with and without colours; what stands in a span's braces is its own and not the event's:

    2026-11-25T18:23:00Z  INFO order{id=0}: shop: done slow=false validation_us=0.4 elapsed=12.3µs symbol="ABC DEF"
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from tailflame.parse.json_file import mended
from tailflame.parse.log_text import TextRows, plain

NS: Mapping[str, float] = {"ns": 1.0, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9}  # U+00B5, U+03BC
"""Nanoseconds in one of each unit of time."""

MOST_NS = 1e17
"""Three years. A larger value is a point in time (nanoseconds since 1970 are 1.8e18), no latency."""

NAME_LIMIT = 100
"""Characters of a field's name; what is longer is text that happens to hold an "="."""

_CELL_LIMIT = 64
"""Characters of the longest text that may be a number."""

_JSON_FALLBACK = 64 << 10
"""Characters of the longest line that is read with the slower decoder, which knows NaN."""

_SUFFIX = re.compile(
    r"(?:^|[_.\-])(?:(ns|nanos?|nanoseconds?|nsecs?)|(us|µs|μs|micros?|microseconds?|usecs?)"
    r"|(ms|millis?|milliseconds?|msecs?)|(s|secs?|seconds?))$"
)
# durationMs, elapsedNanos, responseTimeSeconds
_CAMEL = re.compile(
    r"[a-z0-9](?:(Ns|Nanos|NanoSeconds|Nanoseconds)|(Us|Micros|MicroSeconds|Microseconds)"
    r"|(Ms|Millis|MilliSeconds|Milliseconds)|(Secs|Seconds))$"
)
_UNITS = ("ns", "us", "ms", "s")

# Rust's Debug of a Duration ("12.3µs", "1.5ms", "2s"), and Go's ("1m30.5s", "1h2m3s").
_DURATION = re.compile(r"([-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?) ?(ns|us|µs|μs|ms|s)")
_GO_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")

_SPANS = frozenset(("span", "spans"))
_NAMED = re.compile(r"(?:^|[\s,])([^\W\d][\w.\-]*): +([-+\d][^\s,;]*)")


def unit_of(name: str) -> str:
    """The unit of time that a field's name ends with: "us" for "validation_us" and "waitMicros"; "" for none."""
    match = _SUFFIX.search(name) or _CAMEL.search(name)
    return "" if match is None or match.lastindex is None else _UNITS[match.lastindex - 1]


def duration_ns(text: str) -> float | None:
    """Nanoseconds in a duration that carries its unit: "12.3µs", "1.5ms", "1m30s". None for any other text."""
    if (match := _DURATION.fullmatch(text)) is not None:
        return float(match[1]) * NS[match[2]]
    if text[:1].isdigit() and (match := _GO_DURATION.fullmatch(text)) is not None:
        hours, minutes, seconds = match.groups()
        return (int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds or 0)) * 1e9
    return None


def numeric_fields(line: str) -> dict[str, tuple[float, str]]:
    """(value, unit) of every field of the line that is a number or a duration, in the order of the line.

    The unit is "ns" where the value itself carries one, otherwise that of the name.
    """
    event = json_object(line)
    if event is not None:
        return _numbers(_flat(event))
    text = plain(line)
    found = _numbers(dict(word.split("=", 1) for word in text.split() if "=" in word))
    # tracing's `pretty()` has "validation_us: 0.4". Without any unit it might as well be "demo: 3 orders".
    named = _numbers(dict(_NAMED.findall(text)))
    return {name: pair for name, pair in named.items() if pair[1]} | found


class LineReader:
    """Takes the fields called `names` out of many lines, quickly; remembers which colours a program uses."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._dotted = tuple(place for place, name in enumerate(self.names) if "." in name)
        self._text = TextRows(self.names)

    def rows(self, lines: Iterable[str]) -> list[tuple[Any, ...]]:
        """One row for each line that has any of the fields: their values in the order of `names`, None for missing.

        Values are as the line has them: `to_ns` and `to_numbers` read them. Rows are in no certain order.
        """
        names = self.names
        if not names:
            return []
        rows: list[tuple[Any, ...]] = []
        texts: list[str] = []
        nothing = (None,) * len(names)
        loads = orjson.loads
        for line in lines:
            event: Any
            if line[:1] == "{":
                try:
                    event = loads(line)
                except ValueError:
                    event = json_object(line)
                if type(event) is dict:
                    inner = event.get("fields")
                    if type(inner) is dict:
                        row = tuple(map(inner.get, names))
                        if None in row:  # it may stand beside "fields"
                            row = tuple([inner.get(name, event.get(name)) for name in names])
                    else:
                        row = tuple(map(event.get, names))
                    if self._dotted and any(row[place] is None for place in self._dotted):
                        row = tuple(map(_flat(event).get, names))
                    if row != nothing:
                        rows.append(row)
                    continue
            elif '{"' in line and (event := json_object(line)) is not None:
                row = tuple(map(_flat(event).get, names))
                if row != nothing:
                    rows.append(row)
                continue
            texts.append(line)
        if texts:
            rows += self._text.rows("\n".join(texts))
        return rows


def to_ns(cells: Sequence[Any], unit: str) -> npt.NDArray[np.float64]:
    """Values of one field in nanoseconds, NaN where a cell is no number. `unit` is that of bare numbers."""
    scale = NS[unit]
    try:
        return np.array(cells, dtype=np.float64) * scale
    except (ValueError, TypeError, OverflowError):
        pass  # something among them carries a unit, or is no number
    values = []
    for cell in cells:
        if type(cell) is str and (own := NS.get(cell[-2:])) is not None:
            try:
                values.append(float(cell[:-2]) * own)
                continue
            except ValueError:
                pass
        value, carried = _number(cell)
        values.append(value if carried else value * scale)
    return np.array(values, dtype=np.float64)


def to_numbers(cells: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Values of one field that is no time, NaN where a cell is no number."""
    return to_ns(cells, "ns")


def _number(cell: Any) -> tuple[float, bool]:
    """The cell's value, NaN for none, and whether it carries a unit of its own and so is in nanoseconds."""
    try:
        if isinstance(cell, str):
            try:
                return float(cell), False
            except ValueError:
                ns = duration_ns(cell.rstrip(".,"))
                return (math.nan, False) if ns is None else (ns, True)
        if isinstance(cell, int | float) and not isinstance(cell, bool):
            return float(cell), False
    except OverflowError:  # an integer of hundreds of digits
        return math.inf, False
    return math.nan, False


def json_object(line: str) -> dict[str, Any] | None:
    """The object in the line; a service manager may have put its own words before it."""
    at = 0 if line[:1] == "{" else line.find('{"')
    if at < 0 or "=" in line[:at]:  # text that ends with some object: 'validation_us=12 body={"x":1}'
        return None
    text = line[at:] if at else line
    try:
        event = orjson.loads(mended(text))
    except ValueError:
        # "NaN" and "Infinity" are no JSON, and yet written.
        if len(text) > _JSON_FALLBACK or not ("NaN" in text or "Infinity" in text):
            return None
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            return None
    return event if isinstance(event, dict) else None


def _flat(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event's own fields: those under "fields" by their names, other objects' as "outer.inner", spans' not."""
    flat: dict[str, Any] = {}
    for name, value in event.items():
        if type(value) is not dict:
            flat.setdefault(name, value)
        elif name == "fields":
            flat |= _nested(value, "", 0)
        elif name not in _SPANS:
            flat |= _nested(value, f"{name}.", 0)
    return flat


def _nested(event: Mapping[str, Any], prefix: str, depth: int) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in event.items():
        if type(value) is not dict:
            flat[prefix + name] = value
        elif depth < 3:
            flat |= _nested(value, f"{prefix}{name}.", depth + 1)
    return flat


def _numbers(cells: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    found = {}
    for name, cell in cells.items():
        if 0 < len(name) <= NAME_LIMIT and (not isinstance(cell, str) or len(cell) <= _CELL_LIMIT):
            value, carried = _number(cell)
            if not math.isnan(value):
                found[name] = (value, "ns" if carried else unit_of(name))
    return found
