"""Patterns of known leaks, as the leak sanitizer's suppression files and heaptrack have them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tailflame.model.stacks import Bool


def matching(names: Sequence[str], patterns: Sequence[str]) -> Bool:
    """For each name, whether one of `patterns` matches it."""
    expressions = [expression_of(pattern) for pattern in dict.fromkeys(patterns)]
    return np.array([bool(name) and any(e.search(name) for e in expressions) for name in names], bool)


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
