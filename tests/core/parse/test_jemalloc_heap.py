"""jemalloc's dumps: jeprof's totals, names by our own symbolizer, dumps of a process together, damaged ones."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.recordings import same
from helpers.stack_counts import DATA
from tailflame.errors import ParseError
from tailflame.model import FrameKind, Recording, StackProfile, Weight
from tailflame.model.heap import ALLOCATED, IN_USE, HeapTimeline, TimeUnit
from tailflame.parse import load
from tailflame.parse.formats import FORMATS
from tailflame.parse.jemalloc_heap import JEMALLOC_FOLDER, JEMALLOC_HEAP
from tailflame.parse.jemalloc_heap_files import FROM, JOINED, DumpName, dump_name, dumps_of_one
from tailflame.parse.jemalloc_heap_names import _OWN
from tailflame.parse.jemalloc_heap_text import Dump
from tailflame.units import Unit

JEMALLOC = DATA / "jemalloc" / "5.3.0"
DUMPS = JEMALLOC / "dumps"
FINAL = DUMPS / "jeprof.28671.7.f.heap"
_TOTAL = re.compile(r"Total: (\d+)")

SMALL = """\
heap_v2/4096
  t*: 9: 9000 [20: 20000]
  t0: 9: 9000 [20: 20000]
@ 0x1010 0x7f0020 0x2030
  t*: 4: 400 [10: 1000]
  t1: 3: 300 [9: 900]
  t2: 1: 100 [1: 100] [engine-0]
@ 0x1010 0x2040
  t*: 1: 1048576 [1: 1048576]
  t1: 1: 1048576 [1: 1048576]

