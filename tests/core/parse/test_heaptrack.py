"""heaptrack files: every figure is heaptrack_print's; temporary ones are counted by the pointer where it is told."""

from __future__ import annotations

import gzip
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stack_counts import DATA, stack_counts
from tailflame.analyse.heap_findings import sites
from tailflame.errors import ParseError, ToolMissing
from tailflame.model import FrameKind, Recording, StackProfile, Weight
from tailflame.model.heap import ALLOCATED, LEAKED, PEAK, TEMPORARY, HeapTimeline, TimeUnit
from tailflame.parse import heaptrack, heaptrack_raw, load
from tailflame.parse.heaptrack import HEAPTRACK
from tailflame.parse.heaptrack_lines import LineReader
from tailflame.parse.heaptrack_stacks import rust_name
from tailflame.parse.symbolize.demangle import Demangler
from tailflame.units import Unit

HERE = DATA / "heaptrack" / "1.4.0"
ALLOC, TRADING = HERE / "alloc.zst", HERE / "trading.zst"
SMALL = b"""v 10400 3
X ./engine --fast
I 1000 1000
s f /opt/lib/eng.so
s 4 main
s 9 parse_one
s 8 src/p.rs
s 6 inner1
i 10 1 2 4 10
i 20 1 5 4 5 3 4 9
t 1 0
t 2 1
a 10 1
+ 0
a 20 2
+ 1
+ 1
- 1
c 5
R 3
- 0
+ 0
c a
R 2
- 1
"""


def heap_of(recording: Recording) -> HeapTimeline:
    assert recording.heap is not None
    return recording.heap


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


def counts(profile: StackProfile, event: int) -> dict[str, float]:
    """Counts of one event by stack."""
    return stack_counts(replace(profile, samples=profile.samples.at(profile.samples.event == event)))


def unpacked(path: Path) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()


def read(content: bytes, folder: Path, name: str = "heaptrack.engine.1") -> Recording:
    path = folder / name
    path.write_bytes(content)
    return load(path, format="heaptrack")


def report_of(name: str) -> str:
    plain = HERE / f"{name}.print.txt"
    return plain.read_text() if plain.exists() else gzip.decompress(Path(f"{plain}.gz").read_bytes()).decode()


# The figures are heaptrack_print's.

_UNITS = {"": 1.0, "B": 1.0, "K": 1e3, "M": 1e6, "G": 1e9}


def figure(text: str, what: str) -> str:
    found = re.search(rf"^{re.escape(what)}: (\S+)", text, re.MULTILINE)
    assert found is not None
    return found[1]


def printed(size: float) -> str:
    """As heaptrack_print writes bytes."""
    unit = next((u for u, f in (("G", 1e9), ("M", 1e6), ("K", 1e3)) if size > f), "B")
    return f"{size:.0f}B" if unit == "B" else f"{size / _UNITS[unit]:.2f}{unit}"


@pytest.mark.parametrize("name", ["alloc", "trading"])
def test_totals_are_those_of_heaptrack_print(name: str) -> None:
    recording = load(HERE / f"{name}.zst")
    facts, text = heap_of(recording).facts, report_of(name)
    assert facts.allocations == int(figure(text, "calls to allocation functions"))
    assert facts.temporary_reported == int(figure(text, "temporary memory allocations"))
    assert facts.peak is not None
    assert printed(facts.peak) == figure(text, "peak heap memory consumption")
    assert facts.peak_rss is not None
    assert printed(facts.peak_rss) == figure(text, "peak RSS (including heaptrack overhead)")
    assert facts.leaked is not None and facts.suppressed is not None
    # heaptrack_print does not understand the file's own suppression: see NOTE.
    assert printed(facts.leaked + facts.suppressed) == figure(text, "total memory leaked")
    assert facts.suppressed == (3000 if name == "alloc" else 0)
    duration = recording.meta.duration_s
    assert duration is not None
    assert f"{duration + 0.001:.2f}s." == figure(text, "total runtime")


