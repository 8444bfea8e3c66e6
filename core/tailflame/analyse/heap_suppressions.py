"""Leaks that are known and not counted, by patterns as the leak sanitizer's suppression files have them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tailflame.model.leak_patterns import matching
from tailflame.model.stacks import Int64, StackProfile

_WORD = "leak:"


def parse_suppressions(text: str) -> tuple[tuple[str, ...], int]:
    """The patterns of a suppression file, and how many of its lines are none.

    One a line: "leak:PATTERN"; blank lines and those that begin with # say nothing.
    """
    patterns, wrong = [], 0
    for line in text.splitlines():
        line = line.strip()
        if line.startswith(_WORD) and len(line) > len(_WORD):
            patterns.append(line.removeprefix(_WORD))
        elif line and not line.startswith("#"):
            wrong += 1
    return tuple(dict.fromkeys(patterns)), wrong


def suppressed_stacks(profile: StackProfile, patterns: Sequence[str]) -> Int64:
    """Rows of the stack table in which a function, a file or a module matches one of `patterns`."""
    frames, stacks = profile.frames, profile.stacks
    if not patterns or not len(stacks):
        return np.empty(0, np.int64)
    named = matching(frames.strings, patterns)
    hit = np.zeros(len(frames), bool)
    for column in (frames.name, frames.file, frames.module):
        hit |= (column >= 0) & named[np.maximum(column, 0)]
    inside = hit[stacks.frame]
    above = stacks.parent.astype(np.int64)
    while (above >= 0).any():  # pointer doubling: a stack is out when any of its callers is
        live = np.flatnonzero(above >= 0)
        up = above[live]
        inside[live] |= inside[up]
        above[live] = above[up]
    return np.flatnonzero(inside)
