"""Blocks of folded stacks as arrays: the usual line, `main;parse;read 42`, without a Python step for each.

Whatever is not usual (comments, fractions, other blanks, lines without a count) is handed to the caller line by line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailflame.model.stacks import Bool, Float64, Int32, Int64
from tailflame.parse.token_table import PAD, TokenTable

_LINE_END, _SPACE, _SEMICOLON, _HASH, _ZERO = b"\n \x3b\x23\x30"
_DIGITS = 15
"""Of a count: as many fit into a float. Longer ones are not usual."""


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """The lines of a block.

    counted: those that are usual and weigh something; frames: their frame numbers, one after another; length: per line
    (0 for the others); count: per line; usual: how many are; odd: those that are neither usual nor empty, to be read
    by themselves.
    """

    counted: Bool
    frames: Int32
    length: Int64
    count: Float64
    usual: int
    odd: Int64
    _buffer: bytes
    _start: Int64
    _end: Int64

    def text(self, line: int) -> str:
        return self._buffer[int(self._start[line]) : int(self._end[line])].decode(errors="backslashreplace")


def read_block(block: bytes, table: TokenTable) -> Lines:
    """block: whole lines, each with its end; carriage returns are gone already."""
    buffer = b"".join((PAD, block, PAD))
    data = np.frombuffer(buffer, np.uint8)
    inner = data[len(PAD) : -len(PAD)]
    is_end = inner == _LINE_END
    stops = np.flatnonzero(is_end | (inner == _SEMICOLON)) + len(PAD)
    last = np.flatnonzero(data[stops] == _LINE_END)  # of each line's stops
    end = stops[last]
    start = np.append(len(PAD), end[:-1] + 1)
    count, space = _counts(data, start, end)
    usual = space > start
    usual[usual] = (data[space[usual] - 1] > _SPACE) & (data[start[usual]] != _HASH)
    length = np.diff(np.append(-1, last))
    begin = np.append(len(PAD), stops[:-1] + 1)
    stops[last] = space
    odd = np.flatnonzero(~usual & (end > start))
    good = int(usual.sum())
    usual &= count > 0
    empty_leaf = usual & (data[space - 1] == _SEMICOLON)  # `a;b; 5`: flamegraph.pl drops an empty last frame too
    length = np.where(usual, length, 0)
    if not usual.all() or empty_leaf.any():
        wanted = np.repeat(usual, np.diff(np.append(-1, last)))
        wanted[last[empty_leaf]] = False
        begin, stops = begin[wanted], stops[wanted]
        length[empty_leaf] -= 1
    return Lines(
        counted=usual,
        frames=table.number(buffer, begin, stops) if len(begin) else np.empty(0, np.int32),
        length=length,
        count=count,
        usual=good,
        odd=odd,
        _buffer=buffer,
        _start=start,
        _end=end,
    )


def _counts(data: Int64, start: Int64, end: Int64) -> tuple[Float64, Int64]:
    """The number that ends each line, and where the space before it stands; 0 where the line does not end so."""
    value = np.zeros(len(end), np.int64)
    space = np.zeros(len(end), np.int64)
    live = np.arange(len(end))
    at = end - 1
    scale = 1
    for digits in range(_DIGITS + 1):
        figure = data[at] - _ZERO  # wraps around: what is below "0" is above 9
        is_digit = figure < 10
        if digits:
            done = ~is_digit & (data[at] == _SPACE)
            space[live[done]] = at[done]
        if not is_digit.any() or digits == _DIGITS:
            break
        if is_digit.all():
            value[live] += figure * np.int64(scale)
        else:
            live, at = live[is_digit], at[is_digit]
            value[live] += figure[is_digit] * np.int64(scale)
        at = at - 1
        scale *= 10
    space[space < start] = 0
    return value.astype(np.float64), space
