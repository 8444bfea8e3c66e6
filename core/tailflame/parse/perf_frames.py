"""One frame of `perf script`: a line such as `\\t    1278 leaf+0x18 (/usr/bin/t)`, in all the forms it takes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tailflame.model import NONE, FrameKind, FrameTable
from tailflame.model.stacks import readonly

INLINED = "inlined"
UNKNOWN = "[unknown]"

_LINE = re.compile(r"\s*(?:0x)?([0-9a-f]{1,16})(?:[ \t](.*))?", re.DOTALL)
_OFFSET = re.compile(r"\+0x([0-9a-f]+)$")
# With -F +symoff the offset stands between the name and the module: it parts them even where both have spaces.
_OFFSET_AND_DSO = re.compile(r"\+0x([0-9a-f]+) \((.*)\)$")
_SOURCE = re.compile(r"(.*):(\d+)(?: \(discriminator \d+\))?")
_KERNEL_MODULE = re.compile(r"\.ko(?:\.(?:xz|zst|gz))?$")
_JIT_MAP = re.compile(r"(?:^|/)perf-\d+\.map$")
_JITTED = re.compile(r"(?:^|/)jitted-[^/]*\.so$")
_JAVA_CLASS = re.compile(r"L[\w$]+/")
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}$")
_RUST_ESCAPES = {
    "$SP$": "@",
    "$BP$": "*",
    "$RF$": "&",
    "$LT$": "<",
    "$GT$": ">",
    "$LP$": "(",
    "$RP$": ")",
    "$C$": ",",
}
_RUST_ESCAPE = re.compile(r"\$(?:SP|BP|RF|LT|GT|LP|RP|C)\$|\$u([0-9a-f]{2,6})\$")

KERNEL_HALF = 0xFFFF_0000_0000_0000
"""Addresses from here on are the kernel's on every 64-bit Linux."""
VSYSCALL = 0xFFFF_FFFF_FF60_0000
"""The one page of user code in the kernel's half (x86-64)."""


class PerfFrame(NamedTuple):
    """A frame as perf tells it.

    address: as printed (a file offset for user code since perf 5.19, a run-time address before that, and always
    so without a call chain); -1 where unknown. offset: from the start of the symbol; -1 where it is not printed.
    exact: whether the address is that of the sampled instruction, not the one that a call returns to.
    """

    name: str
    module: str = ""
    kind: FrameKind = FrameKind.USER
    file: str = ""
    line: int = NONE
    address: int = NONE
    offset: int = NONE
    exact: bool = True

    @property
    def is_unresolved(self) -> bool:
        """Whether perf found no symbol: the name only tells the module."""
        return self.name == UNKNOWN or (
            self.offset == NONE and self.name == f"[{self.module.rsplit('/', 1)[-1]}]" and bool(self.module)
        )


def frames_of(text: str) -> tuple[PerfFrame, ...] | None:
    """The frames of one line, outermost first; None where the line is not a frame.

    text: the line, and after a line feed the source line that `-F +srcline` puts under it. There is more than one
    frame where a JIT compiler packs inlined methods into one symbol ("outer->inner"), and none where the line names
    a process rather than a function.
    """
    text, _, place = text.partition("\n")
    match = _LINE.fullmatch(text)
    if match is None:
        return None
    address = int(match[1], 16)
    symbol, offset, module, inlined = _split(match[2] or "")
    place = place.strip()
    if place.endswith(" (inlined)"):
        place, inlined = place.removesuffix(" (inlined)"), True
    file, line = _source(place) if place else ("", NONE)
    if symbol.startswith("(") and symbol.endswith(")") and symbol.count("(") == 1:
        return ()  # `(ksoftirqd/0)`: the name of a process
    module = module.removesuffix(" (deleted)")
    in_kernel = address >= KERNEL_HALF and not VSYSCALL <= address < VSYSCALL + 0x1000
    kind = FrameKind.INLINED if inlined else _kind(module, in_kernel=in_kernel)
    names = [_name(symbol, module) if match[2] else f"0x{address:x}"]
    if kind is FrameKind.JIT:
        # perf-map-agent writes inlined Java methods into one symbol: `Lcom/Outer;::run->Lcom/Inner;::step`.
        names = [n[1:] if _JAVA_CLASS.match(n) else n for n in names[0].split("->")]
    first = PerfFrame(names[0], "" if module == UNKNOWN else module, kind, file, line, address, offset)
    return (first, *(first._replace(name=n, kind=FrameKind.INLINED) for n in names[1:]))


