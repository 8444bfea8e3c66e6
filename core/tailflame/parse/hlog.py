"""HdrHistogram interval logs (.hlog): one line per interval, `[Tag=t,]start,length,max,payload`.

Payloads are base64 of a big-endian header and a zlib stream, as Java's AbstractHistogram writes them. Read here
and not by the hdrh package: its log reader drops intervals stamped before the log's start, and others.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import Caution, Histogram, HistogramSeries, Meta, Recording
from tailflame.model.stacks import readonly
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head

_LINE = re.compile(
    r"\s*(?:Tag=([^,\s]*)[,\s]+)?(-?[\d.]+(?:[eE]-?\d+)?)[,\s]+([\d.]+(?:[eE]-?\d+)?)[,\s]+"
    r"(-?[\d.]+(?:[eE]-?\d+)?|NaN)[,\s]+([A-Za-z0-9+/=]+)\s*"
)
_START = re.compile(r"#\[StartTime: ([\d.]+)")
_BASE = re.compile(r"#\[BaseTime: ([\d.]+)")
_YEAR_S = 365 * 24 * 3600.0

_COOKIES = {  # without the word size of V0 and V1, which stands in bits 4 to 7
    0x1C849303: "V2",
    0x1C849304: "V2, compressed",
    0x1C849301: "V1",
    0x1C849302: "V1, compressed",
    0x1C849308: "V0",
    0x1C849309: "V0, compressed",
    0x0C72124E: "double",
    0x0C72124F: "double, compressed",
}
_PAYLOAD_LIMIT = 16 * 1024 * 1024
"""Most bytes of one interval's counts; 5 digits over the whole range of 64 bits are 8 million counts."""


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
        # Every payload begins with the cookie 0x1c8493, which is "HIST" in base64.
        if lines and all(_LINE.match(line) for line in lines[:-1] or lines) and ",HIST" in lines[0]:
            return 0.9
        return NO

    def load(self, source: Source) -> Recording:
        log = _Log(source)
        log.read()
        series = log.series()
        return Recording(
            tool="",
            format=self.name,
            source=source.name,
            results=(series,),
            meta=Meta(
                started_at=None if log.start_s is None else datetime.fromtimestamp(log.start_s, UTC),
                duration_s=max(map(sum, zip(series.start_s, series.length_s, strict=True))) - min(series.start_s),
            ),
            warnings=log.cautions(),
        )


HLOG = Hlog()


@dataclass(slots=True)
class _Log:
    source: Source
    start_s: float | None = None
    base_s: float | None = None
    tags: list[str] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    histograms: list[Histogram] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)
    """Line and reason of each line that could not be read."""

    def read(self) -> None:
        for number, text in enumerate(self.source.lines(), 1):
            if text.startswith("#"):
                if match := _START.match(text):
                    self.start_s = _seconds(match[1])
                elif match := _BASE.match(text):
                    self.base_s = _seconds(match[1])
            elif text and not text.isspace() and not text.startswith('"StartTimestamp"'):
                self._interval(number, text)
        if not self.histograms:
            line, reason = self.bad[0] if self.bad else (0, "it holds no interval")
            where = f", line {line}" if line else ""
            raise ParseError(
                f"{self.source.name}{where}: {reason}.",
                source=self.source.name,
                line=line or None,
                advice="Write the log with HdrHistogram 2.1.10 or later, or hdrhistogram for Rust, as V2.",
            )

    def series(self) -> HistogramSeries:
        """With starts in seconds since the epoch where the log tells its own start."""
        base = self.base_s
        if base is None:
            start = self.start_s
            # HistogramLogReader.java: stamps a year before the log's start can only be relative to it.
            base = start if start is not None and self.starts[0] < start - _YEAR_S else 0.0
        return HistogramSeries(
            tags=tuple(self.tags),
            start_s=tuple(base + s for s in self.starts),
            length_s=tuple(self.lengths),
            histograms=tuple(self.histograms),
        )

    def cautions(self) -> tuple[Caution, ...]:
        if not self.bad:
            return ()
        number, reason = self.bad[0]
        what = "1 interval was" if len(self.bad) == 1 else f"{len(self.bad):,} intervals were"
        return (Caution(f"{what} left out (line {number}: {reason}).", "The log may have been cut off."),)

    def _interval(self, number: int, line: str) -> None:
        match = _LINE.fullmatch(line)
        if match is None:
            self.bad.append((number, "it is not an interval of a histogram log"))
            return
        tag, start, length, _, payload = match.groups()
        try:
            histogram = decode(payload)
            begin, span = float(start), float(length)
        except ValueError as error:
            self.bad.append((number, str(error)))
            return
        self.tags.append(tag or "")
        self.starts.append(begin)
        self.lengths.append(span)
        self.histograms.append(histogram)


