"""A live run: launched programs stand still until their sources are armed; what is attached to is left as it was."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tailflame.errors import TargetError, ToolDenied
from tailflame.host.guard import guard
from tailflame.host.privilege import Means
from tailflame.host.system import Host
from tailflame.live.helper_client import HelperClient
from tailflame.live.permission import Permission
from tailflame.live.probe_program import ProbeRequest
from tailflame.model.live import Armed, Artifact, Said, Update
from tailflame.run import stopped_start
from tailflame.run.live_events import (
    LiveContinued,
    LiveEvent,
    LiveFinished,
    LiveStarted,
    LiveTarget,
    SourceChanged,
    SourceState,
    SourceTold,
    SourceWish,
)
from tailflame.run.live_run import LivePatience, LiveRun
from tailflame.run.process import Output
from tailflame.tools.base import Target

QUICK = LivePatience(arm=10, tick=0.01, grace=0.5, last_words=2)
PYTHON = Path(sys.executable)


def state_of(pid: int) -> str:
    """ "T" for a process that stands still."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat[stat.rindex(")") + 2]


class Watching:
    """Says in which state it found the target, and goes on until it is taken away."""

    name = "watching"
    title = "Watching"

    def __init__(self, target: LiveTarget, log: list[str]) -> None:
        self._pid, self._log = target.pid, log

    async def updates(self) -> AsyncGenerator[Update, None]:
        self._log.append(f"armed on {state_of(self._pid)}")
        yield Armed()
        try:
            yield Said(text="looking")
            await asyncio.get_running_loop().create_future()
        finally:
            self._log.append("taken away")


def watching(log: list[str]) -> SourceWish:
    return SourceWish("watching", "Watching", lambda target: Watching(target, log))


class Completing:
    """Has a file to hand over when it is asked to end."""

    name = "completing"
    title = "Completing"

    def __init__(self, target: LiveTarget) -> None:
        self._out = target.out / "perf.data"
        self._asked = asyncio.Event()

    def finish(self) -> None:
        self._asked.set()

    async def updates(self) -> AsyncGenerator[Update, None]:
        yield Armed()
        yield Said(text="recording")
        await self._asked.wait()
        self._out.write_text("complete")
        yield Artifact(role="perf.data", path=self._out, opens=True)


class Refused:
    name = "refused"
    title = "Refused"

    async def updates(self) -> AsyncGenerator[Update, None]:
        raise ToolDenied("Not for you.", advice="Ask root.")
        yield Armed()


def run(live: LiveRun, react: Callable[[LiveEvent], None] = lambda _event: None) -> list[LiveEvent]:
    events: list[LiveEvent] = []

    def sink(event: LiveEvent) -> None:
        events.append(event)
        react(event)

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await live.run(sink)

    asyncio.run(bounded())
    return events


def states(events: list[LiveEvent], name: str) -> list[SourceState]:
    return [e.state for e in events if isinstance(e, SourceChanged) and e.name == name]


def finished(events: list[LiveEvent]) -> LiveFinished:
    assert isinstance(events[-1], LiveFinished)
    return events[-1]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_a_launched_program_stands_still_until_its_sources_are_armed(tmp_path: Path) -> None:
    log: list[str] = []
    target = Target(PYTHON, ("-c", "print('hello')"))
    events = run(LiveRun(tmp_path, [watching(log)], launch=target, patience=QUICK))
    assert log == ["armed on T", "taken away"]
    order = [type(e) for e in events if not isinstance(e, SourceChanged | SourceTold | Output)]
    assert order == [LiveStarted, LiveContinued, LiveFinished]
    assert "".join(e.text for e in events if isinstance(e, Output)) == "hello\n"
    outcome = finished(events).target
    assert outcome is not None and outcome.ok
    assert finished(events).artifacts["stdout"].read_text() == "hello\n"
    assert states(events, "watching") == [SourceState.STARTING, SourceState.ON, SourceState.OFF]


def test_the_pid_that_sources_get_is_the_programs_own(tmp_path: Path) -> None:
    events = run(LiveRun(tmp_path, [], launch=Target(PYTHON, ("-c", "import os; print(os.getpid())")), patience=QUICK))
    started = next(e for e in events if isinstance(e, LiveStarted))
    assert "".join(e.text for e in events if isinstance(e, Output)) == f"{started.pid}\n"


