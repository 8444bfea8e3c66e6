"""Histogram logs out: what is written is read back to the same figures, here and by the reference library."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hdrh.log import HdrHistogram, HistogramLogReader

from helpers.stack_counts import DATA
from tailflame.model import Histogram, HistogramSeries
from tailflame.parse import load
from tailflame.report.hlog import HlogWriter, safe_tag

JAVA = DATA / "hdrhistogram" / "2.2.2"
SOME = Histogram.of([1_000, 25_000, 3_000_000])


def read(path: Path) -> HistogramSeries:
    series = load(path).histograms
    assert series is not None
    return series


def rewritten(name: str, target: Path, base_time_s: float = 0.0) -> HistogramSeries:
    """The series of a log of Java's, written by us to `target`."""
    series = read(JAVA / f"{name}.hlog")
    with target.open("w") as stream:
        writer = HlogWriter(stream, 1700000000.25, base_time_s=base_time_s, comment="Written by Reference.java")
        for interval in zip(series.tags, series.start_s, series.length_s, series.histograms, strict=True):
            writer.write(*interval)
    return series


def test_lines_are_those_of_the_java_library(tmp_path: Path) -> None:
    """But for the payloads: their bytes depend on the zlib, and a single count of zero has two spellings."""
    rewritten("tagged", tmp_path / "ours.hlog")
    ours, java = ((path / name).read_text() for path, name in ((tmp_path, "ours.hlog"), (JAVA, "tagged.hlog")))
    start = "#[StartTime: 1700000000.250 (seconds since epoch), Tue Nov 14 22:13:20 UTC 2023]\n"
    java = java.replace('"StartTimestamp"', f'{start}"StartTimestamp"')
    assert [line.split("HIST")[0] for line in ours.splitlines()] == [
        line.split("HIST")[0] for line in java.splitlines()
    ]


@pytest.mark.parametrize("name", ["tagged", "fine", "coarse", "corrected"])
@pytest.mark.parametrize("base", [0.0, 1700000000.25])
def test_what_is_written_is_read_back(name: str, base: float, tmp_path: Path) -> None:
    series = rewritten(name, tmp_path / "ours.hlog", base)
    again = read(tmp_path / "ours.hlog")
    assert again.tags == series.tags
    assert again.start_s == pytest.approx(series.start_s, abs=0.0006)
    assert again.length_s == pytest.approx(series.length_s, abs=0.0006)
    for one, other in zip(again.histograms, series.histograms, strict=True):
        assert (one.lowest, one.digits, one.counts.tolist()) == (other.lowest, other.digits, other.counts.tolist())


def test_the_package_reads_it(tmp_path: Path) -> None:
    series = rewritten("tagged", tmp_path / "ours.hlog")
    reader = HistogramLogReader(str(tmp_path / "ours.hlog"), HdrHistogram(1, 3_600_000_000_000, 3))
    for tag, histogram in zip(series.tags, series.histograms, strict=True):
        known = reader.get_next_interval_histogram()
        assert (known.get_tag() or "", known.get_total_count()) == (tag, histogram.total)
        assert known.get_max_value() == histogram.maximum
    assert reader.get_next_interval_histogram() is None
    reader.close()


def test_each_line_is_flushed() -> None:
    class Watched(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed = len(self.getvalue())

    stream = Watched()
    writer = HlogWriter(stream, 1700000000.0)
    assert stream.flushed == len(stream.getvalue())
    writer.write("order_book::match_order", 1700000000.5, 0.2, SOME)
    assert stream.flushed == len(stream.getvalue())
    assert "Tag=order_book::match_order,1700000000.500,0.200,3.000,HIST" in stream.getvalue()


@pytest.mark.parametrize("tag", ["a b", "a,b", "a\nb", "a\tb", "a\r", "\x00"])
def test_a_tag_that_no_reader_could_tell_is_refused(tag: str) -> None:
    stream = io.StringIO()
    writer = HlogWriter(stream, 0.0)
    before = stream.getvalue()
    with pytest.raises(ValueError, match="no commas and no spaces"):
        writer.write(tag, 0.0, 1.0, SOME)
    assert stream.getvalue() == before
    writer.write(safe_tag(tag), 0.0, 1.0, SOME)


def test_names_as_tags() -> None:
    assert safe_tag("std::map<int, int>::find(int const&) ") == "std::map<int_int>::find(int_const&)"
