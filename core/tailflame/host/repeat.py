"""Runs a command again and again: python -m tailflame.host.repeat TIMES RESULT -- perf stat --append -o RESULT ...

`perf stat -r` repeats as well. But perf 6.1 prints the counts of its last run in place of the averages, no perf keeps
the figures of each run, and none can be stopped between two runs without losing them all.

SIGINT and SIGTERM end it: the program of the run that goes on gets SIGTERM (SIGKILL after a grace), and what that run
has added to RESULT is taken away again, unless it is the only one: a run that was cut short is no repetition.
It ends with the exit code, or by the signal, of the last run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

GRACE_S = 5.0


class Repeater:
    """One series of runs. `stop` is called by signals."""

    def __init__(self, times: int, result: Path, argv: list[str]) -> None:
        self._times, self._result, self._argv = times, result, argv
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True
        self._end_program(signal.SIGTERM)

    def run(self) -> int:
        """The last run's return code, as subprocess has it."""
        code = 0
        for done in range(self._times):
            if self._stopping:
                break
            before = _size(self._result)
            # A session leader's signals would not reach us: the run stays in our group.
            self._child = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL)
            if self._stopping:  # the signal came before there was a child
                self._end_program(signal.SIGTERM)
            code = self._wait(self._child)
            if self._stopping and done:
                _cut(self._result, before)
                return 0
            if _size(self._result) <= before:
                break  # it could not be measured: nor will it be the next time
        return code

    def _wait(self, child: subprocess.Popen[bytes]) -> int:
        while True:
            try:
                return child.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                if self._stopping:
                    self._end_program(signal.SIGKILL)

    def _end_program(self, number: int) -> None:
        """The children of the tool are its program; the tool itself ends with them, and writes."""
        child = self._child
        if child is None or child.poll() is not None:
            return
        for pid in _children(child.pid):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _cut(path: Path, size: int) -> None:
    if _size(path) > size:
        os.truncate(path, size)


def main(argv: list[str]) -> int:
    """TIMES RESULT -- COMMAND"""
    times, result, _dashes, *command = argv
    repeater = Repeater(int(times), Path(result), command)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, repeater.stop)
    code = repeater.run()
    if code < 0:
        # As perf's own child would have it: who waits for us sees the signal.
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
