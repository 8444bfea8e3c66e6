"""A block of strace's log at once: all lines of the usual forms by arithmetic on arrays, the rest left for `read_line`.

What is read here is read as `strace_line` would read it: a line that is not quite of its form is left over, never
guessed at. Positions are found once for a block, as sorted arrays of where "(", "<", ">", "=" and quotes stand.
"""

from __future__ import annotations

import numpy as np

from tailflame.model.stacks import Bool, Int64, UInt8
from tailflame.parse.strace_bytes import (
    MASKS,
    PADDING,
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
from tailflame.parse.strace_calls import BY_PATH, NO_FD, NO_PLACE
from tailflame.parse.strace_columns import NO_WORD, Layout, Lines, Tables, is_error
from tailflame.parse.strace_line import HIGHEST_PID, Kind

_LONGEST_NAME = 64
_LONGEST_ERROR = 32
_UNFINISHED = (word("<unfinis"), word("hed ...>"))
_RESUMED = word(" resumed")
_DOTS = word("<... ")
_HEX = word("0x")
_FUTEX = frozenset({"futex"})
_MINUS_ONE = word("-1 E")
_TWO_ZEROS = word("00")
_BLANKS = spread(32)
_HEX_DIGITS = np.isin(np.arange(256), list(b"0123456789abcdef"))


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
    return _ended(np.flatnonzero(bytes_ == byte), bytes_)


def _ended(found: Int64, bytes_: UInt8) -> Int64:
    return np.concatenate((found, np.full(2, len(bytes_) - PADDING + 1, np.int64)))


class _Reading:
    """One block on its way. All arrays have a row per line; `ok`: it is still of a usual form, and what the arrays say
    of it holds. Of other lines they hold positions that are in the block, and nonsense otherwise.
    """

    def __init__(self, block: bytes, lines: Lines, layout: Layout, tables: Tables) -> None:
        self.block, self.lines, self.layout, self.tables = block, lines, layout, tables
        self.bytes = np.frombuffer(block, np.uint8)
        self.words = words_of(block)
        # "<", "=", ">" and "?" differ in their last two bits: one look at every byte finds all of them. (`compress`
        # takes a quarter of the time of an index of truth values.)
        signs = np.flatnonzero(self.bytes & 0xFC == 60)
        which = self.bytes[signs]
        self.equals = signs.compress(which == 61)
        self.opens = _ended(signs.compress(which == 60), self.bytes)
        self.closes = _ended(signs.compress(which == 62), self.bytes)
        arrow = self.bytes[self.closes - 1] == 45  # "->" closes nothing; at 0 it is the padding that is asked
        self.real_closes = self.closes.compress(~arrow) if arrow.any() else self.closes
        # Words are read up to 16 bytes before an end.
        self.ok: Bool = lines.end - lines.start > 20
        self.start, self.end = lines.start, np.maximum(lines.end, 20)
        n = len(lines)
        self.at = self.start
        self.tid = np.full(n, -1, np.int64)
        self.time = np.full(n, np.nan)
        self.comm_end = np.zeros(n, np.int64)
        self.name = np.zeros(n, np.int64)
        self.paren = np.zeros(n, np.int64)
        self.opened = self.closed = np.zeros(n, bool)
        self.tail = self.end
        """Where the result ends."""
        self.duration = np.full(n, np.nan)
        self.error = np.full(n, -1, np.int64)
        self.fd = np.full(n, -1, np.int64)
        self.place = np.full(n, -1, np.int64)

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
        if self.layout.after:  # "(+     0.000470) "
            at = self.at
            fraction = self.words[at + 7] & ~mask(2) | _TWO_ZEROS
            good = self._is(at, 40) & self._is(at + 1, 43) & self._filled(at + 2, 6) & self._is(at + 8, 46)
            good &= all_digits(fraction) & self._is(at + 15, 41) & self._is(at + 16, 32)
            self._go(good, 17)
        if self.layout.number:  # "[  59] "
            at = self.at
            self._go(self._is(at, 91) & self._filled(at + 1, 4) & self._is(at + 5, 93) & self._is(at + 6, 32), 7)
        if self.layout.address:  # "[00007fc9934b4ad7] "
            at = self.at
            good = self._is(at, 91) & self._is(at + 17, 93) & self._is(at + 18, 32)
            for k in range(1, 17):
                good &= _HEX_DIGITS[self.bytes[at + k]]
            self._go(good, 19)
        self.ok &= self.at + 4 < self.end
        self.at = np.where(self.ok, self.at, self.start)

    def _go(self, good: Bool, width: int) -> None:
        self.ok &= good
        self.at = self.at + width

    def _filled(self, at: Int64, width: int) -> Bool:
        """Whether a number stands there that is filled up with blanks from the left."""
        good = np.ones(len(at), bool)
        begun = np.zeros(len(at), bool)
        for k in range(width):
            char = self.bytes[at + k]
            digit = (char >= 48) & (char <= 57)
            good &= digit | ((char == 32) & ~begun)
            begun |= digit
        return good & begun

    def _pids(self) -> None:
        word_ = self.words[self.start]
        digits = digits_before(word_)
        self.tid, good = leading_number(word_, digits)
        if self.layout.comm:
            good &= self._is(self.start + digits, 60)
            closing = self.closes[np.searchsorted(self.closes, self.start)]
            good &= closing < self.end - 2
            self.comm_end = closing
            self.at = np.where(good, closing + 2, self.start)
        else:
            width = np.maximum(digits, 5) + 1
            self.at = self.start + width
            good &= (self.words[self.start + digits] ^ _BLANKS) & MASKS[width - digits] == 0
        good &= (digits <= 7) & (self.tid <= HIGHEST_PID)
        self.ok &= good & self._is(self.at - 1, 32) & ~self._is(self.at, 32)

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
            behind = eight_digits(fraction) * 1000
        else:
            last = self.bytes[at + 19].astype(np.int64) - 48
            good &= (last >= 0) & (last <= 9)
            behind = eight_digits(fraction) * 10 + last
        self.time = (seconds * 10**9 + (behind - self.layout.begin_ns)) / 1e9
        self.at = at + 12 + digits
        self.ok &= good

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
        self.ok &= good & self._is(at + width, 32)
        self.at = at + width + 1

    # Which call it is

    def heads(self) -> None:
        first = self.bytes[self.at]
        self.closed = (first == 60) & (self.words[self.at] & mask(5) == _DOTS)
        self.ok &= self.closed | ((first >= 97) & (first <= 122)) | (first == 95)
        begin, stop = self.at.copy(), self.end.copy()
        rows = np.flatnonzero(self.ok & ~self.closed)
        stop[rows] = begin[rows] + find_within(self.words, begin[rows], 40, _LONGEST_NAME)
        good = stop < self.end
        self.paren = stop
        rows = np.flatnonzero(self.closed & self.ok)
        if len(rows):
            closing = self.closes[np.searchsorted(self.closes, begin[rows])]
            good[rows] = (closing < self.end[rows]) & (self.words[np.maximum(closing - 8, 0)] == _RESUMED)
            self.paren = stop.copy()
            begin[rows], stop[rows], self.paren[rows] = begin[rows] + 5, closing - 8, closing
        length = stop - begin
        self.ok &= good & (length > 0) & (length < _LONGEST_NAME)
        self.paren = np.where(self.ok, self.paren, self.at)
        rows = np.flatnonzero(self.ok)
        numbers = self.tables.names.of_spans(self.block, self.words, begin[rows], length[rows])
        self.name[rows] = numbers
        # Forks tell which threads belong together: they are read in full.
        self.ok[rows] = self.tables.usable()[numbers]

    # How it ended

    def ends(self) -> None:
        end = self.end
        self.opened = (self.words[end - 16] == _UNFINISHED[0]) & (self.words[end - 8] == _UNFINISHED[1]) & self.ok
        # "<... read resumed> <unfinished ...>) = ?" ends otherwise; both at once are none of strace's.
        self.ok &= ~(self.opened & self.closed)
        if self.layout.timed >= 0:
            self.ok &= self._durations() | self.opened
        self._results()

    def _durations(self) -> Bool:
        """Reads " <0.000123>"; where that stands."""
        digits, end = self.layout.timed, self.end
        dot = end - 2 - digits
        opening = dot - 2
        longer = np.flatnonzero(self.ok & ~self.opened & ~self._is(opening, 60))
        if len(longer):  # "<12.345678>"
            found = self.opens[np.maximum(np.searchsorted(self.opens, end[longer]) - 1, 0)]
            opening[longer] = np.where(found < dot[longer], found, dot[longer] - 2)
        length = dot - opening - 1
        good = self._is(end - 1, 62) & self._is(dot, 46) & self._is(opening, 60) & self._is(opening - 1, 32)
        good &= (opening > self.at) & (length <= 7)
        if len(longer):
            whole, are = leading_number(self.words[opening + 1], length)
            good &= are
        else:
            whole = self.bytes[opening + 1].astype(np.int64) - 48
            good &= (whole >= 0) & (whole <= 9)
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
        equals = self.equals
        equals = equals.compress((self.bytes[equals - 1] == 32) & (self.bytes[equals + 1] == 32))
        equals = np.concatenate(([0, 0], equals))
        at = np.searchsorted(equals, self.tail) - 1
        last = equals[at]
        # A second one is part of a string, or two lines have become one: that takes a closer look.
        self.ok &= equals[np.maximum(at - 1, 0)] <= self.paren
        self.duration[self.opened] = np.nan
        good = (last > self.paren + 1) & self._is(last - 2, 41)
        padded_ = np.flatnonzero(self.ok & ~self.opened & ~good & (last > self.paren + 1))
        if len(padded_):
            shuts = _positions(self.bytes, 41)
            to = last[padded_]
            closing = shuts[np.maximum(np.searchsorted(shuts, to) - 1, 0)]
            good[padded_] = (closing > self.paren[padded_]) & (closing < to) & self._blank(closing + 1, to)
        value = np.where(good, last + 2, self.paren)
        first = self.bytes[value]
        second = self.bytes[value + 1]
        good &= ((first >= 48) & (first <= 57)) | ((first == 45) & (second >= 48) & (second <= 57))
        good &= value < self.tail
        ending = self.bytes[self.tail - 1]
        done = self.opened
        self.ok &= good | done
        # A ">" behind it closes what the result stands for, or the " = " was part of a path.
        bracketed = (self.closes[np.searchsorted(self.closes, value)] < self.tail) & self.ok & ~done
        plain = self.ok & ~done & ~bracketed
        failed = plain & (self.words[value] & mask(4) == _MINUS_ONE)
        fine = done | self._failures(failed, value, ending)
        if bracketed.any():
            fine |= self._descriptors(bracketed, value, ending)
        rest = np.flatnonzero(plain & ~failed)
        # A lone number; or words in brackets behind it, in which no path stands: "1 (in [3])", "0x2 (flags O_RDWR)".
        blank = find_within(self.words, value[rest], 32, 24)
        length = self.tail[rest] - value[rest]
        lone = (blank >= length) & (length <= 24)
        lone |= (blank < length) & (self.bytes[value[rest] + blank + 1] == 40) & (ending[rest] == 41)
        fine[rest] = lone
        self.ok &= fine

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

    def _failures(self, failed: Bool, value: Int64, ending: UInt8) -> Bool:
        """Reads the names of errors; where there are."""
        good: Bool = failed & (ending == 41)
        rows = np.flatnonzero(good)
        if not len(rows):
            return good
        begin = value[rows] + 3
        length = find_within(self.words, begin, 32, _LONGEST_ERROR)
        fits = (length < _LONGEST_ERROR) & (begin + length < self.tail[rows])
        good[rows[~fits]] = False
        rows, begin, length = rows[fits], begin[fits], length[fits]
        numbers = self.tables.errors.of_spans(self.block, self.words, begin, length)
        known = np.array([is_error(text) for text in self.tables.errors.texts], dtype=bool)[numbers]
        good[rows[~known]] = False
        self.error[rows[known]] = numbers[known]
        return good

    def _descriptors(self, bracketed: Bool, value: Int64, ending: UInt8) -> Bool:
        """Reads "3</path>" of results; where it is all that stands there."""
        good: Bool = bracketed & (ending == 62)
        rows = np.flatnonzero(good)
        digits = digits_before(self.words[value[rows]])
        number, are = leading_number(self.words[value[rows]], digits)
        opening = value[rows] + digits
        closing = self.real_closes[np.searchsorted(self.real_closes, opening)]
        inner = self.opens[np.minimum(np.searchsorted(self.opens, opening) + 1, len(self.opens) - 1)]
        fits = are & (digits <= 7) & self._is(opening, 60) & (closing == self.tail[rows] - 1)
        fits &= inner > closing
        good[rows[~fits]] = False
        no_place = self.tables.marked("no place", NO_PLACE)
        named = fits & ~no_place[self.name[rows]] if len(rows) else fits
        rows, opening, number = rows[named], opening[named], number[named]
        self.fd[rows] = number
        self.place[rows] = self.tables.places.of_spans(
            self.block, self.words, opening + 1, self.tail[rows] - 2 - opening
        )
        return good

    # What it is about

    def subjects(self) -> None:
        if not self.ok.any():
            return
        begin = self.paren + 1
        first = self.words[begin]
        called = self.ok & ~self.closed
        has_fd = called & ~self.tables.marked("no fd", NO_FD)[self.name]
        digits = digits_before(first)
        behind = self.bytes[begin + digits]
        limit = np.where(self.opened, self.end - 16, self.tail)
        odd = has_fd & ((digits > 7) | ((digits >= 1) & (begin + digits >= limit)))
        has_fd &= (digits >= 1) & (digits <= 7) & (begin + digits < limit)
        bracketed = has_fd & (behind == 60)
        # "3 <unfinished ...>": the bracket of that is no descriptor's.
        has_fd &= bracketed | (behind == 44) | (behind == 41) | (behind == 32)
        number, _ = leading_number(first, digits)
        rows = np.flatnonzero(bracketed)
        if len(rows):
            odd[rows] |= self._names_of(rows, begin[rows] + digits[rows], limit[rows])
        has_fd &= ~odd
        self.fd = np.where(has_fd, number, self.fd)
        self.place = np.where(has_fd & ~bracketed, -1, self.place)
        odd |= self._locks(called, begin, limit)
        odd |= self._paths(called & ~has_fd & ~odd, limit)
        self.ok &= ~odd

    def _names_of(self, rows: Int64, opening: Int64, limit: Int64) -> Bool:
        """Reads what stands behind first descriptors, "3</path>, "; where it is of no usual form."""
        closing = self.real_closes[np.searchsorted(self.real_closes, opening)]
        # "1</dev/pts/0<char 136:0>>"
        nested = self.bytes[closing + 1] == 62
        second = self.bytes[closing + 1 + nested]
        at = np.searchsorted(self.opens, opening)
        inner, further = (self.opens[np.minimum(at + k, len(self.opens) - 1)] for k in (1, 2))
        # A name in quotes within the brackets may hold any sign: UNIX-STREAM:[123,"/run/x>"].
        fits = (
            (closing < limit)
            & (further > closing)
            & ((second == 44) | (second == 41) | (second == 32))
            & (nested == (inner < closing))
        )
        closing = np.where(nested, inner, closing)
        kept, opening, closing = rows[fits], opening[fits], closing[fits]
        self.place[kept] = self.tables.places.of_spans(self.block, self.words, opening + 1, closing - opening - 1)
        odd: Bool = ~fits
        return odd

    def _locks(self, called: Bool, begin: Int64, limit: Int64) -> Bool:
        odd = np.zeros(len(self.ok), bool)
        rows = np.flatnonzero(called & self.tables.marked("futex", _FUTEX)[self.name])
        if not len(rows):
            return odd
        length = find_within(self.words, begin[rows], 44, 24)
        fits = (length < 24) & (begin[rows] + length < limit[rows]) & (self.words[begin[rows]] & mask(2) == _HEX)
        odd[rows[~fits]] = True
        rows, length = rows[fits], length[fits]
        places = self.tables.futexes(self.block, self.words, begin[rows], length)
        odd[rows[places == NO_WORD]] = True
        self.place[rows] = places
        return odd

    def _paths(self, without: Bool, limit: Int64) -> Bool:
        odd = np.zeros(len(self.ok), bool)
        rows = np.flatnonzero(without & (self.place < 0) & self.tables.marked("by path", BY_PATH)[self.name])
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
        lines, ok = self.lines, self.ok
        lines.fast = ok
        kind = np.where(self.closed, Kind.CLOSED.value, np.where(self.opened, Kind.OPENED.value, Kind.CALL.value))
        lines.kind = np.where(ok, kind, 0).astype(np.uint8)
        lines.tid = np.where(ok, self.tid, -1)
        lines.start_s = np.where(ok, self.time, np.nan)
        lines.name = np.where(ok, self.name, -1).astype(np.int32)
        lines.duration_s = np.where(ok, self.duration, np.nan)
        lines.error = np.where(ok, self.error, -1).astype(np.int32)
        lines.fd = np.where(ok, self.fd, -1).astype(np.int32)
        lines.place = np.where(ok, self.place, -1).astype(np.int32)
        lines.returned = ok & ~self.opened
        lines.comm_end = np.where(ok, self.comm_end, 0)
