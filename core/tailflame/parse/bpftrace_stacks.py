"""Call stacks in the keys of bpftrace's maps (ustack, kstack): taken apart, named, and made a profile.

    "\\n    main+3\\n    __libc_start_call_main+122\\n"                              as it prints them
    "\\n\\t55d0 main+3 (/usr/bin/x)\\n\\t7f00 0x7f00 ([unknown])\\n"                  ustack(perf), kstack(perf)

The innermost frame comes first. bpftrace has no names for what has ended; where the file also tells what was mapped
(`cat("/proc/%d/maps", pid)`), the addresses are looked up in those files, with inlined functions and lines.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tailflame.model import NONE, FrameKind
from tailflame.parse.bpftrace_output import Mapping
from tailflame.parse.symbolize.demangle import Demangler, is_mangled

_STACK = re.compile(r"\n(?:(?: {4,}|\t)[^\n]*\n)+")
_OF_PERF = re.compile(r"\t([0-9a-f]{1,16}) (.*) \(([^()]*)\)$")
_BARE = re.compile(r"0x([0-9a-f]{1,16})$")
_OFFSET = re.compile(r"\+(?:0x[0-9a-f]+|\d+)$")
# What a kernel stack begins with, as bpftrace tells no kernel from user code.
_KERNEL_ENTRY = re.compile(
    r"entry_|asm_|ret_from_fork|secondary_startup|common_startup|start_secondary|el0t?_|el1h?_|ret_to_user"
)
_KERNEL_FROM = 1 << 63


@dataclass(frozen=True, slots=True)
class RawFrame:
    """address: NONE where it is not told. name: "" where bpftrace had none."""

    name: str
    address: int = NONE
    module: str = ""


@dataclass(frozen=True, slots=True)
class NamedFrame:
    name: str
    module: str = ""
    file: str = ""
    line: int = NONE
    kind: FrameKind = FrameKind.USER


def key_parts(key: str, parts: int | None = None) -> tuple[str, ...]:
    """A key's parts; a stack keeps its line ends. parts: how many there are, where that is known: what the commas
    make too many belongs to the last.
    """
    found: list[str] = []
    rest = key
    while True:
        match = _STACK.match(rest)
        if match is not None and (match.end() == len(rest) or rest[match.end()] == ","):
            found.append(match[0])
            rest = rest[match.end() :]
        elif parts is not None and len(found) == parts - 1:
            found.append(rest)
            return tuple(found)
        else:
            word, comma, more = rest.partition(",")
            found.append(word)
            rest = comma + more
        if not rest:
            return tuple(found)
        rest = rest[1:]


def is_stack(part: str) -> bool:
    return part.startswith("\n")


def frames_of(stack: str) -> tuple[RawFrame, ...]:
    """Its frames, the innermost first."""
    return tuple(_frame(line) for line in stack.split("\n") if line.strip())


def _frame(line: str) -> RawFrame:
    match = _OF_PERF.match(line)
    if match is not None:
        address = int(match[1], 16)
        name = _OFFSET.sub("", match[2])
        module = "" if match[3] == "[unknown]" else match[3]
        return RawFrame("" if _BARE.match(name) else name, address, module)
    text = line.strip()
    match = _BARE.match(text)
    if match is not None:
        return RawFrame("", int(match[1], 16))
    return RawFrame(_OFFSET.sub("", text))


def in_kernel(frames: Sequence[RawFrame]) -> bool:
    """Whether a stack is one of the kernel."""
    if frames and frames[0].address != NONE:
        return frames[0].address >= _KERNEL_FROM
    return bool(frames) and _KERNEL_ENTRY.match(frames[-1].name) is not None


class Names:
    """Names of the frames of a file: `look_up` once, then `of` each."""

    def __init__(self, mappings: Iterable[Mapping], *, recorded_at: float, watch: Callable[[], None]) -> None:
        self._mappings = sorted(mappings, key=lambda one: one.start)
        self._starts = [one.start for one in self._mappings]
        self._recorded_at = recorded_at
        self._watch = watch
        self._known: dict[tuple[int, bool], tuple[NamedFrame, ...]] = {}
        self._readable: dict[str, str] = {}
        self._unnamed: set[int] = set()

    @property
    def unnamed(self) -> int:
        """Addresses that nobody could name."""
        return len(self._unnamed)

    def look_up(self, stacks: Iterable[tuple[RawFrame, ...]]) -> None:
        asked: dict[Mapping, set[tuple[int, bool]]] = defaultdict(set)
        mangled: set[str] = set()
        for frames in stacks:
            for depth, frame in enumerate(frames):
                mapping = self._mapping(frame.address)
                if mapping is not None and mapping.path.startswith(("/", "[vdso")):
                    asked[mapping].add((frame.address, depth == 0))
                elif is_mangled(frame.name):
                    mangled.add(frame.name)
        if asked:
            self._ask(asked)
        # What bpftrace has named itself, of modules that are not here any more.
        mangled |= {frame.name for frames in stacks for frame in frames if is_mangled(frame.name)}
        self._readable = Demangler().names(mangled)

    def _mapping(self, address: int) -> Mapping | None:
        at = bisect_right(self._starts, address) - 1
        if at >= 0 and address != NONE and address < self._mappings[at].end:
            return self._mappings[at]
        return None

    def _ask(self, asked: dict[Mapping, set[tuple[int, bool]]]) -> None:
        # Only here: reading symbols takes more modules than the rest of this format.
        from tailflame.parse.symbolize import Module, Symbolizer

        by_module: dict[Module, list[tuple[int, int, bool]]] = defaultdict(list)
        for mapping, places in asked.items():
            module = Module(mapping.path, inode=mapping.inode)
            by_module[module] += [
                (address - mapping.start + mapping.offset, address, innermost) for address, innermost in places
            ]
        with Symbolizer(recorded_at=self._recorded_at, watch=self._watch) as symbolizer:
            for module, rows in by_module.items():
                rows.sort()
                offsets = np.array([row[0] for row in rows], np.uint64)
                named = symbolizer.names(module, offsets)
                lines = symbolizer.inlined(module, offsets, np.array([row[2] for row in rows], np.bool_))
                strings = symbolizer.strings
                for at, (_, address, innermost) in enumerate(rows):
                    first, last = int(lines.first[at]), int(lines.first[at + 1])
                    found = tuple(
                        NamedFrame(
                            strings[int(lines.name[n])] if lines.name[n] >= 0 else "[unknown]",
                            module.path,
                            strings[int(lines.file[n])] if lines.file[n] >= 0 else "",
                            int(lines.line[n]),
                            FrameKind.USER if n == first else FrameKind.INLINED,
                        )
                        for n in range(first, last)
                    )
                    known = named.name[at] >= 0
                    # Where a probe stands on the first instruction, nothing that is inlined has begun.
                    if found and innermost and known and int(named.start[at]) == int(offsets[at]):
                        found = found[:1]
                    if not found and known:
                        found = (NamedFrame(strings[int(named.name[at])], module.path),)
                    if found:
                        self._known[address, innermost] = found

    def of(self, frames: Sequence[RawFrame]) -> list[NamedFrame]:
        """The frames of one stack, the outermost first."""
        kernel = in_kernel(frames)
        found: list[NamedFrame] = []
        for depth in range(len(frames) - 1, -1, -1):
            frame = frames[depth]
            known = self._known.get((frame.address, depth == 0))
            if known is not None:
                found += known
                continue
            mapping = self._mapping(frame.address)
            module = frame.module or (mapping.path if mapping is not None else "")
            if frame.name:
                name = self._readable.get(frame.name, frame.name)
                kind = FrameKind.KERNEL if kernel else FrameKind.USER
                found.append(NamedFrame(name, "[kernel]" if kernel else module, kind=kind))
                continue
            self._unnamed.add(frame.address)
            found.append(NamedFrame(f"0x{frame.address:x}", module, kind=FrameKind.OTHER))
        return found
