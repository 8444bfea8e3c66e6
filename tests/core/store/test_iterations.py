"""Turns of the loop on the disk: what is kept of each, and what a name stands for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tailflame.errors import StoreError
from tailflame.model.iteration import Step, StepState
from tailflame.store.iterations import Iterations, interrupted


@pytest.fixture
def kept(tmp_path: Path) -> Iterations:
    return Iterations(tmp_path / "profiles")


def test_what_is_kept_reads_back(kept: Iterations) -> None:
    made = kept.create(
        project=Path("/src/engine"), binary=Path("/src/engine/target/release/engine"), goal="p99 total_us",
        commit="9f3c2e1", environment={"rustc": "1.95", "governor": "performance"},
    )  # fmt: skip
    steps = (
        Step(name="build", state=StepState.DONE, seconds=3.5),
        Step(
            name="cpu", tool="perf-record", repetition=2, state=StepState.FAILED, problem="It crashed.", fix="Mend it."
        ),
    )
    whole = replace(
        made, steps=steps, finished_at=datetime.now(UTC), decision="keep", sentence="Keep: it is better.",
        goal_values=(1.5, 2.0), goal_unit="ns", checked=("release build",), note="smaller book",
    )  # fmt: skip
    kept.save(whole)
    assert kept.get(made.id) == whole
    assert kept.all() == (whole,)


def test_they_are_numbered_within_their_project(kept: Iterations) -> None:
    one, two = Path("/src/one"), Path("/src/two")
    done = (Step(name="cpu", state=StepState.DONE, session="a session"),)
    made = [kept.create(project=of, binary=of / "run", steps=done) for of in (one, two, one)]
    assert [iteration.number for iteration in made] == [1, 1, 2]
    assert len({iteration.id for iteration in made}) == 3
    assert kept.get("latest").id == made[2].id and kept.get("latest~1").id == made[1].id
    assert kept.get("latest", project=str(two)).id == made[1].id
    with pytest.raises(StoreError, match="not so many measurements"):
        kept.get("latest~1", project=str(two))


def test_one_whose_tests_failed_is_not_the_latest(kept: Iterations) -> None:
    done = (Step(name="latency", state=StepState.DONE, session="a session"),)
    good = kept.create(project=Path("/src/one"), binary=Path("/src/one/run"), steps=done)
    kept.create(
        project=Path("/src/one"), binary=Path("/src/one/run"), steps=(Step(name="test", state=StepState.FAILED),)
    )
    assert kept.get("latest").id == good.id and len(kept.all()) == 2


def test_one_is_measured_by_one_tailflame_at_a_time(kept: Iterations) -> None:
    one = kept.create(project=Path("/src/one"), binary=Path("/src/one/run"))
    with (
        kept.claimed(one),
        pytest.raises(StoreError, match="Measurement 1 is being made by another"),
        kept.claimed(one),
    ):
        pass
    with kept.claimed(one):
        pass
    assert kept.all() == (one,)


def test_a_name_stands_for_one_of_them(kept: Iterations) -> None:
    made = kept.create(project=Path("/src/one"), binary=Path("/src/one/run"))
    assert kept.baseline() is None
    kept.name_baseline("baseline", made)
    kept.name_baseline("before the split", made)
    assert kept.baseline() == made and kept.get("before the split") == made
    assert kept.baselines() == {made.id: ["baseline", "before the split"]}


def test_each_project_has_a_baseline_of_its_own(kept: Iterations) -> None:
    one, other, third = (kept.create(project=Path(of), binary=Path(of) / "run") for of in ("/one", "/other", "/third"))
    kept.name_baseline("baseline", one)
    kept.name_baseline("baseline", other)
    assert kept.baseline(project="/one") == one == kept.get("baseline", project="/one")
    assert kept.baseline(project="/other") == other == kept.baseline() == kept.baseline(project=third.project)
    assert kept.baselines() == {one.id: ["baseline"], other.id: ["baseline"]}


@pytest.mark.parametrize("name", ["", "a/b", "latest", ".hidden", " blank "])
def test_what_is_no_name_is_refused(kept: Iterations, name: str) -> None:
    made = kept.create(project=Path("/src/one"), binary=Path("/src/one/run"))
    with pytest.raises(StoreError, match="is no name for a baseline"):
        kept.name_baseline(name, made)


@pytest.mark.parametrize("name", ["nowhere", "../../etc/passwd", "latest~7"])
def test_what_is_not_there_is_said_so(kept: Iterations, name: str) -> None:
    with pytest.raises(StoreError):
        kept.get(name)


def test_a_damaged_one_hides_no_other(kept: Iterations) -> None:
    made = kept.create(project=Path("/src/one"), binary=Path("/src/one/run"))
    (kept.root / "iterations" / "20200101-000000.json").write_text('{"version": 1')
    (kept.root / "iterations" / "20200101-000001.json").write_text('{"version": 99}')
    assert kept.all() == (made,)
    with pytest.raises(StoreError, match="newer Tailflame"):
        kept.get("20200101-000001")


def test_what_ran_when_the_app_was_killed_was_cut_short(kept: Iterations) -> None:
    made = kept.create(project=Path("/src/one"), binary=Path("/src/one/run"))
    steps = (Step(name="cpu", state=StepState.DONE), Step(name="heap", state=StepState.RUNNING), Step(name="latency"))
    told = interrupted(replace(made, steps=steps))
    assert [step.state for step in told.steps] == [StepState.DONE, StepState.FAILED, StepState.WAITING]
    assert "cut short" in told.steps[1].problem
