"""Interval logs of HdrHistogram: counts at exact positions, percentiles as the producer itself computed them."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stack_counts import DATA
from tailflame.errors import ParseError
from tailflame.model import HistogramSeries, Recording
from tailflame.parse import load
from tailflame.parse.hlog import HLOG, decode

SAMPLE = DATA / "hlog" / "trading-system"
HEADER = "#[Histogram log format version 1.3]\n"


def payload(values: dict[int, int], *, digits: int = 3, lowest: int = 1) -> str:
    """A V2 payload by the reference implementation."""
    histogram = HdrHistogram(lowest, 3_600_000_000_000, digits)
    for value, count in values.items():
        histogram.record_value(value, count)
    return str(histogram.encode().decode())


def read(folder: Path, text: str) -> Recording:
    path = folder / "demo.hlog"
    path.write_text(text)
    return load(path)


def series_of(recording: Recording) -> HistogramSeries:
    assert recording.histograms is not None
    return recording.histograms


def test_percentiles_are_those_that_the_program_printed() -> None:
    series = series_of(load(SAMPLE / "demo.hlog"))
    rows = (SAMPLE / "report.txt").read_text().split("latency percentiles (us)\n")[1].splitlines()[1:]
    assert len(rows) == len(series.distinct_tags()) == 4
    for row in rows:
        stage, *figures, total = row.split()
        whole = series.whole("" if stage == "total" else stage)
        assert [f"{v / 1000:.3f}" for v in (*whole.percentiles(), whole.maximum)] == figures
        assert whole.total == int(total)


def test_times_tags_and_length() -> None:
    recording = load(SAMPLE / "demo.hlog")
    series = series_of(recording)
    assert series.distinct_tags() == ("validation", "risk_check", "execution", "")
    assert recording.meta.started_at is not None
    assert recording.meta.started_at.timestamp() == pytest.approx(series.start_s[0], abs=0.001)
    assert recording.meta.duration_s == pytest.approx(5.01, abs=0.001)
    assert series.length_s[0] == 1.01


@settings(max_examples=30, deadline=None)
@given(
    values=st.dictionaries(st.integers(0, 3_600_000_000_000), st.integers(1, 2**40), min_size=1, max_size=40),
    digits=st.sampled_from([1, 2, 3, 3, 4]),
)
def test_counts_are_at_the_positions_of_the_reference(values: dict[int, int], digits: int) -> None:
    reference = HdrHistogram(1, 3_600_000_000_000, digits)
    for value, count in values.items():
        reference.record_value(value, count)
    histogram = decode(reference.encode().decode())
    counts = np.frombuffer(reference.counts, np.uint64).tolist()
    assert histogram.counts.tolist() == counts[: len(histogram.counts)]
    assert not any(counts[len(histogram.counts) :])
    low, high = histogram.bounds()
    for value in values:
        index = reference._counts_index_for(value)
        assert low[index] <= value <= high[index]


def test_an_empty_interval_is_an_empty_histogram(tmp_path: Path) -> None:
    series = series_of(read(tmp_path, f"{HEADER}0.5,1.0,0,{payload({})}\n1.5,1.0,0,{payload({7: 1})}\n"))
    assert [h.total for h in series.histograms] == [0, 1]


def test_every_way_to_write_a_line(tmp_path: Path) -> None:
    p = payload({1000: 3})
    series = series_of(
        read(
            tmp_path,
            f'#by hand\r\n"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\r\n'
            f"Tag=a,0.127,1.007,2.769,{p}\r\n\r\n -1.5 2e-1 1E3 {p}\r\n1.0,1.0,NaN,{p}",
        )
    )
    assert series.tags == ("a", "", "")
    assert series.start_s == (0.127, -1.5, 1.0)
    assert series.length_s == (1.007, 0.2, 1.0)
    assert series.whole("").total == 6


@pytest.mark.parametrize(
    ("comments", "stamp", "expected"),
    [
        ("", 5.0, 5.0),
        ("#[StartTime: 1700000000.0 (seconds since epoch)]\n", 5.0, 1700000005.0),
        ("#[StartTime: 1700000000.0 (seconds since epoch)]\n", 1700000005.0, 1700000005.0),
        ("#[StartTime: 1700000000.0]\n#[BaseTime: 1600000000.0]\n", 5.0, 1600000005.0),
        ("#[BaseTime: 0.0]\n#[StartTime: 1700000000.0]\n", 5.0, 5.0),
        ("#[StartTime: 1.2.3]\n", 5.0, 5.0),
        ("#[StartTime: 99999999999999999999]\n", 5.0, 5.0),
    ],
)
def test_the_clock_of_the_log(tmp_path: Path, comments: str, stamp: float, expected: float) -> None:
    series = series_of(read(tmp_path, f"{HEADER}{comments}{stamp},1.0,0,{payload({1: 1})}\n"))
    assert series.start_s == (expected,)


def test_an_interval_stamped_before_the_start_is_kept(tmp_path: Path) -> None:
    p = payload({1: 1})
    text = f"{HEADER}#[StartTime: 1700000000.0]\n1699999999.0,1,0,{p}\n1700000000.0,1,0,{p}\n"
    assert len(series_of(read(tmp_path, text)).histograms) == 2


def test_a_last_line_cut_off_is_left_out_and_told(tmp_path: Path) -> None:
    p = payload({n: n for n in range(1, 500, 7)})
    recording = read(tmp_path, f"{HEADER}0,1,0,{p}\n1,1,0,{p}\n2,1,0,{p[: len(p) // 2]}")
    assert len(series_of(recording).histograms) == 2
    (caution,) = recording.warnings
    assert caution.text.startswith("1 interval was left out (line 4: its payload is")


def bytes_of(cookie: int, body: bytes = b"") -> str:
    return base64.b64encode(struct.pack(">ii", cookie, len(body)) + body).decode()


def inner_bytes(
    *,
    cookie: int = 0x1C849303,
    offset: int = 0,
    digits: int = 3,
    lowest: int = 1,
    highest: int = 10**9,
    ratio: float = 1.0,
    counts: bytes = b"\2",
    length: int | None = None,
) -> bytes:
    size = len(counts) if length is None else length
    return struct.pack(">iiiiqqd", cookie, size, offset, digits, lowest, highest, ratio) + counts


def inner(**fields: Any) -> str:
    return bytes_of(0x1C849304, zlib.compress(inner_bytes(**fields)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (bytes_of(0x1C849302), "cut off"),
        (bytes_of(0x1C849348), "cut off"),
        (bytes_of(0x1C849348, struct.pack(">qqq", 1, 1000, 0)), "impossible layout"),
        (bytes_of(0x1C849331, struct.pack(">iiqqdQ", 0, 3, 1, 1000, 1.0, 5)), "cut off"),
        (bytes_of(0x0C72124F), "cut off"),
        (bytes_of(0x0C72124E, b"\0" * 8 + base64.b64decode(inner(ratio=-1.0))), "impossible layout"),
        (bytes_of(0x12345678), "is not a histogram"),
        (bytes_of(0x1C849304, b"nonsense"), "damaged"),
        ("HIST", "cut off"),
        ("HISTF", "cut off"),
        (inner(digits=9), "impossible layout"),
        (inner(lowest=0), "impossible layout"),
        (inner(lowest=2**61, highest=2**62), "impossible layout"),
        (inner(highest=1), "impossible layout"),
        (inner(length=7), "cut off"),
        (inner(length=-1), "cut off"),
        (inner(cookie=0x1C849311, counts=b"\0\5"), "counts of 0 bytes"),
        (inner(cookie=0x1C849321, counts=b"\xff\xff"), "impossible counts"),
        (inner(counts=b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"), "impossible counts"),
        (inner(counts=b"\x80"), "cut off"),
        (inner(counts=b"\xff" * 9), "more counts than its layout"),
        (inner(counts=bytes([1, 2] * 3) + b"\xfd\xff\xff\xff\xff\xff\xff\xff\xff"), "more counts than its layout"),
        (bytes_of(0x1C849304, zlib.compress(inner_bytes() + b"\2" * 80_000_000)), "far too large"),
    ],
)
def test_payloads_that_cannot_be_read_say_why(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        decode(text)
    with pytest.raises(ParseError, match=rf"demo\.hlog, line 2: .*{expected}") as told:
        read(tmp_path, f"{HEADER}0,1,0,{text}\n")
    assert told.value.line == 2


def test_a_log_without_intervals(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="it holds no interval"):
        read(tmp_path, HEADER)


class TestSniff:
    @pytest.mark.parametrize(
        "text",
        [
            "#[Logged with jHiccup]\n#[Histogram log format version 1.2]\n",
            '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n',
            f"0.1,1.0,2.0,{payload({1: 1})}\n",
            f"Tag=x,0.1,1.0,2.0,{payload({1: 1})}\n",
        ],
    )
    def test_histogram_logs(self, text: str) -> None:
        assert HLOG.sniff(text.encode(), "unknown") > 0.8

    @pytest.mark.parametrize("text", ["", "main;work 3\n", "1,2,3,4\n", "#[comment]\n1,2,3,abcd\n", "HIST\n"])
    def test_what_is_not(self, text: str) -> None:
        assert HLOG.sniff(text.encode(), "x.hlog") < 0
