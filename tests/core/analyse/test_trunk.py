from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.stacks import profile
from tailflame.analyse.layout import Order, lay_out
from tailflame.analyse.tree import build_tree
from tailflame.analyse.trunk import SHARE, trunk
from tailflame.model import StackBuilder


def names(text: str, *, order: Order = Order.NAME, in_time_order: bool = False) -> list[str]:
    """The trunk as text, one line per row."""
    tree = build_tree(profile(text, in_time_order=in_time_order))
    return [" ".join(tree.name(int(node)) for node in row) for row in trunk(lay_out(tree, order))]


def test_the_trunk_ends_where_the_tree_branches() -> None:
    assert names("p;start;run;a 50\np;start;run;b;c 45\np;start;idle 3\np;x 2") == ["p", "start", "run"]


def test_a_hot_leaf_is_no_trunk() -> None:
    assert names("p;run;hot 97\np;run 3") == ["p", "run"]
    assert names("p;run;hot;small 10\np;run;hot 90") == ["p", "run"]
    assert names("p 1") == []


def test_below_nine_tenths_nothing_is_a_trunk() -> None:
    assert names("p;a;x;y 89\np;b;z 11") == ["p"]
    assert names("p;a;x;y 90\np;b;z 10") == ["p", "a", "x"]
    assert names("p;a;x 40\nq;b;z 60") == ["q p", "b a"]


def test_threads_side_by_side_have_a_trunk_each() -> None:
    text = "t1;start;run;a 20\nt1;start;run;b 20\nt2;start;loop;c 30\nt2;start;loop;d 30"
    assert names(text) == ["t2 t1", "start start", "loop run"]
    branching = "t1;start;a 20\nt1;start;b 20\nt2;start;loop;c 30\nt2;start;loop;d 30"
    assert names(branching) == ["t2 t1", "start start"]


def test_in_time_order_pieces_of_a_frame_count_together() -> None:
    text = "p;run;a 1\nq;w;x 0\np;run;b 30\nq;w;x 2\np;run;a 40\np;run;b 27"
    assert names(text, order=Order.TIME, in_time_order=True) == names(text) == ["p q", "run w"]


def test_no_boxes_no_trunk() -> None:
    assert trunk(lay_out(build_tree(StackBuilder().build()))) == ()


@given(st.lists(st.tuples(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), st.integers(1, 99)), max_size=12))
def test_every_row_of_a_trunk_carries_and_passes_on_nearly_everything(
    stacks: list[tuple[list[str], int]],
) -> None:
    tree = build_tree(profile("\n".join(f"{';'.join(stack)} {number}" for stack, number in stacks)))
    for order in (Order.NAME, Order.HEAVY):
        rows = trunk(lay_out(tree, order))
        for depth, row in enumerate(rows):
            assert (tree.depth[row] == depth).all()
            assert tree.total_weight[row].sum() >= SHARE * tree.total - 1e-9
            assert tree.self_weight[row].sum() <= (1 - SHARE) * tree.total + 1e-9
            assert list(tree.total_weight[row]) == sorted(tree.total_weight[row], reverse=True)
            if depth:
                assert np.isin(tree.parent[row], rows[depth - 1]).all()
        assert len(rows) < max(tree.depths, 1)


@pytest.mark.parametrize("order", [Order.NAME, Order.HEAVY])
def test_the_order_of_siblings_does_not_matter(order: Order) -> None:
    assert names("p;z;b;c 50\np;z;b;a 48\np;a 2", order=order) == ["p", "z", "b"]
