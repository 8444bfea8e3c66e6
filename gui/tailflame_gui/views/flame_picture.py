"""From a profile to what a flame graph draws. Pure, and slow for large profiles: runs in a thread."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tailflame import units
from tailflame.analyse.counted import counts_word
from tailflame.analyse.layout import FlameLayout, Order, lay_out
from tailflame.analyse.names import module_label
from tailflame.analyse.reading import Sentence, read
from tailflame.analyse.tree import CallTree, TreeOptions
from tailflame.model import FrameKind, StackProfile
from tailflame.model.stacks import Float64
from tailflame_gui.models.trees import ProfileTrees
from tailflame_gui.theme import Tokens
from tailflame_gui.widgets import flame_paint
from tailflame_gui.widgets.flame_colors import ColorBy, FlameColors, color_tree, on_cpu
from tailflame_gui.widgets.flame_paint import Boxes
from tailflame_gui.widgets.flame_scene import FlameScene, FrameFacts
from tailflame_gui.widgets.flame_search import Matches, PatternError, search

KIND_WORDS = {
    FrameKind.USER: "user",
    FrameKind.KERNEL: "kernel",
    FrameKind.INLINED: "inlined",
    FrameKind.JIT: "JIT",
    FrameKind.OTHER: "",
    FrameKind.UNKNOWN: "",
}


@dataclass(frozen=True, slots=True)
class FlameSettings:
    """Everything that decides the picture, apart from the part in view."""

    options: TreeOptions = field(default_factory=TreeOptions)
    order: Order = Order.NAME
    color_by: ColorBy = ColorBy.CRATE


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for."""

    pattern: str
    ignore_case: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class FlamePicture:
    """A profile as `settings` ask: the tree, its boxes, their colours, and what can be said of it in words."""

    settings: FlameSettings
    tree: CallTree
    scene: FlameScene
    colors: FlameColors
    boxes: Boxes
    sentences: tuple[Sentence, ...]
    query: Query | None
    matches: Matches | None
    """What `query` has found in this picture."""


@dataclass(frozen=True, slots=True, eq=False)
class TreeFacts:
    """The hover card of a tree's nodes. `whole`: the weight of all samples in the range of time and
    the expression that are chosen, whatever is hidden or focused on; own: flame_colors.on_cpu. counted: what the
    tree's counts are called, "" where they tell nothing besides the weight."""

    tree: CallTree
    whole: float
    own: Float64
    counted: str = "samples"

    def __call__(self, node: int) -> FrameFacts:
        tree = self.tree
        own, total = float(self.own[node]), float(tree.total_weight[node])
        file, line = tree.place(node)
        share = total / self.whole if self.whole else 0.0
        samples = units.count(float(tree.total_samples_of[node]))
        counted = ((self.counted.capitalize(), samples),) if self.counted else ()
        own_share = own / self.whole if self.whole else 0.0
        return FrameFacts(
            name=tree.name(node),
            figures=(
                ("Self", f"{units.weight(own, tree.unit)}  ·  {units.percent(own_share)}"),
                ("Total", units.weight(total, tree.unit)),
                *counted,
            ),
            of_all=units.percent(share),
            module=module_label(tree.module(node)),
            kind=KIND_WORDS[tree.kind(node)],
            file=file,
            line=line,
        )


def has_time_order(profile: StackProfile) -> bool:
    """True where the file tells in which order the samples were taken."""
    times = profile.samples.time_ns
    return profile.in_time_order or (len(times) > 0 and bool((times >= 0).all()))


def is_large(profile: StackProfile) -> bool:
    """True where drawing takes longer than a frame, so that a thread has to do it."""
    return len(profile.stacks) > 4_000 or len(profile.samples) > 40_000


def draw(trees: ProfileTrees, settings: FlameSettings, tokens: Tokens, *, query: Query | None = None) -> FlamePicture:
    """The picture of a profile in the theme's `tokens`, with the matches of a search that goes on."""
    options = settings.options
    tree = trees.build(options)
    layout = trimmed(lay_out(tree, settings.order))
    whole = tree.total if options.focus is None and options.threads is None else trees.whole(options)
    scene = FlameScene.of(
        layout,
        function=tree.function,
        names=tree.functions.names,
        facts=TreeFacts(tree, whole, on_cpu(tree), _counted(tree)),
        total=units.weight(tree.total, tree.unit),
        rooted=not options.inverted,
    )
    colors, boxes = colored(tree, scene, settings.color_by, tokens)
    sentences = () if options.inverted else read(tree)
    return FlamePicture(settings, tree, scene, colors, boxes, sentences, query, _found(scene, query))


def _counted(tree: CallTree) -> str:
    """What the samples of a tree are called; sampled ones are named even where they are the weight itself."""
    repeats = tree.event.exact and tree.total_samples in (0.0, tree.total)
    return "" if repeats else counts_word(tree.event)


def _found(scene: FlameScene, query: Query | None) -> Matches | None:
    if query is None:
        return None
    try:
        return search(scene, query.pattern, ignore_case=query.ignore_case)
    except PatternError:
        # The search bar has said so when it was typed; the picture is worth showing without.
        return None


def colored(tree: CallTree, scene: FlameScene, by: ColorBy, tokens: Tokens) -> tuple[FlameColors, Boxes]:
    """The colours of `tree`, and the boxes of `scene` ready to be painted in them."""
    colors = color_tree(tree, by, tokens)
    return colors, flame_paint.prepare(scene.layout, colors.index, colors.palette)


def trimmed(layout: FlameLayout) -> FlameLayout:
    """Without rows that hold no box: a tree whose samples have no stacks has one."""
    rows = np.diff(layout.row_start)
    if len(rows) and rows[-1] == 0:
        last = int(np.flatnonzero(rows)[-1]) + 2 if rows.any() else 1
        return FlameLayout(layout.row_start[:last], layout.start, layout.width, layout.node, layout.total)
    return layout
