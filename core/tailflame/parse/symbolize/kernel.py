"""Functions of the kernel and its modules: /proc/kallsyms, or the copy of it that perf record keeps."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tailflame.model.stacks import UInt64
from tailflame.parse.symbolize.elf_file import NOWHERE, NotElf, build_id_in, open_elf
from tailflame.parse.symbolize.state import KernelNames
from tailflame.parse.symbolize.symtab import Symbols, SymbolTable, elf_symbols, has_symtab, table_of

KALLSYMS = Path("/proc/kallsyms")
NOTES = Path("/sys/kernel/notes")
_VMLINUX = (
    ("/boot/vmlinux-", ""),
    ("/usr/lib/debug/boot/vmlinux-", ""),
    ("/usr/lib/debug/lib/modules/", "/vmlinux"),
    ("/lib/modules/", "/build/vmlinux"),
)
"""What stands before and behind the kernel's release in the paths of its file."""
_LIMIT = 256 * 1024**2
_PAGE = np.uint64(4096)
_DIGITS = 16
_KINDS = b"TtWwDdBb"
_GLOBAL, _LOCAL, _WEAK = 1, 0, 2


@dataclass(frozen=True, slots=True)
class RecordedKernel:
    """What a recording tells of its kernel. build_id: "" where it does not; release: as `uname -r` says it.

    anchor, anchor_address: a symbol and where it was at run time, from the mapping `[kernel.kallsyms]_text`; a kernel
    that was started again lies elsewhere.
    """

    build_id: str = ""
    release: str = ""
    anchor: str = ""
    anchor_address: int = 0


def kernel_table(kernel: RecordedKernel, home: Path) -> SymbolTable | None:
    """None where the recorded kernel's symbols are not known: it is another one than runs here, or hides them."""
    moved: list[tuple[Symbols, UInt64]] = []
    for path in _lists(kernel, home):
        found = _read(path)
        if found is None:
            continue
        text, symbols, owner = found
        at = _address(text, kernel.anchor) if kernel.anchor else None
        if not kernel.anchor or at == kernel.anchor_address:
            return _table(symbols, owner)
        if at and kernel.build_id:
            moved.append((_slid(symbols, owner, kernel.anchor_address - at), owner[owner == 0]))
    if not kernel.anchor:
        return None
    table = _of_vmlinux(kernel, home)
    return _table(*moved[0]) if table is None and moved else table


def names_here(kernel: RecordedKernel) -> KernelNames:
    """Why there are no symbols of a kernel, where `kernel_table` finds none."""
    if not kernel.anchor:
        return KernelNames.UNTOLD
    if not kernel.build_id and not kernel.release:
        return KernelNames.UNIDENTIFIED
    if not same_as_running(kernel):
        return KernelNames.ELSEWHERE
    return KernelNames.HIDDEN if _read(KALLSYMS) is None else KernelNames.ELSEWHERE


def same_as_running(kernel: RecordedKernel) -> bool:
    """Whether the recorded kernel runs here."""
    if kernel.build_id:
        return kernel.build_id == running_build_id()
    return bool(kernel.release) and kernel.release == os.uname().release


def _lists(kernel: RecordedKernel, home: Path) -> list[Path]:
    found = [KALLSYMS] if same_as_running(kernel) else []
    if kernel.build_id:
        found.append(home / ".debug/[kernel.kallsyms]" / kernel.build_id / "kallsyms")
    return found


def _of_vmlinux(kernel: RecordedKernel, home: Path) -> SymbolTable | None:
    """The kernel's own file, its symbols moved to where the kernel was. It tells nothing of modules."""
    build_id, release = kernel.build_id, kernel.release
    places = [home / ".debug/[kernel.kallsyms]" / build_id / "vmlinux"] if build_id else []
    places += [Path(f"{folder}{release}{name}") for folder, name in _VMLINUX] if release and "/" not in release else []
    for path in places:
        try:
            elf = open_elf(path)
        except NotElf:
            continue
        if not build_id or elf.build_id() != build_id or not has_symtab(elf):
            continue
        parts = elf_symbols(elf, elf)
        at = next((i for i in range(len(parts[0])) if parts[0].name_of(i) == kernel.anchor), -1) if parts else -1
        if at < 0:
            continue
        for part in parts:
            part.start = elf.linked(part.start)
        slide = np.uint64((kernel.anchor_address - int(parts[0].start[at])) & NOWHERE)
        for part in parts:
            part.start = part.start + slide
        return table_of(parts)
    return None


