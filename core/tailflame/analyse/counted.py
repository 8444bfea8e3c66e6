"""Events that were counted one by one, and not sampled: which these are, and how what they count is called."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tailflame.analyse.sample_timeline import is_off_cpu
from tailflame.model.stacks import Event, StackProfile, Weight
from tailflame.units import Unit

SAMPLED = Event("samples")
"""What a profile without events of its own counts."""

_LOOKED_AT = 1000


def is_exact(profile: StackProfile, event: int) -> bool:
    """Whether each of an event was counted. Recordings stored before events said so are known by their rows."""
    about, samples = profile.events[event], profile.samples
    if about.exact:
        return True
    if not about.has_period or about.unit is not Unit.EVENTS or is_off_cpu(profile, event):
        return False
    for part in (slice(_LOOKED_AT), slice(None)):  # the first rows alone often say that it was sampled
        rows = np.flatnonzero(samples.event[part] == event)[:_LOOKED_AT]
        if not np.array_equal(samples.count[rows], samples.period[rows]):
            return False
    return len(rows) > 0 and float(samples.count[rows].max()) > 1


def as_counted(profile: StackProfile, event: int) -> Event:
    """The event, said to be exact where it is."""
    about = profile.events[event]
    return replace(about, exact=True) if not about.exact and is_exact(profile, event) else about


def tells_amounts(event: Event) -> bool:
    """Whether an event, as `as_counted` gives it, tells how much of something there was, and not how often a sampler
    saw it: each was counted, or what was sampled has been scaled up to it, as with jemalloc's heaps.
    """
    return event.exact or event.counted_in is not Unit.SAMPLES


def quantity(event: Event) -> str:
    """What an event, as `as_counted` gives it, is an amount of: "memory", "Ir", "System call time"; "" of samples: they
    may stand for anything.
    """
    if not tells_amounts(event):
        return ""
    heap = (Unit.ALLOCATIONS, Unit.BLOCKS)
    if event.unit in heap or (event.unit is Unit.BYTES and event.counted_in in heap):
        return "memory"  # of whatever moment: snapshots have names that mean nothing in another run
    return event.name


def has_counts(profile: StackProfile, event: int) -> bool:
    """Whether the counts tell anything beside the periods: massif has none, and those of callgrind are its periods."""
    if not is_exact(profile, event) or not profile.events[event].has_period:
        return True
    rows = profile.samples.event == event
    counts = profile.samples.count[rows]
    return bool(counts.any()) and not np.array_equal(counts, profile.samples.period[rows])


def counts_word(event: Event) -> str:
    """What the counts of an event are called: "samples", "allocations"; of instructions that were counted, "Ir"."""
    if not tells_amounts(event):
        return Unit.SAMPLES.value
    return event.name if event.counted_in in (Unit.SAMPLES, Unit.EVENTS) else event.counted_in.value


def first_weight(profile: StackProfile, event: int) -> Weight:
    """What an event that tells amounts is weighed by at first: by how much, where that is known."""
    return Weight.PERIOD if profile.events[event].has_period else Weight.SAMPLES
