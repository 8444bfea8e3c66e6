"""The record page with the real perf on the demo target: chosen, recorded, watched, stopped, cancelled, crashed."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

# The window's strict test bed; a fixture is used by being here.
from gui.conftest import (  # noqa: F401
    _collected_here,
    _light_again,
    _logs_are_clean,
    _nothing_left_running,
    _session_loop,
    _themed,
    loop,
    own_folders,
    parts,
)
from tailflame.analyse.hotspots import hotspots
from tailflame.analyse.names import plain
from tailflame.host.system import forget_host
from tailflame.model import Recording, StackProfile
from tailflame.parse import load
from tailflame.store import load_recording
from tailflame_gui import demo, tasks
from tailflame_gui.state import OpenResult, Page, Stage
from tailflame_gui.views.record_page import RecordPage, Side
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.views.target_form import FOR
from tailflame_gui.wiring import Parts

pytestmark = [pytest.mark.tool("perf"), pytest.mark.timeout(300)]

HOTTEST = "trading_system::risk::check_exposure"


@pytest.fixture
def page(parts: Parts, qtbot: QtBot) -> Iterator[RecordPage]:  # noqa: F811
    forget_host()  # a test before may have looked at a perf of its own
    made = parts.window.record_page
    assert isinstance(made, RecordPage)
    parts.actions["record_page"].trigger()
    qtbot.waitUntil(lambda: tasks.at_rest() and bool(made.options.cards))
    yield made


def choose(parts: Parts, page: RecordPage, qtbot: QtBot, binary: Path, arguments: str) -> None:  # noqa: F811
    """As a user does: drops the binary on the window, types the arguments."""
    parts.window.dropped.emit((binary,))
    qtbot.waitUntil(lambda: bool(page.command.toPlainText()) and tasks.at_rest())
    page.target.arguments.setFocus()
    qtbot.keyClicks(page.target.arguments, arguments)
    qtbot.waitUntil(lambda: page.command.toPlainText().endswith(arguments) and tasks.at_rest())
    assert page.record.isEnabled(), page.record.toolTip()


def result(parts: Parts, qtbot: QtBot, *, number: int = 1) -> tuple[OpenResult, Recording, StackProfile]:  # noqa: F811
    """The result that has opened by itself."""
    qtbot.waitUntil(lambda: len(parts.state.open_results) == number and tasks.at_rest(), timeout=120_000)
    tab = parts.state.open_results[-1]
    assert tab.stage is Stage.READY and tab.recording is not None
    assert parts.state.page is Page.RESULTS and parts.state.result is tab
    assert isinstance(parts.window.results.page, ResultView)
    profile = tab.recording.profile
    assert profile is not None
    return tab, tab.recording, profile


def target_of(page: RecordPage, qtbot: QtBot, binary: Path) -> psutil.Process:
    """The demo's own process, once it has been seen to use some CPU."""
    qtbot.waitUntil(lambda: page.side is Side.RUN and len(page.run.plots.ring) > 3, timeout=60_000)
    return next(p for p in psutil.Process().children(recursive=True) if p.exe() == str(binary.resolve()))


