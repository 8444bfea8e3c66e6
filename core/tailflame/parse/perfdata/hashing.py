"""Numbering equal things among millions without sorting: hash tables as arrays, and hashes of runs of words.

np.unique sorts: 16 s for 24 million addresses. These look at each value a few times: a tenth of that, and no other
library is needed for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tailflame.model.stacks import Bool, Int64, UInt64

_ODD = np.uint64(0x9E37_79B9_7F4A_7C15)
_MIX = np.uint64(0xD6E8_FEB8_6659_FD93)
_BASE = 0x2545_F491_4F6C_DD1D
"""Odd: it has an inverse among 64-bit numbers, so that a run's hash does not depend on where the run begins."""
_HALF = np.uint64(32)
_BLOCK = 1 << 17
"""Words that are hashed at a time: they stay in the processor's cache."""
_FEW = 4096


def mixed(values: UInt64) -> UInt64:
    """Values whose every bit depends on all bits of the given ones."""
    found = values * _ODD
    found ^= found >> _HALF
    found *= _MIX
    found ^= found >> _HALF
    return found


def factorize(keys: UInt64) -> tuple[Int64, Int64]:
    """(the number of each key, the row in which each number first appears). Numbers count first appearances."""
    count = len(keys)
    width = np.int32 if count < 1 << 31 else np.int64
    rows: Int64 = np.arange(count, dtype=width)
    leader = rows.copy()
    """The first row that has the same key."""
    left, here = rows, keys
    seed = int(_ODD)
    while len(left) > _FEW:
        bits = int(len(left) - 1).bit_length() + 1
        slot = here * np.uint64(seed)
        slot ^= slot >> _HALF
        slot *= _MIX
        slot >>= np.uint64(64 - bits)
        places = slot.view(np.int64)
        # Never cleared: only slots that have just been written are read. The last one to write stays: the first row.
        table = np.empty(1 << bits, width)
        table[places[::-1]] = left[::-1]
        found = table[places]
        if len(left) == count:
            leader = found
        else:
            leader[left] = found
        left = left[keys[found] != here]
        here = keys[left]
        seed = (seed * 0x5851_F42D_4C95_7F2D | 1) & 0xFFFF_FFFF_FFFF_FFFF
    if len(left):
        _, first, inverse = np.unique(here, return_index=True, return_inverse=True)
        leader[left] = left[first][inverse]
    is_first = leader == rows
    return (np.cumsum(is_first) - 1)[leader], np.flatnonzero(is_first)


def run_hashes(words: UInt64, start: Int64, stop: Int64) -> UInt64:
    """A hash of each run words[start:stop]; the runs follow one another without overlap.

    Equal runs have equal hashes; that two of a million different ones have the same is a chance of 1 in 10 million.
    """
    hashes = np.zeros(len(start), np.uint64)
    if not len(start):
        return hashes
    longest = int((stop - start).max())
    # Each block begins with a run and ends with one.
    edge = np.searchsorted(stop, np.arange(int(start[0]), int(stop[-1]) + _BLOCK, _BLOCK), side="right")
    edges = np.unique(np.concatenate([[0], edge, [len(start)]]))
    spans = stop[edges[1:] - 1] - start[edges[:-1]]
    size = int(max(spans.max(initial=0), longest)) + 1
    power = _powers(_BASE, size)
    inverse = _powers(pow(_BASE, -1, 1 << 64), size)
    buffer = np.empty(size, np.uint64)
    shifted = np.empty(size, np.uint64)
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        begin = int(start[low])
        length = int(stop[high - 1]) - begin
        if length <= 0:
            continue
        here, moved = buffer[:length], shifted[:length]
        np.multiply(words[begin : begin + length], _ODD, out=here)
        np.right_shift(here, _HALF, out=moved)
        np.bitwise_xor(here, moved, out=here)
        np.multiply(here, power[:length], out=here)
        buffer[length] = 0
        bounds = np.empty(2 * (high - low), np.int64)
        bounds[0::2] = start[low:high] - begin
        bounds[1::2] = stop[low:high] - begin
        sums = np.add.reduceat(buffer[: length + 1], bounds)[::2]
        hashes[low:high] = sums * inverse[bounds[0::2]]
    hashes[start == stop] = 0
    return mixed(hashes + (stop - start).astype(np.uint64) * _MIX)


def _powers(base: int, count: int) -> UInt64:
    factors = np.full(count, np.uint64(base & 0xFFFF_FFFF_FFFF_FFFF))
    factors[0] = 1
    return np.multiply.accumulate(factors)


def gathered(start: Int64, length: Int64) -> Int64:
    """The positions of runs, one run after another: start, start + 1, ..."""
    total = int(length.sum())
    if not total:
        return np.empty(0, np.int64)
    full: Bool = length > 0
    start, length = start[full], length[full]
    step = np.ones(total, np.int64)
    ends = np.cumsum(length)
    step[0] = start[0]
    step[ends[:-1]] = start[1:] - (start[:-1] + length[:-1] - 1)
    return np.cumsum(step)


def rows_of(codes: Int64, wanted: Sequence[int]) -> Iterator[tuple[int, Int64]]:
    """Each of the wanted codes with its rows, ascending."""
    if not wanted:
        return
    if len(wanted) == 1:
        yield wanted[0], np.flatnonzero(codes == wanted[0])
        return
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    for code in wanted:
        low, high = np.searchsorted(ordered, (code, code + 1))
        yield code, order[low:high]
