"""Counters, rates and ratios over time: the readings of perf stat, of a simulation, of /proc."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tailflame.model.live import Reading, Status
from tailflame.model.stacks import Float64, Int32, UInt8, readonly

STATUSES = (Status.COUNTED, Status.NOT_SUPPORTED, Status.NOT_COUNTED, Status.EMPTY)
"""What a status column's numbers mean. They are stored: append only."""
_CODES = {status: code for code, status in enumerate(STATUSES)}


ELAPSED = "mean elapsed time"
"""How long the runs took that perf repeats by itself: an average also where its counts are the last run's."""


class Kept(StrEnum):
    """What is kept of several runs of one program. The words are stored."""

    EACH = "each"
    """The figures of each run."""
    MEAN = "mean"
    LAST = "last"
    """The last run's counts: perf 6.1 prints them where it means to print averages."""
    EITHER = "either"
    """The averages or the last run's: which, is not told."""


class CounterRecorder:
    """Takes readings one by one and holds them as columns: 37 bytes each."""

    def __init__(self) -> None:
        self._series = _Series()
        self._index, self._status = array("i"), array("B")
        self._start, self._length = array("d"), array("d")
        self._value, self._running = array("d"), array("d")

    def __len__(self) -> int:
        return len(self._index)

    def add(self, reading: Reading) -> None:
        value, code = math.nan, _CODES[reading.status]
        if reading.status is Status.COUNTED:
            if reading.value is not None and math.isfinite(reading.value):
                value = reading.value
            else:
                code = _CODES[Status.EMPTY]
        self._index.append(self._series.index_of(reading))
        self._start.append(reading.start_s)
        self._length.append(reading.length_s)
        self._value.append(value)
        self._running.append(min(max(reading.running, 0.0), 1.0))
        self._status.append(code)

    def series(self) -> CounterSeries:
        """As `CounterSeries.of_readings` says."""
        order = np.argsort(np.array(self._start, dtype=np.float64), kind="stable")

        def column(values: array[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
            return readonly(np.array(values, dtype=dtype)[order], dtype)

        return CounterSeries(
            names=tuple(self._series.names),
            units=tuple(self._series.units),
            simulated=tuple(self._series.simulated),
            series=column(self._index, np.int32),
            start_s=column(self._start, np.float64),
            length_s=column(self._length, np.float64),
            value=column(self._value, np.float64),
            running=column(self._running, np.float64),
            status=column(self._status, np.uint8),
        )


class Column(NamedTuple):
    """The readings of one series in the order of their starts."""

    start_s: Float64
    length_s: Float64
    value: Float64
    """NaN where there is none."""
    running: Float64
    """The share of the interval in which the counter ran, 0 to 1."""
    status: UInt8
    """Indices of STATUSES."""

    @property
    def counted(self) -> npt.NDArray[np.bool_]:
        """Which readings have a value."""
        counted: npt.NDArray[np.bool_] = self.status == _CODES[Status.COUNTED]
        return counted


@dataclass(frozen=True, eq=False)
class CounterSeries:
    """Readings over time as columns, one row per reading, in order of their starts.

    names, units, simulated: per series; a name stands once. Units: "%", "/s", "B", "ms", "" for a pure number.
    series: int32, index of the series. start_s, length_s: s, the source's clock (CLOCK_MONOTONIC of a live source,
    seconds since perf began of a file). value: NaN where status is not COUNTED. running: 0 to 1; below 1 the value is
    perf's estimate. status: uint8, index of STATUSES.
    runs: where it is above 1, the program was run so often. Then each reading is of one whole run, whose number, from 0
    on, is its start_s; or `kept` says what else is left of them. perf tells the number in its texts alone: runs is 0
    then, and the program was run several times all the same. spread: what perf prints behind "+-": the standard error
    of the runs' mean, in percent of the value that it prints; NaN where a series has none.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    simulated: tuple[bool, ...]
    series: Int32
    start_s: Float64
    length_s: Float64
    value: Float64
    running: Float64
    status: UInt8
    runs: int = 0
    kept: Kept = Kept.EACH
    spread: Float64 | None = None

    @classmethod
    def of_readings(cls, readings: Iterable[Reading]) -> CounterSeries:
        """Series in order of their first reading.

        A series is known by its name. Its unit is the first that is not empty; a reading of that name in another unit
        makes a series of its own, "CPU (ms)", and a simulated one beside a counted one makes "IPC (simulated)".
        """
        recorder = CounterRecorder()
        for reading in readings:
            recorder.add(reading)
        return recorder.series()

    def __len__(self) -> int:
        """How many readings there are."""
        return len(self.series)

    @cached_property
    def _rows(self) -> tuple[npt.NDArray[np.int64], ...]:
        """The rows of each series."""
        order = np.argsort(self.series, kind="stable")
        ends = np.searchsorted(self.series[order], np.arange(len(self.names)), side="right")
        return tuple(np.split(order, ends[:-1])) if self.names else ()

    def _index(self, name: str) -> int:
        try:
            return self.names.index(name)
        except ValueError:
            raise KeyError(name) from None

    def unit_of(self, name: str) -> str:
        """KeyError where there is no such series."""
        return self.units[self._index(name)]

    def is_simulated(self, name: str) -> bool:
        """Counted by a simulation and not by the machine. KeyError where there is no such series."""
        return self.simulated[self._index(name)]

    @property
    def repeated(self) -> bool:
        """Whether it is of several runs, be their number known or not."""
        return self.runs > 1 or self.kept is not Kept.EACH

    @property
    def by_run(self) -> bool:
        """Whether each reading is of one run of several, and not of an interval."""
        return self.runs > 1 and self.kept is Kept.EACH

    def kept_of(self, name: str) -> Kept | None:
        """What is kept of a series' runs; None where there is one. perf averages the elapsed time always, and with
        `--table` lists that of each run.
        """
        if not self.repeated:
            return None
        if name == ELAPSED and self.kept is not Kept.EACH:
            return Kept.EACH if len(self._rows[self._index(name)]) > 1 else Kept.MEAN
        return self.kept

    def spread_of(self, name: str) -> float:
        """perf's "+-" of a series, percent; NaN where it says nothing."""
        if self.spread is None:
            return math.nan
        found = self.spread[self._rows[self._index(name)]]
        return float(found[0]) if len(found) else math.nan

    def of(self, name: str) -> Column:
        """(start_s, length_s, value, running, status) of one series. KeyError where there is none."""
        rows = self._rows[self._index(name)]
        return Column(
            readonly(self.start_s[rows], np.float64),
            readonly(self.length_s[rows], np.float64),
            readonly(self.value[rows], np.float64),
            readonly(self.running[rows], np.float64),
            readonly(self.status[rows], np.uint8),
        )


@dataclass(slots=True)
class _Series:
    """The series met so far, index by name."""

    names: dict[str, int] = field(default_factory=dict)
    units: list[str] = field(default_factory=list)
    simulated: list[bool] = field(default_factory=list)
    known: dict[tuple[str, str, bool], int] = field(default_factory=dict)

    def index_of(self, reading: Reading) -> int:
        key = (reading.series, reading.unit, reading.simulated)
        index = self.known.get(key)
        if index is None:
            index = self.known[key] = self._place(reading)
        return index

    def _place(self, reading: Reading) -> int:
        what = "simulated" if reading.simulated else reading.unit or "number"
        name, attempt = reading.series, 1
        while (index := self.names.get(name)) is not None:
            known = self.units[index]
            if self.simulated[index] == reading.simulated and (not reading.unit or known in ("", reading.unit)):
                self.units[index] = known or reading.unit
                return index
            name = f"{reading.series} ({what})" if attempt == 1 else f"{reading.series} ({what} {attempt})"
            attempt += 1
        index = self.names[name] = len(self.names)
        self.units.append(reading.unit)
        self.simulated.append(reading.simulated)
        return index
