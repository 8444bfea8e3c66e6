"""What a tool is: it knows what it can do on this host, and turns wishes into a plan.

A plan is data. `plan()` starts nothing and looks at nothing, so that a command line is tested without the tool.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, TypeVar

from tailflame.errors import TailflameError
from tailflame.host.system import Host

_NO_ENV: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Target:
    """The program to profile. `env` is laid over the user's own environment."""

    binary: Path
    args: tuple[str, ...] = ()
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=lambda: _NO_ENV)

    @property
    def argv(self) -> tuple[str, ...]:
        return (str(self.binary), *self.args)

    @property
    def name(self) -> str:
        return self.binary.name

    def environment(self) -> dict[str, str]:
        """The whole environment the program starts with."""
        return {**os.environ, **self.env}


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of one tool, before it happens.

    `artifacts` maps a role to the file the tool will leave; `primary` is the role that opens as the result.
    """

    tool: str
    argv: tuple[str, ...]
    target: Target
    out: Path
    artifacts: Mapping[str, Path]
    primary: str
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=lambda: _NO_ENV)
    duration_s: float | None = None
    """How long the target runs before it is asked to stop; None: until it ends or is stopped."""
    builds_first: bool = False
    """The tool compiles before it starts the target."""
    moves: Mapping[Path, Path] = field(default_factory=lambda: MappingProxyType({}))
    """Files that the tool leaves elsewhere, and where they belong."""
    mirrors_target: bool = False
    """The tool ends with the exit code or the signal of its target."""
    samples_hz: float = 0.0
    """Samples to expect per second of CPU time, all events together; 0 where that cannot be told."""
    own_lines: re.Pattern[str] | None = None
    """Lines on stderr that are the tool's and not the target's."""

    @property
    def result(self) -> Path:
        """The file that opens as the result."""
        return self.artifacts[self.primary]

    def environment(self) -> dict[str, str]:
        return {**self.target.environment(), **self.env}

    @property
    def command_line(self) -> str:
        """The exact command, quoted for a terminal, with the environment and the folder that are not the user's."""
        return command_line(self.argv, env={**self.target.env, **self.env}, cwd=self.cwd)


def command_line(argv: tuple[str, ...], *, env: Mapping[str, str] = _NO_ENV, cwd: Path | None = None) -> str:
    """`argv` as one line to paste into a terminal."""
    words = [f"{name}={shlex.quote(value)}" for name, value in sorted(env.items())]
    line = " ".join([*words, shlex.join(argv)])
    return f"cd {shlex.quote(str(cwd))} && {line}" if cwd is not None else line


@dataclass(frozen=True, slots=True)
class Capability:
    """Whether an option can work here. `option` is "call graph=lbr" or "event=cycles"; `reason` says why it is off."""

    option: str
    available: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a tool can do on this host."""

    available: bool
    reason: str = ""
    fix: str = ""
    version: str = ""
    options: tuple[Capability, ...] = ()

    def option(self, name: str) -> Capability:
        """The capability called `name`; what nobody probed is taken as available."""
        return next((o for o in self.options if o.option == name), Capability(name, True))


OptionsT = TypeVar("OptionsT")


class Tool(Protocol[OptionsT]):
    """One profiler."""

    @property
    def name(self) -> str:
        """Stable, for files and the command line: perf-record."""

    @property
    def title(self) -> str:
        """For people: perf record."""

    @property
    def answers(self) -> str:
        """The question it answers, one sentence."""

    @property
    def cost(self) -> str:
        """What it costs the target, one sentence."""

    def probe(self, host: Host) -> Capabilities: ...

    def defaults(self, host: Host) -> OptionsT:
        """The options that work best here."""

    def plan(self, target: Target, options: OptionsT, out: Path) -> Plan: ...

    def explain(self, output: str, plan: Plan) -> TailflameError | None:
        """What the tool's own words mean, where they tell of a failure."""
