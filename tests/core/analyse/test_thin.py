"""Deep and narrow trees go by plain loops, wide ones by arrays: the same comes out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.stacks import profile
from tailflame.analyse import thin
from tailflame.analyse.tree import CallTree, TreeOptions, build_tree
from tailflame.parse import trie
from tailflame.parse.trie import Trie

STACKS = st.lists(st.tuples(st.lists(st.sampled_from("ABCD"), min_size=1, max_size=9), st.integers(1, 9)), min_size=1)


def columns(tree: CallTree) -> list[list[float]]:
    return [
        column.tolist()
        for column in (tree.parent, tree.function, tree.total_weight, tree.total_samples_of, *tree.preorder())
    ]


@given(STACKS, st.booleans())
def test_loops_and_arrays_make_one_tree(rows: list[tuple[list[str], int]], inverted: bool) -> None:
    held = profile("\n".join(f"{';'.join(names)} {count}" for names, count in rows))
    made = []
    for wide in (0, 1 << 40):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(thin, "_WIDE", wide)
            made.append(columns(build_tree(held, TreeOptions(inverted=inverted))))
    assert made[0] == made[1]


@given(st.lists(st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=6), max_size=4))
def test_a_trie_grows_the_same_by_few_and_by_many(batches: list[list[list[int]]]) -> None:
    made = []
    for few in (0, 1 << 40):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trie, "_FEW", few)
            grown = Trie()
            leaves = [
                grown.add(
                    np.array([frame for stack in batch for frame in stack], dtype=np.int32),
                    [len(stack) for stack in batch],
                ).tolist()
                for batch in batches
            ]
            table = grown.table()
            made.append((leaves, table.frame.tolist(), table.parent.tolist()))
    assert made[0] == made[1]


def test_ten_thousand_levels_are_no_case_for_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"f{depth}" for depth in range(10_000)]
    held = profile(f"{';'.join(names)} 7\n{';'.join(reversed(names))} 3")
    monkeypatch.setattr(np, "unique", lambda *_a, **_k: pytest.fail("once for each of ten thousand levels"))
    tree = build_tree(held)
    enter, leave = tree.preorder()
    assert (len(tree), tree.depths, tree.total) == (20_000, 10_000, 10)
    assert sorted(enter.tolist()) == list(range(20_000)) and int(leave.max()) == 20_000
