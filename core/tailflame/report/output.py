"""Where a report goes: a file that appears whole or not at all, or an open stream."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, TextIO, TypeVar

from tailflame.errors import StoreError

_Opened = TypeVar("_Opened", bound=IO[str] | IO[bytes])


@contextmanager
def opened(target: Path | TextIO) -> Iterator[TextIO]:
    """`target` for writing UTF-8. A file replaces an older one only once it is complete.

    Raises StoreError where the file cannot be written.
    """
    if not isinstance(target, Path):
        yield target
        return
    with _replacing(
        target, lambda descriptor: os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n")
    ) as stream:
        yield stream


@contextmanager
def opened_bytes(target: Path | BinaryIO) -> Iterator[BinaryIO]:
    """The same for bytes."""
    if not isinstance(target, Path):
        yield target
        return
    with _replacing(target, lambda descriptor: os.fdopen(descriptor, "wb")) as stream:
        yield stream


@contextmanager
def _replacing(target: Path, opened_as: Callable[[int], _Opened]) -> Iterator[_Opened]:
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise _refused(target, error) from error
    unfinished = Path(name)
    try:
        with opened_as(descriptor) as stream:
            yield stream  # type: ignore[misc]
        # mkstemp's files are for their owner alone; a report is as public as the user's other files.
        mask = os.umask(0)
        os.umask(mask)
        unfinished.chmod(0o666 & ~mask)
        unfinished.replace(target)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise _refused(target, error) from error
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _refused(target: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{target} cannot be written: {error.strerror or error}.",
        advice="Choose another folder, or make room.",
    )
