from __future__ import annotations

from pathlib import Path

import pytest

from tailflame.store import Library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """A profiles folder that does not exist yet."""
    return Library(tmp_path / "profiles")


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A binary at a cargo project's usual place."""
    path = tmp_path / "project" / "target" / "release-with-debug" / "book"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x7fELF")
    path.chmod(0o755)
    return path
