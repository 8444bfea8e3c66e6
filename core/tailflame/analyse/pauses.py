"""Pauses: a function that was called all the time is not called at all for a while, as when the whole program stops."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

STEADY = 10
"""Intervals in a row that have to be busy before a silence means something."""
BUSY = 20
"""Calls in an interval, at least: below that an empty one is chance."""


@dataclass(slots=True)
class PauseWatch:
    """Watches one series, interval by interval."""

    _calls: deque[int] = field(default_factory=lambda: deque(maxlen=STEADY))
    _since_s: float | None = None

    def take(self, start_s: float, calls: int) -> tuple[float, float] | None:
        """(begin, length) in s of the pause that this interval ends; None where it ends none.

        A silence at the end of a run is no pause: nothing came after it.
        """
        if calls:
            since, self._since_s = self._since_s, None
            if since is not None:
                return since, start_s - since
            self._calls.append(calls)
        elif self._since_s is None:
            if len(self._calls) == STEADY and min(self._calls) >= BUSY:
                self._since_s = start_s
            else:
                self._calls.clear()
        return None
