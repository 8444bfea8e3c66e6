"""Stacks as flat runs of frame numbers, merged into a StackTable in batches: the fast way for big files.

StackBuilder works row by row through dictionaries; this works level by level through sorted arrays, so that
its memory is that of the distinct stacks, and any depth is as good as any other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tailflame.model import NONE, StackTable
from tailflame.model.stacks import Int32, Int64, readonly

ROWS_LIMIT = 24_000_000
"""Most rows. A row takes about 110 bytes until it is drawn; recordings of hours have a few million."""


_FEW = 8
"""Stacks that go on at one depth up to which they are looked at one by one."""


class TooManyStacks(Exception):
    """There are more than ROWS_LIMIT distinct stack prefixes. `load` says so of the file."""


@dataclass(slots=True)
class _Level:
    """The rows of one depth, by sorted key: (parent + 1) << 32 | frame."""

    keys: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    rows: Int32 = field(default_factory=lambda: np.empty(0, np.int32))


@dataclass(slots=True)
class Trie:
    """Grows a StackTable. Row numbers stay as they were given out."""

    _levels: list[_Level] = field(default_factory=list)
    _frames: list[Int32] = field(default_factory=list)
    _parents: list[Int32] = field(default_factory=list)
    _size: int = 0

    def __len__(self) -> int:
        return self._size

    def add(self, frames: npt.ArrayLike, lengths: npt.ArrayLike) -> Int32:
        """The leaf row of each stack; -1 for a stack without frames.

        frames: the stacks' frame numbers one after another, each root first; lengths: frames per stack.
        """
        flat = np.asarray(frames, dtype=np.int32)
        length = np.asarray(lengths, dtype=np.int64)
        start = np.cumsum(length) - length
        leaf = np.full(len(length), NONE, dtype=np.int32)
        live = np.flatnonzero(length > 0)
        parent = np.full(len(live), NONE, dtype=np.int32)
        depth = 0
        while len(live):
            row = self.grow(depth, parent, flat[start[live] + depth])
            depth += 1
            goes_on = length[live] > depth
            leaf[live[~goes_on]] = row[~goes_on]
            live, parent = live[goes_on], row[goes_on]
        return leaf

    def table(self) -> StackTable:
        empty = np.empty(0, np.int32)
        return StackTable(
            frame=readonly(np.concatenate([empty, *self._frames]), np.int32),
            parent=readonly(np.concatenate([empty, *self._parents]), np.int32),
        )

    def grow(self, depth: int, parent: Int32, frame: Int32) -> Int32:
        """The rows of (parent, frame) pairs at `depth`, new ones numbered onwards; parents are of `depth` - 1.

        Raises TooManyStacks.
        """
        wanted: Int64 = ((parent.astype(np.int64) + 1) << 32) | frame
        if depth == len(self._levels):
            self._levels.append(_Level())
        level = self._levels[depth]
        if len(wanted) <= _FEW:
            return self._grow_few(level, wanted.tolist())
        keys, inverse = np.unique(wanted, return_inverse=True)
        at = np.searchsorted(level.keys, keys)
        known = np.zeros(len(keys), dtype=np.bool_)
        inside = at < len(level.keys)
        known[inside] = level.keys[at[inside]] == keys[inside]
        rows = np.empty(len(keys), dtype=np.int32)
        rows[known] = level.rows[at[known]]
        fresh = keys[~known]
        if len(fresh):
            numbers = np.arange(self._size, self._size + len(fresh), dtype=np.int32)
            rows[~known] = numbers
            self._size += len(fresh)
            if self._size > ROWS_LIMIT:
                raise TooManyStacks
            self._frames.append((fresh & 0xFFFFFFFF).astype(np.int32))
            self._parents.append(((fresh >> 32) - 1).astype(np.int32))
            level.keys = np.insert(level.keys, at[~known], fresh)
            level.rows = np.insert(level.rows, at[~known], numbers)
        return rows[inverse]

    def _grow_few(self, level: _Level, wanted: list[int]) -> Int32:
        """The same without arrays for each step: thousands of levels of a stack or two would take seconds."""
        ordered = sorted(set(wanted))
        places = np.searchsorted(level.keys, ordered).tolist()
        row_of: dict[int, int] = {}
        fresh: list[int] = []
        at: list[int] = []
        for key, place in zip(ordered, places, strict=True):
            if place < len(level.keys) and level.keys[place] == key:
                row_of[key] = int(level.rows[place])
            else:
                row_of[key] = self._size + len(fresh)
                fresh.append(key)
                at.append(place)
        if fresh:
            numbers = range(self._size, self._size + len(fresh))
            self._size += len(fresh)
            if self._size > ROWS_LIMIT:
                raise TooManyStacks
            self._frames.append(np.array([key & 0xFFFFFFFF for key in fresh], dtype=np.int32))
            self._parents.append(np.array([(key >> 32) - 1 for key in fresh], dtype=np.int32))
            if len(level.keys):
                level.keys = np.insert(level.keys, at, fresh)
                level.rows = np.insert(level.rows, at, numbers)
            else:
                level.keys = np.array(fresh, dtype=np.int64)
                level.rows = np.array(numbers, dtype=np.int32)
        return np.array([row_of[key] for key in wanted], dtype=np.int32)
