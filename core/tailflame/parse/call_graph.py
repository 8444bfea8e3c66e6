"""A tree out of a call graph, by sharing out: what a function costs is split among its callers as their calls cost.

A graph knows caller and callee, not the whole stack. Each function's own cost is spread over the ways to it, so that
its sum is exact and nothing counts twice; which of the ways took how much is an estimate. Functions that call one
another in a circle (strongly connected ones) are taken as one: from where it is entered, each of them stands once,
on the shortest way, however deep the recursion went.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tailflame.model import NONE
from tailflame.model.stacks import Float64, Int64

THIN = 1e-6
"""Ways to a function that carry less than this share of every event's total are told together."""
MOST_NODES = 1_000_000
"""Nodes from which on all further ways are told together."""


class Shared(NamedTuple):
    """Nodes with parents first. function: -1 for the node that stands for all thin ways. own: (nodes, events)."""

    parent: Int64
    function: Int64
    own: Float64


class _Ways(NamedTuple):
    """Ways that lead to `entry`: the nodes they come from, and which part of each event's cost they carry."""

    entry: int
    parents: Int64
    shares: Float64


def shared_out(own: Float64, calls: Mapping[tuple[int, int], Sequence[float]]) -> Shared:
    """own: (functions, events); calls: inclusive cost per event of (caller, callee)."""
    functions, events = own.shape
    callees: list[list[int]] = [[] for _ in range(functions)]
    for caller, callee in calls:
        if caller != callee:
            callees[caller].append(callee)
    circles, circle_of = _circles(callees)
    spent, passed = _inclusive(own, calls, circle_of, len(circles))
    # Where calls are said to cost more than there is, or less, what is there decides.
    whole = np.maximum(spent, passed)
    total = np.maximum(own.sum(axis=0), 1e-300)
    nodes = _Nodes(events)
    pending: dict[int, list[_Ways]] = defaultdict(list)
    thin_root = NONE
    for number, members in enumerate(circles):  # callers first
        ways = pending.pop(number, [])
        from_nowhere = np.divide(
            whole[number] - passed[number], whole[number], where=whole[number] > 0, out=np.zeros(events)
        )
        if not ways:
            from_nowhere = np.ones(events)
        elif not (from_nowhere > 1e-9).any():
            from_nowhere = np.zeros(events)
        if from_nowhere.any():
            ways.append(_Ways(members[0], np.array([NONE]), from_nowhere[None, :]))
        _settle(ways, spent[number])
        fat, thin = _apart(ways, spent[number] / total, len(members), full=len(nodes) > MOST_NODES)
        if thin:
            if thin_root < 0:
                thin_root = int(nodes.add(np.array([NONE]), NONE, np.zeros((1, events)))[0])
            fat += [way._replace(parents=np.array([thin_root])) for way in thin]
        for way in fat:
            places: dict[int, Int64] = {}
            for member, above in _shortest_ways(way.entry, callees, circle_of):
                parents = way.parents if above < 0 else places[above]
                at = places[member] = nodes.add(parents, member, way.shares * own[member])
                for callee in callees[member]:
                    goal = circle_of[callee]
                    if goal != number:
                        cost = np.asarray(calls[member, callee], np.float64)
                        part = np.divide(cost, whole[goal], where=whole[goal] > 0, out=np.zeros(events))
                        pending[goal].append(_Ways(callee, at, way.shares * part))
    return nodes.told()


class _Nodes:
    def __init__(self, events: int) -> None:
        self._events = events
        self._size = 0
        self._parts: list[tuple[Int64, Int64, Float64]] = []

    def __len__(self) -> int:
        return self._size

    def add(self, parents: Int64, function: int, own: Float64) -> Int64:
        self._parts.append((parents, np.full(len(parents), function, np.int64), own))
        self._size += len(parents)
        return np.arange(self._size - len(parents), self._size)

    def told(self) -> Shared:
        none = np.zeros(0, np.int64)
        parent = np.concatenate([none, *(part[0] for part in self._parts)])
        function = np.concatenate([none, *(part[1] for part in self._parts)])
        own = np.concatenate([np.zeros((0, self._events)), *(part[2] for part in self._parts)])
        return Shared(parent, function, own)


