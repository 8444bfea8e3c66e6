"""The frame of a perf.data file: magic, attributes, what it says about itself, and a count of its records.

`perf script` reads the samples; this answers at once, and without perf, what must be known before and beside that:
which fields the samples have, how many there are, whether the file is whole, how many events were lost.
Layout: tools/perf/Documentation/perf.data-file-format.txt in the kernel's sources.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from tailflame.errors import ParseError
from tailflame.parse.perf_header import PerfEvent, PerfHeader

MAGIC_LITTLE = b"PERFILE2"
MAGIC_BIG = b"2ELIFREP"
_HEADER_SIZE = 104
_PIPE_HEADER_SIZE = 16

# Record types (enum perf_event_type, enum perf_user_event_type).
_LOST, _THROTTLE, _SAMPLE, _LOST_SAMPLES = 2, 5, 9, 13
_ATTR, _TRACING_DATA, _BUILD_ID, _AUXTRACE, _FEATURE = 64, 66, 67, 71, 80
_COMPRESSED = (81, 83)


class _Feature(IntEnum):
    """The sections after the records (enum in tools/perf/util/header.h), as far as they are read."""

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
_FREQ = 1 << 10
_READ_LOST = 1 << 4
_BUILD_ID_HAS_SIZE = 1 << 15
_CLOCK_NAMES = {0: "cpu-clock", 1: "task-clock"}


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
        raw = bytes(self.data[self.at : self.at + length])
        self.at += length
        return raw.split(b"\0", 1)[0].decode(errors="backslashreplace")


def is_perf_data(head: bytes) -> bool:
    return head.startswith((MAGIC_LITTLE, MAGIC_BIG))


def read_perf_file(path: Path) -> PerfFile:
    """Raises ParseError where the file is not a perf.data file or ends within its own header."""
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
        with mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as data:
            (header_size,) = struct.unpack_from(f"{order}Q", head, 8)
            if header_size == _PIPE_HEADER_SIZE:
                return _read_pipe(path, data, order)
            if size < _HEADER_SIZE:
                raise _cut(path)
            return _read_file(path, data, order)


def _cut(path: Path) -> ParseError:
    return ParseError(
        f"{path} is cut short: it ends within its own header.",
        source=str(path),
        advice="Copy it again, or record again.",
    )


def _read_file(path: Path, data: mmap.mmap, order: str) -> PerfFile:
    reader = _Reader(data, order, 16)
    attr_size, *sections = reader.unpack("7Q")
    attrs, records = _Section(*sections[0:2]), _Section(*sections[2:4])
    words = reader.unpack("4Q")
    features = [64 * word + bit for word in range(4) for bit in range(64) if words[word] >> bit & 1]
    closed = records.size > 0
    end = records.end if closed else len(data)
    if max(attrs.end, records.offset) > len(data):
        raise _cut(path)
    try:
        # Some perf versions wrote the bits of the features as 32-bit words; the low ones are where they should be.
        events = tuple(
            _event(data, order, at, at + attr_size - 16)
            for at in range(attrs.offset, min(attrs.end, len(data)), attr_size)
            if attr_size >= 64
        )
        header = PerfHeader(events=events)
        if closed:
            for index, feature in enumerate(features):
                at = records.end + 16 * index
                if at + 16 > len(data):
                    break
                section = _Section(*struct.unpack_from(f"{order}2Q", data, at))
                if section.size and section.end <= len(data):
                    header = _with_feature(header, feature, data, order, section)
        tally = Tally()
        for _ in _walk(data, order, records.offset, min(end, len(data)), tally):
            pass
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise ParseError(
            f"{path} is damaged: its header does not make sense.", source=str(path), details=str(error)
        ) from error
    return PerfFile(
        path=path,
        header=header,
        is_pipe=False,
        big_endian=order == ">",
        closed=closed,
        whole=tally.end == end,
        tally=tally,
    )


def _read_pipe(path: Path, data: mmap.mmap, order: str) -> PerfFile:
    header = PerfHeader()
    tally = Tally()
    for kind, misc, section in _walk(data, order, _PIPE_HEADER_SIZE, len(data), tally):
        if kind == _ATTR:
            header = replace(header, events=(*header.events, _event(data, order, section.offset + 8, section.end)))
        elif kind == _FEATURE and section.size > 16:
            (feature,) = struct.unpack_from(f"{order}Q", data, section.offset + 8)
            inside = _Section(section.offset + 16, section.size - 16)
            header = _with_feature(header, feature, data, order, inside)
        elif kind == _BUILD_ID:
            header = replace(header, build_ids=(*header.build_ids, _build_id(data, order, section, misc)))
    return PerfFile(
        path=path,
        header=header,
        is_pipe=True,
        big_endian=order == ">",
        closed=True,
        whole=tally.end == len(data),
        tally=tally,
    )


def _walk(data: mmap.mmap, order: str, at: int, end: int, tally: Tally) -> Iterator[tuple[int, int, _Section]]:
    """Goes over the records of [at, end) and counts them; yields the synthetic ones as (type, misc, place)."""
    unpack = struct.Struct(f"{order}IHH").unpack_from
    number = struct.Struct(f"{order}Q").unpack_from
    tally.end = at
    while at + 8 <= end:
        kind, misc, size = unpack(data, at)
        if size < 8 or at + size > end:
            return
        if kind == _SAMPLE:
            tally.samples += 1
        elif kind == _LOST and size >= 24:
            tally.lost += number(data, at + 16)[0]
        elif kind == _LOST_SAMPLES and size >= 16:
            tally.lost_samples += number(data, at + 8)[0]
        elif kind == _THROTTLE:
            tally.throttled += 1
        elif kind >= _ATTR:
            if kind in _COMPRESSED:
                tally.compressed = True
            yield kind, misc, _Section(at, size)
            # These two are followed by data that their size does not count.
            if kind == _AUXTRACE:
                size += number(data, at + 8)[0]
            elif kind == _TRACING_DATA:
                size += struct.unpack_from(f"{order}I", data, at + 8)[0] + 7 & ~7
            if at + size > end:
                return
        at += size
        tally.end = at


def _event(data: mmap.mmap, order: str, at: int, end: int) -> PerfEvent:
    """A perf_event_attr: type, size, config, sample_period or sample_freq, sample_type, read_format, flags."""
    kind, _, config, rate, sample_type, read_format, flags = struct.unpack_from(f"{order}2I5Q", data, at)
    return PerfEvent(
        name=_CLOCK_NAMES.get(config, "") if kind == 1 else "",
        frequency_hz=rate if flags & _FREQ else None,
        period=None if flags & _FREQ else rate,
        fields=frozenset(name for bit, name in enumerate(_FIELDS) if sample_type >> bit & 1),
        counts_lost=bool(read_format & _READ_LOST),
    )


def _with_feature(header: PerfHeader, feature: int, data: mmap.mmap, order: str, section: _Section) -> PerfHeader:
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
            return replace(header, argv=tuple(reader.string() for _ in range(min(count, 100_000))))
        case _Feature.EVENTS:
            return replace(header, events=_named(header.events, reader))
        case _Feature.SAMPLE_TIME:
            first, last = reader.unpack("2Q")
            return replace(header, first_ns=first, last_ns=last)
        case _Feature.CLOCK_DATA:
            _, _, wall_ns, _ = reader.unpack("2I2Q")
            return replace(header, started_at=datetime.fromtimestamp(wall_ns / 1e9, UTC))
        case _Feature.BUILD_IDS:
            return replace(header, build_ids=tuple(_build_ids(data, order, section)))
    return header


def _named(events: tuple[PerfEvent, ...], reader: _Reader) -> tuple[PerfEvent, ...]:
    """HEADER_EVENT_DESC: per event its attribute, its ids and its name."""
    count, attr_size = reader.unpack("2I")
    names: list[str] = []
    for _ in range(min(count, 10_000)):
        reader.at += attr_size
        (ids,) = reader.unpack("I")
        names.append(reader.string())
        reader.at += 8 * ids
    if len(names) != len(events):
        return events
    return tuple(replace(event, name=name) for event, name in zip(events, names, strict=True))


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
