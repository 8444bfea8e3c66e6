"""One file per format; `load` is the one way in."""

from __future__ import annotations

from pathlib import Path

from tailflame.model import Recording
from tailflame.parse.registry import Format
from tailflame.parse.source import Early, Progress, Source

__all__ = ["Early", "Format", "Progress", "Source", "load"]


def load(
    path: Path, *, format: str | None = None, progress: Progress | None = None, early: Early | None = None
) -> Recording:
    """Reads any result file; see formats.load."""
    from tailflame.parse import formats  # all parsers: a third of a second, for whoever reads a file

    return formats.load(path, format=format, progress=progress, early=early)
