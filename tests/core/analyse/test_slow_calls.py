"""Samples told apart by the calls they fell into, against counting them one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailflame.analyse.slow_calls import attribute, inside, own_frames, split, verdict
from tailflame.model import Event, StackBuilder, StackProfile, Thread
from tailflame.model.live_record import LiveRecord
from tailflame.model.slow_calls import SlowCalls

FUNCTION = "engine::process_order"
SECOND = 10**9
calls_of = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 60), st.integers(0, 20)), max_size=12)


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 90)), max_size=40), calls_of)
def test_a_sample_is_inside_where_any_call_of_its_thread_is(
    samples: list[tuple[int, int]], calls: list[tuple[int, int, int]]
) -> None:
    spans = [(tid, start, start + length) for tid, start, length in calls]
    columns = np.array(spans, dtype=np.int64).reshape(-1, 3)
    pairs = np.array(samples, dtype=np.int64).reshape(-1, 2)
    within, seen = inside(pairs[:, 0], pairs[:, 1], columns[:, 0], columns[:, 1], columns[:, 2])
    assert within.tolist() == [any(t == tid and a <= at <= b for t, a, b in spans) for tid, at in samples]
    assert seen.tolist() == [any(t == tid and a <= at <= b for tid, at in samples) for t, a, b in spans]


def profile_of(*rows: tuple[int, int, str]) -> StackProfile:
    """(tid, time in ns, "a;b;c"); tid -1: no thread."""
    builder = StackBuilder(events=[Event("cpu-clock")])
    for tid, time_ns, stack in rows:
        leaf = builder.stack([builder.frame(name) for name in stack.split(";")])
        thread = builder.thread(Thread("engine", 1, tid)) if tid >= 0 else -1
        builder.sample(leaf, time_ns=time_ns, thread=thread)
    return builder.build()


def slow_calls(*calls: tuple[int, int, int], start_s: float = 1.0, length_s: float = 9.0, lost: int = 0) -> SlowCalls:
    return SlowCalls.of(FUNCTION, 100_000, start_s, length_s, calls, lost=lost)


def test_every_sample_is_on_one_side_or_counted() -> None:
    fast, slow = f"main;{FUNCTION};match", f"main;{FUNCTION};recheck"
    profile = profile_of(
        (7, 2 * SECOND, slow),
        (7, 2 * SECOND + 10, slow),
        (7, 2 * SECOND + 11, fast),  # just behind its end
        (8, 2 * SECOND + 5, fast),  # another thread at that time
        (7, 3 * SECOND, "main;idle"),
        (7, 2 * SECOND + 4, "[unknown]"),
        (7, 20 * SECOND, fast),
        (7, SECOND // 2, fast),
        (-1, 2 * SECOND + 5, fast),
        (7, -1, fast),
    )
    parts = attribute(profile, [slow_calls((7, 2 * SECOND, 2 * SECOND + 10), (9, 0, 2 * SECOND), lost=3)])
    assert (len(parts.slow.samples), len(parts.fast.samples)) == (2, 2)
    assert (parts.outside, parts.torn, parts.unwatched, parts.unplaced) == (1, 1, 2, 2)
    assert (parts.calls, parts.unseen, parts.lost, parts.by_stack) == (2, 1, 3, True)
    assert parts.length_ns == 10 + 2 * SECOND
    assert set(parts.slow.samples.time_ns) == {2 * SECOND, 2 * SECOND + 10}
    text = " ".join(parts.facts(rate_hz=100.0))
    assert "2 calls" in text and "100 µs or longer" in text and "1 of the slow calls have no sample" in text
    assert "few samples" in text


def test_calls_within_each_other_last_once() -> None:
    calls = slow_calls((7, 100, 200), (7, 120, 150), (7, 180, 260), (8, 100, 110), (7, 400, 410))
    assert attribute(profile_of((7, 130, FUNCTION)), [calls]).length_ns == 160 + 10 + 10


def test_what_lies_between_two_times_of_watching_is_neither() -> None:
    rows = [(7, second * SECOND, f"main;{FUNCTION}") for second in range(1, 9)]
    watched = [slow_calls(length_s=1.5), slow_calls((7, 6 * SECOND - 1, 6 * SECOND + 1), start_s=5.5, length_s=2.0)]
    parts = attribute(profile_of(*rows), watched)
    assert (len(parts.slow.samples), len(parts.fast.samples), parts.unwatched) == (1, 3, 4)


def test_without_call_graphs_the_rest_of_the_threads_stands_for_the_fast_calls() -> None:
    profile = profile_of((7, 2 * SECOND, "recheck"), (7, 3 * SECOND, "match"), (8, 3 * SECOND, "log"))
    parts = attribute(profile, [slow_calls((7, 2 * SECOND - 5, 2 * SECOND + 5))])
    assert (len(parts.slow.samples), len(parts.fast.samples), parts.outside, parts.by_stack) == (1, 1, 1, False)
    assert "No stack shows the function" in " ".join(parts.facts())


def test_an_ambiguous_name_of_a_probe_is_found_in_the_stacks() -> None:
    profile = profile_of((7, 2 * SECOND, "main;parse"))
    calls = SlowCalls.of("parse [2f7c1a9d] #2", 1000, 1.0, 9.0, [(7, 0, 1)])
    assert attribute(profile, [calls]).by_stack


def tail() -> StackProfile:
    """10,000 fast calls' samples and 500 slow ones', which revalue; both match a little."""
    rows = [
        (7, 2 * SECOND + i * 1000, f"main;{FUNCTION};" + ("check;exposure" if i % 3 else "match")) for i in range(9000)
    ]
    for i in range(500):
        stack = "check;recheck;margin" if i % 10 else "match"
        rows.append((7, 5 * SECOND + i * 1000, f"main;{FUNCTION};{stack}"))
    return profile_of(*rows)


def test_the_verdict_names_what_only_slow_calls_do_first() -> None:
    slow = slow_calls(*((7, 5 * SECOND + i * 10_000, 5 * SECOND + i * 10_000 + 9_999) for i in range(50)))
    record = LiveRecord(0.0, 1.0, 10.0, slow=(slow,))
    parts = split(tail(), record, series="process_order")
    comparison = parts.compared()
    own = own_frames(parts, comparison)
    assert [frame.name for frame in own] == ["recheck"]
    assert (own[0].share_slow, own[0].share_fast) == (0.9, 0.0)
    said = verdict(parts, comparison)
    assert said[0] == "recheck is the slow calls' own: 90.0% of their samples, none of the fast ones'."
    assert any("exposure" in sentence for sentence in said[1:])


def test_equal_sides_have_no_frames_of_their_own() -> None:
    stacks = [f"main;{FUNCTION};{name}" for name in ("check", "match", "book")]
    profile = profile_of(*((7, 2 * SECOND + i * 1000, stacks[i % 3]) for i in range(3000)))
    calls = slow_calls(*((7, 2 * SECOND + i, 2 * SECOND + i + 299_000) for i in range(0, 3_000_000, 600_000)))
    parts = attribute(profile, [calls])
    comparison = parts.compared()
    assert own_frames(parts, comparison) == ()
    assert verdict(parts, comparison) == ("No function moved beyond the noise.",)


def test_what_was_not_kept_is_said() -> None:
    profile = profile_of((7, 2 * SECOND, FUNCTION))
    with pytest.raises(ValueError, match="No slow calls were kept"):
        split(profile, LiveRecord(0.0, 1.0, 10.0))
    with pytest.raises(ValueError, match="No call of engine::process_order was slow"):
        split(profile, LiveRecord(0.0, 1.0, 10.0, slow=(slow_calls(),)))
    with pytest.raises(ValueError, match="only of: engine::process_order"):
        split(profile, LiveRecord(0.0, 1.0, 10.0, slow=(slow_calls((7, 1, 2)),)), series="on_tick")


def test_an_empty_profile_has_two_empty_sides() -> None:
    parts = attribute(StackBuilder().build(), [slow_calls((7, 1, 2))])
    assert len(parts.slow.samples) == len(parts.fast.samples) == 0 and parts.unseen == 1


def test_one_slow_call_is_no_witness() -> None:
    """All its samples show one function, and tell no more of slow calls than one would."""
    record = LiveRecord(0.0, 1.0, 10.0, slow=(slow_calls((7, 5 * SECOND, 5 * SECOND + 500_000)),))
    parts = split(tail(), record)
    assert parts.samples_per_call == 500
    assert own_frames(parts, parts.compared()) == ()


def test_what_is_only_on_the_way_to_the_slow_path_is_not_named() -> None:
    """Fast calls are in `check` too, a tenth as much; `recheck` is where they part."""
    rows = [
        (7, 2 * SECOND + i * 1000, f"main;{FUNCTION};" + ("match" if i % 14 else "check;limits")) for i in range(9000)
    ]
    rows += [(7, 5 * SECOND + i * 1000, f"main;{FUNCTION};check;recheck;margin") for i in range(450)]
    rows += [(7, 6 * SECOND + i * 1000, f"main;{FUNCTION};match") for i in range(50)]
    spans = [
        (7, second * SECOND + i * 10_000, second * SECOND + i * 10_000 + 9_999) for second in (5, 6) for i in range(45)
    ]
    parts = attribute(profile_of(*rows), [slow_calls(*spans)])
    (own,) = own_frames(parts, parts.compared())
    assert own.name == "recheck" and own.share_fast == 0.0


def test_samples_of_the_probe_itself_are_on_no_side() -> None:
    probe = f"main;{FUNCTION};asm_exc_int3;uprobe_notify_resume"
    rows = [
        (7, 2 * SECOND, probe),
        (7, 2 * SECOND, f"main;{FUNCTION}"),
        (7, 3 * SECOND, probe),
        (8, 3 * SECOND, "asm_exc_int3"),
    ]
    parts = attribute(profile_of(*rows), [slow_calls((7, 2 * SECOND - 5, 2 * SECOND + 5))])
    assert (len(parts.slow.samples), len(parts.fast.samples), parts.probing, parts.outside) == (1, 0, 2, 1)
    assert parts.unwatched == parts.torn == 0
