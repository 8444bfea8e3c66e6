"""A bpftrace program of one's own, for a user who is not root.

It is free text that runs as root, so it never goes through the permission that the helper was given: pkexec asks for an
administrator's password each time, by an action of its own (org.tailflame.run-program), whose dialog shows the command
line, and with it the text's SHA-256 and its beginning. The text goes over stdin; the runner (packaging/helper/
tailflame-run-program) refuses one that is not what the dialog has shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import IO

from tailflame.errors import ToolDenied, ToolFailed, ToolMissing
from tailflame.live.helper_client import refusal
from tailflame.live.launcher import LINE_LIMIT, Launcher, Running, start
from tailflame.parse.bpftrace_recipe import ENVIRONMENT

RUNNER = Path("/usr/libexec/tailflame/tailflame-run-program")
ACTION = Path("/usr/share/polkit-1/actions/org.tailflame.run-program.policy")
LONGEST = 256 << 10
"""Bytes of a program's text."""
SHOWN = 120
"""Characters of its beginning that the dialog shows."""
_STDERR_SHOWN = 64 << 10
_END_S = 30.0
_KILL_WAIT_S = 5.0


def digest(program: str) -> str:
    """What the dialog shows of a program: SHA-256 of its text in UTF-8."""
    return hashlib.sha256(program.encode()).hexdigest()


def beginning(program: str) -> str:
    """Its first characters in one line, as the runner finds them too."""
    return " ".join(program[: 4 * SHOWN].split())[:SHOWN]


def own_argv(program: str, pid: int | None) -> tuple[str, ...]:
    """What pkexec is to run, and shows."""
    whose = ("--pid", str(pid)) if pid is not None else ()
    return ("pkexec", "--disable-internal-agent", str(RUNNER), "--sha256", digest(program), *whose,
            "--begins", beginning(program))  # fmt: skip


def why_not() -> str:
    """Why a program of one's own cannot be run here by this user, "" where it can. Looks at files."""
    if os.geteuid() == 0:
        return ""
    if shutil.which("pkexec") is None:
        return "pkexec is not installed, and bpftrace runs as root alone"
    if not (RUNNER.is_file() and ACTION.is_file()):
        return "Tailflame's helper is not installed (make install-helper), and bpftrace runs as root alone"
    return ""


async def start_own(program: str, pid: int | None, *, launch: Launcher = start) -> Running:
    """Runs it; its JSON lines are `lines`. As root at once, else when an administrator has said yes. $1 is the pid.

    Raises:
        ToolMissing, ToolDenied, ToolFailed: it does not start.
    """
    if os.geteuid() == 0:
        whose, first = (("-p", str(pid)), (str(pid),)) if pid is not None else ((), ())
        return await launch(("bpftrace", "-f", "json", "-B", "line", *whose, "-e", program, *first), env=ENVIRONMENT)
    reason = why_not()
    if reason:
        raise ToolMissing(f"This program cannot be run: {reason}.", advice="Install the helper, or run as root.")
    text = program.encode()
    if len(text) > LONGEST:
        raise ToolDenied(f"The program is longer than {LONGEST // 1024} KiB.")
    head = json.dumps({"bytes": len(text)}).encode() + b"\n"
    return await _Own.start(own_argv(program, pid), head + text)


class _Own:
    """The runner, through pkexec: a `launcher.Running`. It ends when its stdin does."""

    def __init__(self, process: asyncio.subprocess.Process, stderr: IO[bytes]) -> None:
        self._process = process
        self._stderr = stderr
        self._last_words = ""

    @classmethod
    async def start(cls, argv: tuple[str, ...], text: bytes, env: Mapping[str, str] | None = None) -> _Own:
        stderr = tempfile.TemporaryFile(prefix="tailflame-")  # noqa: SIM115 - the process keeps it
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, "LC_ALL": "C", **(env or {})},
                limit=LINE_LIMIT,
                start_new_session=True,
            )
        except OSError as problem:
            stderr.close()
            raise ToolFailed(f"{argv[0]} could not be started: {problem.strerror}.") from problem
        own = cls(process, stderr)
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.write(text)
            await process.stdin.drain()
        return own

    @property
    def pid(self) -> int:
        return 0

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def lines(self) -> AsyncGenerator[bytes, None]:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            yield line.removesuffix(b"\n")

    async def wait(self) -> int:
        status = await self._process.wait()
        self._close()
        if status in (126, 127):
            raise refusal(status, self.stderr_text())
        return status

    def interrupt(self) -> None:
        """What is root's cannot be signalled: the end of its stdin asks it to end."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    async def stop(self, *, grace_s: float = 3.0) -> int:
        self.interrupt()
        assert self._process.stdout is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(grace_s, _END_S)):
                while await self._process.stdout.read(1 << 16):
                    pass
                await self._process.wait()
        if self._process.returncode is None:
            # It still asks for the password: once it is root it cannot be killed.
            # Not by its kill(), which looks first whether it has ended, and so takes its end from who waits for it.
            with contextlib.suppress(PermissionError, ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_KILL_WAIT_S):
                    await self._process.wait()
        self._close()
        return self._process.returncode if self._process.returncode is not None else -1

    def _close(self) -> None:
        if not self._stderr.closed:
            self._last_words = self.stderr_text()
            self._stderr.close()

    def stderr_text(self) -> str:
        if self._stderr.closed:
            return self._last_words
        size = os.fstat(self._stderr.fileno()).st_size
        data = os.pread(self._stderr.fileno(), _STDERR_SHOWN, max(size - _STDERR_SHOWN, 0))
        return data.decode(errors="replace")
