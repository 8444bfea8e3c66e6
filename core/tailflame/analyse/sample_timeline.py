"""Samples over time, by process, thread or processor, ready to be drawn: what a picture costs depends on its pixels.

The samples of an event are sorted once, by lane and time, with running sums of their counts. However many there are, a
column of a picture is then the difference of two sums that a binary search finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np

from tailflame.analyse.filter_language import Name, Range, Term, What, with_term
from tailflame.analyse.sample_filter import OFF_CPU, process_names, zero_ns
from tailflame.model.stacks import NONE, Bool, Float64, Int32, Int64, StackProfile
from tailflame.units import Unit


class By(StrEnum):
    """What a lane is."""

    THREAD = "threads"
    CPU = "CPUs"


class LaneKind(StrEnum):
    PROCESS = "process"
    THREAD = "thread"
    CPU = "CPU"


@dataclass(frozen=True, slots=True)
class Lane:
    """One line of a timeline. number: pid, tid or CPU, -1 where the file does not tell; threads: indices of the
    profile's threads whose samples it holds, none for a CPU; samples: all of them, in whatever filter.
    """

    kind: LaneKind
    name: str
    number: int
    threads: tuple[int, ...]
    samples: float
    alone: bool = False
    """It is a process of one thread, which has no line of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """The samples of one event by lane. Entries begin[i] to begin[i + 1] are lane i's, in the order of time.

    time_ns: since the profile's first sample; row: of the samples' table; ones: every row is one sample.
    """

    lanes: tuple[Lane, ...]
    begin: Int64
    time_ns: Int64
    row: Int32
    ones: bool

    def sums(self, profile: StackProfile, rows: Bool | None = None) -> Float64:
        """Samples before each entry, of those in `rows`; one more at the end."""
        sums = np.zeros(len(self.row) + 1)
        if self.ones:
            seen = rows[self.row] if rows is not None else np.ones(len(self.row), dtype=bool)
            np.cumsum(seen, dtype=np.float64, out=sums[1:])
            return sums
        count = profile.samples.count[self.row]
        np.cumsum(count if rows is None else np.where(rows[self.row], count, 0.0), out=sums[1:])
        return sums

    def counts(self, sums: Float64, lane: int, edges_s: Float64) -> Float64:
        """Samples of a lane between each edge and the next."""
        first, last = int(self.begin[lane]), int(self.begin[lane + 1])
        at = np.searchsorted(self.time_ns[first:last], _whole_ns(edges_s)) + first
        return np.diff(sums[at])


def _whole_ns(times_s: Float64) -> Int64:
    """As integers: numpy would else turn all times that it searches into fractions, each time."""
    return np.clip(np.ceil(times_s * 1e9 - 1e-3), -_FAR_NS, _FAR_NS).astype(np.int64)


_FAR_NS = 2.0**62


def length_s(profile: StackProfile) -> float:
    """From the first sample to the last, in seconds; 0 without times."""
    last = int(profile.samples.time_ns.max(initial=NONE))
    return (last - zero_ns(profile)) / 1e9 if last >= 0 else 0.0


def off_cpu_event(profile: StackProfile) -> int:
    """The event of waiting times, -1 where none was recorded."""
    return next((i for i, e in enumerate(profile.events) if is_off_cpu(profile, i) and e.has_period), NONE)


def is_off_cpu(profile: StackProfile, event: int) -> bool:
    return profile.events[event].name == OFF_CPU and profile.events[event].unit is Unit.NANOSECONDS


def on_cpu_event(profile: StackProfile, event: int) -> int:
    """`event`, or the first that is not waiting where it is."""
    if not is_off_cpu(profile, event):
        return event
    return next((i for i in range(len(profile.events)) if not is_off_cpu(profile, i)), event)


def tracks(profile: StackProfile, by: By, event: int) -> Tracks:
    """The lanes of `event`, the busiest first; with threads, each process before its threads. Pure, and slow for
    millions of samples.
    """
    samples = profile.samples
    rows = np.flatnonzero((samples.event == event) & (samples.time_ns >= 0)).astype(np.int32)
    times = samples.time_ns[rows]
    if len(times) and (times[1:] < times[:-1]).any():
        rows = rows[np.argsort(times, kind="stable")]
    if by is By.CPU:
        made = _runs(profile, rows, samples.cpu[rows])
        lanes = [(Lane(LaneKind.CPU, f"CPU {key}" if key >= 0 else "unknown CPU", key, (), n), run)
                 for key, n, run in sorted(made, key=lambda lane: (lane[0] < 0, lane[0]))]  # fmt: skip
    else:
        lanes = list(_processes(profile, rows))
    runs = [run for _lane, run in lanes]
    begin = np.append(0, np.cumsum([len(run) for run in runs])).astype(np.int64)
    row = np.concatenate(runs) if runs else np.zeros(0, dtype=np.int32)
    ones = bool((samples.count[row] == 1.0).all())
    return Tracks(tuple(lane for lane, _run in lanes), begin, samples.time_ns[row] - zero_ns(profile), row, ones)


def _runs(profile: StackProfile, rows: Int32, keys: Int32) -> list[tuple[int, float, Int32]]:
    """(key, samples, rows in the order they came) of every key."""
    if not len(rows):
        return []
    order = np.argsort(keys, kind="stable")
    sorted_keys, rows = keys[order], rows[order]
    bounds = [0, *(np.flatnonzero(sorted_keys[1:] != sorted_keys[:-1]) + 1).tolist(), len(rows)]
    counts = profile.samples.count
    return [(int(sorted_keys[a]), float(counts[rows[a:b]].sum()), rows[a:b]) for a, b in pairwise(bounds)]


