"""System calls, one row each, or their sums where a tool has counted alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tailflame.model.stacks import Float64, Int32, Int64, Thread, UInt8, readonly


def _no_rows(dtype: type) -> Int32:
    return readonly([], dtype)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SyscallSums:
    """A table of `strace -c`: per system call. seconds: CPU time inside the kernel, or wall time where `wall`; None
    where nobody knows which. shortest_s, longest_s: NaN where the table has them not.
    """

    names: tuple[str, ...]
    calls: Int64
    errors: Int64
    seconds: Float64
    shortest_s: Float64 = field(default_factory=lambda: _no_rows(np.float64))
    longest_s: Float64 = field(default_factory=lambda: _no_rows(np.float64))
    wall: bool | None = None
    title: str = ""
    """Of a further table: "32 bit mode"."""

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SyscallTrace:
    """System calls in the order of the file.

    names: of the calls; errnos: "EAGAIN"; places: what file descriptors stand for (a path, a peer), "" unknown.
    call: index of names. start_s: as the file's clock says, less epoch_ns, NaN without one; duration_s: NaN where it
    never returned or was not timed. thread: index of threads, -1. error: index of errnos, -1 for none. fd: the call's
    first descriptor, -1. place: index of places, -1. returned: False for the rest of a call that never came back (exit,
    a kill).
    slow: rows whose text was kept (the slowest of each name, the first of each error, what had not come back at the
    end), ascending; slow_text: their arguments.
    sums: the tool's own tables where there are any; then the rows may be none.
    events: signals, exits and the like, (start_s, thread, text).
    epoch_ns: from when start_s counts, since 1970 where the clock tells the date; 0 where it counts from the clock's 0.
    """

    names: tuple[str, ...] = ()
    errnos: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    threads: tuple[Thread, ...] = ()
    call: Int32 = field(default_factory=lambda: _no_rows(np.int32))
    start_s: Float64 = field(default_factory=lambda: _no_rows(np.float64))
    duration_s: Float64 = field(default_factory=lambda: _no_rows(np.float64))
    thread: Int32 = field(default_factory=lambda: _no_rows(np.int32))
    error: Int32 = field(default_factory=lambda: _no_rows(np.int32))
    fd: Int32 = field(default_factory=lambda: _no_rows(np.int32))
    place: Int32 = field(default_factory=lambda: _no_rows(np.int32))
    returned: UInt8 = field(default_factory=lambda: _no_rows(np.uint8))
    slow: Int32 = field(default_factory=lambda: _no_rows(np.int32))
    slow_text: tuple[str, ...] = ()
    sums: tuple[SyscallSums, ...] = ()
    events: tuple[tuple[float, int, str], ...] = ()
    epoch_ns: int = 0

    def __len__(self) -> int:
        return len(self.call)
