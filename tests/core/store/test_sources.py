"""The text around hot lines outlives the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from helpers.recordings import recording
from helpers.stacks import profile
from tailflame.errors import StoreError, StoreVersionError
from tailflame.store import Library
from tailflame.store.sources import gather_sources, load_sources, save_sources


def numbered(path: Path, lines: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(f"line {n}" for n in range(1, lines + 1)))
    return path


def test_each_hot_line_is_kept_with_three_on_either_side(tmp_path: Path) -> None:
    file = numbered(tmp_path / "book.rs")
    kept = gather_sources(profile(f"main!{file}:1;match_order!{file}:50 10"))
    assert sorted(kept.lines[str(file)]) == [1, 2, 3, 4, 47, 48, 49, 50, 51, 52, 53]
    assert kept.around(str(file), 50, 1) == ((49, "line 49"), (50, "line 50"), (51, "line 51"))
    assert kept.around("other.rs", 50) == ()


def test_relative_names_are_looked_for_in_the_project(tmp_path: Path) -> None:
    numbered(tmp_path / "root" / "src" / "book.rs")
    stacks = profile("a!src/book.rs:5 1")
    assert gather_sources(stacks).lines == {}
    assert "src/book.rs" in gather_sources(stacks, bases=(tmp_path / "no", tmp_path / "root")).lines


def test_only_source_code_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "id_rsa"
    secret.write_text("secret\n")
    os.mkfifo(tmp_path / "pipe.rs")
    (tmp_path / "dir.rs").mkdir()
    (tmp_path / "huge.rs").write_bytes(b"\n" * (5 * 2**20))
    names = ("id_rsa", "pipe.rs", "dir.rs", "huge.rs", "gone.rs", "nul\0.rs")
    stacks = ";".join(f"f!{tmp_path / name}:1" for name in names)
    assert gather_sources(profile(f"{stacks} 1")).lines == {}


def test_the_hottest_lines_come_first_when_room_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailflame.store.sources._FILES", 1)
    cold, hot = numbered(tmp_path / "cold.rs"), numbered(tmp_path / "hot.rs")
    kept = gather_sources(profile(f"main;a!{cold}:5 1\nmain;b!{hot}:5 99"))
    assert list(kept.lines) == [str(hot)]


def test_a_line_behind_the_end_of_a_changed_file_is_nothing(tmp_path: Path) -> None:
    file = numbered(tmp_path / "book.rs", lines=3)
    assert gather_sources(profile(f"a!{file}:500 1")).lines == {}


def test_a_session_shows_its_source_after_the_file_has_changed(library: Library, book: Path, tmp_path: Path) -> None:
    file = numbered(tmp_path / "project" / "src" / "book.rs")
    session = library.new_session(tool="perf", binary=book, cwd=tmp_path / "project")
    session.complete(recording(f"main;match!{file}:50 5\nmain;match!src/book.rs:9 5"))
    file.write_text("fn main() {}")
    kept = session.sources()
    assert kept.around(str(file), 50, 0) == ((50, "line 50"),)
    assert kept.around("src/book.rs", 9, 0) == ((9, "line 9"),)


def test_a_file_of_excerpts_is_versioned_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "sources.json"
    assert load_sources(path).lines == {}
    file = numbered(tmp_path / "book.rs")
    kept = gather_sources(profile(f"a!{file}:50 1"))
    save_sources(path, kept)
    assert load_sources(path) == kept
    path.write_text('{"version": 2}')
    with pytest.raises(StoreVersionError):
        load_sources(path)
    path.write_text('{"version": 1, "files": {"a.rs": {"x": "text"}}}')
    with pytest.raises(StoreError, match="has no number"):
        load_sources(path)
    path.write_text('{"version": 1, "files": {"a.rs": {"1": 2}}}')
    with pytest.raises(StoreError, match="texts by name"):
        load_sources(path)
