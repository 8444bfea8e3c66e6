"""A recording in sight: its figures and how sure they are, its plots, its output, its buttons, its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from tailflame.errors import ToolFailed
from tailflame_gui import theme
from tailflame_gui.record_model import Observation, RunHead
from tailflame_gui.rows import EndRow, OutputRow, ProgressRow
from tailflame_gui.views.recording_view import STRIPS, RecordingView

HEAD = RunHead("perf record: engine", "RUST_LOG=info perf record -- /p/engine --seconds 10")


@pytest.fixture
def view(qtbot: QtBot) -> Iterator[RecordingView]:
    made = RecordingView()
    holder = QWidget()
    lines = QVBoxLayout(holder)
    lines.addWidget(made.head)
    lines.addWidget(made, 1)
    qtbot.addWidget(holder)
    holder.resize(1167, 724)
    holder.show()
    qtbot.waitExposed(holder)
    yield made


def progress(stage: str = "recording", **figures: object) -> ProgressRow:
    plain = {"elapsed_s": 12.34, "remaining_s": None, "bytes": 3_100_000, "samples": 48_210, "lost": 0}
    return ProgressRow(**{"stage": stage, "samples_are_estimate": False, **plain, **figures})  # type: ignore[arg-type]


def seen(time_s: float, **figures: float | None) -> Observation:
    rates = ("voluntary", "involuntary", "minor_faults", "major_faults", "read_bytes", "write_bytes")
    plain = {"cpu_percent": 150.0, "rss": 9.3e6, "threads": 4.0, **dict.fromkeys(rates, 1.0)}
    return Observation(time_s=time_s, **{**plain, **figures})  # type: ignore[arg-type]


def test_every_figure_of_the_process_tree_has_a_strip_with_a_unit() -> None:
    assert [(strip.title, strip.unit) for strip in STRIPS] == [
        ("CPU", "% of one CPU"),
        ("Memory", "resident"),
        ("Threads", "living"),
        ("Context switches", "per second"),
        ("Page faults", "per second"),
        ("Disk I/O", "per second"),
    ]
    assert {line.key for strip in STRIPS for line in strip.lines} == set(Observation.__slots__) - {
        "time_s",
        "io_permitted",
    }
    pairs = [strip.lines for strip in STRIPS if len(strip.lines) == 2]
    assert all(second.dashed and second.color != first.color and second.words for first, second in pairs)


def test_progress_in_figures(view: RecordingView) -> None:
    view.begin(HEAD)
    assert view.running
    view.show_progress(progress(lost=7))
    assert (view.elapsed.text, view.samples.text, view.bytes.text) == ("00:12.3", "48,210", "3.1 MB")
    assert (view.lost.text, view.left.text, view.left.words) == ("7", "—", "until it ends")
    assert view.samples.words == "samples"
    assert view.sentence == "recording"
    assert not view.bar.isVisible()


def test_an_estimate_says_so(view: RecordingView) -> None:
    view.begin(HEAD)
    view.show_progress(progress(samples_are_estimate=True))
    assert (view.samples.text, view.samples.words) == ("≈ 48,210", "samples, estimate")
    view.show_progress(progress())
    assert (view.samples.text, view.samples.words) == ("48,210", "samples")


def test_what_is_left_is_said_where_it_is_known(view: RecordingView) -> None:
    view.begin(RunHead("perf record: engine", "perf", duration_s=20.0))
    view.show_progress(progress(elapsed_s=5.0, remaining_s=15.0))
    assert (view.left.text, view.left.words) == ("00:15.0", "left")
    assert (view.bar.value(), view.bar.maximum()) == (250, 1000)
    assert view.plots.time_range == (0.0, 20.0)
    view.show_progress(progress(elapsed_s=3725.4, remaining_s=1.0))
    assert view.elapsed.text == "1:02:05"


@pytest.mark.parametrize(
    ("stage", "words", "waits"),
    [
        ("starting", "the tool starts the program", False),
        ("building", "cargo builds the program", True),
        ("recording", "recording", False),
        ("stopping", "the program was asked to end", False),
        ("finishing", "the program has ended, the tool writes what it holds", True),
    ],
)
def test_the_stage_is_in_words(view: RecordingView, stage: str, words: str, waits: bool) -> None:
    view.begin(HEAD)
    view.show_progress(progress(stage))
    assert view.sentence == words
    assert (view.bar.isVisible() and view.bar.maximum() == 0) == waits


def test_observations_reach_the_plots(view: RecordingView) -> None:
    view.begin(HEAD)
    view.show_observed([seen(0.0, voluntary=None, involuntary=None), seen(0.25, voluntary=20.0, involuntary=1234.0)])
    assert view.plots.readout("CPU") == ("150%",)
    assert view.plots.readout("Memory") == ("9.3 MB",)
    assert view.plots.readout("Threads") == ("4",)
    assert view.plots.readout("Context switches") == ("20", "1,234")
    assert len(view.plots.values_of("voluntary")) == 2
    view.show_observed([])
    assert len(view.plots.ring) == 2


def test_what_the_kernel_does_not_tell_is_not_permitted(view: RecordingView) -> None:
    view.begin(HEAD)
    hidden = seen(0.0, read_bytes=None, write_bytes=None)
    view.show_observed([Observation(**{n: getattr(hidden, n) for n in hidden.__slots__} | {"io_permitted": False})])
    assert view.plots.readout("Disk I/O") == ("not permitted", "not permitted")


def test_output_reaches_the_console(view: RecordingView) -> None:
    view.begin(HEAD)
    view.show_output((OutputRow("stdout", "one\ntw"), OutputRow("stderr", "slow\n"), OutputRow("stdout", "o\n")))
    assert [(line.stream, line.text) for line in view.console.shown] == [
        ("stdout", "one"),
        ("stderr", "slow"),
        ("stdout", "two"),
    ]


def test_stop_and_cancel_are_there_while_it_runs_and_no_key_falls_on_them(view: RecordingView, qtbot: QtBot) -> None:
    view.begin(HEAD)
    assert view.stop.isVisible() and view.cancel.isVisible() and not view.again.isVisible()
    assert view.console.text.hasFocus()
    with qtbot.waitSignal(view.stop_requested):
        view.stop.click()


def test_cancelling_asks_in_place_first(view: RecordingView, qtbot: QtBot) -> None:
    view.begin(HEAD)
    view.show_progress(progress())
    with qtbot.assertNotEmitted(view.cancel_requested):
        view.cancel.click()
        assert view.asking
        assert view.question.text() == "Throw 00:12.3 of recording away?"
        view.keep.click()
    assert not view.asking and view.running
    view.ask_cancel()
    with qtbot.waitSignal(view.cancel_requested):
        view.drop.click()
    assert not view.asking


def test_nothing_is_asked_when_nothing_runs(view: RecordingView) -> None:
    view.ask_cancel()
    assert not view.asking


def test_a_crash_is_an_outcome(view: RecordingView, qtbot: QtBot) -> None:
    view.begin(HEAD)
    view.show_progress(progress())
    view.show_output((OutputRow("stderr", "no newline"),))
    view.show_end(EndRow("engine", "killed by SIGSEGV after 12.3 s", True, False, ("2 processes ended with it.",)))
    assert view.sentence == "killed by SIGSEGV after 12.3 s. 2 processes ended with it."
    assert not view.running
    assert view.console.shown[-1].text == "no newline"
    assert view.bar.isVisible() and view.bar.maximum() == 0  # the result is being read
    view.show_kept()
    assert not view.bar.isVisible()
    assert view.show_result.isVisible() and view.again.isVisible() and not view.stop.isVisible()
    with qtbot.waitSignal(view.show_requested):
        view.show_result.click()
    with qtbot.waitSignal(view.again_requested):
        view.again.click()


def test_a_cancelled_one_says_that_nothing_was_kept(view: RecordingView) -> None:
    view.begin(HEAD)
    view.ask_cancel()
    view.show_end(EndRow("engine", "stopped by you after 1.0 s", False, True))
    assert view.sentence == "stopped by you after 1.0 s; nothing was kept."
    assert not view.asking and not view.bar.isVisible()


def test_a_failure_keeps_the_output_and_offers_another_try(view: RecordingView) -> None:
    view.begin(HEAD)
    view.show_output((OutputRow("tool", "Error:\nNo permission"),))
    view.show_failed(ToolFailed("perf left no result."))
    assert view.sentence == "perf left no result."
    assert [line.text for line in view.console.shown] == ["Error:", "No permission"]
    assert view.again.isVisible() and not view.show_result.isVisible()
    assert not view.bar.isVisible()


def test_what_comes_late_changes_nothing(view: RecordingView) -> None:
    view.begin(HEAD)
    view.show_end(EndRow("engine", "finished after 1.0 s", False, False))
    view.show_progress(progress("finishing"))
    assert view.sentence == "finished after 1.0 s."
    view.show_rest()
    assert not view.bar.isVisible()


def test_the_next_recording_begins_empty(view: RecordingView) -> None:
    view.begin(HEAD)
    view.show_progress(progress(samples_are_estimate=True))
    view.show_observed([seen(0.0)])
    view.show_output((OutputRow("stdout", "one\n"),))
    view.show_cost("window 2.0%")
    view.show_end(EndRow("engine", "finished after 1.0 s", False, False))
    view.show_kept()
    view.begin(RunHead("cargo flamegraph: book", "cargo flamegraph", builds_first=True))
    assert view.sentence == "building"
    assert [f.text for f in (view.elapsed, view.samples, view.bytes, view.lost, view.cost)] == ["—"] * 5
    assert view.samples.words == "samples"
    assert (len(view.plots.ring), view.console.shown) == (0, ())
    assert view.stop.isVisible() and not view.show_result.isVisible()


def test_our_own_cost_is_said(view: RecordingView) -> None:
    view.begin(HEAD)
    view.show_cost("window 2.1%, perf 0.4%")
    assert view.cost.text == "window 2.1%, perf 0.4%"
    assert view.cost.words == "our own cost, of one CPU"


def test_the_command_as_it_was_run_can_be_copied(view: RecordingView) -> None:
    view.begin(HEAD)
    view.copy.click()
    assert QGuiApplication.clipboard().text() == HEAD.command_line


@pytest.mark.parametrize("mode", [theme.Mode.LIGHT, theme.Mode.DARK])
def test_it_can_be_painted_in_both_schemes(view: RecordingView, mode: theme.Mode) -> None:
    theme.set_mode(mode)
    view.begin(HEAD)
    view.show_progress(progress(lost=3))
    view.show_observed([seen(float(at), cpu_percent=None if at == 3 else 50.0 * at) for at in range(8)])
    image = view.grab().toImage()
    assert image.pixelColor(600, 150).name() == theme.current().surface.name()
    for made in view.findChildren(QLabel):
        assert made.width() <= view.width()
