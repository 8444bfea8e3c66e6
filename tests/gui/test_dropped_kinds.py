"""Every kind of result file that is dropped on the window opens in the part that shows it best."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from helpers.environment import ROOT
from tailflame_gui import tasks
from tailflame_gui.state import Page, Stage
from tailflame_gui.views.result_view import Part, ResultView
from tailflame_gui.wiring import Parts

DATA = ROOT / "tests/data"
DROPPED = (
    ("massif/3.19.0/bytes.out", Part.MEMORY),
    ("massif/3.19.0/trading.out.gz", Part.MEMORY),
    ("dhat/3.19.0/heap.json", Part.MEMORY),
    ("heaptrack/1.4.0/alloc.zst", Part.MEMORY),
    ("jemalloc/5.3.0/trading.heap.gz", Part.MEMORY),
    ("cachegrind/3.19.0/matrix.out.gz", Part.CACHES),
    ("strace/6.1/modes.log.gz", Part.SYSCALLS),
    ("strace/6.1/attach-wall.txt", Part.SYSCALLS),
    ("perf-stat/6.1.187/run.json", Part.COUNTERS),
    ("perf-stat/6.1.187/run.txt", Part.COUNTERS),
)


@pytest.mark.parametrize(("file", "part"), DROPPED, ids=[file for file, _part in DROPPED])
def test_a_dropped_file_opens_in_its_part_whatever_it_is_called(
    parts: Parts, qtbot: QtBot, tmp_path: Path, file: str, part: Part
) -> None:
    unknown = tmp_path / "unknown"
    shutil.copy(DATA / file, unknown)
    parts.window.dropped.emit((unknown,))
    qtbot.waitUntil(lambda: bool(parts.state.open_results) and tasks.at_rest(), timeout=60_000)
    (tab,) = parts.state.open_results
    assert tab.stage is Stage.READY, tab.failure
    assert parts.state.page is Page.RESULTS
    view = parts.window.results.page
    assert isinstance(view, ResultView)
    qtbot.waitUntil(tasks.at_rest, timeout=60_000)
    assert view.part is part
