"""Maps of a bpftrace program on the command line: what they hold, and what changed."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from tailflame.analyse.map_diff import MapChange, compare_maps
from tailflame.analyse.map_text import (
    bucket_text,
    key_text,
    key_titles,
    part_text,
    row_figures,
    unit_of_map,
    value_text,
    value_titles,
)
from tailflame.cli.result_kind import Section
from tailflame.cli.terminal import Terminal, add_row, plain_table
from tailflame.model import Recording
from tailflame.model.maps import Bucket, MapKind, MapRow, ProbeMap, ProbeMaps
from tailflame.units import count, signed_percent, with_percent

_BAR = 40


class MapsKind:
    """What a bpftrace program has left."""

    key = "maps"

    def held(self, recording: Recording) -> bool:
        return recording.maps is not None

    def show(self, recording: Recording, terminal: Terminal, *, number: int) -> Any:
        """JSON: {"recipe", "lost", "text", "maps": [{"name", "title", "kind", "unit", "keys", "rows": [{"key",
        "values", "text", "buckets": [[low, high, count]]}]}]}: all rows, whatever --number says.
        """
        maps = recording.maps
        assert maps is not None
        print_maps(maps, terminal, number=number)
        return maps_document(maps)

    def compare(
        self, before: Recording, after: Recording, terminal: Terminal, *, number: int, beyond: float
    ) -> Section:
        assert before.maps is not None and after.maps is not None
        changes = compare_maps(before.maps, after.maps, took_s=(before.meta.duration_s, after.meta.duration_s))
        terminal.line(changes.sentence, style="dim")
        for change in changes.maps:
            terminal.line()
            terminal.line(change.map.label, style="bold")
            terminal.table(_change_table(change, number))
        for side, names in (("before", changes.alone_before), ("after", changes.alone_after)):
            if names:
                terminal.note(f"Only {side}: {', '.join(names)}.")
        return Section([_change_document(change) for change in changes.maps])


MAPS_KIND = MapsKind()


def print_maps(maps: ProbeMaps, terminal: Terminal, *, number: int) -> None:
    """Every map, at most `number` keys of each, then what was printed."""
    for at, one in enumerate(maps.maps):
        if at:
            terminal.line()
        terminal.line(Text.assemble((one.label, "bold"), (f"  {one.name}" if one.title else "", "dim")))
        if one.kind in (MapKind.HIST, MapKind.LHIST):
            for row in one.rows[:number]:
                _print_histogram(row, one, terminal)
        else:
            terminal.table(_map_table(one, number))
        if len(one.rows) > number:
            terminal.line(f"and {count(len(one.rows) - number)} more", style="dim")
    if maps.text.strip():
        terminal.line()
        terminal.line("printed", style="bold")
        lines = maps.text.rstrip("\n").split("\n")
        for line in lines[-number:] if number else ():
            terminal.line(line)
        if len(lines) > number:
            terminal.line(f"and {count(len(lines) - number)} lines before", style="dim")
    if not maps.maps:
        terminal.line("It printed no map.")


def _map_table(one: ProbeMap, number: int) -> Table:
    table = plain_table(*((title, "right") for title in value_titles(one)), *key_titles(one))
    for row in one.rows[:number]:
        parts = [part_text(part, kind) for part, kind in zip(row.key, one.keys, strict=False)]
        parts += [""] * (len(one.keys) - len(parts))
        add_row(table, [*row_figures(row, one), *parts])
    return table


def _print_histogram(row: MapRow, one: ProbeMap, terminal: Terminal) -> None:
    unit = unit_of_map(one)
    if row.key:
        terminal.line(f"{key_text(row, one)}: {count(row.number)} values")
    table = plain_table(("", "right"), ("", "right"), "")
    table.show_header = False
    most = max((bucket.count for bucket in row.buckets), default=0) or 1
    for bucket in row.buckets:
        bar = "█" * max(round(bucket.count / most * _BAR), 1 if bucket.count else 0)
        add_row(table, [bucket_text(bucket, unit), count(bucket.count), Text(bar, style="dodger_blue1")])
    terminal.table(table)


def maps_document(maps: ProbeMaps) -> dict[str, Any]:
    return {
        "recipe": maps.recipe,
        "lost": maps.lost,
        "text": maps.text,
        "maps": [
            {
                "name": one.name,
                "title": one.title,
                "kind": one.kind.value,
                "unit": unit_of_map(one),
                "keys": list(one.keys),
                "rows": [
                    {
                        "key": list(row.key),
                        "values": list(row.values),
                        "text": row.text,
                        "buckets": [_bucket(bucket) for bucket in row.buckets],
                    }
                    for row in one.rows
                ],
            }
            for one in maps.maps
        ],
    }


def _bucket(bucket: Bucket) -> list[int | None]:
    return [bucket.low, bucket.high, bucket.count]


def _change_table(change: MapChange, number: int) -> Table:
    one = change.map
    counted = one.kind in (MapKind.HIST, MapKind.LHIST)
    unit = "" if counted else unit_of_map(one)
    table = plain_table(("before", "right"), ("after", "right"), ("change", "right"), *key_titles(one))
    for row in change.rows[:number]:
        parts = [part_text(part, kind) for part, kind in zip(row.key, one.keys, strict=False)]
        parts += [""] * (len(one.keys) - len(parts))
        add_row(
            table,
            [
                "" if row.before is None else value_text(row.before, unit),
                "" if row.after is None else value_text(row.after, unit),
                change_text(row.before, row.after, row.change),
                *parts,
            ],
        )
    return table


def change_text(before: float | None, after: float | None, change: float | None) -> str:
    if before is None:
        return "new"
    if after is None:
        return "gone"
    return "" if change is None else with_percent(signed_percent(change, digits=1))


def _change_document(change: MapChange) -> dict[str, Any]:
    return {
        "name": change.map.name,
        "before": change.before,
        "after": change.after,
        "rows": [{"key": list(row.key), "before": row.before, "after": row.after} for row in change.rows],
    }
