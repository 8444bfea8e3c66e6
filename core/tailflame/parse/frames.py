"""Bare frame names, as folded stacks and flame-graph SVGs have them, turned into a FrameTable."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tailflame.model import NONE, Caution, FrameKind, FrameTable, StackProfile
from tailflame.model.stacks import IMPLAUSIBLE_SAMPLES, readonly
from tailflame.units import count

ANNOTATIONS = {
    "_[k]": FrameKind.KERNEL,
    "_[i]": FrameKind.INLINED,
    "_[j]": FrameKind.JIT,
    "_[w]": FrameKind.OTHER,  # the waker's stack in a chain graph: it did not run there
}
SEPARATORS = ("-", "--")
"""What stackcollapse tools put between kernel and user frames, and between stacks of a chain graph."""


class Numbers(dict[str, int]):
    """Numbers names in the order they come: `numbers[name]` at the speed of a dict."""

    def __missing__(self, name: str) -> int:
        number = self[name] = len(self)
        return number


def frame_table(names: Iterable[str]) -> FrameTable:
    """One frame per name, in order.

    "_[k]" and its like become kinds and leave the name; "[libm.so.6]" is an unresolved address in that module.
    A file that marks its kernel frames tells by silence that the others are not: they become USER.
    """
    bare: list[str] = []
    modules: list[str] = []
    kinds: list[FrameKind] = []
    for text in names:
        mark = ANNOTATIONS.get(text[-4:])
        name = text[:-4] if mark is not None else text
        inside = name[1:-1] if name.startswith("[") and name.endswith("]") else ""
        if mark is None:
            mark = FrameKind.OTHER if inside or name in SEPARATORS else FrameKind.UNKNOWN
        bare.append(name)
        modules.append(inside if inside != "unknown" else "")
        kinds.append(mark)
    if FrameKind.KERNEL in kinds:
        kinds = [FrameKind.USER if kind is FrameKind.UNKNOWN else kind for kind in kinds]
    return known_frames(bare, modules, kinds)


def known_frames(names: Iterable[str], modules: Iterable[str], kinds: Iterable[int]) -> FrameTable:
    """Frames whose every column is told: nothing is read out of the names. Module "": unknown."""
    strings = Numbers()
    name = [strings[text] for text in names]
    module = [strings[text] if text else NONE for text in modules]
    none = readonly(np.full(len(name), NONE, np.int32), np.int32)
    return FrameTable(
        strings=tuple(strings),
        name=readonly(name, np.int32),
        module=readonly(module, np.int32),
        file=none,
        line=none,
        kind=readonly(list(kinds), np.uint8),
    )


def doubted_counts(profile: StackProfile) -> tuple[Caution, ...]:
    """A caution where "samples" are far too many to be samples.

    stackcollapse-perf.pl, inferno and cargo-flamegraph add up perf's periods (nanoseconds of cpu-clock, or
    cycles) and call the sum samples.
    """
    total = profile.total()
    if total < IMPLAUSIBLE_SAMPLES:
        return ()
    return (
        Caution(
            f"Its counts add up to {count(round(total))}: they are hardly samples but periods (nanoseconds or"
            " cycles), so that how far noise goes cannot be told from them.",
            "Open the perf.data that it was made from, if it was kept.",
        ),
    )
