"""The table of two runs' system calls: before, after, and the change of each figure."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tailflame.analyse.syscall_diff import CallChange, CallDiff, CallFigures
from tailflame.model.stacks import Float64
from tailflame.units import count, nanoseconds, signed_percent
from tailflame_gui.models.roles import Column, Face
from tailflame_gui.models.syscall_table import Content, Shown, TimeMeasure, words

_Figure = Callable[[CallFigures], float]
_AROUND, _OF_FIGURE, _LEAST = 16, 7.25, 48
"""Pixels around the figures of a cell, of one of them, and of a column at least: "after" stands above it."""


def changed_calls(diff: CallDiff, *, per_second: bool) -> Content:
    """One row per call of either side. per_second: calls, errors and time of one second of the run, where the lengths
    of both are known.
    """
    changes = diff.changes
    lengths = (diff.before_s, diff.after_s) if per_second else (1.0, 1.0)
    before_s, after_s = (length or 1.0 for length in lengths)
    unit = "/s" if per_second else ""
    columns = [words("Call", "The system call.", [change.name for change in changes], face=Face.NAME, width=0)]
    columns += _pair(changes, f"Calls{unit}", "Calls that came back.", lambda f: f.calls, before_s, after_s)
    if any(change.before.errors or change.after.errors for change in changes):
        columns += _pair(
            changes, f"Errors{unit}", "Calls that failed.", lambda f: f.errors, before_s, after_s, change=False
        )
    total = f"Total{unit}"
    if not diff.unlike:
        columns += _times(changes, total, "Time in all calls.", lambda f: f.total_s * 1e9, before_s, after_s)
    if diff.singles:
        # Percentiles are the ends of buckets: how fine times are is told by the longest calls.
        single = TimeMeasure.of(np.array([f.max_ns for c in changes for f in (c.before, c.after)]))
        for title, words_, of, change in (
            ("p50", "Half of the calls took no longer.", lambda f: f.p50_ns, False),
            ("p99", "99 of 100 calls took no longer.", lambda f: f.p99_ns, True),
            ("Max", "The longest call.", lambda f: f.max_ns, False),
        ):
            columns += _times(changes, title, words_, of, measure=single, change=change)

    def tip(row: int) -> str:
        change = changes[row]
        lines = [change.name + (f", {change.status}" if change.status else "")]
        for word, side, length in (("before", change.before, diff.before_s), ("after", change.after, diff.after_s)):
            rate = f", {count(side.calls / length)} a second" if length else ""
            whole = "" if diff.unlike else f", {nanoseconds(side.total_s * 1e9)} in all"
            lines.append(f"{word}: {count(side.calls)} calls{rate}{whole}")
        return "\n".join(lines)

    return Content(tuple(columns), len(changes), tip, tuple(change.name for change in changes))


def _sides(changes: tuple[CallChange, ...], of: _Figure, before_s: float, after_s: float) -> tuple[Float64, Float64]:
    before = np.array([of(change.before) for change in changes], dtype=np.float64) / before_s
    after = np.array([of(change.after) for change in changes], dtype=np.float64) / after_s
    return before, after


def _pair(
    changes: tuple[CallChange, ...], title: str, tip: str, of: _Figure, before_s: float, after_s: float,
    *, change: bool = True,
) -> list[Shown]:  # fmt: skip
    before, after = _sides(changes, of, before_s, after_s)

    def figures(values: Float64) -> Callable[[int], str]:
        return lambda row: _plain(float(values[row])) if values[row] else ""

    width = _room(*(_plain(float(value)) for value in np.concatenate((before, after))))
    columns = [
        Shown(Column(title, f"{tip} Before.", Face.FIGURE, width), before, figures(before)),
        Shown(Column("after", f"{tip} After.", Face.FIGURE, width), after, figures(after)),
    ]
    return [*columns, _change(before, after, words=True)] if change else columns


def _times(
    changes: tuple[CallChange, ...], title: str, tip: str, of: _Figure, before_s: float = 1.0, after_s: float = 1.0,
    *, measure: TimeMeasure | None = None, change: bool = True,
) -> list[Shown]:  # fmt: skip
    before, after = _sides(changes, of, before_s, after_s)
    measure = measure or TimeMeasure.of(np.concatenate((before, after)), fine=False)
    largest = float(np.nanmax(np.concatenate((before, after)))) if len(changes) else 0.0
    width = _room(measure.text(largest))

    def figures(values: Float64) -> Callable[[int], str]:
        return lambda row: measure.text(float(values[row])) if values[row] else ""

    columns = [
        Shown(
            Column(f"{title}, {measure.unit}", f"{tip} Before.", Face.FIGURE, width), _known(before), figures(before)
        ),
        Shown(Column("after", f"{tip} After.", Face.FIGURE, width), _known(after), figures(after)),
    ]
    return [*columns, _change(before, after)] if change else columns


def _room(*texts: str) -> int:
    """A column as wide as its figures: sixteen columns stand beside the name in a window of 1280 pixels."""
    return max(_AROUND + math.ceil(_OF_FIGURE * max(map(len, texts), default=0)), _LEAST)


def _plain(value: float) -> str:
    """A rate has a digit more only where it says something."""
    return count(round(value) if value >= 100 else value)


def _known(values: Float64) -> Float64:
    return np.nan_to_num(values, nan=-1.0)


def _change(before: Float64, after: Float64, *, words: bool = False) -> Shown:
    """words: "new" and "gone" where only one side has it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.where((before > 0) & (after > 0), after / before - 1, np.nan)
    alone = np.where(after > 0, 1, -1) * ((before > 0) != (after > 0))

    def text(row: int) -> str:
        if np.isfinite(change[row]):
            return signed_percent(float(change[row]))
        return {1: "new", -1: "gone"}.get(int(alone[row]), "") if words else ""

    return Shown(
        Column("%", "The relative change. One run each: it may be chance.", Face.CHANGE, 60),
        np.where(np.isfinite(change), change, np.where(alone > 0, 1e9, np.where(alone < 0, -1.0, 0.0))),
        text,
        sign=lambda row: int(np.sign(np.round(np.nan_to_num(change[row]), 3))),
    )
