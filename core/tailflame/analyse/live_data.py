"""All that was told of one run, by series: what the live screen, a reopened run and a dropped file show alike."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tailflame.analyse.pauses import PauseWatch
from tailflame.analyse.series_ring import CounterTimeline
from tailflame.analyse.stage_timeline import StageTimeline
from tailflame.analyse.timeline import LatencyTimeline, Span
from tailflame.model.counters import STATUSES, CounterSeries
from tailflame.model.histogram import HistogramSeries
from tailflame.model.live import Captured, Cost, LatencySlice, Reading, StageSlice, Update
from tailflame.model.live_record import LiveRecord
from tailflame.model.recording import Recording
from tailflame.model.slices import Sliced, SliceFigures, SliceSeries
from tailflame.units import seconds

MOST_LATENCIES = 32
MOST_COUNTERS = 256
"""Series of each kind; what a source tells beyond is counted in `left_out` and not kept."""
MOST_MOMENTS = 2000
HEADLINE_S = 10.0
CHANGE_S = 60.0
_ALONE = "latency"
"""The name of untagged intervals."""


class MomentKind(StrEnum):
    """Who says that something happened."""

    NOTE = "note"
    """The user."""
    EVENT = "event"
    """A source or the run: a pause, a deploy, a restart, a probe switched on."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment (or `length_s` from it) with words, drawn over every plot."""

    time_s: float
    text: str
    kind: MomentKind = MomentKind.NOTE
    length_s: float = 0.0
    opens: str = ""
    """The name of a file beside the run's own that holds what was kept of it."""


@dataclass(frozen=True, slots=True)
class Headline:
    """The figure that matters of one series: its percentile over the last HEADLINE_S."""

    percentile: float
    value: float | None
    count: int
    reliable: bool
    change: float | None
    """Relative to the same window CHANGE_S earlier; None where either is not reliable or not there."""
    calls_per_s: float | None


