"""A silence among steady calls is a pause; one among few calls, or at the end, is none."""

from __future__ import annotations

from tailflame.analyse.live_data import LiveData, MomentKind
from tailflame.analyse.pauses import BUSY, STEADY, PauseWatch
from tailflame.model import Histogram
from tailflame.model.live import LatencySlice


def pauses(calls: list[int]) -> list[tuple[float, float]]:
    watch = PauseWatch()
    told = (watch.take(float(at), count) for at, count in enumerate(calls))
    return [pause for pause in told if pause is not None]


def test_a_silence_among_steady_calls_is_a_pause() -> None:
    assert pauses([BUSY] * STEADY + [0, 0, 0, BUSY]) == [(10.0, 3.0)]
    assert pauses([BUSY] * STEADY + [0, BUSY, 0, BUSY]) == [(10.0, 1.0), (12.0, 1.0)]


def test_few_calls_a_short_while_and_the_end_are_none() -> None:
    assert pauses([BUSY - 1] * STEADY + [0, BUSY]) == []
    assert pauses([BUSY] * (STEADY - 1) + [0, BUSY]) == []
    assert pauses([BUSY] * STEADY + [0, 0]) == []
    assert pauses([0, 0, BUSY, 0, BUSY]) == []


def test_a_pause_is_a_moment_of_the_run() -> None:
    data = LiveData()
    busy = Histogram.of([1000] * BUSY)
    for at in range(STEADY + 4):
        silent = STEADY <= at < STEADY + 2
        data.take(
            LatencySlice(
                series="match_order", start_s=at * 0.2, length_s=0.2, histogram=Histogram.empty() if silent else busy
            )
        )
    (moment,) = data.moments
    assert (moment.text, moment.kind) == ("no match_order for 0.4 s", MomentKind.EVENT)
    assert moment.time_s == STEADY * 0.2 and abs(moment.length_s - 0.4) < 1e-9
