"""Talks to the privileged helper (packaging/helper): one long-lived process that starts tools in our stead.

It is asked for verbs with numbers and names, never for a command line; `request_of` says what a command line of ours
is in its words. What a tool writes comes back over the helper's stdout, so that every file is made by us and is ours.
A thread of its own reads that and writes the files: a recording with stacks brings 16 MB a second for each busy CPU.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tailflame.errors import TailflameError, ToolDenied, ToolFailed, ToolMissing
from tailflame.host.running import process_of
from tailflame.live.bpftrace_start import RecipeRequest
from tailflame.live.helper_requests import HelperRequest, request_of
from tailflame.live.helper_ring import RingFiles
from tailflame.live.launcher import Running
from tailflame.live.probe_program import ProbeRequest
from tailflame.live.terminal_agent import TerminalAgent

VERSION = 3
_STDERR_SHOWN = 64 << 10
_END_S = 90.0
"""For the helper to end its tools once it is let go of; perf may have much to write."""
_LAST_WORDS_S = 5.0
_CHECKED_BY_PKEXEC = ("SHELL", "LANG", "LANGUAGE", "LINGUAS", "TERM", "COLORTERM", "DISPLAY", "XAUTHORITY")
"""pkexec starts nothing where it does not like one of them, such as a shell that is not in /etc/shells."""


class HelperClient:
    """A running helper. Made by `start`; `close` ends it with everything that it has started."""

    def __init__(self, process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._process = process
        self._loop = loop
        self._jobs: dict[int, _Job] = {}
        self._next = 1
        self._greeted: asyncio.Future[None] = loop.create_future()
        self._gone = asyncio.Event()
        self._last_words: deque[str] = deque(maxlen=20)
        self._reader = threading.Thread(target=self._read, name="tailflame-worker-helper", daemon=True)

    @classmethod
    async def start(cls, argv: Sequence[str], *, terminal: bool = False) -> HelperClient:
        """Starts the helper, `argv` as `host.privilege.Means.argv` has it, and waits until it speaks.

        With pkexec that is until the user has given the password: cancel it to give up. terminal: they may be asked in
        ours, where there is no desktop that asks.

        Raises:
            ToolMissing: pkexec, sudo or the helper is not there.
            ToolDenied: the user or the system does not permit it.
            ToolFailed: it is another version, or does not work.
        """
        try:
            return await cls._start(argv, terminal=terminal)
        except ToolDenied as denial:
            if not terminal or not _nobody_asks(denial.details):
                raise
        # There is no desktop that asks: then we do, in our terminal.
        agent = TerminalAgent()
        try:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(agent.start)
            return await cls._start(argv, terminal=terminal)
        finally:
            await asyncio.to_thread(agent.close)

    @classmethod
    async def _start(cls, argv: Sequence[str], *, terminal: bool) -> HelperClient:
        loop = asyncio.get_running_loop()
        try:
            process = await asyncio.to_thread(_popen, tuple(argv), terminal)
        except FileNotFoundError as problem:
            raise ToolMissing(f"{argv[0]} is not installed.", details=str(problem)) from problem
        except OSError as problem:
            raise ToolDenied(f"{argv[0]} could not be started: {problem.strerror}.") from problem
        client = cls(process, loop)
        client._reader.start()
        try:
            await client._greeted
        except BaseException:
            await client.close()
            raise
        return client

    @property
    def alive(self) -> bool:
        return not self._gone.is_set()

    async def close(self) -> None:
        """Its tools are asked to end, and have ended, when this returns. May be called again."""
        await asyncio.to_thread(self._let_go)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._gone.wait()

    def _let_go(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        if not self._greeted.done() or self._greeted.cancelled():
            # It still asks for the password, and does not look at its stdin. Once it is root it cannot be killed.
            with contextlib.suppress(PermissionError):
                self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)

    # Starting tools.

    async def __call__(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdout: Path | None = None
    ) -> Running:
        """As `launcher.Launcher` says, for the command lines that `request_of` knows. `env` is the helper's own.

        Raises:
            ToolDenied: the helper refuses, or does not run such a command.
            ToolFailed: it has ended.
        """
        return await self._run(request_of(argv), stdout=stdout)

    async def probe(self, request: ProbeRequest) -> Running:
        """bpftrace with the program that the helper itself composes from the request; its JSON lines are `lines`.

        A `function_probe.ProbeStart`. The helper opens the binary through the program's own mapping, and knows it by
        the name that stands there.
        """
        fields = {
            "binary": await asyncio.to_thread(_as_mapped, request.binary),
            "symbols": list(request.symbols),
            "recursive": list(request.recursive),
            "interval_ms": request.interval_ms,
            "slow_ns": list(request.slow_ns),
            "slow_per_s": request.slow_per_s,
        }
        return await self._run(HelperRequest("probe", request.pid, fields))

    async def recipe(self, request: RecipeRequest) -> Running:
        """bpftrace with a recipe of the helper's own; its JSON lines are `lines`. A `bpftrace_start.RecipeStart`."""
        values = dict(request.values)
        for parameter in request.recipe.parameters:
            if parameter.kind == "file":
                values[parameter.name] = await asyncio.to_thread(_as_mapped, values[parameter.name])
        fields = {"recipe": request.recipe.name, "values": values, "interval_ms": request.live_ms}
        return await self._run(HelperRequest("recipe", request.pid, fields))

    async def _run(self, request: HelperRequest, *, stdout: Path | None = None) -> Running:
        process = await asyncio.to_thread(process_of, request.pid)
        if process is None:
            raise ToolFailed(f"There is no process {request.pid} any more.", advice="Choose one that runs.")
        number, self._next = self._next, self._next + 1
        files: _Files | RingFiles
        if request.verb == "perf-ring" and request.out is not None:
            files = RingFiles(request.out)
        else:
            kept = {"out": stdout, "file" if request.verb == "perf-record" else "out": request.out or stdout}
            files = await asyncio.to_thread(_Files.open, kept)
        job = self._jobs[number] = _Job(self, number, files, asyncio.get_running_loop())
        message = {
            "job": number,
            "verb": request.verb,
            "pid": request.pid,
            "start": process.start_ticks,
            **request.fields,
        }
        try:
            await asyncio.to_thread(self.tell, message)
            await job.begun
        except ToolFailed:
            job.hear({"event": "lost", "reason": "The privileged helper has ended."})
            job.let_go()
            raise
        except BaseException:
            job.let_go()
            raise
        return job

    def tell(self, message: Mapping[str, Any]) -> None:
        """Writes to the helper; a line is short, so that no pipe is ever full of them."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as problem:
            raise ToolFailed(
                "The privileged helper has ended.", advice="Ask for the permission again.", details=self.words
            ) from problem

    @property
    def words(self) -> str:
        return "\n".join(self._last_words)

    # Listening, in the reader's thread.

    def _read(self) -> None:
        assert self._process.stdout is not None and self._process.stderr is not None
        errors = threading.Thread(target=self._read_errors, name="tailflame-worker-helper-errors", daemon=True)
        errors.start()
        for line in self._process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                self._last_words.append(line.decode(errors="replace").strip())
                continue
            self._hear(message)
        status = self._process.wait()
        errors.join()
        self._process.stdout.close()
        self._process.stderr.close()
        self._post(self._end, status)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._last_words.append(line.decode(errors="replace").strip())

    def _hear(self, message: dict[str, Any]) -> None:
        job = self._jobs.get(message.get("job", 0))
        if "stream" in message:
            data = base64.b64decode(message["data"])
            if job is None:
                return
            if not job.files.take(message["stream"], data, message.get("at", 0)):
                self._post(job.take, message["stream"], data)
        elif message.get("event") == "hello":
            self._post(self._greet, int(message["version"]))
        elif message.get("event") == "refused" and job is None:
            self._last_words.append(str(message.get("reason", "")))
        elif job is not None:
            if message.get("event") == "ended":
                job.files.close()
            elif isinstance(job.files, RingFiles) and message.get("event") == "armed":
                job.files.armed()
            elif isinstance(job.files, RingFiles) and message.get("event") == "snapshot":
                job.files.completed()
            self._post(job.hear, message)

    def _post(self, call: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(call, *arguments)

    # What the reader posts to the loop.

    def _greet(self, version: int) -> None:
        if self._greeted.done():
            return
        if version == VERSION:
            self._greeted.set_result(None)
        else:
            self._greeted.set_exception(
                ToolFailed(
                    f"The installed helper is of another version ({version}, not {VERSION}).",
                    advice="Install it anew with: sudo make install-helper",
                )
            )

    def _end(self, status: int) -> None:
        failure = refusal(status, self.words)
        if not self._greeted.done():
            self._greeted.set_exception(failure)
        for job in tuple(self._jobs.values()):
            job.hear({"event": "lost", "reason": "The privileged helper has ended."})
        self._gone.set()

    def forget(self, number: int) -> None:
        self._jobs.pop(number, None)


class _Files:
    """Where the streams of a job go that are kept in files; written by the reader's thread alone."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}
        self.problem: OSError | None = None

    @classmethod
    def open(cls, kept: Mapping[str, Path | None]) -> _Files:
        """`kept`: the file of each stream that has one. Raises ToolFailed."""
        files = cls()
        for stream, path in kept.items():
            if path is not None:
                try:
                    files._open[stream] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
                except OSError as problem:
                    files.close()
                    raise ToolFailed(f"{path} cannot be written: {problem.strerror}.") from problem
        return files

    def take(self, stream: str, data: bytes, at: int) -> bool:
        """False where the stream is not kept in a file."""
        descriptor = self._open.get(stream)
        if descriptor is None:
            return stream == "file"
        try:
            while data:
                done = os.pwrite(descriptor, data, at) if stream == "file" else os.write(descriptor, data)
                data, at = data[done:], at + done
        except OSError as problem:
            self.problem = problem
        return True

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])


