"""Makes a large perf.data file, the same one each time: frame-pointer call chains through a real binary.

    python benchmarks/perf_data_input.py OUT [--binary FILE] [--samples N] [--seed N]

perf, hotspot and Tailflame can all read it, and find the binary's symbols and debug information: it is mapped as the
loader would map it. The default is 1,333,025 samples and 24 million frames (257 MB): 40,000 distinct paths of callers,
of which few are taken often, and 32 places at which each function is sampled.
"""

from __future__ import annotations

import argparse
import struct
from pathlib import Path
from typing import Any

import numpy as np
from elftools.elf.elffile import ELFFile

SAMPLES = 1_333_025
_PATHS = 40_000
_PLACES = 32
_MEAN_DEPTH = 17
_BASE = 0x5555_5555_4000
_PID, _THREADS = 4_000, 8
_CHUNK = 100_000
_USER_MARK = (1 << 64) - 512
_IP, _TID, _TIME, _CALLCHAIN, _PERIOD = 1 << 0, 1 << 1, 1 << 2, 1 << 5, 1 << 8
_FLAGS = (
    1 << 8 | 1 << 9 | 1 << 10 | 1 << 13 | 1 << 18 | 1 << 23 | 1 << 24
)  # mmap comm freq task sample_id_all mmap2 comm_exec
_BUILD_ID, _HOSTNAME, _OSRELEASE, _VERSION, _ARCH, _NRCPUS, _CMDLINE, _EVENT_DESC = 2, 3, 4, 5, 6, 7, 11, 12
_DEMO = Path(__file__).resolve().parent.parent / (
    "resources/demo/trading-system/target/release-with-debug/trading-system"
)


def functions(binary: Path) -> tuple[Any, Any, str, list[tuple[int, int, int]]]:
    """(offsets, sizes) of the functions in the file, its build id, and its loaded code as (offset, address, size)."""
    with binary.open("rb") as raw:
        elf = ELFFile(raw)
        code = [
            (s.header.p_offset, s.header.p_vaddr, s.header.p_filesz)
            for s in elf.iter_segments("PT_LOAD")
            if s.header.p_flags & 1
        ]
        found = set()
        for symbol in elf.get_section_by_name(".symtab").iter_symbols():
            address, size = symbol.entry.st_value, symbol.entry.st_size
            if symbol.entry.st_info.type != "STT_FUNC" or size < 48:
                continue
            for offset, start, length in code:
                if start <= address and address + size <= start + length:
                    found.add((address - start + offset, size))
        notes = elf.get_section_by_name(".note.gnu.build-id")
        build_id = next(iter(notes.iter_notes())).n_desc if notes else ""
    offsets, sizes = np.array(sorted(found), np.int64).T
    return offsets, sizes, build_id, code


def write(out: Path, binary: Path, *, samples: int = SAMPLES, seed: int = 1) -> None:
    random = np.random.default_rng(seed)
    offsets, sizes, build_id, code = functions(binary)
    event = _event()
    with out.open("wb") as raw:
        raw.write(bytes(104))
        ids_at = raw.tell()
        raw.write(struct.pack("<Q", 1))
        attrs_at = raw.tell()
        raw.write(event + struct.pack("<2Q", ids_at, 8))
        data_at = raw.tell()
        raw.write(_comm(_PID, "bench", 0))
        for offset, address, size in code:
            page = address & ~0xFFF
            end = address + size + 0xFFF & ~0xFFF
            raw.write(_mmap2(_BASE + page, end - page, offset - (address - page), str(binary)))
        for thread in range(1, _THREADS):
            raw.write(_comm(_PID + thread, "worker", thread))
        _samples(raw, random, offsets + _BASE + code[0][1] - code[0][0], sizes, samples)
        data_end = raw.tell()
        _features(raw, data_end, event, build_id, binary)
        raw.seek(0)
        bits = sum(
            1 << bit for bit in (_BUILD_ID, _HOSTNAME, _OSRELEASE, _VERSION, _ARCH, _NRCPUS, _CMDLINE, _EVENT_DESC)
        )
        raw.write(b"PERFILE2" + struct.pack("<2Q", 104, len(event) + 16))
        raw.write(struct.pack("<4Q", attrs_at, len(event) + 16, data_at, data_end - data_at))
        raw.write(bytes(16) + struct.pack("<4Q", bits, 0, 0, 0))


def _event() -> bytes:
    """cpu-clock at 999 Hz."""
    fields = _IP | _TID | _TIME | _CALLCHAIN | _PERIOD
    return struct.pack("<2I5Q", 1, 128, 0, 999, fields, 0, _FLAGS).ljust(128, b"\0")


def _record(kind: int, misc: int, body: bytes) -> bytes:
    return struct.pack("<IHH", kind, misc, 8 + len(body)) + body


