"""The rows of a percentile distribution, as HdrHistogram prints and plots them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tailflame.model import Histogram

TICKS = 5
"""Rows per half of the distance to 100 %, as everybody prints them."""


@dataclass(frozen=True, slots=True)
class PercentileRow:
    """level: the percentile that the row stands for, 0 to 100. value: the highest value of the bucket that reaches it.
    count: values up to there.
    """

    value: int
    level: float
    count: int


def percentile_rows(histogram: Histogram, ticks: int = TICKS) -> tuple[PercentileRow, ...]:
    """Row by row what Java's PercentileIterator gives; none for an empty histogram.

    Levels come in `ticks` steps to 50 %, as many to 75 %, to 87.5 % and so on, while there are values between them; the
    last is 100 %. https://github.com/HdrHistogram/HdrHistogram/blob/master/src/main/java/org/HdrHistogram/PercentileIterator.java
    """
    counts = histogram.counts
    used = np.flatnonzero(counts)
    shape = histogram.layout
    running = counts[used].cumsum().tolist()
    rows: list[PercentileRow] = []
    level = 0.0
    for index, seen in zip(used.tolist(), running, strict=True):
        value = shape.high(index)
        last = seen == running[-1]
        while 100.0 * seen / running[-1] >= level:
            rows.append(PercentileRow(value, level, seen))
            further = _next(level, ticks)
            if last or further == level:
                break
            level = further
        if last:
            rows.append(PercentileRow(value, 100.0, seen))
    return tuple(rows)


def _next(level: float, ticks: int) -> float:
    """The level after `level`; the same one where floats have none before 100."""
    if level >= 100.0:
        return level
    half = int(math.log(100.0 / (100.0 - level)) / math.log(2)) + 1
    return level + 100.0 / (ticks << half)
