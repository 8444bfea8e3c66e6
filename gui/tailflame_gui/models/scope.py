"""What of a recording every view of a result shows: which event, weighed how, of which threads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QObject, Signal

from tailflame.analyse.hotspots import thread_label
from tailflame.model.stacks import StackProfile, Weight
from tailflame.units import Unit


@dataclass(frozen=True, slots=True)
class Scope:
    """event: index into the profile's events; threads: indices into its threads, None for all."""

    event: int = 0
    weight: Weight = Weight.SAMPLES
    threads: frozenset[int] | None = None


class ResultScope(QObject):
    """The one Scope of a result. changed(scope): it is another one."""

    changed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._scope = Scope()

    @property
    def scope(self) -> Scope:
        return self._scope

    def set(self, scope: Scope) -> None:
        if scope != self._scope:
            self._scope = scope
            self.changed.emit(scope)


def weight_label(profile: StackProfile, event: int, weight: Weight) -> str:
    """What a weight is called for people: "samples", "cycles", "time"."""
    unit = profile.unit(event=event, weight=weight)
    match unit:
        case Unit.NANOSECONDS:
            return "time"
        case Unit.EVENTS:
            return profile.events[event].name
        case _:
            return unit.value


def weights_of(profile: StackProfile, event: int) -> tuple[Weight, ...]:
    """The weights that tell different things."""
    return (Weight.SAMPLES, Weight.PERIOD) if profile.events[event].has_period else (Weight.SAMPLES,)


def thread_choices(profile: StackProfile, event: int) -> tuple[tuple[int, str, float], ...]:
    """(index, label, samples) of the threads that were seen, busiest first."""
    samples = profile.samples
    chosen = (samples.event == event) & (samples.thread >= 0)
    counts = np.bincount(samples.thread[chosen], weights=samples.count[chosen], minlength=len(profile.threads)).tolist()
    seen = [(i, thread_label(profile, i), c) for i, c in enumerate(counts) if c > 0]
    return tuple(sorted(seen, key=lambda entry: -entry[2]))
