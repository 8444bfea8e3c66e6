"""Counters of whole runs as table columns: what they come to, and what changed."""

from __future__ import annotations

import math

from tailflame.analyse.counter_bands import judge
from tailflame.analyse.counter_summary import CounterChange, CounterFigure, Mark, column_title
from tailflame.model import CounterSeries
from tailflame.units import count, interval_text, percent, reading, signed_percent, with_percent
from tailflame_gui.models.counter_table import LEVEL_MARKS
from tailflame_gui.models.session_table import Field

_SHOWN_RUNS = 24
_MARKS = {
    Mark.BETTER: ("circle-check", "good"),
    Mark.WORSE: ("triangle-alert", "bad"),
    Mark.MORE: ("trending-up", "second"),
    Mark.LESS: ("trending-down", "second"),
}


def figure_fields(figures: tuple[CounterFigure, ...], series: CounterSeries) -> tuple[Field[CounterFigure], ...]:
    """The columns that these figures fill: one run has no spread, and intervals have ends."""
    title = column_title(series)
    fields = [
        Field[CounterFigure]("Counter", lambda row: row.name, lambda row: row.name.casefold(), 240),
        Field[CounterFigure](
            title[:1].upper() + title[1:], value_text, lambda row: _key(row.value), 150,
            right=True, mono=True, muted=lambda row: not row.counted, tip=_runs_tip,
        ),
    ]  # fmt: skip
    if series.by_run:
        fields.append(
            Field("± (95 %)", lambda row: _text(row.margin, row.unit), lambda row: _key(row.margin), 104, right=True,
                  mono=True, tip=lambda _row: "How far the mean may be from the true one, by Student's t.")
        )  # fmt: skip
    elif series.repeated:
        fields.append(
            Field("± std. error, %", lambda row: "" if math.isnan(row.spread) else f"{row.spread:.2f}",
                  lambda row: _key(row.spread), 130, right=True, mono=True,
                  tip=lambda _row: "As perf prints it: the standard error of the runs' mean, in percent of the count. "
                  "It is no 95 % interval, which is more than twice as wide.")
        )  # fmt: skip
    if any(not math.isnan(figure.low) for figure in figures):
        what = "run" if series.repeated else "interval"
        fields += [
            Field("Least", lambda row: _text(row.low, row.unit), lambda row: _key(row.low), 104, right=True, mono=True,
                  leaves=True, tip=lambda _row: f"The {what} with the least."),
            Field("Most", lambda row: _text(row.high, row.unit), lambda row: _key(row.high), 104, right=True, mono=True,
                  leaves=True, tip=lambda _row: f"The {what} with the most."),
        ]  # fmt: skip
    fields.append(Field("What it says", notes, notes, 0, tip=_judged, icon=_level_mark))
    return tuple(fields)


def change_fields() -> tuple[Field[CounterChange], ...]:
    return (
        Field[CounterChange]("Counter", lambda row: row.name, lambda row: row.name.casefold(), 240),
        Field[CounterChange](
            "Before", lambda row: value_text(row.before), lambda row: _key(row.before.value), 130, right=True,
            mono=True, muted=lambda row: not row.before.counted, tip=lambda row: _runs_tip(row.before),
        ),
        Field[CounterChange](
            "After", lambda row: value_text(row.after), lambda row: _key(row.after.value), 130, right=True,
            mono=True, muted=lambda row: not row.after.counted, tip=lambda row: _runs_tip(row.after),
        ),
        Field[CounterChange](
            "Change", lambda row: _percent(row.change), lambda row: _key(row.change), 90, right=True, mono=True
        ),
        Field[CounterChange](
            "95 % interval, %",
            lambda row: "" if math.isnan(row.low) else interval_text(row.low, row.high),
            lambda row: _key(row.low), 140, right=True, mono=True,
            tip=lambda _row: "Of the change of the mean, by Welch's test on the runs.",
        ),
        Field[CounterChange](
            "What it is worth", lambda row: row.mark.value, lambda row: row.mark.value, 0, tip=_worth,
            icon=lambda row: _MARKS.get(row.mark), muted=lambda row: not row.is_significant,
        ),
    )  # fmt: skip


def value_text(figure: CounterFigure) -> str:
    return reading(figure.value, figure.unit) if figure.counted else f"<{figure.status.value}>"


def notes(figure: CounterFigure) -> str:
    """What has to be known of the value besides."""
    parts = []
    if figure.counted and figure.running < 0.995:
        parts.append(f"multiplexed {percent(figure.running, digits=0)}")
    if figure.simulated:
        parts.append("simulated")
    if 0 < figure.counted < figure.readings:
        parts.append(f"counted in {count(figure.counted)} of {count(figure.readings)}")
    words = _judged(figure)
    if words:
        parts.append(words.partition(": ")[2] or words)
    return ", ".join(parts)


def _judged(figure: CounterFigure) -> str:
    judged = judge(figure.name, figure.value)
    return judged.words if judged is not None else ""


def _level_mark(figure: CounterFigure) -> tuple[str, str] | None:
    judged = judge(figure.name, figure.value)
    return LEVEL_MARKS[judged.level] if judged is not None else None


def _runs_tip(figure: CounterFigure) -> str:
    if not figure.runs:
        return ""
    shown = ", ".join(reading(value, figure.unit) for value in figure.runs[:_SHOWN_RUNS])
    return f"Each run: {shown}{' …' if len(figure.runs) > _SHOWN_RUNS else ''}"


def _worth(change: CounterChange) -> str:
    match change.mark:
        case Mark.UNKNOWN | Mark.ALONE:
            return "One run on a side does not tell how much runs differ: record 5 runs or more of each."
        case Mark.UNTESTED:
            return "perf has kept too little of the runs that it repeated for a test."
        case Mark.NOISE if change.low > 0 or change.high < 0:
            return "By itself it would be a change. Of so many rows one may well look like that by chance."
        case Mark.NOISE:
            return "Runs of one program differ by as much."
        case Mark.ABSENT:
            return "One of them has no count."
        case Mark.SAME:
            return "Every run counted the same."
        case _:
            return f"Beyond what runs differ by: p = {change.p:.2g}, with all rows taken together below 5 %."


def _text(value: float, unit: str) -> str:
    return "" if math.isnan(value) else reading(value, unit)


def _percent(change: float) -> str:
    return "" if math.isnan(change) else with_percent(signed_percent(change, digits=1))


def _key(value: float) -> float:
    return -math.inf if math.isnan(value) else value
