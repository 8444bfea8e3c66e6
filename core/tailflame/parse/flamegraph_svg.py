"""Flame-graph SVGs as trees again: flamegraph.pl since 2011, inferno (so cargo-flamegraph and pprof-rs), our own.

Kinds are not taken from colours: "orange" is the kernel in the java palette, the standard library in the rust
palette and chance in the usual one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tailflame.errors import ParseError
from tailflame.model import (
    NONE,
    Caution,
    Event,
    FrameTable,
    Meta,
    Recording,
    SampleTable,
    StackProfile,
)
from tailflame.model.stacks import Float64, Int32, Int64, readonly
from tailflame.parse.frames import doubted_counts, frame_table, known_frames
from tailflame.parse.registry import NO
from tailflame.parse.source import Source, decode_head
from tailflame.parse.svg_boxes import Boxes, OwnBoxes, scan
from tailflame.parse.svg_tree import (
    Geometry,
    closing_parents,
    exact_parents,
    placed_parents,
    self_weights,
)
from tailflame.parse.trie import Trie
from tailflame.units import Unit, count, percent

_ROOTS = ("all", "all samples")
_MARKS = ("func_g", 'id="frames"', "id='frames'", "Flame graph stack visualization", " samples, ")
_UNITS = {
    "ns": (Unit.NANOSECONDS, 1.0),
    "nanoseconds": (Unit.NANOSECONDS, 1.0),
    "us": (Unit.NANOSECONDS, 1e3),
    "µs": (Unit.NANOSECONDS, 1e3),
    "usec": (Unit.NANOSECONDS, 1e3),
    "microseconds": (Unit.NANOSECONDS, 1e3),
    "ms": (Unit.NANOSECONDS, 1e6),
    "milliseconds": (Unit.NANOSECONDS, 1e6),
    "s": (Unit.NANOSECONDS, 1e9),
    "seconds": (Unit.NANOSECONDS, 1e9),
    "bytes": (Unit.BYTES, 1.0),
    "B": (Unit.BYTES, 1.0),
    "KB": (Unit.BYTES, 1e3),
    "KiB": (Unit.BYTES, 1024.0),
    "MB": (Unit.BYTES, 1e6),
    "MiB": (Unit.BYTES, 1024.0**2),
}


class FlamegraphSvg:
    name = "flamegraph-svg"
    title = "flame-graph SVGs"

    def sniff(self, head: bytes, name: str) -> float:
        text = decode_head(head)
        start = text.lstrip()
        if "<svg" not in text or not start.startswith("<"):
            return NO
        begins = start.startswith(("<?xml", "<svg", "<!DOCTYPE svg", "<!--"))
        marked = any(mark in text for mark in _MARKS)
        return 0.3 + 0.3 * begins + 0.3 * marked + 0.05 * name.lower().endswith(".svg")

    def load(self, source: Source) -> Recording:
        boxes = scan(source)
        if not boxes.ended:
            raise ParseError(
                f"{source.name} is cut short: the picture has no end.",
                source=source.name,
                advice="Copy it or write it again.",
            )
        if not len(boxes):
            raise ParseError(
                f"{source.name} is an SVG picture, but no flame graph: it holds no frames.",
                source=source.name,
                advice="Open a flame graph as flamegraph.pl, inferno or cargo flamegraph write it.",
            )
        return _recording(source, boxes)


FLAMEGRAPH_SVG = FlamegraphSvg()


@dataclass(frozen=True, slots=True, eq=False)
class _Tree:
    geometry: Geometry
    parent: Int64
    self_weight: Float64
    approximate: str
    """Why it is, as a sentence; empty where it is exact."""
    left_out: int = 0
    """Boxes narrower than the file's rounding, whose place cannot be known."""