def running_build_id() -> str:
    """The build id of the kernel that runs here; "" where it does not tell."""
    try:
        return build_id_in(NOTES.read_bytes(), "<" if sys.byteorder == "little" else ">")
    except OSError:
        return ""


def _read(path: Path) -> tuple[bytes, Symbols, UInt64] | None:
    """A list's text, its symbols and the module of each; None where it is missing, or hidden from us."""
    try:
        with path.open("rb") as raw:
            text = raw.read(_LIMIT + 1)
    except OSError:
        return None
    symbols, owner = kallsyms(text)
    if not len(symbols) or not symbols.start.any():
        return None  # hidden: all addresses are zero (kernel.kptr_restrict)
    return text, symbols, owner


def _address(text: bytes, name: str) -> int | None:
    """Where a symbol of the kernel lies, by its list. name: whatever a file says."""
    found = re.search(rb"^([0-9a-f]{16}) [a-zA-Z] " + re.escape(name.encode("utf-8", "replace")) + rb"$", text, re.M)
    return int(found[1], 16) if found else None


def _slid(symbols: Symbols, owner: UInt64, by: int) -> Symbols:
    """Symbols of the same build that was started again, and lies elsewhere as a whole; its modules anywhere."""
    own = owner == 0
    slide = np.uint64(by & NOWHERE)
    return Symbols(symbols.start[own] + slide, symbols.size[own], symbols.binding[own], symbols.name[own], symbols.text)


def _table(symbols: Symbols, owner: UInt64) -> SymbolTable:
    return table_of((symbols,), lambda parts: _ends(parts[0].start, owner))


def kallsyms(text: bytes) -> tuple[Symbols, UInt64]:
    """The functions and data among lines such as `ffffffffc0a01000 t nf_ct_init\\t[nf_conntrack]`, by address.

    The second array numbers the module of each: 0 for the kernel itself.
    """
    if len(text) > _LIMIT:
        text = b""
    text = text[: text.rfind(b"\n") + 1]
    data = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    starts = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends
    long_enough = ends - starts > _DIGITS + 3
    starts, ends = starts[long_enough], ends[long_enough]
    digits = data[starts[:, None] + np.arange(_DIGITS)] if len(starts) else np.empty((0, _DIGITS), np.uint8)
    values = _DIGIT_VALUES[digits]
    kinds = data[starts + _DIGITS + 1]
    good = (values < 16).all(axis=1) & np.isin(kinds, np.frombuffer(_KINDS, np.uint8))
    good &= (data[starts + _DIGITS] == ord(" ")) & (data[starts + _DIGITS + 3] != ord("$"))
    address = np.zeros(len(starts), dtype=np.uint64)
    for column in range(_DIGITS):
        address = address << np.uint64(4) | values[:, column].astype(np.uint64)
    kinds = kinds[good]
    address, starts, ends = address[good], starts[good], ends[good]
    binding = np.where(kinds == ord("W"), _WEAK, np.where(kinds < ord("a"), _GLOBAL, _LOCAL)).astype(np.uint8)
    symbols = Symbols(
        start=address,
        size=np.zeros(len(address), dtype=np.uint64),
        binding=binding,
        name=starts + _DIGITS + 3,
        text=text.translate(bytes.maketrans(b"\n\t", b"\0\0")),
    )
    return symbols, _modules(data, text, ends)


def _modules(data: UInt64, text: bytes, ends: UInt64) -> UInt64:
    """The number of each line's module."""
    owner = np.zeros(len(ends), dtype=np.int64)
    numbers: dict[bytes, int] = {}
    for row in np.flatnonzero(data[ends - 1] == ord("]")).tolist():
        end = int(ends[row])
        name = text[text.rfind(b"[", 0, end) : end]
        owner[row] = numbers.setdefault(name, len(numbers) + 1)
    return owner


def _ends(start: UInt64, owner: UInt64) -> UInt64:
    """kallsyms tells no sizes: each symbol reaches to the next, the last one of a module to the end of its page."""
    order = np.argsort(start, kind="stable")
    sorted_start, sorted_owner = start[order], owner[order]
    following = np.append(sorted_start[1:], np.uint64(0))
    last = np.append(sorted_owner[1:] != sorted_owner[:-1], True)
    paged = (sorted_start + _PAGE + _PAGE - np.uint64(1)) // _PAGE * _PAGE
    ends = np.empty(len(start), dtype=np.uint64)
    ends[order] = np.where(last, paged, following)
    return ends


_DIGIT_VALUES = np.full(256, 16, dtype=np.uint8)
_DIGIT_VALUES[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16, dtype=np.uint8)
