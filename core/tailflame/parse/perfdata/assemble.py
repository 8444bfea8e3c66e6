"""The profile: stacks of named frames, and a row per sample in the order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tailflame.model import Event, SampleTable, SiteTable, StackProfile, StackTable, Thread
from tailflame.model.stacks import Float64, Int32, Int64, readonly
from tailflame.parse.perf_samples import PerfSamples
from tailflame.parse.perfdata.chains import Chains
from tailflame.parse.perfdata.hashing import factorize, gathered, mixed
from tailflame.parse.perfdata.naming import Frames
from tailflame.parse.perfdata.prefixes import merged


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A row per sample, in the order of time: what does not depend on the names of functions.

    chain: row of the chains; event: index into `events`; weight: in the event's unit.
    """

    chain: Int64
    period: Float64
    time_ns: Int64
    thread: Int32
    cpu: Int64
    event: Int64
    threads: tuple[Thread, ...]
    events: tuple[Event, ...]

    def table(self, leaf: Int32, site: Int32 | None) -> SampleTable:
        return SampleTable(
            stack=readonly(leaf[self.chain], np.int32),
            count=readonly(np.ones(len(self.chain)), np.float64),
            period=readonly(self.period, np.float64),
            time_ns=readonly(self.time_ns, np.int64),
            thread=readonly(self.thread, np.int32),
            cpu=readonly(self.cpu, np.int32),
            event=readonly(self.event, np.int32),
            site=None if site is None else readonly(site[self.chain], np.int32),
        )


def stacks_of(chains: Chains, frames: Frames) -> tuple[StackTable, Int32]:
    """The table of stacks, each below the name of its thread; and the row of each chain."""
    place = chains.frames[::-1]
    length = chains.length[::-1]
    size = np.diff(frames.first)
    if len(size) and int(size.max()) == int(size.min()) == 1:
        flat, total = frames.of_place[place], length
    else:
        grown = size[place]
        flat = frames.of_place[gathered(frames.first[place], grown)]
        ends = np.concatenate([[0], np.cumsum(grown)])
        bounds = np.concatenate([[0], np.cumsum(length)])
        total = np.diff(ends[bounds])
    whole = np.empty(len(flat) + len(length), np.int64)
    is_root = np.zeros(len(whole), np.bool_)
    is_root[np.cumsum(total + 1) - (total + 1)] = True
    whole[is_root] = chains.root[::-1]
    whole[~is_root] = flat
    table, leaf = merged(whole, total + 1)
    return table, leaf[::-1]


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


def threads_of(comm: Int64, names: Sequence[str], pid: Int64, tid: Int64) -> tuple[Int32, tuple[Thread, ...]]:
    """(the thread of each sample, threads): one for each name that it had."""
    key = (pid.astype(np.uint64) << np.uint64(32)) ^ (tid.astype(np.uint64) & np.uint64(0xFFFF_FFFF))
    number, first = factorize(mixed(key) + comm.astype(np.uint64))
    columns = (comm[first].tolist(), pid[first].tolist(), tid[first].tolist())
    return number.astype(np.int32), tuple(Thread(names[c], p, t) for c, p, t in zip(*columns, strict=True))
