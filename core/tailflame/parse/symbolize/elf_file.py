"""An ELF file as arrays: sections, segments, build id. Nothing in it is believed that its size does not bear out."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tailflame.errors import ParseError
from tailflame.model.stacks import UInt64

Table: TypeAlias = npt.NDArray[Any]
"""Rows of a structured dtype; its integers are little or big endian as the file's are."""

SECTION_LIMIT, SEGMENT_LIMIT = 1_000_000, 65_536
SECTION_BYTES_LIMIT = 512 * 1024**2
"""Bytes of one section that are read at most: the string table of the largest known browsers has half as many."""
NOWHERE = 0xFFFF_FFFF_FFFF_FFFF
"""The linked address of a byte that is not loaded."""

SHT_SYMTAB, SHT_RELA, SHT_NOTE, SHT_NOBITS, SHT_REL, SHT_DYNSYM = 2, 4, 7, 8, 9, 11
SHF_ALLOC, SHF_COMPRESSED = 0x2, 0x800
EM_386, EM_ARM, EM_X86_64, EM_AARCH64 = 3, 40, 62, 183
ET_DYN = 3
_PT_LOAD, _PT_NOTE = 1, 4
_NT_GNU_BUILD_ID = 3
_BUILD_ID_BYTES = 64
_NAME_BYTES = 4096
_HEADER = (
    "type u2,machine u2,version u4,entry W,phoff W,shoff W,flags u4,"
    "ehsize u2,phentsize u2,phnum u2,shentsize u2,shnum u2,shstrndx u2"
)
_Reader: TypeAlias = Callable[[int, int], bytes]
"""The bytes at an offset, so many."""


class NotElf(ParseError):
    """The file is no ELF file, or its headers contradict its size."""


@dataclass(frozen=True, slots=True, eq=False)
class ElfFile:
    """The headers of a file. Its bytes are read when asked, never mapped: a file that is cut meanwhile would end us."""

    path: Path
    size: int
    is_64: bool
    big_endian: bool
    machine: int
    type: int
    sections: Table
    section_names: tuple[str, ...]
    segments: Table
    """Loaded parts (PT_LOAD), in the file's order: offset, vaddr, filesz, memsz."""
    notes: tuple[tuple[int, int], ...] = ()
    stamp: tuple[int, int, int] = (0, 0, 0)
    """(device, inode, mtime in ns) of what was read."""
    image: bytes | None = None
    """The whole file, where it is in no file system (MiniDebugInfo, the vdso)."""
    _by_name: dict[str, int] = field(default_factory=dict)

    @property
    def order(self) -> str:
        return ">" if self.big_endian else "<"

    def section(self, name: str) -> int:
        """The number of the first section of that name; -1 where there is none."""
        return self._by_name.get(name, -1)

    def holds(self, section: int) -> bool:
        """Whether the section has bytes in this file."""
        return section >= 0 and int(self.sections["type"][section]) != SHT_NOBITS

    def data(self, section: int, *, limit: int = SECTION_BYTES_LIMIT) -> bytes:
        """A section's bytes; b"" where it has none here, reaches beyond the file, or has more than `limit`."""
        if not self.holds(section):
            return b""
        row = self.sections[section]
        return self.read(int(row["offset"]), int(row["size"]), limit=limit)

    def read(self, offset: int, size: int, *, limit: int = SECTION_BYTES_LIMIT) -> bytes:
        if offset < 0 or size <= 0 or size > limit or offset + size > self.size:
            return b""
        if self.image is not None:
            return self.image[offset : offset + size]
        try:
            with self.path.open("rb", buffering=0) as raw:
                now = os.fstat(raw.fileno())
                if (now.st_dev, now.st_ino, now.st_mtime_ns) != self.stamp:
                    return b""  # another file by now
                return _read(raw.fileno(), offset, size)
        except OSError:
            return b""

    def build_id(self) -> str:
        """In hexadecimal digits; "" where there is none."""
        for offset, size in self.notes:
            found = build_id_in(self.read(offset, size, limit=1024**2), self.order)
            if found:
                return found
        return ""

    def linked(self, offsets: UInt64) -> UInt64:
        """The address that each byte of the file is linked to; NOWHERE where it is not loaded."""
        found = np.full(len(offsets), NOWHERE, dtype=np.uint64)
        for row in self.segments[::-1]:  # the first that fits counts, as it does for perf
            begin, size = int(row["offset"]), int(row["filesz"])
            inside = (offsets >= np.uint64(begin)) & (offsets - np.uint64(begin) < np.uint64(size))
            found[inside] = offsets[inside] + np.uint64((int(row["vaddr"]) - begin) & NOWHERE)
        return found

    def unlinked(self, addresses: UInt64, sections: Table) -> UInt64:
        """Where in the file the bytes at linked addresses lie. sections: that of each, for what no segment holds."""
        found = addresses - (self.sections["addr"][sections] - self.sections["offset"][sections]).astype(np.uint64)
        left = np.ones(len(addresses), dtype=bool)
        for row in self.segments:
            begin, size = int(row["vaddr"]), max(int(row["filesz"]), int(row["memsz"]))
            inside = left & (addresses >= np.uint64(begin)) & (addresses - np.uint64(begin) < np.uint64(size))
            found[inside] = addresses[inside] - np.uint64((begin - int(row["offset"])) & NOWHERE)
            left &= ~inside
        return np.asarray(found, dtype=np.uint64)


