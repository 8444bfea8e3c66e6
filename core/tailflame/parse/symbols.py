"""Inlined functions and source lines of perf's frames, from the debug information of the binaries they came from.

perf names the physical function of an address quickly, and expands inlines slowly (it asks addr2line for each). Here
each address is looked up once, in microseconds, and only in a file whose build id is the recorded one. The physical
function keeps perf's name, so that totals by physical function are those of perf report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from tailflame.model import NONE, FrameKind, StackTable
from tailflame.model.stacks import Int32, readonly
from tailflame.parse.debug_info import DebugInfo, Line, open_debug_info
from tailflame.parse.perf_frames import PerfFrame
from tailflame.parse.perf_records import Mapping
from tailflame.parse.perf_samples import PerfSamples
from tailflame.parse.symbolize import State
from tailflame.parse.symbolize.demangle import Demangler, is_mangled

_REPORT_EVERY = 5_000


@dataclass(frozen=True, slots=True, eq=False)
class Refined:
    """Samples with inlined frames and source lines, and what became of each module that was asked."""

    samples: PerfSamples
    states: MappingType[str, State]
    demangled: bool = True
    """False where names had to stay mangled, because c++filt is missing."""


def refine(
    samples: PerfSamples,
    *,
    mappings: Iterable[Mapping] = (),
    build_ids: Iterable[tuple[str, str]] = (),
    recorded_at: float = 0.0,
    progress: Callable[[float], None] = lambda share: None,
    home: Path | None = None,
) -> Refined:
    """Looks up every frame of user code.

    samples: read with their addresses. mappings: where modules were loaded, for addresses that perf printed as they
    were at run time. recorded_at: when the recording ended (seconds since the epoch): a binary that was recorded
    without a build id is trusted where it is older, and the same file. progress: called with 0 to 1; what it raises
    (Cancelled) ends the work.
    """
    mappings = tuple(mappings)
    pairs = (*build_ids, *((m.path, m.build_id) for m in mappings if m.build_id))
    told = {path.removesuffix(" (deleted)") for path, _ in pairs}
    ids = _unambiguous(pairs)
    by_module: dict[str, list[int]] = {}
    for number, frame in enumerate(samples.frames):
        if frame.kind is FrameKind.USER and frame.module.startswith("/") and frame.address != NONE:
            by_module.setdefault(frame.module, []).append(number)
    places: dict[str, list[Mapping]] = {}
    for mapping in mappings:
        places.setdefault(mapping.path.removesuffix(" (deleted)"), []).append(mapping)

    states: dict[str, State] = {}
    lines: dict[int, Sequence[Line]] = {}
    total = sum(map(len, by_module.values())) or 1
    done = 0
    for module, numbers in by_module.items():
        build_id = ids.get(module) or ids.get(f"{module} (deleted)", "")
        inodes = {mapping.inode for mapping in places.get(module, ())}
        states[module], info = open_debug_info(
            module,
            build_id,
            watch=partial(progress, done / total),
            home=home,
            inode=inodes.pop() if len(inodes) == 1 and module not in told else 0,
            recorded_at=recorded_at,
        )
        for begin in range(0, len(numbers), _REPORT_EVERY) if info is not None else ():
            assert info is not None
            rows = numbers[begin : begin + _REPORT_EVERY]
            found = _looked_up(info, [samples.frames[row] for row in rows], places.get(module, []))
            lines.update(zip(rows, found, strict=True))
            progress((done + begin) / total)
        done += len(numbers)
        progress(done / total)

    demangler = Demangler()
    names = demangler.names(_mangled(samples.frames, lines))
    return Refined(_expanded(samples, lines, names), states, demangler.complete)


def _unambiguous(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Build ids by path, without the paths that had several: they were replaced while perf recorded."""
    ids: dict[str, set[str]] = {}
    for path, build_id in pairs:
        ids.setdefault(path, set()).add(build_id)
    return {path: found.pop() for path, found in ids.items() if len(found) == 1}


