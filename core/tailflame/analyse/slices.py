"""Slices of time: merged and subtracted exactly, stack by stack, and made coarser as they grow old."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from tailflame.analyse.hotspots import GroupBy, hotspots
from tailflame.analyse.merge import merge_rows
from tailflame.model.slices import SliceFigures
from tailflame.model.stacks import (
    NONE,
    Event,
    FrameTable,
    Int32,
    Int64,
    SampleTable,
    SiteTable,
    StackProfile,
    StackTable,
    Thread,
    Weight,
    readonly,
)
from tailflame.units import Unit

FEW = 8
"""So many slices are left whatever the budget: fewer show no change over time."""
_NOTHING = 1e-6
"""Counts that differ by less are equal: fractions in old SVGs are rounded."""


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A stretch of time and the profile of it. Times are seconds of one clock; `source` names the file it came from.

    first, last: numbers of the recorded slices it holds; they differ where neighbours were merged.
    """

    start_s: float
    length_s: float
    profile: StackProfile
    source: str = ""
    first: int = 0
    last: int = 0
    note: str = ""

    @property
    def end_s(self) -> float:
        return self.start_s + self.length_s


def figures(part: Slice) -> SliceFigures:
    """What a strip shows of a slice. The top function is the one with the most samples of its own."""
    profile = part.profile
    table = hotspots(profile, event=0, weight=Weight.SAMPLES, by=GroupBy.FUNCTION, inlines=False)
    best = next(iter(table.hottest(1)), NONE)
    own = float(table.self_weight[best]) if best >= 0 else 0.0
    total = profile.total()
    told = best >= 0
    return SliceFigures(
        first=part.first,
        last=part.last,
        start_s=part.start_s,
        length_s=part.length_s,
        samples=total,
        cpu_s=_cpu_s(profile),
        top=table.key[best] if told else "",
        top_module=table.module[best] if told else "",
        top_share=own / total if told and total else 0.0,
        source=part.source,
        note=part.note,
    )


def _cpu_s(profile: StackProfile) -> float | None:
    event = profile.events[0]
    if event.unit is not Unit.NANOSECONDS or not event.has_period:
        return None
    return profile.total(weight=Weight.PERIOD) / 1e9


# Merging.


def merge(profiles: Sequence[StackProfile]) -> StackProfile:
    """All samples of `profiles` over one table of stacks: per stack, event and thread the weights add up exactly."""
    # One without a sample has no event to tell of: it would stand first, and be what is shown.
    profiles = [profile for profile in profiles if len(profile.samples)] or profiles[:1]
    if len(profiles) == 1:
        return profiles[0]
    strings: dict[str, int] = {}
    threads: dict[Thread, int] = {}
    events: dict[tuple[str, Unit], int] = {}
    has_period: list[bool] = []
    frames, sites, frame_of, parent_of, samples = [], [], [], [], []
    rows = frame_base = site_base = 0
    with_sites = any(profile.sites is not None for profile in profiles)
    for profile in profiles:
        text = _indices([strings.setdefault(text, len(strings)) for text in profile.frames.strings])
        thread = _indices([threads.setdefault(thread, len(threads)) for thread in profile.threads])
        event = []
        for one in profile.events:
            index = events.setdefault((one.name, one.unit), len(events))
            if index == len(has_period):
                has_period.append(one.has_period)
            has_period[index] = has_period[index] and one.has_period
            event.append(index)
        table = profile.frames
        frames.append(
            np.stack(
                (
                    _through(text, table.name),
                    _through(text, table.module),
                    _through(text, table.file),
                    table.line,
                    table.kind.astype(np.int32),
                ),
                axis=1,
            )
        )
        frame_of.append(profile.stacks.frame.astype(np.int64) + frame_base)
        parent_of.append(np.where(profile.stacks.parent >= 0, profile.stacks.parent + rows, NONE))
        of = profile.samples
        site = of.site if of.site is not None else np.full(len(of), NONE, dtype=np.int32)
        samples.append(
            replace(
                of,
                stack=np.where(of.stack >= 0, of.stack + rows, NONE),
                thread=_through(thread, of.thread),
                event=_through(_indices(event), of.event),
                site=np.where(site >= 0, site + site_base, NONE) if with_sites else None,
            )
        )
        if profile.sites is not None:
            sites.append((_through(text, profile.sites.module), profile.sites.address))
            site_base += len(profile.sites)
        frame_base += len(table)
        rows += len(profile.stacks)
    kept, frame = _distinct_rows(np.concatenate(frames) if frames else np.zeros((0, 5), np.int32))
    trie = merge_rows(
        _joined(parent_of, np.int32), frame[_joined(frame_of, np.int64)] if rows else np.zeros(0, np.int32)
    )
    site_table, site_of = _merged_sites(sites) if with_sites else (None, None)
    columns: dict[str, Any] = {}
    for name in ("stack", "count", "period", "time_ns", "thread", "cpu", "event", "site"):
        parts = [getattr(one, name) for one in samples]
        columns[name] = None if name == "site" and not with_sites else np.concatenate(parts)
    columns["stack"] = _through(trie.node, columns["stack"])
    if site_of is not None:
        columns["site"] = _through(site_of, columns["site"])
    return StackProfile(
        frames=FrameTable(
            strings=tuple(strings),
            name=readonly(kept[:, 0], np.int32),
            module=readonly(kept[:, 1], np.int32),
            file=readonly(kept[:, 2], np.int32),
            line=readonly(kept[:, 3], np.int32),
            kind=readonly(kept[:, 4], np.uint8),
        ),
        stacks=StackTable(frame=readonly(trie.function, np.int32), parent=readonly(trie.parent, np.int32)),
        samples=_sealed(columns),
        threads=tuple(threads),
        events=tuple(Event(name, unit, period) for (name, unit), period in zip(events, has_period, strict=True))
        or (Event("samples"),),
        approximate=any(profile.approximate for profile in profiles),
        in_time_order=False,
        sites=site_table,
    )


