"""`show` and `export` of a part: the same expressions as in the window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailflame.parse import load

Run = Callable[..., Any]
STACKS = "engine;match 60\nengine;parse 30\nlogger;write 10\n"


@pytest.fixture
def stacks(tmp_path: Path) -> Path:
    path = tmp_path / "stacks.folded"
    path.write_text(STACKS)
    return path


def test_a_part_is_shown(tailflame: Run, stacks: Path) -> None:
    document = tailflame("show", stacks, "--filter", "function:engine -function:parse", "--json").document
    assert document["view"]["samples"] == 60
    assert [row["name"] for row in document["hotspots"] if row["self"]] == ["match"]


def test_a_part_is_exported(tailflame: Run, stacks: Path, tmp_path: Path) -> None:
    target = tmp_path / "part.folded"
    assert tailflame("export", stacks, "-o", target, "--filter", "function:write,parse").code == 0
    profile = load(target).profile
    assert profile is not None and profile.total() == 40


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("thraed:x", "--filter, character 1: “thraed” is nothing that a sample has.\n"),
        ("function:engine cpu:x", "--filter, character 21: "),
        ("function:nowhere", "No function has “nowhere” in its name."),
    ],
)
def test_an_expression_that_is_none_is_refused(tailflame: Run, stacks: Path, expression: str, sentence: str) -> None:
    run = tailflame("show", stacks, "--filter", expression)
    assert run.code == 2 and sentence in run.err
