"""The plots of the live screen: what they say, what they draw, and what the pointer and the keys do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from helpers.live_samples import START_S, latency, live_data, reading
from tailflame.analyse.live_data import LiveData, Moment, MomentKind
from tailflame.analyse.series_ring import CounterTimeline
from tailflame.analyse.timeline import LatencyTimeline, Span
from tailflame.model.histogram import Histogram
from tailflame.model.live import Status
from tailflame_gui import theme
from tailflame_gui.widgets.counter_strips import CounterStrip
from tailflame_gui.widgets.heat_map import HeatMap
from tailflame_gui.widgets.histogram_plot import HistogramPlot, binned
from tailflame_gui.widgets.latency_unit import LatencyUnit, figure, tick, with_unit
from tailflame_gui.widgets.nines_plot import NinesPlot, values_at
from tailflame_gui.widgets.percentile_plot import PercentilePlot
from tailflame_gui.widgets.plot_choices import Choices, Slo
from tailflame_gui.widgets.plot_ink import Scale, log_scale, thinned, ticks
from tailflame_gui.widgets.stage_plot import StagePlot
from tailflame_gui.widgets.time_axis import TimeAxis
from tailflame_gui.widgets.time_plot import TimePlot
from tailflame_gui.widgets.value_plot import Distribution


def shown(qtbot: QtBot, widget: QWidget, height: int = 160) -> QWidget:
    qtbot.addWidget(widget)
    widget.resize(900, height)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


@pytest.fixture
def axis(qtbot: QtBot) -> TimeAxis:
    made = TimeAxis(span_s=None)
    made.set_extent(START_S, START_S + 30)
    return made


def percentile_plot(qtbot: QtBot, axis: TimeAxis, timeline: LatencyTimeline, **choices: object) -> PercentilePlot:
    plot = PercentilePlot(axis)
    plot.show_series((timeline,), Choices(**choices))  # type: ignore[arg-type]
    shown(qtbot, plot)
    return plot


def colored(image: QImage, color: QColor) -> int:
    """Pixels that are nearly of this colour."""
    raw = image.convertToFormat(QImage.Format.Format_RGB32)
    pixels = np.frombuffer(raw.constBits(), dtype=np.uint8).reshape(raw.height(), -1, 4)[:, : raw.width(), 2::-1]
    wanted = np.array([color.red(), color.green(), color.blue()])
    return int((np.abs(pixels.astype(int) - wanted).sum(axis=2) < 24).sum())


# Percentiles


def test_the_newest_percentiles_stand_at_the_right_end(qtbot: QtBot, axis: TimeAxis) -> None:
    timeline = live_data().latency["match_order"]
    plot = percentile_plot(qtbot, axis, timeline)
    told = {line.words: line.text for line in plot.readings()}
    expected = timeline.latest(1.0)[0].percentiles((50.0, 99.9))
    assert told["p50"] == figure(expected[0], LatencyUnit.AUTO)
    assert told["p99.9 ?"] == figure(expected[1], LatencyUnit.AUTO)  # of 600 calls
    assert "p99.99 ?" in told


def test_the_time_pointed_at_is_read(qtbot: QtBot, axis: TimeAxis) -> None:
    timeline = live_data(slow_from=20).latency["match_order"]
    plot = percentile_plot(qtbot, axis, timeline)
    axis.point_at(START_S + 5.5)
    early = plot.readings()[0].text
    axis.point_at(START_S + 25.5)
    told = [figure(Histogram.of([v], digits=2).maximum, LatencyUnit.AUTO) for v in (50_000, 500_000)]
    assert [early, plot.readings()[0].text] == told
    assert "600 calls" in plot.tip(START_S + 5.5, 10) and "not reliable" in plot.tip(START_S + 5.5, 10)


def test_a_line_is_hidden_with_a_click_on_its_value(qtbot: QtBot, axis: TimeAxis) -> None:
    timeline = LatencyTimeline("x")
    for at in range(30):
        timeline.take(latency(at, 1000, times=20_000))
    plot = percentile_plot(qtbot, axis, timeline)
    color = theme.current().percentiles[0]
    plot.hidden = {90.0, 95.0, 99.0, 99.9, 99.99}
    plot.draw_anew()
    body = plot.body.toRect()
    before = colored(plot.grab(body).toImage(), color)
    line = len(plot.readings()) - 1  # p50 is the lowest
    height = plot._line_height(6)
    y = (plot.height() - height * 6) / 2 + height * (line + 0.5)
    qtbot.mouseClick(plot, Qt.MouseButton.LeftButton, pos=QPoint(plot.width() - 20, int(y)))
    assert plot.hidden == {50.0, 90.0, 95.0, 99.0, 99.9, 99.99}
    assert before > 300 and colored(plot.grab(body).toImage(), color) == 0


def test_too_few_values_are_dotted_and_said(qtbot: QtBot, axis: TimeAxis) -> None:
    sure, doubtful = LatencyTimeline("x"), LatencyTimeline("x")
    for at in range(30):
        sure.take(latency(at, 1000, times=20_000))
        doubtful.take(latency(at, 1000, times=5_000))
    color = theme.current().percentiles[5]
    counts = []
    for timeline in (sure, doubtful):
        plot = percentile_plot(qtbot, axis, timeline)
        plot.hidden = {50.0, 90.0, 95.0, 99.0, 99.9}
        plot.draw_anew()
        counts.append(colored(plot.grab(plot.body.toRect()).toImage(), color))
    assert 0 < counts[1] < counts[0] * 0.5


def test_a_gap_is_not_drawn_over(qtbot: QtBot, axis: TimeAxis) -> None:
    timeline = LatencyTimeline("x")
    for at in (*range(10), *range(20, 30)):
        timeline.take(latency(at, 1000, times=20_000))
    plot = percentile_plot(qtbot, axis, timeline)
    left, right = plot.across(np.array([START_S + 11, START_S + 19]))
    hole = QRectF(left, plot.body.top(), right - left, plot.body.height()).toRect()
    image = plot.grab(hole).toImage()
    assert all(colored(image, color) == 0 for color in theme.current().percentiles)


def test_the_share_of_intervals_below_the_slo_is_of_all(qtbot: QtBot, axis: TimeAxis) -> None:
    timeline = live_data(slow_from=27).latency["match_order"]
    plot = percentile_plot(qtbot, axis, timeline, slo=Slo(250e3, 99.9))
    plot.grab()
    assert timeline.slo(250e3, 99.9).share == pytest.approx(0.9)
    assert colored(plot.grab().toImage(), theme.current().warn) > 50


@pytest.mark.parametrize("span", list(Span))
@pytest.mark.parametrize("log", [True, False])
def test_every_window_and_axis_is_drawn(qtbot: QtBot, axis: TimeAxis, span: Span, log: bool) -> None:
    plot = percentile_plot(qtbot, axis, live_data().latency["match_order"], span=span, log=log, slo=Slo(1e9))
    for mode in (theme.Mode.LIGHT, theme.Mode.DARK):
        theme.set_mode(mode)
        image = plot.grab(plot.body.toRect()).toImage()
        assert any(colored(image, color) for color in theme.current().percentiles)
    assert not plot.behind


def test_several_series_are_told_apart(qtbot: QtBot, axis: TimeAxis) -> None:
    data = live_data()
    plot = PercentilePlot(axis)
    plot.show_series(tuple(data.latency.values()), Choices())
    shown(qtbot, plot)
    lines = plot.readings()
    assert [line.words for line in lines] == ["match_order", "validation_us"]
    assert lines[0].color != lines[1].color


def test_nothing_to_draw_is_said(qtbot: QtBot, axis: TimeAxis) -> None:
    plot = PercentilePlot(axis)
    plot.show_series((), Choices())
    shown(qtbot, plot)
    assert "add a source" in plot.empty_text and plot.readings() == []
    timeline = LatencyTimeline("x")
    timeline.add(START_S, 1.0, Histogram.empty())
    plot.show_series((timeline,), Choices())
    plot.grab()
    assert {line.text for line in plot.readings()} == {"—"}


# Heat map


def test_the_heat_map_tells_the_cell_under_the_pointer(qtbot: QtBot, axis: TimeAxis) -> None:
    plot = HeatMap(axis)
    plot.show_series(live_data().latency["match_order"], Choices())
    shown(qtbot, plot)
    plot.grab()
    assert plot._scale is not None
    y = plot._scale.at(20_000)
    assert "calls in" in plot.tip(START_S + 10.5, y)
    low, high, calls = plot._cell_at(START_S + 10.5, y) or (0, 0, 0)
    assert low <= 20_000 <= high and calls > 0
    assert "no call" not in plot.tip(START_S + 10.5, y)
    assert plot.tip(START_S - 100, y) == ""


# Counters


def strip(qtbot: QtBot, axis: TimeAxis, name: str, data: LiveData | None = None) -> CounterStrip:
    made = CounterStrip(axis, (data or live_data()).counters[name])
    shown(qtbot, made, 44)
    made.grab()
    return made


def test_a_counter_is_judged_in_a_word_with_a_sign(qtbot: QtBot, axis: TimeAxis) -> None:
    line = strip(qtbot, axis, "IPC", live_data(slow_from=20)).readings()[0]
    assert (line.text, line.words) == ("0.80", "✕ bad")
    axis.point_at(START_S + 3.5)
    line = strip(qtbot, axis, "IPC", live_data(slow_from=20)).readings()[0]
    assert (line.text, line.words) == ("2.40", "✓ good")


def test_multiplexing_and_simulation_are_said(qtbot: QtBot, axis: TimeAxis) -> None:
    made = strip(qtbot, axis, "cache miss rate")
    assert [line.text for line in made.readings()] == ["3.0%", "multiplexed 43%"]
    assert "perf's estimate" in made.tip(START_S + 3.5, 0)


@pytest.mark.parametrize(
    ("status", "text"), [(Status.NOT_SUPPORTED, "<not supported>"), (Status.NOT_COUNTED, "<not counted>")]
)
def test_why_there_is_no_value_is_said(qtbot: QtBot, axis: TimeAxis, status: Status, text: str) -> None:
    data = LiveData()
    data.take(reading(29, "LLC load miss rate", None, unit="%", status=status))
    made = strip(qtbot, axis, "LLC load miss rate", data)
    assert made.readings()[0].text == text
    assert not made.readings()[0].known


def test_spread_and_gaps_of_a_long_run_are_drawn(qtbot: QtBot) -> None:
    axis = TimeAxis(span_s=None)
    timeline = CounterTimeline("IPC", capacity=4096)
    for at in range(9000):
        timeline.take(reading(at, "IPC", None if 4000 <= at < 5000 else 1.5 + at % 2))
    axis.set_extent(START_S, START_S + 9000)
    made = CounterStrip(axis, timeline)
    shown(qtbot, made, 60)
    left, right = made.across(np.array([START_S + 4200.0, START_S + 4800.0]))
    hole = made.grab(QRectF(left, 0, right - left, 60).toRect()).toImage()
    assert colored(hole, theme.current().accent) == 0
    assert colored(made.grab(made.body.toRect()).toImage(), theme.current().accent) > 100


# Stages


def test_stages_are_stacked_and_named(qtbot: QtBot, axis: TimeAxis) -> None:
    plot = StagePlot(axis)
    plot.show_series(live_data().stages["total_us"])
    shown(qtbot, plot, 100)
    plot.grab()
    assert {(line.words, line.text) for line in plot.readings()} == {("validation", "40%"), ("execution", "60%")}
    assert "difference is execution" in plot.tip(START_S + 5.5, 10)


# The pointer and the keys


def test_dragging_selects_the_same_time_in_all(qtbot: QtBot, axis: TimeAxis) -> None:
    data = live_data()
    plots: list[TimePlot] = [PercentilePlot(axis), CounterStrip(axis, data.counters["IPC"])]
    for plot in plots:
        shown(qtbot, plot)
    first = plots[0]
    x = [round(float(v)) for v in first.across(np.array([START_S + 10.0, START_S + 20.0]))]
    qtbot.mousePress(first, Qt.MouseButton.LeftButton, pos=QPoint(x[0], 40))
    qtbot.mouseMove(first, QPoint(x[0] + 50, 40))
    qtbot.mouseMove(first, QPoint(x[1], 40))
    qtbot.mouseRelease(first, Qt.MouseButton.LeftButton, pos=QPoint(x[1], 40))
    assert axis.selection is not None
    assert axis.selection == pytest.approx((START_S + 10, START_S + 20), abs=0.1)
    for plot in plots:
        edge = round(float(plot.across(np.array([axis.selection[0]]))[0]))
        image = plot.grab(QRectF(edge - 2, 0, 5, plot.height()).toRect()).toImage()
        assert colored(image, theme.current().accent) > plot.height() / 2
    qtbot.keyClick(first, Qt.Key.Key_Escape)
    assert axis.selection is None


def test_all_of_it_works_by_keyboard(qtbot: QtBot, axis: TimeAxis) -> None:
    plot = PercentilePlot(axis)
    shown(qtbot, plot)
    qtbot.keyClick(plot, Qt.Key.Key_Left)
    assert axis.hover_s is not None and axis.hover_s < START_S + 30
    for _ in range(5):
        qtbot.keyClick(plot, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert axis.selection is not None and axis.selection[0] == pytest.approx(axis.hover_s)
    span = axis.high_s - axis.low_s
    qtbot.keyClick(plot, Qt.Key.Key_Plus)
    assert axis.high_s - axis.low_s < span and not axis.follows
    qtbot.keyClick(plot, Qt.Key.Key_End)
    assert axis.follows


def test_moments_are_drawn_and_named_once(qtbot: QtBot, axis: TimeAxis) -> None:
    plot = percentile_plot(qtbot, axis, live_data().latency["match_order"])
    before = colored(plot.grab().toImage(), theme.current().accent)
    plot.moments = [Moment(START_S + 5, "deploy"), Moment(START_S + 5.1, "pause", length_s=3.0)]
    plot.draw_anew()
    assert colored(plot.grab().toImage(), theme.current().accent) > before + 20


def test_a_moment_that_opens_something_is_clicked(qtbot: QtBot, axis: TimeAxis) -> None:
    plot = percentile_plot(qtbot, axis, live_data().latency["match_order"])
    capture = Moment(START_S + 5, "captured: late", MomentKind.EVENT, opens="tail-1.data")
    plot.moments = [Moment(START_S + 9, "deploy"), capture]
    clicked: list[Moment] = []
    plot.moment_clicked.connect(clicked.append)

    def place(time_s: float) -> QPoint:
        return QPoint(round(float(plot.across(np.array([time_s]))[0])), plot.height() // 2)

    axis.select(START_S + 1, START_S + 2)
    qtbot.mouseClick(plot, Qt.MouseButton.LeftButton, pos=place(START_S + 5) + QPoint(2, 0))
    assert clicked == [capture] and axis.selection is not None
    qtbot.mouseClick(plot, Qt.MouseButton.LeftButton, pos=place(START_S + 9))  # a note opens nothing
    assert clicked == [capture] and axis.selection is None
    axis.point_at(START_S + 5)
    qtbot.keyClick(plot, Qt.Key.Key_Return)
    assert clicked == [capture, capture]


# Distributions


@given(st.lists(st.integers(1, 10_000_000), min_size=1, max_size=300))
def test_the_nines_are_the_percentiles(values: list[int]) -> None:
    histogram = Histogram.of(values, digits=2)
    told = values_at(histogram, np.array([1.0, 2.0, 3.0]))
    for nines, percentile, value in ((1, 90.0, told[0]), (2, 99.0, told[1]), (3, 99.9, told[2])):
        if len(values) >= 10**nines:
            assert int(value) == histogram.percentiles((percentile,))[0]
        else:
            assert math.isnan(value)


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=100))
def test_the_histogram_holds_every_value(values: list[int]) -> None:
    _first, counts = binned(Histogram.of(values, digits=2))
    assert counts.sum() == len(values)


@pytest.mark.parametrize("kind", [NinesPlot, HistogramPlot])
def test_hover_tells_value_and_count_of_each(qtbot: QtBot, kind: type[NinesPlot] | type[HistogramPlot]) -> None:
    plot = kind()
    shown(qtbot, plot, 200)
    assert plot.grab() is not None  # empty, and says so
    whole = Histogram.of([1000] * 900 + [9000] * 100, digits=2)
    plot.show_lines((Distribution("window", "last 10 s", whole), Distribution("whole", "whole run", whole)), Choices())
    plot.grab()
    qtbot.mouseMove(plot, plot.body.center().toPoint())
    head, words = plot.told(0.5)
    assert head and len(words) == 2 and words[0] == words[1]
    if isinstance(plot, NinesPlot):
        assert head == "p96.84" and words[0].startswith("9.02 µs")
    for key in (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Escape):
        qtbot.keyClick(plot, key)
    assert plot.pointed is None


# Figures


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (184_000, LatencyUnit.AUTO, "184 µs"), (184_000, LatencyUnit.NS, "184,000"), (184_000, LatencyUnit.US, "184"),
        (1_840, LatencyUnit.US, "1.84"), (184_000, LatencyUnit.MS, "0.1840"),
    ],
)  # fmt: skip
def test_units_by_choice(value: float, unit: LatencyUnit, text: str) -> None:
    assert figure(value, unit) == text


def test_values_that_are_no_time_keep_their_unit() -> None:
    assert with_unit(1500, LatencyUnit.US, unit="requests") == "1,500 requests"
    assert with_unit(456_916_991, LatencyUnit.US, unit="millionths") == "457"
    assert [tick(v, LatencyUnit.AUTO) for v in (1_000_000, 50_000, 500, 1_500)] == ["1 ms", "50 µs", "500 ns", "1.5 µs"]


@given(st.floats(1, 1e12), st.floats(1, 1e6))
def test_ticks_are_round_and_inside(low: float, factor: float) -> None:
    scale = log_scale(low, low * factor, QRectF(0, 0, 100, 120))
    assert scale.low <= low * (1 + 1e-9) and scale.high >= low * factor * (1 - 1e-9)
    assert all(scale.low * 0.999 <= v <= scale.high * 1.001 for v in ticks(scale))
    assert scale.value(scale.at(low)) == pytest.approx(low)


def test_thinning_keeps_the_extremes_and_the_gaps() -> None:
    x = np.linspace(0, 100, 10_000)
    y = np.sin(np.arange(10_000))
    y[5_000:6_000] = np.nan
    at, (thin,) = thinned(x, (y,))
    assert len(at) <= 204
    assert (np.nanmin(thin), np.nanmax(thin)) == (np.nanmin(y), np.nanmax(y))
    assert np.isnan(thin).sum() >= 16
    assert Scale(0, 1, 100, 0).at(0.5) == 50
