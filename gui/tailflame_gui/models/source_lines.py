"""The lines of a source file with their costs; code that is inlined into a line unfolds below it."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import QModelIndex, QObject

from tailflame.analyse.annotate import LineCosts
from tailflame.host.source_files import SourceText
from tailflame.model.stacks import NONE, Bool, Float64, Int32
from tailflame.units import percent
from tailflame_gui.models.code_lines import CodeColumn, CodeLines, CodeRole, Face, RowKind, share_of

SELF, TOTAL, LINE, TEXT = range(4)
_COLUMNS = (
    CodeColumn(
        "Self %", "Samples in code that is written on this line. What is inlined there has lines below.", Face.SHARE
    ),
    CodeColumn(
        "Total %", "Samples on this line with what it calls and inlines; recursion counts once.", Face.SHARE
    ),
    CodeColumn("Line", "The line of the source file.", Face.NUMBER),
    CodeColumn("Source", "Right and Left unfold and fold what was inlined into a line. Enter opens it in the editor.",
               Face.CODE),
)  # fmt: skip
_UNFOLDED_FROM = 0.005
"""Share of all weight that inlined code of a line has for the line to be shown unfolded at first."""
_OWN_COUNTS_FROM = 0.1
"""Share of own code in a function's total, from which on a line's heat is its own code's, and not what it calls."""
_ROWS_AT_FIRST = 400
_FILES_KEPT = 64
_TAB = "    "
_NOTHING = np.zeros(0, dtype=np.int32)


