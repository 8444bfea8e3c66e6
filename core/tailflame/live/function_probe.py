"""The latencies of chosen functions of a running program, counted in the kernel by bpftrace."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import platform
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from tailflame import units
from tailflame.errors import TargetError
from tailflame.host.probe_safety import NESTED_AT_MOST, Probed
from tailflame.live.calibration import Calibration, calibrate
from tailflame.live.lifetime import Lifetime
from tailflame.live.probe_output import Interval, ProbeOutput
from tailflame.live.probe_program import SLOW_PER_S_USUAL, ProbeRequest
from tailflame.live.probe_run import STOP_GRACE_S, ProbeStart, as_ourselves, attached, failure, plain_path, probing
from tailflame.live.slow_threshold import Learning, said_of
from tailflame.model.histogram import Histogram
from tailflame.model.live import Armed, Artifact, Cost, LatencySlice, Said, Update
from tailflame.model.slow_calls import SlowAbove, SlowCalls

COST_LIMIT = 0.10
"""Of the target's CPU time."""
ASSUMED_NS = 20_000.0
"""What a call costs at most, for the limit, where it could not be calibrated: the dearest that was measured."""

_COST_EVERY_S = 1.0
_OVER_LIMIT_S = 2.0
_SILENCE_S = 5.0
_FIRST_PIDS = "pid:[4026531836]"
"""The namespace of process numbers in which a machine starts: PROC_PID_INIT_INO."""
_TICKS = os.sysconf("SC_CLK_TCK")


class FunctionProbe:
    """A live source: a series of latencies and of costs for each function.

    pid: of the target; the binary may be one that it executes later (a launched target that waits for its exec).
    binary: the file that holds the functions: of a running program best `/proc/PID/exe`, which is right also where the
    file was replaced since. functions: as `host.probe_safety.judge` has found them to be harmless. cost_limit: of the
    target's CPU time, 0..1; None lifts it. raw: where bpftrace's own output is kept. slow: also tells each call that
    takes so long or longer, `slow_per_s` of each function at most; where that is a percentile, the probes are put on
    anew once it is known.
    """

    name = "probe"
    title = "Function probe"

    def __init__(
        self,
        pid: int,
        binary: Path,
        functions: Sequence[Probed],
        *,
        interval_s: float = 0.2,
        cost_limit: float | None = COST_LIMIT,
        starter: ProbeStart | None = None,
        raw: Path | None = None,
        slow: SlowAbove | None = None,
        slow_per_s: int = SLOW_PER_S_USUAL,
    ) -> None:
        self.pid = pid
        self.binary = binary
        self.functions = tuple(functions)
        self.interval_s = interval_s
        self.cost_limit = cost_limit
        self.raw = raw
        self.slow = slow
        self._slow_per_s = slow_per_s
        self.series = series_names(self.functions)
        self._starter = starter if starter is not None else as_ourselves()

    async def updates(self) -> AsyncGenerator[Update, None]:
        """`Armed`, when the probes are on; then latencies and slow calls each interval, costs each second.

        Raises:
            ToolMissing: bpftrace is not installed.
            ToolDenied: it may not run.
            TargetError: the program or the file is not there, or the functions cannot be probed.
            ToolFailed: bpftrace ended for another reason.
        """
        with contextlib.ExitStack() as held:
            request = self._request(held.enter_context(plain_path(self.binary)))
            learns = self.slow is not None and bool(self.slow.percentile)
            calibration = await calibrate(self._starter)
            raw = held.enter_context(await asyncio.to_thread(self.raw.open, "wb")) if self.raw is not None else None
            learnt: list[int] = []
            async with contextlib.aclosing(
                self._probed(request, calibration, raw, learnt if learns else None)
            ) as first:
                async for update in first:
                    yield update
            if learnt and self.slow is not None:
                text, fix = said_of(self.series, learnt, self.slow)
                yield Said(text=f"{text} The probes were put on anew for it: a second of calls is missing.", fix=fix)
                request = replace(request, slow_ns=tuple(learnt))
                async with contextlib.aclosing(self._probed(request, calibration, raw)) as then:
                    async for update in then:
                        if not isinstance(update, Armed):
                            yield update
        if self.raw is not None:
            yield Artifact(role="function probe", path=self.raw)

    async def _probed(
        self, request: ProbeRequest, calibration: Calibration, raw: IO[bytes] | None, learnt: list[int] | None = None
    ) -> AsyncGenerator[Update, None]:
        """One run of bpftrace. With `learnt` it ends as soon as the thresholds are known, and puts them there."""

        def keep(line: bytes) -> None:
            if raw is not None:
                raw.write(line + b"\n")

        output = ProbeOutput(request.recursive)
        with contextlib.closing(Lifetime(self.pid)) as lifetime:
            async with probing(self._starter, request) as (running, lines):
                armed_at = await attached(running, lines, output, request, keep=keep)
                yield Armed(detail=", ".join(self.series))
                if calibration.problem:
                    yield Said(text=f"What a probe costs is not known: {calibration.problem}", fix=calibration.advice)
                watch = _Watch(self, request, calibration, armed_at)
                learning = (
                    Learning(self.slow, len(self.functions), armed_at) if learnt is not None and self.slow else None
                )
                asked = False
                async for line in lines:
                    keep(line)
                    interval = output.feed(line)
                    if not isinstance(interval, Interval):
                        continue
                    if lifetime.ended and not asked:
                        asked = True
                        running.interrupt()  # for its last words: it does not follow every program to its end
                    for update in watch.take(interval):
                        yield update
                    if learning is not None and learnt is not None and (known := learning.take(interval)) is not None:
                        learnt.extend(known)
                        await running.stop(grace_s=STOP_GRACE_S)
                        return
                    if watch.too_dear:
                        await running.stop(grace_s=STOP_GRACE_S)
                        yield watch.stopped()
                        return
                code = await running.wait()
                if code != 0 and not lifetime.ended:
                    raise failure(running, request, f"bpftrace has ended with {code}.")

    def _request(self, binary: str) -> ProbeRequest:
        request = ProbeRequest(
            binary=binary,
            symbols=tuple(probed.function.symbol for probed in self.functions),
            recursive=tuple(probed.recursive for probed in self.functions),
            pid=self.pid,
            interval_ms=round(self.interval_s * 1000),
            machine=platform.machine(),
            slow_ns=(self.slow.ns,) * len(self.functions) if self.slow is not None else (),
            slow_per_s=self._slow_per_s,
        )
        try:
            request.program()
        except ValueError as problem:
            raise TargetError(f"These functions cannot be probed: {problem}.") from problem
        return request