class LiveData:
    """Fed with updates; `version` grows with each that changed something."""

    def __init__(self) -> None:
        self.latency: dict[str, LatencyTimeline] = {}
        self.counters: dict[str, CounterTimeline] = {}
        self.stages: dict[str, StageTimeline] = {}
        self.costs: dict[str, Cost] = {}
        self.moments: list[Moment] = []
        """In order of their time."""
        self.slices: tuple[SliceFigures, ...] = ()
        """Of a continuous profile, in the order of time."""
        self.slices_epoch_s = 0.0
        """Seconds since the epoch at the zero of their clock; 0 where it is not known."""
        self.version = 0
        self.left_out: set[str] = set()
        """Names of series that were one too many."""
        self.origin_s: float | None = None
        """What the axis calls zero; the earliest start where nobody sets it."""
        self._pauses: dict[str, PauseWatch] = {}
        self._counter_keys: dict[tuple[str, bool], str] = {}

    @classmethod
    def of_recording(cls, recording: Recording) -> LiveData:
        """What a file or a kept run holds. It may take a second for a hundred thousand intervals."""
        data = cls()
        for result in recording.results:
            if isinstance(result, HistogramSeries):
                data.add_histograms(result)
            elif isinstance(result, CounterSeries):
                data.add_counters(result)
            elif isinstance(result, LiveRecord):
                data.add_record(result)
            elif isinstance(result, SliceSeries):
                data.add_slices(result)
        return data

    # Feeding

    def take(self, update: Update) -> bool:
        """Whether it was something to show; the others are for whoever steers the sources."""
        match update:
            case LatencySlice():
                latency = self._latency(update.series, "ns")
                if latency is not None:
                    latency.take(update)
                    self._look_for_pause(update.series, update.start_s, update.histogram.total)
            case Reading():
                counter = self._counter(update.series, update.simulated)
                if counter is not None:
                    counter.take(update)
            case StageSlice():
                stages = self._stage(update.series)
                if stages is not None:
                    stages.take(update)
            case Cost():
                self.costs[update.series] = update
            case Captured():
                self.add_moment(Moment(update.time_s, update.words, MomentKind.EVENT, opens=update.path.name))
            case Sliced():
                self.slices = update.rows
            case _:
                return False
        self.version += 1
        return True

    def take_all(self, updates: Iterable[Update]) -> None:
        for update in updates:
            self.take(update)

    def add_moment(self, moment: Moment) -> None:
        """The oldest goes where there are MOST_MOMENTS."""
        self.moments.append(moment)
        self.moments.sort(key=lambda m: m.time_s)
        del self.moments[:-MOST_MOMENTS]
        self.version += 1

    def add_histograms(self, series: HistogramSeries) -> None:
        for tag in series.distinct_tags():
            self._latency(tag or _ALONE, series.unit)
        order = sorted(range(len(series.tags)), key=lambda at: series.start_s[at])
        for at in order:
            timeline = self._latency(series.tags[at] or _ALONE, series.unit)
            if timeline is not None:
                timeline.add(series.start_s[at], series.length_s[at], series.histograms[at])
                self._look_for_pause(series.tags[at] or _ALONE, series.start_s[at], series.histograms[at].total)
        self.version += 1

    def add_counters(self, series: CounterSeries) -> None:
        for index, name in enumerate(series.names):
            timeline = self._counter(name, series.simulated[index])
            if timeline is None:
                continue
            column = series.of(name)
            for start, length, value, running, status in zip(*(part.tolist() for part in column), strict=True):
                timeline.take(
                    Reading(
                        series=name,
                        start_s=start,
                        length_s=length,
                        value=None if math.isnan(value) else value,
                        unit=series.units[index],
                        status=STATUSES[status],
                        running=running,
                        simulated=series.simulated[index],
                    )
                )
        self.version += 1

    def add_record(self, record: LiveRecord) -> None:
        self.origin_s = record.began_s
        self.take_all(record.stages)
        self.take_all(record.costs)
        for mark in record.marks:
            kind = MomentKind.EVENT if mark.opens else MomentKind.NOTE
            self.add_moment(Moment(mark.time_s, mark.text, kind, opens=mark.opens))
        self.version += 1

    def add_slices(self, series: SliceSeries) -> None:
        self.slices, self.slices_epoch_s = series.rows, series.epoch_s
        self.version += 1

    # Asking

    @property
    def empty(self) -> bool:
        return not (self.latency or self.counters or self.stages or self.slices)

    @property
    def extent(self) -> tuple[float, float] | None:
        """(the earliest start, the latest end) of all; None where there is nothing."""
        parts = self._parts()
        firsts = [part.first_s for part in parts if part.first_s is not None]
        lasts = [part.last_s for part in parts if part.last_s is not None]
        if self.slices:
            firsts.append(self.slices[0].start_s)
            lasts.append(self.slices[-1].end_s)
        return (min(firsts), max(lasts)) if firsts and lasts else None

    @property
    def timed(self) -> bool:
        """Whether anything was told more than once: else there is nothing to draw over time."""
        return bool(self.slices) or any(len(part) > 1 for part in self._parts())

    def zero_s(self) -> float:
        extent = self.extent
        return self.origin_s if self.origin_s is not None else extent[0] if extent else 0.0

    def headline(self, series: str, percentile: float = 99.9) -> Headline | None:
        """None where there is no such series."""
        timeline = self.latency.get(series)
        if timeline is None:
            return None
        now, watched = timeline.latest(HEADLINE_S)
        before, before_watched = timeline.latest(HEADLINE_S, ago_s=CHANGE_S)
        needed = math.ceil(round(100.0 / (100.0 - percentile), 6))
        value = float(now.percentiles((percentile,))[0]) if now.total else None
        change = None
        whole_windows = before_watched > HEADLINE_S / 2 and watched > HEADLINE_S / 2
        if value is not None and min(now.total, before.total) >= needed and whole_windows:
            earlier = before.percentiles((percentile,))[0]
            change = value / earlier - 1.0 if earlier else None
        return Headline(
            percentile=percentile,
            value=value,
            count=now.total,
            reliable=now.total >= needed,
            change=change,
            calls_per_s=now.total / watched if watched > 0 else None,
        )

    # Inside

    def _parts(self) -> list[LatencyTimeline | CounterTimeline | StageTimeline]:
        return [*self.latency.values(), *self.counters.values(), *self.stages.values()]

    def _latency(self, name: str, unit: str) -> LatencyTimeline | None:
        if name not in self.latency:
            if len(self.latency) >= MOST_LATENCIES:
                self._leave_out(name)
                return None
            self.latency[name] = LatencyTimeline(name, unit=unit)
        return self.latency[name]

    def _counter(self, name: str, simulated: bool) -> CounterTimeline | None:
        key = self._counter_keys.get((name, simulated))
        if key is None:
            if len(self.counters) >= MOST_COUNTERS:
                self._leave_out(name)
                return None
            key = f"{name} (simulated)" if simulated and name in self.counters else name
            self._counter_keys[name, simulated] = key
            self.counters[key] = CounterTimeline(key)
        return self.counters[key]

    def _look_for_pause(self, name: str, start_s: float, calls: int) -> None:
        pause = self._pauses.setdefault(name, PauseWatch()).take(start_s, calls)
        if pause is not None:
            begin, length = pause
            short = name.rsplit("::", 1)[-1]
            words = f"no {short} for {seconds(length)}"
            self.add_moment(Moment(begin, words, MomentKind.EVENT, length))

    def _leave_out(self, name: str) -> None:
        if len(self.left_out) < MOST_COUNTERS:
            self.left_out.add(name)

    def _stage(self, name: str) -> StageTimeline | None:
        if name not in self.stages:
            if len(self.stages) >= MOST_LATENCIES:
                return None
            self.stages[name] = StageTimeline(name)
        return self.stages[name]


def prepared(data: LiveData) -> LiveData:
    """The same, with everything worked out that is drawn over time: for a worker thread, before it is shown."""
    for timeline in data.latency.values():
        for span in (Span.ROLLING, Span.CUMULATIVE):
            timeline.catch_up(span)
    return data
