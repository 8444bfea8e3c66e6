"""One axis for all plots: it follows, holds, zooms and selects, and every plot draws the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytestqt.qtbot import QtBot

from tailflame_gui.widgets.time_axis import LEAST_SPAN_S, TimeAxis
from tailflame_gui.widgets.time_ruler import precise


@pytest.fixture
def axis(qtbot: QtBot) -> TimeAxis:
    made = TimeAxis(span_s=60.0)
    made.set_pixels(600)
    return made


def test_it_follows_the_newest_in_whole_pixels(axis: TimeAxis) -> None:
    axis.set_extent(100, 130)
    assert (axis.low_s, axis.high_s) == (100, 160)
    axis.set_extent(100, 400.03)
    assert axis.high_s - axis.low_s == pytest.approx(60)
    assert 400.03 <= axis.high_s <= 400.03 + axis.step_s + 1e-9


def test_what_is_held_stays_while_data_goes_on(axis: TimeAxis, qtbot: QtBot) -> None:
    axis.set_extent(0, 100)
    with qtbot.waitSignal(axis.follow_changed) as held:
        axis.follow(False)
    assert held.args == [False]
    shown = axis.low_s, axis.high_s
    axis.set_extent(0, 500)
    assert (axis.low_s, axis.high_s) == shown
    axis.follow(True)
    assert axis.high_s >= 500


def test_everything_moves_now_and_then_and_not_always(axis: TimeAxis) -> None:
    axis.set_span(None)
    ranges = set()
    for tenth in range(1, 6000):
        axis.set_extent(0, tenth / 10)
        assert axis.low_s == 0 and axis.high_s >= tenth / 10
        ranges.add(axis.high_s)
    assert len(ranges) < 150


def test_what_does_not_grow_has_no_room_at_the_right(axis: TimeAxis) -> None:
    axis.set_span(None)
    axis.set_extent(50, 150)
    assert (axis.low_s, axis.high_s) == (50, 150)
    axis.set_extent(50, 51)
    assert axis.high_s - axis.low_s == LEAST_SPAN_S


@given(st.lists(st.tuples(st.sampled_from("zpfs"), st.floats(-1e3, 1e3)), max_size=30))
def test_whatever_is_done_the_range_is_one(steps: list[tuple[str, float]]) -> None:
    axis = TimeAxis()
    axis.set_extent(0, 1000)
    for what, by in steps:
        match what:
            case "z":
                axis.zoom(by / 100, axis.low_s)
            case "p":
                axis.pan(by)
            case "f":
                axis.follow(by > 0)
            case "s":
                axis.select(by, -by)
        assert axis.high_s > axis.low_s
        assert axis.selection is None or axis.selection[0] <= axis.selection[1]


def test_a_selection_is_told_once_and_cleared(axis: TimeAxis, qtbot: QtBot) -> None:
    with qtbot.waitSignal(axis.range_selected) as selected:
        axis.select(20, 10)
    assert selected.args == [10, 20]
    with qtbot.assertNotEmitted(axis.range_selected):
        axis.select(10, 20)
    with qtbot.waitSignal(axis.range_cleared):
        axis.clear()
    assert axis.selection is None


@pytest.mark.parametrize(
    ("seconds", "pixel", "text"),
    [
        (5, 0.1, "5.0 s"),
        (5.25, 0.01, "5.25 s"),
        (80, 0.1, "1:20"),
        (3725, 1, "1:02:05"),
        (80.5, 0.01, "1:20.50"),
        (1.25, 1e-4, "1.250 s"),
        (0.0123, 2e-5, "0.0123 s"),
        (0.00125, 1e-6, "0.00125 s"),
    ],
)
def test_times_are_as_fine_as_a_pixel(seconds: float, pixel: float, text: str) -> None:
    assert precise(seconds, pixel) == text
