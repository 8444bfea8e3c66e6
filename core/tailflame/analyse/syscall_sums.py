"""System calls summed up: by call, by what they were about, and the slowest of them.

Calls that never came back (exit, a kill) are in no sum, as they are in none of strace's own. Percentiles follow
HdrHistogram's rule at three digits, but none is said to be above the longest call, which is known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailflame.model.buckets import layout
from tailflame.model.histogram import Histogram
from tailflame.model.stacks import NONE, Bool, Float64, Int32, Int64
from tailflame.model.syscalls import SyscallSums, SyscallTrace

_DIGITS = 3
_NO_PLACE = "(no file or peer)"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which calls are looked at. span: (from, to) of their starts, by the log's clock; thread, call: indices of the
    trace's threads and names, -1 for all.
    """

    span: tuple[float, float] | None = None
    thread: int = NONE
    call: int = NONE

    def rows(self, trace: SyscallTrace, *, returned: bool = True) -> Int64:
        """The rows of the trace; with `returned` only calls that came back."""
        return np.flatnonzero(self._keeps(trace, slice(None), returned))

    def of(self, trace: SyscallTrace, rows: Int32) -> Int32:
        """Those of some rows, whether they came back or not."""
        return rows[self._keeps(trace, rows, False)]

    def _keeps(self, trace: SyscallTrace, rows: Int32 | slice, returned: bool) -> Bool:
        back = trace.returned[rows] > 0
        keep: Bool = back if returned else np.ones(len(back), bool)
        if self.span is not None:
            start = trace.start_s[rows]
            keep = keep & (start >= self.span[0]) & (start < self.span[1])
        if self.thread != NONE:
            keep = keep & (trace.thread[rows] == self.thread)
        if self.call != NONE:
            keep = keep & (trace.call[rows] == self.call)
        return keep


EVERYTHING = Choice()


@dataclass(frozen=True, slots=True, eq=False)
class CallSums:
    """One row per name of a call, the most time first.

    call: index of the trace's names, -1 of a table's rows. total_s: 0 where nothing was timed. p50_ns, p99_ns, max_ns:
    NaN where not known. failures: "EAGAIN 12, ENOENT 3", most frequent first. singles: whether single calls are known.
    timed: whether times are.
    """

    names: tuple[str, ...]
    call: Int32
    calls: Int64
    errors: Int64
    total_s: Float64
    p50_ns: Float64
    p99_ns: Float64
    max_ns: Float64
    failures: tuple[str, ...]
    singles: bool = True
    timed: bool = True

    def __len__(self) -> int:
        return len(self.names)

    @property
    def whole_s(self) -> float:
        """The time of all."""
        return float(self.total_s.sum())


def sum_calls(trace: SyscallTrace, choice: Choice = EVERYTHING) -> CallSums:
    """By name. Of a trace without single calls, its tables."""
    if not len(trace):
        return sum_tables(trace.sums)
    rows = choice.rows(trace)
    call = trace.call[rows]
    n = len(trace.names)
    duration = trace.duration_s[rows]
    known = np.isfinite(duration)
    calls = np.bincount(call, minlength=n)
    failed = trace.error[rows] >= 0
    errors = np.bincount(call[failed], minlength=n)
    total = np.bincount(call, weights=np.where(known, duration, 0.0), minlength=n)
    p50, p99, most = (np.full(n, np.nan) for _ in range(3))
    timed = nanoseconds_of(duration[known])
    order = np.argsort(call[known].astype(np.uint16) if n < 2**16 else call[known], kind="stable")
    ordered = timed[order]
    ends = np.cumsum(np.bincount(call[known], minlength=n))
    for which in np.flatnonzero(np.bincount(call[known], minlength=n)).tolist():
        values = ordered[ends[which - 1] if which else 0 : ends[which]]
        most[which] = values.max()
        told = Histogram.of(values, digits=_DIGITS).percentiles((50.0, 99.0))
        p50[which], p99[which] = np.minimum(told, most[which])
    failures = _failures(trace, call[failed], trace.error[rows][failed])
    shown = np.flatnonzero(calls)
    shown = shown[np.lexsort((shown, -calls[shown], -total[shown]))]
    return CallSums(
        names=tuple(trace.names[at] for at in shown.tolist()),
        call=shown.astype(np.int32),
        calls=calls[shown],
        errors=errors[shown],
        total_s=total[shown],
        p50_ns=p50[shown],
        p99_ns=p99[shown],
        max_ns=most[shown],
        failures=tuple(failures.get(at, "") for at in shown.tolist()),
        timed=bool(known.any()),
    )


