"""The delta table of a comparison as an item model."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject

from tailflame.analyse.diff import Comparison, DeltaTable, Scale, Status
from tailflame.analyse.names import module_label
from tailflame.model.stacks import Bool, Float64
from tailflame.units import MINUS, change_digits, interval_text, signed_percent
from tailflame_gui.models.array_table import ArrayTable, found_in
from tailflame_gui.models.compared import weight_scale
from tailflame_gui.models.figures import Measure
from tailflame_gui.models.roles import Column, Face, Role

# The verdict stands with what it judges, not behind the totals: it is in view in narrow windows, too.
NAME, SELF_BEFORE, SELF_AFTER, CHANGE, INTERVAL, NOISE, TOTAL_BEFORE, TOTAL_AFTER, TOTAL_CHANGE, MODULE = range(10)

WITHIN = "within noise"
BEYOND = "beyond noise"
TOO_SMALL = "too small to test"
SAME = "same"
COUNTED = {1: "more", -1: "less", 0: SAME}
"""The verdict on what was counted: there is no noise of sampling to be beyond of."""


class Show(StrEnum):
    """Which rows."""

    ALL = "all functions"
    TESTED = "large enough to test"
    BEYOND = "beyond noise"


class DeltaModel(ArrayTable):
    """One line per function of either side."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._comparison: Comparison | None = None
        self._scale = Scale.NORMALISED
        self._show = Show.ALL
        self._measure = Measure("samples", 1.0, 0)

    @property
    def table(self) -> DeltaTable | None:
        return None if self._comparison is None else self._comparison.table

    @property
    def exact(self) -> bool:
        """Whether what is compared was counted, and not sampled."""
        return self._comparison is not None and self._comparison.exact

    def set_comparison(self, comparison: Comparison, *, scale: Scale, measure: Measure) -> None:
        self._comparison, self._scale, self._measure = comparison, scale, measure
        self.reset(_columns(scale, measure, exact=comparison.exact))

    def set_scale(self, scale: Scale) -> None:
        """Shares of each side, or weights as recorded. The change and its test are the same in both."""
        self._scale = scale
        if self._comparison is not None:
            self.retitle(_columns(scale, self._measure, exact=self._comparison.exact))

    def set_show(self, show: Show) -> None:
        self._show = show
        self.refilter()

    def size(self) -> int:
        return 0 if self._comparison is None else len(self._comparison.table)

    def row_of(self, name: str) -> int:
        return -1 if self._comparison is None else self._comparison.table.row(name)

    def extra_filter(self) -> Bool | None:
        table = self.table
        if table is None or self._show is Show.ALL:
            return None
        return np.asarray(table.significant if self._show is Show.BEYOND else table.tested)

    def found(self, query: str) -> Bool:
        table = self._held().table
        return found_in(table.names, query) | found_in(table.module, query)

    def key(self, column: int) -> npt.NDArray[Any] | Sequence[str]:
        table = self._held().table
        match column:
            case 0:
                return table.names
            case 1 | 2 | 6 | 7:
                return self._side(column)
            case 3:
                return table.change
            case 4 if self.exact:
                return table.self_after - table.self_before
            case 4:
                # By the end of the interval that is nearest to no change: what is known at least.
                nearest = np.where(np.abs(table.low) < np.abs(table.high), table.low, table.high)
                return np.where(np.sign(table.low) == np.sign(table.high), nearest, 0.0)
            case 8:
                return self._total_change()
            case 5 if self.exact:
                way: Float64 = np.sign(table.self_after - table.self_before) * table.significant
                return way
            case 5:
                surprise = np.where(np.isnan(table.p), 2.0, table.p)
                return np.where(table.significant, surprise - 1.0, surprise)
            case _:
                return tuple(module_label(m) for m in table.module)

    def text(self, column: int, row: int) -> str:
        comparison = self._held()
        table = comparison.table
        match column:
            case 0:
                return table.names[row]
            case 1 | 2 | 6 | 7:
                return self._figure(column, row)
            case 3:
                return self._change_text(row)
            case 4 if self.exact:
                return self._delta_text(row)
            case 4:
                if not (table.samples_before[row] and table.samples_after[row]):
                    return ""
                return interval_text(float(table.low[row]), float(table.high[row]))
            case 8:
                return self._total_change_text(row)
            case 5:
                return self.noise(row)
            case _:
                return module_label(table.module[row])

    def noise(self, row: int) -> str:
        """The verdict on a row in words."""
        table = self._held().table
        if self.exact:
            return COUNTED[
                int(np.sign(table.self_after[row] - table.self_before[row])) if table.significant[row] else 0
            ]
        if not table.tested[row]:
            return TOO_SMALL
        return BEYOND if table.significant[row] else WITHIN

    def role(self, role: Role, column: int, row: int) -> Any:
        table = self._held().table
        if role == Role.RAW:
            return self._raw(column, row)
        if role == Role.FUNCTION:
            return table.names[row]
        if role == Role.KIND:
            return int(table.kind[row])
        if role == Role.MUTED:
            return not table.significant[row]
        if role == Role.SIGN and column == CHANGE:
            # An arrow is a claim, so a figure that may be noise has none.
            return int(np.sign(table.change[row])) if table.significant[row] else 0
        return None

    def tip(self, column: int, row: int) -> str:
        comparison = self._held()
        table = comparison.table
        lines = [table.names[row]]
        if self.exact:
            before, after = (self._measure.with_unit(float(c[row])) for c in (table.self_before, table.self_after))
            lines.append(f"self {before} before, {after} after")
            lines.append(comparison.test)
            return "\n".join([*lines, table.module[row]] if table.module[row] else lines)
        sides = f"self samples {table.samples_before[row]:,.0f} before, {table.samples_after[row]:,.0f} after"
        lines.append(f"{sides}; the typical function stands at ×{comparison.scale:.3f}")
        tested = f", {_p_text(float(table.p[row]))} before the correction for many tests" if table.tested[row] else ""
        lines.append(f"{self.noise(row)}{tested}")
        if table.module[row]:
            lines.append(table.module[row])
        return "\n".join(lines)

    def _held(self) -> Comparison:
        assert self._comparison is not None, "Qt asks nothing of a model without rows"
        return self._comparison

    def _side(self, column: int) -> Float64:
        """Self or total of one side as it is shown: a share, or a weight."""
        comparison = self._held()
        table, tree = comparison.table, comparison.tree
        values, whole = {
            SELF_BEFORE: (table.self_before, tree.whole_before),
            SELF_AFTER: (table.self_after, tree.whole_after),
            TOTAL_BEFORE: (table.total_before, tree.whole_before),
            TOTAL_AFTER: (table.total_after, tree.whole_after),
        }[column]
        if self._scale is Scale.ABSOLUTE:
            return values
        return values / whole if whole else values

    def _figure(self, column: int, row: int) -> str:
        comparison = self._held()
        value = float(self._side(column)[row])
        if self._scale is Scale.ABSOLUTE:
            return self._measure.text(value)
        side = comparison.before if column in (SELF_BEFORE, TOTAL_BEFORE) else comparison.after
        return self._measure.share(value, side.total_samples)

    def _delta_text(self, row: int) -> str:
        """The difference of self, in the unit of the columns."""
        table = self._held().table
        if not table.significant[row]:
            return ""
        delta = float(table.self_after[row] - table.self_before[row])
        return f"{'+' if delta > 0 else MINUS}{self._measure.text(abs(delta))}"

    def _change_text(self, row: int) -> str:
        table = self._held().table
        if not table.samples_before[row] and not table.samples_after[row]:
            return ""
        if not table.samples_before[row]:
            return "new"
        if not table.samples_after[row]:
            return "gone"
        digits = change_digits(float(table.low[row]), float(table.high[row]))
        return signed_percent(float(table.change[row]), digits=digits)

    def _total_change(self) -> Float64:
        comparison = self._held()
        table = comparison.table
        with np.errstate(divide="ignore", invalid="ignore"):
            change = table.total_after / table.total_before / weight_scale(comparison) - 1
        return np.where(table.total_before > 0, change, np.inf)

    def _total_change_text(self, row: int) -> str:
        match self._held().table.status(row):
            case Status.NEW:
                return "new"
            case Status.VANISHED:
                return "gone"
            case _:
                return signed_percent(float(self._total_change()[row]))

    def _raw(self, column: int, row: int) -> Any:
        table = self._held().table
        match column:
            case 0:
                return table.names[row]
            case 1 | 2 | 6 | 7:
                value = float(self._side(column)[row])
                return 100 * value if self._scale is Scale.NORMALISED else value
            case 3:
                return 100 * float(table.change[row])
            case 4 if self.exact:
                return float(table.self_after[row] - table.self_before[row])
            case 8:
                return 100 * float(self._total_change()[row])
            case 9:
                return table.module[row]
            case _:
                return self.text(column, row)


