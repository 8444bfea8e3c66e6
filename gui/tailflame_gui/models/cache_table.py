"""Costs by function, file or line as an item model, with the columns that the user chooses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject

from tailflame.analyse.cache_rates import CostBy, CostRows, place_text
from tailflame.analyse.names import module_label
from tailflame.model.stacks import NONE, Bool, Float64, FrameKind
from tailflame.units import percent
from tailflame_gui.models.array_table import ArrayTable, found_in
from tailflame_gui.models.cache_figures import CostFigure
from tailflame_gui.models.roles import Column, Face, Role

_WORDS = {CostBy.FUNCTION: "Function", CostBy.FILE: "Source file", CostBy.LINE: "Line"}
_FIGURE = 84


class CacheModel(ArrayTable):
    """One line per function, source file or source line."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: CostRows | None = None
        self._figures: tuple[CostFigure, ...] = ()
        self._values: list[Float64] = []
        self._largest: list[float] = []
        self._worth: list[Bool] = []

    @property
    def rows(self) -> CostRows | None:
        return self._rows

    @property
    def figures(self) -> tuple[CostFigure, ...]:
        return self._figures

    @property
    def by(self) -> CostBy:
        return self._rows.by if self._rows is not None else CostBy.FUNCTION

    def set_rows(self, rows: CostRows, figures: Sequence[CostFigure]) -> None:
        """Shows `rows`, with `figures` as columns."""
        self._rows, self._figures = rows, tuple(figures)
        self._values = [figure.values(rows.costs, rows.events) for figure in self._figures]
        self._worth = [figure.worth(rows.costs, rows.events, rows.totals) for figure in self._figures]
        self._largest = [float(np.abs(values).max(initial=0)) or 1.0 for values in self._values]
        self.reset(self._titles(rows))

    def column_of(self, key: str) -> int:
        """The column of a figure, -1 where it is not shown."""
        return next((at + 1 for at, figure in enumerate(self._figures) if figure.key == key), NONE)

    def row_of(self, function: str) -> int:
        """The costliest row of a function, -1 where there is none."""
        rows = self._rows
        return rows.function.index(function) if rows is not None and function in rows.function else NONE

    def size(self) -> int:
        return 0 if self._rows is None else len(self._rows)

    def key(self, column: int) -> npt.NDArray[Any] | Sequence[str]:
        rows = self._held()
        if column == 0:
            return tuple(rows.name(row) for row in range(len(rows)))
        if column > len(self._figures):
            return tuple(self._beside(row) for row in range(len(rows)))
        return self._figures[column - 1].sorted_by(rows.costs, rows.events, rows.totals)

    def text(self, column: int, row: int) -> str:
        if column == 0:
            return self._held().name(row)
        if column > len(self._figures):
            return self._beside(row)
        return self._figures[column - 1].text(float(self._values[column - 1][row]))

    def role(self, role: Role, column: int, row: int) -> Any:
        rows, at = self._held(), column - 1
        figure = 0 <= at < len(self._figures)
        match role:
            case Role.RAW:
                return float(self._values[at][row]) if figure else self.text(column, row)
            case Role.BAR:
                return float(self._values[at][row]) / self._largest[at] if figure else None
            case Role.MUTED:
                return figure and not bool(self._worth[at][row])
            case Role.FUNCTION:
                return rows.function[row]
            case Role.KIND:
                return int(FrameKind.USER if rows.by is CostBy.FUNCTION else FrameKind.UNKNOWN)
            case Role.PLACE:
                return (rows.file[row], int(rows.line[row]))
            case _:
                return None

    def tip(self, column: int, row: int) -> str:
        rows = self._held()
        lines = [rows.function[row]] if rows.function[row] else []
        if rows.file[row]:
            line = int(rows.line[row]) if rows.by is CostBy.LINE else NONE
            lines.append(f"{rows.file[row]}:{line}" if line > 0 else rows.file[row])
        if rows.by is CostBy.LINE and rows.line[row] <= 0:
            lines.append("The compiler tells no line of this code: it stands for several.")
        for figure, values in zip(self._figures, self._values, strict=True):
            value = float(values[row])
            share = ""
            if not figure.is_rate:
                whole = float(figure.values(rows.totals, rows.events))
                share = f" ({percent(value / whole)})" if whole else ""
            lines.append(f"{figure.title.removesuffix(', %')}: {figure.words(value)}{share}")
        return "\n".join(lines)

    def found(self, query: str) -> Bool:
        rows = self._held()
        return found_in(rows.function, query) | found_in(rows.file, query) | found_in(rows.module, query)

    def _held(self) -> CostRows:
        assert self._rows is not None, "Qt asks nothing of a model without rows"
        return self._rows

    def _beside(self, row: int) -> str:
        """Of a function its file, of a line its function, of a file its folder."""
        rows = self._held()
        match rows.by:
            case CostBy.FUNCTION:
                return place_text(rows.file[row], 0).removesuffix(", no line") if rows.file[row] else ""
            case CostBy.LINE:
                return rows.function[row]
            case _:
                return module_label(rows.module[row]) if rows.module[row] else rows.file[row].rpartition("/")[0]

    def _titles(self, rows: CostRows) -> tuple[Column, ...]:
        beside = {
            CostBy.FUNCTION: ("Source", "The file that holds most of it and is not a library's."),
            CostBy.FILE: ("Where", "The module, or the folder."),
            CostBy.LINE: ("Function", "The function with most of the line's cost."),
        }[rows.by]
        return (
            Column(_WORDS[rows.by], "Enter shows its source.", Face.NAME, 0),
            *(
                Column(
                    figure.title,
                    figure.tip + (" Faint where it is taken of less than 0.1 % of all." if figure.is_rate else ""),
                    Face.FIGURE if figure.is_rate else Face.BAR,
                    _FIGURE if figure.is_rate else _FIGURE + 16,
                )
                for figure in self._figures
            ),
            Column(*beside, Face.TEXT, 120),
        )
