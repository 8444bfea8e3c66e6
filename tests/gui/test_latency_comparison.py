"""Two results of latencies in a comparison tab, and the baselines of either kind beside each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pytestqt.qtbot import QtBot

from tailflame.model import Histogram
from tailflame.report.hlog import HlogWriter
from tailflame_gui import tasks
from tailflame_gui.state import OpenResult, Page, Stage
from tailflame_gui.views.latency_comparison import LatencyComparison
from tailflame_gui.wiring import Parts


def log(path: Path, factor: float, seed: int) -> Path:
    random = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8") as stream:
        writer = HlogWriter(stream, 1_700_000_000.0)
        for second in range(20):
            values = (factor * random.lognormal(10, 0.3, 500)).astype(np.int64)
            writer.write("orders", 1_700_000_000.0 + second, 1.0, Histogram.of(values))
    return path


def opened(parts: Parts, qtbot: QtBot, *paths: Path) -> list[OpenResult]:
    parts.window.dropped.emit(paths)
    qtbot.waitUntil(lambda: len(parts.state.open_results) >= len(paths) and tasks.at_rest())
    assert all(tab.stage is Stage.READY for tab in parts.state.open_results)
    return list(parts.state.open_results)


def test_two_logs_are_compared_percentile_by_percentile(parts: Parts, qtbot: QtBot, tmp_path: Path) -> None:
    before, after = opened(parts, qtbot, log(tmp_path / "a.hlog", 1.0, 1), log(tmp_path / "b.hlog", 1.3, 2))
    parts.controller.compare(before, after)
    qtbot.waitUntil(lambda: parts.state.comparison is not None and parts.state.comparison.stage is Stage.READY)
    assert parts.state.page is Page.COMPARE
    view = parts.window.comparisons.page
    assert isinstance(view, LatencyComparison)
    delta = view.result.view.delta
    qtbot.waitUntil(lambda: not view.busy and tasks.at_rest() and bool(delta.table.rows))
    rows = {row.name: row for row in delta.table.rows}
    assert rows["p50"].better is False and rows["p50"].change is not None and rows["p50"].change > 0.2
    assert rows["p99.99"].better is None


def test_latencies_are_pinned_and_compared_with_their_own_baseline(parts: Parts, qtbot: QtBot, tmp_path: Path) -> None:
    (tab,) = opened(parts, qtbot, log(tmp_path / "a.hlog", 1.0, 1))
    assert parts.actions["pin"].isEnabled()
    program = Path("/bin/true")
    parts.controller.pin(tab, binary=program)
    qtbot.waitUntil(lambda: tab.baseline and tasks.at_rest())
    assert tab.session is not None and tab.session.measures == "latency"
    assert parts.controller.library.baseline_of(program) is not None
    other = next(t for t in opened(parts, qtbot, log(tmp_path / "b.hlog", 1.0, 2), tab.path) if t is not tab)
    parts.controller.compare(tab, other)
    qtbot.waitUntil(lambda: parts.state.comparison is not None and parts.state.comparison.stage is Stage.READY)
    qtbot.waitUntil(tasks.at_rest)
