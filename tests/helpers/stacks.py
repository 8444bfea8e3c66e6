"""Stacks drawn as text: profiles from "A;B;C 3" lines, trees back into such lines."""

from __future__ import annotations

from tailflame.analyse.tree import CallTree
from tailflame.model import FrameKind, StackBuilder, StackProfile, Thread

_KINDS = {"_[k]": FrameKind.KERNEL, "_[i]": FrameKind.INLINED, "_[j]": FrameKind.JIT}


def profile(text: str, *, in_time_order: bool = False) -> StackProfile:
    """A profile from lines `[thread:] A;B;C [count]`; a frame is `name[_[k]][@module][!file:line]`."""
    builder = StackBuilder()
    for line in text.strip().splitlines():
        words = line.strip()
        thread = -1
        if ": " in words:
            label, words = words.split(": ", 1)
            thread = builder.thread(Thread(name=label.strip()))
        stack, _, count = words.rpartition(" ") if words.rpartition(" ")[2].isdigit() else (words, "", "1")
        builder.sample(
            builder.stack([_frame(builder, f) for f in stack.strip().split(";")]),
            count=float(count),
            thread=thread,
        )
    return builder.build(in_time_order=in_time_order)


def _frame(builder: StackBuilder, text: str) -> int:
    text, _, place = text.partition("!")
    file, _, line = place.partition(":")
    name, _, module = text.partition("@")
    kind = FrameKind.USER
    for suffix, known in _KINDS.items():
        if name.endswith(suffix):
            name, kind = name.removesuffix(suffix), known
    return builder.frame(name, module=module, file=file, line=int(line or -1), kind=kind)


def drawn(tree: CallTree) -> list[str]:
    """One line per node, depth first by name: indent, name=total, and (self n) where it has self weight."""
    lines: list[str] = []
    todo = [(0, int(n)) for n in sorted(tree.children(-1), key=tree.name, reverse=True)]
    while todo:
        depth, node = todo.pop()
        own = f" (self {tree.self_weight[node]:g})" if tree.self_weight[node] else ""
        lines.append(f"{' ' * depth}{tree.name(node)}={tree.total_weight[node]:g}{own}")
        todo += [(depth + 1, int(n)) for n in sorted(tree.children(node), key=tree.name, reverse=True)]
    return lines
