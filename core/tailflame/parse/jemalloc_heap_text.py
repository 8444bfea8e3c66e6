"""The text of jemalloc's dumps, and of gperftools' which they descend from.

    heap_v2/524288
      t*: 7: 770048 [15283: 4987098]
      t0: 7: 770048 [15283: 4987098]
    @ 0x7f8c0cea2630 0x55ffb0192203
      t*: 6: 688128 [6: 688128]
      t0: 6: 688128 [6: 688128]

    MAPPED_LIBRARIES:
    55ffb0191000-55ffb0192000 r--p 00000000 fe:00 10100820    /opt/engine/engine

`t*` is all threads together; those that follow would count twice. The first `t*` is not the sum of the stacks'
(jemalloc 5.3 corrects each of them by itself). Figures are blocks and bytes in use, and in brackets all that ever were,
zero without prof_accum. Written by prof_dump_ctx in jemalloc's src/prof_data.c. gperftools writes a stack in one line:
`     6:   688128 [     6:   688128] @ 0x7f8c0cea2630 0x55ffb0192203`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from tailflame.errors import ParseError
from tailflame.model.stacks import Float64, Int64, UInt64
from tailflame.parse.jemalloc_heap_files import FROM, JOINED
from tailflame.parse.source import Source

_BEGIN = re.compile(r"heap_v2/(\d{1,18})")
_OLD = re.compile(r"heap profile: .*@ (\S+)")
_TOTAL = re.compile(r"\s*t\*: (\d{1,18}): (\d{1,18}) \[(\d{1,18}): (\d{1,18})\]\s*")
_THREAD = re.compile(r"\s*t\d+: .*")
_OLD_STACK = re.compile(r"\s*(\d{1,18}):\s*(\d{1,18}) \[\s*(\d{1,18}):\s*(\d{1,18})\] @((?: 0x[0-9a-fA-F]{1,16})*)\s*")
_DEEPEST = 4096
"""Callers of one allocation: jemalloc keeps 128, and 1,024 at most. A longer line is not its own."""
_STACK = re.compile(r"@((?: 0x[0-9a-fA-F]{1,16})*)\s*")
_MAP = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16}) \S{4} ([0-9a-f]{1,16}) \S+ (\d{1,20})\s*(.*)")
_MAPS = "MAPPED_LIBRARIES:"
_MOST_ADDRESSES = 30_000_000
"""Of all stacks of a file; some 250 MB of them."""


@dataclass(slots=True)
class Dump:
    """One dump.

    addresses: of all stacks one after another, innermost first; lengths: per stack; figures: blocks and bytes in use,
    all blocks and bytes ever, as they were sampled. rate: bytes between two samples, 0: all was counted. maps: (start,
    end, offset, inode, path) of what was loaded. name, written: as the file that joins several tells them. whole:
    whether it ends as it should.
    """

    name: str = ""
    written: float = float("nan")
    rate: float = 0.0
    addresses: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    figures: list[tuple[int, int, int, int]] = field(default_factory=list)
    maps: list[tuple[int, int, int, int, str]] = field(default_factory=list)
    old: bool = False
    whole: bool = False

    def stacks(self) -> tuple[UInt64, Int64]:
        return np.array(self.addresses, np.uint64), np.array(self.lengths, np.int64)

    def estimated(self) -> Float64:
        """The figures as jeprof estimates them: one row per stack.

        An allocation of so many bytes is sampled with the probability 1 - exp(-bytes / rate); what was seen stands for
        what was not. By stack, with the mean size of its blocks.
        """
        figures = np.array(self.figures, np.float64).reshape(-1, 4)
        if not self.rate:
            return figures
        for count, size in ((0, 1), (2, 3)):
            some = figures[:, count] > 0
            mean = figures[some, size] / figures[some, count]
            chance = -np.expm1(-mean / self.rate)
            scale = np.where(chance > 0, 1 / np.where(chance > 0, chance, 1), 1.0)
            figures[some, count] *= scale
            figures[some, size] *= scale
        return figures


def read_dumps(source: Source) -> Iterator[Dump]:
    """The dumps of a file in their order. ParseError where a line is none of theirs and is not the last one."""
    reading = _Reading(source)
    for number, line in enumerate(source.lines(), 1):
        yield from reading.line(line, number)
    yield from reading.end()


@dataclass(slots=True)
class _Reading:
    source: Source
    dump: Dump | None = None
    _next: tuple[str, float] = ("", float("nan"))
    _stack: list[int] | None = None
    _in_maps: bool = False
    _strange: int = 0
    _held: int = 0

    def line(self, line: str, number: int) -> Iterator[Dump]:
        if self._strange:
            raise self._wrong(self._strange)
        dump = self.dump
        if dump is not None and not self._in_maps:
            if line.startswith("@"):
                self._begin_stack(line, number)
                return
            if self._figures(dump, line):
                return
        begin = _BEGIN.fullmatch(line.rstrip())
        old = _OLD.match(line) if begin is None else None
        if begin is not None or old is not None:
            yield from self.end()
            name, written = self._next
            self._next = ("", float("nan"))
            rate = float(begin[1]) if begin is not None else self._old_rate(old[1] if old else "")
            self.dump = Dump(name, written, rate, old=old is not None)
        elif line.startswith(FROM):
            name, _, written_at = line[len(FROM) :].rpartition(" ")
            self._next = (
                name,
                float(written_at) if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", written_at) else float("nan"),
            )
        elif dump is not None and line.rstrip() == _MAPS:
            self._in_maps = True
        elif dump is not None and self._in_maps:
            found = _MAP.fullmatch(line)
            if found is not None:
                start, end, offset = (int(found[group], 16) for group in (1, 2, 3))
                dump.maps.append((start, end, offset, int(found[4]), found[5]))
        elif line.strip() and line.rstrip() != JOINED:
            self._strange = number

    def _begin_stack(self, line: str, number: int) -> None:
        found = _STACK.fullmatch(line)
        if found is None or found[1].count(" ") > _DEEPEST:
            self._strange = number
            return
        self._stack = [int(word, 16) for word in found[1].split()]

    def _figures(self, dump: Dump, line: str) -> bool:
        """Whether the line holds figures, of a stack or of all of them."""
        if dump.old:
            whole = _OLD_STACK.fullmatch(line)
            if whole is None:
                return False
            self._stack = [int(word, 16) for word in whole[5].split()]
            self._add(dump, (int(whole[1]), int(whole[2]), int(whole[3]), int(whole[4])))
            return True
        total = _TOTAL.fullmatch(line)
        if total is None:
            return _THREAD.fullmatch(line) is not None
        if self._stack is not None:
            self._add(dump, (int(total[1]), int(total[2]), int(total[3]), int(total[4])))
        return True

    def _add(self, dump: Dump, figures: tuple[int, int, int, int]) -> None:
        stack = self._stack or []
        self._stack = None
        self._held += len(stack)
        if self._held > _MOST_ADDRESSES:
            raise ParseError(
                f"{self.source.name} holds more than {_MOST_ADDRESSES:,} addresses, too many to show.",
                source=self.source.name,
                advice="Open fewer dumps, or sample less often (lg_prof_sample).",
            )
        dump.addresses += stack
        dump.lengths.append(len(stack))
        dump.figures.append(figures)

    def end(self) -> Iterator[Dump]:
        """Hands out the dump that has ended."""
        if self.dump is not None:
            told = bool(self.dump.maps) or not self.dump.lengths
            self.dump.whole = self._in_maps and told and self._stack is None and not self._strange
            yield self.dump
        self.dump, self._stack, self._in_maps = None, None, False

    def _old_rate(self, kind: str) -> float:
        if kind == "heapprofile":
            return 0.0
        found = _BEGIN.fullmatch(kind)
        if found is not None:
            return float(found[1])
        raise ParseError(
            f"{self.source.name} is a heap profile of the kind “{kind[:40]}”, which Tailflame does not read.",
            source=self.source.name,
            advice="It reads those of jemalloc, and of gperftools' HEAPPROFILE.",
        )

    def _wrong(self, line: int) -> ParseError:
        return ParseError(
            f"Line {line:,} of {self.source.name} is none that jemalloc writes.",
            source=self.source.name,
            line=line,
            advice="Copy the file again, or dump again.",
        )
