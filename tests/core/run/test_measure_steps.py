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
from tailflame.run.measure_steps import check_options, step_runs
from tailflame.run.plan_file import MeasurementPlan, PlanError, read_plan

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


@pytest.mark.parametrize(
    ("tool", "option", "says"),
    [
        ("perf-record", "freqency = 5", "“tools.perf-record.freqency” must be frequency, call-graph or event"),
        ("perf-record", "frequency = 'fast'", "“tools.perf-record.frequency” must be a whole number above zero"),
        ("perf-record", "frequency = inf", "must be a whole number above zero"),
        ("perf-record", "frequency = 0", "must be a whole number above zero"),
        ("perf-record", "call-graph = 'guess'", "“tools.perf-record.call-graph” must be"),
        ("perf-stat", "runs = true", "“tools.perf-stat.runs” must be a whole number"),
        ("perf-stat", "runs = -1", "“tools.perf-stat.runs” must be from "),
        ("cachegrind", "magic = 1", "“tools.cachegrind.magic” must be one of "),
        ("heaptrack", "children = 'yes'", "“tools.heaptrack."),
        ("strace", "magic = 1", "“tools.strace.magic” must be one of "),
        ("cargo-bench", "magic = 1", "“tools.cargo-bench.magic” must be"),
        ("cargo-bench", "runs = 0", "“tools.cargo-bench.runs” must be a whole number from 1 to 100"),
        ("cargo-bench", "runs = true", "“tools.cargo-bench.runs” must be a whole number"),
        ("latency", "log = 'x'", "“tools.latency” has no options in a plan"),
        ("bpftrace", "recipe = 'x'", "“tools.bpftrace” has no options in a plan"),
    ],
)
def test_options_are_checked_without_a_binary(tmp_path: Path, host: Host, tool: str, option: str, says: str) -> None:
    # Also of a tool whose step is not among those of the plan.
    text = TEXT.replace('["cpu", "caches", "latency", "probes"]', '["cpu"]')
    with pytest.raises(PlanError) as caught:
        check_options(plan(tmp_path, f"{text}[tools.{tool}]\n{option}\n"), host)
    assert says in caught.value.sentence and caught.value.advice


def test_right_options_pass(tmp_path: Path, host: Host) -> None:
    options = (
        "[tools.perf-record]\nfrequency = 99\ncall-graph = 'fp'\n[tools.perf-stat]\nruns = 3\n"
        "[tools.cargo-bench]\nfilter = 'book'\n[tools.latency]\n"
    )
    check_options(plan(tmp_path, TEXT + options), host)


def test_benches_run_once_or_as_often_as_their_tool_is_told_to(tmp_path: Path, host: Host) -> None:
    text = TEXT.replace('["cpu", "caches", "latency", "probes"]', '["benches"]')
    for more, times in (("", 1), ("[tools.cargo-bench]\nruns = 4\n", 4)):
        runs = step_runs(plan(tmp_path, text + more), Path("/bin/true"), host)
        assert [run.step.repetition for run in runs] == list(range(1, times + 1))
