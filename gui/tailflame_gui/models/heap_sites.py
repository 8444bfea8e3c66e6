"""Where memory is allocated, as item models: by what was in use, by how often, what is temporary, what leaked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from tailflame.analyse.heap_diff import as_peak
from tailflame.analyse.heap_findings import HeapSites, leaks, pooling_candidates, sites
from tailflame.model.heap import ALLOCATED, LEAKED, TEMPORARY, HeapTimeline
from tailflame.model.stacks import Bool, Float64, Int64, StackProfile, Weight, readonly
from tailflame.units import Unit, count
from tailflame_gui.models.array_table import ArrayTable, found_in
from tailflame_gui.models.figures import Measure, measure, share_text
from tailflame_gui.models.roles import Column, Face, Role


class Question(StrEnum):
    """What is asked of a heap, and of which event the stack views then are."""

    BYTES = "bytes"
    CALLS = "calls"
    TEMPORARY = "temporary"
    LEAKED = "leaked"


EVENT_OF = {Question.CALLS: ALLOCATED, Question.TEMPORARY: TEMPORARY, Question.LEAKED: LEAKED}
"""Of Question.BYTES it is the peak, or the snapshot that is chosen."""

WEIGHT_OF = {Question.CALLS: Weight.SAMPLES, Question.TEMPORARY: Weight.SAMPLES}
"""The others are weighed by bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """A column of figures. whole: what 100 % of a share is; None for one that is no share."""

    title: str
    tip: str
    values: Float64
    write: Callable[[float], str]
    whole: float | None = None
    width: int = 104


@dataclass(frozen=True, slots=True, eq=False)
class SiteTable:
    """rows: of `sites`, in the table's own order; figures: of those rows."""

    question: Question
    sites: HeapSites
    rows: Int64
    figures: tuple[Figures, ...]
    total: float
    """Of the first figures, over all sites."""

    def __len__(self) -> int:
        return len(self.rows)


def site_table(profile: StackProfile, heap: HeapTimeline, question: Question, event: int) -> SiteTable:
    """The sites that answer a question; `event` is what BYTES is asked of. Pure, for a worker thread."""
    match question:
        case Question.BYTES:
            found = sites(as_peak(profile, event))
            rows = found.by(np.maximum(found.peak, found.peak_blocks))
            return _by_bytes(found, rows, profile.events[event].has_period)
        case Question.CALLS:
            found = sites(profile)
            return _by_calls(found, found.by(found.allocations))
        case Question.TEMPORARY:
            found = sites(profile)
            first = pooling_candidates(found)
            rest = [row for row in found.by(found.temporary) if row not in set(first)]
            return _temporary(found, [*first, *rest], len(first))
        case _:
            left = leaks(profile, heap.suppressions)
            return _leaked(left.sites, list(left.rows))


def _by_bytes(found: HeapSites, rows: list[int], known: bool) -> SiteTable:
    at = np.array(rows, dtype=np.int64)
    if not known:
        return _made(Question.BYTES, found, at, found.peak_blocks, Unit.BLOCKS, "In use", "Blocks in use then.")
    more = []
    if found.peak_blocks.any():
        more.append(_counts("Blocks", "Blocks in use then.", found.peak_blocks[at]))
    if found.allocations.any():
        more.append(_counts("Allocations", "How often it allocated in the whole run.", found.allocations[at]))
    if found.leaked.any():
        more.append(_bytes("Leaked", "What of it was never freed.", found.leaked[at]))
    return _made(Question.BYTES, found, at, found.peak, Unit.BYTES, "In use", "Bytes in use then.", more)


def _by_calls(found: HeapSites, rows: list[int]) -> SiteTable:
    at = np.array(rows, dtype=np.int64)
    more = []
    if found.allocated.any():
        each = np.divide(found.allocated, found.allocations, out=np.zeros(len(found)), where=found.allocations > 0)
        more.append(_bytes("Allocated", "Everything it ever asked for.", found.allocated[at]))
        more.append(_bytes("Each", "Bytes of one allocation, on average.", each[at]))
    if found.temporary.any():
        more.append(_share("Temporary %", "What of its allocations is freed at once.", found.temporary_share[at], 1.0))
    tip = "Calls of malloc, calloc, realloc, new and their kin."
    return _made(Question.CALLS, found, at, found.allocations, Unit.ALLOCATIONS, "Allocations", tip, more)


def _temporary(found: HeapSites, rows: list[int], candidates: int) -> SiteTable:
    at = np.array(rows, dtype=np.int64)
    pool = readonly(np.arange(len(at)) < candidates, np.float64)
    more = [
        _counts("Allocations", "How often it allocated in the whole run.", found.allocations[at]),
        _share("Of its own %", "What of its allocations is freed before the next one.", found.temporary_share[at], 1.0),
        Figures("Pool?", "Most of what it allocates is temporary: a buffer that is kept, or a pool, would save it.",
                pool, lambda v: "candidate" if v else "", width=88),
    ]  # fmt: skip
    tip = "Freed before anything else was allocated."
    return _made(Question.TEMPORARY, found, at, found.temporary, Unit.ALLOCATIONS, "Temporary", tip, more)


def _leaked(found: HeapSites, rows: list[int]) -> SiteTable:
    at = np.array(rows, dtype=np.int64)
    more = [_counts("Blocks", "Blocks never freed.", found.leaked_blocks[at])] if found.leaked_blocks.any() else []
    tip = "Bytes never freed, without what is suppressed."
    return _made(Question.LEAKED, found, at, found.leaked, Unit.BYTES, "Leaked", tip, more)


