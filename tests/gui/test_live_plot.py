"""Live strips: bounded memory, one time axis, gaps where a value is not known, the newest value at the right end."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QEvent, QPointF
from PySide6.QtGui import QColor, QImage
from pytestqt.qtbot import QtBot

from tailflame_gui import theme
from tailflame_gui.widgets.live_plot import Line, LivePlots, Strip, clock, nice_top, thin
from tailflame_gui.widgets.ring import Ring

STRIPS = (
    Strip("CPU", "% of one CPU", (Line("cpu", ""),), lambda value: f"{value:.0f}%", 100.0),
    Strip(
        "Disk",
        "per second",
        (Line("read", "read"), Line("write", "written", "more", dashed=True)),
        lambda value: f"{value:.0f} B",
        10.0,
    ),
)


@pytest.fixture
def plots(qtbot: QtBot) -> LivePlots:
    made = LivePlots(STRIPS, capacity=5)
    qtbot.addWidget(made)
    made.resize(900, 240)
    made.show()
    qtbot.waitExposed(made)
    return made


def add(plots: LivePlots, *rows: tuple[float, float | None, float | None, float | None], word: str = "") -> None:
    plots.add(
        [(time_s, {"cpu": cpu, "read": read, "write": write}) for time_s, cpu, read, write in rows],
        unknown={"read": word, "write": word} if word else {},
    )


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40), st.integers(1, 12))
def test_a_ring_keeps_the_newest_in_order(values: list[float], capacity: int) -> None:
    ring = Ring(capacity, 1)
    for value in values:
        ring.append([value])
    assert ring.rows()[:, 0].tolist() == values[-capacity:]
    assert (len(ring), ring.dropped) == (min(len(values), capacity), max(len(values) - capacity, 0))


def test_a_ring_never_grows_and_can_be_emptied() -> None:
    ring = Ring(3, 2)
    for at in range(1000):
        ring.append([at, -at])
    assert ring.rows().tolist() == [[997, -997], [998, -998], [999, -999]]
    ring.clear()
    assert (len(ring), ring.dropped, ring.rows().shape) == (0, 0, (0, 2))


@pytest.mark.parametrize(
    ("value", "least", "top"),
    [(0, 1, 1), (0.3, 1, 1), (101, 100, 200), (180, 100, 200), (201, 100, 250), (251, 1, 500), (1000, 1, 1000)],
)
def test_the_axis_ends_at_a_round_number(value: float, least: float, top: float) -> None:
    assert nice_top(value, least) == pytest.approx(top)


@given(st.floats(0, 1e15), st.floats(1e-3, 1e6))
def test_the_top_holds_every_value(value: float, least: float) -> None:
    top = nice_top(value, least)
    assert top >= max(value, least) * (1 - 1e-9)
    assert top <= 2.5 * max(value, least) + 1e-9


@pytest.mark.parametrize(("seconds", "text"), [(0.5, "0.5 s"), (5, "5 s"), (80, "1:20"), (3725, "1:02:05")])
def test_times_on_the_axis(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_the_newest_values_stand_at_the_right_end(plots: LivePlots) -> None:
    add(plots, (0.0, 50, 1, 2), (0.25, 150, 3, 4))
    assert plots.readout("CPU") == ("150%",)
    assert plots.readout("Disk") == ("3 B", "4 B")


def test_memory_is_bounded_and_the_axis_says_so(plots: LivePlots) -> None:
    add(plots, *((float(at), at, 0.0, 0.0) for at in range(12)))
    assert plots.values_of("cpu").tolist() == [7, 8, 9, 10, 11]
    assert len(plots.ring) == plots.ring.capacity == 5
    assert plots.when == "the last 4 s"


def test_what_is_not_known_is_a_gap_and_says_why(plots: LivePlots) -> None:
    add(plots, (0.0, 50, 1, 2), (0.25, None, 3, 4), (0.5, 60, None, None), word="not permitted")
    assert [math.isnan(value) for value in plots.values_of("cpu")] == [False, True, False]
    assert plots.readout("Disk") == ("not permitted", "not permitted")
    add(plots, (0.75, None, 1, 1))
    assert plots.readout("CPU") == ("not known",)


def test_a_gap_is_not_painted_over(plots: LivePlots) -> None:
    """Between two runs of values a column has no pixel of the line; a zero would lie on the axis."""
    add(plots, (0.0, 100, 0, 0), (2.0, 100, 0, 0), (5.0, None, 0, 0), (8.0, 100, 0, 0), (10.0, 100, 0, 0))
    image = plots.grab().toImage()
    accent = theme.current().accent
    columns = coloured_columns(image, accent, range(0, 60))
    inside = [x for x in range(min(columns), max(columns)) if x not in columns]
    assert len(inside) > 100


def coloured_columns(image: QImage, color: QColor, lines: range) -> set[int]:
    right = image.width() - 200  # the readout's swatch is no line of the plot
    return {x for x in range(image.width()) if x < right and any(close(image.pixelColor(x, y), color) for y in lines)}


def close(one: QColor, other: QColor) -> bool:
    return abs(one.red() - other.red()) + abs(one.green() - other.green()) + abs(one.blue() - other.blue()) < 60


def test_nothing_known_at_all_paints_without_a_warning(plots: LivePlots) -> None:
    add(plots, (0.0, None, None, None), (0.25, None, None, None))
    plots.grab()
    assert plots.readout("CPU") == ("not known",)


def test_one_value_can_be_seen(plots: LivePlots) -> None:
    add(plots, (5.0, 50, None, None))
    image = plots.grab().toImage()
    assert coloured_columns(image, theme.current().accent, range(5, 60))


def test_the_pointer_reads_all_strips_at_one_time(plots: LivePlots) -> None:
    add(plots, (0.0, 10, 1, 2), (5.0, 20, 3, 4), (10.0, 30, 5, 6))
    plots.point_at(4.2)
    assert (plots.readout("CPU"), plots.readout("Disk")) == (("20%",), ("3 B", "4 B"))
    assert plots.when == "at 5.0 s"
    assert all(line.isVisible() for line in plots.cursor_lines)
    plots.point_at(None)
    assert plots.readout("CPU") == ("30%",)
    assert not any(line.isVisible() for line in plots.cursor_lines)


def test_the_mouse_points(plots: LivePlots, qtbot: QtBot) -> None:
    add(plots, (0.0, 10, 1, 2), (10.0, 30, 5, 6))
    plot = plots.plot_of("CPU")
    at = plot.getPlotItem().getViewBox().mapViewToScene(QPointF(0.5, 10.0))
    plot.scene().sigMouseMoved.emit(at)
    assert plots.readout("CPU") == ("10%",)
    plots.eventFilter(plot, QEvent(QEvent.Type.Leave))
    assert plots.readout("CPU") == ("30%",)


def test_the_axis_shows_the_whole_run_where_its_length_is_known(plots: LivePlots) -> None:
    plots.clear(whole_s=30.0)
    add(plots, (0.0, 1, 1, 1), (2.0, 1, 1, 1))
    assert plots.time_range == (0.0, 30.0)
    plots.clear()
    assert plots.time_range == (0.0, 10.0)
    assert len(plots.ring) == 0
    assert plots.readout("CPU") == ("",)


def test_what_came_while_hidden_is_shown_when_shown(plots: LivePlots, qtbot: QtBot) -> None:
    plots.hide()
    add(plots, (0.0, 70, 1, 1))
    assert plots.readout("CPU") == ("",)
    plots.show()
    qtbot.waitUntil(lambda: plots.readout("CPU") == ("70%",))


def test_colours_follow_the_theme_and_axes_are_small(plots: LivePlots) -> None:
    add(plots, (0.0, 50, 1, 2), (5.0, 80, 1, 2))
    for mode in (theme.Mode.DARK, theme.Mode.LIGHT):
        theme.set_mode(mode)
        image = plots.grab().toImage()
        tokens = theme.current()
        assert close(image.pixelColor(400, 4), tokens.surface)
        assert coloured_columns(image, tokens.accent, range(5, 60))
        assert coloured_columns(image, tokens.more, range(100, 200))
    axis = plots.plot_of("CPU").getPlotItem().getAxis("left")
    assert axis.style["tickFont"].pixelSize() == theme.SMALL == 11


def test_the_axis_has_units(plots: LivePlots) -> None:
    add(plots, (0.0, 150, 1, 2))
    axis = plots.plot_of("CPU").getPlotItem().getAxis("left")
    ((_spacing, values),) = axis.tickValues(0, 200, 60)
    assert axis.tickStrings(values, 1, 1) == ["0%", "200%"]


def test_many_values_are_thinned_without_losing_peaks_or_gaps() -> None:
    times = np.arange(2400.0)
    values = np.zeros((2, 2400))
    values[0, 1234] = 99.0
    values[1, 700:800] = np.nan
    at, kept = thin(times, values, 400)
    assert at.shape == (kept.shape[1],) and kept.shape[1] <= 440
    assert np.all(np.diff(at) > 0)
    assert kept[0].max() == 99.0
    gap = at[np.isnan(kept[1])]
    assert gap.min() <= 706 and gap.max() >= 790
    assert thin(times[:10], values[:, :10], 400)[1].shape == (2, 10)


def test_lines_are_drawn_again_only_when_they_move_by_a_pixel(plots: LivePlots) -> None:
    plots.clear(whole_s=3600.0)
    add(plots, (0.0, 10, 1, 1))
    add(plots, (0.25, 30, 1, 1))
    curve = plots.plot_of("CPU").curves[0]
    assert len(curve.getData()[0]) == 1
    assert plots.readout("CPU") == ("30%",)
    add(plots, (60.0, 40, 1, 1))
    assert len(curve.getData()[0]) == 3
