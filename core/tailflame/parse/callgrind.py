"""callgrind.out files (https://valgrind.org/docs/manual/cl-format.html), read as costs of lines and as a tree.

The file is a call graph: what each function spends by itself, line by line, and what each of its calls spends.
Functions' own costs are exact; their places in the tree are shared out (see call_graph). Parts that tell of a thread
(--separate-threads) are that thread's, and each thread has a graph of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import Caution, CostTable, FrameKind, FrameTable, Meta, Recording, StackProfile, Thread
from tailflame.model.stacks import NONE, Float64, Int64, readonly
from tailflame.parse.cachegrind import damage, excess, large_last_level
from tailflame.parse.cachegrind_digits import pieces_of
from tailflame.parse.cachegrind_profile import (
    DESCRIPTIONS,
    Place,
    cost_table,
    events_of,
    normalised,
    words_of_command,
)
from tailflame.parse.call_graph import Shared, share_out
from tailflame.parse.callgrind_lines import MOST_EVENTS, CallgrindLines
from tailflame.parse.callgrind_threads import beside, threads_of_empty
from tailflame.parse.frames import Numbers
from tailflame.parse.profile_tables import EndlessTree, ProfileTables
from tailflame.parse.registry import NO
from tailflame.parse.source import Progress, Source, decode_head
from tailflame.units import count

_THIN = "[ways too thin to tell]"
_KEY = re.compile(r"[a-z]+[a-z ]*")
# "event: Cycles = Ir + 10 L1m : Estimated cycles"; "event: Ir : Instruction fetches"
_DERIVED = re.compile(r"(?P<name>[^\s:=]+)\s*(?:=\s*(?P<formula>[^:]+?))?\s*(?::\s*(?P<words>.*))?", re.ASCII)
_TERM = re.compile(r"(?:(\d{1,9})\s*\*?\s*)?([A-Za-z_]\w*)", re.ASCII)
_MOST_TOLD = 64
_LONGEST = 1000
"""Digits of a number."""
_MOST_SPLIT = 100_000
"""Rows that tell the tree's nodes line by line: beyond that, the cheapest nodes stand without lines."""


class Callgrind:
    name = "callgrind"
    title = "callgrind logs"

    def sniff(self, head: bytes, name: str) -> float:
        if b"\0" in head[:512]:
            return NO
        text = decode_head(head)
        if text.startswith("# callgrind format"):
            return 0.95
        lines = text.split("\n")
        words = {line.partition(":")[0] for line in lines if ":" in line}
        specs = {line.partition("=")[0] for line in lines if "=" in line}
        # cachegrind's files have events and functions too, but neither positions nor a creator, and no calls.
        if "events" in words and "fn" in specs and (words & {"positions", "creator"} or "calls" in specs):
            return 0.8
        return NO

    def load(self, source: Source) -> Recording:
        return _read(source.name, [source], source.report).with_warnings(*beside(source.path))


CALLGRIND = Callgrind()


class CallgrindThreads:
    """The empty file beside those of the threads, which are one result."""

    def holds(self, path: Path) -> bool:
        return bool(threads_of_empty(path))

    def load(self, path: Path, *, progress: Progress | None = None) -> Recording:
        files = threads_of_empty(path)

        def part(at: int) -> Progress:
            return lambda share: _told(progress, (at + share) / len(files))

        sources = [Source(file, progress=part(at)) for at, file in enumerate(files)]
        return _read(str(path), sources, lambda share: _told(progress, share))


CALLGRIND_THREADS = CallgrindThreads()


def _told(progress: Progress | None, share: float) -> None:
    if progress is not None:
        progress(share)


def _read(name: str, sources: list[Source], report: Callable[[float], None]) -> Recording:
    """Files that are parts of one result, called `name`."""
    header = _Header()
    lines = CallgrindLines(name, header.take, lambda: header.thread)
    for source in sources:
        for block in source.byte_blocks():
            for piece in pieces_of(block):
                lines.block(piece)
    return _Graph(name, report, header, lines).recording()


