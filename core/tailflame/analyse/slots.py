"""Rows of time that never outgrow a stated number: when they are full, old neighbours are merged, a few at a time.

The older half is walked again and again, so that what is old is coarse and what is new is as it came. Nothing is
dropped: each column says how two of its values become one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from tailflame.model.stacks import Bool, Float64, Int64

_FIRST_ROWS = 64
_PAIRS = 32
"""Merged at once: a frame's time holds it."""
_GAP = 0.5
"""Of the shorter of two rows: less time between them is no gap."""


class Merge(Enum):
    """What becomes of two values, the earlier and the later one."""

    FIRST = "first"
    LAST = "last"
    SUM = "sum"
    LEAST = "least"
    MOST = "most"
    MEAN = "mean"
    """Weighted with the seconds of each."""


@dataclass(frozen=True, slots=True)
class Column:
    """`width` 0: one number a row; else so many."""

    merge: Merge
    width: int = 0
    dtype: npt.DTypeLike = np.float64


_TIME = {
    "start_s": Column(Merge.FIRST),
    "end_s": Column(Merge.MOST),
    # What was watched: less than end - start where a gap lies within.
    "seconds": Column(Merge.SUM),
}


class Slots:
    """Rows in order of their start; every table has `start_s`, `end_s` and `seconds` besides its own columns."""

    def __init__(self, capacity: int, **columns: Column) -> None:
        if capacity < 8:
            raise ValueError("a table of time needs at least eight rows")
        self.capacity = capacity
        self._columns = {**_TIME, **columns}
        self._used = 0
        self._cursor = 0
        """Where in the older half the next pairs are looked for."""
        self._data = {name: self._empty(column, min(capacity, _FIRST_ROWS)) for name, column in self._columns.items()}

    def __len__(self) -> int:
        return self._used

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """The rows of a column: a view, good until the next `add`."""
        return self._data[name][: self._used]

    @property
    def full(self) -> bool:
        return self._used >= self.capacity

    def add(self, *, start_s: float, length_s: float, **values: Any) -> int:
        """A new row; where it went. `make_room` first where the table is full."""
        if self.full:
            raise IndexError("the table is full")
        if self._used == len(self._data["start_s"]):
            self._grow()
        length_s = max(length_s, 0.0)
        row = {"start_s": start_s, "end_s": start_s + length_s, "seconds": length_s, **values}
        at = self._used
        if at and start_s < self._data["start_s"][at - 1]:
            at = int(np.searchsorted(self["start_s"], start_s, side="right"))
        for name, data in self._data.items():
            if at < self._used:
                data[at + 1 : self._used + 1] = data[at : self._used].copy()
            data[at] = row[name]
        self._used += 1
        return at

    def make_room(self, *, apart: Bool | None = None) -> Int64:
        """Merges pairs of old rows and says which: the earlier of each, as numbered before. `apart`: bool[rows - 1],
        neighbours that are only merged where nothing else is left to be.
        """
        split = self._gaps() if apart is None else self._gaps() | apart
        half = max(self._used // 2, 2)
        most = min(_PAIRS, max(self.capacity // 8, 1))
        pairs: list[int] = []
        for begin, force in ((self._cursor, False), (0, False), (0, True)):
            pairs = _pairs(split, begin, half, most, force=force)
            if pairs:
                break
        firsts = np.asarray(pairs, dtype=np.int64)
        self._merge(firsts)
        last = int(firsts[-1]) + 2 - len(firsts)
        self._cursor = last if last < half - len(firsts) - 1 else 0
        return firsts

    def _merge(self, firsts: Int64) -> None:
        seconds = self["seconds"]
        one, two = seconds[firsts], seconds[firsts + 1]
        with np.errstate(invalid="ignore"):
            share = np.where(one + two > 0, one / np.where(one + two > 0, one + two, 1.0), 0.5)
        merged = {}
        for name, column in self._columns.items():
            data = self[name]
            early, late = data[firsts], data[firsts + 1]
            match column.merge:
                case Merge.FIRST:
                    merged[name] = early
                case Merge.LAST:
                    merged[name] = late
                case Merge.SUM:
                    merged[name] = early + late
                case Merge.LEAST:
                    merged[name] = np.fmin(early, late)
                case Merge.MOST:
                    merged[name] = np.fmax(early, late)
                case Merge.MEAN:
                    both = early * share + late * (1 - share)
                    merged[name] = np.where(np.isnan(early), late, np.where(np.isnan(late), early, both))
        keep = np.ones(self._used, dtype=np.bool_)
        keep[firsts + 1] = False
        kept = self._used - len(firsts)
        for name, data in self._data.items():
            data[firsts] = merged[name]
            data[:kept] = data[: self._used][keep]
        self._used = kept

    def _gaps(self) -> Bool:
        return gaps_after(self["start_s"], self["end_s"])[:-1]

    def _grow(self) -> None:
        rows = min(len(self._data["start_s"]) * 2, self.capacity)
        for name, column in self._columns.items():
            data = self._empty(column, rows)
            data[: self._used] = self._data[name][: self._used]
            self._data[name] = data

    @staticmethod
    def _empty(column: Column, rows: int) -> npt.NDArray[Any]:
        return np.zeros((rows, column.width) if column.width else rows, dtype=column.dtype)


def in_range(start_s: Float64, end_s: Float64, low_s: float, high_s: float) -> slice:
    """The rows (in order of their start) of which more than half lies in [low_s, high_s); those without a length count
    where they stand.
    """
    middle = (start_s + end_s) / 2
    return slice(int(np.searchsorted(middle, low_s, "left")), int(np.searchsorted(middle, high_s, "left")))


def overlapping(start_s: Float64, end_s: Float64, low_s: float, high_s: float) -> slice:
    """The rows that reach into [low_s, high_s], and one more at each side, to which a line is drawn."""
    first = int(np.searchsorted(end_s, low_s, "left"))
    last = int(np.searchsorted(start_s, high_s, "right"))
    return slice(max(first - 1, 0), max(last + 1, first))


def gaps_after(start_s: Float64, end_s: Float64) -> Bool:
    """bool[rows]: after which rows time is missing, so that a line breaks there."""
    gaps: Bool = np.zeros(len(start_s), dtype=np.bool_)
    length = end_s - start_s
    gaps[:-1] = start_s[1:] - end_s[:-1] > _GAP * np.minimum(length[1:], length[:-1]) + 1e-9
    return gaps


def _pairs(split: Bool, begin: int, end: int, most: int, *, force: bool) -> list[int]:
    """Neighbours in rows [begin, end) to merge, each row in one pair at most."""
    pairs: list[int] = []
    at = begin
    while at + 1 < end and len(pairs) < most:
        if force or not split[at]:
            pairs.append(at)
            at += 2
        else:
            at += 1
    return pairs
