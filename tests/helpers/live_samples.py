"""Live data for tests of the widgets that show it."""

from __future__ import annotations

from tailflame.analyse.live_data import LiveData
from tailflame.model.histogram import Histogram
from tailflame.model.live import Cost, LatencySlice, Reading, StageSlice, Status

START_S = 1000.0


def latency(
    at: float, *values: int, series: str = "match_order", times: int = 200, length_s: float = 1.0
) -> LatencySlice:
    histogram = Histogram.of(values, [times] * len(values), digits=2)
    return LatencySlice(series=series, start_s=START_S + at, length_s=length_s, histogram=histogram)


def reading(
    at: float,
    series: str,
    value: float | None,
    *,
    unit: str = "",
    status: Status = Status.COUNTED,
    running: float = 1.0,
) -> Reading:
    return Reading(
        series=series, start_s=START_S + at, length_s=1.0, value=value, unit=unit, status=status, running=running
    )


def stages(at: float) -> StageSlice:
    return StageSlice(
        series="total_us", stages=("validation", "execution"), start_s=START_S + at, length_s=1.0, events=100,
        sums_ns=(4e5, 6e5), tail_events=1, tail_sums_ns=(5e3, 9e4),
    )  # fmt: skip


def live_data(seconds: int = 30, *, slow_from: int | None = None, factor: float = 1.0) -> LiveData:
    """Two series of latencies, three counters of which one is dead, stages, and what the probe costs."""
    data = LiveData()
    for at in range(seconds):
        slow = 10 if slow_from is not None and at >= slow_from else 1
        data.take(latency(at, *(int(v * factor) for v in (10_000, 20_000, 50_000 * slow))))
        data.take(latency(at, 3_000, series="validation_us", times=20))
        data.take(reading(at, "IPC", 0.8 if slow > 1 else 2.4))
        data.take(reading(at, "cache miss rate", 3.0, unit="%", running=0.43))
        data.take(reading(at, "LLC load miss rate", None, unit="%", status=Status.NOT_SUPPORTED))
        data.take(stages(at))
    data.take(Cost(series="match_order", floor_ns=1100, per_call_ns=2300, calls_per_s=600, share=0.02, lost=7))
    return data
