"""A child process under an event loop: its output, its end, and signals for the right one.

What it writes goes to files and is read from there, not from pipes. A pipe would tie the child to us: when its reader
is slow the child waits, which shows in its profile, and when its reader dies the child is killed by SIGPIPE in the
middle of completing its own file. And the files are there to be read again later.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tailflame import units
from tailflame.errors import TargetError, ToolFailed, ToolMissing
from tailflame.host.guard import guard as guard
from tailflame.host.processes import exit_status

Stream = Literal["stdout", "stderr", "tool"]

_SHOWN_AT_ONCE = 4 << 20
"""Bytes of one stream that are read at a time. Of more, only the end is: a flood costs neither time nor memory."""
_SHOWN_OF_A_FLOOD = 1 << 20


@dataclass(frozen=True, slots=True)
class Output:
    """Text that came; "tool" is the profiler's own voice. Whole lines wherever lines come whole."""

    stream: Stream
    text: str


class Child(asyncio.SubprocessProtocol):
    """A running program, in a session of its own. `wake` is called when it has ended."""

    def __init__(self, wake: Callable[[], None], stdout: Tail, stderr: Tail, own_lines: re.Pattern[str] | None) -> None:
        self._wake = wake
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdout, self._stderr = stdout, stderr
        self._own_lines = own_lines
        self.returncode: int | None = None
        self.ended = False
        self._over = asyncio.Event()

    @classmethod
    async def start(
        cls,
        argv: tuple[str, ...],
        *,
        wake: Callable[[], None],
        stdout: Path,
        stderr: Path,
        cwd: Path | None,
        env: Mapping[str, str],
        own_lines: re.Pattern[str] | None = None,
        stdin: Path | None = None,
    ) -> Child:
        """Start `argv`; the two files are written anew. It reads `stdin`, or else nothing.

        Raises:
            ToolMissing: the program is not there.
            TargetError: the working directory is not one.
            ToolFailed: the system cannot start it, or a file cannot be written or read.
        """
        if cwd is not None and not await asyncio.to_thread(cwd.is_dir):
            raise TargetError(f"The working directory {cwd} is not there.", advice="Choose a folder that exists.")
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as files:
            out, err = (_opened(path, _WRITE, files) for path in (stdout, stderr))
            source = asyncio.subprocess.DEVNULL if stdin is None else _opened(stdin, os.O_RDONLY, files)
            try:
                _, child = await loop.subprocess_exec(
                    lambda: cls(wake, Tail(stdout), Tail(stderr), own_lines),
                    *argv,
                    stdin=source,
                    stdout=out,
                    stderr=err,
                    cwd=cwd,
                    env=dict(env),
                    start_new_session=True,
                )
            except FileNotFoundError as problem:
                told = "there" if "/" in argv[0] else "installed"
                raise ToolMissing(f"{argv[0]} is not {told}.", details=str(problem)) from problem
            except OSError as problem:
                raise ToolFailed(f"{argv[0]} could not be started: {problem.strerror}.") from problem
        return child

    @property
    def pid(self) -> int:
        assert self._transport is not None
        return self._transport.get_pid()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport

    def process_exited(self) -> None:
        assert self._transport is not None
        self.returncode = self._transport.get_returncode()
        self.ended = True
        self._over.set()
        self._wake()

    # What the recorder calls.

    async def ends_within(self, seconds: float) -> bool:
        """Wait for its end; False where it has not come."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)
        return self.ended

    def take(self, *, partial: bool = False) -> list[Output]:
        """The output that has come since. Half a line of stderr waits for its other half unless `partial`."""
        out: list[Output] = []
        if text := self._stdout.take(partial=True):
            out.append(Output("stdout", text))
        if text := self._stderr.take(partial=partial or self._own_lines is None):
            out += self._sort(text)
        return out

    def _sort(self, text: str) -> list[Output]:
        """Whose line is it? stderr is shared by the tool and its target."""
        if self._own_lines is None:
            return [Output("stderr", text)]
        out: list[Output] = []
        for line in text.splitlines(keepends=True):
            stream: Stream = "tool" if self._own_lines.match(line.rstrip("\r\n")) else "stderr"
            if out and out[-1].stream == stream:
                out[-1] = Output(stream, out[-1].text + line)
            else:
                out.append(Output(stream, line))
        return out

    def signal(self, number: int) -> None:
        """Send a signal to the program itself."""
        if not self.ended:
            # Not through the transport: Popen.send_signal polls first, and where the child has just ended that takes
            # its exit status away from asyncio's watcher, which then reports "Unknown child process" and 255.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def signal_group(self, number: int) -> bool:
        """Send a signal to everything that the program has started and that has not left its group; False: nobody."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def close(self) -> None:
        """Let go of it; one that still runs is killed."""
        if self._transport is not None:
            self._transport.close()


# Appending: the tool and its target share the file, and neither writes over the other.
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _opened(path: Path, flags: int, files: contextlib.ExitStack) -> int:
    """A descriptor that `files` closes."""
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
    except OSError as problem:
        if flags == os.O_RDONLY:
            raise ToolFailed(f"{path} cannot be read: {problem.strerror}.") from problem
        raise ToolFailed(
            f"{path.parent} may not be written to: {problem.strerror}.", advice="Choose another profiles folder."
        ) from problem
    files.callback(os.close, descriptor)
    return descriptor


class Handle:
    """A process that is not our child, held by a descriptor: no signal ever reaches a stranger with its number."""

    def __init__(self, pid: int, ended: Callable[[], None]) -> None:
        """`ended` is called once, on the event loop. Raises ProcessLookupError where it has ended already."""
        self.pid = pid
        self._fd = os.pidfd_open(pid)
        self._ended = ended
        self.alive = True
        self.returncode: int | None = None
        """Its code, or minus its signal; None while it runs, and where its parent was faster than we."""
        asyncio.get_running_loop().add_reader(self._fd, self._end)

    def _end(self) -> None:
        self.returncode = exit_status(self.pid)
        self.close()
        self._ended()

    def signal(self, number: int) -> bool:
        """False where it has ended."""
        if not self.alive:
            return False
        try:
            signal.pidfd_send_signal(self._fd, number)
        except ProcessLookupError:
            return False
        return True

    def close(self) -> None:
        """Let go; `alive` is then False."""
        if self.alive:
            self.alive = False
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)


class Tail:
    """A text file that grows, read as it does: UTF-8 where it is, whatever the portions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = 0
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def take(self, *, partial: bool) -> str:
        """What has been written since; the last half line stays for later unless `partial`."""
        text = self._rest + self._read()
        self._rest = ""
        if not partial:
            whole, newline, self._rest = text.rpartition("\n")
            text = whole + newline
        return text

    def _read(self) -> str:
        try:
            with self.path.open("rb", buffering=0) as file:
                new = os.fstat(file.fileno()).st_size - self._at
                left_out = 0
                if new > _SHOWN_AT_ONCE:
                    left_out = new - _SHOWN_OF_A_FLOOD
                    self._at += left_out
                data = os.pread(file.fileno(), _SHOWN_AT_ONCE, self._at)
        except FileNotFoundError:  # the session was removed meanwhile
            return ""
        self._at += len(data)
        note = f"\n[{units.size(left_out)} are not shown here; {self.path.name} has them all]\n" if left_out else ""
        return note + self._decoder.decode(data)
