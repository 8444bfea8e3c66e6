"""The ring of the last seconds: with a stand-in for perf, with perf itself, and through the helper."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from helpers.environment import ROOT, refuse
from helpers.loop import in_loop
from tailflame.errors import ToolFailed
from tailflame.live import tail_ring
from tailflame.live.helper_client import HelperClient
from tailflame.live.helper_requests import request_of
from tailflame.live.launcher import Launcher, Running, start
from tailflame.live.tail_ring import PAGES_OF_A_USER, TailRing, ring_options, ring_pages
from tailflame.live.tail_rules import TailRule
from tailflame.model.live import Armed, Artifact, Captured, Reading, Said, Update
from tailflame.parse import load
from tailflame.tools.perf_record import CallGraph, PerfOptions, attach_argv

RULE = TailRule.of("CPU > 90")
BUSY = Reading(series="CPU", start_s=0.0, length_s=0.2, value=99.0, unit="%")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_ring, "_SETTLE_S", 0.0)


class Perf:
    """A launcher and the perf that it starts; a snapshot makes a file, as perf does."""

    pid = 0

    def __init__(self, *, fails: str = "", dumps: bool = True) -> None:
        self.returncode: int | None = 1 if fails else None
        self._said, self._dumps = fails, dumps
        self.snapshots = 0
        self.ring = Path()

    async def __call__(self, argv: Sequence[str], *, env: object = None, stdout: Path | None = None) -> Running:
        self.ring = Path(argv[-1])
        if self.returncode is None:
            self.ring.write_text("PERFILE2")
        return self

    def snapshot(self) -> None:
        self.snapshots += 1
        if self._dumps:
            self.ring.with_name(f"ring.{self.snapshots}").write_text(f"dump {self.snapshots}")
        else:
            self.returncode = 0

    async def lines(self) -> AsyncIterator[bytes]:
        return
        yield b""

    async def wait(self) -> int:
        if self.returncode is None:
            await asyncio.Event().wait()
        return self.returncode or 0

    def interrupt(self) -> None:
        self.returncode = 0

    async def stop(self, *, grace_s: float = 3.0) -> int:
        self.returncode = self.returncode or 0
        return self.returncode

    def stderr_text(self) -> str:
        return self._said


async def told(ring: TailRing, *, wanted: int) -> list[Update]:
    """Until so many captures, crossing the rule all the time."""
    updates: list[Update] = []
    async with asyncio.timeout(60), aclosing(ring.updates()) as source:
        async for update in source:
            updates.append(update)
            ring.watch(BUSY)
            ring.watch(BUSY)
            if sum(isinstance(one, Captured) for one in updates) == wanted:
                ring.finish()
    return updates


@pytest.mark.usefixtures("at_once")
@in_loop
async def test_a_crossed_rule_keeps_a_file_and_the_state_and_the_limits_hold(tmp_path: Path) -> None:
    perf = Perf()
    ring = TailRing(os.getpid(), tmp_path, lambda file: ["perf", str(file)], [RULE], every_s=3600, launcher=perf)
    ring.watch(BUSY)  # not armed yet
    updates = await told(ring, wanted=1)
    assert updates[0] == Armed(detail="CPU > 90. At most one capture in 1 h 00 min is made, and 5 in a run.")
    (captured,) = [update for update in updates if isinstance(update, Captured)]
    assert captured.why == "CPU was 99.0%" and captured.path.read_text() == "dump 1" and "load " in captured.summary
    assert Artifact(role="tail 1", path=captured.path, opens=True) in updates
    state = json.loads((tmp_path / "tail-1.json").read_text())
    assert state["why"] == captured.why and f"task/{os.getpid()}/stat" in state["files"]
    assert isinstance(updates[-1], Said) and "without a capture" in updates[-1].text
    assert perf.snapshots == 1 and not (tmp_path / "tail-ring").exists()


@pytest.mark.usefixtures("at_once")
@in_loop
async def test_there_are_at_most_so_many_in_a_run(tmp_path: Path) -> None:
    perf = Perf()
    ring = TailRing(os.getpid(), tmp_path, lambda file: ["perf", str(file)], [RULE], every_s=0.0, most=2, launcher=perf)
    updates = await told(ring, wanted=2)
    assert perf.snapshots == 2 and not ring.capture("once more")
    assert [update.path.name for update in updates if isinstance(update, Captured)] == ["tail-1.data", "tail-2.data"]


@pytest.mark.usefixtures("at_once")
@in_loop
async def test_perf_that_fails_or_dumps_nothing_is_said(tmp_path: Path) -> None:
    def ring_of(perf: Perf) -> TailRing:
        return TailRing(os.getpid(), tmp_path, lambda file: ["perf", str(file)], [RULE], launcher=perf)

    with pytest.raises(ToolFailed, match="ended with 1"):
        await told(ring_of(Perf(fails="no")), wanted=1)
    updates: list[Update] = []
    with pytest.raises(ToolFailed, match="ended with 0"):
        ring = ring_of(Perf(dumps=False))
        async with asyncio.timeout(60), aclosing(ring.updates()) as source:
            async for update in source:
                updates.append(update)
                ring.watch(BUSY)
    assert "dumped nothing" in [update.text for update in updates if isinstance(update, Said)][-1]


def test_a_ring_holds_seconds_where_it_may() -> None:
    assert ring_pages(1999, root=True) == 2048
    assert ring_pages(1999, root=False) == PAGES_OF_A_USER
    assert ring_pages(99, root=False) == 128 and ring_pages(1, root=True) == 2
    assert ring_pages(1999, stack_bytes=8192, root=True) == 4096


def ring_argv(pid: int, ring: Path) -> tuple[str, ...]:
    options = PerfOptions(call_graph=CallGraph.FRAME_POINTERS, frequency=499, extra=ring_options(64))
    return attach_argv(options, pid, ring)


def test_the_helper_is_asked_for_a_ring_and_for_nothing_that_is_half_one() -> None:
    request = request_of(ring_argv(7, Path("/out/ring")))
    assert (request.verb, request.pid, request.out, request.fields["pages"]) == ("perf-ring", 7, Path("/out/ring"), 64)
    half = [word for word in ring_argv(7, Path("/out/ring")) if word != "--overwrite"]
    with pytest.raises(Exception, match="half of what makes a ring"):
        request_of(half)


@pytest.fixture
def target() -> Iterator[int]:
    code = "import os\nprint(flush=True)\nwhile True:\n  for _ in range(1000): os.getppid()"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    process.kill()
    process.communicate()


async def captures(pid: int, out: Path, launcher: Launcher) -> list[Captured]:
    ring = TailRing(pid, out, lambda file: ring_argv(pid, file), [RULE], every_s=1.5, launcher=launcher)
    captured: list[Captured] = []
    async with asyncio.timeout(90), asyncio.TaskGroup() as tasks, aclosing(ring.updates()) as source:
        ask = tasks.create_task(crossing(ring), name="crossing")
        async for update in source:
            if isinstance(update, Captured):
                captured.append(update)
            if len(captured) == 2:
                ring.finish()
        ask.cancel()
    return captured


async def crossing(ring: TailRing) -> None:
    while True:
        await asyncio.sleep(0.1)
        ring.watch(BUSY)


def check(captured: list[Captured], pid: int, out: Path) -> None:
    """Each holds the seconds before it, and no sample twice."""
    spans = []
    for one in captured:
        profile = load(one.path).profile
        assert profile is not None and len(profile.samples)
        assert {thread.pid for thread in profile.threads if thread.pid > 0} == {pid}
        times = profile.samples.time_ns / 1e9
        # perf dumps on a signal that comes a moment after the rule was crossed.
        assert times.min() < one.time_s and times.max() < one.time_s + one.took_s + 0.5
        spans.append((times.min(), times.max()))
        assert f"task/{pid}/stat" in json.loads(one.path.with_suffix(".json").read_text())["files"]
    assert spans[0][1] < spans[1][0]
    assert sorted(path.name for path in out.iterdir()) == ["tail-1.data", "tail-1.json", "tail-2.data", "tail-2.json"]


@pytest.mark.tool("perf")
@in_loop
async def test_perf_itself_keeps_the_last_seconds(tmp_path: Path, target: int) -> None:
    if os.geteuid():
        refuse("the kernel may not let an ordinary user sample")
    check(await captures(target, tmp_path, start), target, tmp_path)


@pytest.mark.tool("perf")
@in_loop
async def test_the_helper_keeps_them_as_well(tmp_path: Path, target: int) -> None:
    if os.geteuid():
        refuse("the helper runs as root")
    argv = ["env", "-i", "PKEXEC_UID=0", str(ROOT / "packaging" / "helper" / "tailflame-helper")]
    client = await HelperClient.start(argv)
    try:
        check(await captures(target, tmp_path, client), target, tmp_path)
    finally:
        await client.close()
