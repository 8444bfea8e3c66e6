"""live.jsonl: everything that a live run of Tailflame saw, one JSON object a line, the first one a head.

    {"format":"tailflame live","version":1,"pid":8812,"launched":false,"clock":{"monotonic_s":…,"epoch_s":…},…}

Written line by line while it happens (report/live_log.py): a file that ends in the middle of a line is a run that was
cut off, and is read up to there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from tailflame import units
from tailflame.errors import ParseError
from tailflame.model import Caution, Histogram, HistogramSeries, Meta, Recording, merge_all
from tailflame.model.counters import CounterRecorder
from tailflame.model.live import Cost, LatencySlice, Reading, Said, StageSlice
from tailflame.model.live_record import LiveRecord, Mark
from tailflame.model.recording import Result
from tailflame.model.slow_calls import SlowCalls, joined
from tailflame.parse import live_lines
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head

VERSION = 1
MARK = '{"format":"tailflame live"'
_MOST_INTERVALS = 3600
"""Intervals of one series that a view keeps; of a longer run neighbours are merged. The file keeps them all."""
_MOST_SLOW = 2_000_000
"""Slow calls that are read; what comes later is in the file alone."""


class LiveLog:
    name = "live"
    title = "live runs of Tailflame (live.jsonl)"

    def sniff(self, head: bytes, name: str) -> float:
        return 1.0 if decode_head(head).startswith(MARK) else NO

    def load(self, source: Source) -> Recording:
        log = _Log(source)
        log.read()
        return log.recording(self.name)


LIVE_LOG = LiveLog()


class _Log:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.head: dict[str, Any] = {}
        self.latencies: dict[str, _Intervals] = {}
        self.readings = CounterRecorder()
        self.stages: list[StageSlice] = []
        self.marks: list[Mark] = []
        self.costs: dict[str, Cost] = {}
        self.said: dict[str, Said] = {}
        self.slow: dict[str, list[list[SlowCalls]]] = {}
        self.slow_calls = self.slow_left_out = 0
        self.ended_s = 0.0
        self.bad: list[tuple[int, str]] = []

    def read(self) -> None:
        for number, text in enumerate(self.source.lines(), 1):
            if not text or text.isspace():
                continue
            try:
                document = orjson.loads(text)
                if not isinstance(document, dict):
                    raise ValueError("it is no JSON object")
                if not self.head:
                    self._begin(document, number)
                else:
                    self._take(live_lines.read(document))
            except orjson.JSONDecodeError:
                self.bad.append((number, "it is cut off, or no JSON"))
            except ValueError as error:
                self.bad.append((number, str(error)))
        if not self.head:
            raise self._unreadable("it has no head", 1)
        if not (self.latencies or self.readings or self.stages):
            raise ParseError(
                f"{self.source.name} holds nothing that was seen: the run ended before its first interval.",
                source=self.source.name,
                advice="Run it again, for longer.",
            )

    def _begin(self, document: dict[str, Any], number: int) -> None:
        if document.get("format") != "tailflame live":
            raise self._unreadable("it does not begin with the head of a live run", number)
        version = document.get("version")
        if not isinstance(version, int) or version < 1:
            raise self._unreadable("its version is no number", number)
        if version > VERSION:
            raise ParseError(
                f"{self.source.name} was written by a newer Tailflame (format {version}, this one knows {VERSION}).",
                source=self.source.name,
                advice="Update Tailflame to read it.",
            )
        clock = document.get("clock")
        if not (
            isinstance(clock, dict) and all(isinstance(clock.get(k), int | float) for k in ("monotonic_s", "epoch_s"))
        ):
            raise self._unreadable("its head does not tell the clock", number)
        self.head = document

    def _unreadable(self, why: str, line: int) -> ParseError:
        return ParseError(f"{self.source.name}, line {line}: {why}.", source=self.source.name, line=line)

    def _take(self, line: live_lines.Line | None) -> None:
        match line:
            case LatencySlice():
                self.latencies.setdefault(line.series, _Intervals()).add(line)
            case Reading():
                self.readings.add(line)
            case StageSlice():
                self.stages.append(line)
            case Cost():
                self.costs[line.series] = line
            case Said():
                self.said[line.text] = line
            case Mark():
                self.marks.append(line)
            case SlowCalls():
                self._take_slow(line)
        if isinstance(line, LatencySlice | Reading | StageSlice):
            self.ended_s = max(self.ended_s, line.start_s + line.length_s)

    def _take_slow(self, line: SlowCalls) -> None:
        if self.slow_calls + len(line) > _MOST_SLOW:
            self.slow_left_out += len(line)
            return
        self.slow_calls += len(line)
        stretches = self.slow.setdefault(line.series, [])
        if stretches and line.follows(stretches[-1][-1]):
            stretches[-1].append(line)
        else:
            stretches.append([line])

    def recording(self, format_name: str) -> Recording:
        clock = self.head["clock"]
        began, epoch = float(clock["monotonic_s"]), float(clock["epoch_s"])
        results: list[Result] = []
        series, merged = self._histograms()
        if series.tags:
            results.append(series)
        if self.readings:
            results.append(self.readings.series())
        pid = self.head.get("pid")
        results.append(
            LiveRecord(
                epoch_s=epoch - began,
                began_s=began,
                ended_s=max(self.ended_s, began),
                pid=pid if isinstance(pid, int) else 0,
                launched=self.head.get("launched") is True,
                stages=tuple(self.stages),
                marks=tuple(self.marks),
                costs=tuple(self.costs.values()),
                slow=tuple(joined(stretch) for stretches in self.slow.values() for stretch in stretches),
            )
        )
        argv = self.head.get("argv")
        return Recording(
            tool="live",
            format=format_name,
            source=self.source.name,
            results=tuple(results),
            meta=Meta(
                command=tuple(str(word) for word in argv) if isinstance(argv, list) else (),
                started_at=_moment(epoch),
                duration_s=max(self.ended_s - began, 0.0),
                lost=sum(cost.lost for cost in self.costs.values()) if self.costs else None,
            ),
            warnings=self._cautions(merged),
        )

    def _histograms(self) -> tuple[HistogramSeries, int]:
        """The series, and how many intervals at most were merged into one where there were too many."""
        tags: list[str] = []
        starts: list[float] = []
        lengths: list[float] = []
        histograms: list[Histogram] = []
        for name, intervals in self.latencies.items():
            for part in intervals.finished():
                tags.append(name)
                starts.append(part.start_s)
                lengths.append(part.length_s)
                histograms.append(part.histogram)
        merged = max((intervals.group for intervals in self.latencies.values()), default=0)
        return HistogramSeries(tuple(tags), tuple(starts), tuple(lengths), tuple(histograms)), merged

    def _cautions(self, merged: int) -> tuple[Caution, ...]:
        cautions = [Caution(said.text, said.fix) for said in self.said.values()]
        if merged > 1:
            cautions.append(
                Caution(
                    f"The run is long: up to {merged} neighbouring intervals are shown as one. "
                    f"All of them are in {self.source.name}."
                )
            )
        if self.slow_left_out:
            cautions.append(
                Caution(
                    f"{units.count(self.slow_left_out)} of the slow calls are left out: there are more than "
                    f"{units.count(_MOST_SLOW)}. All of them are in {self.source.name}."
                )
            )
        if self.bad:
            number, reason = self.bad[0]
            what = "1 line was" if len(self.bad) == 1 else f"{units.count(len(self.bad))} lines were"
            cautions.append(Caution(f"{what} left out (line {number}: {reason}).", "The run may have been cut off."))
        return tuple(cautions)


class _Intervals:
    """One series while it is read: never many more intervals at a time than are kept, however long the run was."""

    def __init__(self) -> None:
        self.group = 1
        """So many are merged into one."""
        self._merged: list[LatencySlice] = []
        self._next: list[LatencySlice] = []

    def add(self, part: LatencySlice) -> None:
        self._next.append(part)
        if len(self._next) < self.group:
            return
        self._merged.append(_as_one(self._next))
        self._next = []
        if len(self._merged) >= 2 * _MOST_INTERVALS:
            self._halve()

    def finished(self) -> list[LatencySlice]:
        """In order of their starts."""
        if self._next:
            self._merged.append(_as_one(self._next))
            self._next = []
        self._merged.sort(key=_start)
        while len(self._merged) > _MOST_INTERVALS:
            self._halve()
        return self._merged

    def _halve(self) -> None:
        self._merged.sort(key=_start)
        self._merged = [_as_one(self._merged[at : at + 2]) for at in range(0, len(self._merged), 2)]
        self.group *= 2


def _start(part: LatencySlice) -> float:
    return part.start_s


def _as_one(parts: list[LatencySlice]) -> LatencySlice:
    if len(parts) == 1:
        return parts[0]
    start = min(part.start_s for part in parts)
    return LatencySlice(
        series=parts[0].series,
        start_s=start,
        length_s=max(part.start_s + part.length_s for part in parts) - start,
        histogram=merge_all(part.histogram for part in parts),
    )


def _moment(epoch_s: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(epoch_s, UTC)
    except (OverflowError, ValueError, OSError):
        return None
