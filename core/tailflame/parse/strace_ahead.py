"""Blocks of a strace log, read by a thread that is ahead of the one who puts them together.

numpy lets another thread run while it works on an array, so that both get on side by side. (More threads than one wait
for each other: two readers took longer than one, on two processors.) What the reader has met in later blocks is not to
show in earlier ones, and the numbers of texts not to depend on which of both was first: it has tables of its own, whose
numbers are translated block by block.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from tailflame.model.stacks import Int32
from tailflame.parse.strace_block import BlockReader
from tailflame.parse.strace_bytes import Interned
from tailflame.parse.strace_columns import Layout, Lines, Tables, cut, padded

_AHEAD = 2
"""Blocks that may wait."""


class _Block(NamedTuple):
    """A block with its padding, its lines, and how many texts of each table were met up to its end."""

    text: bytes
    lines: Lines
    met: tuple[int, int, int]


def read_ahead(blocks: Iterable[bytes], layout: Layout, tables: Tables) -> Generator[tuple[bytes, Lines]]:
    """Each block with its padding, and its lines, the usual ones read, with the numbers of `tables`."""
    own = Tables()
    reader = BlockReader(layout, own)
    names, errors, places = (
        _Translation(one, other)
        for one, other in ((own.names, tables.names), (own.errors, tables.errors), (own.places, tables.places))
    )

    def read(text: bytes, lines: Lines) -> _Block:
        reader.read(text, lines)
        return _Block(text, lines, (len(own.names.texts), len(own.errors.texts), len(own.places.texts)))

    def numbered(waiting: Future[_Block]) -> tuple[bytes, Lines]:
        text, lines, met = waiting.result()
        lines.name = names.of(lines.name, met[0])
        lines.error = errors.of(lines.error, met[1])
        lines.place = places.of(lines.place, met[2])
        return text, lines

    queue: deque[Future[_Block]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="strace log")
    try:
        for block in blocks:
            queue.append(pool.submit(read, padded(block), cut(block)))
            if len(queue) > _AHEAD:
                yield numbered(queue.popleft())
        while queue:
            yield numbered(queue.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


class _Translation:
    """The numbers of one table as those of another, in which texts get theirs in the order of blocks."""

    def __init__(self, own: Interned, shared: Interned) -> None:
        self._own, self._shared = own, shared
        self._known: Int32 = np.empty(0, np.int32)

    def of(self, numbers: Int32, met: int) -> Int32:
        """met: how many texts the own table had at that time; -1 and below stay."""
        if len(self._known) < met:
            fresh = [self._shared.number(text) for text in self._own.texts[len(self._known) : met]]
            self._known = np.append(self._known, np.array(fresh, dtype=np.int32))
        return np.where(numbers >= 0, self._known[numbers], numbers) if met else numbers
