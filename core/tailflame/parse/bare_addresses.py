"""Names for bare addresses: some profilers write library and address alone, and leave looking them up to others.

They are looked up where the very file (the same build id) is still at its place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tailflame.model import NONE, FrameKind
from tailflame.model.stacks import Int64, UInt64
from tailflame.parse.profile_tables import ProfileTables

_NO_ADDRESS = 2**63


class Bare(NamedTuple):
    """A frame without a name: its row, the path and build id of its library, and its place in it."""

    row: int
    path: str
    build_id: str
    place: int


def named_frames(
    bare: Sequence[Bare], tables: ProfileTables, watch: Callable[[], None], *, from_base: bool
) -> Mapping[int, tuple[int, ...]]:
    """The frames of each row that could be named, outermost first: a function and what is inlined into it there.

    from_base: whether places are addresses from the image's base (samply), or else offsets in the file (pprof).
    watch is called now and then; what it raises ends the work.
    """
    by_library: dict[tuple[str, str], list[Bare]] = defaultdict(list)
    for frame in bare:
        if frame.build_id and frame.path.startswith("/"):
            by_library[frame.path, frame.build_id].append(frame)
    if not by_library:
        return {}
    # Only here: reading symbols takes more modules than the rest of this format.
    from tailflame.parse.symbolize import Module, Symbolizer

    found: dict[int, tuple[int, ...]] = {}
    with Symbolizer(watch=watch) as symbolizer:
        for (path, build_id), frames in by_library.items():
            offsets = _offsets(
                path, build_id, np.array([frame.place for frame in frames], np.uint64), from_base=from_base
            )
            if offsets is None:
                continue
            distinct, position = np.unique(offsets, return_inverse=True)
            module = Module(path, build_id)
            named = symbolizer.names(module, distinct)
            # Return addresses are moved into the call already: each is taken as it is.
            lines = symbolizer.inlined(module, distinct, np.ones(len(distinct), np.bool_))
            strings = symbolizer.strings
            runs: list[tuple[int, ...]] = []
            for at in range(len(distinct)):
                if named.name[at] < 0 or distinct[at] >= _NO_ADDRESS:
                    runs.append(())
                    continue
                first, last = int(lines.first[at]), int(lines.first[at + 1])
                if first == last:
                    runs.append((tables.frame(strings[int(named.name[at])], module=path),))
                    continue
                runs.append(
                    tuple(
                        tables.frame(
                            strings[int(lines.name[n])] if lines.name[n] >= 0 else "[unknown]",
                            module=path,
                            file=strings[int(lines.file[n])] if lines.file[n] >= 0 else "",
                            line=int(lines.line[n]),
                            kind=FrameKind.USER if n == first else FrameKind.INLINED,
                        )
                        for n in range(first, last)
                    )
                )
            for frame, place in zip(frames, position.tolist(), strict=True):
                if runs[place]:
                    found[frame.row] = runs[place]
    return found


def unfolded(parent: Int64, frame: Int64, runs: Sequence[tuple[int, ...]]) -> tuple[Int64, Int64, Int64]:
    """The tree in which each node is the run of its frame: parents, frames, and the last node of each old one.

    parent, frame: of each node, the frame as an index into runs, none of which is empty.
    """
    sizes = np.array([len(run) for run in runs], np.int64)
    starts = np.cumsum(sizes) - sizes
    flat = np.array([number for run in runs for number in run], np.int64)
    length = sizes[frame]
    last = np.cumsum(length) - 1
    first = last - length + 1
    nodes = np.arange(int(length.sum()))
    up = nodes - 1
    up[first] = np.where(parent >= 0, last[parent], NONE)
    return up, flat[np.repeat(starts[frame] - first, length) + nodes], last


def _offsets(path: str, build_id: str, places: UInt64, *, from_base: bool) -> UInt64 | None:
    """Where the places are in the file; beyond all of it where nowhere; None where it is not that file any more."""
    from tailflame.parse.symbolize.elf_file import NotElf, open_elf

    try:
        elf = open_elf(Path(path))
    except (NotElf, OSError):
        return None
    if elf.build_id() != build_id or not len(elf.segments):
        return None
    if not from_base:
        return places
    segments = elf.segments
    # The image's base is where the beginning of the file is loaded.
    beginning = np.flatnonzero(segments["offset"] == 0)
    base = np.uint64(segments["vaddr"][beginning[0]] if len(beginning) else 0)
    linked = places + base
    offsets = np.full(len(places), np.iinfo(np.uint64).max, dtype=np.uint64)
    for row in segments:
        start, size = np.uint64(row["vaddr"]), np.uint64(row["filesz"])
        inside = (linked >= start) & (linked - start < size)
        offsets[inside] = linked[inside] - start + np.uint64(row["offset"])
    return offsets
