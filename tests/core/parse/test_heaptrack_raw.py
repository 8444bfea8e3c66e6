"""Raw heaptrack files: what they alone tell is kept, and what becomes of heaptrack_interpret is told."""

from __future__ import annotations

import re
import threading
from collections import Counter
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.stack_counts import DATA
from tailflame.errors import Cancelled, ToolFailed
from tailflame.parse import heaptrack_place, heaptrack_raw, load
from tailflame.parse.heaptrack_pointers import PointerCounts
from tailflame.parse.heaptrack_raw import interpret, is_raw, main
from tailflame.parse.source import Source

HERE = DATA / "heaptrack" / "1.4.0"
RAW = (
    b"v 10400 3\nx 3 /e1\nX ./e\nI 1000 10\nm 1 -\nm 1 x 1000 0 100\nt 1010 0\n+ 10 1 7f00\n- 7f00\n+ 10 1 7f10\nc 5\n"
)


def unpacked(path: Path) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A heaptrack_interpret that does something else."""
    program = folder / "heaptrack_interpret"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setattr(heaptrack_raw, "interpreter", lambda: program)


@pytest.mark.parametrize(
    ("head", "raw"),
    [
        (RAW, True),
        (RAW.replace(b"\n", b"\r\n"), True),
        (b"v 10400 3\nX ./e\nI 1000 10\nA\nx 3 /e1\n", True),
        (b"v 10400 3\nX ./e\nI 1000 10\ns 1 x\nt 1 0\n", False),
        (b"v 10400 3\nX mode x 3\n", False),
        (b"x 3 /e1\n", False),
    ],
)
def test_which_files_are_raw(head: bytes, raw: bool) -> None:
    assert is_raw(head) is raw


# Temporary allocations by the pointer.


def told(counts: PointerCounts) -> tuple[dict[int, tuple[int, int]], list[int], int]:
    """(by trace, by stamp, in all) of the comments."""
    traces: dict[int, tuple[int, int]] = {}
    stamps: list[int] = []
    total = -1
    for line in counts.lines().decode().splitlines():
        mark, *words = line.removeprefix("# tailflame ").split()
        numbers = [int(word, 16) for word in words]
        if mark == "temporary":
            traces[numbers[0]] = numbers[1], numbers[2]
        elif mark == "stamps":
            stamps += numbers
        else:
            (total,) = numbers
    return traces, stamps, total


def test_only_the_very_block_counts() -> None:
    counts = PointerCounts()
    counts.add(b"+ 10 1 aa\n- aa\n+ 10 1 ab\n+ 20 2 ac\n- ab\nc 1\n+ 8 2 ffffffffffff\nt 5 1\n- ffffffffffff\n")
    counts.add(b"+ 8 1 1a\n- a\n+ 8 1 a\n- 1a\nc 2\n+ 30 3 77\n")
    counts.add(b"- 77\nc 3\n+ 5 4 1\n")
    counts.add(b"c 4\n")
    counts.add(b"- 1\n- 1\n")
    assert told(counts) == ({1: (1, 0x10), 2: (1, 8), 3: (1, 0x30), 4: (1, 5)}, [1, 1, 1, 0], 4)
    assert counts.allocations == 8


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("+-c"), st.integers(0, 5), st.sampled_from([1, 0xAB, 0xABC, 2**44, 2**64 - 1])),
        max_size=50,
    ),
    st.integers(1, 7),
)
def test_columns_say_what_counting_one_by_one_says(events: list[tuple[str, int, int]], lines_each: int) -> None:
    lines: list[bytes] = []
    calls: Counter[int] = Counter()
    size_of: Counter[int] = Counter()
    stamps, since = [], 0
    last: tuple[int, int] | None = None
    for kind, trace, pointer in events:
        if kind == "+":
            lines.append(b"+ %x %x %x\n" % (trace * 3, trace, pointer))
            last = trace, pointer
        elif kind == "-":
            lines.append(b"- %x\n" % pointer)
            if last is not None and last[1] == pointer:
                calls[last[0]] += 1
                size_of[last[0]] += last[0] * 3
                since += 1
            last = None
        else:
            lines.append(b"c 1\n")
            stamps.append(since)
            since = 0
    counts = PointerCounts()
    for first in range(0, len(lines), lines_each):
        counts.add(b"".join(lines[first : first + lines_each]))
    assert told(counts) == ({t: (n, size_of[t]) for t, n in calls.items()}, stamps, sum(calls.values()))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(RAW.splitlines()) | st.binary(max_size=20), max_size=20))
def test_any_lines_are_counted_or_passed_over(lines: list[bytes]) -> None:
    counts = PointerCounts()
    counts.add(b"\n".join(lines) + b"\n")
    assert re.fullmatch(rb"(# tailflame [^\n]+\n)+", counts.lines())


# heaptrack_interpret.


@pytest.mark.tool("heaptrack")
def test_the_step_after_a_recording(tmp_path: Path) -> None:
    raw, out = tmp_path / "a b.raw", tmp_path / "a b.zst"
    raw.write_bytes(unpacked(HERE / "alloc.raw.zst"))
    assert main(str(raw), str(out)) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a b.zst"]
    heap = load(out).heap
    assert heap is not None
    assert heap.facts.temporary == 1201
    assert heap.temporary[-1] == 1201


@pytest.mark.tool("heaptrack")
def test_suppressions_are_kept_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = unpacked(HERE / "alloc.raw.zst")
    known = tmp_path / "known.supp"
    known.write_text("# known\nleak:ld-linux*\n")
    for name, rules, leaked in (("a", known, 8000), ("b", tmp_path / "gone.supp", 8320)):
        raw, out = tmp_path / f"{name}.raw", tmp_path / f"{name}.zst"
        raw.write_bytes(content)
        assert main("--suppressions", str(rules), str(raw), str(out)) == 0
        heap = load(out).heap
        assert heap is not None
        assert heap.facts.leaked == leaked
    assert "gone.supp cannot be read" in capsys.readouterr().err


@pytest.mark.tool("heaptrack")
def test_all_files_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = unpacked(HERE / "alloc.raw.zst")
    (tmp_path / "heaptrack.1.raw").write_bytes(content)
    (tmp_path / "heaptrack.2.raw").write_bytes(content[: content.index(b"\n+ ") + 1])  # it allocated nothing
    (tmp_path / "heaptrack.3.raw").write_bytes(b"")
    (tmp_path / "heaptrack.4.raw").write_bytes(content)
    assert main("--all", str(tmp_path)) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["heaptrack.1.zst", "heaptrack.3.raw", "heaptrack.4.zst"]
    assert "heaptrack.3.raw is empty" in capsys.readouterr().err


@pytest.mark.tool("heaptrack")
def test_a_raw_file_that_is_cut_short(tmp_path: Path) -> None:
    content = unpacked(HERE / "alloc.raw.zst")
    path = tmp_path / "x.raw"
    path.write_bytes(content[: content.rindex(b"\n- ") + 6])
    recording = load(path)
    assert recording.heap is not None
    assert recording.heap.facts.allocations == 1764
    assert any("ends in the middle" in caution.text for caution in recording.warnings)


def test_it_fails_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "cat > /dev/null; echo 'failed to parse line: t zz' >&2; exit 1")
    raw = tmp_path / "x.raw"
    raw.write_bytes(RAW)
    with pytest.raises(ToolFailed, match="failed with exit code 1: failed to parse line: t zz") as failed:
        load(raw)
    assert failed.value.advice
    assert main(str(raw), str(tmp_path / "x.zst")) == 1
    assert raw.exists()  # nothing is lost
    assert not list(tmp_path.glob("*.part"))


def test_it_ends_before_it_has_read_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "exit 3")
    raw = tmp_path / "x.raw"
    raw.write_bytes(RAW + b"+ 10 1 7f00\n" * 500_000)
    with pytest.raises(ToolFailed, match="failed with exit code 3"):
        load(raw)


def test_one_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heaptrack_raw, "_STALLED_S", 0.2)
    fake(tmp_path, monkeypatch, "exec sleep 1000")
    threads = set(threading.enumerate())  # the runner's own, and idle pools of other tests
    raw = tmp_path / "x.raw"
    raw.write_bytes(RAW)
    with pytest.raises(ToolFailed, match="did not end"):
        load(raw)
    raw.write_bytes(RAW + b"+ 10 1 7f00\n" * 100_000)
    with pytest.raises(ToolFailed, match="took nothing in"):
        load(raw)
    assert set(threading.enumerate()) <= threads


def test_cancelling_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "exec sleep 1000")
    raw = tmp_path / "x.raw"
    raw.write_bytes(RAW)

    def cancel(_share: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        load(raw, progress=cancel)


def test_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "exec cat")
    raw = tmp_path / "x.raw"
    raw.write_bytes(RAW)
    with pytest.raises(ToolFailed, match="cannot be written: No such file or directory"):
        interpret(Source(raw), tmp_path / "nowhere" / "x.zst")


def test_where_heaptrack_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lib = tmp_path / "lib" / "heaptrack"
    (lib / "libexec").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    for path in (tmp_path / "bin" / "heaptrack", lib / "libexec" / "heaptrack_interpret"):
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    (lib / "libheaptrack_preload.so").touch()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert heaptrack_place.library_folder() == lib
    assert heaptrack_place.interpreter() == lib / "libexec" / "heaptrack_interpret"
    monkeypatch.setattr(heaptrack_place, "_USUAL", ())
    monkeypatch.setenv("PATH", "")
    assert heaptrack_place.library_folder() is None
    assert heaptrack_place.interpreter() is None
