"""A perf.data file, from its records to a profile."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tailflame.model import NONE, Event, StackProfile
from tailflame.model.stacks import Int64, UInt64, readonly
from tailflame.parse.perf_file import PerfFile, read_perf_file
from tailflame.parse.perf_header import event_of
from tailflame.parse.perf_samples import PerfSamples
from tailflame.parse.perfdata import records as kinds
from tailflame.parse.perfdata.assemble import Rows, profile_of, samples_of, stacks_of, threads_of
from tailflame.parse.perfdata.attrs import KNOWN_FIELDS, TYPE_TRACEPOINT, Attr, Field
from tailflame.parse.perfdata.chains import Chains, distinct
from tailflame.parse.perfdata.counts import by_counter
from tailflame.parse.perfdata.hashing import factorize
from tailflame.parse.perfdata.naming import Places
from tailflame.parse.perfdata.packed import TooLarge, unpacked
from tailflame.parse.perfdata.records import Records, walk
from tailflame.parse.perfdata.samples import Columns, decode
from tailflame.parse.perfdata.sideband import KERNEL_PID, Mapped, Sideband, read_sideband
from tailflame.parse.perfdata.spaces import KERNEL, Image, Spaces
from tailflame.parse.perfdata.switches import SWITCH, Switches, off_cpu, switches_of
from tailflame.parse.perfdata.threads import ThreadNames
from tailflame.parse.perfdata.tracing import Tracepoint, tracepoints
from tailflame.parse.symbolize import RecordedKernel, Symbolizer
from tailflame.units import Unit

_CALL_STACK = 1 << 11
_GUEST_MODES = (4, 5)
OFF_CPU = "off-CPU"
"""The event whose periods are times that threads spent off the processor."""


class Doubt(Enum):
    """Why times off the processor are not told, or may be wrong."""

    NONE = ""
    UNRETURNED = "threads left their processors, and never came back in the recording"
    SAMPLED = "only some of the switches were recorded"
    LOST = "some of the switches were lost"


class Unread(Exception):
    """Something that perf script has to read; the reason, as the end of a sentence, "" where it is the usual way."""


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What a file holds, decoded but not named. columns: of all samples, in the order of time."""

    octets: npt.NDArray[Any]
    words: UInt64
    columns: Columns
    side: Sideband
    attrs: tuple[Attr, ...]
    points: dict[int, Tracepoint]
    whole: bool
    when: Int64


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A file that was read: first with symbols only, then refined. switches: the scheduler's account."""

    content: Content
    chains: Chains
    rows: Rows
    places: Places
    spaces: Spaces
    switches: Switches | None
    doubt: Doubt

    def first(self) -> tuple[PerfSamples, StackProfile]:
        """With the names that symbols tell."""
        frames = self.places.physical()
        stacks, leaf = stacks_of(self.chains, frames)
        profile = profile_of(self.rows, stacks, leaf, frames, self.places.sites())
        return samples_of(self.rows, stacks, leaf, frames), profile

    def refined(self, progress: Callable[[float], None]) -> StackProfile:
        """With inlined functions and source lines as well."""
        frames = self.places.expanded(progress)
        stacks, leaf = stacks_of(self.chains, frames)
        return profile_of(self.rows, stacks, leaf, frames, self.places.sites())


def why_not(file: PerfFile) -> None:
    """Raises Unread for what is not read here."""
    if file.big_endian:
        raise Unread("it was written by a big-endian machine")
    if not file.attrs:
        raise Unread("it does not tell which events were recorded")
    for attr in file.attrs:
        if attr.has(Field.STACK_USER):
            raise Unread("")
        if attr.sample_type & ~KNOWN_FIELDS:
            raise Unread("its samples carry fields of a newer kernel")
        if attr.has(Field.BRANCH_STACK) and attr.branch_sample_type & _CALL_STACK:
            raise Unread("its call chains are those of the processor (--call-graph lbr)")
    if len({_id_place(attr) for attr in file.attrs}) > 1:
        raise Unread("its events name themselves at different places")
    if len(file.records.rows(kinds.AUXTRACE)):
        raise Unread("it holds a hardware trace")


def _id_place(attr: Attr) -> tuple[bool, int]:
    before = Field.IP | Field.TID | Field.TIME | Field.ADDR
    if attr.has(Field.IDENTIFIER):
        return True, 0
    return False, (attr.sample_type & before).bit_count() if attr.has(Field.ID) else NONE


