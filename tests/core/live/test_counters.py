"""Counters of a process: a replayed machine that has them, and real perf with what this one has."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from pathlib import Path

import pytest

from helpers.environment import refuse
from helpers.fake_perf_stat import LOG, REFUSAL, install
from helpers.loop import in_loop
from helpers.targets import python_target
from tailflame.errors import TailflameError, TargetError, ToolDenied, ToolFailed, ToolMissing
from tailflame.host.system import Support, read_setting
from tailflame.live.counter_events import EVENTS, Probed, event_list, forget_events, probe_events
from tailflame.live.counters import Counters
from tailflame.live.launcher import Running, start
from tailflame.model import CounterSeries
from tailflame.model.live import Armed, Artifact, Reading, Said, Status, Update
from tailflame.parse import load

TWO_THREADS = """
import threading, time
def spin():
    while True:
        sum(range(1000))
        time.sleep(0.0001)
threading.Thread(target=spin, daemon=True).start()
print("up", flush=True)
spin()
"""


def target(*prefix: str, python: str = sys.executable) -> AbstractContextManager[subprocess.Popen[bytes]]:
    return python_target(TWO_THREADS, *prefix, python=python)


async def until(source: Counters, enough: Callable[[list[Update]], bool]) -> list[Update]:
    """What it tells until it is enough; it is then closed."""
    told: list[Update] = []
    async with aclosing(source.updates()) as updates:
        async for update in updates:
            told.append(update)
            if enough(told):
                break
    return told


def intervals(number: int, series: str) -> Callable[[list[Update]], bool]:
    return lambda told: sum(1 for u in told if isinstance(u, Reading) and u.series == series) >= number


def readings(told: Sequence[Update], series: str) -> list[Reading]:
    return [u for u in told if isinstance(u, Reading) and u.series == series]


@in_loop
async def test_a_machine_with_counters(tmp_path: Path) -> None:
    raw = tmp_path / "counters.json"
    with target() as process:
        source = Counters(process.pid, perf=install(tmp_path), interval_s=0.1, raw=raw)
        told = await until(source, intervals(12, "IPC"))
    now = time.monotonic()
    assert told[0] == Armed(detail="18 of 20 events are counted")
    assert told[1] == Artifact(role="counters", path=raw, opens=True)
    said = [u for u in told if isinstance(u, Said)]
    assert len(said) == 1
    assert said[0].text.startswith(
        "stalled-cycles-backend, iTLB-loads are not counted here: the processor does not count it"
    )
    ipc = readings(told, "IPC")
    assert all(r.value is not None and r.value > 2 for r in ipc[:10])
    assert all(r.value is not None and r.value < 1 for r in ipc[10:12])
    assert all(r.running == 1.0 for r in ipc)
    misses = readings(told, "L1d load miss rate")
    assert all(0.42 < r.running < 0.44 for r in misses)
    last_level = readings(told, "LLC load miss rate")
    assert [r.status for r in last_level[4:8]] == [
        Status.COUNTED, Status.NOT_COUNTED, Status.NOT_COUNTED, Status.COUNTED,
    ]  # fmt: skip
    assert last_level[5].value is None
    for dead in ("stalled cycles in back end", "iTLB load miss rate", "iTLB-loads"):
        assert [r.status for r in readings(told, dead)] == [Status.NOT_SUPPORTED]
    # Intervals follow each other without a gap on our own clock. One that arrives sooner may set it back.
    assert source.clock_error_s >= 0
    ends = [r.start_s + r.length_s for r in ipc]
    assert all(r.start_s <= end + 1e-6 for r, end in zip(ipc[1:], ends, strict=False))
    assert ends[-1] <= now
    assert min(r.length_s for r in ipc) > 0
    kept = load(raw).counters
    assert kept is not None
    live = CounterSeries.of_readings(u for u in told if isinstance(u, Reading))
    assert kept.of("cycles").value[:11].tolist() == live.of("cycles").value[:11].tolist()
    assert kept.of("IPC").value[:11].tolist() == live.of("IPC").value[:11].tolist()


@in_loop
async def test_the_end_of_the_target_ends_it(tmp_path: Path) -> None:
    with target() as process:
        source = Counters(process.pid, perf=install(tmp_path), interval_s=0.1)
        told: list[Update] = []
        async for update in source.updates():
            told.append(update)
            if len(readings(told, "IPC")) == 2:
                process.kill()
        assert len(readings(told, "IPC")) >= 2


@in_loop
async def test_who_may_not_count_is_told_what_would_allow_it(tmp_path: Path) -> None:
    perf = install(tmp_path, refuse=True)
    with pytest.raises(ToolDenied, match="refuses performance counters") as caught:
        await until(Counters(os.getpid(), perf=perf), bool)
    assert "sudo sysctl kernel.perf_event_paranoid=1" in caught.value.advice
    assert REFUSAL.strip() in caught.value.details


@in_loop
async def test_a_launcher_with_more_rights_may_count_where_the_probe_may_not(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    refused, allowed = install(tmp_path / "own", refuse=True), install(tmp_path)
    asked: list[Sequence[str]] = []

    async def helper(
        argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdout: Path | None = None
    ) -> Running:
        asked.append(argv)
        return await start((allowed, *argv[1:]), env=env, stdout=stdout)

    with target() as process:
        source = Counters(process.pid, perf=refused, interval_s=0.1, launcher=helper)
        told = await until(source, intervals(2, "IPC"))
    assert asked[0][1:3] == ("stat", "-j")
    # Nothing is known of the events: none is grouped, and the dead ones say so themselves.
    assert "{" not in asked[0][asked[0].index("-e") + 1]
    assert {r.status for r in readings(told, "iTLB-loads")} == {Status.NOT_SUPPORTED}


@in_loop
async def test_what_keeps_it_from_counting_is_a_sentence(tmp_path: Path) -> None:
    perf = install(tmp_path)
    with pytest.raises(TargetError, match="There is no process"):
        with target() as process:
            pass
        await until(Counters(process.pid, perf=perf), bool)
    with pytest.raises(ToolMissing, match="no-perf is not installed"):
        await until(Counters(os.getpid(), perf="no-perf"), bool)
    with pytest.raises(ToolFailed, match="None of the chosen events") as caught:
        await until(Counters(os.getpid(), perf=perf, events=("iTLB-loads", "bogus")), bool)
    assert "bogus: perf does not know this event" in caught.value.details
    with pytest.raises(ValueError, match=r"0\.1 s"):
        Counters(os.getpid(), interval_s=0.05)


class Replay:
    """A perf that has printed some lines and ends."""

    pid, returncode = 0, 0

    def __init__(self, *lines: str) -> None:
        self._lines = lines

    async def lines(self) -> AsyncGenerator[bytes, None]:
        for line in self._lines:
            yield line.encode()

    async def wait(self) -> int:
        return 0

    def interrupt(self) -> None: ...

    async def stop(self, *, grace_s: float = 3.0) -> int:
        return 0

    def stderr_text(self) -> str:
        return "Something odd\n"


async def replay(
    *lines: str, events: Sequence[str], printed: Sequence[str] = ()
) -> tuple[list[Update], TailflameError | None]:
    async def launcher(
        argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdout: Path | None = None
    ) -> Running:
        return Replay(*lines)

    async def probe(events: Sequence[str]) -> Probed:
        return Probed({event: Support(True) for event in events}, tuple(printed))

    told: list[Update] = []
    try:
        async for update in Counters(os.getpid(), events=events, launcher=launcher, probe=probe).updates():
            told.append(update)
    except TailflameError as error:
        return told, error
    return told, None


def line(interval: float, event: str, value: object) -> str:
    return (
        f'{{"interval" : {interval}, "counter-value" : "{value}", "unit" : "", "event" : "{event}", '
        '"event-runtime" : 1, "pcnt-running" : 100.00}'
    )


@in_loop
async def test_user_space_alone_is_said_once_and_no_zero_is_made_of_what_it_cannot_see() -> None:
    lines = [line(t, e, v) for t in (0.1, 0.2) for e, v in (("page-faults:u", 7), ("context-switches:u", 0))]
    told, error = await replay("# started on Wed", "", *lines, events=("page-faults", "context-switches"))
    (said,) = [u for u in told if isinstance(u, Said)]
    assert said.text.startswith("Only what the program does in user space is counted. Context switches")
    assert [r.value for r in readings(told, "page-faults")] == [7.0, 7.0]
    assert [r.status for r in readings(told, "context switches")] == [Status.NOT_COUNTED] * 2
    assert isinstance(error, ToolFailed)
    assert error.sentence == "perf stat has ended: Something odd"


HYBRID = ("cpu_core/cycles/", "cpu_core/instructions/", "cpu_atom/cycles/", "cpu_atom/instructions/")


async def _more_lines_than_events(printed: Sequence[str]) -> None:
    lines = [line(t, event, n + 1) for t in (0.1, 0.2, 0.3) for n, event in enumerate(HYBRID)]
    events = ("cycles", "instructions")
    told, _ = await replay(*lines, line(0.4, HYBRID[0], 9), "garbage", "{}", events=events, printed=printed)
    assert [r.value for r in readings(told, "IPC, cpu_core")] == [2.0] * 3
    assert [r.value for r in readings(told, "IPC, cpu_atom")] == [4 / 3] * 3
    assert [r.value for r in readings(told, "cycles, cpu_core")] == [1.0, 1.0, 1.0, 9.0]
    assert sum(isinstance(u, Said) for u in told) == 1


@in_loop
async def test_who_counts_may_see_more_than_who_has_asked() -> None:
    told, _ = await replay(
        *(line(0.1, event, 3) for event in ("page-faults", "context-switches")),
        events=("page-faults", "context-switches"),
        printed=("page-faults:u", "context-switches:u"),
    )
    assert not any(isinstance(u, Said) for u in told)
    assert [r.value for r in readings(told, "context-switches")] == [3.0]


@in_loop
async def test_switched_on_again_it_keeps_what_was_counted_before(tmp_path: Path) -> None:
    raw, perf = tmp_path / "counters.jsonl", install(tmp_path)
    with target() as process:
        for number in (1, 2):
            told = await until(Counters(process.pid, perf=perf, interval_s=0.1, raw=raw), intervals(2, "IPC"))
            (kept,) = [u for u in told if isinstance(u, Artifact)]
            assert (kept.role, kept.path.name) == (
                ("counters", "counters.jsonl") if number == 1 else ("counters-2", "counters-2.jsonl")
            )
    assert load(raw).counters is not None


@in_loop
async def test_two_kinds_of_processors_are_told_apart_with_a_probe_and_without() -> None:
    await _more_lines_than_events(HYBRID)
    await _more_lines_than_events(())


def test_what_belongs_together_is_counted_together() -> None:
    assert event_list(("cycles", "page-faults", "instructions"), grouped=True) == "{cycles,instructions}:W,page-faults"
    assert event_list(("cycles", "page-faults"), grouped=True) == "cycles,page-faults"
    assert event_list(("cycles", "instructions"), grouped=False) == "cycles,instructions"


def test_probing_finds_what_the_log_has(tmp_path: Path) -> None:
    forget_events()
    perf = Path(install(tmp_path))
    probed = probe_events(perf)
    assert set(EVENTS) - set(probed.available(EVENTS)) == {"stalled-cycles-backend", "iTLB-loads"}
    unknown = probe_events(perf, ("cycles", "bogus", "iTLB-loads", "task-clock"))
    assert unknown.available(("cycles", "bogus", "iTLB-loads", "task-clock")) == ("cycles", "task-clock")
    perf.unlink()
    assert probe_events(perf) == probed  # it is not asked again
    forget_events()
    assert probe_events(perf).failed
    assert LOG.exists()


# real perf


def signals(pid: int) -> list[str]:
    """What a tool might change of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return [line for line in lines if line.startswith(("Sig", "TracerPid"))]


