"""How counters' readings and durations are written."""

from __future__ import annotations

import pytest

from tailflame.units import reading, seconds


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.8372, "", "1.84"),
        (48210.0, "", "48,210"),
        (1234567.8, "", "1,234,568"),
        (0.0, "%", "0.00%"),
        (0.731, "%", "0.73%"),
        (41.26, "%", "41.3%"),
        (12.0, "/s", "12/s"),
        (9839.4, "/s", "9,839/s"),
        (3_100_000, "B", "3.1 MB"),
        (3_100_000, "B/s", "3.1 MB/s"),
        (1843.0, "ns", "1.84 µs"),
        (66.5, "ms", "66.5 ms"),
        (12.345, "ms/s", "12.3 ms/s"),
        (2.0, "J", "2 J"),
    ],
)
def test_readings(value: float, unit: str, text: str) -> None:
    assert reading(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0 s"),
        (0.0004, "400 µs"),
        (0.0413, "41.3 ms"),
        (0.0999, "99.9 ms"),
        (0.1, "0.1 s"),
        (65.0, "1 min 05 s"),
    ],
)
def test_a_short_duration_is_no_zero(value: float, text: str) -> None:
    assert seconds(value) == text
