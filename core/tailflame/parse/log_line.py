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
_COLOURS = re.compile(r"\x1b\[[0-9;:]*[A-Za-z]")
_COLOURS_KNOWN = 64
# "order{id=0 span_us=7}:" and "a{x=1}:b{y=2}:"
_TEXT_SPAN = re.compile(r"\{[^{}\n]*\}:")
_COMMA = re.compile(r",(?=[\s\w])(?!\d)")
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
    event = _json(line)
    if event is not None:
        return _numbers(_flat(event))
    plain = _plain(line)
    found = _numbers(dict(word.split("=", 1) for word in plain.split() if "=" in word))
    # tracing's `pretty()` has "validation_us: 0.4". Without any unit it might as well be "demo: 3 orders".
    named = _numbers(dict(_NAMED.findall(plain)))
    return {name: pair for name, pair in named.items() if pair[1]} | found


class LineReader:
    """Takes the fields called `names` out of many lines, quickly; remembers which colours a program uses."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._needles = tuple((f" {name}=", len(name) + 2) for name in self.names)
        self._colours: list[str] = []

    def rows(self, lines: Iterable[str]) -> list[tuple[Any, ...]]:
        """One row for each line that has any of the fields: their values in the order of `names`, None for missing.

        Values are as the line has them: `to_ns` and `to_numbers` read them. JSON lines come first, then the others.
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
                    event = _json(line)
                if type(event) is dict:
                    inner = event.get("fields")
                    row = tuple(map((inner if type(inner) is dict else event).get, names))
                    if None in row:
                        row = tuple(map(_flat(event).get, names))
                    if row != nothing:
                        rows.append(row)
                    continue
            elif '{"' in line and (event := _json(line)) is not None:
                row = tuple(map(_flat(event).get, names))
                if row != nothing:
                    rows.append(row)
                continue
            texts.append(line)
        if texts:
            rows += self._text_rows(texts)
        return rows

    def _text_rows(self, lines: list[str]) -> list[tuple[Any, ...]]:
        rows = []
        text = self._prepared("\n".join(lines))
        # Every word has a blank on either side, so that a field is found by its name alone.
        needles = [(needle, size) for needle, size in self._needles if needle in text]
        if not needles:
            return []
        places = tuple(self._needles.index(pair) for pair in needles)
        for line in text.split("\n"):
            row: list[str | None] | None = None
            for place, (needle, size) in zip(places, needles, strict=True):
                at = line.rfind(needle)
                if at >= 0:
                    if row is None:
                        row = [None] * len(self.names)
                    row[place] = line[at + size : line.find(" ", at + size)]
            if row is not None:
                rows.append(tuple(row))
        return rows

    def _prepared(self, text: str) -> str:
        if "\x1b" in text:
            # Each colour by name is some times as fast as the pattern; a program has a dozen.
            for colour in self._colours:
                text = text.replace(colour, "")
            if "\x1b" in text:
                fresh = sorted(set(_COLOURS.findall(text, 0, 64 << 10)))[: _COLOURS_KNOWN - len(self._colours)]
                for colour in fresh:
                    text = text.replace(colour, "")
                self._colours += fresh
        text = _plain(text)
        text = f" {text} ".replace("\n", " \n ")
        if ": " in text:
            for name in self.names:
                text = text.replace(f" {name}: ", f" {name}=")
        return text


def to_ns(cells: Sequence[Any], unit: str) -> npt.NDArray[np.float64]:
    """Values of one field in nanoseconds, NaN where a cell is no number. `unit` is that of bare numbers."""
    scale = NS[unit]
    try:
        return np.array(cells, dtype=np.float64) * scale
    except (ValueError, TypeError, OverflowError):
        pass  # something among them carries a unit, or is no number
    values = np.empty(len(cells))
    for index, cell in enumerate(cells):
        value, carried = _number(cell)
        values[index] = value if carried else value * scale
    return values


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


def _json(line: str) -> dict[str, Any] | None:
    """The object in the line; a service manager may have put its own words before it."""
    at = 0 if line[:1] == "{" else line.find('{"')
    if at < 0:
        return None
    text = line[at:] if at else line
    try:
        event = orjson.loads(text)
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


def _plain(text: str) -> str:
    """Text in which every field is a word "name=value", or a "name:" before its value."""
    if "\x1b" in text:
        text = _COLOURS.sub("", text)
    if "}:" in text:
        text = _TEXT_SPAN.sub(" ", text)
    if " = " in text:
        text = text.replace(" = ", "=")
    if '"' in text:
        text = text.replace('"', "")
    if "," in text:
        text = _COMMA.sub(" ", text)
    for other in "\t\r{}()[];|":
        if other in text:
            text = text.replace(other, " ")
    return text


def _numbers(cells: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    found = {}
    for name, cell in cells.items():
        if 0 < len(name) <= NAME_LIMIT and (not isinstance(cell, str) or len(cell) <= _CELL_LIMIT):
            value, carried = _number(cell)
            if not math.isnan(value):
                found[name] = (value, "ns" if carried else unit_of(name))
    return found
