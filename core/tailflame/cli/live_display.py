"""What `live` and `attach` show while they look: a table that is drawn anew, lines for a pipe, or JSON."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Group
from rich.live import Live
from rich.text import Text

from tailflame.analyse.timeline import NEEDED
from tailflame.cli.terminal import Terminal, add_row, finite, plain_table, printable
from tailflame.model import Histogram, merge_all
from tailflame.model.histogram import PERCENTILES
from tailflame.model.live import Behind, Captured, Cost, Found, LatencySlice, Reading, Said, StageSlice, Status
from tailflame.model.slow_calls import SlowCalls
from tailflame.run.live_events import (
    LiveContinued,
    LiveEvent,
    LiveFinished,
    LiveStarted,
    SourceChanged,
    SourceState,
    SourceTold,
)
from tailflame.store import SessionInfo
from tailflame.units import count, nanoseconds, percent, reading, size

ROLLING_S = 10.0
_SHOW_EVERY_S = 1.0
_HEADLINES = ("IPC", "cache misses", "branch misses", "CPU", "memory")


def unreliable(histogram: Histogram) -> tuple[float, ...]:
    """The percentiles of PERCENTILES for which there are too few values."""
    return tuple(p for p, needed in zip(PERCENTILES, NEEDED, strict=True) if histogram.total < needed)


class Display(Protocol):
    def take(self, event: LiveEvent) -> None: ...

    def finished(self, finished: LiveFinished, kept: SessionInfo | None) -> None: ...


@contextmanager
def display_of(terminal: Terminal, *, launched: bool) -> Iterator[Display]:
    """The one that suits stdout."""
    if terminal.as_json:
        yield JsonDisplay()
    elif terminal.out.is_terminal:
        with Live(console=terminal.out, auto_refresh=False, transient=False) as live:
            yield TextDisplay(terminal, live, launched=launched)
    else:
        yield TextDisplay(terminal, None, launched=launched)


class JsonDisplay:
    """One object a line, as it comes."""

    def __init__(self) -> None:
        self._epoch_s = time.time() - time.monotonic()

    def take(self, event: LiveEvent) -> None:
        match event:
            case LiveStarted():
                self._print({"started": event.pid, "launched": event.launched})
            case LiveContinued():
                self._print({"running": event.time_s + self._epoch_s})
            case SourceChanged():
                error = str(event.error) if event.error is not None else ""
                self._print({"source": event.name, "state": event.state.value, "error": error})
            case SourceTold():
                document = self._document(event)
                if document is not None:
                    self._print(document)

    def finished(self, finished: LiveFinished, kept: SessionInfo | None) -> None:
        session = kept.id if kept is not None else None
        self._print({"finished": finished.sentence, "seconds": finished.seconds, "session": session})

    def _document(self, told: SourceTold) -> dict[str, Any] | None:
        update = told.update
        match update:
            case LatencySlice(histogram=histogram):
                values = histogram.percentiles() if histogram.total else (None,) * len(PERCENTILES)
                return {
                    "series": update.series,
                    **self._interval(update.start_s, update.length_s),
                    "count": histogram.total,
                    "percentiles": {f"p{p:g}": value for p, value in zip(PERCENTILES, values, strict=True)},
                    "max": histogram.maximum if histogram.total else None,
                    "unreliable": [f"p{p:g}" for p in unreliable(histogram)],
                }
            case Reading():
                return {
                    "reading": update.series,
                    **self._interval(update.start_s, update.length_s),
                    "value": update.value,
                    "unit": update.unit,
                    "status": update.status.value,
                    "running": update.running,
                    "simulated": update.simulated,
                }
            case StageSlice():
                mean = [value / max(update.events, 1) for value in update.sums_ns]
                tail = [value / max(update.tail_events, 1) for value in update.tail_sums_ns]
                return {
                    "stages": update.series,
                    **self._interval(update.start_s, update.length_s),
                    "events": update.events,
                    "mean_ns": dict(zip(update.stages, mean, strict=True)),
                    "tail_mean_ns": dict(zip(update.stages, tail, strict=True)),
                }
            case Cost():
                return {
                    "cost": update.series,
                    "floor_ns": update.floor_ns,
                    "per_call_ns": update.per_call_ns,
                    "calls_per_s": update.calls_per_s,
                    "share": update.share,
                    "lost": update.lost,
                }
            case Said():
                return {"said": update.text, "fix": update.fix}
            case SlowCalls() if len(update):
                return {
                    "slow": update.series,
                    "above_ns": update.threshold_ns,
                    **self._interval(update.start_s, update.length_s),
                    "calls": len(update),
                    "longest_ns": int((update.end_ns - update.start_ns).max()),
                    "lost": update.lost,
                }
            case Captured():
                return {
                    "captured": str(update.path),
                    "time": update.time_s + self._epoch_s,
                    "why": update.why,
                    "state": update.summary,
                    "took_s": update.took_s,
                    "bytes": update.bytes,
                }
            case Behind():
                return {"behind": told.name, "seconds": update.seconds, "bytes": update.bytes}
            case Found():
                return {"found": told.name, "names": dict(update.names)}
        return None

    def _interval(self, start_s: float, length_s: float) -> dict[str, float]:
        return {"time": start_s + self._epoch_s, "interval_s": length_s}

    def _print(self, document: dict[str, Any]) -> None:
        print(json.dumps(finite(document), ensure_ascii=False), flush=True)


class _Series:
    """One latency series: the last ROLLING_S and the whole run."""

    def __init__(self) -> None:
        self._recent: deque[LatencySlice] = deque()
        self._pending: list[Histogram] = []
        self._whole = Histogram.empty()

    def take(self, update: LatencySlice) -> None:
        self._recent.append(update)
        self._pending.append(update.histogram)
        while self._recent[0].start_s < update.start_s - ROLLING_S:
            self._recent.popleft()

    @property
    def rate(self) -> float:
        seconds = sum(part.length_s for part in self._recent)
        return sum(part.histogram.total for part in self._recent) / seconds if seconds else 0.0

    @property
    def recent(self) -> Histogram:
        return merge_all(part.histogram for part in self._recent)

    @property
    def whole(self) -> Histogram:
        self._whole = merge_all([self._whole, *self._pending]) if self._whole.total else merge_all(self._pending)
        self._pending = []
        return self._whole


class TextDisplay:
    """Percentiles of each series, the last 10 s and the whole run, and the newest counters under them."""

    def __init__(self, terminal: Terminal, live: Live | None, *, launched: bool) -> None:
        self._terminal = terminal
        self._live = live
        self._launched = launched
        self._series: dict[str, _Series] = {}
        self._readings: dict[str, Reading] = {}
        self._costs: dict[str, Cost] = {}
        self._behind: dict[str, Behind] = {}
        self._stages: dict[str, deque[StageSlice]] = {}
        self._slow = 0
        self._began_s = 0.0
        self._shown_s = 0.0

    def take(self, event: LiveEvent) -> None:
        match event:
            case LiveStarted():
                what = "launched" if event.launched else "attached to"
                self._terminal.note(f"{what} process {event.pid}; Ctrl-C {'ends it' if event.launched else 'lets go'}")
            case LiveContinued():
                self._began_s = self._shown_s = event.time_s
            case SourceChanged(state=SourceState.FAILED) if event.error is not None:
                self._terminal.note(f"{event.title}: {event.error.sentence} {event.error.advice}".rstrip())
            case SourceTold():
                self._told(event)
        now = time.monotonic()
        if self._began_s and now >= self._shown_s + _SHOW_EVERY_S and (self._series or self._readings):
            self._shown_s = now
            self._show(now - self._began_s)

    def finished(self, finished: LiveFinished, kept: SessionInfo | None) -> None:
        if self._live is not None:
            self._live.stop()
        if self._series:
            self._terminal.line()
            self._terminal.line("the whole run", style="bold")
            self._terminal.table(self._table(whole=True))
        self._terminal.line()
        self._terminal.line(finished.sentence, style="bold")
        for role in ("stdout", "stderr"):
            if kept is not None and role in finished.artifacts:
                self._terminal.line(f"its {role} is in {finished.artifacts[role]}")
        if kept is not None:
            self._terminal.line(f"kept in {kept.path}")
        if kept is not None and self._slow:
            calls = "slow call" if self._slow == 1 else "slow calls"
            self._terminal.line(f"{count(self._slow)} {calls} kept: `tailflame tail` compares them with the fast ones")

    def _told(self, told: SourceTold) -> None:
        match told.update:
            case LatencySlice() as update:
                self._series.setdefault(update.series, _Series()).take(update)
            case Reading() as update:
                self._readings[update.series] = update
            case Cost() as update:
                self._costs[update.series] = update
            case Behind() as update:
                self._behind[told.name] = update
            case StageSlice() as update:
                recent = self._stages.setdefault(update.series, deque())
                recent.append(update)
                while recent[0].start_s < update.start_s - ROLLING_S:
                    recent.popleft()
            case Said() as update:
                self._terminal.note(f"{update.text} {update.fix}".rstrip())
            case SlowCalls() as update:
                self._slow += len(update)
            case Captured() as update:
                self._terminal.note(f"{update.words}: {update.path}")

    def _show(self, elapsed_s: float) -> None:
        if self._live is not None:
            parts = [Text(f"{elapsed_s:.0f} s, the last {ROLLING_S:.0f} s", style="bold"), self._table(whole=False)]
            lines = [self._counters(), *self._cost_lines()]
            self._live.update(Group(*parts, *(Text(line) for line in lines if line)), refresh=True)
            return
        for name, series in self._series.items():
            recent = series.recent
            if not recent.total:
                self._terminal.line(f"{elapsed_s:6.0f} s  {name}  0/s")
                continue
            few = unreliable(recent)
            values = zip(PERCENTILES, recent.percentiles(), strict=True)
            figures = "  ".join(f"p{p:g} {'~' if p in few else ''}{nanoseconds(v)}" for p, v in values)
            self._terminal.line(f"{elapsed_s:6.0f} s  {name}  {count(round(series.rate))}/s  {figures}")
        for line in (self._counters(), *self._cost_lines()):
            if line:
                self._terminal.line(f"{elapsed_s:6.0f} s  {line}")

    def _table(self, *, whole: bool) -> Any:
        headers = tuple((f"p{p:g}", "right") for p in PERCENTILES)
        table = plain_table("latency", ("calls" if whole else "calls/s", "right"), *headers, ("max", "right"))
        for name, series in self._series.items():
            histogram = series.whole if whole else series.recent
            few = unreliable(histogram)
            cells: list[str | Text] = [name, count(histogram.total if whole else round(series.rate))]
            if not histogram.total:  # nothing was called, which took no time at all, but not 0 ns
                add_row(table, cells)
                continue
            for p, value in zip(PERCENTILES, histogram.percentiles(), strict=True):
                # Too few values: shown, and marked as hardly known.
                cells.append(Text(f"~{nanoseconds(value)}", style="dim") if p in few else nanoseconds(value))
            add_row(table, [*cells, nanoseconds(histogram.maximum)])
        return table

    def _counters(self) -> str:
        shown = []
        for name in _HEADLINES:
            known = self._readings.get(name)
            if known is None:
                continue
            if known.value is None:
                if known.status is not Status.EMPTY:
                    shown.append(f"{name} {known.status.value}")
                continue
            ran = "" if known.running >= 1 else f" (counted {percent(known.running, digits=0)} of the time)"
            shown.append(f"{name} {reading(known.value, known.unit)}{ran}")
        return printable("   ".join(shown))

    def _cost_lines(self) -> list[str]:
        lines = [
            f"{name}: probe floor {nanoseconds(cost.floor_ns)}, costs {nanoseconds(cost.per_call_ns)} a call, "
            f"{percent(cost.share)} of the program's time, lost {count(cost.lost)}"
            for name, cost in self._costs.items()
            if cost.floor_ns == cost.floor_ns
        ]
        lines += [
            f"{name} is behind by {size(behind.bytes)}, {behind.seconds:.1f} s"
            for name, behind in self._behind.items()
            if behind.bytes
        ]
        for name, recent in self._stages.items():
            spent: dict[str, float] = {}
            for part in recent:
                for stage, sum_ns in zip(part.stages, part.tail_sums_ns, strict=True):
                    spent[stage] = spent.get(stage, 0.0) + sum_ns
            if any(spent.values()):
                worst = max(spent, key=lambda stage: spent[stage])
                share = percent(spent[worst] / sum(spent.values()), digits=0)
                lines.append(f"slowest 1% of {name}, the last {ROLLING_S:.0f} s: {worst} takes {share} of their time")
        return [printable(line) for line in lines]
