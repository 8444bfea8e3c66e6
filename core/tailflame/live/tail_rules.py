"""When the moments before are to be kept: what crosses which threshold, as people write it.

p99.9 process_order > 1ms     a percentile of a latency series, over the last second
max total_us > 5ms            one call, or one event of a log field
slow process_order            any call that the probe tells as slow
CPU > 180                     a reading, in its own unit
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from tailflame import units
from tailflame.analyse.names import short
from tailflame.model.histogram import merge_all
from tailflame.model.live import LatencySlice, Reading, Update
from tailflame.model.slow_calls import SlowCalls

WINDOW_S = 1.0
"""Over which a percentile is taken."""
_BEYOND = 1
"""Calls that lie above a percentile at least: p99.9 takes 1,000 calls in the window."""
_RULE = re.compile(
    r"\s*(?:(?P<what>max|p\d{1,2}(?:\.\d{1,4})?)\s+)?(?P<series>[^<>=]{1,300}?)\s*>\s*"
    r"(?P<number>\d{1,15}(?:\.\d{1,6})?)\s*(?P<unit>ns|us|µs|ms|s)?\s*",
    re.IGNORECASE,
)
_SLOW = re.compile(r"\s*slow(?:\s+(?P<series>[^<>=]{1,300}?))?\s*", re.IGNORECASE)
_NS = {"ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}


@dataclass(frozen=True, slots=True)
class TailRule:
    """series: a part of a series' name is enough. percentile: None for a reading, 100 for the maximum. limit: in ns, or
    in the reading's own unit. slow: any slow call; there is no limit then."""

    series: str
    percentile: float | None = None
    limit: float = 0.0
    slow: bool = False

    @classmethod
    def of(cls, text: str) -> TailRule:
        """ValueError, phrased for people, where `text` is none."""
        if found := _SLOW.fullmatch(text):
            return cls(found["series"] or "", slow=True)
        found = _RULE.fullmatch(text)
        if found is None:
            raise ValueError(
                f"“{text}” is no rule such as “p99.9 NAME > 1ms”, “max NAME > 1ms”, “slow NAME”, “CPU > 90”"
            )
        what, unit = (found["what"] or "").lower(), (found["unit"] or "").lower()
        if not what:
            if unit:
                raise ValueError(f"“{text}” compares a time, of which it has to be said: p99.9 or max")
            return cls(found["series"], limit=float(found["number"]))
        if not unit:
            raise ValueError(f"“{text}” needs a unit of time: ns, us, ms or s")
        percentile = 100.0 if what == "max" else float(what[1:])
        if not 0 < percentile <= 100:
            raise ValueError(f"“{text}” names no percentile")
        return cls(found["series"], percentile, float(found["number"]) * _NS[unit])

    def __str__(self) -> str:
        if self.slow:
            return f"slow {self.series}".strip()
        if self.percentile is None:
            return f"{self.series} > {self.limit:g}"
        what = "max" if self.percentile == 100 else f"p{self.percentile:g}"
        return f"{what} {self.series} > {units.nanoseconds(self.limit)}"


class RuleWatch:
    """One rule while a run goes on."""

    def __init__(self, rule: TailRule) -> None:
        self.rule = rule
        self._recent: dict[str, deque[LatencySlice]] = {}

    def crossed(self, update: Update) -> str:
        """Why it is time to look back, as a sentence's beginning; "" where it is not."""
        rule = self.rule
        match update:
            case SlowCalls() if rule.slow and rule.series in update.series and len(update):
                longest = int((update.end_ns - update.start_ns).max())
                return f"a call of {short(update.series)} took {units.nanoseconds(longest)}"
            case LatencySlice() if rule.percentile is not None and rule.series in update.series:
                return self._percentile(update, rule.percentile)
            case Reading(value=float() | int() as value) if (
                rule.percentile is None and not rule.slow and rule.series == update.series and value > rule.limit
            ):
                return f"{update.series} was {units.reading(value, update.unit)}"
        return ""

    def _percentile(self, update: LatencySlice, percentile: float) -> str:
        if percentile == 100:
            longest = update.histogram.maximum if update.histogram.total else 0
            return f"{short(update.series)} took {units.nanoseconds(longest)}" if longest > self.rule.limit else ""
        recent = self._recent.setdefault(update.series, deque())
        recent.append(update)
        end = update.start_s + update.length_s
        while recent[0].start_s + recent[0].length_s <= end - WINDOW_S:
            recent.popleft()
        whole = merge_all(part.histogram for part in recent)
        if whole.total * (1 - percentile / 100) < _BEYOND:
            return ""
        value = whole.percentiles((percentile,))[0]
        if value <= self.rule.limit:
            return ""
        return f"p{percentile:g} of {short(update.series)} was {units.nanoseconds(value)}"
