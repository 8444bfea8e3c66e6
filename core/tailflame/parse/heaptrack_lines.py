"""The lines of a heaptrack file, a block at a time: allocations and frees as columns, the few others as bytes.

Nearly all lines say `+ 5a` or `- 5a`, the number of an allocation info in hex without 0x. They are read many at a time:
eight bytes that end with the line are one 64-bit number, of which arithmetic makes eight digits at once.
(https://invent.kde.org/sdk/heaptrack, src/analyze/accumulatedtracedata.cpp reads them, src/interpret writes them.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tailflame.errors import ParseError
from tailflame.model.stacks import Bool, Int64, UInt8, UInt64
from tailflame.parse.source import LINE_LIMIT, Source

BLOCK = 256 * 1024
"""Bytes of a block: its columns of 8 bytes a line stay in the processor's cache."""

_PLUS, _MINUS, _BLANK, _LINE_END = b"+- \n"
_INFO, _TRACE, _POINTER = b"ati"
_PAD = 8


class _Digits(NamedTuple):
    """The numbers that arithmetic on words of so many digits, one a byte, takes."""

    width: int
    dtype: type[np.unsignedinteger[Any]]
    words: str
    """The dtype of words in a file: the first byte is the lowest."""
    high: Any
    zeros: Any
    ones: Any
    sixes: Any
    before: UInt64
    """The bytes of a word that stand before a token of so many digits."""
    halves: tuple[tuple[Any, Any], ...]
    """Two neighbours become one number twice as wide: the lower is the higher digit."""

    @classmethod
    def of(cls, width: int, dtype: type[np.unsignedinteger[Any]]) -> _Digits:
        each = sum(1 << (8 * byte) for byte in range(width))
        kept = (0x00FF_00FF_00FF_00FF, 0x0000_FFFF_0000_FFFF, 0xFFFF_FFFF)[: width.bit_length() - 1]
        mask = (1 << (8 * width)) - 1
        return cls(
            width=width,
            dtype=dtype,
            words=f"<u{width}",
            high=dtype(0xF0 * each),
            zeros=dtype(0x30 * each),
            ones=dtype(each),
            sixes=dtype(6 * each),
            before=np.array([2 ** (8 * (width - digits)) - 1 for digits in range(width + 1)], dtype),
            halves=tuple((dtype(4 << step), dtype(bits & mask)) for step, bits in enumerate(kept)),
        )


_FOUR_DIGITS, _EIGHT_DIGITS = _Digits.of(4, np.uint32), _Digits.of(8, np.uint64)
"""Most files name fewer than 65,536 allocation infos: words of four digits are twice as fast."""


class Pairs(NamedTuple):
    """Lines of two numbers: `a size trace` and `t ip parent`.

    is_info: whether it is an `a`; first, second: -1 where the line is damaged. at: how many `+` and `-` lines come
    before it; pointers: how many `i` lines.
    """

    is_info: Bool
    first: Int64
    second: Int64
    at: Int64
    pointers: Int64


class LineBlock(NamedTuple):
    """Whole lines. The columns hold until the next block is read.

    info: the number of each `+` or `-` line, -1 where it is none; freed: whether it is a `-`. pairs: the lines of two
    numbers, None where there is none. others: all other lines but empty ones, which say nothing and may be millions,
    without their ends; at: how many of the block's `+` and `-` lines come before each of them.
    """

    info: Int64
    freed: Bool
    pairs: Pairs | None
    others: list[bytes]
    at: Int64


