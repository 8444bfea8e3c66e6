"""One update of a live run as one JSON line, and back: the two ways that must agree, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from tailflame.model.live import Cost, LatencySlice, Reading, Said, StageSlice, Status, Update
from tailflame.model.live_record import Mark
from tailflame.model.slow_calls import SlowCalls
from tailflame.parse import hdr_payload

Line: TypeAlias = LatencySlice | Reading | StageSlice | Cost | Said | Mark | SlowCalls
"""What is kept of a run. Armed, Behind, Found and Artifact tell of the looking and not of the program."""


_LATEST_S = 1e11
"""Three thousand years; seconds of a machine's clock since its start, or since 1970, are far below."""


def kept(update: Update) -> Line | None:
    """`update` where it is one of those that are kept."""
    return update if isinstance(update, LatencySlice | Reading | StageSlice | Cost | Said | SlowCalls) else None


def write(line: Line) -> dict[str, Any]:
    """As JSON knows it. Times in seconds, latencies in nanoseconds, a number that is none left out."""
    match line:
        case LatencySlice():
            payload = hdr_payload.encode(line.histogram)
            return {"latency": line.series, "start": line.start_s, "length": line.length_s, "histogram": payload}
        case Reading():
            document: dict[str, Any] = {"reading": line.series, "start": line.start_s, "length": line.length_s}
            if line.value is not None and math.isfinite(line.value):
                document["value"] = line.value
            if line.unit:
                document["unit"] = line.unit
            if line.status is not Status.COUNTED:
                document["status"] = line.status.value
            if line.running != 1.0:
                document["running"] = line.running
            if line.simulated:
                document["simulated"] = True
            return document
        case StageSlice():
            return {
                "stages": line.series,
                "names": list(line.stages),
                "start": line.start_s,
                "length": line.length_s,
                "events": line.events,
                "sums": list(line.sums_ns),
                "tail_events": line.tail_events,
                "tail_sums": list(line.tail_sums_ns),
            }
        case Cost():
            figures = {
                "floor": line.floor_ns,
                "per_call": line.per_call_ns,
                "calls_per_s": line.calls_per_s,
                "share": line.share,
            }
            known = {name: value for name, value in figures.items() if math.isfinite(value)}
            return {"cost": line.series, **known, "lost": line.lost}
        case Said():
            return {"said": line.text, "fix": line.fix}
        case SlowCalls():
            document = {
                "slow": line.series,
                "above": line.threshold_ns,
                "start": line.start_s,
                "length": line.length_s,
                "lost": line.lost,
            }
            if len(line):
                document["calls"] = np.stack((line.tid, line.start_ns, line.end_ns), axis=1).tolist()
            return document
        case Mark():
            opens = {"opens": line.opens} if line.opens else {}
            return {"mark": line.text, "time": line.time_s, **opens}


def read(document: Mapping[str, Any]) -> Line | None:
    """What `write` made of it; None for a kind this version does not know.

    ValueError, phrased for people, where a field is missing or of the wrong kind.
    """
    try:
        return _read(document)
    except KeyError as missing:
        raise ValueError(f"it has no {missing}") from None
    except (TypeError, AttributeError):
        raise ValueError("a field of it is of the wrong kind") from None


def _read(document: Mapping[str, Any]) -> Line | None:
    if "latency" in document:
        return LatencySlice(
            series=_text(document["latency"]),
            histogram=hdr_payload.decode(_text(document["histogram"])).histogram,
            **_interval(document),
        )
    if "reading" in document:
        value = document.get("value")
        status = Status(document.get("status", Status.COUNTED.value))
        return Reading(
            series=_text(document["reading"]),
            value=None if value is None else _number(value),
            unit=_text(document.get("unit", "")),
            status=Status.EMPTY if value is None and status is Status.COUNTED else status,
            running=_number(document.get("running", 1.0)),
            simulated=document.get("simulated") is True,
            **_interval(document),
        )
    if "stages" in document:
        names = tuple(_text(name) for name in document["names"])
        sums, tail_sums = _numbers(document["sums"]), _numbers(document["tail_sums"])
        if not len(names) == len(sums) == len(tail_sums):
            raise ValueError("its stages and their sums are not as many")
        return StageSlice(
            series=_text(document["stages"]),
            stages=names,
            events=_whole(document["events"]),
            sums_ns=sums,
            tail_events=_whole(document["tail_events"]),
            tail_sums_ns=tail_sums,
            **_interval(document),
        )
    if "cost" in document:
        figures = {
            name: _number(document.get(name, math.nan)) for name in ("floor", "per_call", "calls_per_s", "share")
        }
        return Cost(
            series=_text(document["cost"]),
            floor_ns=figures["floor"],
            per_call_ns=figures["per_call"],
            calls_per_s=figures["calls_per_s"],
            share=figures["share"],
            lost=_whole(document.get("lost", 0)),
        )
    if "said" in document:
        return Said(text=_text(document["said"]), fix=_text(document.get("fix", "")))
    if "slow" in document:
        calls = tuple(_call(*call) for call in document.get("calls", ()))
        times = _interval(document)
        return SlowCalls.of(
            _text(document["slow"]),
            _ns(document["above"]),
            times["start_s"],
            times["length_s"],
            calls,
            lost=_whole(document.get("lost", 0)),
        )
    if "mark" in document:
        return Mark(_finite(document["time"]), _text(document["mark"]), _file_name(document.get("opens", "")))
    return None


def _interval(document: Mapping[str, Any]) -> dict[str, float]:
    start, length = _finite(document["start"]), max(_finite(document["length"]), 0.0)
    if abs(start) > _LATEST_S or length > _LATEST_S:
        raise ValueError("its time is none of this world")
    return {"start_s": start, "length_s": length}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _file_name(value: Any) -> str:
    """Of a file beside this one: no path leads elsewhere."""
    name = _text(value)
    if "/" in name or "\0" in name or name in (".", ".."):
        raise ValueError("it opens a file that is none of its own")
    return name


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _finite(value: Any) -> float:
    number = _number(value)
    if not math.isfinite(number):
        raise ValueError("a time of it is no number")
    return number


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _ns(value: Any) -> int:
    number = _whole(value)
    if not 0 <= number < 1 << 62:
        raise ValueError("its time is none of this world")
    return number


def _call(tid: Any, start: Any, end: Any) -> tuple[int, int, int]:
    if not -1 <= _whole(tid) < 1 << 31 or _ns(start) > _ns(end):
        raise ValueError("a call of it is none")
    return tid, start, end


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(_finite(value) for value in values)
