"""The recorder with tools of every kind: the program itself, its parent, one that attaches. Toys, and the real ones."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import psutil
import pytest

import tailflame.tools
from tailflame.errors import TailflameError, TargetError, ToolFailed
from tailflame.run import (
    Appeared,
    Ending,
    Event,
    Finished,
    Journal,
    Observed,
    Output,
    Patience,
    Progress,
    Recorder,
    Requested,
    Stage,
    TargetStarted,
)
from tailflame.tools import Plan, Request, Step, Target, TargetIs

QUICK = Patience(tick=0.02, grace=0.5, flush=1.0, tool_grace=0.5, request=5.0)
REAL = Patience(tick=0.05)
LETS_GO = dataclasses.replace(QUICK, flush=4.0)
"""For tools that have to let go of a program, on a loaded machine too."""
React = Callable[[Recorder, Event], None]
READY = "import os, signal, sys, time\nprint('ready', flush=True)\n"
SLEEP = READY + "time.sleep(60)"


class Toy:
    """A tool that understands one failure."""

    name = "toy"
    title = "Toy"

    def explain(self, output: str, plan: Plan) -> TailflameError | None:
        return ToolFailed("The toy is broken.", details=output) if "BROKEN" in output else None


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tailflame.tools, "TOOLS", (*tailflame.tools.TOOLS, Toy()))


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Path]:
    """A program of Python code, by its name."""

    def make(code: str, name: str = "engine") -> Path:
        script = tmp_path / name
        script.write_text(f"#!{sys.executable}\n{code}\n")
        script.chmod(0o755)
        return script

    return make


@pytest.fixture
def plan(tmp_path: Path, program: Callable[..., Path]) -> Callable[..., Plan]:
    """A plan of the toy whose program is the tool itself: it writes to {out}/toy.txt."""

    def make(code: str, **changes: Any) -> Plan:
        out = tmp_path / "session"
        target = Target(program(f"import pathlib\nout = pathlib.Path({str(out)!r})\n{code}"))
        made = Plan(
            tool="toy",
            argv=target.argv,
            target=target,
            out=out,
            artifacts=MappingProxyType({"toy": out / "toy.txt"}),
            primary="toy",
            target_is=TargetIs.ITSELF,
        )
        return dataclasses.replace(made, **changes)

    return make


@pytest.fixture
def running(program: Callable[..., Path]) -> Iterator[subprocess.Popen[str]]:
    """A program that runs already."""
    with subprocess.Popen([program(SLEEP, "server")], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def record(
    plan: Plan, react: React | None = None, *, patience: Patience = QUICK, journal: Journal | None = None
) -> tuple[list[Event], Finished]:
    async def everything() -> list[Event]:
        recorder = Recorder(plan, patience=patience, journal=journal)
        seen: list[Event] = []
        async for event in recorder.events():
            seen.append(event)
            if react is not None:
                react(recorder, event)
        return seen

    events = asyncio.run(asyncio.wait_for(everything(), 60))
    last = events[-1]
    assert isinstance(last, Finished)
    return events, last


def when_ready(what: Callable[[Recorder], None]) -> React:
    def react(recorder: Recorder, event: Event) -> None:
        if isinstance(event, Output) and "ready" in event.text:
            what(recorder)

    return react


def of(kind: type[Any], events: list[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


WRITES = READY + "(out / 'toy.txt').write_text('all of it')\n"
ON_TERM = (
    "def end(*_):\n    (out / 'toy.txt').write_text('all of it')\n    sys.exit(0)\n"
    "import os, signal, sys, time\nsignal.signal(signal.SIGTERM, end)\nprint('ready', flush=True)\n"
)


# The program is the tool.


def test_a_run_of_itself(plan: Callable[..., Plan]) -> None:
    journal = Journal()
    events, last = record(plan(WRITES + "time.sleep(0.2)\nsys.exit(3)"), journal=journal)
    (started,) = of(TargetStarted, events)
    assert started.pid == events[0].pid  # type: ignore[union-attr]
    assert (last.target.code, last.target.ended_by, last.error) == (3, Ending.ITSELF, None)
    assert (last.samples, last.lost) == (None, None)
    assert last.result is not None
    assert last.result.read_text() == "all of it"
    progress = of(Progress, events)
    assert {(p.samples, p.lost, p.samples_are_estimate) for p in progress} == {(None, None, False)}
    assert progress[-1].bytes == 9
    assert of(Observed, events)
    assert [entry.outcome for entry in journal.entries] == [last.tool]


def test_a_stopped_program_has_time_to_write(plan: Callable[..., Plan]) -> None:
    """It works for longer than the grace that other programs have: valgrind writes when it is asked to end."""
    slow = ON_TERM.replace(
        "def end(*_):\n",
        "def end(*_):\n    until = time.process_time() + 1.0\n    while time.process_time() < until: pass\n",
    )
    _, last = record(plan(slow + "time.sleep(60)"), when_ready(Recorder.stop))
    assert (last.target.forced, last.target.ended_by, last.error) == (False, Ending.USER, None)
    assert last.result is not None


IGNORES = "for number in ({}): signal.signal(number, signal.SIG_IGN)\n"
SET = "print('set', flush=True)\n"
DEAF = READY + IGNORES.format("signal.SIGTERM, signal.SIGINT, signal.SIGHUP") + SET


def when_set(what: Callable[[Recorder], None]) -> React:
    def react(recorder: Recorder, event: Event) -> None:
        if isinstance(event, Output) and "set" in event.text:
            what(recorder)

    return react


def test_one_that_does_nothing_is_killed(plan: Callable[..., Plan]) -> None:
    _, last = record(plan(DEAF + "time.sleep(60)"), when_set(Recorder.stop))
    assert last.target.forced
    assert last.result is None
    assert last.error is not None
    assert "left no result" in last.error.sentence


def test_one_that_is_busy_but_does_not_heed_is_killed_as_well(plan: Callable[..., Plan]) -> None:
    patience = dataclasses.replace(QUICK, longest_flush=1.0)
    heedless = READY + "signal.signal(signal.SIGTERM, lambda *_: None)\n" + SET
    _, last = record(plan(heedless + "while True: pass"), when_set(Recorder.stop), patience=patience)
    assert last.target.forced


def test_one_that_is_busy_and_ignores_all_is_not_waited_for(plan: Callable[..., Plan]) -> None:
    patience = dataclasses.replace(QUICK, flush=600, longest_flush=600)
    _, last = record(plan(DEAF + "while True: pass"), when_set(Recorder.stop), patience=patience)
    assert last.target.forced


@pytest.mark.parametrize("ignored", ["signal.SIGTERM,", "signal.SIGTERM, signal.SIGINT"])
def test_one_that_ignores_the_usual_signal_is_ended_by_another_and_writes(
    plan: Callable[..., Plan], ignored: str
) -> None:
    patience = dataclasses.replace(QUICK, flush=600, longest_flush=600)
    heeds = "signal.SIGHUP" if "SIGINT" in ignored else "signal.SIGINT"
    code = ON_TERM.replace("signal.SIGTERM, end", f"{heeds}, end") + IGNORES.format(ignored) + SET
    _, last = record(plan(code + "while True: pass"), when_set(Recorder.stop), patience=patience)
    assert (last.target.forced, last.target.ended_by, last.error) == (False, Ending.USER, None)
    assert last.result is not None and last.result.read_text() == "all of it"


def test_a_full_disk_ends_a_program_that_waits_for_room(
    plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """heaptrack's library tries for ever to write, and what the program does waits for it."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=0))
    patience = dataclasses.replace(QUICK, flush=60, longest_flush=60, full=0.1)
    _, last = record(plan(WRITES + DEAF + "time.sleep(60)"), patience=patience)
    assert last.error is not None
    assert last.error.sentence.startswith("The disk filled up while Toy wrote")
    assert last.target.sentence.startswith("stopped after")
    assert last.target.forced
    assert last.result is not None  # what was written until then