def _recording(source: Source, boxes: Boxes) -> Recording:
    cautions: list[Caution] = []
    exact = min(boxes.weight) >= 0 and min(boxes.start) >= 0
    counted = _counts(boxes)
    tree = _own_tree(boxes.own, boxes) if exact and boxes.own is not None else None
    if exact and tree is None:
        tree = _exact_tree(boxes, counted)
    if tree is None:
        tree = _placed_tree(boxes, counted)
    if tree.approximate:
        cautions.append(Caution(tree.approximate, "Use the folded stacks beside it, if they were kept."))
    event, factor = _event(boxes)
    if event.unit is not Unit.SAMPLES and boxes.own is None:
        what = f"The file counts {event.name}, not samples: how far noise goes cannot be told from it."
        cautions.append(Caution(what))
    cautions += _told(boxes, tree, event)
    profile = _profile(boxes, tree, event, factor)
    if event.unit is Unit.SAMPLES:
        cautions += doubted_counts(profile)
    return Recording(
        tool="",
        format=FLAMEGRAPH_SVG.name,
        source=source.name,
        results=(profile,),
        meta=Meta(title=boxes.title),
        warnings=tuple(cautions),
    )


def _counts(boxes: Boxes) -> Float64:
    """The weight of each box in the title's unit; from its width where the title tells none (nameattr)."""
    counts = np.asarray(boxes.count, dtype=np.float64)
    untold = np.isnan(counts)
    if not untold.any():
        return counts
    extent = np.asarray(boxes.weight, dtype=np.float64)
    if (extent < 0).any():
        extent = np.asarray(boxes.width, dtype=np.float64)
    told = ~untold & (extent > 0)
    widest = int(np.argmax(np.where(told, extent, 0))) if told.any() else NONE
    scale = counts[widest] / extent[widest] if widest != NONE else 1.0
    return np.where(untold, np.round(extent * scale), counts)


def _depths(boxes: Boxes) -> Int64:
    """Row of each box, 0 for the root's."""
    rows, row = np.unique(np.asarray(boxes.y, dtype=np.float64), return_inverse=True)
    bottom = len(rows) - 1
    root = next((b for b in boxes.whole if row[b] in (0, bottom)), NONE)
    if bottom == 0:
        upside_down = False
    elif root != NONE and _is_root(boxes, root):
        upside_down = bool(row[root] == 0)
    else:
        upside_down = boxes.inverted
    depth = row if upside_down else bottom - row
    return depth.astype(np.int64)


def _is_root(boxes: Boxes, box: int) -> bool:
    return list(boxes.names)[boxes.name[box]] in _ROOTS


def _exact_tree(boxes: Boxes, counted: Float64) -> _Tree | None:
    weight = np.asarray(boxes.weight, dtype=np.float64)
    geometry = Geometry(
        depth=_depths(boxes),
        x=np.asarray(boxes.start, dtype=np.float64),
        width=weight,
        count=weight,
        slack=0.0,
    )
    parent = exact_parents(geometry, geometry.rows())
    if parent is None:
        return None
    own = self_weights(parent, weight)
    if (own < 0).any():
        return None
    # fg:w is the count before --factor: the title's figures are the ones people know.
    heaviest = int(np.argmax(weight))
    factor = _plainest(float(counted[heaviest]), float(weight[heaviest]))
    return _Tree(geometry, parent, own * factor, "")


def _own_tree(own: OwnBoxes, boxes: Boxes) -> _Tree | None:
    """The tree of a file that Tailflame wrote; None where somebody has changed it."""
    parent = np.asarray(own.parent, dtype=np.int64)
    depth = _depths(boxes)
    weight = np.asarray(boxes.weight, dtype=np.float64)
    inner = parent >= 0
    if (depth[inner] != depth[parent[inner]] + 1).any() or (inner != (depth > 0)).any():
        return None
    told = np.asarray(own.weight, dtype=np.float64)
    self_weight = np.where(np.isnan(told), self_weights(parent, weight), told)
    if (self_weight < 0).any():
        return None
    x = np.asarray(boxes.start, dtype=np.float64)
    return _Tree(Geometry(depth=depth, x=x, width=weight, count=weight, slack=0.0), parent, self_weight, "")


