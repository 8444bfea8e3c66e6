"""Student's t distribution: how far a mean of few values may lie from the true one.

The tail is the regularised incomplete beta function, by its continued fraction (modified Lentz); the quantile is found
by bisection. Agrees with printed tables to all their digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

_STEPS = 300
_TINY = 1e-300


def two_sided(t: float, freedom: float) -> float:
    """The probability that |T| is at least |t| with `freedom` degrees of freedom."""
    if freedom <= 0 or math.isnan(t):
        return math.nan
    if math.isinf(t):
        return 0.0
    return _beta(freedom / (freedom + t * t), freedom / 2, 0.5)


@lru_cache(maxsize=4096)
def quantile(tail: float, freedom: float) -> float:
    """The t that |T| is beyond with probability `tail`: 2.776 for 0.05 and 4 degrees of freedom."""
    low, high = 0.0, 1.0
    while two_sided(high, freedom) > tail and high < 1e12:
        low, high = high, high * 2
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        if two_sided(middle, freedom) > tail:
            low = middle
        else:
            high = middle
    return high


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error; the error of one value is NaN, not 0."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return mean, math.nan
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)


def _beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b)."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _beta(1.0 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1.0 / (d if abs(d) > _TINY else _TINY)
    fraction = d
    for m in range(1, _STEPS):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + step * d
            d = 1.0 / (d if abs(d) > _TINY else _TINY)
            c = 1.0 + step / c
            c = c if abs(c) > _TINY else _TINY
            fraction *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return front * fraction
