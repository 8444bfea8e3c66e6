from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.stacks import drawn, profile
from tailflame.analyse.tree import Grouping, TreeOptions, build_tree
from tailflame.model import FrameKind, StackBuilder, Weight

EXAMPLE = """
    main: A;B;C 3
    main: A;B 1
    main: A;D 2
    side: E;B;C 4
"""


def test_top_down() -> None:
    assert drawn(build_tree(profile(EXAMPLE))) == [
        "A=6",
        " B=4 (self 1)",
        "  C=3 (self 3)",
        " D=2 (self 2)",
        "E=4",
        " B=4",
        "  C=4 (self 4)",
    ]


def test_bottom_up_gives_each_function_its_self_weight_and_its_callers() -> None:
    assert drawn(build_tree(profile(EXAMPLE), TreeOptions(inverted=True))) == [
        "B=1",
        " A=1 (self 1)",
        "C=7",
        " B=7",
        "  A=3 (self 3)",
        "  E=4 (self 4)",
        "D=2",
        " A=2 (self 2)",
    ]


def test_threads_filter() -> None:
    tree = build_tree(profile(EXAMPLE), TreeOptions(threads=frozenset({1})))
    assert drawn(tree) == ["E=4", " B=4", "  C=4 (self 4)"]
    assert tree.total == 4


def test_hidden_frames_give_their_children_to_the_caller() -> None:
    tree = build_tree(profile("A;B;C 1\nA;C 2\nA;B 4"), TreeOptions(hidden=frozenset({"B"})))
    assert drawn(tree) == ["A=7 (self 4)", " C=3 (self 3)"]


def test_recursion_collapses_to_one_frame() -> None:
    tree = build_tree(profile("A;B;B;B;C 1\nA;B;C 2\nA;B;B 4"), TreeOptions(collapse_recursion=True))
    assert drawn(tree) == ["A=7", " B=7 (self 4)", "  C=3 (self 3)"]


def test_focus_cuts_stacks_to_start_at_the_outermost_occurrence() -> None:
    tree = build_tree(profile("A;B;C 1\nX;B;B;C 2\nA;D 9"), TreeOptions(focus="B"))
    assert drawn(tree) == ["B=3", " B=2", "  C=2 (self 2)", " C=1 (self 1)"]
    assert tree.total == 3


def test_modules_collapse_to_one_box() -> None:
    tree = build_tree(
        profile("A@app;m1@/lib/libc.so.6;m2@/lib/libc.so.6 1\nA@app;m3@/lib/libc.so.6;B@app 2"),
        TreeOptions(collapse_modules=frozenset({"/lib/libc.so.6"})),
    )
    assert drawn(tree) == ["A=3", " [libc.so.6]=3 (self 1)", "  B=2 (self 2)"]
    box = next(n for n in range(len(tree)) if tree.name(n) == "[libc.so.6]")
    assert tree.module(box) == "/lib/libc.so.6"


def test_inlined_frames_fold_into_the_physical_function() -> None:
    text = "A;B_[i];C_[i] 3\nA;B_[i];D 2"
    assert drawn(build_tree(profile(text), TreeOptions(inlines=False))) == ["A=5 (self 3)", " D=2 (self 2)"]
    assert drawn(build_tree(profile(text)))[1] == " B=5"


def test_grouping_by_module_file_and_line() -> None:
    text = "main@app!m.rs:1;f@app!a.rs:7 1\nmain@app!m.rs:1;f@app!a.rs:9;g@libc!c.c:3 2"
    assert drawn(build_tree(profile(text), TreeOptions(grouping=Grouping.MODULE))) == [
        "app=3 (self 1)",
        " libc=2 (self 2)",
    ]
    assert drawn(build_tree(profile(text), TreeOptions(grouping=Grouping.FILE)))[0] == "m.rs=3"
    by_line = build_tree(profile(text), TreeOptions(grouping=Grouping.LINE))
    assert [by_line.place(int(n)) for n in by_line.children(0)] == [("a.rs", 7), ("a.rs", 9)]
    assert len(build_tree(profile(text)).children(0)) == 1


def test_rust_hashes_do_not_split_a_function() -> None:
    tree = build_tree(profile("a::f::h0123456789abcdef 1\na::f::hfedcba9876543210 2"))
    assert drawn(tree) == ["a::f=3 (self 3)"]


