"""Memory over time, and what is known of a heap beside its call stacks.

The stacks of a heap are an ordinary StackProfile. Its events are exact and say what is weighed: those of this module's
names, and one event for each snapshot that has a call tree ("Snapshot 14").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from tailflame.model.stacks import NONE, Float64, Int32, readonly

PEAK = "Peak heap"
"""What was in use when most was: period in bytes, counted in blocks."""
ALLOCATED = "Allocated"
"""Everything that was ever asked for: period in bytes, counted in allocations."""
TEMPORARY = "Temporary"
"""What was freed before anything else was allocated: counted in allocations; no period where the bytes are unknown."""
LEAKED = "Leaked"
"""What was never freed: period in bytes, counted in blocks."""
IN_USE = "In use"
"""What was in use when the file was written: period in bytes, counted in blocks."""


class TimeUnit(StrEnum):
    """What the time of a heap is measured in."""

    SECONDS = "s"
    INSTRUCTIONS = "i"
    BYTES = "B"
    """Allocated and freed so far."""


class Counted(StrEnum):
    """What the memory of a heap recording is."""

    BLOCKS = "blocks"
    """What the allocator hands out."""
    PAGES = "pages"
    """All that is mapped, code and data included."""
    STACKS = "stacks"
    """The threads' stacks alone: nobody asked for the heap."""


PEAK_OF = {Counted.BLOCKS: PEAK, Counted.PAGES: "Peak of mapped pages", Counted.STACKS: "Peak of stacks"}
"""What the most of each is called."""


def words_of_peak(counted: Counted) -> str:
    """The same inside a sentence, or a table: "peak heap"."""
    words = PEAK_OF[counted]
    return words[0].lower() + words[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeapFacts:
    """Totals of the run, bytes or counts. None: the file does not tell, which is not zero.

    temporary: freed before the next allocation, by pointer. temporary_reported: the same as heaptrack_print counts it,
    which takes one block for another of the same size and stack. leaked excludes what suppressions name (`suppressed`).
    """

    allocations: float | None = None
    allocated: float | None = None
    temporary: float | None = None
    temporary_reported: float | None = None
    peak: float | None = None
    """Bytes in use at the peak, as the program asked for them."""
    peak_extra: float | None = None
    """What the allocator added at the same moment."""
    peak_stacks: float | None = None
    """What the threads' stacks held at the same moment."""
    peak_time: float | None = None
    peak_rss: float | None = None
    leaked: float | None = None
    leaked_blocks: float | None = None
    suppressed: float | None = None
    sampled_every: float | None = None
    """Bytes between two samples, where allocations were sampled (jemalloc): the figures are then estimates."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class HeapTimeline:
    """Memory over time: one row per snapshot or time stamp, in the order of time.

    time: in `time_unit`. heap: bytes in use as the program asked for them; extra: what the allocator adds; stacks; rss:
    the process's resident memory. allocations, temporary: calls so far. NaN where the file does not tell.
    event: the profile's event that holds the row's call tree, -1 for none. number: the row as the tool counts it.
    peak: the row with the most, -1 for none; peak_marked: the tool itself says which it is.
    sizes, size_calls: the size histogram: upper bounds of sizes in bytes (the last may be infinite), allocations each.
    suppressions: patterns of leaks that are not counted, as the file or the tool has them.
    counted: what `heap` is; with STACKS it is NaN throughout.
    """

    time_unit: TimeUnit
    time: Float64
    heap: Float64
    extra: Float64
    stacks: Float64
    rss: Float64
    allocations: Float64
    temporary: Float64
    event: Int32
    number: Int32
    peak: int = NONE
    peak_marked: bool = False
    sizes: Float64 = field(default_factory=lambda: readonly([], np.float64))
    size_calls: Float64 = field(default_factory=lambda: readonly([], np.float64))
    facts: HeapFacts = field(default_factory=HeapFacts)
    suppressions: tuple[str, ...] = ()
    counted: Counted = Counted.BLOCKS

    def __len__(self) -> int:
        return len(self.time)

    @property
    def total(self) -> Float64:
        """Bytes of all that is known of each row: heap, what the allocator adds, and stacks."""
        return readonly(np.nansum([self.heap, self.extra, self.stacks], axis=0), np.float64)

    def rows_with_stacks(self) -> list[int]:
        """The rows whose call tree can be shown."""
        return [int(row) for row in np.flatnonzero(self.event >= 0)]
