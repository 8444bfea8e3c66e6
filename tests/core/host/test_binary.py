"""What a binary is, checked on programs that are compiled here."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailflame.errors import TailflameError, TargetError
from tailflame.host.binary import Kind, _is_own_rust, binary_facts, check_runnable
from tailflame.host.elf import Elf

C = """
#include <stdio.h>
#include <stdlib.h>
__attribute__((noinline)) int scaled(int n) { int s = 0; for (int i = 0; i < n; i++) s += rand() % 7; return s; }
__attribute__((noinline)) int twice(int n) { return scaled(n) + scaled(2 * n) + puts("x"); }
__attribute__((noinline)) int thrice(int n) { return twice(n) * 3 + scaled(n) + puts("y"); }
int main(int argc, char **argv) { return thrice(argc) > 1000000; }
"""
RUST = """
use std::collections::BTreeMap;
#[inline(never)]
fn fill(map: &mut BTreeMap<u64, Vec<u64>>, n: u64) { for i in 0..n { map.entry(i % 97).or_default().push(i * i); } }
#[inline(never)]
fn total(map: &BTreeMap<u64, Vec<u64>>) -> u64 { map.values().flat_map(|v| v.iter()).filter(|x| *x % 3 == 0).sum() }
fn main() { let mut map = BTreeMap::new(); fill(&mut map, 1000); println!("{}", total(&map)); }
"""

x86_64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="prologues are known for x86-64 alone")


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("programs")
    (folder / "engine.c").write_text(C)
    (folder / "engine.rs").write_text(RUST)
    return folder


def gcc(sources: Path, name: str, *options: str) -> Path:
    path = sources / name
    if not path.exists():
        subprocess.run(["gcc", *options, str(sources / "engine.c"), "-o", str(path)], check=True, timeout=60)
    return path


def rustc(sources: Path, name: str, *options: str) -> Path:
    path = sources / name
    if not path.exists():
        argv = ["rustc", *options, str(sources / "engine.rs"), "-o", str(path)]
        subprocess.run(argv, check=True, timeout=120, capture_output=True)
    return path


@pytest.mark.tool("gcc", "readelf")
def test_c_with_everything(sources: Path) -> None:
    path = gcc(sources, "full", "-O2", "-g", "-fno-omit-frame-pointer", "-Wl,--build-id")
    facts = binary_facts(path)
    assert facts.kind is Kind.ELF
    assert (facts.has_symbols, facts.has_debug_info, facts.optimised, facts.debug_build) == (True, True, True, False)
    assert facts.language == "c"
    assert facts.producer.startswith("GNU C")
    notes = subprocess.run(["readelf", "-n", str(path)], capture_output=True, text=True, check=True).stdout
    assert facts.build_id
    assert f"Build ID: {facts.build_id}" in notes
    assert facts.arch == os.uname().machine
    assert "ld-" in facts.interpreter


@pytest.mark.tool("gcc")
@x86_64
def test_c_frame_pointers(sources: Path) -> None:
    assert binary_facts(gcc(sources, "full", "-O2", "-g", "-fno-omit-frame-pointer")).frame_pointers is True
    without = binary_facts(gcc(sources, "no-fp", "-O2", "-g"))
    assert (without.frame_pointers, without.frame_pointer_share) == (False, 0.0)


@pytest.mark.tool("gcc")
@pytest.mark.parametrize(("level", "optimised"), [("-O0", False), ("-Og", False), ("-O1", True), ("-O3", True)])
def test_c_levels(sources: Path, level: str, optimised: bool) -> None:
    facts = binary_facts(gcc(sources, f"level{level}", "-g", level))
    assert facts.optimised is optimised
    assert facts.debug_build is not optimised


@pytest.mark.tool("gcc", "strip", "objcopy")
def test_stripped_and_separated(sources: Path) -> None:
    stripped = sources / "stripped"
    subprocess.run(["strip", str(gcc(sources, "full", "-O2", "-g")), "-o", str(stripped)], check=True)
    facts = binary_facts(stripped)
    assert (facts.has_symbols, facts.has_debug_info, facts.frame_pointers, facts.optimised) == (
        False,
        False,
        None,
        None,
    )
    debug = sources / "full.debug"
    subprocess.run(["objcopy", "--only-keep-debug", str(sources / "full"), str(debug)], check=True)
    subprocess.run(["objcopy", f"--add-gnu-debuglink={debug}", str(stripped)], check=True)
    assert binary_facts(stripped).debug_link == "full.debug"


@pytest.mark.tool("gcc", "objcopy")
@pytest.mark.parametrize("kind", ["zlib-gnu", "zlib-gabi", "zstd"])
def test_compressed_debug_sections(sources: Path, kind: str) -> None:
    packed = sources / f"packed-{kind}"
    full = gcc(sources, "full", "-O2", "-g", "-fno-omit-frame-pointer")
    done = subprocess.run(["objcopy", f"--compress-debug-sections={kind}", str(full), str(packed)], capture_output=True)
    if done.returncode:
        pytest.skip(f"this objcopy cannot write {kind}")
    facts = binary_facts(packed)
    assert (facts.has_debug_info, facts.optimised, facts.language) == (True, True, "c")


@pytest.mark.tool("rustc")
def test_rust_debug_is_told_by_its_code(sources: Path) -> None:
    facts = binary_facts(rustc(sources, "rust-debug", "-g"))
    assert (facts.optimised, facts.debug_build, facts.language) == (False, True, "rust")
    assert facts.has_debug_info
    # Rust's own library has DWARF and frame pointers in every program; both say nothing of this one.
    bare = binary_facts(rustc(sources, "rust-debug-v0", "-C", "symbol-mangling-version=v0"))
    assert (bare.optimised, bare.has_debug_info, bare.language) == (False, False, "rust")


@pytest.mark.tool("rustc")
@x86_64
def test_rust_release(sources: Path) -> None:
    plain = binary_facts(rustc(sources, "rust-release", "-O", "-C", "debuginfo=line-tables-only"))
    assert (plain.optimised, plain.debug_build, plain.has_debug_info) == (True, False, True)
    assert plain.frame_pointers is False
    kept = binary_facts(rustc(sources, "rust-fp", "-O", "-C", "force-frame-pointers=yes"))
    assert kept.frame_pointers is True
    assert kept.optimised is not False
    assert not kept.static_jemalloc


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("_ZN6engine4main17h0123456789abcdefE", True),
        ("_ZN4core3ptr44drop_in_place$LT$engine..Order$GT$17h0123456789abcdefE", True),
        ("_ZN4core3ptr65drop_in_place$LT$alloc..vec..Vec$LT$u8$GT$$GT$17h0123456789abcdefE", False),
        ("_ZN65_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE", False),
        ("_ZN58_$LT$engine..Book$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE", True),
        ("_RNvCsewZdGAB1eSS_6engine4main", True),
        ("_RNvMs4_NtCslNYArtu3iFV_5alloc7raw_vecNtB5_11RawVecInner11finish_grow", False),
        ("_RNvMs4_NtCslNYArtu3iFV_5alloc7raw_vecNtB5_11RawVecInner11finish_growCsewZdGAB1eSS_6engine", True),
        ("_RNvCsfLfy6EI15iL_7___rustc10rust_panic", False),
        ("rust_eh_personality", False),
    ],
)
def test_whose_function(name: str, own: bool) -> None:
    assert _is_own_rust(name) is own


@pytest.mark.tool("gcc")
def test_jemalloc_inside(sources: Path) -> None:
    source = sources / "je.c"
    source.write_text("int _rjem_mallctl(void) { return 0; } int main(void) { return _rjem_mallctl(); }")
    path = sources / "je"
    subprocess.run(["gcc", str(source), "-o", str(path)], check=True, timeout=60)
    assert binary_facts(path).static_jemalloc


@pytest.mark.tool("gcc")
def test_c_older_than_its_source(sources: Path, tmp_path: Path) -> None:
    source = tmp_path / "engine.c"
    source.write_text(C)
    path = tmp_path / "engine"
    subprocess.run(["gcc", "-g", "engine.c", "-o", "engine"], cwd=tmp_path, check=True, timeout=60)
    assert binary_facts(path).newer_source is None
    later = path.stat().st_mtime + 10
    os.utime(source, (later, later))
    assert binary_facts(path).newer_source == source


# Scripts and things that are no program.


@pytest.mark.parametrize(
    ("head", "interpreter"),
    [
        ("#!/bin/sh -e\n", "/bin/sh"),
        ("#!/usr/bin/env python3\n", "python3"),
        ("#!/usr/bin/env -S A=1 python3 -u\n", "python3"),
        ("#!\n", "/bin/sh"),
    ],
)
def test_interpreter(head: str, interpreter: str, tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_text(head)
    facts = binary_facts(path)
    assert (facts.kind, facts.interpreter) == (Kind.SCRIPT, interpreter)


def test_a_text_file_is_no_program(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("hello")
    path.chmod(0o755)
    assert binary_facts(path).kind is Kind.OTHER
    with pytest.raises(TargetError, match="neither ELF nor a script"):
        check_runnable(path)


def test_missing(tmp_path: Path) -> None:
    for look in (binary_facts, check_runnable):
        with pytest.raises(TargetError, match="There is no file") as caught:
            look(tmp_path / "nosuch")
        assert caught.value.advice


def test_a_pipe_is_no_program(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for look in (binary_facts, check_runnable):
        with pytest.raises(TargetError, match="not a file"):
            look(tmp_path / "pipe")


def elf(machine: int, kind: int = 2, entry: int = 0x1000) -> bytes:
    """The header of an ELF file without sections."""
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    return ident + struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, entry, 0, 0, 0, 64, 56, 0, 64, 0, 0)


def executable(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o755)
    return path


@x86_64
@pytest.mark.parametrize(("machine", "name"), [(183, "aarch64"), (243, "riscv64"), (22, "s390x")])
def test_another_architecture(machine: int, name: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=f"program for {name}, and this machine is x86_64") as caught:
        check_runnable(executable(tmp_path / "engine", elf(machine)))
    assert "x86_64" in caught.value.advice


@x86_64
def test_this_architecture_and_its_32_bit_sister(tmp_path: Path) -> None:
    for machine in (62, 3):
        check_runnable(executable(tmp_path / f"engine{machine}", elf(machine)))


@x86_64
@pytest.mark.parametrize(("kind", "entry"), [(1, 0), (3, 0), (4, 0)])
def test_objects_libraries_and_core_dumps(kind: int, entry: int, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="object file or a library"):
        check_runnable(executable(tmp_path / "thing", elf(62, kind, entry)))


def test_a_cut_file(tmp_path: Path) -> None:
    for size in (5, 20, 63):
        path = executable(tmp_path / f"cut{size}", elf(62)[:size])
        for look in (binary_facts, check_runnable):
            with pytest.raises(TargetError, match="damaged"):
                look(path)


TRUE = Path("/bin/true").read_bytes()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_gives_facts_or_a_sentence(tmp_path: Path, data: st.DataObject) -> None:
    """Bytes of a real program changed anywhere, its headers above all: never another exception."""
    broken = bytearray(TRUE)
    headers = st.integers(0, 63) | st.integers(len(TRUE) - 2000, len(TRUE) - 1) | st.integers(0, len(TRUE) - 1)
    for at, value in data.draw(st.lists(st.tuples(headers, st.integers(0, 255)), max_size=12)):
        broken[at] = value
    path = executable(
        tmp_path / "broken", bytes(broken[: data.draw(st.just(len(broken)) | st.integers(0, len(broken)))])
    )
    for look in (binary_facts, check_runnable):
        try:
            look(path)
        except TailflameError as problem:
            assert str(path) in problem.sentence


# Size.


@pytest.mark.tool("gcc")
def test_a_big_binary_is_quick(sources: Path) -> None:
    """A hundred megabytes of debug sections are neither read nor walked."""
    filler = sources / "filler"
    with filler.open("wb") as file:
        file.truncate(50_000_000)
    big = sources / "big"
    full = gcc(sources, "full", "-O2", "-g", "-fno-omit-frame-pointer")
    options = ["--add-section", f".debug_loc={filler}", "--add-section", f".debug_types={filler}"]
    subprocess.run([shutil.which("objcopy") or "objcopy", *options, str(full), str(big)], check=True, timeout=60)
    began = time.perf_counter()
    assert binary_facts(big).optimised is True
    assert time.perf_counter() - began < 1.0


def test_facts_are_kept_until_the_file_changes(tmp_path: Path) -> None:
    path = executable(tmp_path / "engine", TRUE)
    first = binary_facts(path)
    assert binary_facts(path) is first
    path.write_text("#!/bin/sh\n")
    assert binary_facts(path).kind is Kind.SCRIPT


@pytest.mark.tool("gcc")
def test_elf_closes_its_mapping(sources: Path) -> None:
    with Elf(gcc(sources, "full", "-O2", "-g")) as file:
        assert file.units(1)
    with pytest.raises(ValueError, match="closed"):
        file.section(".symtab")
