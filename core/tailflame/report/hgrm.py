"""Percentile distributions out (.hgrm): what HdrHistogram's plotter, hdr-plot and gnuplot scripts read."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TextIO

from tailflame.analyse.percentile_rows import TICKS, percentile_rows
from tailflame.model import Histogram
from tailflame.model.buckets import most_counts
from tailflame.report.output import opened

MILLISECONDS = 1_000_000.0
"""In ns: what HistogramLogProcessor prints in, and plotters take a distribution for."""


def write(
    histogram: Histogram,
    target: Path | TextIO,
    *,
    ratio: float = MILLISECONDS,
    ticks: int = TICKS,
    csv: bool = False,
) -> None:
    """Writes values divided by `ratio`, character for character as Java's outputPercentileDistribution does.

    ticks: rows per half of the distance to 100 %. StoreError where the file cannot be written.
    """
    digits = histogram.digits
    with opened(target) as stream:
        if csv:
            stream.write('"Value","Percentile","TotalCount","1/(1-Percentile)"\n')
        else:
            stream.write(f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}\n\n")
        for row in percentile_rows(histogram, ticks):
            value, share = fixed(row.value / ratio, digits), row.level / 100.0
            last = row.level == 100.0
            if csv:
                inverse = "Infinity" if last else fixed(1 / (1.0 - share), 2)
                stream.write(f"{value},{fixed(share, 12)},{row.count},{inverse}\n")
            else:
                inverse = "" if last else f" {fixed(1 / (1.0 - share), 2):>14}"
                stream.write(f"{value:>12} {fixed(share, 12)} {row.count:>10}{inverse}\n")
        if not csv:
            mean, stddev = fixed(histogram.mean / ratio, digits), fixed(histogram.stddev / ratio, digits)
            buckets, halves = _buckets(histogram)
            stream.write(f"#[Mean    = {mean:>12}, StdDeviation   = {stddev:>12}]\n")
            largest = fixed(histogram.maximum / ratio, digits)
            stream.write(f"#[Max     = {largest:>12}, Total count    = {histogram.total:>12}]\n")
            stream.write(f"#[Buckets = {buckets:>12}, SubBuckets     = {halves:>12}]\n")


def fixed(value: float, digits: int) -> str:
    """With `digits` decimals, as Java's Formatter rounds: half up, and from the shortest decimal that is the value."""
    return format(Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP), "f")


def _buckets(histogram: Histogram) -> tuple[int, int]:
    """How many doublings a histogram that has grown with its values has, and how fine each is."""
    half = histogram.layout.half
    most = most_counts(histogram.lowest, histogram.digits, max(histogram.maximum, 2 * histogram.lowest))
    return (most >> half) - 1, 2 << half
