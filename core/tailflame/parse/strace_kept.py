"""The text of a few calls of many: of each name the slowest, and of each error the first."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from tailflame.model.stacks import Bool, Float64, Int32, Int64
from tailflame.parse.strace_line import MOST_TEXT, read_line

SLOWEST = 100
"""Calls of each name."""
ERRORS = 20
"""Calls of each name and error."""
MOST_TEXTS = 20_000
MOST_LINE = 4 * MOST_TEXT
"""Bytes of a line that are kept: with its end, its arguments are cut anyway."""
Raw: TypeAlias = tuple[bytes, ...]
"""The lines of a call as they stand in the file: read at the end, when it is known which are kept."""
Text: TypeAlias = Callable[[int], Raw]


class KeptTexts:
    """Keeps them while a log is read."""

    def __init__(self) -> None:
        self._slow: dict[int, list[tuple[float, int, Raw]]] = {}
        self._least: Float64 = np.empty(0)
        self._failed: dict[tuple[int, int], list[tuple[int, Raw]]] = {}
        self._open: list[tuple[int, Raw]] = []
        self._full: Bool = np.zeros((0, 0), bool)
        """By name and error, whether enough are kept."""

    def offer(self, row: Int64, name: Int32, duration_s: Float64, error: Int32, text: Text) -> None:
        """Calls by row, in order; `text` gives that of the at-th of them."""
        if not len(row):
            return
        if (top := int(name.max())) >= len(self._least):
            self._least = np.concatenate((self._least, np.full(top + 1 - len(self._least), -1.0)))
        slow = np.flatnonzero(duration_s > self._least[name])
        for at in _first_of_each(name[slow], -duration_s[slow], SLOWEST):
            self._keep_slow(int(name[slow[at]]), float(duration_s[slow[at]]), int(row[slow[at]]), text, int(slow[at]))
        failed = np.flatnonzero(error >= 0)
        if len(failed):
            shape = (max(top + 1, self._full.shape[0]), max(int(error.max()) + 1, self._full.shape[1]))
            if shape != self._full.shape:
                grown = np.zeros(shape, bool)
                grown[: self._full.shape[0], : self._full.shape[1]] = self._full
                self._full = grown
            failed = failed[~self._full[name[failed], error[failed]]]
            key = name[failed].astype(np.int64) << 16 | error[failed]
            for at in _first_of_each(key, row[failed], ERRORS):
                self._keep_failed(int(key[at]), int(row[failed[at]]), text, int(failed[at]))

    def keep(self, row: int, raw: Raw) -> None:
        """Whatever it is: a call that has not come back."""
        self._open.append((row, raw))

    def _keep_slow(self, name: int, duration_s: float, row: int, text: Text, at: int) -> None:
        held = self._slow.setdefault(name, [])
        if len(held) < SLOWEST:
            heapq.heappush(held, (duration_s, -row, text(at)))
        elif duration_s > held[0][0]:
            heapq.heapreplace(held, (duration_s, -row, text(at)))
        if len(held) == SLOWEST:
            self._least[name] = held[0][0]

    def _keep_failed(self, key: int, row: int, text: Text, at: int) -> None:
        held = self._failed.setdefault((key >> 16, key & 0xFFFF), [])
        if len(held) < ERRORS:
            held.append((row, text(at)))
        if len(held) == ERRORS:
            self._full[key >> 16, key & 0xFFFF] = True

    def texts(self) -> tuple[Int32, tuple[str, ...]]:
        """(rows, their texts), ascending."""
        found: dict[int, Raw] = {}
        slowest = sorted((kept for held in self._slow.values() for kept in held), reverse=True)
        for _duration, row, text in slowest[:MOST_TEXTS]:
            found[-row] = text
        for held in self._failed.values():
            for row, text in held:
                if len(found) >= 2 * MOST_TEXTS:
                    break
                found.setdefault(row, text)
        found.update(self._open[:MOST_TEXTS])
        rows = sorted(found)
        return np.array(rows, dtype=np.int32), tuple(_arguments(found[row]) for row in rows)


def _arguments(lines: Raw) -> str:
    """Those of a call, of both its lines where it has two."""
    text = "".join(read_line(line.decode("utf-8", "backslashreplace")).text for line in lines)
    return text[:MOST_TEXT]


def _first_of_each(group: Int64, rank: Float64, most: int) -> list[int]:
    """The places of the `most` lowest in rank of each group, in the order of places."""
    if not len(group):
        return []
    order = np.lexsort((rank, group))
    ordered = group[order]
    begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    within = np.arange(len(order)) - np.repeat(begins, np.diff(np.append(begins, len(order))))
    found: list[int] = np.sort(order[within < most]).tolist()
    return found
