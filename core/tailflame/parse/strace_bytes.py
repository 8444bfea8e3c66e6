"""Arithmetic on the bytes of a block of lines, eight at a time: numbers, words and hashes of a million lines a second.

A block is bytes with PADDING zeros behind it. `words[i]` holds the bytes i to i + 7, the first in the lowest place, so
that one gathering reads eight characters of every line.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tailflame.model.stacks import Bool, Int64, UInt64

PADDING = 64
"""Zeros behind a block, so that a word may begin at its last byte."""
LONGEST = 4 * 4096
"""Bytes of a span that are told apart: paths end at PATH_MAX, and -xx writes four for each."""

U64 = np.uint64
_ONES = U64(0x0101010101010101)
_HIGHS = U64(0x8080808080808080)
_ZEROS = U64(0x3030303030303030)
_OVER_NINE = U64(0x7676767676767676)
_FIRST, _SECOND = U64(0x9E3779B97F4A7C15), U64(0xC2B2AE3D27D4EB4F)
MASKS = np.array([(1 << (8 * n)) - 1 for n in range(8)] + [2**64 - 1], dtype=np.uint64)


def words_of(block: bytes) -> UInt64:
    """The word at every byte but the last seven; `block` has its padding."""
    return np.ndarray(shape=(len(block) - 7,), dtype="<u8", buffer=block, strides=(1,))


def spread(byte: int) -> np.uint64:
    """A word of eight times this byte."""
    return U64(byte * 0x0101010101010101)


def word(text: str) -> np.uint64:
    """The word that holds this text of at most eight characters, zeros behind it."""
    return U64(int.from_bytes(text.encode(), "little"))


def mask(length: int) -> np.uint64:
    """All bits of the first `length` bytes."""
    return U64((1 << (8 * length)) - 1)


def find(words: UInt64, byte: int) -> Int64:
    """Where in each word `byte` stands first, 8 where it does not."""
    x = words ^ spread(byte)
    # The usual test for a zero byte: its lowest mark is always right, those above it may not be.
    marks = (x - _ONES) & ~x & _HIGHS
    lowest = marks & (~marks + U64(1))
    return np.where(marks == 0, 8, np.bitwise_count(lowest - U64(1)) >> 3).astype(np.int64)


def digits_before(words: UInt64) -> Int64:
    """How many digits each word begins with."""
    x = words ^ _ZEROS
    marks = ((x + _OVER_NINE) | x) & _HIGHS
    lowest = marks & (~marks + U64(1))
    return np.where(marks == 0, 8, np.bitwise_count(lowest - U64(1)) >> 3).astype(np.int64)


def find_within(words: UInt64, start: Int64, byte: int, reach: int) -> Int64:
    """How far behind each start `byte` stands first; `reach`, a multiple of 8, where it does not before that."""
    here = find(words[start], byte)
    found = np.where(here < 8, here, reach)
    rows = np.flatnonzero(here == 8)
    for step in range(8, reach, 8):
        if not len(rows):
            break
        here = find(words[start[rows] + step], byte)
        hit = here < 8
        found[rows[hit]] = step + here[hit]
        rows = rows[~hit]
    return found


def all_digits(words: UInt64) -> Bool:
    x = words ^ _ZEROS
    good: Bool = ((x + _OVER_NINE) | x) & _HIGHS == 0
    return good


def eight_digits(words: UInt64) -> Int64:
    """The number that eight digits make; zero bytes count as 0."""
    v = words & U64(0x0F0F0F0F0F0F0F0F)
    v = v * U64(2561) >> U64(8)
    v = (v & U64(0x00FF00FF00FF00FF)) * U64(6553601) >> U64(16)
    v = (v & U64(0x0000FFFF0000FFFF)) * U64(42949672960001) >> U64(32)
    return v.astype(np.int64)


def leading_number(words: UInt64, length: Int64) -> tuple[Int64, Bool]:
    """(number, whether it is one) of the first `length` bytes, 1 to 8, of each word."""
    n = np.clip(length, 1, 8).astype(np.uint64)
    up = (U64(8) - n) << U64(3)
    shifted = words << up
    filled = shifted | (_ZEROS & ((U64(1) << up) - U64(1)))
    return eight_digits(filled), all_digits(filled) & (length >= 1) & (length <= 8)


def hash_spans(words: UInt64, start: Int64, length: Int64) -> UInt64:
    """A hash of each span of bytes, of at most LONGEST of them. Equal spans have equal hashes."""
    hashes = length.astype(np.uint64) * _FIRST + U64(1)
    left = np.minimum(length, LONGEST)
    hashes = _mixed(hashes, words[start] & MASKS[np.minimum(left, 8)])
    rows = np.flatnonzero(left > 8)
    at, left = start[rows] + 8, left[rows] - 8
    while len(rows):
        hashes[rows] = _mixed(hashes[rows], words[at] & MASKS[np.minimum(left, 8)])
        on = left > 8
        rows, at, left = rows[on], at[on] + 8, left[on] - 8
    return hashes


def _mixed(hashes: UInt64, part: UInt64) -> UInt64:
    mixed = (hashes ^ part) * _SECOND
    found: UInt64 = mixed ^ (mixed >> U64(29))
    return found


class Interned:
    """Numbers for spans of bytes, by their hashes; the text of each is read once.

    most: how many distinct texts are told apart; what comes later is `rest`. reading: makes of what stands in the file
    the text that is kept; it is asked once for each.
    """

    def __init__(self, *, most: int = 2**31, rest: str = "", reading: Callable[[str], str] | None = None) -> None:
        self.texts: list[str] = []
        self._most, self._rest, self._reading = most, rest, reading
        self._written: dict[str, int] = {}
        """The numbers of texts as they stand in the file, where that is not how they are kept."""
        self._of: dict[str, int] = {}
        self._hashes: UInt64 = np.empty(0, np.uint64)
        self._numbers: Int64 = np.empty(0, np.int64)

    def number(self, text: str) -> int:
        if self._reading is None:
            return self._number(text)
        found = self._written.get(text)
        if found is None:
            found = self._number(self._reading(text))
            if len(self._written) < self._most:
                self._written[text] = found
        return found

    def _number(self, text: str) -> int:
        found = self._of.get(text)
        if found is None:
            if len(self.texts) >= self._most:
                text = self._rest
                if (found := self._of.get(text)) is not None:
                    return found
            found = self._of[text] = len(self.texts)
            self.texts.append(text)
        return found

    @property
    def overflowed(self) -> bool:
        return len(self.texts) > self._most

    def of_spans(self, block: bytes, words: UInt64, start: Int64, length: Int64) -> npt.NDArray[np.int64]:
        """The number of each span."""
        if not len(start):
            return np.empty(0, np.int64)
        hashes = hash_spans(words, start, length)
        at = self._find(hashes)
        missing = np.flatnonzero(at < 0)
        if len(missing):
            fresh, first = np.unique(hashes[missing], return_index=True)
            numbers = np.empty(len(fresh), np.int64)
            # In the order in which they come, so that numbers do not depend on hashes.
            for which in np.argsort(first).tolist():
                line = missing[first[which]]
                begin, end = int(start[line]), int(start[line] + length[line])
                numbers[which] = self.number(block[begin:end].decode("utf-8", "backslashreplace"))
            at[missing] = numbers[np.searchsorted(fresh, hashes[missing])]
            if not self.overflowed:
                places = np.searchsorted(self._hashes, fresh)
                self._hashes = np.insert(self._hashes, places, fresh)
                self._numbers = np.insert(self._numbers, places, numbers)
        return at

    def _find(self, hashes: UInt64) -> npt.NDArray[np.int64]:
        if not len(self._hashes):
            return np.full(len(hashes), -1, np.int64)
        at = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        return np.where(self._hashes[at] == hashes, self._numbers[at], -1)
