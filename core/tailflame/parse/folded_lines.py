"""Blocks of folded stacks as arrays: the usual line, `main;parse;read 42`, without a Python step for each.

Whatever is not usual (comments, fractions, other blanks, lines without a count) is handed to the caller line by line.
Cutting a block into names and counts needs nothing but the block, so that several threads do it at once: nearly all of
it is numpy's, which lets others run.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tailflame.model.stacks import Bool, Float64, Int32, Int64
from tailflame.parse.token_table import PAD, TokenTable, hashed

_LINE_END, _SPACE, _SEMICOLON, _HASH, _ZERO = b"\n \x3b\x23\x30"
_DIGITS = 15
"""Of a count: as many fit into a float. Longer ones are not usual."""
_MOST_THREADS = 4
"""More cut faster than one numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """The lines of a block.

    counted: those that are usual and weigh something; length: their frames, per line (0 for the others); count: per
    line; usual: how many are; odd: those that are neither usual nor empty, to be read by themselves.
    """

    counted: Bool
    length: Int64
    count: Float64
    usual: int
    odd: Int64
    _buffer: bytes
    _start: Int64
    _end: Int64
    _first: Int64
    _stop: Int64
    _hashes: npt.NDArray[Any]
    _words: int

    def frames(self, table: TokenTable) -> Int32:
        """The frame numbers of the lines that are counted, one after another."""
        if not len(self._first):
            return np.empty(0, np.int32)
        return table.number(self._buffer, self._first, self._stop, self._hashes, self._words)

    def text(self, line: int) -> str:
        return self._buffer[int(self._start[line]) : int(self._end[line])].decode(errors="backslashreplace")


def cut_block(block: bytes, words: int) -> Lines:
    """block: whole lines, each with its end; carriage returns are gone already. words: as the table's."""
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
        length=length,
        count=count,
        usual=good,
        odd=odd,
        _buffer=buffer,
        _start=start,
        _end=end,
        _first=begin,
        _stop=stops,
        _hashes=hashed(buffer, begin, stops, words),
        _words=words,
    )


def cut_blocks(blocks: Iterable[bytes], table: TokenTable, *, many: bool) -> Iterator[Lines]:
    """The blocks in their order. many: whether it pays to start threads for them."""
    if not many:
        for block in blocks:
            yield cut_block(block, table.words)
        return
    workers = min(len(os.sched_getaffinity(0)), _MOST_THREADS)
    ahead: deque[Future[Lines]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="folded") as pool:
        for block in blocks:
            ahead.append(pool.submit(cut_block, block, table.words))
            if len(ahead) > workers + 1:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


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
