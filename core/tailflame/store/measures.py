"""What a recording measures: a binary has a baseline of each kind, and each is compared with its like."""

from __future__ import annotations

from enum import StrEnum

from tailflame.model import Recording
from tailflame.model.heap import ALLOCATED, IN_USE, LEAKED, PEAK

_HEAP_EVENTS = frozenset({ALLOCATED, IN_USE, LEAKED, PEAK})


class Measures(StrEnum):
    """Where time goes, how long things take, where memory goes, and so on."""

    TIME = "time"
    LATENCY = "latency"
    MEMORY = "memory"
    COSTS = "costs"
    """Of lines: instructions, misses, mispredictions."""
    SYSCALLS = "system calls"
    COUNTERS = "counters"
    MAPS = "probe maps"


def measures_of(recording: Recording) -> Measures:
    """The kind of the result that the others of a recording only go with."""
    profile = recording.profile
    if recording.heap is not None:
        return Measures.MEMORY
    if recording.costs is not None:
        return Measures.COSTS
    if recording.syscalls is not None:
        return Measures.SYSCALLS
    if recording.maps is not None:
        return Measures.MAPS
    if profile is not None:
        return Measures.MEMORY if _HEAP_EVENTS & {event.name for event in profile.events} else Measures.TIME
    if recording.histograms is None and recording.counters is not None:
        return Measures.COUNTERS
    return Measures.LATENCY
