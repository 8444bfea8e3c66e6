"""What a heap recording says: where memory comes from, what is allocated only to be freed, what is never freed.

Pure functions on a StackProfile whose events are named as in model/heap.py, and on a HeapTimeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tailflame.analyse.heap_machinery import own_code
from tailflame.analyse.heap_suppressions import suppressed_stacks
from tailflame.analyse.names import NAMELESS, short
from tailflame.model.heap import ALLOCATED, IN_USE, LEAKED, PEAK, TEMPORARY, Counted, HeapFacts, HeapTimeline
from tailflame.model.stacks import NONE, Float64, FrameKind, FrameTable, Int32, Int64, StackProfile, Weight, readonly
from tailflame.units import count, percent, size

POOLING_SHARE = 0.4
"""From this share of temporary allocations on, a site is a candidate for a pool or a reused buffer."""
_MATTERS = 0.01
"""A site with less than this share of the whole is not worth a sentence."""
_LEAST_TREES, _MOST_TREES = 3, 12
_GROWN = 0.05
"""What grew by less than this share of the peak is not worth a sentence either."""
_FEW_SAMPLES = 10
"""What fewer samples than these stand for is not worth one either: of a third of them it could be off by chance."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class HeapSites:
    """Where memory is allocated: one row per site, a function at a line, in the order of `frame`.

    frame: row of `frames`, the profile's own. peak, allocated, temporary_bytes, leaked, in_use: bytes; peak_blocks,
    allocations, temporary, leaked_blocks, in_use_blocks: counts. Zero where the profile has no such event: `events`
    names those it has.
    """

    frames: FrameTable
    frame: Int32
    peak: Float64
    peak_blocks: Float64
    allocated: Float64
    allocations: Float64
    temporary: Float64
    temporary_bytes: Float64
    leaked: Float64
    leaked_blocks: Float64
    in_use: Float64
    in_use_blocks: Float64
    events: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def temporary_share(self) -> Float64:
        """How much of each site's allocations is temporary, 0 to 1; 0 where nothing was allocated."""
        return np.divide(self.temporary, self.allocations, out=np.zeros(len(self)), where=self.allocations > 0)

    def name_of(self, row: int) -> str:
        return self.frames.name_of(int(self.frame[row])) or NAMELESS

    def place_of(self, row: int) -> str:
        """ "file:line", "file", or ""."""
        return self.frames.place_of(int(self.frame[row]))

    def label_of(self, row: int) -> str:
        """A short name with its place: "Book::insert (book.rs:42)"."""
        return _label(self.frames, int(self.frame[row]))

    def by(self, weights: Float64, number: int | None = None) -> list[int]:
        """Rows by `weights` (one per row), most first, without those of none; at most `number`."""
        order = np.argsort(-weights, kind="stable")
        rows = [int(row) for row in order if weights[row] > 0]
        return rows if number is None else rows[:number]


class FindingKind(StrEnum):
    """What a finding is about."""

    PEAK = "peak"
    CHURN = "churn"
    TEMPORARY = "temporary"
    LEAK = "leak"
    GROWTH = "growth"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeapFinding:
    """One thing that stands out. heading: a few words; text: one or two plain sentences with the figures.

    event: the profile's event that shows it, "" for none; frame: the frame to look at, -1 for none.
    """

    kind: FindingKind
    heading: str
    text: str
    event: str = ""
    frame: int = NONE


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Leaks:
    """What was never freed, less what suppressions name.

    rows: of `sites`, most leaked bytes first. leaked, suppressed: bytes; blocks: blocks leaked.
    """

    sites: HeapSites
    rows: tuple[int, ...]
    leaked: float
    blocks: float
    suppressed: float


def event_of(profile: StackProfile, name: str) -> int:
    """The index of the event called `name`, -1 where there is none."""
    return next((index for index, event in enumerate(profile.events) if event.name == name), NONE)


