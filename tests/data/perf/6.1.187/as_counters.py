"""Makes a recording of four software clocks read as one of four hardware counters: type, config and names alone.

    as_counters.py SOFTWARE.data COUNTERS.data

perf_event_attr.type and .config of each event are those of the counter (include/uapi/linux/perf_event.h), in the
file's own attributes and in its event descriptions, where the name is replaced as well, as in the command line.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

COUNTERS = {"cycles": 0, "instructions": 1, "cache-misses": 3, "branch-misses": 5}
CMDLINE, EVENT_DESC = 11, 12


def main() -> None:
    data = bytearray(Path(sys.argv[1]).read_bytes())
    _magic, _size, attr_size, attrs_at, attrs_size, data_at, data_size = struct.unpack_from("<8s6Q", data)
    assert attrs_size // attr_size == len(COUNTERS)
    for number, config in enumerate(COUNTERS.values()):
        become(data, attrs_at + number * attr_size, config)
    features = int.from_bytes(data[72:104], "little")
    sections = [bit for bit in range(256) if features >> bit & 1]
    for place, bit in enumerate(sections):
        at, _length = struct.unpack_from("<QQ", data, data_at + data_size + place * 16)
        if bit == EVENT_DESC:
            describe(data, at)
        elif bit == CMDLINE:
            command(data, at)
    Path(sys.argv[2]).write_bytes(data)


def become(data: bytearray, at: int, config: int) -> None:
    struct.pack_into("<I", data, at, 0)  # PERF_TYPE_HARDWARE
    struct.pack_into("<Q", data, at + 8, config)


def describe(data: bytearray, at: int) -> None:
    """u32 events, u32 attr size; for each: attr, u32 ids, name, ids."""
    events, attr_size = struct.unpack_from("<II", data, at)
    assert events == len(COUNTERS)
    at += 8
    for name, config in COUNTERS.items():
        become(data, at, config)
        (ids,) = struct.unpack_from("<I", data, at + attr_size)
        at = rename(data, at + attr_size + 4, name) + 8 * ids


def command(data: bytearray, at: int) -> None:
    """u32 words, then each."""
    (words,) = struct.unpack_from("<I", data, at)
    at += 4
    for _ in range(words):
        (room,) = struct.unpack_from("<I", data, at)
        word = bytes(data[at + 4 : at + 4 + room]).rstrip(b"\0").decode()
        at = rename(data, at, ",".join(COUNTERS)) if "clock" in word else at + 4 + room


def rename(data: bytearray, at: int, name: str) -> int:
    """A string is its room as u32, then itself, filled up with zeros. Returns where the next one begins."""
    (room,) = struct.unpack_from("<I", data, at)
    assert len(name) < room
    data[at + 4 : at + 4 + room] = name.encode().ljust(room, b"\0")
    return at + 4 + room


main()
