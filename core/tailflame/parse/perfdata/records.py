"""Where the records of a perf.data file begin, and what kind each is. Nothing in them is decoded here.

A record is `u32 type, u16 misc, u16 size`, then its data (struct perf_event_header in the kernel's perf_event.h).
"""

from __future__ import annotations

import mmap
import struct
from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tailflame.model.stacks import Int64

MMAP, LOST, COMM, EXIT, THROTTLE, UNTHROTTLE, FORK, READ, SAMPLE, MMAP2 = range(1, 11)
AUX, ITRACE_START, LOST_SAMPLES, SWITCH, SWITCH_CPU_WIDE, NAMESPACES, KSYMBOL, BPF_EVENT, CGROUP, TEXT_POKE = range(
    11, 21
)
AUX_OUTPUT_HW_ID, CALLCHAIN_DEFERRED = 21, 22
ATTR, EVENT_TYPE, TRACING_DATA, BUILD_ID, FINISHED_ROUND = range(64, 69)
AUXTRACE, FEATURE, COMPRESSED, COMPRESSED2 = 71, 80, 81, 83

_NO_HEADER = np.uint64(7 << 48 | 0xFFFF_FF80)
"""Bits that are not set in the first word of a record: of a size that is no multiple of eight, of a type above 127."""
_SIZE = np.uint64(51)
"""Above this bit stands the size in words."""
_PIECE = 1 << 20
"""Words that are looked at at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """One entry per record, in the order of the file. at: its first byte; kind, misc and size: its header's;
    end: where the last whole record ends."""

    at: Int64
    kind: Int64
    misc: Int64
    size: Int64
    end: int

    def __len__(self) -> int:
        return len(self.at)

    def rows(self, *kinds: int) -> Int64:
        """The records of these kinds."""
        return np.flatnonzero(np.isin(self.kind, kinds)) if len(kinds) > 1 else np.flatnonzero(self.kind == kinds[0])


def walk(
    data: mmap.mmap | bytes | bytearray | memoryview,
    order: str,
    begin: int,
    end: int,
    *,
    watch: Callable[[], None] = lambda: None,
) -> Records:
    """The whole records in data[begin:end]. order: "<" or ">"; watch: called now and then, stops by raising."""
    whole = memoryview(data)
    end = min(end, len(whole))
    if order == "<" and not begin % 8:
        at, stop = _fast(whole, begin, end, watch)
    else:
        at, stop = np.empty(0, np.int64), begin
    more, stop = _slow(whole, order, stop, end, watch)
    starts = np.concatenate([at, np.frombuffer(more, np.int64)]) if more else at
    kind, misc, size = _headers(whole, order, starts)
    return Records(starts, kind, misc, size, stop)


def _fast(whole: memoryview, begin: int, end: int, watch: Callable[[], None]) -> tuple[Int64, int]:
    """As far as all sizes are multiples of eight, as those of the kernel are.

    Words that can begin a record are found first; nearly all of them do, and then each record ends where the next of
    them stands. Only where that is not so is a step taken by itself.
    """
    words = np.frombuffer(whole[: end & ~7], "<u8")
    first, last = begin >> 3, len(words)
    found: list[Int64] = []
    for low in range(first, last, _PIECE):
        watch()
        piece = words[low : low + _PIECE]
        rows = np.flatnonzero((piece & _NO_HEADER) == 0)
        found.append(rows[piece[rows] >> _SIZE != 0] + low)
    likely = np.concatenate(found) if found else np.empty(0, np.int64)
    after = likely + (words[likely] >> _SIZE).astype(np.int64)
    special = np.isin(words[likely] & np.uint64(0xFFFF_FFFF), (AUXTRACE, TRACING_DATA))
    goes_on = np.zeros(len(likely), np.bool_)
    goes_on[:-1] = (after[:-1] == likely[1:]) & ~special[:-1] & ~special[1:]
    stops = np.flatnonzero(~goes_on)
    kept: list[Int64] = []
    at, steps = first, 0
    while at < last:
        row = int(np.searchsorted(likely, at))
        if row == len(likely) or likely[row] != at:
            break  # no header, or of an odd size
        to = int(stops[np.searchsorted(stops, row)])
        beyond = int(after[to])
        if special[to]:
            word = int(words[at])
            beyond += _beyond(whole, "<", at << 3, word & 0xFFFF_FFFF, word >> 48, end) >> 3
        if beyond > last:
            kept.append(likely[row:to])
            at = int(likely[to])
            break
        kept.append(likely[row : to + 1])
        at = beyond
        steps += 1
        if not steps & 0xFFF:
            watch()
    return (np.concatenate(kept) << 3 if kept else likely[:0]), at << 3


def _slow(whole: memoryview, order: str, begin: int, end: int, watch: Callable[[], None]) -> tuple[array[int], int]:
    """Any sizes: compressed records have such."""
    header = struct.Struct(f"{order}IHH").unpack_from
    found = array("q")
    at = begin
    while at + 8 <= end:
        kind, _, size = header(whole, at)
        if size < 8 or at + size > end:
            break
        after = at + size + (_beyond(whole, order, at, kind, size, end) if kind >= 64 else 0)
        if after > end:
            break
        found.append(at)
        at = after
        if not len(found) & 0xFFFF:
            watch()
    return found, at


def _beyond(whole: memoryview, order: str, at: int, kind: int, size: int, end: int) -> int:
    """Bytes that follow a record and that its size does not count."""
    if kind == AUXTRACE and size >= 16:
        return int(struct.unpack_from(f"{order}Q", whole, at + 8)[0]) + 7 & ~7
    if kind == TRACING_DATA and size >= 12:
        return int(struct.unpack_from(f"{order}I", whole, at + 8)[0]) + 7 & ~7
    return 0


def _headers(whole: memoryview, order: str, at: Int64) -> tuple[Int64, Int64, Int64]:
    if not len(at):
        return at, at, at
    if order == "<" and not (at & 7).any():
        words = np.frombuffer(whole[: len(whole) & ~7], "<u8")
        first = words[at >> 3]
        return (
            (first & np.uint64(0xFFFF_FFFF)).astype(np.int64),
            (first >> np.uint64(32) & np.uint64(0xFFFF)).astype(np.int64),
            (first >> np.uint64(48)).astype(np.int64),
        )
    every = np.frombuffer(whole, np.uint8)
    raw = np.ascontiguousarray(every[at[:, None] + np.arange(8)])
    heads = raw.view(np.dtype([("kind", f"{order}u4"), ("misc", f"{order}u2"), ("size", f"{order}u2")]))[:, 0]
    return heads["kind"].astype(np.int64), heads["misc"].astype(np.int64), heads["size"].astype(np.int64)
