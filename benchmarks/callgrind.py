"""A large callgrind file from disk to costs of lines and a call tree, beside callgrind_annotate on the same file.

    python benchmarks/callgrind.py [--megabytes N] [--runs N] [--sample FILE]

The file is a real one over and over, each time with other functions. How it is measured: see cachegrind.py.
callgrind_annotate runs as it comes: it keeps what each line costs, as we do, but makes no tree.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from cachegrind import DATA, beside, text_of

SAMPLE = DATA / "callgrind" / "3.19.0" / "trading.out.gz"
_FUNCTION = re.compile(r"^((?:c|j)?fn)=\((\d+)\)(.*)$", re.MULTILINE)


def write(sample: Path, megabytes: int, to: Path) -> int:
    """Writes the file; its size in bytes."""
    text = text_of(sample)
    body_at = re.search(r"^(?:ob|fl|fn)=", text, re.MULTILINE)
    assert body_at is not None
    head, body = text[: body_at.start()], text[body_at.start() :]
    body, totals = body.rsplit("totals:", 1)
    numbers = max(int(number) for _kind, number, _name in _FUNCTION.findall(body)) + 1
    copies = max(megabytes * 1_000_000 // len(body), 1)
    with to.open("w") as stream:
        stream.write(head)
        for copy in range(copies):
            stream.write(_FUNCTION.sub(lambda found, copy=copy: _renamed(found, copy, numbers), body))
        stream.write(f"totals: {' '.join(str(int(word) * copies) for word in totals.split())}\n")
    return to.stat().st_size


def _renamed(found: re.Match[str], copy: int, numbers: int) -> str:
    name = f"{found[3]}.{copy}" if found[3] else ""
    return f"{found[1]}=({int(found[2]) + copy * numbers}){name}"


if __name__ == "__main__":
    sys.exit(beside("callgrind_annotate", SAMPLE, write, __doc__))