class SourceLines(CodeLines):
    """Without the text only lines with a cost are shown: their numbers are known all the same."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._costs: LineCosts | None = None
        self._text: SourceText | None = None
        self._others: dict[str, SourceText] = {}
        self._line: Int32 = _NOTHING
        self._inlined: Int32 = _NOTHING
        self._depth: Int32 = _NOTHING
        self._cost_of: Int32 = _NOTHING
        self._calls = False
        self._unfolds: Bool = np.zeros(0, dtype=bool)
        self._largest = (1.0, 1.0, 1.0)

    @property
    def columns(self) -> tuple[CodeColumn, ...]:
        return _COLUMNS

    @property
    def costs(self) -> LineCosts | None:
        return self._costs

    @property
    def file(self) -> str:
        return self._costs.file if self._costs is not None else ""

    @property
    def source_text(self) -> SourceText | None:
        return self._text

    def clear(self) -> None:
        self.beginResetModel()
        self._costs = self._text = None
        self._line = self._inlined = self._depth = self._cost_of = _NOTHING
        self._renewed()
        self.endResetModel()

    def set_lines(self, costs: LineCosts, text: SourceText | None) -> None:
        """Shows a file; what costs most of the inlined code is unfolded."""
        self.beginResetModel()
        self._costs, self._text = costs, text
        last = max(len(text.lines) if text is not None else 0, int(costs.line.max(initial=0)))
        self._cost_of = np.full(last + 1, NONE, dtype=np.int32)
        self._cost_of[costs.line] = np.arange(len(costs), dtype=np.int32)
        lines = np.arange(1, last + 1, dtype=np.int32) if text is not None else costs.line.astype(np.int32)
        self._line = lines
        self._inlined = np.full(len(lines), NONE, dtype=np.int32)
        self._depth = np.zeros(len(lines), dtype=np.int32)
        self._unfolds = np.bincount(costs.inlined.line, minlength=len(costs)) > 0
        self._unfold_at_first(costs)
        # Where a function does little itself, what its lines call is what one looks for.
        self._calls = costs.whole_own < _OWN_COUNTS_FROM * costs.whole
        self._largest = (
            float(max(costs.own.max(initial=0), costs.inlined.own.max(initial=0))) or 1.0,
            float(costs.total.max(initial=0)) or 1.0,
            float((costs.total if self._calls else costs.body).max(initial=0)) or 1.0,
        )
        self._renewed()
        self.endResetModel()
        self._remark()

    def set_other_text(self, file: str, text: SourceText) -> None:
        """The text of another file, from which code was inlined."""
        if len(self._others) >= _FILES_KEPT:
            self._others.pop(next(iter(self._others)))
        self._others[file] = text
        self._repaint()

    def other_files(self) -> tuple[str, ...]:
        """Other files that inlined code stands in, and whose text is not known yet, the heaviest first."""
        if self._costs is None:
            return ()
        inlined = self._costs.inlined
        weights: dict[str, float] = {}
        for file, own in zip(inlined.files, inlined.own.tolist(), strict=True):
            if file and file != self._costs.file and file not in self._others:
                weights[file] = weights.get(file, 0.0) + own
        return tuple(sorted(weights, key=lambda file: -weights[file]))

    def toggle(self, row: int, *, unfold: bool | None = None) -> bool:
        """Unfolds or folds what is inlined into a line; `unfold` says which, None the other way. Whether it did."""
        if self._costs is None or not 0 <= row < self.size() or self._inlined[row] >= 0:
            return False
        entries = self._below(row)
        if not entries:
            return False
        is_open = row + 1 < self.size() and bool(self._inlined[row + 1] >= 0)
        if unfold is is_open:
            return False
        if is_open:
            self.beginRemoveRows(QModelIndex(), row + 1, row + len(entries))
            gone = slice(row + 1, row + 1 + len(entries))
            for name in ("_line", "_inlined", "_depth"):
                setattr(self, name, np.delete(getattr(self, name), gone))
            self._after_change()
            self.endRemoveRows()
        else:
            self.beginInsertRows(QModelIndex(), row + 1, row + len(entries))
            self._insert(row, entries)
            self._after_change()
            self.endInsertRows()
        self._remark()
        return True

    def line_at(self, row: int) -> int:
        """The line of the file that a row stands for or below, -1 for no row."""
        return int(self._line[row]) if 0 <= row < self.size() else NONE

    def row_of(self, line: int) -> int:
        """The row of a line of the file, -1 where it is not shown."""
        found = np.flatnonzero((self._line == line) & (self._inlined < 0))
        return int(found[0]) if len(found) else NONE

    def rows_of(self, places: list[tuple[str, int]]) -> list[int]:
        """Rows that stand for any of `places` (file, line): lines of the file, and unfolded ones."""
        if self._costs is None:
            return []
        rows = []
        wanted = set(places)
        lines = {line for file, line in places if file == self._costs.file}
        for row in np.flatnonzero(np.isin(self._line, list(lines)) & (self._inlined < 0)).tolist():
            rows.append(row)
        inlined = self._costs.inlined
        for row in np.flatnonzero(self._inlined >= 0).tolist():
            at = int(self._inlined[row])
            if (inlined.files[at], int(inlined.place[at])) in wanted and int(self._line[row]) in lines:
                rows.append(row)
        return sorted(rows)

    # CodeLines

    def size(self) -> int:
        return len(self._line)

    def heat(self) -> Float64:
        if self._costs is None or not self.size():
            return np.zeros(0)
        at = self._cost_of[self._line]
        weight = np.append(self._costs.total if self._calls else self._costs.body, 0.0)[at]
        return np.where(self._inlined < 0, weight, 0.0)

    def text(self, row: int) -> str:
        costs = self._costs
        at = int(self._inlined[row])
        if at >= 0 and costs is not None:
            return _line_of(self._others.get(costs.inlined.files[at]), self._text, costs, at)
        if self._text is None:
            return ""
        line = int(self._line[row])
        return self._text.lines[line - 1].replace("\t", _TAB).rstrip() if line <= len(self._text.lines) else ""

    def texts(self) -> list[str]:
        if self._text is None or self._costs is None:
            return [f"{self.function(row)} {self.text(row)}" for row in range(self.size())]
        lines, inlined = self._text.lines, self._costs.inlined
        texts = [lines[line - 1] if line <= len(lines) else "" for line in self._line.tolist()]
        for row in np.flatnonzero(self._inlined >= 0).tolist():
            texts[row] = f"{inlined.names[self._inlined[row]]} {self.text(row)}"
        return texts

    def widest(self) -> int:
        lines = self._text.lines if self._text is not None else ()
        return max((len(line) + (len(_TAB) - 1) * line.count("\t") for line in lines), default=0)

    def widest_number(self) -> int:
        return max(len(str(len(self._cost_of) - 1)), 3)

    def cell(self, column: int, row: int) -> str:
        costs, at = self._held(), int(self._inlined[row])
        match column:
            case 0 | 1:
                return share_of(self._weights(row)[column], costs.whole, costs.samples)
            case 2:
                return str(self._line[row]) if at < 0 else ""
            case _:
                return self.text(row)

    def code_role(self, role: CodeRole, column: int, row: int) -> Any:
        costs, at = self._held(), int(self._inlined[row])
        match role:
            case CodeRole.RANK:
                return int(RowKind.LINE if at < 0 else RowKind.INLINED)
            case CodeRole.DEPTH:
                return int(self._depth[row])
            case CodeRole.SHARE:
                if column > TOTAL:
                    return None
                own, total = self._weights(row)
                return own / self._largest[0] if column == SELF else total / self._largest[1]
            case CodeRole.HEAT:
                cost = int(self._cost_of[self._line[row]])
                if at >= 0:
                    weights = costs.inlined.total if self._calls else costs.inlined.own
                    return float(weights[at]) / self._largest[2]
                weights = costs.total if self._calls else costs.body
                return float(weights[cost]) / self._largest[2] if cost >= 0 else 0.0
            case CodeRole.FOLD:
                cost = int(self._cost_of[self._line[row]])
                if at >= 0 or cost < 0 or not self._unfolds[cost]:
                    return None
                return row + 1 < self.size() and bool(self._inlined[row + 1] >= 0)
            case CodeRole.NAME:
                return costs.inlined.names[at] if at >= 0 else ""
            case _:
                return None

    def place(self, row: int) -> tuple[str, int]:
        costs, at = self._held(), int(self._inlined[row])
        if at >= 0:
            return costs.inlined.files[at], int(costs.inlined.place[at])
        return costs.file, int(self._line[row])

    def function(self, row: int) -> str:
        at = int(self._inlined[row])
        return self._held().inlined.names[at] if at >= 0 else ""

    def tip(self, row: int) -> str:
        costs, at = self._held(), int(self._inlined[row])
        own, total = self._weights(row)
        lines = []
        if at >= 0:
            lines += [costs.inlined.names[at], f"inlined from {costs.inlined.files[at]}:{costs.inlined.place[at]}"]
        if not total:
            return "\n".join(lines)
        whole = costs.whole or 1.0
        lines.append(f"self {percent(own / whole)}, total {percent(total / whole)}")
        if at < 0:
            inlined = float(costs.body[self._cost_of[self._line[row]]]) - own
            if inlined:
                lines.append(f"in code inlined here {percent(inlined / whole)}")
        return "\n".join(lines)

    def _held(self) -> LineCosts:
        assert self._costs is not None, "Qt asks nothing of a model without rows"
        return self._costs

    def _weights(self, row: int) -> tuple[float, float]:
        """(self, total) of a row."""
        costs, at = self._held(), int(self._inlined[row])
        if at >= 0:
            return float(costs.inlined.own[at]), float(costs.inlined.total[at])
        cost = int(self._cost_of[self._line[row]])
        return (float(costs.own[cost]), float(costs.total[cost])) if cost >= 0 else (0.0, 0.0)

    def _below(self, row: int) -> list[tuple[int, int]]:
        cost = int(self._cost_of[self._line[row]])
        return self._held().inlined.below(cost) if cost >= 0 else []

    def _insert(self, row: int, entries: list[tuple[int, int]]) -> None:
        place = np.full(len(entries), row + 1)
        self._line = np.insert(self._line, place, self._line[row])
        self._inlined = np.insert(self._inlined, place, [at for at, _depth in entries])
        self._depth = np.insert(self._depth, place, [depth for _at, depth in entries])

    def _unfold_at_first(self, costs: LineCosts) -> None:
        hidden = costs.body - costs.own
        least = _UNFOLDED_FROM * (costs.whole_own or 1.0)
        rows = np.flatnonzero(hidden >= least)
        room = _ROWS_AT_FIRST
        chosen = []
        for row in rows[np.argsort(-hidden[rows], kind="stable")].tolist():
            entries = costs.inlined.below(row)
            if len(entries) <= room:
                room -= len(entries)
                chosen.append((int(costs.line[row]), entries))
        for line, entries in sorted(chosen, reverse=True, key=lambda pair: pair[0]):
            at = self.row_of(line)
            if at >= 0:
                self._insert(at, entries)

    def _after_change(self) -> None:
        self._linked = frozenset()
        self._marked = None


def _line_of(other: SourceText | None, own: SourceText | None, costs: LineCosts, at: int) -> str:
    """The text of an inlined line, "" where its file is not known."""
    text = own if costs.inlined.files[at] == costs.file else other
    line = int(costs.inlined.place[at])
    if text is None or not 0 < line <= len(text.lines):
        return ""
    return text.lines[line - 1].strip().replace("\t", _TAB)
