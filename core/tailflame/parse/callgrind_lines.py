"""The lines of callgrind.out files, block by block as arrays: what each function costs by line, and what its calls do.

    fn=(12) main            a name is written once with its number, and by the number afterwards: fn=(12)
    16 400                  line 16 costs 400; +3, -2 and * are lines counted from the one before
    cfi=(2)                 of the call that follows: the called function's file, where it is another one
    cfn=(13)
    calls=1 50              the next line of figures is what the call costs, and not the function itself
    16 300

Objects, files and functions have numbers of their own. What says which function, file and object a line belongs to is
carried forward by arrays; Python sees a line alone where it defines a name, or is none of the format.
https://valgrind.org/docs/manual/cl-format.html, callgrind/dump.c
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tailflame.errors import ParseError
from tailflame.model.stacks import NONE, Bool, Int64, UInt8
from tailflame.parse.cachegrind_digits import Figures, Lines, Sums, figures_of, lines_of
from tailflame.parse.frames import Numbers

MOST_EVENTS = 64
_MOST_PARTS = 100_000
_MOST_CLASHES = 200_000
_LINE_BITS = 32
_LAST_LINE = 2**31 - 1
_HEADER = re.compile(rb"^(?:events|positions):.*\n", re.MULTILINE)
_HEADER_WORDS = (b"events:", b"positions:")

_OTHER, _FIGURES, _NOTHING, _FN, _FL, _FI, _OB, _CFN, _CFI, _COB, _CALLS, _JFI, _JFN = range(13)
_KINDS = (
    (b"fn=", _FN), (b"fl=", _FL), (b"fi=", _FI), (b"fe=", _FI), (b"ob=", _OB), (b"cfn=", _CFN), (b"cfi=", _CFI),
    (b"cfl=", _CFI), (b"cob=", _COB), (b"calls=", _CALLS), (b"jfi=", _JFI), (b"jfn=", _JFN), (b"jump=", _NOTHING),
    (b"jcnd=", _NOTHING), (b"rcalls=", _NOTHING), (b"frfn=", _NOTHING),
)  # fmt: skip
_OBJECTS, _FILES, _FUNCTIONS = range(3)
_SPACE = {_FN: _FUNCTIONS, _CFN: _FUNCTIONS, _JFN: _FUNCTIONS, _OB: _OBJECTS, _COB: _OBJECTS,
          _FL: _FILES, _FI: _FILES, _CFI: _FILES, _JFI: _FILES}  # fmt: skip
_OPEN, _CLOSE, _BLANK, _NEWLINE, _ZERO = 40, 41, 32, 10, 48


class _Numbering(dict[tuple[int, int, int], int]):
    """Numbers functions in the order they come."""

    def __missing__(self, key: tuple[int, int, int]) -> int:
        number = self[key] = len(self)
        return number


@dataclass(slots=True)
class _Pending:
    """What was said of a call whose end is in the next block: its object and file, the function, and the function
    whose call the next figures are of. -1: nothing."""

    target: int = NONE
    file: int = NONE
    called: int = NONE
    call: int = NONE


@dataclass(slots=True)
class CallgrindLines:
    """What was read so far. functions: (object, file, name) as numbers of `strings` -> number; groups: (function, file
    of the code) -> number; own: costs by group and line; calls: costs by caller and callee, both by thread.
    """

    source: str
    header: Callable[[bytes], bool]
    """Takes a line that belongs to no function; whether it is one of the format."""
    thread: Callable[[], int] = lambda: NONE
    """Whose costs are in the part that begins, as its header has told; -1 where it does not."""
    events: Numbers = field(default_factory=Numbers)
    strings: Numbers = field(default_factory=Numbers)
    functions: dict[tuple[int, int, int], int] = field(default_factory=_Numbering)
    groups: dict[int, int] = field(default_factory=dict)
    parts: int = 0
    damaged: int = 0
    first_damaged: int = 0
    huge: int = 0
    """Lines with a number beyond 63 bits, which are left out."""
    first_huge: int = 0
    _sums: dict[int, tuple[Sums, Sums]] = field(default_factory=dict)
    """Of each thread its own costs, and those of its calls."""
    _own: Sums = field(init=False)
    _calls: Sums = field(init=False)
    """Of the thread whose part is read."""
    _columns: list[int] = field(default_factory=list)
    _positions: int = 1
    _line_position: int = 0
    _ids: tuple[dict[int, int], ...] = field(default_factory=lambda: ({}, {}, {}))
    _object: int = NONE
    _file: int = NONE
    _here: int = NONE
    _at: int = NONE
    _line: int = 0
    _number: int = 0
    _clashes: int = 0
    _pending: _Pending = field(default_factory=_Pending)

    def __post_init__(self) -> None:
        self._own, self._calls = Sums(self.source), Sums(self.source)  # before any part begins there is nothing to add

    def block(self, block: bytes) -> None:
        """Whole lines, each with its end."""
        done = 0
        # Where the meaning of figures changes: seldom, so that most blocks are not looked through line by line.
        has_header = any(word in block for word in _HEADER_WORDS)
        for cut in _HEADER.finditer(block) if has_header else ():
            self._even(block[done : cut.start()])
            self._number += 1
            self._meaning(cut[0])
            done = cut.end()
        self._even(block[done:])

    @property
    def threads(self) -> tuple[int, ...]:
        """The threads that have parts, -1 for parts that tell of none."""
        return tuple(sorted(self._sums))

    def own(self, thread: int | None = None) -> tuple[Int64, Int64, Int64]:
        """(group, line, costs) of what functions cost by themselves, of all threads or one; line 0 is unknown."""
        return self._total(0, thread)

    def calls(self, thread: int | None = None) -> tuple[Int64, Int64, Int64]:
        """(caller, callee, costs) of all threads or one: each pair once."""
        return self._total(1, thread)

    def _total(self, which: int, thread: int | None) -> tuple[Int64, Int64, Int64]:
        chosen = [sums[which] for of, sums in self._sums.items() if thread in (None, of)]
        if len(chosen) == 1:
            keys, costs = chosen[0].total()
        else:
            whole = Sums(self.source, len(self.events))
            for sums in chosen:
                whole.add(*sums.total())
            keys, costs = whole.total()
        return keys >> _LINE_BITS, keys & _LAST_LINE, costs

    # blocks

    def _meaning(self, line: bytes) -> None:
        key, _, value = line.decode("utf-8", "backslashreplace").partition(":")
        words = value.split()
        self.header(line)
        if key == "positions":
            self._positions = max(len(words), 1)
            # "instr line": the line is the second; without one, no line is known.
            self._line_position = words.index("line") if "line" in words else NONE if words else 0
            return
        if len(words) > MOST_EVENTS or len(set(words)) < len(words):
            raise ParseError(f"{self.source} counts {len(words):,} events: it is damaged.", source=self.source)
        self.parts += 1
        if self.parts > _MOST_PARTS:
            raise ParseError(f"{self.source} says what it counts again and again: it is damaged.", source=self.source)
        before = len(self.events)
        self._columns = [self.events[name] for name in words]
        if len(self.events) > MOST_EVENTS:
            raise ParseError(f"{self.source} counts {len(self.events):,} events: it is damaged.", source=self.source)
        thread, columns = self.thread(), len(self.events)
        if thread not in self._sums:
            self._sums[thread] = Sums(self.source, columns), Sums(self.source, columns)
        self._own, self._calls = self._sums[thread]
        for sums in (sums for pair in self._sums.values() for sums in pair) if columns > before else ():
            sums.widen(columns)
        self._object = self._file = self._here = self._at = NONE
        self._line = 0
        self._pending = _Pending()

    def _even(self, block: bytes) -> None:
        """A block in which figures mean the same throughout."""
        if not block:
            return
        lines = lines_of(block)
        kind, begin = _kinds(lines)
        names = _Names(block, lines, kind, begin)
        first = 0
        strings, ids = self.strings, self._ids
        for at, space, number, text in names.defined():
            name = strings[text]
            known = ids[space].get(number, NONE)
            if known not in (NONE, name) and at > first:
                # Another part uses the number for another name: what stood before is read with the old one.
                self._clashes += 1
                if self._clashes > _MOST_CLASHES:
                    raise ParseError(
                        f"{self.source} gives the same numbers to name after name: it is damaged.", source=self.source
                    )
                self._piece(names, first, at)
                first = at
            ids[space][number] = name
        self._piece(names, first, len(kind))
        self._number += len(kind)

    def _piece(self, names: _Names, first: int, last: int) -> None:
        """Lines from `first` on, before `last`: no number means two names among them."""
        if first >= last:
            return
        kind = names.kind[first:last]
        value = self._values(names, first, last)
        for at in (np.flatnonzero(kind == _OTHER) + first).tolist():
            line = names.text(at, 0)
            if line.strip() and not line.startswith(b"#") and not self.header(line + b"\n"):
                self._bad(at)
        start, end = names.lines.start[first:last], names.lines.end[first:last]
        whole = slice(int(start[0]), int(end[-1]) + 1)
        lines = Lines(names.lines.data[whole], start - start[0], end - start[0], kind == _FIGURES)
        self._costs(lines, kind, value, first)

    def _values(self, names: _Names, first: int, last: int) -> Int64:
        """The name that each line tells, as a number of `strings`."""
        value = np.full(last - first, NONE, dtype=np.int64)
        for space in range(3):
            rows = names.referring(space, first, last)
            distinct, inverse = np.unique(names.number[rows], return_inverse=True)
            ids = self._ids[space]
            # An id that no line defines stays a number.
            found = [ids[n] if n in ids else self.strings[f"({n})"] for n in distinct.tolist()]
            value[rows - first] = np.array(found, dtype=np.int64)[inverse]
        for at in names.spelt(first, last):
            value[at - first] = self.strings[_text(names.text(at, names.begin[at]))]
        return value

    def _functions(self, target: Int64, file: Int64, name: Int64) -> Int64:
        """The number of each (object, file, name); new ones get the next."""
        if not len(name):
            return name
        most = int(max(target.max(), file.max(), name.max())) + 2
        if most < 1 << 21:
            keys = ((target + 1) << 42) | ((file + 1) << 21) | (name + 1)
            _, index, inverse = np.unique(keys, return_index=True, return_inverse=True)
            target, file, name = target[index], file[index], name[index]
        known = self.functions
        triples = zip(target.tolist(), file.tolist(), name.tolist(), strict=True)
        numbers = np.array([known[triple] for triple in triples], dtype=np.int64)
        return numbers[inverse] if most < 1 << 21 else numbers

    def _costs(self, lines: Lines, kind: UInt8, value: Int64, first: int) -> None:
        size = len(kind)
        index = np.arange(size)

        def last(mask: Bool) -> Int64:
            """The last line up to each one where `mask` holds, -1 for none."""
            return np.asarray(np.maximum.accumulate(np.where(mask, index, NONE)))

        def carried(at: Int64, values: Int64, before: int) -> Int64:
            return np.where(at >= 0, values[at], before)

        target = carried(last(kind == _OB), value, self._object)
        file = carried(last(kind == _FL), value, self._file)
        here = carried(last((kind == _FL) | (kind == _FI)), value, self._here)
        begins = np.flatnonzero(kind == _FN)
        numbers = np.full(size, NONE, dtype=np.int64)
        numbers[begins] = self._functions(target[begins], file[begins], value[begins])
        last_function = last(kind == _FN)
        function = carried(last_function, numbers, self._at)
        pending = self._pending
        called = self._called(kind, value, target, here, last)
        is_call = (kind == _CALLS) & (called >= 0)
        for at in np.flatnonzero((kind == _CALLS) & (called < 0)).tolist():
            self._bad(first + at)
        rows = np.flatnonzero(lines.figures)
        calls = last(is_call)
        if len(rows):
            call = calls[rows]
            before = np.concatenate(([NONE], rows[:-1]))
            inclusive = (call > before) & (call > last_function[rows])
            open_yet = (call < 0) & (before < 0) & (last_function[rows] < 0)
            callee = np.where(inclusive, called[call], np.where(open_yet, pending.call, NONE))
            self._figures(lines, first + rows, function[rows], here[rows], callee)
        ended = max(int(rows[-1]) if len(rows) else NONE, int(last_function[-1]))
        awaited = pending.call if ended < 0 else NONE
        self._pending.call = int(called[calls[-1]]) if calls[-1] > ended else awaited
        self._object, self._file, self._here = int(target[-1]), int(file[-1]), int(here[-1])
        self._at = int(function[-1])

    def _called(self, kind: UInt8, value: Int64, target: Int64, here: Int64, last: Callable[[Bool], Int64]) -> Int64:
        """Of each line of calls the function that is called, -1 where none is named.

        cob= and cfi= hold for the next call alone. Without cfi= it is in the file that was told last, of inlined code
        as well (dump.c, fprint_jcc).
        """
        pending = self._pending
        ends = last((kind == _FN) | (kind == _CALLS))
        since = np.concatenate(([NONE], ends[:-1]))
        rows = np.flatnonzero(kind == _CFN)
        told = {which: last(kind == which) for which in (_COB, _CFI, _CFN)}

        def held(which: int, before: int, otherwise: Int64) -> Int64:
            """What was said for this call, in this block or the one before."""
            waits = (since[rows] < 0) & (before >= 0)
            here_or_before = np.where(waits, before, otherwise[rows])
            return np.where(told[which][rows] > since[rows], value[told[which][rows]], here_or_before)

        objects, files = held(_COB, pending.target, target), held(_CFI, pending.file, here)
        named = np.full(len(kind), NONE, dtype=np.int64)
        named[rows] = self._functions(objects, files, value[rows])
        calls = np.flatnonzero(kind == _CALLS)
        by = told[_CFN][calls]
        called = np.full(len(kind), NONE, dtype=np.int64)
        before = np.where(since[calls] < 0, pending.called, NONE)
        called[calls] = np.where(by > since[calls], named[by], before)
        end = int(ends[-1])

        def left(which: int, values: Int64, before: int) -> int:
            at = int(told[which][-1])
            return int(values[at]) if at > end else before if end < 0 else NONE

        self._pending = _Pending(
            left(_COB, value, pending.target),
            left(_CFI, value, pending.file),
            left(_CFN, named, pending.called),
            pending.call,
        )
        return called

    def _figures(self, lines: Lines, numbers: Int64, function: Int64, here: Int64, called: Int64) -> None:
        figures = figures_of(lines)
        words = figures.words
        costs = figures.matrix(self._positions, len(self._columns))
        bad = figures.bad | (words > self._positions + len(self._columns))
        if self._signed(figures):  # a cost, and not only positions
            place = np.arange(len(figures.sign)) - np.repeat(figures.first[:-1], words)
            bad[np.repeat(np.arange(len(words)), words)[(place >= self._positions) & (figures.sign != 0)]] = True
        line = self._lines_of(figures.value, figures.sign, figures.first, words)
        homeless = (function < 0) & (words > self._positions)
        if figures.huge.any():
            self.huge += int(figures.huge.sum())
            first = self._number + int(numbers[np.argmax(figures.huge)]) + 1
            self.first_huge = min(self.first_huge or first, first)
        for at in np.flatnonzero((bad | homeless) & ~figures.huge).tolist():
            self._bad(int(numbers[at]))
        kept = ~bad & (function >= 0) & (costs.any(axis=1) | (called >= 0))
        if not kept.all():
            costs, function, here, called, line = costs[kept], function[kept], here[kept], called[kept], line[kept]
        if self._columns != list(range(len(self.events))):
            every = np.zeros((len(costs), len(self.events)), dtype=np.int64)
            every[:, self._columns] = costs
            costs = every
        own = called < 0
        self._own.add((self._group(function[own], here[own]) << _LINE_BITS) | line[own], costs[own])
        called_costs = costs[~own]
        self._calls.add((function[~own] << _LINE_BITS) | called[~own], called_costs)

    def _signed(self, figures: Figures) -> bool:
        """Whether any word behind the positions has a sign."""
        signs, words = np.count_nonzero(figures.sign), figures.words
        for place in range(self._positions):
            signs -= np.count_nonzero(figures.sign[figures.first[:-1][words > place] + place])
        return bool(signs)

    def _lines_of(self, value: Int64, sign: UInt8, first: Int64, words: Int64) -> Int64:
        """The source line of each line of figures: absolute, or counted from the one before."""
        if self._line_position < 0 or not len(value):
            return np.zeros(len(words), dtype=np.int64)
        at = np.minimum(first[:-1] + self._line_position, len(value) - 1)
        given = words > self._line_position
        step = np.where(given, value[at], 0)
        absolute = given & (sign[at] == 0)
        index = np.maximum.accumulate(np.where(absolute, np.arange(len(words)), NONE))
        moved = np.cumsum(np.where(absolute, 0, step))
        base = np.where(index >= 0, step[index] - moved[index], self._line)
        line = base + moved
        self._line = int(line[-1])
        return np.where((line > 0) & (line <= _LAST_LINE), line, 0)

    def _group(self, function: Int64, file: Int64) -> Int64:
        keys = (function << _LINE_BITS) | (file + 1)
        distinct, inverse = np.unique(keys, return_inverse=True)
        groups = self.groups
        known = [groups.setdefault(key, len(groups)) for key in distinct.tolist()]
        return np.array(known, dtype=np.int64)[inverse]

    def group_parts(self) -> tuple[Int64, Int64]:
        """(function, file as a number of `strings`, -1 unknown) of each group."""
        keys = np.array(list(self.groups), dtype=np.int64)
        return keys >> _LINE_BITS, (keys & (2**_LINE_BITS - 1)) - 1

    def _bad(self, at: int) -> None:
        """`at`: a line of the block that is read, from 0 on."""
        self.damaged += 1
        number = self._number + at + 1
        self.first_damaged = min(self.first_damaged or number, number)  # words of a block come before its figures


class _Names:
    """The lines of a block that tell a name: by number, spelt out, or both, which defines the number."""

    def __init__(self, block: bytes, lines: Lines, kind: UInt8, begin: Int64) -> None:
        self.lines, self.kind, self.begin = lines, kind, begin
        self._block = block
        data, end = lines.data, lines.end
        rows = np.flatnonzero((kind >= _FN) & (kind != _CALLS))
        at = begin[rows]
        # A parser of old let blanks stand before a name.
        for row in np.flatnonzero(data[at] == _BLANK).tolist():
            line = block[at[row] : end[rows[row]]]
            at[row] += len(line) - len(line.lstrip())
        begin[rows] = at
        bracket = data[at] == _OPEN
        number = np.zeros(len(rows), dtype=np.int64)
        stop = at + 1
        most = len(data) - 1
        going = bracket.copy()
        for _ in range(9):
            digit = data[np.minimum(stop, most)].astype(np.int64) - _ZERO
            going &= (digit >= 0) & (digit <= 9)
            if not going.any():
                break
            number = np.where(going, number * 10 + digit, number)
            stop = stop + going
        closed = bracket & (stop > at + 1) & (data[np.minimum(stop, most)] == _CLOSE)
        after = data[np.minimum(stop + 1, most)]
        defines = closed & (after == _BLANK) & (stop + 2 < end[rows])
        refers = closed & ((after == _NEWLINE) | ((after == _BLANK) & (stop + 2 >= end[rows])) | defines)
        self._rows, self._refers, self._defines, self._stop = rows, refers, defines, stop
        space_of = np.full(16, NONE, dtype=np.int64)
        for which, space in _SPACE.items():
            space_of[which] = space
        self._space = space_of[kind[rows]]
        self.number = np.zeros(len(kind), dtype=np.int64)
        self.number[rows] = number

    def text(self, at: int, begin: int) -> bytes:
        """The line from byte `begin` on; from its own beginning with 0."""
        return self._block[max(begin, int(self.lines.start[at])) : self.lines.end[at]]

    def defined(self) -> list[tuple[int, int, int, str]]:
        """(line, space, number, name) of each definition."""
        which = np.flatnonzero(self._defines)
        rows = self._rows[which]
        columns = zip(
            rows.tolist(),
            self._space[which].tolist(),
            self.number[rows].tolist(),
            self._stop[which].tolist(),
            self.lines.end[rows].tolist(),
            strict=True,
        )
        if self._block.isascii():
            text = self._block.decode("ascii")  # once: names come by the million
            return [(at, space, number, text[stop + 2 : end]) for at, space, number, stop, end in columns]
        return [(at, space, number, _text(self._block[stop + 2 : end])) for at, space, number, stop, end in columns]

    def referring(self, space: int, first: int, last: int) -> Int64:
        """Lines that tell a name of `space` by its number."""
        rows = self._rows[self._refers & (self._space == space)]
        return np.asarray(rows[(rows >= first) & (rows < last)])

    def spelt(self, first: int, last: int) -> list[int]:
        """Lines that spell out a name without a number."""
        rows = self._rows[~self._refers]
        return [int(at) for at in rows[(rows >= first) & (rows < last)]]


def _kinds(lines: Lines) -> tuple[UInt8, Int64]:
    """(what each line is, where its value begins)."""
    kind = np.full(len(lines.start), _OTHER, dtype=np.uint8)
    kind[lines.figures] = _FIGURES
    begin = lines.start.copy()
    rows = np.flatnonzero(~lines.figures)
    start, end, data = lines.start[rows], lines.end[rows], lines.data
    most = len(data) - 1
    head = np.zeros(len(rows), dtype=np.int64)
    for place in range(7):
        byte = data[np.minimum(start + place, most)].astype(np.int64)
        head |= np.where(start + place < end, byte, 0) << (8 * place)
    found = np.full(len(rows), _OTHER, dtype=np.uint8)
    for words, which in _KINDS:
        mine = (head & ((1 << (8 * len(words))) - 1)) == int.from_bytes(words, "little")
        found[mine] = which
        begin[rows[mine]] += len(words)
    found[start == end] = _NOTHING
    kind[rows] = found
    return kind, begin


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="backslashreplace")