def gathered(profile: StackProfile, time_ns: int = NONE) -> StackProfile:
    """The same weights in one row for each stack, event, thread and instruction, all at `time_ns`."""
    samples = profile.samples
    if not len(samples):
        return profile
    site = samples.site
    keys = [samples.stack, samples.event, samples.thread, *([] if site is None else [site])]
    first, row = _distinct_rows(np.stack(keys, axis=1), index=True)
    count = np.bincount(row, weights=samples.count, minlength=len(first))
    period = np.bincount(row, weights=samples.period, minlength=len(first))
    columns = {
        "stack": samples.stack[first],
        "count": count,
        "period": period,
        "time_ns": np.full(len(first), time_ns),
        "thread": samples.thread[first],
        "cpu": np.full(len(first), NONE),
        "event": samples.event[first],
        "site": None if site is None else site[first],
    }
    return replace(profile, samples=_sealed(columns), in_time_order=False)


def within(profile: StackProfile, start_s: float, length_s: float) -> StackProfile:
    """The samples with their times put into the slice they were recorded for.

    perf empties its buffers one processor after the other when it changes files, so that a few samples stand in the
    file after or before the one that their time belongs to. Those without a time are of the slice's middle.
    """
    low, high = round(start_s * 1e9), max(round((start_s + length_s) * 1e9) - 1, round(start_s * 1e9))
    times = profile.samples.time_ns
    placed = np.where(times >= 0, np.clip(times, low, high), (low + high) // 2)
    return replace(profile, samples=replace(profile.samples, time_ns=readonly(placed, np.int64)))


def merged(parts: Sequence[Slice]) -> Slice:
    """Neighbours as one slice, from the first one's start to the last one's end."""
    first, last = parts[0], parts[-1]
    start, length = first.start_s, last.end_s - first.start_s
    together = gathered(merge([part.profile for part in parts]), round((start + length / 2) * 1e9))
    notes = dict.fromkeys(part.note for part in parts if part.note)
    return Slice(start, length, together, first.source, first.first, last.last, " ".join(notes))


def strip_profile(parts: Sequence[Slice], *, rows: int = 1_000_000) -> StackProfile:
    """All slices as one profile whose samples tell their slice by their time.

    Above `rows` samples each slice keeps one row a stack, at its middle.
    """
    placed = [within(part.profile, part.start_s, part.length_s) for part in parts]
    if sum(len(profile.samples) for profile in placed) > rows:
        placed = [
            gathered(profile, round((part.start_s + part.length_s / 2) * 1e9))
            for profile, part in zip(placed, parts, strict=True)
        ]
    return merge(placed)


# Subtracting.


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """`profile` is what came to it; `restarted`: the program began anew, and it is the whole of the later one."""

    profile: StackProfile
    restarted: bool


def difference(later: StackProfile, earlier: StackProfile) -> Difference:
    """A cumulative snapshot less the one before it, stack by stack.

    A stack that has become less means that another process has written the later one: it is then taken as it is.
    """
    both = merge([_negative(earlier), later])
    net = gathered(both)
    samples = net.samples
    slack = _NOTHING * max(float(np.abs(both.samples.count).max(initial=0.0)), 1.0)
    if bool(np.any(samples.count < -slack)):
        return Difference(later, restarted=True)
    left = samples.count > slack
    return Difference(replace(net, samples=samples.at(left)), restarted=False)


def _negative(profile: StackProfile) -> StackProfile:
    samples = profile.samples
    turned = replace(samples, count=readonly(-samples.count, np.float64), period=readonly(-samples.period, np.float64))
    return replace(profile, samples=turned)


def looks_cumulative(profiles: Sequence[StackProfile]) -> bool:
    """Whether snapshots, in the order of time, count from the program's start on.

    Three at least, of which two have grown: in total, and no stack has become less. Snapshots each by itself hardly do
    that once, as each new sample falls where it likes.
    """
    grown = fallen = 0
    for before, after in pairwise(profiles):
        if after.total() >= before.total() > 0 and not difference(after, before).restarted:
            grown += 1
        else:
            fallen += 1
    return grown >= 2 and grown >= 2 * fallen


# Growing old.


@dataclass(frozen=True, slots=True)
class Held:
    """A stored slice as the plan sees it. bytes: its profile; raw_bytes: the tool's file that is still beside it."""

    start_s: float
    length_s: float
    bytes: int
    raw_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Coarsening:
    """What to do to keep a budget: raw files to drop, then neighbours (by their first) to merge, one at a time."""

    drop_raw: tuple[int, ...] = ()
    merge_at: int | None = None

    @property
    def needed(self) -> bool:
        return bool(self.drop_raw) or self.merge_at is not None


def coarsen(held: Sequence[Held], *, budget: int, most: int, spare: int = 0) -> Coarsening:
    """The next step towards at most `budget` bytes (`spare` are used otherwise) and `most` slices, oldest first.

    Raw files go before slices are merged: what they say is in the slices. Which neighbours are merged is a matter of
    their length beside their age, so that what is old is coarse and what is new is fine.
    """
    over = sum(one.bytes + one.raw_bytes for one in held) + spare - budget
    drop = []
    for number, one in enumerate(held):
        if over <= 0:
            break
        if one.raw_bytes:
            drop.append(number)
            over -= one.raw_bytes
    if (over <= 0 and len(held) <= most) or len(held) <= FEW:
        return Coarsening(tuple(drop))
    now = held[-1].start_s + held[-1].length_s

    def cost(at: int) -> float:
        one, other = held[at], held[at + 1]
        length = other.start_s + other.length_s - one.start_s
        return length / max(now - one.start_s, 1e-9)

    # The newest pair stays: its second may still be looked at as "now".
    return Coarsening(tuple(drop), min(range(len(held) - 2), key=lambda at: (cost(at), at)))


# Choosing.


def chosen(parts: Sequence[Slice], start_s: float, end_s: float) -> list[Slice]:
    """The slices of which the middle lies in the range; one of no length by its start."""
    return [part for part in parts if start_s <= part.start_s + part.length_s / 2 < end_s]


# Arrays.


def _indices(values: list[int]) -> Int32:
    return np.asarray(values, dtype=np.int32)


def _through(table: Int32, index: Int32) -> Int32:
    """table[index], with -1 staying -1."""
    if not len(table):
        return np.full(len(index), NONE, dtype=np.int32)
    return np.where(index >= 0, table[index], NONE).astype(np.int32)


def _joined(parts: list[Any], dtype: type) -> Int64:
    return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype=dtype)


