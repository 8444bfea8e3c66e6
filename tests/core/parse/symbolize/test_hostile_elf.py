"""ELF files that lie: whatever they say, an answer comes soon, and takes no more memory than the file is large."""

from __future__ import annotations

import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.environment import DATA
from tailflame.parse.symbolize.elf_file import (
    NOWHERE,
    ElfFile,
    NotElf,
    build_id_in,
    build_id_of,
    elf_in_memory,
    open_elf,
)
from tailflame.parse.symbolize.files import has_debug_info
from tailflame.parse.symbolize.plt import plt_symbols
from tailflame.parse.symbolize.symtab import NAME_LIMIT, elf_symbols, has_symtab, table_of

SPIN = DATA / "perf" / "6.1.187" / "spin"
GOOD = SPIN.read_bytes()
SECTIONS = int.from_bytes(GOOD[40:48], "little")
EVERYWHERE = np.arange(0, len(GOOD), 97, dtype=np.uint64)
MEMORY = 32 * 1024**2


def asked(image: bytes) -> int:
    """Asks everything; the number of places that have a name."""
    try:
        elf = elf_in_memory(image, Path("made"))
    except NotElf:
        return 0
    return asked_of(elf)


def asked_of(elf: ElfFile) -> int:
    elf.build_id()
    has_debug_info(elf)
    has_symtab(elf)
    assert len(elf.linked(EVERYWHERE)) == len(EVERYWHERE)
    table = table_of((*elf_symbols(elf, elf), *plt_symbols(elf)))
    places = table.find(EVERYWHERE, lambda names: dict.fromkeys(names, "x"))
    assert all(len(table.name(place)) <= NAME_LIMIT for place in places.tolist() if place >= 0)
    return int((places >= 0).sum())


def test_the_good_file_is_read() -> None:
    assert asked(GOOD) > 10


@settings(max_examples=60)
@given(st.integers(0, len(GOOD)))
def test_a_file_that_is_cut(end: int) -> None:
    asked(GOOD[:end])


CHANGES = st.lists(
    st.tuples(
        # The headers, the section headers, anywhere.
        st.one_of(st.integers(0, 1000), st.integers(SECTIONS, len(GOOD) - 8), st.integers(0, len(GOOD) - 8)),
        st.one_of(
            st.integers(0, 255).map(lambda value: bytes([value])),
            st.sampled_from([0, 1, 2**16 - 1, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1]).map(
                lambda value: value.to_bytes(8, "little")
            ),
            st.binary(min_size=1, max_size=16),
        ),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=120)
@given(CHANGES)
def test_a_file_that_was_changed(changes: list[tuple[int, bytes]]) -> None:
    image = bytearray(GOOD)
    for at, value in changes:
        image[at : at + len(value)] = value
    tracemalloc.start()
    try:
        asked(bytes(image))
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


@settings(max_examples=60)
@given(st.binary(max_size=300), st.sampled_from(["<", ">"]))
def test_notes_of_any_bytes(notes: bytes, order: str) -> None:
    build_id_in(notes, order)


@pytest.mark.parametrize("field", ["offset", "size", "entsize", "link", "type"])
@pytest.mark.parametrize("value", [0, 1, 2**31 - 1, 2**32 - 1, 2**62, 2**64 - 1])
def test_sections_that_lie(field: str, value: int) -> None:
    """One field of all section headers at once."""
    at, size = {"type": (4, 4), "offset": (24, 8), "size": (32, 8), "link": (40, 4), "entsize": (56, 8)}[field]
    image = bytearray(GOOD)
    for header in range(SECTIONS, len(GOOD) - 63, 64):
        image[header + at : header + at + size] = (value % 2 ** (8 * size)).to_bytes(size, "little")
    tracemalloc.start()
    try:
        asked(bytes(image))
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


def made_elf(symbols: bytes, names: bytes, *, sections: int = 4, text_size: int = 0x1000) -> bytes:
    """A little ELF file with a `.text` of which nothing is there, a symbol table and its strings."""
    strings = b"\0.text\0.symtab\0.strtab\0"
    at = 64 + 56
    blobs = [symbols, names, strings]
    starts = [at, at + len(symbols), at + len(symbols) + len(names)]
    table = starts[2] + len(strings)
    rows = [
        (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        (1, 1, 6, 0, 0, text_size, 0, 0, 1, 0),
        (7, 2, 0, 0, starts[0], len(symbols), 3, 0, 8, 24),
        (15, 3, 0, 0, starts[1], len(names), 0, 0, 1, 0),
        (15, 3, 0, 0, starts[2], len(strings), 0, 0, 1, 0),
    ]
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 3, 62, 1, 0, 64, table, 0, 64, 56, 1, 64, 5, sections)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, text_size, text_size, 0x1000)
    return header + segment + b"".join(blobs) + b"".join(struct.pack("<IIQQQQIIQQ", *row) for row in rows)