def test_a_cancelled_one_gets_no_more_time_than_others(plan: Callable[..., Plan]) -> None:
    patience = dataclasses.replace(QUICK, flush=60, longest_flush=60)
    made = plan(DEAF + "while True: pass", leaves=("dump.*",))
    made.out.mkdir()
    (made.out / "dump.1").write_text("x")
    _, last = record(made, when_set(Recorder.cancel), patience=patience)
    assert last.cancelled
    assert (last.result, dict(last.artifacts)) == (None, {})
    assert not made.out.exists()


def test_its_own_stop_signal(plan: Callable[..., Plan]) -> None:
    code = ON_TERM.replace("signal.SIGTERM, end", "signal.SIGUSR1, end") + "time.sleep(60)"
    _, last = record(plan(code, stop_signal=signal.SIGUSR1), when_ready(Recorder.stop))
    assert (last.target.code, last.error) == (0, None)


def test_a_crash_that_leaves_nothing_is_told(plan: Callable[..., Plan]) -> None:
    _, last = record(plan(READY + "os.kill(os.getpid(), signal.SIGSEGV)"))
    assert last.result is None and last.error is not None
    assert " was ended by SIGSEGV and left no result in " in last.error.sentence


def test_a_crash_keeps_what_is_there(plan: Callable[..., Plan]) -> None:
    _, last = record(plan(WRITES + "os.kill(os.getpid(), 11)"))
    assert (last.target.signal, last.target.crashed, last.error) == (11, True, None)
    assert last.result is not None