@pytest.mark.parametrize("name", ["alloc", "trading"])
def test_sizes_are_those_of_the_histogram(name: str) -> None:
    heap = heap_of(load(HERE / f"{name}.zst"))
    lines = [line.split("\t") for line in (HERE / f"{name}.sizes.txt").read_text().splitlines()]
    calls: Counter[float] = Counter()
    for size, number in lines:
        calls[next(bound for bound in heap.sizes.tolist() if int(size) <= bound)] += int(number)
    assert heap.size_calls.tolist() == [calls[bound] for bound in heap.sizes.tolist()]
    assert heap.facts.allocated == sum(int(size) * int(number) for size, number in lines)


_SECTIONS = {
    "MOST CALLS TO ALLOCATION FUNCTIONS": ("allocations", r"(\d+) calls to allocation functions with \S+ peak .* from"),
    "PEAK MEMORY CONSUMERS": ("peak", r"(\S+) peak memory consumed over \d+ calls from"),
    "MEMORY LEAKS": ("leaked", r"(\S+) leaked over \d+ calls from"),
    "MOST TEMPORARY ALLOCATIONS": ("temporary", r"(\d+) temporary allocations of \d+ allocations in total .* from"),
}


def printed_sites(text: str) -> Iterator[tuple[str, str, str, str]]:
    """(column, figure, function, place) of each top site in the report."""
    column, pattern = "", re.compile("(nothing yet)")
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line in _SECTIONS:
            column, pattern = _SECTIONS[line][0], re.compile(_SECTIONS[line][1])
        elif found := pattern.fullmatch(line):
            place = lines[number + 2].strip()
            yield column, found[1], lines[number + 1], place.removeprefix("at ") if place.startswith("at ") else ""


@pytest.mark.parametrize("name", ["alloc", "trading"])
def test_the_top_sites_are_those_of_heaptrack_print(name: str) -> None:
    recording = load(HERE / f"{name}.zst")
    profile, facts = profile_of(recording), heap_of(recording).facts
    found = sites(profile, through_libraries=False)
    ours: dict[tuple[str, str, str], float] = defaultdict(float)
    for row in range(len(found)):
        key = re.sub(r"<.*>|\(.*\)", "", found.name_of(row)), found.place_of(row)
        for column in ("allocations", "peak", "leaked", "temporary"):
            ours[column, *key] += float(getattr(found, column)[row])
    theirs: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for column, told, function, place in printed_sites(report_of(name)):
        if not function.startswith("0x"):  # a module's addresses are one site here
            readable = Demangler().names([function]).get(function) or rust_name(function)
            theirs[column, re.sub(r"<.*>|\(.*\)", "", readable), place].append(told)
    assert len(theirs) > 12
    assert facts.temporary is not None and facts.temporary_reported is not None
    for key, told_ in theirs.items():
        if key[0] == "leaked" and key[1] == "keep":
            assert told_ == ["8.00K"] and ours[key] == 5000  # 3,000 of them are suppressed
        elif key[0] in ("peak", "leaked"):
            assert printed(ours[key]) in told_ or len(told_) > 1
        elif len(told_) == 1:
            assert ours[key] == int(told_[0]), key


def test_events_add_up_to_the_facts() -> None:
    for path in (ALLOC, TRADING):
        recording = load(path)
        facts, profile = heap_of(recording).facts, profile_of(recording)
        names = [event.name for event in profile.events]
        assert names == [PEAK, ALLOCATED, TEMPORARY, LEAKED]
        assert all(event.exact and event.unit is Unit.BYTES and event.has_period for event in profile.events)
        assert [event.counted_in for event in profile.events] == [
            Unit.BLOCKS, Unit.ALLOCATIONS, Unit.ALLOCATIONS, Unit.BLOCKS,
        ]  # fmt: skip
        counts = [profile.total(event=event) for event in range(4)]
        sums = [profile.total(event=event, weight=Weight.PERIOD) for event in range(4)]
        assert (counts[1], sums[1]) == (facts.allocations, facts.allocated)
        assert sums[0] == facts.peak
        assert counts[2] == facts.temporary
        assert (counts[3], sums[3]) == (facts.leaked_blocks, facts.leaked)


