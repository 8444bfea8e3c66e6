"""Histograms that bpftrace has printed (hist, lhist), as text and as JSON (-f json).

A bucket of `hist` covers a power of two, one of `lhist` a step. The first are exactly the buckets of an HdrHistogram
of 0 digits; the others are put where their upper end is, at 3 digits. So a percentile is the upper end of the bucket
that it lies in: what is not known is not made up. The lines: src/output.cpp of bpftrace.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from tailflame.errors import ParseError
from tailflame.model import Caution, Histogram, HistogramSeries, Recording
from tailflame.model.histogram import IN_NS
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head
from tailflame.units import count

_MAP = re.compile(r"(@\w*(?:\[.*\])?): ?$")
_BUCKET = re.compile(
    r"(?:\[(?P<one>-?\d+[KMGTPE]?)\]|\[(?P<low>-?\d+[KMGTPE]?), (?P<high>-?\d+[KMGTPE]?|\.\.\.)\)"
    r"|\(\.\.\., (?P<below>-?\d+[KMGTPE]?)[)\]]) +(?P<count>\d+) \|[@ ]*\|\s*$"
)
_JSON = re.compile(r'\{"type": ?"l?hist", ?"data": ?\{"@')
_SUFFIXES = {letter: 10 * power for power, letter in enumerate("KMGTPE", 1)}
_HISTOGRAMS = ("hist", "lhist")
_MAPS_LIMIT = 20_000
_BUCKETS_LIMIT = 100_000
_COUNT_LIMIT = 1 << 53
_VALUE_LIMIT = 1 << 62
_LINE_LIMIT = 512
_UNITS = (
    (re.compile(r"(?:^|_)(?:ns|nsecs?|nanos(?:econds)?)(?:$|_)"), "ns"),
    (re.compile(r"(?:^|_)(?:us|usecs?|micros(?:econds)?)(?:$|_)"), "µs"),
    (re.compile(r"(?:^|_)(?:ms|msecs?|millis(?:econds)?)(?:$|_)"), "ms"),
    (re.compile(r"(?:^|_)(?:secs?|seconds)(?:$|_)"), "s"),
    (re.compile(r"(?:^|_)(?:bytes|sizes?)(?:$|_)"), "bytes"),
)


class BpftraceHist:
    name = "bpftrace-hist"
    title = "bpftrace histograms (text, JSON)"

    def sniff(self, head: bytes, name: str) -> float:
        lines = decode_head(head).split("\n")
        if any(_JSON.match(line) for line in lines):
            return 0.9
        for line, following in pairwise(lines):
            if line.startswith("@") and _MAP.match(line) and _BUCKET.match(following):
                return 0.9
        return NO

    def load(self, source: Source) -> Recording:
        reading = _File(source)
        reading.read()
        return reading.recording(self.name)


BPFTRACE_HIST = BpftraceHist()


@dataclass(frozen=True, slots=True)
class Bucket:
    """`low` and `high` are both within; None where it has no end there."""

    low: int | None
    high: int | None
    count: int


def _json_histograms(line: str) -> dict[str, list[Bucket]]:
    """The histograms of one line by "@map[key]"; none where it is a line of anything else. ValueError if damaged."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(document, dict) or document.get("type") not in _HISTOGRAMS:
        return {}
    data = document.get("data")
    if not isinstance(data, dict):
        return {}
    found: dict[str, list[Bucket]] = {}
    for name, value in data.items():
        keyed = value.items() if isinstance(value, dict) else ((None, value),)
        for key, buckets in keyed:
            if isinstance(buckets, list):
                found[name if key is None else f"{name}[{key}]"] = [_json_bucket(bucket) for bucket in buckets]
    return found


def _json_bucket(bucket: object) -> Bucket:
    if not isinstance(bucket, dict):
        raise ValueError("a bucket of its histogram is no object")
    low, high, number = bucket.get("min"), bucket.get("max"), bucket.get("count")
    for value in (low, high):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise ValueError("a bucket of its histogram has a bound that is no whole number")
    if not isinstance(number, int) or isinstance(number, bool):
        raise ValueError("a bucket of its histogram has no count")
    return Bucket(low, high, number)


def _text_bucket(line: str) -> Bucket | None:
    match = _BUCKET.match(line)
    if match is None:
        return None
    number = int(match["count"])
    if match["one"] is not None:
        value = _value(match["one"])
        return Bucket(value, value, number)
    if match["below"] is not None:
        return Bucket(None, _value(match["below"]) - 1, number)
    high = None if match["high"] == "..." else _value(match["high"]) - 1
    return Bucket(_value(match["low"]), high, number)


