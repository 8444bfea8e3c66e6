"""Sums of system calls: by hand, and by HdrHistogram's own rule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stack_counts import DATA
from tailflame.analyse.syscall_diff import compare_calls
from tailflame.analyse.syscall_sums import (
    Choice,
    grouped_percentiles,
    histogram,
    length_s,
    slowest,
    sum_calls,
    sum_places,
    thread_name,
)
from tailflame.analyse.syscall_timeline import timeline
from tailflame.analyse.syscall_waits import blocked_together
from tailflame.model.histogram import Histogram
from tailflame.model.syscalls import SyscallTrace
from tailflame.parse import load

STRACE = DATA / "strace" / "6.1"
T = 1_700_000_000.0


def trace_of(path: Path) -> SyscallTrace:
    trace = load(path).syscalls
    assert trace is not None
    return trace


@pytest.fixture
def trading() -> SyscallTrace:
    return trace_of(STRACE / "trading.log.gz")


def made(tmp_path: Path, *lines: str) -> SyscallTrace:
    """Of lines "TID SECONDS CALL <DURATION>", seconds since T."""
    path = tmp_path / "strace.log"
    text = []
    for line in lines:
        tid, at, rest = line.split(" ", 2)
        text.append(f"{tid} {T + float(at):.6f} {rest}\n")
    path.write_text("".join(text))
    return trace_of(path)


# By call


def test_the_table_of_strace(trading: SyscallTrace) -> None:
    sums, (theirs,) = sum_calls(trading), trading.sums
    assert dict(zip(sums.names, zip(sums.calls.tolist(), sums.errors.tolist(), strict=True), strict=True)) == dict(
        zip(theirs.names, zip(theirs.calls.tolist(), theirs.errors.tolist(), strict=True), strict=True)
    )
    assert sums.whole_s == pytest.approx(float(theirs.seconds.sum()), rel=0.004)
    assert list(np.diff(sums.total_s) <= 0) == [True] * (len(sums) - 1)


def test_percentiles_are_hdrhistograms(trading: SyscallTrace) -> None:
    sums = sum_calls(trading)
    for at, name in enumerate(sums.names):
        rows = (trading.call == trading.names.index(name)) & (trading.returned > 0)
        values = np.rint(trading.duration_s[rows] * 1e9).astype(int).tolist()
        theirs = HdrHistogram(1, 3_600_000_000_000, 3)
        for value in values:
            theirs.record_value(value)
        ours = Histogram.of(values)
        # The end of a bucket may lie beyond the longest call: that is known better.
        expected = tuple(min(value, max(values)) for value in ours.percentiles((50.0, 99.0)))
        assert (sums.p50_ns[at], sums.p99_ns[at]) == expected, name
        assert sums.max_ns[at] == max(values)
        # The Python port rounds ranks half up instead of up: its answer is of this rank or of the one before.
        ordered = sorted(values)
        port = theirs.get_value_at_percentile(99.0)
        near = {theirs.get_highest_equivalent_value(v) for v in ordered[max(int(0.99 * len(values)) - 1, 0) :]}
        assert port in near


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 10**11)), min_size=1, max_size=60))
@settings(deadline=None, max_examples=60)
def test_percentiles_of_groups_are_those_of_their_histograms(values: list[tuple[int, int]]) -> None:
    group = np.array([g for g, _v in values])
    numbers = np.array([v for _g, v in values], dtype=np.int64)
    p50, p99, most = grouped_percentiles(group, numbers, 6)
    for which in range(6):
        own = numbers[group == which]
        if not len(own):
            assert np.isnan(p50[which]) and np.isnan(most[which])
            continue
        expected = tuple(min(value, own.max()) for value in Histogram.of(own).percentiles((50.0, 99.0)))
        assert (p50[which], p99[which]) == expected
        assert most[which] == own.max()


def test_what_never_came_back_is_in_no_sum(tmp_path: Path) -> None:
    trace = made(tmp_path, "7 0 read(3) = 1 <0.5>", "7 1 exit_group(0) = ?", "8 1 read(3, <unfinished ...>")
    assert sum_calls(trace).names == ("read",) and sum_calls(trace).calls.tolist() == [1]


def test_errors_by_name(trading: SyscallTrace) -> None:
    sums = sum_calls(trading)
    assert dict(zip(sums.names, sums.failures, strict=True))["futex"] == "EAGAIN 167, ETIMEDOUT 1"


def test_sums_alone_have_no_percentiles() -> None:
    sums = sum_calls(trace_of(STRACE / "two-modes.txt"))
    assert not sums.singles and np.isnan(sums.p99_ns).all()
    assert "getppid (32 bit)" in sums.names and sums.total_s[0] == 0.000525


def test_a_choice_of_time_thread_and_call(trading: SyscallTrace) -> None:
    begin = float(trading.start_s.min())
    span = Choice(span=(begin + 0.5, begin + 0.7))
    inside = (trading.start_s >= begin + 0.5) & (trading.start_s < begin + 0.7) & (trading.returned > 0)
    assert int(sum_calls(trading, span).calls.sum()) == int(inside.sum())
    write = trading.names.index("write")
    assert histogram(trading, Choice(call=write)).total == 805
    assert thread_name(trading, 0) == f"demo ({trading.threads[0].tid})" and thread_name(trading, -1) == ""


# By place


def test_places_add_up(trading: SyscallTrace) -> None:
    places = sum_places(trading)
    assert int(places.calls.sum()) == int(trading.returned.sum())
    at = places.places.index("/srv/journal.jsonl")
    rows = (trading.place == trading.places.index("/srv/journal.jsonl")) & (trading.returned > 0)
    assert places.calls[at] == int(rows.sum()) == 798 and places.calls_by[at] == "write 797, openat 1"
    values = np.rint(trading.duration_s[rows] * 1e9).astype(int)
    assert (places.p50_ns[at], places.p99_ns[at]) == Histogram.of(values).percentiles((50.0, 99.0))


def test_descriptors_without_names_are_told_apart() -> None:
    trace = trace_of(STRACE / "modes.log.gz")  # without -yy
    places = sum_places(trace)
    assert "descriptor 3" in places.places and "/nosuch" in places.places
    assert places.fd[places.places.index("descriptor 3")] == 3


def test_the_slowest_have_their_text(trading: SyscallTrace) -> None:
    calls = slowest(trading, number=5)
    assert calls[0].name == "futex" and calls[0].error == "ETIMEDOUT" and calls[0].duration_s == 0.999291
    assert calls[0].arguments.startswith("0x56299ae7b128, FUTEX_WAIT_BITSET_PRIVATE")
    longest = np.sort(trading.duration_s[trading.returned > 0])[::-1][:5]
    assert [call.duration_s for call in calls] == longest.tolist() and all(call.returned for call in calls)


def test_a_call_that_hangs_is_among_the_slowest(tmp_path: Path) -> None:
    trace = made(
        tmp_path,
        "1 0.0 read(3) = 0 <2.0>",
        '2 1.0 futex(0xa, FUTEX_WAIT_PRIVATE, "x", NULL <unfinished ...>',
        "3 4.0 getpid() = 3 <0.5>",
    )
    hanging, reading, _pid = slowest(trace)
    assert (hanging.name, hanging.returned, hanging.arguments) == ("futex", False, '0xa, FUTEX_WAIT_PRIVATE, "x", NULL')
    assert hanging.duration_s == pytest.approx(3.5) and hanging.place == "futex 0xa"
    assert reading.returned and reading.duration_s == 2.0


# Blocked together


def test_an_overlap_by_hand(tmp_path: Path) -> None:
    trace = made(
        tmp_path,
        "1 0.0 futex(0xa, FUTEX_WAIT_PRIVATE, 2, NULL) = 0 <1.0>",
        "2 0.4 futex(0xa, FUTEX_WAIT_PRIVATE, 2, NULL) = 0 <1.0>",
        "3 0.8 futex(0xa, FUTEX_WAIT_PRIVATE, 2, NULL) = 0 <0.1>",
        "1 2.0 futex(0xa, FUTEX_WAIT_PRIVATE, 2, NULL) = 0 <1.0>",
        "2 2.0 futex(0xb, FUTEX_WAIT_PRIVATE, 2, NULL) = 0 <1.0>",
        "2 3.0 futex(0xa, FUTEX_WAIT_PRIVATE, 2, NULL) = 0 <1.0>",
        "1 3.0 nanosleep(0xa) = 0 <1.0>",
        "1 5.0 read(3</x>, 0) = 0 <0.25>",
        "2 5.0 read(3</x>, 0) = 0 <0.25>",
    )
    lock, file = blocked_together(trace)
    assert lock.place == "futex 0xa" and lock.calls == "futex" and lock.threads == ("1", "2", "3")
    assert lock.together_s == pytest.approx(0.6) and lock.most == 3 and lock.times == 1
    assert lock.waiting_s == pytest.approx(4.1)
    assert (lock.longest_s, lock.longest_at_s) == (pytest.approx(0.6), pytest.approx(0.4))
    assert file.place == "/x" and file.together_s == pytest.approx(0.25)


def test_a_deadlock_lasts_to_the_end(tmp_path: Path) -> None:
    trace = made(
        tmp_path,
        "1 0.0 futex(0xa, FUTEX_WAIT_PRIVATE, 2, NULL <unfinished ...>",
        "2 1.0 futex(0xa, FUTEX_WAIT_PRIVATE, 2, NULL <unfinished ...>",
        "3 4.0 getpid() = 3 <0.5>",
    )
    (lock,) = blocked_together(trace)
    assert lock.together_s == pytest.approx(3.5) and lock.unfinished == 2


def test_descriptors_of_one_name_are_not_one_thing(tmp_path: Path) -> None:
    trace = made(
        tmp_path,
        "1 0.0 epoll_wait(3<anon_inode:[eventpoll]>, 0, 1, -1) = 0 <1.0>",
        "2 0.0 epoll_wait(4<anon_inode:[eventpoll]>, 0, 1, -1) = 0 <1.0>",
    )
    assert blocked_together(trace) == ()
    same = made(
        tmp_path,
        "1 0.0 epoll_wait(3<anon_inode:[eventpoll]>, 0, 1, -1) = 0 <1.0>",
        "2 0.0 epoll_wait(3<anon_inode:[eventpoll]>, 0, 1, -1) = 0 <1.0>",
    )
    assert blocked_together(same)[0].place == "anon_inode:[eventpoll] (descriptor 3)"


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(1, 20)), min_size=1, max_size=12))
@settings(deadline=None, max_examples=60)
def test_overlaps_are_those_of_counting_each_moment(waits: list[tuple[int, int, int]]) -> None:
    moments = np.zeros(80)
    for _tid, start, length in waits:
        moments[start : start + length] += 1
    n = len(waits)
    trace = replace(
        trace_of(STRACE / "attach.log"),
        names=("futex",),
        places=("futex 0xa",),
        threads=tuple(replace(trace_of(STRACE / "attach.log").threads[0], tid=t) for t in range(4)),
        call=np.zeros(n, np.int32),
        start_s=np.array([float(start) for _t, start, _l in waits]),
        duration_s=np.array([float(length) for _t, _s, length in waits]),
        thread=np.array([tid for tid, _s, _l in waits], np.int32),
        error=np.full(n, -1, np.int32),
        fd=np.full(n, -1, np.int32),
        place=np.zeros(n, np.int32),
        returned=np.ones(n, np.uint8),
        slow=np.zeros(0, np.int32),
        slow_text=(),
    )
    found = blocked_together(trace)
    expected = float((moments >= 2).sum())
    assert (found[0].together_s if found else 0.0) == pytest.approx(expected)
    if found:
        assert found[0].most == int(moments.max())


# Over time


def test_every_call_is_in_one_interval(trading: SyscallTrace) -> None:
    line = timeline(trading, bins=97)
    assert line is not None
    assert float((line.per_s * line.width_s).sum()) == pytest.approx(int(trading.returned.sum()))
    spent = float(np.nansum(trading.duration_s[trading.returned > 0]))
    assert float((line.inside * line.width_s).sum()) == pytest.approx(spent, rel=1e-6)


def test_a_part_of_the_time(tmp_path: Path) -> None:
    trace = made(tmp_path, "1 0.0 read(3) = 0 <4.0>", "2 2.0 read(3) = 0 <1.0>", "2 9.0 read(3) = 0 <1.0>")
    line = timeline(trace, span=(1.0, 5.0), bins=4)
    assert line is not None and (line.start_s, line.width_s) == (1.0, 1.0)
    assert line.inside.tolist() == pytest.approx([1.0, 2.0, 1.0, 0.0])
    assert line.per_s.tolist() == [0.0, 1.0, 0.0, 0.0]
    assert length_s(trace) == pytest.approx(10.0)


def test_without_times_there_is_nothing_over_time() -> None:
    trace = trace_of(STRACE / "stderr.log.gz")
    assert timeline(trace) is None and length_s(trace) is None and blocked_together(trace) == ()
    assert all(np.isnan(call.start_s) for call in slowest(trace))


# Two runs


def test_two_runs(tmp_path: Path) -> None:
    before = made(tmp_path, "1 0.0 read(3) = 0 <1.0>", "1 2.0 write(3) = -1 EIO (x) <0.5>", "1 9.0 getpid() = 1 <1.0>")
    after = made(tmp_path, "1 0.0 read(3) = 0 <3.0>", "1 3.0 read(3) = 0 <1.0>", "1 19.0 close(3) = 1 <1.0>")
    diff = compare_calls(before, after)
    read = next(change for change in diff.changes if change.name == "read")
    assert (read.before.calls, read.after.calls, read.before.total_s, read.after.total_s) == (1, 2, 1.0, 4.0)
    assert diff.changes[0] is read
    assert {change.name: change.status for change in diff.changes} == {
        "read": "", "write": "gone", "getpid": "gone", "close": "new",
    }  # fmt: skip
    assert diff.differ_in_length and diff.lengths == "10.0 s and 20.0 s"


def test_a_run_compared_with_itself_has_not_changed(trading: SyscallTrace) -> None:
    diff = compare_calls(trading, trading)
    assert all(change.before == change.after for change in diff.changes) and not diff.differ_in_length
