"""Threads that were blocked together: intervals in which two or more waited in calls on the same file, peer or lock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailflame.analyse.syscall_sums import EVERYTHING, Choice, first_s, thread_name
from tailflame.model.stacks import Int64
from tailflame.model.syscalls import SyscallTrace

_WAITS = """
accept accept4 connect epoll_pwait epoll_pwait2 epoll_wait fcntl flock fsync fdatasync futex futex_wait futex_waitv
io_getevents io_uring_enter lock mq_timedreceive msgrcv poll ppoll pread64 preadv pselect6 read readv recvfrom
recvmmsg recvmsg rt_sigtimedwait select semop semtimedop sendmsg sendto wait4 waitid waitpid write writev pwrite64
pwritev
"""
WAITS = frozenset(_WAITS.split())
"""Calls that wait for something that others may wait for."""


@dataclass(frozen=True, slots=True)
class BlockedTogether:
    """One place. together_s: how long at least two threads waited there at once; waiting_s: of all threads, one beside
    the other; most: threads at once; times: how often it came to that; longest_s and longest_at_s (since the log's
    first call): the longest of them. unfinished: calls that never came back, counted to the end of the log.
    """

    place: str
    calls: str
    threads: tuple[str, ...]
    together_s: float
    waiting_s: float
    most: int
    times: int
    longest_s: float
    longest_at_s: float
    unfinished: int


def blocked_together(
    trace: SyscallTrace, choice: Choice = EVERYTHING, *, number: int = 200
) -> tuple[BlockedTogether, ...]:
    """The places by the time that two or more threads waited there together, most first. None without times."""
    rows = choice.rows(trace, returned=False)
    waits = np.array([name.partition(" ")[0] in WAITS for name in trace.names], dtype=bool)
    rows = rows[waits[trace.call[rows]] & (trace.place[rows] >= 0) & (trace.thread[rows] >= 0)]
    rows = rows[np.isfinite(trace.start_s[rows])]
    if not len(rows):
        return ()
    start = trace.start_s[rows]
    end = start + trace.duration_s[rows]
    # What never came back waits to the end, as a deadlock does.
    last = np.nanmax(trace.start_s + np.nan_to_num(trace.duration_s))
    gone = (trace.returned[rows] == 0) & np.isnan(end)
    end = np.where(gone, last, end)
    kept = end > start
    rows, start, end, gone = rows[kept], start[kept], end[kept], gone[kept]
    if not len(rows):
        return ()
    key = _places(trace, rows)
    n = int(key.max()) + 1
    when = np.concatenate((start, end))
    step = np.repeat([1, -1], len(rows))
    place = np.concatenate((key, key))
    order = np.lexsort((step, when, place))  # at one moment an end comes first: that is no overlap
    when, place, step = when[order], place[order], step[order]
    waiting = np.cumsum(step)  # each place begins and ends with none
    length = np.append(np.diff(when), 0.0)
    both = waiting >= 2
    together = np.bincount(place[both], weights=length[both], minlength=n)
    most = np.zeros(n, np.int64)
    np.maximum.at(most, place, waiting)
    chosen = np.flatnonzero(together > 0)
    chosen = chosen[np.argsort(-together[chosen], kind="stable")][:number]
    waited = np.bincount(key, weights=end - start, minlength=n)
    began = first_s(trace)
    found = []
    for which in chosen.tolist():
        own = np.flatnonzero(key == which)
        times, longest, at = _spells(when[place == which], waiting[place == which])
        found.append(
            BlockedTogether(
                place=_name(trace, int(rows[own[0]])),
                calls=", ".join(sorted({trace.names[call] for call in set(trace.call[rows[own]].tolist())})),
                threads=tuple(thread_name(trace, thread) for thread in sorted(set(trace.thread[rows[own]].tolist()))),
                together_s=float(together[which]),
                waiting_s=float(waited[which]),
                most=int(most[which]),
                times=times,
                longest_s=longest,
                longest_at_s=at - began,
                unfinished=int(gone[own].sum()),
            )
        )
    return tuple(found)


def _places(trace: SyscallTrace, rows: Int64) -> Int64:
    """What each waits on, numbered: a name that many things share ("anon_inode:[eventpoll]") with its descriptor."""
    place, fd = trace.place[rows].astype(np.int64), trace.fd[rows].astype(np.int64)
    shared = np.array([text.startswith("anon_inode:") for text in trace.places], dtype=bool)
    keys = place * (2**31) + np.where(shared[place], fd + 1, 0)
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)


def _name(trace: SyscallTrace, row: int) -> str:
    text = trace.places[trace.place[row]]
    return f"{text} (descriptor {trace.fd[row]})" if text.startswith("anon_inode:") else text


def _spells(when: Int64, waiting: Int64) -> tuple[int, float, float]:
    """(how often two or more began to wait, the longest time of that, when it began)."""
    both = waiting >= 2
    begins = np.flatnonzero(both & ~np.append(False, both[:-1]))
    ends = np.flatnonzero(~both & np.append(False, both[:-1]))
    lengths = when[ends] - when[begins]
    at = int(lengths.argmax())
    return len(begins), float(lengths[at]), float(when[begins[at]])
