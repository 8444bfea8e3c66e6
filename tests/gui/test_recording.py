"""A recording from the window: one at a time, kept whatever happens, handed on at the display's pace."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from pytestqt.qtbot import QtBot

from helpers.environment import ROOT
from helpers.recordings import recording
from tailflame.errors import Cancelled, ParseError
from tailflame.model import Recording
from tailflame.store import SessionState
from tailflame.tools import PERF_RECORD, CallGraph, PerfOptions, Target
from tailflame_gui import recording as recording_module
from tailflame_gui import tasks
from tailflame_gui.recording import RecordController, progress_text
from tailflame_gui.rows import EndRow, Level, OutputRow, ProgressRow
from tailflame_gui.state import OpenResult, Page, Stage
from tailflame_gui.wiring import Parts

OPTIONS = PerfOptions(call_graph=CallGraph.NONE)
UNTIL_STOPPED = "import time\nprint('ready', flush=True)\ntime.sleep(60)\n"


@pytest.fixture
def fake_perf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A perf that does as it is told, and a reader for what it leaves."""
    perf = tmp_path / "bin/perf"
    perf.parent.mkdir()
    perf.write_text(f"#!{sys.executable}\n" + (ROOT / "tests/core/run/fake_perf.py").read_text())
    perf.chmod(0o755)
    monkeypatch.setenv("PATH", f"{perf.parent}:/usr/bin:/bin")
    monkeypatch.setattr(recording_module, "load", lambda _path, *, progress: recording())
    return lambda mode: monkeypatch.setenv("FAKE_PERF", mode)


@pytest.fixture
def target(tmp_path: Path) -> Callable[[str], Target]:
    def make(code: str) -> Target:
        script = tmp_path / "engine"
        script.write_text(f"#!{sys.executable}\n{code}\n")
        script.chmod(0o755)
        return Target(script, args=("--fast",))

    return make


class Heard:
    """Everything a recorder says."""

    def __init__(self, recorder: RecordController) -> None:
        self.output: list[OutputRow] = []
        self.progress: list[ProgressRow] = []
        self.samples = 0
        self.ended: list[EndRow] = []
        self.failed: list[object] = []
        self.kept: list[OpenResult] = []
        recorder.output.connect(self.output.extend)
        recorder.progressed.connect(self.progress.append)
        recorder.observed.connect(self._observed)
        recorder.ended.connect(self.ended.append)
        recorder.failed.connect(self.failed.append)
        recorder.kept.connect(self.kept.append)

    def _observed(self, samples: tuple[object, ...]) -> None:
        self.samples += len(samples)


@pytest.fixture
def heard(parts: Parts) -> Iterator[Heard]:
    yield Heard(parts.recorder)


def over(parts: Parts, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: not parts.recorder.running and tasks.at_rest(), timeout=20_000)


def test_a_recording_is_kept_and_opens(
    parts: Parts, heard: Heard, fake_perf: object, target: Callable[[str], Target], qtbot: QtBot
) -> None:
    parts.recorder.start_recording(target("print('hello')"), PERF_RECORD, OPTIONS)
    assert parts.state.recording
    assert parts.actions["stop"].isEnabled()
    over(parts, qtbot)
    (tab,) = heard.kept
    assert (tab.stage, parts.state.page) == (Stage.READY, Page.RESULTS)
    assert tab.title.endswith(" engine")
    (row,) = parts.state.sessions
    assert (row.state, row.tool, row.path) == ("complete", "perf record", tab.path)
    assert (row.path / "perf.data").is_file()
    assert heard.ended[0].sentence.startswith("finished after")
    assert [o.text for o in heard.output if o.stream == "stdout"] == ["hello\n"]
    assert not parts.state.recording
    (run,) = parts.state.runs
    assert "perf record" in run.command_line and run.ok
    assert parts.jobs.jobs == ()


