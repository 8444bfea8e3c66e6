"""Inlined functions and source lines, from debug information that is looked for by build id."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.environment import DATA
from tailflame.errors import Cancelled
from tailflame.model import FrameKind, StackTable
from tailflame.model.stacks import readonly
from tailflame.parse.debug_info import open_debug_info
from tailflame.parse.perf_records import Mapping
from tailflame.parse.perf_samples import PerfSamples
from tailflame.parse.perf_script import PerfText
from tailflame.parse.symbolize import State, debug_index, files
from tailflame.parse.symbolize.index_store import IndexStore
from tailflame.parse.symbols import _regrown, refine

SPIN = DATA / "perf" / "6.1.187" / "spin"
BUILD_ID = "9d9ebfec8cc613ccc231a03e13e0f00e75b72fc6"
CHURN = 0x1220  # where churn() begins; twist() and blend() are inlined into it at +0x2d


class Opened:
    """Opens debug information, each time as if for the first time."""

    def __init__(self, module: Path, home: Path) -> None:
        store = IndexStore(home / "no-cache", limit=0)
        self.state, self.info = open_debug_info(str(module), BUILD_ID, watch=nobody, home=home, store=store)


def nobody() -> None:
    """Watches, and never cancels."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexes of debug information are kept from no other test."""
    monkeypatch.setenv("TAILFLAME_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder without a cache of binaries."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def read(text: str) -> PerfSamples:
    reader = PerfText(keep_addresses=True)
    reader.feed(text.encode())
    return reader.finish()


def shown(samples: PerfSamples, row: int = 0) -> list[str]:
    """A sample's frames below the thread's name: name, kind's first letter, place."""
    profile = samples.profile()
    frames = [int(profile.stacks.frame[at]) for at in profile.stacks.path(int(profile.samples.stack[row]))][1:]
    return [
        f"{profile.frames.name_of(f)} {FrameKind(profile.frames.kind[f]).name[0]} {profile.frames.place_of(f)}".rstrip()
        for f in frames
    ]


def header(rest: str) -> str:
    return f"t 7/7 1.500000000:   1 cpu-clock: {rest}\n"


def test_inlined_functions_stand_below_the_physical_one(home: Path) -> None:
    samples = read(header("") + f"\t            124d churn+0x2d ({SPIN})\n\t            13fa work+0xba ({SPIN})\n\n")
    refined = refine(samples, build_ids=[(str(SPIN), BUILD_ID)], home=home)
    assert shown(refined.samples) == [
        "work U /src/spin/spin.c:57",
        "churn U /src/spin/spin.c:24",
        "blend I /src/spin/spin.c:18",
        "twist I /src/spin/spin.c:13",
    ]
    assert refined.states == {str(SPIN): State.READ}
    frames = refined.samples.profile().frames
    assert {frames.module_of(i) for i in range(1, len(frames))} == {str(SPIN)}


def test_a_callers_line_is_that_of_its_call(home: Path) -> None:
    """A return address often belongs to the next line; a sampled one does not."""
    _, info = open_debug_info(str(SPIN), BUILD_ID, watch=nobody, home=home)
    assert info is not None
    at = next(a for a in range(CHURN + 1, CHURN + 0x60) if info.lookup(a)[-1].line != info.lookup(a - 1)[-1].line)
    frame = f"\t            {at:x} churn+0x{at - CHURN:x} ({SPIN})\n\n"
    leaf = read(header("") + frame)
    caller = read(header("") + f"\t            124d churn+0x2d ({SPIN})\n" + frame)
    interrupted = read(header("") + "\tffffffff822010c9 irq+0x19 ([kernel.kallsyms])\n" + frame)
    places = [
        shown(refine(samples, build_ids=[(str(SPIN), BUILD_ID)], home=home).samples)
        for samples in (leaf, caller, interrupted)
    ]
    assert places[0][0] != places[1][0]
    assert places[2][0] == places[0][0]


def test_a_call_that_never_returns_gets_no_line_of_another_function(home: Path) -> None:
    """It returns to the start of the function behind the caller, which perf takes for the caller."""
    text = header("") + f"\t            124d churn+0x2d ({SPIN})\n\t            1250 behind+0x0 ({SPIN})\n\n"
    refined = refine(read(text), build_ids=[(str(SPIN), BUILD_ID)], home=home)
    assert shown(refined.samples)[0] == "behind U"


def test_run_time_addresses_are_moved_back_by_their_mapping(home: Path) -> None:
    """Samples without a call chain, and perf before 5.19, print addresses as they were in memory."""
    samples = read(header(f"    559870d9f24d churn+0x2d ({SPIN})"))
    mapping = Mapping(7, 0x559870D9F000, 0x1000, 0x1000, str(SPIN))
    wanted = ["churn U /src/spin/spin.c:24", "blend I /src/spin/spin.c:18", "twist I /src/spin/spin.c:13"]
    refined = refine(samples, mappings=[mapping], build_ids=[(str(SPIN), BUILD_ID)], home=home)
    assert shown(refined.samples) == wanted
    # The mapping of an older perf tells the build id itself.
    refined = refine(samples, mappings=[mapping._replace(build_id=BUILD_ID)], home=home)
    assert shown(refined.samples) == wanted


def test_where_two_readings_of_an_address_are_possible_the_symbols_start_decides(home: Path) -> None:
    """A program loaded at a fixed place may be longer than that place's address: 0x124d is within both."""
    samples = read(header("") + f"\t            124d churn+0x2d ({SPIN})\n\n")
    misleading = Mapping(7, 0x1000, 0x1000, 0x1100, str(SPIN))  # 0x134d is in work()
    refined = refine(samples, mappings=[misleading], build_ids=[(str(SPIN), BUILD_ID)], home=home)
    assert shown(refined.samples)[0] == "churn U /src/spin/spin.c:24"


def test_frames_that_differ_only_in_their_address_become_one(home: Path) -> None:
    text = "".join(header("") + f"\t            {0x1240 + i:x} churn+0x{0x20 + i:x} (/gone)\n\n" for i in range(5))
    refined = refine(read(text), build_ids=[("/gone", BUILD_ID)], home=home)
    assert refined.states == {"/gone": State.MISSING}
    assert [frame.name for frame in refined.samples.frames] == ["t", "churn"]
    assert len(refined.samples.stacks) == 2
    assert set(refined.samples.samples.stack) == {1}


@pytest.mark.parametrize(
    ("build_ids", "state"),
    [
        ([(str(SPIN), "00" * 20)], State.CHANGED),
        ([], State.UNKNOWN),
        # Two builds under one path within one recording: which one a sample is from is not known.
        ([(str(SPIN), BUILD_ID), (str(SPIN), "00" * 20)], State.UNKNOWN),
    ],
)
def test_another_build_is_not_asked(home: Path, build_ids: list[tuple[str, str]], state: State) -> None:
    samples = read(header("") + f"\t            124d churn+0x2d ({SPIN})\n\n")
    refined = refine(samples, build_ids=build_ids, home=home)
    assert shown(refined.samples) == ["churn U"]
    assert refined.states == {str(SPIN): state}


def test_a_rebuilt_binary_is_found_in_perfs_cache(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "spin"
    path.write_bytes(b"something else")
    cached = home / ".debug/.build-id" / BUILD_ID[:2] / BUILD_ID[2:]
    cached.mkdir(parents=True)
    shutil.copy(SPIN, cached / "elf")
    state, info = open_debug_info(str(path), BUILD_ID, watch=nobody, home=home)
    assert state is State.READ and info is not None
    assert [line.symbol for line in info.lookup(0x124D)] == ["twist", "blend", "churn"]


def test_a_binary_recorded_without_a_build_id_is_trusted_only_if_it_is_the_same_file(home: Path) -> None:
    """A recording that was killed has no build ids, but its mappings tell the inode."""
    samples = read(header("") + f"\t            124d churn+0x2d ({SPIN})\n\n")
    now = SPIN.stat()
    mapping = Mapping(7, 0x559870D9F000, 0x1000, 0x1000, str(SPIN), "", now.st_ino)
    after = now.st_mtime + 1

    def state(mapping: Mapping, recorded_at: float, build_ids: tuple[tuple[str, str], ...] = ()) -> State:
        refined = refine(samples, mappings=[mapping], recorded_at=recorded_at, build_ids=build_ids, home=home)
        return refined.states[str(SPIN)]

    assert state(mapping, after) is State.READ
    assert state(mapping, now.st_mtime - 1) is State.UNKNOWN
    assert state(mapping._replace(inode=now.st_ino + 1), after) is State.UNKNOWN
    assert state(mapping, after, ((str(SPIN), "00" * 20),)) is State.CHANGED


def test_a_binary_deleted_while_it_ran(home: Path) -> None:
    samples = read(header("") + f"\t            124d churn+0x2d ({SPIN} (deleted))\n\n")
    refined = refine(samples, build_ids=[(f"{SPIN} (deleted)", BUILD_ID)], home=home)
    assert len(shown(refined.samples)) == 3


@pytest.mark.tool("objcopy")
@pytest.mark.parametrize("place", ["link", "build id"])
def test_separate_debug_information(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    debug = tmp_path / "spin.debug"
    stripped = tmp_path / "spin"
    subprocess.run(["objcopy", "--only-keep-debug", str(SPIN), str(debug)], check=True)
    argv = ["objcopy", "--strip-debug", f"--add-gnu-debuglink={debug}", str(SPIN), str(stripped)]
    subprocess.run(argv, check=True)
    monkeypatch.setattr(files, "DEBUG_ROOT", tmp_path / "usr")
    if place == "build id":
        shelf = tmp_path / "usr/.build-id" / BUILD_ID[:2]
        shelf.mkdir(parents=True)
        debug.rename(shelf / f"{BUILD_ID[2:]}.debug")
    opened = Opened(stripped, home)
    assert opened.state is State.READ and opened.info is not None
    assert opened.info.lookup(0x124D)[0].line == 13
    # That of another build has the right name as well.
    found = next(path for path in tmp_path.rglob("*.debug") if path.is_file())
    found.write_bytes(found.read_bytes().replace(bytes.fromhex(BUILD_ID), bytes(20)))
    assert Opened(stripped, home).state is State.NO_DEBUG_INFO
    found.unlink()
    assert Opened(stripped, home).state is State.NO_DEBUG_INFO


def test_damaged_and_huge_debug_information(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SPIN.open("rb") as raw:
        section = ELFFile(raw).get_section_by_name(".debug_info")
        at, size = section["sh_offset"], section["sh_size"]
    data = bytearray(SPIN.read_bytes())
    data[at : at + size] = b"\xff" * size
    damaged = tmp_path / "spin"
    damaged.write_bytes(data)
    state, info = open_debug_info(str(damaged), BUILD_ID, watch=nobody, home=home)
    assert state in (State.NO_DEBUG_INFO, State.READ)
    if info is not None:
        assert [line.symbol for line in info.lookup(0x124D)] == ["churn"]
    monkeypatch.setattr(debug_index, "SIZE_LIMIT", 100)
    assert Opened(SPIN, home).state is State.TOO_LARGE


def test_it_can_be_cancelled(home: Path) -> None:
    def cancel(share: float) -> None:
        raise Cancelled

    samples = read(header("") + f"\t            124d churn+0x2d ({SPIN})\n\n")
    with pytest.raises(Cancelled):
        refine(samples, build_ids=[(str(SPIN), BUILD_ID)], progress=cancel, home=home)


def test_progress_grows_to_the_end(home: Path) -> None:
    shares: list[float] = []
    text = header("") + f"\t            124d churn+0x2d ({SPIN})\n\t            124e churn+0x2e (/gone)\n\n"
    refine(read(text), build_ids=[(str(SPIN), BUILD_ID)], progress=shares.append, home=home)
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_kernel_and_unknown_modules_are_not_looked_for(home: Path) -> None:
    text = (
        header("") + "\tffffffff822010c9 irq+0x19 ([kernel.kallsyms])\n\t  7ffd00 x+0x1 ([vdso])\n\t 12 f (//anon)\n\n"
    )
    samples = read(text)
    refined = refine(samples, build_ids=[("[kernel.kallsyms]", BUILD_ID), ("[vdso]", BUILD_ID)], home=home)
    assert set(refined.states) <= {"//anon"}
    assert [f.name for f in refined.samples.frames] == ["t", "x", "f", "irq"]


def grown(stacks: list[list[int]]) -> tuple[StackTable, list[int]]:
    rows: dict[tuple[int, int], int] = {}
    leaves = []
    for stack in stacks:
        at = -1
        for frame in stack:
            at = rows.setdefault((at, frame), len(rows))
        leaves.append(at)
    parents, frames = zip(*rows, strict=True)
    return StackTable(readonly(frames, np.int32), readonly(parents, np.int32)), leaves


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=8), min_size=1, max_size=20),
    st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(10, 12), max_size=3)), min_size=6, max_size=6),
)
def test_stacks_with_inlined_frames_put_in(stacks: list[list[int]], expansions: list[tuple[int, list[int]]]) -> None:
    """Frames below 10 are physical, the others inlined: two old frames may become one, or begin alike."""
    groups = [(first, *inlined) for first, inlined in expansions]
    old, leaves = grown(stacks)
    table, rows = _regrown(old, groups)
    for stack, leaf in zip(stacks, leaves, strict=True):
        path = [int(table.frame[at]) for at in table.path(int(rows[leaf]))]
        assert path == [frame for old_frame in stack for frame in groups[old_frame]]
    keys = list(zip(table.parent.tolist(), table.frame.tolist(), strict=True))
    assert len(set(keys)) == len(keys)
    assert all(parent < row for row, parent in enumerate(table.parent.tolist()))


def test_no_stacks_at_all() -> None:
    samples = read("")
    assert len(refine(samples).samples.samples) == 0