def content_of(path: Path, file: PerfFile, watch: Callable[[], None]) -> Content:
    """Decodes a file. Raises Unread, and ParseError where it is made to fill the memory."""
    why_not(file)
    data: mmap.mmap | bytearray
    with path.open("rb") as raw:
        data = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
    records, whole = file.records, True
    if file.tally.compressed:
        try:
            data, whole = unpacked(data, records, name=str(file.path), watch=watch)
        except TooLarge:
            raise Unread("its compressed records unpack to more than is held in memory") from None
        records = walk(data, "<", 0, len(data), watch=watch)
    elif (records.at & 7).any():
        data, records = _aligned(data, records)
    octets = np.frombuffer(data, np.uint8)
    words = octets[: len(octets) & ~7].view("<u8")
    side = read_sideband(data, records, file.attrs, watch=watch)
    if side.deferred:
        raise Unread("its call chains came later than their samples")
    columns = decode(words, records, file.attrs)
    if np.isin(columns.misc & 7, _GUEST_MODES).any():
        raise Unread("it holds samples of a virtual machine")
    watch()
    place = records.rows(kinds.SAMPLE)
    when = columns.time_ns if file.attrs[0].has(Field.TIME) else place.astype(np.int64)
    points = tracepoints(file.tracing) if file.tracing else {}
    return Content(octets, words, columns, side, file.attrs, points, whole, when)


def times_of(path: Path, file: PerfFile) -> Int64 | None:
    """When the samples were taken, in the order of the file; also of a file that perf script has to read. None where
    that is not told here."""
    if file.big_endian or file.tally.compressed or not file.attrs or (file.records.at & 7).any():
        return None
    if len({_id_place(attr) for attr in file.attrs}) > 1:
        return None
    with path.open("rb") as raw:
        data = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
    words = np.frombuffer(data, np.uint8)[: len(data) & ~7].view("<u8")
    times = decode(words, file.records, file.attrs).time_ns
    return times if len(times) and bool((times >= 0).all()) else None


def _aligned(data: mmap.mmap, records: Records) -> tuple[bytearray, Records]:
    """The kernel's records one after another, without perf's own of odd sizes."""
    out = bytearray()
    for at, kind, size in zip(records.at.tolist(), records.kind.tolist(), records.size.tolist(), strict=True):
        if kind < 64 and not size % 8:
            out += data[at : at + size]
    return out, walk(out, "<", 0, len(out))


@dataclass(frozen=True, slots=True, eq=False)
class _Arranged:
    """Everything but names of functions."""

    chains: Chains
    rows: Rows
    spaces: Spaces
    names: Sequence[str]
    switches: Switches | None
    doubt: Doubt


def switches_in(path: Path, *, watch: Callable[[], None] = lambda: None) -> Switches | None:
    """The scheduler's account of a perf.data file; its samples are the rows of the profile that `load` makes of it.

    None where the file tells of no switches. Raises Unread where perf has to read the file, and ParseError.
    """
    return _arranged(content_of(path, read_perf_file(path, watch=watch), watch), watch).switches


def read(
    content: Content,
    *,
    build_ids: Sequence[tuple[str, str]],
    symbolizer: Symbolizer,
    watch: Callable[[], None],
    progress: Callable[[float], None],
) -> Reading:
    """Finds what was where, and names it. progress: of the naming, 0 to 1."""
    found = _arranged(content, watch)
    images = _with_build_ids(found.spaces, build_ids)
    places = Places(found.chains, images, found.names, symbolizer, progress)
    return Reading(content, found.chains, found.rows, places, found.spaces, found.switches, found.doubt)


def _arranged(content: Content, watch: Callable[[], None]) -> _Arranged:
    spaces = Spaces(content.side.order, watch=watch)
    threads = ThreadNames(content.side.order)
    columns, when = content.columns, content.when
    who, ids = _who(columns)
    comm = threads.of([tid for _, tid in ids], who, when)
    watch()
    space, kernel_space = spaces.of([pid for pid, _ in ids], who, when), spaces.of_kernel(when)
    chains = distinct(content.words, columns, comm, space, kernel_space, spaces)
    watch()
    stack = chains.stack
    order = _in_order(when)
    if order is not None:
        columns, comm, who, stack = columns.at(order), comm[order], who[order], stack[order]
    # A sample may become several, or none, where it reads counters.
    columns, origin = by_counter(content.words, columns, content.attrs)
    if (columns.attr < 0).any() or not np.array_equal(origin, np.arange(len(stack))):
        known = columns.attr >= 0
        columns, origin = columns.at(np.flatnonzero(known)), origin[known]
        comm, who, stack = comm[origin], who[origin], stack[origin]
    thread, named = threads_of(comm, threads.names, who, ids)
    events, number_of = _events(content, columns)
    rows = Rows(
        stack=stack,
        period=columns.period.astype(np.float64),
        time_ns=columns.time_ns,
        thread=thread,
        cpu=columns.cpu,
        event=number_of[columns.attr],
        threads=named,
        events=tuple(events),
    )
    switches = switches_of(content.octets, columns, content.attrs, content.points, content.side.switches)
    doubt = Doubt.NONE
    if switches is not None:
        rows, switches, doubt = _with_off_cpu(rows, switches, content)
    watch()
    return _Arranged(chains, rows, spaces, threads.names, switches, doubt)


