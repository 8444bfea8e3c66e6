"""`record`: from a plan to a kept session, with a recorder that does what it is told."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tailflame.errors import TailflameError, TargetError, ToolFailed
from tailflame.host.system import Host, Support
from tailflame.run import Ending, Event, Finished, Outcome, Output, Patience, Progress, Stage, Started
from tailflame.store import Library, SessionState, load_settings
from tailflame.tools import Plan
from tailflame.units import seconds

Run = Callable[..., Any]
STACKS = "book;main;match_order 1500\nbook;main;risk 700\n"


@dataclass
class Play:
    """What the next recording does."""

    content: str | None = STACKS
    outcome: Outcome = field(default_factory=lambda: Outcome.of("book", 0, 1.5))
    error: TailflameError | None = None
    raises: TailflameError | None = None
    notes: tuple[str, ...] = ()
    signals: int = 0
    plans: list[Plan] = field(default_factory=list)
    states: list[SessionState] = field(default_factory=list)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, library: Library) -> Play:
    script = Play()

    class FakeRecorder:
        def __init__(self, plan: Plan, *, patience: Patience | None = None) -> None:
            self.plan = plan
            self.stopped = self.cancelled = False
            self.asked = asyncio.Event()
            script.plans.append(plan)

        def stop(self) -> None:
            self.stopped = True
            self.asked.set()

        def cancel(self) -> None:
            self.cancelled = True
            self.asked.set()

        async def events(self) -> AsyncGenerator[Event, None]:
            if script.raises:
                raise script.raises
            script.states.append(library.sessions()[0].state)
            yield Started(os.getpid(), self.plan.argv)
            yield Output("stdout", "42 orders\n")
            yield Output("stderr", "a warning of the target\n")
            yield Progress(Stage.RECORDING, 1.0, None, 1000, 10, 0, False)
            for _ in range(script.signals):
                self.asked.clear()
                os.kill(os.getpid(), signal.SIGINT)
                await self.asked.wait()
            data = self.plan.artifacts["perf.data"]
            if script.content is not None and not self.cancelled:
                data.write_text(script.content)
            outcome = Outcome.of("book", -15, 1.5, ended_by=Ending.USER) if self.stopped else script.outcome
            yield Finished(
                target=outcome,
                tool=Outcome.of("perf record", 0, 1.6),
                artifacts=MappingProxyType({"perf.data": data} if data.exists() else {}),
                result=data if data.exists() else None,
                samples=10,
                lost=0,
                cancelled=self.cancelled,
                error=script.error,
                notes=script.notes,
            )

    events = MappingProxyType(dict.fromkeys(("cpu-clock", "cycles", "cache-misses"), Support(True)))
    host = Host(perf=Path("/usr/bin/perf"), perf_version="6.1", events=events, uid=1000)
    monkeypatch.setattr("tailflame.cli.recording.Recorder", FakeRecorder)
    monkeypatch.setattr("tailflame.cli.record.probe_host", lambda: host)
    return script


def test_a_recording_is_kept_shown_and_remembered(tailflame: Run, library: Library, play: Play) -> None:
    run = tailflame("record", "--title", "first try", "--", "/bin/true", "--seconds", "3")
    assert run.code == 0
    (info,) = library.sessions()
    assert play.states == [SessionState.RECORDING]
    assert (info.state, info.title, info.samples) == (SessionState.COMPLETE, "first try", 2200)
    assert info.manifest is not None
    assert info.manifest.args == ("--seconds", "3")
    assert info.manifest.outcome == f"finished after {seconds(1.5)}"
    assert any(path.suffix == ".svg" for path in info.path.iterdir())
    assert "match_order" in run.out
    assert f"kept in {info.path}" in run.out
    assert "42 orders" in run.out
    assert "a warning of the target" in run.err
    assert f"running: {play.plans[0].command_line}" in run.err
    assert load_settings().settings.recent_binaries == ("/bin/true",)


def test_json_is_all_that_stands_on_stdout(tailflame: Run, library: Library, play: Play) -> None:
    run = tailflame("record", "--json", "--", "/bin/true")
    assert set(run.document) == {"session", "findings", "result", "events", "hotspots"}
    assert run.document["session"]["exit_code"] == 0
    assert run.document["result"]["outcome"].startswith("finished after")
    assert "42 orders" in run.err


@pytest.mark.parametrize(
    ("code", "status", "sentence"),
    [(0, 0, "finished"), (3, 3, "exited with code 3"), (-11, 139, "killed by SIGSEGV")],
)
def test_the_targets_own_status_is_returned_when_asked_for(
    tailflame: Run, library: Library, play: Play, code: int, status: int, sentence: str
) -> None:
    play.outcome = Outcome.of("book", code, 12.3)
    assert tailflame("record", "--exit-code", "--", "/bin/true").code == status
    run = tailflame("record", "--", "/bin/true")
    assert run.code == 0
    assert sentence in run.out
    assert tailflame("show").out.count(sentence) == 1


def test_options_reach_perf(tailflame: Run, play: Play) -> None:
    tailflame(
        "record", "-F", "499", "-e", "cycles,cache-misses", "-g", "dwarf", "--stack-size", "16384", "-d", "2.5",
        "-C", "/tmp", "-E", "RUST_LOG=info", "-E", "EMPTY=", "--", "true", "-F", "1",
    )  # fmt: skip
    (plan,) = play.plans
    line = " ".join(plan.argv)
    assert "-F 499 -e cycles,cache-misses --call-graph dwarf,16384" in line
    assert plan.duration_s == 2.5
    assert plan.argv[-2:] == ("-F", "1")
    assert (plan.target.cwd, plan.target.env) == (Path("/tmp"), {"RUST_LOG": "info", "EMPTY": ""})
    assert plan.target.binary.name == "true"
    assert plan.target.binary.is_absolute()


def test_the_program_may_stand_without_dashes_before_it(tailflame: Run, play: Play) -> None:
    tailflame("record", "-F", "99", "/bin/echo", "-n", "x")
    assert play.plans[0].target.argv == ("/bin/echo", "-n", "x")


def test_all_behind_the_first_dashes_is_the_programs(tailflame: Run, play: Play) -> None:
    tailflame("record", "--", "/bin/echo", "--json", "--", "--help")
    assert play.plans[0].target.argv == ("/bin/echo", "--json", "--", "--help")


def test_a_dry_run_prints_the_command_and_runs_nothing(tailflame: Run, library: Library, play: Play) -> None:
    run = tailflame("record", "--dry-run", "--", "/bin/echo", "a b")
    assert run.out.startswith("perf record -k CLOCK_MONOTONIC")
    assert run.out.endswith("-- /bin/echo 'a b'\n")
    assert tailflame("record", "--dry-run", "--json", "--", "/bin/echo").document["argv"][0] == "perf"
    assert (play.plans, library.sessions()) == ([], ())


def test_it_can_be_made_the_baseline_at_once(tailflame: Run, library: Library, play: Play) -> None:
    document = tailflame("record", "--baseline", "--json", "--", "/bin/true").document
    assert document["session"]["baseline"] is True
    play.content = STACKS.replace("700", "1400")
    tailflame("record", "--", "/bin/true")
    assert tailflame("diff", "--fail-on-regression", "--json").document["regressions"]


def test_ctrl_c_stops_politely_and_keeps_the_result(tailflame: Run, library: Library, play: Play) -> None:
    play.signals = 1
    run = tailflame("record", "--", "/bin/true")
    assert run.code == 0
    assert "stopping; what was recorded is kept" in run.err
    (info,) = library.sessions()
    assert info.manifest is not None
    assert info.manifest.outcome.startswith("stopped by you")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_cancels_and_keeps_nothing(tailflame: Run, library: Library, play: Play) -> None:
    play.signals = 2
    run = tailflame("record", "--", "/bin/true")
    assert run.code == 130
    assert "tailflame: Cancelled." in run.err
    assert library.sessions() == ()


def test_a_target_that_cannot_be_started_leaves_no_session(tailflame: Run, library: Library, play: Play) -> None:
    assert "There is no file /x." in (run := tailflame("record", "--", "/x")).err
    assert run.code == 5
    play.raises = TargetError("It went away.", advice="Was it built?")
    run = tailflame("record", "--", "/bin/true")
    assert run.code == 5
    assert run.err.endswith("tailflame: It went away.\n  fix: Was it built?\n")
    assert library.sessions() == ()


def test_a_tool_that_leaves_nothing_is_a_failed_session(tailflame: Run, library: Library, play: Play) -> None:
    play.content, play.error = (
        None,
        ToolFailed("perf does not know the event.", advice="perf list", details="raw words"),
    )
    run = tailflame("record", "--details", "--", "/bin/true")
    assert run.code == 4
    assert "  fix: perf list\n  | raw words" in run.err
    (info,) = library.sessions()
    assert info.state is SessionState.FAILED
    assert "perf does not know the event" in tailflame("show", info.id).err


def test_what_was_saved_of_a_failed_recording_carries_a_caution(tailflame: Run, library: Library, play: Play) -> None:
    play.error = ToolFailed("The disk filled up.", advice="Free space.")
    play.notes = ("perf could not complete its file; 10 samples were saved.",)
    run = tailflame("record", "--", "/bin/true")
    assert run.code == 0
    assert "tailflame: The disk filled up." in run.err
    assert "! The disk filled up.  Free space." in run.out
    assert "! perf could not complete its file" in tailflame("show").out


def test_a_recording_that_cannot_be_read_is_not_lost(tailflame: Run, library: Library, play: Play) -> None:
    play.content = "\x00\x01 no format at all"
    run = tailflame("record", "--", "/bin/true")
    assert run.code == 3
    (info,) = library.sessions()
    assert info.state is SessionState.RECORDED
    assert f"tailflame show {info.id}" in run.err
    (info.path / "perf.data").write_text(STACKS)
    run = tailflame("show", info.id)
    assert run.code == 0
    assert "match_order" in run.out
    assert library.session(info.id).state is SessionState.COMPLETE
