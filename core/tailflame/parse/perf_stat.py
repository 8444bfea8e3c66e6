"""What `perf stat` has printed: for people, with a separator (-x), as JSON (-j); whole runs, and intervals (-I).

With -o perf writes "# started on Wed Nov 25 18:28:04 2026" and an empty line first, JSON or not; with --append it does
so again for each run, and the runs of one program are read as repetitions, each with figures of its own.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import Caution, CounterSeries, Meta, Recording
from tailflame.model.counters import ELAPSED, Kept
from tailflame.model.live import Reading
from tailflame.model.stacks import readonly
from tailflame.parse.perf_stat_rows import (
    DURATION,
    IN_KERNEL,
    LINE_LIMIT,
    DecimalComma,
    Row,
    SeriesNames,
    json_row,
    readings_of,
    running_below,
    separated_row,
    separator_of,
    text_row,
)
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head
from tailflame.units import count

_STARTED = re.compile(r"# started on (\w{3} \w{3} [ \d]\d [\d:]{8} \d{4})")
_FOR = re.compile(r"\s*Performance counter stats for (?P<what>.+?)(?: \((?P<runs>\d+) runs\))?:\s*")
_ELAPSED = re.compile(
    r"\s*(?P<s>\d+\.\d+)(?: \+-\s*\d+\.\d+)?\s+seconds time elapsed(?:\s+\( \+-\s*(?P<spread>\d+\.\d+)% \))?.*"
)
_OF_TABLE = re.compile(r"\s*(?P<s>\d+\.\d+) \([+-]\d+\.\d+\) #*\s*")
"""One run's elapsed time (--table): "           0.13452 (-0.00636) #"."""
_SPENT = re.compile(r"\s*(?P<s>\d+\.\d+)\s+seconds (?P<mode>user|sys)\s*")
_SECONDS = re.compile(r"\s*\d+[.,]\d+.* seconds (?:time elapsed|user|sys).*")
_HEADING = re.compile(r"#\s+time\b.*\bcounts unit events.*")
_ROWS_LIMIT = 5_000_000
_SNIFFED = 30


class PerfStat:
    name = "perf-stat"
    title = "perf stat output (text, CSV, JSON)"

    def sniff(self, head: bytes, name: str) -> float:
        lines = [line for line in decode_head(head[:16384]).split("\n")[:-1] if line.strip()]
        # Program and perf share a terminal: a text that was captured begins with the program's own words.
        if any(_FOR.fullmatch(line) or _HEADING.fullmatch(line) for line in lines):
            return 0.9
        lines = [line for line in decode_head(head).split("\n") if line.strip() and not line.startswith("#")]
        if not lines:
            return NO
        shape = _shape_of(lines)
        return NO if shape is None else 0.9

    def load(self, source: Source) -> Recording:
        reading = _File(source)
        reading.read()
        return reading.recording(self.name)


PERF_STAT = PerfStat()

_Shape = Callable[[str], Row | None]


def _shape_of(lines: list[str]) -> _Shape | None:
    """How to read a line, told by the first that is one of perf's."""
    for line in lines[:_SNIFFED]:
        if line.lstrip().startswith("{"):
            if '"counter-value"' in line and '"event"' in line:
                return json_row
        elif (separator := separator_of(line)) is not None:

            def separated(line: str, separator: str = separator) -> Row | None:
                return separated_row(line, separator)

            try:
                if separated(line) is not None:
                    return separated
            except ValueError:
                continue
    return None


