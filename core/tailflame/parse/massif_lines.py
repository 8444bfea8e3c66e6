"""Blocks of a massif file as arrays: the lines of call trees, without a Python step for each.

A line of a tree is `  n1: 995000 0x109359: leak (leaky.cc:6)`: as many blanks as it is deep, "n" with the number of
lines that hang on it, bytes, and what they are (ms_main.c and xtree.c of valgrind). All else, some ten lines for each
snapshot, is handed to the caller as text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tailflame.model.stacks import Bool, Int32, Int64
from tailflame.parse.token_table import PAD, TokenTable

_LINE_END, _SPACE, _COLON, _N, _ZERO = b"\n :n0"
_CHILDREN_DIGITS, _BYTES_DIGITS = 9, 15
"""More than that does not occur, and a float would not hold it."""


@dataclass(frozen=True, slots=True, eq=False)
class TreeLines:
    """The lines of a block.

    line: which of the block's lines are of trees; depth, children, size (bytes): of each of those. others: the numbers
    of the rest. All count from 0.
    """

    lines: int
    line: Int64
    depth: Int32
    children: Int64
    size: Int64
    others: Int64
    _buffer: bytes
    _start: Int64
    _end: Int64
    _first: Int64

    def details(self, table: TokenTable) -> Int32:
        """What stands behind the bytes of each line of a tree, numbered by `table`."""
        if not len(self.line):
            return np.empty(0, np.int32)
        return table.number(self._buffer, self._first, self._end[self.line])

    def text(self, line: int) -> str:
        return self._buffer[int(self._start[line]) : int(self._end[line])].decode(errors="backslashreplace")

    def other_texts(self) -> Iterator[tuple[int, str]]:
        for line in self.others.tolist():
            yield line, self.text(line)


def cut_block(block: bytes) -> TreeLines:
    """block: whole lines, each with its end (LF)."""
    buffer = b"".join((PAD, block, PAD))
    data = np.frombuffer(buffer, np.uint8)
    inner = data[len(PAD) : -len(PAD)]
    end = np.flatnonzero(inner == _LINE_END) + len(PAD)
    start = np.append(len(PAD), end[:-1] + 1)
    # Where an "n" stands at the beginning of a line, or behind a blank. Of each line the first one.
    before = data[len(PAD) - 1 : -len(PAD) - 1]
    marks = np.flatnonzero((inner == _N) & ((before == _SPACE) | (before == _LINE_END))) + len(PAD)
    marks = np.append(marks, len(buffer))
    mark = marks[np.searchsorted(marks, start)]
    is_tree = (mark < end) & ((mark == start) | (data[start] == _SPACE))
    line = np.flatnonzero(is_tree)
    mark = mark[line]
    children, at, good = _numbers(data, mark + 1, _CHILDREN_DIGITS)
    good &= (data[at] == _COLON) & (data[at + 1] == _SPACE)
    size, at, digits = _numbers(data, at + 2, _BYTES_DIGITS)
    good &= digits & (data[at] == _SPACE)
    if not good.all():
        is_tree[line[~good]] = False
        line, mark, children, size, at = line[good], mark[good], children[good], size[good], at[good]
    return TreeLines(
        lines=len(end),
        line=line,
        depth=(mark - start[line]).astype(np.int32),
        children=children,
        size=size,
        others=np.flatnonzero(~is_tree),
        _buffer=buffer,
        _start=start,
        _end=end,
        _first=at + 1,
    )


def _numbers(data: Int64, at: Int64, most: int) -> tuple[Int64, Int64, Bool]:
    """The number that begins at each place, where it ends, and whether it is one of at most so many digits."""
    at = np.minimum(at, len(data) - 2)
    first = data[at] - _ZERO  # wraps around: what is below "0" is above 9
    good = first < 10
    value = first.astype(np.int64)
    at = at + good
    live = np.flatnonzero(good)
    for _ in range(most):
        figure = data[at[live]] - _ZERO
        goes_on = figure < 10
        live = live[goes_on]
        if not len(live):
            return value, at, good
        value[live] = value[live] * 10 + figure[goes_on]
        at[live] += 1
    good[live] = False
    return value, at, good
