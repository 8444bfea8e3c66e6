"""Writes live.jsonl (parse/live_log.py reads it): whole lines, on disk within a moment, whatever happens to us."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from tailflame.errors import StoreError
from tailflame.parse import live_lines
from tailflame.parse.live_log import VERSION


class LiveLogWriter:
    """An open log. Use it as a context manager, or `close` it.

    `write` gathers and `flush` hands on to the kernel: call it at the pace of the screen, in a thread. A disk that is
    full raises StoreError once and closes the log; what was written stays, and what comes later is dropped.
    """

    def __init__(
        self,
        path: Path,
        *,
        pid: int,
        argv: Sequence[str],
        launched: bool,
        clock: tuple[float, float] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        """`clock` is (CLOCK_MONOTONIC, seconds since the epoch) of one moment; now, unless given."""
        monotonic_s, epoch_s = clock or (time.monotonic(), time.time())
        self.path = path
        self._stream: FileIO = _open(path)
        self._lines: list[bytes] = []
        self._put(
            {
                "format": "tailflame live",
                "version": VERSION,
                "pid": pid,
                "launched": launched,
                "argv": list(argv),
                "clock": {"monotonic_s": monotonic_s, "epoch_s": epoch_s},
                **(extra or {}),
            }
        )
        self.flush()

    def __enter__(self) -> LiveLogWriter:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.close()

    def write(self, line: live_lines.Line) -> None:
        self._put(live_lines.write(line))

    def flush(self) -> None:
        """StoreError where the disk does not take it."""
        lines, self._lines = self._lines, []
        if self._stream.closed:
            return
        try:
            left = memoryview(b"".join(lines))
            while left:
                left = left[self._stream.write(left) :]
        except OSError as problem:
            self._stream.close()
            raise StoreError(
                f"{self.path} cannot be written: {problem.strerror}.",
                advice="Make room on the disk; what was written so far is kept.",
            ) from problem

    def close(self) -> None:
        if not self._stream.closed:
            try:
                self.flush()
            finally:
                self._stream.close()

    def _put(self, document: Mapping[str, object]) -> None:
        try:
            self._lines.append(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))
        except TypeError:  # a name with bytes that are no UTF-8
            self._lines.append(orjson.dumps(_printable(document), option=orjson.OPT_APPEND_NEWLINE))


def _printable(value: Any) -> Any:
    """JSON is UTF-8: other bytes are written out, as \\udcff."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_printable(key): _printable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(inner) for inner in value]
    return value


def _open(path: Path) -> FileIO:
    try:
        # Unbuffered: a failed write must not be tried again when the file is closed.
        return FileIO(path, "wb")
    except OSError as problem:
        raise StoreError(
            f"{path} cannot be written: {problem.strerror}.", advice="Choose another profiles folder."
        ) from problem
