"""What the results of several tools tell of one function: its CPU time, cache lines, allocations, system calls.

Functions are matched as two recordings match them (names.match_key), or where that finds none without the arguments
that one tool writes and another does not: "temporary(int)" of heaptrack is "temporary" of perf.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tailflame.analyse.cache_rates import (
    CostBy,
    CostRows,
    ProgramRate,
    cost_rows,
    rates_of,
)
from tailflame.analyse.heap_findings import HeapSites, sites
from tailflame.analyse.hotspots import hotspots
from tailflame.analyse.names import match_key
from tailflame.model.costs import CostTable
from tailflame.model.iteration import Iteration
from tailflame.model.recording import Recording
from tailflame.model.stacks import Bool, FrameKind, StackProfile, Weight


@dataclass(frozen=True, slots=True)
class CpuShares:
    """The function by its name in the profile; self_share, total_share: of all samples, 0 to 1."""

    function: str
    self_share: float
    total_share: float


@dataclass(frozen=True, slots=True, eq=False)
class CacheFacts:
    """rates: the function's own beside the program's. lines: its lines, the costliest first."""

    rates: tuple[tuple[ProgramRate, float], ...]
    lines: CostRows


@dataclass(frozen=True, slots=True, eq=False)
class HeapFacts:
    """Of the stacks that the function is in. sites: where it, or what it calls, asks for memory.

    allocations, temporary: how often; allocated, peak, leaked: bytes.
    """

    sites: HeapSites
    allocations: float
    temporary: float
    allocated: float
    peak: float
    leaked: float


@dataclass(frozen=True, slots=True)
class CallFacts:
    """A system call that the function makes, or what it calls does: how often, and the seconds spent in it."""

    name: str
    calls: float
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A measurement with the function's shares, one per repetition of its CPU profile."""

    iteration: Iteration
    shares: tuple[CpuShares, ...]


@dataclass(frozen=True, slots=True, eq=False)
class HotspotFacts:
    """function: as the profile names it. turns: oldest first, those that have a CPU profile.

    cpu: the first CPU profile of the measurement, with the id of its session. caches, heap, calls: None where nothing
    tells; `missing` then says why, by the step that would tell ("cpu", "caches", "heap", "syscalls").
    """

    function: str
    iteration: Iteration
    turns: tuple[Turn, ...] = ()
    cpu: Recording | None = None
    sessions: dict[str, str] = field(default_factory=dict)
    caches: CacheFacts | None = None
    heap: HeapFacts | None = None
    calls: tuple[CallFacts, ...] | None = None
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def shares(self) -> tuple[CpuShares, ...]:
        """Of this measurement."""
        return next((turn.shares for turn in self.turns if turn.iteration.id == self.iteration.id), ())


def cpu_shares(profile: StackProfile, function: str) -> CpuShares:
    """Its shares of the first event's samples, as a measurement's hotspots are found; 0 where it does not occur."""
    table = hotspots(profile)
    rows = np.flatnonzero(_named(table.key, function)).tolist()
    whole = table.total or 1.0
    return CpuShares(
        function=table.key[rows[0]] if rows else function,
        self_share=sum(float(table.self_weight[at]) for at in rows) / whole,
        total_share=max((float(table.total_weight[at]) for at in rows), default=0.0) / whole,
    )


def cache_facts(costs: CostTable, function: str) -> CacheFacts | None:
    """None where the simulation has not seen the function, or counted no misses."""
    functions = np.zeros(len(costs.strings) + 1, dtype=bool)
    functions[costs.function] = True
    functions[-1] = False  # -1 stands for none
    at = np.flatnonzero(functions)
    functions[at] = _named([costs.strings[i] for i in at.tolist()], function)
    mine = functions[costs.function]
    rates = rates_of(costs.events)
    if not mine.any() or not rates:
        return None
    own = costs.costs[mine].sum(axis=0)
    lines = replace(
        costs,
        module=costs.module[mine],
        file=costs.file[mine],
        function=costs.function[mine],
        line=costs.line[mine],
        costs=costs.costs[mine],
    )
    return CacheFacts(
        rates=tuple(
            (ProgramRate(rate, float(rate.of(own, costs.events))), float(rate.of(costs.totals, costs.events)))
            for rate in rates
        ),
        lines=cost_rows(lines, CostBy.LINE),
    )


