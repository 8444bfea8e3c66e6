"""A text file that grows while it is read: a log.

Logs are rotated in two ways, and both are followed: renamed, with a new file in their place (the old one is read to
its end, also what a writer that has not noticed yet still adds to it), or copied and truncated. A file may come into
being later.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from tailflame.errors import ParseError

CHUNK = 1 << 20
LINE_LIMIT = 1 << 20
"""Bytes of the longest line; of a longer one nothing is kept."""
ROTATION_GRACE_S = 5.0
"""For how long a file that was replaced is still looked at: its writer may learn of it late."""
_MARK = 64
"""Bytes before the place of reading that are compared: a file may be truncated and have grown beyond it again."""


class Beginning(StrEnum):
    """Why a block is the first of a file."""

    APPEARED = "appeared"
    REPLACED = "replaced"
    TRUNCATED = "truncated"


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines, each with its "\\n"; the last line of a file that has ended may lack it."""

    data: bytes
    beginning: Beginning | None = None
    """Set where what came before belongs to another file."""


@dataclass(slots=True)
class _Followed:
    """One open file."""

    descriptor: int
    identity: tuple[int, int]
    offset: int = 0
    size: int = 0
    beginning: Beginning | None = None
    """Not yet told."""
    unfinished: list[bytes] = field(default_factory=list)
    """Pieces of a line whose end has not come."""
    held: int = 0
    skipping: bool = False
    """Inside a line of which nothing is kept."""
    mark: bytes = b""
    replaced_at: float = 0.0


