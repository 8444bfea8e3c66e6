from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.stacks import profile
from tailflame.analyse.layout import FlameLayout, Order, lay_out
from tailflame.analyse.tree import CallTree, TreeOptions, build_tree
from tailflame.model.stacks import StackBuilder


def boxes(layout: FlameLayout, tree: CallTree) -> list[str]:
    """One line per row: name[start-end] in units of weight."""
    lines = []
    for depth in range(layout.depths):
        first, last = layout.row_start[depth], layout.row_start[depth + 1]
        lines.append(
            " ".join(
                f"{tree.name(int(layout.node[i]))}[{layout.start[i] * layout.total:g}-"
                f"{(layout.start[i] + layout.width[i]) * layout.total:g}]"
                for i in range(first, last)
            )
        )
    return lines


def test_siblings_stand_by_name_or_heaviest_first() -> None:
    tree = build_tree(profile("A;C 1\nA;B 5\nZ 3\nA;D 2"))
    assert boxes(lay_out(tree), tree) == ["A[0-8] Z[8-11]", "B[0-5] C[5-6] D[6-8]"]
    heavy = build_tree(profile("A;C 1\nA;B 2\nZ 9\nA;D 5"))
    assert boxes(lay_out(heavy, Order.HEAVY), heavy) == ["Z[0-9] A[9-17]", "D[9-14] B[14-16] C[16-17]"]


def test_time_order_joins_only_neighbours() -> None:
    tree = build_tree(profile("A;B 1\nA;B 1\nA;C 2\nA;B 1\nZ 3\nA;B 1", in_time_order=True))
    assert boxes(lay_out(tree, Order.TIME), tree) == [
        "A[0-5] Z[5-8] A[8-9]",
        "B[0-2] C[2-4] B[4-5] B[8-9]",
    ]


def test_time_order_needs_an_order_of_time() -> None:
    tree = build_tree(profile("B 1\nA 1\nB 1"))
    assert boxes(lay_out(tree, Order.TIME), tree) == ["A[0-1] B[1-3]"]


def test_hit_test() -> None:
    tree = build_tree(profile("A;B 5\nA 5\nC 10"))
    layout = lay_out(tree)
    assert tree.name(int(layout.node[layout.at(0, 0.49)])) == "A"
    assert tree.name(int(layout.node[layout.at(0, 0.5)])) == "C"
    assert layout.at(1, 0.3) == -1
    assert layout.at(2, 0.1) == -1
    assert layout.at(-1, 0.1) == -1


stacks = st.lists(
    st.tuples(st.lists(st.sampled_from("ABCD"), min_size=1, max_size=5), st.integers(1, 9)),
    min_size=1,
    max_size=20,
)


@given(stacks, st.sampled_from(list(Order)), st.booleans())
def test_boxes_lie_inside_their_parents_and_never_overlap(
    rows: list[tuple[list[str], int]], order: Order, inverted: bool
) -> None:
    data = profile("\n".join(f"{';'.join(f)} {n}" for f, n in rows), in_time_order=True)
    tree = build_tree(data, TreeOptions(inverted=inverted))
    layout = lay_out(tree, order)
    total = np.zeros(len(tree))
    np.add.at(total, layout.node, layout.width * layout.total)
    assert total.tolist() == pytest.approx(tree.total_weight.tolist())
    for depth in range(layout.depths):
        row = slice(layout.row_start[depth], layout.row_start[depth + 1])
        start, end = layout.start[row], layout.start[row] + layout.width[row]
        assert (start[1:] >= end[:-1] - 1e-9).all()
        for left, right, node in zip(start, end, layout.node[row], strict=True):
            if depth:
                above = layout.at(depth - 1, (left + right) / 2)
                assert layout.node[above] == tree.parent[node]
                assert layout.start[above] <= left + 1e-9
                assert right <= layout.start[above] + layout.width[above] + 1e-9


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 5), min_size=1, max_size=7), st.integers(1, 9)), min_size=1),
    st.booleans(),
)
def test_boxes_lie_by_rank_within_their_parents(stacks: list[tuple[list[int], int]], by_name: bool) -> None:
    builder = StackBuilder()
    numbers = range(6) if by_name else (3, 5, 0, 4, 1, 2)
    frames = {number: builder.frame(f"f{number}") for number in numbers}
    for stack, count in stacks:
        builder.sample(builder.stack([frames[number] for number in stack]), count=count)
    tree = build_tree(builder.build())
    for order in (Order.NAME, Order.HEAVY):
        made = lay_out(tree, order)
        assert sorted(made.node.tolist()) == list(range(len(tree)))
        left = {int(node): (start, width) for node, start, width in zip(made.node, made.start, made.width, strict=True)}
        for node in range(-1, len(tree)):
            at = 0.0 if node < 0 else left[node][0]
            children = tree.children(node).tolist()
            key = (lambda c: tree.name(c)) if order is Order.NAME else (lambda c: (-tree.total_weight[c], c))
            for child in sorted(children, key=key):
                assert left[child] == pytest.approx((at, tree.total_weight[child] / tree.total))
                at += left[child][1]
