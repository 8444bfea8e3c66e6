"""The live screen as one: what it shows of a run, what the user can ask for, and the same of a kept result."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from helpers.live_samples import START_S, latency, live_data, reading
from tailflame.analyse.latency_diff import compare_latencies
from tailflame.analyse.live_data import LiveData, Moment
from tailflame.model.counters import CounterSeries
from tailflame.model.histogram import Histogram, HistogramSeries
from tailflame.model.live import Status
from tailflame.model.live_record import LiveRecord, Mark
from tailflame.model.recording import Recording
from tailflame_gui import tasks
from tailflame_gui.live_rows import RunLine, SourceRow
from tailflame_gui.models.counter_table import counter_fields, counter_rows
from tailflame_gui.models.percentile_table import PercentileTable, delta_rows
from tailflame_gui.models.session_table import RowTable
from tailflame_gui.rows import Level
from tailflame_gui.views.latency_view import LatencyResultView, has_latencies
from tailflame_gui.views.live_bar import read_slo
from tailflame_gui.views.live_plots import HEAT, PERCENTILES, STAGES
from tailflame_gui.views.live_view import LiveView
from tailflame_gui.widgets.latency_unit import LatencyUnit
from tailflame_gui.widgets.plot_choices import Choices, Slo

SOURCES = (
    SourceRow("probe", "Function probe", "Times match_order."),
    SourceRow("counters", "Counters", "perf is not permitted.", on=False, level=Level.ERROR, fix="sudo sysctl …"),
)


def made(qtbot: QtBot, view: LiveView) -> LiveView:
    qtbot.addWidget(view)
    view.resize(1180, 690)
    view.show()
    qtbot.waitExposed(view)
    return view


@pytest.fixture
def view(qtbot: QtBot) -> LiveView:
    shown = made(qtbot, LiveView())
    shown.show_data(live_data())
    shown.refresh(force=True)
    return shown


def test_before_anything_is_measured_it_says_what_to_do(qtbot: QtBot) -> None:
    view = made(qtbot, LiveView())
    assert view._pages.currentIndex() == 1
    data = LiveData()
    view.show_data(data)
    data.take(latency(0, 1000))
    view.refresh()
    assert view._pages.currentIndex() == 0 and view.series == ("match_order",)


def test_it_shows_what_there_is(view: LiveView) -> None:
    assert view.plots.shown == (PERCENTILES, HEAT, "IPC", "cache miss rate", "LLC load miss rate", STAGES)
    assert view.bar.series_names == ("match_order", "validation_us")
    assert view.head.value.words == "p99.9, last 10 s"
    assert view.head.lost.text == "7" and view.head.floor.text == "1.10 µs"
    assert view.panel.part == "tail"
    assert [line.key for line in view.panel.nines.lines] == ["window", "whole"]


def test_new_series_and_counters_appear_while_it_runs(view: LiveView) -> None:
    view.data.take(latency(31, 500, series="risk_us"))
    view.data.take(reading(31, "branch miss rate", 1.0, unit="%"))
    view.data.take(reading(31, "cycles", 1e9))
    view.refresh()
    assert "risk_us" in view.bar.series_names
    assert "branch miss rate" in view.plots.shown
    assert "cycles" in view.plots.plots and "cycles" not in view.plots.shown  # what is computed of it says more
    view.plots.choose("cycles", True)
    view.plots.choose(HEAT, False)
    assert "cycles" in view.plots.shown and HEAT not in view.plots.shown


def test_plots_of_the_last_run_are_gone_and_listen_no_more(qtbot: QtBot, view: LiveView) -> None:
    gone = view.plots.strips["IPC"]
    with qtbot.waitSignal(gone.destroyed):
        view.show_data(live_data(5))
    view.axis.select(START_S + 1, START_S + 2)
    view.axis.point_at(START_S + 1)
    view.axis.clear()
    view.refresh(force=True)
    assert view.plots.strips["IPC"] is not gone


def test_a_hidden_screen_costs_nothing_and_catches_up(view: LiveView) -> None:
    view.hide()
    view.data.take(latency(40, 500))
    view.refresh()
    assert view.axis.last_s == START_S + 30
    view.show()
    assert view.axis.last_s == START_S + 41


def test_pausing_loses_nothing(qtbot: QtBot, view: LiveView) -> None:
    qtbot.keyClick(view, Qt.Key.Key_Space)
    assert not view.axis.follows and view.bar.follow.text() == "Follow"
    held = view.axis.low_s, view.axis.high_s
    for at in range(30, 90):
        view.data.take(latency(at, 1000))
        view.refresh()
    assert (view.axis.low_s, view.axis.high_s) == held
    assert view.data.latency["match_order"].intervals == 90
    qtbot.mouseClick(view.bar.follow, Qt.MouseButton.LeftButton)
    assert view.axis.follows and view.axis.high_s >= START_S + 90


def test_a_selected_time_offers_what_can_be_done_with_it(qtbot: QtBot, view: LiveView) -> None:
    with qtbot.waitSignal(view.range_selected) as selected:
        view.axis.select(START_S + 10, START_S + 20)
    assert selected.args == [START_S + 10, START_S + 20]
    assert "6,000 calls" in view.range_line.text and view.range_line.record.isVisible()
    assert not view.range_line.flame.isEnabled()
    view.set_range_offers()
    with qtbot.waitSignal(view.record_range_requested) as record:
        qtbot.mouseClick(view.range_line.record, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(view.flame_range_requested) as flame:
        qtbot.mouseClick(view.range_line.flame, Qt.MouseButton.LeftButton)
    assert record.args == flame.args == [START_S + 10, START_S + 20]
    qtbot.waitUntil(lambda: view.panel.nines.lines[0].words == "selected 10 s")
    assert view.panel.nines.lines[0].histogram.total == 6000
    with qtbot.waitSignal(view.range_cleared):
        qtbot.keyClick(view, Qt.Key.Key_Escape)
    assert not view.range_line.record.isVisible()


def test_sources_are_switched_by_their_name_and_show_what_is(qtbot: QtBot, view: LiveView) -> None:
    view.set_sources(SOURCES)
    line = view.sources.lines["counters"]
    with qtbot.waitSignal(view.source_toggled) as toggled:
        line.switch.click()
    assert toggled.args == ["counters", True]
    assert not line.switch.isChecked()
    assert "sysctl" in line.accessibleName()
    with qtbot.waitSignal(view.add_source_requested):
        qtbot.mouseClick(view.sources.add, Qt.MouseButton.LeftButton)


def test_the_run_is_left_as_it_was_begun(qtbot: QtBot, view: LiveView) -> None:
    view.set_head(RunLine("demo", "pid 1", attached=True, cost="0.6% CPU"))
    assert view.head.detach.isVisible() and not view.head.stop.isVisible()
    with qtbot.waitSignal(view.detach_requested):
        view.head.detach.click()
    view.set_head(RunLine("demo", "pid 1", attached=False))
    with qtbot.waitSignal(view.stop_requested):
        view.head.stop.click()
    with qtbot.waitSignal(view.mark_requested) as mark:
        view.head.note.setText(" deploy ")
        qtbot.keyClick(view.head.note, Qt.Key.Key_Return)
    assert mark.args == ["deploy"] and view.head.note.text() == ""
    view.set_sources(SOURCES)
    view.set_finished("ended with exit status 0 after 30 s")
    assert not view.head.stop.isVisible() and not view.sources.lines["probe"].switch.isEnabled()
    assert view.head.value.words == "p99.9, whole run"
    view.show_data(live_data(5))  # the next run
    assert view.head.stop.isVisible() and view.sources.add.isVisible()


def test_choices_are_told_and_can_be_set(qtbot: QtBot, view: LiveView) -> None:
    with qtbot.waitSignal(view.choices_changed) as changed:
        view.bar.slo.setText("250 us")
        qtbot.keyClick(view.bar.slo, Qt.Key.Key_Return)
    assert changed.args[0].slo == Slo(250e3, 99.9)
    kept = Choices(log=False, unit=LatencyUnit.US, slo=Slo(1.5e6, 99.0))
    with qtbot.assertNotEmitted(view.choices_changed):
        view.set_choices(kept)
    assert view.choices == kept and view.bar.slo.text() == "1.5 ms"
    view.choose_series(("validation_us", "match_order"))
    assert view.series == ("validation_us", "match_order") and view.plots.percentiles.many


@pytest.mark.parametrize(
    ("text", "limit"), [("250", 250e3), ("1.5ms", 1.5e6), ("2 s", 2e9), ("80 ns", 80), ("", None), ("0", None),
                        ("fast", None), ("1.2.3 ms", None)],
)  # fmt: skip
def test_an_slo_as_people_write_it(text: str, limit: float | None) -> None:
    assert read_slo(text) == limit


def test_the_baseline_is_drawn_and_compared(qtbot: QtBot) -> None:
    view = made(qtbot, LiveView(live=False))
    view.show_data(live_data(60, factor=1.5))
    view.set_baseline(live_data(60))
    assert view.panel.part == "compared"
    assert [line.key for line in view.panel.nines.lines] == ["window", "baseline"]
    qtbot.waitUntil(lambda: view.delta.table.rowCount() == 6, timeout=60_000)
    row = view.delta.table.rows[0]
    assert (row.name, row.verdict, row.better) == ("p50", "slower", False)
    assert view.delta.table.rows[-1].verdict == "too few values"
    view.set_baseline(None)
    assert view.delta.table.rowCount() == 0 and view.panel.part != "compared"
    qtbot.waitUntil(tasks.at_rest)


def test_the_table_of_changes_is_a_sound_model(qtmodeltester: ModelTester) -> None:
    table = PercentileTable()
    before, after = (Histogram.of([v] * 20_000, digits=2) for v in (1000, 1300))
    qtmodeltester.check(table)
    table.show_rows(delta_rows(compare_latencies(before, after, resamples=200)), LatencyUnit.AUTO)
    qtmodeltester.check(table)
    texts = [table.index(0, at).data() for at in range(table.columnCount())]
    assert texts[0] == "p50" and texts[3] == "+29.9" and texts[5] == "slower"
    table.show_rows(table.rows, LatencyUnit.NS)
    assert table.index(0, 1).data() == "1,003 ns"
    table.show_rows(delta_rows(compare_latencies(before, Histogram.empty(1, 2))), LatencyUnit.AUTO)
    qtmodeltester.check(table)
    assert table.index(0, 2).data() == "—"


def test_the_table_of_counters_read_once_is_a_sound_model(qtmodeltester: ModelTester) -> None:
    data = LiveData()
    data.take(reading(0, "IPC", 0.8))
    data.take(reading(0, "cache miss rate", 3.0, unit="%", running=0.43))
    data.take(reading(0, "LLC-loads", None, status=Status.NOT_SUPPORTED))
    table = RowTable(counter_fields())
    table.set_rows(counter_rows(data.counters))
    qtmodeltester.check(table)
    texts = [[table.index(line, at).data() for at in range(3)] for line in range(3)]
    assert texts[0][1] == "0.80" and "waits most of the time" in texts[0][2]
    assert texts[1][1] == "3.0%" and texts[1][2].startswith("multiplexed 43%")
    assert texts[2] == ["LLC-loads", "<not supported>", ""]


def test_a_kept_run_shows_the_same(qtbot: QtBot) -> None:
    slices = [latency(at, 1000, 2000) for at in range(20)]
    recording = Recording(
        "", "live", "live.jsonl",
        (
            HistogramSeries(
                ("match_order",) * 20, tuple(s.start_s for s in slices), (1.0,) * 20,
                tuple(s.histogram for s in slices),
            ),
            CounterSeries.of_readings([reading(at, "IPC", 2.2) for at in range(20)]),
            LiveRecord(epoch_s=0, began_s=START_S - 1, ended_s=START_S + 20, marks=(Mark(START_S + 3, "deploy"),)),
        ),
    )  # fmt: skip
    assert has_latencies(recording) and not has_latencies(Recording("", "", "", ()))
    result = LatencyResultView(recording)
    qtbot.addWidget(result)
    result.resize(1180, 640)
    result.show()
    qtbot.waitUntil(lambda: not result.busy)
    view = result.view
    assert view.plots.shown == (PERCENTILES, HEAT, "IPC")
    assert view.data.moments == [Moment(START_S + 3, "deploy")] and view.axis.zero_s == START_S - 1
    assert (view.axis.low_s, view.axis.high_s) == (START_S, START_S + 20)
    assert not view.sources.isVisible() and not view.head.note.isVisible()
    assert view.head.value.words == "p99.9, whole run"


def result_of(series: HistogramSeries) -> Recording:
    return Recording("", "hgrm", "x.hgrm", (series,))


def test_one_histogram_without_times_has_no_plots_over_time(qtbot: QtBot) -> None:
    series = HistogramSeries(("",), (0.0,), (0.0,), (Histogram.of([1000, 2000, 3000], digits=2),))
    result = LatencyResultView(result_of(series))
    qtbot.addWidget(result)
    result.show()
    qtbot.waitUntil(lambda: not result.busy)
    assert not result.view.plots.isVisible()
    assert result.view.panel.nines.lines[0].histogram.total == 3
    assert result.view.head.calls.text == "3"
    result.set_baseline(result_of(series))
    qtbot.waitUntil(lambda: not result.busy, timeout=60_000)
    assert [line.key for line in result.view.panel.nines.lines] == ["window", "baseline"]
    assert {row.verdict for row in result.view.delta.table.rows} == {"too few values"}
    result.set_baseline(None)
    assert [line.key for line in result.view.panel.nines.lines] == ["window"]


def test_counters_without_latencies_have_the_screen_for_themselves(qtbot: QtBot) -> None:
    counters = CounterSeries.of_readings([reading(0, "IPC", 2.2), reading(0, "cycles", 1e9)])
    result = LatencyResultView(Recording("perf", "perf-stat", "stat.json", (counters,)))
    qtbot.addWidget(result)
    result.show()
    qtbot.waitUntil(lambda: not result.busy)
    assert result.view.once.isVisible() and not result.view.plots.isVisible()
    assert not result.view.panel.isVisible() and not result.view.bar.series.isVisible()


def test_it_fits_a_small_window(qtbot: QtBot) -> None:
    view = made(qtbot, LiveView())
    view.set_head(RunLine("trading-system", "pid 8812, attached for 1:30", cost="0.6% CPU"))
    view.set_sources(SOURCES)
    view.show_data(live_data())
    view.refresh(force=True)
    QApplication.processEvents()
    assert view.minimumSizeHint().width() <= 1184 and view.minimumSizeHint().height() <= 640
