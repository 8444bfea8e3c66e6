"""What a binary is, before it runs: whether it can, and what a profile of it will be able to tell."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from tailflame.errors import TargetError
from tailflame.host import cargo

if TYPE_CHECKING:
    from tailflame.host.elf import Elf, Unit  # its library takes long to import

_FUNCTIONS_SAMPLED = 2000
_UNITS_READ = 12
# The rest is honest doubt: part of the program was compiled by others, in another way.
_KEPT_FROM, _KEPT_BELOW = 0.6, 0.3

# `push rbp; mov rbp, rsp`, in both encodings of the move. GCC puts other instructions in between, and shrink wrapping
# a first test and jump before them.
_X86_PROLOGUE = re.compile(rb"\x55.{0,12}?\x48(?:\x89\xe5|\x8b\xec)", re.DOTALL)
_C_START = {b"_start", b"frame_dummy", b"register_tm_clones", b"deregister_tm_clones", b"__do_global_dtors_aux"}
# Rust's own library comes compiled, since 1.79 with frame pointers whatever the program chooses.
_RUST_LIBRARY = {
    *("__rustc", "std", "core", "alloc", "test", "proc_macro", "panic_unwind", "panic_abort", "compiler_builtins"),
    *("std_detect", "unwind", "cfg_if", "libc", "memchr", "hashbrown", "gimli", "addr2line", "object", "miniz_oxide"),
    *("adler", "adler2", "rustc_demangle"),
}
_LEGACY_ROOT = re.compile(r"_ZN(\d+)")
_LEGACY_CRATE = re.compile(r"(?<=\$)([a-z_][a-z0-9_]*)\.\.")
_V0_CRATE = re.compile(r"Cs[0-9A-Za-z]*_(\d+)_?")
# Without optimisation, and only then, `<I as IntoIterator>::into_iter` is a function of its own: every `for` loop over
# an iterator calls it. Found in no program of opt-level 1, s or 3 (cargo, rustfmt, clippy, rustc's driver among them).
_RUST_UNOPTIMISED = (
    rb"\x00(?:_ZN63_\$LT\$I\$u20\$as\$u20\$core\.\.iter\.\.traits\.\.collect\.\.IntoIterator\$GT\$9into_iter"
    rb"|_RNvXNtNtNtCs\w{1,24}_4core4iter6traits7collect\w{1,4000}12IntoIterator9into_iter)"
)
_JEMALLOC = rb"\x00(?:_rjem_|je_)?mallctl\x00"

_RUST, _C, _CPP = "rust", "c", "c++"
_LANGUAGES = {0x1C: _RUST, 0x01: _C, 0x02: _C, 0x0C: _C, 0x1D: _C, 0x04: _CPP, 0x1A: _CPP, 0x21: _CPP, 0x2B: _CPP}


class Kind(StrEnum):
    ELF = "elf"
    SCRIPT = "script"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryFacts:
    """None means that the file does not tell."""

    path: Path
    kind: Kind
    arch: str = ""
    size: int = 0
    build_id: str = ""
    interpreter: str = ""
    """The program that runs a script, or the dynamic loader."""
    has_symbols: bool = False
    has_debug_info: bool = False
    debug_link: str = ""
    language: str = ""
    producer: str = ""
    optimised: bool | None = None
    debug_build: bool = False
    """cargo's dev profile by its path, or code without optimisation."""
    frame_pointers: bool | None = None
    frame_pointer_share: float | None = None
    """Of the functions of its own that were looked at, those that set one up."""
    static_jemalloc: bool = False
    newer_source: Path | None = None
    """A source that was changed after the binary was built."""
    sources: tuple[Path, ...] = ()
    """Main files of its own compile units, the first of them, as DWARF names them."""


def check_runnable(path: Path) -> None:
    """Raises TargetError, in one sentence, where the program cannot be started."""
    if not path.exists():
        raise TargetError(f"There is no file {path}.", advice="Was it built? Check the path.")
    if path.is_dir():
        raise TargetError(f"{path} is a folder.", advice="Choose the program in it.")
    if not path.is_file():
        raise TargetError(f"{path} is not a file.", advice="Choose a program.")
    if path.stat().st_size == 0:
        raise TargetError(f"{path} is empty.", advice="Build it again.")
    if not os.access(path, os.X_OK):
        raise TargetError(f"{path} is not executable.", advice=f"If it is a program: chmod +x {path}")
    if not os.access(path, os.R_OK):
        return  # the system may run what we may not read
    with path.open("rb") as file:
        head = file.read(256)
    if head.startswith(b"\x7fELF"):
        _check_elf(path)
    elif head.startswith(b"#!"):
        interpreter = _interpreter(head)
        if shutil.which(interpreter) is None:
            raise TargetError(f"{path} needs {interpreter}, which is not there.", advice=f"Install {interpreter}.")
    else:
        raise TargetError(
            f"{path} is not a program of this system: neither ELF nor a script with #!.",
            advice="Choose the program that cargo or the linker has built.",
        )


def _check_elf(path: Path) -> None:
    from tailflame.host.elf import BrokenElf, Elf

    try:
        with Elf(path) as elf:
            machine, runs = elf.machine, elf.runs
    except BrokenElf as broken:
        raise TargetError(broken.sentence, advice="Build it again.", details=broken.details) from broken
    if not runs:
        raise TargetError(
            f"{path} is an object file or a library.", advice="Choose the program that it is linked into."
        )
    here = platform.machine()
    if machine != here and (machine, here) not in (("i386", "x86_64"), ("arm", "aarch64")):
        raise TargetError(
            f"{path} is a program for {machine}, and this machine is {here}.",
            advice=f"Build it for {here}, or record on a machine of its kind.",
        )