def test_a_source_that_is_refused_keeps_nothing_from_running(tmp_path: Path) -> None:
    log: list[str] = []
    wishes = [SourceWish("refused", "Refused", lambda _target: Refused()), watching(log)]
    events = run(LiveRun(tmp_path, wishes, launch=Target(PYTHON, ("-c", "")), patience=QUICK))
    failure = next(e for e in events if isinstance(e, SourceChanged) and e.state is SourceState.FAILED)
    assert failure.error is not None and failure.error.advice == "Ask root."
    assert log == ["armed on T", "taken away"]


def test_a_fault_in_a_source_is_a_sentence(tmp_path: Path) -> None:
    def make(_target: LiveTarget) -> Refused:
        raise KeyError("surprise")

    live = LiveRun(tmp_path, [SourceWish("bad", "Bad", make)], launch=Target(PYTHON, ("-c", "")), patience=QUICK)
    events = run(live)
    failure = next(e for e in events if isinstance(e, SourceChanged) and e.state is SourceState.FAILED)
    assert failure.error is not None and "KeyError: 'surprise'" in failure.error.details


def test_a_program_that_cannot_be_started_is_said_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(TargetError):
        run(LiveRun(tmp_path, [], launch=Target(tmp_path / "nothing"), patience=QUICK))
    with pytest.raises(TargetError):
        run(LiveRun(tmp_path, [], attach=2**22 - 1, patience=QUICK))