def open_elf(path: Path) -> ElfFile:
    """Raises NotElf, also where the file cannot be read. A pipe or a device is not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _not_elf(path, getattr(error, "strerror", "") or str(error)) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _not_elf(path, "it is no regular file")
        stamp = (status.st_dev, status.st_ino, status.st_mtime_ns)
        return _headers(lambda at, size: _read(descriptor, at, size), status.st_size, path, stamp, None)
    except OSError as error:
        raise _not_elf(path, error.strerror or "it cannot be read") from error
    finally:
        os.close(descriptor)


def elf_in_memory(image: bytes, path: Path) -> ElfFile:
    """An ELF file that is in no file system. Raises NotElf."""
    return _headers(lambda at, size: image[at : at + size], len(image), path, (0, 0, 0), image)


def _headers(read: _Reader, size: int, path: Path, stamp: tuple[int, int, int], image: bytes | None) -> ElfFile:
    head = read(0, min(size, 64)) if size else b""
    if len(head) < 52 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
        raise _not_elf(path, "it has no ELF header")
    is_64, big = head[4] == 2, head[5] == 2
    if is_64 and len(head) < 64:
        raise _not_elf(path, "it ends within its header")
    order = ">" if big else "<"
    word = "u8" if is_64 else "u4"
    header = np.frombuffer(head, _fields(order, _HEADER.replace("W", word)), 1, 16)[0]
    sections = _table(read, size, header, _section_type(order, word), "sh", SECTION_LIMIT)
    segments = _table(read, size, header, _segment_type(order, word), "ph", SEGMENT_LIMIT)
    names = _section_names(read, size, sections, int(header["shstrndx"]))
    notes = [
        *((int(s["offset"]), int(s["size"])) for s in sections[sections["type"] == SHT_NOTE][:64]),
        *((int(s["offset"]), int(s["filesz"])) for s in segments[segments["type"] == _PT_NOTE][:64]),
    ]
    by_name: dict[str, int] = {}
    for number, name in enumerate(names):
        by_name.setdefault(name, number)
    return ElfFile(
        path=path,
        size=size,
        is_64=is_64,
        big_endian=big,
        machine=int(header["machine"]),
        type=int(header["type"]),
        sections=sections,
        section_names=names,
        segments=segments[segments["type"] == _PT_LOAD],
        notes=tuple(notes),
        stamp=stamp,
        image=image,
        _by_name=by_name,
    )


def _fields(order: str, text: str) -> np.dtype[Any]:
    return np.dtype([(name, order + kind) for name, kind in (part.split() for part in text.split(","))])


def _section_type(order: str, word: str) -> np.dtype[Any]:
    text = "name u4,type u4,flags W,addr W,offset W,size W,link u4,info u4,align W,entsize W"
    return _fields(order, text.replace("W", word))


def _segment_type(order: str, word: str) -> np.dtype[Any]:
    if word == "u8":
        return _fields(order, "type u4,flags u4,offset u8,vaddr u8,paddr u8,filesz u8,memsz u8,align u8")
    return _fields(order, "type u4,offset u4,vaddr u4,paddr u4,filesz u4,memsz u4,flags u4,align u4")


def symbol_type(elf: ElfFile) -> np.dtype[Any]:
    if elf.is_64:
        return _fields(elf.order, "name u4,info u1,other u1,shndx u2,value u8,size u8")
    return _fields(elf.order, "name u4,value u4,size u4,info u1,other u1,shndx u2")


def _table(read: _Reader, size: int, header: Any, row: np.dtype[Any], kind: str, limit: int) -> Table:
    """The section or program headers; none where the file's size contradicts them."""
    offset, count = int(header[f"{kind}off"]), int(header[f"{kind}num"])
    if not offset or int(header[f"{kind}entsize"]) != row.itemsize:
        return np.empty(0, row)
    if kind == "sh" and count == 0 and offset + row.itemsize <= size:
        # More than 65,279 sections: their number stands in the first one.
        count = int(np.frombuffer(read(offset, row.itemsize), row, 1)[0]["size"])
    if not 0 < count <= limit or offset + count * row.itemsize > size:
        return np.empty(0, row)
    return np.frombuffer(read(offset, count * row.itemsize), row)