def _value(text: str) -> int:
    """ "16K" is 16 * 1024, in `lhist` as well."""
    if text[-1] in _SUFFIXES:
        return int(text[:-1]) << _SUFFIXES[text[-1]]
    return int(text)


def unit_of(tag: str) -> str:
    """The unit that a map's name tells, "" where it tells none: "@ns", "@read_usecs[sshd]"."""
    name = tag.partition("[")[0].lstrip("@").lower()
    return next((unit for pattern, unit in _UNITS if pattern.search(name)), "")


@dataclass(slots=True)
class _Printed:
    """One map's histogram as printed; of several prints, all that is needed."""

    latest: dict[tuple[int | None, int | None], int]
    added: dict[tuple[int | None, int | None], int]
    grows: bool = True
    """No bucket has ever shrunk from one print to the next."""
    times: int = 1

    def again(self, buckets: dict[tuple[int | None, int | None], int]) -> None:
        self.grows = self.grows and all(buckets.get(at, 0) >= number for at, number in self.latest.items())
        self.latest = buckets
        for at, number in buckets.items():
            self.added[at] = self.added.get(at, 0) + number
        self.times += 1

    @property
    def whole(self) -> list[Bucket]:
        buckets = self.latest if self.grows else self.added
        return [Bucket(low, high, number) for (low, high), number in buckets.items()]


