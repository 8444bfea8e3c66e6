"""Two runs' costs compared: the rates of the programs, and what each function costs more or less.

Costs are counted one by one: there is no noise of sampling in them, and nothing is tested. Runs may differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailflame.analyse.cache_rates import (
    CacheRate,
    CostBy,
    CostRows,
    DerivedCost,
    Numbering,
    cost_rows,
    derived_costs,
    rate_digits,
    rates_of,
)
from tailflame.analyse.names import match_key, short
from tailflame.model.costs import CostTable
from tailflame.model.stacks import NONE, Float64, Int64
from tailflame.units import MINUS, count, percent, signed_percent, with_percent

_TOLD = 3
_WORTH = 0.01
"""Of a whole event: a smaller change of one function is no sentence."""
_SAME = 0.0005
"""A rate that moves by less than a twentieth of a percentage point is told as the same."""


@dataclass(frozen=True, slots=True)
class RateChange:
    """A rate of both programs, 0 to 1; NaN where there is nothing to divide by."""

    rate: CacheRate
    before: float
    after: float

    @property
    def delta(self) -> float:
        return self.after - self.before

    @property
    def crossed(self) -> str:
        """ "now above 5%", "now under 5%", "" where it stays on its side of the target."""
        target = self.rate.target
        if target is None or not (np.isfinite(self.before) and np.isfinite(self.after)):
            return ""
        was, now = self.before < target, self.after < target
        return "" if was == now else f"now {'under' if now else 'above'} {percent(target, digits=0)}"

    @property
    def words(self) -> str:
        """ "D1 misses 4.7% to 5.4% (now above 5%)" """
        crossed = f" ({self.crossed})" if self.crossed else ""
        sides = [_rate_text(value) for value in (self.before, self.after)]
        return f"{self.rate.title} {sides[0]} to {sides[1]}{crossed}"


@dataclass(frozen=True, slots=True, eq=False)
class CostChanges:
    """Functions of both sides by name (without hashes), with what both have counted.

    events: names of what both tell, what is reckoned of them behind what was counted. before, after: int64[functions,
    events], 0 where a side has not the function. file, module: of the later side where it has it.
    """

    events: tuple[str, ...]
    rates: tuple[RateChange, ...]
    names: tuple[str, ...]
    file: tuple[str, ...]
    module: tuple[str, ...]
    before: Int64
    after: Int64
    totals_before: Int64
    totals_after: Int64

    def __len__(self) -> int:
        return len(self.names)

    def event(self, name: str) -> int:
        return self.events.index(name) if name in self.events else NONE

    def delta(self, event: int) -> Int64:
        return np.asarray(self.after[:, event] - self.before[:, event])

    def change(self, event: int) -> Float64:
        """Relative change of each function: inf where it is new, -1 where it is gone, NaN where both have nothing."""
        before, after = self.before[:, event].astype(np.float64), self.after[:, event].astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(before == after, np.where(before == 0, np.nan, 0.0), after / before - 1))

    def by(self, event: int, number: int) -> list[int]:
        """The functions that changed most, those that changed at all."""
        delta = np.abs(self.delta(event))
        order = np.argsort(-delta, kind="stable")
        return [int(row) for row in order[:number] if delta[row]]


def compare_costs(before: CostTable, after: CostTable) -> CostChanges:
    """What changed, the functions with the largest change of estimated cycles (or of the first event) first."""
    common = tuple(name for name in before.events if name in after.events)
    sides = [cost_rows(side, CostBy.FUNCTION) for side in (before, after)]
    derived = tuple(cost for cost in derived_costs(common) if cost.told_by(common))
    number = Numbering()
    at = [np.array([number[match_key(name)] for name in side.function], dtype=np.int64) for side in sides]
    size = len(number)
    sums = [_summed(_columns(side, common, derived), rows, size) for side, rows in zip(sides, at, strict=True)]
    names, files, modules = [""] * size, [""] * size, [""] * size
    for side, rows in zip(sides, at, strict=True):  # the later side's spelling is the one that is shown
        for row, place in reversed(list(enumerate(rows.tolist()))):
            names[place], files[place], modules[place] = side.function[row], side.file[row], side.module[row]
    events = (*common, *(cost.name for cost in derived))
    leading = events.index("CEst") if "CEst" in events else 0
    moved = np.abs(sums[1][:, leading] - sums[0][:, leading]) if events else np.zeros(size)
    order = np.argsort(-moved, kind="stable").tolist()
    totals = [_columns_of(side.totals[None, :], side.events, common, derived)[0] for side in sides]
    return CostChanges(
        events=events,
        rates=tuple(
            RateChange(rate, *(float(rate.of(side.totals, side.events)) for side in (before, after)))
            for rate in rates_of(common)
        ),
        names=tuple(names[i] for i in order),
        file=tuple(files[i] for i in order),
        module=tuple(modules[i] for i in order),
        before=sums[0][order],
        after=sums[1][order],
        totals_before=totals[0],
        totals_after=totals[1],
    )


def cost_sentences(changes: CostChanges) -> tuple[str, ...]:
    """What the comparison comes to: the whole, the rates, the functions that moved it."""
    if not changes.events:
        return ("The two have counted nothing in common.",)
    leading = "CEst" if "CEst" in changes.events else changes.events[0]
    at = changes.event(leading)
    before, after = int(changes.totals_before[at]), int(changes.totals_after[at])
    noun = "estimated cycles" if leading == "CEst" else leading
    if before == after and not changes.by(at, 1):
        said = [f"Both cost {count(after)} {noun}, function by function."]
    else:
        said = [f"{count(before)} to {count(after)} {noun} ({_change(before, after)})."]
    moved = [rate for rate in changes.rates if abs(rate.delta) >= _SAME or rate.crossed]
    if moved:
        said.append(f"{', '.join(rate.words for rate in moved)}.")
    least = _WORTH * max(before, after)
    for row in changes.by(at, _TOLD):
        was, now = int(changes.before[row, at]), int(changes.after[row, at])
        if abs(now - was) >= least:
            sign = "+" if now > was else MINUS
            said.append(f"{short(changes.names[row])} {sign}{count(abs(now - was))} ({_change(was, now)}).")
    return tuple(said)


def worse_rates(changes: CostChanges, *, beyond: float) -> tuple[str, ...]:
    """Rates that left their target's side, and wholes that grew by more than the share `beyond`, in words."""
    found = [rate.words for rate in changes.rates if rate.crossed.startswith("now above")]
    for name in ("CEst", "Ir"):
        at = changes.event(name)
        if at >= 0:
            before, after = int(changes.totals_before[at]), int(changes.totals_after[at])
            if after > before * (1 + beyond):
                noun = "estimated cycles" if name == "CEst" else name
                found.append(f"{noun} {_change(before, after)}")
            break
    return tuple(found)


def _columns(rows: CostRows, common: tuple[str, ...], derived: tuple[DerivedCost, ...]) -> Int64:
    return _columns_of(rows.costs, rows.events, common, derived)


def _columns_of(
    costs: Int64, events: tuple[str, ...], common: tuple[str, ...], derived: tuple[DerivedCost, ...]
) -> Int64:
    counted = costs[:, [events.index(name) for name in common]]
    return np.column_stack([counted, *(cost.of(costs, events) for cost in derived)]).astype(np.int64)


def _summed(costs: Int64, at: Int64, size: int) -> Int64:
    sums = np.zeros((size, costs.shape[1]), dtype=np.int64)
    np.add.at(sums, at, costs)
    return sums


def _change(before: float, after: float) -> str:
    if not before:
        return "new" if after else "±0%"
    return with_percent(signed_percent(after / before - 1, digits=1)) if after else "gone"


def _rate_text(value: float) -> str:
    return percent(value, digits=rate_digits(value)) if np.isfinite(value) else "unknown"
