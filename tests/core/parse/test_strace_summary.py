"""The table of `strace -c`, held to strace's own totals."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.environment import DATA
from tailflame.errors import ParseError
from tailflame.parse.strace_summary import SyscallTable, read_summary

STRACE = DATA / "strace" / "6.1"
HEAD = "% time     seconds  usecs/call     calls    errors syscall\n"
RULE = "------ ----------- ----------- --------- --------- ----------------\n"


def read(name: str) -> tuple[SyscallTable, ...]:
    return read_summary((STRACE / name).read_text(), source=name)


def own_totals(name: str) -> list[tuple[float, int, int]]:
    """seconds, calls and errors of strace's own lines "total"."""
    cells = [line.split() for line in (STRACE / name).read_text().splitlines() if line.endswith(" total")]
    return [(float(c[1]), int(c[3]), int(c[4]) if len(c) == 6 else 0) for c in cells]


@pytest.mark.parametrize("name", ["attach-wall.txt", "attach-cpu.txt", "two-modes.txt"])
def test_sums_are_what_strace_says(name: str) -> None:
    tables = read(name)
    assert [(pytest.approx(t.seconds, abs=2e-5), t.calls, t.errors) for t in tables] == own_totals(name)
    for table in tables:
        assert sum(row.share for row in table.rows) == pytest.approx(1.0, abs=0.01)


def test_a_row() -> None:
    (table,) = read("attach-wall.txt")
    futex = next(row for row in table.rows if row.name == "futex")
    assert (futex.calls, futex.errors, futex.seconds, futex.share) == (6294, 1106, 1.074315, 0.2732)
    assert table.rows[0].name == "clock_nanosleep" and table.rows[0].errors == 0


def test_programs_of_another_word_size_have_a_table_of_their_own() -> None:
    wide, narrow = read("two-modes.txt")
    assert (wide.mode, narrow.mode) == ("", "32 bit")
    assert [(row.name, row.calls) for row in narrow.rows] == [("getppid", 50)]


def test_no_calls_no_table() -> None:
    assert read("none.txt") == ()


def test_the_total_of_older_versions_has_no_usecs() -> None:
    text = HEAD + RULE + "100.00    0.000010          10         1         1 access\n" + RULE
    text += "100.00    0.000010                     1         1 total\n"
    assert [row.name for row in read_summary(text)[0].rows] == ["access"]


def test_nothing_took_any_time() -> None:
    text = HEAD + RULE + "  -nan    0.000000           0         1           exit\n" + RULE
    text += "   nan    0.000000           0         1           total\n"
    assert read_summary(text)[0].rows[0].share == 0.0


def test_a_cut_table_is_refused() -> None:
    whole = (STRACE / "attach-wall.txt").read_text()
    with pytest.raises(ParseError, match="no end"):
        read_summary(whole[: whole.index("100.00")])
    with pytest.raises(ParseError, match="no line") as caught:
        read_summary(whole[: whole.index("futex") - 30], source="x")
    assert (caught.value.source, caught.value.line) == ("x", 4)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for table in read_summary_or_nothing(HEAD + text), read_summary_or_nothing(text):
        assert all(row.calls >= 0 for t in table for row in t.rows)


def read_summary_or_nothing(text: str) -> tuple[SyscallTable, ...]:
    try:
        return read_summary(text)
    except ParseError:
        return ()


NAMES = st.from_regex(re.compile(r"[a-z_][a-z0-9_]{0,30}", re.ASCII), fullmatch=True).filter(lambda n: n != "total")
ROWS = st.lists(
    st.tuples(NAMES, st.integers(0, 10**12), st.integers(0, 10**9), st.integers(0, 10**12)), min_size=1, max_size=20
)


@given(ROWS)
def test_what_strace_prints_is_read_back(rows: list[tuple[str, int, int, int]]) -> None:
    """As count.c prints it: "%6.2f %11.6f %11lu %9lu %9.lu %s"."""
    lines = [
        f"{50:6.2f} {us / 1e6:11.6f} {us // max(calls, 1):11d} {calls:9d} {errors or '':>9} {name}\n"
        for name, calls, errors, us in rows
    ]
    total = f"100.00 {1:11.6f} {1:11d} {1:9d} {'':>9} total\n"
    (table,) = read_summary(HEAD + RULE + "".join(lines) + RULE + total)
    assert [(r.name, r.calls, r.errors, round(r.seconds * 1e6)) for r in table.rows] == rows
