"""What counters tell together: IPC, miss rates, stalls, rates per second. One table for live readings and for files.

Series of plain counters have perf's own names ("cache-misses"); what is computed of them has words ("cache miss
rate"). A counter of a part of the whole has that part behind a comma: "cycles, cpu_core", "cycles, CPU0".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tailflame.model.counters import CounterSeries
from tailflame.model.live import Reading, Status

PART = ", "
"""What stands between a counter and the part of the whole that it is of."""
SIMULATED = "simulated "
"""What every series of a simulation begins with."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """The sum of `above` by the sum of `below`."""

    name: str
    unit: str
    above: tuple[str, ...]
    below: tuple[str, ...]

    @property
    def scale(self) -> float:
        return 100.0 if self.unit == "%" else 1.0


@dataclass(frozen=True, slots=True)
class Rate:
    """`scale` times a counter by the seconds of its interval."""

    name: str
    unit: str
    counter: str
    scale: float = 1.0


def _simulated(name: str, above: tuple[str, ...], below: tuple[str, ...]) -> Ratio:
    return Ratio(SIMULATED + name, "%", tuple(SIMULATED + a for a in above), tuple(SIMULATED + b for b in below))


RATIOS = (
    Ratio("IPC", "", ("instructions",), ("cycles",)),
    Ratio("cache miss rate", "%", ("cache-misses",), ("cache-references",)),
    Ratio("L1d load miss rate", "%", ("L1-dcache-load-misses",), ("L1-dcache-loads",)),
    Ratio("LLC load miss rate", "%", ("LLC-load-misses",), ("LLC-loads",)),
    Ratio("branch miss rate", "%", ("branch-misses",), ("branches",)),
    Ratio("dTLB load miss rate", "%", ("dTLB-load-misses",), ("dTLB-loads",)),
    Ratio("iTLB load miss rate", "%", ("iTLB-load-misses",), ("iTLB-loads",)),
    Ratio("stalled cycles in front end", "%", ("stalled-cycles-frontend",), ("cycles",)),
    Ratio("stalled cycles in back end", "%", ("stalled-cycles-backend",), ("cycles",)),
    # Callgrind's names: a reference that misses L1 goes to the last level, LL.
    _simulated("I1 miss rate", ("I1mr",), ("Ir",)),
    _simulated("D1 miss rate", ("D1mr", "D1mw"), ("Dr", "Dw")),
    _simulated("LL miss rate", ("ILmr", "DLmr", "DLmw"), ("Ir", "Dr", "Dw")),
    _simulated("branch miss rate", ("Bcm", "Bim"), ("Bc", "Bi")),
)
RATES = (
    Rate("page faults", "/s", "page-faults"),
    Rate("context switches", "/s", "context-switches"),
    Rate("migrations", "/s", "cpu-migrations"),
    Rate("CPU by task clock", "%", "task-clock", scale=0.1),  # ms a second, of one CPU
    Rate(SIMULATED + "instructions", "/s", SIMULATED + "Ir"),
)
_BY_NAME = MappingProxyType({ratio.name: ratio for ratio in RATIOS})
COUNTS = frozenset(
    name for ratio in RATIOS for name in (*ratio.above, *ratio.below)
) | frozenset(rate.counter for rate in RATES)  # fmt: skip
"""The counters of which something is computed."""
_SUMMED = COUNTS | {
    # perf's software events, with their second names, and its general ones of processors
    "cpu-clock", "cs", "migrations", "faults", "minor-faults", "major-faults", "alignment-faults", "emulation-faults",
    "cgroup-switches", "bpf-output", "duration_time", "user_time", "system_time",
    "cpu-cycles", "ref-cycles", "bus-cycles", "branch-instructions", "msr/tsc/", "msr/aperf/", "msr/mperf/",
}  # fmt: skip
"""The counters whose sum over a run means something. Of other names nobody knows: they may be gauges."""


def computed_from(event: str) -> tuple[str, ...]:
    """What cannot be computed without this counter."""
    ratios = (ratio.name for ratio in RATIOS if event in (*ratio.above, *ratio.below))
    return (*ratios, *(rate.name for rate in RATES if rate.counter == event))


def unit_of_computed(name: str) -> str:
    """The unit of a computed series; "" for anything else."""
    return next((known.unit for known in (*RATIOS, *RATES) if known.name == name), "")


def derived(readings: Iterable[Reading]) -> list[Reading]:
    """What the readings of one interval tell together. A part of the whole is computed for itself.

    Where an input has no value, nor has the result, and for the same reason; where there was nothing to divide by, it
    is EMPTY. It has run as long as the input that ran least.
    """
    parts: dict[str, dict[str, Reading]] = {}
    for reading in readings:
        event, comma, part = reading.series.partition(PART)
        parts.setdefault(comma + part, {})[event] = reading
    found: list[Reading] = []
    for part, inputs in parts.items():
        for ratio in RATIOS:
            if all(name in inputs for name in (*ratio.above, *ratio.below)):
                found.append(_ratio(ratio, part, inputs))
        for rate in RATES:
            if rate.counter in inputs and inputs[rate.counter].length_s > 0:
                found.append(_rate(rate, part, inputs[rate.counter]))
    return found


def _ratio(ratio: Ratio, part: str, inputs: Mapping[str, Reading]) -> Reading:
    above, below = [inputs[name] for name in ratio.above], [inputs[name] for name in ratio.below]
    every = (*above, *below)
    first = every[0]
    status = _worst(every)
    value = None
    if status is Status.COUNTED:
        divisor = sum(reading.value or 0.0 for reading in below)
        if divisor > 0:
            value = ratio.scale * sum(reading.value or 0.0 for reading in above) / divisor
        else:
            status = Status.EMPTY
    return Reading(
        series=ratio.name + part,
        start_s=first.start_s,
        length_s=first.length_s,
        value=value,
        unit=ratio.unit,
        status=status,
        running=min(reading.running for reading in every),
        simulated=first.simulated,
    )


def _rate(rate: Rate, part: str, counter: Reading) -> Reading:
    return Reading(
        series=rate.name + part,
        start_s=counter.start_s,
        length_s=counter.length_s,
        value=None if counter.value is None else rate.scale * counter.value / counter.length_s,
        unit=rate.unit,
        status=counter.status,
        running=counter.running,
        simulated=counter.simulated,
    )


def _worst(readings: Iterable[Reading]) -> Status:
    found = {reading.status for reading in readings}
    order = (Status.NOT_SUPPORTED, Status.NOT_COUNTED, Status.EMPTY)
    return next((status for status in order if status in found), Status.COUNTED)


def whole_run(series: CounterSeries, name: str) -> float | None:
    """A ratio over the whole run (its counters summed up, then divided), or a known counter's sum; None for others.

    Only intervals in which every input was counted take part.
    """
    event, comma, part = name.partition(PART)
    ratio = _BY_NAME.get(event)
    if ratio is None:
        if event not in _SUMMED or name not in series.names:
            return None
        column = series.of(name)
        return float(column.value[column.counted].sum()) if column.counted.any() else None
    inputs = [n + comma + part for n in (*ratio.above, *ratio.below)]
    if any(n not in series.names for n in inputs):
        return None
    columns = [series.of(n) for n in inputs]
    common = columns[0].start_s[columns[0].counted]
    for column in columns[1:]:
        common = np.intersect1d(common, column.start_s[column.counted])
    sums = [float(c.value[c.counted & np.isin(c.start_s, common)].sum()) for c in columns]
    below = sum(sums[len(ratio.above) :])
    return ratio.scale * sum(sums[: len(ratio.above)]) / below if below > 0 else None
