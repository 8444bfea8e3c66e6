"""The tables of Firefox Profiler's files: strings, libraries, functions, frames, stacks, where a version has them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tailflame.model import NONE, Caution, FrameKind
from tailflame.model.stacks import Int64
from tailflame.parse.bare_addresses import Bare, named_frames, unfolded
from tailflame.parse.json_file import Columns, broken, listed
from tailflame.parse.profile_tables import EndlessTree, ProfileTables, kind_of_module
from tailflame.parse.source import Source

WHAT = "a profile of the Firefox Profiler"

_ADDRESS = re.compile(r"0x[0-9a-f]+")
# `work (/home/me/work.js:12:5)` of raw profiles; `f (in libxul.so)` of symbolicated ones.
_SCRIPT_PLACE = re.compile(r"(.*) \((.+?)(?::(\d{1,9}))?(?::\d{1,9})?\)", re.DOTALL)
_LIBRARY_PLACE = re.compile(r"(.*) \(in ([^()]+)\)", re.DOTALL)
_PROCESSES = 1000
_NAMING = 0.6
"""The share of the work that is done when names are looked up."""


def flattened(source: Source, value: dict[str, Any]) -> list[dict[str, Any]]:
    """The threads of the profile and, in raw ones, of the processes within; raw tables become columns."""
    threads: list[dict[str, Any]] = []
    todo, seen = [value], 0
    while todo:
        process = todo.pop(0)
        seen += 1
        if seen > _PROCESSES or not isinstance(process, dict):
            raise broken(source, WHAT, "its list of processes is damaged")
        for thread in listed(process.get("threads")):
            if isinstance(thread, dict):
                threads.append(_unpacked(source, thread, process.get("libs")))
        todo += listed(process.get("processes"))
    return threads


def _unpacked(source: Source, thread: dict[str, Any], libs: Any) -> dict[str, Any]:
    """A raw thread's tables are rows with a schema: `{"schema": {"prefix": 0, "frame": 1}, "data": [[null, 4]]}`."""
    found = dict(thread)
    for word in ("samples", "stackTable", "frameTable"):
        table = thread.get(word)
        schema = table.get("schema") if isinstance(table, dict) else None
        if isinstance(table, dict) and isinstance(schema, dict) and isinstance(table.get("data"), list):
            rows = table["data"]
            if not all(isinstance(row, list) for row in rows):
                raise broken(source, WHAT, f"a row of its {word} is no list")
            found[word] = {
                column: [row[at] if at < len(row) else None for row in rows]
                for column, at in schema.items()
                if isinstance(at, int) and at >= 0
            }
    found.setdefault("libs", libs)
    return found


