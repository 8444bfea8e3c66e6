"""Turns of the loop on the disk: what is kept of each, and what a name stands for."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tailflame.errors import StoreError, StoreVersionError
from tailflame.model.iteration import Step, StepState
from tailflame.store.iterations import Iterations, interrupted

DONE = (Step(name="cpu", state=StepState.DONE, session="a session"),)


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
    made = [kept.create(project=of, binary=of / "run", steps=DONE) for of in (one, two, one)]
    assert [iteration.number for iteration in made] == [1, 1, 2]
    assert len({iteration.id for iteration in made}) == 3
    assert kept.get("latest").id == made[2].id and kept.get("latest~1").id == made[1].id
    assert kept.get("latest", project=str(two)).id == made[1].id
    with pytest.raises(StoreError, match="not so many measurements"):
        kept.get("latest~1", project=str(two))


def test_one_whose_tests_failed_is_not_the_latest(kept: Iterations) -> None:
    good = kept.create(project=Path("/src/one"), binary=Path("/src/one/run"), steps=DONE)
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


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", " blank ", "a\nb", "a\x1b[31mb", "\x00", "a\u2028b", "\udcff"])
def test_what_is_no_name_is_refused(kept: Iterations, name: str) -> None:
    made = kept.create(project=Path("/src/one"), binary=Path("/src/one/run"))
    kept.name_baseline("good", made)
    with pytest.raises(StoreError, match="is no name for a baseline") as refused:
        kept.name_baseline(name, made)
    assert "no slash and no control characters" in refused.value.advice
    with pytest.raises(StoreError, match="is no name for a baseline"):
        kept.rename_baseline("good", name)
    assert kept.baselines() == {made.id: ["good"]}


@pytest.mark.parametrize("name", ["latest", "latest~1", "latest~12345678901234567890"])
def test_what_always_means_the_latest_is_no_name(kept: Iterations, name: str) -> None:
    made = kept.create(project=Path("/src/one"), binary=Path("/src/one/run"))
    with pytest.raises(StoreError, match="always means a measurement by its age") as refused:
        kept.name_baseline(name, made)
    assert "Only “latest” and “latest~N” are taken" in refused.value.advice


@pytest.mark.parametrize("name", ["latest-good", "latest~good", "latestgood", "v1.2", "größer", "before the split"])
def test_other_names_are_free(kept: Iterations, name: str) -> None:
    made = kept.create(project=Path("/src/one"), binary=Path("/src/one/run"))
    kept.create(project=Path("/src/one"), binary=Path("/src/one/run"))
    kept.name_baseline(name, made)
    assert kept.get(name) == kept.baseline(name) == made


def test_a_forgotten_name_stands_for_nothing_and_its_measurements_stay(kept: Iterations) -> None:
    one, other = (kept.create(project=Path(of), binary=Path(of) / "run") for of in ("/one", "/other"))
    kept.name_baseline("good", one)
    kept.name_baseline("not so good", one)
    kept.name_baseline("good", other)
    assert set(kept.forget_baseline("good")) == {one.id, other.id}
    assert kept.baselines() == {one.id: ["not so good"]} and kept.all() == (other, one)
    for project in ("", "/one", "/other"):
        assert kept.baseline("good", project=project) is None
    with pytest.raises(StoreError, match="no baseline called “good”"):
        kept.forget_baseline("good")


def test_a_name_is_forgotten_after_its_measurement_is_gone(kept: Iterations) -> None:
    made = kept.create(project=Path("/one"), binary=Path("/one/run"))
    kept.name_baseline("good", made)
    kept.discard(made)
    assert kept.baseline("good") is None
    assert kept.forget_baseline("good") == (made.id,) and kept.baselines() == {}


def test_a_baseline_is_renamed_in_each_project(kept: Iterations) -> None:
    one, other = (kept.create(project=Path(of), binary=Path(of) / "run") for of in ("/one", "/other"))
    kept.name_baseline("good", one)
    kept.name_baseline("good", other)
    assert set(kept.rename_baseline("good", "v1")) == {one.id, other.id}
    assert kept.baseline("v1", project="/one") == one and kept.baseline("v1") == other
    assert kept.baseline("good", project="/one") is None and kept.baseline("good") is None


def test_a_rename_hides_no_other_name(kept: Iterations) -> None:
    made = kept.create(project=Path("/one"), binary=Path("/one/run"))
    kept.name_baseline("good", made)
    kept.name_baseline("old", made)
    with pytest.raises(StoreError, match="“good” is the name of a baseline already") as refused:
        kept.rename_baseline("old", "good")
    assert refused.value.advice.endswith("tailflame verdict --forget good")
    with pytest.raises(StoreError, match="no baseline called “nowhere”"):
        kept.rename_baseline("nowhere", "somewhere")
    assert kept.baselines() == {made.id: ["good", "old"]}


def test_where_nothing_was_ever_measured_there_is_nothing_to_forget(kept: Iterations) -> None:
    with pytest.raises(StoreError, match="no baseline called"):
        kept.forget_baseline("baseline")
    assert not kept.root.exists()


@pytest.mark.parametrize("name", ["nowhere", "../../etc/passwd", "latest~7", "latest~" + "9" * 5000, "latest~x"])
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


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"goal_values": [1.0, float("inf")]}, "finite numbers"),
        ({"goal_values": [float("nan")]}, "finite numbers"),
        ({"goal_values": [1e300]}, "finite numbers"),
        ({"goal_values": [10**400]}, "finite numbers"),
        ({"goal_values": [True]}, "finite numbers"),
        ({"goal_values": "fast"}, "finite numbers"),
        ({"number": 0}, "from 1 to"),
        ({"number": -5}, "from 1 to"),
        ({"number": 2**62}, "from 1 to"),
        ({"wanted": float("inf")}, "a finite number"),
        ({"started_at": "9999-01-01T00:00:00+00:00"}, "measured on 9999-01-01, which is yet to come"),
        ({"started_at": "9999-12-31T23:59:59-23:59"}, "which is yet to come"),
        ({"started_at": "0001-01-01T00:00:00+14:00"}, "a time from 1970 on"),
        ({"started_at": "2026-01-01T00:00:00"}, "a time with its zone"),
        ({"started_at": None}, "a time from 1970 on"),
        ({"finished_at": "2026-01-01T00:00:00"}, "a time with its zone"),
        ({"steps": [{"name": "cpu", "state": "done", "seconds": 1e300}]}, "how long it took"),
        ({"steps": [{"name": "cpu", "state": "done", "repetition": -1}]}, "from 0 to"),
    ],
)  # fmt: skip
def test_one_with_values_that_no_measurement_has_is_left_out(
    kept: Iterations, changes: dict[str, Any], says: str
) -> None:
    made = kept.create(project=Path("/src/one"), binary=Path("/src/one/run"), steps=DONE)
    good = json.loads((kept.root / "iterations" / f"{made.id}.json").read_text())
    (kept.root / "iterations" / "spoilt.json").write_text(json.dumps({**good, **changes}))
    assert kept.all() == (made,) and kept.get("latest") == made
    with pytest.raises(StoreError, match=says):
        kept.get("spoilt")
    assert kept.create(project=Path("/src/one"), binary=Path("/src/one/run")).number == 2


def test_a_clock_that_is_some_hours_ahead_spoils_nothing(kept: Iterations) -> None:
    made = kept.create(project=Path("/src/one"), binary=Path("/src/one/run"))
    ahead = replace(made, started_at=datetime.now(UTC) + timedelta(hours=23))
    kept.save(ahead)
    assert kept.all() == (ahead,)


def test_after_the_highest_number_the_next_one_can_be_read(kept: Iterations) -> None:
    made = kept.create(project=Path("/src/one"), binary=Path("/src/one/run"))
    kept.save(replace(made, number=10**9))
    assert len({kept.create(project=Path("/src/one"), binary=Path("/src/one/run")).id, made.id}) == 2
    assert len(kept.all()) == 2


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"version": 1, "baselines": 5}', b'{"baselines": {}}', b"\xff\xfe", b""]
)
def test_damaged_names_hide_nothing_else_and_are_written_anew(kept: Iterations, content: bytes) -> None:
    made = kept.create(project=Path("/src/one"), binary=Path("/src/one/run"), steps=DONE)
    assert kept.problem() is None
    kept.name_baseline("baseline", made)
    assert kept.problem() is None
    (kept.root / "baselines.json").write_bytes(content)
    problem = kept.problem()
    assert problem is not None and "baselines.json is damaged" in problem.sentence
    assert "tailflame verdict --name baseline" in problem.advice
    assert kept.all() == (made,) and kept.get("latest") == kept.get(made.id) == made
    assert kept.baseline() is None and kept.baselines() == {}
    kept.name_baseline("baseline", made)
    assert kept.problem() is None and kept.baseline() == made
    (aside,) = kept.root.glob("baselines.damaged-*.json")
    assert aside.read_bytes() == content


def test_names_of_a_newer_version_are_left_alone(kept: Iterations) -> None:
    made = kept.create(project=Path("/src/one"), binary=Path("/src/one/run"))
    newer = kept.root / "baselines.json"
    newer.write_text('{"version": 99, "baselines": {"baseline": 7}}')
    problem = kept.problem()
    assert isinstance(problem, StoreVersionError) and problem.advice == "Update Tailflame to read it."
    assert kept.baseline() is None and kept.all() == (made,)
    with pytest.raises(StoreVersionError):
        kept.name_baseline("baseline", made)
    assert "99" in newer.read_text() and not list(kept.root.glob("baselines.damaged-*"))


def test_while_names_are_damaged_every_program_is_kept(kept: Iterations) -> None:
    for n in range(8):
        made = kept.create(project=Path("/src/one"), binary=Path("/src/one/run"))
        kept.save(replace(made, program=f"program {n}"))
        if n == 0:
            kept.name_baseline("baseline", made)
    assert len(kept.programs_wanted()) == 6, "five, and the baseline's"
    (kept.root / "baselines.json").write_text("{")
    assert len(kept.programs_wanted()) == 8


def test_what_ran_when_the_app_was_killed_was_cut_short(kept: Iterations) -> None:
    made = kept.create(project=Path("/src/one"), binary=Path("/src/one/run"))
    steps = (Step(name="cpu", state=StepState.DONE), Step(name="heap", state=StepState.RUNNING), Step(name="latency"))
    told = interrupted(replace(made, steps=steps))
    assert [step.state for step in told.steps] == [StepState.DONE, StepState.FAILED, StepState.WAITING]
    assert "cut short" in told.steps[1].problem