def test_two_seconds_of_the_demo(parts: Parts, page: RecordPage, qtbot: QtBot, demo_binary: Path) -> None:  # noqa: F811
    choose(parts, page, qtbot, demo_binary, "--mode benchmark --seconds 30")
    assert page.target.facts.whole.startswith("Rust, release-with-debug, frame pointers, debug information")
    assert page.draft.options.call_graph == "fp" and page.draft.options.frequency == 1999
    page.target.lasts.button(FOR).click()
    page.target.seconds.setValue(2.0)
    qtbot.waitUntil(lambda: "SIGTERM after 2.0 s" in page.command_note.whole and tasks.at_rest())
    shown = page.command.toPlainText()
    page.record.click()
    qtbot.waitUntil(lambda: page.side is Side.RUN and page.run.left.words == "left")
    qtbot.waitUntil(lambda: len(page.run.plots.ring) >= 5, timeout=60_000)
    run = page.run
    assert np.nanmax(run.plots.values_of("cpu_percent")) > 10
    assert np.nanmin(run.plots.values_of("rss")) > 1e6
    assert np.nanmax(run.plots.values_of("threads")) >= 1
    for key in ("voluntary", "involuntary", "minor_faults", "major_faults"):
        assert np.isfinite(run.plots.values_of(key)[1:]).all(), key
    assert run.plots.readout("CPU")[0].endswith("%")

    tab, recording, profile = result(parts, qtbot)
    assert re.fullmatch(r"trading-system: stopped after \d\.\d s, when its time was up\.", page.last_sentence)
    table = hotspots(profile)
    assert plain(table.key[table.hottest(1)[0]]) == HOTTEST
    assert profile.total() > 1000
    assert recording.meta.command[1:] == ("--mode", "benchmark", "--seconds", "30")
    # What was shown is what ran, but for the folder that did not exist yet.
    (entry,) = parts.state.runs
    assert entry.command_line == run.command.whole == shown.replace("SESSION", tab.path.name)
    assert entry.ok
    (row,) = parts.state.sessions
    assert (row.state, row.tool, row.path) == ("complete", "perf record", tab.path)
    assert any("perf record: Captured" in line.text for line in run.console.shown if line.stream == "tool")
    assert any("orders in" in line.text for line in run.console.shown if line.stream == "stdout")


def test_threads_and_several_events(parts: Parts, page: RecordPage, qtbot: QtBot, demo_binary: Path) -> None:  # noqa: F811
    choose(parts, page, qtbot, demo_binary, "--mode benchmark --seconds 3 --threads 2")
    page.options.events["page-faults"].click()
    qtbot.waitUntil(lambda: "-e cpu-clock,page-faults" in page.command.toPlainText() and tasks.at_rest())
    page.record.click()
    _, recording, profile = result(parts, qtbot)
    assert np.nanmax(page.run.plots.values_of("threads")) >= 3
    assert [event.name.partition(":")[0] for event in profile.events] == ["cpu-clock", "page-faults"]
    assert {"engine-0", "engine-1"} <= {thread.name for thread in profile.threads}
    assert page.last_sentence.startswith("trading-system: finished after")
    assert recording.meta.outcome.startswith("finished after")
    table = hotspots(profile)
    assert plain(table.key[table.hottest(1)[0]]) == HOTTEST


def test_stopping_early_keeps_and_record_again_is_one_key(
    parts: Parts,  # noqa: F811
    page: RecordPage,
    qtbot: QtBot,
    demo_binary: Path,
) -> None:
    choose(parts, page, qtbot, demo_binary, "--mode serve")
    page.record.click()
    target = target_of(page, qtbot, demo_binary)
    assert page.run.samples.words in ("samples", "samples, estimate")
    qtbot.waitUntil(lambda: page.run.samples.text not in ("—", "0", "≈ 0"))
    page.run.stop.click()
    _, _, profile = result(parts, qtbot)
    assert not target.is_running()
    assert page.last_sentence.startswith("trading-system: stopped by you after")
    assert profile.total() > 100

    qtbot.keyClick(parts.window, Qt.Key.Key_F5)
    assert target_of(page, qtbot, demo_binary).is_running()
    assert page.run.command.whole.endswith("--mode serve")
    qtbot.keyClick(parts.window, Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier)
    result(parts, qtbot, number=2)
    assert len(parts.state.sessions) == 2


