"""A perf.data file while it grows: exact counts from its record headers, and a whole file from a cut one.

The file is a header of 104 bytes, then attributes, then from `data.offset` on a row of records, each with an 8-byte
header `u32 type, u16 misc, u16 size`. perf writes the length of that row into the header only when it ends well.
https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/tools/perf/Documentation/perf.data-file-format.txt
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct("<8sQQQQQQ")  # magic, header size, attr size, attrs {offset, size}, data {offset, size}
_RECORD = struct.Struct("<IHH")
_U64 = struct.Struct("<Q")
_TASK = struct.Struct("<III")  # of a fork or an exit: pid, parent's pid, tid
_MAGIC = b"PERFILE2"
_DATA_SIZE_AT = 48
_FEATURES_AT = 72

_RECORD_LOST = 2
_RECORD_EXIT = 4
_RECORD_FORK = 7
_RECORD_SAMPLE = 9
_RECORD_LOST_SAMPLES = 13
_RECORD_AUXTRACE = 71
_RECORD_COMPRESSED = (81, 83)
_READ_INSIDE = (_RECORD_LOST, _RECORD_EXIT, _RECORD_FORK, _RECORD_LOST_SAMPLES, _RECORD_AUXTRACE)
_INSIDE = 24
"""Bytes of these that are looked at."""

_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Counts:
    """What stands in the file so far. `exact` is False where records are compressed and cannot be counted."""

    bytes: int = 0
    samples: int = 0
    lost: int = 0
    exact: bool = True


class GrowingPerfFile:
    """Counts the samples of a perf.data file as it grows; each look reads only the headers of what is new."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = 0
        """Where the next record begins; 0 until the header stands."""
        self._inode = 0
        self._samples = 0
        self._lost = 0
        self._exact = True
        self._forked: set[int] = set()
        self._exited: set[int] = set()

    @property
    def not_ended(self) -> frozenset[int]:
        """Processes that were started by what is recorded and of which no end stands in the file."""
        return frozenset(self._forked - self._exited)  # records of two processors stand in no order

    @property
    def offset(self) -> int:
        """The end of the last whole record seen, in bytes from the start of the file."""
        return self._at

    def look(self) -> Counts:
        """The counts up to the last whole record. A file that is not there yet counts nothing."""
        try:
            with self.path.open("rb", buffering=0) as file:
                fd = file.fileno()
                status = os.fstat(fd)
                size = status.st_size
                if status.st_ino != self._inode or size < self._at:  # a new file in the place of an old one
                    self._inode, self._at, self._samples, self._lost, self._exact = status.st_ino, 0, 0, 0, True
                    self._forked, self._exited = set(), set()
                begin, end = _records(os.pread(fd, _HEADER.size, 0), size)
                if begin:
                    self._at = self._at or begin
                    self._walk(fd, end)
        except FileNotFoundError:
            return Counts()
        return Counts(size, self._samples, self._lost, self._exact)

    def _walk(self, fd: int, end: int) -> None:
        """Records may be longer than a chunk: then only their header is read."""
        while end - self._at >= _RECORD.size:
            chunk = os.pread(fd, min(_CHUNK, end - self._at), self._at)
            at = 0
            while len(chunk) - at >= _RECORD.size:
                kind, _, length = _RECORD.unpack_from(chunk, at)
                if kind in _READ_INSIDE and len(chunk) - at < min(length, _INSIDE):
                    break  # the next chunk begins with this record
                whole = length + _trailing(chunk, at, kind)
                if length < _RECORD.size or self._at + whole > end:
                    return  # perf has not finished writing this one
                if kind == _RECORD_SAMPLE:
                    self._samples += 1
                elif kind == _RECORD_LOST:
                    self._lost += _U64.unpack_from(chunk, at + 16)[0]
                elif kind == _RECORD_LOST_SAMPLES:
                    self._lost += _U64.unpack_from(chunk, at + 8)[0]
                elif kind in (_RECORD_FORK, _RECORD_EXIT):
                    self._note_task(kind, *_TASK.unpack_from(chunk, at + 8))
                elif kind in _RECORD_COMPRESSED:
                    self._exact = False
                at += whole
                self._at += whole
            if at == 0:
                return

    def _note_task(self, kind: int, pid: int, parent: int, tid: int) -> None:
        """Threads are told of in the same way; a process has ended when its first thread has."""
        if kind == _RECORD_FORK and pid != parent:
            self._forked.add(pid)
        elif kind == _RECORD_EXIT and pid == tid:
            self._exited.add(pid)


def _trailing(chunk: bytes, at: int, kind: int) -> int:
    """An AUXTRACE record is followed by as much trace data as its first field says."""
    return int(_U64.unpack_from(chunk, at + 8)[0]) if kind == _RECORD_AUXTRACE else 0


def _records(head: bytes, size: int) -> tuple[int, int]:
    """Where the records begin and end in a file of `size`; (0, 0) where there is no header yet.

    Once perf has finished, feature sections follow the records: they are not walked.
    """
    if len(head) < _HEADER.size:
        return 0, 0
    magic, _, _, _, _, offset, length = _HEADER.unpack(head)
    if magic != _MAGIC:
        return 0, 0
    return offset, min(size, offset + length) if length else size


def is_finished(path: Path) -> bool:
    """Whether perf ended well: it has written the length of the records into the header."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
    except FileNotFoundError:
        return False
    return len(head) == _HEADER.size and head.startswith(_MAGIC) and _HEADER.unpack(head)[6] > 0


def mend(path: Path) -> bool:
    """Make a file readable that perf could not finish: it was killed, or the disk is full. False if nothing to mend.

    What follows the last whole record is cut off, the length of the records is written into the header, and the
    bits that announce feature sections are cleared, because those are written at the end alone.
    """
    if is_finished(path):
        return False
    file = GrowingPerfFile(path)
    file.look()
    if not file.offset:
        return False
    with path.open("r+b") as out:
        offset, _ = _records(out.read(_HEADER.size), 0)
        if file.offset <= offset:
            return False
        out.truncate(file.offset)
        out.seek(_DATA_SIZE_AT)
        out.write(_U64.pack(file.offset - offset))
        out.seek(_FEATURES_AT)
        out.write(bytes(32))
    return True
