"""Where the time of composite events went, over time, and which stage made the tail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailflame.analyse.slots import Column, Merge, Slots, in_range
from tailflame.model.live import StageSlice
from tailflame.model.stacks import Float64, Int64
from tailflame.units import count, nanoseconds, percent

CAPACITY = 4096
MOST_STAGES = 16
"""What comes after is one stage, "other"."""
_OTHER = "other"
_FEW = 20
"""With fewer slow events one of them may decide which stage it was."""


@dataclass(frozen=True, slots=True, eq=False)
class StageColumns:
    """One row per slot. sums_ns: float64[rows, stages]."""

    start_s: Float64
    end_s: Float64
    events: Int64
    sums_ns: Float64


@dataclass(frozen=True, slots=True)
class StageShare:
    """One stage over a time: its mean, in ns per event, and its share of the whole, over all and over the slowest."""

    stage: str
    mean_ns: float
    share: float
    tail_mean_ns: float
    tail_share: float


@dataclass(frozen=True, slots=True)
class TailBreakdown:
    """`slowest`: the stage that most of what the slow events took longer went to; "" where none did."""

    stages: tuple[StageShare, ...]
    events: int
    tail_events: int
    slowest: str
    blame: float
    """Of what slow events took longer than all on average, the share of `slowest`."""

    @property
    def mean_ns(self) -> float:
        return sum(s.mean_ns for s in self.stages)

    @property
    def tail_mean_ns(self) -> float:
        return sum(s.tail_mean_ns for s in self.stages)

    @property
    def sentence(self) -> str:
        if not self.events:
            return "No event was timed here."
        lead = (
            f"The slowest {count(self.tail_events)} of {count(self.events)} events took "
            f"{nanoseconds(self.tail_mean_ns)} on average, all {nanoseconds(self.mean_ns)}"
        )
        if not self.slowest:
            return f"{lead}: no stage stands out."
        few = "; few events, so take it as a hint" if self.tail_events < _FEW else ""
        return f"{lead}: {percent(self.blame, digits=0)} of the difference is {self.slowest}{few}."


class StageTimeline:
    """The stages of one series."""

    def __init__(self, series: str, *, capacity: int = CAPACITY) -> None:
        self.series = series
        self.version = 0
        self.stages: tuple[str, ...] = ()
        self._slots = Slots(
            capacity,
            events=Column(Merge.SUM, dtype=np.int64),
            tail_events=Column(Merge.SUM, dtype=np.int64),
            sums=Column(Merge.SUM, MOST_STAGES),
            tail_sums=Column(Merge.SUM, MOST_STAGES),
        )

    def take(self, update: StageSlice) -> None:
        if self._slots.full:
            self._slots.make_room()
        places = [self._place(stage) for stage in update.stages]
        sums, tail = np.zeros(MOST_STAGES), np.zeros(MOST_STAGES)
        np.add.at(sums, places, update.sums_ns)
        np.add.at(tail, places, update.tail_sums_ns)
        self._slots.add(
            start_s=update.start_s,
            length_s=update.length_s,
            events=update.events,
            tail_events=update.tail_events,
            sums=sums,
            tail_sums=tail,
        )
        self.version += 1

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def first_s(self) -> float | None:
        return float(self._slots["start_s"][0]) if len(self._slots) else None

    @property
    def last_s(self) -> float | None:
        return float(self._slots["end_s"].max()) if len(self._slots) else None

    def columns(self) -> StageColumns:
        slots = self._slots
        return StageColumns(slots["start_s"], slots["end_s"], slots["events"], slots["sums"][:, : len(self.stages)])

    def tail(self, start_s: float | None = None, end_s: float | None = None) -> TailBreakdown:
        """Over the slots of which more than half lies in [start_s, end_s); None: from the first, to the last.

        The slow events are those that were the slowest hundredth of their own interval.
        """
        slots = self._slots
        low, high = -np.inf if start_s is None else start_s, np.inf if end_s is None else end_s
        rows = in_range(slots["start_s"], slots["end_s"], low, high)
        events, tail_events = int(slots["events"][rows].sum()), int(slots["tail_events"][rows].sum())
        means = slots["sums"][rows].sum(axis=0) / max(events, 1)
        tail = slots["tail_sums"][rows].sum(axis=0) / max(tail_events, 1)
        stages = tuple(
            StageShare(
                stage=stage,
                mean_ns=float(means[at]),
                share=_share(means[at], means.sum()),
                tail_mean_ns=float(tail[at]),
                tail_share=_share(tail[at], tail.sum()),
            )
            for at, stage in enumerate(self.stages)
        )
        more = np.maximum(tail - means, 0.0)[: len(stages)]
        which = int(np.argmax(more)) if len(more) and more.max() > 0 else -1
        return TailBreakdown(
            stages=stages,
            events=events,
            tail_events=tail_events,
            slowest=self.stages[which] if which >= 0 else "",
            blame=_share(float(more[which]), float(more.sum())) if which >= 0 else 0.0,
        )

    def _place(self, stage: str) -> int:
        if stage in self.stages:
            return self.stages.index(stage)
        if len(self.stages) < MOST_STAGES - 1:
            self.stages = (*self.stages, stage)
        elif len(self.stages) < MOST_STAGES:
            self.stages = (*self.stages, _OTHER)
        return self.stages.index(stage) if stage in self.stages else MOST_STAGES - 1


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else 0.0