@dataclass(frozen=True, slots=True)
class _Use:
    """What the target has used: cpu_s of all its threads; 0 threads where it has ended."""

    cpu_s: float
    threads: int


class _Watch:
    """Turns what was counted into updates, and holds the limit."""

    def __init__(self, probe: FunctionProbe, request: ProbeRequest, calibration: Calibration, armed_at: float) -> None:
        self._probe, self._calibration = probe, calibration
        self._armed_at = self._begin = self._cost_from = armed_at
        count = len(probe.functions)
        self._early: list[Histogram | None] = [None] * count
        self._calls = [0] * count
        self._all_calls = [0] * count
        self._open = [0] * count
        self._missed = [0] * count
        self._left_out = [0] * count
        self._slow_ns = request.slow_ns or (0,) * count
        self._slow = [0] * count
        """Told since the costs were last."""
        self._slow_lost = [0] * count
        self._first = True
        self._use = _use(probe.pid)
        self._over_s = 0.0
        self._share = 0.0
        self._silent = False

    @property
    def too_dear(self) -> bool:
        return self._over_s >= _OVER_LIMIT_S - 0.05

    def take(self, interval: Interval) -> Iterator[Update]:
        early = interval.end_s <= self._armed_at
        for number in range(len(self._calls)):
            self._calls[number] += interval.calls[number]
            self._all_calls[number] += interval.calls[number]
            # While probes are put on one by one, a return may come whose start was not probed yet.
            missed = 0 if early or self._first else interval.missed[number]
            self._missed[number] += missed
            if (starts := interval.starts[number]) is not None:
                self._open[number] += starts - interval.calls[number] - interval.missed[number]
            histogram = interval.histograms[number]
            if (before := self._early[number]) is not None:
                histogram = before.merged(histogram)
            self._early[number] = histogram if early else None
            if not early:
                yield LatencySlice(
                    series=self._probe.series[number],
                    start_s=self._begin,
                    length_s=interval.end_s - self._begin,
                    histogram=histogram,
                )
                if self._slow_ns[number]:
                    yield self._slow_calls(number, interval)
        if early:
            return
        self._first = False
        self._begin = interval.end_s
        if interval.end_s - self._cost_from >= _COST_EVERY_S - 0.05:
            yield from self._costs(interval.end_s)
        if not self._silent and interval.end_s - self._armed_at >= _SILENCE_S:
            self._silent = True
            if quiet := [s for s, calls in zip(self._probe.series, self._all_calls, strict=True) if not calls]:
                yield Said(text=f"Not called in the first {_SILENCE_S:.0f} s: {', '.join(quiet)}.", fix=_why_silent())

    def _slow_calls(self, number: int, interval: Interval) -> SlowCalls:
        """Lines that had no room may have been of any function: each is told of all that may be missing."""
        calls, lost = interval.slow[number], interval.dropped[number] + interval.lost
        self._slow[number] += len(calls)
        self._slow_lost[number] += lost
        length = interval.end_s - self._begin
        series = self._probe.series[number]
        return SlowCalls.of(series, self._slow_ns[number], self._begin, length, calls, lost=lost)

    def _costs(self, now: float) -> Iterator[Update]:
        length = now - self._cost_from
        use = _use(self._probe.pid)
        cpu_s = max(use.cpu_s - self._use.cpu_s, 1 / _TICKS) if use.threads else math.nan
        total = 0.0
        for number, probed in enumerate(self._probe.functions):
            calls = self._calls[number]
            per_call_ns = self._calibration.per_call_ns(probed.first)
            total += calls * (ASSUMED_NS if math.isnan(per_call_ns) else per_call_ns)
            # Those that are open may come to an end yet: at most so many.
            surely = self._open[number] - NESTED_AT_MOST * max(use.threads, self._use.threads, 1)
            self._left_out[number] = max(self._left_out[number], surely)
            yield Cost(
                series=self._probe.series[number],
                floor_ns=self._calibration.floor_ns(probed.first),
                per_call_ns=per_call_ns,
                calls_per_s=calls / length,
                share=_share(calls * per_call_ns, cpu_s),
                lost=self._missed[number] + self._left_out[number],
            )
            self._calls[number] = 0
            if self._slow_ns[number]:
                slow, self._slow[number] = self._slow[number], 0
                per_slow_ns = self._calibration.per_slow_call_ns
                total += slow * (ASSUMED_NS if math.isnan(per_slow_ns) else per_slow_ns)
                yield Cost(
                    series=slow_series(self._probe.series[number]),
                    floor_ns=self._calibration.floor_ns(probed.first),
                    per_call_ns=per_slow_ns,
                    calls_per_s=slow / length,
                    share=_share(slow * per_slow_ns, cpu_s),
                    lost=self._slow_lost[number],
                )
        self._share = _share(total, cpu_s)
        limit = self._probe.cost_limit
        self._over_s = self._over_s + length if limit is not None and self._share > limit else 0.0
        self._cost_from, self._use = now, use

    def stopped(self) -> Said:
        limit = self._probe.cost_limit
        assert limit is not None
        unknown = any(math.isnan(self._calibration.per_call_ns(p.first)) for p in self._probe.functions)
        assumed = f" (assuming {units.nanoseconds(ASSUMED_NS)} a call)" if unknown else ""
        return Said(
            text=f"The function probe took {units.percent(self._share)} of the program's CPU time{assumed}, more than "
            f"the limit of {units.percent(limit)}, for {_OVER_LIMIT_S:.0f} s: it was taken off.",
            fix="Choose a function that is called less often, or lift the limit.",
        )


