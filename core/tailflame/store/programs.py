"""The programs that were measured, kept beside their measurements: the build that comes next replaces them where they
were, and without the one before nothing more can be measured of it.

    PROFILES/programs/SHA256/NAME    the program's file, once for all measurements of the same bytes
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import IO

from tailflame.errors import StoreError
from tailflame.store.files import reason, write_atomically

_FOLDER = "programs"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES = 1 << 30


class Programs:
    """The programs that one profiles folder keeps."""

    def __init__(self, root: Path) -> None:
        self._folder = root / _FOLDER

    def keep(self, binary: Path) -> str:
        """Copies it, unless it is here already; the SHA-256 of its content. In a thread: a second for a gigabyte.

        StoreError where it cannot be read, is above a gigabyte, or there is no room for it.
        """
        try:
            if binary.stat().st_size > _MOST_BYTES:
                raise StoreError(f"{binary} is too large to be kept with its measurement.")
            digest = _digest(binary)
            place = self._folder / digest / binary.name
            if place.is_file() and _digest(place) == digest:
                return digest
            place.parent.mkdir(parents=True, exist_ok=True)

            def copy(stream: IO[bytes]) -> None:
                with binary.open("rb") as source:
                    shutil.copyfileobj(source, stream, 1 << 20)
                os.fchmod(stream.fileno(), 0o755)

            write_atomically(place, copy)
        except OSError as error:
            raise StoreError(f"{binary} cannot be kept with its measurement: {reason(error)}.") from error
        return digest

    def path(self, digest: str, name: str) -> Path:
        """Where it is. StoreError where it is not kept any more, or is not what was kept."""
        place = self._folder / digest / name
        again = "Go back to its commit and measure it again: tailflame run"
        if not _DIGEST.fullmatch(digest) or not name or "/" in name or not place.is_file():
            raise StoreError(f"The program that was measured ({name}) is not kept here.", advice=again)
        try:
            if _digest(place) != digest:
                raise StoreError(f"{place} is not the program that was measured.", advice=again)
        except OSError as error:
            raise StoreError(f"{place} cannot be read: {reason(error)}.", advice=again) from error
        return place

    def sweep(self, wanted: Collection[str]) -> None:
        """Drops all but those; what cannot be dropped stays."""
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            if folder.name not in wanted:
                shutil.rmtree(folder, ignore_errors=True)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
