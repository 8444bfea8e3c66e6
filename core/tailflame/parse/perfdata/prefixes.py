"""Stacks merged into a StackTable all at once, by hashes of their prefixes.

parse/trie.py does it level by level and batch by batch, in bounded memory; here all stacks are distinct and at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailflame.model import NONE, StackTable
from tailflame.model.stacks import Int32, Int64, UInt64, readonly
from tailflame.parse.perfdata.hashing import factorize, mixed
from tailflame.parse.trie import ROWS_LIMIT, TooManyStacks, Trie

_BASE = np.uint64(0x2545_F491_4F6C_DD1D)


@dataclass(slots=True, eq=False)
class Prefixes:
    """Distinct stack prefixes, parents first."""

    frame: Int64
    parent: Int64
    depth: Int64

    def __len__(self) -> int:
        return len(self.frame)

    def grow(self, parent: Int64, frame: Int64) -> Int64:
        """The rows of (parent, frame) pairs, new ones behind the others. Parents may be -1."""
        # Rows that are there already: only the children of the wanted parents can be among them.
        wanted = np.zeros(len(self) + 1, np.bool_)
        wanted[parent] = True  # -1 is the last
        there = np.flatnonzero(wanted[self.parent])
        parents = np.concatenate([self.parent[there], parent])
        frames = np.concatenate([self.frame[there], frame])
        code, first = factorize(((parents + 1) << 32 | frames).astype(np.uint64))
        fresh = first >= len(there)
        row = np.empty(len(first), np.int64)
        row[~fresh] = there[first[~fresh]]
        row[fresh] = np.arange(len(self), len(self) + int(fresh.sum()))
        above = parents[first[fresh]]
        depth = np.where(above >= 0, self.depth[above], -1) + 1 if len(self) else np.zeros(len(above), np.int64)
        self.frame = np.concatenate([self.frame, frames[first[fresh]]])
        self.parent = np.concatenate([self.parent, above])
        self.depth = np.concatenate([self.depth, depth])
        _bounded(len(self))
        return row[code[len(there) :]]

    def below(self, root: Int64, row: Int64) -> tuple[StackTable, Int32]:
        """The table in which each stack (`row`; -1: empty) stands below a frame of its own (`root`), and its row there.

        Level by level, from the deepest: a prefix is there once for each root that a stack through it has.
        """
        width = len(self) + 1
        key = root * width + row + 1
        depth = np.where(row >= 0, self.depth[row], -1) if len(self) else np.full(len(row), NONE)
        order = np.argsort(-depth, kind="stable")
        deepest = int(depth.max(initial=-1))
        edges = np.searchsorted(-depth[order], np.arange(-deepest, 3))
        parent_of = np.concatenate([[NONE], self.parent])
        above = np.empty(0, np.int64)
        levels: list[tuple[Int64, Int64]] = []  # keys; for each the code of its parent one level up
        code_of = np.empty(len(row), np.int64)
        for step in range(deepest + 2):
            mine = order[edges[step] : edges[step + 1]]
            code, first = factorize(np.concatenate([above, key[mine]]).astype(np.uint64))
            if levels:
                levels[-1] = (levels[-1][0], code[: len(above)])
            code_of[mine] = code[len(above) :]
            here = np.concatenate([above, key[mine]])[first]
            levels.append((here, here))
            above = here // width * width + parent_of[here % width] + 1
        sizes = np.array([len(keys) for keys, _ in levels], np.int64)
        _bounded(int(sizes.sum()))
        # The roots, which are the last level, come first.
        base = int(sizes.sum()) - np.cumsum(sizes)
        frame_of = np.concatenate([[NONE], self.frame])
        frames = [np.where(keys % width > 0, frame_of[keys % width], keys // width) for keys, _ in reversed(levels)]
        parents = [np.full(int(sizes[-1]), NONE, np.int64)]
        parents += [code + base[step + 1] for step, (_, code) in reversed(list(enumerate(levels[:-1])))]
        table = StackTable(readonly(np.concatenate(frames), np.int32), readonly(np.concatenate(parents), np.int32))
        return table, (code_of + base[deepest - depth]).astype(np.int32)


def merged(frames: Int64, length: Int64) -> tuple[Prefixes, Int64]:
    """All prefixes, and the row of each stack (-1: it has no frames).

    frames: the stacks' frame numbers one after another, root first; length: frames per stack. Raises TooManyStacks.
    """
    start = np.cumsum(length) - length
    leaf = np.full(len(length), NONE, np.int64)
    if not len(frames):
        return Prefixes(*[np.empty(0, np.int64)] * 3), leaf
    full = np.flatnonzero(length > 0)
    depth = np.arange(len(frames)) - np.repeat(start[full], length[full])
    node, first = factorize(_prefix_hashes(frames, depth, start, length))
    parent_of = np.empty(len(frames), np.int64)
    parent_of[0] = NONE
    parent_of[1:] = node[:-1]
    parent_of[start[full]] = NONE
    frame, parent = frames[first], parent_of[first]
    leaf[full] = node[start[full] + length[full] - 1]
    _bounded(len(frame))
    if np.array_equal(frame[node], frames) and np.array_equal(parent[node], parent_of):
        return Prefixes(frame, parent, depth[first]), leaf
    trie = Trie()  # two prefixes have the same hash
    leaf = trie.add(frames, length).astype(np.int64)
    table = trie.table()
    return Prefixes(table.frame.astype(np.int64), table.parent.astype(np.int64), table.depths().astype(np.int64)), leaf


def _prefix_hashes(frames: Int64, depth: Int64, start: Int64, length: Int64) -> UInt64:
    power = np.full(int(depth.max()) + 1, _BASE)
    power[0] = 1
    power = np.multiply.accumulate(power)
    sums = np.cumsum(mixed(frames.astype(np.uint64) + np.uint64(1)) * power[depth])
    before = np.zeros(len(start), np.uint64)
    before[start > 0] = sums[start[start > 0] - 1]
    return sums - np.repeat(before, length) + mixed(depth.astype(np.uint64))


def _bounded(rows: int) -> None:
    if rows > ROWS_LIMIT:
        raise TooManyStacks