def test_what_alloc_does_is_known() -> None:
    """alloc.cpp says what it allocates; the C++ library of heaptrack adds 72,704 bytes."""
    recording = load(ALLOC)
    facts = heap_of(recording).facts
    assert facts.peak == 72_704 + 50 * 10_000 + 512 + 320
    found = sites(profile_of(recording))
    by_name = {found.name_of(row).partition("(")[0]: row for row in range(len(found))}
    assert found.temporary[by_name["temporary"]] == 1200
    assert found.leaked[by_name["keep"]] == 5000
    assert found.peak_blocks[by_name["peak"]] == 50 + 1  # and the vector that holds them


def test_the_demos_leak_and_its_churn_show_at_their_lines() -> None:
    found = sites(profile_of(load(TRADING)))
    leak, churn = found.by(found.leaked, 1)[0], found.by(found.temporary, 1)[0]
    assert found.name_of(leak) == "trading_system::churn::remember_session"
    assert found.name_of(churn) == "trading_system::churn::rebuild_quotes"
    assert found.place_of(leak).startswith("src/churn.rs:")
    assert found.place_of(churn).startswith("src/churn.rs:")


# Frames and stacks.


def test_stacks_as_text(tmp_path: Path) -> None:
    profile = profile_of(read(SMALL, tmp_path))
    assert counts(profile, 1) == {"main": 2, "main;parse_one;inner1": 2}
    kinds = {profile.frames.name_of(row): profile.frames.kind[row] for row in range(len(profile.frames))}
    assert kinds == {"main": FrameKind.USER, "parse_one": FrameKind.USER, "inner1": FrameKind.INLINED}
    inner = next(row for row in range(len(profile.frames)) if profile.frames.name_of(row) == "inner1")
    assert profile.frames.place_of(inner) == "src/p.rs:5"
    assert profile.frames.module_of(inner) == "/opt/lib/eng.so"


def test_operator_new_is_left_out_and_main_is_the_root(tmp_path: Path) -> None:
    content = (
        b"v 10400 3\nX e\ns 6 _start\ns 4 main\ns 1b operator new(unsigned long)\ns 4 leaf\n"
        b"i 1 0 1 0 0\ni 2 0 2 0 0\ni 3 0 3 0 0\ni 4 0 4 0 0\n"
        b"t 1 0\nt 2 1\nt 4 2\nt 3 3\na 8 4\n+ 0\nc 1\n"
    )
    assert counts(profile_of(read(content, tmp_path)), 1) == {"main;leaf": 1}


def test_a_place_without_a_name_is_its_module(tmp_path: Path) -> None:
    content = b"v 10400 3\nX e\ns 9 /lib/a.so\ni 7f00 1\ni 8f00 0\nt 1 0\nt 2 1\na 8 2\n+ 0\nc 1\n"
    profile = profile_of(read(content, tmp_path))
    assert counts(profile, 1) == {"[a.so];0x8f00": 1}
    assert set(profile.frames.kind.tolist()) == {FrameKind.OTHER}


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("alloc::raw_vec::RawVec$LT$T$C$A$GT$::grow::hda7a829f55f909ad", "alloc::raw_vec::RawVec<T,A>::grow"),
        (
            "_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..fmt..Debug$GT$::fmt::h377244db80f87f1b",
            "<alloc::vec::Vec<T> as core::fmt::Debug>::fmt",
        ),
        ("engine::run::_$u7b$$u7b$closure$u7d$$u7d$::ha60f51b5031ac624", "engine::run::{{closure}}"),
        ("std::vector<int>::push_back(int const&)", "std::vector<int>::push_back(int const&)"),
        ("plain", "plain"),
        ("Outer$Inner", "Outer$Inner"),
        ("a$ud800$b", "a$ud800$b"),
    ],
)
def test_rust_names(name: str, readable: str) -> None:
    assert rust_name(name) == readable


# The timeline.


