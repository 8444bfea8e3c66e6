"""Percentile distributions of Java, C, Python and wrk2: each printed row comes out as it was printed."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stack_counts import DATA
from tailflame.errors import ParseError
from tailflame.model import Histogram, HistogramSeries, Recording
from tailflame.parse import load
from tailflame.parse.hgrm import HGRM
from tailflame.report import hgrm

JAVA = DATA / "hdrhistogram" / "2.2.2"
SHAPES = [
    "distribution.hgrm", "distribution-1-tick.hgrm", "distribution.csv", "coarse-distribution.hgrm", "processed.hgrm",
    "c.hgrm", "c.csv", "python.hgrm", "python.csv", "wrk2.txt",
]  # fmt: skip
PER_MS = {"ms": 1, "µs": 1_000, "ns": 1_000_000}
HEAD = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n"
LAST = "   1.000 1.000000000000 5\n"


def series_of(recording: Recording) -> HistogramSeries:
    assert recording.histograms is not None
    return recording.histograms


def printed_rows(text: str) -> list[tuple[str, float, int]]:
    """(value as printed, percentile 0..100, count) of each row."""
    rows = re.findall(r"^\s*([\d.]+)[ ,]+([01]\.\d+)[ ,]+(\d+)", text, re.M)
    return [(value, float(percentile) * 100, int(count)) for value, percentile, count in rows]


def assert_rows(histogram: Histogram, unit: str, rows: list[tuple[str, float, int]]) -> None:
    assert rows
    # Two buckets may print as one value: then it stands for both.
    counts = {value: count for value, _, count in rows}
    for value, percentile, _ in rows:
        (found,) = histogram.percentiles((max(percentile, 1e-9),))
        assert hgrm.fixed(found / PER_MS[unit], len(value.partition(".")[2])) == value, percentile
        assert histogram.count_between(0, found) == counts[value]
    assert histogram.total == rows[-1][2]


def read(folder: Path, text: str) -> Recording:
    path = folder / "some.hgrm"
    path.write_text(text)
    return load(path)


@pytest.mark.parametrize("name", SHAPES)
def test_rows_come_out_as_they_were_printed(name: str) -> None:
    recording = load(JAVA / name)
    assert recording.format == "hgrm"
    series = series_of(recording)
    assert series.tags == ("",)
    assert_rows(series.histograms[0], series.unit, printed_rows((JAVA / name).read_text()))
    told = [caution.text for caution in recording.warnings]
    assert told[0].startswith("A distribution tells nothing between two of its rows")
    assert any("taken for milliseconds" in text for text in told) == (not name.startswith("wrk2"))
    assert not any("significant digits" in text for text in told)


def test_the_buckets_are_those_that_were_recorded() -> None:
    """Printed in µs, taken for ms: the integers are the same."""
    log = series_of(load(JAVA / "distribution.hlog")).whole("distribution")
    histogram = series_of(load(JAVA / "distribution.hgrm")).histograms[0]
    assert (histogram.lowest, histogram.digits, histogram.maximum) == (1, 3, log.maximum)
    for index in histogram.counts.nonzero()[0].tolist():
        assert int(histogram.counts[: index + 1].sum()) == int(log.counts[: index + 1].sum())


def test_both_distributions_of_wrk2() -> None:
    recording = load(JAVA / "wrk2-u.txt")
    series = series_of(recording)
    assert series.tags == ("Recorded Latency", "Uncorrected Latency")
    parts = (JAVA / "wrk2-u.txt").read_text().split("----\n")
    for histogram, text in zip(series.histograms, parts, strict=False):
        assert_rows(histogram, series.unit, printed_rows(text))
    assert recording.tool == "wrk2"
    assert recording.meta.title == "Running 12s test @ http://127.0.0.1:18765/index.html"
    assert recording.meta.duration_s == 12.0
    (caution,) = recording.warnings
    assert "(the file has 24.195, 2.882)" in caution.text


def test_in_nanoseconds() -> None:
    series = series_of(load(JAVA / "wrk2.txt"))
    in_ns = series.in_nanoseconds()
    assert in_ns is not None
    assert in_ns.unit == "ns"
    assert in_ns.histograms[0].percentiles() == pytest.approx(
        [value * 1000 for value in series.histograms[0].percentiles()], rel=1e-3
    )


def test_an_empty_distribution(tmp_path: Path) -> None:
    stream = io.StringIO()
    hgrm.write(Histogram.empty(), stream)
    assert series_of(read(tmp_path, stream.getvalue())).histograms[0].total == 0


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.integers(0, 10**10), min_size=1, max_size=200),
    digits=st.integers(1, 4),
    ratio=st.sampled_from([1.0, 1000.0, 1e6]),
    csv=st.booleans(),
)
def test_what_the_writer_writes(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], digits: int, ratio: float, csv: bool
) -> None:
    stream = io.StringIO()
    hgrm.write(Histogram.of(values, digits=digits), stream, ratio=ratio, csv=csv)
    recording = read(tmp_path_factory.mktemp("written"), stream.getvalue())
    series = series_of(recording)
    assert_rows(series.histograms[0], series.unit, printed_rows(stream.getvalue()))


def test_values_of_no_layout_are_told(tmp_path: Path) -> None:
    """As a program prints that has no HdrHistogram: every value has all its digits."""
    rows = "".join(f"{1234567.001 + n * 0.013:.3f} 0.{n:03d} {n + 1} 1.0\n" for n in range(1, 99))
    recording = read(tmp_path, f"{HEAD}{rows}9999999.999 1.0 100\n")
    assert any("fit no histogram's buckets" in caution.text for caution in recording.warnings)
    assert series_of(recording).histograms[0].maximum == pytest.approx(9_999_999_999, rel=1e-5)


@pytest.mark.parametrize(
    ("rows", "line", "expected"),
    [
        ("", 1, "cut off: it has no rows"),
        ("   0.5 0.500000000000 3 2.00\n", 3, "cut off: it ends at 50.000000%"),
        ("   0.5 0.500000000000 3 2.00\n   1.000 1.0000", 3, "cut off"),
        ("   0.5 0.500000 3 2.00\n   1.000 1.000000 4 2000000.00\n", 4, "cut off: it ends at 100.000000%"),
        ("   2.5 0.500000000000 3 2.00\n" + LAST, 4, "fall from one row to the next"),
        ("   0.5 0.500000000000 9 2.00\n" + LAST, 4, "fall from one row to the next"),
        ("   0.5 0.500000000000 0 2.00\n" + LAST, 3, "no row"),
        (f"   0.5 0.500000000000 3 2.00\n   1.000 1.000000000000 {10**18 * 5}\n", 3, "cut off"),
        ("   0.5 1.500000000000 3 2.00\n" + LAST, 3, "no row"),
    ],
)
def test_what_cannot_be_read_says_where(tmp_path: Path, rows: str, line: int, expected: str) -> None:
    with pytest.raises(ParseError, match=expected) as told:
        read(tmp_path, HEAD + rows)
    assert told.value.line == line


def test_a_file_cut_anywhere_is_refused_or_the_whole(tmp_path: Path) -> None:
    text = (JAVA / "python.hgrm").read_text()
    body = text.index("#[Mean")
    whole = series_of(load(JAVA / "python.hgrm")).histograms[0].counts.tolist()
    for end in range(len(HEAD) + 20, body - 2, 97):
        with pytest.raises(ParseError):
            read(tmp_path, text[:end])
    assert series_of(read(tmp_path, text[:body])).histograms[0].counts.tolist() == whole


def test_rows_and_footer_that_disagree(tmp_path: Path) -> None:
    recording = read(tmp_path, f"{HEAD}{LAST}#[Max     =        1.000, Total count    =            7]\n")
    assert any("The rows count 5 values, the line under them 7" in caution.text for caution in recording.warnings)


class TestSniff:
    @pytest.mark.parametrize("name", [*SHAPES, "wrk2-u.txt"])
    def test_distributions(self, name: str) -> None:
        assert HGRM.sniff((JAVA / name).read_bytes()[:4096], "unknown") > 0.9

    @pytest.mark.parametrize(
        "text", ["", "main;work 3\n", "0.534 0.000000000000 1 1.00\n", "Value,Percentile\n1,2\n", "Value 1\n"]
    )
    def test_what_is_not(self, text: str) -> None:
        assert HGRM.sniff(text.encode(), "x.hgrm") < 0
