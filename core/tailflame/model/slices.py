"""Slices of time, each with a profile of its own: what continuous profiling leaves, or a folder of snapshots."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceFigures:
    """What is told of a slice beside its samples.

    first, last: numbers of the slices as they were recorded; they differ where neighbours were merged into one.
    start_s: seconds of the series' clock. top, top_module: the function with the most samples of its own, "" for none.
    """

    first: int
    last: int
    start_s: float
    length_s: float
    samples: float = 0.0
    cpu_s: float | None = None
    """CPU time that the samples stand for; None where the events do not tick with it."""
    top: str = ""
    top_module: str = ""
    top_share: float = 0.0
    """Of the slice's samples, 0..1."""
    source: str = ""
    """The file it came from."""
    note: str = ""
    """What a reader should know of it: a sentence."""
    waiting: bool = False
    """Recorded, and not read yet."""

    @property
    def end_s(self) -> float:
        return self.start_s + self.length_s

    @property
    def parts(self) -> int:
        """How many slices were merged into it."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, eq=False)
class SliceSeries:
    """The slices of a recording in the order of time. A sample belongs to the slice in which its time lies.

    epoch_s: seconds since the epoch at the zero of the slices' clock, which is CLOCK_MONOTONIC of a recorded process.
    cumulative: each was made from a snapshot since the program's start, less the one before it.
    """

    rows: tuple[SliceFigures, ...]
    epoch_s: float = 0.0
    pid: int = 0
    cumulative: bool = False

    @property
    def first_s(self) -> float:
        return self.rows[0].start_s if self.rows else 0.0

    @property
    def end_s(self) -> float:
        return self.rows[-1].end_s if self.rows else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """What looking costs, over a stretch of `wall_s` seconds. Measured, with what the kernel counts of each process.

    perf_s: CPU seconds of perf, None where the kernel does not show them (it was started by the helper).
    own_s: our own, for reading and storing. disk_bytes: everything kept so far.
    """

    wall_s: float
    perf_s: float | None
    own_s: float
    disk_bytes: int = 0
    frequency: int = 0
    """Samples a second, asked for now."""

    @property
    def share(self) -> float:
        """Of one core, 0..1."""
        return ((self.perf_s or 0.0) + self.own_s) / self.wall_s if self.wall_s > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sliced:
    """A slice has been closed or read, or slices were merged: `rows` are all there are now, `row` is the new one.

    overhead: since the recording began.
    """

    rows: tuple[SliceFigures, ...]
    row: SliceFigures | None = None
    overhead: Overhead | None = None