def sum_tables(tables: tuple[SyscallSums, ...]) -> CallSums:
    """The tables of `strace -c`, one below the other: no single calls, so no percentiles."""
    names = tuple(f"{name} ({table.title})" if table.title else name for table in tables for name in table.names)
    calls, errors, total, longest = (
        np.concatenate([np.empty(0), *parts])
        for parts in (
            [table.calls for table in tables],
            [table.errors for table in tables],
            [table.seconds for table in tables],
            [table.longest_s if len(table.longest_s) else np.full(len(table), np.nan) for table in tables],
        )
    )
    order = np.lexsort((np.arange(len(names)), -calls, -total))
    unknown = np.full(len(names), np.nan)
    return CallSums(
        names=tuple(names[at] for at in order.tolist()),
        call=np.full(len(names), NONE, np.int32),
        calls=calls[order].astype(np.int64),
        errors=errors[order].astype(np.int64),
        total_s=total[order],
        p50_ns=unknown,
        p99_ns=unknown,
        max_ns=np.rint(longest[order] * 1e9),
        failures=tuple("" for _ in names),
        singles=False,
        timed=bool(total.any()),
    )


def nanoseconds_of(duration_s: Float64) -> Int64:
    return np.rint(duration_s * 1e9).astype(np.int64)


def _failures(trace: SyscallTrace, call: Int32, error: Int32) -> dict[int, str]:
    """The errors of each call in words."""
    width = len(trace.errnos) or 1
    keys, numbers = np.unique(call.astype(np.int64) * width + error, return_counts=True)
    found: dict[int, list[tuple[int, str]]] = {}
    for key, number in zip(keys.tolist(), numbers.tolist(), strict=True):
        found.setdefault(key // width, []).append((-number, trace.errnos[key % width]))
    return {call: ", ".join(f"{name} {-number:,}" for number, name in sorted(all_)) for call, all_ in found.items()}


def histogram(trace: SyscallTrace, choice: Choice = EVERYTHING) -> Histogram:
    """The latencies of the chosen calls, ns."""
    duration = trace.duration_s[choice.rows(trace)]
    return Histogram.of(nanoseconds_of(duration[np.isfinite(duration)]), digits=_DIGITS)


@dataclass(frozen=True, slots=True, eq=False)
class PlaceSums:
    """One row per file, peer or lock, the most time first. fd: the descriptor, -1 where there is none or were several.
    place: index of the trace's places, -1 for calls about nothing. calls_by: "write 1,844, fsync 3".
    """

    places: tuple[str, ...]
    place: Int32
    fd: Int32
    calls: Int64
    errors: Int64
    total_s: Float64
    p50_ns: Float64
    p99_ns: Float64
    max_ns: Float64
    calls_by: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.places)


def sum_places(trace: SyscallTrace, choice: Choice = EVERYTHING, *, number: int = 2000) -> PlaceSums:
    """By what calls were about, at most `number` rows. Descriptors without a name are "descriptor 3"."""
    rows = choice.rows(trace)
    place, fd = trace.place[rows].astype(np.int64), trace.fd[rows].astype(np.int64)
    # A descriptor whose name nobody knows is a place of its own.
    key = np.where(place >= 0, place, np.where(fd >= 0, len(trace.places) + fd, NONE))
    keys, group = np.unique(key, return_inverse=True)
    n = len(keys)
    duration = trace.duration_s[rows]
    known = np.isfinite(duration)
    calls = np.bincount(group, minlength=n)
    errors = np.bincount(group[trace.error[rows] >= 0], minlength=n)
    total = np.bincount(group, weights=np.where(known, duration, 0.0), minlength=n)
    order = np.lexsort((np.arange(n), -calls, -total))[:number]
    p50, p99, most = grouped_percentiles(group[known], nanoseconds_of(duration[known]), n)
    low = np.full(n, 2**31 - 1)
    high = np.full(n, -1)
    np.minimum.at(low, group, fd)
    np.maximum.at(high, group, fd)
    names = _calls_by(trace, group, trace.call[rows], set(order.tolist()), n)
    return PlaceSums(
        places=tuple(_place(trace, int(keys[at])) for at in order.tolist()),
        place=np.where(keys[order] < len(trace.places), keys[order], NONE).astype(np.int32),
        fd=np.where(low == high, high, NONE)[order].astype(np.int32),
        calls=calls[order],
        errors=errors[order],
        total_s=total[order],
        p50_ns=p50[order],
        p99_ns=p99[order],
        max_ns=most[order],
        calls_by=tuple(names.get(at, "") for at in order.tolist()),
    )


