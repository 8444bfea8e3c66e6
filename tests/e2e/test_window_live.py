"""The live page with the real tools on the running demo: picked, probed, watched, let go of, kept, opened."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
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
from helpers import fake_perf_stat
from helpers.environment import refuse
from tailflame.host.system import forget_host
from tailflame.live.counter_events import forget_events
from tailflame.store import load_recording
from tailflame_gui import tasks
from tailflame_gui.state import Page, Stage
from tailflame_gui.views.live_page import LivePage, Side
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.wiring import Parts

pytestmark = [pytest.mark.tool("bpftrace", "perf"), pytest.mark.timeout(300)]

ORDERS = "trading_system::engine::Engine::process_order"


@pytest.fixture
def engine(demo_binary: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [
            str(demo_binary), "--mode", "serve", "--rate", "2000", "--slow-path", "200", "--threads", "2",
            "--log", str(tmp_path / "engine.log"), "--log-every", "2",
        ],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    yield process
    process.terminate()
    process.wait(timeout=30)


@pytest.fixture
def page(parts: Parts, qtbot: QtBot) -> LivePage:  # noqa: F811
    forget_host()
    made = parts.window.live_page
    assert isinstance(made, LivePage)
    parts.actions["attach"].trigger()
    assert parts.state.page is Page.LIVE and made.side is Side.SETUP
    return made


def pick(page: LivePage, qtbot: QtBot, pid: int) -> None:
    """As a user does: types the number, and takes the line."""
    picker = page.setup.picker
    picker.filter_field.setFocus()
    qtbot.keyClicks(picker.filter_field, str(pid))
    qtbot.waitUntil(lambda: page.setup.draft.process is not None and page.setup.draft.process.pid == pid)


def test_attach_probe_watch_detach_and_open(
    parts: Parts,  # noqa: F811
    page: LivePage,
    qtbot: QtBot,
    engine: subprocess.Popen[bytes],
    tmp_path: Path,
) -> None:
    if os.geteuid():
        refuse("bpftrace runs as root only")
    setup, view = page.setup, page.view
    pick(page, qtbot, engine.pid)
    sources = setup.sources
    sources.probe.box.setChecked(True)
    chooser = sources.functions
    chooser.search.set_query("process_order")
    qtbot.waitUntil(lambda: chooser.found.count() > 0 and tasks.busy_workers() == 0)
    chooser.found.itemActivated.emit(chooser.found.item(0))
    assert [function.name for function in chooser.chosen] == [ORDERS]
    # It unwinds on panic: probing its returns is refused until that is accepted.
    qtbot.waitUntil(lambda: not chooser.accept_risk.isHidden())
    assert not setup.start.isEnabled() and "may not be probed" in setup.note.whole
    chooser.accept_risk.setChecked(True)
    sources.log.box.setChecked(True)
    qtbot.keyClicks(sources.log_path, str(tmp_path / "engine.log"))
    sources.cpu.box.setChecked(True)
    qtbot.waitUntil(setup.start.isEnabled)
    assert setup.start.text() == f"Attach to trading-system ({engine.pid})"
    setup.start.click()
    qtbot.waitUntil(lambda: page.side is Side.RUN, timeout=60_000)

    def seen() -> bool:
        data = parts.live.data
        return (
            ORDERS in data.latency
            and data.latency[ORDERS].whole.total > 3000
            and "total_us" in data.latency
            and bool(data.stages)
            and "CPU" in data.counters
        )

    qtbot.waitUntil(seen, timeout=120_000)
    assert [row.title for row in parts.live.sources if not row.on] == []
    assert view.series[0] == ORDERS
    p50, p999 = parts.live.data.latency[ORDERS].whole.percentiles((50.0, 99.9))
    assert p999 > 10 * p50
    assert parts.live.data.costs[ORDERS].lost == 0

    # One source goes and comes back while the others go on.
    view.source_toggled.emit("probe", False)
    qtbot.waitUntil(lambda: not next(row.on for row in parts.live.sources if row.name == "probe"), timeout=60_000)
    before = parts.live.data.latency["total_us"].whole.total
    qtbot.waitUntil(lambda: parts.live.data.latency["total_us"].whole.total > before, timeout=60_000)
    view.mark_requested.emit("a deploy")
    view.detach_requested.emit()
    qtbot.waitUntil(lambda: not parts.live.running and tasks.at_rest(), timeout=120_000)

    assert engine.poll() is None
    status = Path(f"/proc/{engine.pid}/status").read_text()
    assert "TracerPid:\t0" in status
    (tab,) = parts.state.open_results
    assert tab.stage is Stage.READY and tab.recording is not None and parts.state.page is Page.RESULTS
    kept = load_recording(tab.path)
    assert kept.histograms is not None and kept.live is not None and kept.profile is not None
    assert kept.histograms.whole(ORDERS).total == parts.live.data.latency[ORDERS].whole.total
    assert [mark.text for mark in kept.live.marks] == ["a deploy"]
    assert (tab.path / "latency.hlog").stat().st_size > 0
    # The samples of the CPU profile lie on the same clock.
    times = kept.profile.samples.time_ns / 1e9
    assert kept.live.began_s - 5 < np.min(times) and np.max(times) < kept.live.ended_s + 5

    shown = parts.window.results.page
    assert isinstance(shown, ResultView) and shown.part is Part.LATENCY
    qtbot.waitUntil(lambda: not shown.busy and tasks.at_rest())
    middle = float(np.median(times))
    shown.flame_range_requested.emit(middle - 0.5, middle + 0.5)
    qtbot.waitUntil(lambda: len(parts.state.open_results) == 2 and tasks.at_rest())
    part = parts.state.open_results[1].recording
    assert part is not None and part.profile is not None
    assert 0 < part.profile.total() < kept.profile.total()


def test_a_process_that_ends_ends_the_view_with_its_outcome(
    parts: Parts,  # noqa: F811
    page: LivePage,
    qtbot: QtBot,
) -> None:
    process = subprocess.Popen(["sleep", "600"])
    try:
        pick(page, qtbot, process.pid)
        qtbot.waitUntil(page.setup.start.isEnabled)
        page.setup.start.click()
        qtbot.waitUntil(lambda: "CPU" in parts.live.data.counters, timeout=60_000)
        process.kill()
        qtbot.waitUntil(lambda: not parts.live.running and tasks.at_rest(), timeout=120_000)
    finally:
        process.kill()
        process.wait()
    (tab,) = parts.state.open_results
    assert tab.recording is not None
    assert tab.recording.meta.outcome.startswith("killed by SIGKILL")


def test_hardware_counters_fill_their_strips(
    parts: Parts,  # noqa: F811
    page: LivePage,
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stand-in for perf replays a log of a machine that has them: some multiplexed, some dead."""
    (tmp_path / "bin").mkdir()
    fake_perf_stat.install(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    forget_events()
    process = subprocess.Popen(["sleep", "600"])
    try:
        pick(page, qtbot, process.pid)
        qtbot.waitUntil(page.setup.start.isEnabled)
        page.setup.start.click()
        qtbot.waitUntil(lambda: "IPC" in parts.live.data.counters, timeout=60_000)
        counters = parts.live.data.counters
        qtbot.waitUntil(lambda: counters["IPC"].readings > 5, timeout=60_000)
        latest = counters["IPC"].latest
        assert latest is not None and latest.value is not None and 0.5 < latest.value < 5
        assert min(timeline.least_running for timeline in counters.values()) < 0.5
        dead = [name for name, timeline in counters.items() if timeline.latest and timeline.latest.value is None]
        assert dead
        strips = page.view.plots.strips
        qtbot.waitUntil(lambda: "IPC" in strips and strips["IPC"].isVisible())
        shown = list(strips)
        assert shown.index("IPC") < min(shown.index(name) for name in dead)
        parts.live.stop()
        qtbot.waitUntil(lambda: not parts.live.running and tasks.at_rest(), timeout=120_000)
    finally:
        process.kill()
        process.wait()
        forget_events()
    (tab,) = parts.state.open_results
    assert tab.recording is not None and tab.recording.counters is not None
    assert "IPC" in tab.recording.counters.names