def test_stopping_keeps_and_is_one_key(
    parts: Parts, heard: Heard, fake_perf: object, target: Callable[[str], Target], qtbot: QtBot
) -> None:
    parts.recorder.start_recording(target(UNTIL_STOPPED), PERF_RECORD, OPTIONS)
    qtbot.waitUntil(lambda: any("ready" in o.text for o in heard.output), timeout=20_000)
    qtbot.waitUntil(lambda: bool(heard.progress) and heard.samples > 0, timeout=20_000)
    assert parts.window.job_bar.text.startswith("perf record engine recording")
    assert parts.state.sessions == () or parts.state.sessions[0].state == "recording"
    parts.actions["stop"].trigger()
    over(parts, qtbot)
    assert len(heard.kept) == 1
    assert heard.ended[0].sentence.startswith("stopped by you")


def test_cancelling_leaves_nothing(
    parts: Parts, heard: Heard, fake_perf: object, target: Callable[[str], Target], qtbot: QtBot
) -> None:
    parts.recorder.start_recording(target(UNTIL_STOPPED), PERF_RECORD, OPTIONS)
    qtbot.waitUntil(lambda: bool(parts.jobs.jobs) and bool(heard.progress), timeout=20_000)
    parts.jobs.jobs[0].cancel()
    over(parts, qtbot)
    assert heard.ended[0].cancelled
    assert heard.kept == heard.failed == []
    assert [path for path in parts.controller.library.root.iterdir() if path.is_dir()] == []
    assert parts.window.notices.notices == ()


def test_a_stop_before_the_start_counts(
    parts: Parts, heard: Heard, fake_perf: object, target: Callable[[str], Target], qtbot: QtBot
) -> None:
    parts.recorder.start_recording(target(UNTIL_STOPPED), PERF_RECORD, OPTIONS)
    parts.recorder.cancel_recording()
    over(parts, qtbot)
    assert heard.kept == []
    assert not parts.state.recording


def test_a_crash_of_the_target_is_a_result(
    parts: Parts, heard: Heard, fake_perf: object, target: Callable[[str], Target], qtbot: QtBot
) -> None:
    code = "import os, signal, time\ntime.sleep(0.3)\nos.kill(os.getpid(), signal.SIGSEGV)"
    parts.recorder.start_recording(target(code), PERF_RECORD, OPTIONS)
    over(parts, qtbot)
    assert heard.ended[0].crashed
    assert heard.ended[0].sentence.startswith("killed by SIGSEGV after")
    assert len(heard.kept) == 1


def test_only_one_at_a_time(
    parts: Parts, heard: Heard, fake_perf: object, target: Callable[[str], Target], qtbot: QtBot
) -> None:
    wanted = target(UNTIL_STOPPED)
    parts.recorder.start_recording(wanted, PERF_RECORD, OPTIONS)
    parts.recorder.start_recording(wanted, PERF_RECORD, OPTIONS)
    assert parts.window.notices.notices[0].sentence == "A recording is running already."
    parts.recorder.cancel_recording()
    over(parts, qtbot)


def test_a_target_that_cannot_run_is_a_notice_and_no_session(
    parts: Parts, heard: Heard, fake_perf: object, tmp_path: Path, qtbot: QtBot
) -> None:
    parts.recorder.start_recording(Target(tmp_path / "missing"), PERF_RECORD, OPTIONS)
    over(parts, qtbot)
    assert len(heard.failed) == 1
    (notice,) = parts.window.notices.notices
    assert notice.level is Level.ERROR and "missing" in notice.sentence
    assert parts.state.sessions == ()


