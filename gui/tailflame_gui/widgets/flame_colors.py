"""What the colours of a flame graph mean: an index per node, a palette, and the legend that goes with them."""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PySide6.QtGui import QColor

from tailflame.analyse.names import module_label
from tailflame.analyse.tree import CallTree, FunctionTable
from tailflame.model import FrameKind
from tailflame.model.stacks import Bool, Float64, FrameTable, UInt8
from tailflame.units import percent
from tailflame_gui import theme
from tailflame_gui.theme import Tokens

RAMP = 31
"""Steps of a continuous palette; odd, so that the middle of a difference is "same"."""


class ColorBy(StrEnum):
    """What the colour of a box tells."""

    CRATE = "crate"  # and module within the crate
    MODULE = "module"
    KIND = "kind"
    SELF = "self weight"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """index: the palette entry; share: of all self weight, 0..1 (None: does not apply); tip: more of it."""

    label: str
    index: int
    share: float | None = None
    tip: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class FlameColors:
    """index: per node, into `palette` ([colours, 3] of 0..255). A `ramp` has its ends as entries."""

    index: UInt8
    palette: UInt8
    title: str
    entries: tuple[LegendEntry, ...]
    ramp: bool = False


def rgb(color: QColor) -> tuple[int, int, int]:
    return color.red(), color.green(), color.blue()


def palette_of(colors: Sequence[QColor]) -> UInt8:
    return np.array([rgb(c) for c in colors], dtype=np.uint8).reshape(-1, 3)


