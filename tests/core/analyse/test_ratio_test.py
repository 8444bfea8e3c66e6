"""How sure a change is, of repetitions whose truth is known."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailflame.analyse.ratio_test import compare, left_out, margin_factor, typical
from tailflame.analyse.student import quantile


def test_few_repetitions_are_compared_by_welchs_test() -> None:
    before, after = (100.0, 104.0, 98.0, 102.0), (120.0, 126.0, 123.0, 129.0)
    found = compare(before, after)
    one, other = ([math.log(value) for value in side] for side in (before, after))
    means = [sum(side) / 4 for side in (one, other)]
    errors = [sum((x - mean) ** 2 for x in side) / 3 / 4 for side, mean in zip((one, other), means, strict=True)]
    error, freedom = math.sqrt(sum(errors)), sum(errors) ** 2 / sum(e**2 / 3 for e in errors)
    margin = error * quantile(0.05, freedom)
    assert not found.trimmed
    assert found.change == pytest.approx(math.expm1(means[1] - means[0]))
    assert found.low == pytest.approx(math.expm1(means[1] - means[0] - margin))
    assert found.high == pytest.approx(math.expm1(means[1] - means[0] + margin))


def test_one_disturbed_run_hides_no_change_that_all_others_show() -> None:
    """Medians of real runs of a program, the one on the second side a tenth slower."""
    before, after = (982.0, 982.0, 1203.0, 982.0, 981.0), (1072.0, 1072.0, 1073.0, 1072.0, 1072.0)
    found = compare(before, after)
    assert found.trimmed and found.p < 0.001
    assert found.change == pytest.approx(0.0916, abs=0.001) and 0.06 < found.low < found.high < 0.12
    assert typical(before, trimmed=True) == pytest.approx(982.0)
    assert typical(before, trimmed=False) == pytest.approx((982**3 * 981 * 1203) ** 0.2)  # what the change is of
    assert typical((0.0, 2.0)) == 1.0


def test_runs_that_differ_evenly_all_count() -> None:
    found = compare((100.0, 104.0, 98.0, 102.0, 96.0), (120.0, 126.0, 123.0, 129.0, 117.0))
    assert not found.trimmed and found.p < 0.001


def test_figures_that_flip_between_two_steps_are_no_change() -> None:
    assert compare((3.0, 3.0, 3.0, 3.0, 4.0), (4.0, 4.0, 4.0, 3.0, 4.0)).p > 0.05
    assert compare((20.0, 20.0, 20.0, 20.0, 21.0), (21.0, 21.0, 21.0, 20.0, 21.0)).p > 0.02
    # A tenth of a thousand whole ones is no step.
    assert compare((1000.0,) * 4 + (1900.0,), (1100.0,) * 4 + (1101.0,)).p < 0.01


@pytest.mark.parametrize("disturbed", [0.0, 0.1])
def test_what_does_not_differ_is_called_so_nineteen_times_of_twenty(disturbed: float) -> None:
    random_ = random.Random(3)

    def side(mean: float) -> tuple[float, ...]:
        runs = (mean * math.exp(random_.gauss(0, 0.01)) for _ in range(5))
        return tuple(run * (1.2 if random_.random() < disturbed else 1.0) for run in runs)

    alike = sum(compare(side(1e5), side(1e5)).p < 0.05 for _ in range(2000))
    assert alike <= 130
    found = sum(compare(side(1e5), side(1.1e5)).p < 0.02 for _ in range(500))
    assert found >= (495 if not disturbed else 370)  # by Welch's test alone 250 of the disturbed ones


def test_where_there_is_a_zero_the_figures_are_compared_as_they_are() -> None:
    found = compare((10.0,) * 7 + (0.0,), (20.0,) * 8)
    assert found.change == pytest.approx(20 / 8.75 - 1)
    assert found.low < found.change < found.high < 2
    nothing = compare((0.0, 0.0), (1.0, 2.0))
    assert math.isnan(nothing.change) and math.isnan(nothing.low)


def test_what_is_left_out() -> None:
    assert [left_out(n) for n in (2, 4, 5, 9, 10)] == [0, 0, 1, 1, 2]
    assert typical((), trimmed=True) != typical((), trimmed=True)
    factors = [margin_factor(n, trimmed=True) for n in range(5, 60)]
    assert factors[-1] < factors[0] / 3
    assert margin_factor(20, trimmed=True) < margin_factor(10, trimmed=True) < margin_factor(5, trimmed=True)
    assert margin_factor(20, trimmed=False) < margin_factor(5, trimmed=False)


@given(st.lists(st.floats(0, 1e100), max_size=8), st.lists(st.floats(0, 1e100), max_size=8))
def test_whatever_the_figures_are_the_change_lies_in_its_interval(before: list[float], after: list[float]) -> None:
    found = compare(before, after)
    if not math.isnan(found.low) and not math.isnan(found.change):
        assert found.low <= found.change <= found.high or found.change == math.inf
        assert 0 <= found.p <= 1