class Tail:
    """Follows the file at `path`. Its calls may wait for the disk: make them from one thread at a time.

    position: bytes read so far, over all files that have been at `path`.
    too_long: lines left out for their length.
    """

    def __init__(self, path: Path, *, from_start: bool = False, line_limit: int = LINE_LIMIT) -> None:
        """from_start: also what the file holds already. A file that appears later is always read from its start."""
        self.path = path
        self.position = 0
        self.too_long = 0
        self._from_start = from_start
        self._line_limit = line_limit
        self._files: list[_Followed] = []  # the newest last

    def open(self) -> None:
        """Takes its place in the file, if it is there. ParseError where it can never be read as a log."""
        if (problem := self._find()) is not None:
            raise problem
        for file in self._files:
            file.beginning = None
            if self._from_start:
                continue
            file.offset = file.size = os.fstat(file.descriptor).st_size
            file.mark = os.pread(file.descriptor, _MARK, max(file.offset - _MARK, 0))
            file.skipping = bool(file.mark) and not file.mark.endswith(b"\n")

    @property
    def missing(self) -> str:
        """A sentence while there is no file at `path`, else ""."""
        return "" if self._files else f"There is no {self.path} yet; it is read as soon as it is there."

    def look(self) -> int:
        """The position at which everything written so far will have been read."""
        self._find()
        for file in tuple(self._files):
            try:
                self._measure(file)
            except OSError:  # a network share that went away; it is opened again where it comes back
                self._drop(file)
        return self.position + sum(file.size - file.offset for file in self._files)

    def read(self, most: int = CHUNK) -> Block | None:
        """The next lines, of about `most` bytes; None where nothing has come since `look`.

        Call it once after each `look` at least: a replaced file is then let go of.
        """
        now = time.monotonic()
        for file in tuple(self._files):
            while most > 0 and file.offset < file.size:
                if (block := self._read(file, most)) is not None:
                    return block
            if file.replaced_at and file.offset == file.size and now > file.replaced_at + ROTATION_GRACE_S:
                last = self._last_line(file)
                self._drop(file)
                if last is not None:
                    return last
        return None

    def finish(self) -> list[Block]:
        """The lines without an end, for when no more will be written."""
        return [block for file in self._files if (block := self._last_line(file)) is not None]

    def close(self) -> None:
        for file in tuple(self._files):
            self._drop(file)

    def _find(self) -> ParseError | None:
        """Opens the file that is at `path` now, unless it is open already; what speaks against it."""
        try:
            facts = self.path.stat()
            identity = (facts.st_dev, facts.st_ino)
            if self._files and self._files[-1].identity == identity:
                return None
            if not stat.S_ISREG(facts.st_mode):
                what = "a folder" if stat.S_ISDIR(facts.st_mode) else "a device or a pipe"
                return ParseError(
                    f"{self.path} is {what}, not a file.",
                    source=str(self.path),
                    advice="Let the program write its lines to a file.",
                )
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None  # yet
        except OSError as problem:
            return ParseError(
                f"{self.path} cannot be read: {problem.strerror}.",
                source=str(self.path),
                advice="Ask its owner for the right to read it, or start Tailflame as that user.",
            )
        opened = os.fstat(descriptor)
        if not stat.S_ISREG(opened.st_mode):  # changed in between
            os.close(descriptor)
            return None
        now = time.monotonic()
        for file in self._files:
            file.replaced_at = file.replaced_at or now
        beginning = Beginning.REPLACED if self._files else Beginning.APPEARED
        self._files.append(_Followed(descriptor, (opened.st_dev, opened.st_ino), beginning=beginning))
        return None

    def _measure(self, file: _Followed) -> None:
        size = os.fstat(file.descriptor).st_size
        if size != file.size:
            before = os.pread(file.descriptor, len(file.mark), file.offset - len(file.mark))
            if size < file.offset or before != file.mark:
                # A writer that goes on where it was leaves a hole before it, which holds no text.
                file.offset = _first_data(file.descriptor)
                file.unfinished, file.held, file.skipping, file.mark = [], 0, False, b""
                file.beginning = Beginning.TRUNCATED
        file.size = max(size, file.offset)

    def _read(self, file: _Followed, most: int) -> Block | None:
        """Reads once; None where no line has ended."""
        try:
            data = os.pread(file.descriptor, min(most, file.size - file.offset), file.offset)
        except OSError:
            data = b""
        if not data:  # truncated since it was measured
            file.size = file.offset
            return None
        file.offset += len(data)
        self.position += len(data)
        file.mark = data[-_MARK:] if len(data) >= _MARK else (file.mark + data)[-_MARK:]
        if file.beginning is Beginning.TRUNCATED:
            data = data.lstrip(b"\0")  # the rest of the hole's last page
        if file.skipping:
            end = data.find(b"\n") + 1
            if not end:
                return None
            data, file.skipping = data[end:], False
        end = data.rfind(b"\n") + 1
        block = None
        if end:
            whole = b"".join((*file.unfinished, data[:end])) if file.unfinished else data[:end]
            file.unfinished, file.held, data = [], 0, data[end:]
            block = Block(whole, file.beginning)
            file.beginning = None
        if data:
            file.unfinished.append(data)
            file.held += len(data)
            if file.held > self._line_limit:
                file.unfinished, file.held, file.skipping = [], 0, True
                self.too_long += 1
        return block

    def _last_line(self, file: _Followed) -> Block | None:
        if not file.unfinished:
            return None
        block = Block(b"".join(file.unfinished), file.beginning)
        file.unfinished, file.held, file.beginning = [], 0, None
        return block

    def _drop(self, file: _Followed) -> None:
        self._files.remove(file)
        with contextlib.suppress(OSError):
            os.close(file.descriptor)


@dataclass(slots=True)
class Backlog:
    """When the bytes were written that wait to be read: one note at each look."""

    _notes: deque[tuple[float, tuple[int, ...]]] = field(default_factory=deque)
    most: int = 4096

    def note(self, now: float, ends: tuple[int, ...]) -> None:
        """At `now`, each file's `Tail.look` was this."""
        if len(self._notes) >= self.most:
            self._notes.pop()
        self._notes.append((now, ends))

    @property
    def oldest(self) -> tuple[float, tuple[int, ...]] | None:
        """The first look that has not been read up to."""
        return self._notes[0] if self._notes else None

    def done(self) -> None:
        """What `oldest` says has been read."""
        self._notes.popleft()

    def seconds(self, now: float) -> float:
        """How long ago that came which is to be read next."""
        return now - self._notes[0][0] if self._notes else 0.0


def _first_data(descriptor: int) -> int:
    try:
        return os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError:  # empty, or a file system that knows no holes
        return 0
