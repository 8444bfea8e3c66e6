"""What is told of a program while it runs, whatever looks at it.

Every time is in seconds of CLOCK_MONOTONIC, the clock of perf (`-k CLOCK_MONOTONIC`), of bpftrace's nsecs and of
time.monotonic(): what different sources tell lies on one axis. Every latency is in nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from tailflame.model.histogram import Histogram
from tailflame.model.slices import Sliced
from tailflame.model.slow_calls import SlowCalls
from tailflame.units import seconds, size

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """The first word of every source: whatever it needs is in place, and the target may run."""

    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySlice:
    """The latencies of one interval. An interval without a call has an empty histogram: it is no gap."""

    series: str
    """What was timed, as a person reads it: "order_book::match_order", "validation_us"."""
    start_s: float
    length_s: float
    histogram: Histogram
    """Values in ns."""


class Status(StrEnum):
    """Why a reading has no value, or has one."""

    COUNTED = "counted"
    NOT_SUPPORTED = "not supported"
    """This machine has no such counter."""
    NOT_COUNTED = "not counted"
    """The counter never ran in this interval."""
    EMPTY = "empty"
    """There was nothing to measure: no call, no scrape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One counter, rate or ratio over one interval; a gauge at its end."""

    series: str
    """ "IPC", "cache misses", "run-queue wait, worker-1"."""
    start_s: float
    length_s: float
    value: float | None
    """None where `status` is not COUNTED: drawn as a gap, never as zero."""
    unit: str = ""
    """ "%", "/s", "B", "ns", "" for a pure number."""
    status: Status = Status.COUNTED
    running: float = 1.0
    """The share of the interval in which the counter ran; below 1 its value is perf's estimate."""
    simulated: bool = False
    """Counted by a simulation (callgrind) and not by this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSlice:
    """Where the time of composite events went in one interval: sums over all of them, and over the slowest."""

    series: str
    """The field that is the whole: "total_us"; "sum of stages" where there is none."""
    stages: tuple[str, ...]
    start_s: float
    length_s: float
    events: int
    sums_ns: tuple[float, ...]
    """By stage, over all events."""
    tail_events: int
    """The slowest 1 % by the whole, at least one."""
    tail_sums_ns: tuple[float, ...]
    """By stage, over these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What looking costs the target, measured and not guessed."""

    series: str
    floor_ns: float
    """What an empty function reads: nothing below is real."""
    per_call_ns: float
    """What one call is delayed by, calibrated on this machine."""
    calls_per_s: float
    share: float
    """Of the target's CPU time, 0..1."""
    lost: int = 0
    """Events that were not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """A source that does not keep up says by how much; `seconds` and `bytes` of 0 mean that it has caught up."""

    seconds: float
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Series that the source could tell and does not yet: fields, tags, metrics; unit by name ("" unknown)."""

    names: Mapping[str, str] = field(default_factory=lambda: _NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A sentence for the user: what a source cannot tell, what was lost, that the target has restarted."""

    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that the source has completed in the session's folder; `opens` where it is a result of its own."""

    role: str
    path: Path
    opens: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """The last seconds before `time_s` were kept in `path`, which opens as a result of its own.

    why: what was crossed. summary: the state of the machine and of the process then. took_s: until the file was there.
    """

    time_s: float
    why: str
    path: Path
    summary: str = ""
    took_s: float = 0.0
    bytes: int = 0

    @property
    def words(self) -> str:
        """For a mark: why, what it cost, and what stood out."""
        about = "; ".join(part for part in (f"{size(self.bytes)} in {seconds(self.took_s)}", self.summary) if part)
        return f"captured: {self.why} ({about})"


Update: TypeAlias = (
    Armed
    | LatencySlice
    | Reading
    | StageSlice
    | Cost
    | Behind
    | Found
    | Said
    | Artifact
    | SlowCalls
    | Sliced
    | Captured
)