def _processes(profile: StackProfile, rows: Int32) -> Iterator[tuple[Lane, Int32]]:
    threads = {key: (n, run) for key, n, run in _runs(profile, rows, profile.samples.thread[rows])}
    # Threads of no known process stand each for itself.
    process_of = np.array([t.pid if t.pid >= 0 else -2 - i for i, t in enumerate(profile.threads)] + [NONE])
    names = process_names(profile)
    processes = _runs(profile, rows, process_of[profile.samples.thread[rows]])
    members: dict[int, list[int]] = {}
    for thread in threads:
        members.setdefault(int(process_of[thread]), []).append(thread)
    for pid, n, run in sorted(processes, key=lambda process: -process[1]):
        inside = sorted(members[pid], key=lambda thread: -threads[thread][0])
        one = profile.threads[inside[0]] if inside[0] >= 0 else None
        if len(inside) == 1:
            name = one.name if one is not None else "unknown thread"
            yield Lane(LaneKind.THREAD, name, one.tid if one else NONE, tuple(inside), n, alone=True), run
            continue
        yield Lane(LaneKind.PROCESS, names.get(pid, "unknown process"), pid, tuple(inside), n), run
        for thread in inside:
            seen = profile.threads[thread]
            samples, own = threads[thread]
            yield Lane(LaneKind.THREAD, seen.name, seen.tid, (thread,), samples), own


@dataclass(frozen=True, slots=True, eq=False)
class Waits:
    """When threads were off the CPU: from each wait's beginning, when it was sampled, for its period in nanoseconds.

    By thread: `thread` ascends; the columns of a thread are in the order of time.
    """

    thread: Int32
    start_ns: Int64
    end_ns: Int64
    started: Float64
    ended: Float64
    """Running sums of start_ns and of end_ns, by thread and time; one more at the end."""

    @property
    def any(self) -> bool:
        return bool(len(self.thread))

    def time_ns(self, threads: tuple[int, ...], edges_s: Float64) -> Float64:
        """Nanoseconds that `threads` together waited between each edge and the next."""
        edges = _whole_ns(edges_s).astype(np.float64)
        waited = np.zeros(len(edges))
        for thread in threads:
            first, last = (int(i) for i in np.searchsorted(self.thread, [thread, thread + 1]))
            if first < last:
                waited += self._until(self.start_ns, self.started, edges, first, last)
                waited -= self._until(self.end_ns, self.ended, edges, first, last)
        return np.maximum(np.diff(waited), 0.0)

    def _until(self, at_ns: Int64, sums: Float64, edges: Float64, first: int, last: int) -> Float64:
        """For every edge the sum of (edge - t) over the times t before it."""
        place = np.searchsorted(at_ns[first:last], np.ceil(edges).astype(np.int64)) + first
        passed: Float64 = (place - first) * edges - (sums[place] - sums[first])
        return passed


def waits(profile: StackProfile, rows: Bool | None = None) -> Waits:
    """The waiting times of all threads, of the samples in `rows`; empty where none were recorded."""
    event, samples = off_cpu_event(profile), profile.samples
    chosen = (samples.event == event) & (samples.time_ns >= 0) & (samples.thread >= 0)
    if rows is not None:
        chosen &= rows
    thread = samples.thread[chosen]
    start = samples.time_ns[chosen] - zero_ns(profile)
    end = start + samples.period[chosen].astype(np.int64)
    by_start, by_end = np.lexsort((start, thread)), np.lexsort((end, thread))
    start, end = start[by_start], end[by_end]
    return Waits(
        thread=thread[by_start],
        start_ns=start,
        end_ns=end,
        started=np.append(0.0, np.cumsum(start.astype(np.float64))),
        ended=np.append(0.0, np.cumsum(end.astype(np.float64))),
    )


def only(terms: Sequence[Term], lanes: Sequence[Lane], profile: StackProfile) -> tuple[Term, ...]:
    """`terms` and that of these lanes alone samples are wanted. Lanes that are wanted already stay so."""
    wanted = _term_of(lanes, profile, excluded=False)
    if wanted is None:
        return tuple(terms)
    if wanted.what is not What.CPU:
        # Who asks for a thread of another process no longer asks for one process alone.
        terms = [term for term in terms if term.excluded or term.what not in _WHO or term.what is wanted.what]
    return with_term(terms, wanted)


def without(terms: Sequence[Term], lanes: Sequence[Lane], profile: StackProfile) -> tuple[Term, ...]:
    """`terms` and that samples of these lanes are left out."""
    unwanted = _term_of(lanes, profile, excluded=True)
    return with_term(terms, unwanted) if unwanted is not None else tuple(terms)


_WHO = (What.THREAD, What.PROCESS, What.TID, What.PID)


def _term_of(lanes: Sequence[Lane], profile: StackProfile, *, excluded: bool) -> Term | None:
    """What says that a sample is of one of these lanes; None where the file does not tell."""
    kinds = {lane.kind for lane in lanes}
    if kinds == {LaneKind.CPU} or kinds == {LaneKind.PROCESS}:
        numbers = [lane.number for lane in lanes]
        what = What.CPU if kinds == {LaneKind.CPU} else What.PID
    else:
        threads = [profile.threads[i] for lane in lanes for i in lane.threads if i >= 0]
        numbers, what = list(dict.fromkeys(thread.tid for thread in threads)), What.TID
        if threads and min(numbers) < 0:
            names = dict.fromkeys(Name(thread.name, exact=True) for thread in threads)
            return Term(What.THREAD, tuple(names), excluded)
    if not numbers or min(numbers) < 0:
        return None
    return Term(what, tuple(Range(float(number), float(number)) for number in numbers), excluded)
