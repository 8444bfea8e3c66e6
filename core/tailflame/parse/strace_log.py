"""The log that `strace -o FILE` leaves: every system call with its arguments, its result and its time."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import Caution, Meta, Recording
from tailflame.model.syscalls import SyscallTrace
from tailflame.parse.registry import NO
from tailflame.parse.source import HEAD, Source, decode_head
from tailflame.parse.strace_line import Kind, read_line
from tailflame.parse.strace_summary import is_heading, read_summary
from tailflame.parse.strace_table import sums_of
from tailflame.units import count

if TYPE_CHECKING:
    from tailflame.parse.strace_reader import LogReader

_SNIFFED = 200


class StraceLog:
    name = "strace-log"
    title = "strace log"

    def sniff(self, head: bytes, name: str) -> float:
        lines = decode_head(head).split("\n")
        if len(head) >= HEAD and len(lines) > 1:
            lines.pop()
        # The table below a short log may be longer than the log.
        lines = list(itertools.takewhile(lambda line: not is_heading(line), lines))
        lines = [line for line in lines if line.strip() and not line.startswith(" > ")][:_SNIFFED]
        if not lines:
            return NO
        known = calls = 0
        for line in lines:
            read = read_line(line)
            known += read.kind is not Kind.OTHER or bool(read.mode)
            # "f(x) = 3" may stand in any text; a thread or a time before it, or its duration behind, may not.
            marked = read.tid >= 0 or read.start_s == read.start_s or read.duration_s == read.duration_s
            calls += read.kind in (Kind.CALL, Kind.OPENED, Kind.CLOSED) and (marked or read.kind is Kind.CALL)
        if not calls or known < 0.5 * len(lines):
            return NO
        return 0.6 + 0.35 * known / len(lines)

    def load(self, source: Source) -> Recording:
        # Whoever opens no log of strace should not wait for its reader.
        from tailflame.parse.strace_reader import LogReader
        from tailflame.parse.strace_stacks import profile_of

        reader = LogReader(source)
        reader.read()
        trace, leaf = reader.trace()
        trace, doubts = _with_table(trace, reader.table)
        if not len(trace) and not trace.sums:
            raise ParseError(
                f"{source.name} holds no whole system call.",
                source=source.name,
                advice="strace was stopped before the first one came back: record for longer.",
            )
        profile = profile_of(trace, reader.threads.roots(), reader.stacks, leaf)
        return Recording(
            tool="strace",
            format=self.name,
            source=source.name,
            results=(trace, profile) if len(trace) else (trace,),
            meta=_meta(trace, reader),
            warnings=(*_cautions(trace, reader), *doubts),
        )


STRACE_LOG = StraceLog()


def _with_table(trace: SyscallTrace, table: list[str]) -> tuple[SyscallTrace, tuple[Caution, ...]]:
    """With the sums of -C, and what is wrong with them."""
    if not table:
        return trace, ()
    try:
        sums = sums_of(read_summary("\n".join(table)))
    except ParseError:
        damaged = "strace's own table at the end is damaged: calls are counted from the log itself."
        return trace, (Caution(damaged),)
    theirs = sum(int(one.calls.sum()) for one in sums)
    # Calls that strace does not know are in the log and not in its table.
    known = np.array([not name.startswith("syscall_0x") for name in trace.names], dtype=bool)
    ours = int((trace.returned[known[trace.call]] > 0).sum()) if len(trace) else theirs
    found: tuple[Caution, ...] = ()
    if ours != theirs:
        told = f"strace's own table counts {count(theirs)} calls, the log holds {count(ours)}."
        found = (Caution(told, "Part of the log is missing, or it is several logs in one."),)
    return replace(trace, sums=sums), found


def _meta(trace: SyscallTrace, reader: LogReader) -> Meta:
    known = trace.start_s[np.isfinite(trace.start_s)]
    duration = started = None
    if len(known):
        last = trace.start_s + np.nan_to_num(trace.duration_s)
        duration = float(np.nanmax(last) - known.min()) or None  # of -t all may be of one second
        first = trace.epoch_ns / 1e9 + float(known.min())
        if reader.layout is not None and first > 86400.0 * 366:
            started = _moment(first)
    # The last one to end is the one that was started.
    ends = [text for _time, _thread, text in trace.events if text.startswith(("exited with", "killed by"))]
    return Meta(
        command=reader.command,
        duration_s=duration,
        started_at=started,
        outcome=_outcome(ends[-1]) if ends else "",
    )


def _moment(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _outcome(text: str) -> str:
    """ "exited with 0", "killed by SIGKILL" as a sentence."""
    return f"The program {'was ' if text.startswith('killed') else ''}{text}."


def _cautions(trace: SyscallTrace, reader: LogReader) -> tuple[Caution, ...]:
    found = []
    if len(trace) and not np.isfinite(trace.duration_s).any():
        found.append(Caution("strace has timed no call: there are counts, and no times.", "Record it with -T."))
    if len(trace) and not np.isfinite(trace.start_s).any():
        found.append(Caution("The lines have no times: there is nothing over time.", "Record it with -ttt."))
    if reader.odd.number:
        odd = reader.odd
        what = "1 line is" if odd.number == 1 else f"{count(odd.number)} lines are"
        fix = "strace wrote to a terminal that others wrote to as well: record with -o FILE."
        if odd.number == 1 and odd.first == reader.lines:
            what, fix = "The last line is cut short and", "Everything before it was read."
        found.append(Caution(f"{what} left out (line {odd.first}: {odd.text!r}).", fix))
    if reader.tables.places.overflowed:
        found.append(
            Caution(f"More than {count(len(trace.places) - 1)} different files: the later ones are shown as one.")
        )
    return tuple(found)