def sites(profile: StackProfile, *, through_libraries: bool = True, without: Int64 | None = None) -> HeapSites:
    """The allocation sites of `profile`.

    A site is the innermost frame. through_libraries: the innermost frame that is neither an allocator's nor a standard
    library's, because "Vec::push allocates" helps nobody; a stack of nothing else keeps its innermost one.
    without: rows of the stack table whose samples do not count.
    """
    at = _site_of_stacks(profile, through_libraries)
    samples = profile.samples
    counted = samples.stack >= 0
    if without is not None and len(without):
        counted &= ~np.isin(samples.stack, without)
    frame = np.where(counted, at[np.where(counted, samples.stack, 0)], NONE) if len(at) else np.full(len(samples), NONE)
    distinct, row = np.unique(frame[counted], return_inverse=True)

    def column(name: str, weight: Weight) -> Float64:
        event = event_of(profile, name)
        if event < 0:
            return readonly(np.zeros(len(distinct)), np.float64)
        weights = profile.weights(event=event, weight=weight)[counted]
        if weight is Weight.PERIOD and not profile.events[event].has_period:
            weights = np.zeros(len(weights))
        return readonly(np.bincount(row, weights=weights, minlength=len(distinct)), np.float64)

    return HeapSites(
        frames=profile.frames,
        frame=readonly(distinct, np.int32),
        peak=column(PEAK, Weight.PERIOD),
        peak_blocks=column(PEAK, Weight.SAMPLES),
        allocated=column(ALLOCATED, Weight.PERIOD),
        allocations=column(ALLOCATED, Weight.SAMPLES),
        temporary=column(TEMPORARY, Weight.SAMPLES),
        temporary_bytes=column(TEMPORARY, Weight.PERIOD),
        leaked=column(LEAKED, Weight.PERIOD),
        leaked_blocks=column(LEAKED, Weight.SAMPLES),
        in_use=column(IN_USE, Weight.PERIOD),
        in_use_blocks=column(IN_USE, Weight.SAMPLES),
        events=frozenset(event.name for event in profile.events),
    )


def pooling_candidates(found: HeapSites, *, least_share: float = POOLING_SHARE) -> list[int]:
    """Rows of sites many of whose allocations are temporary, those with the most of them first.

    What is allocated only to be freed at once can be a buffer that is kept: the first is where that saves most.
    """
    return found.by(np.where(found.temporary_share >= least_share, found.temporary, 0.0))


def leaks(profile: StackProfile, suppressions: Sequence[str] = (), *, through_libraries: bool = True) -> Leaks:
    """What was never freed, less the stacks in which a function, file or module matches one of `suppressions`."""
    hidden = suppressed_stacks(profile, suppressions)
    kept = sites(profile, through_libraries=through_libraries, without=hidden)
    event = event_of(profile, LEAKED)
    whole = profile.total(event=event, weight=Weight.PERIOD) if event >= 0 else 0.0
    leaked = float(kept.leaked.sum())
    return Leaks(
        sites=kept,
        rows=tuple(kept.by(kept.leaked)),
        leaked=leaked,
        blocks=float(kept.leaked_blocks.sum()),
        suppressed=max(whole - leaked - _without_stack(profile, event), 0.0) if len(hidden) else 0.0,
    )


def findings(
    timeline: HeapTimeline, profile: StackProfile | None, suppressions: Sequence[str] = ()
) -> tuple[HeapFinding, ...]:
    """What stands out, most telling first: leaks, temporary allocations, what the peak is made of."""
    if profile is None or not len(profile.samples):
        return ()
    found = sites(profile)
    told = (
        _leak(timeline, leaks(profile, suppressions)),
        _growth(timeline, profile),
        _temporary(timeline, found),
        _peak(timeline, found),
        _churn(timeline, found),
    )
    return tuple(finding for finding in told if finding is not None)


def temporary_note(facts: HeapFacts) -> str:
    """Why heaptrack_print tells another number of temporary allocations, a sentence; "" where it does not."""
    told = facts.temporary_reported
    if told is None or facts.temporary is None or told == facts.temporary:
        return ""
    return (
        f"heaptrack_print counts {count(told)} as temporary: it does not see which block is freed, and takes another"
        " one of the same place and size for the one that was allocated just before."
    )


