"""A project's benchmarks over its runs, on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tailflame.analyse.bench_history import BenchHistory, histories, ours_words
from tailflame.cli.terminal import Terminal, add_row, plain_table
from tailflame.store import Library, SessionInfo
from tailflame.store.bench_sessions import past_runs
from tailflame.units import count, nanoseconds

_SHOWN = 6
"""Runs of a line."""


def show_history(library: Library, shown: SessionInfo, terminal: Terminal) -> list[dict[str, Any]]:
    """Prints what earlier runs of the project's benchmarks took, where there are any; their JSON."""
    runs = past_runs(library, shown)
    if len(runs) < 2:
        return []
    found = histories(runs)
    terminal.line()
    terminal.line(f"The last {count(len(runs))} runs of the project", style="bold")
    table = plain_table("benchmark", "oldest to this one", "criterion, the last two runs", "over repeated runs")
    for one in found:
        add_row(table, [one.name, _line(one), _criterion(one), ours_words(one)])
    terminal.table(table)
    if not any(one.ours is not None for one in found):
        terminal.note("All are of one state of the code: a change is judged over the runs of two.")
    return _documents(found)


def _line(one: BenchHistory) -> str:
    times = [nanoseconds(point.typical.point) for point in one.points[-_SHOWN:]]
    return " → ".join((["…"] if len(one.points) > _SHOWN else []) + times)


def _criterion(one: BenchHistory) -> str:
    return one.criterion.verdict.value if one.criterion is not None else ""


def _documents(found: Sequence[BenchHistory]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "runs": [
                {
                    "session": p.session,
                    "commit": p.state,
                    "time": p.typical.point,
                    "low": p.typical.low,
                    "high": p.typical.high,
                }
                for p in one.points
            ],
            "criterion": one.criterion.verdict.value if one.criterion is not None else None,
            "ours": None
            if one.ours is None
            else {
                "mark": one.ours.mark.value,
                "change": _number(one.ours.change),
                "low": _number(one.ours.low),
                "high": _number(one.ours.high),
                "before": list(one.ours.before),
                "after": list(one.ours.after),
            },
        }
        for one in found
    ]


def _number(value: float) -> float | None:
    return value if value == value else None