def _p_text(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _columns(scale: Scale, measure: Measure, *, exact: bool) -> tuple[Column, ...]:
    columns = _tested_columns(scale, measure)
    if not exact:
        return columns
    told = {
        CHANGE: Column("Self change, %", "Relative change of self.", Face.CHANGE, 88),
        INTERVAL: Column(
            f"Difference, {measure.label}", "After less before, of the function itself.", Face.FIGURE, 120
        ),
        NOISE: Column("Direction", "More, less, or the same; nothing is tested, and runs may differ.", Face.WORDS, 88),
        TOTAL_CHANGE: Column("Total change, %", "Relative change of total.", Face.FIGURE, 88),
    }
    return tuple(told.get(at, known) for at, known in enumerate(columns))


def _tested_columns(scale: Scale, measure: Measure) -> tuple[Column, ...]:
    unit = "%" if scale is Scale.NORMALISED else measure.label
    of = "Share of its side" if scale is Scale.NORMALISED else "Weight as recorded"
    return (
        Column("Function", "Matched by name without hashes, addresses and crate disambiguators.", Face.NAME, 0),
        Column(f"Self before, {unit}", f"{of}: in the function itself, in the baseline.", Face.FIGURE, 104),
        Column(f"Self after, {unit}", f"{of}: in the function itself, in the candidate.", Face.FIGURE, 96),
        Column("Self change, %", "Relative change of self, measured against the typical function.", Face.CHANGE, 88),
        Column("95 % interval", "Where the change lies with 95 % confidence.", Face.FIGURE, 120),
        Column("Noise", "Whether the change of self leaves the sampling noise.", Face.WORDS, 128),
        Column(f"Total before, {unit}", f"{of}: with all it calls, in the baseline.", Face.FIGURE, 104),
        Column(f"Total after, {unit}", f"{of}: with all it calls, in the candidate.", Face.FIGURE, 104),
        Column("Total change, %", "Relative change of total, measured against the typical function. Not tested.",
               Face.FIGURE, 88),
        Column("Module", "The binary or library that holds the code.", Face.TEXT, 120),
    )  # fmt: skip
