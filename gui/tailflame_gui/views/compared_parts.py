"""How two results are compared beside their call stacks: one entry for each kind of result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtWidgets import QWidget

from tailflame.analyse.cache_rates import has_cost_lines
from tailflame.analyse.counter_summary import counters_alone
from tailflame.model import Recording


@dataclass(frozen=True, slots=True)
class ComparedKind:
    """title: of its tab. held: both sides have it. make(before, after, titles, commits): the view; of its signals
    failed(error) and open_source(file, line) are connected where they are there.
    """

    title: str
    held: Callable[[Recording, Recording], bool]
    make: Callable[[Recording, Recording, tuple[str, str], tuple[str, str]], QWidget]


def _counters(before: Recording, after: Recording, titles: tuple[str, str], commits: tuple[str, str]) -> QWidget:
    from tailflame_gui.views.counters_view import CountersComparison

    return CountersComparison(before, after, titles=titles, commits=commits)


def _benchmarks(before: Recording, after: Recording, titles: tuple[str, str], commits: tuple[str, str]) -> QWidget:
    from tailflame_gui.views.benchmarks_view import BenchmarksView

    return BenchmarksView(after, before, titles=titles)


def _memory(before: Recording, after: Recording, titles: tuple[str, str], commits: tuple[str, str]) -> QWidget:
    from tailflame_gui.views.heap_comparison import HeapComparison

    return HeapComparison(before, after, titles=titles, commits=commits)


def _maps(before: Recording, after: Recording, titles: tuple[str, str], commits: tuple[str, str]) -> QWidget:
    from tailflame_gui.views.maps_view import MapsComparison

    return MapsComparison(before, after, titles=titles, commits=commits)


def _syscalls(before: Recording, after: Recording, titles: tuple[str, str], commits: tuple[str, str]) -> QWidget:
    from tailflame_gui.views.syscall_comparison import SyscallComparison

    return SyscallComparison(before, after, titles=titles, commits=commits)


def _caches(before: Recording, after: Recording, titles: tuple[str, str], commits: tuple[str, str]) -> QWidget:
    from tailflame_gui.views.cache_comparison import CacheComparison

    return CacheComparison(before, after, titles=titles, commits=commits)


COMPARED: tuple[ComparedKind, ...] = (
    ComparedKind("Caches", lambda before, after: has_cost_lines(before) and has_cost_lines(after), _caches),
    ComparedKind("System calls", lambda before, after: None not in (before.syscalls, after.syscalls), _syscalls),
    ComparedKind("Maps", lambda before, after: before.maps is not None and after.maps is not None, _maps),
    ComparedKind("Memory", lambda before, after: before.heap is not None and after.heap is not None, _memory),
    ComparedKind("Benchmarks", lambda before, after: bool(before.benchmarks and after.benchmarks), _benchmarks),
    ComparedKind("Counters", lambda before, after: counters_alone(before) and counters_alone(after), _counters),
)
"""Each imports its view inside `make`."""


def compared_kinds(before: Recording, after: Recording) -> tuple[ComparedKind, ...]:
    """The ways in which these two can be compared."""
    return tuple(kind for kind in COMPARED if kind.held(before, after))
