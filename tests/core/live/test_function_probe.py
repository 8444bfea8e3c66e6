"""The function probe with a stand-in for bpftrace: what it tells, when it stops, what it says when it cannot work."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import os
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.environment import DATA
from helpers.loop import in_loop
from tailflame.errors import TailflameError, TargetError, ToolDenied, ToolFailed, ToolMissing
from tailflame.host.functions import Function
from tailflame.host.probe_safety import FirstInstruction, Probed
from tailflame.live import function_probe
from tailflame.live.calibration import Calibration
from tailflame.live.function_probe import FunctionProbe, series_names
from tailflame.live.launcher import Running
from tailflame.live.probe_program import ProbeRequest
from tailflame.model.live import Armed, Artifact, Cost, LatencySlice, Said, Update
from tailflame.model.slow_calls import SlowAbove, SlowCalls

RECORDED = DATA / "bpftrace" / "0.17.0" / "function-probe.jsonl"


def probed(name: str, symbol: str = "", *, first: FirstInstruction = FirstInstruction.EMULATED,
           recursive: bool = False) -> Probed:  # fmt: skip
    function = Function(name=name, symbol=symbol or name, address=0x1000, size=32, head=b"\x55")
    return Probed(function=function, first=first, recursive=recursive)


LEAF, DESCEND = probed("leaf"), probed("descend", first=FirstInstruction.STEPPED, recursive=True)


class Bpftrace:
    """A `ProbeStart` and what it starts: says its lines, then ends, or waits for ever."""

    pid = 0

    def __init__(self, lines: Sequence[bytes], *, code: int = 0, stderr: str = "", stays: bool = False) -> None:
        self._said = lines
        self._code, self._stderr, self._stays = code, stderr, stays
        self.returncode: int | None = None
        self.stopped = False
        self.interrupts = 0
        self.requests: list[ProbeRequest] = []

    async def __call__(self, request: ProbeRequest) -> Running:
        self.requests.append(request)
        return self

    async def lines(self) -> AsyncIterator[bytes]:
        for line in self._said:
            yield line
        if self._stays:
            await asyncio.Event().wait()

    async def wait(self) -> int:
        self.returncode = self._code
        return self._code

    def interrupt(self) -> None:
        self.interrupts += 1

    async def stop(self, *, grace_s: float = 3.0) -> int:
        self.stopped = True
        return await self.wait()

    def stderr_text(self) -> str:
        return self._stderr


@pytest.fixture(autouse=True)
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Calibration]:
    """The calibration that is known; a test may put another in its place."""
    known = [
        Calibration(
            floors={FirstInstruction.EMULATED: 1000.0, FirstInstruction.STEPPED: 12_000.0},
            per_call={FirstInstruction.EMULATED: 2000.0, FirstInstruction.STEPPED: 15_000.0},
        )
    ]

    async def calibrated(starter: object) -> Calibration:
        return known[0]

    monkeypatch.setattr(function_probe, "calibrate", calibrated)
    return known


async def told(probe: FunctionProbe) -> list[Update]:
    async with aclosing(probe.updates()) as updates:
        return [update async for update in updates]


def line(kind: str, data: Any) -> bytes:
    return json.dumps({"type": kind, "data": data}).encode()


def run(calls: Sequence[int], *, functions: int = 1, interval_s: float = 0.2) -> list[bytes]:
    """The lines of a run in which so many calls come in each interval, all of bucket 7."""
    begin = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 10**9
    lines = [line("attached_probes", {"probes": 2 * functions + 3}), line("value", 1)]
    total = 0
    for number, count in enumerate(calls):
        total += count
        lines.append(line("value", begin + round(number * interval_s * 1e9)))
        lines += [line("map", {"@h0": {"7": total}})] if total else []
        lines += [line("map", {"@l0": 0}), line("value", 0)]
    return lines


@in_loop
async def test_a_recorded_run_is_told_whole(tmp_path: Path) -> None:
    raw = tmp_path / "probe.jsonl"
    bpftrace = Bpftrace(RECORDED.read_bytes().splitlines())
    probe = FunctionProbe(
        os.getpid(), Path("/tmp/probe/n"), (LEAF, DESCEND), starter=bpftrace, raw=raw, cost_limit=None
    )
    assert (probe.name, probe.title) == ("probe", "Function probe")
    updates = await told(probe)
    assert updates[0] == Armed(detail="leaf, descend")
    assert updates[-1] == Artifact(role="function probe", path=raw)
    assert raw.read_bytes() == RECORDED.read_bytes()
    assert bpftrace.stopped
    (request,) = bpftrace.requests
    assert (request.symbols, request.recursive, request.pid) == (("leaf", "descend"), (False, True), os.getpid())
    assert request.interval_ms == 200
    # Its intervals ended long ago, before its probes were on by our clock: no slice of them.
    assert [update for update in updates if isinstance(update, LatencySlice)] == []


@in_loop
async def test_slices_follow_each_other_and_every_call_is_in_one() -> None:
    probe = FunctionProbe(os.getpid(), Path("/opt/x"), (LEAF,), starter=Bpftrace(run([3, 0, 5, 0, 2, 9])))
    slices = [update for update in await told(probe) if isinstance(update, LatencySlice)]
    assert [part.histogram.total for part in slices] == [3, 0, 5, 0, 2, 9]
    assert {part.series for part in slices} == {"leaf"}
    assert all((part.histogram.lowest, part.histogram.digits) == (1, 2) for part in slices)
    for before, after in itertools.pairwise(slices):
        assert after.start_s == pytest.approx(before.start_s + before.length_s)
        assert after.length_s == pytest.approx(0.2, rel=0.01)


@in_loop
async def test_calls_from_before_the_last_probe_was_on_are_in_the_first_slice() -> None:
    lines = run([4, 6])
    early = line("value", time.clock_gettime_ns(time.CLOCK_BOOTTIME) - 10**9)
    lines = [*lines[:2], early, line("map", {"@h0": {"7": 4}}), line("map", {"@l0": 5}), line("value", 0), *lines[2:]]
    probe = FunctionProbe(os.getpid(), Path("/opt/x"), (LEAF,), starter=Bpftrace(lines))
    slices = [update for update in await told(probe) if isinstance(update, LatencySlice)]
    assert [part.histogram.total for part in slices] == [4, 6]


@in_loop
async def test_costs_come_each_second(figures: list[Calibration]) -> None:
    probe = FunctionProbe(os.getpid(), Path("/opt/x"), (LEAF,), starter=Bpftrace(run([100] * 16)), cost_limit=None)
    costs = [update for update in await told(probe) if isinstance(update, Cost)]
    assert len(costs) == 4  # the first after a second until the first interval ends
    for cost in costs:
        assert (cost.series, cost.floor_ns, cost.per_call_ns, cost.lost) == ("leaf", 1000.0, 2000.0, 0)
    assert costs[1].calls_per_s == pytest.approx(500, rel=0.01)
    assert 0 <= costs[1].share <= 1


@in_loop
async def test_a_probe_that_costs_too_much_is_taken_off() -> None:
    # 100,000 calls each 0.2 s at 2 µs are all of a CPU's time.
    bpftrace = Bpftrace(run([100_000] * 50))
    updates = await told(FunctionProbe(os.getpid(), Path("/opt/x"), (LEAF,), starter=bpftrace))
    said = [update for update in updates if isinstance(update, Said)]
    assert len(said) == 1 and updates[-1] is said[0] and bpftrace.stopped
    assert "limit of 10.0%" in said[0].text and "lift the limit" in said[0].fix
    seconds = sum(update.length_s for update in updates if isinstance(update, LatencySlice))
    assert 1.9 <= seconds <= 3.5
    # Lifted, it goes on to the end, and the cost is told all the time.
    updates = await told(
        FunctionProbe(os.getpid(), Path("/opt/x"), (LEAF,), starter=Bpftrace(run([100_000] * 50)), cost_limit=None)
    )
    assert sum(isinstance(update, LatencySlice) for update in updates) == 50
    assert not [update for update in updates if isinstance(update, Said)]


@in_loop
async def test_an_unknown_cost_is_said_and_the_limit_still_holds(figures: list[Calibration]) -> None:
    figures[0] = Calibration(problem="it is measured on x86-64 alone, and this is aarch64.")
    updates = await told(FunctionProbe(os.getpid(), Path("/opt/x"), (LEAF,), starter=Bpftrace(run([20_000] * 50))))
    costs = [update for update in updates if isinstance(update, Cost)]
    assert costs and all(math.isnan(c.floor_ns) and math.isnan(c.per_call_ns) and math.isnan(c.share) for c in costs)
    said = [update.text for update in updates if isinstance(update, Said)]
    assert "aarch64" in said[0] and "assuming 20.0 µs a call" in said[-1]


@pytest.mark.parametrize(("first", "fix"), [(os.readlink("/proc/self/ns/pid"), "inlined"), ("pid:[1]", "container")])
def test_a_silent_function_is_told_of_once(monkeypatch: pytest.MonkeyPatch, first: str, fix: str) -> None:
    monkeypatch.setattr(function_probe, "_FIRST_PIDS", first)
    updates = asyncio.run(told(FunctionProbe(os.getpid(), Path("/opt/x"), (LEAF,), starter=Bpftrace(run([0] * 60)))))
    (said,) = [update for update in updates if isinstance(update, Said)]
    assert "leaf" in said.text and fix in said.fix


def test_a_program_that_has_ended_lets_bpftrace_have_its_last_words() -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
        bpftrace = Bpftrace(run([3, 4]), code=1)
        updates = asyncio.run(told(FunctionProbe(ended.pid, Path("/opt/x"), (LEAF,), starter=bpftrace)))
    assert bpftrace.interrupts == 1
    assert sum(update.histogram.total for update in updates if isinstance(update, LatencySlice)) == 7


@in_loop
async def test_levels_that_the_kernel_leaves_out_are_lost() -> None:
    lines = run([64, 64, 64, 64, 64, 64, 64, 64])
    starts = 0
    for at, text in enumerate(lines):
        if b'"@l0"' in text:
            starts += 1000
            lines[at] = line("map", {"@l0": 0, "@e0": starts})
    probe = FunctionProbe(os.getpid(), Path("/opt/x"), (probed("f", recursive=True),), starter=Bpftrace(lines))
    costs = [update for update in await told(probe) if isinstance(update, Cost)]
    # Some may be open still: 64 in each thread at most.
    assert costs and costs[-1].lost > 2000


@pytest.mark.parametrize(
    ("stderr", "kind", "words"),
    [
        ("ERROR: bpftrace currently only supports running as the root user.\n", ToolDenied, "root"),
        ("No probes to attach\n", TargetError, "does not find"),
        ("ERROR: : No such process\n", TargetError, "no process"),
        ("stdin:1:1-34: ERROR: uprobe target file '/opt/x' does not exist or is not executable", TargetError, "there"),
        ("ERROR: Error attaching probe: uprobe:/opt/x:leaf\n", ToolFailed, "refuses a probe"),
        ("ERROR: bpf: Operation not permitted\n", ToolDenied, "not let"),
        ("", ToolFailed, "ended before"),
    ],
)  # fmt: skip
@in_loop
async def test_why_it_did_not_begin_is_said(stderr: str, kind: type[TailflameError], words: str) -> None:
    bpftrace = Bpftrace([], code=1, stderr=stderr)
    with pytest.raises(kind, match=words) as raised:
        await told(FunctionProbe(os.getpid(), Path("/opt/x"), (LEAF,), starter=bpftrace))
    assert raised.value.details == stderr and bpftrace.stopped


@in_loop
async def test_a_function_that_is_not_found_among_others_is_noticed() -> None:
    bpftrace = Bpftrace([line("attached_probes", {"probes": 3})], stays=True)
    with pytest.raises(TargetError, match="every chosen function"):
        await told(FunctionProbe(os.getpid(), Path("/opt/x"), (LEAF, DESCEND), starter=bpftrace))
    assert bpftrace.stopped


@in_loop
async def test_bpftrace_that_dies_is_an_error_and_closing_stops_it() -> None:
    with pytest.raises(ToolFailed, match="ended with 255"):
        await told(FunctionProbe(os.getpid(), Path("/opt/x"), (LEAF,), starter=Bpftrace(run([1]), code=255)))
    bpftrace = Bpftrace(run([1]), stays=True)
    updates = FunctionProbe(os.getpid(), Path("/opt/x"), (LEAF,), starter=bpftrace).updates()
    assert isinstance(await anext(updates), Armed)
    await updates.aclose()
    assert bpftrace.stopped


@in_loop
async def test_what_cannot_be_asked_of_bpftrace_is_not() -> None:
    bpftrace = Bpftrace([])
    for functions in ((), (probed("f", 'f" { exit() }'),)):
        with pytest.raises(TargetError, match="cannot be probed"):
            await told(FunctionProbe(os.getpid(), Path("/opt/x"), functions, starter=bpftrace))
    assert bpftrace.requests == []


def test_a_path_that_bpftrace_would_misread_gets_another_name(tmp_path: Path) -> None:
    binary = tmp_path / 'a:b"c'
    binary.write_bytes(b"x")
    bpftrace = Bpftrace(run([1]))
    same = []

    async def watched(request: ProbeRequest) -> Running:
        same.append(same_file(request.binary, binary))
        return await bpftrace(request)

    def same_file(one: str, other: Path) -> bool:
        return os.path.samefile(one, other) and ":" not in one

    asyncio.run(told(FunctionProbe(os.getpid(), binary, (LEAF,), starter=watched)))
    assert same == [True]
    assert not os.path.lexists(bpftrace.requests[0].binary)


@in_loop
async def test_without_bpftrace_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolMissing, match="bpftrace"):
        await told(FunctionProbe(os.getpid(), Path("/opt/x"), (LEAF,)))


def test_functions_of_one_name_are_series_of_their_own() -> None:
    same = (probed("f", "_ZN1f17h1111111111111111E"), probed("f", "_ZN1f17h2222222222222222E"), probed("g"))
    assert series_names(same) == ("f [11111111]", "f [22222222]", "g")


@in_loop
async def test_slow_calls_are_told_with_what_they_cost(figures: list[Calibration]) -> None:
    figures[0] = replace(figures[0], per_slow_call_ns=5000.0)
    lines = run([100] * 12)
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    at = next(i for i, text in enumerate(lines) if b"@h0" in text)
    lines[at:at] = [line("value", [0, 99, now, now + 200_000]), line("map", {"@d0": 2})]
    bpftrace = Bpftrace(lines)
    probe = FunctionProbe(
        os.getpid(), Path("/opt/x"), (LEAF,), starter=bpftrace, cost_limit=None, slow=SlowAbove(ns=100_000)
    )
    updates = await told(probe)
    assert bpftrace.requests[0].slow_ns == (100_000,)
    slow = [update for update in updates if isinstance(update, SlowCalls)]
    slices = [update for update in updates if isinstance(update, LatencySlice)]
    assert [(part.start_s, part.length_s) for part in slow] == [(part.start_s, part.length_s) for part in slices]
    assert [len(part) for part in slow] == [1, *[0] * 11] and slow[0].lost == 2
    assert (slow[0].series, slow[0].threshold_ns, slow[0].tid.tolist()) == ("leaf", 100_000, [99])
    assert (slow[0].end_ns - slow[0].start_ns).tolist() == [200_000]
    extra = [update for update in updates if isinstance(update, Cost) and update.series != "leaf"]
    assert {cost.series for cost in extra} == {"leaf, each slow call"}
    assert extra[0].per_call_ns == 5000.0 and extra[-1].lost == 2 and sum(c.calls_per_s > 0 for c in extra) == 1


@in_loop
async def test_a_percentile_is_learnt_and_the_probes_are_put_on_anew() -> None:
    bpftrace = Bpftrace(run([1000] * 40))
    probe = FunctionProbe(
        os.getpid(), Path("/opt/x"), (LEAF,), starter=bpftrace, cost_limit=None, slow=SlowAbove(percentile=99.9)
    )
    updates = await told(probe)
    assert [request.slow_ns for request in bpftrace.requests] == [(0,), (7,)]
    assert sum(isinstance(update, Armed) for update in updates) == 1
    (said,) = [update for update in updates if isinstance(update, Said)]
    assert "p99.9 of the first 5 s" in said.text and "leaf 7 ns" in said.text
    assert {update.threshold_ns for update in updates if isinstance(update, SlowCalls)} == {7}
