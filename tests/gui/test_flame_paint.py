"""The painter on plain arrays: which box a pixel shows, what narrow boxes become, gaps, marks and hatching."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailflame.analyse.layout import FlameLayout
from tailflame_gui.widgets import flame_paint
from tailflame_gui.widgets.flame_paint import Boxes, Frame, Marks, Runs

WHITE = (255, 255, 255)
RED, GREEN, BLUE = 0xFFFF0000, 0xFF00FF00, 0xFF0000FF
PALETTE = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255)], dtype=np.uint8)


def boxes(*rows: list[tuple[float, float, int]], hatch: list[int] | None = None) -> Boxes:
    """Rows of (start, width, colour)."""
    flat = [box for row in rows for box in row]
    layout = FlameLayout(
        row_start=np.append(0, np.cumsum([len(row) for row in rows])).astype(np.int64),
        start=np.array([b[0] for b in flat], dtype=np.float64),
        width=np.array([b[1] for b in flat], dtype=np.float64),
        node=np.arange(len(flat), dtype=np.int32),
        total=1.0,
    )
    color = np.array([b[2] for b in flat], dtype=np.uint8)
    return flame_paint.prepare(layout, color, PALETTE, hatch=None if hatch is None else np.array(hatch, dtype=np.uint8))


def painted(
    made: Boxes, depths: list[int], columns: int, window: tuple[float, float] = (0.0, 1.0), *,
    marks: Marks | None = None, fade: float = 0.0, glow: Marks | None = None, gaps: bool = True,
) -> tuple[Frame, Runs]:  # fmt: skip
    rows = np.array(depths)
    frame = flame_paint.lines(made, rows, window, columns, background=WHITE, marks=marks, fade=fade)
    if not gaps:
        return frame, flame_paint.runs_of(frame.box)
    return flame_paint.finished(frame, made, rows, window, background=WHITE, glow=glow, glow_share=0.2)


def line(
    made: Boxes, columns: int, window: tuple[float, float] = (0.0, 1.0), *,
    marks: Marks | None = None, fade: float = 0.0, glow: Marks | None = None, gaps: bool = True,
) -> list[int]:  # fmt: skip
    frame, _ = painted(made, [0], columns, window, marks=marks, fade=fade, glow=glow, gaps=gaps)
    return [int(c) for c in frame.color[0]]


def test_a_column_shows_the_box_that_covers_its_centre() -> None:
    made = boxes([(0.0, 0.5, 0), (0.5, 0.3, 1)])
    assert line(made, 10, gaps=False) == [RED] * 5 + [GREEN] * 3 + [0xFFFFFFFF] * 2


def test_wide_boxes_end_with_a_gap() -> None:
    made = boxes([(0.0, 0.5, 0), (0.5, 0.5, 1)])
    assert line(made, 10) == [RED] * 4 + [0xFFFFFFFF] + [GREEN] * 4 + [0xFFFFFFFF]


def test_a_box_that_goes_on_beyond_the_view_has_no_gap_at_the_edge() -> None:
    made = boxes([(0.0, 1.0, 0)])
    assert line(made, 8, (0.2, 0.4)) == [RED] * 8


def test_narrow_boxes_become_the_mean_of_what_a_column_covers() -> None:
    # Forty boxes in four columns, alternately red and blue: a centre alone would show only one of the two.
    made = boxes([(i / 40, 1 / 40, 0 if i % 2 else 2) for i in range(40)])
    assert set(line(made, 4)) == {0xFF800080}


def test_emptiness_in_a_narrow_column_counts_as_background() -> None:
    made = boxes([(i / 40, 0.4 / 40, 0) for i in range(40)])
    assert set(line(made, 4)) == {0xFFFF9999}


def test_narrow_boxes_look_the_same_when_the_view_moves_by_a_pixel() -> None:
    rng = np.random.default_rng(7)
    widths = rng.random(4000)
    widths /= widths.sum()
    starts = np.cumsum(widths) - widths
    made = boxes(
        [(float(s), float(w), int(c)) for s, w, c in zip(starts, widths, rng.integers(0, 3, 4000), strict=True)]
    )
    window = (0.2, 0.7)
    step = (window[1] - window[0]) / 100
    here = line(made, 100, window)
    there = line(made, 100, (window[0] + step, window[1] + step))
    assert here[1:] == there[:-1]


def test_rows_that_do_not_exist_are_background() -> None:
    frame, runs = painted(boxes([(0.0, 1.0, 0)]), [5, -1], 4)
    assert (frame.color == 0xFFFFFFFF).all() and (frame.box == -1).all() and not len(runs.box)


def test_an_empty_layout_paints_background() -> None:
    made = boxes()
    frame, _ = painted(made, [0], 4)
    assert (frame.color == 0xFFFFFFFF).all()


def test_marks_keep_their_colour_and_the_rest_fades() -> None:
    made = boxes([(0.0, 0.5, 0), (0.5, 0.5, 1)])
    marks = flame_paint.mark(made, np.array([True, False]))
    colors = line(made, 10, marks=marks, fade=0.5, gaps=False)
    assert colors[0] == RED
    assert colors[9] == 0xFF80FF80


def test_a_marked_box_thinner_than_a_pixel_is_seen() -> None:
    made = boxes([(0.0, 0.52, 0), (0.52, 0.001, 2), (0.521, 0.479, 0)])
    assert BLUE not in line(made, 10)
    marks = flame_paint.mark(made, np.array([False, True, False]))
    colors = line(made, 10, marks=marks, fade=0.5)
    assert colors[5] == BLUE and colors.count(BLUE) == 1


def test_glowing_boxes_move_towards_the_glow() -> None:
    made = boxes([(0.0, 1.0, 0)])
    glow = flame_paint.mark(made, np.array([True]))
    assert line(made, 2, glow=glow)[0] == 0xFFCC0000


def test_runs_tell_where_a_box_is_seen() -> None:
    frame, runs = painted(boxes([(0.0, 0.5, 0), (0.7, 0.3, 1)], [(0.1, 0.2, 2)]), [0, 1], 10)
    found = list(zip(runs.row.tolist(), runs.column.tolist(), runs.length.tolist(), runs.box.tolist(), strict=True))
    assert found == [(0, 0, 5, 0), (0, 7, 3, 1), (1, 1, 2, 2)]
    assert frame.box.shape == (2, 10)


def test_lines_fill_their_rows_down_to_the_hairline() -> None:
    made = boxes([(0.0, 1.0, 0)], [(0.0, 1.0, 1)])
    frame, _ = painted(made, [0, 1], 3, gaps=False)
    image = flame_paint.compose(frame, made, np.array([1, 5, 9]), 10, background=WHITE)
    assert [int(c) for c in image[:, 0]] == [0xFFFFFFFF, RED, RED, RED, 0xFFFFFFFF, GREEN, GREEN, GREEN] + [
        0xFFFFFFFF
    ] * 2


def test_rows_that_reach_beyond_the_image_are_cut() -> None:
    made = boxes([(0.0, 1.0, 0)], [(0.0, 1.0, 1)])
    frame, _ = painted(made, [0, 1], 3, gaps=False)
    image = flame_paint.compose(frame, made, np.array([-3, 2, 7]), 4, background=WHITE)
    assert [int(c) for c in image[:, 0]] == [RED, 0xFFFFFFFF, GREEN, GREEN]


def test_vanished_and_new_frames_are_hatched_in_opposite_directions() -> None:
    made = boxes([(0.0, 0.5, 0), (0.5, 0.5, 0)], hatch=[1, 2])
    frame, _ = painted(made, [0], 64)
    image = flame_paint.compose(frame, made, np.array([0, 16]), 16, background=WHITE)
    assert (image[:, 31] == 0xFFFFFFFF).all()  # the gap stays a gap
    vanished, new = image[:15, :31] != RED, image[:15, 32:63] != RED
    assert vanished.any() and new.any() and not vanished.all()
    # Going down a row, the lines of one move to the right, those of the other to the left.
    assert (vanished[1:, 1:] == vanished[:-1, :-1]).all()
    assert (new[1:, :-1] == new[:-1, 1:]).all()


def test_without_anything_to_hatch_nothing_is_kept_for_it() -> None:
    assert boxes([(0.0, 1.0, 0)], hatch=[0]).hatch is None


@settings(max_examples=60, deadline=None)
@given(
    widths=st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=60),
    gaps=st.lists(st.booleans(), min_size=60, max_size=60),
    window=st.tuples(st.floats(0.0, 0.9), st.floats(0.001, 0.1)),
    columns=st.integers(1, 200),
)
def test_every_column_agrees_with_the_box_at_its_centre(
    widths: list[float], gaps: list[bool], window: tuple[float, float], columns: int
) -> None:
    total = sum(widths)
    placed, at = [], 0.0
    for width, gap in zip(widths, gaps, strict=False):
        share = width / total
        placed.append((at, share / 2 if gap else share, 0))
        at += share
    made = boxes(placed)
    x0, x1 = window[0], window[0] + window[1]
    covered = flame_paint.covering(made, np.array([0]), (x0, x1), columns)[0]
    pixel = (x1 - x0) / columns
    layout = FlameLayout(made.row_start, made.start, made.end - made.start, np.arange(len(placed), dtype=np.int32), 1.0)
    expected = [layout.at(0, x0 + (c + 0.5) * pixel) for c in range(columns)]
    # The end of a box may differ in the last bit between start + width and its own sum.
    unsure = [bool(np.abs(made.end - (x0 + (c + 0.5) * pixel)).min() < 1e-12) for c in range(columns)]
    assert all(a == b or u for a, b, u in zip(covered.tolist(), expected, unsure, strict=True))


@pytest.mark.parametrize("columns", [1, 7, 300])
def test_sums_over_many_boxes_stay_exact(columns: int) -> None:
    """The mean over the whole row is the weighted mean of all its boxes."""
    rng = np.random.default_rng(1)
    widths = rng.random(20_000)
    widths /= widths.sum()
    color = rng.integers(0, 3, 20_000)
    starts = np.cumsum(widths) - widths
    made = boxes([(float(s), float(w), int(c)) for s, w, c in zip(starts, widths, color, strict=True)])
    shown = np.array([[(c >> s) & 0xFF for s in (16, 8, 0)] for c in line(made, columns)], dtype=float)
    expected = (widths[:, None] * PALETTE[color]).sum(axis=0)
    assert np.abs(shown.mean(axis=0) - expected).max() < 1.0