SOFTWARE = ("task-clock", "context-switches", "page-faults", "cpu-migrations")


@pytest.mark.tool("perf")
@in_loop
async def test_real_perf_counts_two_threads(tmp_path: Path) -> None:
    probed = await asyncio.to_thread(probe_events, Path("perf"))
    if probed.refused:
        refuse("the kernel refuses performance counters here")
    raw = tmp_path / "counters.json"
    with target() as process:
        before = signals(process.pid)
        source = Counters(process.pid, interval_s=0.1, raw=raw)
        told = await until(source, intervals(5, "task-clock"))
        assert signals(process.pid) == before
        assert "TracerPid:\t0" in before
        assert process.poll() is None
    assert isinstance(told[0], Armed)
    for event in SOFTWARE:
        counted = readings(told, event)
        assert all(r.status in (Status.COUNTED, Status.NOT_COUNTED) for r in counted)
    assert sum(r.value or 0 for r in readings(told, "task-clock")) > 0
    assert sum(r.value or 0 for r in readings(told, "context-switches")) > 0
    assert all(0 <= (r.value or 0) < 100 * (os.cpu_count() or 1) + 50 for r in readings(told, "CPU by task clock"))
    if "cycles" not in probed.available(EVENTS):
        assert [r.status for r in readings(told, "IPC")] == [Status.NOT_SUPPORTED]
    kept = load(raw).counters
    assert kept is not None
    assert len(kept.of("task-clock").value) >= 5