def _looked_up(info: DebugInfo, frames: Sequence[PerfFrame], mappings: Sequence[Mapping]) -> Iterator[Sequence[Line]]:
    """The functions at each frame's address, innermost first; none where they would be another function's."""
    asked: list[int] = []
    counts: list[int] = []
    for frame in frames:
        before = len(asked)
        # A caller's address is where the call returns to: the call itself stands before it.
        back = 0 if frame.exact else 1
        # A call that never returns: perf took the function that follows for the caller.
        if not (back and frame.offset == 0):
            # As it was at run time, where it lies within a mapping; otherwise perf has printed the offset in the file.
            within = (m for m in mappings if m.start <= frame.address < m.start + m.size)
            offsets = dict.fromkeys((*(frame.address - m.start + m.offset for m in within), frame.address))
            asked.extend(address - back for offset in offsets if (address := info.address(offset)) != NONE)
        counts.append(len(asked) - before)
    found = iter(info.lookup_all(asked))
    at = iter(asked)
    for frame, count in zip(frames, counts, strict=True):
        first: Sequence[Line] = ()
        for lines, address in zip(islice(found, count), islice(at, count), strict=True):
            # A file of more than 4 MB that is loaded at a fixed place: only the start of the symbol tells.
            start = address + (0 if frame.exact else 1) - frame.offset
            if lines and frame.offset != NONE and lines[-1].start == start and first and first[-1].start != start:
                first = lines
            first = first or lines
        yield first


def _mangled(frames: Iterable[PerfFrame], lines: MappingType[int, Sequence[Line]]) -> set[str]:
    names = {line.symbol for found in lines.values() for line in found[:-1]}
    names.update(frame.name for frame in frames)
    return {name for name in names if is_mangled(name)}


@dataclass(slots=True)
class _Frames:
    """Numbers frames, without their addresses."""

    names: MappingType[str, str]
    known: dict[PerfFrame, int] = field(default_factory=dict)

    def number(self, frame: PerfFrame) -> int:
        frame = frame._replace(name=self.names.get(frame.name, frame.name), address=NONE, offset=NONE, exact=True)
        return self.known.setdefault(frame, len(self.known))

    def of(self, frame: PerfFrame, found: Sequence[Line]) -> tuple[int, ...]:
        """The frames that stand for one physical frame, outermost first."""
        if not found:
            return (self.number(frame),)
        physical = found[-1]
        return (
            self.number(frame._replace(file=physical.file, line=physical.line)),
            *(
                self.number(PerfFrame(line.symbol, frame.module, FrameKind.INLINED, line.file, line.line))
                for line in reversed(found[:-1])
            ),
        )


def _expanded(
    samples: PerfSamples, lines: MappingType[int, Sequence[Line]], names: MappingType[str, str]
) -> PerfSamples:
    """Every stack with inlined frames put in, frames that differ only in their address made one."""
    frames = _Frames(names)
    groups = [frames.of(frame, lines.get(number, ())) for number, frame in enumerate(samples.frames)]
    stacks, rows = _regrown(samples.stacks, groups)
    stack = samples.samples.stack
    moved = np.where(stack >= 0, rows[stack], NONE) if len(rows) else stack
    return replace(
        samples,
        frames=tuple(frames.known),
        stacks=stacks,
        samples=replace(samples.samples, stack=readonly(moved, np.int32)),
    )


def _regrown(old: StackTable, groups: Sequence[tuple[int, ...]]) -> tuple[StackTable, Int32]:
    """The trie in which each frame is a group of frames, and the row in it of each old row.

    Level by level: all rows of one depth have distinct (parent, frame) keys among themselves, and so have their
    inlined frames, step by step, because only these are of kind INLINED.
    """
    if not len(old):
        return old, np.empty(0, np.int32)
    sizes = np.array([len(group) for group in groups], dtype=np.int32)
    starts = np.cumsum(sizes) - sizes
    flat = np.array([frame for group in groups for frame in group], dtype=np.int64)
    depth = old.depths()
    order = np.argsort(depth, kind="stable")
    levels = np.searchsorted(depth[order], np.arange(int(depth.max()) + 2))
    new_row = np.full(len(old), NONE, dtype=np.int64)
    parents: list[Int32] = []
    frames: list[Int32] = []
    size = 0
    for begin, end in pairwise(levels):
        rows = order[begin:end]
        above = old.parent[rows]
        at = np.where(above >= 0, new_row[above], NONE)
        group = old.frame[rows]
        step = 0
        while len(rows):
            keys, inverse = np.unique((at + 1) << 32 | flat[starts[group] + step], return_inverse=True)
            parents.append(((keys >> 32) - 1).astype(np.int32))
            frames.append((keys & 0xFFFFFFFF).astype(np.int32))
            at = inverse.astype(np.int64) + size
            size += len(keys)
            new_row[rows] = at
            step += 1
            goes_on = sizes[group] > step
            rows, at, group = rows[goes_on], at[goes_on], group[goes_on]
    table = StackTable(
        frame=readonly(np.concatenate(frames), np.int32), parent=readonly(np.concatenate(parents), np.int32)
    )
    return table, new_row.astype(np.int32)
