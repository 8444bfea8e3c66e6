"""Stubs that jump to functions of shared libraries: perf names them `memcpy@plt`, in the order of their relocations."""

from __future__ import annotations

import numpy as np

from tailflame.parse.symbolize.elf_file import (
    EM_AARCH64,
    EM_ARM,
    SHT_REL,
    SHT_RELA,
    ElfFile,
    symbol_type,
)
from tailflame.parse.symbolize.symtab import Symbols

_SIZES = {EM_ARM: (20, 12), EM_AARCH64: (32, 16)}
"""Bytes before the first stub, and of each."""
_GLOBAL = 1
_ENTRY = 16


def plt_symbols(elf: ElfFile) -> tuple[Symbols, ...]:
    """The stubs of `.plt`, and of `.plt.sec` where the compiler makes them for indirect branch tracking."""
    dynamic = elf.section(".dynsym")
    relocations = next((n for name in (".rela.plt", ".rel.plt") if (n := elf.section(name)) >= 0), -1)
    plt, second = elf.section(".plt"), elf.section(".plt.sec")
    if dynamic < 0 or relocations < 0 or plt < 0 or int(elf.sections["link"][relocations]) != dynamic:
        return ()
    word = "u8" if elf.is_64 else "u4"
    kind = int(elf.sections["type"][relocations])
    fields = [("offset", elf.order + word), ("info", elf.order + word)]
    if kind == SHT_RELA:
        fields.append(("addend", elf.order + word))
    elif kind != SHT_REL:
        return ()
    row = np.dtype(fields)
    data = elf.data(relocations)
    info = np.frombuffer(data, row, len(data) // row.itemsize)["info"].astype(np.uint64)
    wanted = (info >> np.uint64(32 if elf.is_64 else 8)).astype(np.int64)

    symbols = (
        np.frombuffer(elf.data(dynamic), symbol_type(elf)) if _whole(elf, dynamic) else np.empty(0, symbol_type(elf))
    )
    link = int(elf.sections["link"][dynamic])
    text = elf.data(link) if link < len(elf.sections) else b""
    if not len(symbols) or not text:
        return ()
    position = np.flatnonzero(wanted < len(symbols))
    name = symbols["name"][wanted[position]].astype(np.int64)
    named = name < len(text)  # an indirect function has none: perf shows `@plt`
    found = []
    for section, has_header in ((plt, True), (second, False)):
        if section < 0:
            continue
        step = int(elf.sections["entsize"][section]) or _ENTRY
        header, step = _SIZES.get(elf.machine, (step, step))
        begin = int(elf.sections["offset"][section]) + (header if has_header else 0)
        end = int(elf.sections["offset"][section]) + int(elf.sections["size"][section])
        start = np.uint64(begin) + position.astype(np.uint64) * np.uint64(step)
        good = named & (start + np.uint64(step) <= np.uint64(end))
        count = int(good.sum())
        found.append(
            Symbols(
                start=start[good],
                size=np.full(count, step, dtype=np.uint64),
                binding=np.full(count, _GLOBAL, dtype=np.uint8),
                name=name[good],
                text=text,
                suffix="@plt",
            )
        )
    return tuple(found)


def _whole(elf: ElfFile, section: int) -> bool:
    size = symbol_type(elf).itemsize
    return int(elf.sections["entsize"][section]) == size and int(elf.sections["size"][section]) % size == 0
