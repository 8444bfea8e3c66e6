"""Student's t against printed tables."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailflame.analyse.student import mean_and_error, quantile, two_sided


@pytest.mark.parametrize(
    ("tail", "freedom", "t"),
    [
        (0.05, 1, 12.706), (0.05, 2, 4.303), (0.05, 4, 2.776), (0.05, 9, 2.262), (0.05, 30, 2.042),
        (0.01, 3, 5.841), (0.01, 10, 3.169), (0.001, 5, 6.869), (0.10, 8, 1.860), (0.05, 1e7, 1.960),
    ],
)  # fmt: skip
def test_quantiles_are_those_of_the_tables(tail: float, freedom: float, t: float) -> None:
    assert quantile(tail, freedom) == pytest.approx(t, abs=0.0006)


@given(st.floats(1e-6, 0.999), st.floats(0.5, 1e6))
def test_tail_and_quantile_are_inverse(tail: float, freedom: float) -> None:
    assert two_sided(quantile(tail, freedom), freedom) == pytest.approx(tail, rel=1e-6)


def test_the_ends() -> None:
    assert two_sided(0.0, 5) == pytest.approx(1.0)
    assert two_sided(math.inf, 5) == 0.0
    assert math.isnan(two_sided(1.0, 0))


def test_the_error_of_a_mean() -> None:
    mean, error = mean_and_error([21, 24, 20, 20, 30])
    assert (mean, error) == (23.0, pytest.approx(1.8974, abs=1e-4))
    assert math.isnan(mean_and_error([3.0])[1]), "of one value nobody knows"
