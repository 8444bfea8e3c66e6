"""The lines of a heaptrack file, a block at a time: allocations and frees as columns, the few others as bytes.

Nearly all lines say `+ 5a` or `- 5a`, the number of an allocation info in hex without 0x. They are read many at a time:
eight bytes that end with the line are one 64-bit number, of which arithmetic makes eight digits at once.
(https://invent.kde.org/sdk/heaptrack, src/analyze/accumulatedtracedata.cpp reads them, src/interpret writes them.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tailflame.errors import ParseError
from tailflame.model.stacks import Bool, Int64, UInt8, UInt64
from tailflame.parse.source import LINE_LIMIT, Source

BLOCK = 256 * 1024
"""Bytes of a block: its columns of 8 bytes a line stay in the processor's cache."""

_PLUS, _MINUS, _BLANK, _LINE_END = b"+- \n"
_PAD = 8
_EACH = 0x0101_0101_0101_0101
_HIGH = np.uint64(0xF0 * _EACH)
_ZEROS = np.uint64(0x30 * _EACH)
_ONES = np.uint64(_EACH)
_ONE, _LAST_BIT = np.uint64(1), np.uint64(63)
_SIXES = np.uint64(6 * _EACH)
_FOUR, _SIX, _TEN, _LETTER_BASE = (np.uint64(n) for n in (4, 6, 10, 0x31))
_BEFORE = np.array([2 ** (8 * (8 - digits)) - 1 for digits in range(9)], np.uint64)
"""The bytes of a word that stand before a token of so many digits."""
_PAIRS = tuple(
    (np.uint64(half), np.uint64(kept))
    for half, kept in ((4, 0x00FF_00FF_00FF_00FF), (8, 0x0000_FFFF_0000_FFFF), (16, 0xFFFF_FFFF))
)
"""Two neighbours become one number twice as wide: the lower is the higher digit."""


class LineBlock(NamedTuple):
    """Whole lines. The columns hold until the next block is read.

    info: the number of each `+` or `-` line, -1 where it is none; freed: whether it is a `-`. others: the lines that
    are neither, without their ends; at: how many of the block's `+` and `-` lines come before each of them.
    """

    info: Int64
    freed: Bool
    others: list[bytes]
    at: Int64


@dataclass(slots=True)
class Blocks:
    """Bytes in whole lines. ended: after the last block, whether the file has ended as it should."""

    source: Source
    ended: bool = True
    unread: int = 0
    """Bytes of a last line without an end: half a number is a wrong number."""

    def __iter__(self) -> Iterator[bytes]:
        rest = b""
        chunks = self.source.chunks(BLOCK)
        while True:
            try:
                chunk = next(chunks, b"")
            except ParseError as error:
                if not isinstance(error.__cause__, EOFError):
                    raise
                # Usual after a detach: the script kills the compressor.
                self.ended = False
                break
            if not chunk:
                break
            end = chunk.rfind(b"\n") + 1
            if not end:
                rest += chunk
                if len(rest) > LINE_LIMIT:
                    raise ParseError(f"{self.source.name} holds a line without end.", source=self.source.name)
                continue
            block = rest + chunk[:end]
            rest = chunk[end:]
            yield block.replace(b"\r\n", b"\n") if b"\r" in block else block
        if rest:
            self.ended, self.unread = False, len(rest)


