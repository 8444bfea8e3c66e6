"""What a tool is: it knows what it can do on this host, and turns wishes into a plan.

A plan is data. `plan()` starts nothing and looks at nothing, so that a command line is tested without the tool.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, TypeAlias, TypeVar

from tailflame.errors import TailflameError
from tailflame.host.system import Host
from tailflame.tools.findings import Finding

_NO_ENV: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Target:
    """The program to profile. `env` is laid over the user's own environment.

    pid: the running process to attach to; `binary` and `args` then say what it runs, and nothing is started.
    """

    binary: Path
    args: tuple[str, ...] = ()
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=lambda: _NO_ENV)
    pid: int | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        return (str(self.binary), *self.args)

    @property
    def name(self) -> str:
        return self.binary.name

    def environment(self) -> dict[str, str]:
        """The whole environment the program starts with."""
        return {**os.environ, **self.env}


class TargetIs(StrEnum):
    """How the program that is profiled is found among the processes, and with it, who is signalled to stop."""

    CHILD_OF_PERF = "child of perf"
    ITSELF = "itself"
    """What is started becomes the program by exec, or is the program: valgrind, a preloaded library."""
    CHILD = "child"
    """The first child of the tool: strace, bpftrace -c."""
    RUNNING = "running"
    """`Target.pid` ran before; the tool is signalled to stop, the program never."""
    REPEATED = "repeated"
    """The tool starts the program again and again; it is signalled to stop, and passes that on (host/repeat.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command that makes the result of what the tool has left. `title` says what it does: "interpreting"."""

    title: str
    argv: tuple[str, ...]
    stdin: Path | None = None
    stdout: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Something that can be asked of the program while it runs: a snapshot now.

    In argv "{pid}" stands for the program and "{n}" for how often it was asked, from 1 on; so in `artifact`, the file
    that it leaves, which opens like any result.
    """

    name: str
    title: str
    tip: str
    argv: tuple[str, ...]
    artifact: str = ""


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
    target_is: TargetIs = TargetIs.CHILD_OF_PERF
    stop_signal: int = signal.SIGTERM
    """What asks the target to end; where it is RUNNING, what asks the tool (SIGINT)."""
    after: tuple[Step, ...] = ()
    """What is run when the tool has ended, in order, whether it ended well or not."""
    leaves: tuple[str, ...] = ()
    """Glob patterns in `out` of files whose names are not known before: each is an artifact under its own name."""
    requests: tuple[Request, ...] = ()
    grows: tuple[str, ...] = ()
    """Glob patterns in `out` of the files whose size tells how far it is; empty: the result's."""

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


OptionValue: TypeAlias = str | bool | int | float


class OptionKind(StrEnum):
    """What an option takes."""

    CHOICE = "choice"
    FLAG = "flag"
    WHOLE = "whole number"
    NUMBER = "number"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionField:
    """One option of a tool: the window's form and `--set NAME=VALUE` are made of it.

    name: stable, for files and the command line: "time-unit". choices: (value, what it means). unit: after a number.
    only_with: (option, value) without which it has no meaning, so that a form hides it. rare: below a fold.
    reason: why it cannot work here; "" where it can.
    """

    name: str
    title: str
    tip: str
    kind: OptionKind
    default: OptionValue
    choices: tuple[tuple[str, str], ...] = ()
    low: float = 0
    high: float = 1e9
    unit: str = ""
    only_with: tuple[str, OptionValue] | None = None
    rare: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOptions:
    """The wishes of one run of a tool that describes its options by `OptionField`s. `values` by their names; what is
    missing has its default. `tool` is the name of the tool they are for; "" where whoever passes them on says it.
    """

    tool: str = ""
    values: Mapping[str, OptionValue] = field(default_factory=lambda: MappingProxyType({}))
    duration_s: float | None = None
    """None: until the target ends or is stopped."""
    extra: tuple[str, ...] = ()
    """Further arguments for the tool itself."""

    def text(self, field_: OptionField) -> str:
        return str(self.values.get(field_.name, field_.default))

    def flag(self, field_: OptionField) -> bool:
        return bool(self.values.get(field_.name, field_.default))

    def number(self, field_: OptionField) -> float:
        return float(self.values.get(field_.name, field_.default))

    def whole(self, field_: OptionField) -> int:
        return int(self.values.get(field_.name, field_.default))


class Family(StrEnum):
    """What a tool looks at; lists of tools are grouped by it."""

    CPU = "CPU time"
    MEMORY = "Memory"
    CACHES = "Caches and branches"
    SYSCALLS = "System calls"
    KERNEL = "Kernel and probes"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowDown:
    """How much slower a program runs under the tool, as measured: `typical` times for computing code, `worst` for what
    the tool minds most (`worst_for`: "threads that do nothing but allocate").
    """

    typical: float
    worst: float
    worst_for: str

    @property
    def sentence(self) -> str:
        """ "About 3 times slower; up to 60 times for threads that do nothing but allocate." """
        usual = "Hardly slower" if self.typical < 1.15 else f"About {self.typical:.2g} times slower"
        worst = f"{self.worst:.2g}" if self.worst < 10 else f"{self.worst:.0f}"
        return f"{usual}; up to {worst} times for {self.worst_for}."


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


class FieldTool(Tool[ToolOptions], Protocol):
    """A tool whose options are described by fields: all but perf record and cargo flamegraph."""

    @property
    def family(self) -> Family: ...

    @property
    def program(self) -> str:
        """The program that must be installed: "valgrind"."""

    @property
    def slow_down(self) -> SlowDown: ...

    @property
    def launches(self) -> bool:
        """Whether it can start a program."""

    @property
    def attaches(self) -> bool:
        """Whether it can look into a running one."""

    def fields(self, host: Host) -> tuple[OptionField, ...]:
        """Its options as they can work here, in the order of a form."""

    def checks(self, target: Target, options: ToolOptions, host: Host) -> tuple[Finding, ...]:
        """What speaks against this run besides what holds for every tool; may read the binary."""
