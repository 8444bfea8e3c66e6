"""What happened beside the samples: names of threads, files mapped, processes that began and ended, switches, losses.

Records of several processors do not stand in the order of their time: everything here carries its own. What perf wrote
itself at the start (time 0) comes first.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tailflame.model import NONE
from tailflame.parse.perfdata import records as kinds
from tailflame.parse.perfdata.attrs import Attr, Field
from tailflame.parse.perfdata.records import Records

MISC_EXEC = 1 << 13
"""Of a COMM: the thread has begun another program. Of a FORK: perf made it up of a thread that ran already."""
_MISC_DATA = 1 << 13
_MISC_BUILD_ID = 1 << 14
_SWITCH_OUT = 1 << 13
_SWITCH_PREEMPTED = 1 << 14
_EXECUTABLE = 4
_KSYMBOL_GONE = 1

KERNEL_PID = -1


class Mapped(NamedTuple):
    """A file, or memory of no file, mapped into a process; pid -1: into the kernel."""

    when: int
    pid: int
    start: int
    end: int
    offset: int
    path: str
    build_id: str
    inode: int
    is_code: bool
    tid: int = NONE


class Named(NamedTuple):
    """A thread got a name. is_exec: because it began another program."""

    when: int
    pid: int
    tid: int
    name: str
    is_exec: bool


class Forked(NamedTuple):
    """A thread or process began; copies: whether its memory is a copy of its parent's."""

    when: int
    pid: int
    parent: int
    tid: int
    parent_tid: int
    copies: bool


class Unmapped(NamedTuple):
    """A part of the kernel's code is gone (a BPF program was unloaded)."""

    when: int
    start: int
    end: int


class Switched(NamedTuple):
    """A thread got a processor (out is False) or left it; preempted: it would have gone on."""

    when: int
    tid: int
    cpu: int
    out: bool
    preempted: bool


@dataclass(slots=True)
class Sideband:
    """In the order of time, equal times in the order of the file. order: Mapped, Named, Forked and Unmapped."""

    order: list[Mapped | Named | Forked | Unmapped] = field(default_factory=list)
    switches: list[Switched] = field(default_factory=list)
    lost: int = 0
    lost_samples: int = 0
    throttled: int = 0
    aux: int = 0
    """Pieces of a hardware trace, which are not decoded."""
    deferred: int = 0
    """Call chains that came later than their samples."""
    guest: bool = False
    damaged: int = 0


class _Trailer(NamedTuple):
    """Where, counted in words from the end of a record that is no sample, its time stands (0: nowhere), ..."""

    words: int
    time: int
    tid: int
    cpu: int


def read_sideband(
    data: mmap.mmap | bytes | bytearray,
    records: Records,
    attrs: Sequence[Attr],
    *,
    watch: Callable[[], None] = lambda: None,
) -> Sideband:
    """Everything but the samples. A record that does not make sense is counted, and left out."""
    found = Sideband()
    trailers = [_trailer(attr) if attr.identifies_all else _Trailer(0, 0, 0, 0) for attr in attrs]
    trailer = trailers[0] if trailers else _Trailer(0, 0, 0, 0)
    # Where events carry different fields, the last word tells which of them the record belongs to.
    differ = len(set(trailers)) > 1 and all(attr.has(Field.IDENTIFIER) for attr in attrs)
    of_id = {number: trailers[row] for row, attr in enumerate(attrs) for number in attr.ids} if differ else {}
    has_times = bool(attrs) and attrs[0].has(Field.TIME)
    rows = ((records.kind != kinds.SAMPLE) & (records.kind < 64)).nonzero()[0]
    columns = (rows, records.at[rows], records.kind[rows], records.misc[rows], records.size[rows])
    for number, (row, at, kind, misc, size) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
        if not number & 0xFFFF:
            watch()
        read = _READERS.get(kind)
        if read is None:
            continue
        raw = bytes(data[at : at + size])
        if of_id:
            trailer = of_id.get(_word(raw, size - 8), trailers[0])
        when = _word(raw, size - 8 * trailer.time) if trailer.time and size >= 8 + 8 * trailer.words else 0
        if when >= 1 << 62:
            when = 0  # perf takes all ones for no time as well
        try:
            read(found, raw, misc, when if has_times else row, size - 8 * trailer.words, trailer)
        except (struct.error, IndexError):
            found.damaged += 1
    found.order.sort(key=lambda happened: happened.when)
    found.switches.sort(key=lambda switch: switch.when)
    return found


def _trailer(attr: Attr) -> _Trailer:
    """perf_event__output_id_sample: TID, TIME, ID, STREAM_ID, CPU, IDENTIFIER, as far as the event has them."""
    fields = [f for f in (Field.TID, Field.TIME, Field.ID, Field.STREAM_ID, Field.CPU, Field.IDENTIFIER) if attr.has(f)]
    place = {f: len(fields) - index for index, f in enumerate(fields)}
    return _Trailer(len(fields), place.get(Field.TIME, 0), place.get(Field.TID, 0), place.get(Field.CPU, 0))


