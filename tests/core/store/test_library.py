"""The list of sessions, baselines, and the catalogue that may always be thrown away."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from helpers.recordings import recording, same
from tailflame.errors import StoreError
from tailflame.store import Library, SessionState, open_session
from tailflame.store.manifest import Manifest
from tailflame.store.owner import Owner
from tailflame.store.session import SessionFolder, read_manifest


def complete(library: Library, binary: Path) -> SessionFolder:
    session = library.new_session(tool="perf", binary=binary)
    session.complete(recording())
    return session


def ids(library: Library) -> list[str]:
    return [info.id for info in library.sessions()]


def test_a_folder_that_does_not_exist_is_an_empty_library(library: Library) -> None:
    assert library.sessions() == ()
    assert not library.root.exists()


def test_another_library_on_the_same_folder_sees_every_change(library: Library, book: Path) -> None:
    other = Library(library.root)
    first = complete(library, book)
    assert ids(other) == [first.id]
    second = complete(other, book)
    assert ids(library) == [second.id, first.id]
    first.update(note="before the fix")
    (manifest,) = [info.manifest for info in other.sessions() if info.id == first.id]
    assert manifest is not None
    assert manifest.note == "before the fix"
    library.delete(second.id)
    assert ids(other) == [first.id]


def corrupt(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def older(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE session (name TEXT)")
    connection.close()


def another_schema(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE song (name TEXT)")
        connection.execute("PRAGMA user_version = 1")
    connection.close()


def poisoned(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE session SET document = '{}'")
    connection.close()


@pytest.mark.parametrize("harm", [Path.unlink, corrupt, cut, older, another_schema])
def test_a_lost_catalogue_is_made_anew_from_the_folders(
    library: Library, book: Path, harm: Callable[[Path], None]
) -> None:
    sessions = [complete(library, book).id for _ in range(3)]
    library.set_baseline(sessions[1])
    before = library.sessions()
    harm(library.root / "catalogue.sqlite")
    assert library.sessions() == before
    connection = sqlite3.connect(library.root / "catalogue.sqlite")
    assert connection.execute("SELECT count(*) FROM session").fetchone() == (3,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_rebuild_heals_a_catalogue_that_lies(library: Library, book: Path) -> None:
    complete(library, book)
    before = library.sessions()
    poisoned(library.root / "catalogue.sqlite")
    assert library.sessions()[0].state is SessionState.UNREADABLE
    assert library.rebuild() == before


def test_the_catalogue_of_a_newer_tailflame_is_left_alone(library: Library, book: Path) -> None:
    session = complete(library, book)
    library.sessions()
    path = library.root / "catalogue.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    content = path.read_bytes()
    assert ids(library) == [session.id]
    assert path.read_bytes() == content


def test_a_locked_catalogue_does_not_hide_the_sessions(
    library: Library, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailflame.store.catalogue._BUSY_S", 0.01)
    session = complete(library, book)
    library.sessions()
    connection = sqlite3.connect(library.root / "catalogue.sqlite")
    connection.execute("BEGIN EXCLUSIVE")
    try:
        assert ids(library) == [session.id]
    finally:
        connection.close()


def test_the_catalogue_is_not_asked_to_read_what_has_not_changed(
    library: Library, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete(library, book)
    library.sessions()
    read: list[Path] = []

    def noting(folder: Path) -> Manifest:
        read.append(folder)
        return read_manifest(folder)

    monkeypatch.setattr("tailflame.store.library.read_manifest", noting)
    library.sessions()
    assert read == []
    second = complete(library, book)
    library.sessions()
    assert read == [second.path]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (b"{", "session.json is damaged"),
        (b'{"version": 1}', "“state” is missing"),
        (b'{"version": 7}', "written by a newer Tailflame"),
        (b'{"version": 1, "state": "interrupted"}', "“state” should be a known state"),
        (b'{"version": 1, "state": "complete", "created_at": "2026-01-01T00:00:00", "tool": "t"}', "with its zone"),
        (
            b'{"version": 1, "state": "complete", "created_at": "2026-01-01T00:00:00Z", "tool": "t",'
            b' "primary": "../../etc/passwd"}',
            "names inside the session's folder",
        ),
    ],
)
def test_a_damaged_session_is_listed_with_its_problem_and_the_rest_stay(
    library: Library, book: Path, document: bytes, problem: str
) -> None:
    good = complete(library, book)
    bad = complete(library, book)
    (bad.path / "session.json").write_bytes(document)
    by_id = {info.id: info for info in library.sessions()}
    assert by_id[good.id].state is SessionState.COMPLETE
    assert by_id[bad.id].state is SessionState.UNREADABLE
    assert problem in by_id[bad.id].problem
    assert by_id[bad.id].started_at is not None


def test_folders_that_are_no_sessions_are_left_out(library: Library, book: Path) -> None:
    session = complete(library, book)
    (library.root / "notes").mkdir()
    (library.root / "readme.txt").write_text("x")
    (library.root / "dangling").symlink_to("/nowhere")
    assert ids(library) == [session.id]


def test_undecodable_names_are_no_obstacle(library: Library, tmp_path: Path) -> None:
    binary = tmp_path / "b\udcffk"
    session = complete(library, binary)
    (info,) = library.sessions()
    assert info.binary == str(binary)
    library.set_baseline(session.id)
    assert library.baseline_of(binary) is not None


def test_a_session_is_alive_while_its_owner_or_its_tool_is(library: Library, book: Path) -> None:
    session = library.new_session(tool="perf", binary=book)
    assert library.sessions()[0].state is SessionState.RECORDING
    dead = replace(Owner.of_this_process(), started=1)
    session.update(owner=dead)
    assert library.sessions()[0].state is SessionState.INTERRUPTED
    session.tool_started(os.getpid())
    assert library.sessions()[0].state is SessionState.RECORDING
    with pytest.raises(StoreError, match="is being recorded"):
        library.delete(session.id)


def test_pinning_moves_the_baseline_of_one_binary_only(library: Library, book: Path, tmp_path: Path) -> None:
    other_binary = tmp_path / "other"
    first, second = complete(library, book), complete(library, book)
    other = complete(library, other_binary)
    assert library.baseline_of(book) is None
    library.set_baseline(other.id)
    assert library.set_baseline(first.id).baseline
    library.set_baseline(second.id)
    assert {info.id for info in library.sessions() if info.baseline} == {second.id, other.id}
    found = library.baseline_of(book)
    assert found is not None
    assert found.id == second.id
    assert first.manifest.pinned_at is None
    assert library.clear_baseline(book)
    assert not library.clear_baseline(book)
    assert library.baseline_of(book) is None
    assert library.baseline_of(other_binary) is not None


def test_a_pin_cut_short_leaves_the_later_one(library: Library, book: Path) -> None:
    first, second = complete(library, book), complete(library, book)
    library.set_baseline(second.id)
    pinned = second.manifest.pinned_at
    library.set_baseline(first.id)
    second.update(pinned_at=pinned)  # as if the crash came before it was unpinned
    found = library.baseline_of(book)
    assert found is not None
    assert found.id == first.id
    assert [info.id for info in library.sessions() if info.baseline] == [first.id]


def test_a_baseline_follows_links_and_cargos_hashes(library: Library, book: Path, tmp_path: Path) -> None:
    library.set_baseline(complete(library, book).id)
    link = tmp_path / "link"
    link.symlink_to(book)
    assert library.baseline_of(link) is not None
    deps = book.parent / "deps"
    library.set_baseline(complete(library, deps / "bench-0123456789abcdef").id)
    assert library.baseline_of(deps / "bench-fedcba9876543210") is not None
    assert library.baseline_of(deps / "other-fedcba9876543210") is None


def test_what_is_not_finished_cannot_be_a_baseline(library: Library, book: Path) -> None:
    session = library.new_session(tool="perf", binary=book)
    with pytest.raises(StoreError, match="its state is “recording”"):
        library.set_baseline(session.id)
    with pytest.raises(StoreError, match="There is no session nowhere"):
        library.set_baseline("nowhere")


def test_an_opened_file_is_kept_as_a_session_and_can_be_a_baseline(
    library: Library, book: Path, tmp_path: Path
) -> None:
    svg = tmp_path / "flame.svg"
    svg.write_text("<svg/>")
    info = library.keep(recording(), source=svg)
    assert (info.path / "flame.svg").read_text() == "<svg/>"
    assert (info.state, info.title, info.binary) == (SessionState.COMPLETE, "flame.svg", "")
    with pytest.raises(StoreError, match="does not tell which binary"):
        library.set_baseline(info.id)
    assert library.set_baseline(info.id, binary=book).baseline
    found = library.baseline_of(book)
    assert found is not None
    assert found.id == info.id
    assert same(found.folder.load().profile, recording().profile)


def test_a_recording_that_names_its_binary_needs_no_more(library: Library, book: Path, tmp_path: Path) -> None:
    data = tmp_path / "session.json"
    data.write_bytes(b"PERFILE2")
    info = library.keep(recording(command=(str(book), "-x")), source=data)
    assert info.binary == str(book)
    assert info.manifest is not None
    assert info.manifest.args == ("-x",)
    assert info.manifest.artifacts["original"] == "original_session.json"
    assert library.set_baseline(info.id).baseline


def test_a_file_that_cannot_be_copied_leaves_no_session(library: Library, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        library.keep(recording(), source=tmp_path / "gone.svg")
    assert library.sessions() == ()


def test_deleting_takes_the_folder_and_nothing_else(library: Library, book: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(complete(library, book).path, outside)
    keep, gone = complete(library, book), complete(library, book)
    library.delete(gone.id)
    assert not gone.path.exists()
    assert keep.path.exists()
    (library.root / "link").symlink_to(outside)
    for name in ("../outside", "..", "", "link", "catalogue.sqlite", str(outside)):
        with pytest.raises(StoreError, match="There is no session"):
            library.delete(name)
    assert outside.exists()


def test_a_session_that_cannot_be_written_leaves_nothing(
    library: Library, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("No space left on device.")

    monkeypatch.setattr("tailflame.store.library.write_json", full)
    with pytest.raises(StoreError, match="No space left"):
        library.new_session(tool="perf record", binary=book)
    assert os.listdir(library.root) == []


def test_a_session_that_cannot_be_kept_is_read_all_the_same(
    library: Library, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = library.new_session(tool="perf record", binary=book)
    data = session.path / "perf.data"
    data.write_bytes(b"x")
    session.planned(argv=(), artifacts={"perf.data": data}, primary="perf.data")
    session.update(owner=None)

    def full(*_: object) -> None:
        raise StoreError("No space left on device.", advice="Make room.")

    def closed(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tailflame.store.session.write_json", full)
    opened = open_session(library.session(session.id), load=lambda _: recording(), mend=closed)
    assert not opened.recovered
    assert [w.text for w in opened.recording.warnings][-1] == "It was read, but not kept: No space left on device."
    assert library.session(session.id).state is SessionState.INTERRUPTED, "nothing was lost"


def test_what_a_crash_left_of_a_new_session_goes_with_the_next_one(library: Library, book: Path) -> None:
    library.root.mkdir(parents=True)
    old, young = library.root / ".making-old", library.root / ".making-young"
    for folder in (old, young):
        folder.mkdir()
        (folder / ".session.json.tmp").write_text("{")
    an_hour_ago = time.time() - 3600
    os.utime(old, (an_hour_ago, an_hour_ago))
    session = library.new_session(tool="perf record", binary=book)
    assert sorted(os.listdir(library.root)) == sorted([".making-young", session.id])
    assert [info.id for info in library.sessions()] == [session.id]


def test_sessions_of_one_second_do_not_meet(library: Library, book: Path) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    made = [library.new_session(tool="perf record", binary=book, at=at).id for _ in range(3)]
    assert made[1:] == [f"{made[0]}_2", f"{made[0]}_3"]
    assert {info.id for info in library.sessions()} == set(made)


def test_rebuild_finishes_a_deletion_that_was_cut_short(library: Library, book: Path) -> None:
    session = complete(library, book)
    session.path.rename(library.root / f".deleting-{session.id}")
    assert library.sessions() == ()
    library.rebuild()
    assert not [name for name in os.listdir(library.root) if name.startswith(".deleting")]


def test_a_profiles_folder_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "profiles").write_text("")
    library = Library(tmp_path / "profiles")
    with pytest.raises(StoreError, match="No session can be made"):
        library.new_session(tool="perf", binary="/bin/true")
    with pytest.raises(StoreError, match="cannot be read: Not a directory"):
        library.sessions()


def test_the_document_is_what_it_was_after_a_round_trip(library: Library, book: Path) -> None:
    session = complete(library, book)
    library.set_baseline(session.id)
    text = (session.path / "session.json").read_text()
    assert json.loads(text) == session.manifest.document()


def test_a_session_from_elsewhere_is_adopted_once_and_under_its_name(
    library: Library, book: Path, tmp_path: Path
) -> None:
    elsewhere = Library(tmp_path / "elsewhere")
    session = complete(elsewhere, book)
    elsewhere.set_baseline(session.id)
    shipped = tmp_path / "sample"
    shutil.copytree(session.path, shipped)
    info = library.adopt(shipped)
    assert info.id == session.id
    assert not info.baseline
    assert same(info.folder.load(), session.load())
    info.folder.update(note="mine")
    again = library.adopt(shipped).manifest
    assert again is not None
    assert again.note == "mine"
    assert ids(library) == [session.id]
    with pytest.raises(StoreError):
        library.adopt(tmp_path)
    (shipped / "session.json").unlink()
    with pytest.raises(StoreError):
        library.adopt(shipped)
    assert sorted(os.listdir(library.root)) == [session.id, "catalogue.sqlite"]
