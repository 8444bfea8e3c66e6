"""speedscope's own JSON, as speedscope, py-spy, rbspy and Tailflame write it.

https://www.speedscope.app/file-format-schema.json. A profile in it is a thread: "sampled" (stacks with weights) or
"evented" (functions that open and close).
"""

from __future__ import annotations

import re
from array import array
from typing import Any

import numpy as np

from tailflame.model import NONE, Caution, Event, FrameKind, Meta, Recording, Thread
from tailflame.model.stacks import Float64, Int64
from tailflame.parse.json_file import broken, document
from tailflame.parse.profile_tables import ProfileTables, below_zero, uncounted
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head
from tailflame.units import Unit

_SCHEMA = "speedscope.app/file-format-schema.json"
_WHAT = "a speedscope file"
_UNITS = {
    "none": (Event("samples"), 1.0),
    "bytes": (Event("bytes", Unit.BYTES, True), 1.0),
    "nanoseconds": (Event("time", Unit.NANOSECONDS, True), 1.0),
    "microseconds": (Event("time", Unit.NANOSECONDS, True), 1e3),
    "milliseconds": (Event("time", Unit.NANOSECONDS, True), 1e6),
    "seconds": (Event("time", Unit.NANOSECONDS, True), 1e9),
}
# `Process 4711 Thread 4712 "worker"` of py-spy; `worker (4712)` of Tailflame.
_PYSPY = re.compile(r'(?:Process (\d{1,9}) )?Thread (\d{1,9}) "(.*)"', re.DOTALL)
_NUMBERED = re.compile(r"(.*) \((\d{1,9})\)", re.DOTALL)
_BATCH = 4_000_000


class Speedscope:
    name = "speedscope"
    title = "speedscope files"

    def sniff(self, head: bytes, name: str) -> float:
        text = decode_head(head)
        if not text.lstrip("\ufeff \t\r\n").startswith("{"):
            return NO
        if _SCHEMA in text:
            return 0.95
        # With many frames, the schema and the profiles come after the head.
        return 0.6 if re.search(r'"shared"\s*:\s*\{\s*"frames"\s*:\s*\[', text) else NO

    def load(self, source: Source) -> Recording:
        value = document(source, _WHAT)
        source.report(0.4)
        return _Reader(source, value).recording()


SPEEDSCOPE = Speedscope()


