"""`tailflame show` and `diff` of costs: the figures of cachegrind, and what got worse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from helpers.stack_counts import DATA
from tailflame.cli.exit_codes import ExitCode

VALGRIND = DATA / "cachegrind" / "3.19.0"
HOSTILE, PLAIN = (str(VALGRIND / f"trading-{name}.out.gz") for name in ("hostile", "plain"))
Run = Callable[..., Any]


def test_show_prints_rates_functions_and_lines(tailflame: Run) -> None:
    told = tailflame("show", HOSTILE, "-n", "5")
    assert told.code == ExitCode.OK
    assert "LL cache: 33554432 B, 64 B, 16-way associative" in told.out
    assert "D1 miss rate                    5.4%  above 5%" in told.out
    assert "market_data.rs, no line" in told.out


def test_show_as_json(tailflame: Run) -> None:
    document = tailflame("show", HOSTILE, "--json", "-n", "3").document["costs"]
    assert document["events"][0] == {"name": "Ir", "description": "Instructions executed", "total": 1_048_037_323}
    assert [rate["met"] for rate in document["rates"]] == [True, False, True, None]
    assert len(document["functions"]) == len(document["lines"]) == 3
    assert document["functions"][0]["costs"]["Ir"] == 314_637_136
    assert document["lines"][2]["line"] == 2398


def test_diff_finds_the_cache_hostile_walk(tailflame: Run) -> None:
    told = tailflame("diff", PLAIN, HOSTILE, "-n", "3")
    assert "D1 misses 4.7% to 5.4% (now above 5%)" in told.out
    assert "look_up_collar" in told.out
    failed = tailflame("diff", PLAIN, HOSTILE, "--fail-on-regression", "--tolerate", "1000000")
    assert failed.code == ExitCode.REGRESSION
    document = tailflame("diff", PLAIN, HOSTILE, "--json", "-n", "2").document["costs"]
    assert document["totals"]["Ir"] == [1_016_646_552, 1_048_037_323]
    assert document["functions"][1]["costs"]["DLmr"][1] > 600_000
