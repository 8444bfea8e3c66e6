"""Which time fields of one log event are parts of which whole, and where the time of an interval went.

Fields that occur together, in any event, are of one family; a rejected order that lacks the later stages is of the
same family as one that was executed. The whole of a family is

1. the field with the word "total" in its name (of several, the longest in time), otherwise
2. the field that covers the others: at least 98% of their sum in 95% of the events with three fields or more, and in
   half of these at most 125% of it. So a stage that is merely the longest is not mistaken for the whole, and neither is
   one of two fields. Told from the first events, and kept. Otherwise
3. there is none: it is the sum of the stages.

The other fields are the stages, in the order in which they are read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tailflame.model.live import StageSlice

SUM = "sum of stages"
_WORDS = re.compile(r"[A-Za-z][a-z]*")
_EVIDENCE = 16
"""Events with three fields that the second rule wants to see."""
_EVENTS_KEPT = 256

Matrix = npt.NDArray[np.float64]
"""One row per event, one column per field, in ns; NaN where the event has no such field."""


@dataclass(slots=True)
class _Family:
    fields: tuple[str, ...]
    whole: str | None = None
    """None as long as it is not known; SUM for none."""
    series: str = ""
    evidence: list[Matrix] = field(default_factory=list)


class Stages:
    """Keeps the families it has seen."""

    def __init__(self) -> None:
        self._families: list[_Family] = []

    def slices(self, names: tuple[str, ...], events: Matrix, start_s: float, length_s: float) -> list[StageSlice]:
        """The breakdown of the interval's events, one per family that had any. `names` are the columns, 62 at most."""
        present = ~np.isnan(events)
        together = present.sum(axis=1) >= 2
        events, present = events[together], present[together]
        if not len(events):
            return []
        # Each set of fields once, as the bits of a number: sorting rows would take longer than reading the lines.
        bits = present @ (np.int64(1) << np.arange(len(names), dtype=np.int64))
        for pattern in np.unique(bits).tolist():
            self._join([name for place, name in enumerate(names) if pattern >> place & 1])
        slices = []
        for family in self._families:
            columns = [names.index(name) for name in family.fields if name in names]
            part = events[:, columns]
            part = part[(~np.isnan(part)).sum(axis=1) >= 2]
            if len(part):
                fields = tuple(names[column] for column in columns)
                told = self._slice(family, fields, part, start_s, length_s)
                slices += [told] if told is not None else []
        return slices

    def _join(self, names: list[str]) -> None:
        touched = [f for f in self._families if not set(names).isdisjoint(f.fields)]
        if len(touched) == 1 and set(names) <= set(touched[0].fields):
            return
        # In order of appearance; what was known of the whole is asked anew, since it may be among the new ones.
        fields = tuple(dict.fromkeys(name for part in (*(f.fields for f in touched), names) for name in part))
        self._families = [f for f in self._families if f not in touched]
        self._families.append(_Family(fields))

    def _slice(
        self, family: _Family, names: tuple[str, ...], events: Matrix, start_s: float, length_s: float
    ) -> StageSlice | None:
        if family.whole is None:
            family.whole = _named_total(names, events) or _covering(family, names, events)
        if family.whole is None:
            return None
        if not family.series:
            another = any(other.series == SUM for other in self._families)
            family.series = f"{SUM} ({', '.join(names)})" if family.whole == SUM and another else family.whole
        if family.whole not in names:
            parts, stages = events, names
            whole = np.nansum(events, axis=1)
        else:
            column = names.index(family.whole)
            events = events[~np.isnan(events[:, column])]
            parts, stages = np.delete(events, column, axis=1), names[:column] + names[column + 1 :]
            whole = events[:, column]
        if not len(events):
            return None
        parts = np.nan_to_num(parts, nan=0.0)
        tail = max(len(events) // 100, 1)
        slowest = np.argpartition(whole, len(whole) - tail)[len(whole) - tail :]
        return StageSlice(
            series=family.series,
            stages=stages,
            start_s=start_s,
            length_s=length_s,
            events=len(events),
            sums_ns=tuple(parts.sum(axis=0).tolist()),
            tail_events=tail,
            tail_sums_ns=tuple(parts[slowest].sum(axis=0).tolist()),
        )


def _named_total(names: tuple[str, ...], events: Matrix) -> str | None:
    totals = [n for n in names if any(word.lower() == "total" for word in _WORDS.findall(n))]
    if not totals:
        return None
    sums = np.nansum(events, axis=0)
    return max(totals, key=lambda name: float(sums[names.index(name)]))


def _covering(family: _Family, names: tuple[str, ...], events: Matrix) -> str | None:
    """The field that is about the sum of the others, SUM if there is none, None if that cannot be told yet."""
    if len(names) < 3:
        return SUM
    kept = sum(map(len, family.evidence))
    columns = [family.fields.index(name) for name in names]
    wide = np.full((min(len(events), _EVENTS_KEPT - kept), len(family.fields)), np.nan)
    wide[:, columns] = events[: len(wide)]
    family.evidence.append(wide)
    seen = np.concatenate(family.evidence)
    full = seen[(~np.isnan(seen)).sum(axis=1) >= 3]
    if len(full) < _EVIDENCE:
        # Events of two fields alone tell nothing, for ever.
        return SUM if len(seen) >= _EVENTS_KEPT else None
    family.evidence.clear()
    values = np.nan_to_num(full, nan=0.0)
    sums = values.sum(axis=1)
    for column, name in enumerate(family.fields):
        others = sums - values[:, column]
        ratios = values[:, column] / np.maximum(others, 1.0)
        if np.mean(ratios >= 0.98) >= 0.95 and np.median(ratios) <= 1.25:
            return name
    return SUM
