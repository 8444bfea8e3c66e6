"""Blocks of a massif file as arrays: the lines of call trees, without a Python step for each.

A line of a tree is `  n1: 995000 0x109359: leak (leaky.cc:6)`: as many blanks as it is deep, "n" with the number of
lines that hang on it, bytes, and what they are (ms_main.c and xtree.c of valgrind). All else, some ten lines for each
snapshot, is handed to the caller as text.
"""

from __future__ import annotations

import os
import secrets
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tailflame.model.stacks import Bool, Int32, Int64, UInt64
from tailflame.parse.token_table import PAD, TokenTable

_LINE_END, _SPACE, _COLON, _N, _COMMENT = b"\n :n#"
_DIGITS = 8
"""Of a number that are read at once."""
_BLANKS = np.uint64(0x2020202020202020)
_ZEROS = np.uint64(0x3030303030303030)
_TO_TEN = np.uint64(0x7676767676767676)
_HIGH_BITS = np.uint64(0x8080808080808080)
_BELOW_TEN = np.uint64(0x0F0F0F0F0F0F0F0F)
_BYTES_APART = np.uint64(0x00FF00FF00FF00FF)
_PAIRS_APART = np.uint64(0x0000FFFF0000FFFF)
# 10 and 1, 100 and 1, 10,000 and 1 at the places of two neighbours.
_TEN, _HUNDRED, _MYRIAD = np.uint64(2561), np.uint64(6553601), np.uint64(42949672960001)
_BYTE, _PAIR, _QUAD = np.uint64(8), np.uint64(16), np.uint64(32)
_POWERS = 10 ** np.arange(_DIGITS + 1)
_BLOCK = 2 * 1024 * 1024
"""Bytes that are looked at together: the fewer, the more steps; the more, the less of it stays in the cache."""
_MOST_THREADS = 3
"""More cut faster than one numbers."""
_WIDE = 32
"""Bytes of a detail that are taken at once."""
_LONGEST = 1024
"""Details that are longer are hashed one by one."""
_ALL = 1 << 40
# As in token_table.py: nobody can make up details that fall together.
_MULTIPLIER = np.uint64(secrets.randbits(63) << 1 | 1)
_SEED = np.uint64(secrets.randbits(64))


@dataclass(frozen=True, slots=True, eq=False)
class TreeLines:
    """The lines of a block.

    line: which of the block's lines are of trees; depth, children, size (bytes): of each of those. others: the numbers
    of the rest but comments and empty lines, which say nothing and may be millions. All count from 0.
    """

    lines: int
    line: Int64
    depth: Int32
    children: Int32
    size: Int64
    others: Int64
    hashes: UInt64
    _buffer: bytes
    _start: Int64
    _end: Int64
    _first: Int64

    def text(self, line: int) -> str:
        return self._buffer[int(self._start[line]) : int(self._end[line])].decode(errors="backslashreplace")

    def other_texts(self) -> Iterator[tuple[int, str]]:
        for line in self.others.tolist():
            yield line, self.text(line)


@dataclass(slots=True)
class Details:
    """What lines of trees tell, each once, under the number it has come by."""

    # Its hashes are given to it, whatever the length of what they stand for.
    _table: TokenTable = field(default_factory=lambda: TokenTable(words=_ALL))

    @property
    def names(self) -> list[str]:
        return list(self._table.names)

    def numbers(self, lines: TreeLines) -> Int32:
        """The number of each line's detail."""
        if not len(lines.line):
            return np.empty(0, np.int32)
        return self._table.number(lines._buffer, lines._first, lines._end[lines.line], lines.hashes, _ALL)