def _word(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + 8], "little")


def _text(raw: bytes, begin: int, end: int) -> str:
    return raw[begin : max(end, begin)].split(b"\0", 1)[0].decode(errors="backslashreplace")


def _mmap(found: Sideband, raw: bytes, misc: int, when: int, end: int, trailer: _Trailer) -> None:
    pid, tid, start, length, offset = struct.unpack_from("<iiQQQ", raw, 8)
    path = _text(raw, 40, end)
    place = (start, min(start + length, 1 << 64), offset)
    found.order.append(Mapped(when, pid, *place, path, "", 0, not misc & _MISC_DATA, tid))


def _mmap2(found: Sideband, raw: bytes, misc: int, when: int, end: int, trailer: _Trailer) -> None:
    pid, tid, start, length, offset = struct.unpack_from("<iiQQQ", raw, 8)
    if misc & _MISC_BUILD_ID:
        build_id, inode = raw[44 : 44 + min(raw[40], 20)].hex(), 0
    else:
        build_id, inode = "", _word(raw, 48)
    (protection,) = struct.unpack_from("<I", raw, 64)
    place = (start, min(start + length, 1 << 64), offset)
    is_code = bool(protection & _EXECUTABLE)
    found.order.append(Mapped(when, pid, *place, _text(raw, 72, end), build_id, inode, is_code, tid))


def _comm(found: Sideband, raw: bytes, misc: int, when: int, end: int, trailer: _Trailer) -> None:
    pid, tid = struct.unpack_from("<ii", raw, 8)
    found.order.append(Named(when, pid, tid, _text(raw, 16, end), bool(misc & MISC_EXEC)))


def _fork(found: Sideband, raw: bytes, misc: int, when: int, end: int, trailer: _Trailer) -> None:
    pid, parent, tid, parent_tid = struct.unpack_from("<iiii", raw, 8)
    found.order.append(Forked(when, pid, parent, tid, parent_tid, not misc & MISC_EXEC))


def _lost(found: Sideband, raw: bytes, misc: int, when: int, end: int, trailer: _Trailer) -> None:
    found.lost += struct.unpack_from("<Q", raw, 16)[0]


def _lost_samples(found: Sideband, raw: bytes, misc: int, when: int, end: int, trailer: _Trailer) -> None:
    found.lost_samples += struct.unpack_from("<Q", raw, 8)[0]


def _throttle(found: Sideband, raw: bytes, misc: int, when: int, end: int, trailer: _Trailer) -> None:
    found.throttled += 1


def _ksymbol(found: Sideband, raw: bytes, misc: int, when: int, end: int, trailer: _Trailer) -> None:
    start, length, _, flags = struct.unpack_from("<QIHH", raw, 8)
    stop = min(start + length, 1 << 64)
    if flags & _KSYMBOL_GONE:
        found.order.append(Unmapped(when, start, stop))
    else:
        name = _text(raw, 24, end)
        found.order.append(Mapped(when, KERNEL_PID, start, stop, 0, name, "", 0, True))


def _switch(found: Sideband, raw: bytes, misc: int, when: int, end: int, trailer: _Trailer) -> None:
    if not trailer.time or not trailer.tid:
        return
    size = len(raw)
    tid = struct.unpack_from("<i", raw, size - 8 * trailer.tid + 4)[0]
    cpu = struct.unpack_from("<i", raw, size - 8 * trailer.cpu)[0] if trailer.cpu else NONE
    found.switches.append(Switched(when, tid, cpu, bool(misc & _SWITCH_OUT), bool(misc & _SWITCH_PREEMPTED)))


def _aux(found: Sideband, raw: bytes, misc: int, when: int, end: int, trailer: _Trailer) -> None:
    found.aux += 1


def _deferred(found: Sideband, raw: bytes, misc: int, when: int, end: int, trailer: _Trailer) -> None:
    found.deferred += 1


_READERS = {
    kinds.MMAP: _mmap,
    kinds.MMAP2: _mmap2,
    kinds.COMM: _comm,
    kinds.FORK: _fork,
    kinds.LOST: _lost,
    kinds.LOST_SAMPLES: _lost_samples,
    kinds.THROTTLE: _throttle,
    kinds.KSYMBOL: _ksymbol,
    kinds.SWITCH: _switch,
    kinds.SWITCH_CPU_WIDE: _switch,
    kinds.AUX: _aux,
    kinds.ITRACE_START: _aux,
    kinds.CALLCHAIN_DEFERRED: _deferred,
}
