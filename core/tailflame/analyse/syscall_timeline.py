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
    """One value per interval of `width_s`, the first from `start_s` on; 0 is the first call of the log.

    per_s: calls that began, a second. inside: threads that were in a call on average (1.5: one all the time, another
    half of it).
    """

    start_s: float
    width_s: float
    per_s: Float64
    inside: Float64

    def __len__(self) -> int:
        return len(self.per_s)


def timeline(
    trace: SyscallTrace, choice: Choice = EVERYTHING, *, span: tuple[float, float] | None = None, bins: int = BINS
) -> CallTimeline | None:
    """The calls of the chosen name and thread in `bins` intervals of `span`, seconds since the first call of the log;
    None for all of it, whatever range is chosen. None without times.
    """
    whole = length_s(trace)
    if whole is None:
        return None
    low, high = span if span is not None else (0.0, whole)
    width = max(high - low, 1e-9) / bins
    rows = Choice(thread=choice.thread, call=choice.call).rows(trace)
    rows = rows[np.isfinite(trace.start_s[rows])]
    start = trace.start_s[rows] - first_s(trace) - low
    end = start + np.nan_to_num(trace.duration_s[rows])
    at = np.floor(start / width)
    # The very last call begins where the last interval ends.
    at = np.where((at == bins) & (start <= high - low), bins - 1, at)
    within = (at >= 0) & (at < bins)
    calls = np.bincount(at[within].astype(np.int64), minlength=bins)
    return CallTimeline(low, width, calls / width, _spread(start, end, width, bins) / width)


def _spread(start: Float64, end: Float64, width: float, bins: int) -> Float64:
    """How much of the intervals (start, end) lies in each bin."""
    # The integral of a step function by its corners: each start adds a slope of 1, each end takes it away.
    total = np.zeros(bins)
    for edge, sign in ((np.clip(start, 0.0, bins * width), 1.0), (np.clip(end, 0.0, bins * width), -1.0)):
        at = np.clip((edge / width).astype(np.int64), 0, bins - 1)
        into = np.clip(edge - at * width, 0.0, width)
        total += sign * np.bincount(at, weights=width - into, minlength=bins)
        steps = np.bincount(at, minlength=bins)
        total[1:] += sign * width * np.cumsum(steps)[:-1]
    return np.maximum(total, 0.0)
