"""Folded stacks out: what flamegraph.pl, inferno and most other tools read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TextIO

import numpy as np

from tailflame.analyse.diff import DiffTree
from tailflame.analyse.tree import CallTree, merge_rows
from tailflame.model import NONE, Caution, FrameKind, StackProfile, Weight
from tailflame.model.stacks import Float64, Int32
from tailflame.report.output import opened

NO_STACK = "[no stack]"
"""The frame that stands for samples without any, which a line of folded stacks cannot say."""

_ANNOTATION = {FrameKind.KERNEL: "_[k]", FrameKind.INLINED: "_[i]", FrameKind.JIT: "_[j]"}
_BREAKS = re.compile(r"[\r\n\x00\ud800-\udfff]")
_COUNT_LIKE = re.compile(r"\s(?=\d+(?:\.\d*)?$)")


def write(
    what: StackProfile | CallTree,
    target: Path | TextIO,
    *,
    event: int = 0,
    weight: Weight = Weight.SAMPLES,
) -> tuple[Caution, ...]:
    """Writes one line per stack, root first, with its own weight: a profile's as recorded, a tree's as shown.

    Kinds become annotations (_[k], _[i], _[j]). Returns what had to be changed in names, for the user.
    event and weight choose a profile's column; a tree has chosen. StoreError where it cannot be written.
    """
    names = _Names()
    if isinstance(what, CallTree):
        labels = [
            names.label(name, kind)
            for name, kind in zip(what.functions.names, what.functions.kind.tolist(), strict=True)
        ]
        rows, own = _Rows(what.parent, what.function), what.self_weight
        loose = what.total - float(what.self_weight.sum())
    else:
        frames = what.frames
        labels = [names.label(name, kind) for name, kind in zip(frames.names(), frames.kind.tolist(), strict=True)]
        weights = what.weights(event=event, weight=weight)
        stack = what.samples.stack
        stacked = stack >= 0
        rows = _Rows(what.stacks.parent, what.stacks.frame)
        own = np.bincount(stack[stacked], weights=weights[stacked], minlength=len(what.stacks))
        loose = float(weights[~stacked].sum())
    rows, labels, own = rows.merged(labels, own)
    with opened(target) as stream:
        if loose > 1e-9 * max(float(own.sum()), 1.0):
            stream.write(f"{NO_STACK} {_figure(loose)}\n")
        for path, row in rows.walk(labels, own):
            path[-1] = names.leaf(path[-1])
            stream.write(f"{';'.join(path)} {_figure(float(own[row]))}\n")
    return names.told()


def write_difference(tree: DiffTree, target: Path | TextIO) -> tuple[Caution, ...]:
    """Both sides of a comparison, as difffolded.pl writes them: "stack before after", own weights as recorded.

    flamegraph.pl and inferno draw it as a differential flame graph, and Tailflame opens it as a comparison.
    """
    names = _Names()
    labels = [names.label(n, k) for n, k in zip(tree.functions.names, tree.functions.kind.tolist(), strict=True)]
    rows = _Rows(tree.parent, tree.function)
    _, _, before = rows.merged(labels, tree.self_before)
    rows, labels, after = rows.merged(labels, tree.self_after)
    with opened(target) as stream:
        for path, row in rows.walk(labels, before + after):
            path[-1] = names.leaf(path[-1])
            stream.write(f"{';'.join(path)} {_figure(float(before[row]))} {_figure(float(after[row]))}\n")
    return names.told()


def _figure(weight: float) -> str:
    """Exactly the number, without an exponent, which no reader knows."""
    return str(int(weight)) if weight.is_integer() else format(Decimal(repr(weight)), "f")


@dataclass(slots=True)
class _Names:
    """Makes names fit for the format, and remembers which did not."""

    changed: set[str] = field(default_factory=set)

    def label(self, name: str, kind: int) -> str:
        fit = _BREAKS.sub(" ", name.replace(";", ":"))
        if fit != name:
            self.changed.add(name)
        return fit + _ANNOTATION.get(FrameKind(kind), "")

    def leaf(self, label: str) -> str:
        """A last frame "worker 12" would be read as the first count of a differential file."""
        fit = _COUNT_LIKE.sub("_", label)
        if fit != label:
            self.changed.add(label)
        return fit

    def told(self) -> tuple[Caution, ...]:
        if not self.changed:
            return ()
        example = min(self.changed, key=len)
        what = "1 name holds" if len(self.changed) == 1 else f"{len(self.changed):,} names hold"
        return (
            Caution(
                f"{what} what folded stacks cannot say and was changed, like “{example}”:"
                " “;” is written as “:”, and a blank before a last number as “_”.",
                "Use the SVG or speedscope export to keep names as they are.",
            ),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    parent: Int32
    label: Int32

    def merged(self, labels: list[str], own: Float64) -> tuple[_Rows, list[str], Float64]:
        """The same with one row per stack of labels: functions of two modules, or of two places, may share one."""
        distinct: dict[str, int] = {}
        number = np.array([distinct.setdefault(label, len(distinct)) for label in labels], dtype=np.int32)
        trie = merge_rows(self.parent, number[self.label])
        merged = np.bincount(trie.node, weights=own, minlength=len(trie.parent))
        return _Rows(trie.parent, trie.function), list(distinct), merged

    def walk(self, labels: list[str], own: Float64) -> Iterator[tuple[list[str], int]]:
        """(path, row) of every row that has a weight, depth first, siblings by name."""
        rank = np.empty(len(labels), dtype=np.int64)
        rank[sorted(range(len(labels)), key=labels.__getitem__)] = np.arange(len(labels))
        by_parent = np.lexsort((rank[self.label], self.parent))
        bounds = np.searchsorted(self.parent[by_parent], np.arange(NONE, len(self.parent) + 1)).tolist()
        order = by_parent.tolist()
        path: list[str] = []
        todo = [(0, row) for row in order[: bounds[1]][::-1]]
        while todo:
            depth, row = todo.pop()
            del path[depth:]
            path.append(labels[self.label[row]])
            if own[row] > 0:
                yield path.copy(), row
            first, last = bounds[row + 1], bounds[row + 2]
            todo += [(depth + 1, child) for child in order[first:last][::-1]]
