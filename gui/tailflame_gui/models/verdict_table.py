"""The figures of a verdict, and the turns of the loop, as table columns."""

from __future__ import annotations

import math

from tailflame.analyse.ratio_test import typical
from tailflame.analyse.verdict import Mark, Row
from tailflame.model.iteration import Iteration, StepState
from tailflame.model.metrics import Family
from tailflame.report.measurement import HELD
from tailflame.units import count, interval_text, reading, signed_percent, with_percent
from tailflame_gui.models.session_table import Field, moment

_MARKS = {
    Mark.BETTER: ("circle-check", "good"),
    Mark.WORSE: ("triangle-alert", "bad"),
    Mark.MORE: ("trending-up", "second"),
    Mark.LESS: ("trending-down", "second"),
}
_DECISIONS = {"keep": ("circle-check", "good"), "revert": ("triangle-alert", "bad")}
_WORTH = {
    Mark.NOISE: "Runs of one program differ by as much.",
    Mark.SAME: "Every run gave the same.",
    Mark.UNKNOWN: "One repetition on a side does not tell how much runs differ.",
    Mark.ABSENT: "One of the two has no such figure.",
    Mark.BETTER: "Beyond what runs differ by, with all rows taken together.",
    Mark.WORSE: "Beyond what runs differ by, with all rows taken together.",
}

_GOAL = "The goal: it is tested by itself, the other figures all together."


def row_fields(goal: str = "") -> tuple[Field[Row], ...]:
    """goal: the key of the figure that the change was made for."""
    return (
        Field[Row]("Figure", lambda row: row.key, lambda row: row.key.casefold(), 0,
                   icon=lambda row: ("target", "accent") if row.key == goal else None,
                   tip=lambda row: f"{f'{_GOAL} ' if row.key == goal else ''}{_repetitions(row)}".strip()),
        Field[Row]("Kind", lambda row: row.family.value, lambda row: row.family.value, 110, leaves=True),
        Field[Row]("Before", lambda row: _reading(row, row.before_mean), lambda row: _key(row.before_mean), 100,
                   right=True, mono=True, tip=_repetitions),
        Field[Row]("After", lambda row: _reading(row, row.after_mean), lambda row: _key(row.after_mean), 100,
                   right=True, mono=True, tip=_repetitions),
        Field[Row]("Change", lambda row: _percent(row.change), lambda row: _key(row.change), 76, right=True, mono=True),
        Field[Row]("95 % interval, %",
                   lambda row: "" if math.isnan(row.low) else interval_text(row.low, row.high),
                   lambda row: _key(row.low), 130, right=True, mono=True),
        Field[Row]("What it is worth", lambda row: row.mark.value, lambda row: list(Mark).index(row.mark), 150,
                   tip=lambda row: _WORTH.get(row.mark, ""), icon=lambda row: _MARKS.get(row.mark),
                   muted=lambda row: row.mark not in _MARKS),
    )  # fmt: skip


def iteration_fields(baseline: str) -> tuple[Field[Iteration], ...]:
    return (
        Field[Iteration]("#", lambda one: count(one.number), lambda one: one.number, 44, right=True, mono=True,
                         icon=lambda one: ("pin", "accent") if one.id == baseline else None,
                         tip=lambda one: "The baseline" if one.id == baseline else ""),
        Field[Iteration]("Measured", lambda one: moment(one.started_at), lambda one: one.started_at, 104,
                         tip=lambda one: f"Commit {one.commit[:9]}" if one.commit else ""),
        Field[Iteration]("Commit", lambda one: f"{one.commit[:9]}{'+' if one.dirty else ''}", lambda one: one.commit,
                         86, mono=True, leaves=True,
                         tip=lambda one: "With changes that are not committed." if one.dirty else ""),
        Field[Iteration]("Goal", goal_reading, lambda one: goal_mean(one) or -math.inf, 84, right=True, mono=True,
                         tip=goal_text),
        Field[Iteration]("Verdict", told, lambda one: one.decision, 120, tip=lambda one: one.sentence,
                         icon=lambda one: _DECISIONS.get(one.decision)),
        Field[Iteration]("Note", lambda one: one.note, lambda one: one.note.casefold(), 0),
    )  # fmt: skip


def goal_mean(one: Iteration) -> float | None:
    return typical(one.goal_values) if one.goal_values else None


def goal_reading(one: Iteration) -> str:
    mean = goal_mean(one)
    return "" if mean is None else reading(mean, one.goal_unit)


def goal_text(one: Iteration) -> str:
    mean = goal_mean(one)
    return "" if mean is None else f"{one.goal}  {reading(mean, one.goal_unit)}"


def told(one: Iteration) -> str:
    """The verdict, or what else is to be known of a measurement."""
    if one.decision:
        return one.decision
    failed = sum(step.state is StepState.FAILED for step in one.steps)
    if not one.is_finished:
        return "cut short"
    return f"{failed} failed" if failed else ""


def _repetitions(row: Row) -> str:
    sides = []
    for word, values in (("before", row.before), ("after", row.after)):
        if values:
            sides.append(f"{word}: {', '.join(reading(value, row.unit) for value in values[:12])}")
    kept = f"{row.kept_words.capitalize()}. " if row.trimmed else ""
    held = f". {HELD}" if row.family is Family.CPU and len(sides) == 2 else ""
    return f"{kept}Each repetition, {'; '.join(sides)}{held}" if sides else ""


def _reading(row: Row, mean: float) -> str:
    return "" if math.isnan(mean) else reading(mean, row.unit)


def _percent(change: float) -> str:
    return "" if math.isnan(change) else with_percent(signed_percent(change, digits=1))


def _key(value: float) -> float:
    return -math.inf if math.isnan(value) else value
