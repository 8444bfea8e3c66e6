"""Slow events of a log: told with the threads that the kernel knows, and with what is not known."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tailflame.live.log_slow import SlowLines
from tailflame.model.live import Said
from tailflame.model.slow_calls import SlowAbove, SlowCalls

OWN = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/comm").read_text().strip()


def line(total_us: float, *, thread: str = "", ago_s: float = 0.0) -> str:
    stamp = (datetime.now(UTC) - timedelta(seconds=ago_s)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return f'{{"timestamp":"{stamp}","fields":{{"total_us":{total_us}}},"threadName":"{thread}"}}'


def slow_of(told: list[SlowCalls | Said]) -> SlowCalls:
    (calls,) = [update for update in told if isinstance(update, SlowCalls)]
    return calls


def test_slow_events_stand_on_the_clock_of_the_samples() -> None:
    lines = SlowLines("total_us", SlowAbove(ns=100_000), os.getpid())
    before = time.monotonic_ns()
    lines.take([line(250, thread=str(threading.get_native_id())), line(99.9), line(100)])
    calls = slow_of(lines.told(1.0, 1.2))
    after = time.monotonic_ns()
    assert (calls.series, calls.threshold_ns, calls.start_s, len(calls), calls.lost) == ("total_us", 100_000, 1.0, 2, 0)
    assert calls.tid.tolist() == [threading.get_native_id(), -1]
    assert (calls.end_ns - calls.start_ns).tolist() == [250_000, 100_000]
    assert before - 10**7 < calls.end_ns[0] < after + 10**7
    assert len(slow_of(lines.told(1.2, 1.4))) == 0


def test_a_thread_goes_by_its_name_where_one_alone_has_it() -> None:
    named, ready, over = [], threading.Event(), threading.Event()

    def work() -> None:
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text("engine-of-order")
        named.append(threading.get_native_id())
        ready.set()
        over.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(60)
        lines = SlowLines("total_us", SlowAbove(ns=1000), os.getpid())
        lines.take([line(5, thread="engine-of-orders-0"), line(5, thread="nobody")])  # the kernel keeps 15 bytes
        told = lines.told(1.0, 1.2)
    finally:
        over.set()
        thread.join()
    assert slow_of(told).tid.tolist() == [named[0], -1]
    (said,) = [update for update in told if isinstance(update, Said)]
    assert "do not tell a thread" in said.text and "with_thread_names" in said.fix


def test_a_percentile_is_learnt_first() -> None:
    lines = SlowLines("total_us", SlowAbove(percentile=90.0), os.getpid())
    lines.take([line(value) for value in range(1, 101)])
    assert lines.told(0.0, 0.2) == [] and lines.told(4.8, 5.0) == []
    (said,) = lines.told(5.0, 5.4)
    assert isinstance(said, Said) and "p90 of the first 5 s" in said.text and "90.0 µs" in said.text
    lines.take([line(89), line(95)])
    assert len(slow_of(lines.told(5.4, 5.6))) == 1


def test_too_many_are_counted_and_a_field_without_a_unit_is_refused() -> None:
    lines = SlowLines("wait", SlowAbove(ns=1000), os.getpid(), unit="us")
    lines.take([line(5).replace("total_us", "wait")] * 30, room=20)
    calls = slow_of(lines.told(1.0, 1.005))
    assert (len(calls), calls.lost) == (10, 20)
    with pytest.raises(ValueError, match="does not tell its unit"):
        SlowLines("wait", SlowAbove(ns=1000), 1)
