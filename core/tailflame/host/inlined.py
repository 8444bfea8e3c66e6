"""Functions without code of their own: where the compiler has put them instead, as the debug information tells.

symbolic indexes a binary's debug information in a second or so, and looks addresses up in it. What its Python module
does not offer, names to addresses, is read from the index itself: a header and tables of 32-bit numbers.
https://github.com/getsentry/symbolic/blob/master/symbolic-symcache/src/raw.rs
"""

from __future__ import annotations

import functools
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from symbolic.debuginfo import Archive
from symbolic.exceptions import SymbolicError

from tailflame.host.functions import Function, demangled, stable_name

SIZE_LIMIT = 512 << 20
"""Bytes of a binary that is indexed: beyond, it would take more than a quarter of a minute."""

_HEADER = struct.Struct("<4sI32sIIIIII16x")
_VERSIONS = range(7, 10)
_NOTHING = 0xFFFFFFFF
_DEEPEST = 1000
"""Inlined calls within each other; a compiler gives up long before."""


@dataclass(frozen=True, slots=True, eq=False)
class _Index:
    """name, code: of each function, where its name begins in `strings` and where its code does (or _NOTHING).
    function, into: of each place in the source, its function, and the place that it is inlined into."""

    name: Any
    code: Any
    function: Any
    into: Any
    strings: bytes

    def text(self, at: int) -> str:
        """A string with its length in front, in LEB128."""
        length = shift = 0
        while True:
            byte = self.strings[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return self.strings[at : at + length].decode("utf-8", "replace")


def inlined_into(binary: Path, name: str) -> tuple[str, ...]:
    """The functions with code of their own that hold inlined copies of `name`, the one with most of them first.

    name: as a profile has it, whole or its last components. Empty where nothing is known of such a function: no debug
    information, or nobody calls it. The first time it takes about a second for 10 MB of debug information.
    """
    wanted = stable_name(name.strip())
    last = wanted.split("(", 1)[0].rstrip(">").rpartition("::")[2].split("<", 1)[0].strip()
    try:
        status = binary.stat()
        if not last or status.st_size > SIZE_LIMIT:
            return ()
        index = _index(binary.absolute(), status.st_mtime_ns, status.st_size, status.st_ino)
    except (OSError, SymbolicError):
        return ()
    if index is None:
        return ()
    try:
        return _callers(index, wanted, last)
    except (IndexError, ValueError):
        return ()


def inlining_caution(binary: Path, functions: Sequence[Function]) -> str:
    """That calls of probed functions will be missed, because they are inlined elsewhere as well; "" where they are not.

    As slow as `inlined_into` the first time.
    """
    parts = []
    for function in functions:
        holders = [name for name in inlined_into(binary, function.name) if name != function.name]
        if holders:
            more = f" and {len(holders) - 3} more" if len(holders) > 3 else ""
            parts.append(f"{function.name} is also inlined into {', '.join(holders[:3])}{more}")
    return f"{'; '.join(parts)}: calls there are not seen." if parts else ""


def _callers(index: _Index, wanted: str, last: str) -> tuple[str, ...]:
    inlined = np.unique(index.function[index.into != _NOTHING])
    symbols = {int(f): index.text(int(index.name[f])) for f in inlined[inlined < len(index.name)]}
    likely = {f: symbol for f, symbol in symbols.items() if last in symbol}
    names, _ = demangled(list(likely.values()))
    chosen = [f for f, known in zip(likely, names, strict=True) if known == wanted or known.endswith(f"::{wanted}")]
    places = np.flatnonzero(np.isin(index.function, chosen) & (index.into != _NOTHING))
    for _ in range(_DEEPEST):
        inner = index.into[places] != _NOTHING
        if not inner.any():
            break
        places = np.where(inner, index.into[places], places)
    counted = Counter(index.function[places].tolist())
    outer = [(index.text(int(index.name[f])), n) for f, n in counted.most_common() if f < len(index.name)]
    readable, _ = demangled([symbol for symbol, _ in outer])
    return tuple(dict.fromkeys(readable))


@functools.lru_cache(maxsize=2)
def _index(path: Path, _mtime: int, _size: int, _inode: int) -> _Index | None:
    found = next(iter(Archive.open(str(path)).iter_objects()), None)
    if found is None or "debug" not in found.features:
        return None
    index: Any = found.make_symcache()
    data: bytes = index.open_stream().read()
    magic, version, _, _, _, functions, places, ranges, strings = _HEADER.unpack_from(data)
    if magic != b"SYMC" or version not in _VERSIONS:
        return None  # another layout: nothing is known, rather than something wrong
    # From the end: the records of the files, in front, differ between versions. Each table begins at 8 bytes.
    text_at = len(data) - strings
    ranges_at = text_at - _whole(4 * ranges)
    places_at = ranges_at - 16 * places
    functions_at = places_at - 16 * functions
    if functions_at < _HEADER.size:
        return None
    function = np.frombuffer(data, "<u4", 4 * functions, functions_at).reshape(-1, 4)
    place = np.frombuffer(data, "<u4", 4 * places, places_at).reshape(-1, 4)
    return _Index(function[:, 0], function[:, 2], place[:, 2], place[:, 3], data[text_at:])


def _whole(size: int) -> int:
    return (size + 7) // 8 * 8
