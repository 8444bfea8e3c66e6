"""The columnar profile: the builder's interning, tables that cannot be written to, weights, depths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailflame.model import NONE, Event, FrameKind, StackBuilder, StackProfile, StackTable, Thread, Weight
from tailflame.model.stacks import readonly
from tailflame.parse.trie import Trie
from tailflame.units import Unit


def two_events() -> StackProfile:
    builder = StackBuilder(events=[Event("cycles", Unit.EVENTS, has_period=True), Event("faults")])
    main, work = builder.frame("main", module="/bin/x", file="main.rs", line=3), builder.frame("work")
    builder.sample(builder.stack([main, work]), count=2, period=500, time_ns=10)
    builder.sample(builder.stack([main]), period=70, time_ns=11)
    builder.sample(builder.stack([main, work]), count=5, event=1, time_ns=12)
    return builder.build()


def test_the_example_of_the_builder() -> None:
    builder = StackBuilder()
    leaf = builder.stack([builder.frame("main"), builder.frame("work")])
    builder.sample(leaf, count=3)
    profile = builder.build()
    assert profile.total() == 3
    assert [profile.frames.name_of(int(profile.stacks.frame[row])) for row in profile.stacks.path(leaf)] == [
        "main",
        "work",
    ]


def test_equal_things_are_one() -> None:
    builder = StackBuilder()
    assert builder.frame("f", module="m") == builder.frame("f", module="m")
    assert builder.frame("f", module="m") != builder.frame("f", module="n")
    assert builder.frame("f", kind=FrameKind.INLINED) != builder.frame("f")
    assert builder.frame("f", file="a", line=1) != builder.frame("f", file="a", line=2)
    assert builder.stack([0, 1]) == builder.push(builder.stack([0]), 1)
    assert builder.stack([]) == NONE
    assert builder.thread(Thread("a", 1, 2)) == builder.thread(Thread("a", 1, 2)) == 0
    assert builder.thread(Thread("a", 1, 3)) == 1
    assert builder.string("") == NONE
    assert builder.event(Event("e")) == builder.event(Event("e", Unit.BYTES)) == 0


def test_what_is_not_known_is_minus_one_and_an_empty_name_is_a_name() -> None:
    builder = StackBuilder()
    frame = builder.frame("")
    builder.sample(builder.stack([frame]))
    profile = builder.build()
    frames, samples = profile.frames, profile.samples
    assert (frames.name_of(0), frames.module_of(0), frames.file_of(0), frames.place_of(0)) == ("", "", "", "")
    assert (samples.time_ns[0], samples.thread[0], samples.cpu[0]) == (NONE, NONE, NONE)
    assert profile.events == (Event("samples"),)


def test_places() -> None:
    builder = StackBuilder()
    for file, line in (("a.rs", 7), ("a.rs", -1)):
        builder.frame("f", file=file, line=line)
    frames = builder.build().frames
    assert [frames.place_of(i) for i in range(2)] == ["a.rs:7", "a.rs"]
    assert frames.names() == ["f", "f"]


def test_weights_are_of_one_event_in_the_chosen_column() -> None:
    profile = two_events()
    assert profile.weights().tolist() == [2, 1, 0]
    assert profile.weights(weight=Weight.PERIOD).tolist() == [500, 70, 0]
    assert profile.weights(event=1).tolist() == [0, 0, 5]
    assert profile.weights(event=1, weight=Weight.PERIOD).tolist() == [0, 0, 5], "this event has no period"
    assert (profile.total(), profile.total(weight=Weight.PERIOD)) == (3, 570)
    assert profile.unit() is Unit.SAMPLES
    assert profile.unit(weight=Weight.PERIOD) is Unit.EVENTS
    assert profile.unit(event=1, weight=Weight.PERIOD) is Unit.SAMPLES


def test_a_profile_cannot_be_changed() -> None:
    profile = two_events()
    for table in (profile.frames, profile.stacks, profile.samples):
        for name in table.__slots__:
            column = getattr(table, name)
            if isinstance(column, np.ndarray):
                with pytest.raises(ValueError, match="read-only"):
                    column[0] = 1
    with pytest.raises(AttributeError):
        profile.approximate = True  # type: ignore[misc]


def test_readonly_takes_a_copy() -> None:
    mine = np.arange(3, dtype=np.int32)
    theirs = readonly(mine, np.int32)
    mine[0] = 9
    assert theirs.tolist() == [0, 1, 2]
    view = readonly(mine[::2], np.int64)
    mine[2] = 7
    assert view.tolist() == [9, 2]


def test_an_empty_profile() -> None:
    profile = StackBuilder().build()
    assert profile.total() == 0
    assert (len(profile.frames), len(profile.stacks), len(profile.samples)) == (0, 0, 0)
    assert profile.stacks.depths().tolist() == []


def test_ten_thousand_deep_without_recursion() -> None:
    builder = StackBuilder()
    leaf = builder.stack([builder.frame("again")] * 10_000)
    table = builder.build().stacks
    assert int(table.depths()[leaf]) == 9_999
    assert len(table.path(leaf)) == 10_000


STACKS = st.lists(st.lists(st.integers(0, 5), max_size=8), max_size=30)


@given(stacks=STACKS)
def test_depths_are_the_lengths_of_paths(stacks: list[list[int]]) -> None:
    builder = StackBuilder()
    for stack in stacks:
        builder.stack(stack)
    table = builder.build().stacks
    assert table.depths().tolist() == [len(table.path(row)) - 1 for row in range(len(table))]


def spelled(table: StackTable, leaf: int) -> list[int]:
    return [int(table.frame[row]) for row in table.path(leaf)]


@given(batches=st.lists(STACKS, max_size=5))
def test_the_fast_trie_is_the_builder_s(batches: list[list[list[int]]]) -> None:
    trie, builder = Trie(), StackBuilder()
    leaves = [
        leaf
        for stacks in batches
        for leaf in trie.add([f for s in stacks for f in s], [len(s) for s in stacks]).tolist()
    ]
    every = [stack for stacks in batches for stack in stacks]
    slow = [builder.stack(stack) for stack in every]
    table = trie.table()
    assert len(trie) == len(table) == len(builder.build().stacks)
    assert [spelled(table, leaf) for leaf in leaves] == every
    assert [a == NONE for a in leaves] == [a == NONE for a in slow]
    assert len(set(zip(table.parent.tolist(), table.frame.tolist(), strict=True))) == len(table)
    assert (table.parent < np.arange(len(table))).all()
    ordered, place = trie.ordered()
    depths = ordered.depths()
    assert (np.diff(depths) >= 0).all() and (np.diff(ordered.parent) >= 0).all()
    assert [spelled(ordered, int(place[leaf]) if leaf >= 0 else NONE) for leaf in leaves] == every
    assert len(ordered) == len(table)


def test_the_trie_knows_large_frame_numbers() -> None:
    trie = Trie()
    big = 2**31 - 1
    (leaf,) = trie.add([big, 0, big], [3])
    assert spelled(trie.table(), int(leaf)) == [big, 0, big]