class _Job:
    """A tool that the helper has started: `launcher.Running`."""

    def __init__(
        self, client: HelperClient, number: int, files: _Files | RingFiles, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._client = client
        self._number = number
        self.files = files
        self.begun: asyncio.Future[None] = loop.create_future()
        self._parts: deque[bytes] = deque()
        self._stderr = ""
        self._returncode: int | None = None
        self._discard = False
        self._news = asyncio.Event()
        self._gone = asyncio.Event()

    @property
    def pid(self) -> int:
        return 0

    @property
    def returncode(self) -> int | None:
        return self._returncode

    async def lines(self) -> AsyncIterator[bytes]:
        rest = b""
        while True:
            while self._parts:
                *whole, rest = (rest + self._parts.popleft()).split(b"\n")
                for line in whole:
                    yield line
            if self._gone.is_set():
                break
            self._news.clear()
            await self._news.wait()
        if rest:
            yield rest

    async def wait(self) -> int:
        await self._gone.wait()
        assert self._returncode is not None
        return self._returncode

    def interrupt(self) -> None:
        if not self._gone.is_set():
            with contextlib.suppress(TailflameError):
                self._client.tell({"stop": self._number})

    def snapshot(self) -> None:
        """Refused for any tool but the ring of perf."""
        if not self._gone.is_set():
            with contextlib.suppress(TailflameError):
                self._client.tell({"snapshot": self._number})

    async def stop(self, *, grace_s: float = 3.0) -> int:
        """The helper itself kills what does not end; `grace_s` is its own."""
        self._discard = True
        self._parts.clear()
        self.interrupt()
        return await self.wait()

    def stderr_text(self) -> str:
        return self._stderr

    def let_go(self) -> None:
        """Where nobody waits for it any more."""
        self.interrupt()
        self._discard = True
        if self.begun.done() and not self.begun.cancelled():
            self.begun.exception()

    # What the reader posts.

    def take(self, stream: str, data: bytes) -> None:
        if stream == "err":
            self._stderr = (self._stderr + data.decode(errors="replace"))[-_STDERR_SHOWN:]
        elif not self._discard:
            self._parts.append(data)
        self._news.set()

    def hear(self, message: Mapping[str, Any]) -> None:
        match message.get("event"):
            case "started":
                if not self.begun.done():
                    self.begun.set_result(None)
            case "refused":
                if not self.begun.done():
                    self.begun.set_exception(ToolDenied(str(message["reason"])))
                self._end(-1)
            case "said":
                self._stderr += f"{message['reason']}\n"
            case "lost":
                if not self.begun.done():
                    self.begun.set_exception(ToolFailed(str(message["reason"]), advice="Ask for the permission again."))
                self._stderr += f"{message['reason']}\n"
                self._end(-1)
            case "ended":
                if self.files.problem is not None:
                    self._stderr += f"The result could not be written: {self.files.problem.strerror}\n"
                self._end(int(message["status"]))

    def _end(self, status: int) -> None:
        self.files.close()
        if self._returncode is None:
            self._returncode = status
        self._gone.set()
        self._news.set()
        self._client.forget(self._number)


def _as_mapped(binary: str) -> str:
    """A path as /proc/PID/maps has it: `/proc/4711/exe` leads to "/opt/engine (deleted)" where it was built anew."""
    return os.path.realpath(binary).removesuffix(" (deleted)")


def _popen(argv: tuple[str, ...], terminal: bool) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(),
        start_new_session=not terminal,
    )


