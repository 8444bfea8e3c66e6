"""From a perf.data of 500,000 samples to the painted flame graph, beside `perf report` on the same file.

    open_profile.py [--samples N] [--file PERF_DATA]

Records the demo target fast enough to get N samples (or takes a file), then measures: our whole way to a Recording
(perf script, parsing, symbols), call tree, layout, first paint; and `perf script` and `perf report` for the same file
in the same run. Each figure is the median of three runs (one where a run takes above 20 s). Then the window opens the
file, and each view of it in turn: how long was its loop held at most, and with how much work of its own (the processor
time of its thread, which tells of the work where the machine is busy with something else)?
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import qasync
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication

from tailflame.analyse.layout import lay_out
from tailflame.analyse.tree import build_tree
from tailflame.model import Recording
from tailflame.parse import load
from tailflame_gui import tasks, theme, wiring
from tailflame_gui.state import Page
from tailflame_gui.views.flame_view import FlameView
from tailflame_gui.views.result_view import Part, ResultView

SWITCH_S = 0.001  # as the application sets it
ROOT = Path(__file__).resolve().parent.parent
BINARY = ROOT / "resources" / "demo" / "trading-system" / "target" / "release-with-debug" / "trading-system"
T = TypeVar("T")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--samples", type=int, default=500_000)
    options.add_argument("--file", type=Path)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = asked.file or record(Path(folder) / "perf.data", asked.samples)
        recording, ours = timed(lambda: load(path))
        profile = recording.profile
        assert profile is not None
        print(
            f"{path.stat().st_size / 1e6:.0f} MB, {len(profile.samples):,} samples, {len(profile.stacks):,} stack rows"
        )
        print(f"open (perf script, parse, symbols)      {ours:8.2f} s")
        for title, command in (
            ("perf script alone, to /dev/null", ["perf", "script", "--no-inline"]),
            ("perf report --stdio with call graphs", ["perf", "report", "--stdio", "--no-inline", "-g", "caller"]),
        ):
            _, theirs = timed(lambda argv=[*command, "-i", str(path)]: quiet(argv))
            print(f"{title:39} {theirs:8.2f} s   opening takes {ours / theirs:.2f} of it")
        tree, took = timed(lambda: build_tree(profile))
        print(f"call tree, {len(tree):,} nodes          {took * 1000:8.1f} ms")
        _, took = timed(lambda: lay_out(tree))
        print(f"layout                               {took * 1000:8.1f} ms")
        paint(recording, path)
    return 0


def quiet(argv: list[str]) -> None:
    null = subprocess.DEVNULL
    subprocess.run(argv, check=True, stdin=null, stdout=null, stderr=null)


def record(path: Path, samples: int) -> Path:
    if not BINARY.exists():
        raise SystemExit(f"the demo target is not built ({BINARY}): run `make run` first")
    rate = 20_000
    limit = int(Path("/proc/sys/kernel/perf_event_max_sample_rate").read_text())
    rate = min(rate, limit)
    command = ["perf", "record", "-q", "-k", "CLOCK_MONOTONIC", "-F", str(rate), "-e", "cpu-clock",
               "--call-graph", "fp", "-m", "8M", "-o", str(path), "--", str(BINARY), "--mode", "benchmark",
               "--threads", "2", "--seconds", str(samples * 3 // (4 * rate) + 1)]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


def paint(recording: Recording, path: Path) -> None:
    application = QApplication.instance() or QApplication([])
    loop = qasync.QEventLoop(application)
    asyncio.set_event_loop(loop)
    tasks.adopt(loop)
    with loop:
        loop.run_until_complete(_paint(recording))
        loop.run_until_complete(_open(path))
        loop.run_until_complete(tasks.close())


async def _paint(recording: Recording) -> None:
    application = QApplication.instance()
    assert isinstance(application, QApplication) and recording.profile is not None
    theme.install(application, theme.Mode.DARK)
    before = time.perf_counter()
    view = FlameView()
    view.resize(1280, 800)
    view.show()
    view.set_profile(recording.profile, title="benchmark")
    while view.tree is None or tasks.busy_workers():  # noqa: ASYNC110 - it is the waiting that is measured
        await asyncio.sleep(0.001)
    view.grab()
    print(f"first paint (tree, layout, colours, pixels) {(time.perf_counter() - before) * 1000:6.1f} ms")
    frames = []
    for _ in range(60):
        before = time.perf_counter()
        view.grab()
        frames.append(time.perf_counter() - before)
    print(f"the whole view painted again            {statistics.median(frames) * 1000:8.1f} ms")
    view.close()


class Holds:
    """Longest turn of the loop since `note` was called last, as a clock of 2 ms sees it from within."""

    def __init__(self) -> None:
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._last = (time.perf_counter(), time.thread_time())
        self._longest = self._work = 0.0
        self._timer.start(2)

    def _tick(self) -> None:
        before, self._last = self._last, (time.perf_counter(), time.thread_time())
        self._longest = max(self._longest, self._last[0] - before[0])
        self._work = max(self._work, self._last[1] - before[1])

    def note(self, what: str) -> None:
        print(f"longest hold: {what:25} {self._longest * 1000:8.1f} ms   of work {self._work * 1000:6.1f} ms")
        self.forget()

    def forget(self) -> None:
        self._longest = self._work = 0.0

    def stop(self) -> None:
        self._timer.stop()


async def _open(path: Path) -> None:
    """The whole window, with settings and a library of its own."""
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(TAILFLAME_CONFIG_DIR=f"{home}/config", TAILFLAME_PROFILES=f"{home}/profiles")
        sys.setswitchinterval(SWITCH_S)
        parts = wiring.build()
        parts.window.resize(1280, 800)
        parts.window.show()
        await _rest(parts)
        holds = Holds()
        await asyncio.sleep(0.1)
        holds.forget()
        parts.controller.open_file(path)
        await _rest(parts)
        holds.note("opening the file")
        view = parts.window.results.page
        assert isinstance(view, ResultView)
        for part in tuple(Part)[1:]:
            view.show_part(part)
            await _rest(parts)
            holds.note(str(part).lower())
        result = parts.state.result
        assert result is not None
        parts.controller.compare(result, result)
        parts.state.set_page(Page.COMPARE)
        await _rest(parts)
        holds.note("comparing it with itself")
        holds.stop()
        parts.window.hide()


async def _rest(parts: wiring.Parts) -> None:
    quiet = 0
    while quiet < 5:
        await asyncio.sleep(0.02)
        quiet = quiet + 1 if tasks.at_rest() and not parts.jobs.jobs else 0


def timed(work: Callable[[], T], *, runs: int = 3) -> tuple[T, float]:
    """The result and the median time; slow work runs once."""
    times = []
    for _ in range(runs):
        before = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - before)
        if times[0] > 20:
            break
    return result, statistics.median(times)


if __name__ == "__main__":
    sys.exit(main())
