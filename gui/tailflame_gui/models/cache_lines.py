"""The lines of a source file beside one figure of what they cost: an event, what is reckoned, or a rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Qt

from tailflame.analyse.cache_rates import CostBy, CostRows, cost_rows
from tailflame.analyse.names import plain, short
from tailflame.host.source_files import SourceText
from tailflame.model import CostTable
from tailflame.model.stacks import NONE, Float64, Int32, Int64
from tailflame.units import percent
from tailflame_gui.models.cache_figures import CostFigure, rate_text
from tailflame_gui.models.code_lines import CodeColumn, CodeLines, CodeRole, Face, RowKind, share_of

FIGURE, LINE, TEXT = range(3)
_TAB = "    "
_MANY = 1e9
"""Costs are counted: a share of them is known to every digit."""


@dataclass(frozen=True, slots=True, eq=False)
class FileCosts:
    """Rows of one source file by line; rows whose line is -1 are functions that the compiler tells no line of.

    begins: of each row its line, or for one without the first line of its function that is known, 0 for none.
    """

    file: str
    rows: CostRows
    begins: Int64


def file_costs(table: CostTable, file: str) -> FileCosts:
    """What the lines of `file` cost; in a thread, for large tables."""
    number = table.strings.index(file) if file in table.strings else NONE
    mine = np.flatnonzero(table.file == number)
    part = CostTable(
        events=table.events,
        descriptions=table.descriptions,
        strings=table.strings,
        module=table.module[mine],
        file=table.file[mine],
        function=table.function[mine],
        line=table.line[mine],
        costs=table.costs[mine],
        totals=table.totals,
    )
    rows = cost_rows(part, CostBy.LINE)
    first: dict[str, int] = {}
    known = np.flatnonzero(part.line > 0)
    for function, line in zip(part.function[known].tolist(), part.line[known].tolist(), strict=True):
        name = plain(part.string(function))
        first[name] = min(line, first.get(name, line))
    begins = [line if line > 0 else first.get(name, 0) for name, line in zip(rows.function, rows.line, strict=True)]
    return FileCosts(file, rows, np.array(begins, dtype=np.int64))


class CacheLines(CodeLines):
    """Without the text only lines with a cost are shown. What has no line stands before its function's first one."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._costs: FileCosts | None = None
        self._text: SourceText | None = None
        self._figure: CostFigure | None = None
        self._line: Int32 = np.zeros(0, dtype=np.int32)
        self._row: Int32 = np.zeros(0, dtype=np.int32)
        """Of each shown line the row of the costs, -1 for none."""
        self._values: Float64 = np.zeros(0)
        self._heat: Float64 = np.zeros(0)
        self._whole = 0.0

    @property
    def columns(self) -> tuple[CodeColumn, ...]:
        figure = self._figure
        if figure is None:
            title, tip = "Cost", ""
        elif figure.is_rate:
            title, tip = "Rate %", f"{figure.tip} The colour tells how many misses there are, not how high the rate is."
        else:
            title, tip = f"{figure.title.split(' ')[0]} %", f"{figure.tip} As a share of the whole program."
        return (
            CodeColumn(title, tip, Face.SHARE),
            CodeColumn("Line", "The line of the source file.", Face.NUMBER),
            CodeColumn("Source", "Enter opens it in the editor. N goes to the next hottest line.", Face.CODE),
        )

    @property
    def file(self) -> str:
        return self._costs.file if self._costs is not None else ""

    def clear(self) -> None:
        self.beginResetModel()
        self._costs = self._text = None
        self._line = self._row = np.zeros(0, dtype=np.int32)
        self._values = self._heat = np.zeros(0)
        self._renewed()
        self.endResetModel()

    def set_lines(self, costs: FileCosts, text: SourceText | None, figure: CostFigure) -> None:
        self.beginResetModel()
        self._costs, self._text = costs, text
        known = costs.rows.line
        nowhere = np.flatnonzero(known <= 0)
        last = max(len(text.lines) if text is not None else 0, int(known.max(initial=0)))
        row_of = np.full(last + 1, NONE, dtype=np.int32)
        row_of[known[known > 0]] = np.flatnonzero(known > 0)
        lines = np.arange(1, last + 1) if text is not None else np.sort(known[known > 0])
        begins = np.concatenate([costs.begins[nowhere], lines])
        order = np.argsort(begins, kind="stable")  # what has no line stands before its function's first
        self._line = np.concatenate([np.full(len(nowhere), NONE), lines])[order].astype(np.int32)
        self._row = np.concatenate([nowhere, row_of[lines]])[order].astype(np.int32)
        self._measure(figure)
        self._renewed()
        self.endResetModel()
        self._remark()

    def set_figure(self, figure: CostFigure) -> None:
        """Another figure beside the same lines."""
        if self._costs is None:
            self._figure = figure
            return
        self._measure(figure)
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, 0)
        self._repaint()

    def row_of_line(self, line: int, function: str = "") -> int:
        """The shown row of a line; of line -1 the one of the function. -1 where it is not shown."""
        if line > 0:
            found = np.flatnonzero(self._line == line)
            return int(found[0]) if len(found) else NONE
        for row in np.flatnonzero(self._line < 0).tolist():
            if self._function(row) == function:
                return int(row)
        return NONE

    # CodeLines

    def size(self) -> int:
        return len(self._line)

    def text(self, row: int) -> str:
        line = int(self._line[row])
        if line <= 0:
            return f"// no line is told of this code in {short(self._function(row))}"
        if self._text is None or line > len(self._text.lines):
            return ""
        return self._text.lines[line - 1].replace("\t", _TAB).rstrip()

    def heat(self) -> Float64:
        return self._heat

    def cell(self, column: int, row: int) -> str:
        match column:
            case 0:
                return self._figure_text(row)
            case 1:
                return str(self._line[row]) if self._line[row] > 0 else ""
            case _:
                return self.text(row)

    def code_role(self, role: CodeRole, column: int, row: int) -> Any:
        match role:
            case CodeRole.RANK:
                return int(RowKind.LINE)
            case CodeRole.DEPTH:
                return 0
            case CodeRole.HEAT:
                return self._relative(row)
            case CodeRole.SHARE:
                return self._relative(row) if column == FIGURE else None
            case CodeRole.NAME:
                return ""
            case _:
                return None

    def place(self, row: int) -> tuple[str, int]:
        return self.file, int(self._line[row])

    def function(self, row: int) -> str:
        return ""

    def tip(self, row: int) -> str:
        at, costs = int(self._row[row]), self._costs
        if at < 0 or costs is None:
            return ""
        rows = costs.rows
        lines = [rows.function[at]] if rows.function[at] else []
        for name, cost in zip(rows.events, rows.costs[at].tolist(), strict=True):
            whole = int(rows.totals[rows.events.index(name)])
            if cost:
                lines.append(f"{name} {cost:,}" + (f" ({percent(cost / whole)})" if whole else ""))
        return "\n".join(lines)

    def widest(self) -> int:
        return max(map(len, self.texts()), default=0)

    def widest_number(self) -> int:
        return max(len(str(int(self._line.max(initial=0)))), 3)

    def _measure(self, figure: CostFigure) -> None:
        assert self._costs is not None
        self._figure = figure
        rows = self._costs.rows
        if len(rows):
            values = figure.values(rows.costs, rows.events)
            misses = values
            if figure.is_rate:  # a rate of nearly nothing is no heat: what counts is how many there are
                misses = _above(figure, rows)
            self._values = np.append(values, np.nan)[self._row]
            self._heat = np.maximum(np.append(misses, 0.0)[self._row], 0.0)
        else:
            self._values, self._heat = np.full(len(self._row), np.nan), np.zeros(len(self._row))
        self._whole = 1.0 if figure.is_rate else float(figure.values(rows.totals, rows.events))

    def _relative(self, row: int) -> float:
        largest = float(self._heat.max(initial=0))
        return float(self._heat[row]) / largest if largest else 0.0

    def _figure_text(self, row: int) -> str:
        value, figure = float(self._values[row]), self._figure
        if figure is None or not np.isfinite(value):
            return ""
        return rate_text(value) if figure.is_rate else share_of(value, self._whole, _MANY)

    def _function(self, row: int) -> str:
        at, costs = int(self._row[row]), self._costs
        return costs.rows.function[at] if at >= 0 and costs is not None else ""


def _above(figure: CostFigure, rows: CostRows) -> Float64:
    """How many misses a rate is made of."""
    names = getattr(figure.of, "above", ())
    return np.asarray(rows.costs[:, [rows.events.index(name) for name in names]].sum(axis=1), dtype=np.float64)
