"""Events in a program's log lines as stretches of time: a line is written when the event is over, and holds how long it
took.

    {"timestamp":"2026-11-25T22:00:54.735886Z","fields":{"total_us":6.492},"threadName":"engine-0"}
    2026-11-25T22:00:54.735886Z  INFO shop: done total_us=6.492 thread=engine-0

The time stamp is that of the line: some microseconds after the end of what it tells of, and on the wall clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

from tailflame.parse import log_line

_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_LOOKED_AT = 80
"""Characters of a line in which its time stamp begins."""
_STAMPS = ("timestamp", "time", "ts", "@timestamp")
_THREADS = ("tid", "threadName", "thread_name", "thread", "threadId")
_THREAD = re.compile(r"(?:^|\s)(?:tid|thread|thread_name)=\"?([^\s\"]{1,64})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LoggedEvent(NamedTuple):
    """thread: a name, or the kernel's number as text; "" where the line does not tell. Times in ns; end: since 1970."""

    thread: str
    end_ns: int
    length_ns: int


def events(lines: Iterable[str], field: str, unit: str) -> Iterator[LoggedEvent]:
    """The events whose duration `field` holds (`unit` where the value carries none). Lines without a readable time
    stamp or duration are passed over."""
    for line in lines:
        if field not in line:
            continue
        value, own = log_line.numeric_fields(line).get(field, (-1.0, ""))
        ns = value * log_line.NS[own or unit] if own or unit else -1.0
        if not 0 <= ns <= log_line.MOST_NS:
            continue
        event = log_line.json_object(line)
        stamp = _stamp(event, line)
        if stamp is not None:
            yield LoggedEvent(_thread(event, line), stamp, round(ns))


def stamp_ns(text: str) -> int | None:
    """ns since 1970 of the first time stamp (RFC 3339; UTC where it names no zone) in `text`."""
    found = _STAMP.search(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        when = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=_zone(zone))
    except ValueError:
        return None
    since = when - _EPOCH
    whole = (since.days * 86_400 + since.seconds) * 10**9
    return whole + int((fraction or "0").ljust(9, "0")) if whole >= 0 else None


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _stamp(event: dict[str, Any] | None, line: str) -> int | None:
    if event is None:
        return stamp_ns(line[:_LOOKED_AT])
    text = next((event[name] for name in _STAMPS if isinstance(event.get(name), str)), "")
    return stamp_ns(text[:_LOOKED_AT])


def _thread(event: dict[str, Any] | None, line: str) -> str:
    if event is None:
        found = _THREAD.search(line)
        return found[1] if found is not None else ""
    for holder in (event, event.get("fields")):
        if isinstance(holder, dict):
            for name in _THREADS:
                value = holder.get(name)
                if isinstance(value, str | int) and not isinstance(value, bool) and str(value):
                    return str(value)[:64]
    return ""
