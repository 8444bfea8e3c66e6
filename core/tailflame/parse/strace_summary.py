"""The table that `strace -c` leaves: calls, errors and time by system call.

    % time     seconds  usecs/call     calls    errors syscall
    ------ ----------- ----------- --------- --------- ----------------
     95.38    0.830068         209      3960        12 clock_nanosleep
    ------ ----------- ----------- --------- --------- ----------------
    100.00    0.870236         109      7921        12 total

The column of errors is blank where there are none; newer versions print usecs/call in the line of the total, older
ones do not. With -w the seconds are of the wall clock, otherwise CPU time of the kernel. -U chooses the columns and
their order, among them "shortest" and "longest". Programs of another word size have a second table, under "System call
usage summary for 32 bit mode:".
https://github.com/strace/strace/blob/v6.1/src/count.c
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from tailflame.errors import ParseError

_MODE = re.compile(r"System call usage summary for (.+?)(?: mode)?:\s*")
_COLUMNS = {
    "% time": re.compile(r"\d+\.\d+|-?nan", re.ASCII),
    "seconds": re.compile(r"\d{1,12}\.\d+", re.ASCII),
    "shortest": re.compile(r"\d{1,12}\.\d+", re.ASCII),
    "longest": re.compile(r"\d{1,12}\.\d+", re.ASCII),
    "usecs/call": re.compile(r"\d{1,18}", re.ASCII),
    "calls": re.compile(r"\d{1,18}", re.ASCII),
    "errors": re.compile(r"\d{1,18}", re.ASCII),
    "syscall": re.compile(r"[A-Za-z_]\S{0,63}", re.ASCII),
}
_RULE = re.compile(r"[- ]*-[- ]*")


@dataclass(frozen=True, slots=True)
class SyscallCount:
    """One system call of the table. `share` of all the seconds, 0..1; what the table has not is 0, and NaN of the
    shortest and longest.
    """

    name: str
    calls: int
    errors: int
    seconds: float
    share: float
    shortest_s: float = math.nan
    longest_s: float = math.nan


@dataclass(frozen=True, slots=True)
class SyscallTable:
    """`mode` is "" for the machine's own, "32 bit" for the table of programs of another word size."""

    rows: tuple[SyscallCount, ...]
    mode: str = ""

    @property
    def calls(self) -> int:
        return sum(row.calls for row in self.rows)

    @property
    def errors(self) -> int:
        return sum(row.errors for row in self.rows)

    @property
    def seconds(self) -> float:
        return sum(row.seconds for row in self.rows)


def is_heading(line: str) -> bool:
    """Whether it names the columns of a table."""
    return _columns_of(line) is not None


def is_second_heading(line: str) -> bool:
    """ "System call usage summary for 32 bit mode:"."""
    return _MODE.fullmatch(line) is not None


def read_summary(text: str, *, source: str = "", partial: bool = False) -> tuple[SyscallTable, ...]:
    """The tables of `text`; none where no system call was made. Other lines are passed over. With `partial`, a table
    without its end is given as far as it goes.

    Raises:
        ParseError: a line of a table cannot be read, or a table ends before its total.
    """
    tables: list[SyscallTable] = []
    rows: list[SyscallCount] | None = None
    columns: tuple[str, ...] = ()
    mode = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if (named := _MODE.fullmatch(line)) is not None:
            mode = named[1]
        elif (found := _columns_of(line)) is not None:
            rows, columns = [], found
        elif rows is not None and line.strip() and not _RULE.fullmatch(line):
            row = _read_row(line, columns)
            if row is None:
                if partial:
                    break
                raise ParseError(
                    f"This is no line of strace's table: {line[:80]!r}.",
                    source=source,
                    line=number,
                    advice="Copy the file again, or record it again.",
                )
            if row.name == "total":
                tables.append(SyscallTable(tuple(rows), mode))
                rows, mode = None, ""
            else:
                rows.append(row)
    if rows is not None:
        if not partial:
            raise ParseError("strace's table has no end.", source=source, advice="strace was killed while it wrote.")
        tables.append(SyscallTable(tuple(rows), mode))
    return tuple(tables)


def _columns_of(line: str) -> tuple[str, ...] | None:
    """The columns that a heading names; None where it is none, or names no calls."""
    columns: list[str] = []
    left = line.strip().replace("% time", "%time").split()
    for word in left:
        name = "% time" if word == "%time" else word
        if name not in _COLUMNS or name in columns:
            return None
        columns.append(name)
    return tuple(columns) if "syscall" in columns and "calls" in columns else None


def _read_row(line: str, columns: tuple[str, ...]) -> SyscallCount | None:
    """ " 95.38    0.830068         209      3960        12 clock_nanosleep": the errors may be blank, and in the total
    of older versions usecs/call."""
    words = line.split()
    for missing in ((), ("errors",), ("usecs/call",), ("errors", "usecs/call")):
        there = [name for name in columns if name not in missing]
        if len(there) != len(words) or not set(missing) <= set(columns):
            continue
        if "usecs/call" in missing and words[there.index("syscall")] != "total":
            continue
        cell = dict(zip(there, words, strict=True))
        if all(_COLUMNS[name].fullmatch(text) for name, text in cell.items()):
            return _count_of(cell)
    return None


def _count_of(cell: dict[str, str]) -> SyscallCount:
    share = cell.get("% time", "0")
    return SyscallCount(
        name=cell["syscall"],
        calls=int(cell["calls"]),
        errors=int(cell.get("errors", 0)),
        seconds=float(cell.get("seconds", 0.0)),
        share=0.0 if "nan" in share else float(share) / 100,
        shortest_s=float(cell.get("shortest", math.nan)),
        longest_s=float(cell.get("longest", math.nan)),
    )
