"""How a live source starts its tool: perf, bpftrace, valgrind.

A source takes a `Launcher`, so that a privileged helper can start the tool in its stead. `start` is the plain one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol, runtime_checkable

from tailflame.errors import ToolFailed, ToolMissing
from tailflame.host.guard import guard

LINE_LIMIT = 64 << 20
"""Bytes of the longest line; what is longer is no line of a tool."""
_AHEAD = 4 << 20
"""Bytes that may wait to be read; at more the tool waits, as at any full pipe."""
_STDERR_SHOWN = 64 << 10
_EOF_GRACE_S = 1.0
_KILL_WAIT_S = 10.0


class Running(Protocol):
    """A tool that has been started."""

    @property
    def pid(self) -> int:
        """0 where whoever started it does not tell."""

    @property
    def returncode(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""

    def lines(self) -> AsyncIterator[bytes]:
        """What it writes to stdout, line by line without the line's end; ends with its output. One reader at a time."""

    async def wait(self) -> int:
        """Until it has ended; the return code. Does not read: a tool that waits for its reader never ends."""

    def interrupt(self) -> None:
        """Ask it to end (SIGINT) and go on reading: perf and bpftrace have last words."""

    async def stop(self, *, grace_s: float = 3.0) -> int:
        """Ask it to end, kill it after `grace_s`, and return when it is gone; what it still writes is thrown away.

        May be called again, and after it has ended. Cancelled, it kills at once.
        """

    def stderr_text(self) -> str:
        """What it has written to stderr so far, the last 64 KiB."""


@runtime_checkable
class Snapping(Protocol):
    """A tool that can be asked to write down what it holds, and to go on: perf with --switch-output=signal."""

    def snapshot(self) -> None:
        """SIGUSR2. To another tool it would be the end."""


@contextlib.asynccontextmanager
async def lines_of(running: Running) -> AsyncGenerator[AsyncIterator[bytes], None]:
    """Its lines, properly let go of where the reader leaves early."""
    lines = running.lines()
    try:
        yield lines
    finally:
        if isinstance(lines, AsyncGenerator):
            await lines.aclose()


class Launcher(Protocol):
    async def __call__(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdout: Path | None = None
    ) -> Running:
        """Start `argv`, stdin closed, in a session of its own.

        env: on top of ours and LC_ALL=C. stdout: a file to write to; `lines` then yields nothing.

        Raises:
            ToolMissing: the program is not there.
            ToolDenied: starting it is refused.
            ToolFailed: the system cannot start it.
        """


async def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdout: Path | None = None,
    cwd: Path | None = None,
    stop_signal: signal.Signals = signal.SIGINT,
) -> Running:
    """Starts `argv` as ourselves; it gets `stop_signal` when it is to end, and when we are killed."""
    loop = asyncio.get_running_loop()
    # `guard` would be what is started, and be there.
    if shutil.which(argv[0]) is None:
        raise ToolMissing(f"{argv[0]} is not installed, or may not be run.")
    stderr = tempfile.TemporaryFile(prefix="tailflame-")  # noqa: SIM115 - the process keeps it until it is let go
    sink: IO[bytes] | None = None
    try:
        sink = stdout.open("wb") if stdout is not None else None
        _, child = await loop.subprocess_exec(
            lambda: _Process(stderr, stop_signal, piped=sink is None),
            *guard(stop_signal.name.removeprefix("SIG")),
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if sink is None else sink,
            stderr=stderr,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            start_new_session=True,
        )
    except OSError as problem:
        stderr.close()
        raise ToolFailed(f"{argv[0]} could not be started: {problem.strerror}.", details=str(problem)) from problem
    except BaseException:
        stderr.close()
        raise
    finally:
        if sink is not None:
            sink.close()
    return child