@dataclass(slots=True)
class _File:
    source: Source
    maps: dict[str, _Printed] = field(default_factory=dict)
    bad: list[tuple[int, str]] = field(default_factory=list)
    below_zero: int = 0
    beyond: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By map: how many values lie beyond the last bucket, and where that ends."""

    def read(self) -> None:
        tag: str | None = None
        buckets: list[Bucket] = []
        for number, line in enumerate(self.source.lines(), 1):
            try:
                if line.startswith("{"):
                    for name, found in _json_histograms(line).items():
                        self._take(name, found)
                    continue
                if len(line) > _LINE_LIMIT:
                    continue
                bucket = _text_bucket(line) if tag is not None else None
                if bucket is not None:
                    buckets.append(bucket)
                    continue
                if tag is not None and buckets:
                    self._take(tag, buckets)
                match = _MAP.match(line)
                tag, buckets = (match[1] if match else None), []
            except ValueError as problem:
                self.bad.append((number, str(problem)))
                tag, buckets = None, []
        if tag is not None and buckets:
            try:
                self._take(tag, buckets)
            except ValueError as problem:
                self.bad.append((number, str(problem)))
        if not self.maps:
            line_number, reason = self.bad[0] if self.bad else (0, "it holds no histogram of bpftrace")
            where = f", line {line_number}" if line_number else ""
            raise ParseError(
                f"{self.source.name}{where}: {reason}.",
                source=self.source.name,
                line=line_number or None,
                advice="bpftrace prints one with @ns = hist(…) or lhist(…).",
            )

    def _take(self, tag: str, found: list[Bucket]) -> None:
        if len(found) > _BUCKETS_LIMIT:
            raise ValueError(f"its histogram has more than {count(_BUCKETS_LIMIT)} buckets")
        buckets: dict[tuple[int | None, int | None], int] = {}
        for bucket in found:
            if not 0 <= bucket.count < _COUNT_LIMIT:
                raise ValueError("its histogram has an impossible count")
            if any(value is not None and abs(value) > 2 * _VALUE_LIMIT for value in (bucket.low, bucket.high)):
                raise ValueError("its histogram has a value of more than 64 bits")
            if bucket.low is not None and bucket.high is not None and bucket.low > bucket.high:
                raise ValueError("its histogram has a bucket that ends before it begins")
            if bucket.low is None and bucket.high is None:
                raise ValueError("its histogram has a bucket without bounds")
            buckets[bucket.low, bucket.high] = buckets.get((bucket.low, bucket.high), 0) + bucket.count
        if tag in self.maps:
            self.maps[tag].again(buckets)
        elif len(self.maps) < _MAPS_LIMIT:
            self.maps[tag] = _Printed(buckets, dict(buckets))
        else:
            raise ValueError(f"it holds more than {count(_MAPS_LIMIT)} histograms; the others are left out")

    def recording(self, format: str) -> Recording:
        units: dict[str, list[str]] = {}
        for tag in self.maps:
            units.setdefault(unit_of(tag), []).append(tag)
        times = [unit for unit in units if unit in IN_NS]
        if len(times) > 1:  # one axis for all of them
            units = {"ns": [tag for unit in times for tag in units[unit]]} | {
                unit: tags for unit, tags in units.items() if unit not in IN_NS
            }
        series = [self._series(unit, tags) for unit, tags in units.items()]
        series.sort(key=lambda one: (one.unit not in IN_NS, -sum(h.total for h in one.histograms)))
        return Recording(
            tool="bpftrace",
            format=format,
            source=self.source.name,
            results=tuple(series),
            warnings=tuple(self._cautions()),
        )

    def _series(self, unit: str, tags: list[str]) -> HistogramSeries:
        """bpftrace tells no times: each map is one histogram, of an unknown length."""
        histograms = []
        for tag in tags:
            own = unit_of(tag)
            histograms.append(self._histogram(tag, 1 if own == unit else round(IN_NS[own] / IN_NS[unit])))
        nothing = (0.0,) * len(tags)
        return HistogramSeries(
            tags=tuple(tags), start_s=nothing, length_s=nothing, histograms=tuple(histograms), unit=unit
        )

    def _histogram(self, tag: str, factor: int) -> Histogram:
        ends: dict[int, int] = {}
        exact = factor == 1
        for bucket in self.maps[tag].whole:
            if not bucket.count:
                continue
            if bucket.high is None:
                assert bucket.low is not None
                self.beyond[tag] = (bucket.count, bucket.low)
                end = bucket.low
                exact = False
            else:
                end = bucket.high
                exact = exact and _is_power_of_two(bucket)
            if end < 0:
                self.below_zero += bucket.count
                continue
            end = min((end + 1) * factor - 1, _VALUE_LIMIT)
            ends[end] = ends.get(end, 0) + bucket.count
        return Histogram.of(list(ends), list(ends.values()), digits=0 if exact else 3)

    def _cautions(self) -> Iterator[Caution]:
        steps = [_widest_step(printed.whole) for printed in self.maps.values()]
        if any(step is None for step in steps):
            yield Caution(
                "Values are known to a factor of two: each percentile is the upper end of a power-of-two bucket.",
                "A probe of Tailflame's own tells them to 0.8%.",
            )
        if known := [step for step in steps if step]:
            widest = max(known)
            yield Caution(f"Values are known to a step of {count(widest)}: each percentile is the upper end of a step.")
        for tag, (number, end) in list(self.beyond.items())[:3]:
            yield Caution(f"{count(number)} values of {tag} lie beyond its last step, at {count(end)} or far above.",
                          "Give lhist a higher end.")  # fmt: skip
        if self.below_zero:
            yield Caution(f"{count(self.below_zero)} values below 0 are left out.")
        if unknown := [tag for tag in self.maps if not unit_of(tag)]:
            names = ", ".join(dict.fromkeys(tag.partition("[")[0] for tag in unknown))
            yield Caution(f"Nothing tells the unit of {names}.", "A map's name can: @ns, @usecs, @read_ms.")
        growing = [tag for tag, printed in self.maps.items() if printed.times > 1 and printed.grows]
        if growing:
            yield Caution(f"{growing[0]} was printed {count(self.maps[growing[0]].times)} times and never shrank: "
                          "the last print is taken for the whole.")  # fmt: skip
        cleared = [tag for tag, printed in self.maps.items() if not printed.grows]
        if cleared:
            yield Caution(f"{cleared[0]} was printed {count(self.maps[cleared[0]].times)} times and cleared in "
                          "between: the prints are added up.")  # fmt: skip
        if self.bad:
            number, reason = self.bad[0]
            what = "1 line was" if len(self.bad) == 1 else f"{count(len(self.bad))} lines were"
            yield Caution(f"{what} left out (line {number}: {reason}).")


def _is_power_of_two(bucket: Bucket) -> bool:
    """[0], [1], [2, 3], [4, 7] ...; what lies below 0 is left out anyway."""
    if bucket.high is not None and bucket.high < 0:
        return True
    return bucket.low is not None and bucket.high is not None and (
        bucket.low == bucket.high == 0 or (bucket.low > 0 and bucket.low & (bucket.low - 1) == 0
                                           and bucket.high == 2 * bucket.low - 1)
    )  # fmt: skip


def _widest_step(buckets: list[Bucket]) -> int | None:
    """The step of linear buckets, 0 where there is none; None for powers of two."""
    used = [bucket for bucket in buckets if bucket.low is not None and bucket.high is not None]
    if all(_is_power_of_two(bucket) for bucket in buckets):
        return None
    return max((b.high - b.low + 1 for b in used if b.high is not None and b.low is not None), default=0)
