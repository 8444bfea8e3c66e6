"""The lines of `perf script` that begin a record: samples, and PERF_RECORD_* events.

A sample's line is `[comm] [pid/][tid] [\\[cpu\\]] [misc] time: [period] event:[rest]`, where any part may be absent
(-F), and where the comm may hold blanks, digits and brackets. It is at most 15 bytes long, padded to 16 where there
is no call chain: the right end of the comm is therefore sought within 16 characters, from the right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from tailflame.model import NONE

_COMM = r"(?:(?P<comm>.{0,15}\S)\s+|\s*)"
_LONG_COMM = r"(?P<comm>\S.*?)\s+"
_IDS = r"(?:(?P<pid>-?\d{1,10})/\s*)?(?P<tid>-?\d{1,10})\s+"
_CPU_GIVEN = r"\[(?P<cpu>\d{1,9})\]\s+"
_CPU = f"(?:{_CPU_GIVEN})?"
_MISC = r"(?:[A-Za-z]{1,5}\s+)?"
_TIME = r"(?P<time>\d{1,10}\.\d{3,9}):"
_PERIOD = r"(?:\s+(?P<period>\d{1,20})(?=\s))?"
# Without a time, only its width tells a period (`%10u`) from a thread id.
_WIDE_PERIOD = "(?P<period>" + "|".join(rf" {{{n}}}\d{{{10 - n},20}}" for n in range(10)) + r")(?=\s)"
_EVENT = r"(?:\s*(?P<event>(?![\d.]+:)\S+):(?=\s|$))"
_REST = r"\s*(?P<rest>.*)"

_SHAPES = tuple(
    re.compile(text, re.DOTALL)
    for text in (
        _COMM + _IDS + _CPU + _MISC + _TIME + _PERIOD + _EVENT + "?" + _REST,
        _LONG_COMM + _IDS + _CPU + _MISC + _TIME + _PERIOD + _EVENT + "?" + _REST,
        _WIDE_PERIOD + _EVENT + _REST,
        _COMM + _IDS + _CPU + _MISC + _WIDE_PERIOD + _EVENT + _REST,
        _COMM + _IDS + _CPU + _MISC + _EVENT + _REST,
        _COMM + _CPU_GIVEN + _MISC + _TIME + _PERIOD + _EVENT + "?" + _REST,
        _COMM + _MISC + _TIME + _PERIOD + _EVENT + "?" + _REST,
    )
)
# These say so little that only the frames below them tell that they begin a sample.
_BARE_SHAPES = tuple(
    re.compile(text, re.DOTALL)
    for text in (
        _COMM + _CPU_GIVEN + _MISC + _WIDE_PERIOD + _EVENT + r"\s*",
        _COMM + _CPU_GIVEN + _MISC + _EVENT + r"\s*",
        _COMM + _MISC + _WIDE_PERIOD + _EVENT + r"\s*",
        _COMM + _MISC + _EVENT + r"\s*",
        _COMM + _IDS + _CPU,
        _COMM + _CPU_GIVEN,
        _COMM,
    )
)

_RECORD = re.compile(r"(?:^|\s)PERF_RECORD_(\w+)(.*)", re.DOTALL)
_MAP = re.compile(
    r"\s*(-?\d+)/-?\d+: \[(?:0x)?([0-9a-f]+)\((?:0x)?([0-9a-f]+)\) @ (?:0x)?([0-9a-f]+)"
    r"(?: <([0-9a-f]+)>| [0-9a-f]+:[0-9a-f]+ (\d+) \d+)?\]: \S+ (.*)"
)
_LOST = re.compile(r":?\s*lost (\d+)")
_DEFERRED = re.compile(r"DEFERRED CALLCHAIN \[cookie: ([0-9a-f]+)\]")
# Where a sample has no call chain, its one frame stands on the same line, the address padded to 16 (`%16lx`).
_FRAME = re.compile(r"([0-9a-f]{1,16})(?:\s.*)?", re.DOTALL)
_FRAME_AT_END = re.compile(r"(?P<head>.{0,60}?)\s(?P<frame>[0-9a-f]{6,16}(?:\s.*)?)", re.DOTALL)


class Header(NamedTuple):
    """A sample's own line. Absent parts are "" or -1; period is None where it is absent.

    frame: the frame that stands on this line; cookie: of a deferred call chain; time_at: where the time's text
    stands in the line, as (start, end).
    """

    comm: str = ""
    pid: int = NONE
    tid: int = NONE
    cpu: int = NONE
    time_ns: int = NONE
    period: int | None = None
    event: str = ""
    frame: str = ""
    cookie: str = ""
    time_at: tuple[int, int] = (NONE, NONE)


class Mapping(NamedTuple):
    """A file mapped into a process: PERF_RECORD_MMAP and MMAP2. MMAP2 tells a build id or else an inode."""

    pid: int
    start: int
    size: int
    offset: int
    path: str
    build_id: str = ""
    inode: int = 0


@dataclass(slots=True)
class RecordLines:
    """What PERF_RECORD_* lines told."""

    mappings: list[Mapping] = field(default_factory=list)
    lost: int = 0

    def read(self, line: str) -> bool:
        """Takes `line` in; False where it is not a PERF_RECORD_* line."""
        match = _RECORD.search(line)
        if match is None:
            return False
        kind, rest = match[1], match[2]
        if kind in ("MMAP", "MMAP2"):
            mapped = _MAP.match(rest)
            if mapped:
                pid, start, size, offset, build_id, inode, path = mapped.groups()
                place = (int(start, 16), int(size, 16), int(offset, 16))
                self.mappings.append(Mapping(int(pid), *place, path, build_id or "", int(inode or 0)))
        elif kind in ("LOST", "LOST_SAMPLES"):
            lost = _LOST.match(rest)
            self.lost += int(lost[1]) if lost else 0
        return True


def header_of(line: str, *, frames_follow: bool) -> Header | None:
    """The sample that `line` begins; None where it begins none.

    frames_follow: whether a call chain stands below the line, so that even a lone comm is a header.
    """
    for number, shape in enumerate(_SHAPES):
        match = shape.fullmatch(line)
        if match is not None:
            header = _header(match)
            # A log's line may look like the shapes without thread or time.
            if number < 2 or frames_follow or header.frame or header.cookie or not match["rest"]:
                return header
    if frames_follow:
        for shape in _BARE_SHAPES:
            match = shape.fullmatch(f"{line.rstrip()} " if line.strip() else "")
            if match is not None:
                return _header(match)
        return None
    # Neither time nor call chain: `  t 16460 cpu-clock:   559870d9f278 leaf (/tmp/t)`, `  559870d9f278 leaf`.
    match = _FRAME_AT_END.fullmatch(f" {line}")
    if match is None:
        return None
    head = match["head"].removeprefix(" ")
    above = header_of(head, frames_follow=True) if head.strip() else Header()
    return above._replace(frame=match["frame"]) if above else None


def _header(match: re.Match[str]) -> Header:
    part = match.groupdict()
    rest = part.get("rest") or ""
    time = part.get("time")
    deferred = _DEFERRED.match(rest) if rest.startswith("DEFERRED") else None
    frame = _FRAME.fullmatch(rest)
    if frame:
        # A tracepoint's text may begin with a word of hex digits; it is not padded.
        width = match.start("rest") + len(frame[1]) - match.end("event") - 1
        if width <= 16 and len(frame[1]) < 8:
            frame = None
    return Header(
        comm=(part.get("comm") or "").strip(),
        pid=int(part.get("pid") or NONE),
        tid=int(part.get("tid") or NONE),
        cpu=int(part.get("cpu") or NONE),
        time_ns=nanoseconds(time) if time else NONE,
        period=int(part["period"]) if part.get("period") else None,
        event=part.get("event") or "",
        frame=rest if frame else "",
        cookie=deferred[1] if deferred else "",
        time_at=match.span("time") if time else (NONE, NONE),
    )


def nanoseconds(time: str) -> int:
    """`1006.298100` or `1006.298100611` in nanoseconds; -1 where no clock can have counted so far."""
    if time[-10:-9] == ".":
        found = int(time.replace(".", "", 1))
    else:
        whole, _, fraction = time.partition(".")
        found = int(whole) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])
    return found if found < 1 << 63 else NONE