def test_rows_are_time_stamps_and_the_peak(tmp_path: Path) -> None:
    heap = heap_of(read(SMALL, tmp_path))
    assert heap.time_unit is TimeUnit.SECONDS
    assert heap.time.tolist() == [0.0, 0.005, 0.01, 0.01]
    assert heap.heap.tolist() == [0x10 + 0x40, 0x30, 0x30, 0x10]
    assert heap.allocations.tolist() == [3, 3, 4, 4]
    assert heap.temporary.tolist() == [0, 1, 1, 1]
    assert heap.rss.tolist()[1:3] == [3 * 4096, 2 * 4096]
    assert (heap.peak, heap.peak_marked, heap.event.tolist()) == (0, True, [0, -1, -1, -1])
    assert heap.facts.peak_time == 0
    assert heap.facts.peak_rss == 3 * 4096
    assert (heap.facts.leaked, heap.facts.leaked_blocks) == (0x10, 1)


def test_the_peak_row_has_the_most_and_the_rows_stand_in_order() -> None:
    heap = heap_of(load(TRADING))
    assert (np.diff(heap.time) >= 0).all()
    assert heap.heap[heap.peak] == heap.heap.max() == heap.facts.peak
    assert (np.diff(heap.allocations) >= 0).all()
    assert (np.diff(heap.temporary) >= 0).all()


def test_many_rows_are_thinned_to_the_highest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(heaptrack, "ROWS", 50)
    lines = [SMALL.rpartition(b"c a")[0]]
    for number in range(1000):
        lines.append(b"+ 1\n" * (number == 500) * 30 + b"c %x\n" % (100 + number) + b"- 1\n" * (number == 500) * 30)
    whole = b"".join(lines)
    heap = heap_of(read(whole, tmp_path))
    assert len(heap) <= 50
    assert heap.heap[heap.peak] == heap.facts.peak == heap.heap.max()
    assert heap.time[-1] == (100 + 999) / 1000
    assert (np.diff(heap.time) >= 0).all()


def test_very_many_time_stamps_are_thinned_while_they_come(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tailflame.parse.heaptrack_counts.STAMPS", 100)
    monkeypatch.setattr("tailflame.parse.heaptrack_lines.BLOCK", 1000)
    lines = [b"+ 1\n" * (n == 700) * 30 + b"c %x\n" % (100 + n) + b"- 1\n" * (n == 700) * 30 for n in range(2000)]
    heap = heap_of(read(SMALL + b"".join(lines), tmp_path))
    assert len(heap) < 300
    assert heap.time[heap.peak] == (100 + 699) / 1000
    assert heap.heap[heap.peak] == heap.heap.max() == heap.facts.peak
    assert (np.diff(heap.time) >= 0).all()
    assert (heap.time[0], heap.time[-1]) == (0.005, (100 + 1999) / 1000)


# Temporary allocations.


def test_temporary_by_place_and_size_says_so() -> None:
    recording = load(ALLOC)
    facts = heap_of(recording).facts
    assert (facts.temporary, facts.temporary_reported) == (1701, 1702)
    (caution,) = recording.warnings
    assert caution.text.startswith("Temporary allocations are counted by place and size, 1,701 of them")
    assert "heaptrack_print says 1,702" in caution.text


@pytest.mark.tool("heaptrack")
def test_the_raw_file_tells_the_true_number() -> None:
    recording = load(HERE / "alloc.raw.zst")
    facts = heap_of(recording).facts
    assert (facts.temporary, facts.temporary_reported) == (1201, 1702)
    assert facts.allocations == 1764
    assert recording.warnings == ()
    assert heap_of(recording).temporary[-1] == 1201
    assert profile_of(recording).total(event=2) == 1201
    assert profile_of(recording).total(event=2, weight=Weight.PERIOD) == 1200 * 100 + 77


def test_a_raw_file_where_heaptrack_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heaptrack_raw, "interpreter", lambda: None)
    with pytest.raises(ToolMissing, match="heaptrack_interpret") as told:
        load(HERE / "alloc.raw.zst")
    assert "apt install heaptrack" in told.value.advice


# Versions and containers.