def _plainest(scaled: float, whole: float) -> float:
    """The factor with the fewest digits that makes the rounded figure `scaled` of `whole`."""
    if scaled == whole or not whole:
        return 1.0
    for digits in range(15):
        factor = float(f"{scaled / whole:.{digits}e}")
        if abs(factor * whole - scaled) <= 0.5:
            return factor
    return scaled / whole


def _placed_tree(boxes: Boxes, counted: Float64) -> _Tree:
    x = np.asarray(boxes.x, dtype=np.float64)
    width = np.nan_to_num(np.asarray(boxes.width, dtype=np.float64))
    depth = _depths(boxes)
    slack = 1.1 * 10.0**-boxes.decimals
    left_out = 0
    geometry = Geometry(depth=depth, x=np.nan_to_num(x), width=width, count=counted, slack=slack)
    rows = geometry.rows()
    why = ""
    if (found := closing_parents(geometry)) is not None:
        parent, guessed = found
        if guessed:
            why = "The file gives places in whole pixels: which caller a few narrow frames have is a guess."
    else:
        root = rows[0]
        total = float(counted[root].sum())
        scale = float(width[root].sum()) / total if total else 0.0
        parent, misfits = placed_parents(geometry, rows, scale)
        if misfits and boxes.decimals:
            # Below the rounding a place says nothing. Without such frames the others may fall into place.
            narrow = (counted * scale < 10.0**-boxes.decimals) & (depth > 0)
            wide = replace(geometry, depth=np.where(narrow, NONE, depth), count=np.where(narrow, 0.0, counted))
            again, still = placed_parents(wide, wide.rows(), scale)
            if still * 2 < misfits:
                geometry, parent, misfits = wide, again, still
                left_out = int(narrow.sum())
        if np.isnan(boxes.count).any() and 10.0**-boxes.decimals > scale:
            why = "Some frames have titles without a count, and the places are rounded: their weights are rough."
        if misfits or not boxes.decimals:
            why = "The file's places are rounded: which caller a few narrow frames have is a guess."
    own = self_weights(parent, geometry.count)
    if (own < -0.5).any() and (own >= -0.5 * _children(parent) - 0.5).all():
        why = "The file's counts are rounded: some frames weigh a little less than what they call."
    return _Tree(geometry, parent, np.maximum(own, 0.0), why, left_out)


def _children(parent: Int64) -> Int64:
    return np.bincount(parent[parent >= 0], minlength=len(parent))


def _event(boxes: Boxes) -> tuple[Event, float]:
    """What the titles count, and what one of it is in the event's unit."""
    if boxes.own is not None and boxes.own.unit in list(Unit):
        unit = Unit(boxes.own.unit)
        return Event(boxes.own.event or unit.value, unit=unit, has_period=unit is not Unit.SAMPLES), 1.0
    word = boxes.units.most_common(1)[0][0] if boxes.units else "samples"
    if word in ("", "samples", "sample"):
        return Event("samples"), 1.0
    unit, factor = _UNITS.get(word, (Unit.EVENTS, 1.0))
    return Event(word, unit=unit, has_period=True), factor


def _told(boxes: Boxes, tree: _Tree, event: Event) -> list[Caution]:
    cautions: list[Caution] = []
    if boxes.unplaced:
        what = "1 frame has" if boxes.unplaced == 1 else f"{count(boxes.unplaced)} frames have"
        cautions.append(Caution(f"{what} no usable place in the file and could not be read."))
    if boxes.differential:
        cautions.append(
            Caution(
                "This is a differential flame graph: its sizes are the second profile's, the first is not in it.",
                "Compare the two profiles themselves.",
            )
        )
    if math.isnan(sum(boxes.count)):
        cautions.append(Caution("Some frames have titles without a count: theirs is taken from their width."))
    if tree.left_out:
        cautions.append(
            Caution(
                f"{count(tree.left_out)} frames are narrower than the file's rounding, so that their callers cannot"
                " be told: they were left out, their time counts as their callers' own.",
                "Use the folded stacks, or inferno's graph, which keeps exact places.",
            )
        )
    elif (least := _least_drawn(tree.geometry)) is not None:
        figure, share = least
        cautions.append(
            Caution(
                f"Frames below {count(figure)} {event.name} ({percent(share, digits=3)}) may be missing from the file:"
                " their time then counts as their callers' own.",
                "Write the graph with --minwidth 0, or use the folded stacks.",
            )
        )
    return cautions


