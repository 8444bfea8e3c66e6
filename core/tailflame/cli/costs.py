"""Costs of lines on the command line: miss rates against their targets, the costliest functions and lines."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.text import Text

from tailflame.analyse.cache_compare import CostChanges, RateChange, compare_costs, cost_sentences, worse_rates
from tailflame.analyse.cache_rates import (
    CostBy,
    CostRows,
    ProgramRate,
    cost_rows,
    derived_costs,
    program_rates,
    rate_digits,
    rates_of,
)
from tailflame.analyse.names import module_label
from tailflame.cli.result_kind import Section
from tailflame.cli.terminal import Terminal, add_row, plain_table
from tailflame.model import Recording
from tailflame.model.stacks import Float64, Int64
from tailflame.units import MINUS, count, percent, signed_percent, with_percent

_RIGHT = "right"


class CostsKind:
    """What cachegrind and callgrind count."""

    key = "costs"

    def held(self, recording: Recording) -> bool:
        return recording.costs is not None

    def show(self, recording: Recording, terminal: Terminal, *, number: int) -> Any:
        """JSON: {"events": [{"name", "description", "total"}], "notes", "rates": [{"name", "value", "target", "met",
        "counted"}], "functions": [{"name", "file", "module", "costs": {event: count}, "rates": {name: share}}],
        "lines": [the same with "line"]}: rates are shares from 0 to 1, null where there is nothing to divide by.
        """
        table = recording.costs
        assert table is not None
        for note in table.notes:
            terminal.line(note, style="dim")
        rates = program_rates(table, recording.counters)
        _print_rates(terminal, rates)
        document: dict[str, Any] = {
            "events": [
                {"name": name, "description": words, "total": total}
                for name, words, total in zip(table.events, table.descriptions, table.totals.tolist(), strict=True)
            ],
            "notes": list(table.notes),
            "rates": [
                {
                    "name": rate.rate.name,
                    "value": rate.value,
                    "target": rate.rate.target,
                    "met": rate.met,
                    "counted": rate.counted,
                }
                for rate in rates
            ],
        }
        for by, key in ((CostBy.FUNCTION, "functions"), (CostBy.LINE, "lines")):
            rows = cost_rows(table, by)
            at = _by_leading(rows)[: max(number, 0)]
            _print_rows(terminal, rows, at)
            document[key] = [_row_document(rows, row) for row in at]
        return document

    def compare(
        self, before: Recording, after: Recording, terminal: Terminal, *, number: int, beyond: float
    ) -> Section:
        """JSON: {"rates": [{"name", "before", "after"}], "totals": {event: [before, after]}, "functions": [{"name",
        "file", "module", "costs": {event: [before, after]}}]}, functions matched by name, the largest change first.
        Worse is a rate that left its target, and a program that costs more.
        """
        assert before.costs is not None and after.costs is not None
        changes = compare_costs(before.costs, after.costs)
        for sentence in cost_sentences(changes):
            terminal.line(sentence, style="bold")
        _print_changes(terminal, changes, number)
        return Section(
            {
                "rates": [{"name": r.rate.name, "before": r.before, "after": r.after} for r in changes.rates],
                "totals": _pairs(changes.events, changes.totals_before, changes.totals_after),
                "functions": [
                    {
                        "name": changes.names[row],
                        "file": changes.file[row],
                        "module": changes.module[row],
                        "costs": _pairs(changes.events, changes.before[row], changes.after[row]),
                    }
                    for row in range(min(len(changes), max(number, 0)))
                ],
            },
            worse_rates(changes, beyond=beyond),
        )


COSTS_KIND = CostsKind()


def _leading(events: tuple[str, ...], costs: Int64) -> tuple[str, Int64]:
    """What rows are arranged by: estimated cycles where they can be reckoned, the first event where not."""
    cycles = next((cost for cost in derived_costs(events) if cost.name == "CEst"), None)
    if cycles is not None:
        return "cycles", cycles.of(costs, events)
    return events[0] if events else "", costs[..., 0] if events else np.zeros(len(costs), dtype=np.int64)


def _by_leading(rows: CostRows) -> list[int]:
    _name, weights = _leading(rows.events, rows.costs)
    order = np.argsort(-np.abs(weights), kind="stable")
    return [int(row) for row in order if weights[row]]


def _print_rates(terminal: Terminal, rates: tuple[ProgramRate, ...]) -> None:
    if not rates:
        return
    table = plain_table("", ("simulated", _RIGHT), "target", ("counted by the processor", _RIGHT))
    for rate in rates:
        add_row(
            table,
            [
                Text(rate.rate.name, style="dim"),
                _rate(rate.value),
                Text(rate.word, style="" if rate.met is not False else "yellow"),
                "" if rate.counted is None else _rate(rate.counted),
            ],
        )
    terminal.table(table)


def _print_rows(terminal: Terminal, rows: CostRows, at: list[int]) -> None:
    if not at:
        return
    name, weights = _leading(rows.events, rows.costs)
    whole = float(_leading(rows.events, rows.totals)[1]) or 1.0
    rates = [(rate, rows.rate(rate)) for rate in rates_of(rows.events)]
    event = rows.events[0]
    columns: list[str | tuple[str, str]] = [(f"{name} %", _RIGHT), (event, _RIGHT)]
    columns += [(f"{rate.title} %", _RIGHT) for rate, _values in rates]
    columns += ["function", "place"] if rows.by is CostBy.LINE else ["function", "file"]
    table = plain_table(*columns)
    for row in at:
        place = rows.name(row) if rows.by is CostBy.LINE else module_label(rows.file[row])
        add_row(
            table,
            [
                percent(float(weights[row]) / whole),
                count(int(rows.costs[row, 0])),
                *(_rate(float(values[row])) for _rate_of, values in rates),
                rows.function[row] or "???",
                Text(place, style="dim"),
            ],
        )
    terminal.line()
    terminal.table(table)


def _print_changes(terminal: Terminal, changes: CostChanges, number: int) -> None:
    if changes.rates:
        table = plain_table("", ("before", _RIGHT), ("after", _RIGHT), "")
        for rate in changes.rates:
            add_row(table, [Text(rate.rate.name, style="dim"), _rate(rate.before), _rate(rate.after), _crossed(rate)])
        terminal.table(table)
    if not changes.events:
        return
    at = changes.event("CEst") if changes.event("CEst") >= 0 else 0
    rows = changes.by(at, max(number, 0))
    if not rows:
        return
    relative = changes.change(at)
    noun = "cycles" if changes.events[at] == "CEst" else changes.events[at]
    table = plain_table((f"{noun} before", _RIGHT), ("after", _RIGHT), ("change", _RIGHT), "", "function", "file")
    for row in rows:
        was, now = int(changes.before[row, at]), int(changes.after[row, at])
        add_row(
            table,
            [
                count(was),
                count(now),
                f"{'+' if now > was else MINUS}{count(abs(now - was))}",
                _relative(float(relative[row])),
                changes.names[row] or "???",
                Text(module_label(changes.file[row]), style="dim"),
            ],
        )
    terminal.line()
    terminal.table(table)


def _crossed(rate: RateChange) -> Text:
    return Text(rate.crossed, style="yellow" if rate.crossed.startswith("now above") else "")


def _relative(change: float) -> str:
    if np.isinf(change):
        return "new"
    return "gone" if change == -1 else with_percent(signed_percent(change, digits=1))


def _rate(value: float) -> str:
    return percent(value, digits=rate_digits(value)) if np.isfinite(value) else ""


def _pairs(events: tuple[str, ...], before: Int64, after: Int64) -> dict[str, list[int]]:
    return {name: [was, now] for name, was, now in zip(events, before.tolist(), after.tolist(), strict=True)}


def _row_document(rows: CostRows, row: int) -> dict[str, Any]:
    one: Int64 = rows.costs[row : row + 1]
    rates: dict[str, Float64] = {rate.name: rate.of(one, rows.events) for rate in rates_of(rows.events)}
    place: dict[str, Any] = {"name": rows.function[row], "file": rows.file[row], "module": rows.module[row]}
    if rows.by is CostBy.LINE:
        place["line"] = int(rows.line[row]) if rows.line[row] > 0 else None
    return {
        **place,
        "costs": dict(zip(rows.events, rows.costs[row].tolist(), strict=True)),
        "rates": {name: float(values[0]) if np.isfinite(values[0]) else None for name, values in rates.items()},
    }
