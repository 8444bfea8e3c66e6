"""Differences of what was counted one by one: there is no noise of sampling in them, and nothing to test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tailflame.analyse.names import short
from tailflame.analyse.noise import Verdicts
from tailflame.analyse.tree import CallTree
from tailflame.model.stacks import Bool, Float64
from tailflame.units import MINUS, Unit, count, signed_percent, with_percent
from tailflame.units import weight as weight_text

COUNTED = "Counted exactly; how much runs differ by themselves is not known from one run each."
"""What is said of a comparison of exact events in the place of its test."""

ESTIMATED = "Estimated from samples, and not tested: a small difference may be chance."
"""The same where one side was sampled and scaled up, as jemalloc's heaps are."""

_ROUNDING = 1e-9
"""Sums of the same counts in another order may differ by so much."""
_TOLD = 5
WORTH = 0.01
"""Of the larger side: a smaller change of one function is no sentence."""


def differs(b: Float64, a: Float64) -> Bool:
    """Where two counts are not the same."""
    different: Bool = np.abs(a - b) > _ROUNDING * np.maximum(np.abs(a), np.abs(b))
    return different


def counted_verdicts(b: Float64, a: Float64) -> Verdicts:
    """The changes from `b` to `a`, none of them tested: each is as large as it is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.where(b > 0, a / b - 1, np.where(a > 0, np.inf, 0.0))
    changed = differs(b, a)
    change = np.where(changed, change, 0.0)
    none = np.zeros(len(b), dtype=bool)
    return Verdicts(change=change, low=change, high=change, p=np.full(len(b), np.nan), tested=none, significant=changed)


def amount(value: float, unit: Unit, noun: str) -> str:
    """A count in its unit: "8.9 MB", "35,247 allocations", "39,682,525 Ir"."""
    return f"{count(round(value))} {noun}" if unit in (Unit.EVENTS, Unit.SAMPLES) else weight_text(round(value), unit)


def change_text(before: float, after: float) -> str:
    """A change as percent, "+36%"; "new" and "gone" where one side has none."""
    if not before:
        return "new" if after else "±0%"
    return with_percent(signed_percent(after / before - 1)) if after else "gone"


def delta_text(delta: float, unit: Unit, noun: str) -> str:
    """A difference with its sign: "+3.1 MB"."""
    sign = "+" if delta > 0 else MINUS if delta < 0 else "±"
    return f"{sign}{amount(abs(delta), unit, noun)}"


def counted_sentences(
    event: str, before: float, after: float, tree: CallTree, movers: Sequence[tuple[str, float, float]]
) -> tuple[str, ...]:
    """The whole first, then the functions that changed most, those that grew before those that shrank as the size of
    their change has it. movers: (name, before, after); tree: of the later side, for its unit.
    """
    unit, noun = tree.unit, tree.event.name

    def said(value: float) -> str:
        return amount(value, unit, noun)

    def both(b: float, a: float) -> str:
        """ "8.9 MB to 11.6 MB (+30%)", "35,000 to 20,000 allocations (−43%)": the unit once where it is a word; of less
        than their digits tell, the difference.
        """
        if said(b) == said(a):
            return f"{said(a)} ({delta_text(a - b, unit, noun)})"
        once = unit not in (Unit.BYTES, Unit.NANOSECONDS)
        return f"{count(round(b)) if once else said(b)} to {said(a)} ({change_text(b, a)})"

    if differs(np.array([before]), np.array([after]))[0]:
        first = f"{event}: {both(before, after)}."
    else:
        first = f"{event}: {said(after)} on both sides."
    least = WORTH * max(before, after)
    moved = [(n, b, a) for n, b, a in movers if abs(a - b) >= max(least, _ROUNDING * max(a, b)) and a != b]
    if not moved:
        changed = any(a != b for _name, b, a in movers)
        return (first, "No function changed by as much as 1% of it." if changed else "Nothing differs.")
    sentences = [first]
    for n, b, a in sorted(moved, key=lambda mover: -abs(mover[2] - mover[1]))[:_TOLD]:
        delta = delta_text(a - b, unit, noun)
        if not b:
            sentences.append(f"{short(n)} is new: {said(a)}.")
        elif not a:
            sentences.append(f"{short(n)} is gone: it had {said(b)}.")
        else:
            sentences.append(f"{short(n)} {delta}: {both(b, a)}.")
    return tuple(sentences)
