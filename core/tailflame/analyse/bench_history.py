"""A project's benchmarks over its runs: what each took, and what two ways of judging say of the last change.

Criterion compares two runs by the samples within each, and so calls a change what may only be how runs differ. Ours
(analyse.verdict) needs the runs to be repeated: those of the shown state (its commit, and what was changed since)
against those of the state before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tailflame.analyse import criterion_rule
from tailflame.analyse.criterion_rule import Judged
from tailflame.analyse.verdict import Mark, Row, compared
from tailflame.model.benchmarks import Benchmark, BenchmarkRun, Estimate
from tailflame.model.metrics import Better, Family, Metric
from tailflame.units import count, interval_text, signed_percent, with_percent


@dataclass(frozen=True, slots=True, eq=False)
class PastRun:
    """One run of a project's benchmarks. session: its id; state: the commit of the code that it ran, and what was
    changed since: runs of one state are repetitions; "" where that is not known. at: seconds since the epoch.
    """

    session: str
    state: str
    at: float
    run: BenchmarkRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """typical: as criterion prints it, in ns."""

    session: str
    state: str
    at: float
    typical: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchHistory:
    """One benchmark. points: oldest first, the run that is shown last. criterion: its verdict on the last two runs;
    ours: over all runs of the last state and of the one before, None where there is no such.
    """

    name: str
    points: tuple[Point, ...]
    criterion: Judged | None = None
    ours: Row | None = None


def histories(runs: Sequence[PastRun], *, judging: bool = True) -> tuple[BenchHistory, ...]:
    """Of every benchmark that the last of `runs` has; runs: oldest first. judging: with both verdicts, which takes some
    tenths of a second a benchmark: call it from a thread.
    """
    if not runs:
        return ()
    before, after = _states(runs)
    rows = {row.key: row for row in compared(_metrics(before), _metrics(after))} if judging and before else {}
    return tuple(_history(benchmark, runs, rows.get(benchmark.name), judging) for benchmark in runs[-1].run.benchmarks)


def ours_words(one: BenchHistory) -> str:
    """ "within noise, +1.2% (−0.8 to +3.2), 3 and 4 runs"; "" where there is nothing to compare."""
    row = one.ours
    if row is None:
        return ""
    ends = "" if math.isnan(row.low) else f" ({interval_text(row.low, row.high)})"
    change = f", {with_percent(signed_percent(row.change, digits=1))}{ends}"
    runs = "" if row.mark is Mark.UNKNOWN else f", {count(len(row.before))} and {count(len(row.after))} runs"
    return f"{row.mark.value}{change}{runs}"


def _history(benchmark: Benchmark, runs: Sequence[PastRun], ours: Row | None, judging: bool) -> BenchHistory:
    found = [(run, one) for run in runs if (one := run.run.named(benchmark.name)) is not None]
    points = tuple(Point(session=run.session, state=run.state, at=run.at, typical=one.typical) for run, one in found)
    criterion = criterion_rule.judge(found[-2][1], benchmark) if judging and len(found) > 1 else None
    known = ours if ours is not None and ours.before and ours.after else None
    return BenchHistory(name=benchmark.name, points=points, criterion=criterion, ours=known)


def _states(runs: Sequence[PastRun]) -> tuple[list[PastRun], list[PastRun]]:
    """The runs of the last state, and those of the one before it; none where every run is of one state."""
    last = runs[-1].state
    earlier = next((run.state for run in reversed(runs) if run.state != last), None)
    before = [run for run in runs if run.state == earlier] if earlier is not None else []
    return before, [run for run in runs if run.state == last]


def _metrics(runs: Sequence[PastRun]) -> tuple[Metric, ...]:
    """By benchmark: the median of each run."""
    medians: dict[str, list[Estimate]] = {}
    for run in runs:
        for benchmark in run.run.benchmarks:
            medians.setdefault(benchmark.name, []).append(benchmark.median)
    return tuple(
        Metric(
            family=Family.BENCHMARKS,
            key=name,
            unit="ns",
            better=Better.LESS,
            values=tuple(median.point for median in found),
            errors=tuple(median.error for median in found),
        )
        for name, found in medians.items()
    )
