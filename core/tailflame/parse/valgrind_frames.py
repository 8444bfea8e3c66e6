"""A frame as valgrind's heap tools write it: `0x109359: leak (leaky.cc:6)`.

Written by VG_(describe_IP) in valgrind's coregrind/m_debuginfo/debuginfo.c.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tailflame.model import NONE, FrameKind

UNKNOWN = "[unknown]"
_ADDRESS = re.compile(r"(0x[0-9A-Fa-f]+): (.*)", re.DOTALL)
# Rust's dhat crate tells the column as well.
_LINE = re.compile(r"(.*?):(\d{1,10})(?::\d{1,10})?", re.DOTALL)


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
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return None
    address, rest = found[1], found[2]
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
    lined = _LINE.fullmatch(place)
    if lined is None:
        return ValgrindFrame(address, name, file=place)
    return ValgrindFrame(address, name, file=lined[1], line=int(lined[2]))
