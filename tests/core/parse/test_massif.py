"""massif.out: every figure of ms_print's report, the trees turned over, and files that are not whole."""

from __future__ import annotations

import bz2
import gzip
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.recordings import same
from helpers.stack_counts import DATA
from tailflame import units
from tailflame.analyse import reading
from tailflame.errors import ParseError
from tailflame.model import FrameKind, Recording, StackProfile, Weight
from tailflame.model.heap import Counted, HeapTimeline, TimeUnit
from tailflame.parse import load
from tailflame.parse.formats import FORMATS
from tailflame.parse.massif import MASSIF
from tailflame.parse.massif_desc import counted
from tailflame.parse.massif_lines import Details, cut_block
from tailflame.parse.massif_trees import BELOW
from tailflame.parse.token_table import PAD
from tailflame.units import Unit

VALGRIND = DATA / "massif" / "3.19.0"
HEAPTRACK = DATA / "massif" / "heaptrack-1.4.0"
SAMPLES = ("instructions.out", "ms-stacks.out", "bytes.out", "pages.out", "asked.out", "trading.out.gz")

_ROW = re.compile(r" *(\d+) +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+)")
_ROOT = re.compile(r"[\d.]+% \(([\d,]+)B\) \((?:heap allocation functions|page allocation syscalls)\) .*")

TREE = """\
n2: 1000 (heap allocation functions) malloc/new/new[], --alloc-fns, etc.
 n1: 900 0x10: grow (book.cc:7)
  n2: 900 0x10: Book<int (*)(long)>::add (book.cc:9)
   n0: 700 0x20: main (main.cc:3)
   n0: 200 in 2 places, all below massif's threshold (1.00%)
 n0: 100 0x30: ??? (in /lib/libodd (old).so)
"""


def heap_of(recording: Recording) -> HeapTimeline:
    assert recording.heap is not None
    return recording.heap


def profile_of(recording: Recording) -> StackProfile:
    assert recording.profile is not None
    return recording.profile


def snapshot(number: int, tree: str = "", *, kind: str = "", time: object = None, heap: int | None = None) -> str:
    kind = kind or ("detailed" if tree else "empty")
    rule = "#-----------\n"
    figures = f"mem_heap_B={1000 if heap is None else heap}\nmem_heap_extra_B=24\nmem_stacks_B=0\n"
    when = number * 10 if time is None else time
    return f"{rule}snapshot={number}\n{rule}time={when}\n{figures}heap_tree={kind}\n{tree}"


HEADER = "desc: (none)\ncmd: ./engine --orders 5\ntime_unit: i\n"
WHOLE = HEADER + snapshot(0, heap=0) + snapshot(1, TREE, kind="peak") + snapshot(2)


def read(tmp_path: Path, text: str | bytes, name: str = "massif.out") -> Recording:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path)


def stacks(profile: StackProfile, event: int = 0) -> dict[str, float]:
    """ "main;add;grow" and its bytes; kinds of frames as folded files mark them."""
    marks = {FrameKind.INLINED: "_[i]", FrameKind.OTHER: "_[o]"}
    found: dict[str, float] = {}
    for row in np.flatnonzero(profile.samples.event == event).tolist():
        frames = [int(profile.stacks.frame[at]) for at in profile.stacks.path(int(profile.samples.stack[row]))]
        names = [profile.frames.name_of(f) + marks.get(FrameKind(profile.frames.kind[f]), "") for f in frames]
        found[";".join(names)] = found.get(";".join(names), 0) + float(profile.samples.period[row])
    return found


