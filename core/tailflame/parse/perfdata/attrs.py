"""Events as they were opened (struct perf_event_attr in the kernel's perf_event.h), with their ids and names."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntFlag

_SMALLEST = 64
"""Bytes of the first version of the structure; later ones are longer."""
_ID_LIMIT = 1_000_000


class Field(IntFlag):
    """What a sample carries (enum perf_event_sample_format)."""

    IP = 1 << 0
    TID = 1 << 1
    TIME = 1 << 2
    ADDR = 1 << 3
    READ = 1 << 4
    CALLCHAIN = 1 << 5
    ID = 1 << 6
    CPU = 1 << 7
    PERIOD = 1 << 8
    STREAM_ID = 1 << 9
    RAW = 1 << 10
    BRANCH_STACK = 1 << 11
    REGS_USER = 1 << 12
    STACK_USER = 1 << 13
    WEIGHT = 1 << 14
    DATA_SRC = 1 << 15
    IDENTIFIER = 1 << 16
    TRANSACTION = 1 << 17
    REGS_INTR = 1 << 18
    PHYS_ADDR = 1 << 19
    AUX = 1 << 20
    CGROUP = 1 << 21
    DATA_PAGE_SIZE = 1 << 22
    CODE_PAGE_SIZE = 1 << 23
    WEIGHT_STRUCT = 1 << 24


KNOWN_FIELDS = (1 << 25) - 1

TYPE_HARDWARE, TYPE_SOFTWARE, TYPE_TRACEPOINT, TYPE_CACHE, TYPE_RAW, TYPE_BREAKPOINT = range(6)
_HARDWARE = (
    *("cycles", "instructions", "cache-references", "cache-misses", "branches", "branch-misses", "bus-cycles"),
    *("stalled-cycles-frontend", "stalled-cycles-backend", "ref-cycles"),
)
_SOFTWARE = (
    *("cpu-clock", "task-clock", "page-faults", "context-switches", "cpu-migrations", "minor-faults", "major-faults"),
    *("alignment-faults", "emulation-faults", "dummy", "bpf-output", "cgroup-switches"),
)


@dataclass(frozen=True, slots=True)
class Attr:
    """One event. rate: its period, or its frequency where `is_frequency`; ids: as its samples name it; name: "" where
    the file does not tell."""

    type: int
    config: int
    rate: int
    sample_type: int
    read_format: int
    flags: int
    branch_sample_type: int = 0
    regs_user: int = 0
    regs_intr: int = 0
    ids: tuple[int, ...] = ()
    name: str = ""

    def has(self, field: Field) -> bool:
        return bool(self.sample_type & field)

    @property
    def is_frequency(self) -> bool:
        return bool(self.flags & 1 << 10)

    @property
    def identifies_all(self) -> bool:
        """Whether records that are no samples end with thread, time, id and processor."""
        return bool(self.flags & 1 << 18)

    @property
    def default_name(self) -> str:
        """perf's name of the event, without what it was restricted to; "" where the number does not tell."""
        names = {TYPE_HARDWARE: _HARDWARE, TYPE_SOFTWARE: _SOFTWARE}.get(self.type, ())
        return names[self.config] if self.config < len(names) else ""


def attr_of(data: bytes, order: str) -> Attr:
    """Of the structure's bytes, however many of them there are; struct.error where they are too few."""
    kind, size, config, rate, sample_type, read_format, flags = struct.unpack_from(f"{order}2I5Q", data)
    whole = data[: max(min(size, len(data)), _SMALLEST)].ljust(136, b"\0")
    branch, regs_user = struct.unpack_from(f"{order}2Q", whole, 72)
    (regs_intr,) = struct.unpack_from(f"{order}Q", whole, 96)
    return Attr(kind, config, rate, sample_type, read_format, flags, branch, regs_user, regs_intr)


def ids_of(data: bytes, order: str) -> tuple[int, ...]:
    count = min(len(data) // 8, _ID_LIMIT)
    return struct.unpack_from(f"{order}{count}Q", data)


def described(attrs: tuple[Attr, ...], descriptions: Iterable[tuple[str, tuple[int, ...]]]) -> tuple[Attr, ...]:
    """The same with the names and ids of HEADER_EVENT_DESC: by place where there are as many, else by id."""
    told = list(descriptions)
    if len(told) == len(attrs):
        return tuple(
            replace(attr, name=name, ids=attr.ids or ids) for attr, (name, ids) in zip(attrs, told, strict=True)
        )
    by_id = {number: name for name, ids in told for number in ids}
    return tuple(replace(attr, name=next((by_id[i] for i in attr.ids if i in by_id), attr.name)) for attr in attrs)
