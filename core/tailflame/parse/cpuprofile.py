"""CPU profiles of V8: .cpuprofile files (node --cpu-prof, Chrome), and the same within Chrome's trace files.

https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile. A trace spreads a profile over an event
"Profile" and many "ProfileChunk" (https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import NONE, Caution, Event, FrameKind, Recording, Thread
from tailflame.model.stacks import Float64
from tailflame.parse.json_file import broken, listed, parsed, text_of
from tailflame.parse.profile_tables import EndlessTree, ProfileTables
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head
from tailflame.units import Unit

_WHAT = "a CPU profile of V8"
_TIME = Event("time", Unit.NANOSECONDS, True)
_TWICE = Caution("It holds several profiles of one thread at a time: the one with the most samples is shown.")
_LATEST = 2**62 / 1e3
"""Microseconds: later times do not fit."""


class CpuProfile:
    name = "cpuprofile"
    title = "CPU profiles of Node and Chrome"

    def sniff(self, head: bytes, name: str) -> float:
        text = decode_head(head)
        start = text.lstrip("\ufeff \t\r\n")
        if start.startswith("{") and '"callFrame"' in text and re.search(r'"(?:hitCount|functionName)"', text):
            return 0.9 if '"nodes"' in text else 0.5
        if not re.match(r'\[\s*\{|\{\s*"', start) or not re.search(r'"ph"\s*:\s*"', text):
            return NO
        return 0.85 if '"ProfileChunk"' in text else 0.6

    def load(self, source: Source) -> Recording:
        data = text_of(source)
        if data.lstrip().startswith(b"["):
            # A trace may lack its last bracket: it is written until the process ends.
            data = data.rstrip().removesuffix(b",")
            if not data.endswith(b"]"):
                data += b"]"
        value = parsed(source, data)
        source.report(0.5)
        tables = ProfileTables()
        left_out = 0
        if isinstance(value, dict) and isinstance(value.get("nodes"), list):
            _Profile(source).of_file(value).add_to(tables, NONE)
        else:
            events = value.get("traceEvents") if isinstance(value, dict) else value
            if not isinstance(events, list):
                raise broken(source, _WHAT, "it has no nodes")
            profiles = list(_profiles_of(source, events))
            kept = _once(profiles)
            left_out = len(profiles) - len(kept)
            for thread, profile in kept:
                profile.add_to(tables, tables.thread(thread))
        if not len(tables):
            raise ParseError(
                f"{source.name} holds no samples of a CPU profile.",
                source=source.name,
                advice="Record the trace with the category disabled-by-default-v8.cpu_profiler.",
            )
        return Recording(
            tool="",
            format=CPUPROFILE.name,
            source=source.name,
            results=(tables.profile(by_time=True),),
            warnings=(_TWICE,) if left_out else (),
        )


CPUPROFILE = CpuProfile()


def _profiles_of(source: Source, events: list[Any]) -> Iterable[tuple[Thread, _Profile]]:
    """The profiles of a trace, each with the thread that was sampled."""
    names: dict[tuple[Any, Any], str] = {}
    profiles: dict[tuple[str, str], _Profile] = {}
    threads: dict[tuple[str, str], tuple[Any, Any]] = {}
    for event in events:
        if not isinstance(event, dict):
            continue
        name, args = event.get("name"), event.get("args")
        if name == "thread_name" and isinstance(args, dict) and isinstance(args.get("name"), str):
            names[str(event.get("pid")), str(event.get("tid"))] = args["name"]
        elif name in ("Profile", "ProfileChunk", "CpuProfile") and isinstance(args, dict):
            data = args.get("data")
            if not isinstance(data, dict):
                continue
            key = (str(event.get("pid")), str(event.get("id") or event.get("tid")))
            profile = profiles.setdefault(key, _Profile(source))
            if name != "ProfileChunk":  # chunks come from the thread that samples
                threads[key] = (event.get("pid"), event.get("tid"))
            if name == "CpuProfile":
                inner = data.get("cpuProfile")
                if isinstance(inner, dict):
                    profile.of_file(inner)
            elif name == "Profile":
                profile.start = _figure(data.get("startTime"))
            else:
                profile.of_chunk(data)
    for key, profile in profiles.items():
        pid, tid = threads.get(key, (key[0], NONE))
        name = names.get((str(pid), str(tid)), "")
        yield Thread(name, _whole(pid), _whole(tid)), profile


def _once(profiles: list[tuple[Thread, _Profile]]) -> list[tuple[Thread, _Profile]]:
    """Without profiles that were taken of a thread while another one was: those with the most samples stay."""
    kept: list[tuple[Thread, _Profile]] = []
    for thread, profile in sorted(profiles, key=lambda pair: -len(pair[1].samples)):
        first, last = profile.span()
        others = [other.span() for known, other in kept if known == thread]
        if profile.samples and all(last <= begin or end <= first for begin, end in others):
            kept.append((thread, profile))
    return kept or profiles[:1]


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else NONE


def _figure(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and abs(value) < 1e300 else 0.0


@dataclass(slots=True)
class _Profile:
    """Nodes of a call tree, and which of them was seen when (microseconds)."""

    source: Source
    start: float = 0.0
    end: float = 0.0
    nodes: dict[int, dict[str, Any]] = field(default_factory=dict)
    parents: dict[int, int] = field(default_factory=dict)
    samples: list[Any] = field(default_factory=list)
    deltas: list[Any] = field(default_factory=list)

    def span(self) -> tuple[float, float]:
        """From when to when, in microseconds."""
        spent = sum(delta for delta in self.deltas if isinstance(delta, int | float) and abs(delta) < 1e18)
        return self.start, max(self.end, self.start + spent)

    def of_file(self, value: dict[str, Any]) -> _Profile:
        self._take(value.get("nodes"))
        self.start, self.end = _figure(value.get("startTime")), _figure(value.get("endTime"))
        self.samples += listed(value.get("samples"))
        self.deltas += listed(value.get("timeDeltas"))
        return self

    def of_chunk(self, data: dict[str, Any]) -> None:
        part = data.get("cpuProfile")
        if isinstance(part, dict):
            self._take(part.get("nodes"))
            self.samples += listed(part.get("samples"))
        self.deltas += listed(data.get("timeDeltas"))
        self.end = max(self.end, _figure(data.get("endTime")))

    def _take(self, nodes: Any) -> None:
        for node in listed(nodes):
            number = node.get("id") if isinstance(node, dict) else None
            if not isinstance(number, int) or number in self.nodes:
                raise broken(self.source, _WHAT, "its nodes have no numbers of their own")
            self.nodes[number] = node
            if isinstance(node.get("parent"), int):
                self.parents[number] = node["parent"]
            for child in listed(node.get("children")):
                if not isinstance(child, int) or child in self.parents:
                    raise broken(self.source, _WHAT, "a node in it has two callers")
                self.parents[child] = number

    def add_to(self, tables: ProfileTables, thread: int) -> None:
        index = {number: at for at, number in enumerate(self.nodes)}
        try:
            parent = [index[self.parents[n]] if n in self.parents else NONE for n in self.nodes]
            seen = np.array([index[sample] for sample in self.samples], np.int64)
        except (KeyError, TypeError):
            raise broken(self.source, _WHAT, "it names a node that is not there") from None
        frames = [
            self._frame(tables, node, is_root=up < 0) for node, up in zip(self.nodes.values(), parent, strict=True)
        ]
        try:
            rows = tables.nodes(np.array(parent, np.int64), np.array(frames, np.int64))
        except EndlessTree:
            raise broken(self.source, _WHAT, "a node in it is its own caller") from None
        if not len(seen):
            self._add_hits(tables, rows, thread)
            return
        times = self._times(len(seen))
        end = max(self.end, float(times[-1]))
        if not ((times >= 0) & (times < _LATEST)).all() or not end < _LATEST:
            raise broken(self.source, _WHAT, "its times are out of all bounds")
        spent = np.diff(np.append(times, end))
        time_ns = np.round(times * 1e3).astype(np.int64)
        tables.add(rows[seen], period=spent * 1e3, time_ns=time_ns, thread=thread, event=tables.event(_TIME))

    def _times(self, samples: int) -> Float64:
        """When each sample was taken: the first delta counts from the start; some go back a little."""
        try:
            deltas = np.array(self.deltas[:samples], np.float64)
        except (TypeError, ValueError):
            raise broken(self.source, _WHAT, "a time in it is no number") from None
        if len(deltas) < samples or not np.isfinite(deltas).all():
            raise broken(self.source, _WHAT, "it has fewer times than samples")
        with np.errstate(over="ignore", invalid="ignore"):  # what is beyond all bounds is refused
            return np.maximum.accumulate(self.start + np.cumsum(deltas))

    def _add_hits(self, tables: ProfileTables, rows: np.ndarray[tuple[int], np.dtype[np.int32]], thread: int) -> None:
        """Without samples, how often each node was seen is all there is."""
        hits = np.array([_figure(node.get("hitCount")) for node in self.nodes.values()], np.float64)
        seen = hits > 0
        tables.add(rows[seen], count=hits[seen], thread=thread, event=tables.event(Event("samples")))

    def _frame(self, tables: ProfileTables, node: dict[str, Any], *, is_root: bool) -> int:
        call = node.get("callFrame")
        if not isinstance(call, dict):
            raise broken(self.source, _WHAT, "a node in it has no function")
        name, url, line = call.get("functionName"), call.get("url"), call.get("lineNumber")
        name = name if isinstance(name, str) else ""
        if is_root and name in ("(root)", ""):
            return NONE
        where = url.removeprefix("file://") if isinstance(url, str) else ""
        return tables.frame(
            name or "(anonymous)",
            file=where,
            line=line + 1 if isinstance(line, int) else NONE,
            kind=FrameKind.OTHER if name in ("(program)", "(idle)", "(garbage collector)") else FrameKind.JIT,
        )
