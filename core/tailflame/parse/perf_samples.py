"""Samples as perf printed them: the model's columns, with frames that still have their addresses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from tailflame.model import Event, SampleTable, StackProfile, StackTable, Thread
from tailflame.model.stacks import readonly
from tailflame.parse.perf_frames import PerfFrame, frame_table


@dataclass(frozen=True, slots=True, eq=False)
class PerfSamples:
    """What a text of `perf script` holds. `frames` are numbered as `stacks.frame` has them."""

    frames: tuple[PerfFrame, ...]
    stacks: StackTable
    samples: SampleTable
    threads: tuple[Thread, ...]
    events: tuple[Event, ...]

    def ordered(self, names: Iterable[str]) -> PerfSamples:
        """The same with the events in the order of `names`, as they were asked for, and not as they came."""
        wanted = {name: place for place, name in enumerate(names)}
        order = sorted(range(len(self.events)), key=lambda i: wanted.get(self.events[i].name, len(wanted)))
        place = np.argsort(order).astype(np.int32)
        event = readonly(place[self.samples.event], np.int32)
        return replace(
            self,
            events=tuple(self.events[i] for i in order),
            samples=replace(self.samples, event=event),
        )

    def profile(self) -> StackProfile:
        return StackProfile(
            frames=frame_table(self.frames),
            stacks=self.stacks,
            samples=self.samples,
            threads=self.threads,
            events=self.events,
            in_time_order=True,
        )
