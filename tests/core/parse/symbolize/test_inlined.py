"""Inlined functions and source lines, from indexes of debug information that are kept on disk."""

from __future__ import annotations

import os
import posixpath
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from helpers.environment import DATA
from tailflame.errors import Cancelled
from tailflame.parse.symbolize import Module, State, Symbolizer, debug_index, indexing
from tailflame.parse.symbolize.elf_file import build_id_of, open_elf
from tailflame.parse.symbolize.index_store import IndexStore, cache_folder, lines_in
from tailflame.parse.symbolize.indexing import Indexing
from tailflame.parse.symbolize.symcache import DEPTH_LIMIT, SymCache, numbered, parse_symcache

SPIN = DATA / "perf" / "6.1.187" / "spin"
BUILD_ID = "9d9ebfec8cc613ccc231a03e13e0f00e75b72fc6"
MODULE = Module(str(SPIN), BUILD_ID)
INLINED_AT = 0x124D  # within churn(), into which blend() and twist() are inlined
C = """
static inline __attribute__((always_inline)) int twist(int n) { return n * 7 + (n >> 3); }
static inline __attribute__((always_inline)) int blend(int n) {
  for (int i = 0; i < n; i++) n ^= twist(n + i);
  return n; }
__attribute__((noinline)) int churn(int n) {
  volatile int sum = 0;
  for (int i = 0; i < n; i++) sum += blend(i);
  return sum; }
int main(int argc, char **argv) { (void)argv; return churn(argc); }
"""


@pytest.fixture
def store(tmp_path: Path) -> IndexStore:
    return IndexStore(tmp_path / "indexes")


def runs(symbolizer: Symbolizer, module: Module, offsets: Sequence[int], *, exact: bool = True) -> list[list[str]]:
    """Of each offset what is there, outermost first: `name file:line`."""
    asked = np.array(offsets, dtype=np.uint64)
    found = symbolizer.inlined(module, asked, np.full(len(asked), exact))
    assert len(found) == len(asked)
    text = [
        f"{symbolizer.strings[name]} {symbolizer.strings[file] if file >= 0 else '?'}:{line}"
        for name, file, line in zip(found.name.tolist(), found.file.tolist(), found.line.tolist(), strict=True)
    ]
    return [text[found.first[i] : found.first[i + 1]] for i in range(len(asked))]


def test_inlined_functions_follow_the_physical_one(store: IndexStore) -> None:
    with Symbolizer(store=store) as symbolizer:
        assert runs(symbolizer, MODULE, [1, INLINED_AT, INLINED_AT]) == [
            [],
            *[["churn /src/spin/spin.c:24", "blend /src/spin/spin.c:18", "twist /src/spin/spin.c:13"]] * 2,
        ]
        assert symbolizer.states == {str(SPIN): State.READ}


def test_a_call_stands_before_where_it_returns_to(store: IndexStore) -> None:
    churn = 0x1220
    with Symbolizer(store=store) as symbolizer:
        lines = {at: runs(symbolizer, MODULE, [at])[0] for at in range(churn, churn + 0x60)}
        for at in range(churn + 1, churn + 0x60):
            assert runs(symbolizer, MODULE, [at], exact=False) == [lines[at - 1]]
        # A call that never returns: what follows is another function.
        assert runs(symbolizer, MODULE, [0, churn], exact=False) == [[], []]


@pytest.mark.tool("gcc", "addr2line")
@pytest.mark.parametrize("flags", [("-pie", "-fPIE"), ("-no-pie",), ("-gdwarf-4",), ("-gz",)])
def test_lines_are_those_of_addr2line(tmp_path: Path, store: IndexStore, flags: tuple[str, ...]) -> None:
    source, binary = tmp_path / "made.c", tmp_path / "made"
    source.write_text(C)
    subprocess.run(["gcc", "-O2", "-g", *flags, "-o", str(binary), str(source)], check=True, capture_output=True)
    module = Module(str(binary), build_id_of(binary))
    with Symbolizer(store=store) as symbolizer:
        text = open_elf(binary).sections[open_elf(binary).section(".text")]
        every = np.arange(int(text["offset"]), int(text["offset"]) + int(text["size"]), dtype=np.uint64)
        named = symbolizer.names(module, every)
        ours = [
            i
            for i, name in enumerate(named.name.tolist())
            if name >= 0 and symbolizer.strings[name] in ("churn", "main")
        ]
        offsets, addresses = every[ours], named.address[ours]
        found = runs(symbolizer, module, offsets.tolist())
    argv = ["addr2line", "-i", "-f", "-a", "-e", str(binary)]
    asked = "\n".join(hex(address) for address in addresses.tolist())
    out = subprocess.run(argv, input=asked, capture_output=True, text=True, check=True).stdout.splitlines()
    theirs: list[list[str]] = []
    for line, place in pairwise(out):
        if line.startswith("0x"):
            theirs.append([])
        elif not place.startswith("0x") and ":" in place:
            file, _, number = place.partition(" (")[0].rpartition(":")
            theirs[-1].insert(0, f"{line} {posixpath.normpath(file)}:{number.replace('?', '-1')}")
    assert len(found) == len(theirs) > 50
    assert any(len(run) == 3 for run in found)
    assert found == theirs


