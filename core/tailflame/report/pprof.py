"""pprof profiles out (https://github.com/google/pprof/blob/main/proto/profile.proto), gzipped as pprof wants them.

All events go into one file: of each, how often a stack was seen and what that stands for. Samples of a stack and a
thread are added up, as in every pprof profile: times are not in it.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from tailflame.model import NONE, Caution, Event, FrameKind, Meta, StackProfile
from tailflame.model.stacks import Float64, Int64
from tailflame.report.output import opened_bytes
from tailflame.units import Unit

_UNITS = {Unit.NANOSECONDS: "nanoseconds", Unit.BYTES: "bytes", Unit.EVENTS: "events"}
_MOST = 2**63 - 1


def write(
    profile: StackProfile, target: Path | BinaryIO, *, event: int | None = None, meta: Meta | None = None
) -> tuple[Caution, ...]:
    """Writes the profile, or one event of it. meta: when it was recorded, and the build ids of modules.

    Returns what had to be changed, for the user. StoreError where it cannot be written.
    """
    writer = _Writer(profile, meta or Meta())
    data = writer.message(range(len(profile.events)) if event is None else (event,))
    with opened_bytes(target) as stream:
        stream.write(gzip.compress(data, 6, mtime=0))
    return writer.told()


class _Column(NamedTuple):
    """One sample type: its name, its unit, and the value of each row of the profile's samples."""

    name: str
    unit: str
    values: Float64


