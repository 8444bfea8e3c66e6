"""Short commands around a recording: what makes its result after it, and what is asked of the program during it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tailflame.errors import TailflameError, ToolFailed
from tailflame.host.install import install_command
from tailflame.host.system import find_tool
from tailflame.run.events import Requested
from tailflame.run.growth import left_files
from tailflame.run.journal import Entry, Journal
from tailflame.run.outcome import Outcome
from tailflame.run.process import Child, guard
from tailflame.tools.base import Plan, Request, Step

_WORDS_SHOWN = 300
"""Characters of a command's last words in a sentence."""
_KILLED_S = 5.0
"""How long one that was killed may take to be gone: a disk that does not answer holds it."""


@dataclass(slots=True, eq=False)
class Command:
    """A command that runs. `title` says what it does, `asked` the wish that it serves."""

    title: str
    child: Child
    entry: Entry
    journal: Journal
    words_in: Path
    began: float
    asked: Request | None = None
    artifact: Path | None = None
    known: frozenset[Path] = frozenset()
    """The files that the tool had left before."""
    killed: bool = False

    @classmethod
    async def start(
        cls,
        title: str,
        argv: tuple[str, ...],
        plan: Plan,
        journal: Journal,
        *,
        wake: Callable[[], None],
        stdin: Path | None = None,
        stdout: Path | None = None,
        asked: Request | None = None,
    ) -> Command:
        """Start `argv`, whose words are kept in a hidden file of the plan's folder until it has ended.

        Raises ToolMissing or ToolFailed where it cannot be started.
        """
        entry = journal.started(argv, env={"LC_ALL": "C"})
        words = plan.out / f".command_{entry.number}.txt"
        try:
            child = await Child.start(
                (*guard("TERM"), *argv) if find_tool(argv[0]) else argv,
                wake=wake,
                stdout=stdout or words,
                stderr=words,
                cwd=None,
                env={
                    **os.environ,
                    "LC_ALL": "C",
                },  # and nothing of what the program gets, a preloaded library above all
                stdin=stdin,
            )
        except TailflameError as problem:
            words.unlink(missing_ok=True)
            error = type(problem)(problem.sentence, advice=problem.advice or install_command(argv[0]))
            journal.ended(entry, None, problem=error.sentence)
            raise error from problem
        return cls(title, child, entry, journal, words, time.monotonic(), asked)

    def kill(self) -> None:
        """It and all that it has started."""
        if not self.child.ended:
            self.killed = True
            self.child.signal_group(signal.SIGKILL)

    async def over(self) -> str:
        """What it had to say; one that still runs is killed. No trace of it is left."""
        self.kill()
        await self.child.ends_within(_KILLED_S)
        try:
            words = self.words_in.read_bytes()[-(64 << 10) :].decode(errors="replace").strip()
        except FileNotFoundError:
            words = ""
        self.words_in.unlink(missing_ok=True)
        self.child.close()
        outcome = Outcome.of(self.entry.argv[0], self.child.returncode, time.monotonic() - self.began)
        self.journal.ended(self.entry, outcome, problem="" if self.child.returncode == 0 else words[-_WORDS_SHOWN:])
        return words

    def failure(self, words: str) -> ToolFailed | None:
        """Why it has not done what it was started for; None where it has."""
        if self.child.returncode == 0:
            return None
        last = words.splitlines()[-1].strip().rstrip(".")[:_WORDS_SHOWN] if words else ""
        program = Path(self.entry.argv[0]).name
        how = f"{program} did not answer" if self.killed else f"{program} failed"
        told = f"{self.title}: {how}" if self.asked is not None else f"{how} while {self.title}"
        return ToolFailed(f"{told}{f': {last}' if last else ''}.", details=words)


class Requests:
    """What is asked of the program while it runs, one command after the other."""

    def __init__(self, plan: Plan, journal: Journal, *, patience_s: float, wake: Callable[[], None]) -> None:
        """patience_s: how long one may take before it is given up."""
        self._plan = plan
        self._journal = journal
        self._patience_s = patience_s
        self._wake = wake
        self._waiting: list[str] = []
        self._asked: dict[str, int] = {}
        self._running: Command | None = None

    def ask(self, name: str) -> None:
        """From any thread; `step` does it."""
        self._waiting.append(name)

    @property
    def busy(self) -> bool:
        return self._running is not None

    @property
    def deadline(self) -> float:
        """When the running one is given up."""
        return self._running.began + self._patience_s if self._running is not None else float("inf")

    async def step(self, pid: int | None) -> list[Requested]:
        """What has become of the wishes since; the next one is begun. pid: the program, None where it does not run."""
        told: list[Requested] = []
        if self._running is not None:
            if not self._running.child.ended and time.monotonic() >= self.deadline:
                self._running.kill()
            if self._running.child.ended:
                told.append(await self._over(self._running))
                self._running = None
        while self._waiting and self._running is None:
            name = self._waiting.pop(0)
            try:
                self._running = await self._begin(name, pid)
            except TailflameError as problem:
                told.append(Requested(name, error=problem))
        return told

    async def _begin(self, name: str, pid: int | None) -> Command:
        request = next((request for request in self._plan.requests if request.name == name), None)
        if request is None:
            raise ToolFailed(f"This recording cannot be asked for “{name}”.")
        if pid is None:
            raise ToolFailed(f"{request.title}: the program does not run.")
        number = self._asked[name] = self._asked.get(name, 0) + 1

        def said(word: str) -> str:
            return word.replace("{pid}", str(pid)).replace("{n}", str(number))

        argv = tuple(map(said, request.argv))
        known = frozenset(left_files(self._plan))
        command = await Command.start(request.title, argv, self._plan, self._journal, wake=self._wake, asked=request)
        command.artifact = self._plan.out / said(request.artifact) if request.artifact else None
        command.known = known
        return command

    async def _over(self, command: Command) -> Requested:
        assert command.asked is not None
        words, path = await command.over(), command.artifact
        error = command.failure(words)
        if path is None and (new := [path for path in left_files(self._plan) if path not in command.known]):
            # Whatever the exit code says: gdb's is that of its last command alone.
            return Requested(command.asked.name, new[-1])
        if error is None and path is not None and not (path.is_file() and path.stat().st_size):
            error = ToolFailed(f"{command.asked.title}: nothing was written.", details=words)
        return Requested(command.asked.name, path if error is None else None, error)

    async def drop(self) -> list[Requested]:
        """Nothing is asked any more: the program has ended."""
        told = []
        if self._running is not None:
            ended = self._running.child.ended
            answer = await self._over(self._running)
            told.append(answer if ended else Requested(answer.name, error=ToolFailed("The program ended meanwhile.")))
            self._running = None
        told += [Requested(name, error=ToolFailed("The program has ended.")) for name in self._waiting]
        self._waiting.clear()
        return told


async def start_step(step: Step, plan: Plan, journal: Journal, *, wake: Callable[[], None]) -> Command:
    """Begin a step that makes the result. Raises ToolMissing or ToolFailed."""
    return await Command.start(step.title, step.argv, plan, journal, wake=wake, stdin=step.stdin, stdout=step.stdout)


def has_input(step: Step) -> bool:
    """Whether there is anything for a step to read: a tool that has failed may have left nothing."""
    try:
        return step.stdin is None or step.stdin.stat().st_size > 0
    except OSError:
        return False
