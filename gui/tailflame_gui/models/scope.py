"""What of a recording every view of a result shows: which event, weighed how, of which threads, times and functions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PySide6.QtCore import QObject, Signal

from tailflame.analyse.counted import as_counted, counts_word, has_counts, tells_amounts
from tailflame.analyse.filter_language import Term
from tailflame.analyse.heap_events import peak_event
from tailflame.analyse.hotspots import thread_label
from tailflame.analyse.sample_filter import EVERYTHING, SampleFilter
from tailflame.analyse.sample_timeline import is_off_cpu
from tailflame.analyse.tree import TreeOptions
from tailflame.model import Recording
from tailflame.model.stacks import StackProfile, Weight
from tailflame.units import Unit, count
from tailflame.units import weight as weight_text


@dataclass(frozen=True, slots=True)
class Scope:
    """event: index into the profile's events; threads: indices into its threads, None for all; samples: the range of
    time and the expression that samples are filtered by, besides.
    """

    event: int = 0
    weight: Weight = Weight.SAMPLES
    threads: frozenset[int] | None = None
    samples: SampleFilter = EVERYTHING

    @property
    def span(self) -> tuple[float, float] | None:
        """The range of time, in seconds since the profile's first sample."""
        return self.samples.span

    @property
    def terms(self) -> tuple[Term, ...]:
        """What the filter's expression says."""
        return self.samples.terms

    @property
    def filter(self) -> SampleFilter:
        """All that decides which samples are in, but the event: for analyse.sample_filter's `rows` and `filtered`."""
        return replace(self.samples, threads=self.threads)

    @property
    def tree_options(self) -> TreeOptions:
        """The tree of it, without any choice of a view's own."""
        return TreeOptions(event=self.event, weight=self.weight, threads=self.threads, samples=self.samples)

    def with_span(self, span: tuple[float, float] | None) -> Scope:
        return replace(self, samples=replace(self.samples, span=span))

    def with_terms(self, terms: tuple[Term, ...]) -> Scope:
        return replace(self, samples=replace(self.samples, terms=terms))


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
    """What a weight is called for people: "samples", "cycles", "time", "allocations"."""
    unit = profile.unit(event=event, weight=weight)
    match unit:
        case Unit.NANOSECONDS:
            return "time"
        case Unit.EVENTS:
            return profile.events[event].name
        case Unit.SAMPLES:
            return counted_in(profile, event)
        case _:
            return unit.value


def weights_of(profile: StackProfile, event: int) -> tuple[Weight, ...]:
    """The weights that tell different things; the first is the one to begin with."""
    if is_off_cpu(profile, event):
        return (Weight.PERIOD, Weight.SAMPLES)  # how long is the question, how often is the other one
    if not profile.events[event].has_period:
        return (Weight.SAMPLES,)
    if tells_amounts(as_counted(profile, event)):
        # How much is the question where each was counted; some tools do not tell how often.
        return (Weight.PERIOD, Weight.SAMPLES) if has_counts(profile, event) else (Weight.PERIOD,)
    return (Weight.SAMPLES, Weight.PERIOD)


def counted_in(profile: StackProfile, event: int) -> str:
    """What is counted: "samples", or what an event counts where each was counted: "allocations", "Ir"."""
    return counts_word(as_counted(profile, event))


def amount_text(profile: StackProfile, event: int, *, counts: float, weight: float) -> str:
    """How much of an event there is: "48,210 samples", "39,682,525 Ir"; of what was counted in bytes, "8.9 MB"."""
    about = as_counted(profile, event)
    if not tells_amounts(about) or not about.has_period:
        return f"{count(counts)} {counts_word(about)}"
    return f"{count(weight)} {about.name}" if about.unit is Unit.EVENTS else weight_text(weight, about.unit)


def first_event(recording: Recording) -> int:
    """The event that the views of a recording begin with: of a heap what was in use at the peak."""
    peak = peak_event(recording)
    return peak if peak >= 0 else 0


def weight_for(profile: StackProfile, event: int, old: Scope) -> Weight:
    """What `event` is weighed by when it is chosen: as before, where that can be; waiting by its time, memory by its
    size.
    """
    weights = weights_of(profile, event)
    special = any(is_off_cpu(profile, which) for which in (event, old.event))
    if special or tells_amounts(as_counted(profile, event)) or old.weight not in weights:
        return weights[0]
    return old.weight


def thread_choices(profile: StackProfile, event: int) -> tuple[tuple[int, str, float], ...]:
    """(index, label, samples) of the threads that were seen, busiest first."""
    samples = profile.samples
    chosen = (samples.event == event) & (samples.thread >= 0)
    counts = np.bincount(samples.thread[chosen], weights=samples.count[chosen], minlength=len(profile.threads)).tolist()
    seen = [(i, thread_label(profile, i), c) for i, c in enumerate(counts) if c > 0]
    return tuple(sorted(seen, key=lambda entry: -entry[2]))
