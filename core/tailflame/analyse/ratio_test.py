"""How much a figure differs between two sets of repetitions, and how sure that is.

A change is a ratio: figures are compared by their logarithms (as they are where there is a 0 among them), by Welch's
test. A single run that was disturbed, a fifth slower than all others, hides from it a change that every other run
shows. So from five repetitions a side on the change is estimated a second time, without the lowest and highest fifth
of each side (Yuen, "The two-sample trimmed t for unequal population variances", Biometrika 61, 1974). Of both the more
precise counts: each has its part of the level, so that together they err no more often than one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from tailflame.analyse.student import mean_and_error, quantile, two_sided

LEVEL = 0.05
"""Of intervals."""
_TRIMMED = 0.2
"""The share of the repetitions that is left out at each end."""
_PARTS = (0.75, 0.25)
"""Of the level: for all repetitions, and for those that are left."""
_LEAST_STEP = 1e-2
"""Figures that differ by less may be the same: clocks tick in tens of nanoseconds, histograms keep three digits."""
_NO_ERROR = 1e-12


class Change(NamedTuple):
    """change: relative, of the geometric means (of the means, where there is a 0); low, high: its 95 % interval; NaN
    where they cannot be known. p: NaN where it was not tested. trimmed: without the lowest and highest repetitions.
    """

    change: float
    low: float
    high: float
    p: float
    trimmed: bool = False


class _Side(NamedTuple):
    mean: float
    error: float
    freedom: float


def left_out(repetitions: int) -> int:
    """How many repetitions are left out at each end where a change is trimmed."""
    return int(repetitions * _TRIMMED)


def by_logarithms(*sides: Sequence[float]) -> bool:
    """Whether all figures are above 0, so that their ratio is that of the geometric means."""
    return all(value > 0 for values in sides for value in values)


def typical(values: Sequence[float], *, trimmed: bool = False, geometric: bool | None = None) -> float:
    """What a change is of: the geometric mean (of figures with a 0 among them the mean), without the repetitions that
    are left out; NaN of none. geometric: where the other side decides as well.
    """
    least = left_out(len(values)) if trimmed else 0
    kept = sorted(values)[least : len(values) - least]
    if not kept:
        return math.nan
    if by_logarithms(values) if geometric is None else geometric:
        return math.exp(math.fsum(map(math.log, kept)) / len(kept))
    return math.fsum(kept) / len(kept)


def compare(before: Sequence[float], after: Sequence[float]) -> Change:
    nothing = math.nan
    if not before or not after:
        return Change(nothing, nothing, nothing, nothing)
    logarithms = by_logarithms(before, after)
    sides = tuple([math.log(value) if logarithms else value for value in values] for values in (before, after))
    one, other = (_Side(*mean_and_error(values), len(values) - 1) for values in sides)
    difference = other.mean - one.mean
    change = _ratio(difference) if logarithms else difference / one.mean if one.mean > 0 else nothing
    if len(before) < 2 or len(after) < 2:
        return Change(change, nothing, nothing, nothing)
    error = math.hypot(one.error, other.error)
    if not math.isfinite(error) or not math.isfinite(difference):
        return Change(nothing, nothing, nothing, nothing)
    if error < _NO_ERROR:  # counted the same every time
        return Change(change, change, change, 1.0 if difference == 0 else 0.0)
    if not logarithms:
        margin, p = _margin(one, other, 1.0)
        low, high = ((difference + by) / one.mean if one.mean > 0 else nothing for by in (-margin, margin))
        return Change(change, low, high, p)
    if not left_out(min(len(before), len(after))):
        return _tested(one, other, 1.0)[1]
    step = _step((*before, *after))
    whole, all_of_them = _tested(one, other, _PARTS[0])
    rest, without = _tested(_trimmed(sides[0], step), _trimmed(sides[1], step), _PARTS[1])
    return without._replace(trimmed=True) if rest < whole else all_of_them


def margin_factor(repetitions: int, *, trimmed: bool) -> float:
    """By what the width of an interval shrinks as repetitions of a side grow, where they vary as they do."""
    kept = repetitions - 2 * left_out(repetitions) if trimmed else repetitions
    part = 1.0 if not left_out(repetitions) else _PARTS[1] if trimmed else _PARTS[0]
    return quantile(LEVEL * part, 2 * kept - 2) * math.sqrt((repetitions - 1) / (kept * (kept - 1)))


def _tested(one: _Side, other: _Side, part: float) -> tuple[float, Change]:
    """Of logarithms (half the interval's width, the change). part: of the level, that this test has."""
    difference = other.mean - one.mean
    margin, p = _margin(one, other, part)
    return margin, Change(_ratio(difference), _ratio(difference - margin), _ratio(difference + margin), p)


def _margin(one: _Side, other: _Side, part: float) -> tuple[float, float]:
    """(half the interval's width, p)."""
    error = math.hypot(one.error, other.error)
    freedom = 1 / sum((side.error / error) ** 4 / side.freedom for side in (one, other))
    t = (other.mean - one.mean) / error
    return error * quantile(LEVEL * part, freedom), min(two_sided(t, freedom) / part, 1.0)


def _trimmed(values: Sequence[float], step: float) -> _Side:
    """By the variance of all repetitions, those left out drawn in to the next one; never less than that of figures that
    flip between two neighbouring steps.
    """
    ordered, least = sorted(values), left_out(len(values))
    kept = ordered[least : len(ordered) - least]
    drawn_in = [kept[0]] * least + kept + [kept[-1]] * least
    mean = math.fsum(drawn_in) / len(drawn_in)
    variance = math.fsum((value - mean) ** 2 for value in drawn_in) / (len(drawn_in) - 1)
    variance = max(variance, (step / 2) ** 2)
    error = math.sqrt((len(values) - 1) * variance / (len(kept) * (len(kept) - 1)))
    return _Side(math.fsum(kept) / len(kept), error, len(kept) - 1)


def _step(values: Sequence[float]) -> float:
    """The least by which figures can differ, relative: a whole one of whole numbers."""
    whole = all(value == math.floor(value) for value in values)
    return max(1 / median(values), _LEAST_STEP) if whole else _LEAST_STEP


def _ratio(logarithm: float) -> float:
    """A difference of logarithms as a relative change; infinite where no number is large enough."""
    return math.expm1(logarithm) if logarithm < 700 else math.inf
