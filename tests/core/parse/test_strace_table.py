"""The tables of `strace -c`: every column, both modes, and what is cut short."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.stack_counts import DATA
from tailflame.errors import ParseError
from tailflame.model.syscalls import SyscallTrace
from tailflame.parse import load
from tailflame.parse.strace_table import STRACE_TABLE

STRACE = DATA / "strace" / "6.1"
TABLES = ("attach-wall.txt", "attach-cpu.txt", "two-modes.txt", "columns.txt", "chosen.txt")


def trace_of(path: Path) -> SyscallTrace:
    recording = load(path)
    assert recording.format == "strace-table" and recording.syscalls is not None
    return recording.syscalls


@pytest.mark.parametrize("name", TABLES)
def test_sums_are_those_of_the_line_total(name: str, tmp_path: Path) -> None:
    (tmp_path / "unknown").write_bytes((STRACE / name).read_bytes())
    trace = trace_of(tmp_path / "unknown")
    totals = [line.split() for line in (STRACE / name).read_text().splitlines() if "total" in line.split()]
    heads = [
        line.replace("% time", "%time").split() for line in (STRACE / name).read_text().splitlines() if "calls" in line
    ]
    heads = [head for head in heads if "syscall" in head]
    assert len(trace) == 0 and len(trace.sums) == len(totals)
    for sums, total, head in zip(trace.sums, totals, heads, strict=True):
        told = dict(zip(head if len(head) == len(total) else [n for n in head if n != "errors"], total, strict=True))
        assert int(sums.calls.sum()) == int(told["calls"])
        assert int(sums.errors.sum()) == int(told.get("errors", 0))
        if "seconds" in told:
            assert float(sums.seconds.sum()) == pytest.approx(float(told["seconds"]), abs=2e-5)


def test_the_shortest_and_the_longest() -> None:
    (sums,) = trace_of(STRACE / "columns.txt").sums
    at = sums.names.index("mmap")
    assert (sums.shortest_s[at], sums.longest_s[at], sums.calls[at]) == (0.000013, 0.000024, 17)
    (plain,) = trace_of(STRACE / "attach-wall.txt").sums
    assert np.isnan(plain.longest_s).all()


def test_columns_may_stand_in_any_order() -> None:
    (sums,) = trace_of(STRACE / "chosen.txt").sums
    assert sums.names[0] == "read" and sums.calls[0] == 7


def test_the_second_table_has_its_title() -> None:
    assert [sums.title for sums in trace_of(STRACE / "two-modes.txt").sums] == ["", "32 bit"]


def test_cut_at_every_line(tmp_path: Path) -> None:
    lines = (STRACE / "two-modes.txt").read_text().splitlines(keepends=True)
    path = tmp_path / "strace.txt"
    for number in range(1, len(lines) + 1):
        path.write_text("".join(lines[:number]))
        try:
            recording = load(path, format="strace-table")
        except ParseError as error:
            assert number < 4 and error.sentence.endswith(".")
            continue
        assert recording.syscalls is not None
        rows = sum(len(sums) for sums in recording.syscalls.sums)
        whole = lines[number - 1].split()[-1] == "total" if lines[number - 1].split() else False
        if not whole and number < len(lines) and rows and not recording.warnings:
            assert number >= 21  # the first table is whole, and nothing of the second is there


@pytest.mark.parametrize(
    "row",
    ["  1.00    0.000010        x         1           read", " -1.00 -0.000010 10 1 read", "99999999999999999999",
     "  1.00    0.000010          10  99999999999999999999999           read"],
)  # fmt: skip
def test_a_row_that_cannot_be_read(tmp_path: Path, row: str) -> None:
    text = (STRACE / "attach-wall.txt").read_text().splitlines()
    path = tmp_path / "strace.txt"
    path.write_text("\n".join([*text[:3], row, *text[3:]]) + "\n")
    recording = load(path)
    assert [caution.text for caution in recording.warnings] == [
        "The table has no end: only its first 1 rows are there."
    ]


def test_crlf_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "strace.txt"
    path.write_bytes((STRACE / "columns.txt").read_bytes().replace(b"\n", b"\r\n"))
    assert trace_of(path).sums[0].names == trace_of(STRACE / "columns.txt").sums[0].names


def test_others_are_not_taken_for_it() -> None:
    for path in sorted(DATA.rglob("*.txt")):
        if "strace" not in path.parts:
            assert STRACE_TABLE.sniff(path.read_bytes()[:65536], path.name) < 0, path