def version_2(content: bytes) -> bytes:
    """Strings have no length there."""
    content = re.sub(rb"^s [0-9a-f]+ ", b"s ", content, flags=re.MULTILINE)
    return re.sub(rb"^S [0-9a-f]+ ", b"S ", content, flags=re.MULTILINE).replace(b"v 10400 3\n", b"v 10100 2\n", 1)


def version_1(content: bytes) -> bytes:
    return version_2(content).replace(b"v 10100 2\n", b"v 10200\n", 1)


def version_0(content: bytes) -> bytes:
    """Each allocation with its pointer: the block that was allocated last of those alike is freed first."""
    infos: list[bytes] = []
    used: dict[int, list[int]] = defaultdict(list)
    lines, pointer = [], 0x1000
    for line in version_2(content).replace(b"v 10100 2\n", b"v 10000\n", 1).split(b"\n"):
        if line.startswith(b"a "):
            infos.append(line[2:])
        elif line.startswith(b"+ "):
            pointer += 16
            used[int(line[2:], 16)].append(pointer)
            lines.append(b"+ %b %x" % (infos[int(line[2:], 16)], pointer))
        elif line.startswith(b"- "):
            lines.append(b"- %x" % used[int(line[2:], 16)].pop())
        else:
            lines.append(line)
    return b"\n".join(lines)


@pytest.mark.parametrize("old", [version_2, version_1, version_0])
def test_older_formats_say_the_same(old: Callable[[bytes], bytes], tmp_path: Path) -> None:
    new, recording = load(ALLOC), read(old(unpacked(ALLOC)), tmp_path)
    facts = heap_of(new).facts
    if old is version_0:  # it tells pointers, and heaptrack_print counts by them
        facts = replace(facts, temporary_reported=facts.temporary)
        assert recording.warnings == ()
    assert heap_of(recording).facts == facts
    for event in range(4):
        assert counts(profile_of(recording), event) == counts(profile_of(new), event)


@pytest.mark.tool("heaptrack_print")
@pytest.mark.parametrize("old", [version_2, version_1, version_0])
def test_older_formats_are_those_that_heaptrack_print_reads(old: Callable[[bytes], bytes], tmp_path: Path) -> None:
    recording = read(old(unpacked(ALLOC)), tmp_path)
    argv = ["heaptrack_print", "-f", str(tmp_path / "heaptrack.engine.1")]
    text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    facts = heap_of(recording).facts
    assert facts.allocations == int(figure(text, "calls to allocation functions"))
    assert facts.temporary_reported == int(figure(text, "temporary memory allocations"))
    assert facts.peak is not None and facts.leaked is not None
    assert printed(facts.peak) == figure(text, "peak heap memory consumption")
    assert printed(facts.leaked) == figure(text, "total memory leaked")


def test_plain_gzip_and_windows_line_ends_say_the_same(tmp_path: Path) -> None:
    content = unpacked(ALLOC)
    expected = heap_of(load(ALLOC)).facts
    for packed in (content, gzip.compress(content), content.replace(b"\n", b"\r\n")):
        assert heap_of(read(packed, tmp_path)).facts == expected


def test_a_newer_format_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match=r"version 4 of heaptrack's format, written by heaptrack 1\.9\.0"):
        read(b"v 10900 4\nX e\nc 1\n", tmp_path)


def test_reading_it_again_as_unknown_gives_the_same(tmp_path: Path) -> None:
    path = tmp_path / "unknown"
    path.write_bytes(ALLOC.read_bytes())
    recording = load(path)
    assert recording.format == "heaptrack"
    assert heap_of(recording).facts == heap_of(load(ALLOC)).facts


@pytest.mark.parametrize(
    "head",
    [
        b"main;parse;read 42\n",
        b"v 1.2\nhello\n",
        b"desc: (none)\ncmd: ./a\ntime_unit: i\n",
        b"v 10400 3\nrandom words\n",
        b"X marks the spot\n",
        b"",
    ],
)
def test_other_files_are_not_taken(head: bytes) -> None:
    assert HEAPTRACK.sniff(head, "heaptrack.engine.1.gz") < 0


