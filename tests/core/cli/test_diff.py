"""`diff`: names what changed beyond the noise, and can gate a build."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.recordings import recording
from helpers.stack_counts import DATA
from tailflame.cli.exit_codes import ExitCode
from tailflame.model import Histogram
from tailflame.report.hlog import HlogWriter
from tailflame.store import Library

Run = Callable[..., Any]


def test_the_regression_is_named_and_the_rest_is_noise(tailflame: Run, before: Path, after: Path) -> None:
    run = tailflame("diff", before, after)
    assert run.code == 0
    assert "check_exposure regressed: +32.0% self" in run.out
    rows = {line.split()[-1]: line for line in run.out.splitlines() if line}
    assert " more " in rows["check_exposure"]
    assert "+32.0%" in rows["check_exposure"]
    for name in ("match_order", "check_risk", "validate"):
        assert "within noise" in rows[name]
    assert "family-wise level 5%" in run.out


def test_json_has_the_documented_keys(tailflame: Run, before: Path, after: Path) -> None:
    document = tailflame("diff", before, after, "--json").document
    assert set(document) == {
        "before", "after", "scale", "test", "verdict", "regressions", "improvements", "functions",
    }  # fmt: skip
    assert document["regressions"] == ["check_exposure"]
    assert document["improvements"] == []
    assert document["scale"] == pytest.approx(1.0)
    rows = {row["name"]: row for row in document["functions"]}
    row = rows["check_exposure"]
    assert (row["direction"], row["status"]) == ("more", "both")
    assert row["change"] == pytest.approx(0.32)
    assert row["low"] < 0.32 < row["high"]
    assert (row["self_before"], row["self_after"]) == (2500, 3300)
    assert row["self_share_after"] == pytest.approx(3300 / 12300)
    assert rows["match_order"]["direction"] == "within noise"
    assert rows["main"]["direction"] == "not tested"
    assert rows["main"]["p"] is None
    assert tailflame("diff", after, before, "--json").document["improvements"] == ["check_exposure"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 0),
        (("--fail-on-regression",), 1),
        (("--fail-on-regression", "--tolerate", "31.9"), 1),
        (("--fail-on-regression", "--tolerate", "32.1"), 0),
    ],
)
def test_a_build_may_fail_on_a_regression(
    tailflame: Run, before: Path, after: Path, words: tuple[str, ...], code: int
) -> None:
    assert tailflame("diff", before, after, *words).code == code
    assert tailflame("diff", after, before, *words).code == 0
    assert tailflame("diff", before, before, *words).code == 0


def test_new_and_vanished_functions_are_called_so(tailflame: Run, before: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed.folded"
    renamed.write_text(before.read_text().replace("validate", "validate_all"))
    out = tailflame("diff", before, renamed).out
    rows = {line.split()[-1]: line for line in out.splitlines() if line}
    assert " new " in rows["validate_all"]
    assert " vanished " in rows["validate"]
    assert tailflame("diff", before, renamed, "--fail-on-regression").code == 1


def test_the_baseline_and_the_latest_session_are_the_default(tailflame: Run, library: Library, after: Path) -> None:
    first = library.new_session(tool="perf", binary="/opt/book")
    first.complete(recording("main;match 5000\nmain;risk 3000\nmain;validate 2000"))
    library.set_baseline(first.id)
    second = library.new_session(tool="perf", binary="/opt/book")
    second.complete(recording("main;match 5000\nmain;risk 4500\nmain;validate 2000"))
    document = tailflame("diff", "--json").document
    assert document["regressions"] == ["risk"]
    assert (document["before"]["session"], document["after"]["session"]) == (first.id, second.id)
    other = library.new_session(tool="perf", binary="/opt/other")
    other.complete(recording())
    run = tailflame("diff")
    assert run.code == 3
    assert "/opt/other has no baseline" in run.err
    assert tailflame("diff", "--json", "--binary", "/opt/book").document["after"]["session"] == second.id
    assert tailflame("diff", "--json", first.id, after).document["before"]["session"] == first.id


def test_rust_hashes_do_not_hide_a_function(tailflame: Run, before: Path, tmp_path: Path) -> None:
    left, right = tmp_path / "left.folded", tmp_path / "right.folded"
    left.write_text(before.read_text().replace("match_order", "book::match_order::h0123456789abcdef"))
    right.write_text(before.read_text().replace("match_order", "book::match_order::hfedcba9876543210"))
    assert "No function moved beyond the noise." in tailflame("diff", left, right).out


def test_only_so_many_rows_are_printed(tailflame: Run, before: Path, after: Path) -> None:
    out = tailflame("diff", before, after, "-n", "1").out
    assert "check_exposure" in out
    assert "validate" not in out


def test_a_file_with_both_sides_is_compared_by_itself(tailflame: Run, tmp_path: Path) -> None:
    path = tmp_path / "differential.folded"
    path.write_text("main;match 5000 5000\nmain;risk 3000 4500\nmain;validate 2000 2000\n")
    document = tailflame("diff", path, "--json").document
    assert document["regressions"] == ["risk"]
    row = next(row for row in document["functions"] if row["name"] == "risk")
    assert (row["self_before"], row["self_after"]) == (3000, 4500)
    assert document["before"]["label"].endswith("first column")


def test_what_vanished_has_no_interval(tailflame: Run, before: Path, tmp_path: Path) -> None:
    without = tmp_path / "without.folded"
    without.write_text(before.read_text().replace("check_exposure", "check_limits"))
    lines = tailflame("diff", before, without).out.splitlines()
    (vanished,) = [line for line in lines if line.rstrip().endswith("check_exposure") and "vanished" in line]
    assert " to " not in vanished


def test_an_interval_that_knows_nothing_is_short(tailflame: Run, before: Path, tmp_path: Path) -> None:
    """A handful of samples gave "-100.0% to +518470552858707217088512.0%"."""
    one, other = tmp_path / "one.folded", tmp_path / "other.folded"
    one.write_text(before.read_text() + "main;seldom 3\n")
    other.write_text(before.read_text() + "main;seldom 130\n")
    (line,) = [line for line in tailflame("diff", one, other).out.splitlines() if line.rstrip().endswith("seldom")]
    assert "×43" in line and " to >×10 " in line


def latency_log(path: Path, *, factor: float, seed: int) -> Path:
    random = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8") as stream:
        log = HlogWriter(stream, 1_700_000_000.0)
        for second in range(30):
            values = (factor * random.lognormal(10, 0.3, 1000)).astype(np.int64)
            log.write("orders", 1_700_000_000.0 + second, 1.0, Histogram.of(values))
    return path


def test_latencies_are_compared_percentile_by_percentile(tailflame: Run, tmp_path: Path) -> None:
    before = latency_log(tmp_path / "before.hlog", factor=1.0, seed=1)
    after = latency_log(tmp_path / "after.hlog", factor=1.3, seed=2)
    run = tailflame("diff", str(before), str(after))
    assert run.code == ExitCode.OK
    assert "orders   30,000 values before, 30,000 after" in run.out
    lines = {line.split()[0]: line for line in run.out.splitlines() if line.startswith("p") and line[1].isdigit()}
    assert lines["p50"].endswith("slower") and lines["p99"].endswith("slower")
    assert lines["p99.99"].endswith("too few values")
    assert "record each side more than once" in run.out
    failing = tailflame("diff", "--json", "--fail-on-regression", str(before), str(after))
    assert failing.code == ExitCode.REGRESSION
    (orders,) = json.loads(failing.out)["latencies"]
    assert (orders["series"], orders["count_after"]) == ("orders", 30_000)
    assert orders["percentiles"][0]["different"] and not orders["percentiles"][5]["reliable"]
    assert tailflame("diff", "--fail-on-regression", str(after), str(before)).code == ExitCode.OK
    assert tailflame("diff", "--fail-on-regression", "--tolerate", "50", str(before), str(after)).code == ExitCode.OK


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("callgrind/3.19.0/matrix.out.gz", "strace/6.1/trading.log.gz", "one is of Ir, the other of System call time."),
        ("massif/3.19.0/asked.out", "strace/6.1/trading.log.gz", "one is of memory, the other of System call time."),
        ("callgrind/3.19.0/matrix.out.gz", "massif/3.19.0/asked.out", "one is of Ir, the other of memory."),
    ],
)
def test_amounts_of_different_things_are_not_subtracted(tailflame: Run, one: str, other: str, told: str) -> None:
    before, after = (DATA / name for name in (one, other))
    for sides, sentence in (((before, after), told), ((after, before), "")):
        done = tailflame("diff", "--fail-on-regression", *sides)
        assert done.code == 3 and done.out == ""
        assert "There is nothing to compare: " in done.err and sentence in done.err