def series_names(functions: Sequence[Probed]) -> tuple[str, ...]:
    """The functions' names; of several with one name, with the end of the symbol that tells them apart."""
    names = [probed.function.name for probed in functions]
    made: list[str] = []
    for name, probed in zip(names, functions, strict=True):
        one = name if names.count(name) == 1 else f"{name} [{probed.function.symbol.rstrip('E')[-8:]}]"
        made.append(one if one not in made else f"{one} #{len(made) + 1}")
    return tuple(made)


def slow_series(series: str) -> str:
    """What the cost of telling the slow calls of a series stands under: it comes on top of that of counting them."""
    return f"{series}, each slow call"


def _share(cost_ns: float, cpu_s: float) -> float:
    """0..1; unknown where one of them is."""
    return math.nan if math.isnan(cost_ns) or math.isnan(cpu_s) else min(cost_ns / 1e9 / cpu_s, 1.0)


def _why_silent() -> str:
    try:
        own_numbers = str(Path("/proc/self/ns/pid").readlink()) != _FIRST_PIDS
    except OSError:
        own_numbers = False
    if own_numbers:
        return (
            "Tailflame is in a container with process numbers of its own, which bpftrace may not know: run it outside."
        )
    return "The compiler may have inlined it into its callers there: choose one of those."


def _use(pid: int) -> _Use:
    """user and system time of a process, ended threads included: fields 14 and 15 of /proc/PID/stat; 20 is threads."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return _Use(0.0, 0)
    fields = stat[stat.rindex(")") + 2 :].split()
    return _Use((int(fields[11]) + int(fields[12])) / _TICKS, 0 if fields[0] in "ZX" else int(fields[17]))
