"""The few things of an ELF file that a preflight asks for, read lazily: a binary of 200 MB costs milliseconds.

pyelftools publishes no types and reads whole sections; here the file is mapped, and it is given windows onto that.
"""

from __future__ import annotations

import inspect
import io
import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

import numpy as np
import zstandard
from elftools.common.exceptions import DWARFError, ELFError
from elftools.construct import ConstructError
from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo
from elftools.elf.elffile import ELFFile

from tailflame.errors import TailflameError

MACHINES = {
    "EM_X86_64": "x86_64",
    "EM_386": "i386",
    "EM_AARCH64": "aarch64",
    "EM_ARM": "arm",
    "EM_RISCV": "riscv64",
    "EM_PPC64": "ppc64",
    "EM_S390": "s390x",
    "EM_LOONGARCH": "loongarch64",
}

# What pyelftools lets through when a file breaks its promises.
_BROKEN = (
    ELFError,
    DWARFError,
    ConstructError,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    zstandard.ZstdError,
    AssertionError,
)

_UNPACKED_LIMIT = 64 << 20
"""Bytes of a compressed debug section that are unpacked."""

_SYMBOL = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"), ("size", "<u8")]
)
_FUNCTION = 2


class BrokenElf(TailflameError):
    """The file begins like an ELF file and is not one."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One compile unit: what its compiler tells of itself."""

    name: str
    folder: str
    producer: str
    language: int
    functions: int
    """Functions with code of their own among the entries looked at."""
    inlined: int
    """Inlined calls among them."""


