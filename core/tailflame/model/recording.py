"""A recording: what a file or a run gave, whatever tool made it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

from tailflame.model.benchmarks import BenchmarkRun
from tailflame.model.costs import CostTable
from tailflame.model.counters import CounterSeries
from tailflame.model.heap import HeapTimeline
from tailflame.model.histogram import HistogramSeries
from tailflame.model.live_record import LiveRecord
from tailflame.model.maps import ProbeMaps
from tailflame.model.slices import SliceSeries
from tailflame.model.stacks import StackProfile
from tailflame.model.syscalls import SyscallTrace

Result: TypeAlias = (
    StackProfile
    | HistogramSeries
    | CounterSeries
    | LiveRecord
    | SliceSeries
    | HeapTimeline
    | CostTable
    | SyscallTrace
    | ProbeMaps
    | BenchmarkRun
)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was recorded; empty or 0 where the file does not tell."""

    hostname: str = ""
    kernel: str = ""
    arch: str = ""
    cpu: str = ""
    cpus: int = 0


@dataclass(frozen=True, slots=True)
class Meta:
    """What is known of the run. None means "the file does not tell", never zero."""

    command: tuple[str, ...] = ()
    """The profiled command line."""
    tool_argv: tuple[str, ...] = ()
    """The profiler's own command line."""
    tool_version: str = ""
    started_at: datetime | None = None
    duration_s: float | None = None
    rate_asked_hz: float | None = None
    rate_granted_hz: float | None = None
    lost: int | None = None
    """Events the kernel dropped, as the tool counts them."""
    outcome: str = ""
    """How the target ended, as a sentence."""
    machine: Machine = field(default_factory=Machine)
    build_ids: tuple[tuple[str, str], ...] = ()
    """(module path, hex build id)."""
    title: str = ""
    """The file's own title (an SVG's)."""


@dataclass(frozen=True, slots=True)
class Caution:
    """One line under a result's title: what spoils it, and the fix (may be empty)."""

    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """`format` is the parser's name; `source` the file it came from, as a user would name it.

    `baseline` is set where one file holds both sides of a comparison (two-column folded stacks).
    """

    tool: str
    format: str
    source: str
    results: tuple[Result, ...]
    meta: Meta = field(default_factory=Meta)
    warnings: tuple[Caution, ...] = ()
    baseline: StackProfile | None = None

    @property
    def profile(self) -> StackProfile | None:
        """The stack profile, where there is one."""
        return next((r for r in self.results if isinstance(r, StackProfile)), None)

    @property
    def histograms(self) -> HistogramSeries | None:
        return next((r for r in self.results if isinstance(r, HistogramSeries)), None)

    @property
    def counters(self) -> CounterSeries | None:
        return next((r for r in self.results if isinstance(r, CounterSeries)), None)

    @property
    def live(self) -> LiveRecord | None:
        """The rest of a live run; where it is there, all times of the results are CLOCK_MONOTONIC."""
        return next((r for r in self.results if isinstance(r, LiveRecord)), None)

    @property
    def slices(self) -> SliceSeries | None:
        """The slices of time that the profile's samples belong to, by their times."""
        return next((r for r in self.results if isinstance(r, SliceSeries)), None)

    @property
    def heap(self) -> HeapTimeline | None:
        """Memory over time; its call trees are events of the profile."""
        return next((r for r in self.results if isinstance(r, HeapTimeline)), None)

    @property
    def costs(self) -> CostTable | None:
        """Costs of source lines, as cachegrind counts them."""
        return next((r for r in self.results if isinstance(r, CostTable)), None)

    @property
    def syscalls(self) -> SyscallTrace | None:
        return next((r for r in self.results if isinstance(r, SyscallTrace)), None)

    @property
    def maps(self) -> ProbeMaps | None:
        """What a bpftrace program left."""
        return next((r for r in self.results if isinstance(r, ProbeMaps)), None)

    @property
    def benchmarks(self) -> tuple[BenchmarkRun, ...]:
        """Runs of benchmarks: the latest first, then saved baselines."""
        return tuple(r for r in self.results if isinstance(r, BenchmarkRun))

    @property
    def slice_profile(self) -> StackProfile | None:
        """The profile of the slices: the last one, where a CPU recording stands beside them."""
        profiles = [r for r in self.results if isinstance(r, StackProfile)]
        return profiles[-1] if profiles and self.slices is not None else None

    def with_warnings(self, *more: Caution) -> Recording:
        """The same recording with further warnings, each once."""
        fresh = tuple(w for w in more if w not in self.warnings)
        return replace(self, warnings=self.warnings + fresh)