class StackTables:
    """Turns the file's stacks into the profile's, each table once."""

    def __init__(self, source: Source, value: dict[str, Any], profile: ProfileTables) -> None:
        self._source = source
        shared = value.get("shared")
        self._shared: dict[str, Any] = shared if isinstance(shared, dict) else {}
        self._libs = value.get("libs")
        meta = value.get("meta")
        categories = meta.get("categories") if isinstance(meta, dict) else None
        self._categories = [_word(category, "name") for category in listed(categories)]
        self._profile = profile
        self._rows: dict[int, Int64] = {}
        self._builds: dict[str, str] = {}
        self._bare = self._frames = 0

    def size(self, thread: dict[str, Any]) -> int:
        return len(self._table(thread, "stackTable").list("frame"))

    def leaves(self, thread: dict[str, Any], stack: Int64) -> Int64:
        """The profile's stack of each of the thread's stacks, -1 for none."""
        table = self._table(thread, "stackTable")
        key = id(table.table)
        rows = self._rows.get(key)
        if rows is None:
            frames = self._frames_of(thread)
            size = len(table.list("frame"))
            if "prefixOffset" in table:
                up = table.integers("prefixOffset", size)
                parent = np.where(up > 0, np.arange(size) - up, NONE)
            else:
                parent = table.indices("prefix", size, size)
            frame = table.indices("frame", len(frames), size)
            if (frame < 0).any() or (parent < NONE).any():
                raise broken(self._source, WHAT, "its stacks point outside their tables")
            try:
                if size and any(len(run) != 1 for run in frames):
                    up, flat, last = unfolded(parent, frame, frames)
                    rows = self._profile.nodes(up, flat)[last].astype(np.int64)
                else:
                    only = np.array([run[0] for run in frames], np.int64)
                    rows = self._profile.nodes(parent, only[frame] if size else frame).astype(np.int64)
            except EndlessTree:
                raise broken(self._source, WHAT, "a stack in it is its own caller") from None
            self._rows[key] = rows
        return np.append(rows, NONE)[stack]

    def build_ids(self) -> tuple[tuple[str, str], ...]:
        return tuple((path, build) for path, build in self._builds.items() if build)

    def _watch(self) -> None:
        self._source.report(_NAMING)

    def told(self) -> list[Caution]:
        if self._bare * 10 < self._frames or not self._bare:
            return []
        return [
            Caution(
                f"{self._bare:,} of its {self._frames:,} frames are bare addresses: the file has no names, and what it"
                " was recorded from is not here.",
                "Open it where it was recorded, or let samply's page save a profile with names.",
            )
        ]

    def _table(self, thread: dict[str, Any], name: str) -> Columns:
        return Columns(self._source, WHAT, name, thread.get(name) or self._shared.get(name))

    def _strings(self, thread: dict[str, Any]) -> list[Any]:
        for table in (thread.get("stringArray"), thread.get("stringTable"), self._shared.get("stringArray")):
            if isinstance(table, list):
                return table
        raise broken(self._source, WHAT, "it has no strings")

    def _frames_of(self, thread: dict[str, Any]) -> list[tuple[int, ...]]:
        """The profile's frames of each row of the frame table: more than one where names were looked up here."""
        table = self._table(thread, "frameTable")
        strings = self._strings(thread)
        if "location" in table and "func" not in table:
            return self._raw_frames(table, strings)
        functions = self._functions(thread, strings)
        func = table.indices("func", len(functions)).tolist()
        size = len(func)
        libs = self._libraries(thread)
        own_libs = table.indices("lib", len(libs), size).tolist() if "lib" in table else None
        line = table.integers("line", size).tolist() if "line" in table else [NONE] * size
        depth = table.integers("inlineDepth", size).tolist() if "inlineDepth" in table else [0] * size
        category = table.integers("category", size).tolist() if "category" in table else [NONE] * size
        address = table.integers("address", size).tolist() if "address" in table else [NONE] * size
        frame = self._profile.frame
        found: list[tuple[int, ...]] = []
        bare: list[Bare] = []
        for row, number in enumerate(func):
            if number < 0:
                raise broken(self._source, WHAT, "a frame in it has no function")
            name, file, lib, is_script = functions[number]
            lib = own_libs[row] if own_libs is not None else lib
            module = libs[lib] if lib >= 0 else ""
            kind = self._kind(module, category[row], is_script=is_script)
            if depth[row] > 0:
                kind = FrameKind.INLINED
            if name.startswith("0x") and _ADDRESS.fullmatch(name):
                self._bare += 1
                if lib >= 0 and address[row] >= 0 and kind is FrameKind.USER:
                    bare.append(Bare(row, module, self._builds[module], address[row]))
            found.append((frame(name, module=module, file=file, line=line[row], kind=kind),))
        self._frames += size
        for row, run in named_frames(bare, self._profile, self._watch, from_base=True).items():
            found[row] = run
            self._bare -= 1
        return found

    def _kind(self, module: str, category: int, *, is_script: bool) -> FrameKind:
        known = self._categories[category] if 0 <= category < len(self._categories) else ""
        if known.lower() == "kernel":
            return FrameKind.KERNEL
        if is_script or known.upper().startswith("JIT"):
            return FrameKind.JIT
        return kind_of_module(module) if module else FrameKind.USER if known else FrameKind.UNKNOWN

    def _functions(self, thread: dict[str, Any], strings: list[Any]) -> list[tuple[str, str, int, bool]]:
        """(name, file, library, whether it is a script) of each function."""
        table = self._table(thread, "funcTable")
        name = table.indices("name", len(strings)).tolist()
        size = len(name)
        files = [""] * size
        if "source" in table:
            sources = Columns(self._source, WHAT, "sources", self._shared.get("sources"))
            names = sources.indices("filename", len(strings)).tolist()
            files = [
                _text(strings, names[at]) if at >= 0 else ""
                for at in table.indices("source", len(names), size).tolist()
            ]
        elif "fileName" in table:
            files = [_text(strings, at) for at in table.indices("fileName", len(strings), size).tolist()]
        libs = [NONE] * size
        if "resource" in table:
            resources = Columns(self._source, WHAT, "resourceTable", self._resources(thread))
            if "lib" in resources:
                of = resources.indices("lib", len(self._libraries(thread))).tolist()
                libs = [of[at] if at >= 0 else NONE for at in table.indices("resource", len(of), size).tolist()]
        scripts = table.list("isJS") if "isJS" in table else [False] * size
        if len(scripts) != size:
            raise broken(self._source, WHAT, "funcTable.isJS has another length than its table")
        return [
            (_text(strings, at), file, lib, bool(script))
            for at, file, lib, script in zip(name, files, libs, scripts, strict=True)
        ]

    def _resources(self, thread: dict[str, Any]) -> Any:
        return thread.get("resourceTable") or self._shared.get("resourceTable") or {}

    def _libraries(self, thread: dict[str, Any]) -> list[str]:
        """The path of each library; a kernel's is its name."""
        libs = listed(self._libs) or thread.get("libs")
        found = []
        for lib in listed(libs):
            path = _word(lib, "path") or _word(lib, "debugPath") or _word(lib, "name")
            found.append(path)
            self._builds[path] = _word(lib, "codeId").lower()
        return found

    def _raw_frames(self, table: Columns, strings: list[Any]) -> list[tuple[int, ...]]:
        """Frames of raw profiles are text: a name, an address, or a script's function with its place."""
        location = table.indices("location", len(strings)).tolist()
        line = table.integers("line").tolist() if "line" in table else [NONE] * len(location)
        found: list[int] = []
        for at, row_line in zip(location, line, strict=False):
            text = _text(strings, at)
            self._bare += _ADDRESS.fullmatch(text) is not None
            if match := _LIBRARY_PLACE.fullmatch(text):
                found.append(self._profile.frame(match[1], module=match[2], kind=kind_of_module(match[2])))
            elif match := _SCRIPT_PLACE.fullmatch(text):
                where = row_line if row_line > 0 else int(match[3] or NONE)
                found.append(self._profile.frame(match[1], file=match[2], line=where, kind=FrameKind.JIT))
            else:
                found.append(self._profile.frame(text, kind=FrameKind.UNKNOWN))
        self._frames += len(found)
        return [(number,) for number in found]


def _text(strings: list[Any], at: int) -> str:
    value = strings[at] if at >= 0 else ""
    return value if isinstance(value, str) else ""


def _word(table: Any, key: str) -> str:
    value = table.get(key) if isinstance(table, dict) else None
    return value if isinstance(value, str) else ""
