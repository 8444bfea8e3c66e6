"""A strace log as a profile: who called, which call, about what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tailflame.model import NONE, Event, FrameKind, SampleTable, StackProfile
from tailflame.model.stacks import Int32, Int64, StackBuilder, readonly
from tailflame.model.syscalls import SyscallTrace
from tailflame.units import Unit

TIME = "System call time"
CALLS = "System calls"
ERRORS = "Errors"
SAMPLES_LIMIT = 1_000_000
"""Calls that are samples of their own, with their times; of more, those of one thread, name and place are one."""
_TABLE = 4_000_000
"""Numbers up to which a table of them is smaller than sorting is slow."""
_PART = 1 << 17
_PROCESS = re.compile(r"/proc/\d+", re.ASCII)
_NUMBERED = re.compile(r"([A-Za-z0-9_-]+):\[\d+(?:->\d+)?\]", re.ASCII)
_PEERS = re.compile(r"(?:TCP|UDP|TCPv6|UDPv6|UDPLITE|DCCP|SCTP)\w*:\[", re.ASCII)
# Ports that Linux gives by itself: 32768 to 60999 as it comes, and often up to 65535.
_PORT = re.compile(r":(?:3276[89]|327[7-9]\d|32[89]\d\d|3[3-9]\d{3}|[45]\d{4}|6[0-5]\d{3})(?=\]|->)", re.ASCII)


def profile_of(
    trace: SyscallTrace,
    roots: Sequence[str],
    stacks: Sequence[tuple[tuple[str, str], ...]] = (),
    leaf: Int64 | None = None,
) -> StackProfile:
    """roots: of each thread; stacks: (function, module) pairs, innermost first; leaf: of each call its stack, -1.

    Calls that never came back are not in it, as they are not in strace's own table.
    """
    rows = np.flatnonzero(trace.returned)
    columns = [trace.thread, trace.call, trace.place]
    distinct, which = _distinct(rows, columns if leaf is None else [*columns, leaf])
    builder = StackBuilder()
    rows_of = [_stack_row(builder, trace, roots, stacks, parts) for parts in distinct]
    row_of = np.array(rows_of, dtype=np.int64)
    timed = bool(np.isfinite(trace.duration_s).any())
    events = (
        Event(TIME, Unit.NANOSECONDS, has_period=True, counted_in=Unit.CALLS, exact=True)
        if timed
        else Event(CALLS, Unit.CALLS, counted_in=Unit.CALLS, exact=True),
        Event(ERRORS, Unit.CALLS, counted_in=Unit.CALLS, exact=True),
    )
    spent = np.nan_to_num(np.rint(trace.duration_s[rows] * 1e9))
    failed = trace.error[rows] >= 0
    if len(rows) <= SAMPLES_LIMIT:
        samples = _each(trace, rows, row_of[which], spent, failed)
    else:
        threads = np.array([parts[0] for parts in distinct], dtype=np.int64)
        samples = _merged(row_of, threads, which, spent, failed)
    return replace(
        builder.build(),
        samples=samples,
        threads=trace.threads,
        events=events,
        in_time_order=len(rows) <= SAMPLES_LIMIT,
    )


def _distinct(rows: Int64, columns: Sequence[Int32]) -> tuple[list[tuple[int, ...]], Int64]:
    """(the distinct values of the columns in these rows, which of them each row has)."""
    which = np.zeros(len(rows), np.int64)
    found: list[tuple[int, ...]] = [()]
    for column in columns:
        width = int(column.max()) + 2 if len(column) else 2  # -1 is one of them
        keys = _numbered(which, rows, column, width, len(found) * width)
        found = [(*found[key // width], key % width - 1) for key in keys.tolist()]
    return found, which


def _numbered(which: Int64, rows: Int64, column: Int32, width: int, top: int) -> Int64:
    """The distinct `which * width + column + 1`, all below `top`; `which` becomes the number of each row's own.

    Without sorting where the table is not too large; a part of the rows at a time, which fits into the processor's
    cache.
    """
    parts = [slice(at, at + _PART) for at in range(0, len(rows), _PART)]
    for part in parts:
        which[part] = which[part] * width + column[rows[part]] + 1
    if top > _TABLE:
        distinct, which[:] = np.unique(which, return_inverse=True)
        return distinct
    there = np.zeros(top, bool)
    for part in parts:
        there[which[part]] = True
    distinct = np.flatnonzero(there)
    number = np.zeros(top, np.int64)
    number[distinct] = np.arange(len(distinct))
    for part in parts:
        which[part] = number[which[part]]
    return distinct


def _stack_row(
    builder: StackBuilder,
    trace: SyscallTrace,
    roots: Sequence[str],
    stacks: Sequence[tuple[tuple[str, str], ...]],
    parts: tuple[int, ...],
) -> int:
    thread, call, place, *rest = parts
    stack = rest[0] if rest else NONE
    at = builder.push(NONE, builder.frame(roots[thread] if thread >= 0 else "process", kind=FrameKind.OTHER))
    if stack >= 0:
        for function, module in reversed(stacks[stack]):
            at = builder.push(at, builder.frame(function, module=module))
    at = builder.push(at, builder.frame(trace.names[call], kind=FrameKind.KERNEL))
    if place >= 0 and (name := lasting_name(trace.places[place])):
        at = builder.push(at, builder.frame(name, kind=FrameKind.OTHER))
    return at


def lasting_name(place: str) -> str:
    """A place without what is another number in each run, so that two runs compare; "" for a lock, which is nothing but
    its address.

    >>> lasting_name("TCP:[127.0.0.1:9000->127.0.0.1:58086]"), lasting_name("pipe:[899107]")
    ('TCP:[127.0.0.1:9000->127.0.0.1:*]', 'pipe')
    """
    if place.startswith("futex "):
        return ""
    if place.startswith("/proc/"):
        return _PROCESS.sub("/proc/PID", place)
    if (numbered := _NUMBERED.fullmatch(place)) is not None:
        return numbered[1]
    return _PORT.sub(":*", place) if _PEERS.match(place) else place


def _each(trace: SyscallTrace, rows: Int64, stack: Int64, spent: Int64, failed: Int64) -> SampleTable:
    """A sample of every call, and one more of every error."""
    bad = np.flatnonzero(failed)
    start = trace.start_s[rows]
    # Some 290 years fit: a log that tells of more has another fault.
    since = -trace.epoch_ns / 1e9
    ns = np.rint(np.clip(np.nan_to_num(start), since, since + 9e9) * 1e9).astype(np.int64) + trace.epoch_ns
    time = np.where(np.isfinite(start), np.maximum(ns, 0), NONE)
    n, more = len(rows), len(bad)
    order = np.argsort(np.concatenate((np.arange(n), bad)), kind="stable")
    return SampleTable(
        stack=readonly(np.concatenate((stack, stack[bad]))[order], np.int32),
        count=readonly(np.ones(n + more), np.float64),
        period=readonly(np.concatenate((spent, np.ones(more)))[order], np.float64),
        time_ns=readonly(np.concatenate((time, time[bad]))[order], np.int64),
        thread=readonly(np.concatenate((trace.thread[rows], trace.thread[rows[bad]]))[order], np.int32),
        cpu=readonly(np.full(n + more, NONE), np.int32),
        event=readonly(np.repeat([0, 1], [n, more])[order], np.int32),
    )


def _merged(row_of: Int64, threads: Int64, which: Int64, spent: Int64, failed: Int64) -> SampleTable:
    n = len(row_of)
    count = np.bincount(which, minlength=n)
    period = np.bincount(which, weights=spent, minlength=n)
    errors = np.bincount(which, weights=failed, minlength=n)
    bad = np.flatnonzero(errors)
    return SampleTable(
        stack=readonly(np.concatenate((row_of, row_of[bad])), np.int32),
        count=readonly(np.concatenate((count, errors[bad])), np.float64),
        period=readonly(np.concatenate((period, errors[bad])), np.float64),
        time_ns=readonly(np.full(n + len(bad), NONE), np.int64),
        thread=readonly(np.concatenate((threads, threads[bad])), np.int32),
        cpu=readonly(np.full(n + len(bad), NONE), np.int32),
        event=readonly(np.repeat([0, 1], [n, len(bad)]), np.int32),
    )