def test_an_empty_result_is_none(plan: Callable[..., Plan]) -> None:
    """Whatever the exit code says: valgrind ends with 0 although it could write nothing."""
    _, last = record(plan(READY + "(out / 'toy.txt').touch()"))
    assert last.result is None
    assert last.error is not None
    assert "left no result" in last.error.sentence
    _, last = record(plan(READY + "print('BROKEN', file=sys.stderr)", own_lines=re.compile("BROKEN")))
    assert last.error is not None
    assert last.error.sentence == "The toy is broken."


def test_a_library_is_loaded_into_the_program_alone(plan: Callable[..., Plan]) -> None:
    code = READY + "(out / 'toy.txt').write_text(os.environ['LD_PRELOAD'] + os.environ['TOY'])"
    made = plan(code, env=MappingProxyType({"LD_PRELOAD": "", "TOY": "a b"}))
    events, last = record(made)
    assert last.result is not None
    assert last.result.read_text() == "a b"
    guard = events[0].argv[: -len(made.argv)]  # type: ignore[union-attr]
    assert not guard or guard[-2:] == ("LD_PRELOAD=", "TOY=a b")


# Files that are left on the way.


def test_files_appear_while_it_runs(plan: Callable[..., Plan]) -> None:
    code = (
        READY + "for n in (9, 10):\n    (out / f'dump.{n}.heap').write_text('x' * n)\n    time.sleep(0.3)\n"
        "(out / 'dump.none.heap').touch()\n(out / 'toy.txt').write_text('y')\n"
    )
    events, last = record(plan(code, leaves=("dump.*.heap",), grows=("dump.*",)))
    assert [event.path.name for event in of(Appeared, events)] == ["dump.9.heap", "dump.10.heap"]
    assert {"toy", "dump.9.heap", "dump.10.heap"} <= set(last.artifacts)
    assert max(event.bytes for event in of(Progress, events)) == 19


def test_the_newest_of_the_files_of_a_pattern_is_the_result(plan: Callable[..., Plan]) -> None:
    code = READY + (
        "for n in (1, 2):\n    (out / f'dump.{n}.heap').write_text('x')\n    os.utime(out / f'dump.{n}.heap', (n, n))\n"
    )
    made = plan(code, leaves=("dump.*.heap",))
    pattern = dataclasses.replace(made, artifacts=MappingProxyType({"toy": made.out / "dump.*.heap"}))
    _, last = record(pattern)
    assert last.error is None
    assert last.result is not None
    assert last.result.name == "dump.2.heap"
    _, last = record(made)  # the result itself is not there: the last of what was left, and an error
    assert last.error is not None
    assert last.result is not None
    assert last.result.name == "dump.2.heap"


