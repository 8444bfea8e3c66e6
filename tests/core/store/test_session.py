"""A session from its first file to a finished recording, and a crash at every step between."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import heaps
from helpers.recordings import recording, same
from tailflame.errors import StoreError
from tailflame.model import Recording, StackProfile
from tailflame.store import Library, SessionState, open_result
from tailflame.store.measures import Measures
from tailflame.store.session import SessionFolder


def draw(profile: StackProfile, path: Path) -> None:
    path.write_text(f"<svg>{len(profile.samples)}</svg>")


def record(library: Library, binary: Path, *, args: tuple[str, ...] = ("--seconds", "1")) -> SessionFolder:
    """What whoever records does, in order."""
    session = library.new_session(tool="perf", binary=binary, args=args)
    data = session.path / "perf.data"
    session.planned(argv=("perf", "record", "--", str(binary)), artifacts={"data": data}, primary="data")
    data.write_bytes(b"PERFILE2")
    session.recorded(outcome="exited normally after 1.0 s", exit_code=0)
    session.complete(recording(), draw=draw)
    return session


def test_a_finished_session_has_the_usual_files_and_facts(library: Library, book: Path) -> None:
    session = record(library, book)
    stamp = session.id[:15]
    assert session.id == f"{stamp}_book_perf"
    assert sorted(os.listdir(session.path)) == [
        f"cpu_flamegraph_{stamp}.svg", "perf.data", "recording.npz", "session.json",
    ]  # fmt: skip
    (info,) = library.sessions()
    manifest = info.manifest
    assert manifest is not None
    assert (info.state, info.samples, info.tool, info.binary) == (SessionState.COMPLETE, 1200, "perf", str(book))
    assert (manifest.exit_code, manifest.lost, manifest.duration_s) == (0, 0, 12.25)
    assert manifest.cargo_profile == "release-with-debug"
    assert manifest.events == ("samples",)
    assert manifest.artifacts == {"data": "perf.data", "flame_graph": f"cpu_flamegraph_{stamp}.svg"}
    assert info.title == "book --seconds 1"
    assert manifest.written_by.startswith("tailflame ")


def test_each_kind_of_result_has_a_baseline_of_its_own(library: Library, book: Path) -> None:
    cpu = record(library, book)
    heap = library.new_session(tool="massif", binary=book, args=())
    whole = heap.complete(heaps.massif(), draw=draw)
    assert whole.heap is not None
    info = library.session(heap.id)
    assert (info.measures, library.session(cpu.id).measures) == (Measures.MEMORY, Measures.TIME)
    assert info.samples is None  # blocks are counted, not sampled
    assert info.manifest is not None
    assert info.manifest.artifacts["flame_graph"] == f"memory_flamegraph_{heap.stamp}.svg"
    library.set_baseline(cpu.id)
    library.set_baseline(heap.id)
    assert [info.id for info in library.sessions() if info.baseline] == [heap.id, cpu.id]
    found = library.baseline_of(book, measures=Measures.MEMORY)
    assert found is not None
    assert found.id == heap.id


def test_a_session_of_before_tells_what_it_measures_by_its_samples(library: Library, book: Path) -> None:
    session = record(library, book)
    session.update(measures="")
    assert library.session(session.id).measures is Measures.TIME
    session.update(measures="what a later Tailflame knows")
    assert library.session(session.id).measures is Measures.TIME
    session.update(measures="", samples=None)
    assert library.session(session.id).measures is Measures.LATENCY


def test_sessions_of_one_group_know_their_first(library: Library, book: Path) -> None:
    first, second = record(library, book), record(library, book)
    second.update(group=first.id)
    assert library.session(second.id).manifest.group == first.id  # type: ignore[union-attr]


def test_the_file_to_read_may_have_another_name_than_planned(library: Library, book: Path) -> None:
    session = library.new_session(tool="jemalloc", binary=book, args=())
    planned = session.path / "dump.*.heap"
    session.planned(argv=("book",), artifacts={"heap": planned}, primary="heap")
    assert session.primary == planned
    for number in (9, 10):
        (session.path / f"dump.{number}.heap").write_text("x")
        os.utime(session.path / f"dump.{number}.heap", (number, number))
    assert session.primary.name == "dump.10.heap"  # Tailflame was killed: the newest
    session.recorded(artifacts={"heap": session.path / "dump.9.heap"}, result=session.path / "dump.9.heap")
    assert session.primary.name == "dump.9.heap"


def test_of_files_whose_names_nobody_knew_the_newest_is_read_where_the_result_is_missing(
    library: Library, book: Path
) -> None:
    session = library.new_session(tool="jemalloc", binary=book, args=())
    result = session.path / "jemalloc.heap"
    session.planned(argv=("book",), artifacts={"heap": result}, primary="heap", leaves=("jeprof.*.heap",))
    for number in (9, 10):
        (session.path / f"jeprof.{number}.heap").write_text("x")
        os.utime(session.path / f"jeprof.{number}.heap", (number, number))
    assert session.primary.name == "jeprof.10.heap"
    result.write_text("all")
    assert session.primary == result
    session.recorded(artifacts={"heap": result, "jeprof.9.heap": session.path / "jeprof.9.heap"}, result=result)
    assert dict(session.manifest.artifacts) == {"heap": "jemalloc.heap", "jeprof.9.heap": "jeprof.9.heap"}


def test_a_result_that_was_not_made_yet_is_read_from_what_it_is_made_of(library: Library, book: Path) -> None:
    session = library.new_session(tool="heaptrack", binary=book, args=())
    made, raw, out = (session.path / name for name in ("heaptrack.zst", "heaptrack.raw", "stdout.txt"))
    session.planned(argv=("book",), artifacts={"stdout": out, "made": made, "raw": raw}, primary="made")
    out.write_text("42 orders")
    assert session.primary == made
    raw.write_text("v 10400")
    made.touch()
    assert session.primary == raw
    made.write_text("whole")
    assert session.primary == made


def test_the_build_id_of_a_binary_behind_a_link(library: Library, book: Path, tmp_path: Path) -> None:
    link = tmp_path / "link-to-book"
    link.symlink_to(book)
    session = library.new_session(tool="perf", binary=link, args=())
    data = session.path / "perf.data"
    session.planned(argv=("perf",), artifacts={"data": data}, primary="data")
    data.write_bytes(b"PERFILE2")
    session.recorded()
    made = recording()
    # As perf tells it: by the file itself.
    session.complete(replace(made, meta=replace(made.meta, build_ids=((str(book.resolve()), "0123456789abcdef"),))))
    assert session.manifest.build_id == "0123456789abcdef"


def test_what_only_the_session_knows_is_added_to_the_recording(library: Library, book: Path) -> None:
    meta = record(library, book).load().meta
    assert meta.command == (str(book), "--seconds", "1")
    assert meta.tool_argv == ("perf", "record", "--", str(book))
    assert meta.outcome == "exited normally after 1.0 s"
    assert meta.duration_s == 12.25


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ((), True),
        (("BOOK",), True),  # jemalloc's dumps name the program alone
        (("BOOK", "--sec…", "1"), True),  # strace cuts words
        (("BOOK", "--sec", "1"), False),
        (("BOOK", "--seconds", "1", "more"), False),
        (("other",), False),
    ],
)
def test_a_command_that_the_file_tells_in_part_is_the_sessions(
    library: Library, book: Path, told: tuple[str, ...], kept: bool
) -> None:
    session = library.new_session(tool="strace", binary=book, args=("--seconds", "1"))
    log = session.path / "strace.log"
    session.planned(argv=("strace",), artifacts={"log": log}, primary="log")
    log.write_text("x")
    session.recorded()
    command = tuple(str(book) if word == "BOOK" else word for word in told)
    made = recording()
    full = session.complete(replace(made, meta=replace(made.meta, command=command)))
    assert full.meta.command == ((str(book), "--seconds", "1") if kept else command)


def test_the_source_moves_with_the_folder(library: Library, book: Path, tmp_path: Path) -> None:
    session = library.new_session(tool="perf", binary=book)
    data = session.path / "perf.data"
    data.write_bytes(b"x")
    full = session.complete(replace(recording(), source=str(data)))
    assert full.source == session.load().source == str(data)
    moved = session.path.rename(tmp_path / "moved")
    assert SessionFolder(moved).load().source == str(moved / "perf.data")


def test_the_document_says_recording_before_anything_is_recorded(library: Library, book: Path) -> None:
    session = library.new_session(tool="perf", binary=book, env={"RUST_LOG": "info"}, cwd=book.parent)
    document = json.loads((session.path / "session.json").read_text())
    assert (document["format"], document["version"], document["state"]) == ("tailflame session", 1, "recording")
    assert document["owner"]["pid"] == os.getpid()
    assert document["target"]["env"] == {"RUST_LOG": "info"}
    assert document["target"]["cwd"] == str(book.parent)


def test_a_second_session_in_the_same_second_gets_a_number(library: Library, book: Path) -> None:
    first = library.new_session(tool="perf", binary=book)
    at = first.manifest.created_at
    more = [library.new_session(tool="perf", binary=book, at=at).id for _ in range(10)]
    assert more[0] == f"{first.id}_2"
    assert more[-1] == f"{first.id}_11"
    assert [info.id for info in library.sessions()] == [*reversed(more), first.id]


@pytest.mark.parametrize(
    ("binary", "tool", "label"),
    [("/x/a b;c", "perf", "a_b_c_perf"), ("/x/..", "cargo flamegraph", "session_cargo_flamegraph"),
     ("/x/größe", "perf", "größe_perf"), ("/x/" + "n" * 200, "p", "n" * 64 + "_p")],
)  # fmt: skip
def test_folder_names_are_safe(library: Library, binary: str, tool: str, label: str) -> None:
    session = library.new_session(tool=tool, binary=binary)
    assert session.id[16:] == label or session.id[16:].startswith("x_")


def test_a_failed_session_keeps_its_reason(library: Library, book: Path) -> None:
    session = library.new_session(tool="perf", binary=book)
    session.failed("perf recorded nothing.")
    (info,) = library.sessions()
    assert info.state is SessionState.FAILED
    with pytest.raises(StoreError, match="perf recorded nothing"):
        open_result(session.id, library, load=lambda path: recording())


def test_artifacts_outside_the_folder_are_not_claimed(library: Library, book: Path) -> None:
    session = library.new_session(tool="perf", binary=book)
    session.planned(argv=(), artifacts={"data": session.path / "perf.data", "log": Path("/var/log/x")}, primary="data")
    assert session.manifest.artifacts == {"data": "perf.data"}


def test_a_flame_graph_that_cannot_be_drawn_leaves_no_half_file(library: Library, book: Path) -> None:
    session = library.new_session(tool="perf", binary=book)

    def broken(profile: StackProfile, path: Path) -> None:
        path.write_text("<svg>")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        session.complete(recording(), draw=broken)
    assert not [name for name in os.listdir(session.path) if "flamegraph" in name]
    assert session.manifest.state is SessionState.RECORDING
    assert same(session.load().profile, recording().profile)


def crash_at(step: int, library: Library, binary: Path) -> bool:
    """Records in a child that dies without a word at its `step`-th fsync; True where it got to the end."""
    child = os.fork()
    if not child:
        left = step
        fsync = os.fsync

        def dying(descriptor: int) -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                os._exit(9)
            fsync(descriptor)

        try:
            os.fsync = dying
            record(library, binary)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_crash_at_any_moment_leaves_a_session_that_can_be_listed_and_finished(library: Library, book: Path) -> None:
    seen: set[SessionState] = set()
    for step in range(1, 100):
        finished = crash_at(step, library, book)
        for info in library.sessions():
            seen.add(info.state)
            assert info.state in {SessionState.INTERRUPTED, SessionState.RECORDED, SessionState.COMPLETE}
            assert info.problem == ""
            if (info.path / "perf.data").exists() and info.manifest and info.manifest.primary:
                opened = open_result(info.id, library, load=_recovering, draw=draw)
                assert opened.recording.profile is not None
                assert library.session(info.id).state is SessionState.COMPLETE
            else:
                with pytest.raises(StoreError):
                    open_result(info.id, library, load=_recovering)
            library.delete(info.id)
        if finished:
            break
    assert finished
    assert step > 10
    assert seen == {SessionState.INTERRUPTED, SessionState.RECORDED, SessionState.COMPLETE}
    assert library.sessions() == ()


def _recovering(path: Path) -> Recording:
    assert path.read_bytes() == b"PERFILE2"
    return recording()


def test_an_interrupted_session_says_so_in_its_recording(library: Library, book: Path) -> None:
    for step in range(1, 100):
        crash_at(step, library, book)
        infos = library.sessions()
        if any(info.state is SessionState.INTERRUPTED and (info.path / "perf.data").exists() for info in infos):
            break
        for info in infos:
            library.delete(info.id)
    opened = open_result("latest", library, load=_recovering)
    assert opened.recovered
    assert any("interrupted" in caution.text for caution in opened.recording.warnings)
    assert "interrupted" in opened.recording.meta.outcome
    again = open_result("latest", library, load=_recovering)
    assert not again.recovered
    assert same(again.recording, opened.recording)