@dataclass(slots=True)
class _File:
    source: Source
    rows: list[Row] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)
    """Line and reason of each line that could not be read."""
    started_at: datetime | None = None
    what: str = ""
    runs: int = 0
    elapsed_s: float | None = None
    elapsed_spread: float = math.nan
    """perf's "+-" behind the elapsed time, percent."""
    table_s: list[float] = field(default_factory=list)
    """The elapsed time of each run that perf has repeated, where it lists them."""
    run_of: list[int] = field(default_factory=list)
    """The run that each row is of."""
    run: int = 0
    foreign: int = 0
    """Figures of runs of another program, which are left out."""
    skipping: bool = False
    spent: list[Reading] = field(default_factory=list)

    def read(self) -> None:
        shape: _Shape | None = None
        for number, line in enumerate(self.source.lines(), 1):
            if len(line) > LINE_LIMIT or not line.strip():
                continue
            if match := _STARTED.match(line):
                self._next_run()
                self.started_at = self.started_at or _moment(match[1])
            elif match := _FOR.fullmatch(line):
                self._begin(match)
                shape = text_row
            elif _HEADING.fullmatch(line):
                # With --interval-clear perf prints it above each interval, JSON too.
                shape = json_row if shape is json_row else text_row
            elif line.startswith("#"):
                continue
            else:
                if shape is None or (shape is text_row and line.startswith("{")):
                    shape = _shape_of([line]) or shape
                if shape is not None:
                    self._line(number, line, shape)
        if not self.rows:
            self._refuse()

    def _next_run(self) -> None:
        if self.rows and self.run_of[-1] == self.run:
            self.run += 1

    def _begin(self, match: re.Match[str]) -> None:
        self._next_run()
        if not self.what:
            self.what, self.runs = match["what"], int(match["runs"] or 0)
        # Averages of several runs are not runs of their own.
        self.skipping = match["what"] != self.what or (bool(self.rows) and bool(match["runs"]))
        self.foreign += self.skipping

    def _line(self, number: int, line: str, shape: _Shape) -> None:
        if self.skipping:
            return
        try:
            if shape is text_row and _SECONDS.fullmatch(line):
                self._seconds(line)
                return
            if self.runs and (match := _OF_TABLE.fullmatch(line)):
                self.table_s.append(float(match["s"]))
                return
            row = shape(line)
        except DecimalComma:
            raise ParseError(
                f"{self.source.name}, line {number}: its numbers have a decimal comma, which also separates fields.",
                source=self.source.name,
                line=number,
                advice="Record it again with LC_ALL=C in front: LC_ALL=C perf stat …",
            ) from None
        except ValueError as problem:
            self.bad.append((number, str(problem)))
            return
        if row is None:
            if shape is text_row and self.rows and (running := running_below(line)) is not None:
                self.rows[-1] = replace(self.rows[-1], running=running)
        else:
            if len(self.rows) >= _ROWS_LIMIT:
                raise ParseError(f"{self.source.name} holds more than {count(_ROWS_LIMIT)} counts.",
                                 source=self.source.name, advice="Open a shorter part of it.")  # fmt: skip
            self.rows.append(row)
            self.run_of.append(self.run)

    def _seconds(self, line: str) -> None:
        if match := _ELAPSED.fullmatch(line):
            self.elapsed_s = (self.elapsed_s or 0.0) + float(match["s"])
            self.elapsed_spread = float(match["spread"] or (0.0 if self.runs else math.nan))
        elif self.run:
            return
        elif match := _SPENT.fullmatch(line):
            name = "user time" if match["mode"] == "user" else "system time"
            self.spent.append(
                Reading(
                    series=name, start_s=0.0, length_s=self.elapsed_s or 0.0, value=float(match["s"]) * 1000, unit="ms"
                )
            )
        else:
            raise DecimalComma

    def _refuse(self) -> None:
        number, reason = self.bad[0] if self.bad else (0, "it holds no counter of perf stat")
        where = f", line {number}" if number else ""
        raise ParseError(
            f"{self.source.name}{where}: {reason}.",
            source=self.source.name,
            line=number or None,
            advice="Record it with: perf stat -j -I 100 -o FILE …",
        )

    def recording(self, format: str) -> Recording:
        self.run = self.run_of[-1]
        if self.run and (self.foreign or any(not _of_one_run(row) for row in self.rows)):
            self._keep_first_run()
        names = SeriesNames.of_events({row.event for row in self.rows})
        timed = any(row.time_s is not None for row in self.rows)
        series = self._series(names, timed=timed)
        duration = self.elapsed_s
        if duration is None and not timed:
            spans = [row.value for row in self.rows if row.event == DURATION and row.value is not None]
            duration = sum(spans) / 1e9 if spans else None
        if timed:
            duration = max(row.time_s for row in self.rows if row.time_s is not None)
        return Recording(
            tool="perf stat",
            format=format,
            source=self.source.name,
            results=(series,),
            meta=Meta(command=_command(self.what), started_at=self.started_at, duration_s=duration),
            warnings=self._cautions(names),
        )

    def _keep_first_run(self) -> None:
        """Intervals of several runs are on several clocks; runs of several programs are no repetitions, and nor are
        averages over runs.
        """
        self.foreign += self.run
        self.rows = [row for row, run in zip(self.rows, self.run_of, strict=True) if run == 0]
        self.run = 0

    def _series(self, names: SeriesNames, *, timed: bool) -> CounterSeries:
        if timed:
            return CounterSeries.of_readings(self._intervals(names))
        if self.run:
            readings = [reading for run in range(self.run + 1) for reading in self._one_run(run, names)]
            return replace(CounterSeries.of_readings(readings), runs=self.run + 1)
        readings = [*readings_of(self.rows, names, start_s=0.0, length_s=self.elapsed_s or 0.0), *self.spent]
        if not self._averaged:
            return CounterSeries.of_readings(readings)
        series = CounterSeries.of_readings([*readings, *self._elapsed()])
        # In its texts perf leaves out a "+-" of nothing. A count of nothing has none.
        unsaid = 0.0 if self.runs else math.nan
        varies = {
            names.name(row): unsaid if row.variance is None else row.variance for row in self.rows if row.value
        } | {ELAPSED: self.elapsed_spread}
        spread = [varies.get(series.names[at], math.nan) for at in series.series]
        return replace(series, runs=self.runs, kept=self._kept, spread=readonly(spread, np.float64))

    def _elapsed(self) -> list[Reading]:
        """The elapsed time of each run where perf has listed all of them, and their average where not."""
        if self.elapsed_s is None:
            return []
        each = self.table_s if len(self.table_s) == self.runs else [self.elapsed_s]
        return [
            Reading(series=ELAPSED, start_s=float(run), length_s=seconds, value=seconds * 1000, unit="ms")
            for run, seconds in enumerate(each)
        ]

    def _one_run(self, run: int, names: SeriesNames) -> list[Reading]:
        rows = [row for row, of in zip(self.rows, self.run_of, strict=True) if of == run]
        lasted = next((row.value for row in rows if row.event == DURATION and row.value is not None), 0.0)
        return readings_of(rows, names, start_s=float(run), length_s=lasted / 1e9)

    @property
    def _averaged(self) -> bool:
        """Whether perf has repeated the program by itself (-r) and tells sums over its runs alone."""
        return self.runs > 1 or any(row.variance is not None and row.time_s is None for row in self.rows)

    def _intervals(self, names: SeriesNames) -> list[Reading]:
        """Rows of one time are one interval, which began where the one before had ended."""
        intervals: dict[float, list[Row]] = {}
        for row in self.rows:
            if row.time_s is not None:
                intervals.setdefault(row.time_s, []).append(row)
        readings: list[Reading] = []
        before = 0.0
        for end in sorted(intervals):
            readings += readings_of(intervals[end], names, start_s=before, length_s=end - before)
            before = end
        return readings

    @property
    def _kept(self) -> Kept:
        """perf 6.1 prints the counts of the last run where it means to print averages, and rates of them by the average
        of task-clock: "71.93 msec task-clock" and "1004 page-faults # 14.137 K/sec", which is 1004 in 71.02 ms.

        Where both clocks agree, and runs differ by much more than rounding does, the counts are averages.
        """
        counts = [row for row in self.rows if row.value]
        if any(not row.unit and not (row.value or 0.0).is_integer() for row in counts):
            return Kept.MEAN  # no run has a part of a count
        clock = next((row for row in counts if row.event.partition(":")[0] == "task-clock"), None)
        rated = [
            row for row in counts if clock is not None and row is not clock and row.part == clock.part and row.per_s
        ]
        if clock is None or not rated:
            return Kept.EITHER
        row = min(rated, key=_rounding)
        clock_ms, average_ms = clock.value or 0.0, 1000 * (row.value or 0.0) / (row.per_s or 1.0)
        apart, rounded = abs(average_ms / clock_ms - 1), _rounding(row) + 0.005 / clock_ms
        if apart > rounded:
            return Kept.LAST
        return Kept.MEAN if (clock.variance or 0.0) / 100 > 10 * rounded else Kept.EITHER

    def _about_averages(self) -> Caution:
        most = max((row.variance for row in self.rows if row.variance is not None), default=0.0)
        over = f"over {count(self.runs)} runs" if self.runs else "over several runs"
        beside = f"the ± beside it is that average's standard error, {most:.1f}% at most."
        match self._kept:
            case Kept.MEAN:
                return Caution(f"Each count is perf's average {over}; {beside}")
            case Kept.LAST:
                text = f"Each count is the last run's, though perf meant to average {over}; {beside}"
            case _:
                text = f"Each count is perf's average {over}, or the last run's as perf 6.1 prints it; {beside}"
        return Caution(text, "Record it with Tailflame, which keeps the figures of each run.")

    def _cautions(self, names: SeriesNames) -> tuple[Caution, ...]:
        found = []
        if self._averaged:
            found.append(self._about_averages())
        if names.common == "u":
            text = "Only user space was counted."
            if any(row.event.partition(":")[0] in IN_KERNEL for row in self.rows):
                text += " Context switches and migrations happen in the kernel: perf's zeros are no counts."
            found.append(Caution(text, "Allow the kernel's part: sudo sysctl kernel.perf_event_paranoid=1"))
        estimated = {names.name(row) for row in self.rows if row.value is not None and row.running < 0.9995}
        if estimated:
            what = "1 counter" if len(estimated) == 1 else f"{count(len(estimated))} counters"
            found.append(
                Caution(
                    f"{what} had to share the processor's counters: perf's figures are estimates.",
                    "Count fewer events at a time.",
                )
            )
        if self.foreign:
            held = self.foreign + self.run + 1
            found.append(Caution(f"It holds the figures of {count(held)} runs; the first is shown.",
                                 "Open each run as a file of its own."))  # fmt: skip
        if self.bad:
            number, reason = self.bad[0]
            what = "1 line was" if len(self.bad) == 1 else f"{count(len(self.bad))} lines were"
            found.append(Caution(f"{what} left out (line {number}: {reason}).", "The file may have been cut off."))
        return tuple(found)


def _of_one_run(row: Row) -> bool:
    """And not of an interval, nor of several runs."""
    return row.time_s is None and row.variance is None


def _rounding(row: Row) -> float:
    """How far off a count by its rate may be for their digits alone: counts are printed whole, rates by thousands with
    three digits behind the point.
    """
    value, per_s = row.value or 1.0, row.per_s or 1.0
    thousands = next((scale for scale in (1e9, 1e6, 1e3) if per_s >= scale), 1.0)
    return 0.5 / value + 0.0005 * thousands / per_s


def _command(what: str) -> tuple[str, ...]:
    """ "'sleep 0.1'" is a command; "process id '42'" and "'system wide'" are none."""
    if not (what.startswith("'") and what.endswith("'")) or what in ("'system wide'",) or what.startswith("'CPU(s)"):
        return ()
    try:
        return tuple(shlex.split(what[1:-1]))
    except ValueError:
        return tuple(what[1:-1].split())


def _moment(text: str) -> datetime | None:
    """perf writes its machine's own time without a zone: taken for ours."""
    try:
        return datetime.strptime(text, "%a %b %d %H:%M:%S %Y").astimezone()
    except (ValueError, OverflowError, OSError):
        return None
