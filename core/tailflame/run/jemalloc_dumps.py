"""Joins the dumps that jemalloc has left in a folder into one file: python -m tailflame.run.jemalloc_dumps FOLDER FILE

They are those of one process, in their order, each with a line before it that tells its name and when it was written.
Where there are none there is no file: the recording then tells why, from what jemalloc has said.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tailflame.parse.jemalloc_heap_files import FROM, JOINED, dumps_of_one, is_dump
from tailflame.run.joining import put_together


def join(folder: Path, joined: Path) -> int:
    """How many were joined; without any no file is written."""
    dumps, _ = dumps_of_one(path for path in folder.glob("*.heap") if is_dump(path))
    if not dumps:
        return 0
    parts = (
        (f"{FROM}{path.name} {path.stat().st_mtime:.3f}\n".encode(errors="backslashreplace"), path) for path in dumps
    )
    put_together(joined, parts, first=f"{JOINED}\n".encode())
    return len(dumps)


def main(argv: list[str]) -> int:
    folder, joined = argv
    join(Path(folder), Path(joined))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
