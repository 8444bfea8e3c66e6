"""callgrind.out files (https://valgrind.org/docs/manual/cl-format.html), read as a tree.

The file is a call graph: what each function spends by itself, and what each of its calls spends. Functions' own
costs are exact; their places in the tree are shared out (see call_graph).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import NONE, Caution, Event, FrameKind, Meta, Recording
from tailflame.parse.call_graph import shared_out
from tailflame.parse.frames import Numbers
from tailflame.parse.profile_tables import EndlessTree, ProfileTables
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head
from tailflame.units import Unit, count

_NAMED = re.compile(r"\((\d+)\)(?: (.*))?")
_CALLS = re.compile(r"calls=\s*(\d+)")
_COST = frozenset("0123456789+-*")
_THIN = "[ways too thin to tell]"
_MOST_EVENTS = 64
_MOST = 2**63


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
        graph = _Graph(source)
        number = 0
        for block in source.line_blocks():
            for line in block:
                number += 1
                graph.line(line, number)
        return graph.recording()


CALLGRIND = Callgrind()


@dataclass(slots=True)
class _Graph:
    """Functions with their own costs, and calls with theirs, line by line."""

    source: Source
    events: Numbers = field(default_factory=Numbers)
    functions: dict[tuple[str, str, str], int] = field(default_factory=dict)
    own: list[list[int]] = field(default_factory=list)
    calls: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    header: dict[str, str] = field(default_factory=dict)
    parts: int = 0
    totals: int = 0
    damaged: int = 0
    first_damaged: int = 0
    _names: dict[str, dict[str, str]] = field(default_factory=lambda: {"ob": {}, "fl": {}, "fn": {}})
    _columns: list[int] = field(default_factory=list)
    _positions: int = 1
    _object: str = ""
    _file: str = ""
    _here: str = ""
    _at: int = NONE
    _called_object: str | None = None
    _called_file: str | None = None
    _called: int = NONE
    _awaits_inclusive: bool = False

    def line(self, line: str, number: int) -> None:
        first = line[:1]
        if first in _COST and first:
            self._cost(line, number)
        elif "=" in line and (name := line.partition("=")[0]).isalpha() and name.islower():
            self._position(name, line[len(name) + 1 :].lstrip(), line, number)
        elif ":" in line and first != "#":
            self._header(*line.split(":", 1))
        elif line.strip() and first != "#":
            self._bad(number)

    def _header(self, key: str, value: str) -> None:
        value = value.strip()
        if key == "events":
            names = value.split()
            if len(names) > _MOST_EVENTS:
                raise ParseError(
                    f"{self.source.name} counts {len(names):,} events: it is damaged.", source=self.source.name
                )
            self._columns = [self.events[name] for name in names]
            self.parts += 1
            self._object = self._file = self._here = ""
            self._at = NONE
            self._forget_call()
        elif key == "positions":
            self._positions = max(len(value.split()), 1)
        elif key == "totals" and value:
            figure = value.split()[0]
            self.totals += int(figure) if figure.isdecimal() and len(figure) < 20 else 0
        self.header.setdefault(key, value)

    def _position(self, name: str, value: str, line: str, number: int) -> None:
        match name:
            case "fn":
                self._at = self._function(self._object, self._file, self._name("fn", value))
                self._forget_call()
            case "cfn":
                target = self._object if self._called_object is None else self._called_object
                file = self._here if self._called_file is None else self._called_file
                self._called = self._function(target, file, self._name("fn", value))
            case "fl":
                self._file = self._here = self._name("fl", value)
            case "ob":
                self._object = self._name("ob", value)
            case "cob":
                self._called_object = self._name("ob", value)
            case "cfi" | "cfl":
                self._called_file = self._name("fl", value)
            case "fi" | "fe":
                # Code inlined from another file: it counts for the function. A call from it is told by that file:
                # callgrind leaves cfi= out where it would say the file it wrote last (dump.c, fprint_jcc).
                self._here = self._name("fl", value)
            case "jfi":
                self._name("fl", value)  # the name may be needed later
            case "jfn":
                self._name("fn", value)
            case "calls":
                if _CALLS.match(line) and self._called >= 0:
                    self._awaits_inclusive = True
                else:
                    self._bad(number)
            case "jump" | "jcnd" | "rcalls" | "frfn":
                pass
            case _:
                self._bad(number)

    def _name(self, space: str, text: str) -> str:
        """Names are written once with a number, "(12) main", and by the number afterwards."""
        match = _NAMED.fullmatch(text)
        if match is None:
            return text
        known = self._names[space]
        if match[2]:
            known[match[1]] = match[2]
        return known.get(match[1], f"({match[1]})")

    def _function(self, target: str, file: str, name: str) -> int:
        key = (target, file, name)
        number = self.functions.get(key)
        if number is None:
            number = self.functions[key] = len(self.functions)
            self.own.append([])
        return number

    def _cost(self, line: str, number: int) -> None:
        try:
            figures = [int(word) for word in line.split()[self._positions :]]
        except ValueError:
            self._bad(number)
            return
        if len(figures) > len(self._columns) or any(not 0 <= figure < _MOST for figure in figures):
            self._bad(number)
            return
        if self._awaits_inclusive:
            self._awaits_inclusive = False
            if self._at >= 0:
                self._add(self.calls.setdefault((self._at, self._called), []), figures)
            self._forget_call()
        elif self._at >= 0:
            self._add(self.own[self._at], figures)
        elif figures:
            self._bad(number)

    def _add(self, to: list[int], figures: list[int]) -> None:
        for column, figure in zip(self._columns, figures, strict=False):
            if column >= len(to):
                to.extend([0] * (column + 1 - len(to)))
            to[column] += figure

    def _forget_call(self) -> None:
        """cob= and cfi= hold for the next call alone."""
        self._called_object = self._called_file = None
        self._called = NONE
        self._awaits_inclusive = False

    def _bad(self, number: int) -> None:
        self.damaged += 1
        self.first_damaged = self.first_damaged or number

    def recording(self) -> Recording:
        events = len(self.events)
        if not events or not self.functions:
            raise ParseError(
                f"{self.source.name} holds no costs of functions.",
                source=self.source.name,
                advice="With --separate-threads=yes the costs are in the files that end in -01, -02 and so on.",
            )
        own = np.zeros((len(self.own), events))
        for number, costs in enumerate(self.own):
            own[number, : len(costs)] = costs
        calls = {key: [float(c) for c in cost] + [0.0] * (events - len(cost)) for key, cost in self.calls.items()}
        if not np.isfinite(own).all() or own.sum() > 2**63:
            raise ParseError(
                f"{self.source.name} holds costs beyond all bounds: it is damaged.", source=self.source.name
            )
        self.source.report(0.9)
        tables = ProfileTables()
        frames = [self._frame(tables, *key) for key in self.functions]
        frames.append(tables.frame(_THIN, kind=FrameKind.OTHER))
        shared = shared_out(own, calls)
        try:
            stacks = tables.nodes(shared.parent, np.array(frames, np.int64)[shared.function])
        except EndlessTree:  # pragma: no cover
            raise AssertionError("a shared-out tree has parents first") from None
        for number, name in enumerate(self.events):
            weight = shared.own[:, number]
            spent = weight > 0
            event = tables.event(Event(name, Unit.EVENTS, True))
            tables.add(stacks[spent], count=weight[spent], event=event)
        return Recording(
            tool="callgrind",
            format=CALLGRIND.name,
            source=self.source.name,
            results=(tables.profile(),),
            meta=self._meta(),
            warnings=self._told(own),
        )

    def _frame(self, tables: ProfileTables, target: str, file: str, name: str) -> int:
        return tables.frame(
            name,
            module="" if target == "???" else target,
            file="" if file == "???" else file,
            kind=FrameKind.USER,
        )

    def _meta(self) -> Meta:
        command = self.header.get("cmd", "")
        return Meta(
            command=tuple(command.split()),
            tool_version=self.header.get("creator", "").removeprefix("callgrind-"),
        )

    def _told(self, own: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> tuple[Caution, ...]:
        told = [
            Caution(
                "callgrind knows who calls whom, not whole stacks: what a function spends by itself is exact; how it"
                " is split among the ways to it is an estimate by what the calls cost.",
                "For real stacks, record with perf.",
            )
        ]
        first = float(own[:, 0].sum())
        if self.totals and abs(first - self.totals) > 0.5:
            name = next(iter(self.events))
            told.append(
                Caution(
                    f"Its functions add up to {count(first)} {name}, its own total says {count(self.totals)}: a part"
                    " may be missing.",
                    "Copy the file again, or record again.",
                )
            )
        if self.damaged:
            what = "1 line is" if self.damaged == 1 else f"{self.damaged:,} lines are"
            told.append(
                Caution(f"{what} no part of the format and ignored (the first is line {self.first_damaged:,}).")
            )
        return tuple(told)
