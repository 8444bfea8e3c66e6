"""Folded stacks: `main;parse;read 42`, one stack per line, root first.

The grammar is that of flamegraph.pl (`/^(.*)\\s+?(\\d+(?:\\.\\d*)?)$/`), with its faults mended: CRLF and
UTF-16 are read, and whether a file is differential (two counts per line, as difffolded.pl writes) is decided
for the whole file, because a frame's name may end in a number ("main;thread 12 5").
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import (
    NONE,
    Caution,
    Event,
    Recording,
    SampleTable,
    StackProfile,
)
from tailflame.model.stacks import Int32, readonly
from tailflame.parse.frames import Numbers, doubted_counts, frame_table
from tailflame.parse.registry import NO
from tailflame.parse.source import HEAD, Source, decode_head
from tailflame.parse.trie import Trie

_COUNT = re.compile(r"\d+(?:\.\d*)?", re.ASCII)
_SUFFIXES = (".folded", ".collapsed", ".stacks", ".stackcollapse")
_LONG_NAME = 512
"""Characters: more than frames have on average."""
_BATCH = 32_000_000
"""Frames held as plain numbers before they are merged into the trie."""
_CACHE = 32 * 1024 * 1024
"""Characters of stack texts remembered, for files whose lines repeat."""


class Folded:
    name = "folded"
    title = "folded stacks"

    def sniff(self, head: bytes, name: str) -> float:
        if b"\0" in head[:512] and not head.startswith((b"\xff\xfe", b"\xfe\xff")) and head[:2].count(0) != 1:
            return NO
        text = decode_head(head)
        if text.lstrip().startswith(("<", "{", "[{")):
            return NO
        lines = text.split("\n")
        cut = lines.pop() if len(head) >= HEAD else ""
        lines = [line for line in lines if not _is_comment(line)]
        if not lines:
            # A recursion thousands deep fills the whole head with its first line: only reading on shows the count.
            return 0.3 if cut.count(";") * _LONG_NAME >= max(len(cut), 1) else NO
        split = [parts for line in lines if (parts := _split(line)) is not None]
        good = len(split) / len(lines)
        if good < 0.5:
            return NO
        known_suffix = name.lower().endswith(_SUFFIXES)
        deep = sum(";" in stack for stack, _ in split) / len(split)
        if not deep and not known_suffix:
            # Tables of numbers end in numbers as well; a lone frame with a count does not begin with one.
            plain = sum(_split(stack) is None and not stack.lstrip()[:1].isdigit() for stack, _ in split)
            if plain < len(lines):
                return NO
        return 0.3 * good + 0.5 * (deep > 0) + 0.1 * deep + 0.05 * known_suffix

    def load(self, source: Source) -> Recording:
        if _is_differential(source):
            before, after = _Stacks(), _Stacks()
            reader = _Reader(source)
            for stack, first, second in reader.pairs():
                before.add(stack, first)
                after.add(stack, second)
            return _recording(source, after, reader, baseline=before.profile())
        stacks = _Stacks()
        reader = _Reader(source)
        for stack, count in reader.singles():
            stacks.add(stack, count)
        return _recording(source, stacks, reader)


FOLDED = Folded()


def _recording(source: Source, stacks: _Stacks, reader: _Reader, *, baseline: StackProfile | None = None) -> Recording:
    if not reader.good:
        raise ParseError(
            f"{source.name} holds no folded stacks: no line ends in a count.",
            source=source.name,
            advice="A line of folded stacks looks like this: main;parse;read 42",
        )
    profile = stacks.profile()
    return Recording(
        tool="",
        format=FOLDED.name,
        source=source.name,
        results=(profile,),
        warnings=reader.cautions() + doubted_counts(profile),
        baseline=baseline,
    )


def _is_comment(line: str) -> bool:
    return not line or line.startswith("# ") or line == "#" or line.isspace()


def _split(line: str) -> tuple[str, float] | None:
    """The text before the count and the count; None where there is no count."""
    parts = line.rsplit(None, 1)
    if len(parts) == 2:
        text = parts[1]
        if (text.isdecimal() and text.isascii()) or _COUNT.fullmatch(text):
            stack = parts[0]
        else:
            return None
    elif parts and line[0].isspace() and _COUNT.fullmatch(parts[0]):
        stack, text = "", parts[0]  # a count without a stack
    else:
        return None
    count = float(text)
    return (stack, count) if count != float("inf") else None


def _is_differential(source: Source) -> bool:
    """Whether every line has two counts. Reads on only as long as that holds."""
    seen = False
    for block in source.line_blocks():
        for line in block:
            if _is_comment(line):
                continue
            outer = _split(line)
            if outer is None:
                continue  # ignored, and told, either way
            if _split(outer[0]) is None:
                return False
            seen = True
    return seen


@dataclass(slots=True)
class _Reader:
    """Goes through the lines, and counts the ones that are not stacks."""

    source: Source
    good: int = 0
    ignored: int = 0
    first_ignored: tuple[int, str] = (0, "")

    def singles(self) -> Iterable[tuple[str, float]]:
        number = 0
        for block in self.source.line_blocks():
            for line in block:
                number += 1
                if not line:
                    continue
                # The usual line, without the calls of the general case.
                stack, _, text = line.rpartition(" ")
                if (
                    text.isdecimal()
                    and text.isascii()
                    and len(text) < 300
                    and stack
                    and stack[-1] > " "
                    and line[0] != "#"
                ):
                    self.good += 1
                    yield stack, float(text)
                elif not _is_comment(line):
                    split = _split(line)
                    if split is None:
                        self._ignore(number, line)
                    else:
                        self.good += 1
                        yield split

    def pairs(self) -> Iterable[tuple[str, float, float]]:
        for number, line in enumerate(self.source.lines(), 1):
            if _is_comment(line):
                continue
            outer = _split(line)
            inner = _split(outer[0]) if outer else None
            if outer is None or inner is None:
                self._ignore(number, line)
            else:
                self.good += 1
                yield inner[0], inner[1], outer[1]

    def cautions(self) -> tuple[Caution, ...]:
        if not self.ignored:
            return ()
        number, line = self.first_ignored
        shown = line if len(line) <= 60 else f"{line[:59]}…"
        one = self.ignored == 1
        what = "1 line without a count was" if one else f"{self.ignored:,} lines without a count were"
        where = f"line {number}" if one else f"the first is line {number}"
        return (
            Caution(
                f"{what} ignored ({where}: “{shown}”).",
                "Check that the file was not cut or mixed with other output.",
            ),
        )

    def _ignore(self, number: int, line: str) -> None:
        if not self.ignored:
            self.first_ignored = (number, line)
        self.ignored += 1


@dataclass(slots=True)
class _Stacks:
    """Collects stacks in flat arrays: 4 bytes per frame until a batch is merged, 8 bytes per stack.

    A stack that comes again soon adds to its count: a file that repeats a few stacks for ever takes no memory.
    """

    names: Numbers = field(default_factory=Numbers)
    trie: Trie = field(default_factory=Trie)
    _frames: array[int] = field(default_factory=lambda: array("i"))
    _lengths: array[int] = field(default_factory=lambda: array("i"))
    _leaves: list[Int32] = field(default_factory=list)
    _stacks: int = 0
    _counts: array[float] = field(default_factory=lambda: array("d"))
    _recent: dict[str, int] = field(default_factory=dict)
    _remembered: int = 0

    def add(self, stack: str, count: float) -> None:
        if not count:
            return
        number = self._recent.get(stack)
        if number is not None:
            self._counts[number] += count
            return
        self._counts.append(count)
        self._remembered += len(stack)
        if self._remembered > _CACHE:
            self._recent.clear()
            self._remembered = 0
        self._recent[stack] = self._stacks
        self._stacks += 1
        names = stack.split(";")
        if not names[-1]:
            names.pop()  # "a;b;" and "": flamegraph.pl drops an empty last frame too
        self._frames.extend(map(self.names.__getitem__, names))
        self._lengths.append(len(names))
        if len(self._frames) > _BATCH:
            self._merge()

    def profile(self) -> StackProfile:
        self._merge()
        rows = len(self._counts)
        stacks, place = self.trie.ordered()
        place = np.append(place, np.int32(NONE))  # which -1 reads: a stack without frames
        leaves = place[np.concatenate([np.empty(0, np.int32), *self._leaves])]
        counts = readonly(np.frombuffer(self._counts, np.float64), np.float64)
        none = readonly(np.full(rows, NONE, np.int32), np.int32)
        return StackProfile(
            frames=frame_table(self.names),
            stacks=stacks,
            samples=SampleTable(
                stack=readonly(leaves, np.int32),
                count=counts,
                period=counts,
                time_ns=readonly(np.full(rows, NONE, np.int64), np.int64),
                thread=none,
                cpu=none,
                event=readonly(np.zeros(rows, np.int32), np.int32),
            ),
            threads=(),
            events=(Event("samples"),),
        )

    def _merge(self) -> None:
        self._leaves.append(self.trie.add(np.frombuffer(self._frames, np.int32), self._lengths))
        self._frames = array("i")
        self._lengths = array("i")
