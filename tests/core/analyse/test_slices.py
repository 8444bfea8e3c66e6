"""Slices: what is merged weighs what its parts did, to the last sample; what is subtracted leaves what came."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.stacks import profile
from tailflame.analyse.slices import (
    FEW,
    Held,
    Slice,
    chosen,
    coarsen,
    difference,
    figures,
    gathered,
    looks_cumulative,
    merge,
    merged,
    strip_profile,
    within,
)
from tailflame.analyse.time_range import between
from tailflame.model import NONE, Event, FrameKind, StackBuilder, StackProfile, Thread, Weight
from tailflame.units import Unit

BEFORE = """
main;match_order 50
main;risk;check_exposure 25
idle 3
"""
AFTER = """
main;match_order 70
main;risk;check_exposure 25
main;risk 4
kernel: main;write_[k] 6
"""


def weights(one: StackProfile) -> Counter[tuple[str, ...]]:
    """Samples by thread and stack, with all that tells frames apart."""
    found: Counter[tuple[str, ...]] = Counter()
    samples = one.samples
    for stack, count, thread in zip(samples.stack, samples.count, samples.thread, strict=True):
        rows = one.stacks.path(int(stack))
        frames = [int(one.stacks.frame[row]) for row in rows]
        words = [f"{one.frames.name_of(f)}@{one.frames.module_of(f)}!{one.frames.place_of(f)}" for f in frames]
        found["" if thread < 0 else one.threads[thread].name, *words] += float(count)
    return found


def test_merging_adds_up_stack_by_stack() -> None:
    one, other = profile(BEFORE), profile(AFTER)
    both = merge([one, other])
    assert weights(both) == weights(one) + weights(other)
    assert both.total() == one.total() + other.total() == 183
    # A trie still: no two rows share parent and frame, parents stand first.
    pairs = list(zip(both.stacks.parent.tolist(), both.stacks.frame.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert all(parent < row for row, (parent, _) in enumerate(pairs))
    kinds = {both.frames.name_of(f): FrameKind(both.frames.kind[f]) for f in range(len(both.frames))}
    assert kinds["write"] is FrameKind.KERNEL


def test_merging_keeps_modules_lines_events_threads_and_times() -> None:
    def made(event: str, module: str, at: int) -> StackProfile:
        b = StackBuilder()
        b.event(Event(event, Unit.NANOSECONDS, has_period=True))
        leaf = b.stack([b.frame("f", module=module, file="f.rs", line=3)])
        b.sample(leaf, count=2, period=7.0, time_ns=at, thread=b.thread(Thread("t", 1, 2)), cpu=1)
        return b.build()

    both = merge([made("cpu-clock", "a", 5), made("cycles", "b", 6), made("cpu-clock", "a", 7)])
    assert [event.name for event in both.events] == ["cpu-clock", "cycles"]
    assert both.threads == (Thread("t", 1, 2),)
    assert both.samples.time_ns.tolist() == [5, 6, 7]
    assert both.samples.event.tolist() == [0, 1, 0]
    assert both.total(weight=Weight.PERIOD) == 14
    assert sorted(both.frames.module_of(f) for f in range(len(both.frames))) == ["a", "b"]
    assert both.frames.place_of(0) == "f.rs:3"


def test_an_idle_slice_puts_no_event_before_the_others() -> None:
    b = StackBuilder()
    b.event(Event("cpu-clock", Unit.NANOSECONDS, has_period=True))
    b.sample(b.stack([b.frame("f")]), count=2, period=7.0)
    both = merge([StackBuilder().build(), b.build()])
    assert [event.name for event in both.events] == ["cpu-clock"]
    assert both.total() == 2
    assert merge([StackBuilder().build(), StackBuilder().build()]).total() == 0


def test_what_is_gathered_weighs_the_same_in_fewer_rows() -> None:
    both = merge([profile(BEFORE), profile(BEFORE), profile(AFTER)])
    few = gathered(both, 9)
    assert weights(few) == weights(both)
    assert len(few.samples) == len(set(weights(both)))
    assert set(few.samples.time_ns.tolist()) == {9}


STACKS = st.lists(
    st.tuples(st.lists(st.sampled_from("abcd"), min_size=1, max_size=5), st.integers(1, 9)), min_size=0, max_size=12
)


def made(rows: list[tuple[list[str], int]]) -> StackProfile:
    b = StackBuilder()
    for frames, count in rows:
        b.sample(b.stack([b.frame(name) for name in frames]), count=count)
    return b.build()


@given(st.lists(STACKS, min_size=1, max_size=4))
def test_any_profiles_merge_exactly_in_any_order(parts: list[list[tuple[list[str], int]]]) -> None:
    profiles = [made(rows) for rows in parts]
    whole = weights(merge(profiles))
    assert whole == sum((weights(one) for one in profiles), Counter())
    assert whole == weights(gathered(merge([merge(profiles[:1]), *reversed(profiles[1:])])))


@given(STACKS, STACKS)
def test_a_snapshot_less_the_one_before_is_what_came_between(
    one: list[tuple[list[str], int]], more: list[tuple[list[str], int]]
) -> None:
    before, came = made(one), made(more)
    found = difference(merge([before, came]), before)
    assert not found.restarted
    assert weights(found.profile) == weights(came)


def test_what_has_become_less_was_started_anew() -> None:
    found = difference(profile(AFTER), profile(BEFORE))  # idle is gone
    assert found.restarted
    assert found.profile.total() == profile(AFTER).total()


def test_three_that_only_grow_look_cumulative_and_others_do_not() -> None:
    one, two = profile(BEFORE), merge([profile(BEFORE), profile(AFTER)])
    three = merge([two, profile(AFTER)])
    assert looks_cumulative([one, two, three])
    assert not looks_cumulative([one, two])  # two may be chance
    assert not looks_cumulative([profile(BEFORE), profile(AFTER), profile(BEFORE)])
    # A restart among many that grow.
    assert looks_cumulative([one, two, three, one, two, three])


def test_figures_name_the_function_on_top() -> None:
    told = figures(Slice(10.0, 2.0, profile(BEFORE), "perf.data.1", 4, 5))
    assert (told.samples, told.top, told.top_share) == (78, "match_order", 50 / 78)
    assert (told.parts, told.end_s, told.cpu_s) == (2, 12.0, None)
    nothing = figures(Slice(0.0, 1.0, StackBuilder().build()))
    assert (nothing.samples, nothing.top) == (0, "")


def test_samples_are_in_the_slice_whose_file_they_stand_in() -> None:
    b = StackBuilder()
    for at in (NONE, 4_900_000_000, 5_500_000_000, 7_000_000_000):
        b.sample(b.stack([b.frame("f")]), time_ns=at)
    placed = within(b.build(), 5.0, 1.0)
    assert placed.samples.time_ns.tolist() == [5_499_999_999, 5_000_000_000, 5_500_000_000, 5_999_999_999]


@pytest.mark.parametrize("rows", [1_000_000, 1])
def test_a_strip_gives_each_slice_back(rows: int) -> None:
    parts = [Slice(float(n), 1.0, profile(text), f"{n}") for n, text in enumerate((BEFORE, AFTER, BEFORE))]
    strip = strip_profile(parts, rows=rows)
    assert strip.total() == 78 + 105 + 78
    for part in parts:
        assert weights(between(strip, part.start_s, part.end_s)) == weights(part.profile)
    assert chosen(parts, 0.4, 1.6) == parts[:2]


def test_neighbours_merge_into_one_of_both_lengths() -> None:
    one = merged([Slice(1.0, 2.0, profile(BEFORE), "a", 1, 1), Slice(3.0, 2.5, profile(AFTER), "b", 2, 2, "odd")])
    assert (one.start_s, one.length_s, one.first, one.last, one.note) == (1.0, 4.5, 1, 2, "odd")
    assert weights(one.profile) == weights(profile(BEFORE)) + weights(profile(AFTER))


# Growing old.


def aged(held: list[Held], budget: int, most: int) -> list[Held]:
    """What is left when every step is taken, as the store takes them."""
    held = list(held)
    while (step := coarsen(held, budget=budget, most=most)).needed:
        for n in step.drop_raw:
            held[n] = Held(held[n].start_s, held[n].length_s, held[n].bytes)
        if step.merge_at is None:
            break
        one, other = held[step.merge_at : step.merge_at + 2]
        held[step.merge_at : step.merge_at + 2] = [
            Held(one.start_s, one.length_s + other.length_s, max(one.bytes, other.bytes))
        ]
    return held


def test_raw_files_go_first_and_the_oldest_of_them() -> None:
    held = [Held(float(n), 1.0, 10, 100) for n in range(5)]
    step = coarsen(held, budget=350, most=100)
    assert (step.drop_raw, step.merge_at) == ((0, 1), None)
    assert not coarsen(held, budget=550, most=100).needed


def test_what_is_old_is_coarse_and_what_is_new_is_fine() -> None:
    left: list[Held] = []
    for n in range(500):
        left = aged([*left, Held(float(n), 1.0, 10, 100)], budget=10**9, most=40)
        assert len(left) <= 40
    lengths = [one.length_s for one in left]
    assert sum(lengths) == 500
    assert lengths[-2:] == [1.0, 1.0]
    assert lengths[0] >= 16
    # From old to new never much longer again.
    assert all(after <= 2 * before for before, after in pairwise(lengths))
    assert np.all(np.diff([one.start_s for one in left]) > 0)


def test_a_few_are_left_whatever_the_budget() -> None:
    left = aged([Held(float(n), 1.0, 1000) for n in range(30)], budget=1, most=720)
    assert len(left) == FEW
    assert sum(one.length_s for one in left) == 30