def ramp_of(stops: Sequence[QColor], steps: int = RAMP) -> UInt8:
    """`steps` colours through `stops`, evenly."""
    known = palette_of(stops).astype(np.float64)
    at = np.linspace(0, len(known) - 1, steps)
    channels = [np.interp(at, np.arange(len(known)), known[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


# `<alloc::vec::Vec<T> as core::ops::Drop>::drop`, `&mut foo::bar`, `(anonymous namespace)::f`
_LEADING = re.compile(r"^(?:[<&*\[(]|mut |dyn |impl |const |unsafe )+")
_PATH = re.compile(r"^([A-Za-z_][\w.-]*)::(?:([a-z_][a-z0-9_]*)::)?")
_TRAIT = re.compile(r" as ([A-Za-z_]\w*)::")
# `<i64>::wrapping_abs`, `<[T]>::len`: methods of the language's own types are core's.
_PRIMITIVE = re.compile(r"^<(?:&|mut |\[)*(?:[iu](?:8|16|32|64|128|size)|f32|f64|bool|char|str|T)\]?>::")
_STANDARD = frozenset({"core", "alloc", "std", "test", "proc_macro"})


@lru_cache(maxsize=200_000)
def crate_of(name: str) -> str:
    """The crate and its module (Rust) or the outer namespaces (C++) of a function, "" where the name has none.

    The standard library is one thing to most readers, so its crates stay whole.

    >>> crate_of("<alloc::vec::Vec<T> as core::ops::Drop>::drop")
    'alloc'
    >>> crate_of("trading_system::risk::Risk::check_risk")
    'trading_system::risk'
    """
    found = _PATH.match(_LEADING.sub("", name))
    if found:
        crate, module = found.groups()
        return crate if module is None or crate in _STANDARD else f"{crate}::{module}"
    if _PRIMITIVE.match(name):
        return "core"
    trait = _TRAIT.search(name)
    return trait.group(1) if trait and name.startswith("<") else ""


HUES, TONES = 12, 3
KERNEL, PROCESS, NOWHERE = (HUES * TONES + place for place in range(3))
"""Palette entries after the hues in their tones: kernel code, process and thread roots, frames of unknown origin."""


def fill_of(label: str, by: ColorBy) -> int:
    """The palette entry of a module or crate, by a stable hash of its name alone, so that it is the same in every
    profile. Modules have the theme's twelve hues. Crates and their modules are more than that at a time, and get
    them in three tones.
    """
    if not label:
        return NOWHERE
    if by is ColorBy.MODULE:
        return theme.module_hue(label)
    return zlib.crc32(label.encode("utf-8", "surrogatepass")) % (HUES * TONES)


def _tones(tokens: Tokens) -> list[QColor]:
    """The theme's hues, then lighter, then duller: not towards a dark surface, which is how boxes fade."""
    hues = tokens.module_hues
    light = tokens.text if tokens.dark else tokens.surface
    return [
        *hues,
        *(theme.blend(hue, light, 0.70) for hue in hues),
        *(theme.blend(hue, tokens.faint, 0.74) for hue in hues),
    ]


def on_cpu(tree: CallTree) -> Float64:
    """What each node adds to the view by itself: its self weight; in a bottom-up tree, where the leaves are the
    roots, all of a root's weight and nothing of its callers'.
    """
    return np.where(tree.parent < 0, tree.total_weight, 0.0) if tree.options.inverted else tree.self_weight


def color_tree(tree: CallTree, by: ColorBy, tokens: Tokens) -> FlameColors:
    """The colours of `tree` in the theme's `tokens`."""
    match by:
        case ColorBy.CRATE | ColorBy.MODULE:
            return _by_label(tree, by, tokens)
        case ColorBy.KIND:
            return _by_kind(tree, tokens)
        case ColorBy.SELF:
            return _by_self(tree, tokens)
        case ColorBy.PLAIN:
            return FlameColors(
                index=np.zeros(len(tree), dtype=np.uint8),
                palette=palette_of([tokens.kind_user]),
                title="One colour",
                entries=(),
            )


def _by_label(tree: CallTree, by: ColorBy, tokens: Tokens) -> FlameColors:
    labels, of_node = _labels(tree, by)
    hue_of = np.array([fill_of(label, by) for label in labels], dtype=np.uint8)
    index = hue_of[of_node] if len(labels) else np.zeros(0, dtype=np.uint8)
    kinds = tree.kinds()
    index = np.where(kinds == FrameKind.KERNEL, KERNEL, index)
    rootlike = (kinds == FrameKind.OTHER) & (tree.parent < 0)
    index = np.where(rootlike, PROCESS, index).astype(np.uint8)
    palette = palette_of([*_tones(tokens), tokens.kind_kernel, _root(tokens), tokens.same])

    running = on_cpu(tree)
    weight = np.bincount(of_node, weights=np.where(index < KERNEL, running, 0), minlength=len(labels))
    total = float(running.sum()) or 1.0
    seen = np.bincount(of_node[index < KERNEL], minlength=len(labels)) > 0
    entries = [
        LegendEntry(labels[at], int(hue_of[at]), float(weight[at]) / total)
        for at in np.argsort(-weight, kind="stable").tolist()
        if labels[at] and seen[at]
    ]
    for special, label, tip in (
        (KERNEL, "kernel", "Code of the operating system's kernel"),
        (PROCESS, "process", "The process or thread at the root"),
        (NOWHERE, "unknown", "The file does not tell where this code lives"),
    ):
        if (index == special).any():
            own = float(running[index == special].sum()) / total
            entries.append(LegendEntry(label, special, own, tip))
    entries.sort(key=lambda e: (e.index == PROCESS, -(e.share or 0.0)))
    noun = "Crate" if by is ColorBy.CRATE else "Module"
    return FlameColors(index, palette, noun, tuple(entries))


def _labels(tree: CallTree, by: ColorBy) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Distinct labels, and the label of every node."""
    key = (id(tree.functions), id(tree.frames), by)
    with _finding:
        made = _found.get(key)
        if made is None:
            made = _found[key] = _Labels(tree.functions, tree.frames, *_labels_of(tree, by))
            while len(_found) > _KEPT:
                del _found[next(iter(_found))]
    of_node = made.of_function[tree.function]
    if made.of_frame is not None:
        of_node = np.where(tree.frame >= 0, made.of_frame[tree.frame], of_node)
    if made.crate is not None:
        crate = made.crate[tree.function]
        of_node = np.where(crate >= 0, crate, of_node)
    return made.labels, of_node


@dataclass(frozen=True, slots=True, eq=False)
class _Labels:
    """Of a profile's functions and frames, which it holds: however it is filtered, they are the same."""

    functions: FunctionTable
    frames: FrameTable
    labels: list[str]
    of_function: npt.NDArray[np.int64]
    of_frame: npt.NDArray[np.int64] | None
    crate: npt.NDArray[np.int64] | None


_KEPT = 4
_finding = threading.Lock()
_found: dict[tuple[int, int, ColorBy], _Labels] = {}


def _labels_of(
    tree: CallTree, by: ColorBy
) -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.int64] | None, npt.NDArray[np.int64] | None]:
    functions, frames = tree.functions, tree.frames
    known: dict[str, int] = {}

    def number(label: str) -> int:
        return known.setdefault(label, len(known))

    module_of_string = [number(module_label(s)) for s in _module_strings(tree)]
    none = number("")
    if len(frames):
        slot = np.full(len(frames.strings) + 1, none, dtype=np.int64)
        slot[_module_ids(tree)] = module_of_string
        by_frame = slot[frames.module]
    else:
        by_frame = None
    by_function = np.array([number(module_label(m)) for m in functions.module], dtype=np.int64)
    crate = None
    if by is ColorBy.CRATE and len(functions):
        crates = [crate_of(name) for name in functions.names]
        crate = np.array([number(c) if c else -1 for c in crates], dtype=np.int64)
    return list(known), by_function, by_frame, crate


def _module_ids(tree: CallTree) -> npt.NDArray[np.int64]:
    used = np.unique(tree.frames.module).astype(np.int64)
    return used[used >= 0]


def _module_strings(tree: CallTree) -> list[str]:
    return [tree.frames.strings[i] for i in _module_ids(tree)]


def _by_kind(tree: CallTree, tokens: Tokens) -> FlameColors:
    index = tree.kinds().astype(np.uint8)
    unknown = theme.blend(tokens.kind_user, tokens.surface, 0.55)
    palette = palette_of(
        [tokens.kind_user, tokens.kind_kernel, tokens.kind_inlined, tokens.kind_other, _root(tokens), unknown]
    )
    running = on_cpu(tree)
    own = np.bincount(index, weights=running, minlength=len(palette)) / (float(running.sum()) or 1.0)
    words = {
        FrameKind.USER: ("user", "Code of the program and its libraries"),
        FrameKind.KERNEL: ("kernel", "Code of the operating system's kernel"),
        FrameKind.INLINED: ("inlined", "Code that the compiler copied into its caller"),
        FrameKind.JIT: ("JIT", "Code that was compiled while the program ran"),
        FrameKind.OTHER: ("other", "Not code: a process, a thread, an unresolved address"),
        FrameKind.UNKNOWN: ("not told", "The file does not tell whether this is user or kernel code"),
    }
    present = np.bincount(index, minlength=len(palette))
    entries = tuple(
        LegendEntry(label, int(kind), float(own[kind]), tip) for kind, (label, tip) in words.items() if present[kind]
    )
    return FlameColors(index, palette, "Kind of code", entries)


def _by_self(tree: CallTree, tokens: Tokens) -> FlameColors:
    share = on_cpu(tree) / tree.total if tree.total else np.zeros(len(tree))
    most = float(share.max(initial=0.0))
    # The square root spreads the many small values; the legend names the ends.
    level = np.sqrt(np.clip(share / most, 0.0, 1.0)) if most else share
    hot = theme.blend(tokens.bad, tokens.kind_kernel, 0.7)
    cold = theme.blend(tokens.kind_user, tokens.surface, 0.30)
    entries = (
        LegendEntry("0", 0, None, "Only callees run: no weight of its own"),
        LegendEntry(percent(most), RAMP - 1, None, "The frame with the most weight of its own in this view"),
    )
    return FlameColors(
        index=np.rint(level * (RAMP - 1)).astype(np.uint8),
        palette=ramp_of([cold, tokens.kind_user, tokens.kind_kernel, hot]),
        title="Self weight",
        entries=entries,
        ramp=True,
    )


def color_difference(
    delta: Float64, tokens: Tokens, *, within_noise: Bool | None = None, least: str = "less", most: str = "more"
) -> FlameColors:
    """Colours of a comparison: `delta` per node, -1 (less) to 1 (more); nodes within noise are "same"."""
    level = np.clip(np.nan_to_num(delta), -1.0, 1.0)
    if within_noise is not None:
        level = np.where(within_noise, 0.0, level)
    middle = RAMP // 2
    entries = (
        LegendEntry(least, 0, None, "Weighs less than in the baseline"),
        LegendEntry("same", middle, None, "Equal, or within the sampling noise"),
        LegendEntry(most, RAMP - 1, None, "Weighs more than in the baseline"),
    )
    return FlameColors(
        index=(np.rint(level * middle) + middle).astype(np.uint8),
        palette=ramp_of([tokens.less, tokens.same, tokens.more]),
        title="Change",
        entries=entries,
        ramp=True,
    )


def _root(tokens: Tokens) -> QColor:
    """Processes and threads: not code, so no hue."""
    return theme.blend(tokens.faint, tokens.surface, 0.40)
