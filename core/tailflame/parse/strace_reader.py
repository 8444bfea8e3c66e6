"""Reads a strace log block by block into columns: the usual lines at once, the others one by one."""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from tailflame.errors import ParseError
from tailflame.model.stacks import Int32, Int64, readonly
from tailflame.model.syscalls import SyscallTrace
from tailflame.parse.source import Source
from tailflame.parse.strace_ahead import read_ahead
from tailflame.parse.strace_calls import FORKS
from tailflame.parse.strace_columns import Layout, Lines, Tables, cut, padded
from tailflame.parse.strace_escapes import name_of, unescaped
from tailflame.parse.strace_kept import MOST_LINE, KeptTexts
from tailflame.parse.strace_line import LEADER, TIME, Kind, Line, read_line
from tailflame.parse.strace_pairs import LateAnswers, Paired, Pairing, Waiting, answer
from tailflame.parse.strace_summary import is_heading, is_second_heading
from tailflame.parse.strace_threads import ThreadTable
from tailflame.units import count

BLOCK = 8 * 1024 * 1024
"""Large: each step on arrays lets the other thread run, and waits for it afterwards."""
ROWS_LIMIT = 200_000_000
"""Calls: 8 GB of columns. A log of so many is larger than 15 GB."""
EVENTS_LIMIT = 20_000
STACKS_LIMIT = 2_000_000
_TABLE_LINES = 5_000
_LOOKED_AT = 400
_HALF_DAY = 12 * 3600.0
_ATTACHED = re.compile(r"strace: Process \d+ attached(?: with \d+ threads)?\s*$")
_NOTICE = re.compile(r"(?:\[pid +\d+\] )?(?:strace: |Process \d+ (?:attached|detached|suspended|resumed))")
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')
_COLUMNS = (
    ("call", "name", np.int32),
    ("start_s", "start_s", np.float64),
    ("duration_s", "duration_s", np.float64),
    ("thread", "", np.int32),
    ("error", "error", np.int32),
    ("fd", "fd", np.int32),
    ("place", "place", np.int32),
    ("returned", "returned", np.uint8),
    ("leaf", "leaf", np.int32),
)


@dataclass(slots=True)
class Odd:
    """Lines that are none of strace's."""

    number: int = 0
    first: int = 0
    text: str = ""

    def add(self, line: int, text: str) -> None:
        if not self.number:
            self.first, self.text = line, text[:80]
        self.number += 1