def _split(rest: str) -> tuple[str, int, str, bool]:
    """(symbol, offset, module, inlined) of what follows the address."""
    if not rest.endswith(")"):
        symbol, offset = _without_offset(rest.strip())
        return symbol, offset, "", False
    match = _OFFSET_AND_DSO.search(rest)
    if match:
        symbol, offset, module = rest[: match.start()].strip(), int(match[1], 16), match[2]
    else:
        opening = _opening(rest)
        if opening < 0:
            return rest.strip(), NONE, "", False  # a C++ name without a module: `operator new(unsigned long)`
        (symbol, offset), module = _without_offset(rest[:opening].strip()), rest[opening + 1 : -1]
    if module == INLINED:
        return symbol, offset, "", True
    return symbol, offset, module, False


def _opening(rest: str) -> int:
    """Where the parenthesis around the module opens: `f(int) (/tmp/a b/c (deleted))`; -1 if there is none."""
    index = rest.find(" (/")  # no symbol has that
    if index >= 0:
        return index + 1
    depth = 0
    for index in range(len(rest) - 1, -1, -1):
        if rest[index] == ")":
            depth += 1
        elif rest[index] == "(":
            depth -= 1
            if depth == 0:
                if index == 0 or rest[index - 1] in " \t":
                    return index
                break
    return rest.find(" ([") + 1 or NONE


def _without_offset(symbol: str) -> tuple[str, int]:
    match = _OFFSET.search(symbol)
    return (symbol[: match.start()], int(match[1], 16)) if match else (symbol, NONE)


def _source(place: str) -> tuple[str, int]:
    """(file, line) of `main.c:12`; nothing of `??:0` and `[kernel.kallsyms][ffffffff81598995]`."""
    match = _SOURCE.fullmatch(place)
    if match is None or match[1].startswith("??"):
        return "", NONE
    return match[1], int(match[2]) or NONE


def _name(symbol: str, module: str) -> str:
    if symbol and symbol != UNKNOWN:
        return rust_name(symbol) if "$" in symbol else symbol
    return f"[{module.rsplit('/', 1)[-1]}]" if module and module != UNKNOWN else UNKNOWN


def rust_name(name: str) -> str:
    """Finishes what a C++ demangler leaves of a Rust name: `_$LT$T$u20$as$u20$a..B$GT$::f::h0123456789abcdef`."""
    if not _RUST_HASH.search(name) and not any(mark in name for mark in ("$LT$", "$u20$", "$u7b$")):
        return name  # a Java or Scala name: `Outer$C$Inner`
    if name.startswith("_$"):
        name = name[1:]
    name = _RUST_ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _RUST_ESCAPES[m[0]], name)
    return name.replace("..", "::")


@lru_cache(maxsize=10_000)
def _kind(module: str, *, in_kernel: bool) -> FrameKind:
    """in_kernel: whether the address is one of the kernel's."""
    base = module.rsplit("/", 1)[-1]
    if module.startswith("["):
        if module.startswith(("[kernel.", "[kernel]", "[guest.")):
            return FrameKind.KERNEL
        if module.startswith("[JIT]"):
            return FrameKind.JIT
        return FrameKind.KERNEL if in_kernel else FrameKind.USER  # [nf_conntrack]; [vdso], [heap]
    if base.startswith("vmlinux") or _KERNEL_MODULE.search(base):
        return FrameKind.KERNEL
    if _JIT_MAP.search(module) or _JITTED.search(module):
        return FrameKind.JIT
    return FrameKind.KERNEL if in_kernel and not module.startswith("/") else FrameKind.USER


def frame_table(frames: Iterable[PerfFrame]) -> FrameTable:
    """The table of `frames`, in their order; their addresses are dropped."""
    strings: dict[str, int] = {}
    columns: list[tuple[int, int, int, int, int]] = []
    for frame in frames:
        columns.append(
            (
                strings.setdefault(frame.name, len(strings)),
                strings.setdefault(frame.module, len(strings)) if frame.module else NONE,
                strings.setdefault(frame.file, len(strings)) if frame.file else NONE,
                frame.line,
                frame.kind,
            )
        )
    name, module, file, line, kind = zip(*columns, strict=True) if columns else ((),) * 5
    return FrameTable(
        strings=tuple(strings),
        name=readonly(name, np.int32),
        module=readonly(module, np.int32),
        file=readonly(file, np.int32),
        line=readonly(line, np.int32),
        kind=readonly(kind, np.uint8),
    )
