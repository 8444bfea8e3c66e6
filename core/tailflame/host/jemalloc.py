"""Whether a program brings jemalloc along, and what its configuration is called there.

A program that links jemalloc statically under names of its own (Rust's tikv-jemallocator: `_rjem_malloc`) never calls
the `malloc` that valgrind replaces or heaptrack preloads: both would see almost nothing of its heap.
"""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tailflame.host.elf import Elf  # its library takes long to import

# A symbol of every jemalloc, and its prefix: "mallctl", "je_mallctl", "_rjem_mallctl".
_CALL = re.compile(rb"\x00([A-Za-z0-9_]{0,24}?)mallctl\x00")
# Every message of jemalloc begins with it, and every jemalloc asks the environment for this name: in a stripped
# program they are what is left. "_RJEM_MALLOC_CONF" is the upper case of its prefix.
_MESSAGE = b"<jemalloc>: "
_VARIABLE = re.compile(rb"\x00([A-Z0-9_]{0,24}?)MALLOC_CONF\x00")
_LIBRARY = re.compile(r"libjemalloc\.so")
_PRELOADS = (
    "/usr/lib/{arch}-linux-gnu/libjemalloc.so.2",
    "/usr/lib64/libjemalloc.so.2",
    "/usr/lib/libjemalloc.so.2",
    "/usr/local/lib/libjemalloc.so.2",
)


@dataclass(frozen=True, slots=True)
class Jemalloc:
    """How a program has jemalloc.

    prefix: of its functions, "" where it is `malloc` itself, "_rjem_" in Rust programs. static: it is a part of the
    program; otherwise a library that the loader brings. named: the program has a function called malloc, which
    valgrind finds by that name and replaces.
    """

    prefix: str
    static: bool
    named: bool

    @property
    def variable(self) -> str:
        """What it is configured by: "MALLOC_CONF", "_RJEM_MALLOC_CONF"."""
        return f"{self.prefix.upper()}MALLOC_CONF"

    @property
    def hidden_from_valgrind(self) -> bool:
        """Whether massif and DHAT would not see what it hands out."""
        return self.static and not self.named

    @property
    def hidden_from_preloading(self) -> bool:
        """Whether a preloaded library, as heaptrack's, would not see what it hands out."""
        return self.static


def jemalloc_of(binary: Path) -> Jemalloc | None:
    """The jemalloc that the program links, None where it links none or cannot be read. Some 10 ms, later nothing."""
    try:
        status = binary.stat()
        return _jemalloc(binary.absolute(), status.st_mtime_ns, status.st_size, status.st_ino)
    except OSError:
        return None


@functools.lru_cache(maxsize=32)
def _jemalloc(path: Path, _mtime: int, _size: int, _inode: int) -> Jemalloc | None:
    from tailflame.host.elf import BrokenElf, Elf

    with path.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            return None
    try:
        with Elf(path) as elf:
            if any(map(_LIBRARY.match, elf.needed)):
                return Jemalloc("", static=False, named=True)
            called = _CALL.search(b"\0" + elf.section(".strtab"))
            if called is not None:
                return Jemalloc(called[1].decode(), static=True, named=_has_malloc(elf))
            texts = elf.section(".rodata")
            if _MESSAGE not in texts:
                return None
            variable = _VARIABLE.search(texts)
            prefix = variable[1].decode().lower() if variable else ""
            return Jemalloc(prefix, static=True, named=_has_malloc(elf))
    except BrokenElf:
        return None


def _has_malloc(elf: Elf) -> bool:
    """Whether the program has a malloc of its own by that name. What it only calls lies in no section (0)."""
    for table in (".symtab", ".dynsym"):
        symbols, names = elf.symbols(table)
        places = [found.start() for found in re.finditer(rb"malloc\0", names)]
        if np.isin(symbols["name"][symbols["section"] > 0], places).any():
            return True
    return False


def preload_library() -> Path | None:
    """The jemalloc of this system that can be preloaded, None where there is none."""
    found = (Path(place.format(arch=os.uname().machine)) for place in _PRELOADS)
    return next((path for path in found if path.is_file()), None)
