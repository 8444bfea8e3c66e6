"""pprof profiles: profile.proto, gzipped or plain, as Go, pprof-rs, Parca and many others write them.

https://github.com/google/pprof/blob/main/proto/profile.proto. Sample types that belong together become one event:
"samples/count" and "cpu/nanoseconds" are how often a stack was seen and what it stands for.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import NONE, Caution, Event, FrameKind, Meta, Recording
from tailflame.model.stacks import Float64, Int64, UInt8, UInt64
from tailflame.parse.bare_addresses import Bare, named_frames
from tailflame.parse.json_file import whole
from tailflame.parse.pprof_labels import Labels, labels_of
from tailflame.parse.profile_tables import ProfileTables, below_zero, kind_of_module, uncounted
from tailflame.parse.protobuf_wire import BYTES, VARINT, BadWire, Fields, packed, padded, walk
from tailflame.parse.registry import NO
from tailflame.parse.source import Source
from tailflame.units import Unit

_WIRES = {**dict.fromkeys((1, 2, 3, 4, 5, 6, 11), (BYTES,)), 13: (VARINT, BYTES)}
_LAST_FIELD = 15
_LINES = 1_000
"""Most functions inlined at one address; compilers stop at some tens."""
_DEPTH = 1_000_000
"""Most frames of one stack."""
_FRAMES = 2_000_000_000
"""Most frames of all stacks, with what is inlined: a file of 1 GB has hardly more."""
_BATCH = 4_000_000
"""Frames, and bytes of samples, that are looked at together."""
_UNITS = {
    "count": (Unit.SAMPLES, 1.0),
    "nanoseconds": (Unit.NANOSECONDS, 1.0),
    "ns": (Unit.NANOSECONDS, 1.0),
    "microseconds": (Unit.NANOSECONDS, 1e3),
    "us": (Unit.NANOSECONDS, 1e3),
    "milliseconds": (Unit.NANOSECONDS, 1e6),
    "ms": (Unit.NANOSECONDS, 1e6),
    "seconds": (Unit.NANOSECONDS, 1e9),
    "bytes": (Unit.BYTES, 1.0),
    "kilobytes": (Unit.BYTES, 1024.0),
    "megabytes": (Unit.BYTES, 1024.0**2),
}


class ValueType(NamedTuple):
    type: str
    unit: str


class _Mapping(NamedTuple):
    """A part of a file in memory: at start up to limit, from offset in the file on."""

    path: str
    build_id: str
    start: int
    limit: int
    offset: int


_NOWHERE = _Mapping("", "", 0, 0, 0)


class _Counted(NamedTuple):
    """An event, and the columns of values that count it and weigh it (-1: there is none)."""

    event: Event
    counts: int
    period: int
    factor: float
    per_sample: float
    """What one sample stands for, where only that tells how many there were; 0: nothing tells."""


class Pprof:
    name = "pprof"
    title = "pprof profiles"

    def sniff(self, head: bytes, name: str) -> float:
        at = kinds = types = 0
        try:
            while at < len(head):
                tag, size, at = _step(head, at)
                number, wire = tag >> 3, tag & 7
                if not 1 <= number <= _LAST_FIELD or wire not in _WIRES.get(number, (VARINT,)):
                    return NO
                kinds |= 1 << number
                if number == 1:
                    if not _is_value_type(head[at : at + size]):
                        return NO
                    types += 1
                at += size
        except IndexError:
            pass  # the head ends within a field
        known = name.lower().endswith((".pb", ".pprof", ".prof"))
        return 0.85 + 0.05 * known if types and kinds.bit_count() > 1 else NO

    def load(self, source: Source) -> Recording:
        data = whole(source)
        try:
            return _Reader(source, data).recording()
        except BadWire as error:
            raise ParseError(
                f"{source.name} is cut short or damaged: it is no whole pprof profile.",
                source=source.name,
                advice="Copy or record it again.",
                details=str(error),
            ) from error


PPROF = Pprof()


def _step(head: bytes, at: int) -> tuple[int, int, int]:
    """(tag, size of the payload, its place) of the field at `at`; IndexError at the end, and for a bad number."""
    tag, at = _number(head, at)
    if tag & 7 == BYTES:
        size, at = _number(head, at)
        return tag, size, at
    _, after = _number(head, at)
    return tag, after - at, at


def _number(head: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = head[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise IndexError


def _is_value_type(message: bytes) -> bool:
    """Whether these are two indices of strings: `type` and `unit`."""
    at = 0
    try:
        while at < len(message):
            tag, at = _number(message, at)
            if tag not in (0x08, 0x10):
                return False
            _, at = _number(message, at)
    except IndexError:
        return False
    return bool(message)


class _Reader:
    """One file. Each step reads one kind of message, all of them at once."""

    def __init__(self, source: Source, data: bytes) -> None:
        self._source = source
        self._data: UInt8 = padded(data)
        self._top: Fields = walk(self._data, np.zeros(1, np.int64), np.array([len(data)]))
        for number in range(1, _LAST_FIELD + 1):
            self._top.only(number, *_WIRES.get(number, (VARINT,)))
        texts = self._top.only(6, BYTES)
        self._strings = [
            data[start:stop].decode("utf-8", "backslashreplace")
            for start, stop in zip(texts.start.tolist(), texts.stop.tolist(), strict=True)
        ]
        self._tables = ProfileTables()
        self._expanded = 0
        self._share = 0.5

    def recording(self) -> Recording:
        types = self._value_types(1)
        if not types:
            raise BadWire("no sample types")
        counted = self._events(types)
        self._source.report(0.2)
        mappings = self._mappings()
        self._frames_of_locations(mappings)
        self._source.report(0.5)
        told = self._read_samples(types, counted)
        profile = self._tables.profile(by_time=self._has_times)
        return Recording(
            tool="",
            format=PPROF.name,
            source=self._source.name,
            results=(profile,),
            meta=self._meta(
                tuple(dict.fromkeys((m.path, m.build_id) for m in mappings.values() if m.path and m.build_id))
            ),
            warnings=(*told, *self._told()),
        )

    def _text(self, index: int) -> str:
        if not index:
            return ""
        if index >= len(self._strings):
            raise BadWire(f"string {index} of {len(self._strings)}")
        return self._strings[index]

    def _messages(self, number: int) -> tuple[Fields, int]:
        outer = self._top.only(number, BYTES)
        return walk(self._data, outer.start, outer.stop), len(outer.start)

    def _single(self, number: int) -> int:
        return int(self._top.scalar(number, 1)[0])

    def _value_types(self, number: int) -> list[ValueType]:
        inner, messages = self._messages(number)
        pairs = zip(inner.scalar(1, messages).tolist(), inner.scalar(2, messages).tolist(), strict=True)
        return [ValueType(self._text(kind), self._text(unit)) for kind, unit in pairs]

    def _events(self, types: list[ValueType]) -> list[_Counted]:
        """The events, the file's preferred one first: a count and the value behind it are one event."""
        preferred = self._text(self._single(14)) or types[-1].type
        period = self._single(12)
        periods = self._value_types(11)
        found: list[tuple[bool, _Counted]] = []
        at = 0
        while at < len(types):
            kind = types[at]
            paired = kind.unit == "count" and at + 1 < len(types) and types[at + 1].unit != "count"
            weighs = types[at + 1] if paired else kind
            unit, factor = _UNITS.get(weighs.unit, (Unit.EVENTS, 1.0))
            has_period = unit is not Unit.SAMPLES
            per_sample = 0.0
            if has_period and not paired and unit is Unit.NANOSECONDS and periods and periods[0].unit == weighs.unit:
                per_sample = float(period)
            counts = at if paired or not has_period else NONE
            event = Event(weighs.type or "samples", unit, has_period)
            column = _Counted(event, counts, (at + paired) if has_period else NONE, factor, per_sample)
            found.append((preferred in (kind.type, weighs.type), column))
            at += 1 + paired
        found.sort(key=lambda pair: not pair[0])
        return [column for _, column in found]

    def _mappings(self) -> dict[int, _Mapping]:
        inner, messages = self._messages(3)
        ids, starts, limits, offsets, names, builds = (inner.scalar(n, messages).tolist() for n in range(1, 7))
        rows = zip(ids, starts, limits, offsets, names, builds, strict=True)
        return {key: _Mapping(self._text(n), self._text(b), s, e, o) for key, s, e, o, n, b in rows}

    def _frames_of_locations(self, mappings: dict[int, _Mapping]) -> None:
        """Sets, by sorted id of a location, the run of its frames, outermost first."""
        inner, functions = self._messages(5)
        name, system = inner.scalar(2, functions).tolist(), inner.scalar(3, functions).tolist()
        file = inner.scalar(4, functions).tolist()
        function = {
            key: (self._text(name[at]) or self._text(system[at]), self._text(file[at]))
            for at, key in enumerate(inner.scalar(1, functions).tolist())
        }
        inner, messages = self._messages(4)
        ids = inner.scalar(1, messages)
        mapping, address = inner.scalar(2, messages).tolist(), inner.scalar(3, messages).tolist()
        lines = inner.only(4, BYTES)
        if len(lines.owner) and np.bincount(lines.owner).max() > _LINES:
            raise BadWire(f"more than {_LINES} functions inlined at one address")
        parts = walk(self._data, lines.start, lines.stop)
        of_function, line = parts.scalar(1, len(lines.owner)).tolist(), parts.scalar(2, len(lines.owner)).tolist()
        bounds = np.searchsorted(lines.owner, np.arange(messages + 1)).tolist()
        runs: list[tuple[int, ...]] = []
        bare: list[Bare] = []
        frame = self._tables.frame
        for at in range(messages):
            mapped = mappings.get(mapping[at], _NOWHERE)
            module = mapped.path
            first, last = bounds[at], bounds[at + 1]
            if first == last:
                if mapped.start <= address[at] < mapped.limit:
                    bare.append(Bare(at, module, mapped.build_id, address[at] - mapped.start + mapped.offset))
                shown = f"0x{address[at]:x}" if address[at] else f"[{module.rsplit('/', 1)[-1] or 'unknown'}]"
                runs.append((frame(shown, module=module, kind=FrameKind.OTHER),))
                continue
            run = []
            for number in range(last - 1, first - 1, -1):
                called, where = function.get(of_function[number]) or _no_function(of_function[number])
                kind = kind_of_module(module) if number == last - 1 else FrameKind.INLINED
                run.append(frame(called, module=module, file=where, line=line[number], kind=kind))
            runs.append(tuple(run))
        for at, named in named_frames(bare, self._tables, lambda: self._source.report(0.3), from_base=False).items():
            runs[at] = named
        order = np.argsort(ids, kind="stable")
        sizes = np.array([len(run) for run in runs], np.int64)
        self._location_ids: UInt64 = ids[order]
        self._location_starts: Int64 = (np.cumsum(sizes) - sizes)[order]
        self._location_sizes: Int64 = sizes[order]
        self._location_frames: Int64 = np.array([number for run in runs for number in run], np.int64)

    def _read_samples(self, types: list[ValueType], counted: list[_Counted]) -> tuple[Caution, ...]:
        outer = self._top.only(2, BYTES)
        size = outer.stop - outer.start
        batch = np.cumsum(size) // _BATCH
        bounds = np.append(np.flatnonzero(np.diff(batch, prepend=-1)), len(size)).tolist()
        labels = Labels(self._tables, self._strings)
        numbers = [self._tables.event(column.event) for column in counted]
        self._has_times, negative, guessed = False, 0, set()
        for first, last in pairwise(bounds):
            inner = walk(self._data, outer.start[first:last], outer.stop[first:last])
            rows = last - first
            stack = self._stacks(inner, rows)
            given = inner.only(2, VARINT, BYTES)
            flat, sizes = packed(self._data, given.start, given.stop)
            held = np.zeros(rows, np.int64)
            np.add.at(held, given.owner, sizes)
            if (held != len(types)).any():
                raise BadWire("a sample has not as many values as there are sample types")
            values = flat.view(np.int64).reshape(rows, len(types)).astype(np.float64)
            who = labels_of(self._data, inner, rows, labels)
            self._has_times = self._has_times or bool((who.time_ns >= 0).any())
            for column, event in zip(counted, numbers, strict=True):
                counts, weight, rough = _weights(values, column)
                if rough:
                    guessed.add(column.event.name)
                seen = (counts > 0) | (weight > 0)
                negative += int(((counts < 0) | (weight < 0)).sum())
                seen &= (counts >= 0) & (weight >= 0)
                self._tables.add(
                    stack[seen],
                    count=counts[seen],
                    period=weight[seen],
                    time_ns=who.time_ns[seen],
                    thread=who.thread[seen],
                    cpu=who.cpu[seen],
                    event=event,
                )
            self._share = 0.5 + 0.5 * last / max(len(size), 1)
            self._source.report(self._share)
        return labels.told() + _doubts(negative, guessed)

    def _stacks(self, inner: Fields, rows: int) -> Int64:
        """The stack of each sample."""
        given = inner.only(1, VARINT, BYTES)
        ids, sizes = packed(self._data, given.start, given.stop)
        depth = np.zeros(rows, np.int64)
        np.add.at(depth, given.owner, sizes)
        at = np.searchsorted(self._location_ids, ids)
        if len(ids) and (
            not len(self._location_ids)
            or (at >= len(self._location_ids)).any()
            or (self._location_ids[at] != ids).any()
        ):
            raise BadWire("a sample names a location that is not in the file")
        # The file has the leaf first.
        ends = np.cumsum(depth)
        backwards = np.repeat(ends + (ends - depth), depth) - 1 - np.arange(len(ids))
        place = at[backwards]
        sizes = self._location_sizes[place]
        whole_depth = np.add.reduceat(np.append(sizes, 0), ends - depth) * (depth > 0) if rows else depth
        self._expanded += int(whole_depth.sum())
        if self._expanded > _FRAMES or whole_depth.max(initial=0) > _DEPTH:
            raise BadWire(f"a stack of more than {_DEPTH} frames, or more than {_FRAMES} in all")
        leaves = np.full(rows, NONE, np.int64)
        batch = np.cumsum(whole_depth) // _BATCH
        bounds = np.append(np.flatnonzero(np.diff(batch, prepend=-1)), rows).tolist()
        for first, last in pairwise(bounds):
            here = slice(int(ends[first] - depth[first]), int(ends[last - 1]))
            run, start = sizes[here], self._location_starts[place[here]]
            total = int(run.sum())
            self._source.report(self._share)
            frames = self._location_frames[np.repeat(start - (np.cumsum(run) - run), run) + np.arange(total)]
            leaves[first:last] = self._tables.stacks(frames, whole_depth[first:last])
        return leaves

    def _meta(self, build_ids: tuple[tuple[str, str], ...]) -> Meta:
        period, kind = self._single(12), self._value_types(11)
        unit, factor = _UNITS.get(kind[0].unit, (Unit.EVENTS, 1.0)) if kind else (Unit.EVENTS, 1.0)
        rate = 1e9 / (period * factor) if unit is Unit.NANOSECONDS and 0 < period < 1 << 62 else None
        started, lasted = self._single(9), self._single(10)
        return Meta(
            started_at=datetime.fromtimestamp(started / 1e9, UTC) if 0 < started < 1 << 62 else None,
            duration_s=lasted / 1e9 if 0 < lasted < 1 << 62 else None,
            rate_asked_hz=rate,
            build_ids=build_ids,
        )

    def _told(self) -> tuple[Caution, ...]:
        hidden = self._text(self._single(7))
        if not hidden:
            return ()
        shown = hidden if len(hidden) <= 60 else f"{hidden[:59]}…"
        return (Caution(f"The file asks to leave out functions like “{shown}”: they are shown here.", ""),)


def _no_function(number: int) -> tuple[str, str]:
    if number:
        raise BadWire(f"function {number} is not in the file")
    return "[unknown]", ""


def _weights(values: Float64, column: _Counted) -> tuple[Float64, Float64, bool]:
    """(samples, period) of each row, and whether nothing tells the samples, so that the period counts instead."""
    if column.period < 0:
        return values[:, column.counts], values[:, column.counts], False
    period = values[:, column.period] * column.factor
    if column.counts >= 0:
        return values[:, column.counts], period, False
    if column.per_sample > 0:
        return values[:, column.period] / column.per_sample, period, False
    return period, period, True


def _doubts(negative: int, guessed: set[str]) -> tuple[Caution, ...]:
    found = [below_zero(negative)] if negative else []
    if guessed:
        found.append(uncounted(*sorted(guessed)))
    return tuple(found)