class _Writer:
    def __init__(self, profile: StackProfile, meta: Meta) -> None:
        self._profile = profile
        self._meta = meta
        self._strings: dict[str, int] = {"": 0}
        self._rounded = False

    def message(self, events: Iterable[int]) -> bytes:
        columns = self._columns(list(events))
        parts = [_field(1, _numbers((1, self._text(c.name)), (2, self._text(c.unit)))) for c in columns]
        parts += self._samples(columns)
        parts += self._places()
        meta = self._meta
        parts.append(_numbers((9, round(meta.started_at.timestamp() * 1e9) if meta.started_at else 0)))
        parts.append(_numbers((10, round(meta.duration_s * 1e9) if meta.duration_s else 0)))
        if meta.rate_asked_hz and any(c.unit == "nanoseconds" for c in columns):
            parts.append(_field(11, _numbers((1, self._text("cpu")), (2, self._text("nanoseconds")))))
            parts.append(_numbers((12, round(1e9 / meta.rate_asked_hz))))
        parts.append(_numbers((14, self._text(columns[self._preferred].name))))
        parts += [_field(6, text.encode("utf-8", "backslashreplace")) for text in self._strings]
        return b"".join(parts)

    def told(self) -> tuple[Caution, ...]:
        if not self._rounded:
            return ()
        return (Caution("pprof holds whole numbers only: weights were rounded, so that sums may differ by a little."),)

    def _text(self, text: str) -> int:
        return self._strings.setdefault(text, len(self._strings))

    def _columns(self, numbers: list[int]) -> list[_Column]:
        """Events that have a weight are a count and a weight, one behind the other; those without come last."""
        samples, events = self._profile.samples, self._profile.events
        weighed = [n for n in numbers if events[n].has_period]
        counted = [n for n in numbers if not events[n].has_period]
        columns: list[_Column] = []
        names = _unique([events[n].name for n in weighed + counted])
        self._preferred = 0
        for number, name in zip(weighed + counted, names, strict=True):
            chosen = samples.event == number
            event: Event = events[number]
            if event.has_period:
                count = "samples" if len(numbers) == 1 and name != "samples" else f"{name}_samples"
                columns.append(_Column(count, "count", np.where(chosen, samples.count, 0.0)))
            if number == numbers[0]:
                self._preferred = len(columns)
            values = samples.period if event.has_period else samples.count
            columns.append(_Column(name, _UNITS.get(event.unit, "count"), np.where(chosen, values, 0.0)))
        return columns

    def _samples(self, columns: list[_Column]) -> list[bytes]:
        """One sample for each stack and thread."""
        samples = self._profile.samples
        keep = (
            np.flatnonzero(np.any([c.values > 0 for c in columns], axis=0)) if len(samples) else np.zeros(0, np.int64)
        )
        threads = len(self._profile.threads) + 1
        key = samples.stack[keep].astype(np.int64) * threads + samples.thread[keep] + 1
        distinct, position = np.unique(key, return_inverse=True)
        values = np.zeros((len(distinct), len(columns)), np.int64)
        stacks, thread = distinct // threads, distinct % threads - 1
        # Rounded function by function: the sums of those that are whole stay as they are.
        frames = np.append(self._profile.stacks.frame, NONE)
        order = np.argsort(np.append(self._profile.frames.name, NONE)[frames[stacks]], kind="stable")
        for number, column in enumerate(columns):
            added = np.bincount(position, weights=column.values[keep], minlength=len(distinct))
            values[order, number] = self._whole(added[order])
        places, depth = self._locations(stacks)
        flat, ends = _packed(places.astype(np.uint64) + np.uint64(1))
        bounds = np.append(0, ends)[np.append(0, np.cumsum(depth))].tolist()
        counts, count_ends = _packed(values.reshape(-1).view(np.uint64))
        at = np.append(0, count_ends)[:: len(columns)].tolist()
        labels = [self._labels(number) for number in range(threads - 1)] + [b""]
        found = []
        for number, who in enumerate(thread.tolist()):
            body = _field(1, flat[bounds[number] : bounds[number + 1]]) if bounds[number + 1] > bounds[number] else b""
            found.append(_field(2, body + _field(2, counts[at[number] : at[number + 1]]) + labels[who]))
        return found

    def _whole(self, values: Float64) -> Int64:
        """Rounded so that the sum stays right."""
        values = np.clip(values, 0.0, _MOST / max(len(values), 1))
        if np.array_equal(values, np.round(values)):
            return values.astype(np.int64)
        self._rounded = True
        return np.diff(np.round(np.cumsum(values)), prepend=0.0).astype(np.int64)

    def _locations(self, stacks: Int64) -> tuple[Int64, Int64]:
        """Numbers of locations, leaf first, one stack after another, and how many each has.

        A location is a function with all that is inlined into it there.
        """
        kinds, frames = self._profile.frames.kind.tolist(), self._profile.stacks.frame.tolist()
        known: dict[tuple[int, int], int] = {}
        place: list[int] = []
        above: list[int] = []
        for frame, parent in zip(frames, self._profile.stacks.parent.tolist(), strict=True):
            inlined = kinds[frame] == FrameKind.INLINED and parent >= 0
            place.append(known.setdefault((place[parent] if inlined else NONE, frame), len(known)))
            above.append(above[parent] if inlined else parent)
        self._known = known
        numbers, up = np.array(place, np.int64), np.array(above, np.int64)
        depth = np.zeros(len(stacks), np.int64)
        found: list[Int64] = [np.zeros(0, np.int64)]
        owners: list[Int64] = [np.zeros(0, np.int64)]
        owner, at = np.flatnonzero(stacks >= 0), stacks[stacks >= 0]
        while len(at):
            found.append(numbers[at])
            owners.append(owner)
            depth[owner] += 1
            at = up[at]
            owner, at = owner[at >= 0], at[at >= 0]
        order = np.argsort(np.concatenate(owners), kind="stable")
        return np.concatenate(found)[order], depth

    def _labels(self, number: int) -> bytes:
        thread = self._profile.threads[number]
        label = b""
        if thread.name:
            label += _field(3, _numbers((1, self._text("thread")), (2, self._text(thread.name))))
        for word, figure in (("pid", thread.pid), ("tid", thread.tid)):
            if figure >= 0:
                label += _field(3, _numbers((1, self._text(word)), (3, figure)))
        return label

    def _places(self) -> list[bytes]:
        """Mappings, locations and functions. Call after `_samples`."""
        table = self._profile.frames
        builds = dict(self._meta.build_ids)
        functions: dict[tuple[str, str], int] = {}
        mappings: dict[str, int] = {}
        if main := self._main_module():
            mappings[main] = 1
        lines: list[bytes] = []
        mapping_of: list[int] = []
        for index, name in enumerate(table.names()):
            function = functions.setdefault((name, table.file_of(index)), len(functions) + 1)
            lines.append(_field(4, _numbers((1, function), (2, max(int(table.line[index]), 0)))))
            module = table.module_of(index)
            mapping_of.append(mappings.setdefault(module, len(mappings) + 1) if module else 0)
        parts: list[bytes] = []
        inner: list[bytes] = []
        mapping: list[int] = []
        for number, (outer, frame) in enumerate(self._known):
            # The innermost function comes first.
            inner.append(lines[frame] + (inner[outer] if outer >= 0 else b""))
            mapping.append(mapping[outer] if outer >= 0 else mapping_of[frame])
            parts.append(_field(4, _numbers((1, number + 1), (2, mapping[-1])) + inner[-1]))
        for (name, file), number in functions.items():
            text = self._text(name)
            parts.append(_field(5, _numbers((1, number), (2, text), (3, text), (4, self._text(file)))))
        for module, number in mappings.items():
            build = self._text(builds.get(module, ""))
            # All that a symboliser could add is there.
            known = _numbers((1, number), (5, self._text(module)), (6, build), (7, 1), (8, 1), (9, 1), (10, 1))
            parts.append(_field(3, known))
        return parts

    def _main_module(self) -> str:
        """The program's: pprof takes the first mapping for it. Where nothing tells, that with most of the samples."""
        samples, table = self._profile.samples, self._profile.frames
        rows = samples.stack >= 0
        frames = self._profile.stacks.frame[samples.stack[rows]]
        modules = table.module[frames]
        known = (modules >= 0) & (table.kind[frames] != FrameKind.KERNEL)
        if not known.any():
            return ""
        seen = samples.count if samples.count.any() else samples.period  # massif counts nothing
        weight = np.bincount(modules[known], weights=seen[rows][known])
        named = [
            table.strings[int(number)] for number in np.argsort(-weight, kind="stable")[: np.count_nonzero(weight)]
        ]
        command = self._meta.command[0].rsplit("/", 1)[-1] if self._meta.command else ""
        return next((module for module in named if module.rsplit("/", 1)[-1] == command), next(iter(named), ""))


def _unique(names: list[str]) -> list[str]:
    """pprof chooses sample types by name."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return found


_BYTE = [bytes([value]) for value in range(0x80)]


def _varint(value: int) -> bytes:
    if value < 0x80:
        return _BYTE[value]
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _numbers(*fields: tuple[int, int]) -> bytes:
    """Fields that are numbers; zeros are left out, as proto3 does."""
    return b"".join(_varint(number << 3) + _varint(value) for number, value in fields if value)


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _packed(values: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> tuple[bytes, Int64]:
    """All values one after another, and where each ends."""
    size = np.ones(len(values), np.int64)
    for bits in range(7, 64, 7):
        size += values >= np.uint64(1 << bits)
    ends = np.cumsum(size)
    data = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    for step in range(int(size.max(initial=0))):
        at = np.flatnonzero(size > step)
        septet = (values[at] >> np.uint64(7 * step)) & np.uint64(0x7F)
        more = (size[at] > step + 1).astype(np.uint8) << 7
        data[ends[at] - size[at] + step] = septet.astype(np.uint8) | more
    return data.tobytes(), ends
