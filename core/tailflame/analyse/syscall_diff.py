"""Two runs by their system calls: before, after, and what changed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tailflame.analyse.syscall_sums import CallSums, length_s, sum_calls
from tailflame.model.syscalls import SyscallTrace
from tailflame.units import nanoseconds

_SAME_LENGTH = 0.02
"""Runs that differ by less in length are compared as they are."""


@dataclass(frozen=True, slots=True)
class CallFigures:
    """One call of one side; all zero, and NaN, where it has none. total_s: of all its calls."""

    calls: int = 0
    errors: int = 0
    total_s: float = 0.0
    p50_ns: float = math.nan
    p99_ns: float = math.nan
    max_ns: float = math.nan


@dataclass(frozen=True, slots=True)
class CallChange:
    """One call on both sides."""

    name: str
    before: CallFigures
    after: CallFigures

    @property
    def status(self) -> str:
        """ "new", "gone", "" where both have it."""
        return "new" if not self.before.calls else "gone" if not self.after.calls else ""


@dataclass(frozen=True, slots=True)
class CallDiff:
    """changes: the largest change of time first. before_s, after_s: length of the runs, None where it is not known.
    singles: whether both sides have single calls, and so percentiles. unlike: why times are not compared, a sentence;
    the largest change of calls comes first then.
    """

    changes: tuple[CallChange, ...]
    before_s: float | None
    after_s: float | None
    singles: bool
    unlike: str = ""

    @property
    def differ_in_length(self) -> bool:
        """Whether calls should be compared a second, because the runs differ in length."""
        if not self.before_s or not self.after_s:
            return False
        return abs(self.after_s / self.before_s - 1) > _SAME_LENGTH

    @property
    def lengths(self) -> str:
        """ "1.33 s and 1.28 s", "" where one is not known."""
        if self.before_s is None or self.after_s is None:
            return ""
        return f"{nanoseconds(self.before_s * 1e9)} and {nanoseconds(self.after_s * 1e9)}"

    @property
    def note(self) -> str:
        """What has to be known of these figures."""
        return "One run each: a change may be chance, above all of p99 and the longest. Repeat both to be sure."


def compare_calls(before: SyscallTrace, after: SyscallTrace, *, unlike: str = "") -> CallDiff:
    """By name of the call. unlike: why the times of the two say nothing of each other (syscall_times)."""
    sides = (sum_calls(before), sum_calls(after))
    figures = tuple(_figures(side) for side in sides)
    names = dict.fromkeys((*figures[1], *figures[0]))
    none = CallFigures()
    changes = [CallChange(name, figures[0].get(name, none), figures[1].get(name, none)) for name in names]

    def order(change: CallChange) -> tuple[float, float]:
        time = 0.0 if unlike else change.after.total_s - change.before.total_s
        return -abs(time), -abs(change.after.calls - change.before.calls)

    changes.sort(key=order)
    return CallDiff(
        changes=tuple(changes),
        before_s=length_s(before) if len(before) else None,
        after_s=length_s(after) if len(after) else None,
        singles=all(side.singles for side in sides),
        unlike=unlike,
    )


def _figures(sums: CallSums) -> dict[str, CallFigures]:
    return {
        name: CallFigures(
            calls=int(sums.calls[at]),
            errors=int(sums.errors[at]),
            total_s=float(sums.total_s[at]),
            p50_ns=float(sums.p50_ns[at]),
            p99_ns=float(sums.p99_ns[at]),
            max_ns=float(sums.max_ns[at]),
        )
        for at, name in enumerate(sums.names)
    }