def _environment() -> dict[str, str]:
    """What pkexec and sudo need of ours; the helper itself takes none of it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _CHECKED_BY_PKEXEC and not name.startswith("LC_")
    }
    return {**kept, "LC_ALL": "C"}


def _nobody_asks(words: str) -> bool:
    return "authentication agent" in words


def refusal(status: int, words: str) -> TailflameError:
    """Why the helper did not start, from what pkexec, sudo or the helper itself left."""
    if status in (126, -signal.SIGINT):  # dismissed; Ctrl-C where the terminal asks
        return ToolDenied(
            "The permission was not given.",
            advice="Ask again and confirm with the password, or go on with what works without it.",
            details=words,
        )
    if "Not authorized" in words:
        return ToolDenied(
            "The permission was not given: the password was wrong, or the rules of this system (polkit) forbid it.",
            advice="Ask again, or go on with what works without it.",
            details=words,
        )
    if "must be setuid root" in words:
        return ToolDenied(
            "pkexec cannot become root here, as in containers that forbid it.",
            advice="Start Tailflame as root, or go on with what works without it.",
            details=words,
        )
    if _nobody_asks(words):
        return ToolDenied(
            "Nobody can ask you for the password here: there is no authentication agent, as in most SSH sessions.",
            advice="Start Tailflame with sudo, or in the desktop session.",
            details=words,
        )
    if "authority" in words:
        return ToolDenied(
            "polkit is not running, so that pkexec cannot ask for the permission.",
            advice="Start Tailflame with sudo, or start the service polkit.",
            details=words,
        )
    if "password is required" in words or "may not run sudo" in words or "is not in the sudoers" in words:
        return ToolDenied("sudo asks for a password.", advice="Install the helper: make install-helper", details=words)
    return ToolFailed(
        "The privileged helper could not be started.",
        advice="Install it anew with: make install-helper",
        details=words,
    )
