"""Leaks that are known and not counted, by patterns as the leak sanitizer's suppression files have them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tailflame.model.leak_patterns import matching
from tailflame.model.leak_patterns import parse_suppressions as parse_suppressions
from tailflame.model.stacks import Int64, StackProfile


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
