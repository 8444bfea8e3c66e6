"""Protocol buffers on the wire, many messages of a kind at once: fields and numbers as arrays.

https://protobuf.dev/programming-guides/encoding. A message is walked a field at a time, but all messages of a kind
take the step together, so that a million of them cost a few array operations for each field.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

import numpy as np

from tailflame.model.stacks import Int64, UInt8, UInt64

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_VARINT_BYTES = 10
_FEW = 16
"""Messages up to which they are walked one by one."""
_PAD = 16


class BadWire(ValueError):
    """The bytes are no protocol buffer. The argument says what is wrong, for the details."""


class Fields(NamedTuple):
    """Fields in the order of their messages. owner: index of the message; start, stop: the field's payload in the
    data, which of a number are its own bytes; value: the number, 0 for bytes."""

    owner: Int64
    number: Int64
    wire: Int64
    start: Int64
    stop: Int64
    value: UInt64

    def only(self, number: int, *wires: int) -> Fields:
        """The fields of this number; BadWire where one is encoded in a way that is none of `wires`."""
        at = np.flatnonzero(self.number == number)
        found = Fields(*(column[at] for column in self))
        if len(at) and not np.isin(found.wire, wires).all():
            raise BadWire(f"field {number} is of another type")
        return found

    def scalar(self, number: int, messages: int) -> UInt64:
        """The number that each message has in this field, 0 where it has none; the last one counts."""
        found = self.only(number, VARINT)
        values = np.zeros(messages, dtype=np.uint64)
        values[found.owner] = found.value
        return values


def padded(data: bytes) -> UInt8:
    """The data as an array that may be read a little beyond its end."""
    return np.frombuffer(data + bytes(_PAD), dtype=np.uint8)


def walk(data: UInt8, start: Int64, stop: Int64) -> Fields:
    """The fields of the messages that lie at start:stop of `data` (`padded`). Raises BadWire."""
    parts: list[tuple[Int64, ...]] = []
    owner = np.arange(len(start), dtype=np.int64)
    at, end = start.astype(np.int64), stop.astype(np.int64)
    while True:
        live = np.flatnonzero(at < end)
        owner, at, end = owner[live], at[live], end[live]
        if len(live) <= _FEW:
            break
        tag, at = _varints(data, at, end)
        wire, number = (tag & np.uint64(7)).astype(np.int64), (tag >> np.uint64(3)).astype(np.int64)
        if (number < 1).any() or (number >= 1 << 29).any():
            raise BadWire("a field without a number")
        first, value, after = at, np.zeros(len(at), np.uint64), at.copy()
        counted = np.flatnonzero((wire == VARINT) | (wire == BYTES))
        if len(counted):
            value[counted], after[counted] = _varints(data, at[counted], end[counted])
        long = np.flatnonzero(wire == BYTES)
        if (value[long] > (end[long] - after[long]).astype(np.uint64)).any():
            raise BadWire("a field is longer than its message")
        first = np.where(wire == BYTES, after, at)
        after[long] += value[long].astype(np.int64)
        value[long] = 0
        after[wire == FIXED64] += 8
        after[wire == FIXED32] += 4
        if not np.isin(wire, (VARINT, BYTES, FIXED64, FIXED32)).all() or (after > end).any():
            raise BadWire("a field of no known type, or beyond its message")
        parts.append((owner, number, wire, first, after, value))
        at = after
    if len(owner):
        parts.append(_walk_few(data.tobytes(), owner.tolist(), at.tolist(), end.tolist()))
    if not parts:
        none = np.zeros(0, np.int64)
        return Fields(none, none, none, none, none, none.astype(np.uint64))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return Fields(*(column[order] for column in columns))


def _walk_few(data: bytes, owners: list[int], starts: list[int], stops: list[int]) -> tuple[Int64, ...]:
    columns = [array("q") for _ in range(5)]
    values = array("Q")
    for owner, start, stop in zip(owners, starts, stops, strict=True):
        at = start
        while at < stop:
            tag, at = _varint(data, at, stop)
            wire, number = tag & 7, tag >> 3
            first, value = at, 0
            if wire == VARINT:
                value, at = _varint(data, at, stop)
            elif wire == BYTES:
                length, first = _varint(data, at, stop)
                at = first + length
            elif wire == FIXED64:
                at += 8
            elif wire == FIXED32:
                at += 4
            else:
                raise BadWire(f"a field of type {wire}")
            if at > stop or not 0 < number < 1 << 29:
                raise BadWire("a field is longer than its message, or has no number")
            for column, figure in zip(columns, (owner, number, wire, first, at), strict=True):
                column.append(figure)
            values.append(value)
    return (*(np.frombuffer(column, np.int64) for column in columns), np.frombuffer(values, np.uint64))


def _varint(data: bytes, at: int, stop: int) -> tuple[int, int]:
    value = shift = 0
    while at < stop and shift < 7 * _VARINT_BYTES:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
    raise BadWire("a number does not end")


def _varints(data: UInt8, at: Int64, end: Int64) -> tuple[UInt64, Int64]:
    """The number at each place, and where the next thing begins."""
    byte = data[at]
    value = (byte & 0x7F).astype(np.uint64)
    after = at + 1
    more = np.flatnonzero(byte >= 0x80)
    for step in range(1, _VARINT_BYTES):
        if not len(more):
            break
        byte = data[np.minimum(after[more], len(data) - 1)]
        value[more] |= (byte & 0x7F).astype(np.uint64) << np.uint64(7 * step)
        after[more] += 1
        more = more[byte >= 0x80]
    if len(more) or (after > end).any():
        raise BadWire("a number does not end")
    return value, after


def packed(data: UInt8, start: Int64, stop: Int64) -> tuple[UInt64, Int64]:
    """All numbers of the payloads start:stop one after another, and how many each holds. Raises BadWire."""
    length = stop - start
    before = np.cumsum(length) - length
    total = int(length.sum())
    flat = data[np.repeat(start - before, length) + np.arange(total)]
    last = np.flatnonzero(flat < 0x80)
    filled = np.flatnonzero(length > 0)
    if (flat[(before + length - 1)[filled]] >= 0x80).any():
        raise BadWire("a number does not end")
    first = np.append(0, last[:-1] + 1) if len(last) else last
    size = last - first + 1
    if len(size) and size.max() > _VARINT_BYTES:
        raise BadWire("a number is too long")
    value = (flat[first] & 0x7F).astype(np.uint64)
    for step in range(1, int(size.max(initial=1))):
        at = np.flatnonzero(size > step)
        value[at] |= (flat[first[at] + step] & 0x7F).astype(np.uint64) << np.uint64(7 * step)
    ends = np.append(0, np.cumsum(flat < 0x80))
    return value, ends[before + length] - ends[before]
