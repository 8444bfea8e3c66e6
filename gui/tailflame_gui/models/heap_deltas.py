"""Two heaps as figures: what is known of the runs before and after, and the sites as an item model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject

from tailflame.analyse.counted_diff import change_text
from tailflame.analyse.heap_diff import SiteDeltas, unlike
from tailflame.model.heap import PEAK_OF, Counted, HeapTimeline
from tailflame.model.stacks import Bool, Float64, FrameKind
from tailflame.units import MINUS, Unit, count, size
from tailflame_gui.models.array_table import ArrayTable, found_in
from tailflame_gui.models.figures import Measure, measure
from tailflame_gui.models.heap_facts import UNKNOWN, HeapFigure
from tailflame_gui.models.roles import Column, Face, Role

MORE, LESS, SAME = "more", "less", "same"

_FACTS = (
    ("Peak heap", "peak", Unit.BYTES, "In use at once, as the program asked for it."),
    ("Allocations", "allocations", Unit.ALLOCATIONS, "Calls of malloc, calloc, realloc, new and their kin."),
    ("Temporary", "temporary", Unit.ALLOCATIONS, "Freed before anything else was allocated."),
    ("Leaked", "leaked", Unit.BYTES, "Never freed, without what is suppressed."),
    ("Peak RSS", "peak_rss", Unit.BYTES, "The most memory of the process that was resident."),
)


def compared_figures(before: HeapTimeline, after: HeapTimeline) -> tuple[HeapFigure, ...]:
    """Each figure of the run on both sides, with its change and the word for it."""
    figures = []
    for name, attribute, unit, tip in _FACTS:
        if attribute == "peak":
            name = PEAK_OF[after.counted]
            if why := unlike(before, after):
                figures.append(HeapFigure("Peak", UNKNOWN, "not compared", why, known=False))
                continue
            attribute = "peak_stacks" if after.counted is Counted.STACKS else attribute
        b, a = getattr(before.facts, attribute), getattr(after.facts, attribute)
        if attribute == "peak" and (b is None or a is None) and len(before) and len(after):
            # One dump of jemalloc tells of no peak: what was in use at the end of both is compared.
            name, (b, a) = "In use", (float(heap.heap[-1]) for heap in (before, after))
        write = size if unit is Unit.BYTES else _whole
        text = f"{UNKNOWN if b is None else write(b)} → {UNKNOWN if a is None else write(a)}"
        if b is None and a is None:
            figures.append(HeapFigure(name, UNKNOWN, "neither file tells", tip, known=False))
            continue
        if b is None or a is None:
            figures.append(HeapFigure(name, text, f"{'before' if b is None else 'after'} is not told", tip))
            continue
        word = MORE if a > b else LESS if a < b else SAME
        below = SAME if word is SAME else f"{arrow(a - b)} {change_text(b, a)}, {write(abs(a - b))} {word}"
        exact = f"{_whole(b)} before, {_whole(a)} after{' bytes' if unit is Unit.BYTES else ''}. {tip}"
        figures.append(HeapFigure(name, text, below, exact))
    return tuple(figures)


def _whole(value: float) -> str:
    """A count: estimates have fractions that mean nothing."""
    return count(round(value))


def arrow(delta: float) -> str:
    """A shape for a direction, beside its word."""
    return "▲" if delta > 0 else "▼" if delta < 0 else "="


@dataclass(frozen=True, slots=True, eq=False)
class _Figures:
    """A column. sign: the way that each row went, for a column of changes."""

    column: Column
    values: Float64
    write: Callable[[float], str]
    sign: Float64 | None = None


_TITLES = {
    "peak": ("In use", Unit.BYTES, "Bytes in use at the peak"),
    "allocations": ("Allocations", Unit.ALLOCATIONS, "How often it allocated"),
    "temporary": ("Temporary", Unit.ALLOCATIONS, "What was freed before anything else was allocated"),
    "leaked": ("Leaked", Unit.BYTES, "Bytes never freed"),
}


class SiteDeltaModel(ArrayTable):
    """One line per function that allocates on either side, in the order of the change at the peak."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._deltas: SiteDeltas | None = None
        self._figures: tuple[_Figures, ...] = ()
        self._changed_only = False

    @property
    def deltas(self) -> SiteDeltas | None:
        return self._deltas

    def set_deltas(self, deltas: SiteDeltas) -> None:
        self._deltas = deltas
        figures: list[_Figures] = []
        for name in ("peak", "allocations", "temporary", "leaked"):
            if name in deltas.known:
                figures += _columns_of(name, deltas, sides=name in ("peak", "allocations"))
        self._figures = tuple(figures)
        site = Column(
            "Site", "The function that allocates, libraries left out; matched by name. Enter opens its source.",
            Face.NAME, 0,
        )  # fmt: skip
        where = (Column("Source", "Where it allocates most.", Face.TEXT, 144),) if any(deltas.file) else ()
        self.reset((site, *(f.column for f in self._figures), *where))

    def set_changed_only(self, changed: bool) -> None:
        self._changed_only = changed
        self.refilter()

    def changed(self) -> Bool:
        """Rows in which anything that is shown differs."""
        deltas = self._held()
        differs = np.zeros(len(deltas), dtype=bool)
        for name in deltas.known:
            b, a = deltas.sides(name)
            differs |= b != a
        return differs

    def extra_filter(self) -> Bool | None:
        return self.changed() if self._changed_only and self._deltas is not None else None

    def size(self) -> int:
        return 0 if self._deltas is None else len(self._deltas)

    def key(self, column: int) -> npt.NDArray[Any] | Sequence[str]:
        figures = self._of(column)
        if figures is not None:
            return np.asarray(figures.values)
        return self._held().names if column == 0 else tuple(self._place(row) for row in range(self.size()))

    def text(self, column: int, row: int) -> str:
        figures = self._of(column)
        if figures is not None:
            return figures.write(float(figures.values[row]))
        return self._held().names[row] if column == 0 else self._place(row).rsplit("/", 1)[-1]

    def role(self, role: Role, column: int, row: int) -> Any:
        deltas, figures = self._held(), self._of(column)
        if role == Role.RAW:
            if figures is not None:
                return float(figures.values[row])
            return deltas.names[row] if column == 0 else self._place(row)
        if role == Role.FUNCTION:
            return deltas.names[row]
        if role == Role.KIND:
            return int(FrameKind.USER)
        if role == Role.PLACE:
            return (deltas.file[row], deltas.line[row])
        if role == Role.SIGN and figures is not None and figures.sign is not None:
            return int(figures.sign[row])
        if role == Role.MUTED:
            return not any(deltas.sides(name)[0][row] != deltas.sides(name)[1][row] for name in deltas.known)
        return None

    def tip(self, column: int, row: int) -> str:
        deltas = self._held()
        lines = [deltas.names[row]]
        for name, (title, unit, _tip) in _TITLES.items():
            if name in deltas.known:
                b, a = (float(side[row]) for side in deltas.sides(name))
                write = size if unit is Unit.BYTES else _whole
                lines.append(f"{title}: {write(b)} before, {write(a)} after ({change_text(b, a)})")
        lines += [text for text in (deltas.module[row], self._place(row)) if text]
        return "\n".join(lines)

    def found(self, query: str) -> Bool:
        deltas = self._held()
        found: Bool = found_in(deltas.names, query) | found_in(deltas.file, query)
        return found

    def _of(self, column: int) -> _Figures | None:
        return self._figures[column - 1] if 1 <= column <= len(self._figures) else None

    def _place(self, row: int) -> str:
        deltas = self._held()
        file, line = deltas.file[row], deltas.line[row]
        return f"{file}:{line}" if file and line > 0 else file

    def _held(self) -> SiteDeltas:
        assert self._deltas is not None, "Qt asks nothing of a model without rows"
        return self._deltas


def _columns_of(name: str, deltas: SiteDeltas, *, sides: bool) -> list[_Figures]:
    title, unit, tip = _TITLES[name]
    before, after = deltas.sides(name)
    delta = after - before
    largest = max(float(before.max(initial=0.0)), float(after.max(initial=0.0)))
    written = measure(unit, largest=largest)
    label = f", {written.label}" if unit is Unit.BYTES else ""
    columns = []
    if sides:
        for word, values in (("before", before), ("after", after)):
            head = Column(f"{title} {word}{label}", f"{tip}, {word}.", Face.FIGURE, 104)
            columns.append(_Figures(head, values, written.text))
    head = Column(f"{title}: change{label}", f"{tip}: after less before.", Face.CHANGE, 120)
    columns.append(_Figures(head, delta, _signed(written), np.sign(delta)))
    return columns


def _signed(written: Measure) -> Callable[[float], str]:
    def write(value: float) -> str:
        return f"{'+' if value > 0 else MINUS}{written.text(abs(value))}" if value else ""

    return write
