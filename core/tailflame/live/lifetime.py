"""Whether the process that a source looks at still runs, without being its parent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import time
from pathlib import Path


class Lifetime:
    """Of the process `pid`; with None, of somebody unknown who never ends. Close it when done."""

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self._ended = False
        self._descriptor: int | None = None
        if pid is None:
            return
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._ended = True
        except OSError:
            pass  # a container may forbid it: /proc answers as well, but for a pid that is given to another process

    @property
    def ended(self) -> bool:
        """True for good once it has ended, also while nobody has asked for its exit code."""
        if self._pid is None or self._ended:
            return self._ended
        if self._descriptor is None:
            self._ended = not Path(f"/proc/{self._pid}").exists()
        else:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            self._ended = bool(poll.poll(0))
        return self._ended

    async def wait(self, until_s: float) -> None:
        """Until that time (CLOCK_MONOTONIC) or the process' end, whichever is first."""
        while not self.ended:
            left = until_s - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(left, 0.25))

    def close(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
        self._descriptor = None
