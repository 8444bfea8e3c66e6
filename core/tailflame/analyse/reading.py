"""A profile in plain sentences: where the time is, the hottest leaves, the deep chains, and the facts of the run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailflame.analyse.hotspots import HotspotTable, hotspots, table_of
from tailflame.analyse.names import short
from tailflame.analyse.tree import CallTree
from tailflame.model.recording import Caution, Recording
from tailflame.model.stacks import NONE, FrameKind, Int64, StackProfile, Weight
from tailflame.units import Unit, count, percent, seconds
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
    """Wide bars, flat tops and tall stacks of a top-down tree; empty for an empty one."""
    if tree.total <= 0 or not len(tree):
        return ()
    table = table_of(tree)
    return (*_wide_bars(tree, table), *_flat_tops(tree, table), *_tall_stacks(tree))


def _widest_node(tree: CallTree, function: str) -> int:
    nodes = np.flatnonzero(tree.function == tree.functions.index(function))
    return int(nodes[np.argmax(tree.total_weight[nodes])]) if len(nodes) else NONE


def _wide_bars(tree: CallTree, table: HotspotTable) -> list[Sentence]:
    share = table.total_weight / tree.total
    chosen = np.flatnonzero((share >= _WIDE) & (share <= _WHOLE) & (table.kind != FrameKind.OTHER))
    chosen = chosen[np.argsort(-share[chosen], kind="stable")][:3]
    return [
        Sentence(
            "Wide bars",
            f"{short(table.key[i])} and what it calls take {percent(float(share[i]))}, "
            f"{percent(float(table.self_weight[i] / tree.total))} of it in the function itself."
            if table.self_weight[i] < table.total_weight[i]
            else f"{short(table.key[i])} takes {percent(float(share[i]))}, all of it in the function itself.",
            table.key[i],
            _widest_node(tree, table.key[i]),
        )
        for i in map(int, chosen)
    ]


def _flat_tops(tree: CallTree, table: HotspotTable) -> list[Sentence]:
    sentences = []
    for i in table.hottest(3):
        share = float(table.self_weight[i] / tree.total)
        if share < _FLAT:
            break
        places = int(((tree.function == tree.functions.index(table.key[i])) & (tree.self_weight > 0)).sum())
        where = "at one place" if places == 1 else f"at {places} places"
        sentences.append(
            Sentence(
                "Flat tops",
                f"{short(table.key[i])} is on top of the stack for {percent(share)}, {where}.",
                table.key[i],
                _widest_node(tree, table.key[i]),
            )
        )
    return sentences


def _tall_stacks(tree: CallTree) -> list[Sentence]:
    """The longest chain of calls in which each caller passes nearly everything to one callee."""
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
        at, length = start, 1
        while below[at] >= 0:
            at, length = int(below[at]), length + 1
        if length > best_length:
            best, best_length, best_end = start, length, at
    sentences = []
    if best_length >= _CHAIN_LENGTH:
        share = percent(float(tree.total_weight[best] / tree.total))
        sentences.append(
            Sentence(
                "Tall stacks",
                f"{best_length} calls in a row, from {short(tree.name(best))} to {short(tree.name(best_end))}, pass "
                f"on nearly all of their {share}: candidates for inlining.",
                tree.name(best_end),
                best_end,
            )
        )
    deepest = tree.depths
    node = int(tree.level_start[-2])
    node += int(np.argmax(tree.total_weight[node:]))
    sentences.append(
        Sentence("Tall stacks", f"The deepest stack is {deepest} frames; it ends in {short(tree.name(node))}.",
                 tree.name(node), node)
    )  # fmt: skip
    return sentences


@dataclass(frozen=True, slots=True)
class Hotspot:
    """One of the top functions: shares are fractions of the view."""

    function: str
    module: str
    self_share: float
    total_share: float
    samples: float


def top_hotspots(
    profile: StackProfile, *, event: int = 0, weight: Weight = Weight.SAMPLES, number: int = 3
) -> tuple[Hotspot, ...]:
    """The functions with the most self weight, inlined frames folded into the physical function."""
    table = hotspots(profile, event=event, weight=weight)
    if not table.total:
        return ()
    return tuple(
        Hotspot(
            function=table.key[i],
            module=table.module[i],
            self_share=float(table.self_weight[i] / table.total),
            total_share=float(table.total_weight[i] / table.total),
            samples=float(table.self_samples[i]),
        )
        for i in table.hottest(number)
    )


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
        for index, event in enumerate(profile.events):
            text = count(profile.total(event=index))
            if event.has_period:
                whole = profile.total(event=index, weight=Weight.PERIOD)
                text += f" = {weight_text(whole, event.unit)}"
            name = "Samples" if len(profile.events) == 1 else f"Samples of {event.name}"
            lines.append((name, text))
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


def cautions(recording: Recording) -> tuple[Caution, ...]:
    """The recording's warnings, and that there are too few samples where nobody has said so yet."""
    found = list(recording.warnings)
    profile = recording.profile
    if profile is not None and not any("samples" in c.text and "few" in c.text for c in found):
        for index, event in enumerate(profile.events):
            number = profile.total(event=index)
            if event.unit in (Unit.SAMPLES, Unit.NANOSECONDS) and number < FEW_SAMPLES:
                found.append(
                    Caution(
                        f"Too few samples: {count(number)} of {event.name}, shares are only rough below "
                        f"{count(FEW_SAMPLES)}.",
                        "Record longer or at a higher frequency.",
                    )
                )
    return tuple(found)
