"""perf.data files made by hand: one sample for each address one wants perf to name."""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

_ATTR_SIZE, _HEADER_SIZE = 128, 104
_IP_TID_TIME = 1 | 2 | 4
_SAMPLE_ID_ALL = 1 << 18
_COMM, _SAMPLE, _MMAP2 = 3, 9, 10
_USER = 2
_BASE = 0x7F00_0000_0000
_NAMED = re.compile(r"\s*([0-9a-f]+) (.*)")


def perf_names(binary: Path, offsets: Sequence[int], folder: Path) -> list[str]:
    """What perf script prints for places in a file: `main+0x1f`, or `[unknown]`."""
    recording = folder / "made.perf.data"
    recording.write_bytes(made_perf_data(binary, offsets))
    argv = ["perf", "script", "-f", "-i", str(recording), "-F", "ip,sym,symoff"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found = [match for line in done.stdout.splitlines() if (match := _NAMED.fullmatch(line))]
    assert [int(match[1], 16) - _BASE for match in found] == list(offsets), done.stderr
    return [match[2] for match in found]


def made_perf_data(binary: Path, offsets: Sequence[int]) -> bytes:
    """A process that has mapped the whole of a file, sampled at each offset in turn."""
    path = str(binary).encode()
    path += bytes(8 - len(path) % 8)
    where = struct.pack("<IIQ", 7, 7, 1)
    mapping = struct.pack("<IIQQQIIQQII", 7, 7, _BASE, 1 << 30, 0, 0, 0, 0, 0, 5, 2)
    records = [
        _record(_COMM, 0, struct.pack("<II", 7, 7) + b"made\0\0\0\0" + where),
        _record(_MMAP2, _USER, mapping + path + where),
        *(_record(_SAMPLE, _USER, struct.pack("<QIIQ", _BASE + at, 7, 7, 2 + n)) for n, at in enumerate(offsets)),
    ]
    data = b"".join(records)
    attr = struct.pack("<IIQQQQQ", 1, _ATTR_SIZE, 0, 1_000_000, _IP_TID_TIME, 0, _SAMPLE_ID_ALL)
    attr = attr.ljust(_ATTR_SIZE, b"\0") + bytes(16)
    places = (_HEADER_SIZE, len(attr), _HEADER_SIZE, len(attr), _HEADER_SIZE + len(attr), len(data), 0, 0)
    return b"PERFILE2" + struct.pack("<8Q", *places) + bytes(32) + attr + data


def _record(kind: int, mode: int, body: bytes) -> bytes:
    return struct.pack("<IHH", kind, mode, 8 + len(body)) + body
