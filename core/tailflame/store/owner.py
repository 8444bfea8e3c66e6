"""Who writes a session, and whether that process still lives: a process id alone may have been given anew."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tailflame.store.files import Fields

_STILL_WARM_S = 600.0
"""A session of a process that cannot be seen from here counts as running while its files changed this lately."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: `started` is its start in clock ticks since the boot that `boot` names, `space` its pid namespace."""

    pid: int
    started: int
    boot: str
    space: str
    host: str

    @classmethod
    def of_this_process(cls) -> Owner:
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> Owner:
        return cls(pid, start_ticks(pid) or 0, _boot_id(), _pid_space(), socket.gethostname())

    @classmethod
    def from_fields(cls, fields: Fields) -> Owner:
        return cls(
            fields.integer("pid"),
            fields.integer("started"),
            fields.text("boot", ""),
            fields.text("space", ""),
            fields.text("host", ""),
        )

    def document(self) -> dict[str, Any]:
        return {
            "pid": self.pid,
            "started": self.started,
            "boot": self.boot,
            "space": self.space,
            "host": self.host,
        }

    def is_alive(self, folder: Path) -> bool:
        """Whether it still runs. On another host or in another container only `folder`'s freshness can tell."""
        if self.host == socket.gethostname() and self.boot != _boot_id():
            return False
        if self.host != socket.gethostname() or self.space != _pid_space():
            return _changed_lately(folder)
        return start_ticks(self.pid) == self.started


def start_ticks(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat, None where there is no such process."""
    if pid <= 0:
        return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name in parentheses may hold blanks and parentheses: count from the last one.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return int(fields[19])


def _changed_lately(folder: Path) -> bool:
    try:
        newest = max(entry.stat().st_mtime for entry in os.scandir(folder))
    except (OSError, ValueError):
        return False
    return time.time() - newest < _STILL_WARM_S


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


@cache
def _pid_space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