def _section_names(read: _Reader, size: int, sections: Table, index: int) -> tuple[str, ...]:
    if index == 0xFFFF and len(sections):
        index = int(sections[0]["link"])
    if index >= len(sections):
        return ("",) * len(sections)
    table = sections[index]
    offset, length = int(table["offset"]), int(table["size"])
    if int(table["type"]) == SHT_NOBITS or length > 64 * 1024**2 or offset + length > size:
        return ("",) * len(sections)
    data = read(offset, length) if length else b""
    found: dict[int, str] = {}
    for at in sections["name"].tolist():
        if at not in found:
            found[at] = string_at(data, at, limit=_NAME_BYTES)
    return tuple(found[at] for at in sections["name"].tolist())


def string_at(data: bytes, at: int, *, limit: int) -> str:
    """The zero-terminated string at an offset, of `limit` bytes at most; "" beyond the data."""
    if at >= len(data):
        return ""
    end = data.find(b"\0", at, at + limit)
    return data[at : end if end >= 0 else at + limit].decode("utf-8", "replace")


def build_id_in(notes: bytes, order: str) -> str:
    """The build id among ELF notes, in hexadecimal digits; "" where there is none."""
    at = 0
    byteorder: Any = "big" if order == ">" else "little"
    while at + 12 <= len(notes):
        name_size, size, kind = (int.from_bytes(notes[at + i : at + i + 4], byteorder) for i in (0, 4, 8))
        begin = at + 12 + (name_size + 3 & ~3)
        if kind == _NT_GNU_BUILD_ID and notes[at + 12 : at + 12 + name_size] == b"GNU\0" and size <= _BUILD_ID_BYTES:
            return notes[begin : begin + size].hex() if begin + size <= len(notes) else ""
        at = begin + (size + 3 & ~3)
    return ""


def build_id_of(path: Path) -> str:
    """The build id of a file; "" where it has none, or is no ELF file."""
    try:
        return open_elf(path).build_id()
    except NotElf:
        return ""


def _read(descriptor: int, offset: int, size: int) -> bytes:
    """Exactly `size` bytes. Raises OSError where there are fewer (the file is being cut)."""
    parts: list[bytes] = []
    while size:
        part = os.pread(descriptor, min(size, 1 << 30), offset)
        if not part:
            raise OSError(0, "it ends too soon")
        parts.append(part)
        offset += len(part)
        size -= len(part)
    return b"".join(parts)


def _not_elf(path: Path, why: str) -> NotElf:
    return NotElf(f"{path} cannot be read as an ELF file: {why}.", source=str(path))
