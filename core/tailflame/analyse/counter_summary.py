"""What counters come to over a whole run or over several runs, and what changed between two recordings."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tailflame.analyse.student import mean_and_error, quantile, two_sided
from tailflame.model import Recording
from tailflame.model.counter_ratios import PART, RATES, RATIOS, whole_run
from tailflame.model.counters import STATUSES, Column, CounterSeries, Kept
from tailflame.model.live import Status
from tailflame.units import count

LEVEL = 0.05
_MORE_IS_BETTER = frozenset({"IPC"})
_NEUTRAL = frozenset({"branches", "cache-references", "L1-dcache-loads", "LLC-loads", "dTLB-loads", "iTLB-loads"})
_COMPUTED = frozenset(known.name for known in (*RATIOS, *RATES))


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterFigure:
    """One counter or ratio over everything that was recorded.

    value: of the run; of several runs their mean, or what `kept` says; NaN where there is none (`status` says why).
    error: the standard error of the mean of several runs, NaN for one run. low, high: the least and the most of the
    runs, or of the intervals; NaN for one reading. readings: how many there are, `counted` of them with a value.
    running: the share of its time in which it was counted, at the least. simulated: not by the processor.
    """

    name: str
    unit: str
    value: float
    error: float
    low: float
    high: float
    readings: int
    counted: int
    running: float
    status: Status
    simulated: bool = False
    freedom: int = 0
    """Degrees of freedom of `error`; 0 where no test can be made of it."""
    kept: Kept | None = None
    """What of several runs; None for one run."""
    spread: float = math.nan
    """The standard error as perf prints it, in percent of `value`; NaN where it has printed none."""
    times: int | None = 1
    """How many runs it is of; None where that is not told."""
    runs: tuple[float, ...] = ()
    """The figure of each run that has one, where they are known."""

    @property
    def margin(self) -> float:
        """The mean's 95 % interval is value ± margin; NaN for one run, and without a mean or the runs' number."""
        return self.error * quantile(LEVEL, self.freedom) if self.freedom > 0 else math.nan


def summed_up(series: CounterSeries) -> tuple[CounterFigure, ...]:
    """A figure for each series, in their order."""
    return tuple(_figure(series, name) for name in series.names)


def _figure(series: CounterSeries, name: str) -> CounterFigure:
    column = series.of(name)
    values = column.value[column.counted]
    kept, spread = series.kept_of(name), series.spread_of(name)
    error, freedom = math.nan, 0
    low = high = math.nan
    if not len(values):
        value = math.nan
    elif kept is Kept.EACH:
        value, error = mean_and_error(values.tolist())
        freedom = len(values) - 1
    elif kept is not None:
        value = float(values[0])
        error = value * spread / 100
        if kept is Kept.MEAN and math.isfinite(spread):
            freedom = max(series.runs - 1, 0)
    else:
        value = _over_intervals(series, name, column)
    if len(values) > 1:
        low, high = float(values.min()), float(values.max())
    return CounterFigure(
        name=name,
        unit=series.unit_of(name),
        value=value,
        error=error,
        low=low,
        high=high,
        readings=len(column.value),
        counted=len(values),
        running=float(column.running[column.counted].min()) if len(values) else 0.0,
        status=Status.COUNTED
        if len(values)
        else STATUSES[int(column.status[-1])]
        if len(column.status)
        else Status.EMPTY,
        simulated=series.is_simulated(name),
        freedom=freedom,
        kept=kept,
        spread=spread if len(values) else math.nan,
        times=_times(series, kept, len(values)),
        runs=tuple(values.tolist()) if kept is Kept.EACH else (),
    )


def _times(series: CounterSeries, kept: Kept | None, counted: int) -> int | None:
    if kept is None or not counted:
        return min(counted, 1)
    return counted if kept is Kept.EACH else series.runs or None


def column_title(series: CounterSeries) -> str:
    """What `value` is, for a column of all figures. Of counts that may be the last run's it tells the runs alone."""
    if not series.repeated:
        return "whole run"
    runs = f"{count(series.runs)} runs" if series.runs else "several runs"
    return f"mean of {runs}" if series.kept in (Kept.EACH, Kept.MEAN) else runs


def _over_intervals(series: CounterSeries, name: str, column: Column) -> float:
    """Counts are summed up; a ratio is that of its counters' sums, a rate its counter's sum by the time it ran."""
    values = column.value[column.counted]
    if len(values) == 1:
        return float(values[0])
    event, comma, part = name.partition(PART)
    if event not in _COMPUTED:
        return float(values.sum())
    whole = whole_run(series, name)
    if whole is not None:
        return whole
    rate = next((known for known in RATES if known.name == event), None)
    if rate is None or rate.counter + comma + part not in series.names:
        return math.nan
    counter = series.of(rate.counter + comma + part)
    lasted = float(counter.length_s[counter.counted].sum())
    return rate.scale * float(counter.value[counter.counted].sum()) / lasted if lasted > 0 else math.nan


