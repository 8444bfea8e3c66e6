"""Functions of JIT compilers: perf-PID.map and jitdump."""

from __future__ import annotations

import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailflame.model import FrameKind
from tailflame.parse.symbolize import Module, Symbolizer
from tailflame.parse.symbolize.jit import dump_symbols, map_symbols


def names(path: Path, *addresses: int) -> list[str]:
    symbolizer = Symbolizer()
    asked = np.array(addresses, dtype=np.uint64)
    found = symbolizer.names(Module(str(path), kind=FrameKind.JIT, pid=7), asked)
    assert found.address.tolist() == list(addresses)
    return [symbolizer.strings[name] if name >= 0 else "" for name in found.name.tolist()]


def test_a_map_of_functions(tmp_path: Path) -> None:
    path = tmp_path / "perf-7.map"
    path.write_text(
        "7f1c2a000040 1c0 Interpreter\n7f1c2a000200 20 Lcom/Book;::add with blanks\nnonsense\n10 zz x\n5 5\n"
    )
    found = names(path, 0x7F1C2A00003F, 0x7F1C2A000040, 0x7F1C2A0001FF, 0x7F1C2A000200, 0x7F1C2A000220)
    assert found == ["", "Interpreter", "Interpreter", "Lcom/Book;::add with blanks", ""]


def test_newer_code_in_the_place_of_older_code(tmp_path: Path) -> None:
    path = tmp_path / "perf-7.map"
    path.write_text("1000 100 a_long_name_that_is_old\n1000 80 new\n")
    assert names(path, 0x1000, 0x10C0) == ["new", ""]


def test_only_maps_of_the_user_and_root_are_read(tmp_path: Path) -> None:
    """/tmp is everybody's: what another user wrote may be made up, and a link may lead anywhere."""
    path = tmp_path / "perf-7.map"
    path.write_text("1000 100 f\n")
    assert names(path, 0x1000) == ["f"]
    link = tmp_path / "perf-8.map"
    link.symlink_to(path)
    assert names(link, 0x1000) == [""]
    os.mkfifo(tmp_path / "perf-9.map")
    assert names(tmp_path / "perf-9.map", 0x1000) == [""]
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
        assert names(path, 0x1000) == [""]


def record(kind: int, body: bytes) -> bytes:
    return struct.pack("<2IQ", kind, 16 + len(body), 5) + body


def loaded(address: int, size: int, number: int, name: bytes) -> bytes:
    return record(0, struct.pack("<2I4Q", 7, 7, address, address, size, number) + name + b"\0" + b"\xcc" * size)


HEADER = struct.pack("<6I2Q", 0x4A695444, 1, 40, 62, 0, 7, 1, 0)
DUMP = (
    HEADER
    + loaded(0x1000, 0x20, 1, b"first")
    + record(2, b"\0" * 24)  # lines of code
    + loaded(0x1020, 0x20, 2, b"second")
    + record(1, struct.pack("<2I5Q", 7, 7, 0x5000, 0x1020, 0x5000, 0x20, 2))  # moved
    + loaded(0x1000, 0x10, 3, b"newer")
    + record(3, b"")
)


def test_a_jitdump(tmp_path: Path) -> None:
    (tmp_path / "jit-7.dump").write_bytes(DUMP)
    path = tmp_path / "perf-7.map"
    assert names(path, 0x1000, 0x1010, 0x1020, 0x5000, 0x501F, 0x5020) == ["newer", "", "", "second", "second", ""]
    path.write_text("1000 100 from_the_map\n")
    assert names(path, 0x1000) == ["from_the_map"]


@pytest.mark.parametrize("end", range(0, len(DUMP), 5))
def test_a_dump_that_is_cut(end: int) -> None:
    assert len(dump_symbols(DUMP[:end])) <= 3


@settings(max_examples=100)
@given(st.binary(max_size=400))
def test_dumps_of_any_bytes(body: bytes) -> None:
    dump_symbols(body)
    dump_symbols(HEADER + body)


@settings(max_examples=100)
@given(st.one_of(st.binary(max_size=300), st.text(alphabet="0123456789abcdef- \n+xg", max_size=300).map(str.encode)))
def test_maps_of_any_bytes(text: bytes) -> None:
    symbols = map_symbols(text)
    assert len(symbols.start) == len(symbols.size) == len(symbols.name)


def test_records_that_say_they_have_no_length_end_the_reading() -> None:
    assert len(dump_symbols(HEADER + struct.pack("<2IQ", 0, 0, 0) * 10)) == 0
    assert len(dump_symbols(HEADER + loaded(2**64 - 4, 0x20, 1, b"beyond"))) == 0


def test_a_map_of_one_huge_line() -> None:
    text = b"1000 10 " + b"n" * 5_000_000 + b"\n" + b"2000 10 f\n" * 1000
    tracemalloc.start()
    try:
        assert len(map_symbols(text)) == 2
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024**2
    finally:
        tracemalloc.stop()
