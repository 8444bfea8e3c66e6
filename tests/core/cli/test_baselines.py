"""What names of measurements do on the command line: `verdict --name` and its kin, and names that are damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.loop_project import LoopProject
from tailflame.model.iteration import Iteration, Step, StepState
from tailflame.store import Library
from tailflame.store.iterations import Iterations

Run = Callable[..., Any]


@pytest.fixture
def iterations(library: Library) -> Iterations:
    return Iterations(library.root)


@pytest.fixture
def made(iterations: Iterations) -> Iteration:
    done = (Step(name="cpu", state=StepState.DONE, session="a session"),)
    return iterations.create(project=Path("/src/one"), binary=Path("/src/one/run"), note="as it was", steps=done)


def damage(iterations: Iterations) -> None:
    (iterations.root / "baselines.json").write_text("{")


def test_damaged_names_are_told_and_the_list_goes_on(tailflame: Run, iterations: Iterations, made: Iteration) -> None:
    damage(iterations)
    run = tailflame("verdict", "--list")
    assert run.code == 0 and made.note in run.out
    told, fix = run.err.splitlines()
    assert told.startswith("tailflame: ") and told.endswith("baselines.json is damaged: it is not valid JSON.")
    assert fix.startswith("  fix: Until you mend it no baseline is known")
    (row,) = tailflame("verdict", "--list", "--json").document["measurements"]
    assert row["id"] == made.id and row["baselines"] == []
    assert tailflame("verdict", "--name", "baseline").code == 0
    run = tailflame("verdict", "--list")
    assert run.err == "" and "baseline" in run.out.splitlines()[1]


@pytest.mark.parametrize("words", [("verdict",), ("report", "out.md"), ("gate", "--measured", "latest")])
def test_damaged_names_are_told_wherever_a_baseline_is_meant(
    tailflame: Run, iterations: Iterations, made: Iteration, words: tuple[str, ...]
) -> None:
    damage(iterations)
    run = tailflame(*words)
    assert run.code == 3 and "baselines.json is damaged" in run.err.splitlines()[0]


def test_damaged_names_do_not_stop_a_run(tailflame: Run, tmp_path: Path, library: Library) -> None:
    project = LoopProject(tmp_path / "engine project", library)
    first = project.measure(baseline=True)
    damage(project.iterations)
    run = tailflame("run", project.folder)
    assert run.code == 0, run.err
    assert "baselines.json is damaged" in run.err.splitlines()[0], "before anything is measured"
    assert "Measurement 2 is the baseline now." in run.err
    now = project.iterations.baseline()
    assert now is not None and now.number == 2 and len(project.iterations.all()) == 2
    assert tailflame("verdict", first.id, now.id).code == 0


def test_names_of_a_newer_version_do_not_hide_what_was_measured(
    tailflame: Run, tmp_path: Path, library: Library
) -> None:
    project = LoopProject(tmp_path / "engine project", library)
    library.root.mkdir(parents=True, exist_ok=True)
    (library.root / "baselines.json").write_text('{"version": 99}')
    run = tailflame("run", project.folder, "--json")
    assert (run.code, run.document["number"]) == (0, 1)
    assert "newer Tailflame" in run.err.splitlines()[0]
    assert tailflame("run", project.folder, "--baseline").code == 3, "what was asked for was not done"
    assert (library.root / "baselines.json").read_text() == '{"version": 99}'


def test_a_name_is_forgotten_and_its_measurement_stays(tailflame: Run, made: Iteration) -> None:
    assert tailflame("verdict", "--name", "latest-good").code == 0
    run = tailflame("verdict", "--forget", "latest-good")
    assert run.code == 0 and run.out == f"“latest-good” stands for nothing any more. Kept: {made.id}\n"
    (row,) = tailflame("verdict", "--list", "--json").document["measurements"]
    assert (row["id"], row["baselines"]) == (made.id, [])
    run = tailflame("verdict", "--forget", "latest-good")
    assert (run.code, run.err.splitlines()[0]) == (3, "tailflame: There is no baseline called “latest-good”.")


def test_a_baseline_is_renamed(tailflame: Run, made: Iteration) -> None:
    assert tailflame("verdict", "--name", "good").code == 0
    run = tailflame("verdict", "--rename", "good", "v1", "--json")
    assert run.document == {"name": "v1", "measurements": [made.id]}
    (row,) = tailflame("verdict", "--list", "--json").document["measurements"]
    assert row["baselines"] == ["v1"]
    assert tailflame("verdict", "--forget", "v1", "--json").document == {"name": "", "measurements": [made.id]}


def test_names_are_changed_one_at_a_time(tailflame: Run, made: Iteration) -> None:
    assert tailflame("verdict", "--name", "good").code == 0
    for words in (("--forget", "good", "--name", "x"), ("--forget", "good", "--rename", "good", "x")):
        assert tailflame("verdict", *words).code == 2
    (row,) = tailflame("verdict", "--list", "--json").document["measurements"]
    assert row["baselines"] == ["good"]


def test_a_name_with_a_line_end_is_refused_in_one_line(tailflame: Run, made: Iteration) -> None:
    run = tailflame("verdict", "--name", "a\nb")
    assert run.code == 3
    assert run.err.splitlines()[0] == "tailflame: “a\\nb” is no name for a baseline."
    assert tailflame("verdict", "--name", "").code == 3, "not the same as no name"
