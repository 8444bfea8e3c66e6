"""What each source line and each instruction costs: the call tree of a profile laid over the text of its code.

Lines are counted in a tree of places, in which every node is a function at a line: `place_tree` makes it, once for a
view. A line's own weight is what was sampled in code that is written there; its total has what it calls and inlines
as well, and counts a sample once however often the line is on the stack.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tailflame.analyse.tree import CallTree, Grouping, TreeOptions, build_tree, outermost_among
from tailflame.model.stacks import NONE, Bool, Float64, FrameKind, Int32, Int64, StackProfile, UInt64, readonly

_DEEPEST = 64
"""Inlined calls within each other that are unfolded."""
_UNFOLDED = 20_000
"""Inlined lines that are unfolded: more than that nobody reads, and each costs memory."""


@dataclass(frozen=True, slots=True, eq=False)
class InlinedLines:
    """Lines of inlined functions, below the line that they were inlined into. Parents come before children.

    line: index into the LineCosts' lines; parent: index of the inlined line that holds this one (-1: the line itself
    does); names, files, place: the inlined function and where in its source; own, total: as of a line.
    """

    line: Int32
    parent: Int32
    names: tuple[str, ...]
    files: tuple[str, ...]
    place: Int32
    own: Float64
    total: Float64

    def __len__(self) -> int:
        return len(self.line)

    def below(self, line: int) -> list[tuple[int, int]]:
        """(row, depth from 1 on) of what is inlined into a line, the heaviest first, each before what it holds."""
        rows = np.flatnonzero(self.line == line)
        children: dict[int, list[int]] = {}
        for row in rows[np.argsort(-self.total[rows], kind="stable")].tolist():
            children.setdefault(int(self.parent[row]), []).append(row)
        found: list[tuple[int, int]] = []
        todo = [(row, 1) for row in reversed(children.get(NONE, []))]
        while todo:
            row, depth = todo.pop()
            found.append((row, depth))
            todo += [(child, depth + 1) for child in reversed(children.get(row, []))]
        return found


@dataclass(frozen=True, slots=True, eq=False)
class LineCosts:
    """Weights of the lines of one file that have any, by line from 1 on.

    own: in code written on the line; body: with what is inlined there; total: with what it calls as well.
    whole: what 100 % means, the total of the function, or of the view; whole_own: what of it is own code.
    samples: how many stand behind `whole`.
    """

    file: str
    line: Int32
    own: Float64
    body: Float64
    total: Float64
    inlined: InlinedLines
    whole: float
    whole_own: float
    samples: float

    def __len__(self) -> int:
        return len(self.line)


@dataclass(frozen=True, slots=True, eq=False)
class CodePlace:
    """Machine code in which samples of a function were taken: a function of its own, or one that it is inlined into.

    name: of the function with code of its own; address, weight: each sampled instruction, by address.
    """

    module: str
    name: str
    kind: FrameKind
    address: UInt64
    weight: Float64

    @property
    def total(self) -> float:
        return float(self.weight.sum())

    @property
    def hottest(self) -> int:
        """The address with the most weight."""
        return int(self.address[int(np.argmax(self.weight))])


@dataclass(frozen=True, slots=True, eq=False)
class InstructionCosts:
    """Weights of sampled instructions by address, and their sum: what `perf annotate` calls 100 %."""

    address: UInt64
    weight: Float64
    samples: Float64

    @property
    def total(self) -> float:
        return float(self.weight.sum())

    def on(self, starts: UInt64, stop: int) -> tuple[Float64, Float64]:
        """(weights, samples) of the instructions that begin at `starts` (ascending); the last ends at `stop`."""
        size = len(starts)
        if not size:
            return np.zeros(0), np.zeros(0)
        inside = (self.address >= starts[0]) & (self.address < np.uint64(stop))
        at = np.searchsorted(starts, self.address[inside], side="right") - 1
        return (
            np.bincount(at, weights=self.weight[inside], minlength=size),
            np.bincount(at, weights=self.samples[inside], minlength=size),
        )


@dataclass(frozen=True, slots=True, eq=False)
class InstructionLines:
    """Where instructions were written. place: per instruction the row of its innermost place (-1: unknown); of a place:
    name (function), file, line (-1: unknown), and `into`, the place it was inlined into (-1: it has code of its own).
    """

    place: Int32
    name: tuple[str, ...]
    file: tuple[str, ...]
    line: Int32
    into: Int32

    def chain(self, instruction: int) -> list[int]:
        """Places of an instruction, innermost first."""
        rows, at = [], int(self.place[instruction])
        while at >= 0:
            rows.append(at)
            at = int(self.into[at])
        return rows

    def of(self, file: str, line: int) -> Int64:
        """Instructions of a line: written there, or inlined into it."""
        holds = np.zeros(len(self.line) + 1, dtype=bool)  # the last one stands for "unknown"
        for at in range(len(self.line)):  # what holds a place comes before it
            holds[at] = (self.line[at] == line and self.file[at] == file) or holds[self.into[at]]
        return np.flatnonzero(holds[self.place])


def place_options(options: TreeOptions) -> TreeOptions:
    """`options` for the tree of places: its nodes are functions at lines, inlined ones as nodes of their own."""
    return replace(options, grouping=Grouping.LINE, inlines=True, inverted=False)


def place_tree(profile: StackProfile, options: TreeOptions) -> CallTree:
    """The tree of places of what `options` choose."""
    return build_tree(profile, place_options(options))


def occurs(tree: CallTree, function: str) -> bool:
    """Whether `function` is in any sample of the view."""
    return bool(_named(tree, function)[tree.function].any())


def files_of(tree: CallTree, function: str) -> tuple[str, ...]:
    """The source files that hold `function`, the heaviest first; empty where the profile does not tell."""
    weights: dict[str, float] = {}
    total = np.bincount(tree.function, weights=tree.total_weight, minlength=len(tree.functions))
    for at in np.flatnonzero(_named(tree, function)):
        file = tree.functions.file[at]
        if file:
            weights[file] = weights.get(file, 0.0) + float(total[at])
    return tuple(sorted(weights, key=lambda file: -weights[file]))


def lines_of(tree: CallTree, function: str) -> tuple[int, int]:
    """The first and the last line of `function` that were seen in its heaviest file; (-1, -1) where none was."""
    files = files_of(tree, function)
    rows = np.flatnonzero(_named(tree, function))
    lines = [int(tree.functions.line[r]) for r in rows if files and tree.functions.file[r] == files[0]]
    known = [line for line in lines if line > 0]
    return (min(known), max(known)) if known else (NONE, NONE)


def line_costs(tree: CallTree, file: str, *, function: str | None = None) -> LineCosts:
    """Costs of the lines of `file`; of `function` alone where one is given, and then in shares of that function.

    A function's own code is all that was compiled into it: what is inlined counts, what it calls does not.
    """
    body = _body(tree, function) if function is not None else np.ones(len(tree), dtype=bool)
    functions = tree.functions
    in_file = np.fromiter((f == file for f in functions.file), dtype=bool, count=len(functions)) & (functions.line > 0)
    nodes = np.flatnonzero(in_file[tree.function] & body) if len(tree) else np.zeros(0, dtype=np.int64)
    line, group = np.unique(functions.line[tree.function[nodes]], return_inverse=True)
    size = len(line)
    own = np.bincount(group, weights=tree.self_weight[nodes], minlength=size)
    inlined, held, at = _unfolded(tree, nodes, group, body)
    if function is None:
        whole = whole_own = tree.total
        samples = tree.total_samples
    else:
        named = np.flatnonzero(_named(tree, function)[tree.function])
        top = named[outermost_among(tree, named, np.zeros(len(named), dtype=np.int64))]
        whole_own = float(tree.self_weight[body].sum())
        whole = float(tree.total_weight[top].sum())
        samples = float(tree.total_samples_of[top].sum())
    return LineCosts(
        file=file,
        line=readonly(line, np.int32),
        own=readonly(own, np.float64),
        body=readonly(np.bincount(at, weights=tree.self_weight[held], minlength=size), np.float64),
        total=readonly(_totals(tree, nodes, group, size), np.float64),
        inlined=inlined,
        whole=whole,
        whole_own=whole_own,
        samples=samples,
    )


def code_places(profile: StackProfile, tree: CallTree, function: str) -> tuple[CodePlace, ...]:
    """Where the samples in the own code of `function` were taken, the heaviest first.

    Empty where the profile keeps no addresses, or none was taken there: it only calls.
    """
    sites, site = profile.sites, profile.samples.site
    if sites is None or site is None or not len(tree):
        return ()
    body = _body(tree, function)
    node = tree.sample_node
    rows = np.flatnonzero((node >= 0) & (site >= 0) & (tree.sample_weight > 0))
    rows = rows[body[node[rows]]]
    if not len(rows):
        return ()
    physical = _physical(tree)[node[rows]]
    module = sites.module[site[rows]].astype(np.int64)
    number = {name: at for at, name in enumerate(tree.functions.names)}  # one for all lines of a function
    named = np.fromiter((number[name] for name in tree.functions.names), dtype=np.int64, count=len(tree.functions))
    key = named[tree.function[physical]] * (int(module.max()) + 2) + module + 1
    found = []
    for group in np.unique(key):
        chosen = np.flatnonzero(key == group)
        at = int(module[chosen[0]])
        address, inverse = np.unique(sites.address[site[rows[chosen]]], return_inverse=True)
        found.append(
            CodePlace(
                module=profile.frames.strings[at] if at >= 0 else "",
                name=tree.name(int(physical[chosen[0]])),
                kind=tree.kind(int(physical[chosen[0]])),
                address=readonly(address, np.uint64),
                weight=readonly(np.bincount(inverse, weights=tree.sample_weight[rows[chosen]]), np.float64),
            )
        )
    return tuple(sorted(found, key=lambda place: (-place.total, place.module, place.name)))


def instruction_costs(profile: StackProfile, tree: CallTree, *, module: str, start: int, stop: int) -> InstructionCosts:
    """What the instructions of `module` from `start` on and before `stop` weigh in the view that `tree` shows."""
    sites, site = profile.sites, profile.samples.site
    nothing = InstructionCosts(readonly([], np.uint64), readonly([], np.float64), readonly([], np.float64))
    if sites is None or site is None or stop <= start:
        return nothing
    named = [i for i, text in enumerate(profile.frames.strings) if text == module]
    wanted = np.isin(sites.module, named) & (sites.address >= np.uint64(start)) & (sites.address < np.uint64(stop))
    chosen = (site >= 0) & (tree.sample_node >= 0)
    rows = np.flatnonzero(chosen)
    rows = rows[wanted[site[rows]]]
    if not len(rows):
        return nothing
    address, inverse = np.unique(sites.address[site[rows]], return_inverse=True)
    return InstructionCosts(
        readonly(address, np.uint64),
        readonly(np.bincount(inverse, weights=tree.sample_weight[rows]), np.float64),
        readonly(np.bincount(inverse, weights=profile.samples.count[rows]), np.float64),
    )


def _named(tree: CallTree, function: str) -> Bool:
    """Which functions of the tree (at whatever line) are called `function`."""
    names = tree.functions.names
    return np.fromiter((name == function for name in names), dtype=bool, count=len(names))


def _inlined(tree: CallTree) -> Bool:
    return np.asarray(tree.kinds() == FrameKind.INLINED)


def _body(tree: CallTree, function: str) -> Bool:
    """Nodes that are code of `function`: its own nodes, and what is inlined into them."""
    if not len(tree):
        return np.zeros(0, dtype=bool)
    body = _named(tree, function)[tree.function]
    # By levels, parents first: an inlined node is in the body of whatever holds it.
    inlined = _inlined(tree)
    for depth in range(1, tree.depths):
        first, last = int(tree.level_start[depth]), int(tree.level_start[depth + 1])
        body[first:last] |= inlined[first:last] & body[tree.parent[first:last]]
    return body


def _physical(tree: CallTree) -> Int32:
    """The node with code of its own that each node is part of."""
    physical = np.arange(len(tree), dtype=np.int32)
    held = _inlined(tree) & (tree.parent >= 0)
    for depth in range(1, tree.depths):
        first, last = int(tree.level_start[depth]), int(tree.level_start[depth + 1])
        up = physical[tree.parent[first:last]]
        physical[first:last] = np.where(held[first:last], up, physical[first:last])
    return physical


def _totals(tree: CallTree, nodes: Int64, group: Int64, size: int) -> Float64:
    top = outermost_among(tree, nodes, group)
    return np.bincount(group[top], weights=tree.total_weight[nodes[top]], minlength=size)


def _unfolded(tree: CallTree, nodes: Int64, group: Int64, body: Bool) -> tuple[InlinedLines, Int64, Int64]:
    """What is inlined below each group of nodes, level by level; and every node that is code of a line, with its line.

    At one level every node is below one node of the file alone, so that it is in one group.
    """
    lines: list[Int32] = [np.zeros(0, dtype=np.int32)]
    parents: list[Int32] = [np.zeros(0, dtype=np.int32)]
    places: list[Int32] = [np.zeros(0, dtype=np.int32)]
    owns: list[Float64] = [np.zeros(0)]
    totals: list[Float64] = [np.zeros(0)]
    done = done_before = 0
    span = max(len(tree.functions), 1)
    held = np.flatnonzero(_inlined(tree) & (tree.parent >= 0) & body) if len(tree) else np.zeros(0, dtype=np.int64)
    line_of = np.arange(int(group.max(initial=-1)) + 1)
    size = max(len(line_of), 1)
    pairs = [nodes.astype(np.int64) * size + group]  # a line may stand within itself: a node is of it once
    first = True
    for _level in range(_DEEPEST):
        group_of = np.full(len(tree), NONE, dtype=np.int64)
        group_of[nodes] = group
        nodes = held[group_of[tree.parent[held]] >= 0]
        if not len(nodes):
            break
        key = group_of[tree.parent[nodes]] * span + tree.function[nodes]
        keys, group = np.unique(key, return_inverse=True)
        above = keys // span
        lines.append(line_of[above].astype(np.int32))
        parents.append(np.full(len(keys), NONE, dtype=np.int32) if first else (done_before + above).astype(np.int32))
        places.append((keys % span).astype(np.int32))
        owns.append(np.bincount(group, weights=tree.self_weight[nodes], minlength=len(keys)))
        totals.append(_totals(tree, nodes, group, len(keys)))
        line_of = line_of[above]
        pairs.append(nodes.astype(np.int64) * size + line_of[group])
        done_before, first = done, False
        done += len(keys)
        if done > _UNFOLDED:
            break
    place = np.concatenate(places)
    code = np.unique(np.concatenate(pairs))
    functions = tree.functions
    inlined = InlinedLines(
        line=readonly(np.concatenate(lines), np.int32),
        parent=readonly(np.concatenate(parents), np.int32),
        names=tuple(functions.names[p] for p in place),
        files=tuple(functions.file[p] for p in place),
        place=readonly(functions.line[place], np.int32),
        own=readonly(np.concatenate(owns), np.float64),
        total=readonly(np.concatenate(totals), np.float64),
    )
    return inlined, code // size, code % size
