"""The events of a heap's profile by what they are: the peak, however its tool calls it, and the snapshots."""

from __future__ import annotations

from tailflame.model.heap import ALLOCATED, IN_USE, LEAKED, PEAK, TEMPORARY
from tailflame.model.recording import Recording
from tailflame.model.stacks import NONE

LARGEST = "Largest snapshot"
"""What is compared where a peak has no call tree: of each side the largest snapshot that has one."""

ROLES = (PEAK, IN_USE, ALLOCATED, TEMPORARY, LEAKED)
"""What the same events are called in every run; snapshots have numbers that mean nothing in another run."""


def event_named(recording: Recording, name: str) -> int:
    """The event of the recording's profile that has this name, -1 where there is none."""
    events = recording.profile.events if recording.profile is not None else ()
    return next((index for index, event in enumerate(events) if event.name == name), NONE)


def peak_event(recording: Recording) -> int:
    """The event that holds what was in use at the peak; the largest snapshot that has a call tree, where the peak has
    none; -1 where there is no heap.
    """
    heap, profile = recording.heap, recording.profile
    if heap is None or profile is None:
        return NONE
    named = event_named(recording, PEAK)
    if named >= 0:
        return named
    if heap.peak >= 0 and heap.event[heap.peak] >= 0:
        return int(heap.event[heap.peak])
    rows = heap.rows_with_stacks()
    total = heap.total
    return int(heap.event[max(rows, key=lambda row: float(total[row]))]) if rows else event_named(recording, IN_USE)


def is_at_peak(recording: Recording, event: int) -> bool:
    """Whether an event is of the peak, and not of the largest snapshot that has a call tree."""
    heap, profile = recording.heap, recording.profile
    assert heap is not None and profile is not None
    return profile.events[event].name == PEAK or (heap.peak >= 0 and int(heap.event[heap.peak]) == event)


def snapshot_events(recording: Recording) -> frozenset[int]:
    """The events that are the call tree of one row of the timeline, and have no name that holds in another run."""
    heap, profile = recording.heap, recording.profile
    if heap is None or profile is None:
        return frozenset()
    events = {int(heap.event[row]) for row in heap.rows_with_stacks()}
    return frozenset(event for event in events if profile.events[event].name not in ROLES)


def paired_events(before: Recording, after: Recording) -> tuple[tuple[str, int, int], ...]:
    """(name, event before, event after) of what two recordings can be compared by: events of the same name, and of
    heaps the peak with the peak, whatever number its snapshot has. Other snapshots have nothing to be compared with.
    """
    if before.profile is None or after.profile is None:
        return ()
    pairs: list[tuple[str, int, int]] = []
    peaks = (peak_event(before), peak_event(after))
    if min(peaks) >= 0:
        pairs.append((PEAK if all(map(is_at_peak, (before, after), peaks)) else LARGEST, *peaks))
    left_out = (snapshot_events(before) | {peaks[0]}, snapshot_events(after) | {peaks[1]})
    of_after = {event.name: at for at, event in enumerate(after.profile.events) if at not in left_out[1]}
    for at, event in enumerate(before.profile.events):
        if at not in left_out[0] and event.name in of_after:
            pairs.append((event.name, at, of_after[event.name]))
    return tuple(pairs)
