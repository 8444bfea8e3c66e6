"""Has polkit ask for the password in our terminal, where there is no desktop that asks.

pkexec can ask in a terminal by itself, but up to polkit 124 (Debian 12, Ubuntu 24.04) it then refuses the right
password as well: "No session for cookie" (https://github.com/polkit-org/polkit/pull/423). pkttyagent, which comes with
polkit, does it properly.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading

_END_S = 5.0


class TerminalAgent:
    """pkttyagent, for whatever this process starts through pkexec. Its methods block: call them from a thread."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._changing = threading.Lock()

    def start(self) -> None:
        """Returns when it is there to ask, or cannot be: pkexec then says so. Raises OSError: it is not installed."""
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb") as closed:
            try:
                with self._changing:
                    if not self._closed:
                        self._process = _popen(writing)
            finally:
                os.close(writing)
            closed.read()

    def close(self) -> None:
        """It has given the terminal back as it was, and has ended, when this returns; also where it still starts."""
        with self._changing:
            self._closed = True
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)


def _popen(notified: int) -> subprocess.Popen[bytes]:
    """It closes `notified` when it is registered."""
    return subprocess.Popen(
        ("pkttyagent", "--process", str(os.getpid()), "--notify-fd", str(notified)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(notified,),
    )
