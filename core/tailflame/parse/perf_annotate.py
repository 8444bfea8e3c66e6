"""What `perf annotate --stdio` prints: samples of each instruction, with the source between them.

     Samples |	Source code & Disassembly of loop for cpu-clock (152 samples, percent: local period)
    ----------------------------------------------------------------------------------------------------
             : 5    0000000000001185 <mix>:
             : 7    ././loop.c:17
             : 8    for (int round = 0; round < 20000000; round++)
          38 :   1192:   add    $0x3c6ef35f,%eax

Without --show-nr-samples the first column is a share in percent of the function's own, with --show-total-period its
period. https://github.com/torvalds/linux/blob/v6.1/tools/perf/util/annotate.c, symbol__annotate_printf
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import Caution, Event, Recording, SiteTable, StackProfile
from tailflame.model.stacks import NONE, readonly
from tailflame.parse.cachegrind_profile import normalised
from tailflame.parse.frames import Numbers
from tailflame.parse.profile_tables import ProfileTables, kind_of_module
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head
from tailflame.units import Unit, count

_HEAD = re.compile(
    r"\s*(?P<what>Samples|Percent|Period)\s*\|\s*(?:Source code & )?Disassembly of (?P<module>.+) for (?P<event>.+?)"
    r" \((?P<samples>\d{1,18}) samples(?:, percent: [\w ]+)?\)\s*"
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*[mK]")
# "      38 :   1192:   add    $0x3c6ef35f,%eax"; "   25.00 : ffffffff81000000:  nop"; with two events, two columns
_INSTRUCTION = re.compile(r"\s*(?P<figures>-?[\d.]+(?:\s+-?[\d.]+)*)\s+:\s+(?P<address>[0-9a-fA-F]{1,16}):\s.*")
# "         : 5    0000000000001185 <mix>:"
_FUNCTION = re.compile(r"\s*:\s*\d*\s*[0-9a-fA-F]{8,16} <(?P<name>.+)>:\s*")
# "         : 7    ././loop.c:17 (discriminator 3)"
_PLACE = re.compile(
    r"\s*:\s*\d+\s+(?P<file>\S(?:[^:]*[/.][^:/]*|[^:/]*\.\w+)):(?P<line>\d{1,9})(?: \(discriminator \d+\))?\s*"
)
_REST = re.compile(r"\s*(?:$|:|-{5,}|\d+ :|[\d.]+\s*:)")
_LARGEST = 1e18


class PerfAnnotate:
    name = "perf-annotate"
    title = "the text of perf annotate"

    def sniff(self, head: bytes, name: str) -> float:
        if b"\0" in head[:512]:
            return NO
        lines = (line for line in decode_head(head).split("\n") if line.strip())
        first = next(lines, "")
        return 0.95 if _HEAD.fullmatch(_COLOUR.sub("", first)) else NO

    def load(self, source: Source) -> Recording:
        reader = _Reader(source)
        number = 0
        for block in source.line_blocks():
            for line in block:
                number += 1
                reader.line(_COLOUR.sub("", line) if "\x1b" in line else line, number)
        return reader.recording()


PERF_ANNOTATE = PerfAnnotate()


@dataclass(slots=True)
class _Block:
    """One function under one event, as its head says: how many samples it has, and what was read of them."""

    what: str
    event: int
    module: str
    samples: int
    function: str = ""
    file: str = ""
    line: int = NONE
    read: float = 0.0


@dataclass(slots=True)
class _Reader:
    """Instructions with a weight, one row each."""

    source: Source
    tables: ProfileTables = field(default_factory=ProfileTables)
    block: _Block | None = None
    rows: list[tuple[int, float, int, int]] = field(default_factory=list)
    sites: dict[tuple[str, int], int] = field(default_factory=dict)
    events: Numbers = field(default_factory=Numbers)
    kinds: set[str] = field(default_factory=set)
    blocks: int = 0
    damaged: int = 0
    first_damaged: int = 0
    short: list[_Block] = field(default_factory=list)

    def line(self, line: str, number: int) -> None:
        instruction = _INSTRUCTION.fullmatch(line) if self.block is not None else None
        if instruction is not None:
            self._instruction(instruction, number)
            return
        head = _HEAD.fullmatch(line)
        if head is not None:
            self._close()
            self.blocks += 1
            self.kinds.add(head["what"])
            # Of a group of events perf names all: "cycles, instructions".
            self.block = _Block(head["what"], self.events[head["event"]], head["module"], int(head["samples"]))
        elif self.block is not None and (place := _PLACE.fullmatch(line)) is not None:
            self.block.file, self.block.line = place["file"], int(place["line"])
        elif self.block is not None and (named := _FUNCTION.fullmatch(line)) is not None:
            self.block.function = named["name"]
        elif line.strip() and (self.block is None or not _REST.match(line)):
            self._bad(number)

    def _instruction(self, found: re.Match[str], number: int) -> None:
        block = self.block
        assert block is not None
        try:
            figure = float(found["figures"].split()[0])
        except ValueError:
            figure = -1.0
        if not 0 <= figure < _LARGEST:
            self._bad(number)
            return
        if not figure:
            return
        block.read += figure
        weight = figure * block.samples / 100 if block.what == "Percent" else figure
        site = self.sites.setdefault((block.module, int(found["address"], 16)), len(self.sites))
        frame = self.tables.frame(
            block.function or f"[{block.module}]",
            module=block.module,
            file=normalised(block.file),
            line=block.line,
            kind=kind_of_module(block.module),
        )
        self.rows.append((frame, weight, block.event, site))

    def _close(self) -> None:
        block = self.block
        if block is None or block.what == "Period":
            return
        whole = 100.0 if block.what == "Percent" else float(block.samples)
        # Percents have two digits: a hundred of them may be half a percent off.
        if abs(block.read - whole) > (1.0 if block.what == "Percent" else 0.5):
            self.short.append(block)

    def _bad(self, number: int) -> None:
        self.damaged += 1
        self.first_damaged = self.first_damaged or number

    def recording(self) -> Recording:
        self._close()
        if not self.rows:
            raise ParseError(
                f"{self.source.name} holds no samples of instructions.",
                source=self.source.name,
                advice="Print it with: perf annotate --stdio --show-nr-samples > annotated.txt",
            )
        return Recording(
            tool="perf annotate",
            format=PERF_ANNOTATE.name,
            source=self.source.name,
            results=(self._profile(),),
            warnings=self._told(),
        )

    def _profile(self) -> StackProfile:
        tables = self.tables
        period = self.kinds == {"Period"}
        frame, weight, event, site = (np.array(column) for column in zip(*self.rows, strict=True))
        for name in self.events:
            tables.event(Event(name, Unit.EVENTS if period else Unit.SAMPLES, period))
        rows = tables.stacks(frame, np.ones(len(frame), dtype=np.int64))
        order = []
        for number in range(len(self.events)):
            mine = np.flatnonzero(event == number)
            tables.add(rows[mine], count=weight[mine], event=number)
            order.append(mine)
        profile = tables.profile()
        place = {text: at for at, text in enumerate(profile.frames.strings)}
        samples = replace(profile.samples, site=readonly(site[np.concatenate(order)], np.int32))
        table = SiteTable(
            module=readonly([place[module] for module, _address in self.sites], np.int32),
            address=readonly([address for _module, address in self.sites], np.uint64),
        )
        return replace(profile, samples=samples, sites=table, approximate="Percent" in self.kinds)

    def _told(self) -> tuple[Caution, ...]:
        told = [
            Caution(
                "perf annotate tells functions one by one, without their callers: there are no stacks in it.",
                "Open the perf.data that it was made of.",
            )
        ]
        if "Percent" in self.kinds:
            told.append(
                Caution(
                    "Its shares are rounded to a hundredth of a percent; an instruction's samples follow from them.",
                    "Print it with --show-nr-samples.",
                )
            )
        if self.short:
            first = self.short[0]
            name = first.function or first.module
            if first.what == "Percent":
                figures = f"{first.read:.2f}% of 100%"
            else:
                figures = f"{count(first.read)} of {count(first.samples)} samples"
            more = f", and {len(self.short) - 1} more functions" if len(self.short) > 1 else ""
            told.append(
                Caution(f"Not all of {name} was read: {figures}{more}. A part may be missing.", "Print it again.")
            )
        if self.damaged:
            what = "1 line is" if self.damaged == 1 else f"{self.damaged:,} lines are"
            told.append(
                Caution(f"{what} no part of the format and ignored (the first is line {self.first_damaged:,}).")
            )
        return tuple(told)
