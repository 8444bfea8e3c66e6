"""massif.out: snapshots of the heap over time, some of them with a call tree. `heaptrack_print -M` writes them too.

    desc: --time-unit=ms
    cmd: ./engine --orders 50000
    time_unit: ms
    #-----------
    snapshot=0
    #-----------
    time=0
    mem_heap_B=0
    mem_heap_extra_B=0
    mem_stacks_B=0
    heap_tree=empty

Instead of `empty` a tree follows `detailed` or `peak` (massif_lines.py). A tree adds up to mem_heap_B; ms_print's
percentages are of all three figures together. Written by pp_snapshot in valgrind's massif/ms_main.c.

heaptrack writes times with fractions and its header last, or none, so that ms_print refuses its files; and of its trees
little more than the roots (seen in 1.4.0).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tailflame.errors import ParseError
from tailflame.model import NONE, Caution, Event, Meta, Recording
from tailflame.model.heap import Counted, HeapFacts, HeapTimeline, TimeUnit
from tailflame.model.stacks import Bool, Int32, Int64, readonly
from tailflame.parse.massif_desc import beside, counted, is_set
from tailflame.parse.massif_lines import Details, TreeLines, cut_blocks
from tailflame.parse.massif_trees import BELOW, Trees, Turned, frame_numbers, read_details, turned
from tailflame.parse.profile_tables import ProfileTables
from tailflame.parse.registry import NO
from tailflame.parse.source import Source
from tailflame.units import Unit

_BEGIN = re.compile(rb"(?:^|\n)#-+\r?\nsnapshot=\d+\r?\n#-+\r?\ntime=")
_HEADER = re.compile(rb"desc: ?[^\n]*\ncmd: [\s\S]*?\ntime_unit: ")
_TIME = re.compile(r"\d{1,18}(?:\.\d{1,9})?")
_BYTES = re.compile(r"\d{1,15}")
_NUMBER = re.compile(r"\d{1,9}")
_FIGURES = {"time": _TIME, "mem_heap_B": _BYTES, "mem_heap_extra_B": _BYTES, "mem_stacks_B": _BYTES}
_TREES = ("empty", "detailed", "peak")
_UNITS = {"i": (TimeUnit.INSTRUCTIONS, 1.0), "B": (TimeUnit.BYTES, 1.0), "s": (TimeUnit.SECONDS, 1.0),
          "ms": (TimeUnit.SECONDS, 1e-3)}  # fmt: skip
_SNAPSHOTS_LIMIT = 200_000
"""massif itself keeps at most 1,000."""
_LINES_AT_ONCE = 500_000
_MUCH = 16 * 1024 * 1024


class Massif:
    name = "massif"
    title = "massif.out"

    def sniff(self, head: bytes, name: str) -> float:
        if _BEGIN.search(head) is not None:
            return 0.95
        if _HEADER.match(head.replace(b"\r\n", b"\n")) is not None:
            return 0.9  # broken off before its first snapshot: to be said so
        return NO

    def load(self, source: Source) -> Recording:
        reading = _Reading(source)
        for lines in cut_blocks(source.byte_blocks(), many=source.size > _MUCH):
            reading.block(lines)
        return reading.recording()


MASSIF = Massif()


@dataclass(slots=True)
class _Snapshot:
    """line: where it begins; first, end: its tree's lines among those of all trees; tree: one of _TREES, "" until it is
    told; tree_line: where that is told."""

    number: int
    line: int
    first: int
    figures: dict[str, float] = field(default_factory=dict)
    tree: str = ""
    tree_line: int = 0
    end: int = 0

    @property
    def whole(self) -> bool:
        return bool(self.tree) and len(self.figures) == len(_FIGURES)


@dataclass(slots=True)
class _Reading:
    """A file as it comes, block by block."""

    source: Source
    header: dict[str, str] = field(default_factory=dict)
    snapshots: list[_Snapshot] = field(default_factory=list)
    _details: Details = field(default_factory=Details)
    _columns: list[tuple[npt.NDArray[Any], ...]] = field(default_factory=list)
    _lines: tuple[npt.NDArray[Any], ...] = ()
    """Of all trees: depth, children, size, detail."""
    _tree_lines: int = 0
    _line: int = 0
    """Of the last block's end."""
    _last_tree: int = 0
    _last_other: int = 0
    """The last line of a tree, and of anything else."""
    _strange: tuple[int, str] | None = None
    """A line that is none of the format's: it is forgiven where the file ends with it, cut short."""

    def block(self, lines: TreeLines) -> None:
        before = np.searchsorted(lines.line, lines.others).tolist()
        for (at, text), trees in zip(lines.other_texts(), before, strict=True):
            self._other(text, self._line + at + 1, self._tree_lines + trees)
        if len(lines.line):
            self._last_tree = self._line + int(lines.line[-1]) + 1
            self._forgive_not(self._last_tree)
            self._columns.append((lines.depth, lines.children, lines.size, self._details.numbers(lines)))
            self._tree_lines += len(lines.line)
        self._line += lines.lines

    def _other(self, text: str, number: int, trees: int) -> None:
        """One line that is no tree's; trees: how many lines of trees stand before it."""
        if not text or text[0] == "#":
            return
        self._forgive_not(number)
        self._last_other = number
        key, found, value = text.partition("=")
        snapshot = self.snapshots[-1] if self.snapshots else None
        if found and key == "snapshot" and _NUMBER.fullmatch(value):
            self._end_snapshot(trees)
            if trees and not self.snapshots:
                raise self._wrong(number, "begins the first snapshot, but a call tree stands before it")
            if len(self.snapshots) >= _SNAPSHOTS_LIMIT:
                raise self._wrong(number, f"begins one of more than {_SNAPSHOTS_LIMIT:,} snapshots")
            self.snapshots.append(_Snapshot(int(value), number, trees))
        elif snapshot is not None and key in _FIGURES and _FIGURES[key].fullmatch(value) and not snapshot.tree:
            snapshot.figures[key] = float(value)
        elif snapshot is not None and key == "heap_tree" and value in _TREES and not snapshot.tree:
            if trees != snapshot.first:
                raise self._wrong(number, "follows a call tree instead of standing before it")
            snapshot.tree, snapshot.tree_line = value, number
        elif (word := text.partition(":")[0]) in ("desc", "cmd", "time_unit"):
            self.header.setdefault(word, text[len(word) + 1 :].strip())
        elif snapshot is not None:
            self._strange = (number, text)
        # Before the first snapshot it is a line of the command, which may hold line breaks.

    def _end_snapshot(self, trees: int) -> None:
        if not self.snapshots:
            return
        last = self.snapshots[-1]
        last.end = trees
        if not last.whole:
            raise self._wrong(last.line, f"begins snapshot {last.number}, of which figures are missing")
        if last.tree == "empty" and trees > last.first:
            raise self._wrong(last.tree_line, f"says that snapshot {last.number} has no call tree, but one follows")

    def _forgive_not(self, number: int) -> None:
        if self._strange is not None and number > self._strange[0]:
            line, text = self._strange
            raise self._wrong(line, "is none that massif writes", details=text[:500])

    def _wrong(self, line: int, what: str, *, details: str = "") -> ParseError:
        return ParseError(
            f"Line {line:,} of {self.source.name} {what}.",
            source=self.source.name,
            line=line,
            advice="Copy the file again, or record again.",
            details=details,
        )

    def recording(self) -> Recording:
        cautions: list[Caution] = []
        if self._columns:
            self._lines = tuple(np.concatenate(columns) for columns in zip(*self._columns, strict=True))
            self._columns.clear()
        cut = self._cut_short()
        if not self.snapshots:
            raise ParseError(
                f"{self.source.name} holds no whole snapshot of massif.",
                source=self.source.name,
                advice="massif writes its file when the program ends; one that is killed (SIGKILL) leaves none.",
            )
        if cut is not None:
            cautions.append(
                Caution(
                    f"The file ends within snapshot {cut}: what stands before is shown.",
                    "Copy the file again, or record again.",
                )
            )
        tables, event, told = self._profile()
        if self._counted is Counted.STACKS:
            told.append(
                Caution(
                    "The heap was not counted (--heap=no): these are the stacks of the threads alone.",
                    "Record without --heap=no for the heap.",
                )
            )
        elif cut is None and not any(snapshot.figures["mem_heap_B"] for snapshot in self.snapshots):
            told.append(
                Caution(
                    "No memory was allocated as far as massif saw: the program was ended before it began, or its heap"
                    " hides from valgrind.",
                    "A program that is linked statically, or has an allocator of its own, is seen with pages as heap.",
                )
            )
        order = np.argsort([s.figures["time"] for s in self.snapshots], kind="stable")
        self.snapshots = [self.snapshots[row] for row in order.tolist()]
        heap = self._timeline(readonly(event[order], np.int32))
        return Recording(
            tool="heaptrack" if self._by_heaptrack else MASSIF.name,
            format=MASSIF.name,
            source=self.source.name,
            results=(heap, tables.profile()) if len(tables) else (heap,),
            meta=self._meta(heap),
            warnings=(*cautions, *told, *beside(self.source.path, self.header.get("desc", ""))),
        )

    @property
    def _by_heaptrack(self) -> bool:
        return self.header.get("desc", "heaptrack") == "heaptrack"

    @property
    def _counted(self) -> Counted:
        return counted(self.header.get("desc", ""))

    def _cut_short(self) -> int | None:
        """Takes away what the file breaks off in; the number of that snapshot, None where the file is whole."""
        if not self.snapshots:
            return None
        last = self.snapshots[-1]
        last.end = self._tree_lines
        if not last.whole:
            self.snapshots.pop()
            return last.number
        if last.tree == "empty":
            if last.end > last.first:
                self._end_snapshot(last.end)
            return last.number if self._strange else None
        whole = not self._strange and last.end > last.first
        if whole and self._last_tree > self._last_other:
            _, children, _, detail = (column[last.first :] for column in self._lines)
            # Each line but the first is one of the children that another announces.
            whole = (
                not children[-1]
                and int(children.sum(dtype=np.int64)) == len(children) - 1
                and _is_whole(self._details.names[detail[-1]])
            )
        if not whole:
            last.tree = ""
        return None if whole else last.number

    def _profile(self) -> tuple[ProfileTables, Int32, list[Caution]]:
        """The trees as events, the event of each snapshot (-1: none), and what is wrong with trees."""
        names = self._details.names
        none = len(names)
        frames, addresses = read_details((*names, BELOW))
        rows = [row for row, snapshot in enumerate(self.snapshots) if snapshot.tree in _TREES[1:]]
        physical = np.zeros(len(frames), np.bool_)
        pieces: list[tuple[Int64, Turned]] = []
        wrong: set[int] = set()
        for group in self._groups(rows):
            piece = self._turned(group, addresses, none)
            physical[piece.physical] = True
            doubted = piece.unfinished | piece.overfull
            doubted |= piece.root != np.array([self.snapshots[row].figures["mem_heap_B"] for row in group])
            if self._by_heaptrack:  # roots alone, without what hangs on them
                bare = (piece.lengths == 1) & (piece.frames[np.cumsum(piece.lengths) - 1] == none)
                doubted[piece.tree[bare]] = True
            wrong.update(group[tree] for tree in np.flatnonzero(doubted).tolist())
            pieces.append((np.array(group, np.int64), piece))
            self.source.report(0.98)
        tables = ProfileTables()
        numbers = frame_numbers(tables, frames, physical, lambda: self.source.report(0.98))
        event = self._events(tables, pieces)
        for group_rows, piece in pieces:
            stack = tables.stacks(numbers[piece.frames], piece.lengths)
            # massif counts bytes alone.
            tables.add(stack, count=0.0, period=piece.size, event=event[group_rows[piece.tree]])
        return tables, event, self._doubts(sorted(wrong))

    def _groups(self, rows: list[int]) -> list[list[int]]:
        """The snapshots in groups of so many lines that arrays are worth it, and memory is not full of them."""
        groups: list[list[int]] = []
        lines = _LINES_AT_ONCE
        for row in rows:
            size = self.snapshots[row].end - self.snapshots[row].first
            if lines + size > _LINES_AT_ONCE:
                groups.append([])
                lines = 0
            groups[-1].append(row)
            lines += size
        return groups

    def _turned(self, group: list[int], addresses: Int64, none: int) -> Turned:
        """group: snapshots whose trees stand one after another."""
        begin, end = self.snapshots[group[0]].first, self.snapshots[group[-1]].end
        first = np.array([*(self.snapshots[row].first for row in group), end]) - begin
        depth, children, size, detail = (column[begin:end] for column in self._lines)
        try:
            return turned(Trees(first, depth, children, size, detail), addresses, none)
        except ValueError as misplaced:
            at = int(misplaced.args[0])
            tree = int(np.searchsorted(first, at, side="right")) - 1
            snapshot = self.snapshots[group[tree]]
            line = snapshot.tree_line + 1 + at - int(first[tree])
            what = f"is no line that may follow in the call tree of snapshot {snapshot.number}"
            raise self._wrong(line, what) from None

    def _events(self, tables: ProfileTables, pieces: list[tuple[Int64, Turned]]) -> Int32:
        """One event for each tree that holds bytes: the peak's first, or what is largest; the others in their order."""
        held = np.zeros(len(self.snapshots))
        for group, piece in pieces:
            np.add.at(held, group[piece.tree], piece.size)
        rows = np.flatnonzero(held > 0).tolist()
        marked = {row for row in rows if self.snapshots[row].tree == "peak"}
        first = min(marked) if marked else max(rows, key=lambda row: held[row], default=NONE)
        event = np.full(len(self.snapshots), NONE, np.int64)
        for number, row in enumerate(sorted(rows, key=lambda row: row != first)):
            event[row] = number
            name = f"Snapshot {self.snapshots[row].number}{', peak' if row in marked else ''}"
            tables.events.append(Event(name, Unit.BYTES, True, Unit.BLOCKS, exact=True))
        return event

    def _doubts(self, wrong: list[int]) -> list[Caution]:
        if not wrong:
            return []
        if self._by_heaptrack:
            return [
                Caution(
                    "heaptrack_print has written the call trees of these snapshots in part: what is missing counts as"
                    f" “{BELOW}”.",
                    "Open heaptrack's own file, which holds all stacks.",
                )
            ]
        first = self.snapshots[wrong[0]].number
        which = (
            f"of snapshot {first} does" if len(wrong) == 1 else f"of {len(wrong):,} snapshots (the first: {first}) do"
        )
        what = "The call tree" if len(wrong) == 1 else "The call trees"
        return [Caution(f"{what} {which} not add up: the file was changed or damaged.", "Copy it again.")]

    def _timeline(self, event: Int32) -> HeapTimeline:
        unit, factor = _UNITS.get(self.header.get("time_unit", ""), (None, 1.0))
        if unit is None:
            unit = TimeUnit.SECONDS if self._by_heaptrack else TimeUnit.INSTRUCTIONS
        columns = {key: np.array([s.figures[key] for s in self.snapshots]) for key in _FIGURES}
        stacks = columns["mem_stacks_B"]
        total = columns["mem_heap_B"] + columns["mem_heap_extra_B"] + columns["mem_stacks_B"]
        unknown = readonly(np.full(len(total), np.nan), np.float64)
        if not stacks.any() and not is_set(self.header.get("desc", ""), "--stacks", default=False):
            stacks = unknown
        of_stacks = self._counted is Counted.STACKS
        used, extra = (unknown if of_stacks else columns[f"mem_heap{what}_B"] for what in ("", "_extra"))
        adds = self._counted is Counted.BLOCKS and not self._by_heaptrack
        marked: Bool = np.array([snapshot.tree == "peak" for snapshot in self.snapshots])
        peak = int(np.argmax(marked)) if marked.any() else int(np.argmax(total))
        time = columns["time"] * factor
        return HeapTimeline(
            time_unit=unit,
            time=readonly(time, np.float64),
            heap=readonly(used, np.float64),
            extra=readonly(extra, np.float64),
            stacks=readonly(stacks, np.float64),
            rss=unknown,
            allocations=unknown,
            temporary=unknown,
            event=event,
            number=readonly([snapshot.number for snapshot in self.snapshots], np.int32),
            peak=peak,
            peak_marked=bool(marked.any()),
            facts=HeapFacts(
                peak=None if of_stacks else float(used[peak]),
                peak_extra=float(extra[peak]) if adds else None,
                peak_stacks=None if np.isnan(stacks[peak]) else float(stacks[peak]),
                peak_time=float(time[peak]),
            ),
            counted=self._counted,
        )

    def _meta(self, heap: HeapTimeline) -> Meta:
        options = self.header.get("desc", "")
        told = options.split() if options != "(none)" else []
        return Meta(
            command=tuple(self.header.get("cmd", "").split()),
            tool_argv=("valgrind", "--tool=massif", *told) if not self._by_heaptrack else (),
            duration_s=float(heap.time[-1]) if heap.time_unit is TimeUnit.SECONDS else None,
        )


def _is_whole(detail: str) -> bool:
    """Whether the last line of a tree is: "0x1: f (leaky.cc:6)", "0x1: ??? (in /opt/lib (old)/x.so)", "0x0: ???"."""
    if not detail.endswith(")"):
        return detail.endswith(("etc.", "???"))
    at = detail.rfind(" (in ")
    place = detail[at if at >= 0 else detail.rfind(" (") :]
    return place.count("(") == place.count(")")
