"""Firefox Profiler's JSON out: what profiler.firefox.com opens, gzipped where the file's name ends in .gz.

A "processed" profile of version 60 (2025), the first that has all tables in one place: every later one is upgraded to.
https://github.com/firefox-devtools/profiler/blob/main/docs-developer/CHANGELOG-formats.md
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tailflame import __version__
from tailflame.model import NONE, Caution, FrameKind, Meta, StackProfile, Thread, Weight
from tailflame.model.stacks import Float64, Int64
from tailflame.report.output import opened_bytes
from tailflame.units import Unit

VERSION = 60
_GECKO_VERSION = 31
_CATEGORIES = (("Other", "grey"), ("User", "yellow"), ("Kernel", "orange"), ("JIT", "green"))
_CATEGORY = {FrameKind.USER: 1, FrameKind.INLINED: 1, FrameKind.KERNEL: 2, FrameKind.JIT: 3}
_WEIGHTS = {Unit.NANOSECONDS: ("tracing-ms", 1e-6), Unit.BYTES: ("bytes", 1.0)}
_LIBRARY = 1  # a resource's type


def write(
    profile: StackProfile,
    target: Path | BinaryIO,
    *,
    name: str = "profile",
    event: int = 0,
    weight: Weight = Weight.SAMPLES,
    meta: Meta | None = None,
) -> tuple[Caution, ...]:
    """Writes one event's samples, thread by thread. meta: when it was recorded, and the build ids of modules.

    Returns what had to be changed, for the user. StoreError where it cannot be written.
    """
    import orjson

    writer = _Writer(profile, meta or Meta())
    document = writer.document(name, event, weight)
    data = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    if isinstance(target, Path) and target.name.endswith(".gz"):
        data = gzip.compress(data, 6, mtime=0)
    with opened_bytes(target) as stream:
        stream.write(data)
    return writer.told()


class _Writer:
    def __init__(self, profile: StackProfile, meta: Meta) -> None:
        self._profile = profile
        self._meta = meta
        self._strings: dict[str, int] = {}
        times = profile.samples.time_ns
        self._timed = bool(len(times)) and bool((times >= 0).all())
        self._first = int(times.min()) if self._timed else 0

    def document(self, name: str, event: int, weight: Weight) -> dict[str, Any]:
        profile, meta = self._profile, self._meta
        weights = profile.weights(event=event, weight=weight)
        word, factor = _WEIGHTS.get(profile.unit(event=event, weight=weight), ("samples", 1.0))
        interval = 1e3 / meta.rate_asked_hz if meta.rate_asked_hz else 1.0
        kept = np.flatnonzero(weights > 0)
        of = profile.samples.thread[kept]
        groups = [(number, kept[of == number]) for number in np.unique(of).tolist()] or [(NONE, kept)]
        # The busiest first: the profiler opens that one.
        groups.sort(key=lambda group: -float(weights[group[1]].sum()))
        threads = [self._thread(number, rows, weights[rows] * factor, word, interval) for number, rows in groups]
        processes: set[str] = set()
        for thread in threads:
            thread["isMainThread"] = thread["pid"] not in processes
            processes.add(thread["pid"])
        shared = self._shared()
        return {
            "meta": {
                "interval": interval,
                "startTime": meta.started_at.timestamp() * 1e3 if meta.started_at else 0.0,
                "processType": 0,
                "product": name,
                "misc": f"tailflame {__version__}",
                "stackwalk": 1,
                "debug": False,
                "version": _GECKO_VERSION,
                "preprocessedProfileVersion": VERSION,
                "symbolicated": True,
                "extensions": {"baseURL": [], "id": [], "name": [], "length": 0},
                "categories": [{"name": n, "color": c, "subcategories": ["Other"]} for n, c in _CATEGORIES],
                "markerSchema": [],
                "sourceCodeIsNotOnSearchfox": True,
                "usesOnlyOneStackType": True,
                "sampleUnits": {"time": "ms", "eventDelay": "ms", "threadCPUDelta": "ns"},
            },
            "libs": self._libs,
            "pages": [],
            "shared": shared,
            "threads": threads,
        }

    def told(self) -> tuple[Caution, ...]:
        if self._timed or not len(self._profile.samples):
            return ()
        return (
            Caution("The result has no times, which this format wants: its samples stand one after another instead."),
        )

    def _text(self, text: str) -> int:
        return self._strings.setdefault(text.encode("utf-8", "backslashreplace").decode(), len(self._strings))

    def _thread(self, number: int, rows: Int64, weights: Float64, word: str, interval: float) -> dict[str, Any]:
        samples = self._profile.samples
        stack, times = samples.stack[rows], samples.time_ns[rows]
        at: Float64
        if self._timed:
            order = np.argsort(times, kind="stable")
            stack, weights = stack[order], weights[order]
            at = (times[order] - self._first) / 1e6
        else:
            at = np.arange(len(rows)) * interval
        thread = self._profile.threads[number] if number >= 0 else Thread("")
        return {
            "processType": "default",
            "processStartupTime": 0,
            "processShutdownTime": None,
            "registerTime": 0,
            "unregisterTime": None,
            "pausedRanges": [],
            "name": thread.name.encode("utf-8", "backslashreplace").decode(),
            "isMainThread": False,
            "showMarkersInTimeline": False,
            "pid": str(thread.pid) if thread.pid >= 0 else "?",
            "tid": thread.tid if thread.tid >= 0 else f"? {number}",
            "samples": {
                "stack": [None if s < 0 else s for s in stack.tolist()],
                "time": np.ascontiguousarray(at, np.float64),
                "weight": [int(w) if w.is_integer() else w for w in weights.tolist()],
                "weightType": word,
                "length": len(rows),
            },
            "markers": {
                "data": [],
                "name": [],
                "startTime": [],
                "endTime": [],
                "phase": [],
                "category": [],
                "length": 0,
            },
        }

    def _shared(self) -> dict[str, Any]:
        table, stacks = self._profile.frames, self._profile.stacks
        # Frames are told apart by how deep they are inlined, which is a matter of the stack they are in.
        kinds = table.kind.tolist()
        frames: dict[tuple[int, int], int] = {}
        depth: list[int] = []
        frame_of: list[int] = []
        for frame, parent in zip(stacks.frame.tolist(), stacks.parent.tolist(), strict=True):
            inlined = kinds[frame] == FrameKind.INLINED
            depth.append((depth[parent] + 1 if parent >= 0 else 1) if inlined else 0)
            frame_of.append(frames.setdefault((frame, depth[-1]), len(frames)))
        functions: dict[tuple[int, int, int], int] = {}
        sources: dict[int, int] = {}
        libs: dict[str, int] = {}
        function_of: list[int] = []
        for frame in range(len(table)):
            module, file = table.module_of(frame), table.file_of(frame)
            lib = libs.setdefault(module, len(libs)) if module else NONE
            source = sources.setdefault(self._text(file), len(sources)) if file else NONE
            key = (self._text(table.name_of(frame)), lib, source)
            function_of.append(functions.setdefault(key, len(functions)))
        own = [frame for frame, _ in frames]
        line = table.line
        empty = [None] * len(functions)
        self._libs = [self._library(module) for module in libs]
        names = [self._text(module.rsplit("/", 1)[-1]) for module in libs]
        return {
            "stackTable": {
                "frame": frame_of,
                "prefix": [None if up < 0 else up for up in stacks.parent.tolist()],
                "length": len(frame_of),
            },
            "frameTable": {
                "address": [NONE] * len(own),
                "inlineDepth": [deep for _, deep in frames],
                "category": [_CATEGORY.get(FrameKind(kinds[f]), 0) for f in own],
                "subcategory": [0] * len(own),
                "func": [function_of[f] for f in own],
                "nativeSymbol": [None] * len(own),
                "innerWindowID": [0] * len(own),
                "line": [int(line[f]) if line[f] > 0 else None for f in own],
                "column": [None] * len(own),
                "length": len(own),
            },
            "funcTable": {
                "name": [name for name, _, _ in functions],
                "isJS": [False] * len(functions),
                "relevantForJS": [False] * len(functions),
                "resource": [lib for _, lib, _ in functions],
                "source": [None if source < 0 else source for _, _, source in functions],
                "lineNumber": empty,
                "columnNumber": empty,
                "length": len(functions),
            },
            "resourceTable": {
                "lib": list(range(len(libs))),
                "name": names,
                "host": [None] * len(libs),
                "type": [_LIBRARY] * len(libs),
                "length": len(libs),
            },
            "nativeSymbols": {"libIndex": [], "address": [], "name": [], "functionSize": [], "length": 0},
            "sources": {"uuid": [None] * len(sources), "filename": list(sources), "length": len(sources)},
            "stringArray": list(self._strings),
        }

    def _library(self, module: str) -> dict[str, Any]:
        path = module.encode("utf-8", "backslashreplace").decode()
        name = path.rsplit("/", 1)[-1]
        build = dict(self._meta.build_ids).get(module, "")
        return {
            "arch": self._meta.machine.arch,
            "name": name,
            "path": path,
            "debugName": name,
            "debugPath": path,
            "breakpadId": _breakpad_id(build),
            "codeId": build or None,
        }


def _breakpad_id(build_id: str) -> str:
    """Breakpad's form of a GNU build id: its first 16 bytes as a GUID, and the age 0."""
    try:
        data = bytes.fromhex(build_id).ljust(16, b"\0")
    except ValueError:
        return ""
    if not build_id:
        return ""
    return (data[3::-1] + data[5:3:-1] + data[7:5:-1] + data[8:16]).hex().upper() + "0"
