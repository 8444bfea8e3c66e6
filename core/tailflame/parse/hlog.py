"""HdrHistogram interval logs (.hlog): one line per interval, `[Tag=t,]start,length,max,payload`.

Read here and not by the hdrh package, whose log reader drops intervals stamped before the log's start, old encodings,
negative stamps and those with an exponent. What Java's HistogramLogReader keeps is kept:
https://github.com/HdrHistogram/HdrHistogram/blob/master/src/main/java/org/HdrHistogram/HistogramLogReader.java
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import Caution, Histogram, HistogramSeries, Meta, Recording
from tailflame.model.buckets import TOP
from tailflame.parse import hdr_payload
from tailflame.parse.hdr_payload import Payload
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head

_NUMBER = r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|NaN|Infinity)"
_LINE = re.compile(
    rf"\s*(?:Tag=([^, \r\n]*)[,\s]+)?({_NUMBER})[,\s]+({_NUMBER})[,\s]+{_NUMBER}[,\s]+"
    r"([A-Za-z0-9+/=]+)(?:[,\s].*)?"
)
_COMMENT = re.compile(rf"#\[(StartTime|BaseTime):[ ,]({_NUMBER})(?![\w.])")
_LEGEND = '"StartTimestamp"'
_YEAR_S = 365 * 24 * 3600.0
_CALENDAR_S = 250_000_000_000
"""No calendar of Python has later times, seconds since the epoch."""

_LATEST_S = 1e11
"""No stamp is later: three thousand years."""
_SCALES = ((1, "ns"), (10**3, "thousandths"), (10**6, "millionths"), (10**9, "billionths"))
"""In which fractions a log with fractions is shown: the coarsest that keeps its digits. Whole ones are taken as
nanoseconds, as in every other log."""


class Hlog:
    name = "hlog"
    title = "HdrHistogram logs (.hlog)"

    def sniff(self, head: bytes, name: str) -> float:
        text = decode_head(head)
        if text.startswith("#[") and "Histogram log format version" in text:
            return 0.95
        if '"StartTimestamp","Interval_Length"' in text:
            return 0.95
        lines = [line for line in text.split("\n")[:20] if line and not line.startswith(("#", '"'))]
        # Every payload begins with the cookie 0x1c8493, or a DoubleHistogram's 0x0c72124f: "HIST" or "DHIST" in base64.
        if lines and all(_LINE.match(line) for line in lines[:-1] or lines) and re.search("[, ]D?HIST", lines[0]):
            return 0.9
        return NO

    def load(self, source: Source) -> Recording:
        log = _Log(source)
        log.read()
        series, cautions = log.series()
        start_s = log.clock.start_s
        return Recording(
            tool="",
            format=self.name,
            source=source.name,
            results=(series,),
            meta=Meta(
                started_at=None if not log.clock.told else datetime.fromtimestamp(start_s, UTC),
                duration_s=max(map(sum, zip(series.start_s, series.length_s, strict=True))) - min(series.start_s),
            ),
            warnings=(*log.cautions(), *cautions),
        )


HLOG = Hlog()


@dataclass(slots=True)
class LogClock:
    """What the stamps of a log mean: seconds since the epoch, or since its start. Fed with its lines in order."""

    start_s: float = 0.0
    """The log's start; of the first interval where no comment tells it."""
    told: bool = False
    """Whether a comment told the start."""
    _started: bool = False
    _base_s: float | None = None

    def comment(self, line: str) -> None:
        """Takes `#[StartTime: 1441812279.474 (seconds since epoch), ...]` and `#[BaseTime: ...]`, nothing else."""
        match = _COMMENT.match(line)
        if match is None:
            return
        seconds = float(match[2])
        if not abs(seconds) < _CALENDAR_S:
            return
        if match[1] == "BaseTime":
            self._base_s = seconds
        else:
            self.start_s, self.told, self._started = seconds, True, True

    def absolute(self, stamp_s: float) -> float:
        """Where an interval with this stamp begins: seconds since the epoch where the log tells its own start."""
        if not self._started:
            self.start_s, self._started = stamp_s, True
        if self._base_s is None:
            # HistogramLogReader.java: a first stamp a year before the log's start can only be relative to it.
            self._base_s = self.start_s if stamp_s < self.start_s - _YEAR_S else 0.0
        return stamp_s + self._base_s


def read_interval(line: str, *, fraction_ns: float | None = None) -> tuple[str, float, float, Histogram]:
    """(tag, stamp in s as written, length in s, histogram) of one line of a log; the tag is "" where there is none.

    fraction_ns: what 1.0 of a DoubleHistogram is in ns; without it, fractions are refused.
    ValueError, phrased for people, where the line is not such an interval or is cut off. Lines that begin with `#` or
    `"` and empty ones are none: `is_interval` says so, and LogClock takes them.
    """
    tag, start, length, payload = _interval(line)
    if payload.ratio is None:
        return tag, start, length, payload.histogram
    if fraction_ns is None:
        raise ValueError("its histogram holds fractions, of a unit that the log does not tell")
    return tag, start, length, payload.histogram.rescaled(payload.ratio * fraction_ns)


