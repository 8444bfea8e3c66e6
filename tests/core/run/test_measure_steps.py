"""Which runs a plan makes, and in which order. No tool is started."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tailflame.host.privilege import Access, Means, Need, Way
from tailflame.host.system import Host, probe_host
from tailflame.model.iteration import StepState
from tailflame.run import measure_steps
from tailflame.run.measure_steps import step_runs
from tailflame.run.plan_file import MeasurementPlan, read_plan

BINARY = Path(sys.executable)
TEXT = """
[target]
path = "engine"
[measure]
repetitions = 3
steps = ["cpu", "caches", "latency", "probes"]
[latency]
hlog = "{out}/x.hlog"
probe = ["match_order"]
"""


def plan(folder: Path, text: str = TEXT) -> MeasurementPlan:
    (folder / "tailflame.toml").write_text(text)
    return read_plan(folder / "tailflame.toml")


@pytest.fixture(scope="module")
def host() -> Host:
    return probe_host()


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        measure_steps, "access", lambda *_a: Access(need=Need.PROBE, ways=(Way.AS_IS,), sentence="")
    )  # fmt: skip


@pytest.mark.usefixtures("allowed")
def test_steps_take_turns(tmp_path: Path, host: Host) -> None:
    runs = step_runs(plan(tmp_path), BINARY, host)
    assert [(run.step.name, run.step.repetition) for run in runs] == [
        *(("cpu", 1), ("caches", 1), ("latency", 1), ("probes", 1)),
        *(("cpu", 2), ("caches", 2), ("latency", 2), ("probes", 2)),
        *(("cpu", 3), ("latency", 3), ("probes", 3)),
    ]
    assert {run.step.state for run in runs} == {StepState.WAITING}


@pytest.mark.usefixtures("allowed")
def test_without_functions_there_are_no_probes(tmp_path: Path, host: Host) -> None:
    runs = step_runs(plan(tmp_path, TEXT.replace("probe = [", "# probe = [")), BINARY, host)
    assert "probes" not in {run.step.name for run in runs}


def test_who_may_not_probe_leaves_that_out_alone(tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_steps, "means", Means)
    monkeypatch.setattr(Host, "has_tool", lambda _self, name: Path("/usr/bin") / name)
    runs = step_runs(plan(tmp_path), BINARY, replace(host, uid=1000))
    steps = [run.step for run in runs if run.step.name == "probes"]
    assert {(step.state, step.problem, step.fix) for step in steps} == {
        (
            StepState.SKIPPED,
            "Functions cannot be probed: bpftrace, which probes functions, works for root alone.",
            "Start Tailflame with sudo.",
        )
    }
    assert {run.step.state for run in runs if run.step.name != "probes"} == {StepState.WAITING}


def test_a_step_whose_tool_is_missing_names_the_install_command(
    tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Host, "has_tool", lambda _self, _name: None)
    steps = {run.step.name: run.step for run in step_runs(plan(tmp_path), BINARY, host)}
    assert steps["probes"].problem == "Functions cannot be probed: bpftrace is not installed."
    assert "bpftrace" in steps["probes"].fix and steps["probes"].state is StepState.SKIPPED
    assert (steps["caches"].state, steps["caches"].problem) == (StepState.FAILED, "valgrind is not installed.")
    assert "valgrind" in steps["caches"].fix and steps["latency"].state is StepState.WAITING
