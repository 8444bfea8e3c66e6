"""cargo flamegraph: exact command lines, and what its failures mean."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path

import pytest

from tailflame.errors import ToolFailed
from tailflame.host.system import Host, Support
from tailflame.tools import CARGO_FLAMEGRAPH, CallGraph, CargoKind, CargoOptions, Plan, Target

PROJECT = Path("/p/engine")
TARGET = Target(PROJECT / "target/release/engine", ("--seconds", "10"))
OPTIONS = CargoOptions(project=PROJECT, name="engine", at=datetime(2026, 3, 9, 7, 5, 2))
PERF = "record -k CLOCK_MONOTONIC -F 1999 -e cpu-clock --call-graph dwarf,16384"


def plan(out: str = "/profiles/one", target: Target = TARGET, **wishes: object) -> Plan:
    return CARGO_FLAMEGRAPH.plan(target, dataclasses.replace(OPTIONS, **wishes), Path(out))  # type: ignore[arg-type]


def test_command_line() -> None:
    assert plan().argv == (
        *("cargo", "flamegraph", "--bin", "engine", "--ignore-status"),
        *("--cmd", f"{PERF} -o /profiles/one/perf.data"),
        *("--output", "/profiles/one/cpu_flamegraph_20260309_070502.svg"),
        *("--", "--seconds", "10"),
    )


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"kind": CargoKind.TEST, "name": "matching"}, ["--test", "matching"]),
        ({"kind": CargoKind.BENCH, "name": "order_path"}, ["--bench", "order_path"]),
        ({"kind": CargoKind.EXAMPLE, "name": "feed"}, ["--example", "feed"]),
        ({"kind": CargoKind.UNIT_TEST, "name": ""}, ["--unit-test"]),
        ({"name": ""}, []),
        (
            {"profile": "release-with-debug", "package": "core", "features": ("a", "b")},
            [
                *("--profile", "release-with-debug", "--package", "core"),
                *("--features", "a,b", "--bin", "engine"),
            ],
        ),
    ],
)
def test_what_is_run(wishes: dict[str, object], words: list[str]) -> None:
    argv = plan(**wishes).argv
    assert list(argv[2 : argv.index("--ignore-status")]) == words


def test_perf_is_told_the_same_as_everywhere() -> None:
    argv = plan(call_graph=CallGraph.FRAME_POINTERS, frequency=499, event="cycles:u").argv
    command = argv[argv.index("--cmd") + 1]
    assert command == "record -k CLOCK_MONOTONIC -F 499 -e cycles:u --call-graph fp -o /profiles/one/perf.data"


def test_no_arguments_no_dashes() -> None:
    assert "--" not in plan(target=Target(TARGET.binary)).argv


def test_a_folder_with_a_blank_is_not_split() -> None:
    spaced = plan(out="/my profiles/one")
    argv = spaced.argv
    assert argv[argv.index("--cmd") + 1] == PERF  # perf.data falls into the project …
    assert dict(spaced.moves) == {PROJECT / "perf.data": Path("/my profiles/one/perf.data")}  # … and is fetched
    assert not plan().moves


def test_artifacts_have_their_usual_names() -> None:
    assert {role: path.name for role, path in plan().artifacts.items()} == {
        "svg": "cpu_flamegraph_20260309_070502.svg",
        "perf.data": "perf.data",
    }
    assert plan().result.suffix == ".svg"


def test_runs_in_the_project_and_builds_first() -> None:
    assert plan().cwd == PROJECT
    assert plan().builds_first
    assert not plan().mirrors_target


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("error: no such command: `flamegraph`\n", "cargo flamegraph is not installed"),
        ('error: could not compile `engine` (bin "engine")\nError: cargo build failed\n', "does not build"),
        ("error: no bin target named `nosuch` in default-run packages\n", "no such target"),
        ("error: no bench target named `nosuch`\n", "no such target"),
        ("Error: several possible targets found: [...], please pass an explicit target.\n", "not exactly one target"),
        ("failed to write perf data, error: No space left on device\n", "disk filled up"),
    ],
)
def test_failures_become_a_sentence(words: str, sentence: str) -> None:
    problem = CARGO_FLAMEGRAPH.explain(words, plan())
    assert isinstance(problem, ToolFailed)
    assert sentence in problem.sentence
    assert problem.advice


def test_available_only_with_all_three(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "cargo"))
    host = Host(perf=Path("/usr/bin/perf"), events={}, lbr=Support(False))
    assert CARGO_FLAMEGRAPH.probe(host).reason == "cargo is not installed"
    for name, missing in (("cargo", "cargo-flamegraph"), ("cargo-flamegraph", "perf")):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        capabilities = CARGO_FLAMEGRAPH.probe(host)
        assert capabilities.reason == f"{missing} is not installed"
        assert capabilities.fix
