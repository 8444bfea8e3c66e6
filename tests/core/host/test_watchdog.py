"""A program ends with whoever records it, and not a moment before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tailflame.host.watchdog import watching

pytestmark = pytest.mark.tool("setpriv")

# Starts the watchdog of the process that its argument names, says so, and dies of nothing but a signal.
RECORDER = (
    "import subprocess, sys, time\nfrom tailflame.host.watchdog import watching\n"
    "dog = subprocess.Popen(watching(int(sys.argv[1]), 10))\nprint(dog.pid, flush=True)\ntime.sleep(60)\n"
)
TARGET = (
    "import signal, time\nsignal.signal(signal.SIGUSR1, signal.SIG_DFL)\nprint('ready', flush=True)\ntime.sleep(60)"
)


def test_the_program_gets_the_signal_when_the_recorder_is_killed() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", TARGET], stdout=subprocess.PIPE, text=True) as target,
        subprocess.Popen(
            [sys.executable, "-c", RECORDER, str(target.pid)], stdout=subprocess.PIPE, text=True
        ) as recorder,
    ):
        assert target.stdout is not None
        assert recorder.stdout is not None
        target.stdout.readline()
        dog = psutil.Process(int(recorder.stdout.readline()))
        _until_it_waits(dog)
        assert target.poll() is None
        recorder.kill()
        assert target.wait(30) == -signal.SIGUSR1


def test_it_ends_with_the_program() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as target, subprocess.Popen(watching(target.pid, 15)) as dog:
        _until_it_waits(psutil.Process(dog.pid))
        target.kill()
        assert dog.wait(30) == 0
    with subprocess.Popen(watching(target.pid, 15)) as late:
        assert late.wait(30) == 0


def _until_it_waits(dog: psutil.Process) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        # Its own select: the one descriptor of a process, and the pipe of its signals.
        if any("pidfd" in _link(dog.pid, number) for number in range(3, 12)):
            return
        time.sleep(0.01)
    raise AssertionError("it never watched")


def _link(pid: int, number: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/fd/{number}")
    except OSError:
        return ""
