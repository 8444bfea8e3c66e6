from __future__ import annotations

import pytest

from helpers.stacks import drawn, profile
from tailflame.analyse.hotspots import GroupBy, HotspotTable, hotspots, sandwich

EXAMPLE = """
    main: A@app!a.rs:1;B@app!b.rs:2;C@libc 3
    main: A@app!a.rs:1;B@app!b.rs:2 1
    main: A@app!a.rs:1;B@app!b.rs:2;A@app!a.rs:1 2
    side: E@app!e.rs:9;B@app!b.rs:2;C@libc 4
"""


def rows(table: HotspotTable) -> list[str]:
    return [f"{k} {s:g}/{t:g}" for k, s, t in zip(table.key, table.self_weight, table.total_weight, strict=True)]


def test_self_and_total_count_a_recursive_function_once() -> None:
    table = hotspots(profile(EXAMPLE))
    assert rows(table) == ["C 7/7", "A 2/6", "B 1/10", "E 0/4"]
    assert (table.total, table.samples) == (10, 10)
    assert [table.key[i] for i in table.hottest(2)] == ["C", "A"]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (GroupBy.MODULE, ["libc 7/7", "app 3/10"]),
        (GroupBy.FILE, ["[no source: libc] 7/7", "a.rs 2/6", "b.rs 1/10", "e.rs 0/4"]),
        (GroupBy.THREAD, ["main 6/6", "side 4/4"]),
    ],
)
def test_groups(by: GroupBy, expected: list[str]) -> None:
    assert rows(hotspots(profile(EXAMPLE), by=by)) == expected


def test_threads_filter() -> None:
    assert rows(hotspots(profile(EXAMPLE), threads=frozenset({1}))) == ["C 4/4", "B 0/4", "E 0/4"]
    assert rows(hotspots(profile(EXAMPLE), threads=frozenset({1}), by=GroupBy.THREAD)) == ["side 4/4"]


def test_inlined_frames_count_for_the_physical_function_unless_asked() -> None:
    data = profile("A;B_[i] 3\nA 1")
    assert rows(hotspots(data)) == ["A 4/4"]
    assert rows(hotspots(data, inlines=True)) == ["B 3/3", "A 1/4"]


def test_sandwich() -> None:
    view = sandwich(profile(EXAMPLE), "B")
    assert (view.self_weight, view.total_weight, view.whole) == (1, 10, 10)
    assert drawn(view.callers) == ["B=10", " A=6 (self 6)", " E=4 (self 4)"]
    assert drawn(view.callees) == ["B=10 (self 1)", " A=2 (self 2)", " C=7 (self 7)"]


def test_sandwich_of_recursion_counts_the_outermost_call() -> None:
    view = sandwich(profile("A;B;A;B 5"), "A")
    assert view.total_weight == 5
    assert drawn(view.callers) == ["A=5 (self 5)"]


def test_an_unknown_function_and_an_empty_profile_give_zeros() -> None:
    assert sandwich(profile(EXAMPLE), "nowhere").total_weight == 0
    from tailflame.model import StackBuilder

    empty = StackBuilder().build()
    for by in GroupBy:
        assert len(hotspots(empty, by=by)) == 0
