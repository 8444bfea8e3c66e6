"""cachegrind and callgrind for real, through `tailflame record`: the demo's cache-hostile walk shows at its line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailflame.model import CostTable
from tailflame.parse import load

pytestmark = [pytest.mark.beside, pytest.mark.timeout(600), pytest.mark.tool("valgrind")]

TAILFLAME = (sys.executable, "-c", "import sys; from tailflame.cli.main import main; sys.exit(main())")
WALK = "trading_system::market_data::MarketData::look_up_collar"
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def tailflame(tmp_path: Path) -> Run:
    environment = {
        **os.environ,
        "TAILFLAME_PROFILES": str(tmp_path / "my profiles"),
        "TAILFLAME_CONFIG_DIR": str(tmp_path / "config"),
    }

    def run(*words: str) -> dict[str, Any]:
        done = subprocess.run(
            [*TAILFLAME, *words],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert isinstance(document, dict)
        return document

    return run


def costs_of(path: Path) -> CostTable:
    costs = load(path).costs
    assert costs is not None
    return costs


def missed(costs: CostTable) -> tuple[int, list[int]]:
    """Last-level read misses of the walk, and the lines that have any."""
    at = costs.event("DLmr")
    rows = [row for row in range(len(costs)) if costs.string(int(costs.function[row])) == WALK]
    return (
        sum(int(costs.costs[row, at]) for row in rows),
        [int(costs.line[row]) for row in rows if costs.costs[row, at] > 1000 and costs.line[row] > 0],
    )


def test_the_cache_hostile_walk_shows_at_its_line(tailflame: Run, demo_binary: Path, tmp_path: Path) -> None:
    found = {}
    for name, switches in (("plain", ()), ("hostile", ("--cache-hostile",))):
        argv = (str(demo_binary), "--seconds", "0.3", "--rate", "200", *switches)
        document = tailflame(
            "record", "--json", "--tool", "cachegrind", "--set", "last-level=8M,16,64", "--title", name, "--", *argv
        )
        kept = next((tmp_path / "my profiles").glob("*/cachegrind.out"))
        found[name] = costs_of(kept)
        rates = {rate["name"]: rate["value"] for rate in document["costs"]["rates"]}
        assert rates["D1 miss rate"] > 0.01
        for path in kept.parent.iterdir():
            if path.name == "cachegrind.out":
                path.rename(tmp_path / f"{name}.out")
    source = demo_binary.parents[2] / "src" / "market_data.rs"
    walk = next(n for n, line in enumerate(source.read_text().splitlines(), 1) if "link.payload" in line)
    misses, lines = missed(found["hostile"])
    assert misses > 20 * max(missed(found["plain"])[0], 100)
    assert lines == [walk]
    changed = tailflame("diff", "--json", str(tmp_path / "plain.out"), str(tmp_path / "hostile.out"), "-n", "10")
    deltas = {row["name"]: row["costs"]["DLmr"] for row in changed["costs"]["functions"]}
    assert max(deltas, key=lambda name: deltas[name][1] - deltas[name][0]) == WALK


def test_callgrind_agrees_with_what_it_prints(tmp_path: Path) -> None:
    from tailflame.tools import Target, ToolOptions, tool_named

    plan = tool_named("callgrind").plan(
        Target(Path(sys.executable), ("-S", "-c", "print(sum(range(1000)))")), ToolOptions(), tmp_path
    )
    done = subprocess.run(plan.argv, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    costs = costs_of(plan.result)
    printed = re.search(r"Collected : ([\d ]+)", done.stderr)
    assert printed is not None
    assert costs.totals.tolist() == [int(word) for word in printed[1].split()]
