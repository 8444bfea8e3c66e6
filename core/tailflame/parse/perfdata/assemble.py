"""The profile: stacks of named frames, and a row per sample in the order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tailflame.model import NONE, Event, SampleTable, SiteTable, StackProfile, StackTable, Thread
from tailflame.model.stacks import Float64, Int32, Int64, readonly
from tailflame.parse.perf_samples import PerfSamples
from tailflame.parse.perfdata.chains import Chains
from tailflame.parse.perfdata.hashing import factorize, gathered, run_hashes
from tailflame.parse.perfdata.naming import Frames
from tailflame.parse.perfdata.prefixes import merged


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A row per sample, in the order of time: what does not depend on the names of functions.

    stack: row of the chains' stacks; event: index into `events`; weight: in the event's unit.
    """

    stack: Int64
    period: Float64
    time_ns: Int64
    thread: Int32
    cpu: Int64
    event: Int64
    threads: tuple[Thread, ...]
    events: tuple[Event, ...]

    def table(self, leaf: Int32, site: Int32 | None) -> SampleTable:
        return SampleTable(
            stack=readonly(leaf[self.stack], np.int32),
            count=readonly(np.ones(len(self.stack)), np.float64),
            period=readonly(self.period, np.float64),
            time_ns=readonly(self.time_ns, np.int64),
            thread=readonly(self.thread, np.int32),
            cpu=readonly(self.cpu, np.int32),
            event=readonly(self.event, np.int32),
            site=None if site is None else readonly(site[self.stack], np.int32),
        )


def stacks_of(chains: Chains, frames: Frames) -> tuple[StackTable, Int32]:
    """The table of stacks, each below the name of its thread; and the row of each stack of the chains."""
    place, length = chains.frames[::-1], chains.length[::-1]
    size = np.diff(frames.first)
    if len(size) and int(size.max()) == int(size.min()) == 1:
        flat, total = frames.of_place[place], length
    else:
        grown = size[place]
        flat = frames.of_place[gathered(frames.first[place], grown)]
        ends = np.concatenate([[0], np.cumsum(grown)])
        total = np.diff(ends[np.concatenate([[0], np.cumsum(length)])])
    prefixes, row_of = merged(flat, total)
    row = row_of[::-1][chains.callers]
    # The function on top, and what is inlined into it, one after another; many stacks differ in the instruction only.
    group = _groups(frames)
    leaf = chains.leaf
    code, first = factorize(((row + 1) << 32 | (np.where(leaf >= 0, group[leaf], NONE) + 1)).astype(np.uint64))
    row, leaf = row[first], leaf[first]
    live = np.flatnonzero(leaf >= 0)
    step = 0
    while len(live):
        row[live] = prefixes.grow(row[live], frames.of_place[frames.first[leaf[live]] + step])
        step += 1
        live = live[size[leaf[live]] > step]
    return prefixes.below(chains.root, row[code])


def _groups(frames: Frames) -> Int64:
    """A number for each place, the same for places with the same frames."""
    size = np.diff(frames.first)
    if not len(size) or int(size.max()) == 1:
        return frames.of_place
    words = frames.of_place.astype(np.uint64)
    return factorize(run_hashes(words, frames.first[:-1], frames.first[1:]))[0]


def samples_of(rows: Rows, stacks: StackTable, leaf: Int32, frames: Frames) -> PerfSamples:
    """What perf_cautions looks at."""
    return PerfSamples(frames.perf_frames(), stacks, rows.table(leaf, None), rows.threads, rows.events)


def profile_of(
    rows: Rows, stacks: StackTable, leaf: Int32, frames: Frames, sites: tuple[SiteTable, Int32]
) -> StackProfile:
    table, site = sites
    return StackProfile(
        frames=frames.table,
        stacks=stacks,
        samples=rows.table(leaf, site),
        threads=rows.threads,
        events=rows.events,
        in_time_order=True,
        sites=table,
    )


def threads_of(
    comm: Int64, names: Sequence[str], who: Int64, ids: Sequence[tuple[int, int]]
) -> tuple[Int32, tuple[Thread, ...]]:
    """(the thread of each sample, threads): one for each name that it had. ids: (process, thread) of each `who`."""
    number, first = factorize((who * len(names) + comm).astype(np.uint64))
    columns = (comm[first].tolist(), who[first].tolist())
    return number.astype(np.int32), tuple(Thread(names[c], *ids[w]) for c, w in zip(*columns, strict=True))
