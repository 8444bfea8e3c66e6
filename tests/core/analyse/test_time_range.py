"""The profile of a moment: the samples of that range, and no others."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tailflame.analyse.time_range import between, has_times
from tailflame.model.stacks import NONE, StackBuilder, StackProfile


def timed(*times: int) -> StackProfile:
    """One sample of one stack at each time, in ns."""
    builder = StackBuilder()
    stack = builder.stack([builder.frame("f")])
    for time_ns in times:
        builder.sample(stack, time_ns=time_ns)
    return builder.build()


def test_a_range_holds_its_beginning_and_not_its_end() -> None:
    profile = timed(1_000_000_000, 2_000_000_000, 3_000_000_000)
    assert between(profile, 1.0, 3.0).samples.time_ns.tolist() == [1_000_000_000, 2_000_000_000]
    assert between(profile, 3.5, 9.0).total() == 0
    assert not between(profile, 0.0, 9.0).samples.time_ns.flags.writeable


def test_a_sample_without_a_time_is_in_no_range() -> None:
    profile = timed(NONE, 5)
    assert has_times(profile) and not has_times(timed(NONE))
    assert between(profile, -1.0, 1.0).total() == 1


@given(st.lists(st.integers(0, 10**12), max_size=30), st.floats(0, 1000))
def test_a_cut_loses_and_doubles_nothing(times: list[int], cut_s: float) -> None:
    profile = timed(*times)
    parts = between(profile, 0.0, cut_s).total() + between(profile, cut_s, 10**6).total()
    assert parts == len(times)
    assert np.array_equal(between(profile, 0.0, 10**6).samples.time_ns, profile.samples.time_ns)
