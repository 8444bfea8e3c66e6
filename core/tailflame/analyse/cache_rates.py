"""Rates and derived costs of what cachegrind and callgrind count: the figures that they print at the end of a run.

A rate is the sum of some costs by the sum of others, of the program, a file, a function or a line alike.
https://valgrind.org/docs/manual/cg-manual.html, cachegrind/cg_main.c: cg_fini
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tailflame.analyse.names import plain
from tailflame.model.costs import CostTable, is_library
from tailflame.model.counter_ratios import whole_run
from tailflame.model.counters import CounterSeries
from tailflame.model.recording import Recording
from tailflame.model.stacks import NONE, Float64, Int64
from tailflame.units import percent


@dataclass(frozen=True, slots=True)
class CacheRate:
    """The sum of `above` by the sum of `below`, 0 to 1.

    target: the share that a program had better stay under, None where there is no such rule. counter: the ratio of
    the processor's own counters (model/counter_ratios.py) that answers the same question, "" for none. answer: what to
    do where it is above.
    """

    name: str
    title: str
    tip: str
    above: tuple[str, ...]
    below: tuple[str, ...]
    target: float | None = None
    counter: str = ""
    answer: str = ""

    def told_by(self, events: Iterable[str]) -> bool:
        """Whether costs of `events` tell it."""
        return {*self.above, *self.below} <= set(events)

    def of(self, costs: Int64 | Float64, events: tuple[str, ...]) -> Float64:
        """The rate of each row of costs (columns as `events`); NaN where there is nothing to divide by."""
        at = [events.index(name) for name in self.above], [events.index(name) for name in self.below]
        above, below = (costs[..., columns].sum(axis=-1, dtype=np.float64) for columns in at)
        rate = np.divide(above, below, where=below != 0, out=np.full(np.shape(above), np.nan))
        return np.asarray(rate)


I1 = CacheRate(
    "I1 miss rate",
    "I1 misses",
    "Instruction reads that miss the first-level cache, of all.",
    ("I1mr",),
    ("Ir",),
    0.01,
    answer="The hot code is too large or too far apart: mark cold paths #[cold], inline less, use PGO.",
)
D1 = CacheRate(
    "D1 miss rate",
    "D1 misses",
    "Data reads and writes that miss the first-level cache, of all.",
    ("D1mr", "D1mw"),
    ("Dr", "Dw"),
    0.05,
    "L1d load miss rate",
    "Lay hot data out in the order in which it is used, in fewer cache lines: arrays of fields, smaller types.",
)
LL = CacheRate(
    "LL miss rate",
    "LL misses",
    "Reads and writes, of instructions and data, that miss the last-level cache and go to memory, of all.",
    ("ILmr", "DLmr", "DLmw"),
    ("Ir", "Dr", "Dw"),
    0.01,
    "LLC load miss rate",
    "The data does not fit: shrink it, walk it in order, prefetch, and do not follow pointers through it.",
)
BRANCHES = CacheRate(
    "branch misprediction rate",
    "Mispredicted",
    "Branches, conditional and indirect, that the simulated predictor got wrong, of all.",
    ("Bcm", "Bim"),
    ("Bc", "Bi"),
    None,
    "branch miss rate",
)
RATES = (I1, D1, LL, BRANCHES)


@dataclass(frozen=True, slots=True)
class DerivedCost:
    """A sum of costs, each times a factor. `title` heads a column."""

    name: str
    title: str
    tip: str
    terms: tuple[tuple[str, int], ...]

    def told_by(self, events: Iterable[str]) -> bool:
        return {name for name, _factor in self.terms} <= set(events)

    def of(self, costs: Int64, events: tuple[str, ...]) -> Int64:
        """The cost of each row (columns as `events`)."""
        found = np.zeros(costs.shape[:-1], dtype=np.int64)
        for name, factor in self.terms:
            found += factor * costs[..., events.index(name)]
        return found


_L1 = ("I1mr", "D1mr", "D1mw")
_LL = ("ILmr", "DLmr", "DLmw")
_WRONG = ("Bcm", "Bim")
L1_MISSES = DerivedCost(
    "L1m", "L1 misses", "Reads and writes that miss a first-level cache.", tuple((name, 1) for name in _L1)
)
LL_MISSES = DerivedCost(
    "LLm", "LL misses", "Reads and writes that miss the last-level cache.", tuple((name, 1) for name in _LL)
)
MISPREDICTED = DerivedCost("Bm", "Mispredicted branches", "Of both kinds.", tuple((name, 1) for name in _WRONG))
CYCLES = DerivedCost(
    "CEst",
    "Estimated cycles",
    "As KCachegrind reckons: an instruction 1, a miss of the first level 10, of the last 100, a wrong branch 10.",
    (("Ir", 1), *((name, 10) for name in (*_WRONG, *_L1)), *((name, 100) for name in _LL)),
)
CYCLES_WITHOUT_BRANCHES = DerivedCost(
    "CEst",
    "Estimated cycles",
    "As KCachegrind reckons: an instruction 1, a miss of the first level 10, of the last 100.",
    (("Ir", 1), *((name, 10) for name in _L1), *((name, 100) for name in _LL)),
)


def derived_costs(events: tuple[str, ...]) -> tuple[DerivedCost, ...]:
    """What can be reckoned of costs of `events`. The cycles count wrong branches where these were simulated."""
    cycles = CYCLES if CYCLES.told_by(events) else CYCLES_WITHOUT_BRANCHES
    every = (cycles, L1_MISSES, LL_MISSES, MISPREDICTED)
    return tuple(cost for cost in every if cost.told_by(events) and cost.name not in events)


def rates_of(events: tuple[str, ...]) -> tuple[CacheRate, ...]:
    return tuple(rate for rate in RATES if rate.told_by(events))


@dataclass(frozen=True, slots=True)
class ProgramRate:
    """A rate of the whole program; NaN where there is nothing to divide by. counted: the same by the processor's own
    counters, None where it is not known."""

    rate: CacheRate
    value: float
    counted: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether it is under its target; None where it has none, or there is no rate."""
        if self.rate.target is None or not np.isfinite(self.value):
            return None
        return self.value < self.rate.target

    @property
    def word(self) -> str:
        """ "under 5%", "above 5%", "" """
        met = self.met
        if met is None or self.rate.target is None:
            return ""
        return f"{'under' if met else 'above'} {percent(self.rate.target, digits=0)}"


