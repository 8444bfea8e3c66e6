"""Functions of the addresses in jemalloc's dumps, without jemalloc's own at the top of each stack."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tailflame.model import FrameKind
from tailflame.model.stacks import Bool, Int32, Int64, UInt64
from tailflame.parse.jemalloc_heap_text import Dump
from tailflame.parse.profile_tables import ProfileTables
from tailflame.parse.symbolize import Module, Symbolizer

_LIBRARY = re.compile(r"libjemalloc(?:_\w+)?\.so")
# Of a program that links it: "prof_backtrace_impl", "_rjem_je_malloc_default", and what a program calls.
_OWN = re.compile(
    r"(?:_rjem_|je_|prof_)\w+|(?:do_|i)?[mrx]allocx(?:_prof)?|(?:posix_)?memalign|(?:aligned_|pv)alloc"
    r"|(?:i?(?:m|c|re|v)|i)alloc(?:_(?:default|body|impl|fastpath|prof|sized)\w*)?"
    r"|operator new(?:\[\])?\(.*\)|tc_\w+|.*\btcmalloc::.*"
)
_PART = re.compile(r"\.(?:part|cold|constprop|isra|llvm)\..*")


@dataclass(slots=True)
class Places:
    """Where code lies, each place once: a module's number and the offset in its file.

    All addresses are those that a call returns to: the call stands before them.
    """

    modules: list[tuple[str, int]] = field(default_factory=list)
    """(path, inode); the last one stands for addresses that lie in none."""
    _numbers: dict[tuple[str, int], int] = field(default_factory=dict)
    _parts: list[tuple[Int64, UInt64]] = field(default_factory=list)

    def add(self, dump: Dump) -> None:
        addresses, _ = dump.stacks()
        before = addresses - np.minimum(addresses, np.uint64(1))
        maps = sorted(entry for entry in dump.maps if entry[4] and entry[0] < entry[1])
        if not maps:
            self._parts.append((np.full(len(before), self._number("", 0)), before))
            return
        start = np.array([entry[0] for entry in maps], np.uint64)
        end = np.array([entry[1] for entry in maps], np.uint64)
        offset = np.array([entry[2] for entry in maps], np.uint64)
        number = np.array([self._number(entry[4], entry[3]) for entry in maps], np.int64)
        at = np.maximum(np.searchsorted(start, before, side="right") - 1, 0)
        inside = (before >= start[at]) & (before < end[at])
        module = np.where(inside, number[at], self._number("", 0))
        self._parts.append((module, np.where(inside, before - start[at] + offset[at], before)))

    def _number(self, path: str, inode: int) -> int:
        number = self._numbers.setdefault((path, inode), len(self.modules))
        if number == len(self.modules):
            self.modules.append((path, inode))
        return number

    def distinct(self) -> tuple[Int64, UInt64, list[Int64]]:
        """Module and offset of each place, by module; and for each dump the place of each of its addresses."""
        module = np.concatenate([np.empty(0, np.int64), *(part[0] for part in self._parts)])
        offset = np.concatenate([np.empty(0, np.uint64), *(part[1] for part in self._parts)])
        order = np.lexsort((offset, module))
        first = np.ones(len(order), np.bool_)
        first[1:] = np.diff(module[order]) > 0
        first[1:] |= offset[order][1:] != offset[order][:-1]
        place = np.empty(len(order), np.int64)
        place[order] = np.cumsum(first) - 1
        bounds = np.cumsum([len(part[0]) for part in self._parts])[:-1]
        return module[order][first], offset[order][first], np.split(place, bounds)


@dataclass(slots=True)
class Runs:
    """The frames that stand for each place, outermost first. own: places in the allocator itself. named, unnamed: paths
    of modules of the program of which some functions have a name, or have none."""

    frames: list[tuple[int, ...]]
    own: Bool
    named: list[str]
    unnamed: list[str]


def named_places(
    places: Places, module: Int64, offset: UInt64, tables: ProfileTables, symbolizer: Symbolizer,
    watch: Callable[[float], None], *, lines: bool,
) -> Runs:  # fmt: skip
    """lines: with source lines and inlined functions, which takes longer the first time."""
    frames: list[tuple[int, ...]] = [()] * len(module)
    own = np.zeros(len(module), np.bool_)
    with_names: list[str] = []
    without: list[str] = []
    edges = np.searchsorted(module, np.arange(len(places.modules) + 1))
    for number, (path, inode) in enumerate(places.modules):
        begin, end = int(edges[number]), int(edges[number + 1])
        if begin == end:
            continue
        watch(begin / len(module))
        base = path.removesuffix(" (deleted)").rsplit("/", 1)[-1]
        is_library = _LIBRARY.match(base) is not None
        asked = Module(path, inode=inode)
        named = symbolizer.names(asked, offset[begin:end])
        found = symbolizer.inlined(asked, offset[begin:end], np.ones(end - begin, np.bool_)) if lines else None
        strings = symbolizer.strings
        for at in range(end - begin):
            place = begin + at
            name = strings[int(named.name[at])] if named.name[at] >= 0 else ""
            own[place] = is_library or (bool(name) and _OWN.fullmatch(_PART.sub("", name)) is not None)
            if not name:
                text = f"{base}+{int(offset[place]):#x}" if base else f"{int(offset[place]):#x}"
                frames[place] = (tables.frame(text, module=path, kind=FrameKind.OTHER),)
                continue
            frames[place] = (tables.frame(name, module=path),)
            if found is not None and found.first[at] < found.first[at + 1]:
                frames[place] = tuple(
                    tables.frame(
                        strings[int(found.name[n])] if found.name[n] >= 0 else name,
                        module=path,
                        file=strings[int(found.file[n])] if found.file[n] >= 0 else "",
                        line=int(found.line[n]),
                        kind=FrameKind.USER if n == found.first[at] else FrameKind.INLINED,
                    )
                    for n in range(int(found.first[at]), int(found.first[at + 1]))
                )
        if path and not is_library:
            (with_names if (named.name >= 0).any() else without).append(path)
    return Runs(frames, own, with_names, without)


def stacks_of(tables: ProfileTables, place: Int64, lengths: Int64, runs: Runs) -> Int32:
    """The stack of each of a dump's, root first. Where all of one is jemalloc's own, its outermost function is left."""
    total = len(place)
    stack = np.repeat(np.arange(len(lengths)), lengths)
    first = np.cumsum(lengths) - lengths
    own = runs.own[place] if total else np.zeros(0, np.bool_)
    # Of a stack, innermost first: everything up to the first address that is the program's.
    step = np.arange(total) - first[stack]
    theirs = np.full(len(lengths), np.iinfo(np.int64).max)
    np.minimum.at(theirs, stack[~own], step[~own])
    theirs = np.minimum(theirs, np.maximum(lengths - 1, 0))
    kept = step >= theirs[stack]
    stack, place, step = stack[kept], place[kept], step[kept]
    order = np.lexsort((-step, stack))
    stack, place = stack[order], place[order]
    sizes = np.array([len(run) for run in runs.frames] or [0], np.int64)
    starts = np.cumsum(sizes) - sizes
    flat = np.array([frame for run in runs.frames for frame in run], np.int64)
    length = sizes[place]
    begin = np.cumsum(length) - length
    at = np.arange(int(length.sum())) - np.repeat(begin, length) + np.repeat(starts[place], length)
    per_stack = np.bincount(stack, weights=length, minlength=len(lengths)).astype(np.int64)
    return tables.stacks(flat[at] if len(at) else np.empty(0, np.int64), per_stack)
