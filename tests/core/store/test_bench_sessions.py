"""The runs of a project's benchmarks that a profiles folder keeps, and the flame graphs they left."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from helpers.stack_counts import DATA
from tailflame.parse import load
from tailflame.parse.criterion import flame_graphs
from tailflame.store import Library
from tailflame.store.bench_sessions import TOOL, past_runs, project_flame_graphs
from tailflame.store.provenance import Commit

REAL = DATA / "criterion" / "0.5.1"
BEGAN = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "profiles")


def kept(library: Library, run: str, hours: int, *, cwd: str = "/x/engine", commit: str = "") -> str:
    at = BEGAN + timedelta(hours=hours)
    session = library.new_session(tool=TOOL, binary="/x/engine/target/release/deps/stages", cwd=cwd, at=at)
    shutil.copytree(REAL / run / "criterion", session.path / "criterion")
    if commit:
        session.update(commit=Commit(commit))
    session.complete(load(session.path / "criterion"))
    return session.path.name


def graph(folder: Path, name: str) -> Path:
    place = folder / name / "profile" / "flamegraph.svg"
    place.parent.mkdir(parents=True)
    place.write_text("<svg/>")
    return place


def test_older_runs_of_the_same_project_are_told_oldest_first(library: Library) -> None:
    kept(library, "run1", 1, commit="a" * 40)
    kept(library, "run1", 2, cwd="/x/other")
    shown = kept(library, "run2", 3, commit="b" * 40)
    kept(library, "run3", 4)
    runs = past_runs(library, library.session(shown))
    assert [run.state for run in runs] == ["aaaaaaaaa", "bbbbbbbbb"] and runs[-1].session == shown
    assert len(past_runs(library, library.session(shown), most=1)) == 1
    other = library.new_session(tool="perf", binary="/x/engine/target/release/engine", cwd="/x/engine")
    assert past_runs(library, library.session(other.path.name)) == ()


def test_changes_that_are_not_committed_are_states_of_their_own(library: Library) -> None:
    for hours, changes in enumerate(("1234567890", "abcdef0123")):
        shown = kept(library, "run1", hours)
        info = library.session(shown)
        info.folder.update(commit=Commit("a" * 40, dirty=True, changes=changes))
    assert [run.state for run in past_runs(library, library.session(shown))] == [
        "aaaaaaaaa+12345678",
        "aaaaaaaaa+abcdef01",
    ]


def test_a_run_that_cannot_be_read_is_left_out(library: Library) -> None:
    broken = kept(library, "run1", 1)
    shown = kept(library, "run2", 2)
    (library.root / broken / "recording.npz").write_bytes(b"nothing")
    assert [run.session for run in past_runs(library, library.session(shown))] == [shown]


def test_the_newest_flame_graph_of_each_benchmark_is_found(library: Library) -> None:
    first, shown = kept(library, "run1", 1), kept(library, "run2", 2)
    old = graph(library.root / first / "criterion", "stages/check_risk")
    also = graph(library.root / first / "criterion", "stages/execute_order")
    new = graph(library.root / shown / "criterion", "stages/check_risk")
    found = project_flame_graphs(library, library.session(shown))
    assert found == {"stages/check_risk": new, "stages/execute_order": also} and old not in found.values()


def test_flame_graphs_have_the_names_of_their_benchmarks(tmp_path: Path) -> None:
    folder = tmp_path / "criterion"
    shutil.copytree(REAL / "run1" / "criterion", folder)
    beside = graph(folder, "stages/check_risk")
    alone = graph(folder, "depth/256")
    (folder / "link").symlink_to(folder / "depth")
    assert flame_graphs(folder) == {"stages/check_risk": beside, "depth/256": alone}
    assert flame_graphs(tmp_path) == {"stages/check_risk": beside, "depth/256": alone}
    assert flame_graphs(tmp_path / "nothing") == {}
