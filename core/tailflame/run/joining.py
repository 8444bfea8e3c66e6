"""Files put one behind the other, for results that a tool leaves in pieces."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path


def put_together(joined: Path, parts: Iterable[tuple[bytes, Path]], *, first: bytes = b"") -> None:
    """Writes `first`, and each part with the bytes that go before it and a line's end behind it. `joined` is whole
    then, or as it was.
    """
    part = joined.with_name(f"{joined.name}.part")
    try:
        with part.open("wb") as out:
            out.write(first)
            for head, path in parts:
                out.write(head)
                with path.open("rb") as piece:
                    shutil.copyfileobj(piece, out)
                out.write(b"\n")
        part.replace(joined)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
