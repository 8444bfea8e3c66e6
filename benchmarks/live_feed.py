"""What a busy live run tells, made up but shaped like one: 6 sources, 12 plots, 10 intervals a second."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tailflame.model.histogram import Histogram
from tailflame.model.live import Cost, LatencySlice, Reading, StageSlice, Status, Update

RATE = 10
SERIES = ("order_book::match_order", "risk::check", "validation_us")
COUNTERS = (
    ("IPC", ""), ("cache miss rate", "%"), ("branch miss rate", "%"), ("LLC load miss rate", "%"),
    ("context switches", "/s"), ("page faults", "/s"), ("CPU", "%"), ("RSS", "B"), ("run-queue wait", "ns"),
)  # fmt: skip
_KINDS = 64


class Feed:
    """The updates of the `at`-th tenth of a second, starting at `start_s`."""

    def __init__(self, *, calls: int = 4000, start_s: float = 1000.0, seed: int = 7) -> None:
        self._random = np.random.default_rng(seed)
        self._start_s = start_s
        self._histograms = {
            name: [self._interval(calls, 1 + at) for _ in range(_KINDS)] for at, name in enumerate(SERIES)
        }

    def _interval(self, calls: int, slower: int) -> Histogram:
        values = self._random.lognormal(9.5 + 0.4 * slower, 0.4, calls)
        values[: max(calls // 500, 1)] *= self._random.uniform(3, 30)
        return Histogram.of(values.astype(np.int64), digits=2)

    def updates(self, at: int) -> Iterator[Update]:
        random, start, length = self._random, self._start_s + at / RATE, 1 / RATE
        for name in SERIES:
            which = int(random.integers(_KINDS))
            yield LatencySlice(series=name, start_s=start, length_s=length, histogram=self._histograms[name][which])
        noise = random.normal(1.0, 0.05, len(COUNTERS))
        for (name, unit), share in zip(COUNTERS, noise.tolist(), strict=True):
            dead = name == "LLC load miss rate"
            value = {"": 2.2, "%": 3.0, "/s": 150.0, "B": 3e7, "ns": 4e4}[unit] * share
            yield Reading(
                series=name,
                start_s=start,
                length_s=length,
                value=None if dead else value,
                unit=unit,
                status=Status.NOT_SUPPORTED if dead else Status.COUNTED,
                running=0.43 if name == "cache miss rate" else 1.0,
            )
        yield StageSlice(
            series="total_us", stages=("validation", "risk check", "execution"), start_s=start, length_s=length,
            events=400, sums_ns=(400 * 4e3, 400 * 7e3 * float(noise[0]), 400 * 9e3), tail_events=4,
            tail_sums_ns=(4 * 5e3, 4 * 9e3, 4 * 140e3),
        )  # fmt: skip
        yield Cost(series=SERIES[0], floor_ns=1100, per_call_ns=2300, calls_per_s=40_000, share=0.09)
