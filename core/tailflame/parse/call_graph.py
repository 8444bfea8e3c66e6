"""A tree out of a call graph, by sharing out: what a function costs is split among its callers as their calls cost.

A graph knows caller and callee, not the whole stack. Each function's own cost is spread over the ways to it, so that
its sum is exact and nothing counts twice; which of the ways took how much is an estimate. Functions that call one
another in a circle (strongly connected ones) are taken as one: from where it is entered, each of them stands once,
on the shortest way, however deep the recursion went.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tailflame.model import NONE
from tailflame.model.stacks import Bool, Float64, Int64

THIN = 1e-6
"""Ways to a function that carry less than this share of every event's total are told together."""
MOST_NODES = 1_000_000
"""Nodes from which on all further ways are told together."""
_MOST_SHARES = 13 * MOST_NODES
"""Of all nodes and events: more of them, and fewer nodes are told."""


class Shared(NamedTuple):
    """Nodes with parents first. function: -1 for the node that stands for all thin ways. own: (nodes, events)."""

    parent: Int64
    function: Int64
    own: Float64


class _Ways(NamedTuple):
    """Ways, one a row: the function that each leads to, the node it comes from (-1: none), and which part of each
    event's cost it carries."""

    entry: Int64
    parent: Int64
    shares: Float64

    def at(self, rows: Bool | Int64) -> _Ways:
        return _Ways(self.entry[rows], self.parent[rows], self.shares[rows])


def shared_out(own: Float64, calls: Mapping[tuple[int, int], Sequence[float]]) -> Shared:
    """own: (functions, events); calls: inclusive cost per event of (caller, callee)."""
    pairs = np.array(list(calls), dtype=np.int64).reshape(-1, 2)
    costs = np.array(list(calls.values()), dtype=np.float64).reshape(len(pairs), own.shape[1])
    return share_out(own, pairs[:, 0], pairs[:, 1], costs)


def share_out(own: Float64, caller: Int64, callee: Int64, costs: Float64, *, graphs: int = 1) -> Shared:
    """own: (functions, events); costs: (calls, events), inclusive, of each pair of caller and callee once.

    graphs: how many of them have to do with as many nodes together as one may have.
    Circles are worked on level by level, callers first, all of a level at once.
    """
    graph = _Graph.of(own, caller, callee, costs)
    nodes = _Nodes(own.shape[1])
    most = min(MOST_NODES, _MOST_SHARES / max(own.shape[1], 1)) / graphs
    pending: dict[int, list[_Ways]] = defaultdict(list)
    for level, circles in enumerate(graph.levels()):
        ways = graph.settled(circles, _joined(pending.pop(level, []), own.shape[1]))
        fat, thin = graph.apart(ways, full=len(nodes) > most)
        if len(thin.entry):
            fat = _joined([fat, thin._replace(parent=np.full(len(thin.entry), nodes.thin()))], own.shape[1])
        alone = graph.size[graph.circle[fat.entry]] == 1
        whole = fat.at(alone)
        grown = [(nodes.add(whole.parent, whole.entry, whole.shares * own[whole.entry]), whole.entry, whole.shares)]
        circular = fat.at(~alone)
        for entry in np.unique(circular.entry).tolist():
            mine = circular.at(circular.entry == entry)
            places: dict[int, Int64] = {}
            for member, above in _shortest_ways(entry, graph.callees, graph.circle_of):
                function = np.full(len(mine.entry), member, np.int64)
                parent = mine.parent if above < 0 else places[above]
                at = places[member] = nodes.add(parent, function, mine.shares * own[member])
                grown.append((at, function, mine.shares))
        at, function, shares = (np.concatenate(parts) for parts in zip(*grown, strict=True))
        for goal, further in graph.onwards(at, function, shares):
            pending[goal].append(further)
    return nodes.told()


