"""Lines of figures, as cachegrind and callgrind write them by the million, read as whole arrays.

A block of lines is split by the first byte of each: figures begin with a digit or a sign, everything else is left to
the format. The figures are then read at once, digit by digit: most have but one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tailflame.errors import ParseError
from tailflame.model.stacks import NONE, Bool, Int64, UInt8

_BLANK, _NEWLINE, _PLUS, _MINUS, _STAR, _ZERO = 32, 10, 43, 45, 42, 48
PIECE = 512 * 1024
_DIGITS = 18
"""Figures of so many digits fit into 63 bits whatever they are."""
_MOST = 2**63
_LONGEST = 1000
"""Digits, with zeros before them, that a number may have."""

_FIRST = np.zeros(256, dtype=bool)
_FIRST[[_PLUS, _MINUS, _STAR, *range(_ZERO, _ZERO + 10)]] = True
_PLAIN = np.zeros(256, dtype=bool)
_PLAIN[[9, _NEWLINE, 13, _BLANK, *range(_ZERO, _ZERO + 10)]] = True


class Lines(NamedTuple):
    """The lines of a block of whole lines: where they begin, where they end (at their LF), which hold figures."""

    data: UInt8
    start: Int64
    end: Int64
    figures: Bool


def pieces_of(block: bytes) -> Iterator[bytes]:
    """Whole lines of `block` in pieces: arrays of a piece stay in the processor's cache, and ask for no new memory."""
    begin = 0
    while len(block) - begin > 2 * PIECE:
        end = block.find(b"\n", begin + PIECE) + 1
        yield block[begin:end]
        begin = end
    yield block[begin:]


def lines_of(block: bytes) -> Lines:
    """The lines of `block`, which ends with LF."""
    data = np.frombuffer(block, dtype=np.uint8)
    end = np.flatnonzero(data == _NEWLINE)
    start = np.empty_like(end)
    start[:1] = 0
    start[1:] = end[:-1] + 1
    return Lines(data, start, end, _FIRST[data[start]])


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """The words of lines of figures, line by line. first: of each line, and the number of all at the end.

    value: int64; sign: 0 for a bare number, else the byte that stood before it; "*" is 0 with its sign.
    bad: lines with something else in them, or with a number beyond 63 bits; their values mean nothing. huge: those of
    them that are bad for such a number.
    """

    first: Int64
    value: Int64
    sign: UInt8
    bad: Bool
    huge: Bool

    def __len__(self) -> int:
        return len(self.first) - 1

    @property
    def words(self) -> Int64:
        """How many words each line has."""
        return np.diff(self.first)

    def matrix(self, skip: int, columns: int) -> Int64:
        """The words of each line from `skip` on as a row of `columns`, zeros where there are fewer."""
        words = self.words
        lines = len(words)
        if lines and (words == skip + columns).all():
            return self.value.reshape(lines, skip + columns)[:, skip:]
        rows = np.zeros(lines * columns, dtype=np.int64)
        if not lines or not columns or not len(self.value):
            return rows.reshape(lines, columns)
        # Where each word belongs in the rows, one behind the other.
        offset = np.arange(lines) * columns - self.first[:-1] - skip
        place = np.arange(len(self.value)) + np.repeat(offset, words)
        held = np.ones(len(self.value), dtype=bool)
        for before in range(skip):
            held[self.first[:-1][words > before] + before] = False
        if int(words.max()) > skip + columns:
            held &= np.arange(len(self.value)) < np.repeat(self.first[:-1] + skip + columns, words)
        rows[place[held]] = self.value[held]
        return rows.reshape(lines, columns)


def figures_of(lines: Lines) -> Figures:
    """The figures of all lines that hold some."""
    if lines.figures.all():
        data = lines.data
    else:
        length = lines.end - lines.start + 1
        data = lines.data[np.repeat(lines.figures, length)]
    blank = np.flatnonzero(data <= _BLANK)
    start = np.empty_like(blank)
    start[:1] = 0
    start[1:] = blank[:-1] + 1
    ends_line = data[blank] == _NEWLINE
    length = blank - start
    if len(length) and length.min() == 0:  # more than one blank, or one at the end of the line
        held = length > 0
        last = np.cumsum(held)[ends_line]
        start, length = start[held], length[held]
    else:
        last = np.flatnonzero(ends_line) + 1
    first = np.zeros(len(last) + 1, dtype=np.int64)
    first[1:] = last
    return _read(data, start, length, first)


def _read(data: UInt8, start: Int64, length: Int64, first: Int64) -> Figures:
    lead = data[start]
    sign = np.where((lead == _MINUS) | (lead == _PLUS) | (lead == _STAR), lead, 0).astype(np.uint8)
    signed = np.flatnonzero(sign)
    if len(signed):
        start, length = start.copy(), length.copy()
        start[signed] += 1
        length[signed] -= 1
        # "*" alone means "as before"; a sign alone means nothing.
        lead = np.where(length > 0, data[np.minimum(start, len(data) - 1)], _ZERO).astype(np.uint8)
    value = lead.astype(np.int64)
    value -= _ZERO
    longer = np.flatnonzero(length > 1)
    at, left = start[longer], length[longer]
    for place in range(1, _DIGITS):
        if not len(longer):
            break
        value[longer] = value[longer] * 10 + (data[at + place].astype(np.int64) - _ZERO)
        more = left > place + 1
        longer, at, left = longer[more], at[more], left[more]
    negative = sign == _MINUS
    bad = np.zeros(len(first) - 1, dtype=bool)
    huge = bad.copy()
    odd = (length > _DIGITS) | ((sign != 0) & (length == 0) & (sign != _STAR)) | ((sign == _STAR) & (length > 0))
    strange = np.flatnonzero(~_PLAIN[data])
    if len(strange):  # signs, the x and the letters of hex figures, and what has no place here
        word = np.searchsorted(start, strange, side="right") - 1
        inside = (word >= 0) & (strange < start[word] + length[word])
        odd[word[inside]] = True
    for word_at in np.flatnonzero(odd).tolist():
        text = data[start[word_at] : start[word_at] + length[word_at]].tobytes()
        number = _slowly(text)
        if number is None or number >= _MOST or sign[word_at] == _STAR:
            line = np.searchsorted(first, word_at, side="right") - 1
            bad[line] = True
            huge[line] |= number is not None and number >= _MOST
            number = 0
        value[word_at] = number
    if negative.any():
        value[negative] = -value[negative]
    return Figures(first, value, sign, bad, huge)


