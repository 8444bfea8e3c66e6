"""From the recordings of a measurement to its figures: percentiles, CPU by function, counters, caches, memory, calls,
benchmarks. One recording per repetition of each kind; those of one kind are matched by what they hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from tailflame.analyse.counted import tells_amounts
from tailflame.analyse.counter_summary import counters_alone, summed_up
from tailflame.analyse.hotspots import hotspots
from tailflame.analyse.names import match_key
from tailflame.model import HistogramSeries, Recording
from tailflame.model.heap import Counted, words_of_peak
from tailflame.model.metrics import Better, Family, Metric

PERCENTILES = (50.0, 95.0, 99.0, 99.9)
_LEAST_BEYOND = 10
"""A percentile with fewer values beyond it says nothing: p99.9 of a thousand calls is one call."""
_LEAST_SHARE = 0.005
"""Functions with less of the CPU time on both sides are not told of."""
_MOST_FUNCTIONS = 60
_COUNTED = frozenset({Family.COUNTERS, Family.CACHES, Family.HEAP, Family.SYSCALLS})
_RATIOS = frozenset({"IPC"})
_LESS = {"IPC": Better.MORE}
_NEITHER = frozenset({"branches", "cache-references", "L1-dcache-loads", "LLC-loads", "dTLB-loads", "iTLB-loads"})


def metrics_of(recordings: Iterable[Recording], *, fixed_work: bool) -> tuple[Metric, ...]:
    """All figures of a measurement, in the order of families.

    fixed_work: each run does the same work, however long it takes. Otherwise it ends by the clock, and a faster program
    does more, and more of one part than of another: then plain counts (allocations, calls, instructions) and shares of
    counts (miss rates) are shown, but neither better nor worse.
    """
    found: dict[tuple[Family, str], list[Metric]] = {}
    for recording in recordings:
        for metric in _of_one(recording):
            counts = (metric.unit == "" and metric.key not in _RATIOS) or metric.amounts
            if not fixed_work and metric.family in _COUNTED and counts:
                metric = replace(metric, better=Better.NEITHER)
            found.setdefault((metric.family, metric.key), []).append(metric)
    merged = [_together(parts) for parts in found.values()]
    order = list(Family)
    return tuple(sorted(merged, key=lambda metric: order.index(metric.family)))


def _of_one(recording: Recording) -> list[Metric]:
    metrics: list[Metric] = []
    for series in (result for result in recording.results if isinstance(result, HistogramSeries)):
        metrics += _percentiles(series)
    if recording.profile is not None and not is_counted(recording):
        metrics += _functions(recording)
    if counters_alone(recording):
        metrics += _counters(recording)
    if recording.costs is not None:
        metrics += _caches(recording)
    if recording.heap is not None:
        metrics += _heap(recording)
    if recording.syscalls is not None:
        metrics += _syscalls(recording)
    metrics += _benchmarks(recording)
    return metrics


def _together(parts: Sequence[Metric]) -> Metric:
    errors = [error for part in parts for error in part.errors]
    values = tuple(value for part in parts for value in part.values)
    amounts = tuple(amount for part in parts for amount in part.amounts)
    return replace(parts[0], values=values, amounts=amounts, errors=tuple(errors) if len(errors) == len(values) else ())


def is_counted(recording: Recording) -> bool:
    """Whether its profile is of amounts that were counted, and not of CPU time that was sampled."""
    profile = recording.profile
    return profile is not None and bool(profile.events) and tells_amounts(profile.events[0])


def _percentiles(series: HistogramSeries) -> list[Metric]:
    metrics = []
    series = series.in_nanoseconds() or series
    for tag in series.distinct_tags():
        histogram = series.whole(tag)
        total = histogram.total
        for percentile in PERCENTILES:
            if total * (1 - percentile / 100) < _LEAST_BEYOND:
                continue
            value = float(histogram.percentiles((percentile,))[0])
            name = f"p{percentile:g} {tag}".strip()
            metrics.append(
                Metric(family=Family.LATENCY, key=name, unit=series.unit, better=Better.LESS, values=(value,))
            )
    return metrics


def _functions(recording: Recording) -> list[Metric]:
    """Shares of the first event's samples, in percent, by function; with the error of counting samples."""
    profile = recording.profile
    assert profile is not None
    table = hotspots(profile, inlines=False)
    whole = table.total or 1.0
    shares: dict[str, float] = {}
    for name, weight in zip(table.key, table.self_weight.tolist(), strict=True):
        key = match_key(name)
        shares[key] = shares.get(key, 0.0) + weight
    heaviest = sorted(shares.items(), key=lambda item: -item[1])[: 4 * _MOST_FUNCTIONS]
    samples = max(table.samples, 1.0)
    return [
        Metric(
            family=Family.CPU,
            key=name,
            unit="%",
            better=Better.LESS,
            values=(100 * weight / whole,),
            errors=(100 * float(np.sqrt(weight / whole * (1 - weight / whole) / samples)),),
            scaled=True,
        )
        for name, weight in heaviest
        if weight > 0
    ]


