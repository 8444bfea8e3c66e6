"""The frame of a perf.data file: magic, attributes, what it says about itself, and a count of its records.

`perf script` reads the samples; this answers at once, and without perf, what must be known before and beside that:
which fields the samples have, how many there are, whether the file is whole, how many events were lost.
Layout: tools/perf/Documentation/perf.data-file-format.txt in the kernel's sources.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from tailflame.errors import ParseError
from tailflame.parse.perf_header import PerfEvent, PerfHeader
from tailflame.parse.perfdata import records as kinds
from tailflame.parse.perfdata.attrs import Attr, attr_of, described, ids_of
from tailflame.parse.perfdata.records import Records, walk

MAGIC_LITTLE = b"PERFILE2"
MAGIC_BIG = b"2ELIFREP"
_HEADER_SIZE = 104
_PIPE_HEADER_SIZE = 16


class _Feature(IntEnum):
    """The sections after the records (enum in tools/perf/util/header.h), as far as they are read."""

    TRACING_DATA = 1
    BUILD_IDS = 2
    HOSTNAME = 3
    RELEASE = 4
    VERSION = 5
    ARCH = 6
    CPUS = 7
    CPU = 8
    CMDLINE = 11
    EVENTS = 12
    SAMPLE_TIME = 21
    CLOCK_DATA = 29


_FIELDS = (
    *("IP", "TID", "TIME", "ADDR", "READ", "CALLCHAIN", "ID", "CPU", "PERIOD", "STREAM_ID", "RAW", "BRANCH_STACK"),
    *("REGS_USER", "STACK_USER"),
)
_READ_LOST = 1 << 4
_BUILD_ID_HAS_SIZE = 1 << 15
_TRACING_LIMIT = 64 * 1024 * 1024
_STRING_LIMIT = 1024 * 1024
_IDS_LIMIT = 8 * 1024 * 1024
_SMALLEST_ATTR = 64 + 16
_ARGUMENTS_LIMIT, _EVENTS_LIMIT, _FEATURES_LIMIT = 100_000, 10_000, 1000


class _Section(NamedTuple):
    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size


@dataclass(slots=True)
class Tally:
    """Records by kind, counted without decoding them."""

    samples: int = 0
    lost: int = 0
    lost_samples: int = 0
    throttled: int = 0
    compressed: bool = False
    end: int = 0
    """Where the last whole record ends."""


@dataclass(frozen=True, slots=True)
class PerfFile:
    """What is known of a perf.data file before perf reads it.

    closed: whether perf record wrote the sizes at its end (else it was killed); whole: whether the file holds all
    the data that its header promises; good_until: where the last whole record ends; is_pipe: written to a pipe.
    """

    path: Path
    header: PerfHeader
    is_pipe: bool
    big_endian: bool
    closed: bool
    whole: bool
    tally: Tally
    records: Records
    attrs: tuple[Attr, ...] = ()
    tracing: bytes = field(default=b"", repr=False)
    """What the file says of tracepoints' fields."""

    @property
    def lost(self) -> int:
        """Lost samples, counted as perf report counts them.

        Where perf asked the kernel at the end, its answer (LOST_SAMPLES) holds what the ring buffer reported (LOST).
        """
        asked = any(event.counts_lost for event in self.header.events)
        if asked and self.tally.lost_samples:
            return self.tally.lost_samples
        return self.tally.lost + self.tally.lost_samples


@dataclass(slots=True)
class _Reader:
    """Fixed-size numbers and length-prefixed strings of one byte order, from one place on."""

    data: mmap.mmap | bytes
    order: str
    at: int = 0

    def unpack(self, layout: str) -> tuple[int, ...]:
        found = struct.unpack_from(self.order + layout, self.data, self.at)
        self.at += struct.calcsize(self.order + layout)
        return found

    def string(self) -> str:
        (length,) = self.unpack("I")
        if length > _STRING_LIMIT:
            raise ValueError(f"a string of {length} bytes")
        raw = bytes(self.data[self.at : self.at + length])
        self.at += length
        return raw.split(b"\0", 1)[0].decode(errors="backslashreplace")


