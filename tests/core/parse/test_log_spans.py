"""Log lines as stretches of time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailflame.parse.log_spans import LoggedEvent, events, stamp_ns

STAMP_NS = 1_795_644_054_735_886_000


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-11-25T22:00:54.735886Z", STAMP_NS),
        ("2026-11-25 22:00:54,735886", STAMP_NS),
        ("2026-11-26T00:30:54.735886+02:30", STAMP_NS),
        ("2026-11-25T20:00:54.735886-0200", STAMP_NS),
        ("2026-11-25T22:00:54Z", STAMP_NS // 10**9 * 10**9),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1969-12-31T23:59:59Z", None),
        ("2026-13-25T22:00:54Z", None),
        ("2026-11-25T22:00:54+99:00", None),
        ("yesterday", None),
    ],
)
def test_a_time_stamp_is_read_to_the_nanosecond(text: str, ns: int | None) -> None:
    assert stamp_ns(text) == ns


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2261, 1, 1), timezones=st.just(UTC)))
def test_any_time_of_ours_is_read(when: datetime) -> None:
    since = when - datetime(1970, 1, 1, tzinfo=UTC)
    micros = (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds
    assert stamp_ns(when.isoformat(timespec="microseconds")) == micros * 1000


JSON = '{"timestamp":"2026-11-25T22:00:54.735886Z","fields":{"message":"done","total_us":6.5},"threadName":"engine-0"}'


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (JSON, LoggedEvent("engine-0", STAMP_NS, 6500)),
        (JSON.replace("6.5", '"6.5ms"'), LoggedEvent("engine-0", STAMP_NS, 6_500_000)),
        (JSON.replace('"threadName":"engine-0"', '"tid":4711'), LoggedEvent("4711", STAMP_NS, 6500)),
        (JSON.replace(',"threadName":"engine-0"', ""), LoggedEvent("", STAMP_NS, 6500)),
        (
            "2026-11-25T22:00:54.735886Z  INFO shop: total_us=6.5 thread=engine-0",
            LoggedEvent("engine-0", STAMP_NS, 6500),
        ),
        ("\x1b[2m2026-11-25T22:00:54.735886Z\x1b[0m INFO total_us=6.5", LoggedEvent("", STAMP_NS, 6500)),
    ],
)
def test_a_line_tells_thread_end_and_length(line: str, event: LoggedEvent) -> None:
    assert list(events(["nothing", line], "total_us", "us")) == [event]


@pytest.mark.parametrize(
    "line",
    [
        JSON.replace("6.5", "-6.5"),
        JSON.replace("6.5", "1e300"),
        JSON.replace("6.5", '"fast"'),
        JSON.replace("timestamp", "when"),
        JSON.replace('"2026', "2026"),
        JSON[:-20],
        "total_us=6.5",
        "total_us",
        '{"total_us": {"a": 1}}',
    ],
)
def test_lines_without_one_of_them_are_passed_over(line: str) -> None:
    assert list(events([line], "total_us", "us")) == []


@given(st.text(max_size=200))
def test_any_line_is_read_or_passed_over(text: str) -> None:
    list(events([text, f"{text} total_us=3", f"2026-11-25T22:00:54Z {text} total_us=3"], "total_us", "us"))