@dataclass(slots=True)
class Blocks:
    """Bytes in whole lines. ended: after the last block, whether the file has ended as it should.

    A last line without an end is left out: half a number is a wrong number.
    """

    source: Source
    ended: bool = True

    def __iter__(self) -> Iterator[bytes]:
        pieces: list[bytes] = []  # of a line whose end is not yet read
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
                pieces.append(chunk)
                if sum(map(len, pieces)) > LINE_LIMIT:
                    raise ParseError(f"{self.source.name} holds a line without end.", source=self.source.name)
                continue
            block = b"".join((*pieces, chunk[:end]))
            pieces = [chunk[end:]]
            yield block.replace(b"\r\n", b"\n") if b"\r" in block else block
        if any(pieces):
            self.ended = False


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
        pairs, at = None, other
        if len(other):
            at = other - np.arange(len(other))
            said = mark[other] != _LINE_END
            other, at = other[said], at[said]
            begin, until = start[other], end[other]
            pair = ((mark[other] == _INFO) | (mark[other] == _TRACE)) & (text.take(begin + 1) == _BLANK)
            if pair.any():
                pointers = np.cumsum(mark[other] == _POINTER)[pair]
                pairs = self._pairs(block, padded, text, begin[pair], until[pair], at[pair], pointers)
                begin, until, at = begin[~pair], until[~pair], at[~pair]
            first, last = (begin - _PAD).tolist(), (until - _PAD).tolist()
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
        return LineBlock(info, freed, pairs, others, at)

    def _pairs(
        self,
        block: bytes,
        padded: bytes,
        text: UInt8,
        start: Int64,
        end: Int64,
        at: Int64,
        pointers: Int64,
    ) -> Pairs:
        """The numbers of lines of two of them."""
        low = int(start[0])
        blanks = np.flatnonzero(text[low : int(end[-1])] == _BLANK) + low
        # The blank between the numbers is the one after that behind the mark; a third one makes no pair.
        between = blanks.take(np.searchsorted(blanks, start + 2), mode="clip")
        right = (between > start + 2) & (between < end)
        between = np.where(right, between, start + 3)
        first = self.hex(padded, between, between - start - 2, right).copy()
        second = self.hex(padded, end, end - between - 1, right).copy()
        for row in np.flatnonzero(~right).tolist():  # more digits than eight, or no numbers
            first[row], second[row] = _two(block[int(start[row]) - _PAD + 2 : int(end[row]) - _PAD])
        return Pairs(text.take(start) == _INFO, first, second, at, pointers)

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
        flag = self._flags[2][:lines]
        right &= np.greater(digits, 0, out=flag)
        right &= np.less_equal(digits, 8, out=flag)
        if not lines:
            return self._words[1][:0].view(np.int64)
        kind = _FOUR_DIGITS if int(digits.max()) <= _FOUR_DIGITS.width else _EIGHT_DIGITS
        words, mixed, letter, base = (column.view(kind.dtype)[:lines] for column in self._words[1:5])
        _words_before(padded, end, kind, words, letter, mixed, self._words[5][:lines].view(np.int64))
        # The first byte of the text is the lowest of the word: those before the token become "0".
        kind.before.take(digits, out=letter, mode="clip")
        np.bitwise_xor(words, kind.zeros, out=mixed)
        mixed &= letter
        words ^= mixed
        np.right_shift(words, 6, out=letter)
        letter &= kind.ones
        np.multiply(letter, 0x31, out=base)
        base += kind.zeros
        words -= base  # "0" to "9" become 0 to 9, "a" to "f" 0 to 5
        tested = np.multiply(letter, 4, out=mixed)
        tested += kind.sixes
        tested += words
        tested |= words
        tested &= kind.high  # anything else leaves a high half, by itself or 6 (a letter: 10) above
        letter *= 10
        words += letter
        for half, kept in kind.halves:
            upper = np.right_shift(words, half, out=letter)
            upper >>= half
            words <<= half
            words |= upper
            words &= kept
        right &= np.equal(tested, 0, out=flag)
        numbers = self._words[5][:lines].view(np.int64)
        numbers[:] = words
        return numbers


def _two(text: bytes) -> tuple[int, int]:
    """The first two numbers of a text; -1 where it has none, or ones beyond all bounds."""
    try:
        numbers = [int(word, 16) for word in text.split()[:2]]
    except ValueError:
        return -1, -1
    one, two = numbers if len(numbers) == 2 else (-1, -1)
    return (one, two) if 0 <= one < 2**62 and 0 <= two < 2**62 else (-1, -1)


def in_words(block: bytes, *, before: int) -> bytes:
    """`block` with `before` bytes of zero before it and eight at least after it, in whole words."""
    return b"".join((bytes(before), block, bytes(2 * _PAD - len(block) % _PAD)))


def _words_before(
    padded: bytes, end: Int64, kind: _Digits, words: UInt64, upper: UInt64, bits: UInt64, at: Int64
) -> None:
    """Into `words` the bytes before each `end`: made of two aligned words, which is faster than one that is not.

    upper, bits, at: columns to work in.
    """
    aligned = np.frombuffer(padded, kind.words)
    np.right_shift(end, kind.width.bit_length() - 1, out=at)
    aligned.take(at, out=upper, mode="clip")
    at -= 1
    aligned.take(at, out=words, mode="clip")
    np.bitwise_and(end, kind.width - 1, out=at)
    bits[:] = at
    bits <<= 3
    words >>= bits
    np.subtract(kind.dtype(8 * kind.width - 1), bits, out=bits)
    upper <<= 1  # in two steps: a shift by the whole width means nothing
    upper <<= bits
    words |= upper