def cut_blocks(blocks: Iterable[bytes], *, many: bool) -> Iterator[TreeLines]:
    """The lines of blocks of whole lines, several blocks together. many: whether it pays to start threads for them."""
    workers = min(len(os.sched_getaffinity(0)), _MOST_THREADS)
    if not many or workers < 2:
        yield from map(cut_block, _joined(blocks))
        return
    ahead: deque[Future[TreeLines]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="massif") as pool:
        for block in _joined(blocks):
            ahead.append(pool.submit(cut_block, block))
            if len(ahead) > workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _joined(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Several blocks as one, between PADs."""
    held: list[bytes] = []
    size = 0
    for block in blocks:
        held.append(block)
        size += len(block)
        if size >= _BLOCK:
            yield b"".join((PAD, *held, PAD))
            held, size = [], 0
    if held:
        yield b"".join((PAD, *held, PAD))


def cut_block(buffer: bytes) -> TreeLines:
    """buffer: whole lines, each with its end (LF), between two PADs."""
    data = np.frombuffer(buffer, np.uint8)
    end = np.flatnonzero(data[len(PAD) : -len(PAD)] == _LINE_END) + len(PAD)
    start = np.append(len(PAD), end[:-1] + 1)
    words = _windows(buffer, "<u8", 8)
    said = np.flatnonzero(data[start] != _LINE_END)  # an empty line says nothing
    mark = _after_blanks(words, start[said], end[said])
    is_tree = np.zeros(len(end), np.bool_)
    is_tree[said] = data[mark] == _N
    mark = mark[is_tree[said]]
    line = np.flatnonzero(is_tree)
    children, at, good = _numbers(words, mark + 1)
    good &= (data[at] == _COLON) & (data[at + 1] == _SPACE) & (at - mark <= _DIGITS)
    size, at, digits = _numbers(words, at + 2)
    good &= digits & (data[at] == _SPACE)
    if not good.all():
        is_tree[line[~good]] = False
        line, mark, children, size, at = line[good], mark[good], children[good], size[good], at[good]
    other = said[~is_tree[said]]
    first = at + 1
    return TreeLines(
        lines=len(end),
        line=line,
        depth=(mark - start[line]).astype(np.int32),
        children=children.astype(np.int32),
        size=size,
        others=other[data[start[other]] != _COMMENT],
        hashes=_hashed(buffer, words, first, end[line]),
        _buffer=buffer,
        _start=start,
        _end=end,
        _first=first,
    )


def _windows(buffer: bytes, dtype: str, size: int) -> npt.NDArray[Any]:
    """What stands at each byte of the buffer and the bytes behind it."""
    return np.lib.stride_tricks.as_strided(np.frombuffer(buffer, dtype, 1), (len(buffer) - size + 1,), (1,))


def _lowest_byte(bits: UInt64) -> Int64:
    """Which byte holds the lowest bit that is set; 8 where none is."""
    lowest = (bits & (~bits + np.uint64(1))).astype(np.float64)
    return np.asarray(np.where(lowest > 0, np.frexp(lowest)[1] - 1 >> 3, 8))


def _after_blanks(words: npt.NDArray[Any], start: Int64, end: Int64) -> Int64:
    """Where each line's first character stands that is no blank."""
    at = start.copy()
    live = np.flatnonzero(words[at] == _BLANKS)
    while len(live):
        at[live] += 8
        live = live[words[at[live]] == _BLANKS]
    return np.asarray(np.minimum(at + _lowest_byte(words[at] ^ _BLANKS), end))


def _numbers(words: npt.NDArray[Any], at: Int64) -> tuple[Int64, Int64, Bool]:
    """The number that begins at each place, where it ends, and whether it is one of at most 15 digits."""
    value, digits = _digits(words, at)
    at = at + digits
    good = digits > 0
    long = np.flatnonzero(digits == _DIGITS)
    if len(long):
        rest, digits = _digits(words, at[long])
        value[long] = value[long] * _POWERS[digits] + rest
        at[long] += digits
        good[long] = digits < _DIGITS
    return value, at, good


def _digits(words: npt.NDArray[Any], at: Int64) -> tuple[Int64, Int64]:
    """The value of the digits at each place, and how many there are, up to eight.

    The first digit stands in the lowest byte. What is no digit is shifted out, so that noughts come first; then
    neighbours are joined: digits to pairs, these to fours, these to eight.
    """
    figures = words[np.minimum(at, len(words) - 1)] ^ _ZEROS
    digits = _lowest_byte(((figures + _TO_TEN) | figures) & _HIGH_BITS)
    # A shift by all 64 bits does nothing: without a digit there is no value.
    figures <<= ((_DIGITS - np.maximum(digits, 1)) << 3).astype(np.uint64)
    figures = (figures & _BELOW_TEN) * _TEN >> _BYTE
    figures = (figures & _BYTES_APART) * _HUNDRED >> _PAIR
    figures = (figures & _PAIRS_APART) * _MYRIAD >> _QUAD
    return np.where(digits > 0, figures.astype(np.int64), 0), digits


def _hashed(buffer: bytes, words: npt.NDArray[Any], start: Int64, end: Int64) -> UInt64:
    """A hash of each piece `buffer[start:end]`: of its length and all that is in it.

    By length, so that those that have a further part stand together. The last part ends with the piece, and may hold
    again what the one before it held; what stands before a piece shorter than a word is shifted out.
    """
    length = end - start
    order = np.argsort(np.minimum(length, 2**15 - 1).astype(np.int16), kind="stable")  # by digits, in linear time
    ordered, at, stop = length[order], start[order], end[order]
    hashes = (ordered.astype(np.uint64) ^ _SEED) * _MULTIPLIER
    hashes ^= hashes >> _QUAD
    short = int(np.searchsorted(ordered, _WIDE))
    shift = (np.maximum(8 - ordered[:short], 0) << 3).astype(np.uint64)
    _stir(hashes[:short], words[stop[:short] - 8] >> shift)
    for begin in np.searchsorted(ordered[:short], np.arange(8, _WIDE, 8), side="right").tolist():
        _stir(hashes[begin:short], words[at[begin:short]])
        at[begin:short] += 8
    if short < len(order):
        wide = _windows(buffer, f"V{_WIDE}", _WIDE)
        _stir(hashes[short:], wide[stop[short:] - _WIDE])
        most = min(int(ordered[-1]), _LONGEST)
        for begin in np.searchsorted(ordered, np.arange(_WIDE, most, _WIDE), side="right").tolist():
            _stir(hashes[begin:], wide[at[begin:]])
            at[begin:] += _WIDE
    result = np.empty_like(hashes)
    result[order] = hashes
    for row in np.flatnonzero(length > _LONGEST).tolist():
        result[row] = hash(buffer[int(start[row]) : int(end[row])]) & 0xFFFFFFFFFFFFFFFF
    return result


def _stir(hashes: UInt64, parts: npt.NDArray[Any]) -> None:
    """Takes parts of one or several words, an array of its own, into the hashes.

    A multiplication only takes up: what differs in the highest bits of words alone is brought down first.
    """
    columns = parts.view("<u8").reshape(-1, parts.dtype.itemsize // 8)
    columns ^= columns >> _QUAD
    for word in range(columns.shape[1]):
        hashes ^= columns[:, word]
        hashes *= _MULTIPLIER
    hashes ^= hashes >> _QUAD
