"""`list` and `baseline`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.recordings import recording
from tailflame.store import Library

Run = Callable[..., Any]


def kept(library: Library, binary: str = "/opt/book") -> str:
    session = library.new_session(tool="perf", binary=binary, args=("-x",))
    session.complete(recording())
    return session.id


def test_an_empty_list_says_how_to_begin(tailflame: Run) -> None:
    run = tailflame("list")
    assert run.code == 0
    assert "tailflame record -- PROGRAM" in run.out


def test_sessions_are_listed_newest_first_with_their_state(tailflame: Run, library: Library) -> None:
    first, second = kept(library), kept(library, "/opt/other")
    library.set_baseline(first)
    running = library.new_session(tool="perf", binary="/opt/book").id
    broken = kept(library)
    (library.root / broken / "session.json").write_text("{")
    run = tailflame("list")
    rows = {line.split()[0]: line for line in run.out.splitlines()[1:]}
    # A session that cannot be read is placed by the second in its name.
    assert [name for name in rows if name != broken] == [running, second, first]
    assert rows[first].endswith("baseline")
    assert "1,200" in rows[first]
    assert "recording" in rows[running]
    assert "unreadable" in rows[broken]
    assert "is damaged" in rows[broken]
    document = tailflame("list", "--json").document
    assert [row["id"] for row in document["sessions"]] == list(rows)
    last = next(row for row in document["sessions"] if row["id"] == first)
    assert (last["baseline"], last["state"], last["args"], last["samples"]) == (True, "complete", ["-x"], 1200)
    assert set(last) == {
        "id", "path", "state", "baseline", "title", "tool", "binary", "args", "started_at", "duration_s", "samples",
        "lost", "events", "outcome", "exit_code", "build_id", "cargo_profile", "git", "note", "problem",
        "group", "measures",
    }  # fmt: skip


def test_sessions_of_several_tools_are_shown_as_a_group(tailflame: Run, library: Library) -> None:
    first, alone, second = kept(library), kept(library), kept(library)
    for name in (first, second):
        library.session(name).folder.update(group="g")
    rows = {line.split()[0]: line for line in tailflame("list").out.splitlines()[1:]}
    assert "1 of 2" in rows[first]
    assert "2 of 2" in rows[second]
    assert " of 2" not in rows[alone]
    assert "1 of 2" not in tailflame("list", "-n", "1").out
    groups = [row["group"] for row in tailflame("list", "--json").document["sessions"]]
    assert groups == ["g", "", "g"]


def test_the_list_may_be_cut_to_a_program_and_a_number(tailflame: Run, library: Library) -> None:
    first, second, _ = kept(library), kept(library), kept(library, "/opt/other")
    rows = tailflame("list", "--json", "--binary", "/opt/book").document["sessions"]
    assert [row["id"] for row in rows] == [second, first]
    assert len(tailflame("list", "--json", "-n", "1").document["sessions"]) == 1


def test_a_lost_catalogue_is_rebuilt(tailflame: Run, library: Library) -> None:
    name = kept(library)
    (library.root / "catalogue.sqlite").write_bytes(b"not a database")
    assert name in tailflame("list", "--rebuild").out
    assert (library.root / "catalogue.sqlite").read_bytes().startswith(b"SQLite format 3")


def test_a_baseline_is_set_shown_and_cleared(tailflame: Run, library: Library) -> None:
    assert "No program has a baseline." in tailflame("baseline", "show").out
    first, second = kept(library), kept(library)
    assert tailflame("baseline", "set", first).out == f"{first} is the baseline of /opt/book.\n"
    assert tailflame("baseline", "set", "--json").document["baseline"]["id"] == second
    assert second in tailflame("baseline", "show", "/opt/book").out
    rows = tailflame("baseline", "show", "--json").document["baselines"]
    assert [row["id"] for row in rows] == [second]
    assert "/opt/none has no baseline" in tailflame("baseline", "show", "/opt/none").out
    assert tailflame("baseline", "clear", "/opt/book", "--json").document == {"cleared": True}
    assert "had no baseline" in tailflame("baseline", "clear", "/opt/book").out
    assert tailflame("baseline", "clear").code == 3


def test_a_file_becomes_a_session_and_a_baseline(tailflame: Run, library: Library, before: Path, after: Path) -> None:
    run = tailflame("baseline", "set", before)
    assert run.code == 3
    assert "does not tell which binary" in run.err
    assert library.sessions() == ()
    run = tailflame("baseline", "set", before, "--binary", "/opt/book")
    assert run.code == 0
    (info,) = library.sessions()
    assert (info.path / "before.folded").read_bytes() == before.read_bytes()
    before.unlink()
    document = tailflame("diff", "baseline", after, "--binary", "/opt/book", "--json").document
    assert document["regressions"] == ["check_exposure"]


def test_a_session_elsewhere_cannot_be_pinned_here(tailflame: Run, tmp_path: Path) -> None:
    elsewhere = Library(tmp_path / "elsewhere")
    name = kept(elsewhere)
    run = tailflame("baseline", "set", elsewhere.root / name)
    assert run.code == 3
    assert f"--profiles {elsewhere.root}" in run.err
    assert tailflame("baseline", "set", elsewhere.root / name, "--profiles", elsewhere.root).code == 0
    assert "catalogue.sqlite" in os.listdir(elsewhere.root)
