"""What bpftrace prints for a function probe, as recorded and as it should not be."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.environment import DATA
from tailflame.live.probe_output import Attached, Attaching, Interval, ProbeOutput, monotonic_ns, monotonic_s
from tailflame.model.histogram import Histogram

RECORDED = DATA / "bpftrace" / "0.17.0" / "function-probe.jsonl"


def test_a_recorded_run_counts_what_the_program_counted() -> None:
    output = ProbeOutput((False, True))
    heard = [output.feed(line) for line in RECORDED.read_bytes().splitlines()]
    told = [message for message in heard if message is not None]
    assert told[:2] == [Attaching(7), Attached(1)]
    intervals = [message for message in told if isinstance(message, Interval)]
    assert len(intervals) == len(told) - 2 and output.unread == 0
    # The NOTE beside it: 300 calls; 300 times 70 starts, of which the kernel times 64.
    assert sum(interval.calls[0] for interval in intervals) == 300
    assert sum(interval.calls[1] for interval in intervals) == 300 * 64
    assert sum(interval.starts[1] or 0 for interval in intervals) == 300 * 70
    assert {interval.starts[0] for interval in intervals} == {None}
    assert sum(sum(interval.missed) for interval in intervals) == 0
    ends = [interval.end_s for interval in intervals]
    assert ends == sorted(ends)
    # What is printed is cumulative: the last print is the sum of all intervals.
    last: dict[str, dict[str, int]] = {}
    for line in RECORDED.read_text().splitlines():
        if '"@h' in line:
            last |= json.loads(line)["data"]
    for number in range(2):
        whole = Histogram.empty(1, 2)
        for interval in intervals:
            whole = whole.merged(interval.histograms[number])
        counts = {str(index): count for index, count in enumerate(whole.counts.tolist()) if count}
        assert counts == last[f"@h{number}"]


def feed(output: ProbeOutput, *messages: dict[str, object]) -> list[object]:
    return [output.feed(json.dumps(message).encode()) for message in messages]


def value(data: int) -> dict[str, object]:
    return {"type": "value", "data": data}


def mapped(name: str, data: object) -> dict[str, object]:
    return {"type": "map", "data": {name: data}}


def test_an_interval_is_what_has_come_since_the_last() -> None:
    output = ProbeOutput((False,))
    now = time.monotonic_ns()
    feed(output, value(1))
    *_, first = feed(output, value(now), mapped("@h0", {"300": 2, "7": 1}), mapped("@l0", 1), value(0))
    *_, second = feed(output, value(now + 1), mapped("@h0", {"300": 2, "7": 4}), mapped("@l0", 1), value(0))
    *_, third = feed(output, value(now + 2), value(0))  # no print: the map's line was lost
    assert isinstance(first, Interval) and isinstance(second, Interval) and isinstance(third, Interval)
    assert [i.calls for i in (first, second, third)] == [(3,), (3,), (0,)]
    assert [i.missed for i in (first, second, third)] == [(1,), (0,), (0,)]
    assert second.histograms[0].percentiles((100.0,)) == (7,)


@pytest.mark.parametrize(
    "line",
    [b"", b"  ", b"{", b"[]", b"1", b'"x"', b"null", b'{"type": "map"}', b'{"type": "map", "data": 3}',
     b'{"type": "lost_events", "data": {"events": 3}}', b'{"type": "value", "data": "x"}', b"\xff\xfe",
     b'{"type": "map", "data": {"@h0": {"-1": 3}}}', b'{"type": "map", "data": {"@h0": {"99999": 3}}}',
     b'{"type": "map", "data": {"@h9": {"1": 3}}}', b'{"type": "map", "data": {"@hx": {"1": 3}}}',
     b'{"type": "map", "data": {"@h0": {"1": 9999999999999999999999}}}', b'{"type": "map", "data": {"@h0": [1]}}',
     b'{"type": "map", "data": {"@h0": {"1": -3}}}', b'{"type": "map", "data": {"@l0": "many"}}'],
)  # fmt: skip
def test_lines_of_another_kind_do_no_harm(line: bytes) -> None:
    output = ProbeOutput((False,))
    now = time.monotonic_ns()
    feed(output, value(1), value(now))
    assert output.feed(line) is None
    *_, interval = feed(output, mapped("@h0", {"5": 1}), value(0))
    assert isinstance(interval, Interval) and interval.calls == (1,)


@given(lines=st.lists(st.one_of(st.binary(max_size=60), st.recursive(
    st.none() | st.integers() | st.text(max_size=4) | st.floats(),
    lambda inner: st.dictionaries(st.sampled_from(["type", "data", "@h0", "@l0", "@e0", "1"]), inner, max_size=3),
    max_leaves=8).map(lambda made: json.dumps(made).encode())), max_size=10))  # fmt: skip
def test_nothing_that_is_printed_raises(lines: list[bytes]) -> None:
    output = ProbeOutput((True,))
    for line in (b'{"type": "value", "data": 1}', b'{"type": "value", "data": 5000000000}', *lines):
        output.feed(line)


def test_both_clocks_of_bpftrace_are_understood() -> None:
    monotonic, boot = time.clock_gettime_ns(time.CLOCK_MONOTONIC), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert monotonic_s(boot) == pytest.approx(monotonic / 1e9, abs=5)


def test_time_asleep_is_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    hour = 3600 * 10**9
    clocks = {time.CLOCK_MONOTONIC: 50 * 10**9, time.CLOCK_BOOTTIME: 50 * 10**9 + hour}
    monkeypatch.setattr("time.clock_gettime_ns", clocks.__getitem__)
    assert monotonic_s(49 * 10**9 + hour) == 49.0
    assert monotonic_s(49 * 10**9) == 49.0


def test_slow_calls_belong_to_the_interval_in_which_they_ended() -> None:
    output = ProbeOutput((False, False))
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    tell = [
        value(2),
        {"type": "value", "data": [1, 77, now, now + 5000]},
        {"type": "lost_events", "data": {"events": 3}},
        value(now + 10**9),
        mapped("@d1", 4),
        value(0),
    ]
    *_, first = feed(output, *tell)
    assert isinstance(first, Interval)
    assert first.slow == ((), ((77, monotonic_ns(now), monotonic_ns(now + 5000)),))
    assert (first.dropped, first.lost) == ((0, 4), 3)
    *_, second = feed(output, value(now + 2 * 10**9), mapped("@d1", 6), value(0))
    assert isinstance(second, Interval) and second.slow == ((), ()) and (second.dropped, second.lost) == ((0, 2), 0)
    assert output.unread == 0
    feed(output, *({"type": "value", "data": data} for data in ([9, 1, 2, 3], [0, 1, 3, 2], [0, 1], [-1, 1, 2, 3])))
    assert output.unread == 4


def test_a_recorded_run_tells_as_many_slow_calls_as_its_histogram_has() -> None:
    output = ProbeOutput((False,))
    told = [output.feed(line) for line in (RECORDED.parent / "slow-calls.jsonl").read_bytes().splitlines()]
    intervals = [message for message in told if isinstance(message, Interval)]
    assert len(intervals) > 10 and output.unread == 0
    whole = Histogram.empty(1, 2)
    for interval in intervals:
        whole = whole.merged(interval.histograms[0])
    slow = [call for interval in intervals for call in interval.slow[0]]
    assert sum(sum(interval.dropped) + interval.lost for interval in intervals) == 0
    # The bucket that 60 us lies in holds shorter calls as well: 256 ns wide.
    assert whole.count_between(60_160, 1 << 40) <= len(slow) <= whole.count_between(59_904, 1 << 40)
    assert len(slow) > 50 and all(end - start >= 60_000 for _, start, end in slow)