def test_a_raw_file_and_old_files_are_taken() -> None:
    for content in (unpacked(HERE / "alloc.raw.zst"), version_2(unpacked(ALLOC)), version_0(unpacked(ALLOC))):
        assert HEAPTRACK.sniff(content[:65536], "x") > 0.8


# Cut short and damaged.


@pytest.mark.parametrize("share", [0.6, 0.8, 0.95])
@pytest.mark.parametrize("pack", ["zstd", "gzip", "plain"])
def test_a_file_that_is_cut_short_is_shown_as_far_as_it_goes(pack: str, share: float, tmp_path: Path) -> None:
    content = unpacked(TRADING)[:2_000_000]
    if pack == "zstd":
        packer = zstandard.ZstdCompressor().compressobj()
        pieces = [content[at : at + 50_000] for at in range(0, len(content), 50_000)]
        flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        content = b"".join(part for piece in pieces for part in (packer.compress(piece), packer.flush(flush)))
    elif pack == "gzip":
        content = gzip.compress(content, 1)
    content = content[: int(len(content) * share)]
    content += b"+ 5" if pack == "plain" and content.endswith(b"\n") else b""
    recording = read(content, tmp_path)
    assert heap_of(recording).facts.allocations
    assert any("ends in the middle" in caution.text for caution in recording.warnings)


def test_small_and_cut_short_in_its_container(tmp_path: Path) -> None:
    """The very beginning can be cut, too: then there is nothing to see but a sentence."""
    whole = gzip.compress(SMALL * 3)
    for length in range(1, len(whole)):
        try:
            recording = read(whole[:length], tmp_path)
        except ParseError as error:
            assert error.sentence.endswith(".")
        else:
            assert recording.warnings


def test_truncated_at_every_line(tmp_path: Path) -> None:
    lines = SMALL.splitlines(keepends=True)
    for number in range(1, len(lines)):
        content = b"".join(lines[:number])
        try:
            recording = read(content, tmp_path)
        except ParseError as error:
            assert "holds no allocations" in error.sentence
            assert b"\n+ " not in content and b"\nc " not in content
        else:
            assert heap_of(recording).facts.allocations == content.count(b"\n+ ")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"+ 7", "+ 7"),
        (b"- 7", "- 7"),
        (b"+ -1", "+ ffff"),
        (b"+ 123456789abcdef0", "+"),
        (b"+ ", "+"),
        (b"- xyz", "-"),
        (b"t 9 1", "t 9 1"),
        (b"t 1 9", "t 1 9"),
        (b"t zz", "t zz"),
        (b"a 10", "a 10"),
        (b"a -10 1", "a -10 1"),
        (b"a ffffffffffffffffff 1", "a ffff"),
        (b"a 10 99", "a 10 99"),
        (b"i zz", "i zz"),
        (b"c zz", "c zz"),
        (b"R -1", "R -1"),
        (b"? what", "? what"),
        (b"s 99 short", "s 99 short"),
    ],
)
def test_damaged_lines_are_left_out_and_counted(line: bytes, what: str, tmp_path: Path) -> None:
    content = SMALL.replace(b"c 5\n", line + b"\nc 5\n")
    recording = read(content, tmp_path)
    facts, plain = heap_of(recording).facts, heap_of(read(SMALL, tmp_path)).facts
    assert facts == plain
    assert any("1 line is damaged" in caution.text for caution in recording.warnings)


def test_an_info_is_known_from_its_line_on(tmp_path: Path) -> None:
    content = SMALL.replace(b"a 20 2\n+ 1\n", b"+ 1\na 20 2\n")
    recording = read(content, tmp_path)
    assert heap_of(recording).facts.allocations == 3
    assert any("“+ 1”" in caution.text for caution in recording.warnings)


def test_time_that_goes_back_is_left_out(tmp_path: Path) -> None:
    recording = read(SMALL + b"c 3\nc 20\n", tmp_path)
    assert heap_of(recording).time[-1] == 0.032
    assert any("1 time stamp goes back" in caution.text for caution in recording.warnings)


