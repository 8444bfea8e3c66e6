"""Functions by address: the names of symbol tables, chosen among aliases as perf does."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from helpers.environment import DATA
from helpers.made_perf_data import perf_names
from tailflame.model.stacks import UInt64
from tailflame.parse.symbolize import NOWHERE, Module, State, Symbolizer
from tailflame.parse.symbolize.elf_file import build_id_of, open_elf
from tailflame.parse.symbolize.symtab import Symbols, SymbolTable, elf_symbols, table_of

SPIN = DATA / "perf" / "6.1.187" / "spin"
C = """
#include <stdio.h>
#include <string.h>
__attribute__((noinline)) int plain(int n) { return n * 3; }
__attribute__((weak, alias("plain"))) int weaker(int n);
__attribute__((alias("plain"))) int _underscored(int n);
static __attribute__((noinline)) int hidden(int n) { return n + 4; }
int data_object[4] = {1, 2, 3, 4};
__asm__(".text\\nlabel_only:\\n ret\\n nop\\n nop\\n.globl zero_sized\\nzero_sized:\\n nop\\n ret\\n");
int main(int argc, char **argv) { puts(argv[0]); return plain(argc) + hidden(argc) + strlen(argv[0]) + data_object[1]; }
"""
CPP = """
#include <string>
#include <vector>
namespace book { template <class T> struct Levels {
  __attribute__((noinline)) Levels(T n) : sum(n) {}
  __attribute__((noinline)) T add(T n, const std::vector<T> &v) { sum += n * v.size(); return sum; }
  __attribute__((noinline)) T operator()(T n) const { return sum + n; }
  T sum; }; }
