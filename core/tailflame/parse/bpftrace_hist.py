"""Histograms that bpftrace has printed (hist, lhist) as latencies, or whatever else their unit says.

A bucket of `hist` covers a power of two, one of `lhist` a step. The first are exactly the buckets of an HdrHistogram
of 0 digits; the others are put where their upper end is, at 3 digits. So a percentile is the upper end of the bucket
that it lies in: what is not known is not made up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tailflame.model import Caution, Histogram, HistogramSeries
from tailflame.model.histogram import IN_NS
from tailflame.model.maps import Bucket
from tailflame.parse.bpftrace_output import LAST_POWER, VALUE_LIMIT, is_power_of_two
from tailflame.units import count

SERIES_LIMIT = 20_000
_UNITS = (
    (re.compile(r"(?:^|_)(?:ns|nsecs?|nanos(?:econds)?)(?:$|_)"), "ns"),
    (re.compile(r"(?:^|_)(?:us|usecs?|micros(?:econds)?)(?:$|_)"), "µs"),
    (re.compile(r"(?:^|_)(?:ms|msecs?|millis(?:econds)?)(?:$|_)"), "ms"),
    (re.compile(r"(?:^|_)(?:secs?|seconds)(?:$|_)"), "s"),
    (re.compile(r"(?:^|_)(?:bytes|sizes?)(?:$|_)"), "bytes"),
)


def unit_of(tag: str) -> str:
    """The unit that a map's name tells, "" where it tells none: "@ns", "@read_usecs[sshd]"."""
    name = tag.partition("[")[0].lstrip("@").lower()
    return next((unit for pattern, unit in _UNITS if pattern.search(name)), "")


@dataclass(frozen=True, slots=True)
class PrintedHistogram:
    """One map's histogram, or that of one of its keys. unit: "" where nothing tells it."""

    tag: str
    unit: str
    buckets: tuple[Bucket, ...]
    times: int = 1
    grows: bool = True
    told: bool = False
    """Whether a recipe tells what it is: it is printed over and over, and never cleared."""


@dataclass(slots=True)
class Histograms:
    """What becomes of the histograms of one file: `series()` first, then `cautions()`."""

    printed: list[PrintedHistogram]
    below_zero: int = 0
    beyond: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By map: how many values lie beyond the last bucket, and where that ends."""

    def series(self) -> list[HistogramSeries]:
        """One for each unit; all units of time share one. Latencies first."""
        units: dict[str, list[PrintedHistogram]] = {}
        for one in self.printed:
            units.setdefault(one.unit, []).append(one)
        times = [unit for unit in units if unit in IN_NS]
        if len(times) > 1:  # one axis for all of them
            units = {"ns": [one for unit in times for one in units[unit]]} | {
                unit: those for unit, those in units.items() if unit not in IN_NS
            }
        found = [self._series(unit, those) for unit, those in units.items()]
        return sorted(found, key=lambda one: (one.unit not in IN_NS, -sum(h.total for h in one.histograms)))

    def _series(self, unit: str, printed: list[PrintedHistogram]) -> HistogramSeries:
        """bpftrace tells no times: each map is one histogram, of an unknown length."""
        histograms = tuple(
            self._histogram(one, 1 if one.unit == unit else round(IN_NS[one.unit] / IN_NS[unit])) for one in printed
        )
        nothing = (0.0,) * len(printed)
        tags = tuple(one.tag for one in printed)
        return HistogramSeries(tags=tags, start_s=nothing, length_s=nothing, histograms=histograms, unit=unit)

    def _histogram(self, printed: PrintedHistogram, factor: int) -> Histogram:
        ends: dict[int, int] = {}
        exact = factor == 1
        for bucket in printed.buckets:
            if not bucket.count:
                continue
            if bucket.high is None:
                assert bucket.low is not None
                self.beyond[printed.tag] = (bucket.count, bucket.low)
                end = bucket.low
                exact = False
            else:
                end = bucket.high
                exact = exact and is_power_of_two(bucket)
            if end < 0:
                self.below_zero += bucket.count
                continue
            end = min((end + 1) * factor - 1, VALUE_LIMIT)
            ends[end] = ends.get(end, 0) + bucket.count
        return Histogram.of(list(ends), list(ends.values()), digits=0 if exact else 3)

    def cautions(self) -> Iterator[Caution]:
        steps = [_widest_step(one.buckets) for one in self.printed]
        if any(step is None for step in steps):
            yield Caution(
                "Values are known to a factor of two: each percentile is the upper end of a power-of-two bucket.",
                "A probe of Tailflame's own tells them to 0.8%.",
            )
        if known := [step for step in steps if step]:
            widest = max(known)
            yield Caution(f"Values are known to a step of {count(widest)}: each percentile is the upper end of a step.")
        for tag, (number, end) in list(self.beyond.items())[:3]:
            if end == LAST_POWER:
                yield Caution(f"Of {tag}, {count(number)} lie at {count(end)} or far above: hist tells no more.",
                              "Divide what is given to hist by 1000.")  # fmt: skip
                continue
            yield Caution(f"{count(number)} values of {tag} lie beyond its last step, at {count(end)} or far above.",
                          "Give lhist a higher end.")  # fmt: skip
        if self.below_zero:
            yield Caution(f"{count(self.below_zero)} values below 0 are left out.")
        if unknown := [one.tag for one in self.printed if not one.unit]:
            names = ", ".join(dict.fromkeys(tag.partition("[")[0] for tag in unknown))
            yield Caution(f"Nothing tells the unit of {names}.", "A map's name can: @ns, @usecs, @read_ms.")
        growing = [one for one in self.printed if one.times > 1 and one.grows and not one.told]
        if growing:
            yield Caution(f"{growing[0].tag} was printed {count(growing[0].times)} times and never shrank: "
                          "the last print is taken for the whole.")  # fmt: skip
        cleared = [one for one in self.printed if not one.grows]
        if cleared:
            yield Caution(f"{cleared[0].tag} was printed {count(cleared[0].times)} times and cleared in "
                          "between: the prints are added up.")  # fmt: skip


def _widest_step(buckets: tuple[Bucket, ...]) -> int | None:
    """The step of linear buckets, 0 where there is none; None for powers of two."""
    if all(is_power_of_two(bucket) for bucket in buckets):
        return None
    return max((b.high - b.low + 1 for b in buckets if b.high is not None and b.low is not None), default=0)
