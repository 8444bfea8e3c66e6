"""The files that callgrind leaves of each thread: callgrind.out-01, callgrind.out-02 and so on, by --separate-threads.

callgrind.out itself stays empty then. Each file has a header of its own, as the parts of one file have: one after the
other they are one file in parts. `tailflame.run.callgrind_threads` puts those of a recording together.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tailflame.model import Caution
from tailflame.units import count

_OF_THREAD = re.compile(r"(?P<base>.+)-(?P<number>\d{2,9})", re.DOTALL)
_MAGIC = b"# callgrind format"
_PID = re.compile(rb"^pid: *(\d+)", re.MULTILINE)
_HEAD = 4096
_MOST_NAMED = 8


def thread_files(base: Path) -> list[Path]:
    """The files of the threads whose common name is `base`, in their order; of one run, that of the first thread."""
    found: list[tuple[int, Path]] = []
    try:
        for path in base.parent.iterdir():
            match = _OF_THREAD.fullmatch(path.name)
            if match is not None and match["base"] == base.name:
                found.append((int(match["number"]), path))
    except OSError:
        return []
    runs = [(_run(path), path) for _, path in sorted(found)]
    first = next((run for run, _ in runs if run is not None), None)
    return [path for run, path in runs if run is not None and run == first]


def threads_of_empty(path: Path) -> list[Path]:
    """The threads' files beside an empty one that has their common name."""
    try:
        empty = path.is_file() and not path.stat().st_size
    except OSError:
        return []
    return thread_files(path) if empty else []


def beside(path: Path) -> tuple[Caution, ...]:
    """What is told of a file that holds one thread of several."""
    match = _OF_THREAD.fullmatch(path.name)
    if match is None:
        return ()
    base = path.with_name(match["base"])
    files = thread_files(base)
    others = [other.name for other in files if other.name != path.name]
    if not others or len(others) == len(files):
        return ()
    left = len(others) - _MOST_NAMED
    names = ", ".join(others[:_MOST_NAMED]) + (f" and {count(left)} more" if left > 0 else "")
    place = shlex.quote(str(base))
    how = f"Open {base}: it is read as all of them." if base.exists() else f"Put them together: cat {place}-* > {place}"
    what = "stands" if len(others) == 1 else "stand"
    return (
        Caution(
            f"This is one thread of {count(len(files))}, which have a file each: {names} {what} beside it.",
            how,
        ),
    )


def _run(path: Path) -> bytes | None:
    """What tells the file's run from others; None where it is not callgrind's."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as raw:
            head = raw.read(_HEAD)
    except OSError:
        return None
    if not head.startswith(_MAGIC):
        return None
    pid = _PID.search(head)
    return pid[1] if pid is not None else b""
