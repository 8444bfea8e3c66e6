"""The files of a ring that the helper's perf fills: named as perf names its own, so that nobody has to know who ran it.

`ring` stands once perf samples; `ring.0001`, `ring.0002` ... come whole, one for each snapshot.
"""

from __future__ import annotations

import os
from pathlib import Path


class RingFiles:
    """Written by the helper client's reader thread alone. `ring`: the path that perf was told."""

    def __init__(self, ring: Path) -> None:
        self._ring = ring
        self._part = ring.with_name(f"{ring.name}.part")
        self._descriptor: int | None = None
        self._number = 0
        self.problem: OSError | None = None

    def take(self, stream: str, data: bytes, at: int) -> bool:
        """False for a stream that goes into no file."""
        if stream != "file":
            return False
        try:
            if self._descriptor is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                self._descriptor = os.open(self._part, flags, 0o644)
            while data:
                done = os.pwrite(self._descriptor, data, at)
                data, at = data[done:], at + done
        except OSError as problem:
            self.problem = problem
        return True

    def armed(self) -> None:
        try:
            self._ring.write_bytes(b"PERFILE2")
        except OSError as problem:
            self.problem = problem

    def completed(self) -> None:
        """The snapshot has come whole."""
        if self._descriptor is None:
            return
        self._close()
        self._number += 1
        try:
            self._part.replace(self._ring.with_name(f"{self._ring.name}.{self._number:04d}"))
        except OSError as problem:
            self.problem = problem

    def close(self) -> None:
        """What has not come whole is gone."""
        if self._descriptor is not None:
            self._close()
            self._part.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
