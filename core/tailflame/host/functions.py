"""The functions of a binary, as one can put probes on them: searchable by the names that people read."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tailflame.errors import TargetError
from tailflame.host.elf import BrokenElf, Elf
from tailflame.model.stacks import Int64, UInt8, readonly

HEAD = 16
"""Bytes of each function that are kept: no instruction of x86-64 is longer."""
FOUND_AT_MOST = 200

_FUNCTION = 2
_DEMANGLE_TIMEOUT_S = 60
_MANGLED = ("_Z", "_R", "__Z")
# What changes from build to build and is the same function: rustc's hash, a crate's disambiguator, LLVM's suffix.
_CHANGING = re.compile(
    r"::h[0-9a-f]{16}(?=$|\.|\)| )|(?<=\w)\[[0-9a-f]{12,16}\](?=::|$|>)| ?[\[(](?:clone )?\.llvm\.\d+[\])]|\.llvm\.\d+"
)
# Where gcc and clang put what a function seldom runs: jumped to, not called. A return probe there would write over the
# function's own variables, which is no return address.
_COLD = re.compile(r"\.cold(?:\.\d+)?$")
# gcc's own version of a function, with other parameters: "match(long) [clone .isra.0]", in C "match.isra.0".
_VERSION = re.compile(r"(?: \[clone \.(?:isra|constprop|lto_priv)\.\d+\]|\.(?:isra|constprop|lto_priv)\.\d+)+$")
_C_START = {"deregister_tm_clones", "register_tm_clones", "frame_dummy"}
_BRACKETS = re.compile(r"<([\w:]+)>(?=::)")
_CRATE = re.compile(r"\w+(?=::)")
_LIBRARY = {
    *("std", "core", "alloc", "__rustc", "compiler_builtins", "rustc_demangle", "gimli", "addr2line", "object"),
    *(
        "miniz_oxide",
        "hashbrown",
        "memchr",
        "panic_unwind",
        "panic_abort",
        "unwind",
        "adler2",
        "__gnu_cxx",
        "__cxxabiv1",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function with code of its own. Generics and clones may share a name: `symbol` tells them apart."""

    name: str
    """Demangled, without hash."""
    symbol: str
    """As the linker knows it."""
    address: int
    """As linked."""
    size: int
    head: bytes
    """Its first bytes, at most HEAD."""


@dataclass(frozen=True, slots=True, eq=False)
class FunctionTable:
    """One row per symbol, by address.

    reason: why there is nothing in it, a sentence; "" where there is something. demangled: False where names had to
    stay mangled, because c++filt is missing. heads: HEAD bytes of each.
    """

    binary: Path
    names: tuple[str, ...]
    symbols: tuple[str, ...]
    address: Int64
    size: Int64
    heads: UInt8
    reason: str = ""
    demangled: bool = True
    _lower: tuple[str, ...] = ()
    _plain: tuple[str, ...] = ()
    """In lower case, without arguments."""
    _origin: tuple[int, ...] = ()
    """0 for the program itself, as far as names tell, 1 for what it was built with, 2 for the language's library."""

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> Function:
        size = int(self.size[row])
        return Function(
            name=self.names[row],
            symbol=self.symbols[row],
            address=int(self.address[row]),
            size=size,
            head=self.heads[row].tobytes()[: min(size, HEAD) or HEAD],
        )

    def __iter__(self) -> Iterator[Function]:
        return map(self.__getitem__, range(len(self)))

    def search(self, text: str, *, limit: int = FOUND_AT_MOST) -> tuple[Function, ...]:
        """Functions whose name holds every word of `text`, whatever the case, best first; a mangled name finds its own.

        A function of that very name comes before those that start with it, the program's own before the libraries'.
        Empty text lists all, the program's own first.
        """
        words = text.lower().split()
        lower, origin = self._lower, self._origin
        rows = [row for row, name in enumerate(lower) if all(word in name for word in words)]
        if not rows and text.strip() in self.symbols:
            rows = [self.symbols.index(text.strip())]
        if not words:
            rows.sort(key=lambda row: (origin[row], lower[row].startswith("<"), lower[row]))
            return tuple(self[row] for row in rows[:limit])
        last, path = words[-1], "::" + "::".join(words)
        wanted = {last, "_".join(words)}

        def rank(row: int) -> tuple[int, int, int, str, int]:
            name, plain = lower[row], self._plain[row]
            tail = plain.rpartition("::")[2]
            exact = tail in wanted or name == last or f"::{plain}".endswith(path)
            place = 0 if exact else 1 if tail.startswith(last) else 2 if last in tail else 3
            return place, origin[row], len(name), name, row

        return tuple(self[row] for row in sorted(rows, key=rank)[:limit])

    def match(self, name: str) -> tuple[Function, ...]:
        """The functions that a profile, or a person, calls `name`: the whole name or its last components, or a symbol.

        Several where there are several of that name. Empty where the function has no code of its own (see
        `inlined_into`), or belongs to another binary.
        """
        wanted = stable_name(name.strip())
        if not wanted:
            return ()
        rows = [row for row, known in enumerate(self.names) if known == wanted]
        rows = rows or [row for row, symbol in enumerate(self.symbols) if symbol == name]
        wanted = _plain(wanted.lower())
        rows = rows or [row for row, known in enumerate(self._plain) if known == wanted]
        rows = rows or [row for row, known in enumerate(self._plain) if known.endswith(f"::{wanted}")]
        return tuple(self[row] for row in rows)