def figure(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_figure_is_that_of_ms_print(name: str) -> None:
    recording = load(VALGRIND / name)
    heap = heap_of(recording)
    assert recording.warnings == ()
    bare = name.removesuffix(".gz").removesuffix(".out")
    report = VALGRIND / f"{bare}.ms_print"
    text = report.read_text() if report.exists() else gzip.decompress(Path(f"{report}.gz").read_bytes()).decode()
    rows = [[figure(cell) for cell in found.groups()] for line in text.splitlines() if (found := _ROW.fullmatch(line))]
    scale = 1000 if heap.time_unit is TimeUnit.SECONDS else 1
    assert rows == [
        [int(n), round(t * scale), int(total), int(h), int(e), int(s)]
        for n, t, total, h, e, s in zip(
            heap.number, heap.time, heap.total, heap.heap, heap.extra, np.nan_to_num(heap.stacks), strict=True
        )
    ]
    detailed = re.search(r"Detailed snapshots: \[(.*)\]", text)
    numbers = [part.split() for part in (detailed[1].split(", ") if detailed else [])]
    empty = [int(heap.number[row]) for row in range(len(heap)) if heap.event[row] < 0]
    assert [int(n[0]) for n in numbers if int(n[0]) not in empty] == heap.number[heap.rows_with_stacks()].tolist()
    marked = [int(n[0]) for n in numbers if "(peak)" in n]
    assert heap.peak_marked == bool(marked)
    assert not marked or marked == [heap.number[heap.peak]]
    roots = [figure(found[1]) for line in text.splitlines() if (found := _ROOT.fullmatch(line))]
    profile = profile_of(recording)
    totals = [profile.total(event=int(heap.event[row]), weight=Weight.PERIOD) for row in heap.rows_with_stacks()]
    assert totals == [root for root in roots if root]
    # A tree adds up to the heap, and to nothing of what stands beside it.
    assert totals == heap.heap[heap.rows_with_stacks()].tolist()


@pytest.mark.parametrize("name", SAMPLES)
def test_events_are_exact_bytes_and_the_peak_is_first(name: str) -> None:
    recording = load(VALGRIND / name)
    heap, profile = heap_of(recording), profile_of(recording)
    assert all(e.exact and e.has_period and e.unit is Unit.BYTES for e in profile.events)
    assert not profile.samples.count.any()
    if heap.peak_marked:
        assert heap.event[heap.peak] == 0
        assert profile.events[0].name == f"Snapshot {heap.number[heap.peak]}, peak"
        assert heap.facts.peak == heap.heap[heap.peak]
    rest = [int(event) for event in heap.event if event > 0]
    assert rest == sorted(rest)


def test_what_is_known_of_the_run() -> None:
    instructions, ms, pages = (load(VALGRIND / f"{name}.out") for name in ("instructions", "ms-stacks", "pages"))
    assert instructions.meta.command == ("./engine", "5000")
    assert instructions.meta.tool_argv[:2] == ("valgrind", "--tool=massif")
    assert heap_of(instructions).time_unit is TimeUnit.INSTRUCTIONS
    assert np.isnan(heap_of(instructions).stacks).all()
    assert heap_of(ms).time_unit is TimeUnit.SECONDS
    assert heap_of(ms).stacks.max() > 0
    assert ms.meta.duration_s == heap_of(ms).time[-1] > 0
    assert "mmap" in "".join(stacks(profile_of(pages)))


def peak_of(name: str) -> list[int]:
    """ms_print's row of the peak: number, time, total, useful, extra, stacks."""
    text = (VALGRIND / f"{name}.ms_print").read_text()
    rows = [[figure(cell) for cell in found.groups()] for line in text.splitlines() if (found := _ROW.fullmatch(line))]
    marked = re.search(r"(\d+) \(peak\)", text)
    return next(row for row in rows if row[0] == int(marked[1])) if marked else max(rows, key=lambda row: row[2])


@pytest.mark.parametrize("name", ["ms-stacks", "instructions", "pages", "no-heap"])
def test_the_peak_is_all_three_figures_of_ms_print(name: str) -> None:
    heap = heap_of(load(VALGRIND / f"{name}.out"))
    _number, _time, total, useful, extra, stacks = peak_of(name)
    facts = heap.facts
    known = {"ms-stacks": (useful, extra, stacks), "instructions": (useful, extra, None),
             "pages": (useful, None, None), "no-heap": (None, None, stacks)}[name]  # fmt: skip
    assert (facts.peak, facts.peak_extra, facts.peak_stacks) == known
    assert sum(figure for figure in known if figure is not None) == total == heap.total[heap.peak]


def test_what_is_counted_is_told_by_the_options() -> None:
    pages, stacks = load(VALGRIND / "pages.out"), load(VALGRIND / "no-heap.out")
    assert heap_of(pages).counted is Counted.PAGES and heap_of(stacks).counted is Counted.STACKS
    assert heap_of(load(VALGRIND / "bytes.out")).counted is Counted.BLOCKS
    assert heap_of(stacks).stacks.max() == 7512
    assert np.isnan(heap_of(stacks).heap).all() and np.isnan(heap_of(stacks).extra).all()
    assert [caution.text for caution in stacks.warnings] == [
        "The heap was not counted (--heap=no): these are the stacks of the threads alone."
    ]
    facts = dict(reading.facts(stacks))
    assert facts["Peak of stacks"] == "7.5 kB" and "Peak heap" not in facts
    assert dict(reading.facts(pages))["Peak of mapped pages"] == units.size(peak_of("pages")[3])
    told = dict(reading.facts(load(VALGRIND / "ms-stacks.out")))
    assert (told["Peak heap"], told["Allocator adds"]) == ("405 kB", "4.9 kB at the peak")
    assert told["Stacks"] == "480 B at the peak"


@pytest.mark.parametrize(
    ("desc", "kind"),
    [
        ("--heap=no --stacks=yes", Counted.STACKS),
        ("--heap=no --heap=yes", Counted.BLOCKS),
        ("--pages-as-heap=no", Counted.BLOCKS),
        ("--massif-out-file=--heap=no", Counted.BLOCKS),
        ("(none)", Counted.BLOCKS),
    ],
)
def test_the_last_of_an_option_holds(desc: str, kind: Counted) -> None:
    assert counted(desc) is kind


def test_the_files_of_other_programs_of_the_run_are_named(tmp_path: Path) -> None:
    shutil.copytree(VALGRIND / "children", tmp_path, dirs_exist_ok=True)
    (shell, first, second) = sorted(tmp_path.iterdir())
    (told,) = load(shell).warnings
    assert told.text == (
        "Each program of the run has a file of its own. 2 more files stand beside this one, by the same options:"
        f" {first.name} (./engine 100), {second.name} (./engine 200)."
    )
    second.unlink()
    (tmp_path / "massif.out.7").write_text(WHOLE)  # by other options
    (tmp_path / "massif.out.8").mkdir()
    assert "1 more file stands beside this one" in load(first).warnings[0].text
    shell.unlink()
    assert load(first).warnings == ()
    alone = tmp_path / "elsewhere"
    first.rename(alone)
    assert load(alone).warnings == ()


def test_the_leak_stands_at_its_line() -> None:
    profile = profile_of(load(VALGRIND / "trading.out.gz"))
    places = {
        profile.frames.place_of(f): f for f in range(len(profile.frames)) if "remember" in profile.frames.name_of(f)
    }
    assert list(places) == ["/home/user/trading-system/src/churn.rs:52"]
    stack = next(text for text in stacks(profile) if "remember" in text)
    assert stack.startswith("clone;start_thread;")
    assert ";trading_system::churn::remember_session;" in stack


def test_stacks_are_turned_over_and_inlined_functions_known(tmp_path: Path) -> None:
    recording = read(tmp_path, WHOLE)
    assert stacks(profile_of(recording)) == {
        "main;Book<int (*)(long)>::add;grow_[i]": 700,
        f"{BELOW}_[o];Book<int (*)(long)>::add;grow_[i]": 200,
        "[unknown]_[o]": 100,
    }
    frames = profile_of(recording).frames
    assert "/lib/libodd (old).so" in frames.strings
    assert "book.cc:7" in [frames.place_of(f) for f in range(len(frames))]


def test_a_function_that_calls_itself_from_one_place_is_not_inlined(tmp_path: Path) -> None:
    tree = "n1: 8 (heap allocation functions) malloc/new, etc.\n n1: 8 0x10: fold (a.c:1)\n  n1: 8 0x10: fold (a.c:1)\n"
    tree += "   n0: 8 0x20: main (a.c:9)\n"
    recording = read(tmp_path, HEADER + snapshot(0, tree, heap=8))
    assert stacks(profile_of(recording)) == {"main;fold;fold": 8}


def test_bytes_that_no_caller_accounts_for_are_shown(tmp_path: Path) -> None:
    tree = "n1: 50 (heap allocation functions) malloc/new, etc.\n n1: 40 0x10: f (a.c:1)\n  n0: 30 0x20: main (a.c:9)\n"
    recording = read(tmp_path, HEADER + snapshot(0, tree, heap=50))
    assert stacks(profile_of(recording)) == {"main;f": 30, "f": 10, f"{BELOW}_[o]": 10}


def test_without_a_peak_the_largest_tree_is_first(tmp_path: Path) -> None:
    small = "n0: 5 (heap allocation functions) malloc/new, etc.\n"
    recording = read(tmp_path, HEADER + snapshot(0, small, heap=5) + snapshot(1, TREE) + snapshot(2, small, heap=5))
    heap = heap_of(recording)
    assert (heap.peak, heap.peak_marked, heap.event.tolist()) == (1, False, [1, 0, 2])
    assert [event.name for event in profile_of(recording).events] == ["Snapshot 1", "Snapshot 0", "Snapshot 2"]


def test_a_tree_without_bytes_is_not_offered(tmp_path: Path) -> None:
    recording = read(tmp_path, HEADER + snapshot(0, "n0: 0 (heap allocation functions) malloc/new, etc.\n", heap=0))
    assert recording.profile is None
    assert heap_of(recording).event.tolist() == [-1]
    assert recording.warnings[0].text.startswith("No memory was allocated as far as massif saw")


@pytest.mark.parametrize("threshold", [0, 1])
def test_what_heaptrack_writes(threshold: int) -> None:
    recording = load(HEAPTRACK / f"threshold-{threshold}.out")
    heap = heap_of(recording)
    assert (recording.tool, recording.format) == ("heaptrack", "massif")
    assert recording.meta.command == ("./engine", "300000")
    assert heap.time_unit is TimeUnit.SECONDS
    assert round(heap.facts.peak or 0, -4) == 19_240_000  # of the rows it writes; its report says 19.30M
    assert heap.heap[-1] == 15_000_000  # "total memory leaked: 15.00M"
    (caution,) = recording.warnings
    assert "heaptrack_print has written the call trees of these snapshots in part" in caution.text
    assert profile_of(recording).total(event=int(heap.event[-1]), weight=Weight.PERIOD) == 15_000_000


def test_heaptrack_without_any_header(tmp_path: Path) -> None:
    text = (HEAPTRACK / "threshold-1.out").read_text()
    recording = read(tmp_path, text[: text.index("desc:")], "unknown")
    assert (recording.tool, recording.meta.command) == ("heaptrack", ())
    assert heap_of(recording).time_unit is TimeUnit.SECONDS


@pytest.mark.parametrize("packed", ["crlf", "gz", "bz2"])
def test_line_ends_and_compression(packed: str, tmp_path: Path) -> None:
    plain = (VALGRIND / "bytes.out").read_bytes()
    content = {
        "crlf": plain.replace(b"\n", b"\r\n"),
        "gz": gzip.compress(plain),
        "bz2": bz2.compress(plain),
    }[packed]
    recording = read(tmp_path, content, "unknown")
    expected = load(VALGRIND / "bytes.out")
    assert recording.format == "massif"
    assert all(same(a, b) for a, b in zip(recording.results, expected.results, strict=True))


def test_no_other_format_is_surer_and_none_of_theirs_is_taken() -> None:
    for name in SAMPLES:
        content = (VALGRIND / name).read_bytes()
        head = gzip.decompress(content) if name.endswith(".gz") else content
        assert max(FORMATS, key=lambda f: f.sniff(head[:65536], "unknown")) is MASSIF
    for text in (
        b"desc: I1 cache: 32768 B\ncmd: ./engine\nevents: Ir\nfl=a.c\n",
        b"snapshot=1\n",
        b"#---\nsnapshot\n",
        b"",
    ):
        assert MASSIF.sniff(text, "massif.out.1") < 0


def test_numbers_beyond_four_gigabytes(tmp_path: Path) -> None:
    tree = "n1: 900719925474099 (heap allocation functions) malloc/new, etc.\n n0: 900719925474099 0x1: main (a.c:1)\n"
    recording = read(tmp_path, HEADER + snapshot(0, tree, heap=900719925474099))
    assert heap_of(recording).heap.tolist() == [900719925474099]
    assert stacks(profile_of(recording)) == {"main": 900719925474099}


@pytest.mark.parametrize(
    ("damaged", "sentence"),
    [
        (WHOLE.replace("time=10", "time=-10"), "Line 15 of"),
        (WHOLE.replace("mem_heap_B=0", "mem_heap_B=9223372036854775808"), "Line 8 of"),
        (WHOLE.replace("time=0\n", ""), "Line 5 of"),
        (WHOLE.replace("   n0: 700", "    n0: 700"), "Line 23 of"),
        (WHOLE.replace("   n0: 700", "   n0: -700"), "Line 23 of"),
        (WHOLE.replace("   n0: 700", "   n0: 9223372036854775808"), "Line 23 of"),
        (WHOLE.replace(" n0: 100", "n0: 100"), "Line 25 of"),
        (WHOLE.replace("heap_tree=peak", "heap_tree=empty"), "Line 19 of"),
        (WHOLE.replace("heap_tree=peak", "heap_tree=most"), "Line 19 of"),
        (HEADER + TREE + snapshot(0), "Line 11 of"),
        (HEADER, "holds no whole snapshot of massif"),
        (HEADER + snapshot(0).replace("heap_tree=empty\n", ""), "holds no whole snapshot of massif"),
        (WHOLE + "other words\n" + snapshot(3), "is none that massif writes"),
    ],
)  # fmt: skip
def test_damage_is_one_sentence(damaged: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "massif.out"
    path.write_text(damaged)
    with pytest.raises(ParseError) as error:
        load(path, format="massif")
    assert sentence in error.value.sentence
    assert error.value.advice


def test_trees_that_do_not_add_up_are_named(tmp_path: Path) -> None:
    one = read(tmp_path, WHOLE.replace("n2: 900", "n3: 900"))
    assert one.warnings[0].text == ("The call tree of snapshot 1 does not add up: the file was changed or damaged.")
    more = read(tmp_path, WHOLE.replace("   n0: 700", "   n0: 7000"))
    assert "does not add up" in more.warnings[0].text
    total = read(tmp_path, HEADER + snapshot(0, TREE, heap=7) + snapshot(1, TREE, heap=8))
    assert total.warnings[0].text.startswith("The call trees of 2 snapshots (the first: 0) do not add up")


@pytest.mark.parametrize("ends", ["\n", ""])
def test_cut_short_at_every_line(ends: str, tmp_path: Path) -> None:
    # Each line and how many snapshots are whole with it; after the lines of `edges` nothing is missing.
    lines = WHOLE.splitlines()
    edges = {11: 1, 25: 2, 33: 3}
    for length in range(len(lines) + 1):
        path = tmp_path / "massif.out"
        path.write_text("\n".join(lines[:length]) + ends)
        if length < 11:
            with pytest.raises(ParseError):
                load(path, format="massif")
            continue
        recording = load(path, format="massif")
        assert len(heap_of(recording)) == 1 + (length >= 19) + (length >= 33)
        assert (recording.profile is not None) == (length >= 25)
        # The lines between two snapshots tell nothing by themselves.
        said = [
            caution.text for caution in recording.warnings if caution.text.startswith("The file ends within snapshot")
        ]
        assert len(said) == (not (length in edges or length - 1 in edges))


def test_cut_short_at_every_byte_of_a_tree(tmp_path: Path) -> None:
    text = HEADER + snapshot(0) + snapshot(1, TREE)
    begin = text.index("n2: 1000")
    for length in range(begin, len(text) - 1):
        if text[:length].endswith("???"):
            continue  # massif writes no more than that where it does not know the object
        recording = read(tmp_path, text[:length])
        assert recording.warnings[0].text == "The file ends within snapshot 1: what stands before is shown.", length
        assert recording.profile is None
    assert read(tmp_path, text[:-1]).warnings == ()


def test_times_that_go_back_are_put_in_order(tmp_path: Path) -> None:
    heap = heap_of(read(tmp_path, HEADER + snapshot(0, time=9) + snapshot(1, TREE, time=3, heap=1000)))
    assert (heap.time.tolist(), heap.number.tolist(), heap.event.tolist()) == ([3, 9], [1, 0], [0, -1])


def test_a_command_of_several_lines(tmp_path: Path) -> None:
    recording = read(tmp_path, WHOLE.replace("--orders 5", "-c 'a\nb=c\n  n1: odd'"))
    assert recording.warnings == ()
    assert recording.meta.command[0] == "./engine"


def test_details_that_differ_in_few_letters_are_told_apart() -> None:
    chance = random.Random(3)
    texts = set()
    for _ in range(5_000):
        words = (f"aaaaaaa{chance.choice('abcdefghijklmnop')}" for _ in range(chance.choice((1, 2, 3, 4, 5, 9, 130))))
        texts.add("".join(words) + "x" * chance.randrange(9))
    lines = cut_block(PAD + "".join(f"n0: 1 {text}\n" for text in sorted(texts)).encode() + PAD)
    details = Details()
    numbers = details.numbers(lines)
    assert [details.names[number] for number in numbers.tolist()] == sorted(texts)
    assert details.numbers(lines).tolist() == numbers.tolist()


def test_numbers_of_any_length() -> None:
    sizes = [int("1234567890123456"[:digits]) for digits in range(1, 16)]
    lines = cut_block(PAD + "".join(f"{' ' * at}n{at}: {n} f\n" for at, n in enumerate(sizes)).encode() + PAD)
    assert lines.size.tolist() == sizes
    assert lines.depth.tolist() == lines.children.tolist() == list(range(15))
    odd = b"n1: 1234567890123456 f\nn: 5 f\nn1 5 f\nn1:  5 f\nn1: 5\nn123456789: 5 f\n n1: x f\n"
    assert cut_block(PAD + odd + PAD).others.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_empty_lines_and_comments_are_passed_over_and_counted(tmp_path: Path) -> None:
    lines = cut_block(PAD + b"\n\ncmd: a\n#---\n n0: 5 f\n\n\nx\n" + PAD)
    assert lines.lines == 8
    assert list(lines.other_texts()) == [(2, "cmd: a"), (7, "x")], "not one step in Python for each of millions"
    assert lines.line.tolist() == [4]
    assert lines.depth.tolist() == [1]
    gap = "\n" * 2_000_000
    broken = WHOLE.replace("snapshot=2\n", f"{gap}snapshot=2\nfree=1\n")
    number = broken[: broken.index("free=1")].count("\n") + 1
    with pytest.raises(ParseError, match=f"^Line {number:,} of .* is none that massif writes"):
        read(tmp_path, broken)


@st.composite
def trees(draw: st.DrawFn, depth: int = 0) -> tuple[int, list[tuple[int, int, int]]]:
    """Bytes and lines (depth, children, bytes) of a tree that adds up."""
    below = [] if depth > 4 else draw(st.lists(trees(depth + 1), max_size=3))
    size = sum(part[0] for part in below) if below else draw(st.integers(1, 10**6))
    return size, [(depth, len(below), size), *(line for part in below for line in part[1])]


@given(st.lists(trees(), min_size=1, max_size=4), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_any_tree_adds_up(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, list[tuple[int, int, int]]]], names: int
) -> None:
    text = HEADER
    for number, (size, lines) in enumerate(drawn):
        tree = "".join(
            f"{' ' * depth}n{children}: {own} "
            + (
                f"0x{depth % 3}: f{at % names} (a.c:{depth % 2})\n"
                if depth
                else "(heap allocation functions) malloc/new, etc.\n"
            )
            for at, (depth, children, own) in enumerate(lines)
        )
        text += snapshot(number, tree, heap=size)
    recording = read(tmp_path_factory.mktemp("massif"), text)
    assert recording.warnings == ()
    heap, profile = heap_of(recording), profile_of(recording)
    assert heap.heap.tolist() == [size for size, _ in drawn]
    totals = [profile.total(event=int(event), weight=Weight.PERIOD) for event in heap.event]
    assert totals == [size for size, _ in drawn]
    deepest = max(depth for _, lines in drawn for depth, _, _ in lines)
    assert int(profile.stacks.depths().max()) + 1 == max(deepest, 1)