def test_what_is_asked_for_while_it_runs(plan: Callable[..., Plan], program: Callable[..., Path]) -> None:
    journal = Journal()
    snap = program("import sys, pathlib\npathlib.Path(sys.argv[1]).write_text(sys.argv[2])", "snap")
    fails = program("import sys\nsys.exit('no such process')", "fails")
    made = plan(ON_TERM + "time.sleep(60)")
    requests = (
        Request(
            name="snap",
            title="Snapshot",
            tip="",
            argv=(str(snap), f"{made.out}/s{{n}}.txt", "{pid}"),
            artifact="s{n}.txt",
        ),
        Request(name="fails", title="Snapshot", tip="", argv=(str(fails),), artifact="f{n}"),
        Request(name="missing", title="Snapshot", tip="", argv=("no-such-program-here",)),
    )
    answers: list[Requested] = []

    def react(recorder: Recorder, event: Event) -> None:
        if isinstance(event, Output) and "ready" in event.text:
            for name in ("snap", "snap", "fails", "missing", "unknown"):
                recorder.request(name)
        if isinstance(event, Requested):
            answers.append(event)
            if len(answers) == 5:
                recorder.stop()

    _, last = record(dataclasses.replace(made, requests=requests), react, journal=journal)
    told = {(a.name, a.path.name if a.path else a.error.sentence if a.error else "") for a in answers}
    assert told == {
        ("snap", "s1.txt"),
        ("snap", "s2.txt"),
        ("fails", "Snapshot: fails failed: no such process."),
        ("missing", "no-such-program-here is not installed."),
        ("unknown", "This recording cannot be asked for “unknown”."),
    }
    assert last.artifacts["s2.txt"].read_text().isdecimal()
    assert {entry.argv[0] for entry in journal.entries} == {made.argv[0], str(snap), str(fails), "no-such-program-here"}
    assert all(entry.outcome or entry.problem for entry in journal.entries)
    assert not [path for path in made.out.iterdir() if path.name.startswith(".")]


def test_a_file_that_was_left_for_a_wish_answers_it(plan: Callable[..., Plan], program: Callable[..., Path]) -> None:
    """Whatever its command says of itself; and it is told of once."""
    made = plan(ON_TERM + "time.sleep(60)", leaves=("dump.*",))
    code = f"import sys, pathlib\n(pathlib.Path({str(made.out)!r}) / 'dump.1').write_text('x')\nsys.exit('odd')"
    request = Request(name="dump", title="Dump", tip="", argv=(str(program(code, "dump")),))

    def react(recorder: Recorder, event: Event) -> None:
        when_ready(lambda recorder: recorder.request("dump"))(recorder, event)
        if isinstance(event, Requested):
            recorder.stop()

    events, last = record(dataclasses.replace(made, requests=(request,)), react)
    (answer,) = of(Requested, events)
    assert (answer.error, answer.path) == (None, made.out / "dump.1")
    assert of(Appeared, events) == []
    assert last.artifacts["dump.1"] == made.out / "dump.1"


def test_a_wish_that_takes_too_long_is_given_up(plan: Callable[..., Plan], program: Callable[..., Path]) -> None:
    hangs = program("import time\ntime.sleep(60)", "hangs")
    request = Request(name="snap", title="Snapshot", tip="", argv=(str(hangs),), artifact="s")

    def react(recorder: Recorder, event: Event) -> None:
        when_ready(lambda recorder: recorder.request("snap"))(recorder, event)
        if isinstance(event, Requested):
            recorder.stop()

    patience = dataclasses.replace(QUICK, request=0.1)
    events, _ = record(plan(ON_TERM + "time.sleep(60)", requests=(request,)), react, patience=patience)
    (answer,) = of(Requested, events)
    assert answer.error.sentence == "Snapshot: hangs did not answer."


def test_a_wish_is_dropped_with_the_program(plan: Callable[..., Plan], program: Callable[..., Path]) -> None:
    hangs = program("import time\ntime.sleep(60)", "hangs")
    request = Request(name="snap", title="Snapshot", tip="", argv=(str(hangs),))

    def react(recorder: Recorder, event: Event) -> None:
        if isinstance(event, Output) and "ready" in event.text:
            recorder.request("snap")
            recorder.request("snap")

    events, last = record(plan(WRITES + "time.sleep(0.3)", requests=(request,)), react)
    assert [answer.error is not None for answer in of(Requested, events)] == [True, True]
    assert last.error is None


# What is done of its files afterwards.


def step(program: Callable[..., Path], made: Plan, code: str, name: str = "interpret") -> Step:
    return Step(
        title="interpreting",
        argv=(str(program(code, name)),),
        stdin=made.out / "raw.txt",
        stdout=made.out / "toy.txt",
    )


RAW = READY + "(out / 'raw.txt').write_text('raw')\n"


