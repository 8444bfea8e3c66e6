"""What is asked of a Symbolizer, and what it answers: columns, one row per offset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tailflame.model import NONE, FrameKind
from tailflame.model.stacks import Int32, UInt64, readonly
from tailflame.parse.symbolize.elf_file import NOWHERE


class Module(NamedTuple):
    """Code that was mapped.

    path: as perf tells it, `/usr/bin/x`, `[vdso]`, `[kernel.kallsyms]`, `[nf_conntrack]`, `/tmp/perf-7.map`; build_id:
    in hexadecimal digits, "" where it was not recorded; pid: of the process that mapped it, which only matters for JIT
    code; inode: of the mapped file, 0 where unknown.

    What stands for a place in it, an offset: in the file (ip - map.start + map.pgoff) for user code, the vdso included;
    the run-time address for the kernel and for JIT code of a perf-PID.map.
    """

    path: str
    build_id: str = ""
    kind: FrameKind = FrameKind.USER
    pid: int = NONE
    inode: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """Physical functions, one row per offset.

    name: index into the Symbolizer's `strings`, -1 where no symbol covers the offset; start: where the symbol begins,
    in the space of the offsets (0 where there is none): perf's +0x is offset - start; address: as linked, what objdump
    shows (NOWHERE, all ones, where the byte is not loaded or the file is not there); of the kernel and JIT code, as
    asked.
    """

    name: Int32
    start: UInt64
    address: UInt64

    def __len__(self) -> int:
        return len(self.name)


@dataclass(frozen=True, slots=True, eq=False)
class Inlined:
    """Source lines and inlined functions: for row i of the question, entries first[i] to first[i + 1], outermost first.

    The first entry of a run is the physical function, with perf's name; each that follows is inlined into the one
    before. A run is empty where nothing is known. name, file: indices into the Symbolizer's `strings` (-1:
    unknown); line: 1-based, -1 unknown.
    """

    first: Int32
    name: Int32
    file: Int32
    line: Int32

    def __len__(self) -> int:
        return len(self.first) - 1


def no_names(offsets: UInt64) -> Named:
    """Nothing known of any offset."""
    count = len(offsets)
    return Named(
        readonly(np.full(count, NONE), np.int32),
        readonly(np.zeros(count), np.uint64),
        readonly(np.full(count, NOWHERE, np.uint64), np.uint64),
    )


def no_lines(count: int) -> Inlined:
    empty = readonly([], np.int32)
    return Inlined(readonly(np.zeros(count + 1), np.int32), empty, empty, empty)
