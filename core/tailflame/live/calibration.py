"""What a function probe costs on this machine: measured on empty functions, one for each class of first instruction.

The costs lie a factor of ten apart between these classes, and another between a virtual machine and bare metal. They
are measured once, with the very program that probes functions, and kept for the kernel and processor they hold for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import platform
import stat
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import platformdirs

from tailflame.errors import TailflameError, ToolDenied, ToolFailed, ToolMissing
from tailflame.host.probe_safety import FirstInstruction
from tailflame.live.launcher import Running, start
from tailflame.live.probe_output import Interval, ProbeOutput
from tailflame.live.probe_program import SLOW_PER_S, VERSION, ProbeRequest
from tailflame.live.probe_run import ProbeStart, attached, probing
from tailflame.model.histogram import Histogram
from tailflame_resources import bundled

MACHINE = "x86_64"
"""The processor that the bundled target is made for."""
# In the order in which the target calls them.
_SYMBOLS = {
    FirstInstruction.EMULATED: "tailflame_push",
    FirstInstruction.ENDBR64: "tailflame_endbr64",
    FirstInstruction.STEPPED: "tailflame_mov",
}
_CALLS = 64
"""Of each function in a record."""
_RECORD = np.dtype([("function", "<u8"), ("begin", "<u8"), ("length", "<u8")])
_PLAIN_S, _PROBED_S = 0.2, 0.6
_INTERVAL_S = 0.1
_LEAST = 5
"""Records of each function, with and without a probe, that a figure is made from."""
_NONE: Mapping[FirstInstruction, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """ns by class of first instruction. `problem` says why there are none (a sentence), `advice` the fix."""

    floors: Mapping[FirstInstruction, float] = field(default_factory=lambda: _NONE)
    per_call: Mapping[FirstInstruction, float] = field(default_factory=lambda: _NONE)
    per_slow_call_ns: float = math.nan
    """What telling one call by itself costs on top: each slow one."""
    when: float = 0.0
    """Seconds since 1970."""
    problem: str = ""
    advice: str = ""

    def floor_ns(self, first: FirstInstruction) -> float:
        """What an empty function reads (median); NaN where unknown."""
        return self.floors.get(first, math.nan)

    def per_call_ns(self, first: FirstInstruction) -> float:
        """What one call of one thread is delayed by; NaN where unknown."""
        return self.per_call.get(first, math.nan)


async def calibrate(starter: ProbeStart, *, fresh: bool = False) -> Calibration:
    """The figures of this machine, from the cache where they are known; measuring takes about two seconds.

    fresh: measure again.

    Raises:
        ToolMissing, ToolDenied: bpftrace is not there, or may not run. Other problems are told in the answer.
    """
    cache = await asyncio.to_thread(_cache_file)
    key = await asyncio.to_thread(_key)
    if cache is not None and not fresh and (known := await asyncio.to_thread(_read, cache, key)) is not None:
        return known
    if platform.machine() != MACHINE:
        return Calibration(problem=f"it is measured on x86-64 alone, and this is {platform.machine()}.")
    try:
        made = await _measure(starter)
    except (ToolMissing, ToolDenied):
        raise
    except TailflameError as problem:
        return Calibration(problem=problem.sentence, advice=problem.advice)
    except OSError as problem:
        return Calibration(problem=f"the calibration's own program cannot be written: {problem.strerror}.")
    if cache is not None:
        await asyncio.to_thread(_write, cache, key, made)
    return made


async def _measure(starter: ProbeStart) -> Calibration:
    with tempfile.TemporaryDirectory(prefix="tailflame-calibration-") as folder:
        binary, records = Path(folder, "calibrate"), Path(folder, "records")
        await asyncio.to_thread(_install, binary)
        target = await start([str(binary)], stdout=records)
        try:
            await asyncio.sleep(_PLAIN_S)
            request = ProbeRequest(
                binary=str(binary),
                symbols=tuple(_SYMBOLS.values()),
                recursive=(False,) * len(_SYMBOLS),
                pid=target.pid,
                interval_ms=round(_INTERVAL_S * 1000),
            )
            plain_until = time.monotonic_ns()
            histograms, begin, end = await _probe(starter, request, target)
            telling = replace(request, slow_ns=(1,) * len(_SYMBOLS), slow_per_s=SLOW_PER_S[1])
            _, slow_begin, slow_end = await _probe(starter, telling, target)
        finally:
            await target.stop(grace_s=1.0)
        data = await asyncio.to_thread(records.read_bytes)
    told = np.frombuffer(data[: len(data) // _RECORD.itemsize * _RECORD.itemsize], dtype=_RECORD)
    floors, per_call, extra = {}, {}, []
    for number, first in enumerate(_SYMBOLS):
        own = told[told["function"] == number]
        plain = own["length"][own["begin"] + own["length"] < plain_until]
        probed = own["length"][(own["begin"] > begin) & (own["begin"] + own["length"] < end)]
        slow = own["length"][(own["begin"] > slow_begin) & (own["begin"] + own["length"] < slow_end)]
        if min(len(plain), len(probed), len(slow)) < _LEAST or not histograms[number].total:
            raise ToolFailed("the calibration saw too few calls: the machine is very busy.")
        # Medians: other programs take the processor away now and then.
        per_call[first] = max(float(np.median(probed)) - float(np.median(plain)), 0.0) / _CALLS
        floors[first] = float(histograms[number].percentiles((50.0,))[0])
        extra.append(max(float(np.median(slow)) - float(np.median(probed)), 0.0) / _CALLS)
    return Calibration(floors=floors, per_call=per_call, per_slow_call_ns=float(np.median(extra)), when=time.time())


async def _probe(starter: ProbeStart, request: ProbeRequest, target: Running) -> tuple[list[Histogram], int, int]:
    """What the probes counted by function, and from when to when (ns) they were on."""
    output = ProbeOutput(request.recursive)
    histograms = [Histogram.empty(1, 2) for _ in request.symbols]
    async with probing(starter, request) as (running, lines):
        armed_s = await attached(running, lines, output, request)
        begin = time.monotonic_ns()
        async for line in lines:
            interval = output.feed(line)
            if isinstance(interval, Interval) and interval.end_s > armed_s:
                histograms = [a.merged(b) for a, b in zip(histograms, interval.histograms, strict=True)]
                if interval.end_s - armed_s >= _PROBED_S:
                    return histograms, begin, time.monotonic_ns()
    raise ToolFailed(f"the calibration's own program has ended with {target.returncode}.")


def _install(binary: Path) -> None:
    binary.write_bytes(bundled.calibration_target())
    binary.chmod(stat.S_IRWXU)


def _key() -> str:
    """What the figures hold for."""
    return f"{VERSION}; {platform.release()}; {_cpu_model()}"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _cache_file() -> Path | None:
    override = os.environ.get("TAILFLAME_CACHE_DIR")
    try:
        folder = override or platformdirs.user_cache_dir("tailflame", appauthor=False)
    except RuntimeError:  # no home
        return None
    return Path(folder, "probe-calibration.json")


def _read(cache: Path, key: str) -> Calibration | None:
    """What was kept for `key`; None where there is nothing, or nothing that can be used."""
    try:
        kept: Any = json.loads(cache.read_text("utf-8"))
        if kept["key"] != key:
            return None
        figures = [
            {FirstInstruction(name): float(value) for name, value in kept[part].items()}
            for part in ("floors_ns", "per_call_ns")
        ]
        per_slow_call = float(kept["per_slow_call_ns"])
        when = float(kept["when"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if any(set(part) != set(_SYMBOLS) or not all(0 <= v < 1e9 for v in part.values()) for part in figures):
        return None
    if not 0 <= per_slow_call < 1e9:
        return None
    return Calibration(floors=figures[0], per_call=figures[1], per_slow_call_ns=per_slow_call, when=when)


def _write(cache: Path, key: str, made: Calibration) -> None:
    """Keeps it, where that is possible: what cannot be kept is measured again."""
    kept = {
        "key": key,
        "when": made.when,
        "floors_ns": {first.value: value for first, value in made.floors.items()},
        "per_slow_call_ns": made.per_slow_call_ns,
        "per_call_ns": {first.value: value for first, value in made.per_call.items()},
    }
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        new = cache.with_name(f"{cache.name}.{os.getpid()}")
        new.write_text(json.dumps(kept, indent=1), "utf-8")
        new.replace(cache)
