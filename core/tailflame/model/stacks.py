"""A profile of call stacks as a few read-only arrays.

One integer per sample (its leaf stack), one row per distinct stack prefix (frame, parent), parents before
children, -1 as the sentinel everywhere. CPU, heap and differences all use these same tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tailflame.units import Unit

# numpy's stubs lose the element type in most arithmetic: these tell the reader, not the checker.
Int32: TypeAlias = npt.NDArray[Any]
Int64: TypeAlias = npt.NDArray[Any]
UInt64: TypeAlias = npt.NDArray[Any]
Float64: TypeAlias = npt.NDArray[Any]
UInt8: TypeAlias = npt.NDArray[Any]
Bool: TypeAlias = npt.NDArray[Any]

NONE = -1
"""The sentinel of every index column: no parent, no module, no file, unknown time."""

IMPLAUSIBLE_SAMPLES = 100_000_000
"""Nobody has so many samples in a file of stacks: an hour at 997 Hz on 32 processors has as many. A file with larger
counts holds the sum of perf's periods (nanoseconds or cycles)."""


class FrameKind(IntEnum):
    """Where a frame's code lives."""

    USER = 0
    KERNEL = 1
    INLINED = 2
    JIT = 3
    OTHER = 4  # not code: a process or thread root, "all", a separator, an unresolved address
    UNKNOWN = 5  # the file does not tell (a folded stack without annotations)


class Weight(IntEnum):
    """Which column weighs a sample."""

    SAMPLES = 0  # how often it was seen, in the event's `counted_in`
    PERIOD = 1  # how many of the event's own units it stands for


