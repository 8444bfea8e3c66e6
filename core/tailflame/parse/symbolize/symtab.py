"""Functions by address, chosen among the symbols of an ELF file as perf chooses them (util/symbol.c, symbol-elf.c)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tailflame.model import NONE
from tailflame.model.stacks import Bool, Int64, UInt64
from tailflame.parse.symbolize.elf_file import (
    EM_AARCH64,
    EM_ARM,
    NOWHERE,
    SHF_ALLOC,
    SHT_DYNSYM,
    SHT_SYMTAB,
    ElfFile,
    Table,
    symbol_type,
)

NAME_LIMIT = 32_000
"""Characters of a symbol's name that are kept."""
_PAGE = 4096
_SHN_UNDEF, _SHN_ABS = 0, 0xFFF1
_NOTYPE, _OBJECT, _FUNC, _IFUNC = 0, 1, 2, 10
_GLOBAL, _WEAK = 1, 2
_HIDDEN = (1, 2)  # STV_INTERNAL, STV_HIDDEN
_ALIASES, _COMPARED = 1000, 64 * 1024**2
"""Symbols at one place among which is chosen, and characters of names that are compared: then the first one counts."""
_STEPS = 64
"""How many functions within one another are looked through."""


@dataclass(slots=True, eq=False)
class Symbols:
    """Symbols before a choice is made: where each begins and ends, how it is bound, and its name.

    text: the names' bytes, zero-terminated, at `name` of each; a name may also have a `suffix` (`@plt`).
    """

    start: UInt64
    size: UInt64
    binding: Any
    name: Int64
    text: bytes
    suffix: str = ""

    def __len__(self) -> int:
        return len(self.start)

    def name_of(self, row: int) -> str:
        at = int(self.name[row])
        end = self.text.find(b"\0", at, at + NAME_LIMIT)
        return self.text[at : end if end >= 0 else at + NAME_LIMIT].decode("utf-8", "replace")


@dataclass(slots=True, eq=False)
class SymbolTable:
    """Finds the symbol at an address. Names are read, made readable and compared only where they are asked for.

    start: of each place that has a symbol, ascending; `_first`, `_stop`: which of `_candidates` are equally good there.
    """

    start: UInt64
    end: UInt64
    _parts: tuple[Symbols, ...]
    _bases: Int64
    _candidates: Int64
    """Rows of all parts, one after the other."""
    _first: Int64
    _stop: Int64
    _ends: UInt64
    """Of each row of the parts."""
    _highest: UInt64
    """The furthest end up to each place."""
    _names: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.start)

    def find(self, addresses: UInt64, readable: Callable[[Iterable[str]], dict[str, str]]) -> Int64:
        """The place whose symbol covers each address; -1 where none does. readable: demangles names."""
        if not len(self.start):
            return np.full(len(addresses), NONE, dtype=np.int64)
        at = np.searchsorted(self.start, addresses, side="right") - 1
        self.choose(np.unique(at[at >= 0]), readable)
        missed = np.flatnonzero((at >= 0) & (addresses >= self.end[at]))
        # A function may lie within another, or behind its alias that is longer.
        for _ in range(_STEPS):
            missed = missed[at[missed] >= 0]
            missed = missed[addresses[missed] >= self.end[at[missed]]]
            if not len(missed):
                break
            hopeless = addresses[missed] >= self._highest[at[missed]]
            at[missed[hopeless]] = NONE
            at[missed[~hopeless]] -= 1
        at[missed] = NONE
        self.choose(np.unique(at[at >= 0]), readable)
        return at

    def choose(self, places: Int64, readable: Callable[[Iterable[str]], dict[str, str]]) -> None:
        """Settles the names of places, by perf's last rules: fewer underscores, then the longer name."""
        places = np.array([place for place in places.tolist() if place not in self._names], dtype=np.int64)
        rows = [
            self._candidates[self._first[p] : min(self._stop[p], self._first[p] + _ALIASES)].tolist()
            for p in places.tolist()
        ]
        raw: dict[int, tuple[str, str]] = {}
        left = _COMPARED
        for group in rows:
            for place, row in enumerate(group):
                if left < 0 and place:
                    del group[place:]
                    break
                raw[row] = self._raw(row)
                left -= len(raw[row][0])
        known = readable(name for name, _ in raw.values())
        for place, group in zip(places.tolist(), rows, strict=True):
            names = {row: known.get(raw[row][0], raw[row][0]) + raw[row][1] for row in group}
            best = max(group, key=lambda row: _rank(names[row]))  # the first among equals
            self._names[place] = names[best]
            self.end[place] = self._ends[best]

    def name(self, place: int) -> str:
        """The name of a place that was chosen."""
        return self._names[place]

    def _raw(self, row: int) -> tuple[str, str]:
        part = int(np.searchsorted(self._bases, row, side="right")) - 1
        symbols = self._parts[part]
        return symbols.name_of(row - int(self._bases[part])), symbols.suffix


def _rank(name: str) -> tuple[int, int, bool]:
    bare = name.lstrip("_")
    # `SyS_read` is an alias of sys_read that older kernels have.
    return len(bare) - len(name), len(name.encode("utf-8", "replace")), not name.startswith(("SyS", "compat_SyS"))


