"""Counters that were read once, as a table: what perf stat sums up, what one scrape tells."""

from __future__ import annotations

from dataclasses import dataclass

from tailflame.analyse.counter_bands import Level, judge
from tailflame.analyse.series_ring import CounterTimeline
from tailflame.model.live import Status
from tailflame.units import percent, reading
from tailflame_gui.models.session_table import Field

_WHY = {
    Status.NOT_SUPPORTED: "<not supported>",
    Status.NOT_COUNTED: "<not counted>",
    Status.EMPTY: "nothing to measure",
}
LEVEL_MARKS = {Level.GOOD: ("circle-check", "good"), Level.OK: ("info", "second"), Level.BAD: ("triangle-alert", "bad")}


@dataclass(frozen=True, slots=True)
class CounterRow:
    name: str
    value: float | None
    unit: str
    status: Status
    running: float
    simulated: bool
    level: Level | None
    words: str
    """What the value means; "" where there is no target for it."""


def counter_rows(counters: dict[str, CounterTimeline]) -> tuple[CounterRow, ...]:
    """The latest reading of each."""
    rows = []
    for name, timeline in counters.items():
        latest = timeline.latest
        if latest is None:
            continue
        judged = None if latest.value is None else judge(name, latest.value)
        rows.append(
            CounterRow(
                name=name,
                value=latest.value,
                unit=latest.unit or timeline.unit,
                status=latest.status,
                running=latest.running,
                simulated=latest.simulated,
                level=judged.level if judged else None,
                words=judged.words if judged else "",
            )
        )
    return tuple(rows)


def value_text(row: CounterRow) -> str:
    return _WHY.get(row.status, "no value") if row.value is None else reading(row.value, row.unit)


def notes(row: CounterRow) -> str:
    """What has to be known of the value besides."""
    parts = []
    if row.value is not None and row.running < 0.995:
        parts.append(f"multiplexed {percent(row.running, digits=0)}")
    if row.simulated:
        parts.append("simulated")
    if row.level is not None:
        parts.append(row.words.partition(": ")[2] or row.words)
    return ", ".join(parts)


def counter_fields() -> tuple[Field[CounterRow], ...]:
    return (
        Field[CounterRow]("Counter", lambda row: row.name, lambda row: row.name.casefold(), 320),
        Field[CounterRow](
            "Value", value_text, lambda row: float("-inf") if row.value is None else row.value, 160,
            right=True, mono=True, muted=lambda row: row.value is None,
        ),
        Field[CounterRow](
            "What it says", notes, notes, 0, tip=lambda row: row.words,
            icon=lambda row: None if row.level is None else LEVEL_MARKS[row.level],
        ),
    )  # fmt: skip
