"""Calls that took long, one by one: when, and in which thread."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tailflame.model.stacks import Int32, Int64, readonly
from tailflame.units import nanoseconds

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|µs|μs|ms|s)", re.IGNORECASE)
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,4})?)", re.IGNORECASE)
_NS = {"ns": 1, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9}
LEARN_S = 5.0
"""How long calls are counted before their percentile becomes the threshold."""
_GAP_S = 2.0


@dataclass(frozen=True, slots=True)
class SlowAbove:
    """From which duration on a call is slow: `ns`, or the `percentile` (0..100) of the first LEARN_S."""

    ns: int = 0
    percentile: float = 0.0

    @classmethod
    def of(cls, text: str) -> SlowAbove:
        """ "100us", "1.5 ms" or "p99.9"; ValueError, phrased for people, for anything else."""
        text = text.strip()
        if found := _PERCENTILE.fullmatch(text):
            if not 0 < float(found[1]) < 100:
                raise ValueError(f"“{text}” is no percentile")
            return cls(percentile=float(found[1]))
        found = _DURATION.fullmatch(text)
        if found is None:
            raise ValueError(f"“{text}” is neither a duration (100us) nor a percentile (p99.9)")
        ns = round(float(found[1]) * _NS[found[2].lower()])
        if not 1000 <= ns <= 1 << 40:
            raise ValueError(f"“{text}” is no duration from 1 us to 18 minutes")
        return cls(ns=ns)

    def __str__(self) -> str:
        if self.percentile:
            return f"p{self.percentile:g} of the first {LEARN_S:.0f} s"
        return nanoseconds(self.ns)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlowCalls:
    """The slow calls of one function, or the slow events of one log field, while it was watched.

    series: as its latencies are called. threshold_ns: calls of this length and more are here. start_s, length_s
    (CLOCK_MONOTONIC): when it was watched; a call belongs to when it ended. tid: of the kernel, -1 unknown.
    start_ns, end_ns: CLOCK_MONOTONIC. lost: slow calls that were not told (too many at a time).
    """

    series: str
    threshold_ns: int
    start_s: float
    length_s: float
    tid: Int32
    start_ns: Int64
    end_ns: Int64
    lost: int = 0

    @classmethod
    def of(
        cls,
        series: str,
        threshold_ns: int,
        start_s: float,
        length_s: float,
        calls: Sequence[tuple[int, int, int]],
        *,
        lost: int = 0,
    ) -> SlowCalls:
        """`calls`: (tid, start_ns, end_ns) each."""
        columns = np.array(calls, dtype=np.int64).reshape(-1, 3)
        return cls(
            series=series,
            threshold_ns=threshold_ns,
            start_s=start_s,
            length_s=length_s,
            tid=readonly(columns[:, 0], np.int32),
            start_ns=readonly(columns[:, 1], np.int64),
            end_ns=readonly(columns[:, 2], np.int64),
            lost=lost,
        )

    def __len__(self) -> int:
        return len(self.tid)

    @property
    def end_s(self) -> float:
        return self.start_s + self.length_s

    def follows(self, other: SlowCalls) -> bool:
        """Whether it goes on where `other` stops watching, with the same threshold."""
        same = self.series == other.series and self.threshold_ns == other.threshold_ns
        return same and abs(self.start_s - other.end_s) < _GAP_S


def joined(parts: Sequence[SlowCalls]) -> SlowCalls:
    """Neighbours in time as one; `parts` holds at least one."""
    start = min(part.start_s for part in parts)
    return SlowCalls(
        series=parts[0].series,
        threshold_ns=parts[0].threshold_ns,
        start_s=start,
        length_s=max(part.end_s for part in parts) - start,
        tid=readonly(np.concatenate([part.tid for part in parts]), np.int32),
        start_ns=readonly(np.concatenate([part.start_ns for part in parts]), np.int64),
        end_ns=readonly(np.concatenate([part.end_ns for part in parts]), np.int64),
        lost=sum(part.lost for part in parts),
    )
