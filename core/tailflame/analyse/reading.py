"""A profile in plain sentences: where the time is, the hottest leaves, the deep chains, and the facts of the run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailflame.analyse.counted import as_counted, counts_word, has_counts, tells_amounts
from tailflame.analyse.heap_diff import is_heap
from tailflame.analyse.heap_events import snapshot_events
from tailflame.analyse.heap_tree import site_of_nodes
from tailflame.analyse.hotspots import table_of
from tailflame.analyse.names import short
from tailflame.analyse.syscall_times import time_cautions
from tailflame.analyse.tree import CallTree, levels
from tailflame.model.heap import LEAKED, PEAK_OF, Counted, HeapTimeline
from tailflame.model.recording import Caution, Recording
from tailflame.model.stacks import NONE, Bool, Float64, FrameKind, Int64, StackProfile, Weight
from tailflame.units import Unit, count, percent, seconds, size
from tailflame.units import weight as weight_text

FEW_SAMPLES = 1000
"""Below this the method calls a profile too thin to judge."""

_WIDE = 0.10  # a bar worth a sentence
_WHOLE = 0.90  # wider than this, a bar only says that the program ran
_FLAT = 0.03  # a leaf worth a sentence
_CHAIN = 0.05  # of the view: a chain of calls worth a sentence
_PASSED_ON = 0.95  # a caller that passes this share to one callee does next to nothing itself
_CHAIN_LENGTH = 5


@dataclass(frozen=True, slots=True)
class Sentence:
    """`heading` names the kind of reading. `function` is what a click selects, `node` its widest box (-1: none)."""

    heading: str
    text: str
    function: str
    node: int


def read(tree: CallTree) -> tuple[Sentence, ...]:
    """Wide bars, flat tops and tall stacks of a top-down tree; empty for an empty one.

    Code inlined into a function counts for that function, as in the table of hotspots, and is named beside it.
    """
    if tree.total <= 0 or not len(tree):
        return ()
    physical = _Physical.of(tree)
    return (*_wide_bars(tree, physical), *_flat_tops(tree, physical), *_tall_stacks(tree, physical))


@dataclass(frozen=True, slots=True, eq=False)
class _Physical:
    """Self weight as the machine has it. owner: per node, the nearest frame outwards that is not inlined, itself
    included (an inlined root owns itself); inlined: per node, whether it lies within such an owner; own: per
    function, weight of its own frames; with_inlined: that, and of the code inlined into it. Of a heap it is the library
    code that a function allocates through, and not code that is inlined, which counts for the function.
    """

    owner: Int64
    inlined: Bool
    own: Float64
    with_inlined: Float64

    @classmethod
    def of(cls, tree: CallTree) -> _Physical:
        owner: Int64 = np.arange(len(tree))
        if is_heap(tree.event):
            owner = site_of_nodes(tree)
            within = owner != np.arange(len(tree))
        else:
            within = (tree.kinds() == FrameKind.INLINED) & (tree.parent >= 0)
            for first, last in levels(tree.level_start):
                row = np.flatnonzero(within[first:last]) + first
                owner[row] = owner[tree.parent[row]]
        size = len(tree.functions)
        return cls(
            owner=owner,
            inlined=within,
            own=np.bincount(tree.function, weights=tree.self_weight, minlength=size),
            with_inlined=np.bincount(tree.function[owner], weights=tree.self_weight, minlength=size),
        )


def _widest_node(tree: CallTree, function: str) -> int:
    nodes = np.flatnonzero(tree.function == tree.functions.index(function))
    return int(nodes[np.argmax(tree.total_weight[nodes])]) if len(nodes) else NONE


def _wide_bars(tree: CallTree, physical: _Physical) -> list[Sentence]:
    table = table_of(tree)
    share = table.total_weight / tree.total
    tells = (share >= _WIDE) & (share <= _WHOLE) & (table.kind != FrameKind.OTHER)
    # One that passes nearly everything to one callee says no more than that callee does.
    passing_on = _passing_on(tree)
    if is_heap(tree.event):
        # What goes on through libraries is the caller's own, and a library says nothing.
        functions = [tree.functions.index(key) for key in table.key]
        nodes = np.bincount(tree.function, minlength=len(tree.functions))
        carried = np.bincount(tree.function[physical.inlined], minlength=len(tree.functions)) == nodes
        tells &= ~carried[functions]
        passing_on -= {tree.functions.names[i] for i in np.flatnonzero(physical.with_inlined >= _WIDE * tree.total)}
    of_its_own = tells.copy()
    for i in np.flatnonzero(tells).tolist():
        of_its_own[i] = table.key[i] not in passing_on
    chosen = np.flatnonzero(of_its_own if of_its_own.any() else tells)
    chosen = chosen[np.argsort(-share[chosen], kind="stable")][:3]
    sentences = []
    for i in map(int, chosen):
        name, function = short(table.key[i]), tree.functions.index(table.key[i])
        inside = max(float(physical.with_inlined[function]), float(physical.own[function]))
        itself = "the function itself"
        if inside > physical.own[function]:
            itself += " and libraries below it" if is_heap(tree.event) else " and the code inlined into it"
        # Weights are sums of the same samples in another order.
        if inside >= table.total_weight[i] * (1 - 1e-9):
            text = f"{name} takes {percent(float(share[i]))}, all of it in {itself}."
        else:
            text = (
                f"{name} and what it calls take {percent(float(share[i]))}, "
                f"{percent(inside / tree.total)} of it in {itself}."
            )
        sentences.append(Sentence("Wide bars", text, table.key[i], _widest_node(tree, table.key[i])))
    return sentences


def _passing_on(tree: CallTree) -> set[str]:
    """Functions that hand nearly all of their weight to one callee at a time."""
    widest = np.zeros(len(tree))
    inner = np.flatnonzero(tree.parent >= 0)
    np.maximum.at(widest, tree.parent[inner], tree.total_weight[inner])
    size = len(tree.functions)
    whole = np.bincount(tree.function, weights=tree.total_weight, minlength=size)
    passed = np.bincount(tree.function, weights=widest, minlength=size)
    return {tree.functions.names[i] for i in np.flatnonzero(passed >= _PASSED_ON * whole)}


def _flat_tops(tree: CallTree, physical: _Physical) -> list[Sentence]:
    """The hottest functions as the table of hotspots has them, and what of it is code inlined into them."""
    code = tree.functions.kind != FrameKind.OTHER
    order = np.argsort(-physical.with_inlined, kind="stable")
    on_top = tree.self_weight > 0
    sentences = []
    for function in map(int, order[code[order]][:3]):
        share = float(physical.with_inlined[function]) / tree.total
        if share < _FLAT:
            break
        mine = tree.function[physical.owner] == function
        name = tree.functions.names[function]
        places = len(np.unique(physical.owner[mine & on_top]))
        where = "at one place" if places == 1 else f"at {places} places"
        text = f"{short(name)} {_on_top(tree, share)}, {where}"
        inlined = np.bincount(
            tree.function[mine & physical.inlined],
            weights=tree.self_weight[mine & physical.inlined],
            minlength=len(tree.functions),
        )
        whole = float(inlined.sum())
        if whole > 0 and not is_heap(tree.event):
            most = int(np.argmax(inlined))
            named = short(tree.functions.names[most])
            if inlined[most] < whole * (1 - 1e-9):
                named += f" {percent(float(inlined[most]) / tree.total)}"
            own = share - whole / tree.total
            itself = f"{percent(own)} in its own code, {percent(whole / tree.total)}" if own > 1e-9 else "all of it"
            text += f": {itself} in code inlined into it ({named})"
        sentences.append(Sentence("Flat tops", f"{text}.", name, _widest_node(tree, name)))
    return sentences


def _on_top(tree: CallTree, share: float) -> str:
    """What is said of a function by its own weight."""
    if tree.unit is Unit.BYTES or tree.unit in (Unit.ALLOCATIONS, Unit.BLOCKS):
        return f"itself asked for {percent(share)} of {_whole(tree)}"
    if tells_amounts(tree.event):
        return f"itself has {percent(share)} of {_whole(tree)}"
    return f"is on top of the stack for {percent(share)}"


def _whole(tree: CallTree) -> str:
    """What was counted, in words."""
    name = tree.event.name
    return f"the {tree.unit.value} of {name}" if tree.unit.is_count and tree.unit is not Unit.SAMPLES else name


def _advice(tree: CallTree) -> str:
    """To inline calls saves time, and no memory."""
    return ": candidates for inlining" if tree.unit in (Unit.SAMPLES, Unit.NANOSECONDS, Unit.EVENTS) else ""


def _tall_stacks(tree: CallTree, physical: _Physical) -> list[Sentence]:
    """The longest chain of calls in which each caller passes nearly everything to one callee.

    Frames that are inlined already are passed through, and count as no call.
    """
    below = np.full(len(tree), NONE, dtype=np.int64)
    inner = np.flatnonzero(tree.parent >= 0)
    parent = tree.parent[inner]
    passed = tree.total_weight[inner] >= _PASSED_ON * tree.total_weight[parent]
    code = tree.kinds()[parent] != FrameKind.OTHER
    below[parent[passed & code]] = inner[passed & code]
    starts: Int64 = np.flatnonzero(tree.total_weight >= _CHAIN * tree.total)
    continued = np.zeros(len(tree), dtype=bool)
    continued[below[below >= 0]] = True
    best, best_length, best_end = NONE, 0, NONE
    for start in map(int, starts[~continued[starts]]):
        at, length, end = start, 1, start
        while below[at] >= 0:
            at = int(below[at])
            if not physical.inlined[at]:
                length, end = length + 1, at
        if length > best_length:
            best, best_length, best_end = start, length, end
    sentences = []
    if best_length >= _CHAIN_LENGTH:
        share = percent(float(tree.total_weight[best] / tree.total))
        sentences.append(
            Sentence(
                "Tall stacks",
                f"{count(best_length)} calls in a row, from {short(tree.name(best))} to {short(tree.name(best_end))}, "
                f"pass on nearly all of their {share}{_advice(tree)}.",
                tree.name(best_end),
                best_end,
            )
        )
    deepest = "1 frame" if tree.depths == 1 else f"{count(tree.depths)} frames"
    node = int(tree.level_start[-2])
    node += int(np.argmax(tree.total_weight[node:]))
    sentences.append(
        Sentence("Tall stacks", f"The deepest stack is {deepest}; it ends in {short(tree.name(node))}.",
                 tree.name(node), node)
    )  # fmt: skip
    return sentences


def facts(recording: Recording) -> tuple[tuple[str, str], ...]:
    """(label, value) lines of what is known of the run, with units; what the file does not tell is left out."""
    meta, profile = recording.meta, recording.profile
    lines: list[tuple[str, str]] = []
    if meta.command:
        lines.append(("Command", " ".join(meta.command)))
    if meta.outcome:
        lines.append(("Outcome", meta.outcome))
    if meta.started_at is not None:
        lines.append(("Recorded", meta.started_at.strftime("%Y-%m-%d %H:%M:%S")))
    if meta.duration_s is not None:
        lines.append(("Duration", seconds(meta.duration_s)))
    if profile is not None:
        lines += _event_facts(recording, profile)
    if recording.heap is not None:
        named = {event.name for event in profile.events} if profile is not None else set()
        lines += [line for line in _heap_facts(recording.heap, len(snapshot_events(recording))) if line[0] not in named]
    if meta.lost is not None:
        lines.append(("Lost", count(meta.lost)))
    if meta.rate_asked_hz is not None:
        granted = f", granted {count(meta.rate_granted_hz)} Hz" if meta.rate_granted_hz is not None else ""
        lines.append(("Rate", f"asked {count(meta.rate_asked_hz)} Hz{granted}"))
    if profile is not None and profile.threads:
        lines.append(("Threads", count(len(profile.threads))))
    machine = meta.machine
    if machine.hostname or machine.cpu:
        cpus = f", {machine.cpus} CPUs" if machine.cpus else ""
        lines.append(("Machine", ", ".join(x for x in (machine.hostname, machine.cpu, machine.arch) if x) + cpus))
    if machine.kernel:
        lines.append(("Kernel", machine.kernel))
    if recording.tool or meta.tool_version:
        lines.append(("Tool", " ".join(x for x in (recording.tool, meta.tool_version) if x)))
    lines.append(("Source", recording.source))
    return tuple(lines)


def _event_facts(recording: Recording, profile: StackProfile) -> list[tuple[str, str]]:
    lines = []
    snapshots = snapshot_events(recording)
    for index in range(len(profile.events)):
        event = as_counted(profile, index)
        if index in snapshots:
            continue
        number = profile.total(event=index)
        whole = weight_text(profile.total(event=index, weight=Weight.PERIOD), event.unit)
        if tells_amounts(event):
            of_counts = f"{count(round(number))} {counts_word(event)}"
            if not event.has_period:
                text = of_counts
            else:
                text = f"{whole} in {of_counts}" if has_counts(profile, index) else whole
            lines.append((event.name, text))
            continue
        text = f"{count(number)} = {whole}" if event.has_period else count(number)
        lines.append(("Samples" if len(profile.events) == 1 else f"Samples of {event.name}", text))
    return lines


def _heap_facts(heap: HeapTimeline, trees: int) -> list[tuple[str, str]]:
    """What the file tells of a heap as a whole; `trees`: snapshots with a call tree."""
    facts, lines = heap.facts, []
    if trees:
        lines.append(("Snapshots", f"{count(len(heap))}, {count(trees)} with a call tree"))
    for name, value in (
        (PEAK_OF[heap.counted], facts.peak_stacks if heap.counted is Counted.STACKS else facts.peak),
        ("Peak RSS", facts.peak_rss),
        (LEAKED, facts.leaked),
        ("Suppressed leaks", facts.suppressed),
    ):
        if value is not None:
            lines.append((name, size(value)))
    for name, value in (("Allocator adds", facts.peak_extra), ("Stacks", facts.peak_stacks)):
        if value is not None and facts.peak is not None:
            lines.append((name, f"{size(value)} at the peak"))
    return lines


def cautions(recording: Recording) -> tuple[Caution, ...]:
    """The recording's warnings, and where there are too few samples of an event to judge by."""
    found = [*recording.warnings, *time_cautions(recording)]
    profile = recording.profile
    for index, event in enumerate(profile.events if profile is not None else ()):
        assert profile is not None
        number = profile.total(event=index)
        # Where each event was a sample, as with the first page faults, they were counted: nothing is rough.
        counted = event.unit is Unit.EVENTS and profile.total(event=index, weight=Weight.PERIOD) <= number
        amounts = tells_amounts(as_counted(profile, index))
        if counted or amounts or event.unit is Unit.BYTES or number >= FEW_SAMPLES:
            continue
        of_which = f" of {event.name}" if event.name != "samples" else ""
        if number:
            samples = "1 sample" if number == 1 else f"{count(number)} samples"
            text = f"Too few samples: {samples}{of_which}, shares are only rough below {count(FEW_SAMPLES)}."
        else:
            text = f"There are no samples{of_which}."
        found.append(Caution(text, "Record longer or at a higher frequency."))
    return tuple(found)
