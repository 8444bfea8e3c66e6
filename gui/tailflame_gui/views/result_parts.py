"""The views of a result: what each is called, which a recording has, and how those of one kind of result are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from PySide6.QtWidgets import QWidget

from tailflame.analyse.cache_rates import has_cost_lines
from tailflame.analyse.counter_summary import counters_alone
from tailflame.model import Recording
from tailflame_gui.models.scope import ResultScope
from tailflame_gui.selection import Selection
from tailflame_gui.views.latency_view import called, has_latencies


class Part(StrEnum):
    """The views of a result. In the order of their tabs, but for those that come first: Ctrl+1 and so on."""

    FLAME = "Flame graph"
    SUMMARY = "Summary"
    HOTSPOTS = "Hotspots"
    TOP_DOWN = "Top-down"
    BOTTOM_UP = "Bottom-up"
    CALLERS = "Callers"
    SOURCE = "Source"
    LATENCY = "Latency"
    MEMORY = "Memory"
    CACHES = "Caches"
    SYSCALLS = "System calls"
    COUNTERS = "Counters"
    MAPS = "Maps"
    BENCHMARKS = "Benchmarks"


_TIPS = {
    Part.FLAME: "Where the time is, as boxes.",
    Part.SUMMARY: "The three hottest functions and the facts of the run.",
    Part.HOTSPOTS: "Functions, modules, files or threads by their own weight.",
    Part.TOP_DOWN: "The call tree from the roots down.",
    Part.BOTTOM_UP: "The call tree from the leaves up.",
    Part.CALLERS: "Who calls the selected function, and what it calls.",
    Part.SOURCE: "Source lines and instructions of the selected function, each beside what it costs.",
    Part.MEMORY: "Memory over time, the snapshots, what was allocated where, what leaked.",
    Part.CACHES: "Miss rates of the caches and of branches, by program, file, function and line.",
    Part.SYSCALLS: "System calls: how often, how long, with which errors, on which files and peers.",
    Part.COUNTERS: "What was counted, and the ratios that follow from it.",
    Part.MAPS: "The maps of the probe's program.",
    Part.BENCHMARKS: "What each benchmark takes, its samples, and what changed since another run.",
}
_OF_HEAPS = {
    Part.FLAME: "Where memory comes from, as boxes.",
    Part.SUMMARY: "The three functions that ask for most, and the facts of the run.",
}
_LONG = {Part.CALLERS: "Callers and callees"}
"""What a tab has no room for; the palette, the keys sheet and tooltips say it."""


@dataclass(frozen=True, slots=True)
class KindOfResult:
    """A part that only some recordings have. `make` is given the recording and what all views share.

    Of what it makes, a result view connects these signals where they are there: show_flame(function),
    show_callers(function), show_source(function), show_hotspots(function), event_wanted(event: int),
    open_source(file, line), failed(error); and it calls set_trees(ProfileTrees) where that is there and the recording
    has a profile. An attribute `source_view` is answered as a SourceView is: it asks for texts.
    """

    part: Part
    held: Callable[[Recording], bool]
    make: Callable[[Recording, Selection, ResultScope], QWidget]


def _memory(recording: Recording, selection: Selection, scope: ResultScope) -> QWidget:
    from tailflame_gui.views.heap_view import HeapView

    return HeapView(recording, selection=selection, scope=scope)


def _counters(recording: Recording, selection: Selection, scope: ResultScope) -> QWidget:
    from tailflame_gui.views.counters_view import CountersView

    return CountersView(recording)


def _caches(recording: Recording, selection: Selection, scope: ResultScope) -> QWidget:
    from tailflame_gui.views.cache_view import CacheView

    return CacheView(recording, selection=selection, scope=scope)


def _benchmarks(recording: Recording, selection: Selection, scope: ResultScope) -> QWidget:
    from tailflame_gui.views.benchmarks_view import BenchmarksView

    return BenchmarksView(recording)


def _maps(recording: Recording, selection: Selection, scope: ResultScope) -> QWidget:
    from tailflame_gui.views.maps_view import MapsResult

    return MapsResult(recording)


def _syscalls(recording: Recording, selection: Selection, scope: ResultScope) -> QWidget:
    from tailflame_gui.views.syscall_view import SyscallView

    return SyscallView(recording, selection=selection, scope=scope)


KINDS: tuple[KindOfResult, ...] = (
    KindOfResult(Part.SYSCALLS, lambda recording: recording.syscalls is not None, _syscalls),
    KindOfResult(Part.MAPS, lambda recording: recording.maps is not None, _maps),
    KindOfResult(Part.BENCHMARKS, lambda recording: bool(recording.benchmarks), _benchmarks),
    KindOfResult(Part.COUNTERS, counters_alone, _counters),
    KindOfResult(Part.MEMORY, lambda recording: recording.heap is not None, _memory),
    KindOfResult(Part.CACHES, has_cost_lines, _caches),
)
"""Each of them imports its view inside `make`: no other result should wait for it."""


def kind_of(part: Part) -> KindOfResult | None:
    return next((kind for kind in KINDS if kind.part is part), None)


def parts_of(recording: Recording) -> tuple[Part, ...]:
    """What there is to show, the most telling first: a result of latencies alone has nothing to draw as stacks."""
    special = tuple(kind.part for kind in KINDS if kind.held(recording))
    # What a special view draws itself; the percentiles of a probe's histograms are not among it.
    drawn = bool(special) and not (recording.maps is not None and recording.histograms is not None)
    return (*special, *(part for part in _usual(recording) if not (drawn and part is Part.LATENCY)))


def _usual(recording: Recording) -> tuple[Part, ...]:
    stacks = (Part.FLAME, Part.HOTSPOTS, Part.TOP_DOWN, Part.BOTTOM_UP, Part.CALLERS, Part.SOURCE)
    if not has_latencies(recording):
        return (Part.FLAME, Part.SUMMARY, *stacks[1:]) if recording.profile is not None else (Part.SUMMARY,)
    if recording.profile is None:
        return (Part.LATENCY, Part.SUMMARY)
    if recording.live is not None or recording.slices is not None:
        return (Part.LATENCY, Part.SUMMARY, *stacks)
    return (Part.FLAME, Part.SUMMARY, *stacks[1:], Part.LATENCY)


def words_of(part: Part, recording: Recording) -> tuple[str, str, str]:
    """On its tab, in full, and what it shows."""
    if part is Part.LATENCY:
        return called(recording)
    tip = _OF_HEAPS.get(part, _TIPS[part]) if recording.heap is not None else _TIPS[part]
    return (str(part), _LONG.get(part, str(part)), tip)