@pytest.fixture
def stepped(plan: Callable[..., Plan], program: Callable[..., Path]) -> Callable[..., Plan]:
    """A plan whose result is made of raw.txt by `codes`, one after the other."""

    def make(code: str, *codes: str) -> Plan:
        made = plan(code)
        artifacts = MappingProxyType({**made.artifacts, "raw": made.out / "raw.txt"})
        after = tuple(step(program, made, code, f"step{at}") for at, code in enumerate(codes))
        return dataclasses.replace(made, artifacts=artifacts, after=after)

    return make


def test_steps_make_the_result(stepped: Callable[..., Plan]) -> None:
    journal = Journal()
    upper = "import sys, time\nsys.stdout.write(sys.stdin.read().upper())\ntime.sleep(0.2)"
    events, last = record(stepped(RAW + "time.sleep(0.1)", upper), journal=journal)
    assert last.error is None
    assert last.result is not None
    assert last.result.read_text() == "RAW"
    steps = [event for event in of(Progress, events) if event.step]
    assert {(event.stage, event.step) for event in steps} == {(Stage.FINISHING, "interpreting")}
    assert len(journal.entries) == 2
    assert journal.entries[1].outcome is not None
    assert journal.entries[1].outcome.ok


def test_a_step_runs_also_after_a_crash(stepped: Callable[..., Plan]) -> None:
    _, last = record(stepped(RAW + "os.kill(os.getpid(), 11)", "print('made')"))
    assert last.target.crashed
    assert last.error is None
    assert last.result is not None


def test_a_failing_step_keeps_what_was_recorded(stepped: Callable[..., Plan]) -> None:
    made = stepped(RAW, "import sys\nsys.exit('too many cooks')", "print('never')")
    _, last = record(made)
    assert last.error is not None
    assert last.error.sentence == "step0 failed while interpreting: too many cooks."
    assert last.result == made.out / "raw.txt"
    assert not [path for path in made.out.iterdir() if path.name.startswith(".")]


def test_a_missing_step_is_told(stepped: Callable[..., Plan]) -> None:
    made = stepped(RAW)
    missing = Step(title="interpreting", argv=("no-such-program-here",), stdin=made.out / "raw.txt")
    _, last = record(dataclasses.replace(made, after=(missing,)))
    assert last.error is not None
    assert last.error.sentence == "no-such-program-here is not installed."
    assert last.result == made.out / "raw.txt"


def test_nothing_is_made_of_nothing(stepped: Callable[..., Plan]) -> None:
    _, last = record(stepped(READY, "print('never')"))
    assert last.result is None
    assert last.error is not None
    assert "left no result" in last.error.sentence


def test_a_cancel_ends_a_step(stepped: Callable[..., Plan]) -> None:
    made = stepped(RAW, "import time\ntime.sleep(60)")

    def react(recorder: Recorder, event: Event) -> None:
        if isinstance(event, Progress) and event.step:
            recorder.cancel()

    _, last = record(made, react)
    assert last.cancelled
    assert last.error is None
    assert not made.out.exists()


def test_a_listener_that_goes_away_ends_a_step(stepped: Callable[..., Plan]) -> None:
    made = stepped(RAW, "import os, pathlib, sys, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)")

    async def until_the_step() -> None:
        events = Recorder(made, patience=QUICK).events()
        async for event in events:
            if isinstance(event, Progress) and event.step and event.bytes:
                break
        await events.aclose()

    asyncio.run(asyncio.wait_for(until_the_step(), 30))
    assert not psutil.pid_exists(int((made.out / "toy.txt").read_text()))


# A parent that records its child.


PARENT = (
    "import pathlib, subprocess, sys\n"
    "child = subprocess.Popen(sys.argv[2:])\n"
    "code = child.wait()\n"
    "pathlib.Path(sys.argv[1]).write_text(str(code))\n"
    "sys.exit(code if code >= 0 else 128 - code)\n"
)


@pytest.fixture
def parented(plan: Callable[..., Plan], program: Callable[..., Path]) -> Callable[..., Plan]:
    def make(code: str, parent: str = PARENT) -> Plan:
        made = plan(code)
        argv = (str(program(parent, "parent")), str(made.result), *made.target.argv)
        return dataclasses.replace(made, argv=argv, target_is=TargetIs.CHILD)

    return make


def test_the_child_is_the_target_and_is_asked(parented: Callable[..., Plan]) -> None:
    events, last = record(parented(SLEEP), when_ready(Recorder.stop))
    (started,) = of(TargetStarted, events)
    assert started.pid != events[0].pid  # type: ignore[union-attr]
    assert last.target.ended_by is Ending.USER
    assert last.error is None
    assert last.result is not None
    assert last.result.read_text() == "-15"