def size_histogram_lines(timeline: HeapTimeline) -> tuple[tuple[str, float, float], ...]:
    """The size histogram as (range, allocations, share of all): ("17 to 32 B", 120, 0.3)."""
    whole = float(timeline.size_calls.sum())
    lines = []
    below = 0.0
    for bound, calls in zip(timeline.sizes.tolist(), timeline.size_calls.tolist(), strict=True):
        if np.isinf(bound):
            words = f"more than {_bytes(below)}"
        elif below == 0:
            words = f"up to {_bytes(bound)}"
        else:
            words = f"{below + 1:,.0f} to {_bytes(bound)}"
        lines.append((words, calls, calls / whole if whole else 0.0))
        below = bound
    return tuple(lines)


def _label(frames: FrameTable, frame: int) -> str:
    name, place = short(frames.name_of(frame) or NAMELESS), frames.place_of(frame).rsplit("/", 1)[-1]
    return f"{name} ({place})" if place else name


def _bytes(n: float) -> str:
    """Bounds of sizes are powers of two: all digits tell more than two of them."""
    return f"{n:,.0f} B"


def _site_of_stacks(profile: StackProfile, through_libraries: bool) -> Int64:
    """The frame that is the site of each row of the stack table."""
    stacks = profile.stacks
    at = np.arange(len(stacks), dtype=np.int64)
    if through_libraries and len(at):
        foreign = ~own_code(profile.frames)
        while True:
            inside = np.flatnonzero((at >= 0) & foreign[stacks.frame[at]])
            if not len(inside):
                break
            at[inside] = stacks.parent[at[inside]]
        at = np.where(at >= 0, at, np.arange(len(at)))  # nothing but libraries: the innermost frame
    return stacks.frame[at].astype(np.int64)


def _without_stack(profile: StackProfile, event: int) -> float:
    weights = profile.weights(event=event, weight=Weight.PERIOD)
    return float(weights[profile.samples.stack < 0].sum())


def _leak(timeline: HeapTimeline, left: Leaks) -> HeapFinding | None:
    if not left.rows or left.leaked <= 0:
        return None
    found, row = left.sites, left.rows[0]
    most = float(found.leaked[row])
    peak = timeline.facts.peak or 0.0
    if peak and most < _MATTERS * peak and most < 4096:
        return None
    text = (
        f"{found.label_of(row)} allocated {size(most)} in {_blocks(float(found.leaked_blocks[row]))}"
        f" that {'was' if found.leaked_blocks[row] == 1 else 'were'} never freed:"
        f" {percent(most / left.leaked, digits=0)} of the {size(left.leaked)} that leaked."
    )
    if len(left.rows) > 1 and most < 0.5 * left.leaked:
        text += f" {len(left.rows) - 1:,} more places leak the rest."
    return HeapFinding(kind=FindingKind.LEAK, heading="Leak", text=text, event=LEAKED, frame=int(found.frame[row]))


