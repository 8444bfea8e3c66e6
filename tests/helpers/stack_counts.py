"""Profiles as plain dictionaries from stack to weight, for comparing what two files say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tailflame.model import StackProfile

DATA = Path(__file__).parents[1] / "data"


def stack_counts(profile: StackProfile) -> dict[str, float]:
    """Samples by stack ("A;B;C", "" for none), adding up rows of equal stacks."""
    return _added(profile, profile.samples.count.tolist())


def stack_periods(profile: StackProfile) -> dict[str, float]:
    """Periods by stack."""
    return _added(profile, profile.samples.period.tolist())


def _added(profile: StackProfile, weights: list[float]) -> dict[str, float]:
    names = profile.frames.names()
    paths: dict[int, tuple[str, ...]] = {-1: ()}
    for row, (frame, parent) in enumerate(
        zip(profile.stacks.frame.tolist(), profile.stacks.parent.tolist(), strict=True)
    ):
        paths[row] = (*paths[parent], names[frame])
    counts: Counter[str] = Counter()
    for stack, weight in zip(profile.samples.stack.tolist(), weights, strict=True):
        counts[";".join(paths[stack])] += weight
    return dict(counts)


def folded_counts(text: str) -> dict[str, float]:
    """What a folded text says, read in the plainest way: the reference."""
    counts: Counter[str] = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        counts[stack] += float(count)
    return dict(counts)