@dataclass(slots=True)
class _Header:
    """What the lines of headers say, of all parts."""

    first: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    totals: list[tuple[int, ...]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    thread: int = NONE
    """Whose part it is whose header was read last."""
    huge: bool = False
    """Whether a line of totals holds a number beyond 63 bits."""
    again: dict[str, int] = field(default_factory=dict)
    """How often each part of a process is in the file that is there more than once, with the same totals."""
    _part: dict[str, str] = field(default_factory=dict)
    _parts: dict[tuple[str, ...], int] = field(default_factory=dict)

    def take(self, line: bytes) -> bool:
        """Whether it is a line of a header."""
        key, colon, value = line.decode("utf-8", "backslashreplace").partition(":")
        value = value.strip()
        if not colon or not _KEY.fullmatch(key):
            return False
        match key:
            case "desc":
                note = " ".join(value.split())
                # "I1 cache:" and nothing more: no cache was simulated.
                empty = note.startswith("Option:") or note.endswith(":")
                if note not in self.notes and len(self.notes) < _MOST_TOLD and not empty:
                    self.notes.append(note)
            case "event":
                if len(self.events) < _MOST_TOLD:
                    self.events.append(value)
            case "totals":
                self._add(value)
                self._end_part(value)
            case "creator" | "pid" | "part":
                self.thread = NONE  # a header begins; where there is a thread it comes last
                if key == "pid":
                    self._part = {}
            case "thread":
                self.thread = int(value) if value.isdecimal() and len(value) < 10 else NONE
        if key in ("pid", "part", "thread"):
            self._part[key] = value
            if key == "part":
                self._part.pop("thread", None)  # follows, where there is one
        self.first.setdefault(key, value)
        return True

    def _end_part(self, totals: str) -> None:
        """Each dump is a part of its own (cl-format: PartData), so that the same one twice is a copy."""
        if "part" not in self._part:
            return
        pid, part, thread = (self._part.get(key, "") for key in ("pid", "part", "thread"))
        key = (pid, part, thread, totals)
        times = self._parts[key] = self._parts.get(key, 0) + 1
        if times > 1:
            of = " of ".join(filter(None, (f"thread {thread}" if thread else "", f"process {pid}" if pid else "")))
            self.again[f"part {part}{f' of {of}' if of else ''}"] = times

    def _add(self, value: str) -> None:
        words = value.split()
        if words and len(words) <= MOST_EVENTS and all(word.isdecimal() and len(word) <= _LONGEST for word in words):
            totals = tuple(map(int, words))
            if max(totals) < 2**63:
                self.totals.append(totals)
            else:
                self.huge = True


class _Split(NamedTuple):
    """Nodes of the tree whose own cost is told by line: a node and a row of the table each, and which part of the
    node's cost, event by event, is the row's."""

    node: Int64
    row: Int64
    part: Float64


class _Of(NamedTuple):
    """A thread, the tree of what it did, and which of its nodes are told by line. function: of each node the number
    among all, the last of all for thin ways."""

    thread: int
    shared: Shared
    function: Int64
    split: _Split


@dataclass(slots=True)
class _Graph:
    """The graph of all lines, as a recording."""

    name: str
    report: Callable[[float], None]
    header: _Header
    lines: CallgrindLines

    def recording(self) -> Recording:
        lines = self.lines
        group, line, costs = lines.own()
        if not lines.events or not (len(costs) or len(lines.calls()[0])):
            raise ParseError(
                f"{self.name} holds no costs of functions.",
                source=self.name,
                advice="With --separate-threads=yes the costs are in the files that end in -01, -02 and so on.",
            )
        function, file = lines.group_parts() if lines.groups else (np.zeros(0, np.int64),) * 2
        table = self._table(group, line, function, file, costs)
        self.report(0.8)
        profile = self._profile(table, (group << 32) | line)
        return Recording(
            tool="callgrind",
            format=CALLGRIND.name,
            source=self.name,
            results=(profile, table),
            meta=self._meta(),
            warnings=self._told(costs.sum(axis=0)),
        )

    def _table(self, group: Int64, line: Int64, function: Int64, file: Int64, costs: Int64) -> CostTable:
        """group, line: of each row; function, file: of each group."""
        lines = self.lines
        strings = tuple(lines.strings)
        places = np.array(list(lines.functions), dtype=np.int64).reshape(-1, 3)
        names = tuple(lines.events)
        formulas, words = self._derived(names)
        for _name, terms in formulas:
            made = np.zeros(len(costs), dtype=np.int64)
            for event, factor in terms:
                made += factor * costs[:, names.index(event)]
            costs = np.column_stack([costs, made])
        every = (*names, *(name for name, _terms in formulas))
        return cost_table(
            events=every,
            place=Place(group, line, places[function, 0], file, places[function, 2]),
            modules=strings,
            files=strings,
            functions=strings,
            costs=costs,
            totals=None,
            notes=tuple(self.header.notes),
            descriptions=tuple(words.get(name) or DESCRIPTIONS.get(name, "") for name in every),
        )

    def _derived(self, names: tuple[str, ...]) -> tuple[list[tuple[str, list[tuple[str, int]]]], dict[str, str]]:
        """(sums of events that the file's header defines, long names of events)."""
        formulas: list[tuple[str, list[tuple[str, int]]]] = []
        words: dict[str, str] = {}
        for told in self.header.events:
            match = _DERIVED.fullmatch(told)
            if match is None:
                continue
            name = match["name"]
            words[name] = match["words"] or ""
            if match["formula"] is None or name in names or len(names) + len(formulas) >= MOST_EVENTS:
                continue
            terms = [_TERM.fullmatch(term.strip()) for term in match["formula"].split("+")]
            if all(term is not None and term[2] in names for term in terms) and name not in dict(formulas):
                formulas.append((name, [(term[2], int(term[1] or 1)) for term in terms if term is not None]))
        return formulas, words

    def _profile(self, table: CostTable, places: Int64) -> StackProfile:
        """places: the group and the line of each row of the table, ascending."""
        lines = self.lines
        threads = [self._of(thread, places) for thread in lines.threads]
        none = np.zeros(0, np.int64)
        frames, frame_of, line_frames = self._frames(table, np.concatenate([none, *(of.split.row for of in threads)]))
        tables = ProfileTables()
        known = events_of(table)[: len(lines.events)]
        done = 0
        for thread, shared, function, split in threads:
            told = line_frames[done : done + len(split.row)]
            done += len(split.row)
            try:
                stacks = tables.nodes(
                    np.concatenate([shared.parent, shared.parent[split.node]]),
                    np.concatenate([frame_of[function], told]),
                )
            except EndlessTree:  # pragma: no cover
                raise AssertionError("a shared-out tree has parents first") from None
            whole = np.ones(len(shared.parent), dtype=bool)
            whole[split.node] = False
            who = self._thread(tables, thread)
            for number, event in enumerate(known):
                weight = np.concatenate(
                    [shared.own[:, number] * whole, shared.own[split.node, number] * split.part[:, number]]
                )
                spent = weight > 0
                tables.add(stacks[spent], count=weight[spent], event=tables.event(event), thread=who)
        return replace(tables.profile(), frames=frames)

    def _thread(self, tables: ProfileTables, number: int) -> int:
        """callgrind numbers threads from 1 on, and tells none of their names."""
        if number < 0:
            return NONE
        pid = self.header.first.get("pid", "")
        known = pid.isdecimal() and len(pid) < 10
        return tables.thread(Thread(f"thread {number}", int(pid) if known else NONE))

    def _of(self, thread: int, places: Int64) -> _Of:
        """The tree of one thread, of the functions that it came by."""
        lines = self.lines
        group, line, costs = lines.own(thread)
        caller, callee, passed = lines.calls(thread)
        of_row = lines.group_parts()[0][group] if len(group) else group
        seen = np.zeros(len(lines.functions), dtype=bool)
        for some in (of_row, caller, callee):
            seen[some] = True
        functions, number = np.flatnonzero(seen), np.cumsum(seen) - 1
        local = number[of_row]
        own = np.zeros((len(functions), len(lines.events)))
        for event in range(own.shape[1]):
            own[:, event] = np.bincount(local, weights=costs[:, event], minlength=len(own))
        shared = share_out(
            own,
            number[caller],
            number[callee],
            passed.astype(np.float64),
            graphs=len(lines.threads),
        )
        node, row = self._split(shared, own, local)
        spent = own[shared.function[node]]
        part = np.divide(costs[row], spent, where=spent > 0, out=np.zeros_like(spent))
        at = np.searchsorted(places, (group[row] << 32) | line[row])
        last = len(lines.functions)
        function = np.where(shared.function >= 0, np.append(functions, last)[shared.function], last)
        return _Of(thread, shared, function, _Split(node, at, part))

    def _split(self, shared: Shared, own: Float64, function: Int64) -> tuple[Int64, Int64]:
        """Which nodes are told line by line, a node and a row each: all, or where that would be too many rows the
        costliest. function: of each row."""
        order = np.argsort(function, kind="stable")
        starts = np.searchsorted(function[order], np.arange(len(own) + 1))
        rows = np.append(np.diff(starts), 0)[shared.function]  # the node of thin ways has none
        total = np.maximum(own.sum(axis=0), 1.0)
        share = (shared.own / total).max(axis=1) if len(shared.own) else np.zeros(0)
        heaviest = np.argsort(-share, kind="stable")
        most = _MOST_SPLIT // len(self.lines.threads)
        kept = heaviest[(np.cumsum(rows[heaviest]) <= most) & (share[heaviest] > 0)]
        nodes = np.sort(kept)
        size = rows[nodes]
        node = np.repeat(nodes, size)
        within = np.arange(len(node)) - np.repeat(np.cumsum(size) - size, size)
        return node, order[starts[shared.function[node]] + within] if len(node) else node

    def _frames(self, table: CostTable, rows: Int64) -> tuple[FrameTable, Int64, Int64]:
        """(frames, the frame of each function and last of the thin ways, the frame of each of `rows` of the table).

        A function's own frame comes before those of its lines: it stands for the function.
        """
        lines = self.lines
        strings = Numbers()
        known = tuple(lines.strings)
        places = np.array(list(lines.functions), dtype=np.int64).reshape(-1, 3)
        texts = np.full(len(known) + 1, NONE, dtype=np.int64)  # the last one stands for "unknown"
        files = texts.copy()
        for at in np.unique(places[:, (0, 2)]).tolist():
            texts[at] = _number(strings, known[at]) if at >= 0 else NONE
        for at in np.unique(places[:, 1]).tolist():
            files[at] = _number(strings, normalised(known[at])) if at >= 0 else NONE
        of_table = np.array([*(strings[text] for text in table.strings), NONE], dtype=np.int64)
        unnamed, thin = strings["???"], strings[_THIN]
        distinct, inverse = np.unique(rows, return_inverse=True)
        name = np.concatenate([texts[places[:, 2]], [thin], of_table[table.function[distinct]]])
        module = np.concatenate([texts[places[:, 0]], [NONE], of_table[table.module[distinct]]])
        file = np.concatenate([files[places[:, 1]], [NONE], of_table[table.file[distinct]]])
        line = np.concatenate([np.full(len(places) + 1, NONE), table.line[distinct]])
        columns = np.stack([np.where(name < 0, unnamed, name), module, file, line])
        order = np.lexsort(columns)
        fresh = np.ones(len(order), dtype=bool)
        fresh[1:] = (columns[:, order[1:]] != columns[:, order[:-1]]).any(axis=0)
        first = order[np.flatnonzero(fresh)]  # lexsort is stable: of equal frames the first
        by_place = np.argsort(first, kind="stable")
        rank = np.empty(len(first), dtype=np.int64)
        rank[by_place] = np.arange(len(first))
        frame = np.empty(len(order), dtype=np.int64)
        frame[order] = rank[np.cumsum(fresh) - 1]
        kept = columns[:, first[by_place]]
        frames = FrameTable(
            strings=tuple(strings),
            name=readonly(kept[0], np.int32),
            module=readonly(kept[1], np.int32),
            file=readonly(kept[2], np.int32),
            line=readonly(kept[3], np.int32),
            kind=readonly(np.where(kept[0] == thin, FrameKind.OTHER, FrameKind.USER), np.uint8),
        )
        functions = len(places) + 1
        return frames, frame[:functions], frame[functions:][inverse]

    def _meta(self) -> Meta:
        first = self.header.first
        return Meta(
            command=words_of_command(first.get("cmd", "")),
            tool_version=first.get("creator", "").removeprefix("callgrind-"),
        )

    def _told(self, sums: Int64) -> tuple[Caution, ...]:
        told = [
            Caution(
                "callgrind knows who calls whom, not whole stacks: what a function spends by itself is exact; how it"
                " is split among the ways to it is an estimate by what the calls cost.",
                "For real stacks, record with perf.",
            )
        ]
        names = tuple(self.lines.events)
        totals = self._totals(len(names))
        wrong = [at for at in range(len(names)) if totals is not None and int(sums[at]) != totals[at]]
        for part, times in list(self.header.again.items())[:1]:
            more = len(self.header.again) - 1
            others = f", and {more:,} further {'parts' if more > 1 else 'part'} more than once" if more else ""
            told.append(
                Caution(
                    f"The file holds {part} {'twice' if times == 2 else f'{times:,} times'}{others}: its costs are"
                    " added up each time.",
                    "It was put behind itself: open the file that it was made from.",
                )
            )
        why = "lines were left out" if self.lines.huge else "a part may be missing"
        if totals is not None and wrong:
            told.append(
                Caution(
                    f"Its functions add up to {count(int(sums[wrong[0]]))} {names[wrong[0]]}, its own total says"
                    f" {count(totals[wrong[0]])}: {why}.",
                    "Copy the file again, or record again.",
                )
            )
        elif totals is None and not self.header.huge and "creator" in self.header.first:
            told.append(
                Caution(
                    "The file ends before its totals: what was read stands here, and the rest is missing.",
                    "Record again, and end the program with SIGTERM, not with SIGKILL.",
                )
            )
        told += excess(self.lines.huge, self.lines.first_huge)
        told += damage(self.lines.damaged, self.lines.first_damaged)
        return (*told, *large_last_level(self.header.notes, names))

    def _totals(self, events: int) -> tuple[int, ...] | None:
        """What the parts' lines of totals add up to; None where a part has none, or zeros."""
        totals = self.header.totals
        if not totals or len(totals) < self.lines.parts or not any(map(any, totals)):
            return None
        return tuple(sum(part[at] for part in totals if at < len(part)) for at in range(events))


def _number(strings: Numbers, text: str) -> int:
    return NONE if text in ("", "???") else strings[text]
