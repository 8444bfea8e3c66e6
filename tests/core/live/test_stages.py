"""Which field is the whole, and which stage made the tail."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tailflame.live.stages import SUM, Stages
from tailflame.model.live import StageSlice

NAN = np.nan


def slices(
    names: tuple[str, ...], *rows: tuple[float, ...], stages: Stages | None = None, times: int = 1
) -> list[StageSlice]:
    events: npt.NDArray[np.float64] = np.array(rows * times, dtype=np.float64)
    return (stages or Stages()).slices(names, events, 10.0, 0.2)


def test_total_is_the_whole_by_its_name_and_stages_that_were_not_reached_are_zero() -> None:
    (told,) = slices(
        ("validation_us", "total_us", "risk_us"), (1, 10, 8), (2, 3, NAN), (NAN, 5, NAN), (3, NAN, 4), (NAN, NAN, NAN)
    )
    assert told == StageSlice(
        series="total_us",
        stages=("validation_us", "risk_us"),
        start_s=10.0,
        length_s=0.2,
        events=2,
        sums_ns=(3.0, 8.0),
        tail_events=1,
        tail_sums_ns=(1.0, 8.0),
    )


def test_the_tail_is_the_slowest_hundredth() -> None:
    rows = [(1.0, 1.0, 2.0 + n / 1000) for n in range(990)] + [(1.0, 99.0, 100.0 + n) for n in range(10)]
    (told,) = slices(("a", "b", "total"), *rows)
    assert (told.events, told.tail_events) == (1000, 10)
    assert told.tail_sums_ns == (10.0, 990.0)
    assert told.sums_ns == (1000.0, 1980.0)


def test_of_several_totals_the_longest() -> None:
    (told,) = slices(("total_db_ms", "render_ms", "request_total_ms"), (5, 3, 9), (4, 3, 8))
    assert told.series == "request_total_ms"
    assert told.stages == ("total_db_ms", "render_ms")


def test_a_field_that_covers_the_others_is_the_whole() -> None:
    (told,) = slices(("parse_us", "elapsed_us", "send_us"), (3, 9.5, 6), (4, 11, 7), times=20)
    assert told.series == "elapsed_us"
    assert told.stages == ("parse_us", "send_us")


def test_the_longest_stage_is_not_mistaken_for_the_whole() -> None:
    (told,) = slices(("validation_us", "risk_us", "network_us"), (1, 2, 500), (1, 3, 400), times=20)
    assert told.series == SUM
    assert told.stages == ("validation_us", "risk_us", "network_us")
    (told,) = slices(("time.busy", "time.idle"), (10, 9), (10, 9), times=20)
    assert told.series == SUM
    assert told.sums_ns == (400.0, 360.0)


def test_few_events_tell_no_whole_and_what_is_told_stays() -> None:
    stages = Stages()
    names = ("a_us", "b_us", "c_us")
    assert slices(names, (1, 2, 3), stages=stages, times=10) == []
    (told,) = slices(names, (1, 2, 3.1), stages=stages, times=10)
    assert told.series == "c_us"
    (told,) = slices(names, (1, 2, 50), stages=stages)
    assert told.series == "c_us"


def test_events_that_share_no_field_are_of_different_families() -> None:
    stages = Stages()
    names = ("a_us", "b_us", "total_us", "query_ms", "fetch_ms", "x_us", "y_us")
    order, database, other = (
        (1, 2, 3, NAN, NAN, NAN, NAN),
        (NAN, NAN, NAN, 4, 5, NAN, NAN),
        (NAN, NAN, NAN, NAN, NAN, 6, 7),
    )
    for _ in range(2):
        told = {one.series: one for one in slices(names, order, database, order, stages=stages)}
        assert {series: (one.stages, one.events) for series, one in told.items()} == {
            "total_us": (("a_us", "b_us"), 2),
            SUM: (("query_ms", "fetch_ms"), 1),
        }
    told = {one.series: one for one in slices(names, database, other, stages=stages)}
    assert list(told) == [SUM, f"{SUM} (x_us, y_us)"]
    assert told[SUM].stages == ("query_ms", "fetch_ms")


def test_families_that_turn_out_to_be_one_are_joined() -> None:
    stages = Stages()
    names = ("a", "b", "c", "total")
    (one,) = slices(names, (1, 2, NAN, NAN), stages=stages)
    assert one.series == SUM
    (both,) = slices(names, (1, 2, NAN, NAN), (NAN, NAN, 3, 4), (NAN, 2, NAN, 5), stages=stages)
    assert (both.series, both.stages, both.events) == ("total", ("a", "b", "c"), 2)


def test_events_of_one_field_have_no_stages() -> None:
    assert slices(("a", "b"), (1, NAN), (NAN, 2)) == []
    assert Stages().slices(("a", "b"), np.empty((0, 2)), 0.0, 1.0) == []
