"""Commands run in this process, with what they print."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tailflame.cli.main import main
from tailflame.store import Library, load_settings, profiles_folder

BEFORE = """
book;main;match_order 5000
book;main;check_risk 2500
book;main;risk;check_exposure 2500
book;main;validate 1500
"""


@dataclass(frozen=True)
class Run:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


Tailflame: TypeAlias = Callable[..., Run]


@pytest.fixture
def tailflame(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tailflame:
    # Where a fault would be written down.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(*words: str | Path) -> Run:
        capsys.readouterr()
        code = main([str(word) for word in words])
        printed = capsys.readouterr()
        return Run(code, printed.out, printed.err)

    return run


@pytest.fixture
def library() -> Library:
    """The one that the commands use."""
    return Library(profiles_folder(load_settings().settings))


@pytest.fixture
def before(tmp_path: Path) -> Path:
    path = tmp_path / "before.folded"
    path.write_text(BEFORE)
    return path


@pytest.fixture
def after(tmp_path: Path) -> Path:
    """The same with one function a third slower."""
    path = tmp_path / "after.folded"
    path.write_text(BEFORE.replace("check_exposure 2500", "check_exposure 3300"))
    return path
