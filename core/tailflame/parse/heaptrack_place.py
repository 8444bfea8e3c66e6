"""Where heaptrack's libraries and heaptrack_interpret are: no PATH holds them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_RELATIVE = ("../lib/heaptrack", "../lib64/heaptrack", "../libexec/heaptrack")
_USUAL = (
    "/usr/lib/heaptrack",
    "/usr/lib64/heaptrack",
    "/usr/lib/x86_64-linux-gnu/heaptrack",
    "/usr/lib/aarch64-linux-gnu/heaptrack",
    "/usr/local/lib/heaptrack",
    "/usr/local/lib64/heaptrack",
)


def library_folder() -> Path | None:
    """Where heaptrack's libraries are; None where it is not installed."""
    script = shutil.which("heaptrack")
    near = () if script is None else tuple(Path(script).resolve().parent / part for part in _RELATIVE)
    for folder in (*near, *map(Path, _USUAL)):
        if (folder / "libheaptrack_preload.so").is_file():
            return folder.resolve()
    return None


def interpreter() -> Path | None:
    """heaptrack_interpret; None where it is not installed."""
    folder = library_folder()
    if folder is None:
        return None
    known = (folder / "libexec/heaptrack_interpret", folder / "heaptrack_interpret")
    return next((path for path in known if os.access(path, os.X_OK)), None)
