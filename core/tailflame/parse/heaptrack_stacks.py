"""The call stacks of a heaptrack file: strings, instruction pointers with what is inlined there, and traces."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from tailflame.model import NONE, FrameKind
from tailflame.model.leak_patterns import matching
from tailflame.model.stacks import Bool, Int32, Int64
from tailflame.parse.heaptrack_counts import Growing
from tailflame.parse.profile_tables import ProfileTables
from tailflame.parse.symbolize.demangle import Demangler

# What heaptrack takes off the leaf, and where it stops: accumulatedtracedata.cpp.
_NEW = frozenset(
    (
        "operator new(unsigned long)",
        "operator new[](unsigned long)",
        "operator new(unsigned int)",
        "operator new[](unsigned int)",
    )
)
_STOP = frozenset(("main", "__libc_start_main", "__static_initialization_and_destruction_0"))

# rustc's legacy names as the C++ demangler leaves them: `_$LT$T$u20$as$u20$core..fmt..Debug$GT$::fmt::h` and a hash.
_ESCAPE = re.compile(r"\$(?:(SP|BP|RF|LT|GT|LP|RP|C)|u([0-9a-f]{2,6}))\$")
_ESCAPED = {"SP": "@", "BP": "*", "RF": "&", "LT": "<", "GT": ">", "LP": "(", "RP": ")", "C": ","}
_HASH = re.compile(r"::h[0-9a-f]{16}$")


@dataclass(slots=True)
class Traces:
    """Rows as they come; numbers of strings, instruction pointers and traces are from 1 on, 0 is none."""

    strings: list[bytes] = field(default_factory=list)
    pointers: list[tuple[int, ...]] = field(default_factory=list)
    """(address, module, function, file, line, function, file, line ...): the innermost inlined function first."""
    pointer: Growing = field(default_factory=Growing)
    """Of each trace: its instruction pointer, and the trace of its callers."""
    parent: Growing = field(default_factory=Growing)

    def add_pointer(self, numbers: Sequence[int]) -> bool:
        """`i ip module [function [file line]]...`; False where that is damaged."""
        if len(numbers) < 2:
            self.pointers.append((0, 0))
            return False
        self.pointers.append((*numbers, *(0,) * ((2 - len(numbers)) % 3)))
        return True

    def text(self, number: int) -> str:
        """The string of a number, "" where there is none."""
        return self.strings[number - 1].decode("utf-8", "backslashreplace") if 0 < number <= len(self.strings) else ""


@dataclass(slots=True)
class StackRows:
    """The stack of each trace in a profile's tables, row 0 for trace 0, which is none.

    suppressed: where a function, file or module matches a pattern. complete: False where names stayed mangled.
    """

    rows: Int32
    suppressed: Bool
    complete: bool


def stacks_of(traces: Traces, tables: ProfileTables, suppressions: Sequence[str]) -> StackRows:
    """Puts the traces' frames and stacks into `tables`."""
    texts = [traces.text(number) for number in range(len(traces.strings) + 1)]
    demangler = Demangler()
    readable = demangler.names(texts)
    names = [readable.get(text) or rust_name(text) for text in texts]
    frames, lengths, skipped, stops = _frames(traces, texts, names, tables)
    first = np.cumsum(lengths) - lengths
    pointer = np.append(0, traces.pointer.values)
    parent = np.append(0, traces.parent.values)
    parent[stops[pointer]] = 0
    count = np.where(skipped[pointer], 0, lengths[pointer])
    # A node for each frame of each trace, and one without a frame for a trace that has none: it stands for its parent.
    size = np.maximum(count, 1)
    end = np.cumsum(size)
    begin = end - size
    trace = np.repeat(np.arange(len(pointer)), size)
    step = np.arange(len(trace)) - begin[trace]
    above = np.where(step > 0, np.arange(len(trace)) - 1, np.where(parent[trace] > 0, end[parent[trace]] - 1, NONE))
    held = count[trace] > 0
    frame = np.full(len(trace), NONE, np.int64)
    frame[held] = frames[first[pointer[trace[held]]] + step[held]]
    hidden = _suppressed(traces, texts, pointer, suppressions)
    return StackRows(tables.nodes(above, frame)[end - 1], hidden, demangler.complete)


def _suppressed(traces: Traces, texts: list[str], pointer: Int64, suppressions: Sequence[str]) -> Bool:
    """The traces with a match, in them or in a caller. heaptrack matches names as the file has them; so does this."""
    hit = matching(texts, suppressions)
    if not hit.any():
        return np.zeros(len(pointer), bool)
    numbers = {int(number) for number in np.flatnonzero(hit)}
    at = np.zeros(len(traces.pointers) + 1, bool)
    for row, (_, module, *places) in enumerate(traces.pointers, 1):
        named = (number for place, number in enumerate(places) if place % 3 != 2)
        at[row] = module in numbers or any(number in numbers for number in named)
    inside = at[pointer]
    above = np.append(0, traces.parent.values)
    while (above > 0).any():  # pointer doubling
        live = np.flatnonzero(above > 0)
        up = above[live]
        inside[live] |= inside[up]
        above[live] = above[up]
    return inside


def _frames(
    traces: Traces, texts: list[str], names: list[str], tables: ProfileTables
) -> tuple[Int64, Int64, Bool, Bool]:
    """The frames of all instruction pointers, outermost first, and how many each has; which are `operator new`, and at
    which a stack ends. Entry 0 is that of no pointer.
    """

    def at(column: list[str], number: int) -> str:
        return column[number] if number < len(column) else ""

    frames: list[int] = []
    lengths = np.zeros(len(traces.pointers) + 1, np.int64)
    skipped = np.zeros(len(lengths), np.bool_)
    stops = np.zeros(len(lengths), np.bool_)
    for row, (address, module, *places) in enumerate(traces.pointers, 1):
        path = at(texts, module)
        innermost = at(texts, places[0]) if places else ""
        skipped[row], stops[row] = innermost in _NEW, innermost in _STOP
        if len(places) <= 3 and not innermost:
            base = path.rsplit("/", 1)[-1]
            name = f"[{base}]" if base else f"0x{address:x}"
            frames.append(tables.frame(name, module=path, kind=FrameKind.OTHER))
            lengths[row] = 1
            continue
        for start in range(len(places) - 3, -1, -3):
            function, file, line = places[start : start + 3]
            kind = FrameKind.USER if start == len(places) - 3 else FrameKind.INLINED
            frames.append(
                tables.frame(
                    at(names, function) or "[unknown]", module=path, file=at(texts, file), line=line, kind=kind
                )
            )
        lengths[row] = len(places) // 3
    return np.array(frames, np.int64), lengths, skipped, stops


@lru_cache(maxsize=200_000)
def rust_name(name: str) -> str:
    """A name of Rust's legacy scheme that was demangled as C++ made readable; any other as it is."""
    short = _HASH.sub("", name)
    if short == name and _ESCAPE.search(name) is None:
        return name
    # A part of a path that begins with an escape has an underscore before it, as names of symbols must not.
    short = short.removeprefix("_") if short.startswith("_$") else short
    return _ESCAPE.sub(_unescaped, short.replace("::_$", "::$")).replace("..", "::")


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        return _ESCAPED[match[1]]
    code = int(match[2], 16)
    return chr(code) if code < 0xD800 else match[0]
