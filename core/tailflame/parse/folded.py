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
from typing import Any

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
from tailflame.model.stacks import Bool, Float64, Int32, Int64, readonly
from tailflame.parse.folded_lines import Lines, cut_blocks
from tailflame.parse.frames import ANNOTATIONS, doubted_counts, frame_table
from tailflame.parse.registry import NO
from tailflame.parse.source import HEAD, Source, decode_head
from tailflame.parse.token_table import TokenTable
from tailflame.parse.trie import Trie

_COUNT = re.compile(r"\d+(?:\.\d*)?", re.ASCII)
_SUFFIXES = (".folded", ".collapsed", ".stacks", ".stackcollapse")
_LONG_NAME = 512
"""Characters: more than frames have on average."""
_BATCH, _SMALL_BATCH = 32_000_000, 1_000_000
"""Frames and stacks held as plain numbers before they are merged into the trie; and where stacks mostly come again."""
_MOSTLY_NEW = 0.2
_LARGE = 500_000
"""The same from which on it pays to number frames by name."""
_SMALL_FILE = 8 * 1024 * 1024
_LOOSE = 200_000
"""Frames of stacks that came one by one."""


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
        reader.singles(stacks)
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

    def singles(self, stacks: _Stacks) -> None:
        number = 1
        blocks = self.source.byte_blocks()
        for lines in cut_blocks(blocks, stacks.table, many=self.source.size > _SMALL_FILE):
            self.good += lines.usual
            odd: dict[int, tuple[str, float]] = {}
            for at in lines.odd.tolist():
                line = lines.text(at)
                if not _is_comment(line):
                    split = _split(line)
                    if split is None:
                        self._ignore(number + at, line)
                    else:
                        self.good += 1
                        odd[at] = split
            stacks.add_lines(lines, odd)
            number += len(lines.length)

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
    """Collects stacks in flat arrays: 4 bytes per frame until a batch is merged, 12 bytes per distinct stack.

    A stack that comes again adds to its count: a file that repeats a few stacks for ever takes no memory.
    """

    table: TokenTable = field(default_factory=TokenTable)
    trie: Trie = field(default_factory=Trie)
    _frames: list[Int32] = field(default_factory=list)
    _lengths: list[Int64] = field(default_factory=list)
    _counts: list[Float64] = field(default_factory=list)
    _held: int = 0
    _batch: int = _SMALL_BATCH
    _loose_frames: array[int] = field(default_factory=lambda: array("i"))
    _loose_lengths: array[int] = field(default_factory=lambda: array("i"))
    _loose_counts: array[float] = field(default_factory=lambda: array("d"))
    _seen: list[Int64] = field(default_factory=list)
    """Rows of the trie, counted from 1 (0: no frames), in the order in which they first ended a stack."""
    _total: Float64 = field(default_factory=lambda: np.zeros(1))
    """Per row of the trie, with one more in front."""
    _is_seen: Bool = field(default_factory=lambda: np.zeros(1, np.bool_))

    def add(self, stack: str, count: float) -> None:
        if not count:
            return
        frames = self._numbers(stack)
        self._loose_frames.extend(frames)
        self._loose_lengths.append(len(frames))
        self._loose_counts.append(count)
        if len(self._loose_frames) > _LOOSE:
            self._gather()

    def add_lines(self, lines: Lines, odd: dict[int, tuple[str, float]]) -> None:
        """odd: lines that are not usual, as stack and count."""
        frames, length, count, stands = lines.frames(self.table), lines.length, lines.count, lines.counted
        if odd:
            stands = stands.copy()
            length, count = length.copy(), count.copy()
            numbers = {at: self._numbers(stack) if weight else [] for at, (stack, weight) in odd.items()}
            for at, (_, weight) in odd.items():
                stands[at], length[at], count[at] = weight > 0, len(numbers[at]), weight
            whole = np.empty(int(length.sum()), np.int32)
            whole[np.repeat(lines.counted, length)] = frames
            begin = np.cumsum(length) - length
            for at, own in numbers.items():
                whole[begin[at] : begin[at] + len(own)] = own
            frames = whole
        if not stands.all():
            length, count = length[stands], count[stands]
        self._take(frames, length, count)

    def _numbers(self, stack: str) -> list[int]:
        names = stack.split(";")
        if not names[-1]:
            names.pop()  # "a;b;" and "": flamegraph.pl drops an empty last frame too
        return [self.table.names[name] for name in names]

    def _take(self, frames: Int32, length: Int64, count: Float64) -> None:
        self._frames.append(frames)
        self._lengths.append(length)
        self._counts.append(count)
        self._held += len(frames) + len(length)
        if self._held > self._batch:
            if not len(self.trie) and self._batch < _BATCH and self._mostly_new():
                self._batch = _BATCH  # to merge them in many steps would take longer, and save nothing
            else:
                self._merge()

    def _mostly_new(self) -> bool:
        """Whether few of the stacks so far are alike."""
        frames, length = np.concatenate(self._frames), np.concatenate(self._lengths)
        length = length[length > 0]
        begin = np.cumsum(length) - length
        place = np.arange(len(frames)) - np.repeat(begin, length)
        mixed = (frames.astype(np.uint64) + 1) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= (place.astype(np.uint64) + 1) * np.uint64(0xC2B2AE3D27D4EB4F)
        mixed = (mixed ^ mixed >> np.uint64(29)) * np.uint64(0xBF58476D1CE4E5B9)
        return len(np.unique(np.add.reduceat(mixed, begin))) > _MOSTLY_NEW * len(length)

    def _gather(self) -> None:
        """Adds what came stack by stack."""
        frames, lengths, counts = self._loose_frames, self._loose_lengths, self._loose_counts
        if lengths:
            self._loose_frames, self._loose_lengths, self._loose_counts = array("i"), array("i"), array("d")
            self._take(np.array(frames, np.int32), np.array(lengths, np.int64), np.array(counts, np.float64))

    def _merge(self) -> None:
        if not self._lengths:
            return
        frames = _joined(self._frames)
        leaf = self.trie.add(frames, _joined(self._lengths)).astype(np.int64) + 1
        count = _joined(self._counts)
        self._held = 0
        size = len(self.trie) + 1
        more = size - len(self._total)
        self._total = np.append(self._total, np.zeros(more)) + np.bincount(leaf, weights=count, minlength=size)
        self._is_seen = np.append(self._is_seen, np.zeros(more, np.bool_))
        first = np.empty(size, np.int64)
        first[leaf[::-1]] = np.arange(len(leaf) - 1, -1, -1)  # the last one written stands
        fresh = leaf[(first[leaf] == np.arange(len(leaf))) & ~self._is_seen[leaf]]
        self._is_seen[fresh] = True
        self._seen.append(fresh)

    def profile(self) -> StackProfile:
        self._gather()
        names = list(self.table.names)
        if not len(self.trie) and self._held > _LARGE:  # and all in one batch
            # Let frames be numbered by name: then siblings stand by name, as they will be drawn.
            bare = [name[:-4] if name[-4:] in ANNOTATIONS else name for name in names]
            by_name = sorted(range(len(names)), key=bare.__getitem__)
            number = np.empty(len(names), np.int32)
            number[by_name] = np.arange(len(names), dtype=np.int32)
            self._frames = [number[frames] for frames in self._frames]
            names = [names[i] for i in by_name]
        self._merge()
        stacks, place = self.trie.ordered()
        seen = np.concatenate([np.empty(0, np.int64), *self._seen])
        rows = len(seen)
        counts = readonly(self._total[seen], np.float64)
        none = readonly(np.full(rows, NONE, np.int32), np.int32)
        return StackProfile(
            frames=frame_table(names),
            stacks=stacks,
            samples=SampleTable(
                stack=readonly(np.append(np.int32(NONE), place)[seen], np.int32),
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


def _joined(parts: list[Any]) -> Any:
    """The parts in one array; the list is emptied, so that they are not held twice for long."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole
