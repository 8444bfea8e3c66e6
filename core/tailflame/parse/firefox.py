"""Firefox Profiler's JSON, as samply, Firefox and profiler.firefox.com write it.

https://github.com/firefox-devtools/profiler/blob/main/docs-developer/CHANGELOG-formats.md. Which columns are there
tells more than the version: those of processed profiles since version 24 (2019) up to 70 are read, whether tables
belong to a thread or are shared, and raw profiles of Firefox itself ("gecko").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import NONE, Caution, Event, Meta, Recording, Thread
from tailflame.model.stacks import Float64, Int64
from tailflame.parse.firefox_tables import WHAT, StackTables, flattened
from tailflame.parse.json_file import Columns, broken, document
from tailflame.parse.profile_tables import ProfileTables, below_zero, uncounted
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head
from tailflame.units import Unit

OLDEST, NEWEST = 24, 70
"""The versions of processed profiles that this was written for; a newer one is tried."""

_CPU_UNITS = {"ns": 1.0, "\u00b5s": 1e3, "us": 1e3, "ms": 1e6}
_WEIGHTS = {
    "tracing-ms": (Event("time", Unit.NANOSECONDS, True), 1e6),
    "bytes": (Event("bytes", Unit.BYTES, True), 1.0),
}
_MOST = 1e30
_NOBODY = Thread("")
_NUMBER = re.compile(r"\d{1,9}")


class Firefox:
    name = "firefox"
    title = "Firefox Profiler files"

    def sniff(self, head: bytes, name: str) -> float:
        text = decode_head(head)
        start = text.lstrip("\ufeff \t\r\n")
        if not start.startswith("{"):
            return NO
        if '"preprocessedProfileVersion"' in text:
            return 0.95
        begins = re.match(r'\{\s*"(?:meta|libs|shared|threads)"\s*:', start)
        words = ('"interval"', '"processType"', '"startTime"', '"categories"', '"stackTable"', '"breakpadId"')
        known = sum(word in text for word in words)
        return 0.7 if begins and known >= 2 else NO

    def load(self, source: Source) -> Recording:
        value = document(source, WHAT)
        source.report(0.5)
        return _Reader(source, value).recording()


FIREFOX = Firefox()


@dataclass(slots=True)
class _Reader:
    source: Source
    value: dict[str, Any]

    def recording(self) -> Recording:
        value, source = self.value, self.source
        meta = value.get("meta")
        if not isinstance(meta, dict):
            raise broken(source, WHAT, "it says nothing of itself (“meta”)")
        version = meta.get("preprocessedProfileVersion")
        if isinstance(version, int) and version < OLDEST:
            raise ParseError(
                f"{source.name} is of version {version} of the Firefox Profiler's files, older than {OLDEST}.",
                source=source.name,
                advice="Open it at profiler.firefox.com and save it again.",
            )
        threads = flattened(source, value)
        if not threads:
            raise broken(source, WHAT, "it has no threads")
        profile = ProfileTables()
        stacks = StackTables(source, value, profile)
        negative = 0
        spent: set[str] = set()
        skipped: set[str] = set()
        # A column of times that one thread has is the weight of all.
        cpu_unit = _cpu_factor(meta)
        tables = [t["samples"] for t in threads if isinstance(t.get("samples"), dict)]
        has_cpu = cpu_unit > 0 and any("threadCPUDelta" in samples for samples in tables)
        sampled = Event("samples", Unit.NANOSECONDS, True) if has_cpu else Event("samples")
        timed = True
        for number, thread in enumerate(threads):
            samples = Columns(source, WHAT, "samples", thread.get("samples"))
            rows = len(samples.list("stack"))
            if rows:
                leaves = stacks.leaves(thread, samples.indices("stack", stacks.size(thread), rows))
                times = _times(samples, rows)
                timed = timed and times is not None
                kind = samples.table.get("weightType") or thread.get("weightType") or "samples"
                weight = samples.numbers("weight", rows) if "weight" in samples else np.ones(rows)
                weight = np.nan_to_num(weight)
                if (np.abs(weight) > _MOST).any():
                    raise broken(source, WHAT, "a weight in it is beyond all bounds")
                event, factor = _WEIGHTS.get(str(kind), (sampled, 1.0))
                period = weight = weight * factor
                if event is sampled and has_cpu:
                    period = _cpu_times(samples, rows) * cpu_unit
                elif event is not sampled:
                    spent.add(event.name)
                who = _thread(thread)
                kept = weight > 0
                negative += int((weight < 0).sum())
                profile.add(
                    leaves[kept],
                    count=weight[kept],
                    period=period[kept],
                    time_ns=times[kept] if times is not None else NONE,
                    thread=NONE if who == _NOBODY else profile.thread(who),
                    event=profile.event(event),
                )
            skipped |= {word for word in ("jsAllocations", "nativeAllocations") if thread.get(word)}
            source.report(0.5 + 0.5 * (number + 1) / len(threads))
        cautions = [below_zero(negative)] if negative else []
        if spent:
            cautions.append(uncounted(*sorted(spent)))
        if skipped:
            cautions.append(Caution("Its samples of memory allocations are not shown."))
        cautions += stacks.told()
        if isinstance(version, int) and version > NEWEST:
            cautions.append(Caution(f"It is of version {version}, newer than {NEWEST}: a part may be missing."))
        if not len(profile):
            raise ParseError(
                f"{source.name} holds no samples.",
                source=source.name,
                advice="Record again, for longer, with the profiler's “stackwalk” feature on.",
            )
        return Recording(
            tool="",
            format=FIREFOX.name,
            source=source.name,
            results=(profile.profile(by_time=timed),),
            meta=_meta(meta, stacks.build_ids()),
            warnings=tuple(cautions),
        )


def _cpu_factor(meta: dict[str, Any]) -> float:
    """Nanoseconds in the unit of threads' CPU deltas; 0 where they are not times (cycles on Windows)."""
    units = meta.get("sampleUnits")
    return _CPU_UNITS.get(str(units.get("threadCPUDelta")), 0.0) if isinstance(units, dict) else 0.0


def _cpu_times(samples: Columns, rows: int) -> Float64:
    if "threadCPUDelta" not in samples:
        return np.zeros(rows)
    spent = np.nan_to_num(samples.numbers("threadCPUDelta", rows))
    spent[:1] = 0.0  # counted from a sample before that is not there
    counted: Float64 = np.clip(spent, 0.0, _MOST)
    return counted


def _times(samples: Columns, rows: int) -> Int64 | None:
    """Nanoseconds on the file's clock, None where it has none."""
    if "time" in samples:
        times = samples.numbers("time", rows)
    elif "timeDeltas" in samples:
        with np.errstate(over="ignore", invalid="ignore"):  # what is beyond all bounds is left out below
            times = np.cumsum(samples.numbers("timeDeltas", rows))
    else:
        return None
    known = np.isfinite(times) & (times >= 0) & (times < 2**62 / 1e6)
    return np.where(known, np.round(np.where(known, times, 0.0) * 1e6), NONE).astype(np.int64)


def _thread(thread: dict[str, Any]) -> Thread:
    name = thread.get("name")
    return Thread(name if isinstance(name, str) else "", _leading(thread.get("pid")), _leading(thread.get("tid")))


def _leading(number: Any) -> int:
    """Process and thread numbers are numbers or text, "4711.1" where one was used again."""
    match = _NUMBER.match(str(number))
    return int(match[0]) if match else NONE


def _meta(meta: dict[str, Any], build_ids: tuple[tuple[str, str], ...]) -> Meta:
    started, interval = meta.get("startTime"), meta.get("interval")
    product, version = meta.get("product"), meta.get("misc") or meta.get("appBuildID")
    return Meta(
        started_at=datetime.fromtimestamp(started / 1e3, UTC)
        if isinstance(started, int | float) and 0 < started < 1e14
        else None,
        rate_asked_hz=1e3 / interval if isinstance(interval, int | float) and 1e-6 < interval < 1e9 else None,
        title=product if isinstance(product, str) else "",
        tool_version=version if isinstance(version, str) else "",
        build_ids=build_ids,
    )
