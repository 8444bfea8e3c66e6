"""Ends a program when whoever records it is gone: python watchdog.py PID SIGNAL

It stands behind a guard that sends it SIGTERM when Tailflame dies, and sends SIGNAL to the program then: strace heeds
no signals while it records a program that it has started, and perf stat leaves such a program running. A tool whose
program ends completes its file. The watchdog ends with the program, or when it is killed.
"""

from __future__ import annotations

import os
import select
import signal
import sys

from tailflame.host.guard import guard


def watching(pid: int, number: int) -> tuple[str, ...]:
    """The command that watches over a process; empty where nothing here tells of our end."""
    before = guard("TERM")
    return (*before, sys.executable, "-P", "-m", "tailflame.host.watchdog", str(pid), str(number)) if before else ()


def main(argv: list[str]) -> int:
    """PID SIGNAL"""
    pid, number = int(argv[0]), int(argv[1])
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell)
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    try:
        program = os.pidfd_open(pid)  # no later program with this number is ever meant
    except ProcessLookupError:
        return 0
    ready, _, _ = select.select([program, told], [], [])
    if told in ready and program not in ready:
        signal.pidfd_send_signal(program, number)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
