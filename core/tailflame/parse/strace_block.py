"""A block of strace's log at once: all lines of the usual forms by arithmetic on arrays, the rest left for `read_line`.

What is read here is read as `strace_line` would read it: a line that is not quite of its form is left over, never
guessed at. Positions are found once for a block, as sorted arrays of where "(", "<", ">", "=" and quotes stand.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tailflame.model.stacks import Bool, Float64, Int32, Int64, UInt8, UInt64
from tailflame.parse.strace_bytes import (
    MASKS,
    PADDING,
    Interned,
    all_digits,
    digits_before,
    eight_digits,
    find_within,
    leading_number,
    mask,
    spread,
    word,
    words_of,
)
from tailflame.parse.strace_calls import BY_PATH, FORKS, NO_FD, NO_PLACE
from tailflame.parse.strace_line import Kind

PLACES_LIMIT = 200_000
OTHER_PLACES = "(other places)"
_LONGEST_NAME = 64
_LONGEST_ERROR = 32
_UNFINISHED = (word("<unfinis"), word("hed ...>"))
_RESUMED = word(" resumed")
_MINUS_ONE = word("-1 E")
_TWO_ZEROS = word("00")
_BLANKS = spread(32)


@dataclass(frozen=True, slots=True)
class Layout:
    """What stands before the calls of a file, as its first lines have it.

    clock: -ttt or -tt; digits: behind its seconds; 0 for -t. timed: digits of -T behind the seconds, -1 without it.
    """

    pid: bool = False
    comm: bool = False
    unix: bool = False
    clock: bool = False
    digits: int = 6
    after: bool = False
    number: bool = False
    address: bool = False
    timed: int = 6

    @property
    def is_fast(self) -> bool:
        return (self.timed in (-1, 6, 9)) and (
            (self.unix and self.digits in (6, 9)) or (self.clock and self.digits in (0, 6)) or not self.has_time
        )

    @property
    def has_time(self) -> bool:
        return self.unix or self.clock


@dataclass(slots=True)
class Tables:
    """The texts of a file by number."""

    names: Interned = field(default_factory=Interned)
    errors: Interned = field(default_factory=Interned)
    places: Interned = field(default_factory=lambda: Interned(most=PLACES_LIMIT, rest=OTHER_PLACES))
    _words: Interned = field(default_factory=Interned)
    """The addresses of locks, as they stand in the file."""
    _word_places: list[int] = field(default_factory=list)
    _marks: dict[str, Bool] = field(default_factory=dict)

    def marked(self, what: str, those: frozenset[str]) -> Bool:
        """By number of a name, whether it is one of `those`."""
        known = self._marks.get(what)
        if known is None or len(known) < len(self.names.texts):
            known = self._marks[what] = np.array([name in those for name in self.names.texts], dtype=bool)
        return known

    def futexes(self, block: bytes, words: UInt64, start: Int64, length: Int64) -> Int64:
        numbers = self._words.of_spans(block, words, start, length)
        for text in self._words.texts[len(self._word_places) :]:
            self._word_places.append(self.places.number(f"futex {text}"))
        return np.array(self._word_places, dtype=np.int64)[numbers] if len(numbers) else numbers


@dataclass(slots=True, eq=False)
class Lines:
    """One row per line of a block, in its order; -1 and NaN as in SyscallTrace. start, end: bytes in the block.

    fast: read here; the others are still to be read. leaf: the stack of a call, where there are stacks.
    """

    start: Int64
    end: Int64
    kind: UInt8
    tid: Int64
    start_s: Float64
    name: Int32
    duration_s: Float64
    error: Int32
    fd: Int32
    place: Int32
    returned: Bool
    leaf: Int32
    fast: Bool
    comm_end: Int64
    """Where the name of the thread ends, 0 where it is not told."""

    @classmethod
    def of(cls, start: Int64, end: Int64) -> Lines:
        n = len(start)

        def none() -> Int32:
            return np.full(n, -1, np.int32)

        return cls(
            start=start,
            end=end,
            kind=np.zeros(n, np.uint8),
            tid=np.full(n, -1, np.int64),
            start_s=np.full(n, np.nan),
            name=none(),
            duration_s=np.full(n, np.nan),
            error=none(),
            fd=none(),
            place=none(),
            returned=np.zeros(n, bool),
            leaf=none(),
            fast=np.zeros(n, bool),
            comm_end=np.zeros(n, np.int64),
        )

    def __len__(self) -> int:
        return len(self.start)


def cut(block: bytes) -> Lines:
    """The lines of a block, each with its end in it; `block` has no padding yet."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == 10)
    starts = np.empty_like(ends)
    if len(ends):
        starts[0] = 0
        starts[1:] = ends[:-1] + 1
    return Lines.of(starts, ends)


