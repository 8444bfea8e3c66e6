"""What spoils a measurement, told when it is there: each with what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tailflame.model import Caution, Histogram, HistogramSeries, Recording
from tailflame.model.iteration import Iteration, StepState
from tailflame.units import count, nanoseconds, percent, seconds

FEW_VALUES = 1000
SHORT_S = 10.0
"""The method asks for so many values, and for so long a run."""
FEW_REPETITIONS = 5
MUCH_OVERHEAD = 0.05
"""Of the program's time, more than a profile may cost."""
_BUSY = 0.5
"""Of a processor, more than the measured program needs for itself."""
_STOLEN = 0.01
_FEW_LEVELS = 12
_COARSE_NS = 1000.0
_STALL = 20.0


def pitfalls(iteration: Iteration, recordings: Sequence[Recording]) -> tuple[Caution, ...]:
    """Of a whole measurement: the machine first, then the samples."""
    return (
        *of_machine(iteration.environment),
        *_of_repetitions(iteration),
        *_of_overhead(iteration, recordings),
        *_of_probes(recordings),
        *_of_latencies(recordings),
    )


def of_machine(environment: Mapping[str, str]) -> tuple[Caution, ...]:
    """What of the machine disturbs: is it fit to measure? Facts that nobody told say nothing."""
    found = []
    governor = environment.get("governor", "")
    if governor and governor != "performance":
        found.append(
            Caution(
                f"The processor changes its frequency as it likes (governor {governor}).",
                "sudo cpupower frequency-set -g performance",
            )
        )
    if environment.get("turbo") == "on":
        found.append(
            Caution(
                "Turbo is on: how fast the processor is depends on its temperature and on what else runs.",
                "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost (Intel: 1 to intel_pstate/no_turbo)",
            )
        )
    if environment.get("smt") == "on":
        found.append(
            Caution(
                "Two threads share each core (SMT): what runs beside the program slows it down.",
                "echo off | sudo tee /sys/devices/system/cpu/smt/control, or leave the sibling idle.",
            )
        )
    load, processors = _number(environment.get("load")), _number(environment.get("processors"))
    if load is not None and processors and load > _BUSY * processors:
        found.append(
            Caution(f"The machine was busy when it began: load {load:.1f} on {processors:.0f} processors.",
                    "Measure when nothing else runs.")
        )  # fmt: skip
    steal = _number(environment.get("steal"))
    if steal is not None and steal > _STOLEN:
        found.append(
            Caution(f"The hypervisor kept {percent(steal)} of the processors' time for others (steal).",
                    "Measure on a machine of one's own.")
        )  # fmt: skip
    if environment.get("virtual") == "yes":
        found.append(Caution("This is a virtual machine: its neighbours are in every figure.",
                             "Repeat more often, or measure on bare metal."))  # fmt: skip
    return tuple(found)


def _of_repetitions(iteration: Iteration) -> tuple[Caution, ...]:
    done: dict[str, int] = {}
    for step in iteration.steps:
        if step.state is StepState.DONE and step.repetition:
            done[step.name] = done.get(step.name, 0) + 1
    most = max((done[name] for name in ("cpu", "latency") if name in done), default=0)
    if 0 < most < FEW_REPETITIONS:
        return (
            Caution(
                f"Each step ran {count(most)} {'time' if most == 1 else 'times'}: how runs differ is hardly known.",
                f"repetitions = {FEW_REPETITIONS} in the plan, or more.",
            ),
        )
    return ()


def _of_overhead(iteration: Iteration, recordings: Sequence[Recording]) -> tuple[Caution, ...]:
    """What the CPU profile costs: told by how long the same work takes with and without it."""
    if not iteration.fixed_work:
        return ()
    lasted: dict[bool, list[float]] = {True: [], False: []}
    for recording in recordings:
        duration = recording.meta.duration_s
        if duration and recording.tool.startswith("perf") and recording.profile is not None:
            lasted[True].append(duration)
        elif duration and recording.histograms is not None and recording.profile is None:
            lasted[False].append(duration)
    if not lasted[True] or not lasted[False]:
        return ()
    share = float(np.median(lasted[True]) / np.median(lasted[False])) - 1
    if share <= MUCH_OVERHEAD:
        return ()
    return (
        Caution(
            f"The CPU profile makes the program {percent(share)} slower: more than {percent(MUCH_OVERHEAD, digits=0)}.",
            "Sample less often, or with frame pointers instead of DWARF.",
        ),
    )


def _of_probes(recordings: Sequence[Recording]) -> tuple[Caution, ...]:
    """Probes delay what they time, and the program with it: the dearest of them."""
    costs = [cost for recording in recordings if recording.live is not None for cost in recording.live.costs]
    dearest = max((cost for cost in costs if cost.share > MUCH_OVERHEAD), key=lambda cost: cost.share, default=None)
    if dearest is None:
        return ()
    return (
        Caution(
            f"The probe on {dearest.series} takes {percent(dearest.share)} of the program's time: more than "
            f"{percent(MUCH_OVERHEAD, digits=0)}.",
            "Compare it with probed runs alone, or probe functions that are called less often.",
        ),
    )


def _of_latencies(recordings: Sequence[Recording]) -> tuple[Caution, ...]:
    found: dict[str, Caution] = {}
    for recording in recordings:
        for series in (result for result in recording.results if isinstance(result, HistogramSeries)):
            timed = series.in_nanoseconds() or series
            for tag in timed.distinct_tags():
                for kind, caution in _of_histogram(tag or "the latency", timed.whole(tag)):
                    found.setdefault(kind, caution)
            lasted = (
                sum(timed.length_s[at] for at, t in enumerate(timed.tags) if t == timed.tags[0]) if timed.tags else 0
            )
            if 0 < lasted < SHORT_S:
                found.setdefault(
                    "short",
                    Caution(f"A run lasts {seconds(lasted)}: the method asks for {seconds(SHORT_S)}.",
                            "Let the program run longer."),
                )  # fmt: skip
        for warning in recording.warnings:
            if "warm-up" in warning.text:
                found.setdefault("warm-up", warning)
    return tuple(found.values())


def _of_histogram(name: str, histogram: Histogram) -> list[tuple[str, Caution]]:
    told = []
    if 0 < histogram.total < FEW_VALUES:
        told.append(
            ("few", Caution(f"{name} has {count(histogram.total)} values a run: p99 is one of ten.",
                            f"{FEW_VALUES:,} values or more."))
        )  # fmt: skip
    if histogram.total >= FEW_VALUES:
        used = np.flatnonzero(histogram.counts)
        low, _high = histogram.bounds()
        if len(used) < _FEW_LEVELS and float(low[used[-1]]) < _COARSE_NS * _FEW_LEVELS:
            told.append(
                ("timer", Caution(
                    f"{name} takes only {count(len(used))} different values: its clock is coarse beside what it times.",
                    "Time several calls together, or use a finer clock (rdtsc, CLOCK_MONOTONIC)."))
            )  # fmt: skip
        p99, worst = histogram.percentiles((99.0,))[0], histogram.maximum
        if p99 > 0 and worst > 1e6 and worst > _STALL * p99:
            told.append(
                ("omission", Caution(
                    f"The worst {name} is {nanoseconds(worst)}, p99 {nanoseconds(p99)}: if calls wait for the one"
                    " before, those that would have come meanwhile were never timed (coordinated omission).",
                    "Send at a fixed rate and time from when a call was due; or correct by the expected interval."))
            )  # fmt: skip
    return told


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
