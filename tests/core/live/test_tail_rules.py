"""Rules as people write them, and when they are crossed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailflame.live.tail_rules import RuleWatch, TailRule
from tailflame.model.histogram import Histogram
from tailflame.model.live import LatencySlice, Reading
from tailflame.model.slow_calls import SlowCalls


@pytest.mark.parametrize(
    ("text", "rule", "said"),
    [
        ("p99.9 process_order > 1ms", TailRule("process_order", 99.9, 1e6), "p99.9 process_order > 1.00 ms"),
        ("MAX total_us>50 us", TailRule("total_us", 100.0, 5e4), "max total_us > 50.0 µs"),
        ("slow process_order", TailRule("process_order", slow=True), "slow process_order"),
        ("slow", TailRule("", slow=True), "slow"),
        ("CPU > 180", TailRule("CPU", limit=180.0), "CPU > 180"),
        ("run-queue wait, engine-0 > 1.5", TailRule("run-queue wait, engine-0", limit=1.5), None),
    ],
)
def test_a_rule_is_read_and_said(text: str, rule: TailRule, said: str | None) -> None:
    assert TailRule.of(text) == rule
    assert said is None or str(rule) == said


@pytest.mark.parametrize(
    "text", ["", "p99.9", "> 5", "p99 x > 5", "x > 5ms", "p0 x > 1ms", "p99 x < 1ms", "p99 x > -1ms"]
)
def test_anything_else_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="“"):
        TailRule.of(text)


@given(st.text(max_size=60))
def test_any_text_is_a_rule_or_a_sentence(text: str) -> None:
    try:
        TailRule.of(text)
    except ValueError as problem:
        assert "“" in str(problem)


def calls(at: float, *values: int, series: str = "engine::process_order") -> LatencySlice:
    return LatencySlice(series=series, start_s=at, length_s=0.2, histogram=Histogram.of(np.array(values, np.int64)))


def test_a_percentile_is_that_of_the_last_second_and_takes_enough_calls() -> None:
    watch = RuleWatch(TailRule.of("p99 process_order > 1ms"))
    late = [2_000_000] * 3
    assert watch.crossed(calls(0.0, *[1000] * 40, *late)) == ""  # 43 calls are too few for a p99
    assert watch.crossed(calls(0.2, *[1000] * 60)).startswith("p99 of engine::process_order was 2.0")
    assert watch.crossed(calls(0.2, *[1000] * 90, series="other")) == ""
    assert watch.crossed(calls(5.0, *[1000] * 200)) == ""  # what was late is long ago


def test_one_call_one_slow_call_and_a_reading() -> None:
    longest = RuleWatch(TailRule.of("max process_order > 1ms"))
    assert longest.crossed(calls(0.0, 990_000)) == "" and longest.crossed(calls(0.2)) == ""
    assert longest.crossed(calls(0.0, 5, 5_000_000)).startswith("engine::process_order took 5.0")
    slow = RuleWatch(TailRule.of("slow"))
    assert slow.crossed(SlowCalls.of("f", 1000, 0.0, 0.2, [])) == ""
    assert slow.crossed(SlowCalls.of("f", 1000, 0.0, 0.2, [(7, 0, 2000), (7, 5, 10)])) == "a call of f took 2.00 µs"
    busy = RuleWatch(TailRule.of("CPU > 90"))
    told = {"start_s": 0.0, "length_s": 0.2}
    assert busy.crossed(Reading(series="CPU", value=95.0, unit="%", **told)) == "CPU was 95.0%"
    assert busy.crossed(Reading(series="CPU", value=85.0, unit="%", **told)) == ""
    assert busy.crossed(Reading(series="CPU", value=None, **told)) == ""
    assert busy.crossed(Reading(series="CPU of engine-0", value=95.0, **told)) == ""