def _slowly(text: bytes) -> int | None:
    """A number that is long or hex, 2^63 for all that are beyond 63 bits; None where it is none."""
    try:
        number = int(text, 16) if text[:2] in (b"0x", b"0X") else int(text[:_LONGEST]) if text.isdigit() else NONE
    except ValueError:
        return None
    return min(number, _MOST) if number >= 0 else None


class Sums:
    """Rows of costs by key, each key once in the end: chunks are added up whenever they have grown too many, unless
    their keys ascend, so that there is nothing to add.

    A key is (group, line) in one int64; its costs a row of int64. What is added up stays below 2^63 in every column.
    """

    def __init__(self, source: str, columns: int = 0) -> None:
        self._source = source
        self._columns = columns
        self._chunks: list[tuple[Int64, npt.NDArray[np.signedinteger]]] = []
        self._held = 0
        self._summed = 0
        self._ascending, self._last = True, NONE
        self._bound = 0.0
        """What no column's costs, without their signs, add up to more than."""

    def add(self, keys: Int64, costs: Int64) -> None:
        """Raises ParseError where the costs leave 63 bits."""
        if not len(keys):
            return
        peak = max(int(costs.max()), -int(costs.min())) if costs.size else 0
        rough = peak * len(costs)
        self._bound += rough if rough < _ROUGHLY else float(np.abs(costs.astype(np.float64)).sum(axis=0).max())
        if self._bound >= float(_MOST):
            raise ParseError(
                f"{self._source} holds costs beyond all bounds: it is damaged.",
                source=self._source,
            )
        # Nearly all costs are small: they wait in half the room.
        self._chunks.append((keys, costs.astype(np.int32) if peak < 2**31 else costs))
        self._held += len(keys)
        self._ascending &= bool(keys[0] > self._last) and bool((keys[1:] > keys[:-1]).all())
        self._last = int(keys[-1])
        if self._held > 2 * self._summed + _ROWS_BETWEEN and not self._ascending:
            self._sum()

    def widen(self, columns: int) -> None:
        """More columns, zeros so far."""
        if columns > self._columns:
            more = columns - self._columns
            self._chunks = [(keys, np.pad(costs, ((0, 0), (0, more)))) for keys, costs in self._chunks]
            self._columns = columns

    def _sum(self) -> None:
        if self._chunks:
            self._chunks.append(added_up(*_poured(self._chunks, self._held, self._columns)))
        self._held = self._summed = len(self._chunks[0][0]) if self._chunks else 0

    def total(self) -> tuple[Int64, Int64]:
        """(keys, costs): each key once, ascending."""
        self._sum()
        if not self._chunks:
            return np.zeros(0, np.int64), np.zeros((0, self._columns), np.int64)
        keys, costs = self._chunks[0]
        return keys, costs.astype(np.int64, copy=False)


_ROUGHLY = 2.0**40
"""Up to here costs are bounded by the largest of them: a million such chunks stay below 2^63."""
_ROWS_BETWEEN = 4_000_000
"""Rows that are added before they are added up for the first time."""
_FEW = 4
"""Where fewer than one row in so many repeats a key, the others need no adding."""


def added_up(keys: Int64, costs: Int64) -> tuple[Int64, Int64]:
    """Each key once, ascending, with the sum of its rows."""
    if len(keys) > 1 and not (np.diff(keys) > 0).all():
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        is_fresh = np.concatenate(([True], keys[1:] != keys[:-1]))
        fresh = np.flatnonzero(is_fresh)
        again = len(keys) - len(fresh)
        if again * _FEW > len(keys):
            costs = np.add.reduceat(costs[order], fresh, axis=0)
        else:
            group = np.cumsum(is_fresh) - 1
            whole = costs[order[fresh]]
            if again:
                np.add.at(whole, group[~is_fresh], costs[order[~is_fresh]])
            costs = whole
        keys = keys[fresh]
    return keys, costs


def _poured(chunks: list[tuple[Int64, npt.NDArray[np.signedinteger]]], size: int, columns: int) -> tuple[Int64, Int64]:
    """All chunks as one, each let go of as soon as it is copied: together they may be half of what there is to hold."""
    if len(chunks) == 1:
        keys, some = chunks.pop()
        return keys, some.astype(np.int64, copy=False)
    keys, costs = np.empty(size, dtype=np.int64), np.empty((size, columns), dtype=np.int64)
    at = size
    while chunks:
        some_keys, some = chunks.pop()
        at -= len(some_keys)
        keys[at : at + len(some_keys)], costs[at : at + len(some_keys)] = some_keys, some
    return keys, costs