def _made(
    question: Question,
    found: HeapSites,
    rows: Int64,
    values: Float64,
    unit: Unit,
    title: str,
    tip: str,
    more: Sequence[Figures] = (),
) -> SiteTable:
    whole = float(values.sum())
    first = _share(f"{title} %", f"{tip} Share of all; the bar is relative to the largest.", values[rows], whole)
    own = _bytes(title, tip, values[rows]) if unit is Unit.BYTES else _counts(title, tip, values[rows])
    return SiteTable(question, found, rows, (first, own, *more), whole)


def _bytes(title: str, tip: str, values: Float64) -> Figures:
    written: Measure = measure(Unit.BYTES, largest=float(values.max(initial=0.0)))
    return Figures(f"{title}, {written.label}", tip, values, written.text)


def _counts(title: str, tip: str, values: Float64) -> Figures:
    return Figures(title, tip, values, lambda value: count(round(value)) if value else "")


def _share(title: str, tip: str, values: Float64, whole: float) -> Figures:
    return Figures(title, tip, values, lambda value: share_text(value, np.inf), whole or 1.0, 96)


class SiteModel(ArrayTable):
    """One line per place that allocates: a function at a line."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._table: SiteTable | None = None
        self._largest: tuple[float, ...] = ()
        self._has_places = False

    @property
    def table(self) -> SiteTable | None:
        return self._table

    def set_table(self, table: SiteTable) -> None:
        self._table = table
        self._largest = tuple(float(f.values.max(initial=0.0)) or 1.0 for f in table.figures)
        self._has_places = any(table.sites.place_of(int(row)) for row in table.rows[:100])
        columns = [Column("Site", "The function that allocates, libraries left out. Enter shows it in the flame graph.",
                          Face.NAME, 0)]  # fmt: skip
        for figures in table.figures:
            face = Face.FIGURE if figures.whole is None else Face.BAR
            columns.append(Column(figures.title, figures.tip, face, figures.width))
        if self._has_places:
            columns.append(Column("Source", "Where it allocates, as the debug information tells.", Face.TEXT, 168))
        self.reset(tuple(columns))

    def size(self) -> int:
        return 0 if self._table is None else len(self._table)

    def row_of(self, function: str) -> int:
        """The first row of a function, -1 where it allocates nothing."""
        return next((row for row in range(self.size()) if self._name(row) == function), -1)

    def key(self, column: int) -> npt.NDArray[Any] | Sequence[str]:
        figures = self._figures(column)
        if figures is not None:
            return figures.values
        return tuple((self._name if column == 0 else self._place)(row) for row in range(self.size()))

    def text(self, column: int, row: int) -> str:
        figures = self._figures(column)
        if figures is None:
            return self._name(row) if column == 0 else self._place(row).rsplit("/", 1)[-1]
        value = float(figures.values[row])
        return figures.write(value / figures.whole if figures.whole else value)

    def role(self, role: Role, column: int, row: int) -> Any:
        figures = self._figures(column)
        if role == Role.RAW:
            if figures is None:
                return self._name(row) if column == 0 else self._place(row)
            value = float(figures.values[row])
            return 100 * value / figures.whole if figures.whole else value
        if role == Role.BAR and figures is not None and figures.whole:
            return float(figures.values[row]) / self._largest[column - 1]
        if role == Role.FUNCTION:
            return self._name(row)
        if role == Role.KIND:
            held = self._held().sites
            return int(held.frames.kind[held.frame[self._held().rows[row]]])
        if role == Role.PLACE:
            held, at = self._held().sites, int(self._held().sites.frame[self._held().rows[row]])
            return (held.frames.file_of(at), int(held.frames.line[at]))
        return None

    def tip(self, column: int, row: int) -> str:
        held = self._held()
        lines = [self._name(row)]
        for figures in held.figures[1:]:
            value = float(figures.values[row])
            words = figures.write(value / figures.whole if figures.whole else value)
            title, _, unit = figures.title.partition(", ")
            lines.append(f"{title}: {words or '0'}{f' {unit}' if unit else ''}")
        at = int(held.sites.frame[held.rows[row]])
        lines += [text for text in (held.sites.frames.module_of(at), self._place(row)) if text]
        return "\n".join(lines)

    def found(self, query: str) -> Bool:
        """A site is also found by its file."""
        rows = range(self.size())
        found: Bool = found_in([self._name(r) for r in rows], query) | found_in([self._place(r) for r in rows], query)
        return found

    def _figures(self, column: int) -> Figures | None:
        figures = self._held().figures
        return figures[column - 1] if 1 <= column <= len(figures) else None

    def _name(self, row: int) -> str:
        held = self._held()
        return held.sites.name_of(int(held.rows[row]))

    def _place(self, row: int) -> str:
        held = self._held()
        return held.sites.place_of(int(held.rows[row]))

    def _held(self) -> SiteTable:
        assert self._table is not None, "Qt asks nothing of a model without rows"
        return self._table


def questions_of(profile: StackProfile | None) -> dict[Question, str]:
    """Why a question cannot be asked of a profile; "" for one that can."""
    names = {event.name for event in profile.events} if profile is not None else set()
    nothing = "the file holds no call trees"
    why = {Question.BYTES: "" if names else nothing}
    words = {
        Question.CALLS: "the file does not tell how often which code allocated",
        Question.TEMPORARY: "the file does not tell what was freed at once",
        Question.LEAKED: "the file does not tell which code leaked",
    }
    for question, missing in words.items():
        why[question] = "" if EVENT_OF[question] in names else (missing if names else nothing)
    return why


def question_of(profile: StackProfile, event: int) -> Question:
    """The question that an event answers."""
    name = profile.events[event].name
    return next((question for question, known in EVENT_OF.items() if known == name), Question.BYTES)
