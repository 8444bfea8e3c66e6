"""What lay at an address of a process at a time.

A process has one space for as long as nothing at an address was replaced by something else; files that are only added
change nothing for what was sampled before. As for perf, what was mapped stays until something takes its place: a
process that begins another program has the callers of the one before on its stack until that is there.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tailflame.model import NONE, FrameKind
from tailflame.model.stacks import Int64, UInt64
from tailflame.parse.perfdata.hashing import rows_of
from tailflame.parse.perfdata.sideband import KERNEL_PID, Forked, Mapped, Named, Unmapped

PIECES_LIMIT = 8_000_000
"""Mapped pieces that all spaces have together at most; about 100 bytes each."""
_WHOLE = (1 << 64) - 1
KERNEL = "[kernel.kallsyms]"

_KO = re.compile(r"([^/]*)\.ko(?:\.(?:xz|gz|zst))?$")
_JITTED = re.compile(r"(?:^|/)jitted-[^/]*\.so$")


class Image(NamedTuple):
    """A binary, or other code, that was mapped. path: as it is shown; address_is_offset: whether places in it are told
    as offsets in the file, else as addresses at run time."""

    path: str
    build_id: str = ""
    inode: int = 0
    kind: FrameKind = FrameKind.USER
    pid: int = NONE
    symbol: str = ""
    """The only function in it, where its name is that (a BPF program)."""


class _Piece(NamedTuple):
    end: int
    image: int
    bias: int
    """Address less the place in the image."""


@dataclass(slots=True)
class _Space:
    since: int
    starts: list[int] = field(default_factory=list)
    pieces: list[_Piece] = field(default_factory=list)

    def copy(self, since: int) -> _Space:
        return _Space(since, self.starts.copy(), self.pieces.copy())

    def replaces(self, start: int, end: int, image: int, bias: int) -> bool:
        """Whether something else lies there."""
        at = self._first(start)
        while at < len(self.starts) and self.starts[at] < end:
            piece = self.pieces[at]
            if piece.end > start and (piece.image, piece.bias) != (image, bias):
                return True
            at += 1
        return False

    def put(self, start: int, end: int, image: int, bias: int) -> None:
        """Puts an image there, over all that was; image -1: nothing."""
        first = self._first(start)
        last = bisect_left(self.starts, end)
        starts: list[int] = []
        pieces: list[_Piece] = []
        for begin, piece in zip(self.starts[first:last], self.pieces[first:last], strict=True):
            if begin < start:
                starts.append(begin)
                pieces.append(piece._replace(end=min(piece.end, start)))
        if image >= 0:
            starts.append(start)
            pieces.append(_Piece(end, image, bias))
        for begin, piece in zip(self.starts[first:last], self.pieces[first:last], strict=True):
            if piece.end > end:
                starts.append(max(begin, end))
                pieces.append(piece)
        self.starts[first:last] = starts
        self.pieces[first:last] = pieces

    def _first(self, start: int) -> int:
        return max(bisect_right(self.starts, start) - 1, 0)


class Spaces:
    """All address spaces of a recording. `images` are numbered."""

    def __init__(
        self, happened: Iterable[Mapped | Named | Forked | Unmapped], *, watch: Callable[[], None] = lambda: None
    ) -> None:
        self.images: list[Image] = []
        self.simplified = False
        """Whether there was too much to keep: then some addresses are those of a later moment."""
        self.mappings: list[Mapped] = []
        self._numbers: dict[Image, int] = {}
        self._of_pid: dict[int, list[_Space]] = {}
        self._all: list[_Space] = []
        self._index: dict[int, int] = {}
        self._pieces = 0
        for number, event in enumerate(happened):
            if not number & 0xFFF:
                watch()
            match event:
                case Mapped():
                    self._map(event)
                case Forked():
                    if event.pid != event.parent:
                        self._fork(event)
                case Unmapped():
                    self._put(KERNEL_PID, event.when, (event.start, event.end, NONE, 0))
        for spaces in self._of_pid.values():
            for space in spaces:
                self._index[id(space)] = len(self._all)
                self._all.append(space)

    def of(self, pids: Sequence[int], who: Int64, when: Int64) -> Int64:
        """The number of the space of process pids[who] at a time, of each sample; -1: nothing is known of it."""
        single = np.full(len(pids), NONE, np.int64)
        several: list[int] = []
        for code, number in enumerate(pids):
            spaces = self._of_pid.get(number, [])
            if spaces:
                single[code] = self._index[id(spaces[0])]
                if len(spaces) > 1:
                    several.append(code)
        found = single[who]
        for code, rows in rows_of(who, several):
            since = np.array([space.since for space in self._of_pid[pids[code]]], np.int64)
            found[rows] += np.maximum(np.searchsorted(since, when[rows], side="right") - 1, 0)
        return found

    def of_kernel(self, when: Int64) -> Int64:
        """The same of the kernel."""
        spaces = self._of_pid.get(KERNEL_PID, [])
        if not spaces:
            return np.full(len(when), NONE, np.int64)
        since = np.array([space.since for space in spaces], np.int64)
        later = (
            np.maximum(np.searchsorted(since, when, side="right") - 1, 0) if len(spaces) > 1 else np.zeros_like(when)
        )
        return later + self._index[id(spaces[0])]

    def lookup(self, space: Int64, address: UInt64) -> tuple[Int64, UInt64]:
        """(image, place in it) of each address in a space; image -1 where nothing is mapped."""
        image = np.full(len(space), NONE, np.int64)
        place = address.copy()
        order = np.argsort(space, kind="stable")
        edges = np.flatnonzero(np.diff(space[order], prepend=-2, append=len(self._all) + 1))
        for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            rows = order[begin:end]
            number = int(space[rows[0]])
            if number < 0 or not self._all[number].starts:
                continue
            kept = self._all[number]
            starts = np.array(kept.starts, np.uint64)
            ends = np.array([piece.end - 1 for piece in kept.pieces], np.uint64)
            images = np.array([piece.image for piece in kept.pieces], np.int64)
            biases = np.array([piece.bias & _WHOLE for piece in kept.pieces], np.uint64)
            here = address[rows]
            at = np.searchsorted(starts, here, side="right") - 1
            inside = (at >= 0) & (here <= ends[at])
            image[rows[inside]] = images[at[inside]]
            place[rows[inside]] = here[inside] - biases[at[inside]]
        return image, place

    def _map(self, event: Mapped) -> None:
        if event.end <= event.start or event.end > _WHOLE + 1 or event.start > _WHOLE:
            return
        self.mappings.append(event)
        image, bias = _image(event)
        number = self._numbers.setdefault(image, len(self._numbers))
        if number == len(self.images):
            self.images.append(image)
        end = event.end
        if image.kind is FrameKind.KERNEL and image.path == KERNEL:
            # perf tells where the kernel's text ends, but not what it runs from elsewhere; modules come behind it.
            above = [space.starts for space in self._of_pid.get(KERNEL_PID, [])[-1:]]
            place = bisect_left(above[0], end) if above else 0
            end = above[0][place] if above and place < len(above[0]) else _WHOLE
        self._put(event.pid, event.when, (event.start, end, number, bias))

    def _put(self, pid: int, when: int, piece: tuple[int, int, int, int]) -> None:
        spaces = self._of_pid.setdefault(pid, [_Space(0)])
        if spaces[-1].since != when and not self.simplified and spaces[-1].replaces(*piece):
            self._begin(pid, spaces[-1].copy(when))
        spaces[-1].put(*piece)
        self._pieces += 1

    def _begin(self, pid: int, space: _Space) -> None:
        spaces = self._of_pid.setdefault(pid, [])
        self._pieces += len(space.starts)
        if self._pieces > PIECES_LIMIT:
            self.simplified = True
        if spaces and (spaces[-1].since == space.since or self.simplified):
            space.since = spaces[-1].since
            spaces[-1] = space
        else:
            spaces.append(space)

    def _fork(self, event: Forked) -> None:
        parent = self._of_pid.get(event.parent)
        if not event.copies:
            return
        if self._pieces > PIECES_LIMIT:
            self.simplified = True
            return
        if parent is None:
            if event.pid in self._of_pid:
                self._begin(event.pid, _Space(event.when))
            return
        self._begin(event.pid, parent[-1].copy(event.when))


def _image(event: Mapped) -> tuple[Image, int]:
    """What perf takes the mapped file for (map__new in tools/perf/util/map.c), and its bias."""
    path = event.path.removesuffix(" (deleted)")
    if event.pid == KERNEL_PID:
        if path.startswith("["):
            return Image(path[: path.find("]") + 1] or path, event.build_id, kind=FrameKind.KERNEL), 0
        if match := _KO.search(path):
            return Image(f"[{match[1].replace('-', '_')}]", event.build_id, kind=FrameKind.KERNEL), 0
        if "/" in path:
            return Image(path, event.build_id, kind=FrameKind.KERNEL), 0
        return Image(path, kind=FrameKind.KERNEL, symbol=path), 0
    bias = event.start - event.offset
    if path.startswith("[vdso"):
        return Image("[vdso]"), event.start
    anonymous = path.startswith(("//anon", "/dev/zero", "/anon_hugepage", "[stack", "/SYSV")) or path == "[heap]"
    if anonymous:
        if event.is_code:
            return Image(f"/tmp/perf-{event.pid}.map", kind=FrameKind.JIT, pid=event.pid), 0
        return Image(path), 0
    return Image(path, event.build_id, event.inode), bias