def _place(trace: SyscallTrace, key: int) -> str:
    if key < 0:
        return _NO_PLACE
    return trace.places[key] if key < len(trace.places) else f"descriptor {key - len(trace.places)}"


def _calls_by(trace: SyscallTrace, group: Int64, call: Int32, wanted: set[int], groups: int) -> dict[int, str]:
    width = len(trace.names) or 1
    keys, numbers = np.unique(group.astype(np.int64) * width + call, return_counts=True)
    found: dict[int, list[tuple[int, str]]] = {}
    for key, number in zip(keys.tolist(), numbers.tolist(), strict=True):
        if key // width in wanted:
            found.setdefault(key // width, []).append((-number, trace.names[key % width]))
    return {at: ", ".join(f"{name} {-number:,}" for number, name in sorted(all_)) for at, all_ in found.items()}


def grouped_percentiles(group: Int64, values: Int64, groups: int) -> tuple[Float64, Float64, Float64]:
    """(p50, p99, largest) of each group by HdrHistogram's rule, the largest exactly and none above it; NaN of empty
    groups.
    """
    order = np.lexsort((values, group))
    ordered = values[order]
    sizes = np.bincount(group, minlength=groups)
    first = np.cumsum(sizes) - sizes
    there = np.flatnonzero(sizes)
    most = np.full(groups, np.nan)
    most[there] = ordered[first[there] + sizes[there] - 1]
    found = []
    shape = layout(1, _DIGITS)
    for p in (50.0, 99.0):
        # The bucket in which ceil(nextDown(p) * total / 100) values have been seen, at its highest value.
        rank = np.maximum(np.ceil(np.nextafter(p, 0.0) * sizes[there] / 100.0), 1).astype(np.int64)
        index = shape.indices(ordered[first[there] + rank - 1])
        column = np.full(groups, np.nan)
        column[there] = shape.lows(index) + shape.widths(index) - 1
        found.append(np.fmin(column, most))
    return found[0], found[1], most


@dataclass(frozen=True, slots=True)
class SlowCall:
    """One call with its arguments. start_s: since the log's first call, NaN without times. returned: False for one that
    had not come back when the log ended; duration_s is then how long it had waited.
    """

    row: int
    name: str
    thread: str
    start_s: float
    duration_s: float
    error: str
    place: str
    arguments: str
    returned: bool = True


def slowest(trace: SyscallTrace, choice: Choice = EVERYTHING, *, number: int = 200) -> tuple[SlowCall, ...]:
    """The slowest of the calls whose text was kept, the slowest first; calls without a time come last. What had not
    come back when the log ended is among them: a thread that hangs.
    """
    if not len(trace):
        return ()
    text = dict(zip(trace.slow.tolist(), trace.slow_text, strict=True))
    rows = choice.of(trace, trace.slow)
    began = first_s(trace)
    back = trace.returned[rows] > 0
    waited = began + (length_s(trace) or 0.0) - trace.start_s[rows]
    duration = np.where(back, trace.duration_s[rows], waited)
    order = np.lexsort((rows, -np.nan_to_num(duration, nan=-1.0)))[:number]
    took, rows = dict(zip(rows.tolist(), duration.tolist(), strict=True)), rows[order]
    return tuple(
        SlowCall(
            row=row,
            name=trace.names[trace.call[row]],
            thread=thread_name(trace, int(trace.thread[row])),
            start_s=float(trace.start_s[row]) - began,
            duration_s=took[row],
            error=trace.errnos[trace.error[row]] if trace.error[row] >= 0 else "",
            place=trace.places[trace.place[row]] if trace.place[row] >= 0 else "",
            arguments=text[row],
            returned=bool(trace.returned[row]),
        )
        for row in rows.tolist()
    )


def first_s(trace: SyscallTrace) -> float:
    """When the first call began, by the log's clock; 0 without times."""
    known = trace.start_s[np.isfinite(trace.start_s)]
    return float(known.min()) if len(known) else 0.0


def thread_name(trace: SyscallTrace, thread: int) -> str:
    """ "engine-0 (4711)", "4711", "" where the log does not tell."""
    if thread < 0:
        return ""
    of = trace.threads[thread]
    return f"{of.name} ({of.tid})" if of.name else str(of.tid)


def length_s(trace: SyscallTrace) -> float | None:
    """From the first call to the end of the last one; None without times."""
    known = np.isfinite(trace.start_s)
    if not known.any():
        return None
    ends = trace.start_s[known] + np.nan_to_num(trace.duration_s[known])
    return float(ends.max() - trace.start_s[known].min())
