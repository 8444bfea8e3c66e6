"""cachegrind.out files, and what cg_diff and cg_merge make of them: costs of source lines.

    desc: I1 cache:         32768 B, 64 B, 8-way associative
    cmd: ./trading-system --seconds 1
    events: Ir I1mr ILmr Dr D1mr DLmr Dw D1mw DLmw
    fl=/src/risk.rs
    fn=risk::check_exposure
    42 2 1 1 2
    summary: 1069530865 35268 4307 174401096 11000315 4240 61928194 1812664 1177791

A line of figures is a source line (0: unknown) and its costs; costs that are left out at the end are zeros. fl= changes
the file within a function, where code is inlined, and fn= follows again. Costs are negative in cg_diff's files.
https://valgrind.org/docs/manual/cg-manual.html (the format), cachegrind/cg_main.c (its writer)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import Caution, CostTable, Meta, Recording
from tailflame.model.stacks import NONE, Bool, Int64
from tailflame.parse.cachegrind_digits import Lines, Sums, figures_of, lines_of, pieces_of
from tailflame.parse.cachegrind_profile import Place, cost_table, line_profile, words_of_command
from tailflame.parse.frames import Numbers
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head
from tailflame.units import count

MOST_EVENTS = 64
_LINE_BITS = 32
_LAST_LINE = 2**31 - 1
_HEAD = re.compile(r"^(desc|cmd|events|fl|fn|summary)[:=]")
_OTHER = re.compile(r"^(?:version|creator|positions|part|time_unit|snapshot|calls|cfn|ob|cob)[:=]", re.MULTILINE)
_LAST_LEVEL_NOTE = re.compile(r"LL cache: ([0-9]{1,18}) B,")
_LARGEST_SHARE = 128 << 20
"""Bytes of a last-level cache that one program may well have to itself."""
_PLAIN_SUM = re.compile(r"-?\d{1,1000}")


class Cachegrind:
    name = "cachegrind"
    title = "cachegrind's costs of source lines"

    def sniff(self, head: bytes, name: str) -> float:
        if b"\0" in head[:512]:
            return NO
        text = decode_head(head)
        first = next((line for line in text.split("\n") if line.strip() and not line.startswith("#")), "")
        if not _HEAD.match(first) or _OTHER.search(text):
            return NO
        words = {line[: min(at for at in (line.find(":"), line.find("=")) if at >= 0)] for line in text.split("\n")
                 if line.startswith(("events:", "fn=", "fl=", "cmd:", "desc:"))}  # fmt: skip
        if "events" not in words:
            return NO
        # All of it is in the head but for a file whose descriptions never end.
        return 0.9 if {"fn", "fl"} & words else 0.5 if "cmd" in words else NO

    def load(self, source: Source) -> Recording:
        reader = _Reader(source)
        for block in source.byte_blocks():
            for piece in pieces_of(block):
                reader.block(piece)
        return reader.recording()


CACHEGRIND = Cachegrind()


@dataclass(slots=True)
class _Reader:
    """What was read so far. A group is a function in a file; a key is a group and a line."""

    source: Source
    events: tuple[str, ...] = ()
    summary: tuple[int, ...] | None = None
    """The sum of all summaries; None where a file has none that can be read."""
    notes: list[str] = field(default_factory=list)
    command: str = ""
    damaged: int = 0
    first_damaged: int = 0
    huge: int = 0
    """Lines with a number beyond 63 bits, which are left out."""
    first_huge: int = 0
    _heads: int = 0
    _ends: int = 0
    """Lines of events and of summaries: one each, but where several files stand one behind the other."""
    _files: Numbers = field(default_factory=Numbers)
    _functions: Numbers = field(default_factory=Numbers)
    _groups: dict[int, int] = field(default_factory=dict)
    """By the numbers of a file and a function."""
    _sums: Sums | None = None
    _file: int = NONE
    _group: int = NONE
    _number: int = 0

    def block(self, block: bytes) -> None:
        lines = lines_of(block)
        words = np.flatnonzero(~lines.figures)
        start, end = lines.start[words], lines.end[words]
        data, most = lines.data, len(block) - 1
        first, second, third = (data[np.minimum(start + at, most)] for at in range(3))
        named = (first == ord("f")) & (third == ord("="))
        is_function, is_file = named & (second == ord("n")), named & (second == ord("l"))
        for at in np.flatnonzero(~(is_function | is_file)).tolist():
            self._word(block[start[at] : end[at]], self._number + int(words[at]) + 1)
        # Of each word the group that holds behind it, and first of all what holds before them.
        told = np.full(len(words) + 1, NONE, dtype=np.int64)
        told[0] = self._group
        told[1:][is_function] = self._groups_of(block, start + 3, end, is_function, is_file)
        last = np.maximum.accumulate(np.where(np.append(True, is_function | is_file), np.arange(len(told)), 0))
        groups = told[last]
        self._group = int(groups[-1])
        if lines.figures.any():
            size = len(lines.figures)
            before = np.diff(words, prepend=-1, append=size) - 1  # lines of figures before each word, and at the end
            self._costs(lines, np.repeat(groups, before))
        self._number += len(lines.start)

    def _groups_of(self, block: bytes, start: Int64, end: Int64, is_function: Bool, is_file: Bool) -> list[int]:
        """The group of each function that is named."""
        files = self._numbers(block, start[is_file], end[is_file], self._files)
        which = np.cumsum(is_file)[is_function]
        file = np.append(self._file, np.array(files, dtype=np.int64))[which]
        if files:
            self._file = files[-1]
        if len(file) and file[0] < 0:  # no file was named before
            file[file < 0] = self._files["???"]
        functions = self._numbers(block, start[is_function], end[is_function], self._functions)
        known = self._groups
        keys = ((file << _LINE_BITS) | np.array(functions, dtype=np.int64)).tolist()
        return [known.setdefault(key, len(known)) for key in keys]

    def _numbers(self, block: bytes, start: Int64, end: Int64, known: Numbers) -> list[int]:
        spans = zip(start.tolist(), end.tolist(), strict=True)
        if block.isascii():
            text = block.decode("ascii")  # once: names come by the million
            return [known[text[begin:stop]] for begin, stop in spans]
        return [known[_text(block[begin:stop])] for begin, stop in spans]

    def _word(self, line: bytes, number: int) -> None:
        if line[:1] == b"#" or not line.strip():
            return
        if line.startswith(b"events:"):
            self._set_events(_text(line[7:]).split())
        elif line.startswith(b"summary:"):
            self._set_summary(_text(line[8:]).split(), number)
        elif line.startswith(b"desc:"):
            self.notes.append(" ".join(_text(line[5:]).split()))
        elif line.startswith(b"cmd:"):
            self.command = self.command or _text(line[4:]).strip()
        else:
            self._bad(1, number)

    def _set_events(self, names: list[str]) -> None:
        if not names or len(names) > MOST_EVENTS or len(set(names)) < len(names):
            raise ParseError(
                f"{self.source.name} does not say what it counts: its line of events is damaged.",
                source=self.source.name,
            )
        if self.events and tuple(names) != self.events:
            raise ParseError(
                f"{self.source.name} counts {' '.join(self.events)} and then {' '.join(names)}: it is not one file.",
                source=self.source.name,
            )
        self.events = tuple(names)
        self._heads += 1
        self._sums = self._sums or Sums(self.source.name, len(names))

    def _set_summary(self, words: list[str], number: int) -> None:
        if len(words) > len(self.events) or not all(_PLAIN_SUM.fullmatch(word) for word in words):
            self._bad(1, number)
            return
        self._ends += 1
        figures = [int(word) for word in words] + [0] * (len(self.events) - len(words))
        if self.summary is not None:
            figures = [one + other for one, other in zip(self.summary, figures, strict=True)]
        if any(abs(figure) >= 2**63 for figure in figures):
            self._huge(1, number)
            return
        self.summary = tuple(figures)

    def _costs(self, lines: Lines, group: Int64) -> None:
        if self._sums is None:
            raise ParseError(
                f"{self.source.name} has costs before it says of what: a line of events is missing.",
                source=self.source.name,
                line=self._number + int(np.argmax(lines.figures)) + 1,
            )
        figures = figures_of(lines)
        words = figures.words
        line = figures.value[np.minimum(figures.first[:-1], max(len(figures.value) - 1, 0))]
        bad = figures.bad | (words > len(self.events) + 1) | (words < 1) | (group < 0)
        if figures.sign.any():
            alien = (figures.sign == ord("*")) | (figures.sign == ord("+"))
            bad |= np.add.reduceat(alien, figures.first[:-1]) > 0
        costs = figures.matrix(1, len(self.events))
        # A line number of -1 stands for one that is not known in old files of cg_merge.
        line = np.where((line < 0) | (line > _LAST_LINE), 0, line)
        if bad.any():
            numbers = self._number + np.flatnonzero(lines.figures) + 1
            if figures.huge.any():
                self._huge(int(figures.huge.sum()), int(numbers[np.argmax(figures.huge)]))
            other = bad & ~figures.huge
            if other.any():
                self._bad(int(other.sum()), int(numbers[np.argmax(other)]))
            group, line, costs = group[~bad], line[~bad], costs[~bad]
        self._sums.add((group << _LINE_BITS) | line, costs)

    def _bad(self, lines: int, number: int) -> None:
        self.damaged += lines
        self.first_damaged = min(self.first_damaged or number, number)  # words of a block come before its figures

    def _huge(self, lines: int, number: int) -> None:
        self.huge += lines
        self.first_huge = min(self.first_huge or number, number)

    def recording(self) -> Recording:
        if self._sums is None:
            raise ParseError(
                f"{self.source.name} does not say what it counts: it has no line of events.",
                source=self.source.name,
                advice="A file of cachegrind begins with lines of desc:, cmd: and events:.",
            )
        keys, costs = self._sums.total()
        if not len(keys):
            raise ParseError(
                f"{self.source.name} holds no costs of functions.",
                source=self.source.name,
                advice="The program was ended before cachegrind could write: end it with SIGTERM, not with SIGKILL.",
            )
        self.source.report(0.9)
        group, line = keys >> _LINE_BITS, keys & _LAST_LINE
        groups = np.array(list(self._groups), dtype=np.int64)
        table = cost_table(
            events=self.events,
            place=Place(group, line, np.full(len(groups), NONE), groups >> _LINE_BITS, groups & _LAST_LINE),
            modules=(),
            files=tuple(self._files),
            functions=tuple(self._functions),
            costs=costs,
            totals=self.summary,
            notes=tuple(self.notes),
        )
        profile, folded = line_profile(table)
        return Recording(
            tool="cachegrind",
            format=CACHEGRIND.name,
            source=self.source.name,
            results=(profile, table),
            meta=Meta(command=words_of_command(self.command)),
            warnings=self._told(table, folded),
        )

    def _told(self, table: CostTable, folded: tuple[Caution, ...]) -> tuple[Caution, ...]:
        told = list(folded)
        sums = table.costs.sum(axis=0)
        if self._heads > 1:
            told.append(
                Caution(
                    f"It is {self._heads:,} files of cachegrind, one behind the other, where the format has one: their"
                    " costs are added up, also where one of them stands there twice.",
                    "Cut it in front of each first line of “desc:”, and open one of them alone.",
                )
            )
        if self._ends < self._heads:
            told.append(
                Caution(
                    f"The file ends before its summary: {count(len(table))} lines of costs were read, and the rest is"
                    " missing.",
                    "Record again, and end the program with SIGTERM, not with SIGKILL.",
                )
            )
        elif self.summary is not None and any(int(a) != b for a, b in zip(sums, self.summary, strict=True)):
            at = next(i for i, (a, b) in enumerate(zip(sums, self.summary, strict=True)) if int(a) != b)
            told.append(
                Caution(
                    f"Its lines add up to {count(int(sums[at]))} {self.events[at]}, its own summary says"
                    f" {count(self.summary[at])}: {'lines were left out' if self.huge else 'a part may be missing'}.",
                    "Copy the file again, or record again.",
                )
            )
        told += (*excess(self.huge, self.first_huge), *damage(self.damaged, self.first_damaged))
        if "I1mr" not in self.events and "D1mr" not in self.events:
            told.append(
                Caution(
                    "The caches were not simulated: it counts instructions alone, and no miss rates can be told.",
                    "Record with --cache-sim=yes.",
                )
            )
        return (*told, *large_last_level(self.notes, self.events))


def large_last_level(notes: Iterable[str], events: Sequence[str]) -> Iterator[Caution]:
    """That hardly anything misses the last-level cache, where a whole socket's was simulated."""
    found = next(filter(None, map(_LAST_LEVEL_NOTE.match, notes)), None)
    if found is not None and int(found[1]) > _LARGEST_SHARE and any(event in events for event in ("DLmr", "DLmw")):
        yield Caution(
            f"A last-level cache of {int(found[1]) >> 20} MiB was simulated: what a program has of a real one is"
            " smaller, so that misses of it are too few.",
            "Record with a last-level cache of 32M,16,64 (--LL=33554432,16,64).",
        )


def excess(lines: int, first: int) -> list[Caution]:
    """That numbers were too large, where some were."""
    if not lines:
        return []
    what = "1 line holds a number that is" if lines == 1 else f"{lines:,} lines hold numbers that are"
    return [
        Caution(
            f"{what} too large to be true, 2^63 or more, and left out (the first is line {first:,}).",
            "The file was changed or damaged: copy it again, or record again.",
        )
    ]


def damage(lines: int, first: int) -> list[Caution]:
    """That lines were passed over, where some were."""
    if not lines:
        return []
    what = "1 line is" if lines == 1 else f"{lines:,} lines are"
    return [Caution(f"{what} no part of the format and ignored (the first is line {first:,}).")]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="backslashreplace")
