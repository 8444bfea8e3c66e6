"""The threads of a strace log: their names, and which process each belongs to, as far as the calls tell."""

from __future__ import annotations

import numpy as np

from tailflame.model.stacks import NONE, Int32, Int64, Thread
from tailflame.parse.strace_escapes import visible

_COMM = 15
"""Bytes that the kernel keeps of a thread's name."""


class ThreadTable:
    """Threads in the order in which they appear. A process is known where it was forked or called execve in the log."""

    def __init__(self) -> None:
        self._tids: list[int] = []
        self._sorted: Int64 = np.empty(0, np.int64)
        self._numbers: Int64 = np.empty(0, np.int64)
        self._comms: dict[int, str] = {}
        self._process: dict[int, int] = {}
        self._programs: dict[int, str] = {}
        self._forks: list[tuple[int, int, bool]] = []

    def number(self, tids: Int64) -> Int32:
        """The index of each thread; -1 for -1."""
        found = self._find(tids)
        missing = np.flatnonzero((found < 0) & (tids >= 0))
        if len(missing):
            fresh, first = np.unique(tids[missing], return_index=True)
            for which in np.argsort(first).tolist():
                self._tids.append(int(fresh[which]))
            table = np.array(self._tids, dtype=np.int64)
            self._numbers = np.argsort(table)
            self._sorted = table[self._numbers]
            found = self._find(tids)
        return found.astype(np.int32)

    def _find(self, tids: Int64) -> Int64:
        if not len(self._sorted):
            return np.full(len(tids), NONE, np.int64)
        at = np.minimum(np.searchsorted(self._sorted, tids), len(self._sorted) - 1)
        return np.where(self._sorted[at] == tids, self._numbers[at], NONE)

    def call(self, tid: int, comm: str) -> None:
        """A thread is called so now."""
        self._comms[tid] = comm

    def forked(self, parent: int, child: int, *, thread: bool) -> None:
        self._forks.append((parent, child, thread))

    def execed(self, tid: int, path: str) -> None:
        self._process[tid] = tid
        self._programs[tid] = path.rpartition("/")[2] or path

    def _resolve(self) -> None:
        """Passes processes and programs on to what they forked."""
        for parent, child, thread in self._forks:
            of = self._process.get(parent, NONE)
            process = self._process.setdefault(child, of if thread else child)
            if process != NONE and (program := self._programs.get(of)) is not None:
                self._programs.setdefault(process, program)

    def threads(self) -> tuple[Thread, ...]:
        self._resolve()
        return tuple(Thread(name=self._name(tid), pid=self._process.get(tid, NONE), tid=tid) for tid in self._tids)

    def _name(self, tid: int) -> str:
        """What the log calls it, else what the kernel calls threads that nobody has named: their program."""
        program = self._programs.get(self._process.get(tid, NONE), "")
        return self._comms.get(tid) or visible(program.encode()[:_COMM].decode(errors="ignore"))

    def roots(self) -> list[str]:
        """What stands at the bottom of each thread's stacks: without numbers, so that two runs compare. The thread's
        name; without names its program; without both "process 2", by the order of processes.
        """
        self._resolve()
        processes = list(dict.fromkeys(self._process.get(tid, NONE) for tid in self._tids))
        roots = []
        for tid in self._tids:
            process = self._process.get(tid, NONE)
            nameless = f"process {processes.index(process) + 1}" if len(processes) > 1 else "process"
            roots.append(self._name(tid) or nameless)
        return roots
