"""Two heaps compared by the code that allocates, whatever line it is on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tailflame.analyse.counted import quantity
from tailflame.analyse.heap_events import event_named, peak_event
from tailflame.analyse.heap_findings import HeapSites, event_of, sites
from tailflame.analyse.names import match_key
from tailflame.errors import NotComparable
from tailflame.model.heap import ALLOCATED, LEAKED, PEAK, TEMPORARY, Counted, HeapTimeline
from tailflame.model.recording import Recording
from tailflame.model.stacks import Event, Float64, StackProfile, Weight, readonly


def is_heap(event: Event) -> bool:
    """Whether an event counts memory, or calls of the allocator."""
    return quantity(event) == "memory"


def unlike(before: HeapTimeline, after: HeapTimeline) -> str:
    """Why the peaks of two heaps say nothing of each other, a sentence; "" where they do."""
    if before.counted is after.counted:
        return ""
    words = {Counted.BLOCKS: "what malloc hands out", Counted.PAGES: "mapped pages", Counted.STACKS: "stacks alone"}
    return f"The baseline counts {words[before.counted]}, the candidate {words[after.counted]}: not compared."


def refuse_unlike(before: Recording, after: Recording) -> None:
    """NotComparable where their heaps count different things."""
    if before.heap is not None and after.heap is not None and (told := unlike(before.heap, after.heap)):
        raise NotComparable(told, advice="Record both sides with the same options.")


def as_peak(profile: StackProfile, event: int) -> StackProfile:
    """The profile with an event in the place of the peak, whose sites are then told."""
    if event_of(profile, PEAK) == event:
        return profile
    events = tuple(
        replace(about, name=PEAK if at == event else f"({about.name})" if about.name == PEAK else about.name)
        for at, about in enumerate(profile.events)
    )
    return replace(profile, events=events)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SiteDeltas:
    """One row per function that allocates on either side, the largest absolute change of bytes at the peak first.

    peak, leaked: bytes; allocations, temporary: counts; each before and after. known: columns that both sides tell.
    file, line: where it allocates most, of the later side where it has it ("" and -1 where unknown).
    """

    names: tuple[str, ...]
    module: tuple[str, ...]
    file: tuple[str, ...]
    line: tuple[int, ...]
    peak_before: Float64
    peak_after: Float64
    allocations_before: Float64
    allocations_after: Float64
    temporary_before: Float64
    temporary_after: Float64
    leaked_before: Float64
    leaked_after: Float64
    known: frozenset[str]

    def __len__(self) -> int:
        return len(self.names)

    def sides(self, column: str) -> tuple[Float64, Float64]:
        """(before, after) of "peak", "allocations", "temporary" or "leaked"."""
        return getattr(self, f"{column}_before"), getattr(self, f"{column}_after")


_COLUMNS = {"peak": PEAK, "allocations": ALLOCATED, "temporary": TEMPORARY, "leaked": LEAKED}


def site_deltas(before: Recording, after: Recording) -> SiteDeltas | None:
    """The sites of two heaps, matched by function: lines move from build to build. None where a side has no stacks."""
    if before.profile is None or after.profile is None:
        return None
    events = (peak_event(before), peak_event(after))
    found = []
    for recording, peak in zip((before, after), events, strict=True):
        assert recording.profile is not None
        found.append(sites(as_peak(recording.profile, peak) if peak >= 0 else recording.profile))
    known = {"peak"} if min(events) >= 0 else set()
    for column, name in _COLUMNS.items():
        if column != "peak" and min(event_named(before, name), event_named(after, name)) >= 0:
            known.add(column)
    return _joined(found, frozenset(known))


def _joined(found: Sequence[HeapSites], known: frozenset[str]) -> SiteDeltas:
    rows: dict[str, int] = {}
    first: list[tuple[HeapSites, int]] = []
    place = []
    for side in reversed(found):  # the newer build's spelling and lines are shown
        at = np.empty(len(side), dtype=np.int64)
        for row in side.by(np.maximum(side.peak, side.allocations) + 1.0):  # what matters most gives the line
            key = match_key(side.name_of(row))
            if key not in rows:
                rows[key] = len(first)
                first.append((side, row))
            at[row] = rows[key]
        place.append(at)
    place.reverse()
    columns = {
        f"{column}_{word}": np.bincount(at, weights=getattr(side, column), minlength=len(first))
        for side, at, word in zip(found, place, ("before", "after"), strict=True)
        for column in _COLUMNS
    }
    moved = [np.abs(columns[f"{c}_after"] - columns[f"{c}_before"]) for c in ("allocations", "peak")]
    order = np.lexsort((moved[0], moved[1]))[::-1]
    frames = [(side.frames, int(side.frame[row])) for side, row in (first[i] for i in order)]
    return SiteDeltas(
        names=tuple(_shown(first[i][0].name_of(first[i][1])) for i in order),
        module=tuple(table.module_of(frame) for table, frame in frames),
        file=tuple(table.file_of(frame) for table, frame in frames),
        line=tuple(int(table.line[frame]) for table, frame in frames),
        known=known,
        **{name: readonly(column[order], np.float64) for name, column in columns.items()},
    )


def _shown(name: str) -> str:
    """A name as it is matched: of addresses without names, all of a module go together."""
    key = match_key(name)
    return key.replace("0x", "0x…") if "0x" in key else name


def compared_sites(
    before: tuple[StackProfile, int], after: tuple[StackProfile, int], weight: Weight
) -> list[tuple[str, float, float]]:
    """(function, before, after) of the sites of one event of either side that differ, as `weight` counts them."""
    found = [sites(as_peak(profile, event)) for profile, event in (before, after)]
    by_count = [weight is Weight.SAMPLES or not profile.events[event].has_period for profile, event in (before, after)]
    sums: dict[str, list[float]] = {}
    names: dict[str, str] = {}
    for at, side in enumerate(found):
        values = side.peak_blocks if by_count[at] else side.peak
        for row in range(len(side)):
            key = match_key(side.name_of(row))
            names[key] = _shown(side.name_of(row))
            sums.setdefault(key, [0.0, 0.0])[at] += float(values[row])
    return [(names[key], b, a) for key, (b, a) in sums.items() if a != b]