def binary_facts(path: Path) -> BinaryFacts:
    """The facts of a file that exists. A big binary takes some 100 ms, the second time nothing.

    Raises:
        TargetError: it is not there, cannot be read, or is damaged.
    """
    try:
        status = path.stat()
    except OSError as problem:
        raise TargetError(f"There is no file {path}.", advice="Was it built? Check the path.") from problem
    if not path.is_file():
        raise TargetError(f"{path} is not a file.", advice="Choose a program.")
    facts = _facts(path.absolute(), status.st_mtime_ns, status.st_size, status.st_ino)
    # Sources change while the binary does not.
    newer = cargo.newer_source(path.absolute(), facts.sources) if facts.kind is Kind.ELF else None
    return facts if newer is None else replace(facts, newer_source=newer)


@functools.lru_cache(maxsize=32)
def _facts(path: Path, _mtime: int, size: int, _inode: int) -> BinaryFacts:
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except OSError as problem:
        raise TargetError(f"{path} cannot be read: {problem.strerror}.", advice=f"chmod +r {path}") from problem
    if head.startswith(b"#!"):
        return BinaryFacts(path=path, kind=Kind.SCRIPT, size=size, interpreter=_interpreter(head))
    if not head.startswith(b"\x7fELF"):
        return BinaryFacts(path=path, kind=Kind.OTHER, size=size)
    from tailflame.host.elf import BrokenElf, Elf

    try:
        with Elf(path) as elf:
            return _elf_facts(elf, path, size)
    except BrokenElf as broken:
        raise TargetError(broken.sentence, advice="Build it again.", details=broken.details) from broken


def _elf_facts(elf: Elf, path: Path, size: int) -> BinaryFacts:
    units = elf.units(_UNITS_READ)
    own = next((unit for unit in units if not _is_library(unit)), None)
    # A Rust program may hold C, but what starts it is Rust's.
    if elf.find_name(rb"\x00(?:_ZN3std2rt|_RI?Nv\w{0,80}3std2rt|rust_begin_unwind\x00)"):
        language = _RUST
    else:
        language = _LANGUAGES.get(own.language, "") if own else ""
    share = _frame_pointer_share(elf, own_only=language == _RUST)
    optimised = _optimised(elf, units, language)
    return BinaryFacts(
        path=path,
        kind=Kind.ELF,
        arch=elf.machine,
        size=size,
        build_id=elf.build_id,
        interpreter=elf.interpreter,
        has_symbols=elf.has(".symtab"),
        has_debug_info=own is not None,
        debug_link=elf.debug_link,
        language=language,
        producer=own.producer if own else "",
        optimised=optimised,
        debug_build=optimised is False or cargo.is_debug_profile(path),
        frame_pointers=None
        if share is None
        else True
        if share >= _KEPT_FROM
        else False
        if share < _KEPT_BELOW
        else None,
        frame_pointer_share=share,
        static_jemalloc=elf.find_name(_JEMALLOC),
        sources=tuple(Path(unit.folder, unit.name) for unit in units if not _is_library(unit) and unit.name),
    )


def _is_library(unit: Unit) -> bool:
    """A part that came compiled: Rust's own library carries its DWARF into every program."""
    return unit.folder.startswith(("/rustc/", "/rust/deps/")) or unit.name.startswith("/rustc/")


def _optimised(elf: Elf, units: list[Unit], language: str) -> bool | None:
    """GCC names its options in DW_AT_producer; rustc and clang do not, so the code has to tell."""
    own = [unit for unit in units if not _is_library(unit)]
    for unit in own:
        if unit.producer.startswith("GNU C"):
            levels = re.findall(r"(?:^| )-O(\S*)", unit.producer)
            return bool(levels) and levels[-1] not in ("0", "g")
    if language == _RUST and elf.find_name(_RUST_UNOPTIMISED):
        return False
    functions, inlined = sum(unit.functions for unit in own), sum(unit.inlined for unit in own)
    # Measured with rustc 1.95: 2 to 10 inlined calls per function at opt-level 0, 21 to 35 above. C inlines less.
    if functions >= 5 and inlined >= 12 * functions:
        return True
    return None


def _frame_pointer_share(elf: Elf, *, own_only: bool) -> float | None:
    """None on processors other than x86-64, and without symbols."""
    if elf.machine != "x86_64":
        return None
    looked_at = kept = 0
    for name, code in elf.functions(_FUNCTIONS_SAMPLED):
        if name in _C_START or (own_only and not _is_own_rust(name.decode(errors="replace"))):
            continue
        looked_at += 1
        kept += _X86_PROLOGUE.search(code) is not None
    return kept / looked_at if looked_at >= 2 else None


def _is_own_rust(name: str) -> bool:
    """Whether a mangled name belongs to a crate that was compiled with the program, also as a type parameter."""
    if name.startswith("_R"):
        crates = {name[at.end() : at.end() + int(at[1])] for at in _V0_CRATE.finditer(name)}
    elif root := _LEGACY_ROOT.match(name):
        first = name[root.end() : root.end() + int(root[1])]
        crates = {*_LEGACY_CRATE.findall(name), *([] if first.startswith("_$") else [first])}
    else:
        return False  # C, or what rustc makes up
    return not crates <= _RUST_LIBRARY


def _interpreter(head: bytes) -> str:
    """`#!/usr/bin/env python3` -> python3; `#!/bin/sh -e` -> /bin/sh."""
    words = head[2:].split(b"\n", 1)[0].decode(errors="replace").split()
    if len(words) > 1 and Path(words[0]).name == "env":
        return next((word for word in words[1:] if not word.startswith("-") and "=" not in word), words[0])
    return words[0] if words else "/bin/sh"
