"""From a comparison to what its three flame graphs draw. Pure, and slow for large profiles: runs in a thread.

All three scenes name their functions by the union's table, so that what is pointed at, selected, searched or zoomed
in one is found in the others, however the two builds spell it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

import numpy as np

from tailflame.analyse.counted_diff import delta_text
from tailflame.analyse.diff import Comparison, Scale, Status, lay_out_diff
from tailflame.analyse.layout import FlameLayout, lay_out
from tailflame.analyse.names import module_label
from tailflame.analyse.tree import CallTree
from tailflame.model import FrameKind
from tailflame.model.recording import Caution, Recording
from tailflame.model.stacks import Float64, Int32, UInt8
from tailflame.units import count, percent, signed_percent, with_percent
from tailflame.units import weight as weight_text
from tailflame_gui.theme import Tokens
from tailflame_gui.widgets import flame_paint
from tailflame_gui.widgets.flame_colors import ColorBy, FlameColors, color_difference, color_tree
from tailflame_gui.widgets.flame_paint import Boxes
from tailflame_gui.widgets.flame_scene import FlameScene, FrameFacts

FULL = 0.5
"""A relative change of this much has the full colour."""
VANISHED, NEW = 1, 2
"""Marks of the hatching."""

_STATUS = {Status.NEW: "new: not in the baseline", Status.VANISHED: "vanished: not in the candidate"}
_KINDS = {FrameKind.USER: "user", FrameKind.KERNEL: "kernel", FrameKind.INLINED: "inlined", FrameKind.JIT: "JIT"}


class SideColors(StrEnum):
    """What the colours of the two graphs side by side tell."""

    CHANGE = "change"
    CRATE = "crate"
    MODULE = "module"
    KIND = "kind"


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """One flame graph ready to be shown."""

    scene: FlameScene
    colors: FlameColors
    boxes: Boxes


@dataclass(frozen=True, slots=True, eq=False)
class ComparePicture:
    """The two sides and the union, as asked."""

    comparison: Comparison
    before: Drawn
    after: Drawn
    union: Drawn
    scale: Scale
    side_colors: SideColors


def weight_scale(comparison: Comparison) -> float:
    """The ratio after/before of weights at which the typical function stands still.

    The comparison's own scale counts samples, and a side's weights may be anything that stands for them: periods, or
    nanoseconds that a file calls samples.
    """
    table, tree = comparison.table, comparison.tree
    if comparison.exact:
        return 1.0
    samples_before, samples_after = float(table.samples_before.sum()), float(table.samples_after.sum())
    if not (samples_before and samples_after and tree.whole_before and tree.whole_after):
        return comparison.scale
    per_sample = (tree.whole_after / samples_after) / (tree.whole_before / samples_before)
    return comparison.scale * per_sample


def node_change(comparison: Comparison) -> Float64:
    """Relative inclusive change of every node of the union against the scale; +inf new, -1 vanished."""
    tree = comparison.tree
    with np.errstate(divide="ignore", invalid="ignore"):
        change = tree.total_after / tree.total_before / weight_scale(comparison) - 1
    return np.where(tree.total_before > 0, change, np.inf)


def hatching(comparison: Comparison) -> UInt8:
    """Per node of the union: 0 on both sides, VANISHED, NEW."""
    tree = comparison.tree
    hatch = np.zeros(len(tree), dtype=np.uint8)
    hatch[tree.total_after == 0] = VANISHED
    hatch[tree.total_before == 0] = NEW
    return hatch


def draw_comparison(comparison: Comparison, *, scale: Scale, side_colors: SideColors, tokens: Tokens) -> ComparePicture:
    """The picture in the theme's `tokens`."""
    tree = comparison.tree
    change = node_change(comparison)
    within = ~tree.significant
    change_colors = color_difference(
        change / FULL,
        tokens,
        within_noise=within,
        least=f"{signed_percent(-FULL)}%",
        most=f"{signed_percent(FULL)}%",
    )
    layout = _trimmed(lay_out_diff(tree, scale=scale))
    union = FlameScene.of(
        layout,
        function=tree.function,
        names=tree.functions.names,
        facts=UnionFacts(comparison, change),
        hatch=hatching(comparison),
        total=_totals(comparison),
        note=partial(change_note, comparison, change),
    )
    largest = max(comparison.before.total, comparison.after.total) or 1.0
    sides = []
    for side, nodes in ((comparison.before, tree.before_node), (comparison.after, tree.after_node)):
        share = side.total / largest if scale is Scale.ABSOLUTE else 1.0
        scene = FlameScene.of(
            _narrowed(_trimmed(lay_out(side)), share),
            function=tree.function[nodes] if len(nodes) else np.zeros(0, dtype=np.int32),
            names=tree.functions.names,
            facts=SideFacts(comparison, side, nodes, change),
            hatch=hatching(comparison)[nodes] if len(nodes) else None,
            total=weight_text(side.total, side.unit),
        )
        if side_colors is SideColors.CHANGE:
            colors = replace(change_colors, index=change_colors.index[nodes] if len(nodes) else change_colors.index)
        else:
            colors = color_tree(side, ColorBy(side_colors.value), tokens)
        sides.append(_ready(scene, colors))
    return ComparePicture(comparison, sides[0], sides[1], _ready(union, change_colors), scale, side_colors)


def _ready(scene: FlameScene, colors: FlameColors) -> Drawn:
    boxes = flame_paint.prepare(scene.layout, colors.index, colors.palette, hatch=scene.hatch)
    return Drawn(scene, colors, boxes)


