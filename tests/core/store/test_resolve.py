"""What a user may name, and what it stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.recordings import recording, same
from tailflame.errors import StoreError
from tailflame.model import Recording
from tailflame.store import Library, SessionState, find_session, open_result
from tailflame.store.session import SessionFolder


def never(path: Path) -> Recording:
    raise AssertionError(f"{path} was read again")


def complete(library: Library, binary: Path, stacks: str = "main;work 7") -> SessionFolder:
    session = library.new_session(tool="perf", binary=binary)
    session.complete(recording(stacks))
    return session


def found(name: str, library: Library, **options: Path) -> str | None:
    info = find_session(name, library, **options)
    return info.id if info else None


def test_names_of_sessions(library: Library, book: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    first, second, third = complete(library, book), complete(library, other), complete(library, book)
    assert found("latest", library) == third.id
    assert found("latest~1", library) == second.id
    assert found("latest~2", library) == first.id
    assert found("latest~1", library, binary=book) == first.id
    assert found(second.id, library) == second.id
    assert found(second.id[:-2], library) == second.id
    assert found(first.id, library) == first.id  # also where another id begins with it
    library.set_baseline(first.id)
    assert found("baseline", library) == first.id
    assert found("baseline", library, binary=book) == first.id
    for path in (second.path, second.path / "session.json", second.path / "recording.npz"):
        assert found(str(path), Library(tmp_path / "elsewhere")) == second.id
    assert found("nothing-like-it", library) is None
    assert found(str(second.path / "perf.data"), library) is None


def test_what_cannot_be_meant_is_a_sentence(library: Library, book: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="There is no session in"):
        find_session("latest", library)
    with pytest.raises(StoreError, match="no session whose baseline"):
        find_session("baseline", library)
    first = complete(library, book)
    complete(library, book)
    with pytest.raises(StoreError, match="goes back further than the 2 sessions"):
        find_session("latest~2", library)
    with pytest.raises(StoreError, match=r"book has no baseline") as caught:
        find_session("baseline", library)
    assert "tailflame baseline set" in caught.value.advice
    with pytest.raises(StoreError, match=r"other has no baseline"):
        find_session("baseline", library, binary=tmp_path / "other")
    with pytest.raises(StoreError, match="stands for 2 sessions"):
        find_session(first.id[:8], library)
    with pytest.raises(StoreError, match="neither a file nor a session"):
        open_result("nowhere.svg", library, load=never)


def test_a_session_is_not_read_from_its_raw_file_again(library: Library, book: Path) -> None:
    session = complete(library, book)
    opened = open_result("latest", library, load=never)
    assert opened.session is not None
    assert opened.session.id == session.id
    assert (opened.label, opened.recovered) == ("book", False)


def test_any_other_file_is_read(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "out.folded"
    path.write_text("a;b 1")
    kept = recording()
    opened = open_result(path, library, load=lambda p: kept if p == path else never(p))
    assert same(opened.recording, kept)
    assert (opened.label, opened.session) == ("out.folded", None)


def test_a_session_whose_raw_file_was_never_read_is_finished(library: Library, book: Path) -> None:
    session = library.new_session(tool="perf", binary=book)
    session.planned(argv=("perf",), artifacts={"data": session.path / "perf.data"}, primary="data")
    (session.path / "perf.data").write_bytes(b"x")
    session.recorded(outcome="exited normally", exit_code=0)
    opened = open_result(session.path, Library(library.root / "other"), load=lambda p: recording())
    assert opened.recovered
    assert opened.session is not None
    assert opened.session.state is SessionState.COMPLETE
    assert not any("interrupted" in caution.text for caution in opened.recording.warnings)


def test_what_is_being_recorded_is_not_read(library: Library, book: Path) -> None:
    session = library.new_session(tool="perf", binary=book)
    with pytest.raises(StoreError, match="is being recorded"):
        open_result(session.id, library, load=never)
    (session.path / "session.json").write_text("{")
    with pytest.raises(StoreError, match="is damaged"):
        open_result(session.id, library, load=never)


def test_a_session_with_nothing_in_it_says_so(library: Library, book: Path) -> None:
    session = library.new_session(tool="perf", binary=book)
    session.planned(argv=("perf",), artifacts={"data": session.path / "perf.data"}, primary="data")
    session.recorded(outcome="exited with status 1")
    with pytest.raises(StoreError, match="before anything was recorded"):
        open_result(session.id, library, load=never)


def test_looking_at_a_session_elsewhere_leaves_nothing_beside_it(library: Library, book: Path, tmp_path: Path) -> None:
    session = complete(Library(tmp_path / "downloads"), book)
    (tmp_path / "downloads" / "catalogue.sqlite").unlink(missing_ok=True)
    open_result(session.path, library, load=never)
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == [session.id]


def test_a_cut_file_is_mended_before_it_is_read_and_a_whole_one_is_not(library: Library, book: Path) -> None:
    mended: list[Path] = []
    for interrupted in (False, True):
        session = library.new_session(tool="perf", binary=book)
        data = session.path / "perf.data"
        session.planned(argv=("perf",), artifacts={"data": data}, primary="data")
        data.write_bytes(b"x")
        if interrupted:
            session.update(owner=None)
        else:
            session.recorded()
        open_result(session.id, library, load=lambda p: recording(), mend=mended.append)
    assert mended == [data]


def test_a_link_that_leads_round_in_a_circle_is_said_to_be_one(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.symlink_to(other)
    other.symlink_to(one)
    with pytest.raises(StoreError, match="is a link that leads to no file"):
        open_result(one, Library(tmp_path / "profiles"), load=never)