def test_cancelling_leaves_nothing(parts: Parts, page: RecordPage, qtbot: QtBot, demo_binary: Path) -> None:  # noqa: F811
    choose(parts, page, qtbot, demo_binary, "--mode serve")
    page.record.click()
    target = target_of(page, qtbot, demo_binary)
    tool = target.parent()
    assert tool is not None and tool.name() == "perf"
    page.run.cancel.click()
    assert page.run.asking and parts.recorder.running
    page.run.drop.click()
    qtbot.waitUntil(lambda: not parts.recorder.running and tasks.at_rest(), timeout=60_000)
    assert not target.is_running() and not tool.is_running()
    assert [path for path in parts.controller.library.root.iterdir() if path.is_dir()] == []
    assert (parts.state.sessions, parts.state.open_results) == ((), ())
    assert page.last_sentence == "trading-system: cancelled, nothing was kept."
    assert parts.window.notices.notices == ()
    assert page.side is Side.SETTINGS and page.record.isEnabled()


def test_a_crash_of_the_target_is_an_outcome(parts: Parts, page: RecordPage, qtbot: QtBot, demo_binary: Path) -> None:  # noqa: F811
    choose(parts, page, qtbot, demo_binary, "--mode serve")
    page.record.click()
    target = target_of(page, qtbot, demo_binary)
    os.kill(target.pid, signal.SIGABRT)
    tab, recording, profile = result(parts, qtbot)
    assert page.last_sentence.startswith("trading-system: killed by SIGABRT after")
    assert recording.meta.outcome.startswith("killed by SIGABRT after")
    assert recording.warnings[0].text == page.last_sentence
    assert profile.total() > 100
    assert parts.window.notices.notices == ()
    assert tab.session is not None and tab.session.state == "complete"


def test_the_demo_keeps_its_latencies(
    parts: Parts,  # noqa: F811
    page: RecordPage,
    qtbot: QtBot,
    demo_binary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "SWITCHES", ("--mode", "benchmark", "--seconds", "2", "--slow-path", "2000"))
    parts.actions["record_demo"].trigger()
    tab, recording, profile = result(parts, qtbot)
    assert profile.total() > 100 and tab.session is not None and tab.session.binary == str(demo_binary)
    log = load(tab.path / "latency.hlog").histograms
    assert log is not None and recording.histograms is not None
    assert [h.total for h in recording.histograms.histograms] == [h.total for h in log.histograms]
    assert load_recording(tab.path).histograms is not None, "it is kept with the session"
    assert recording.warnings == ()
    view = parts.window.results.page
    assert isinstance(view, ResultView)
    view.show_part(Part.SUMMARY)
    qtbot.waitUntil(lambda: tasks.at_rest() and not view.busy)
    assert view.summary.percentiles.isVisible()
    shown = {line[0] for line in view.summary.percentiles.lines}
    assert shown == {tag or "all" for tag in log.distinct_tags()} and "risk_check" in shown


@pytest.mark.tool("cargo", "cargo-flamegraph")
def test_a_target_of_the_cargo_project(parts: Parts, page: RecordPage, qtbot: QtBot, demo_binary: Path) -> None:  # noqa: F811
    folder = demo_binary.parents[2]
    parts.window.dropped.emit((folder,))
    qtbot.waitUntil(lambda: page.target.targets.count() > 0 and tasks.at_rest())
    assert page.draft.target.cargo_name == "trading-system"
    page.target.profile.setCurrentIndex(page.target.profile.findData("release-with-debug"))
    page.options.call_graph.button("fp").click()
    qtbot.keyClicks(page.target.arguments, "--mode benchmark --seconds 2")
    qtbot.waitUntil(lambda: page.command.toPlainText().endswith("--seconds 2") and tasks.at_rest())
    assert "cargo flamegraph --profile release-with-debug" in page.command.toPlainText()
    page.record.click()
    tab, _, profile = result(parts, qtbot)
    assert profile.total() > 500
    assert any("check_exposure" in name for name in hotspots(profile).key)
    assert tab.session is not None and tab.session.tool == "cargo flamegraph"
    assert {path.suffix for path in tab.path.iterdir()} >= {".svg", ".data", ".json"}
