"""strace's calls as stacks: names that hold from run to run, and many calls that are one sample."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.stack_counts import DATA
from tailflame.model import StackProfile, Weight
from tailflame.parse import load, strace_stacks
from tailflame.parse.strace_stacks import lasting_name

STRACE = DATA / "strace" / "6.1"


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("/srv/journal.jsonl", "/srv/journal.jsonl"),
        ("futex 0x7f8e7002f2a9", ""),
        ("/proc/4711/maps", "/proc/PID/maps"),
        ("/proc/self/maps", "/proc/self/maps"),
        ("pipe:[899107]", "pipe"),
        ("TCP:[898324]", "TCP"),
        ("UNIX-STREAM:[12->13]", "UNIX-STREAM"),
        ("TCP:[127.0.0.1:9000->10.0.0.7:58086]", "TCP:[127.0.0.1:9000->10.0.0.7:*]"),
        ("TCP:[127.0.0.1:32767->10.0.0.7:32768]", "TCP:[127.0.0.1:32767->10.0.0.7:*]"),
        ("TCPv6:[[::1]:40000->[::1]:443]", "TCPv6:[[::1]:*->[::1]:443]"),
        ("anon_inode:[eventpoll]", "anon_inode:[eventpoll]"),
        ("/tmp/a:40000", "/tmp/a:40000"),
        ("", ""),
    ],
)
def test_a_place_without_what_is_another_in_each_run(place: str, name: str) -> None:
    assert lasting_name(place) == name


def profile_of(name: str) -> StackProfile:
    profile = load(STRACE / name).profile
    assert profile is not None
    return profile


def weights(profile: StackProfile, event: int, weight: Weight) -> dict[int, float]:
    """By row of the stacks."""
    by_sample = profile.weights(event=event, weight=weight)
    found: dict[int, float] = {}
    for stack, value in zip(profile.samples.stack.tolist(), by_sample.tolist(), strict=True):
        if value:
            found[stack] = found.get(stack, 0.0) + value
    return found


def test_many_calls_of_one_kind_are_one_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    each = profile_of("trading.log.gz")
    monkeypatch.setattr(strace_stacks, "SAMPLES_LIMIT", 100)
    merged = profile_of("trading.log.gz")
    assert len(merged.samples) < len(each.samples) / 10 and np.all(merged.samples.time_ns == -1)
    for event in (0, 1):
        for weight in Weight:
            assert weights(merged, event, weight) == pytest.approx(weights(each, event, weight))
    assert merged.threads == each.threads and not merged.in_time_order


def test_many_distinct_stacks_are_sorted_as_few_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = profile_of("edge.log.gz")
    monkeypatch.setattr(strace_stacks, "_TABLE", 0)
    by_sorting = profile_of("edge.log.gz")
    assert np.array_equal(counted.samples.stack, by_sorting.samples.stack)
    assert counted.frames.strings == by_sorting.frames.strings


def test_a_log_without_durations_counts_calls() -> None:
    profile = profile_of("clock.log.gz")
    assert [event.name for event in profile.events] == ["System calls", "Errors"]
    assert not profile.events[0].has_period
