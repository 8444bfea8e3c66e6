"""What a live run saw beside its latencies and readings."""

from __future__ import annotations

from dataclasses import dataclass

from tailflame.model.live import Cost, StageSlice
from tailflame.model.slow_calls import SlowCalls


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment that somebody wanted to find again: a note, a deploy, a pause. `time_s` is CLOCK_MONOTONIC.

    opens: the name of a file beside the run's own that holds what was kept of it; "" for none.
    """

    time_s: float
    text: str
    opens: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class LiveRecord:
    """The rest of a live run. Where a recording has one, all its times are CLOCK_MONOTONIC of the machine it ran on.

    epoch_s: seconds since the epoch at the zero of that clock, so that a time can be said as people say it.
    """

    epoch_s: float
    began_s: float
    ended_s: float
    pid: int = 0
    launched: bool = False
    stages: tuple[StageSlice, ...] = ()
    marks: tuple[Mark, ...] = ()
    costs: tuple[Cost, ...] = ()
    """The last word on the cost of each series."""
    slow: tuple[SlowCalls, ...] = ()
    """By series, and by stretch of time in which it was watched."""