def is_perf_data(head: bytes) -> bool:
    return head.startswith((MAGIC_LITTLE, MAGIC_BIG))


def read_perf_file(path: Path, *, watch: Callable[[], None] = lambda: None) -> PerfFile:
    """watch: called now and then; what it raises (Cancelled) ends the reading.

    Raises ParseError where the file is not a perf.data file or ends within its own header.
    """
    with path.open("rb") as raw:
        size = raw.seek(0, 2)
        head = b""
        if size:
            raw.seek(0)
            head = raw.read(_PIPE_HEADER_SIZE)
        if not is_perf_data(head):
            raise ParseError(f"{path} is not a perf.data file.", source=str(path))
        order = "<" if head.startswith(MAGIC_LITTLE) else ">"
        if len(head) < _PIPE_HEADER_SIZE:
            raise _cut(path)
        # Never closed by hand: arrays and error traces may still look into it.
        data = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
        (header_size,) = struct.unpack_from(f"{order}Q", head, 8)
        if header_size == _PIPE_HEADER_SIZE:
            return _read_pipe(path, data, order, watch)
        if size < _HEADER_SIZE:
            raise _cut(path)
        return _read_file(path, data, order, watch)


def _cut(path: Path) -> ParseError:
    return ParseError(
        f"{path} is cut short: it ends within its own header.",
        source=str(path),
        advice="Copy it again, or record again.",
    )


def _damaged(path: Path, error: Exception) -> ParseError:
    return ParseError(
        f"{path} is damaged: its header does not make sense.",
        source=str(path),
        advice="Copy it again, or record again.",
        details=str(error),
    )


