"""Where things are in the checkout, and what a test does when a tool is missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"


def open_to_others(folder: Path, base: Path, *, mode: int = 0o755) -> None:
    """Lets other users into a folder of pytest's, which keeps its own from them; nothing above pytest's is touched.

    base: `tmp_path_factory.getbasetemp()`, of whichever worker.
    """
    own = next((place for place in base.parents if place.name.startswith("pytest-of-")), base)
    for place in (folder, *folder.parents):
        if not place.is_relative_to(own):
            return
        place.chmod(mode)


def refuse(reason: str) -> NoReturn:
    """Skips with `reason`; where CI is set a skip would hide a missing tool, so it fails."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}, and CI does not skip")
    pytest.skip(reason)
