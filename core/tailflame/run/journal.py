"""What was run: every command line, when, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from tailflame.run.outcome import Outcome
from tailflame.tools.base import command_line


@dataclass(frozen=True, slots=True)
class Entry:
    """One program that was started. `outcome` is None while it runs.

    `guard` stands before `argv` on the real command line; it lets the tool finish its file should Tailflame die.
    """

    number: int
    argv: tuple[str, ...]
    started_at: datetime
    guard: tuple[str, ...] = ()
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What was laid over the user's environment."""
    pid: int | None = None
    outcome: Outcome | None = None
    problem: str = ""

    @property
    def command_line(self) -> str:
        return command_line(self.argv, env=self.env, cwd=self.cwd)


class Journal:
    """The entries of this session, oldest first; `changed` hears of each new one and of each that ended."""

    def __init__(self, changed: Callable[[Entry], None] | None = None) -> None:
        self._entries: list[Entry] = []
        self.changed = changed

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._entries)

    def started(
        self,
        argv: tuple[str, ...],
        *,
        guard: tuple[str, ...] = (),
        cwd: Path | None = None,
        env: Mapping[str, str] = MappingProxyType({}),
        pid: int | None = None,
    ) -> Entry:
        """A program has been started, or tried to."""
        entry = Entry(
            number=len(self._entries),
            argv=argv,
            started_at=datetime.now().astimezone(),
            guard=guard,
            cwd=cwd,
            env=env,
            pid=pid,
        )
        self._entries.append(entry)
        self._tell(entry)
        return entry

    def ended(self, entry: Entry, outcome: Outcome | None, *, problem: str = "") -> Entry:
        """It has ended, or it could not be started and `problem` says why."""
        done = replace(self._entries[entry.number], outcome=outcome, problem=problem)
        self._entries[entry.number] = done
        self._tell(done)
        return done

    def _tell(self, entry: Entry) -> None:
        if self.changed is not None:
            self.changed(entry)