def test_a_tool_that_leaves_nothing_is_a_failed_session(
    parts: Parts, heard: Heard, fake_perf: Callable[[str], None], target: Callable[[str], Target], qtbot: QtBot
) -> None:
    fake_perf("refuse")
    parts.recorder.start_recording(target("pass"), PERF_RECORD, OPTIONS)
    over(parts, qtbot)
    assert len(heard.failed) == 1
    assert [row.state for row in parts.state.sessions] == ["failed"]
    assert parts.state.sessions[0].outcome


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (ParseError("perf.data is odd.", source="perf.data"), "perf.data is odd."),
        (Cancelled(), "The recording is kept, and not read yet."),
    ],
)
def test_what_cannot_be_read_stays_to_be_read_later(
    parts: Parts,
    heard: Heard,
    fake_perf: object,
    target: Callable[[str], Target],
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    problem: Exception,
    sentence: str,
) -> None:
    def refuse(_path: Path, *, progress: object) -> Recording:
        raise problem

    monkeypatch.setattr(recording_module, "load", refuse)
    parts.recorder.start_recording(target("pass"), PERF_RECORD, OPTIONS)
    over(parts, qtbot)
    (notice,) = parts.window.notices.notices
    assert notice.sentence == sentence
    assert [row.state for row in parts.state.sessions] == [SessionState.RECORDED.value]
    assert (parts.state.sessions[0].path / "perf.data").is_file()
    assert not parts.state.recording


def test_closing_stops_politely_and_keeps(
    parts: Parts, heard: Heard, fake_perf: object, target: Callable[[str], Target], qtbot: QtBot
) -> None:
    others = set(psutil.Process().children(recursive=True))
    parts.recorder.start_recording(target(UNTIL_STOPPED), PERF_RECORD, OPTIONS)
    qtbot.waitUntil(lambda: any("ready" in o.text for o in heard.output), timeout=20_000)
    before = set(psutil.Process().children(recursive=True)) - others
    assert before
    closed = tasks.spawn(parts.recorder.close(), name="closing", on_error=pytest.fail)
    qtbot.waitUntil(closed.done, timeout=20_000)
    assert len(heard.kept) == 1
    qtbot.waitUntil(lambda: not any(child.is_running() for child in before))
    over(parts, qtbot)


def test_much_output_is_handed_on_in_bundles(
    parts: Parts, heard: Heard, fake_perf: object, target: Callable[[str], Target], qtbot: QtBot
) -> None:
    parts.recorder.start_recording(target("for n in range(20_000): print(n)"), PERF_RECORD, OPTIONS)
    bundles: list[int] = []
    parts.recorder.output.connect(lambda rows: bundles.append(len(rows)))
    over(parts, qtbot)
    text = "".join(o.text for o in heard.output if o.stream == "stdout")
    assert text.split() == [str(n) for n in range(20_000)]


def test_progress_in_words() -> None:
    row = ProgressRow("recording", 12.3, 2.7, 3_100_000, 48_210, 0, True)
    words = progress_text(row).split()
    assert words == ["recording", "12.3", "s", "2.7", "s", "left", "about", "48,210", "samples", "3.1", "MB"]
    lost = ProgressRow("finishing", 12.3, None, 3_100_000, 48_210, 7, False)
    assert progress_text(lost).split() == ["finishing", "12.3", "s", "48,210", "samples", "3.1", "MB", "7", "lost"]


@pytest.mark.tool("perf")
def test_the_real_perf_under_the_windows_loop(
    parts: Parts, heard: Heard, target: Callable[[str], Target], qtbot: QtBot
) -> None:
    options = PerfOptions(call_graph=CallGraph.FRAME_POINTERS, events=("cpu-clock:u",))
    code = "import time\nend = time.monotonic() + 0.5\nwhile time.monotonic() < end: sum(range(1000))"
    with qtbot.assertNotEmitted(parts.recorder.failed):
        parts.recorder.start_recording(target(code), PERF_RECORD, options)
        over(parts, qtbot)
    (tab,) = heard.kept
    assert isinstance(tab, OpenResult) and tab.recording is not None and tab.recording.profile is not None
    assert tab.recording.profile.total() > 50
    assert threading.active_count() < 20
