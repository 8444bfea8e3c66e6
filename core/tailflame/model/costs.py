"""Costs of source lines: what cachegrind and callgrind count, as one matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailflame.model.stacks import NONE, Int32, Int64

_LIBRARIES = ("/rustc/", "/usr/", "./", "../")
_OUTSIDE = ("/.cargo/", "/cargo/registry/", "/sysdeps/")


def is_library(file: str) -> bool:
    """Whether a source file is hardly the program's own: of the compiler, the system, a crate, or a header."""
    return file.startswith(_LIBRARIES) or file.endswith(".h") or any(part in file for part in _OUTSIDE)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CostTable:
    """Self costs per (module, file, function, line), each combination once.

    events: the tool's names: "Ir", "D1mr"; descriptions: the long ones, "" where the file has none.
    module, file, function: indices into `strings`, -1 unknown; line: 1-based, -1 unknown.
    costs: int64[rows, events]. totals: int64[events], as the file's own summary says, which agrees with the sum of the
    rows unless a caution says otherwise. notes: the tool's own lines on what it simulated (the caches' sizes).
    real: the events were counted by the processor (perf annotate), and not by a simulation.
    """

    events: tuple[str, ...]
    descriptions: tuple[str, ...]
    strings: tuple[str, ...]
    module: Int32
    file: Int32
    function: Int32
    line: Int32
    costs: Int64
    totals: Int64
    notes: tuple[str, ...] = ()
    real: bool = False

    def __len__(self) -> int:
        return len(self.line)

    def event(self, name: str) -> int:
        """The column of an event, -1 where it was not counted."""
        return self.events.index(name) if name in self.events else NONE

    def column(self, name: str) -> Int64:
        """The costs of one event, zeros where it was not counted."""
        at = self.event(name)
        return self.costs[:, at] if at >= 0 else np.zeros(len(self), dtype=np.int64)

    def string(self, index: int) -> str:
        return self.strings[index] if index >= 0 else ""