@dataclass(slots=True)
class LogReader:
    """Everything that one log says. `read` once, then ask."""

    source: Source
    threads: ThreadTable = field(default_factory=ThreadTable)
    tables: Tables = field(default_factory=Tables.named)
    odd: Odd = field(default_factory=Odd)
    layout: Layout | None = None
    command: tuple[str, ...] = ()
    table: list[str] = field(default_factory=list)
    """The lines of the table that -C leaves at the end."""
    stacks: list[tuple[tuple[str, str], ...]] = field(default_factory=list)
    rows: int = 0
    lines: int = 0
    _texts: KeptTexts = field(default_factory=KeptTexts)
    _pairing: Pairing = field(default_factory=Pairing)
    _late: LateAnswers = field(default_factory=LateAnswers)
    _pieces: list[dict[str, Int64]] = field(default_factory=list)
    _events: list[tuple[float, int, str]] = field(default_factory=list)
    _stack_numbers: dict[tuple[tuple[str, str], ...], int] = field(default_factory=dict)
    _in_table: bool = False
    _held: str = ""
    _clock_s: float = 0.0
    _last_s: float = math.nan
    _days: int = 0
    _modes: dict[int, str] = field(default_factory=dict)
    _forking: dict[int, bool] = field(default_factory=dict)
    _paths: dict[int, str] = field(default_factory=dict)

    def read(self) -> None:
        """Raises ParseError where no line is a system call."""
        with closing(self._read_blocks()) as blocks:
            for text, lines in blocks:
                self._take(text, lines)
                self.lines += len(lines)
        if not self.rows and not self.table:
            self._refuse()

    def _refuse(self) -> None:
        where = f": line {self.odd.first} is none: {self.odd.text!r}" if self.odd.number else ""
        raise ParseError(
            f"{self.source.name} holds no system call of strace{where}.",
            source=self.source.name,
            line=self.odd.first or None,
            advice="Record it with: strace -f -ttt -T -yy -o FILE …",
        )

    def _read_blocks(self) -> Generator[tuple[bytes, Lines]]:
        """(block, lines), the usual lines read where the log's layout is a usual one."""
        blocks = self._blocks()
        if (first := next(blocks, None)) is None:
            return
        self.layout = layout_of(first)
        every = chain((first,), blocks)
        if self.layout.is_fast:
            yield from read_ahead(every, self.layout, self.tables)
        else:
            yield from ((padded(block), cut(block)) for block in every)

    def _blocks(self) -> Iterator[bytes]:
        """Whole lines; the lines of one stack are never in two blocks."""
        pieces: list[bytes] = []
        held = 0
        for piece in self.source.byte_blocks(BLOCK):
            pieces.append(piece)
            held += len(piece)
            if held < BLOCK // 2:
                continue
            block = b"".join(pieces)
            end = _before_stack(block)
            pieces, held = [block[end:]], len(block) - end
            yield block[:end]
        if held:
            yield b"".join(pieces)

    # One block

    def _take(self, block: bytes, lines: Lines) -> None:
        slow: dict[int, Line] = {}
        takeovers: list[tuple[int, int, int]] = []
        modes: list[tuple[int, int, str]] = []
        owner = -1
        frames: list[tuple[str, str]] = []
        for at in np.flatnonzero(~lines.fast).tolist():
            line = self._read_slow(block, lines, at)
            if line is None:
                continue
            if line.kind is Kind.FRAME:
                frames.append((line.text, line.module))
                if owner < 0:
                    owner = at - 1
                if at + 1 >= len(lines) or lines.fast[at + 1] or not block.startswith(b" > ", int(lines.start[at + 1])):
                    if owner >= 0:
                        lines.leaf[owner] = self._stack(tuple(frames))
                    owner, frames = -1, []
                continue
            slow[at] = line
            self._put(line, lines, at)
            if line.superseded >= 0:
                takeovers.append((at, line.tid, line.superseded))
            if line.mode:
                modes.append((at, line.tid, line.mode))
        if self.layout is not None and self.layout.clock:
            self._roll_over(lines)
        self._apply_modes(lines, modes)
        self._name_threads(block, lines, slow)
        thread = self.threads.number(lines.tid)
        paired = self._pairing.pair(lines, thread, takeovers)
        answer(lines, paired)
        self._number(block, lines, thread, paired)
        self._programs(block, lines)
        for at, line in slow.items():
            if line.kind is Kind.EVENT and len(self._events) < EVENTS_LIMIT:
                self._events.append((float(lines.start_s[at]), int(thread[at]), line.text))

    def _read_slow(self, block: bytes, lines: Lines, at: int) -> Line | None:
        """The line, or None where it is no line of its own."""
        text = block[lines.start[at] : lines.end[at]].decode("utf-8", "backslashreplace")
        if self._in_table:
            if read_line(text).kind is Kind.OTHER:
                if len(self.table) < _TABLE_LINES:
                    self.table.append(text)
                self._in_table = "total" not in text.split()
                return None
            self._in_table = False  # it was cut short, and another log was put behind it
        # strace's own words go into the middle of lines where it writes to a terminal:
        # "clone(child_stack=NULL, flags=CLONE_VMstrace: Process 4711 attached", and the rest of it on the next line.
        if (attached := _ATTACHED.search(text)) is not None:
            self._held += text[: attached.start()]
            return None
        if self._held:
            if read_line(text).kind is Kind.OTHER:
                text = self._held + text
            self._held = ""
        if not text.strip() or _NOTICE.match(text) is not None:
            return None
        if is_heading(text):
            self.table.append(text)
            self._in_table = True
            return None
        if is_second_heading(text):
            self.table.append(text)
            return None
        line = read_line(text)
        if line.kind is Kind.OTHER and not line.mode:
            self.odd.add(self.lines + at + 1, text)
            return None
        if line.stamp_ns >= 0 and self.layout is not None:
            line.start_s = (line.stamp_ns - self.layout.begin_ns) / 1e9
        if not math.isnan(line.since_s):
            self._clock_s += line.since_s
            if math.isnan(line.start_s):
                line.start_s = self._clock_s
        return line

    def _put(self, line: Line, lines: Lines, at: int) -> None:
        tables = self.tables
        lines.kind[at] = line.kind
        lines.tid[at] = line.tid
        lines.start_s[at] = line.start_s
        if line.name:
            lines.name[at] = tables.names.number(line.name)
        lines.duration_s[at] = line.duration_s
        lines.error[at] = tables.errors.number(line.error) if line.error else -1
        lines.fd[at] = line.fd
        lines.place[at] = tables.places.number(line.place) if line.place else -1
        lines.returned[at] = line.returned
        if line.name in FORKS:
            if line.kind is not Kind.CLOSED:
                self._forking[line.tid] = "CLONE_THREAD" in line.text
            if line.returned and line.value is not None and line.value > 0:
                self.threads.forked(line.tid, line.value, thread=self._forking.get(line.tid, False))

    def _stack(self, frames: tuple[tuple[str, str], ...]) -> int:
        number = self._stack_numbers.get(frames)
        if number is None:
            if len(self.stacks) >= STACKS_LIMIT:
                return -1
            number = self._stack_numbers[frames] = len(self.stacks)
            self.stacks.append(frames)
        return number

    def _roll_over(self, lines: Lines) -> None:
        """A clock that goes back by more than half a day has passed midnight."""
        known = np.flatnonzero(np.isfinite(lines.start_s))
        if not len(known):
            return
        times = lines.start_s[known]
        before = np.concatenate(([self._last_s if math.isfinite(self._last_s) else times[0]], times[:-1]))
        days = self._days + np.cumsum((before - times) > _HALF_DAY)
        self._last_s, self._days = float(times[-1]), int(days[-1])
        lines.start_s[known] = times + 86400.0 * days

    def _apply_modes(self, lines: Lines, modes: list[tuple[int, int, str]]) -> None:
        """Calls of a process that runs in another mode than the machine's own are other calls: "getppid (32 bit)"."""
        if not modes and not self._modes:
            return
        for tid in {tid for _at, tid, _mode in modes} | set(self._modes):
            mode, begin = self._modes.get(tid, ""), 0
            changes = [(at, new) for at, of, new in modes if of == tid]
            for at, new in [*changes, (len(lines), mode)]:
                if mode:
                    rows = begin + np.flatnonzero((lines.tid[begin:at] == tid) & (lines.name[begin:at] >= 0))
                    for row in rows.tolist():
                        name = self.tables.names.texts[lines.name[row]]
                        lines.name[row] = self.tables.names.number(f"{name} ({mode})")
                begin = at
                mode = "" if new == "64 bit" else new
            if changes:
                self._modes[tid] = "" if changes[-1][1] == "64 bit" else changes[-1][1]

    def _name_threads(self, block: bytes, lines: Lines, slow: dict[int, Line]) -> None:
        """Takes the last name of each thread."""
        named = np.flatnonzero(lines.comm_end > 0)
        if len(named):
            tids, first = np.unique(lines.tid[named][::-1], return_index=True)
            for tid, which in zip(tids.tolist(), (named[::-1][first]).tolist(), strict=True):
                head = block[lines.start[which] : lines.comm_end[which]]
                self.threads.call(tid, name_of(head.partition(b"<")[2].decode("utf-8", "backslashreplace")))
        if any(line.comm for line in slow.values()):
            tids, back = np.unique(lines.tid[::-1], return_index=True)
            last = dict(zip(tids.tolist(), (len(lines) - 1 - back).tolist(), strict=True))
            for at, line in slow.items():
                if line.comm and last[line.tid] == at:
                    self.threads.call(line.tid, name_of(line.comm))

    def _number(self, block: bytes, lines: Lines, thread: Int32, paired: Paired) -> None:
        """Gives rows to calls, and puts them with the others."""
        is_row = (lines.kind == Kind.CALL) | (lines.kind == Kind.OPENED)
        is_row[paired.orphans] = True
        # It began before the log did: at the time that it came back, less how long it took.
        taken = lines.duration_s[paired.orphans]
        lines.start_s[paired.orphans] -= np.where(np.isfinite(taken), taken, 0.0)
        at = np.flatnonzero(is_row)
        row_of = np.full(len(lines), -1, np.int64)
        row_of[at] = self.rows + np.arange(len(at))
        self.rows += len(at)
        if self.rows > ROWS_LIMIT:
            raise ParseError(
                f"{self.source.name} holds more than {count(ROWS_LIMIT)} system calls.",
                source=self.source.name,
                advice="Open a shorter part of it, or record fewer calls: strace -e trace=…",
            )
        closing = np.full(len(lines), -1, np.int64)
        closing[paired.opened] = paired.closed
        self._texts.offer(
            row_of[at],
            lines.name[at],
            lines.duration_s[at],
            lines.error[at],
            lambda which: _both(block, lines, int(at[which]), int(closing[at[which]])),
        )
        late = paired.late
        if late.row:
            of = np.array(late.line)
            self._texts.offer(
                np.array(late.row),
                lines.name[of],
                lines.duration_s[of],
                lines.error[of],
                lambda which: (late.text[which], _raw(block, lines, late.line[which])),
            )
            self._late.add(lines, late)
        for tid, line in paired.left.items():
            self._pairing.waiting[tid] = Waiting(int(row_of[line]), _raw(block, lines, line))
        columns = {name: getattr(lines, of)[at].astype(dtype) for name, of, dtype in _COLUMNS if of}
        columns["thread"] = thread[at]
        if not self.stacks:
            del columns["leaf"]
        self._pieces.append(columns)

    def _programs(self, block: bytes, lines: Lines) -> None:
        """Which program each process runs: by its last execve that may have worked."""
        for name in ("execve", "execveat"):
            if name not in self.tables.names.texts:
                continue
            number = self.tables.names.number(name)
            begun = (lines.kind == Kind.CALL) | (lines.kind == Kind.OPENED)
            for at in np.flatnonzero((lines.name == number) & begun & (lines.error < 0)).tolist():
                line = read_line(block[lines.start[at] : lines.end[at]].decode("utf-8", "backslashreplace"))
                if (path := _PATH.search(line.text)) is not None:
                    program = unescaped(path[1])
                    self.threads.execed(int(lines.tid[at]), program)
                    if not self.command:
                        self.command = _command(line.text) or (program,)

    # What came of it

    def trace(self) -> tuple[SyscallTrace, Int64 | None]:
        """(the calls, the stack of each where there are stacks)."""
        columns: dict[str, Int64] = {}
        for name, _of, dtype in reversed(_COLUMNS):
            if name == "leaf" and not self.stacks:
                continue
            parts = [
                piece.pop(name) if name in piece else np.full(len(piece["call"]), -1, dtype) for piece in self._pieces
            ]
            columns[name] = np.concatenate(parts) if parts else np.empty(0, dtype)
        self._late.put(columns)
        for waiting in self._pairing.waiting.values():
            self._texts.keep(waiting.row, (waiting.text,))
        leaf = columns.pop("leaf", None)
        slow, slow_text = self._texts.texts()
        kept: dict[str, Any] = {name: _frozen(column) for name, column in columns.items()}
        trace = SyscallTrace(
            names=tuple(self.tables.names.texts),
            errnos=tuple(self.tables.errors.texts),
            places=tuple(self.tables.places.texts),
            threads=self.threads.threads(),
            slow=readonly(slow, np.int32),
            slow_text=slow_text,
            events=tuple(self._events),
            epoch_ns=self.layout.begin_ns if self.layout is not None else 0,
            **kept,
        )
        return trace, leaf