MAPPED_LIBRARIES:
00001000-00002000 r-xp 00000000 fe:00 7                                  /opt/gone/libjemalloc.so.2
00002000-00003000 r-xp 00001000 fe:00 8                                  /opt/gone/my engine
"""


def heap_of(recording: Recording) -> HeapTimeline:
    assert recording.heap is not None
    return recording.heap


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


def read(folder: Path, text: str, name: str = "one.heap") -> Recording:
    path = folder / name
    path.write_text(text)
    return load(path)


def total(report: str) -> int:
    found = _TOTAL.search((DUMPS / report).read_text())
    assert found is not None
    return int(found[1])


def stacks(profile: StackProfile, event: int = 0) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in np.flatnonzero(profile.samples.event == event).tolist():
        frames = [int(profile.stacks.frame[at]) for at in profile.stacks.path(int(profile.samples.stack[row]))]
        text = ";".join(profile.frames.name_of(frame) for frame in frames)
        found[text] = found.get(text, 0) + float(profile.samples.period[row])
    return found


@pytest.mark.parametrize("name", sorted(path.name for path in DUMPS.glob("*.heap")))
def test_totals_are_those_of_jeprof_within_a_byte(name: str) -> None:
    profile = profile_of(load(DUMPS / name))
    assert [event.name for event in profile.events] == [IN_USE, ALLOCATED]
    assert profile.total(event=0, weight=Weight.PERIOD) == pytest.approx(total(f"{name}.jeprof"), abs=1)


def test_so_are_all_allocations_and_their_number() -> None:
    profile = profile_of(load(FINAL))
    assert profile.total(event=1, weight=Weight.PERIOD) == pytest.approx(
        total(f"{FINAL.name}.alloc_space.jeprof"), abs=1
    )
    assert profile.total(event=1) == pytest.approx(total(f"{FINAL.name}.alloc_objects.jeprof"), abs=1)
    in_use, allocated = profile.events
    assert (in_use.unit, in_use.counted_in, in_use.exact) == (Unit.BYTES, Unit.BLOCKS, False)
    assert (allocated.unit, allocated.counted_in) == (Unit.BYTES, Unit.ALLOCATIONS)


def test_the_demo_with_jemalloc_of_its_own() -> None:
    recording = load(JEMALLOC / "trading.heap.gz")
    found = _TOTAL.search((JEMALLOC / "trading.jeprof").read_text())
    assert found is not None
    assert profile_of(recording).total(weight=Weight.PERIOD) == pytest.approx(int(found[1]), abs=1)
    assert recording.meta.command[0].endswith("/release-with-debug/trading-system")


def test_facts_of_a_dump_at_the_end() -> None:
    facts = heap_of(load(FINAL)).facts
    assert facts.leaked == pytest.approx(770_048, abs=1)
    assert facts.leaked_blocks == pytest.approx(7, abs=0.01)
    assert facts.allocated == pytest.approx(65_125_709, abs=1)
    assert facts.sampled_every == 4096
    assert heap_of(load(DUMPS / "jeprof.28671.3.i3.heap")).facts.leaked is None


def test_only_all_threads_together_count(tmp_path: Path) -> None:
    profile = profile_of(read(tmp_path, SMALL))
    four = 400 / -np.expm1(-100 / 4096)
    assert profile.total(weight=Weight.PERIOD) == pytest.approx(four + 1_048_576)
    assert profile.total() == pytest.approx(4 / -np.expm1(-100 / 4096) + 1)


def test_without_the_binary_addresses_are_names_and_jemalloc_is_left_out(tmp_path: Path) -> None:
    recording = read(tmp_path, SMALL)
    profile = profile_of(recording)
    assert set(stacks(profile)) == {"my engine+0x102f;0x7f001f", "my engine+0x103f"}
    assert set(profile.frames.kind.tolist()) == {int(FrameKind.OTHER)}
    assert recording.meta.command == ("/opt/gone/my engine",)
    assert [caution.text for caution in recording.warnings] == [
        "/opt/gone/my engine is not here: its functions are shown as addresses."
    ]


def test_a_program_that_was_built_anew_is_not_asked(tmp_path: Path) -> None:
    program = tmp_path / "engine"
    shutil.copy("/bin/true", program)
    recording = read(tmp_path, SMALL.replace("/opt/gone/my engine", str(program)))
    os.utime(tmp_path / "one.heap", (1_000_000, 1_000_000))
    recording = load(tmp_path / "one.heap")
    assert [caution.text for caution in recording.warnings] == [
        f"{program} was changed after the dump was written, or cannot be read: its functions are shown as addresses."
    ]


def test_a_stack_of_jemalloc_alone_keeps_its_outermost_function(tmp_path: Path) -> None:
    profile = profile_of(read(tmp_path, SMALL.replace("@ 0x1010 0x2040", "@ 0x1010 0x1040")))
    assert "libjemalloc.so.2+0x3f" in stacks(profile)


def test_a_dump_without_stacks(tmp_path: Path) -> None:
    recording = read(tmp_path, "heap_v2/524288\n  t*: 0: 0 [0: 0]\n\nMAPPED_LIBRARIES:\n")
    assert recording.profile is None or not len(recording.profile.samples)
    assert heap_of(recording).heap.tolist() == [0]


def test_a_folder_is_memory_over_time() -> None:
    recording = load(DUMPS)
    heap, profile = heap_of(recording), profile_of(recording)
    assert recording.format == "jemalloc-heap"
    assert heap.number.tolist() == [0, 3, 6, 7]
    assert [event.name for event in profile.events] == ["Dump 7", "Dump 0", "Dump 3", "Dump 6", ALLOCATED]
    assert heap.event.tolist() == [1, 2, 3, 0]
    for row, event in enumerate(heap.event.tolist()):
        assert profile.total(event=event, weight=Weight.PERIOD) == pytest.approx(heap.heap[row])
    assert heap.time_unit is TimeUnit.BYTES
    assert (np.diff(heap.time) > 0).all()
    assert heap.peak == 2
    assert heap.facts.peak == pytest.approx(2_868_527, abs=1)
    assert heap.facts.leaked == pytest.approx(770_048, abs=1)


def joined(paths: list[Path]) -> str:
    return f"{JOINED}\n" + "".join(
        f"{FROM}{path.name} {at}.25\n{path.read_text()}" for at, path in enumerate(paths, 1000)
    )


def test_dumps_joined_into_a_file_are_the_same(tmp_path: Path) -> None:
    one = read(tmp_path, joined(dumps_of_one(DUMPS.glob("*.heap"))[0]), "unknown")
    folder = load(DUMPS)
    assert one.format == "jemalloc-heap"
    assert all(same(a, b) for a, b in zip(one.results, folder.results, strict=True))
    single = read(tmp_path, joined([FINAL]))
    assert [event.name for event in profile_of(single).events] == [IN_USE, ALLOCATED]
    assert heap_of(single).facts.leaked is not None


def test_without_counts_of_all_time_is_when_they_were_written(tmp_path: Path) -> None:
    bare = re.sub(r"\[\d+: \d+\]", "[0: 0]", SMALL)
    text = f"{JOINED}\n" + "".join(f"{FROM}jeprof.7.{at}.i{at}.heap {1000 + 2 * at}.5\n{bare}" for at in range(3))
    heap = heap_of(read(tmp_path, text))
    assert (heap.time_unit, heap.time.tolist()) == (TimeUnit.SECONDS, [0, 2, 4])
    assert heap.facts.allocated is None


def test_of_several_processes_one_is_shown(tmp_path: Path) -> None:
    for name in ("jeprof.12.0.i0.heap", "jeprof.12.1.f.heap", "jeprof.9.0.f.heap"):
        (tmp_path / name).write_text(SMALL)
    (tmp_path / "notes.heap").write_text("not one")
    (tmp_path / "jeprof.12.2.f.heap").write_text("not one either")
    recording = load(tmp_path)
    assert heap_of(recording).number.tolist() == [0, 1]
    assert recording.warnings[-1].text.startswith(
        "The folder holds dumps of 2 processes: those of process 12 are shown"
    )


def test_a_folder_with_a_damaged_dump_shows_the_others(tmp_path: Path) -> None:
    (tmp_path / "jeprof.12.0.i0.heap").write_text(SMALL)
    (tmp_path / "jeprof.12.1.f.heap").write_text(SMALL.replace("@ 0x1010 0x2040", "@ zero"))
    recording = load(tmp_path)
    assert len(heap_of(recording)) == 1
    assert "Line 8 of" in recording.warnings[-1].text


def test_folders_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "jeprof.12.0.i0.heap").write_text("heap of papers")
    (tmp_path / "other.heap").write_text(SMALL)
    assert not JEMALLOC_FOLDER.holds(tmp_path)
    assert not JEMALLOC_FOLDER.holds(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("jeprof.28671.7.f.heap", DumpName("jeprof.28671", 28671, 7, "f")),
        ("my.prefix.9.12.i12.heap", DumpName("my.prefix.9", 9, 12, "i")),
        ("jeprof.4.28671.3.m3.heap", DumpName("jeprof.4.28671", 28671, 3, "m")),
        ("jeprof.28671.0.u0.heap", DumpName("jeprof.28671", 28671, 0, "u")),
        ("jeprof.heap", None),
        ("jeprof.1.2.x.heap", None),
        ("jeprof.12345678901.2.f.heap", None),
    ],
)
def test_names_of_dumps(name: str, told: DumpName | None) -> None:
    assert dump_name(name) == told


def test_thousands_of_dumps_keep_the_stacks_of_some(tmp_path: Path) -> None:
    text = f"{JOINED}\n" + "".join(f"{FROM}jeprof.7.{at}.u{at}.heap {at}.0\n{SMALL}" for at in range(450))
    recording = read(tmp_path, text)
    heap = heap_of(recording)
    assert len(heap) == 450
    assert heap.event[-1] == 0
    assert 190 < len(heap.rows_with_stacks()) <= 202
    assert "Of 450 dumps" in recording.warnings[0].text


def test_old_profiles_of_gperftools(tmp_path: Path) -> None:
    text = (
        "heap profile:      5:     1400 [    11:     2000] @ heapprofile\n"
        "     4:      400 [    10:     1000] @ 0x1010 0x2030\n"
        "     1:     1000 [     1:     1000] @ 0x2040\n"
        f"\n{SMALL[SMALL.index('MAPPED') :]}"
    )
    recording = read(tmp_path, text, "engine.0001.heap")
    profile = profile_of(recording)
    assert recording.tool == "gperftools"
    assert profile.total(weight=Weight.PERIOD) == 1400
    assert profile.total() == 5
    assert profile.events[0].exact
    sampled = profile_of(read(tmp_path, text.replace("@ heapprofile", "@ heap_v2/4096")))
    assert sampled.total(weight=Weight.PERIOD) > 1400
    (tmp_path / "growth.heap").write_text(text.replace("@ heapprofile", "@ growthz"))
    with pytest.raises(ParseError, match="of the kind “growthz”"):
        load(tmp_path / "growth.heap", format="jemalloc-heap")


@pytest.mark.parametrize("packed", ["plain", "gz", "crlf"])
def test_known_by_content(packed: str, tmp_path: Path) -> None:
    content = FINAL.read_bytes()
    content = (
        gzip.compress(content) if packed == "gz" else content.replace(b"\n", b"\r\n") if packed == "crlf" else content
    )
    nameless = tmp_path / "unknown"
    nameless.write_bytes(content)
    one, other = load(nameless), load(FINAL)
    assert one.format == "jemalloc-heap"
    assert same(profile_of(one), profile_of(other))


def test_sniff() -> None:
    head = FINAL.read_bytes()
    assert max(FORMATS, key=lambda f: f.sniff(head, "unknown")) is JEMALLOC_HEAP
    for text in (b"", b"heap", b"heap_v1/5\n", b"heap profile of a person", b"  t*: 1: 1 [0: 0]\n"):
        assert JEMALLOC_HEAP.sniff(text, "jeprof.1.2.f.heap") < 0


@pytest.mark.parametrize(
    ("damaged", "sentence"),
    [
        (SMALL.replace("t*: 4: 400", "t*: -4: 400"), "Line 5 of"),
        (SMALL.replace("t*: 4: 400", "t*: 4: 9223372036854775808"), "Line 5 of"),
        (SMALL.replace("0x7f0020", "0x17f002017f0020aaaa"), "Line 4 of"),
        (SMALL.replace("@ 0x1010 0x2040", "@ engine"), "Line 8 of"),
        (SMALL.replace("  t1: 3", "  tea: 3"), "Line 6 of"),
        ("heap_v2/abc\n" + SMALL[13:], "Line 1 of"),
    ],
)
def test_damage_is_one_sentence(damaged: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "one.heap"
    path.write_text(damaged)
    with pytest.raises(ParseError) as error:
        load(path, format="jemalloc-heap")
    assert sentence in error.value.sentence
    assert error.value.advice


def test_a_stack_that_is_deeper_than_any_is_damage(tmp_path: Path) -> None:
    """A million callers in one line would take gigabytes."""
    stack = " ".join(hex(address) for address in range(4096, 4096 + 5000))
    with pytest.raises(ParseError, match=r"Line 3 of .*one\.heap is none that jemalloc writes"):
        read(tmp_path, f"heap_v2/524288\n  t*: 1: 5 [0: 0]\n@ {stack}\n  t*: 1: 5 [0: 0]\n")


def test_figures_beyond_all_bounds(tmp_path: Path) -> None:
    huge = f"t*: 1: {10**17} [{10**17}: {10**17}]"
    text = SMALL.replace("heap_v2/4096", f"heap_v2/{10**17}").replace("t*: 1: 1048576 [1: 1048576]", huge)
    with pytest.raises(ParseError, match="beyond all bounds"):
        read(tmp_path, text)


def test_cut_short_at_every_line(tmp_path: Path) -> None:
    lines = SMALL.splitlines(keepends=True)
    path = tmp_path / "one.heap"
    for length in range(1, len(lines)):
        path.write_text("".join(lines[:length]))
        recording = load(path, format="jemalloc-heap")
        assert len(heap_of(recording)) == 1
        # Of the last lines, which tell what was mapped, nobody knows whether one is missing.
        assert [caution.text for caution in recording.warnings if "cut short" in caution.text] or length == 13
    path.write_text("")
    with pytest.raises(ParseError):
        load(path, format="jemalloc-heap")


def test_what_is_jemalloc() -> None:
    own = "malloc calloc realloc imalloc_body do_rallocx irallocx_prof aligned_alloc _rjem_je_malloc_default prof_dump"
    assert all(_OWN.fullmatch(name) for name in own.split())
    for name in (
        "alloc",
        "allocate",
        "alloc::alloc::alloc",
        "relocate",
        "main",
        "profile",
        "Book::reallocate",
        "calculate",
    ):
        assert not _OWN.fullmatch(name), name


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**12)), min_size=1, max_size=20),
    st.integers(0, 24),
)
@settings(max_examples=100, deadline=None)
def test_an_estimate_is_never_less_than_what_was_seen(seen: list[tuple[int, int]], lg_rate: int) -> None:
    dump = Dump(rate=float(2**lg_rate), figures=[(n, max(size, n), 0, 0) for n, size in seen])
    figures = dump.estimated()
    raw = np.array(dump.figures, np.float64)
    assert np.isfinite(figures).all()
    assert (figures >= raw * (1 - 1e-9)).all()
    large = raw[:, 1] / raw[:, 0] > 40 * 2**lg_rate
    assert np.allclose(figures[large], raw[large])


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_names_and_lines_of_a_program_that_is_here(tmp_path: Path) -> None:
    """A dump made up for a program that is compiled here."""
    source = DATA / "jemalloc" / "jebook.c"
    program = tmp_path / "jebook"
    argv = ["gcc", "-g", "-O1", "-no-pie", "-w", "-o", str(program), str(source)]
    subprocess.run(argv, check=True)
    listing = subprocess.run(["nm", str(program)], check=True, capture_output=True, text=True).stdout
    start = {line.split()[2]: int(line.split()[0], 16) for line in listing.splitlines() if len(line.split()) == 3}
    inode = program.stat().st_ino
    text = (
        f"heap_v2/1\n  t*: 1: 8 [0: 0]\n@ {start['leak'] + 9:#x} {start['main'] + 30:#x}\n  t*: 1: 8 [0: 0]\n\n"
        f"MAPPED_LIBRARIES:\n00400000-00500000 r-xp 00000000 fe:00 {inode}    {program}\n"
    )
    recording = read(tmp_path, text)
    profile = profile_of(recording)
    assert list(stacks(profile)) == ["main;leak"]
    assert any(profile.frames.place_of(frame).startswith(f"{source}:") for frame in range(len(profile.frames)))
    assert recording.warnings == ()
