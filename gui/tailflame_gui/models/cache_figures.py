"""The figures of a table of costs: events as counted, what is reckoned of them, and rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailflame.analyse.cache_rates import (
    BRANCHES,
    D1,
    LL,
    CacheRate,
    DerivedCost,
    ProgramRate,
    derived_costs,
    rate_digits,
    rates_of,
)
from tailflame.model import CostTable
from tailflame.model.stacks import Bool, Float64, Int64
from tailflame.units import count, percent, size

WORTH = 0.001
"""The share of all that a rate is taken of (reads, branches) under which a row's rate says nothing of the program."""
_UNDER = 2.0
"""What is taken off such a rate where rows are sorted by it: it stands below all others."""


@dataclass(frozen=True, slots=True)
class CostFigure:
    """One column. key: stable, the event's own name or a rate's. of: None for an event as it was counted."""

    key: str
    title: str
    tip: str
    of: DerivedCost | CacheRate | None = None

    @property
    def is_rate(self) -> bool:
        return isinstance(self.of, CacheRate)

    def values(self, costs: Int64, events: tuple[str, ...]) -> Float64:
        """The figure of each row of costs: a cost, or a rate from 0 to 1, NaN where there is none."""
        if self.of is None:
            return np.asarray(costs[..., events.index(self.key)], dtype=np.float64)
        return np.asarray(self.of.of(costs, events), dtype=np.float64)

    def worth(self, costs: Int64, events: tuple[str, ...], totals: Int64) -> Bool:
        """Which rows' figure says something: all costs, and rates of what is no trifle."""
        if not isinstance(self.of, CacheRate):
            return np.ones(len(costs), dtype=bool)
        columns = [events.index(name) for name in self.of.below]
        below, whole = costs[:, columns].sum(axis=1), int(totals[columns].sum())
        return np.asarray((np.abs(below) >= WORTH * abs(whole)) & (below != 0))

    def sorted_by(self, costs: Int64, events: tuple[str, ...], totals: Int64) -> Float64:
        """What sorting compares: rates of trifles stand below the others."""
        values = self.values(costs, events)
        if not self.is_rate:
            return values
        values = np.where(np.isfinite(values), values, -_UNDER)
        return np.where(self.worth(costs, events, totals), values, values - _UNDER)

    def text(self, value: float) -> str:
        """A value as a cell writes it; "" for none."""
        if not np.isfinite(value) or (not value and not self.is_rate):
            return ""
        return rate_text(value) if self.is_rate else count(value)

    def words(self, value: float) -> str:
        """A value with its unit, for a place without a header."""
        if self.is_rate:
            return f"{rate_text(value)}%" if np.isfinite(value) else "none"
        return count(value)


def rate_text(value: float) -> str:
    """Percent without the sign: "5.4", "0.61", "<0.01", "0"."""
    if not value:
        return "0"
    text = percent(value, digits=rate_digits(value)).rstrip("%")
    return text if float(text.replace("−", "-")) else "<0.01"


def figures_of(costs: CostTable) -> tuple[CostFigure, ...]:
    """Every figure that the table tells: rates, what is reckoned, events."""
    rates = [CostFigure(rate.name, f"{rate.title}, %", rate.tip, rate) for rate in rates_of(costs.events)]
    derived = [CostFigure(cost.name, cost.title, cost.tip, cost) for cost in derived_costs(costs.events)]
    events = [
        CostFigure(name, name, words or "An event of the tool.")
        for name, words in zip(costs.events, costs.descriptions, strict=True)
    ]
    return (*rates, *derived, *events)


def figures_at_first(costs: CostTable) -> tuple[str, ...]:
    """The keys of the columns that one begins with."""
    wanted: tuple[str, ...] = ("Ir", D1.name, "LLm", LL.name, BRANCHES.name)
    if not rates_of(costs.events):
        wanted = costs.events[:6]
    known = {figure.key for figure in figures_of(costs)}
    return tuple(key for key in wanted if key in known)


def leading_figure(costs: CostTable) -> str:
    """What a table is sorted by at first: what every program has most of."""
    return "Ir" if "Ir" in costs.events else costs.events[0] if costs.events else ""


@dataclass(frozen=True, slots=True)
class RateTile:
    """A rate of the program as it stands above the table. met: None where there is no target.

    below: what stands under the figure: the target, what the processor itself has counted.
    """

    name: str
    text: str
    met: bool | None
    below: str
    tip: str


def rate_tiles(rates: tuple[ProgramRate, ...], *, real: bool = False, counted_in: str = "") -> tuple[RateTile, ...]:
    tiles = []
    for rate in rates:
        parts = [rate.word] if rate.word else []
        if rate.counted is not None:
            parts.append(f"counted by the processor {rate_text(rate.counted)}%")
        answer = f"\n{rate.rate.answer}" if rate.met is False and rate.rate.answer else ""
        where = f"\nThe processor counted in {counted_in}." if counted_in and rate.counted is not None else ""
        source = "" if real else "\nOf the simulated caches, not the processor's own."
        tiles.append(
            RateTile(
                name=rate.rate.title,
                text=f"{rate_text(rate.value)}%" if np.isfinite(rate.value) else "none",
                met=rate.met,
                below=", ".join(parts),
                tip=f"{rate.rate.tip}{answer}{source}{where}",
            )
        )
    return tuple(tiles)


def notes_text(notes: tuple[str, ...]) -> str:
    """ "I1 32.8 kB, 8-way · D1 ..." of the tool's lines on the caches it simulated; "" where there are none.

    "I1 cache: 32768 B, 64 B, 8-way associative"
    """
    parts = []
    for note in notes:
        name, colon, rest = note.partition(" cache:")
        words = [word.strip() for word in rest.split(",")]
        if colon and name in ("I1", "D1", "LL", "L2") and len(words) == 3 and words[0].endswith(" B"):
            figure = words[0].removesuffix(" B")
            shown = _binary(int(figure)) if figure.isdecimal() else words[0]
            parts.append(f"{name} {shown}, {words[2].removesuffix(' associative')}")
    return "  ·  ".join(parts)


def _binary(n: int) -> str:
    """Sizes of caches are powers of two: "32 KiB"."""
    for unit, step in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if n >= step and n % step == 0:
            return f"{n // step:,} {unit}"
    return size(n)