class BlockReader:
    """Reads the usual lines of a block into its `Lines`."""

    def __init__(self, layout: Layout, tables: Tables) -> None:
        self._layout, self._tables = layout, tables

    def read(self, block: bytes, lines: Lines) -> None:
        """`block` ends in PADDING zeros."""
        reading = _Reading(block, lines, self._layout, self._tables)
        reading.leaders()
        reading.heads()
        reading.ends()
        reading.subjects()
        reading.put()


def _positions(bytes_: UInt8, byte: int) -> Int64:
    """Where `byte` stands, and behind it twice a place beyond all lines."""
    found = np.flatnonzero(bytes_ == byte)
    return np.concatenate((found, np.full(2, len(bytes_) - PADDING + 1, np.int64)))


class _Reading:
    """One block on its way. `row`: the lines that may still be of a usual form; all arrays beside are for those."""

    def __init__(self, block: bytes, lines: Lines, layout: Layout, tables: Tables) -> None:
        self.block, self.lines, self.layout, self.tables = block, lines, layout, tables
        self.bytes = np.frombuffer(block, np.uint8)
        self.words = words_of(block)
        self.opens = _positions(self.bytes, 60)
        self.closes = _positions(self.bytes, 62)
        self.shuts = _positions(self.bytes, 41)
        arrow = self.bytes[self.closes[:-2] - 1] == 45  # "->" closes nothing; at 0 it is the padding that is asked
        self.real_closes = np.concatenate((self.closes[:-2][~arrow], self.closes[-2:]))
        # Words are read up to 16 bytes before an end.
        self.row = np.flatnonzero(lines.end - lines.start > 20)
        self.start, self.end = lines.start[self.row], lines.end[self.row]
        n = len(self.row)
        self.at = self.start.copy()
        self.tid = np.full(n, -1, np.int64)
        self.time = np.full(n, np.nan)
        self.comm_end = np.zeros(n, np.int64)
        self.name = np.zeros(n, np.int64)
        self.paren = np.zeros(n, np.int64)
        self.opened = self.closed = np.zeros(n, bool)
        self.tail = self.end.copy()
        """Where the result ends."""
        self.duration = np.full(n, np.nan)
        self.error = np.full(n, -1, np.int64)
        self.fd = np.full(n, -1, np.int64)
        self.place = np.full(n, -1, np.int64)

    def _keep(self, keep: Bool) -> None:
        """The other lines are of no usual form."""
        if keep.all():
            return
        for name in (
            "row", "start", "end", "at", "tid", "time", "comm_end", "name", "paren", "opened", "closed", "tail",
            "duration", "error", "fd", "place",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name)[keep])

    def _is(self, at: Int64, byte: int) -> Bool:
        found: Bool = self.bytes[at] == byte
        return found

    # What stands before a call

    def leaders(self) -> None:
        if self.layout.pid:
            self._pids()
        if self.layout.unix:
            self._unix()
        elif self.layout.clock:
            self._clock()
        # "(+     0.000470) ", "[  59] ", "[00007fc9934b4ad7] ": looked at for their ends alone.
        for there, width, last in (
            (self.layout.after, 17, 15),
            (self.layout.number, 7, 5),
            (self.layout.address, 19, 17),
        ):
            if there:
                close = 41 if width == 17 else 93
                self._keep(self._is(self.at + last, close) & self._is(self.at + width - 1, 32))
                self.at = self.at + width
        self._keep(self.at + 4 < self.end)

    def _pids(self) -> None:
        word_ = self.words[self.start]
        digits = digits_before(word_)
        number, good = leading_number(word_, digits)
        self.tid = number
        if self.layout.comm:
            good &= self._is(self.start + digits, 60)
            closing = self.real_closes[np.searchsorted(self.real_closes, self.start)]
            good &= closing < self.end - 2
            self.comm_end = closing
            self.at = np.where(good, closing + 2, self.start)
        else:
            self.at = self.start + np.maximum(digits, 5) + 1
        good &= (digits <= 7) & self._is(self.at - 1, 32) & ~self._is(self.at, 32)
        self._keep(good)

    def _unix(self) -> None:
        at, digits = self.at, self.layout.digits
        first = self.words[at]
        tens, ones = self.bytes[at + 8].astype(np.int64) - 48, self.bytes[at + 9].astype(np.int64) - 48
        good = all_digits(first) & (tens >= 0) & (tens <= 9) & (ones >= 0) & (ones <= 9) & self._is(at + 10, 46)
        # The two bytes before six digits are read along, and overwritten.
        fraction = self.words[at + 9] & ~mask(2) | _TWO_ZEROS if digits == 6 else self.words[at + 11]
        good &= all_digits(fraction) & self._is(at + 11 + digits, 32)
        seconds = eight_digits(first) * 100 + tens * 10 + ones
        if digits == 6:
            self.time = seconds + eight_digits(fraction) / 1e6
        else:
            last = self.bytes[at + 19].astype(np.int64) - 48
            good &= (last >= 0) & (last <= 9)
            self.time = seconds + (eight_digits(fraction) * 10 + last) / 1e9
        self.at = at + 12 + digits
        self._keep(good)

    def _clock(self) -> None:
        at, digits = self.at, self.layout.digits
        parts = [self.bytes[at + k].astype(np.int64) - 48 for k in (0, 1, 3, 4, 6, 7)]
        good = self._is(at + 2, 58) & self._is(at + 5, 58)
        for part in parts:
            good &= (part >= 0) & (part <= 9)
        h, m, s = (parts[k] * 10 + parts[k + 1] for k in (0, 2, 4))
        self.time = h * 3600.0 + m * 60.0 + s
        if digits:
            fraction = self.words[at + 7] & ~mask(2) | _TWO_ZEROS
            good &= self._is(at + 8, 46) & all_digits(fraction)
            self.time = self.time + eight_digits(fraction) / 1e6
        width = 8 + (digits + 1 if digits else 0)
        good &= self._is(at + width, 32)
        self.at = at + width + 1
        self._keep(good)

    def _blank(self, start: Int64, stop: Int64) -> Bool:
        """Whether nothing but blanks stands there; strace fills up to column 40 with them."""
        left = stop - start
        good = (left > 0) & (left <= 48)
        for step in range(0, 48, 8):
            rows = np.flatnonzero(good & (left > step))
            if not len(rows):
                break
            bits = MASKS[np.minimum(left[rows] - step, 8)]
            good[rows] = (self.words[start[rows] + step] ^ _BLANKS) & bits == 0
        return good

    # Which call it is

    def heads(self) -> None:
        first = self.bytes[self.at]
        self.closed = (first == 60) & (self.words[self.at] & mask(5) == word("<... "))
        named = ((first >= 97) & (first <= 122)) | (first == 95)
        self._keep(self.closed | named)
        parens = _positions(self.bytes, 40)
        self.paren = parens[np.searchsorted(parens, self.at)]
        begin, stop = self.at, self.paren
        good = self.closed | (stop < self.end)
        if self.closed.any():
            closing = self.closes[np.searchsorted(self.closes, self.at)]
            resumed = closing < self.end
            safe = np.where(resumed & (closing >= 8), closing, 8)
            good &= ~self.closed | (resumed & (self.words[safe - 8] == _RESUMED))
            begin = np.where(self.closed, self.at + 5, begin)
            stop = np.where(self.closed, closing - 8, stop)
            self.paren = np.where(self.closed, closing, self.paren)
        length = stop - begin
        good &= (length > 0) & (length <= _LONGEST_NAME)
        begin, length = begin[good], length[good]
        self._keep(good)
        self.name = self.tables.names.of_spans(self.block, self.words, begin, length)
        texts = self.tables.names.texts
        # Forks tell which threads belong together: they are read in full.
        usable = np.array([text not in FORKS and is_name(text) for text in texts], dtype=bool)
        if len(self.name):
            self._keep(usable[self.name])

    # How it ended

    def ends(self) -> None:
        end = self.end
        self.opened = (self.words[end - 16] == _UNFINISHED[0]) & (self.words[end - 8] == _UNFINISHED[1])
        # "<... read resumed> <unfinished ...>) = ?" ends otherwise; both at once are none of strace's.
        good = ~(self.opened & self.closed)
        if self.layout.timed >= 0:
            good &= self._durations() | self.opened
        self._keep(good)
        self._results()

    def _durations(self) -> Bool:
        """Reads " <0.000123>"; where that stands."""
        digits, end = self.layout.timed, self.end
        opening = self.opens[np.maximum(np.searchsorted(self.opens, end) - 1, 0)]
        dot = end - 2 - digits
        length = dot - opening - 1
        good = self._is(end - 1, 62) & self._is(dot, 46) & (opening > self.at) & (length >= 1) & (length <= 7)
        opening = np.where(good, opening, 8)
        whole, are = leading_number(self.words[opening + 1], np.where(good, length, 1))
        good &= are & self._is(opening - 1, 32)
        if digits == 6:
            fraction = self.words[end - 9] & ~mask(2) | _TWO_ZEROS
            self.duration = whole + eight_digits(fraction) / 1e6
        else:
            fraction = self.words[end - 10]
            last = self.bytes[end - 2].astype(np.int64) - 48
            good &= (last >= 0) & (last <= 9)
            self.duration = whole + (eight_digits(fraction) * 10 + last) / 1e9
        good &= all_digits(fraction)
        self.tail = np.where(good, opening - 1, end)
        return good

    def _results(self) -> None:
        """Reads " = 281", " = -1 EAGAIN (Resource …)", " = 3</path>", " = 1 (in [3])" before the tail."""
        equals = np.flatnonzero(self.bytes == 61)
        equals = equals[(self.bytes[equals - 1] == 32) & (self.bytes[equals + 1] == 32)]
        equals = np.concatenate(([0], equals))
        last = equals[np.searchsorted(equals, self.tail) - 1]
        closing = self.shuts[np.maximum(np.searchsorted(self.shuts, last) - 1, 0)]
        good = self.opened | ((closing > self.paren) & (closing < last) & self._blank(closing + 1, last))
        self.duration[self.opened] = np.nan
        # Between "<" and ">" it would be part of a path. A "<" of a string may never close: such a line is left over.
        before = self.opens[np.maximum(np.searchsorted(self.opens, last) - 1, 0)]
        inside = (before > self.paren) & (before < last)
        closing = self.real_closes[np.searchsorted(self.real_closes, np.where(inside, before, 0))]
        good &= self.opened | ~inside | (closing < last)
        value = np.where(self.opened, self.paren, last + 2)
        first = self.bytes[value]
        starts = ((first >= 48) & (first <= 57)) | ((first == 45) & (self.bytes[value + 1] <= 57))
        good &= self.opened | (starts & (value < self.tail))
        self._keep(good)
        value = value[good]
        done = self.opened
        ending = self.bytes[self.tail - 1]
        nearest = self.opens[np.maximum(np.searchsorted(self.opens, self.tail) - 1, 0)]
        bracketed = ~done & (nearest > value) & (nearest < self.tail)
        failed = ~done & ~bracketed & (self.words[value] & mask(4) == _MINUS_ONE)
        fine = done | self._failures(failed, value, ending)
        fine |= self._descriptors(bracketed, value, nearest, ending)
        rest = np.flatnonzero(~done & ~bracketed & ~failed)
        # A lone number; or words in brackets behind it, in which no path stands: "1 (in [3])", "0x2 (flags O_RDWR)".
        blank = find_within(self.words, value[rest], 32, 24)
        length = self.tail[rest] - value[rest]
        lone = (blank >= length) & (length <= 24)
        told = (blank < length) & (self.bytes[value[rest] + blank + 1] == 40) & (ending[rest] == 41)
        told &= self.closes[np.searchsorted(self.closes, value[rest])] >= self.tail[rest]
        fine[rest] = lone | told
        self._keep(fine)

    def _failures(self, failed: Bool, value: Int64, ending: UInt8) -> Bool:
        """Reads the names of errors; where there are."""
        good: Bool = failed & (ending == 41)
        rows = np.flatnonzero(good)
        begin = value[rows] + 3
        length = find_within(self.words, begin, 32, _LONGEST_ERROR)
        fits = (length < _LONGEST_ERROR) & (begin + length < self.tail[rows])
        good[rows[~fits]] = False
        rows, begin, length = rows[fits], begin[fits], length[fits]
        numbers = self.tables.errors.of_spans(self.block, self.words, begin, length)
        texts = self.tables.errors.texts
        if len(numbers):
            known = np.array([is_error(text) for text in texts], dtype=bool)[numbers]
            good[rows[~known]] = False
            self.error[rows[known]] = numbers[known]
        return good

    def _descriptors(self, bracketed: Bool, value: Int64, opening: Int64, ending: UInt8) -> Bool:
        """Reads "3</path>" of results; where it is all that stands there."""
        good: Bool = bracketed & (ending == 62)
        rows = np.flatnonzero(good)
        length = opening[rows] - value[rows]
        number, are = leading_number(self.words[value[rows]], length)
        single = self.opens[np.maximum(np.searchsorted(self.opens, opening[rows]) - 1, 0)] < value[rows]
        closing = self.real_closes[np.searchsorted(self.real_closes, opening[rows])]
        fits = are & single & (closing == self.tail[rows] - 1)
        good[rows[~fits]] = False
        no_place = self.tables.marked("no place", NO_PLACE)
        named = fits & ~no_place[self.name[rows]] if len(rows) else fits
        rows, opening, number = rows[named], opening[rows][named], number[named]
        self.fd[rows] = number
        self.place[rows] = self.tables.places.of_spans(
            self.block, self.words, opening + 1, self.tail[rows] - 2 - opening
        )
        return good

    # What it is about

    def subjects(self) -> None:
        if not len(self.row):
            return
        begin = self.paren + 1
        first = self.words[begin]
        has_fd = ~self.closed & ~self.tables.marked("no fd", NO_FD)[self.name]
        digits = digits_before(first)
        behind = self.bytes[begin + digits]
        limit = np.where(self.opened, self.end - 16, self.tail)
        has_fd &= (digits >= 1) & (digits <= 7) & (begin + digits < limit)
        bracketed = has_fd & (behind == 60)
        # "3 <unfinished ...>": the bracket of that is no descriptor's.
        has_fd &= bracketed | (behind == 44) | (behind == 41) | (behind == 32)
        number, _ = leading_number(first, digits)
        rows = np.flatnonzero(bracketed)
        opening = begin[rows] + digits[rows]
        closing = self.real_closes[np.searchsorted(self.real_closes, opening)]
        # "1</dev/pts/0<char 136:0>>"
        nested = self.bytes[closing + 1] == 62
        inner = self.opens[np.minimum(np.searchsorted(self.opens, opening) + 1, len(self.opens) - 1)]
        second = self.bytes[closing + 1 + nested]
        fits = (closing < limit[rows]) & ((second == 44) | (second == 41) | (second == 32))
        fits &= nested == (inner < closing)
        closing = np.where(nested, inner, closing)
        odd = ~self.closed & (digits > 7)
        # A name in quotes within the brackets may hold any sign: UNIX-STREAM:[123,"/run/x>"].
        odd[rows[~fits]] = True
        rows, opening, closing = rows[fits], opening[fits], closing[fits]
        has_fd &= ~odd
        self.fd[has_fd] = number[has_fd]
        self.place[has_fd] = -1
        self.place[rows] = self.tables.places.of_spans(self.block, self.words, opening + 1, closing - opening - 1)
        odd |= self._locks(begin, limit)
        odd |= self._paths(has_fd | odd, limit)
        self._keep(~odd)

    def _locks(self, begin: Int64, limit: Int64) -> Bool:
        odd = np.zeros(len(self.row), bool)
        rows = np.flatnonzero(~self.closed & self.tables.marked("futex", frozenset({"futex"}))[self.name])
        length = find_within(self.words, begin[rows], 44, 24)
        fits = (length < 24) & (begin[rows] + length < limit[rows]) & (self.words[begin[rows]] & mask(2) == word("0x"))
        odd[rows[~fits]] = True
        rows, length = rows[fits], length[fits]
        self.place[rows] = self.tables.futexes(self.block, self.words, begin[rows], length)
        return odd

    def _paths(self, without: Bool, limit: Int64) -> Bool:
        odd = np.zeros(len(self.row), bool)
        named = ~self.closed & ~without & (self.place < 0) & self.tables.marked("by path", BY_PATH)[self.name]
        rows = np.flatnonzero(named)
        if not len(rows):
            return odd
        quotes = _positions(self.bytes, 34)
        at = np.searchsorted(quotes, self.paren[rows])
        begin, stop = quotes[at], quotes[np.minimum(at + 1, len(quotes) - 1)]
        none = begin >= limit[rows]
        fits = ~none & (stop < limit[rows]) & (self.bytes[np.minimum(stop, len(self.bytes)) - 1] != 92)
        odd[rows[~none & ~fits]] = True
        rows, begin, stop = rows[fits], begin[fits], stop[fits]
        self.place[rows] = self.tables.places.of_spans(self.block, self.words, begin + 1, stop - begin - 1)
        return odd

    def put(self) -> None:
        lines, row = self.lines, self.row
        lines.fast[row] = True
        lines.kind[row] = np.where(self.closed, Kind.CLOSED, np.where(self.opened, Kind.OPENED, Kind.CALL))
        lines.tid[row] = self.tid
        lines.start_s[row] = self.time
        lines.name[row] = self.name
        lines.duration_s[row] = self.duration
        lines.error[row] = self.error
        lines.fd[row] = self.fd
        lines.place[row] = self.place
        lines.returned[row] = ~self.opened
        lines.comm_end[row] = self.comm_end


def is_name(text: str) -> bool:
    return text.replace("_", "a").isalnum() and text.isascii() and text == text.lower() and not text[:1].isdigit()


def is_error(text: str) -> bool:
    return text.replace("_", "A").isalnum() and text.isascii() and text.isupper() and text.startswith("E")


def padded(block: bytes) -> bytes:
    return block + bytes(PADDING)