def kernel_of(content: Content, release: str, build_ids: Mapping[str, str]) -> RecordedKernel:
    """What the file tells of the kernel it was recorded on."""
    anchor, address = "", 0
    for event in content.side.order:
        # `[kernel.kallsyms]_text`: the symbol that stands at the offset.
        if isinstance(event, Mapped) and event.pid == KERNEL_PID and event.path.startswith(KERNEL):
            anchor, address = event.path.removeprefix(KERNEL), event.offset
            break
    return RecordedKernel(build_ids.get(KERNEL, ""), release, anchor, address)


def _in_order(when: Int64) -> Int64 | None:
    """The rows by time; None where they are in that order already."""
    return None if not len(when) or (np.diff(when) >= 0).all() else np.argsort(when, kind="stable")


def _who(columns: Columns) -> tuple[Int64, list[tuple[int, int]]]:
    """(the thread of each sample, (process, thread) of each thread)."""
    key = (columns.pid.astype(np.uint64) << np.uint64(32)) ^ (columns.tid.astype(np.uint64) & np.uint64(0xFFFF_FFFF))
    who, first = factorize(key)
    return who, list(zip(columns.pid[first].tolist(), columns.tid[first].tolist(), strict=True))


def _with_off_cpu(rows: Rows, switches: Switches, content: Content) -> tuple[Rows, Switches, Doubt]:
    """With a row of the event OFF_CPU behind each sample at which a thread left its processor and came back later."""
    recorded = [attr for attr in content.attrs if event_name(attr, content.points) == SWITCH]
    if any(attr.is_frequency or attr.rate != 1 for attr in recorded):
        return rows, switches, Doubt.SAMPLED
    sample, away = off_cpu(switches)
    if not len(sample):
        left = (switches.kind == Switches.LEFT) & (switches.sample >= 0) & (switches.tid > 0)
        return rows, switches, Doubt.UNRETURNED if left.any() else Doubt.NONE
    lost = content.side.lost or content.side.lost_samples
    count = len(rows.stack)
    order = np.argsort(np.concatenate([np.arange(count), sample]), kind="stable")
    every = np.concatenate([np.arange(count), sample])[order]
    is_extra = order >= count
    period, event = rows.period[every], rows.event[every]
    period[is_extra] = away[order[is_extra] - count]
    event[is_extra] = len(rows.events)
    grown = Rows(
        stack=rows.stack[every],
        period=period,
        time_ns=rows.time_ns[every],
        thread=rows.thread[every],
        cpu=rows.cpu[every],
        event=event,
        threads=rows.threads,
        events=(*rows.events, Event(OFF_CPU, Unit.NANOSECONDS, has_period=True)),
    )
    moved = np.append(np.flatnonzero(~is_extra), NONE)
    moved_switches = replace(switches, sample=readonly(moved[switches.sample], np.int32))
    return grown, moved_switches, Doubt.LOST if lost else Doubt.NONE


def _events(content: Content, columns: Columns) -> tuple[list[Event], Int64]:
    """The events that have samples, in the order in which they were asked for; and of each of the file's its number."""
    seen = set(np.unique(columns.attr).tolist())
    names: dict[str, int] = {}
    number_of = np.zeros(len(content.attrs) + 1, np.int64)
    for row, attr in enumerate(content.attrs):
        if row in seen:
            number_of[row] = names.setdefault(event_name(attr, content.points), len(names))
    return [event_of(name, has_period=True) for name in names], number_of


def event_name(attr: Attr, points: dict[int, Tracepoint]) -> str:
    if attr.name:
        return attr.name
    if attr.type == TYPE_TRACEPOINT and attr.config in points:
        return points[attr.config].name
    return attr.default_name or f"event {attr.type}:{attr.config:#x}"


def _with_build_ids(spaces: Spaces, pairs: Sequence[tuple[str, str]]) -> list[Image]:
    """Images with the build ids that the file tells elsewhere; not where it tells several for one path."""
    told: dict[str, set[str]] = {}
    for path, build_id in pairs:
        told.setdefault(path.removesuffix(" (deleted)"), set()).add(build_id)
    return list(_images(spaces, {path: ids.pop() for path, ids in told.items() if len(ids) == 1}))


def _images(spaces: Spaces, ids: dict[str, str]) -> Iterator[Image]:
    for image in spaces.images:
        yield image if image.build_id else image._replace(build_id=ids.get(image.path, ""))