def program_rates(costs: CostTable, counters: CounterSeries | None = None) -> tuple[ProgramRate, ...]:
    """The rates of the whole program, as the tool prints them at the end; with those of perf stat where it ran."""
    return tuple(
        ProgramRate(rate, float(rate.of(costs.totals, costs.events)), _counted(rate, counters))
        for rate in rates_of(costs.events)
    )


def _counted(rate: CacheRate, counters: CounterSeries | None) -> float | None:
    if counters is None or not rate.counter:
        return None
    value = whole_run(counters, rate.counter)
    return None if value is None else value / 100


def has_cost_lines(recording: Recording) -> bool:
    """Whether costs of lines come first: they tell rates of caches or branches, or nothing else is there."""
    costs, profile = recording.costs, recording.profile
    if costs is None:
        return False
    return bool(rates_of(costs.events)) or profile is None or not bool((profile.stacks.parent >= 0).any())


class CostBy(StrEnum):
    """What a row of a table of costs is."""

    FUNCTION = "function"
    FILE = "file"
    LINE = "line"


@dataclass(frozen=True, slots=True, eq=False)
class CostRows:
    """Costs added up by function, file or line, the costliest in the first event first.

    function: by plain name; of a line the one with most of its cost. file: of a function the one with most of it that
    is not a library's. module: "" where unknown or several. line: 1-based, -1 unknown; of a function its costliest.
    costs: int64[rows, events]; totals: int64[events], of the program.
    """

    by: CostBy
    events: tuple[str, ...]
    function: tuple[str, ...]
    file: tuple[str, ...]
    module: tuple[str, ...]
    line: Int64
    costs: Int64
    totals: Int64

    def __len__(self) -> int:
        return len(self.line)

    def rate(self, rate: CacheRate) -> Float64:
        return rate.of(self.costs, self.events)

    def name(self, row: int) -> str:
        """What the row is of: a function, a file, "file:line"."""
        match self.by:
            case CostBy.FUNCTION:
                return self.function[row] or UNKNOWN
            case CostBy.FILE:
                return self.file[row] or UNKNOWN
            case _:
                return place_text(self.file[row], int(self.line[row]))


