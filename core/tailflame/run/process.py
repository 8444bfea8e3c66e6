"""A child process under an event loop: its output in portions of any size, its end, and signals for the right one."""

from __future__ import annotations

import asyncio
import codecs
import os
import re
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tailflame.errors import TargetError, ToolFailed, ToolMissing
from tailflame.host.processes import exit_status

Stream = Literal["stdout", "stderr", "tool"]

_HELD_BYTES = 4 << 20
"""Output waiting to be taken, above which the child has to wait, as it would for a slow terminal."""


@dataclass(frozen=True, slots=True)
class Output:
    """Text that came; "tool" is the profiler's own voice. Whole lines wherever lines come whole."""

    stream: Stream
    text: str


def guard(signal_name: str) -> tuple[str, ...]:
    """What makes a child get a signal when the thread that started it dies: `setpriv` of util-linux, where it is there.

    Setting it between fork and exec ourselves would run Python in a fork of a program with threads, which may deadlock.
    """
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", signal_name, "--") if setpriv is not None else ()


class Child(asyncio.SubprocessProtocol):
    """One running program, in a session of its own, with /dev/null for its stdin.

    `wake` is called when something happened: output, the end.
    """

    def __init__(self, wake: Callable[[], None], own_lines: re.Pattern[str] | None) -> None:
        self._wake = wake
        self._transport: asyncio.SubprocessTransport | None = None
        self._texts = {1: _Text(), 2: _Text()}
        self._held = 0
        self._paused = False
        self._own_lines = own_lines
        self.returncode: int | None = None
        self.ended = False
        self.closed = False
        """Ended, and all of its output has come."""

    @classmethod
    async def start(
        cls,
        argv: tuple[str, ...],
        *,
        wake: Callable[[], None],
        cwd: Path | None,
        env: Mapping[str, str],
        own_lines: re.Pattern[str] | None = None,
    ) -> Child:
        """Start `argv`.

        Raises:
            ToolMissing: the program is not there.
            TargetError: the working directory is not one.
            ToolFailed: the system cannot start it.
        """
        if cwd is not None and not await asyncio.to_thread(cwd.is_dir):
            raise TargetError(f"The working directory {cwd} is not there.", advice="Choose a folder that exists.")
        loop = asyncio.get_running_loop()
        try:
            _, child = await loop.subprocess_exec(
                lambda: cls(wake, own_lines),
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=cwd,
                env=dict(env),
                start_new_session=True,
            )
        except FileNotFoundError as problem:
            raise ToolMissing(f"{argv[0]} is not installed.", details=str(problem)) from problem
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

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._held += len(data)
        self._texts[fd].feed(data)
        if self._held > _HELD_BYTES and not self._paused:
            self._pause(True)
        self._wake()

    def process_exited(self) -> None:
        assert self._transport is not None
        self.returncode = self._transport.get_returncode()
        self.ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._wake()

    # What the recorder calls.

    def take(self, *, partial: bool = False) -> list[Output]:
        """The output that has come since. Half a line of stderr waits for its other half unless `partial`."""
        out: list[Output] = []
        if text := self._texts[1].take(partial=True):
            out.append(Output("stdout", text))
        if text := self._texts[2].take(partial=partial or self._own_lines is None):
            out += self._sort(text)
        self._held = 0
        if self._paused:
            self._pause(False)
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

    def _pause(self, paused: bool) -> None:
        assert self._transport is not None
        self._paused = paused
        for fd in (1, 2):
            pipe = self._transport.get_pipe_transport(fd)
            if isinstance(pipe, asyncio.ReadTransport) and not pipe.is_closing():
                if paused:
                    pipe.pause_reading()
                else:
                    pipe.resume_reading()

    def signal(self, number: int) -> None:
        """Send a signal to the program itself."""
        if not self.ended and self._transport is not None:
            self._transport.send_signal(number)

    def signal_group(self, number: int) -> bool:
        """Send a signal to everything that the program has started and that has not left its group."""
        return signal_group(self.pid, number)

    def close(self) -> None:
        """Let go of the pipes, also where a left-over child of the target still holds the other end."""
        if self._transport is not None:
            self._transport.close()


def signal_group(group: int, number: int) -> bool:
    """False where nobody is left in the process group."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


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


class _Text:
    """Bytes in any portions to text; a character cut in two is kept for the next portion."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._parts: list[str] = []

    def feed(self, data: bytes) -> None:
        self._parts.append(self._decoder.decode(data))

    def take(self, *, partial: bool) -> str:
        text = "".join(self._parts)
        self._parts.clear()
        if partial:
            return text
        whole, newline, rest = text.rpartition("\n")
        if rest:
            self._parts.append(rest)
        return whole + newline
