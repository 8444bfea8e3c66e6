"""The dumps that jemalloc leaves: `jeprof.28671.7.f.heap`, one file each, in the order of a number.

PREFIX.PID.NUMBER.KIND.heap, where the kind is `f` (at the end), `i` with a number (every so many bytes), `m` (asked for
by the program) or `u` (whenever the total grew to a new high). With prof_pid_namespace a further number stands before
the process id. `tailflame.run.jemalloc_dumps` joins those of one run into one file, with a line before each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

MAGIC = b"heap_v2/"
JOINED = "# dumps of jemalloc, joined"
"""The first line of several dumps in one file."""
FROM = "# from "
"""Before each of them, with its name and when it was written (seconds since the epoch)."""
_NAME = re.compile(
    r"(?P<prefix>.*?)\.(?P<space>\d+\.)?(?P<pid>\d+)\.(?P<number>\d+)\.(?P<kind>[fimu])\d*\.heap", re.DOTALL
)


class DumpName(NamedTuple):
    """process: the prefix and the ids before the number, which tell one program's run from another's."""

    process: str
    pid: int
    number: int
    kind: str

    @property
    def is_last(self) -> bool:
        """Written when the program ended."""
        return self.kind == "f"


def dump_name(name: str) -> DumpName | None:
    """What the name of a file tells, None where it is not jemalloc's."""
    found = _NAME.fullmatch(name)
    if found is None or len(found["pid"]) > 9 or len(found["number"]) > 9:
        return None
    process = f"{found['prefix']}.{found['space'] or ''}{found['pid']}"
    return DumpName(process, int(found["pid"]), int(found["number"]), found["kind"])


def is_dump(path: Path) -> bool:
    """Whether it is a file that begins as a dump does."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as raw:
            return raw.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def dumps_of_one(files: Iterable[Path]) -> tuple[list[Path], int]:
    """The dumps of one process in their order, of that which left most of them; and how many other processes did."""
    processes: dict[str, list[tuple[int, Path]]] = {}
    for path in files:
        name = dump_name(path.name)
        if name is not None:
            processes.setdefault(name.process, []).append((name.number, path))
    if not processes:
        return [], 0
    # Of equals the one that began first has the lower id, as a rule.
    most = max(sorted(processes), key=lambda process: len(processes[process]))
    return [path for _, path in sorted(processes[most])], len(processes) - 1
