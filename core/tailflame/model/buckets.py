"""The HdrHistogram bucket layout: which values share a count, and at which index it stands.

The buckets of a layout are those of Java's AbstractHistogram for (lowestDiscernibleValue, numberOfSignificantDigits):
https://github.com/HdrHistogram/HdrHistogram/blob/master/src/main/java/org/HdrHistogram/AbstractHistogram.java
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tailflame.model.stacks import Int64

TOP = 2**63 - 1
"""The largest value that any layout holds."""
_CACHED_SIZE = 2**17
"""Three digits over all 63 bits have 55,296 buckets; larger layouts are rare, and their bounds 100 MB."""


@dataclass(frozen=True, slots=True)
class Layout:
    """unit: values below 2**unit share a bucket, as finer ones are not told apart. half: 2**half buckets per doubling
    of the value, and as many again below the first one."""

    unit: int
    half: int

    @property
    def length(self) -> int:
        """Buckets that cover every value up to TOP."""
        return self.index(TOP) + 1

    def index(self, value: int) -> int:
        """Where the count of `value` (0 to TOP) stands."""
        bucket = max(value.bit_length() - (self.half + 1) - self.unit, 0)
        return (bucket << self.half) + (value >> (bucket + self.unit))

    def indices(self, values: Int64) -> Int64:
        """`index` of every value of an array. Values below 0 have none: the caller has looked."""
        bits = values | ((1 << (self.half + 1)) - 1 << self.unit)
        # Without the bit below the highest one, rounding to a float cannot reach the next power of two: the exponent
        # of the float is the bit length for all 63 bits.
        exponent = (bits & ~(bits >> 1)).astype(np.float64).view(np.int64) >> 52
        bucket = exponent - (1022 + self.half + 1 + self.unit)
        found: Int64 = (bucket << self.half) + (values >> (bucket + self.unit))
        return found

    def low(self, index: int) -> int:
        """The lowest value at `index`."""
        bucket = (index >> self.half) - 1
        if bucket < 0:
            return index << self.unit
        return ((index & ((1 << self.half) - 1)) + (1 << self.half)) << (bucket + self.unit)

    def width(self, index: int) -> int:
        """How many values share the bucket at `index`."""
        return 1 << (max((index >> self.half) - 1, 0) + self.unit)

    def high(self, index: int) -> int:
        """The highest value at `index`."""
        return self.low(index) + self.width(index) - 1

    def lows(self, indices: Int64) -> Int64:
        """The lowest value at each of `indices`."""
        bucket = (indices >> self.half) - 1
        first = bucket < 0
        sub = (indices & ((1 << self.half) - 1)) + np.where(first, 0, 1 << self.half)
        found: Int64 = sub << (np.where(first, 0, bucket) + self.unit)
        return found

    def widths(self, indices: Int64) -> Int64:
        """How many values share the bucket at each of `indices`."""
        found: Int64 = np.int64(1) << (np.maximum((indices >> self.half) - 1, 0) + self.unit)
        return found

    def bounds(self, length: int) -> tuple[Int64, Int64]:
        """(lowest, highest) value of the first `length` buckets; both read-only."""
        halves = max(length - 1, 0) >> self.half
        # A power of two of doublings, so that histograms of all lengths share a few arrays.
        size = (1 << halves.bit_length()) << self.half
        low, high = (_bounds if size <= _CACHED_SIZE else _bounds.__wrapped__)(self, size)
        return low[:length], high[:length]


@lru_cache(maxsize=64)
def layout(lowest: int, digits: int) -> Layout:
    """The layout for a lowest discernible value (at least 1) and significant decimal digits (0 to 5)."""
    return Layout(unit=lowest.bit_length() - 1, half=max(math.ceil(math.log2(2 * 10**digits)), 1) - 1)


def most_counts(lowest: int, digits: int, highest: int) -> int:
    """Length of Java's counts array for values up to `highest`: whole halves, at least two."""
    shape = layout(lowest, digits)
    return max((shape.index(min(highest, TOP)) >> shape.half) + 1, 2) << shape.half


@lru_cache(maxsize=16)
def _bounds(shape: Layout, size: int) -> tuple[Int64, Int64]:
    index = np.arange(size, dtype=np.int64)
    low = shape.lows(index)
    high = low + (shape.widths(index) - 1)
    low.flags.writeable = high.flags.writeable = False
    return low, high
