"""`show` of a session of cargo bench: what earlier runs of the project took."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from helpers.stack_counts import DATA
from tailflame.parse import load
from tailflame.store import Library
from tailflame.store.provenance import Commit

REAL = DATA / "criterion" / "0.5.1"
Run = Callable[..., Any]


def kept(library: Library, run: str, hour: int, commit: str) -> str:
    at = datetime(2026, 11, 20, tzinfo=UTC) + timedelta(hours=hour)
    session = library.new_session(
        tool="cargo-bench", binary="/x/engine/target/release/deps/stages", cwd="/x/engine", at=at
    )
    shutil.copytree(REAL / run / "criterion", session.path / "criterion")
    session.update(commit=Commit(commit))
    session.complete(load(session.path / "criterion"))
    return session.path.name


def test_the_runs_of_the_project_and_both_verdicts(tailflame: Run, library: Library) -> None:
    for hour, (run, commit) in enumerate([("run1", "a" * 40), ("run2", "a" * 40), ("run3", "b" * 40)]):
        kept(library, run, hour, commit)
    run = tailflame("show", "latest")
    assert run.code == 0 and "The last 3 runs of the project" in run.out
    line = next(line for line in run.out.split("The last 3 runs")[1].splitlines() if "stages/validate_order" in line)
    assert line.count("→") == 2
    document = tailflame("show", "latest", "--json").document
    (one,) = (one for one in document["bench_history"] if one["name"] == "stages/validate_order")
    assert [point["commit"] for point in one["runs"]] == ["aaaaaaaaa", "aaaaaaaaa", "bbbbbbbbb"]
    assert len(one["ours"]["before"]) == 2 and len(one["ours"]["after"]) == 1
    assert one["ours"]["mark"] in ("within noise", "one run each", "better", "worse", "not comparable")
    assert one["criterion"].endswith(".")


def test_a_first_run_has_no_history(tailflame: Run, library: Library) -> None:
    name = kept(library, "run1", 1, "a" * 40)
    run = tailflame("show", name)
    assert run.code == 0 and "runs of the project" not in run.out
    assert tailflame("show", name, "--json").document["bench_history"] == []


def test_runs_of_one_commit_are_not_judged_against_themselves(tailflame: Run, library: Library) -> None:
    kept(library, "run1", 1, "a" * 40)
    kept(library, "run2", 2, "a" * 40)
    run = tailflame("show", "latest")
    assert "a change is judged over the runs of two" in run.out + run.err
