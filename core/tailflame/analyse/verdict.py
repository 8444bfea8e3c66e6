"""Keep, revert, or not enough data: what a change is worth by everything that was measured before and after it.

Every figure is compared by what it varies by between repetitions (see ratio_test), never only by what it varies by
within one run. What is called a change holds with a false-discovery rate of 2.5 % over all rows together (Benjamini and
Hochberg). The goal is kept apart: its interval decides. A rate of misses that rose only because there are fewer hits is
more, not worse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from tailflame.analyse.metrics import chosen_functions
from tailflame.analyse.ratio_test import by_logarithms, compare, left_out, margin_factor, typical
from tailflame.model.metrics import Better, Family, Metric
from tailflame.model.stacks import Float64
from tailflame.units import interval_text, percent, reading, signed_percent, with_percent

RATE = 0.025
"""Of false discoveries among what is called a change: low enough that of twenty unchanged programs nineteen have none,
the chance of a goal that seems to move included.
"""
GOAL_LEVEL = 0.02
"""Of the goal, which is tested by itself, whatever the others do."""
WANTED = 0.10
"""The least improvement of the goal that is kept."""
LEAST_EFFECT = 0.01
"""A change of less than a hundredth is none that matters, however sure it is."""
_MOST_REPETITIONS = 200
AGAIN = "runs = 5 under [tools.cargo-bench] in the plan repeats them: measure both sides so."
"""What settles a verdict of benches, which need the source as it was."""
_BEYOND = 10.0
"""A change of so much is told as such: the figure itself means nothing."""


class Mark(StrEnum):
    """What a row is worth."""

    BETTER = "better"
    WORSE = "worse"
    MORE = "more"
    LESS = "less"
    NOISE = "within noise"
    SAME = "same"
    TOLERATED = "worse, tolerated"
    UNKNOWN = "one run each"
    ABSENT = "not comparable"


class Decision(StrEnum):
    """What to do with the change."""

    KEEP = "keep"
    REVERT = "revert"
    NOTHING = "within noise"
    """Nothing changed that runs do not differ by; by the rule such a change is not kept."""
    UNDECIDED = "not enough data"
    TOLERATED = "tolerated"
    """Of a gate: what got worse did so by no more than it lets pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure before and after. change, low, high, p, trimmed: as in ratio_test.Change."""

    family: Family
    key: str
    unit: str
    better: Better
    before: tuple[float, ...]
    after: tuple[float, ...]
    change: float
    low: float
    high: float
    p: float
    mark: Mark
    trimmed: bool = False

    @property
    def before_mean(self) -> float:
        """As the change is made of them: of the repetitions that count, geometric where it is; NaN of none."""
        return typical(self.before, trimmed=self.trimmed, geometric=by_logarithms(self.before, self.after))

    @property
    def after_mean(self) -> float:
        return typical(self.after, trimmed=self.trimmed, geometric=by_logarithms(self.before, self.after))

    @property
    def kept_words(self) -> str:
        """ "without the lowest and the highest of 5 repetitions of each side"; "" where all count."""
        if not self.trimmed:
            return ""
        sides = sorted({len(self.before), len(self.after)})
        least = [left_out(n) for n in sides]
        ends = "the lowest and the highest" if least[-1] == 1 else f"the {least[-1]} lowest and {least[-1]} highest"
        if len(set(least)) > 1:
            ends = "the lowest and highest fifth"
        return f"without {ends} of {' and '.join(map(str, sides))} repetitions{' of each side' * (len(sides) == 1)}"

    @property
    def improvement(self) -> float:
        """By how much it is better, 0.1 for 10 %; negative where it is worse."""
        if self.better is Better.MORE:
            return self.change
        return -self.change

    @property
    def sentence(self) -> str:
        """ "p99 total_us 184 µs to 251 µs, +36% (+31 to +44)" """
        figures = f"{self.key} {reading(self.before_mean, self.unit)} to {reading(self.after_mean, self.unit)}"
        if math.isnan(self.change):
            return figures
        ends = "" if math.isnan(self.low) else f" ({interval_text(self.low, self.high)})"
        return f"{figures}, {with_percent(signed_percent(self.change, digits=1))}{ends}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """decision with its sentence and reasons. goal: the row that was aimed at, None where it was not measured on both
    sides. more_repetitions: how many more of each side would settle it, where that can be told.
    """

    decision: Decision
    sentence: str
    reasons: tuple[str, ...]
    rows: tuple[Row, ...]
    goal: Row | None
    wanted: float = WANTED
    more_repetitions: int | None = None

    def of(self, family: Family) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.family is family)

    @property
    def worse(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.mark is Mark.WORSE)

    @property
    def on_one_side(self) -> tuple[Family, ...]:
        """The families of which nothing could be compared."""
        found = {family: self.of(family) for family in Family}
        return tuple(f for f, rows in found.items() if rows and all(row.mark is Mark.ABSENT for row in rows))


def compared(before: Sequence[Metric], after: Sequence[Metric]) -> tuple[Row, ...]:
    """All figures that either side has, in the order of families; the marks hold for all of them together."""
    earlier = {(metric.family, metric.key): metric for metric in before}
    later = {(metric.family, metric.key): metric for metric in after}
    shown = chosen_functions(before, after)
    stretched = _against_what_stands_still(before, after)
    rows = []
    for place in dict.fromkeys((*later, *earlier)):
        one, other = earlier.get(place), later.get(place)
        if place[0] is Family.CPU and place[1] not in shown:
            continue
        rows.append(_row(one, other, stretched.get(place[1]) if place[0] is Family.CPU else None))
    order = list(Family)
    rows.sort(key=lambda row: order.index(row.family))
    no_more = {place for place, one in earlier.items() if place in later and _no_more(one, later[place])}
    return tuple(
        replace(row, mark=Mark.MORE) if row.mark is Mark.WORSE and (row.family, row.key) in no_more else row
        for row in _marked(rows)
    )


def _no_more(before: Metric, after: Metric) -> bool:
    """Whether a ratio has no more above its line than before: a larger share of fewer reads costs nothing."""
    return bool(before.amounts and after.amounts) and typical(after.amounts) <= typical(before.amounts)


def judge(before: Sequence[Metric], after: Sequence[Metric], *, goal: str, wanted: float = WANTED) -> Verdict:
    """goal: the key of the metric that the change was made for ("p99 total_us"), or of a function."""
    rows = compared(before, after)
    aimed = next((row for row in rows if row.key == goal), None)
    if aimed is not None and aimed.mark is Mark.NOISE and _is_sure(aimed):
        before_test, aimed = aimed, replace(aimed, mark=_direction(aimed))
        rows = tuple(aimed if row is before_test else row for row in rows)
    worse = [row for row in rows if row.mark is Mark.WORSE and row is not aimed]
    better = [row for row in rows if row.mark is Mark.BETTER and row is not aimed]
    if aimed is None or not aimed.before or not aimed.after:
        return _without_goal(rows, goal, worse, wanted)
    low, high = _improvements(aimed)
    more = None
    reasons = [f"Goal: {aimed.sentence}{', ' * aimed.trimmed}{aimed.kept_words}."]
    reasons += [f"Worse: {row.sentence}." for row in _heaviest(worse)]
    reasons += [f"Better: {row.sentence}." for row in _heaviest(better)]
    if math.isnan(low):
        return _undecided(rows, aimed, reasons, wanted, "One repetition on a side does not tell how much runs differ.")
    moved = [row for row in rows if row.mark in (Mark.WORSE, Mark.BETTER)]
    sure = _is_sure(aimed)
    if aimed.mark is Mark.WORSE or (sure and aimed.improvement < 0):
        decision, why = Decision.REVERT, f"{aimed.key} got worse by {_share(-aimed.improvement)}"
    elif worse:
        decision, why = Decision.REVERT, f"{_names(worse)} got worse"
    elif low >= wanted:
        decision, why = Decision.KEEP, f"{aimed.key} is {_share(aimed.improvement)} better and nothing is worse"
    elif not moved and not sure and aimed.improvement < wanted:
        decision, why = Decision.NOTHING, "no figure changed beyond what runs differ by"
        ends = [f"{_most(high)} better"] * (high >= wanted) + [f"{_most(-low)} worse"] * (low <= -wanted)
        if ends:
            more = repetitions_needed(aimed, wanted, both_ways=True)
            reasons.append(f"Up to {' or '.join(ends)} cannot be ruled out yet. {_settling(aimed, more, wanted)}")
    elif high < wanted:
        decision, why = Decision.REVERT, f"{aimed.key} is at most {_share(high)} better, and {_share(wanted)} is wanted"
    else:
        span = f"between {_share(low)} and {_share(high)} better"
        return _undecided(rows, aimed, reasons, wanted, f"{aimed.key} is {span}: {_share(wanted)} is wanted.")
    return Verdict(
        decision=decision,
        sentence=f"{decision.value.capitalize()}: {why}.",
        reasons=tuple(reasons),
        rows=rows,
        goal=aimed,
        wanted=wanted,
        more_repetitions=more,
    )


def _is_sure(goal: Row) -> bool:
    """The goal is tested by itself: it was named before anything was measured."""
    return goal.p < GOAL_LEVEL and not abs(goal.change) < LEAST_EFFECT


def _without_goal(rows: tuple[Row, ...], goal: str, worse: list[Row], wanted: float) -> Verdict:
    if worse:
        decision, sentence = Decision.REVERT, f"Revert: {_names(worse)} got worse."
    else:
        decision = Decision.UNDECIDED
        sentence = f"Not enough data: {goal or 'the goal'} was not measured on both sides."
    return Verdict(
        decision=decision,
        sentence=sentence,
        reasons=tuple(f"Worse: {row.sentence}." for row in _heaviest(worse)),
        rows=rows,
        goal=None,
        wanted=wanted,
    )


def _undecided(rows: tuple[Row, ...], aimed: Row, reasons: list[str], wanted: float, why: str) -> Verdict:
    more = repetitions_needed(aimed, wanted)
    return Verdict(
        decision=Decision.UNDECIDED,
        sentence=f"Not enough data: {why}",
        reasons=(*reasons, _settling(aimed, more, wanted)),
        rows=rows,
        goal=aimed,
        wanted=wanted,
        more_repetitions=more,
    )


def tolerating(verdict: Verdict, beyond: float) -> Verdict:
    """The same for who lets figures get worse by a share of `beyond`: those that did by no more are not worse any more,
    and the sentence and the reasons say so.
    """
    passed = {id(row): row for row in verdict.worse if -row.improvement <= beyond}
    if not passed or not beyond:
        return verdict
    most = f"{100 * beyond:g}%"
    worse = [row for row in verdict.worse if id(row) not in passed]
    others = [reason for reason in verdict.reasons if not reason.startswith("Worse: ")]
    if worse:
        decision, sentence = Decision.REVERT, f"Revert: {_names(worse)} got worse by more than {most}."
    else:
        decision, sentence = (
            Decision.TOLERATED,
            f"Tolerated: {_names([*passed.values()])} got worse by no more than {most}.",
        )
    marked = {at: replace(row, mark=Mark.TOLERATED) for at, row in passed.items()}
    return replace(
        verdict,
        decision=decision,
        sentence=sentence,
        reasons=(
            *others,
            *(f"Worse: {row.sentence}." for row in _heaviest(worse) if row is not verdict.goal),
            *(f"Tolerated: {row.sentence}." for row in _heaviest([*passed.values()]) if row is not verdict.goal),
        ),
        rows=tuple(marked.get(id(row), row) for row in verdict.rows),
        goal=marked.get(id(verdict.goal), verdict.goal),
    )


def repetitions_needed(row: Row, wanted: float = WANTED, *, both_ways: bool = False) -> int | None:
    """How many more repetitions of each side make the interval of the goal's change exclude `wanted`, if it stays where
    it is and varies as it does; both_ways: also tell whether it got worse, by excluding either that it did not or that
    it did by as much. None where that is
    beyond reason, or none can be added (benches). With one repetition a side: 4 more, to see.
    """
    n = min(len(row.before), len(row.after))
    if row.family is Family.BENCHMARKS:
        return None
    if n < 2 or math.isnan(row.low):
        return 4
    if not math.isfinite(row.high) or row.low <= -1 or row.change <= -1:
        return None
    better, worse = math.log1p(-wanted), math.log1p(wanted)
    if row.better is Better.MORE:
        better, worse = worse, better
    change = math.log1p(row.change)
    distance = abs(change - better)
    if both_ways:
        distance = min(distance, max(abs(change), abs(change - worse)))
    spread = (math.log1p(row.high) - math.log1p(row.low)) / 2 / margin_factor(n, trimmed=row.trimmed)

    def settles(total: int) -> bool:
        return spread * margin_factor(total, trimmed=row.trimmed) < distance

    # One by one: where another repetition is left out, a total may settle it, and the next one not.
    return next((total - n for total in range(n + 1, n + _MOST_REPETITIONS + 1) if settles(total)), None)


def _settling(aimed: Row, more: int | None, wanted: float) -> str:
    if aimed.family is Family.BENCHMARKS:
        return (
            f"Benches ran {len(aimed.after)} times. {AGAIN}" if len(aimed.after) > 1 else f"Benches ran once. {AGAIN}"
        )
    if more is None:
        return f"More than {_MOST_REPETITIONS} repetitions would be needed: it is too close to {_share(wanted)}."
    if more == 1:
        return "One more repetition of each side would settle it."
    return f"Some {more} more repetitions of each side would settle it."


def _improvements(row: Row) -> tuple[float, float]:
    """The interval of the improvement, low to high."""
    if row.better is Better.MORE:
        return row.low, row.high
    return -row.high, -row.low


# One figure


def _row(one: Metric | None, other: Metric | None, tested: tuple[Metric, Metric] | None) -> Row:
    """tested: what is compared in their place."""
    known = other or one
    assert known is not None
    before = one.values if one is not None else ()
    after = other.values if other is not None else ()
    found = compare(before, after) if tested is None else compare(tested[0].values, tested[1].values)
    return Row(
        family=known.family,
        key=known.key,
        unit=known.unit,
        better=known.better,
        before=before,
        after=after,
        change=found.change,
        low=found.low,
        high=found.high,
        p=found.p,
        mark=_plain_mark(before, after, found.p),
        trimmed=found.trimmed,
    )


def _plain_mark(before: Sequence[float], after: Sequence[float], p: float) -> Mark:
    if not before or not after:
        return Mark.ABSENT
    if set(before) == set(after) and len(set(before)) == 1:
        return Mark.SAME
    return Mark.UNKNOWN if math.isnan(p) else Mark.NOISE


def _against_what_stands_still(before: Sequence[Metric], after: Sequence[Metric]) -> dict[str, tuple[Metric, Metric]]:
    """The shares of functions that both sides have, each repetition stretched so that the typical function stands
    still: when one function grows, the shares of all others fall, and none of them got better. Each repetition by
    itself, so that what is not known of the stretch shows in how much repetitions differ.
    """
    earlier = {metric.key: metric for metric in before if metric.scaled}
    pairs = {m.key: (earlier[m.key], m) for m in after if m.scaled and m.key in earlier}
    sizes = (
        max((len(one.values) for one, _other in pairs.values()), default=0),
        max((len(other.values) for _one, other in pairs.values()), default=0),
    )
    whole = [pair for pair in pairs.values() if (len(pair[0].values), len(pair[1].values)) == sizes]
    if len(whole) < 3 or not all(sizes):
        return pairs
    table = np.array([(*one.values, *other.values) for one, other in whole])  # functions by repetitions
    usual = (table[:, : sizes[0]].mean(1) + table[:, sizes[0] :].mean(1)) / 2
    stretch = [_weighted_median(usual / column, np.minimum(usual, column)) for column in table.T]
    stretched = {}
    for key, (one, other) in pairs.items():
        if (len(one.values), len(other.values)) != sizes:
            stretched[key] = (one, other)
            continue
        values = [value * by for value, by in zip((*one.values, *other.values), stretch, strict=True)]
        stretched[key] = (
            replace(one, values=tuple(values[: sizes[0]])),
            replace(other, values=tuple(values[sizes[0] :])),
        )
    return stretched


def _weighted_median(values: Float64, weights: Float64) -> float:
    order = np.argsort(values)
    summed = np.cumsum(weights[order])
    return float(values[order][int(np.searchsorted(summed, summed[-1] / 2))])


# All figures together


def _marked(rows: list[Row]) -> tuple[Row, ...]:
    """Benjamini and Hochberg over every row that was tested."""
    tested = sorted((row.p, at) for at, row in enumerate(rows) if not math.isnan(row.p))
    found: set[int] = set()
    for rank in range(len(tested), 0, -1):
        if tested[rank - 1][0] <= RATE * rank / len(tested):
            found = {at for _p, at in tested[:rank]}
            break
    return tuple(
        replace(row, mark=_direction(row)) if at in found and not abs(row.change) < LEAST_EFFECT else row
        for at, row in enumerate(rows)
    )


def _direction(row: Row) -> Mark:
    grew = row.after_mean > row.before_mean if math.isnan(row.change) else row.change > 0
    if row.better is Better.NEITHER:
        return Mark.MORE if grew else Mark.LESS
    return Mark.BETTER if grew == (row.better is Better.MORE) else Mark.WORSE


def _heaviest(rows: Sequence[Row], most: int = 5) -> list[Row]:
    return sorted(rows, key=lambda row: -abs(row.change))[:most]


def _names(rows: Sequence[Row], most: int = 3) -> str:
    named = [row.key for row in _heaviest(rows)]
    rest = len(rows) - most
    return ", ".join(named[:most]) + (f" and {rest} more" if rest > 0 else "")


def _most(value: float) -> str:
    return _share(value) if value < _BEYOND else "many times"


def _share(value: float) -> str:
    return percent(value, digits=0 if abs(value) >= 0.1 else 1)