def functions_of(binary: Path) -> FunctionTable:
    """The functions of a binary; about a second for 100,000 of them, the second time nothing. Call it from a thread.

    Raises:
        TargetError: it is not there, cannot be read, or is damaged.
    """
    try:
        status = binary.stat()
        return _functions(binary.absolute(), status.st_mtime_ns, status.st_size, status.st_ino)
    except FileNotFoundError as problem:
        raise TargetError(f"There is no file {binary}.", advice="Was it built? Check the path.") from problem
    except OSError as problem:
        raise TargetError(f"{binary} cannot be read: {problem.strerror}.", advice=f"chmod +r {binary}") from problem
    except BrokenElf as broken:
        raise TargetError(broken.sentence, advice="Build it again.", details=broken.details) from broken


def shown_name(binary: Path) -> str:
    """As a person knows the program: "/proc/8812/exe" is the file that it leads to."""
    if binary.parts[:2] != ("/", "proc"):
        return binary.name
    try:
        return binary.readlink().name.removesuffix(" (deleted)")
    except OSError:
        return binary.name


def stable_name(name: str) -> str:
    """A demangled name without what differs from build to build."""
    return _CHANGING.sub("", name)


def demangled(symbols: Sequence[str]) -> tuple[list[str], bool]:
    """Readable, stable names of C++ and Rust symbols, others as they are; False where c++filt is missing or fails."""
    tool = shutil.which("c++filt")
    mangled = sorted({symbol for symbol in symbols if symbol.startswith(_MANGLED) and "\n" not in symbol})
    if not mangled:
        return list(symbols), True
    if tool is None:
        return list(symbols), False
    try:
        done = subprocess.run(
            [tool],
            input="\n".join(mangled),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_DEMANGLE_TIMEOUT_S,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        return list(symbols), False
    readable = done.stdout.split("\n")
    if len(readable) < len(mangled):
        return list(symbols), False
    names = {symbol: stable_name(name) for symbol, name in zip(mangled, readable, strict=False)}
    return [names.get(symbol, symbol) for symbol in symbols], True


@functools.lru_cache(maxsize=8)
def _functions(path: Path, _mtime: int, size: int, _inode: int) -> FunctionTable:
    with path.open("rb") as file:
        head = file.read(4)
    if head != b"\x7fELF":
        return _nothing(path, f"{shown_name(path)} is not a compiled program: only compiled functions can be probed.")
    with Elf(path) as elf:
        table, names = elf.symbols(".symtab")
        if not len(table):
            table, names = elf.symbols(".dynsym")
        own = table[((table["info"] & 15) == _FUNCTION) & (table["section"] > 0) & (table["name"] < len(names))]
        own = own[(own["value"] < 2**63) & (own["size"] < 2**63)]
        loaded = elf.loaded
    if not len(own):
        return _nothing(
            path,
            f"{shown_name(path)} has no symbols: it was stripped. Build it without strip to choose functions by name.",
        )
    own = own[np.argsort(own["value"], kind="stable")]
    offset = np.full(len(own), -1, dtype=np.int64)
    address = own["value"].astype(np.int64)
    for begin, at, length in loaded:
        inside = (address >= begin) & (address < begin + length)
        offset[inside] = address[inside] - begin + at
    own, address, offset = own[offset >= 0], address[offset >= 0], offset[offset >= 0]
    symbols = [_text(names, at) for at in own["name"].tolist()]
    # Two files may have a static function of one name, and one place several names; the same twice is no use.
    seen: set[tuple[str, int]] = set()
    rows = []
    for row, key in enumerate(zip(symbols, address.tolist(), strict=True)):
        if key[0] and key not in seen and not _COLD.search(key[0]):
            seen.add(key)
            rows.append(row)
    if not rows:
        return _nothing(path, f"{shown_name(path)} has no function with a name.")
    symbols = [symbols[row] for row in rows]
    readable, worked = demangled(symbols)
    lower = [name.lower() for name in readable]
    return FunctionTable(
        binary=path,
        names=tuple(readable),
        symbols=tuple(symbols),
        address=readonly(address[rows], np.int64),
        size=readonly(own["size"][rows].astype(np.int64), np.int64),
        heads=_heads(path, size, offset[rows]),
        demangled=worked,
        _lower=tuple(lower),
        _plain=tuple(map(_plain, lower)),
        _origin=tuple(_origin(name, path.stem.replace("-", "_")) for name in readable),
    )


def _nothing(path: Path, reason: str) -> FunctionTable:
    none = readonly(np.empty(0, np.int64), np.int64)
    return FunctionTable(path, (), (), none, none, readonly(np.empty((0, HEAD), np.uint8), np.uint8), reason)


def _text(names: bytes, at: int) -> str:
    end = names.find(b"\0", at)
    return names[at : end if end >= 0 else at].decode("utf-8", "replace")


def _heads(path: Path, size: int, offset: Int64) -> Any:
    """The first bytes of each function, zeros behind the end of the file."""
    heads = np.zeros((len(offset), HEAD), dtype=np.uint8)
    data = np.memmap(path, dtype=np.uint8, mode="r", shape=(size,))
    places = offset[:, None] + np.arange(HEAD)
    there = places < size
    heads[there] = data[places[there]]
    return readonly(heads, np.uint8)


def _origin(name: str, program: str) -> int:
    crate = _CRATE.search(name)
    if crate is None:
        return 2 if name.startswith(("_", "<")) or name in _C_START else 0
    return 0 if crate[0] == program else 2 if crate[0] in _LIBRARY else 1


def _plain(name: str) -> str:
    """Without the parameter list that C++ names carry, and the brackets of Rust's "<a::Type>::method"."""
    name = _VERSION.sub("", _BRACKETS.sub(r"\1", name))
    if not name.endswith((")", ") const")) or name.startswith("("):
        return name
    depth = 0
    for at in range(len(name) - 1, 0, -1):
        if name[at] == ")":
            depth += 1
        elif name[at] == "(":
            depth -= 1
            if not depth:
                return name[:at]
    return name
