"""Counters, stages and the collection of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tailflame.analyse.live_data import MOST_LATENCIES, LiveData, Moment
from tailflame.analyse.series_ring import CounterTimeline
from tailflame.analyse.stage_timeline import MOST_STAGES, StageTimeline
from tailflame.model.counters import CounterSeries
from tailflame.model.histogram import Histogram, HistogramSeries
from tailflame.model.live import Armed, Cost, LatencySlice, Reading, StageSlice, Status
from tailflame.model.live_record import LiveRecord, Mark
from tailflame.model.recording import Recording


def reading(at: float, value: float | None, *, status: Status = Status.COUNTED, running: float = 1.0) -> Reading:
    return Reading(series="IPC", start_s=at, length_s=1.0, value=value, status=status, running=running)


def test_the_least_and_the_greatest_survive_the_merging() -> None:
    timeline = CounterTimeline("IPC", capacity=16)
    rng = np.random.default_rng(3)
    told = rng.normal(2.0, 0.5, 500)
    for at, value in enumerate(told):
        timeline.take(reading(float(at), float(value), running=0.43))
    columns = timeline.columns()
    assert len(timeline) <= 16
    assert (np.nanmin(columns.low), np.nanmax(columns.high)) == (told.min(), told.max())
    assert timeline.mean(-math.inf, math.inf) == pytest.approx(told.mean())
    assert columns.running == pytest.approx(0.43)
    assert timeline.least_running == 0.43


def test_what_was_not_counted_is_a_gap_with_its_reason() -> None:
    timeline = CounterTimeline("IPC", capacity=16)
    for at in range(40):
        dead = 30 <= at < 34
        timeline.take(reading(float(at), None if dead else 2.0, status=Status.NOT_COUNTED if dead else Status.COUNTED))
    columns = timeline.columns()
    assert columns.known.sum() < len(columns)
    assert timeline.at(31.5) == (None, Status.NOT_COUNTED, 1.0)
    assert timeline.at(36.5) == (2.0, Status.COUNTED, 1.0)
    assert timeline.at(99.0) is None and timeline.at(-1.0) is None


def test_a_value_that_is_no_number_is_a_gap() -> None:
    timeline = CounterTimeline("IPC")
    timeline.take(reading(0.0, math.inf))
    assert not timeline.columns().known.any()
    assert timeline.mean(0, 1) is None


def stages(at: float, *, slow: float = 1000.0) -> StageSlice:
    return StageSlice(
        series="total_us",
        stages=("validation", "execution"),
        start_s=at,
        length_s=1.0,
        events=100,
        sums_ns=(100 * 40.0, 100 * 60.0),
        tail_events=1,
        tail_sums_ns=(50.0, slow),
    )


def test_the_stage_that_made_the_tail_is_named() -> None:
    timeline = StageTimeline("total_us", capacity=16)
    for at in range(50):
        timeline.take(stages(float(at)))
    tail = timeline.tail()
    assert (tail.events, tail.tail_events, tail.slowest) == (5000, 50, "execution")
    assert tail.blame == pytest.approx(940 / 950)
    assert [s.share for s in tail.stages] == pytest.approx([0.4, 0.6])
    assert tail.sentence == (
        "The slowest 50 of 5,000 events took 1.05 µs on average, all 100 ns: 99% of the difference is execution."
    )
    assert "hint" in timeline.tail(45, 46).sentence
    assert timeline.tail(1000, 2000).sentence == "No event was timed here."


def test_a_tail_without_a_cause_is_not_given_one() -> None:
    timeline = StageTimeline("x")
    timeline.take(
        StageSlice(series="x", stages=("a",), start_s=0, length_s=1, events=2, sums_ns=(10.0,), tail_events=1,
                   tail_sums_ns=(5.0,))
    )  # fmt: skip
    assert timeline.tail().slowest == "" and "no stage stands out" in timeline.tail().sentence


def test_stages_may_come_later_and_are_bounded() -> None:
    timeline = StageTimeline("x")
    for at in range(40):
        timeline.take(
            StageSlice(series="x", stages=(f"s{at}",), start_s=at, length_s=1, events=1, sums_ns=(1.0,), tail_events=1,
                       tail_sums_ns=(1.0,))
        )  # fmt: skip
    assert len(timeline.stages) == MOST_STAGES and timeline.stages[-1] == "other"
    assert timeline.columns().sums_ns.sum() == 40


def slices(series: str, count: int, *, of: int = 2000, value: int = 1000) -> list[LatencySlice]:
    histogram = Histogram.of([value], [of], digits=2)
    return [LatencySlice(series=series, start_s=at, length_s=1.0, histogram=histogram) for at in range(count)]


def test_updates_go_where_they_belong() -> None:
    data = LiveData()
    assert data.empty and data.extent is None and data.zero_s() == 0
    assert not data.take(Armed())
    data.take_all(slices("a", 3))
    data.take(reading(5.0, 1.0))
    data.take(stages(1.0))
    data.take(Cost(series="a", floor_ns=1, per_call_ns=2, calls_per_s=3, share=0.1))
    assert (list(data.latency), list(data.counters), list(data.stages), list(data.costs)) == (
        ["a"], ["IPC"], ["total_us"], ["a"],
    )  # fmt: skip
    assert data.extent == (0, 6) and data.version == 6 and data.timed


def test_the_headline_tells_what_changed_over_a_minute() -> None:
    data = LiveData()
    for update in slices("a", 90):
        slow = update.start_s >= 80
        data.take(
            LatencySlice(
                series="a",
                start_s=update.start_s,
                length_s=1.0,
                histogram=Histogram.of([1200 if slow else 1000], [2000], digits=3),
            )
        )
    head = data.headline("a")
    assert head is not None and head.value == 1200
    assert head.change == pytest.approx(0.2) and head.reliable and head.calls_per_s == pytest.approx(2000)
    assert data.headline("b") is None


def test_no_change_is_told_before_there_was_a_minute() -> None:
    data = LiveData()
    data.take_all(slices("a", 20, of=10))
    head = data.headline("a")
    assert head is not None and head.change is None and not head.reliable


def test_a_recording_shows_the_same() -> None:
    histogram = Histogram.of([5, 6], digits=3)
    series = HistogramSeries(("", "b", ""), (2.0, 1.0, 1.0), (1.0, 1.0, 1.0), (histogram,) * 3, unit="ms")
    counters = CounterSeries.of_readings([reading(1.0, 2.0), reading(2.0, None, status=Status.NOT_SUPPORTED)])
    data = LiveData.of_recording(Recording("t", "f", "s", (series, counters)))  # type: ignore[arg-type]
    assert list(data.latency) == ["latency", "b"] and data.latency["b"].unit == "ms"
    assert data.latency["latency"].columns().start_s.tolist() == [1, 2]
    assert data.counters["IPC"].at(2.5) == (None, Status.NOT_SUPPORTED, 1.0)


def test_a_kept_live_run_has_its_stages_marks_and_clock() -> None:
    record = LiveRecord(epoch_s=0, began_s=90, ended_s=200, stages=(stages(100.0),), marks=(Mark(120, "deploy"),))
    data = LiveData.of_recording(Recording("live", "live", "s", (record,)))
    assert data.stages["total_us"].tail().events == 100
    assert data.moments == [Moment(120, "deploy")] and data.zero_s() == 90


def test_simulated_counters_stand_beside_counted_ones() -> None:
    data = LiveData()
    data.take(reading(0.0, 1.0))
    data.take(Reading(series="IPC", start_s=0, length_s=1, value=2.0, simulated=True))
    assert list(data.counters) == ["IPC", "IPC (simulated)"] and data.counters["IPC (simulated)"].simulated


def test_hostile_numbers_of_series_and_marks_are_bounded() -> None:
    data = LiveData()
    for at in range(MOST_LATENCIES + 5):
        data.take_all(slices(f"s{at}", 1))
    assert len(data.latency) == MOST_LATENCIES and len(data.left_out) == 5
    for at in reversed(range(5000)):
        data.add_moment(Moment(float(at), "x"))
    assert len(data.moments) == 2000 and data.moments[0].time_s <= data.moments[-1].time_s