UNKNOWN = "???"
"""What the tools call a function or a file that they do not know."""


def place_text(file: str, line: int) -> str:
    """ "book.rs:42" of a path, "book.rs, no line" where it is not known."""
    name = file.rsplit("/", 1)[-1] or UNKNOWN
    return f"{name}:{line}" if line > 0 else f"{name}, no line"


def cost_rows(table: CostTable, by: CostBy) -> CostRows:
    """The costs of `table` by function (hashes of compilers ignored), file, or line of a file."""
    plain_of = Numbering()
    named = np.array([*(plain_of[plain(text)] for text in table.strings), NONE], dtype=np.int64)
    function, file = named[table.function], table.file.astype(np.int64)
    match by:
        case CostBy.FUNCTION:
            key = function
        case CostBy.FILE:
            key = file
        case _:
            # What has no line is told by its function: a file's lines of that kind have nothing in common.
            key = (file + 1) << 33 | np.where(table.line > 0, table.line.astype(np.int64), function + 2 + (1 << 32))
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=key[order[:1]] - 1)) if len(order) else order
    costs = np.add.reduceat(table.costs[order], starts, axis=0) if len(starts) else table.costs[:0]
    group = np.empty(len(order), dtype=np.int64)
    group[order] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(order))))
    stands = _standing(table, group, by)
    arranged = np.argsort(-costs[:, 0] if costs.shape[1] else group[:0], kind="stable")
    stands = stands[arranged]
    names = tuple(plain_of)
    known = by is not CostBy.FILE
    return CostRows(
        by=by,
        events=table.events,
        function=tuple(names[i] if i >= 0 and known else "" for i in function[stands].tolist()),
        file=tuple(table.string(i) for i in file[stands].tolist()),
        module=tuple(table.string(i) for i in table.module[stands].tolist()),
        line=table.line[stands].astype(np.int64),
        costs=costs[arranged],
        totals=table.totals,
    )


class Numbering(dict[str, int]):
    """Numbers names in the order they come."""

    def __missing__(self, name: str) -> int:
        number = self[name] = len(self)
        return number


def _standing(table: CostTable, group: Int64, by: CostBy) -> Int64:
    """The row of the table that stands for each group: of a function one in its own file, else the costliest."""
    weight = np.abs(table.costs[:, 0]) if table.costs.shape[1] else np.zeros(len(table), dtype=np.int64)
    foreign = np.zeros(len(table), dtype=bool)
    if by is CostBy.FUNCTION:
        library = np.array([*(is_library(text) for text in table.strings), True])
        foreign = library[table.file]
        key = group * (len(table.strings) + 1) + table.file + 1
        distinct, at = np.unique(key, return_inverse=True)
        weight_of_file = np.bincount(at, weights=weight, minlength=len(distinct))
        order = np.lexsort((table.line > 0, weight, weight_of_file[at], ~foreign, group))
    else:
        order = np.lexsort((weight, group))
    last = np.flatnonzero(np.diff(group[order], append=-1))
    return np.asarray(order[last])


def rates_text(rates: Iterable[ProgramRate]) -> str:
    """ "I1 misses 0.01% (under 1%), D1 misses 36.5% (above 5%)" """
    parts = []
    for rate in rates:
        value = percent(rate.value, digits=rate_digits(rate.value)) if np.isfinite(rate.value) else "unknown"
        parts.append(f"{rate.rate.title} {value}" + (f" ({rate.word})" if rate.word else ""))
    return ", ".join(parts)


def rate_digits(value: float) -> int:
    """Small rates have two digits, as cachegrind's own."""
    return 2 if abs(value) < 0.01 else 1
