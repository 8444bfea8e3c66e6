"""What is fuzzed beside the formats: readers of other people's binaries and of what JIT compilers write.

Each takes any bytes, asks everything of them, and must answer; NotElf is an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tailflame.parse.symbolize.elf_file import NotElf, elf_in_memory
from tailflame.parse.symbolize.files import has_debug_info
from tailflame.parse.symbolize.jit import dump_symbols, map_symbols
from tailflame.parse.symbolize.kernel import kallsyms
from tailflame.parse.symbolize.plt import plt_symbols
from tailflame.parse.symbolize.symcache import parse_symcache
from tailflame.parse.symbolize.symtab import Symbols, elf_symbols, table_of

SPIN = Path(__file__).resolve().parent.parent / "tests/data/perf/6.1.187/spin"
_EVERYWHERE = np.array([*range(0, 1 << 16, 251), 2**32 - 1, 2**63, 2**64 - 1], dtype=np.uint64)


def ask_elf(data: bytes) -> None:
    try:
        elf = elf_in_memory(data, SPIN)
    except NotElf:
        return
    elf.build_id()
    elf.linked(_EVERYWHERE)
    has_debug_info(elf)
    _ask(*elf_symbols(elf, elf), *plt_symbols(elf))


def ask_symcache(data: bytes) -> None:
    cache = parse_symcache(data)
    if cache is None:
        return
    found = cache.lookup(_EVERYWHERE)
    for number in set(found.function.tolist()) - {-1}:
        cache.function(number)
        cache.entry(number)
    for number in set(found.file.tolist()) - {-1}:
        cache.path(number)


def _ask(*parts: Symbols) -> None:
    table = table_of(parts)
    for place in table.find(_EVERYWHERE, lambda names: {}).tolist():
        if place >= 0:
            table.name(place)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "elf": ask_elf,
    "symcache": ask_symcache,
    "perf-map": lambda data: _ask(map_symbols(data)),
    "jitdump": lambda data: _ask(dump_symbols(data)),
    "kallsyms": lambda data: _ask(kallsyms(data)[0]),
}


def seeds(name: str) -> list[bytes]:
    """What each begins with."""
    if name == "elf":
        return [SPIN.read_bytes()]
    if name == "symcache":
        from tailflame.parse.symbolize.indexing import Indexing

        return [Indexing(SPIN).wait(lambda: None)]
    if name == "perf-map":
        return [b"7f1c2a000040 1c0 Interpreter\n7f1c2a000200 20 Lcom/Book;::add with blanks\n"]
    if name == "kallsyms":
        return [b"ffffffff81000000 T _text\nffffffff81000040 t f\nffffffffc0a01000 t nf_ct_init\t[nf_conntrack]\n"]
    load = (0).to_bytes(4, "little") + (80).to_bytes(4, "little") + bytes(8) + bytes(8) + bytes(16)
    load += (0x1000).to_bytes(8, "little") + (16).to_bytes(8, "little") + b"f\0" + bytes(22)
    return [b"DTiJ" + (1).to_bytes(4, "little") + (40).to_bytes(4, "little") + bytes(28) + load]