def _text(text: str) -> bytes:
    raw = text.encode()
    return raw.ljust(len(raw) // 8 * 8 + 8, b"\0")


def _trailer(tid: int, time: int) -> bytes:
    return struct.pack("<iiQ", _PID, tid, time)


def _comm(tid: int, name: str, time: int) -> bytes:
    return _record(3, 0, struct.pack("<ii", _PID, tid) + _text(name) + _trailer(tid, time))


def _mmap2(start: int, size: int, offset: int, path: str) -> bytes:
    body = struct.pack("<iiQQQ", _PID, _PID, start, size, offset) + struct.pack("<IIQQII", 8, 1, 0, 0, 5, 2)
    return _record(10, 2, body + _text(path) + _trailer(_PID, 0))


def _samples(raw: Any, random: np.random.Generator, start: Any, size: Any, samples: int) -> None:
    count = len(start)
    paths = min(_PATHS, samples)
    depth = np.clip(random.poisson(_MEAN_DEPTH - 8, paths) + 8, 4, 60) - 1
    # Callers: each path follows another for most of its way, as paths of one program do.
    rows = np.zeros((paths, int(depth.max())), np.int64)
    sites = start + (size * random.random(count) * 0.9).astype(np.int64) + 5
    followed = random.integers(0, np.maximum(np.arange(paths), 1))
    kept = (depth * random.beta(4, 2, paths)).astype(np.int64)
    fresh = sites[random.integers(0, count, rows.shape) * random.integers(1, 3, rows.shape) % count]
    for path in range(paths):
        cut = min(int(kept[path]), int(depth[followed[path]])) if path else 0
        rows[path, :cut] = rows[followed[path], :cut]
        rows[path, cut:] = fresh[path, cut:]
    leaf = random.integers(0, count, paths)
    weight = 1 / (np.arange(paths) + 20.0)
    chosen = random.choice(paths, samples, p=weight / weight.sum())
    place = (random.random((count, _PLACES)) * size[:, None]).astype(np.int64)
    spot = np.minimum(random.geometric(0.15, samples) - 1, _PLACES - 1)
    thread = random.integers(0, _THREADS, samples)
    time = 10**12 + np.cumsum(random.integers(500_000, 1_500_000, samples)) // 8
    for begin in range(0, samples, _CHUNK):
        part = slice(begin, min(begin + _CHUNK, samples))
        path = chosen[part]
        length = depth[path]
        words = 8 + length  # header, ip, tid, time, period, number, marker, leaf
        at = np.cumsum(words) - words
        block = np.zeros(int(words.sum()), np.uint64)
        ip = (start[leaf[path]] + place[leaf[path], spot[part]]).astype(np.uint64)
        tid = _PID + thread[part].astype(np.uint64)
        block[at] = np.uint64(9 | 2 << 32) | words.astype(np.uint64) << np.uint64(51)
        block[at + 1] = ip
        block[at + 2] = tid << np.uint64(32) | np.uint64(_PID)
        block[at + 3] = time[part].astype(np.uint64)
        block[at + 4] = 1_001_001
        block[at + 5] = (length + 2).astype(np.uint64)
        block[at + 6] = np.uint64(_USER_MARK)
        block[at + 7] = ip
        # Innermost first: the callers behind the leaf, from the last of the row to the first.
        owner = np.repeat(np.arange(len(path)), length)
        step = np.arange(len(owner)) - np.repeat(np.cumsum(length) - length, length)
        block[at[owner] + 8 + step] = rows[path[owner], length[owner] - 1 - step].astype(np.uint64)
        raw.write(block.tobytes())


def _features(raw: Any, at: int, event: bytes, build_id: str, binary: Path) -> None:
    def string(text: str) -> bytes:
        body = text.encode().ljust(len(text) // 64 * 64 + 64, b"\0")
        return struct.pack("<I", len(body)) + body

    path = str(binary).encode()
    path = path.ljust(len(path) // 64 * 64 + 64, b"\0")
    identity = bytes.fromhex(build_id)[:20].ljust(20, b"\0")
    sections = [
        struct.pack("<IHH", 0, 2 | 1 << 15, 36 + len(path)) + struct.pack("<i", -1) + identity + b"\x14\0\0\0" + path,
        string("bench"),
        string("6.1.0"),
        string("6.1.0"),
        string("x86_64"),
        struct.pack("<2I", 2, 2),
        struct.pack("<I", 3) + string("perf") + string("record") + string("-g"),
        struct.pack("<2I", 1, len(event)) + event + struct.pack("<I", 1) + string("cpu-clock") + struct.pack("<Q", 1),
    ]
    place = at + 16 * len(sections)
    for section in sections:
        raw.write(struct.pack("<2Q", place, len(section)))
        place += len(section)
    for section in sections:
        raw.write(section)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("out", type=Path)
    options.add_argument("--binary", type=Path, default=_DEMO)
    options.add_argument("--samples", type=int, default=SAMPLES)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    write(given.out, given.binary.resolve(), samples=given.samples, seed=given.seed)
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
