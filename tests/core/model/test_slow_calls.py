"""Thresholds as people write them, and stretches of watching put together."""

from __future__ import annotations

import pytest

from tailflame.model.slow_calls import SlowAbove, SlowCalls, joined


@pytest.mark.parametrize(
    ("text", "above", "said"),
    [
        ("100us", SlowAbove(ns=100_000), "100 µs"),
        ("1.5 ms", SlowAbove(ns=1_500_000), "1.50 ms"),
        ("2000NS", SlowAbove(ns=2000), "2.00 µs"),
        (" 1s ", SlowAbove(ns=10**9), "1.00 s"),
        ("p99.9", SlowAbove(percentile=99.9), "p99.9 of the first 5 s"),
        ("P50", SlowAbove(percentile=50.0), "p50 of the first 5 s"),
    ],
)
def test_a_threshold_is_a_duration_or_a_percentile(text: str, above: SlowAbove, said: str) -> None:
    assert SlowAbove.of(text) == above and str(above) == said


@pytest.mark.parametrize(
    "text", ["", "100", "us", "-5us", "5 min", "p100", "p0", "p", "1ns", "2000 s", "100us; x", "1e3us"]
)
def test_anything_else_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="“"):
        SlowAbove.of(text)


def test_neighbours_become_one() -> None:
    first = SlowCalls.of("f", 1000, 1.0, 0.2, [(7, 1, 2)], lost=1)
    second = SlowCalls.of("f", 1000, 1.2, 0.2, [(8, 3, 9), (7, 4, 5)], lost=2)
    assert second.follows(first)
    assert not SlowCalls.of("f", 1000, 9.0, 0.2, []).follows(first)
    assert not SlowCalls.of("f", 2000, 1.2, 0.2, []).follows(first)
    assert not SlowCalls.of("g", 1000, 1.2, 0.2, []).follows(first)
    whole = joined([first, second])
    assert (whole.start_s, whole.length_s, whole.lost, len(whole)) == (1.0, pytest.approx(0.4), 3, 3)
    assert whole.tid.tolist() == [7, 8, 7] and whole.end_ns.tolist() == [2, 9, 5]
