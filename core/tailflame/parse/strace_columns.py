"""What the lines of a strace log come to: columns with a row per line, and the texts that their numbers stand for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from tailflame.model.stacks import Bool, Float64, Int32, Int64, UInt8, UInt64
from tailflame.parse.strace_bytes import PADDING, Interned
from tailflame.parse.strace_calls import FORKS
from tailflame.parse.strace_escapes import name_of

PLACES_LIMIT = 200_000
OTHER_PLACES = "(other places)"
_WORD = re.compile(r"0x[0-9a-f]{1,16}", re.ASCII)
NO_WORD = -2
"""The place of a lock whose address is none."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What stands before the calls of a file, as its first lines have it.

    clock: -ttt or -tt; digits: behind its seconds; 0 for -t. timed: digits of -T behind the seconds, -1 without it.
    begin_ns: the first stamp of -ttt, from which times count: seconds since 1970 are too many for a double to tell
    nanoseconds apart.
    """

    pid: bool = False
    comm: bool = False
    unix: bool = False
    clock: bool = False
    digits: int = 6
    after: bool = False
    number: bool = False
    address: bool = False
    timed: int = 6
    begin_ns: int = 0

    @property
    def is_fast(self) -> bool:
        return (self.timed in (-1, 6, 9)) and (
            (self.unix and self.digits in (6, 9)) or (self.clock and self.digits in (0, 6)) or not self.has_time
        )

    @property
    def has_time(self) -> bool:
        return self.unix or self.clock


@dataclass(slots=True)
class Tables:
    """The texts of a file by number."""

    names: Interned = field(default_factory=Interned)
    errors: Interned = field(default_factory=Interned)
    places: Interned = field(default_factory=lambda: Interned(most=PLACES_LIMIT, rest=OTHER_PLACES))
    _words: Interned = field(default_factory=Interned)
    """The addresses of locks, as they stand in the file."""
    _word_places: list[int] = field(default_factory=list)
    _marks: dict[str, Bool] = field(default_factory=dict)

    @classmethod
    def named(cls) -> Tables:
        """Tables that keep places by their names, whichever way these are escaped."""
        return cls(places=Interned(most=PLACES_LIMIT, rest=OTHER_PLACES, reading=name_of))

    def marked(self, what: str, those: frozenset[str]) -> Bool:
        """By number of a name, whether it is one of `those`."""
        known = self._marks.get(what)
        if known is None or len(known) < len(self.names.texts):
            known = self._marks[what] = np.array([name in those for name in self.names.texts], dtype=bool)
        return known

    def usable(self) -> Bool:
        """By number of a name, whether it is one, and its lines need not be read in full."""
        known = self._marks.get("usable")
        if known is None or len(known) < len(self.names.texts):
            found = [text not in FORKS and is_name(text) for text in self.names.texts]
            known = self._marks["usable"] = np.array(found, dtype=bool)
        return known

    def futexes(self, block: bytes, words: UInt64, start: Int64, length: Int64) -> Int64:
        numbers = self._words.of_spans(block, words, start, length)
        for text in self._words.texts[len(self._word_places) :]:
            self._word_places.append(self.places.number(f"futex {text}") if _WORD.fullmatch(text) else NO_WORD)
        return np.array(self._word_places, dtype=np.int64)[numbers] if len(numbers) else numbers


@dataclass(slots=True, eq=False)
class Lines:
    """One row per line of a block, in its order; -1 and NaN as in SyscallTrace. start, end: bytes in the block.

    fast: read here; the others are still to be read. leaf: the stack of a call, where there are stacks.
    """

    start: Int64
    end: Int64
    kind: UInt8
    tid: Int64
    start_s: Float64
    name: Int32
    duration_s: Float64
    error: Int32
    fd: Int32
    place: Int32
    returned: Bool
    leaf: Int32
    fast: Bool
    comm_end: Int64
    """Where the name of the thread ends, 0 where it is not told."""

    @classmethod
    def of(cls, start: Int64, end: Int64) -> Lines:
        n = len(start)

        def none() -> Int32:
            return np.full(n, -1, np.int32)

        return cls(
            start=start,
            end=end,
            kind=np.zeros(n, np.uint8),
            tid=np.full(n, -1, np.int64),
            start_s=np.full(n, np.nan),
            name=none(),
            duration_s=np.full(n, np.nan),
            error=none(),
            fd=none(),
            place=none(),
            returned=np.zeros(n, bool),
            leaf=none(),
            fast=np.zeros(n, bool),
            comm_end=np.zeros(n, np.int64),
        )

    def __len__(self) -> int:
        return len(self.start)


def cut(block: bytes) -> Lines:
    """The lines of a block, each with its end in it; `block` has no padding yet."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == 10)
    starts = np.empty_like(ends)
    if len(ends):
        starts[0] = 0
        starts[1:] = ends[:-1] + 1
    return Lines.of(starts, ends)


def is_name(text: str) -> bool:
    return text.replace("_", "a").isalnum() and text.isascii() and text == text.lower() and not text[:1].isdigit()


def is_error(text: str) -> bool:
    return (
        text.replace("_", "A").isalnum()
        and text.isascii()
        and text.isupper()
        and text.startswith("E")
        and len(text) > 1
    )


def padded(block: bytes) -> bytes:
    return block + bytes(PADDING)
