"""The fields of all samples as columns, decoded at once: no step here is taken per sample.

A sample's fields stand one after another, in the order of perf_output_sample (kernel/events/core.c); which of them
there are, its event tells. Each is read at a place per sample that moves on, by as many words as the field takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tailflame.model import NONE
from tailflame.model.stacks import Bool, Int64, UInt64
from tailflame.parse.perfdata.attrs import Attr, Field
from tailflame.parse.perfdata.records import SAMPLE, Records

FORMAT_ENABLED, FORMAT_RUNNING, FORMAT_ID, FORMAT_GROUP, FORMAT_LOST = 1, 2, 4, 8, 16
_BRANCH_HW_INDEX, _BRANCH_COUNTERS = 1 << 17, 1 << 19
_TIME_LIMIT = np.uint64(1 << 62)
"""Nanoseconds: 146 years. What lies behind it is no time; perf itself takes all ones for none."""
_WORD = np.uint64(0xFFFF_FFFF)
_HALF = np.uint64(32)


@dataclass(slots=True, eq=False)
class Columns:
    """One entry per sample, in the order of the file.

    attr: row of the file's events (-1: none that is known); ip, addr, period: as recorded; pid, tid, cpu: -1 where the
    file does not tell; time_ns: -1 there; misc: the record's; chain_at and chain_size: the words of its call chain,
    context markers and all; raw_at and raw_size: bytes of a tracepoint's data; read_at and read_size: words of counter
    values; branch_at, branch_size: words and entries of a branch stack. more: further words, by the field they are of.
    damaged: whether its sizes do not fit into the record: it has no chain then.
    """

    attr: Int64
    ip: UInt64
    pid: Int64
    tid: Int64
    time_ns: Int64
    cpu: Int64
    period: UInt64
    misc: Int64
    chain_at: Int64
    chain_size: Int64
    raw_at: Int64
    raw_size: Int64
    read_at: Int64
    read_size: Int64
    branch_at: Int64
    branch_size: Int64
    damaged: Bool
    more: dict[Field, UInt64] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.attr)

    def at(self, rows: Int64) -> Columns:
        """Of the samples at `rows`."""
        names = [name for name in self.__slots__ if name != "more"]
        return Columns(
            **{name: getattr(self, name)[rows] for name in names},
            more={kind: column[rows] for kind, column in self.more.items()},
        )


def _empty(count: int) -> Columns:
    """Columns of one value each, which takes no memory; see _Cursor.put."""

    def all_of(value: int) -> Int64:
        return np.broadcast_to(np.int64(value), count)

    nothing = np.broadcast_to(np.uint64(0), count)
    return Columns(
        attr=all_of(NONE),
        ip=nothing,
        pid=all_of(NONE),
        tid=all_of(NONE),
        time_ns=all_of(NONE),
        cpu=all_of(NONE),
        period=np.broadcast_to(np.uint64(1), count),
        misc=all_of(0),
        chain_at=all_of(0),
        chain_size=all_of(0),
        raw_at=all_of(0),
        raw_size=all_of(0),
        read_at=all_of(0),
        read_size=all_of(0),
        branch_at=all_of(0),
        branch_size=all_of(0),
        damaged=np.broadcast_to(np.bool_(False), count),
    )


def decode(words: UInt64, records: Records, attrs: Sequence[Attr]) -> Columns:
    """The samples among `records`; these begin at whole words of `words`."""
    rows = records.rows(SAMPLE)
    start = records.at[rows] >> 3
    end = start + (records.size[rows] >> 3)
    columns = _empty(len(rows))
    columns.misc = records.misc[rows]
    columns.chain_at = start.copy()
    columns.attr = _events(words, start, end, attrs)
    for number in np.unique(columns.attr[columns.attr >= 0]).tolist():
        attr, mine = attrs[number], np.flatnonzero(columns.attr == number)
        if len(mine) == len(rows):
            _Cursor(words, start + 1, end, columns, None).read(attr)
        elif len(mine):
            _Cursor(words, start[mine] + 1, end[mine], columns, mine).read(attr)
    return columns


def id_position(attr: Attr) -> int:
    """At which word after the header a sample of the event names it; -1 where it does not."""
    if attr.has(Field.IDENTIFIER):
        return 0
    if not attr.has(Field.ID):
        return NONE
    return sum(attr.has(f) for f in (Field.IP, Field.TID, Field.TIME, Field.ADDR))


def _events(words: UInt64, start: Int64, end: Int64, attrs: Sequence[Attr]) -> Int64:
    """The event of each sample, by its id. Where samples carry none, they are all of the only event."""
    if not attrs:
        return np.full(len(start), NONE, np.int64)
    position = id_position(attrs[0])
    if position < 0 or not any(attr.ids for attr in attrs):
        return np.zeros(len(start), np.int64)
    at = start + 1 + position
    identity = words[np.minimum(at, len(words) - 1)]
    of_id = sorted((number, row) for row, attr in enumerate(attrs) for number in attr.ids)
    numbers = np.array([number for number, _ in of_id], np.uint64)
    owners = np.array([row for _, row in of_id], np.int64)
    place = np.minimum(np.searchsorted(numbers, identity), len(numbers) - 1)
    known = (numbers[place] == identity) & (at < end)
    # Id 0: the kernel opened it before perf could ask; perf takes the first event for it.
    return np.where(known, owners[place], np.where(identity == 0, 0, NONE if len(attrs) > 1 else 0))


class _Cursor:
    """A place in each of the samples of one event."""

    def __init__(self, words: UInt64, at: Int64, end: Int64, columns: Columns, rows: Int64 | None) -> None:
        self.words = words
        self.base = at
        self.ahead = 0
        """Words from `base` to the place."""
        self.sure = int((end - at).min())
        """Words that all samples are known to have left."""
        self.end = end
        self.columns = columns
        self.rows = rows
        self.bad = np.zeros(len(at), np.bool_)

    def put(self, name: str, values: UInt64 | Int64) -> None:
        """Fills the column `name` of the samples that are read."""
        if self.rows is None:
            setattr(self.columns, name, values)
            return
        column = getattr(self.columns, name)
        if not column.flags.writeable:
            column = column.copy()
            setattr(self.columns, name, column)
        column[self.rows] = values

    def of(self, name: str) -> Int64:
        """The column `name` of the samples that are read."""
        column: Int64 = getattr(self.columns, name)
        return column if self.rows is None else column[self.rows]

    def read(self, attr: Attr) -> None:
        if attr.has(Field.IDENTIFIER):
            self.word()
        if attr.has(Field.IP):
            self.put("ip", self.word())
        if attr.has(Field.TID):
            both = self.word()
            self.put("pid", (both & _WORD).astype(np.int32))
            self.put("tid", (both >> _HALF).astype(np.int32))
        if attr.has(Field.TIME):
            time = self.word()
            self.put("time_ns", np.where(time < _TIME_LIMIT, time, np.uint64((1 << 64) - 1)).astype(np.int64))
        for kind in (Field.ADDR, Field.ID, Field.STREAM_ID):
            self.keep(attr, kind)
        if attr.has(Field.CPU):
            self.put("cpu", (self.word() & _WORD).astype(np.int32))
        self.put("period", self.word() if attr.has(Field.PERIOD) else np.full(len(self.at), attr.rate, np.uint64))
        if attr.has(Field.READ):
            self.read_values(attr)
        if attr.has(Field.CALLCHAIN):
            size = self.count(1)
            self.put("chain_at", self.at)
            self.put("chain_size", size)
            self.skip(size)
        if attr.has(Field.RAW):
            self.put("raw_at", self.at * 8 + 4)
            size = (self.word() & _WORD).astype(np.int64)
            self.skip((size + 4 + 7 >> 3) - 1)
            self.put("raw_size", np.where(self.bad, 0, size))
        if attr.has(Field.BRANCH_STACK):
            entry = 4 if attr.branch_sample_type & _BRANCH_COUNTERS else 3
            size = self.count(3)
            if attr.branch_sample_type & _BRANCH_HW_INDEX:
                self.skip(np.ones(len(size), np.int64))
            self.put("branch_at", self.at)
            self.put("branch_size", size)
            self.skip(size * entry)
        if attr.has(Field.REGS_USER):
            self.registers(attr.regs_user)
        if attr.has(Field.STACK_USER):
            size = self.bytes()
            self.skip(size + (size > 0))
        if attr.has(Field.WEIGHT) or attr.has(Field.WEIGHT_STRUCT):
            self.keep(attr, Field.WEIGHT if attr.has(Field.WEIGHT) else Field.WEIGHT_STRUCT)
        for kind in (Field.DATA_SRC, Field.TRANSACTION):
            self.keep(attr, kind)
        if attr.has(Field.REGS_INTR):
            self.registers(attr.regs_intr)
        for kind in (Field.PHYS_ADDR, Field.CGROUP, Field.DATA_PAGE_SIZE, Field.CODE_PAGE_SIZE):
            self.keep(attr, kind)
        if attr.has(Field.AUX):
            self.skip(self.bytes())
        self.bad |= self.at > self.end
        if self.bad.any():
            self.put("damaged", self.bad)
            for name in ("chain_size", "read_size", "branch_size", "raw_size"):
                self.put(name, np.where(self.bad, 0, self.of(name)))
            # What stands behind the record is another's: chains follow one another (hashing.run_hashes).
            self.put("chain_at", np.where(self.bad, self.end, self.of("chain_at")))

    def word(self) -> UInt64:
        """The word at the place, 0 where the sample has ended; the place moves on."""
        if self.sure > 0:
            self.sure -= 1
            self.ahead += 1
            return self.words[self.ahead - 1 :][self.base]
        at = self.at
        inside = at < self.end
        if inside.all():
            found = self.words[at]
        else:
            self.bad |= ~inside
            found = np.where(inside, self.words[np.where(inside, at, 0)], np.uint64(0))
        self.ahead += 1
        return found

    @property
    def at(self) -> Int64:
        return self.base + self.ahead

    def keep(self, attr: Attr, kind: Field) -> None:
        if attr.has(kind):
            column = self.columns.more.setdefault(kind, np.zeros(len(self.columns), np.uint64))
            column[slice(None) if self.rows is None else self.rows] = self.word()

    def count(self, words_each: int) -> Int64:
        """A number of entries; 0, and the sample damaged, where they cannot all be there."""
        found = self.word()
        left = np.maximum(self.end - self.at, 0) // words_each
        lies = found > left.astype(np.uint64)
        self.bad |= lies
        return np.where(lies, 0, found.astype(np.int64))

    def bytes(self) -> Int64:
        """A size in bytes that stands before them, as words."""
        found = self.word()
        left = np.maximum(self.end - self.at, 0) << 3
        lies = found > left.astype(np.uint64)
        self.bad |= lies
        return np.where(lies, 0, found.astype(np.int64) + 7 >> 3)

    def skip(self, words: Int64) -> None:
        self.base = self.base + np.maximum(words, 0)
        self.sure = 0

    def registers(self, mask: int) -> None:
        has = self.word() != 0
        self.skip(has.astype(np.int64) * mask.bit_count())

    def read_values(self, attr: Attr) -> None:
        """read_format: the words are kept as they are; see counts.py."""
        begin = self.at
        kept = attr.read_format
        times = bool(kept & FORMAT_ENABLED) + bool(kept & FORMAT_RUNNING)
        each = 1 + bool(kept & FORMAT_ID) + bool(kept & FORMAT_LOST)
        if kept & FORMAT_GROUP:
            size = self.count(each)
            self.skip(times + size * each)
        else:
            self.skip(np.full(len(begin), times + each, np.int64))
        beyond = self.at > self.end
        self.bad |= beyond
        self.put("read_at", begin)
        self.put("read_size", np.where(beyond, 0, self.at - begin))
