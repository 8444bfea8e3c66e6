"""The functions of a profile: what makes two frames the same one, and what stands for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tailflame.analyse.names import module_label, plain
from tailflame.model.stacks import NONE, Bool, FrameKind, FrameTable, Int32, StackTable, UInt8, readonly


class Grouping(StrEnum):
    """What makes two frames the same function."""

    FUNCTION = "function"
    FUNCTION_MODULE = "function and module"
    LINE = "function and line"
    MODULE = "module"
    FILE = "source file"


@dataclass(frozen=True, slots=True, eq=False)
class FunctionTable:
    """Distinct functions of a grouping. `frame` stands for the function, -1 for a collapsed module."""

    names: tuple[str, ...]
    module: tuple[str, ...]
    file: tuple[str, ...]
    line: Int32
    kind: UInt8
    frame: Int32

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """The first function of this name, -1 where there is none."""
        try:
            return self.names.index(name)
        except ValueError:
            return NONE


def function_table(frames: FrameTable, grouping: Grouping) -> tuple[FunctionTable, Int32]:
    """The functions of `grouping` and the function of every frame."""
    first_of: dict[object, int] = {}
    function_of = np.empty(len(frames), dtype=np.int32)
    labels: list[str] = []
    stands: list[int] = []
    strings = frames.strings
    plain_of = [plain(s) for s in strings]
    by_module = grouping is Grouping.MODULE
    columns = zip(frames.name.tolist(), frames.module.tolist(), frames.file.tolist(), frames.line.tolist(),
                  frames.kind.tolist(), strict=True)  # fmt: skip
    for frame, (name, module, file, line, kind) in enumerate(columns):
        label = plain_of[name]
        key: object = label
        if by_module:
            label = module_name(strings[module] if module >= 0 else "", kind)
            key = label
        elif grouping is Grouping.FILE:
            label = (
                strings[file]
                if file >= 0
                else f"[no source: {module_name(strings[module] if module >= 0 else '', kind)}]"
            )
            key = label
        elif grouping is Grouping.FUNCTION_MODULE:
            key = (label, module)
        elif grouping is Grouping.LINE:
            key = (label, file, line)
        index = first_of.get(key)
        if index is None:
            index = first_of[key] = len(labels)
            labels.append(label)
            stands.append(frame)
        elif frames.kind[stands[index]] == FrameKind.INLINED and kind != FrameKind.INLINED:
            stands[index] = frame  # a physical frame tells more of a function than an inlined copy
        function_of[frame] = index
    stand = np.asarray(stands, dtype=np.int32)
    table = FunctionTable(
        names=tuple(labels),
        module=tuple(frames.module_of(f) for f in stands),
        file=tuple(frames.file_of(f) for f in stands),
        line=readonly(frames.line[stand], np.int32),
        kind=readonly(frames.kind[stand], np.uint8),
        frame=readonly(stand, np.int32),
    )
    return table, function_of


def module_name(module: str, kind: int) -> str:
    if module:
        return module_label(module)
    return {FrameKind.KERNEL: "[kernel]", FrameKind.INLINED: "[inlined]", FrameKind.OTHER: "[process]"}.get(
        FrameKind(kind), "[unknown module]"
    )


def fold_modules(
    frames: FrameTable,
    stacks: StackTable,
    functions: FunctionTable,
    row_function: Int32,
    modules: frozenset[str],
) -> tuple[FunctionTable, Int32, Bool]:
    """Replaces the functions of `modules` by one function per module; also says which rows were replaced."""
    names, kinds = list(functions.names), list(functions.kind)
    index: dict[int, int] = {}
    new_function = np.full(len(frames), NONE, dtype=np.int32)
    for frame, module in enumerate(frames.module.tolist()):
        if module >= 0 and frames.strings[module] in modules:
            if module not in index:
                index[module] = len(names)
                names.append(f"[{module_label(frames.strings[module]).strip('[]')}]")
                kinds.append(frames.kind[frame])
            new_function[frame] = index[module]
    extra = len(names) - len(functions)
    table = FunctionTable(
        names=tuple(names),
        module=functions.module + tuple(frames.strings[m] for m in index),
        file=functions.file + ("",) * extra,
        line=readonly(np.append(functions.line, np.full(extra, NONE)), np.int32),
        kind=readonly(kinds, np.uint8),
        frame=readonly(np.append(functions.frame, np.full(extra, NONE)), np.int32),
    )
    replaced = new_function[stacks.frame]
    folded = replaced >= 0
    return table, np.where(folded, replaced, row_function).astype(np.int32), folded
