"""The tail's own flame graph on the demo: it names the slow path, and what led to a slow call is kept."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.environment import refuse
from tailflame.parse import load

pytestmark = [pytest.mark.tool("bpftrace", "perf"), pytest.mark.timeout(300)]

TAILFLAME = str(Path(sys.executable).with_name("tailflame"))
ORDERS = "trading_system::engine::Engine::process_order"


@pytest.fixture(autouse=True)
def root() -> None:
    if os.geteuid():
        refuse("bpftrace runs as root only")


def run(environ: dict[str, str], *argv: str) -> str:
    done = subprocess.run([TAILFLAME, *argv], capture_output=True, text=True, check=False, env=environ, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout


def slow_path_us(demo: Path) -> float:
    """How long an order takes here whose risk check goes the slow path: all of them do."""
    argv = [str(demo), "--seconds", "1", "--slow-path", "1"]
    report = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
    found = re.search(r"^total +([0-9.]+)", report, re.MULTILINE)
    assert found is not None, report
    return float(found[1])


def test_slow_against_fast_names_the_slow_path_and_captures_open(demo_binary: Path, tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "TAILFLAME_PROFILES": str(tmp_path / "profiles"),
        "TAILFLAME_CONFIG_DIR": str(tmp_path / "config"),
    }
    # A third, and one call in twenty: what a busy machine interrupts stays the smaller part of the slow calls.
    threshold = slow_path_us(demo_binary) / 3
    output = run(
        environ,
        "live", "--json", "-d", "8", "--no-counters", "--no-process",
        "-f", "process_order", "--accept-unwinding", "--cost-limit", "none", "--slow-above", f"{threshold:.1f}us",
        "--capture-when", "slow process_order", "--capture-every", "3", "--capture-most", "2",
        "--", str(demo_binary), "--mode", "serve", "--slow-path", "20", "--rate", "4000",
    )  # fmt: skip
    lines: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines()]
    assert [line for line in lines if line.get("state") == "failed"] == []

    # Each slow call is told, and what telling it costs.
    slow = [line for line in lines if line.get("slow") == ORDERS]
    told = sum(line["calls"] for line in slow)
    assert told > 50
    session = Path(environ["TAILFLAME_PROFILES"]) / lines[-1]["session"]
    kept = load(session / "live.jsonl")
    assert kept.histograms is not None and kept.live is not None
    # As many as the histogram has, which the kernel counts of the same calls: to the bucket that the threshold is in.
    whole, missing = kept.histograms.whole(ORDERS), sum(calls.lost for calls in kept.live.slow)
    edges = [round(threshold * 1000 * (1 + doubt)) for doubt in (0.01, -0.01)]
    assert whole.count_between(edges[0], 1 << 41) <= told + missing
    assert told <= whole.count_between(edges[1], 1 << 41)
    assert all(line["longest_ns"] >= threshold * 1000 - 1 for line in slow)
    costs = [line for line in lines if line.get("cost") == f"{ORDERS}, each slow call"]
    assert costs and costs[-1]["per_call_ns"] > 0 and costs[-1]["calls_per_s"] > 0

    compared = json.loads(run(environ, "tail", "--json"))
    assert (compared["function"], compared["slow_calls"]) == (ORDERS, told)
    # On a busy machine slow calls are also those that others interrupted: the kernel's frames may come before.
    names = [name for name in compared["regressions"] if name.startswith("trading_system")]
    assert names[:1] == ["trading_system::risk::recheck_margin"], compared
    own = next(frame for frame in compared["own"] if frame["name"] == names[0])
    assert own["slow_share"] > 0.2 > 10 * own["fast_share"]
    assert any(sentence.startswith("risk::recheck_margin is the slow calls' own") for sentence in compared["verdict"])

    # What led to a slow call was kept, is marked, and opens.
    captured = [line for line in lines if "captured" in line]
    assert captured and all(line["why"].startswith("a call of Engine::process_order took") for line in captured)
    assert [mark.opens for mark in kept.live.marks] == [Path(line["captured"]).name for line in captured]
    shown = json.loads(run(environ, "show", "--json", captured[0]["captured"]))
    assert any(row["name"].startswith("trading_system::") for row in shown["hotspots"])


def test_slow_events_of_the_log_need_no_probe(demo_binary: Path, tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "TAILFLAME_PROFILES": str(tmp_path / "profiles"),
        "TAILFLAME_CONFIG_DIR": str(tmp_path / "config"),
    }
    threshold = slow_path_us(demo_binary) / 3
    output = run(
        environ,
        "live", "--json", "-d", "6", "--no-counters", "--no-process",
        "--slow-field", "total_us", "--slow-above", f"{threshold:.1f}us",
        "--", str(demo_binary), "--mode", "serve", "--slow-path", "20", "--rate", "4000",
        "--log", "-", "--log-every", "1",
    )  # fmt: skip
    lines = [json.loads(line) for line in output.splitlines()]
    told = sum(line["calls"] for line in lines if line.get("slow") == "total_us")
    compared = json.loads(run(environ, "tail", "--json"))
    assert (compared["function"], compared["slow_calls"]) == ("total_us", told) and told > 10
    assert compared["left_out"]["calls_without_samples"] < told
    assert compared["slow_samples"] > 0 and any("No stack shows the function" in fact for fact in compared["facts"])
    names = [name for name in compared["regressions"] if name.startswith("trading_system")]
    assert names[:1] == ["trading_system::risk::recheck_margin"], compared
