"""Heaps on the command line: the figures of the run, where memory comes from, what is temporary, what leaks."""

from __future__ import annotations

from dataclasses import fields as fields_of
from dataclasses import replace
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from tailflame.analyse.heap_diff import SiteDeltas, as_peak, site_deltas, unlike
from tailflame.analyse.heap_events import peak_event
from tailflame.analyse.heap_findings import (
    HeapSites,
    findings,
    pooling_candidates,
    sites,
    size_histogram_lines,
    temporary_note,
)
from tailflame.analyse.names import module_label
from tailflame.cli.result_kind import Section
from tailflame.cli.terminal import Terminal, add_row, plain_table
from tailflame.model import Caution, Recording
from tailflame.model.heap import HeapFacts, HeapTimeline, TimeUnit, words_of_peak
from tailflame.model.stacks import Float64
from tailflame.units import count, percent, seconds, signed_percent, size, with_percent

_RIGHT = "right"
_LEAST_BYTES = 4096
"""A peak or a leak that grew by less than a page is not called worse."""

_BYTES = frozenset(
    {"allocated", "peak", "peak_extra", "peak_stacks", "peak_rss", "leaked", "suppressed", "sampled_every"}
)
_TITLES = {
    "peak": "peak heap",
    "peak_extra": "what the allocator adds at the peak",
    "peak_stacks": "stacks at the peak",
    "peak_time": "peak at",
    "peak_rss": "peak of resident memory",
    "allocations": "allocations",
    "allocated": "allocated in all",
    "temporary": "temporary allocations",
    "temporary_reported": "temporary, as heaptrack_print counts",
    "leaked": "leaked",
    "leaked_blocks": "blocks leaked",
    "suppressed": "leaked, but suppressed",
    "sampled_every": "sampled every",
}
_OF_PEAK = ("peak", "peak_extra", "peak_stacks", "peak_time")
"""Facts that mean something else where something else was counted."""
_COLUMNS = {
    "peak": ("peak", "blocks"),
    "allocations": ("allocations", "allocated"),
    "temporary": ("temporary", "of its allocations"),
    "leaked": ("leaked", "blocks"),
}