def is_interval(line: str) -> bool:
    """Whether a line is meant as an interval: not a comment, the legend or empty."""
    return bool(line.strip()) and not line.startswith(("#", _LEGEND))


def decode(payload: str) -> Histogram:
    """The histogram of integers in a base64 payload. ValueError, phrased for people, where there is none."""
    decoded = hdr_payload.decode(payload)
    if decoded.ratio is not None:
        raise ValueError("its histogram holds fractions, of a unit that the log does not tell")
    return decoded.histogram


@dataclass(slots=True)
class _Log:
    source: Source
    clock: LogClock = field(default_factory=LogClock)
    tags: list[str] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    payloads: list[Payload] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)
    """Line and reason of each line that could not be read."""

    def read(self) -> None:
        for number, text in enumerate(self.source.lines(), 1):
            if text.startswith("#"):
                self.clock.comment(text)
            elif is_interval(text):
                self._take(number, text)
        if not self.payloads:
            line, reason = self.bad[0] if self.bad else (0, "it holds no interval")
            where = f", line {line}" if line else ""
            raise ParseError(
                f"{self.source.name}{where}: {reason}.",
                source=self.source.name,
                line=line or None,
                advice="Write the log with HdrHistogram for Java, C, Rust, Go or Python.",
            )

    def _take(self, number: int, line: str) -> None:
        try:
            tag, start, length, payload = _interval(line)
        except ValueError as error:
            self.bad.append((number, str(error)))
            return
        self.tags.append(tag)
        self.starts.append(self.clock.absolute(start))
        self.lengths.append(length)
        self.payloads.append(payload)

    def series(self) -> tuple[HistogramSeries, tuple[Caution, ...]]:
        """With what is to be said of its values."""
        if all(payload.ratio is None for payload in self.payloads):
            return self._series(tuple(payload.histogram for payload in self.payloads), "ns"), ()
        scale, unit = _scale(self.payloads)
        histograms = tuple(p.histogram.rescaled((p.ratio or 1.0) * scale) for p in self.payloads)
        shown = "rounded to whole ones" if scale == 1 else f"shown in {unit} of it"
        caution = Caution(
            f"The histograms hold fractions, of a unit that the log does not tell: values are {shown}, "
            f"at {histograms[0].digits} significant digits.",
            "Log whole nanoseconds (Histogram, not DoubleHistogram) to have exact values and their unit.",
        )
        return self._series(histograms, unit), (caution,)

    def _series(self, histograms: tuple[Histogram, ...], unit: str) -> HistogramSeries:
        return HistogramSeries(
            tags=tuple(self.tags),
            start_s=tuple(self.starts),
            length_s=tuple(self.lengths),
            histograms=histograms,
            unit=unit,
        )

    def cautions(self) -> tuple[Caution, ...]:
        if not self.bad:
            return ()
        number, reason = self.bad[0]
        what = "1 interval was" if len(self.bad) == 1 else f"{len(self.bad):,} intervals were"
        return (Caution(f"{what} left out (line {number}: {reason}).", "The log may have been cut off."),)


def _interval(line: str) -> tuple[str, float, float, Payload]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("it is not an interval of a histogram log")
    tag, start, length, payload = match.groups()
    return tag or "", _finite(start), _finite(length), hdr_payload.decode(payload)


def _finite(text: str) -> float:
    """A stamp; one that was never set (NaN), or of no time at all, is 0, rather than that its interval is lost."""
    seconds = float(text)
    return seconds if abs(seconds) < _LATEST_S else 0.0


def _scale(payloads: list[Payload]) -> tuple[int, str]:
    """The coarsest of _SCALES in which the smallest value keeps its digits, and the largest fits."""
    used = [payload for payload in payloads if payload.histogram.counts[1:].any()]
    if not used:
        return _SCALES[0]
    smallest = min(_smallest(payload.histogram) * (payload.ratio or 1.0) for payload in used)
    largest = max(payload.histogram.maximum * (payload.ratio or 1.0) for payload in used)
    digits = max(payload.histogram.digits for payload in used)
    fitting = [pair for pair in _SCALES if pair[0] * largest < TOP / 2] or [_SCALES[0]]
    return next((pair for pair in fitting if smallest * pair[0] >= 10**digits), fitting[-1])


def _smallest(histogram: Histogram) -> int:
    """The lowest value of the lowest bucket in use above that of 0."""
    used = np.flatnonzero(histogram.counts)
    return int(histogram.layout.lows(used[used > 0][:1])[0])
