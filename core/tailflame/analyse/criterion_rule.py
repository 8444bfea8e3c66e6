"""What criterion says of two runs of a benchmark, by its own rule.

Welch's t of the samples; its p by resampling both from one pool ("mixed" bootstrap), two-tailed: twice the smaller
share of resampled t on either side. From 0.05 on: no change. Otherwise the interval of the relative change of the mean,
by a two-sample bootstrap with as many outer as inner resamples, both ends beyond the noise threshold: improved or
regressed; else within the noise. It compares means alone. Source: criterion.rs 0.5 to 0.7, src/analysis/compare.rs,
src/report.rs (compare_to_threshold), src/stats/univariate/mixed.rs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tailflame.model.benchmarks import Benchmark, Estimate
from tailflame.model.stacks import Float64

RESAMPLES = 100_000
SIGNIFICANCE = 0.05
NOISE = 0.01
CONFIDENCE = 0.95
_BLOCK = 4_000_000
"""Values drawn at a time: 32 MB."""


class Verdict(StrEnum):
    """In criterion's own words."""

    IMPROVED = "Performance has improved."
    REGRESSED = "Performance has regressed."
    NOISE = "Change within noise threshold."
    NONE = "No change in performance detected."


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """change: of the mean, relative; p: of criterion's test; t: Welch's."""

    change: Estimate
    p: float
    t: float
    verdict: Verdict


def judge(
    before: Benchmark,
    after: Benchmark,
    *,
    significance: float = SIGNIFICANCE,
    noise: float = NOISE,
    resamples: int = RESAMPLES,
    seed: int = 1,
) -> Judged:
    """The verdict on `after` since `before`. Some tenths of a second with 100 samples: call it from a thread.

    The same seed gives the same answer; criterion draws anew each time, so that a p near the level may fall either way.
    """
    random = np.random.default_rng(seed)
    one, other = after.per_iteration_ns, before.per_iteration_ns
    t = _welch(one.mean(), one.var(ddof=1) / len(one), other.mean(), other.var(ddof=1) / len(other))
    p = _p_value(one, other, t, resamples, random)
    change = _change(one, other, resamples, random)
    if p >= significance or math.isnan(p):
        verdict = Verdict.NONE
    elif change.low < -noise and change.high < -noise:
        verdict = Verdict.IMPROVED
    elif change.low > noise and change.high > noise:
        verdict = Verdict.REGRESSED
    else:
        verdict = Verdict.NOISE
    return Judged(change=change, p=p, t=t, verdict=verdict)


def _welch(mean_one: float, error_one: float, mean_other: float, error_other: float) -> float:
    """`error_*`: variance by the number of samples."""
    spread = math.sqrt(error_one + error_other)
    return (float(mean_one) - float(mean_other)) / spread if spread > 0 else math.nan


def _p_value(one: Float64, other: Float64, t: float, resamples: int, random: np.random.Generator) -> float:
    pool = np.concatenate([one, other])
    n, m = len(one), len(other)
    above = 0
    for count in _blocks(resamples, n + m):
        drawn = pool[random.integers(0, n + m, size=(count, n + m))]
        left, right = drawn[:, :n], drawn[:, n:]
        with np.errstate(invalid="ignore", divide="ignore"):
            resampled = (left.mean(1) - right.mean(1)) / np.sqrt(left.var(1, ddof=1) / n + right.var(1, ddof=1) / m)
        above += int((resampled < t).sum())
    return 2 * min(above, resamples - above) / resamples


def _change(one: Float64, other: Float64, resamples: int, random: np.random.Generator) -> Estimate:
    outer = math.ceil(math.sqrt(resamples))
    means = [_means(values, outer, random) for values in (one, other)]
    ratios = (means[0][:, None] / means[1][None, :] - 1.0).ravel()
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return Estimate(
        point=float(one.mean() / other.mean() - 1.0), low=float(low), high=float(high), error=float(ratios.std(ddof=1))
    )


def _means(values: Float64, resamples: int, random: np.random.Generator) -> Float64:
    return np.asarray(values[random.integers(0, len(values), size=(resamples, len(values)))].mean(1))


def _blocks(resamples: int, width: int) -> list[int]:
    most = max(_BLOCK // max(width, 1), 1)
    whole, rest = divmod(resamples, most)
    return [most] * whole + ([rest] if rest else [])