def test_an_index_is_made_once(store: IndexStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with Symbolizer(store=store) as symbolizer:
        first = runs(symbolizer, MODULE, [INLINED_AT])
    assert [path.name for path in store.folder.iterdir()] == [f"{BUILD_ID}.symcache"]
    assert store.folder.stat().st_mode & 0o777 == 0o700

    def refuse(source: Path) -> Indexing:
        raise AssertionError("made again")

    monkeypatch.setattr(debug_index, "Indexing", refuse)
    with Symbolizer(store=store) as symbolizer:
        symbolizer.expect([MODULE])
        assert runs(symbolizer, MODULE, [INLINED_AT]) == first


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "another version", "a folder"])
def test_a_damaged_index_is_made_again(store: IndexStore, damage: str) -> None:
    with Symbolizer(store=store) as symbolizer:
        first = runs(symbolizer, MODULE, [INLINED_AT])
    path = store.folder / f"{BUILD_ID}.symcache"
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[:-9])
    elif damage == "flipped":
        data[len(data) // 2] ^= 0x40
        path.write_bytes(data)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "another version":
        data[7] += 1
        path.write_bytes(data)
    else:
        path.unlink()
        path.mkdir()
    assert store.get(BUILD_ID) is None
    with Symbolizer(store=store) as symbolizer:
        assert runs(symbolizer, MODULE, [INLINED_AT]) == first
    assert (store.get(BUILD_ID) is None) == (damage == "a folder")


def test_the_store_keeps_its_size(tmp_path: Path) -> None:
    with Symbolizer(store=IndexStore(tmp_path / "one")) as symbolizer:
        runs(symbolizer, MODULE, [INLINED_AT])
    payload = (tmp_path / "one" / f"{BUILD_ID}.symcache").read_bytes()[32:]
    store = IndexStore(tmp_path / "small", limit=3 * len(payload))
    for number in range(4):
        key = f"{number:08x}"
        store.put(key, 0, payload)
        if number == 0:
            continue
        os.utime(store.folder / f"{key}.symcache", (number, number))
        store.get("00000000")  # used again: the next one goes first
    assert sorted(path.name[:8] for path in store.folder.iterdir()) == ["00000000", "00000003"]
    store.put("ffffffff", 0, payload * 4)  # larger than all that may be kept
    store.put("../../../etc/x", 0, payload)
    assert store.get("../../../etc/x") is None
    assert len(list(store.folder.iterdir())) == 2
    IndexStore(Path("/proc/nowhere")).put("00000000", 0, payload)  # no right to write: not kept


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAILFLAME_CACHE_DIR", "/told")
    assert cache_folder() == Path("/told")
    monkeypatch.delenv("TAILFLAME_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/tailflame")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert cache_folder() == Path.home() / ".cache/tailflame"


def test_expected_modules_are_indexed_side_by_side_and_left_alone_at_the_end(store: IndexStore) -> None:
    with Symbolizer(store=store) as symbolizer:
        symbolizer.expect([MODULE, MODULE, Module("/nowhere", "ab" * 20), Module("[heap]")])
        assert len(runs(symbolizer, MODULE, [INLINED_AT])[0]) == 3
    with Symbolizer(store=IndexStore(store.folder / "other")) as symbolizer:
        symbolizer.expect([MODULE])
    symbolizer.close()  # again


def test_it_can_be_cancelled_while_an_index_is_made(
    store: IndexStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = tmp_path / "endless.py"
    endless.write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(indexing.index_debug_info, "__file__", str(endless))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def cancel() -> None:
        raise Cancelled

    with Symbolizer(store=store, watch=cancel) as symbolizer, pytest.raises(Cancelled):
        runs(symbolizer, MODULE, [INLINED_AT])
    assert not list(tmp_path.glob("*.symcache"))


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "import os; os.abort()", "pass"])
def test_where_no_index_can_be_made(
    store: IndexStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    """The process that reads other people's debug information may crash: then there are no lines."""
    failing = tmp_path / "failing.py"
    failing.write_text("import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n" + program)
    monkeypatch.setattr(indexing.index_debug_info, "__file__", str(failing))
    with Symbolizer(store=store) as symbolizer:
        assert runs(symbolizer, MODULE, [INLINED_AT]) == [[]]
        assert symbolizer.states == {str(SPIN): State.NO_DEBUG_INFO}
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with Symbolizer(store=store) as symbolizer:
        symbolizer.expect([MODULE])
        assert runs(symbolizer, MODULE, [INLINED_AT]) == [[]]


def spin_cache(store: IndexStore) -> tuple[SymCache, bytes]:
    with Symbolizer(store=store) as symbolizer:
        runs(symbolizer, MODULE, [INLINED_AT])
    payload = (store.folder / f"{BUILD_ID}.symcache").read_bytes()[32:]
    cache = parse_symcache(payload)
    assert cache is not None
    return cache, payload


def test_functions_inlined_into_themselves_end(store: IndexStore) -> None:
    cache, _ = spin_cache(store)
    locations = cache._locations.copy()
    locations[:, 3] = np.arange(len(locations))
    endless = SymCache(cache._files, cache._functions, locations, cache._ranges, cache._text)
    found = endless.lookup(np.array([INLINED_AT], dtype=np.uint64))
    assert found.first.tolist() == [0, DEPTH_LIMIT]


def test_an_index_that_lies_is_refused_or_harmless(store: IndexStore) -> None:
    cache, payload = spin_cache(store)
    assert cache.lookup(np.array([0, 2**32 - 1, 2**32, 2**64 - 1], dtype=np.uint64)).first.tolist() == [0] * 5
    for end in range(0, len(payload), 7):
        parse_symcache(payload[:end])
    for at in range(44, 64, 4):
        lying = bytearray(payload)
        lying[at : at + 4] = b"\xfe\xff\xff\xff"
        assert parse_symcache(bytes(lying)) is None
    generator = np.random.default_rng(5)
    everywhere = np.arange(0, 0x3000, 5, dtype=np.uint64)
    for _ in range(200):
        wild = np.frombuffer(payload, np.uint8).copy()
        wild[generator.integers(64, len(wild), 20)] = generator.integers(0, 256, 20)
        made = parse_symcache(wild.tobytes())
        if made is not None:
            found = made.lookup(everywhere)
            names = [made.function(number) for number in found.function.tolist() if number >= 0]
            files = [made.path(number) for number in found.file.tolist() if number >= 0]
            assert len(names) <= len(everywhere) * DEPTH_LIMIT and len(files) <= len(everywhere) * DEPTH_LIMIT


RUST = """
#[inline(never)]
fn alone(n: u64) -> u64 {
    let mut sum = n;
    while sum < 1000 {
        sum += sum ^ n;
    }
    sum
}
fn main() {
    println!("{}", alone(std::env::args().count() as u64));
}
"""


@pytest.mark.tool("rustc", "addr2line")
def test_lines_of_functions_that_have_nothing_else(
    tmp_path: Path, store: IndexStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With line tables only, a function into which nothing is inlined is in no index."""
    source, binary = tmp_path / "made.rs", tmp_path / "made"
    source.write_text(RUST)
    flags = ["-O", "-C", "debuginfo=line-tables-only", "-C", "link-arg=-Wl,--build-id"]
    argv = ["rustc", *flags, "-o", str(binary), str(source)]
    subprocess.run(argv, check=True, capture_output=True)
    module = Module(str(binary), build_id_of(binary))
    text = open_elf(binary).sections[open_elf(binary).section(".text")]
    every = np.arange(int(text["offset"]), int(text["offset"]) + int(text["size"]), 3, dtype=np.uint64)
    with Symbolizer(store=store) as symbolizer:
        named = symbolizer.names(module, every)
        alone = [
            i for i, name in enumerate(named.name.tolist()) if name >= 0 and symbolizer.strings[name] == "made::alone"
        ]
        found = runs(symbolizer, module, every[alone].tolist())
    argv = ["addr2line", "-e", str(binary), *map(hex, named.address[alone].tolist())]
    theirs = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    assert found and found == [[f"made::alone {place.partition(' (')[0].replace('?', '-1')}"] for place in theirs]

    # They are kept as well.
    assert list(store.folder.glob("*.lines"))

    def refuse(*arguments: object) -> Indexing:
        raise AssertionError("asked again")

    monkeypatch.setattr(debug_index, "Indexing", refuse)
    with Symbolizer(store=store) as symbolizer:
        assert runs(symbolizer, module, every[alone].tolist()) == found


def test_kept_lines_that_lie() -> None:
    assert lines_in("10\t5\t/src/a b.rs\n\n\tx\nzz\t1\t/x\n11\tmany\t/x\n12\t" + "9" * 5000 + "\t/x\n13\t0\t\n") == {
        0x10: (5, "/src/a b.rs"),
        0x12: (0, "/x"),
        0x13: (0, ""),
    }


def test_numbered_is_unique() -> None:
    values = np.array([5, -1, 3, 5, 0, -1])
    distinct, inverse = numbered(values, 6)
    assert distinct.tolist() == [-1, 0, 3, 5]
    assert distinct[inverse].tolist() == values.tolist()
