"""Text as it comes from a program, made into lines: escape sequences gone, lengths bounded. No Qt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 4000
"""Characters of a line that are kept."""

# CSI (colours, cursor), OSC up to BEL or ST (titles, links), two-character escapes; then the other control characters.
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]*[0-~])"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)
# Qt would begin a new paragraph at these.
_BREAKS = dict.fromkeys((0x2029, 0xFDD0, 0xFDD1), "\N{REPLACEMENT CHARACTER}")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*|[PX^_][^\x1b]*)?\Z")
_LONGEST_ESCAPE = 256


@dataclass(frozen=True, slots=True)
class OutputLine:
    """`stream` is stdout, stderr or tool."""

    stream: str
    text: str


def plain(text: str) -> str:
    """Without escape sequences and control characters; tabs stay."""
    return _ESCAPES.sub("", text).translate(_BREAKS)


class Lines:
    """Makes lines of what comes in any portions, each stream for itself."""

    def __init__(self) -> None:
        self._rest: dict[str, str] = {}

    def feed(self, stream: str, text: str) -> Iterator[OutputLine]:
        """The lines that are whole now. The rest waits for its end."""
        *whole, rest = (self._rest.get(stream, "") + text).split("\n")
        for line in whole:
            yield OutputLine(stream, _shown(line))
        if len(rest) > LONGEST + _LONGEST_ESCAPE:
            yield OutputLine(stream, _shown(rest))
            rest = ""
        self._rest[stream] = rest

    def end(self) -> Iterator[OutputLine]:
        """What never got its end of line."""
        for stream, rest in self._rest.items():
            text = _shown(_UNFINISHED.sub("", rest))
            if text:
                yield OutputLine(stream, text)
        self._rest.clear()


def _shown(line: str) -> str:
    """As a terminal would leave it: what was written over after a carriage return is gone."""
    line = plain(line.rstrip("\r"))
    line = line.rpartition("\r")[2]
    if len(line) > LONGEST:
        return f"{line[:LONGEST]} … {len(line) - LONGEST:,} more characters"
    return line