class Elf:
    """An open ELF file. Raises BrokenElf from any method where the file is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            self._elf: Any = ELFFile(cast(IO[bytes], self._map))
            self._sections: dict[str, Any] = {s.name: s for s in self._elf.iter_sections()}
        except _BROKEN as problem:
            self._map.close()
            raise self._broken(problem) from problem

    def __enter__(self) -> Elf:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._map.close()

    def _broken(self, problem: Exception) -> BrokenElf:
        return BrokenElf(
            f"{self.path} is damaged: it begins like a program and is not a whole one.", details=str(problem)
        )

    @property
    def machine(self) -> str:
        """x86_64, aarch64, …; the number where it has no name here."""
        machine = self._elf["e_machine"]
        return MACHINES.get(machine, str(machine).removeprefix("EM_").lower())

    @property
    def runs(self) -> bool:
        """An executable, or a position-independent one: no object file, no core dump, and no library without entry."""
        kind = self._elf["e_type"]
        return bool(kind == "ET_EXEC" or (kind == "ET_DYN" and self._elf["e_entry"] != 0))

    @property
    def interpreter(self) -> str:
        """The dynamic loader, empty for a static program."""
        try:
            for segment in self._elf.iter_segments():
                if segment["p_type"] == "PT_INTERP":
                    return str(segment.get_interp_name())
        except _BROKEN as problem:
            raise self._broken(problem) from problem
        return ""

    def has(self, section: str) -> bool:
        """Whether a section is there and holds something (a file of separated symbols keeps empty shells)."""
        found = self._sections.get(section)
        return found is not None and found["sh_type"] != "SHT_NOBITS" and found["sh_size"] > 0

    @property
    def has_debug_info(self) -> bool:
        return self.has(".debug_info") or self.has(".zdebug_info")

    def section(self, name: str, limit: int | None = None) -> bytes:
        """The bytes of a section as they stand in the file, at most `limit`; empty where there is none."""
        if not self.has(name):
            return b""
        begin, size = self._sections[name]["sh_offset"], self._sections[name]["sh_size"]
        return self._map[begin : begin + (size if limit is None else min(size, limit))]

    @property
    def build_id(self) -> str:
        """Hex digits; empty where the linker wrote none."""
        note = self.section(".note.gnu.build-id", 256)
        if len(note) < 16:
            return ""
        name_size, size, _ = struct.unpack_from("<III", note)
        begin = 12 + (name_size + 3) // 4 * 4
        return note[begin : begin + size].hex()

    @property
    def debug_link(self) -> str:
        """The name of the file that holds the symbols instead."""
        return self.section(".gnu_debuglink", 4096).split(b"\0", 1)[0].decode(errors="replace")

    @property
    def loaded(self) -> list[tuple[int, int, int]]:
        """Parts of the file that are loaded: (address, offset in the file, bytes)."""
        try:
            headers = [segment.header for segment in self._elf.iter_segments("PT_LOAD")]
        except _BROKEN as problem:
            raise self._broken(problem) from problem
        return [(h.p_vaddr, h.p_offset, h.p_filesz) for h in headers]

    @property
    def needed(self) -> list[str]:
        """The libraries that the loader brings along, by name."""
        dynamic = self._sections.get(".dynamic")
        try:
            return [tag.needed for tag in dynamic.iter_tags("DT_NEEDED")] if dynamic is not None else []
        except _BROKEN as problem:
            raise self._broken(problem) from problem

    def symbols(self, table: str) -> tuple[np.ndarray[Any, np.dtype[np.void]], bytes]:
        """The symbols of ".symtab" or ".dynsym" as they stand in a 64-bit file, and the bytes that hold their names.

        Fields of an entry: name (offset in those bytes), info (type in the low four bits: 2 is a function), section
        (0: it lies in another file), value (address), size. Empty where there is none.
        """
        names = {".symtab": ".strtab", ".dynsym": ".dynstr"}[table]
        if self._elf.elfclass != 64 or not self._elf.little_endian or not self.has(table) or not self.has(names):
            return np.empty(0, _SYMBOL), b""
        raw = self.section(table)
        return np.frombuffer(raw[: len(raw) // _SYMBOL.itemsize * _SYMBOL.itemsize], dtype=_SYMBOL), self.section(names)

    def find_name(self, pattern: bytes) -> bool:
        """Whether a symbol's name matches a regular expression over bytes."""
        if not self.has(".strtab"):
            return False
        begin, size = self._sections[".strtab"]["sh_offset"], self._sections[".strtab"]["sh_size"]
        return re.compile(pattern).search(self._map, begin, begin + size) is not None

    def functions(self, limit: int) -> Iterator[tuple[bytes, bytes]]:
        """(name, first 64 bytes of code) of at most `limit` functions, spread over the table; of 64-bit files alone."""
        if self._elf.elfclass != 64 or not self.has(".symtab") or not self.has(".strtab"):
            return
        raw = self.section(".symtab")
        table = np.frombuffer(raw[: len(raw) // _SYMBOL.itemsize * _SYMBOL.itemsize], dtype=_SYMBOL)
        sections = list(self._sections.values())
        own = table[((table["info"] & 15) == _FUNCTION) & (table["size"] > 16) & (table["section"] > 0)]
        own = own[own["section"] < len(sections)]
        names = self._sections[".strtab"]["sh_offset"]
        for symbol in own[:: max(len(own) // limit, 1)][:limit]:
            section = sections[int(symbol["section"])]
            at = int(symbol["value"]) - section["sh_addr"] + section["sh_offset"]
            begin = names + int(symbol["name"])
            end = self._map.find(b"\0", begin, begin + 4096)
            yield self._map[begin : end if end >= 0 else begin], self._map[at : at + min(64, int(symbol["size"]))]

    def units(self, limit: int, *, entries: int = 1500) -> list[Unit]:
        """The first `limit` compile units, of each at most `entries` entries. Empty where there is no DWARF."""
        if not self.has_debug_info:
            return []
        units: list[Unit] = []
        try:
            for found in self._dwarf().iter_CUs():
                units.append(_unit(found, entries))
                if len(units) >= limit:
                    break
        except _BROKEN as problem:
            if units:
                return units  # a compressed section is unpacked in part: its end is missing
            raise self._broken(problem) from problem
        return units

    def _dwarf(self) -> Any:
        wanted = {
            "debug_info_sec": "info",
            "debug_abbrev_sec": "abbrev",
            "debug_str_sec": "str",
            "debug_line_str_sec": "line_str",
            "debug_str_offsets_sec": "str_offsets",
            "debug_addr_sec": "addr",
        }
        given = {name: self._window(section) for name, section in wanted.items()}
        # The other sections are not read; which there are differs between versions of pyelftools.
        parameters = list(inspect.signature(DWARFInfo.__init__).parameters)[2:]
        absent = {name: None for name in parameters if name not in given}
        config = DwarfConfig(self._elf.little_endian, self._elf.get_machine_arch(), self._elf.elfclass // 8)
        return DWARFInfo(config, **absent, **given)

    def _window(self, name: str) -> DebugSectionDescriptor | None:
        plain = self._sections.get(f".debug_{name}")
        if plain is not None and not plain["sh_flags"] & 0x800:  # SHF_COMPRESSED
            window = _Window(self._map, plain["sh_offset"], plain["sh_size"])
            return DebugSectionDescriptor(cast(IO[bytes], window), plain.name, plain["sh_offset"], plain["sh_size"], 0)
        packed = self._sections.get(f".zdebug_{name}") if plain is None else plain
        if packed is None:
            return None
        begin = packed["sh_offset"]
        raw = self._map[begin : begin + packed["sh_size"]]
        data = _unpack_old(raw) if plain is None else _unpack(raw, wide=self._elf.elfclass == 64)
        return DebugSectionDescriptor(io.BytesIO(data), packed.name, begin, len(data), 0)


def _unpack(raw: bytes, *, wide: bool) -> bytes:
    """A section with SHF_COMPRESSED: a header that names the method (1 zlib, 2 zstd), then the data."""
    method, body = raw[0], raw[24 if wide else 12 :]
    if method == 2:
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body)) as reader:
            return reader.read(_UNPACKED_LIMIT)
    return zlib.decompressobj().decompress(body, _UNPACKED_LIMIT)


def _unpack_old(raw: bytes) -> bytes:
    """A `.zdebug_*` section: "ZLIB", its size in 8 bytes, then the data."""
    return zlib.decompressobj().decompress(raw[12:], _UNPACKED_LIMIT)


def _unit(unit: Any, entries: int) -> Unit:
    attributes = unit.get_top_DIE().attributes

    def text(name: str) -> str:
        value = attributes[name].value if name in attributes else b""
        return value.decode(errors="replace") if isinstance(value, bytes) else ""

    functions = inlined = 0
    for number, entry in enumerate(unit.iter_DIEs()):
        if entry.tag == "DW_TAG_inlined_subroutine":
            inlined += 1
        elif entry.tag == "DW_TAG_subprogram":
            functions += "DW_AT_low_pc" in entry.attributes
        if number >= entries:
            break
    language = attributes["DW_AT_language"].value if "DW_AT_language" in attributes else 0
    return Unit(
        name=text("DW_AT_name"),
        folder=text("DW_AT_comp_dir"),
        producer=text("DW_AT_producer"),
        language=language if isinstance(language, int) else 0,
        functions=functions,
        inlined=inlined,
    )


class _Window(io.RawIOBase):
    """A part of a mapping as a file of its own."""

    def __init__(self, mapping: mmap.mmap, begin: int, size: int) -> None:
        self._mapping, self._begin, self._size, self._at = mapping, begin, size, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._size, self._at + size)
        data = self._mapping[self._begin + self._at : self._begin + max(end, self._at)]
        self._at += len(data)
        return data