def test_each_event_has_its_own_weights_and_units() -> None:
    from tailflame.model import Event
    from tailflame.units import Unit

    builder = StackBuilder()
    clock = builder.event(Event("cpu-clock", Unit.NANOSECONDS, has_period=True))
    faults = builder.event(Event("page-faults", Unit.EVENTS, has_period=True))
    f, g = builder.stack([builder.frame("f")]), builder.stack([builder.frame("g")])
    builder.sample(f, period=1_000_000, event=clock)
    builder.sample(g, period=7, event=faults)
    both = builder.build()
    assert drawn(build_tree(both, TreeOptions(event=clock, weight=Weight.PERIOD))) == ["f=1e+06 (self 1e+06)"]
    only = build_tree(both, TreeOptions(event=faults, weight=Weight.PERIOD))
    assert (drawn(only), only.unit, only.total) == (["g=7 (self 7)"], Unit.EVENTS, 7.0)
    assert build_tree(both, TreeOptions(event=faults)).total == 1.0


def test_a_recursion_ten_thousand_deep_needs_no_python_stack() -> None:
    builder = StackBuilder()
    at = -1
    for depth in range(10_000):
        at = builder.push(at, builder.frame(f"f{depth % 3}"))
    builder.sample(at)
    tree = build_tree(builder.build())
    assert tree.depths == 10_000
    assert tree.total_weight.tolist() == [1.0] * 10_000
    assert build_tree(builder.build(), TreeOptions(inverted=True)).depths == 10_000
    assert int(tree.outermost().sum()) == 3


def test_an_empty_profile_gives_an_empty_tree() -> None:
    for inverted in (False, True):
        tree = build_tree(StackBuilder().build(), TreeOptions(inverted=inverted))
        assert len(tree) == 0
        assert tree.total == 0
        assert list(tree.children(-1)) == []


stacks = st.lists(
    st.tuples(st.lists(st.sampled_from("ABCD"), min_size=1, max_size=6), st.integers(1, 9)),
    min_size=1,
    max_size=30,
)


@given(stacks)
def test_tree_agrees_with_a_dictionary_of_prefixes(rows: list[tuple[list[str], int]]) -> None:
    want_total: Counter[str] = Counter()
    want_self: Counter[str] = Counter()
    outermost: Counter[str] = Counter()
    for frames, count in rows:
        for depth in range(len(frames)):
            want_total[";".join(frames[: depth + 1])] += count
        want_self[";".join(frames)] += count
        for name in set(frames):
            outermost[name] += count
    tree = build_tree(profile("\n".join(f"{';'.join(f)} {n}" for f, n in rows)))
    paths = [";".join(tree.name(n) for n in tree.path(node)) for node in range(len(tree))]
    assert dict(zip(paths, tree.total_weight, strict=True)) == want_total
    assert {p: w for p, w in zip(paths, tree.self_weight, strict=True) if w} == dict(want_self)
    top = tree.outermost()
    for name, total in outermost.items():
        chosen = top & (tree.function == tree.functions.index(name))
        assert tree.total_weight[chosen].sum() == total
    enter, leave = tree.preorder()
    assert sorted(enter) == list(range(len(tree)))
    for node in range(len(tree)):
        inside = {m for m in range(len(tree)) if enter[node] <= enter[m] < leave[node]}
        assert inside == {m for m in range(len(tree)) if node in tree.path(m)}


@given(stacks)
def test_inversion_is_the_tree_of_reversed_stacks(rows: list[tuple[list[str], int]]) -> None:
    forward = profile("\n".join(f"{';'.join(f)} {n}" for f, n in rows))
    backward = profile("\n".join(f"{';'.join(f[::-1])} {n}" for f, n in rows))
    inverted = build_tree(forward, TreeOptions(inverted=True))
    assert drawn(inverted) == drawn(build_tree(backward))
    # Every sample still knows its node.
    weight = np.bincount(inverted.sample_node, weights=inverted.sample_weight, minlength=len(inverted))
    assert weight.tolist() == pytest.approx(inverted.self_weight.tolist())


@given(stacks, st.sampled_from("ABCD"))
def test_hiding_a_function_is_deleting_its_frames(rows: list[tuple[list[str], int]], name: str) -> None:
    tree = build_tree(profile("\n".join(f"{';'.join(f)} {n}" for f, n in rows)), TreeOptions(hidden=frozenset({name})))
    left = [([x for x in f if x != name], n) for f, n in rows]
    text = "\n".join(f"{';'.join(f)} {n}" for f, n in left if f)
    assert drawn(tree) == (drawn(build_tree(profile(text))) if text else [])
    assert tree.total == sum(n for _, n in rows)


def test_the_kind_of_one_node_does_not_look_at_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = build_tree(profile(EXAMPLE))
    every = [FrameKind(int(kind)) for kind in tree.kinds()]
    monkeypatch.setattr(type(tree), "kinds", lambda _tree: pytest.fail("a hover would cost as much as a drawing"))
    assert [tree.kind(node) for node in range(len(tree))] == every