class HeapKind:
    """Memory over time, and where it is allocated."""

    key = "heap"

    def held(self, recording: Recording) -> bool:
        return recording.heap is not None

    def show(self, recording: Recording, terminal: Terminal, *, number: int) -> Any:
        """JSON: {"facts": {...}, "counted": "blocks", "pages" or "stacks", "time_unit", "rows", "peak_row", "findings":
        [{"kind", "heading", "text"}], "sizes": [{"up_to", "allocations"}], "sites": [{"name", "file", "line", "module",
        "peak", "peak_blocks", "allocated", "allocations", "temporary", "leaked", "leaked_blocks"}],
        "pooling_candidates": [names], "suppressions"}: bytes and counts, null where the file does not tell.
        """
        heap = recording.heap
        assert heap is not None
        if (facts := _more_facts(heap)).row_count:
            terminal.table(facts)
        document: dict[str, Any] = {
            "facts": _facts_document(heap.facts),
            "counted": heap.counted.value,
            "time_unit": heap.time_unit.value,
            "rows": len(heap),
            "peak_row": heap.peak,
            "sizes": [
                {"up_to": bound, "allocations": calls}
                for bound, calls in zip(heap.sizes.tolist(), heap.size_calls.tolist(), strict=True)
            ],
            "suppressions": list(heap.suppressions),
        }
        if note := temporary_note(heap.facts):
            terminal.line(note, style="dim")
        found = _sites_of(recording)
        if found is not None and len(found):
            told = findings(heap, recording.profile)
            for finding in told:
                terminal.line(f"{finding.heading}: {finding.text}")
            for column in _COLUMNS:
                _print_sites(terminal, found, column, number, peak=_peak_words(heap))
            document["findings"] = [{"kind": f.kind.value, "heading": f.heading, "text": f.text} for f in told]
            document["sites"] = [_site_document(found, row) for row in _telling(found, number)]
            document["pooling_candidates"] = [found.name_of(row) for row in pooling_candidates(found)[:number]]
        if heap.size_calls.sum() > 0:
            terminal.line()
            terminal.line("Sizes of allocations", style="bold")
            table = plain_table(("allocations", _RIGHT), ("share", _RIGHT), "size")
            for words, calls, share in size_histogram_lines(heap):
                if calls:
                    add_row(table, [count(calls), percent(share), words])
            terminal.table(table)
        return document

    def compare(
        self, before: Recording, after: Recording, terminal: Terminal, *, number: int, beyond: float
    ) -> Section:
        """JSON: {"facts": [{"name", "before", "after"}], "sites": [{"name", "file", "line", "peak": [before, after],
        ...}]}, sites matched by function. Worse is a higher peak, and more that is never freed.
        """
        assert before.heap is not None and after.heap is not None
        one, two = before.heap.facts, after.heap.facts
        if told := unlike(before.heap, after.heap):
            terminal.caution(Caution(told, "Record both sides with the same options."))
            one, two = (replace(facts, **dict.fromkeys(_OF_PEAK)) for facts in (one, two))
        rows = [
            (field.name, getattr(one, field.name), getattr(two, field.name))
            for field in fields_of(HeapFacts)
            if getattr(one, field.name) is not None or getattr(two, field.name) is not None
        ]
        table = plain_table("", ("before", _RIGHT), ("after", _RIGHT), ("change", _RIGHT))
        for name, was, now in rows:
            sides = (_fact(name, was, before.heap.time_unit), _fact(name, now, after.heap.time_unit))
            title = words_of_peak(after.heap.counted) if name == "peak" else _TITLES[name]
            add_row(table, [Text(title, style="dim"), *sides, _change(was, now)])
        if rows:
            terminal.table(table)
        deltas = None if told else site_deltas(before, after)
        if deltas is not None and len(deltas):
            words = {_peak_words(heap) for heap in (before.heap, after.heap)}
            _print_deltas(terminal, deltas, number, peak="in use" if words == {"in use"} else "peak")
        document = {
            "facts": [{"name": name, "before": was, "after": now} for name, was, now in rows],
            "sites": [] if deltas is None else [_delta_document(deltas, row) for row in range(len(deltas))],
        }
        return Section(document, _worse(one, two, beyond))


HEAP_KIND = HeapKind()


def _peak_words(heap: HeapTimeline) -> str:
    """What the column of the peak is called: one dump of jemalloc tells of none, only of what was in use then."""
    return "in use" if heap.facts.peak is None else "peak"


def _more_facts(heap: HeapTimeline) -> Table:
    """What the facts of the run do not say already."""
    table = plain_table("", "")
    table.show_header = False
    facts = heap.facts
    if facts.peak_time is not None:
        text = _fact("peak_time", facts.peak_time, heap.time_unit)
        add_row(table, [Text(_TITLES["peak_time"], style="dim"), text])
    return table


def _fact(name: str, value: float | None, time: TimeUnit) -> str:
    if value is None:
        return ""
    if name == "peak_time":
        return seconds(value) if time is TimeUnit.SECONDS else f"{count(value)} {time.value}"
    return size(value) if name in _BYTES else count(value)


def _facts_document(facts: HeapFacts) -> dict[str, float | None]:
    return {field.name: getattr(facts, field.name) for field in fields_of(HeapFacts)}


def _sites_of(recording: Recording) -> HeapSites | None:
    """The sites, with the peak by whatever name the tool's files have it."""
    if recording.profile is None:
        return None
    peak = peak_event(recording)
    return sites(as_peak(recording.profile, peak) if peak >= 0 else recording.profile)


