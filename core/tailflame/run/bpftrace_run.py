"""A recipe, or a program of one's own, at work: started, followed while its maps grow, ended, and left as a file.

Recording with the recorder (tools/bpftrace.py) gives the same file. This one also shows what is known so far, and gets
the permission that a user has who is not root. A program that is started here is started by bpftrace (-c), so as root.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from tailflame.errors import TailflameError, TargetError, ToolDenied, ToolFailed
from tailflame.host.binary import check_runnable
from tailflame.host.processes import find_child
from tailflame.host.running import RunningProcess
from tailflame.live.bpftrace_own import start_own
from tailflame.live.bpftrace_start import RecipeRequest, RecipeStart, recipes_as_ourselves
from tailflame.live.launcher import Running, lines_of, start
from tailflame.model.maps import ProbeMaps
from tailflame.parse.bpftrace import maps_of
from tailflame.parse.bpftrace_output import BpftraceOutput
from tailflame.parse.bpftrace_recipe import ENVIRONMENT, LIVE_MS_USUAL, Recipe, compose, values_of
from tailflame.tools.base import Target, command_line
from tailflame.tools.bpftrace import RESULT, child_command, given_values, program_argv
from tailflame.tools.bpftrace_words import explained, mistakes, serious

SHOW_EVERY_S = 0.25
_ENDS_WITHIN_S = 15.0
_AGAIN_AFTER_S = 2.0
_CHILD_ENDS_WITHIN_S = 10.0
_LONGEST_LINE = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeWish:
    """What is asked, and of whom. recipe: None for a program of one's own, `text`. target: its pid, or what to start.

    values: the recipe's parameters; missing ones have their defaults.
    """

    target: Target | None
    recipe: Recipe | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    text: str = ""
    duration_s: float | None = None
    live_ms: int = LIVE_MS_USUAL

    @property
    def pid(self) -> int | None:
        return self.target.pid if self.target is not None else None

    def program(self) -> str:
        """The exact text that runs. Raises TargetError where a parameter is not what it must be."""
        if self.recipe is None:
            return self.text
        if self.target is None:
            raise TargetError(f"“{self.recipe.title}” looks at a program.", advice="Choose one that runs.")
        try:
            return compose(self.recipe, self._given(), pid=self.pid, machine=os.uname().machine, live_ms=self.live_ms)
        except ValueError as problem:
            raise TargetError(f"“{self.recipe.title}” cannot be asked: {problem}.") from problem

    def request(self) -> RecipeRequest:
        """Raises TargetError."""
        assert self.recipe is not None
        if self.pid is None:
            raise TargetError("There is no process to look at.")
        try:
            values = values_of(self.recipe, self._given())
        except ValueError as problem:
            raise TargetError(f"“{self.recipe.title}” cannot be asked: {problem}.") from problem
        return RecipeRequest(recipe=self.recipe, values=values, pid=self.pid, live_ms=self.live_ms)

    def argv(self) -> tuple[str, ...]:
        """The command, as root would write it; its result goes to stdout. Raises TargetError."""
        started = self.target.argv if self.target is not None and self.pid is None else ()
        # A program of one's own finds the process in $1.
        first = (str(self.pid),) if self.recipe is None and self.pid is not None else ()
        return program_argv(("-e", self.program(), *first), None, start=started, pid=self.pid)

    def command_line(self) -> str:
        return command_line(self.argv(), env=ENVIRONMENT)

    def _given(self) -> dict[str, object]:
        assert self.recipe is not None
        binary = self.target.binary if self.target is not None else Path()
        return given_values(self.recipe, self.values, binary)


def attached_target(process: RunningProcess) -> Target:
    """A running program, by the file that it was started from where that is still there, else through /proc."""
    file = process.binary
    try:
        same = file is not None and file.samefile(process.image)
    except OSError:
        same = False
    return Target(
        binary=file if file is not None and same else process.image, args=process.command[1:], pid=process.pid
    )


@dataclass(frozen=True, slots=True)
class ProbeBegan:
    """The probes are on, or about to be."""

    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProbeSeen:
    """What is known after so many seconds."""

    maps: ProbeMaps
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class ProbeEnded:
    """`result`: the file it has left, None where there is nothing in it. outcome: a sentence."""

    result: Path | None
    outcome: str
    duration_s: float
    maps: ProbeMaps
    said: str = ""
    """What bpftrace complained of all the same."""


ProbeUpdate: TypeAlias = ProbeBegan | ProbeSeen | ProbeEnded


class ProbeRun:
    """One run. `updates` yields what happens; `stop`, in the loop's thread, asks it to end and keeps what there is."""

    def __init__(self, wish: ProbeWish, out: Path, *, start_recipe: RecipeStart | None = None) -> None:
        """out: an existing folder. start_recipe: who starts a recipe for a running program; by default we do."""
        self.wish = wish
        self.result = out / RESULT
        self._out = out
        self._start_recipe = start_recipe or recipes_as_ourselves()
        self._output = BpftraceOutput()
        self._asked = False
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        self._asked = True
        self._stopped.set()

    async def updates(self) -> AsyncGenerator[ProbeUpdate, None]:
        """Raises TailflameError where it does not work; closing it ends everything."""
        argv = self.wish.argv()
        running = await self._started()
        began = time.monotonic()
        try:
            yield ProbeBegan(argv)
            shown = 0
            async for lines in self._news(running, began):
                if lines and self._output.lines != shown:
                    shown = self._output.lines
                    yield ProbeSeen(await asyncio.to_thread(maps_of, self._output), time.monotonic() - began)
            status = await running.wait()
        finally:
            await running.stop(grace_s=_ENDS_WITHIN_S)
        yield await self._ended(running, status, time.monotonic() - began)

    async def _started(self) -> Running:
        wish = self.wish
        if wish.target is not None and wish.pid is None:
            return await self._launched(wish.target)
        if wish.recipe is None:
            return await start_own(wish.text, wish.pid)
        return await self._start_recipe(wish.request())

    async def _launched(self, target: Target) -> Running:
        if os.geteuid() != 0:
            raise ToolDenied(
                "bpftrace runs as root alone, and would start the program as root.",
                advice="Start the program yourself and attach to it, or start Tailflame as root.",
            )
        await asyncio.to_thread(check_runnable, target.binary)
        argv = program_argv(("-e", self.wish.program()), self.result, start=target.argv)
        # LC_ALL as it was: the program inherits it.
        env = {"LC_ALL": os.environ.get("LC_ALL", ""), **target.env, **ENVIRONMENT}
        return await start(argv, env=env, cwd=target.cwd, stdout=self._out / "stdout.txt")

    async def _news(self, running: Running, began: float) -> AsyncGenerator[int, None]:
        """How many lines have come, now and then; ends when it has ended."""
        launched = self.wish.target is not None and self.wish.pid is None
        reader = self._tail(running) if launched else self._copy(running)
        asked_at = again_at = 0.0
        try:
            async for number in reader:
                yield number
                now = time.monotonic()
                late = self.wish.duration_s is not None and now - began >= self.wish.duration_s
                if (self._asked or late) and now >= again_at and running.returncode is None:
                    asked_at = asked_at or now
                    await self._ask_to_end(running, launched=launched, waited_s=now - asked_at)
                    again_at = now + _AGAIN_AFTER_S
        finally:
            await reader.aclose()

    async def _ask_to_end(self, running: Running, *, launched: bool, waited_s: float) -> None:
        """What was started is asked, once, and not the tool: bpftrace kills it where it is asked itself.

        waited_s: since it was asked first. bpftrace misses a signal that comes while it begins to listen.
        """
        child = await asyncio.to_thread(find_child, running.pid) if launched else None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if child is not None and waited_s < _CHILD_ENDS_WITHIN_S:
                if not waited_s:
                    os.kill(child, signal.SIGTERM)
            elif waited_s and running.pid:
                os.kill(running.pid, signal.SIGINT)
            else:
                running.interrupt()

    async def _tail(self, running: Running) -> AsyncGenerator[int, None]:
        """The lines of the file that it writes."""
        rest, at = b"", 0
        ended = False
        while True:
            ended = running.returncode is not None
            data = await asyncio.to_thread(_read_from, self.result, at)
            at += len(data)
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                raise ToolFailed("bpftrace has written a line that is longer than any it should write.")
            for line in lines:
                self._output.feed(line.decode(errors="backslashreplace"))
            yield len(lines)
            if ended and not data:
                return
            await self._pause(running)

    async def _copy(self, running: Running) -> AsyncGenerator[int, None]:
        """The lines of its stdout, which go to our file."""
        waiting: list[bytes] = []
        came = asyncio.Event()
        over = False
        problem: TailflameError | None = None

        async def read() -> None:
            nonlocal over, problem
            try:
                async with lines_of(running) as lines:
                    async for line in lines:
                        waiting.append(line)
                        came.set()
            except TailflameError as failure:
                problem = failure
            finally:
                over = True
                came.set()

        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read())
            try:
                with self.result.open("wb") as file:
                    while not over or waiting:
                        now, waiting[:] = list(waiting), []
                        for line in now:
                            file.write(line + b"\n")
                            self._output.feed(line.decode(errors="backslashreplace"))
                        file.flush()
                        yield len(now)
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(SHOW_EVERY_S):
                                await came.wait()
                        came.clear()
                        if not over and now:
                            await self._pause(running)
            finally:
                reading.cancel()
        if problem is not None:
            raise problem

    async def _pause(self, running: Running) -> None:
        """Until it is time to show more, or somebody asks it to end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHOW_EVERY_S):
                if self._asked:
                    await running.wait()
                else:
                    await self._stopped.wait()

    async def _ended(self, running: Running, status: int, seconds: float) -> ProbeEnded:
        self._output.end()
        said = running.stderr_text()
        if self.wish.target is not None and self.wish.pid is None:
            said = await asyncio.to_thread(_own_words, said)
        printed = self._output.text
        if not self._output.maps and (status != 0 or not self._output.known):
            error = explained(f"{said}\n{printed}")
            if error is None and status != 0:
                error = ToolFailed(f"bpftrace ended with status {status}.", details=serious(said))
            if error is not None:
                raise error
        maps = await asyncio.to_thread(maps_of, self._output)
        worth = bool(maps.maps or printed.strip())
        outcome = "stopped" if self._asked else "ended"
        return ProbeEnded(self.result if worth else None, outcome, seconds, maps, serious(said))


def _read_from(path: Path, at: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(at)
            return file.read(4 << 20)
    except FileNotFoundError:
        return b""


def _own_words(said: str) -> str:
    """bpftrace's lines among those of the program that it has started."""
    lines = [line for line in said.split("\n") if "ERROR" in line or mistakes(line) or "probe" in line]
    return "\n".join(lines)


__all__ = [
    "ProbeBegan",
    "ProbeEnded",
    "ProbeRun",
    "ProbeSeen",
    "ProbeUpdate",
    "ProbeWish",
    "attached_target",
    "child_command",
]
