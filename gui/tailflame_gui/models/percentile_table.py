"""The delta table of two latency distributions: a line per percentile, before, after, and whether it is real."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import QObject

from tailflame.analyse.latency_diff import LatencyDiff, PercentileChange
from tailflame.units import MINUS, count, interval_text, signed_percent
from tailflame_gui.models.session_table import Field, RowTable
from tailflame_gui.widgets.latency_unit import LatencyUnit, with_unit


@dataclass(frozen=True, slots=True)
class DeltaRow:
    """One percentile of both sides, values in `unit`. change, low, high: relative, with its 95 % interval; None where
    there is none. `verdict` is a word; `better`: True, False, None for "no difference that is known".
    """

    name: str
    before: float | None
    after: float | None
    before_count: int
    after_count: int
    change: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str = ""
    better: bool | None = None
    unit: str = "ns"
    note: str = ""


def delta_rows(diff: LatencyDiff, unit: str = "ns") -> tuple[DeltaRow, ...]:
    """The lines of a comparison, values in `unit`."""
    drawn = (
        "Stretches of time were drawn again."
        if diff.by_time
        else "Single values were drawn again: too narrow for a program that stalls."
    )
    return tuple(_row(row, diff, drawn, unit) for row in diff.rows)


def _row(row: PercentileChange, diff: LatencyDiff, drawn: str, unit: str) -> DeltaRow:
    known = row.reliable and math.isfinite(row.low_ratio) and math.isfinite(row.high_ratio)
    verdict = "too few values" if not row.reliable else "no difference"
    better = None
    if row.different:
        better = row.change < 0
        verdict = "faster" if better else "slower"
    few = f"Only {count(min(row.above_before, row.above_after))} values lie beyond it on one side."
    return DeltaRow(
        name=f"p{row.percentile:g}",
        before=float(row.before) if diff.total_before else None,
        after=float(row.after) if diff.total_after else None,
        before_count=diff.total_before,
        after_count=diff.total_after,
        change=row.ratio - 1.0 if math.isfinite(row.ratio) and diff.total_before and diff.total_after else None,
        low=row.low_ratio - 1.0 if known else None,
        high=row.high_ratio - 1.0 if known else None,
        verdict=verdict,
        better=better,
        unit=unit,
        note=drawn if row.reliable else few,
    )


_SHAPES = {True: ("trending-down", "good"), False: ("trending-up", "bad")}


def percentile_fields(unit: LatencyUnit = LatencyUnit.AUTO) -> tuple[Field[DeltaRow], ...]:
    """The columns, values in `unit`."""

    def value(told: float | None, row: DeltaRow) -> str:
        return "—" if told is None else with_unit(told, unit, unit=row.unit)

    def difference(row: DeltaRow) -> str:
        if row.before is None or row.after is None:
            return ""
        by = row.after - row.before
        sign = MINUS if by < 0 else "+" if by > 0 else "±"
        return f"{sign}{with_unit(abs(by), unit, unit=row.unit)}"

    return (
        Field[DeltaRow]("", lambda row: row.name, lambda row: row.name, 64, tip=lambda row: row.note),
        Field[DeltaRow](
            "Before", lambda row: value(row.before, row), lambda row: row.before or 0.0, 80, right=True, mono=True,
            tip=lambda row: f"of {count(row.before_count)} values",
        ),
        Field[DeltaRow](
            "After", lambda row: value(row.after, row), lambda row: row.after or 0.0, 80, right=True, mono=True,
            tip=lambda row: f"of {count(row.after_count)} values",
        ),
        Field[DeltaRow](
            "Change, %", lambda row: "" if row.change is None else signed_percent(row.change, digits=1),
            lambda row: row.change or 0.0, 80, right=True, mono=True, tip=difference,
        ),
        Field[DeltaRow](
            "95% interval",
            lambda row: "" if row.low is None or row.high is None else interval_text(row.low, row.high),
            lambda row: row.low or 0.0, 120, right=True, mono=True, muted=lambda _row: True, leaves=True,
            tip=lambda _row: "Where the change lies in 95 of 100 such comparisons, all percentiles together.",
        ),
        Field[DeltaRow](
            "Verdict", lambda row: row.verdict, lambda row: row.verdict, 0,
            icon=lambda row: None if row.better is None else _SHAPES[row.better],
            muted=lambda row: row.better is None, tip=lambda row: row.note,
        ),
    )  # fmt: skip


class PercentileTable(RowTable[DeltaRow]):
    """The lines in the unit that was chosen."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(percentile_fields(), parent)
        self._unit = LatencyUnit.AUTO

    def show_rows(self, rows: tuple[DeltaRow, ...], unit: LatencyUnit) -> None:
        if unit is not self._unit:
            self._unit = unit
            self.fields = percentile_fields(unit)
            self._repaint()
        self.set_rows(rows)