@dataclass(frozen=True, slots=True, eq=False)
class _Graph:
    """Who calls whom, in circles. Calls within a circle are not among `callee` and `part`, which stand by caller from
    first[caller] to first[caller + 1]: part of what the callee's circle costs, per event.

    circle, level: of each function its circle, of each circle its level (callers below callees); size, entry: how many
    functions a circle has, and the one to begin with where nobody calls it.
    """

    own: Float64
    callees: list[list[int]]
    circle_of: list[int]
    circle: Int64
    size: Int64
    entry: Int64
    level: Int64
    first: Int64
    callee: Int64
    part: Float64
    spent: Float64
    passed: Float64
    weight: Float64
    """Of each circle what it and all it calls spend, as a share of everything."""

    @classmethod
    def of(cls, own: Float64, caller: Int64, callee: Int64, costs: Float64) -> _Graph:
        functions = len(own)
        order = np.lexsort((callee, caller))
        caller, callee, costs = caller[order], callee[order], costs[order]
        callees = _lists(caller, callee, functions)
        circles, circle_of = _circles(callees)
        circle = np.array(circle_of, dtype=np.int64)
        outside = circle[caller] != circle[callee] if len(caller) else np.zeros(0, bool)
        caller, callee, costs = caller[outside], callee[outside], costs[outside]
        # Where calls are said to cost more than there is, or less, what is there decides.
        spent = _added(circle, own, len(circles)) + _added(circle[caller], costs, len(circles))
        passed = _added(circle[callee], costs, len(circles))
        goal = np.maximum(spent, passed)[circle[callee]]
        return cls(
            own=own,
            callees=callees,
            circle_of=circle_of,
            circle=circle,
            size=np.bincount(circle, minlength=len(circles)),
            entry=np.array([members[0] for members in circles], dtype=np.int64),
            level=_levels(circle[caller], circle[callee], len(circles)),
            first=np.searchsorted(caller, np.arange(functions + 1)),
            callee=callee,
            part=np.divide(costs, goal, where=goal > 0, out=np.zeros_like(costs)),
            spent=spent,
            passed=passed,
            weight=spent / np.maximum(own.sum(axis=0), 1e-300),
        )

    def levels(self) -> list[Int64]:
        """The circles of each level."""
        order = np.argsort(self.level, kind="stable")
        bounds = np.searchsorted(self.level[order], np.arange(int(self.level.max(initial=-1)) + 2))
        return [order[first:last] for first, last in pairwise(bounds.tolist())]

    def settled(self, circles: Int64, ways: _Ways) -> _Ways:
        """The ways into circles of one level, and one out of nowhere into each that spends more than its callers tell.

        The shares of each event add up to one where there is anything to share.
        """
        number = np.full(len(self.size), NONE, dtype=np.int64)
        number[circles] = np.arange(len(circles))
        spent, passed = self.spent[circles], self.passed[circles]
        whole = np.maximum(spent, passed)
        from_nowhere = np.divide(whole - passed, whole, where=whole > 0, out=np.zeros_like(whole))
        called = np.bincount(number[self.circle[ways.entry]], minlength=len(circles)) > 0
        from_nowhere[~called] = 1.0
        from_nowhere[called & ~(from_nowhere > 1e-9).any(axis=1)] = 0.0
        rooted = from_nowhere.any(axis=1)
        roots = _Ways(self.entry[circles[rooted]], np.full(int(rooted.sum()), NONE), from_nowhere[rooted])
        ways = _joined([ways, roots], spent.shape[1])
        at = number[self.circle[ways.entry]]
        given = _added(at, ways.shares, len(circles))
        wrong = (np.abs(given - 1.0) > 1e-12) & (spent > 0)
        shares = ways.shares * np.divide(1.0, given, where=wrong & (given > 0), out=np.ones_like(given))[at]
        for circle, event in np.argwhere(wrong & (given <= 0)).tolist():
            # No call tells of this event: split as the first one that is told, or evenly.
            rows = np.flatnonzero(at == circle)
            told = np.flatnonzero(given[circle] > 0)
            like = shares[rows, told[0]] if len(told) else np.ones(len(rows))
            shares[rows, event] = like / like.sum()
        return ways._replace(shares=shares)

    def apart(self, ways: _Ways, *, full: bool) -> tuple[_Ways, _Ways]:
        """Ways worth a place of their own, and what the others carry together, by entry."""
        circle = self.circle[ways.entry]
        carried = (ways.shares * self.weight[circle]).max(axis=1, initial=0.0)
        # A root stays one however little it spends: nobody called it.
        root = ways.parent < 0
        kept = root if full else root | (carried >= THIN * np.maximum(1.0, self.size[circle] / 4))
        thin = ways.at(~kept & (carried > 0))
        entry, at = np.unique(thin.entry, return_inverse=True)
        together = _Ways(entry, np.full(len(entry), NONE), _added(at, thin.shares, len(entry)))
        return ways.at(kept), together

    def onwards(self, node: Int64, function: Int64, shares: Float64) -> list[tuple[int, _Ways]]:
        """(level, ways) that lead from nodes to what their functions call."""
        calls = self.first[function + 1] - self.first[function]
        of = np.repeat(np.arange(len(node)), calls)
        call = np.arange(len(of)) - np.repeat(np.cumsum(calls) - calls, calls) + self.first[function][of]
        ways = _Ways(self.callee[call], node[of], shares[of] * self.part[call])
        level = self.level[self.circle[ways.entry]]
        order = np.argsort(level, kind="stable")
        goals, starts = np.unique(level[order], return_index=True)
        bounds = pairwise([*starts.tolist(), len(order)])
        return [(goal, ways.at(order[slice(*run)])) for goal, run in zip(goals.tolist(), bounds, strict=True)]


