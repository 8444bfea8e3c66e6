"""Several profiles as one: the files of `perf record --switch-output`, each of which is whole by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tailflame.model import NONE, Event, FrameTable, SampleTable, SiteTable, StackProfile, StackTable, Thread
from tailflame.model.stacks import Int32, Int64, readonly
from tailflame.parse.perfdata.hashing import factorize, mixed
from tailflame.parse.perfdata.prefixes import Prefixes


def joined(profiles: Sequence[StackProfile]) -> StackProfile:
    """One profile of all samples, in the order of time where all have times. Raises TooManyStacks."""
    strings: dict[str, int] = {}
    renumbered = [_numbered(profile.frames.strings, strings) for profile in profiles]
    frames, frame_of = _frames(profiles, renumbered, strings)
    prefixes = Prefixes(*[np.empty(0, np.int64)] * 3)
    stack_of = [_grown(prefixes, profile, mine) for profile, mine in zip(profiles, frame_of, strict=True)]
    sites, site_of = _sites(profiles, renumbered)
    threads: dict[Thread, int] = {}
    events: dict[str, Event] = {}
    columns: dict[str, list[Int64]] = {}
    for number, profile in enumerate(profiles):
        samples = profile.samples
        for event in profile.events:
            events.setdefault(event.name, event)
        event_numbers = [list(events).index(event.name) for event in profile.events]
        thread_numbers = [threads.setdefault(thread, len(threads)) for thread in profile.threads]
        mine = {
            "stack": stack_of[number][samples.stack],
            "count": samples.count,
            "period": samples.period,
            "time_ns": samples.time_ns,
            "thread": np.array([*thread_numbers, NONE])[samples.thread],
            "cpu": samples.cpu,
            "event": np.array(event_numbers)[samples.event],
            "site": site_of[number],
        }
        for name, column in mine.items():
            columns.setdefault(name, []).append(column)
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    order = np.argsort(whole["time_ns"], kind="stable")
    has_times = bool((whole["time_ns"] >= 0).all())
    whole = {name: column[order] if has_times else column for name, column in whole.items()}
    return StackProfile(
        frames=frames,
        stacks=StackTable(readonly(prefixes.frame, np.int32), readonly(prefixes.parent, np.int32)),
        samples=SampleTable(
            stack=readonly(whole["stack"], np.int32),
            count=readonly(whole["count"], np.float64),
            period=readonly(whole["period"], np.float64),
            time_ns=readonly(whole["time_ns"], np.int64),
            thread=readonly(whole["thread"], np.int32),
            cpu=readonly(whole["cpu"], np.int32),
            event=readonly(whole["event"], np.int32),
            site=readonly(whole["site"], np.int32),
        ),
        threads=tuple(threads),
        events=tuple(events.values()),
        in_time_order=all(profile.in_time_order for profile in profiles),
        sites=sites,
    )


def _numbered(strings: Sequence[str], known: dict[str, int]) -> Int64:
    """The common number of each string; the last entry is that of -1."""
    return np.array([*(known.setdefault(text, len(known)) for text in strings), NONE], np.int64)


def _frames(
    profiles: Sequence[StackProfile], renumbered: Sequence[Int64], strings: dict[str, int]
) -> tuple[FrameTable, list[Int64]]:
    columns = [
        np.concatenate([part.astype(np.int64) for part in parts])
        for parts in zip(
            *(
                (numbers[t.name], numbers[t.module], numbers[t.file], t.line, t.kind)
                for t, numbers in zip((profile.frames for profile in profiles), renumbered, strict=True)
            ),
            strict=True,
        )
    ]
    key = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        key = mixed(key + (column + 1).astype(np.uint64))
    number, first = factorize(key)
    name, module, file, line, kind = (column[first] for column in columns)
    table = FrameTable(
        strings=tuple(strings),
        name=readonly(name, np.int32),
        module=readonly(module, np.int32),
        file=readonly(file, np.int32),
        line=readonly(line, np.int32),
        kind=readonly(kind, np.uint8),
    )
    return table, np.split(number, np.cumsum([len(profile.frames) for profile in profiles])[:-1])


def _grown(prefixes: Prefixes, profile: StackProfile, frame_of: Int64) -> Int64:
    """The common row of each of a profile's stacks; the last entry is that of -1."""
    stacks = profile.stacks
    row = np.full(len(stacks) + 1, NONE, np.int64)
    depth = stacks.depths()
    order = np.argsort(depth, kind="stable")
    edges = np.searchsorted(depth[order], np.arange(int(depth.max(initial=-1)) + 2))
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        mine = order[begin:end]
        row[mine] = prefixes.grow(row[stacks.parent[mine]], frame_of[stacks.frame[mine]])
    return row


def _sites(profiles: Sequence[StackProfile], renumbered: Sequence[Int64]) -> tuple[SiteTable, list[Int32]]:
    modules = [n[p.sites.module] for p, n in zip(profiles, renumbered, strict=True) if p.sites is not None]
    module = np.concatenate([np.empty(0, np.int64), *modules])
    address = np.concatenate([np.empty(0, np.uint64), *(p.sites.address for p in profiles if p.sites is not None)])
    number, first = factorize(mixed(address) + (module + 1).astype(np.uint64))
    table = SiteTable(readonly(module[first], np.int32), readonly(address[first], np.uint64))
    of: list[Int32] = []
    at = 0
    for profile in profiles:
        if profile.sites is None or profile.samples.site is None:
            of.append(np.full(len(profile.samples), NONE, np.int32))
            continue
        mine = np.append(number[at : at + len(profile.sites)], NONE)
        of.append(mine[profile.samples.site])
        at += len(profile.sites)
    return table, of
