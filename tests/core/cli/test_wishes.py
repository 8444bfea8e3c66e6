"""What the command line of `record` asks for, without recording anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from tailflame.cli import wishes
from tailflame.host.cargo import CargoProject, CargoTarget
from tailflame.host.system import Host, Support

Run = Callable[..., Any]
HOST = Host(perf=Path("/usr/bin/perf"), perf_version="6.1", events=MappingProxyType({"cpu-clock": Support(True)}))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cargo project with one binary, and a machine that can record."""
    folder = tmp_path / "engine"
    (folder / "src").mkdir(parents=True)
    (folder / "Cargo.toml").touch()
    targets = (CargoTarget("bin", "engine", "engine"), CargoTarget("bench", "book", "engine"))
    monkeypatch.setattr(wishes, "read_project", lambda root: CargoProject(root, targets, root / "target"))
    monkeypatch.setattr("tailflame.cli.record.probe_host", lambda: HOST)
    monkeypatch.chdir(folder / "src")
    return folder


@pytest.mark.parametrize(
    ("words", "argv"),
    [
        (("--cargo",), "cargo flamegraph --bin engine"),
        (("--bin", "engine", "--cargo-profile", "dev"), "cargo flamegraph --profile dev --bin engine"),
        (("--bench", "book"), "cargo flamegraph --bench book"),
        (("--example", "x", "--package", "p"), "cargo flamegraph --package p --example x"),
        (("--test", "t", "--features", "a,b"), "cargo flamegraph --features a,b --test t"),
    ],
)
def test_a_cargo_target_is_recorded_by_cargo_flamegraph(
    tailflame: Run, project: Path, words: tuple[str, ...], argv: str
) -> None:
    line = tailflame("record", "--dry-run", *words, "--", "--seconds", "3").out
    assert f"cd {project}" in line
    assert argv in line
    assert line.endswith(" -- --seconds 3\n")


def test_its_options_reach_perf(tailflame: Run) -> None:
    words = ("-F", "499", "-e", "cycles", "-g", "fp", "-d", "3")
    assert "-F 499 -e cycles --call-graph fp" in tailflame("record", "--dry-run", "--cargo", *words).out
    words = ("-g", "dwarf", "--stack-size", "32768")
    assert "--call-graph dwarf,32768" in tailflame("record", "--dry-run", "--cargo", *words).out


@pytest.mark.parametrize(
    ("kind", "name", "profile", "place"),
    [
        ("bin", "engine", "release", "target/release/engine"),
        ("bin", "engine", "dev", "target/debug/engine"),
        ("example", "quote", "release", "target/release/examples/quote"),
        ("bench", "book", "bench", "target/release/deps/book"),
    ],
)
def test_the_session_belongs_to_the_program_that_cargo_builds(
    project: Path, kind: str, name: str, profile: str, place: str
) -> None:
    given = dict.fromkeys(("bin", "example", "test", "bench", "frequency", "event", "duration", "call_graph"))
    given |= {
        "stack_size": None,
        "package": "",
        "features": "",
        "cargo": False,
        "env": [],
        "directory": None,
        "pid": "",
    }
    args = SimpleNamespace(**{**given, kind: name, "cargo_profile": profile, "off_cpu": False})
    wish = wishes.wish_of(args, [], HOST)  # type: ignore[arg-type]
    assert wish.tool == "cargo-flamegraph"
    assert wish.target.binary == project / place


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("--cargo", "--off-cpu"), 2, "cargo flamegraph records no time off the CPU"),
        (("--cargo", "-e", "cycles,instructions"), 2, "cargo flamegraph samples one event"),
        (("--bin", "a", "--test", "b"), 2, "not allowed with argument"),
        (("--features", "x", "--", "/bin/true"), 2, "--features is for cargo flamegraph"),
        (("--cargo-profile", "x", "--", "/bin/true"), 2, "--cargo-profile is for cargo flamegraph"),
        (("--cargo", "-C", "/usr"), 5, "There is no cargo project in /usr"),
    ],
)
def test_what_contradicts_itself_is_refused(tailflame: Run, words: tuple[str, ...], code: int, sentence: str) -> None:
    run = tailflame("record", *words)
    assert run.code == code
    assert sentence in run.err


def test_without_a_single_binary_a_name_is_asked_for(tailflame: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = (CargoTarget("bin", "one", "p"), CargoTarget("bin", "two", "p"))
    monkeypatch.setattr(wishes, "read_project", lambda root: CargoProject(root, targets, root / "target"))
    run = tailflame("record", "--cargo")
    assert run.code == 2
    assert "one, two" in run.err
    assert "--bin" in run.err


@pytest.mark.parametrize(
    ("pointers", "graph"), [(True, "--call-graph fp"), (False, "dwarf,8192"), (None, "dwarf,8192")]
)
def test_the_call_graph_suits_the_program(
    tailflame: Run, monkeypatch: pytest.MonkeyPatch, pointers: bool | None, graph: str
) -> None:
    monkeypatch.setattr(wishes, "binary_facts", lambda path: SimpleNamespace(frame_pointers=pointers))
    assert graph in tailflame("record", "--dry-run", "--", "/bin/true").out


def test_the_preflight_is_told_first_and_a_blocker_stops_it(tailflame: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Path("run.sh")
    script.write_text("#!/bin/sh\nexit\n")
    script.chmod(0o755)
    run = tailflame("record", "--dry-run", "--", "./run.sh")
    assert "warning  run.sh is a script" in run.err
    assert "fix: " in run.err
    monkeypatch.setattr("tailflame.cli.record.probe_host", lambda: Host())
    run = tailflame("record", "--", "/bin/true")
    assert run.code == 4
    assert "tailflame: perf is not installed." in run.err
    findings = tailflame("record", "--dry-run", "--json", "--", "/bin/true").document["findings"]
    assert findings[0]["level"] == "blocker"