@pytest.mark.parametrize(
    ("tail", "code", "number"),
    [("sys.exit(0)", 0, None), ("sys.exit(7)", 7, None), ("print(sys.argv[2] + ': Killed', file=sys.stderr)", None, 9)],
)
def test_what_the_tool_tells_of_a_program_that_nobody_saw_end(
    parented: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, tail: str, code: int | None, number: int | None
) -> None:
    """Its parent may be faster than we: perf stat passes the exit code on, and says which signal it was."""
    monkeypatch.setattr("tailflame.run.process.exit_status", lambda _pid: None)
    made = parented("pass", PARENT.rpartition("sys.exit")[0] + tail)
    _, last = record(dataclasses.replace(made, mirrors_target=True))
    assert (last.target.code, last.target.signal) == (code, number)


def test_a_parent_that_dies_leaves_nothing_running(parented: Callable[..., Plan]) -> None:
    dies = PARENT.replace("code = child.wait()", "import time; time.sleep(1); code = 1")
    events, last = record(parented(SLEEP, dies))
    (started,) = of(TargetStarted, events)
    assert last.error is not None
    assert last.error.sentence == "Toy ended before the program that it recorded."
    assert last.target.ended_by is Ending.RECORDER
    assert not psutil.pid_exists(started.pid) or psutil.Process(started.pid).status() == psutil.STATUS_ZOMBIE


# One that attaches.


ATTACHED = (
    "import pathlib, signal, sys, time\n"
    "def end(*_):\n    pathlib.Path(sys.argv[1]).write_text('seen')\n    sys.exit(0)\n"
    "signal.signal(signal.SIGINT, end)\nprint('ready', file=sys.stderr, flush=True)\n"
)


@pytest.fixture
def attached(plan: Callable[..., Plan], program: Callable[..., Path]) -> Callable[..., Plan]:
    def make(pid: int, code: str = ATTACHED + "time.sleep(60)") -> Plan:
        made = plan("")
        target = Target(Path("/usr/bin/server"), pid=pid)
        argv = (str(program(code, "attach")), str(made.result))
        changes: dict[str, Any] = {"argv": argv, "target": target, "stop_signal": signal.SIGINT}
        return dataclasses.replace(made, target_is=TargetIs.RUNNING, **changes)

    return make


def test_an_attached_tool_is_stopped_and_the_program_left_alone(
    attached: Callable[..., Plan], running: subprocess.Popen[str]
) -> None:
    events, last = record(attached(running.pid), when_ready(Recorder.stop), patience=LETS_GO)
    assert [event.pid for event in of(TargetStarted, events)] == [running.pid]
    assert {event.stream for event in of(Output, events)} == {"tool"}
    assert last.target.sentence.startswith("runs on; it was recorded for")
    assert (last.target.status, last.target.ok, last.error) == (0, True, None)
    assert last.result is not None
    assert running.poll() is None


def test_an_attached_tool_for_a_while(attached: Callable[..., Plan], running: subprocess.Popen[str]) -> None:
    _, last = record(dataclasses.replace(attached(running.pid), duration_s=2.0), patience=LETS_GO)
    assert last.target.seconds >= 2
    assert last.error is None
    assert running.poll() is None


def test_the_end_of_the_program_is_watched(attached: Callable[..., Plan], running: subprocess.Popen[str]) -> None:
    """Its tool does not see it, as some don't: it is asked."""
    _, last = record(attached(running.pid), when_ready(lambda _recorder: running.kill()), patience=LETS_GO)
    assert last.target.ended_by is Ending.ITSELF
    assert last.error is None
    assert last.result is not None


def test_cancelling_leaves_the_program_alone(attached: Callable[..., Plan], running: subprocess.Popen[str]) -> None:
    deaf = ATTACHED.replace("signal.SIGINT, end", "signal.SIGINT, signal.SIG_IGN")
    made = attached(running.pid, deaf + "time.sleep(60)")
    _, last = record(made, when_ready(Recorder.cancel))
    assert last.cancelled
    assert running.poll() is None
    assert not made.out.exists()


