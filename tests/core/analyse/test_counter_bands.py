"""Targets of counters, and what is said of values."""

from __future__ import annotations

import math

import pytest

from tailflame.analyse.counter_bands import BANDS, Level, bands_of, judge
from tailflame.model.counter_ratios import RATIOS


@pytest.mark.parametrize(
    ("series", "value", "level"),
    [
        ("IPC", 2.4, Level.GOOD),
        ("IPC", 2.0, Level.GOOD),
        ("IPC", 1.5, Level.OK),
        ("IPC", 1.0, Level.OK),
        ("IPC, cpu_core", 0.99, Level.BAD),
        ("cache miss rate", 4.99, Level.GOOD),
        ("cache miss rate", 5.0, Level.BAD),
        ("branch miss rate", 0.0, Level.GOOD),
        ("branch miss rate", 12.0, Level.BAD),
        ("simulated D1 miss rate", 7.0, Level.BAD),
    ],
)
def test_levels(series: str, value: float, level: Level) -> None:
    judgement = judge(series, value)
    assert judgement is not None
    assert judgement.level is level
    assert judgement.words.startswith(series)


def test_words_name_the_value_and_the_target() -> None:
    low, missing = judge("IPC", 0.62), judge("cache miss rate", 41.3)
    assert low is not None
    assert missing is not None
    assert low.words == "IPC 0.62: the processor waits most of the time, usually for memory (target: above 2)."
    assert missing.words.startswith("cache miss rate 41.3%: many cache references miss:")
    assert missing.words.endswith("(target: under 5%).")


def test_nothing_is_said_where_there_is_no_target() -> None:
    assert bands_of("page faults") is None
    assert judge("page faults", 3.0) is None
    assert judge("IPC", math.nan) is None


def test_every_target_is_of_a_series_that_is_computed() -> None:
    assert set(BANDS) <= {ratio.name for ratio in RATIOS}