def _read_file(path: Path, data: mmap.mmap, order: str, watch: Callable[[], None]) -> PerfFile:
    reader = _Reader(data, order, 16)
    attr_size, *sections = reader.unpack("7Q")
    described_by, data_section = _Section(*sections[0:2]), _Section(*sections[2:4])
    words = reader.unpack("4Q")
    features = [64 * word + bit for word in range(4) for bit in range(64) if words[word] >> bit & 1]
    closed = data_section.size > 0
    end = data_section.end if closed else len(data)
    if max(described_by.end, data_section.offset) > len(data):
        raise _cut(path)
    try:
        # Some perf versions wrote the bits of the features as 32-bit words; the low ones are where they should be.
        attrs = tuple(_attrs(data, order, described_by, attr_size))
        header = PerfHeader(events=tuple(map(_event, attrs)))
        tracing = b""
        if closed:
            for index, feature in enumerate(features):
                at = data_section.end + 16 * index
                if at + 16 > len(data):
                    break
                section = _Section(*struct.unpack_from(f"{order}2Q", data, at))
                if not section.size or section.end > len(data):
                    continue
                if feature == _Feature.TRACING_DATA:
                    tracing = bytes(data[section.offset : section.offset + min(section.size, _TRACING_LIMIT)])
                header, attrs = _with_feature(header, attrs, feature, data, order, section)
        found = walk(data, order, data_section.offset, min(end, len(data)), watch=watch)
        tally = _tally(data, order, found)
    except (struct.error, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise _damaged(path, error) from error
    return PerfFile(
        path=path,
        header=header,
        is_pipe=False,
        big_endian=order == ">",
        closed=closed,
        whole=tally.end == end,
        tally=tally,
        records=found,
        attrs=attrs,
        tracing=tracing,
    )


def _read_pipe(path: Path, data: mmap.mmap, order: str, watch: Callable[[], None]) -> PerfFile:
    header = PerfHeader()
    attrs: tuple[Attr, ...] = ()
    tracing = b""
    found = walk(data, order, _PIPE_HEADER_SIZE, len(data), watch=watch)
    tally = _tally(data, order, found)
    try:
        opened = found.rows(kinds.ATTR)[:_EVENTS_LIMIT].tolist()
        attrs = tuple(_attr_of_record(data, order, _section_of(found, row)) for row in opened)
        header = replace(header, events=tuple(map(_event, attrs)))
        for row in found.rows(kinds.FEATURE)[:_FEATURES_LIMIT].tolist():
            section = _section_of(found, row)
            if section.size > 16:
                (feature,) = struct.unpack_from(f"{order}Q", data, section.offset + 8)
                inside = _Section(section.offset + 16, section.size - 16)
                header, attrs = _with_feature(header, attrs, feature, data, order, inside)
        for row in found.rows(kinds.TRACING_DATA)[-1:].tolist():
            section = _section_of(found, row)
            if section.size >= 12:
                (size,) = struct.unpack_from(f"{order}I", data, section.offset + 8)
                tracing = bytes(data[section.end : section.end + min(size, _TRACING_LIMIT)])
        told = [
            _build_id(data, order, _section_of(found, row), int(found.misc[row]))
            for row in found.rows(kinds.BUILD_ID).tolist()
            if found.size[row] >= 36
        ]
        header = replace(header, build_ids=(*header.build_ids, *told))
    except (struct.error, ValueError, OverflowError) as error:
        raise _damaged(path, error) from error
    return PerfFile(
        path=path,
        header=header,
        is_pipe=True,
        big_endian=order == ">",
        closed=True,
        whole=tally.end == len(data),
        tally=tally,
        records=found,
        attrs=attrs,
        tracing=tracing,
    )


def _section_of(found: Records, row: int) -> _Section:
    return _Section(int(found.at[row]), int(found.size[row]))


def _tally(data: mmap.mmap, order: str, found: Records) -> Tally:
    kind = found.kind
    number = struct.Struct(f"{order}Q").unpack_from

    def sum_of(wanted: int, offset: int) -> int:
        rows = found.rows(wanted)
        places = found.at[rows[found.size[rows] >= offset + 8]]
        return sum(number(data, at + offset)[0] for at in places.tolist())

    return Tally(
        samples=int((kind == kinds.SAMPLE).sum()),
        lost=sum_of(kinds.LOST, 16),
        lost_samples=sum_of(kinds.LOST_SAMPLES, 8),
        throttled=int((kind == kinds.THROTTLE).sum()),
        compressed=bool(len(found.rows(kinds.COMPRESSED, kinds.COMPRESSED2))),
        end=found.end,
    )


def _attrs(data: mmap.mmap, order: str, section: _Section, size: int) -> Iterator[Attr]:
    left = _IDS_LIMIT
    if size < _SMALLEST_ATTR:
        return
    for at in range(section.offset, min(section.end, len(data)) - size + 1, size)[:_EVENTS_LIMIT]:
        attr = _attr(data, order, _Section(at, size), left)
        left -= 8 * len(attr.ids)
        yield attr


def _attr(data: mmap.mmap, order: str, section: _Section, limit: int) -> Attr:
    """An entry of the file's attributes: the event, then where its ids stand."""
    attr = attr_of(bytes(data[section.offset : section.end - 16]), order)
    ids = _Section(*struct.unpack_from(f"{order}2Q", data, section.end - 16))
    if not ids.size or ids.end > len(data):
        return attr
    return replace(attr, ids=ids_of(bytes(data[ids.offset : ids.offset + min(ids.size, limit)]), order))


def _attr_of_record(data: mmap.mmap, order: str, section: _Section) -> Attr:
    """A PERF_RECORD_HEADER_ATTR: the event, of as many bytes as it says, then its ids."""
    raw = bytes(data[section.offset + 8 : section.end])
    (size,) = struct.unpack_from(f"{order}I", raw, 4)
    return replace(attr_of(raw, order), ids=ids_of(raw[max(size, 64) :], order))


def _event(attr: Attr) -> PerfEvent:
    return PerfEvent(
        name=attr.name or attr.default_name,
        frequency_hz=attr.rate if attr.is_frequency else None,
        period=None if attr.is_frequency else attr.rate,
        fields=frozenset(name for bit, name in enumerate(_FIELDS) if attr.sample_type >> bit & 1),
        counts_lost=bool(attr.read_format & _READ_LOST),
    )


def _with_feature(
    header: PerfHeader, attrs: tuple[Attr, ...], feature: int, data: mmap.mmap, order: str, section: _Section
) -> tuple[PerfHeader, tuple[Attr, ...]]:
    """A section that does not make sense tells nothing: the samples do not need it."""
    try:
        if feature == _Feature.EVENTS:
            attrs = described(attrs, _descriptions(_Reader(data, order, section.offset), section.end))
            return replace(header, events=tuple(map(_event, attrs))), attrs
        return _with_fact(header, feature, data, order, section), attrs
    except (struct.error, ValueError, OverflowError):
        return header, attrs


def _with_fact(header: PerfHeader, feature: int, data: mmap.mmap, order: str, section: _Section) -> PerfHeader:
    reader = _Reader(data, order, section.offset)
    match feature:
        case _Feature.HOSTNAME:
            return replace(header, hostname=reader.string())
        case _Feature.RELEASE:
            return replace(header, kernel=reader.string())
        case _Feature.VERSION:
            return replace(header, version=reader.string())
        case _Feature.ARCH:
            return replace(header, arch=reader.string())
        case _Feature.CPUS:
            return replace(header, cpus=reader.unpack("2I")[1])
        case _Feature.CPU:
            return replace(header, cpu=reader.string())
        case _Feature.CMDLINE:
            (count,) = reader.unpack("I")
            return replace(header, argv=tuple(reader.string() for _ in range(min(count, _ARGUMENTS_LIMIT))))
        case _Feature.SAMPLE_TIME:
            first, last = reader.unpack("2Q")
            return replace(header, first_ns=first, last_ns=last) if last < 1 << 63 else header
        case _Feature.CLOCK_DATA:
            _, _, wall_ns, _ = reader.unpack("2I2Q")
            return replace(header, started_at=datetime.fromtimestamp(wall_ns / 1e9, UTC))
        case _Feature.BUILD_IDS:
            return replace(header, build_ids=tuple(_build_ids(data, order, section)))
    return header


def _descriptions(reader: _Reader, end: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """HEADER_EVENT_DESC: per event its attribute, its name and its ids."""
    count, attr_size = reader.unpack("2I")
    for _ in range(min(count, _EVENTS_LIMIT)):
        reader.at += attr_size
        if reader.at >= end:
            return
        (ids,) = reader.unpack("I")
        name = reader.string()
        ids = min(ids, max(end - reader.at, 0) // 8)
        yield name, ids_of(bytes(reader.data[reader.at : reader.at + 8 * ids]), reader.order)
        reader.at += 8 * ids


def _build_ids(data: mmap.mmap, order: str, section: _Section) -> Iterator[tuple[str, str]]:
    at = section.offset
    while at + 36 <= section.end:
        _, misc, size = struct.unpack_from(f"{order}IHH", data, at)
        if size < 36 or at + size > section.end:
            return
        yield _build_id(data, order, _Section(at, size), misc)
        at += size


def _build_id(data: mmap.mmap, order: str, section: _Section, misc: int) -> tuple[str, str]:
    """(path, hex build id) of a PERF_RECORD_HEADER_BUILD_ID: header, pid, 20 bytes of id, its length, path."""
    raw = bytes(data[section.offset : section.end])
    length = raw[32] if misc & _BUILD_ID_HAS_SIZE else 20
    path = raw[36:].split(b"\0", 1)[0].decode(errors="backslashreplace")
    return path, raw[12 : 12 + min(length, 20)].hex()
