"""Inlined functions and source lines of perf's frames, from the debug information of the binaries they came from.

perf names the physical function of an address quickly, and expands inlines slowly (it asks addr2line for each). Here
each address is looked up once, in microseconds, and only in a file whose build id is the recorded one. The physical
function keeps perf's name, so that totals by physical function are those of perf report.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from tailflame.model import NONE, FrameKind, StackTable
from tailflame.model.stacks import Int32, readonly
from tailflame.parse.debug_info import DebugInfo, Line, State, build_id_of_unchanged, open_debug_info
from tailflame.parse.perf_frames import PerfFrame
from tailflame.parse.perf_records import Mapping
from tailflame.parse.perf_samples import PerfSamples

_REPORT_EVERY = 1_000
_DEMANGLE_TIMEOUT_S = 60
_MANGLED = ("_Z", "_R", "__Z")
# perf leaves these out of Rust names, and so does what follows it here.
_CRATE = re.compile(r"(?<=\w)\[[0-9a-f]{12,16}\](?=::|$|>)")
_HASH = re.compile(r"::h[0-9a-f]{16}$")


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
        if not build_id and module not in told:
            inodes = {mapping.inode for mapping in places.get(module, ())}
            if len(inodes) == 1:
                build_id = build_id_of_unchanged(module, inodes.pop(), recorded_at=recorded_at)
        watch = partial(progress, done / total)
        states[module], info = open_debug_info(module, build_id, watch=watch, home=home)
        for position, number in enumerate(numbers if info is not None else ()):
            assert info is not None
            lines[number] = _lookup(info, samples.frames[number], places.get(module, []))
            if position % _REPORT_EVERY == 0:
                progress((done + position) / total)
        done += len(numbers)
        progress(done / total)

    names, demangled = _demangled(_mangled(samples.frames, lines))
    return Refined(_expanded(samples, lines, names), states, demangled)


def _unambiguous(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Build ids by path, without the paths that had several: they were replaced while perf recorded."""
    ids: dict[str, set[str]] = {}
    for path, build_id in pairs:
        ids.setdefault(path, set()).add(build_id)
    return {path: found.pop() for path, found in ids.items() if len(found) == 1}


def _lookup(info: DebugInfo, frame: PerfFrame, mappings: Sequence[Mapping]) -> Sequence[Line]:
    """The functions at a frame's address, innermost first; none where they would be another function's."""
    # A caller's address is where the call returns to: the call itself stands before it.
    back = 0 if frame.exact else 1
    if back and frame.offset == 0:
        return ()  # the call never returns: perf took the function that follows for the caller
    # As it was at run time, where it lies within a mapping; otherwise perf has printed the offset in the file.
    offsets = [frame.address - m.start + m.offset for m in mappings if m.start <= frame.address < m.start + m.size]
    first: Sequence[Line] = ()
    for offset in dict.fromkeys((*offsets, frame.address)):
        address = info.address(offset)
        found = info.lookup(address - back) if address != NONE else []
        # A file of more than 4 MB that is loaded at a fixed place: only the start of the symbol tells.
        if found and frame.offset != NONE and found[-1].start == address - frame.offset:
            return found
        first = first or found
    return first


def _mangled(frames: Iterable[PerfFrame], lines: MappingType[int, Sequence[Line]]) -> list[str]:
    names = {line.symbol for found in lines.values() for line in found[:-1]}
    names.update(frame.name for frame in frames)
    return sorted(name for name in names if name.startswith(_MANGLED))


def _demangled(names: Sequence[str]) -> tuple[dict[str, str], bool]:
    """Readable names of C++ and Rust symbols (also of Rust's v0 scheme), and whether there was a tool for it."""
    if not names:
        return {}, True
    tool = shutil.which("c++filt")
    if tool is None:
        return {}, False
    try:
        done = subprocess.run(
            [tool], input="\n".join(names), capture_output=True, text=True, timeout=_DEMANGLE_TIMEOUT_S, check=True
        )
    except (subprocess.SubprocessError, OSError):
        return {}, False
    readable = done.stdout.split("\n")
    if len(readable) < len(names):
        return {}, False
    short = (_HASH.sub("", _CRATE.sub("", name)) for name in readable[: len(names)])
    return dict(zip(names, short, strict=True)), True


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
