"""Figures of a measurement that can be compared with another one's: what a verdict is made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Family(StrEnum):
    """Where a figure comes from; tables of a verdict are grouped by it, in this order."""

    LATENCY = "Latency"
    CPU = "CPU time"
    COUNTERS = "Counters"
    CACHES = "Caches"
    HEAP = "Memory"
    SYSCALLS = "System calls"
    BENCHMARKS = "Benchmarks"


class Better(StrEnum):
    """Which way is better."""

    LESS = "less"
    MORE = "more"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure, once per repetition of the measurement.

    key: what it is matched by in another measurement: "p99 total_us", "check_exposure". unit: as `units.reading` takes
    it. values: one per repetition that has it. errors: the standard error of each value within its own run, where one
    is known (0 for what was counted); empty where not. scaled: shares of a whole, whose sum is always the same: they
    are compared against what stands still. amounts: of a ratio, what is above its line, once per repetition: a rate of
    misses also rises when there are fewer hits.
    """

    family: Family
    key: str
    unit: str
    better: Better
    values: tuple[float, ...]
    errors: tuple[float, ...] = ()
    scaled: bool = False
    amounts: tuple[float, ...] = ()

    @property
    def title(self) -> str:
        return self.key
