"""Where things are in the checkout, and what a test does when a tool is missing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"


def refuse(reason: str) -> NoReturn:
    """Skips with `reason`; where CI is set a skip would hide a missing tool, so it fails."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}, and CI does not skip")
    pytest.skip(reason)
