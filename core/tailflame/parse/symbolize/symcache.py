"""symbolic's index of debug information (a symcache), read with numpy: a hundred thousand look-ups take milliseconds.

The format is that of symbolic-symcache/src/raw (versions 8 and 9): ranges of addresses, each with a source location,
each location with the one that it is inlined into.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tailflame.model.stacks import Int64, UInt64

DEPTH_LIMIT = 128
"""Functions inlined into one another that are followed; compilers stop long before."""
_MAGIC = 0x434D5953  # "SYMC"
_HEADER_SIZE = 80
_COUNTS_AT = 44
_FILE_WORDS = {8: 3, 9: 6}
_STRING_LIMIT = 32_000
_NOTHING = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Runs of source locations, innermost first: of address i those from first[i] to first[i + 1].

    function, file: numbers for SymCache.function and .path (-1: unknown); line: 0 where unknown.
    """

    first: Int64
    function: Int64
    file: Int64
    line: Int64


@dataclass(frozen=True, slots=True, eq=False)
class SymCache:
    """Looks up addresses, relative to the lowest one of the file."""

    _files: npt.NDArray[Any]
    _functions: npt.NDArray[Any]
    _locations: npt.NDArray[Any]
    _ranges: npt.NDArray[Any]
    _text: bytes

    def lookup(self, addresses: UInt64) -> Places:
        """The locations at addresses."""
        at = np.searchsorted(self._ranges, np.minimum(addresses, np.uint64(_NOTHING)), side="right") - 1
        location = np.where(at >= 0, at + len(self._locations) - len(self._ranges), -1)
        location[addresses >= np.uint64(_NOTHING)] = -1
        distinct, inverse = numbered(location, len(self._locations))
        rows: list[Int64] = []
        owners: list[Int64] = []
        owner = np.flatnonzero(distinct >= 0)
        owner = owner[~(self._locations[distinct[owner]] == _NOTHING).all(axis=1)]
        current = distinct[owner]
        for _ in range(DEPTH_LIMIT):
            if not len(current):
                break
            rows.append(current)
            owners.append(owner)
            outer = self._locations[current, 3].astype(np.int64)
            goes_on = outer < len(self._locations)
            current, owner = outer[goes_on], owner[goes_on]
        flat = np.concatenate(rows) if rows else np.empty(0, np.int64)
        of = np.concatenate(owners) if owners else np.empty(0, np.int64)
        flat = flat[np.argsort(of, kind="stable")]
        lengths = np.bincount(of, minlength=len(distinct))
        begins = np.cumsum(lengths) - lengths
        # Each distinct location's run, once for each address that it is found at.
        counts = lengths[inverse]
        first = np.concatenate(([0], np.cumsum(counts)))
        index = np.arange(first[-1]) - np.repeat(first[:-1], counts) + np.repeat(begins[inverse], counts)
        found = self._locations[flat[index]].astype(np.int64)
        file, function = found[:, 0], found[:, 2]
        return Places(
            first=first,
            function=np.where(function < len(self._functions), function, -1),
            file=np.where(file < len(self._files), file, -1),
            line=np.where(found[:, 1] == _NOTHING, 0, found[:, 1]),
        )

    @property
    def functions(self) -> int:
        return len(self._functions)

    @property
    def files(self) -> int:
        return len(self._files)

    def function(self, number: int) -> str:
        """A function's name as the linker knows it; "" where it is unknown."""
        return self._string(int(self._functions[number, 0]))

    def entry(self, number: int) -> int:
        """Where a function begins; -1 for an inlined one."""
        address = int(self._functions[number, 2])
        return -1 if address == _NOTHING else address

    def path(self, number: int) -> str:
        """A source file's path; "" where it is unknown."""
        folder, place, name = (self._string(int(word)) for word in self._files[number, :3])
        if not name or (name.startswith("<") and name.endswith(">")):
            return name
        # `./malloc/./malloc/malloc.c` without the detours
        return posixpath.normpath(posixpath.join(folder, place, name))

    def _string(self, at: int) -> str:
        """A string with its length before it (LEB128)."""
        length = shift = 0
        for position in range(at, min(at + 5, len(self._text))):
            byte = self._text[position]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                begin = position + 1
                return self._text[begin : begin + min(length, _STRING_LIMIT)].decode("utf-8", "replace")
        return ""


def numbered(values: Int64, end: int) -> tuple[Int64, Int64]:
    """The distinct values, ascending, and which of them each one is: np.unique, for numbers from -1 to below `end`."""
    seen = np.zeros(end + 1, dtype=bool)
    seen[values + 1] = True
    distinct = np.flatnonzero(seen)
    places = np.empty(end + 1, dtype=np.int64)
    places[distinct] = np.arange(len(distinct))
    return distinct - 1, places[values + 1]


def parse_symcache(data: bytes) -> SymCache | None:
    """None where the data is no symcache of a known version, or contradicts itself."""
    if len(data) < _HEADER_SIZE:
        return None
    magic, version = np.frombuffer(data, "<u4", 2).tolist()
    if magic != _MAGIC or version not in _FILE_WORDS:
        return None
    files, functions, locations, ranges, text = np.frombuffer(data, "<u4", 5, _COUNTS_AT).tolist()
    if ranges > locations:
        return None
    at = _HEADER_SIZE
    tables = []
    for count, words in ((files, _FILE_WORDS[version]), (functions, 4), (locations, 4), (ranges, 1)):
        at = _aligned(at)
        end = at + count * words * 4
        if end > len(data):
            return None
        tables.append(np.frombuffer(data, "<u4", count * words, at).reshape(count, words))
        at = end
    at = _aligned(at)
    if at + text > len(data):
        return None
    return SymCache(tables[0], tables[1], tables[2], tables[3].reshape(-1), data[at : at + text])


def _aligned(at: int) -> int:
    return at + 7 & ~7