def _totals(comparison: Comparison) -> str:
    before, after = comparison.before, comparison.after
    return f"{weight_text(before.total, before.unit)} and {weight_text(after.total, after.unit)}"


def _narrowed(layout: FlameLayout, share: float) -> FlameLayout:
    """`layout` in the left `share` of the width: the smaller side in absolute sizes."""
    if share == 1.0:
        return layout
    return replace(layout, start=layout.start * share, width=layout.width * share)


def _trimmed(layout: FlameLayout) -> FlameLayout:
    """Without the empty row that a tree without nodes has."""
    return replace(layout, row_start=layout.row_start[:1]) if not len(layout.node) else layout


@dataclass(frozen=True, slots=True, eq=False)
class SideFacts:
    """The hover card of a node of one side."""

    comparison: Comparison
    side: CallTree
    nodes: Int32
    change: Float64

    def __call__(self, node: int) -> FrameFacts:
        side, union = self.side, int(self.nodes[node])
        file, line = side.place(node)
        whole = side.total or 1.0
        return FrameFacts(
            name=side.name(node),
            figures=(
                ("Self", _figure(float(side.self_weight[node]), whole, side)),
                ("Total", _figure(float(side.total_weight[node]), whole, side)),
                ("Change", change_words(self.comparison, self.change, union)),
            ),
            module=module_label(side.module(node)),
            kind=_KINDS.get(side.kind(node), ""),
            file=file,
            line=line,
        )


@dataclass(frozen=True, slots=True, eq=False)
class UnionFacts:
    """The hover card of a node of the union."""

    comparison: Comparison
    change: Float64

    def __call__(self, node: int) -> FrameFacts:
        comparison, tree = self.comparison, self.comparison.tree
        before, after = comparison.before, comparison.after
        function = int(tree.function[node])
        return FrameFacts(
            name=tree.name(node),
            figures=(
                ("Total before", _figure(float(tree.total_before[node]), tree.whole_before or 1.0, before)),
                ("Total after", _figure(float(tree.total_after[node]), tree.whole_after or 1.0, after)),
                ("Self before", _figure(float(tree.self_before[node]), tree.whole_before or 1.0, before)),
                ("Self after", _figure(float(tree.self_after[node]), tree.whole_after or 1.0, after)),
                ("Change", change_words(comparison, self.change, node)),
            ),
            module=module_label(tree.functions.module[function]),
            kind=_KINDS.get(FrameKind(int(tree.kinds[node])), ""),
            file=tree.functions.file[function],
            line=int(tree.functions.line[function]),
        )


def change_note(comparison: Comparison, change: Float64, node: int) -> str:
    """The inclusive change of a node in a few signs: "+26%", "new", "gone"; "≈" says that it may be noise."""
    status = comparison.tree.status(node)
    if status is Status.BOTH:
        words = with_percent(signed_percent(float(change[node])))
    else:
        words = "new" if status is Status.NEW else "gone"
    if comparison.exact:
        return words if comparison.tree.significant[node] else "same"
    return words if comparison.tree.significant[node] else f"≈ {words}"


def change_words(comparison: Comparison, change: Float64, node: int) -> str:
    """The inclusive change of a node of the union, and whether it may be noise."""
    if comparison.exact:
        return _counted_words(comparison, change, node)
    noise = "beyond noise" if comparison.tree.significant[node] else "within noise"
    status = comparison.tree.status(node)
    if status is not Status.BOTH:
        return f"{_STATUS[status]}, {noise}"
    return f"{with_percent(signed_percent(float(change[node])))} total, {noise}"


def _counted_words(comparison: Comparison, change: Float64, node: int) -> str:
    """The inclusive change of a node that was counted: the difference itself, and what it is of the baseline's."""
    tree = comparison.tree
    status = tree.status(node)
    if status is not Status.BOTH:
        return _STATUS[status]
    if not tree.significant[node]:
        return "the same"
    delta = float(tree.total_after[node] - tree.total_before[node])
    noun = comparison.after.event.name
    return f"{delta_text(delta, tree.unit, noun)} total ({with_percent(signed_percent(float(change[node])))})"


def _figure(weight: float, whole: float, tree: CallTree) -> str:
    return f"{percent(weight / whole)}  {weight_text(weight, tree.unit)}" if weight else "0"


def comparison_cautions(before: Recording, after: Recording) -> tuple[Caution, ...]:
    """What makes the two sides differ besides the code. What a file does not tell is no difference."""
    found = []
    for what, one, other, fix in (
        ("machines", before.meta.machine.hostname, after.meta.machine.hostname,
         "The hardware's difference stands beside the code's."),
        ("processors", before.meta.machine.cpu, after.meta.machine.cpu,
         "The hardware's difference stands beside the code's."),
        ("kernels", before.meta.machine.kernel, after.meta.machine.kernel, ""),
        ("tools", before.tool, after.tool, "They may see different things: compare like with like where you can."),
    ):  # fmt: skip
        if one and other and one != other:
            found.append(Caution(f"Different {what}: {one} before, {other} after.", fix))
    rates = (before.meta.rate_asked_hz, after.meta.rate_asked_hz)
    if rates[0] and rates[1] and rates[0] != rates[1]:
        found.append(
            Caution(
                f"Different sampling rates: {count(rates[0])} Hz before, {count(rates[1])} Hz after.",
                "Look at normalised sizes.",
            )
        )
    return tuple(found)