def _inclusive(
    own: Float64, calls: Mapping[tuple[int, int], Sequence[float]], circle_of: list[int], circles: int
) -> tuple[Float64, Float64]:
    """What each circle spends with all it calls, and what callers outside say that they spend in it."""
    spent, passed = np.zeros((circles, own.shape[1])), np.zeros((circles, own.shape[1]))
    np.add.at(spent, np.array(circle_of, np.int64), own)
    for (caller, callee), cost in calls.items():
        if circle_of[caller] != circle_of[callee]:
            spent[circle_of[caller]] += cost
            passed[circle_of[callee]] += cost
    return spent, passed


def _settle(ways: list[_Ways], spent: Float64) -> None:
    """Makes the shares of each event add up to one where there is anything to share."""
    given = np.sum([way.shares.sum(axis=0) for way in ways], axis=0)
    for event in np.flatnonzero((np.abs(given - 1.0) > 1e-12) & (spent > 0)).tolist():
        if given[event] > 0:
            for way in ways:
                way.shares[:, event] /= given[event]
        else:  # no call tells of this event: split as the first one that is told, or evenly
            told = np.flatnonzero(given > 0)
            rows = sum(len(way.parents) for way in ways)
            for way in ways:
                way.shares[:, event] = way.shares[:, told[0]] / given[told[0]] if len(told) else 1.0 / rows


def _apart(ways: list[_Ways], weight: Float64, members: int, *, full: bool) -> tuple[list[_Ways], list[_Ways]]:
    """Ways worth a place of their own, and what the others carry together, by entry."""
    least = THIN * max(1.0, members / 4)
    fat: list[_Ways] = []
    thin: dict[int, Float64] = {}
    for way in _by_entry(ways):
        carried = (way.shares * weight).max(axis=1)
        kept = (carried >= least) & (not full or (way.parents < 0))
        # A root stays one however little it spends: nobody called it.
        kept |= way.parents < 0
        if kept.any():
            fat.append(_Ways(way.entry, way.parents[kept], way.shares[kept]))
        if not kept.all() and carried.any():
            thin[way.entry] = thin.get(way.entry, 0.0) + way.shares[~kept].sum(axis=0)
    return fat, [_Ways(entry, np.zeros(1, np.int64), shares[None, :]) for entry, shares in thin.items()]


def _by_entry(ways: list[_Ways]) -> list[_Ways]:
    """One for each entry: they are many nodes, and few arrays."""
    grouped: dict[int, list[_Ways]] = defaultdict(list)
    for way in ways:
        grouped[way.entry].append(way)
    return [
        _Ways(entry, np.concatenate([way.parents for way in same]), np.concatenate([way.shares for way in same]))
        for entry, same in grouped.items()
    ]


def _shortest_ways(entry: int, callees: list[list[int]], circle_of: list[int]) -> list[tuple[int, int]]:
    """(member, member before it or -1) of the circle that `entry` belongs to, nearest first."""
    found = {entry: NONE}
    todo = [entry]
    for member in todo:
        for callee in callees[member]:
            if callee not in found and circle_of[callee] == circle_of[entry]:
                found[callee] = member
                todo.append(callee)
    return list(found.items())


def _circles(callees: list[list[int]]) -> tuple[list[list[int]], list[int]]:
    """Strongly connected functions, callers before callees, and the one that each function is in.

    Tarjan's algorithm, without recursion.
    """
    size = len(callees)
    index, low, on_stack = [NONE] * size, [0] * size, [False] * size
    circle_of = [NONE] * size
    circles: list[list[int]] = []
    stack: list[int] = []
    counter = 0
    for root in range(size):
        if index[root] >= 0:
            continue
        work = [(root, 0)]
        while work:
            node, at = work.pop()
            if not at:
                index[node] = low[node] = counter
                counter += 1
                stack.append(node)
                on_stack[node] = True
            for step in range(at, len(callees[node])):
                callee = callees[node][step]
                if index[callee] < 0:
                    work += [(node, step + 1), (callee, 0)]
                    break
                if on_stack[callee]:
                    low[node] = min(low[node], index[callee])
            else:
                if low[node] == index[node]:
                    members = []
                    while True:
                        member = stack.pop()
                        on_stack[member] = False
                        circle_of[member] = len(circles)
                        members.append(member)
                        if member == node:
                            break
                    circles.append(members[::-1])
                if work:
                    above = work[-1][0]
                    low[above] = min(low[above], low[node])
    last = len(circles) - 1
    return circles[::-1], [last - number for number in circle_of]