class _Process(asyncio.SubprocessProtocol):
    def __init__(self, stderr: IO[bytes], stop_signal: signal.Signals, *, piped: bool) -> None:
        self._stop_signal = stop_signal
        self._stderr = stderr
        self._last_words = ""
        self._transport: asyncio.SubprocessTransport | None = None
        self._pid = 0
        self._parts: deque[bytes] = deque()
        self._held = 0
        self._paused = False
        self._discard = False
        self._interrupted = False
        self._eof = not piped
        self._returncode: int | None = None
        self._exited_at = 0.0
        self._news = asyncio.Event()
        self._gone = asyncio.Event()

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def returncode(self) -> int | None:
        return self._returncode

    async def lines(self) -> AsyncGenerator[bytes, None]:
        rest: list[bytes] = []  # pieces of a line whose end has not come
        held = 0
        while True:
            while self._parts:
                part = self._take()
                first, newline, more = part.partition(b"\n")
                rest.append(first)
                if newline:
                    yield b"".join(rest)
                    *whole, last = more.split(b"\n")
                    for line in whole:
                        yield line
                    rest, held = [last], len(last)
                    continue
                held += len(first)
                if held > LINE_LIMIT:
                    raise ToolFailed("The tool's output holds a line that is longer than any it should write.")
            if self._eof or not await self._wait_for_news():
                break
        if held or any(rest):
            yield b"".join(rest)

    def _take(self) -> bytes:
        part = self._parts.popleft()
        self._held -= len(part)
        if self._paused and self._held < _AHEAD // 2:
            self._set_paused(False)
        return part

    async def _wait_for_news(self) -> bool:
        """False: there will be none. What the tool has started may hold the pipe open after it has ended."""
        self._news.clear()
        if self._parts or self._eof:
            return True
        if self._returncode is None:
            await self._news.wait()
            return True
        left = self._exited_at + _EOF_GRACE_S - time.monotonic()
        if left <= 0:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._news.wait()
        return True

    async def wait(self) -> int:
        await self._gone.wait()
        assert self._returncode is not None
        return self._returncode

    def interrupt(self) -> None:
        # Once: a tool that is having its last words takes a second one for impatience.
        if not self._interrupted:
            self._interrupted = True
            self._signal(self._stop_signal)

    def snapshot(self) -> None:
        if not self._interrupted:
            self._signal(signal.SIGUSR2)

    async def stop(self, *, grace_s: float = 3.0) -> int:
        self._discard = True
        self._parts.clear()
        self._held = 0
        self._set_paused(False)
        try:
            self.interrupt()
            try:
                async with asyncio.timeout(grace_s):
                    await self._gone.wait()
            except TimeoutError:
                self._signal(signal.SIGKILL)
                async with asyncio.timeout(_KILL_WAIT_S):
                    await self._gone.wait()
        except BaseException:
            self._signal(signal.SIGKILL)
            raise
        finally:
            if self._transport is not None:
                self._transport.close()
        return await self.wait()

    def stderr_text(self) -> str:
        if self._stderr.closed:
            return self._last_words
        size = os.fstat(self._stderr.fileno()).st_size
        data = os.pread(self._stderr.fileno(), _STDERR_SHOWN, max(size - _STDERR_SHOWN, 0))
        return data.decode("utf-8", "replace")

    def _signal(self, number: int) -> None:
        # Not through the transport: Popen.send_signal polls first, and where the child has just ended that takes its
        # exit status away from asyncio's watcher, which then reports "Unknown child process" and 255.
        if self._returncode is None and self._pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._pid, number)

    def _set_paused(self, paused: bool) -> None:
        pipe = self._transport.get_pipe_transport(1) if self._transport is not None else None
        if self._paused == paused or self._eof or not isinstance(pipe, asyncio.ReadTransport):
            return
        self._paused = paused
        if paused:
            pipe.pause_reading()
        else:
            pipe.resume_reading()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport
        self._pid = transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if self._discard:
            return
        self._parts.append(data)
        self._held += len(data)
        if self._held > _AHEAD:
            self._set_paused(True)
        self._news.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._eof = True
        self._close_if_done()
        self._news.set()

    def process_exited(self) -> None:
        assert self._transport is not None
        self._returncode = self._transport.get_returncode()
        self._exited_at = time.monotonic()
        self._last_words = self.stderr_text()
        self._stderr.close()
        self._close_if_done()
        self._gone.set()
        self._news.set()

    def _close_if_done(self) -> None:
        if self._transport is not None and self._eof and self._returncode is not None:
            self._transport.close()
