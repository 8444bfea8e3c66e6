"""System calls over time: how many began in each interval, and how much time was spent in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailflame.analyse.syscall_sums import EVERYTHING, Choice, first_s, length_s
from tailflame.model.stacks import Float64
from tailflame.model.syscalls import SyscallTrace

BINS = 400


@dataclass(frozen=True, slots=True, eq=False)
class CallTimeline:
    """One value per interval of `width_s`, the first at 0, the first call of the log. per_s: calls that began, a
    second; errors_per_s; inside: threads that were in a call on average (1.5: one all the time, another half of it).
    """

    width_s: float
    per_s: Float64
    errors_per_s: Float64
    inside: Float64

    def __len__(self) -> int:
        return len(self.per_s)

    @property
    def times(self) -> Float64:
        """The middle of each interval."""
        middles: Float64 = (np.arange(len(self)) + 0.5) * self.width_s
        return middles


def timeline(trace: SyscallTrace, choice: Choice = EVERYTHING, *, bins: int = BINS) -> CallTimeline | None:
    """The whole log in `bins` intervals, with the calls of the chosen name and thread; None without times."""
    whole = length_s(trace)
    if whole is None:
        return None
    width = max(whole, 1e-6) / bins
    rows = Choice(thread=choice.thread, call=choice.call).rows(trace)
    rows = rows[np.isfinite(trace.start_s[rows])]
    start = trace.start_s[rows] - first_s(trace)
    at = np.minimum((start / width).astype(np.int64), bins - 1)
    calls = np.bincount(at, minlength=bins)
    errors = np.bincount(at[trace.error[rows] >= 0], minlength=bins)
    inside = _spread(start, np.nan_to_num(trace.duration_s[rows]), width, bins)
    return CallTimeline(width, calls / width, errors / width, inside / width)


def _spread(start: Float64, duration: Float64, width: float, bins: int) -> Float64:
    """How much of the intervals (start, start + duration) lies in each bin."""
    # The integral of a step function by its corners: each start adds a slope of 1, each end takes it away.
    total = np.zeros(bins)
    for edge, sign in ((start, 1.0), (start + duration, -1.0)):
        at = np.clip((edge / width).astype(np.int64), 0, bins - 1)
        into = np.clip(edge - at * width, 0.0, width)
        total += sign * np.bincount(at, weights=width - into, minlength=bins)
        steps = np.bincount(at, minlength=bins)
        total[1:] += sign * width * np.cumsum(steps)[:-1]
    return np.maximum(total, 0.0)
