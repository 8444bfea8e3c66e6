"""Logs as the Java library writes them, old encodings too, against what it reads in them: to the last digit."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stack_counts import DATA
from tailflame.model import Histogram, HistogramSeries
from tailflame.parse import load
from tailflame.parse.hdr_payload import decode, encode
from tailflame.parse.hlog import LogClock, is_interval, read_interval

JAVA = DATA / "hdrhistogram" / "2.2.2"
PERCENTILES = (
    0.0, 0.001, 1.0, 5.0, 10.0, 25.0, 33.333, 50.0, 66.6, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.9, 99.95, 99.99,
    99.999, 100.0,
)  # fmt: skip
WHOLE = [
    "tagged", "relative", "based", "coarse", "fine", "shifted", "corrected", "distribution", "coarse-distribution",
    "v0", "v1", "v1-int", "v1-short",
]  # fmt: skip


def figures(name: str, kind: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (JAVA / f"{name}.figures").read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


def series_of(name: str) -> HistogramSeries:
    recording = load(JAVA / f"{name}.hlog")
    assert recording.histograms is not None
    assert recording.histograms.unit == "ns"
    assert not recording.warnings
    return recording.histograms


def assert_same(found: Histogram, java: dict[str, Any]) -> None:
    assert list(found.percentiles(PERCENTILES)) == java["values"]
    assert (found.total, found.minimum, found.maximum) == (java["total"], java["min"], java["max"])
    assert (found.mean, found.stddev) == (java["mean"], java["stddev"])
    assert found.percentile_of(10_000) == java["at_or_below_10000"]
    assert found.count_between(5_000, 20_000) == java["between_5000_20000"]


@pytest.mark.parametrize("name", WHOLE)
def test_every_figure_is_javas(name: str) -> None:
    series = series_of(name)
    intervals = figures(name, "interval")
    assert [row["tag"] or "" for row in intervals] == list(series.tags)
    for row, start, length, histogram in zip(
        intervals, series.start_s, series.length_s, series.histograms, strict=True
    ):
        assert start * 1000 == pytest.approx(row["start_ms"], abs=1.1)
        assert (start + length) * 1000 == pytest.approx(row["end_ms"], abs=1.1)
        assert_same(histogram, row)
    for row in figures(name, "sum"):
        assert_same(series.whole(row["tag"]), row)


@pytest.mark.parametrize("name", ["v0-int", "v0-short"])
def test_old_logs_that_java_can_no_longer_read(name: str) -> None:
    for row, histogram in zip(figures("v0", "interval"), series_of(name).histograms, strict=True):
        assert_same(histogram, row)


def test_no_stamp_loses_an_interval() -> None:
    recording = load(JAVA / "stamps.hlog")
    series = recording.histograms
    assert series is not None
    kept = figures("stamps", "interval")
    assert series.start_s[0] == -1.5  # Java leaves it out
    assert series.tags[1:] == tuple(row["tag"] or "" for row in kept)
    assert [round(start * 1000) for start in series.start_s[1:]] == [row["start_ms"] for row in kept]
    for row, histogram in zip(kept, series.histograms[1:], strict=True):
        assert_same(histogram, row)
    (caution,) = recording.warnings
    assert caution.text.startswith("1 interval was left out (line 10:"), "Tag=x y: Java stops there, too"


def test_the_table_of_histogram_log_processor() -> None:
    series = series_of("tagged")
    rows = [line.split() for line in (JAVA / "processed.txt").read_text().splitlines() if line[0].isdigit()]
    untagged = [at for at, tag in enumerate(series.tags) if not tag]
    assert len(rows) == len(untagged) == 5
    merged = Histogram.empty()
    for row, at in zip(rows, untagged, strict=True):
        part = series.histograms[at]
        merged = merged.merged(part)
        own = (*part.percentiles((50.0, 90.0)), part.maximum)
        whole = (*merged.percentiles((50.0, 90.0, 99.0, 99.9, 99.99)), merged.maximum)
        assert [cell for cell in row[1:] if cell not in "()"] == [
            f"I:{part.total}", *(f"{v / 1000:.3f}" for v in own),
            f"T:{merged.total}", *(f"{v / 1000:.3f}" for v in whole),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "unit", "per_unit"), [("fractions", "millionths", 1e6), ("whole-fractions", "ns", 1.0)]
)
def test_double_histograms(name: str, unit: str, per_unit: float) -> None:
    recording = load(JAVA / f"{name}.hlog")
    series = recording.histograms
    assert series is not None
    assert series.unit == unit
    assert set(series.tags) == {"double"}
    (caution,) = recording.warnings
    assert "hold fractions, of a unit that the log does not tell" in caution.text
    for row, histogram in zip(figures(name, "fractions"), series.histograms, strict=True):
        assert histogram.total == row["total"]
        expected = [value * per_unit for value in row["values"]]
        assert list(histogram.percentiles(PERCENTILES)) == pytest.approx(expected, rel=2e-3)
        assert histogram.mean == pytest.approx(row["mean"] * per_unit, rel=1e-3)


def test_an_offset_says_nothing_about_the_counts() -> None:
    """Java rotates its own array by it; the counts in the payload are in the order of their values."""
    assert any(_offset(line) for line in (JAVA / "shifted.hlog").read_text().splitlines() if "HIST" in line)


def _offset(line: str) -> int:
    data = zlib.decompress(base64.b64decode(line.rsplit(",", 1)[1])[8:])
    return int(struct.unpack_from(">i", data, 8)[0])


class TestLineByLine:
    def test_a_growing_log_is_read_as_the_whole(self) -> None:
        series = series_of("relative")
        clock, found = LogClock(), []
        for line in (JAVA / "relative.hlog").read_text().splitlines():
            if is_interval(line):
                tag, stamp, length, histogram = read_interval(line)
                found.append((tag, clock.absolute(stamp), length, histogram.counts.tolist()))
            else:
                clock.comment(line)
        assert found == [
            (tag, start, length, histogram.counts.tolist())
            for tag, start, length, histogram in zip(
                series.tags, series.start_s, series.length_s, series.histograms, strict=True
            )
        ]

    def test_fractions_need_their_unit(self) -> None:
        line = (JAVA / "fractions.hlog").read_text().splitlines()[2]
        with pytest.raises(ValueError, match="holds fractions, of a unit that the log does not tell"):
            read_interval(line)
        tag, _, _, histogram = read_interval(line, fraction_ns=1e6)
        assert tag == "double"
        assert histogram.percentiles((50.0,))[0] == pytest.approx(8.2880859375e6, rel=2e-3)

    @pytest.mark.parametrize("line", ["", "#[comment]", "1,2,3", "Tag=a b,1,1,1,HISTF", "1,1,1,HISTFAAA"])
    def test_what_is_no_interval(self, line: str) -> None:
        with pytest.raises(ValueError, match=r"it is not an interval|cut off"):
            read_interval(line)

    def test_a_line_cut_anywhere_is_refused_or_whole(self) -> None:
        line = next(line for line in (JAVA / "tagged.hlog").read_text().splitlines() if line.startswith("Tag="))
        whole = read_interval(line)[3].counts.tolist()
        for end in range(len(line)):
            try:
                read = read_interval(line[:end])[3]
            except ValueError:
                continue
            assert read.counts.tolist() == whole


class TestPayload:
    @settings(max_examples=80, deadline=None)
    @given(
        values=st.dictionaries(st.integers(0, 3_600_000_000_000), st.integers(1, 2**40), max_size=40),
        digits=st.sampled_from([1, 2, 3, 3, 4]),
        lowest=st.sampled_from([1, 1, 1000]),
    )
    def test_what_is_encoded_is_what_the_package_decodes(
        self, values: dict[int, int], digits: int, lowest: int
    ) -> None:
        histogram = Histogram.of(list(values), list(values.values()), digits=digits, lowest=lowest)
        text = encode(histogram)
        decoded = decode(text)
        assert decoded.ratio is None
        assert (decoded.histogram.lowest, decoded.histogram.digits) == (lowest, digits)
        assert decoded.histogram.counts.tolist() == histogram.counts.tolist()
        known = HdrHistogram.decode(text)
        assert known.get_total_count() == histogram.total
        counts = np.frombuffer(known.counts, np.uint64)[: len(histogram.counts)]
        assert counts.tolist() == histogram.counts.tolist()
        if values:
            assert known.get_max_value() == histogram.maximum

    @settings(max_examples=300, deadline=None)
    @given(data=st.data(), name=st.sampled_from(["tagged", "v0", "v1-int", "fractions"]), packed=st.booleans())
    def test_damage_is_told_in_words(self, data: st.DataObject, name: str, packed: bool) -> None:
        line = next(line for line in (JAVA / f"{name}.hlog").read_text().splitlines() if "HIST" in line)
        raw = base64.b64decode(line.rsplit(",", 1)[1])
        outer, inner = raw[: 16 if name == "fractions" else 0], raw[16 if name == "fractions" else 0 :]
        body = bytearray(zlib.decompress(inner[8:]) if packed else inner)
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, min(len(body) - 1, data.draw(st.sampled_from([45, 10_000])))))
            body[at] = data.draw(st.integers(0, 255))
        if packed:
            stream = zlib.compress(bytes(body), 1)
            body = bytearray(inner[:4] + struct.pack(">i", len(stream)) + stream)
        try:
            histogram = decode(base64.b64encode(outer + bytes(body)).decode()).histogram
        except ValueError as error:
            assert str(error).startswith("its ")
            return
        assert histogram.total >= 0
        assert len(histogram.percentiles()) == 6
        assert histogram.mean >= 0