def test_attaching_begins_anew(tmp_path: Path) -> None:
    recording = read(SMALL.replace(b"c 5\n", b"A\nc 5\n"), tmp_path)
    heap = heap_of(recording)
    assert heap.facts.allocations == 1
    assert any("from a running program" in caution.text for caution in recording.warnings)
    assert (np.diff(heap.time) >= 0).all()


def test_sizes_beyond_all_memory(tmp_path: Path) -> None:
    content = SMALL.replace(b"a 10 1\n", b"a 7fffffffffff 1\n").replace(b"c 5\n", b"+ 0\n" * 60_000 + b"c 5\n")
    with pytest.raises(ParseError, match="sizes that no memory has room for"):
        read(content, tmp_path)


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailflame.parse.source.BOMB_SIZE", 1 << 20)
    with pytest.raises(ParseError, match="reading it was stopped"):
        read(gzip.compress(SMALL + b"+ 0\n" * 3_000_000), tmp_path)


def test_empty_lines_are_passed_over(tmp_path: Path) -> None:
    lines = LineReader().read(b"\n\nc 1\n+ 0\n\n- 0\n\n\nc 2\n\na 10 1\n\n")
    assert lines.others == [b"c 1", b"c 2"], "not one step in Python for each of millions"
    assert lines.at.tolist() == [0, 2]
    assert lines.info.tolist() == [0, 0]
    assert lines.pairs is not None
    assert lines.pairs.at.tolist() == [2]
    apart = read(SMALL.replace(b"\n", b"\n\n\n"), tmp_path)
    whole = read(SMALL, tmp_path)
    assert not any("damaged" in caution.text for caution in apart.warnings)
    assert heap_of(apart).facts == heap_of(whole).facts


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailflame.parse.heaptrack_lines.LINE_LIMIT", 1 << 20)
    with pytest.raises(ParseError, match="a line without end"):
        read(SMALL + b"s 5 " + b"x" * (3 << 20), tmp_path)


# Whatever allocations there are, the columns add up as one by one.

_EVENTS = st.lists(st.tuples(st.sampled_from("+-c"), st.integers(0, 4)), max_size=60)


@settings(max_examples=60, deadline=None)
@given(events=_EVENTS, sizes=st.lists(st.integers(0, 2**40), min_size=5, max_size=5), block=st.integers(3, 90))
def test_columns_say_what_counting_one_by_one_says(
    events: list[tuple[str, int]],
    sizes: list[int],
    block: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    lines = ["v 10400 3", "X e", "s 1 f", "i 1 0 1 0 0", "t 1 0", *(f"a {size:x} 1" for size in sizes)]
    used: Counter[int] = Counter()
    heap = peak = calls = temporary = reported = time = 0
    last: int | None = None
    last_reported = 0
    for kind, info in events:
        if kind == "c":
            time += info
            lines.append(f"c {time:x}")
        elif kind == "+":
            used[info] += 1
            heap, calls, last, last_reported = heap + sizes[info], calls + 1, info, info
            peak = max(peak, heap)
            lines.append(f"+ {info:x}")
        elif used[info]:
            used[info] -= 1
            heap -= sizes[info]
            temporary += last == info
            reported += last_reported == info
            last, last_reported = None, 0
            lines.append(f"- {info:x}")
    path = tmp_path_factory.mktemp("heap") / "h"
    path.write_text("\n".join(lines) + "\nc fff\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tailflame.parse.heaptrack_lines.BLOCK", block)
        facts = heap_of(load(path, format="heaptrack")).facts
    assert (facts.allocations, facts.temporary, facts.temporary_reported) == (calls, temporary, reported)
    assert (facts.peak, facts.leaked) == (peak, heap)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(SMALL.splitlines()) | st.binary(max_size=12), max_size=40))
def test_any_lines_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("heap") / "h"
    path.write_bytes(b"v 10400 3\n" + b"\n".join(lines))
    try:
        recording = load(path, format="heaptrack")
    except ParseError as error:
        assert error.sentence.endswith(".")
    else:
        assert (np.diff(heap_of(recording).time) >= 0).all()
