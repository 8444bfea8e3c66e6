"""A heaptrack file read from beginning to end: what its lines say, put together."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from tailflame.errors import ParseError
from tailflame.model.stacks import Bool, Int64
from tailflame.parse.heaptrack_counts import SIZE_LIMIT, Counts, Infos, Overflow
from tailflame.parse.heaptrack_lines import LineBlock, LineReader, Pairs
from tailflame.parse.heaptrack_stacks import Traces

NEWEST = 3
"""Newest version of the format that is known, as heaptrack 1.4 to 1.6 write it."""

POINTER_MARK = b"# tailflame "
"""Begins the comments in which Tailflame keeps what only the raw file told: see heaptrack_raw."""

_MOST = 2**63
_MOST_RULES, _LONGEST_RULE = 1_000, 500
_NONE: Int64 = np.empty(0, np.int64)


@dataclass(slots=True)
class ByPointer:
    """Temporary allocations by the block that was freed, as the raw file tells them.

    traces: (trace, calls, bytes); stamps: temporary calls between each two time stamps; total: -1 until all is read.
    """

    traces: list[tuple[int, int, int]] = field(default_factory=list)
    stamps: array[int] = field(default_factory=lambda: array("q"))
    total: int = -1


@dataclass(slots=True)
class HeaptrackFile:
    """What was read. damaged: lines that were left out; first_damaged: the first of them.

    damaged_times: time stamps that went back. attached: heaptrack was injected into a running program.
    """

    name: str
    version: tuple[int, int] = (0, 0)
    """heaptrack's own, as 0x010400, and the format's."""
    command: str = ""
    page: int = 4096
    traces: Traces = field(default_factory=Traces)
    infos: Infos = field(default_factory=Infos)
    counts: Counts = field(init=False)
    suppressions: list[str] = field(default_factory=list)
    peak_rss: int = 0
    damaged: int = 0
    first_damaged: str = ""
    damaged_times: int = 0
    attached: bool = False
    cut: bool = False
    """The raw file, of which this one was made, ended in the middle."""
    pointers: ByPointer = field(default_factory=ByPointer)
    _latest: int = 0

    def __post_init__(self) -> None:
        self.counts = Counts(self.infos)

    def read(self, blocks: Iterable[bytes]) -> None:
        """All of `blocks`, which hold whole lines."""
        reader = LineReader()
        for block in blocks:
            try:
                self._block(reader.read(block))
            except Overflow:
                raise ParseError(
                    f"{self.name} holds sizes that no memory has room for: it is damaged.", source=self.name
                ) from None

    def _block(self, lines: LineBlock) -> None:
        known = len(self.infos)
        defined = self._pairs(lines.pairs) if lines.pairs is not None else _NONE
        stamps: list[tuple[int, int]] = []
        resets: list[int] = []
        rss: list[tuple[int, int]] = []
        for line, at in zip(lines.others, lines.at.tolist(), strict=True):
            match line[:2]:
                case b"c ":
                    time = self._time(line)
                    if time >= 0:
                        stamps.append((at, time))
                case b"R ":
                    rss.append((len(stamps), self._rss(line)))
                case b"A":
                    resets.append(at)
                    self.attached = True
                case _:
                    self._other(line)
        info, freed = lines.info, lines.freed
        right = self._known(info, known, defined)
        if right is not None:
            wrong = np.flatnonzero(~right)
            self._bad(b"", number=len(wrong), what=f"{'-' if freed[wrong[0]] else '+'} {int(info[wrong[0]]):x}")
            kept = np.append(0, np.cumsum(right))
            info, freed = info[right], freed[right]
            stamps = [(int(kept[at]), time) for at, time in stamps]
            resets = [int(kept[at]) for at in resets]
        rows = len(self.counts.stamps)
        done = 0
        for reset in resets:
            self.counts.add(info[done:reset], freed[done:reset], [])
            self.counts.reset()
            done, rows = reset, 0
            stamps = [(at, time) for at, time in stamps if at >= reset]
        self.counts.add(info[done:], freed[done:], [(at - done, time) for at, time in stamps])
        for stamp, pages in rss:
            row = rows + stamp - 1
            self.peak_rss = max(self.peak_rss, pages)
            if 0 <= row < len(self.counts.stamps):
                self.counts.stamps[row] = self.counts.stamps[row]._replace(rss=pages)
        self.counts.thin()

    def _known(self, info: Int64, known: int, defined: Int64) -> Bool | None:
        """Where an event names an allocation info that is defined by then; None: everywhere."""
        if not len(info):
            return None
        # Infos are numbered as they come: the latest that an event can name is known from its place.
        late = np.flatnonzero(info >= known)
        wrong = late[info[late] >= known + np.searchsorted(defined, late, side="right")] if len(late) else late
        if int(info.min()) >= 0 and not len(wrong):
            return None
        right = info >= 0
        right[wrong] = False
        return right

    def _pairs(self, pairs: Pairs) -> Int64:
        """New traces and allocation infos; how many events came before each of these."""
        is_trace = ~pairs.is_info
        before = self.traces.pointer.number + np.cumsum(is_trace) - is_trace
        pointers = len(self.traces.pointers) + pairs.pointers
        whole = (pairs.first >= 0) & (pairs.second >= 0)
        # `t ip parent` and `a size trace` name what was there before them.
        known = np.where(pairs.is_info, pairs.first <= SIZE_LIMIT, pairs.first <= pointers) & whole
        above = (pairs.second <= before) & whole
        for row in np.flatnonzero(~(known & above)).tolist():
            mark = "a" if pairs.is_info[row] else "t"
            one, two = int(pairs.first[row]), int(pairs.second[row])
            self._bad(b"", what=f"{mark} {one:x} {two:x}" if whole[row] else f"{mark} …")
        self.traces.pointer.extend(np.where(known, pairs.first, 0)[is_trace])
        self.traces.parent.extend(np.where(above, pairs.second, 0)[is_trace])
        # The number of an info that is damaged stays taken, so that the next ones' stay right.
        right = (known & above)[pairs.is_info]
        self.infos.extend(
            np.where(right, pairs.first[pairs.is_info], 0), np.where(right, pairs.second[pairs.is_info], 0)
        )
        return pairs.at[pairs.is_info]

    def _time(self, line: bytes) -> int:
        """Milliseconds; -1 where the stamp is damaged: newer heaptracks skip one that goes back, too."""
        numbers = _numbers(line)
        if not numbers or numbers[0] >= _MOST:
            self._bad(line)
            return -1
        if numbers[0] < self._latest:
            self.damaged_times += 1
            return -1
        self._latest = numbers[0]
        return numbers[0]

    def _rss(self, line: bytes) -> int:
        numbers = _numbers(line)
        if not numbers or numbers[0] * self.page >= _MOST:
            self._bad(line)
            return 0
        return numbers[0]

    def _other(self, line: bytes) -> None:
        mark = line[:2]
        if mark == b"s ":
            text = line[2:]
            if self.version[1] >= 3:
                length, _, text = text.partition(b" ")
                wanted = _number(length)
                if wanted != len(text):
                    self._bad(line)
            self.traces.strings.append(text)
        elif mark == b"i ":
            numbers = _numbers(line)
            if not self.traces.add_pointer(numbers or ()):
                self._bad(line)
        elif mark == b"X ":
            self.command = self.command or line[2:].decode("utf-8", "backslashreplace")
        elif mark == b"I ":
            numbers = _numbers(line)
            if numbers and 0 < numbers[0] <= 2**30:
                self.page = numbers[0]
        elif mark == b"v ":
            self._version(line)
        elif mark == b"S ":
            # Format 3 says its length before it ("S f leak:known_leak"), which heaptrack_print 1.4 does not expect.
            length, _, rest = line[2:].partition(b" ")
            sized = self.version[1] >= 3 and _number(length) == len(rest)
            rule = (rest if sized else line[2:]).decode("utf-8", "backslashreplace").strip()
            few = len(self.suppressions) < _MOST_RULES
            if rule.startswith("leak:") and len("leak:") < len(rule) < _LONGEST_RULE and few:
                self.suppressions.append(rule.removeprefix("leak:"))
        elif line.startswith(POINTER_MARK):
            self._pointers(line)
        elif line and not line.startswith(b"#"):
            self._bad(line)

    def _version(self, line: bytes) -> None:
        self.version = version_of(line)
        if self.version[1] > NEWEST:
            raise ParseError(
                f"{self.name} is of version {self.version[1]} of heaptrack's format, written by heaptrack"
                f" {version_text(self.version[0])}; Tailflame knows versions up to {NEWEST}.",
                source=self.name,
                advice="Look for a newer Tailflame.",
            )

    def _pointers(self, line: bytes) -> None:
        words = line.removeprefix(POINTER_MARK).split()
        numbers = [_number(word) for word in words[1:]]
        if not words or min(numbers, default=0) < 0 or max(numbers, default=0) >= _MOST:
            return
        match words[0]:
            case b"temporary" if len(numbers) == 3:
                self.pointers.traces.append((numbers[0], numbers[1], numbers[2]))
            case b"stamps":
                self.pointers.stamps.extend(numbers)
            case b"temporaries" if numbers:
                self.pointers.total = numbers[0]
            case b"cut":
                self.cut = True

    def _bad(self, line: bytes, *, number: int = 1, what: str = "") -> None:
        self.damaged += number
        if not self.first_damaged:
            self.first_damaged = what or line[:80].decode("utf-8", "backslashreplace")


def version_of(line: bytes) -> tuple[int, int]:
    """heaptrack's and the format's version of a line `v 10400 3`.

    Format 0 has none, and what called itself 1.2.0 before 1.0.0 was out wrote format 1 without saying so.
    """
    numbers = _numbers(line) or [0]
    if len(numbers) > 1:
        return min(numbers[0], _MOST), min(numbers[1], _MOST)
    return min(numbers[0], _MOST), 1 if numbers[0] == 0x010200 else 0


def version_text(version: int) -> str:
    """0x010400 as "1.4.0"."""
    return f"{version >> 16}.{version >> 8 & 0xFF}.{version & 0xFF}" if 0 < version < 2**24 else ""


def _number(word: bytes) -> int:
    """A number in hex without 0x; -1 where it is none."""
    try:
        return int(word, 16) if word[:1] not in b"+-_" and len(word) <= 32 else -1
    except ValueError:
        return -1


def _numbers(line: bytes) -> list[int] | None:
    """The numbers after the line's mark; None where one is none."""
    try:
        numbers = [int(word, 16) for word in line[2:].split()]
    except ValueError:
        return None
    return None if numbers and min(numbers) < 0 else numbers