def symbol(name: int, value: int, size: int, *, info: int = 0x12, section: int = 1) -> bytes:
    return struct.pack("<IBBHQQ", name, info, 0, section, value, size)


def test_huge_names_are_cut() -> None:
    names = b"\0" + b"n" * 1_000_000 + b"\0"
    elf = elf_in_memory(made_elf(symbol(1, 0x10, 0x10), names), Path("made"))
    table = table_of(elf_symbols(elf, elf))
    places = table.find(np.array([0x10], dtype=np.uint64), lambda names: {})
    assert len(table.name(int(places[0]))) == NAME_LIMIT


def test_many_symbols_at_one_place_with_one_huge_name() -> None:
    """A hundred thousand aliases whose names are all the same million bytes."""
    names = b"\0" + b"_" * 1_000_000 + b"\0"
    symbols = b"".join(symbol(1 + n % 500_000, 0x10, 0x10) for n in range(20_000))
    elf = elf_in_memory(made_elf(symbols, names), Path("made"))
    tracemalloc.start()
    try:
        table = table_of(elf_symbols(elf, elf))
        table.find(np.array([0x10], dtype=np.uint64), lambda names: {})
        assert tracemalloc.get_traced_memory()[1] < 256 * 1024**2
    finally:
        tracemalloc.stop()


def test_symbols_that_lead_beyond_all_addresses() -> None:
    symbols = symbol(1, 2**64 - 16, 2**64 - 1) + symbol(3, 2**63, 0) + symbol(5, 0x20, 2**64 - 1)
    elf = elf_in_memory(made_elf(symbols, b"\0a\0b\0c\0"), Path("made"))
    table = table_of(elf_symbols(elf, elf))
    found = table.find(np.array([0, 0x20, 0x500, 2**63, 2**64 - 1], dtype=np.uint64), lambda names: {})
    assert [table.name(place) if place >= 0 else "" for place in found.tolist()][:2] == ["", "c"]


def test_names_that_are_no_text() -> None:
    elf = elf_in_memory(made_elf(symbol(1, 0x10, 0x10), b"\0\xff\xfe(\0"), Path("made"))
    table = table_of(elf_symbols(elf, elf))
    place = int(table.find(np.array([0x10], dtype=np.uint64), lambda names: {})[0])
    assert table.name(place) == "��("


@pytest.mark.parametrize("what", ["folder", "pipe", "nothing", "device", "unreadable name", "empty"])
def test_what_is_no_file(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path = Path("/dev/zero")
    elif what == "unreadable name":
        path = Path("/tmp/a\0b")
    elif what == "empty":
        path.touch()
    with pytest.raises(NotElf):
        open_elf(path)
    assert build_id_of(path) == ""


def test_a_file_that_is_replaced_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "spin"
    path.write_bytes(GOOD)
    elf = open_elf(path)
    path.write_bytes(GOOD[: len(GOOD) // 2])
    assert elf.build_id() == ""
    assert asked_of(elf) == 0


def test_a_sparse_file_takes_no_memory(tmp_path: Path) -> None:
    """Its sections are said to have gigabytes, and the file is that long."""
    path = tmp_path / "sparse"
    image = bytearray(GOOD)
    for header in range(SECTIONS, len(GOOD) - 63, 64):
        image[header + 32 : header + 40] = (4 * 1024**3).to_bytes(8, "little")
    path.write_bytes(image)
    os.truncate(path, 64 * 1024**3)
    tracemalloc.start()
    try:
        assert asked_of(open_elf(path)) == 0
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


def test_where_code_lies_in_the_file_and_where_it_is_linked_to() -> None:
    """lld links code a page behind its place in the file."""
    elf = elf_in_memory(GOOD, Path("made"))
    rows = np.zeros(2, elf.segments.dtype)
    rows["offset"], rows["vaddr"], rows["filesz"], rows["memsz"] = (
        (0, 0x100),
        (0, 0x1100),
        (0x100, 0x200),
        (0x100, 0x900),
    )
    moved = ElfFile(elf.path, elf.size, True, False, 62, 3, elf.sections, elf.section_names, rows)
    offsets = np.array([0x10, 0x150, 0x2FF, 0x300, 2**64 - 1], dtype=np.uint64)
    assert moved.linked(offsets).tolist() == [0x10, 0x1150, 0x12FF, NOWHERE, NOWHERE]
    assert moved.unlinked(np.array([0x10, 0x1150], dtype=np.uint64), np.zeros(2, int)).tolist() == [0x10, 0x150]