def test_attaching_and_letting_go_leaves_the_program_running(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    log: list[str] = []
    live = LiveRun(tmp_path, [watching(log)], attach=sleeper.pid, binary=Path("/bin/sleep"), patience=QUICK)

    def react(event: LiveEvent) -> None:
        if isinstance(event, SourceTold) and isinstance(event.update, Said):
            live.stop()

    events = run(live, react)
    assert log[-1] == "taken away"
    assert finished(events).target is None and "runs on" in finished(events).sentence
    assert sleeper.poll() is None


def test_the_end_of_a_program_that_was_attached_to_ends_the_run(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    live = LiveRun(tmp_path, [watching([])], attach=sleeper.pid, binary=Path("/bin/sleep"), patience=QUICK)

    def react(event: LiveEvent) -> None:
        if isinstance(event, LiveContinued):
            sleeper.send_signal(signal.SIGSEGV)

    outcome = finished(run(live, react)).target
    assert outcome is not None
    assert outcome.sentence.startswith("killed by SIGSEGV")


def test_sources_are_switched_off_and_on_while_the_rest_runs(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    log: list[str] = []
    live = LiveRun(tmp_path, [watching(log)], attach=sleeper.pid, patience=QUICK)

    def react(event: LiveEvent) -> None:
        match event:
            case SourceTold(update=Said()) if log.count("taken away") == 0:
                live.switch_off("watching")
            case SourceTold(update=Said()):
                live.stop()
            case SourceChanged(state=SourceState.OFF) if log.count("taken away") == 1:
                live.switch_on(watching(log))

    events = run(live, react)
    assert [entry for entry in log if entry == "taken away"] == ["taken away"] * 2
    assert states(events, "watching").count(SourceState.ON) == 2


def test_a_source_that_is_wanted_again_while_it_goes_comes_back(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    log: list[str] = []
    live = LiveRun(tmp_path, [watching(log)], attach=sleeper.pid, patience=QUICK)

    def react(event: LiveEvent) -> None:
        if not (isinstance(event, SourceTold) and isinstance(event.update, Said)):
            return
        if "taken away" in log:
            live.stop()
            return
        for _ in range(3):
            live.switch_off("watching")
            live.switch_on(watching(log))

    events = run(live, react)
    assert states(events, "watching").count(SourceState.ON) == 2
    assert log.count("taken away") == 2


def test_a_source_that_is_taken_away_before_its_first_step_is_off(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    live = LiveRun(tmp_path, [], attach=sleeper.pid, patience=QUICK)

    def react(event: LiveEvent) -> None:
        if isinstance(event, LiveContinued):
            live.switch_on(watching([]))
            live.switch_off("watching")
        elif isinstance(event, SourceChanged) and event.state is SourceState.OFF:
            live.stop()

    assert states(run(live, react), "watching") == [SourceState.ENDING, SourceState.OFF]


def test_who_has_refused_is_asked_again_where_a_source_is_switched_on(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Host, "has_tool", lambda _self, name: Path("/usr/bin", name))
    asked: list[str] = []

    async def connect(argv: Sequence[str]) -> HelperClient:
        asked.append(argv[0])
        raise ToolDenied("No.")

    has = Means(helper=Path("/usr/libexec/tailflame/tailflame-helper"), pkexec=True)
    permission = Permission(look=lambda: (Host(), has), connect=connect)

    class Probing(Refused):
        def __init__(self, target: LiveTarget) -> None:
            self._pid = target.pid

        async def updates(self) -> AsyncGenerator[Update, None]:
            request = ProbeRequest(binary="/x", symbols=("f",), recursive=(False,), pid=self._pid, interval_ms=200)
            await permission.probe(request)
            yield Armed()

    wish = SourceWish("probe", "Probe", Probing)
    live = LiveRun(tmp_path, [wish], attach=sleeper.pid, patience=QUICK, permission=permission)

    def react(event: LiveEvent) -> None:
        if isinstance(event, SourceChanged) and event.state is SourceState.FAILED:
            asyncio.get_running_loop().call_soon(live.stop if len(asked) > 1 else lambda: live.switch_on(wish))

    assert SourceState.ON not in states(run(live, react), "probe")
    assert asked == ["pkexec", "pkexec"]


@pytest.mark.parametrize("way", ["switch off", "let go"])
def test_a_source_hands_over_its_file_before_it_goes(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], way: str
) -> None:
    live = LiveRun(tmp_path, [SourceWish("cpu", "CPU", Completing)], attach=sleeper.pid, patience=QUICK)

    def react(event: LiveEvent) -> None:
        match event:
            case SourceTold(update=Said()) if way == "switch off":
                live.switch_off("cpu")
            case SourceTold(update=Said()) | SourceChanged(state=SourceState.OFF):
                live.stop()

    events = run(live, react)
    assert states(events, "cpu")[-1] is SourceState.OFF
    assert finished(events).artifacts["perf.data"].read_text() == "complete"


class Asking(Completing):
    """Still waits for the user's password when it is asked to end."""

    async def updates(self) -> AsyncGenerator[Update, None]:
        yield Said(text="asking")
        await asyncio.get_running_loop().create_future()
        yield Armed()


def test_a_source_that_is_not_armed_is_not_waited_for(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    patience = LivePatience(arm=0.2, finish=600.0)
    live = LiveRun(tmp_path, [SourceWish("cpu", "CPU", Asking)], attach=sleeper.pid, patience=patience)
    events = run(live, lambda event: live.stop() if isinstance(event, SourceTold) else None)
    assert states(events, "cpu") == [SourceState.STARTING, SourceState.OFF]


def test_a_program_that_ignores_the_polite_request_is_killed(tmp_path: Path) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    live = LiveRun(tmp_path, [], launch=Target(PYTHON, ("-c", deaf)), patience=QUICK)

    def react(event: LiveEvent) -> None:
        if isinstance(event, Output):
            live.stop()

    outcome = finished(run(live, react)).target
    assert outcome is not None and outcome.forced


def test_the_time_asked_for_ends_a_launched_program(tmp_path: Path) -> None:
    live = LiveRun(tmp_path, [], launch=Target(Path("/bin/sleep"), ("60",)), duration_s=0.2, patience=QUICK)
    outcome = finished(run(live)).target
    assert outcome is not None and "when its time was up" in outcome.sentence


def test_a_program_that_stands_still_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """SIGTERM waits for a stopped process to be continued, which nobody would do."""
    start = f"""
import subprocess, sys, time
stub = [*{guard("TERM")!r}, sys.executable, "-I", "-S", {stopped_start.__file__!r}]
child = subprocess.Popen([*stub, "/bin/sleep", "600"])
print(child.pid, flush=True)
time.sleep(600)
"""
    starter = subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE, text=True)
    with starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        wait_until(lambda: state_of(pid) == "T")
        starter.kill()
    wait_until(lambda: not Path("/proc", str(pid)).exists() or state_of(pid) == "Z")


class Hearing(Watching):
    """Hears what the others tell."""

    heard: list[Update]

    def watch(self, update: Update) -> None:
        self.heard.append(update)


def test_a_source_that_watches_hears_the_others_and_not_itself(tmp_path: Path) -> None:
    heard: list[Update] = []

    def hearing(target: LiveTarget) -> Hearing:
        made = Hearing(target, [])
        made.heard = heard
        return made

    target = Target(PYTHON, ("-c", "import time; time.sleep(600)"))
    wishes = [SourceWish("hearing", "Hearing", hearing), SourceWish("completing", "Completing", Completing)]
    live = LiveRun(tmp_path, wishes, launch=target, patience=QUICK)

    def react(event: LiveEvent) -> None:
        if isinstance(event, LiveContinued):
            live.stop()

    run(live, react)
    told = {update for update in heard if isinstance(update, Said)}
    assert told == {Said(text="recording")}
