"""Counters over time in bounded memory: the least and the greatest value survive, and so does every gap."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tailflame.analyse.slots import Column, Merge, Slots, in_range
from tailflame.model.live import Reading, Status
from tailflame.model.stacks import Bool, Float64, UInt8

CAPACITY = 4096
_STATUS = tuple(Status)


@dataclass(frozen=True, slots=True, eq=False)
class CounterColumns:
    """One row per slot, in order. low, high, mean: NaN where nothing was counted; equal where the slot is one reading.

    running: the share of the time in which the counter ran. status: index into Status, in its order.
    """

    start_s: Float64
    end_s: Float64
    low: Float64
    high: Float64
    mean: Float64
    running: Float64
    status: UInt8

    def __len__(self) -> int:
        return len(self.start_s)

    @property
    def known(self) -> Bool:
        known: Bool = np.isfinite(self.mean)
        return known


class CounterTimeline:
    """The readings of one series."""

    def __init__(self, series: str, *, unit: str = "", capacity: int = CAPACITY) -> None:
        self.series, self.unit = series, unit
        self.version = 0
        self.readings = 0
        """Ever fed."""
        self.latest: Reading | None = None
        self.least_running = 1.0
        """Of all readings that have a value."""
        self._slots = Slots(
            capacity,
            low=Column(Merge.LEAST),
            high=Column(Merge.MOST),
            mean=Column(Merge.MEAN),
            running=Column(Merge.MEAN),
            status=Column(Merge.LEAST, dtype=np.uint8),  # counted, where anything was
        )

    def take(self, reading: Reading) -> None:
        if self._slots.full:
            status = self._slots["status"]
            self._slots.make_room(apart=status[1:] != status[:-1])
        value = math.nan if reading.value is None or reading.status is not Status.COUNTED else float(reading.value)
        if not math.isfinite(value):
            value = math.nan
        self._slots.add(
            start_s=reading.start_s,
            length_s=reading.length_s,
            low=value,
            high=value,
            mean=value,
            running=reading.running,
            status=_STATUS.index(reading.status),
        )
        self.unit = reading.unit or self.unit
        if self.latest is None or reading.start_s >= self.latest.start_s:
            self.latest = reading
        if not math.isnan(value):
            self.least_running = min(self.least_running, reading.running)
        self.readings += 1
        self.version += 1

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def simulated(self) -> bool:
        return self.latest is not None and self.latest.simulated

    @property
    def first_s(self) -> float | None:
        return float(self._slots["start_s"][0]) if len(self._slots) else None

    @property
    def last_s(self) -> float | None:
        return float(self._slots["end_s"].max()) if len(self._slots) else None

    def columns(self) -> CounterColumns:
        slots = self._slots
        return CounterColumns(
            start_s=slots["start_s"],
            end_s=slots["end_s"],
            low=slots["low"],
            high=slots["high"],
            mean=slots["mean"],
            running=slots["running"],
            status=slots["status"],
        )

    def at(self, time_s: float) -> tuple[float | None, Status, float] | None:
        """(value, status, share of running) of the slot at a time; None where there is none."""
        start, end = self._slots["start_s"], self._slots["end_s"]
        row = int(np.searchsorted(start, time_s, "right")) - 1
        if row < 0 or time_s > end[row] + max(end[row] - start[row], 1e-9):
            return None
        value = float(self._slots["mean"][row])
        status = _STATUS[int(self._slots["status"][row])]
        return (None if math.isnan(value) else value), status, float(self._slots["running"][row])

    def mean(self, start_s: float, end_s: float) -> float | None:
        """Over the slots of which more than half lies in [start_s, end_s), weighted with their time; None for none."""
        rows = in_range(self._slots["start_s"], self._slots["end_s"], start_s, end_s)
        values, seconds = self._slots["mean"][rows], self._slots["seconds"][rows]
        known = np.isfinite(values)
        if not known.any():
            return None
        weights = seconds[known]
        return float(np.average(values[known], weights=weights if weights.sum() > 0 else None))
