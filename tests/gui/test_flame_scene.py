"""Who calls whom, read from the geometry; and searching: matches and the share of the view they cover."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.flames import ORDERS, box, picture
from tailflame.analyse.layout import Order
from tailflame_gui.widgets.flame_geometry import Geometry, History, Viewpoint, bounded
from tailflame_gui.widgets.flame_scene import Union
from tailflame_gui.widgets.flame_search import PatternError, matching, search


def test_paths_and_back() -> None:
    scene = picture().scene
    push = box(scene, "main;run;match;push")
    assert scene.names_to(push) == ("main", "run", "match", "push")
    assert scene.find(["main", "run", "match", "push"]) == push
    assert scene.find(["main", "walk"]) == -1
    assert scene.parent(box(scene, "main")) == -1


def test_children_lie_within_their_parent() -> None:
    scene = picture().scene
    names = [scene.name(int(b)) for b in scene.children(box(scene, "main;run"))]
    assert names == ["match", "parse"]
    assert [scene.name(int(b)) for b in scene.children(-1)] == ["main"]
    assert not len(scene.children(box(scene, "main;idle")))


def test_neighbours_end_at_the_end_of_the_row() -> None:
    scene = picture().scene
    idle, run = box(scene, "main;idle"), box(scene, "main;run")
    assert scene.neighbour(idle, 1) == run and scene.neighbour(run, 1) == -1 and scene.neighbour(idle, -1) == -1


def test_in_time_order_a_node_has_several_boxes() -> None:
    scene = picture("a;x 1\na;y 1\na;x 1\na;x 2", order=Order.TIME, in_time_order=True).scene
    names = [scene.name(b) for b in range(len(scene)) if scene.depth(b) == 1]
    assert names == ["x", "y", "x"]
    assert scene.width(scene.box_of_function("x")) == pytest.approx(0.6)
    assert scene.find(["a", "x"]) == scene.box_of_function("x")


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), min_size=1, max_size=30))
def test_every_child_names_its_parent_back(stacks: list[list[str]]) -> None:
    scene = picture("\n".join(";".join(stack) for stack in stacks)).scene
    for b in range(len(scene)):
        for child in scene.children(b).tolist():
            assert scene.parent(child) == b
    counted = sum(len(scene.children(b)) for b in range(-1, len(scene)))
    assert counted == len(scene)


# search


def test_a_search_covers_the_union_of_extents() -> None:
    scene = picture().scene
    found = search(scene, "match|push|parse")
    # push lies within match: it counts once.
    assert found.share() == pytest.approx(0.8)
    assert found.share(0.0, 0.5) == pytest.approx(0.6)
    assert [scene.name(b) for b in found.boxes.tolist()] == ["match", "parse", "push"]


def test_case_is_ignored_unless_asked() -> None:
    scene = picture().scene
    assert len(search(scene, "MATCH")) == 1
    assert len(search(scene, "MATCH", ignore_case=False)) == 0
    assert len(search(scene, "MA.CH", ignore_case=True)) == 1
    assert len(search(scene, "MA.CH", ignore_case=False)) == 0


def test_nothing_matches_nothing() -> None:
    scene = picture().scene
    assert search(scene, "").share() == 0 and search(scene, "zzz").share() == 0


def test_a_broken_expression_says_where() -> None:
    with pytest.raises(PatternError) as failure:
        matching(["main"], "ma(in")
    assert "missing closing parenthesis" in failure.value.sentence and "character 6" in failure.value.sentence
    assert failure.value.advice


def test_an_expression_that_explodes_is_refused_at_once() -> None:
    before = time.monotonic()
    with pytest.raises(PatternError, match="too many ways"):
        matching(["a" * 60 + "-"] * 1000, "(a|aa)+$")
    assert time.monotonic() - before < 2


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(1, 30)), max_size=30), st.integers(0, 80), st.integers(1, 40)
)
def test_the_union_is_what_counting_gives(intervals: list[tuple[int, int]], left: int, width: int) -> None:
    start = np.array([s for s, _ in intervals], dtype=np.float64)
    end = np.array([s + w for s, w in intervals], dtype=np.float64)
    covered = sum(any(s <= cell < s + w for s, w in intervals) for cell in range(left, left + width))
    union = Union.of(start, end)
    assert union.share(left, left + width) == pytest.approx(covered / width)
    assert (union.start[1:] > union.end[:-1]).all()


# geometry


@pytest.mark.parametrize("rooted_below", [False, True])
@pytest.mark.parametrize(("depths", "scroll"), [(3, 0), (30, 0), (30, 130), (30, 400)])
def test_rows_lie_where_they_are_hit(depths: int, scroll: int, rooted_below: bool) -> None:
    view = Geometry(width=100, height=200, depths=depths, scroll=scroll, rooted_below=rooted_below)
    for y in range(0, 200, 3):
        depth = view.depth_at(y)
        assert depth == -1 or view.top(depth) <= y < view.top(depth) + view.row_height
    seen = {view.depth_at(y) for y in range(200)} - {-1}
    assert set(view.visible().tolist()) == seen
    tops = [view.top(d) for d in view.visible().tolist()]
    assert tops == sorted(tops)


def test_fractions_and_pixels_are_each_others_inverse() -> None:
    view = Geometry(width=640, height=10, depths=1, x0=0.25, x1=0.5)
    assert view.x_of(view.fraction_at(123.0)) == pytest.approx(123.0)


def test_scrolling_to_a_row_moves_no_more_than_needed() -> None:
    view = Geometry(width=10, height=200, depths=100, scroll=500)
    assert view.showing(30) == 500
    assert view.showing(2) == 20
    assert view.showing(60) == 60 * 20 + 40 - 200


@pytest.mark.parametrize("rooted_below", [False, True])
def test_zooming_leaves_room_for_callees(rooted_below: bool) -> None:
    view = Geometry(width=10, height=200, depths=100, scroll=800, rooted_below=rooted_below)
    for depth in (5, 30, 60, 90):
        framed = replace(view, scroll=view.framing(depth))
        top = framed.top(depth)
        from_root = 200 - top - 20 if rooted_below else top
        assert 20 <= from_root <= 80 or framed.scroll in (0, view.furthest)
        assert framed.framing(depth) == framed.scroll
    short = Geometry(width=10, height=200, depths=4, rooted_below=rooted_below)
    assert short.framing(3) == 0


@given(st.floats(-2, 3), st.floats(0, 4))
def test_windows_stay_inside_the_whole(start: float, width: float) -> None:
    x0, x1 = bounded(start, start + width)
    assert 0 <= x0 < x1 <= 1 + 1e-12


def test_history_goes_back_and_forward_like_a_browser() -> None:
    history, a, b, c = History(), Viewpoint(), Viewpoint(0.1, 0.2), Viewpoint(0.3, 0.4)
    history.leave(a)
    history.leave(b)
    assert history.back(c) == b and history.back(b) == a and history.back(a) is None
    assert history.forward(a) == b
    history.leave(b)
    assert history.forward(a) is None


def test_stacks_drawn_as_text_lie_where_the_tests_expect_them() -> None:
    scene = picture(ORDERS).scene
    assert scene.extent(box(scene, "main;run;match")) == pytest.approx((0.2, 0.7))
    assert scene.extent(box(scene, "main;run;match;push")) == pytest.approx((0.2, 0.6))
