"""The program `spin` of the recorded perf.data, put where perf's own cache would have it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from helpers.environment import DATA

RECORDED = DATA / "perf/6.1.187"
SPIN = RECORDED / "spin"
BUILD_ID = "9d9ebfec8cc613ccc231a03e13e0f00e75b72fc6"


def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes `home` the user's, with the program in the build-id cache; returns its place there."""
    shelf = home / ".debug/.build-id" / BUILD_ID[:2] / BUILD_ID[2:]
    shelf.mkdir(parents=True)
    shutil.copy(SPIN, shelf / "elf")
    monkeypatch.setenv("HOME", str(home))
    return shelf / "elf"