def heap_facts(recording: Recording, function: str) -> HeapFacts | None:
    """None where no memory was asked for with the function on the stack."""
    profile = recording.profile
    if recording.heap is None or profile is None:
        return None
    inside = stacks_with(profile, function)
    if not inside.any():
        return None
    found = sites(profile, without=np.flatnonzero(~inside))
    return HeapFacts(
        sites=found,
        allocations=float(found.allocations.sum()),
        temporary=float(found.temporary.sum()),
        allocated=float(found.allocated.sum()),
        peak=float(found.peak.sum()),
        leaked=float(found.leaked.sum()),
    )


def has_call_stacks(profile: StackProfile) -> bool:
    """Whether a profile of system calls tells who made them: frames that are neither threads, calls nor places."""
    return bool((profile.frames.kind == FrameKind.USER).any() or (profile.frames.kind == FrameKind.UNKNOWN).any())


def call_facts(profile: StackProfile, function: str) -> tuple[CallFacts, ...]:
    """The system calls below the function in a profile of them, those with the most time first."""
    inside = stacks_with(profile, function)
    samples, frames, stacks = profile.samples, profile.frames, profile.stacks
    counted = (samples.stack >= 0) & (samples.event == 0)
    counted[counted] = inside[samples.stack[counted]]
    if not counted.any():
        return ()
    # The leaf is the call, or what it was about, below the call.
    row = samples.stack[counted].astype(np.int64)
    above = np.where(frames.kind[stacks.frame[row]] == FrameKind.KERNEL, row, stacks.parent[row])
    names = np.array(frames.name)[stacks.frame[above]]
    distinct, which = np.unique(names, return_inverse=True)
    calls = np.bincount(which, weights=profile.weights(event=0, weight=Weight.SAMPLES)[counted])
    spent = np.zeros(len(distinct))
    if profile.events[0].has_period:
        spent = np.bincount(which, weights=profile.weights(event=0, weight=Weight.PERIOD)[counted]) / 1e9
    order = np.lexsort((-calls, -spent))
    return tuple(CallFacts(frames.strings[distinct[at]], float(calls[at]), float(spent[at])) for at in order)


def stacks_with(profile: StackProfile, function: str) -> Bool:
    """Which rows of the stack table the function is in, itself or above."""
    distinct, which = np.unique(profile.frames.name, return_inverse=True)
    hit = _named([profile.frames.strings[i] for i in distinct.tolist()], function)[which]
    inside = hit[profile.stacks.frame]
    # Pointer doubling: after k rounds a row knows of 2^k rows above it.
    ancestor = profile.stacks.parent.astype(np.int64)
    while (live := np.flatnonzero(ancestor >= 0)).size:
        up = ancestor[live]
        inside[live] |= inside[up]
        ancestor[live] = ancestor[up]
    return np.asarray(inside)


def _named(names: Sequence[str], function: str) -> Bool:
    """Which of `names` are the function's."""
    wanted = match_key(function)
    same = np.array([match_key(name) == wanted for name in names], dtype=bool)
    if not same.any():
        wanted = without_arguments(wanted)
        same = np.array([without_arguments(match_key(name)) == wanted for name in names], dtype=bool)
    return np.asarray(same)


def without_arguments(name: str) -> str:
    """A C++ name without its argument list.

    >>> without_arguments("Book::add(Order const&) const"), without_arguments("Hash::operator()(int)")
    ('Book::add', 'Hash::operator()')
    >>> without_arguments("operator()"), without_arguments("main::{lambda()#1}")
    ('operator()', 'main::{lambda()#1}')
    """
    bare = name.removesuffix(" const")
    if not bare.endswith(")"):
        return name
    depth = 0
    for at in range(len(bare) - 1, -1, -1):
        depth += (bare[at] == ")") - (bare[at] == "(")
        if depth == 0:
            break
    head = bare[:at]
    return name if not head or depth or head.endswith("operator") else head