def _print_sites(terminal: Terminal, found: HeapSites, column: str, number: int, *, peak: str) -> None:
    """peak: what the peak is called."""
    weights: Float64 = getattr(found, column)
    rows = found.by(weights, number)
    if not rows:
        return
    whole = float(weights.sum())
    first, second = _COLUMNS[column]
    first = peak if first == "peak" else first
    terminal.line()
    # massif tells how much, and not in how many blocks.
    counted = column not in ("peak", "leaked") or any(_second(found, column, row) != "0" for row in rows)
    figures = [(first, _RIGHT), ("share", _RIGHT), *([(second, _RIGHT)] if counted else [])]
    table = plain_table(*figures, "site", "place", "module")
    for row in rows:
        value = float(weights[row])
        add_row(
            table,
            [
                size(value) if column in ("peak", "leaked") else count(value),
                percent(value / whole),
                *([_second(found, column, row)] if counted else []),
                found.name_of(row),
                Text(found.place_of(row), style="dim"),
                Text(module_label(found.frames.module_of(int(found.frame[row]))), style="dim"),
            ],
        )
    terminal.table(table)


def _second(found: HeapSites, column: str, row: int) -> str:
    match column:
        case "peak":
            return count(float(found.peak_blocks[row]))
        case "allocations":
            return size(float(found.allocated[row]))
        case "temporary":
            return percent(float(found.temporary_share[row]), digits=0)
        case _:
            return count(float(found.leaked_blocks[row]))


def _telling(found: HeapSites, number: int) -> list[int]:
    """Rows that one of the tables shows, those with the most at the peak first."""
    rows = {row for column in _COLUMNS for row in found.by(getattr(found, column), number)}
    return sorted(rows, key=lambda row: (-float(found.peak[row]), -float(found.allocations[row]), row))


def _site_document(found: HeapSites, row: int) -> dict[str, Any]:
    frame = int(found.frame[row])
    line = int(found.frames.line[frame])
    return {
        "name": found.name_of(row),
        "file": found.frames.file_of(frame),
        "line": line if line > 0 else None,
        "module": found.frames.module_of(frame),
        **{
            column: float(getattr(found, column)[row])
            for column in (
                "peak", "peak_blocks", "allocated", "allocations", "temporary", "leaked", "leaked_blocks",
            )
        },
    }  # fmt: skip


def _change(before: float | None, after: float | None) -> str:
    if before is None or after is None or (before == after == 0):
        return ""
    return with_percent(signed_percent(after / before - 1, digits=1)) if before else "new"


def _print_deltas(terminal: Terminal, deltas: SiteDeltas, number: int, *, peak: str) -> None:
    """What grew or shrank, by each column that both sides tell. peak: what the peak is called."""
    for column in _COLUMNS:
        if column not in deltas.known:
            continue
        before, after = deltas.sides(column)
        moved = np.abs(after - before)
        rows = [int(row) for row in np.argsort(-moved, kind="stable")[:number] if moved[row] > 0]
        if not rows:
            continue
        terminal.line()
        title = peak if column == "peak" else column
        table = plain_table((f"{title} before", _RIGHT), ("after", _RIGHT), ("change", _RIGHT), "site", "module")
        for row in rows:
            was, now = float(before[row]), float(after[row])
            text = size if column in ("peak", "leaked") else count
            cells: list[str | Text] = [text(was), text(now), _change(was, now), deltas.names[row]]
            add_row(table, [*cells, Text(module_label(deltas.module[row]), style="dim")])
        terminal.table(table)


def _delta_document(deltas: SiteDeltas, row: int) -> dict[str, Any]:
    return {
        "name": deltas.names[row],
        "module": deltas.module[row],
        "file": deltas.file[row],
        "line": deltas.line[row] if deltas.line[row] > 0 else None,
        **{
            column: [float(side[row]) for side in deltas.sides(column)] if column in deltas.known else None
            for column in _COLUMNS
        },
    }


def _worse(before: HeapFacts, after: HeapFacts, beyond: float) -> tuple[str, ...]:
    told = []
    for name in ("peak", "leaked"):
        was, now = getattr(before, name), getattr(after, name)
        if was is not None and now is not None and now > was * (1 + beyond) and now - was >= _LEAST_BYTES:
            told.append(f"{_TITLES[name]}: {size(was)} became {size(now)}")
    return tuple(told)
