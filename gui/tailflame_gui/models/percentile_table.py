"""The delta table of two latency distributions: a line per percentile, before, after, and whether it is real."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject

from tailflame.units import count
from tailflame_gui.models.figures import MINUS, interval_text, signed_percent
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
            tip=lambda _row: "Where the change would lie in 95 of 100 repetitions.",
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
