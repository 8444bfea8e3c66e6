"""The strip of slices: what it draws and says, and what real presses, drags and keys choose."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor, QShortcut
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from helpers.live_samples import live_data
from helpers.stacks import profile
from tailflame.analyse.live_data import LiveData
from tailflame.analyse.slices import Slice, figures, strip_profile
from tailflame.model import Recording
from tailflame.model.slices import Sliced, SliceFigures, SliceSeries
from tailflame_gui import theme
from tailflame_gui.views.latency_view import has_latencies
from tailflame_gui.views.live_plots import PERCENTILES, SLICES
from tailflame_gui.views.live_view import LiveView
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.widgets.slice_strip import SliceStrip
from tailflame_gui.widgets.time_axis import TimeAxis

START = 1000.0


def row(number: int, **changes: object) -> SliceFigures:
    facts: dict[str, object] = {
        "first": number, "last": number, "start_s": START + 10 * (number - 1), "length_s": 10.0, "samples": 990.0,
        "cpu_s": 10.0, "top": "book::match_order", "top_module": "book", "top_share": 0.25,
        "source": f"perf.data.{number}",
    }  # fmt: skip
    return SliceFigures(**{**facts, **changes})  # type: ignore[arg-type]


ROWS = (
    row(1),
    row(2, cpu_s=5.0, samples=495.0),
    row(3, note="It could not be read.", samples=0.0, cpu_s=0.0, top=""),
    row(4, top="risk::check", top_module="risk"),
    row(5, waiting=True, cpu_s=None, top="", samples=990.0),
)


def shown(qtbot: QtBot, widget: QWidget, width: int = 1000, height: int = 120) -> None:
    qtbot.addWidget(widget)
    widget.resize(width, height)
    widget.show()
    qtbot.waitExposed(widget)


@pytest.fixture
def strip(qtbot: QtBot) -> SliceStrip:
    axis = TimeAxis(span_s=None)
    axis.set_extent(START, START + 50)
    made = SliceStrip(axis)
    made.setParent(None)
    axis.setParent(made)
    shown(qtbot, made)
    made.show_rows(ROWS)
    return made


def at(strip: SliceStrip, time_s: float) -> QPoint:
    axis, body = strip.axis, strip.body
    part = (time_s - axis.low_s) / (axis.high_s - axis.low_s)
    return QPoint(round(body.left() + part * body.width()), round(body.center().y()))


def drag(strip: SliceStrip, one_s: float, other_s: float, modifier: Qt.KeyboardModifier) -> None:
    left = Qt.MouseButton.LeftButton
    QTest.mousePress(strip, left, modifier, at(strip, START + one_s))
    QTest.mouseMove(strip, at(strip, START + (one_s + other_s) / 2))
    QTest.mouseMove(strip, at(strip, START + other_s))
    QTest.mouseRelease(strip, left, modifier, at(strip, START + other_s))


PLAIN, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier


def test_a_drag_selects_whole_slices_and_a_drag_with_shift_what_to_compare_with(strip: SliceStrip) -> None:
    drag(strip, 32, 37, PLAIN)
    assert strip.axis.selection == (START + 30, START + 40)
    assert strip.first == (START + 30, START + 40)
    drag(strip, 4, 16, SHIFT)
    assert strip.second == (START, START + 20)
    assert strip.axis.selection == (START + 30, START + 40)
    assert strip.words == "1 slice, 10.0 s, 990 samples; to compare with: 2 slices, 20.0 s, 1,485 samples"
    strip.grab()


def test_a_click_selects_the_slice_under_it_and_escape_lets_go_of_both(strip: SliceStrip, qtbot: QtBot) -> None:
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, PLAIN, at(strip, START + 15))
    assert strip.axis.selection == (START + 10, START + 20)
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, SHIFT, at(strip, START + 5))
    assert strip.second == (START, START + 10)
    QTest.keyClick(strip, Qt.Key.Key_Escape)
    assert strip.axis.selection is None
    assert strip.second is None


def test_everything_can_be_done_by_keys(strip: SliceStrip, qtbot: QtBot) -> None:
    opened, compared = [], []
    strip.opened.connect(lambda: opened.append(strip.first))
    strip.compared.connect(lambda: compared.append((strip.second, strip.first)))
    QTest.keyClick(strip, Qt.Key.Key_C)
    QTest.keyClick(strip, Qt.Key.Key_Left)
    assert strip.axis.selection == (START, START + 10)
    QTest.keyClick(strip, Qt.Key.Key_Return)
    QTest.keyClick(strip, Qt.Key.Key_B)
    QTest.keyClick(strip, Qt.Key.Key_Right)
    QTest.keyClick(strip, Qt.Key.Key_Right, SHIFT)
    assert strip.axis.selection == (START + 10, START + 30)
    QTest.keyClick(strip, Qt.Key.Key_C)
    assert opened == [(START, START + 10)]
    assert compared == [((START, START + 10), (START + 10, START + 30))]


def test_bars_are_as_high_as_the_cores_that_were_busy(strip: SliceStrip) -> None:
    assert [strip.height_of(one) for one in ROWS] == [1.0, 0.5, 0.0, 1.0, 1.0]
    assert strip.unit == "cores busy"
    image = strip.grab().toImage()
    # Three quarters up there is the first bar's colour, and nothing in the second's place.
    body = strip.body
    ratio = strip.devicePixelRatioF()
    y = round((body.top() + body.height() * 0.3) * ratio)
    first = QColor(image.pixel(round(at(strip, START + 5).x() * ratio), y))
    second = QColor(image.pixel(round(at(strip, START + 15).x() * ratio), y))
    assert first.name() == strip.color_of(ROWS[0]).name()
    assert second.name() != first.name()
    assert strip.color_of(ROWS[0]) != strip.color_of(ROWS[3])


def test_without_cpu_time_the_rate_of_samples_is_drawn(strip: SliceStrip) -> None:
    strip.show_rows(tuple(row(n, cpu_s=None) for n in range(1, 4)))
    assert strip.unit == "samples/s"
    assert strip.height_of(strip.rows[0]) == 99.0


def test_what_a_slice_is_stands_in_its_tip_and_at_the_right_end(strip: SliceStrip) -> None:
    assert (
        strip.tip(START + 5, 0) == "10.0 s: 990 samples, 1.00 cores busy\nOn top: book::match_order, 25.0%\nperf.data.1"
    )
    assert "could not be read" in strip.tip(START + 25, 0)
    assert "waits to be read" in strip.tip(START + 45, 0)
    assert strip.tip(START + 90, 0) == "No slice was recorded at this time."
    strip.axis.point_at(START + 35)
    assert [line.text for line in strip.readings()] == ["1.00", "25.0%"]
    strip.axis.point_at(START + 45)
    assert strip.readings()[1].text == "not read yet"
    strip.axis.point_at(None)
    assert strip.readings()[0].text == "1.00"  # the latest that is read


def test_merged_slices_say_so(strip: SliceStrip) -> None:
    strip.show_rows((row(1, last=4, length_s=40.0), row(5)))
    assert strip.note == "1 merged"
    assert "merged of 4" in strip.tip(START + 5, 0)


def test_before_the_first_slice_it_says_so(qtbot: QtBot) -> None:
    strip = SliceStrip(TimeAxis(span_s=None))
    shown(qtbot, strip)
    assert strip.empty_text.startswith("No slice yet")
    QTest.keyClick(strip, Qt.Key.Key_Left)
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, PLAIN, strip.rect().center())
    assert strip.words == ""
    strip.grab()


# On the screen of live runs.


def view_of(qtbot: QtBot, data: LiveData, *, live: bool) -> LiveView:
    view = LiveView(live=live)
    shown(qtbot, view, 1180, 760)
    view.show_data(data)
    view.refresh(force=True)
    return view


def test_the_strip_stands_under_the_percentiles_on_their_axis(qtbot: QtBot) -> None:
    data = live_data()
    view = view_of(qtbot, data, live=True)
    assert SLICES not in view.plots.shown
    data.take(Sliced(rows=ROWS[:3], row=ROWS[2]))
    view.refresh(force=True)
    assert view.plots.shown[:2] == (PERCENTILES, SLICES)
    assert view.plots.slices.axis is view.plots.percentiles.axis
    assert view.plots.slices.y() > view.plots.percentiles.y()


def test_two_ranges_are_offered_to_be_compared(qtbot: QtBot) -> None:
    data = LiveData()
    data.take(Sliced(rows=ROWS))
    view = view_of(qtbot, data, live=False)
    asked: list[object] = []
    view.compare_ranges_requested.connect(lambda before, after: asked.append((before, after)))
    view.flame_range_requested.connect(lambda start, end: asked.append((start, end)))
    view.set_range_offers()
    strip = view.plots.slices
    drag(strip, 32, 37, PLAIN)
    assert not view.range_line.flame.isHidden()
    assert view.range_line.compare.isHidden()
    QTest.mouseClick(view.range_line.flame, Qt.MouseButton.LeftButton)
    drag(strip, 2, 8, SHIFT)
    assert not view.range_line.compare.isHidden()
    assert "to compare with" in view.range_line.text
    QTest.mouseClick(view.range_line.compare, Qt.MouseButton.LeftButton)
    assert asked == [(START + 30, START + 40), ((START, START + 10), (START + 30, START + 40))]


def test_a_result_with_slices_shows_them_first(qtbot: QtBot) -> None:
    parts = [Slice(START + n, 1.0, profile("main;a 10\nmain;b 5"), f"{n}", n, n) for n in range(1, 5)]
    series = SliceSeries(tuple(figures(part) for part in parts))
    recording = Recording("perf", "slices", "slices.json", (strip_profile(parts), series))
    assert has_latencies(recording)
    view = ResultView(recording)
    shown(qtbot, view, 1180, 760)
    assert view.part is Part.LATENCY
    at = view.tabs.currentIndex()
    assert view.tabs.tabText(at) == "Over time"
    assert view.tabs.tabToolTip(at).startswith("Slices of the profile")
    assert "Over time" in [keys.whatsThis() for keys in view.findChildren(QShortcut)]
    qtbot.waitUntil(lambda: not view.busy)
    asked: list[object] = []
    view.flame_range_requested.connect(lambda start, end: asked.append((start, end)))
    strip = view.findChild(SliceStrip)
    assert strip is not None
    qtbot.waitUntil(lambda: len(strip.rows) == 4)
    strip.setFocus()
    QTest.keyClick(strip, Qt.Key.Key_Left)
    QTest.keyClick(strip, Qt.Key.Key_Return)
    assert asked == [(START + 1, START + 2)]


@pytest.mark.parametrize("mode", [theme.Mode.LIGHT, theme.Mode.DARK])
def test_it_is_drawn_in_light_and_dark(strip: SliceStrip, mode: theme.Mode) -> None:
    before = theme.mode()
    try:
        theme.set_mode(mode)
        drag(strip, 2, 8, SHIFT)
        assert not strip.grab().isNull()
    finally:
        theme.set_mode(before)
