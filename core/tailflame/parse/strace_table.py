"""The table that `strace -c` leaves: sums of calls, errors and time, and no single call.

Which columns it has is the user's (-U), and so is their order and that of the rows (-S). Programs of another word size
have a second table. See strace_summary for its lines.
"""

from __future__ import annotations

import math

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import Caution, Recording
from tailflame.model.stacks import readonly
from tailflame.model.syscalls import SyscallSums, SyscallTrace
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head
from tailflame.parse.strace_line import Kind, read_line
from tailflame.parse.strace_summary import SyscallTable, is_heading, read_summary

_TEXT_LIMIT = 16 * 1024 * 1024
"""Bytes of a table: Linux has some four hundred calls."""
_SNIFFED = 400


class StraceTable:
    name = "strace-table"
    title = "strace -c table"

    def sniff(self, head: bytes, name: str) -> float:
        lines = decode_head(head).split("\n")[:_SNIFFED]
        at = next((at for at, line in enumerate(lines) if is_heading(line)), None)
        if at is None:
            return NO
        # Below a log of calls it is the log that tells more, however short it is.
        if any(read_line(line).kind is Kind.CALL for line in lines[:at]):
            return 0.5
        return 0.9 if at + 1 < len(lines) and set(lines[at + 1].strip()) <= set("- ") else 0.5

    def load(self, source: Source) -> Recording:
        text = source.text(_TEXT_LIMIT)
        cautions = []
        try:
            tables = read_summary(text, source=source.name)
        except ParseError:
            # Cut short: what stands before is worth showing where it is a table at all.
            tables = read_summary(text, source=source.name, partial=True)
            rows = sum(len(table.rows) for table in tables)
            if not rows:
                raise
            cautions.append(
                Caution(
                    f"The table has no end: only its first {rows} rows are there.", "strace was killed while it wrote."
                )
            )
        if not any(table.rows for table in tables):
            raise ParseError(
                f"{source.name} holds a table of strace without a system call.",
                source=source.name,
                advice="None was finished while strace looked: record for longer.",
            )
        return Recording(
            tool="strace",
            format=self.name,
            source=source.name,
            results=(SyscallTrace(sums=sums_of(tables)),),
            warnings=tuple(cautions),
        )


STRACE_TABLE = StraceTable()


def sums_of(tables: tuple[SyscallTable, ...]) -> tuple[SyscallSums, ...]:
    """The tables as columns."""
    return tuple(
        SyscallSums(
            names=tuple(row.name for row in table.rows),
            calls=readonly([row.calls for row in table.rows], np.int64),
            errors=readonly([row.errors for row in table.rows], np.int64),
            seconds=readonly([row.seconds for row in table.rows], np.float64),
            shortest_s=readonly([row.shortest_s for row in table.rows], np.float64),
            longest_s=readonly([row.longest_s for row in table.rows], np.float64),
            title=table.mode,
        )
        for table in tables
        if table.rows and math.isfinite(sum(row.calls for row in table.rows))
    )