class _Nodes:
    def __init__(self, events: int) -> None:
        self._events = events
        self._size = 0
        self._parts: list[tuple[Int64, Int64, Float64]] = []
        self._thin = NONE

    def __len__(self) -> int:
        return self._size

    def add(self, parent: Int64, function: Int64, own: Float64) -> Int64:
        self._parts.append((parent, function, own))
        self._size += len(parent)
        return np.arange(self._size - len(parent), self._size)

    def thin(self) -> int:
        """The node that stands for all thin ways."""
        if self._thin < 0:
            none = np.array([NONE], dtype=np.int64)
            self._thin = int(self.add(none, none, np.zeros((1, self._events)))[0])
        return self._thin

    def told(self) -> Shared:
        none = np.zeros(0, np.int64)
        parent = np.concatenate([none, *(part[0] for part in self._parts)])
        function = np.concatenate([none, *(part[1] for part in self._parts)])
        own = np.concatenate([np.zeros((0, self._events)), *(part[2] for part in self._parts)])
        return Shared(parent, function, own)


def _joined(ways: list[_Ways], events: int) -> _Ways:
    none = np.zeros(0, dtype=np.int64)
    return _Ways(
        np.concatenate([none, *(way.entry for way in ways)]),
        np.concatenate([none, *(way.parent for way in ways)]),
        np.concatenate([np.zeros((0, events)), *(way.shares for way in ways)]),
    )


def _added(index: Int64, values: Float64, size: int) -> Float64:
    """The rows of `values` added up by `index`."""
    sums = np.empty((size, values.shape[1]))
    for column in range(values.shape[1]):
        sums[:, column] = np.bincount(index, weights=values[:, column], minlength=size)
    return sums


def _lists(caller: Int64, callee: Int64, functions: int) -> list[list[int]]:
    """Whom each function calls, but itself; the pairs stand by caller."""
    other = caller != callee
    goals = callee[other].tolist()
    bounds = np.searchsorted(caller[other], np.arange(functions + 1)).tolist()
    return [goals[first:last] for first, last in pairwise(bounds)]


def _levels(caller: Int64, callee: Int64, circles: int) -> Int64:
    """Of each circle how many calls the longest way to it has. Circles are numbered callers first."""
    order = np.argsort(caller, kind="stable")
    level = [0] * circles
    for above, below in zip(caller[order].tolist(), callee[order].tolist(), strict=True):
        if level[above] >= level[below]:
            level[below] = level[above] + 1
    return np.array(level, dtype=np.int64)


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
        if not callees[root]:
            index[root] = 0
            circle_of[root] = len(circles)
            circles.append([root])
            continue
        work, rest = [root], [iter(callees[root])]
        index[root] = low[root] = counter
        counter += 1
        stack.append(root)
        on_stack[root] = True
        while work:
            node = work[-1]
            for callee in rest[-1]:
                if index[callee] < 0:
                    if not callees[callee]:  # half of all functions: no need to wait for what they lead to
                        index[callee] = 0
                        circle_of[callee] = len(circles)
                        circles.append([callee])
                        continue
                    index[callee] = low[callee] = counter
                    counter += 1
                    stack.append(callee)
                    on_stack[callee] = True
                    work.append(callee)
                    rest.append(iter(callees[callee]))
                    break
                if on_stack[callee] and index[callee] < low[node]:
                    low[node] = index[callee]
            else:
                work.pop()
                rest.pop()
                if low[node] == index[node]:
                    number = len(circles)
                    members = []
                    member = NONE
                    while member != node:
                        member = stack.pop()
                        on_stack[member] = False
                        circle_of[member] = number
                        members.append(member)
                    circles.append(members[::-1])
                if work and low[node] < low[work[-1]]:
                    low[work[-1]] = low[node]
    last = len(circles) - 1
    return circles[::-1], [last - number for number in circle_of]