def _least_drawn(geometry: Geometry) -> tuple[float, float] | None:
    """Weight and share of the smallest frame, if smaller ones seem to have been left out.

    Every profile has stacks that were seen once. Where the smallest frame is heavier than the step between
    the weights, the single ones were too narrow to be drawn.
    """
    weights = np.unique(geometry.count[geometry.count > 0])
    total = float(geometry.count[geometry.depth == 0].sum())
    if len(weights) < 20:
        return None
    least = float(weights[0])
    steps = np.diff(weights)
    steps = steps[steps > 0.05 * least]  # one sample's weight may vary a little
    once = float(steps.min()) if len(steps) else least
    share = least / total
    return (least, share) if least > 1.5 * once and share < 0.01 else None


def _profile(boxes: Boxes, tree: _Tree, event: Event, factor: float) -> StackProfile:
    geometry, parent = tree.geometry, tree.parent
    rows = geometry.rows()
    names = list(boxes.names)
    if boxes.own is not None:
        frames, frame = _own_frames(boxes.own, boxes, names)
    else:
        frames, frame = frame_table(names), np.asarray(boxes.name, dtype=np.int32)
    stack = np.full(len(frame), NONE, dtype=np.int32)
    # "all" is the graph's frame for the whole, not the program's.
    dropped = len(rows[0]) == 1 and names[boxes.name[rows[0][0]]] in _ROOTS
    trie = Trie()
    for depth, row in enumerate(rows[1:] if dropped else rows):
        above = np.where(parent[row] >= 0, stack[parent[row]], NONE).astype(np.int32)
        stack[row] = trie.grow(depth, above, frame[row])
    holders = np.flatnonzero(tree.self_weight > 0)
    holders = holders[np.lexsort((geometry.depth[holders], geometry.x[holders]))]
    weight = tree.self_weight[holders]
    seen = weight
    if boxes.own is not None:
        told = np.asarray(boxes.own.samples, dtype=np.float64)[holders]
        seen = np.where(np.isnan(told), weight, told)
    size = len(holders)
    none = readonly(np.full(size, NONE, np.int32), np.int32)
    return StackProfile(
        frames=frames,
        stacks=trie.table(),
        samples=SampleTable(
            stack=readonly(stack[holders], np.int32),
            count=readonly(seen, np.float64),
            period=readonly(weight * factor, np.float64),
            time_ns=readonly(np.full(size, NONE, np.int64), np.int64),
            thread=none,
            cpu=none,
            event=readonly(np.zeros(size, np.int32), np.int32),
        ),
        threads=(),
        events=(event,),
        approximate=bool(tree.approximate),
        in_time_order="flame chart" in boxes.title.lower(),
    )


def _own_frames(own: OwnBoxes, boxes: Boxes, names: list[str]) -> tuple[FrameTable, Int32]:
    """The frames of a file that Tailflame wrote, which tells kinds and modules, and the frame of each box."""
    modules = list(own.modules)
    columns = np.stack([np.asarray(c, dtype=np.int64) for c in (boxes.name, own.module, own.kind)])
    distinct, frame = np.unique(columns, axis=1, return_inverse=True)
    table = known_frames(
        [names[i] for i in distinct[0]],
        [modules[i] for i in distinct[1]],
        distinct[2].tolist(),
    )
    return table, frame.reshape(-1).astype(np.int32)
