"""Bare frame names, as folded stacks and flame-graph SVGs have them, turned into a FrameTable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from tailflame.model import NONE, FrameKind, FrameTable
from tailflame.model.stacks import readonly

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


def frame_table(
    names: Iterable[str],
    *,
    kinds: Mapping[int, FrameKind] | None = None,
    modules: Mapping[int, str] | None = None,
) -> FrameTable:
    """One frame per name, in order.

    "_[k]" and its like become kinds and leave the name; "[libm.so.6]" is an unresolved address in that module.
    A file that marks its kernel frames tells by silence that the others are not: they become USER.
    kinds, modules: what the file tells otherwise, by position; it goes before what the name tells.
    """
    strings = Numbers()
    name: list[int] = []
    module: list[int] = []
    kind: list[FrameKind] = []
    for position, text in enumerate(names):
        mark = ANNOTATIONS.get(text[-4:])
        bare = text[:-4] if mark is not None else text
        inside = bare[1:-1] if bare.startswith("[") and bare.endswith("]") else ""
        known = (modules or {}).get(position, inside if inside != "unknown" else "")
        name.append(strings[bare])
        module.append(strings[known] if known else NONE)
        if mark is None:
            mark = FrameKind.OTHER if inside or bare in SEPARATORS else FrameKind.UNKNOWN
        kind.append((kinds or {}).get(position, mark))
    if kinds is None and FrameKind.KERNEL in kind:
        kind = [FrameKind.USER if k is FrameKind.UNKNOWN else k for k in kind]
    none = readonly(np.full(len(name), NONE, np.int32), np.int32)
    return FrameTable(
        strings=tuple(strings),
        name=readonly(name, np.int32),
        module=readonly(module, np.int32),
        file=none,
        line=none,
        kind=readonly(kind, np.uint8),
    )
