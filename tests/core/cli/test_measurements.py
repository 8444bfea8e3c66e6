"""The loop's commands, on projects that need no profiler: what they print, and how they exit."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from helpers.loop_project import LoopProject
from tailflame.store import Library

from .conftest import Tailflame


@pytest.fixture
def project(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoopProject:
    made = LoopProject(tmp_path / "engine", library)
    monkeypatch.chdir(made.folder)
    return made


@pytest.fixture
def other(library: Library, tmp_path: Path) -> LoopProject:
    return LoopProject(tmp_path / "other", library)


def test_a_bound_that_does_not_hold_is_told_by_run_and_fails_the_verdict(
    project: LoopProject, tailflame: Tailflame
) -> None:
    path = project.folder / "tailflame.toml"
    path.write_text(path.read_text() + '[bounds]\n"p99 total_us" = { max = 50, unit = "us" }\n')
    bound = "p99 total_us is 198 µs, above 50.0 µs."
    first = tailflame("run")
    assert first.code == 0 and f"Bound: {bound}" in first.out
    project.program(base=10)  # better than before, and still above
    second = tailflame("run", "--json")
    assert second.document["broken_bounds"] == ["p99 total_us is 108 µs, above 50.0 µs."]
    assert second.document["verdict"]["decision"] == "keep"
    told = tailflame("verdict", "--json")
    assert (told.code, told.document["broken_bounds"]) == (1, second.document["broken_bounds"])


def test_the_latest_is_that_of_the_project_one_stands_in(
    project: LoopProject, other: LoopProject, tailflame: Tailflame, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.measure(baseline=True)
    project.program(base=10)
    mine = project.measure()
    theirs = other.measure(baseline=True)
    assert tailflame("verdict", "--json").document["decision"] == "keep"
    tailflame("verdict", "--name", "good")
    assert project.iterations.get("good").id == mine.id
    monkeypatch.chdir(other.folder.parent)
    tailflame("verdict", "--name", "good")
    assert project.iterations.get("good").id == theirs.id
    listed = tailflame("verdict", "--list")
    assert [line.split()[0] for line in listed.out.splitlines()[1:]] == ["other", "engine", "engine"]


def test_a_gate_is_not_held_against_another_project(
    project: LoopProject, other: LoopProject, tailflame: Tailflame
) -> None:
    other.measure(baseline=True)
    gate = tailflame("gate")
    assert gate.code == 3 and "There is no baseline called “baseline”." in gate.err


def test_what_differs_between_two_measurements_is_told(project: LoopProject, tailflame: Tailflame) -> None:
    project.measure(baseline=True)
    project.plan('env = { MODE = "fast" }')
    project.measure()
    different = "Not the same environment: none before, “MODE=fast” after."
    assert tailflame("verdict", "--json").document["different"] == [different]
    written = project.folder / "report.md"
    tailflame("report", written)
    assert "Not the same environment" in written.read_text()


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("run", "Measurement 2 was cut short: `tailflame run --resume` goes on."),
        ("gate", "The measurement was cut short: nothing is said of a part of it."),
    ],
)
def test_what_is_stopped_says_so(project: LoopProject, tailflame: Tailflame, command: str, says: str) -> None:
    project.measure(baseline=True)
    gate = project.folder / "begun"
    project.program(rest=f': > "{gate}"; sleep 30 & wait')

    def interrupt() -> None:
        while not gate.exists():
            stop.wait(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    stop = threading.Event()
    thread = threading.Thread(target=interrupt)
    thread.start()
    ended = tailflame(command)
    thread.join()
    assert ended.code == 130 and says in ended.err and "Passed" not in ended.out
    assert not project.iterations.all()[0].is_finished


def test_more_is_of_the_latest_that_measured_something(project: LoopProject, tailflame: Tailflame) -> None:
    good = project.measure()
    (project.folder / "engine").write_text("#!/bin/sh\nexit 3\n")
    project.measure()
    assert tailflame("run", "--more", "1", "--json").document["id"] == good.id


def test_more_goes_with_few_options_and_needs_something_to_add_to(project: LoopProject, tailflame: Tailflame) -> None:
    assert tailflame("run", "--more", "2").code == 3
    assert tailflame("run", "--more", "2", "--resume").code == 2
    project.measure()
    assert tailflame("run", "--more", "0").code == tailflame("run", "--more", "201").code == 2
    assert json.loads(tailflame("run", "--more", "1", "--json").out)["verdict"] is None