class LineReader:
    """Reads blocks into columns that it keeps: fresh memory for each block would take longer to get than to fill."""

    def __init__(self) -> None:
        self._words = [np.empty(0, np.uint64) for _ in range(6)]
        self._flags = [np.empty(0, np.bool_) for _ in range(4)]
        self._bytes = np.empty(0, np.uint8)

    def read(self, block: bytes) -> LineBlock:
        """The columns of one block of whole lines."""
        # Padded to whole words, with eight bytes before the first line.
        padded = in_words(block, before=_PAD)
        text: UInt8 = np.frombuffer(padded, np.uint8)
        end = np.flatnonzero(text == _LINE_END)
        self._hold(len(end))
        start = self._words[0][: len(end)].view(np.int64)
        start[:1] = _PAD
        np.add(end[:-1], 1, out=start[1:])
        mark = self._bytes[: len(end)]
        text.take(start, out=mark, mode="clip")
        freed = np.equal(mark, _MINUS, out=self._flags[0][: len(end)])
        event = np.equal(mark, _PLUS, out=self._flags[1][: len(end)])
        event |= freed
        other = np.flatnonzero(np.logical_not(event, out=self._flags[2][: len(end)]))
        others: list[bytes] = []
        if len(other):
            first, last = (start[other] - _PAD).tolist(), (end[other] - _PAD).tolist()
            others = [block[a:b] for a, b in zip(first, last, strict=True)]
            kept = np.flatnonzero(event)
            freed = freed[kept]
            kept_start = start[kept]
            end, start = end[kept], start[: len(kept)]
            start[:] = kept_start
        right = self._flags[1][: len(end)]
        start += 1
        mark = self._bytes[: len(end)]
        np.equal(text.take(start, out=mark, mode="clip"), _BLANK, out=right)
        digits = np.subtract(end, start, out=start)
        digits -= 1
        info = self.hex(padded, end, digits, right)
        if not right.all():
            info[~right] = -1
        return LineBlock(info, freed, others, other - np.arange(len(other)))

    def _hold(self, lines: int) -> None:
        if lines > len(self._bytes):
            lines += lines // 4
            self._words = [np.empty(lines, np.uint64) for _ in self._words]
            self._flags = [np.empty(lines, np.bool_) for _ in self._flags]
            self._bytes = np.empty(lines, np.uint8)

    def hex(self, padded: bytes, end: Int64, digits: Int64, right: Bool) -> Int64:
        """The number of `digits` (1 to 8) hex digits before each `end`; clears `right` where it is none.

        padded: whole words, of which the first and the last are not pointed into.
        """
        lines = len(end)
        self._hold(lines)
        words, mixed, letter, base = (column[:lines] for column in self._words[1:5])
        flag = self._flags[2][:lines]
        right &= np.greater(digits, 0, out=flag)
        right &= np.less_equal(digits, 8, out=flag)
        _words_before(padded, end, words, mixed.view(np.int64), letter)
        # The first byte of the text is the lowest of the word: those before the token become "0".
        _BEFORE.take(digits, out=letter, mode="clip")
        np.bitwise_xor(words, _ZEROS, out=mixed)
        mixed &= letter
        words ^= mixed
        np.right_shift(words, _SIX, out=letter)
        letter &= _ONES
        np.multiply(letter, _LETTER_BASE, out=base)
        base += _ZEROS
        words -= base  # "0" to "9" become 0 to 9, "a" to "f" 0 to 5
        tested = np.multiply(letter, _FOUR, out=mixed)
        tested += _SIXES
        tested += words
        tested |= words
        tested &= _HIGH  # anything else leaves a high half, by itself or 6 (a letter: 10) above
        letter *= _TEN
        words += letter
        for half, kept in _PAIRS:
            upper = np.right_shift(words, half, out=letter)
            upper >>= half
            words <<= half
            words |= upper
            words &= kept
        right &= np.equal(tested, 0, out=flag)
        return words.view(np.int64)


def in_words(block: bytes, *, before: int) -> bytes:
    """`block` with `before` bytes of zero before it and eight at least after it, in whole words."""
    return b"".join((bytes(before), block, bytes(2 * _PAD - len(block) % _PAD)))


def _words_before(padded: bytes, end: Int64, words: UInt64, at: Int64, upper: UInt64) -> None:
    """Into `words` the eight bytes before each `end`: made of two aligned words, which is faster than one that is not.

    at, upper: columns to work in.
    """
    aligned: UInt64 = np.frombuffer(padded, "<u8")
    np.right_shift(end, 3, out=at)
    aligned.take(at, out=upper, mode="clip")
    at -= 1
    aligned.take(at, out=words, mode="clip")
    shift = np.bitwise_and(end, 7, out=at)
    shift <<= 3
    bits = shift.view(np.uint64)
    words >>= bits
    np.subtract(_LAST_BIT, bits, out=bits)
    upper <<= _ONE  # in two steps: a shift by 64 means nothing
    upper <<= bits
    words |= upper
