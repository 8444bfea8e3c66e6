"""What was counted, on the command line: by its own units, under its own names, and without a test for noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailflame.cli.exit_codes import ExitCode

Run = Callable[..., Any]
DATA = Path(__file__).parents[2] / "data"
HEAPTRACK = DATA / "heaptrack/1.4.0/trading.zst"
MASSIF = DATA / "massif/3.19.0"


def test_a_heap_is_weighed_by_bytes(tailflame: Run) -> None:
    view = tailflame("show", HEAPTRACK, "--json").document["view"]
    assert (view["event"], view["weight"], view["unit"]) == ("Peak heap", "period", "bytes")
    out = tailflame("show", HEAPTRACK, "-n", "2").out
    assert "blocks" in out and "samples" not in out


def test_what_was_asked_for_is_given(tailflame: Run) -> None:
    view = tailflame("show", HEAPTRACK, "--json", "--weight", "samples", "--event", "Temporary").document["view"]
    assert (view["event"], view["weight"], view["unit"]) == ("Temporary", "samples", "allocations")


def test_massif_has_no_counts_to_show(tailflame: Run) -> None:
    out = tailflame("show", MASSIF / "bytes.out", "-n", "2").out
    heads = [line.split() for line in out.splitlines() if line.split()[:2] == ["self", "total"]]
    assert heads == [["self", "total", "weight", "function"]]
    assert "There are no samples" not in out


def test_heaps_are_compared_as_counted(tailflame: Run) -> None:
    document = tailflame("diff", MASSIF / "bytes.out", MASSIF / "instructions.out", "--json").document
    assert document["verdict"][1] == "Nothing differs.", "the same program twice"
    assert document["test"].startswith("Counted exactly")
    assert {function["direction"] for function in document["functions"]} == {"same"}
    assert document["regressions"] == []


def test_a_few_bytes_are_no_regression_and_megabytes_are(tailflame: Run) -> None:
    gate = ("--fail-on-regression", "--json")
    assert tailflame("diff", MASSIF / "asked.out", MASSIF / "bytes.out", *gate).code == 0
    grown = tailflame("diff", MASSIF / "bytes.out", MASSIF / "trading.out.gz", *gate)
    assert grown.code == ExitCode.REGRESSION


@pytest.mark.parametrize("form", ["svg", "folded", "speedscope", "firefox", "pprof", "json"])
def test_a_heap_is_exported_by_its_bytes(tailflame: Run, tmp_path: Path, form: str) -> None:
    out = tmp_path / f"heap.{form}"
    assert tailflame("export", MASSIF / "bytes.out", "--to", form, "-o", out).code == 0
    if form == "svg":
        assert "bytes, 100%" in out.read_text()
