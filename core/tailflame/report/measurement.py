"""What a report of a measurement says, before it has a form: HTML, Markdown, JSON and JUnit are made of this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tailflame.analyse.verdict import Mark, Row, Verdict
from tailflame.model import Recording
from tailflame.model.iteration import Iteration, Step, StepState
from tailflame.model.metrics import Family
from tailflame.units import interval_text, reading, signed_percent, with_percent

COMPARED = ("host", "cpu", "kernel", "governor", "turbo", "smt", "isolated", "rustc", "rustflags")
"""Facts of the environment without which figures do not compare."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One measurement: what is known of it, its recordings, and the exact commands that made them."""

    iteration: Iteration
    recordings: tuple[Recording, ...] = ()
    commands: tuple[tuple[str, str], ...] = ()
    """(step, command line)."""

    @property
    def name(self) -> str:
        commit = f"{self.iteration.commit[:9]}{'+' if self.iteration.dirty else ''}"
        return f"#{self.iteration.number} {commit}".strip()


class Outcome(StrEnum):
    """How a gate ends."""

    PASSED = "Passed"
    FAILED = "Failed"
    UNKNOWN = "Not measurable"


@dataclass(frozen=True, slots=True)
class Gate:
    """What a gate says of a measurement, which is not what a verdict says: that a change is not worth keeping fails no
    gate, and a bound that does not hold makes no change a bad one. why: clauses.
    """

    outcome: Outcome
    why: tuple[str, ...]

    @property
    def reason(self) -> str:
        return "; ".join(clause.rstrip(".") for clause in self.why)

    @property
    def sentence(self) -> str:
        """ "Failed: p99 total_us 184 µs to 251 µs, +36% (+31 to +44); IPC is 1.40, below 1.50." """
        return f"{self.outcome.value}: {self.reason}."


@dataclass(frozen=True, slots=True, eq=False)
class MeasurementReport:
    """before: None for a report of one measurement alone; then there is no verdict. broken: bounds that do not hold, as
    sentences. gate: of one that was held against the baseline by a gate.
    """

    title: str
    after: Side
    before: Side | None = None
    verdict: Verdict | None = None
    broken: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    """What is not the same on both sides and should be; among the notes as well."""
    notes: tuple[str, ...] = field(default_factory=tuple)
    gate: Gate | None = None

    @property
    def failed_steps(self) -> tuple[Step, ...]:
        return tuple(step for step in self.after.iteration.steps if step.state is StepState.FAILED)

    @property
    def families(self) -> tuple[tuple[Family, tuple[Row, ...]], ...]:
        """The figures that both sides have, by family; what changed first, the largest change first."""
        if self.verdict is None:
            return ()
        grouped = []
        for family in Family:
            rows = [row for row in self.verdict.of(family) if row.mark is not Mark.ABSENT]
            if rows:
                grouped.append((family, tuple(sorted(rows, key=_weight))))
        return tuple(grouped)


def _weight(row: Row) -> tuple[int, float]:
    quiet = row.mark in (Mark.NOISE, Mark.SAME, Mark.UNKNOWN)
    return (1 if quiet else 0, -abs(row.change) if row.change == row.change else 0.0)


def differences(before: Side, after: Side) -> tuple[str, ...]:
    """What of machine, compiler and simulated caches is not the same, in sentences: figures of two machines do not
    compare.
    """
    known, now = ({**side.iteration.environment, **_caches(side.recordings)} for side in (before, after))
    told = []
    for name in (*COMPARED, *(name for name in _caches(after.recordings) if name in known)):
        one, other = known.get(name, ""), now.get(name, "")
        if one != other:
            told.append(f"Not the same {name}: “{one or 'not told'}” before, “{other or 'not told'}” after.")
    return tuple(told)


def _caches(recordings: Sequence[Recording]) -> dict[str, str]:
    """By name the caches that were simulated: "LL cache" of cachegrind's "LL cache: 33554432 B, 64 B, 16-way …"."""
    notes = (note for recording in recordings if recording.costs is not None for note in recording.costs.notes)
    parts = (note.partition(":") for note in notes)
    return {name: words.strip() for name, _colon, words in parts if name.endswith(" cache")}


def cells(row: Row) -> tuple[str, str, str, str, str, str]:
    """A row as texts: figure, before, after, change, its interval, what it is worth; * for one that is TRIMMED."""
    return (
        row.key,
        reading(row.before_mean, row.unit) if row.before else "",
        reading(row.after_mean, row.unit) if row.after else "",
        "" if row.change != row.change else with_percent(signed_percent(row.change, digits=1)),
        "" if row.low != row.low else interval_text(row.low, row.high),
        f"{row.mark.value} *" if row.trimmed else row.mark.value,
    )


_TRIMMED = "* without the lowest and the highest fifth of the runs of each side"
HELD = "A change is held against the functions that stand still: when one takes more, the shares of all others fall."


def footnotes(family: Family, rows: Sequence[Row]) -> tuple[str, ...]:
    """What is to be known of these rows of a family."""
    both = any(row.before and row.after for row in rows)
    return (*((_TRIMMED,) if any(row.trimmed for row in rows) else ()),
            *((HELD,) if family is Family.CPU and both else ()))  # fmt: skip


HEADINGS = ("Figure", "Before", "After", "Change", "95 % interval, %", "")


def shown(rows: Sequence[Row], *, quiet: int) -> tuple[tuple[Row, ...], int]:
    """All rows that changed and `quiet` of the others; how many are left out."""
    changed = [row for row in rows if row.mark not in (Mark.NOISE, Mark.SAME)]
    others = [row for row in rows if row.mark in (Mark.NOISE, Mark.SAME)]
    return (*changed, *others[:quiet]), max(len(others) - quiet, 0)
