"""`init`, `gate` and `report`: what they print and write, and the exit status that goes with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.loop_project import LoopProject
from tailflame.run import plan_init
from tailflame.run.plan_file import plan_of
from tailflame.store import Library

Run = Callable[..., Any]


@pytest.fixture
def project(tmp_path: Path, library: Library) -> LoopProject:
    """Measured twice: as it is, which is the baseline, and 3 us slower at its p99 of 198 us."""
    made = LoopProject(tmp_path / "engine", library)
    made.measure(baseline=True)
    made.program(base=103)
    made.measure()
    return made


def test_the_plan_is_printed_line_by_line(tailflame: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = plan_init.plan_text("engine", programs=["engine", "a\x1b[2J\u2028b"], profile="release", benches=False)
    monkeypatch.setattr(plan_init, "propose", lambda _folder: (tmp_path / "tailflame.toml", text))
    run = tailflame("init", "--print")
    assert run.code == 0 and not (tmp_path / "tailflame.toml").exists()
    assert len(run.out.splitlines()) == len(text.rstrip().split("\n"))
    assert "\x1b" not in run.out and "a\\x1b[2J\\u2028b" in run.out, "a name steers no terminal"
    assert plan_of(run.out, tmp_path / "tailflame.toml").bin == "engine"


def test_the_summary_is_printed_as_it_is_written(tailflame: Run, project: LoopProject, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    gate = ("gate", project.folder, "--measured", "latest", "--markdown")
    assert tailflame(*gate, summary).code == 1
    written = summary.read_text()
    assert written.startswith("## engine") and "\n| Figure | Before |" in written
    assert tailflame(*gate, "-").out.startswith(written)


def test_steps_are_named_as_for_run(tailflame: Run, project: LoopProject) -> None:
    for command in ("gate", "run"):
        run = tailflame(command, project.folder, "--only", " latency, build ", "--skip", "cpu , ")
        assert run.code == 3 and "The plan has no step “cpu”." in run.err


def test_what_is_tolerated_is_said_wherever_the_gate_tells_of_it(
    tailflame: Run, project: LoopProject, tmp_path: Path
) -> None:
    summary, cases = tmp_path / "summary.md", tmp_path / "cases.xml"
    gate = ("gate", project.folder, "--measured", "latest", "--markdown", summary, "--junit", cases)
    strict = tailflame(*gate)
    assert strict.code == 1 and strict.out.startswith("Revert: ") and "\n\nFailed: p" in strict.out
    assert "\n❌ **Failed: " in summary.read_text() and "<failure" in cases.read_text()
    for words in ((), ("--json",)):
        let_pass = tailflame(*gate, "--tolerate", "10", *words)
        told = let_pass.out + summary.read_text()
        assert let_pass.code == 0 and "got worse by no more than 10%" in told and "worse, tolerated" in told
        assert "Revert" not in told and "❌" not in told and "<failure" not in cases.read_text()
    assert let_pass.document["passed"] and let_pass.document["verdict"]["decision"] == "tolerated"
    assert "\n✅ **Passed: nothing got worse by more than 10%.**" in summary.read_text()


def test_a_gate_ends_in_one_sentence(tailflame: Run, project: LoopProject) -> None:
    plan = project.folder / "tailflame.toml"
    plan.write_text(plan.read_text() + '[bounds]\n"p99 total_us" = { max = 1 }\n"IPC" = { min = 1.5 }\n')
    run = tailflame("gate", project.folder, "--measured", "latest", "--tolerate", "10")
    assert run.code == 1
    assert run.out.splitlines()[-1] == (
        "Failed: p99 total_us is 201 µs, above 1 ns; IPC was not measured, so its bound is not checked."
    )


def test_a_gate_that_a_step_failed_says_so_in_one_sentence(tailflame: Run, project: LoopProject) -> None:
    (project.folder / "engine").write_text("#!/bin/sh\nexit 3\n")
    failed = project.measure()
    run = tailflame("gate", project.folder, "--measured", failed.id)
    assert run.code == 3
    last = run.out.splitlines()[-1]
    assert last.startswith("Not measurable: ") and last.endswith(".") and not last.endswith("..")


def test_one_measurement_is_reported_alone(tailflame: Run, project: LoopProject, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for words, title in (
        ((page, "--alone"), "measurement 2"),
        (("--alone", page), "measurement 2"),
        ((page, "--alone", "baseline"), "measurement 1"),
        ((page, "baseline", "--alone"), "measurement 1"),
        ((page, "--json", "baseline", "latest"), "measurement 2 against 1"),
    ):
        assert tailflame("report", *words).code == 0
        assert page.read_text().splitlines()[0] == f"## engine: {title}"
        page.unlink()
    for words in ((page, "--alone", "baseline", "latest"), (page, "baseline", "--alone", "latest")):
        run = tailflame("report", *words)
        assert run.code == 2 and not page.exists()
        assert run.err.startswith("tailflame: --alone writes one measurement, and two are named: baseline and latest.")
