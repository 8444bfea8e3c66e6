"""The table that `strace -c` leaves: calls, errors and time by system call.

    % time     seconds  usecs/call     calls    errors syscall
    ------ ----------- ----------- --------- --------- ----------------
     95.38    0.830068         209      3960        12 clock_nanosleep
    ------ ----------- ----------- --------- --------- ----------------
    100.00    0.870236         109      7921        12 total

The column of errors is blank where there are none; newer versions print usecs/call in the line of the total, older
ones do not. With -w the seconds are of the wall clock, otherwise CPU time of the kernel. Programs of another word size
have a second table, under "System call usage summary for 32 bit mode:".
https://github.com/strace/strace/blob/v6.1/src/count.c
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tailflame.errors import ParseError

_HEAD = re.compile(r"% time\s+seconds\s+usecs/call\s+calls\s+errors\s+syscall\s*")
_MODE = re.compile(r"System call usage summary for (.+?)(?: mode)?:\s*")
# " 95.38    0.830068         209      3960        12 clock_nanosleep"; "100.00    0.005      7921           total"
_ROW = re.compile(
    r"\s*(?P<share>\d+\.\d+|-?nan)\s+(?P<seconds>\d+\.\d+)(?:\s+(?P<each>\d+))?\s+(?P<calls>\d+)"
    r"(?:\s+(?P<errors>\d+))?\s+(?P<name>\S+)\s*",
    re.ASCII,
)
_RULE = re.compile(r"[- ]*-[- ]*")


@dataclass(frozen=True, slots=True)
class SyscallCount:
    """One system call of the table. `share` of all the seconds, 0..1."""

    name: str
    calls: int
    errors: int
    seconds: float
    share: float


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


def read_summary(text: str, *, source: str = "") -> tuple[SyscallTable, ...]:
    """The tables of `text`; none where no system call was made. Other lines are passed over.

    Raises:
        ParseError: a line of a table cannot be read, or a table ends before its total.
    """
    tables: list[SyscallTable] = []
    rows: list[SyscallCount] | None = None
    mode = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if (named := _MODE.fullmatch(line)) is not None:
            mode = named[1]
        elif _HEAD.fullmatch(line):
            rows = []
        elif rows is not None and not _RULE.fullmatch(line):
            row = _read_row(line)
            if row is None:
                raise ParseError(f"This is no line of strace's table: {line[:80]!r}.", source=source, line=number)
            if row.name == "total":
                tables.append(SyscallTable(tuple(rows), mode))
                rows, mode = None, ""
            else:
                rows.append(row)
    if rows is not None:
        raise ParseError("strace's table has no end.", source=source, advice="strace was killed while it wrote.")
    return tuple(tables)


def _read_row(line: str) -> SyscallCount | None:
    match = _ROW.fullmatch(line)
    if match is None:
        return None
    share = match["share"]
    # Two numbers after the seconds are usecs/call and calls, or in an old total calls and errors; nobody needs that.
    return SyscallCount(
        name=match["name"],
        calls=int(match["calls"]),
        errors=int(match["errors"] or 0),
        seconds=float(match["seconds"]),
        share=0.0 if "nan" in share else float(share) / 100,
    )
