"""System calls on the command line: strace's own figures, as text and as JSON, and two runs of them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from helpers.stack_counts import DATA
from tailflame.cli.main import main

STRACE = DATA / "strace" / "6.1"


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    assert main(list(words)) == 0
    out, err = capsys.readouterr()
    return out, err


def document(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shown(capsys, *words, "--json")[0])
    return found


def test_show_prints_straces_figures(capsys: pytest.CaptureFixture[str]) -> None:
    out, _err = shown(capsys, "show", str(STRACE / "trading.log.gz"), "-n", "5")
    lines = [line.split() for line in out.splitlines()]
    assert ["834", "168", "1.09", "s", "49.0%", "58.0", "µs", "996", "µs", "999", "ms", "futex", "EAGAIN", "167,",
            "ETIMEDOUT", "1"] in lines  # fmt: skip
    assert "The slowest calls" in out and "futex(0x56299ae7b128, FUTEX_WAIT_BITSET_PRIVATE" in out
    assert "Threads blocked together" in out and "/srv/journal.jsonl" in out


def test_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    calls = document(capsys, "show", str(STRACE / "trading.log.gz"), "-n", "3")["syscalls"]
    assert calls["single_calls"] and len(calls["calls"]) == 29 and len(calls["slowest"]) == 3
    futex = calls["calls"][0]
    assert (futex["name"], futex["calls"], futex["errors"], futex["max_ns"]) == ("futex", 834, 168, 999_291_000)
    assert calls["blocked_together"][0]["most"] == 2


def test_show_of_sums_alone(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = shown(capsys, "show", str(STRACE / "columns.txt"))
    assert "p99" not in out and "no percentiles" in err
    calls = document(capsys, "show", str(STRACE / "columns.txt"))["syscalls"]
    assert calls["calls"][0]["p99_ns"] is None and not calls["single_calls"]


def test_a_log_without_times(capsys: pytest.CaptureFixture[str]) -> None:
    out, _err = shown(capsys, "show", str(STRACE / "clock.log.gz"))
    assert "strace has timed no call" in out and "openat" in out


def test_seconds_of_another_kind_are_not_compared(capsys: pytest.CaptureFixture[str]) -> None:
    table, log = str(STRACE / "attach-cpu.txt"), str(STRACE / "trading.log.gz")
    out, err = shown(capsys, "diff", table, log)
    assert "total" not in out and "Times are not compared: the baseline's are CPU time inside the kernel" in err
    out, err = shown(capsys, "diff", table, str(STRACE / "attach-wall.txt"))
    assert "total" in out and "not compared" not in err
    out, _err = shown(capsys, "show", table)
    assert "The seconds are CPU time inside the kernel, unless strace was run with -w" in out


def test_calls_that_nobody_timed_are_not_called_slow(capsys: pytest.CaptureFixture[str]) -> None:
    out, _err = shown(capsys, "show", str(STRACE / "clock.log.gz"))
    assert "Some of the calls" in out and "slowest" not in out


def test_two_runs(capsys: pytest.CaptureFixture[str]) -> None:
    both = (str(STRACE / "trading.log.gz"), str(STRACE / "filtered.log.gz"))
    out, err = shown(capsys, "diff", *both)
    assert "One run each" in err and "write" in out
    changes = {row["name"]: row for row in document(capsys, "diff", *both)["syscalls"]}
    assert (changes["write"]["before"]["calls"], changes["write"]["after"]["calls"]) == (805, 207)
    assert changes["futex"]["status"] == "gone"


def test_both_sides_of_a_time_have_their_unit(capsys: pytest.CaptureFixture[str]) -> None:
    out, _err = shown(capsys, "diff", str(STRACE / "trading.log.gz"), str(STRACE / "filtered.log.gz"))
    (line,) = [line for line in out.splitlines() if line.startswith("System call time: ")]
    assert re.match(r"System call time: [0-9.]+ (µs|ms|s) to [0-9.]+ (µs|ms|s) ", line), line


def test_two_tables(capsys: pytest.CaptureFixture[str]) -> None:
    _out, err = shown(capsys, "diff", str(STRACE / "attach-wall.txt"), str(STRACE / "attach-cpu.txt"))
    assert "no percentiles" in err
