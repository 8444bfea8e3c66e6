"""Searching a flame graph: a regular expression over the distinct function names, then array arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QRegularExpression

from tailflame.errors import TailflameError
from tailflame.model.stacks import Bool, Int64
from tailflame_gui.widgets.flame_scene import FlameScene, Union

_SPECIAL = frozenset(r"\^$.|?*+()[]{}")


class PatternError(TailflameError):
    """A regular expression that cannot be read, or that would take too long."""


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """functions: per function; boxes: the matching boxes by row, then from left to right; covered: their union."""

    pattern: str
    ignore_case: bool
    functions: Bool
    boxes: Int64
    covered: Union

    def __len__(self) -> int:
        return len(self.boxes)

    def share(self, x0: float = 0.0, x1: float = 1.0) -> float:
        """How much of the view from x0 to x1 lies under a match; nested matches count once."""
        return self.covered.share(x0, x1)


def is_pattern(pattern: str) -> bool:
    """True for what can be searched for."""
    return not _SPECIAL.intersection(pattern) or _expression(pattern, True).isValid()


def _expression(pattern: str, ignore_case: bool) -> QRegularExpression:
    options = QRegularExpression.PatternOption.UseUnicodePropertiesOption
    if ignore_case:
        options |= QRegularExpression.PatternOption.CaseInsensitiveOption
    return QRegularExpression(pattern, options)


def matching(names: Sequence[str], pattern: str, *, ignore_case: bool = True) -> Bool:
    """True for the names in which `pattern` is found. PatternError where it is not a regular expression.

    Qt's engine (PCRE) limits how long one match may take; Python's would hang the window on `(a|aa)+$`.
    """
    if not _SPECIAL.intersection(pattern):
        if ignore_case:
            lower = pattern.lower()
            return np.fromiter((lower in name.lower() for name in names), dtype=bool, count=len(names))
        return np.fromiter((pattern in name for name in names), dtype=bool, count=len(names))
    expression = _expression(pattern, ignore_case)
    if not expression.isValid():
        raise PatternError(
            f"Not a regular expression: {expression.errorString()} at character {expression.patternErrorOffset() + 1}.",
            advice="Put a backslash before signs that are meant literally.",
        )
    found = np.zeros(len(names), dtype=bool)
    for index, name in enumerate(names):
        match = expression.match(name)
        if not match.isValid():
            raise PatternError(
                "This expression has too many ways to match.",
                advice="Avoid a repetition inside a repetition, like (a+)+.",
            )
        found[index] = match.hasMatch()
    return found


def search(scene: FlameScene, pattern: str, *, ignore_case: bool = True) -> Matches:
    """The matches of `pattern` in `scene`; none for an empty pattern."""
    if pattern:
        functions = matching(scene.names, pattern, ignore_case=ignore_case)
    else:
        functions = np.zeros(len(scene.names), dtype=bool)
    boxes = np.flatnonzero(functions[scene.box_function]) if functions.any() else np.zeros(0, dtype=np.int64)
    covered = Union.of(scene.layout.start[boxes], scene.end[boxes])
    return Matches(pattern, ignore_case, functions, boxes, covered)
