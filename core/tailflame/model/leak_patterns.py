"""Patterns of known leaks, as the leak sanitizer's suppression files and heaptrack have them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tailflame.model.stacks import Bool

_WORD = "leak:"
_LONGEST_NAME = 4_096
"""Characters of a name that are looked at: a hostile pattern takes the square of them."""


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


def matching(names: Sequence[str], patterns: Sequence[str]) -> Bool:
    """For each name, whether one of `patterns` matches it."""
    found = np.zeros(len(names), bool)
    everything = "\0".join(names)
    for pattern in dict.fromkeys(patterns):
        special = any(sign in pattern for sign in "*^$\0")
        if not pattern or (not special and pattern not in everything):
            continue  # most files hold none of what heaptrack always leaves out
        search = expression_of(pattern).search
        found |= np.array([bool(name) and search(name[:_LONGEST_NAME]) is not None for name in names], bool)
    return found


@lru_cache(maxsize=10_000)
def expression_of(pattern: str) -> re.Pattern[str]:
    """The sanitizers' patterns: found anywhere in the name; * stands for anything, ^ and $ hold the ends."""
    start = "^" if pattern.startswith("^") else ""
    body, at_end, _ = pattern.removeprefix("^").partition("$")
    first, *others = (re.escape(part) for part in body.split("*"))
    if not others:
        return re.compile(f"{start}{first}{chr(92)}Z" if at_end else start + first, re.DOTALL)
    # Each part is taken at its first place, the last one of a held end at its last: no pattern takes longer than that.
    middle = "".join(f"(?>.*?{part})" for part in others[:-1])
    last = rf".*{others[-1]}\Z" if at_end else f".*?{others[-1]}"
    return re.compile(start + first + middle + last, re.DOTALL)
