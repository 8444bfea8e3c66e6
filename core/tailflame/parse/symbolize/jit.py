"""Functions that a JIT compiler made: its text map (/tmp/perf-PID.map) or its binary dump (jit-PID.dump)."""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tailflame.parse.symbolize.symtab import NAME_LIMIT, Symbols, SymbolTable, table_of

MAP_NAME = re.compile(r"perf-(\d+)\.map")
_LIMIT = 256 * 1024**2
"""Bytes of a map that are read. Of a dump, which holds the code as well, the headers of four times as many."""
_SYMBOLS_LIMIT = 4_000_000
_HIGHEST = 1 << 64
_GLOBAL = 1
_DUMP_MAGIC = 0x4A695444  # "JiTD"
_DUMP_HEADER, _RECORD = struct.Struct("<6I2Q"), struct.Struct("<2IQ")
_LOADED, _MOVED = struct.Struct("<2I4Q"), struct.Struct("<2I5Q")
_CODE_LOAD, _CODE_MOVE = 0, 1


def jit_table(path: Path) -> SymbolTable | None:
    """The functions of a perf-PID.map, or of the dump that lies beside it; None where there is neither."""
    text = _owned(path, _LIMIT)
    if text is not None:
        symbols = map_symbols(text)
        return table_of((symbols,)) if len(symbols) else None
    match = MAP_NAME.fullmatch(path.name)
    if match is None:
        return None
    data = _owned(path.with_name(f"jit-{match[1]}.dump"), 4 * _LIMIT)
    found = dump_symbols(data or b"")
    return table_of((found,)) if len(found) else None


def map_symbols(text: bytes) -> Symbols:
    """The symbols of lines such as `7f1c2a000040 1c0 Interpreter`. perf skips what is no such line, as this does."""
    found: list[tuple[int, int, bytes]] = []
    for line in text.split(b"\n"):
        parts = line.split(b" ", 2)
        if len(parts) != 3 or not parts[2]:
            continue
        try:
            start, size = int(parts[0], 16), int(parts[1], 16)
        except ValueError:
            continue
        if not 0 <= start < _HIGHEST or not 0 <= size < _HIGHEST - start:
            continue
        if len(found) >= _SYMBOLS_LIMIT:
            break
        found.append((start, size, parts[2][:NAME_LIMIT].replace(b"\0", b"?")))
    return _symbols(found)


def dump_symbols(data: bytes) -> Symbols:
    """The functions of a jitdump (tools/perf/Documentation/jitdump-specification.txt), in the order they were made."""
    if len(data) < _DUMP_HEADER.size or int.from_bytes(data[:4], "little") != _DUMP_MAGIC:
        return _symbols(())
    at = _DUMP_HEADER.unpack_from(data)[2]
    by_number: dict[int, tuple[int, int, bytes]] = {}
    at = max(at, _DUMP_HEADER.size)
    while at + _RECORD.size <= len(data) and len(by_number) < _SYMBOLS_LIMIT:
        kind, size, _ = _RECORD.unpack_from(data, at)
        if size < _RECORD.size or at + size > len(data):
            break
        body = at + _RECORD.size
        if kind == _CODE_LOAD and size >= _RECORD.size + _LOADED.size:
            _, _, _, address, length, number = _LOADED.unpack_from(data, body)
            begin = body + _LOADED.size
            end = data.find(b"\0", begin, min(begin + NAME_LIMIT, at + size))
            if end >= 0 and address + length < _HIGHEST:
                by_number.pop(number, None)
                by_number[number] = address, length, data[begin:end]
        elif kind == _CODE_MOVE and size >= _RECORD.size + _MOVED.size:
            _, _, _, _, address, length, number = _MOVED.unpack_from(data, body)
            if number in by_number and address + length < _HIGHEST:
                by_number[number] = address, length, by_number.pop(number)[2]
        at += size
    return _symbols(by_number.values())


def _symbols(found: Iterable[tuple[int, int, bytes]]) -> Symbols:
    """Symbols of (address, size, name). Where code was put in the place of other code, the newer one counts."""
    latest = {address: (size, name) for address, size, name in found}
    sizes, names = zip(*latest.values(), strict=True) if latest else ((), ())
    lengths = np.array([len(name) + 1 for name in names], dtype=np.int64)
    return Symbols(
        start=np.array(list(latest), dtype=np.uint64),
        size=np.array(sizes, dtype=np.uint64),
        binding=np.full(len(latest), _GLOBAL, dtype=np.uint8),
        name=np.cumsum(lengths) - lengths,
        text=b"\0".join(names) + b"\0",
    )


def _owned(path: Path, limit: int) -> bytes | None:
    """A file's bytes. None where it is not there, or another user may have made it up: /tmp is everybody's."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    with os.fdopen(descriptor, "rb") as raw:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in (0, os.geteuid()):
            return None
        try:
            return raw.read(limit)
        except OSError:
            return None
