"""Readings as columns: order, names, statuses, and what counters tell together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailflame.model import CounterSeries
from tailflame.model.counter_ratios import derived, whole_run
from tailflame.model.counters import STATUSES
from tailflame.model.live import Reading, Status


def reading(series: str, value: float | None, at: float = 0.0, **more: object) -> Reading:
    return Reading(series=series, start_s=at, length_s=0.2, value=value, **more)  # type: ignore[arg-type]


def test_readings_come_back_by_series_in_order_of_time() -> None:
    series = CounterSeries.of_readings(
        [
            reading("cycles", 3.0, 1.0, running=0.43),
            reading("IPC", 1.5, 0.5),
            reading("cycles", None, 0.5, status=Status.NOT_COUNTED),
            reading("cycles", 4.0, 1.5, running=7.0),
        ]
    )
    start, length, value, running, status = series.of("cycles")
    assert (series.names, len(series)) == (("cycles", "IPC"), 4)
    assert start.tolist() == [0.5, 1.0, 1.5]
    assert length.tolist() == [0.2] * 3
    assert math.isnan(value[0])
    assert value[1:].tolist() == [3.0, 4.0]
    assert running.tolist() == [1.0, 0.43, 1.0]
    assert [STATUSES[code] for code in status] == [Status.NOT_COUNTED, Status.COUNTED, Status.COUNTED]
    assert series.of("cycles").counted.tolist() == [False, True, True]
    assert series.of("IPC").value.tolist() == [1.5]
    with pytest.raises(ValueError, match="read-only"):
        value[0] = 1.0
    with pytest.raises(KeyError):
        series.of("nothing")
    with pytest.raises(KeyError):
        series.unit_of("nothing")


def test_a_name_in_two_units_or_simulated_beside_counted_is_two_series() -> None:
    series = CounterSeries.of_readings(
        [
            reading("x", None, status=Status.NOT_SUPPORTED),  # its unit comes with the first value
            reading("x", 1.0, unit="%"),
            reading("x", 2.0, unit="B"),
            reading("x", 3.0, unit="%", simulated=True),
            reading("x", 4.0, unit="%"),
            reading("x (B)", 5.0, unit="%"),
        ]
    )
    assert series.names == ("x", "x (B)", "x (simulated)", "x (B) (%)")
    assert (series.unit_of("x"), series.unit_of("x (B)"), series.is_simulated("x (simulated)")) == ("%", "B", True)
    assert series.of("x").value[1:].tolist() == [1.0, 4.0]
    assert not series.is_simulated("x")


def test_nothing_is_an_empty_series() -> None:
    series = CounterSeries.of_readings([])
    assert (series.names, len(series)) == ((), 0)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.builds(
            Reading,
            series=st.sampled_from(["a", "b", "a (%)", ""]),
            start_s=st.floats(0, 1e9),
            length_s=st.floats(0, 10),
            value=st.none() | st.floats(),
            unit=st.sampled_from(["", "%", "B"]),
            status=st.sampled_from(Status),
            running=st.floats(0, 1),
            simulated=st.booleans(),
        ),
        max_size=20,
    )
)
def test_no_reading_is_lost_and_a_value_stands_where_it_was_counted(readings: list[Reading]) -> None:
    series = CounterSeries.of_readings(readings)
    assert len(series) == len(readings) == sum(len(series.of(name).value) for name in series.names)
    assert len(set(series.names)) == len(series.names)
    assert np.array_equal(np.isfinite(series.value), series.status == STATUSES.index(Status.COUNTED))
    assert np.all(np.diff(series.start_s) >= 0)


def test_ratios_of_one_interval() -> None:
    told = {
        r.series: r
        for r in derived(
            [
                reading("instructions", 300.0, running=0.43),
                reading("cycles", 200.0, running=0.9),
                reading("cache-misses", 5.0),
                reading("cache-references", None, status=Status.NOT_COUNTED),
                reading("branches", 0.0),
                reading("branch-misses", 0.0),
                reading("LLC-loads", None, status=Status.NOT_SUPPORTED),
                reading("LLC-load-misses", None, status=Status.NOT_COUNTED),
                reading("task-clock", 100.0, unit="ms"),
                reading("page-faults", 4.0),
            ]
        )
    }
    assert (told["IPC"].value, told["IPC"].running, told["IPC"].unit) == (1.5, 0.43, "")
    assert (told["cache miss rate"].value, told["cache miss rate"].status) == (None, Status.NOT_COUNTED)
    assert (told["branch miss rate"].value, told["branch miss rate"].status) == (None, Status.EMPTY)
    assert told["LLC load miss rate"].status is Status.NOT_SUPPORTED
    assert (told["CPU by task clock"].value, told["CPU by task clock"].unit) == (pytest.approx(50.0), "%")
    assert (told["page faults"].value, told["page faults"].unit) == (pytest.approx(20.0), "/s")
    assert "dTLB load miss rate" not in told


def test_parts_of_the_whole_are_told_apart() -> None:
    told = {
        r.series: r.value
        for r in derived(
            [
                reading("instructions, cpu_core", 30.0),
                reading("cycles, cpu_core", 10.0),
                reading("instructions, cpu_atom", None, status=Status.NOT_COUNTED),
                reading("cycles, cpu_atom", 10.0),
            ]
        )
    }
    assert told == {"IPC, cpu_core": 3.0, "IPC, cpu_atom": None}


def test_the_whole_run_of_a_ratio_is_divided_sums() -> None:
    readings = []
    for at, (instructions, cycles) in enumerate(((100.0, 100.0), (3000.0, 1000.0), (None, 500.0))):
        status = Status.COUNTED if instructions is not None else Status.NOT_COUNTED
        interval = [
            reading("instructions", instructions, float(at), status=status),
            reading("cycles", cycles, float(at)),
        ]
        readings += [*interval, *derived(interval)]
    series = CounterSeries.of_readings([*readings, reading("threads", 3.0)])
    assert whole_run(series, "IPC") == 3100 / 1100
    assert whole_run(series, "cycles") == 1600
    assert whole_run(series, "threads") is None
    assert whole_run(series, "cache miss rate") is None