namespace { __attribute__((noinline)) int hidden(int n) { return n + 4; } }
int main(int argc, char **argv) {
  std::vector<long> v(argc); book::Levels<long> levels(argc); std::string text(argv[0]); text.append("x");
  auto twice = [&](long n) __attribute__((noinline)) { return n * 2 + v.size(); };
  return levels.add(argc, v) + levels(3) + hidden(argc) + twice(7) + text.size();
}
"""


def built(folder: Path, compiler: str, text: str, *flags: str) -> Path:
    source = folder / ("made.cpp" if compiler == "g++" else "made.c")
    source.write_text(text)
    binary = folder / "made"
    subprocess.run([compiler, *flags, "-o", str(binary), str(source)], check=True, capture_output=True)
    return binary


def places_in(path: Path) -> list[int]:
    """Where each symbol begins, its middle, and where it ends."""
    elf = open_elf(path)
    table = table_of(elf_symbols(elf, elf))
    inside = table.start + (table.end - table.start) // np.uint64(2)
    found = np.unique(np.concatenate((table.start, inside, table.end)))
    return [int(at) for at in found if at < elf.size]


def named(path: Path, offsets: Sequence[int], *, home: Path) -> list[str]:
    with Symbolizer(home=home) as symbolizer:
        found = symbolizer.names(Module(str(path), build_id_of(path)), np.array(offsets, dtype=np.uint64))
        return [
            f"{symbolizer.strings[name]}+0x{at - start:x}" if name >= 0 else "[unknown]"
            for at, name, start in zip(offsets, found.name.tolist(), found.start.tolist(), strict=True)
        ]


@pytest.mark.tool("perf", "gcc", "g++", "c++filt")
@pytest.mark.parametrize(
    ("compiler", "text", "flags"),
    [
        ("gcc", C, ("-O1",)),
        ("gcc", C, ("-O1", "-no-pie")),
        ("gcc", C, ("-O1", "-fcf-protection=none", "-Wl,-z,norelro")),
        ("g++", CPP, ("-O1",)),
        ("g++", CPP, ("-O1", "-s", "-rdynamic")),
    ],
)
def test_names_are_those_of_perf(tmp_path: Path, compiler: str, text: str, flags: tuple[str, ...]) -> None:
    binary = built(tmp_path, compiler, text, *flags)
    offsets = places_in(binary)
    ours = named(binary, offsets, home=tmp_path)
    theirs = perf_names(binary, offsets, tmp_path)
    assert any("+0x0" in name for name in ours)
    for at, our, their in zip(offsets, ours, theirs, strict=True):
        # perf of 6.1 takes the stubs for a part of _init, where it knows them at all; later ones name them as we do.
        if our != their and not ("@plt" in our and (their.startswith("_init+") or their == "[unknown]")):
            raise AssertionError(f"{at:#x}: {our} instead of {their}")


@pytest.mark.tool("perf", "c++filt")
@pytest.mark.parametrize("name", ["libc.so.6", "libstdc++.so.6"])
def test_libraries_names_are_those_of_perf(tmp_path: Path, name: str) -> None:
    library = next((path for path in Path("/usr/lib").glob(f"*-linux-gnu/{name}")), None)
    if library is None:
        pytest.skip(f"there is no {name}")
    elf = open_elf(library.resolve())
    text = elf.sections[elf.section(".text")]
    begin, size = int(text["offset"]), int(text["size"])
    offsets = np.unique(np.random.default_rng(7).integers(begin, begin + size, 3000)).tolist()
    ours = named(library.resolve(), offsets, home=Path.home())
    theirs = perf_names(library.resolve(), offsets, tmp_path)
    differing = [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]]
    # Of functions within one another perf finds the one that its tree happens to lead to.
    assert len(differing) <= len(offsets) // 500, differing[:5]


@pytest.mark.tool("nm")
def test_every_function_that_nm_lists_is_found() -> None:
    out = subprocess.run(["nm", str(SPIN)], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in out.splitlines()]
    listed = {(int(row[0], 16), row[2]) for row in rows if len(row) == 3 and row[1] in "tT"}
    symbolizer = Symbolizer()
    offsets = np.array(sorted({address for address, _ in listed}), dtype=np.uint64)  # here offset and address are equal
    found = symbolizer.names(Module(str(SPIN), build_id_of(SPIN)), offsets)
    names = {(int(at), symbolizer.strings[name]) for at, name in zip(offsets, found.name, strict=True)}
    assert names <= listed
    assert {name for _, name in names} >= {"main", "churn", "work"}
    assert found.address.tolist() == offsets.tolist()


@pytest.mark.tool("gcc", "objdump")
@pytest.mark.parametrize("flags", [("-no-pie",), ("-pie",)])
def test_addresses_are_those_of_objdump(tmp_path: Path, flags: tuple[str, ...]) -> None:
    binary = built(tmp_path, "gcc", C, "-O1", *flags)
    out = subprocess.run(["objdump", "-d", "-j", ".text", str(binary)], capture_output=True, text=True, check=True)
    main = next(int(line.split()[0], 16) for line in out.stdout.splitlines() if line.endswith(" <main>:"))
    elf = open_elf(binary)
    text = elf.sections[elf.section(".text")]
    offset = main - int(text["addr"]) + int(text["offset"])
    symbolizer = Symbolizer()
    found = symbolizer.names(Module(str(binary), build_id_of(binary)), np.array([offset, 1 << 40], dtype=np.uint64))
    assert symbolizer.strings[found.name[0]] == "main"
    assert found.start[0] == offset
    assert found.address.tolist() == [main, NOWHERE]


def table(*rows: tuple[int, int, int, str]) -> SymbolTable:
    """A table of (start, size, binding, name)."""
    text = b"\0".join(name.encode() for *_, name in rows) + b"\0"
    lengths = np.array([len(name.encode()) + 1 for *_, name in rows])
    columns = [np.array([row[i] for row in rows], dtype=np.uint64) for i in range(3)]
    return table_of([Symbols(columns[0], columns[1], columns[2], np.cumsum(lengths) - lengths, text)])


def found_in(made: SymbolTable, *addresses: int) -> list[str]:
    places = made.find(np.array(addresses, dtype=np.uint64), lambda names: {})
    return [made.name(place) if place >= 0 else "" for place in places.tolist()]


LOCAL, GLOBAL, WEAK = 0, 1, 2


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([(8, 0, GLOBAL, "empty"), (8, 4, WEAK, "sized"), (9, 4, LOCAL, "next")], "sized"),
        ([(8, 4, WEAK, "weaker"), (8, 4, LOCAL, "local")], "local"),
        ([(8, 4, LOCAL, "local_with_a_name"), (8, 4, GLOBAL, "global")], "global"),
        ([(8, 4, GLOBAL, "__longer_name"), (8, 4, GLOBAL, "short")], "short"),
        ([(8, 4, GLOBAL, "short"), (8, 4, GLOBAL, "longer")], "longer"),
        ([(8, 4, GLOBAL, "first"), (8, 4, GLOBAL, "other")], "first"),
        ([(8, 4, GLOBAL, "SyS_read"), (8, 4, GLOBAL, "sys_read")], "sys_read"),
    ],
)
def test_the_choice_among_aliases(rows: list[tuple[int, int, int, str]], best: str) -> None:
    assert found_in(table(*rows), 8) == [best]


def test_symbols_without_a_size_reach_to_the_next() -> None:
    made = table((0x10, 0, GLOBAL, "a"), (0x20, 4, GLOBAL, "b"), (0x30, 0, GLOBAL, "last"))
    assert found_in(made, 0x0F, 0x1F, 0x23, 0x24, 0x30, 0x1FFF, 0x2000) == ["", "a", "b", "", "last", "last", ""]


def test_functions_within_functions() -> None:
    made = table((0x10, 0x100, GLOBAL, "outer"), (0x20, 8, GLOBAL, "inner"), (0x40, 8, GLOBAL, "other"))
    assert found_in(made, 0x1F, 0x20, 0x28, 0x47, 0x48, 0x10F, 0x110) == [
        *("outer", "inner", "outer", "other", "outer", "outer", "")
    ]
    # A thousand within one another are not all looked through.
    deep = table((0, 0x10000, GLOBAL, "far"), *((16 + n, 1, GLOBAL, f"f{n}") for n in range(1000)))
    assert found_in(deep, 0x8000) == [""]


def test_where_nothing_is_known() -> None:
    symbolizer = Symbolizer()
    offsets: UInt64 = np.array([1, 2], dtype=np.uint64)
    for path in ("/nowhere/at/all", "[heap]", "//anon", "", "/memfd:x (deleted)", "/etc/passwd", "/dev/zero", "/a\0b"):
        found = symbolizer.names(Module(path, "ab" * 20), offsets)
        assert found.name.tolist() == [-1, -1]
        assert found.address.tolist() == [NOWHERE, NOWHERE]
        assert len(symbolizer.inlined(Module(path, "ab" * 20), offsets, np.ones(2, bool)).name) == 0
    assert symbolizer.states["/nowhere/at/all"] is State.MISSING
    assert symbolizer.states["/etc/passwd"] is State.CHANGED
    assert not len(symbolizer.names(Module(str(SPIN), build_id_of(SPIN)), np.empty(0, np.uint64)))


def test_another_build_gets_no_names(tmp_path: Path) -> None:
    other = tmp_path / "spin"
    shutil.copy(SPIN, other)
    symbolizer = Symbolizer(home=tmp_path)
    offsets: UInt64 = np.array([0x1230], dtype=np.uint64)
    assert symbolizer.names(Module(str(other), "ab" * 20), offsets).name.tolist() == [-1]
    assert symbolizer.states == {str(other): State.CHANGED}
    # Without a build id: a file that is older than the recording, as perf takes it.
    changed = other.stat().st_mtime
    for recorded_at, known in ((changed + 1, True), (changed - 1, False), (0.0, True)):
        symbolizer = Symbolizer(home=tmp_path, recorded_at=recorded_at)
        assert (symbolizer.names(Module(str(other)), offsets).name[0] >= 0) == known
        assert symbolizer.states == {str(other): State.UNKNOWN}