def table_of(parts: Sequence[Symbols], ends: Callable[[Sequence[Symbols]], UInt64] | None = None) -> SymbolTable:
    """The table of several sets of symbols, of which earlier ones go first among equals."""
    parts = tuple(parts)
    bases = np.cumsum([0, *map(len, parts)])[:-1]
    start = np.concatenate([part.start for part in parts]) if parts else np.empty(0, np.uint64)
    binding = np.concatenate([part.binding for part in parts]) if parts else np.empty(0, np.uint8)
    end = (ends or _ends)(parts)
    # perf prefers what has a length, then what is not weak, then what is global.
    weak = binding == _WEAK
    rank = (end > start) * 4 + (~weak) * 2 + (binding == _GLOBAL)
    order = np.lexsort((np.arange(len(start)), -rank, start))
    begins = start[order]
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = begins[1:] != begins[:-1]
    first = np.flatnonzero(fresh)
    group = np.cumsum(fresh) - 1
    equal = rank[order] == rank[order][first][group] if len(order) else np.empty(0, bool)
    stop = first + np.bincount(group[equal], minlength=len(first)).astype(np.int64)
    best_end = end[order][first] if len(order) else np.empty(0, np.uint64)
    highest = np.maximum.accumulate(np.maximum.reduceat(end[order], first)) if len(order) else best_end
    return SymbolTable(begins[first], best_end.copy(), parts, bases, order, first, stop, end, highest)


def _ends(parts: Sequence[Symbols]) -> UInt64:
    """Where each symbol ends. One without a size reaches to the next one."""
    starts = np.concatenate([part.start for part in parts]) if parts else np.empty(0, np.uint64)
    sizes = np.concatenate([part.size for part in parts]) if parts else np.empty(0, np.uint64)
    order = np.argsort(starts, kind="stable")
    sorted_starts = starts[order]
    sorted_ends = sorted_starts + sizes[order]
    sorted_ends[sorted_ends < sorted_starts] = NOWHERE  # a size that leads beyond all addresses
    open_ended = sorted_ends == sorted_starts
    following = np.append(sorted_starts[1:], np.uint64(0))
    sorted_ends[open_ended] = following[open_ended]
    if len(order) and open_ended[-1]:
        sorted_ends[-1] = min((int(sorted_starts[-1]) + _PAGE - 1) // _PAGE * _PAGE + _PAGE, NOWHERE)
    ends = np.empty_like(sorted_ends)
    ends[order] = sorted_ends
    return np.asarray(ends, dtype=np.uint64)


def elf_symbols(symbols: ElfFile, running: ElfFile) -> tuple[Symbols, ...]:
    """The symbols of a file, at their offsets in the file that was mapped (`running`: itself, or its stripped form)."""
    found = []
    for name, kind in ((".symtab", SHT_SYMTAB), (".dynsym", SHT_DYNSYM)):
        section = symbols.section(name)
        if section >= 0 and int(symbols.sections["type"][section]) == kind:
            part = _functions(symbols, section, running)
            if part is not None:
                found.append(part)
    return tuple(found)


def _functions(elf: ElfFile, section: int, running: ElfFile) -> Symbols | None:
    dtype = symbol_type(elf)
    header = elf.sections[section]
    if int(header["entsize"]) != dtype.itemsize:
        return None
    data = elf.data(section)
    text = elf.data(int(header["link"])) if int(header["link"]) < len(elf.sections) else b""
    if not data or not text:
        return None
    rows = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
    rows = rows[_is_code(rows, elf, text)]
    start = rows["value"].astype(np.uint64)
    if elf.machine == EM_ARM:  # the lowest bit only says that the code is Thumb
        start -= start & (rows["info"] & 0xF == _FUNC)
    sections = np.minimum(rows["shndx"].astype(np.int64), max(len(running.sections) - 1, 0))
    return Symbols(
        start=running.unlinked(start, sections),
        size=rows["size"].astype(np.uint64),
        binding=rows["info"] >> 4,
        name=rows["name"].astype(np.int64),
        text=text,
    )


def _is_code(rows: Table, elf: ElfFile, text: bytes) -> Bool:
    """What perf takes for a function: data too, so that code which is none does not get a function's name."""
    kind, index = rows["info"] & 0xF, rows["shndx"]
    named = (rows["name"] != 0) & (rows["name"] < len(text))
    good = named & (index != _SHN_UNDEF) & (index != _SHN_ABS) & (index < len(elf.sections))
    label = (kind == _NOTYPE) & ~np.isin(rows["other"] & 3, _HIDDEN)
    good &= label | np.isin(kind, (_OBJECT, _FUNC, _IFUNC))
    flags = elf.sections["flags"]
    may_label = np.array(["text" in name or "data" in name for name in elf.section_names], dtype=bool)
    rest = np.flatnonzero(good)
    at = index[rest]
    good[rest] = ((flags[at] & SHF_ALLOC) != 0) & (~label[rest] | may_label[at])
    if elf.machine in (EM_ARM, EM_AARCH64):  # `$x`, `$d.1`: where code and data begin
        letters = np.frombuffer(text + b"\0\0", np.uint8)
        rest = np.flatnonzero(good)
        rest = rest[letters[rows["name"][rest]] == ord("$")]
        for row in rest.tolist():
            at_name = int(rows["name"][row])
            name = text[at_name : at_name + 4].split(b"\0")[0]
            good[row] = not (name[1:2] in (b"a", b"d", b"t", b"x") and name[2:3] in (b"", b"."))
    return np.asarray(good, dtype=bool)


def has_symtab(elf: ElfFile) -> bool:
    """Whether the file has the symbols that `strip` takes away."""
    section = elf.section(".symtab")
    row = elf.sections[section] if section >= 0 else None
    return row is not None and int(row["type"]) == SHT_SYMTAB and int(row["size"]) > 0