def _counters(recording: Recording) -> list[Metric]:
    series = recording.counters
    assert series is not None
    metrics = []
    for figure in summed_up(series):
        if not figure.counted:
            continue
        plain = figure.name.partition(", ")[0]
        better = _LESS.get(plain, Better.NEITHER if plain in _NEITHER or plain.startswith("msr/") else Better.LESS)
        values = figure.runs or (figure.value,)
        metrics.append(Metric(family=Family.COUNTERS, key=figure.name, unit=figure.unit, better=better, values=values))
    return metrics


def _caches(recording: Recording) -> list[Metric]:
    costs = recording.costs
    assert costs is not None
    if costs.real:
        return []
    totals = dict(zip(costs.events, costs.totals.tolist(), strict=True))
    metrics = [
        Metric(family=Family.CACHES, key=name, unit="", better=Better.LESS, values=(float(value),), errors=(0.0,))
        for name, value in totals.items()
        if name == "Ir" or "m" in name
    ]
    for title, above, below in (
        ("I1 miss rate", ("I1mr",), ("Ir",)),
        ("D1 miss rate", ("D1mr", "D1mw"), ("Dr", "Dw")),
        ("LL miss rate", ("ILmr", "DLmr", "DLmw"), ("Ir", "Dr", "Dw")),
        ("branch misprediction rate", ("Bcm", "Bim"), ("Bc", "Bi")),
    ):
        divisor = sum(totals.get(name, 0) for name in below)
        if divisor and all(name in totals for name in (*above, *below)):
            amount = float(sum(totals[name] for name in above))
            metrics.append(_share(Family.CACHES, title, amount, divisor, errors=(0.0,)))
    return metrics


def _heap(recording: Recording) -> list[Metric]:
    heap = recording.heap
    assert heap is not None
    facts = heap.facts
    told = (
        (words_of_peak(heap.counted), facts.peak_stacks if heap.counted is Counted.STACKS else facts.peak, "B"),
        ("allocations", facts.allocations, ""),
        ("temporary allocations", facts.temporary, ""),
        ("leaked", facts.leaked, "B"),
        ("peak RSS", facts.peak_rss, "B"),
    )
    metrics = [
        Metric(family=Family.HEAP, key=name, unit=unit, better=Better.LESS, values=(float(value),))
        for name, value, unit in told
        if value is not None
    ]
    if facts.temporary is not None and facts.allocations:
        metrics.append(_share(Family.HEAP, "temporary share", float(facts.temporary), facts.allocations))
    return metrics


def _share(family: Family, key: str, amount: float, whole: float, errors: tuple[float, ...] = ()) -> Metric:
    values = (100 * amount / whole,)
    return Metric(family=family, key=key, unit="%", better=Better.LESS, values=values, errors=errors, amounts=(amount,))


def _syscalls(recording: Recording) -> list[Metric]:
    trace = recording.syscalls
    assert trace is not None
    names: tuple[str, ...] = trace.names
    if len(trace):
        calls = np.bincount(trace.call, minlength=len(names)).tolist()
        errors = np.bincount(trace.call[trace.error >= 0], minlength=len(names)).tolist()
    elif trace.sums:
        names, calls, errors = trace.sums[0].names, trace.sums[0].calls.tolist(), trace.sums[0].errors.tolist()
    else:
        return []
    metrics = [
        Metric(family=Family.SYSCALLS, key=name, unit="", better=Better.LESS, values=(float(count),))
        for name, count in zip(names, calls, strict=True)
        if count
    ]
    metrics.append(
        Metric(family=Family.SYSCALLS, key="all calls", unit="", better=Better.LESS, values=(float(sum(calls)),))
    )
    metrics.append(
        Metric(family=Family.SYSCALLS, key="errors", unit="", better=Better.LESS, values=(float(sum(errors)),))
    )
    return metrics


def _benchmarks(recording: Recording) -> list[Metric]:
    if not recording.benchmarks:
        return []
    return [
        Metric(
            family=Family.BENCHMARKS,
            key=benchmark.name,
            unit="ns",
            better=Better.LESS,
            values=(benchmark.median.point,),
            errors=(benchmark.median.error,),
        )
        for benchmark in recording.benchmarks[0].benchmarks
    ]


def chosen_functions(before: Sequence[Metric], after: Sequence[Metric]) -> frozenset[str]:
    """The functions that are worth a row: those with some share of the time on either side, the heaviest of them."""
    share: dict[str, float] = {}
    for metric in (*before, *after):
        if metric.family is Family.CPU and metric.values:
            share[metric.key] = max(share.get(metric.key, 0.0), float(np.mean(metric.values)))
    heaviest = sorted((name for name, value in share.items() if value >= 100 * _LEAST_SHARE), key=lambda n: -share[n])
    return frozenset(heaviest[:_MOST_FUNCTIONS])
