"""Snapshots that a program writes of itself, as slices of time.

pprof-rs counts from the moment its profiler was started: each snapshot holds all samples before it, too, and is shown
less its predecessor. Others begin anew each time. Which it is can be told from three of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

import numpy as np

from tailflame.analyse.slices import Slice, difference, looks_cumulative, within
from tailflame.model.stacks import StackProfile

RESTARTED = "Some stacks have become less since the file before it: the program was started anew. It is shown whole."
_LOOKED_AT = 12
"""The latest so many tell whether they are cumulative."""


class Mode(StrEnum):
    """How snapshots are shown."""

    AUTO = "auto"
    CUMULATIVE = "cumulative"
    EACH = "each by itself"


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A profile that was complete at `end_s`. length_s: the time it covers, where the file tells."""

    end_s: float
    profile: StackProfile
    source: str
    length_s: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshots:
    """Slices in the order of time.

    cumulative: each is a snapshot less its predecessor. guessed: nobody said whether.
    """

    slices: tuple[Slice, ...]
    cumulative: bool
    guessed: bool

    @property
    def sentence(self) -> str:
        """What a reader of the strip has to know."""
        if self.cumulative:
            who = "The files look cumulative" if self.guessed else "The files are taken as cumulative"
            return f"{who}: each slice is a snapshot less the one before it."
        return "Each file is shown by itself."


class SnapshotSlices:
    """Turns snapshots into slices; what has been subtracted once is kept."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[StackProfile, bool]] = {}
        self._held: dict[int, StackProfile] = {}

    def of(self, snapshots: Sequence[Snapshot], mode: Mode = Mode.AUTO) -> Snapshots:
        """The slices of `snapshots`, in whatever order they came."""
        ordered = sorted(snapshots, key=lambda one: (one.end_s, one.source))
        guessed = mode is Mode.AUTO
        cumulative = mode is Mode.CUMULATIVE or (
            guessed and looks_cumulative([one.profile for one in ordered[-_LOOKED_AT:]])
        )
        usual = _usual_gap([one.end_s for one in ordered])
        parts: list[Slice] = []
        before: Snapshot | None = None
        for number, one in enumerate(ordered, start=1):
            profile, note = one.profile, one.note
            if cumulative and before is not None:
                profile, restarted = self._less(one.profile, before.profile)
                note = f"{note} {RESTARTED}".strip() if restarted else note
            length = one.length_s if one.length_s and not cumulative else None
            if length is None:
                length = one.end_s - before.end_s if before is not None else one.length_s or usual
            start = one.end_s - length
            if before is not None:
                start = max(start, before.end_s)
            length = max(one.end_s - start, 1e-3)
            # A snapshot's samples are of its slice, whatever clock the file has.
            placed = within(_timeless(profile), start, length)
            parts.append(Slice(start, length, placed, one.source, number, number, note))
            before = one
        return Snapshots(tuple(parts), cumulative, guessed)

    def _less(self, later: StackProfile, earlier: StackProfile) -> tuple[StackProfile, bool]:
        key = (id(later), id(earlier))
        if key not in self._known:
            found = difference(later, earlier)
            self._known[key] = found.profile, found.restarted
            # An id is that of another object once this one is gone.
            self._held |= {id(later): later, id(earlier): earlier}
        return self._known[key]


def _timeless(profile: StackProfile) -> StackProfile:
    samples = profile.samples
    times = np.full(len(samples), -1, dtype=np.int64)
    times.flags.writeable = False
    return replace(profile, samples=replace(samples, time_ns=times))


def _usual_gap(ends: Sequence[float]) -> float:
    gaps = [after - before for before, after in pairwise(ends) if after > before]
    return float(np.median(gaps)) if gaps else 1.0
