"""Sources that lie elsewhere than the compiler had them, and what is said of those that are nowhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailflame.errors import StoreError
from tailflame.host import source_files
from tailflame.host.source_files import MissingSource, find_source, read_source

RUSTC = "59807616e1fa2540724bfbac14d7976d7e4a3860"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "engine"
    (folder / "src/risk").mkdir(parents=True)
    (folder / "Cargo.toml").write_text("[package]\n")
    (folder / "src/risk/mod.rs").write_text("fn check() {}\n")
    (folder / "src/lib.rs").write_text("mod risk;\n")
    (folder / "target/release").mkdir(parents=True)
    return folder


@pytest.fixture(autouse=True)
def _no_rust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No toolchain of whoever runs this."""
    for name, folder in (("CARGO_HOME", "cargo"), ("RUSTUP_HOME", "rustup")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setattr(source_files, "_rustc", lambda: ("", ""))


def test_a_source_is_where_its_name_says(project: Path) -> None:
    file = project / "src/lib.rs"
    found = find_source(str(file))
    assert (found.path, found.looked, found.caution) == (file, (str(file),), "")


def test_the_users_map_comes_first_and_maps_whole_folders(project: Path) -> None:
    paths = (("/build/eng", "/nowhere"), ("/build/engine", str(project)), ("/build", "/elsewhere"))
    found = find_source("/build/engine/src/lib.rs", path_map=paths)
    assert (found.path, found.looked, found.caution) == (project / "src/lib.rs", (str(project / "src/lib.rs"),), "")
    assert find_source("/build/engine2/src/lib.rs", path_map=(("/build/engine", str(project)),)).path is None


def test_a_relative_name_begins_at_a_root_or_above_it_within_the_project(project: Path) -> None:
    for root in (project, project / "target/release"):
        assert find_source("src/lib.rs", roots=(root,)).path == project / "src/lib.rs"
    (project.parent / "outside.rs").write_text("")
    assert find_source("outside.rs", roots=(project / "target",)).path is None


def test_a_source_built_elsewhere_is_found_by_the_end_of_its_name(project: Path) -> None:
    found = find_source("/ci/4711/engine/src/risk/mod.rs", roots=(project / "target/release",))
    assert (found.path, found.caution) == (project / "src/risk/mod.rs", "")
    renamed = find_source("/ci/4711/checkout/src/lib.rs", roots=(project,))
    assert renamed.path == project / "src/lib.rs"
    assert "/ci/4711/checkout/src/lib.rs" in renamed.caution


def test_a_dependencys_source_is_never_taken_for_the_projects_own(project: Path, tmp_path: Path) -> None:
    name = "/home/ci/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/serde-1.0.200/src/lib.rs"
    assert find_source(name, roots=(project,)).path is None
    here = tmp_path / "cargo/registry/src/index.crates.io-6f17d22bba15001f/serde-1.0.200/src/lib.rs"
    here.parent.mkdir(parents=True)
    here.write_text("//\n")
    assert find_source(name, roots=(project,)).path == here
    with pytest.raises(MissingSource) as missing:
        raise MissingSource(find_source(name.replace("serde", "syn")))
    assert "cargo fetch" in missing.value.advice


def test_the_sources_of_rusts_library_lie_in_the_toolchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"/rustc/{RUSTC}/library/core/src/cmp.rs"
    assert find_source(name).path is None
    here = tmp_path / "rustup/toolchains/stable/lib/rustlib/src/rust/library/core/src/cmp.rs"
    here.parent.mkdir(parents=True)
    here.write_text("//\n")
    found = find_source(name)
    assert found.path == here and "another rustc" in found.caution
    monkeypatch.setattr(source_files, "_rustc", lambda: (str(tmp_path / "rustup/toolchains/stable"), RUSTC))
    assert find_source(name).caution == ""
    with pytest.raises(MissingSource, match="standard library") as missing:
        raise MissingSource(find_source(name.replace("cmp", "gone")))
    assert "rust-src" in missing.value.advice


def test_a_missing_source_says_where_it_was_looked_for(project: Path) -> None:
    found = find_source("/ci/engine/src/gone.rs", path_map=(("/ci", "/mapped"),), roots=(project,))
    assert found.path is None
    assert found.looked[:2] == ("/mapped/engine/src/gone.rs", "/ci/engine/src/gone.rs")
    assert str(project / "src/gone.rs") in found.looked
    error = MissingSource(found)
    assert "not on this machine" in error.sentence
    assert "/mapped/engine/src/gone.rs" in error.details


def test_a_source_that_was_changed_since_the_build_is_doubtful(project: Path) -> None:
    file = project / "src/lib.rs"
    os.utime(file, (2_000, 2_000))
    assert "changed after" in find_source(str(file), built_at=1_000.0).caution
    assert find_source(str(file), built_at=3_000.0).caution == ""


@given(st.text(max_size=80), st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=3))
def test_no_name_makes_it_fail(name: str, pairs: list[tuple[str, str]]) -> None:
    found = find_source(f"/nowhere/{name}", path_map=[(old, f"/nowhere/{new}") for old, new in pairs])
    assert found.path is None or found.path.is_file()


def test_lines_are_read_whatever_their_ends_and_encoding(tmp_path: Path) -> None:
    file = tmp_path / "a.c"
    file.write_bytes(b"\xef\xbb\xbfint a;\r\n\tint \xff;\n\nlast")
    assert read_source(file).lines == ("int a;", "\tint \ufffd;", "", "last")
    file.write_bytes(b"")
    assert read_source(file).lines == ()


def test_a_huge_source_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_files, "SIZE_LIMIT", 10)
    monkeypatch.setattr(source_files, "LINE_LIMIT", 4)
    file = tmp_path / "a.c"
    file.write_text("abcdefgh\nij\nkl\n")
    text = read_source(file)
    assert (text.lines, text.cut) == (("abcd", "i"), True)


def test_what_is_no_plain_file_is_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.c"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path("/dev/zero")):
        with pytest.raises(StoreError):
            read_source(path)
    assert find_source(str(pipe)).path is None
    with pytest.raises(StoreError, match="cannot be read"):
        read_source(tmp_path / "gone.c")
