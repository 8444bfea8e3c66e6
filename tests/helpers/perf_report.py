"""What `perf report -F overhead,sample,period,comm,dso,sym -t '|'` says, for comparison."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ARGV = ("--no-children", "--stdio", "--no-inline", "-g", "none", "-F", "overhead,sample,period,comm,dso,sym", "-t", "|")
_LOST = re.compile(r"# Total Lost Samples: (\d+)")
_EVENT = re.compile(r"# Samples: .* of event '(.*)'")


@dataclass(frozen=True)
class Row:
    percent: float
    samples: int
    period: int
    comm: str
    module: str
    symbol: str

    @property
    def is_unresolved(self) -> bool:
        return re.fullmatch(r"0x[0-9a-f]{8,16}", self.symbol) is not None


@dataclass(frozen=True)
class ReportedEvent:
    name: str
    rows: tuple[Row, ...]

    @property
    def samples(self) -> int:
        return sum(row.samples for row in self.rows)

    @property
    def period(self) -> int:
        return sum(row.period for row in self.rows)


@dataclass(frozen=True)
class PerfReport:
    lost: int
    events: tuple[ReportedEvent, ...]

    @staticmethod
    def read(path: Path) -> PerfReport:
        return PerfReport.parse(path.read_text())

    @staticmethod
    def parse(text: str) -> PerfReport:
        names: list[str] = []
        rows: list[list[Row]] = []
        lost = 0
        for line in text.splitlines():
            if found := _EVENT.match(line):
                names.append(found[1])
                rows.append([])
            elif found := _LOST.match(line):
                lost = int(found[1])
            elif line.strip() and not line.startswith("#"):
                percent, samples, period, comm, module, symbol = (part.strip() for part in line.split("|", 5))
                # "[.] name": the level, then the name.
                rows[-1].append(Row(float(percent.rstrip("%")), int(samples), int(period), comm, module, symbol[4:]))
        events = tuple(ReportedEvent(n, tuple(r)) for n, r in zip(names, rows, strict=True))
        return PerfReport(lost, events)
