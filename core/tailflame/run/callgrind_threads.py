"""Puts the files of callgrind's threads together: python -m tailflame.run.callgrind_threads FILE

FILE is the one that callgrind leaves empty; those of its threads, FILE-01 and so on, stand beside it and stay. Where
there are none nothing is written: the recording then tells why, from what valgrind has said.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path

from tailflame.parse.callgrind_threads import thread_files


def join(joined: Path) -> int:
    """How many were put together."""
    files = thread_files(joined)
    if not files:
        return 0
    part = joined.with_name(f"{joined.name}.part")
    try:
        with part.open("wb") as out:
            for path in files:
                with path.open("rb") as thread:
                    shutil.copyfileobj(thread, out)
                out.write(b"\n")
        part.replace(joined)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return len(files)


def main(argv: list[str]) -> int:
    (joined,) = argv
    join(Path(joined))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
