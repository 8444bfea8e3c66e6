"""The files of a tool while they grow: how large they are, and which are new."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tailflame.run.perf_file import GrowingPerfFile
from tailflame.tools.base import Plan

PERF_DATA = "perf.data"
"""The role of a file of perf's, whose samples can be counted while it grows."""
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Grown:
    """What stands in the files so far.

    samples, lost: None for a tool that takes no samples; `exact` is False where they cannot be counted.
    """

    bytes: int = 0
    samples: int | None = None
    lost: int | None = None
    exact: bool = True


class Growth:
    """Looks at the files of one run, again and again. For one thread at a time."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._perf = GrowingPerfFile(plan.artifacts[PERF_DATA]) if PERF_DATA in plan.artifacts else None
        self._sizes: dict[Path, int] = {}
        """Of the files that are being left, at the look before."""
        self._told: set[Path] = set()

    @property
    def not_ended(self) -> frozenset[int]:
        """Processes that were started by what is recorded and of which no end is told; only perf tells."""
        return self._perf.not_ended if self._perf is not None else frozenset()

    def look(self) -> Grown:
        """What stands there now. A file that is not there yet counts nothing."""
        if self._perf is not None:
            counts = self._perf.look()
            return Grown(counts.bytes, counts.samples, counts.lost, counts.exact)
        if not self._plan.grows:
            return Grown(_size(self._plan.result))
        found = {path for pattern in self._plan.grows for path in self._plan.out.glob(pattern)}
        return Grown(sum(map(_size, found)))

    def appeared(self) -> tuple[Path, ...]:
        """The files that the tool has finished since the look before, oldest first: they have stopped to grow."""
        new = []
        for path in left_files(self._plan):
            size = _size(path)
            if size and path not in self._told and self._sizes.get(path) == size:
                self._told.add(path)
                new.append(path)
            self._sizes[path] = size
        return tuple(new)

    def tell(self, path: Path) -> None:
        """That this one is there is known already."""
        self._told.add(path)


class Pending:
    """Estimates the samples that perf still holds: it writes in blocks, which take seconds to fill at a low rate."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._counted = 0
        self._cpu_s_then = 0.0
        self._cpu_s = 0.0

    def note(self, counted: int, cpu_s: float) -> None:
        """`counted` samples stand in the file and the target has used `cpu_s` seconds of CPU."""
        if counted != self._counted:
            self._counted, self._cpu_s_then = counted, cpu_s
        self._cpu_s = cpu_s

    @property
    def samples(self) -> int:
        return int(self._rate_hz * (self._cpu_s - self._cpu_s_then))


def left_files(plan: Plan) -> tuple[Path, ...]:
    """The files in the plan's folder that have one of the names which it `leaves`, oldest first."""
    known = set(plan.artifacts.values())
    found = {path for pattern in plan.leaves for path in plan.out.glob(pattern) if path not in known}
    return tuple(sorted((path for path in found if path.is_file()), key=_order))


def _order(path: Path) -> tuple[float, list[int | str]]:
    """By time; of the same moment by name, 9 before 10."""
    try:
        changed = path.stat().st_mtime
    except FileNotFoundError:
        changed = 0.0
    return changed, [int(part) if part.isdecimal() else part for part in _DIGITS.split(path.name)]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # it has just been taken away
        return 0
