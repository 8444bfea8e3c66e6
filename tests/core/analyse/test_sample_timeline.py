"""Samples over time: by process, thread and CPU, waiting beside them, and by fractions of a second."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailflame.analyse.filter_language import parse
from tailflame.analyse.sample_filter import SampleFilter, rows
from tailflame.analyse.sample_timeline import By, LaneKind, length_s, off_cpu_event, on_cpu_event, tracks, waits
from tailflame.analyse.subsecond import subsecond
from tailflame.model import StackBuilder, StackProfile, Thread
from tailflame.model.stacks import Event
from tailflame.units import Unit

MS = 1_000_000
START = 9_000_000_000


def drawn(text: str) -> StackProfile:
    """A profile from lines "thread: 0 10 25": the times of its samples in ms; "thread off: 3+20" waits from 3 ms on for
    20 ms. A thread is name/pid/tid, sampled on CPU tid % 2.
    """
    builder = StackBuilder(events=[Event("cpu-clock")])
    leaf = builder.stack([builder.frame("main")])
    for line in text.strip().splitlines():
        who, _, times = line.strip().partition(":")
        who, _, off = who.partition(" ")
        name, pid, tid = who.split("/")
        thread = builder.thread(Thread(name, int(pid), int(tid)))
        for time in times.split():
            at, _, wait = time.partition("+")
            event = builder.event(Event("off-CPU", Unit.NANOSECONDS, has_period=True)) if off else 0
            builder.sample(
                leaf, period=float(wait) * MS if off else 1.0, time_ns=START + int(at) * MS, thread=thread,
                cpu=int(tid) % 2, event=event,
            )  # fmt: skip
    return builder.build()


ENGINE = """
    engine/1/1: 0 500 1000 1500
    worker/1/2: 100 200 300 400 600 1900
    logger/7/7: 50 1950
"""


def lanes(profile: StackProfile, by: By, edges: list[float]) -> list[str]:
    """A line per lane: its kind, name and number, and the samples of each column."""
    made = tracks(profile, by, 0)
    sums = made.sums(profile)
    return [
        f"{lane.kind} {lane.name} {lane.number}: " + " ".join(f"{n:g}" for n in made.counts(sums, at, np.array(edges)))
        for at, lane in enumerate(made.lanes)
    ]


def test_lanes_are_processes_with_their_threads_the_busiest_first() -> None:
    assert lanes(drawn(ENGINE), By.THREAD, [0, 0.5, 1, 1.5, 2]) == [
        "process engine 1: 5 2 1 2",
        "thread worker 2: 4 1 0 1",
        "thread engine 1: 1 1 1 1",
        "thread logger 7: 1 0 0 1",
    ]


def test_lanes_of_processors() -> None:
    assert lanes(drawn(ENGINE), By.CPU, [0, 1, 2]) == ["CPU CPU 0 0: 5 1", "CPU CPU 1 1: 3 3"]


def test_samples_of_a_filter_alone() -> None:
    profile = drawn(ENGINE)
    made = tracks(profile, By.THREAD, 0)
    sums = made.sums(profile, rows(profile, SampleFilter(terms=parse("time:0-350ms -thread:logger"))))
    counted = [made.counts(sums, at, np.array([0.0, 2.0])).sum() for at in range(len(made.lanes))]
    assert counted == [4, 3, 1, 0]
    assert [lane.samples for lane in made.lanes] == [10, 6, 4, 2]


def test_threads_of_no_known_process_and_samples_of_no_known_thread() -> None:
    profile = drawn("a/-1/-1: 0 1\nb/-1/-1: 2")
    made = tracks(profile, By.THREAD, 0)
    assert [(lane.kind, lane.name, lane.alone) for lane in made.lanes] == [
        (LaneKind.THREAD, "a", True),
        (LaneKind.THREAD, "b", True),
    ]
    builder = StackBuilder()
    builder.sample(-1, time_ns=5)
    assert [lane.name for lane in tracks(builder.build(), By.THREAD, 0).lanes] == ["unknown thread"]
    assert [lane.name for lane in tracks(builder.build(), By.CPU, 0).lanes] == ["unknown CPU"]


def test_without_times_there_are_no_lanes() -> None:
    builder = StackBuilder()
    builder.sample(-1)
    assert not tracks(builder.build(), By.THREAD, 0).lanes
    assert length_s(builder.build()) == 0
    assert subsecond(builder.build(), 0).seconds == 0


@given(
    st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 3)), min_size=1, max_size=80),
    st.lists(st.integers(-10, 6_000), min_size=2, max_size=12, unique=True),
)
def test_columns_hold_what_falls_into_them(samples: list[tuple[int, int]], edges: list[int]) -> None:
    edges.sort()
    profile = drawn("\n".join(f"t/1/{thread}: {at}" for at, thread in samples))
    made = tracks(profile, By.THREAD, 0)
    first = min(at for at, _thread in samples)
    for at, lane in enumerate(made.lanes):
        own = [t - first for t, thread in samples if lane.kind is LaneKind.PROCESS or thread == lane.number]
        counted = made.counts(made.sums(profile), at, np.array(edges) / 1e3)
        assert counted.tolist() == [sum(a <= t < b for t in own) for a, b in pairwise(edges)]


WAITING = """
    sleeper/1/1: 0
    sleeper/1/1 off: 10+100 200+50
    worker/1/2: 5
    worker/1/2 off: 150+100
"""


def test_waiting_is_spread_over_the_time_it_lasts() -> None:
    profile = drawn(WAITING)
    made = waits(profile)
    edges = np.array([0.0, 0.1, 0.2, 0.3])
    assert (made.time_ns((0,), edges) / MS).tolist() == pytest.approx([90, 10, 50])
    assert (made.time_ns((0, 1), edges) / MS).tolist() == pytest.approx([90, 60, 100])
    assert off_cpu_event(profile) == 1
    assert on_cpu_event(profile, 1) == 0
    # It is no sample of the CPU.
    assert [lane.samples for lane in tracks(profile, By.THREAD, 0).lanes] == [2, 1, 1]


def test_a_profile_without_waiting() -> None:
    assert off_cpu_event(drawn(ENGINE)) == -1
    assert not waits(drawn(ENGINE)).any


def test_seconds_are_columns_and_fractions_rows() -> None:
    made = subsecond(drawn("t/1/1: 0 1 500 999 1000 2500 2510"), 0, rows=4)
    assert made.cells.T.tolist() == [[2, 0, 1, 1], [1, 0, 0, 0], [0, 0, 2, 0]]
    assert made.most == 2


def test_a_range_of_cells_is_the_time_between_them() -> None:
    made = subsecond(drawn("t/1/1: 0 2500"), 0, rows=4)
    assert made.span_of((1, 0), (1, 0)) == (0.25, 0.5)
    assert made.span_of((2, 2), (1, 0)) == (0.25, 2.75)
    assert made.cell_of(1.75) == (3, 1)
    assert made.cell_of(99.0) == (3, 2)
    assert made.cell_of(-1.0) == (0, 0)


def test_the_map_of_a_filter_is_as_long_as_the_whole() -> None:
    profile = drawn(ENGINE)
    made = subsecond(profile, 0, rows(profile, SampleFilter(terms=parse("thread:worker time:0-1s"))), rows=2)
    assert made.cells.T.tolist() == [[4, 1], [0, 0]]
