"""The call tree as an item model."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Qt
from pytestqt.modeltest import ModelTester

from helpers.stacks import profile
from tailflame.analyse.tree import CallTree, TreeOptions, build_tree
from tailflame.model import StackBuilder, StackProfile
from tailflame.units import Unit
from tailflame_gui.models import call_tree_model
from tailflame_gui.models.call_tree_model import CallTreeModel
from tailflame_gui.models.figures import measure
from tailflame_gui.models.roles import Role
from tailflame_gui.models.siblings import Siblings
from tailflame_gui.widgets.flame_search import PatternError

STACKS = """
main;run;match_order;cmp@/lib/libc.so.6 30
main;run;match_order 20
main;run;risk 25
main;idle 10
start;cmp 15
"""


def model_of(tree: CallTree, *, inverted: bool = False) -> CallTreeModel:
    model = CallTreeModel()
    model.set_tree(tree, measure=measure(tree.unit, largest=tree.total), inverted=inverted)
    return model


def top_down(text: str = STACKS) -> CallTreeModel:
    return model_of(build_tree(profile(text)))


def drawn(model: CallTreeModel, parent: QModelIndex | None = None, depth: int = 0) -> list[str]:
    parent = parent or QModelIndex()
    lines = []
    for row in range(model.rowCount(parent)):
        index = model.index(row, 0, parent)
        figures = [model.index(row, c, parent).data() for c in range(1, 5)]
        lines.append(f"{'.' * depth}{index.data()} {' '.join(f or '-' for f in figures)}")
        lines += drawn(model, index, depth + 1)
    return lines


def test_is_a_sound_model(qtmodeltester: ModelTester) -> None:
    qtmodeltester.check(top_down())
    qtmodeltester.check(CallTreeModel())
    qtmodeltester.check(model_of(build_tree(profile("a 1"))))


def test_draws_the_tree_heaviest_child_first() -> None:
    assert drawn(top_down()) == [
        "main 85.0 85 - -",
        ".run 75.0 75 - -",
        "..match_order 50.0 50 20.0 20",
        "...cmp 30.0 30 30.0 30",
        "..risk 25.0 25 25.0 25",
        ".idle 10.0 10 10.0 10",
        "start 15.0 15 - -",
        ".cmp 15.0 15 15.0 15",
    ]


def test_bottom_up_begins_with_the_leaves_and_has_no_self_of_its_own() -> None:
    tree = build_tree(profile(STACKS), TreeOptions(inverted=True))
    model = model_of(tree, inverted=True)
    roots = [model.index(row, 0).data() for row in range(model.rowCount())]
    assert roots == ["cmp", "risk", "match_order", "idle"]
    titles = [model.headerData(c, Qt.Orientation.Horizontal) for c in range(model.columnCount())]
    assert not any("Self" in title for title in titles)
    cmp_callers = model.index(0, 0)
    assert [model.index(r, 0, cmp_callers).data() for r in range(2)] == ["match_order", "start"]


def test_sorts_siblings_and_keeps_indices() -> None:
    model = top_down()
    kept = QPersistentModelIndex(model.index(1, 0))
    model.sort(0, Qt.SortOrder.DescendingOrder)
    assert [model.index(r, 0).data() for r in range(2)] == ["start", "main"]
    assert kept.data() == "start"
    assert kept.row() == 0
    model.sort(model.columns.index(model.columns[2]), Qt.SortOrder.AscendingOrder)
    assert [model.index(r, 0).data() for r in range(2)] == ["start", "main"]


def test_the_hottest_path_ends_where_the_weight_stays() -> None:
    model = top_down()
    tree = model.tree
    assert tree is not None
    assert [tree.name(n) for n in model.hottest_path()] == ["main", "run", "match_order", "cmp"]
    stays = top_down("main;work 90\nmain;work;leaf 10")
    assert stays.tree is not None
    assert [stays.tree.name(n) for n in stays.hottest_path()] == ["main", "work"]
    assert CallTreeModel().hottest_path() == []


def test_marks_matches_in_reading_order() -> None:
    model = top_down()
    tree = model.tree
    assert tree is not None
    found = model.mark("cmp|idle")
    assert [(tree.name(int(n)), int(tree.depth[n])) for n in found] == [("cmp", 3), ("idle", 1), ("cmp", 1)]
    assert model.index_of(int(found[0])).data(Role.MARKED) is True
    assert model.index(0, 0).data(Role.MARKED) is False
    assert model.share_of(found) == pytest.approx(0.55)
    model.sort(0, Qt.SortOrder.DescendingOrder)
    assert [int(tree.depth[n]) for n in model.mark("cmp")] == [1, 3]
    with pytest.raises(PatternError):
        model.mark("(")
    assert len(model.mark("")) == 0


def test_nested_matches_count_once() -> None:
    model = top_down("f;g;f 10\nh 10")
    assert model.share_of(model.mark("f")) == pytest.approx(0.5)


def test_finds_the_nodes_of_a_function_heaviest_first() -> None:
    model = top_down()
    assert model.tree is not None
    assert [model.tree.total_weight[n] for n in model.nodes_of("cmp")] == [30, 15]
    assert len(model.nodes_of("absent")) == 0


def test_weights_other_than_samples_add_a_column_of_samples() -> None:
    tree = build_tree(profile("a;b 3"))
    with_time = CallTree(**{**{f: getattr(tree, f) for f in tree.__slots__ if f != "_cache"}, "unit": Unit.NANOSECONDS})
    model = model_of(with_time)
    assert "Samples" in [model.headerData(c, Qt.Orientation.Horizontal) for c in range(model.columnCount())]


def _deep(depth: int) -> StackProfile:
    builder = StackBuilder()
    frames = [builder.frame(f"level_{i % 7}") for i in range(depth)]
    builder.sample(builder.stack(frames), count=5)
    return builder.build()


def test_ten_thousand_levels_need_no_recursion() -> None:
    model = model_of(build_tree(_deep(10_000)))
    path = model.hottest_path()
    assert len(path) == 10_000
    index = model.index_of(path[-1])
    steps = 0
    while index.isValid():
        index, steps = index.parent(), steps + 1
    assert steps == 10_000
    assert len(model.mark("level_3")) == 10_000 // 7 + 1


def test_a_million_nodes_open_in_a_moment() -> None:
    rng = np.random.default_rng(3)
    fan, levels = 100, 3
    counts = [fan**level for level in range(1, levels + 1)]
    starts = np.cumsum([0, *counts])
    parent = np.concatenate(
        [np.full(fan, -1), *(np.repeat(np.arange(starts[i], starts[i + 1]), fan) for i in range(levels - 1))]
    ).astype(np.int32)
    size = len(parent)
    base = build_tree(profile("\n".join(f"f{i} 1" for i in range(fan))))
    total = rng.random(size)
    values = {f: getattr(base, f) for f in base.__slots__ if f != "_cache"}
    tree = CallTree(
        **{
            **values,
            "parent": parent,
            "function": np.tile(np.arange(fan, dtype=np.int32), size // fan),
            "frame": np.full(size, -1, dtype=np.int32),
            "depth": np.repeat(np.arange(levels, dtype=np.int32), counts),
            "self_weight": total,
            "total_weight": total,
            "self_samples": total,
            "total_samples_of": total,
            "level_start": starts.astype(np.int64),
        }
    )
    began = time.perf_counter()
    model = model_of(tree)
    middle = model.index(50, 0)
    leaf = model.index(99, 0, model.index(3, 0, middle))
    assert leaf.isValid()
    assert model.rowCount(leaf) == 0
    assert leaf.parent().parent() == middle
    assert time.perf_counter() - began < 3  # about 0.3 s
    lines = [model.index(r, call_tree_model.TOTAL, middle).data(Role.RAW) for r in range(100)]
    assert lines == sorted(lines, reverse=True)


def test_siblings_need_no_order_of_nodes() -> None:
    base = build_tree(profile("a 1\nb 2\nc 3\nd 4"))
    values = {f: getattr(base, f) for f in base.__slots__ if f != "_cache"}
    scattered = CallTree(**{**values, "parent": np.array([-1, 0, -1, 0], dtype=np.int32)})
    siblings = Siblings(scattered, -scattered.total_weight)
    assert siblings.children(-1).tolist() == [2, 0]
    assert siblings.children(0).tolist() == [3, 1]
    assert [siblings.line(1, 0), siblings.line(3, 0), siblings.line(2, -1)] == [1, 0, 0]
    assert (siblings.count(0), siblings.count(3)) == (2, 0)
    assert siblings.children(3).tolist() == []


def test_an_order_made_elsewhere_is_taken(qtmodeltester: ModelTester) -> None:
    tree = build_tree(profile(STACKS))
    model = CallTreeModel()
    model.set_tree(tree, measure=measure(tree.unit, largest=tree.total), siblings=Siblings.heaviest_first(tree))
    assert drawn(model) == drawn(top_down())
    qtmodeltester.check(model)