class Mark(StrEnum):
    """What a change is worth."""

    BETTER = "better"
    WORSE = "worse"
    MORE = "more"
    LESS = "less"
    NOISE = "within noise"
    SAME = "same"
    UNKNOWN = "one run each"
    """Nobody knows how much runs differ."""
    ALONE = "one run on a side"
    UNTESTED = "not tested"
    """Of several runs on both sides, but of no number of them that is told, or without a mean and its error."""
    ABSENT = "not comparable"


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterChange:
    """One counter before and after. change: relative, 0.1 is 10 % more; low, high: its 95 % interval, NaN where nobody
    knows. p: of Welch's test, NaN where it cannot be made.
    """

    before: CounterFigure
    after: CounterFigure
    change: float
    low: float
    high: float
    p: float
    mark: Mark

    @property
    def name(self) -> str:
        return self.after.name

    @property
    def unit(self) -> str:
        return self.after.unit or self.before.unit

    @property
    def is_significant(self) -> bool:
        return self.mark in (Mark.BETTER, Mark.WORSE, Mark.MORE, Mark.LESS)


def compare_counters(before: CounterSeries, after: CounterSeries) -> tuple[CounterChange, ...]:
    """The counters that both have. Several runs on both sides are compared by Welch's test on their means; what is
    called a change holds at 5 % for all rows together (Holm). With one run on a side nothing is called one.
    """
    earlier = {figure.name: figure for figure in summed_up(before)}
    pairs = [(earlier[figure.name], figure) for figure in summed_up(after) if figure.name in earlier]
    tests = [_welch(one, other) for one, other in pairs]
    ordered = sorted((p, at) for at, (p, _freedom, _error) in enumerate(tests) if not math.isnan(p))
    significant: set[int] = set()
    for rank, (p, at) in enumerate(ordered):
        if p > LEVEL / (len(ordered) - rank):
            break
        significant.add(at)
    return tuple(
        _changed(one, other, test, significant=at in significant)
        for at, ((one, other), test) in enumerate(zip(pairs, tests, strict=True))
    )


def _welch(before: CounterFigure, after: CounterFigure) -> tuple[float, float, float]:
    """(p, degrees of freedom, standard error of the difference), NaN where there is nothing to test with."""
    if before.freedom < 1 or after.freedom < 1 or math.isnan(before.value) or math.isnan(after.value):
        return math.nan, math.nan, math.nan
    one, other = before.error**2, after.error**2
    if one + other == 0:
        return (1.0 if before.value == after.value else 0.0), math.inf, 0.0
    freedom = (one + other) ** 2 / (one**2 / before.freedom + other**2 / after.freedom)
    error = math.sqrt(one + other)
    return two_sided((after.value - before.value) / error, freedom), freedom, error


def _changed(
    before: CounterFigure, after: CounterFigure, test: tuple[float, float, float], *, significant: bool
) -> CounterChange:
    p, freedom, error = test
    low = high = math.nan
    difference = after.value - before.value
    change = difference / before.value if before.value else math.nan
    if math.isnan(before.value) or math.isnan(after.value):
        mark = Mark.ABSENT
    elif before.value == after.value and not (before.error or after.error):
        mark = Mark.SAME
    elif math.isnan(p):
        mark = _untested(before, after)
    else:
        mark = _direction(after.name, difference) if significant else Mark.NOISE
        if before.value:
            margin = error * quantile(LEVEL, freedom) if math.isfinite(freedom) else 0.0
            ends = sorted(((difference - margin) / before.value, (difference + margin) / before.value))
            low, high = ends
    return CounterChange(before=before, after=after, change=change, low=low, high=high, p=p, mark=mark)


def _untested(before: CounterFigure, after: CounterFigure) -> Mark:
    """Why there is no test."""
    alone = [figure.kept is None or figure.times == 1 for figure in (before, after)]
    if all(alone):
        return Mark.UNKNOWN
    return Mark.ALONE if any(alone) else Mark.UNTESTED


def why_untested(changes: Iterable[CounterChange]) -> tuple[str, str]:
    """What keeps changes from being tested, and what to do; two empty texts where nothing does."""
    marks = {change.mark for change in changes}
    if marks & {Mark.UNKNOWN, Mark.ALONE}:
        return "One run on a side does not tell how much runs differ.", "Record 5 runs or more of each."
    if Mark.UNTESTED in marks:
        return "perf has kept too little of the runs that it repeated to test what changed.", (
            "Record 5 runs or more of each with Tailflame, which keeps the figures of each run."
        )
    return "", ""


def _direction(name: str, difference: float) -> Mark:
    event = name.partition(PART)[0]
    if event in _NEUTRAL or event.startswith("msr/"):
        return Mark.MORE if difference > 0 else Mark.LESS
    better = (difference > 0) == (event in _MORE_IS_BETTER)
    return Mark.BETTER if better else Mark.WORSE


def counters_alone(recording: Recording) -> bool:
    """Whether counters are all that a recording has over time, as perf stat leaves it."""
    others = (recording.histograms, recording.live, recording.slices)
    return recording.counters is not None and all(other is None for other in others)
