"""Recordings to keep and compare, and the question whether two are the same in every figure."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import numpy as np

from helpers.stacks import profile
from tailflame.model import Caution, CounterSeries, Histogram, HistogramSeries, Machine, Meta, Recording, StackProfile
from tailflame.model.counter_ratios import derived
from tailflame.model.live import Reading, Status
from tailflame.model.recording import Result

MATCHING = """
main: trading;main@/opt/book!src/main.rs:10;match_order@/opt/book!src/book.rs:42 600
main: trading;main@/opt/book!src/main.rs:10;check_risk@/opt/book!src/risk.rs:7 250
feed: trading;feed;recv_[k]@[kernel.kallsyms] 350
"""


def recording(stacks: str = MATCHING, *, tool: str = "perf", command: tuple[str, ...] = ()) -> Recording:
    """A recording with everything a file may tell."""
    return Recording(
        tool=tool,
        format="perf.data",
        source="perf.data",
        results=(profile(stacks),),
        meta=Meta(
            command=command,
            tool_version="6.1.0",
            started_at=datetime(2026, 11, 23, 12, 4, 55, tzinfo=UTC),
            duration_s=12.25,
            rate_asked_hz=997.0,
            rate_granted_hz=996.5,
            lost=0,
            machine=Machine("box", "6.1.0", "x86_64", "AMD EPYC", 2),
            build_ids=(("/opt/book", "0123456789abcdef"),),
        ),
        warnings=(Caution("One line is odd.", "Look at it."),),
    )


def histograms() -> HistogramSeries:
    """Two intervals, of different tag, length and geometry."""
    return HistogramSeries(
        tags=("total", "risk"),
        start_s=(0.5, 1.5),
        length_s=(1.0, 1.0),
        histograms=(Histogram(np.arange(40, dtype=np.int64)), Histogram(np.ones(7, dtype=np.int64), digits=2)),
    )


def counters() -> CounterSeries:
    """Two intervals of two counters and what they tell together; one has not been counted."""
    readings: list[Reading] = []
    for at, (instructions, cycles) in enumerate(((300.0, 100.0), (None, 50.0))):
        status = Status.COUNTED if instructions is not None else Status.NOT_COUNTED
        interval = [
            Reading(series="instructions", start_s=at, length_s=1.0, value=instructions, status=status, running=0.43),
            Reading(series="cycles", start_s=at, length_s=1.0, value=cycles),
        ]
        readings += [*interval, *derived(interval)]
    return CounterSeries.of_readings(readings)


def same(left: object, right: object) -> bool:
    """Whether two model objects agree in every field, arrays by type and value."""
    if dataclasses.is_dataclass(left) and not isinstance(left, type):
        return type(left) is type(right) and all(
            same(getattr(left, field.name), getattr(right, field.name)) for field in dataclasses.fields(left)
        )
    if isinstance(left, np.ndarray):
        return (
            isinstance(right, np.ndarray)
            and left.dtype == right.dtype
            and np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
            and not left.flags.writeable
            and not right.flags.writeable
        )
    if isinstance(left, tuple):
        return isinstance(right, tuple) and len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right


def as_results(*results: Result, baseline: StackProfile | None = None) -> Recording:
    return Recording(tool="t", format="f", source="s", results=results, baseline=baseline)