def _frozen(column: Int64) -> Int64:
    column.flags.writeable = False
    return column


def _before_stack(block: bytes) -> int:
    """Where the last call begins, if stacks stand in the block: its own may go on in the next one."""
    if b"\n > " not in block[-BLOCK // 64 :]:
        return len(block)
    end = len(block)
    while begin := block.rfind(b"\n", 0, end - 1) + 1:
        if not block.startswith(b" > ", begin):
            return begin
        end = begin
    return len(block)


def _raw(block: bytes, lines: Lines, at: int) -> bytes:
    return block[lines.start[at] : min(lines.end[at], lines.start[at] + MOST_LINE)]


def _both(block: bytes, lines: Lines, at: int, closing: int) -> tuple[bytes, ...]:
    first = _raw(block, lines, at)
    return (first, _raw(block, lines, closing)) if closing >= 0 else (first,)


def _command(text: str) -> tuple[str, ...]:
    """The words of `"./demo", ["./demo", "--log"], 0x7ffe /* 35 vars */`; what strace cut short ends with "…"."""
    path = _PATH.search(text)
    at = text.find("[", path.end() if path is not None else 0)
    if at < 0:
        return ()
    words: list[str] = []
    for word in _PATH.finditer(text, at):
        if "]" in text[at : word.start()]:
            break  # the environment follows, where -v lists it
        at = word.end()
        cut = text.startswith("...", at)
        if cut and not words and path is not None and path[1].startswith(word[1]):
            words.append(unescaped(path[1]))  # a path is never cut
        else:
            words.append(f"{unescaped(word[1])}…" if cut else unescaped(word[1]))
    return tuple(words)


def layout_of(block: bytes) -> Layout:
    """How the file's lines begin and end, by the first of them."""
    shown: Layout | None = None
    timed = -1
    begin_ns = 0
    for raw in block[: 256 * 1024].split(b"\n")[:_LOOKED_AT]:
        text = raw.decode("utf-8", "backslashreplace")
        if text.startswith(" > "):
            continue
        line = read_line(text)
        if line.kind in (Kind.OTHER, Kind.FRAME):
            continue
        if shown is None and line.kind is not Kind.EVENT:
            leader = LEADER.match(text)
            assert leader is not None
            begin_ns = max(line.stamp_ns, 0)
            seconds = leader["unix"] or leader["s"] or ""
            shown = Layout(
                pid=leader["pid"] is not None,
                comm=leader["comm"] is not None,
                unix=leader["unix"] is not None,
                clock=leader["h"] is not None,
                digits=len(seconds.partition(".")[2]),
                after=leader["after"] is not None,
                number=leader["number"] is not None,
                address=leader["address"] is not None,
            )
            if leader["since"] is not None or leader["inner"] is not None:
                return Layout(timed=0, clock=shown.clock, begin_ns=begin_ns)  # one by one
        if (time := TIME.search(text)) is not None and shown is not None:
            timed = len(time[1].partition(".")[2])
            break
    if shown is None:
        return Layout(timed=0)
    return Layout(
        pid=shown.pid, comm=shown.comm, unix=shown.unix, clock=shown.clock, digits=shown.digits,
        after=shown.after, number=shown.number, address=shown.address, timed=timed, begin_ns=begin_ns,
    )  # fmt: skip
