"""Kinds of results that `show` and `diff` print beside call stacks and latencies: one entry each."""

from __future__ import annotations

from tailflame.cli.benchmarks import BENCHMARKS_KIND
from tailflame.cli.costs import COSTS_KIND
from tailflame.cli.counters import COUNTERS_KIND
from tailflame.cli.heap import HEAP_KIND
from tailflame.cli.maps import MAPS_KIND
from tailflame.cli.result_kind import ResultKind
from tailflame.cli.syscalls import SYSCALLS_KIND

KINDS: tuple[ResultKind, ...] = (HEAP_KIND, COUNTERS_KIND, MAPS_KIND, BENCHMARKS_KIND, SYSCALLS_KIND, COSTS_KIND)
