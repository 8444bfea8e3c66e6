"""The hotspots table as an item model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
from PySide6.QtCore import QObject

from tailflame.analyse.hotspots import GroupBy, HotspotTable
from tailflame.analyse.names import module_label
from tailflame.model.stacks import Bool, FrameKind
from tailflame.units import count
from tailflame_gui.models.array_table import ArrayTable, found_in
from tailflame_gui.models.figures import Measure
from tailflame_gui.models.roles import Column, Face, Role

NAME, SELF_SHARE, SELF, TOTAL_SHARE, TOTAL, SAMPLES, MODULE, SOURCE = range(8)

_WHAT = {
    GroupBy.FUNCTION: "Function",
    GroupBy.MODULE: "Module",
    GroupBy.FILE: "Source file",
    GroupBy.THREAD: "Thread",
}


class HotspotModel(ArrayTable):
    """One line per function, module, file or thread."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._table: HotspotTable | None = None
        self._by = GroupBy.FUNCTION
        self._measure = Measure("samples", 1.0, 0)
        self._largest = (1.0, 1.0)
        self._shown: tuple[int, ...] = ()

    @property
    def table(self) -> HotspotTable | None:
        return self._table

    @property
    def by(self) -> GroupBy:
        return self._by

    def set_table(self, table: HotspotTable, *, by: GroupBy, measure: Measure) -> None:
        """Shows `table`, whose rows are `by`, with weights in `measure`."""
        self._table, self._by, self._measure = table, by, measure
        self._largest = (
            float(table.self_weight.max(initial=0)) or 1.0,
            float(table.total_weight.max(initial=0)) or 1.0,
        )
        self._shown = _columns_for(table, by, measure)
        every = _columns(by, measure)
        self.reset(tuple(every[c] for c in self._shown))

    def column_of(self, figure: int) -> int:
        """Where NAME, SELF_SHARE and so on stand in this table, -1 where left out."""
        return self._shown.index(figure) if figure in self._shown else -1

    def size(self) -> int:
        return 0 if self._table is None else len(self._table)

    def row_of(self, key: str) -> int:
        """The row of a function, -1 where there is none."""
        return -1 if self._table is None else self._table.row(key)

    def key(self, column: int) -> npt.NDArray[Any] | Sequence[str]:
        table = self._held()
        match self._shown[column]:
            case 0:
                return table.key
            case 1 | 2:
                return table.self_weight
            case 3 | 4:
                return table.total_weight
            case 5:
                return table.self_samples
            case 6:
                return tuple(module_label(m) for m in table.module)
            case _:
                return tuple(self._place(row) for row in range(len(table)))

    def text(self, column: int, row: int) -> str:
        table = self._held()
        match self._shown[column]:
            case 0:
                return table.key[row]
            case 1:
                return self._measure.share(self._share(table.self_weight[row]), table.samples)
            case 2:
                return self._measure.text(float(table.self_weight[row]))
            case 3:
                return self._measure.share(self._share(table.total_weight[row]), table.samples)
            case 4:
                return self._measure.text(float(table.total_weight[row]))
            case 5:
                return count(float(table.self_samples[row])) if table.self_samples[row] else ""
            case 6:
                return module_label(table.module[row])
            case _:
                return self._place(row)

    def role(self, role: Role, column: int, row: int) -> Any:
        table = self._held()
        if role == Role.RAW:
            return self._raw(self._shown[column], row)
        if role == Role.BAR:
            match self._shown[column]:
                case 1:
                    return float(table.self_weight[row]) / self._largest[0]
                case 3:
                    return float(table.total_weight[row]) / self._largest[1]
            return None
        if role == Role.FUNCTION:
            return table.key[row] if self._by is GroupBy.FUNCTION else ""
        if role == Role.KIND:
            return int(table.kind[row]) if self._by is GroupBy.FUNCTION else int(FrameKind.UNKNOWN)
        if role == Role.PLACE:
            return (table.file[row], int(table.line[row]))
        return None

    def tip(self, column: int, row: int) -> str:
        table = self._held()
        lines = [table.key[row]]
        lines.append(
            f"self {self._measure.with_unit(float(table.self_weight[row]))}, "
            f"total {self._measure.with_unit(float(table.total_weight[row]))}"
        )
        if table.module[row] and self._by is GroupBy.FUNCTION:
            lines.append(table.module[row])
        if table.file[row]:
            lines.append(self._full_place(row))
        return "\n".join(lines)

    def found(self, query: str) -> Bool:
        """A function is also found by its module and its file."""
        table = self._held()
        found = found_in(table.key, query)
        if self._by is GroupBy.FUNCTION:
            found |= found_in(table.module, query) | found_in(table.file, query)
        return found

    def _held(self) -> HotspotTable:
        assert self._table is not None, "Qt asks nothing of a model without rows"
        return self._table

    def _share(self, weight: float) -> float:
        table = self._held()
        return float(weight) / table.total if table.total else 0.0

    def _raw(self, figure: int, row: int) -> Any:
        table = self._held()
        match figure:
            case 0:
                return table.key[row]
            case 1:
                return 100 * self._share(table.self_weight[row])
            case 2:
                return float(table.self_weight[row])
            case 3:
                return 100 * self._share(table.total_weight[row])
            case 4:
                return float(table.total_weight[row])
            case 5:
                return float(table.self_samples[row])
            case 6:
                return table.module[row]
            case _:
                return self._full_place(row)

    def _full_place(self, row: int) -> str:
        table = self._held()
        file, line = table.file[row], int(table.line[row])
        return f"{file}:{line}" if file and line > 0 else file

    def _place(self, row: int) -> str:
        """The file's own name: the whole path stands in the tip and in what is copied."""
        return self._full_place(row).rsplit("/", 1)[-1]


def _columns_for(table: HotspotTable, by: GroupBy, measure: Measure) -> tuple[int, ...]:
    """A column without a single entry is left out, and so are counts that only repeat the weight."""
    shown = [NAME, SELF_SHARE, SELF]
    if by is not GroupBy.THREAD:  # a thread's total is its self
        shown += [TOTAL_SHARE, TOTAL]
    if measure.counted and not table.unit.is_count:
        shown.append(SAMPLES)
    if by is GroupBy.FUNCTION and any(table.module):
        shown.append(MODULE)
    if by is GroupBy.FUNCTION and any(table.file):
        shown.append(SOURCE)
    return tuple(shown)


def _columns(by: GroupBy, measure: Measure) -> tuple[Column, ...]:
    what = _WHAT[by].lower()
    return (
        Column(_WHAT[by], f"The {what}. Enter shows more of it.", Face.NAME, 0),
        Column("Self %", f"Share of all weight spent in the {what} itself. The bar is relative to the largest.",
               Face.BAR, 96),
        Column(f"Self, {measure.label}", f"Weight spent in the {what} itself.", Face.FIGURE, 120),
        Column("Total %", f"Share of all weight spent in the {what} and in what it calls; recursion counts once.",
               Face.BAR, 96),
        Column(f"Total, {measure.label}", f"Weight spent in the {what} and in what it calls.", Face.FIGURE, 120),
        Column(
            measure.counted.capitalize(), f"{measure.counted.capitalize()} with the {what} on top of the stack.",
            Face.FIGURE, 88,
        ),
        Column("Module", "The binary or library that holds the code.", Face.TEXT, 136),
        Column("Source", "Where the function is, as the debug information tells.", Face.TEXT, 136),
    )  # fmt: skip