@pytest.mark.tool("perf")
@pytest.mark.tool("setpriv")
def test_real_perf_as_a_user_without_rights(tmp_path: Path) -> None:
    """The whole source runs as nobody, on a program of nobody's."""
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    if (read_setting("kernel/perf_event_paranoid") or 0) > 2:
        pytest.skip("perf_event_paranoid refuses everything here")
    as_nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    script = f"""
import asyncio, json, sys
from contextlib import aclosing
from tailflame.live.counters import Counters
from tailflame.errors import TailflameError
async def main(pid):
    told = []
    try:
        async with aclosing(Counters(pid, interval_s=0.1, events={SOFTWARE!r}).updates()) as updates:
            async for update in updates:
                told.append([type(update).__name__, getattr(update, "series", getattr(update, "text", "")),
                             getattr(update, "value", None)])
                if sum(t[1] == "task-clock" for t in told) == 3: break
    except TailflameError as error:
        told.append([type(error).__name__, error.sentence, error.advice])
    print(json.dumps(told))
for pid in sys.argv[1:]:
    asyncio.run(main(int(pid)))
"""
    python = Path("/usr/bin/python3")
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    if python.resolve().name != version:
        pytest.skip(f"there is no {version} in /usr/bin for nobody to run")
    paths = os.pathsep.join(p for p in sys.path if p)
    with target(*as_nobody, python=str(python)) as own, target() as foreign:
        answer = subprocess.run(
            (*as_nobody, str(python), "-c", script, str(own.pid), str(foreign.pid)),
            env={"PATH": os.environ["PATH"], "PYTHONPATH": paths, "HOME": str(tmp_path)},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    if "ModuleNotFoundError" in answer.stderr or "PermissionError" in answer.stderr:
        pytest.skip("nobody may not read this checkout or its packages")
    assert answer.returncode == 0, answer.stderr
    mine, theirs = map(json.loads, answer.stdout.splitlines())
    assert mine[0][0] == "Armed"
    assert sum(value or 0 for kind, name, value in mine if name == "task-clock") > 0
    if (read_setting("kernel/perf_event_paranoid") or 0) >= 2:
        assert next(name for kind, name, _ in mine if kind == "Said").startswith("Only what the program does in user")
    assert theirs[-1][0] == "ToolDenied"
    assert "belongs to root" in theirs[-1][1]
