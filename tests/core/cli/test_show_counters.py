"""Counters in `show` and `export`: figures over intervals, and the whole run of a ratio as its counters' sums."""

from __future__ import annotations

import re
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


@pytest.mark.parametrize(
    ("name", "printed", "events"),
    [
        # "     0.100156936 CPU0                   103.98 msec cpu-clock", "… CPU0     77      context-switches"
        ("clocks.txt", r" {part} +([\d.]+) (?:msec)? *{event} ", ("cpu-clock, CPU0", "cpu-clock, CPU1")),
        ("clocks.txt", r" {part} +([\d.]+) +{event} ", ("context-switches, CPU1",)),
        ("sockets.csv", r",{part},2,([\d.]+),msec,{event},", ("cpu-clock, S0",)),
        ("intervals.csv", r"^ +[\d.]+\|([\d.]+)\|\|{event}\|", ("msr/tsc/",)),
    ],
)  # fmt: skip
def test_the_whole_run_of_a_counter_is_its_sum(
    tailflame: Run, name: str, printed: str, events: tuple[str, ...]
) -> None:
    path = DATA / "perf-stat" / "6.1.187" / name
    by_name = {entry["series"]: entry for entry in tailflame("show", path, "--json").document["counters"]}
    for series in events:
        event, _, part = series.partition(", ")
        counts = re.findall(printed.format(event=event, part=part), path.read_text(), re.MULTILINE)
        assert len(counts) == by_name[series]["readings"] >= 3
        assert by_name[series]["whole_run"] == pytest.approx(sum(map(float, counts)))


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
    assert "one run on a side" in alone.out and "Record 5 runs or more" in alone.err


@pytest.mark.parametrize(("suffix", "runs"), [("txt", "3 runs"), ("csv", "several runs"), ("json", "several runs")])
def test_what_perf_has_repeated_itself_has_perfs_plus_minus(tailflame: Run, suffix: str, runs: str) -> None:
    path = DATA / "perf-stat" / "6.1.187" / f"repeated.{suffix}"
    printed = {
        "txt": (["1,004", "0.03"], ["764", "26.20"]),
        "csv": (["1,004", "0.07"], ["759", "5.77"]),
        "json": (["1,005", "0.03"], ["801", "4.55"]),
    }
    run = tailflame("show", path)
    header = next(line for line in run.out.splitlines() if line.startswith("counter "))
    assert [cell.strip() for cell in header.split("  ") if cell.strip()] == ["counter", runs, "± std. error, %"]
    faults, switches = printed[suffix]
    assert row(run.out, "page-faults") == ["page-faults", *faults]
    assert row(run.out, "context-switches") == ["context-switches", *switches]
    by_name = {entry["series"]: entry for entry in tailflame("show", path, "--json").document["counters"]}
    entry = by_name["page-faults"]
    assert (entry["runs"], entry["kept"], entry["mean"]) == (3 if suffix == "txt" else None, "last", None)
    assert entry["standard_error"] == pytest.approx(float(faults[0].replace(",", "")) * float(faults[1]) / 100)
    if suffix == "txt":
        assert row(run.out, "mean elapsed time") == ["mean elapsed time", "137 ms", "3.00"]
        assert by_name["mean elapsed time"]["mean"] == pytest.approx(137.38)


def test_the_runs_of_perfs_table_are_those_of_the_elapsed_time(tailflame: Run) -> None:
    """ "0.13452 (-0.00636) #" to "0.14735 (+0.00647) #"; "0.14088 +- 0.00361 seconds time elapsed  ( +-  2.56% )"."""
    run = tailflame("show", DATA / "perf-stat" / "6.1.187" / "table.txt")
    assert row(run.out, "mean elapsed time") == ["mean elapsed time", "141 ms", "2.56", "135 ms", "147 ms"]
    assert row(run.out, "page-faults") == ["page-faults", "1,006", "0.10"]


def test_a_repeated_program_is_not_called_one_run(tailflame: Run) -> None:
    folder = DATA / "perf-stat" / "6.1.187"
    run = tailflame("diff", folder / "repeated.json", folder / "repeated.csv")
    assert "one run" not in run.out.casefold() + run.err.casefold()
    assert "not tested" in run.out and "perf has kept too little of the runs" in run.err
    entry = tailflame("diff", folder / "repeated.txt", folder / "repeated.csv", "--json").document["counters"][0]
    assert entry["runs"] == [3, None]