def _distinct_rows(rows: Int32, *, index: bool = False) -> tuple[Any, Int32]:
    """(the distinct rows, or where each stands first; which of them each row is)."""
    if not len(rows):
        return (np.zeros(0, np.int64) if index else rows), np.zeros(0, np.int32)
    # Column by column into one key: sorting integers is many times faster than sorting rows.
    key = np.zeros(len(rows), dtype=np.int64)
    for column in rows.T:
        _, place = np.unique(column, return_inverse=True)
        _, key = np.unique(key * (int(place.max()) + 1) + place, return_inverse=True)
    _, first = np.unique(key, return_index=True)
    return (first if index else rows[first]), key.astype(np.int32)


def _merged_sites(sites: list[tuple[Any, Any]]) -> tuple[SiteTable, Int32]:
    module = np.concatenate([one for one, _ in sites])
    address = np.concatenate([one for _, one in sites])
    _, place = np.unique(address, return_inverse=True)
    first, of = _distinct_rows(np.stack((module, place.astype(np.int32)), axis=1), index=True)
    return SiteTable(readonly(module[first], np.int32), readonly(address[first], np.uint64)), of


def _sealed(columns: dict[str, Any]) -> SampleTable:
    types: dict[str, Any] = {"count": np.float64, "period": np.float64, "time_ns": np.int64}
    sealed: dict[str, Any] = {
        name: None if column is None else readonly(column, types.get(name, np.int32))
        for name, column in columns.items()
    }
    return SampleTable(**sealed)
