"""The recorder with a perf that misbehaves on demand; the real one is in tests/e2e."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from tailflame.errors import StoreError, TargetError, ToolFailed, ToolMissing
from tailflame.run import (
    Ending,
    Event,
    Finished,
    Journal,
    Observed,
    Output,
    Patience,
    Progress,
    Recorder,
    Stage,
    Started,
    TargetStarted,
)
from tailflame.tools import PERF_RECORD, CallGraph, PerfOptions, Plan, Target

QUICK = Patience(tick=0.02, grace=0.3, flush=0.3, tool_grace=0.3)
READY = "import sys, time, signal\nprint('ready', flush=True)\n"
React = Callable[[Recorder, Event], None]


@pytest.fixture(autouse=True)
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """The fake perf is the perf on PATH; call it to choose its mode."""
    perf = tmp_path / "bin/perf"
    perf.parent.mkdir()
    perf.write_text(f"#!{sys.executable}\n" + (Path(__file__).with_name("fake_perf.py")).read_text())
    perf.chmod(0o755)
    monkeypatch.setenv("PATH", f"{perf.parent}:/usr/bin:/bin")
    return lambda mode: monkeypatch.setenv("FAKE_PERF", mode)


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Plan]:
    """A plan whose target runs Python code."""

    def make(code: str = "pass", *, duration_s: float | None = None, cwd: Path | None = None) -> Plan:
        script = tmp_path / "engine"
        script.write_text(f"#!{sys.executable}\n{code}\n")
        script.chmod(0o755)
        options = PerfOptions(call_graph=CallGraph.NONE, duration_s=duration_s)
        return PERF_RECORD.plan(Target(script, cwd=cwd), options, tmp_path / "session")

    return make


def record(
    plan: Plan, react: React | None = None, *, patience: Patience = QUICK, journal: Journal | None = None
) -> tuple[list[Event], Finished]:
    """Run to the end; `react` hears each event as it comes."""

    async def everything() -> list[Event]:
        recorder = Recorder(plan, patience=patience, journal=journal)
        seen: list[Event] = []
        async for event in recorder.events():
            seen.append(event)
            if react is not None:
                react(recorder, event)
        return seen

    events = asyncio.run(asyncio.wait_for(everything(), 30))
    last = events[-1]
    assert isinstance(last, Finished)
    return events, last


def text(events: list[Event], stream: str) -> str:
    return "".join(event.text for event in events if isinstance(event, Output) and event.stream == stream)


def when_ready(what: Callable[[Recorder], None]) -> React:
    """React once the target has said that it is ready."""

    def react(recorder: Recorder, event: Event) -> None:
        if isinstance(event, Output) and "ready" in event.text:
            what(recorder)

    return react


def test_a_good_run(plan: Callable[..., Plan]) -> None:
    journal = Journal()
    made = plan("import sys, time; print('out'); print('err', file=sys.stderr); time.sleep(0.3)")
    events, last = record(made, journal=journal)
    assert isinstance(events[0], Started)
    assert events[0].argv[-len(made.argv) :] == made.argv
    assert sum(isinstance(event, TargetStarted) for event in events) == 1
    assert (text(events, "stdout"), text(events, "stderr")) == ("out\n", "err\n")
    assert "Captured" in text(events, "tool")
    assert any(isinstance(event, Observed) and event.sample.threads for event in events)
    progress = [event for event in events if isinstance(event, Progress)]
    assert [p.elapsed_s for p in progress] == sorted(p.elapsed_s for p in progress)
    assert Stage.RECORDING in {p.stage for p in progress}
    assert (last.target.code, last.tool.code, last.samples, last.error) == (0, 0, 2, None)
    assert last.target.what == "engine"
    assert last.result == made.result
    assert not last.notes
    assert last.artifacts["stdout"].read_text() == "out\n"
    assert set(last.artifacts) == {"perf.data", "stdout", "stderr"}
    (entry,) = journal.entries
    assert entry.argv == made.argv
    assert entry.outcome == last.tool


@pytest.mark.parametrize(
    ("code", "exit_code", "signal_number"),
    [("raise SystemExit(3)", 3, None), ("import os; os.kill(os.getpid(), 11)", None, 11)],
)
def test_how_the_target_ends_is_a_result(
    plan: Callable[..., Plan], code: str, exit_code: int | None, signal_number: int | None
) -> None:
    _, last = record(plan(code))
    assert (last.target.code, last.target.signal) == (exit_code, signal_number)
    assert last.target.ended_by is Ending.ITSELF
    assert last.error is None
    assert last.result is not None
    assert last.tool.ok


def test_stop_keeps(plan: Callable[..., Plan]) -> None:
    _, last = record(plan(READY + "time.sleep(60)"), when_ready(Recorder.stop))
    assert "stopped by you after" in last.target.sentence
    assert last.target.signal == signal.SIGTERM
    assert last.target.ok
    assert last.result is not None
    assert not last.cancelled


def test_cancel_drops(plan: Callable[..., Plan]) -> None:
    made = plan(READY + "time.sleep(60)")
    _, last = record(made, when_ready(Recorder.cancel))
    assert last.cancelled
    assert (last.result, dict(last.artifacts), last.error) == (None, {}, None)
    assert not made.out.exists()


def test_cancel_leaves_what_others_keep_in_the_folder(plan: Callable[..., Plan]) -> None:
    made = plan(READY + "time.sleep(60)")
    made.out.mkdir()
    (made.out / "session.json").touch()
    record(made, when_ready(Recorder.cancel))
    assert [path.name for path in made.out.iterdir()] == ["session.json"]


def test_duration(plan: Callable[..., Plan]) -> None:
    events, last = record(plan("import time; time.sleep(60)", duration_s=0.3))
    assert last.target.ended_by is Ending.DURATION
    assert 0.3 <= last.target.seconds < 2
    remaining = [event.remaining_s for event in events if isinstance(event, Progress) and event.remaining_s is not None]
    assert remaining == sorted(remaining, reverse=True)
    assert remaining[-1] == 0


DEAF = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(60)"


def test_a_target_that_ignores_the_request_is_killed(plan: Callable[..., Plan]) -> None:
    _, last = record(plan(DEAF), when_ready(Recorder.stop))
    assert last.target.forced
    assert last.target.signal == signal.SIGKILL
    assert last.target.sentence.endswith("it ignored SIGTERM and was killed")
    assert last.result is not None
    assert last.error is None


PARENT = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print('ready', child.pid, flush=True)\n"
)


def test_children_of_a_stopped_target_end_with_it(plan: Callable[..., Plan]) -> None:
    events, last = record(plan(PARENT + "time.sleep(60)"), when_ready(Recorder.stop))
    child = int(text(events, "stdout").split()[1])
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    assert "1 process that the target had started" in last.notes[0]


def test_a_target_that_leaves_a_child_behind_does_not_hold_the_recording(plan: Callable[..., Plan]) -> None:
    events, last = record(plan(PARENT))
    assert last.target.code == 0
    assert last.target.ended_by is Ending.ITSELF
    os.kill(int(text(events, "stdout").split()[1]), signal.SIGKILL)  # its own business: it was left alone


def test_stop_before_the_target_has_started(plan: Callable[..., Plan], fake: Callable[[str], None]) -> None:
    fake("slow")
    _, last = record(plan("import time; time.sleep(60)"), lambda recorder, event: recorder.stop())
    assert last.target.ended_by is Ending.USER


def test_a_tool_that_waits_is_asked(plan: Callable[..., Plan], fake: Callable[[str], None]) -> None:
    fake("hang")
    _, last = record(plan("pass"))
    assert last.error is None
    assert last.samples == 2


def test_a_tool_that_still_works_is_left_to_it(plan: Callable[..., Plan], fake: Callable[[str], None]) -> None:
    """Quiet for longer than patience lasts, but at work: perf reads long recordings again before it ends."""
    fake("grind")
    _, last = record(plan(READY + "time.sleep(0.2)"), patience=dataclasses.replace(QUICK, tool_grace=0.05))
    assert last.error is None
    assert last.tool.seconds > 0.7


def test_a_tool_that_hangs_is_killed_and_its_file_mended(
    plan: Callable[..., Plan], fake: Callable[[str], None]
) -> None:
    fake("deaf")
    # Long enough for the fake to come up and turn a deaf ear, on a loaded machine too.
    events, last = record(plan(READY + "time.sleep(0.2)"), patience=dataclasses.replace(QUICK, flush=2))
    assert isinstance(last.error, ToolFailed)
    assert "had to be killed" in last.error.sentence
    assert "2 samples were saved" in last.notes[0]
    assert last.result is not None
    assert last.tool.signal == signal.SIGKILL
    assert last.target.code in (0, None)  # seen by ourselves, where we were faster than its parent
    assert last.target.signal is None
    assert Stage.FINISHING in {event.stage for event in events if isinstance(event, Progress)}


def test_cancel_while_the_tool_finishes(plan: Callable[..., Plan], fake: Callable[[str], None]) -> None:
    fake("deaf")

    def react(recorder: Recorder, event: Event) -> None:
        if isinstance(event, Progress) and event.stage is Stage.FINISHING:
            recorder.cancel()

    patience = Patience(tick=0.02, flush=60, tool_grace=0.1)
    _, last = record(plan(READY + "time.sleep(0.2)"), react, patience=patience)
    assert last.cancelled
    assert last.result is None


def test_a_full_disk_keeps_what_was_written(plan: Callable[..., Plan], fake: Callable[[str], None]) -> None:
    fake("full")
    events, last = record(plan(READY + "time.sleep(60)"))
    assert isinstance(last.error, ToolFailed)
    assert "disk filled up" in last.error.sentence
    assert last.samples == 2
    assert last.result is not None
    assert "No space left" in text(events, "tool")


def test_a_disk_too_full_for_the_tools_own_words_is_known(
    plan: Callable[..., Plan], fake: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake("mute")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4096))
    _, last = record(plan("import time; time.sleep(60)"))
    assert last.error is not None
    assert last.error.sentence.startswith("The disk filled up while perf wrote ")
    assert last.result is not None


def test_a_refusal_becomes_a_sentence(plan: Callable[..., Plan], fake: Callable[[str], None]) -> None:
    fake("refuse")
    journal = Journal()
    events, last = record(plan("pass"), journal=journal)
    assert isinstance(last.error, ToolFailed)
    assert "cannot sample the event cycles" in last.error.sentence
    assert last.result is None
    assert last.target.ended_by is Ending.RECORDER
    assert "not supported" in text(events, "tool")
    assert text(events, "stderr") == ""
    assert journal.entries[0].problem == last.error.sentence


# What cannot begin.


def test_missing_program(plan: Callable[..., Plan]) -> None:
    made = plan()
    made.target.binary.unlink()
    with pytest.raises(TargetError, match="There is no file"):
        record(made)
    assert not made.out.exists()


def test_missing_tool(plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(ToolMissing, match="perf is not installed") as caught:
        record(plan())
    assert "perf" in caught.value.advice


def test_missing_working_directory_is_noted_in_the_journal(plan: Callable[..., Plan], tmp_path: Path) -> None:
    journal = Journal()
    with pytest.raises(TargetError, match="working directory"):
        record(plan(cwd=tmp_path / "nosuch"), journal=journal)
    assert "working directory" in journal.entries[0].problem


def test_output_folder_that_cannot_be_made(plan: Callable[..., Plan]) -> None:
    made = plan()
    made.out.touch()
    with pytest.raises(StoreError, match="cannot be made"):
        record(made)


# Who walks away.


@pytest.mark.parametrize("mode", ["good", "deaf"])
def test_a_listener_that_goes_leaves_nothing_running(
    plan: Callable[..., Plan], fake: Callable[[str], None], mode: str
) -> None:
    fake(mode)

    journal = Journal()

    async def go_away() -> tuple[int, int]:
        events = Recorder(plan(READY + "time.sleep(60)"), patience=QUICK, journal=journal).events()
        tool = target = 0
        async for event in events:
            if isinstance(event, Started):
                tool = event.pid
            if isinstance(event, TargetStarted):
                target = event.pid
                break
        await events.aclose()
        return tool, target

    for pid in asyncio.run(go_away()):
        assert pid
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert journal.entries[0].outcome is not None
    assert "Nobody listened" in journal.entries[0].problem


def test_stop_from_another_thread(plan: Callable[..., Plan]) -> None:
    async def main() -> Finished:
        recorder = Recorder(plan(READY + "time.sleep(60)"), patience=Patience(tick=30))
        async for event in recorder.events():
            if isinstance(event, TargetStarted):
                await asyncio.to_thread(recorder.stop)
            if isinstance(event, Finished):
                return event
        raise AssertionError("no end")

    assert asyncio.run(asyncio.wait_for(main(), 10)).target.ended_by is Ending.USER


def test_nothing_observed_where_nobody_asked(plan: Callable[..., Plan]) -> None:
    async def main() -> list[Event]:
        return [event async for event in Recorder(plan(), observe=False, patience=QUICK).events()]

    assert not any(isinstance(event, Observed) for event in asyncio.run(main()))


def test_stdin_of_the_target_is_at_its_end(plan: Callable[..., Plan]) -> None:
    events, last = record(plan("import sys; print(repr(sys.stdin.read()))"))
    assert text(events, "stdout") == "''\n"
    assert last.target.code == 0
