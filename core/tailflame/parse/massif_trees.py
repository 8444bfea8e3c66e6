"""The call trees of massif's snapshots, turned over: massif hangs callers on callees, a profile callees on callers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tailflame.model import NONE, FrameKind
from tailflame.model.stacks import Bool, Float64, Int32, Int64
from tailflame.parse.profile_tables import ProfileTables
from tailflame.parse.valgrind_frames import ValgrindFrame, valgrind_frame

BELOW = "below massif's threshold"
"""`n0: 113 in 2 places, all below massif's threshold (1.00%)`, whatever the number of places, so that the same of two
snapshots is the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """The lines of one or several trees, each tree from its root on.

    first: where each tree begins, and where the last one ends. detail: what a line tells, as a number.
    """

    first: Int64
    depth: Int32
    children: Int64
    size: Int64
    detail: Int32


@dataclass(frozen=True, slots=True, eq=False)
class Turned:
    """Stacks with the bytes that were allocated there, root first, and what is wrong with each tree.

    tree: of each stack; frames: of all stacks one after another, as details; lengths, size (bytes): per stack.
    physical: the details that are functions of their own somewhere and not inlined into a caller.
    root: what each root says. unfinished: trees of which lines are missing; overfull: trees in which callers have
    more than the callee.
    """

    tree: Int64
    frames: Int32
    lengths: Int64
    size: Float64
    physical: Int32
    root: Int64
    unfinished: Bool
    overfull: Bool


def turned(trees: Trees, addresses: Int64, none: int) -> Turned:
    """addresses: of each detail, as a number, below 0 where it has none. none: the detail that stands for bytes whose
    callers the tree does not tell.

    Raises ValueError with the line's place in the arrays where a line is deeper than it can be.
    """
    depth, size, detail = trees.depth, trees.size, trees.detail
    count = len(depth)
    is_root = np.zeros(count, np.bool_)
    is_root[trees.first[:-1]] = True
    wrong = np.flatnonzero((depth == 0) != is_root)
    jump = np.flatnonzero(depth[1:] > depth[:-1] + 1) + 1
    if len(wrong) or len(jump):
        raise ValueError(min([*wrong[:1].tolist(), *jump[:1].tolist()]))
    parent = _parents(depth)
    hanging = np.flatnonzero(parent >= 0)
    callers = np.bincount(parent[hanging], minlength=count)
    below = np.bincount(parent[hanging], weights=size[hanging], minlength=count)
    own = size - below
    tree = np.cumsum(is_root) - 1
    trees_count = len(trees.first) - 1
    unfinished = np.bincount(tree[callers != trees.children], minlength=trees_count) > 0
    overfull = np.bincount(tree[own < 0], minlength=trees_count) > 0

    # An inlined function has its caller's address. One that ends a run of an address somewhere is the physical one.
    at = addresses[detail]
    ends = callers == 0
    differs = hanging[at[hanging] != at[parent[hanging]]]
    ends[parent[differs]] = True
    physical = np.unique(detail[ends])

    leaves = np.flatnonzero(own > 0)
    lengths = np.maximum(depth[leaves], 1).astype(np.int64)
    frames = np.empty(int(lengths.sum()), np.int32)
    place = np.cumsum(lengths) - lengths
    # A root's own bytes: nothing is told of them.
    at_root = depth[leaves] == 0
    frames[place[at_root]] = none
    here, place = leaves[~at_root], place[~at_root]
    while len(here):
        frames[place] = detail[here]
        here, place = parent[here], place + 1
        goes_on = depth[here] > 0
        here, place = here[goes_on], place[goes_on]
    return Turned(
        tree[leaves], frames, lengths, own[leaves].astype(np.float64), physical, size[is_root], unfinished, overfull
    )


def _parents(depth: Int32) -> Int64:
    """The line above each that is one less deep, -1 for roots. Lines of one depth stand together, in their order."""
    parent = np.full(len(depth), NONE, np.int64)
    small = depth.astype(np.int16) if int(depth.max()) < 2**15 else depth  # sorted by digits, in linear time
    order = np.argsort(small, kind="stable")
    bounds = np.append(0, np.cumsum(np.bincount(depth)))
    for level in range(1, len(bounds) - 1):
        above = order[bounds[level - 1] : bounds[level]]
        rows = order[bounds[level] : bounds[level + 1]]
        parent[rows] = above[np.searchsorted(above, rows) - 1]
    return parent


def read_details(names: Sequence[str]) -> tuple[list[ValgrindFrame], Int64]:
    """The frames of details, and the number of each one's address (-1: none)."""
    numbers: dict[str, int] = {}
    frames: list[ValgrindFrame] = []
    addresses = np.full(len(names), NONE, np.int64)
    for at, name in enumerate(names):
        frame = valgrind_frame(name)
        if frame is None:
            frame = ValgrindFrame("", BELOW if "massif's threshold" in name else name, kind=FrameKind.OTHER)
        frames.append(frame)
        # 0x0 stands for all that is not known, and joins nothing.
        if frame.address.strip("0x"):
            addresses[at] = numbers.setdefault(frame.address, len(numbers))
    return frames, addresses


def frame_numbers(
    tables: ProfileTables, frames: Sequence[ValgrindFrame], physical: Bool, watch: Callable[[], None]
) -> Int64:
    """The frame of each detail."""
    numbers = np.empty(len(frames), np.int64)
    for at, frame in enumerate(frames):
        inlined = frame.kind is FrameKind.USER and not physical[at]
        numbers[at] = tables.frame(
            frame.name,
            module=frame.module,
            file=frame.file,
            line=frame.line,
            kind=FrameKind.INLINED if inlined else frame.kind,
        )
        if not at % 10_000:
            watch()
    return numbers
