"""Counters in `show` and `export`: figures over intervals, and the whole run of a ratio as its counters' sums."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.recordings import as_results, counters
from helpers.stack_counts import DATA
from tailflame.store import Library

Run = Callable[..., Any]
STAT = DATA / "perf-stat" / "6.1.187" / "intervals.json"
MADE_UP = DATA / "perf-stat" / "made-up" / "hardware.jsonl"


def row(out: str, name: str) -> list[str]:
    line = next(line for line in out.splitlines() if line.startswith(f"{name}  "))
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_a_file_of_perf_stat_is_shown_as_a_table(tailflame: Run) -> None:
    run = tailflame("show", STAT)
    assert run.code == 0
    header = next(line for line in run.out.splitlines() if line.startswith("counter "))
    assert header.split() == ["counter", "readings", "last", "min", "p50", "max", "whole", "run"]
    assert row(run.out, "page-faults") == ["page-faults", "4", "15", "0", "0", "989", "1,004"]
    assert row(run.out, "IPC") == ["IPC", "4", "not supported"]


def test_counters_that_shared_the_hardware_say_how_little_they_ran(tailflame: Run) -> None:
    out = tailflame("show", MADE_UP).out
    assert row(out, "L1d load miss rate")[-1] in ("42% at least", "43% at least")
    assert len(row(out, "IPC")) == 7  # all the time: there is nothing to say
    assert row(out, "iTLB-loads") == ["iTLB-loads", "30", "not supported"]


def test_json_has_the_documented_keys(tailflame: Run) -> None:
    document = tailflame("show", MADE_UP, "--json").document
    assert set(document) == {"result", "counters"}
    by_name = {entry["series"]: entry for entry in document["counters"]}
    ipc = by_name["IPC"]
    assert set(ipc) == {
        "series", "unit", "simulated", "readings", "statuses", "last", "min", "p50", "max", "whole_run", "running_min",
    }  # fmt: skip
    assert ipc["readings"] == 30
    assert ipc["min"] < 1 < 2 < ipc["p50"] <= ipc["max"]
    cycles, instructions = by_name["cycles"]["whole_run"], by_name["instructions"]["whole_run"]
    assert ipc["whole_run"] == pytest.approx(instructions / cycles)
    assert by_name["LLC load miss rate"]["statuses"] == {
        "counted": 28, "not supported": 0, "not counted": 2, "empty": 0,
    }  # fmt: skip
    dead = by_name["stalled-cycles-backend"]
    assert (dead["last"], dead["whole_run"], dead["running_min"]) == (None, None, None)


def test_a_kept_session_and_an_export_hold_the_same(tailflame: Run, library: Library, tmp_path: Path) -> None:
    session = library.new_session(tool="perf stat", binary="/opt/book", args=())
    session.complete(as_results(counters()))
    document = tailflame("show", session.id, "--json").document
    assert [entry["series"] for entry in document["counters"]] == ["instructions", "cycles", "IPC"]
    assert document["counters"][2]["whole_run"] == 3.0
    exported = tmp_path / "out.json"
    assert tailflame("export", session.id, "--to", "json", "-o", exported).code == 0
    assert '"counters"' in exported.read_text()
    refused = tailflame("export", session.id, "--to", "svg", "-o", tmp_path / "out.svg")
    assert refused.code != 0
    assert "holds counters and no stacks" in refused.err


def test_several_runs_show_their_mean_and_what_it_varies_by(tailflame: Run) -> None:
    path = DATA / "perf-stat" / "6.1.187" / "runs.txt"
    run = tailflame("show", path)
    header = next(line for line in run.out.splitlines() if line.startswith("counter "))
    assert header.split("  ")[-1].strip() == "most" and "mean of 3 runs" in header
    assert row(run.out, "page-faults") == ["page-faults", "1,034", "1.43", "1,034", "1,035"]
    by_name = {entry["series"]: entry for entry in tailflame("show", path, "--json").document["counters"]}
    assert by_name["page-faults"]["runs"] == 3
    assert by_name["page-faults"]["mean"] == pytest.approx(1034.333, abs=1e-3)


def test_two_recordings_of_several_runs_are_compared_by_what_they_vary_by(tailflame: Run) -> None:
    one, other = (DATA / "perf-stat" / "6.1.187" / name for name in ("runs.txt", "runs.json"))
    run = tailflame("diff", one, other, "--json")
    marks = {entry["name"]: entry["mark"] for entry in run.document["counters"]}
    assert marks["cycles"] == "not comparable" and marks["page-faults"] in ("within noise", "better")
    alone = tailflame("diff", DATA / "perf-stat" / "6.1.187" / "run.json", other)
    assert "one run each" in alone.out and "record 5 runs or more" in alone.err
