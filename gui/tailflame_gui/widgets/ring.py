"""A fixed number of rows: the newest push out the oldest, and memory never grows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Ring:
    """The last `capacity` rows of `columns` numbers, NaN where a number is not known."""

    def __init__(self, capacity: int, columns: int) -> None:
        self._rows = np.full((capacity, columns), np.nan)
        self._next = 0
        self.dropped = 0
        """Rows that were pushed out."""

    @property
    def capacity(self) -> int:
        return len(self._rows)

    def __len__(self) -> int:
        return min(self._next, self.capacity)

    def append(self, row: NDArray[np.float64] | list[float]) -> None:
        self._rows[self._next % self.capacity] = row
        self.dropped += self._next >= self.capacity
        self._next += 1

    def clear(self) -> None:
        self._next = self.dropped = 0

    def rows(self) -> NDArray[np.float64]:
        """A copy, oldest first: float64[len, columns]."""
        if self._next <= self.capacity:
            return self._rows[: self._next].copy()
        return np.roll(self._rows, -(self._next % self.capacity), axis=0)
