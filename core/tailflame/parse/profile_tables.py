"""A profile put together from whole tables: the fast way for formats that hold columns rather than lines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tailflame.model import NONE, Caution, Event, FrameKind, FrameTable, SampleTable, StackProfile, Thread
from tailflame.model.stacks import Int32, Int64, readonly
from tailflame.parse.frames import Numbers
from tailflame.parse.trie import Trie

_KERNEL_MODULE = re.compile(r"(?:^|/)vmlinux|\.ko(?:\.(?:xz|zst|gz))?$")
_JIT_MODULE = re.compile(r"(?:^|/)perf-\d+\.map$|(?:^|/)jitted-[^/]*\.so$|^\[JIT\]")
_COLUMNS = ("stack", "count", "period", "time_ns", "thread", "cpu", "event")
_DTYPES = (np.int32, np.float64, np.float64, np.int64, np.int32, np.int32, np.int32)


class EndlessTree(ValueError):
    """Nodes of a tree are their own ancestors."""


@lru_cache(maxsize=10_000)
def kind_of_module(module: str) -> FrameKind:
    """Where the code of a module runs, as far as its name tells."""
    if module.startswith(("[kernel.", "[kernel]", "[guest.")) or _KERNEL_MODULE.search(module):
        return FrameKind.KERNEL
    return FrameKind.JIT if _JIT_MODULE.search(module) else FrameKind.USER


def uncounted(*events: str) -> Caution:
    """Where a file tells what was spent, but not in how many samples."""
    return Caution(
        f"The file does not tell the number of samples of {', '.join(events)}: what counts as samples here is what was"
        " spent, so that how far noise goes cannot be told."
    )


def below_zero(number: int) -> Caution:
    """Where a file holds the difference of two profiles."""
    what = "1 value below zero was" if number == 1 else f"{number:,} values below zero were"
    return Caution(
        f"{what} left out: the file is the difference of two profiles.", "Open the two profiles and compare them here."
    )


@dataclass(slots=True)
class ProfileTables:
    """Frames one by one, stacks by the table, samples by the column."""

    events: list[Event] = field(default_factory=list)
    threads: list[Thread] = field(default_factory=list)
    _thread_numbers: dict[Thread, int] = field(default_factory=dict)
    _strings: Numbers = field(default_factory=Numbers)
    _frames: dict[tuple[int, int, int, int, int], int] = field(default_factory=dict)
    _trie: Trie = field(default_factory=Trie)
    _chunks: list[tuple[npt.ArrayLike, ...]] = field(default_factory=list)
    _rows: int = 0

    def __len__(self) -> int:
        return self._rows

    def frame(
        self, name: str, *, module: str = "", file: str = "", line: int = NONE, kind: FrameKind = FrameKind.USER
    ) -> int:
        """Index of a frame; equal frames are one. Lines that are none (0, or beyond 32 bits) count as unknown."""
        key = (
            self._strings[name],
            self._strings[module] if module else NONE,
            self._strings[file] if file else NONE,
            line if 0 < line < 2**31 else NONE,
            int(kind),
        )
        return self._frames.setdefault(key, len(self._frames))

    def thread(self, thread: Thread) -> int:
        index = self._thread_numbers.get(thread)
        if index is None:
            index = self._thread_numbers[thread] = len(self.threads)
            self.threads.append(thread)
        return index

    def event(self, event: Event) -> int:
        """Index of the event with this name; the first one given under a name stays."""
        for index, known in enumerate(self.events):
            if known.name == event.name:
                return index
        self.events.append(event)
        return len(self.events) - 1

    def stacks(self, frames: npt.ArrayLike, lengths: npt.ArrayLike) -> Int32:
        """The stack of each run of frames, root first; -1 for an empty one."""
        return self._trie.add(frames, lengths)

    def nodes(self, parent: npt.ArrayLike, frame: npt.ArrayLike) -> Int32:
        """The stack that each node of a tree ends; nodes that say the same become one.

        parent: index of a node, in any order, -1 for roots. frame: the node's, -1: the node stands for its parent.
        Raises EndlessTree.
        """
        parents = np.array(parent, dtype=np.int64)
        frames = np.asarray(frame, dtype=np.int64)
        rows = np.full(len(parents), NONE, dtype=np.int32)
        left_out = frames < 0
        _check(parents)
        while left_out.any():  # hang children of a node without a frame to its parent, until none is left
            through = np.flatnonzero((parents >= 0) & left_out[parents])
            if not len(through):
                break
            parents[through] = parents[parents[through]]
        depth = _depths(np.where(left_out, NONE, parents))
        kept = np.flatnonzero(~left_out)
        order = kept[np.argsort(depth[kept], kind="stable")]
        bounds = np.append(0, np.cumsum(np.bincount(depth[order]))) if len(order) else np.zeros(1, np.int64)
        for level, (first, last) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
            at = order[first:last]
            above = parents[at]
            known = np.where(above >= 0, rows[above], NONE).astype(np.int32)
            rows[at] = self._trie.grow(level, known, frames[at].astype(np.int32))
        empty = np.flatnonzero(left_out & (parents >= 0))
        rows[empty] = rows[parents[empty]]
        return rows

    def add(
        self,
        stack: npt.ArrayLike,
        *,
        count: npt.ArrayLike = 1.0,
        period: npt.ArrayLike | None = None,
        time_ns: npt.ArrayLike = NONE,
        thread: npt.ArrayLike = NONE,
        cpu: npt.ArrayLike = NONE,
        event: npt.ArrayLike = 0,
    ) -> None:
        """Rows of samples: columns, or one value for all rows. `period` defaults to `count`."""
        rows = np.asarray(stack)
        columns = (rows, count, count if period is None else period, time_ns, thread, cpu, event)
        chunk = tuple(
            np.broadcast_to(np.asarray(column).astype(dtype), rows.shape)
            for column, dtype in zip(columns, _DTYPES, strict=True)
        )
        self._chunks.append(chunk)
        self._rows += len(rows)

    def profile(self, *, in_time_order: bool = False, by_time: bool = False) -> StackProfile:
        """The finished profile; by_time sorts the rows by their time first."""
        name, module, file, line, kind = zip(*self._frames, strict=True) if self._frames else ((),) * 5
        columns = [
            np.concatenate([np.empty(0, dtype), *(chunk[at] for chunk in self._chunks)])
            for at, dtype in enumerate(_DTYPES)
        ]
        if by_time:
            order = np.argsort(columns[3], kind="stable")
            columns = [column[order] for column in columns]
        return StackProfile(
            frames=FrameTable(
                strings=tuple(self._strings),
                name=readonly(name, np.int32),
                module=readonly(module, np.int32),
                file=readonly(file, np.int32),
                line=readonly(line, np.int32),
                kind=readonly(kind, np.uint8),
            ),
            stacks=self._trie.table(),
            samples=SampleTable(
                **{
                    word: readonly(column, dtype)
                    for word, column, dtype in zip(_COLUMNS, columns, _DTYPES, strict=True)
                }
            ),
            threads=tuple(self.threads),
            events=tuple(self.events) or (Event("samples"),),
            in_time_order=in_time_order or by_time,
        )


def _check(parent: Int64) -> None:
    """Raises EndlessTree where following `parent` upwards does not end."""
    if (parent < np.arange(len(parent))).all():
        return
    _depths(parent)


def _depths(parent: Int64) -> Int64:
    """Steps from each node up to its root, by pointer doubling; EndlessTree where there is none."""
    depth = np.zeros(len(parent), dtype=np.int64)
    ancestor = parent.copy()
    depth[ancestor >= 0] = 1
    for _ in range(len(parent).bit_length() + 1):
        live = np.flatnonzero(ancestor >= 0)
        if not len(live):
            return depth
        up = ancestor[live]
        depth[live] += depth[up]
        ancestor[live] = ancestor[up]
    raise EndlessTree