def test_a_listener_that_goes_away_leaves_the_program_alone(
    attached: Callable[..., Plan], running: subprocess.Popen[str]
) -> None:
    async def a_moment() -> int:
        events = Recorder(attached(running.pid), patience=LETS_GO).events()
        async for event in events:
            if isinstance(event, Output):
                break
        await events.aclose()
        return 0

    asyncio.run(asyncio.wait_for(a_moment(), 30))
    assert running.poll() is None


def test_a_program_that_has_ended(attached: Callable[..., Plan], running: subprocess.Popen[str]) -> None:
    running.kill()
    running.wait()
    with pytest.raises(TargetError, match="has ended"):
        record(attached(running.pid))


# Real ones.


def massif(made: Plan) -> Plan:
    result = made.out / "massif.out"
    snap = made.out / "snap.{n}.massif"
    return dataclasses.replace(
        made,
        argv=("valgrind", "--tool=massif", f"--massif-out-file={result}", *made.target.argv),
        artifacts=MappingProxyType({"massif": result}),
        primary="massif",
        requests=(
            Request(
                name="snapshot",
                title="Snapshot",
                tip="",
                argv=("vgdb", "--pid={pid}", "detailed_snapshot", str(snap)),
                artifact="snap.{n}.massif",
            ),
        ),
    )


def sleeping(made: Plan) -> Plan:
    return dataclasses.replace(made, target=Target(Path("/bin/sleep"), ("60",)))


def pipes() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob("vgdb-pipe-*")}


@pytest.mark.tool("valgrind", "vgdb")
def test_massif_is_asked_for_a_snapshot_and_stopped(plan: Callable[..., Plan]) -> None:
    before = pipes()
    asked: list[int] = []

    def react(recorder: Recorder, event: Event) -> None:
        if isinstance(event, Requested):
            if event.path is None and len(asked) < 50:  # valgrind has not come up yet
                recorder.request("snapshot")
                asked.append(1)
            else:
                recorder.stop()
        elif isinstance(event, TargetStarted):
            recorder.request("snapshot")

    events, last = record(massif(sleeping(plan(""))), react, patience=REAL)
    assert of(Requested, events)[-1].path.read_text().startswith("desc:")
    assert last.error is None
    assert last.target.ended_by is Ending.USER
    assert last.result is not None
    assert "snapshot=0" in last.result.read_text()
    assert pipes() <= before


@pytest.mark.tool("valgrind")
def test_a_killed_valgrind_leaves_no_pipes(plan: Callable[..., Plan]) -> None:
    seen: set[str] = set()
    pid = 0

    def react(recorder: Recorder, event: Event) -> None:
        nonlocal pid
        if isinstance(event, TargetStarted):
            pid = event.pid
        elif isinstance(event, Progress) and not seen:
            seen.update(name for name in pipes() if f"-{pid}-by-" in name)
            if seen:
                os.kill(pid, signal.SIGKILL)

    _, last = record(massif(sleeping(plan(""))), react, patience=REAL)
    assert last.target.signal == signal.SIGKILL
    assert last.result is None
    assert last.error is not None
    assert len(seen) >= 2
    assert not seen & pipes()


@pytest.mark.tool("strace")
def test_strace_of_a_child_and_of_a_running_program(plan: Callable[..., Plan], running: subprocess.Popen[str]) -> None:
    made = plan(SLEEP)
    result = made.out / "strace.txt"
    named = {"artifacts": MappingProxyType({"toy": result})}
    launched = dataclasses.replace(
        made, argv=("strace", "-f", "-o", str(result), *made.target.argv), target_is=TargetIs.CHILD, **named
    )
    _, last = record(launched, when_ready(Recorder.stop), patience=REAL)
    assert last.error is None
    assert "+++ killed by SIGTERM +++" in result.read_text()
    attach = dataclasses.replace(
        made,
        argv=("strace", "-f", "-o", str(result), "-p", str(running.pid)),
        target=Target(made.target.binary, pid=running.pid),
        target_is=TargetIs.RUNNING,
        stop_signal=signal.SIGINT,
        **named,
    )

    def react(recorder: Recorder, event: Event) -> None:
        if isinstance(event, Output) and "attached" in event.text:
            recorder.stop()

    _, last = record(attach, react, patience=REAL)
    assert last.target.ended_by is Ending.NOBODY
    assert last.tool.sentence.startswith("stopped by you")
    assert running.poll() is None
