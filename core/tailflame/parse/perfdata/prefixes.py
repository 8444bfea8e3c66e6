"""Stacks merged into a StackTable all at once, by hashes of their prefixes.

parse/trie.py does it level by level and batch by batch, in bounded memory; here all stacks are distinct and at hand.
"""

from __future__ import annotations

import numpy as np

from tailflame.model import NONE, StackTable
from tailflame.model.stacks import Int32, Int64, UInt64, readonly
from tailflame.parse.perfdata.hashing import factorize, mixed
from tailflame.parse.trie import ROWS_LIMIT, TooManyStacks, Trie

_BASE = np.uint64(0x2545_F491_4F6C_DD1D)


def merged(frames: Int64, length: Int64) -> tuple[StackTable, Int32]:
    """The table of all prefixes, and the row of each stack (-1: it has no frames).

    frames: the stacks' frame numbers one after another, root first; length: frames per stack. Raises TooManyStacks.
    """
    start = np.cumsum(length) - length
    leaf = np.full(len(length), NONE, np.int32)
    if not len(frames):
        empty = readonly(np.empty(0, np.int32), np.int32)
        return StackTable(empty, empty), leaf
    full = np.flatnonzero(length > 0)
    depth = np.arange(len(frames)) - np.repeat(start[full], length[full])
    node, first = factorize(_prefix_hashes(frames, depth, start, length))
    parent_of = np.empty(len(frames), np.int64)
    parent_of[0] = NONE
    parent_of[1:] = node[:-1]
    parent_of[start[full]] = NONE
    frame, parent = frames[first], parent_of[first]
    leaf[full] = node[start[full] + length[full] - 1]
    if not (np.array_equal(frame[node], frames) and np.array_equal(parent[node], parent_of)):
        trie = Trie()  # two prefixes have the same hash
        leaf = trie.add(frames, length)
        return trie.table(), leaf
    if len(frame) > ROWS_LIMIT:
        raise TooManyStacks
    return StackTable(readonly(frame, np.int32), readonly(parent, np.int32)), leaf


def _prefix_hashes(frames: Int64, depth: Int64, start: Int64, length: Int64) -> UInt64:
    power = np.full(int(depth.max()) + 1, _BASE)
    power[0] = 1
    power = np.multiply.accumulate(power)
    sums = np.cumsum(mixed(frames.astype(np.uint64) + np.uint64(1)) * power[depth])
    before = np.zeros(len(start), np.uint64)
    before[start > 0] = sums[start[start > 0] - 1]
    return sums - np.repeat(before, length) + mixed(depth.astype(np.uint64))
