"""Commits, cargo profiles, and the key of a baseline."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tailflame.store.provenance import binary_key, cargo_profile, commit_of


@pytest.mark.parametrize(
    ("path", "profile"),
    [
        ("target/release/book", "release"),
        ("target/debug/book", "dev"),
        ("target/release-with-debug/deps/book-0123456789abcdef", "release-with-debug"),
        ("target/release/examples/quote", "release"),
        ("target/x86_64-unknown-linux-gnu/release/book", "release"),
        ("bin/book", ""),
        ("book", ""),
    ],
)
def test_a_path_names_cargos_profile(tmp_path: Path, path: str, profile: str) -> None:
    assert cargo_profile(tmp_path / path) == profile


def test_a_target_folder_of_another_name_is_known_by_its_tag(tmp_path: Path) -> None:
    release = tmp_path / "out" / "release"
    release.mkdir(parents=True)
    assert cargo_profile(release / "book") == ""
    (tmp_path / "out" / "CACHEDIR.TAG").touch()
    (release / ".cargo-lock").touch()
    assert cargo_profile(release / "book") == "release"


def test_a_key_has_no_links_and_no_hash(tmp_path: Path) -> None:
    real = tmp_path / "deps" / "book-0123456789abcdef"
    assert binary_key(real) == str(tmp_path / "deps" / "book")
    assert binary_key(tmp_path / "bin" / "book-0123456789abcdef").endswith("bin/book-0123456789abcdef")
    (tmp_path / "link").symlink_to("a")
    assert binary_key(tmp_path / "link") == str(tmp_path / "a")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    root = tmp_path / "project"
    (root / "target" / "release").mkdir(parents=True)
    (root / "main.rs").write_text("fn main() {}\n")
    (root / ".gitignore").write_text("target\n")
    git(root, "init", "-q", "-b", "trunk")
    git(root, "add", ".")
    git(root, "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-q", "-m", "first")
    return root


def git(root: Path, *arguments: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    done = subprocess.run(
        ("git", "-C", str(root), *arguments), check=True, capture_output=True, text=True, env=environment
    )
    return done.stdout.strip()


def test_the_commit_of_a_binary_and_whether_its_sources_differ(project: Path) -> None:
    commit = commit_of(project / "target" / "release")
    assert commit is not None
    assert (commit.commit, commit.branch, commit.dirty) == (git(project, "rev-parse", "HEAD"), "trunk", False)
    assert Path(commit.root) == project.resolve()
    assert commit.short == commit.commit[:9]
    (project / "notes.txt").write_text("untracked files do not make a build differ")
    assert commit_of(project) == commit
    (project / "main.rs").write_text("fn main() { slow() }\n")
    dirty = commit_of(project / "target" / "release" / "not" / "there")
    assert dirty is not None
    assert dirty.dirty is True
    assert dirty.short == f"{commit.commit[:9]}+"
    (project / "main.rs").write_text("fn main() { slower() }\n")
    other = commit_of(project)
    assert other is not None and other.short == dirty.short
    assert len({commit.state, dirty.state, other.state}) == 3, "another change is another state"
    assert commit_of(project) == other and commit.state == commit.short


def test_a_detached_head_has_no_branch(project: Path) -> None:
    git(project, "checkout", "-q", "--detach")
    commit = commit_of(project)
    assert commit is not None
    assert commit.branch == ""


def test_the_environment_of_a_git_hook_misleads_nobody(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert commit_of(project) is not None


def test_the_projects_own_monitor_is_not_run(project: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    git(project, "config", "core.fsmonitor", str(trap))
    assert commit_of(project) is not None
    assert not (tmp_path / "sprung").exists()


def test_outside_git_or_without_git_there_is_no_commit(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commit_of(tmp_path) is None
    git(project, "update-ref", "-d", "HEAD")
    assert commit_of(project) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(project) is None
