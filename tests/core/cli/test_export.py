"""`export`: what is written reads back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.recordings import as_results, histograms, recording
from helpers.stack_counts import DATA
from tailflame.parse import load
from tailflame.store import Library

Run = Callable[..., Any]


@pytest.mark.parametrize("suffix", ["svg", "folded", "speedscope.json", "profile.json.gz", "pb.gz"])
def test_what_is_exported_reads_back_the_same(tailflame: Run, before: Path, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"out.{suffix}"
    run = tailflame("export", before, "-o", target)
    assert (run.code, run.out) == (0, f"{target}\n")
    kept = tailflame("show", before, "--json").document["hotspots"]
    back = tailflame("show", target, "--json").document["hotspots"]
    figures = [(row["name"], row["self"], row["total"]) for row in kept]
    assert [(row["name"], row["self"], row["total"]) for row in back] == figures
    assert "No function moved" in tailflame("diff", before, target).out


def test_speedscope_holds_every_stack(tailflame: Run, before: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.speedscope.json"
    assert tailflame("export", before, "-o", target).code == 0
    document = json.loads(target.read_text())
    assert "speedscope" in document["$schema"]
    assert sum(sum(p["weights"]) for p in document["profiles"]) == 11500


def test_json_is_the_tree_in_columns(tailflame: Run, before: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    run = tailflame("export", before, "--to", "json", "-o", target, "--json")
    assert run.document == {"file": str(target), "format": "json", "bytes": target.stat().st_size, "cautions": []}
    document = json.loads(target.read_text())
    assert (document["format"], document["version"]) == ("tailflame profile", 1)
    assert set(document) == {"format", "version", "result", "events", "view", "functions", "tree", "hotspots"}
    tree, functions = document["tree"], document["functions"]
    assert {len(column) for column in tree.values()} == {7}
    assert all(parent < node for node, parent in enumerate(tree["parent"]))
    names = [functions[f]["name"] for f in tree["function"]]
    assert dict(zip(names, tree["total"], strict=True))["risk"] == 2500
    assert sum(tree["self"]) == document["view"]["total"] == 11500
    assert set(functions[0]) == {"name", "module", "file", "line", "kind"}


def test_stdout_is_a_target(tailflame: Run, before: Path) -> None:
    assert tailflame("export", before, "--to", "folded", "-o", "-").out.count("\n") == 4
    assert json.loads(tailflame("export", before, "--to", "json", "-o", "-").out)["version"] == 1
    run = tailflame("export", before, "--to", "folded", "-o", "-", "--json")
    assert run.code == 2
    for form in ("folded", "pprof", "firefox"):
        assert tailflame("export", before, "--to", form, "-o", "/dev/null").code == 0


def test_bytes_go_to_stdout_as_they_are(tmp_path: Path, before: Path) -> None:
    for form, begins in (("pprof", b"\x1f\x8b"), ("firefox", b'{"meta":')):
        words = [sys.executable, "-m", "tailflame.cli.main", "export", str(before), "--to", form, "-o", "-"]
        done = subprocess.run(words, capture_output=True, timeout=60, check=True)
        assert done.stdout.startswith(begins)
        path = tmp_path / form
        path.write_bytes(done.stdout)
        profile = load(path).profile
        assert profile is not None and profile.total() == 11500


def test_one_event_of_several(tailflame: Run, tmp_path: Path) -> None:
    heap = DATA / "pprof" / "go-1.26.8" / "heap.pb.gz"
    assert tailflame("export", heap, "--to", "pprof", "-o", tmp_path / "all.pb.gz").code == 0
    assert tailflame("export", heap, "--event", "alloc_space", "-o", tmp_path / "one.pb.gz").code == 0
    for name, events in (("all", ["inuse_space", "alloc_space"]), ("one", ["alloc_space"])):
        profile = load(tmp_path / f"{name}.pb.gz").profile
        assert profile is not None and [event.name for event in profile.events] == events


def test_without_a_name_the_file_is_named_after_the_result(
    tailflame: Run, before: Path, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert tailflame("export", before, "--to", "svg").out == "before.svg\n"
    run = tailflame("export", before, "--to", "svg")
    assert run.code == 3
    assert "is there already" in run.err
    assert tailflame("export", before, "--to", "svg", "--force").code == 0
    session = library.new_session(tool="perf", binary="/opt/book")
    session.complete(recording())
    assert tailflame("export", "latest", "--to", "speedscope").out == f"{session.id}.speedscope.json\n"
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".before")]


def test_the_form_is_asked_for_where_nothing_tells_it(tailflame: Run, before: Path) -> None:
    run = tailflame("export", before, "-o", "out.xyz")
    assert run.code == 2
    assert "svg|folded|speedscope|firefox|pprof|json" in run.err
    assert tailflame("export", before).code == 2


def test_a_target_that_cannot_be_written_is_a_sentence(tailflame: Run, before: Path) -> None:
    run = tailflame("export", before, "-o", "/nowhere/out.svg")
    assert run.code == 3
    assert run.err.startswith("tailflame: /nowhere/out.svg cannot be written")


def test_names_that_do_not_fit_are_told(tailflame: Run, library: Library, tmp_path: Path) -> None:
    session = library.new_session(tool="perf", binary="/opt/book")
    kept = recording("main;work 3")
    profile = kept.profile
    assert profile is not None
    session.complete(kept)
    plain = tailflame("export", "latest", "-o", tmp_path / "a.folded", "--json").document
    assert plain["cautions"] == []


def test_latencies_have_no_flame_graph_but_do_have_json(tailflame: Run, library: Library, tmp_path: Path) -> None:
    session = library.new_session(tool="hlog", binary="/opt/book")
    session.complete(as_results(histograms()))
    assert tailflame("export", "latest", "-o", tmp_path / "x.svg").code == 2
    assert tailflame("export", "latest", "-o", tmp_path / "x.json").code == 0
    assert json.loads((tmp_path / "x.json").read_text())["latencies"][0]["tag"] == "total"