class _Reader:
    def __init__(self, source: Source, value: dict[str, Any]) -> None:
        self._source = source
        self._value = value
        self._tables = ProfileTables()
        self._negative = 0
        self._traced = False

    def recording(self) -> Recording:
        value = self._value
        shared, profiles = value.get("shared"), value.get("profiles")
        frames = shared.get("frames") if isinstance(shared, dict) else None
        if not isinstance(frames, list) or not isinstance(profiles, list):
            raise broken(self._source, _WHAT, "it has no frames and profiles")
        self._frames = np.array([self._frame(frame) for frame in frames], np.int64)
        timed = bool(profiles)
        for number, profile in enumerate(profiles):
            if not isinstance(profile, dict):
                raise broken(self._source, _WHAT, "a profile in it is no object")
            timed = self._profile(profile) and timed
            self._source.report(0.4 + 0.6 * (number + 1) / len(profiles))
        cautions = [below_zero(self._negative)] if self._negative else []
        if self._traced:
            cautions.append(Caution("It was traced, not sampled: what counts as samples here is the time itself."))
        if self._bytes:
            cautions.append(uncounted("bytes"))
        title, exporter = value.get("name"), value.get("exporter")
        return Recording(
            tool="",
            format=SPEEDSCOPE.name,
            source=self._source.name,
            results=(self._tables.profile(by_time=timed),),
            meta=Meta(
                title=title if isinstance(title, str) else "",
                tool_version=exporter if isinstance(exporter, str) else "",
            ),
            warnings=tuple(cautions),
        )

    @property
    def _bytes(self) -> bool:
        return any(event.unit is Unit.BYTES for event in self._tables.events)

    def _frame(self, frame: Any) -> int:
        if not isinstance(frame, dict) or not isinstance(frame.get("name"), str):
            raise broken(self._source, _WHAT, "a frame in it has no name")
        file, line = frame.get("file"), frame.get("line")
        return self._tables.frame(
            frame["name"],
            file=file if isinstance(file, str) else "",
            line=line if isinstance(line, int) else NONE,
            kind=FrameKind.UNKNOWN,
        )

    def _profile(self, profile: dict[str, Any]) -> bool:
        """Reads one profile; whether its samples have times."""
        unit = profile.get("unit")
        if not isinstance(unit, str) or unit not in _UNITS:
            raise broken(self._source, _WHAT, f"it counts in the unit “{str(unit)[:40]}”")
        event, factor = _UNITS[unit]
        number = self._tables.event(event)
        # A profile that is called as the file is tells of no thread.
        name = profile.get("name")
        thread = NONE if not name or name == self._value.get("name") else self._tables.thread(_thread(name))
        traced = profile.get("type") == "evented"
        if traced:
            stack, weight = self._traced_stacks(profile)
            self._traced |= event.unit is Unit.NANOSECONDS
        elif profile.get("type") == "sampled":
            stack, weight = self._sampled_stacks(profile)
        else:
            raise broken(self._source, _WHAT, "a profile in it is neither sampled nor evented")
        weight = weight * factor
        is_time = event.unit is Unit.NANOSECONDS
        start = profile.get("startValue")
        first = float(start) * factor if isinstance(start, int | float) and abs(start) < 1e18 else 0.0
        time_ns: Int64 | int = NONE
        if is_time:
            until = first + np.cumsum(np.maximum(weight, 0.0))
            if len(until) and not 0 <= first <= until[-1] < 2**62:
                raise broken(self._source, _WHAT, "its times are out of all bounds")
            time_ns = np.round(until - np.maximum(weight, 0.0)).astype(np.int64)
        kept = weight > 0
        self._negative += int((weight < 0).sum())
        counts = np.ones(len(weight)) if is_time and not traced else weight
        self._tables.add(
            stack[kept],
            count=counts[kept],
            period=weight[kept],
            time_ns=time_ns[kept] if isinstance(time_ns, np.ndarray) else time_ns,
            thread=thread,
            event=number,
        )
        return is_time

    def _sampled_stacks(self, profile: dict[str, Any]) -> tuple[Int64, Float64]:
        samples, weights = profile.get("samples"), profile.get("weights")
        if not isinstance(samples, list) or not isinstance(weights, list) or len(samples) != len(weights):
            raise broken(self._source, _WHAT, "its samples and weights do not match")
        leaves: list[Int64] = [np.zeros(0, np.int64)]
        flat, lengths = array("q"), array("q")
        try:
            for sample in samples:
                flat.extend(sample)
                lengths.append(len(sample))
                if len(flat) > _BATCH:
                    leaves.append(self._merged(flat, lengths))
                    flat, lengths = array("q"), array("q")
            leaves.append(self._merged(flat, lengths))
            weight = np.array([float(value) for value in weights], np.float64)
        except (TypeError, ValueError, OverflowError):
            raise broken(self._source, _WHAT, "a sample in it is no list of frames with a weight") from None
        return np.concatenate(leaves), self._finite(weight)

    def _merged(self, flat: array[int], lengths: array[int]) -> Int64:
        given = np.frombuffer(flat, np.int64) if len(flat) else np.zeros(0, np.int64)
        if len(given) and (given.min() < 0 or given.max() >= len(self._frames)):
            raise broken(self._source, _WHAT, "a sample points to a frame that is not there")
        size = np.frombuffer(lengths, np.int64) if len(lengths) else np.zeros(0, np.int64)
        return self._tables.stacks(self._frames[given], size).astype(np.int64)

    def _traced_stacks(self, profile: dict[str, Any]) -> tuple[Int64, Float64]:
        """The stack between each event and the next, and for how long."""
        events = profile.get("events")
        if not isinstance(events, list):
            raise broken(self._source, _WHAT, "an evented profile has no events")
        nodes: dict[tuple[int, int], int] = {}
        path: list[int] = []
        frames: list[int] = []
        stacks, spent = array("q"), array("d")
        before = profile.get("startValue", 0)
        try:
            for event in events:
                kind, frame, at = event["type"], event["frame"], event["at"]
                if path and at > before:
                    stacks.append(path[-1])
                    spent.append(at - before)
                elif at < before:
                    raise broken(self._source, _WHAT, "its events go back in time")
                before = at
                if kind == "O":
                    if not 0 <= frame < len(self._frames):
                        raise broken(self._source, _WHAT, "an event points to a frame that is not there")
                    path.append(nodes.setdefault((path[-1] if path else NONE, frame), len(nodes)))
                    frames.append(frame)
                elif kind == "C" and frames and frames[-1] == frame:
                    path.pop()
                    frames.pop()
                else:
                    raise broken(self._source, _WHAT, "its events open and close functions out of order")
        except (TypeError, KeyError, OverflowError):
            raise broken(self._source, _WHAT, "an event in it lacks its frame or time") from None
        parent = np.array([key[0] for key in nodes], np.int64)
        rows = self._tables.nodes(parent, self._frames[np.array([key[1] for key in nodes], np.int64)])
        return rows[np.array(stacks, np.int64)].astype(np.int64), self._finite(np.array(spent, np.float64))

    def _finite(self, weight: Float64) -> Float64:
        if not np.isfinite(weight).all() or (np.abs(weight) > 1e30).any():
            raise broken(self._source, _WHAT, "a weight in it is no number")
        return weight


def _thread(name: Any) -> Thread:
    text = name if isinstance(name, str) else ""
    if match := _PYSPY.fullmatch(text):
        return Thread(match[3], int(match[1] or NONE), int(match[2]))
    if match := _NUMBERED.fullmatch(text):
        return Thread(match[1], NONE, int(match[2]))
    return Thread(text)
