"""Stacks as flat runs of frame numbers, merged into a StackTable: the fast way for big files.

StackBuilder works row by row through dictionaries; this works level by level on arrays, so that its memory is that of
the distinct stacks, and any depth is as good as any other. Two things make it fast. The stacks of a level stand in the
order of their callers' rows, so that those of one caller stand together, and only callers with several callees have
anything to sort: by frame, so that frames that are numbered by name make siblings that stand by name. And stacks that
no other shares a caller with need no comparing any more, down to their ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tailflame.model import NONE, StackTable
from tailflame.model.stacks import Bool, Int32, Int64, readonly

ROWS_LIMIT = 24_000_000
"""Most rows. A row takes about 110 bytes until it is drawn; recordings of hours have a few million."""

_FEW = 2_000
"""Stacks, each alone below its caller, up to which the rest of their rows is made at once, not level by level."""


class TooManyStacks(Exception):
    """There are more than ROWS_LIMIT distinct stack prefixes. `load` says so of the file."""


class _Rows(NamedTuple):
    """Rows of one depth with successive numbers from `first` on."""

    first: int
    parent: Int32
    frame: Int32


@dataclass(slots=True)
class _Level:
    """The rows of one depth: as they came, and the first `indexed` pieces of them by sorted key."""

    pieces: list[_Rows] = field(default_factory=list)
    indexed: int = 0
    keys: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    rows: Int32 = field(default_factory=lambda: np.empty(0, np.int32))

    def find(self, keys: Int64) -> Int64:
        """The row of each key, -1 where there is none."""
        if self.indexed < len(self.pieces):
            fresh = self.pieces[self.indexed :]
            self.indexed = len(self.pieces)
            added = np.concatenate([_keys(piece.parent, piece.frame) for piece in fresh])
            numbers = np.concatenate([np.arange(p.first, p.first + len(p.frame), dtype=np.int32) for p in fresh])
            order = np.argsort(added)
            at = np.searchsorted(self.keys, added[order])
            self.keys = np.insert(self.keys, at, added[order])
            self.rows = np.insert(self.rows, at, numbers[order])
        if not len(self.keys):
            return np.full(len(keys), NONE, np.int64)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.rows[at], NONE).astype(np.int64)


@dataclass(slots=True)
class _Live:
    """Stacks that go on at a depth, in the order of their callers' rows: which they are, where their next frame stands
    in the flat array and where their last one ends, and the row of their caller."""

    stack: Int64
    at: Int64
    end: Int64
    parent: Int32

    def take(self, which: Int64 | Bool) -> None:
        self.stack, self.at, self.end, self.parent = (
            self.stack[which],
            self.at[which],
            self.end[which],
            self.parent[which],
        )


@dataclass(slots=True)
class Trie:
    """Grows a StackTable. Row numbers stay as they were given out."""

    _levels: list[_Level] = field(default_factory=list)
    _size: int = 0
    _in_order: bool = True

    def __len__(self) -> int:
        return self._size

    def add(self, frames: npt.ArrayLike, lengths: npt.ArrayLike) -> Int32:
        """The leaf row of each stack; -1 for a stack without frames.

        frames: the stacks' frame numbers one after another, each root first; lengths: frames per stack.
        Raises TooManyStacks.
        """
        flat = np.asarray(frames, dtype=np.int32)
        length = np.asarray(lengths, dtype=np.int64)
        end = np.cumsum(length)
        leaf = np.full(len(length), NONE, dtype=np.int32)
        stacks = np.flatnonzero(length > 0)
        live = _Live(stacks, (end - length)[stacks], end[stacks], np.full(len(stacks), NONE, dtype=np.int32))
        known_rows = self._size
        self._in_order &= not known_rows
        depth = 0
        while len(live.stack):
            frame = flat[live.at]
            first = _grouped(live, frame, flat)
            if first is None:
                parent, row = live.parent, None
                frame = flat[live.at]
            else:
                parent, frame = live.parent[first], flat[live.at[first]]
                row = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(live.stack))))
            number, is_old = self._numbered(depth, parent, frame, known_rows)
            live.parent = number if row is None else number[row]
            live.at += 1
            depth += 1
            goes_on = live.at < live.end
            if not goes_on.all():
                done = ~goes_on
                leaf[live.stack[done]] = live.parent[done]
                live.take(goes_on)
            if is_old:
                live.take(np.argsort(live.parent, kind="stable"))
            elif row is None and len(live.stack) < _FEW:
                leaf[live.stack] = self._tails(depth, live, flat)
                break
        return leaf

    def grow(self, depth: int, parent: Int32, frame: Int32) -> Int32:
        """The rows of (parent, frame) pairs at `depth`, new ones numbered onwards; parents are of `depth` - 1.

        Raises TooManyStacks.
        """
        keys, inverse = np.unique(_keys(parent, frame), return_inverse=True)
        self._in_order = False
        parents, frames = (keys >> 32).astype(np.int32), (keys & 0xFFFFFFFF).astype(np.int32)
        number, _ = self._numbered(depth, parents, frames, self._size)
        return number[inverse]

    def table(self) -> StackTable:
        """All rows under the numbers that were given out."""
        parent = np.empty(self._size, np.int32)
        frame = np.empty(self._size, np.int32)
        for level in self._levels:
            for piece in level.pieces:
                parent[piece.first : piece.first + len(piece.frame)] = piece.parent
                frame[piece.first : piece.first + len(piece.frame)] = piece.frame
        return StackTable(frame=_owned(frame), parent=_owned(parent))

    def ordered(self) -> tuple[StackTable, Int32]:
        """All rows by depth, and within a depth by their callers' rows and then their frames, as trees are fastest made
        of; and where each row that was given out stands in it."""
        if self._in_order:
            return self.table(), np.arange(self._size, dtype=np.int32)
        place = np.empty(self._size, np.int32)
        parents, frames = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
        done = 0
        for level in self._levels:
            rows = np.concatenate([np.arange(p.first, p.first + len(p.frame)) for p in level.pieces])
            above = np.concatenate([p.parent for p in level.pieces])
            above[above >= 0] = place[above[above >= 0]]
            frame = np.concatenate([p.frame for p in level.pieces])
            order = np.argsort(_keys(above, frame))
            place[rows[order]] = np.arange(done, done + len(rows), dtype=np.int32)
            done += len(rows)
            parents.append(above[order])
            frames.append(frame[order])
        return StackTable(frame=_owned(np.concatenate(frames)), parent=_owned(np.concatenate(parents))), place

    def _numbered(self, depth: int, parent: Int32, frame: Int32, known_rows: int) -> tuple[Int32, bool]:
        """The rows of distinct pairs, and whether some of them were known. Callers from `known_rows` on are new, so
        that nothing below them is known."""
        level = self._level(depth)
        if level.pieces and (not depth or int(parent.min()) < known_rows):
            found = level.find(_keys(parent, frame))
            fresh = found < 0
            number = np.where(fresh, self._size - 1 + np.cumsum(fresh), found).astype(np.int32)
            self._new(level, parent[fresh], frame[fresh])
            return number, True
        number = np.arange(self._size, self._size + len(frame), dtype=np.int32)
        self._new(level, parent, frame)
        return number, False

    def _tails(self, depth: int, live: _Live, flat: Int32) -> Int32:
        """Makes the rows of all that is left of stacks that share nothing any more; their last rows."""
        length = live.end - live.at
        total = int(length.sum())
        before = np.cumsum(length) - length
        step = np.arange(total) - np.repeat(before, length)
        order = np.argsort(step, kind="stable")
        number = np.empty(total, dtype=np.int32)
        number[order] = np.arange(self._size, self._size + total, dtype=np.int32)
        parent = np.empty(total, dtype=np.int32)
        parent[1:] = number[:-1]
        parent[before] = live.parent
        frame = flat[np.repeat(live.at, length) + step][order]
        parent = parent[order]
        begin = 0
        for size in np.bincount(step).tolist():
            self._new(self._level(depth), parent[begin : begin + size], frame[begin : begin + size])
            begin += size
            depth += 1
        return np.asarray(number[before + length - 1])

    def _level(self, depth: int) -> _Level:
        if depth == len(self._levels):
            self._levels.append(_Level())
        return self._levels[depth]

    def _new(self, level: _Level, parent: Int32, frame: Int32) -> None:
        if not len(frame):
            return
        level.pieces.append(_Rows(self._size, parent, frame))
        self._size += len(frame)
        if self._size > ROWS_LIMIT:
            raise TooManyStacks


def _grouped(live: _Live, frame: Int32, flat: Int32) -> Int64 | None:
    """Where each run of equal callers and frames begins, the stacks so moved that equal ones stand together; None where
    each stack is a run of its own."""
    together = live.parent[1:] == live.parent[:-1]
    if not together.any():
        return None
    differs = ~together | (frame[1:] != frame[:-1])
    first = np.append(0, np.flatnonzero(differs) + 1)
    # Runs of one caller, where it has several.
    parent = live.parent[first]
    several = parent[1:] == parent[:-1]
    if several.any():
        several = np.append(False, several) | np.append(several, False)
        runs = np.flatnonzero(several)
        keys = _keys(parent[runs], frame[first[runs]])
        if (keys[1:] < keys[:-1]).any():  # the callees of some caller are not in order, or come again after others
            length = np.diff(np.append(first, len(frame)))
            moved = np.flatnonzero(np.repeat(several, length))
            runs = runs[np.argsort(keys)]
            length = length[runs]
            order = np.arange(len(frame))
            order[moved] = np.repeat(first[runs] - np.cumsum(length) + length, length) + np.arange(len(moved))
            live.take(order)
            frame = frame[order]
            differs = (live.parent[1:] != live.parent[:-1]) | (frame[1:] != frame[:-1])
            first = np.append(0, np.flatnonzero(differs) + 1)
    return None if len(first) == len(frame) else first


def _keys(parent: Int32, frame: Int32) -> Int64:
    return np.asarray(parent.astype(np.int64) << 32 | frame)


def _owned(array: Int32) -> Int32:
    """The array itself, made read-only: a copy of millions of rows takes its time."""
    return readonly(array, np.int32) if array.base is not None else _locked(array)


def _locked(array: Int32) -> Int32:
    array.flags.writeable = False
    return array