def _growth(timeline: HeapTimeline, profile: StackProfile) -> HeapFinding | None:
    """What only ever grew, where nothing tells what was never freed: of call trees in time, at most `_MOST_TREES`."""
    rows = timeline.rows_with_stacks()
    if timeline.counted is Counted.PAGES:  # the C library maps what it then hands out: a program that starts only grows
        return None
    if len(rows) < _LEAST_TREES or event_of(profile, LEAKED) >= 0:
        return None
    rows = [rows[at] for at in np.unique(np.linspace(0, len(rows) - 1, _MOST_TREES).round().astype(int)).tolist()]
    counted = profile.samples.stack >= 0
    frame = _site_of_stacks(profile, True)[profile.samples.stack[counted]]
    distinct, site = np.unique(frame, return_inverse=True)
    weights = [profile.weights(event=int(timeline.event[row]), weight=Weight.PERIOD)[counted] for row in rows]
    held = np.array([np.bincount(site, weights=each, minlength=len(distinct)) for each in weights])
    steps = np.diff(held, axis=0)
    is_code = profile.frames.kind[distinct] != FrameKind.OTHER  # "below massif's threshold" is none
    only_grew = is_code & (steps >= 0).all(axis=0) & (steps[1 - _LEAST_TREES :] > 0).all(axis=0)
    grown = np.where(only_grew, held[-1] - held[0], 0.0)
    most = int(np.argmax(grown))
    if grown[most] <= _GROWN * (timeline.facts.peak or float(held.sum(axis=1).max())):
        return None
    text = (
        f"{_label(profile.frames, int(distinct[most]))} only grew, from {size(float(held[0, most]))} to"
        f" {size(float(held[-1, most]))} over {len(rows)} call trees: a leak, or something that is kept without bound."
    )
    return HeapFinding(
        kind=FindingKind.GROWTH,
        heading="Growth",
        text=text,
        event=profile.events[int(timeline.event[rows[-1]])].name,
        frame=int(distinct[most]),
    )


def _temporary(timeline: HeapTimeline, found: HeapSites) -> HeapFinding | None:
    rows = pooling_candidates(found)
    whole = float(found.allocations.sum())
    if not rows or found.temporary[rows[0]] < _MATTERS * whole:
        return None
    row = rows[0]
    text = (
        f"{percent(float(found.temporary_share[row]), digits=0)} of the {count(float(found.allocations[row]))}"
        f" allocations of {found.label_of(row)} are temporary: freed before anything else was allocated."
        " A buffer that is kept, or a pool, would save them."
    )
    all_of_them = float(found.temporary.sum())
    if whole:
        text += f" Of all allocations {percent(all_of_them / whole, digits=0)} are temporary."
    return HeapFinding(
        kind=FindingKind.TEMPORARY,
        heading="Temporary allocations",
        text=text,
        event=TEMPORARY,
        frame=int(found.frame[row]),
    )


def _peak(timeline: HeapTimeline, found: HeapSites) -> HeapFinding | None:
    whole = float(found.peak.sum())
    rows = found.by(found.peak, 1)
    if not rows or whole <= 0:
        return None
    row = rows[0]
    blocks = f" in {_blocks(float(found.peak_blocks[row]))}" if found.peak_blocks[row] else ""  # massif counts none
    pages = timeline.counted is Counted.PAGES
    text = (
        f"At the peak of {size(timeline.facts.peak or whole)}{' of mapped pages' if pages else ''},"
        f" {found.label_of(row)} {'had mapped' if pages else 'held'}"
        f" {size(float(found.peak[row]))} ({percent(float(found.peak[row]) / whole, digits=0)}){blocks}."
    )
    return HeapFinding(kind=FindingKind.PEAK, heading="Peak", text=text, event=PEAK, frame=int(found.frame[row]))


def _churn(timeline: HeapTimeline, found: HeapSites) -> HeapFinding | None:
    whole = float(found.allocations.sum())
    rows = found.by(found.allocations, 1)
    if not rows or found.allocations[rows[0]] < 1000:
        return None
    # One sample of eight bytes stands for thousands of allocations.
    if found.allocated[rows[0]] < _FEW_SAMPLES * (timeline.facts.sampled_every or 0.0):
        return None
    row = rows[0]
    calls = round(float(found.allocations[row]))  # estimates have fractions
    text = (
        f"{found.label_of(row)} allocates most often: {count(calls)} of {count(round(whole))} times"
        f" ({percent(calls / whole, digits=0)}), {size(float(found.allocated[row]))} altogether."
    )
    return HeapFinding(
        kind=FindingKind.CHURN, heading="Allocations", text=text, event=ALLOCATED, frame=int(found.frame[row])
    )


def _blocks(n: float) -> str:
    return "1 block" if round(n) == 1 else f"{count(round(n))} blocks"
