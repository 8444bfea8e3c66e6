"""What functions cost before and after, as an item model: one event at a time, and how it changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject

from tailflame.analyse.cache_compare import CostChanges
from tailflame.analyse.cache_rates import place_text
from tailflame.model.stacks import NONE, Bool, Float64, FrameKind
from tailflame.units import MINUS, count, percent, signed_percent
from tailflame_gui.models.array_table import ArrayTable, found_in
from tailflame_gui.models.roles import Column, Face, Role

NAME, BEFORE, AFTER, DELTA, CHANGE, SHARE, SOURCE = range(7)


class CacheDeltaModel(ArrayTable):
    """One line per function of either side that costs anything of the event that is shown."""

    def __init__(self, changes: CostChanges, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._changes = changes
        self._event = 0
        self._only_changed = True
        self._change: Float64 = np.zeros(0)
        self._largest = 1.0
        self._shown = False

    @property
    def changes(self) -> CostChanges:
        return self._changes

    def set_event(self, event: int, title: str) -> None:
        """Shows another event, counted or reckoned."""
        self._event, self._shown = event, True
        self._change = self._changes.change(event)
        self._largest = float(np.abs(self._changes.delta(event)).max(initial=0)) or 1.0
        self.reset(_columns(title))

    def set_only_changed(self, only: bool) -> None:
        self._only_changed = only
        self.refilter()

    def row_of(self, name: str) -> int:
        return self._changes.names.index(name) if name in self._changes.names else NONE

    def size(self) -> int:
        return len(self._changes) if self._shown else 0

    def extra_filter(self) -> Bool | None:
        if not self.size():
            return None
        before, after = self._changes.before[:, self._event], self._changes.after[:, self._event]
        return np.asarray(before != after) if self._only_changed else np.asarray((before != 0) | (after != 0))

    def found(self, query: str) -> Bool:
        return found_in(self._changes.names, query) | found_in(self._changes.file, query)

    def key(self, column: int) -> npt.NDArray[Any] | Sequence[str]:
        changes, event = self._changes, self._event
        match column:
            case 0:
                return changes.names
            case 1:
                return changes.before[:, event]
            case 2:
                return changes.after[:, event]
            case 3 | 5:
                return np.abs(changes.delta(event))
            case 4:
                return np.where(np.isnan(self._change), 0.0, self._change)
            case _:
                return tuple(self.text(SOURCE, row) for row in range(len(changes)))

    def text(self, column: int, row: int) -> str:
        changes, event = self._changes, self._event
        before, after = int(changes.before[row, event]), int(changes.after[row, event])
        match column:
            case 0:
                return changes.names[row] or "???"
            case 1 | 2:
                value = before if column == BEFORE else after
                return count(value) if value else ""
            case 3:
                return _signed(after - before)
            case 4:
                if before == after:
                    return ""
                return "new" if not before else "gone" if not after else signed_percent(after / before - 1, digits=1)
            case 5:
                whole = int(changes.totals_before[event])
                return percent((after - before) / whole, signed=True).rstrip("%") if whole else ""
            case _:
                return place_text(changes.file[row], 0).removesuffix(", no line") if changes.file[row] else ""

    def role(self, role: Role, column: int, row: int) -> Any:
        delta = int(self._changes.delta(self._event)[row])
        match role:
            case Role.RAW:
                return {DELTA: float(delta), CHANGE: 100 * float(self._change[row])}.get(column, self.text(column, row))
            case Role.FUNCTION:
                return self._changes.names[row]
            case Role.KIND:
                return int(FrameKind.USER)
            case Role.SIGN:
                return int(np.sign(delta)) if column == DELTA else None
            case Role.BAR:
                return abs(delta) / self._largest if column == SHARE else None
            case Role.PLACE:
                return (self._changes.file[row], NONE)
            case Role.MUTED:
                return not delta
            case _:
                return None

    def tip(self, column: int, row: int) -> str:
        changes = self._changes
        lines = [changes.names[row], changes.file[row]]
        for at, name in enumerate(changes.events):
            before, after = int(changes.before[row, at]), int(changes.after[row, at])
            if before or after:
                lines.append(f"{name}: {count(before)} to {count(after)} ({_signed(after - before) or '±0'})")
        return "\n".join(line for line in lines if line)


def _signed(delta: int) -> str:
    return f"{'+' if delta > 0 else MINUS}{count(abs(delta))}" if delta else ""


def _columns(title: str) -> tuple[Column, ...]:
    return (
        Column("Function", "Matched by name without hashes and crate disambiguators.", Face.NAME, 0),
        Column(f"{title} before", "In the baseline, its own cost.", Face.FIGURE, 120),
        Column("After", "In the candidate, its own cost.", Face.FIGURE, 120),
        Column("Change", "After less before: counted, not sampled.", Face.CHANGE, 128),
        Column("%", "Relative to before.", Face.FIGURE, 80),
        Column("Of all, %", "The change as a share of what the whole program cost before.", Face.BAR, 88),
        Column("Source", "The file that holds most of it and is not a library's.", Face.TEXT, 120),
    )
