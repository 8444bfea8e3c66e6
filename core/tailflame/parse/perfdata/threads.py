"""What the threads were called when they were sampled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tailflame.model import NONE
from tailflame.model.stacks import Int64
from tailflame.parse.perfdata.hashing import rows_of
from tailflame.parse.perfdata.sideband import Forked, Mapped, Named, Unmapped


class ThreadNames:
    """`names` are numbered; a thread of which no name is told is called ":TID", as perf does."""

    def __init__(self, happened: Iterable[Mapped | Named | Forked | Unmapped]) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._of_tid: dict[int, list[tuple[int, int]]] = {0: [(NONE, self._number("swapper"))]}
        for event in happened:
            match event:
                case Named():
                    self._of_tid.setdefault(event.tid, []).append((event.when, self._number(event.name)))
                case Forked():
                    parent = self._of_tid.get(event.parent_tid)
                    if parent and event.tid != event.parent_tid:
                        self._of_tid.setdefault(event.tid, []).append((event.when, parent[-1][1]))

    def of(self, tids: Sequence[int], who: Int64, when: Int64) -> Int64:
        """The number of the name that thread tids[who] had at a time, of each sample."""
        first = np.zeros(len(tids), np.int64)
        several: list[int] = []
        for code, number in enumerate(tids):
            known = self._of_tid.get(number)
            first[code] = known[0][1] if known else self._number(f":{number}")
            if known and (len(known) > 1 or known[0][0] > 0):
                several.append(code)
        found = first[who]
        for code, rows in rows_of(who, several):
            known = self._of_tid[tids[code]]
            since = np.array([when for when, _ in known], np.int64)
            names = np.array([self._number(f":{tids[code]}"), *(name for _, name in known)], np.int64)
            found[rows] = names[np.searchsorted(since, when[rows], side="right")]
        return found

    def _number(self, name: str) -> int:
        number = self._numbers.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
        return number
