"""A frame as valgrind's heap tools write it: `0x109359: leak (leaky.cc:6)`.

Written by VG_(describe_IP) in valgrind's coregrind/m_debuginfo/debuginfo.c.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tailflame.model import NONE, FrameKind

UNKNOWN = "[unknown]"
_ADDRESS = re.compile(r"0x[0-9A-Fa-f]+")
_MOST_DIGITS = 10


class ValgrindFrame(NamedTuple):
    """address: as written, "" where there is none; module: the object, where nothing better is known."""

    address: str
    name: str
    module: str = ""
    file: str = ""
    line: int = NONE
    kind: FrameKind = FrameKind.USER


def valgrind_frame(text: str) -> ValgrindFrame | None:
    """The frame, None where the text is none.

    `0x4: fn (file:line)`, `0x4: fn (in /obj)`, `0x4: ??? (in /obj)`, `0x0: ???`. Names hold blanks, colons and
    brackets, so that the place is what the last " (" begins; of a file without a line as well.
    """
    address, found, rest = text.partition(": ")
    if not found or _ADDRESS.fullmatch(address) is None:
        return None
    name, place = rest, ""
    if rest.endswith(")"):
        at = rest.rfind(" (in ")
        # A path may hold " (" itself; a source file that does is not met.
        at = at if at >= 0 and "/" in rest[at:] else rest.rfind(" (")
        if at >= 0:
            name, place = rest[:at], rest[at + 2 : -1]
    module = place[3:] if place.startswith("in ") else ""
    if name == "???" or not name:
        return ValgrindFrame(address, UNKNOWN, module, kind=FrameKind.OTHER)
    if module or not place:
        return ValgrindFrame(address, name, module)
    file, line = _split(place)
    before, further = _split(file)
    # Rust's dhat crate tells the column as well: alloc.rs:95:9.
    return ValgrindFrame(address, name, "", *((before, further) if further != NONE else (file, line)))


def _split(place: str) -> tuple[str, int]:
    """ "leaky.cc:6" as file and line; the whole and -1 where there is no line."""
    file, _, digits = place.rpartition(":")
    if file and digits.isdecimal() and digits.isascii() and len(digits) <= _MOST_DIGITS:
        return file, int(digits)
    return place, NONE
