"""What a measurement tells of one function as table columns: cache lines, allocation sites, system calls."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tailflame.analyse.cache_rates import LL_MISSES, MISPREDICTED, RATES
from tailflame.analyse.function_facts import CacheFacts, CallFacts, HeapFacts
from tailflame.units import count, percent, seconds, size
from tailflame_gui.models.session_table import Field

_D1 = RATES[1]
MOST_ROWS = 40


@dataclass(frozen=True, slots=True)
class LineRow:
    """A source line of the function. instructions: of the function's, 0 to 1; the others are numbers; NaN unknown."""

    place: str
    file: str
    line: int
    instructions: float
    d1_rate: float
    ll_misses: float
    mispredicted: float


@dataclass(frozen=True, slots=True)
class SiteRow:
    """Where the function, or what it calls, asks for memory."""

    name: str
    place: str
    allocations: float
    temporary: float
    allocated: float
    peak: float


def line_rows(facts: CacheFacts) -> tuple[LineRow, ...]:
    lines = facts.lines
    nothing = [math.nan] * len(lines)
    whole = float(lines.costs[:, 0].sum()) or 1.0
    d1 = _D1.of(lines.costs, lines.events).tolist() if _D1.told_by(lines.events) else nothing
    misses, wrong = (
        cost.of(lines.costs, lines.events).tolist() if cost.told_by(lines.events) else nothing
        for cost in (LL_MISSES, MISPREDICTED)
    )
    return tuple(
        LineRow(
            place=lines.name(at),
            file=lines.file[at],
            line=int(lines.line[at]),
            instructions=float(lines.costs[at, 0]) / whole,
            d1_rate=d1[at],
            ll_misses=misses[at],
            mispredicted=wrong[at],
        )
        for at in range(min(len(lines), MOST_ROWS))
    )


def site_rows(facts: HeapFacts) -> tuple[SiteRow, ...]:
    found = facts.sites
    weight = found.allocated if found.allocated.any() else found.peak
    return tuple(
        SiteRow(
            name=found.name_of(at),
            place=found.place_of(at),
            allocations=float(found.allocations[at]),
            temporary=float(found.temporary[at]),
            allocated=float(found.allocated[at]),
            peak=float(found.peak[at]),
        )
        for at in found.by(weight, MOST_ROWS)
    )


def line_fields() -> tuple[Field[LineRow], ...]:
    return (
        Field[LineRow]("Line", lambda row: row.place, lambda row: (row.file, row.line), 0,
                       tip=lambda row: f"{row.file}:{row.line}", mono=True),
        Field[LineRow]("Instructions", lambda row: percent(row.instructions), lambda row: row.instructions, 88,
                       right=True, mono=True),
        Field[LineRow]("D1 misses", lambda row: _share(row.d1_rate), lambda row: _key(row.d1_rate), 76, right=True,
                       mono=True, tip=lambda _row: _D1.tip),
        Field[LineRow]("LL misses", lambda row: _number(row.ll_misses), lambda row: _key(row.ll_misses), 76, right=True,
                       mono=True, tip=lambda _row: LL_MISSES.tip, leaves=True),
        Field[LineRow]("Mispredicted", lambda row: _number(row.mispredicted), lambda row: _key(row.mispredicted), 92,
                       right=True, mono=True, tip=lambda _row: MISPREDICTED.tip, leaves=True),
    )  # fmt: skip


def site_fields() -> tuple[Field[SiteRow], ...]:
    return (
        Field[SiteRow]("Site", lambda row: row.name.rpartition("::")[2] or row.name, lambda row: row.name, 0,
                       tip=lambda row: f"{row.name}\n{row.place}".strip(), mono=True),
        Field[SiteRow]("Allocations", lambda row: count(row.allocations), lambda row: row.allocations, 88, right=True,
                       mono=True),
        Field[SiteRow]("Temporary", lambda row: count(row.temporary), lambda row: row.temporary, 80, right=True,
                       mono=True, leaves=True, tip=lambda _row: "Freed before the next allocation."),
        Field[SiteRow]("Allocated", lambda row: size(row.allocated), lambda row: row.allocated, 80, right=True,
                       mono=True),
        Field[SiteRow]("At the peak", lambda row: size(row.peak), lambda row: row.peak, 84, right=True, mono=True,
                       leaves=True),
    )  # fmt: skip


def call_fields() -> tuple[Field[CallFacts], ...]:
    return (
        Field[CallFacts]("Call", lambda row: row.name, lambda row: row.name, 0, mono=True),
        Field[CallFacts]("Calls", lambda row: count(row.calls), lambda row: row.calls, 80, right=True, mono=True),
        Field[CallFacts]("Time", lambda row: seconds(row.seconds), lambda row: row.seconds, 80, right=True, mono=True),
    )  # fmt: skip


def _share(value: float) -> str:
    return "" if math.isnan(value) else percent(value)


def _number(value: float) -> str:
    return "" if math.isnan(value) else count(value)


def _key(value: float) -> float:
    return -math.inf if math.isnan(value) else value