def decode(payload: str) -> Histogram:
    """The histogram in a base64 payload. ValueError, phrased for people, where there is none."""
    try:
        data = base64.b64decode(payload, validate=True)
    except binascii.Error:
        raise ValueError("its payload is cut off") from None
    kind = _kind(data)
    if kind == "V2, compressed":
        unpacker = zlib.decompressobj()
        try:
            (size,) = struct.unpack_from(">i", data, 4)
            data = unpacker.decompress(data[8 : 8 + size], _PAYLOAD_LIMIT)
        except (zlib.error, struct.error):
            raise ValueError("its payload is damaged") from None
        if not unpacker.eof:
            raise ValueError("its payload is cut off or far too large")
        kind = _kind(data)
    if kind != "V2":
        what = "holds fractions" if kind.startswith("double") else f"is of the old encoding {kind[:2]}"
        raise ValueError(f"its histogram {what}, which is not read yet")
    return _decode_v2(data)


def _kind(data: bytes) -> str:
    if len(data) < 8:
        raise ValueError("its payload is cut off")
    cookie = int.from_bytes(data[:4], "big")
    kind = _COOKIES.get(cookie) or _COOKIES.get(cookie & ~0xF0)
    if kind is None:
        raise ValueError("its payload is not a histogram")
    return kind


def _decode_v2(data: bytes) -> Histogram:
    try:
        _, length, offset, digits, lowest, highest, _ = struct.unpack_from(">iiiiqqd", data)
    except struct.error:
        raise ValueError("its payload is cut off") from None
    if not (0 <= digits <= 5 and lowest >= 1 and highest >= 2 * lowest):
        raise ValueError("its histogram has an impossible layout")
    if offset:
        raise ValueError("its histogram is shifted (normalizing index offset), which is not read")
    counts = _counts(data[40 : 40 + length], _most_counts(digits, lowest, highest))
    return Histogram(counts=readonly(counts, np.int64), lowest=lowest, digits=digits)


def _most_counts(digits: int, lowest: int, highest: int) -> int:
    """Length of the counts array for this layout, HdrHistogram's own arithmetic."""
    half = max(math.ceil(math.log2(2 * 10**digits)), 1) - 1
    covered = (2 << half) << math.floor(math.log2(lowest))
    buckets = 1
    while covered <= highest:
        covered <<= 1
        buckets += 1
    return (buckets + 1) << half


def _counts(data: bytes, most: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """ZigZag LEB128-64b9B: a negative number -n stands for n counts of zero."""
    counts: dict[int, int] = {}
    index = position = 0
    end = len(data)
    while position < end:
        byte = data[position]
        position += 1
        value = byte & 0x7F
        shift = 7
        while byte & 0x80:
            if position >= end:
                raise ValueError("its payload is cut off")
            byte = data[position]
            position += 1
            if shift == 56:  # the ninth byte carries eight bits
                value |= byte << 56
                break
            value |= (byte & 0x7F) << shift
            shift += 7
        number = (value >> 1) ^ -(value & 1)
        if number < 0:
            index -= number
        else:
            counts[index] = number
            index += 1
        if index > most:
            raise ValueError("its payload has more counts than its layout")
    array = np.zeros(max(counts, default=-1) + 1, dtype=np.int64)
    if counts:
        array[list(counts)] = list(counts.values())
    return array


def _seconds(text: str) -> float | None:
    """Seconds since the epoch; None where no calendar has such a time."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if seconds < 250_000_000_000 else None
