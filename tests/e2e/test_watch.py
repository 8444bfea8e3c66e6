"""Continuous profiling of the real demo: from the command line, by its own snapshots, and in the window."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
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
from helpers.perf_report import ARGV, PerfReport
from tailflame.host.system import forget_host
from tailflame.store import load_recording
from tailflame_gui.state import OpenResult, Page, Stage
from tailflame_gui.views.live_page import LivePage, Side
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.wiring import Parts

pytestmark = [pytest.mark.tool("perf"), pytest.mark.timeout(300)]


@pytest.fixture
def engine(demo_binary: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [str(demo_binary), "--mode", "serve", "--threads", "1", "--rate", "50000"], stdout=subprocess.DEVNULL
    )
    yield process
    process.terminate()
    process.wait(timeout=30)


def tailflame(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "tailflame.cli.main", *map(str, words)]


def run(*words: str | Path) -> list[dict[str, Any]]:
    done = subprocess.run(tailflame(*words), capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def reported(path: Path) -> int:
    environment = {**os.environ, "LC_ALL": "C"}
    argv = ["perf", "report", "-i", str(path), *ARGV]
    text = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment).stdout
    return sum(event.samples for event in PerfReport.parse(text).events)


def test_the_demo_is_watched_slice_by_slice_and_kept(engine: subprocess.Popen[bytes], tmp_path: Path) -> None:
    words = tailflame("watch", "--pid", str(engine.pid), "--slice", "1", "--budget-cpu", "400", "--json",
                      "--profiles", tmp_path)  # fmt: skip
    told: list[dict[str, Any]] = []
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        for line in watching.stdout:
            told.append(json.loads(line))
            if sum("slice" in one for one in told) == 3:
                watching.send_signal(signal.SIGINT)
    assert watching.returncode == 0
    slices = [one for one in told if "slice" in one]
    assert all(one["overhead"]["perf_s"] > 0 for one in slices)
    last = told[-1]
    folder = tmp_path / last["session"]
    assert last["samples"] == sum(one["samples"] for one in slices) > 0
    assert last["samples"] == sum(reported(path) for path in folder.glob("perf.data.*"))
    recording = load_recording(folder)
    assert recording.slices is not None and recording.profile is not None
    assert len(recording.slices.rows) == last["slices"] == len(slices)
    assert recording.profile.total() == last["samples"]
    # Which function leads a slice of some dozen samples is chance: an engine that waits has the kernel's there as well.
    assert all(one["top"] for one in slices if one["samples"])
    assert any("trading_system" in name for name in recording.profile.frames.names())
    assert engine.poll() is None


def test_killed_at_any_moment_what_was_recorded_is_read(
    engine: subprocess.Popen[bytes], tmp_path: Path, qtbot: QtBot
) -> None:
    words = tailflame("watch", "--pid", str(engine.pid), "--slice", "1", "--budget-cpu", "400", "--profiles", tmp_path)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as watching:
        assert watching.stdout is not None
        watching.stdout.readline()
        watching.stdout.readline()
        watching.send_signal(signal.SIGKILL)
    folder = next(tmp_path.glob("*_continuous"))
    qtbot.waitUntil(lambda: not (folder / "perf.data").exists(), timeout=60_000)  # perf is told of our end
    done = subprocess.run(
        tailflame("show", "latest", "--json", "--profiles", tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["view"]["samples"] == sum(reported(path) for path in folder.glob("perf.data.*")) > 0
    assert engine.poll() is None


def test_snapshots_of_the_demo_are_told_to_be_each_by_itself(demo_binary: Path, tmp_path: Path) -> None:
    """Its profiler starts anew for each: every sample is in one file."""
    snapshots = tmp_path / "snapshots"
    argv = [str(demo_binary), "--seconds", "5", "--profile-every", "1", "--profile-dir", str(snapshots)]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    told = run("watch", "--folder", snapshots, "--once", "--json", "--profiles", tmp_path / "profiles")
    slices = [one for one in told if "slice" in one]
    assert [one["source"] for one in slices] == sorted(path.name for path in snapshots.glob("profile_*.svg"))
    assert told[-1]["finished"] == "Each file is shown by itself."
    assert told[-1]["samples"] == sum(one["samples"] for one in slices) > 0


def test_the_window_profiles_the_demo_beside_its_live_run(
    parts: Parts,  # noqa: F811
    qtbot: QtBot,
    engine: subprocess.Popen[bytes],
    tmp_path: Path,
) -> None:
    forget_host()
    page = parts.window.live_page
    assert isinstance(page, LivePage)
    parts.actions["continuous"].trigger()
    assert parts.state.page is Page.LIVE
    assert page.setup.sources.continuous.on
    picker = page.setup.picker
    picker.filter_field.setFocus()
    qtbot.keyClicks(picker.filter_field, str(engine.pid))
    qtbot.waitUntil(lambda: page.setup.draft.process is not None and page.setup.draft.process.pid == engine.pid)
    page.setup.sources.slices.length.setText("1")
    page.setup.sources.counters.box.setChecked(False)
    qtbot.mouseClick(page.setup.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.side is Side.RUN)
    strip = page.view.plots.slices
    qtbot.waitUntil(lambda: sum(not row.waiting for row in strip.rows) >= 2, timeout=120_000)
    assert strip.isVisible()
    # The flame graph of a slice, while it goes on.
    strip.setFocus()
    strip.axis.select(strip.rows[0].start_s, strip.rows[0].end_s)
    strip.ranges_changed.emit()
    assert page.view.range_line.flame.isEnabled()
    samples = strip.rows[0].samples
    QTest.keyClick(strip, Qt.Key.Key_Return)
    tab = parts.state.results.current
    assert isinstance(tab, OpenResult)
    qtbot.waitUntil(lambda: tab.stage is not Stage.LOADING)
    assert tab.failure is None
    assert tab.recording is not None and tab.recording.profile is not None
    assert tab.recording.profile.total() == samples
    parts.actions["stop_live"].trigger()
    qtbot.waitUntil(lambda: not parts.live.running, timeout=120_000)
    kept = parts.state.results.current
    assert isinstance(kept, OpenResult) and kept.recording is not None
    assert kept.recording.slices is not None and kept.recording.live is not None
    assert kept.recording.slice_profile is not None
    assert kept.recording.slice_profile.total() == sum(row.samples for row in kept.recording.slices.rows)
    result = parts.window.results.page
    assert isinstance(result, ResultView)
    assert result.part is Part.LATENCY
    qtbot.waitUntil(lambda: not result.busy)
    assert engine.poll() is None
