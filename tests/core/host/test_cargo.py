"""The cargo project behind a binary."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tailflame.errors import ToolFailed, ToolMissing
from tailflame.host.cargo import CargoTarget, is_debug_profile, newer_source, project_root, read_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "engine"
    for folder in ("src/bin", "tests", "benches", "examples", "target/release"):
        (root / folder).mkdir(parents=True)
    (root / "Cargo.toml").write_text('[package]\nname = "engine"\nversion = "0.1.0"\nedition = "2021"\n')
    for file in ("src/main.rs", "src/bin/feed.rs", "tests/matching.rs", "benches/book.rs", "examples/replay.rs"):
        (root / file).write_text("fn main() {}\n")
    return root


def built(project: Path, name: str = "release/engine", *, at: float = 1000) -> Path:
    binary = project / "target" / name
    binary.parent.mkdir(parents=True, exist_ok=True)
    binary.write_bytes(b"")
    for path in project.rglob("*"):
        os.utime(path, (at - 100, at - 100))
    os.utime(binary, (at, at))
    return binary


def test_root_of_a_binary_a_source_and_itself(project: Path) -> None:
    for path in (project / "target/release/engine", project / "src/main.rs", project):
        assert project_root(path) == project
    assert project_root(Path("/usr/bin/env")) is None


@pytest.mark.parametrize(
    ("path", "debug"),
    [
        ("/p/target/debug/engine", True),
        ("/p/target/x86_64-unknown-linux-gnu/debug/engine", True),
        ("/p/target/debug/deps/engine-0123", True),
        ("/p/target/release/engine", False),
        ("/home/debug/p/target/release/engine", False),
        ("/srv/debug/engine", False),
    ],
)
def test_debug_profile(path: str, debug: bool) -> None:
    assert is_debug_profile(Path(path)) is debug


def test_a_target_folder_of_another_name(tmp_path: Path) -> None:
    (tmp_path / "build/debug/.fingerprint").mkdir(parents=True)
    assert is_debug_profile(tmp_path / "build/debug/engine")


def test_up_to_date(project: Path) -> None:
    assert newer_source(built(project)) is None


@pytest.mark.parametrize("source", ["src/main.rs", "Cargo.toml", "src/bin/feed.rs"])
def test_changed_since(project: Path, source: str) -> None:
    binary = built(project)
    os.utime(project / source, (2000, 2000))
    assert newer_source(binary) == project / source


def test_the_newest_is_named_and_the_target_folder_does_not_count(project: Path) -> None:
    binary = built(project)
    (project / "target/release/build.rs").write_text("")
    os.utime(project / "src/main.rs", (2000, 2000))
    os.utime(project / "src/bin/feed.rs", (3000, 3000))
    assert newer_source(binary) == project / "src/bin/feed.rs"


def test_cargos_own_list_decides_where_there_is_one(project: Path, tmp_path: Path) -> None:
    binary = built(project)
    other = tmp_path / "a dependency.rs"
    other.write_text("")
    rule = f"{binary}: {project}/src/main.rs {str(other).replace(' ', chr(92) + ' ')}\n"
    binary.with_name("engine.d").write_text(rule)
    os.utime(project / "src/bin/feed.rs", (2000, 2000))  # of another binary
    os.utime(other, (10, 10))
    assert newer_source(binary) is None
    os.utime(other, (2000, 2000))
    assert newer_source(binary) == other


def test_a_binary_that_only_lies_in_a_project(project: Path) -> None:
    tool = project / "scripts/tool"
    tool.parent.mkdir()
    tool.write_bytes(b"")
    os.utime(tool, (10, 10))
    assert newer_source(tool) is None


@pytest.mark.tool("cargo")
def test_what_a_project_can_run(project: Path) -> None:
    found = read_project(project)
    assert {(target.kind, target.name) for target in found.targets} == {
        ("bin", "engine"),
        ("bin", "feed"),
        ("example", "replay"),
        ("test", "matching"),
        ("bench", "book"),
    }
    assert CargoTarget("bin", "engine", "engine") in found.targets
    assert found.target_folder == project / "target"


@pytest.mark.tool("cargo")
def test_a_project_that_cargo_cannot_read(project: Path) -> None:
    (project / "Cargo.toml").write_text("[package\n")
    with pytest.raises(ToolFailed, match="cannot read the project") as caught:
        read_project(project)
    assert caught.value.details


def test_no_cargo(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    with pytest.raises(ToolMissing):
        read_project(project)
