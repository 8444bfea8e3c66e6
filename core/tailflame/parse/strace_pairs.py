"""Puts together calls whose two lines stand apart: "read(3,  <unfinished ...>" and "<... read resumed>"x", 1) = 1".

A call has the row of its first line. Where its second one comes in a later block, what that says is kept as a late
answer and put into the row at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from tailflame.model.stacks import Int32, Int64
from tailflame.parse.strace_columns import Lines
from tailflame.parse.strace_line import Kind


@dataclass(slots=True)
class Waiting:
    """A call that has not come back: its row, and its first line."""

    row: int
    text: bytes


@dataclass(slots=True)
class Late:
    """Second lines of calls of earlier blocks: their rows, and what they say."""

    row: list[int] = field(default_factory=list)
    line: list[int] = field(default_factory=list)
    text: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Paired:
    """opened, closed: line numbers of calls with both lines in this block. orphans: second lines without a first.
    left: first lines without a second, at most one for each thread, by thread.
    """

    opened: Int64
    closed: Int64
    orphans: Int64
    late: Late
    left: dict[int, int]


class Pairing:
    """What waits, from block to block, by thread."""

    def __init__(self) -> None:
        self.waiting: dict[int, Waiting] = {}

    def pair(self, lines: Lines, thread: Int32, takeovers: Iterable[tuple[int, int, int]]) -> Paired:
        """thread: a small number for the thread of each line. takeovers: (line, thread, thread whose call it takes
        over), in the order of lines, by their own numbers.
        """
        halves = np.flatnonzero((lines.kind == Kind.OPENED) | (lines.kind == Kind.CLOSED))
        moved = list(takeovers)
        if moved:
            return self._one_by_one(lines, halves, moved)
        tid = lines.tid[halves]
        of = thread[halves] + 1
        order = np.argsort(of.astype(np.uint16) if len(of) and int(of.max()) < 2**16 else of, kind="stable")
        half, tid = halves[order], tid[order]
        closed = lines.kind[half] == Kind.CLOSED
        same = np.zeros(len(half), bool)
        same[1:] = tid[1:] == tid[:-1]
        answered = closed & same
        answered[1:] &= ~closed[:-1]
        at = np.flatnonzero(answered)
        first_of_thread = np.flatnonzero(closed & ~same)
        late, lost = Late(), []
        for which in first_of_thread.tolist():
            waiting = self.waiting.pop(int(tid[which]), None)
            if waiting is None:
                lost.append(int(half[which]))
            else:
                late.row.append(waiting.row)
                late.line.append(int(half[which]))
                late.text.append(waiting.text)
        twice = half[closed & same & ~answered]
        orphans = np.sort(np.concatenate((np.array(lost, dtype=np.int64), twice)))
        last = np.ones(len(half), bool)
        last[:-1] = tid[1:] != tid[:-1]
        left = {int(tid[i]): int(half[i]) for i in np.flatnonzero(last & ~closed)}
        return Paired(half[at - 1], half[at], orphans, late, left)

    def _one_by_one(self, lines: Lines, halves: Int64, moved: list[tuple[int, int, int]]) -> Paired:
        """ "+++ superseded by execve in pid N +++": the call that thread N waits in goes on in the leader."""
        opened: list[int] = []
        closed: list[int] = []
        orphans: list[int] = []
        late = Late()
        here: dict[int, int] = {}
        steps: list[tuple[int, int, int]] = [(int(line), -1, -1) for line in halves]
        for line, tid, other in sorted(steps + moved):
            if other >= 0:
                if other in here:
                    here[tid] = here.pop(other)
                    self.waiting.pop(tid, None)
                elif other in self.waiting:
                    self.waiting[tid] = self.waiting.pop(other)
                    here.pop(tid, None)
                continue
            tid = int(lines.tid[line])
            if lines.kind[line] == Kind.OPENED:
                here[tid] = line
            elif tid in here:
                opened.append(here.pop(tid))
                closed.append(line)
            elif (waiting := self.waiting.pop(tid, None)) is not None:
                late.row.append(waiting.row)
                late.line.append(line)
                late.text.append(waiting.text)
            else:
                orphans.append(line)
        return Paired(_numbers(opened), _numbers(closed), _numbers(orphans), late, here)


def answer(lines: Lines, paired: Paired) -> None:
    """Puts what second lines say into the first ones of the same block."""
    to, of = paired.opened, paired.closed
    lines.duration_s[to] = lines.duration_s[of]
    lines.error[to] = lines.error[of]
    lines.returned[to] = lines.returned[of]
    lines.leaf[to] = lines.leaf[of]
    _take_place(lines.fd, lines.place, to, lines.fd[of], lines.place[of])


def _take_place(fd: Int32, place: Int32, to: Int64, new_fd: Int32, new_place: Int32) -> None:
    """A descriptor that came back stands for a call that was about none; it is better than the path that was asked."""
    taken = (new_fd >= 0) & (fd[to] < 0)
    fd[to[taken]] = new_fd[taken]
    place[to[taken]] = new_place[taken]


@dataclass(slots=True, eq=False)
class LateAnswers:
    """What is still to be put into rows of earlier blocks."""

    _parts: list[tuple[Int64, Lines, Int64]] = field(default_factory=list)

    def add(self, lines: Lines, late: Late) -> None:
        if not late.row:
            return
        of = np.array(late.line, dtype=np.int64)
        part = Lines.of(lines.start[of], lines.end[of])
        for name in ("duration_s", "error", "returned", "leaf", "fd", "place"):
            getattr(part, name)[:] = getattr(lines, name)[of]
        self._parts.append((np.array(late.row, dtype=np.int64), part, of))

    def put(self, columns: dict[str, Int64]) -> None:
        """Into the columns of all rows."""
        for to, part, _of in self._parts:
            for name in ("duration_s", "error", "returned", "leaf"):
                if name in columns:
                    columns[name][to] = getattr(part, name)
            _take_place(columns["fd"], columns["place"], to, part.fd, part.place)


def _numbers(values: list[int]) -> Int64:
    return np.array(values, dtype=np.int64)