def readonly(values: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """A contiguous array of `dtype` that cannot be written to."""
    array = np.ascontiguousarray(values, dtype=dtype)
    if array.base is not None or array is values:
        array = array.copy()
    array.flags.writeable = False
    return array


@dataclass(frozen=True, slots=True, eq=False)
class FrameTable:
    """Distinct frames: a function at a place. Columns have one entry per frame.

    name, module, file: indices into `strings` (-1: unknown); line: 1-based source line (-1: unknown);
    kind: FrameKind.
    """

    strings: tuple[str, ...]
    name: Int32
    module: Int32
    file: Int32
    line: Int32
    kind: UInt8

    def __len__(self) -> int:
        return len(self.name)

    def name_of(self, frame: int) -> str:
        return self.strings[int(self.name[frame])]

    def module_of(self, frame: int) -> str:
        """The module's path or bracketed name, "" where unknown."""
        index = self.module[frame]
        return self.strings[index] if index >= 0 else ""

    def file_of(self, frame: int) -> str:
        index = self.file[frame]
        return self.strings[index] if index >= 0 else ""

    def place_of(self, frame: int) -> str:
        """ "file:line", "file", or ""."""
        file = self.file_of(frame)
        return f"{file}:{self.line[frame]}" if file and self.line[frame] > 0 else file

    def names(self) -> list[str]:
        """The name of each frame, in frame order."""
        strings = self.strings
        return [strings[i] for i in self.name]


@dataclass(frozen=True, slots=True, eq=False)
class StackTable:
    """Distinct stack prefixes as a trie: `frame` and `parent` per row, parents come first.

    No two rows share (parent, frame): StackBuilder and analyse.tree keep it so.
    """

    frame: Int32
    parent: Int32

    def __len__(self) -> int:
        return len(self.frame)

    def depths(self) -> Int32:
        """Depth of each row, roots 0. Works for any depth without recursion."""
        depth = np.zeros(len(self.frame), dtype=np.int32)
        ancestor = self.parent.astype(np.int64)
        # Pointer doubling: after k rounds `ancestor` is 2^k steps up and `depth` counts those steps.
        depth[ancestor >= 0] = 1
        while True:
            live = np.flatnonzero(ancestor >= 0)
            if not len(live):
                return depth
            up = ancestor[live]
            depth[live] += depth[up]
            ancestor[live] = ancestor[up]

    def path(self, stack: int) -> list[int]:
        """Rows from the root to `stack`."""
        rows: list[int] = []
        while stack >= 0:
            rows.append(stack)
            stack = int(self.parent[stack])
        return rows[::-1]


@dataclass(frozen=True, slots=True, eq=False)
class SiteTable:
    """Distinct instructions at which samples were taken: only the sampled function's, not its callers'.

    module: index into the frames' `strings` (-1: unknown); address: as linked, which is what objdump shows of the
    module's file; of the kernel, the address at run time.
    """

    module: Int32
    address: UInt64

    def __len__(self) -> int:
        return len(self.address)


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread that was sampled; -1 where the file does not tell."""

    name: str
    pid: int = NONE
    tid: int = NONE


@dataclass(frozen=True, slots=True)
class Event:
    """What was sampled, or counted: its name and the unit of its period column.

    `has_period` is False where weights are plain counts, so that Weight.PERIOD means nothing. counted_in: what one of
    the count column is. exact: each was counted, as heaptrack counts allocations, and none was estimated from samples,
    so that a difference holds no noise of sampling (runs may differ all the same).
    """

    name: str
    unit: Unit = Unit.SAMPLES
    has_period: bool = False
    counted_in: Unit = Unit.SAMPLES
    exact: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class SampleTable:
    """One row per sample, or per group of equal samples where the file has merged them.

    stack: row of the StackTable (-1: empty stack); count: samples in this row (float: SVG and folded
    files may hold fractions); period: weight in the event's unit; time_ns: CLOCK_MONOTONIC or the
    file's own clock (-1: unknown); thread: index into `threads` (-1); cpu (-1); event: index into `events`;
    site: row of the profile's SiteTable (-1: unknown), None where the profile has none.
    """

    stack: Int32
    count: Float64
    period: Float64
    time_ns: Int64
    thread: Int32
    cpu: Int32
    event: Int32
    site: Int32 | None = None

    def __len__(self) -> int:
        return len(self.stack)

    def at(self, rows: Bool | Int64) -> SampleTable:
        """The rows that `rows` (a mask, or row numbers) chooses."""
        columns: dict[str, Any] = {}
        for field_ in fields(SampleTable):
            column = getattr(self, field_.name)
            columns[field_.name] = None if column is None else readonly(column[rows], column.dtype)
        return SampleTable(**columns)


@dataclass(frozen=True, slots=True, eq=False)
class StackProfile:
    """Samples with their stacks. Immutable; every view is arithmetic on it."""

    frames: FrameTable
    stacks: StackTable
    samples: SampleTable
    threads: tuple[Thread, ...]
    events: tuple[Event, ...]
    approximate: bool = False
    """True where the source does not allow exact totals (an old integer-pixel SVG)."""
    in_time_order: bool = False
    """True where rows are in the order of time (recordings; flame charts), even without time stamps."""
    sites: SiteTable | None = None
    """Instructions that `samples.site` points to; None where the file keeps no addresses."""

    def weights(self, *, event: int = 0, weight: Weight = Weight.SAMPLES) -> Float64:
        """Weight of each sample row; 0 for rows of other events."""
        column = self.samples.period if self._uses_period(event, weight) else self.samples.count
        return np.where(self.samples.event == event, column, 0.0)

    def unit(self, *, event: int = 0, weight: Weight = Weight.SAMPLES) -> Unit:
        return self.events[event].unit if self._uses_period(event, weight) else self.events[event].counted_in

    def total(self, *, event: int = 0, weight: Weight = Weight.SAMPLES) -> float:
        return float(self.weights(event=event, weight=weight).sum())

    def _uses_period(self, event: int, weight: Weight) -> bool:
        return weight is Weight.PERIOD and self.events[event].has_period


@dataclass(slots=True)
class StackBuilder:
    """Builds a StackProfile row by row. Interns strings, frames and stacks; used by parsers only.

    >>> b = StackBuilder()
    >>> leaf = b.stack([b.frame("main"), b.frame("work")])
    >>> b.sample(leaf, count=3)
    """

    events: list[Event] = field(default_factory=list)
    threads: list[Thread] = field(default_factory=list)
    _strings: dict[str, int] = field(default_factory=dict)
    _frames: dict[tuple[int, int, int, int, int], int] = field(default_factory=dict)
    _stacks: dict[tuple[int, int], int] = field(default_factory=dict)
    _threads: dict[Thread, int] = field(default_factory=dict)
    _rows: list[tuple[int, float, float, int, int, int, int]] = field(default_factory=list)

    def string(self, text: str) -> int:
        """Index of `text`; -1 for the empty string, which stands for "unknown"."""
        if not text:
            return NONE
        return self._strings.setdefault(text, len(self._strings))

    def frame(
        self,
        name: str,
        *,
        module: str = "",
        file: str = "",
        line: int = NONE,
        kind: FrameKind = FrameKind.USER,
    ) -> int:
        """Index of a frame. An empty name is kept as such (folded files have them)."""
        name_index = self._strings.setdefault(name, len(self._strings))
        key = (name_index, self.string(module), self.string(file), line, int(kind))
        return self._frames.setdefault(key, len(self._frames))

    def push(self, parent: int, frame: int) -> int:
        """The stack that is `parent` (-1: none) with `frame` on top."""
        return self._stacks.setdefault((parent, frame), len(self._stacks))

    def stack(self, frames: Iterable[int]) -> int:
        """The stack of `frames`, root first; -1 for no frames."""
        at = NONE
        for frame in frames:
            at = self._stacks.setdefault((at, frame), len(self._stacks))
        return at

    def thread(self, thread: Thread) -> int:
        index = self._threads.get(thread)
        if index is None:
            index = self._threads[thread] = len(self.threads)
            self.threads.append(thread)
        return index

    def event(self, event: Event) -> int:
        """Index of the event with this name; the first one given under a name stays."""
        for index, known in enumerate(self.events):
            if known.name == event.name:
                return index
        self.events.append(event)
        return len(self.events) - 1

    def sample(
        self,
        stack: int,
        *,
        count: float = 1.0,
        period: float | None = None,
        time_ns: int = NONE,
        thread: int = NONE,
        cpu: int = NONE,
        event: int = 0,
    ) -> None:
        """Adds one row; `period` defaults to `count`."""
        self._rows.append((stack, count, count if period is None else period, time_ns, thread, cpu, event))

    def __len__(self) -> int:
        return len(self._rows)

    def build(self, *, approximate: bool = False, in_time_order: bool = False) -> StackProfile:
        """The finished profile. Without an event of its own it counts "samples"."""
        columns: Sequence[Any] = list(zip(*self._rows, strict=True)) if self._rows else [()] * 7
        frames = list(zip(*self._frames, strict=True)) if self._frames else [()] * 5
        stacks = list(zip(*self._stacks, strict=True)) if self._stacks else [()] * 2
        return StackProfile(
            frames=FrameTable(
                strings=tuple(self._strings),
                name=readonly(frames[0], np.int32),
                module=readonly(frames[1], np.int32),
                file=readonly(frames[2], np.int32),
                line=readonly(frames[3], np.int32),
                kind=readonly(frames[4], np.uint8),
            ),
            stacks=StackTable(frame=readonly(stacks[1], np.int32), parent=readonly(stacks[0], np.int32)),
            samples=SampleTable(
                stack=readonly(columns[0], np.int32),
                count=readonly(columns[1], np.float64),
                period=readonly(columns[2], np.float64),
                time_ns=readonly(columns[3], np.int64),
                thread=readonly(columns[4], np.int32),
                cpu=readonly(columns[5], np.int32),
                event=readonly(columns[6], np.int32),
            ),
            threads=tuple(self.threads),
            events=tuple(self.events) or (Event("samples"),),
            approximate=approximate,
            in_time_order=in_time_order,
        )
