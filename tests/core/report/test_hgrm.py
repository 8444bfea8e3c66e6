"""Percentile distributions out: the Java library's own, character for character."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from helpers.stack_counts import DATA
from tailflame.analyse.percentile_rows import percentile_rows
from tailflame.model import Histogram
from tailflame.parse import load
from tailflame.report import hgrm

JAVA = DATA / "hdrhistogram" / "2.2.2"


def whole(name: str, tag: str = "distribution") -> Histogram:
    series = load(JAVA / f"{name}.hlog").histograms
    assert series is not None
    return series.whole(tag)


def written(histogram: Histogram, *, ratio: float, ticks: int = 5, csv: bool = False) -> str:
    stream = io.StringIO()
    hgrm.write(histogram, stream, ratio=ratio, ticks=ticks, csv=csv)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "ratio", "ticks"),
    [("distribution.hgrm", 1000.0, 5), ("distribution-1-tick.hgrm", 1.0, 1), ("distribution.csv", 1000.0, 5)],
)
def test_what_java_prints(name: str, ratio: float, ticks: int) -> None:
    text = written(whole("distribution"), ratio=ratio, ticks=ticks, csv=name.endswith(".csv"))
    assert text == (JAVA / name).read_text()


def test_a_coarse_layout_and_the_log_processor() -> None:
    coarse = written(whole("coarse-distribution", ""), ratio=1e6).splitlines()
    assert coarse[:-1] == (JAVA / "coarse-distribution.hgrm").read_text().splitlines()[:-1], "all but Java's own range"
    processed = (JAVA / "processed.hgrm").read_text().split("(relative to StartTime)]\n")[1].split("\n", 1)[1]
    assert written(whole("tagged", ""), ratio=1000.0) == processed


def test_an_empty_histogram(tmp_path: Path) -> None:
    target = tmp_path / "empty.hgrm"
    hgrm.write(Histogram.empty(), target)
    lines = target.read_text().splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    assert lines[1:] == [
        "",
        "#[Mean    =        0.000, StdDeviation   =        0.000]",
        "#[Max     =        0.000, Total count    =            0]",
        "#[Buckets =            1, SubBuckets     =         2048]",
    ]


def test_rows_of_many_values_end() -> None:
    rows = percentile_rows(Histogram.of([1, 5, 9], [2**60, 1, 1]))
    assert (rows[-1].value, rows[-1].level, rows[-1].count) == (9, 100.0, 2**60 + 2)
    assert [row.level for row in rows] == sorted(row.level for row in rows)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1.005, 2, "1.01"), (0.125, 2, "0.13"), (2.5, 0, "3"), (1e-9, 3, "0.000"), (1e22, 1, f"1{'0' * 22}.0")],
)
def test_java_rounds_half_up(value: float, digits: int, text: str) -> None:
    assert hgrm.fixed(value, digits) == text
