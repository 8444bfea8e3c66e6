"""The subsecond heat map (FlameScope): every second is a column, its fractions are rows, colour is samples.

What happens once a second is a line across, what happens at random is noise, and a stall is a hole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tailflame.analyse.sample_filter import zero_ns
from tailflame.model.stacks import Bool, Float64, StackProfile

ROWS = 50
"""Of 20 ms each, as FlameScope's."""
MOST_SECONDS = 100_000
"""More than a day is not looked at by fractions of a second."""


@dataclass(frozen=True, slots=True, eq=False)
class SubsecondMap:
    """cells[row, column]: samples in that fraction of that second since the profile's first sample."""

    cells: Float64

    @property
    def rows(self) -> int:
        return int(self.cells.shape[0])

    @property
    def seconds(self) -> int:
        return int(self.cells.shape[1])

    @property
    def most(self) -> float:
        return float(self.cells.max(initial=0.0))

    def cell_of(self, time_s: float) -> tuple[int, int]:
        """(row, column) of a time, inside the map."""
        second = min(max(math.floor(time_s), 0), max(self.seconds - 1, 0))
        row = math.floor((time_s - second) * self.rows + 1e-9)
        return min(max(row, 0), self.rows - 1), second

    def span_of(self, one: tuple[int, int], other: tuple[int, int]) -> tuple[float, float]:
        """From the start of the earlier cell to the end of the later one, in seconds: all that lies between in time."""
        first, last = sorted((column * self.rows + row for row, column in (one, other)))
        return first / self.rows, (last + 1) / self.rows


def subsecond(profile: StackProfile, event: int, chosen: Bool | None = None, *, rows: int = ROWS) -> SubsecondMap:
    """The map of an event's samples, of those in `chosen`. What lies beyond MOST_SECONDS is not shown."""
    samples = profile.samples
    wanted = (samples.event == event) & (samples.time_ns >= 0)
    # The map is as long as the profile, whatever is chosen.
    last = int(samples.time_ns.max(initial=-1))
    zero = zero_ns(profile)
    seconds = min((last - zero) // 1_000_000_000 + 1, MOST_SECONDS) if last >= 0 else 0
    if chosen is not None:
        wanted &= chosen
    times = samples.time_ns[wanted] - zero
    cell = times // (1_000_000_000 // rows)
    inside = cell < seconds * rows
    counts = np.bincount(cell[inside], weights=samples.count[wanted][inside], minlength=seconds * rows)
    return SubsecondMap(counts.reshape(seconds, rows).T if seconds else np.zeros((rows, 0)))
