"""`demo`: a fresh recording where that can be made, else the sample session and the reason."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.recordings import histograms, recording
from tailflame.cli import demo, demo_target
from tailflame.errors import StoreError, ToolDenied, ToolFailed, ToolMissing
from tailflame.host.system import Host
from tailflame.report import svg
from tailflame.store import Library, Opened

Run = Callable[..., Any]


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sample session as it ships."""
    elsewhere = Library(tmp_path / "elsewhere")
    session = elsewhere.new_session(tool="perf-record", binary="/demo/trading-system")
    kept = recording()
    session.complete(dataclasses.replace(kept, results=(*kept.results, histograms())), draw=svg.write)
    folder = tmp_path / "sample"
    shutil.copytree(session.path, folder)
    monkeypatch.setattr(demo, "sample_session", lambda: folder)
    return folder


def test_the_sample_is_shown_when_asked_for(tailflame: Run, library: Library, sample: Path) -> None:
    run = tailflame("demo", "--sample")
    assert run.code == 0
    assert "This is the recorded sample session, because --sample was given." in run.out
    (info,) = library.sessions()
    assert f"result folder  {info.path}" in run.out
    assert "match_order" in run.out
    assert "p99.99" in run.out
    document = tailflame("demo", "--sample", "--json").document
    assert set(document) == {
        "kind", "reason", "session", "flame_graph", "result", "events", "hotspots", "latencies",
    }  # fmt: skip
    assert document["kind"] == "sample"
    assert Path(document["flame_graph"]).read_text().startswith("<?xml")
    assert len(library.sessions()) == 1, "the sample is adopted once"


@pytest.mark.parametrize(
    ("host", "project", "because"),
    [
        (Host(), Path("/p"), "perf is not installed ("),
        (Host(perf=Path("/usr/bin/perf"), refused="no"), Path("/p"), "the kernel refuses performance events"),
        (Host(perf=Path("/usr/bin/perf")), None, "this installation has no demo target"),
    ],
)
def test_what_stands_in_the_way_is_said(
    tailflame: Run, sample: Path, monkeypatch: pytest.MonkeyPatch, host: Host, project: Path | None, because: str
) -> None:
    monkeypatch.setattr(demo, "probe_host", lambda: host)
    monkeypatch.setattr(demo_target, "demo_project", lambda: project)
    monkeypatch.setattr(demo, "demo_project", lambda: project)
    run = tailflame("demo")
    assert run.code == 0
    assert because in run.out


@pytest.mark.parametrize(
    ("error", "because"),
    [
        (ToolMissing("cargo is not installed", advice="see rustup"), "because cargo is not installed (see rustup)."),
        (ToolFailed("cargo could not build the demo target"), "because cargo could not build the demo target."),
    ],
)
def test_a_demo_that_cannot_be_built_falls_back_to_the_sample(
    tailflame: Run, sample: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, because: str
) -> None:
    def broken(project: Path, *, say: object) -> Path:
        raise error

    monkeypatch.setattr(demo, "probe_host", lambda: Host(perf=Path("/usr/bin/perf")))
    monkeypatch.setattr(demo, "build_demo", broken)
    assert because in tailflame("demo").out


def test_a_refused_recording_falls_back_to_the_sample(
    tailflame: Run, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> Opened:
        raise ToolDenied("This system forbids performance events altogether.")

    monkeypatch.setattr(demo, "probe_host", lambda: Host(perf=Path("/usr/bin/perf")))
    monkeypatch.setattr(demo, "build_demo", lambda project, say: Path("/bin/true"))
    monkeypatch.setattr(demo, "_record", refused)
    assert "because This system forbids performance events altogether" in tailflame("demo").out


def test_a_missing_sample_is_a_sentence(tailflame: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "sample_session", lambda: tmp_path / "none")
    run = tailflame("demo", "--sample")
    assert run.code == 3
    assert "missing from this installation" in run.err


def test_a_profiles_folder_that_cannot_be_written_shows_the_sample_in_place(
    tailflame: Run, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Library, folder: Path) -> None:
        raise StoreError("read-only")

    monkeypatch.setattr(Library, "adopt", refused)
    assert f"result folder  {sample}" in tailflame("demo", "--sample").out


def cargo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """A project with a cargo of our own."""
    project = tmp_path / "trading-system"
    project.mkdir()
    (project / "Cargo.toml").write_text('[package]\nrust-version = "1.88"\n')
    tool = tmp_path / "bin" / "cargo"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    return project


GOOD = """
if [ "$1" = --version ]; then echo "cargo 1.90.0 (abc 2026-01-01)"; exit; fi
echo "$*" "$RUSTFLAGS" > args
mkdir -p target/release-with-debug && touch target/release-with-debug/trading-system
"""


def test_the_demo_is_built_with_its_own_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = cargo(tmp_path, monkeypatch, GOOD)
    monkeypatch.setenv("RUSTFLAGS", "-C target-cpu=native")
    said: list[str] = []
    binary = demo_target.build_demo(project, say=said.append)
    assert binary == project / "target" / "release-with-debug" / "trading-system"
    assert (project / "args").read_text() == "build --locked --profile release-with-debug \n"
    assert said == ["building the demo target; the first time takes a few minutes"]
    demo_target.build_demo(project, say=said.append)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("script", "kind", "sentence"),
    [
        (
            GOOD.replace("1.90.0", "1.63.0"),
            ToolMissing,
            r"cargo is too old \(cargo 1.63.0 .*; the demo target needs 1.88\)",
        ),
        ('if [ "$1" = --version ]; then echo cargo 1.90.0; else exit 101; fi', ToolFailed, "could not build"),
    ],
)
def test_why_it_cannot_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, kind: type[Exception], sentence: str
) -> None:
    project = cargo(tmp_path, monkeypatch, script)
    with pytest.raises(kind, match=sentence):
        demo_target.build_demo(project, say=print)


def test_without_cargo_a_built_demo_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = cargo(tmp_path, monkeypatch, "")
    monkeypatch.setattr(demo_target, "find_tool", lambda name: None)
    with pytest.raises(ToolMissing, match="cargo is not installed"):
        demo_target.build_demo(project, say=print)
    binary = project / "target" / "release-with-debug" / "trading-system"
    binary.parent.mkdir(parents=True)
    binary.touch()
    assert demo_target.build_demo(project, say=print) == binary


def test_this_checkout_has_the_demo_target() -> None:
    project = demo_target.demo_project()
    assert project is not None
    assert (project / "Cargo.lock").is_file()
    assert demo_target.sample_session().name == "sample"


def test_the_sample_that_ships_shows_hotspots_and_percentiles(tailflame: Run, library: Library) -> None:
    document = tailflame("demo", "--sample", "--json").document
    assert document["kind"] == "sample"
    assert any(row["name"].startswith("trading_system::") for row in document["hotspots"][:3])
    assert {"", "validation", "risk_check", "execution"} <= {row["tag"] for row in document["latencies"]}
    assert Path(document["flame_graph"]).is_file()
    assert library.sessions()[0].samples == document["session"]["samples"] > 1000


def test_the_report_is_what_json_prints(tailflame: Run, sample: Path, tmp_path: Path) -> None:
    report = tmp_path / "demo.json"
    ran = tailflame("demo", "--sample", "--json", "--report", str(report))
    assert json.loads(report.read_text()) == ran.document
    assert ran.document["session"]["path"]
