"""Puts the files of callgrind's threads together: python -m tailflame.run.callgrind_threads FILE

FILE is the one that callgrind leaves empty; those of its threads, FILE-01 and so on, stand beside it and stay. Where
there are none nothing is written: the recording then tells why, from what valgrind has said.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tailflame.parse.callgrind_threads import thread_files
from tailflame.run.joining import put_together


def join(joined: Path) -> int:
    """How many were put together."""
    files = thread_files(joined)
    if not files:
        return 0
    put_together(joined, ((b"", path) for path in files))
    return len(files)


def main(argv: list[str]) -> int:
    (joined,) = argv
    join(Path(joined))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
